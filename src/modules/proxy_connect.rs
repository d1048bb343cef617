//! `mod_proxy_connect.c`: CONNECT, and which ports it may lead to.

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, latin1, row};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::Module;
use crate::web::Exchange;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "proxy_connect_module",
        file: "mod_proxy_connect.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// Values per server.
#[derive(Clone, Default)]
struct Connect {
    /// `AllowCONNECT`, as ranges; those of the main server hold too.
    ports: Vec<(u16, u16)>,
}

impl Conf for Connect {
    const SLOT: usize = slot::PROXY_CONNECT;

    fn merge(base: &Self, add: &Self) -> Self {
        Self { ports: base.ports.iter().chain(&add.ports).copied().collect() }
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("AllowCONNECT", Places::SERVER, Shape::Iterate, allow, "A list of ports or port ranges which CONNECT may connect to"),
];

/// `AllowCONNECT port|low-high ...`.
fn allow(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let word = args.word(0);
    let (low, high) = match memchr::memchr(b'-', word) {
        Some(at) => (&word[..at], Some(&word[at + 1..])),
        None => (word, None),
    };
    if !word.first().is_some_and(u8::is_ascii_digit) {
        return Err("AllowCONNECT: port numbers must be numeric".to_owned());
    }
    let number = |text: &[u8]| {
        let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
        let number = digits.then(|| std::str::from_utf8(text).ok()?.parse::<u64>().ok().or(Some(u64::MAX))).flatten();
        number.ok_or_else(|| format!("Cannot parse '{}' as port number", latin1(text)))
    };
    let low = number(low)?;
    let high = high.map_or(Ok(low), number)?;
    let port = |number: u64| u16::try_from(number).unwrap_or(u16::MAX);
    // What begins beyond all ports allows none, and is no missing directive either.
    let range = if low > u64::from(u16::MAX) { (1, 0) } else { (port(low), port(high)) };
    cmd.server_conf::<Connect>().ports.push(range);
    Ok(())
}

/// The ports that the request may be connected to; `None` if the module does not take part.
pub(crate) fn allowed(ex: &Exchange) -> Option<Vec<(u16, u16)>> {
    if !ex.live.generation.globals.modules.contains(&"proxy_connect_module") {
        return None;
    }
    let own = ex.server().get::<Connect>().map(|conf| conf.ports.clone()).unwrap_or_default();
    // Without the directive: HTTPS and NNTPS.
    Some(if own.is_empty() { vec![(443, 443), (563, 563)] } else { own })
}

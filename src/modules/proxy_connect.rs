//! `mod_proxy_connect.c`.

use crate::config::{Args, Cmd, Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::nothing;
use crate::pipe::Module;

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

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("AllowCONNECT", Places::SERVER, Shape::Iterate, allow, "A list of ports or port ranges which CONNECT may connect to").missing(),
];

/// `AllowCONNECT port|low-high ...`.
fn allow(_: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let word = args.word(0);
    let (low, high) = match memchr::memchr(b'-', word) {
        Some(at) => (&word[..at], &word[at + 1..]),
        None => (word, &b"0"[..]),
    };
    let number = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    if number(low) && number(high) { Ok(()) } else { Err("AllowCONNECT: port numbers must be numeric".to_owned()) }
}

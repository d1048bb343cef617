//! `mod_heartbeat.c`: says how this server is.

use std::net::SocketAddrV4;
use std::sync::atomic::Ordering::Relaxed;

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, row};
use crate::modules::heartmonitor::{Wrong, address};
use crate::modules::rows::nothing;
use crate::modules::{mpm, slot};
use crate::net::scoreboard;
use crate::pipe::Module;
use crate::upstream::heartbeat::{self, Sending};
use crate::web::Live;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "heartbeat_module",
        file: "mod_heartbeat.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// Values of the process.
#[derive(Clone, Default)]
struct HeartbeatProcess {
    /// `HeartbeatAddress`.
    to: Option<SocketAddrV4>,
}

impl Conf for HeartbeatProcess {
    const SLOT: usize = slot::HEARTBEAT + 2;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("HeartbeatAddress", Places::SERVER, Shape::Take1, send_to, "Address to send heartbeat requests"),
];

/// `HeartbeatAddress address:port`.
fn send_to(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.global_only()?;
    if cmd.globals.conf.get::<HeartbeatProcess>().is_some_and(|conf| conf.to.is_some()) {
        return Err("HeartbeatAddress: May only be specified once.".to_owned());
    }
    let to = address(args.word(0)).map_err(|wrong| match wrong {
        Wrong::Form => "HeartbeatAddress: Unable to parse address.",
        Wrong::NoHost => "HeartbeatAddress: No host provided in address",
        Wrong::NoPort => "HeartbeatAddress: No port provided in address",
        Wrong::Unknown => "HeartbeatAddress: apr_sockaddr_info_get failed.",
    })?;
    cmd.globals.conf.get_mut::<HeartbeatProcess>().to = Some(to);
    Ok(())
}

/// Begins to send, if that is asked for, on this thread's runtime.
pub fn watch(live: Live) -> Option<Sending> {
    let to = live.generation.globals.conf.get::<HeartbeatProcess>()?.to?;
    Some(heartbeat::send(live, to, figures))
}

/// How many more requests there is room for in the processes that httpd would have, and how many are served.
fn figures(live: &Live) -> (usize, usize) {
    let busy = scoreboard::places().iter().map(|place| place.busy.load(Relaxed)).sum::<u32>();
    let busy = usize::try_from(busy).unwrap_or(usize::MAX);
    (mpm::limits::idle(&live.generation.globals, busy), busy)
}

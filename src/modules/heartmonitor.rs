//! `mod_heartmonitor.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "heartmonitor_module",
        file: "mod_heartmonitor.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("HeartbeatListen", Places::SERVER, Shape::Take1, accept, "Address to listen for heartbeat requests").missing(),
    row("HeartbeatStorage", Places::SERVER, Shape::Take1, accept, "Path to store heartbeat data.").missing(),
    row("HeartbeatMaxServers", Places::SERVER, Shape::Take1, accept, "Max number of servers when using slotmem (instead file) to store heartbeat data.").missing(),
];

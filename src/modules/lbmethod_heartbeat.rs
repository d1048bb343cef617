//! `mod_lbmethod_heartbeat.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "lbmethod_heartbeat_module",
        file: "mod_lbmethod_heartbeat.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("HeartbeatStorage", Places::SERVER, Shape::Take1, accept, "Path to read heartbeat data.").missing(),
];

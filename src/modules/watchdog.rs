//! `mod_watchdog.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "watchdog_module",
        file: "mod_watchdog.c",
        builtin: true,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("WatchdogInterval", Places::SERVER, Shape::Take1, accept, "Watchdog interval in seconds").missing(),
];

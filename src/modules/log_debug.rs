//! `mod_log_debug.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "log_debug_module",
        file: "mod_log_debug.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("LogMessage", Places::DIR.or(Places::SERVER), Shape::Take123, accept, "Log a debug message to the error log if this config block is used for  a request").missing(),
];

//! `mod_logio.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "logio_module",
        file: "mod_logio.c",
        builtin: true,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("LogIOTrackTTFB", Places::ALL, Shape::Flag, accept, "Set to 'ON' to enable tracking time to first byte").missing(),
];

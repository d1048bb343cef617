//! `mod_dumpio.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "dumpio_module",
        file: "mod_dumpio.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("DumpIOInput", Places::SERVER, Shape::Flag, accept, "Enable I/O Dump on Input Data").missing(),
    row("DumpIOOutput", Places::SERVER, Shape::Flag, accept, "Enable I/O Dump on Output Data").missing(),
];

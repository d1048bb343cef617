//! `mod_mime_magic.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "mime_magic_module",
        file: "mod_mime_magic.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("MimeMagicFile", Places::SERVER, Shape::Take1, accept, "Path to MIME Magic file (in file(1) format)").missing(),
];

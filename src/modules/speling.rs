//! `mod_speling.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "speling_module",
        file: "mod_speling.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("CheckSpelling", Places::OPTIONS, Shape::Flag, accept, "whether or not to fix miscapitalized/misspelled requests").missing(),
    row("CheckCaseOnly", Places::OPTIONS, Shape::Flag, accept, "whether or not to fix only miscapitalized requests").missing(),
    row("CheckBasenameMatch", Places::OPTIONS, Shape::Flag, accept, "whether or not to fix files with the same base name").missing(),
];

//! `mod_sed.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "sed_module",
        file: "mod_sed.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("OutputSed", Places::DIR, Shape::Take1, accept, "Sed regular expression for Response").refused(),
    row("InputSed", Places::DIR, Shape::Take1, accept, "Sed regular expression for Request").refused(),
];

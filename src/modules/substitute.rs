//! `mod_substitute.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "substitute_module",
        file: "mod_substitute.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("Substitute", Places::FILEINFO, Shape::Take1, accept, "Pattern to filter the response content (s/foo/bar/[inf])").refused(),
    row("SubstituteMaxLineLength", Places::FILEINFO, Shape::Take1, accept, "Maximum line length").refused(),
    row("SubstituteInheritBefore", Places::FILEINFO, Shape::Flag, accept, "Apply inherited patterns before those of the current context").refused(),
];

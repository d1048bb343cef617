//! `mod_macro.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "macro_module",
        file: "mod_macro.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("<Macro", Places::ALL.or(Places::READ), Shape::Raw, accept, "Beginning of a macro definition section."),
    row("Use", Places::ALL.or(Places::READ), Shape::Raw, accept, "Use of a macro."),
    row("UndefMacro", Places::ALL.or(Places::READ), Shape::Take1, accept, "Remove a macro definition."),
    row("MacroIgnoreEmptyArgs", Places::ALL.or(Places::READ), Shape::Raw, accept, "Globally ignore warnings about empty arguments."),
    row("MacroIgnoreBadNesting", Places::ALL.or(Places::READ), Shape::Raw, accept, "Globally ignore warnings about bad nesting."),
];

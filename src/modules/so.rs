//! `mod_so.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow { id: "so_module", file: "mod_so.c", builtin: true, directives: DIRECTIVES, post_config: nothing },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("LoadModule", Places::SERVER.or(Places::READ), Shape::Take2, accept, "a module name and the name of a shared object file to load it from"),
    row("LoadFile", Places::SERVER.or(Places::READ), Shape::Iterate, accept, "shared object file or library to load into the server at runtime"),
];

//! `mod_ident.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "ident_module",
        file: "mod_ident.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("IdentityCheck", Places::DIR.or(Places::SERVER), Shape::Flag, accept, "Enable identd (RFC 1413) user lookups - SLOW").missing(),
    row("IdentityCheckTimeout", Places::DIR.or(Places::SERVER), Shape::Take1, accept, "Identity check (RFC 1413) timeout duration (sec)").missing(),
];

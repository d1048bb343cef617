//! `mod_authz_groupfile.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "authz_groupfile_module",
        file: "mod_authz_groupfile.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("AuthGroupFile", Places::AUTHCFG, Shape::Take1, accept, "text file containing group names and member user IDs").refused(),
];

//! `mod_authz_dbm.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "authz_dbm_module",
        file: "mod_authz_dbm.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("AuthDBMGroupFile", Places::AUTHCFG, Shape::Take1, accept, "database file containing group names and member user IDs").refused(),
    row("AuthzDBMType", Places::AUTHCFG, Shape::Take1, accept, "what type of DBM file the group file is").refused(),
];

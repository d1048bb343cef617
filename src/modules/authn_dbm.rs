//! `mod_authn_dbm.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "authn_dbm_module",
        file: "mod_authn_dbm.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("AuthDBMUserFile", Places::AUTHCFG, Shape::Take1, accept, "dbm database file containing user IDs and passwords").refused(),
    row("AuthDBMType", Places::AUTHCFG, Shape::Take1, accept, "what type of DBM file the user file is").refused(),
];

//! `mod_authn_dbd.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::nothing;
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "authn_dbd_module",
        file: "mod_authn_dbd.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("AuthDBDUserPWQuery", Places::DIR, Shape::Take1, |c, _| crate::modules::dbd::loaded(c, "AuthDBD"), "Query used to fetch password for user").refused(),
    row("AuthDBDUserRealmQuery", Places::DIR, Shape::Take1, |c, _| crate::modules::dbd::loaded(c, "AuthDBD"), "Query used to fetch password for user+realm").refused(),
];

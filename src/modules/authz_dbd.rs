//! `mod_authz_dbd.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "authz_dbd_module",
        file: "mod_authz_dbd.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("AuthzDBDLoginToReferer", Places::DIR, Shape::Flag, accept, "Whether to redirect to referer on successful login").refused(),
    row("AuthzDBDQuery", Places::DIR, Shape::Take1, |c, _| crate::modules::dbd::loaded(c, "AuthzDBD"), "SQL query for DBD Authz or login").refused(),
    row("AuthzDBDRedirectQuery", Places::DIR, Shape::Take1, |c, _| crate::modules::dbd::loaded(c, "AuthzDBD"), "SQL query to get per-user redirect URL after login").refused(),
];

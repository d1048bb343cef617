//! `mod_authnz_fcgi.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "authnz_fcgi_module",
        file: "mod_authnz_fcgi.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("AuthnzFcgiDefineProvider", Places::SERVER, Shape::Argv, accept, "Define a FastCGI authn and/or authz provider").refused(),
    row("AuthnzFcgiCheckAuthnProvider", Places::FILEINFO, Shape::Argv, accept, "Enable/disable a FastCGI authorizer to handle check_authn phase").refused(),
];

//! `mod_auth_basic.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "auth_basic_module",
        file: "mod_auth_basic.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("AuthBasicProvider", Places::AUTHCFG, Shape::Iterate, accept, "specify the auth providers for a directory or location").refused(),
    row("AuthBasicAuthoritative", Places::AUTHCFG, Shape::Flag, accept, "Set to 'Off' to allow access control to be passed along to lower modules if the UserID is not known to this module").refused(),
    row("AuthBasicFake", Places::AUTHCFG, Shape::Take12, accept, "Fake basic authentication using the given expressions for username and password, 'off' to disable. Password defaults to 'password' if missing.").refused(),
    row("AuthBasicUseDigestAlgorithm", Places::AUTHCFG, Shape::Take1, accept, "Set to 'MD5' to use the auth provider's authentication check for digest auth, using a hash of 'user:realm:pass'").refused(),
];

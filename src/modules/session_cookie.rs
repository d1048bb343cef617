//! `mod_session_cookie.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "session_cookie_module",
        file: "mod_session_cookie.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("SessionCookieName", Places::AUTHCFG.or(Places::SERVER), Shape::Raw, accept, "The name of the RFC2109 cookie carrying the session").refused(),
    row("SessionCookieName2", Places::AUTHCFG.or(Places::SERVER), Shape::Raw, accept, "The name of the RFC2965 cookie carrying the session").refused(),
    row("SessionCookieRemove", Places::AUTHCFG.or(Places::SERVER), Shape::Flag, accept, "Set to 'On' to remove the session cookie from the headers and hide the cookie from a backend server or process").refused(),
];

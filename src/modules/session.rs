//! `mod_session.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::check;
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "session_module",
        file: "mod_session.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("Session", Places::AUTHCFG.or(Places::SERVER), Shape::Flag, accept, "on if a session should be maintained for these URLs").refused(),
    row("SessionMaxAge", Places::AUTHCFG.or(Places::SERVER), Shape::Take1, accept, "length of time for which a session should be valid. Zero to disable").refused(),
    row("SessionHeader", Places::AUTHCFG.or(Places::SERVER), Shape::Take1, accept, "output header, if present, whose contents will be injected into the session.").refused(),
    row("SessionEnv", Places::AUTHCFG.or(Places::SERVER), Shape::Flag, accept, "on if a session should be written to the CGI environment. Defaults to off").refused(),
    row("SessionInclude", Places::AUTHCFG.or(Places::SERVER), Shape::Take1, accept, "URL prefixes to include in the session. Defaults to all URLs").refused(),
    row("SessionExclude", Places::AUTHCFG.or(Places::SERVER), Shape::Take1, accept, "URL prefixes to exclude from the session. Defaults to no URLs").refused(),
    row("SessionExpiryUpdateInterval", Places::AUTHCFG.or(Places::SERVER), Shape::Take1, |_, a| check::at_least(a, 0, "SessionExpiryUpdateInterval must be zero (disable) or a positive value"), "time interval for which a session's expiry time may change without having to be rewritten. Zero to disable").refused(),
];

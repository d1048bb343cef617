//! `mod_session_cookie.c`.

use crate::config::{Args, Cmd, Directive, ModuleRow, Places, Shape, get_word, row};
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
    row("SessionCookieName", Places::AUTHCFG.or(Places::SERVER), Shape::Raw, name, "The name of the RFC2109 cookie carrying the session").refused(),
    row("SessionCookieName2", Places::AUTHCFG.or(Places::SERVER), Shape::Raw, name, "The name of the RFC2965 cookie carrying the session").refused(),
    row("SessionCookieRemove", Places::AUTHCFG.or(Places::SERVER), Shape::Flag, accept, "Set to 'On' to remove the session cookie from the headers and hide the cookie from a backend server or process").refused(),
];

/// `SessionCookieName name attributes`.
fn name(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let (name, _) = get_word(args.raw);
    if name.iter().any(|byte| b"=&".contains(byte)) {
        return Err(format!("{} cannot be empty, or contain '=' or '&'.", cmd.directive.name));
    }
    Ok(())
}

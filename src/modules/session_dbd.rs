//! `mod_session_dbd.c`.

use crate::config::{Args, Cmd, Directive, ModuleRow, Places, Shape, get_word, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "session_dbd_module",
        file: "mod_session_dbd.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("SessionDBDSelectLabel", Places::AUTHCFG.or(Places::SERVER), Shape::Take1, accept, "Query label used to select a new session").refused(),
    row("SessionDBDInsertLabel", Places::AUTHCFG.or(Places::SERVER), Shape::Take1, accept, "Query label used to insert a new session").refused(),
    row("SessionDBDUpdateLabel", Places::AUTHCFG.or(Places::SERVER), Shape::Take1, accept, "Query label used to update an existing session").refused(),
    row("SessionDBDDeleteLabel", Places::AUTHCFG.or(Places::SERVER), Shape::Take1, accept, "Query label used to delete an existing session").refused(),
    row("SessionDBDPerUser", Places::AUTHCFG.or(Places::SERVER), Shape::Flag, accept, "Save the session per user").refused(),
    row("SessionDBDCookieRemove", Places::AUTHCFG.or(Places::SERVER), Shape::Flag, accept, "Remove the session cookie after session load. On by default.").refused(),
    row("SessionDBDCookieName", Places::AUTHCFG.or(Places::SERVER), Shape::Raw, name, "The name of the RFC2109 cookie carrying the session key").refused(),
    row("SessionDBDCookieName2", Places::AUTHCFG.or(Places::SERVER), Shape::Raw, name, "The name of the RFC2965 cookie carrying the session key").refused(),
];

/// `SessionDBDCookieName name attributes`.
fn name(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let (name, _) = get_word(args.raw);
    if name.is_empty() {
        return Err(format!("{} requires at least one argument!", cmd.directive.name));
    }
    if name.iter().any(|byte| b"=;&".contains(byte)) {
        return Err(format!("{} cannot contain '=', ';' or '&'.", cmd.directive.name));
    }
    Ok(())
}

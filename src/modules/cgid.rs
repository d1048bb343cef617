//! `mod_cgid.c`: as [`super::cgi`]; the daemon that starts scripts for httpd's threads is not needed here.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::cgi::{self, CGID, script_log, script_log_buffer, script_log_length, script_timeout};
use crate::modules::rows::{accept, nothing};
use crate::pipe::{Hook, Module, Phase, Run, Waiting};
use crate::web::{Exchange, Wire};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "cgid_module",
        file: "mod_cgid.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("ScriptLog", Places::SERVER, Shape::Take1, script_log, "the name of a log for script debugging info"),
    row("ScriptLogLength", Places::SERVER, Shape::Take1, script_log_length, "the maximum length (in bytes) of the script debug log"),
    row("ScriptLogBuffer", Places::SERVER, Shape::Take1, script_log_buffer, "the maximum size (in bytes) to record of a POST request"),
    row("ScriptSock", Places::SERVER, Shape::Take1, accept, "the name of the socket to use for communication with the cgi daemon.").moot(),
    row("CGIDScriptTimeout", Places::DIR.or(Places::SERVER), Shape::Take1, |c, a| script_timeout(c, a, "CGIDScriptTimeout has wrong format"), "The amount of time to wait between successful reads from the CGI script, in seconds."),
];

/// The hooks.
const HOOKS: &[Hook] = &[Hook { phase: Phase::Handler, order: 0, wants: |_, _| true, run: Run::Handle(handle) }];

fn handle<'a>(ex: &'a mut Exchange, wire: &'a mut dyn Wire) -> Waiting<'a> {
    cgi::answer(ex, wire, &CGID)
}

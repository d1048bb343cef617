//! `mod_cgid.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::check;
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "cgid_module",
        file: "mod_cgid.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("ScriptLog", Places::SERVER, Shape::Take1, accept, "the name of a log for script debugging info").missing(),
    row("ScriptLogLength", Places::SERVER, Shape::Take1, accept, "the maximum length (in bytes) of the script debug log").missing(),
    row("ScriptLogBuffer", Places::SERVER, Shape::Take1, accept, "the maximum size (in bytes) to record of a POST request").missing(),
    row("ScriptSock", Places::SERVER, Shape::Take1, accept, "the name of the socket to use for communication with the cgi daemon.").missing(),
    row("CGIDScriptTimeout", Places::DIR.or(Places::SERVER), Shape::Take1, |_, a| check::time(a, "CGIDScriptTimeout has wrong format"), "The amount of time to wait between successful reads from the CGI script, in seconds.").missing(),
];

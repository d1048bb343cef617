//! `mod_cgi.c`, and what it shares with `mod_cgid.c`: programs that answer requests (RFC 3875).

use std::time::Duration;

use crate::base::clock::{Unit, parse_interval};
use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, inner_or_outer, row};
use crate::modules::rows::nothing;
use crate::modules::{check, slot};
use crate::pipe::{self, Hook, Module, Phase, Run, Waiting};
use crate::web::{Exchange, Wire};

pub(super) mod child;
mod log;
mod serve;

pub(super) use serve::{CGI, CGID, Kind, loaded, shell};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "cgi_module",
        file: "mod_cgi.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// Values per server.
#[derive(Clone, Default)]
pub(super) struct ScriptLog {
    /// ScriptLog.
    file: Option<Vec<u8>>,
    /// ScriptLogLength: a longer log is not written to.
    length: Option<u64>,
    /// ScriptLogBuffer: bytes of a request's body that are kept.
    buffer: Option<usize>,
}

impl Conf for ScriptLog {
    const SLOT: usize = slot::CGI;

    // httpd takes that of the virtual host whole if it has a log.
    fn merge(base: &Self, add: &Self) -> Self {
        if add.file.is_some() { add.clone() } else { base.clone() }
    }
}

/// Values per directory.
#[derive(Clone, Default)]
pub(super) struct ScriptDir {
    timeout: Option<Duration>,
}

impl Conf for ScriptDir {
    const SLOT: usize = slot::CGI + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        inner_or_outer!(base, add; timeout)
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("ScriptLog", Places::SERVER, Shape::Take1, script_log, "the name of a log for script debugging info"),
    row("ScriptLogLength", Places::SERVER, Shape::Take1, script_log_length, "the maximum length (in bytes) of the script debug log"),
    row("ScriptLogBuffer", Places::SERVER, Shape::Take1, script_log_buffer, "the maximum size (in bytes) to record of a POST request"),
    row("CGIScriptTimeout", Places::DIR.or(Places::SERVER), Shape::Take1, |c, a| script_timeout(c, a, "CGIScriptTimeout has wrong format"), "The amount of time to wait between successful reads from the CGI script, in seconds."),
];

/// The hooks.
const HOOKS: &[Hook] = &[Hook { phase: Phase::Handler, order: 0, wants: |_, _| true, run: Run::Handle(handle) }];

type Done = Result<(), String>;

pub(super) fn script_log(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let file = cmd.rooted(args.word(0));
    cmd.server_conf::<ScriptLog>().file = Some(file);
    Ok(())
}

pub(super) fn script_log_length(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.server_conf::<ScriptLog>().length = u64::try_from(check::number(args.word(0))).ok();
    Ok(())
}

pub(super) fn script_log_buffer(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.server_conf::<ScriptLog>().buffer = usize::try_from(check::number(args.word(0))).ok();
    Ok(())
}

pub(super) fn script_timeout(cmd: &mut Cmd<'_>, args: &Args<'_>, text: &str) -> Done {
    check::time(args, text)?;
    cmd.dir_conf::<ScriptDir>().timeout = parse_interval(args.word(0), Unit::Second).ok();
    Ok(())
}

fn handle<'a>(ex: &'a mut Exchange, wire: &'a mut dyn Wire) -> Waiting<'a> {
    answer(ex, wire, &CGI)
}

/// Answers with a script, if that is what the request is for.
pub(super) fn answer<'a>(ex: &'a mut Exchange, wire: &'a mut dyn Wire, kind: &'static Kind) -> Waiting<'a> {
    if ex.handler != b"cgi-script" && ex.handler != b"application/x-httpd-cgi" {
        return pipe::declined();
    }
    Box::pin(serve::serve(ex, wire, kind))
}

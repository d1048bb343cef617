//! `http_core.c`: connections that are kept, TRACE, and OPTIONS of the whole server.

use crate::base::clock::{Unit, leading_integer, parse_interval};
use crate::config::core::{CoreServer, Trace};
use crate::config::{Args, Cmd, Directive, ModuleRow, Places, Shape, row};
use crate::logs::{self, Bytes, Level};
use crate::modules::rows::nothing;
use crate::pipe::{self, Answer, Hook, Module, Outcome, Phase, Run, Waiting};
use crate::web::{BodyKind, Exchange, ProxyKind, Wire};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "http_module",
        file: "http_core.c",
        builtin: true,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("KeepAliveTimeout", Places::SERVER, Shape::Take1, timeout, "Keep-Alive timeout duration (sec)"),
    row("MaxKeepAliveRequests", Places::SERVER, Shape::Take1, most, "Maximum number of Keep-Alive requests per connection, or 0 for infinite"),
    row("KeepAlive", Places::SERVER, Shape::Flag, keep_alive, "Whether persistent connections should be On or Off"),
];

/// The hooks.
const HOOKS: &[Hook] = &[
    Hook { phase: Phase::MapToStorage, order: 0, wants: |_, _| true, run: Run::Now(trace) },
    Hook { phase: Phase::MapToStorage, order: 0, wants: |_, _| true, run: Run::Now(ping) },
];

/// `KeepAliveTimeout`, in seconds unless a unit is given.
fn timeout(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.not_in_dir_context()?;
    let time = parse_interval(args.word(0), Unit::Second);
    let time = time.map_err(|_| "KeepAliveTimeout has wrong format".to_owned())?;
    cmd.server.rec.keep_alive_timeout = Some(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    Ok(())
}

/// `MaxKeepAliveRequests`.
fn most(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.not_in_dir_context()?;
    let number = leading_integer(args.word(0)).0.unwrap_or(0);
    cmd.server.rec.max_keep_alive = Some(u32::try_from(number.max(0)).unwrap_or(u32::MAX));
    Ok(())
}

/// `KeepAlive`.
fn keep_alive(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.not_in_dir_context()?;
    cmd.server.rec.keep_alive = Some(args.on());
    Ok(())
}

/// TRACE is answered in place of being mapped, so nobody is asked whether it may pass.
fn trace(ex: &mut Exchange) -> Outcome {
    if ex.method != b"TRACE" || ex.proxyreq != ProxyKind::None || ex.sub_depth > 0 {
        return Outcome::Declined;
    }
    if trace_of(ex) == Trace::Off {
        ex.notes.set(b"error-notes", b"TRACE denied by server configuration");
        return Outcome::Status(405);
    }
    ex.ext.get_mut::<Answer>().0 = Some(echo);
    Outcome::Done
}

/// `OPTIONS *` is a ping: an empty answer, whoever asks.
fn ping(ex: &mut Exchange) -> Outcome {
    if ex.method != b"OPTIONS" || ex.uri != b"*" {
        return Outcome::Declined;
    }
    // No handler, so nobody has been asked what to change in the answer.
    ex.response.settled = true;
    Outcome::Done
}

fn trace_of(ex: &Exchange) -> Trace {
    ex.server().get::<CoreServer>().and_then(|core| core.trace).unwrap_or(Trace::On)
}

/// The largest body that `TraceEnable extended` echoes.
const BODY_MAX: usize = 65536;

/// Sends the request back.
fn echo<'a>(ex: &'a mut Exchange, wire: &'a mut dyn Wire) -> Waiting<'a> {
    Box::pin(async move {
        if wire.body_kind() != BodyKind::None && trace_of(ex) != Trace::Extended {
            let uri = Bytes(&ex.uri);
            logs::error!(ex, Level::Info, "http", "AH01595: TRACE with body is not allowed for {}", uri);
            ex.notes.set(b"error-notes", b"TRACE with a request body is not allowed");
            return Outcome::Status(413);
        }
        let mut body = Vec::new();
        while !wire.body_done() {
            let too_large = matches!(wire.body_kind(), BodyKind::Length(length) if length > BODY_MAX as u64);
            if too_large || body.len() > BODY_MAX {
                ex.notes.set(b"error-notes", b"Extended TRACE request bodies cannot exceed 64k\n");
                return Outcome::Status(413);
            }
            match pipe::fill(wire).await {
                Ok(0) => break,
                Ok(_) => {
                    body.extend_from_slice(wire.body());
                    let taken = wire.body().len();
                    wire.consume(taken);
                }
                Err(fault) => return pipe::body_fault(ex, fault),
            }
        }
        let mut text = Vec::with_capacity(512);
        text.extend_from_slice(&ex.the_request);
        text.extend_from_slice(b"\r\n");
        for (name, value) in ex.headers_in.iter() {
            text.extend_from_slice(&[name, b": ", value, b"\r\n"].concat());
        }
        text.extend_from_slice(b"\r\n");
        text.extend_from_slice(&body);
        ex.content_type = b"message/http".to_vec();
        // No handler, so nobody has been asked what to change in the answer.
        ex.response.settled = true;
        // A client that went away needs no end.
        if pipe::data(ex, wire, &text).await.is_ok() {
            let _ = pipe::finish(ex, wire).await;
        }
        Outcome::Done
    })
}

//! What requests may know of the stream they came on, and hints in front of their responses.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::LazyLock;

use super::conf::{Http2Dir, Http2Server};
use super::told::Hints;
use crate::codec::http1::write::push_decimal;
use crate::config::core::CoreServer;
use crate::config::{Server, Slots};
use crate::pipe::{Hook, Outcome, Phase, Run, Waiting, declined, interim};
use crate::web::{Exchange, Line, Wire};

/// The number of this process, which asking for costs a system call.
static PROCESS: LazyLock<u32> = LazyLock::new(std::process::id);

/// The stream of a request; the front puts it into [`Exchange::ext`].
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// Its number.
    pub id: u32,
    /// 103 may be sent.
    pub early_hints: bool,
    /// Server and client of the connection agree that resources may be pushed.
    pub push: bool,
    /// The stream that this one was pushed with; 0: it was asked for.
    pub pushed_on: u32,
    /// Where it is said that nothing is to be pushed with this response; `None`: nothing is anyway.
    pub quiet: Option<Rc<Cell<bool>>>,
}

pub(super) const HOOKS: &[Hook] = &[
    Hook { phase: Phase::Fixups, order: -10, wants: speaks, run: Run::Now(describe) },
    Hook { phase: Phase::Handler, order: -30, wants: speaks, run: Run::Now(offer) },
    Hook { phase: Phase::Handler, order: -20, wants: hints, run: Run::Handle(hint) },
    Hook { phase: Phase::Head, order: 0, wants: is_quiet, run: Run::Now(hush) },
];

/// Whether a server speaks HTTP/2 at all.
fn speaks(server: &Server, _: &Slots) -> bool {
    let list = server.get::<CoreServer>().and_then(|core| core.protocols.as_ref());
    list.is_some_and(|list| list.iter().any(|name| matches!(name.as_slice(), b"h2" | b"h2c")))
}

fn hints(server: &Server, dir: &Slots) -> bool {
    let has = || {
        dir.get::<Http2Dir>().is_some_and(|dir| !dir.hints.is_empty())
            || server.get::<Http2Server>().is_some_and(|conf| !conf.hints.is_empty())
    };
    speaks(server, dir) && (has() || is_quiet(server, dir))
}

/// Whether the server pushes, but not here.
fn is_quiet(server: &Server, dir: &Slots) -> bool {
    speaks(server, dir) && dir.get::<Http2Dir>().is_some_and(|dir| dir.push == Some(false))
}

/// H2Push Off in a section.
fn hush(ex: &mut Exchange) -> Outcome {
    if let Some(quiet) = ex.ext.get::<Stream>().and_then(|stream| stream.quiet.as_ref()) {
        quiet.set(true);
    }
    Outcome::Declined
}

/// The variables of mod_http2.
fn describe(ex: &mut Exchange) -> Outcome {
    let Some(stream) = ex.ext.get::<Stream>() else { return Outcome::Declined };
    let mut tag = Vec::with_capacity(64);
    for number in [u64::from(*PROCESS), ex.conn.id, u64::from(stream.id)] {
        push_decimal(&mut tag, number);
        tag.push(b'-');
    }
    tag.pop();
    let id = tag.rsplit(|byte| *byte == b'-').next().unwrap_or_default();
    let [http2, push, pushed, pushed_on, also_push] = if stream.push { &PUSHES.0 } else { &PUSHES.1 };
    ex.env.set_line(http2);
    ex.env.set_line(push);
    if stream.pushed_on > 0 {
        let mut on = Vec::new();
        push_decimal(&mut on, u64::from(stream.pushed_on));
        ex.env.set(pushed.name(), b"PUSHED");
        ex.env.set(pushed_on.name(), &on);
    } else {
        ex.env.set_line(pushed);
        ex.env.set_line(pushed_on);
    }
    ex.env.set(b"H2_STREAM_ID", id);
    ex.env.set(b"H2_STREAM_TAG", &tag);
    ex.env.set_line(also_push);
    Outcome::Ok
}

/// The variables that are the same for nearly all streams, where resources are pushed and where they are not.
static PUSHES: LazyLock<([Line; 5], [Line; 5])> = LazyLock::new(|| {
    let lines = |push: &[u8]| {
        [
            Line::new(b"HTTP2", b"on"),
            Line::new(b"H2_PUSH", push),
            Line::new(b"H2_PUSHED", b""),
            Line::new(b"H2_PUSHED_ON", b""),
            Line::new(b"H2PUSH", push),
        ]
    };
    (lines(b"on"), lines(b"off"))
});

/// Tells who does not know yet, with a connection's first response, what else is spoken here: what `Protocols` names in
/// front of HTTP/1.
fn offer(ex: &mut Exchange) -> Outcome {
    if ex.proto_num >= 2000 || ex.conn.keepalives.get() > 0 || ex.headers_in.contains(b"Upgrade") {
        return Outcome::Declined;
    }
    let mut names = Vec::new();
    for name in ex.server().get::<CoreServer>().and_then(|core| core.protocols.as_deref()).unwrap_or_default() {
        if name == b"http/1.1" {
            break;
        }
        if !names.is_empty() {
            names.push(b',');
        }
        names.extend_from_slice(name);
    }
    if !names.is_empty() {
        ex.headers_out.set(b"Upgrade", &names);
        ex.headers_out.merge(b"Connection", b"Upgrade");
    }
    Outcome::Declined
}

/// H2PushResource and H2EarlyHint: once a request, in front of whoever answers it. What is named there is pushed, also
/// when 103 itself is not passed on.
fn hint<'a>(ex: &'a mut Exchange, wire: &'a mut dyn Wire) -> Waiting<'a> {
    if ex.dir::<Http2Dir>().is_some_and(|dir| dir.push == Some(false)) {
        hush(ex);
    }
    let wanted = ex.ext.get::<Stream>().is_some_and(|stream| stream.early_hints || stream.quiet.is_some());
    if ex.redirects == 0 && wanted && !wire.expects_continue() {
        let server = ex.server().get::<Http2Server>().map(|conf| &conf.hints);
        let fields = Hints::fields(ex.dir::<Http2Dir>().map(|dir| &dir.hints), server);
        if !fields.is_empty() {
            interim(ex, wire, 103, b"Early Hints", &fields);
        }
    }
    declined()
}

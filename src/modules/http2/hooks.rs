//! What requests may know of the stream they came on, and hints in front of their responses.

use std::sync::LazyLock;

use crate::codec::http1::write::push_decimal;
use crate::config::core::CoreServer;
use crate::config::{Server, Slots};
use crate::modules::http2::Http2Dir;
use crate::pipe::{Hook, Outcome, Phase, Run, Waiting, declined, interim};
use crate::web::{Exchange, Table, Wire};

/// The number of this process, which asking for costs a system call.
static PROCESS: LazyLock<u32> = LazyLock::new(std::process::id);

/// The stream of a request; the front puts it into [`Exchange::ext`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Stream {
    /// Its number.
    pub id: u32,
    /// 103 may be sent.
    pub early_hints: bool,
}

pub(super) const HOOKS: &[Hook] = &[
    Hook { phase: Phase::Fixups, order: -10, wants: speaks, run: Run::Now(describe) },
    Hook { phase: Phase::Handler, order: -30, wants: speaks, run: Run::Now(offer) },
    Hook { phase: Phase::Handler, order: -20, wants: hints, run: Run::Handle(hint) },
];

/// Whether a server speaks HTTP/2 at all.
fn speaks(server: &Server, _: &Slots) -> bool {
    let list = server.get::<CoreServer>().and_then(|core| core.protocols.as_ref());
    list.is_some_and(|list| list.iter().any(|name| matches!(name.as_slice(), b"h2" | b"h2c")))
}

fn hints(server: &Server, dir: &Slots) -> bool {
    speaks(server, dir) && dir.get::<Http2Dir>().is_some_and(|dir| !dir.hints.is_empty())
}

/// The variables of mod_http2. Nothing is pushed here, so those about that say so.
fn describe(ex: &mut Exchange) -> Outcome {
    let Some(stream) = ex.ext.get::<Stream>().copied() else { return Outcome::Declined };
    let mut tag = Vec::with_capacity(48);
    for number in [u64::from(*PROCESS), ex.conn.id, u64::from(stream.id)] {
        push_decimal(&mut tag, number);
        tag.push(b'-');
    }
    tag.pop();
    let id = tag.rsplit(|byte| *byte == b'-').next().unwrap_or_default();
    for (name, value) in [
        (&b"HTTP2"[..], &b"on"[..]),
        (b"H2_PUSH", b"off"),
        (b"H2_PUSHED", b""),
        (b"H2_PUSHED_ON", b""),
        (b"H2_STREAM_ID", id),
        (b"H2_STREAM_TAG", &tag),
        (b"H2PUSH", b"off"),
    ] {
        ex.env.set(name, value);
    }
    Outcome::Ok
}

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

/// H2EarlyHint: once a request, in front of whoever answers it.
fn hint<'a>(ex: &'a mut Exchange, wire: &'a mut dyn Wire) -> Waiting<'a> {
    if ex.redirects == 0 && ex.ext.get::<Stream>().is_some_and(|stream| stream.early_hints) {
        let mut fields = Table::default();
        for (name, value) in ex.dir::<Http2Dir>().map(|dir| dir.hints.as_slice()).unwrap_or_default() {
            fields.add(name, value);
        }
        interim(ex, wire, 103, b"Early Hints", &fields);
    }
    declined()
}

//! The way into HTTP/2 by `Upgrade: h2c` (RFC 7540 section 3.2): the request in HTTP/1 becomes the first stream.

use std::future::poll_fn;

use super::super::front::Fronts;
use super::super::link::Link;
use crate::codec::http1::RequestBody;
use crate::codec::http2::{self, FRAME, opening, push_field};
use crate::pipe::has_token;
use crate::web::Exchange;

/// A request that goes on as the first stream.
pub(in super::super) struct Upgrade {
    /// The payload of SETTINGS that the request brought.
    settings: Vec<u8>,
    /// Its fields as HEADERS has them.
    block: Vec<u8>,
    /// The server it is for.
    pub(in super::super) server: usize,
}

/// The upgrade that a request asks for, if it may have it. One with a body may not: it would be in HTTP/1.
pub(in super::super) fn asked(ex: &Exchange, fronts: &Fronts, body: &RequestBody) -> Option<Box<Upgrade>> {
    let fields = &ex.headers_in;
    if ex.proto_num != 1001 || ex.conn.secure || !fields.contains(b"Upgrade") {
        return None;
    }
    let settings = fields.get(b"HTTP2-Settings")?;
    let named = |token: &[u8]| has_token(fields.get_all(b"Connection"), token);
    let alone = matches!(body, RequestBody::Empty | RequestBody::Length(0));
    if !alone || !has_token(fields.get_all(b"Upgrade"), b"h2c") || !named(b"upgrade") || !named(b"http2-settings") {
        return None;
    }
    let server = server_of(ex, fronts);
    let front = fronts.of(server);
    if !front.http2.1 || !front.settings.upgrade || !matches!(ex.unparsed_uri.first(), Some(b'/' | b'*')) {
        return None;
    }
    let settings = http2::settings(settings)?;
    let block = block_of(ex)?;
    (block.len() <= FRAME).then(|| Box::new(Upgrade { settings, block, server }))
}

/// The server of the request's host.
fn server_of(ex: &Exchange, fronts: &Fronts) -> usize {
    let host = ex.headers_in.get(b"Host").unwrap_or_default();
    let end = memchr::memrchr(b':', host).filter(|at| !host.get(*at..).unwrap_or_default().contains(&b']'));
    let name = host.get(..end.unwrap_or(host.len())).unwrap_or_default().to_ascii_lowercase();
    let names = fronts.live.generation.select.names(ex.conn.local);
    names.and_then(|names| names.find(&name)).unwrap_or_else(|| ex.conn.default_server.get())
}

fn block_of(ex: &Exchange) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    push_field(b":method", &ex.method, &mut out);
    push_field(b":scheme", b"http", &mut out);
    push_field(b":authority", ex.headers_in.get(b"Host")?, &mut out);
    push_field(b":path", &ex.unparsed_uri, &mut out);
    let named: Vec<&[u8]> = ex
        .headers_in
        .get_all(b"Connection")
        .flat_map(|value| value.split(|byte| matches!(byte, b',' | b' ' | b'\t')))
        .collect();
    for (name, value) in ex.headers_in.iter() {
        let ends_here = named.iter().any(|token| token.eq_ignore_ascii_case(name))
            || [&b"host"[..], b"connection", b"keep-alive", b"proxy-connection", b"te", b"content-length"]
                .iter()
                .any(|own| name.eq_ignore_ascii_case(own));
        if !ends_here {
            push_field(&name.to_ascii_lowercase(), value, &mut out);
        }
    }
    Some(out)
}

/// Waits for the client's preface and its settings, and puts the request behind them: what the protocol is to read.
/// `None`: the client says something else.
pub(super) async fn prologue(link: &mut Link, mut ahead: Vec<u8>, upgrade: &Upgrade) -> Option<Vec<u8>> {
    let len = loop {
        if let Some(len) = opening(&ahead)? {
            break len;
        }
        let mut buf = [0; 4096];
        let n = poll_fn(|cx| link.poll_read(cx, &mut buf)).await.ok().filter(|n| *n > 0)?;
        ahead.extend_from_slice(buf.get(..n).unwrap_or_default());
    };
    http2::prologue(&ahead, len, &upgrade.settings, &upgrade.block)
}

//! The way into HTTP/2 by `Upgrade: h2c` (RFC 7540 section 3.2): the request in HTTP/1 becomes the first stream.

use std::future::poll_fn;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::super::front::Fronts;
use super::super::link::Link;
use super::tap::PREFACE;
use crate::codec::http1::RequestBody;
use crate::pipe::has_token;
use crate::web::Exchange;

/// The largest payload of a frame that nobody has asked for a larger one.
const FRAME: usize = 16_384;

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const ACK: u8 = 1;
const END: u8 = 5;

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
    let settings =
        URL_SAFE_NO_PAD.decode(settings.trim_ascii_end()).ok().filter(|payload| payload.len().is_multiple_of(6))?;
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

/// A field that no table remembers (RFC 7541 section 6.2.2).
fn push_field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.push(0);
    for text in [name, value] {
        push_length(text.len(), out);
        out.extend_from_slice(text);
    }
}

fn push_length(len: usize, out: &mut Vec<u8>) {
    let Some(mut rest) = len.checked_sub(127) else { return out.push(u8::try_from(len).unwrap_or(0)) };
    out.push(127);
    while rest >= 128 {
        out.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    out.push(rest as u8);
}

fn push_frame(kind: u8, flags: u8, stream: u32, payload: &[&[u8]], out: &mut Vec<u8>) {
    let len = payload.iter().map(|part| part.len()).sum::<usize>();
    let [.., a, b, c] = u32::try_from(len).unwrap_or(0).to_be_bytes();
    out.extend_from_slice(&[a, b, c, kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    payload.iter().for_each(|part| out.extend_from_slice(part));
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
    let mut out = PREFACE.to_vec();
    let own = ahead.get(PREFACE.len() + 9..len)?;
    // One frame for both, as the client expects one answer.
    push_frame(SETTINGS, 0, 0, &[&upgrade.settings, own], &mut out);
    push_frame(HEADERS, END, 1, &[&upgrade.block], &mut out);
    out.extend_from_slice(ahead.get(len..)?);
    Some(out)
}

/// How long the preface and the settings are, once they are here; `None` when it is something else that comes.
fn opening(bytes: &[u8]) -> Option<Option<usize>> {
    let seen = bytes.len().min(PREFACE.len());
    if bytes.get(..seen) != PREFACE.get(..seen) {
        return None;
    }
    let Some([a, b, c, kind, flags, ..]) = bytes.get(PREFACE.len()..PREFACE.len() + 9) else { return Some(None) };
    let len = u32::from_be_bytes([0, *a, *b, *c]) as usize;
    if *kind != SETTINGS || flags & ACK != 0 || len > 4096 || !len.is_multiple_of(6) {
        return None;
    }
    let whole = PREFACE.len() + 9 + len;
    Some((bytes.len() >= whole).then_some(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_opening_is_waited_for() {
        let mut bytes = PREFACE.to_vec();
        push_frame(SETTINGS, 0, 0, &[&[0, 4, 0, 0, 0, 1]], &mut bytes);
        for len in 0..bytes.len() {
            assert_eq!(opening(&bytes[..len]), Some(None), "{len}");
        }
        assert_eq!(opening(&bytes), Some(Some(PREFACE.len() + 15)));
        assert_eq!(opening(b"GET / HTTP/1.1"), None);
        bytes[PREFACE.len() + 3] = HEADERS;
        assert_eq!(opening(&bytes), None);
    }

    #[test]
    fn lengths_are_written_as_hpack_has_them() {
        for (len, bytes) in [(0, &[0][..]), (126, &[126]), (127, &[127, 0]), (254, &[127, 127]), (1337, &[127, 186, 9])]
        {
            let mut out = Vec::new();
            push_length(len, &mut out);
            assert_eq!(out, bytes, "{len}");
        }
    }
}

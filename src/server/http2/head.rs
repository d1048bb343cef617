//! The head of a stream's request as an exchange has it.

use std::fmt::Write as _;

use h2::RecvStream;
use http::{HeaderMap, Request, header};

use super::super::front::Front;
use crate::codec::http1::Limits;
use crate::codec::http1::write::push_cased;
use crate::logs::{self, Bytes, Level};
use crate::web::{BodyKind, Exchange};

/// Why a head is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is no request (RFC 9113 section 8.1.1): the stream ends without an answer.
    Malformed,
    /// It is answered with this status.
    Status(u16),
}

/// Room for the fields of a head, as SETTINGS_MAX_HEADER_LIST_SIZE counts them: what the limits allow, and no more than
/// a connection with all its streams open should take.
pub(super) fn list_size(limits: &Limits) -> u32 {
    let (line, field) = (limits.line, limits.field_size);
    let most = line.saturating_add(limits.fields.max(100).saturating_mul(field.saturating_add(32)));
    // A few fields of the largest size are always taken.
    let few = line.saturating_add(field.saturating_mul(4));
    u32::try_from(most.min(few.max(128 * 1024))).unwrap_or(u32::MAX)
}

/// How the body comes.
pub(super) fn body_kind(request: &Request<RecvStream>) -> BodyKind {
    if request.body().is_end_stream() {
        return BodyKind::None;
    }
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    length.map_or(BodyKind::Stream, BodyKind::Length)
}

/// Puts the head into the exchange.
pub(super) fn fill(ex: &mut Exchange, request: &Request<RecvStream>, front: &Front, id: u32) -> Result<(), Refusal> {
    let (method, uri) = (request.method(), request.uri());
    ex.method.extend_from_slice(method.as_str().as_bytes());
    ex.protocol.extend_from_slice(b"HTTP/2.0");
    (ex.proto_num, ex.header_only) = (2000, ex.method == b"HEAD");
    // There is no connection to keep, and none to close.
    ex.close = true;
    let authority = uri.authority().map(|authority| authority.as_str().as_bytes());
    match uri.path_and_query() {
        Some(target) => ex.unparsed_uri.extend_from_slice(target.as_str().as_bytes()),
        None => ex.unparsed_uri.extend_from_slice(authority.unwrap_or_default()),
    }
    ex.the_request.extend_from_slice(&ex.method);
    ex.the_request.push(b' ');
    let limits = &front.limits;
    if limits.line > 0 && ex.unparsed_uri.len() > limits.line {
        let text = "Request pseudo header exceeds LimitRequestFieldSize";
        ex.the_request.extend_from_slice(b"(null) HTTP/2.0");
        ex.unparsed_uri.clear();
        logs::error!(ex, Level::Info, "http2", "AH10178: stream {id}: {text}: :path");
        return Err(Refusal::Status(414));
    }
    ex.the_request.extend_from_slice(&ex.unparsed_uri);
    ex.the_request.extend_from_slice(b" HTTP/2.0");
    let named = request.headers().get(header::HOST).map(|host| host.as_bytes().to_vec());
    let Some(host) = authority.or(named.as_deref()) else { return Err(Refusal::Malformed) };
    let path = request.method() == http::Method::CONNECT || matches!(ex.unparsed_uri.first(), Some(b'/' | b'*'));
    if !path || (ex.unparsed_uri.starts_with(b"*") && ex.unparsed_uri != b"*") {
        return Err(Refusal::Malformed);
    }
    ex.headers_in.add(b"Host", host);
    fields(ex, request.headers(), limits, id)
}

fn fields(ex: &mut Exchange, fields: &HeaderMap, limits: &Limits, id: u32) -> Result<(), Refusal> {
    if limits.fields > 0 && fields.len() > limits.fields {
        let text = "Number of request headers exceeds LimitRequestFields";
        logs::error!(ex, Level::Info, "http2", "AH10181: stream {id}: {text}({})", limits.fields);
        return Err(Refusal::Status(431));
    }
    let mut cookies = Vec::new();
    let mut cased = Vec::new();
    for (name, value) in fields {
        let value = value.as_bytes();
        if *name == header::HOST {
            continue;
        }
        if *name == header::COOKIE {
            // Crumbs of one field (RFC 9113 section 8.2.3).
            if !cookies.is_empty() {
                cookies.extend_from_slice(b"; ");
            }
            cookies.extend_from_slice(value);
            fits(ex, "cookie", cookies.len(), limits, id)?;
            continue;
        }
        fits(ex, name.as_str(), value.len(), limits, id)?;
        cased.clear();
        push_cased(name.as_str().as_bytes(), &mut cased);
        ex.headers_in.add(&cased, value);
    }
    if !cookies.is_empty() {
        ex.headers_in.add(b"Cookie", &cookies);
    }
    Ok(())
}

fn fits(ex: &Exchange, name: &str, len: usize, limits: &Limits, id: u32) -> Result<(), Refusal> {
    if limits.field_size == 0 || len <= limits.field_size {
        return Ok(());
    }
    let mut text = String::from("Request header exceeds LimitRequestFieldSize");
    let _ = write!(text, "({}): ", limits.field_size);
    let name = name.as_bytes();
    logs::error!(ex, Level::Info, "http2", "AH10180: stream {id}: {text}{}", Bytes(name.get(..64).unwrap_or(name)));
    Err(Refusal::Status(431))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_for_fields_is_bounded() {
        assert_eq!(list_size(&Limits::default()), 128 * 1024);
        let large = Limits { field_size: 1 << 20, ..Limits::default() };
        assert_eq!(list_size(&large), 8190 + (4 << 20));
    }
}

//! The head of a stream's request as an exchange has it.

use http::{Request, header};

use super::super::front::Front;
use super::ends::Inbox;
use crate::codec::http1::Limits;
use crate::codec::http2_head::{self, HeadFault};
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
pub(super) fn body_kind(request: &Request<Inbox>) -> BodyKind {
    if request.body().is_end_stream() {
        return BodyKind::None;
    }
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    length.map_or(BodyKind::Stream, BodyKind::Length)
}

/// Puts the head into the exchange.
pub(super) fn fill(ex: &mut Exchange, request: &Request<Inbox>, front: &Front, id: u32) -> Result<(), Refusal> {
    let (method, uri, limits) = (request.method(), request.uri(), &front.limits);
    ex.method.extend_from_slice(method.as_str().as_bytes());
    ex.protocol.extend_from_slice(b"HTTP/2.0");
    (ex.proto_num, ex.header_only) = (2000, ex.method == b"HEAD");
    // There is no connection to keep, and none to close.
    ex.close = true;
    ex.the_request.extend_from_slice(&ex.method);
    ex.the_request.push(b' ');
    let host = http2_head::host(method, uri, request.headers(), limits);
    if host != Err(HeadFault::Target) {
        http2_head::push_line_target(uri, front.settings.proxy_requests, &mut ex.unparsed_uri);
        ex.the_request.extend_from_slice(&ex.unparsed_uri);
    } else {
        ex.the_request.extend_from_slice(b"(null)");
    }
    ex.the_request.extend_from_slice(b" HTTP/2.0");
    let filled = host.and_then(|host| {
        ex.headers_in.add(b"Host", host);
        http2_head::fields(request.headers(), limits, |name, value| ex.headers_in.add(name, value))
    });
    filled.map_err(|fault| refuse(ex, fault, limits, id))
}

/// Says why a head is too large.
fn refuse(ex: &Exchange, fault: HeadFault<'_>, limits: &Limits, id: u32) -> Refusal {
    let size = limits.field_size;
    let stream = format!("h2_stream({}-{}-{id},IDLE)", std::process::id(), ex.conn.id);
    match fault {
        HeadFault::Malformed => return Refusal::Malformed,
        HeadFault::Target => {
            let text = "Request pseudo header exceeds LimitRequestFieldSize";
            logs::error!(ex, Level::Info, "http2", "AH10178: {stream}: {text}: :path");
            return Refusal::Status(414);
        }
        HeadFault::Fields => {
            let text = "Number of request headers exceeds LimitRequestFields";
            logs::error!(ex, Level::Info, "http2", "AH10181: {stream}: {text}({})", limits.fields);
        }
        HeadFault::Field(name) => {
            let name = name.as_bytes();
            let name = Bytes(name.get(..64).unwrap_or(name));
            let text = "Request header exceeds LimitRequestFieldSize";
            logs::error!(ex, Level::Info, "http2", "AH10180: {stream}: {text}({size}): {name}");
        }
    }
    Refusal::Status(431)
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

//! The request as a FORWARD_REQUEST, and its body as packets.

use std::task::{Context, Poll, ready};

use super::MODULE;
use crate::codec::ajp::names::{STORED_METHOD, method_code};
use crate::codec::ajp::{Attribute, Beginning, BodyWriter, ForwardWriter, Overflow, Part};
use crate::logs::{self, Bytes, Level, OfServer};
use crate::pipe::{self, names};
use crate::upstream::Attempt;
use crate::web::{BodyFault, BodyKind, Exchange, Wire};

/// Appends the FORWARD_REQUEST: the client's fields as they came, then the attributes in httpd's order.
pub(super) fn forward(
    ex: &Exchange,
    attempt: &Attempt<'_>,
    max: usize,
    out: &mut Vec<u8>,
) -> Result<(), Overflow<Part>> {
    let path = attempt.target.split(|byte| *byte == b'?').next().unwrap_or_default();
    let name = ex.client_name();
    let mut packet = ForwardWriter::new(
        out,
        max,
        &Beginning {
            method: &ex.method,
            protocol: &ex.protocol,
            uri: path,
            remote_addr: &ex.client_ip,
            remote_host: name.as_deref(),
            server_name: names::server_name(ex),
            server_port: ex.conn.local.port(),
            is_ssl: ex.conn.secure,
        },
    );
    for (name, value) in ex.headers_in.iter() {
        packet.header(name, value);
    }
    if let Some(secret) = &attempt.worker.spec.secret {
        packet.attribute(Attribute::Secret(&secret.0));
    }
    if let Some(user) = &ex.user {
        packet.attribute(Attribute::RemoteUser(user));
    }
    if let Some(kind) = ex.auth_type {
        packet.attribute(Attribute::AuthType(kind.as_bytes()));
    }
    if let Some(query) = &ex.args {
        packet.attribute(Attribute::Query(query));
    }
    if attempt.balancer.is_some()
        && let Some(route) = ex.env.get(b"BALANCER_SESSION_ROUTE")
    {
        packet.attribute(Attribute::JvmRoute(route));
    }
    if ex.conn.tls.get().is_some() {
        let mut value = Vec::new();
        let look = |name: &[u8], value: &mut Vec<u8>| {
            value.clear();
            pipe::ssl_var(ex, name, value)
        };
        if look(b"SSL_CLIENT_CERT", &mut value) {
            packet.attribute(Attribute::SslCert(&value));
        }
        if look(b"SSL_CIPHER", &mut value) {
            packet.attribute(Attribute::SslCipher(&value));
        }
        if look(b"SSL_SESSION_ID", &mut value) {
            packet.attribute(Attribute::SslSession(&value));
        }
        if let Some(tls) = ex.conn.tls.get() {
            packet.attribute(Attribute::SslKeySize(tls.bits));
        }
        if look(b"SSL_PROTOCOL", &mut value) {
            packet.attribute(Attribute::Named(b"AJP_SSL_PROTOCOL", &value));
        }
    }
    if method_code(&ex.method) == STORED_METHOD {
        packet.attribute(Attribute::StoredMethod(&ex.method));
    }
    let mut digits = [0; 5];
    packet.attribute(Attribute::Named(b"AJP_REMOTE_PORT", decimal(ex.client_port, &mut digits)));
    packet.attribute(Attribute::Named(b"AJP_LOCAL_ADDR", &ex.conn.local_ip));
    for (name, value) in ex.env.iter() {
        if let Some(name) = name.strip_prefix(b"AJP_") {
            packet.attribute(Attribute::Named(name, value));
        }
    }
    packet.finish()
}

fn decimal(mut n: u16, digits: &mut [u8; 5]) -> &[u8] {
    let mut at = digits.len();
    for place in digits.iter_mut().rev() {
        *place = b'0' + (n % 10) as u8;
        at -= 1;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    digits.get(at..).unwrap_or_default()
}

/// Says why a request does not fit.
pub(super) fn log_overflow(ex: &Exchange, overflow: Overflow<Part>) {
    let call = match overflow.part {
        Part::HeaderCode => "ajp_msg_append_uint16",
        Part::End => "ajp_msg_append_uint8",
        _ => "ajp_msg_append_cvt_string",
    };
    let len = overflow.len;
    logs::error!(
        OfServer(&ex.live, ex.server),
        Level::Error,
        MODULE,
        "AH03229: {call}(): BufferOverflowException 4 {len}"
    );
    let method = Bytes(&ex.method);
    match overflow.part {
        Part::Beginning => appending(ex, "AH00968", "the message beginning"),
        Part::HeaderCode => appending(ex, "AH00969", "the header name"),
        Part::HeaderName => appending(ex, "AH00970", "the header name"),
        Part::HeaderValue => appending(ex, "AH00971", "the header value"),
        Part::Attribute(0x0c) => appending(ex, "AH03228", "secret"),
        Part::Attribute(0x03) => appending(ex, "AH00972", "the remote user"),
        Part::Attribute(0x04) => appending(ex, "AH00973", "the auth type"),
        Part::Attribute(0x05) => appending(ex, "AH00974", "the query string"),
        Part::Attribute(0x06) => appending(ex, "AH00975", "the jvm route"),
        Part::Attribute(0x0d) => {
            logs::error!(
                ex,
                Level::Error,
                MODULE,
                "AH02438: ajp_marshal_into_msgb: Error appending the method '{method}' as request attribute"
            );
        }
        Part::Attribute(_) => appending(ex, "AH00981", "attribute"),
        Part::End => appending(ex, "AH00982", "the message end"),
    }
    logs::error!(ex, Level::Error, MODULE, "AH00988: ajp_send_header: ajp_marshal_into_msgb failed");
}

fn appending(ex: &Exchange, number: &str, what: &str) {
    logs::error!(ex, Level::Error, MODULE, "{number}: ajp_marshal_into_msgb: Error appending {what}");
}

/// Appends one body packet with what the client has sent, waiting for at least one byte; the number of bytes, 0 at the
/// end (with the packet that says so). `started` keeps the packet between polls.
///
/// Of a body of known length the packet takes all that is there; of a chunked one a chunk, as httpd does.
pub(super) fn poll_body(
    cx: &mut Context<'_>,
    wire: &mut dyn Wire,
    max: usize,
    out: &mut Vec<u8>,
) -> Poll<Result<usize, BodyFault>> {
    let whole = matches!(wire.body_kind(), BodyKind::Length(_));
    if ready!(wire.poll_fill(cx))? == 0 {
        BodyWriter::new(out, max).finish(out);
        return Poll::Ready(Ok(0));
    }
    let mut packet = BodyWriter::new(out, max);
    let mut taken = 0;
    loop {
        let n = packet.push(out, wire.body());
        wire.consume(n);
        taken += n;
        if !whole || packet.is_full() || wire.body_done() {
            break;
        }
        match wire.poll_fill(cx) {
            Poll::Ready(Ok(1..)) => {}
            // Whatever it is, the next packet meets it again.
            Poll::Ready(_) | Poll::Pending => break,
        }
    }
    packet.finish(out);
    Poll::Ready(Ok(taken))
}

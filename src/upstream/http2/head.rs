//! Heads of requests and responses: HTTP/1's rules in HTTP/2's form.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header, response};

use super::super::http1::push_lines;
use super::super::spec::{Scheme, Via};
use super::super::{Attempt, http1};
use crate::codec::http1::write::push_cased;
use crate::web::{BodyKind, Exchange, Table};

/// The request's head; `None` if the protocol has no form for it.
pub(super) fn request(ex: &Exchange, attempt: &Attempt<'_>, body: BodyKind) -> Option<Request<()>> {
    let mut lines = Vec::new();
    let length = if let BodyKind::Length(length) = body { Some(length) } else { None };
    push_lines(ex, attempt, length, &mut lines);
    let mut fields = HeaderMap::new();
    let mut authority = None;
    for line in lines.split(|byte| *byte == b'\n').skip(1) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let (name, value) = (line.get(..colon)?, line.get(colon + 1..)?.trim_ascii());
        let name = HeaderName::from_bytes(name).ok()?;
        if name == header::HOST {
            authority = Some(value.to_vec());
        } else if name != header::CONNECTION {
            fields.append(name, HeaderValue::from_bytes(value).ok()?);
        }
    }
    fields.insert(header::TE, HeaderValue::from_static("trailers"));
    let scheme = if attempt.worker.spec.scheme == Scheme::H2 { "https" } else { "http" };
    let uri = Uri::builder().scheme(scheme).authority(authority?).path_and_query(attempt.target).build().ok()?;
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(&ex.method).ok()?;
    *request.uri_mut() = uri;
    *request.headers_mut() = fields;
    Some(request)
}

/// Puts the response's head into the exchange; the body's length, if it is told.
pub(super) fn take(ex: &mut Exchange, attempt: &Attempt<'_>, head: &response::Parts) -> Option<u64> {
    let status = head.status.as_u16();
    http1::note(ex, status);
    ex.status = status;
    ex.status_line.clear();
    ex.headers_out.clear();
    copy_fields(&head.headers, &mut ex.headers_out);
    ex.content_type.clear();
    if let Some(kind) = ex.headers_out.get(b"Content-Type") {
        ex.content_type.extend_from_slice(kind);
    }
    if matches!(attempt.policy.via, Via::On | Via::Full) {
        let mut via = Vec::new();
        http1::push_via(ex, attempt.policy.via, &mut via);
        ex.headers_out.add(b"Via", &via);
    }
    head.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Copies the fields that go on to the client, cookies last.
pub(super) fn copy_fields(fields: &HeaderMap, into: &mut Table) {
    let mut cased = Vec::new();
    for cookies in [false, true] {
        for (name, value) in fields.iter().filter(|(name, _)| (**name == header::SET_COOKIE) == cookies) {
            if *name == header::TRAILER || *name == header::PROXY_AUTHENTICATE {
                continue;
            }
            cased.clear();
            push_cased(name.as_str().as_bytes(), &mut cased);
            into.add(&cased, value.as_bytes());
        }
    }
}

//! Common to all backends: their response, on its way to the client.
//!
//! A backend puts what it was told into the exchange (`status`, `status_line` when there is a reason of its own,
//! `headers_out`, `content_type`) and calls [`head`]. If that says [`Verdict::Send`], the body follows with
//! `pipe::data`, `pipe::flush` whenever the backend pauses, and `pipe::finish`; then the backend returns
//! `Outcome::Done`. What goes wrong before the head is out is answered with [`proxy_error`] or a plain
//! `Outcome::Status`; afterwards with `pipe::abort`.

use super::Attempt;
use super::spec::Policy;
use crate::logs::{self, Errno, Level};
use crate::pipe::{self, Outcome};
use crate::web::{BodyFault, Exchange, Wire};

/// What becomes of the backend's response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The head is queued; the body follows.
    Send,
    /// ProxyErrorOverride: the backend returns this outcome, drops the body and closes its connection.
    Replace(Outcome),
}

/// Takes the head of a backend's response: maps the fields that name the backend, and queues it,
/// or replaces the response by one of our own. `length` is the length of the body, if the backend told it.
pub fn head(ex: &mut Exchange, wire: &mut dyn Wire, attempt: &Attempt<'_>, length: Option<u64>) -> Verdict {
    let verdict = map(ex, attempt);
    if verdict == Verdict::Send {
        pipe::head(ex, wire, length);
    }
    verdict
}

/// What [`head`] does before the head is queued, for a backend that may learn of a failure until the body begins.
pub fn map(ex: &mut Exchange, attempt: &Attempt<'_>) -> Verdict {
    let policy = attempt.policy;
    if !policy.reverse.is_empty() {
        let mut headers = std::mem::take(&mut ex.headers_out);
        policy.reverse.apply(ex, attempt.backends, &mut headers);
        ex.headers_out = headers;
    }
    replaced(ex, policy).map_or(Verdict::Send, Verdict::Replace)
}

/// `ProxyErrorOverride`: what is answered in place of the backend's response, if anything is.
pub(super) fn replaced(ex: &mut Exchange, policy: &Policy) -> Option<Outcome> {
    let codes = policy.error_override.as_ref()?;
    let replaced = |status| if codes.is_empty() { (400..600).contains(&status) } else { codes.contains(&status) };
    if replaced(ex.status) {
        let status = std::mem::replace(&mut ex.status, 200);
        let challenge = (status == 401).then(|| std::mem::take(&mut ex.headers_out));
        ex.headers_out.clear();
        // As httpd, only the first of several.
        if let Some(value) = challenge.as_ref().and_then(|fields| fields.get(b"WWW-Authenticate")) {
            ex.err_headers_out.set(b"WWW-Authenticate", value);
        }
        ex.content_type.clear();
        // The member is not at fault, whatever the status.
        ex.notes.set(b"proxy-error-override", b"1");
        return Some(Outcome::Status(status));
    }
    // An error document that a backend sends does not hide the error, where there is a body to be sent.
    let first = ex.response.first_error;
    if first != 0 && !ex.header_only && replaced(first) {
        ex.status = first;
        ex.status_line.clear();
    }
    None
}

/// httpd's "Proxy Error" page with this reason, which may hold HTML and is logged as AH00898.
pub fn proxy_error(ex: &mut Exchange, status: u16, reason: &str) -> Outcome {
    let outcome = proxy_page(ex, status, reason);
    let uri = logs::Bytes(&ex.uri);
    logs::error!(ex, Level::Error, "proxy", "AH00898: {reason} returned by {uri}");
    outcome
}

/// What [`proxy_error`] left behind, for another attempt.
pub(super) fn forget_error(ex: &mut Exchange) {
    ex.notes.unset(b"error-notes");
    ex.notes.unset(b"verbose-error-to");
    ex.status_line.clear();
}

/// The answer to a request whose backend's name has no address.
pub fn dns_failure(ex: &mut Exchange, host: &str) -> Outcome {
    let reason = format!("DNS lookup failure for: {host}");
    let outcome = proxy_page(ex, 500, &reason);
    let uri = logs::Bytes(&ex.uri);
    logs::error!(ex, Level::Error, "proxy", Errno::NO_NAME => "AH00898: {reason} returned by {uri}");
    outcome
}

fn proxy_page(ex: &mut Exchange, status: u16, reason: &str) -> Outcome {
    ex.notes.set(b"verbose-error-to", b"*");
    let mut text = Vec::with_capacity(reason.len() + 128);
    text.extend_from_slice(b"The proxy server could not handle the request<p>Reason: <strong>");
    crate::base::path::escape_html(reason.as_bytes(), &mut text);
    text.extend_from_slice(b"</strong></p>");
    ex.notes.set(b"error-notes", &text);
    ex.status_line.clear();
    crate::codec::http1::write::push_decimal(&mut ex.status_line, u64::from(status));
    ex.status_line.extend_from_slice(b" Proxy Error");
    Outcome::Status(status)
}

/// How reading a request's body failed, as the log shows it.
pub(super) fn errno_of(fault: BodyFault) -> Errno {
    match fault {
        // httpd shows its own codes here: a filter has answered, the end came early.
        BodyFault::Malformed | BodyFault::Trailer | BodyFault::TooLarge => Errno(-102),
        BodyFault::Timeout => Errno::TIMEUP,
        BodyFault::Gone => Errno::INCOMPLETE,
        BodyFault::Refused { errno, .. } => Errno(errno),
    }
}

/// The answer to a request whose body could not be read.
pub(super) fn answer_to(ex: &mut Exchange, fault: BodyFault) -> Outcome {
    match fault {
        BodyFault::Malformed | BodyFault::Trailer | BodyFault::TooLarge | BodyFault::Refused { .. } => {
            pipe::body_fault(ex, fault)
        }
        BodyFault::Timeout => Outcome::Status(408),
        // A client that only ended its sending direction still reads.
        BodyFault::Gone => Outcome::Status(400),
    }
}

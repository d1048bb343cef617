//! HTTP/1 heads and body framing, with httpd's verdicts (measured on 2.4.71).
//!
//! - [`head`]: request heads, over a growing buffer.
//! - [`fields`]: header blocks, shared by request heads and chunked trailers.
//! - [`response`]: heads from backends, as mod_proxy_http reads them.
//! - [`body`]: what frames a body, and the chunk decoder.
//! - [`write`]: pushes lines, fields and chunk frames without formatting machinery.

pub mod body;
pub mod fields;
pub mod head;
pub mod response;
pub mod write;

pub use body::{BodyError, Chunked, FramingError, Part, RequestBody, ResponseBody, Step, request_body, response_body};
pub use fields::{Field, Span};
pub use head::{RequestError, RequestHead, Rules, Severity, parse_request};
pub use response::{BadHeader, ResponseError, ResponseHead, parse_response};

/// What the listening server allows of a request head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `LimitRequestLine`, in bytes.
    pub line: usize,
    /// `LimitRequestFieldSize`, in bytes.
    pub field_size: usize,
    /// `LimitRequestFields`; 0 is no limit.
    pub fields: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { line: 8190, field_size: 8190, fields: 100 }
    }
}

/// How far a parser got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The head ends at this offset of the buffer.
    Complete(usize),
    /// More bytes are needed; call again with the same buffer, grown.
    Partial,
}

/// The protocol version of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Before the dot.
    pub major: u8,
    /// After the dot.
    pub minor: u8,
}

/// RFC 9110 `tchar`.
pub const fn is_token(c: u8) -> bool {
    matches!(c, b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*'
        | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
}

/// Printable or 8-bit: what a request target is made of.
pub(crate) const fn is_vchar(c: u8) -> bool {
    c > b' ' && c != 0x7f
}

/// What a field value may hold.
pub(crate) const fn is_content(c: u8) -> bool {
    c == b'\t' || (c >= b' ' && c != 0x7f)
}

/// C's `isspace`.
pub(crate) const fn is_space(c: u8) -> bool {
    matches!(c, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

/// A blank: space or tab.
pub(crate) const fn is_blank(c: u8) -> bool {
    matches!(c, b' ' | b'\t')
}

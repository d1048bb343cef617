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

pub use body::{
    BodyError, Chunked, FramingError, Part, RequestBody, ResponseBody, Step, last_is_chunked, request_body,
    response_body,
};
pub use fields::{Field, Span};
pub use head::{RequestError, RequestHead, Rules, Severity, parse_request};
pub use response::{BadHeader, ResponseError, ResponseHead, Skipped, parse_response};

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

const TOKEN: u8 = 1;
const VCHAR: u8 = 2;

/// What each byte may be part of: heads are checked byte by byte, and a table is what that costs least with.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
static CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let mut c = 0;
    while c < 256 {
        let byte = c as u8;
        let token = matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\''
            | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~');
        let vchar = byte > b' ' && byte != 0x7f;
        table[c] = if token { TOKEN } else { 0 } | if vchar { VCHAR } else { 0 };
        c += 1;
    }
    table
};

fn is_class(c: u8, class: u8) -> bool {
    CLASSES.get(usize::from(c)).is_some_and(|classes| classes & class != 0)
}

/// RFC 9110 `tchar`.
pub(crate) fn is_token(c: u8) -> bool {
    is_class(c, TOKEN)
}

/// Printable or 8-bit: what a request target is made of.
pub(crate) fn is_vchar(c: u8) -> bool {
    is_class(c, VCHAR)
}

/// What a field value may hold.
pub(crate) const fn is_content(c: u8) -> bool {
    (c == b'\t') | ((c >= b' ') & (c != 0x7f))
}

/// Whether a field value may hold all of these: looked at eight at a time.
pub(crate) fn all_content(text: &[u8]) -> bool {
    const LOW: u64 = 0x0101_0101_0101_0101;
    // The highest bit of each byte that may be a control character, tabs included.
    let control = |bytes: &[u8; 8]| {
        let word = u64::from_le_bytes(*bytes);
        (word.wrapping_sub(0x20 * LOW) | (word ^ (0x7f * LOW)).wrapping_sub(LOW)) & !word
    };
    let (words, _) = text.as_chunks::<8>();
    let plain = text
        .last_chunk()
        .is_some_and(|tail| words.iter().fold(control(tail), |found, word| found | control(word)) & (0x80 * LOW) == 0);
    plain || text.iter().all(|c| is_content(*c))
}

/// C's `isspace`.
pub(crate) const fn is_space(c: u8) -> bool {
    matches!(c, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

/// A blank: space or tab.
pub(crate) const fn is_blank(c: u8) -> bool {
    matches!(c, b' ' | b'\t')
}

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

/// Whether a name is a token, or empty: told without asking after each byte.
pub(crate) fn all_token(name: &[u8]) -> bool {
    name.iter().fold(TOKEN, |all, c| all & CLASSES.get(usize::from(*c)).unwrap_or(&0)) != 0
}

/// How many bytes there are in front of the first one that no token has: letters, digits and dashes, which nearly all
/// names are made of, are looked at eight at a time.
#[inline]
pub(crate) fn token_len(text: &[u8]) -> usize {
    let mut len = 0;
    for word in text.as_chunks::<8>().0 {
        let others = no_name(word);
        len += others.trailing_zeros() as usize / 8;
        if others != 0 {
            break;
        }
    }
    let rest = text.get(len..).unwrap_or_default();
    len + rest.iter().position(|c| !is_token(*c)).unwrap_or(rest.len())
}

/// The highest bit of each of eight bytes that is neither a letter nor a digit nor a dash.
#[inline]
fn no_name(bytes: &[u8; 8]) -> u64 {
    const LOW: u64 = 0x0101_0101_0101_0101;
    let word = u64::from_le_bytes(*bytes);
    let seven = word & (0x7f * LOW);
    // The highest bit of each byte that is no less than that one; no byte carries into the next.
    let from = |word: u64, least: u8| word + LOW * u64::from(0x80 - least);
    let lower = seven | (0x20 * LOW);
    let letter = from(lower, b'a') & !from(lower, b'z' + 1);
    let digit = from(seven, b'0') & !from(seven, b'9' + 1);
    let dash = !from(seven ^ (LOW * u64::from(b'-')), 1);
    (word | !(letter | digit | dash)) & (0x80 * LOW)
}

/// Printable or 8-bit: what a request target is made of.
pub(crate) fn is_vchar(c: u8) -> bool {
    is_class(c, VCHAR)
}

/// What a field value may hold.
pub(crate) const fn is_content(c: u8) -> bool {
    (c == b'\t') | ((c >= b' ') & (c != 0x7f))
}

/// The highest bit of each of eight bytes that is a control character, tabs included; of those above the first one, also
/// some that are none.
#[inline]
fn controls(bytes: &[u8; 8]) -> u64 {
    const LOW: u64 = 0x0101_0101_0101_0101;
    let word = u64::from_le_bytes(*bytes);
    (word.wrapping_sub(0x20 * LOW) | (word ^ (0x7f * LOW)).wrapping_sub(LOW)) & !word & (0x80 * LOW)
}

/// Whether a field value may hold all of these: looked at eight at a time.
pub(crate) fn all_content(text: &[u8]) -> bool {
    let (words, _) = text.as_chunks::<8>();
    let plain = text
        .last_chunk()
        .is_some_and(|tail| words.iter().fold(controls(tail), |found, word| found | controls(word)) == 0);
    plain || text.iter().all(|c| is_content(*c))
}

/// How many bytes there are in front of the first control character, tabs included: looked at eight at a time.
#[inline]
pub(crate) fn content_len(text: &[u8]) -> usize {
    let (words, rest) = text.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let found = controls(word);
        if found != 0 {
            return 8 * at + found.trailing_zeros() as usize / 8;
        }
    }
    let control = |c: &u8| *c < b' ' || *c == 0x7f;
    8 * words.len() + rest.iter().position(control).unwrap_or(rest.len())
}

/// C's `isspace`.
pub(crate) const fn is_space(c: u8) -> bool {
    matches!(c, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

/// A blank: space or tab.
pub(crate) const fn is_blank(c: u8) -> bool {
    matches!(c, b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_told_apart_eight_at_a_time_as_alone() {
        for byte in 0..=255 {
            for at in 0..24 {
                let mut text = [b'x'; 24];
                text[at] = byte;
                let token = text.iter().position(|c| !is_token(*c)).unwrap_or(text.len());
                assert_eq!(token_len(&text), token, "{byte} at {at}");
                let content = text.iter().position(|c| *c < b' ' || *c == 0x7f).unwrap_or(text.len());
                assert_eq!(content_len(&text), content, "{byte} at {at}");
                assert_eq!(all_token(&text), token == text.len(), "{byte} at {at}");
            }
        }
    }

    /// Reads a head as it comes, `first` so many bytes of it: the line is looked at the long way behind a part of the first one.
    fn parse(text: &[u8], limits: &Limits, rules: &Rules, first: usize) -> (Result<Status, RequestError>, RequestHead) {
        let mut head = RequestHead::default();
        let mut status = Ok(Status::Partial);
        for end in [first.min(text.len()), text.len()] {
            if status == Ok(Status::Partial) {
                status = parse_request(text.get(..end).unwrap_or_default(), limits, rules, &mut head);
            }
        }
        (status, head)
    }

    proptest::proptest! {
        #[test]
        fn plain_lines_are_read_as_any_other(
            parts in proptest::collection::vec(0..28usize, 0..10),
            (line, strict) in (4..40usize, proptest::bool::weighted(0.8)),
        ) {
            let words: [&[u8]; 28] = [
                b"GET ", b"GET / HTTP/1.1\r\n", b"POST /a?b HTTP/1.0\r\n", b"/", b"/a", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n\r\n", b"\r\n",
                b"\n", b" ", b"  ", b"\t", b"#x", b"CONNECT ", b"h:1", b"http://h/", b"*", b"OPTIONS ", b" HTTP/1.2\r\n", b" HTTP/2.0\r\n",
                b" http/1.1\r\n", b" HTTP/1.1", b"\x80", b"\0", b"G@T /", b"A: b\r\n", b"/ HTTP/1.1 \r\n", b"\x7f",
            ];
            let text: Vec<u8> = parts.iter().filter_map(|part| words.get(*part)).copied().collect::<Vec<_>>().concat();
            let limits = Limits { line, ..Limits::default() };
            let rules = Rules { strict, ..Rules::default() };
            let (status, whole) = parse(&text, &limits, &rules, text.len());
            let (slow, long) = parse(&text, &limits, &rules, 1);
            proptest::prop_assert_eq!(status, slow);
            if status != Ok(Status::Partial) {
                let shown = |head: &RequestHead| {
                    let mut line = Vec::new();
                    head.push_line(&text, &mut line);
                    let fields: Vec<_> = head.fields(&text).map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
                    (line, head.method, head.target, head.protocol, head.version, head.read(), fields)
                };
                proptest::prop_assert_eq!(shown(&whole), shown(&long));
            }
        }
    }
}

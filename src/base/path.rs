//! URL paths: decoding, normalising and escaping, as httpd does each of them.
//!
//! Everything appends to the caller's buffer.  Wildcards live in [`crate::base::fnmatch`].

/// What to do with an encoded slash (`AllowEncodedSlashes`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EncodedSlashes {
    /// `Off`: refuse the path.
    #[default]
    Refuse,
    /// `On`: decode like any other byte; the decoded path is normalised once more, so that
    /// `/a%2f../b` is `/b`.
    Decode,
    /// `NoDecode`: leave `%2f` as it is written, and decode the rest.
    Keep,
}

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Answered with 400: `%` without two hex digits.
    #[error("bad escape")]
    BadEscape,
    /// Answered with 404: `%00`, or a slash that [`EncodedSlashes::Refuse`] forbids.
    #[error("forbidden byte")]
    Forbidden,
    /// Answered with 400: `..` above the root, or a path that does not start with a slash.
    #[error("invalid URI path")]
    Invalid,
}

/// Decodes `%xx` in a path.  The output is complete even when an error is returned (httpd logs
/// it), with bad escapes copied as they are.  A bad escape outweighs a forbidden byte.
pub fn unescape_url(path: &[u8], slashes: EncodedSlashes, out: &mut Vec<u8>) -> Result<(), PathError> {
    let mut bad = false;
    let mut forbidden = false;
    let mut rest = path;
    while let Some(at) = memchr::memchr(b'%', rest) {
        let (plain, escape) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some(byte) = escaped_byte(escape) else {
            bad = true;
            out.push(b'%');
            rest = escape.get(1..).unwrap_or_default();
            continue;
        };
        let (escape, after) = escape.split_at(3);
        if byte == b'/' && slashes == EncodedSlashes::Keep {
            out.extend_from_slice(escape);
        } else {
            forbidden |= byte == 0 || (byte == b'/' && slashes == EncodedSlashes::Refuse);
            out.push(byte);
        }
        rest = after;
    }
    out.extend_from_slice(rest);
    match (bad, forbidden) {
        (true, _) => Err(PathError::BadEscape),
        (_, true) => Err(PathError::Forbidden),
        _ => Ok(()),
    }
}

/// How [`normalize_path`] treats a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Normalize {
    /// A run of slashes is one slash (`MergeSlashes On`).
    pub merge_slashes: bool,
    /// `%xx` of an unreserved byte (RFC 3986 section 2.3) is decoded first, so `%2e%2e` climbs;
    /// other escapes stay, and a bad one is an error.
    pub decode_unreserved: bool,
    /// `;...` at the end of a segment is dropped.
    pub drop_parameters: bool,
    /// Climbing above the root stays at the root, in place of an error.
    pub clamp_at_root: bool,
}

/// Removes dot segments.  The output is complete even when an error is returned, clamped at the
/// root and with bad escapes as they are: it is what logs and error pages show.  `*` and the empty path stay as they are; any other path that does not
/// start with a slash is an error.
pub fn normalize_path(path: &[u8], how: Normalize, out: &mut Vec<u8>) -> Result<(), PathError> {
    if path.is_empty() || path == b"*" {
        out.extend_from_slice(path);
        return Ok(());
    }
    if path.first() != Some(&b'/') {
        return Err(PathError::Invalid);
    }
    let root = out.len();
    let mut result = Ok(());
    let mut rest = path;
    // Each turn starts at a slash and takes it with the segment after it.
    while let [b'/', after @ ..] = rest {
        if !(how.merge_slashes && out.len() > root && out.last() == Some(&b'/')) {
            out.push(b'/');
        }
        let end = memchr::memchr(b'/', after).unwrap_or(after.len());
        let (segment, next) = after.split_at(end);
        let start = out.len();
        if !push_segment(segment, how, out) {
            result = result.and(Err(PathError::BadEscape));
        }
        match out.get(start..) {
            Some(b".") => {
                // The slash before the dot stands for the one after it.
                out.truncate(start);
                if !next.is_empty() {
                    out.pop();
                }
                rest = next;
            }
            Some(b"..") => {
                // Back to just after the slash before the previous segment.
                let parent = out.get(root..start.saturating_sub(1)).unwrap_or_default();
                match memchr::memrchr(b'/', parent) {
                    Some(slash) => out.truncate(root + slash + 1),
                    None => {
                        out.truncate(root + 1);
                        if !how.clamp_at_root {
                            result = result.and(Err(PathError::Invalid));
                        }
                    }
                }
                rest = next;
                if !next.is_empty() {
                    out.pop();
                }
            }
            _ => rest = next,
        }
    }
    result
}

/// False when an escape is bad.
fn push_segment(segment: &[u8], how: Normalize, out: &mut Vec<u8>) -> bool {
    let segment = match memchr::memchr(b';', segment) {
        Some(at) if how.drop_parameters => segment.split_at(at).0,
        _ => segment,
    };
    if !how.decode_unreserved {
        out.extend_from_slice(segment);
        return true;
    }
    let mut good = true;
    let mut rest = segment;
    while let Some(at) = memchr::memchr(b'%', rest) {
        let (plain, escape) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some(byte) = escaped_byte(escape) else {
            good = false;
            out.push(b'%');
            rest = escape.get(1..).unwrap_or_default();
            continue;
        };
        let (escape, after) = escape.split_at(3);
        if is_unreserved(byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(escape);
        }
        rest = after;
    }
    out.extend_from_slice(rest);
    good
}

/// RFC 3986 section 2.3.
pub fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// The value of one hex digit.
pub fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// The byte that the `%xx` at the start of `text` stands for.
pub fn escaped_byte(text: &[u8]) -> Option<u8> {
    match text {
        [b'%', high, low, ..] => Some((hex_value(*high)? << 4) | hex_value(*low)?),
        _ => None,
    }
}

/// Escapes a path for a `Location` header and the like: lower-case hex.
pub fn escape_path(path: &[u8], out: &mut Vec<u8>) {
    escape(path, &OS_PATH, LOWER, out);
}

/// As [`escape_path`], with `./` in front of a first segment that a reader would take for a
/// scheme (`a:b` becomes `./a:b`).
pub fn escape_relative_path(path: &[u8], out: &mut Vec<u8>) {
    let segment = memchr::memchr2(b'/', b':', path);
    if segment.and_then(|at| path.get(at)) == Some(&b':') {
        out.extend_from_slice(b"./");
    }
    escape_path(path, out);
}

/// Escapes one path segment: a slash and a semicolon too.
pub fn escape_path_segment(segment: &[u8], out: &mut Vec<u8>) {
    escape(segment, &SEGMENT, LOWER, out);
}

/// Escapes as an HTML form would, blanks as `+`; lower-case hex.
pub fn escape_urlencoded(text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        match byte {
            b' ' => out.push(b'+'),
            _ if is_in(&FORM, *byte) => out.push(*byte),
            _ => push_escape(*byte, LOWER, out),
        }
    }
}

/// Escapes a decoded path for a backend, upper-case hex.  With `keep_encoded_slash`
/// (`AllowEncodedSlashes NoDecode`) a `%2f` in it is left alone.
pub fn encode_proxy_path(path: &[u8], keep_encoded_slash: bool, out: &mut Vec<u8>) {
    let mut rest = path;
    while let [byte, after @ ..] = rest {
        if is_in(&OS_PATH, *byte) {
            out.push(*byte);
        } else if keep_encoded_slash && escaped_byte(rest) == Some(b'/') {
            let (escape, after) = rest.split_at(3);
            out.extend_from_slice(escape);
            rest = after;
            continue;
        } else {
            push_escape(*byte, UPPER, out);
        }
        rest = after;
    }
}

/// Escapes `<`, `>`, `&` and `"` for HTML.
pub fn escape_html(text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        match byte {
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'"' => out.extend_from_slice(b"&quot;"),
            _ => out.push(*byte),
        }
    }
}

/// Escapes an access log item: backslashes, quotes, controls and everything beyond ASCII.
pub fn escape_logitem(text: &[u8], out: &mut Vec<u8>) {
    escape_log(text, true, out);
}

/// Escapes text for the error log: as [`escape_logitem`], but quotes stay.
pub fn escape_errorlog(text: &[u8], out: &mut Vec<u8>) {
    escape_log(text, false, out);
}

fn escape_log(text: &[u8], quotes: bool, out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|b| !is_in(&LOG, *b)) {
        let (plain, after) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((byte, after)) = after.split_first() else { return };
        let letter = match byte {
            0x08 => b'b',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x0b => b'v',
            b'\\' => b'\\',
            b'"' if quotes => b'"',
            b'"' => {
                out.push(b'"');
                rest = after;
                continue;
            }
            _ => b'x',
        };
        out.extend_from_slice(&[b'\\', letter]);
        if letter == b'x' {
            push_hex(*byte, LOWER, out);
        }
        rest = after;
    }
    out.extend_from_slice(rest);
}

/// Appends two hex digits.
pub fn push_hex_lower(byte: u8, out: &mut Vec<u8>) {
    push_hex(byte, LOWER, out);
}

fn escape(text: &[u8], plain: &Set, digits: &[u8; 16], out: &mut Vec<u8>) {
    for byte in text {
        if is_in(plain, *byte) {
            out.push(*byte);
        } else {
            push_escape(*byte, digits, out);
        }
    }
}

fn push_escape(byte: u8, digits: &[u8; 16], out: &mut Vec<u8>) {
    out.push(b'%');
    push_hex(byte, digits, out);
}

fn push_hex(byte: u8, digits: &[u8; 16], out: &mut Vec<u8>) {
    for nibble in [byte >> 4, byte & 15] {
        out.extend(digits.get(usize::from(nibble)));
    }
}

/// Bytes that an escaper leaves alone.
type Set = [bool; 256];

fn is_in(set: &Set, byte: u8) -> bool {
    set.get(usize::from(byte)).copied().unwrap_or(false)
}

const fn alphanumeric_and(others: &[u8]) -> Set {
    let mut set = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        set[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut i = 0;
    while i < others.len() {
        set[others[i] as usize] = true;
        i += 1;
    }
    set
}

const fn printable_except_quote_and_backslash() -> Set {
    let mut set = [false; 256];
    let mut byte = 0x20;
    while byte < 0x7f {
        set[byte] = byte as u8 != b'"' && byte as u8 != b'\\';
        byte += 1;
    }
    set
}

const LOWER: &[u8; 16] = b"0123456789abcdef";
const UPPER: &[u8; 16] = b"0123456789ABCDEF";

static OS_PATH: Set = alphanumeric_and(b"$-_.+!*'(),:;@&=/~");
static SEGMENT: Set = alphanumeric_and(b"$-_.+!*'(),:@&=~");
static FORM: Set = alphanumeric_and(b".-*_");
static LOG: Set = printable_except_quote_and_backslash();

#[cfg(test)]
mod tests {
    use super::*;

    fn text(print: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        print(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    fn normalized(path: &str, how: Normalize) -> Option<String> {
        let mut out = b"keep".to_vec();
        normalize_path(path.as_bytes(), how, &mut out).ok()?;
        Some(String::from_utf8(out).unwrap().strip_prefix("keep").unwrap().to_string())
    }

    #[test]
    fn decodes_with_each_rule_for_slashes() {
        use EncodedSlashes::{Decode, Keep, Refuse};
        for (path, slashes, result, want) in [
            ("/a%20b", Refuse, Ok(()), "/a b"),
            ("/a%2fb", Refuse, Err(PathError::Forbidden), "/a/b"),
            ("/a%2Fb", Decode, Ok(()), "/a/b"),
            ("/a%2Fb%252f", Keep, Ok(()), "/a%2Fb%2f"),
            ("/a%00", Decode, Err(PathError::Forbidden), "/a\0"),
            ("/a%2", Refuse, Err(PathError::BadEscape), "/a%2"),
            ("/%zz%2f", Refuse, Err(PathError::BadEscape), "/%zz/"),
            ("/%%41", Refuse, Err(PathError::BadEscape), "/%A"),
        ] {
            let mut out = Vec::new();
            assert_eq!(unescape_url(path.as_bytes(), slashes, &mut out), result, "{path}");
            assert_eq!(out, want.as_bytes(), "{path}");
        }
    }

    #[test]
    fn removes_dot_segments() {
        let how = Normalize { merge_slashes: true, decode_unreserved: true, ..Normalize::default() };
        for (path, want) in [
            ("/", Some("/")),
            ("*", Some("*")),
            ("", Some("")),
            ("/.", Some("/")),
            ("/..", None),
            ("/../b", None),
            ("/a/..", Some("/")),
            ("/a/../b", Some("/b")),
            ("/a/b/..", Some("/a/")),
            ("/a/b/../", Some("/a/")),
            ("/a//b/./c/.", Some("/a/b/c/")),
            ("/a/./", Some("/a/")),
            ("/a/b/../../..", None),
            ("/a/%2e%2E/b", Some("/b")),
            ("/a/%2e%2e/%2e%2e/b", None),
            ("/a/...//b/.x/..x", Some("/a/.../b/.x/..x")),
            ("/a%41%7e%2f%25", Some("/aA~%2f%25")),
            ("/a%4", None),
            ("/a//../b", Some("/b")),
            ("//", Some("/")),
            ("a/b", None),
        ] {
            assert_eq!(normalized(path, how).as_deref(), want, "{path}");
        }
        for (path, seen) in [("/../b", "/b"), ("/a/%2e%2e/%2e%2e/b", "/b"), ("/..", "/"), ("/a%%41b", "/a%Ab")] {
            let mut out = Vec::new();
            assert!(normalize_path(path.as_bytes(), how, &mut out).is_err());
            assert_eq!(out, seen.as_bytes(), "{path}");
        }
        let keep = Normalize::default();
        assert_eq!(normalized("/a//b", keep).as_deref(), Some("/a//b"));
        assert_eq!(normalized("//a", keep).as_deref(), Some("//a"));
        assert_eq!(normalized("/a//../b", keep).as_deref(), Some("/a/b"));
        let servlet = Normalize { drop_parameters: true, ..how };
        assert_eq!(normalized("/app;x=/..;/app/y", servlet).as_deref(), Some("/app/y"));
        let clamp = Normalize { clamp_at_root: true, ..how };
        assert_eq!(normalized("/../../b", clamp).as_deref(), Some("/b"));
        assert_eq!(normalized("/..", clamp).as_deref(), Some("/"));
    }

    #[test]
    fn escapes_for_every_reader() {
        assert_eq!(text(|o| escape_path(b"a b/c?\xe9", o)), "a%20b/c%3f%e9");
        assert_eq!(text(|o| escape_relative_path(b"a:b/c", o)), "./a:b/c");
        assert_eq!(text(|o| escape_relative_path(b"a/b:c", o)), "a/b:c");
        assert_eq!(text(|o| escape_path_segment(b"a/b;c", o)), "a%2fb%3bc");
        assert_eq!(text(|o| escape_urlencoded(b"a b&~", o)), "a+b%26%7e");
        assert_eq!(text(|o| encode_proxy_path(b"/a b\xe9?%2f;x", false, o)), "/a%20b%E9%3F%252f;x");
        assert_eq!(text(|o| encode_proxy_path(b"/%2F%25", true, o)), "/%2F%2525");
        assert_eq!(text(|o| escape_html(b"<a href=\"x\">&'", o)), "&lt;a href=&quot;x&quot;&gt;&amp;'");
        assert_eq!(
            text(|o| escape_logitem(b"a\"\\\n\r\t\x08\x0b\x0c\x7f\xe9 ", o)),
            "a\\\"\\\\\\n\\r\\t\\b\\v\\x0c\\x7f\\xe9 "
        );
        assert_eq!(text(|o| escape_errorlog(b"\"\\\x01", o)), "\"\\\\\\x01");
    }
}

//! `ProxyHTMLMeta`: `meta` elements that stand for fields of the response.

use std::ops::Range;

use crate::codec::html::metas;
use crate::web::Exchange;

/// Makes fields of what `meta` elements say; where the one is that tells of the content type, if there is one.
pub(super) fn heed(ex: &mut Exchange, text: &[u8]) -> Option<Range<usize>> {
    let mut of_type = None;
    let mut from = 0;
    for range in metas(text) {
        if range.start < from {
            continue;
        }
        let tag = text.get(range.clone()).unwrap_or_default();
        let lower = tag.to_ascii_lowercase();
        let Some(at) = memchr::memmem::rfind(&lower, b"http-equiv") else { continue };
        from = range.end;
        let Some(name) = field(text.get(range.start + at + 10..).unwrap_or_default()) else { continue };
        if !name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"Content-")) {
            if let Some(value) = content(tag) {
                ex.headers_out.set(name, value);
            }
        } else if name.get(..12).is_some_and(|start| start.eq_ignore_ascii_case(b"Content-Type")) {
            of_type = Some(range);
        }
    }
    of_type
}

/// The name behind `http-equiv`, which it begins with its first letter.
fn field(rest: &[u8]) -> Option<&[u8]> {
    let rest = rest.get(1..)?;
    let start = rest.iter().position(u8::is_ascii_alphabetic)?;
    let name = rest.get(start..)?;
    let length = name.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-').count();
    name.get(..length)
}

/// The value of `content`.
fn content(tag: &[u8]) -> Option<&[u8]> {
    let at = memchr::memmem::find(tag, b"content")?;
    let rest = tag.get(at + 7..)?.trim_ascii_start();
    let rest = rest.strip_prefix(b"=")?.trim_ascii_start();
    match rest {
        [quote @ (b'\'' | b'"'), value @ ..] => {
            let end = memchr::memchr(*quote, value).unwrap_or(value.len());
            value.get(..end)
        }
        value => {
            let end = value.iter().position(|byte| byte.is_ascii_whitespace() || *byte == b'>');
            value.get(..end.unwrap_or(value.len()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_found_in_any_quotes() {
        assert_eq!(field(b"=\"Refresh\" content=x>"), Some(&b"Refresh"[..]));
        assert_eq!(field(b" = X-A_b>"), Some(&b"X-A"[..]));
        assert_eq!(content(b"<meta content = 'a b'>"), Some(&b"a b"[..]));
        assert_eq!(content(b"<meta content=a b>"), Some(&b"a"[..]));
        assert_eq!(content(b"<meta Content=a>"), None);
    }
}

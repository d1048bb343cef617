//! Texts of elements: variables put in, entities and codings taken off and put on.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::base::path::{EncodedSlashes, escape_html, escape_path, escape_urlencoded, unescape_url};
use crate::web::Table;

/// Puts variables (`$NAME`, `${NAME}`) into a text; unknown ones are nothing, `\$` is a dollar.
pub(super) fn expand(text: &[u8], vars: &Table) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr2(b'\\', b'$', rest) {
        out.extend_from_slice(rest.get(..at).unwrap_or_default());
        let after = rest.get(at + 1..).unwrap_or_default();
        if rest.get(at) == Some(&b'\\') {
            if after.first() == Some(&b'$') {
                out.push(b'$');
                rest = after.get(1..).unwrap_or_default();
            } else {
                out.push(b'\\');
                rest = after;
            }
            continue;
        }
        let braced = after.first() == Some(&b'{');
        let name = if braced { after.get(1..).unwrap_or_default() } else { after };
        let length = name.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        let closed = !braced || name.get(length) == Some(&b'}');
        if length == 0 || !closed {
            out.push(b'$');
            rest = after;
            continue;
        }
        out.extend_from_slice(vars.get(name.get(..length).unwrap_or_default()).unwrap_or_default());
        rest = name.get(length + usize::from(braced)..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out
}

/// Takes a list of codings on or off; `None` for one that does not exist.
pub(super) fn code(value: &[u8], codings: &[u8], decode: bool) -> Option<Vec<u8>> {
    let mut value = value.to_vec();
    for coding in codings.split(|byte| matches!(byte, b',' | b' ' | b'\t')).filter(|coding| !coding.is_empty()) {
        let mut out = Vec::new();
        match (coding.to_ascii_lowercase().as_slice(), decode) {
            (b"none", _) => continue,
            (b"url", false) => escape_path(&value, &mut out),
            (b"urlencoded", false) => escape_urlencoded(&value, &mut out),
            (b"entity", false) => escape_html(&value, &mut out),
            (b"base64", false) => out = STANDARD.encode(&value).into_bytes(),
            (b"url", true) => out = unescaped(&value),
            (b"urlencoded", true) => {
                let blanks: Vec<u8> = value.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
                out = unescaped(&blanks);
            }
            (b"entity", true) => out = entities(&value),
            (b"base64", true) => out = STANDARD.decode(value.trim_ascii()).unwrap_or_default(),
            _ => return None,
        }
        value = out;
    }
    Some(value)
}

fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match unescape_url(text, EncodedSlashes::Decode, &mut out) {
        Ok(()) => out,
        Err(_) => text.to_vec(),
    }
}

/// Takes the entities of HTML 2.0's Latin-1 that matter in values off.
pub(super) fn entities(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'&', rest) {
        out.extend_from_slice(rest.get(..at).unwrap_or_default());
        let after = rest.get(at + 1..).unwrap_or_default();
        let end = after.iter().take(12).position(|byte| *byte == b';');
        let entity = end.and_then(|end| after.get(..end)).and_then(entity);
        match (entity, end) {
            (Some(byte), Some(end)) => {
                out.push(byte);
                rest = after.get(end + 1..).unwrap_or_default();
            }
            _ => {
                out.push(b'&');
                rest = after;
            }
        }
    }
    out.extend_from_slice(rest);
    out
}

fn entity(name: &[u8]) -> Option<u8> {
    if let Some(digits) = name.strip_prefix(b"#") {
        return std::str::from_utf8(digits).ok()?.parse().ok();
    }
    Some(match name {
        b"lt" => b'<',
        b"gt" => b'>',
        b"amp" => b'&',
        b"quot" => b'"',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_put_in() {
        let mut vars = Table::default();
        vars.set(b"A", b"1");
        for (text, want) in
            [("$A-${A}b$B.", "1-1b."), ("\\$A \\A $ ${A $-", "$A \\A $ ${A $-"), ("$Ab", ""), ("${A}}", "1}")]
        {
            assert_eq!(expand(text.as_bytes(), &vars), want.as_bytes(), "{text}");
        }
    }

    #[test]
    fn codings_are_taken_on_and_off_in_order() {
        let coded = |value: &str, codings: &str, decode| {
            code(value.as_bytes(), codings.as_bytes(), decode).map(|value| String::from_utf8(value).unwrap())
        };
        assert_eq!(coded("a&b", "entity", false).as_deref(), Some("a&amp;b"));
        assert_eq!(coded("a&b", "entity,base64", false).as_deref(), Some("YSZhbXA7Yg=="));
        assert_eq!(coded("YSZhbXA7Yg==", "base64,entity", true).as_deref(), Some("a&b"));
        assert_eq!(coded("a+b%20c", "urlencoded", true).as_deref(), Some("a b c"));
        assert_eq!(coded("x", "rot13", false), None);
    }
}

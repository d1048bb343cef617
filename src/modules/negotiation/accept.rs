//! What the request's Accept fields say, and the same syntax where it describes a variant.

use crate::web::{Exchange, Table};

/// Types of files that are filled in on the way count as HTML.
pub(super) const PARSED_HTML: &[u8] = b"text/x-server-parsed-html";
const PARSED_HTML3: &[u8] = b"text/x-server-parsed-html3";

/// Whether a media type counts as HTML.
pub(super) fn is_html(media: &[u8]) -> bool {
    media == b"text/html" || media == PARSED_HTML || media == PARSED_HTML3
}

/// One item of an Accept field, or a media type with its parameters.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Item {
    pub(super) name: Vec<u8>,
    /// `q` or `qs`.
    pub(super) quality: f32,
    pub(super) level: f32,
    pub(super) charset: Vec<u8>,
}

/// The Accept fields; `None` where the request has none.
#[derive(Default)]
pub(super) struct Accepts {
    pub(super) types: Option<Vec<Item>>,
    pub(super) encodings: Option<Vec<Item>>,
    pub(super) languages: Option<Vec<Item>>,
    pub(super) charsets: Option<Vec<Item>>,
    /// An item of `Accept` has a quality below 1: its author knows of qualities.
    pub(super) weighed: bool,
}

impl Accepts {
    pub(super) fn of(ex: &Exchange) -> Self {
        let types = items(&ex.headers_in, b"Accept");
        Self {
            weighed: types.iter().flatten().any(|item| item.quality < 1.0),
            types,
            encodings: items(&ex.headers_in, b"Accept-Encoding"),
            languages: items(&ex.headers_in, b"Accept-Language"),
            charsets: items(&ex.headers_in, b"Accept-Charset"),
        }
    }
}

/// The items of a field.
pub(super) fn items(fields: &Table, name: &[u8]) -> Option<Vec<Item>> {
    let mut rest = fields.get(name)?;
    let mut items = Vec::new();
    while !rest.is_empty() {
        let (item, after) = item(rest);
        // Nothing was taken: a list cannot go on with what no item starts with.
        if after.len() == rest.len() {
            break;
        }
        items.push(item);
        rest = after;
    }
    Some(items)
}

/// The first item of a list, and what is behind its comma.
pub(super) fn item(list: &[u8]) -> (Item, &[u8]) {
    let (name, mut rest) = token(list, false);
    let mut item = Item { name: name.to_ascii_lowercase(), quality: 1.0, ..Item::default() };
    if item.name == b"text/html" || item.name == PARSED_HTML {
        item.level = 2.0;
    } else if item.name == PARSED_HTML3 {
        item.level = 3.0;
    }
    while let Some(after) = rest.strip_prefix(b";") {
        let (parameter, after) = token(after, true);
        rest = after;
        set_parameter(&mut item, parameter);
    }
    (item, rest.strip_prefix(b",").unwrap_or(rest))
}

fn set_parameter(item: &mut Item, parameter: &[u8]) {
    let end = parameter.iter().position(|byte| *byte == b'=' || byte.is_ascii_whitespace());
    let Some(end) = end else { return };
    let (name, rest) = parameter.split_at(end);
    let skipped = rest.iter().take_while(|byte| **byte == b'=' || byte.is_ascii_whitespace()).count();
    let rest = rest.get(skipped..).unwrap_or_default();
    let value = match rest.strip_prefix(b"\"") {
        Some(quoted) => quoted.split(|byte| matches!(byte, b'"' | b'\n' | b'\r')).next(),
        None => rest.split(u8::is_ascii_whitespace).next(),
    };
    let value = value.unwrap_or_default().to_ascii_lowercase();
    match name.to_ascii_lowercase().as_slice() {
        b"q" | b"qs" => item.quality = quality(&value),
        b"level" => item.level = f32::from(u16::try_from(leading(&value)).unwrap_or(0)),
        b"charset" => item.charset = value,
        _ => {}
    }
}

fn leading(digits: &[u8]) -> u32 {
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |sum, digit| u32::saturating_add(u32::saturating_mul(sum, 10), u32::from(digit - b'0')))
}

/// A quality in thousandths; what is none is 1.
fn quality(text: &[u8]) -> f32 {
    let text = text.trim_ascii_start();
    let rest = match text.split_first() {
        None => return 1.0,
        Some((b'.', _)) => text,
        Some((b'0', rest)) => rest,
        Some(_) => return 1.0,
    };
    let Some(digits) = rest.strip_prefix(b".") else { return 0.0 };
    let mut thousandths = 0;
    let mut weight = 100;
    for digit in digits.iter().take(3).take_while(|digit| digit.is_ascii_digit()) {
        thousandths += u16::from(digit - b'0') * weight;
        weight /= 10;
    }
    f32::from(thousandths) / 1000.0
}

/// The first token of a list without the blanks around it, and the rest from its separator on. With `blanks`, those
/// inside belong to it.
pub(super) fn token(list: &[u8], blanks: bool) -> (&[u8], &[u8]) {
    let list = list.trim_ascii_start();
    let mut at = 0;
    while let Some(byte) = list.get(at) {
        match byte {
            b';' | b',' => break,
            b'"' => {
                let closing = list.get(at + 1..).and_then(|rest| memchr::memchr(b'"', rest));
                at += 1 + closing.map_or(list.len() - at - 1, |length| length + 1);
                continue;
            }
            byte if !blanks && byte.is_ascii_whitespace() => break,
            _ => at += 1,
        }
    }
    let (token, rest) = list.split_at(at);
    (token, rest.trim_ascii_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_have_qualities_levels_and_charsets() {
        let (first, rest) = item(b" Text/HTML; Level=3 ;q = 0.25;charset=\"UTF-8\" , x");
        assert_eq!((first.name.as_slice(), first.quality, first.level), (&b"text/html"[..], 0.25, 3.0));
        assert_eq!((first.charset.as_slice(), rest), (&b"utf-8"[..], &b" x"[..]));
        let (plain, _) = item(b"text/html");
        assert_eq!((plain.level, plain.quality), (2.0, 1.0));
    }

    #[test]
    fn qualities_are_thousandths_and_tolerant() {
        let all: Vec<f32> =
            ["0.5", ".25", "1", "0", "0.0019", "2", "", "x", "0.x"].map(|q| quality(q.as_bytes())).into();
        assert_eq!(all, [0.5, 0.25, 1.0, 0.0, 0.001, 1.0, 1.0, 1.0, 0.0]);
    }

    #[test]
    fn lists_end_whatever_they_hold() {
        for list in ["", ",", ",,a", "a;;q=1,b", "\"a,b", "a b, c", "a\tb"] {
            let mut fields = Table::default();
            fields.set(b"Accept", list.as_bytes());
            assert!(items(&fields, b"Accept").is_some_and(|items| items.len() <= list.len()), "{list}");
        }
    }
}

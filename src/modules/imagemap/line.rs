//! One line of a map: a word, a value, a text in quotes, points.

use super::shape::Point;
use crate::base::path::hex_value;

/// The most points of one line.
const POINTS_MAX: usize = 100;

/// A line's parts.
pub(super) struct Entry<'a> {
    /// What it is: a shape, `base`, `default`.
    pub(super) word: &'a [u8],
    /// The URL or action.
    pub(super) value: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Entry<'a> {
    /// Takes word and value off a line without blanks at its ends; `None` if there is but a word.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        let (word, rest) = line.split_at(line.iter().position(|byte| is_space(*byte))?);
        let rest = skip(rest, is_space);
        let (value, rest) = rest.split_at(rest.iter().position(|byte| is_space(*byte)).unwrap_or(rest.len()));
        Some(Self { word, value, rest: rest.get(1..).unwrap_or_default() })
    }

    /// Takes a text in double quotes off, if one is next.
    pub(super) fn quoted(&mut self) -> Option<&'a [u8]> {
        let text = skip(self.rest, is_space).strip_prefix(b"\"")?;
        let end = memchr::memchr(b'"', text).unwrap_or(text.len());
        let (text, rest) = text.split_at(end);
        self.rest = rest.get(1..).unwrap_or_default();
        Some(text)
    }

    /// Takes points off. As in httpd what is stepped over for each is digits, whatever number was read there.
    pub(super) fn points(&mut self) -> Vec<Point> {
        let mut points = Vec::new();
        while points.len() < POINTS_MAX {
            let Some(point) = point(self.rest) else { break };
            points.push(point);
            let x = skip(skip(self.rest, is_space), |byte| byte.is_ascii_digit());
            let y = skip(x.get(1..).unwrap_or_default(), is_space);
            self.rest = skip(y, |byte| byte.is_ascii_digit());
        }
        points
    }
}

/// Two numbers with commas and blanks between them.
fn point(text: &[u8]) -> Option<Point> {
    let (x, rest) = number(skip(text, is_space))?;
    let apart = skip(rest, |byte| byte == b',' || byte == b' ');
    if apart.len() == rest.len() {
        return None;
    }
    let (y, _) = number(skip(apart, is_space))?;
    Some(Point { x, y })
}

/// The number at the start of a text, and what is behind it: sign, digits, fraction, exponent; or digits of 16 kinds.
pub(super) fn number(text: &[u8]) -> Option<(f64, &[u8])> {
    if let [b'0', b'x' | b'X', digits @ ..] = text {
        let rest = skip(digits, |byte| byte.is_ascii_hexdigit());
        if rest.len() < digits.len() {
            let (digits, rest) = digits.split_at(digits.len() - rest.len());
            let digit = |byte: &u8| f64::from(hex_value(*byte).unwrap_or_default());
            return Some((digits.iter().fold(0.0, |number, byte| number * 16.0 + digit(byte)), rest));
        }
    }
    let digits = |from: usize| skip(text.get(from..).unwrap_or_default(), |byte| byte.is_ascii_digit());
    let behind = |rest: &[u8]| text.len() - rest.len();
    let start = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    let mut end = behind(digits(start));
    let mut any = end > start;
    if text.get(end) == Some(&b'.') {
        let fraction = behind(digits(end + 1));
        any |= fraction > end + 1;
        end = fraction;
    }
    if !any {
        return None;
    }
    if matches!(text.get(end), Some(b'e' | b'E')) {
        let sign = end + 1 + usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
        let exponent = behind(digits(sign));
        if exponent > sign {
            end = exponent;
        }
    }
    let (number, rest) = text.split_at(end);
    Some((std::str::from_utf8(number).ok()?.parse().ok()?, rest))
}

/// Blanks as C's `isspace` knows them.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

fn skip(text: &[u8], what: impl Fn(u8) -> bool) -> &[u8] {
    let end = text.iter().position(|byte| !what(*byte)).unwrap_or(text.len());
    text.get(end..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(line: &[u8]) -> Vec<(f64, f64)> {
        Entry::parse(line).unwrap().points().iter().map(|point| (point.x, point.y)).collect()
    }

    #[test]
    fn lines_come_apart() {
        let mut entry = Entry::parse(b"rect  /a \"two words\" 1,2 3, 4").unwrap();
        assert_eq!((entry.word, entry.value), (&b"rect"[..], &b"/a"[..]));
        assert_eq!(entry.quoted(), Some(&b"two words"[..]));
        assert_eq!(entry.points().len(), 2);
        assert!(Entry::parse(b"alone").is_none());
        assert_eq!(Entry::parse(b"rect /a \"open").unwrap().quoted(), Some(&b"open"[..]));
    }

    #[test]
    fn points_are_read_as_far_as_digits_go() {
        assert_eq!(points(b"rect /a 1,2 3,4"), [(1.0, 2.0), (3.0, 4.0)]);
        assert_eq!(points(b"rect /a 1.5,2 3,4"), [(1.5, 2.0)]);
        assert_eq!(points(b"rect /a 1 2 x"), [(1.0, 2.0)]);
        assert_eq!(points(b"rect /a 12"), []);
        assert_eq!(points(format!("poly /a {}", "1,1 ".repeat(300)).as_bytes()).len(), POINTS_MAX);
    }

    #[test]
    fn numbers_end_where_they_end() {
        assert_eq!(number(b"1e2x"), Some((100.0, &b"x"[..])));
        assert_eq!(number(b"-.5e,"), Some((-0.5, &b"e,"[..])));
        assert_eq!([number(b"0x1F,"), number(b"0xy")], [Some((31.0, &b","[..])), Some((0.0, &b"xy"[..]))]);
        assert_eq!([number(b"."), number(b"-"), number(b"e1"), number(b"")], [None; 4]);
    }
}

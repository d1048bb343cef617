//! A file of rules: what stands where in a file, and what the file then is.

use crate::base::path::hex_value;
use crate::config::latin1;

/// Bytes of a text to compare with, and of what is compared with it.
pub(super) const TEXT_MAX: usize = 64;
/// Bytes of what a rule says.
const SAYS_MAX: usize = 50;
/// Bytes of a line; what is longer is another line.
const LINE_MAX: usize = 8191;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// Below how many lines it stands (`>`).
    pub(super) level: usize,
    /// Where to look, in bytes from the start.
    pub(super) offset: i64,
    /// Where to look is found there: how wide that number is, and what is added to it.
    pub(super) indirect: Option<(Width, i64)>,
    pub(super) kind: Kind,
    /// Numbers have no sign.
    pub(super) unsigned: bool,
    /// What counts of a number.
    pub(super) mask: i64,
    /// How it is compared: one of `=!<>&^x`.
    pub(super) relation: u8,
    pub(super) value: Value,
    /// No blank in front of what it says.
    pub(super) joined: bool,
    /// Type and perhaps encoding, as a format of C's `printf`.
    pub(super) says: Vec<u8>,
}

/// What is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Number(i64),
    Text(Vec<u8>),
}

/// How wide a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    Byte,
    Short,
    Long,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The rule's line is wrong.
    None,
    Byte,
    Short,
    Long,
    Text,
    Date,
    BigShort,
    BigLong,
    BigDate,
    LittleShort,
    LittleLong,
    LittleDate,
}

const KINDS: &[(&str, Kind)] = &[
    ("byte", Kind::Byte),
    ("short", Kind::Short),
    ("long", Kind::Long),
    ("string", Kind::Text),
    ("date", Kind::Date),
    ("beshort", Kind::BigShort),
    ("belong", Kind::BigLong),
    ("bedate", Kind::BigDate),
    ("leshort", Kind::LittleShort),
    ("lelong", Kind::LittleLong),
    ("ledate", Kind::LittleDate),
];

impl Rule {
    /// A number as one of this kind would be read.
    pub(super) fn extend(&self, number: i64) -> i64 {
        match self.kind {
            _ if self.unsigned => number,
            Kind::Byte => i64::from(number as i8),
            Kind::Short | Kind::BigShort | Kind::LittleShort => i64::from(number as i16),
            _ => number,
        }
    }
}

/// All rules of a file, and what the log is told of its lines. A line that is wrong makes a rule as far as it was read.
pub(super) fn parse(text: &[u8]) -> (Vec<Rule>, Vec<String>) {
    let (mut rules, mut complaints) = (Vec::new(), Vec::new());
    for line in text.split(|byte| *byte == b'\n') {
        for line in line.chunks(LINE_MAX) {
            let nul = memchr::memchr(0, line).unwrap_or(line.len());
            let line = trim_end(line.get(..nul).unwrap_or_default());
            let line = skip(line, is_space);
            if !line.is_empty() && line.first() != Some(&b'#') {
                let mut told = |text: String| complaints.push(text);
                rules.push(parse_line(line, &mut told));
            }
        }
    }
    (rules, complaints)
}

fn parse_line(line: &[u8], told: &mut dyn FnMut(String)) -> Rule {
    let mut rule = Rule {
        level: 0,
        offset: 0,
        indirect: None,
        kind: Kind::None,
        unsigned: false,
        mask: -1,
        relation: b'=',
        value: Value::Number(0),
        joined: false,
        says: Vec::new(),
    };
    let rest = skip(line, |byte| byte == b'>');
    rule.level = line.len() - rest.len();
    let below = rest.strip_prefix(b"(").filter(|_| rule.level > 0);
    let mut rest = below.unwrap_or(rest);
    match number(rest) {
        (Some(offset), after) => (rule.offset, rest) = (offset, after),
        (None, _) => told(format!("AH01521: mod_mime_magic: offset {} invalid", latin1(rest))),
    }
    if below.is_some() {
        let (indirect, after) = parse_indirect(rest, told);
        (rule.indirect, rest) = (Some(indirect), after);
    }
    rest = skip(skip(rest, |byte| byte.is_ascii_digit()), is_space);
    if let Some(after) = rest.strip_prefix(b"u") {
        (rule.unsigned, rest) = (true, after);
    }
    let Some((name, kind)) = KINDS.iter().find(|(name, _)| rest.starts_with(name.as_bytes())) else {
        told(format!("AH01524: mod_mime_magic: type {} invalid", latin1(rest)));
        // As httpd leaves it: nothing can be compared.
        return rule;
    };
    rule.kind = *kind;
    rest = rest.get(name.len()..).unwrap_or_default();
    if let Some(mask) = rest.strip_prefix(b"&") {
        let (mask, after) = number(mask);
        (rule.mask, rest) = (rule.extend(mask.unwrap_or(0)), after);
    }
    rest = skip(rest, is_space);
    match rest {
        [relation @ (b'>' | b'<' | b'&' | b'^' | b'='), after @ ..] => (rule.relation, rest) = (*relation, after),
        [b'!', after @ ..] if *kind != Kind::Text => (rule.relation, rest) = (b'!', after),
        [b'x', blank, ..] if is_space(*blank) => (rule.relation, rest) = (b'x', rest.get(1..).unwrap_or_default()),
        _ => {}
    }
    if rule.relation != b'x' {
        rest = skip(rest, is_space);
        if *kind == Kind::Text {
            let (value, after) = parse_text(rest, told);
            (rule.value, rest) = (Value::Text(value), after);
        } else {
            let (value, after) = number(rest);
            (rule.value, rest) = (Value::Number(rule.extend(value.unwrap_or(0))), after);
        }
    }
    rest = skip(rest, is_space);
    if let Some(after) = rest.strip_prefix(b"\x08").or_else(|| rest.strip_prefix(b"\\b")) {
        (rule.joined, rest) = (true, after);
    }
    rule.says = rest.get(..SAYS_MAX - 1).unwrap_or(rest).to_vec();
    rule
}

/// `[.lsb][+-]number)`.
fn parse_indirect<'a>(text: &'a [u8], told: &mut dyn FnMut(String)) -> ((Width, i64), &'a [u8]) {
    let mut rest = text;
    let mut width = Width::Long;
    if let [b'.', letter, after @ ..] = rest {
        rest = after;
        match letter {
            b'l' => {}
            b's' => width = Width::Short,
            b'b' => width = Width::Byte,
            other => told(format!("AH01522: mod_mime_magic: indirect offset type {} invalid", char::from(*other))),
        }
    }
    let negative = rest.first() == Some(&b'-');
    let mut plus = 0;
    if matches!(rest.first(), Some(b'+' | b'-')) {
        rest = rest.get(1..).unwrap_or_default();
    }
    if rest.first().is_some_and(u8::is_ascii_digit) {
        let (number, after) = number(rest);
        plus = number.unwrap_or(0);
        rest = after;
    }
    if negative {
        plus = plus.wrapping_neg();
    }
    if rest.first() != Some(&b')') {
        told("AH01523: mod_mime_magic: missing ')' in indirect offset".to_owned());
    }
    ((width, plus), rest.get(1..).unwrap_or_default())
}

/// A text up to the next blank, with C's escapes.
fn parse_text<'a>(text: &'a [u8], told: &mut dyn FnMut(String)) -> (Vec<u8>, &'a [u8]) {
    let mut out = Vec::new();
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        rest = after;
        if is_space(*byte) {
            break;
        }
        if out.len() >= TEXT_MAX - 1 {
            told(format!("AH01526: mod_mime_magic: string too long: {}", latin1(text)));
            break;
        }
        if *byte != b'\\' {
            out.push(*byte);
            continue;
        }
        let [byte, after @ ..] = rest else { break };
        rest = after;
        let digits = |rest: &[u8], radix: u8, most: usize| {
            let digit = |byte: &&u8| hex_value(**byte).is_some_and(|value| value < radix);
            rest.iter().take(most).take_while(digit).count()
        };
        let value = |digits: &[u8], radix: u32| {
            let next = |value: u32, byte: &u8| value * radix + u32::from(hex_value(*byte).unwrap_or(0));
            // As much as a byte holds of three digits.
            digits.iter().fold(0, next) as u8
        };
        match byte {
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'f' => out.push(0x0c),
            b'b' => out.push(0x08),
            b'v' => out.push(0x0b),
            b'0'..=b'7' => {
                let more = digits(rest, 8, 2);
                let (octal, after) = rest.split_at(more);
                out.push(value(&[&[*byte], octal].concat(), 8));
                rest = after;
            }
            b'x' => {
                let (hex, after) = rest.split_at(digits(rest, 16, 3));
                out.push(if hex.is_empty() { b'x' } else { value(hex, 16) });
                rest = after;
            }
            other => out.push(*other),
        }
    }
    (out, rest)
}

/// The number at the start of a text as C's `strtol` reads it with base 0, and what is behind it.
fn number(text: &[u8]) -> (Option<i64>, &[u8]) {
    let start = skip(text, is_space);
    let (negative, digits) = match start {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (radix, digits) = match digits {
        [b'0', b'x' | b'X', rest @ ..] if rest.first().is_some_and(u8::is_ascii_hexdigit) => (16, rest),
        [b'0', ..] => (8, digits),
        _ => (10, digits),
    };
    let end = digits.iter().position(|byte| hex_value(*byte).is_none_or(|value| i64::from(value) >= radix));
    let (digits, rest) = digits.split_at(end.unwrap_or(digits.len()));
    if digits.is_empty() {
        return (None, text);
    }
    let next = |value: i64, byte: &u8| value.saturating_mul(radix).saturating_add(hex_value(*byte).unwrap_or(0).into());
    let value = digits.iter().fold(0, next);
    (Some(if negative { -value } else { value }), rest)
}

/// Blanks as C's `isspace` knows them.
pub(super) fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

fn skip(text: &[u8], what: impl Fn(u8) -> bool) -> &[u8] {
    let end = text.iter().position(|byte| !what(*byte)).unwrap_or(text.len());
    text.get(end..).unwrap_or_default()
}

fn trim_end(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| !is_space(*byte)).map_or(0, |at| at + 1);
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> Rule {
        let (rules, complaints) = parse(line.as_bytes());
        assert_eq!(complaints, Vec::<String>::new());
        rules.into_iter().next().unwrap()
    }

    #[test]
    fn rules_are_read_column_by_column() {
        let rule = one(">>(0x20.s+4)\tbelong&0xff00 >0100\t\\btext/x  x-y");
        assert_eq!((rule.level, rule.offset, rule.indirect), (2, 32, Some((Width::Short, 4))));
        assert_eq!((rule.kind, rule.mask, rule.relation, rule.value), (Kind::BigLong, 0xff00, b'>', Value::Number(64)));
        assert!(rule.joined && rule.says == b"text/x  x-y");
        let rule = one("0 string \\x1f\\213\\\\\\ a!b a/b");
        assert_eq!((rule.value, rule.says.as_slice()), (Value::Text(b"\x1f\x8b\\ a!b".to_vec()), &b"a/b"[..]));
        let rule = one("4 byte x a/b");
        assert_eq!((rule.relation, rule.says.as_slice()), (b'x', &b"a/b"[..]));
        // A modifier is taken for the text.
        assert_eq!(one("0 string/c abc a/b").says, b"abc a/b");
    }

    #[test]
    fn what_is_wrong_is_told() {
        let (rules, told) = parse(b"# comment\n\n? string a b/c\n0 ubyte 1 a/b\n>(4.q+1 byte 2\n");
        assert_eq!(rules.len(), 3);
        let numbers: Vec<&str> = told.iter().map(|text| &text[..7]).collect();
        assert_eq!(numbers, ["AH01521", "AH01524", "AH01522", "AH01523"]);
    }
}

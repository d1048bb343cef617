//! `LogFormat`: the text compiled to pieces. The grammar is `grammar/logformat.ebnf`.

use super::items::{ITEMS, Item, Line, Render};
use crate::config::latin1;
use crate::web::Exchange;

/// A compiled format.
#[derive(Default)]
pub struct Format {
    pieces: Vec<Piece>,
}

enum Piece {
    /// Bytes as they are.
    Text(Vec<u8>),
    /// A value of the request.
    Value(Value),
}

struct Value {
    render: Render,
    /// Its letter.
    name: &'static str,
    /// What stood in braces.
    arg: Vec<u8>,
    /// Of the request as it was before internal redirects.
    original: bool,
    /// Only for these statuses, or for all but these.
    statuses: Vec<u16>,
    except: bool,
}

impl Format {
    /// Compiles a format. The error is httpd's text.
    ///
    /// grammar: format
    pub fn parse(mut text: &[u8]) -> Result<Self, String> {
        let mut pieces = Vec::new();
        while !text.is_empty() {
            let (piece, rest) = match text.split_first() {
                Some((b'%', rest)) => item(rest)?,
                _ => literal(text),
            };
            pieces.push(piece);
            text = rest;
        }
        Ok(Self { pieces })
    }

    /// The first letter that mod_ssl brings.
    pub(super) fn letter_of_tls(&self) -> Option<&'static str> {
        self.pieces.iter().find_map(|piece| match piece {
            Piece::Value(value) if matches!(value.name, "x" | "c") => Some(value.name),
            _ => None,
        })
    }

    /// Appends the line of a request, with its end.
    pub(super) fn push(&self, ex: &Exchange, elapsed: i64, out: &mut Vec<u8>) {
        let now = Line { ex, original: None, elapsed };
        let first = Line { original: ex.original.as_deref(), ..now };
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Value(value) => value.push(if value.original { &first } else { &now }, out),
            }
        }
        out.push(b'\n');
    }
}

impl Value {
    #[inline]
    fn push(&self, line: &Line<'_>, out: &mut Vec<u8>) {
        let wanted = self.statuses.is_empty() || self.statuses.contains(&line.ex.status) != self.except;
        if !wanted || (self.render)(line, &self.arg, out).is_none() {
            out.push(b'-');
        }
    }
}

/// One item, behind its `%`.
///
/// grammar: item
fn item(text: &[u8]) -> Result<(Piece, &[u8]), String> {
    if let Some(rest) = text.strip_prefix(b"%") {
        return Ok((Piece::Text(b"%".to_vec()), rest));
    }
    let mut rest = text;
    let mut arg: &[u8] = b"";
    let mut which = None;
    let mut statuses = Vec::new();
    let mut except = false;
    loop {
        let Some((&byte, behind)) = rest.split_first() else {
            return Err("Ran off end of LogFormat parsing args to some directive".to_owned());
        };
        rest = behind;
        match byte {
            b'!' => except = !except,
            b'<' => which = Some(true),
            b'>' => which = Some(false),
            b',' => {}
            b'{' => (arg, rest) = argument(rest),
            b'0'..=b'9' => {
                let (status, behind) = number(byte, rest);
                statuses.push(status);
                rest = behind;
            }
            _ => {
                let (row, rest) = letter(byte, rest)?;
                let render = (row.pick)(arg);
                let original = which.unwrap_or(row.original);
                let value = Value { render, name: row.name, arg: arg.to_vec(), original, statuses, except };
                return Ok((Piece::Value(value), rest));
            }
        }
    }
}

/// Up to the closing brace, which may be doubled; without one all the rest.
///
/// grammar: argument
fn argument(text: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr(b'}', text).unwrap_or(text.len());
    let (arg, rest) = text.split_at(end);
    let braces = rest.iter().take_while(|&&byte| byte == b'}').count();
    (arg, rest.get(braces..).unwrap_or_default())
}

/// A status.
///
/// grammar: status
fn number(first: u8, text: &[u8]) -> (u16, &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let push = |sum: u16, digit: &u8| sum.saturating_mul(10).saturating_add(u16::from(digit - b'0'));
    (digits.iter().fold(u16::from(first - b'0'), push), rest)
}

/// The item's name: one letter, or `^` and two.
///
/// grammar: letter
fn letter(first: u8, text: &[u8]) -> Result<(&'static Item, &[u8]), String> {
    let find = |name: &[u8]| ITEMS.iter().find(|row| row.name.as_bytes() == name);
    let found = match (first, text.split_at_checked(2)) {
        (b'^', Some((two, rest))) => find(&[&[first], two].concat()).map(|row| (row, rest)),
        _ => find(&[first]).map(|row| (row, text)),
    };
    found.ok_or_else(|| format!("Unrecognized LogFormat directive %{}", latin1(&[first])))
}

/// Bytes up to the next `%`, with their escapes.
///
/// grammar: text
fn literal(text: &[u8]) -> (Piece, &[u8]) {
    let end = memchr::memchr(b'%', text).unwrap_or(text.len());
    let (text, rest) = text.split_at(end);
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let escaped = match (byte, bytes.peek()) {
            (b'\\', Some(b'\\')) => b'\\',
            (b'\\', Some(b'n')) => b'\n',
            (b'\\', Some(b'r')) => b'\r',
            (b'\\', Some(b't')) => b'\t',
            _ => {
                out.push(byte);
                continue;
            }
        };
        bytes.next();
        out.push(escaped);
    }
    (Piece::Text(out), rest)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn error(text: &str) -> String {
        Format::parse(text.as_bytes()).map(|_| ()).expect_err("not a format")
    }

    #[test]
    fn errors_are_httpds() {
        const END: &str = "Ran off end of LogFormat parsing args to some directive";
        for text in ["%", "%>", "%!200,", "%{x", "%{x}"] {
            assert_eq!(error(text), END, "{text}");
        }
        for (text, letter) in [("%Z", "Z"), ("%{a} h", " "), ("%^xy", "^"), ("%^t", "^"), ("%!200,3z", "z")] {
            assert_eq!(error(text), format!("Unrecognized LogFormat directive %{letter}"), "{text}");
        }
        assert_eq!(Format::parse(b"%\xc3").map(|_| ()), Err("Unrecognized LogFormat directive %\u{c3}".to_owned()));
    }

    #[test]
    fn letters_of_tls_are_told_apart() {
        let letter = |text: &str| Format::parse(text.as_bytes()).expect("a format").letter_of_tls();
        assert_eq!((letter("%h %{SSL_PROTOCOL}x"), letter("%h"), letter("x%{a}c")), (Some("x"), None, Some("c")));
    }

    #[test]
    fn modifiers_come_in_any_order_and_number() {
        for text in ["%!h %!!h %<>h", "%400,h %!200,304h %1h %,h", "%{a}}h%{}^ti", "%>{a}!301i%%", "%{a}{b}i"] {
            assert!(Format::parse(text.as_bytes()).is_ok(), "{text}");
        }
        let format = Format::parse(b"a%<!200,304{x}}i").expect("a format");
        let [Piece::Text(text), Piece::Value(value)] = &format.pieces[..] else { panic!("two pieces") };
        assert_eq!(text, b"a");
        assert!(value.original && value.except);
        assert_eq!((&value.arg[..], &value.statuses[..]), (&b"x"[..], &[200, 304][..]));
        let format = Format::parse(b"%r%>r%h").expect("a format");
        let original: Vec<bool> =
            format.pieces.iter().map(|piece| matches!(piece, Piece::Value(value) if value.original)).collect();
        assert_eq!(original, [true, false, false]);
    }

    #[test]
    fn literal_text_knows_four_escapes() {
        let (piece, rest) = literal(r#"\n\t\r\\\x\"é\%h"#.as_bytes());
        let Piece::Text(text) = piece else { panic!("text") };
        assert_eq!(text, "\n\t\r\\\\x\\\"é\\".as_bytes());
        assert_eq!(rest, b"%h");
    }

    /// Every production of the grammar is at its parser, every parser's is in the grammar, and so is every item.
    #[test]
    fn the_grammar_names_its_parsers_and_items() {
        let grammar = include_str!("../../../grammar/logformat.ebnf");
        let productions: BTreeSet<&str> = grammar
            .lines()
            .filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()))
            .filter_map(|line| Some(line.split_once('=')?.0.trim()))
            .collect();
        let tagged: BTreeSet<&str> =
            include_str!("format.rs").lines().filter_map(|line| line.trim().strip_prefix("/// grammar: ")).collect();
        assert_eq!(productions, tagged);
        let (_, letters) = grammar.split_once("\nletter = ").expect("the production");
        let (letters, _) = letters.split_once(';').expect("its end");
        let named: BTreeSet<&str> = letters.split('"').skip(1).step_by(2).collect();
        assert_eq!(named, ITEMS.iter().map(|row| row.name).collect());
    }
}

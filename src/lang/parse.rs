//! The grammar of one logical line (`grammar/config.ebnf`), production by production.

use nom::branch::alt;
use nom::bytes::complete::{is_not, tag, take, take_till, take_while, take_while1};
use nom::combinator::{eof, not, opt, recognize, value, verify};
use nom::multi::{fold_many0, many0};
use nom::sequence::{delimited, preceded, terminated};
use nom::{IResult, Parser};

type Parsed<'a, T> = IResult<&'a [u8], T>;

/// White space of the C locale.
pub fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

/// Without blanks at either end.
pub fn trim(text: &[u8]) -> &[u8] {
    let Some(start) = text.iter().position(|byte| !is_blank(*byte)) else { return b"" };
    let end = text.iter().rposition(|byte| !is_blank(*byte)).map_or(start, |last| last + 1);
    text.get(start..end).unwrap_or_default()
}

/// White space, if any.
///
/// grammar: blanks
pub fn blanks(input: &[u8]) -> Parsed<'_, &[u8]> {
    take_while(is_blank)(input)
}

/// One word and the blanks around it.
///
/// grammar: word
pub fn word(input: &[u8]) -> Parsed<'_, Vec<u8>> {
    delimited(blanks, alt((quoted, plain)), blanks).parse(input)
}

/// A word without quotes around it. A doubled backslash counts once.
///
/// grammar: plain
pub fn plain(input: &[u8]) -> Parsed<'_, Vec<u8>> {
    let (rest, text) = take_till(is_blank)(input)?;
    if memchr::memmem::find(text, b"\\\\").is_none() {
        return Ok((rest, text.to_vec()));
    }
    let one = alt((value(&b"\\"[..], tag(&b"\\\\"[..])), take(1usize)));
    let (_, word) = fold_many0(one, Vec::new, push).parse(text)?;
    Ok((rest, word))
}

/// A word in quotes of either kind. The closing one may be missing: the word then goes to the end of the line.
///
/// grammar: quoted
pub fn quoted(input: &[u8]) -> Parsed<'_, Vec<u8>> {
    let (rest, quote) = verify(take(1usize), |quote: &[u8]| matches!(quote, b"\"" | b"'")).parse(input)?;
    let escaped = preceded(tag(&b"\\"[..]), alt((tag(quote), tag(&b"\\"[..]))));
    let ordinary = verify(take(1usize), |byte: &[u8]| byte != quote);
    let run = take_while1(|byte| byte != b'\\' && quote.first() != Some(&byte));
    let inside = fold_many0(alt((run, escaped, ordinary)), Vec::new, push);
    terminated(inside, opt(tag(quote))).parse(rest)
}

fn push(mut word: Vec<u8>, part: &[u8]) -> Vec<u8> {
    word.extend_from_slice(part);
    word
}

/// All words; empty ones are kept.
///
/// grammar: words
pub fn words(input: &[u8]) -> Parsed<'_, Vec<Vec<u8>>> {
    // At the end of the text there is no word, not an empty one.
    many0(preceded(not(eof), word)).parse(input)
}

/// What a logical line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement<'a> {
    /// Name: `ServerName`, `<Directory`, `</Directory>`.
    pub name: Vec<u8>,
    /// Argument text; `>` for an opening tag that holds none.
    pub args: &'a [u8],
}

/// A logical line. The name is one word; that of an opening tag or a directive loses a `>` at its end.
///
/// grammar: statement
/// grammar: directive
/// grammar: open
/// grammar: close
pub fn statement(input: &[u8]) -> Parsed<'_, Statement<'_>> {
    let (args, mut name) = word(input)?;
    if name.get(1) == Some(&b'/') {
        return Ok((b"", Statement { name, args }));
    }
    if name.last() == Some(&b'>') {
        name.pop();
    }
    let args = if name.first() == Some(&b'<') && args.is_empty() { b">" } else { args };
    Ok((b"", Statement { name, args }))
}

/// A stretch of a line before variables are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// As it is.
    Text(&'a [u8]),
    /// `${NAME}`: the name.
    Variable(&'a [u8]),
}

/// A line as pieces.
///
/// grammar: text
pub fn pieces(input: &[u8]) -> Parsed<'_, Vec<Piece<'_>>> {
    let other = alt((is_not("$"), take(1usize)));
    many0(alt((variable.map(Piece::Variable), other.map(Piece::Text)))).parse(input)
}

/// A variable: its name.
///
/// grammar: variable
pub fn variable(input: &[u8]) -> Parsed<'_, &[u8]> {
    delimited(tag(&b"${"[..]), take_till(|byte| byte == b'}'), tag(&b"}"[..])).parse(input)
}

/// A version; missing parts are 0.
///
/// grammar: version
pub fn version(input: &[u8]) -> Parsed<'_, [i32; 3]> {
    // Of a large number the lower bits are left, as of C's.
    let number = |input| {
        let (rest, digits) = nom::character::complete::digit1::<&[u8], nom::error::Error<&[u8]>>(input)?;
        let number = crate::base::clock::leading_integer(digits).0.unwrap_or(i64::MAX);
        Ok((rest, number as i32))
    };
    let part = |input| opt(preceded(tag(&b"."[..]), number)).parse(input);
    let (rest, major) = number(input)?;
    let (rest, minor) = part(rest)?;
    let (rest, patch) = if minor.is_some() { part(rest)? } else { (rest, None) };
    Ok((rest, [major, minor.unwrap_or(0), patch.unwrap_or(0)]))
}

/// Whether there is an exclamation mark.
///
/// grammar: negation
pub fn negation(input: &[u8]) -> Parsed<'_, bool> {
    let (rest, mark) = opt(recognize(terminated(tag(&b"!"[..]), blanks))).parse(input)?;
    Ok((rest, mark.is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_tags() {
        let parse = |text: &'static str| {
            let statement = statement(text.as_bytes()).unwrap().1;
            let args = String::from_utf8_lossy(statement.args).into_owned();
            (String::from_utf8(statement.name).unwrap(), args)
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(parse("ServerName  a b"), pair("ServerName", "a b"));
        assert_eq!(parse("<Directory />"), pair("<Directory", "/>"));
        assert_eq!(parse("<Directory>"), pair("<Directory", ">"));
        assert_eq!(parse("</Directory> junk"), pair("</Directory>", "junk"));
        assert_eq!(parse(">"), pair("", ""));
        assert_eq!(parse("<>"), pair("<", ">"));
        assert_eq!(parse("\"ServerAdmin\"x"), pair("ServerAdmin", "x"));
    }

    #[test]
    fn variables_are_found() {
        use Piece::{Text, Variable};
        let parse = |text: &'static str| pieces(text.as_bytes()).unwrap().1;
        assert_eq!(parse("a ${B}c"), [Text(b"a "), Variable(b"B"), Text(b"c")]);
        assert_eq!(parse("$${A}"), [Text(b"$"), Variable(b"A")]);
        assert_eq!(parse("${A${B}"), [Variable(b"A${B")]);
        assert_eq!(parse("${}"), [Variable(b"")]);
        assert_eq!(parse("${open"), [Text(b"$"), Text(b"{open")]);
    }

    #[test]
    fn all_words_of_a_text() {
        let parse = |text: &'static str| words(text.as_bytes()).unwrap().1;
        assert_eq!(parse("a \"b c\"d ''"), [b"a".to_vec(), b"b c".to_vec(), b"d".to_vec(), b"".to_vec()]);
        assert!(parse("").is_empty());
    }

    /// Every production of the grammar is at its parser, and every parser's is in the grammar.
    #[test]
    fn the_grammar_names_its_parsers() {
        let grammar = include_str!("../../grammar/config.ebnf");
        let productions: std::collections::BTreeSet<&str> = grammar
            .lines()
            .filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()))
            .filter_map(|line| Some(line.split_once('=')?.0.trim()))
            .collect();
        let tagged =
            include_str!("parse.rs").lines().filter_map(|line| line.trim().strip_prefix("/// grammar: ")).collect();
        assert!(productions.len() > 10);
        assert_eq!(productions, tagged);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in proptest::collection::vec(proptest::sample::select(b"'\"\\${}<>/!#ab1. \t\0\xc3".to_vec()), 0..40)) {
            let found = words(&text).unwrap().1;
            proptest::prop_assert!(found.len() <= text.len());
            let _ = statement(&text).unwrap();
            let joined: usize = pieces(&text).unwrap().1.iter().map(|piece| match piece {
                Piece::Text(text) => text.len(),
                Piece::Variable(name) => name.len() + 3,
            }).sum();
            proptest::prop_assert_eq!(joined, text.len());
        }
    }

    #[test]
    fn versions_have_up_to_three_parts() {
        assert_eq!(version(b"2.4.71"), Ok((&b""[..], [2, 4, 71])));
        assert_eq!(version(b"2"), Ok((&b""[..], [2, 0, 0])));
        assert_eq!(version(b"2.4x"), Ok((&b"x"[..], [2, 4, 0])));
        assert!(version(b"x").is_err());
    }
}

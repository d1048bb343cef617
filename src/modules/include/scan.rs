//! Finds the elements of a parsed document: `<!--#name key="value" … -->`.

/// What comes next in a document.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// This many bytes of text.
    Text(usize),
    /// An element, and how many bytes it takes.
    Element(Element, usize),
    /// This many bytes are an element that the document's end breaks off.
    Open(usize),
    /// More bytes are needed to tell.
    More,
}

/// One element.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    /// In lower case.
    pub(super) name: Vec<u8>,
    /// Keys in lower case, and values without their quotes; `None` where there is no `=`.
    pub(super) pairs: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// The longest element; a document that opens a longer one is passed on as it is.
const LONGEST: usize = 1 << 16;

/// Looks at the start of `bytes`.
pub(super) fn next(bytes: &[u8], start: &[u8], end: &[u8], ended: bool) -> Piece {
    if bytes.is_empty() {
        return Piece::More;
    }
    match memchr::memmem::find(bytes, start) {
        Some(0) => match element(bytes.get(start.len()..).unwrap_or_default(), end) {
            Some((element, length)) => Piece::Element(element, start.len() + length),
            None if ended => Piece::Open(bytes.len()),
            // What lies in it could not end either.
            None if bytes.len() > LONGEST => Piece::Text(LONGEST),
            None => Piece::More,
        },
        Some(at) => Piece::Text(at),
        None if ended => Piece::Text(bytes.len()),
        None => match bytes.len() - partial(bytes, start) {
            0 => Piece::More,
            text => Piece::Text(text),
        },
    }
}

/// How many bytes at the end could be the beginning of `start`.
fn partial(bytes: &[u8], start: &[u8]) -> usize {
    let most = start.len().saturating_sub(1).min(bytes.len());
    (1..=most).rev().find(|length| bytes.ends_with(start.get(..*length).unwrap_or_default())).unwrap_or(0)
}

/// The element behind its opening, and its length with its end; `None` if that is not here.
fn element(bytes: &[u8], end: &[u8]) -> Option<(Element, usize)> {
    let mut at = 0;
    let blank = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_whitespace);
    let closes = |at: usize| bytes.get(at..).is_some_and(|rest| rest.starts_with(end));
    while at < bytes.len() && !blank(at) && !closes(at) {
        at += 1;
    }
    let mut found = Element { name: bytes.get(..at)?.to_ascii_lowercase(), pairs: Vec::new() };
    loop {
        while blank(at) {
            at += 1;
        }
        if closes(at) {
            return Some((found, at + end.len()));
        }
        let from = at;
        while at < bytes.len() && !blank(at) && bytes.get(at) != Some(&b'=') && !closes(at) {
            at += 1;
        }
        let key = bytes.get(from..at)?.to_ascii_lowercase();
        while blank(at) {
            at += 1;
        }
        if bytes.get(at) != Some(&b'=') {
            bytes.get(at)?;
            found.pairs.push((key, None));
            continue;
        }
        at += 1;
        while blank(at) {
            at += 1;
        }
        let (value, length) = value(bytes.get(at..)?)?;
        at += length;
        found.pairs.push((key, Some(value)));
    }
}

/// A value, quoted or not, and the bytes it takes.
fn value(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let first = *bytes.first()?;
    if !matches!(first, b'"' | b'\'' | b'`') {
        // Up to the next blank, whatever else there is: an end without one in front of it belongs to the value.
        let length = bytes.iter().position(u8::is_ascii_whitespace)?;
        return Some((bytes.get(..length)?.to_vec(), length));
    }
    let mut out = Vec::new();
    let mut at = 1;
    loop {
        match *bytes.get(at)? {
            b'\\' => {
                let escaped = *bytes.get(at + 1)?;
                if escaped != first {
                    out.push(b'\\');
                }
                out.push(escaped);
                at += 2;
            }
            byte if byte == first => return Some((out, at + 1)),
            byte => {
                out.push(byte);
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(text: &str) -> Piece {
        next(text.as_bytes(), b"<!--#", b"-->", false)
    }

    fn found(text: &str) -> Element {
        match look(text) {
            Piece::Element(element, length) => {
                assert_eq!(length, text.len());
                element
            }
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn text_is_passed_on_but_for_what_may_open_an_element() {
        assert_eq!(look("abc<!--#"), Piece::Text(3));
        assert_eq!(look("abc<!-"), Piece::Text(3));
        assert_eq!(look("<!-"), Piece::More);
        assert_eq!(look("<!--#echo var=\"-->"), Piece::More);
        assert_eq!(next(b"<!--#x", b"<!--#", b"-->", true), Piece::Open(6));
    }

    #[test]
    fn values_may_be_quoted_in_three_ways_or_not_at_all() {
        let element = found("<!--#Set Var='a\\'b' value = `\\$c` x y=z -->");
        assert_eq!(element.name, b"set");
        let pair = |key: &str, value: Option<&str>| (key.into(), value.map(|value| value.as_bytes().to_vec()));
        let want = [pair("var", Some("a'b")), pair("value", Some("\\$c")), pair("x", None), pair("y", Some("z"))];
        assert_eq!(element.pairs, want);
        assert_eq!(found("<!--#endif-->").name, b"endif");
    }

    #[test]
    fn whatever_it_holds_a_document_ends() {
        for text in ["<!--#", "<!--#a b=", "<!--#a =-->", "<!--#a \"b\"-->", "<!--#-->", "<!--#a b=\"\\"] {
            let mut rest = text.as_bytes();
            while !rest.is_empty() {
                match next(rest, b"<!--#", b"-->", true) {
                    Piece::Text(length) | Piece::Open(length) | Piece::Element(_, length) => rest = &rest[length..],
                    Piece::More => panic!("{text}"),
                }
            }
        }
    }
}

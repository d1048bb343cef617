//! From bytes to logical lines: continuations joined, blanks trimmed, comments and empty lines dropped.

use std::sync::Arc;

use crate::base::diag::{FileId, Span};

/// The longest logical line of a server's own configuration.
const LONGEST: usize = 16_777_215;

/// One logical line that holds something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its text, without blanks at either end.
    pub text: Vec<u8>,
    /// What messages call the text it is from.
    pub file: Arc<str>,
    /// Number of its last physical line.
    pub number: u32,
    /// Where it stands in its source.
    pub span: Span,
}

/// A logical line was longer than the language permits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// In this text.
    pub file: Arc<str>,
    /// At this physical line.
    pub number: u32,
}

/// One text being read.
#[derive(Clone, Debug)]
struct Frame {
    name: Arc<str>,
    id: FileId,
    text: Arc<[u8]>,
    at: usize,
    number: u32,
    longest: usize,
}

/// Logical lines of a text, and of the texts put in front of its rest (`Use` of a macro).
#[derive(Clone, Debug)]
pub struct Lines {
    frames: Vec<Frame>,
}

impl Lines {
    /// The lines of one text.
    pub fn new(name: Arc<str>, id: FileId, text: Arc<[u8]>) -> Self {
        Self { frames: vec![Frame { name, id, text, at: 0, number: 0, longest: LONGEST }] }
    }

    /// The same, with a limit of its own for the length of a logical line.
    pub fn limited(name: Arc<str>, id: FileId, text: Arc<[u8]>, longest: usize) -> Self {
        Self { frames: vec![Frame { name, id, text, at: 0, number: 0, longest }] }
    }

    /// Reads this text next, and then goes on where it was.
    pub fn insert(&mut self, name: Arc<str>, id: FileId, text: Arc<[u8]>) {
        let longest = self.frames.last().map_or(LONGEST, |frame| frame.longest);
        self.frames.push(Frame { name, id, text, at: 0, number: 0, longest });
    }

    /// What messages call the text being read.
    pub fn name(&self) -> Arc<str> {
        self.frames.last().map_or_else(|| "".into(), |frame| frame.name.clone())
    }

    /// How many texts lie on top of one another.
    pub fn depth(&self) -> usize {
        self.frames.len()
    }

    /// The next logical line, comments and empty ones left out.
    pub fn next_line(&mut self) -> Result<Option<Line>, TooLong> {
        while let Some(line) = self.any_line()? {
            if !line.text.is_empty() && line.text.first() != Some(&b'#') {
                return Ok(Some(line));
            }
        }
        Ok(None)
    }

    /// The next logical line, whatever it holds: the body of a macro keeps its comments.
    pub fn any_line(&mut self) -> Result<Option<Line>, TooLong> {
        loop {
            let Some(frame) = self.frames.last_mut() else { return Ok(None) };
            if frame.at < frame.text.len() {
                return frame.line().map(Some);
            }
            if self.frames.len() == 1 {
                return Ok(None);
            }
            self.frames.pop();
        }
    }
}

impl Frame {
    fn line(&mut self) -> Result<Line, TooLong> {
        let mut text: Vec<u8> = Vec::new();
        let start = self.at;
        let mut end = start;
        let mut cut = false;
        while self.at < self.text.len() {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let (physical, length) = match memchr::memchr(b'\n', rest) {
                Some(length) => (rest.get(..length).unwrap_or_default(), length + 1),
                None => (rest, rest.len()),
            };
            let ended = length > physical.len();
            self.number += 1;
            // What follows a NUL is lost up to the end of the physical line.
            let nul = memchr::memchr(0, physical);
            let shown = physical.get(..nul.unwrap_or(physical.len())).unwrap_or_default();
            text.extend_from_slice(shown);
            end = self.at + physical.len();
            self.at += length;
            if text.len() > self.longest {
                return Err(TooLong { file: self.name.clone(), number: self.number });
            }
            let joined = ended && nul.is_none() && continues(shown);
            if !joined {
                break;
            }
            cut = self.at >= self.text.len();
            text.truncate(text.len() - (shown.len() - shown.trim_suffix_cr().len()) - 1);
        }
        // A continuation that the end of the text cuts off counts as a line, as an empty one would.
        if cut {
            self.number += 1;
        }
        let trimmed = super::parse::trim(&text);
        if trimmed.len() < text.len() {
            text = trimmed.to_vec();
        }
        let span = Span { file: self.id, start: offset(start), end: offset(end) };
        Ok(Line { text, file: self.name.clone(), number: self.number, span })
    }
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Whether the physical line (its LF taken off) ends in a backslash, a CR behind it or not.
fn continues(physical: &[u8]) -> bool {
    physical.trim_suffix_cr().last() == Some(&b'\\')
}

trait TrimCr {
    fn trim_suffix_cr(&self) -> &[u8];
}

impl TrimCr for [u8] {
    fn trim_suffix_cr(&self) -> &[u8] {
        self.strip_suffix(b"\r").unwrap_or(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8]) -> Vec<(String, u32)> {
        let mut lines = Lines::new("a.conf".into(), FileId(0), text.to_vec().into());
        let mut out = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            out.push((String::from_utf8_lossy(&line.text).into_owned(), line.number));
        }
        out
    }

    fn one(text: &[u8]) -> String {
        let found = lines(text);
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].0.clone()
    }

    #[test]
    fn a_backslash_before_the_line_end_joins() {
        assert_eq!(lines(b"Define V a\\\nb\nX\n"), [("Define V ab".to_owned(), 2), ("X".to_owned(), 3)]);
        assert_eq!(one(b"Define V \"a \\\n   b\"\n"), "Define V \"a    b\"");
        assert_eq!(one(b"a\\\r\nb\r\n"), "ab");
        assert_eq!(one(b"a\\ \nb\n".get(..4).unwrap()), "a\\");
        // One byte decides: a doubled backslash joins as well, and leaves one.
        assert_eq!(one(b"a\\\\\nb\n"), "a\\b");
        assert_eq!(one(b"a\\\n\n"), "a");
        assert_eq!(lines(b"a\\\n"), [("a".to_owned(), 2)]);
        assert_eq!(one(b"a\\"), "a\\");
    }

    #[test]
    fn comments_are_seen_after_joining() {
        assert_eq!(lines(b"# x \\\nServerName y\nZ\n"), [("Z".to_owned(), 3)]);
        assert_eq!(one(b"Define V a\\\n#b\n"), "Define V a#b");
        assert_eq!(lines(b"\n \t\x0b\n  # c\n").len(), 0);
    }

    #[test]
    fn nul_ends_a_physical_line() {
        assert_eq!(one(b"Define A b\0c\n"), "Define A b");
        assert_eq!(lines(b"\0Define A b\nX\n"), [("X".to_owned(), 2)]);
    }

    #[test]
    fn a_text_put_in_front_is_read_first_and_named() {
        let mut lines = Lines::new("a".into(), FileId(0), b"1\n2".to_vec().into());
        assert_eq!(lines.next_line().unwrap().unwrap().text, b"1");
        lines.insert("m".into(), FileId(1), b"x".to_vec().into());
        assert_eq!(&*lines.name(), "m");
        assert_eq!(&*lines.next_line().unwrap().unwrap().file, "m");
        assert_eq!(lines.next_line().unwrap().unwrap().text, b"2");
        assert_eq!(lines.next_line().unwrap(), None);
    }

    #[test]
    fn spans_cover_the_physical_lines() {
        let text = b"# c\n  Define A \\\n b \nX";
        let mut lines = Lines::new("a".into(), FileId(0), text.to_vec().into());
        let span = lines.next_line().unwrap().unwrap().span;
        assert_eq!(&text[span.start as usize..span.end as usize], b"  Define A \\\n b ");
    }

    #[test]
    fn lines_have_an_end() {
        let mut text = vec![b'a'; LONGEST];
        let ok = Lines::new("a".into(), FileId(0), text.clone().into()).next_line();
        assert!(ok.unwrap().is_some());
        text.push(b'a');
        let error = Lines::new("a".into(), FileId(0), text.into()).next_line().unwrap_err();
        assert_eq!(error.number, 1);
    }
}

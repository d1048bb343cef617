//! Header blocks: lines, folding, names and values.

use std::ops::Range;

use memchr::{memchr, memrchr};

use super::head::{RequestError, Rules};
use super::{Limits, Status, all_content, is_blank, is_space, is_token};

/// Set in the offsets of a span that lies in the scratch space, not in the caller's buffer.
const SCRATCH: u32 = 1 << 31;

/// A range of the parsed buffer (or of the scratch space where folded lines are joined).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    pub(crate) fn new(start: usize, end: usize) -> Self {
        let cap = |n: usize| n.min(SCRATCH as usize - 1) as u32;
        Self { start: cap(start), end: cap(end) }
    }

    pub(crate) fn in_scratch(start: usize, end: usize) -> Self {
        let Self { start, end } = Self::new(start, end);
        Self { start: start | SCRATCH, end: end | SCRATCH }
    }

    /// Its bytes; empty if the buffer is not the one that was parsed.
    pub(crate) fn of<'a>(self, buf: &'a [u8], scratch: &'a [u8]) -> &'a [u8] {
        let from = if self.start & SCRATCH == 0 { buf } else { scratch };
        from.get((self.start & !SCRATCH) as usize..(self.end & !SCRATCH) as usize).unwrap_or_default()
    }

    /// Where it lies in the parsed buffer; `None` if it was joined elsewhere.
    #[inline]
    pub fn range(self) -> Option<Range<usize>> {
        (self.start & SCRATCH == 0).then_some(self.start as usize..self.end as usize)
    }

    /// Its length in bytes.
    pub fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    /// Whether it holds nothing.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The part between two offsets counted from its own start.
    pub(crate) fn part(self, from: usize, to: usize) -> Self {
        let at = |n: usize| self.start.saturating_add(u32::try_from(n).unwrap_or(u32::MAX)).min(self.end);
        Self { start: at(from), end: at(to) }
    }
}

/// One header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The name as sent.
    pub name: Span,
    /// The value without the blanks around it.
    pub value: Span,
}

/// Lengths of names that occur in a head: most names that are asked for have none of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lengths(u64);

impl Lengths {
    pub(crate) fn note(&mut self, len: usize) {
        self.0 |= 1 << len.min(63);
    }

    /// Whether a name of this length may be there.
    pub(crate) fn may_have(self, len: usize) -> bool {
        self.0 & 1 << len.min(63) != 0
    }
}

/// One line of a head.
pub(crate) enum Line {
    /// No line end yet.
    Partial,
    /// Longer than allowed; what may be shown of it.
    TooLong(Span),
    /// A NUL, or a bare LF where CR LF is required; what is shown of it.
    Bad(Span),
    /// The line without its end.
    Whole(Span),
}

/// Where a head is read; remembers how far it was searched for a line end.
#[derive(Debug, Default)]
pub(crate) struct Cursor {
    pub(crate) pos: usize,
    searched: usize,
    /// There is no NUL before this offset: looked for once, not once a line.
    clean: usize,
}

impl Cursor {
    pub(crate) fn at(pos: usize) -> Self {
        Self { pos, searched: pos, clean: pos }
    }

    /// The next line; `most` is the longest content httpd accepts.
    #[inline]
    pub(crate) fn line(&mut self, buf: &[u8], most: usize, crlf: bool) -> Line {
        let start = self.pos;
        let unseen = buf.get(self.searched..).unwrap_or_default();
        let Some(lf) = line_feed(unseen).map(|at| self.searched + at) else {
            let rest = buf.get(start..).unwrap_or_default();
            self.searched = buf.len().max(self.searched);
            let content = rest.strip_suffix(b"\r").unwrap_or(rest).len();
            return if content > most { Line::TooLong(until_nul(buf, start, start + most)) } else { Line::Partial };
        };
        (self.pos, self.searched) = (lf + 1, lf + 1);
        let line = buf.get(start..lf).unwrap_or_default();
        let cr = line.last() == Some(&b'\r');
        let end = if cr { lf - 1 } else { lf };
        if end - start > most {
            return Line::TooLong(until_nul(buf, start, start + most));
        }
        if self.clean <= lf {
            let from = self.clean.max(start);
            // Of what lies behind, a body perhaps, no more than most heads need.
            let to = buf.len().min(lf + 1 + AHEAD);
            self.clean = match memchr(0, buf.get(from..to).unwrap_or_default()) {
                Some(at) if from + at < lf => return Line::Bad(until_nul(buf, start, lf)),
                Some(at) => from + at,
                None => to,
            };
        }
        if crlf && !cr {
            return Line::Bad(Span::new(start, lf + 1));
        }
        Line::Whole(Span::new(start, end))
    }
}

/// How far behind a line NULs are looked for.
const AHEAD: usize = 2048;

/// The first line feed. Most lines are short: they are looked through here, eight bytes at a time, which costs less than
/// to begin a search that is fast on long ones.
#[inline]
fn line_feed(text: &[u8]) -> Option<usize> {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const SHORT: usize = 64;
    let (words, _) = text.get(..SHORT).unwrap_or(text).as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let other = u64::from_le_bytes(*word) ^ (LOW * b'\n' as u64);
        let same = other.wrapping_sub(LOW) & !other & (0x80 * LOW);
        if same != 0 {
            return Some(8 * at + same.trailing_zeros() as usize / 8);
        }
    }
    let seen = 8 * words.len();
    memchr(b'\n', text.get(seen..).unwrap_or_default()).map(|at| seen + at)
}

fn until_nul(buf: &[u8], start: usize, end: usize) -> Span {
    let line = buf.get(start..end).unwrap_or_default();
    Span::new(start, start + memchr(0, line).unwrap_or(line.len()))
}

/// A header block being read.
#[derive(Debug, Default)]
pub(crate) struct Block {
    pub(crate) cursor: Cursor,
    pub(crate) fields: Vec<Field>,
    pub(crate) lengths: Lengths,
    pub(crate) scratch: Vec<u8>,
    /// The last line, which the next one may continue.
    pending: Option<Span>,
    read: usize,
}

impl Block {
    pub(crate) fn begin(&mut self, pos: usize) {
        self.cursor = Cursor::at(pos);
        self.fields.clear();
        self.lengths = Lengths::default();
        self.scratch.clear();
        self.pending = None;
        self.read = 0;
    }

    pub(crate) fn bytes<'a>(&'a self, buf: &'a [u8], span: Span) -> &'a [u8] {
        span.of(buf, &self.scratch)
    }

    /// Reads lines up to and with the empty one.
    pub(crate) fn parse(&mut self, buf: &[u8], limits: &Limits, rules: &Rules) -> Result<Status, RequestError> {
        loop {
            let mut line = match self.cursor.line(buf, limits.field_size.saturating_add(1), rules.strict) {
                Line::Partial => return Ok(Status::Partial),
                Line::TooLong(shown) => return Err(RequestError::FieldTooLong(shown)),
                Line::Bad(shown) => return Err(RequestError::BadFieldLine(shown)),
                Line::Whole(span) => span,
            };
            let bytes = line.of(buf, &[]);
            let mut len = bytes.len();
            if bytes.last().is_some_and(|c| is_blank(*c)) {
                let blanks = bytes.iter().rev().take_while(|c| is_blank(**c)).count();
                len -= blanks.min(len - 1);
                line = line.part(0, len);
            }
            if bytes.first().is_some_and(|c| is_blank(*c)) {
                self.fold(buf, line, limits)?;
                continue;
            }
            if let Some(last) = self.pending.take() {
                self.field(buf, last, limits, rules)?;
            }
            if len == 0 {
                return Ok(Status::Complete(self.cursor.pos));
            }
            self.pending = Some(line);
        }
    }

    /// What of a line without end is there, for the log.
    pub(crate) fn unfinished(&self, buf: &[u8]) -> Span {
        Span::new(self.cursor.pos, buf.len())
    }

    fn fold(&mut self, buf: &[u8], line: Span, limits: &Limits) -> Result<(), RequestError> {
        let last = self.pending.ok_or(RequestError::FoldFirst)?;
        if line.len() == 1 {
            return Err(RequestError::FoldEmpty);
        }
        let bytes = line.of(buf, &[]);
        let lead = bytes.iter().take_while(|c| is_blank(**c)).count();
        let text = bytes.get(lead..).unwrap_or_default();
        if last.len() + text.len() + 2 >= limits.field_size {
            return Err(RequestError::FoldTooLong(last));
        }
        // A joined line that is joined again lies at the end of the scratch space already.
        let start = if last.start & SCRATCH == 0 {
            let start = self.scratch.len();
            self.scratch.extend_from_slice(last.of(buf, &[]));
            start
        } else {
            (last.start & !SCRATCH) as usize
        };
        self.scratch.push(b' ');
        self.scratch.extend_from_slice(text);
        self.pending = Some(Span::in_scratch(start, self.scratch.len()));
        Ok(())
    }

    fn field(&mut self, buf: &[u8], line: Span, limits: &Limits, rules: &Rules) -> Result<(), RequestError> {
        self.read = self.read.saturating_add(1);
        if limits.fields != 0 && self.read > limits.fields {
            return Err(RequestError::TooManyFields);
        }
        let bytes = line.of(buf, &self.scratch);
        let colon = if rules.strict {
            let end = bytes.iter().position(|c| !is_token(*c));
            end.filter(|at| *at > 0 && bytes.get(*at) == Some(&b':')).ok_or(RequestError::NameMalformed(line))?
        } else {
            let colon = memchr(b':', bytes).ok_or(RequestError::MissingColon(line))?;
            let name = bytes.get(..colon).unwrap_or_default();
            if name.is_empty() {
                return Err(RequestError::NameEmpty);
            }
            if name.iter().any(|c| is_space(*c)) {
                return Err(RequestError::NameWhitespace);
            }
            colon
        };
        let rest = bytes.get(colon + 1..).unwrap_or_default();
        let lead = rest.iter().take_while(|c| is_blank(**c)).count();
        let text = rest.get(lead..).unwrap_or_default();
        let value = line.part(colon + 1 + lead, bytes.len());
        if rules.strict {
            if !all_content(text) {
                return Err(RequestError::ValueMalformed(value));
            }
        } else if text.iter().any(|c| matches!(c, 0x0b | 0x0c | b'\r')) || memrchr(b'\n', text).is_some() {
            return Err(RequestError::ValueWhitespace);
        }
        self.lengths.note(colon);
        self.fields.push(Field { name: line.part(0, colon), value });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_feeds_are_found_wherever_they_are() {
        for len in 0..200 {
            for at in 0..=len {
                // What differs from a line feed by its lowest or its highest bit is none.
                for other in [b'x', 0x0b, 0x8a, 0x09, 0xff, 0] {
                    let mut text = vec![other; len];
                    assert_eq!(line_feed(&text), None);
                    if let Some(byte) = text.get_mut(at) {
                        *byte = b'\n';
                        assert_eq!(line_feed(&text), Some(at), "{len} {at} {other}");
                        text[at..].fill(b'\n');
                        assert_eq!(line_feed(&text), Some(at), "{len} {at} {other}");
                    }
                }
            }
        }
    }
}

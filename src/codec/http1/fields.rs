//! Header blocks: lines, folding, names and values.

use std::ops::Range;

use memchr::{memchr, memrchr};

use super::head::{RequestError, Rules};
use super::{Limits, Status, all_content, content_len, is_blank, is_space, is_token, token_len};

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

    /// What is there from the next line on. `None` if some of that line was looked at before: it may come in so many
    /// pieces that one look at all of it for each is too many.
    #[inline]
    pub(crate) fn fresh<'a>(&self, buf: &'a [u8]) -> Option<&'a [u8]> {
        buf.get(self.pos..).filter(|_| self.searched == self.pos)
    }

    /// The field on the next line, if it is as nearly all are: a token, a colon, perhaps a space, a value without tabs
    /// that has no blanks around it, CR LF, and another line has begun behind it that does not continue this one. The cursor
    /// moves behind it. `None` says nothing of the line.
    #[inline]
    pub(crate) fn plain_field(&mut self, buf: &[u8], most: usize) -> Option<Field> {
        let rest = self.fresh(buf)?;
        let colon = token_len(rest);
        let text = rest.get(colon..)?.strip_prefix(b":").filter(|_| colon > 0)?;
        let text = text.strip_prefix(b" ").unwrap_or(text);
        let (value, [b'\r', b'\n', next, ..]) = text.split_at_checked(content_len(text))? else { return None };
        let start = rest.len() - text.len();
        let end = start + value.len();
        let (Some(first), Some(last)) = (value.first(), value.last()) else { return None };
        if is_blank(*next) || is_blank(*first) || is_blank(*last) || end > most {
            return None;
        }
        let at = self.pos;
        *self = Self::at(at + end + 2);
        Some(Field { name: Span::new(at, at + colon), value: Span::new(at + start, at + end) })
    }

    /// Whether the empty line is next that ends a head, with its CR; the cursor moves behind it.
    #[inline]
    pub(crate) fn at_end(&mut self, buf: &[u8]) -> bool {
        let end = self.fresh(buf).is_some_and(|rest| rest.starts_with(b"\r\n"));
        if end {
            *self = Self::at(self.pos + 2);
        }
        end
    }

    /// The next line; `most` is the longest content httpd accepts.
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
        let most = limits.field_size.saturating_add(1);
        if rules.strict && self.pending.is_none() {
            while limits.fields == 0 || self.read < limits.fields {
                let Some(field) = self.cursor.plain_field(buf, most) else { break };
                self.read = self.read.saturating_add(1);
                self.lengths.note(field.name.len());
                self.fields.push(field);
            }
            if self.cursor.at_end(buf) {
                return Ok(Status::Complete(self.cursor.pos));
            }
            // A field counts once the line behind it is judged: here it does not yet.
            if let Some(last) = self.fields.pop() {
                self.read -= 1;
                self.pending = Some(Span { start: last.name.start, end: last.value.end });
            }
        }
        loop {
            let mut line = match self.cursor.line(buf, most, rules.strict) {
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

    /// Reads a head as it comes, `first` so many bytes of it: each line is looked at the long way behind a part of the first one.
    fn parse(text: &[u8], limits: &Limits, rules: &Rules, first: usize) -> (Result<Status, RequestError>, Block) {
        let mut block = Block::default();
        block.begin(0);
        let mut status = Ok(Status::Partial);
        for end in [first.min(text.len()), text.len()] {
            if status == Ok(Status::Partial) {
                status = block.parse(text.get(..end).unwrap_or_default(), limits, rules);
            }
        }
        (status, block)
    }

    proptest::proptest! {
        #[test]
        fn plain_fields_are_read_as_any_other(
            parts in proptest::collection::vec(0..26usize, 0..24),
            (fields, field_size, strict) in (0..4usize, 4..40usize, proptest::bool::weighted(0.8)),
        ) {
            let words: [&[u8]; 26] = [
                b"Name: value\r\n", b"A: b\r\n", b"Name:value\r\n", b"N: \r\n", b"N:\r\n", b"N:  two\r\n", b"N: v \r\n",
                b"N: a\tb\r\n", b"N: \x80\xff a long one, longer than most\r\n", b" folded\r\n", b"\tfolded\r\n", b"N : x\r\n", b": x\r\n",
                b"none\r\n", b"N: x\n", b"N: x\r", b"\r\n", b"\n", b"N: \0\r\n", b"N: \x7f\r\n", b"\x80: x\r\n", b"N", b": ",
                b"x", b" ", b"N: x:y\r\n",
            ];
            let text: Vec<u8> = parts.iter().filter_map(|part| words.get(*part)).copied().collect::<Vec<_>>().concat();
            let limits = Limits { fields, field_size, ..Limits::default() };
            let rules = Rules { strict, ..Rules::default() };
            let (status, whole) = parse(&text, &limits, &rules, text.len());
            let (slow, long) = parse(&text, &limits, &rules, 1);
            proptest::prop_assert_eq!(status, slow);
            let shown = |block: &Block| {
                let texts = |field: &Field| (block.bytes(&text, field.name).to_vec(), block.bytes(&text, field.value).to_vec());
                (block.fields.iter().map(texts).collect::<Vec<_>>(), block.cursor.pos, block.pending)
            };
            if status != Ok(Status::Partial) {
                proptest::prop_assert_eq!(shown(&whole), shown(&long));
            }
        }
    }

    #[test]
    fn fields_are_told_from_what_only_begins_as_one() {
        let plain = |text: &[u8]| {
            let mut cursor = Cursor::at(2);
            let text = [b"xx", text].concat();
            let field = cursor.plain_field(&text, 20)?;
            let part = |span: Span| String::from_utf8_lossy(span.of(&text, &[])).into_owned();
            Some((part(field.name), part(field.value), cursor.pos - 2))
        };
        assert_eq!(plain(b"Name: a value\r\nx"), Some(("Name".into(), "a value".into(), 15)));
        assert_eq!(plain(b"N:v\r\n\r"), Some(("N".into(), "v".into(), 5)));
        assert_eq!(plain(b"Long-name: 01234567\r\nx"), Some(("Long-name".into(), "01234567".into(), 21)));
        for other in [
            "Name: a value\r\n",
            "N: a\r\n b\r\n\r\n",
            "N: a \r\nx",
            "N:  a\r\nx",
            "N: a\tb\r\nx",
            "N: a\nx",
            ": a\r\nx",
            "N : a\r\nx",
            "Name: longer than the most\r\nx",
            "N",
            "N:",
            "N:\r\nx",
            "",
        ] {
            assert_eq!(plain(other.as_bytes()), None, "{other:?}");
        }
    }
}

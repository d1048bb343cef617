//! Heads from backends, as mod_proxy_http reads them.

use memchr::memchr;

use super::fields::{Cursor, Field, Lengths, Line, Span};
use super::{Status, Version, all_content, is_blank, is_space, is_token};
use crate::base::fold::same;

/// `ProxyBadHeader`: what a header line without colon does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BadHeader {
    /// 502.
    #[default]
    IsError,
    /// It is skipped.
    Ignore,
    /// The head ends before it; the line is dropped, and what follows is the body.
    StartBody,
}

/// Why a response head is refused; all are answered 502.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseError {
    /// Major version other than 1, or a first line beyond `responsefieldsize`: "Corrupt status line returned by
    /// remote server: " and the line.
    CorruptStatusLine(Span),
    /// No status line before the empty lines ended: "Error reading from remote server".
    NoStatusLine,
    /// A NUL in the status line: the same.
    BadStatusLine,
    /// A line without colon under `IsError`: AH01106.
    BadHeader(Span),
    /// A header line beyond `responsefieldsize`: AH10124 and AH01106.
    LineTooLong(Span),
    /// A NUL in a header line: AH10404 and AH01106.
    BadLine(Span),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    StatusLine,
    Fields,
    Done,
}

/// The head of a response: ranges of the buffer it was parsed from. Reusable.
#[derive(Debug, Default)]
pub struct ResponseHead {
    stage: Stage,
    blank: bool,
    cursor: Cursor,
    scratch: Vec<u8>,
    fields: Vec<Field>,
    lengths: Lengths,
    /// As in the status line; 0.9 if there was none.
    pub version: Version,
    /// The status; 200 without a status line.
    pub status: u16,
    /// The reason phrase, verbatim; may be empty.
    pub reason: Span,
    /// There is none: what follows the three digits goes on with them, and httpd's own words are sent.
    pub no_reason: bool,
    /// Without a status line: the first line, which belongs to the body before all that follows.
    pub stray: Option<Span>,
    /// Lines that are no fields, in order.
    pub skipped: Vec<Skipped>,
}

impl ResponseHead {
    /// Forgets an unfinished head, so that the next call starts a new one.
    pub fn clear(&mut self) {
        self.stage = Stage::StatusLine;
        self.blank = false;
        self.cursor = Cursor::default();
        self.scratch.clear();
        self.fields.clear();
        self.lengths = Lengths::default();
        self.skipped.clear();
        self.version = Version::default();
        self.status = 0;
        self.reason = Span::default();
        self.no_reason = false;
        self.stray = None;
    }

    /// The bytes of a span of this head.
    pub fn bytes<'a>(&'a self, buf: &'a [u8], span: Span) -> &'a [u8] {
        span.of(buf, &self.scratch)
    }

    /// Names and values in order, duplicates apart.
    pub fn fields<'a>(&'a self, buf: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.fields.iter().map(move |f| (self.bytes(buf, f.name), self.bytes(buf, f.value)))
    }

    /// The values of a field, in order.
    pub fn values<'a>(&'a self, buf: &'a [u8], wanted: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let fields = if self.lengths.may_have(wanted.len()) { self.fields.as_slice() } else { &[] };
        let named = move |field: &&Field| field.name.len() == wanted.len() && same(self.bytes(buf, field.name), wanted);
        fields.iter().filter(named).map(|field| self.bytes(buf, field.value))
    }

    /// The fields as spans, in order, duplicates apart.
    pub fn spans(&self) -> &[Field] {
        &self.fields
    }

    /// How far the buffer was read.
    pub fn read(&self) -> usize {
        self.cursor.pos
    }

    /// The first field the core will not send on: 500, AH02429 (name) or AH02430 (value), Connection: close.
    pub fn unsendable(&self, buf: &[u8]) -> Option<Unsendable> {
        self.fields(buf).enumerate().find_map(|(at, (name, value))| {
            if name.is_empty() || !name.iter().all(|c| is_token(*c)) {
                Some(Unsendable::Name(at))
            } else if !all_content(value) {
                Some(Unsendable::Value(at))
            } else {
                None
            }
        })
    }

    /// Whether this is an interim response (1xx) other than 101.
    pub fn is_interim(&self) -> bool {
        matches!(self.status, 100..=199) && self.status != 101
    }
}

/// A line that was passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// A second status line, or any line under `Ignore`: AH01100.
    Line,
    /// It started the body, behind fields: AH01098.
    StartedBody,
    /// It started the body, and there is no field: AH01099.
    NoFields,
}

/// A field httpd's core refuses to send; the index of the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsendable {
    /// The name is no token.
    Name(usize),
    /// A control character in the value.
    Value(usize),
}

/// Parses the response head at the start of `buf`, going on where the last call with the same, shorter buffer
/// stopped. `size` is the worker's `responsefieldsize` (8192 by default).
///
/// # Errors
/// What mod_proxy_http answers with 502. An end of the connection before `Complete` is one too (AH10404 and AH01106
/// inside the fields).
pub fn parse_response(
    buf: &[u8],
    size: usize,
    bad: BadHeader,
    out: &mut ResponseHead,
) -> Result<Status, ResponseError> {
    if out.stage == Stage::Done {
        out.clear();
    }
    let status = parse(buf, size.saturating_sub(1), bad, out);
    if !matches!(status, Ok(Status::Partial)) {
        out.stage = Stage::Done;
    }
    status
}

fn parse(buf: &[u8], most: usize, bad: BadHeader, out: &mut ResponseHead) -> Result<Status, ResponseError> {
    while out.stage == Stage::StatusLine {
        let line = match out.cursor.line(buf, most, false) {
            Line::Partial => return Ok(Status::Partial),
            Line::TooLong(shown) => return Err(ResponseError::CorruptStatusLine(shown)),
            Line::Bad(_) => return Err(ResponseError::BadStatusLine),
            Line::Whole(line) => line,
        };
        if line.is_empty() {
            // One stray line end left over from the response before is borne.
            if std::mem::replace(&mut out.blank, true) {
                return Err(ResponseError::NoStatusLine);
            }
            continue;
        }
        let Some((version, status)) = status_line(line.of(buf, &[])) else {
            out.version = Version { major: 0, minor: 9 };
            out.status = 200;
            out.stray = Some(line);
            return Ok(Status::Complete(out.cursor.pos));
        };
        if version.major != 1 {
            return Err(ResponseError::CorruptStatusLine(line));
        }
        (out.version, out.status) = (version, status);
        out.reason = line.part(13, line.len());
        out.no_reason = line.of(buf, &[]).get(12).is_some_and(|c| *c != b' ');
        out.stage = Stage::Fields;
    }
    loop {
        while let Some(field) = out.cursor.plain_field(buf, most) {
            out.lengths.note(field.name.len());
            out.fields.push(field);
        }
        if out.cursor.at_end(buf) {
            return Ok(Status::Complete(out.cursor.pos));
        }
        let start = out.cursor.pos;
        let Some(line) = folded_line(buf, most, out)? else { return Ok(Status::Partial) };
        if line.is_empty() {
            return Ok(Status::Complete(out.cursor.pos));
        }
        let bytes = line.of(buf, &out.scratch);
        let Some(colon) = memchr(b':', bytes) else {
            // A second status line among the fields is skipped whatever the policy.
            if status_line(bytes).is_some() {
                out.skipped.push(Skipped::Line);
                continue;
            }
            match bad {
                BadHeader::IsError => return Err(ResponseError::BadHeader(line)),
                BadHeader::Ignore => out.skipped.push(Skipped::Line),
                BadHeader::StartBody => {
                    out.skipped.push(if out.fields.is_empty() { Skipped::NoFields } else { Skipped::StartedBody });
                    return Ok(Status::Complete(out.cursor.pos));
                }
            }
            continue;
        };
        debug_assert!(start < out.cursor.pos);
        let rest = bytes.get(colon + 1..).unwrap_or_default();
        let lead = rest.iter().take_while(|c| is_space(**c)).count();
        let tail = rest.iter().rev().take_while(|c| is_space(**c)).count();
        let value = line.part(colon + 1 + lead, (bytes.len() - tail).max(colon + 1 + lead));
        out.lengths.note(colon);
        out.fields.push(Field { name: line.part(0, colon), value });
    }
}

/// The next line with its continuations, blanks and all; `None` if more bytes are needed.
fn folded_line(buf: &[u8], most: usize, out: &mut ResponseHead) -> Result<Option<Span>, ResponseError> {
    let start = out.cursor.pos;
    let mut joined: Option<(usize, usize)> = None;
    let mut whole = Span::default();
    loop {
        let line = match out.cursor.line(buf, most, false) {
            Line::Partial => {
                // The joining starts over once more is here; what was searched for a line end of a single line stays.
                if let Some((at, _)) = joined {
                    out.scratch.truncate(at);
                    out.cursor = Cursor::at(start);
                }
                return Ok(None);
            }
            Line::TooLong(shown) => return Err(ResponseError::LineTooLong(shown)),
            Line::Bad(shown) => return Err(ResponseError::BadLine(shown)),
            Line::Whole(line) => line,
        };
        let bytes = line.of(buf, &[]);
        match joined {
            None => whole = line,
            Some((at, _)) => {
                out.scratch.extend_from_slice(bytes);
                if out.scratch.len() - at > most {
                    return Err(ResponseError::LineTooLong(whole));
                }
                whole = Span::in_scratch(at, out.scratch.len());
            }
        }
        if joined.is_none() && bytes.is_empty() {
            return Ok(Some(whole));
        }
        let Some(next) = buf.get(out.cursor.pos) else {
            if let Some((at, _)) = joined {
                out.scratch.truncate(at);
            }
            out.cursor = Cursor::at(start);
            return Ok(None);
        };
        if !is_blank(*next) {
            return Ok(Some(whole));
        }
        if joined.is_none() {
            let at = out.scratch.len();
            out.scratch.extend_from_slice(bytes.trim_ascii_end());
            joined = Some((at, 0));
        }
    }
}

/// `HTTP/d.d ddd` and anything behind it.
fn status_line(line: &[u8]) -> Option<(Version, u16)> {
    let [b'H', b'T', b'T', b'P', b'/', major, b'.', minor, b' ', a, b, c, ..] = *line else { return None };
    let digit = |c: u8| c.checked_sub(b'0').filter(|d| *d < 10);
    let status = u16::from(digit(a)?) * 100 + u16::from(digit(b)?) * 10 + u16::from(digit(c)?);
    Some((Version { major: digit(major)?, minor: digit(minor)? }, status))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a head at once, or byte after byte, where each line is looked at the long way.
    fn parse(text: &[u8], size: usize, bad: BadHeader, step: usize) -> (Result<Status, ResponseError>, ResponseHead) {
        let mut head = ResponseHead::default();
        let mut status = Ok(Status::Partial);
        for end in (step..text.len() + step).step_by(step) {
            status = parse_response(text.get(..end.min(text.len())).unwrap_or_default(), size, bad, &mut head);
            if status != Ok(Status::Partial) {
                break;
            }
        }
        (status, head)
    }

    proptest::proptest! {
        #[test]
        fn plain_fields_are_read_as_any_other(
            parts in proptest::collection::vec(0..24usize, 0..16),
            (size, bad) in (20..40usize, 0..3usize),
        ) {
            let words: [&[u8]; 24] = [
                b"Name: value\r\n", b"A: b\r\n", b"Name:value\r\n", b"N: \r\n", b"N:\r\n", b"N:  two\r\n", b"N: v \r\n",
                b"N: a\tb\r\n", b"N: \x80\xff a long one, longer than most\r\n", b" folded\r\n", b"\tfolded\r\n", b"N : x\r\n",
                b": x\r\n", b"none\r\n", b"N: x\n", b"N: x\r", b"\r\n", b"\n", b"N: \0\r\n", b"N: \x7f\r\n", b"\x80: x\r\n",
                b"HTTP/1.1 200 OK\r\n", b"N: x:y\r\n", b"HTTP/1.1 404 Not: here\r\n",
            ];
            let mut text = b"HTTP/1.1 200 OK\r\n".to_vec();
            parts.iter().filter_map(|part| words.get(*part)).for_each(|word| text.extend_from_slice(word));
            let bad = [BadHeader::IsError, BadHeader::Ignore, BadHeader::StartBody][bad];
            let (status, whole) = parse(&text, size, bad, text.len());
            let (slow, bytewise) = parse(&text, size, bad, 1);
            proptest::prop_assert_eq!(status, slow);
            if matches!(status, Ok(Status::Complete(_))) {
                let fields = |head: &ResponseHead| -> Vec<(Vec<u8>, Vec<u8>)> {
                    head.fields(&text).map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
                };
                proptest::prop_assert_eq!(fields(&whole), fields(&bytewise));
                proptest::prop_assert_eq!(whole.skipped, bytewise.skipped);
            }
        }
    }
}

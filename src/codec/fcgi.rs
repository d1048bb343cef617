//! FastCGI records (FastCGI Specification 1.0, section 3), as a web server sends and reads them.

use std::ops::Range;

/// A request begins.
pub const BEGIN_REQUEST: u8 = 1;
/// It is over.
pub const END_REQUEST: u8 = 3;
/// Its variables.
pub const PARAMS: u8 = 4;
/// Its body.
pub const STDIN: u8 = 5;
/// The response.
pub const STDOUT: u8 = 6;
/// What the application complains about.
pub const STDERR: u8 = 7;

/// What one record may hold.
pub const CONTENT_MAX: usize = 65_535;

/// What is asked of an application: the response.
pub const RESPONDER: u16 = 1;
/// Whether the request is let in.
pub const AUTHORIZER: u16 = 2;

/// The number of the one request that a connection serves at a time.
const REQUEST: u16 = 1;

/// Appends the header of a record with this much content, at most [`CONTENT_MAX`], and no padding.
pub fn push_header(out: &mut Vec<u8>, kind: u8, content: usize) {
    let [id_high, id_low] = REQUEST.to_be_bytes();
    let [high, low] = u16::try_from(content).unwrap_or(u16::MAX).to_be_bytes();
    out.extend_from_slice(&[1, kind, id_high, id_low, high, low, 0, 0]);
}

/// Appends the record that begins a request for an application in this role.
pub fn push_begin(out: &mut Vec<u8>, role: u16, keep_connection: bool) {
    push_header(out, BEGIN_REQUEST, 8);
    let [high, low] = role.to_be_bytes();
    out.extend_from_slice(&[high, low, u8::from(keep_connection), 0, 0, 0, 0, 0]);
}

/// How many bytes a variable takes.
pub fn pair_len(name: &[u8], value: &[u8]) -> usize {
    let prefix = |len: usize| if len < 128 { 1 } else { 4 };
    prefix(name.len()) + prefix(value.len()) + name.len() + value.len()
}

/// Appends a variable; the lengths have to be below 2^31.
pub fn push_pair(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for len in [name.len(), value.len()] {
        match u8::try_from(len) {
            Ok(short @ 0..128) => out.push(short),
            _ => out.extend_from_slice(&(u32::try_from(len).unwrap_or(u32::MAX) | 1 << 31).to_be_bytes()),
        }
    }
    out.extend_from_slice(name);
    out.extend_from_slice(value);
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Another version of the protocol.
    #[error("Got bogus version {0}")]
    Version(u8),
    /// It is for another request.
    #[error("Got bogus rid {0}, expected 1")]
    Request(u16),
}

/// What the next bytes mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// More bytes are needed, or none of these mattered.
    NeedMore,
    /// Some of the response, by its place in the input.
    Out(Range<usize>),
    /// The response has been said.
    OutEnd,
    /// Some of a complaint.
    Err(Range<usize>),
    /// A record of this type, which is passed over.
    Unknown(u8),
    /// The request is over.
    End,
}

/// A part, and how many bytes of input belong to it and what stood before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// To be dropped of the input once the part is used.
    pub consumed: usize,
    /// What it is.
    pub part: Part,
}

/// Takes records apart as they come; a record's content is passed on before all of it is there.
#[derive(Debug, Default)]
pub struct Decoder {
    kind: u8,
    /// Content of the record that is still to come.
    content: usize,
    padding: usize,
}

impl Decoder {
    /// The next part of `input`. With [`Part::NeedMore`] and nothing consumed, more input is needed.
    ///
    /// # Errors
    /// The record is not one of this request.
    pub fn decode(&mut self, input: &[u8]) -> Result<Step, Error> {
        if self.content == 0 && self.padding > 0 {
            let n = self.padding.min(input.len());
            self.padding -= n;
            return Ok(Step { consumed: n, part: Part::NeedMore });
        }
        if self.content > 0 {
            return Ok(self.take(0, input.len()));
        }
        let Some([version, kind, id_high, id_low, high, low, padding, _]) = input.first_chunk::<8>() else {
            return Ok(Step { consumed: 0, part: Part::NeedMore });
        };
        if *version != 1 {
            return Err(Error::Version(*version));
        }
        let id = u16::from_be_bytes([*id_high, *id_low]);
        if id != REQUEST {
            return Err(Error::Request(id));
        }
        self.kind = *kind;
        self.content = usize::from(u16::from_be_bytes([*high, *low]));
        self.padding = usize::from(*padding);
        Ok(match self.kind {
            END_REQUEST => Step { consumed: 8, part: Part::End },
            STDOUT if self.content == 0 => Step { consumed: 8, part: Part::OutEnd },
            STDOUT | STDERR => self.take(8, input.len()),
            kind => Step { consumed: 8, part: Part::Unknown(kind) },
        })
    }

    /// Whether the next byte is the first of a record.
    pub fn is_between(&self) -> bool {
        self.content == 0 && self.padding == 0
    }

    /// What is there of the content, from `start` on.
    fn take(&mut self, start: usize, len: usize) -> Step {
        let n = self.content.min(len.saturating_sub(start));
        self.content -= n;
        let range = start..start + n;
        let part = match self.kind {
            _ if n == 0 => Part::NeedMore,
            STDOUT => Part::Out(range),
            STDERR => Part::Err(range),
            _ => Part::NeedMore,
        };
        Step { consumed: start + n, part }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, content: &[u8], padding: usize) -> Vec<u8> {
        let mut out = Vec::new();
        push_header(&mut out, kind, content.len());
        out[6] = padding as u8;
        out.extend_from_slice(content);
        out.resize(out.len() + padding, 0);
        out
    }

    /// The parts of `input` when it comes in pieces of this size.
    fn parts(input: &[u8], size: usize) -> Result<Vec<(u8, Vec<u8>)>, Error> {
        let (mut decoder, mut buffer, mut found) = (Decoder::default(), Vec::new(), Vec::<(u8, Vec<u8>)>::new());
        for piece in input.chunks(size) {
            buffer.extend_from_slice(piece);
            loop {
                let step = decoder.decode(&buffer)?;
                match step.part {
                    Part::NeedMore if step.consumed == 0 => break,
                    Part::NeedMore => {}
                    Part::Out(range) => found.push((STDOUT, buffer[range].to_vec())),
                    Part::Err(range) => found.push((STDERR, buffer[range].to_vec())),
                    Part::OutEnd => found.push((STDOUT, Vec::new())),
                    Part::Unknown(kind) => found.push((kind, Vec::new())),
                    Part::End => found.push((END_REQUEST, Vec::new())),
                }
                buffer.drain(..step.consumed);
            }
        }
        Ok(found)
    }

    #[test]
    fn records_come_apart_however_they_come() {
        let input = [
            record(STDOUT, b"abc", 5),
            record(STDERR, b"x", 0),
            record(9, b"zz", 1),
            record(STDOUT, b"", 0),
            record(END_REQUEST, &[0; 8], 0),
        ]
        .concat();
        let whole = parts(&input, 1000).unwrap();
        let want: Vec<(u8, Vec<u8>)> = vec![
            (STDOUT, b"abc".to_vec()),
            (STDERR, b"x".to_vec()),
            (9, vec![]),
            (STDOUT, vec![]),
            (END_REQUEST, vec![]),
        ];
        assert_eq!(whole, want);
        let small: Vec<u8> =
            parts(&input, 1).unwrap().into_iter().filter(|(kind, _)| *kind == STDOUT).flat_map(|(_, b)| b).collect();
        assert_eq!(small, b"abc");
    }

    #[test]
    fn strange_records_are_refused() {
        let mut bad = record(STDOUT, b"x", 0);
        bad[0] = 2;
        assert_eq!(parts(&bad, 99), Err(Error::Version(2)));
        bad[..4].copy_from_slice(&[1, STDOUT, 1, 1]);
        assert_eq!(parts(&bad, 99), Err(Error::Request(257)));
    }

    #[test]
    fn variables_have_short_and_long_lengths() {
        let mut out = Vec::new();
        push_pair(&mut out, b"A", &[b'x'; 128]);
        assert_eq!(out.len(), pair_len(b"A", &[b'x'; 128]));
        assert_eq!(out[..6], [1, 0x80, 0, 0, 128, b'A']);
        out.clear();
        push_begin(&mut out, RESPONDER, true);
        assert_eq!(out, [1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]);
    }
}

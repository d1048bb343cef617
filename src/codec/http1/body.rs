//! What frames a body, and the decoder of chunked ones.

use std::ops::Range;

use super::fields::Block;
use super::head::{RequestHead, Rules};
use super::response::ResponseHead;
use super::{Limits, Status, is_blank};
use crate::base::fold::same;

/// Blanks httpd bears behind a chunk size.
const MAX_BLANKS: usize = 10;

/// How the body of a request is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestBody {
    /// There is none.
    Empty,
    /// This many bytes.
    Length(u64),
    /// Chunked. `length_too`: a Content-Length stood beside it; drop that field and close the connection afterwards.
    Chunked {
        /// Whether a Content-Length was sent as well.
        length_too: bool,
    },
}

/// Why a message cannot be framed. For a request: 400, and the connection closes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FramingError {
    /// The Content-Length (duplicates joined by `, `) is no number. AH10242.
    BadLength(Vec<u8>),
    /// `chunked` is not the last coding. AH02539.
    UnknownCoding(Vec<u8>),
}

impl FramingError {
    /// Pushes httpd's log text (level debug); `path` is the decoded path of the request.
    pub fn push_log(&self, path: &[u8], out: &mut Vec<u8>) {
        let (before, value): (&[u8], _) = match self {
            Self::BadLength(value) => (b"AH10242: client sent invalid Content-Length (", value),
            Self::UnknownCoding(value) => (b"AH02539: client sent unknown Transfer-Encoding (", value),
        };
        for part in [before, value, b"): ", path] {
            out.extend_from_slice(part);
        }
    }
}

/// Frames the body of a request.
///
/// # Errors
/// A Content-Length that is no plain number (also beside chunked), or codings of which `chunked` is not the last.
pub fn request_body(head: &RequestHead, buf: &[u8]) -> Result<RequestBody, FramingError> {
    let (mut length, mut coding) = (None, None);
    if !head.may_have_body() {
        return Ok(RequestBody::Empty);
    }
    for (name, value) in head.fields(buf) {
        match name.len() {
            14 if same(name, b"content-length") => join(&mut length, value),
            17 if same(name, b"transfer-encoding") => join(&mut coding, value),
            _ => {}
        }
    }
    let number = match &length {
        Some(text) => Some(strict_length(text.text()).ok_or_else(|| FramingError::BadLength(text.text().to_vec()))?),
        None => None,
    };
    match coding {
        Some(list) if last_is_chunked(list.text()) => Ok(RequestBody::Chunked { length_too: length.is_some() }),
        Some(list) => Err(FramingError::UnknownCoding(list.text().to_vec())),
        None => Ok(number.map_or(RequestBody::Empty, RequestBody::Length)),
    }
}

/// A value, joined with its duplicates only if there are any.
enum Joined<'a> {
    One(&'a [u8]),
    Many(Vec<u8>),
}

impl Joined<'_> {
    fn text(&self) -> &[u8] {
        match self {
            Self::One(text) => text,
            Self::Many(text) => text,
        }
    }
}

fn join<'a>(into: &mut Option<Joined<'a>>, value: &'a [u8]) {
    *into = Some(match into.take() {
        None => Joined::One(value),
        Some(before) => Joined::Many([before.text(), b", ", value].concat()),
    });
}

/// Digits only, at most `i64::MAX`.
fn strict_length(text: &[u8]) -> Option<u64> {
    let mut n: i64 = 0;
    for c in text {
        let digit = i64::from(c.checked_sub(b'0').filter(|d| *d < 10)?);
        n = n.checked_mul(10)?.checked_add(digit)?;
    }
    if text.is_empty() { None } else { u64::try_from(n).ok() }
}

/// Whether the last coding of a list is chunked.
pub fn last_is_chunked(list: &[u8]) -> bool {
    list.rsplit(|c| *c == b',').next().is_some_and(|last| same(last.trim_ascii(), b"chunked"))
}

/// How the body of a backend's response is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseBody {
    /// There is none: HEAD, 1xx, 204, 304.
    Empty,
    /// This many bytes.
    Length(u64),
    /// Chunked. `length_too`: drop the Content-Length and do not reuse the connection.
    Chunked {
        /// Whether a Content-Length was sent as well.
        length_too: bool,
    },
    /// Up to the end of the connection.
    Close,
}

/// Frames the body of a response; the first Content-Length counts.
///
/// # Errors
/// A Content-Length that is no plain number.
pub fn response_body(head: &ResponseHead, buf: &[u8], to_head: bool) -> Result<ResponseBody, FramingError> {
    if to_head || matches!(head.status, 100..=199 | 204 | 304) {
        return Ok(ResponseBody::Empty);
    }
    let length = head.values(buf, b"content-length").next();
    let coding = head.values(buf, b"transfer-encoding").last();
    match (coding, length) {
        (Some(list), _) if last_is_chunked(list) => Ok(ResponseBody::Chunked { length_too: length.is_some() }),
        (None, Some(text)) => {
            strict_length(text).map(ResponseBody::Length).ok_or_else(|| FramingError::BadLength(text.to_vec()))
        }
        _ => Ok(ResponseBody::Close),
    }
}

/// Why a chunked body is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// A size line or the end of a chunk is malformed: 400.
    Malformed,
    /// A size beyond 63 bits or a size line beyond its limit: 413.
    TooLarge,
    /// The trailer section is refused: 400.
    Trailer,
}

impl BodyError {
    /// The status of the answer to a client.
    pub fn status(self) -> u16 {
        if self == Self::TooLarge { 413 } else { 400 }
    }
}

/// What a step of decoding gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Body data: this range of the input (inside the consumed bytes).
    Data(Range<usize>),
    /// The rest of the input does not suffice.
    NeedMore,
    /// The body and its trailer section are over.
    End,
}

/// One step of decoding: drop `consumed` bytes of the input once the data in it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Bytes of the input that are done with.
    pub consumed: usize,
    /// What they gave.
    pub part: Part,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first digit of a size.
    Size,
    Digits,
    Blanks,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailer,
    Done,
}

/// Decodes a chunked body without copying.
#[derive(Debug)]
pub struct Chunked {
    state: State,
    left: u64,
    /// Length of the current size line so far.
    used: usize,
    blanks: usize,
    limits: Limits,
    rules: Rules,
    block: Block,
    trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Chunked {
    /// A decoder; `limits` bound size lines (`field_size`) and trailers, `rules.strict` demands CR LF.
    pub fn new(limits: Limits, rules: Rules) -> Self {
        Self {
            state: State::Size,
            left: 0,
            used: 0,
            blanks: 0,
            limits,
            rules,
            block: Block::default(),
            trailers: Vec::new(),
        }
    }

    /// The trailer fields, once the body is over.
    pub fn trailers(&self) -> &[(Vec<u8>, Vec<u8>)] {
        &self.trailers
    }

    /// Whether the data that was found last ends its chunk.
    pub fn chunk_ends(&self) -> bool {
        self.left == 0
    }

    /// Whether the body is over.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Decodes from `input`, which starts with the bytes not consumed so far. The trailer section is consumed whole:
    /// while it is incomplete, the input must stay and grow.
    ///
    /// # Errors
    /// What httpd refuses; the decoder is of no use afterwards.
    pub fn decode(&mut self, input: &[u8]) -> Result<Step, BodyError> {
        let mut at = 0;
        loop {
            match self.state {
                State::Done => return Ok(Step { consumed: at, part: Part::End }),
                State::Trailer => return self.trailer(input, at),
                State::Data => {
                    let here = input.len().saturating_sub(at);
                    let take = usize::try_from(self.left).unwrap_or(usize::MAX).min(here);
                    if take == 0 {
                        return Ok(Step { consumed: at, part: Part::NeedMore });
                    }
                    self.left -= take as u64;
                    if self.left == 0 {
                        self.state = State::DataCr;
                    }
                    return Ok(Step { consumed: at + take, part: Part::Data(at..at + take) });
                }
                _ => {}
            }
            let Some(c) = input.get(at).copied() else {
                return Ok(Step { consumed: at, part: Part::NeedMore });
            };
            at += 1;
            self.frame_byte(c)?;
        }
    }

    fn frame_byte(&mut self, c: u8) -> Result<(), BodyError> {
        match self.state {
            State::DataCr if c == b'\r' => self.state = State::DataLf,
            State::DataCr | State::DataLf => {
                if c != b'\n' || (self.state == State::DataCr && self.rules.strict) {
                    return Err(BodyError::Malformed);
                }
                self.state = State::Size;
            }
            State::Size => {
                if !c.is_ascii_hexdigit() {
                    return Err(BodyError::Malformed);
                }
                (self.left, self.used, self.blanks) = (0, 0, 0);
                self.state = State::Digits;
                self.size_byte(c)?;
            }
            _ => self.size_byte(c)?,
        }
        Ok(())
    }

    /// A byte of a size line.
    fn size_byte(&mut self, c: u8) -> Result<(), BodyError> {
        self.used += 1;
        if self.used > self.limits.field_size {
            return Err(BodyError::TooLarge);
        }
        match (self.state, c) {
            (State::SizeLf, b'\n') => self.size_done(),
            (State::SizeLf, _) => return Err(BodyError::Malformed),
            (_, b'\r') => self.state = State::SizeLf,
            (_, b'\n') if self.rules.strict => return Err(BodyError::Malformed),
            (_, b'\n') => self.size_done(),
            (State::Extension, c) if super::is_content(c) => {}
            (State::Digits | State::Blanks, b';') => self.state = State::Extension,
            (State::Digits | State::Blanks, c) if is_blank(c) => {
                self.state = State::Blanks;
                self.blanks += 1;
                if self.blanks > MAX_BLANKS {
                    return Err(BodyError::Malformed);
                }
            }
            (State::Digits, c) => {
                let digit = char::from(c).to_digit(16).ok_or(BodyError::Malformed)?;
                if self.left >> 59 != 0 {
                    return Err(BodyError::TooLarge);
                }
                self.left = (self.left << 4) | u64::from(digit);
            }
            _ => return Err(BodyError::Malformed),
        }
        Ok(())
    }

    fn size_done(&mut self) {
        if self.left > 0 {
            self.state = State::Data;
        } else {
            self.state = State::Trailer;
            self.block.begin(0);
        }
    }

    fn trailer(&mut self, input: &[u8], at: usize) -> Result<Step, BodyError> {
        let rest = input.get(at..).unwrap_or_default();
        match self.block.parse(rest, &self.limits, &self.rules) {
            Ok(Status::Partial) => Ok(Step { consumed: at, part: Part::NeedMore }),
            Ok(Status::Complete(len)) => {
                let block = &self.block;
                let copy = |span| block.bytes(rest, span).to_vec();
                self.trailers = block.fields.iter().map(|f| (copy(f.name), copy(f.value))).collect();
                self.state = State::Done;
                Ok(Step { consumed: at + len, part: Part::End })
            }
            Err(_) => Err(BodyError::Trailer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::http1::parse_request;

    fn frame(fields: &[u8]) -> Result<RequestBody, FramingError> {
        let buf = [b"GET / HTTP/1.1\r\n", fields, b"\r\n"].concat();
        let mut head = RequestHead::default();
        parse_request(&buf, &Limits::default(), &Rules::default(), &mut head).unwrap();
        request_body(&head, &buf)
    }

    #[test]
    fn bodies_are_framed_as_httpd_does() {
        let bad = |v: &[u8]| Err(FramingError::BadLength(v.to_vec()));
        let coding = |v: &[u8]| Err(FramingError::UnknownCoding(v.to_vec()));
        assert_eq!(frame(b""), Ok(RequestBody::Empty));
        assert_eq!(frame(b"Content-Length: 7 \r\n"), Ok(RequestBody::Length(7)));
        assert_eq!(frame(b"Content-Length: x\r\n"), bad(b"x"));
        assert_eq!(frame(b"Content-Length: -1\r\n"), bad(b"-1"));
        assert_eq!(frame(b"Content-Length: +1\r\n"), bad(b"+1"));
        assert_eq!(frame(b"Content-Length:\r\n"), bad(b""));
        assert_eq!(frame(b"Content-Length: 9223372036854775808\r\n"), bad(b"9223372036854775808"));
        assert_eq!(frame(b"Content-Length: 1\r\nContent-Length: 1\r\n"), bad(b"1, 1"));
        assert_eq!(frame(b"Transfer-Encoding: gzip\r\n"), coding(b"gzip"));
        assert_eq!(frame(b"Transfer-Encoding: chunked, gzip\r\n"), coding(b"chunked, gzip"));
        assert_eq!(frame(b"Transfer-Encoding:\r\n"), coding(b""));
        let chunked = |length_too| Ok(RequestBody::Chunked { length_too });
        assert_eq!(frame(b"Transfer-Encoding: gzip, chunked\r\n"), chunked(false));
        assert_eq!(frame(b"Transfer-Encoding: chunked, chunked\r\n"), chunked(false));
        assert_eq!(frame(b"Transfer-Encoding: cHunked\r\nContent-Length: 5\r\n"), chunked(true));
        assert_eq!(frame(b"Transfer-Encoding: chunked\r\nContent-Length: x\r\n"), bad(b"x"));
    }

    type Decoded = Result<(Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>, bool), BodyError>;

    /// Feeds `pieces` one after the other.
    fn decode(pieces: &[&[u8]]) -> Decoded {
        let mut decoder = Chunked::new(Limits::default(), Rules::default());
        let (mut held, mut data) = (Vec::new(), Vec::new());
        for piece in pieces {
            held.extend_from_slice(piece);
            loop {
                let step = decoder.decode(&held)?;
                if let Part::Data(range) = &step.part {
                    data.extend_from_slice(&held[range.clone()]);
                }
                held.drain(..step.consumed);
                if !matches!(step.part, Part::Data(_)) {
                    break;
                }
            }
        }
        Ok((data, decoder.trailers().to_vec(), decoder.is_done()))
    }

    #[test]
    fn chunks_with_extensions_and_trailers() {
        let whole = b"5;a=b\r\nhello\r\n00a \r\n0123456789\r\n0\r\nX-T: v\r\n\r\n";
        let want = Ok((b"hello0123456789".to_vec(), vec![(b"X-T".to_vec(), b"v".to_vec())], true));
        assert_eq!(decode(&[whole]), want);
        for cut in 0..whole.len() {
            assert_eq!(decode(&[&whole[..cut], &whole[cut..]]), want, "cut at {cut}");
        }
    }

    #[test]
    fn bad_chunks() {
        for bad in
            [&b"\r\n"[..], b"x\r\n", b"5\nhello", b"1\r\nab", b"1x\r\n", b"-1\r\n", b"1;\x01\r\n", b"1           \r\n"]
        {
            assert_eq!(decode(&[bad]), Err(BodyError::Malformed), "{bad:?}");
        }
        assert_eq!(decode(&[b"8000000000000000\r\n"]), Err(BodyError::TooLarge));
        assert_eq!(decode(&[b"0\r\nno colon\r\n\r\n"]), Err(BodyError::Trailer));
        assert_eq!(decode(&[b"1;", &[b'a'; 9000]]), Err(BodyError::TooLarge));
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_split_anywhere_decode_alike(input: Vec<u8>, cut: usize) {
            let cut = if input.is_empty() { 0 } else { cut % input.len() };
            proptest::prop_assert_eq!(decode(&[&input]), decode(&[&input[..cut], &input[cut..]]));
        }
    }
}

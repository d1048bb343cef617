//! What the container sends.

use super::packet::{Overflow, Reader, Sender, Writer, push_whole};
use super::{CHUNK_OVERHEAD, Error, names};

const SEND_BODY_CHUNK: u8 = 0x03;
const SEND_HEADERS: u8 = 0x04;
const END_RESPONSE: u8 = 0x05;
const GET_BODY_CHUNK: u8 = 0x06;
const CPONG: u8 = 0x09;

/// A packet of the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// Status and headers.
    Headers(SendHeaders<'a>),
    /// Body data; empty asks to flush what was sent so far.
    Chunk(&'a [u8]),
    /// Send more of the request's body, at most this much.
    GetBody(u16),
    /// The response is complete.
    End {
        /// The connection may be used again; otherwise the web server closes it.
        reuse: bool,
    },
    /// The answer to CPING.
    Cpong,
}

impl<'a> Reply<'a> {
    /// Reads a payload.
    ///
    /// # Errors
    /// Anything malformed; bytes behind a complete value are ignored, except behind body data.
    pub fn decode(payload: &'a [u8]) -> Result<Self, Error> {
        let mut from = Reader(payload);
        match from.u8()? {
            SEND_BODY_CHUNK => chunk(from).map(Self::Chunk),
            SEND_HEADERS => SendHeaders::decode(from).map(Self::Headers),
            // Without its flag it ends the response all the same, and the connection with it.
            END_RESPONSE => Ok(Self::End { reuse: from.u8().is_ok_and(|flag| flag != 0) }),
            // httpd does not look at the number.
            GET_BODY_CHUNK => Ok(Self::GetBody(from.u16().unwrap_or(u16::MAX))),
            CPONG => Ok(Self::Cpong),
            other => Err(Error::Type(other)),
        }
    }
}

/// Length, data and one byte behind them must be the whole packet.
fn chunk(mut from: Reader<'_>) -> Result<&[u8], Error> {
    let said = usize::from(from.u16()?);
    let held = from.0.len().checked_sub(1).ok_or(Error::NoChunk)?;
    if said != held {
        return Err(Error::Chunk { said, held });
    }
    from.bytes(said)
}

/// The head of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendHeaders<'a> {
    /// The status.
    pub status: u16,
    /// The reason phrase; Tomcat sends the status in decimal.
    pub reason: Option<&'a [u8]>,
    count: u16,
    rest: Reader<'a>,
}

impl<'a> SendHeaders<'a> {
    fn decode(mut from: Reader<'a>) -> Result<Self, Error> {
        let status = from.u16().map_err(|_| Error::Status)?;
        let reason = from.string()?;
        let count = from.u16()?;
        let rest = from;
        for _ in 0..count {
            header(&mut from)?;
        }
        Ok(Self { status, reason, count, rest })
    }

    /// Names and values in order.
    pub fn headers(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut from = self.rest;
        // Checked by `decode`: none of them fails.
        (0..self.count).map_while(move |_| header(&mut from).ok())
    }
}

fn header<'a>(from: &mut Reader<'a>) -> Result<(&'a [u8], &'a [u8]), Error> {
    let name = match from.peek_u16() {
        Some(code) if names::is_coded(code) => {
            from.u16()?;
            names::response_header_name(code).ok_or(Error::Header(code))?
        }
        Some(_) => from.text().map_err(|_| Error::HeaderName)?,
        None => return Err(Error::HeaderCount),
    };
    Ok((name, from.text().map_err(|_| Error::HeaderValue)?))
}

/// Writes a SEND_HEADERS piece by piece.
#[derive(Debug)]
pub struct HeadersWriter<'a> {
    packet: Writer<'a, ()>,
    count_at: usize,
    count: u16,
}

impl<'a> HeadersWriter<'a> {
    /// Begins a packet of at most `max` bytes at the end of `out`.
    pub fn new(out: &'a mut Vec<u8>, max: usize, status: u16, reason: &[u8]) -> Self {
        let mut packet = Writer::begin(out, max, Sender::Container);
        packet.u8(SEND_HEADERS, ());
        packet.u16(status, ());
        packet.string(reason, ());
        let count_at = packet.position();
        packet.u16(0, ());
        Self { packet, count_at, count: 0 }
    }

    /// Adds a header.
    pub fn header(&mut self, name: &[u8], value: &[u8]) {
        match names::response_header_code(name) {
            Some(code) => self.packet.u16(code, ()),
            None => self.packet.string(name, ()),
        }
        self.packet.string(value, ());
        self.count = self.count.saturating_add(1);
    }

    /// Ends the packet.
    ///
    /// # Errors
    /// The headers found no room; the buffer is as it was before.
    pub fn finish(mut self) -> Result<(), Overflow<()>> {
        self.packet.patch(self.count_at, self.count);
        self.packet.finish()
    }
}

/// Appends a SEND_BODY_CHUNK with as much of `data` as fits into `max` bytes, and says how much that was.
pub fn push_body_chunk(out: &mut Vec<u8>, max: usize, data: &[u8]) -> usize {
    let most = max.min(super::MAX_PACKET_SIZE).saturating_sub(CHUNK_OVERHEAD);
    let data = data.get(..most).unwrap_or(data);
    let count = u16::try_from(data.len()).unwrap_or(u16::MAX);
    push_whole(out, Sender::Container, &[&[SEND_BODY_CHUNK], &count.to_be_bytes(), data, &[0]]);
    data.len()
}

/// Appends the empty SEND_BODY_CHUNK that asks to flush.
pub fn push_flush(out: &mut Vec<u8>) {
    push_whole(out, Sender::Container, &[&[SEND_BODY_CHUNK, 0, 0, 0]]);
}

/// Appends a GET_BODY_CHUNK for at most `most` bytes.
pub fn push_get_body_chunk(out: &mut Vec<u8>, most: u16) {
    push_whole(out, Sender::Container, &[&[GET_BODY_CHUNK], &most.to_be_bytes()]);
}

/// Appends an END_RESPONSE.
pub fn push_end_response(out: &mut Vec<u8>, reuse: bool) {
    push_whole(out, Sender::Container, &[&[END_RESPONSE, u8::from(reuse)]]);
}

/// Appends a CPONG.
pub fn push_cpong(out: &mut Vec<u8>) {
    push_whole(out, Sender::Container, &[&[CPONG]]);
}

//! Framing and the values packets are made of: big-endian integers and counted, zero-terminated strings.

use super::{Error, HEADER};

/// Who sent the packets that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// Signature `12 34`; nothing else is accepted from a web server.
    WebServer,
    /// Signature `AB`; httpd takes the other one from a container too, and so do we.
    Container,
}

/// The signature of a web server's packets.
const FROM_WEB_SERVER: [u8; 2] = [0x12, 0x34];
/// The signature of a container's packets.
const FROM_CONTAINER: [u8; 2] = *b"AB";
/// The length of a null string.
const NULL: u16 = 0xffff;

/// A complete packet at the front of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What is behind its header.
    pub payload: &'a [u8],
    /// Bytes of the buffer it takes.
    pub len: usize,
}

/// The packet at the front of `buf`; `None` while it is incomplete. `max` bounds header and payload together.
///
/// # Errors
/// A wrong signature or a length beyond `max`, as soon as the header is there.
pub fn split(buf: &[u8], max: usize, sender: Sender) -> Result<Option<Packet<'_>>, Error> {
    let [first, second, high, low, rest @ ..] = buf else { return Ok(None) };
    let signature = [*first, *second];
    let known = match sender {
        Sender::WebServer => signature == FROM_WEB_SERVER,
        Sender::Container => signature == FROM_CONTAINER || signature == FROM_WEB_SERVER,
    };
    if !known {
        return Err(Error::Signature(*first, *second));
    }
    let payload = usize::from(u16::from_be_bytes([*high, *low]));
    let len = HEADER + payload;
    if len > max {
        return Err(Error::TooLarge { length: len, max });
    }
    Ok(rest.get(..payload).map(|payload| Packet { payload, len }))
}

/// Reads values from the front of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn u8(&mut self) -> Result<u8, Error> {
        let (first, rest) = self.0.split_first().ok_or(Error::Short)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Error> {
        let (value, rest) = self.0.split_first_chunk::<2>().ok_or(Error::Short)?;
        self.0 = rest;
        Ok(u16::from_be_bytes(*value))
    }

    /// The next `u16`, left in place.
    pub(super) fn peek_u16(&self) -> Option<u16> {
        self.0.first_chunk::<2>().map(|value| u16::from_be_bytes(*value))
    }

    pub(super) fn bytes(&mut self, n: usize) -> Result<&'a [u8], Error> {
        let (bytes, rest) = self.0.split_at_checked(n).ok_or(Error::Short)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// A string; `None` is null.
    pub(super) fn string(&mut self) -> Result<Option<&'a [u8]>, Error> {
        match self.u16()? {
            NULL => Ok(None),
            n => {
                let text = self.bytes(usize::from(n))?;
                if self.u8()? == 0 { Ok(Some(text)) } else { Err(Error::Unterminated) }
            }
        }
    }

    /// A string that must not be null.
    pub(super) fn text(&mut self) -> Result<&'a [u8], Error> {
        self.string()?.ok_or(Error::Null)
    }
}

/// A packet would exceed its limit; nothing of it stays in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a packet of {len} bytes has no room for its next value")]
pub struct Overflow<P> {
    /// What found no room.
    pub part: P,
    /// Length of the packet before it, header included.
    pub len: usize,
}

/// Appends one packet to a buffer; after the first value without room nothing more is written.
#[derive(Debug)]
pub(super) struct Writer<'a, P> {
    out: &'a mut Vec<u8>,
    start: usize,
    max: usize,
    failed: Option<Overflow<P>>,
}

impl<'a, P: Copy> Writer<'a, P> {
    pub(super) fn begin(out: &'a mut Vec<u8>, max: usize, sender: Sender) -> Self {
        let start = out.len();
        out.extend_from_slice(match sender {
            Sender::WebServer => &FROM_WEB_SERVER,
            Sender::Container => &FROM_CONTAINER,
        });
        out.extend_from_slice(&[0, 0]);
        Self { out, start, max: max.min(HEADER + usize::from(u16::MAX)), failed: None }
    }

    /// Whether `n` more bytes fit; if not, the packet has failed.
    fn room(&mut self, n: usize, part: P) -> bool {
        if self.failed.is_none() {
            let len = self.out.len() - self.start;
            if len.saturating_add(n) <= self.max {
                return true;
            }
            self.failed = Some(Overflow { part, len });
        }
        false
    }

    pub(super) fn u8(&mut self, value: u8, part: P) {
        if self.room(1, part) {
            self.out.push(value);
        }
    }

    pub(super) fn u16(&mut self, value: u16, part: P) {
        if self.room(2, part) {
            self.out.extend_from_slice(&value.to_be_bytes());
        }
    }

    pub(super) fn string(&mut self, text: &[u8], part: P) {
        let count = u16::try_from(text.len()).ok().filter(|count| *count != NULL);
        if self.room(text.len().saturating_add(3), part)
            && let Some(count) = count
        {
            self.out.extend_from_slice(&count.to_be_bytes());
            self.out.extend_from_slice(text);
            self.out.push(0);
        }
    }

    pub(super) fn null(&mut self, part: P) {
        self.u16(NULL, part);
    }

    /// Where the next byte goes, counted from the start of the buffer.
    pub(super) fn position(&self) -> usize {
        self.out.len()
    }

    /// Replaces the two bytes at a [`Writer::position`] noted before.
    pub(super) fn patch(&mut self, at: usize, value: u16) {
        if let Some(place) = self.out.get_mut(at..at + 2) {
            place.copy_from_slice(&value.to_be_bytes());
        }
    }

    /// Fills in the length, or takes the unfinished packet back out.
    pub(super) fn finish(mut self) -> Result<(), Overflow<P>> {
        if let Some(overflow) = self.failed {
            self.out.truncate(self.start);
            return Err(overflow);
        }
        let payload = self.out.len() - self.start - HEADER;
        self.patch(self.start + 2, u16::try_from(payload).unwrap_or(u16::MAX));
        Ok(())
    }
}

/// Appends a packet of fixed form.
pub(super) fn push_whole(out: &mut Vec<u8>, sender: Sender, payload: &[&[u8]]) {
    let len: usize = payload.iter().map(|part| part.len()).sum();
    debug_assert!(len <= usize::from(u16::MAX));
    out.extend_from_slice(match sender {
        Sender::WebServer => &FROM_WEB_SERVER,
        Sender::Container => &FROM_CONTAINER,
    });
    out.extend_from_slice(&u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes());
    for part in payload {
        out.extend_from_slice(part);
    }
}

//! What comes in on an HTTP/1 connection: the buffer it is read into, and request bodies found there.

use std::io;
use std::task::{Context, Poll, ready};

use tokio::time::Instant;

use super::link::far;
use super::rates::Stage;
use super::wire::Http1;
use crate::codec::http1::{BodyError, Chunked, Part};
use crate::web::{BodyFault, Wire};

/// Size of a read buffer.
pub(super) const IN_SIZE: usize = 16 * 1024;

/// Size it grows to for large bodies.
const IN_LARGE: usize = 64 * 1024;

/// The most a buffer grows to for a head or a trailer section, whatever the limits say.
const IN_MOST: usize = 16 * 1024 * 1024;

/// Bytes read and not used yet: a part of a buffer that is kept.
pub(super) struct Input {
    pub(super) buf: Vec<u8>,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Input {
    pub(super) fn bytes(&self) -> &[u8] {
        self.buf.get(self.start..self.end).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start >= self.end
    }

    /// Makes room behind the bytes; `false` when there is as much as there may be.
    fn make_room(&mut self) -> bool {
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buf.len() {
            if self.start > 0 {
                self.buf.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            } else if self.buf.len() < IN_MOST {
                self.buf.resize(self.buf.len() * 2, 0);
            }
        }
        self.end < self.buf.len()
    }
}

/// How the body comes.
pub(super) enum Incoming {
    None,
    Length(u64),
    Chunked(Chunked),
}

/// What became of `Expect: 100-continue`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Expect {
    /// Nothing was asked, or it was answered.
    Nothing,
    /// The client waits; reading the body invites it.
    Waiting,
    /// The client waits; nobody but the handler invites it.
    ByHandler,
}

/// Why a body could not be read, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The chunks are malformed.
    Chunk(BodyError),
    /// More than LimitRequestBody was announced.
    Announced(u64),
    /// More than LimitRequestBody came.
    Came(u64),
    /// RequestReadTimeout.
    Slow,
}

impl Http1<'_> {
    /// Reads more into the input; zero is the end. `until` bounds the wait beside Timeout.
    pub(super) fn poll_more(&mut self, cx: &mut Context<'_>, until: Option<Instant>) -> Poll<io::Result<usize>> {
        if !self.input.make_room() {
            return Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()));
        }
        let Input { buf, end, .. } = &mut self.input;
        let room = buf.get_mut(*end..).unwrap_or_default();
        match self.link.poll_read(cx, room) {
            Poll::Ready(read) => {
                self.patience = (None, None);
                if let Ok(n) = read {
                    self.input.end += n;
                }
                match read {
                    Ok(0) => self.ended = true,
                    Err(_) => self.gone = true,
                    Ok(_) => {}
                }
                Poll::Ready(read)
            }
            Poll::Pending => {
                let own = self.timeout;
                let late = *self.patience.0.get_or_insert_with(|| {
                    let own = far(Instant::now(), own);
                    until.map_or(own, |until| until.min(own))
                });
                ready!(self.poll_late(cx, late));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }

    /// Body bytes in [`Wire::body`]: how many, zero at the end.
    pub(super) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, BodyFault>> {
        if !self.data.is_empty() {
            return Poll::Ready(Ok(self.data.len()));
        }
        if let Incoming::Length(left) = self.incoming
            && self.limit > 0
            && self.taken + left > self.limit
        {
            self.trouble = Some(Trouble::Announced(self.taken + left));
            return Poll::Ready(Err(BodyFault::TooLarge));
        }
        if self.expect == Expect::Waiting && !self.head_out && !matches!(self.incoming, Incoming::None) {
            self.continue_now(true);
        }
        loop {
            if let Some(n) = self.decode()? {
                self.taken += n as u64;
                if self.limit > 0 && self.taken > self.limit {
                    self.trouble = Some(Trouble::Came(self.taken));
                    return Poll::Ready(Err(BodyFault::TooLarge));
                }
                return Poll::Ready(Ok(n));
            }
            if self.gone || self.ended {
                return Poll::Ready(Err(BodyFault::Gone));
            }
            if self.has_output() {
                ready!(self.poll_out(cx)).map_err(|_| BodyFault::Gone)?;
            }
            // Who fills the buffer at once may have a larger one; who sends slowly does not hold memory for it.
            if let Incoming::Length(left) = self.incoming
                && self.input.is_empty()
                && self.input.end == self.input.buf.len()
                && left > IN_SIZE as u64
                && self.input.buf.len() < IN_LARGE
            {
                self.input.buf.resize(IN_LARGE, 0);
            }
            let until = self.stage.as_mut().map(Stage::deadline);
            let read = ready!(self.poll_more(cx, until));
            match read {
                Ok(0) => return Poll::Ready(Err(BodyFault::Gone)),
                Ok(n) => {
                    if let Some(stage) = &mut self.stage {
                        stage.received(n);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    if self.stage.as_mut().is_some_and(|stage| stage.deadline() <= Instant::now()) {
                        self.trouble = Some(Trouble::Slow);
                    }
                    return Poll::Ready(Err(BodyFault::Timeout));
                }
                Err(_) => return Poll::Ready(Err(BodyFault::Gone)),
            }
        }
    }

    /// Finds body bytes in the input: how many, zero at the end, `None` when more must be read.
    fn decode(&mut self) -> Result<Option<usize>, BodyFault> {
        let have = self.input.end.saturating_sub(self.input.start);
        match &mut self.incoming {
            Incoming::None | Incoming::Length(0) => Ok(Some(0)),
            Incoming::Length(left) => {
                let n = usize::try_from(*left).unwrap_or(usize::MAX).min(have);
                if n == 0 {
                    return Ok(None);
                }
                if let Some(dump) = &self.dump {
                    let from = self.input.start;
                    dump.body(self.input.buf.get(from..from + n).unwrap_or_default(), *left);
                }
                *left -= n as u64;
                self.data = self.input.start..self.input.start + n;
                self.input.start += n;
                self.bytes_in += n as u64;
                Ok(Some(n))
            }
            Incoming::Chunked(decoder) => {
                let from = self.input.start;
                let step = decoder.decode(self.input.buf.get(from..self.input.end).unwrap_or_default());
                let step = step.map_err(|error| {
                    self.trouble = Some(Trouble::Chunk(error));
                    let rest = self.input.buf.get(from..self.input.end).unwrap_or_default();
                    let line = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
                    self.bytes_in += line as u64;
                    match error {
                        BodyError::TooLarge => BodyFault::TooLarge,
                        BodyError::Trailer => BodyFault::Trailer,
                        BodyError::Malformed => BodyFault::Malformed,
                    }
                })?;
                if let Some(dump) = &self.dump {
                    let all = self.input.buf.get(from..from + step.consumed).unwrap_or_default();
                    let data = if let Part::Data(range) = &step.part { range.clone() } else { all.len()..all.len() };
                    dump.lines(all.get(..data.start).unwrap_or_default());
                    dump.body(all.get(data.clone()).unwrap_or_default(), data.len() as u64);
                    dump.lines(all.get(data.end..).unwrap_or_default());
                }
                self.input.start += step.consumed;
                self.bytes_in += step.consumed as u64;
                match step.part {
                    Part::Data(range) => {
                        self.data = from + range.start..from + range.end;
                        Ok(Some(range.len()))
                    }
                    Part::NeedMore => Ok(None),
                    Part::End => {
                        for (name, value) in decoder.trailers() {
                            self.trailers.add(name, value);
                        }
                        self.incoming = Incoming::None;
                        Ok(Some(0))
                    }
                }
            }
        }
    }
}

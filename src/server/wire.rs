//! One request's view of its HTTP/1 connection: the response out, and the body of the request by way of `incoming`.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use super::incoming::{Expect, Incoming, Input, Trouble};
use super::link::{Link, far};
use super::rates::Stage;
use crate::codec::http1::write::{CHUNK_END, LAST_CHUNK, push_chunk_start, push_field, push_status_line};
use crate::logs::Dump;
use crate::web::{BodyFault, BodyKind, Framing, HeadOut, Table, Tunnel, Wire};

/// What the output buffer holds before it is written without being asked.
const OUT_MAX: usize = 16 * 1024;

/// A last part of a body that is shorter is copied behind the head in front of it, as that costs less than two pieces.
const UNCOPIED: usize = 4096;

/// The interim response that invites the body.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// An HTTP/1 connection that serves one request after the other.
pub(super) struct Http1<'a> {
    pub(super) link: &'a mut Link,
    pub(super) input: Input,
    pub(super) out: Vec<u8>,
    /// How much of `out` is written.
    sent: usize,
    pub(super) timeout: Duration,
    /// When a read, and a write, that wait now are late. Progress either way gives both new time.
    pub(super) patience: (Option<Instant>, Option<Instant>),
    pub(super) incoming: Incoming,
    /// Body bytes in the input that are ready.
    pub(super) data: Range<usize>,
    /// Body bytes handed out.
    pub(super) taken: u64,
    pub(super) limit: u64,
    pub(super) expect: Expect,
    pub(super) trailers: Table,
    framing: Framing,
    /// Left of a body with length.
    left: u64,
    /// Left of the chunk that is being sent.
    chunk: u64,
    pub(super) head_out: bool,
    pub(super) keep_alive: bool,
    pub(super) aborted: bool,
    /// The client sends nothing more.
    pub(super) ended: bool,
    /// The socket failed.
    pub(super) gone: bool,
    /// Responses that wait in `out` because more requests are here already.
    held: u32,
    pub(super) hold_most: u32,
    /// Bytes of this request and its response.
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) trouble: Option<Trouble>,
    /// Rate the body must come at.
    pub(super) stage: Option<Stage>,
    /// Where all bytes are shown.
    pub(super) dump: Option<Box<Dump>>,
}

impl<'a> Http1<'a> {
    pub(super) fn new(link: &'a mut Link, buf: Vec<u8>, out: Vec<u8>) -> Self {
        Self {
            link,
            input: Input { buf, start: 0, end: 0 },
            out,
            sent: 0,
            timeout: Duration::from_secs(60),
            patience: (None, None),
            incoming: Incoming::None,
            data: 0..0,
            taken: 0,
            limit: 0,
            expect: Expect::Nothing,
            trailers: Table::default(),
            framing: Framing::None,
            left: 0,
            chunk: 0,
            head_out: false,
            keep_alive: false,
            aborted: false,
            ended: false,
            gone: false,
            held: 0,
            hold_most: 0,
            bytes_in: 0,
            bytes_out: 0,
            trouble: None,
            stage: None,
            dump: None,
        }
    }

    /// Ready for the next request; what is read ahead stays.
    pub(super) fn next(&mut self) {
        self.incoming = Incoming::None;
        self.data = 0..0;
        self.taken = 0;
        self.limit = 0;
        self.expect = Expect::Nothing;
        self.trailers.clear();
        self.framing = Framing::None;
        self.left = 0;
        self.chunk = 0;
        self.head_out = false;
        self.keep_alive = false;
        self.bytes_in = 0;
        self.bytes_out = 0;
        self.trouble = None;
        self.stage = None;
        if let Some(dump) = &self.dump {
            dump.next();
        }
    }

    /// Marks `n` bytes of the input as used outside of any body (a head).
    pub(super) fn used(&mut self, n: usize) {
        self.input.start += n;
        self.bytes_in += n as u64;
    }

    /// Ready when what is waited for has not come by then.
    pub(super) fn poll_late(&mut self, cx: &mut Context<'_>, late: Instant) -> Poll<()> {
        self.link.wait_until(late);
        ready!(self.link.poll_timer(cx));
        self.patience = (None, None);
        Poll::Ready(())
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let pending = self.out.get(self.sent..).unwrap_or_default();
        let both = [IoSlice::new(pending), IoSlice::new(data)];
        let parts = match (pending.is_empty(), data.is_empty()) {
            (true, _) => &both[1..],
            (_, true) => &both[..1],
            _ => &both[..],
        };
        match self.link.poll_write(cx, parts) {
            Poll::Ready(written) => {
                self.patience = (None, None);
                let done = match written {
                    Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                    written => written,
                };
                self.gone |= done.is_err();
                Poll::Ready(done)
            }
            Poll::Pending => self.poll_unwritten(cx).map(Err),
        }
    }

    /// Nothing that was written waits below any more.
    fn poll_flushed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.link.poll_flush(cx) {
            Poll::Ready(flushed) => {
                self.gone |= flushed.is_err();
                Poll::Ready(flushed)
            }
            Poll::Pending => self.poll_unwritten(cx).map(Err),
        }
    }

    /// Ready with the error when a write has waited for too long.
    fn poll_unwritten(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let timeout = self.timeout;
        let late = *self.patience.1.get_or_insert_with(|| far(Instant::now(), timeout));
        ready!(self.poll_late(cx, late));
        self.gone = true;
        Poll::Ready(io::ErrorKind::TimedOut.into())
    }

    /// Writes all of `out`.
    pub(super) fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.out.len() {
            self.sent += ready!(self.poll_write(cx, &[]))?;
        }
        ready!(self.poll_flushed(cx))?;
        self.out.clear();
        self.sent = 0;
        self.held = 0;
        Poll::Ready(Ok(()))
    }

    /// Whether anything waits to be written.
    pub(super) fn has_output(&self) -> bool {
        self.sent < self.out.len()
    }

    fn push(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
        self.bytes_out += bytes.len() as u64;
    }

    /// Takes these bytes of body as sent or queued.
    fn took(&mut self, data: &[u8]) {
        let n = data.len();
        if let Some(dump) = &self.dump {
            dump.sends("HEAP", data);
        }
        self.bytes_out += n as u64;
        match self.framing {
            Framing::Length(_) => self.left -= n as u64,
            Framing::Chunked => {
                self.chunk -= n as u64;
                if self.chunk == 0 {
                    self.push(CHUNK_END);
                    if let Some(dump) = &self.dump {
                        dump.sends("IMMORTAL", CHUNK_END);
                    }
                }
            }
            _ => {}
        }
        if let Some(dump) = &self.dump {
            if matches!(self.framing, Framing::Length(_)) && self.left == 0 {
                dump.body_ends();
            }
            dump.gone();
        }
    }
}

impl Wire for Http1<'_> {
    fn body_kind(&self) -> BodyKind {
        match &self.incoming {
            Incoming::None => BodyKind::None,
            Incoming::Length(left) => BodyKind::Length(*left),
            Incoming::Chunked(_) => BodyKind::Stream,
        }
    }

    fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, BodyFault>> {
        self.poll_body(cx)
    }

    fn body(&self) -> &[u8] {
        self.input.buf.get(self.data.clone()).unwrap_or_default()
    }

    fn chunk_ends(&self) -> bool {
        matches!(&self.incoming, Incoming::Chunked(decoder) if decoder.chunk_ends())
    }

    fn consume(&mut self, n: usize) {
        self.data.start = (self.data.start + n).min(self.data.end);
    }

    fn body_done(&self) -> bool {
        self.data.is_empty() && matches!(self.incoming, Incoming::None | Incoming::Length(0))
    }

    fn expects_continue(&self) -> bool {
        self.expect != Expect::Nothing
    }

    fn continue_now(&mut self, send: bool) {
        if self.expect == Expect::Nothing {
            return;
        }
        if !send {
            self.expect = Expect::ByHandler;
            return;
        }
        self.expect = Expect::Nothing;
        self.push(CONTINUE);
        if let Some(dump) = &self.dump {
            dump.sends("HEAP", CONTINUE);
            dump.flushes();
        }
    }

    fn trailers(&self) -> Option<&Table> {
        (self.body_done() && !self.trailers.is_empty()).then_some(&self.trailers)
    }

    fn interim(&mut self, status: u16, reason: &[u8], fields: &Table) {
        let before = self.out.len();
        push_status_line(&mut self.out, status, reason);
        for (name, value) in fields.iter() {
            push_field(&mut self.out, name, value);
        }
        self.out.extend_from_slice(b"\r\n");
        self.bytes_out += (self.out.len() - before) as u64;
        if let Some(dump) = &self.dump {
            dump.sends("HEAP", self.out.get(before..).unwrap_or_default());
            dump.flushes();
        }
        if status == 100 {
            self.expect = Expect::Nothing;
        }
    }

    fn head(&mut self, head: &HeadOut<'_>) {
        self.head_out = true;
        self.framing = head.framing;
        self.left = if let Framing::Length(length) = head.framing { length } else { 0 };
        self.keep_alive = head.keep_alive && head.framing != Framing::Close && !head.omit;
        if head.omit {
            return;
        }
        let before = self.out.len();
        push_status_line(&mut self.out, head.status, head.reason);
        if head.http10
            && let Some(minor) = self.out.get_mut(before + b"HTTP/1.".len())
        {
            *minor = b'0';
        }
        head.fields.push_lines(&mut self.out);
        self.out.extend_from_slice(b"\r\n");
        self.bytes_out += (self.out.len() - before) as u64;
        if let Some(dump) = &self.dump {
            dump.sends("HEAP", self.out.get(before..).unwrap_or_default());
            if head.framing == Framing::None {
                dump.body_ends();
            }
            dump.gone();
        }
    }

    fn poll_data(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let most = match self.framing {
            Framing::Close => data.len() as u64,
            Framing::Length(_) => self.left,
            Framing::Chunked => {
                if self.chunk == 0 && !data.is_empty() {
                    let before = self.out.len();
                    push_chunk_start(&mut self.out, data.len());
                    self.bytes_out += (self.out.len() - before) as u64;
                    self.chunk = data.len() as u64;
                    if let Some(dump) = &self.dump {
                        dump.sends("TRANSIENT", self.out.get(before..).unwrap_or_default());
                    }
                }
                self.chunk
            }
            Framing::None => 0,
        };
        let part = data.get(..usize::try_from(most).unwrap_or(usize::MAX)).unwrap_or(data);
        if part.is_empty() {
            // More than was announced: dropped, as there is no place for it on the wire.
            return Poll::Ready(Ok(data.len()));
        }
        if self.out.len() + part.len() <= OUT_MAX {
            let last = matches!(self.framing, Framing::Length(_)) && part.len() as u64 == self.left;
            if last && part.len() >= UNCOPIED && self.input.is_empty() {
                // Nothing follows that could go along: what the socket takes at once is not copied for it.
                let queued = self.out.len() - self.sent;
                match self.poll_write(cx, part) {
                    Poll::Ready(Ok(written)) if written > queued => {
                        self.out.clear();
                        (self.sent, self.held) = (0, 0);
                        self.took(part.get(..written - queued).unwrap_or(part));
                        return Poll::Ready(Ok(written - queued));
                    }
                    Poll::Ready(Ok(written)) => self.sent += written,
                    // It shows when the rest is written, which waits here so that nobody else has to.
                    Poll::Ready(Err(_)) | Poll::Pending => {}
                }
            }
            self.out.extend_from_slice(part);
            self.took(part);
            return Poll::Ready(Ok(part.len()));
        }
        loop {
            let queued = self.out.len() - self.sent;
            let written = ready!(self.poll_write(cx, part))?;
            if written < queued {
                self.sent += written;
                continue;
            }
            self.out.clear();
            self.sent = 0;
            self.held = 0;
            if written > queued {
                self.took(part.get(..written - queued).unwrap_or(part));
                return Poll::Ready(Ok(written - queued));
            }
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_out(cx)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.framing == Framing::Chunked {
            self.framing = Framing::None;
            self.push(LAST_CHUNK);
            if let Some(dump) = &self.dump {
                dump.sends("IMMORTAL", LAST_CHUNK);
            }
        }
        if let Some(dump) = &self.dump {
            dump.response_ends();
        }
        if matches!(self.framing, Framing::Length(_)) && self.left > 0 {
            // Less than was announced: only the end of the connection can say so.
            self.keep_alive = false;
        }
        let more = self.keep_alive && self.body_done() && !self.input.is_empty();
        if more && self.held < self.hold_most && self.out.len() < OUT_MAX {
            self.held += 1;
            return Poll::Ready(Ok(()));
        }
        self.poll_out(cx)
    }

    fn abort(&mut self) {
        self.aborted = true;
        self.keep_alive = false;
    }

    fn close(&mut self) {
        self.keep_alive = false;
    }

    fn counts(&self) -> (u64, u64) {
        // What a broken connection did not take was not sent.
        let unsent = if self.gone { self.out.len() - self.sent } else { 0 };
        (self.bytes_in, self.bytes_out.saturating_sub(unsent as u64))
    }

    fn tunnel(&mut self) -> Option<&mut dyn Tunnel> {
        self.keep_alive = false;
        Some(self)
    }

    fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }
}

impl Tunnel for Http1<'_> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let ahead = self.input.bytes();
        let n = ahead.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..n), ahead.get(..n))
            && n > 0
        {
            to.copy_from_slice(from);
            if let Some(dump) = &self.dump {
                dump.asks("readbytes-nonblocking", buf.len());
                dump.came(from);
            }
            self.used(n);
            return Poll::Ready(Ok(n));
        }
        let n = ready!(self.link.poll_read(cx, buf))?;
        if let Some(dump) = &self.dump {
            dump.asks("readbytes-nonblocking", buf.len());
            dump.came(buf.get(..n).unwrap_or_default());
        }
        self.bytes_in += n as u64;
        Poll::Ready(Ok(n))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_out(cx))?;
        let n = ready!(self.link.poll_write(cx, &[IoSlice::new(data)]))?;
        if let Some(dump) = &self.dump {
            dump.sends("HEAP", data.get(..n).unwrap_or_default());
            dump.flushes();
        }
        self.bytes_out += n as u64;
        Poll::Ready(Ok(n))
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_out(cx))?;
        self.link.poll_shutdown(cx)
    }
}

//! The socket of a client, and its one timer.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::http2::Upgrade;
use super::socket::Socket;
use crate::net::secured::Secured;

/// What carries the bytes.
pub(super) enum Stream {
    /// As they are.
    Tcp(Socket),
    /// Under TLS.
    Tls(Box<Secured<TcpStream>>),
}

/// What one protocol leaves to the next one.
#[derive(Default)]
struct Ahead {
    bytes: Vec<u8>,
    upgrade: Option<Box<Upgrade>>,
}

/// A client's socket with the deadline of what is being waited for.
pub(super) struct Link {
    stream: Stream,
    heard: bool,
    timer: Timer,
    /// What was read for a protocol that another one follows.
    ahead: Option<Box<Ahead>>,
}

impl Link {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, heard: false, timer: Timer::default(), ahead: None }
    }

    /// The bare socket, where there is one.
    pub(super) fn into_socket(self) -> Option<Socket> {
        match self.stream {
            Stream::Tcp(tcp) => Some(tcp),
            Stream::Tls(_) => None,
        }
    }

    /// Whether it is worth reading: there are bytes (or the end), or nobody has tried yet.
    pub(super) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.stream {
            Stream::Tcp(tcp) => tcp.poll_readable(cx),
            Stream::Tls(tls) => {
                if tls.has_plaintext() {
                    return Poll::Ready(());
                }
                tls.socket().poll_read_ready(cx).map(|_| ())
            }
        }
    }

    /// What can be read, left where it is; zero is the end.
    pub(super) fn poll_peek(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Tcp(tcp) => tcp.poll_peek(cx, buf),
            // Only what stands in front of a handshake is looked at.
            Stream::Tls(_) => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        }
    }

    /// Reads into `buf`; zero is the end.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let read = match &mut self.stream {
            Stream::Tcp(tcp) => tcp.poll_read(cx, buf),
            Stream::Tls(tls) => tls.poll_read(cx, buf),
        };
        self.heard |= matches!(read, Poll::Ready(Ok(1..)));
        read
    }

    /// Reads into `buf`, which must have room; nothing is the end.
    pub(super) fn poll_read_buf(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = match &mut self.stream {
            Stream::Tcp(tcp) => tcp.poll_read_buf(cx, buf),
            Stream::Tls(tls) => tls.poll_read_buf(cx, buf),
        };
        self.heard |= buf.filled().len() > before;
        read
    }

    /// Keeps what was read and is for whoever takes the link over.
    pub(super) fn unread(&mut self, bytes: &[u8]) {
        self.ahead.get_or_insert_default().bytes = bytes.to_vec();
    }

    /// Keeps the request that another protocol begins with.
    pub(super) fn upgrade(&mut self, upgrade: Box<Upgrade>) {
        self.ahead.get_or_insert_default().upgrade = Some(upgrade);
    }

    /// What was kept.
    pub(super) fn take_ahead(&mut self) -> (Vec<u8>, Option<Box<Upgrade>>) {
        self.ahead.take().map(|ahead| (ahead.bytes, ahead.upgrade)).unwrap_or_default()
    }

    /// Whether the client has sent anything yet.
    pub(super) fn heard(&self) -> bool {
        self.heard
    }

    /// Writes some of `parts`.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Tcp(tcp) => tcp.poll_write(cx, parts),
            Stream::Tls(tls) => tls.poll_write(cx, parts),
        }
    }

    /// Writes out what [`Link::poll_write`] took and TLS still holds.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(_) => Poll::Ready(Ok(())),
            Stream::Tls(tls) => tls.poll_flush(cx),
        }
    }

    /// Ends the sending direction.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(tcp) => tcp.poll_shutdown(cx),
            Stream::Tls(tls) => tls.poll_shutdown(cx),
        }
    }

    /// From now on [`Link::poll_timer`] is about this deadline.
    pub(super) fn wait_until(&mut self, deadline: Instant) {
        self.timer.set(deadline);
    }

    /// From now on [`Link::poll_timer`] is about this much time.
    pub(super) fn wait_for(&mut self, time: Duration) {
        self.wait_until(far(Instant::now(), time));
    }

    /// Ready when the deadline has passed.
    pub(super) fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.timer.poll(cx)
    }
}

/// `now + time`, bounded where a configuration says "for ever".
pub(super) fn far(now: Instant, time: Duration) -> Instant {
    now + time.min(Duration::from_secs(10 * 365 * 86_400))
}

/// A deadline that costs nothing to move further away: the runtime's timer stays at the earliest moment it was set to
/// and is set again when it fires too early. A kept-alive connection touches it once a KeepAliveTimeout, not once a
/// request.
#[derive(Default)]
pub(super) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    deadline: Option<Instant>,
}

impl Timer {
    /// From now on it is about this deadline.
    pub(super) fn set(&mut self, deadline: Instant) {
        self.deadline = Some(deadline);
    }

    /// Ready when the deadline has passed, which there is none after that.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= deadline {
                self.deadline = None;
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

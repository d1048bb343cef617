//! A socket to a backend.

use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::net::secured::Secured;

/// TCP or a Unix socket, or TLS over one of them.
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<Secured<Self>>),
    /// Between two runtimes.
    Nowhere,
}

/// What an idle connection turns out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Idle {
    /// Open, nothing to read.
    Quiet,
    /// There is something to read that nobody asked for.
    Unread,
    /// Closed by its peer, or broken.
    Closed,
}

impl Stream {
    /// Moves it to the runtime of this thread.
    pub(super) fn adopt(&mut self) -> io::Result<()> {
        if let Self::Tls(secured) = self {
            return secured.socket_mut().adopt();
        }
        *self = match std::mem::replace(self, Self::Nowhere) {
            Self::Tcp(stream) => Self::Tcp(TcpStream::from_std(stream.into_std()?)?),
            Self::Unix(stream) => Self::Unix(UnixStream::from_std(stream.into_std()?)?),
            Self::Tls(_) | Self::Nowhere => return Err(gone()),
        };
        Ok(())
    }

    /// The other end's address; sockets of the system have none.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok(),
            Self::Tls(secured) => secured.socket().peer(),
            Self::Unix(_) | Self::Nowhere => None,
        }
    }

    /// This end's address.
    pub(super) fn local(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.local_addr().ok(),
            Self::Tls(secured) => secured.socket().local(),
            Self::Unix(_) | Self::Nowhere => None,
        }
    }

    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(into);
        let polled = match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, &mut buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, &mut buf),
            Self::Tls(secured) => return secured.poll_read(cx, into),
            Self::Nowhere => Poll::Ready(Err(gone())),
        };
        polled.map_ok(|()| buf.filled().len())
    }

    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, data),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, data),
            Self::Tls(secured) => secured.poll_write(cx, &[io::IoSlice::new(data)]),
            Self::Nowhere => Poll::Ready(Err(gone())),
        }
    }

    pub(super) fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, data),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, data),
            Self::Tls(secured) => secured.poll_write(cx, data),
            Self::Nowhere => Poll::Ready(Err(gone())),
        }
    }

    /// Writes out what was taken and is not on its way yet.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tls(secured) => secured.poll_flush(cx),
            _ => Poll::Ready(Ok(())),
        }
    }

    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(secured) => secured.poll_shutdown(cx),
            Self::Nowhere => Poll::Ready(Err(gone())),
        }
    }

    /// Reads what has come, if the runtime knows of anything; costs no system call otherwise.
    pub(super) fn try_read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_read(into),
            Self::Unix(stream) => stream.try_read(into),
            Self::Tls(secured) => match secured.poll_read(&mut Context::from_waker(Waker::noop()), into) {
                Poll::Ready(read) => read,
                Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
            },
            Self::Nowhere => Err(gone()),
        }
    }

    /// The state of an idle connection. `certain` asks the system; without, only what the runtime has heard counts,
    /// which costs nothing.
    pub(super) fn idle(&mut self, certain: bool) -> Idle {
        let Self::Tls(secured) = self else { return self.idle_socket(certain) };
        if secured.has_plaintext() {
            return Idle::Unread;
        }
        match secured.socket().idle_socket(certain) {
            // Tickets and the like come when they come.
            Idle::Unread => match secured.poll_quiet(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => Idle::Quiet,
                Poll::Ready(Ok(true)) => Idle::Unread,
                Poll::Ready(_) => Idle::Closed,
            },
            other => other,
        }
    }

    fn idle_socket(&self, certain: bool) -> Idle {
        let peek = || {
            let mut byte = [MaybeUninit::uninit()];
            match self {
                Self::Tcp(stream) => SockRef::from(stream).peek(&mut byte),
                Self::Unix(stream) => SockRef::from(stream).peek(&mut byte),
                Self::Tls(_) | Self::Nowhere => Err(gone()),
            }
        };
        let peeked = match self {
            _ if certain => peek(),
            Self::Tcp(stream) => stream.try_io(Interest::READABLE, peek),
            Self::Unix(stream) => stream.try_io(Interest::READABLE, peek),
            Self::Tls(_) | Self::Nowhere => Err(gone()),
        };
        match peeked {
            Ok(0) => Idle::Closed,
            Ok(_) => Idle::Unread,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Idle::Quiet,
            Err(_) => Idle::Closed,
        }
    }
}

/// The socket under TLS.
impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let n = ready!(Self::poll_read(&mut self, cx, buf.initialize_unfilled()))?;
        buf.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Self::poll_write(&mut self, cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Self::poll_write_vectored(&mut self, cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::poll_flush(&mut self, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::poll_shutdown(&mut self, cx)
    }
}

fn gone() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

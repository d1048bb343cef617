//! A socket to a backend.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// TCP or a Unix socket.
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
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
        *self = match std::mem::replace(self, Self::Nowhere) {
            Self::Tcp(stream) => Self::Tcp(TcpStream::from_std(stream.into_std()?)?),
            Self::Unix(stream) => Self::Unix(UnixStream::from_std(stream.into_std()?)?),
            Self::Nowhere => return Err(gone()),
        };
        Ok(())
    }

    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(into);
        let polled = match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, &mut buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, &mut buf),
            Self::Nowhere => Poll::Ready(Err(gone())),
        };
        polled.map_ok(|()| buf.filled().len())
    }

    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, data),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, data),
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
            Self::Nowhere => Poll::Ready(Err(gone())),
        }
    }

    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Nowhere => Poll::Ready(Err(gone())),
        }
    }

    /// Reads what has come, if the runtime knows of anything; costs no system call otherwise.
    pub(super) fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_read(into),
            Self::Unix(stream) => stream.try_read(into),
            Self::Nowhere => Err(gone()),
        }
    }

    /// The state of an idle connection. `certain` asks the system; without, only what the runtime has heard counts,
    /// which costs nothing.
    pub(super) fn idle(&self, certain: bool) -> Idle {
        let peek = || {
            let mut byte = [MaybeUninit::uninit()];
            match self {
                Self::Tcp(stream) => SockRef::from(stream).peek(&mut byte),
                Self::Unix(stream) => SockRef::from(stream).peek(&mut byte),
                Self::Nowhere => Err(gone()),
            }
        };
        let peeked = match self {
            _ if certain => peek(),
            Self::Tcp(stream) => stream.try_io(Interest::READABLE, peek),
            Self::Unix(stream) => stream.try_io(Interest::READABLE, peek),
            Self::Nowhere => Err(gone()),
        };
        match peeked {
            Ok(0) => Idle::Closed,
            Ok(_) => Idle::Unread,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Idle::Quiet,
            Err(_) => Idle::Closed,
        }
    }
}

fn gone() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

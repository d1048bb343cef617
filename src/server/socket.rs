//! A client's TCP socket, watched by the runtime only once something has to be waited for.
//!
//! The request of a new connection is often here by the time the connection is accepted. One that is answered and
//! closed without ever waiting costs no registration with the system, and none has to be undone.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::TcpStream as StdStream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead as _, AsyncWrite as _, Interest, ReadBuf};
use tokio::net::TcpStream;

/// After so many reads it is watched: the runtime sees to it that one connection does not keep its thread to itself.
const READS: u8 = 4;

/// The socket; it must be non-blocking.
pub(super) enum Socket {
    /// New, and how often it was read from.
    Fresh(StdStream, u8),
    /// Known to the runtime.
    Watched(TcpStream),
    /// The runtime did not take it.
    Lost,
}

impl Socket {
    pub(super) fn new(stream: StdStream) -> Self {
        Self::Fresh(stream, 0)
    }

    /// Has the runtime watch it.
    fn watch(&mut self) -> io::Result<&mut TcpStream> {
        if let Self::Fresh(..) = self
            && let Self::Fresh(stream, _) = std::mem::replace(self, Self::Lost)
        {
            *self = Self::Watched(TcpStream::from_std(stream)?);
        }
        match self {
            Self::Watched(stream) => Ok(stream),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// As the runtime knows it.
    pub(super) fn into_watched(mut self) -> io::Result<TcpStream> {
        self.watch()?;
        match self {
            Self::Watched(stream) => Ok(stream),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Ready when reading is worth a try.
    pub(super) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Self::Fresh(_, 0) = self {
            return Poll::Ready(());
        }
        match self.watch() {
            Ok(stream) => stream.poll_read_ready(cx).map(|_| ()),
            Err(_) => Poll::Ready(()),
        }
    }

    pub(super) fn poll_peek(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.watch()?.poll_peek(cx, &mut ReadBuf::new(buf))
    }

    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        self.poll_read_buf(cx, &mut buf).map_ok(|()| buf.filled().len())
    }

    /// Reads into `buf`, which must have room; nothing is the end.
    pub(super) fn poll_read_buf(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Self::Fresh(stream, reads) = self
            && *reads < READS
        {
            *reads += 1;
            if let Some(read) = at_once(stream.read(buf.initialize_unfilled())) {
                return Poll::Ready(read.map(|n| buf.advance(n)));
            }
        }
        Pin::new(self.watch()?).poll_read(cx, buf)
    }

    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if let Self::Fresh(stream, _) = self {
            let written = match parts {
                [one] => stream.write(one),
                parts => stream.write_vectored(parts),
            };
            if let Some(written) = at_once(written) {
                return Poll::Ready(written);
            }
        }
        let stream = self.watch()?;
        if let [one] = parts {
            return Pin::new(stream).poll_write(cx, one);
        }
        let written = ready!(Pin::new(&mut *stream).poll_write_vectored(cx, parts))?;
        if written < parts.iter().map(|part| part.len()).sum() {
            // There is no room for the rest, as the runtime itself concludes from a single part: it says when there is, and
            // until then no write is worth a try.
            let _ = stream.try_io(Interest::WRITABLE, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
        }
        Poll::Ready(Ok(written))
    }

    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Fresh(stream, _) => Poll::Ready(stream.shutdown(std::net::Shutdown::Write)),
            Self::Watched(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Lost => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

/// What came of it, unless it has to be waited for.
fn at_once(done: io::Result<usize>) -> Option<io::Result<usize>> {
    match done {
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => None,
        done => Some(done),
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    fn pair() -> (Socket, StdStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let client = StdStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        server.set_nonblocking(true).unwrap();
        (Socket::new(server), client)
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn what_is_here_already_is_read_and_answered_unwatched() {
        block_on(async {
            let (mut socket, mut client) = pair();
            client.write_all(b"ping").unwrap();
            poll_fn(|cx| socket.poll_readable(cx)).await;
            let mut buf = [0; 8];
            // The bytes may still be on their way.
            assert_eq!(poll_fn(|cx| socket.poll_read(cx, &mut buf)).await.unwrap(), 4);
            assert_eq!(
                poll_fn(|cx| socket.poll_write(cx, &[IoSlice::new(b"po"), IoSlice::new(b"ng")])).await.unwrap(),
                4
            );
            poll_fn(|cx| socket.poll_shutdown(cx)).await.unwrap();
            let mut all = Vec::new();
            client.read_to_end(&mut all).unwrap();
            assert_eq!(all, b"pong");
        });
    }

    #[test]
    fn what_is_not_here_is_waited_for() {
        block_on(async {
            let (mut socket, mut client) = pair();
            let mut buf = [0; 8];
            let first = poll_fn(|cx| Poll::Ready(socket.poll_read(cx, &mut buf))).await;
            assert!(first.is_pending() && matches!(socket, Socket::Watched(_)));
            client.write_all(b"late").unwrap();
            assert_eq!(poll_fn(|cx| socket.poll_read(cx, &mut buf)).await.unwrap(), 4);
            drop(client);
            poll_fn(|cx| socket.poll_readable(cx)).await;
            assert_eq!(poll_fn(|cx| socket.poll_read(cx, &mut buf)).await.unwrap(), 0);
        });
    }

    #[test]
    fn what_did_not_fit_is_written_when_there_is_room() {
        block_on(async {
            let (mut socket, mut client) = pair();
            socket.watch().unwrap();
            let (one, two) = (vec![b'1'; 1 << 20], vec![b'2'; 16 << 20]);
            let parts = [IoSlice::new(&one), IoSlice::new(&two)];
            let first = poll_fn(|cx| socket.poll_write(cx, &parts)).await.unwrap();
            assert!(first > 0 && first < one.len() + two.len());
            // Nobody reads: another write is not even tried.
            let again = poll_fn(|cx| Poll::Ready(socket.poll_write(cx, &parts))).await;
            let Socket::Watched(stream) = &socket else { panic!("it is watched") };
            assert!(again.is_pending() && stream.try_write(b"x").is_err());
            let reader = std::thread::spawn(move || {
                let mut all = Vec::new();
                client.read_to_end(&mut all).map(|_| all.len())
            });
            let second = poll_fn(|cx| socket.poll_write(cx, &parts)).await.unwrap();
            drop(socket);
            assert_eq!(reader.join().unwrap().unwrap(), first + second);
        });
    }

    #[test]
    fn a_client_that_never_stops_is_watched_in_the_end() {
        block_on(async {
            let (mut socket, mut client) = pair();
            client.write_all(&[b'x'; 64]).unwrap();
            let mut buf = [0; 4];
            for _ in 0..=READS {
                assert_eq!(poll_fn(|cx| socket.poll_read(cx, &mut buf)).await.unwrap(), 4);
            }
            assert!(matches!(socket, Socket::Watched(_)));
        });
    }
}

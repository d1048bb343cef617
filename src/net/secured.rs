//! TLS over a socket of the runtime, either side of it.
//!
//! Our own few lines in place of tokio-rustls: a handshake begins with what the client's first bytes choose, and an
//! idle connection asks its socket, not the session, whether anything has come.

use std::future::poll_fn;
use std::io::{self, BufRead, IoSlice, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustls::Connection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A TLS session with the socket under it.
pub struct Secured<S> {
    socket: S,
    session: Connection,
    /// Our end of the session has been announced.
    closing: bool,
}

/// The socket as rustls wants it: what would have to wait is an error.
pub struct Blocking<'a, 'b, S> {
    /// The socket.
    pub socket: &'a mut S,
    /// Who is woken.
    pub cx: &'a mut Context<'b>,
}

fn or_block<T>(polled: Poll<io::Result<T>>) -> io::Result<T> {
    match polled {
        Poll::Ready(done) => done,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

fn or_pending<T>(done: io::Result<T>) -> Poll<io::Result<T>> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        done => Poll::Ready(done),
    }
}

impl<S: AsyncRead + Unpin> Read for Blocking<'_, '_, S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut buf = ReadBuf::new(into);
        or_block(Pin::new(&mut *self.socket).poll_read(self.cx, &mut buf))?;
        Ok(buf.filled().len())
    }
}

impl<S: AsyncWrite + Unpin> Write for Blocking<'_, '_, S> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        or_block(Pin::new(&mut *self.socket).poll_write(self.cx, data))
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        or_block(Pin::new(&mut *self.socket).poll_write_vectored(self.cx, parts))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Secured<S> {
    /// A session that is to begin, or has.
    pub fn new(socket: S, session: Connection) -> Self {
        Self { socket, session, closing: false }
    }

    /// The socket.
    pub fn socket(&self) -> &S {
        &self.socket
    }

    /// The socket, to move it to another runtime.
    pub fn socket_mut(&mut self) -> &mut S {
        &mut self.socket
    }

    /// The socket alone: there is no session.
    pub fn into_socket(self) -> S {
        self.socket
    }

    /// The session.
    pub fn session(&self) -> &Connection {
        &self.session
    }

    /// Whether a read would give something without the socket.
    pub fn has_plaintext(&mut self) -> bool {
        self.session
            .process_new_packets()
            .is_ok_and(|state| state.plaintext_bytes_to_read() > 0 || state.peer_has_closed())
    }

    /// Reads what an idle session gets: true if there is something for whoever is above, false at the end.
    pub fn poll_quiet(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            if self.has_plaintext() {
                return Poll::Ready(Ok(true));
            }
            if ready!(self.poll_records(cx))? == 0 {
                return Poll::Ready(Ok(false));
            }
        }
    }

    /// Goes on with the handshake. An error of the protocol holds a [`rustls::Error`]; its alert has been sent.
    pub fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_flush(cx))?;
            if !self.session.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            if ready!(self.poll_records(cx))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// Socket and session.
    pub fn into_parts(self) -> (S, Connection) {
        (self.socket, self.session)
    }

    /// Writes out what is to be sent.
    ///
    /// # Errors
    /// The socket's.
    pub async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Reads records and leaves them for `process_new_packets` of the session; zero is the end of the socket.
    ///
    /// # Errors
    /// The socket's.
    pub async fn fill(&mut self) -> io::Result<usize> {
        poll_fn(|cx| or_pending(self.session.read_tls(&mut Blocking { socket: &mut self.socket, cx }))).await
    }

    /// Reads records; zero is the end of the socket.
    fn poll_records(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let n = ready!(or_pending(self.session.read_tls(&mut Blocking { socket: &mut self.socket, cx })))?;
        if let Err(error) = self.session.process_new_packets() {
            // The alert, if it leaves at once.
            let _ = self.poll_flush(cx);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
        }
        Poll::Ready(Ok(n))
    }

    /// Reads into `into`; zero is the end.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut into = ReadBuf::new(into);
        ready!(self.poll_read_buf(cx, &mut into))?;
        Poll::Ready(Ok(into.filled().len()))
    }

    /// Reads into `into`, which must have room; nothing is the end.
    pub fn poll_read_buf(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            match take_plaintext(&mut self.session, into) {
                Ok(()) => return Poll::Ready(Ok(())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // The socket ended without the session: the end of what is read, as httpd takes it.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Poll::Ready(Ok(())),
                Err(error) => return Poll::Ready(Err(error)),
            }
            let read = self.poll_records(cx);
            if self.session.wants_write() {
                // Answers to key updates; an error shows in the next write.
                let _ = self.poll_flush(cx);
            }
            ready!(read)?;
        }
    }

    /// Takes some of `parts`. What was taken may still have to be flushed.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        ready!(self.poll_flush(cx))?;
        let n = self.session.writer().write_vectored(parts)?;
        match self.poll_flush(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(n)),
        }
    }

    /// Writes out what was taken.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.session.wants_write() {
            let mut socket = Blocking { socket: &mut self.socket, cx };
            if ready!(or_pending(self.session.write_tls(&mut socket)))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Ends our side: of the session, and of the socket.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closing {
            self.closing = true;
            self.session.send_close_notify();
        }
        ready!(self.poll_flush(cx))?;
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// Moves what is deciphered, as much as there is room for; an error only where there is nothing.
fn take_plaintext(session: &mut Connection, into: &mut ReadBuf<'_>) -> io::Result<()> {
    let mut reader = session.reader();
    let before = into.filled().len();
    while into.remaining() > 0 {
        let n = match reader.fill_buf() {
            Ok(chunk) => {
                let n = chunk.len().min(into.remaining());
                into.put_slice(chunk.get(..n).unwrap_or_default());
                n
            }
            Err(_) if into.filled().len() > before => break,
            Err(error) => return Err(error),
        };
        if n == 0 {
            break;
        }
        reader.consume(n);
    }
    Ok(())
}

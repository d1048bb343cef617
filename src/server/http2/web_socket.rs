//! WebSocket on a stream: extended CONNECT (RFC 8441).
//!
//! What follows asks as HTTP/1 does, with Upgrade; 101 of the backend becomes 200, and the stream a tunnel.

use std::io;
use std::task::{Context, Poll, ready};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf as _, Bytes};
use sha1::{Digest as _, Sha1};

use super::wire::Http2;
use crate::logs::{self, Level};
use crate::web::{Exchange, Tunnel};

/// Makes an exchange for CONNECT the one that asks for a WebSocket; what the backend has to answer with.
pub(super) fn ask(ex: &mut Exchange) -> Option<String> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).ok()?;
    let key = STANDARD.encode(nonce);
    ex.method.clear();
    ex.method.extend_from_slice(b"GET");
    ex.the_request.splice(.."CONNECT".len(), *b"GET");
    ex.headers_in.set(b"Sec-WebSocket-Key", key.as_bytes());
    ex.headers_in.set(b"Upgrade", b"websocket");
    ex.headers_in.set(b"Connection", b"Upgrade");
    let mut digest = Sha1::new();
    digest.update(key.as_bytes());
    digest.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    Some(STANDARD.encode(digest.finalize()))
}

/// Says that the backend did not understand what it agreed to.
pub(super) fn complain(ex: &Exchange, id: u32) {
    let text = "websocket CONNECT, 101 response without the 'Sec-WebSocket-Accept' that was expected";
    logs::error!(ex, Level::Error, "http2", "AH10463: stream {id}: {text}");
}

impl Tunnel for Http2 {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        while self.data.is_empty() && !self.ended {
            match ready!(self.recv.poll_data(cx)) {
                Some(Ok(data)) => self.data = data,
                Some(Err(_)) => return self.lost(),
                None => self.ended = true,
            }
        }
        let n = self.data.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..n), self.data.get(..n)) {
            to.copy_from_slice(from);
        }
        self.data.advance(n);
        self.recv.release(n);
        Poll::Ready(Ok(n))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_push(cx, false))?;
        let Some(body) = self.send_stream() else { return self.lost() };
        body.reserve_capacity(data.len());
        let room = match body.capacity() {
            0 => match ready!(body.poll_capacity(cx)) {
                Some(Ok(room)) => room,
                _ => return self.lost(),
            },
            room => room,
        };
        let part = data.get(..room.min(data.len())).unwrap_or_default();
        match body.send_data(Bytes::copy_from_slice(part), false) {
            Ok(()) => Poll::Ready(Ok(part.len())),
            Err(_) => self.lost(),
        }
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.finished {
            ready!(self.poll_push(cx, false))?;
            self.finished = true;
            let Some(body) = self.send_stream() else { return self.lost() };
            if body.send_data(Bytes::new(), true).is_err() {
                return self.lost();
            }
        }
        self.session.tap.poll_ended(cx, self.id).map(|_| Ok(()))
    }
}

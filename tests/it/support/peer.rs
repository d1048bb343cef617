//! One end of a TCP connection, spoken in bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::time::Duration;

use super::PATIENCE;

/// A connection: a raw client's, or an origin's to whoever dialled it.
pub struct Peer {
    pub stream: TcpStream,
    /// Read from the socket, not yet handed out.
    ahead: Vec<u8>,
}

/// One HTTP/1 message as it came: the head's bytes, and the body without its framing.
#[derive(Debug, Clone, Default)]
pub struct Message {
    /// First line to the blank line, both included.
    pub head: Vec<u8>,
    pub body: Vec<u8>,
    /// Of a response; 0 for a request.
    pub status: u16,
    /// Sizes of the chunks that the body came in, but for the last.
    pub chunks: Vec<usize>,
}

impl Peer {
    /// Connects to a port of 127.0.0.1.
    pub fn to(port: u16) -> Self {
        Self::over(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap())
    }

    pub fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, ahead: Vec::new() }
    }

    /// How long a read may wait before it panics.
    pub fn patience(&self, limit: Duration) {
        self.stream.set_read_timeout(Some(limit)).unwrap();
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends as much as the other side takes; a reset is not an error here.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// No more bytes from this end.
    pub fn finish(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Reads up to and including `needle`; panics when the connection ends first.
    pub fn read_until(&mut self, needle: impl AsRef<[u8]>) -> Vec<u8> {
        let needle = needle.as_ref();
        loop {
            if let Some(at) = memchr::memmem::find(&self.ahead, needle) {
                return self.take(at + needle.len());
            }
            let more = self.fill();
            let (want, have) = (String::from_utf8_lossy(needle), String::from_utf8_lossy(&self.ahead));
            assert!(more, "the connection ended before {want:?}; read: {have:?}");
        }
    }

    /// Reads exactly `n` bytes.
    pub fn read_exactly(&mut self, n: usize) -> Vec<u8> {
        while self.ahead.len() < n {
            let more = self.fill();
            assert!(more, "the connection ended after {} of {n} bytes", self.ahead.len());
        }
        self.take(n)
    }

    /// Reads one byte, or `None` when the other side closed.
    pub fn next_byte(&mut self) -> Option<u8> {
        (!self.ahead.is_empty() || self.fill()).then(|| self.take(1)[0])
    }

    /// Reads until the other side closes (or resets).
    pub fn rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.ahead)
    }

    /// Reads one response; framing by its head, as the answer to any method but HEAD.
    pub fn response(&mut self) -> Message {
        self.response_to("GET")
    }

    /// Reads one response to a request with this method.
    pub fn response_to(&mut self, method: &str) -> Message {
        let head = self.read_until("\r\n\r\n");
        let text = String::from_utf8_lossy(&head).into_owned();
        let status = text.split(' ').nth(1).and_then(|s| s.get(..3)?.parse().ok());
        let status = status.unwrap_or_else(|| panic!("not a status line: {text:?}"));
        let mut message = Message { head, status, ..Message::default() };
        if method != "HEAD" && status >= 200 && status != 204 && status != 304 {
            message.body = self.body(&mut message, true);
        }
        message
    }

    /// Reads one request, or `None` when the other side closed between requests.
    pub fn request(&mut self) -> Option<Message> {
        while self.ahead.is_empty() {
            if !self.fill() {
                return None;
            }
        }
        let head = self.read_until("\r\n\r\n");
        let mut message = Message { head, ..Message::default() };
        message.body = self.body(&mut message, false);
        Some(message)
    }

    fn body(&mut self, message: &mut Message, to_close: bool) -> Vec<u8> {
        if message.header("transfer-encoding").is_some_and(|v| v.to_ascii_lowercase().ends_with("chunked")) {
            let mut body = Vec::new();
            loop {
                let line = self.read_until("\r\n");
                let text = String::from_utf8_lossy(&line);
                let size = text.split([';', '\r']).next().unwrap_or_default().trim();
                let size = usize::from_str_radix(size, 16).unwrap_or_else(|_| panic!("not a chunk size: {text:?}"));
                if size == 0 {
                    while self.read_until("\r\n") != b"\r\n" {}
                    return body;
                }
                message.chunks.push(size);
                body.extend_from_slice(&self.read_exactly(size));
                assert_eq!(self.read_exactly(2), b"\r\n", "after a chunk");
            }
        }
        match message.header("content-length") {
            Some(length) => self.read_exactly(length.trim().parse().unwrap()),
            None if to_close => self.rest(),
            None => Vec::new(),
        }
    }

    fn take(&mut self, n: usize) -> Vec<u8> {
        let rest = self.ahead.split_off(n);
        std::mem::replace(&mut self.ahead, rest)
    }

    /// Reads once; false at the end. Panics when nothing came in time.
    fn fill(&mut self) -> bool {
        let mut chunk = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return false,
                Ok(n) => {
                    self.ahead.extend_from_slice(&chunk[..n]);
                    return true;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => return false,
                Err(e) => panic!("{e}; read so far: {:?}", String::from_utf8_lossy(&self.ahead)),
            }
        }
    }
}

impl Message {
    /// The first field of that name, without surrounding blanks.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers(name).into_iter().next()
    }

    /// Every field of that name, in order.
    pub fn headers(&self, name: &str) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.head);
        text.split("\r\n")
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.trim().to_owned())
            .collect()
    }

    /// The request or status line.
    pub fn line(&self) -> String {
        String::from_utf8_lossy(&self.head).split("\r\n").next().unwrap_or_default().to_owned()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

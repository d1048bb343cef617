//! A client that speaks HTTP/2 frame by frame, right or wrong.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 1;
pub(super) const ACK: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
pub(super) const PADDED: u8 = 8;
pub(super) const PRIORITISED: u8 = 32;

pub(super) const NO_ERROR: u32 = 0;
pub(super) const PROTOCOL_ERROR: u32 = 1;
pub(super) const FLOW_CONTROL_ERROR: u32 = 3;
pub(super) const STREAM_CLOSED: u32 = 5;
pub(super) const FRAME_SIZE_ERROR: u32 = 6;
pub(super) const REFUSED_STREAM: u32 = 7;
pub(super) const COMPRESSION_ERROR: u32 = 9;
pub(super) const ENHANCE_YOUR_CALM: u32 = 11;

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(10);

trait Bytes: Read + Write {}
impl<T: Read + Write> Bytes for T {}

/// One frame as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    /// The code of a RST_STREAM or GOAWAY.
    pub(super) fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        self.payload.get(at..at + 4).map_or(u32::MAX, |code| u32::from_be_bytes(code.try_into().unwrap()))
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// What comes next from the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Frame(Frame),
    Closed,
    Nothing,
}

/// A frame to send.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut out = vec![len[1], len[2], len[3], kind, flags];
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// A field that no table remembers, spelt out (RFC 7541 section 6.2.2).
pub(super) fn field(name: &str, value: &str) -> Vec<u8> {
    let mut out = vec![0];
    for text in [name, value] {
        push_length(&mut out, text.len());
        out.extend_from_slice(text.as_bytes());
    }
    out
}

fn push_length(out: &mut Vec<u8>, len: usize) {
    if len < 127 {
        return out.push(len as u8);
    }
    out.push(127);
    let mut rest = len - 127;
    while rest >= 128 {
        out.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    out.push(rest as u8);
}

pub(super) fn fields(list: &[(&str, &str)]) -> Vec<u8> {
    list.iter().flat_map(|(name, value)| field(name, value)).collect()
}

/// A request for `/` with this method and these fields behind it.
pub(super) fn request(method: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let own = [(":method", method), (":scheme", "http"), (":path", "/"), (":authority", "localhost")];
    [fields(&own), fields(more)].concat()
}

pub(super) fn settings(list: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> =
        list.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
    frame(SETTINGS, 0, 0, &payload)
}

pub(super) struct Client {
    io: Box<dyn Bytes>,
    socket: TcpStream,
    ahead: Vec<u8>,
}

impl Client {
    /// A connection on which nothing was said yet.
    pub(super) fn bare(port: u16, tls: bool) -> Self {
        let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        let other = socket.try_clone().unwrap();
        let io: Box<dyn Bytes> = if tls {
            let name = ServerName::try_from("localhost").unwrap();
            let session = ClientConnection::new(Arc::new(anybody()), name).unwrap();
            Box::new(StreamOwned::new(session, other))
        } else {
            Box::new(other)
        };
        Self { io, socket, ahead: Vec::new() }
    }

    /// A connection of which the first bytes were read by somebody else.
    pub(super) fn over(socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let io = Box::new(socket.try_clone().unwrap());
        Self { io, socket, ahead: Vec::new() }
    }

    /// A connection behind the exchange of settings.
    pub(super) fn new(port: u16, tls: bool) -> Self {
        Self::with(port, tls, &[])
    }

    pub(super) fn with(port: u16, tls: bool, own: &[(u16, u32)]) -> Self {
        let mut client = Self::bare(port, tls);
        client.send(&[PREFACE, &settings(own)].concat());
        let mut acked = false;
        let mut heard = false;
        while !(acked && heard) {
            match client.next() {
                Event::Frame(frame) if frame.kind == SETTINGS && frame.has(ACK) => acked = true,
                Event::Frame(frame) if frame.kind == SETTINGS => {
                    heard = true;
                    client.send(&self::frame(SETTINGS, ACK, 0, &[]));
                }
                Event::Frame(_) => {}
                other => panic!("no settings: {other:?}"),
            }
        }
        client
    }

    /// Sends; a connection that is gone shows in what comes next.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        let _ = self.io.write_all(bytes).and_then(|()| self.io.flush());
    }

    pub(super) fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.send(&frame(kind, flags, stream, payload));
    }

    /// A whole request without a body.
    pub(super) fn get(&mut self, stream: u32) {
        self.frame(HEADERS, END_STREAM | END_HEADERS, stream, &request("GET", &[]));
    }

    /// Waits for no longer than this from here on.
    pub(super) fn patience(&mut self, limit: Duration) {
        self.socket.set_read_timeout(Some(limit)).unwrap();
    }

    fn fill(&mut self, len: usize) -> Option<Event> {
        let mut buf = [0; 16_384];
        while self.ahead.len() < len {
            match self.io.read(&mut buf) {
                Ok(0) => return Some(Event::Closed),
                Ok(n) => self.ahead.extend_from_slice(&buf[..n]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Some(Event::Nothing);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Some(Event::Closed),
            }
        }
        None
    }

    pub(super) fn next(&mut self) -> Event {
        if let Some(event) = self.fill(9) {
            return event;
        }
        let len = u32::from_be_bytes([0, self.ahead[0], self.ahead[1], self.ahead[2]]) as usize;
        if len > 1 << 20 {
            // Somebody answers in another language.
            return Event::Closed;
        }
        if let Some(event) = self.fill(9 + len) {
            return event;
        }
        let all: Vec<u8> = self.ahead.drain(..9 + len).collect();
        let stream = u32::from_be_bytes(all[5..9].try_into().unwrap()) & 0x7fff_ffff;
        Event::Frame(Frame { kind: all[3], flags: all[4], stream, payload: all[9..].to_vec() })
    }

    /// The next event that is wanted, other frames passed over.
    pub(super) fn find(&mut self, wanted: impl Fn(&Frame) -> bool) -> Event {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.next() {
                Event::Frame(frame) if wanted(&frame) => return Event::Frame(frame),
                Event::Frame(_) if Instant::now() < end => {}
                Event::Frame(_) => return Event::Nothing,
                other => return other,
            }
        }
    }

    /// All frames up to the end of the connection, or until nothing comes.
    pub(super) fn rest(&mut self) -> (Vec<Frame>, Event) {
        let mut all = Vec::new();
        loop {
            match self.next() {
                Event::Frame(frame) => all.push(frame),
                end => return (all, end),
            }
        }
    }
}

/// Believes everybody.
fn anybody() -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

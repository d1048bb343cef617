//! What the web server sends.

use super::names::{self, STORED_METHOD};
use super::packet::{Overflow, Reader, Sender, Writer, push_whole};
use super::{BODY_OVERHEAD, Error, HEADER};

const FORWARD_REQUEST: u8 = 0x02;
const SHUTDOWN: u8 = 0x07;
const PING: u8 = 0x08;
const CPING: u8 = 0x0a;

const REMOTE_USER: u8 = 0x03;
const AUTH_TYPE: u8 = 0x04;
const QUERY_STRING: u8 = 0x05;
const JVM_ROUTE: u8 = 0x06;
const SSL_CERT: u8 = 0x07;
const SSL_CIPHER: u8 = 0x08;
const SSL_SESSION: u8 = 0x09;
const NAMED: u8 = 0x0a;
const SSL_KEY_SIZE: u8 = 0x0b;
const SECRET: u8 = 0x0c;
const STORED: u8 = 0x0d;
const DONE: u8 = 0xff;

/// A packet that begins an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A request.
    Forward(Forward<'a>),
    /// Are you there; answered by CPONG.
    Cping,
    /// The obsolete SHUTDOWN and PING, which nobody may obey: the connection is closed.
    Obsolete(u8),
}

impl<'a> Message<'a> {
    /// Reads a payload that is not body data.
    ///
    /// # Errors
    /// Anything malformed; the whole packet is checked.
    pub fn decode(payload: &'a [u8]) -> Result<Self, Error> {
        let mut from = Reader(payload);
        match from.u8()? {
            FORWARD_REQUEST => Forward::decode(from).map(Self::Forward),
            CPING => Ok(Self::Cping),
            code @ (SHUTDOWN | PING) => Ok(Self::Obsolete(code)),
            other => Err(Error::Type(other)),
        }
    }
}

/// A request as forwarded; every field is as sent, nothing is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward<'a> {
    /// The method, from its code or the `stored_method` attribute.
    pub method: &'a [u8],
    /// `HTTP/1.1` and the like.
    pub protocol: Option<&'a [u8]>,
    /// Path without query, still encoded.
    pub uri: Option<&'a [u8]>,
    /// The client's address.
    pub remote_addr: Option<&'a [u8]>,
    /// The client's name, if it was looked up.
    pub remote_host: Option<&'a [u8]>,
    /// The name the client asked for.
    pub server_name: Option<&'a [u8]>,
    /// The port the client connected to.
    pub server_port: u16,
    /// Over TLS.
    pub is_ssl: bool,
    count: u16,
    rest: Reader<'a>,
    attributes: Reader<'a>,
}

impl<'a> Forward<'a> {
    fn decode(mut from: Reader<'a>) -> Result<Self, Error> {
        let code = from.u8()?;
        let protocol = from.string()?;
        let uri = from.string()?;
        let remote_addr = from.string()?;
        let remote_host = from.string()?;
        let server_name = from.string()?;
        let server_port = from.u16()?;
        let is_ssl = from.u8()? != 0;
        let count = from.u16()?;
        let rest = from;
        for _ in 0..count {
            header(&mut from)?;
        }
        let attributes = from;
        let mut stored = None;
        while let Some(attribute) = attribute(&mut from)? {
            if let Attribute::StoredMethod(name) = attribute {
                stored = Some(name);
            }
        }
        let method = match code {
            STORED_METHOD => stored.ok_or(Error::Method(code))?,
            code => names::method_name(code).ok_or(Error::Method(code))?,
        };
        Ok(Self {
            method,
            protocol,
            uri,
            remote_addr,
            remote_host,
            server_name,
            server_port,
            is_ssl,
            count,
            rest,
            attributes,
        })
    }

    /// Names and values in order; coded names in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut from = self.rest;
        // Checked by `decode`: none of them fails.
        (0..self.count).map_while(move |_| header(&mut from).ok())
    }

    /// Attributes in order.
    pub fn attributes(&self) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
        let mut from = self.attributes;
        std::iter::from_fn(move || attribute(&mut from).ok().flatten())
    }
}

fn header<'a>(from: &mut Reader<'a>) -> Result<(&'a [u8], &'a [u8]), Error> {
    let name = match from.peek_u16() {
        Some(code) if names::is_coded(code) => {
            from.u16()?;
            names::request_header_name(code).ok_or(Error::Header(code))?
        }
        _ => from.text()?,
    };
    Ok((name, from.text()?))
}

/// What a request says beyond its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute<'a> {
    /// The authenticated user.
    RemoteUser(&'a [u8]),
    /// How they were authenticated.
    AuthType(&'a [u8]),
    /// Query without `?`.
    Query(&'a [u8]),
    /// The route of the session this request belongs to.
    JvmRoute(&'a [u8]),
    /// The client's certificate.
    SslCert(&'a [u8]),
    /// Cipher suite.
    SslCipher(&'a [u8]),
    /// TLS session id.
    SslSession(&'a [u8]),
    /// Key size in bits.
    SslKeySize(u16),
    /// What the container's connector asks of whoever speaks to it.
    Secret(&'a [u8]),
    /// The method without a code.
    StoredMethod(&'a [u8]),
    /// A request attribute by name.
    Named(&'a [u8], &'a [u8]),
    /// `context` (01) and `servlet_path` (02), which nobody uses.
    Unused(u8, &'a [u8]),
}

fn attribute<'a>(from: &mut Reader<'a>) -> Result<Option<Attribute<'a>>, Error> {
    let code = from.u8()?;
    Ok(Some(match code {
        DONE => return Ok(None),
        NAMED => Attribute::Named(from.text()?, from.string()?.unwrap_or_default()),
        SSL_KEY_SIZE => Attribute::SslKeySize(from.u16()?),
        1..=SSL_SESSION | SECRET | STORED => {
            let value = from.text()?;
            match code {
                REMOTE_USER => Attribute::RemoteUser(value),
                AUTH_TYPE => Attribute::AuthType(value),
                QUERY_STRING => Attribute::Query(value),
                JVM_ROUTE => Attribute::JvmRoute(value),
                SSL_CERT => Attribute::SslCert(value),
                SSL_CIPHER => Attribute::SslCipher(value),
                SSL_SESSION => Attribute::SslSession(value),
                SECRET => Attribute::Secret(value),
                STORED => Attribute::StoredMethod(value),
                other => Attribute::Unused(other, value),
            }
        }
        other => return Err(Error::Attribute(other)),
    }))
}

/// The part of a FORWARD_REQUEST that found no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Method to number of headers.
    Beginning,
    /// A header's code.
    HeaderCode,
    /// A header's name.
    HeaderName,
    /// A header's value.
    HeaderValue,
    /// An attribute, by its code.
    Attribute(u8),
    /// The end mark.
    End,
}

impl Part {
    /// Whether this is the `secret`.
    pub fn is_secret(self) -> bool {
        self == Self::Attribute(SECRET)
    }
}

/// Writes a FORWARD_REQUEST piece by piece: headers first, then attributes, then [`ForwardWriter::finish`].
#[derive(Debug)]
pub struct ForwardWriter<'a> {
    packet: Writer<'a, Part>,
    count_at: usize,
    count: u16,
}

/// The beginning of a FORWARD_REQUEST.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beginning<'a> {
    /// The method; one without a code also needs [`Attribute::StoredMethod`].
    pub method: &'a [u8],
    /// `HTTP/1.1` and the like.
    pub protocol: &'a [u8],
    /// Path without query, encoded.
    pub uri: &'a [u8],
    /// The client's address.
    pub remote_addr: &'a [u8],
    /// The client's name, if it was looked up.
    pub remote_host: Option<&'a [u8]>,
    /// The name the client asked for.
    pub server_name: &'a [u8],
    /// The port the client connected to.
    pub server_port: u16,
    /// Over TLS.
    pub is_ssl: bool,
}

impl<'a> ForwardWriter<'a> {
    /// Begins a packet of at most `max` bytes at the end of `out`.
    pub fn new(out: &'a mut Vec<u8>, max: usize, begin: &Beginning<'_>) -> Self {
        let mut packet = Writer::begin(out, max, Sender::WebServer);
        let part = Part::Beginning;
        packet.u8(FORWARD_REQUEST, part);
        packet.u8(names::method_code(begin.method), part);
        packet.string(begin.protocol, part);
        packet.string(begin.uri, part);
        packet.string(begin.remote_addr, part);
        match begin.remote_host {
            Some(host) => packet.string(host, part),
            None => packet.null(part),
        }
        packet.string(begin.server_name, part);
        packet.u16(begin.server_port, part);
        packet.u8(u8::from(begin.is_ssl), part);
        let count_at = packet.position();
        packet.u16(0, part);
        Self { packet, count_at, count: 0 }
    }

    /// Adds a header.
    pub fn header(&mut self, name: &[u8], value: &[u8]) {
        match names::request_header_code(name) {
            Some(code) => self.packet.u16(code, Part::HeaderCode),
            None => self.packet.string(name, Part::HeaderName),
        }
        self.packet.string(value, Part::HeaderValue);
        self.count = self.count.saturating_add(1);
    }

    /// Adds an attribute.
    pub fn attribute(&mut self, attribute: Attribute<'_>) {
        let (code, name, value) = match attribute {
            Attribute::RemoteUser(value) => (REMOTE_USER, None, value),
            Attribute::AuthType(value) => (AUTH_TYPE, None, value),
            Attribute::Query(value) => (QUERY_STRING, None, value),
            Attribute::JvmRoute(value) => (JVM_ROUTE, None, value),
            Attribute::SslCert(value) => (SSL_CERT, None, value),
            Attribute::SslCipher(value) => (SSL_CIPHER, None, value),
            Attribute::SslSession(value) => (SSL_SESSION, None, value),
            Attribute::Secret(value) => (SECRET, None, value),
            Attribute::StoredMethod(value) => (STORED, None, value),
            Attribute::Named(name, value) => (NAMED, Some(name), value),
            Attribute::Unused(code, value) => (code, None, value),
            Attribute::SslKeySize(bits) => {
                let part = Part::Attribute(SSL_KEY_SIZE);
                self.packet.u8(SSL_KEY_SIZE, part);
                self.packet.u16(bits, part);
                return;
            }
        };
        let part = Part::Attribute(code);
        self.packet.u8(code, part);
        if let Some(name) = name {
            self.packet.string(name, part);
        }
        self.packet.string(value, part);
    }

    /// Ends the packet.
    ///
    /// # Errors
    /// What found no room; the buffer is as it was before.
    pub fn finish(mut self) -> Result<(), Overflow<Part>> {
        self.packet.u8(DONE, Part::End);
        self.packet.patch(self.count_at, self.count);
        self.packet.finish()
    }
}

/// The data of a body packet's payload; empty is the end of the body.
///
/// # Errors
/// The announced length exceeds the payload.
pub fn body(payload: &[u8]) -> Result<&[u8], Error> {
    if payload.is_empty() {
        return Ok(payload);
    }
    let mut from = Reader(payload);
    let n = usize::from(from.u16()?);
    from.bytes(n)
}

/// Appends a body packet with as much of `data` as fits into `max` bytes, and says how much that was.
pub fn push_body(out: &mut Vec<u8>, max: usize, data: &[u8]) -> usize {
    let mut packet = BodyWriter::new(out, max);
    let taken = packet.push(out, data);
    packet.finish(out);
    taken
}

/// A body packet at the end of a buffer, filled piece by piece. Nothing else may be written behind it meanwhile.
#[derive(Debug)]
pub struct BodyWriter {
    start: usize,
    room: usize,
}

impl BodyWriter {
    /// Begins a packet of at most `max` bytes.
    pub fn new(out: &mut Vec<u8>, max: usize) -> Self {
        let start = out.len();
        push_whole(out, Sender::WebServer, &[&[0, 0]]);
        Self { start, room: max.min(super::MAX_PACKET_SIZE).saturating_sub(BODY_OVERHEAD) }
    }

    /// Adds as much of `data` as still fits, and says how much that was.
    pub fn push(&mut self, out: &mut Vec<u8>, data: &[u8]) -> usize {
        let data = data.get(..self.room).unwrap_or(data);
        out.extend_from_slice(data);
        self.room -= data.len();
        data.len()
    }

    /// Whether no more data fits.
    pub fn is_full(&self) -> bool {
        self.room == 0
    }

    /// Fills in the lengths; a packet without data is the end of the body.
    pub fn finish(self, out: &mut [u8]) {
        let payload = u16::try_from(out.len() - self.start - HEADER).unwrap_or(u16::MAX);
        if let Some([_, _, lengths @ ..]) = out.get_mut(self.start..self.start + BODY_OVERHEAD) {
            lengths.copy_from_slice(&(u32::from(payload) << 16 | u32::from(payload - 2)).to_be_bytes());
        }
    }
}

/// Appends the empty body packet that ends a body.
pub fn push_end_of_body(out: &mut Vec<u8>) {
    push_whole(out, Sender::WebServer, &[&[0, 0]]);
}

/// Appends a CPING.
pub fn push_cping(out: &mut Vec<u8>) {
    push_whole(out, Sender::WebServer, &[&[CPING]]);
}

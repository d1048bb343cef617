//! The AJP/1.3 connector: the container's side of the wire.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::connector::{Shared, plain};
use super::exchange::{Body, Exchange, Request};
use super::gates::{CERTIFICATE, pem_of};
use super::http::is_bodyless;
use super::link::{self, Refused};
use super::log;
use super::model::Ajp;
use super::reports::ErrorReport;
use super::valves::{Valve, whole};
use crate::base::clock::{Clock, SystemClock};
use crate::base::pattern::Pattern;
use crate::codec::ajp::{self, Attribute, Forward, HeadersWriter, Message, Sender};

/// Request attributes that are let in without a pattern.
const ATTRIBUTES: [&str; 4] = ["AJP_LOCAL_ADDR", "AJP_REMOTE_PORT", "AJP_SSL_PROTOCOL", "JK_LB_ACTIVATION"];
/// What begins the names of TLS attributes that are let in.
const TLS: [&str; 2] = ["javax.servlet.request.", "jakarta.servlet.request."];
/// What such names go on with.
const TLS_TAILS: [&str; 4] = ["cipher_suite", "key_size", "ssl_session", "X509Certificate"];
/// A body longer than this is refused.
const MOST_BODY: usize = 64 << 20;
/// For ever, nearly.
const LONG: Duration = Duration::from_secs(365 * 24 * 3600);

/// Answers the requests of a web server's connection until it ends.
pub async fn serve(mut stream: TcpStream, peer: SocketAddr, shared: &Arc<Shared>, settings: &Ajp) {
    let number = shared.connections.fetch_add(1, Ordering::Relaxed);
    let mut connection =
        Connection { number, peer, shared, settings, buf: Vec::with_capacity(settings.packet), taken: 0, used: false };
    while let Ok(true) = connection.step(&mut stream).await {}
    let _ = stream.shutdown().await;
}

struct Connection<'a> {
    number: u64,
    peer: SocketAddr,
    shared: &'a Arc<Shared>,
    settings: &'a Ajp,
    buf: Vec<u8>,
    /// Bytes of `buf` that are done with.
    taken: usize,
    used: bool,
}

impl Connection<'_> {
    /// One packet that begins an exchange, and the exchange; whether the connection goes on.
    async fn step(&mut self, stream: &mut TcpStream) -> io::Result<bool> {
        let limit = if self.used { self.shared.settings.keep_alive } else { self.shared.settings.timeout };
        let mut stopping = self.shared.stopping.clone();
        let packet = tokio::select! {
            packet = self.packet(stream, limit) => packet?,
            _ = stopping.wait_for(|stop| *stop), if self.buf.len() == self.taken => return Ok(false),
        };
        let started = Instant::now();
        let Some(payload) = packet else { return Ok(false) };
        let (mut request, refused, length) = match Message::decode(&payload) {
            Ok(Message::Cping) => {
                let mut out = Vec::new();
                ajp::push_cpong(&mut out);
                stream.write_all(&out).await?;
                return Ok(true);
            }
            Ok(Message::Obsolete(_)) => return Ok(false),
            Ok(Message::Forward(forward)) => {
                let mut request = self.blank(stream, started)?;
                let refused = self.fill(&mut request, &forward).err();
                let length = body_length(&request);
                (request, refused, length)
            }
            Err(_) => {
                let request = self.blank(stream, started)?;
                self.send(stream, refusal(request, &Refused(500, "Invalid message")), false).await?;
                return Ok(false);
            }
        };
        self.used = true;
        if let Some(refused) = refused {
            self.send(stream, refusal(request, &refused), false).await?;
            return Ok(false);
        }
        match length {
            Ok(length) => match self.body(stream, length).await? {
                Ok(body) => request.body = body,
                Err(refused) => {
                    self.send(stream, refusal(request, &refused), false).await?;
                    return Ok(false);
                }
            },
            Err(refused) => {
                self.send(stream, refusal(request, &refused), false).await?;
                return Ok(false);
            }
        }
        match self.shared.handle(Exchange::new(request)).await {
            Ok(exchange) => self.send(stream, exchange, !self.shared.is_stopping()).await,
            Err(_) => {
                let request = self.blank(stream, started)?;
                self.send(stream, refusal(request, &Refused(500, "the application failed")), false).await?;
                Ok(false)
            }
        }
    }

    /// The payload of the next packet; `None` at the end of the connection.
    async fn packet(&mut self, stream: &mut TcpStream, limit: Option<Duration>) -> io::Result<Option<Vec<u8>>> {
        loop {
            let ready = self.buf.get(self.taken..).unwrap_or_default();
            match ajp::split(ready, self.settings.packet, Sender::WebServer) {
                Ok(Some(packet)) => {
                    let payload = packet.payload.to_vec();
                    self.taken += packet.len;
                    return Ok(Some(payload));
                }
                Ok(None) => {}
                Err(error) => {
                    const SOURCE: &str = "org.apache.coyote.ajp.AjpMessage.processHeader";
                    log::severe(SOURCE, &format!("Invalid message received: {error}"));
                    return Ok(None);
                }
            }
            self.buf.drain(..self.taken);
            self.taken = 0;
            self.buf.reserve(self.settings.packet);
            match timeout(limit.unwrap_or(LONG), stream.read_buf(&mut self.buf)).await {
                Ok(Ok(0)) | Err(_) => return Ok(None),
                Ok(read) => {
                    read?;
                }
            }
        }
    }

    fn blank(&self, stream: &TcpStream, started: Instant) -> io::Result<Request> {
        let (local, peer) = (stream.local_addr()?, plain(self.peer.ip()));
        let settings = &self.shared.settings;
        Ok(Request {
            peer: Some(peer),
            remote_addr: peer.to_string(),
            remote_host: peer.to_string(),
            local_addr: plain(local.ip()).to_string(),
            local_port: local.port(),
            server_name: plain(local.ip()).to_string(),
            server_port: local.port(),
            started,
            started_at: SystemClock.wall(),
            connection: self.number,
            max_parameters: settings.max_parameters,
            max_post: settings.max_post,
            redirect_port: settings.redirect_port,
            ..Request::default()
        })
    }

    /// Fills in what was forwarded.
    fn fill(&self, request: &mut Request, forward: &Forward<'_>) -> Result<(), Refused> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        request.method = text(forward.method);
        request.protocol = forward.protocol.map(text).unwrap_or_default();
        request.uri = forward.uri.map(text).unwrap_or_default();
        request.remote_addr = forward.remote_addr.map(text).unwrap_or_default();
        request.remote_host = forward.remote_host.map_or_else(|| request.remote_addr.clone(), text);
        request.server_name = forward.server_name.map(text).unwrap_or_default().to_ascii_lowercase();
        request.server_port = forward.server_port;
        request.scheme = if forward.is_ssl { "https" } else { "http" }.to_owned();
        request.secure = forward.is_ssl || self.shared.settings.secure;
        request.headers = forward.headers().map(|(name, value)| (text(name), value.to_vec())).collect();
        // What the client asked for counts, where it said so.
        let host = request.header("host").unwrap_or_default().to_owned();
        link::place(request, &host, &self.shared.settings)?;
        let mut shown: Option<&[u8]> = None;
        let pattern = self.settings.attributes.as_deref().and_then(|text| whole(text).ok());
        for attribute in forward.attributes() {
            match attribute {
                Attribute::Secret(secret) => shown = Some(secret),
                Attribute::Query(query) => request.query = Some(text(query)),
                Attribute::RemoteUser(user) if !self.settings.own_users => request.user = Some(text(user)),
                Attribute::SslKeySize(size) => {
                    request.set_attribute("jakarta.servlet.request.key_size", &size.to_string());
                }
                Attribute::SslCipher(cipher) => {
                    request.set_attribute("jakarta.servlet.request.cipher_suite", &text(cipher))
                }
                Attribute::SslCert(certificate) => {
                    if let Some(pem) = pem_of(&text(certificate)) {
                        request.set_attribute(CERTIFICATE, &pem);
                    }
                }
                Attribute::Named(name, value) => {
                    let (name, value) = (text(name), text(value));
                    if !admitted(&name, pattern.as_ref()) {
                        const SOURCE: &str = "org.apache.coyote.ajp.AjpProcessor.prepareRequest";
                        log::warning(SOURCE, &format!("The request attribute [{name}] is not allowed"));
                        return Err(Refused(403, ""));
                    }
                    match name.as_str() {
                        "AJP_REMOTE_PORT" => request.remote_port = value.parse().unwrap_or(0),
                        "AJP_LOCAL_ADDR" => request.local_addr = value,
                        _ => request.set_attribute(&name, &value),
                    }
                }
                _ => {}
            }
        }
        match (&self.settings.secret, shown) {
            (Some(secret), Some(shown)) if same(secret, shown) => {}
            (None, _) => {}
            _ => return Err(Refused(403, "the secret is wrong or missing")),
        }
        Ok(())
    }

    /// Reads the body: the first packet comes by itself if a length was announced, the others are asked for.
    async fn body(&mut self, stream: &mut TcpStream, length: Option<usize>) -> io::Result<Result<Vec<u8>, Refused>> {
        let mut body = Vec::new();
        let mut asked = match length {
            Some(0) => return Ok(Ok(body)),
            Some(_) => true,
            None => false,
        };
        let most = u16::try_from(self.settings.packet - ajp::BODY_OVERHEAD).unwrap_or(u16::MAX);
        while length.is_none_or(|length| body.len() < length) {
            if !asked {
                let mut out = Vec::new();
                ajp::push_get_body_chunk(&mut out, most);
                stream.write_all(&out).await?;
            }
            asked = false;
            let Some(payload) = self.packet(stream, self.shared.settings.timeout).await? else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            let Ok(data) = ajp::body(&payload) else { return Ok(Err(Refused(400, "Invalid body packet"))) };
            if data.is_empty() {
                break;
            }
            body.extend_from_slice(data);
            if body.len() > MOST_BODY {
                return Ok(Err(Refused(413, "the request body is too large")));
            }
        }
        if let Some(length) = length {
            if body.len() < length {
                return Ok(Err(Refused(400, "the request body ended early")));
            }
            body.truncate(length);
        }
        Ok(Ok(body))
    }

    async fn send(&mut self, stream: &mut TcpStream, mut exchange: Exchange, reuse: bool) -> io::Result<bool> {
        let packet = self.settings.packet;
        let status = exchange.response.status;
        let mut out = Vec::with_capacity(packet);
        let mut head = HeadersWriter::new(&mut out, packet, status, status.to_string().as_bytes());
        for (name, value) in &exchange.response.headers {
            head.header(name.as_bytes(), value.as_bytes());
        }
        if !is_bodyless(status) {
            head.header(b"Content-Length", exchange.response.body.len().to_string().as_bytes());
        }
        let mut broken = false;
        if head.finish().is_err() {
            log::severe("org.apache.coyote.ajp.AjpProcessor.prepareResponse", "the response's headers fit no packet");
            let head = HeadersWriter::new(&mut out, packet, 500, b"500");
            broken = head.finish().is_err();
        }
        exchange.response.committed = Some(Instant::now());
        exchange.response.kept = reuse;
        let body = std::mem::take(&mut exchange.response.body);
        let head_only = exchange.request.method == "HEAD" || is_bodyless(status) || broken;
        let sent = self.send_body(stream, &mut out, if head_only { Body::Empty } else { body }, reuse).await;
        exchange.response.aborted = sent.is_err();
        exchange.response.sent = *sent.as_ref().unwrap_or(&0);
        self.shared.answers.log(&exchange);
        sent.map(|_| reuse)
    }

    async fn send_body(&self, stream: &mut TcpStream, out: &mut Vec<u8>, body: Body, reuse: bool) -> io::Result<u64> {
        let length = body.len();
        match body {
            Body::Empty => {}
            Body::Bytes(bytes) => self.push(stream, out, &bytes).await?,
            Body::File(file, length) => {
                let mut file = tokio::fs::File::from_std(file).take(length);
                let (mut buf, mut sent) = (Vec::with_capacity(64 << 10), 0);
                while file.read_buf(&mut buf).await? > 0 {
                    sent += buf.len() as u64;
                    self.push(stream, out, &buf).await?;
                    buf.clear();
                }
                if sent < length {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
        ajp::push_end_response(out, reuse);
        stream.write_all(out).await?;
        Ok(length)
    }

    /// Sends data in as many packets as it needs; the last of it may stay in `out`.
    async fn push(&self, stream: &mut TcpStream, out: &mut Vec<u8>, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            let taken = ajp::push_body_chunk(out, self.settings.packet, data);
            data = data.get(taken..).unwrap_or_default();
            if out.len() > 32 << 10 {
                stream.write_all(out).await?;
                out.clear();
            }
        }
        Ok(())
    }
}

/// The response to a request that no application sees.
fn refusal(request: Request, refused: &Refused) -> Exchange {
    let mut exchange = Exchange::new(request);
    exchange.response.error(refused.0, Some(refused.1).filter(|message| !message.is_empty()));
    ErrorReport::of(None).after(&mut exchange);
    exchange
}

/// How long the body is; `None` if it is asked for until it ends.
fn body_length(request: &Request) -> Result<Option<usize>, Refused> {
    let mut lengths = request.headers("content-length");
    match (lengths.next(), lengths.next()) {
        (Some(_), Some(_)) => Err(Refused(400, "")),
        (Some(length), None) => match length.trim().parse::<usize>() {
            Ok(length) if length <= MOST_BODY => Ok(Some(length)),
            Ok(_) => Err(Refused(413, "the request body is too large")),
            Err(_) => Err(Refused(400, "an invalid length")),
        },
        (None, _) if request.header("transfer-encoding").is_some() => Ok(None),
        (None, _) => Ok(Some(0)),
    }
}

/// Whether a request attribute is let in: an unknown one may steer an application (CVE-2020-1938).
fn admitted(name: &str, pattern: Option<&Pattern>) -> bool {
    let tls = || TLS.iter().any(|begin| name.strip_prefix(begin).is_some_and(|tail| TLS_TAILS.contains(&tail)));
    ATTRIBUTES.contains(&name) || tls() || pattern.is_some_and(|pattern| pattern.is_match(name.as_bytes()))
}

/// Compares in a time that does not tell where texts differ.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_attributes_are_let_in() {
        let pattern = whole("X-.*").ok();
        for (name, open) in [
            ("AJP_REMOTE_PORT", true),
            ("jakarta.servlet.request.cipher_suite", true),
            ("jakarta.servlet.include.request_uri", false),
            ("X-a", true),
            ("aX-a", false),
        ] {
            assert_eq!(admitted(name, pattern.as_ref()), open, "{name}");
        }
        assert!(!admitted("X-a", None));
        assert!(same(b"ab", b"ab") && !same(b"ab", b"ac") && !same(b"ab", b"abc"));
    }
}

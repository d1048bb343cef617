//! The HTTP/1.1 connector.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::connector::Shared;
use super::exchange::{Body, Exchange, Request};
use super::heads::{self, Expects, Mended};
use super::http2::{self, Upgrade};
use super::link::{Link, Refused, is_target};
use crate::base::clock::{self, Clock, SystemClock};
use crate::codec::http1::{self, Chunked, FramingError, Limits, Part, RequestBody, RequestHead, Rules, Status, write};

/// Bytes read at a time.
const STEP: usize = 8192;
/// A body longer than this is refused whatever the form limit is.
pub const MOST_BODY: u64 = 64 << 20;
/// For ever, nearly.
pub const LONG: Duration = Duration::from_secs(365 * 24 * 3600);

/// What requests come over.
pub trait Wire: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Wire for S {}

/// How a connection goes on after a request.
enum Next {
    Keep,
    Close,
    /// In HTTP/2, which begins with what was read, or with a request that was read.
    Http2(Option<Upgrade>),
}

/// Answers the requests of a connection until it ends.
pub async fn serve(mut stream: impl Wire, link: Link, shared: &Arc<Shared>) {
    let mut connection = Connection { link: &link, shared, buf: Vec::new(), head: RequestHead::default(), served: 0 };
    loop {
        match connection.request(&mut stream).await {
            Ok(Next::Keep) => {}
            Ok(Next::Http2(upgrade)) => {
                let ahead = std::mem::take(&mut connection.buf);
                return http2::resume(stream, ahead, upgrade, link, shared).await;
            }
            Ok(Next::Close) | Err(_) => break,
        }
    }
    let _ = stream.shutdown().await;
}

struct Connection<'a> {
    link: &'a Link,
    shared: &'a Arc<Shared>,
    buf: Vec<u8>,
    head: RequestHead,
    served: i64,
}

impl Connection<'_> {
    async fn request(&mut self, stream: &mut impl Wire) -> io::Result<Next> {
        let Some((started, head)) = self.read_head(stream).await? else {
            return Ok(if self.buf.starts_with(BEGIN) { Next::Http2(None) } else { Next::Close });
        };
        let settings = &self.shared.settings;
        let mut request = self.link.request(settings, started);
        let parsed = match head {
            Ok(length) => self.fill(&mut request, length),
            Err(refused) => {
                heads::note(&self.buf, refused, &mut request);
                Err(refused)
            }
        };
        let (body, length) = match parsed {
            Ok(parsed) => parsed,
            Err(refused) => return self.refuse(stream, request, refused).await,
        };
        if body == RequestBody::Empty
            && let Some(upgrade) = settings.http2.as_ref().and_then(|_| self.upgrade(&request))
        {
            stream.write_all(&switching()).await?;
            self.buf.drain(..length);
            let mut exchange = Exchange::new(request);
            (exchange.response.status, exchange.response.kept) = (101, true);
            self.shared.answers.log(&exchange);
            return Ok(Next::Http2(Some(upgrade)));
        }
        let mut keep = self.keeps(&request);
        let expects = heads::expects(request.header("expect"), self.head.version.minor == 0);
        match expects {
            Expects::Continue => stream.write_all(b"HTTP/1.1 100 \r\n\r\n").await?,
            Expects::Other => return self.refuse(stream, request, Refused(417, "")).await,
            Expects::Nothing => {}
        }
        self.buf.drain(..length);
        let has_body = body != RequestBody::Empty;
        let mut cut = false;
        match self.read_body(stream, body).await {
            Ok(Ok(read)) => request.body = read,
            Ok(Err(refused)) => return self.refuse(stream, request, refused).await,
            // Whoever reads no body is not disturbed by one that ends early; who does finds nothing in it.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => cut = true,
            Err(error) => return Err(error),
        }
        self.served += 1;
        let Ok(exchange) = self.shared.handle(Exchange::new(request)).await else {
            let request = self.link.request(&self.shared.settings, started);
            return self.refuse(stream, request, Refused(500, "the application failed")).await;
        };
        let status = exchange.response.status;
        // What was not read of a body that was announced would be taken for the next request.
        let left = expects == Expects::Continue && has_body && status >= 400;
        keep = keep && !left && !is_last(status) && !self.shared.is_stopping();
        let next = self.send(stream, exchange, keep).await?;
        Ok(if cut { Next::Close } else { next })
    }

    /// Reads until a head is whole or refused; `None` at the end of the connection.
    async fn read_head(&mut self, stream: &mut impl Wire) -> io::Result<Option<(Instant, Result<usize, Refused>)>> {
        let settings = &self.shared.settings;
        let most = settings.max_head;
        let limits = Limits { line: most, field_size: most, fields: settings.max_headers };
        let mut started = (!self.buf.is_empty()).then(Instant::now);
        loop {
            if self.served == 0 && settings.http2.is_some() && !self.link.is_secured() && self.buf.starts_with(BEGIN) {
                return Ok(None);
            }
            if !self.buf.is_empty() {
                let begun = *started.get_or_insert_with(Instant::now);
                match http1::parse_request(&self.buf, &limits, &Rules::default(), &mut self.head) {
                    Ok(Status::Complete(length)) if length <= most => return Ok(Some((begun, Ok(length)))),
                    Ok(Status::Partial) if self.buf.len() <= most => {}
                    Ok(_) => return Ok(Some((begun, Err(Refused(400, "Error parsing HTTP request header"))))),
                    Err(error) => match heads::mend(&self.buf) {
                        Mended::Partly if self.buf.len() <= most => {}
                        Mended::Whole(head, before) if before <= most => {
                            let again = http1::parse_request(&head, &limits, &Rules::default(), &mut self.head);
                            let refused = heads::refusal(&head, error.status());
                            self.buf.splice(..before, head);
                            return Ok(Some((
                                begun,
                                match again {
                                    Ok(Status::Complete(length)) => Ok(length),
                                    _ => Err(refused),
                                },
                            )));
                        }
                        _ => return Ok(Some((begun, Err(heads::refusal(&self.buf, error.status()))))),
                    },
                }
            }
            let limit = if started.is_none() && self.served > 0 { settings.keep_alive } else { settings.timeout };
            let mut stopping = self.shared.stopping.clone();
            let read = tokio::select! {
                read = timeout(limit.unwrap_or(LONG), read_more(stream, &mut self.buf)) => read,
                // A connection without a request is closed when the connector stops.
                _ = stopping.wait_for(|stop| *stop), if started.is_none() => return Ok(None),
            };
            match read {
                Ok(Ok(0)) | Err(_) => return Ok(None),
                Ok(read) => {
                    read?;
                }
            }
        }
    }

    /// The change to HTTP/2 that a request asks for.
    fn upgrade(&self, request: &Request) -> Option<Upgrade> {
        let named = |field: &str, token: &str| {
            request.headers(field).flat_map(|line| line.split(',')).any(|word| word.trim().eq_ignore_ascii_case(token))
        };
        let asked = !self.link.is_secured() && named("upgrade", "h2c") && named("connection", "http2-settings");
        if asked { Upgrade::of(request) } else { None }
    }

    /// Fills in what the head of `length` bytes says.
    fn fill(&self, request: &mut Request, length: usize) -> Result<(RequestBody, usize), Refused> {
        let text = |span| String::from_utf8_lossy(self.head.bytes(&self.buf, span)).into_owned();
        request.method = text(self.head.method);
        request.protocol = text(self.head.protocol);
        let target = text(self.head.target);
        for (name, value) in self.head.fields(&self.buf) {
            request.headers.push((String::from_utf8_lossy(name).into_owned(), value.to_vec()));
        }
        if self.head.is_simple() || self.head.version.major != 1 || self.head.version.minor > 1 {
            return Err(Refused(505, ""));
        }
        if request.method == "CONNECT" {
            request.uri = target;
            return Err(heads::CONNECT);
        }
        let (mut rest, mut host) = (target.as_str(), None);
        for scheme in ["http://", "https://"] {
            if target.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme)) {
                let inside = target.get(scheme.len()..).unwrap_or_default();
                let end = inside.find(['/', '?']).unwrap_or(inside.len());
                let (authority, path) = inside.split_at(end);
                (host, rest) = (Some(authority.to_owned()), path);
            }
        }
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        request.uri = if path.is_empty() { "/".to_owned() } else { path.to_owned() };
        request.query = query.map(str::to_owned);
        if !is_target(path.as_bytes(), query.map(str::as_bytes), &self.shared.settings) {
            // Brackets are found in a line that was read to its end, and the log shows it.
            let bare: Vec<u8> = path.bytes().filter(|byte| !b"[]".contains(byte)).collect();
            if !is_target(&bare, query.map(str::as_bytes), &self.shared.settings) {
                request.uri.clear();
                request.query = None;
            }
            return Err(Refused(400, "Invalid character found in the request target"));
        }
        let mut hosts = request.headers("host").map(str::to_owned);
        let written = hosts.next();
        if hosts.next().is_some() || (written.is_none() && self.head.version.minor >= 1) {
            return Err(Refused(400, ""));
        }
        drop(hosts);
        let differ =
            host.as_ref().zip(written.as_ref()).is_some_and(|(host, written)| !host.eq_ignore_ascii_case(written));
        if differ && !self.shared.settings.host_mismatch {
            return Err(Refused(400, ""));
        }
        let host = host.or(written).unwrap_or_default();
        self.link.place(request, &host, &self.shared.settings)?;
        let coded = heads::is_chunked(request.headers("transfer-encoding"))?;
        if coded.is_some() && self.head.version.minor == 0 {
            return Err(Refused(400, ""));
        }
        let length_too = request.header("content-length").is_some();
        let body = match http1::request_body(&self.head, &self.buf) {
            Ok(body) => body,
            Err(FramingError::UnknownCoding(_)) if coded == Some(true) => RequestBody::Chunked { length_too },
            Err(_) => return Err(Refused(400, "")),
        };
        Ok((body, length))
    }

    /// Whether the client lets the connection be used again.
    fn keeps(&self, request: &Request) -> bool {
        let most = self.shared.settings.max_keep_alive;
        let says = |wanted: &str| {
            let mut words = request.headers("connection").flat_map(|line| line.split(',')).map(str::trim);
            words.any(|word| word.eq_ignore_ascii_case(wanted))
        };
        let allowed = !says("close") && (self.head.version.minor > 0 || says("keep-alive"));
        let smuggled = request.header("transfer-encoding").is_some() && request.header("content-length").is_some();
        allowed && !smuggled && (most <= 0 || self.served + 1 < most)
    }

    async fn read_body(&mut self, stream: &mut impl Wire, body: RequestBody) -> io::Result<Result<Vec<u8>, Refused>> {
        const TOO_LARGE: Refused = Refused(413, "the request body is too large");
        let settings = &self.shared.settings;
        let most = u64::try_from(settings.max_post).unwrap_or(MOST_BODY).clamp(2 << 20, MOST_BODY);
        let limit = settings.timeout.unwrap_or(LONG);
        let late = || io::Error::from(io::ErrorKind::TimedOut);
        match body {
            RequestBody::Empty => Ok(Ok(Vec::new())),
            RequestBody::Length(length) if length > most => Ok(Err(TOO_LARGE)),
            RequestBody::Length(length) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                while self.buf.len() < length {
                    if timeout(limit, read_more(stream, &mut self.buf)).await.map_err(|_| late())?? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                let rest = self.buf.split_off(length);
                Ok(Ok(std::mem::replace(&mut self.buf, rest)))
            }
            RequestBody::Chunked { .. } => {
                let limits = Limits { line: 8192, field_size: 8192, fields: 100 };
                let (mut decoder, mut out) = (Chunked::new(limits, Rules::default()), Vec::new());
                loop {
                    let step = match decoder.decode(&self.buf) {
                        Ok(step) => step,
                        Err(error) => return Ok(Err(Refused(error.status(), "Invalid chunked body"))),
                    };
                    if let Part::Data(range) = &step.part {
                        out.extend_from_slice(self.buf.get(range.clone()).unwrap_or_default());
                    }
                    self.buf.drain(..step.consumed);
                    if out.len() as u64 > most {
                        return Ok(Err(TOO_LARGE));
                    }
                    match step.part {
                        Part::End => return Ok(Ok(out)),
                        Part::Data(_) => {}
                        Part::NeedMore => {
                            if timeout(limit, read_more(stream, &mut self.buf)).await.map_err(|_| late())?? == 0 {
                                return Err(io::ErrorKind::UnexpectedEof.into());
                            }
                        }
                    }
                }
            }
        }
    }

    /// Answers what no application sees, and ends the connection.
    async fn refuse(&mut self, stream: &mut impl Wire, request: Request, refused: Refused) -> io::Result<Next> {
        self.send(stream, refused.answer(request), false).await
    }

    async fn send(&mut self, stream: &mut impl Wire, mut exchange: Exchange, keep: bool) -> io::Result<Next> {
        let mut out = Vec::with_capacity(1024);
        let asked = self.shared.settings.keep_alive_told
            && exchange
                .request
                .headers("connection")
                .flat_map(|line| line.split(','))
                .any(|word| word.trim().eq_ignore_ascii_case("keep-alive"));
        let told = self.shared.settings.keep_alive.filter(|_| asked).map(|time| time.as_secs());
        // Two statuses end the connection without a word.
        let shown = keep || matches!(exchange.response.status, 417 | 505);
        let old = self.head.version.minor == 0 && keep;
        push_head(&mut out, &exchange, shown, old, &self.shared.settings, told);
        exchange.response.kept = keep;
        exchange.response.committed = Some(Instant::now());
        let limit = self.shared.settings.timeout.unwrap_or(LONG);
        let head_only = exchange.request.method == "HEAD" || is_bodyless(exchange.response.status);
        let body = std::mem::take(&mut exchange.response.body);
        let sent = match body {
            _ if head_only => {
                timeout(limit, stream.write_all(&out)).await.map_err(io::Error::from).flatten().map(|()| 0)
            }
            Body::Empty => timeout(limit, stream.write_all(&out)).await.map_err(io::Error::from).flatten().map(|()| 0),
            Body::Bytes(bytes) => {
                let length = bytes.len() as u64;
                out.reserve_exact(bytes.len());
                out.extend_from_slice(&bytes);
                timeout(limit, stream.write_all(&out)).await.map_err(io::Error::from).flatten().map(|()| length)
            }
            Body::File(file, length) => send_file(stream, &out, file, length, limit).await,
        };
        exchange.response.aborted = sent.is_err();
        exchange.response.sent = *sent.as_ref().unwrap_or(&0);
        self.shared.answers.log(&exchange);
        sent.map(|_| if keep { Next::Keep } else { Next::Close })
    }
}

/// Whether nothing more is read from a client that got this status: what it sends next may not be what it means.
fn is_last(status: u16) -> bool {
    matches!(status, 400 | 408 | 411 | 413 | 414 | 500 | 501 | 503)
}

/// Whether a status has no body by definition.
pub fn is_bodyless(status: u16) -> bool {
    matches!(status, 100..=199 | 204 | 304)
}

/// A client that knows that HTTP/2 is spoken begins with this.
const BEGIN: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";

/// The answer to a request that goes on in HTTP/2.
fn switching() -> Vec<u8> {
    let mut out = b"HTTP/1.1 101 \r\nConnection: Upgrade\r\nUpgrade: h2c\r\n".to_vec();
    push_date(&mut out);
    out.extend_from_slice(b"\r\n");
    out
}

fn push_date(out: &mut Vec<u8>) {
    let mut date = Vec::new();
    clock::push_http_date(&mut date, SystemClock.wall());
    write::push_field(out, b"Date", &date);
}

async fn read_more(stream: &mut impl Wire, buf: &mut Vec<u8>) -> io::Result<usize> {
    buf.reserve(STEP);
    stream.read_buf(buf).await
}

async fn send_file(
    stream: &mut impl Wire,
    head: &[u8],
    file: std::fs::File,
    length: u64,
    limit: Duration,
) -> io::Result<u64> {
    timeout(limit, stream.write_all(head)).await??;
    let mut file = tokio::fs::File::from_std(file).take(length);
    let (mut buf, mut sent) = (Vec::with_capacity(64 << 10), 0);
    loop {
        buf.clear();
        let read = file.read_buf(&mut buf).await?;
        if read == 0 {
            break;
        }
        timeout(limit, stream.write_all(&buf)).await??;
        sent += read as u64;
    }
    // A file that shrank: the client must not take the next response for the rest of it.
    if sent < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(sent) }
}

/// `told` is how many seconds a client that asked is told that its connection is kept.
fn push_head(
    out: &mut Vec<u8>,
    exchange: &Exchange,
    keep: bool,
    old: bool,
    settings: &super::model::Connector,
    told: Option<u64>,
) {
    let response = &exchange.response;
    out.extend_from_slice(b"HTTP/1.1 ");
    write::push_decimal(out, u64::from(response.status));
    // Tomcat sends no reason.
    out.extend_from_slice(b" \r\n");
    if let Some(server) = &settings.server {
        write::push_field(out, b"Server", server.as_bytes());
    }
    for (name, value) in &response.headers {
        write::push_field(out, name.as_bytes(), value.as_bytes());
    }
    if !is_bodyless(response.status) {
        let mut length = Vec::new();
        write::push_decimal(&mut length, response.body.len());
        write::push_field(out, b"Content-Length", &length);
    }
    push_date(out);
    let time = told.map(|seconds| format!("timeout={seconds}"));
    match (keep, old, time) {
        (false, ..) => write::push_field(out, b"Connection", b"close"),
        (true, true, time) => {
            write::push_field(out, b"Connection", b"keep-alive");
            if let Some(time) = time {
                write::push_field(out, b"Keep-Alive", time.as_bytes());
            }
        }
        (true, false, Some(time)) => {
            write::push_field(out, b"Keep-Alive", time.as_bytes());
            write::push_field(out, b"Connection", b"keep-alive");
        }
        (true, false, None) => {}
    }
    out.extend_from_slice(b"\r\n");
}

//! HTTP/2 on a connector: hyper reads and writes frames, requests go the same way as those of HTTP/1.1.
//!
//! A connection comes here from TLS by ALPN, or from [`http`](super::http) by the client's preface or an upgrade. It ends
//! when the client closes it, when it had no stream for `keepAliveTimeout`, when a client takes nothing of what it asked for
//! during `streamWriteTimeout`, or once its streams are answered when the connector stops.

use std::io::{self, Cursor};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::Reason;
use http::header::{CONTENT_LENGTH, DATE, HeaderName, HeaderValue, SERVER};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::fs::File;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, ReadBuf};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::connector::Shared;
use super::exchange::{self, Exchange, Request};
use super::http::{LONG, MOST_BODY, Wire, is_bodyless};
use super::link::{Link, Refused, is_target};
use super::model::Http2;
use crate::base::clock::{self, Clock, SystemClock};
use crate::codec::http2::{self, opening, prologue, push_field};

/// Bytes of a response that are handed over at a time.
const STEP: usize = 16 << 10;
/// How often it is looked whether a connection still serves its purpose, at least.
const LOOK: Duration = Duration::from_secs(5);

/// A request in HTTP/1.1 that becomes the first stream.
#[derive(Debug)]
pub struct Upgrade {
    settings: Vec<u8>,
    block: Vec<u8>,
}

impl Upgrade {
    /// What a request without a body becomes; `None` if its settings are none or it is too large for a frame.
    pub fn of(request: &Request) -> Option<Self> {
        const HERE: [&str; 8] = [
            "connection",
            "content-length",
            "http2-settings",
            "keep-alive",
            "proxy-connection",
            "te",
            "transfer-encoding",
            "upgrade",
        ];
        let settings = http2::settings(request.header("http2-settings")?.as_bytes())?;
        let query = request.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        let path = format!("{}{query}", request.uri);
        let mut block = Vec::new();
        push_field(b":method", request.method.as_bytes(), &mut block);
        push_field(b":scheme", b"http", &mut block);
        push_field(b":authority", request.header("host")?.as_bytes(), &mut block);
        push_field(b":path", path.as_bytes(), &mut block);
        for (name, value) in &request.headers {
            let name = name.to_ascii_lowercase();
            if !HERE.contains(&name.as_str()) {
                push_field(name.as_bytes(), value, &mut block);
            }
        }
        (block.len() <= http2::FRAME).then_some(Self { settings, block })
    }
}

/// Goes on with a connection of which `ahead` was read; `upgrade` is a request that was, and that is to be the first stream.
pub async fn resume(
    mut stream: impl Wire,
    mut ahead: Vec<u8>,
    upgrade: Option<Upgrade>,
    link: Link,
    shared: &Arc<Shared>,
) {
    if let Some(upgrade) = upgrade {
        let limit = shared.settings.timeout.unwrap_or(LONG);
        let begun = timeout(limit, async {
            loop {
                match opening(&ahead) {
                    None => return None,
                    Some(Some(length)) => return prologue(&ahead, length, &upgrade.settings, &upgrade.block),
                    Some(None) => {}
                }
                if stream.read_buf(&mut ahead).await.ok()? == 0 {
                    return None;
                }
            }
        });
        match begun.await {
            Ok(Some(begun)) => ahead = begun,
            // The client says something else, or nothing.
            Ok(None) | Err(_) => return,
        }
    }
    let (reader, writer) = tokio::io::split(stream);
    serve(tokio::io::join(Cursor::new(ahead).chain(reader), writer), link, shared).await;
}

/// Answers the requests of a connection until it ends.
pub async fn serve(stream: impl Wire, link: Link, shared: &Arc<Shared>) {
    let Some(settings) = &shared.settings.http2 else { return };
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(settings.streams)
        .initial_stream_window_size(settings.window)
        .max_header_list_size(u32::try_from(shared.settings.max_head).unwrap_or(u32::MAX))
        .max_send_buf_size(4 * STEP);
    let load = Arc::new(Load::new(settings.executing));
    let front =
        Arc::new(Front { link, shared: Arc::clone(shared), settings: settings.clone(), load: Arc::clone(&load) });
    let service = service_fn(move |request| Arc::clone(&front).answer(request));
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let keep = settings.keep_alive.unwrap_or(LONG);
    let write = settings.write.unwrap_or(LONG);
    let mut stopping = shared.stopping.clone();
    let mut closing = false;
    loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            _ = stopping.wait_for(|stop| *stop), if !closing => {
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
            () = tokio::time::sleep(LOOK.min(keep).min(write)) => {
                let quiet = load.quiet();
                match load.streams() {
                    0 if closing && quiet >= write.min(keep) => return,
                    0 if quiet >= keep && !closing => {
                        closing = true;
                        connection.as_mut().graceful_shutdown();
                    }
                    0 => {}
                    // The client takes nothing, or its body does not come.
                    _ if load.waiting.load(Ordering::Relaxed) > 0 => {}
                    _ if quiet >= write => return,
                    _ => {}
                }
            }
        }
    }
}

/// What goes on on a connection.
struct Load {
    /// Streams that are not at their end.
    open: AtomicUsize,
    /// Those of them that wait for us.
    waiting: AtomicUsize,
    begun: Instant,
    /// When something last moved, in milliseconds since `begun`.
    moved: AtomicU64,
    /// Requests that may be answered at a time.
    room: Semaphore,
}

impl Load {
    fn new(room: usize) -> Self {
        let (open, waiting, moved) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicU64::new(0));
        Self { open, waiting, begun: Instant::now(), moved, room: Semaphore::new(room) }
    }

    fn touch(&self) {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved.store(now, Ordering::Relaxed);
    }

    fn quiet(&self) -> Duration {
        self.begun.elapsed().saturating_sub(Duration::from_millis(self.moved.load(Ordering::Relaxed)))
    }

    fn streams(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

/// Counts something for as long as it goes on.
struct Counted(Arc<Load>, fn(&Load) -> &AtomicUsize);

impl Counted {
    fn new(load: &Arc<Load>, which: fn(&Load) -> &AtomicUsize) -> Self {
        which(load).fetch_add(1, Ordering::Relaxed);
        load.touch();
        Self(Arc::clone(load), which)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.1)(&self.0).fetch_sub(1, Ordering::Relaxed);
        self.0.touch();
    }
}

/// What answers the streams of a connection.
struct Front {
    link: Link,
    shared: Arc<Shared>,
    settings: Http2,
    load: Arc<Load>,
}

impl Front {
    async fn answer(self: Arc<Self>, incoming: hyper::Request<Incoming>) -> Result<hyper::Response<Answer>, h2::Error> {
        let started = Instant::now();
        let stream = Counted::new(&self.load, |load| &load.open);
        let (head, body) = incoming.into_parts();
        let settings = &self.shared.settings;
        let other = head.uri.scheme_str().is_some_and(|scheme| (scheme == "https") != self.link.is_secured());
        if other && !self.settings.any_scheme {
            return Err(Reason::PROTOCOL_ERROR.into());
        }
        if head.headers.len() > settings.max_headers {
            return Err(Reason::ENHANCE_YOUR_CALM.into());
        }
        let mut request = self.link.request(settings, started);
        let refused = match self.fill(&mut request, &head) {
            Ok(()) => self.read(&mut request, body).await?.err(),
            // Tomcat ends the stream where a connection for one host asks for another.
            Err(Refused(400, "")) => return Err(Reason::PROTOCOL_ERROR.into()),
            Err(refused) => Some(refused),
        };
        let exchange = match refused {
            Some(refused) => refused.answer(request),
            None => self.handle(request, started).await,
        };
        Ok(self.response(exchange, stream))
    }

    async fn handle(&self, request: Request, started: Instant) -> Exchange {
        let _waiting = Counted::new(&self.load, |load| &load.waiting);
        let _room = self.load.room.acquire().await;
        match self.shared.handle(Exchange::new(request)).await {
            Ok(exchange) => exchange,
            Err(_) => {
                let request = self.link.request(&self.shared.settings, started);
                Refused(500, "the application failed").answer(request)
            }
        }
    }

    /// Fills in what a head says.
    fn fill(&self, request: &mut Request, head: &http::request::Parts) -> Result<(), Refused> {
        request.method = head.method.to_string();
        "HTTP/2.0".clone_into(&mut request.protocol);
        request.uri = Some(head.uri.path()).filter(|path| !path.is_empty()).unwrap_or("/").to_owned();
        request.query = head.uri.query().map(str::to_owned);
        if !is_target(request.uri.as_bytes(), request.query.as_deref().map(str::as_bytes), &self.shared.settings) {
            return Err(Refused(400, "Invalid character found in the request target"));
        }
        request.headers =
            head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect();
        let host = head.uri.authority().map(|authority| authority.as_str().to_owned());
        let host = host.or_else(|| request.header("host").map(str::to_owned)).unwrap_or_default();
        self.link.place(request, &host, &self.shared.settings)
    }

    /// Reads the body of a request.
    async fn read(&self, request: &mut Request, mut body: Incoming) -> Result<Result<(), Refused>, h2::Error> {
        const TOO_LARGE: Refused = Refused(413, "the request body is too large");
        let most = u64::try_from(self.shared.settings.max_post).unwrap_or(MOST_BODY).clamp(2 << 20, MOST_BODY);
        if body.size_hint().lower() > most {
            return Ok(Err(TOO_LARGE));
        }
        let limit = self.settings.read.unwrap_or(LONG);
        while let Some(frame) = timeout(limit, body.frame()).await.map_err(|_| h2::Error::from(Reason::CANCEL))? {
            self.load.touch();
            if let Ok(data) = frame.map_err(|_| h2::Error::from(Reason::CANCEL))?.into_data() {
                request.body.extend_from_slice(&data);
            }
            if request.body.len() as u64 > most {
                return Ok(Err(TOO_LARGE));
            }
        }
        Ok(Ok(()))
    }

    fn response(&self, mut exchange: Exchange, stream: Counted) -> hyper::Response<Answer> {
        let mut head = hyper::Response::new(());
        let status = exchange.response.status;
        *head.status_mut() = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
        let fields = head.headers_mut();
        if let Some(server) = self.shared.settings.server.as_ref().and_then(|text| HeaderValue::from_str(text).ok()) {
            fields.insert(SERVER, server);
        }
        for (name, value) in &exchange.response.headers {
            let pair = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(value).ok());
            if let Some((name, value)) = pair {
                fields.append(name, value);
            }
        }
        if !is_bodyless(status) {
            fields.insert(CONTENT_LENGTH, exchange.response.body.len().into());
        }
        let mut date = Vec::new();
        clock::push_http_date(&mut date, SystemClock.wall());
        if let Ok(date) = HeaderValue::from_bytes(&date) {
            fields.insert(DATE, date);
        }
        exchange.response.kept = true;
        exchange.response.committed = Some(Instant::now());
        let body = std::mem::take(&mut exchange.response.body);
        let left = match body {
            _ if exchange.request.method == "HEAD" || is_bodyless(status) => Left::Bytes(Bytes::new()),
            exchange::Body::Empty => Left::Bytes(Bytes::new()),
            exchange::Body::Bytes(bytes) => Left::Bytes(bytes.into()),
            exchange::Body::File(file, length) => Left::File(File::from_std(file), length),
        };
        head.map(|()| Answer { exchange, shared: Arc::clone(&self.shared), left, stream })
    }
}

/// The body of a response; the request is logged when it is at its end, or given up.
struct Answer {
    exchange: Exchange,
    shared: Arc<Shared>,
    left: Left,
    stream: Counted,
}

/// What is still to be sent.
enum Left {
    Bytes(Bytes),
    File(File, u64),
}

impl Left {
    fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, length) => *length,
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let step = usize::try_from(self.left.len()).unwrap_or(STEP).min(STEP);
        if step == 0 {
            return Poll::Ready(None);
        }
        let data = match &mut self.left {
            Left::Bytes(bytes) => bytes.split_to(step),
            Left::File(file, left) => {
                let mut space = vec![0; step];
                let mut buf = ReadBuf::new(&mut space);
                ready!(Pin::new(file).poll_read(cx, &mut buf))?;
                let read = buf.filled().len();
                if read == 0 {
                    // A file that shrank: the client must not take what came for all of it.
                    return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
                }
                *left -= read as u64;
                space.truncate(read);
                space.into()
            }
        };
        self.exchange.response.sent += data.len() as u64;
        self.stream.0.touch();
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.len() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len())
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.exchange.response.aborted = self.left.len() > 0;
        self.shared.answers.log(&self.exchange);
    }
}

//! Clients that notice everything a reload may do to them, and the origin that answers them.

// Shared by the benchmark and a test.
#![allow(unreachable_pub, dead_code, clippy::unwrap_used)]

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// What is put on a server.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Kept-alive HTTP/1.1 clients.
    pub clients: usize,
    /// HTTP/2 clients.
    pub streams: usize,
    /// WebSockets.
    pub sockets: usize,
    /// Each one's pause between two requests.
    pub pause: Duration,
}

/// Where it is put: HTTP/1.1 and WebSockets, and HTTP/2 by prior knowledge.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub http1: u16,
    pub http2: u16,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Targets of the requests that were answered with 200.
    pub answered: Vec<String>,
    /// When each of those began, and how long it took.
    pub times: Vec<(Instant, Duration)>,
    /// Requests without an answer, or with another one.
    pub failed: Vec<String>,
    /// Connections that ended without having said so.
    pub cut: usize,
    /// Connections that said so.
    pub told: usize,
    /// WebSockets that ended.
    pub lost: usize,
    /// Echoes over WebSockets.
    pub echoes: usize,
}

impl Outcome {
    fn add(&mut self, other: Self) {
        self.answered.extend(other.answered);
        self.times.extend(other.times);
        self.failed.extend(other.failed);
        self.cut += other.cut;
        self.told += other.told;
        self.lost += other.lost;
        self.echoes += other.echoes;
    }

    /// The time within which 99 of 100 requests of a stretch of time were answered.
    pub fn p99(&self, from: Instant, to: Instant) -> Duration {
        let within = self.times.iter().filter(|(begun, _)| (from..to).contains(begun));
        let mut took: Vec<Duration> = within.map(|(_, took)| *took).collect();
        took.sort_unstable();
        took.get(took.len() * 99 / 100).copied().unwrap_or_default()
    }
}

/// How long anything may take before it counts as failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Puts the load on a server until `over`.
pub fn run(load: Load, target: Target, over: &Arc<AtomicBool>) -> JoinHandle<Outcome> {
    let over = over.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let over: Rc<dyn Fn() -> bool> = Rc::new(move || over.load(Ordering::Relaxed));
            let mut tasks = Vec::new();
            let mut spawn =
                |future: Pin<Box<dyn Future<Output = Outcome>>>| tasks.push(tokio::task::spawn_local(future));
            (0..load.clients).for_each(|at| spawn(Box::pin(http1(at, load, target, over.clone()))));
            (0..load.streams).for_each(|at| spawn(Box::pin(http2(at, load, target, over.clone()))));
            (0..load.sockets).for_each(|_| spawn(Box::pin(websocket(target, over.clone()))));
            let mut all = Outcome::default();
            for task in tasks {
                all.add(task.await.unwrap());
            }
            all
        })
    })
}

async fn connect(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Whether an idle connection has ended.
fn has_ended(stream: &TcpStream) -> bool {
    match stream.try_read(&mut [0; 64]) {
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        Ok(_) => true,
    }
}

const BODY: usize = 4096;

async fn http1(client: usize, load: Load, target: Target, over: Rc<dyn Fn() -> bool>) -> Outcome {
    let mut seen = Outcome::default();
    let mut kept: Option<TcpStream> = None;
    let mut number = 0;
    // Not all at once.
    sleep(load.pause * u32::try_from(client % 50).unwrap_or(0) / 50).await;
    while !over() {
        sleep(load.pause).await;
        if kept.take_if(|stream| has_ended(stream)).is_some() {
            seen.cut += 1;
        }
        let path = format!("/p/{client}-{number}");
        number += 1;
        let begun = Instant::now();
        let done = timeout(PATIENCE, async {
            let mut stream = match kept.take() {
                Some(stream) => stream,
                None => connect(target.http1).await?,
            };
            let (status, last) = exchange(&mut stream, &path, number % 2 == 0).await?;
            Ok::<_, io::Error>((status, (!last).then_some(stream)))
        });
        match done.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok((200, stream)) => {
                seen.times.push((begun, begun.elapsed()));
                seen.answered.push(path);
                seen.told += usize::from(stream.is_none());
                kept = stream;
            }
            Ok((status, stream)) => {
                seen.failed.push(format!("{path}: {status}"));
                seen.told += usize::from(stream.is_none());
                kept = stream;
            }
            Err(error) => {
                seen.failed.push(format!("{path}: {error}"));
                seen.cut += 1;
            }
        }
    }
    seen
}

/// One request, and whether the connection ends behind its answer.
async fn exchange(stream: &mut TcpStream, path: &str, post: bool) -> io::Result<(u16, bool)> {
    if post {
        let head = format!("POST {path} HTTP/1.1\r\nHost: main\r\nContent-Length: {BODY}\r\n\r\n");
        // In pieces, so that a reload may fall between them.
        stream.write_all(head.as_bytes()).await?;
        for part in [&[b'x'; BODY / 2]; 2] {
            tokio::task::yield_now().await;
            stream.write_all(part).await?;
        }
    } else {
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: main\r\n\r\n").as_bytes()).await?;
    }
    let (head, rest) = read_head(stream).await?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    let field = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
    };
    let length: usize =
        field("content-length").and_then(|length| length.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    let mut body = vec![0; length.saturating_sub(rest)];
    stream.read_exact(&mut body).await?;
    Ok((status, field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))))
}

/// A head, and how much behind it was read.
async fn read_head(stream: &mut TcpStream) -> io::Result<(String, usize)> {
    let mut bytes = Vec::with_capacity(1024);
    loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = bytes.len() - end - 4;
            return Ok((String::from_utf8_lossy(&bytes[..end]).into_owned(), rest));
        }
    }
}

async fn http2(client: usize, load: Load, target: Target, over: Rc<dyn Fn() -> bool>) -> Outcome {
    let mut seen = Outcome::default();
    let mut kept: Option<h2::client::SendRequest<Bytes>> = None;
    let mut number = 0;
    while !over() {
        sleep(load.pause).await;
        if let Some(Err(error)) = kept.as_mut().and_then(ready_now) {
            // It ended while nothing was asked.
            kept = None;
            if is_told(&error) { seen.told += 1 } else { seen.cut += 1 }
        }
        let path = format!("/p/h{client}-{number}");
        number += 1;
        let begun = Instant::now();
        let done = timeout(PATIENCE, async {
            let sender = match kept.take() {
                Some(sender) => sender,
                None => handshake(target.http2).await?,
            };
            stream(sender, &path).await
        });
        match done.await {
            Ok(Ok((200, sender))) => {
                seen.times.push((begun, begun.elapsed()));
                seen.answered.push(path);
                kept = Some(sender);
            }
            Ok(Ok((status, _))) => seen.failed.push(format!("{path}: {status}")),
            // What was told in time is asked again elsewhere.
            Ok(Err(error)) if is_told(&error) => seen.told += 1,
            Ok(Err(error)) => {
                seen.failed.push(format!("{path}: {error}"));
                seen.cut += 1;
            }
            Err(_) => seen.failed.push(format!("{path}: nothing came")),
        }
    }
    seen
}

async fn handshake(port: u16) -> Result<h2::client::SendRequest<Bytes>, h2::Error> {
    let socket = connect(port).await.map_err(|_| h2::Reason::CONNECT_ERROR)?;
    let (sender, connection) = h2::client::handshake(socket).await?;
    tokio::task::spawn_local(connection);
    sender.ready().await
}

/// Whether the server has said in order that it takes no more here.
fn is_told(error: &h2::Error) -> bool {
    matches!(error.reason(), Some(h2::Reason::NO_ERROR | h2::Reason::REFUSED_STREAM))
}

/// Whether a connection would take a request, without waiting.
fn ready_now(sender: &mut h2::client::SendRequest<Bytes>) -> Option<Result<(), h2::Error>> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match sender.poll_ready(&mut context) {
        Poll::Ready(ready) => Some(ready),
        Poll::Pending => None,
    }
}

async fn stream(
    mut sender: h2::client::SendRequest<Bytes>,
    path: &str,
) -> Result<(u16, h2::client::SendRequest<Bytes>), h2::Error> {
    let request = http::Request::post(format!("http://main{path}")).header("content-length", BODY).body(()).unwrap();
    let (answer, mut body) = sender.send_request(request, false)?;
    body.send_data(Bytes::from_static(&[b'x'; BODY / 2]), false)?;
    tokio::task::yield_now().await;
    body.send_data(Bytes::from_static(&[b'y'; BODY / 2]), true)?;
    let answer = answer.await?;
    let (status, mut body) = (answer.status().as_u16(), answer.into_body());
    while let Some(data) = body.data().await {
        let _ = body.flow_control().release_capacity(data?.len());
    }
    Ok((status, sender))
}

async fn websocket(target: Target, over: Rc<dyn Fn() -> bool>) -> Outcome {
    let mut seen = Outcome::default();
    while !over() {
        let lived = async {
            let mut stream = connect(target.http1).await?;
            let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
            let head =
                format!("GET /ws HTTP/1.1\r\nHost: main\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{key}\r\n");
            stream.write_all(head.as_bytes()).await?;
            let (head, _) = timeout(PATIENCE, read_head(&mut stream)).await??;
            if !head.starts_with("HTTP/1.1 101 ") {
                return Err(io::Error::other(head));
            }
            while !over() {
                stream.write_all(b"echo this").await?;
                let mut back = [0; 9];
                timeout(PATIENCE, stream.read_exact(&mut back)).await??;
                seen.echoes += 1;
                sleep(Duration::from_millis(100)).await;
            }
            Ok(())
        };
        if lived.await.is_err() {
            seen.lost += 1;
            sleep(Duration::from_millis(100)).await;
        }
    }
    seen
}

/// Answers requests and echoes what comes over WebSockets.
pub struct Origin {
    pub port: u16,
    requests: Arc<AtomicU64>,
}

impl Origin {
    /// One on a thread of its own, which lasts as long as the process.
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().as_ref().map_or(0, SocketAddr::port);
        let requests = Arc::new(AtomicU64::new(0));
        let counted = requests.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(answer(stream, counted.clone()));
                }
            });
        });
        Self { port, requests }
    }

    /// How many requests came.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

/// The answer to the one key that [`websocket`] sends.
const ACCEPTED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZbK+xOo=\r\n\r\n";

async fn answer(mut stream: TcpStream, requests: Arc<AtomicU64>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let (head, rest) = read_head(&mut stream).await?;
        requests.fetch_add(1, Ordering::Relaxed);
        let lower = head.to_ascii_lowercase();
        if lower.contains("\r\nupgrade: websocket") {
            stream.write_all(ACCEPTED).await?;
            let (mut from, mut to) = stream.split();
            tokio::io::copy(&mut from, &mut to).await?;
            return Ok(());
        }
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
        if let Some(length) = length {
            let length: usize = length;
            stream.read_exact(&mut vec![0; length.saturating_sub(rest)]).await?;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await?;
    }
}

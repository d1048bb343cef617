//! What a usual proxy does all day, for a build that learns from it (`.cargo/learn`).
//!
//! ```text
//! cargo run --example train -- --tandem FILE [--seconds 4]
//! ```
//!
//! Starts a `tandem` built with `-Cprofile-generate`, puts each kind of its work on it for a while, and ends it in
//! order, so that it writes down what it did: kept-alive HTTP/1.1 with small and large bodies, over TCP and TLS, new
//! connections, HTTP/2, AJP, WebSockets, files, rewriting, access logs. The exit status is 1 when anything was
//! answered otherwise than with 200.

// Here a failed unwrap ends the run.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// What a browser sends with each request.
const FIELDS: &str = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n\
Accept-Encoding: gzip, deflate, br\r\nCookie: JSESSIONID=0123456789ABCDEF0123456789ABCDEF.tomcat1\r\n";

/// Each kind of work has as many clients at once.
const CLIENTS: usize = 16;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let text = |name: &str| words.iter().position(|word| word == name).and_then(|at| words.get(at + 1));
    let tandem = PathBuf::from(text("--tandem").expect("--tandem FILE"));
    let seconds = text("--seconds").map_or(4, |word| word.parse().expect("a number of seconds"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let root = std::env::temp_dir().join(format!("tandem-train-{}", std::process::id()));
    let failed = tokio::task::LocalSet::new().block_on(&runtime, train(&tandem, &root, Duration::from_secs(seconds)));
    let _ = fs::remove_dir_all(&root);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How many answers were wrong.
async fn train(tandem: &Path, root: &Path, each: Duration) -> usize {
    let http = origin(|stream| Box::pin(http_origin(stream))).await;
    let ajp = origin(|stream| Box::pin(ajp_origin(stream))).await;
    let (port, secure) = (free_port(), free_port());
    let certificate = configure(root, [port, secure], [http, ajp]);
    let mut server = start(tandem, root, port);
    let site = Rc::new(Site {
        port,
        secure,
        connector: connector(&certificate, &[]),
        http2: connector(&certificate, &[b"h2"]),
    });
    let mut failed = 0;
    for (what, work) in WORK {
        let until = Instant::now() + each;
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let site = site.clone();
            clients.spawn_local(async move { work.run(&site, until).await });
        }
        let (mut done, mut errors) = (0, Vec::new());
        while let Some(ended) = clients.join_next().await {
            match ended.unwrap() {
                Ok(count) => done += count,
                Err(error) => errors.push(error.to_string()),
            }
        }
        println!("{what}: {done} requests{}", errors.first().map_or(String::new(), |error| format!(", {error}")));
        failed += errors.len() + usize::from(done == 0);
    }
    kill(Pid::from_raw(server.id().cast_signed()), Signal::SIGTERM).unwrap();
    server.wait().unwrap();
    failed
}

/// One kind of work.
#[derive(Clone, Copy)]
enum Work {
    /// Kept-alive requests for a path, with a body of that many bytes.
    Kept(&'static str, usize),
    /// A connection for each request.
    New(&'static str),
    /// Kept-alive requests over TLS.
    Secure(&'static str),
    /// A handshake for each request.
    Handshake,
    /// HTTP/2 over TLS, many streams at once.
    Streams(&'static str),
    /// Echoes over a WebSocket.
    Sockets,
}

const WORK: [(&str, Work); 15] = [
    ("small", Work::Kept("/app/3", 0)),
    ("1 KiB", Work::Kept("/app/1024", 0)),
    ("10 KiB", Work::Kept("/app/10240", 0)),
    ("1 MiB", Work::Kept("/app/1048576", 0)),
    ("posts of 10 KiB", Work::Kept("/app/3", 10_240)),
    ("new connections", Work::New("/app/3")),
    ("AJP, small", Work::Kept("/ajp/3", 0)),
    ("AJP, 10 KiB", Work::Kept("/ajp/10240", 0)),
    ("AJP, posts of 10 KiB", Work::Kept("/ajp/3", 10_240)),
    ("rewritten", Work::Kept("/old/shop/3?item=7", 0)),
    ("files", Work::Kept("/index.html", 0)),
    ("TLS", Work::Secure("/app/3")),
    ("TLS handshakes", Work::Handshake),
    ("HTTP/2", Work::Streams("/app/3")),
    ("WebSockets", Work::Sockets),
];

/// Where the work is done.
struct Site {
    port: u16,
    secure: u16,
    connector: TlsConnector,
    http2: TlsConnector,
}

impl Site {
    async fn connect(&self, port: u16) -> io::Result<TcpStream> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn handshake(&self, how: &TlsConnector) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let name = ServerName::try_from("train.test").unwrap();
        how.connect(name, self.connect(self.secure).await?).await
    }
}

impl Work {
    /// How often it was done until then.
    async fn run(self, site: &Site, until: Instant) -> io::Result<usize> {
        let mut done = 0;
        match self {
            Self::Kept(path, body) => {
                let mut stream = site.connect(site.port).await?;
                while Instant::now() < until {
                    exchange(&mut stream, path, body).await?;
                    done += 1;
                }
            }
            Self::New(path) => {
                while Instant::now() < until {
                    exchange(&mut site.connect(site.port).await?, path, 0).await?;
                    done += 1;
                }
            }
            Self::Secure(path) => {
                let mut stream = site.handshake(&site.connector).await?;
                while Instant::now() < until {
                    exchange(&mut stream, path, 0).await?;
                    done += 1;
                }
            }
            Self::Handshake => {
                while Instant::now() < until {
                    exchange(&mut site.handshake(&site.connector).await?, "/app/3", 0).await?;
                    done += 1;
                }
            }
            Self::Streams(path) => {
                let (sender, connection) =
                    h2::client::handshake(site.handshake(&site.http2).await?).await.map_err(io::Error::other)?;
                let driven = tokio::task::spawn_local(connection);
                let mut streams = JoinSet::new();
                for _ in 0..32 {
                    streams.spawn_local(stream(sender.clone(), path, until));
                }
                while let Some(ended) = streams.join_next().await {
                    done += ended.unwrap().map_err(io::Error::other)?;
                }
                driven.abort();
            }
            Self::Sockets => {
                let mut stream = site.connect(site.port).await?;
                stream.write_all(b"GET /ws HTTP/1.1\r\nHost: train.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n").await?;
                let (head, _) = read_head(&mut stream).await?;
                if !head.starts_with("HTTP/1.1 101 ") {
                    return Err(io::Error::other(head));
                }
                let mut message = [7; 64];
                while Instant::now() < until {
                    stream.write_all(&message).await?;
                    stream.read_exact(&mut message).await?;
                    done += 1;
                }
            }
        }
        Ok(done)
    }
}

/// One request, whose answer is to be 200.
async fn exchange(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), path: &str, body: usize) -> io::Result<()> {
    let method = if body > 0 { "POST" } else { "GET" };
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: train.test\r\n{FIELDS}").into_bytes();
    if body > 0 {
        request.extend_from_slice(format!("Content-Length: {body}\r\n").as_bytes());
    }
    request.extend_from_slice(b"\r\n");
    request.resize(request.len() + body, b'x');
    stream.write_all(&request).await?;
    stream.flush().await?;
    let (head, rest) = read_head(stream).await?;
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(io::Error::other(head));
    }
    skip(stream, length(&head).saturating_sub(rest)).await
}

/// Streams of one connection, one after the other.
async fn stream(sender: h2::client::SendRequest<Bytes>, path: &str, until: Instant) -> Result<usize, h2::Error> {
    let mut done = 0;
    while Instant::now() < until {
        let mut request = http::Request::get(format!("https://train.test{path}"));
        for (name, value) in FIELDS.lines().filter_map(|line| line.split_once(": ")) {
            request = request.header(name, value);
        }
        let (answer, _) = sender.clone().ready().await?.send_request(request.body(()).unwrap(), true)?;
        let mut body = answer.await?.into_body();
        while let Some(data) = body.data().await {
            let _ = body.flow_control().release_capacity(data?.len());
        }
        done += 1;
    }
    Ok(done)
}

/// A head, and how many bytes behind it came along.
async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<(String, usize)> {
    let mut bytes = Vec::with_capacity(16_384);
    loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(end) = memchr::memmem::find(&bytes, b"\r\n\r\n") {
            return Ok((String::from_utf8_lossy(&bytes[..end]).into_owned(), bytes.len() - end - 4));
        }
    }
}

/// The length of a body that a head announces.
fn length(head: &str) -> usize {
    let mut fields = head.lines().filter_map(|line| line.split_once(": "));
    let found = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    found.and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0)
}

async fn skip(stream: &mut (impl AsyncRead + Unpin), mut bytes: usize) -> io::Result<()> {
    let mut buffer = [0; 16_384];
    while bytes > 0 {
        let part = bytes.min(buffer.len());
        bytes -= match stream.read(&mut buffer[..part]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => read,
        };
    }
    Ok(())
}

type Served = std::pin::Pin<Box<dyn Future<Output = io::Result<()>>>>;

/// An origin on a port of its own, which lasts as long as the process.
async fn origin(serve: fn(TcpStream) -> Served) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            tokio::task::spawn_local(serve(stream));
        }
    });
    port
}

/// Answers `/…/N` with N bytes, and echoes what comes behind an upgrade.
async fn http_origin(mut stream: TcpStream) -> io::Result<()> {
    loop {
        let (head, rest) = read_head(&mut stream).await?;
        if head.starts_with("GET /ws ") {
            stream
                .write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZbK+xOo=\r\n\r\n")
                .await?;
            let (mut from, mut to) = stream.split();
            tokio::io::copy(&mut from, &mut to).await?;
            return Ok(());
        }
        skip(&mut stream, length(&head).saturating_sub(rest)).await?;
        let size = asked(head.split(' ').nth(1).unwrap_or_default());
        let mut answer = format!(
            "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: origin\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             ETag: \"5f0-1a\"\r\nAccept-Ranges: bytes\r\nCache-Control: no-cache\r\nContent-Type: text/html;charset=UTF-8\r\n\
             Content-Length: {size}\r\n\r\n"
        )
        .into_bytes();
        answer.resize(answer.len() + size, b'x');
        stream.write_all(&answer).await?;
    }
}

/// The size that the last segment of a path tells.
fn asked(path: &str) -> usize {
    let path = path.split('?').next().unwrap_or_default();
    path.rsplit('/').next().and_then(|size| size.parse().ok()).unwrap_or(3)
}

/// Answers AJP requests in the same way.
async fn ajp_origin(mut stream: TcpStream) -> io::Result<()> {
    loop {
        let request = ajp_packet(&mut stream).await?;
        if request == [10] {
            stream.write_all(b"AB\x00\x01\x09").await?;
            continue;
        }
        // The path is the second string of the request.
        let string = |at: usize| {
            let size = usize::from(u16::from_be_bytes([request[at], request[at + 1]]));
            (&request[at + 2..at + 2 + size], at + 3 + size)
        };
        let (_, at) = string(2);
        let (path, _) = string(at);
        let size = asked(std::str::from_utf8(path).unwrap_or_default());
        let number = memchr::memmem::find(&request, b"\xA0\x08").map_or(0, |at| {
            let size = usize::from(u16::from_be_bytes([request[at + 2], request[at + 3]]));
            std::str::from_utf8(&request[at + 4..at + 4 + size]).unwrap().parse().unwrap()
        });
        let mut left: usize = number;
        while left > 0 {
            left -= ajp_packet(&mut stream).await?.len() - 2;
            if left > 0 {
                stream.write_all(b"AB\x00\x03\x06\x1F\xFA").await?;
            }
        }
        let mut answer = Vec::with_capacity(size + 256);
        let mut head =
            b"\x04\x00\xC8\x00\x02OK\x00\x00\x02\xA0\x01\x00\x17text/html;charset=UTF-8\x00\xA0\x03".to_vec();
        let text = size.to_string();
        head.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
        head.extend_from_slice(text.as_bytes());
        head.push(0);
        let mut packet = |bytes: &[u8]| {
            answer.extend_from_slice(b"AB");
            answer.extend_from_slice(&u16::try_from(bytes.len()).unwrap().to_be_bytes());
            answer.extend_from_slice(bytes);
        };
        packet(&head);
        for chunk in vec![b'x'; size].chunks(8184) {
            let mut bytes = vec![3];
            bytes.extend_from_slice(&u16::try_from(chunk.len()).unwrap().to_be_bytes());
            bytes.extend_from_slice(chunk);
            bytes.push(0);
            packet(&bytes);
        }
        packet(b"\x05\x01");
        stream.write_all(&answer).await?;
    }
}

async fn ajp_packet(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let mut packet = vec![0; usize::from(u16::from_be_bytes([head[2], head[3]]))];
    stream.read_exact(&mut packet).await?;
    Ok(packet)
}

fn free_port() -> u16 {
    std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Trusts that certificate alone, and speaks those protocols.
fn connector(certificate: &Path, protocols: &[&[u8]]) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).unwrap()).unwrap();
    let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

/// Writes the site; where its certificate is.
fn configure(root: &Path, [port, secure]: [u16; 2], [http, ajp]: [u16; 2]) -> PathBuf {
    fs::create_dir_all(root.join("htdocs")).unwrap();
    fs::write(root.join("htdocs/index.html"), vec![b'x'; 10_240]).unwrap();
    let (certificate, key) = (root.join("certificate.pem"), root.join("key.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=train.test", "-addext", "subjectAltName=DNS:train.test"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output();
    assert!(made.is_ok_and(|made| made.status.success()), "openssl makes no certificate");
    let modules = [
        "mpm_event",
        "authz_core",
        "mime",
        "dir",
        "alias",
        "headers",
        "setenvif",
        "rewrite",
        "socache_shmcb",
        "ssl",
        "http2",
        "proxy",
        "slotmem_shm",
        "proxy_balancer",
        "lbmethod_byrequests",
        "proxy_http",
        "proxy_ajp",
        "proxy_wstunnel",
    ];
    let loaded: String = modules.map(|name| format!("LoadModule {name}_module modules/mod_{name}.so\n")).concat();
    let user = if nix::unistd::geteuid().is_root() { "User nobody\nGroup nogroup\n" } else { "" };
    let mapped = "ProxyPreserveHost On\nProxyPass /ws http://127.0.0.1:@/ws upgrade=websocket\n\
        ProxyPass /app balancer://web/app\nProxyPassReverse /app balancer://web/app\n\
        ProxyPass /ajp balancer://tomcat-cluster/ajp stickysession=JSESSIONID|jsessionid\n\
        RewriteEngine On\nRewriteCond %{HTTP_USER_AGENT} ^curl\nRewriteRule ^/none/ - [F]\n\
        RewriteCond %{QUERY_STRING} item=(\\d+)\nRewriteRule ^/old/shop/(\\d+)$ /app/$1 [PT]\n\
        RequestHeader set X-Forwarded-Proto http\nHeader set X-Frame-Options SAMEORIGIN\n\
        SetEnvIf User-Agent MSIE old\n"
        .replace('@', &http.to_string());
    let text = format!(
        "ServerRoot {0}\n{loaded}{user}ServerName train.test\nPidFile pid\nErrorLog error_log\nMaxKeepAliveRequests 0\n\
         DocumentRoot {0}/htdocs\n<Directory {0}/htdocs>\nRequire all granted\n</Directory>\nTypesConfig /dev/null\n\
         LogFormat \"%h %l %u %t \\\"%r\\\" %>s %O \\\"%{{Referer}}i\\\" \\\"%{{User-Agent}}i\\\"\" combined\n\
         CustomLog access_log combined\nListen 127.0.0.1:{port}\nListen 127.0.0.1:{secure}\n\
         <Proxy balancer://web>\nBalancerMember http://127.0.0.1:{http}\nBalancerMember http://localhost:{http} route=b\n</Proxy>\n\
         <Proxy balancer://tomcat-cluster>\nBalancerMember ajp://127.0.0.1:{ajp} route=tomcat1\n\
         BalancerMember ajp://localhost:{ajp} route=tomcat2\n</Proxy>\n\
         <VirtualHost *:{port}>\nServerName other.test\n</VirtualHost>\n\
         <VirtualHost *:{port}>\nServerName train.test\n{mapped}</VirtualHost>\n\
         <VirtualHost *:{secure}>\nServerName train.test\nProtocols h2 http/1.1\nSSLEngine on\n\
         SSLCertificateFile {1}\nSSLCertificateKeyFile {2}\n{mapped}</VirtualHost>\n",
        root.display(),
        certificate.display(),
        key.display()
    );
    fs::write(root.join("httpd.conf"), text).unwrap();
    certificate
}

/// The server, once it listens.
fn start(tandem: &Path, root: &Path, port: u16) -> Child {
    let mut child =
        Command::new(tandem).arg("-d").arg(root).args(["-f", "httpd.conf", "-DFOREGROUND"]).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        assert!(Instant::now() < until && matches!(child.try_wait(), Ok(None)), "it does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

//! The ways into HTTP/2 and out of it: Upgrade, WebSockets on streams, backends.

use std::time::Duration;

use super::super::support::{Origin, Peer, Server, Site, real_httpd};
use super::frames::*;
use super::{LOG, MODULES, TLS, certificate, curl, tools};

const PROXY: &[&str] = &["dir", "http2", "headers", "proxy", "proxy_http", "proxy_http2", "proxy_wstunnel"];

const ASK: &str = "GET /index.html HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\n\
    Upgrade: h2c\r\nHTTP2-Settings: AAQAAAAD\r\n\r\n";

fn page(site: &Site) {
    site.write("htdocs/index.html", "It works, and goes on for a while.\n");
}

fn ask(server: &Server<'_>, request: &str) -> (Peer, String) {
    let mut peer = server.connect();
    peer.send(request);
    let head = String::from_utf8(peer.read_until("\r\n\r\n")).unwrap();
    (peer, head)
}

#[test]
fn a_request_in_http1_becomes_the_first_stream() {
    let site = Site::new("h2-upgrade");
    page(&site);
    site.httpd_conf(MODULES, &format!("Protocols h2c http/1.1\n{LOG}"));
    let server = site.start();
    let (mut peer, head) = ask(&server, ASK);
    assert_eq!(head, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n");
    peer.send([PREFACE, &settings(&[])].concat());
    let mut client = Client::over(peer.stream);
    // The settings that the request brought hold: three bytes of room.
    let data = client.find(|frame| frame.kind == DATA);
    assert!(matches!(&data, Event::Frame(frame) if frame.stream == 1 && frame.payload == b"It "), "{data:?}");
    let acks = |client: &mut Client| client.find(|frame| frame.kind == SETTINGS && frame.has(ACK));
    client.frame(WINDOW_UPDATE, 0, 1, &[0, 0, 1, 0]);
    let end = client.find(|frame| frame.kind == DATA && frame.has(END_STREAM));
    assert!(matches!(end, Event::Frame(_)), "{end:?}");
    client.get(3);
    let second = client.find(|frame| frame.kind == HEADERS && frame.stream == 3);
    assert!(matches!(second, Event::Frame(_)), "{second:?}");
    client.patience(Duration::from_millis(200));
    assert_eq!(acks(&mut client), Event::Nothing, "one answer for all settings");
    drop(client);
    let log = server.log("logs/access_log", |log| log.lines().count() == 3);
    for line in
        ["\"GET /index.html HTTP/1.1\" 101 -", "\"GET /index.html HTTP/2.0\" 200 35", "\"GET / HTTP/2.0\" 200 35"]
    {
        assert!(log.contains(line), "{line}: {log}");
    }
}

#[test]
fn what_may_not_go_over_stays() {
    let site = Site::new("h2-stay");
    page(&site);
    let server = |more: &str| site.httpd_conf(MODULES, &format!("Protocols h2c http/1.1\n{more}"));
    server("");
    let started = site.start();
    let body = ASK.replace("\r\n\r\n", "\r\nContent-Length: 3\r\n\r\nabc").replace("GET", "POST");
    for request in [
        &body,
        &ASK.replace("h2c", "h2"),
        &ASK.replace("Connection: Upgrade, HTTP2-Settings\r\n", ""),
        &ASK.replace("HTTP2-Settings: AAQAAAAD\r\n", ""),
    ] {
        let (_, head) = ask(&started, request);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{request}: {head}");
    }
    drop(started);
    server("H2Upgrade off");
    let started = site.start();
    let (_, head) = ask(&started, ASK);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
}

#[test]
fn a_connections_first_response_offers_more() {
    let site = Site::new("h2-offer");
    page(&site);
    site.httpd_conf(MODULES, "Protocols h2 h2c http/1.1");
    let server = site.start();
    let mut peer = server.connect();
    let request = "GET /index.html HTTP/1.1\r\nHost: localhost\r\n\r\n";
    peer.send(request.repeat(2));
    let [first, second] = [peer.response(), peer.response()];
    assert_eq!(
        (first.header("Upgrade").as_deref(), first.header("Connection").as_deref()),
        (Some("h2,h2c"), Some("Upgrade"))
    );
    assert_eq!(second.header("Upgrade"), None);
}

/// An origin that opens WebSockets: in earnest, or with the wrong word.
fn sockets(honest: bool) -> Origin {
    Origin::serving(move |peer, seen| {
        let Some(request) = peer.request() else { return };
        let key = request.header("Sec-WebSocket-Key").unwrap_or_default();
        let accept = if honest { accept_of(&key) } else { "no".to_owned() };
        seen.note(request);
        peer.send(format!(
            "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\nhi"
        ));
        while let Some(byte) = peer.next_byte() {
            peer.try_send([b'[', byte, b']']);
        }
        peer.try_send("bye");
        peer.finish();
    })
}

pub(super) fn accept_of(key: &str) -> String {
    use base64::Engine as _;
    use sha1::Digest as _;
    let digest = sha1::Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    base64::engine::general_purpose::STANDARD.encode(digest)
}

fn connect(client: &mut Client, protocol: &str) {
    let own = [
        (":method", "CONNECT"),
        (":protocol", protocol),
        (":scheme", "http"),
        (":path", "/chat"),
        (":authority", "localhost"),
        ("sec-websocket-version", "13"),
    ];
    client.frame(HEADERS, END_HEADERS, 1, &fields(&own));
}

/// All DATA of the stream up to its end.
fn all_data(client: &mut Client, until: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < until {
        match client.find(|frame| frame.kind == DATA) {
            Event::Frame(frame) => all.extend_from_slice(&frame.payload),
            other => panic!("{other:?} behind {all:?}"),
        }
    }
    all
}

#[test]
fn a_web_socket_opens_on_a_stream() {
    let origin = sockets(true);
    let site = Site::new("h2-ws");
    let proxy = format!("ProxyPass / http://127.0.0.1:{}/ upgrade=websocket\n", origin.port);
    site.httpd_conf(PROXY, &format!("Protocols h2c http/1.1\nH2WebSockets on\n{LOG}{proxy}"));
    let server = site.start();
    let mut client = Client::bare(server.port, false);
    client.send(&[PREFACE, &settings(&[])].concat());
    let offer = client.find(|frame| frame.kind == SETTINGS && !frame.has(ACK));
    let allows = |frame: &Frame| frame.payload.chunks(6).any(|one| one == [0, 8, 0, 0, 0, 1]);
    assert!(matches!(&offer, Event::Frame(frame) if allows(frame)), "{offer:?}");
    client.frame(SETTINGS, ACK, 0, &[]);
    connect(&mut client, "websocket");
    let head = client.find(|frame| frame.kind == HEADERS);
    assert!(matches!(&head, Event::Frame(frame) if !frame.has(END_STREAM)), "{head:?}");
    assert_eq!(all_data(&mut client, 2), b"hi");
    client.frame(DATA, 0, 1, b"ab");
    assert_eq!(all_data(&mut client, 6), b"[a][b]");
    client.frame(DATA, END_STREAM, 1, b"c");
    assert_eq!(all_data(&mut client, 6), b"[c]bye");
    let head = String::from_utf8(origin.requests()[0].head.clone()).unwrap();
    for line in ["GET /chat HTTP/1.1\r\n", "Sec-WebSocket-Key: ", "Upgrade: websocket\r\n", "Connection: Upgrade\r\n"] {
        assert!(head.contains(line), "{line}: {head}");
    }
    let log = server.log("logs/access_log", |log| log.ends_with('\n'));
    assert!(log.starts_with("\"GET /chat HTTP/2.0\" 101 "), "{log}");
}

#[test]
fn a_web_socket_that_nobody_understood_is_502() {
    let origin = sockets(false);
    let site = Site::new("h2-ws-wrong");
    let proxy = format!("ProxyPass / http://127.0.0.1:{}/ upgrade=websocket\n", origin.port);
    site.httpd_conf(PROXY, &format!("Protocols h2c http/1.1\nH2WebSockets on\n{proxy}"));
    let server = site.start();
    let mut client = Client::new(server.port, false);
    connect(&mut client, "websocket");
    let head = client.find(|frame| frame.kind == HEADERS);
    // 502 and no body.
    assert!(matches!(&head, Event::Frame(frame) if frame.has(END_STREAM)), "{head:?}");
    server.log("logs/error_log", |log| log.contains("AH10463"));
    let mut client = Client::new(server.port, false);
    connect(&mut client, "something");
    let end = client.find(|frame| frame.stream == 1 && frame.has(END_STREAM));
    assert!(matches!(end, Event::Frame(_)), "{end:?}");
}

/// A backend of our own that speaks HTTP/2, and a proxy in front of it.
fn behind(backend: &Server<'_>, scheme: &str, more: &str) -> String {
    format!(
        "Protocols h2c http/1.1\n{more}ProxyPass / {scheme}://127.0.0.1:{}/\nProxyPassReverse / http://127.0.0.1:{}/\n",
        backend.port, backend.port
    )
}

#[test]
fn backends_speak_http2_on_one_connection() {
    if !tools("backends_speak_http2_on_one_connection", &["curl", "openssl"]) {
        return;
    }
    let back = Site::new("h2-back");
    page(&back);
    certificate(&back);
    back.write("htdocs/large.bin", "0123456789".repeat(100_000));
    let seen = "LogFormat \"%H %m %U %{Host}i %{X-Forwarded-Host}i %{remote}p %b\" b\nCustomLog logs/access_log b\n";
    let echo = "Header set X-Seen \"%{HTTP2}e\"\nRedirect /moved http://127.0.0.1:@/index.html\n";
    for scheme in ["h2c", "h2"] {
        let tls = if scheme == "h2" { TLS } else { "" };
        let echo = echo.replace('@', &back.port.to_string());
        back.httpd_conf(&[MODULES, &["alias"]].concat(), &format!("Protocols h2 h2c http/1.1\n{seen}{echo}{tls}"));
        back.write("logs/access_log", "");
        let backend = back.start();
        let front = Site::new(&format!("h2-front-{scheme}"));
        let modules = [PROXY, &["ssl", "socache_shmcb"]].concat();
        let more = "SSLProxyEngine on\nSSLProxyVerify none\nSSLProxyCheckPeerName off\nStartServers 1\n";
        front.httpd_conf(&modules, &behind(&backend, scheme, more));
        let server = front.start();
        let url = |path: &str| format!("http://localhost/{path}");
        let got = curl(server.port, &url("index.html"), &["-i"]);
        assert!(got.code == "200" && got.text.contains("X-Seen: on\r\n"), "{scheme}: {} {}", got.code, got.text);
        let got = curl(server.port, &url("large.bin"), &["--http2-prior-knowledge"]);
        assert_eq!((got.code.as_str(), got.text.len()), ("200", 1_000_000), "{scheme}");
        let got = curl(server.port, &url("moved"), &["-i"]);
        let place = format!("Location: http://localhost:{}/index.html\r\n", server.port);
        assert!(
            got.text.contains(&place) || got.text.contains("Location: http://localhost/index.html\r\n"),
            "{}",
            got.text
        );
        let body = format!("@{}", back.path("htdocs/large.bin").display());
        let got = curl(server.port, &url("index.html"), &["--data-binary", &body]);
        assert_eq!(got.code, "200", "{scheme}");
        let log = backend.log("logs/access_log", |log| log.lines().count() >= 4);
        let first: Vec<&str> = log.lines().next().unwrap().split(' ').collect();
        assert_eq!(first[..3], ["HTTP/2.0", "GET", "/index.html"], "{log}");
        assert_eq!(first[3], format!("127.0.0.1:{}", back.port), "{log}");
        if !real_httpd() {
            // A connection for each thread, at most two here.
            let mut ports: Vec<&str> = log.lines().filter_map(|line| line.split(' ').nth(5)).collect();
            ports.sort_unstable();
            ports.dedup();
            let threads = std::thread::available_parallelism().map_or(1, usize::from);
            assert!(ports.len() <= threads, "{log}");
        }
        drop(server);
        drop(backend);
    }
}

#[test]
fn a_backend_that_is_not_there_is_503_and_one_that_came_back_is_found() {
    if !tools("a_backend_that_is_not_there_is_503_and_one_that_came_back_is_found", &["curl"]) {
        return;
    }
    let back = Site::new("h2-dead");
    page(&back);
    back.httpd_conf(MODULES, "Protocols h2c http/1.1");
    let front = Site::new("h2-dead-front");
    let proxy = format!("ProxyPass / h2c://127.0.0.1:{}/ retry=0\n", back.port);
    front.httpd_conf(PROXY, &format!("Protocols h2c http/1.1\n{proxy}"));
    let server = front.start();
    let code = || curl(server.port, "http://localhost/index.html", &[]).code;
    assert_eq!(code(), "503");
    for _ in 0..2 {
        let backend = back.start();
        assert_eq!(code(), "200");
        assert_eq!(code(), "200");
        backend.stop();
        assert_ne!(code(), "200");
    }
    assert!(front.read("logs/error_log").contains("AH00957: H2C: attempt to connect to 127.0.0.1:"));
}

/// A backend that reads a request's head and says these frames.
fn saying(frames: Vec<u8>) -> Origin {
    Origin::serving(move |peer, _| {
        peer.read_exactly(PREFACE.len());
        peer.send(settings(&[]));
        loop {
            let head = peer.read_exactly(9);
            let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            peer.read_exactly(length);
            if head[3] == HEADERS {
                break;
            }
        }
        peer.send(&frames);
        // The proxy ends it, unless this side has.
        if frames.starts_with(b"garbage") || frames.is_empty() {
            return;
        }
        while peer.next_byte().is_some() {}
    })
}

#[test]
fn backends_that_do_not_answer() {
    let code = |code: u32| code.to_be_bytes();
    let head = fields(&[(":status", "200"), ("content-type", "text/plain")]);
    let cases = [
        // What a stream comes to is the backend's answer.
        (frame(RST_STREAM, 0, 1, &code(PROTOCOL_ERROR)), 502),
        (frame(RST_STREAM, 0, 1, &code(ENHANCE_YOUR_CALM)), 502),
        (frame(HEADERS, END_HEADERS | END_STREAM, 1, &fields(&[("x-none", "1")])), 502),
        (frame(GOAWAY, 0, 0, &[code(0), code(NO_ERROR)].concat()), 502),
        // A connection that breaks is none.
        (b"garbage garbage garbage".to_vec(), 503),
        (Vec::new(), 503),
        (frame(HEADERS, END_HEADERS | END_STREAM, 1, &head), 200),
    ];
    for (frames, status) in cases {
        let back = saying(frames.clone());
        let site = Site::new("h2-backend-none");
        site.httpd_conf(PROXY, &format!("ProxyPass / h2c://127.0.0.1:{}/ retry=0\n", back.port));
        let server = site.start();
        let answer = server.get("/x", "");
        assert_eq!(answer.status, status, "{frames:?}: {}", site.read("logs/error_log"));
        let said = site.read("logs/error_log");
        assert!(!said.contains(":error]"), "{frames:?}: {said}");
        if status == 200 {
            assert_eq!((answer.header("content-length").as_deref(), answer.text().as_str()), (Some("0"), ""));
        } else {
            assert!(!answer.text().contains("Reason:"), "{}", answer.text());
        }
    }
}

#[test]
fn backends_that_do_not_agree_on_the_protocol() {
    if !tools("backends_that_do_not_agree_on_the_protocol", &["openssl"]) {
        return;
    }
    let site = Site::new("h2-backend-alpn");
    certificate(&site);
    let back = super::super::support::free_port();
    let modules = [PROXY, &["ssl", "socache_shmcb"]].concat();
    let (cache, engine) = TLS.split_once('\n').unwrap();
    site.httpd_conf(
        &modules,
        &format!(
            "{cache}\nLogLevel ssl:info\nListen 127.0.0.1:{back}\nSSLProxyEngine on\nSSLProxyCheckPeerName off\nProxyPass / \
             h2://127.0.0.1:{back}/\n<VirtualHost 127.0.0.1:{back}>\nProxyPass / !\n{engine}Protocols http/1.1\n\
             </VirtualHost>\n"
        ),
    );
    let server = site.start();
    assert_eq!(server.get("/index.html", "").status, 503);
    if real_httpd() {
        // As a backend it selects what was not offered, and the handshake ends with that.
        return;
    }
    server.log("logs/error_log", |text| {
        text.contains("AH10273: SSL Proxy: Peer did not select any of our ALPN protocols [h2].")
    });
}

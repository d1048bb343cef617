//! The proxy in front of scripted containers that speak AJP/1.3.

use std::sync::mpsc::{Receiver, channel};

use tandem::codec::ajp::{
    Attribute, HeadersWriter, MAX_PACKET_SIZE, Message as Packet, body, push_body_chunk, push_cpong, push_end_response,
    push_flush, push_get_body_chunk,
};

use crate::support::{Message, Origin, Peer, Server, Site};

const MODULES: &[&str] =
    &["env", "setenvif", "headers", "proxy", "proxy_ajp", "slotmem_shm", "proxy_balancer", "lbmethod_byrequests"];

/// A request as a container sees it.
#[derive(Debug, Default, PartialEq)]
struct Forwarded {
    /// Method, protocol, path, client address, server name.
    line: String,
    headers: Vec<String>,
    attributes: Vec<String>,
}

/// The next packet of the web server: its payload.
fn payload(peer: &mut Peer) -> Option<Vec<u8>> {
    let first = peer.next_byte()?;
    let rest = peer.read_exactly(3);
    assert_eq!((first, rest[0]), (0x12, 0x34));
    Some(peer.read_exactly(usize::from(u16::from_be_bytes([rest[1], rest[2]]))))
}

/// The next request, or `None` when the connection ended.
fn forwarded(peer: &mut Peer) -> Option<Forwarded> {
    let bytes = payload(peer)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let Ok(Packet::Forward(request)) = Packet::decode(&bytes) else { panic!("not a request: {bytes:?}") };
    let fields = [request.protocol, request.uri, request.remote_addr, request.server_name];
    let fields = fields.map(|field| text(field.expect("httpd sends no null here")));
    assert_eq!(request.remote_host, None);
    Some(Forwarded {
        line: format!("{} {}", text(request.method), fields.join(" ")),
        headers: request.headers().map(|(name, value)| format!("{}: {}", text(name), text(value))).collect(),
        attributes: request
            .attributes()
            .map(|attribute| match attribute {
                Attribute::Named(name, value) => format!("{}={}", text(name), text(value)),
                Attribute::Query(value) => format!("?{}", text(value)),
                Attribute::Secret(value) => format!("secret {}", text(value)),
                Attribute::JvmRoute(value) => format!("route {}", text(value)),
                Attribute::StoredMethod(value) => format!("method {}", text(value)),
                other => format!("{other:?}"),
            })
            .collect(),
    })
}

/// The data of the next body packet.
fn data(peer: &mut Peer) -> Vec<u8> {
    body(&payload(peer).expect("a body packet")).unwrap().to_vec()
}

fn head(status: u16, reason: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut packet = HeadersWriter::new(&mut out, MAX_PACKET_SIZE, status, reason.as_bytes());
    fields.iter().for_each(|(name, value)| packet.header(name.as_bytes(), value.as_bytes()));
    packet.finish().unwrap();
    out
}

fn chunk(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    assert_eq!(push_body_chunk(&mut out, 8192, data), data.len());
    out
}

fn end(reuse: bool) -> Vec<u8> {
    let mut out = Vec::new();
    push_end_response(&mut out, reuse);
    out
}

fn get_body() -> Vec<u8> {
    let mut out = Vec::new();
    push_get_body_chunk(&mut out, 8186);
    out
}

/// A small whole response.
fn hello(reuse: bool) -> Vec<u8> {
    [head(200, "200", &[("Content-Type", "text/plain"), ("Content-Length", "5")]), chunk(b"hello"), end(reuse)].concat()
}

/// A container that runs `serve` on each connection, and what it was asked.
fn container(serve: impl Fn(&mut Peer, Forwarded) -> bool + Send + Sync + 'static) -> (Origin, Receiver<Forwarded>) {
    let (seen, requests) = channel();
    let origin = Origin::serving(move |peer, _| {
        while let Some(request) = forwarded(peer) {
            let copy = Forwarded { line: request.line.clone(), ..Forwarded::default() };
            let _ = seen.send(request);
            if !serve(peer, copy) {
                return;
            }
        }
    });
    (origin, requests)
}

fn site(name: &str, body: &str) -> Site {
    let site = Site::new(name);
    site.httpd_conf(MODULES, body);
    site
}

fn ask(server: &Server<'_>, request: &str) -> Message {
    let mut client = server.connect();
    client.send(request);
    client.response()
}

fn post(server: &Server<'_>, target: &str, length: usize) -> Message {
    let body = "x".repeat(length);
    ask(
        server,
        &format!("POST {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"),
    )
}

#[test]
fn a_request_is_forwarded_whole() {
    let (origin, requests) = container(|peer, _| peer.try_send(hello(true)));
    let port = origin.port;
    let site = site(
        "ajp-forward",
        &format!(
            "SetEnv AJP_role admin\nSetEnvIf X-Who (.+) AJP_who=$1\nSetEnv other 1\n\
             ProxyPass /app ajp://127.0.0.1:{port}/ctx secret=s3cret\nProxyAddHeaders On"
        ),
    );
    let server = site.start();
    let mut client = server.connect();
    client.send(
        "PATCH /app/caf%C3%A9%7E;p=1?a=b%20c& HTTP/1.1\r\nHost: WWW.Example.Test:81\r\nX-Who: me\r\n\
         Accept: a\r\naccept: b\r\nCookie: c=1\r\nConnection: keep-alive\r\nProxy-Authorization: z\r\n\r\n",
    );
    let answer = client.response();
    assert_eq!((answer.line().as_str(), answer.text().as_str()), ("HTTP/1.1 200 200", "hello"));
    assert_eq!(answer.header("content-type").as_deref(), Some("text/plain"));
    // The container's length is not trusted.
    assert_eq!(answer.header("content-length"), None);
    assert_eq!(answer.header("transfer-encoding").as_deref(), Some("chunked"));
    let local = client.stream.local_addr().unwrap().port();
    let request = requests.recv().unwrap();
    assert_eq!(request.line, "PATCH HTTP/1.1 /ctx/caf%C3%A9~;p=1 127.0.0.1 www.example.test");
    let headers = [
        "host: WWW.Example.Test:81",
        "X-Who: me",
        "accept: a, b",
        "cookie: c=1",
        "connection: keep-alive",
        "Proxy-Authorization: z",
    ];
    assert_eq!(request.headers, headers);
    let port = format!("AJP_REMOTE_PORT={local}");
    let mut attributes = request.attributes;
    // Environment variables follow in no order that a user could rely on.
    attributes[5..].sort();
    let named = [port.as_str(), "AJP_LOCAL_ADDR=127.0.0.1", "role=admin", "who=me"];
    assert_eq!(attributes[..3], ["secret s3cret", "?a=b%20c&", "method PATCH"]);
    assert_eq!(attributes[3..], named);
}

#[test]
fn bodies_go_as_the_container_asks_for_them() {
    let (origin, _requests) = container(|peer, request| {
        let mut sizes = Vec::new();
        if request.line.contains("/known") {
            sizes.push(data(peer).len());
        }
        loop {
            peer.send(get_body());
            sizes.push(data(peer).len());
            if sizes.last() == Some(&0) {
                break;
            }
        }
        // Asked once more than there is, httpd says again that it is over.
        peer.send(get_body());
        assert_eq!(data(peer), b"");
        let sizes = sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(" ");
        peer.try_send([head(200, "", &[]), chunk(sizes.as_bytes()), end(true)].concat())
    });
    let site = site("ajp-body", &format!("ProxyPass / ajp://127.0.0.1:{}/", origin.port));
    let server = site.start();
    let known = |length: usize| {
        let body = "x".repeat(length);
        let answer =
            ask(&server, &format!("POST /known HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{body}"));
        assert_eq!(answer.line(), "HTTP/1.1 200 ");
        let text = answer.text();
        let sizes: Vec<usize> = text.split(' ').map(|n| n.parse().unwrap()).collect();
        assert_eq!(sizes.iter().sum::<usize>(), length, "{text}");
        assert!(sizes.iter().all(|n| *n <= 8186), "{text}");
        text
    };
    assert_eq!(known(11), "11 0");
    assert_eq!(known(8186), "8186 0");
    known(8187);
    known(100_000);
    // One packet a chunk, whatever the client cuts.
    let chunked = "POST /chunked HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
                   5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\nT: v\r\n\r\n";
    assert_eq!(ask(&server, chunked).text(), "5 3 0");
    // Without a body the first GET_BODY_CHUNK is told so.
    assert_eq!(ask(&server, "POST /none HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n").text(), "0");
}

#[test]
fn the_client_is_told_to_continue_when_its_body_is_wanted() {
    let (origin, _requests) = container(|peer, _| {
        assert_eq!(data(peer), b"hello");
        peer.try_send(hello(true))
    });
    let site = site("ajp-expect", &format!("ProxyPass / ajp://127.0.0.1:{}/", origin.port));
    let server = site.start();
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.read_until("\r\n\r\n"), b"HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hello");
    assert_eq!(client.response().status, 200);
}

#[test]
fn connections_are_kept_as_the_container_says() {
    let (origin, _requests) = container(|peer, request| peer.try_send(hello(!request.line.contains("/close"))));
    let site = site("ajp-reuse", &format!("ProxyPass / ajp://127.0.0.1:{}/ max=1", origin.port));
    let server = site.start();
    for target in ["/1", "/2", "/3"] {
        assert_eq!(server.get(target, "").status, 200);
    }
    // The one child's pool; the real httpd may have started several.
    let kept = origin.connections();
    assert!(kept < 3 || crate::support::real_httpd(), "{kept} connections");
    for _ in 0..6 {
        assert_eq!(server.get("/close", "").status, 200);
    }
    // None of these was used twice.
    assert!(origin.connections() >= 6);
}

/// httpd answers some of these with 500 or 503: it does not ask again.
#[test]
fn a_connection_closed_while_idle_costs_nothing() {
    if crate::support::real_httpd() {
        return;
    }
    let (origin, _requests) = container(|peer, _| {
        peer.try_send(hello(true));
        false
    });
    let site = site("ajp-idle", &format!("ProxyPass / ajp://127.0.0.1:{}/", origin.port));
    let server = site.start();
    for n in 0..50 {
        assert_eq!(server.get("/x?y", "").text(), "hello", "request {n}");
    }
}

#[test]
fn a_flush_reaches_the_client_before_the_end() {
    let (go, wait) = channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let (origin, _requests) = container(move |peer, _| {
        let mut flush = Vec::new();
        push_flush(&mut flush);
        // A flush before the headers means nothing.
        peer.send([flush.clone(), head(200, "OK", &[]), chunk(b"first"), flush].concat());
        wait.lock().unwrap().recv().unwrap();
        peer.try_send([chunk(b"second"), end(true)].concat())
    });
    let site = site("ajp-flush", &format!("ProxyPass / ajp://127.0.0.1:{}/", origin.port));
    let server = site.start();
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    client.read_until("first\r\n");
    go.send(()).unwrap();
    client.read_until("second\r\n0\r\n\r\n");
}

#[test]
fn large_responses_arrive_whole() {
    let (origin, _requests) = container(|peer, _| {
        let packets: Vec<u8> = (0..400u32).flat_map(|n| chunk(&vec![b'a' + (n % 26) as u8; 8184])).collect();
        peer.try_send([head(200, "OK", &[]), packets, end(true)].concat())
    });
    let site = site("ajp-large", &format!("ProxyPass / ajp://127.0.0.1:{}/", origin.port));
    let server = site.start();
    for _ in 0..3 {
        let answer = server.get("/", "");
        let want: Vec<u8> = (0..400u32).flat_map(|n| vec![b'a' + (n % 26) as u8; 8184]).collect();
        assert!(answer.body == want, "{} bytes", answer.body.len());
    }
}

#[test]
fn a_bad_container_costs_its_own_request_only() {
    let twice = [head(200, "OK", &[]), head(200, "OK", &[]), end(true)].concat();
    let bad_code = b"AB\x00\x10\x04\x00\xc8\x00\x02OK\x00\x00\x01\xa0\x0c\x00\x01y\x00".to_vec();
    let answers: [(&str, Vec<u8>); 9] = [
        ("AH01080", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        ("AH01081", b"AB\xff\xff\x03".to_vec()),
        ("AH01030", Vec::new()),
        ("AH01032", b"AB\x00\x0a\x04\x00".to_vec()),
        ("AH00984", bad_code),
        ("AH00893", twice),
        ("AH00893", b"AB\x00\x01\x09".to_vec()),
        ("AH00998", [head(200, "OK", &[]), b"AB\x00\x07\x03\x00\x09abc\x00".to_vec(), end(true)].concat()),
        ("AH00993", b"AB\x00\x00".to_vec()),
    ];
    let scripts = answers.clone();
    let (origin, _requests) = container(move |peer, request| {
        let index = request.line.rsplit('/').next().and_then(|rest| rest.split(' ').next()?.parse::<usize>().ok());
        match index.and_then(|at| scripts.get(at)) {
            Some((_, bytes)) => {
                peer.try_send(bytes);
                false
            }
            None => peer.try_send(hello(true)),
        }
    });
    let site = site("ajp-bad", &format!("ProxyPass / ajp://127.0.0.1:{}/", origin.port));
    let server = site.start();
    for (at, (number, _)) in answers.iter().enumerate() {
        let before = site.read("logs/error_log").matches(number).count();
        assert_eq!(server.get(&format!("/{at}"), "").status, 503, "{number}");
        server.log("logs/error_log", |text| text.matches(number).count() > before);
        assert_eq!(server.get("/fine", "").text(), "hello", "after {number}");
    }
    // With a query nobody may ask again: 500.
    assert_eq!(server.get("/?2", "").status, 200);
    assert_eq!(server.get("/2?q", "").status, 500);
}

#[test]
fn what_breaks_off_later_is_cut() {
    let (origin, _requests) = container(|peer, _| {
        peer.try_send([head(200, "OK", &[]), chunk(b"part")].concat());
        false
    });
    let site = site("ajp-cut", &format!("ProxyPass / ajp://127.0.0.1:{}/", origin.port));
    let server = site.start();
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let all = client.rest();
    let text = String::from_utf8_lossy(&all);
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("\r\n\r\n4\r\npart\r\n"), "{text}");
    server.log("logs/error_log", |text| text.contains("AH00893: dialog to 127.0.0.1:"));
}

#[test]
fn only_what_can_be_repeated_fails_over() {
    let (dead, _gone) = container(|_, _| false);
    let (good, requests) = container(|peer, request| {
        if request.line.starts_with("POST") {
            data(peer);
        }
        peer.try_send(hello(true))
    });
    // A balancer for each request: a member that failed rests.
    let mut body = String::new();
    for n in 1..=4 {
        body += &format!(
            "<Proxy balancer://b{n}>\nBalancerMember ajp://127.0.0.1:{} route=dead\n\
             BalancerMember ajp://127.0.0.1:{} route=good status=+H\nProxySet stickysession=SID\n</Proxy>\n\
             ProxyPass /{n} balancer://b{n}\n",
            dead.port, good.port
        );
    }
    let site = site("ajp-failover", &body);
    let server = site.start();
    assert_eq!(server.get("/1/a", "Cookie: SID=x.dead\r\n").text(), "hello");
    let request = requests.recv().unwrap();
    assert_eq!(request.attributes[0], "route dead", "{request:?}");
    assert_eq!(ask(&server, "PUT /2/a HTTP/1.1\r\nHost: h\r\n\r\n").status, 200);
    // With a query or a body nobody may ask again; the member rests all the same.
    assert_eq!(server.get("/3/a?b", "").status, 500);
    assert_eq!(server.get("/3/a?b", "").status, 200);
    assert_eq!(post(&server, "/4/p", 1).status, 500);
    assert_eq!(post(&server, "/4/p", 1).status, 200);
}

#[test]
fn errors_are_replaced_and_stay_errors() {
    let (origin, _requests) = container(|peer, request| {
        let answer = match request.line.contains("/page") {
            true => hello(true),
            false => [head(404, "Nope", &[("X-A", "1")]), chunk(b"original"), end(true)].concat(),
        };
        peer.try_send(answer)
    });
    let port = origin.port;
    let plain = format!("ProxyErrorOverride On\nProxyPass / ajp://127.0.0.1:{port}/");
    let ours = site("ajp-override", &plain);
    let answer = ours.start().get("/x", "");
    assert_eq!((answer.line().as_str(), answer.header("x-a")), ("HTTP/1.1 404 Nope", None));
    assert!(answer.text().contains("<title>404 Nope</title>"), "{}", answer.text());
    let theirs = site("ajp-document", &format!("ErrorDocument 404 /page\n{plain}"));
    let answer = theirs.start().get("/x", "");
    assert_eq!((answer.line().as_str(), answer.text().as_str()), ("HTTP/1.1 404 Not Found", "hello"));
}

#[test]
fn ping_finds_a_dead_container() {
    let origin = Origin::serving(|peer, _| {
        // The first connection is dead, the others live.
        let mut cpong = Vec::new();
        push_cpong(&mut cpong);
        while let Some(bytes) = payload(peer) {
            let answer = match Packet::decode(&bytes) {
                Ok(Packet::Cping) => &cpong,
                _ => &hello(true),
            };
            if !peer.try_send(answer) {
                return;
            }
        }
    });
    let silent = Origin::serving(|peer, _| while payload(peer).is_some() {});
    let (live, dumb) = (origin.port, silent.port);
    let site = site(
        "ajp-ping",
        &format!("ProxyPass /live ajp://127.0.0.1:{live}/ ping=5\nProxyPass /dumb ajp://127.0.0.1:{dumb}/ ping=100ms"),
    );
    let server = site.start();
    for _ in 0..3 {
        assert_eq!(server.get("/live", "").text(), "hello");
    }
    assert_eq!(server.get("/dumb", "").status, 503);
    assert_eq!(silent.connections(), 2, "asked once more over a new connection");
    server.log("logs/error_log", |text| text.matches("AH00897: cping/cpong failed to 127.0.0.1:").count() == 2);
}

#[test]
fn headers_that_do_not_fit_are_refused() {
    let (origin, requests) = container(|peer, _| peer.try_send(hello(true)));
    let port = origin.port;
    let site = site("ajp-size", &format!("ProxyPass / ajp://127.0.0.1:{port}/"));
    let server = site.start();
    let big = format!("X-A: {0}\r\nX-B: {0}\r\n", "x".repeat(4500));
    assert_eq!(server.get("/", &big).status, 400);
    server.log("logs/error_log", |text| text.contains("AH00868: request failed to"));
    assert!(requests.try_recv().is_err());
    drop(server);
    site.httpd_conf(MODULES, &format!("ProxyIOBufferSize 16384\nProxyPass / ajp://127.0.0.1:{port}/"));
    let server = site.start();
    assert_eq!(server.get("/", &big).status, 200);
}

//! Connections that change their protocol: `upgrade=`, `ws://`.

use std::time::{Duration, Instant};

use crate::support::{Origin, Peer, Site};

const MODULES: &[&str] = &["logio", "rewrite", "proxy", "proxy_http", "proxy_wstunnel"];

const ASK: &str =
    "GET /ws HTTP/1.1\r\nHost: pub.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n";

fn site(name: &str, conf: &str) -> Site {
    let site = Site::new(name);
    site.httpd_conf(MODULES, conf);
    site
}

/// An origin that switches to `protocol` and sends back what it hears, in brackets, then says goodbye.
fn echo(protocol: &'static str) -> Origin {
    Origin::serving(move |peer, seen| {
        let Some(request) = peer.request() else { return };
        seen.note(request);
        peer.send(format!("HTTP/1.1 101 Other\r\nUpgrade: {protocol}\r\nConnection: Upgrade\r\nX-A: 1\r\n\r\nhi"));
        while let Some(byte) = peer.next_byte() {
            peer.try_send([b'[', byte, b']']);
        }
        peer.try_send("bye");
        peer.finish();
    })
}

fn switched(client: &mut Peer) {
    client.send(ASK);
    let head = String::from_utf8(client.read_until("\r\n\r\n")).unwrap();
    assert_eq!(head, "HTTP/1.1 101 Other\r\nX-A: 1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(client.read_exactly(2), b"hi");
}

#[test]
fn bytes_pass_both_ways_until_both_sides_have_ended() {
    let origin = echo("websocket");
    let port = origin.port;
    let log = "LogFormat \"%s %b %I %O %X\" tunnel\nCustomLog logs/access_log tunnel\n";
    let site = site("tun-both", &format!("{log}ProxyPass / http://127.0.0.1:{port}/ upgrade=websocket"));
    let server = site.start();
    let mut client = server.connect();
    switched(&mut client);
    client.send("ab");
    assert_eq!(client.read_exactly(6), b"[a][b]");
    client.send("c");
    // The other direction goes on when one has ended.
    client.finish();
    assert_eq!(client.rest(), b"[c]bye");
    let head = String::from_utf8(origin.requests()[0].head.clone()).unwrap();
    assert!(
        head.ends_with("X-Forwarded-Server: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
        "{head}"
    );
    let (sent, got) = (ASK.len() + 3, 85);
    let line = server.log("logs/access_log", |text| text.ends_with('\n'));
    assert_eq!(line, format!("101 - {sent} {got} -\n"));
}

#[test]
fn much_goes_through_whoever_is_slow() {
    const SIZE: usize = 8 * 1024 * 1024;
    let origin = Origin::serving(move |peer, _| {
        peer.request();
        peer.send("HTTP/1.1 101 Other\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-A: 1\r\n\r\nhi");
        std::thread::sleep(Duration::from_millis(300));
        let all = peer.read_exactly(SIZE);
        peer.send(&all);
    });
    let site = site("tun-much", &format!("ProxyPass / ws://127.0.0.1:{}/", origin.port));
    let server = site.start();
    let mut client = server.connect();
    switched(&mut client);
    let data: Vec<u8> = (0..SIZE).map(|n| (n * 7 % 251) as u8).collect();
    client.send(&data);
    assert!(client.read_exactly(SIZE) == data);
    assert_eq!(client.rest(), b"");
}

#[test]
fn a_quiet_tunnel_ends_after_the_longer_timeout() {
    let origin = echo("websocket");
    let conf = format!("Timeout 2\nProxyPass / http://127.0.0.1:{}/ upgrade=ANY timeout=1", origin.port);
    let site = site("tun-idle", &conf);
    let server = site.start();
    let mut client = server.connect();
    switched(&mut client);
    std::thread::sleep(Duration::from_millis(1200));
    client.send("x");
    let began = Instant::now();
    assert_eq!(client.read_exactly(3), b"[x]");
    let rest = client.rest();
    assert!(rest.is_empty() && began.elapsed() > Duration::from_millis(1900), "{rest:?} {:?}", began.elapsed());
}

#[test]
fn other_protocols_than_allowed_do_not_pass() {
    let origin = echo("foo");
    let port = origin.port;
    let conf =
        format!("ProxyPass /a http://127.0.0.1:{port}/a upgrade=websocket\nProxyPass / http://127.0.0.1:{port}/");
    let site = site("tun-other", &conf);
    let server = site.start();
    let answer = server.get("/a", "Upgrade: websocket\r\n");
    assert_eq!((answer.status, answer.text().contains("Unexpected Upgrade: foo (expecting websocket)")), (502, true));
    let answer = server.get("/b", "Upgrade: websocket\r\n");
    assert_eq!((answer.status, answer.text().contains("Unexpected Upgrade: foo (expecting n/a)")), (502, true));
    let heads: Vec<_> = origin.requests().iter().map(|seen| seen.header("upgrade")).collect();
    assert_eq!(heads, [Some("websocket".to_owned()), None]);
}

#[test]
fn rewriting_leads_to_a_websocket() {
    let origin = echo("websocket");
    let port = origin.port;
    let conf = format!(
        "RewriteEngine On\nRewriteCond %{{HTTP:Upgrade}} websocket [NC]\nRewriteRule ^/(.*) ws://127.0.0.1:{port}/in/$1 [P]"
    );
    let site = site("tun-rewrite", &conf);
    let server = site.start();
    switched(&mut server.connect());
    assert_eq!(origin.requests()[0].line(), "GET /in/ws HTTP/1.1");
}

#[test]
fn wstunnel_itself_passes_whatever_is_answered() {
    let origin = Origin::serving(|peer, seen| {
        let Some(request) = peer.request() else { return };
        seen.note(request);
        peer.send("HTTP/1.1 101 Raw\r\nServer: x\r\n\r\n");
        let heard = peer.read_exactly(3);
        peer.send(heard);
    });
    let port = origin.port;
    let site = site("tun-raw", &format!("ProxyWebsocketFallbackToProxyHttp Off\nProxyPass / ws://127.0.0.1:{port}/"));
    let server = site.start();
    let mut client = server.connect();
    client.send(ASK);
    assert_eq!(client.read_until("\r\n\r\n"), b"HTTP/1.1 101 Raw\r\nServer: x\r\n\r\n");
    client.send("abc");
    assert_eq!(client.rest(), b"abc");
    assert_eq!(origin.requests()[0].header("upgrade").as_deref(), Some("WebSocket"));
    assert_eq!(server.get("/", "").status, 404);
    let other = server.get("/", "Upgrade: foo\r\nConnection: Upgrade\r\n");
    assert_eq!((other.status, other.header("upgrade").as_deref()), (426, Some("WebSocket")));
}

#[test]
fn a_name_without_dots_blocks_its_addresses_too() {
    let origin = Origin::replying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    let port = origin.port;
    let site = site("fwd-block", "ProxyRequests On\nProxyBlock localhost\n");
    let server = site.start();
    for scheme in ["http", "ws"] {
        assert_eq!(server.get(&format!("{scheme}://127.0.0.1:{port}/"), "").status, 403, "{scheme}");
    }
    let line = "AH00917: connect to remote machine 127.0.0.1 blocked: IP 127.0.0.1 matched";
    server.log("logs/error_log", |text| text.matches(line).count() == 2);
    assert!(origin.requests().is_empty());
}

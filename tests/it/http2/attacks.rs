//! Clients that only want to keep a server busy, one for each attack of the last years: the connection ends with
//! ENHANCE_YOUR_CALM and one line in the log, and the server goes on for others.

use std::time::Duration;

use super::super::support::{Server, Site, real_httpd};
use super::MODULES;
use super::frames::*;

fn site(name: &str, more: &str) -> Site {
    let site = Site::new(name);
    site.write("htdocs/index.html", "It works, and goes on for a while.\n");
    site.write("htdocs/big.txt", "a large file ".repeat(100_000));
    site.httpd_conf(MODULES, &format!("Protocols h2c http/1.1\nLogLevel http2:info\n{more}"));
    site
}

/// Sends until the server has had enough: the code it says, and how often the client could go on.
fn until_told(client: &mut Client, mut attack: impl FnMut(&mut Client, u32)) -> (Option<u32>, u32) {
    for nth in 0..20_000 {
        attack(client, nth);
        if nth % 64 == 63 {
            client.patience(Duration::from_millis(1));
            let code = code(client);
            if code != Some(u32::MAX) {
                return (code, nth);
            }
        }
    }
    client.patience(Duration::from_secs(5));
    (code(client), 20_000)
}

/// The code of a GOAWAY; `MAX` when there is none yet.
fn code(client: &mut Client) -> Option<u32> {
    match client.find(|frame| frame.kind == GOAWAY) {
        Event::Frame(frame) => Some(frame.code()),
        Event::Nothing => Some(u32::MAX),
        Event::Closed => None,
    }
}

/// One line of the log says why, and the next client is served.
fn calm(server: &Server<'_>, words: &str) {
    let log = server.log("logs/error_log", |log| log.contains("ENHANCE_YOUR_CALM"));
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("[http2:")).collect();
    assert!(lines.len() == 1 && lines[0].contains(words), "{words}: {log}");
    let mut other = Client::new(server.port, false);
    other.get(1);
    let answer = other.find(|frame| frame.kind == HEADERS && frame.stream == 1);
    assert!(matches!(answer, Event::Frame(_)), "{answer:?}");
}

fn stream(nth: u32) -> u32 {
    nth * 2 + 1
}

#[test]
fn floods_end_the_connection_and_nothing_else() {
    if real_httpd() {
        return;
    }
    type Attack = fn(&mut Client, u32);
    let attacks: &[(&str, &str, Attack)] = &[
        ("reset", "ENHANCE_YOUR_CALM", |c, nth| {
            c.get(stream(nth));
            c.frame(RST_STREAM, 0, stream(nth), &[0, 0, 0, 8]);
        }),
        ("settings", "frames that carry nothing", |c, _| c.send(&settings(&[(3, 100)]))),
        ("ping", "frames that carry nothing", |c, _| c.frame(PING, 0, 0, &[0; 8])),
        ("priority", "frames that carry nothing", |c, _| c.frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 9])),
        ("unknown", "frames that carry nothing", |c, _| c.frame(0xfa, 0, 0, b"x")),
        ("window", "window updates", |c, _| c.frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("empty", "ENHANCE_YOUR_CALM", |c, nth| match nth {
            0 => c.frame(HEADERS, END_HEADERS, 1, &request("POST", &[])),
            _ => c.frame(DATA, 0, 1, b""),
        }),
        ("continuation", "ENHANCE_YOUR_CALM", |c, nth| match nth {
            0 => c.frame(HEADERS, END_STREAM, 1, &request("GET", &[])),
            _ => c.frame(CONTINUATION, 0, 1, &field("x-more", &"a".repeat(100))),
        }),
        ("emptycontinuation", "ENHANCE_YOUR_CALM", |c, nth| match nth {
            0 => c.frame(HEADERS, END_STREAM, 1, &request("GET", &[])),
            _ => c.frame(CONTINUATION, 0, 1, b""),
        }),
        ("malformed", "ENHANCE_YOUR_CALM", |c, nth| {
            c.frame(HEADERS, END_STREAM | END_HEADERS, stream(nth), &request("GET", &[("connection", "close")]));
        }),
    ];
    for (name, words, attack) in attacks {
        let site = site(&format!("h2-flood-{name}"), "");
        let server = site.start();
        let mut client = Client::new(server.port, false);
        let (code, times) = until_told(&mut client, attack);
        assert_eq!(code, Some(ENHANCE_YOUR_CALM), "{name} after {times}");
        assert!(times < 10_000, "{name} after {times}");
        calm(&server, words);
    }
}

/// A field of 4,000 bytes in the table, named 60,000 times with a byte each: what it stands for is never made.
#[test]
fn a_small_head_of_many_large_fields_is_not_taken() {
    let site = site("h2-bomb", "");
    let server = site.start();
    let mut client = Client::new(server.port, false);
    let value = "b".repeat(4000);
    let mut large = vec![0x40, 6];
    large.extend_from_slice(b"x-bomb\x7f\xa1\x1e");
    large.extend_from_slice(value.as_bytes());
    let block = [request("GET", &[]), large, vec![0xbe; 8000]].concat();
    client.frame(HEADERS, END_STREAM | END_HEADERS, 1, &block);
    // 431, the stream's end, or the connection's.
    let told = client.find(|frame| matches!(frame.kind, HEADERS | RST_STREAM | GOAWAY));
    assert_ne!(told, Event::Nothing);
    let mut other = Client::new(server.port, false);
    other.get(1);
    assert!(matches!(other.find(|frame| frame.kind == HEADERS), Event::Frame(_)));
}

/// LimitRequestFields counts crumbs, as in httpd.
#[test]
fn many_small_cookies_are_too_many_fields() {
    let site = site("h2-crumbs", "LogFormat \"%>s %{Cookie}i\" c\nCustomLog logs/access_log c\n");
    let server = site.start();
    let mut client = Client::new(server.port, false);
    let few: Vec<(String, String)> = (0..3).map(|n| ("cookie".to_owned(), format!("a{n}=1"))).collect();
    let many: Vec<(String, String)> = (0..150).map(|n| ("cookie".to_owned(), format!("a{n}=1"))).collect();
    for (nth, list) in [few, many].iter().enumerate() {
        let list: Vec<(&str, &str)> = list.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let id = stream(nth as u32);
        client.frame(HEADERS, END_STREAM | END_HEADERS, id, &request("GET", &list));
        let end = client.find(|frame| frame.stream == id && frame.has(END_STREAM));
        assert!(matches!(end, Event::Frame(_)), "{end:?}");
    }
    let log = server.log("logs/access_log", |log| log.lines().count() == 2);
    assert!(log.starts_with("200 a0=1; a1=1; a2=1\n431 "), "{log}");
}

/// Whoever asks for much and takes nothing of it loses the streams after H2StreamTimeout, and the connection when that
/// happens more often than H2MaxStreamErrors.
#[test]
fn streams_that_nobody_reads_end() {
    if real_httpd() {
        return;
    }
    let site = site("h2-stall", "H2StreamTimeout 1\nH2MaxStreamErrors 3\n");
    let server = site.start();
    let mut client = Client::with(server.port, false, &[(4, 0)]);
    let own = [(":method", "GET"), (":scheme", "http"), (":path", "/big.txt"), (":authority", "localhost")];
    client.frame(HEADERS, END_STREAM | END_HEADERS, 1, &fields(&own));
    // A byte now and then is no progress.
    for _ in 0..8 {
        client.frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]);
        std::thread::sleep(Duration::from_millis(100));
    }
    let end = client.find(|frame| frame.kind == RST_STREAM);
    assert!(matches!(&end, Event::Frame(frame) if frame.stream == 1), "{end:?}");
    for nth in 1..5 {
        client.frame(HEADERS, END_STREAM | END_HEADERS, stream(nth), &fields(&own));
    }
    client.patience(Duration::from_secs(5));
    assert_eq!(code(&mut client), Some(ENHANCE_YOUR_CALM));
    calm(&server, "streams that their client does not read");
}

/// Requests taken back are served all the same; no more of them at once than a client may have open.
#[test]
fn no_more_is_served_at_once_than_may_be_open() {
    if real_httpd() {
        return;
    }
    let origin = super::super::support::Origin::serving(|peer, seen| {
        while let Some(request) = peer.request() {
            seen.note(request);
            std::thread::sleep(Duration::from_millis(300));
            if !peer.try_send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") {
                return;
            }
        }
    });
    let site = Site::new("h2-held");
    let proxy = format!("Protocols h2c\nH2MaxSessionStreams 5\nProxyPass / http://127.0.0.1:{}/\n", origin.port);
    site.httpd_conf(&["http2", "proxy", "proxy_http"], &proxy);
    let server = site.start();
    let mut client = Client::new(server.port, false);
    for nth in 0..50 {
        client.get(stream(nth));
        client.frame(RST_STREAM, 0, stream(nth), &[0, 0, 0, 8]);
    }
    client.frame(PING, 0, 0, b"after it");
    assert!(matches!(client.find(|frame| frame.kind == PING), Event::Frame(_)));
    assert!(origin.requests().len() <= 5, "{}", origin.requests().len());
}

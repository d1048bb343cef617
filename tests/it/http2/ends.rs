//! What a connection is for: whose requests it takes, what comes in front of responses, and how it ends.

use nix::sys::signal::Signal;

use super::super::support::{Origin, Site};
use super::frames::{Client, END_HEADERS, END_STREAM, Event, GOAWAY, HEADERS, NO_ERROR, fields};
use super::{LOG, MODULES, TLS, certificate, curl, tools};

#[test]
fn a_stream_belongs_to_the_handshakes_host() {
    if !tools("a_stream_belongs_to_the_handshakes_host", &["curl", "openssl"]) {
        return;
    }
    let site = Site::new("h2-421");
    certificate(&site);
    let (shared, tls) = TLS.split_once('\n').unwrap();
    let host = |name: &str, more: &str| {
        format!("<VirtualHost 127.0.0.1:{}>\nServerName {name}\n{tls}{more}\n</VirtualHost>\n", site.port)
    };
    let hosts = host("localhost", "") + &host("a.test", "") + &host("b.test", "SSLProtocol TLSv1.3");
    site.httpd_conf(MODULES, &format!("{shared}\nLogLevel ssl:info\nProtocols h2 http/1.1\n{hosts}"));
    let server = site.start();
    for (sni, host, code) in [
        ("localhost", "localhost", "200"),
        ("localhost", "a.test", "200"),
        ("localhost", "b.test", "421"),
        ("b.test", "a.test", "421"),
        ("b.test", "b.test", "200"),
    ] {
        let named = format!("Host: {host}");
        // The second request goes on the same connection, whatever became of the first.
        let again = format!("https://{sni}/index.html");
        let more = ["--http2", "-H", &named, "-w", "%{http_code}/%{http_version}/%{num_connects} ", &again];
        let got = curl(server.port, &again, &more);
        let all = format!("{}\n{} {}", got.text, got.code, got.version);
        assert!(all.contains(&format!("{code}/2/1 ")) && all.contains(&format!("{code}/2/0 ")), "{sni} {host}: {all}");
    }
    server.log("logs/error_log", |log| {
        log.contains(
            "AH02032: Hostname localhost provided via SNI and hostname b.test provided via HTTP have no compatible SSL \
             setup for policy 'secure'",
        )
    });
}

#[test]
fn hints_come_in_front_of_responses() {
    if !tools("hints_come_in_front_of_responses", &["curl", "openssl"]) {
        return;
    }
    let site = Site::new("h2-hints");
    certificate(&site);
    let body = |on: &str| {
        format!(
            "{TLS}Protocols h2 http/1.1\nH2EarlyHints {on}\n<Location /index.html>\n\
             H2EarlyHint Link \"</x.css>;rel=preload;as=style\"\n</Location>"
        )
    };
    for (on, version, want) in [("on", "--http2", true), ("on", "--http1.1", false), ("off", "--http2", false)] {
        site.httpd_conf(MODULES, &body(on));
        let server = site.start();
        let got = curl(server.port, "https://localhost/index.html", &[version, "-i"]);
        let text = got.text.to_ascii_lowercase();
        let hint = "http/2 103 \r\nlink: </x.css>;rel=preload;as=style\r\n\r\nhttp/2 200 \r\n";
        assert_eq!((got.code.as_str(), text.starts_with(hint)), ("200", want), "{on} {version}: {text}");
        assert_eq!(text.contains("preload"), want, "{on} {version}: {text}");
    }
}

#[test]
fn a_connection_is_told_when_the_server_ends() {
    let site = Site::new("h2-goaway");
    site.httpd_conf(MODULES, "Protocols h2c http/1.1");
    let server = site.start();
    let mut client = Client::new(server.port, false);
    client.get(1);
    let answer = client.find(|frame| frame.stream == 1 && frame.has(END_STREAM));
    assert!(matches!(answer, Event::Frame(_)), "{answer:?}");
    server.signal(Signal::SIGWINCH);
    let Event::Frame(frame) = client.find(|frame| frame.kind == GOAWAY) else { panic!("no GOAWAY") };
    assert_eq!(frame.code(), NO_ERROR);
    let (rest, end) = client.rest();
    assert!(matches!(end, Event::Closed), "{rest:?} {end:?}");
}

#[test]
fn a_proxy_is_asked_over_http2() {
    let site = Site::new("h2-forward");
    let origin = Origin::replying("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\norigin");
    let modules = [MODULES, &["proxy", "proxy_http"]].concat();
    let at = format!("127.0.0.1:{}", origin.port);
    for (on, scheme, line, passed) in [
        ("off", "http", "\"GET /x HTTP/2.0\" 404 ".to_owned(), 0),
        ("on", "http", format!("\"GET http://{at}/x HTTP/2.0\" 200 6 "), 1),
        ("off", "ftp", format!("\"GET ftp://{at}/x HTTP/2.0\" 500 "), 1),
    ] {
        site.write("logs/access_log", "");
        site.httpd_conf(&modules, &format!("{LOG}Protocols h2c http/1.1\nProxyRequests On\nH2ProxyRequests {on}"));
        let server = site.start();
        let mut client = Client::new(server.port, false);
        let head = fields(&[(":method", "GET"), (":scheme", scheme), (":path", "/x"), (":authority", &at)]);
        client.frame(HEADERS, END_STREAM | END_HEADERS, 1, &head);
        let answer = client.find(|frame| frame.stream == 1 && frame.has(END_STREAM));
        assert!(matches!(answer, Event::Frame(_)), "{answer:?}");
        server.log("logs/access_log", |log| log.contains(&line));
        assert_eq!(origin.requests().len(), passed, "{on} {scheme}");
    }
}

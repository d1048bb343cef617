//! HTTP/2 from outside: curl and nghttp as clients that do right, and one that need not.

use std::process::{Command, Stdio};

use super::support::{Server, Site, skip, which};

mod attacks;
mod conformance;
mod ends;
mod frames;
mod programs;
mod proxied;
mod push;
mod reloads;

const MODULES: &[&str] = &["dir", "http2", "ssl", "socache_shmcb", "headers", "setenvif", "rewrite"];

/// What curl got.
struct Got {
    code: String,
    text: String,
    version: String,
}

/// One request; `more` are curl's options. All hosts are on the server's port.
fn curl(port: u16, url: &str, more: &[&str]) -> Got {
    let to = format!("::127.0.0.1:{port}");
    let done = Command::new("curl")
        .args(["-sk", "--max-time", "10", "--connect-to", &to, "-w", "\n%{http_code} %{http_version}", url])
        .args(more)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let all = String::from_utf8_lossy(&done.stdout).into_owned();
    let (text, last) = all.rsplit_once('\n').unwrap_or(("", &all));
    let (code, version) = last.split_once(' ').unwrap_or((last, ""));
    Got { code: code.to_owned(), version: version.to_owned(), text: text.to_owned() }
}

fn tools(test: &str, programs: &[&str]) -> bool {
    for program in programs {
        if which(program).is_none() {
            skip(test, program);
            return false;
        }
    }
    true
}

/// `certs/server.pem` and its key, for `localhost` and everybody else.
fn certificate(site: &Site) {
    site.write("certs/.keep", "");
    let done = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "9"])
        .args(["-keyout", "server.key", "-out", "server.pem", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost,DNS:a.test,DNS:b.test"])
        .current_dir(site.path("certs"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

const TLS: &str = "SSLSessionCache shmcb:logs/cache(512000)\nSSLEngine on\nSSLCertificateFile certs/server.pem\n\
    SSLCertificateKeyFile certs/server.key\n";

const LOG: &str =
    "LogFormat \"\\\"%r\\\" %>s %b %H %X %{HTTP2}e %{H2_STREAM_ID}e\" two\nCustomLog logs/access_log two\n";

#[test]
fn the_protocol_is_agreed_on_under_tls() {
    if !tools("the_protocol_is_agreed_on_under_tls", &["curl", "openssl"]) {
        return;
    }
    let site = Site::new("h2-alpn");
    certificate(&site);
    let host = |name: &str, protocols: &str| {
        let port = site.port;
        format!("<VirtualHost 127.0.0.1:{port}>\nServerName {name}\n{TLS}{protocols}\n</VirtualHost>\n")
    };
    let (shared, tls) = TLS.split_once('\n').unwrap();
    let hosts =
        host("localhost", "Protocols h2 http/1.1") + &host("a.test", "") + &host("b.test", "Protocols http/1.1 h2");
    site.httpd_conf(MODULES, &format!("{shared}\n{LOG}{}", hosts.replace(TLS, tls)));
    let server = site.start();
    for (url, options, version) in [
        ("https://localhost/index.html", &["--http2"][..], "2"),
        ("https://localhost/index.html", &["--http1.1"], "1.1"),
        ("https://a.test/index.html", &["--http2"], "1.1"),
        ("https://b.test/index.html", &["--http2"], "1.1"),
        ("https://b.test/index.html", &["--http2", "--no-alpn"], "1.1"),
    ] {
        let got = curl(server.port, url, options);
        assert_eq!((got.code.as_str(), got.version.as_str()), ("200", version), "{url} {options:?}");
    }
    let line = server.log("logs/access_log", |text| text.lines().count() >= 5);
    let first = line.lines().next().unwrap();
    assert!(first.starts_with("\"GET /index.html HTTP/2.0\" 200 ") && first.ends_with(" HTTP/2.0 - on 1"), "{first}");
}

#[test]
fn the_clients_order_counts_where_ours_does_not() {
    if !tools("the_clients_order_counts_where_ours_does_not", &["openssl"]) {
        return;
    }
    let site = Site::new("h2-order");
    certificate(&site);
    for (order, offer, agreed) in [
        ("On", "h2,http/1.1", "http/1.1"),
        ("Off", "h2,http/1.1", "h2"),
        ("Off", "http/1.1,h2", "http/1.1"),
        ("On", "foo,h2", "h2"),
    ] {
        site.httpd_conf(MODULES, &format!("Protocols http/1.1 h2\nProtocolsHonorOrder {order}\n{TLS}"));
        let server = site.start();
        assert_eq!(agreed_on(&server, offer), agreed, "{order} {offer}");
    }
    // Who knows nothing else gets it, whether it is listed or not.
    site.httpd_conf(MODULES, &format!("Protocols h2\n{TLS}"));
    let server = site.start();
    assert_eq!(agreed_on(&server, "http/1.1"), "http/1.1");
}

#[test]
fn entries_about_streams_say_remote() {
    let site = Site::new("h2-remote");
    site.httpd_conf(MODULES, "Protocols h2c http/1.1\n<Location /x>\nRequire all denied\n</Location>\n");
    let server = site.start();
    let mut client = frames::Client::new(server.port, false);
    let own = [(":method", "GET"), (":scheme", "http"), (":path", "/x"), (":authority", "localhost")];
    client.frame(frames::HEADERS, frames::END_HEADERS | frames::END_STREAM, 1, &frames::fields(&own));
    server.log("logs/error_log", |text| text.contains("[remote 127.0.0.1:"));
    assert_eq!(server.get("/x", "").status, 403);
    let log = server.log("logs/error_log", |text| text.matches("AH01630").count() == 2);
    assert_eq!(log.matches("] [client 127.0.0.1:").count(), 1, "{log}");
}

fn agreed_on(server: &Server<'_>, offer: &str) -> String {
    let to = format!("127.0.0.1:{}", server.port);
    let done = Command::new("openssl")
        .args(["s_client", "-connect", &to, "-alpn", offer])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    said.lines().find_map(|line| line.strip_prefix("ALPN protocol: ")).unwrap_or_default().to_owned()
}

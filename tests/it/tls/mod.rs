//! TLS from outside: certificates made here, curl and openssl as clients.

use std::path::Path;
use std::process::{Command, Stdio};

mod backends;
mod clients;
mod hellos;
mod keys;
mod ocsp;
mod staples;
mod verdicts;

use super::support::{Peer, Server, Site, real_httpd, skip, which};

/// The programs these tests need, or a word that they are missing.
fn tools(test: &str) -> bool {
    for program in ["openssl", "curl"] {
        if which(program).is_none() {
            skip(test, program);
            return false;
        }
    }
    true
}

fn openssl(dir: &Path, args: &[&str]) -> String {
    let done = Command::new("openssl").args(args).current_dir(dir).stdin(Stdio::null()).output().unwrap();
    assert!(done.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// A certificate authority in `certs/` of a site: `ca.pem`, `ca.key`.
fn authority(site: &Site) {
    site.write("certs/.keep", "");
    let dir = site.path("certs");
    openssl(&dir, &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "ca.key"]);
    openssl(
        &dir,
        &["req", "-x509", "-key", "ca.key", "-out", "ca.pem", "-days", "9", "-subj", "/C=DE/O=Lab/CN=Lab CA"],
    );
}

/// `NAME.pem` and `NAME.key`, signed by the authority; `kind` is `rsa` or `ec`.
fn certificate(site: &Site, name: &str, kind: &str, subject: &str, names: &str) {
    let dir = site.path("certs");
    let [key, csr, pem, ext] = ["key", "csr", "pem", "ext"].map(|end| format!("{name}.{end}"));
    match kind {
        "rsa" => openssl(&dir, &["genrsa", "-out", &key, "2048"]),
        _ => openssl(&dir, &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &key]),
    };
    openssl(&dir, &["req", "-new", "-key", &key, "-out", &csr, "-subj", subject]);
    site.write(&format!("certs/{ext}"), format!("subjectAltName={names}\n"));
    let args = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "5", "-extfile", &ext];
    openssl(&dir, &[&["x509", "-req", "-in", &csr, "-out", &pem][..], &args].concat());
}

/// What curl got.
struct Got {
    code: String,
    text: String,
}

/// One request to `https://NAME/PATH` on the server's port; `more` are curl's options.
fn curl(server: &Server<'_>, url: &str, more: &[&str]) -> Got {
    let to = format!("::127.0.0.1:{}", server.port);
    let done = Command::new("curl")
        .args(["-sk", "--max-time", "10", "--connect-to", &to, "-w", "\n%{http_code}", url])
        .args(more)
        .output()
        .unwrap();
    let all = String::from_utf8_lossy(&done.stdout).into_owned();
    let (text, code) = all.rsplit_once('\n').unwrap_or(("", &all));
    Got { code: code.to_owned(), text: text.to_owned() }
}

/// What `openssl s_client` says of a handshake.
fn handshake(server: &Server<'_>, more: &[&str]) -> String {
    let to = format!("127.0.0.1:{}", server.port);
    let done =
        Command::new("openssl").args(["s_client", "-connect", &to]).args(more).stdin(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr)
}

const MODULES: &[&str] = &["ssl", "socache_shmcb", "headers", "rewrite", "setenvif"];

/// Three hosts on one address: two with TLS of their own, one without.
fn three_hosts(site: &Site) {
    authority(site);
    certificate(site, "a", "rsa", "/O=Lab/CN=a.test", "DNS:a.test");
    certificate(site, "aec", "ec", "/O=Lab/CN=a.test", "DNS:a.test");
    certificate(site, "b", "ec", "/O=Lab/CN=b.test", "DNS:b.test,DNS:*.b.test");
    let host = |name: &str, body: &str| {
        let port = site.port;
        format!("<VirtualHost 127.0.0.1:{port}>\nServerName {name}\nHeader set X-Host {name}\n{body}\n</VirtualHost>\n")
    };
    let both = "SSLEngine on\nSSLCertificateFile certs/a.pem\nSSLCertificateKeyFile certs/a.key\n\
                SSLCertificateFile certs/aec.pem\nSSLCertificateKeyFile certs/aec.key";
    let body = "LogLevel ssl:info\nSSLSessionCache shmcb:logs/cache(512000)\n".to_owned()
        + &host("a.test", both)
        + &host(
            "b.test",
            "ServerAlias *.b.test\nSSLEngine on\nSSLCertificateFile certs/b.pem\nSSLCertificateKeyFile certs/b.key",
        )
        + &host("c.test", "");
    site.httpd_conf(MODULES, &body);
}

#[test]
fn names_choose_hosts_and_certificates() {
    if !tools("names_choose_hosts_and_certificates") {
        return;
    }
    let site = Site::new("tls-names");
    three_hosts(&site);
    let server = site.start();
    for (sni, cn, host) in [
        ("a.test", "a.test", "a.test"),
        ("b.test", "b.test", "b.test"),
        ("x.b.test", "b.test", "b.test"),
        ("B.Test", "b.test", "b.test"),
        ("c.test", "a.test", "c.test"),
        ("unknown.test", "a.test", "a.test"),
    ] {
        let said = handshake(&server, &["-servername", sni]);
        assert!(said.contains(&format!("O = Lab, CN = {cn}\n")), "{sni}: {said}");
        let got = curl(&server, &format!("https://{sni}/index.html"), &["-i"]);
        assert!(got.text.contains(&format!("X-Host: {host}\r\n")), "{sni}: {}", got.text);
    }
    let said = handshake(&server, &["-noservername"]);
    assert!(said.contains("CN = a.test"), "{said}");
    // The kind of key is the client's choice.
    let said = handshake(&server, &["-servername", "a.test", "-sigalgs", "RSA-PSS+SHA256"]);
    assert!(said.contains("Peer signature type: RSA-PSS"), "{said}");
    let said = handshake(&server, &["-servername", "a.test", "-sigalgs", "ECDSA+SHA256:RSA-PSS+SHA256"]);
    assert!(said.contains("Peer signature type: ECDSA"), "{said}");
    let said = handshake(&server, &["-servername", "a.test", "-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"]);
    assert!(said.contains("Cipher is ECDHE-RSA-AES128-GCM-SHA256"), "{said}");
}

#[test]
fn a_request_belongs_to_the_handshakes_host() {
    if !tools("a_request_belongs_to_the_handshakes_host") {
        return;
    }
    let site = Site::new("tls-421");
    three_hosts(&site);
    let server = site.start();
    for (sni, host, code) in [
        ("a.test", "b.test", "421"),
        ("a.test", "c.test", "421"),
        ("b.test", "a.test", "421"),
        ("a.test", "unknown.test", "200"),
        ("unknown.test", "a.test", "200"),
        ("b.test", "x.b.test", "200"),
    ] {
        let got = curl(&server, &format!("https://{sni}/index.html"), &["-H", &format!("Host: {host}")]);
        assert_eq!(got.code, code, "{sni} and {host}: {}", got.text);
    }
    server.log("logs/error_log", |text| {
        text.contains(
            "AH02032: Hostname a.test provided via SNI and hostname b.test provided via HTTP have no compatible SSL \
             setup for policy 'secure'",
        )
    });
    // Who has named a host to the handshake names one to the server.
    let got = curl(&server, "https://a.test/index.html", &["--http1.0", "--no-alpn", "-H", "Host:"]);
    assert_eq!(got.code, "400", "{}", got.text);
    let line = "AH02031: Hostname a.test provided via SNI, but no hostname provided in HTTP request";
    server.log("logs/error_log", |text| text.contains(line));
}

#[test]
fn http_on_the_port_of_tls_is_told_so() {
    if !tools("http_on_the_port_of_tls_is_told_so") {
        return;
    }
    let site = Site::new("tls-plain");
    three_hosts(&site);
    let server = site.start();
    let mut client = server.connect();
    client.send("GET /x HTTP/1.1\r\nHost: b.test\r\n\r\n");
    let answer = client.response();
    assert_eq!((answer.status, answer.header("connection").as_deref()), (400, Some("close")));
    let reason = "Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />\n Instead use the HTTPS scheme \
                  to access this URL, please.<br />\n</p>";
    assert!(answer.text().contains(reason), "{}", answer.text());
    for (bytes, want) in [
        (&b"garbage garbage garbage\r\n\r\n"[..], &b""[..]),
        (b"OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n", b""),
        (b"\x16\x03\x01\x00\x05abcde", b"\x15\x03\x03\x00\x02\x02\x0a"),
    ] {
        let mut client = Peer::to(server.port);
        client.send(bytes);
        assert_eq!(client.rest(), want, "{bytes:?}");
    }
    // Half a hello, and its end.
    let mut client = Peer::to(server.port);
    client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    client.finish();
    assert_eq!(client.rest(), b"");
    for line in [
        "AH01996: SSL handshake failed: HTTP spoken on HTTPS port",
        "SSL Library Error: error:0A00009C:SSL routines::http request",
        "AH02008: SSL library error",
        "SSL Library Error: error:0A00010B:SSL routines::wrong version number",
        "SSL Library Error: error:0A0000F4:SSL routines::unexpected message",
        "AH02006:",
    ] {
        server.log("logs/error_log", |text| text.contains(line));
    }
}

#[test]
fn wrong_files_stop_the_start_with_httpds_words() {
    if !tools("wrong_files_stop_the_start_with_httpds_words") {
        return;
    }
    let site = Site::new("tls-wrong");
    authority(&site);
    certificate(&site, "a", "rsa", "/CN=a.test", "DNS:a.test");
    certificate(&site, "b", "ec", "/CN=b.test", "DNS:b.test");
    site.write("certs/bad.pem", "garbage\n");
    let cert = |name: &str| site.path(&format!("certs/{name}")).display().to_string();
    for (body, lines) in [
        ("", vec!["AH02572: Failed to configure at least one certificate and key for localhost:443".to_owned()]),
        (
            "SSLCertificateFile certs/a.pem",
            vec![format!(
                "AH02564: Failed to configure encrypted (?) private key localhost:443:0, check {}",
                cert("a.pem")
            )],
        ),
        (
            "SSLCertificateFile certs/a.pem\nSSLCertificateKeyFile certs/b.key",
            vec![format!(
                "AH02565: Certificate and private key localhost:443:0 from {} and {} do not match",
                cert("a.pem"),
                cert("b.key")
            )],
        ),
        (
            "SSLCertificateFile certs/bad.pem\nSSLCertificateKeyFile certs/b.key",
            vec![format!(
                "AH02562: Failed to configure certificate localhost:443:0 (with chain), check {}",
                cert("bad.pem")
            )],
        ),
        (
            "SSLCertificateFile certs/a.pem\nSSLCertificateKeyFile certs/bad.pem",
            vec![
                "AH02579: Init: Private key not found".to_owned(),
                "AH02312: Fatal error initialising mod_ssl".to_owned(),
            ],
        ),
        (
            "SSLCertificateFile certs/a.pem\nSSLCertificateKeyFile certs/a.key\nSSLCipherSuite RC4-SHA",
            vec!["AH01898: Unable to configure permitted SSL ciphers".to_owned()],
        ),
        (
            "SSLCertificateFile certs/a.pem\nSSLCertificateKeyFile certs/a.key\nSSLProtocol -all",
            vec!["AH02231: No SSL protocols available [hint: SSLProtocol]".to_owned()],
        ),
    ] {
        site.httpd_conf(MODULES, &format!("SSLEngine on\n{body}"));
        assert_eq!(site.check().code, Some(0), "content is not looked at with -t: {body}");
        let verdict = site.run(&["-DFOREGROUND"]);
        // The logs are open by then: it is said there.
        let said = site.read("logs/error_log");
        assert_eq!((verdict.code, verdict.stderr.as_str()), (Some(1), ""), "{body}: {said}");
        for line in lines.iter().map(String::as_str).chain(["AH00016: Configuration Failed"]) {
            assert!(said.contains(line), "{body}: {line} is not in {said}");
        }
    }
}

#[test]
fn a_large_body_passes_both_ways() {
    if !tools("a_large_body_passes_both_ways") {
        return;
    }
    let site = Site::new("tls-large");
    three_hosts(&site);
    let body: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    site.write("htdocs/large", &body);
    let server = site.start();
    let out = site.path("got");
    let out = out.to_str().unwrap();
    let got = curl(&server, "https://a.test/large", &["-o", out]);
    assert_eq!(got.code, "200");
    assert!(std::fs::read(out).unwrap() == body, "the bytes differ");
    // Two requests on one connection, the second behind a body that nobody reads.
    let large = site.path("htdocs/large");
    let data = format!("@{}", large.display());
    let got = curl(
        &server,
        "https://a.test/index.html",
        &["--data-binary", &data, "--next", "-sk", "https://a.test/index.html"],
    );
    assert!(got.text.ends_with("it works\n"), "{}", got.text);
}

#[test]
fn new_certificates_come_with_a_reload_and_bad_ones_do_not() {
    if !tools("new_certificates_come_with_a_reload_and_bad_ones_do_not") || real_httpd() {
        return;
    }
    use nix::sys::signal::Signal;
    let site = Site::new("tls-reload");
    authority(&site);
    certificate(&site, "a", "ec", "/O=Lab/CN=first.test", "DNS:a.test");
    certificate(&site, "new", "ec", "/O=Lab/CN=second.test", "DNS:a.test");
    site.httpd_conf(MODULES, "SSLEngine on\nSSLCertificateFile certs/a.pem\nSSLCertificateKeyFile certs/a.key");
    let server = site.start();
    assert!(handshake(&server, &[]).contains("CN = first.test"));
    let key = site.read("certs/a.key");
    site.write("certs/a.key", "garbage\n");
    server.signal(Signal::SIGUSR1);
    server.log("logs/error_log", |text| text.contains("configuration not accepted"));
    assert!(handshake(&server, &[]).contains("CN = first.test"));
    assert!(key.contains("PRIVATE"));
    site.write("certs/a.pem", site.read("certs/new.pem"));
    site.write("certs/a.key", site.read("certs/new.key"));
    server.signal(Signal::SIGUSR1);
    server.log("logs/error_log", |text| text.matches("resuming normal operations").count() == 2);
    assert!(handshake(&server, &[]).contains("CN = second.test"));
}

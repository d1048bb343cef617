//! Clients that cannot go through with it, and certificates that they cannot believe.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::super::support::{Peer, Site};
use super::{MODULES, authority, certificate, curl, handshake, openssl, three_hosts, tools};

/// What a client begins with.
fn hello() -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from("a.test").unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut out = Vec::new();
    client.write_tls(&mut out).unwrap();
    out
}

#[test]
fn hellos_that_are_cut_off_or_bent_harm_nobody() {
    if !tools("hellos_that_are_cut_off_or_bent_harm_nobody") {
        return;
    }
    let site = Site::new("tls-hellos");
    three_hosts(&site);
    let server = site.start();
    let hello = hello();
    let answer = |bytes: &[u8]| {
        let mut client = Peer::to(server.port);
        client.send(bytes);
        client.finish();
        client.rest()
    };
    for end in (0..hello.len()).step_by(9) {
        let said = answer(&hello[..end]);
        assert!(matches!(said.first(), None | Some(0x15)), "{end} bytes: {said:?}");
    }
    for at in (0..hello.len()).step_by(9) {
        let mut bent = hello.clone();
        bent[at] ^= 0xff;
        let said = answer(&bent);
        // Some of it may be anything: then the server goes on with its part.
        assert!(matches!(said.first(), None | Some(0x15 | 0x16)), "{at}: {said:?}");
    }
    let log =
        server.log("logs/error_log", |text| text.contains("AH02006: SSL handshake stopped: connection was closed"));
    assert!(!log.contains("panicked"), "{log}");
    assert_eq!(curl(&server, "https://a.test/index.html", &[]).code, "200");
}

#[test]
fn failures_are_logged_in_the_words_of_openssl() {
    if !tools("failures_are_logged_in_the_words_of_openssl") {
        return;
    }
    let site = Site::new("tls-words");
    three_hosts(&site);
    let server = site.start();
    let authority = site.path("certs/b.pem").display().to_string();
    for (options, words) in [
        (
            &["-servername", "a.test", "-CAfile", &authority, "-verify_return_error"][..],
            "error:0A000418:SSL routines::tlsv1 alert unknown ca (SSL alert number 48)",
        ),
        (
            &["-servername", "b.test", "-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"],
            "error:0A0000C1:SSL routines::no shared cipher -- Too restrictive SSLCipherSuite or using DSA server \
             certificate?",
        ),
    ] {
        handshake(&server, options);
        server.log("logs/error_log", |text| text.contains(&format!("SSL Library Error: {words}")));
    }
    // Whom the client meant is told in the end.
    server.log("logs/error_log", |text| {
        text.lines()
            .any(|line| line.contains("AH01998:") && line.contains("with abortive shutdown (server b.test:443)"))
    });
    let said = handshake(&server, &["-servername", "b.test", "-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"]);
    assert!(said.contains("alert handshake failure"), "{said}");
}

#[test]
fn certificates_that_nobody_believes_are_served() {
    if !tools("certificates_that_nobody_believes_are_served") {
        return;
    }
    let site = Site::new("tls-unbelieved");
    authority(&site);
    certificate(&site, "other", "ec", "/CN=other.test", "DNS:other.test");
    let dir = site.path("certs");
    openssl(
        &dir,
        &["x509", "-req", "-in", "other.csr", "-out", "old.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "-1"],
    );
    let authority = site.path("certs/ca.pem").display().to_string();
    for (file, want) in [("other", "Verify return code: 62 "), ("old", "Verify return code: 10 ")] {
        site.httpd_conf(
            MODULES,
            &format!(
                "ServerName a.test\nLogLevel ssl:info\nSSLEngine on\nSSLCertificateFile certs/{file}.pem\n\
                 SSLCertificateKeyFile certs/other.key"
            ),
        );
        site.write("logs/error_log", "");
        let server = site.start();
        let said = handshake(&server, &["-CAfile", &authority, "-verify_hostname", "a.test", "-servername", "a.test"]);
        assert!(said.contains(want), "{file}: {said}");
        assert_eq!(curl(&server, "https://a.test/index.html", &[]).code, "200", "{file}");
        server.log("logs/error_log", |text| {
            text.contains(
                "AH01909: a.test:443:0 server certificate does NOT include an ID which matches the server name",
            )
        });
    }
}

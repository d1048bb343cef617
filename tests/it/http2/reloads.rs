//! A reload seen from an HTTP/2 connection.

use nix::sys::signal::Signal;

use super::super::support::{Server, Site, free_port, real_httpd};
use super::frames::*;
use super::{MODULES, certificate, tools};

fn reload(server: &Server<'_>, times: usize) {
    server.signal(Signal::SIGUSR1);
    server.log("logs/error_log", |log| log.matches("AH00489").count() == times);
}

/// The text of a stream's response.
fn text(client: &mut Client, stream: u32) -> String {
    let mut all = Vec::new();
    loop {
        match client.find(|frame| frame.kind == DATA && frame.stream == stream) {
            Event::Frame(frame) => {
                all.extend_from_slice(&frame.payload);
                if frame.has(END_STREAM) {
                    return String::from_utf8(all).unwrap();
                }
            }
            other => panic!("{other:?} after {all:?}"),
        }
    }
}

#[test]
fn a_connection_goes_on_and_one_to_a_listener_that_goes_is_told() {
    if real_httpd() {
        // It ends both.
        return;
    }
    let site = Site::new("h2-reload");
    site.write("other/index.html", "other\n");
    let second = free_port();
    let conf = "Protocols h2c http/1.1\nKeepAliveTimeout 60\nDirectoryIndex index.html\n";
    site.httpd_conf(MODULES, &format!("{conf}Listen 127.0.0.1:{second}\n"));
    let server = site.start();
    let (mut stays, mut goes) = (Client::new(site.port, false), Client::new(second, false));
    for client in [&mut stays, &mut goes] {
        client.get(1);
        assert_eq!(text(client, 1), "it works\n");
    }
    // In the middle of a request: it ends on what it began with.
    goes.frame(HEADERS, END_HEADERS, 3, &request("POST", &[("content-length", "4")]));
    goes.frame(DATA, 0, 3, b"ab");
    goes.frame(PING, 0, 0, b"received");
    assert!(matches!(goes.find(|frame| frame.kind == PING && frame.has(ACK)), Event::Frame(_)));
    site.httpd_conf(MODULES, &format!("{conf}DocumentRoot other\n"));
    reload(&server, 2);
    stays.get(3);
    assert_eq!(text(&mut stays, 3), "other\n");
    goes.frame(DATA, END_STREAM, 3, b"cd");
    let (frames, end) = goes.rest();
    let farewell = frames.iter().find(|frame| frame.kind == GOAWAY).unwrap_or_else(|| panic!("{frames:?}"));
    assert_eq!((farewell.code(), end), (NO_ERROR, Event::Closed));
    let answer: Vec<&Frame> = frames.iter().filter(|frame| frame.kind == DATA && frame.stream == 3).collect();
    assert!(answer.last().is_some_and(|last| last.has(END_STREAM)), "{frames:?}");
    stays.get(5);
    assert_eq!(text(&mut stays, 5), "other\n");
}

#[test]
fn who_was_not_asked_for_a_certificate_is_told_to_come_again() {
    if real_httpd() || !tools("who_was_not_asked_for_a_certificate_is_told_to_come_again", &["openssl"]) {
        return;
    }
    let site = Site::new("h2-reload-verify");
    certificate(&site);
    let conf = "Protocols h2 http/1.1\nKeepAliveTimeout 60\nDirectoryIndex index.html\nCustomLog logs/access \"%U %>s\"\n\
                SSLEngine on\nSSLCertificateFile certs/server.pem\nSSLCertificateKeyFile certs/server.key\n";
    site.httpd_conf(MODULES, conf);
    let server = site.start();
    let mut client = Client::new(site.port, true);
    client.get(1);
    assert_eq!(text(&mut client, 1), "it works\n");
    site.httpd_conf(MODULES, &format!("{conf}# changed\n"));
    reload(&server, 2);
    client.get(3);
    assert_eq!(text(&mut client, 3), "it works\n");
    site.httpd_conf(MODULES, &format!("{conf}SSLVerifyClient require\nSSLCACertificateFile certs/server.pem\n"));
    reload(&server, 3);
    client.get(5);
    let (frames, end) = client.rest();
    assert!(frames.iter().any(|frame| frame.kind == GOAWAY && frame.code() == NO_ERROR), "{frames:?}");
    assert_eq!(end, Event::Closed);
    server.log("logs/access", |log| log == "/index.html 200\n/index.html 200\n/ 421\n");
}

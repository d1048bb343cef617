//! The same AJP requests to a node and to a real Tomcat with the same applications.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use tandem::codec::ajp::{self, Attribute, Beginning, ForwardWriter, Reply, Sender};

use super::Base;
use super::oracle::{Tomcat, files};
use crate::support::{PATIENCE, free_port, skip};

const TEMPLATE: &str = "<Connector port='PORT' address='127.0.0.1' protocol='AJP/1.3' secretRequired='false'/>";

/// A request: its beginning, header fields, and attributes.
struct Asked<'a> {
    begin: Beginning<'a>,
    headers: Vec<(&'a str, &'a str)>,
    attributes: Vec<Attribute<'a>>,
}

/// What comes back: status, fields that tell something, the text of the body, and whether the connection goes on.
fn ask(port: u16, asked: &Asked<'_>) -> String {
    let mut out = Vec::new();
    let mut writer = ForwardWriter::new(&mut out, 8192, &asked.begin);
    asked.headers.iter().for_each(|(name, value)| writer.header(name.as_bytes(), value.as_bytes()));
    asked.attributes.iter().for_each(|attribute| writer.attribute(*attribute));
    writer.finish().unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&out).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let (mut shown, mut body, mut rest) = (String::new(), Vec::new(), bytes.as_slice());
    while let Some(packet) = ajp::split(rest, 8192, Sender::Container).unwrap() {
        match Reply::decode(packet.payload).unwrap() {
            Reply::Headers(head) => {
                shown.push_str(&format!("{}\n", head.status));
                for (name, value) in head.headers() {
                    let [name, value] = [name, value].map(String::from_utf8_lossy);
                    // Times, and lengths of pages with a program's name in them.
                    if !matches!(name.as_ref(), "Date" | "Content-Length") {
                        shown.push_str(&format!("{name}: {value}\n"));
                    }
                }
            }
            Reply::Chunk(data) => body.extend_from_slice(data),
            Reply::End { reuse } => shown.push_str(&format!("reuse {reuse}\n")),
            other => shown.push_str(&format!("{other:?}\n")),
        }
        rest = &rest[packet.len..];
    }
    let body = String::from_utf8_lossy(&body);
    let page = body.find("<h1>").zip(body.find("<h3>")).map(|(from, to)| &body[from..to]);
    // Tomcat tells whoever asks badly where in its code that was found.
    let page =
        page.map(|page| if shown.starts_with("400") { page.split("</h1>").next().unwrap_or_default() } else { page });
    shown + page.unwrap_or(&body)
}

#[test]
fn ajp_is_answered_as_tomcat_does() {
    let port = free_port();
    let Some(tomcat) = Tomcat::start("", |base| {
        files(base);
        base.connector(&TEMPLATE.replace("PORT", &port.to_string()));
    }) else {
        return skip("ajp_is_answered_as_tomcat_does", "tomcat10 or a Java runtime");
    };
    let ours = Base { http: free_port(), ..Base::new() };
    files(&ours);
    ours.connector(&TEMPLATE.replace("PORT", &ours.ajp.to_string()));
    ours.write("conf/server.xml", &super::oracle::server(&ours, ""));
    let _running = ours.start();

    let begin = |method: &'static str, uri: &'static str| Beginning {
        method: method.as_bytes(),
        protocol: b"HTTP/1.1",
        uri: uri.as_bytes(),
        remote_addr: b"10.0.0.9",
        server_name: b"localhost",
        server_port: 80,
        ..Beginning::default()
    };
    let host = ("host", "localhost");
    let plain = |begin: Beginning<'static>| Asked { begin, headers: vec![host], attributes: Vec::new() };
    let mut all: Vec<(String, Asked<'_>)> = Vec::new();
    for uri in [
        "/",
        "/a.txt",
        "/none",
        "/app",
        "/app/",
        "/app;jsessionid=A",
        "/app/sub",
        "/app/none",
        "/WEB-INF/x",
        "/%zz",
        "/a%2fb",
        "/..",
        "*",
        "a.txt",
        "/a b",
        "/<x>",
        "/[x]",
        "/a.txt;x=y",
        "//a.txt",
        "/%ff",
        "/%00",
    ] {
        all.push((uri.to_owned(), plain(begin("GET", uri))));
    }
    for method in ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "MKCOL"] {
        let mut asked = plain(begin(method, "/a.txt"));
        asked.headers.push(("content-length", "0"));
        all.push((method.to_owned(), asked));
    }
    let of_http =
        |protocol: &'static [u8], is_ssl| Beginning { protocol, is_ssl, server_port: 8080, ..begin("GET", "/app/sub") };
    for (protocol, is_ssl) in
        [(&b"HTTP/1.0"[..], false), (b"HTTP/1.0", true), (b"HTTP/1.1", true), (b"HTTP/2.0", false), (b"", false)]
    {
        all.push((format!("{protocol:?} {is_ssl}"), plain(of_http(protocol, is_ssl))));
    }
    for headers in [
        vec![],
        vec![("host", "x:99")],
        vec![("host", "a b")],
        vec![host, ("content-length", "x")],
        vec![host, ("range", "bytes=0-1")],
        vec![host, ("if-none-match", "W/\"13-1767225600000\"")],
        vec![host, ("cookie", "JSESSIONID=ABC")],
        vec![host, ("connection", "close")],
    ] {
        for begin in [begin("GET", "/a.txt"), of_http(b"HTTP/1.0", false)] {
            all.push((format!("{headers:?}"), Asked { begin, headers: headers.clone(), attributes: Vec::new() }));
        }
    }
    for attribute in [
        Attribute::Query(b"x=1"),
        Attribute::Query(b"["),
        Attribute::Secret(b"x"),
        Attribute::RemoteUser(b"bob"),
        Attribute::JvmRoute(b"r2"),
        Attribute::Named(b"AJP_REMOTE_PORT", b"99"),
        Attribute::Named(b"FOO", b"bar"),
        Attribute::Named(b"jakarta.servlet.include.request_uri", b"/x"),
        Attribute::SslCert(b"no certificate"),
    ] {
        let mut asked = plain(begin("GET", "/app"));
        asked.attributes.push(attribute);
        all.push((format!("{attribute:?}"), asked));
    }
    let mut differ = String::new();
    for (name, asked) in &all {
        let [theirs, ours] = [port, ours.ajp].map(|port| ask(port, asked));
        if theirs != ours {
            differ.push_str(&format!("{name}\n--- Tomcat\n{theirs}\n--- node\n{ours}\n"));
        }
    }
    drop(tomcat);
    assert!(differ.is_empty(), "{differ}");
}

//! Resources that go with a response before they are asked for. nghttp is the client that takes them.

use std::process::{Command, Stdio};

use super::super::support::{Server, Site, real_httpd};
use super::frames::*;
use super::{MODULES, TLS, certificate, tools};

const LOG: &str = "LogFormat \"%r %>s %{H2_PUSH}e %{H2PUSH}e [%{H2_PUSHED}e] [%{H2_PUSHED_ON}e] %{H2_STREAM_ID}e\" two\n\
    CustomLog logs/access_log two\n";

/// What nghttp shows of one request: promises, statuses and policies of its stream, which is 13.
fn ask(server: &Server<'_>, tls: bool, path: &str, more: &[&str]) -> String {
    let scheme = if tls { "https" } else { "http" };
    let done = Command::new("nghttp")
        .args(["-nv", "-t", "10"])
        .args(more)
        .arg(format!("{scheme}://localhost:{}{path}", server.port))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let mut seen = Vec::new();
    let (mut method, mut promised) = (String::new(), String::new());
    for line in text.lines() {
        // Colours.
        let mut parts = line.split('\u{1b}');
        let first = parts.next().unwrap_or_default().to_owned();
        let plain = parts.fold(first, |text, part| text + part.split_once('m').map_or(part, |(_, rest)| rest));
        let said = plain.split_once("recv (stream_id=").and_then(|(_, rest)| rest.split_once(") "));
        if let Some((id, field)) = said {
            match field.split_once(": ").unwrap_or_default() {
                (":method", value) => method = value.to_owned(),
                (":path", value) => promised = value.to_owned(),
                (":status", value) if id.len() > 1 => seen.push(value.to_owned()),
                ("push-policy", value) => seen.push(format!("by {value}")),
                _ => {}
            }
        } else if plain.contains("recv PUSH_PROMISE") {
            seen.push(format!("{method} {promised}"));
        }
    }
    seen.join(", ")
}

fn site(name: &str) -> Site {
    let site = Site::new(name);
    certificate(&site);
    for (path, text) in [("index.html", "page"), ("a.css", "style"), ("b.js", "script"), ("sub/c.png", "image")] {
        site.write(&format!("htdocs/{path}"), text);
    }
    site
}

fn page(at: &str, body: &str) -> String {
    format!("<Location /{at}>\n{body}\n</Location>\nAliasMatch \"^/{at}$\" htdocs/index.html\n")
}

#[test]
fn what_links_name_is_pushed() {
    if !tools("what_links_name_is_pushed", &["nghttp", "openssl"]) {
        return;
    }
    let site = site("h2-push");
    let link = |value: &str| format!("Header add Link \"{value}\"");
    let css = link("</a.css>;rel=preload");
    let port = site.port;
    let pages = [
        page("one", &css),
        page(
            "list",
            &link("</a.css>; rel=\\\"preload\\\"; as=style, </b.js>; rel=preload; nopush, </sub/c.png>; rel=x"),
        ),
        page("fields", &(link("</a.css>; rel=preload") + "\n" + &link("</b.js?x>; rel=preload"))),
        page("again", &link("</a.css>; rel=preload, </a.css>; rel=preload")),
        page("hosts", &link(&format!("<//localhost:{port}/a.css>; rel=preload, <//b.test/b.js>; rel=preload"))),
        page("res", "H2PushResource /a.css\nH2PushResource add /sub/c.png critical"),
        page("res/in", "H2PushResource /b.js"),
        page("hint", "H2EarlyHint Link \"</b.js>; rel=preload\""),
        page("off", &format!("H2Push Off\n{css}\nH2PushResource /b.js")),
        page("off/on", &format!("H2Push On\n{css}")),
        page("gone", "Header always add Link \"</a.css>; rel=preload\"\nRedirect /gone /b.js"),
        page("gone/off", "H2Push Off\nHeader always add Link \"</a.css>; rel=preload\"\nRedirect /gone/off /b.js"),
        page("denied", "Header always add Link \"</a.css>; rel=preload\"\nRequire all denied"),
    ];
    let modules = [MODULES, &["alias", "authz_core", "mime"]].concat();
    for (tls, hints) in [(false, "off"), (true, "on")] {
        let protocols =
            if tls { format!("Protocols h2 http/1.1\n{TLS}") } else { "Protocols h2c http/1.1\n".to_owned() };
        let first = "H2PushResource /index.html\nH2EarlyHint X-Main main\n";
        site.httpd_conf(
            &modules,
            &format!("{protocols}{LOG}TypesConfig /dev/null\nH2EarlyHints {hints}\n{first}{}", pages.concat()),
        );
        site.write("logs/access_log", "");
        let server = site.start();
        let early = if hints == "on" { "103, " } else { "" };
        let early_by = if hints == "on" { "103, by default, " } else { "" };
        for (path, more, want) in [
            ("one", &[][..], format!("GET /index.html, {early_by}GET /a.css, 200, by default")),
            ("list", &[], format!("GET /index.html, {early_by}GET /a.css, 200, by default")),
            ("fields", &[], format!("GET /index.html, {early_by}GET /a.css, GET /b.js?x, 200, by default")),
            ("again", &[], format!("GET /index.html, {early_by}GET /a.css, 200, by default")),
            ("hosts", &[], format!("GET /index.html, {early_by}GET /a.css, 200, by default")),
            ("res", &[], format!("GET /a.css, GET /sub/c.png, {early_by}200")),
            ("res/in", &[], format!("GET /a.css, GET /sub/c.png, GET /b.js, {early_by}200")),
            ("hint", &[], format!("GET /index.html, GET /b.js, {early_by}200")),
            ("off", &[], format!("{early}200")),
            ("off/on", &[], format!("GET /b.js, {early_by}GET /a.css, 200, by default")),
            ("gone", &[], "GET /a.css, 302, by default".to_owned()),
            ("gone/off", &[], "302".to_owned()),
            ("denied", &[], "403".to_owned()),
            ("one", &["--no-push"], format!("{early}200")),
            ("one", &["-H:method: HEAD"], format!("{early}200")),
            ("one", &["-Haccept-push-policy: head"], {
                format!("HEAD /index.html, {}HEAD /a.css, 200, by head", early_by.replace("default", "head"))
            }),
            ("one", &["-Haccept-push-policy: none"], format!("{early}200")),
            ("one", &["-Haccept-push-policy: none, fast-load"], {
                let by = early_by.replace("default", "fast-load");
                format!("GET /index.html, {by}GET /a.css, 200, by fast-load")
            }),
        ] {
            assert_eq!(ask(&server, tls, &format!("/{path}"), more), want, "{path} {more:?} {tls}");
        }
        let log = server.log("logs/access_log", |log| log.lines().any(|line| line.starts_with("HEAD /a.css ")));
        for line in [
            "GET /one HTTP/2.0 200 on on [] [] 13",
            "GET /a.css HTTP/2.0 200 on on [PUSHED] [13] 4",
            "GET /b.js?x HTTP/2.0 200 on on [PUSHED] [13] 6",
            "GET /off HTTP/2.0 200 on on [] [] 13",
            "GET /one HTTP/2.0 200 off off [] [] 13",
            "HEAD /a.css HTTP/2.0 200 on on [PUSHED] [13] 4",
        ] {
            assert!(log.lines().any(|said| said == line), "{line}:\n{log}");
        }
    }
}

#[test]
fn a_server_that_does_not_push_says_so() {
    if !tools("a_server_that_does_not_push_says_so", &["nghttp", "openssl"]) {
        return;
    }
    let site = site("h2-nopush");
    let pages = page("one", "Header add Link \"</a.css>;rel=preload\"\nH2Push On");
    let modules = [MODULES, &["alias", "authz_core"]].concat();
    site.httpd_conf(&modules, &format!("Protocols h2c http/1.1\nH2Push Off\n{LOG}{pages}"));
    let server = site.start();
    assert_eq!(ask(&server, false, "/one", &[]), "200");
    server.log("logs/access_log", |log| log.contains("GET /one HTTP/2.0 200 off off [] [] 13\n"));
}

/// The numbers of what is promised with the responses to these requests, all on one connection.
fn promised(server: &Server<'_>, paths: &[&str]) -> Vec<u32> {
    let mut client = Client::new(server.port, false);
    let mut seen = Vec::new();
    for (nth, path) in paths.iter().enumerate() {
        let stream = u32::try_from(nth * 2 + 1).unwrap();
        let own = [(":method", "GET"), (":scheme", "http"), (":path", *path), (":authority", "localhost")];
        client.frame(HEADERS, END_STREAM | END_HEADERS, stream, &fields(&own));
        loop {
            let Event::Frame(frame) = client.next() else { panic!("no response to {path}") };
            if frame.kind == PUSH_PROMISE {
                seen.push(u32::from_be_bytes(frame.payload[..4].try_into().unwrap()));
            }
            if frame.stream == stream && frame.has(END_STREAM) {
                break;
            }
        }
    }
    // The connection has not suffered.
    client.frame(PING, 0, 0, b"tandem!!");
    assert!(matches!(client.find(|frame| frame.kind == PING && frame.has(ACK)), Event::Frame(_)));
    seen
}

#[test]
fn a_connection_remembers_what_was_pushed() {
    let site = site("h2-diary");
    let pages = [
        page("one", "Header add Link \"</a.css>;rel=preload\""),
        page("two", "Header add Link \"</b.js>;rel=preload, </a.css>;rel=preload\""),
        page("three", "Header add Link \"</sub/c.png>;rel=preload\""),
    ];
    let modules = [MODULES, &["alias", "authz_core"]].concat();
    for (size, asked, want) in [
        ("", &["/one", "/two", "/one", "/three"][..], 3),
        ("H2PushDiarySize 0\n", &["/one", "/two", "/one"], 4),
        // Those that were not named for longest are forgotten.
        ("H2PushDiarySize 2\n", &["/one", "/two", "/three", "/two"], 5),
    ] {
        site.httpd_conf(&modules, &format!("Protocols h2c http/1.1\n{size}{}", pages.concat()));
        let server = site.start();
        let seen = promised(&server, asked);
        assert_eq!(seen.len(), want, "{size:?}: {seen:?}");
        assert!(seen.iter().zip(1u32..).all(|(id, nth)| *id == nth * 2), "{seen:?}");
    }
}

#[test]
fn what_is_pushed_may_be_refused() {
    let site = site("h2-refuse");
    site.write("htdocs/large.bin", "x".repeat(200_000));
    let modules = [MODULES, &["alias", "authz_core"]].concat();
    let pages = page("one", "Header add Link \"</large.bin>;rel=preload\"");
    site.httpd_conf(&modules, &format!("Protocols h2c http/1.1\n{LOG}{pages}"));
    let server = site.start();
    let mut client = Client::new(server.port, false);
    // What is pushed before it is refused may fill the window that a connection begins with.
    client.frame(WINDOW_UPDATE, 0, 0, &1_000_000u32.to_be_bytes());
    let own = [(":method", "GET"), (":scheme", "http"), (":path", "/one"), (":authority", "localhost")];
    client.frame(HEADERS, END_STREAM | END_HEADERS, 1, &fields(&own));
    let Event::Frame(promise) = client.find(|frame| frame.kind == PUSH_PROMISE) else { panic!("nothing is pushed") };
    assert_eq!((promise.stream, &promise.payload[..4]), (1, &[0, 0, 0, 2][..]));
    client.frame(RST_STREAM, 0, 2, &8u32.to_be_bytes());
    assert!(matches!(client.find(|frame| frame.stream == 1 && frame.has(END_STREAM)), Event::Frame(_)));
    if !real_httpd() {
        let log = server.log("logs/access_log", |log| log.lines().count() == 2);
        assert!(log.contains("GET /large.bin HTTP/2.0 200 on on [PUSHED] [1] 2\n"), "{log}");
    }
    if real_httpd() {
        // It may end the stream's request, and with that more.
        return;
    }
    // It is not pushed again, and the connection goes on.
    client.frame(HEADERS, END_STREAM | END_HEADERS, 3, &fields(&own));
    let end = client.find(|frame| frame.kind == PUSH_PROMISE || (frame.stream == 3 && frame.has(END_STREAM)));
    assert!(matches!(&end, Event::Frame(frame) if frame.stream == 3), "{end:?}");
}

/// In what order the bodies of the page and of what is pushed with it come.
fn order(server: &Server<'_>) -> Vec<u32> {
    let mut client = Client::new(server.port, false);
    client.send(&frame(WINDOW_UPDATE, 0, 0, &1_000_000u32.to_be_bytes()));
    client.get(1);
    let mut order = Vec::new();
    let mut open = 2;
    while open > 0 {
        let Event::Frame(frame) = client.next() else { panic!("no response: {order:?}") };
        if frame.kind == DATA && order.last() != Some(&frame.stream) {
            order.push(frame.stream);
        }
        open -= u32::from(frame.has(END_STREAM) && matches!(frame.kind, DATA | HEADERS));
    }
    order
}

#[test]
fn what_is_pushed_comes_behind_its_page() {
    let site = site("h2-rank");
    site.write("htdocs/index.html", "x".repeat(60_000));
    site.write("htdocs/a.css", "x".repeat(60_000));
    site.httpd_conf(
        &[MODULES, &["mime", "authz_core"]].concat(),
        "Protocols h2c http/1.1\nTypesConfig /dev/null\nAddType text/css .css\n\
         <Location /index.html>\nHeader add Link \"</a.css>;rel=preload\"\n</Location>\n",
    );
    let server = site.start();
    assert_eq!(order(&server), [1, 2]);
}

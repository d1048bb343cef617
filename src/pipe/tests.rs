//! The pipe over a scripted client and generations made by hand.

mod files;

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use super::*;
use crate::config::core::{CoreDir, ErrorDocument, Signature, Text};
use crate::config::{Matcher, Section, SectionKind, Server, ServerRec, VhostAddr};
use crate::modules::rows::nothing;
use crate::web::testing::{FakeWire, conn, exchange_with, live, now};
use crate::web::{BodyFault, Conn, Framing, Live};

const fn module(id: &'static str, hooks: &'static [Hook]) -> Module {
    Module { row: ModuleRow { id, file: "test.c", builtin: true, directives: &[], post_config: nothing }, hooks }
}

fn always(_: &Server, _: &Slots) -> bool {
    true
}

const fn hook(phase: Phase, run: Run) -> Hook {
    Hook { phase, order: 0, wants: always, run }
}

/// Answers by the path: what a handler may say.
fn handler<'a>(ex: &'a mut Exchange, wire: &'a mut dyn Wire) -> Waiting<'a> {
    Box::pin(async move {
        match ex.uri.as_slice() {
            b"/ok" => {
                ex.content_type = b"text/plain".to_vec();
                text(ex, wire, b"fine\n").await.unwrap();
                Outcome::Ok
            }
            b"/stream" => {
                data(ex, wire, b"one").await.unwrap();
                data(ex, wire, b"two").await.unwrap();
                Outcome::Ok
            }
            b"/short" => {
                head(ex, wire, Some(10));
                data(ex, wire, b"one").await.unwrap();
                Outcome::Ok
            }
            b"/204" => Outcome::Status(204),
            b"/302" => {
                ex.headers_out.set(b"Location", b"http://b.test/<x>");
                ex.headers_out.set(b"X-Lost", b"1");
                Outcome::Status(302)
            }
            b"/401" => {
                ex.err_headers_out.set(b"WWW-Authenticate", b"Basic");
                Outcome::Status(401)
            }
            b"/loop" => {
                ex.internal_redirect = b"/loop?x".to_vec();
                Outcome::Redirect
            }
            b"/to-ok" => {
                ex.internal_redirect = b"/ok?x".to_vec();
                Outcome::Redirect
            }
            b"/evil" => {
                ex.headers_out.set(b"X", b"a\r\nSet-Cookie: b");
                text(ex, wire, b"fine\n").await.unwrap();
                Outcome::Ok
            }
            b"/body" => loop {
                match fill(wire).await {
                    Ok(0) => {
                        text(ex, wire, b"read\n").await.unwrap();
                        return Outcome::Ok;
                    }
                    Ok(n) => wire.consume(n),
                    Err(fault) => return body_fault(ex, fault),
                }
            },
            _ => Outcome::Status(404),
        }
    })
}

fn translate(ex: &mut Exchange) -> Outcome {
    ex.filename = [b"/none", ex.uri.as_slice()].concat();
    Outcome::Ok
}

fn log(ex: &mut Exchange) -> Outcome {
    let first = ex.original.as_ref().map_or(0, |first| first.status);
    println!("logged {} {first}", ex.status);
    ex.notes.set(b"logged", ex.status.to_string().as_bytes());
    Outcome::Ok
}

static MODULES: [&Module; 1] = [&module(
    "test_module",
    &[
        hook(Phase::Translate, Run::Now(translate)),
        hook(Phase::Handler, Run::Handle(handler)),
        hook(Phase::Log, Run::Now(log)),
    ],
)];

fn section(kind: SectionKind, path: &str, fill: impl FnOnce(&mut CoreDir)) -> Arc<Section> {
    let mut conf = Slots::default();
    fill(conf.get_mut::<CoreDir>());
    let matcher = Matcher::Literal(path.into());
    Arc::new(Section { id: 0, kind, matcher, is_match: false, conf, inner: Vec::new(), at: Default::default() })
}

fn text_of(raw: &str) -> Text {
    Text { raw: raw.into(), template: None }
}

fn site() -> Rc<Live> {
    let main = Server { rec: named("main.test"), ..Server::default() };
    let addrs = vec![VhostAddr { ip: None, port: Some(80), text: String::new() }];
    let mut first = Server { index: 1, addrs: addrs.clone(), rec: named("a.test"), ..Server::default() };
    first.rec.timeout = Some(7);
    let mut second = Server { index: 2, addrs, rec: named("b.test"), ..Server::default() };
    second.dir.get_mut::<CoreDir>().signature = Some(Signature::On);
    first.sections.push(section(SectionKind::Location, "/e", |dir| {
        dir.error_documents = vec![
            (404, ErrorDocument::Local(text_of("/ok"))),
            (403, ErrorDocument::Local(text_of("/none"))),
            (410, ErrorDocument::Message(text_of("gone!"))),
            (500, ErrorDocument::Remote(text_of("http://c.test/"))),
        ];
    }));
    let live = live(vec![main, first, second], &["authz_core_module"]);
    install_for(&live, &MODULES);
    live
}

fn named(name: &str) -> ServerRec {
    ServerRec { name: Some(name.into()), ..ServerRec::default() }
}

struct Done {
    wire: FakeWire,
    ex: Exchange,
}

fn ask_with(head: &str, mut wire: FakeWire) -> Done {
    let live = site();
    let conn = conn(&live);
    let chain = idle_chain(&live, conn.default_server.get());
    let mut ex = exchange_with(&live, conn, chain, head);
    now(run(&mut ex, &mut wire));
    assert!(ex.notes.contains(b"logged"), "every request is logged");
    Done { wire, ex }
}

fn ask(head: &str) -> Done {
    ask_with(head, FakeWire::default())
}

fn get(path: &str) -> Done {
    ask(&format!("GET {path} HTTP/1.1\nHost: a.test"))
}

#[test]
fn a_small_text_has_a_length_and_httpds_order_of_fields() {
    let done = ask("GET /ok HTTP/1.1\nHost: a.test\nConnection: keep-alive");
    assert_eq!(done.wire.status_line(), "HTTP/1.1 200 OK");
    let names = done.wire.field_names();
    assert_eq!(names, ["Date", "Server", "Content-Length", "Keep-Alive", "Connection", "Content-Type"]);
    assert_eq!(done.wire.field("keep-alive").unwrap(), "timeout=5, max=100");
    assert_eq!(done.wire.body_text(), "fine\n");
    assert!(done.wire.keep_alive && done.wire.finished && !done.ex.close);
    assert_eq!(done.ex.bytes_sent, 5);
    assert_eq!(done.wire.timeout, Some(std::time::Duration::from_secs(7)));
}

#[test]
fn a_stream_is_chunked_or_ends_with_the_connection() {
    let done = get("/stream");
    assert_eq!(done.wire.framing, Some(Framing::Chunked));
    assert_eq!(done.wire.body_text(), "onetwo");
    let done = ask("GET /stream HTTP/1.0\nConnection: keep-alive");
    assert_eq!(done.wire.framing, Some(Framing::Close));
    assert_eq!(done.wire.field("connection").unwrap(), "close");
    let done = ask("GET /ok");
    assert_eq!(done.wire.text(), "fine\n", "HTTP/0.9 has no head");
}

#[test]
fn less_than_announced_cuts_the_connection() {
    assert!(get("/short").wire.aborted);
}

#[test]
fn pages_have_their_own_fields_only() {
    let done = get("/302");
    assert_eq!(done.wire.field_names(), ["Date", "Server", "Location", "Content-Length", "Content-Type"]);
    assert!(done.wire.body_text().contains("<a href=\"http://b.test/&lt;x&gt;\">here</a>"));
    let done = get("/401");
    assert_eq!(done.wire.field("www-authenticate").unwrap(), "Basic");
    let done = get("/204");
    assert_eq!(done.wire.field_names(), ["Date", "Server"]);
    let done = ask("HEAD /none HTTP/1.1\nHost: a.test");
    assert_eq!(done.wire.body_text(), "");
}

/// What a thread remembers of a `Host` field holds for the same address only.
#[test]
fn a_host_is_found_again_where_it_was_found() {
    let live = site();
    let asked = |port: u16, host: &str| {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let conn = Rc::new(Conn::new(1, address(port), address(9), &live.generation));
        let chain = idle_chain(&live, conn.default_server.get());
        let mut ex = exchange_with(&live, conn, chain, &format!("GET /ok HTTP/1.1\nHost: {host}"));
        now(run(&mut ex, &mut FakeWire::default()));
        (ex.server, String::from_utf8_lossy(&ex.hostname).into_owned(), ex.host_port)
    };
    let long = format!("{}.test", "b".repeat(300));
    for _ in 0..2 {
        assert_eq!(asked(80, "b.test"), (2, "b.test".to_owned(), None));
        assert_eq!(asked(80, "B.test.:81"), (2, "b.test".to_owned(), Some(81)));
        assert_eq!(asked(80, "a.test"), (1, "a.test".to_owned(), None));
        assert_eq!(asked(80, "c.test"), (1, "c.test".to_owned(), None));
        assert_eq!(asked(80, &long), (1, long.clone(), None));
        assert_eq!(asked(81, "b.test"), (0, "b.test".to_owned(), None));
    }
}

#[test]
fn the_server_that_is_named_answers() {
    let page = |head: &str| ask(head).wire.body_text();
    assert!(page("GET /x HTTP/1.1\nHost: B.test.:81").contains("Server at b.test Port 81</address>"));
    assert!(page("GET http://b.test/x HTTP/1.1\nHost: a.test").contains("Server at b.test Port 80"));
    assert!(!page("GET /x HTTP/1.1\nHost: c.test").contains("address"));
    for host in ["", "a..b", "a/b", "a:0", "a:x", "a:", "[::1", "a@b", "a b", "a,b", "a.."] {
        let done = ask(&format!("GET /x HTTP/1.1\nHost: {host}"));
        assert_eq!(done.wire.status_line(), "HTTP/1.1 400 Bad Request", "{host}");
        assert!(done.ex.close);
    }
    assert_eq!(ask("GET /x HTTP/1.1\nA: b").wire.status_line(), "HTTP/1.1 400 Bad Request");
    assert_eq!(ask("GET /ok HTTP/1.0").wire.status_line(), "HTTP/1.1 200 OK");
    assert_eq!(ask("GET /x HTTP/1.1\nHost: a.test\nHost: a.test").ex.status, 400);
    assert_eq!(ask("GET /x HTTP/1.1\nHost: a.test\nExpect: x").ex.status, 417);
}

#[test]
fn paths_are_decoded_and_normalised() {
    for (path, status) in [
        ("/%6fk", 200),
        ("/x/../ok", 200),
        ("//ok", 200),
        ("/./ok", 200),
        ("/o%2fk", 404),
        ("/%00", 404),
        ("/%zz", 400),
        ("/../ok", 400),
        ("/%2e%2e/ok", 400),
    ] {
        assert_eq!(get(path).ex.status, status, "{path}");
    }
}

#[test]
fn error_documents() {
    let done = get("/e");
    assert_eq!((done.ex.status, done.wire.body_text().as_str()), (404, "fine\n"));
    assert_eq!(done.ex.env.get(b"REDIRECT_STATUS"), Some(&b"404"[..]));
    assert_eq!(done.ex.original.as_ref().unwrap().status, 404);
    assert_eq!(done.ex.uri, b"/ok");
}

#[test]
fn internal_redirects_end() {
    assert_eq!(get("/to-ok").wire.body_text(), "fine\n");
    let done = get("/loop");
    assert_eq!(done.ex.status, 500);
    assert_eq!(done.ex.redirects, 10);
}

#[test]
fn fields_cannot_break_out() {
    let done = get("/evil");
    assert_eq!(done.wire.status_line(), "HTTP/1.1 500 Internal Server Error");
    assert!(!done.wire.text().contains("Set-Cookie") && !done.wire.text().contains("fine"));
}

#[test]
fn bodies_are_read_or_end_the_connection() {
    let post = "POST /ok HTTP/1.1\nHost: a.test";
    let wire = || FakeWire { input: b"12345".to_vec(), ..FakeWire::default() };
    let done = ask_with(post, wire());
    assert!(done.wire.input.is_empty() && done.wire.keep_alive);
    let done = ask_with(post, FakeWire { expects: true, ..wire() });
    assert!(!done.wire.keep_alive && !done.wire.input.is_empty());
    assert!(!done.wire.text().contains("100 Continue"));
    let done = ask_with("POST /body HTTP/1.1\nHost: a.test", FakeWire { fault: Some(BodyFault::TooLarge), ..wire() });
    assert_eq!(done.wire.status_line(), "HTTP/1.1 413 Request Entity Too Large");
    assert_eq!(done.wire.field_names(), ["Date", "Server", "Connection", "Content-Type"]);
    assert_eq!(done.wire.framing, Some(Framing::Close));
}

#[test]
fn the_last_request_of_a_connection_says_so() {
    let live = site();
    let conn = conn(&live);
    conn.keepalives.set(100);
    let chain = idle_chain(&live, 1);
    let mut ex = exchange_with(&live, conn, chain, "GET /ok HTTP/1.1\nHost: a.test");
    let mut wire = FakeWire::default();
    now(run(&mut ex, &mut wire));
    assert_eq!(wire.field("connection").unwrap(), "close");
    assert!(ex.close);
}

#[test]
fn a_head_that_cannot_be_read_is_answered_and_logged() {
    let live = site();
    let conn = conn(&live);
    let chain = idle_chain(&live, 1);
    let mut ex = exchange_with(&live, conn, chain, "BAD");
    ex.assbackwards = false;
    let mut wire = FakeWire::default();
    now(refuse(&mut ex, &mut wire, 400));
    assert_eq!(wire.status_line(), "HTTP/1.1 400 Bad Request");
    assert!(wire.closed && ex.notes.contains(b"logged"));
}

//! What a request costs, part by part: `cargo bench`, or `cargo bench -- head` for some.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::future::Future;
use std::hint::black_box;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use tandem::codec::ajp::request::{Beginning, ForwardWriter};
use tandem::codec::http1::write::push_status_line;
use tandem::codec::http1::{BadHeader, Limits, RequestHead, ResponseHead, Rules, parse_request, parse_response};
use tandem::pipe;
use tandem::server::cli::Invocation;
use tandem::server::load::load;
use tandem::upstream::spec::{BalancerSpec, LbMethod, Scheme, WorkerSpec};
use tandem::upstream::{Backends, elect};
use tandem::web::{BodyFault, BodyKind, Conn, Exchange, HeadOut, LineSink, Live, Table, Tunnel, Wire};

/// What a browser sends.
const REQUEST: &[u8] = b"GET /shop/cart?item=4711 HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: Mozilla/5.0 (X11; \
Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,\
*/*;q=0.8\r\nAccept-Language: en-GB,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\nReferer: \
http://www.example.com/shop/\r\nConnection: keep-alive\r\nCookie: JSESSIONID=0123456789ABCDEF0123456789ABCDEF.tomcat1\
\r\nUpgrade-Insecure-Requests: 1\r\n\r\n";

/// What a servlet answers.
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nDate: Wed, 25 Nov 2026 19:00:00 GMT\r\nContent-Type: text/html;\
charset=UTF-8\r\nContent-Length: 5120\r\nCache-Control: private, max-age=0\r\nVary: Accept-Encoding\r\n\
Connection: keep-alive\r\n\r\n";

/// A log that is written nowhere.
#[derive(Default)]
struct Counted(AtomicU64);

impl LineSink for Counted {
    fn line(&self, line: &[u8]) {
        self.0.fetch_add(line.len() as u64, Ordering::Relaxed);
    }
}

/// A directory of configurations, removed at the end.
struct Site(PathBuf);

impl Site {
    fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("tandem-micro-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("logs")).expect("a directory for configurations");
        Self(dir)
    }

    /// What a worker thread has of this configuration.
    fn live(&self, conf: &str) -> Rc<Live> {
        let file = self.0.join("httpd.conf");
        let modules = ["mpm_event", "authz_core", "alias", "rewrite", "proxy", "proxy_http"];
        let mut text = String::new();
        for module in modules {
            let _ = writeln!(text, "LoadModule {module}_module modules/mod_{module}.so");
        }
        text.push_str("ServerName bench.test\nListen 127.0.0.1:80\n");
        text.push_str(conf);
        std::fs::write(&file, text).expect("a configuration");
        let words: [OsString; 5] = ["tandem".into(), "-d".into(), self.0.clone().into(), "-f".into(), file.into()];
        let Ok(options) = Invocation::parse(words) else { panic!("the command line is valid") };
        let loaded = load(&options, None).map_err(|failure| failure.text).expect("a valid configuration");
        let sink: Arc<dyn LineSink> = Arc::new(Counted::default());
        Rc::new(Live::new(Arc::new(loaded.generation), vec![sink; 8].into()))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A client without a body that is told everything at once.
#[derive(Default)]
struct Client(Vec<u8>);

impl Wire for Client {
    fn body_kind(&self) -> BodyKind {
        BodyKind::None
    }

    fn set_timeout(&mut self, _: Duration) {}

    fn poll_fill(&mut self, _: &mut Context<'_>) -> Poll<Result<usize, BodyFault>> {
        Poll::Ready(Ok(0))
    }

    fn body(&self) -> &[u8] {
        b""
    }

    fn consume(&mut self, _: usize) {}

    fn body_done(&self) -> bool {
        true
    }

    fn expects_continue(&self) -> bool {
        false
    }

    fn continue_now(&mut self, _: bool) {}

    fn trailers(&self) -> Option<&Table> {
        None
    }

    fn interim(&mut self, _: u16, _: &[u8], _: &Table) {}

    fn head(&mut self, head: &HeadOut<'_>) {
        push_status_line(&mut self.0, head.status, head.reason);
        head.fields.push_lines(&mut self.0);
        self.0.extend_from_slice(b"\r\n");
    }

    fn poll_data(&mut self, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.0.extend_from_slice(data);
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn abort(&mut self) {}

    fn close(&mut self) {}

    fn counts(&self) -> (u64, u64) {
        (0, 0)
    }

    fn tunnel(&mut self) -> Option<&mut dyn Tunnel> {
        None
    }
}

fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the request waits for something"),
    }
}

/// An exchange of this configuration with [`REQUEST`] read.
fn exchange(live: &Rc<Live>) -> Exchange {
    let local = ([127, 0, 0, 1], 80).into();
    let server = live.generation.select.default_server(local);
    let conn = Conn::new(1, local, ([127, 0, 0, 1], 4000).into(), &live.generation);
    let mut ex = Exchange::new(live.clone(), Rc::new(conn), pipe::idle_chain(live, server));
    begin(&mut ex, REQUEST);
    ex
}

/// Fills in a head as the front does.
fn begin(ex: &mut Exchange, bytes: &[u8]) {
    let mut head = RequestHead::default();
    assert!(parse_request(bytes, &Limits::default(), &Rules::default(), &mut head).is_ok());
    ex.reset(pipe::idle_chain(&ex.live.clone(), 0));
    head.push_line(bytes, &mut ex.the_request);
    ex.method.extend_from_slice(head.bytes(bytes, head.method));
    ex.unparsed_uri.extend_from_slice(head.bytes(bytes, head.target));
    ex.protocol.extend_from_slice(head.bytes(bytes, head.protocol));
    ex.proto_num = 1001;
    for (name, value) in head.fields(bytes) {
        ex.headers_in.add(name, value);
    }
    ex.client_ip.extend_from_slice(b"127.0.0.1");
    ex.started_micros = 1_700_000_000_000_000;
}

/// Serves a request as the front does; its status.
fn serve(ex: &mut Exchange, client: &mut Client, bytes: &[u8]) -> u16 {
    begin(ex, bytes);
    client.0.clear();
    now(pipe::run(ex, client));
    ex.status
}

fn heads(c: &mut Criterion) {
    let (limits, rules) = (Limits::default(), Rules::default());
    let mut head = RequestHead::default();
    c.bench_function("request head parse", |b| {
        b.iter(|| {
            head.clear();
            parse_request(black_box(REQUEST), &limits, &rules, &mut head).is_ok()
        });
    });
    let mut head = ResponseHead::default();
    c.bench_function("response head parse", |b| {
        b.iter(|| {
            head.clear();
            parse_response(black_box(RESPONSE), 8192, BadHeader::IsError, &mut head).is_ok()
        });
    });
}

fn compose(c: &mut Criterion) {
    let site = Site::new();
    let live = site.live("");
    let mut ex = exchange(&live);
    let mut wire = Client::default();
    c.bench_function("response compose", |b| {
        b.iter(|| {
            ex.reset(pipe::idle_chain(&live, 0));
            ex.status = 200;
            ex.content_type.extend_from_slice(b"text/html;charset=UTF-8");
            ex.headers_out.add(b"Cache-Control", b"private, max-age=0");
            ex.headers_out.add(b"Vary", b"Accept-Encoding");
            wire.0.clear();
            pipe::head(&mut ex, &mut wire, black_box(Some(5120)));
            wire.0.len()
        });
    });
}

fn select(c: &mut Criterion) {
    let site = Site::new();
    let mut conf = String::new();
    for n in 0..2000 {
        let _ = writeln!(conf, "<VirtualHost 127.0.0.1:80>\nServerName host{n}.test\n</VirtualHost>");
    }
    let live = site.live(&conf);
    let names = live.generation.select.names(([127, 0, 0, 1], 80).into()).expect("virtual hosts");
    assert_eq!(names.find(b"host1999.test"), Some(2000));
    c.bench_function("vhost select among 2,000", |b| b.iter(|| names.find(black_box(b"host1999.test"))));
}

fn rules(c: &mut Criterion) {
    let site = Site::new();
    let mut conf = String::new();
    for n in 0..50 {
        let _ = writeln!(conf, "ProxyPass /application{n}/ http://127.0.0.1:9/application{n}/");
    }
    conf.push_str("Redirect /shop http://shop.example.com/\n");
    let live = site.live(&conf);
    let (mut ex, mut wire) = (exchange(&live), Client::default());
    let head = b"GET /shop/cart HTTP/1.1\r\nHost: bench.test\r\n\r\n";
    assert_eq!(serve(&mut ex, &mut wire, head), 302);
    c.bench_function("a redirect behind 50 ProxyPass rules", |b| b.iter(|| serve(&mut ex, &mut wire, head)));

    let mut conf = "RewriteEngine On\n".to_owned();
    for n in 0..49 {
        let _ = writeln!(conf, "RewriteRule ^/application{n}/(.*)$ /elsewhere/$1");
    }
    conf.push_str("RewriteRule ^/shop/(.*)$ http://shop.example.com/$1 [R,L]\n");
    let live = site.live(&conf);
    let mut ex = exchange(&live);
    assert_eq!(serve(&mut ex, &mut wire, head), 302);
    c.bench_function("a redirect by the last of 50 RewriteRules", |b| b.iter(|| serve(&mut ex, &mut wire, head)));
}

fn election(c: &mut Criterion) {
    let member = |n: usize| WorkerSpec::new(format!("http://member{n}"), Scheme::Http, format!("member{n}"), 80);
    for (name, method) in [("byrequests", LbMethod::ByRequests), ("bybusyness", LbMethod::ByBusyness)] {
        let backends = Backends::adopt((0..8).map(member).collect(), Vec::new(), None);
        let spec = BalancerSpec {
            name: "balancer://b".to_owned(),
            key: "balancer://b".to_owned(),
            members: (0..8).collect(),
            method,
            sticky: None,
            no_failover: false,
            timeout: None,
            max_attempts: None,
            fail_on_status: Vec::new(),
            fail_on_timeout: false,
            force_recovery: true,
            nonce: None,
            growth: None,
        };
        c.bench_function(&format!("election among 8, {name}"), |b| {
            b.iter(|| elect(black_box(&backends), &spec, 1).is_some());
        });
    }
}

fn log_line(c: &mut Criterion) {
    let site = Site::new();
    let format = r#"%h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\""#;
    let live = site.live(&format!("CustomLog /dev/null \"{format}\"\n"));
    let mut ex = exchange(&live);
    ex.status = 200;
    c.bench_function("log line, combined", |b| b.iter(|| now(pipe::log(&mut ex))));
}

fn ajp(c: &mut Criterion) {
    let mut head = RequestHead::default();
    assert!(parse_request(REQUEST, &Limits::default(), &Rules::default(), &mut head).is_ok());
    let begin = Beginning {
        method: b"GET",
        protocol: b"HTTP/1.1",
        uri: b"/shop/cart",
        remote_addr: b"127.0.0.1",
        server_name: b"www.example.com",
        server_port: 80,
        ..Beginning::default()
    };
    let mut out = Vec::new();
    c.bench_function("AJP encode", |b| {
        b.iter(|| {
            out.clear();
            let mut packet = ForwardWriter::new(&mut out, 8192, black_box(&begin));
            for (name, value) in head.fields(REQUEST) {
                packet.header(name, value);
            }
            packet.finish().is_ok()
        });
    });
}

criterion_group!(benches, heads, compose, select, rules, election, log_line, ajp);
criterion_main!(benches);

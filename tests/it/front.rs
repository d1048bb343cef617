//! The HTTP/1 front and the run path: heads, bodies, timeouts, order, signals. Raw bytes; most of it also holds for the
//! real httpd.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::support::{PATIENCE, Peer, Server, Site, free_port, real_httpd, skip, wait_for, which};

const LOG: &str = "LogFormat \"%>s %b %I %k %X \\\"%r\\\" %H\" t\nCustomLog logs/access_log t\n";

fn site(name: &str, body: &str) -> Site {
    let site = Site::new(name);
    site.httpd_conf(&[], &format!("{LOG}{body}"));
    site
}

/// All that comes back for `bytes`, up to the end of the connection.
fn answer(server: &Server<'_>, bytes: impl AsRef<[u8]>) -> String {
    let mut client = server.connect();
    client.send(bytes);
    client.finish();
    String::from_utf8_lossy(&client.rest()).into_owned()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("none")
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let site = site("front-pipe", "");
    site.write("htdocs/a", "aaa");
    site.write("htdocs/b", "bbb");
    let server = site.start();
    let mut client = server.connect();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.send(["/a", "/b", "/none", "/a", "/b", "/a", "/b", "/a"].map(get).concat());
    let got: Vec<_> = (0..8).map(|_| client.response()).map(|m| (m.status, m.text())).collect();
    let texts: Vec<_> = got.iter().map(|(status, text)| if *status == 200 { text.as_str() } else { "-" }).collect();
    assert_eq!(texts, ["aaa", "bbb", "-", "aaa", "bbb", "aaa", "bbb", "aaa"]);
    // A head that comes in pieces, behind blank lines.
    for piece in ["\r\n\r\nGET /a HT", "TP/1.1\r\nHo", "st: localhost\r\n", "\r\n"] {
        client.send(piece);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(client.response().text(), "aaa");
    let log = server.log("logs/access_log", |log| log.lines().count() == 9);
    let counts: Vec<_> = log.lines().map(|line| line.split(' ').nth(3).unwrap()).collect();
    assert_eq!(counts, ["0", "1", "2", "3", "4", "5", "6", "7", "8"]);
}

#[test]
fn heads_are_refused_as_httpd_refuses_them() {
    let site = site("front-bad", "LimitRequestLine 100\nLimitRequestFieldSize 60\nLimitRequestFields 3\n");
    site.write("htdocs/a", "aaa");
    let server = site.start();
    let long = "x".repeat(200);
    let cases = [
        ("GET /a HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), "200"),
        (format!("GET /{long} HTTP/1.1\r\nHost: h\r\n\r\n"), "414"),
        (format!("GET /a HTTP/1.1\r\nHost: h\r\nX: {long}\r\n\r\n"), "400"),
        ("GET /a HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 1\r\nC: 1\r\n\r\n".to_owned(), "400"),
        ("GET /a HTTP/1.1\nHost: h\r\n\r\n".to_owned(), "400"),
        ("GET  /a HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), "400"),
        ("GET /a HTTPX/1.1\r\nHost: h\r\n\r\n".to_owned(), "400"),
        ("GET /a HTTP/1.1\r\nHost : h\r\n\r\n".to_owned(), "400"),
        ("GET /a HTTP/1.1\r\n\r\n".to_owned(), "400"),
        ("GET /a HTTP/1.1\r\nHost: h\r\n".to_owned(), "400"),
        ("GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n".to_owned(), "400"),
        ("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n".to_owned(), "400"),
        ("GET /a HTTP/3.1\r\nHost: h\r\n\r\n".to_owned(), "200"),
        ("GET /a HTTP/1.0\r\n\r\n".to_owned(), "200"),
        ("GET /a HT".to_owned(), "none"),
        ("\r\n\r\n".to_owned(), "none"),
    ];
    for (request, expected) in &cases {
        let answer = answer(&server, request);
        assert_eq!(status(&answer), *expected, "{request:?}\n{answer}");
    }
    // No head at all before HTTP/1.0.
    assert_eq!(answer(&server, "GET /a\r\n"), "aaa");
    let log = server.log("logs/access_log", |log| log.lines().count() == cases.len() - 1);
    assert!(log.contains("400 266 16 0 - \"GET /a HTTP/1.1\\n\" HTTP/1.0\n"), "{log}");
    assert!(log.contains("\"GET /a HTTPX/1.1\" HTTP/1.0\n"), "{log}");
}

/// The state of the server's end of a connection, as the system numbers it.
fn state(server: u16, client: &TcpStream) -> Option<u8> {
    let (local, remote) = (format!(":{server:04X}"), format!(":{:04X}", client.local_addr().unwrap().port()));
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let words = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let own = |words: &Vec<&str>| words.len() > 3 && words[1].ends_with(&local) && words[2].ends_with(&remote);
    words.into_iter().find(own).map(|words| u8::from_str_radix(words[3], 16).unwrap())
}

#[test]
fn connections_are_accepted_with_their_first_byte_unless_the_filter_is_none() {
    const ESTABLISHED: u8 = 1;
    const SYN_RECEIVED: u8 = 3;
    let cases = [
        ("", "", SYN_RECEIVED),
        ("", " foo", ESTABLISHED),
        ("AcceptFilter HTTP none\n", "", ESTABLISHED),
        ("AcceptFilter http none\nAcceptFilter http data\n", "", SYN_RECEIVED),
        ("AcceptFilter foo anything\n", " FOO", SYN_RECEIVED),
        ("ListenTCPDeferAccept 5\n", "", SYN_RECEIVED),
    ];
    for (lines, protocol, expected) in cases {
        let port = free_port();
        let site = site("front-filter", &format!("{lines}Listen 127.0.0.1:{port}{protocol}\n"));
        let server = site.start();
        let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok();
        let mut client = wait_for("the second listener", PATIENCE, connect);
        // The end of the handshake may still be on its way.
        let what = format!("state {expected} with {lines}{protocol}");
        wait_for(&what, PATIENCE, || (state(port, &client) == Some(expected)).then_some(()));
        client.write_all(b"GET /index.html HTTP/1.0\r\n\r\n").unwrap();
        assert!(Peer::over(client).rest().ends_with(b"it works\n"), "{lines}{protocol}");
        drop(server);
    }
}

#[test]
fn late_requests_get_408_or_silence() {
    let site = site("front-late", "Timeout 1\nKeepAliveTimeout 300ms\nLogLevel debug\n");
    let server = site.start();
    let read = |bytes: &str| {
        let mut client = server.connect();
        client.send(bytes);
        String::from_utf8_lossy(&client.rest()).into_owned()
    };
    // Before the request line is whole nobody is answered, but the line is logged.
    assert_eq!(read("GET / HT"), "");
    let late = read("GET / HTTP/1.1\r\nHost: h\r\n");
    assert!(
        late.starts_with("HTTP/1.1 408 Request Timeout\r\n") && late.contains("\r\nConnection: close\r\n"),
        "{late}"
    );
    let body = read("POST /index.html HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc");
    assert_eq!(status(&body), "408");
    // A kept-alive connection that stays silent, or begins a line and stops, ends without a word.
    let started = Instant::now();
    let one = "GET /index.html HTTP/1.1\r\nHost: h\r\n\r\n";
    let kept = read(one);
    assert!(kept.ends_with("it works\n"), "{kept}");
    assert!(started.elapsed() >= Duration::from_millis(280) && started.elapsed() < Duration::from_secs(1));
    assert!(read(&format!("{one}GET / HT")).ends_with("it works\n"));
    let log = server.log("logs/access_log", |log| log.lines().count() == 5);
    let lines: Vec<_> = log.lines().collect();
    assert_eq!(lines[0], "408 - 8 0 - \"-\" HTTP/1.0");
    assert_eq!(lines[1], "408 261 25 0 - \"GET / HTTP/1.1\" HTTP/1.1");
    assert!(lines[2].starts_with("408 261 60 0 - \"POST /index.html"), "{log}");
    assert!(server.log("logs/error_log", |log| log.contains("AH00567")).contains("AH00567: request failed: error"));
}

#[test]
fn read_timeouts_hold_for_the_whole_head() {
    let site = Site::new("front-slow");
    site.httpd_conf(&["reqtimeout"], &format!("{LOG}LogLevel info\nRequestReadTimeout header=1 body=1\n"));
    let server = site.start();
    let mut client = server.connect();
    let started = Instant::now();
    for line in ["GET / HTTP/1.1\r\n", "Host: h\r\n", "A: b\r\n", "C: d\r\n", "E: f\r\n", "G: h\r\n"] {
        if !client.try_send(line) {
            break;
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    let answer = String::from_utf8_lossy(&client.rest()).into_owned();
    assert_eq!(status(&answer), "408", "{answer}");
    assert!(started.elapsed() < Duration::from_secs(4));
    server.log("logs/error_log", |log| {
        log.contains("[reqtimeout:info]") && log.contains("AH01382: Request header read timeout")
    });
}

#[test]
fn bodies_are_read_within_their_limit() {
    let site = site("front-body", "LimitRequestBody 10\nLogLevel info\n");
    let server = site.start();
    let post = |fields: &str, body: &str| {
        let mut client = server.connect();
        client.send(format!("POST /index.html HTTP/1.1\r\nHost: h\r\n{fields}\r\n{body}"));
        client.finish();
        String::from_utf8_lossy(&client.rest()).into_owned()
    };
    assert_eq!(status(&post("Content-Length: 5\r\n", "12345")), "200");
    let large = post("Content-Length: 11\r\n", "12345678901");
    assert_eq!(status(&large), "413");
    assert!(large.contains("\r\nConnection: close\r\n"), "{large}");
    let chunked = "Transfer-Encoding: chunked\r\n";
    assert_eq!(status(&post(chunked, "5;x=y\r\n12345\r\n0\r\nT: v\r\n\r\n")), "200");
    assert_eq!(status(&post(chunked, "5\r\n12345\r\n6\r\n123456\r\n0\r\n\r\n")), "413");
    assert_eq!(status(&post(chunked, "zz\r\n")), "400");
    assert_eq!(status(&post("Content-Length: 5\r\n", "123")), "400");
    server.log("logs/error_log", |log| {
        log.contains("AH01588: Requested content-length of 11 is larger than the configured limit of 10")
            && log.contains("AH01590: Error reading/parsing chunk")
            && log.contains("AH01591: Read content length of 11 is larger than the configured limit of 10")
    });
    // The invitation comes first, and the connection goes on behind the body.
    let mut client = server.connect();
    client.send("POST /index.html HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.read_until("\r\n\r\n"), b"HTTP/1.1 100 Continue\r\n\r\n");
    client.send("12345");
    assert_eq!(client.response().status, 200);
    client.send("GET /index.html HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.response().text(), "it works\n");
}

#[test]
fn an_address_in_use_ends_the_start() {
    let site = site("front-bind", "");
    let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, site.port)).unwrap();
    let verdict = site.run(&["-DFOREGROUND"]);
    assert_eq!(verdict.code, Some(1), "{verdict:?}");
    let port = site.port;
    let expected = format!(
        "(98)Address already in use: AH00072: make_sock: could not bind to address 127.0.0.1:{port}\n\
         no listening sockets available, shutting down\nAH00015: Unable to open logs\n"
    );
    assert!(verdict.stderr.ends_with(&expected), "{verdict:?}");
    drop(holder);
    assert!(!site.path("logs/httpd.pid").exists());
}

#[test]
fn the_pid_file_leads_to_the_server() {
    let site = site("front-k", "");
    assert_eq!(site.run(&["-k", "stop"]).stdout, "httpd (no pid file) not running\n");
    let started = site.run(&["-k", "start"]);
    assert_eq!((started.code, started.stdout.as_str()), (Some(0), ""), "{started:?}");
    let pid = wait_for("the pid file", PATIENCE, || site.read("logs/httpd.pid").trim().parse::<i32>().ok());
    let _ender = Ender(pid);
    wait_for("the port", PATIENCE, || TcpStream::connect((Ipv4Addr::LOCALHOST, site.port)).ok());
    let again = site.run(&["-k", "start"]);
    assert_eq!((again.code, again.stdout), (Some(0), format!("httpd (pid {pid}) already running\n")));
    let stopped = site.run(&["-k", "stop"]);
    assert_eq!((stopped.code, stopped.stdout.as_str()), (Some(0), ""));
    wait_for("the end", PATIENCE, || (!site.path("logs/httpd.pid").exists()).then_some(()));
    // The file goes first.
    let log = wait_for("the last entry", PATIENCE, || {
        let log = site.read("logs/error_log");
        log.contains("AH00491: caught SIGTERM, shutting down\n").then_some(log)
    });
    assert!(log.contains("resuming normal operations\n") && log.contains("AH00094: Command line: '"), "{log}");
    site.write("logs/httpd.pid", "2147483646\n");
    assert_eq!(site.run(&["-k", "stop"]).stdout, "httpd (pid 2147483646?) not running\n");
    site.write("logs/httpd.pid", "nonsense\n");
    let corrupt = site.run(&["-k", "start"]);
    assert_eq!(corrupt.code, Some(1));
    assert!(corrupt.stderr.contains("AH00058: Error retrieving pid file"), "{corrupt:?}");
}

/// Ends a server that went into the background, whatever the test comes to.
struct Ender(i32);

impl Drop for Ender {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.0), Signal::SIGTERM);
    }
}

#[test]
fn a_reload_brings_the_new_configuration() {
    let site = site("front-reload", "DocumentRoot one\n");
    site.write("one/index.html", "one");
    site.write("two/index.html", "two");
    let server = site.start();
    let get = || server.get("/index.html", "").text();
    assert_eq!(get(), "one");
    let mut kept = server.connect();
    let one = "GET /index.html HTTP/1.1\r\nHost: h\r\n\r\n";
    if !real_httpd() {
        kept.send(one);
        assert_eq!(kept.response().text(), "one");
    }
    site.httpd_conf(&[], &format!("{LOG}DocumentRoot two\n"));
    server.signal(Signal::SIGUSR1);
    wait_for("the new configuration", PATIENCE, || (get() == "two").then_some(()));
    let log = site.read("logs/error_log");
    assert!(log.contains("AH00493: SIGUSR1 received.  Doing graceful restart\n"), "{log}");
    if real_httpd() {
        return;
    }
    // httpd ends here; we keep what works, connections included.
    kept.send(one);
    assert_eq!(kept.response().text(), "two");
    site.httpd_conf(&[], "NoSuchDirective here\n");
    server.signal(Signal::SIGHUP);
    server.log("logs/error_log", |log| {
        log.contains("AH00494: SIGHUP received.  Attempting to restart\n") && log.contains("NoSuchDirective")
    });
    assert_eq!(get(), "two");
    // An address that is taken keeps the old ones.
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    site.httpd_conf(&[], &format!("{LOG}DocumentRoot one\nListen 127.0.0.1:{port}\n"));
    server.signal(Signal::SIGUSR1);
    server.log("logs/error_log", |log| log.contains("AH00072: make_sock: could not bind to address"));
    assert_eq!(get(), "two");
    drop(taken);
    server.signal(Signal::SIGUSR1);
    wait_for("the second address", PATIENCE, || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok());
    wait_for("the new configuration", PATIENCE, || (get() == "one").then_some(()));
}

#[test]
fn a_graceful_stop_lets_requests_end() {
    let site = site("front-drain", "");
    let server = site.start();
    let mut busy = server.connect();
    busy.send("POST /index.html HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(busy.read_until("\r\n\r\n"), b"HTTP/1.1 100 Continue\r\n\r\n");
    server.signal(Signal::SIGWINCH);
    server.log("logs/error_log", |log| log.contains("AH00492: caught SIGWINCH, shutting down gracefully\n"));
    wait_for("the port to close", PATIENCE, || TcpStream::connect((Ipv4Addr::LOCALHOST, site.port)).err());
    busy.send("12345");
    assert_eq!(busy.response().status, 200);
    assert_eq!(busy.rest(), b"");
    let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap());
    drop(server);
    assert!(kill(pid, None).is_err());
}

#[test]
fn a_graceful_stop_lasts_no_longer_than_it_may() {
    let site = site("front-drain-most", "GracefulShutdownTimeout 1\n");
    let server = site.start();
    let mut busy = server.connect();
    busy.send("POST /index.html HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(busy.read_until("\r\n\r\n"), b"HTTP/1.1 100 Continue\r\n\r\n");
    let begun = Instant::now();
    server.signal(Signal::SIGWINCH);
    // The request never ends.
    assert_eq!(busy.rest(), b"");
    assert!(begun.elapsed() >= Duration::from_millis(950), "it was cut after {:?}", begun.elapsed());
    let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap());
    drop(server);
    assert!(kill(pid, None).is_err());
}

#[test]
fn the_queue_of_who_waits_is_as_long_as_it_is_to_be() {
    let Some(ss) = which("ss") else { return skip("front", "ss") };
    let site = site("front-backlog", "ListenBacklog 17\n");
    let _server = site.start();
    let listed = Command::new(ss).args(["-Hltn", "sport"]).arg(format!("= :{}", site.port)).output().unwrap();
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    // State, how many wait, how many may.
    let most: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    assert!(!most.is_empty() && most.iter().all(|most| *most == "17"), "{text}");
}

#[test]
fn clients_that_go_away_cost_nothing() {
    let site = site("front-gone", "");
    fs::write(site.path("htdocs/large"), vec![b'x'; 4 << 20]).unwrap();
    let server = site.start();
    for _ in 0..20 {
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, site.port)).unwrap();
        client.write_all(b"GET /large HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        // Closed with the response under way: a reset.
    }
    assert_eq!(server.get("/large", "").body.len(), 4 << 20);
    server.log("logs/access_log", |log| log.lines().count() == 21);
}

#[test]
fn registered_methods_are_taken() {
    let site = site("front-methods", "HttpProtocolOptions RegisteredMethods\nRegisterHttpMethod BREW\n");
    let server = site.start();
    let said = |method: &str| {
        let answer = answer(&server, format!("{method} /index.html HTTP/1.1\r\nHost: h\r\n\r\n"));
        status(&answer).to_owned()
    };
    assert_eq!([said("GET"), said("BREW"), said("STEEP")], ["200", "405", "501"]);
}

#[test]
fn a_client_that_does_not_read_is_left() {
    let site = site("front-stuck", "Timeout 1\n");
    fs::write(site.path("htdocs/large"), vec![b'x'; 16 << 20]).unwrap();
    let server = site.start();
    let mut client = server.connect();
    client.send("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
    let log = server.log("logs/access_log", |log| log.contains("/large"));
    assert_eq!(log.split(' ').nth(4), Some("X"), "{log}");
}

/// `ProtocolEcho`: what a client of that server sends comes back, others are served as ever.
#[test]
fn an_echo_server_sends_back_what_it_gets() {
    let site = Site::new("front-echo");
    let port = free_port();
    let body = format!("Listen 127.0.0.1:{port}\n<VirtualHost *:{port}>\nProtocolEcho On\n</VirtualHost>\n");
    site.httpd_conf(&["echo"], &body);
    let server = site.start();
    // The first port that listens is the site's own.
    let client = wait_for("the other port", PATIENCE, || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok());
    let mut client = Peer::over(client);
    client.send("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(client.read_until("\r\n\r\n"), b"GET / HTTP/1.1\r\n\r\n");
    // httpd sends back whole lines.
    let bytes = "a line\n".repeat(30_000).into_bytes();
    let mut sender = client.stream.try_clone().unwrap();
    let sent = bytes.clone();
    let sending = std::thread::spawn(move || sender.write_all(&sent).unwrap());
    assert!(client.read_exactly(bytes.len()) == bytes);
    sending.join().unwrap();
    client.finish();
    assert_eq!(client.rest(), b"");
    assert_eq!(server.get("/index.html", "").status, 200);
}

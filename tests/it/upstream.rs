//! `http` backends and balancers, against raw origins.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use crate::support::{Message, Origin, PATIENCE, Peer, Server, Site, free_port, real_httpd, wait_for};

const MODULES: &[&str] = &[
    "env",
    "setenvif",
    "headers",
    "proxy",
    "proxy_http",
    "slotmem_shm",
    "proxy_balancer",
    "lbmethod_byrequests",
    "lbmethod_bytraffic",
    "lbmethod_bybusyness",
];

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn site(name: &str, conf: &str) -> Site {
    let site = Site::new(name);
    site.httpd_conf(MODULES, conf);
    site
}

/// An origin that answers each request with its name.
fn named(name: &'static str) -> Origin {
    Origin::replying(ok(name))
}

fn send(client: &mut Peer, request: &str) -> Message {
    client.send(request);
    client.response()
}

fn get(client: &mut Peer, path: &str) -> Message {
    send(client, &format!("GET {path} HTTP/1.1\r\nHost: pub.test\r\n\r\n"))
}

fn head_of(origin: &Origin, at: usize) -> String {
    String::from_utf8(origin.requests()[at].head.clone()).unwrap()
}

/// Bodies of one request after the other on one connection.
fn bodies(server: &Server<'_>, n: usize) -> Vec<String> {
    let mut client = server.connect();
    (0..n).map(|_| get(&mut client, "/").text()).collect()
}

#[test]
fn the_request_head_has_httpds_order() {
    let origin = named("hello");
    let port = origin.port;
    let site = site("up-head", &format!("ProxyPass / http://127.0.0.1:{port}/base/"));
    let server = site.start();
    let mut client = server.connect();
    let request = "GET /a%20b?q=1 HTTP/1.1\r\nX-One: 1\r\nConnection: X-Gone, keep-alive\r\nX-Gone: 1\r\nHost: Pub.test\r\n\
        Cookie: a=1\r\nTE: trailers\r\nx-two: 2\r\ncookie: b=2\r\nX-Forwarded-For: 10.0.0.1\r\nUpgrade: foo\r\n\r\n";
    assert_eq!(send(&mut client, request).text(), "hello");
    let want = format!(
        "GET /base/a%20b?q=1 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-One: 1\r\nCookie: a=1, b=2\r\nx-two: 2\r\n\
         X-Forwarded-For: 10.0.0.1, 127.0.0.1\r\nX-Forwarded-Host: Pub.test\r\nX-Forwarded-Server: localhost\r\n\
         Connection: Keep-Alive\r\n\r\n"
    );
    assert_eq!(head_of(&origin, 0), want);
}

#[test]
fn connections_are_kept_and_renewed() {
    let origin = Origin::serving(|peer, seen| {
        while let Some(request) = peer.request() {
            let last = request.line().contains("/last");
            seen.note(request);
            if !peer.try_send(ok("x")) || last {
                return;
            }
        }
    });
    let site = site("up-keep", &format!("ProxyPass / http://127.0.0.1:{}/", origin.port));
    let server = site.start();
    let mut client = server.connect();
    for path in ["/1", "/2", "/last"] {
        assert_eq!(get(&mut client, path).text(), "x");
    }
    assert_eq!(origin.connections(), 1);
    // The peer has closed: noticed before anything is written, for any method.
    std::thread::sleep(Duration::from_millis(50));
    let answer = send(&mut client, "POST /4 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab");
    assert_eq!((answer.status, answer.text().as_str()), (200, "x"));
    assert_eq!(origin.connections(), 2);
    assert_eq!(origin.requests()[3].body, b"ab");
}

/// An origin that does not know ranges: they are answered here, with the length that they have.
#[test]
fn ranges_of_a_whole_body_are_answered() {
    let origin = named("abcdef");
    let site = site("up-range", &format!("ProxyPass / http://127.0.0.1:{}/", origin.port));
    let server = site.start();
    let mut client = server.connect();
    let answer = send(&mut client, "GET / HTTP/1.1\r\nHost: pub.test\r\nRange: bytes=0-1\r\n\r\n");
    assert_eq!((answer.status, answer.text().as_str()), (206, "ab"));
    assert_eq!(answer.header("Content-Length").as_deref(), Some("2"));
    assert_eq!(answer.header("Content-Range").as_deref(), Some("bytes 0-1/6"));
    assert_eq!(get(&mut client, "/").text(), "abcdef", "on the same connection");
}

/// What origins say that is hardly HTTP, as httpd passes it on.
#[test]
fn odd_heads_are_passed_on_as_httpd_does() {
    let odd = Origin::serving(|peer, _| {
        let Some(request) = peer.request() else { return };
        let head = String::from_utf8_lossy(&request.head).into_owned();
        peer.send(match head.split(' ').nth(1).unwrap() {
            "/stray" => "200 OK\r\nbody",
            "/low" => "HTTP/1.1 099 Odd\r\nContent-Length: 1\r\n\r\na",
            "/coded" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
            "/twice" => "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            _ => "HTTP/1.1 404 Nix Da\r\nContent-Length: 1\r\n\r\na",
        });
    });
    let conf = format!(
        "ProxyErrorOverride On 404\nErrorDocument 404 /nowhere\nProxyPass /nowhere !\nProxyPass / http://127.0.0.1:{}/",
        odd.port
    );
    let site = site("up-odd", &conf);
    let server = site.start();
    let ask = |method: &str, path: &str| {
        let mut client = server.connect();
        client.send(format!("{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
        String::from_utf8(client.rest()).unwrap()
    };
    let stray = ask("HEAD", "/stray");
    assert!(stray.starts_with("HTTP/1.1 200 OK\r\n") && stray.contains("\r\nContent-Length: 6\r\n"), "{stray}");
    let whole = ask("GET", "/stray");
    assert!(whole.contains("\r\n\r\n") && whole.contains("200 OKbody"), "{whole}");
    for method in ["GET", "HEAD"] {
        let low = ask(method, "/low");
        assert!(low.starts_with("HTTP/1.1 099 Odd\r\n"), "{low}");
    }
    let coded = ask("HEAD", "/coded");
    assert!(coded.starts_with("HTTP/1.1 500 Internal Server Error\r\n") && !coded.contains("Transfer-Enc"), "{coded}");
    // A head that may be read in two ways is the last on its connection.
    let before = odd.connections();
    assert!(ask("HEAD", "/twice").starts_with("HTTP/1.1 200 OK\r\n"));
    let overridden = ask("GET", "/else");
    assert_eq!(odd.connections(), before + 2);
    assert!(overridden.starts_with("HTTP/1.1 404 Nix Da\r\n"), "{overridden}");
    assert!(
        overridden.contains("<title>404 Nix Da</title>") && overridden.contains("Additionally, a 404"),
        "{overridden}"
    );
}

/// The origin closes an idle connection in the moment in which a request arrives on it.
#[test]
fn a_request_that_meets_a_closing_connection_is_sent_again() {
    let origin = Origin::serving(|peer, seen| {
        let Some(first) = peer.request() else { return };
        seen.note(first);
        peer.send(ok("x"));
        if let Some(lost) = peer.request() {
            seen.note(lost);
        }
    });
    let site = site("up-race", &format!("ProxyPass / http://127.0.0.1:{}/", origin.port));
    let server = site.start();
    let mut client = server.connect();
    assert_eq!(get(&mut client, "/1").text(), "x");
    // httpd closes the client's connection here, and leaves it to the client to try again.
    if !real_httpd() {
        assert_eq!((get(&mut client, "/2").text().as_str(), origin.connections()), ("x", 2));
        // Not what might have an effect twice.
        client.send("POST /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\na");
        assert_eq!(client.rest(), b"");
        assert_eq!(origin.connections(), 2);
    } else {
        client.send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.rest(), b"");
    }
}

#[test]
fn bodies_of_all_sizes_go_both_ways() {
    let origin = Origin::serving(|peer, seen| {
        while let Some(request) = peer.request() {
            let body = request.body.clone();
            seen.note(request);
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()));
            peer.send(body);
        }
    });
    let site = site("up-sizes", &format!("ProxyPass / http://127.0.0.1:{}/", origin.port));
    let server = site.start();
    let mut client = server.connect();
    for (at, size) in [0, 1, 4095, 4096, 16_383, 16_384, 16_385, 70_000, 1_500_000].into_iter().enumerate() {
        let body: Vec<u8> = (0..size).map(|i: u32| (i % 251) as u8).collect();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n"));
        client.send(&body);
        let answer = client.response();
        assert!(answer.status == 200 && answer.body == body, "{size}");
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        for chunk in body.chunks(10_000) {
            client.send(format!("{:x}\r\n", chunk.len()));
            client.send(chunk);
            client.send("\r\n");
        }
        client.send("0\r\n\r\n");
        let answer = client.response();
        assert!(answer.status == 200 && answer.body == body, "chunked {size}");
        let head = &origin.requests()[2 * at + 1];
        if size == 1 {
            assert_eq!(head.header("content-length").unwrap(), size.to_string());
        } else if size > 16_384 {
            assert_eq!(head.header("transfer-encoding").unwrap(), "chunked");
        }
    }
    assert_eq!(origin.connections(), 1);
}

/// What the origin has said so far reaches the client while the origin pauses.
#[test]
fn a_pause_of_the_origin_flushes() {
    let (go, went) = std::sync::mpsc::channel::<()>();
    let went = Arc::new(std::sync::Mutex::new(went));
    let origin = Origin::serving(move |peer, _| {
        if peer.request().is_some() {
            peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nnow \r\n");
            went.lock().unwrap().recv_timeout(Duration::from_secs(10)).unwrap();
            peer.send("5\r\nlater\r\n0\r\n\r\n");
        }
    });
    let site = site("up-flush", &format!("ProxyPass / http://127.0.0.1:{}/", origin.port));
    let server = site.start();
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.read_until("now ");
    go.send(()).unwrap();
    client.read_until("later\r\n0\r\n\r\n");
}

#[test]
fn the_origin_decides_about_100_continue() {
    let origin = Origin::serving(|peer, _| {
        let head = peer.read_until("\r\n\r\n");
        let head = String::from_utf8_lossy(&head);
        assert!(head.contains("\r\nExpect: 100-continue\r\n"), "{head}");
        if head.contains("/no") {
            peer.send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            return;
        }
        peer.send("HTTP/1.1 100 Continue\r\n\r\n");
        // It says that it closes: the next request must not meet that.
        let body = String::from_utf8(peer.read_exactly(5)).unwrap();
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n{body}"));
    });
    let site = site("up-expect", &format!("ProxyPass / http://127.0.0.1:{}/", origin.port));
    let server = site.start();
    let mut client = server.connect();
    client.send("POST /yes HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(client.read_until("\r\n\r\n"), b"HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hello");
    assert_eq!(client.response().text(), "hello");
    let mut client = server.connect();
    client.send("POST /no HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(client.response().status, 417);
}

/// A client that goes away when it is asked for its body.
#[test]
fn a_body_that_was_held_back_and_never_comes_is_told_of() {
    let origin = Origin::serving(|peer, _| {
        peer.read_until("\r\n\r\n");
        peer.send("HTTP/1.1 100 Continue\r\n\r\n");
        peer.rest();
    });
    let site = site("up-expect-gone", &format!("ProxyPass / http://127.0.0.1:{}/", origin.port));
    let server = site.start();
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    client.read_until("\r\n\r\n");
    drop(client);
    let told = "AH10154: pass request body failed to 127.0.0.1:";
    let log = server.log("logs/error_log", |log| log.contains(told));
    assert!(log.contains(" () with status 400") && !log.contains("AH01097"), "{log}");
}

/// Ten are too many, and the tenth is still passed on.
#[test]
fn interim_responses_are_counted() {
    let origin = Origin::serving(|peer, _| {
        while let Some(request) = peer.request() {
            let n = request.line()["GET /".len()..].split(' ').next().unwrap().parse().unwrap();
            peer.send("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".repeat(n) + &ok("x"));
        }
    });
    let site = site("up-interims", &format!("ProxyPass / http://127.0.0.1:{}/", origin.port));
    let server = site.start();
    for (n, last) in [(9, "HTTP/1.1 200 OK"), (10, "HTTP/1.1 502 Proxy Error")] {
        let mut client = server.connect();
        client.send(format!("GET /{n} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
        let text = String::from_utf8(client.rest()).unwrap();
        assert_eq!(text.matches("HTTP/1.1 103 Early Hints\r\n").count(), n, "{text}");
        assert!(text.contains(last), "{text}");
    }
}

/// A request whose connection will not be kept is not sent on one that was.
#[test]
fn a_connection_that_ends_is_a_new_one() {
    let origin = named("x");
    let conf = format!("SetEnvIf Request_URI /once proxy-nokeepalive\nProxyPass / http://127.0.0.1:{}/", origin.port);
    let site = site("up-once", &conf);
    let server = site.start();
    let mut client = server.connect();
    for (path, connections) in [("/1", 1), ("/once", 2), ("/2", 3), ("/3", 3)] {
        assert_eq!(get(&mut client, path).text(), "x");
        assert_eq!(origin.connections(), connections, "{path}");
    }
    assert!(head_of(&origin, 1).contains("\r\nConnection: close\r\n"));
}

/// Of a chunked body that is empty, the length is told.
#[test]
fn no_chunks_are_no_bytes() {
    let origin = Origin::replying("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    let site = site("up-empty", &format!("ProxyPass / http://127.0.0.1:{}/", origin.port));
    let server = site.start();
    let answer = get(&mut server.connect(), "/");
    assert_eq!(answer.header("Content-Length").as_deref(), Some("0"));
    assert_eq!(answer.header("Transfer-Encoding"), None);
}

/// What the origin says behind its body goes no further, but logs know it. `%s` without a name is nothing.
#[test]
fn logs_know_the_trailers() {
    let origin =
        Origin::replying("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Sum: 7\r\n\r\n");
    let conf = format!(
        "Header set X-Nothing %s\nLogFormat \"%{{X-Sum}}^to\" t\nCustomLog logs/access_log t\n\
         ProxyPass / http://127.0.0.1:{}/",
        origin.port
    );
    let site = site("up-trailers", &conf);
    let server = site.start();
    let answer = get(&mut server.connect(), "/");
    assert_eq!(answer.text(), "x");
    assert_eq!(answer.header("X-Nothing").as_deref(), Some("(null)"));
    assert_eq!(server.log("logs/access_log", |log| log.ends_with('\n')), "7\n");
}

/// What is done for one request, told step by step.
#[test]
fn debugging_tells_the_steps() {
    let origin = named("x");
    let port = origin.port;
    let conf = format!(
        "LogLevel proxy:debug proxy_balancer:debug\n<Proxy balancer://b>\n\
         BalancerMember http://127.0.0.1:{port}\n</Proxy>\nProxyPass / balancer://b/"
    );
    let site = site("up-debug", &conf);
    let server = site.start();
    assert_eq!(get(&mut server.connect(), "/a?b").text(), "x");
    let log = server.log("logs/error_log", |log| log.contains("AH01176"));
    let at = format!("127.0.0.1:{port}");
    for line in [
        format!("AH01172: balancer://b: worker (http://{at}) rewritten to http://{at}/a?b"),
        "AH01143: Running scheme http handler (attempt 0)".to_owned(),
        format!("AH00942: http: has acquired connection for ({at})"),
        format!("AH00944: connecting http://{at}/a?b to {at}"),
        format!("AH00947: connecting /a?b to {at} ({at})"),
        format!("AH02824: http: connection established with {at} ({at})"),
        format!("AH00962: http: connection complete to {at} (127.0.0.1)"),
        format!("AH00943: http: has released connection for ({at})"),
        "AH01176: proxy_balancer_post_request for (balancer://b)".to_owned(),
    ] {
        assert_eq!(log.matches(&line).count(), 1, "{line} in\n{log}");
    }
}

/// Garbage costs the request that met it, and nothing else.
#[test]
fn a_bad_backend_costs_its_own_request_only() {
    let answers: &[(&str, &[u8], u16, &str)] = &[
        ("/none", b"", 502, "Error reading from remote server"),
        ("/cut", b"HTTP/1.1 200 OK\r\nX: y\r\n", 502, ""),
        ("/h2", b"HTTP/2.0 200 OK\r\n\r\n", 502, "Corrupt status line returned by remote server: HTTP/2.0 200 OK"),
        ("/colon", b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", 502, ""),
        ("/length", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nabc", 502, ""),
        ("/chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 502, ""),
        ("/name", b"HTTP/1.1 200 OK\r\nX Y: 1\r\nContent-Length: 1\r\n\r\na", 500, ""),
        ("/101", b"HTTP/1.1 101 Up\r\nUpgrade: foo\r\n\r\n", 502, "Unexpected Upgrade: foo (expecting n/a)"),
    ];
    let origin = Origin::serving(move |peer, _| {
        while let Some(request) = peer.request() {
            let line = request.line();
            let path = line.split(' ').nth(1).unwrap();
            match answers.iter().find(|(name, ..)| *name == path) {
                Some((_, bytes, ..)) => {
                    peer.send(bytes);
                    return;
                }
                None => peer.send(ok("fine")),
            }
        }
    });
    let site = site("up-bad", &format!("ProxyPass / http://127.0.0.1:{}/", origin.port));
    let server = site.start();
    for (path, _, status, reason) in answers {
        let answer = server.get(path, "");
        assert_eq!(answer.status, *status, "{path}: {}", answer.text());
        assert!(answer.text().contains(reason), "{path}: {}", answer.text());
        assert_eq!(server.get("/ok", "").text(), "fine", "after {path}");
    }
    let log = server.log("logs/error_log", |log| log.contains("Unexpected Upgrade"));
    for line in [
        "AH01102: error reading status line from remote server 127.0.0.1:",
        "AH00898: Error reading from remote server returned by /none",
        "AH10404: Error reading headers from backend",
        "AH01106: bad HTTP/1.1 header returned by /cut (GET)",
        "AH01106: bad HTTP/1.1 header returned by /colon (GET)",
        "AH01110: error reading response",
        "AH02429: Response header name 'X Y' contains invalid characters, aborting request",
    ] {
        assert!(log.contains(line), "{line} is not in\n{log}");
    }
}

/// A body that breaks off is not made to look whole.
#[test]
fn a_truncated_body_ends_without_its_end() {
    let origin = Origin::serving(|peer, _| {
        let Some(request) = peer.request() else { return };
        peer.send("HTTP/1.1 200 OK\r\n");
        peer.send(if request.line().contains("/chunked") {
            "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
        } else {
            "Content-Length: 10\r\n\r\nabc"
        });
    });
    let site = site("up-truncated", &format!("ProxyPass / http://127.0.0.1:{}/", origin.port));
    let server = site.start();
    for path in ["/chunked", "/length"] {
        let mut client = server.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let all = String::from_utf8(client.rest()).unwrap();
        assert!(all.starts_with("HTTP/1.1 200 OK\r\n") && all.contains("abc"), "{all}");
        assert!(!all.ends_with("0\r\n\r\n"), "{all}");
    }
}

#[test]
fn a_dead_member_is_passed_over_whatever_the_method() {
    let alive = named("alive");
    let dead = free_port();
    let site = site(
        "up-failover",
        &format!(
            "<Proxy balancer://b>\nBalancerMember http://127.0.0.1:{dead}\nBalancerMember http://127.0.0.1:{}\n</Proxy>\n\
             ProxyPass / balancer://b/\nLogFormat \"%>s %{{BALANCER_WORKER_NAME}}e\" w\nCustomLog logs/access_log w",
            alive.port
        ),
    );
    let server = site.start();
    let mut client = server.connect();
    let body = "x".repeat(70_000);
    let post = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n{body}");
    assert_eq!(send(&mut client, &post).text(), "alive");
    assert_eq!(alive.requests()[0].body.len(), 70_000);
    assert_eq!(bodies(&server, 3), ["alive"; 3]);
    let log = server.log("logs/access_log", |log| log.lines().count() == 4);
    assert!(log.lines().all(|line| line == format!("200 http://127.0.0.1:{}", alive.port)), "{log}");
    let log = site.read("logs/error_log");
    for line in [
        format!("AH00957: http: attempt to connect to 127.0.0.1:{dead} (127.0.0.1:{dead}) failed"),
        format!("AH00959: ap_proxy_connect_backend disabling worker for (127.0.0.1:{dead}) for 60s"),
        "AH01114: HTTP: failed to make connection to backend: 127.0.0.1".to_owned(),
    ] {
        assert_eq!(log.matches(&line).count(), 1, "{line} in\n{log}");
    }
}

#[test]
fn sessions_stick_by_url_and_cookie() {
    let (one, two) = (named("one"), named("two"));
    let site = site(
        "up-sticky",
        &format!(
            "<Proxy balancer://b>\nBalancerMember http://127.0.0.1:{} route=r1\nBalancerMember http://127.0.0.1:{} \
             route=r2\nProxySet stickysession=SID|sid\n</Proxy>\nProxyPass / balancer://b/",
            one.port, two.port
        ),
    );
    let server = site.start();
    let mut client = server.connect();
    for _ in 0..3 {
        assert_eq!(get(&mut client, "/a;sid=x.r2").text(), "two");
        let request = "GET / HTTP/1.1\r\nHost: a\r\nCookie: z=1; SID=abc.r1\r\n\r\n";
        assert_eq!(send(&mut client, request).text(), "one");
        let request = "GET /?sid=x.r2 HTTP/1.1\r\nHost: a\r\nCookie: SID=abc.r1\r\n\r\n";
        assert_eq!(send(&mut client, request).text(), "two");
    }
}

#[test]
fn load_is_shared_by_factor() {
    let origins = [named("1"), named("2"), named("3")];
    let members: String = (1..)
        .zip(&origins)
        .map(|(n, o)| format!("BalancerMember http://127.0.0.1:{} loadfactor={n}\n", o.port))
        .collect();
    let site = site("up-load", &format!("<Proxy balancer://b>\n{members}</Proxy>\nProxyPass / balancer://b/"));
    let server = site.start();
    assert_eq!(bodies(&server, 6).concat(), "321323");
}

/// `max` holds for all threads together, and `acquire` ends the wait.
#[test]
fn max_bounds_the_connections_of_all_threads() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = (now.clone(), most.clone());
    let origin = Origin::serving(move |peer, _| {
        while let Some(request) = peer.request() {
            seen.1.fetch_max(seen.0.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(if request.line().contains("/slow") { 2000 } else { 2 }));
            seen.0.fetch_sub(1, Ordering::SeqCst);
            if !peer.try_send(ok("x")) {
                break;
            }
        }
    });
    let site = site(
        "up-max",
        &format!(
            "ProxyPass /a http://127.0.0.1:{0}/a max=2\nProxyPass /b http://localhost:{0}/b max=1 acquire=100",
            origin.port
        ),
    );
    let server = site.start();
    let start = Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                start.wait();
                for _ in 0..10 {
                    assert_eq!(server.get("/a", "").text(), "x");
                }
            });
        }
    });
    // httpd counts for each child.
    assert!((1..=2).contains(&most.load(Ordering::SeqCst)) || real_httpd(), "{}", most.load(Ordering::SeqCst));
    let mut slow = server.connect();
    slow.send("GET /b/slow HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for("the slow request", PATIENCE, || (now.load(Ordering::SeqCst) > 0).then_some(()));
    let started = Instant::now();
    assert_eq!(server.get("/b", "").status, 503);
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
    assert_eq!(slow.response().status, 200);
}

//! A few hundred requests, from ordinary to hostile.

use std::net::Ipv6Addr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Where a script connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    /// The site's port on 127.0.0.1.
    V4,
    /// The same port on ::1.
    V6,
    /// The port whose server speaks HTTP/0.9.
    Old,
}

/// How a script ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The server closes.
    Closed,
    /// The client sends no more, then the server closes.
    HalfClose,
    /// The client closes once it has this many responses.
    Responses(usize),
}

/// What one connection says.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) to: To,
    pub(super) bytes: Vec<u8>,
    pub(super) end: End,
    /// Lines that the access log gets.
    pub(super) lines: usize,
    /// httpd counts bytes in `%I` that it only peeked at, or reads on behind a limit.
    pub(super) odd_count: bool,
}

impl Script {
    fn new(bytes: impl AsRef<[u8]>) -> Self {
        Self { to: To::V4, bytes: bytes.as_ref().to_vec(), end: End::Closed, lines: 1, odd_count: false }
    }

    /// What is said, for messages.
    pub(super) fn text(&self) -> String {
        let text: String = String::from_utf8_lossy(&self.bytes).chars().take(160).collect();
        format!("{:?} {text:?} {:?}", self.to, self.end)
    }

    fn odd_count(self) -> Self {
        Self { odd_count: true, ..self }
    }

    fn to(self, to: To) -> Self {
        Self { to, ..self }
    }

    fn end(self, end: End) -> Self {
        Self { end, ..self }
    }

    fn lines(self, lines: usize) -> Self {
        Self { lines, ..self }
    }
}

/// A request on a connection of its own; `fields` are whole lines.
fn one(method: &str, target: &str, fields: &str) -> Script {
    Script::new(format!("{method} {target} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n{fields}\r\n"))
}

/// All scripts. `timeouts` adds those that wait for the server to lose patience.
pub(super) fn all(timeouts: bool) -> Vec<Script> {
    let mut out = Vec::new();
    methods(&mut out);
    statuses(&mut out);
    targets(&mut out);
    fields(&mut out);
    protocols(&mut out);
    conditions(&mut out);
    bodies(&mut out);
    connections(&mut out);
    hosts(&mut out);
    users(&mut out);
    redirects(&mut out);
    if timeouts {
        slow(&mut out);
    }
    out
}

fn methods(out: &mut Vec<Script>) {
    let methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "PROPFIND", "OPTIONS", "FOO", "get", "M-SEARCH"];
    for method in methods {
        for target in ["/", "/missing", "/dir", "/dir/", "/p/ok", "/p/chunked", "/moved/x", "/dead/x"] {
            out.push(one(method, target, ""));
        }
    }
    out.push(one("OPTIONS", "*", ""));
    for method in ["TRACE", "CONNECT", "G@T", "G T", "G\"T", " GET", "GET\t", "G\x01T", "VERYLONGMETHODNAME"] {
        out.push(one(method, "/", ""));
    }
}

fn statuses(out: &mut Vec<Script>) {
    let codes = [
        200, 201, 202, 203, 204, 205, 206, 226, 300, 301, 302, 303, 304, 305, 307, 308, 400, 401, 403, 404, 405, 406,
        407, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 421, 422, 423, 424, 425, 426, 428, 429, 431, 451, 499,
        500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511, 599,
    ];
    for code in codes {
        out.push(one("GET", &format!("/p/status/{code}"), ""));
    }
    for code in [200, 204, 304, 404, 500] {
        out.push(one("HEAD", &format!("/p/status/{code}"), ""));
    }
    for path in ["/gone", "/local404/x", "/env", "/nolog", "/denied", "/denied/x", "/p/nothing", "/p/garbage", "/p/cut"]
    {
        out.push(one("GET", path, ""));
    }
}

fn targets(out: &mut Vec<Script>) {
    let targets = [
        "/%41",
        "/%2e%2e/x",
        "/%00",
        "/%ff",
        "/a%20b",
        "/%",
        "/%zz",
        "/%2",
        "/a//b",
        "/../",
        "/../../etc/passwd",
        "/./dir/",
        "/dir/../",
        "/%22quoted%22",
        "/<script>",
        "/\"q\"",
        "/back\\slash",
        "/tab%09",
        "/nl%0a",
        "/cr%0d%0aX",
        "/%5c%22",
        "/?",
        "/?a=b",
        "/?a=%20%22",
        "/?\"x\"",
        "/?a=b?c#d",
        "/x#frag",
        "/a%2fb",
        "/%2f",
        "/~user",
        "/a;b=c",
        "/dir;x/",
        "http://a.test/",
        "http://a.test/abs?q",
        "http://A.TEST:80/",
        "http://u:pw@a.test/",
        "http://u@a.test/x",
        "http://b.test/x",
        "HTTP://a.test/",
        "https://a.test/",
        "ftp://a.test/",
        "//double",
        "x",
        "",
        "*",
        "?",
        "a.test:443",
        "/index.html/extra",
        "/a.txt",
        "/a.txt?download=1",
        "/p/ok?x=%ff&y=\"",
        "/p/%41%20b",
        "/p/a%2fb",
        "/%e2%82%ac",
        "/:colon",
        "/a|b^c`d{e}",
        "/p/a|b",
        "/mapped/one",
        "/mapped/two?q",
    ];
    for target in targets {
        out.push(one("GET", target, ""));
    }
    for raw in [&b"/caf\xe9"[..], b"/\xff\xfe", b"/a\x01b", b"/a\x7fb", b"/a\tb", b"/a\x0bb", b"/?\xe9", b"/a\x00b"] {
        out.push(Script::new([b"GET ", raw, b" HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"].concat()));
    }
    for len in [4000, 8150, 8189, 8190, 8300, 20_000] {
        let script = one("GET", &format!("/{}", "l".repeat(len)), "");
        out.push(if len > 10_000 { script.odd_count() } else { script });
    }
}

fn fields(out: &mut Vec<Script>) {
    let agents: [&[u8]; 14] = [
        b"Mozilla/5.0 (X11; Linux x86_64)",
        b"",
        b" ",
        b"\"quoted\"",
        b"back\\slash",
        b"tab\there",
        b"caf\xe9",
        b"\xff\xfe\x80",
        b"del\x7f",
        b"ctl\x01",
        b"nul\x00",
        b"a  b",
        b"  lead and trail  ",
        b"vt\x0b",
    ];
    for agent in agents {
        for name in ["User-Agent", "Referer", "Cookie", "X-Odd"] {
            let head = format!("GET /a.txt HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n{name}: ");
            out.push(Script::new([head.as_bytes(), agent, b"\r\n\r\n"].concat()));
        }
    }
    for cookie in
        ["sess=1", "a=b; sess=2; c=d", "SESS = x y ;b", "sess=;sess=3", "=sess=4", "sess", "sess=\"q\"", "x=1;;sess=5"]
    {
        out.push(one("GET", "/", &format!("Cookie: {cookie}\r\n")));
    }
    out.push(one(
        "GET",
        "/",
        &format!("Cookie: a=1\r\nCookie: sess=second\r\nReferer: http://r/{}\r\n", "r".repeat(4000)),
    ));
    let broken = [
        "NoColon\r\n",
        "Space : x\r\n",
        " Leading: x\r\n",
        ": noname\r\n",
        "X:\r\n",
        "X: a\r\n b\r\n",
        "X: a\rb\r\n",
        "X: a\n",
        "Na me: x\r\n",
        "N\"me: x\r\n",
        "Connection: x, y\r\n",
        "Expect: 200-ok\r\n",
        "Upgrade: h2c\r\n",
        "Range: x\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 1x\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: 0\r\n",
        "If-Modified-Since: x\r\n",
        "TE: trailers\r\n",
        "Accept-Encoding: gzip\r\n",
    ];
    for lines in broken {
        out.push(one("GET", "/a.txt", lines));
    }
    out.push(one("GET", "/", &"X: y\r\n".repeat(99)));
    out.push(one("GET", "/", &"X: y\r\n".repeat(120)));
    out.push(one("GET", "/", &format!("X: {}\r\n", "y".repeat(8300))));
    out.push(one("GET", "/", &format!("{}: y\r\n", "N".repeat(9000))));
    out.push(one("GET", "/mark", "X-Set: one\r\n"));
    out.push(one("GET", "/p/cookies", ""));
}

fn protocols(out: &mut Vec<Script>) {
    for version in [
        "HTTP/1.0",
        "HTTP/1.2",
        "HTTP/1.9",
        "HTTP/2.0",
        "HTTP/0.9",
        "HTTP/3",
        "HTTP/1",
        "HTTP/1.",
        "HTTP/11.1",
        "http/1.1",
        "HTTPS/1.1",
        "HTTP/1.1x",
        "HTTP/1.1 ",
        " HTTP/1.1",
        "XTTP/1.1",
        "HTTP/01.1",
        "RTSP/1.0",
        "HTTP/1.1 HTTP/1.1",
    ] {
        let head = format!("GET / {version}\r\nHost: a.test\r\nConnection: close\r\n\r\n");
        out.push(Script::new(&head).end(End::HalfClose));
        out.push(Script::new(&head).to(To::Old).end(End::HalfClose));
    }
    for head in [
        "GET / HTTP/1.0\r\n\r\n",
        "GET /missing HTTP/1.0\r\n\r\n",
        "HEAD / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: b.test\r\n\r\n",
    ] {
        out.push(Script::new(head));
    }
    for line in [
        "GET /\r\n",
        "GET /a.txt\r\n",
        "GET /missing\r\n",
        "GET /p/ok\r\n",
        "HEAD /\r\n",
        "POST /\r\n",
        "GET\r\n",
        "/\r\n",
        "GET /\n",
        "FOO /\r\n",
        "GET http://a.test/\r\n",
        "\"\r\n",
        "GET / \r\n",
        "GET  /\r\n",
    ] {
        out.push(Script::new(line).end(End::HalfClose));
        out.push(Script::new(line).to(To::Old).end(End::HalfClose));
    }
    let foreign: [&[u8]; 9] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\xa0\xb1\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"EHLO x\r\nMAIL FROM:<a@b>\r\n",
        b"\x00\x00\x00\r\n\r\n",
        b"\x80\x2e\x01\x00\x02\r\n\r\n",
        b"{\"json\":1}\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a.test\nConnection: close\n\n",
        b"\x03\x00\x00\x13\x0e\xe0\r\n",
    ];
    for bytes in foreign {
        out.push(Script::new(bytes).end(End::HalfClose));
    }
    for blank in ["\r\n", "\r\n\r\n", "\n", "\r\n\n\r\n"] {
        let head = format!("{blank}GET /a.txt HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
        out.push(Script::new(head));
    }
    // Nothing was said.
    out.push(Script::new("").end(End::HalfClose).lines(0));
    out.push(Script::new("\r\n").end(End::HalfClose).lines(0));
    // Cut off: inside the request line that is nothing to log.
    for line in ["GET", "GET /", "GET / HTTP/1.1"] {
        out.push(Script::new(line).end(End::HalfClose).lines(0));
    }
    for head in ["GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a.te", "GET / HTTP/1.1\r\nHost: a.test\r\n"] {
        out.push(Script::new(head).end(End::HalfClose));
    }
}

fn conditions(out: &mut Vec<Script>) {
    // Several ranges are compared elsewhere: the length of what parts them differs from start to start, in httpd too.
    for range in ["bytes=0-3", "bytes=5-", "bytes=-2", "bytes=500-", "bytes=5-2", "lines=0-1"] {
        out.push(one("GET", "/a.txt", &format!("Range: {range}\r\n")));
    }
    let dates = ["Sun, 22 Nov 2026 07:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "Sun, 22 Nov 2099 07:00:00 GMT"];
    for date in dates {
        for name in ["If-Modified-Since", "If-Unmodified-Since"] {
            out.push(one("GET", "/a.txt", &format!("{name}: {date}\r\n")));
        }
    }
    for (name, tag) in [("If-None-Match", "*"), ("If-None-Match", "\"x\""), ("If-Match", "*"), ("If-Match", "\"x\"")] {
        out.push(one("GET", "/a.txt", &format!("{name}: {tag}\r\n")));
    }
}

fn bodies(out: &mut Vec<Script>) {
    for target in ["/", "/p/ok", "/missing", "/p/status/500"] {
        out.push(one("POST", target, "Content-Length: 5\r\n\r\nhello"));
        out.push(one("POST", target, "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"));
    }
    out.push(one("POST", "/p/ok", "Transfer-Encoding: chunked\r\n\r\n5;ext=1\r\nhello\r\n0\r\nT: trailer\r\n"));
    for bad in ["x\r\nhello\r\n0\r\n", "5\r\nhelloX\r\n0\r\n", "-5\r\nhello\r\n0\r\n"] {
        out.push(one("POST", "/p/ok", &format!("Transfer-Encoding: chunked\r\n\r\n{bad}")).end(End::HalfClose));
    }
    out.push(one("POST", "/p/ok", "Content-Length: 10\r\n\r\nhal").end(End::HalfClose));
    out.push(one("POST", "/limited", "Content-Length: 1000\r\n\r\n").end(End::HalfClose));
    out.push(one("POST", "/p/ok", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"));
    out.push(one("POST", "/", "Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello"));
}

fn connections(out: &mut Vec<Script>) {
    let get = |target: &str, fields: &str| format!("GET {target} HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n");
    let last = |target: &str| get(target, "Connection: close\r\n");
    let several = |parts: &[String], lines| Script::new(parts.concat()).lines(lines).odd_count();
    out.push(several(&[get("/a.txt", ""), get("/missing", ""), last("/dir/")], 3));
    out.push(several(&[get("/p/ok", ""), get("/p/chunked", ""), last("/p/status/404")], 3));
    out.push(several(&[get("/a.txt", ""), "GET / HTTP/9.9\r\n\r\n".to_owned()], 2));
    out.push(several(&[get("/a.txt", ""), "junk\r\n\r\n".to_owned()], 2));
    out.push(several(&[get("/a.txt", ""), get("/", "NoColon\r\n"), last("/")], 2).end(End::HalfClose));
    let post = "POST /p/ok HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello".to_owned();
    out.push(several(&[post.clone(), post, last("/a.txt")], 3));
    let many: Vec<String> = (0..8).map(|_| get("/a.txt", "")).collect();
    // MaxKeepAliveRequests is 5.
    out.push(several(&many, 6).end(End::HalfClose));
    out.push(several(&[get("/a.txt", ""), get("/a.txt", "")], 2).end(End::Responses(2)));
    out.push(Script::new("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").end(End::Responses(1)));
    out.push(several(&[get("/p/close", ""), get("/a.txt", "")], 2).end(End::HalfClose));
    out.push(several(&[get("/a.txt", ""), "\r\n".to_owned(), last("/a.txt")], 2));
    out.push(several(&[get("/a.txt", ""), "GET /half".to_owned()], 1).end(End::HalfClose));
}

fn hosts(out: &mut Vec<Script>) {
    for host in [
        "a.test",
        "A.Test",
        "b.test",
        "b.test:80",
        "b.test.",
        "unknown",
        "",
        "a b",
        "a.test:x",
        "a.test:99999",
        "[::1]",
        "[::1",
        "a_b",
        "a/b",
        "\"a\"",
        "127.0.0.1",
        "a.test, b.test",
        "caf\u{e9}.test",
    ] {
        out.push(Script::new(format!("GET /a.txt HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")));
    }
    out.push(Script::new("GET / HTTP/1.1\r\nConnection: close\r\n\r\n"));
    out.push(Script::new("GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\nConnection: close\r\n\r\n"));
    if std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        for target in ["/", "/missing", "/p/ok", "/dead/x"] {
            out.push(one("GET", target, "").to(To::V6));
        }
        out.push(Script::new("junk\r\n\r\n").to(To::V6).end(End::HalfClose));
    }
}

/// Names that the password file knows, and what the server shall make of them.
pub(super) const USERS: &[&str] =
    &["alice", "qu\"ote", "back\\slash", "caf\u{e9}", "sp ace", "tab\tbed", "Zo\u{eb} \u{20ac}", "-"];

fn users(out: &mut Vec<Script>) {
    let basic = |user: &str, password: &str| {
        let text = STANDARD.encode(format!("{user}:{password}"));
        format!("Authorization: Basic {text}\r\n")
    };
    for user in USERS.iter().chain(&["nobody", "", "ctl\u{1}"]) {
        for password in ["secret", "wrong"] {
            out.push(one("GET", "/private/", &basic(user, password)));
        }
        out.push(one("GET", "/", &basic(user, "secret")));
    }
    out.push(one("GET", "/private/x", ""));
    for odd in [
        "Basic",
        "Basic !!!",
        "Basic YQ==",
        "Digest x",
        "basic YWxpY2U6c2VjcmV0",
        "Bearer t",
        "Basic  YWxpY2U6c2VjcmV0 ",
    ] {
        out.push(one("GET", "/private/", &format!("Authorization: {odd}\r\n")));
    }
}

fn redirects(out: &mut Vec<Script>) {
    let targets = [
        "/rw/a",
        "/rw/a?x=1",
        "/rw/missing",
        "/rwp/ok",
        "/rwr/x",
        "/rwf",
        "/rwg",
        "/rwt",
        "/dir/rewritten",
        "/dir/lost",
        "/dir/loop",
        "/lb/ok",
        "/lb/ok;jsessionid=s.r2",
        "/lb/status/404",
        "/note",
        "/note?x",
    ];
    for target in targets {
        for method in ["GET", "HEAD", "POST"] {
            out.push(one(method, target, ""));
        }
    }
    for cookie in ["JSESSIONID=s.r1", "JSESSIONID=s.r2", "JSESSIONID=s.gone", "JSESSIONID=s"] {
        out.push(one("GET", "/lb/ok", &format!("Cookie: {cookie}\r\n")));
    }
}

/// The server's patience is one second.
fn slow(out: &mut Vec<Script>) {
    out.push(Script::new("GET / HTT"));
    out.push(Script::new("GET / HTTP/1.1\r\nHost: a.test\r\nX-"));
    out.push(one("POST", "/p/ok", "Content-Length: 10\r\n\r\nhalf"));
    out.push(Script::new("GET /a.txt HTTP/1.1\r\nHost: a.test\r\n\r\nGET /a.t"));
    out.push(one("GET", "/p/slow", ""));
}

//! The same requests to a node and to a real Tomcat with the same directory: what they answer and log.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use super::{Base, Running};
use crate::support::{PATIENCE, free_port, skip, wait_for};
use crate::tomcat::tomcat_home;

/// The log of both; what differs by nature is left out.
const LOG: &str = "<Valve className='org.apache.catalina.valves.AccessLogValve' prefix='oracle' suffix='.log' rotatable='false' buffered='false'
    pattern='%m %U \"%r\" %H %s'/>";

/// A Tomcat on the same applications as a node.
pub(super) struct Tomcat {
    base: Base,
    _running: Running,
}

impl Tomcat {
    /// Starts one; `None` where there is none.
    pub(super) fn start(host: &str, prepare: impl Fn(&Base)) -> Option<Self> {
        let home = tomcat_home()?;
        let base = Base::new();
        prepare(&base);
        base.write("conf/server.xml", &server(&base, host));
        base.write(
            "conf/web.xml",
            "<web-app xmlns='https://jakarta.ee/xml/ns/jakartaee' version='6.0'>
             <servlet><servlet-name>default</servlet-name><servlet-class>org.apache.catalina.servlets.DefaultServlet</servlet-class></servlet>
             <servlet-mapping><servlet-name>default</servlet-name><url-pattern>/</url-pattern></servlet-mapping>
             <mime-mapping><extension>txt</extension><mime-type>text/plain</mime-type></mime-mapping></web-app>",
        );
        fs::create_dir_all(base.dir.path().join("temp")).unwrap();
        let output = File::create(base.dir.path().join("logs/out")).unwrap();
        let jars = home.join("bin");
        let child = Command::new("java")
            .arg(format!("-Dcatalina.home={}", home.display()))
            .arg(format!("-Dcatalina.base={}", base.dir.path().display()))
            .arg(format!("-Djava.io.tmpdir={}", base.dir.path().join("temp").display()))
            .args(["-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-classpath"])
            .arg(format!("{0}/bootstrap.jar:{0}/tomcat-juli.jar", jars.display()))
            .args(["org.apache.catalina.startup.Bootstrap", "start"])
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .process_group(0)
            .spawn()
            .unwrap();
        let mut running = Running(child);
        wait_for("Tomcat", Duration::from_secs(120), || {
            assert!(running.0.try_wait().unwrap().is_none(), "{}", base.log());
            base.log().contains("Server startup in").then_some(())
        });
        Some(Self { base, _running: running })
    }
}

pub(super) fn server(base: &Base, host: &str) -> String {
    format!(
        "<Server port='-1'>{}<Service name='Catalina'><Connector port='{}' address='127.0.0.1' redirectPort='8443'/>{}
         <Engine name='Catalina' defaultHost='localhost'><Host name='localhost' appBase='webapps'>{host}{LOG}</Host></Engine></Service></Server>",
        fs::read_to_string(base.dir.path().join("conf/resources")).unwrap_or_default(),
        base.http,
        fs::read_to_string(base.dir.path().join("conf/connector")).unwrap_or_default()
    )
}

/// Everything that comes back for these bytes on a connection of its own.
pub(super) fn raw(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    // A server that closes while more is on its way to it may reset the connection; what it said was read before.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// An answer without what differs by nature: times, names of programs, and traces of Java.
fn masked(answer: &str) -> String {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let page = body.starts_with("<!doctype html>");
    let trace = body.contains("Exception Report");
    let mut out = String::new();
    for line in head.lines() {
        // An empty body is chunked there and has a length here.
        let framing = line.starts_with("Content-Length: ") && (page || line.ends_with(" 0"))
            || line.starts_with("Transfer-Encoding: ") && body == "0\r\n\r\n";
        if !(line.starts_with("Date: ") || framing) {
            out.push_str(line);
            out.push('\n');
        }
    }
    out.push('\n');
    let body = match (page, body.find("<h1>"), body.find("<h3>")) {
        (true, Some(from), Some(to)) => &body[from..to],
        _ => body.strip_suffix("0\r\n\r\n").unwrap_or(body),
    };
    // Tomcat tells whoever asks badly where in its code that was found.
    if trace || body.contains("<b>Type</b>") && head.starts_with("HTTP/1.1 400") {
        return out;
    }
    out + body
}

/// Asks both; all differences at once.
pub(super) fn compare(tomcat: &Tomcat, ours: &Base, requests: &[&str]) {
    let mut differ = String::new();
    for request in requests {
        let [theirs, ours] = [&tomcat.base, ours].map(|base| masked(&raw(base.http, request)));
        if theirs != ours {
            differ.push_str(&format!("{request:.200}\n--- Tomcat\n{theirs}\n--- node\n{ours}\n"));
        }
    }
    assert!(differ.is_empty(), "{differ}");
    let logs = [&tomcat.base, ours].map(|base| {
        wait_for("the log", PATIENCE, || {
            let text = fs::read_to_string(base.dir.path().join("logs/oracle.log")).unwrap_or_default();
            (text.lines().count() >= requests.len()).then_some(text)
        })
    });
    let [theirs, ours] = logs.each_ref().map(|text| text.lines().collect::<Vec<_>>());
    assert_eq!(theirs, ours);
}

/// Files with a time and a name that both have.
pub(super) fn files(base: &Base) {
    base.write("webapps/ROOT/a.txt", "hello static\n");
    let file = File::options().write(true).open(base.dir.path().join("webapps/ROOT/a.txt")).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600)).unwrap();
    base.write("webapps/ROOT/b.txt", "b\n");
    let file = File::options().write(true).open(base.dir.path().join("webapps/ROOT/b.txt")).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600)).unwrap();
    base.write("webapps/app/sub/x.txt", "x\n");
    base.write("webapps/app/nf.txt", "not found here\n");
    base.write(
        "webapps/app/WEB-INF/web.xml",
        "<web-app xmlns='https://jakarta.ee/xml/ns/jakartaee' version='6.0'><error-page><error-code>404</error-code>
         <location>/nf.txt</location></error-page></web-app>",
    );
}

#[test]
fn requests_are_read_and_files_served_as_tomcat_does() {
    let Some(tomcat) = Tomcat::start("", files) else {
        return skip("requests_are_read_and_files_served_as_tomcat_does", "tomcat10 or a Java runtime");
    };
    let ours = Base { http: free_port(), ..Base::new() };
    files(&ours);
    ours.write("conf/server.xml", &server(&ours, ""));
    let _running = ours.start();
    let get = |fields: &str| format!("GET /a.txt HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let line = |line: &str| format!("{line}\r\nHost: a\r\n\r\n");
    let mut requests: Vec<String> = Vec::new();
    requests.extend(
        [
            "GET /a.txt HTTP/1.1",
            "HEAD /a.txt HTTP/1.1",
            "GET /no HTTP/1.1",
            "GET /a.txt/ HTTP/1.1",
            "PUT /a.txt HTTP/1.1",
            "DELETE /a.txt HTTP/1.1",
            "TRACE /a.txt HTTP/1.1",
            "OPTIONS /a.txt HTTP/1.1",
            "OPTIONS * HTTP/1.1",
            "FOO / HTTP/1.1",
            "GET /a%2fb HTTP/1.1",
            "GET /%zz HTTP/1.1",
            "GET /../x HTTP/1.1",
            "GET /%5cb HTTP/1.1",
            "GET /%00 HTTP/1.1",
            "GET /%ff HTTP/1.1",
            "GET /a\\b HTTP/1.1",
            "GET /|x HTTP/1.1",
            "GET /a.txt?[x]=1 HTTP/1.1",
            "GET /a.txt?x=%zz&y=1/2?3 HTTP/1.1",
            "GET /[x] HTTP/1.1",
            "GET /[x]?y=1 HTTP/1.1",
            "GET /a.txt?x=\"1\" HTTP/1.1",
            "GET http://a/a.txt HTTP/1.1",
            "GET http://b/a.txt HTTP/1.1",
            "G@T / HTTP/1.1",
        ]
        .map(line),
    );
    requests.extend(
        [
            "Range: bytes=0-1\r\n",
            "Range: bytes=0-1,3-4\r\n",
            "Range: bytes=0-5,2-8\r\n",
            "Range: bytes=100-\r\n",
            "Range: bytes=-3\r\n",
            "Range: bytes=0-20\r\n",
            "Range: x\r\n",
            "Range: bytes=5-2\r\n",
            "Range: bytes=0-9999999999999999999\r\n",
            "Range: bytes=0-0\r\nIf-Range: \"x\"\r\n",
            "Range: bytes=0-0\r\nIf-Range: Thu, 01 Jan 2026 00:00:00 GMT\r\n",
            "If-Match: \"x\"\r\n",
            "If-Match: *\r\n",
            "If-Unmodified-Since: Thu, 01 Jan 2020 00:00:00 GMT\r\n",
            "If-Unmodified-Since: Thu, 01 Jan 2099 00:00:00 GMT\r\n",
            "If-None-Match: W/\"13-1767225600000\"\r\n",
            "If-None-Match: \"13-1767225600000\"\r\n",
            "If-None-Match: \"x\"\r\nIf-Modified-Since: Thu, 01 Jan 2099 00:00:00 GMT\r\n",
            "If-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT\r\n",
            "Connection: close\r\n",
            "Connection: keep-alive\r\n",
        ]
        .map(get),
    );
    requests.extend(
        [
            "POST /a.txt HTTP/1.1\r\nHost: a\r\nIf-None-Match: *\r\nContent-Length: 0\r\n\r\n",
            "POST /a.txt HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
            "POST /a.txt HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: foo\r\n\r\n",
            "POST /a.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "GET /a.txt HTTP/1.1\r\n\r\n",
            "GET /a.txt HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "GET /a.txt HTTP/1.1\r\nHost: a b\r\n\r\n",
            "GET /a.txt HTTP/1.1\r\nHost: a:b\r\n\r\n",
            "GET /a.txt HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
            "GET /a.txt HTTP/1.1\r\nHost: [::x]:80\r\n\r\n",
            "GET /a.txt HTTP/1.1\r\nHost: a_b.c\r\n\r\n",
            "GET /a.txt HTTP/1.1\r\nHost: a-b.c9:80\r\n\r\n",
            "GET /a.txt HTTP/1.1\r\nHost:\r\n\r\n",
            "GET /a.txt HTTP/1.0\r\n\r\n",
            "GET /a.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            "GET /a.txt HTTP/1.0\r\nConnection: close, keep-alive\r\n\r\n",
            "GARBAGE\r\n\r\n",
        ]
        .map(str::to_owned),
    );
    requests.extend(odd());
    let requests: Vec<&str> = requests.iter().map(String::as_str).collect();
    compare(&tomcat, &ours, &requests);
}

/// Requests that are not quite as they should be, and conditions that are none.
fn odd() -> Vec<String> {
    const NEXT: &str = "GET /b.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let get = |fields: &str| format!("GET /a.txt HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let post = |fields: &str| format!("POST /a.txt HTTP/1.1\r\nHost: a\r\n{fields}\r\n0\r\n\r\n");
    let line = |line: &str| format!("{line}\r\nHost: a\r\n\r\n");
    let host = |host: &str| format!("GET /a.txt HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let mut all: Vec<String> = Vec::new();
    all.extend(
        ["a..b", ".a", "-a", "a-", "a-.b", "a.-b", "a.", "a..", ".", "-", "1-", "1..2", "999.1.1.1", "a--b"].map(host),
    );
    all.extend(["a~b", "a!b", "[::1]x", "[::1]:", "u:p@a", "a,b", "%61"].map(host));
    all.extend(
        [
            "CONNECT / HTTP/1.1",
            "CONNECT a:80 HTTP/1.1",
            "GET / HTTP/1.2",
            "GET / HTTP/1.11",
            "GET / HTTP/2.0",
            "GET / HTTP/",
            "GET / 1.1",
            "GET / HTTP/1.1a",
            "GET / HTTP/1.1 ",
            "GET http://u:p@a/a.txt HTTP/1.1",
            "GET http://@a/a.txt HTTP/1.1",
            "GET http://a@b@a/a.txt HTTP/1.1",
            "GET  /a.txt HTTP/1.1",
            "GET\t/a.txt\t HTTP/1.1",
            "GET /app HTTP/1.1",
            "GET /app?x=1 HTTP/1.1",
            "GET /app;jsessionid=ABC?x=1 HTTP/1.1",
            "GET /app;jsessionid=%41 HTTP/1.1",
            "GET /app HTTP/1.0",
            "GET /app/sub HTTP/1.0",
            "GET /app/sub?x=1 HTTP/1.1",
            "GET /app/sub/ HTTP/1.1",
            "GET /app/. HTTP/1.1",
            "GET /app/sub/. HTTP/1.1",
            "GET /app/sub/x/..?a HTTP/1.1",
            "GET /app/./sub HTTP/1.1",
            "GET /app/sub/./ HTTP/1.1",
            "GET /app/none HTTP/1.1",
            "PUT /app/none HTTP/1.1",
            "HEAD /app/none HTTP/1.1",
            "GET /app/WEB-INF/web.xml HTTP/1.1",
            "GET /WEB-INF/x HTTP/1.1",
            "GET /meta-inf HTTP/1.1",
        ]
        .map(line),
    );
    all.push(format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9000)));
    all.push("GET /app/none HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\nIf-None-Match: *\r\n\r\n".to_owned());
    all.push("GET /no HTTP/1.1\r\nHost: a\r\nIf-None-Match: x\r\n\r\n".to_owned());
    all.push("\nGET /a.txt HTTP/1.1\nHost: a\nConnection: close\n\n".to_owned());
    all.push("GET /a.txt HTTP/1.1\r\nHost: a\r\nX: a\nConnection: close\r\n\n".to_owned());
    all.push("GET /a.txt HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n".to_owned());
    all.push(format!("{}{NEXT}", get("Expect: 200-ok\r\n")));
    for name in ["If-Match", "If-None-Match"] {
        for value in ["x", "", "\"x\",", ", \"x\"", "\"x\" \"y\"", "w/\"x\"", "W/ \"x\"", "\"\"", "*, \"x\"", "\"x"] {
            all.push(get(&format!("{name}: {value}\r\n")));
        }
    }
    all.push(get("If-None-Match: \"x\"\r\nIf-None-Match: W/\"13-1767225600000\"\r\n"));
    for value in
        ["Thu, 01 Jan 2026 00:00:01 GMT", "W/\"13-1767225600000\"", "\"13-1767225600000\"", "x", "*", "\"a\", \"b\""]
    {
        all.push(get(&format!("If-Range: {value}\r\nRange: bytes=0-1\r\n")));
    }
    for value in ["BYTES=0-1", "bytes = 0 - 1", "items=0-1", "=0-1", "", "bytes=0-1,,2-3", "foo"] {
        all.push(get(&format!("Range: {value}\r\n")));
    }
    for value in [
        "chunked, gzip",
        "gzip, chunked",
        "chunked, chunked",
        "",
        "identity",
        "chunked;q=1",
        "\"chunked\"",
        ";",
        "CHUNKED",
    ] {
        all.push(post(&format!("Connection: close\r\nTransfer-Encoding: {value}\r\n")));
    }
    all.push(post("Connection: close\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"));
    all.push("POST /a.txt HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned());
    // Nobody reads a body that ends early.
    all.extend(
        ["GET", "POST", "PUT"]
            .map(|method| format!("{method} /a.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")),
    );
    all
}

/// Valves that answer themselves, each on a host of its own.
#[test]
fn valves_answer_as_tomcats_do() {
    const VALVE: &str = "<Valve className='org.apache.catalina.valves.";
    let valves = [
        ("health", "HealthCheckValve'"),
        ("cidr", "RemoteCIDRValve' allow='10.0.0.0/8, ::1' denyStatus='404'"),
        ("net", "RemoteCIDRValve' deny='127.0.0.0/30'"),
        ("in", "RemoteCIDRValve' allow='127.0.0.0/8'"),
        ("name", "RemoteHostValve' allow='127[.]0[.]0[.]1'"),
        ("full", "SemaphoreValve' concurrency='0' block='false' highConcurrencyStatus='503'"),
        ("quiet", "SemaphoreValve' concurrency='0' block='false'"),
        ("room", "SemaphoreValve' concurrency='1'"),
        ("drain", "LoadBalancerDrainingValve'"),
        ("ssl", "SSLValve'"),
        ("json", "JsonErrorReportValve'"),
        ("stuck", "StuckThreadDetectionValve'"),
        ("crawler", "CrawlerSessionManagerValve'"),
    ];
    let hosts: Vec<String> = valves
        .iter()
        .map(|(name, valve)| format!("<Host name='{name}' appBase='webapps'>{VALVE}{valve}/>{LOG}</Host>"))
        .collect();
    let json = "errorReportValveClass='org.apache.catalina.valves.JsonErrorReportValve'";
    let host = format!(
        "</Host>{}<Host name='report' appBase='webapps' {json}>{LOG}</Host><Host name='last' appBase='webapps'>",
        hosts.join("")
    );
    let Some(tomcat) = Tomcat::start(&host, files) else {
        return skip("valves_answer_as_tomcats_do", "tomcat10 or a Java runtime");
    };
    let ours = Base { http: free_port(), ..Base::new() };
    files(&ours);
    ours.write("conf/server.xml", &server(&ours, &host));
    let _running = ours.start();
    let mut requests = Vec::new();
    for name in valves.map(|(name, _)| name).into_iter().chain(["report"]) {
        for target in ["/a.txt", "/health", "/health?x=1", "/health/", "/no"] {
            requests.push(format!("GET {target} HTTP/1.1\r\nHost: {name}\r\n\r\n"));
        }
    }
    requests.push("POST /health HTTP/1.1\r\nHost: health\r\nContent-Length: 1\r\n\r\nx".to_owned());
    requests.push("HEAD /health HTTP/1.1\r\nHost: health\r\n\r\n".to_owned());
    let requests: Vec<&str> = requests.iter().map(String::as_str).collect();
    compare(&tomcat, &ours, &requests);
}

/// A log of requests without what differs by nature: who writes it, and how long requests took.
fn log_of(base: &Base, name: &str, lines: usize) -> Vec<String> {
    let path = base.dir.path().join("logs").join(name);
    let text = wait_for(name, PATIENCE, || {
        let text = fs::read_to_string(&path).unwrap_or_default();
        (text.lines().count() >= lines).then_some(text)
    });
    text.lines().filter(|line| !line.starts_with("#Software: ")).map(str::to_owned).collect()
}

/// Logs that are no pattern with text between its items.
#[test]
fn json_and_extended_logs_are_tomcats() {
    const JSON: &str = "%a %A %b %B %h %H %l %m %p %q %r %s %S %u %U %v %X text %% %{a}c %{b}c %{User-Agent}i %{No}i \
        %{Content-Type}o %{No}o %{x}r %{y}s %{peer}a %{yyyy}t %z %{z}z";
    const EXTENDED: &str = "date bytes  cached c-ip c-dns s-ip s-dns\tcs-method cs-uri cs-uri-stem cs-uri-query sc-status \
        cs(User-Agent) cs(No) sc(Content-Type) x-C(a) x-A(q) x-S(t) x-R(u) x-P(p) x-H(authType) x-H(contentLength) \
        x-H(protocol) x-H(remoteUser) x-H(requestedSessionId) x-H(requestedSessionIdFromCookie) \
        x-H(requestedSessionIdValid) x-H(scheme) x-H(secure) x-Z(a) date";
    const COMMON: &str = "rotatable='false' buffered='false' suffix='.log'";
    const VALVES: &str = "org.apache.catalina.valves";
    let host = format!(
        "<Valve className='{VALVES}.JsonAccessLogValve' prefix='json' {COMMON} pattern='{JSON}'/>\
         <Valve className='{VALVES}.JsonAccessLogValve' prefix='common' {COMMON} pattern='%h %l %u \"%r\" %s %b'/>\
         <Valve className='{VALVES}.ExtendedAccessLogValve' prefix='extended' {COMMON} pattern='{EXTENDED}'/>\
         <Valve className='{VALVES}.ExtendedAccessLogValve' prefix='unknown' {COMMON} pattern='c-port date'/>"
    );
    let Some(tomcat) = Tomcat::start(&host, files) else {
        return skip("json_and_extended_logs_are_tomcats", "tomcat10 or a Java runtime");
    };
    let ours = Base { http: free_port(), ..Base::new() };
    files(&ours);
    ours.write("conf/server.xml", &server(&ours, &host));
    let _running = ours.start();
    let requests = [
        "GET /a.txt?p=a+%22b&q HTTP/1.1\r\nHost: a\r\nUser-Agent: a \"b\" \\c\r\nCookie: a=x; JSESSIONID=Z\r\n\r\n",
        "HEAD /a.txt HTTP/1.1\r\nHost: a:81\r\nUser-Agent: one\r\nUser-Agent: two\r\n\r\n",
        "GET /none HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    compare(&tomcat, &ours, &requests);
    for name in ["json.log", "common.log", "extended.log", "unknown.log"] {
        let lines = requests.len() + if name.starts_with(['e', 'u']) { 3 } else { 0 };
        let [theirs, ours] = [&tomcat.base, &ours].map(|base| log_of(base, name, lines));
        // A page that explains an error has another program's name in it.
        let masked = |lines: Vec<String>| -> Vec<String> {
            let length = |line: String| {
                if line.contains("/none") { line.replace(|c: char| c.is_ascii_digit(), "") } else { line }
            };
            lines.into_iter().map(length).collect()
        };
        assert_eq!(masked(ours), masked(theirs), "{name}");
    }
}

/// A crawler that brings no cookie keeps its session.
#[test]
fn crawlers_keep_their_session() {
    let base = Base { http: free_port(), ..Base::new() };
    files(&base);
    base.write(
        "conf/server.xml",
        &server(&base, "<Valve className='org.apache.catalina.valves.CrawlerSessionManagerValve'/>"),
    );
    let _running = base.start();
    let ask = |agent: &str| {
        let answer = raw(
            base.http,
            &format!(
                "GET /cluster/ HTTP/1.1\r\nHost: localhost\r\nUser-Agent: {agent}\r\nAccept: application/json\r\n\r\n"
            ),
        );
        let page: serde_json::Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        (page["id"].as_str().unwrap().to_owned(), page["maxInactiveInterval"].as_i64().unwrap())
    };
    let (first, second, person) = (ask("a Bot"), ask("another bot"), ask("a person"));
    assert_eq!((first.1, second.clone()), (1800, (first.0, 60)), "the limit is set behind the first request");
    assert_ne!(person.0, second.0);
}

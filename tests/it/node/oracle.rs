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
struct Tomcat {
    base: Base,
    _running: Running,
}

impl Tomcat {
    /// Starts one; `None` where there is none.
    fn start(host: &str, prepare: impl Fn(&Base)) -> Option<Self> {
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

fn server(base: &Base, host: &str) -> String {
    format!(
        "<Server port='-1'><Service name='Catalina'><Connector port='{}' address='127.0.0.1'/>
         <Engine name='Catalina' defaultHost='localhost'><Host name='localhost' appBase='webapps'>{host}{LOG}</Host></Engine></Service></Server>",
        base.http
    )
}

/// Everything that comes back for these bytes on a connection of its own.
fn raw(port: u16, request: &str) -> String {
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
fn compare(tomcat: &Tomcat, ours: &Base, requests: &[&str]) {
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
fn files(base: &Base) {
    base.write("webapps/ROOT/a.txt", "hello static\n");
    let file = File::options().write(true).open(base.dir.path().join("webapps/ROOT/a.txt")).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600)).unwrap();
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
            "GARBAGE\r\n\r\n",
        ]
        .map(str::to_owned),
    );
    let requests: Vec<&str> = requests.iter().map(String::as_str).collect();
    compare(&tomcat, &ours, &requests);
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
    ];
    let hosts: Vec<String> = valves
        .iter()
        .map(|(name, valve)| format!("<Host name='{name}' appBase='webapps'>{VALVE}{valve}/>{LOG}</Host>"))
        .collect();
    let host = format!("</Host>{}<Host name='last' appBase='webapps'>", hosts.join(""));
    let Some(tomcat) = Tomcat::start(&host, files) else {
        return skip("valves_answer_as_tomcats_do", "tomcat10 or a Java runtime");
    };
    let ours = Base { http: free_port(), ..Base::new() };
    files(&ours);
    ours.write("conf/server.xml", &server(&ours, &host));
    let _running = ours.start();
    let mut requests = Vec::new();
    for (name, _) in valves {
        for target in ["/a.txt", "/health", "/health?x=1", "/health/", "/no"] {
            requests.push(format!("GET {target} HTTP/1.1\r\nHost: {name}\r\n\r\n"));
        }
    }
    requests.push("POST /health HTTP/1.1\r\nHost: health\r\nContent-Length: 1\r\n\r\nx".to_owned());
    requests.push("HEAD /health HTTP/1.1\r\nHost: health\r\n\r\n".to_owned());
    let requests: Vec<&str> = requests.iter().map(String::as_str).collect();
    compare(&tomcat, &ours, &requests);
}

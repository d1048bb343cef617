//! Programs that others have made: a browser, curl, nghttp, h2load, testssl.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::super::support::{Server, Site, wait_for};
use super::{LOG, MODULES, TLS, certificate, curl, tools};

/// A program with all that it starts; they end with the value.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        let _ = killpg(Pid::from_raw(i32::try_from(self.0.id()).unwrap()), Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

/// What programs of this size may take to come up on a machine with other things to do.
const LONG: Duration = Duration::from_secs(180);

/// Runs a program to its end: what it writes.
fn run(program: &str, args: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    let mut group = Group(command.spawn().unwrap());
    let mut out = group.0.stdout.take().unwrap();
    let reads = std::thread::spawn(move || {
        let mut text = Vec::new();
        out.read_to_end(&mut text).unwrap();
        text
    });
    wait_for(program, LONG, || group.0.try_wait().unwrap());
    String::from_utf8_lossy(&reads.join().unwrap()).into_owned()
}

/// Answers a WebSocket's first message with the same and a mark, on every connection.
fn web_socket(listener: TcpListener) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || answer(stream.unwrap()));
        }
    });
}

fn answer(mut stream: TcpStream) -> Option<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("sec-websocket-key").then_some(value)
    })?;
    let accept = super::proxied::accept_of(key);
    let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    stream.write_all(format!("{switch}Sec-WebSocket-Accept: {accept}\r\n\r\n").as_bytes()).ok()?;
    let mut start = [0; 6];
    stream.read_exact(&mut start).ok()?;
    let mut text = vec![0; usize::from(start[1] & 0x7f)];
    stream.read_exact(&mut text).ok()?;
    text.iter_mut().zip(start[2..].iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    text.push(b'!');
    stream.write_all(&[&[0x81, u8::try_from(text.len()).unwrap()][..], &text].concat()).ok()?;
    // The browser says that it closes, and sees that done.
    stream.read_exact(&mut start).ok()?;
    Some(())
}

/// What Chromium knows the certificate by.
fn key_hash(site: &Site) -> String {
    let pem = site.path("certs/server.pem").display().to_string();
    let key = run("openssl", &["x509", "-in", &pem, "-noout", "-pubkey"]);
    let der: String = key.lines().filter(|line| !line.starts_with('-')).collect();
    let file = site.path("certs/key.der");
    std::fs::write(&file, STANDARD.decode(der).unwrap()).unwrap();
    let hash = run("openssl", &["dgst", "-sha256", "-r", &file.display().to_string()]);
    let bytes: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&hash[at * 2..at * 2 + 2], 16).unwrap()).collect();
    STANDARD.encode(bytes)
}

fn page(port: u16) -> String {
    format!(
        "<!doctype html><title>page</title><script>(async () => {{\n\
         const said = [performance.getEntriesByType('navigation')[0].nextHopProtocol];\n\
         said.push((await (await fetch('/data.txt')).text()).trim());\n\
         said.push((await fetch('/nowhere', {{method: 'POST', body: 'x'.repeat(100000)}})).status);\n\
         const socket = new WebSocket('wss://a.test:{port}/ws');\n\
         socket.onopen = () => socket.send('ping');\n\
         socket.onerror = () => fetch('/done?error');\n\
         socket.onmessage = event => {{ said.push(event.data); socket.close(); fetch('/done?' + said.join(',')); }};\n\
         }})();</script>\n"
    )
}

#[test]
fn a_browser_shows_a_page_fetches_and_opens_a_web_socket() {
    if !tools("a_browser_shows_a_page_fetches_and_opens_a_web_socket", &["chromium", "openssl"]) {
        return;
    }
    let site = Site::new("h2-browser");
    certificate(&site);
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let echo = listener.local_addr().unwrap().port();
    web_socket(listener);
    let hash = key_hash(&site);
    site.write("htdocs/page.html", page(site.port));
    site.write("htdocs/data.txt", "fetched\n");
    let modules = [MODULES, &["mime", "proxy", "proxy_http", "proxy_wstunnel"]].concat();
    // Over a stream of the connection that is there, or over a connection of its own.
    for (sockets, line) in [("on", "\"GET /ws HTTP/2.0\" 101 "), ("off", "\"GET /ws HTTP/1.1\" 101 ")] {
        site.write("logs/access_log", "");
        let body = format!(
            "{TLS}{LOG}Protocols h2 http/1.1\nH2WebSockets {sockets}\nTypesConfig /dev/null\nAddType text/html .html\n\
             ProxyPass /ws ws://127.0.0.1:{echo}/ws\n"
        );
        site.httpd_conf(&modules, &body);
        let server = site.start();
        let mut command = Command::new("chromium");
        command
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            .args(["--disable-background-networking", "--remote-debugging-port=0", "--no-proxy-server"])
            .arg(format!("--user-data-dir={}", site.path(&format!("browser-{sockets}")).display()))
            .args(["--host-resolver-rules=MAP a.test 127.0.0.1", "--allow-insecure-localhost"])
            .arg(format!("--ignore-certificate-errors-spki-list={hash}"))
            .arg(format!("https://a.test:{}/page.html", site.port))
            .env("HOME", site.root())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        let _browser = Group(command.spawn().unwrap());
        let log = long_log(&site, |text| text.contains("/done?"));
        assert!(log.contains("\"GET /done?h2,fetched,404,ping! HTTP/2.0\" 404 "), "{log}");
        assert!(log.contains("\"POST /nowhere HTTP/2.0\" 404 "), "{log}");
        server.log("logs/access_log", |text| text.contains(line));
    }
}

/// Waits for a program of some size to be seen in the access log.
fn long_log(site: &Site, done: impl Fn(&str) -> bool) -> String {
    let started = Instant::now();
    loop {
        let text = site.read("logs/access_log");
        if done(&text) {
            return text;
        }
        assert!(started.elapsed() < LONG, "the access log is still:\n{text}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Both ports of a site: TLS on its own, plain on another.
fn two_ports(site: &Site) -> u16 {
    certificate(site);
    let plain = super::super::support::free_port();
    site.write("htdocs/large.txt", "x".repeat(200_000));
    let (shared, tls) = TLS.split_once('\n').unwrap();
    site.httpd_conf(
        MODULES,
        &format!(
            "{shared}\n{LOG}Listen 127.0.0.1:{plain}\nProtocols h2 h2c http/1.1\n\
             <VirtualHost 127.0.0.1:{}>\nServerName localhost\n{tls}</VirtualHost>\n",
            site.port
        ),
    );
    plain
}

#[test]
fn curl_speaks_each_protocol_as_it_is_told() {
    if !tools("curl_speaks_each_protocol_as_it_is_told", &["curl", "openssl"]) {
        return;
    }
    let site = Site::new("h2-curl");
    let plain = two_ports(&site);
    let server = site.start();
    for (port, scheme, option, version) in [
        (server.port, "https", "--http2", "2"),
        (server.port, "https", "--http1.1", "1.1"),
        (server.port, "https", "--http2-prior-knowledge", "2"),
        (plain, "http", "--http2", "2"),
        (plain, "http", "--http1.1", "1.1"),
        (plain, "http", "--http2-prior-knowledge", "2"),
    ] {
        let got = curl(port, &format!("{scheme}://localhost/large.txt"), &[option]);
        let seen = (got.code.as_str(), got.version.as_str(), got.text.len());
        assert_eq!(seen, ("200", version, 200_000), "{scheme} {option}");
    }
}

#[test]
fn nghttp_and_h2load_get_all_they_ask_for() {
    if !tools("nghttp_and_h2load_get_all_they_ask_for", &["nghttp", "h2load", "openssl"]) {
        return;
    }
    let site = Site::new("h2-nghttp");
    let plain = two_ports(&site);
    let server = site.start();
    let urls = |server: &Server<'_>| {
        [format!("https://127.0.0.1:{}/large.txt", server.port), format!("http://127.0.0.1:{plain}/large.txt")]
    };
    let [secure, open] = urls(&server);
    for args in [&["-nv", &secure][..], &["-nv", &open], &["-nvu", &open]] {
        let said = run("nghttp", args);
        assert!(said.contains(":status: 200") && !said.contains("[ERROR]"), "{args:?}: {said}");
    }
    for url in [&secure, &open] {
        let said = run("h2load", &["-n", "400", "-c", "4", "-m", "25", url]);
        assert!(said.contains("400 total, 400 started, 400 done, 400 succeeded, 0 failed"), "{said}");
        assert!(said.contains("status codes: 400 2xx, 0 3xx, 0 4xx, 0 5xx"), "{said}");
    }
}

#[test]
fn testssl_finds_nothing_above_low() {
    if !tools("testssl_finds_nothing_above_low", &["testssl", "openssl"]) {
        return;
    }
    let site = Site::new("h2-testssl");
    certificate(&site);
    // Whose order of suites counts is the configuration's business, and testssl wants it to be the server's.
    site.httpd_conf(MODULES, &format!("{TLS}Protocols h2 http/1.1\nSSLHonorCipherOrder on\n"));
    let server = site.start();
    let json = site.path("findings.json");
    let to = format!("localhost:{}", server.port);
    let said =
        run(
            "testssl",
            &[
                &[
                    "--quiet",
                    "--color",
                    "0",
                    "--warnings",
                    "batch",
                    "--ip",
                    "127.0.0.1",
                    "--openssl",
                    "/usr/bin/openssl",
                ][..],
                // Protocols, preferences, weaknesses that have a name.
                &["-p", "-P", "-U", "--jsonfile", json.to_str().unwrap(), &to],
            ]
            .concat(),
        );
    let text = std::fs::read_to_string(&json).unwrap_or_else(|error| panic!("{error}: {said}"));
    let findings: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let word = |finding: &serde_json::Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let all: Vec<[String; 3]> =
        findings.iter().map(|finding| ["severity", "id", "finding"].map(|key| word(finding, key))).collect();
    let has = |id: &str, text: &str| all.iter().any(|[_, of, what]| of == id && what.contains(text));
    assert!(has("TLS1_3", "offered") && has("TLS1_2", "offered") && has("heartbleed", "not vulnerable"), "{all:#?}");
    let low = ["OK", "INFO", "LOW", "DEBUG"];
    let above: Vec<_> = all
        .iter()
        // That this machine's own OpenSSL has no GOST is nothing of the server's.
        .filter(|[severity, id, _]| !low.contains(&severity.as_str()) && id != "engine_problem")
        .collect();
    assert!(above.is_empty(), "{above:#?}");
}

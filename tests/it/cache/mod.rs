//! Answers that are kept (mod_cache and its stores). One scenario a file in `tests/cache`: modules, files, what the
//! origin behind the proxy answers, and configuration; a line `---`; then requests with what the origin was asked,
//! what the client was answered, and what the logs tell of it.
//!
//! `HTTPD=/usr/sbin/apache2 BLESS=1` writes the answers of the real httpd into the files.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Mutex;

use crate::support::{Message, Origin, Scenario, Server, Site, Style, age, hide, repeated, scenarios};

mod origin;
mod store;

/// Runs a scenario and compares (or blesses) it.
fn run(name: &str) {
    let scenario = Scenario::read("cache", name);
    let site = Site::new(&format!("cache-{name}"));
    let answers = origin::Answers::default();
    let origin = origin::start(&answers);
    prepare(&site, &scenario.setup, &answers, origin.port);
    let server = site.start();
    let mut watch = Watch { site: &site, errors: site.read("logs/error_log").lines().count(), log: 0, asked: 0 };
    let mut told = String::new();
    // Where the origin is is each run's own.
    let exchanges = scenario.exchanges.replace("@O@", &origin.port.to_string());
    for request in exchanges.lines().filter_map(|line| line.strip_prefix("> ")) {
        // Seen when the answer does not come.
        println!("> {request}");
        told += &format!("> {request}\n");
        let shown = answer(&server, request);
        told += &watch.asked(&origin);
        told += &shown;
        told += &watch.logged(&server);
        told += &watch.errors();
    }
    // Which ports there are is each run's own.
    scenario.settle(&told.replace(&site.port.to_string(), "@P@").replace(&origin.port.to_string(), "@O@"));
}

/// `modules a b`, `file PATH TEXT`, `cache DIR` (a folder the server may write to), `origin PATH ANSWER` (see
/// [`origin`]), then `conf` and the rest.
fn prepare(site: &Site, setup: &str, answers: &origin::Answers, port: u16) {
    let (lines, conf) = setup.split_once("\nconf\n").unwrap();
    let mut modules: Vec<&str> = Vec::new();
    for line in lines.lines() {
        let (word, rest) = line.split_once(' ').unwrap();
        match word {
            "modules" => modules.extend(rest.split(' ')),
            "file" => {
                let (path, text) = rest.split_once(' ').unwrap_or((rest, ""));
                site.write(path, repeated(text));
            }
            "cache" => writable(&site.path(rest)),
            "origin" => answers.add(rest),
            other => panic!("what is {other}?"),
        }
    }
    age(&site.path("htdocs"));
    let conf = conf.replace("@R@", site.root().to_str().unwrap());
    let conf = conf.replace("@P@", &site.port.to_string()).replace("@O@", &port.to_string());
    let log = "LogFormat \"%>s %{cache-status}e|%{cache-hit}e|%{cache-miss}e|%{cache-revalidate}e|%{cache-invalidate}e\" c\n\
               CustomLog logs/cache_log c\nLogLevel info\n";
    site.httpd_conf(&modules, &format!("{log}{conf}"));
}

/// A folder that the server may write to, whoever it runs as.
fn writable(dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    fs::set_permissions(dir, fs::Permissions::from_mode(0o777)).unwrap();
}

/// The answer to one request, without what differs from run to run.
fn answer(server: &Server<'_>, request: &str) -> String {
    let mut parts = request.split(" | ");
    let line = parts.next().unwrap();
    let (mut host, mut fields, mut body) = ("localhost", String::new(), "");
    for part in parts {
        match part.split_once(' ').unwrap_or((part, "")) {
            ("body", text) => body = text,
            ("Host:", name) => host = name,
            _ => fields += &format!("{}\r\n", origin::dated(part)),
        }
    }
    if !body.is_empty() {
        fields += &format!("Content-Length: {}\r\n", body.len());
    }
    let mut client = server.connect();
    client.send(format!("{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{fields}\r\n{body}"));
    shown(&client.response_to(line.split(' ').next().unwrap()))
}

/// An answer in lines, without what differs from run to run.
fn shown(message: &Message) -> String {
    let head = String::from_utf8_lossy(&message.head);
    // What it is compressed to is each library's own.
    let zipped = head.contains("Content-Encoding: gzip");
    let body = if zipped { format!("(compressed)\n{}", unzipped(&message.body)) } else { message.text() };
    Style { lines: 20, longest: 200 }.response(&head, &body, |name, value| {
        Some(match name {
            "" => value.to_owned(),
            "Age" => format!("Age: {}", rounded(value)),
            "Expires" | "Last-Modified" if origin::is_now(value) => format!("{name}: @now@"),
            "Content-Length" if zipped => "Content-Length: @".to_owned(),
            _ => format!("{name}: {value}"),
        })
    })
}

fn unzipped(bytes: &[u8]) -> String {
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(bytes), &mut text).unwrap();
    text
}

/// An age without the seconds that the test itself takes.
fn rounded(age: &str) -> String {
    match age.parse::<u64>() {
        Ok(age) => format!("@{}@", age / 50 * 50),
        Err(_) => age.to_owned(),
    }
}

/// What was seen of the logs and of the origin so far.
struct Watch<'a> {
    site: &'a Site,
    errors: usize,
    log: usize,
    asked: usize,
}

impl Watch<'_> {
    /// What the origin was asked since the last look.
    fn asked(&mut self, origin: &Origin) -> String {
        let all = origin.requests();
        let new = all.get(self.asked..).unwrap_or_default().iter().map(origin::shown).collect();
        self.asked = all.len();
        new
    }

    /// The access log's line of the request.
    fn logged(&mut self, server: &Server<'_>) -> String {
        let log = server.log("logs/cache_log", |log| log.lines().count() > self.log);
        let new: String = log.lines().skip(self.log).map(|line| format!("# {line}\n")).collect();
        self.log = log.lines().count();
        new
    }

    /// What the error log says of the client since the last look.
    fn errors(&mut self) -> String {
        let log = self.site.read("logs/error_log").replace(self.site.root().to_str().unwrap(), "@R@");
        let mut out = String::new();
        for line in log.lines().skip(self.errors) {
            if let Some((front, rest)) = line.split_once("[client ") {
                let module = front.split('[').nth(2).unwrap_or_default().trim_end().trim_end_matches(']');
                out += &format!("! {module} {}\n", hide(rest.split_once("] ").unwrap().1));
            }
        }
        self.errors = log.lines().count();
        out
    }
}

scenarios! {
    in "tests/cache":
    forward
    handler
    keys
    quick
    revalidate
    socache
    storable
}

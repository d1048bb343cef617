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
use std::time::{Duration, SystemTime};

use crate::support::{Message, Origin, Server, Site, hide, real_httpd, scenarios};

mod origin;
mod store;

/// When all files of a scenario were modified.
const MODIFIED: u64 = 1_700_000_000;

/// Runs a scenario and compares (or blesses) it.
fn run(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cache").join(format!("{name}.test"));
    let text = fs::read_to_string(&path).unwrap();
    let (setup, exchanges) = text.split_once("\n---\n").unwrap();
    let site = Site::new(&format!("cache-{name}"));
    let answers = origin::Answers::default();
    let origin = origin::start(&answers);
    prepare(&site, setup, &answers, origin.port);
    let server = site.start();
    let mut watch = Watch { site: &site, errors: site.read("logs/error_log").lines().count(), log: 0, asked: 0 };
    let mut told = String::new();
    // Where the origin is is each run's own.
    let exchanges = exchanges.replace("@O@", &origin.port.to_string());
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
    let told = told.replace(&site.port.to_string(), "@P@").replace(&origin.port.to_string(), "@O@");
    if std::env::var_os("BLESS").is_some() {
        assert!(real_httpd(), "only the real httpd blesses");
        fs::write(&path, format!("{setup}\n---\n{told}")).unwrap();
        return;
    }
    let exchanges = exchanges.replace(&origin.port.to_string(), "@O@");
    let (ours, wanted) = (blocks(&told), blocks(&exchanges));
    let differing = ours.iter().zip(&wanted).filter(|(ours, wanted)| ours != wanted);
    let differing: Vec<String> = differing.map(|(ours, wanted)| format!("{wanted}--- ours:\n{ours}\n")).collect();
    assert!(differing.is_empty(), "{name}: {} differ\n{}", differing.len(), differing.concat());
    assert_eq!(ours.len(), wanted.len());
}

fn blocks(text: &str) -> Vec<String> {
    let mut blocks: Vec<String> = Vec::new();
    for line in text.lines() {
        if line.starts_with("> ") {
            blocks.push(String::new());
        }
        if let Some(block) = blocks.last_mut() {
            *block += line;
            *block += "\n";
        }
    }
    blocks
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

/// A text with `\n`; with ` xN` behind it so often.
fn repeated(text: &str) -> String {
    let (text, times) = match text.rsplit_once(" x") {
        Some((text, times)) if times.bytes().all(|b| b.is_ascii_digit()) => (text, times.parse().unwrap()),
        _ => (text, 1),
    };
    text.replace("\\n", "\n").repeat(times)
}

/// Makes everything below a folder as old as [`MODIFIED`].
fn age(dir: &Path) {
    let when = SystemTime::UNIX_EPOCH + Duration::from_secs(MODIFIED);
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            age(&entry.path());
        }
        fs::File::open(entry.path()).unwrap().set_modified(when).unwrap();
    }
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
    let text = String::from_utf8_lossy(&message.head).into_owned();
    let boundary = text.split("boundary=").nth(1).map(|rest| rest.lines().next().unwrap().to_owned());
    // What it is compressed to is each library's own.
    let zipped = text.contains("Content-Encoding: gzip");
    let mut out = String::new();
    for field in text.trim_end().split("\r\n") {
        let (name, value) = field.split_once(": ").unwrap_or((field, ""));
        match name {
            "Date" | "Server" | "Connection" => {}
            "Age" => out += &format!("Age: {}\n", rounded(value)),
            "Expires" | "Last-Modified" if origin::is_now(value) => out += &format!("{name}: @now@\n"),
            // The boundary of ranges has no fixed length.
            "Content-Length" if zipped || boundary.is_some() => out += "Content-Length: @\n",
            _ => out += &format!("{field}\n"),
        }
    }
    let body = if zipped {
        out += "(compressed)\n";
        unzipped(&message.body)
    } else {
        message.text()
    };
    let body = body.replace('\r', "\\r");
    for line in body.lines().take(20) {
        let line = if line.len() > 200 { format!("@{} bytes", line.len()) } else { line.to_owned() };
        out += &format!("| {line}\n");
    }
    match boundary {
        Some(boundary) => out.replace(&boundary, "@B@"),
        None => out,
    }
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

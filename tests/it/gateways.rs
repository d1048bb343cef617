//! Requests through the proxy to raw origins of every protocol: what the client gets, what the origin was sent, what
//! the logs say. One scenario a file in `tests/gateways`: `modules`, `origin NAME PROTOCOL` lines, `file PATH TEXT`
//! lines, `conf` and the configuration, a line `---`, then exchanges:
//!
//! - `< A bytes`: what origin A answers from now on (escapes `\r \n \t \xHH`; for `fcgi`: records, see [`answer`]);
//! - `> bytes`: a request. Behind ` ~ ` more is sent once a head came back; ` ~ .` ends the sending direction;
//! - `= `: what the client got, `@ `: what origins got, `* `: the access log, `! `: the error log. These are recorded.
//!
//! `@A@` stands for origin A's port, `@PORT@` for the server's, `@DEAD@` for one where nobody listens, `@R@` for the
//! ServerRoot. `HTTPD=/usr/sbin/apache2 BLESS=1` records the answers of the real httpd.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::support::{Message, Origin, Peer, Site, free_port, real_httpd};

type Answers = Arc<Mutex<HashMap<String, Vec<u8>>>>;
type Notes = Arc<Mutex<Vec<String>>>;

/// What stands for what: text as it occurs, and as files show it.
struct Names(Vec<(String, String)>);

impl Names {
    fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (real, shown)| text.replace(shown, real))
    }

    fn hide(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (real, shown)| text.replace(real, shown))
    }
}

fn run(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gateways").join(format!("{name}.test"));
    let text = fs::read_to_string(&path).unwrap();
    let (setup, exchanges) = text.split_once("\n---\n").unwrap();
    let site = Site::new(&format!("gw-{name}"));
    let (answers, notes) = (Answers::default(), Notes::default());
    let mut names = Names(vec![
        (site.root().to_str().unwrap().to_owned(), "@R@".to_owned()),
        (site.port.to_string(), "@PORT@".to_owned()),
        (free_port().to_string(), "@DEAD@".to_owned()),
    ]);
    let (lines, conf) = setup.split_once("\nconf\n").unwrap();
    let mut origins = Vec::new();
    let mut modules = Vec::new();
    for line in lines.lines() {
        let words: Vec<&str> = line.splitn(3, ' ').collect();
        match words[0] {
            "modules" => modules.extend(line.split(' ').skip(1)),
            "file" => site.write(words[1], unescape(words[2])),
            "origin" => {
                let origin = origin(words[1], words[2], &answers, &notes);
                names.0.push((origin.port.to_string(), format!("@{}@", words[1])));
                origins.push(origin);
            }
            other => panic!("what is {other}?"),
        }
    }
    let log = "LogFormat \"\\\"%r\\\" %>s %b %I %O %X\" gateway\nCustomLog logs/access_log gateway\nLogLevel info\n";
    site.httpd_conf(&modules, &format!("{log}{}", names.fill(conf)));
    let server = site.start();
    let mut told = String::new();
    let mut seen = (0, 0);
    for line in exchanges.lines() {
        if let Some(rest) = line.strip_prefix("< ") {
            let (origin, bytes) = rest.split_once(' ').unwrap();
            answers.lock().unwrap().insert(origin.to_owned(), unescape(&names.fill(bytes)));
            told += &format!("{line}\n");
        } else if let Some(request) = line.strip_prefix("> ") {
            told += &format!("{line}\n");
            let got = ask(server.connect(), &names.fill(request));
            told += &shown("=", &names.hide(&String::from_utf8_lossy(&got)));
            let wanted = seen.0 + 1;
            let access = server.log("logs/access_log", |log| log.lines().count() >= wanted);
            for note in notes.lock().unwrap().drain(..) {
                told += &shown("@", &names.hide(&note));
            }
            let tail = |text: &str, from: usize| text.lines().skip(from).map(str::to_owned).collect::<Vec<_>>();
            tail(&access, seen.0).iter().for_each(|line| told += &format!("* {}\n", names.hide(line)));
            let errors = site.read("logs/error_log");
            tail(&errors, seen.1).iter().for_each(|line| told += &entry(&names.hide(line)));
            seen = (access.lines().count(), errors.lines().count());
        }
    }
    if std::env::var_os("BLESS").is_some() {
        assert!(real_httpd(), "only the real httpd blesses");
        fs::write(&path, format!("{setup}\n---\n{told}")).unwrap();
        return;
    }
    let (ours, theirs) = (blocks(&told), blocks(exchanges));
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs, "{name}: ours on the left, httpd's on the right\n{ours}\n{theirs}");
    }
    assert_eq!(ours.len(), theirs.len());
}

fn blocks(text: &str) -> Vec<String> {
    let mut blocks: Vec<String> = Vec::new();
    for line in text.lines() {
        if line.starts_with("> ") || blocks.is_empty() {
            blocks.push(String::new());
        }
        let block = blocks.last_mut().unwrap();
        *block += line;
        *block += "\n";
    }
    blocks
}

/// Lines of text, each marked, without what differs from run to run.
fn shown(mark: &str, text: &str) -> String {
    let mut out = String::new();
    for line in text.split('\n').filter(|line| !line.is_empty()) {
        let end = line.strip_suffix('\r').unwrap_or(line);
        let line = match end.split_once(": ") {
            Some(("Date" | "SERVER_SOFTWARE" | "PATH" | "REMOTE_PORT" | "UNIQUE_ID" | "Proxy-agent", _)) => continue,
            Some(("Server", name)) if name.starts_with("Apache/") => continue,
            // A list without order.
            Some(("Allow", methods)) => {
                let mut methods: Vec<&str> = methods.split(',').collect();
                methods.sort_unstable();
                &format!("Allow: {}", methods.join(","))
            }
            _ => end,
        };
        // A long line is told by its length.
        let line = if line.len() > 900 { format!("({} bytes)", line.len()) } else { escape(line) };
        out += &format!("{mark} {line}\n");
    }
    out
}

/// An entry of the error log that tells of a request or a backend.
fn entry(line: &str) -> String {
    let Some((front, rest)) = line.split_once("] [pid ") else { return String::new() };
    let module = front.rsplit('[').next().unwrap();
    let rest = rest.split_once("] ").map_or("", |(_, rest)| rest);
    let (status, rest) = match rest.split_once("[client ") {
        Some((status, rest)) => (status, rest.split_once("] ").map_or("", |(_, rest)| rest)),
        None if module.starts_with("proxy") => ("", rest),
        None => return String::new(),
    };
    format!("! {module} {status}{rest}\n")
}

fn ask(mut client: Peer, request: &str) -> Vec<u8> {
    let mut got = Vec::new();
    for (at, part) in request.split(" ~ ").enumerate() {
        if at > 0 && got.is_empty() {
            got.extend(client.read_until("\r\n\r\n"));
        }
        if part == "." {
            client.finish();
        } else {
            client.try_send(unescape(part));
        }
    }
    got.extend(client.rest());
    got
}

fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes().iter();
    while let Some(byte) = rest.next() {
        if *byte != b'\\' {
            out.push(*byte);
            continue;
        }
        match rest.next().unwrap() {
            b'r' => out.push(b'\r'),
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'x' => {
                let digits = [*rest.next().unwrap(), *rest.next().unwrap()];
                out.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
            }
            other => out.push(*other),
        }
    }
    out
}

fn escape(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\r' => "\\r".to_owned(),
            c if c.is_control() => format!("\\x{:02x}", u32::from(c)),
            c => c.to_string(),
        })
        .collect()
}

/// Serves a protocol: notes what it hears, answers what it is told to, and closes.
fn origin(name: &str, protocol: &str, answers: &Answers, notes: &Notes) -> Origin {
    let (name, protocol, answers, notes) = (name.to_owned(), protocol.to_owned(), answers.clone(), notes.clone());
    Origin::serving(move |peer, _| {
        let told = || answers.lock().unwrap().get(&name).cloned();
        let note = |text: String| notes.lock().unwrap().push(format!("{name} {text}"));
        match protocol.as_str() {
            "http" => {
                let Some(Message { head, body, .. }) = peer.request() else { return };
                note(format!("{}{}", String::from_utf8_lossy(&head), String::from_utf8_lossy(&body)));
                peer.try_send(told().unwrap_or_else(|| b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi".to_vec()));
            }
            "echo" => {
                let mut heard = Vec::new();
                peer.try_send(told().unwrap_or_default());
                while let Some(byte) = peer.next_byte() {
                    heard.push(byte);
                    if !peer.try_send([byte.to_ascii_uppercase()]) {
                        break;
                    }
                }
                note(String::from_utf8_lossy(&heard).into_owned());
                peer.try_send("bye");
            }
            // Takes a request and says nothing.
            "mute" => {
                let Some(Message { head, .. }) = peer.request() else { return };
                note(String::from_utf8_lossy(&head).into_owned());
            }
            other => panic!("what is {other}?"),
        }
    })
}

macro_rules! scenarios {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name));
        })*

        /// No scenario lies about unused.
        #[test]
        fn every_scenario_is_run() {
            let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gateways");
            let mut there: Vec<String> =
                fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            there.sort();
            let mut run = vec![$(format!("{}.test", stringify!($name))),*];
            run.sort();
            assert_eq!(there, run);
        }
    };
}

scenarios! {
    connect
    forward
    remote
    remote_tls
}

//! Requests through the proxy to raw origins of every protocol: what the client gets, what the origin was sent, what
//! the logs say. One scenario a file in `tests/gateways`: `modules`, `origin NAME PROTOCOL` lines, `file PATH TEXT`
//! lines (and `exec`, for scripts), `conf` and the configuration, a line `---`, then exchanges:
//!
//! - `< A bytes`: what origin A answers from now on (escapes `\r \n \t \xHH`; for `fcgi`: records, see [`fcgi_answer`]);
//! - `> bytes`: a request. Behind ` ~ ` more is sent once a head came back; ` ~ .` ends the sending direction;
//! - `= `: what the client got, `@ `: what origins got, `* `: the access log, `! `: the error log. These are recorded.
//!
//! `@A@` stands for origin A's port, `@PORT@` for the server's, `@DEAD@` for one where nobody listens, `@R@` for the
//! ServerRoot. `HTTPD=/usr/sbin/apache2 BLESS=1` records the answers of the real httpd.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};

use crate::support::{Message, Origin, Peer, Scenario, Site, free_port, scenarios, sorted};

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
    let scenario = Scenario::read("gateways", name);
    let (setup, exchanges) = (&scenario.setup, &scenario.exchanges);
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
            "exec" => {
                site.write(words[1], unescape(words[2]));
                fs::set_permissions(site.path(words[1]), fs::Permissions::from_mode(0o755)).unwrap();
            }
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
    // Whether a short answer is framed by its length or in chunks hangs on when the origin closes.
    let loose = modules.iter().any(|module| matches!(*module, "proxy_scgi" | "proxy_uwsgi"));
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
            let got = shown("=", &names.hide(&String::from_utf8_lossy(&unchunked(got))));
            let framing =
                |line: &&str| line.starts_with("= Content-Length: ") || *line == "= Transfer-Encoding: chunked";
            got.lines().filter(|line| !(loose && framing(line))).for_each(|line| told += &format!("{line}\n"));
            let wanted = seen.0 + 1;
            let access = server.log("logs/access_log", |log| log.lines().count() >= wanted);
            for note in notes.lock().unwrap().drain(..) {
                told += &shown("@", &names.hide(&note));
            }
            let tail = |text: &str, from: usize| text.lines().skip(from).map(str::to_owned).collect::<Vec<_>>();
            for line in tail(&access, seen.0) {
                let line = names.hide(&line);
                let bytes = line.rsplitn(3, ' ').nth(2).unwrap();
                told += &format!("* {}\n", if loose { bytes } else { &line });
            }
            let errors = site.read("logs/error_log");
            tail(&errors, seen.1).iter().for_each(|line| told += &entry(&names.hide(line)));
            seen = (access.lines().count(), errors.lines().count());
        }
    }
    scenario.settle(&told);
}

/// A response without its chunks, whose sizes differ from run to run; an end that is missing is told.
fn unchunked(got: Vec<u8>) -> Vec<u8> {
    let Some(end) = memchr::memmem::find(&got, b"\r\n\r\n") else { return got };
    let (head, mut rest) = got.split_at(end + 4);
    if memchr::memmem::find(head, b"Transfer-Encoding: chunked\r\n").is_none() {
        return got;
    }
    let mut out = head.to_vec();
    while let Some(line) = memchr::memmem::find(rest, b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        if size == 0 {
            return out;
        }
        out.extend_from_slice(&rest[line + 2..line + 2 + size]);
        rest = &rest[line + 4 + size..];
    }
    out.extend_from_slice(b"\n(no last chunk)");
    out
}

/// Lines of text, each marked, without what differs from run to run.
fn shown(mark: &str, text: &str) -> String {
    let mut out = String::new();
    for line in text.split('\n').filter(|line| !line.is_empty()) {
        let end = line.strip_suffix('\r').unwrap_or(line);
        let line = match end.split_once(": ") {
            Some(("Date" | "SERVER_SOFTWARE" | "PATH" | "REMOTE_PORT" | "UNIQUE_ID" | "Proxy-agent", _)) => continue,
            Some(("Server", name)) if name.starts_with("Apache/") => continue,
            Some(("Last-Modified", _)) => continue,
            // That of a file made for the test: weak for its first second.
            Some(("ETag", tag)) if tag.starts_with("W/") || is_of_a_file(tag) => continue,
            Some(("Allow", methods)) => &format!("Allow: {}", sorted(methods)),
            _ => end,
        };
        // A long line is told by its length.
        let line = if line.len() > 900 { format!("({} bytes)", line.len()) } else { escape(line) };
        out += &format!("{mark} {line}\n");
    }
    out
}

/// Whether an entity tag is made of a size and a time.
fn is_of_a_file(tag: &str) -> bool {
    let parts = tag.trim_matches('"').split_once('-');
    parts.is_some_and(|(size, time)| {
        time.len() > 11 && [size, time].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()))
    })
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
    // The size has the length of the directory's name in it.
    let rest = rest.split_once("too large (").map_or_else(|| rest.to_owned(), |(start, _)| format!("{start}too large"));
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
            "fcgi" => {
                let Some(heard) = fcgi_request(peer) else { return };
                note(heard);
                peer.try_send(
                    told()
                        .map_or_else(|| fcgi_answer(b"out Status: 200 OK\r\n\r\nhi | out | end"), |t| fcgi_answer(&t)),
                );
                peer.finish();
                peer.rest();
            }
            "scgi" => {
                let length = peer.read_until(":");
                let length = std::str::from_utf8(&length[..length.len() - 1]).unwrap().parse().unwrap();
                let fields = peer.read_exactly(length);
                assert_eq!(peer.read_exactly(1), b",");
                let words: Vec<&[u8]> = fields.split(|byte| *byte == 0).collect();
                let pairs: Vec<(&[u8], &[u8])> = words.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
                note(variables(&pairs) + &body_of(peer, &pairs));
                peer.try_send(told().unwrap_or_else(|| b"Status: 200 OK\r\n\r\nhi".to_vec()));
            }
            "uwsgi" => {
                let head = peer.read_exactly(4);
                let packet = peer.read_exactly(usize::from(u16::from_le_bytes([head[1], head[2]])));
                let (mut words, mut rest) = (Vec::new(), packet.as_slice());
                while let [low, high, behind @ ..] = rest {
                    let (word, behind) = behind.split_at(usize::from(u16::from_le_bytes([*low, *high])));
                    words.push(word);
                    rest = behind;
                }
                let pairs: Vec<(&[u8], &[u8])> = words.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
                let modifiers = format!("modifiers {} {}\n", head[0], head[3]);
                note(modifiers + &variables(&pairs) + &body_of(peer, &pairs));
                peer.try_send(told().unwrap_or_else(|| b"HTTP/1.0 200 OK\r\n\r\nhi".to_vec()));
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

fn variables(pairs: &[(&[u8], &[u8])]) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    pairs.iter().map(|(name, value)| format!("{}: {}\n", text(name), text(value))).collect()
}

/// The body that `CONTENT_LENGTH` promises.
fn body_of(peer: &mut Peer, pairs: &[(&[u8], &[u8])]) -> String {
    let length = pairs.iter().find(|(name, _)| *name == b"CONTENT_LENGTH").map(|(_, length)| length.to_vec());
    let length = length.and_then(|length| String::from_utf8(length).unwrap().parse().ok()).unwrap_or(0);
    format!("({})", String::from_utf8_lossy(&peer.read_exactly(length)))
}

/// One request in records, as text; `None` if there is none.
fn fcgi_request(peer: &mut Peer) -> Option<String> {
    let (mut heard, mut params, mut body, mut authorizer) = (String::new(), Vec::new(), Vec::new(), false);
    loop {
        let mut head = vec![peer.next_byte()?];
        head.extend(peer.read_exactly(7));
        let content = peer.read_exactly(usize::from(u16::from_be_bytes([head[4], head[5]])));
        peer.read_exactly(usize::from(head[6]));
        heard += &format!("record {} id {} of {}\n", head[1], u16::from_be_bytes([head[2], head[3]]), content.len());
        match head[1] {
            1 => {
                authorizer = content.starts_with(&[0, 2]);
                heard += &format!("{content:?}\n");
            }
            // Which is not sent a body, not even an empty one.
            4 if content.is_empty() && authorizer => break,
            4 => params.extend(content),
            5 if content.is_empty() => break,
            _ => body.extend(content),
        }
    }
    let (mut words, mut rest) = (Vec::new(), params.as_slice());
    while !rest.is_empty() {
        let mut lengths = [0; 2];
        for length in &mut lengths {
            let wide = rest[0] & 0x80 != 0;
            let (bytes, behind) = rest.split_at(if wide { 4 } else { 1 });
            *length = bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)) & 0x7fff_ffff;
            rest = behind;
        }
        let (name, behind) = rest.split_at(lengths[0]);
        let (value, behind) = behind.split_at(lengths[1]);
        words.push((name, value));
        rest = behind;
    }
    // The length of PATH is another on each machine.
    let heard: String = heard.lines().filter(|line| !line.starts_with("record 4 ")).map(|l| format!("{l}\n")).collect();
    Some(heard + &variables(&words) + &format!("({})", String::from_utf8_lossy(&body)))
}

/// Records of a response: `out TEXT`, `err TEXT`, `end`, `raw BYTES`, `TYPE VERSION ID TEXT`, with ` | ` between them.
fn fcgi_answer(text: &[u8]) -> Vec<u8> {
    let record = |version: u8, kind: u8, id: u8, content: &[u8]| {
        let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
        let padding = content.len() % 4;
        [&[version, kind, 0, id, high, low, padding as u8, 0][..], content, &b"\0\0\0"[..padding]].concat()
    };
    let mut out = Vec::new();
    let text = String::from_utf8(text.to_vec()).unwrap();
    for part in text.split(" | ") {
        let (word, rest) = part.split_once(' ').unwrap_or((part, ""));
        out.extend(match word {
            "out" => record(1, 6, 1, rest.as_bytes()),
            "err" => record(1, 7, 1, rest.as_bytes()),
            "end" => record(1, 3, 1, &[0; 8]),
            "raw" => rest.as_bytes().to_vec(),
            kind => {
                let words: Vec<&str> = rest.splitn(3, ' ').collect();
                record(words[0].parse().unwrap(), kind.parse().unwrap(), words[1].parse().unwrap(), words[2].as_bytes())
            }
        });
    }
    out
}

scenarios! {
    in "tests/gateways":
    answers
    authnz_fcgi
    charset_lite
    connect
    ext_filter
    fcgi
    filter_protocol
    forward
    input
    proxy_html
    reflector
    remote
    remote_gateways
    remote_tls
    scgi
    sed
    uwsgi
}

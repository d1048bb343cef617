//! Scenarios that are files: requests (`> …`), each with lines that show its answer. What differs from run to run is
//! left out of them, the answers of the real httpd can be written into them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::real_httpd;

/// When all files of a scenario were modified.
const MODIFIED: u64 = 1_700_000_000;

/// A scenario's file, in its two parts: what is set up, and the exchanges.
pub struct Scenario {
    name: String,
    path: PathBuf,
    /// What stands in front of the line `---`.
    pub setup: String,
    /// What stands behind it.
    pub exchanges: String,
}

impl Scenario {
    /// Reads `tests/DIR/NAME.test`.
    pub fn read(dir: &str, name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(dir).join(format!("{name}.test"));
        let text = fs::read_to_string(&path).unwrap();
        let (setup, exchanges) = text.split_once("\n---\n").unwrap();
        Self { name: name.to_owned(), setup: setup.to_owned(), exchanges: exchanges.to_owned(), path }
    }

    /// Compares what the exchanges came to with the file; with `BLESS=1`, and the real httpd, writes it there.
    pub fn settle(&self, told: &str) {
        if std::env::var_os("BLESS").is_some() {
            assert!(real_httpd(), "only the real httpd blesses");
            fs::write(&self.path, format!("{}\n---\n{told}", self.setup)).unwrap();
            return;
        }
        let (ours, wanted) = (blocks(told), blocks(&self.exchanges));
        let differing = ours.iter().zip(&wanted).filter(|(ours, wanted)| ours != wanted);
        let differing: Vec<String> = differing.map(|(ours, wanted)| format!("{wanted}--- ours:\n{ours}\n")).collect();
        assert!(differing.is_empty(), "{}: {} differ\n{}", self.name, differing.len(), differing.concat());
        assert_eq!(ours.len(), wanted.len(), "{}", self.name);
    }
}

/// The exchanges one by one: each begins with its request, the first one with what stands in front of it.
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

/// Makes everything below a folder as old as all files of scenarios are.
pub fn age(dir: &Path) {
    let when = SystemTime::UNIX_EPOCH + Duration::from_secs(MODIFIED);
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            age(&entry.path());
        }
        if !kind.is_symlink() {
            fs::File::open(entry.path()).unwrap().set_modified(when).unwrap();
        }
    }
}

/// A text with `\n` and `\r`; with ` xN` behind it so often.
pub fn repeated(text: &str) -> String {
    let (text, times) = match text.rsplit_once(" x") {
        Some((text, times)) if times.bytes().all(|b| b.is_ascii_digit()) => (text, times.parse().unwrap()),
        _ => (text, 1),
    };
    text.replace("\\n", "\n").replace("\\r", "\r").repeat(times)
}

/// How a response is shown.
pub struct Style {
    /// So many lines of its body.
    pub lines: usize,
    /// Longer ones by their length alone.
    pub longest: usize,
}

impl Style {
    /// Lines of the head, then those of the body behind `| `. `field` shows a line of the head by its name (empty for
    /// the first one) and value, or leaves it out.
    pub fn response(&self, head: &str, body: &str, mut field: impl FnMut(&str, &str) -> Option<String>) -> String {
        let boundary = head.split("boundary=").nth(1).map(|rest| rest.lines().next().unwrap());
        let mut out = String::new();
        for line in head.trim_end().split("\r\n") {
            let (name, value) = line.split_once(": ").unwrap_or(("", line));
            let shown = match name {
                "Date" | "Server" | "Connection" => None,
                // The boundary of ranges has no fixed length.
                "Content-Length" if boundary.is_some() => Some("Content-Length: @".to_owned()),
                "Allow" => Some(format!("Allow: {}", sorted(value))),
                _ => field(name, value),
            };
            shown.iter().for_each(|line| out += &format!("{line}\n"));
        }
        for line in body.replace('\r', "\\r").lines().take(self.lines) {
            let line = if line.len() > self.longest { format!("@{} bytes", line.len()) } else { line.to_owned() };
            out += &format!("| {line}\n");
        }
        match boundary {
            Some(boundary) => out.replace(boundary, "@B@"),
            None => out,
        }
    }
}

/// The methods of `Allow`, a list without order.
pub fn sorted(methods: &str) -> String {
    let mut methods: Vec<&str> = methods.split(',').collect();
    methods.sort_unstable();
    methods.join(",")
}

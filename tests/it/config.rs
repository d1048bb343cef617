//! The golden files of `tests/config/`: files of a configuration, a line `---`, and what the program makes of them.
//!
//! A file is one case, or several that begin with a line `== NAME`. In front of the line `---`: `-- NAME` begins a
//! file, `httpd.conf` is the one that is read; an event MPM (where the case loads none), mod_info and a ServerName come
//! before it. Behind the line: the warnings, then the error with the second look at its line, or the virtual hosts and
//! the tree. `BLESS=1` writes what is found into the files; read the difference before committing it.
//!
//! A second test gives every case to the real httpd, which must come to the same verdict and refuse with the same
//! lines.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tandem::server::cli::Invocation;
use tandem::server::dumps;
use tandem::server::load::{Failure, Loaded, load};

use crate::support::{TempDir, skip, which};

const MPM: &str = "LoadModule mpm_event_module modules/mod_mpm_event.so";
const PREAMBLE: [&str; 2] = ["LoadModule info_module modules/mod_info.so", "ServerName main.test"];

/// One configuration and what is expected of it.
struct Case {
    /// File and name inside it, for messages.
    name: String,
    /// The line that begins the case, if its file has several.
    title: Option<String>,
    input: String,
    expected: String,
}

/// The cases of one file.
fn cases(path: &Path) -> Vec<Case> {
    let stem = path.file_stem().unwrap().to_str().unwrap();
    let text = fs::read_to_string(path).unwrap();
    let case = |title: Option<&str>, body: &str| {
        let (input, expected) = body.split_once("\n---\n").unwrap_or_else(|| (body.trim_end(), ""));
        let name = title.map_or_else(|| stem.to_owned(), |title| format!("{stem}/{title}"));
        Case { name, title: title.map(str::to_owned), input: input.to_owned(), expected: expected.to_owned() }
    };
    if !text.starts_with("== ") {
        return vec![case(None, &text)];
    }
    let mut found: Vec<(&str, String)> = Vec::new();
    for line in text.split_inclusive('\n') {
        match (line.strip_prefix("== "), found.last_mut()) {
            (Some(title), _) => found.push((title.trim_end(), String::new())),
            (None, Some((_, body))) => body.push_str(line),
            (None, None) => {}
        }
    }
    found.iter().map(|(title, body)| case(Some(title), body)).collect()
}

/// The lines that the golden files expect.
pub(crate) fn expected_lines() -> Vec<String> {
    let all = files();
    let cases = all.iter().flat_map(|path| cases(path));
    cases.flat_map(|case| case.expected.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn files() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config");
    let mut files: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "test"));
    files.sort();
    assert!(files.len() > 10, "only {} files in {}", files.len(), dir.display());
    files
}

/// The files of a case on disk; the directory and the words of the command line that check it.
fn laid_out(case: &Case) -> (TempDir, Vec<String>) {
    let dir = TempDir::new("config");
    for sub in ["logs", "htdocs"] {
        fs::create_dir_all(dir.path().join(sub)).unwrap();
    }
    for part in format!("\n{}", case.input).split("\n-- ").skip(1) {
        let (file, text) = part.split_once('\n').unwrap_or((part, ""));
        let path = dir.path().join(file.trim());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let root = dir.path().to_str().unwrap();
        fs::write(path, format!("{}\n", text.replace("@ROOT@", root))).unwrap();
    }
    let mpm = (!case.input.contains("LoadModule mpm_")).then_some(MPM);
    let first = mpm.into_iter().chain(PREAMBLE).flat_map(|line| ["-C", line]);
    let words = ["-d", dir.path().to_str().unwrap(), "-f", "httpd.conf", "-t"].into_iter().chain(first);
    let words = words.map(str::to_owned).collect();
    (dir, words)
}

fn loaded(words: &[String]) -> (Invocation, Result<Loaded, Box<Failure>>) {
    let invocation = |dumps: &[&str]| {
        let words = ["tandem"].into_iter().chain(words.iter().map(String::as_str)).chain(dumps.iter().copied());
        Invocation::parse(words.map(OsString::from)).unwrap()
    };
    // One that only dumps looks less closely.
    let result = load(&invocation(&[]), None);
    (invocation(&["-DDUMP_VHOSTS", "-DDUMP_CONFIG"]), result)
}

/// What the program says of the files.
fn outcome(case: &Case) -> String {
    let (dir, words) = laid_out(case);
    let mut out = String::new();
    let warn = |out: &mut String, warnings: &[tandem::config::Warning]| {
        for warning in warnings.iter().filter(|warning| warning.level != "debug") {
            writeln!(out, "[{}:{}] {}", warning.module, warning.level, warning.text).unwrap();
        }
    };
    match loaded(&words) {
        (invocation, Ok(loaded)) => {
            warn(&mut out, &loaded.warnings);
            out += &dumps::all(&invocation, &loaded);
        }
        (_, Err(failure)) => {
            warn(&mut out, &failure.warnings);
            out += &failure.text;
            out += &failure.remark;
        }
    }
    let out = out.replace(dir.path().to_str().unwrap(), "@ROOT@");
    // How far a caret reaches under the directory's name depends on that name.
    let named = case.input.contains("@ROOT@");
    let out: String = out.split_inclusive('\n').filter(|line| !(named && is_caret(line))).collect();
    // Where the longest messages are cut depends on the length of the directory's name.
    out.split_inclusive('\n')
        .map(|line| line.get(..SHOWN).map_or_else(|| line.to_owned(), |start| format!("{start}...\n")))
        .collect()
}

/// Whether a line of a remark has nothing but the mark under the line above it.
fn is_caret(line: &str) -> bool {
    let mark = line.trim_start().trim_start_matches('|').trim();
    !mark.is_empty() && mark.bytes().all(|byte| byte == b'^')
}

/// Of a longer line the golden file has the start.
const SHOWN: usize = 1000;

#[test]
fn every_golden_file_holds() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut wrong = Vec::new();
    for path in files() {
        let mut whole = String::new();
        for case in cases(&path) {
            let found = outcome(&case);
            if let Some(title) = &case.title {
                writeln!(whole, "== {title}").unwrap();
            }
            write!(whole, "{}\n---\n{found}", case.input).unwrap();
            if found != case.expected && !bless {
                wrong.push(format!("{}: expected\n{}\nfound\n{found}", case.name, case.expected));
            }
        }
        if bless {
            fs::write(&path, whole).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Accepted here and refused there: modules that are in the program need no file.
const ACCEPTED: &str = "errors-loadmodule/loadmodule-015";

/// Patterns that PCRE takes and our engines do not.
const HERE_ONLY: &str = "errors-patterns-here/";

/// Longer texts are cut by both, where depends on the length of the program's name.
const COMPARED: usize = 8000;

#[test]
fn httpd_comes_to_the_same_verdicts() {
    let Some(httpd) = which("apache2") else { return skip("config::httpd_comes_to_the_same_verdicts", "apache2") };
    let modules =
        ["/usr/lib/apache2/modules", "/usr/lib64/httpd/modules"].into_iter().find(|dir| Path::new(dir).is_dir());
    let modules = modules.expect("the modules of the real httpd");
    let mut wrong = Vec::new();
    let mut refused = 0;
    for case in files().iter().flat_map(|path| cases(path)) {
        if case.name == ACCEPTED || case.name.starts_with(HERE_ONLY) {
            continue;
        }
        let (dir, words) = laid_out(&case);
        std::os::unix::fs::symlink(modules, dir.path().join("modules")).unwrap();
        let refusal = loaded(&words).1.err().map(|failure| failure.text);
        let run = Command::new(&httpd).args(&words).env("LC_ALL", "C").current_dir(dir.path()).output().unwrap();
        let said = String::from_utf8_lossy(&run.stderr).replace("apache2: ", "tandem: ").replace("httpd: ", "tandem: ");
        let agree = match &refusal {
            None => run.status.success(),
            Some(text) => {
                refused += 1;
                let (theirs, ours) = (said.len().min(COMPARED), text.len().min(COMPARED));
                !run.status.success() && said[..theirs].ends_with(&text[..ours])
            }
        };
        if !agree {
            let ours = refusal.unwrap_or_default();
            wrong.push(format!("{}: httpd ({}) says\n{said}we say\n{ours}", case.name, run.status));
        }
    }
    assert!(refused > 10, "only {refused} cases end in an error");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

//! The golden files of `tests/config/`: files of a configuration, a line `---`, and what the program makes of them.
//!
//! In front of the line: `-- NAME` begins a file, `httpd.conf` is the one that is read; an event MPM and a ServerName
//! come before it. Behind the line: the warnings, then the error with the second look at its line, or the virtual hosts
//! and the tree. `BLESS=1` writes what is found into the files; read the difference before committing it.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use tandem::server::cli::Invocation;
use tandem::server::dumps;
use tandem::server::load::load;

use crate::support::TempDir;

const PREAMBLE: &str = "LoadModule mpm_event_module modules/mod_mpm_event.so\nLoadModule info_module modules/mod_info.so\nServerName main.test\n";

/// What the program says of the files.
fn outcome(name: &str, input: &str) -> String {
    let dir = TempDir::new(name);
    for sub in ["logs", "htdocs"] {
        fs::create_dir_all(dir.path().join(sub)).unwrap();
    }
    for part in format!("\n{input}").split("\n-- ").skip(1) {
        let (file, text) = part.split_once('\n').unwrap_or((part, ""));
        let path = dir.path().join(file.trim());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{text}\n")).unwrap();
    }
    let root = dir.path().to_str().unwrap();
    let dumps_wanted = ["-DDUMP_VHOSTS", "-DDUMP_CONFIG"];
    let words = ["tandem", "-d", root, "-f", "httpd.conf", "-t", "-C", PREAMBLE].into_iter().chain(dumps_wanted);
    let invocation = Invocation::parse(words.map(OsString::from)).unwrap();
    let mut out = String::new();
    let warn = |out: &mut String, warnings: &[tandem::config::Warning]| {
        for warning in warnings.iter().filter(|warning| warning.level != "debug") {
            writeln!(out, "[{}:{}] {}", warning.module, warning.level, warning.text).unwrap();
        }
    };
    match load(&invocation, None) {
        Ok(loaded) => {
            warn(&mut out, &loaded.warnings);
            out += &dumps::all(&invocation, &loaded);
        }
        Err(failure) => {
            warn(&mut out, &failure.warnings);
            out += &failure.text;
            out += &failure.remark;
        }
    }
    out.replace(root, "@ROOT@")
}

#[test]
fn every_golden_file_holds() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config");
    let mut files: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "test"));
    files.sort();
    assert!(files.len() > 10, "only {} files in {}", files.len(), dir.display());
    let mut wrong = Vec::new();
    for path in files {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let (input, expected) = text.split_once("\n---\n").unwrap_or_else(|| (text.trim_end(), ""));
        let found = outcome(name, input);
        if found == expected {
            continue;
        }
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, format!("{input}\n---\n{found}")).unwrap();
        } else {
            wrong.push(format!("{name}: expected\n{expected}\nfound\n{found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

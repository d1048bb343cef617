//! The manual page and the program name the same options.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::Site;

#[test]
fn every_option_has_its_entry() {
    let usage = Site::new("usage").run(&["-h"]);
    assert_eq!((usage.code, usage.stdout.as_str()), (Some(1), ""), "{usage:?}");
    // An option is a letter behind a dash, after a blank, a bracket or a bar.
    let bytes = usage.stderr.as_bytes();
    let offered: BTreeSet<char> = bytes
        .windows(3)
        .filter(|w| b" [|\n".contains(&w[0]) && w[1] == b'-' && w[2].is_ascii_alphabetic())
        .map(|w| char::from(w[2]))
        .collect();
    assert!(offered.contains(&'t') && offered.len() > 10, "{usage:?}");

    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("man/tandem.8")).unwrap();
    let described: BTreeSet<char> = page
        .lines()
        .filter_map(|line| line.strip_prefix(".B \\-").or_else(|| line.strip_prefix(".BI \\-")))
        .filter_map(|rest| rest.chars().next())
        .collect();
    // `-M` is in the list of options and not in httpd's synopsis; both are read here.
    assert_eq!(described, offered);
}

/// The committed table of what is supported is what the program says.
#[test]
fn the_table_of_support_is_current() {
    let dump = Site::new("support").run(&["-D", "DUMP_SUPPORT"]);
    assert_eq!((dump.code, dump.stderr.as_str()), (Some(0), ""), "{dump:?}");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("grammar/directives.txt");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&file, &dump.stdout).unwrap();
    }
    let committed = fs::read_to_string(&file).unwrap();
    assert!(committed == dump.stdout, "grammar/directives.txt is old: BLESS=1 cargo test --test it man::");
    assert!(dump.stdout.lines().filter(|line| line.ends_with("obeyed")).count() > 200);
}

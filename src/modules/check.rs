//! Checks of words that rows of several modules share; each takes the text that httpd answers a wrong word with.

use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use crate::base::clock::{Unit, leading_integer, parse_interval};
use crate::config::{Args, Cmd, latin1, merge_path};
use crate::net::files::{self, Kind};

type Done = Result<(), String>;

fn fail(text: &str) -> Done {
    Err(text.to_owned())
}

/// The leading integer of a word as C's `atoi` reads it: no digits are zero, of a large number 32 bits are left.
pub(crate) fn number(word: &[u8]) -> i64 {
    i64::from(long(word).unwrap_or_else(|| if word.contains(&b'-') { i64::MIN } else { i64::MAX }) as i32)
}

/// The leading integer of a word; `None` if it is too large for 64 bits.
pub(super) fn long(word: &[u8]) -> Option<i64> {
    leading_integer(word).0
}

/// The integer that is the whole of a word.
pub(super) fn whole(word: &[u8]) -> Option<i64> {
    let (number, rest) = leading_integer(word);
    number.filter(|_| rest.is_empty() && word.iter().any(u8::is_ascii_digit))
}

/// The first word starts with a number that is at least `least`.
pub(super) fn at_least(args: &Args<'_>, least: i64, text: &str) -> Done {
    if number(args.word(0)) < least { fail(text) } else { Ok(()) }
}

/// As [`at_least`], of numbers that may have 64 bits.
pub(super) fn long_at_least(args: &Args<'_>, least: i64, text: &str) -> Result<i64, String> {
    long(args.word(0)).filter(|number| *number >= least).ok_or_else(|| text.to_owned())
}

/// Whether something that has a scheme or an authority has one that cannot be.
pub(super) fn is_broken_uri(text: &[u8]) -> bool {
    let end = |text: &[u8], marks: &[u8]| text.iter().position(|byte| marks.contains(byte)).unwrap_or(text.len());
    let (scheme, behind) = text.split_at(end(text, b":/?#"));
    let letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    let rest = match behind.strip_prefix(b":") {
        Some(_) if !scheme.first().is_some_and(u8::is_ascii_alphabetic) || !scheme.iter().all(letter) => return true,
        Some(rest) => rest,
        None => text,
    };
    let Some(rest) = rest.strip_prefix(b"//") else { return false };
    let (authority, _) = rest.split_at(end(rest, b"/?#"));
    let place = memchr::memrchr(b'@', authority).map_or(authority, |at| authority.get(at + 1..).unwrap_or_default());
    let host = match (place.first(), memchr::memchr(b']', place)) {
        (Some(b'['), None) => return true,
        (Some(b'['), Some(close)) => close + 1,
        _ => end(place, b":"),
    };
    let port = place.get(host..).unwrap_or_default().strip_prefix(b":").unwrap_or_default();
    !port.iter().all(u8::is_ascii_digit)
}

/// The first word starts with a number of this range.
pub(super) fn between(args: &Args<'_>, range: RangeInclusive<i64>, text: &str) -> Done {
    if range.contains(&number(args.word(0))) { Ok(()) } else { fail(text) }
}

/// The first word is a number of this range and nothing else.
pub(super) fn whole_between(args: &Args<'_>, range: RangeInclusive<i64>, text: &str) -> Done {
    if whole(args.word(0)).is_some_and(|number| range.contains(&number)) { Ok(()) } else { fail(text) }
}

/// The first word is one of these, in any case.
pub(super) fn one_of(args: &Args<'_>, words: &[&str], text: &str) -> Done {
    let known = words.iter().any(|word| args.word(0).eq_ignore_ascii_case(word.as_bytes()));
    if known { Ok(()) } else { Err(text.replace('\u{1}', &args.text(0))) }
}

/// The first word is a time, in seconds unless it has a unit.
pub(super) fn time(args: &Args<'_>, text: &str) -> Done {
    parse_interval(args.word(0), Unit::Second).map(|_| ()).map_err(|_| text.to_owned())
}

/// A name that may stand in front of a value in a form or a cookie.
pub(super) fn field_name(cmd: &Cmd<'_>, name: &[u8]) -> Done {
    if name.is_empty() || name.iter().any(|byte| b"=&".contains(byte)) {
        return Err(format!("{} cannot be empty, or contain '=' or '&'.", cmd.directive.name));
    }
    Ok(())
}

/// What is in a file that a directive names; httpd opens such a file as it does one of its own configuration.
pub(super) fn contents(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(Vec<u8>, String), String> {
    let (path, shown) = rooted(cmd, args.word(0));
    let why = match files::look(&path) {
        Ok(found) if found.kind != Kind::File => {
            let text = format!("AH00554: Access to file {shown} denied by server: not a regular file");
            cmd.warn("core", "error", text);
            "Bad file descriptor".to_owned()
        }
        _ => match files::read(&path) {
            Ok(text) => return Ok((text, shown)),
            Err(error) => error.to_string(),
        },
    };
    let why = why.split(" (os error").next().unwrap_or_default();
    Err(format!("{}: Could not open file {shown}: {why}", cmd.directive.name))
}

/// A path made absolute against ServerRoot.
pub(super) fn rooted(cmd: &Cmd<'_>, word: &[u8]) -> (PathBuf, String) {
    let full = merge_path(&cmd.globals.server_root, word);
    (PathBuf::from(std::ffi::OsStr::from_bytes(&full)), latin1(&full))
}

/// The first word names a file that is there and holds something.
pub(super) fn file(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let (path, shown) = rooted(cmd, args.word(0));
    if cmd.globals.dumping || files::look(path).is_ok_and(|found| found.kind == Kind::File && found.length > 0) {
        return Ok(());
    }
    Err(format!("{}: file '{shown}' does not exist or is empty", cmd.directive.name))
}

/// The first word names a directory.
pub(super) fn directory(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let (path, shown) = rooted(cmd, args.word(0));
    if files::look(path).is_ok_and(|found| found.kind == Kind::Folder) {
        Ok(())
    } else {
        Err(format!("{}: directory '{shown}' does not exist", cmd.directive.name))
    }
}

/// Shared object caches: name and module. Those of one machine are the process's own memory.
pub(super) const SOCACHES: &[(&str, &str)] = &[
    ("default", "socache_shmcb_module"),
    ("shmcb", "socache_shmcb_module"),
    ("dbm", "socache_dbm_module"),
    ("memcache", "socache_memcache_module"),
    ("redis", "socache_redis_module"),
];

/// The shared object caches of the loaded modules.
pub(super) fn socaches(cmd: &Cmd<'_>) -> Vec<&'static str> {
    let loaded = SOCACHES.iter().filter(|(_, id)| cmd.globals.modules.contains(id));
    loaded.map(|(name, _)| *name).collect()
}

/// The first word names a shared object cache, arguments behind a colon.
pub(super) fn socache(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let name = args.word(0).split(|byte| *byte == b':').next().unwrap_or_default();
    if socaches(cmd).iter().any(|known| known.as_bytes() == name) {
        return Ok(());
    }
    let name = args.text(0);
    Err(format!(
        "Unknown socache provider '{name}'. Maybe you need to load the appropriate socache module (mod_socache_{name}?)"
    ))
}

/// A cache on other machines needs to be told which.
pub(super) fn socache_servers(name: &[u8], list: &[u8]) -> Done {
    if list.is_empty() && (name == b"memcache" || name == b"redis") {
        return Err(format!("List of server names required to create {} socache.", latin1(name)));
    }
    Ok(())
}

/// The directive is always refused with its usage text.
pub(super) fn gone(cmd: &mut Cmd<'_>, _: &Args<'_>) -> Done {
    Err(cmd.directive.usage.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_c_reads_them() {
        assert_eq!([number(b"5x"), number(b"x"), number(b"-1")], [5, 0, -1]);
        assert_eq!([number(b"99999999999999999999"), number(b"4294967296")], [-1, 0]);
        assert_eq!((whole(b"5"), whole(b"5x"), whole(b"x"), whole(b"")), (Some(5), None, None, None));
    }

    #[test]
    fn wrong_words_are_named() {
        let words: [&[u8]; 1] = [b"Bogus"];
        let args = Args { words: &words, raw: b"Bogus" };
        assert_eq!(one_of(&args, &["bogus"], ""), Ok(()));
        assert_eq!(one_of(&args, &["a"], "not '\u{1}'"), Err("not 'Bogus'".to_owned()));
        assert_eq!(at_least(&args, 1, "small"), Err("small".to_owned()));
        assert_eq!(time(&args, "no time"), Err("no time".to_owned()));
    }
}

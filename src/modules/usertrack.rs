//! `mod_usertrack.c`.

use crate::config::{Args, Cmd, Directive, ModuleRow, Places, Shape, get_words, row};
use crate::modules::check;
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "usertrack_module",
        file: "mod_usertrack.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("CookieExpires", Places::FILEINFO, Shape::Take1, expires, "an expiry date code").missing(),
    row("CookieDomain", Places::FILEINFO, Shape::Take1, domain, "domain to which this cookie applies").missing(),
    row("CookieStyle", Places::FILEINFO, Shape::Take1, |_, a| check::one_of(a, &["Netscape", "Cookie", "RFC2109", "Cookie2", "RFC2965"], "Invalid CookieStyle keyword: '\u{1}'"), "'Netscape', 'Cookie' (RFC2109), or 'Cookie2' (RFC2965)").missing(),
    row("CookieTracking", Places::FILEINFO, Shape::Flag, accept, "whether or not to enable cookies").missing(),
    row("CookieName", Places::FILEINFO, Shape::Take1, accept, "name of the tracking cookie").missing(),
    row("CookieSameSite", Places::FILEINFO, Shape::Take1, |_, a| check::one_of(a, &["Strict", "Lax", "None"], "CookieSameSite accepts 'Strict', 'Lax', or 'None'"), "SameSite setting").missing(),
    row("CookieSecure", Places::FILEINFO, Shape::Flag, accept, "is cookie secure").missing(),
    row("CookieHttpOnly", Places::FILEINFO, Shape::Flag, accept, "is cookie http only").missing(),
];

/// `CookieDomain .name.tld`.
fn domain(_: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    match args.word(0) {
        [b'.', rest @ ..] if rest.contains(&b'.') => Ok(()),
        [b'.', ..] => Err("CookieDomain values must contain at least one embedded dot".to_owned()),
        _ => Err("CookieDomain values must begin with a dot".to_owned()),
    }
}

/// `CookieExpires seconds`, or `plus 1 month 2 days`.
fn expires(_: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let text = args.word(0);
    if check::whole(text).is_some_and(|number| number >= 0) || args.text(0).parse::<f64>().is_ok_and(|time| time >= 0.0)
    {
        return Ok(());
    }
    let mut words = get_words(text).into_iter().peekable();
    if words.peek().is_some_and(|word| word.eq_ignore_ascii_case(b"plus")) {
        words.next();
    }
    while let Some(number) = words.next() {
        if !number.first().is_some_and(u8::is_ascii_digit) {
            return Err("bad expires code, numeric value expected.".to_owned());
        }
        let Some(kind) = words.next() else { return Err("bad expires code, missing <type>".to_owned()) };
        let kinds = [&b"years"[..], b"months", b"weeks", b"days", b"hours", b"minutes", b"seconds"];
        let kind = kind.to_ascii_lowercase();
        if !kinds.iter().any(|known| known.starts_with(&kind) && kind.len() + 1 >= known.len()) {
            return Err("bad expires code, unrecognized type".to_owned());
        }
    }
    Ok(())
}

//! `mod_expires.c`.

use crate::config::{Args, Cmd, Directive, ModuleRow, Places, Shape, get_words, latin1, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "expires_module",
        file: "mod_expires.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("ExpiresActive", Places::INDEXES, Shape::Flag, accept, "Limited to 'on' or 'off'").missing(),
    row("ExpiresByType", Places::INDEXES, Shape::Take2, by_type, "a MIME type followed by an expiry date code").missing(),
    row("ExpiresDefault", Places::INDEXES, Shape::Take1, default, "an expiry date code").missing(),
];

/// `ExpiresByType type code`.
fn by_type(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let media = args.word(0);
    let slash = memchr::memchr(b'/', media);
    if slash.is_none() {
        return Err("Invalid mimetype: should contain a slash".to_owned());
    }
    code(args.word(1)).map_err(|why| format!("'{} {} {}': {why}", cmd.directive.name, args.text(0), args.text(1)))
}

/// `ExpiresDefault code`.
fn default(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    code(args.word(0)).map_err(|why| format!("'{} {}': {why}", cmd.directive.name, args.text(0)))
}

/// `A300`, `M300`, or `access plus 1 month 2 days`.
fn code(text: &[u8]) -> Result<(), String> {
    if matches!(text.first(), Some(b'A' | b'M'))
        && text.get(1).is_none_or(|next| next.is_ascii_digit() || text.len() == 2)
    {
        return Ok(());
    }
    let mut words = get_words(text).into_iter();
    let base = words.next().unwrap_or_default();
    if ![&b"now"[..], b"access", b"modification"].iter().any(|known| known.eq_ignore_ascii_case(&base)) {
        return Err(format!("bad expires code, unrecognised <base> '{}'", latin1(&base)));
    }
    let mut word = words.next();
    if word.as_ref().is_some_and(|word| word.eq_ignore_ascii_case(b"plus")) {
        word = words.next();
    }
    while let Some(number) = word {
        if number.is_empty() {
            break;
        }
        if !number.first().is_some_and(u8::is_ascii_digit) {
            return Err(format!("bad expires code, numeric value expected <num> '{}'", latin1(&number)));
        }
        let Some(kind) = words.next().filter(|kind| !kind.is_empty()) else {
            return Err("bad expires code, missing <type>".to_owned());
        };
        let lower = latin1(&kind.to_ascii_lowercase());
        let known = ["years", "months", "weeks", "days", "hours", "minutes", "seconds"];
        if !known.iter().any(|known| known.strip_suffix('s') == Some(&lower) || *known == lower) {
            return Err(format!("bad expires code, unrecognised <type>'{}'", latin1(&kind)));
        }
        word = words.next();
    }
    Ok(())
}

//! `mod_substitute.c`.

use crate::base::pattern::{Flags, Pattern};
use crate::config::{Args, Cmd, Directive, ModuleRow, Places, Shape, row};
use crate::modules::check;
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "substitute_module",
        file: "mod_substitute.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("Substitute", Places::FILEINFO, Shape::Take1, substitute, "Pattern to filter the response content (s/foo/bar/[inf])").refused(),
    row("SubstituteMaxLineLength", Places::FILEINFO, Shape::Take1, length, "Maximum line length").refused(),
    row("SubstituteInheritBefore", Places::FILEINFO, Shape::Flag, accept, "Apply inherited patterns before those of the current context").refused(),
];

/// `Substitute s/pattern/text/flags`.
fn substitute(_: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let text = args.word(0);
    let Some((b's', rest)) = text.split_first().map(|(first, rest)| (first.to_ascii_lowercase(), rest)) else {
        return Err("Bad Substitute format, must be an s/// pattern".to_owned());
    };
    let Some((delimiter, rest)) = rest.split_first() else {
        return Err("Bad Substitute format, must be a complete s/// pattern".to_owned());
    };
    let mut parts = rest.splitn(3, |byte| byte == delimiter);
    let (pattern, _, flags) = match (parts.next(), parts.next(), parts.next()) {
        (Some(pattern), Some(text), flags) => (pattern, text, flags.unwrap_or_default()),
        _ => return Err("Bad Substitute format, must be a complete s/// pattern".to_owned()),
    };
    let flags = flags.to_ascii_lowercase();
    if flags.iter().any(|flag| !b"infq".contains(flag)) {
        return Err("Bad Substitute flag, only s///[infq] are supported".to_owned());
    }
    let options = Flags { icase: flags.contains(&b'i'), ..Flags::default() };
    if !flags.contains(&b'n') && Pattern::new(pattern, options).is_err() {
        return Err("Substitute could not compile regex".to_owned());
    }
    Ok(())
}

/// `SubstituteMaxLineLength`.
fn length(_: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let word = args.word(0);
    let number = match word.split_last() {
        Some((unit, number)) if b"bkmg".contains(&unit.to_ascii_lowercase()) => number,
        _ => word,
    };
    if check::whole(number).is_some_and(|number| number >= 0) {
        return Ok(());
    }
    Err("SubstituteMaxLineLength must be a non-negative integer optionally suffixed with 'b', 'k', 'm' or 'g'."
        .to_owned())
}

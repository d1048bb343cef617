//! `mod_charset_lite.c`.

use crate::config::{Args, Cmd, Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "charset_lite_module",
        file: "mod_charset_lite.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("CharsetSourceEnc", Places::FILEINFO, Shape::Take1, accept, "source (html,cgi,ssi) file charset").refused(),
    row("CharsetDefault", Places::FILEINFO, Shape::Take1, accept, "name of default charset").missing(),
    row("CharsetOptions", Places::FILEINFO, Shape::Iterate, options, "valid options: ImplicitAdd, NoImplicitAdd, TranslateAllMimeTypes, NoTranslateAllMimeTypes").missing(),
];

/// `CharsetOptions`, one word at a time.
fn options(_: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let word = args.text(0);
    let name = word.strip_prefix("No").unwrap_or(&word);
    let known = ["ImplicitAdd", "TranslateAllMimeTypes"].iter().any(|known| known.eq_ignore_ascii_case(name));
    let level = word.to_ascii_lowercase().strip_prefix("debuglevel=").map(|level| level.parse::<u8>().is_ok());
    if known || level == Some(true) {
        return Ok(());
    }
    Err(format!("Invalid CharsetOptions option: {word}"))
}

//! `mod_vhost_alias.c`.

use crate::config::{Args, Cmd, Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::nothing;
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "vhost_alias_module",
        file: "mod_vhost_alias.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("VirtualScriptAlias", Places::SERVER, Shape::Take1, format, "how to create a ScriptAlias based on the host").missing(),
    row("VirtualDocumentRoot", Places::SERVER, Shape::Take1, format, "how to create the DocumentRoot based on the host").missing(),
    row("VirtualScriptAliasIP", Places::SERVER, Shape::Take1, format, "how to create a ScriptAlias based on the host").missing(),
    row("VirtualDocumentRootIP", Places::SERVER, Shape::Take1, format, "how to create the DocumentRoot based on the host").missing(),
];

/// A path with `%` directives, or `none`.
fn format(_: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let text = args.word(0);
    if text.eq_ignore_ascii_case(b"none") {
        return Ok(());
    }
    if text.first() != Some(&b'/') {
        return Err("format string must be an absolute path, or 'none'".to_owned());
    }
    match directives(text) {
        Some(()) => Ok(()),
        None => Err("syntax error in format string".to_owned()),
    }
}

/// Whether every `%` is followed by `%`, `p`, or a part number with an optional sign, `+` behind it and a second number.
fn directives(mut text: &[u8]) -> Option<()> {
    while let Some(at) = memchr::memchr(b'%', text) {
        text = text.get(at + 1..)?;
        if let Some(rest) = text.strip_prefix(b"%").or_else(|| text.strip_prefix(b"p")) {
            text = rest;
            continue;
        }
        text = part(text)?;
        if let Some(rest) = text.strip_prefix(b".") {
            text = part(rest)?;
        }
    }
    Some(())
}

fn part(text: &[u8]) -> Option<&[u8]> {
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let (digit, text) = text.split_first()?;
    if !digit.is_ascii_digit() {
        return None;
    }
    Some(text.strip_prefix(b"+").unwrap_or(text))
}

//! `mod_include.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::check;
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "include_module",
        file: "mod_include.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("XBitHack", Places::OPTIONS, Shape::Take1, |_, a| check::one_of(a, &["on", "off", "full"], "XBitHack must be set to Off, On, or Full"), "Off, On, or Full").refused(),
    row("SSIErrorMsg", Places::ALL, Shape::Take1, accept, "a string").refused(),
    row("SSITimeFormat", Places::ALL, Shape::Take1, accept, "a strftime(3) formatted string").refused(),
    row("SSIStartTag", Places::SERVER, Shape::Take1, accept, "SSI Start String Tag").refused(),
    row("SSIEndTag", Places::SERVER, Shape::Take1, accept, "SSI End String Tag").refused(),
    row("SSIUndefinedEcho", Places::ALL, Shape::Take1, accept, "String to be displayed if an echoed variable is undefined").refused(),
    row("SSILegacyExprParser", Places::LIMIT, Shape::Flag, accept, "Whether to use the legacy expression parser compatible with <= 2.2.x. Limited to 'on' or 'off'").refused(),
    row("SSILastModified", Places::LIMIT, Shape::Flag, accept, "Whether to set the last modified header or respect an existing header. Limited to 'on' or 'off'").refused(),
    row("SSIEtag", Places::LIMIT, Shape::Flag, accept, "Whether to allow the generation of ETags within the server. Existing ETags will be preserved. Limited to 'on' or 'off'").refused(),
];

//! `mod_imagemap.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "imagemap_module",
        file: "mod_imagemap.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("ImapMenu", Places::INDEXES, Shape::Take1, accept, "the type of menu generated: none, formatted, semiformatted, unformatted").missing(),
    row("ImapDefault", Places::INDEXES, Shape::Take1, accept, "the action taken if no match: error, nocontent, referer, menu, URL").missing(),
    row("ImapBase", Places::INDEXES, Shape::Take1, accept, "the base for all URL's: map, referer, URL (or start of)").missing(),
];

//! `mod_negotiation.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::check;
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "negotiation_module",
        file: "mod_negotiation.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("CacheNegotiatedDocs", Places::SERVER, Shape::Flag, accept, "Either 'on' or 'off' (default)").missing(),
    row("LanguagePriority", Places::FILEINFO, Shape::Iterate, accept, "space-delimited list of MIME language abbreviations").missing(),
    row("ForceLanguagePriority", Places::FILEINFO, Shape::Iterate, |_, a| check::one_of(a, &["None", "Prefer", "Fallback"], "Invalid ForceLanguagePriority option \u{1}"), "Force LanguagePriority elections, either None, or Fallback and/or Prefer").missing(),
];

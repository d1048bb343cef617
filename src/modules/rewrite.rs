//! `mod_rewrite.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "rewrite_module",
        file: "mod_rewrite.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("RewriteEngine", Places::FILEINFO, Shape::Flag, accept, "On or Off to enable or disable (default) the whole rewriting engine").missing(),
    row("RewriteOptions", Places::FILEINFO, Shape::Iterate, accept, "List of option strings to set").missing(),
    row("RewriteBase", Places::FILEINFO, Shape::Take1, accept, "the base URL of the per-directory context").missing(),
    row("RewriteCond", Places::FILEINFO, Shape::Raw, accept, "an input string and a to be applied regexp-pattern").missing(),
    row("RewriteRule", Places::FILEINFO, Shape::Raw, accept, "an URL-applied regexp-pattern and a substitution URL").missing(),
    row("RewriteMap", Places::SERVER, Shape::Take23, accept, "a mapname and a filename and options").missing(),
];

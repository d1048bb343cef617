//! `mod_dir.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "dir_module",
        file: "mod_dir.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("FallbackResource", Places::INDEXES, Shape::Take1, accept, "Set a default handler").missing(),
    row("DirectoryIndex", Places::INDEXES, Shape::Raw, accept, "a list of file names").missing(),
    row("DirectorySlash", Places::INDEXES, Shape::Flag, accept, "On or Off").missing(),
    row("DirectoryCheckHandler", Places::INDEXES, Shape::Flag, accept, "On or Off").missing(),
    row("DirectoryIndexRedirect", Places::INDEXES, Shape::Take1, accept, "On, Off, or a 3xx status code.").missing(),
];

//! `mod_cern_meta.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "cern_meta_module",
        file: "mod_cern_meta.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("MetaFiles", Places::INDEXES, Shape::Flag, accept, "Limited to 'on' or 'off'").missing(),
    row("MetaDir", Places::INDEXES, Shape::Take1, accept, "the name of the directory containing meta files").missing(),
    row("MetaSuffix", Places::INDEXES, Shape::Take1, accept, "the filename suffix for meta files").missing(),
];

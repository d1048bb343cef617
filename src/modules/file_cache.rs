//! `mod_file_cache.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "file_cache_module",
        file: "mod_file_cache.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("cachefile", Places::SERVER, Shape::Iterate, accept, "A space separated list of files to add to the file handle cache at config time").missing(),
    row("mmapfile", Places::SERVER, Shape::Iterate, accept, "A space separated list of files to mmap at config time").missing(),
];

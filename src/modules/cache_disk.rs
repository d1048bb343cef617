//! `mod_cache_disk.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "cache_disk_module",
        file: "mod_cache_disk.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("CacheRoot", Places::SERVER, Shape::Take1, accept, "The directory to store cache files").missing(),
    row("CacheDirLevels", Places::SERVER, Shape::Take1, accept, "The number of levels of subdirectories in the cache").missing(),
    row("CacheDirLength", Places::SERVER, Shape::Take1, accept, "The number of characters in subdirectory names").missing(),
    row("CacheMinFileSize", Places::DIR.or(Places::SERVER), Shape::Take1, accept, "The minimum file size to cache a document").missing(),
    row("CacheMaxFileSize", Places::DIR.or(Places::SERVER), Shape::Take1, accept, "The maximum file size to cache a document").missing(),
    row("CacheReadSize", Places::DIR.or(Places::SERVER), Shape::Take1, accept, "The maximum quantity of data to attempt to read and cache in one go").missing(),
    row("CacheReadTime", Places::DIR.or(Places::SERVER), Shape::Take1, accept, "The maximum time taken to attempt to read and cache in go").missing(),
];

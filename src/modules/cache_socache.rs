//! `mod_cache_socache.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "cache_socache_module",
        file: "mod_cache_socache.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("CacheSocache", Places::SERVER, Shape::Take1, accept, "The shared object cache to store cache files").missing(),
    row("CacheSocacheMaxTime", Places::DIR.or(Places::SERVER), Shape::Take1, accept, "The maximum cache expiry age to cache a document in seconds").missing(),
    row("CacheSocacheMinTime", Places::DIR.or(Places::SERVER), Shape::Take1, accept, "The minimum cache expiry age to cache a document in seconds").missing(),
    row("CacheSocacheMaxSize", Places::DIR.or(Places::SERVER), Shape::Take1, accept, "The maximum cache entry size (headers and body) to cache a document").missing(),
    row("CacheSocacheReadSize", Places::DIR.or(Places::SERVER), Shape::Take1, accept, "The maximum quantity of data to attempt to read and cache in one go").missing(),
    row("CacheSocacheReadTime", Places::DIR.or(Places::SERVER), Shape::Take1, accept, "The maximum time taken to attempt to read and cache in go").missing(),
];

//! `mod_cache_socache.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::check;
use crate::modules::rows::nothing;
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
    row("CacheSocache", Places::SERVER, Shape::Take1, check::socache, "The shared object cache to store cache files").missing(),
    row("CacheSocacheMaxTime", Places::DIR.or(Places::SERVER), Shape::Take1, |_, a| check::at_least(a, 0, "CacheSocacheMaxTime argument must be the maximum amount of time in seconds to cache an entry."), "The maximum cache expiry age to cache a document in seconds").missing(),
    row("CacheSocacheMinTime", Places::DIR.or(Places::SERVER), Shape::Take1, |_, a| check::at_least(a, 0, "CacheSocacheMinTime argument must be the minimum amount of time in seconds to cache an entry."), "The minimum cache expiry age to cache a document in seconds").missing(),
    row("CacheSocacheMaxSize", Places::DIR.or(Places::SERVER), Shape::Take1, |_, a| check::whole_between(a, 1024..=4294967295, "CacheSocacheMaxSize argument must be a integer representing the max size of a cached entry (headers and body), at least 1024 and at most (4294967295U)"), "The maximum cache entry size (headers and body) to cache a document").missing(),
    row("CacheSocacheReadSize", Places::DIR.or(Places::SERVER), Shape::Take1, |_, a| check::at_least(a, 0, "CacheSocacheReadSize argument must be a non-negative integer representing the max amount of data to cache in go."), "The maximum quantity of data to attempt to read and cache in one go").missing(),
    row("CacheSocacheReadTime", Places::DIR.or(Places::SERVER), Shape::Take1, |_, a| check::at_least(a, 0, "CacheSocacheReadTime argument must be a non-negative integer representing the max amount of time taken to cache in go."), "The maximum time taken to attempt to read and cache in go").missing(),
];

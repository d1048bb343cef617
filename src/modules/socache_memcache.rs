//! `mod_socache_memcache.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "socache_memcache_module",
        file: "mod_socache_memcache.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("MemcacheConnTTL", Places::SERVER, Shape::Take1, accept, "TTL used for the connection with the memcache server(s)").missing(),
];

//! `mod_socache_memcache.c`.

use crate::codec::object_cache::Dialect;
use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::modules::socache_remote::{Kind, set};
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

/// Where its times are kept.
pub const SLOT: usize = slot::SOCACHE_MEMCACHE;

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("MemcacheConnTTL", Places::SERVER, Shape::Take1, |c, a| set::<SLOT>(c, a, |times| &mut times.idle), "TTL used for the connection with the memcache server(s)"),
];

/// How the log speaks of it.
pub static KIND: Kind = Kind {
    dialect: Dialect::Memcache,
    module: "socache_memcache",
    name: "memcache",
    tag: "scache_mc",
    port: 11211,
    numbers: ["AH00786", "AH00787", "AH00790", "AH00791", "AH00793"],
};

//! `mod_socache_redis.c`.

use crate::codec::object_cache::Dialect;
use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::modules::socache_remote::{Kind, set};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "socache_redis_module",
        file: "mod_socache_redis.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// Where its times are kept.
pub const SLOT: usize = slot::SOCACHE_REDIS;

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("RedisConnPoolTTL", Places::SERVER, Shape::Take1, |c, a| set::<SLOT>(c, a, |times| &mut times.idle), "TTL used for the connection pool with the Redis server(s)"),
    row("RedisTimeout", Places::SERVER, Shape::Take1, |c, a| set::<SLOT>(c, a, |times| &mut times.answer), "R/W timeout used for the connection with the Redis server(s)"),
];

/// How the log speaks of it.
pub static KIND: Kind = Kind {
    dialect: Dialect::Redis,
    module: "socache_redis",
    name: "redis",
    tag: "scache_rd",
    port: 6379,
    numbers: ["AH03474", "AH03475", "AH03478", "AH03479", "AH03481"],
};

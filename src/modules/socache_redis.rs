//! `mod_socache_redis.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
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

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("RedisConnPoolTTL", Places::SERVER, Shape::Take1, accept, "TTL used for the connection pool with the Redis server(s)").missing(),
    row("RedisTimeout", Places::SERVER, Shape::Take1, accept, "R/W timeout used for the connection with the Redis server(s)").missing(),
];

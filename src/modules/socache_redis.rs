//! `mod_socache_redis.c`.

use std::time::Duration;

use crate::codec::object_cache::Dialect;
use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Server, Shape, row};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::modules::socache_remote::{Kind, TIMES, hour};
use crate::net::object_cache::Times;
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

/// Values per server.
#[derive(Clone)]
struct RedisServer(Times);

impl Default for RedisServer {
    fn default() -> Self {
        Self(TIMES)
    }
}

impl Conf for RedisServer {
    const SLOT: usize = slot::SOCACHE_REDIS;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("RedisConnPoolTTL", Places::SERVER, Shape::Take1, |c, a| set(c, a, |times| &mut times.idle), "TTL used for the connection pool with the Redis server(s)"),
    row("RedisTimeout", Places::SERVER, Shape::Take1, |c, a| set(c, a, |times| &mut times.answer), "R/W timeout used for the connection with the Redis server(s)"),
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

/// The times that hold for a server's caches.
pub fn times(server: &Server) -> Times {
    server.get::<RedisServer>().map_or(TIMES, |conf| conf.0)
}

fn set(cmd: &mut Cmd<'_>, args: &Args<'_>, which: fn(&mut Times) -> &mut Duration) -> Result<(), String> {
    let time = hour(cmd, args)?;
    *which(&mut cmd.server_conf::<RedisServer>().0) = time;
    Ok(())
}

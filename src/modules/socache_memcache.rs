//! `mod_socache_memcache.c`.

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
        id: "socache_memcache_module",
        file: "mod_socache_memcache.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// Values per server.
#[derive(Clone)]
struct MemcacheServer(Times);

impl Default for MemcacheServer {
    fn default() -> Self {
        Self(TIMES)
    }
}

impl Conf for MemcacheServer {
    const SLOT: usize = slot::SOCACHE_MEMCACHE;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("MemcacheConnTTL", Places::SERVER, Shape::Take1, |c, a| set(c, a, |times| &mut times.idle), "TTL used for the connection with the memcache server(s)"),
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

/// The times that hold for a server's caches.
pub fn times(server: &Server) -> Times {
    server.get::<MemcacheServer>().map_or(TIMES, |conf| conf.0)
}

fn set(cmd: &mut Cmd<'_>, args: &Args<'_>, which: fn(&mut Times) -> &mut Duration) -> Result<(), String> {
    let time = hour(cmd, args)?;
    *which(&mut cmd.server_conf::<MemcacheServer>().0) = time;
    Ok(())
}

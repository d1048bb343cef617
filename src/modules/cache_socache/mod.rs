//! `mod_cache_socache.c`: responses that are kept in a shared object cache.

use std::sync::Arc;

use crate::config::{Args, Cmd, Conf, Directive, Fatal, ModuleRow, Places, PostConfig, Shape, inner_or_outer, row};
use crate::modules::cache::store::{Limits, Provider, Store};
use crate::modules::rows::entry;
use crate::modules::shared::{self, Shared};
use crate::modules::{check, slot};
use crate::pipe::Module;
use crate::web::Exchange;

pub mod entries;

use entries::Entries;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "cache_socache_module",
        file: "mod_cache_socache.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: make,
    },
    hooks: &[],
};

/// Values per server.
#[derive(Clone, Default)]
struct SocacheServer {
    /// The provider and what it is told.
    provider: Option<Vec<u8>>,
    /// One for each generation, as httpd makes a new one when it restarts.
    cache: Option<Arc<dyn Shared>>,
}

impl Conf for SocacheServer {
    const SLOT: usize = slot::CACHE_SOCACHE;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// Values per directory; times in seconds.
#[derive(Clone, Default)]
struct SocacheDir {
    max_time: Option<i64>,
    min_time: Option<i64>,
    max_size: Option<i64>,
}

impl Conf for SocacheDir {
    const SLOT: usize = slot::CACHE_SOCACHE + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        inner_or_outer!(base, add; max_time, min_time, max_size)
    }
}

/// The provider.
pub const PROVIDER: Provider = Provider { name: "socache", module: "cache_socache_module", store, limits };

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("CacheSocache", Places::SERVER, Shape::Take1, socache, "The shared object cache to store cache files"),
    row("CacheSocacheMaxTime", Places::DIR.or(Places::SERVER), Shape::Take1, max_time, "The maximum cache expiry age to cache a document in seconds"),
    row("CacheSocacheMinTime", Places::DIR.or(Places::SERVER), Shape::Take1, min_time, "The minimum cache expiry age to cache a document in seconds"),
    row("CacheSocacheMaxSize", Places::DIR.or(Places::SERVER), Shape::Take1, max_size, "The maximum cache entry size (headers and body) to cache a document"),
    row("CacheSocacheReadSize", Places::DIR.or(Places::SERVER), Shape::Take1, |_, a| check::long_at_least(a, 0, "CacheSocacheReadSize argument must be a non-negative integer representing the max amount of data to cache in go.").map(|_| ()), "The maximum quantity of data to attempt to read and cache in one go").moot(),
    row("CacheSocacheReadTime", Places::DIR.or(Places::SERVER), Shape::Take1, |_, a| check::long_at_least(a, 0, "CacheSocacheReadTime argument must be a non-negative integer representing the max amount of time taken to cache in go.").map(|_| ()), "The maximum time taken to attempt to read and cache in go").moot(),
];

type Done = Result<(), String>;

/// `CacheSocache provider[:arguments]`.
fn socache(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    check::socache(cmd, args)?;
    cmd.server_conf::<SocacheServer>().provider = Some(args.word(0).to_vec());
    Ok(())
}

fn max_time(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let time = check::long_at_least(
        args,
        0,
        "CacheSocacheMaxTime argument must be the maximum amount of time in seconds to cache an entry.",
    )?;
    cmd.dir_conf::<SocacheDir>().max_time = Some(time);
    Ok(())
}

fn min_time(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let time = check::long_at_least(
        args,
        0,
        "CacheSocacheMinTime argument must be the minimum amount of time in seconds to cache an entry.",
    )?;
    cmd.dir_conf::<SocacheDir>().min_time = Some(time);
    Ok(())
}

fn max_size(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    check::whole_between(
        args,
        1024..=4294967295,
        "CacheSocacheMaxSize argument must be a integer representing the max size of a cached entry (headers and body), at least 1024 and at most (4294967295U)",
    )?;
    cmd.dir_conf::<SocacheDir>().max_size = check::long(args.word(0));
    Ok(())
}

/// Whose objects these are, where others keep some as well.
const SPACE: &str = "cache-socache";

/// Makes the caches, one for all servers that ask for the same.
fn make(post: &mut PostConfig<'_>) -> Result<(), Fatal> {
    let fatal = |text: String| Err(Fatal { text: text + "AH00016: Configuration Failed\n", quiet: true });
    let mut made: Vec<(Vec<u8>, Arc<dyn Shared>)> = Vec::new();
    for server in post.servers.iter_mut() {
        let Some(word) = server.conf.get::<SocacheServer>().and_then(|conf| conf.provider.clone()) else { continue };
        let (name, list) = shared::split(&word);
        if let Err(text) = check::socache_servers(name, list)
            && !post.check_only
        {
            return fatal(entry("cache_socache", "crit", &format!("AH02392: {text}")));
        }
        let cache = match made.iter().find(|(known, _)| *known == word) {
            Some((_, cache)) => cache.clone(),
            None => match shared::open(&word, SPACE, server) {
                Ok(cache) => cache,
                Err(_) if post.check_only => continue,
                Err(text) => {
                    let failed = format!("(22)Invalid argument: AH02393: failed to initialise {SPACE} cache");
                    return fatal(text + &entry("cache_socache", "crit", &failed));
                }
            },
        };
        made.push((word, cache.clone()));
        server.conf.get_mut::<SocacheServer>().cache = Some(cache);
    }
    Ok(())
}

const SECOND: i64 = 1_000_000;

fn store(ex: &Exchange) -> Option<Arc<dyn Store>> {
    let cache = ex.server().get::<SocacheServer>()?.cache.clone()?;
    let dir = ex.dir::<SocacheDir>();
    let time = |value: Option<i64>, usual: i64| value.unwrap_or(usual).saturating_mul(SECOND);
    let most = time(dir.and_then(|dir| dir.max_time), 86400);
    let longer = time(dir.and_then(|dir| dir.min_time), 600);
    Some(Arc::new(Entries { cache, times: (most, longer) }))
}

/// What else than the body is in an entry: times and the like, the name, the fields.
fn overhead(ex: &Exchange) -> u64 {
    let lines = [&ex.headers_out, &ex.err_headers_out, &ex.headers_in].into_iter();
    let fields: usize = lines.flat_map(|table| table.iter()).map(|(name, value)| name.len() + value.len() + 4).sum();
    (112 + ex.uri.len() + ex.hostname.len() + 16 + fields) as u64
}

fn limits(ex: &Exchange) -> Limits {
    let most = ex.dir::<SocacheDir>().and_then(|dir| dir.max_size).unwrap_or(100 * 1024);
    let most = u64::try_from(most).unwrap_or(0);
    Limits { least: 0, most: most.saturating_sub(overhead(ex)), sized: true }
}

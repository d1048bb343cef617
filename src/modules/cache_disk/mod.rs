//! `mod_cache_disk.c`: responses that are kept as files, in httpd's own layout.

use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, inner_or_outer, row};
use crate::logs::{self, Level};
use crate::modules::cache::store::{Limits, Provider, Store};
use crate::modules::rows::nothing;
use crate::modules::{check, slot};
use crate::pipe::Module;
use crate::web::Exchange;

pub mod files;
pub mod layout;

use files::Folder;

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

/// Values per server. Those of the main server hold where a virtual host has none at all, as in httpd.
#[derive(Clone, Default)]
struct DiskServer {
    root: Option<PathBuf>,
    levels: Option<i64>,
    length: Option<i64>,
    /// Made of them, behind the last directive.
    folder: Option<Arc<Folder>>,
}

impl Conf for DiskServer {
    const SLOT: usize = slot::CACHE_DISK;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// Values per directory.
#[derive(Clone, Default)]
struct DiskDir {
    least: Option<i64>,
    most: Option<i64>,
}

impl Conf for DiskDir {
    const SLOT: usize = slot::CACHE_DISK + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        inner_or_outer!(base, add; least, most)
    }
}

/// The provider.
pub const PROVIDER: Provider = Provider { name: "disk", module: "cache_disk_module", store, limits };

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("CacheRoot", Places::SERVER, Shape::Take1, root, "The directory to store cache files"),
    row("CacheDirLevels", Places::SERVER, Shape::Take1, dirs, "The number of levels of subdirectories in the cache"),
    row("CacheDirLength", Places::SERVER, Shape::Take1, dirs, "The number of characters in subdirectory names"),
    row("CacheMinFileSize", Places::DIR.or(Places::SERVER), Shape::Take1, least, "The minimum file size to cache a document"),
    row("CacheMaxFileSize", Places::DIR.or(Places::SERVER), Shape::Take1, most, "The maximum file size to cache a document"),
    row("CacheReadSize", Places::DIR.or(Places::SERVER), Shape::Take1, |_, a| check::long_at_least(a, 0, "CacheReadSize argument must be a non-negative integer representing the max amount of data to cache in go.").map(|_| ()), "The maximum quantity of data to attempt to read and cache in one go").moot(),
    row("CacheReadTime", Places::DIR.or(Places::SERVER), Shape::Take1, |_, a| check::long_at_least(a, 0, "CacheReadTime argument must be a non-negative integer representing the max amount of time taken to cache in go.").map(|_| ()), "The maximum time taken to attempt to read and cache in go").moot(),
];

type Done = Result<(), String>;

fn root(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let path = cmd.rooted(args.word(0));
    cmd.server_conf::<DiskServer>().root = Some(PathBuf::from(std::ffi::OsStr::from_bytes(&path)));
    make(cmd);
    Ok(())
}

fn dirs(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let name = cmd.directive.name;
    check::at_least(args, 1, &format!("{name} value must be an integer greater than 0"))?;
    let number = check::number(args.word(0));
    let conf = cmd.server_conf::<DiskServer>();
    if name == "CacheDirLevels" {
        conf.levels = Some(number);
    } else {
        conf.length = Some(number);
    }
    if conf.levels.unwrap_or(2).saturating_mul(conf.length.unwrap_or(2)) > 20 {
        return Err("CacheDirLevels*CacheDirLength value must not be higher than 20".to_owned());
    }
    make(cmd);
    Ok(())
}

fn make(cmd: &mut Cmd<'_>) {
    let conf = cmd.server_conf::<DiskServer>();
    let number = |value: Option<i64>| usize::try_from(value.unwrap_or(2)).unwrap_or(2);
    let (levels, length) = (number(conf.levels), number(conf.length));
    conf.folder = conf.root.clone().map(|root| Arc::new(Folder { root, levels, length }));
}

fn least(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let size = check::long_at_least(
        args,
        0,
        "CacheMinFileSize argument must be a non-negative integer representing the min size of a file to cache in bytes.",
    )?;
    cmd.dir_conf::<DiskDir>().least = Some(size);
    Ok(())
}

fn most(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let size = check::long_at_least(
        args,
        0,
        "CacheMaxFileSize argument must be a non-negative integer representing the max size of a file to cache in bytes.",
    )?;
    cmd.dir_conf::<DiskDir>().most = Some(size);
    Ok(())
}

fn store(ex: &Exchange) -> Option<Arc<dyn Store>> {
    let folder = ex.server().get::<DiskServer>().and_then(|conf| conf.folder.clone());
    let Some(folder) = folder else {
        said_once(ex);
        return None;
    };
    Some(folder)
}

/// The process says once that there is nowhere to keep anything.
fn said_once(ex: &Exchange) {
    static SAID: std::sync::Once = std::sync::Once::new();
    SAID.call_once(|| {
        let text = "AH00703: Cannot cache files to disk without a CacheRoot specified.";
        logs::error!(ex, Level::Error, "cache_disk", "{}", text);
    });
}

fn limits(ex: &Exchange) -> Limits {
    let conf = ex.dir::<DiskDir>();
    let number = |value: Option<i64>, usual| value.and_then(|value| u64::try_from(value).ok()).unwrap_or(usual);
    Limits {
        least: number(conf.and_then(|conf| conf.least), 1),
        most: number(conf.and_then(|conf| conf.most), 1_000_000),
        sized: false,
    }
}

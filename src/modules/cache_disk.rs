//! `mod_cache_disk.c`.

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, row};
use crate::modules::check;
use crate::modules::rows::{accept, nothing};
use crate::modules::slot;
use crate::pipe::Module;

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

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("CacheRoot", Places::SERVER, Shape::Take1, accept, "The directory to store cache files").missing(),
    row("CacheDirLevels", Places::SERVER, Shape::Take1, dirs, "The number of levels of subdirectories in the cache").missing(),
    row("CacheDirLength", Places::SERVER, Shape::Take1, dirs, "The number of characters in subdirectory names").missing(),
    row("CacheMinFileSize", Places::DIR.or(Places::SERVER), Shape::Take1, |_, a| check::at_least(a, 0, "CacheMinFileSize argument must be a non-negative integer representing the min size of a file to cache in bytes."), "The minimum file size to cache a document").missing(),
    row("CacheMaxFileSize", Places::DIR.or(Places::SERVER), Shape::Take1, |_, a| check::at_least(a, 0, "CacheMaxFileSize argument must be a non-negative integer representing the max size of a file to cache in bytes."), "The maximum file size to cache a document").missing(),
    row("CacheReadSize", Places::DIR.or(Places::SERVER), Shape::Take1, |_, a| check::at_least(a, 0, "CacheReadSize argument must be a non-negative integer representing the max amount of data to cache in go."), "The maximum quantity of data to attempt to read and cache in one go").missing(),
    row("CacheReadTime", Places::DIR.or(Places::SERVER), Shape::Take1, |_, a| check::at_least(a, 0, "CacheReadTime argument must be a non-negative integer representing the max amount of time taken to cache in go."), "The maximum time taken to attempt to read and cache in go").missing(),
];

/// Levels of directories and the length of their names; set in either order.
#[derive(Clone, Debug, Default)]
struct Dirs {
    levels: Option<i64>,
    length: Option<i64>,
}

impl Conf for Dirs {
    const SLOT: usize = slot::CACHE_DISK;

    fn merge(base: &Self, add: &Self) -> Self {
        Self { levels: add.levels.or(base.levels), length: add.length.or(base.length) }
    }
}

fn dirs(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let name = cmd.directive.name;
    check::at_least(args, 1, &format!("{name} value must be an integer greater than 0"))?;
    let number = check::number(args.word(0));
    let conf = cmd.server_conf::<Dirs>();
    if name == "CacheDirLevels" {
        conf.levels = Some(number);
    } else {
        conf.length = Some(number);
    }
    if conf.levels.unwrap_or(2).saturating_mul(conf.length.unwrap_or(2)) > 20 {
        return Err("CacheDirLevels*CacheDirLength value must not be higher than 20".to_owned());
    }
    Ok(())
}

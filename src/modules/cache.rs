//! `mod_cache.c`.

use crate::config::{Args, Cmd, Directive, ModuleRow, Places, SectionKind, Shape, row};
use crate::modules::check;
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "cache_module",
        file: "mod_cache.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("CacheEnable", Places::DIR.or(Places::SERVER), Shape::Take12, enable, "A cache type and partial URL prefix below which caching is enabled").missing(),
    row("CacheDisable", Places::DIR.or(Places::SERVER), Shape::Take1, disable, "A partial URL prefix below which caching is disabled").missing(),
    row("CacheMaxExpire", Places::DIR.or(Places::SERVER), Shape::Take1, accept, "The maximum time in seconds to cache a document").missing(),
    row("CacheMinExpire", Places::DIR.or(Places::SERVER), Shape::Take1, accept, "The minimum time in seconds to cache a document").missing(),
    row("CacheDefaultExpire", Places::DIR.or(Places::SERVER), Shape::Take1, accept, "The default time in seconds to cache a document").missing(),
    row("CacheQuickHandler", Places::SERVER, Shape::Flag, accept, "Run the cache in the quick handler, default on").missing(),
    row("CacheIgnoreNoLastMod", Places::DIR.or(Places::SERVER), Shape::Flag, accept, "Ignore Responses where there is no Last Modified Header").missing(),
    row("CacheIgnoreCacheControl", Places::SERVER, Shape::Flag, accept, "Ignore requests from the client for uncached content").missing(),
    row("CacheStoreExpired", Places::DIR.or(Places::SERVER), Shape::Flag, accept, "Ignore expiration dates when populating cache, resulting in an If-Modified-Since request to the backend on retrieval").missing(),
    row("CacheStorePrivate", Places::DIR.or(Places::SERVER), Shape::Flag, accept, "Ignore 'Cache-Control: private' and store private content").missing(),
    row("CacheStoreNoStore", Places::DIR.or(Places::SERVER), Shape::Flag, accept, "Ignore 'Cache-Control: no-store' and store sensitive content").missing(),
    row("CacheIgnoreHeaders", Places::SERVER, Shape::Iterate, accept, "A space separated list of headers that should not be stored by the cache").missing(),
    row("CacheIgnoreQueryString", Places::SERVER, Shape::Flag, accept, "Ignore query-string when caching").missing(),
    row("CacheIgnoreURLSessionIdentifiers", Places::SERVER, Shape::Iterate, accept, "A space separated list of session identifiers that should be ignored for creating the key of the cached entity.").missing(),
    row("CacheLastModifiedFactor", Places::DIR.or(Places::SERVER), Shape::Take1, factor, "The factor used to estimate Expires date from LastModified date").missing(),
    row("CacheLock", Places::SERVER, Shape::Flag, accept, "Enable or disable the thundering herd lock.").missing(),
    row("CacheLockPath", Places::SERVER, Shape::Take1, accept, "The thundering herd lock path. Defaults to the '/mod_cache-lock' directory in the system temp directory.").missing(),
    row("CacheLockMaxAge", Places::SERVER, Shape::Take1, |_, a| check::at_least(a, 1, "CacheLockMaxAge value must be a non-zero positive integer"), "Maximum age of any thundering herd lock.").missing(),
    row("CacheHeader", Places::DIR.or(Places::SERVER), Shape::Flag, accept, "Add a X-Cache header to responses. Default is off.").missing(),
    row("CacheDetailHeader", Places::DIR.or(Places::SERVER), Shape::Flag, accept, "Add a X-Cache-Detail header to responses. Default is off.").missing(),
    row("CacheKeyBaseURL", Places::SERVER, Shape::Take1, base_url, "Override the base URL of reverse proxied cache keys.").missing(),
    row("CacheStaleOnError", Places::DIR.or(Places::SERVER), Shape::Flag, accept, "Serve stale content on 5xx errors if present. Defaults to on.").missing(),
];

/// Not inside of sections that are not about URLs.
fn about_urls(cmd: &Cmd<'_>) -> Result<(), String> {
    cmd.forbid(&[SectionKind::Directory, SectionKind::Limit, SectionKind::Files])
}

/// `CacheEnable provider [URL]`; in a Location the URL is the Location's.
fn enable(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    about_urls(cmd)?;
    let provider = args.text(0);
    if provider.starts_with('/') {
        return Err(format!("provider ({provider}) starts with a '/'.  Are url and provider switched?"));
    }
    match (args.opt(1), cmd.section_path) {
        (None, None) => Err(format!("CacheEnable provider ({provider}) is missing an URL.")),
        (Some(url), Some(path)) if !url.starts_with(path) => {
            Err("When in a Location, CacheEnable must specify a path or an URL below that location.".to_owned())
        }
        _ => Ok(()),
    }
}

/// `CacheDisable URL`, or `on` in a Location.
fn disable(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    about_urls(cmd)?;
    let word = args.word(0);
    if cmd.section_path.is_some() {
        return match word.eq_ignore_ascii_case(b"on") {
            true => Ok(()),
            false => Err("CacheDisable must be followed by the word 'on' when in a Location.".to_owned()),
        };
    }
    if word.first() == Some(&b'/') || word.contains(&b':') {
        return Ok(());
    }
    Err("CacheDisable must specify a path or an URL.".to_owned())
}

fn factor(_: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let word = args.text(0);
    let number = word.trim_start_matches(['+', '-', ' ', '.']);
    if number.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(());
    }
    Err("CacheLastModifiedFactor value must be a float".to_owned())
}

fn base_url(_: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    if args.text(0).contains("//") || args.word(0).contains(&b':') {
        return Ok(());
    }
    Err(format!("URL '{}' must contain at least one of a scheme, a hostname or a port.", args.text(0)))
}

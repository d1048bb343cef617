//! `mod_cache.c`: responses that are kept, and answered with in place of asking for them again.
//!
//! A request meets the cache in front of all other phases ([`Phase::Quick`]), or with `CacheQuickHandler Off` as the
//! first of the handlers, once it has passed access control. What may be kept of the response that it gets otherwise is
//! decided where it leaves for the client ([`keep`]). Stores are modules of their own ([`store`]).

use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use crate::config::{Args, Cmd, Directive, ModuleRow, Places, SectionKind, Server, Shape, Slots, row};
use crate::modules::check;
use crate::modules::rows::nothing;
use crate::pipe::{Hook, Module, Phase, Run, Waiting, declined};
use crate::web::{Exchange, Wire};

pub mod conf;
pub mod control;
pub mod entry;
pub mod keep;
pub mod key;
pub mod lock;
pub mod marker;
pub mod select;
pub mod store;

use conf::{BaseUrl, CacheDir, CacheServer, UrlPrefix};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "cache_module",
        file: "mod_cache.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("CacheEnable", Places::DIR.or(Places::SERVER), Shape::Take12, enable, "A cache type and partial URL prefix below which caching is enabled"),
    row("CacheDisable", Places::DIR.or(Places::SERVER), Shape::Take1, disable, "A partial URL prefix below which caching is disabled"),
    row("CacheMaxExpire", Places::DIR.or(Places::SERVER), Shape::Take1, expire, "The maximum time in seconds to cache a document"),
    row("CacheMinExpire", Places::DIR.or(Places::SERVER), Shape::Take1, expire, "The minimum time in seconds to cache a document"),
    row("CacheDefaultExpire", Places::DIR.or(Places::SERVER), Shape::Take1, expire, "The default time in seconds to cache a document"),
    row("CacheQuickHandler", Places::SERVER, Shape::Flag, switch, "Run the cache in the quick handler, default on"),
    row("CacheIgnoreNoLastMod", Places::DIR.or(Places::SERVER), Shape::Flag, dir_switch, "Ignore Responses where there is no Last Modified Header"),
    row("CacheIgnoreCacheControl", Places::SERVER, Shape::Flag, switch, "Ignore requests from the client for uncached content"),
    row("CacheStoreExpired", Places::DIR.or(Places::SERVER), Shape::Flag, dir_switch, "Ignore expiration dates when populating cache, resulting in an If-Modified-Since request to the backend on retrieval"),
    row("CacheStorePrivate", Places::DIR.or(Places::SERVER), Shape::Flag, dir_switch, "Ignore 'Cache-Control: private' and store private content"),
    row("CacheStoreNoStore", Places::DIR.or(Places::SERVER), Shape::Flag, dir_switch, "Ignore 'Cache-Control: no-store' and store sensitive content"),
    row("CacheIgnoreHeaders", Places::SERVER, Shape::Iterate, names, "A space separated list of headers that should not be stored by the cache"),
    row("CacheIgnoreQueryString", Places::SERVER, Shape::Flag, switch, "Ignore query-string when caching"),
    row("CacheIgnoreURLSessionIdentifiers", Places::SERVER, Shape::Iterate, names, "A space separated list of session identifiers that should be ignored for creating the key of the cached entity."),
    row("CacheLastModifiedFactor", Places::DIR.or(Places::SERVER), Shape::Take1, factor, "The factor used to estimate Expires date from LastModified date"),
    row("CacheLock", Places::SERVER, Shape::Flag, switch, "Enable or disable the thundering herd lock."),
    row("CacheLockPath", Places::SERVER, Shape::Take1, lock_path, "The thundering herd lock path. Defaults to the '/mod_cache-lock' directory in the system temp directory."),
    row("CacheLockMaxAge", Places::SERVER, Shape::Take1, lock_max_age, "Maximum age of any thundering herd lock."),
    row("CacheHeader", Places::DIR.or(Places::SERVER), Shape::Flag, dir_switch, "Add a X-Cache header to responses. Default is off."),
    row("CacheDetailHeader", Places::DIR.or(Places::SERVER), Shape::Flag, dir_switch, "Add a X-Cache-Detail header to responses. Default is off."),
    row("CacheKeyBaseURL", Places::SERVER, Shape::Take1, base_url, "Override the base URL of reverse proxied cache keys."),
    row("CacheStaleOnError", Places::DIR.or(Places::SERVER), Shape::Flag, dir_switch, "Serve stale content on 5xx errors if present. Defaults to on."),
];

/// The hooks.
const HOOKS: &[Hook] = &[
    Hook { phase: Phase::Quick, order: -10, wants: wants_quick, run: Run::Handle(quick) },
    Hook { phase: Phase::Handler, order: -20, wants: wants_handler, run: Run::Handle(handler) },
];

/// Not inside of sections that are not about URLs.
fn about_urls(cmd: &Cmd<'_>) -> Result<(), String> {
    cmd.forbid(&[SectionKind::Directory, SectionKind::Limit, SectionKind::Files])
}

type Done = Result<(), String>;

/// `CacheEnable provider [URL]`; in a Location the URL is the Location's.
fn enable(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    about_urls(cmd)?;
    let provider = args.text(0);
    if provider.starts_with('/') {
        return Err(format!("provider ({provider}) starts with a '/'.  Are url and provider switched?"));
    }
    let name = args.word(0).to_vec();
    match (args.opt(1), cmd.section_path) {
        (None, None) => return Err(format!("CacheEnable provider ({provider}) is missing an URL.")),
        (Some(url), Some(path)) if !url.starts_with(path) => {
            return Err("When in a Location, CacheEnable must specify a path or an URL below that location.".to_owned());
        }
        (_, Some(_)) => cmd.dir_conf::<CacheDir>().enable.push(name),
        (Some(url), None) => cmd.server_conf::<CacheServer>().enable.push((UrlPrefix::parse(url), name)),
    }
    Ok(())
}

/// `CacheDisable URL`, or `on` in a Location.
fn disable(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    about_urls(cmd)?;
    let word = args.word(0);
    if cmd.section_path.is_some() {
        if !word.eq_ignore_ascii_case(b"on") {
            return Err("CacheDisable must be followed by the word 'on' when in a Location.".to_owned());
        }
        cmd.dir_conf::<CacheDir>().disable = Some(true);
        return Ok(());
    }
    if word.first() == Some(&b'/') || word.contains(&b':') {
        cmd.server_conf::<CacheServer>().disable.push(UrlPrefix::parse(word));
        return Ok(());
    }
    Err("CacheDisable must specify a path or an URL.".to_owned())
}

/// A time in seconds.
fn expire(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let time = Some(check::long(args.word(0)).unwrap_or(i64::MAX).saturating_mul(1_000_000));
    let name = cmd.directive.name;
    let dir = cmd.dir_conf::<CacheDir>();
    match name {
        "CacheMaxExpire" => dir.max_expire = time,
        "CacheMinExpire" => dir.min_expire = time,
        _ => dir.default_expire = time,
    }
    Ok(())
}

/// On or off for a server.
fn switch(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let (name, on) = (cmd.directive.name, Some(args.on()));
    let conf = cmd.server_conf::<CacheServer>();
    match name {
        "CacheQuickHandler" => conf.quick = on,
        "CacheIgnoreCacheControl" => conf.ignore_control = on,
        "CacheIgnoreQueryString" => conf.ignore_query = on,
        _ => conf.lock = on,
    }
    Ok(())
}

/// On or off for a section.
fn dir_switch(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let (name, on) = (cmd.directive.name, Some(args.on()));
    let dir = cmd.dir_conf::<CacheDir>();
    match name {
        "CacheIgnoreNoLastMod" => dir.ignore_no_last_mod = on,
        "CacheStoreExpired" => dir.store_expired = on,
        "CacheStorePrivate" => dir.store_private = on,
        "CacheStoreNoStore" => dir.store_no_store = on,
        "CacheHeader" => dir.header = on,
        "CacheDetailHeader" => dir.detail = on,
        _ => dir.stale_on_error = on,
    }
    Ok(())
}

/// Names, one at a time; `None` takes those before it away, and no other counts behind it.
fn names(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let name = cmd.directive.name;
    let conf = cmd.server_conf::<CacheServer>();
    let list = if name == "CacheIgnoreHeaders" { &mut conf.ignore_headers } else { &mut conf.ignore_session_ids };
    if args.word(0).eq_ignore_ascii_case(b"None") {
        *list = Some(Vec::new());
    } else if list.as_ref().is_none_or(|list| !list.is_empty()) {
        list.get_or_insert_default().push(args.word(0).to_vec());
    }
    Ok(())
}

fn factor(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let word = args.text(0);
    let text = word.trim_start();
    // The longest start that is a number.
    let number = (1..=text.len()).rev().filter_map(|end| text.get(..end)?.parse::<f64>().ok()).next();
    let Some(number) = number else { return Err("CacheLastModifiedFactor value must be a float".to_owned()) };
    cmd.dir_conf::<CacheDir>().factor = Some(number);
    Ok(())
}

fn lock_path(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let path = cmd.rooted(args.word(0));
    cmd.server_conf::<CacheServer>().lock_path = Some(PathBuf::from(std::ffi::OsStr::from_bytes(&path)));
    Ok(())
}

fn lock_max_age(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let seconds = check::long(args.word(0)).unwrap_or(i64::MAX);
    let seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0);
    let seconds = seconds.ok_or("CacheLockMaxAge value must be a non-zero positive integer")?;
    cmd.server_conf::<CacheServer>().lock_max_age = Some(seconds);
    Ok(())
}

fn base_url(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    if check::is_broken_uri(args.word(0)) {
        return Err(format!("Could not parse '{}' as an URL.", args.text(0)));
    }
    if args.text(0).contains("//") || args.word(0).contains(&b':') {
        cmd.server_conf::<CacheServer>().base_url = Some(BaseUrl::parse(args.word(0)));
        return Ok(());
    }
    Err(format!("URL '{}' must contain at least one of a scheme, a hostname or a port.", args.text(0)))
}

fn is_enabled(server: &Server, dir: &Slots, quick: bool) -> bool {
    let conf = server.get::<CacheServer>();
    conf.is_none_or(CacheServer::is_quick) == quick
        && (conf.is_some_and(|conf| !conf.enable.is_empty())
            || dir.get::<CacheDir>().is_some_and(|dir| !dir.enable.is_empty()))
}

fn wants_quick(server: &Server, dir: &Slots) -> bool {
    is_enabled(server, dir, true)
}

fn wants_handler(server: &Server, dir: &Slots) -> bool {
    is_enabled(server, dir, false)
}

/// Answers in front of all other phases: nobody is asked whether the request may pass.
fn quick<'a>(ex: &'a mut Exchange, wire: &'a mut dyn Wire) -> Waiting<'a> {
    Box::pin(select::answer(ex, wire, true))
}

/// Answers in place of the handlers.
fn handler<'a>(ex: &'a mut Exchange, wire: &'a mut dyn Wire) -> Waiting<'a> {
    if ex.sub_depth > 0 {
        return declined();
    }
    Box::pin(select::answer(ex, wire, false))
}

/// What became of a request, for the log and for fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Hit,
    Revalidate,
    Miss,
    Invalidate,
}

/// Tells the log what became of the request, and the client if the configuration wants so.
fn tell(ex: &mut Exchange, status: Status, reason: &str) {
    let (variable, word): (&[u8], _) = match status {
        Status::Hit => (b"cache-hit", "HIT"),
        Status::Revalidate => (b"cache-revalidate", "REVALIDATE"),
        Status::Miss => (b"cache-miss", "MISS"),
        Status::Invalidate => (b"cache-invalidate", "INVALIDATE"),
    };
    ex.env.set(variable, reason.as_bytes());
    ex.env.set(b"cache-status", reason.as_bytes());
    let (header, detail) = ex.dir::<CacheDir>().map_or((None, None), |dir| (dir.header, dir.detail));
    let named = |text: &[u8]| [text, b" from ", ex.server().rec.name.as_deref().unwrap_or_default()].concat();
    let header = (header == Some(true)).then(|| named(word.as_bytes()));
    let detail = (detail == Some(true)).then(|| named(format!("\"{reason}\"").as_bytes()));
    for (name, value) in [(b"X-Cache".as_slice(), header), (b"X-Cache-Detail", detail)] {
        if let Some(value) = value {
            ex.headers_out.set(name, &value);
        }
    }
}

//! The request in front of the cache: is there an entry for it, may it be used, may what comes in its place be kept?

use std::sync::Arc;

use super::conf::{CacheDir, CacheServer};
use super::control::{Control, Flag, joined};
use super::keep::{Invalidation, Saver};
use super::lock::{Lock, Unlocked};
use super::store::{Entry, Limits, PROVIDERS, Provider, Said, Store};
use super::{Status, entry, key, tell};
use crate::logs::{self, Bytes, Errno, Level};
use crate::pipe::conditions::{meets_conditions, needs_another};
use crate::pipe::{self, Outcome};
use crate::web::{Exchange, Keeper, Origin, Table, Wire};

/// A store that is enabled for a request, and what it takes.
pub struct Choice {
    provider: &'static Provider,
    /// The store itself.
    pub store: Arc<dyn Store>,
}

impl Choice {
    /// What the store takes for the request's section.
    pub fn limits(&self, ex: &Exchange) -> Limits {
        (self.provider.limits)(ex)
    }
}

/// Answers from the cache, or declines; then the response may be kept on its way out.
pub async fn answer(ex: &mut Exchange, wire: &mut dyn Wire, early: bool) -> Outcome {
    let live = ex.live.clone();
    let none = CacheServer::default();
    let conf = live.generation.servers.get(ex.server).and_then(|server| server.get::<CacheServer>()).unwrap_or(&none);
    let choices = choices(ex, conf, early);
    if choices.is_empty() || ex.sub_depth > 0 {
        return Outcome::Declined;
    }
    let asked = control(&ex.headers_in);
    let obeyed = conf.ignore_control != Some(true);
    if asked.has(Flag::NoStore) {
        if obeyed {
            return Outcome::Declined;
        }
        ignored(ex, "AH02658: Incoming request is asking for a no-store version of");
    }
    if early && ex.headers_in.contains(b"Authorization") {
        return Outcome::Declined;
    }
    match ex.method.as_slice() {
        b"GET" | b"HEAD" => {}
        b"PUT" | b"POST" | b"DELETE" => {
            let key = key::of(ex, conf, early);
            ex.response.keeper = Some(Box::new(Invalidation::new(key, choices)));
            return Outcome::Declined;
        }
        _ => return Outcome::Declined,
    }
    let mut search = Search { conf, asked, obeyed, key: key::of(ex, conf, early), choices, stale: None, lock: None };
    match search.run(ex).await {
        Found::Entry(found) => hit(ex, wire, *found, early).await,
        Found::Nothing => search.miss(ex).await,
        Found::Status(status) => Outcome::Status(status),
    }
}

/// The stores for the request, in the order of the configuration: those of its section first.
fn choices(ex: &Exchange, conf: &CacheServer, early: bool) -> Vec<Choice> {
    let dir = ex.dir::<CacheDir>();
    if dir.is_some_and(|dir| dir.disable == Some(true)) || conf.disable.iter().any(|url| url.covers(ex, early)) {
        return Vec::new();
    }
    let own = dir.iter().flat_map(|dir| &dir.enable);
    let servers = conf.enable.iter().filter(|(url, _)| url.covers(ex, early)).map(|(_, name)| name);
    let loaded = &ex.live.generation.globals.modules;
    let mut choices: Vec<Choice> = Vec::new();
    for name in own.chain(servers) {
        let provider = PROVIDERS.iter().find(|row| row.name.as_bytes() == name && loaded.contains(&row.module));
        let Some(provider) = provider else { continue };
        if !choices.iter().any(|choice| choice.provider.name == provider.name)
            && let Some(store) = (provider.store)(ex)
        {
            choices.push(Choice { provider, store });
        }
    }
    choices
}

/// What the fields of a request or response say of caches.
pub fn control(fields: &Table) -> Control {
    Control::parse(joined(fields, b"Cache-Control").as_deref(), joined(fields, b"Pragma").as_deref())
}

fn ignored(ex: &Exchange, what: &str) {
    let rest = match what.contains("AH00781") {
        true => "but we have been configured to ignore it and serve a cached response anyway",
        false => "but we have been configured to ignore it and serve cached content anyway",
    };
    logs::error!(ex, Level::Info, "cache", "{} {}, {}", what, Bytes(&ex.unparsed_uri), rest);
}

/// Writes to the error log what was said off this thread.
pub fn log(ex: &Exchange, said: Vec<Said>) {
    for Said { level, module, errno, text } in said {
        match errno {
            Some(errno) => logs::error!(ex, level, module, errno => "{}", text),
            None => logs::error!(ex, level, module, "{}", text),
        }
    }
}

enum Found {
    Entry(Box<Entry>),
    Nothing,
    Status(u16),
}

struct Search<'a> {
    conf: &'a CacheServer,
    asked: Control,
    obeyed: bool,
    key: Vec<u8>,
    choices: Vec<Choice>,
    stale: Option<(Box<Entry>, Arc<dyn Store>, Table)>,
    lock: Option<Lock>,
}

impl Search<'_> {
    async fn run(&mut self, ex: &mut Exchange) -> Found {
        if self.asked.has(Flag::NoCache) {
            if self.obeyed {
                return Found::Nothing;
            }
            ignored(ex, "AH02657: Incoming request is asking for an uncached version of");
        }
        for at in 0..self.choices.len() {
            let Some(store) = self.choices.get(at).map(|choice| choice.store.clone()) else { break };
            let Some(mut found) = self.open(ex, &store).await else { continue };
            if entry::varies(&found, &ex.headers_in) {
                logs::error!(ex, Level::Debug, "cache", "AH00694: cache_select(): Vary header mismatch.");
                continue;
            }
            // What the client has of it is something else.
            let another = with_fields(ex, &mut found.response, needs_another);
            if !another && self.is_fresh(ex, &mut found).await {
                return Found::Entry(Box::new(found));
            }
            if self.asked.has(Flag::OnlyIfCached) {
                continue;
            }
            let before = ex.headers_in.clone();
            if !another {
                ask_again(ex, &found);
            }
            self.stale = Some((Box::new(found), store, before));
            return Found::Nothing;
        }
        if self.asked.has(Flag::OnlyIfCached) {
            let text =
                "AH00696: cache: 'only-if-cached' requested and no cached entity, returning 504 Gateway Timeout for:";
            logs::error!(ex, Level::Debug, "cache", "{} {}", text, Bytes(&ex.uri));
            return Found::Status(504);
        }
        Found::Nothing
    }

    async fn open(&self, ex: &Exchange, store: &Arc<dyn Store>) -> Option<Entry> {
        let (store, key, request, head) = (store.clone(), self.key.clone(), ex.headers_in.clone(), ex.header_only);
        let opened = tokio::task::spawn_blocking(move || {
            let mut said = Vec::new();
            let found = store.open(&key, &request, head, &mut said);
            (found, said)
        });
        let (found, said) = opened.await.ok()?;
        log(ex, said);
        found
    }

    /// Whether an entry may be used: it is fresh, or somebody else is asking for a newer one.
    async fn is_fresh(&mut self, ex: &Exchange, found: &mut Entry) -> bool {
        if self.asked.has(Flag::NoCache) {
            ignored(ex, "AH00781: Incoming request is asking for a uncached version of");
        }
        if entry::is_fresh(found, &self.asked, self.conf, ex.started_micros) {
            return true;
        }
        if found.info.control.has(Flag::NoCache) || found.info.control.has(Flag::Invalidated) {
            return false;
        }
        match self.take_lock(ex).await {
            Ok(()) => false,
            Err(Unlocked::Held) => {
                let text = "AH00783: Cache already locked for stale cached URL, pretend it is fresh:";
                logs::error!(ex, Level::Debug, "cache", "{} {}", text, Bytes(&ex.unparsed_uri));
                entry::warn(&mut found.response, b"110 Response is stale");
                true
            }
            Err(_) => false,
        }
    }

    /// Takes the lock of the entry, if there are locks.
    async fn take_lock(&mut self, ex: &Exchange) -> Result<(), Unlocked> {
        let Some(locks) = self.conf.locks().filter(|_| self.lock.is_none()) else { return Ok(()) };
        let key = self.key.clone();
        let taken = tokio::task::spawn_blocking(move || locks.take(&key)).await;
        let (lock, old) = taken.unwrap_or((Err(Unlocked::Failed), None));
        if let Some(path) = old {
            let (uri, path) = (Bytes(&ex.uri), path.display());
            logs::error!(ex, Level::Info, "cache", "AH00780: Cache lock file for '{uri}' too old, removing: {path}");
        }
        match &lock {
            Err(Unlocked::NoDir(path, error)) => {
                let (errno, path) = (Errno::from(error), path.display());
                logs::error!(ex, Level::Error, "cache", errno => "AH00778: Could not create a cache lock directory: {path}");
            }
            Err(Unlocked::NoLook(path, error)) => {
                let (errno, path) = (Errno::from(error), path.display());
                logs::error!(ex, Level::Error, "cache", errno => "AH00779: Could not stat a cache lock file: {path}");
            }
            _ => {}
        }
        self.lock = Some(lock?);
        Ok(())
    }

    /// There is nothing that may be used: what the handler answers may be kept.
    async fn miss(mut self, ex: &mut Exchange) -> Outcome {
        match self.take_lock(ex).await {
            Ok(()) => {
                let saver = Saver::new(self.key, self.choices, self.stale, self.lock);
                ex.response.keeper = Some(Box::new(saver) as Box<dyn Keeper>);
            }
            Err(_) => {
                let text = "AH00752: Cache locked for url, not caching response:";
                logs::error!(ex, Level::Debug, "cache", "{} {}", text, Bytes(&ex.uri));
                if let Some((_, _, before)) = self.stale {
                    ex.headers_in = before;
                }
            }
        }
        Outcome::Declined
    }
}

/// Runs `act` while these are the response's fields.
pub fn with_fields<T>(ex: &mut Exchange, fields: &mut Table, act: impl FnOnce(&Exchange) -> T) -> T {
    std::mem::swap(&mut ex.headers_out, fields);
    let done = act(ex);
    std::mem::swap(&mut ex.headers_out, fields);
    done
}

/// Conditions of the request.
pub const CONDITIONS: [&[u8]; 5] =
    [b"If-Match", b"If-Modified-Since", b"If-None-Match", b"If-Range", b"If-Unmodified-Since"];

/// Makes the request one that asks whether an entry is still right.
fn ask_again(ex: &mut Exchange, found: &Entry) {
    let text = "AH00695: Cached response for";
    let rest = "isn't fresh. Adding conditional request headers.";
    logs::error!(ex, Level::Debug, "cache", "{} {} {}", text, Bytes(&ex.uri), rest);
    for name in CONDITIONS {
        ex.headers_in.unset(name);
    }
    let (tag, modified) = (found.response.get(b"ETag"), found.response.get(b"Last-Modified"));
    if let Some(tag) = tag {
        ex.headers_in.set(b"If-None-Match", tag);
    }
    if let Some(modified) = modified {
        ex.headers_in.set(b"If-Modified-Since", modified);
    }
    if tag.is_some() || modified.is_some() {
        ex.headers_in.unset(b"Range");
    }
}

/// Answers with an entry.
async fn hit(ex: &mut Exchange, wire: &mut dyn Wire, found: Entry, early: bool) -> Outcome {
    entry::accept(ex, &found, false);
    tell(ex, Status::Hit, "cache hit");
    if let Some(status) = meets_conditions(ex) {
        ex.response.origin = Origin::Status;
        return Outcome::Status(status);
    }
    if early {
        ex.drop_filters();
    } else {
        super::marker::keep_behind(ex);
    }
    ex.status = found.info.status;
    ex.status_line.clear();
    pipe::stored(ex, wire, Box::new(found.body)).await
}

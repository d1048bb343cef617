//! The response on its way out: whether it is kept, and what becomes of an older one.

use std::sync::Arc;

use super::conf::{CacheDir, CacheServer};
use super::control::{Control, Flag, joined};
use super::entry;
use super::key;
use super::lock::Lock;
use super::select::{CONDITIONS, Choice, control, log};
use super::store::{Entry, Info, Limits, Said, Store, Writer};
use super::{Status, tell};
use crate::base::clock::{Clock as _, SystemClock, parse_http_date};
use crate::logs::{self, Bytes, Level};
use crate::pipe::conditions::meets_conditions;
use crate::pipe::has_token;
use crate::web::{Exchange, Keeper, Keeping, ProxyKind, Table, Verdict};

/// So much of a body is held before it is written.
const HELD: usize = 64 * 1024;
const SECOND: i64 = 1_000_000;

/// Fields that describe a body: a 304 tells nothing of it.
const ENTITY: [&[u8]; 9] = [
    b"Allow",
    b"Content-Encoding",
    b"Content-Language",
    b"Content-Length",
    b"Content-Location",
    b"Content-MD5",
    b"Content-Range",
    b"Content-Type",
    b"Last-Modified",
];

/// Keeps a response, renews an entry, or takes one away.
pub struct Saver {
    key: Vec<u8>,
    choices: Vec<Choice>,
    /// An entry that was too old, its store, and the request's fields before it was asked for again.
    stale: Option<(Box<Entry>, Arc<dyn Store>, Table)>,
    /// Given back once others may ask.
    lock: Option<Lock>,
    work: Work,
}

/// What is to be done when the response is complete.
enum Work {
    /// Nothing is decided: an older entry is not right any more.
    Remove,
    /// Nothing.
    Nothing,
    /// The response is kept.
    Save(Box<Save>),
    /// The older entry is given new fields.
    Refresh(Box<(Info, Table, Table)>),
}

struct Save {
    writer: Box<dyn Writer>,
    held: Vec<u8>,
    length: u64,
    limits: Limits,
    info: Info,
    response: Table,
    request: Table,
    /// What the response says of its length.
    announced: Option<u64>,
}

/// A response's fields: those that are always sent count first.
fn field<'a>(ex: &'a Exchange, name: &[u8]) -> Option<&'a [u8]> {
    ex.err_headers_out.get(name).or_else(|| ex.headers_out.get(name))
}

/// The fields of the response and of the request that may be stored.
fn storable(ex: &Exchange) -> (Table, Table) {
    let none = CacheServer::default();
    let conf = ex.server().get::<CacheServer>().unwrap_or(&none);
    (entry::storable_response(ex, conf), entry::storable(ex.headers_in.clone(), conf))
}

impl Saver {
    /// For the response to the request of `key`.
    pub fn new(
        key: Vec<u8>,
        choices: Vec<Choice>,
        stale: Option<(Box<Entry>, Arc<dyn Store>, Table)>,
        lock: Option<Lock>,
    ) -> Self {
        Self { key, choices, stale, lock, work: Work::Remove }
    }

    /// The older entry may be used where asking for a newer one failed.
    fn usable(&self, ex: &Exchange, strict: bool) -> bool {
        let wanted = ex.dir::<CacheDir>().and_then(|dir| dir.stale_on_error).unwrap_or(true);
        let refused = |control: &Control| {
            control.has(Flag::MustRevalidate)
                || control.has(Flag::ProxyRevalidate)
                || (strict && control.has(Flag::SMaxage))
        };
        wanted && self.stale.as_ref().is_some_and(|(entry, ..)| !refused(&entry.info.control))
    }

    /// Puts the older entry in the place of an error.
    fn serve_stale(&mut self, ex: &mut Exchange, always: bool) -> Verdict {
        let Some((entry, ..)) = &self.stale else { return Verdict::Pass };
        ex.headers_out = entry.response.clone();
        if always {
            ex.err_headers_out.clear();
            entry::warn(&mut ex.headers_out, b"111 Revalidation failed");
        } else {
            entry::warn(&mut ex.err_headers_out, b"111 Revalidation failed");
        }
        ex.content_type = entry.response.get(b"Content-Type").unwrap_or_default().to_vec();
        ex.content_encoding.clear();
        ex.content_languages.clear();
        let reason = format!("cache hit: {} status; stale content returned", ex.status);
        tell(ex, Status::Hit, &reason);
        ex.status = entry.info.status;
        ex.status_line.clear();
        self.work = Work::Nothing;
        Verdict::Replace(Some(Box::new(entry.body.clone())))
    }

    /// Why the response is not kept.
    fn refusal(&mut self, ex: &Exchange, control: &Control, said: bool) -> Option<String> {
        let none = CacheDir::default();
        let dir = ex.dir::<CacheDir>().unwrap_or(&none);
        let conf = ex.server().get::<CacheServer>();
        let expires = field(ex, b"Expires");
        let expire = expires.and_then(parse_http_date);
        let modified = field(ex, b"Last-Modified").and_then(parse_http_date);
        let tag = field(ex, b"ETag");
        let timed = control.has(Flag::MaxAge) || control.has(Flag::SMaxage);
        let strict = control.has(Flag::MustRevalidate) || control.has(Flag::ProxyRevalidate);
        let store_expired = dir.store_expired == Some(true);
        let known = matches!(ex.status, 200 | 203 | 206 | 300 | 301 | 304);
        if !known && expires.is_none() && !said {
            return Some(format!("Response status {}", ex.status));
        }
        if let Some(text) = expires.filter(|_| expire.is_none()) {
            return Some(format!("Broken expires header: {}", String::from_utf8_lossy(text)));
        }
        if !timed && !store_expired && expire.is_some_and(|expire| expire.saturating_mul(SECOND) < ex.started_micros) {
            return Some("Expires header already expired; not cacheable".to_owned());
        }
        let over = control.s_maxage == 0 || (!control.has(Flag::SMaxage) && control.max_age == 0);
        if !store_expired && strict && over && modified.is_none() && tag.is_none() {
            return Some("s-maxage or max-age zero and no Last-Modified or Etag; not cacheable".to_owned());
        }
        let early = conf.is_none_or(CacheServer::is_quick) || ex.proxyreq == ProxyKind::Forward;
        let query = key::query(ex, early).is_some() && conf.and_then(|conf| conf.ignore_query) != Some(true);
        if query && expires.is_none() && !timed {
            return Some("Query string present but no explicit expiration time".to_owned());
        }
        if ex.status == 304 && self.stale.is_none() {
            return Some("HTTP Status 304 Not Modified".to_owned());
        }
        let untold = modified.is_none() && tag.is_none() && expires.is_none() && !timed;
        if ex.status == 200 && untold && dir.ignore_no_last_mod != Some(true) {
            let text = "No Last-Modified; Etag; Expires; Cache-Control:max-age or Cache-Control:s-maxage headers";
            return Some(text.to_owned());
        }
        if dir.store_no_store != Some(true) && control.has(Flag::NoStore) {
            return Some("Cache-Control: no-store present".to_owned());
        }
        if dir.store_private != Some(true) && control.has(Flag::Private) {
            return Some("Cache-Control: private present".to_owned());
        }
        let shared = control.has(Flag::SMaxage) || strict || control.has(Flag::Public);
        if ex.headers_in.contains(b"Authorization") && !shared {
            return Some("Authorization required".to_owned());
        }
        if has_token(ex.headers_out.get_all(b"Vary"), b"*") {
            return Some("Vary header contains '*'".to_owned());
        }
        if ex.env.contains(b"no-cache") {
            return Some("environment variable 'no-cache' is set".to_owned());
        }
        if ex.no_cache {
            return Some("r->no_cache present".to_owned());
        }
        let (entry, ..) = self.stale.as_ref()?;
        let date = ex.headers_out.get(b"Date").and_then(parse_http_date);
        if date.is_some_and(|date| date.saturating_mul(SECOND) < entry.info.date) {
            // That one is still the best there is.
            self.work = Work::Nothing;
            return Some("updated entity is older than cached entity".to_owned());
        }
        if ex.status == 304 {
            return contradiction(ex, entry);
        }
        None
    }

    /// The stale entry is right after all: it gets the fields of the 304 and is answered with.
    fn renew(&mut self, ex: &mut Exchange, control: Control) -> Verdict {
        let Some((mut entry, store, before)) = self.stale.take() else { return Verdict::Pass };
        let mut info = info(ex, control);
        info.status = entry.info.status;
        ex.headers_out = entry::merged(ex);
        ex.err_headers_out.clear();
        entry::accept(ex, &entry, true);
        let (response, request) = storable(ex);
        ex.status = info.status;
        ex.status_line.clear();
        ex.headers_in = before.clone();
        let conditions = meets_conditions(ex);
        if let Some(status) = conditions {
            ex.status = status;
            for name in ENTITY {
                ex.headers_out.unset(name);
            }
        }
        tell(ex, Status::Revalidate, "conditional cache hit: entity refreshed");
        self.work = Work::Refresh(Box::new((info, response, request)));
        let body = conditions.is_none().then(|| Box::new(entry.body.clone()) as Box<dyn crate::web::Stored>);
        entry.response.clear();
        self.stale = Some((entry, store, before));
        Verdict::Replace(body)
    }

    /// The response is kept in the first store that takes it.
    fn save(&mut self, ex: &mut Exchange, control: Control) -> Verdict {
        let announced =
            field(ex, b"Content-Length").and_then(|text| std::str::from_utf8(text).ok()?.parse::<u64>().ok());
        if let Some((_, _, before)) = &self.stale {
            // The filters behind this one are to see what the client asked.
            ex.headers_in = before.clone();
        }
        let info = info(ex, control);
        let fits =
            |limits: &Limits| announced.map_or(!limits.sized, |length| length >= limits.least && length <= limits.most);
        let found = self.choices.iter().map(|choice| (choice, choice.limits(ex)));
        let found = found.filter(|_| ex.status != 206).find(|(_, limits)| fits(limits));
        let Some((choice, limits)) = found else {
            tell(ex, Status::Miss, "cache miss: cache unwilling to store response");
            return Verdict::Pass;
        };
        logs::error!(ex, Level::Debug, "cache", "AH00769: cache: Caching url: {}", Bytes(&ex.unparsed_uri));
        let (response, request) = storable(ex);
        let save = Save {
            writer: choice.store.create(&self.key, limits),
            held: Vec::new(),
            length: 0,
            limits,
            info,
            response,
            request,
            announced,
        };
        // What a HEAD brings is no body to be kept; an older entry is not right any more.
        self.work = if ex.header_only { Work::Remove } else { Work::Save(Box::new(save)) };
        tell(ex, Status::Miss, "cache miss: attempting entity save");
        if ex.header_only { Verdict::Pass } else { Verdict::Keep }
    }
}

/// What a 304 says that cannot be true of the entry.
fn contradiction(ex: &Exchange, entry: &Entry) -> Option<String> {
    let differs = |name: &&[u8]| {
        let (old, new) = (joined(&entry.response, name), joined(&ex.headers_out, name));
        old.is_some() && new.is_some() && old != new
    };
    let names = std::iter::once(b"ETag".as_slice()).chain(ENTITY).filter(differs);
    let names: Vec<String> = names.map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    (!names.is_empty()).then(|| format!("contradiction: 304 Not Modified; but {} modified", names.join(", ")))
}

/// When the response was made, and until when it holds.
fn info(ex: &Exchange, control: Control) -> Info {
    let none = CacheDir::default();
    let dir = ex.dir::<CacheDir>().unwrap_or(&none);
    let now = SystemClock.wall();
    let time = |name: &[u8]| field(ex, name).and_then(parse_http_date).map(|seconds| seconds.saturating_mul(SECOND));
    let date = time(b"Date").unwrap_or(now);
    let modified = time(b"Last-Modified").map(|modified| modified.min(date));
    let seconds = if control.has(Flag::SMaxage) { control.s_maxage } else { control.max_age };
    let timed = control.has(Flag::SMaxage) || control.has(Flag::MaxAge);
    let expire = match (timed, time(b"Expires"), modified) {
        (true, ..) => date.saturating_add(dir.within(seconds.saturating_mul(SECOND))),
        (false, Some(expire), _) => expire,
        // As a part of the time that it was left alone.
        (false, None, Some(modified)) if modified < date => {
            date.saturating_add(dir.within(((date - modified) as f64 * dir.factor()) as i64))
        }
        _ => date.saturating_add(dir.default_expire()),
    };
    Info { status: ex.status, date, expire, request_time: ex.started_micros, response_time: now, control }
}

impl Keeper for Saver {
    fn decide(&mut self, ex: &mut Exchange) -> Verdict {
        if matches!(self.work, Work::Nothing) {
            return Verdict::Pass;
        }
        if ex.status >= 500 && ex.dir::<CacheDir>().and_then(|dir| dir.stale_on_error).unwrap_or(true) {
            if self.usable(ex, false) {
                return self.serve_stale(ex, false);
            }
            self.work = Work::Nothing;
        }
        let said = |fields: &Table| fields.contains(b"Cache-Control") || fields.contains(b"Pragma");
        let always = said(&ex.err_headers_out);
        let mut fields = if always { &ex.err_headers_out } else { &ex.headers_out };
        if ex.status == 304
            && let Some((entry, ..)) = &self.stale
        {
            if !said(fields) {
                fields = &entry.response;
            }
            let kind = entry.response.get(b"Content-Type").unwrap_or_default().to_vec();
            let (told, has) = (control(fields), fields.contains(b"Cache-Control"));
            ex.content_type = kind;
            return self.judge(ex, told, has);
        }
        let (told, has) = (control(fields), fields.contains(b"Cache-Control"));
        self.judge(ex, told, has)
    }

    fn fault(&mut self, ex: &mut Exchange) -> Verdict {
        if ex.status < 500 || !ex.dir::<CacheDir>().and_then(|dir| dir.stale_on_error).unwrap_or(true) {
            // Whatever there is is not the answer any more.
            self.work = Work::Remove;
            self.choices.clear();
            ex.response.settled = false;
            return Verdict::Pass;
        }
        let usable = self.usable(ex, true);
        self.work = Work::Nothing;
        if usable { self.serve_stale(ex, true) } else { Verdict::Pass }
    }

    fn data(&mut self, bytes: &[u8]) -> bool {
        let Work::Save(save) = &mut self.work else { return false };
        save.held.extend_from_slice(bytes);
        save.length += bytes.len() as u64;
        save.held.len() >= HELD
    }

    fn work<'a>(&'a mut self, ex: &'a mut Exchange) -> Keeping<'a> {
        Box::pin(async move {
            let Work::Save(mut save) = std::mem::replace(&mut self.work, Work::Nothing) else { return };
            let written = tokio::task::spawn_blocking(move || {
                let held = std::mem::take(&mut save.held);
                save.writer.write(&held).map(|()| save)
            });
            match written.await {
                Ok(Ok(save)) => self.work = Work::Save(save),
                _ => {
                    let text = "AH00765: cache: Cache provider's store_body failed for URI";
                    logs::error!(ex, Level::Debug, "cache", "{} {}", text, Bytes(&ex.uri));
                    self.lock = None;
                }
            }
        })
    }

    fn end<'a>(&'a mut self, ex: &'a mut Exchange, left: bool) -> Keeping<'a> {
        Box::pin(async move {
            let (lock, stale) = (self.lock.take(), self.stale.take());
            let work = match std::mem::replace(&mut self.work, Work::Nothing) {
                Work::Save(save) if left || ex.conn.aborted.get() || !save.is_whole() => Work::Nothing,
                work => work,
            };
            if lock.is_none() && (matches!(work, Work::Nothing) || (stale.is_none() && matches!(work, Work::Remove))) {
                return;
            }
            let done = tokio::task::spawn_blocking(move || {
                let done = match (work, stale) {
                    (Work::Save(save), _) => save.commit(),
                    (Work::Refresh(fields), Some((entry, store, _))) => {
                        let (info, response, request) = *fields;
                        let done = store.refresh(&entry, &info, &response, &request);
                        if done.is_err() {
                            store.remove(&entry.place);
                        }
                        done
                    }
                    (Work::Remove, Some((entry, store, _))) => {
                        store.remove(&entry.place);
                        Ok(())
                    }
                    _ => Ok(()),
                };
                drop(lock);
                done
            });
            if let Ok(Err(said)) = done.await {
                log(ex, vec![said]);
            }
        })
    }
}

impl Saver {
    /// Decides on a response that says this of itself.
    fn judge(&mut self, ex: &mut Exchange, told: Control, said: bool) -> Verdict {
        let reason = if self.choices.is_empty() { return Verdict::Pass } else { self.refusal(ex, &told, said) };
        if ex.status == 304 {
            for name in ENTITY {
                ex.headers_out.unset(name);
            }
        }
        let Some(reason) = reason else {
            return if ex.status == 304 { self.renew(ex, told) } else { self.save(ex, told) };
        };
        if ex.status == 304 && self.stale.is_some() {
            let (key, uri) = (Bytes(&self.key), Bytes(&ex.unparsed_uri));
            let text = "responded with an uncacheable 304, retrying the request";
            logs::error!(ex, Level::Info, "cache", "AH02473: cache: {key} {text} {uri}. Reason: {reason}");
            let told = format!("conditional cache miss: 304 was uncacheable, entity removed: {reason}");
            tell(ex, Status::Miss, &told);
            self.work = Work::Remove;
            for name in CONDITIONS {
                ex.headers_in.unset(name);
            }
            return Verdict::Retry;
        }
        let (key, uri) = (Bytes(&self.key), Bytes(&ex.unparsed_uri));
        logs::error!(ex, Level::Debug, "cache", "AH00768: cache: {key} not cached for request {uri}. Reason: {reason}");
        tell(ex, Status::Miss, &reason);
        Verdict::Pass
    }
}

impl Save {
    /// All of the body that was announced has come, and it is neither too short nor too long.
    fn is_whole(&self) -> bool {
        self.announced.is_none_or(|length| length == self.length)
            && self.length >= self.limits.least
            && self.length <= self.limits.most
    }

    fn commit(mut self: Box<Self>) -> Result<(), Said> {
        if !self.held.is_empty() && self.writer.write(&self.held).is_err() {
            return Ok(());
        }
        let Self { writer, info, response, request, .. } = *self;
        writer.commit(&info, &response, &request)
    }
}

/// Takes the use out of what is kept for an URL that a request changes.
pub struct Invalidation {
    key: Vec<u8>,
    choices: Vec<Choice>,
    due: bool,
}

impl Invalidation {
    /// For the URL of `key`.
    pub fn new(key: Vec<u8>, choices: Vec<Choice>) -> Self {
        Self { key, choices, due: false }
    }
}

impl Keeper for Invalidation {
    fn decide(&mut self, ex: &mut Exchange) -> Verdict {
        self.due = ex.status <= 299;
        Verdict::Pass
    }

    fn fault(&mut self, _: &mut Exchange) -> Verdict {
        Verdict::Pass
    }

    fn data(&mut self, _: &[u8]) -> bool {
        false
    }

    fn work<'a>(&'a mut self, _: &'a mut Exchange) -> Keeping<'a> {
        Box::pin(std::future::ready(()))
    }

    fn end<'a>(&'a mut self, ex: &'a mut Exchange, _: bool) -> Keeping<'a> {
        Box::pin(async move {
            if !std::mem::take(&mut self.due) {
                return;
            }
            let stores: Vec<_> = self.choices.iter().map(|choice| choice.store.clone()).collect();
            let (key, request) = (std::mem::take(&mut self.key), ex.headers_in.clone());
            let done = tokio::task::spawn_blocking(move || {
                let mut said = Vec::new();
                for store in stores {
                    store.invalidate(&key, &request, &mut said);
                }
                said
            });
            if let Ok(said) = done.await {
                log(ex, said);
            }
            let reason = format!("cache invalidated by {}", String::from_utf8_lossy(&ex.method));
            tell(ex, Status::Invalidate, &reason);
        })
    }
}

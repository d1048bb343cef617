//! `mod_authn_socache.c`: what other providers said of users, kept for a while. The cache is the process's own memory,
//! whichever of httpd's caches of one machine is asked for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;

use crate::config::{Args, Cmd, Conf, Directive, Fatal, ModuleRow, Places, PostConfig, Shape, latin1, row};
use crate::logs::{self, Bytes, Level};
use crate::modules::passwords::is_password;
use crate::modules::{check, slot};
use crate::pipe::Module;
use crate::pipe::authn::{Answer, Ask, Provider, Reply, Replying, Ways};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "authn_socache_module",
        file: "mod_authn_socache.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: make,
    },
    hooks: &[],
};

/// Values per directory.
#[derive(Clone, Default)]
pub struct SocacheDir {
    /// AuthnCacheProvideFor.
    providers: Option<Vec<Vec<u8>>>,
    /// AuthnCacheTimeout in seconds.
    timeout: Option<i64>,
    /// AuthnCacheContext.
    context: Option<Vec<u8>>,
}

impl Conf for SocacheDir {
    const SLOT: usize = slot::AUTHN_SOCACHE + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        crate::inner_or_outer!(base, add; providers, timeout, context)
    }
}

/// The process's cache.
#[derive(Clone, Default)]
pub struct SocacheProcess {
    /// Something asks for a cache.
    wanted: bool,
    /// AuthnCacheSOCache names one.
    named: bool,
    /// The most it may hold, in bytes.
    size: Option<usize>,
    cache: Option<Arc<Cache>>,
}

impl Conf for SocacheProcess {
    const SLOT: usize = slot::AUTHN_SOCACHE + 2;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("AuthnCacheSOCache", Places::SERVER, Shape::Take1, socache, "socache provider for authn cache"),
    row("AuthnCacheEnable", Places::SERVER, Shape::Raw, enable, "enable socache configuration in htaccess even if not enabled anywhere else"),
    row("AuthnCacheProvideFor", Places::AUTHCFG, Shape::Iterate, provide_for, "Determine what authn providers to cache for"),
    row("AuthnCacheTimeout", Places::AUTHCFG, Shape::Take1, timeout, "Timeout (secs) for cached credentials"),
    row("AuthnCacheContext", Places::DIR, Shape::Take1, context, "Context for authn cache"),
];

/// Hashes that other providers found.
pub const PROVIDER: Provider = Provider {
    name: "socache",
    module: "authn_socache_module",
    ask: Some(Ways { password, hash: Some(hash) }),
    keep: Some(keep),
};

/// What the cache holds when nobody says, in bytes.
const SIZE: usize = 512_000;

/// Longer hashes are not kept.
const LONGEST: usize = 255;

fn socache(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    check::socache(cmd, args).map_err(|text| format!("AuthnCacheSOCache: {text}"))?;
    let word = args.word(0);
    let colon = memchr::memchr(b':', word).unwrap_or(word.len());
    let (name, rest) = word.split_at(colon);
    if check::SOCACHES.iter().any(|(known, _, there)| !there && known.as_bytes() == name) {
        cmd.refused = true;
        cmd.refused_words = Some(latin1(name));
    }
    let size = rest.strip_suffix(b")").and_then(|rest| rest.rsplit(|byte| *byte == b'(').next());
    let size = size.map(check::number).and_then(|size| usize::try_from(size).ok());
    let process = cmd.globals.conf.get_mut::<SocacheProcess>();
    process.size = size;
    process.named = true;
    process.wanted = true;
    Ok(())
}

fn enable(cmd: &mut Cmd<'_>, _: &Args<'_>) -> Result<(), String> {
    cmd.globals.conf.get_mut::<SocacheProcess>().wanted = true;
    Ok(())
}

fn provide_for(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.globals.conf.get_mut::<SocacheProcess>().wanted = true;
    cmd.dir_conf::<SocacheDir>().providers.get_or_insert_default().push(args.word(0).to_vec());
    Ok(())
}

fn timeout(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.dir_conf::<SocacheDir>().timeout = Some(check::long(args.word(0)).unwrap_or(i64::MAX));
    Ok(())
}

fn context(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.dir_conf::<SocacheDir>().context = Some(args.word(0).to_vec());
    Ok(())
}

/// Makes the cache: an empty one for each generation, as httpd does when it restarts.
fn make(post: &mut PostConfig<'_>) -> Result<(), Fatal> {
    if !post.globals.conf.get::<SocacheProcess>().is_some_and(|process| process.wanted) {
        return Ok(());
    }
    let check_only = post.check_only;
    let default = post.globals.modules.contains(&"socache_shmcb_module");
    let process = post.globals.conf.get_mut::<SocacheProcess>();
    // Said when the server starts, not by a check.
    if !process.named && !default && !check_only {
        let text = "AH01674: Please select a socache provider with AuthnCacheSOCache (no default found on this \
                    platform). Maybe you need to load mod_socache_shmcb or another socache module first";
        return Err(Fatal { text: text.to_owned(), quiet: false });
    }
    process.cache = Some(Arc::new(Cache { most: process.size.unwrap_or(SIZE), held: Mutex::default() }));
    Ok(())
}

/// Hashes by key, each for a time.
pub struct Cache {
    /// The most it may hold, in bytes.
    most: usize,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    entries: HashMap<Vec<u8>, Entry, RandomState>,
    size: usize,
}

struct Entry {
    hash: Vec<u8>,
    expires: Instant,
}

impl Cache {
    fn find(&self, key: &[u8]) -> Option<Vec<u8>> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = held.entries.get(key).filter(|entry| Instant::now() < entry.expires)?;
        Some(entry.hash.clone())
    }

    /// Says whether it was kept: nobody waits for somebody else who keeps something.
    fn keep(&self, key: Vec<u8>, hash: &[u8], timeout: Duration) -> bool {
        let Ok(mut held) = self.held.try_lock() else { return false };
        let now = Instant::now();
        let size = key.len() + hash.len();
        if held.size + size > self.most {
            held.entries.retain(|_, entry| now < entry.expires);
            held.count();
        }
        while held.size + size > self.most {
            // Whose time ends first goes first.
            let Some(key) = held.entries.iter().min_by_key(|(_, entry)| entry.expires).map(|(key, _)| key.clone())
            else {
                return false;
            };
            held.entries.remove(&key);
            held.count();
        }
        let Some(expires) = now.checked_add(timeout) else { return false };
        held.entries.insert(key, Entry { hash: hash.to_vec(), expires });
        held.count();
        true
    }
}

impl Held {
    fn count(&mut self) {
        self.size = self.entries.iter().map(|(key, entry)| key.len() + entry.hash.len()).sum();
    }
}

fn cache(ask: Ask<'_>) -> Option<(Arc<Cache>, &SocacheDir)> {
    let process = ask.ex.live.generation.globals.conf.get::<SocacheProcess>()?;
    let conf = ask.dir.get::<SocacheDir>().filter(|conf| conf.providers.is_some())?;
    Some((process.cache.clone()?, conf))
}

/// Under what a user's hash is kept: by default for the directory of the request.
fn key(ask: Ask<'_>, conf: &SocacheDir) -> Vec<u8> {
    let context = conf.context.as_deref().unwrap_or(b"directory");
    let host = ask.ex.server().rec.name.as_deref().unwrap_or_default();
    let mut key = match context {
        b"directory" => {
            let end = memchr::memrchr(b'/', &ask.ex.uri).unwrap_or(0);
            [host, &ask.ex.uri[..end]].concat()
        }
        b"server" => host.to_vec(),
        own => own.to_vec(),
    };
    for part in [Some(ask.user), ask.realm].into_iter().flatten() {
        key.push(b':');
        key.extend_from_slice(part);
    }
    key
}

fn password<'a>(ask: Ask<'a>, password: &'a [u8]) -> Replying<'a> {
    let password = password.to_vec();
    Box::pin(find(ask, ("AH01684", "AH01685"), move |hash| {
        if is_password(&password, hash) { Answer::Granted } else { Answer::Denied }
    }))
}

fn hash(ask: Ask<'_>) -> Replying<'_> {
    Box::pin(find(ask, ("AH01687", "AH01688"), |_| Answer::Granted))
}

/// Looks into the cache off the thread that serves requests.
async fn find(ask: Ask<'_>, numbers: (&str, &str), judge: impl FnOnce(&[u8]) -> Answer + Send + 'static) -> Reply {
    let Some((cache, conf)) = cache(ask) else { return Reply::default() };
    let key = key(ask, conf);
    let found = tokio::task::spawn_blocking(move || {
        let hash = cache.find(&key)?;
        Some((judge(&hash), hash))
    });
    let (text, number) = match found.await {
        Ok(Some((answer, hash))) => {
            let text = "Authn cache: found credentials for";
            logs::error!(ask.ex, Level::Debug, "authn_socache", "{}: {text} {}", numbers.1, Bytes(ask.user));
            return Reply { answer, hash: Some(hash) };
        }
        Ok(None) => ("Authn cache: no credentials found for", numbers.0),
        Err(_) => return Answer::Failed.into(),
    };
    logs::error!(ask.ex, Level::Debug, "authn_socache", "{number}: {text} {}", Bytes(ask.user));
    Reply::default()
}

/// Keeps what another provider found.
fn keep(ask: Ask<'_>, from: &Provider, hash: &[u8]) {
    let Some((cache, conf)) = cache(ask) else { return };
    let named = conf.providers.iter().flatten().any(|name| name == from.name.as_bytes());
    let seconds = u64::try_from(conf.timeout.unwrap_or(300)).unwrap_or(0);
    if !named || hash.len() > LONGEST {
        return;
    }
    let context = conf.context.as_deref().unwrap_or(b"directory");
    let (user, context) = (Bytes(ask.user), Bytes(context));
    if cache.keep(key(ask, conf), hash, Duration::from_secs(seconds)) {
        let text = "AH01681: Cached authn credentials for";
        logs::error!(ask.ex, Level::Debug, "authn_socache", "{text} {user} in {context}");
    } else {
        let text = "AH01679: authn credentials for";
        logs::error!(ask.ex, Level::Debug, "authn_socache", "{text} {user} not cached (mutex busy)");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_expires_and_makes_room() {
        let cache = Cache { most: 40, held: Mutex::default() };
        assert!(cache.keep(b"a".to_vec(), b"123456789", Duration::from_secs(100)));
        assert!(cache.keep(b"b".to_vec(), b"123456789", Duration::ZERO));
        assert_eq!((cache.find(b"a"), cache.find(b"b")), (Some(b"123456789".to_vec()), None));
        for key in [b"c", b"d", b"e"] {
            assert!(cache.keep(key.to_vec(), b"123456789", Duration::from_secs(200)));
        }
        // What ends first has made room, and the sum is right.
        assert!(cache.find(b"a").is_some() && cache.find(b"e").is_some());
        assert!(cache.keep(b"f".to_vec(), b"123456789", Duration::from_secs(200)));
        assert_eq!((cache.find(b"a"), cache.held.lock().unwrap().size), (None, 40));
        assert!(!cache.keep(b"g".to_vec(), &[b'x'; 41], Duration::from_secs(1)));
    }
}

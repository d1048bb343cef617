//! `mod_authn_socache.c`: what other providers said of users, kept for a while. The cache is the process's own memory,
//! whichever of httpd's caches of one machine is asked for, or on other machines.

use std::sync::Arc;

use crate::base::clock::{Clock as _, SystemClock};
use crate::config::{Args, Cmd, Conf, Directive, Fatal, ModuleRow, Places, PostConfig, Shape, row};
use crate::logs::{self, Bytes, Errno, Level};
use crate::modules::passwords::is_password;
use crate::modules::rows::entry;
use crate::modules::shared::{self, NotKept, Shared};
use crate::modules::{check, slot};
use crate::pipe::Module;
use crate::pipe::authn::{Answer, Ask, Judge, Keeping, Provider, Reply, Replying, Ways};

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
    /// AuthnCacheSOCache: the provider and what it is told.
    provider: Option<Vec<u8>>,
    cache: Option<Arc<dyn Shared>>,
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
    ask: Some(Ways { password: Judge::Looks(password), hash: Some(hash) }),
    keep: Some(keep),
};

/// Whose objects these are, where others keep some as well.
const SPACE: &str = "authn-socache";

/// Longer hashes are not kept.
const LONGEST: usize = 255;

fn socache(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    check::socache(cmd, args).map_err(|text| format!("AuthnCacheSOCache: {text}"))?;
    let (name, list) = shared::split(args.word(0));
    check::socache_servers(name, list).map_err(|text| format!("AuthnCacheSOCache: {text}"))?;
    let process = cmd.globals.conf.get_mut::<SocacheProcess>();
    process.provider = Some(args.word(0).to_vec());
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
    if process.provider.is_none() && !default && !check_only {
        let text = "AH01674: Please select a socache provider with AuthnCacheSOCache (no default found on this \
                    platform). Maybe you need to load mod_socache_shmcb or another socache module first";
        return Err(Fatal { text: text.to_owned(), quiet: false });
    }
    let provider = process.provider.clone().unwrap_or_else(|| b"default".to_vec());
    let Some(main) = post.servers.first() else { return Ok(()) };
    match shared::open(&provider, SPACE, main) {
        Ok(cache) => post.globals.conf.get_mut::<SocacheProcess>().cache = Some(cache),
        Err(_) if post.check_only => {}
        Err(text) => {
            let failed = format!("(22)Invalid argument: AH01677: failed to initialise {SPACE} cache");
            let text = text + &entry("authn_socache", "crit", &failed) + "AH00016: Configuration Failed\n";
            return Err(Fatal { text, quiet: true });
        }
    }
    Ok(())
}

fn cache(ask: Ask<'_>) -> Option<(Arc<dyn Shared>, &SocacheDir)> {
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
    Box::pin(find(ask, ["AH01684", "AH01685", "AH01686"], move |hash| {
        if is_password(&password, hash) { Answer::Granted } else { Answer::Denied }
    }))
}

fn hash(ask: Ask<'_>) -> Replying<'_> {
    Box::pin(find(ask, ["AH01687", "AH01688", "AH01689"], |_| Answer::Granted))
}

/// Looks into the cache off the thread that serves requests.
async fn find(ask: Ask<'_>, numbers: [&str; 3], judge: impl FnOnce(&[u8]) -> Answer + Send + 'static) -> Reply {
    let Some((cache, conf)) = cache(ask) else { return Reply::default() };
    let key = key(ask, conf);
    let found = tokio::task::spawn_blocking(move || {
        let found = cache.get(&key, SystemClock.wall())?;
        Ok::<_, Errno>(found.map(|hash| (judge(&hash), hash.to_vec())))
    });
    let [missing, found_it, failed] = numbers;
    match found.await {
        Ok(Ok(Some((answer, hash)))) => {
            let text = "Authn cache: found credentials for";
            logs::error!(ask.ex, Level::Debug, "authn_socache", "{found_it}: {text} {}", Bytes(ask.user));
            return Reply { answer, hash: Some(hash) };
        }
        Ok(Ok(None)) => {
            let text = "Authn cache: no credentials found for";
            logs::error!(ask.ex, Level::Debug, "authn_socache", "{missing}: {text} {}", Bytes(ask.user));
        }
        Ok(Err(errno)) => {
            let text = "Error accessing authentication cache";
            logs::error!(ask.ex, Level::Error, "authn_socache", errno => "{failed}: {text}");
        }
        Err(_) => return Answer::Failed.into(),
    }
    Reply::default()
}

/// Keeps what another provider found.
fn keep<'a>(ask: Ask<'a>, from: &'a Provider, hash: &'a [u8]) -> Keeping<'a> {
    Box::pin(async move {
        let Some((cache, conf)) = cache(ask) else { return };
        let named = conf.providers.iter().flatten().any(|name| name == from.name.as_bytes());
        if !named || hash.len() > LONGEST {
            return;
        }
        let seconds = conf.timeout.unwrap_or(300).max(0);
        let (key, object, now) = (key(ask, conf), hash.to_vec(), SystemClock.wall());
        let put =
            move || cache.put(&key, &object, now.saturating_add(seconds.saturating_mul(SECOND)), SystemClock.wall());
        let kept = tokio::task::spawn_blocking(put).await.unwrap_or(Err(NotKept(None)));
        let context = Bytes(conf.context.as_deref().unwrap_or(b"directory"));
        match kept {
            Ok(()) => {
                let (text, user) = ("AH01681: Cached authn credentials for", Bytes(ask.user));
                logs::error!(ask.ex, Level::Debug, "authn_socache", "{text} {user} in {context}");
            }
            Err(NotKept(errno)) => {
                let (text, name) = ("AH01682: Failed to cache authn credentials for", from.name);
                let errno = errno.unwrap_or(Errno(nix::libc::ENOSPC));
                logs::error!(ask.ex, Level::Error, "authn_socache", errno => "{text} {name} in {context}");
            }
        }
    })
}

const SECOND: i64 = 1_000_000;

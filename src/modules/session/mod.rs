//! `mod_session.c`: values that are kept for a client from request to request.

mod values;

use crate::base::clock::{Clock as _, SystemClock};
use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Server, Shape, Slots, row};
use crate::logs::{self, Bytes, Level};
use crate::modules::rows::nothing;
use crate::modules::session_cookie::CookieDir;
use crate::modules::session_crypto::Crypto;
use crate::modules::{check, session_cookie, session_crypto, slot};
use crate::pipe::{Hook, Module, Outcome, Phase, Run, Waiting};
use crate::web::Exchange;

use values::Values;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "session_module",
        file: "mod_session.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// Values per directory.
#[derive(Clone, Default)]
pub struct SessionDir {
    /// Session.
    enabled: Option<bool>,
    /// SessionMaxAge in seconds; 0: for ever.
    max_age: Option<i64>,
    /// SessionHeader.
    header: Option<Vec<u8>>,
    /// SessionEnv.
    env: Option<bool>,
    /// SessionInclude.
    includes: Vec<Vec<u8>>,
    /// SessionExclude.
    excludes: Vec<Vec<u8>>,
    /// SessionExpiryUpdateInterval in seconds.
    update: Option<i64>,
}

impl Conf for SessionDir {
    const SLOT: usize = slot::SESSION + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        let both = |base: &[Vec<u8>], add: &[Vec<u8>]| base.iter().chain(add).cloned().collect();
        crate::inner_or_outer!(
            base, add; enabled, max_age, header, env, update;
            includes: both(&base.includes, &add.includes), excludes: both(&base.excludes, &add.excludes)
        )
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("Session", Places::AUTHCFG.or(Places::SERVER), Shape::Flag, enabled, "on if a session should be maintained for these URLs"),
    row("SessionMaxAge", Places::AUTHCFG.or(Places::SERVER), Shape::Take1, max_age, "length of time for which a session should be valid. Zero to disable"),
    row("SessionHeader", Places::AUTHCFG.or(Places::SERVER), Shape::Take1, header, "output header, if present, whose contents will be injected into the session."),
    row("SessionEnv", Places::AUTHCFG.or(Places::SERVER), Shape::Flag, env, "on if a session should be written to the CGI environment. Defaults to off"),
    row("SessionInclude", Places::AUTHCFG.or(Places::SERVER), Shape::Take1, include, "URL prefixes to include in the session. Defaults to all URLs"),
    row("SessionExclude", Places::AUTHCFG.or(Places::SERVER), Shape::Take1, exclude, "URL prefixes to exclude from the session. Defaults to no URLs"),
    row("SessionExpiryUpdateInterval", Places::AUTHCFG.or(Places::SERVER), Shape::Take1, update, "time interval for which a session's expiry time may change without having to be rewritten. Zero to disable"),
];

/// The hooks.
pub const HOOKS: &[Hook] = &[
    Hook { phase: Phase::Fixups, order: 0, wants: is_on, run: Run::Wait(show) },
    Hook { phase: Phase::Head, order: -10, wants: is_on, run: Run::Now(save) },
];

const MICROS: i64 = 1_000_000;

fn is_on(_: &Server, dir: &Slots) -> bool {
    dir.get::<SessionDir>().is_some_and(|conf| conf.enabled == Some(true))
}

fn enabled(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.dir_conf::<SessionDir>().enabled = Some(args.on());
    Ok(())
}

fn max_age(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.dir_conf::<SessionDir>().max_age = Some(check::long(args.word(0)).unwrap_or(i64::MAX));
    Ok(())
}

fn header(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.dir_conf::<SessionDir>().header = Some(args.word(0).to_vec());
    Ok(())
}

fn env(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.dir_conf::<SessionDir>().env = Some(args.on());
    Ok(())
}

fn include(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.dir_conf::<SessionDir>().includes.push(args.word(0).to_vec());
    Ok(())
}

fn exclude(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.dir_conf::<SessionDir>().excludes.push(args.word(0).to_vec());
    Ok(())
}

fn update(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    check::at_least(args, 0, "SessionExpiryUpdateInterval must be zero (disable) or a positive value")?;
    cmd.dir_conf::<SessionDir>().update = Some(check::number(args.word(0)));
    Ok(())
}

impl SessionDir {
    /// Whether requests for this path have a session.
    fn covers(&self, path: &[u8]) -> bool {
        let any = |list: &[Vec<u8>]| list.iter().any(|front| path.starts_with(front));
        (self.includes.is_empty() || any(&self.includes)) && !any(&self.excludes)
    }
}

/// A request's session.
#[derive(Default)]
struct Current {
    /// It was looked for.
    looked: bool,
    session: Option<Session>,
}

/// A session, and how it goes back to the client: as the values said where it was found.
struct Session {
    values: Values,
    conf: SessionDir,
    carrier: CookieDir,
    crypto: Option<Crypto>,
    /// Something was changed.
    dirty: bool,
    /// When it would end without this request.
    ended: i64,
}

/// Looks for the session of a request.
pub async fn load(ex: &mut Exchange) {
    let Some((conf, carrier, crypto, text)) = find(ex) else { return };
    let text = match &crypto {
        Some(crypto) => crypto.open(ex, &text).await,
        None => Some(text),
    };
    keep(ex, conf, carrier, crypto, text);
}

/// What the request carries, before anybody reads it.
fn find(ex: &mut Exchange) -> Option<(SessionDir, CookieDir, Option<Crypto>, Vec<u8>)> {
    let chain = ex.chain.clone();
    let conf = chain.dir.get::<SessionDir>().filter(|conf| conf.enabled == Some(true))?;
    let current = ex.ext.get_mut::<Current>();
    if current.looked {
        return None;
    }
    if !conf.covers(&ex.uri) {
        logs::error!(ex, Level::Debug, "session", "AH01814: excluded by configuration for: {}", Bytes(&ex.uri));
        return None;
    }
    let Some(carrier) = session_cookie::carrier(&chain.dir) else {
        let text = "AH01815: session is enabled but no session modules have been configured, session not loaded:";
        logs::error!(ex, Level::Warn, "session", "{text} {}", Bytes(&ex.uri));
        return None;
    };
    ex.ext.get_mut::<Current>().looked = true;
    // What a session made of it is for this client only.
    ex.headers_out.add(b"Cache-Control", b"no-cache, private");
    let text = carrier.read(ex);
    Some((conf.clone(), carrier, session_crypto::crypto(&chain.dir), text))
}

fn keep(ex: &mut Exchange, conf: SessionDir, carrier: CookieDir, crypto: Option<Crypto>, text: Option<Vec<u8>>) {
    if text.is_none() {
        let text = "AH01817: error while decoding the session, session not loaded:";
        let unreadable = session_crypto::UNREADABLE;
        logs::error!(ex, Level::Error, "session", "{unreadable}{text} {}", Bytes(&ex.uri));
    }
    let now = SystemClock.wall();
    let mut values = text.map(|text| Values::read(&text)).unwrap_or_default();
    if values.expiry != 0 && values.expiry < now {
        values = Values::default();
    }
    let ended = values.expiry;
    if let Some(age) = conf.max_age.filter(|age| *age != 0)
        && values.expiry == 0
    {
        values.expiry = now.saturating_add(age.saturating_mul(MICROS));
    }
    let ended = if ended == 0 { values.expiry } else { ended };
    ex.ext.get_mut::<Current>().session = Some(Session { values, conf, carrier, crypto, dirty: false, ended });
}

/// A value of the request's session, once it was [loaded](load).
pub fn get<'a>(ex: &'a Exchange, name: &[u8]) -> Option<&'a [u8]> {
    ex.ext.get::<Current>()?.session.as_ref()?.values.get(name)
}

/// Changes a value of the request's session, once it was [loaded](load).
pub fn set(ex: &mut Exchange, name: &[u8], value: Option<&[u8]>) {
    if let Some(session) = &mut ex.ext.get_mut::<Current>().session {
        session.values.set(name, value);
        session.dirty = true;
    }
}

/// Puts the session's text into the environment.
fn show(ex: &mut Exchange) -> Waiting<'_> {
    Box::pin(async move {
        load(ex).await;
        let shown = ex.ext.get::<Current>().and_then(|current| current.session.as_ref());
        let shown = shown.filter(|session| session.conf.env == Some(true)).map(|session| session.values.text());
        if let Some(text) = shown {
            ex.env.set(b"HTTP_SESSION", &text);
        }
        Outcome::Declined
    })
}

/// Gives the session back to the client, if there is anything new about it.
fn save(ex: &mut Exchange) -> Outcome {
    if let Some((conf, carrier, crypto, text)) = find(ex) {
        let text = match &crypto {
            Some(crypto) => crypto.open_now(ex, &text),
            None => Some(text),
        };
        keep(ex, conf, carrier, crypto, text);
    }
    let Some(mut session) = ex.ext.get_mut::<Current>().session.take() else { return Outcome::Declined };
    if session.carrier.is_hidden() {
        // As httpd, which looks for the cookie again here.
        ex.headers_out.add(b"Cache-Control", b"no-cache, private");
    }
    if let Some(name) = &session.conf.header {
        let said = ex.err_headers_out.get(name).or_else(|| ex.headers_out.get(name)).map(<[u8]>::to_vec);
        if let Some(text) = said {
            ex.err_headers_out.unset(name);
            ex.headers_out.unset(name);
            session.values = Values::read(&text);
            session.dirty = true;
        }
    }
    let now = SystemClock.wall();
    if session.values.expiry != 0 && session.values.expiry < now {
        let text = "AH01819: attempt made to save a session when the session had already expired, session not saved:";
        logs::error!(ex, Level::Warn, "session", "{text} {}", Bytes(&ex.uri));
        return Outcome::Declined;
    }
    let age = session.conf.max_age.unwrap_or(0);
    if age != 0 {
        session.values.expiry = now.saturating_add(age.saturating_mul(MICROS));
    }
    let update = session.conf.update.unwrap_or(0).saturating_mul(MICROS);
    let moved = session.values.expiry.saturating_sub(session.ended);
    if !session.dirty && (age == 0 || (update != 0 && moved < update)) {
        return Outcome::Declined;
    }
    let text = session.values.text();
    let sealed = match &session.crypto {
        Some(crypto) if !text.is_empty() => crypto.seal(&text),
        _ => Some(text),
    };
    match sealed {
        Some(text) => session.carrier.write(ex, &text, age),
        None => {
            let text = "AH01820: error while encoding the session, session not saved:";
            logs::error!(ex, Level::Error, "session", "{text} {}", Bytes(&ex.uri));
        }
    }
    Outcome::Ok
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_in_or_out() {
        let conf = SessionDir {
            includes: vec![b"/a".to_vec(), b"/b/".to_vec()],
            excludes: vec![b"/a/x".to_vec()],
            ..SessionDir::default()
        };
        assert!(conf.covers(b"/ab") && conf.covers(b"/b/") && !conf.covers(b"/a/xy") && !conf.covers(b"/c"));
        assert!(SessionDir::default().covers(b"/"));
    }
}

//! `mod_auth_digest.c`: the Digest scheme (RFC 7616 with MD5 and `qop=auth`).

mod clients;
mod field;
mod target;

use std::sync::Arc;

use crate::base::clock::leading_integer;
use crate::config::{
    Args, Cmd, Conf, Directive, Fatal, ModuleRow, Places, PostConfig, Server, Shape, Slots, latin1, row,
};
use crate::logs::{self, Bytes, Level};
use crate::modules::authn_core::{self, Chosen};
use crate::modules::passwords::{md5_hex, same};
use crate::modules::{check, slot};
use crate::pipe::authn::{Answer, Reply};
use crate::pipe::{Hook, Module, Outcome, Phase, Run, Waiting};
use crate::web::{Exchange, ProxyKind};

use clients::{Keys, Replay};
use field::Field;
use target::{is_same_resource, target};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "auth_digest_module",
        file: "mod_auth_digest.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: make_keys,
    },
    hooks: HOOKS,
};

/// Values per directory. An inner scope replaces those of the outer one as a whole, as in httpd.
#[derive(Clone)]
pub struct DigestDir {
    /// AuthDigestProvider, in order.
    providers: Option<Vec<Chosen>>,
    /// AuthDigestNonceLifetime in seconds; 0: each nonce once, negative: for ever.
    lifetime: i64,
    /// AuthDigestNcCheck.
    counts: bool,
    /// AuthDigestDomain.
    domain: Vec<u8>,
}

impl Default for DigestDir {
    fn default() -> Self {
        Self { providers: None, lifetime: 300, counts: false, domain: Vec::new() }
    }
}

impl Conf for DigestDir {
    const SLOT: usize = slot::AUTH_DIGEST + 1;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// What all servers share.
#[derive(Clone, Default)]
pub struct DigestProcess {
    /// AuthDigestShmemSize: how many clients are known at once.
    most: usize,
    keys: Option<Arc<Keys>>,
}

impl Conf for DigestProcess {
    const SLOT: usize = slot::AUTH_DIGEST + 2;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("AuthDigestProvider", Places::AUTHCFG, Shape::Iterate, provider, "specify the auth providers for a directory or location"),
    row("AuthDigestQop", Places::AUTHCFG, Shape::Iterate, |_, a| check::one_of(a, &["auth"], "AuthDigestQop is deprecated: only 'auth' is supported"), "A list of quality-of-protection options"),
    row("AuthDigestNonceLifetime", Places::AUTHCFG, Shape::Take1, lifetime, "Maximum lifetime of the server nonce (seconds)"),
    row("AuthDigestNcCheck", Places::AUTHCFG, Shape::Flag, counts, "Whether or not to check the nonce-count sent by the client"),
    row("AuthDigestAlgorithm", Places::AUTHCFG, Shape::Take1, |_, a| check::one_of(a, &["MD5"], "Unsupported algorithm in AuthDigestAlgorithm: \u{1}"), "The algorithm used for the hash calculation"),
    row("AuthDigestDomain", Places::AUTHCFG, Shape::Iterate, domain, "A list of URI's which belong to the same protection space as the current URI"),
    row("AuthDigestShmemSize", Places::SERVER, Shape::Take1, shmem, "The amount of shared memory to allocate for keeping track of clients"),
];

/// The hooks.
pub const HOOKS: &[Hook] = &[
    Hook { phase: Phase::Authn, order: 0, wants: is_digest, run: Run::Wait(authenticate) },
    Hook { phase: Phase::Challenge, order: 0, wants: is_digest, run: Run::Now(challenge_again) },
    Hook { phase: Phase::Fixups, order: 0, wants: is_digest, run: Run::Now(add_info) },
];

/// What a client of httpd's shared memory takes.
const CLIENT: i64 = 88;

/// A nonce that ends within this time is replaced, in seconds.
const NEXT_NONCE: i64 = 30;

fn is_digest(_: &Server, dir: &Slots) -> bool {
    authn_core::is_kind(dir, b"digest")
}

fn provider(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let chosen = authn_core::choose(cmd, args.word(0))?;
    if !chosen.has_hashes() {
        return Err(format!("The '{}' Authn provider doesn't support Digest Authentication", latin1(args.word(0))));
    }
    cmd.dir_conf::<DigestDir>().providers.get_or_insert_default().push(chosen);
    Ok(())
}

fn lifetime(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let word = args.word(0);
    let (_, rest) = leading_integer(word);
    if rest.iter().any(|byte| !byte.is_ascii_whitespace()) || !word.iter().any(u8::is_ascii_digit) {
        return Err(format!("Invalid time in AuthDigestNonceLifetime: {}", args.text(0)));
    }
    cmd.dir_conf::<DigestDir>().lifetime = check::number(args.word(0));
    Ok(())
}

fn counts(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.dir_conf::<DigestDir>().counts = args.on();
    Ok(())
}

fn domain(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let domain = &mut cmd.dir_conf::<DigestDir>().domain;
    if !domain.is_empty() {
        domain.push(b' ');
    }
    domain.extend_from_slice(args.word(0));
    Ok(())
}

/// A size with a unit, at least that of one client.
fn shmem(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let word = args.text(0);
    let (size, unit) = leading_integer(word.as_bytes());
    let unit = unit.trim_ascii_start();
    // What is too large is the largest number there is.
    let size = size.unwrap_or(i64::MAX);
    let size = match unit.first() {
        None if word.bytes().any(|byte| byte.is_ascii_digit()) => size,
        Some(b'B' | b'b') => size,
        Some(b'K' | b'k') => size.saturating_mul(1 << 10),
        Some(b'M' | b'm') => size.saturating_mul(1 << 20),
        _ => return Err(format!("Invalid size in AuthDigestShmemSize: {word}")),
    };
    if size < CLIENT {
        return Err(format!("size in AuthDigestShmemSize too small: {size} < {CLIENT}"));
    }
    cmd.globals.conf.get_mut::<DigestProcess>().most = usize::try_from(size / CLIENT).unwrap_or(usize::MAX);
    Ok(())
}

/// The secret and the known clients: those of the generation before, if there is one.
fn make_keys(post: &mut PostConfig<'_>) -> Result<(), Fatal> {
    let before = post.previous.and_then(|before| before.globals.conf.get::<DigestProcess>()?.keys.clone());
    let keys = before.or_else(|| Keys::new().map(Arc::new));
    if keys.is_none() {
        return Err(Fatal { text: "AH01758: error generating secret\n".to_owned(), quiet: false });
    }
    post.globals.conf.get_mut::<DigestProcess>().keys = keys;
    Ok(())
}

/// One request's part in the scheme.
#[derive(Default)]
struct Seen {
    field: Field,
    /// The client that `opaque` names, if it is known.
    client: Option<u32>,
    /// The hash of user, realm and password.
    secret: Vec<u8>,
    /// The time in the nonce.
    time: u64,
    /// The request was let in.
    passed: bool,
}

fn process(ex: &Exchange) -> Option<(Arc<Keys>, usize)> {
    let process = ex.live.generation.globals.conf.get::<DigestProcess>()?;
    Some((process.keys.clone()?, process.most))
}

fn conf(ex: &Exchange) -> DigestDir {
    ex.dir::<DigestDir>().cloned().unwrap_or_default()
}

impl DigestDir {
    /// Whether clients have to be told apart.
    fn knows_clients(&self) -> bool {
        self.counts || self.lifetime == 0
    }
}

/// The time a request began, as nonces have it.
fn now(ex: &Exchange) -> u64 {
    u64::try_from(ex.started_micros).unwrap_or(0)
}

/// Asks for user and password. A client that has shown it knows them may be told only that its nonce is too old.
fn challenge(ex: &mut Exchange, stale: bool) {
    let Some((keys, most)) = process(ex) else { return };
    let conf = conf(ex);
    let realm = authn_core::realm(ex).unwrap_or_default().into_owned();
    let seen = ex.ext.get_mut::<Seen>();
    let mut stale = stale;
    let opaque = match (&seen.field.opaque, seen.client) {
        (None, _) if conf.knows_clients() => Some(format!("{:x}", keys.add(most)).into_bytes()),
        (None, _) => None,
        (Some(opaque), Some(_)) => Some(opaque.clone()),
        // One that was known once.
        (Some(_), None) => {
            stale = true;
            Some(format!("{:x}", keys.add(most)).into_bytes())
        }
    };
    let time = if conf.lifetime == 0 { keys.number() } else { now(ex) };
    let nonce = keys.nonce(time, &realm, opaque.as_deref());
    let mut value = [b"Digest realm=\"", &*realm, b"\", nonce=\"", &nonce, b"\", algorithm=MD5"].concat();
    for (name, text) in [(&b"opaque"[..], opaque.as_deref()), (b"domain", Some(&*conf.domain))] {
        let text = text.filter(|text| !text.is_empty());
        // Of a proxy nobody asks for anything but all.
        let Some(text) = text.filter(|_| name != b"domain" || ex.proxyreq == ProxyKind::None) else { continue };
        value.extend_from_slice(&[b", ", name, b"=\"", text, b"\""].concat());
    }
    if stale {
        value.extend_from_slice(b", stale=true");
    }
    value.extend_from_slice(b", qop=\"auth\"");
    let name: &[u8] = if is_forward(ex) { b"Proxy-Authenticate" } else { b"WWW-Authenticate" };
    ex.err_headers_out.merge(name, &value);
}

fn refuse(ex: &mut Exchange, stale: bool) -> Outcome {
    challenge(ex, stale);
    Outcome::Status(401)
}

fn challenge_again(ex: &mut Exchange) -> Outcome {
    if !authn_core::is(ex, b"digest") {
        return Outcome::Declined;
    }
    challenge(ex, false);
    Outcome::Ok
}

fn is_forward(ex: &Exchange) -> bool {
    ex.proxyreq == ProxyKind::Forward
}

macro_rules! tell {
    ($ex:expr, $level:ident, $($text:tt)*) => {
        logs::error!($ex, Level::$level, "auth_digest", $($text)*)
    };
}

fn authenticate(ex: &mut Exchange) -> Waiting<'_> {
    Box::pin(async move {
        if !authn_core::is(ex, b"digest") {
            return Outcome::Declined;
        }
        if authn_core::realm(ex).is_none() {
            tell!(ex, Error, "AH01780: need AuthName: {}", Bytes(&ex.uri));
            return Outcome::Status(500);
        }
        let mut seen = match read(ex) {
            Ok(seen) => seen,
            Err(outcome) => return outcome,
        };
        let outcome = match judge(ex, &mut seen).await {
            Ok(()) => {
                seen.passed = true;
                Outcome::Ok
            }
            Err(Refusal::Status(status)) => Outcome::Status(status),
            Err(Refusal::Ask(stale)) => {
                *ex.ext.get_mut::<Seen>() = seen;
                return refuse(ex, stale);
            }
        };
        *ex.ext.get_mut::<Seen>() = seen;
        outcome
    })
}

/// The field, if there is one that can be read.
fn read(ex: &mut Exchange) -> Result<Seen, Outcome> {
    let name: &[u8] = if is_forward(ex) { b"Proxy-Authorization" } else { b"Authorization" };
    let Some(value) = ex.headers_in.get(name) else {
        *ex.ext.get_mut::<Seen>() = Seen::default();
        return Err(refuse(ex, false));
    };
    match field::read(value) {
        Err(scheme) => {
            tell!(
                ex,
                Error,
                "AH01781: client used wrong authentication scheme `{}': {}",
                Bytes(&scheme),
                Bytes(&ex.uri)
            );
            *ex.ext.get_mut::<Seen>() = Seen::default();
            Err(refuse(ex, false))
        }
        Ok(field) => {
            let number = if field.valid { field.client() } else { 0 };
            let known = number != 0 && process(ex).is_some_and(|(keys, _)| keys.knows(number));
            if field.opaque.is_some() {
                let found = if known { "AH01764: client" } else { "AH01765: client" };
                tell!(ex, Debug, "{found} {number} {}", if known { "found" } else { "not found" });
            }
            let client = known.then_some(number);
            let seen = Seen { client, field, ..Seen::default() };
            if seen.field.valid {
                return Ok(seen);
            }
            let missing = "missing user, realm, nonce, uri, digest, cnonce, or nonce_count in authorization header:";
            tell!(ex, Error, "AH01782: {missing} {}", Bytes(&ex.uri));
            *ex.ext.get_mut::<Seen>() = seen;
            Err(refuse(ex, false))
        }
    }
}

/// Why a request is not let in.
enum Refusal {
    /// An error.
    Status(u16),
    /// Asked again; whether only the nonce was too old.
    Ask(bool),
}

async fn judge(ex: &mut Exchange, seen: &mut Seen) -> Result<(), Refusal> {
    let field = &seen.field;
    let text = |text: &Option<Vec<u8>>| text.clone().unwrap_or_default();
    let (user, uri, nonce) = (text(&field.username), text(&field.uri), text(&field.nonce));
    ex.user = Some(user.clone());
    ex.auth_type = Some("Digest");
    if !is_same_resource(ex, &uri) {
        let asked = target(ex);
        tell!(ex, Error, "AH01786: uri mismatch - <{}> does not match request-uri <{}>", Bytes(&uri), Bytes(asked));
        return Err(Refusal::Status(400));
    }
    if let Some(opaque) = field.opaque.as_deref().filter(|_| field.client() == 0) {
        tell!(ex, Error, "AH01787: received invalid opaque - got `{}'", Bytes(opaque));
        return Err(Refusal::Ask(false));
    }
    let realm = authn_core::realm(ex).unwrap_or_default().into_owned();
    if field.realm.as_deref() != Some(&realm) {
        let given = text(&field.realm);
        tell!(ex, Error, "AH01788: realm mismatch - got `{}' but expected `{}'", Bytes(&given), Bytes(&realm));
        return Err(Refusal::Ask(false));
    }
    if let Some(other) = field.algorithm.as_deref().filter(|name| !name.eq_ignore_ascii_case(b"MD5")) {
        tell!(ex, Error, "AH01789: unknown algorithm `{}' received: {}", Bytes(other), Bytes(&ex.uri));
        return Err(Refusal::Ask(false));
    }
    seen.secret = secret(ex, &user, &realm).await?;
    if !field.qop.as_deref().is_some_and(|qop| qop.eq_ignore_ascii_case(b"auth")) {
        let given = field.qop.as_deref().unwrap_or(b"(null)");
        let text = "AH10560: invalid or missing qop value";
        tell!(ex, Error, "{text} '{}', RFC 2069 is no longer supported: {}", Bytes(given), Bytes(&ex.uri));
        return Err(Refusal::Ask(false));
    }
    if !same(&answer(seen, &ex.method), field.response.as_deref().unwrap_or_default()) {
        tell!(ex, Error, "AH01794: user {}: password mismatch: {}", Bytes(&user), Bytes(&ex.uri));
        return Err(Refusal::Ask(false));
    }
    seen.time = check_nonce(ex, seen, &user, &realm, &nonce)?;
    Ok(())
}

/// The hash of user, realm and password, as the providers know it.
async fn secret(ex: &mut Exchange, user: &[u8], realm: &[u8]) -> Result<Vec<u8>, Refusal> {
    let providers = ex.dir::<DigestDir>().and_then(|conf| conf.providers.clone());
    let reply = authn_core::ask(ex, providers, user, Some(realm), None).await;
    match reply {
        Reply { answer: Answer::Granted, hash: Some(hash) } => Ok(hash),
        Reply { answer: Answer::NotFound, .. } => {
            let (user, realm, uri) = (Bytes(user), Bytes(realm), Bytes(&ex.uri));
            tell!(ex, Error, "AH01790: user `{user}' in realm `{realm}' not found: {uri}");
            Err(Refusal::Ask(false))
        }
        Reply { answer: Answer::Denied, .. } => {
            let (user, realm, uri) = (Bytes(user), Bytes(realm), Bytes(&ex.uri));
            tell!(ex, Error, "AH01791: user `{user}' in realm `{realm}' denied by provider: {uri}");
            Err(Refusal::Ask(false))
        }
        _ => Err(Refusal::Status(500)),
    }
}

fn check_nonce(ex: &Exchange, seen: &Seen, user: &[u8], realm: &[u8], nonce: &[u8]) -> Result<u64, Refusal> {
    let (conf, Some((keys, _))) = (conf(ex), process(ex)) else { return Err(Refusal::Status(500)) };
    let shown = Bytes(nonce);
    let time = match keys.open(nonce, realm, seen.field.opaque.as_deref()) {
        Ok(time) => time,
        Err(right) => {
            tell!(ex, Error, "AH01776: invalid nonce {shown} received - hash is not {}", Bytes(&right));
            return Err(Refusal::Ask(true));
        }
    };
    if conf.lifetime > 0 {
        let Some(micros) = now(ex).checked_sub(time) else {
            tell!(ex, Error, "AH01777: invalid nonce {shown} received - user attempted time travel");
            return Err(Refusal::Ask(true));
        };
        let age = i64::try_from(micros / 1_000_000).unwrap_or(i64::MAX);
        let most = u64::try_from(conf.lifetime).unwrap_or(0).saturating_mul(1_000_000);
        if micros > most {
            let user = Bytes(user);
            let (age, most) = (seconds(age), seconds(conf.lifetime));
            tell!(
                ex,
                Info,
                "AH01778: user {user}: nonce expired ({age} seconds old - max lifetime {most}) - sending new nonce"
            );
            return Err(Refusal::Ask(true));
        }
    }
    if !conf.knows_clients() {
        return Ok(time);
    }
    let nc = seen.field.nc.as_deref().unwrap_or_default();
    let Some(count) = field::count(nc) else {
        tell!(ex, Error, "AH01773: invalid nc {} received - not a number", Bytes(nc));
        return Err(Refusal::Ask(false));
    };
    let client = seen.client.unwrap_or(0);
    match keys.take(client, time, count, conf.lifetime == 0) {
        Ok(()) => Ok(time),
        Err(Replay::Unknown) => {
            tell!(ex, Info, "AH10618: client {client} is no longer known - sending new nonce");
            Err(Refusal::Ask(true))
        }
        Err(Replay::Counted(_)) if conf.lifetime == 0 => {
            let user = Bytes(user);
            tell!(ex, Info, "AH01779: user {user}: one-time-nonce {shown} already used - sending new nonce");
            Err(Refusal::Ask(true))
        }
        Err(Replay::Counted(most)) => {
            let text = "AH01774: Warning, possible replay attack: nonce-count check failed:";
            tell!(ex, Error, "{text} {count} is not above {most} for nonce {shown}");
            Err(Refusal::Ask(false))
        }
    }
}

fn seconds(whole: i64) -> String {
    format!("{whole}.00")
}

fn md5(parts: &[&[u8]]) -> Vec<u8> {
    md5_hex(&parts.join(&b':'))
}

/// The answer that the client should have given.
fn answer(seen: &Seen, method: &[u8]) -> Vec<u8> {
    let field = &seen.field;
    let part = |part: &Option<Vec<u8>>| part.clone().unwrap_or_default();
    let asked = md5(&[method, &part(&field.uri)]);
    md5(&[&seen.secret, &part(&field.nonce), &part(&field.nc), &part(&field.cnonce), &part(&field.qop), &asked])
}

/// Tells the client that the server knows the password, too, and the nonce to go on with.
fn add_info(ex: &mut Exchange) -> Outcome {
    let (Some(seen), Some((keys, _))) = (ex.ext.get::<Seen>().filter(|seen| seen.passed), process(ex)) else {
        return Outcome::Declined;
    };
    let conf = conf(ex);
    let realm = authn_core::realm(ex).unwrap_or_default();
    let field = &seen.field;
    let part = |part: &Option<Vec<u8>>| part.clone().unwrap_or_default();
    let mut value = [b"rspauth=\"", &*answer(seen, b""), b"\""].concat();
    let age = i64::try_from(now(ex).saturating_sub(seen.time)).unwrap_or(i64::MAX);
    let old = conf.lifetime.saturating_sub(NEXT_NONCE).saturating_mul(1_000_000);
    let next = match conf.lifetime {
        0 => Some(keys.number()),
        1.. if age > old => Some(now(ex)),
        _ => None,
    };
    if let Some(time) = next {
        let nonce = keys.nonce(time, &realm, field.opaque.as_deref());
        value.extend_from_slice(&[b", nextnonce=\"", &*nonce, b"\""].concat());
    }
    let cnonce: Vec<u8> = part(&field.cnonce).iter().flat_map(|byte| escaped(*byte)).collect();
    let rest = [b", cnonce=\"", &*cnonce, b"\", nc=", &part(&field.nc), b", qop=", &part(&field.qop)].concat();
    value.extend_from_slice(&rest);
    let name: &[u8] = if is_forward(ex) { b"Proxy-Authentication-Info" } else { b"Authentication-Info" };
    ex.headers_out.merge(name, &value);
    Outcome::Ok
}

fn escaped(byte: u8) -> impl Iterator<Item = u8> {
    let slash = matches!(byte, b'"' | b'\\').then_some(b'\\');
    slash.into_iter().chain([byte])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7616, section 3.9.1, with MD5.
    #[test]
    fn the_example_of_the_rfc() {
        let nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
        let text = format!(
            "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", algorithm=MD5, \
             nonce=\"{nonce}\", nc=00000001, cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, \
             response=\"8ca523f5e9506fed4657c9700eebdbec\""
        );
        let field = field::read(text.as_bytes()).unwrap();
        let secret = md5(&[b"Mufasa", b"http-auth@example.org", b"Circle of Life"]);
        let seen = Seen { secret, field, ..Seen::default() };
        assert_eq!(answer(&seen, b"GET"), b"8ca523f5e9506fed4657c9700eebdbec");
    }
}

//! `mod_auth_basic.c`: user and password in the Authorization field.

use std::sync::Arc;

use base64::Engine as _;

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Server, Shape, Slots, latin1, row};
use crate::expr::{Scratch, Template};
use crate::logs::{self, Level};
use crate::modules::authn_core::{self, Chosen};
use crate::modules::passwords::{realm_hash, same};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::authn::Answer;
use crate::pipe::{Hook, Module, Outcome, Phase, Run, Waiting};
use crate::web::{Exchange, ProxyKind};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "auth_basic_module",
        file: "mod_auth_basic.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// Values per directory.
#[derive(Clone, Default)]
pub struct BasicDir {
    /// AuthBasicProvider, in order.
    providers: Option<Vec<Chosen>>,
    /// AuthBasicAuthoritative, default on.
    authoritative: Option<bool>,
    /// AuthBasicFake; the inner `None` is `off`.
    fake: Option<Option<(Arc<Template>, Arc<Template>)>>,
    /// AuthBasicUseDigestAlgorithm MD5.
    digest: Option<bool>,
}

impl Conf for BasicDir {
    const SLOT: usize = slot::AUTH_BASIC + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        crate::inner_or_outer!(base, add; providers, authoritative, fake, digest)
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("AuthBasicProvider", Places::AUTHCFG, Shape::Iterate, provider, "specify the auth providers for a directory or location"),
    row("AuthBasicAuthoritative", Places::AUTHCFG, Shape::Flag, authoritative, "Set to 'Off' to allow access control to be passed along to lower modules if the UserID is not known to this module"),
    row("AuthBasicFake", Places::AUTHCFG, Shape::Take12, fake, "Fake basic authentication using the given expressions for username and password, 'off' to disable. Password defaults to 'password' if missing."),
    row("AuthBasicUseDigestAlgorithm", Places::AUTHCFG, Shape::Take1, digest, "Set to 'MD5' to use the auth provider's authentication check for digest auth, using a hash of 'user:realm:pass'"),
];

/// The hooks.
pub const HOOKS: &[Hook] = &[
    Hook { phase: Phase::Authn, order: 0, wants: is_basic, run: Run::Wait(authenticate) },
    Hook { phase: Phase::Challenge, order: 0, wants: is_basic, run: Run::Now(challenge) },
    Hook { phase: Phase::Fixups, order: 10, wants: fakes, run: Run::Now(put_fake) },
];

fn is_basic(_: &Server, dir: &Slots) -> bool {
    authn_core::is_kind(dir, b"basic")
}

fn fakes(_: &Server, dir: &Slots) -> bool {
    dir.get::<BasicDir>().is_some_and(|conf| matches!(conf.fake, Some(Some(_))))
}

fn provider(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let chosen = authn_core::choose(cmd, args.word(0))?;
    cmd.dir_conf::<BasicDir>().providers.get_or_insert_default().push(chosen);
    Ok(())
}

fn authoritative(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.dir_conf::<BasicDir>().authoritative = Some(args.on());
    Ok(())
}

fn fake(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let user = args.word(0);
    let value = if user.eq_ignore_ascii_case(b"off") {
        None
    } else {
        let shown = latin1(user);
        let name = cmd.template(user);
        let name = name.map_err(|why| format!("Could not parse fake username expression '{shown}': {why}"))?;
        let password = cmd.template(args.opt(1).unwrap_or(b"password"));
        let password = password
            .map_err(|why| format!("Could not parse fake password expression associated to user '{shown}': {why}"))?;
        Some((name, password))
    };
    cmd.dir_conf::<BasicDir>().fake = Some(value);
    Ok(())
}

fn digest(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let on = match args.word(0) {
        word if word.eq_ignore_ascii_case(b"Off") => false,
        word if word.eq_ignore_ascii_case(b"MD5") => true,
        word => {
            return Err(format!("Invalid algorithm in AuthBasicUseDigestAlgorithm: {}", latin1(word)));
        }
    };
    cmd.dir_conf::<BasicDir>().digest = Some(on);
    Ok(())
}

/// The fields of a request to a proxy have other names.
fn is_forward(ex: &Exchange) -> bool {
    ex.proxyreq == ProxyKind::Forward
}

/// Asks for user and password.
fn challenge(ex: &mut Exchange) -> Outcome {
    if !authn_core::is(ex, b"basic") {
        return Outcome::Declined;
    }
    let value = [b"Basic realm=\"", &*authn_core::realm(ex).unwrap_or_default(), b"\""].concat();
    let name: &[u8] = if is_forward(ex) { b"Proxy-Authenticate" } else { b"WWW-Authenticate" };
    ex.err_headers_out.set(name, &value);
    Outcome::Ok
}

fn refuse(ex: &mut Exchange) -> Outcome {
    challenge(ex);
    Outcome::Status(401)
}

/// User and password of the Authorization field, `None` if it is of another scheme. What cannot be read is empty.
pub(super) fn credentials(value: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let blank = memchr::memchr(b' ', value).unwrap_or(value.len());
    let (scheme, rest) = value.split_at(blank);
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let rest = rest.trim_ascii_start();
    let valid = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')).count();
    // A letter that is left over holds no byte.
    let rest = rest.get(..valid - usize::from(valid % 4 == 1)).unwrap_or_default();
    let engine = base64::engine::GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        base64::engine::GeneralPurposeConfig::new()
            .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    let mut decoded = engine.decode(rest).ok()?;
    // As a string in C would: nothing counts behind a NUL.
    if let Some(end) = memchr::memchr(0, &decoded) {
        decoded.truncate(end);
    }
    let password = match memchr::memchr(b':', &decoded) {
        Some(colon) => {
            let password = decoded.split_off(colon + 1);
            decoded.pop();
            password
        }
        None => Vec::new(),
    };
    Some((decoded, password))
}

fn authenticate(ex: &mut Exchange) -> Waiting<'_> {
    Box::pin(async move {
        if !authn_core::is(ex, b"basic") {
            return Outcome::Declined;
        }
        if authn_core::realm(ex).is_none() {
            logs::error!(ex, Level::Error, "auth_basic", "AH01615: need AuthName: {}", logs::Bytes(&ex.uri));
            return Outcome::Status(500);
        }
        ex.auth_type = Some("Basic");
        let field: &[u8] = if is_forward(ex) { b"Proxy-Authorization" } else { b"Authorization" };
        let Some(value) = ex.headers_in.get(field) else { return refuse(ex) };
        let Some((user, password)) = credentials(value) else {
            logs::error!(
                ex,
                Level::Error,
                "auth_basic",
                "AH01614: client used wrong authentication scheme: {}",
                logs::Bytes(&ex.uri)
            );
            return refuse(ex);
        };
        let authoritative = ex.dir::<BasicDir>().and_then(|conf| conf.authoritative).unwrap_or(true);
        ex.user = Some(user.clone());
        let answer = ask(ex, &user, &password).await;
        match answer {
            Answer::Granted => Outcome::Ok,
            Answer::NotFound | Answer::Denied if !authoritative && answer != Answer::Denied => Outcome::Declined,
            Answer::Denied => {
                logs::error!(
                    ex,
                    Level::Error,
                    "auth_basic",
                    "AH01617: user {}: authentication failure for \"{}\": Password Mismatch",
                    logs::Bytes(&user),
                    logs::Bytes(&ex.uri)
                );
                refuse(ex)
            }
            Answer::NotFound => {
                logs::error!(
                    ex,
                    Level::Error,
                    "auth_basic",
                    "AH01618: user {} not found: {}",
                    logs::Bytes(&user),
                    logs::Bytes(&ex.uri)
                );
                refuse(ex)
            }
            Answer::Failed => Outcome::Status(500),
        }
    })
}

/// What the providers say of this user and password.
async fn ask(ex: &mut Exchange, user: &[u8], password: &[u8]) -> Answer {
    let conf = ex.dir::<BasicDir>();
    let providers = conf.and_then(|conf| conf.providers.clone());
    if conf.and_then(|conf| conf.digest) != Some(true) {
        return authn_core::ask(ex, providers, user, None, Some(password)).await.answer;
    }
    let realm = authn_core::realm(ex).unwrap_or_default().into_owned();
    let reply = authn_core::ask(ex, providers, user, Some(&realm), None).await;
    match (reply.answer, reply.hash) {
        (Answer::Granted, Some(hash)) if same(&realm_hash(user, &realm, password), &hash) => Answer::Granted,
        (Answer::Granted, _) => Answer::Denied,
        (answer, _) => answer,
    }
}

/// Gives the backend a user and password that the configuration names.
fn put_fake(ex: &mut Exchange) -> Outcome {
    let Some(Some((user, password))) = ex.dir::<BasicDir>().and_then(|conf| conf.fake.clone()) else {
        return Outcome::Declined;
    };
    let mut text = Vec::new();
    let mut scratch = Scratch::default();
    let evaluated = user.eval(ex, &mut scratch, &mut text).and_then(|()| {
        if text.is_empty() {
            return Ok(());
        }
        text.push(b':');
        password.eval(ex, &mut scratch, &mut text)
    });
    if let Err(error) = evaluated {
        logs::error!(
            ex,
            Level::Error,
            "auth_basic",
            "AH02455: AuthBasicFake: could not evaluate user expression for URI '{}': {error}",
            logs::Bytes(&ex.uri)
        );
        return Outcome::Status(500);
    }
    if text.is_empty() || text.ends_with(b":") {
        // No user, or no password: nothing is faked.
        return Outcome::Declined;
    }
    let value = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(&text));
    let name: &[u8] = if is_forward(ex) { b"Proxy-Authorization" } else { b"Authorization" };
    ex.headers_in.set(name, value.as_bytes());
    logs::error!(ex, Level::Info, "auth_basic", "AH02457: AuthBasicFake: \"{}: {value}\"", logs::Bytes(name));
    Outcome::Ok
}

#[cfg(test)]
mod tests {
    use super::credentials;

    #[test]
    fn user_and_password_are_read() {
        let read = |text: &str| {
            let (user, password) = credentials(text.as_bytes())?;
            Some((String::from_utf8(user).unwrap(), String::from_utf8(password).unwrap()))
        };
        assert_eq!(read("Basic Ym9iOnB3"), Some(("bob".into(), "pw".into())));
        assert_eq!(read("basic   Ym9iOnA6dw"), Some(("bob".into(), "p:w".into())));
        assert_eq!(read("Digest x"), None);
        assert_eq!(read("Basic YQ=="), Some(("a".into(), String::new())));
        for nothing in ["Basic !!", "Basic"] {
            assert_eq!(read(nothing), Some((String::new(), String::new())));
        }
    }
}

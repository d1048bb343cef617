//! `mod_authnz_fcgi.c`: FastCGI authorizers that know users, or let requests in; [`Authorizer`] asks them.

use std::net::ToSocketAddrs as _;
use std::sync::Arc;

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Server, Shape, Slots, get_words, latin1, row};
use crate::expr::{Scratch, Template};
use crate::logs::{self, Bytes, Errno, Level};
use crate::modules::auth_basic::credentials;
use crate::modules::rows::nothing;
use crate::modules::{authn_core, slot};
use crate::pipe::authn::{Answer, Judge, Judging, Provider, Ways};
use crate::pipe::authz::{Acts, Need, Verdict, Weighing};
use crate::pipe::{Hook, Module, Outcome, Phase, Run, Waiting, note_auth_failure};
use crate::upstream::authorizer::Authorizer;
use crate::web::{Exchange, ProxyKind};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "authnz_fcgi_module",
        file: "mod_authnz_fcgi.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// AuthnzFcgiCheckAuthnProvider.
#[derive(Clone, Default)]
struct FcgiDir(Option<Arc<Check>>);

/// Who authenticates, and how.
#[derive(Clone)]
struct Check {
    name: Vec<u8>,
    default_user: Option<Vec<u8>>,
    user: Option<Arc<Template>>,
    authoritative: bool,
    require_basic: bool,
}

impl Conf for FcgiDir {
    const SLOT: usize = slot::AUTHNZ_FCGI + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        Self(add.0.clone().or_else(|| base.0.clone()))
    }
}

/// All providers, in order; of one name the last one counts.
#[derive(Clone, Default)]
struct FcgiProcess(Vec<Arc<Authorizer>>);

impl Conf for FcgiProcess {
    const SLOT: usize = slot::AUTHNZ_FCGI + 2;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// The provider that let the user in, and with it the request.
#[derive(Default)]
struct Passed(Option<Vec<u8>>);

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("AuthnzFcgiDefineProvider", Places::SERVER, Shape::Argv, define, "Define a FastCGI authn and/or authz provider"),
    row("AuthnzFcgiCheckAuthnProvider", Places::FILEINFO, Shape::Argv, check_provider, "Enable/disable a FastCGI authorizer to handle check_authn phase"),
];

/// The hooks: in front of those that ask for a password, as an authorizer may have its own answer to a user without one.
pub const HOOKS: &[Hook] = &[Hook { phase: Phase::Authn, order: -10, wants: checks, run: Run::Wait(check) }];

/// Users and passwords known to an authorizer.
pub static PROVIDER: Provider = Provider {
    name: "fcgi",
    module: "authnz_fcgi_module",
    ask: Some(Ways { password: Judge::Changes(password), hash: None }),
    keep: None,
};

const MODULE_NAME: &str = "authnz_fcgi";

/// What the application is told to do, where that is not both.
const AUTHENTICATOR: &str = "AUTHENTICATOR";
const AUTHORIZER: &str = "AUTHORIZER";

/// The longest body of a refusal.
const BODY_MAX: usize = 8192;

/// `AuthnzFcgiDefineProvider type name url`.
fn define(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.global_only()?;
    let fail = |why: &str| Err(format!("AuthnzFcgiDefineProvider: {why}"));
    let words = get_words(args.raw);
    let Some(kind) = words.first().filter(|kind| !kind.is_empty()) else { return fail("No type given") };
    let is = |known: &[u8]| kind.eq_ignore_ascii_case(known);
    let (authn, authz) = (is(b"authn") || is(b"authnz"), is(b"authz") || is(b"authnz"));
    if !authn && !authz {
        return fail(&format!("Invalid provider type {}", latin1(kind)));
    }
    let Some(name) = words.get(1).filter(|name| !name.is_empty()) else { return fail("No provider name given") };
    let Some(backend) = words.get(2).filter(|backend| !backend.is_empty()) else {
        return fail("No backend-address given");
    };
    let backend = latin1(backend);
    let Some((host, port)) = parts(&backend) else {
        return fail(&format!("backend-address '{backend}' has invalid form"));
    };
    let Ok(port) = u16::try_from(port) else {
        return fail(&format!("backend-address '{backend}' has invalid port"));
    };
    let addresses = match (host, port).to_socket_addrs() {
        Ok(addresses) => addresses,
        Err(error) => {
            let again = error.to_string().contains("Temporary failure");
            let mut why = Vec::new();
            if again { Errno::NAME_AGAIN } else { Errno::NO_NAME }.push(&mut why);
            let text = format!("{}: AH02530: Address {backend} could not be resolved", latin1(&why));
            cmd.warn_bare(MODULE_NAME, "crit", text);
            return fail("Error resolving backend address");
        }
    };
    if let Some(more) = words.get(3) {
        return fail(&format!("Unexpected parameter {}", latin1(more)));
    }
    let (host, addresses) = (host.to_owned(), addresses.collect());
    let authorizer = Authorizer { name: name.clone(), backend, host, port, addresses, authn, authz };
    cmd.globals.conf.get_mut::<FcgiProcess>().0.push(Arc::new(authorizer));
    if authn {
        authn_core::name(cmd, &PROVIDER, name);
    }
    Ok(())
}

/// Host and port of `fcgi://host:port/`.
fn parts(backend: &str) -> Option<(&str, u32)> {
    let rest = backend.strip_prefix("fcgi://")?;
    let (host, port) = rest.strip_suffix('/').unwrap_or(rest).rsplit_once(':')?;
    let valid = (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Some((host, port.parse().ok().filter(|_| valid)?))
}

/// `AuthnzFcgiCheckAuthnProvider name|none option value ...`.
fn check_provider(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let fail = |why: String| Err(format!("AuthnzFcgiCheckAuthnProvider: {why}"));
    let words = get_words(args.raw);
    let Some((name, options)) = words.split_first() else { return fail("No provider given".to_owned()) };
    if name.eq_ignore_ascii_case(b"none") && !options.is_empty() {
        return Err("Options aren't supported with \"None\"".to_owned());
    }
    let mut check =
        Check { name: name.clone(), default_user: None, user: None, authoritative: true, require_basic: false };
    for pair in options.chunks(2) {
        let [option, value] = pair else {
            return fail(format!("{}needs an argument", latin1(pair.first().map_or(&b""[..], Vec::as_slice))));
        };
        let is = |known: &[u8]| option.eq_ignore_ascii_case(known);
        let flag = if value.eq_ignore_ascii_case(b"on") {
            Some(true)
        } else {
            value.eq_ignore_ascii_case(b"off").then_some(false)
        };
        let bad = || format!("Bad argument '{}' to option '{}'", latin1(value), latin1(option));
        if is(b"Authoritative") {
            let Some(flag) = flag else { return fail(bad()) };
            check.authoritative = flag;
        } else if is(b"DefaultUser") {
            check.default_user = Some(value.clone());
        } else if is(b"RequireBasicAuth") {
            let Some(flag) = flag else { return fail(bad()) };
            check.require_basic = flag;
        } else if is(b"UserExpr") {
            match cmd.template(value) {
                Ok(user) => check.user = Some(user),
                Err(why) => return fail(format!("Error parsing '{}': '{why}'", latin1(value))),
            }
        } else {
            return fail(format!("Unexpected option '{}'", latin1(option)));
        }
    }
    cmd.dir_conf::<FcgiDir>().0 = Some(Arc::new(check));
    Ok(())
}

fn checks(_: &Server, dir: &Slots) -> bool {
    dir.get::<FcgiDir>()
        .and_then(|conf| conf.0.as_deref())
        .is_some_and(|check| !check.name.eq_ignore_ascii_case(b"none"))
}

/// The provider of this name.
fn find(ex: &Exchange, name: &[u8], is: fn(&Authorizer) -> bool) -> Option<Arc<Authorizer>> {
    let all = &ex.live.generation.globals.conf.get::<FcgiProcess>()?.0;
    all.iter().rfind(|one| one.name == name && is(one)).cloned()
}

fn word(on: bool) -> &'static str {
    if on { "yes" } else { "no" }
}

/// Runs when users are asked who they are; declines where the application has refused and is not the last to be asked.
fn check(ex: &mut Exchange) -> Waiting<'_> {
    Box::pin(async move {
        let Some(check) = ex.dir::<FcgiDir>().and_then(|conf| conf.0.clone()) else { return Outcome::Declined };
        let kind = authn_core::kind(ex).map(|kind| kind.into_owned());
        let basic = kind.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case(b"basic"));
        let name = Bytes(&check.name);
        logs::error!(
            ex,
            Level::Debug,
            MODULE_NAME,
            "AH02516: fcgi_check_authn, prov {name}, authoritative {}, require-basic {}, user expr? {} type {}",
            word(check.authoritative),
            word(check.require_basic),
            word(check.user.is_some()),
            Bytes(kind.as_deref().unwrap_or(b"(null)"))
        );
        let mut password = None;
        if basic {
            match basic_password(ex).await {
                Ok(given) => password = Some(given),
                Err(status) => {
                    let text = "AH02517: fcgi_check_authn: couldn't retrieve basic auth password";
                    logs::error!(ex, Level::Debug, MODULE_NAME, "{text}");
                    if check.require_basic {
                        return Outcome::Status(status);
                    }
                }
            }
        }
        let Some(authorizer) = find(ex, &check.name, |one| one.authn) else {
            let text = "AH02518: fcgi_check_authn: can't find config for provider";
            logs::error!(ex, Level::Crit, MODULE_NAME, "{text} {name}");
            return Outcome::Status(500);
        };
        authorizer.show(ex);
        let mut body = authorizer.ask(ex, password.as_deref(), Some(AUTHENTICATOR)).await;
        if ex.status == 200 {
            set_user(ex, &check);
            if authorizer.authz {
                ex.ext.get_mut::<Passed>().0 = Some(authorizer.name.clone());
            }
        } else if !body.is_empty() && !check.authoritative {
            let text = "AH02522: fcgi_check_authn: Ignoring response body from non-authoritative authorizer";
            logs::error!(ex, Level::Warn, MODULE_NAME, "{text}");
        } else if !body.is_empty() {
            if body.len() >= BODY_MAX {
                let text = "AH02523: fcgi_check_authn: possible overflow handling response body";
                logs::error!(ex, Level::Warn, MODULE_NAME, "{text}");
                body.truncate(BODY_MAX);
            }
            // As a string in C would: nothing counts behind a NUL.
            body.truncate(memchr::memchr(0, &body).unwrap_or(body.len()));
            ex.response.own_page = Some((ex.status, body));
        }
        match ex.status {
            200 => Outcome::Ok,
            status if check.authoritative => Outcome::Status(status),
            _ => Outcome::Declined,
        }
    })
}

/// Who the application says that it is.
fn set_user(ex: &mut Exchange, check: &Check) {
    let Some(expr) = &check.user else { return };
    let mut user = Vec::new();
    match expr.eval(ex, &mut Scratch::default(), &mut user) {
        Ok(()) if !user.is_empty() => {
            logs::error!(
                ex,
                Level::Debug,
                MODULE_NAME,
                "AH02519: fcgi_check_authn: Setting user to '{}'",
                Bytes(&user)
            );
            ex.user = Some(user);
        }
        Ok(()) if check.default_user.is_some() => ex.user.clone_from(&check.default_user),
        Ok(()) => {
            let text = "AH02520: fcgi_check_authn: Failure extracting user after calling authorizer: user expression \
                        yielded empty string (variable not set?)";
            logs::error!(ex, Level::Error, MODULE_NAME, "{text}");
            ex.status = 500;
        }
        Err(error) => {
            let text = "AH02521: fcgi_check_authn: Failure extracting user after calling authorizer:";
            logs::error!(ex, Level::Error, MODULE_NAME, "{text} {error}");
            ex.status = 500;
        }
    }
}

/// The password that the client sends, whose user becomes the request's; else the answer.
async fn basic_password(ex: &mut Exchange) -> Result<Vec<u8>, u16> {
    if authn_core::realm(ex).is_none() {
        logs::error!(ex, Level::Error, "core", "AH00572: need AuthName: {}", Bytes(&ex.uri));
        return Err(500);
    }
    let field: &[u8] = if ex.proxyreq == ProxyKind::Forward { b"Proxy-Authorization" } else { b"Authorization" };
    let given = ex.headers_in.get(field).map(credentials);
    if let Some(Some((user, password))) = given {
        ex.auth_type = Some("Basic");
        ex.user = Some(user);
        return Ok(password);
    }
    if given.is_some() {
        let text = "AH00573: client used wrong authentication scheme:";
        logs::error!(ex, Level::Info, "core", "{text} {}", Bytes(&ex.uri));
    }
    note_auth_failure(ex).await;
    Err(401)
}

/// Whether the provider of this name takes the user with this password.
fn password<'a>(ex: &'a mut Exchange, called: &'a [u8], user: &'a [u8], password: &'a [u8]) -> Judging<'a> {
    Box::pin(async move {
        let (name, user) = (Bytes(called), Bytes(user));
        logs::error!(ex, Level::Debug, MODULE_NAME, "AH02524: fcgi_check_password({user}, XXX): provider {name}");
        let Some(authorizer) = find(ex, called, |one| one.authn) else {
            let text = "AH02526: fcgi_check_password: can't find config for provider";
            logs::error!(ex, Level::Crit, MODULE_NAME, "{text} {name}");
            return Answer::Failed;
        };
        authorizer.show(ex);
        authorizer.ask(ex, Some(password), (!authorizer.authz).then_some(AUTHENTICATOR)).await;
        match ex.status {
            200 => {
                if authorizer.authz {
                    ex.ext.get_mut::<Passed>().0 = Some(authorizer.name.clone());
                }
                Answer::Granted
            }
            500 => Answer::Failed,
            _ => Answer::Denied,
        }
    })
}

/// Whether `name` behind `Require` is an application's.
pub fn lets_in(cmd: &Cmd<'_>, name: &[u8]) -> bool {
    let all = cmd.globals.conf.get::<FcgiProcess>();
    all.is_some_and(|all| all.0.iter().any(|one| one.authz && one.name == name))
}

/// `Require name`.
pub fn require(name: &[u8], words: &[u8]) -> Result<Arc<dyn Need>, String> {
    if !words.is_empty() {
        return Err(
            "mod_authnz_fcgi doesn't support restrictions on providers (i.e., multiple require args)".to_owned()
        );
    }
    Ok(Arc::new(Asked(name.to_vec())))
}

/// What the application of this name says.
struct Asked(Vec<u8>);

impl Need for Asked {
    fn check(&self, _: &Exchange, _: &Slots) -> Verdict {
        // It is weighed instead.
        Verdict::Error
    }

    fn acts(&self) -> Option<&dyn Acts> {
        Some(self)
    }

    fn called(&self, alias: &[u8]) -> Option<Arc<dyn Need>> {
        Some(Arc::new(Self(alias.to_vec())))
    }
}

impl Acts for Asked {
    fn weigh<'a>(&'a self, ex: &'a mut Exchange) -> Weighing<'a> {
        Box::pin(async move {
            logs::error!(ex, Level::Debug, MODULE_NAME, "AH02527: fcgi_authz_check()");
            let Some(authorizer) = find(ex, &self.0, |one| one.authz) else {
                let text = "AH02529: fcgi_authz_check: can't find config for provider";
                logs::error!(ex, Level::Crit, MODULE_NAME, "{text} {}", Bytes(&self.0));
                return Verdict::Error;
            };
            authorizer.show(ex);
            if ex.user.is_none() {
                return Verdict::DeniedNoUser;
            }
            if authorizer.authn {
                let passed = ex.ext.get::<Passed>().and_then(|passed| passed.0.as_ref());
                return if passed == Some(&authorizer.name) { Verdict::Granted } else { Verdict::Denied };
            }
            authorizer.ask(ex, None, Some(AUTHORIZER)).await;
            match ex.status {
                200 => Verdict::Granted,
                500 => Verdict::Error,
                _ => Verdict::Denied,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        assert_eq!(parts("fcgi://localhost:9/"), Some(("localhost", 9)));
        assert_eq!(parts("fcgi://[::1]:65536"), Some(("::1", 65536)));
        for bad in ["fcgi://localhost/", "fcgi://a:123456/", "fcgi://a:/", "http://a:1/", "fcgi://a:1//", "fcgi://a:+1"]
        {
            assert_eq!(parts(bad), None, "{bad}");
        }
    }
}

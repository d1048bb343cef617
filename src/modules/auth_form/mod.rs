//! `mod_auth_form.c`: users that log in with a form and stay so by their session.

mod form;

use std::sync::Arc;

use base64::Engine as _;

use crate::base::clock::leading_integer;
use crate::config::{
    Args, Cmd, Conf, Directive, Fatal, ModuleRow, Places, PostConfig, Server, Shape, Slots, latin1, row,
};
use crate::expr::{Scratch, Template};
use crate::logs::{self, Bytes, Level};
use crate::modules::authn_core::{self, Chosen};
use crate::modules::passwords::{md5_hex, same};
use crate::modules::{check, session, slot};
use crate::pipe::authn::Answer;
use crate::pipe::{Hook, KeptBody, Module, Outcome, Phase, Run, Waiting, aside};
use crate::web::{Exchange, ProxyKind, Wire};

use form::{Asked, Fields};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "auth_form_module",
        file: "mod_auth_form.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: needs,
    },
    hooks: HOOKS,
};

/// Values per directory.
#[derive(Clone, Default)]
pub struct FormDir {
    /// AuthFormProvider, in order.
    providers: Option<Vec<Chosen>>,
    /// AuthFormUsername.
    username: Option<Vec<u8>>,
    /// AuthFormPassword.
    password: Option<Vec<u8>>,
    /// AuthFormLocation.
    location: Option<Vec<u8>>,
    /// AuthFormMethod.
    method: Option<Vec<u8>>,
    /// AuthFormMimetype.
    mimetype: Option<Vec<u8>>,
    /// AuthFormBody.
    body: Option<Vec<u8>>,
    /// AuthFormSize in bytes.
    size: Option<usize>,
    /// AuthFormLoginRequiredLocation.
    required: Option<Arc<Template>>,
    /// AuthFormLoginSuccessLocation.
    success: Option<Arc<Template>>,
    /// AuthFormLogoutLocation.
    logout: Option<Arc<Template>>,
    /// AuthFormSitePassphrase.
    site: Option<Vec<u8>>,
    /// AuthFormAuthoritative, default on.
    authoritative: Option<bool>,
    /// AuthFormFakeBasicAuth.
    fake: Option<bool>,
    /// AuthFormDisableNoStore.
    store: Option<bool>,
}

impl Conf for FormDir {
    const SLOT: usize = slot::AUTH_FORM + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        crate::inner_or_outer!(
            base, add; providers, username, password, location, method, mimetype, body, size, required, success, logout,
            site, authoritative, fake, store
        )
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("AuthFormProvider", Places::AUTHCFG, Shape::Iterate, provider, "specify the auth providers for a directory or location"),
    row("AuthFormUsername", Places::AUTHCFG, Shape::Take1, |c, a| field(c, a, |conf| &mut conf.username), "The field of the login form carrying the username"),
    row("AuthFormPassword", Places::AUTHCFG, Shape::Take1, |c, a| field(c, a, |conf| &mut conf.password), "The field of the login form carrying the password"),
    row("AuthFormLocation", Places::AUTHCFG, Shape::Take1, |c, a| field(c, a, |conf| &mut conf.location), "The field of the login form carrying the URL to redirect on successful login."),
    row("AuthFormMethod", Places::AUTHCFG, Shape::Take1, |c, a| field(c, a, |conf| &mut conf.method), "The field of the login form carrying the original request method."),
    row("AuthFormMimetype", Places::AUTHCFG, Shape::Take1, |c, a| field(c, a, |conf| &mut conf.mimetype), "The field of the login form carrying the original request mimetype."),
    row("AuthFormBody", Places::AUTHCFG, Shape::Take1, |c, a| field(c, a, |conf| &mut conf.body), "The field of the login form carrying the urlencoded original request body."),
    row("AuthFormSize", Places::DIR, Shape::Take1, size, "Maximum size of body parsed by the form parser"),
    row("AuthFormLoginRequiredLocation", Places::AUTHCFG, Shape::Take1, |c, a| place(c, a, "login required", |conf| &mut conf.required), "If set, redirect the browser to this URL rather than return 401 Not Authorized."),
    row("AuthFormLoginSuccessLocation", Places::AUTHCFG, Shape::Take1, |c, a| place(c, a, "login success", |conf| &mut conf.success), "If set, redirect the browser to this URL when a login processed by the login handler is successful."),
    row("AuthFormLogoutLocation", Places::AUTHCFG, Shape::Take1, |c, a| place(c, a, "logout required", |conf| &mut conf.logout), "The URL of the logout successful page. An attempt to access an URL handled by the handler form-logout-handler will result in an redirect to this page after logout."),
    row("AuthFormSitePassphrase", Places::AUTHCFG, Shape::Take1, |c, a| word(c, a, |conf| &mut conf.site), "If set, use this passphrase to determine whether the user should be authenticated. Bypasses the user authentication check on every website hit, and is useful for high traffic sites."),
    row("AuthFormAuthoritative", Places::AUTHCFG, Shape::Flag, |c, a| flag(c, a, |conf| &mut conf.authoritative), "Set to 'Off' to allow access control to be passed along to lower modules if the UserID is not known to this module"),
    row("AuthFormFakeBasicAuth", Places::AUTHCFG, Shape::Flag, |c, a| flag(c, a, |conf| &mut conf.fake), "Set to 'On' to pass through authentication to the rest of the server as a basic authentication header."),
    row("AuthFormDisableNoStore", Places::AUTHCFG, Shape::Flag, |c, a| flag(c, a, |conf| &mut conf.store), "Set to 'on' to stop the sending of a Cache-Control no-store header with the login screen. This allows the browser to cache the credentials, but at the risk of it being possible for the login form to be resubmitted and revealed to the backend server through XSS. Use at own risk."),
];

/// The hooks.
pub const HOOKS: &[Hook] = &[
    Hook { phase: Phase::Authn, order: 0, wants: is_form, run: Run::Wait(authenticate) },
    Hook { phase: Phase::Handler, order: 0, wants: |_, _| true, run: Run::Handle(handle) },
];

/// The handler of a request that a form asked to be made with another method, without saying all of it.
const UNTOLD: &[u8] = b"form-redirect-handler";

/// A form larger than this is not read, unless AuthFormSize says so.
const SIZE: usize = 8192;

fn is_form(_: &Server, dir: &Slots) -> bool {
    authn_core::is_kind(dir, b"form")
}

fn provider(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let chosen = authn_core::choose(cmd, args.word(0))?;
    cmd.dir_conf::<FormDir>().providers.get_or_insert_default().push(chosen);
    Ok(())
}

fn word(cmd: &mut Cmd<'_>, args: &Args<'_>, which: fn(&mut FormDir) -> &mut Option<Vec<u8>>) -> Result<(), String> {
    *which(cmd.dir_conf::<FormDir>()) = Some(args.word(0).to_vec());
    Ok(())
}

/// The name of a field of the form.
fn field(cmd: &mut Cmd<'_>, args: &Args<'_>, which: fn(&mut FormDir) -> &mut Option<Vec<u8>>) -> Result<(), String> {
    check::field_name(cmd, args.word(0))?;
    word(cmd, args, which)
}

fn flag(cmd: &mut Cmd<'_>, args: &Args<'_>, which: fn(&mut FormDir) -> &mut Option<bool>) -> Result<(), String> {
    *which(cmd.dir_conf::<FormDir>()) = Some(args.on());
    Ok(())
}

fn size(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    // The message has another directive's name, as httpd's.
    let size = leading_integer(args.word(0)).0.and_then(|size| usize::try_from(size).ok());
    cmd.dir_conf::<FormDir>().size = Some(size.ok_or("AuthCookieFormSize must be a size in bytes, or zero.")?);
    Ok(())
}

type Place = fn(&mut FormDir) -> &mut Option<Arc<Template>>;

fn place(cmd: &mut Cmd<'_>, args: &Args<'_>, what: &str, which: Place) -> Result<(), String> {
    let text = args.word(0);
    let template = cmd.template(text);
    let wrong = |why| format!("Could not parse {what} expression '{}': {why}", latin1(text));
    *which(cmd.dir_conf::<FormDir>()) = Some(template.map_err(wrong)?);
    Ok(())
}

/// Forms need sessions and bodies.
fn needs(post: &mut PostConfig<'_>) -> Result<(), Fatal> {
    for (number, id) in [("AH02617", "session_module"), ("AH02618", "request_module")] {
        if !post.globals.modules.contains(&id) {
            let name = id.trim_end_matches("_module");
            let text = format!("{number}: You must load mod_{name} to enable the mod_auth_form functions\n");
            return Err(Fatal { text, quiet: false });
        }
    }
    Ok(())
}

fn conf(ex: &Exchange) -> FormDir {
    ex.dir::<FormDir>().cloned().unwrap_or_default()
}

/// The name of a value in the session.
fn key(ex: &Exchange, what: &[u8]) -> Vec<u8> {
    [&*authn_core::realm(ex).unwrap_or_default(), b"-", what].concat()
}

/// Whom the session is of: user, password, and the mark of the site.
fn of_session(ex: &Exchange) -> [Option<Vec<u8>>; 3] {
    [&b"user"[..], b"pw", b"site"].map(|what| session::get(ex, &key(ex, what)).map(<[u8]>::to_vec))
}

/// Logs a user in, or out.
async fn remember(ex: &mut Exchange, user: Option<&[u8]>, password: Option<&[u8]>, site: Option<&[u8]>) {
    session::load(ex).await;
    let mark = user.zip(site).map(|(user, site)| md5_hex(&[user, b":", site].concat()));
    for (what, value) in [(&b"user"[..], user), (b"pw", password), (b"site", mark.as_deref())] {
        let key = key(ex, what);
        session::set(ex, &key, value);
    }
}

fn authenticate(ex: &mut Exchange) -> Waiting<'_> {
    Box::pin(async move {
        if !authn_core::is(ex, b"form") {
            return Outcome::Declined;
        }
        // A site that anybody may name can read what is kept for others.
        if ex.proxyreq == ProxyKind::Forward {
            let text = "AH01809: form auth cannot be used for proxy requests due to XSS risk, access denied:";
            logs::error!(ex, Level::Error, "auth_form", "{text} {}", Bytes(&ex.uri));
            return Outcome::Status(500);
        }
        if authn_core::realm(ex).is_none() {
            logs::error!(ex, Level::Error, "auth_form", "AH01810: need AuthName: {}", Bytes(&ex.uri));
            return Outcome::Status(500);
        }
        ex.auth_type = Some("form");
        let conf = conf(ex);
        let refused = match by_session(ex, &conf).await {
            Ok(()) => return Outcome::Ok,
            Err(outcome) => outcome,
        };
        if ex.method == b"POST" && ex.sub_depth == 0 {
            let limit = conf.size.unwrap_or(SIZE);
            let kept = ex.ext.get_mut::<KeptBody>();
            let Some(read) = kept.read.take() else {
                kept.limit = limit;
                return Outcome::Body;
            };
            return match by_form(ex, &conf, read).await {
                Outcome::Status(401) => not_yet(ex, &conf),
                outcome => outcome,
            };
        }
        match refused {
            Outcome::Status(401) => not_yet(ex, &conf),
            outcome => outcome,
        }
    })
}

/// Whether the session says who asks.
async fn by_session(ex: &mut Exchange, conf: &FormDir) -> Result<(), Outcome> {
    session::load(ex).await;
    let [user, password, mark] = of_session(ex);
    let Some(user) = user else { return Err(Outcome::Status(401)) };
    ex.user = Some(user.clone());
    let Some(password) = password else { return Err(Outcome::Status(401)) };
    let marked = mark.zip(conf.site.as_ref());
    let marked = marked.is_some_and(|(mark, site)| same(&mark, &md5_hex(&[&*user, b":", site].concat())));
    if !marked {
        verify(ex, conf, &user, &password).await?;
    }
    fake(ex, conf, &user, &password);
    Ok(())
}

/// Lets somebody in who sent the form to the very page: what follows is the request that was meant, or a redirect.
async fn by_form(ex: &mut Exchange, conf: &FormDir, read: Result<Vec<u8>, Outcome>) -> Outcome {
    let fields = match read {
        Ok(text) => Fields::read(ex, conf, &text),
        Err(outcome) => return outcome,
    };
    let (user, password, location, asked) = match fields {
        Fields { user: Some(user), password: Some(password), location, asked } => (user, password, location, asked),
        fields => return fields.missing(ex, conf),
    };
    ex.user = Some(user.clone());
    if let Err(outcome) = verify(ex, conf, &user, &password).await {
        return outcome;
    }
    fake(ex, conf, &user, &password);
    remember(ex, Some(&user), Some(&password), conf.site.as_deref()).await;
    if let Some(outcome) = onward(ex, conf, location) {
        return outcome;
    }
    resume(ex, asked);
    Outcome::Ok
}

/// The request goes on as the one that the form stands for: what of it the form says, or with no body.
fn resume(ex: &mut Exchange, asked: Asked) {
    let other = asked.method.as_ref().is_some_and(|method| *method != ex.method);
    let body = match asked {
        Asked { method: Some(method), mimetype: Some(mimetype), body: Some(body) } => {
            ex.method = method;
            ex.headers_in.set(b"Content-Type", &mimetype);
            body
        }
        _ => {
            if other {
                ex.handler = UNTOLD.to_vec();
            }
            Vec::new()
        }
    };
    if other {
        // Another request for the path, which has no query.
        ex.args = None;
    }
    aside::replay(ex, body);
}

/// Where whoever has logged in goes next.
fn onward(ex: &mut Exchange, conf: &FormDir, location: Option<Vec<u8>>) -> Option<Outcome> {
    if let Some(location) = location {
        ex.headers_out.set(b"Location", &location);
        return Some(Outcome::Status(302));
    }
    let success = conf.success.as_deref()?;
    Some(redirect(ex, success, 302, "AH02339: Can't evaluate login success expression"))
}

fn redirect(ex: &mut Exchange, to: &Template, status: u16, wrong: &str) -> Outcome {
    let mut text = Vec::new();
    match to.eval(&*ex, &mut Scratch::default(), &mut text) {
        Ok(()) => {
            ex.headers_out.set(b"Location", &text);
            Outcome::Status(status)
        }
        Err(error) => {
            logs::error!(ex, Level::Error, "auth_form", "{wrong}: {error}");
            Outcome::Status(500)
        }
    }
}

/// Nobody has logged in: the page that asks for it.
fn not_yet(ex: &mut Exchange, conf: &FormDir) -> Outcome {
    if let Some(required) = &conf.required {
        return redirect(ex, required, 302, "AH02340: Can't evaluate login required expression");
    }
    if conf.store != Some(true) {
        ex.err_headers_out.set(b"Cache-Control", b"no-store");
    }
    Outcome::Status(401)
}

/// Whether the providers know this user and password.
async fn verify(ex: &mut Exchange, conf: &FormDir, user: &[u8], password: &[u8]) -> Result<(), Outcome> {
    let reply = authn_core::ask(ex, conf.providers.clone(), user, None, Some(password)).await;
    let (shown, uri) = (Bytes(user), Bytes(&ex.uri));
    match reply.answer {
        Answer::Granted => Ok(()),
        Answer::Denied => {
            let text = format!("AH01807: user '{shown}': authentication failure for \"{uri}\": password Mismatch");
            logs::error!(ex, Level::Error, "auth_form", "{text}");
            Err(Outcome::Status(401))
        }
        Answer::NotFound if conf.authoritative == Some(false) => Err(Outcome::Declined),
        Answer::NotFound => {
            logs::error!(ex, Level::Error, "auth_form", "AH01808: user '{shown}' not found: {uri}");
            Err(Outcome::Status(401))
        }
        Answer::Failed => Err(Outcome::Status(500)),
    }
}

/// Tells the rest of the server, as the Basic scheme would.
fn fake(ex: &mut Exchange, conf: &FormDir, user: &[u8], password: &[u8]) {
    if conf.fake == Some(true) {
        let text = base64::engine::general_purpose::STANDARD.encode([user, b":", password].concat());
        ex.headers_in.set(b"Authorization", format!("Basic {text}").as_bytes());
    }
}

/// `form-login-handler` and `form-logout-handler`.
fn handle<'a>(ex: &'a mut Exchange, wire: &'a mut dyn Wire) -> Waiting<'a> {
    match ex.handler.as_slice() {
        b"form-login-handler" => Box::pin(log_in(ex, wire)),
        b"form-logout-handler" => Box::pin(log_out(ex)),
        UNTOLD => {
            let text = "AH01813: internal redirect requested but one or all of method, mimetype or body are NULL:";
            logs::error!(ex, Level::Error, "auth_form", "{text} {}", Bytes(&ex.uri));
            Box::pin(std::future::ready(Outcome::Status(500)))
        }
        _ => crate::pipe::declined(),
    }
}

async fn log_in(ex: &mut Exchange, wire: &mut dyn Wire) -> Outcome {
    if ex.method != b"POST" {
        let text = "AH01811: the form-login-handler only supports the POST method for";
        logs::error!(ex, Level::Error, "auth_form", "{text} {}", Bytes(&ex.uri));
        return Outcome::Status(405);
    }
    let conf = conf(ex);
    let text = match crate::pipe::whole_body(ex, wire, conf.size.unwrap_or(SIZE)).await {
        Ok(text) => text,
        Err(outcome) => return outcome,
    };
    let fields = Fields::read(ex, &conf, &text);
    let outcome = match fields {
        Fields { user: Some(user), password: Some(password), location, .. } => {
            ex.user = Some(user.clone());
            match verify(ex, &conf, &user, &password).await {
                Ok(()) => {
                    remember(ex, Some(&user), Some(&password), conf.site.as_deref()).await;
                    return onward(ex, &conf, location).unwrap_or(Outcome::Status(200));
                }
                Err(outcome) => outcome,
            }
        }
        fields => fields.missing(ex, &conf),
    };
    match (outcome, &conf.required) {
        (Outcome::Status(401), Some(required)) => {
            redirect(ex, required, 302, "AH02342: Can't evaluate login required expression")
        }
        (outcome, _) => outcome,
    }
}

async fn log_out(ex: &mut Exchange) -> Outcome {
    let conf = conf(ex);
    remember(ex, None, None, None).await;
    // Whoever has it in a cache would not log out.
    ex.headers_out.set(b"Cache-Control", b"no-store");
    ex.err_headers_out.set(b"Cache-Control", b"no-store");
    match &conf.logout {
        Some(logout) => redirect(ex, logout, 307, "AH02343: Can't evaluate logout expression"),
        None => Outcome::Status(200),
    }
}

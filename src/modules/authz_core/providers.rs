//! What can stand behind `Require`: one row a provider, whichever module brings it.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Node, Verdict};
use crate::config::{Cmd, get_word, latin1};
use crate::expr::{Expr, Scratch, Template};
use crate::logs::{self, Level};
use crate::modules::{authz_groupfile, authz_host, authz_owner, authz_user, ssl};
use crate::web::Exchange;

/// A requirement, ready to be asked.
pub trait Need: Send + Sync {
    /// Does it hold?
    fn check(&self, ex: &Exchange) -> Verdict;

    /// Whether [`Self::names`] or the client's name must be known before.
    fn looks_up(&self) -> bool {
        false
    }

    /// Host names whose addresses must be known before; none when it is the client's own name that is asked for.
    fn names(&self, _ex: &Exchange) -> Vec<String> {
        Vec::new()
    }
}

/// A requirement as read.
pub struct Parsed {
    /// The requirement.
    pub need: Arc<dyn Need>,
    /// `provider words` for the log.
    pub shown: Arc<str>,
}

/// Reads the words of a provider; the error is httpd's text.
pub type Parse = fn(&Cmd<'_>, &[u8]) -> Result<Arc<dyn Need>, String>;

struct Provider {
    name: &'static str,
    module: &'static str,
    parse: Parse,
}

const fn provider(name: &'static str, module: &'static str, parse: Parse) -> Provider {
    Provider { name, module, parse }
}

/// Every provider with the module that must be loaded for it.
const PROVIDERS: &[Provider] = &[
    provider("all", "authz_core_module", all),
    provider("env", "authz_core_module", env),
    provider("method", "authz_core_module", method),
    provider("expr", "authz_core_module", expr),
    provider("ip", "authz_host_module", authz_host::ip),
    provider("host", "authz_host_module", authz_host::host),
    provider("forward-dns", "authz_host_module", authz_host::forward_dns),
    provider("local", "authz_host_module", authz_host::local),
    provider("user", "authz_user_module", authz_user::user),
    provider("valid-user", "authz_user_module", authz_user::valid_user),
    provider("group", "authz_groupfile_module", authz_groupfile::group),
    provider("file-group", "authz_groupfile_module", authz_groupfile::file_group),
    provider("file-owner", "authz_owner_module", authz_owner::file_owner),
    provider("dbm-group", "authz_dbm_module", unavailable),
    provider("dbm-file-group", "authz_dbm_module", unavailable),
    provider("dbd-group", "authz_dbd_module", unavailable),
    provider("dbd-login", "authz_dbd_module", unavailable),
    provider("dbd-logout", "authz_dbd_module", unavailable),
    provider("ldap-user", "authnz_ldap_module", unavailable),
    provider("ldap-group", "authnz_ldap_module", unavailable),
    provider("ldap-dn", "authnz_ldap_module", unavailable),
    provider("ldap-attribute", "authnz_ldap_module", unavailable),
    provider("ldap-filter", "authnz_ldap_module", unavailable),
    provider("ldap-search", "authnz_ldap_module", unavailable),
    provider("ssl", "ssl_module", ssl::require_ssl),
    provider("ssl-verify-client", "ssl_module", ssl::require_verified),
];

/// Every provider, and the module that brings it.
pub fn names() -> Vec<(&'static str, &'static str)> {
    PROVIDERS.iter().map(|row| (row.name, row.module)).collect()
}

/// The requirement that `name` and `words` make.
pub fn parse(cmd: &Cmd<'_>, name: &[u8], words: &[u8]) -> Result<Parsed, String> {
    let shown = || format!("{} {}", latin1(name), latin1(words)).into();
    if let Some(need) = super::alias_of(cmd, name) {
        return Ok(Parsed { need, shown: shown() });
    }
    let row = PROVIDERS
        .iter()
        .find(|row| row.name.as_bytes() == name && cmd.globals.modules.contains(&row.module))
        .ok_or_else(|| format!("Unknown Authz provider: {}", latin1(name)))?;
    Ok(Parsed { need: (row.parse)(cmd, words)?, shown: shown() })
}

/// A provider of a module that does not work here yet: lets nobody in and says so.
struct Unavailable;

impl Need for Unavailable {
    fn check(&self, ex: &Exchange) -> Verdict {
        logs::error!(ex, Level::Error, "authz_core", "this authorization provider is not available here");
        Verdict::Error
    }
}

fn unavailable(_: &Cmd<'_>, _: &[u8]) -> Result<Arc<dyn Need>, String> {
    Ok(Arc::new(Unavailable))
}

struct All(bool);

impl Need for All {
    fn check(&self, _: &Exchange) -> Verdict {
        if self.0 { Verdict::Granted } else { Verdict::Denied }
    }
}

fn all(_: &Cmd<'_>, words: &[u8]) -> Result<Arc<dyn Need>, String> {
    let granted = match words.trim_ascii_end() {
        word if word.eq_ignore_ascii_case(b"granted") => true,
        word if word.eq_ignore_ascii_case(b"denied") => false,
        _ => return Err("Argument for 'Require all' must be 'granted' or 'denied'".to_owned()),
    };
    Ok(Arc::new(All(granted)))
}

/// The words of a requirement's text.
pub fn words(mut text: &[u8]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    while !text.is_empty() {
        let (word, rest) = get_word(text);
        if word.is_empty() && rest.len() == text.len() {
            break;
        }
        out.push(word);
        text = rest;
    }
    out
}

struct Env(Vec<Vec<u8>>);

impl Need for Env {
    fn check(&self, ex: &Exchange) -> Verdict {
        if self.0.iter().any(|name| ex.env.contains(name)) { Verdict::Granted } else { Verdict::Denied }
    }
}

fn env(_: &Cmd<'_>, text: &[u8]) -> Result<Arc<dyn Need>, String> {
    Ok(Arc::new(Env(words(text))))
}

struct Method(Vec<Vec<u8>>);

impl Need for Method {
    fn check(&self, ex: &Exchange) -> Verdict {
        // HEAD is GET here, too.
        let method: &[u8] = if ex.method == b"HEAD" { b"GET" } else { &ex.method };
        if self.0.iter().any(|named| named == method) { Verdict::Granted } else { Verdict::Denied }
    }
}

fn method(cmd: &Cmd<'_>, text: &[u8]) -> Result<Arc<dyn Need>, String> {
    let mut methods = words(text);
    for method in &mut methods {
        let registered = || {
            let process = cmd.globals.conf.get::<crate::config::core::CoreProcess>();
            process.is_some_and(|process| process.methods.contains(method))
        };
        if !crate::codec::http1::head::is_known_method(method) && !registered() {
            return Err(format!("Invalid Method '{}'", latin1(method)));
        }
        if method == b"HEAD" {
            *method = b"GET".to_vec();
        }
    }
    Ok(Arc::new(Method(methods)))
}

struct Condition(Arc<Expr>);

impl Need for Condition {
    fn check(&self, ex: &Exchange) -> Verdict {
        let mut scratch = Scratch::default();
        match self.0.eval(ex, &mut scratch) {
            Ok(true) => Verdict::Granted,
            Ok(false) => Verdict::Denied,
            Err(error) => {
                logs::error!(
                    ex,
                    Level::Error,
                    "authz_core",
                    "AH02320: Failed to evaluate expression in Require: {error}"
                );
                Verdict::Error
            }
        }
    }
}

fn expr(cmd: &Cmd<'_>, text: &[u8]) -> Result<Arc<dyn Need>, String> {
    // Quotes around the whole expression are the configuration's, not the expression's.
    let quoted = matches!(text.trim_ascii().first(), Some(b'"' | b'\''));
    let (word, rest) = get_word(text);
    let text = if quoted && rest.is_empty() { &word } else { text };
    let condition = cmd.condition(text).map_err(|why| format!("Cannot parse expression in require line: {why}"))?;
    Ok(Arc::new(Condition(condition)))
}

/// Words with `%{…}` in them, which are as good as constant for most configurations.
pub enum Text {
    /// The same for every request.
    Words(Vec<Vec<u8>>),
    /// With variables.
    Template(Arc<Template>),
}

impl Text {
    /// Reads the text behind the provider's name.
    pub fn parse(cmd: &Cmd<'_>, text: &[u8]) -> Result<Self, String> {
        let template = cmd.template(text);
        let template = template.map_err(|why| format!("Cannot parse expression in require line: {why}"))?;
        Ok(match template.constant() {
            Some(text) => Self::Words(words(text)),
            None => Self::Template(template),
        })
    }

    /// Its words for this request.
    pub fn words(&self, ex: &Exchange) -> Cow<'_, [Vec<u8>]> {
        let template = match self {
            Self::Words(words) => return words.into(),
            Self::Template(template) => template,
        };
        let mut out = Vec::new();
        match template.eval(ex, &mut Scratch::default(), &mut out) {
            Ok(()) => words(&out).into(),
            Err(error) => {
                logs::error!(
                    ex,
                    Level::Error,
                    "authz_core",
                    "AH02592: authz: Failed to evaluate require expression: {error}"
                );
                Cow::default()
            }
        }
    }
}

/// Looks up the names that the requirements ask for, so that [`Need::check`] finds them in the exchange.
pub async fn look_up(ex: &mut Exchange, top: &Node) {
    let (mut client, mut names) = (false, Vec::new());
    top.needs(&mut |need| {
        if need.looks_up() {
            let wanted = need.names(ex);
            client |= wanted.is_empty();
            names.extend(wanted);
        }
    });
    authz_host::resolve(ex, client, names).await;
}

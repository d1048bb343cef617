//! What can stand behind `Require`: one row a provider, whichever module brings it.

use std::sync::Arc;

use super::Node;
use crate::config::{Cmd, Slots, get_word, latin1};
use crate::expr::{Expr, Scratch};
use crate::logs::{self, Level};
use crate::modules::{authnz_fcgi, authz_dbm, authz_groupfile, authz_host, authz_owner, authz_user, ssl};
use crate::pipe::authz::{Need, Parse, Verdict, words};
use crate::web::Exchange;

/// A requirement as read.
pub struct Parsed {
    /// The requirement.
    pub need: Arc<dyn Need>,
    /// The values of the alias by which it is asked.
    pub values: Option<Arc<Slots>>,
    /// `provider words` for the log.
    pub shown: Arc<str>,
}

/// What may stand behind `Require`.
pub struct Provider {
    /// Its name.
    pub name: &'static str,
    /// The module that must be loaded for it.
    pub module: &'static str,
    /// Reads its words; none: not carried out here, the server does not start with it.
    pub parse: Option<Parse>,
}

const fn provider(name: &'static str, module: &'static str, parse: Parse) -> Provider {
    Provider { name, module, parse: Some(parse) }
}

const fn refused(name: &'static str, module: &'static str) -> Provider {
    Provider { name, module, parse: None }
}

/// Every provider with the module that must be loaded for it.
pub const PROVIDERS: &[Provider] = &[
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
    provider("dbm-group", "authz_dbm_module", authz_dbm::group),
    provider("dbm-file-group", "authz_dbm_module", authz_dbm::file_group),
    refused("dbd-group", "authz_dbd_module"),
    refused("dbd-login", "authz_dbd_module"),
    refused("dbd-logout", "authz_dbd_module"),
    refused("ldap-user", "authnz_ldap_module"),
    refused("ldap-group", "authnz_ldap_module"),
    refused("ldap-dn", "authnz_ldap_module"),
    refused("ldap-attribute", "authnz_ldap_module"),
    refused("ldap-filter", "authnz_ldap_module"),
    refused("ldap-search", "authnz_ldap_module"),
    provider("ssl", "ssl_module", ssl::require_ssl),
    provider("ssl-verify-client", "ssl_module", ssl::require_verified),
];

/// Every provider, and the module that brings it.
pub fn names() -> Vec<(&'static str, &'static str)> {
    PROVIDERS.iter().map(|row| (row.name, row.module)).collect()
}

/// The requirement that `name` and `words` make.
pub fn parse(cmd: &mut Cmd<'_>, name: &[u8], words: &[u8]) -> Result<Parsed, String> {
    let shown = || format!("{} {}", latin1(name), latin1(words)).into();
    if let Some(alias) = super::alias_of(cmd, name) {
        return Ok(Parsed { need: alias.need.clone(), values: Some(alias.values.clone()), shown: shown() });
    }
    if authnz_fcgi::lets_in(cmd, name) {
        return Ok(Parsed { need: authnz_fcgi::require(name, words)?, values: None, shown: shown() });
    }
    let row = find(cmd, name).ok_or_else(|| format!("Unknown Authz provider: {}", latin1(name)))?;
    let need = match row.parse {
        Some(parse) => parse(cmd, words)?,
        None => {
            cmd.refused = true;
            cmd.refused_words = Some(row.name.to_owned());
            Arc::new(All(false))
        }
    };
    Ok(Parsed { need, values: None, shown: shown() })
}

fn find(cmd: &Cmd<'_>, name: &[u8]) -> Option<&'static Provider> {
    PROVIDERS.iter().find(|row| row.name.as_bytes() == name && cmd.globals.modules.contains(&row.module))
}

struct All(bool);

impl Need for All {
    fn check(&self, _: &Exchange, _: &Slots) -> Verdict {
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

struct Env(Vec<Vec<u8>>);

impl Need for Env {
    fn check(&self, ex: &Exchange, _: &Slots) -> Verdict {
        if self.0.iter().any(|name| ex.env.contains(name)) { Verdict::Granted } else { Verdict::Denied }
    }
}

fn env(_: &Cmd<'_>, text: &[u8]) -> Result<Arc<dyn Need>, String> {
    Ok(Arc::new(Env(words(text))))
}

struct Method(Vec<Vec<u8>>);

impl Need for Method {
    fn check(&self, ex: &Exchange, _: &Slots) -> Verdict {
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

struct Condition {
    expr: Arc<Expr>,
    /// It asks who the user is: where it does not hold, it may once that is known.
    of_user: bool,
}

thread_local! {
    /// Request fields that conditions asked for.
    static ASKED: std::cell::RefCell<Vec<Vec<u8>>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Says in `Vary` what the conditions asked for since this was said last.
pub(super) fn vary(ex: &mut Exchange) {
    for name in ASKED.take() {
        if !crate::pipe::has_token(ex.headers_out.get_all(b"Vary"), &name) {
            ex.headers_out.merge(b"Vary", &name);
        }
    }
}

impl Need for Condition {
    fn check(&self, ex: &Exchange, _: &Slots) -> Verdict {
        let mut scratch = Scratch::default();
        let told = self.expr.eval(ex, &mut scratch);
        ASKED.with_borrow_mut(|asked| asked.append(&mut scratch.take_vary()));
        match told {
            Ok(true) => Verdict::Granted,
            Ok(false) if self.of_user => Verdict::DeniedNoUser,
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
    let of_user = memchr::memmem::find(text, b"%{REMOTE_USER}").is_some();
    Ok(Arc::new(Condition { expr: condition, of_user }))
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

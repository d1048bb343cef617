//! Who may come in: by TLS at all, by conditions about it, by certificate.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::conf::{SslServer, Verify};
use super::dir::{SslDir, option};
use super::ocsp::write_line;
use crate::codec::x509::{self, NameStyle};
use crate::config::{Cmd, Slots};
use crate::logs::{self, Bytes, Level};
use crate::net::verify::{Clients, fault_line};
use crate::pipe::authz::{Need, Verdict};
use crate::pipe::{self, Outcome};
use crate::web::{Exchange, Secure};

/// Noted of a request that TLS forbids, for `SSLOptions StrictRequire`.
const FORBIDDEN: &[u8] = b"ssl-access-forbidden";

fn forbid(ex: &mut Exchange, reason: &str) -> Outcome {
    ex.notes.set(FORBIDDEN, b"1");
    logs::error!(
        ex,
        Level::Error,
        "ssl",
        "{}: access to {} failed, reason: {reason}",
        if reason.starts_with("SSL connection") { "AH02219" } else { "AH02229" },
        Bytes(&ex.filename)
    );
    Outcome::Status(403)
}

/// `SSLVerifyClient`, `SSLVerifyDepth` and `SSLCipherSuite` of sections. httpd shakes hands again for them; here it is
/// judged what the one handshake has brought, which such sections have made to ask for certificates.
fn ask_client(ex: &Exchange, tls: &Secure, conf: &SslDir) -> Result<(), u16> {
    if conf.ciphers.as_ref().is_some_and(|list| tls.protocol == "TLSv1.2" && !list.contains(&tls.cipher)) {
        logs::error!(ex, Level::Error, "ssl", "AH02261: Re-negotiation handshake failed");
        return Err(403);
    }
    if conf.verify.is_none() && conf.depth.is_none() {
        return Ok(());
    }
    let of_server = ex.server().get::<SslServer>().map(|server| &server.auth);
    let verify = conf.verify.or_else(|| of_server?.verify).unwrap_or_default();
    if verify == Verify::None {
        return Ok(());
    }
    let depth = conf.depth.or_else(|| of_server?.depth).unwrap_or(1);
    let brought = tls.peer.brought();
    if brought.is_empty() {
        if verify != Verify::Require {
            return Ok(());
        }
        logs::error!(ex, Level::Error, "ssl", "AH02263: Re-negotiation handshake failed: Client certificate missing");
        return Err(403);
    }
    let judge = tls.judge.as_deref().and_then(|judge| judge.downcast_ref::<Clients>());
    let Some(judge) = judge else { return Err(403) };
    match tls.peer.judged(depth, || judge.fault(brought, depth)) {
        Some(fault) if !(fault.stranger && verify == Verify::OptionalNoCa) => {
            write_line(ex, &fault_line(&fault, depth));
            logs::error!(
                ex,
                Level::Error,
                "ssl",
                "AH02262: Re-negotiation handshake failed: Client verification failed"
            );
            Err(403)
        }
        _ => {
            tls.peer.show();
            Ok(())
        }
    }
}

/// `SSLRequireSSL`, `SSLVerifyClient` of sections, `SSLRequire`, `SSLUserName`.
pub(super) fn check(ex: &mut Exchange) -> Outcome {
    let chain = ex.chain.clone();
    let Some(conf) = chain.dir.get::<SslDir>() else { return Outcome::Declined };
    let conn = ex.conn.clone();
    let Some(tls) = conn.tls.get() else {
        return if conf.require_ssl { forbid(ex, "SSL connection required") } else { Outcome::Declined };
    };
    if let Err(status) = ask_client(ex, tls, conf) {
        return Outcome::Status(status);
    }
    // The faked user is set by who checks passwords.
    if let Some(name) = conf.user_name.as_ref().filter(|_| !conf.has(option::FAKE_BASIC_AUTH)) {
        let mut user = Vec::new();
        if pipe::ssl_var(ex, name, &mut user) {
            ex.user = Some(user);
            ex.auth_type = Some("ClientCert");
        } else {
            logs::error!(ex, Level::Warn, "ssl", "AH02227: Failed to set r->user to '{}'", Bytes(name));
        }
    }
    for (condition, text) in &conf.requires {
        match pipe::holds(ex, condition) {
            Ok(true) => {}
            Ok(false) => {
                logs::error!(
                    ex,
                    Level::Info,
                    "ssl",
                    "AH02266: Access to {} denied for {} (requirement expression not fulfilled)",
                    Bytes(&ex.filename),
                    Bytes(&ex.client_ip)
                );
                logs::error!(ex, Level::Info, "ssl", "AH02228: Failed expression: {text}");
                return forbid(ex, "SSL requirement expression not fulfilled");
            }
            Err(error) => {
                logs::error!(
                    ex,
                    Level::Error,
                    "ssl",
                    "AH02265: access to {} failed, reason: Failed to execute SSL requirement expression: {error}",
                    Bytes(&ex.filename)
                );
                ex.notes.set(FORBIDDEN, b"1");
                return Outcome::Status(403);
            }
        }
    }
    Outcome::Declined
}

/// The user and the password of an `Authorization` field.
fn credentials(ex: &Exchange) -> Option<(Vec<u8>, Vec<u8>)> {
    let field = ex.headers_in.get(b"Authorization")?;
    let at = memchr::memchr(b' ', field)?;
    let (scheme, rest) = field.split_at(at);
    if !scheme.eq_ignore_ascii_case(b"Basic") {
        return None;
    }
    let text = STANDARD.decode(rest.trim_ascii()).ok()?;
    let colon = memchr::memchr(b':', &text)?;
    Some((text.get(..colon)?.to_vec(), text.get(colon + 1..)?.to_vec()))
}

/// Keeps strict requirements, and `SSLOptions FakeBasicAuth`.
pub(super) fn authenticate(ex: &mut Exchange) -> Outcome {
    let chain = ex.chain.clone();
    let conf = chain.dir.get::<SslDir>();
    let has = |option| conf.is_some_and(|conf| conf.has(option));
    if has(option::STRICT_REQUIRE) && ex.notes.contains(FORBIDDEN) {
        return Outcome::Status(403);
    }
    if ex.sub_depth > 0 {
        return Outcome::Declined;
    }
    // Nobody may claim a certificate's name by typing it.
    if let Some((user, _)) = credentials(ex).filter(|(user, word)| user.first() == Some(&b'/') && word == b"password") {
        logs::error!(ex, Level::Error, "ssl", "AH02035: Encountered FakeBasicAuth spoof: {}", Bytes(&user));
        return Outcome::Status(403);
    }
    if !has(option::FAKE_BASIC_AUTH) || ex.user.is_some() {
        return Outcome::Declined;
    }
    let conn = ex.conn.clone();
    let Some(cert) = conn.tls.get().and_then(|tls| tls.peer.certs().first()) else { return Outcome::Declined };
    let mut name = Vec::new();
    x509::push_part(cert, b"S_DN", NameStyle::Legacy, 0, &mut name);
    name.extend_from_slice(b":password");
    let field = format!("Basic {}", STANDARD.encode(name));
    ex.headers_in.set(b"Authorization", field.as_bytes());
    logs::error!(ex, Level::Info, "ssl", "AH02036: Faking HTTP Basic Auth header: \"Authorization: {field}\"");
    Outcome::Declined
}

/// Whether `SSLOptions StdEnvVars` and the like ask for anything.
pub(super) fn wanted_vars(ex: &Exchange) -> (bool, bool) {
    let conf = ex.dir::<SslDir>();
    let has = |option| conf.is_some_and(|conf| conf.has(option));
    (has(option::STD_ENV_VARS), has(option::EXPORT_CERT_DATA))
}

struct Tls;

impl Need for Tls {
    fn check(&self, ex: &Exchange, _: &Slots) -> Verdict {
        if ex.conn.tls.get().is_some() { Verdict::Granted } else { Verdict::Denied }
    }
}

struct Verified;

impl Need for Verified {
    fn check(&self, ex: &Exchange, _: &Slots) -> Verdict {
        let good = ex.conn.tls.get().is_some_and(|tls| !tls.peer.certs().is_empty() && tls.peer.fault().is_none());
        if good { Verdict::Granted } else { Verdict::Denied }
    }
}

fn bare(words: &[u8], name: &str) -> Result<(), String> {
    if words.trim_ascii().is_empty() { Ok(()) } else { Err(format!("'Require {name}' does not take arguments")) }
}

/// `Require ssl`.
pub fn require_ssl(_: &Cmd<'_>, words: &[u8]) -> Result<Arc<dyn Need>, String> {
    bare(words, "ssl").map(|()| Arc::new(Tls) as _)
}

/// `Require ssl-verify-client`.
pub fn require_verified(_: &Cmd<'_>, words: &[u8]) -> Result<Arc<dyn Need>, String> {
    bare(words, "ssl-verify-client").map(|()| Arc::new(Verified) as _)
}

//! Its parts in the phases of a request.

use super::access;
use super::conf::{SniPolicy, SslProcess, SslServer, setup_of};
use super::dir::SslDir;
use crate::config::{Server, Slots};
use crate::logs::{self, Bytes, Level};
use crate::pipe::{self, Hook, Outcome, Phase, Run};
use crate::web::Exchange;

/// All of them.
pub(super) const HOOKS: &[Hook] = &[
    Hook { phase: Phase::PostRead, order: 0, wants: any_tls, run: Run::Now(read_request) },
    Hook {
        phase: Phase::Access,
        order: 0,
        wants: |_, dir| dir.get::<SslDir>().is_some(),
        run: Run::Now(access::check),
    },
    Hook { phase: Phase::Authn, order: -10, wants: any_tls, run: Run::Now(access::authenticate) },
    Hook { phase: Phase::Fixups, order: 0, wants: any_tls, run: Run::Now(set_vars) },
];

/// Whether any server speaks TLS.
fn any_tls(server: &Server, _: &Slots) -> bool {
    server.get::<SslServer>().is_some_and(|conf| conf.setup.is_some())
}

/// Whether the server that the request names may answer on a connection that another one's handshake opened.
fn read_request(ex: &mut Exchange) -> Outcome {
    let Some(tls) = ex.conn.tls.get() else { return Outcome::Declined };
    let generation = &ex.live.generation;
    let default = ex.conn.default_server.get();
    let names = generation.select.names(ex.conn.local);
    let strict = |at: usize| {
        let conf = generation.servers.get(at).and_then(Server::get::<SslServer>);
        conf.and_then(|conf| conf.strict_sni).unwrap_or(false)
    };
    if tls.sni.is_none() && names.is_some() && (strict(ex.server) || strict(default)) {
        logs::error!(ex, Level::Info, "ssl", "AH02033: No hostname was provided via SNI for a name based virtual host");
        let reason = "Reason: The client software did not provide a hostname using Server Name Indication (SNI), which \
                      is required to access this server.<br />\n";
        ex.notes.set(b"error-notes", reason.as_bytes());
        return Outcome::Status(403);
    }
    if let Some(sni) = tls.sni.as_deref().filter(|_| ex.hostname.is_empty()) {
        let text = "provided via SNI, but no hostname provided in HTTP request";
        logs::error!(ex, Level::Error, "ssl", "AH02031: Hostname {} {text}", Bytes(sni));
        return Outcome::Status(400);
    }
    let shaken = tls.sni.as_deref().and_then(|sni| names.and_then(|names| names.find(sni))).unwrap_or(default);
    let ours = ex.server().get::<SslServer>().and_then(|conf| conf.setup.as_deref());
    let theirs = tls.setup.as_deref().and_then(setup_of);
    if shaken == ex.server {
        let both = ours.zip(theirs).filter(|(ours, theirs)| !std::ptr::eq(*ours, *theirs));
        if both.is_none_or(|(ours, theirs)| ours.agrees(theirs, SniPolicy::AuthOnly)) {
            return Outcome::Declined;
        }
        // A reload has come between: what is asked of clients now, this one was not asked.
        let text = "clients are checked otherwise than when this connection was opened, it ends";
        logs::error!(ex, Level::Info, "ssl", "{text}");
        ex.conn.ending.set(true);
        return Outcome::Status(421);
    }
    let policy = generation.globals.conf.get::<SslProcess>().and_then(|process| process.policy).unwrap_or_default();
    let agree = ours.zip(theirs).is_some_and(|(ours, theirs)| ours.agrees(theirs, policy));
    if policy == SniPolicy::Insecure || (agree && policy != SniPolicy::Strict) {
        return Outcome::Declined;
    }
    let name = |at: usize| generation.servers.get(at).and_then(|server| server.rec.name.as_deref()).unwrap_or_default();
    let host = if ex.hostname.is_empty() { name(ex.server) } else { &ex.hostname };
    let how = policy.word();
    match tls.sni.as_deref() {
        Some(sni) => logs::error!(
            ex,
            Level::Error,
            "ssl",
            "AH02032: Hostname {} provided via SNI and hostname {} provided via HTTP have no compatible SSL setup for \
             policy '{how}'",
            Bytes(sni),
            Bytes(host)
        ),
        None => logs::error!(
            ex,
            Level::Error,
            "ssl",
            "AH02032: Hostname {} (default host as no SNI was provided) and hostname {} provided via HTTP have no \
             compatible SSL setup for policy '{how}'",
            Bytes(name(default)),
            Bytes(host)
        ),
    }
    Outcome::Status(421)
}

/// `HTTPS` and what else TLS leaves in the environment.
fn set_vars(ex: &mut Exchange) -> Outcome {
    let conn = ex.conn.clone();
    let Some(tls) = conn.tls.get() else { return Outcome::Declined };
    ex.env.set(b"HTTPS", b"on");
    if let Some(sni) = &tls.sni {
        ex.env.set(b"SSL_TLS_SNI", sni);
    }
    let (standard, certificates) = access::wanted_vars(ex);
    if standard || certificates {
        pipe::tls::set_vars(ex, standard, certificates);
    }
    Outcome::Declined
}

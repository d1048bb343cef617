//! CONNECT: bytes both ways between a client and whom it names.

use std::sync::Arc;
use std::time::Duration;

use super::block;
use super::dial::{DialError, Setup, Tried};
use super::link::{Link, Slot};
use super::respond::{forget_error, proxy_error};
use super::spec::{Policy, Remote, Scheme, WorkerSpec, status};
use super::tunnel::{self, End};
use super::worker::{Worker, WorkerState};
use super::{dial, pool};
use crate::base::addr::HostPort;
use crate::logs::{self, Errno, Level};
use crate::pipe::{self, Outcome};
use crate::web::{Exchange, Wire};

const MODULE: &str = "proxy_connect";

/// Connects the client to the `host:port` in `ex.filename`, through the remote proxies that are meant for it: what one
/// of them does not take is tried directly. `allowed` are the ports that it may lead to, as ranges.
pub async fn connect(
    ex: &mut Exchange,
    wire: &mut dyn Wire,
    policy: &Policy,
    remotes: &[Arc<Remote>],
    allowed: &[(u16, u16)],
) -> Outcome {
    let place = ex.filename.get(6..).unwrap_or_default().to_vec();
    let parsed = HostPort::parse(&place).ok().and_then(|at| Some((at.host?.to_vec(), at.port?)));
    let Some((host, port)) = parsed else {
        let reason = format!("URI cannot be parsed: {}", String::from_utf8_lossy(&place));
        return proxy_error(ex, 400, &reason);
    };
    let host = crate::config::latin1(&host);
    for remote in remotes.iter().filter(|remote| remote.rule.fits(&place)) {
        let hop = Hop { host: &remote.host, port: remote.port, is_remote: true };
        match through(ex, wire, policy, &hop, (&host, port), allowed).await {
            None => {}
            Some(Outcome::Status(502)) => forget_error(ex),
            Some(outcome) => return outcome,
        }
    }
    let hop = Hop { host: &host, port, is_remote: false };
    through(ex, wire, policy, &hop, (&host, port), allowed).await.unwrap_or(Outcome::Status(503))
}

/// Whom the connection is made to.
struct Hop<'a> {
    host: &'a str,
    port: u16,
    /// It is asked to connect on.
    is_remote: bool,
}

/// Connects and carries bytes; `None` if nobody answers there.
async fn through(
    ex: &mut Exchange,
    wire: &mut dyn Wire,
    policy: &Policy,
    hop: &Hop<'_>,
    (host, port): (&str, u16),
    allowed: &[(u16, u16)],
) -> Option<Outcome> {
    let spec = WorkerSpec::new(String::new(), Scheme::Other, hop.host.to_owned(), hop.port);
    let worker = Worker::new(spec, Arc::new(WorkerState::new(status::IGNORE_ERRORS)));
    if pool::resolve(&worker).await.is_err() {
        let name = hop.host;
        logs::error!(ex, Level::Error, MODULE, Errno::NO_NAME => "AH02327: failed to resolve hostname '{name}'");
        return Some(proxy_error(ex, 502, &format!("DNS lookup failure for: {name}")));
    }
    let known = worker.state.addresses.load_full();
    let addresses: Vec<_> = match &known {
        Some(known) if !hop.is_remote => known.list.iter().map(|addr| addr.ip()).collect(),
        _ => Vec::new(),
    };
    if block::is_blocked(ex, &policy.blocked, host, &addresses)
        || !allowed.iter().any(|(low, high)| (*low..=*high).contains(&port))
    {
        return Some(block::refused(ex));
    }
    let timeout = pool::io_timeout(ex, &worker, policy);
    let stream = match dial::dial(&worker, Setup::new(&worker.spec, policy, timeout)).await {
        Ok(stream) => stream,
        Err(error) => {
            log_refused(ex, hop.host, &error);
            return None;
        }
    };
    let slot = Slot::reserve(&worker.state, 0)?;
    let link = Link::new(stream, pool::home(), slot);
    Some(carry(ex, wire, link, hop.is_remote, timeout).await)
}

fn log_refused(ex: &Exchange, host: &str, error: &DialError) {
    let DialError::Refused(errors) = error else { return };
    for (at, (tried, error)) in errors.iter().enumerate() {
        let level = if at + 1 == errors.len() { Level::Error } else { Level::Debug };
        if let Tried::Tcp(addr) = tried {
            logs::error!(ex, level, "proxy", Errno::from(error) =>
                "AH00939: CONNECT: attempt to connect to {addr} ({host}) failed");
        }
    }
}

/// Says what has to be said first, and then carries bytes until both sides have ended.
async fn carry(
    ex: &mut Exchange,
    wire: &mut dyn Wire,
    mut link: Box<Link>,
    is_remote: bool,
    patience: Duration,
) -> Outcome {
    let mut hello = Vec::new();
    if is_remote {
        hello.extend_from_slice(b"CONNECT ");
        hello.extend_from_slice(&ex.uri);
        hello.extend_from_slice(b" HTTP/1.0\r\n");
    } else {
        hello.extend_from_slice(b"HTTP/1.0 200 Connection Established\r\n");
    }
    hello.extend_from_slice(b"Proxy-agent: ");
    hello.extend_from_slice(pipe::names::server_software(ex));
    hello.extend_from_slice(b"\r\n\r\n");
    if is_remote && link.write_all(&hello).await.is_err() {
        return Outcome::Status(503);
    }
    let client = Duration::from_secs(u64::from(ex.server().rec.timeout.unwrap_or(60)));
    ex.close = true;
    let greeting = if is_remote { &[][..] } else { &hello };
    let Some((end, told)) = Box::pin(tunnel::run(wire, &mut link, greeting, patience.max(client))).await else {
        return Outcome::Status(500);
    };
    if end == End::Idle {
        logs::error!(ex, Level::Error, MODULE, "AH10224: tunnel timed out");
        if is_remote && !told {
            // httpd sends this page without its head.
            return Outcome::Status(504);
        }
    }
    ex.status = 200;
    ex.head_sent = true;
    ex.finished = true;
    ex.first_byte.get_or_insert_with(std::time::Instant::now);
    Outcome::Done
}

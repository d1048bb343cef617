//! `ProxyBlock`: hosts that nobody may be sent to.

use std::net::IpAddr;
use std::sync::Arc;

use super::Attempt;
use super::pool::{self, LendError};
use super::respond::{dns_failure, proxy_error};
use super::spec::Blocked;
use crate::logs::{self, Level};
use crate::pipe::Outcome;
use crate::web::Exchange;

/// Whether a word forbids this host; logged. `addresses` are those that it would be connected to, if that is done here.
pub(super) fn is_blocked(ex: &Exchange, blocked: &[Arc<Blocked>], host: &str, addresses: &[IpAddr]) -> bool {
    for word in blocked {
        let name = &word.name;
        if name.first() == Some(&b'*') || memchr::memmem::find(host.as_bytes(), name).is_some() {
            let name = logs::Bytes(name);
            logs::error!(
                ex,
                Level::Warn,
                "proxy",
                "AH00916: connect to remote machine {host} blocked: name {name} matched"
            );
            return true;
        }
        if let Some(ip) = addresses.iter().find(|ip| word.addresses.contains(ip)) {
            logs::error!(
                ex,
                Level::Warn,
                "proxy",
                "AH00917: connect to remote machine {host} blocked: IP {ip} matched"
            );
            return true;
        }
    }
    false
}

/// The answer to a request whose backend is blocked.
pub(super) fn refused(ex: &mut Exchange) -> Outcome {
    proxy_error(ex, 403, "Connect to remote machine blocked")
}

/// The answer to an attempt that may not be made. The host is resolved first, as in httpd.
pub(super) async fn refuse(ex: &mut Exchange, attempt: &Attempt<'_>) -> Option<Outcome> {
    let worker = attempt.worker;
    if attempt.policy.blocked.is_empty() {
        return None;
    }
    if let Err(LendError::Resolve(host)) = pool::resolve(worker).await {
        return Some(dns_failure(ex, &host));
    }
    let known = worker.state.addresses.load_full();
    let blocked = match &worker.spec.beyond {
        Some(beyond) => is_blocked(ex, &attempt.policy.blocked, &beyond.host, &[]),
        None => {
            let addresses: Vec<IpAddr> = known.iter().flat_map(|known| &known.list).map(|addr| addr.ip()).collect();
            is_blocked(ex, &attempt.policy.blocked, &worker.spec.host, &addresses)
        }
    };
    blocked.then(|| refused(ex))
}

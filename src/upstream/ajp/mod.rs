//! The AJP/1.3 backend.
//!
//! One request: [`exchange`] borrows a connection (CPING first, where `ping=` asks for it), [`encode`] puts the request into
//! the connection's output, the first piece of a body of known length goes with it, and [`answer`] obeys the
//! container's packets until END_RESPONSE. Nothing of the response leaves before its body begins: a container that
//! fails until then costs no more than the attempt.

mod answer;
mod encode;
mod receive;

use std::fmt;

use super::pool::{self, LendError, Link, Wanted};
use super::spec::Endpoint;
use super::{Attempt, Worker, respond};
use crate::codec::ajp::{MAX_PACKET_SIZE, PACKET_SIZE, Reply, push_cping};
use crate::logs::{self, Errno, Level, OfServer};
use crate::pipe::Outcome;
use crate::web::{BodyKind, Exchange, Wire};

/// Sends the request to the worker and its response to the client.
pub(super) async fn exchange(ex: &mut Exchange, wire: &mut dyn Wire, attempt: &Attempt<'_>) -> Outcome {
    let worker = attempt.worker;
    logs::error!(ex, Level::Debug, MODULE, "AH00895: serving URL {}", logs::Bytes(attempt.url));
    let sends_body = wire.body_kind() != BodyKind::None;
    // A connection that may be closed is only tried where the request could be sent once more.
    let certain = sends_body || !is_idempotent(&ex.method);
    let mut fresh = false;
    loop {
        let wanted = Wanted { scheme: "AJP", fresh, certain };
        let mut link = match pool::lend(ex, worker, attempt.policy, wanted).await {
            Ok(link) => link,
            Err(error) => return not_connected(ex, worker, &error),
        };
        if let Some(ping) = worker.spec.ping {
            let timeout = pool::io_timeout(ex, worker, attempt.policy);
            link.set_timeout(ping);
            if let Err(errno) = cping(ex, &mut link).await {
                let (peer, spec) = (Peer(worker), &worker.spec);
                log(
                    ex,
                    Level::Error,
                    errno,
                    format_args!("AH00897: cping/cpong failed to {peer} ({}:{})", spec.host, spec.port),
                );
                if fresh {
                    return Outcome::Status(503);
                }
                fresh = true;
                continue;
            }
            link.set_timeout(timeout);
        }
        let replay = link.reused() && !fresh && !certain && worker.spec.ping.is_none();
        match answer::run(ex, wire, attempt, link, replay).await {
            answer::Done::Outcome(outcome) => return outcome,
            answer::Done::Stale => fresh = true,
        }
    }
}

/// The packet size of both directions: `iobuffersize` or `ProxyIOBufferSize`, within what AJP allows.
fn packet_size(attempt: &Attempt<'_>) -> usize {
    within_limits(attempt.worker.spec.io_buffer.unwrap_or(attempt.policy.io_buffer))
}

fn within_limits(size: usize) -> usize {
    size.clamp(PACKET_SIZE, MAX_PACKET_SIZE).next_multiple_of(1024)
}

/// Methods that do the same when done twice.
fn is_idempotent(method: &[u8]) -> bool {
    matches!(method, b"GET" | b"HEAD" | b"PUT" | b"DELETE" | b"OPTIONS" | b"TRACE")
}

fn not_connected(ex: &mut Exchange, worker: &Worker, error: &LendError) -> Outcome {
    match error {
        LendError::Resolve(host) => respond::dns_failure(ex, host),
        LendError::Acquire => Outcome::Status(503),
        // Never asked for.
        LendError::NoTls | LendError::Handshake => Outcome::Status(500),
        LendError::Connect { .. } => {
            let host = &worker.spec.host;
            logs::error!(ex, Level::Error, MODULE, "AH00896: failed to make connection to backend: {host}");
            Outcome::Status(503)
        }
    }
}

/// CPING, and CPONG within the connection's timeout.
async fn cping(ex: &Exchange, link: &mut Link) -> Result<(), Errno> {
    push_cping(&mut link.lane().output);
    if let Err(error) = link.send().await {
        let errno = Errno::from(&error);
        logs::error!(OfServer(&ex.live, ex.server), Level::Error, MODULE, errno => "AH01029: ajp_ilink_send(): send failed");
        logs::error!(ex, Level::Error, MODULE, "AH01009: ajp_handle_cping_cpong: ajp_ilink_send failed");
        return Err(errno);
    }
    let len = match receive::packet(ex, link, PACKET_SIZE).await {
        Ok(len) => len,
        Err(failure) => {
            logs::error!(ex, Level::Error, MODULE, "AH01012: ajp_handle_cping_cpong: ajp_ilink_receive failed");
            return Err(failure.errno);
        }
    };
    let payload = receive::payload(link, len);
    let is_cpong = matches!(Reply::decode(payload), Ok(Reply::Cpong));
    if !is_cpong {
        match payload.first() {
            Some(code) => {
                logs::error!(
                    ex,
                    Level::Error,
                    MODULE,
                    "AH01014: ajp_handle_cping_cpong: awaited CPONG, received {code} "
                );
            }
            None => logs::error!(ex, Level::Error, MODULE, "AH01013: ajp_handle_cping_cpong: invalid CPONG message"),
        }
        return Err(Errno::GENERAL);
    }
    link.consume(len);
    Ok(())
}

const MODULE: &str = "proxy_ajp";

/// An entry with a status, or without one where there is none to tell.
fn log(ex: &Exchange, level: Level, errno: Errno, text: fmt::Arguments<'_>) {
    if errno.0 == 0 {
        logs::error!(ex, level, MODULE, "{text}");
    } else {
        logs::error!(ex, level, MODULE, errno => "{text}");
    }
}

/// A worker's address as messages show it.
struct Peer<'a>(&'a Worker);

impl fmt::Display for Peer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (state, spec) = (&self.0.state, &self.0.spec);
        match (&spec.endpoint, state.addresses.load_full()) {
            (Endpoint::Tcp(..), Some(known)) if !known.list.is_empty() => {
                known.list.first().map_or(Ok(()), |addr| write!(f, "{addr}"))
            }
            _ => write!(f, "{}:{}", spec.host, spec.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packet_sizes_are_httpds() {
        let sizes = [0, 512, 1000, 8192, 8193, 9000, 16384, 65535, 100_000].map(within_limits);
        assert_eq!(sizes, [8192, 8192, 8192, 8192, 9216, 9216, 16384, 65536, 65536]);
    }
}

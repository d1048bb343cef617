//! One balanced request: the member for the next attempt, and what an answer makes of that member.

use std::cell::Cell;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::elect::{account, elect, members, usable_or_retried};
use super::forward::Text;
use super::heartbeat;
use super::spec::{BalancerSpec, LbMethod, status};
use super::sticky::session;
use super::tally::Count;
use super::worker::{Backends, Balancer, Worker};
use crate::base::clock::{Clock, SystemClock};
use crate::logs::{self, Bytes, Level, OfServer};
use crate::web::Exchange;

/// Waiting for a usable member looks this often.
const POLLS: u32 = 100;

/// Counts the worker as busy until it has answered, or this is dropped.
pub(super) struct Busy<'a> {
    worker: &'a Worker,
    counted: Cell<bool>,
}

impl<'a> Busy<'a> {
    pub(super) fn new(worker: &'a Worker) -> Self {
        worker.state.tally.add(Count::Busy, 1);
        Self { worker, counted: Cell::new(true) }
    }

    /// The worker has nothing more to do. Said before the client has all of the response: its next request must find
    /// the worker idle.
    pub(super) fn over(&self) {
        if self.counted.replace(false) {
            self.worker.state.tally.sub(Count::Busy, 1);
        }
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.over();
    }
}

/// Chooses the member for an attempt, by session or by the balancer's method, and notes it for logs and fields.
/// `None` (logged): 503.
pub(super) async fn choose<'a>(
    ex: &mut Exchange,
    backends: &'a Backends,
    balancer: &'a Balancer,
    url: &[u8],
    failed: Option<i64>,
) -> Option<&'a Worker> {
    let spec = &balancer.spec;
    // Only who is out of use has a time to come back at.
    let all_well = || members(backends, spec).all(|worker| worker.state.is_usable());
    let now = match failed {
        Some(at) => at,
        None if all_well() => 0,
        None => SystemClock.wall(),
    };
    force_recovery(ex, backends, spec, now);

    let mut whole = Text::default();
    let found = spec.sticky.as_ref().and_then(|sticky| {
        whole = Text::take();
        whole.0.extend_from_slice(url);
        if let Some(args) = ex.args.as_ref().filter(|_| memchr::memchr(b'?', url).is_none()) {
            whole.0.push(b'?');
            whole.0.extend_from_slice(args);
        }
        session(sticky, &whole.0, ex.headers_in.get(b"Cookie"))
    });
    let mut text = Text::default();
    let session = found.map(|found| {
        text = Text::take();
        text.0.extend_from_slice(found.name);
        text.0.extend_from_slice(found.route);
        text.0.split_at(found.name.len())
    });
    let route = session.map(|(_, route)| route);
    let routed = route
        .filter(|route| !route.is_empty())
        .and_then(|route| by_route(backends, spec, route, now, spec.members.len()));

    let chosen = match routed {
        Some(worker) => {
            if Some(worker.spec.route.as_slice()) != route {
                ex.env.set(b"BALANCER_ROUTE_CHANGED", b"1");
            }
            account(backends, spec, worker);
            worker
        }
        None => {
            if let Some(route) = route
                && spec.no_failover
                && !route.is_empty()
                && members(backends, spec).any(|worker| worker.spec.route == route)
            {
                let (name, route) = (&spec.name, Bytes(route));
                logs::error!(
                    ex,
                    Level::Error,
                    "proxy_balancer",
                    "AH01167: {name}: All workers are in error state for route ({route})"
                );
                return None;
            }
            let Some(worker) = elect_in_time(ex, backends, spec, now).await else {
                let name = &spec.name;
                if spec.members.is_empty() {
                    logs::error!(ex, Level::Error, "proxy_balancer", "AH01171: {name}: No workers in balancer");
                } else {
                    logs::error!(ex, Level::Error, "proxy_balancer", "AH01170: {name}: All workers are in error state");
                }
                return None;
            };
            if spec.sticky.is_some() {
                ex.env.set(b"BALANCER_ROUTE_CHANGED", b"1");
            }
            worker
        }
    };
    for named in std::iter::once(&balancer.named).chain(&chosen.named) {
        ex.env.set_line(named);
    }
    if let Some((name, route)) = session {
        ex.notes.set(b"session-sticky", name);
        ex.notes.set(b"session-route", route);
        ex.env.set(b"BALANCER_SESSION_STICKY", name);
        ex.env.set(b"BALANCER_SESSION_ROUTE", route);
    }
    Some(chosen)
}

/// When all members are in error and no retry time is over, all get another chance.
fn force_recovery(ex: &Exchange, backends: &Backends, spec: &BalancerSpec, now: i64) {
    let in_error = |worker: &Worker| worker.state.bits() & status::IN_ERROR != 0;
    if !spec.force_recovery
        || !members(backends, spec).all(|worker| in_error(worker) && !worker.state.retry(worker.spec.retry, now))
    {
        return;
    }
    for worker in members(backends, spec) {
        worker.state.retries.fetch_add(1, Relaxed);
        worker.state.status.fetch_and(!status::IN_ERROR, Relaxed);
        let (name, host, port) = (&spec.name, &worker.spec.host, worker.spec.port);
        logs::error!(
            OfServer(&ex.live, ex.server),
            Level::Debug,
            "proxy_balancer",
            "AH01165: {name}: Forcing recovery for worker ({host}:{port})"
        );
    }
}

/// The usable member of this route, standbys last; an unusable one's redirect is followed, `hops` times at most.
fn by_route<'a>(
    backends: &'a Backends,
    spec: &'a BalancerSpec,
    route: &[u8],
    now: i64,
    hops: usize,
) -> Option<&'a Worker> {
    for standby in [false, true] {
        for worker in members(backends, spec) {
            if (worker.state.bits() & status::HOT_STANDBY != 0) != standby || worker.spec.route != route {
                continue;
            }
            if usable_or_retried(worker, now) {
                return Some(worker);
            }
            if !worker.spec.redirect.is_empty()
                && hops > 1
                && let Some(other) = by_route(backends, spec, &worker.spec.redirect, now, hops - 1)
            {
                return Some(other);
            }
        }
    }
    None
}

/// Elects, and waits for a usable member as long as `timeout` says.
async fn elect_in_time<'a>(
    ex: &Exchange,
    backends: &'a Backends,
    spec: &'a BalancerSpec,
    now: i64,
) -> Option<&'a Worker> {
    if let Some(worker) = elect_by(ex, backends, spec, now) {
        return Some(worker);
    }
    let step = spec.timeout.filter(|timeout| *timeout > Duration::ZERO)? / POLLS;
    for _ in 0..POLLS {
        tokio::time::sleep(step).await;
        if let Some(worker) = elect_by(ex, backends, spec, SystemClock.wall()) {
            return Some(worker);
        }
    }
    None
}

fn elect_by<'a>(ex: &Exchange, backends: &'a Backends, spec: &'a BalancerSpec, now: i64) -> Option<&'a Worker> {
    match spec.method {
        LbMethod::Heartbeat => heartbeat::elect(ex, backends, spec, now),
        _ => elect(backends, spec, now),
    }
}

/// What the answer makes of the member: `failonstatus`, `failontimeout`. `answered` is the backend's own status.
pub(super) fn judge(ex: &Exchange, balancer: &Balancer, worker: &Worker, answered: Option<u16>) {
    let spec = &balancer.spec;
    let (name, member) = (&spec.name, &worker.spec.name);
    if let Some(status) = answered.filter(|status| spec.fail_on_status.contains(status))
        && worker.state.fail(SystemClock.wall())
    {
        logs::error!(
            ex,
            Level::Error,
            "proxy_balancer",
            "AH01174: {name}: Forcing worker ({member}) into error state \
            due to status code {status} matching 'failonstatus' balancer parameter"
        );
    }
    if spec.fail_on_timeout && ex.notes.contains(b"proxy_timedout") && worker.state.fail(SystemClock.wall()) {
        logs::error!(
            ex,
            Level::Error,
            "proxy_balancer",
            "AH02460: {name}: Forcing worker ({member}) into error state \
            due to timeout and 'failontimeout' parameter being set"
        );
    }
}

//! Idle connections: a thread's own stacks, one a worker, newest on top.
//!
//! `max` counts the connections of all threads, idle ones included. A thread that needs one when `max` is reached
//! waits; the others then close theirs instead of keeping them, and so does each thread's keeper, which sleeps until
//! it is woken for that or until a second is over: then it closes what is older than `ttl`, what its peer closed, and
//! what belongs to a worker that is no longer configured.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::dial::{self, DialError, Setup, Tried};
use super::link::Slot;
pub use super::link::{Input, Lane, Link};
use super::spec::{Endpoint, Policy, status};
use super::stream::Idle;
use super::worker::{Worker, WorkerState};
use crate::base::clock::{Clock, SystemClock};
use crate::logs::{self, Errno, Level, OfServer};
use crate::web::Exchange;

/// Idle connections a thread keeps for one worker.
const IDLE_MAX: usize = 1024;

/// Why there is no connection; the log lines of mod_proxy itself are written.
#[derive(Debug, thiserror::Error)]
pub enum LendError {
    /// None became free in time: 503.
    #[error("failed to acquire connection")]
    Acquire,
    /// The name has no address: 500.
    #[error("DNS lookup failure for: {0}")]
    Resolve(String),
    /// It cannot be connected to: 503.
    #[error("failed to make connection to backend")]
    Connect {
        /// The time ran out.
        timed_out: bool,
    },
}

/// How a connection is asked for.
#[derive(Clone, Copy)]
pub struct Wanted {
    /// What messages call the protocol (`http`, `AJP`).
    pub scheme: &'static str,
    /// A new one, whatever is idle.
    pub fresh: bool,
    /// The request must not be sent to a connection that may be closed: ask the system.
    pub certain: bool,
}

#[derive(Default)]
struct Pool {
    idle: Vec<Link>,
    state: Weak<WorkerState>,
    ttl: Option<Duration>,
    /// Requests of this thread that wait.
    waiting: u32,
    given_back: Rc<Notify>,
}

type Pools = HashMap<u64, Pool, foldhash::fast::RandomState>;

thread_local! {
    static POOLS: RefCell<Pools> = RefCell::default();
    static KEEPER: RefCell<Option<Arc<Notify>>> = const { RefCell::new(None) };
}

/// The keepers of all threads; looked at when a worker's `max` is reached and when a thread begins or ends.
static KEEPERS: Mutex<Vec<Weak<Notify>>> = Mutex::new(Vec::new());

/// How long one read or write on a connection to this worker may take.
pub fn io_timeout(ex: &Exchange, worker: &Worker, policy: &Policy) -> Duration {
    let server = || Duration::from_secs(u64::from(ex.server().rec.timeout.unwrap_or(60)));
    worker.spec.timeout.or(policy.timeout).unwrap_or_else(server)
}

/// Lends an idle connection of this thread, or makes a new one.
///
/// # Errors
/// See [`LendError`]; for a balancer's member that cannot be connected to the error state has begun.
pub async fn lend(ex: &Exchange, worker: &Worker, policy: &Policy, wanted: Wanted) -> Result<Link, LendError> {
    let timeout = io_timeout(ex, worker, policy);
    let mut link = match idle(ex, worker, wanted) {
        Some(link) => link,
        None => {
            let slot = match Slot::reserve(&worker.state, worker.spec.max) {
                Some(slot) => Ok(slot),
                None => wait(worker).await,
            };
            match slot {
                Ok(slot) => connect(ex, worker, policy, wanted, timeout, slot).await?,
                Err(Some(link)) => link,
                Err(None) => {
                    let (host, port) = (&worker.spec.host, worker.spec.port);
                    let server = OfServer(&ex.live, ex.server);
                    let scheme = wanted.scheme;
                    logs::error!(server, Level::Error, "proxy", Errno::TIMEUP =>
                        "AH00941: {scheme}: failed to acquire connection for ({host}:{port})");
                    return Err(LendError::Acquire);
                }
            }
        }
    };
    link.wake();
    link.set_timeout(timeout);
    Ok(link)
}

/// Resolves the worker's host if that is due, so that its failure is found before anything else is done.
///
/// # Errors
/// [`LendError::Resolve`].
pub async fn resolve(worker: &Worker) -> Result<(), LendError> {
    dial::lookup(worker).await.map_err(|_| LendError::Resolve(worker.spec.host.clone()))
}

/// An idle connection that is still good; the others found on the way are closed.
fn idle(ex: &Exchange, worker: &Worker, wanted: Wanted) -> Option<Link> {
    loop {
        let link = POOLS.with(|pools| pools.borrow_mut().get_mut(&worker.state.id)?.idle.pop())?;
        if wanted.fresh {
            return None;
        }
        if worker.spec.ttl.is_some_and(|ttl| link.since.elapsed() > ttl) {
            continue;
        }
        match link.idle(wanted.certain) {
            Idle::Quiet => return Some(link),
            Idle::Closed => {}
            Idle::Unread => {
                let scheme = wanted.scheme;
                logs::error!(
                    OfServer(&ex.live, ex.server),
                    Level::Info,
                    "proxy",
                    "AH03408: {scheme}: reusable backend connection is not empty: forcibly closed"
                );
            }
        }
    }
}

/// Waits for a free place or a connection given back by this thread; `Err(None)` when `acquire` is over.
async fn wait(worker: &Worker) -> Result<Slot, Option<Link>> {
    /// Counts a waiting request, also when it is dropped.
    struct Waiting<'a>(&'a WorkerState);
    impl Drop for Waiting<'_> {
        fn drop(&mut self) {
            let others = self.0.starving.fetch_sub(1, Ordering::SeqCst) > 1;
            let closing = with_pool(self.0.id, |pool| {
                pool.waiting = pool.waiting.saturating_sub(1);
                // What was kept for those who waited here is of use elsewhere now.
                if others && pool.waiting == 0 { std::mem::take(&mut pool.idle) } else { Vec::new() }
            });
            drop(closing);
        }
    }
    let state = &worker.state;
    keep_house();
    state.starving.fetch_add(1, Ordering::SeqCst);
    // Whoever has a pool has a keeper that answers to others who wait.
    keep_house();
    let given_back = POOLS.with(|pools| {
        let mut pools = pools.borrow_mut();
        let pool = pools.entry(state.id).or_default();
        pool.state = Arc::downgrade(state);
        pool.waiting += 1;
        pool.given_back.clone()
    });
    let _waiting = Waiting(state);
    for keeper in KEEPERS.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade) {
        keeper.notify_one();
    }
    let limit = tokio::time::sleep(worker.spec.acquire.unwrap_or(Duration::from_secs(86_400 * 365)));
    tokio::pin!(limit);
    loop {
        let freed = state.freed.notified();
        tokio::pin!(freed);
        freed.as_mut().enable();
        if let Some(link) = POOLS.with(|pools| pools.borrow_mut().get_mut(&state.id)?.idle.pop())
            && link.idle(true) == Idle::Quiet
        {
            return Err(Some(link));
        }
        if let Some(slot) = Slot::reserve(state, worker.spec.max) {
            return Ok(slot);
        }
        tokio::select! {
            () = freed => {}
            () = given_back.notified() => {}
            () = limit.as_mut() => return Err(None),
        }
    }
}

fn with_pool<T>(id: u64, act: impl FnOnce(&mut Pool) -> T) -> Option<T> {
    POOLS.try_with(|pools| pools.borrow_mut().get_mut(&id).map(act)).ok().flatten()
}

async fn connect(
    ex: &Exchange,
    worker: &Worker,
    policy: &Policy,
    wanted: Wanted,
    timeout: Duration,
    slot: Slot,
) -> Result<Link, LendError> {
    let spec = &worker.spec;
    let errors = match dial::dial(worker, Setup::new(spec, policy, timeout)).await {
        Ok(stream) => {
            worker.state.connected();
            return Ok(Link::new(stream, slot));
        }
        Err(DialError::Resolve(host)) => return Err(LendError::Resolve(host)),
        Err(DialError::Refused(errors)) => errors,
    };
    let (scheme, host, port) = (wanted.scheme, &spec.host, spec.port);
    let server = OfServer(&ex.live, ex.server);
    let mut timed_out = false;
    let last = errors.len();
    for (at, (tried, error)) in errors.iter().enumerate() {
        timed_out = error.kind() == std::io::ErrorKind::TimedOut;
        // Of several addresses only the last one's failure is an error.
        let level = if at + 1 == last { Level::Error } else { Level::Debug };
        match tried {
            Tried::Tcp(addr) => logs::error!(server, level, "proxy", Errno::from(error) =>
                "AH00957: {scheme}: attempt to connect to {addr} ({host}:{port}) failed"),
            Tried::Unix(path) => logs::error!(server, level, "proxy", Errno::from(error) =>
                "AH02454: {scheme}: attempt to connect to Unix domain socket {} ({host}:{port}) failed", path.display()),
        }
    }
    let state = &worker.state;
    if state.bits() & status::IN_ERROR == 0 && state.fail(SystemClock.wall()) {
        let retry = spec.retry.as_secs();
        logs::error!(
            server,
            Level::Error,
            "proxy",
            "AH00959: ap_proxy_connect_backend disabling worker for ({host}:{port}) for {retry}s"
        );
    }
    Err(LendError::Connect { timed_out })
}

impl Link {
    /// Gives the connection back for other requests of this thread, or closes it where it may not be kept.
    pub fn keep(mut self, worker: &Worker) {
        self.rest();
        let (spec, state) = (&worker.spec, &worker.state);
        if !spec.reuse || spec.generic || state.retired.load(Ordering::Relaxed) {
            return;
        }
        let starved = state.starving.load(Ordering::Relaxed) > 0;
        POOLS.with(|pools| {
            let mut pools = pools.borrow_mut();
            let pool = match pools.get_mut(&state.id) {
                Some(pool) => pool,
                None => {
                    keep_house();
                    pools.retain(|_, pool| pool.state.strong_count() > 0);
                    pools.entry(state.id).or_default()
                }
            };
            if pool.idle.is_empty() {
                pool.state = Arc::downgrade(state);
                pool.ttl = spec.ttl;
            }
            if pool.waiting > 0 {
                pool.idle.push(self);
                pool.given_back.notify_one();
            } else if !starved && pool.idle.len() < IDLE_MAX {
                pool.idle.push(self);
            }
        });
    }
}

/// Starts this thread's keeper, once.
fn keep_house() {
    KEEPER.with(|keeper| {
        let mut keeper = keeper.borrow_mut();
        if keeper.as_ref().is_some_and(|keeper| Arc::strong_count(keeper) > 1) {
            return;
        }
        let notify = Arc::new(Notify::new());
        {
            let mut keepers = KEEPERS.lock().unwrap_or_else(PoisonError::into_inner);
            keepers.retain(|keeper| keeper.strong_count() > 0);
            keepers.push(Arc::downgrade(&notify));
        }
        *keeper = Some(notify.clone());
        tokio::spawn(async move {
            loop {
                let _ = tokio::time::timeout(Duration::from_secs(1), notify.notified()).await;
                sweep();
            }
        });
    });
}

/// Closes what should not lie idle any longer.
fn sweep() {
    let now = Instant::now();
    let closing: Vec<Link> = POOLS.with(|pools| {
        let mut closing = Vec::new();
        for pool in pools.borrow_mut().values_mut() {
            let Some(state) = pool.state.upgrade() else { continue };
            let all = state.retired.load(Ordering::Relaxed)
                || (pool.waiting == 0 && state.starving.load(Ordering::SeqCst) > 0);
            let ttl = pool.ttl;
            closing.extend(pool.idle.extract_if(.., |link| {
                let old = ttl.is_some_and(|ttl| now.duration_since(link.since) > ttl);
                all || old || link.idle(false) == Idle::Closed
            }));
        }
        closing
    });
    drop(closing);
}

/// Whether the worker's connections go over a Unix socket.
pub fn is_local(worker: &Worker) -> bool {
    matches!(worker.spec.endpoint, Endpoint::Unix(_))
}

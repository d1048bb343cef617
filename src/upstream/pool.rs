//! Idle connections: stacks of each worker, one a thread, newest on top.
//!
//! A thread takes from its own stack; when that is empty it takes one of another thread's, which is dearer (the
//! connection moves to another runtime) but cheaper than a new connection. Under load that would go to and fro for
//! ever: after a number of moves within a second a thread makes connections of its own. Stacks are never waited for:
//! one that another thread is looking into counts as empty.
//!
//! `max` counts the connections of all threads, idle ones included, so that whoever finds no idle one may wait until
//! `max` allows a new one or one is given back.
//!
//! Once a second a keeper closes what is older than `ttl`, what its peer closed, and what belongs to a worker that is
//! no longer configured.

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError, Weak};
use std::time::{Duration, Instant};

use super::dial::{self, DialError, Setup, Tried};
use super::hop;
pub use super::lane::{Input, Lane};
pub use super::link::Link;
use super::link::Slot;
use super::spec::{Endpoint, Policy, Scheme, status};
use super::stream::{Idle, Stream};
use super::tls::{self, NoTls, Wish};
use super::worker::{Worker, WorkerState};
use crate::base::clock::{Clock, SystemClock};
use crate::logs::{self, Errno, Level, OfServer};
use crate::net::client::{BackendTls, ClientSide};
use crate::web::Exchange;

/// Idle connections in one stack.
const IDLE_MAX: usize = 1024;

/// Connections of all workers that move to a thread in a second, unless there is no other way.
const MOVES: u32 = 64;

/// Stacks of a worker; threads beyond share them.
const STACKS: usize = 16;

/// Why there is no connection; the log lines of mod_proxy itself are written.
#[derive(Debug, thiserror::Error)]
pub enum LendError {
    /// None became free in time: 503.
    #[error("failed to acquire connection")]
    Acquire,
    /// The name has no address: 500.
    #[error("DNS lookup failure for: {0}")]
    Resolve(String),
    /// TLS is not on: 500.
    #[error("TLS is not enabled")]
    NoTls,
    /// TLS could not be begun: 500.
    #[error("error during SSL Handshake with remote server")]
    Handshake,
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

/// The idle connections of one worker.
#[derive(Default)]
pub(super) struct Pool {
    stacks: [Stack; STACKS],
}

/// On a cache line of its own: threads do not disturb each other.
#[derive(Default)]
#[repr(align(64))]
struct Stack {
    /// What the mutex holds, to be looked at without it.
    len: AtomicUsize,
    // Boxed, so that lending one moves a pointer.
    #[allow(clippy::vec_box)]
    links: Mutex<Vec<Box<Link>>>,
}

impl Stack {
    /// Looks into the stack unless somebody else does.
    fn with<T>(&self, act: impl FnOnce(&mut Vec<Box<Link>>) -> T) -> Option<T> {
        let mut links = match self.links.try_lock() {
            Ok(links) => links,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let result = act(&mut links);
        self.len.store(links.len(), Ordering::Release);
        Some(result)
    }

    fn pop(&self) -> Option<Box<Link>> {
        if self.len.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.with(Vec::pop).flatten()
    }
}

impl Pool {
    /// The stacks that a thread has.
    fn used(&self) -> &[Stack] {
        self.stacks.get(..HOMES.load(Ordering::Relaxed)).unwrap_or(&self.stacks)
    }

    /// This thread's newest connection, or another's; whether it had to move here. Unless it is `needed`, one may be
    /// left where it is.
    fn take(&self, home: usize, needed: bool) -> Option<(Box<Link>, bool)> {
        let (before, from) = self.used().split_at_checked(home % STACKS)?;
        for (nth, stack) in from.iter().chain(before).enumerate() {
            if nth > 0 && !needed && MOVED.get() >= MOVES {
                break;
            }
            while let Some(mut link) = stack.pop() {
                if let Ok(moved) = link.come_home(home) {
                    if moved {
                        MOVED.set(MOVED.get().saturating_add(1));
                    }
                    return Some((link, moved));
                }
            }
        }
        None
    }
}

thread_local! {
    static HOME: Cell<Option<usize>> = const { Cell::new(None) };
    /// Connections that moved here since this thread's keeper came by: of all workers together, as thousands of them, each
    /// with a few moves, would be no less work than one with many.
    static MOVED: Cell<u32> = const { Cell::new(0) };
}

/// How many threads have a number.
static HOMES: AtomicUsize = AtomicUsize::new(0);

/// The number of this thread.
pub(super) fn home() -> usize {
    HOME.with(|home| {
        home.get().unwrap_or_else(|| {
            let number = HOMES.fetch_add(1, Ordering::Relaxed);
            home.set(Some(number));
            tokio::spawn(keep_house());
            number
        })
    })
}

/// All pools, for the keepers.
static POOLS: Mutex<Vec<(Weak<WorkerState>, Option<Duration>)>> = Mutex::new(Vec::new());

/// How long one read or write on a connection to this worker may take.
pub fn io_timeout(ex: &Exchange, worker: &Worker, policy: &Policy) -> Duration {
    let server = || Duration::from_secs(u64::from(ex.server().rec.timeout.unwrap_or(60)));
    worker.spec.timeout.or(policy.timeout).unwrap_or_else(server)
}

/// Lends an idle connection of this thread, or makes a new one.
///
/// # Errors
/// See [`LendError`]; for a balancer's member that cannot be connected to the error state has begun.
pub async fn lend(ex: &Exchange, worker: &Worker, policy: &Policy, wanted: Wanted) -> Result<Box<Link>, LendError> {
    let timeout = io_timeout(ex, worker, policy);
    let home = home();
    let secure = Secure::of(ex, worker, policy);
    let mut link = loop {
        if let Some(link) = idle(ex, worker, wanted, home, &secure) {
            break link;
        }
        let slot = match Slot::reserve(&worker.state, worker.spec.max) {
            Some(slot) => Ok(slot),
            None => wait(worker, home).await,
        };
        match slot {
            // Dialling is large, and rare: every request would carry the room for it.
            Ok(slot) => break Box::pin(connect(ex, worker, policy, wanted, timeout, slot, &secure)).await?,
            Err(Some(link)) if secure.suits(&link) => break link,
            // Made for others: closed, so that there is a place.
            Err(Some(_)) => {}
            Err(None) => {
                let (host, port) = (&worker.spec.host, worker.spec.port);
                let server = OfServer(&ex.live, ex.server);
                let scheme = wanted.scheme;
                logs::error!(server, Level::Error, "proxy", Errno::TIMEUP =>
                    "AH00941: {scheme}: failed to acquire connection for ({host}:{port})");
                return Err(LendError::Acquire);
            }
        }
    };
    let (scheme, host, port) = (wanted.scheme, &worker.spec.host, worker.spec.port);
    logs::error!(
        OfServer(&ex.live, ex.server),
        Level::Debug,
        "proxy",
        "AH00942: {scheme}: has acquired connection for ({host}:{port})"
    );
    link.wake();
    link.set_timeout(timeout);
    Ok(link)
}

/// The TLS that a request wants towards a worker.
#[derive(Default)]
struct Secure<'a> {
    /// It wants any.
    on: bool,
    side: Option<&'a Arc<ClientSide>>,
    /// Whom the backend is taken for.
    name: Option<Cow<'a, str>>,
}

impl<'a> Secure<'a> {
    fn of(ex: &'a Exchange, worker: &'a Worker, policy: &Policy) -> Self {
        if !matches!(worker.spec.scheme, Scheme::Https | Scheme::H2) {
            return Self::default();
        }
        let name = if policy.preserve_host {
            Some(String::from_utf8_lossy(&ex.hostname)).filter(|name| !name.is_empty())
        } else {
            let beyond = worker.spec.beyond.as_ref().map(|beyond| beyond.host.as_str());
            Some(Cow::Borrowed(beyond.unwrap_or(&worker.spec.host)))
        };
        Self { on: true, side: BackendTls::get(ex.dir()), name }
    }

    /// Whether a connection was made just so.
    fn suits(&self, link: &Link) -> bool {
        match (&link.secured, self.side) {
            (None, _) => !self.on,
            (Some((side, name)), Some(wanted)) => Arc::ptr_eq(side, wanted) && name.as_deref() == self.name.as_deref(),
            (Some(_), None) => false,
        }
    }
}

/// Resolves the worker's host if that is due, so that its failure is found before anything else is done.
///
/// # Errors
/// [`LendError::Resolve`].
pub async fn resolve(worker: &Worker) -> Result<(), LendError> {
    dial::lookup(worker).await.map_err(|error| match error {
        DialError::Resolve(host) => LendError::Resolve(host),
        DialError::Refused(_) => LendError::Resolve(worker.spec.host.clone()),
    })
}

/// Closes the connection that a request would be lent, if one is idle.
pub(super) fn discard(worker: &Worker) {
    if let Some(pool) = worker.state.pool.get() {
        drop(pool.take(home(), false));
    }
}

/// An idle connection that is still good; the others found on the way are closed.
fn idle(ex: &Exchange, worker: &Worker, wanted: Wanted, home: usize, secure: &Secure<'_>) -> Option<Box<Link>> {
    let pool = worker.state.pool.get()?;
    loop {
        let (mut link, moved) = pool.take(home, false)?;
        if wanted.fresh {
            return None;
        }
        if !secure.suits(&link) {
            continue;
        }
        if worker.spec.ttl.is_some_and(|ttl| link.since.elapsed() > ttl) {
            continue;
        }
        match link.idle(wanted.certain || moved) {
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

/// Waits for a free place or a connection given back; `Err(None)` when `acquire` is over.
async fn wait(worker: &Worker, home: usize) -> Result<Slot, Option<Box<Link>>> {
    /// Counts a waiting request, also when it is dropped.
    struct Waiting<'a>(&'a WorkerState);
    impl Drop for Waiting<'_> {
        fn drop(&mut self) {
            // What woke this one may be of use to the next.
            if self.0.starving.fetch_sub(1, Ordering::SeqCst) > 1 {
                self.0.freed.notify_one();
            }
        }
    }
    let state = &worker.state;
    state.starving.fetch_add(1, Ordering::SeqCst);
    let _waiting = Waiting(state);
    let limit = tokio::time::sleep(worker.spec.acquire.unwrap_or(Duration::from_secs(86_400 * 365)));
    tokio::pin!(limit);
    loop {
        let freed = state.freed.notified();
        tokio::pin!(freed);
        freed.as_mut().enable();
        while let Some((mut link, _)) = state.pool.get().and_then(|pool| pool.take(home, true)) {
            if link.idle(true) == Idle::Quiet {
                return Err(Some(link));
            }
        }
        if let Some(slot) = Slot::reserve(state, worker.spec.max) {
            return Ok(slot);
        }
        tokio::select! {
            () = freed => {}
            // A stack that was being looked into counted as empty.
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
            () = limit.as_mut() => return Err(None),
        }
    }
}

async fn connect(
    ex: &Exchange,
    worker: &Worker,
    policy: &Policy,
    wanted: Wanted,
    timeout: Duration,
    slot: Slot,
    secure: &Secure<'_>,
) -> Result<Box<Link>, LendError> {
    let spec = &worker.spec;
    let errors = match dial::dial(worker, Setup::new(spec, policy, timeout)).await {
        Ok(mut stream) => {
            worker.state.connected();
            if let Some(beyond) = spec.beyond.as_ref().filter(|_| secure.on) {
                let asked = hop::connect_on(ex, spec, beyond, &mut stream, timeout).await;
                asked.map_err(|()| LendError::Connect { timed_out: false })?;
            }
            say_connected(ex, worker, wanted.scheme);
            if secure.on {
                return begin_tls(ex, worker, wanted, timeout, slot, secure, stream).await;
            }
            return Ok(Link::new(stream, home(), slot));
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

/// Says that there is a connection, and that it is ready.
fn say_connected(ex: &Exchange, worker: &Worker, scheme: &str) {
    let server = OfServer(&ex.live, ex.server);
    let (shown, host, port) = (Shown(worker), &worker.spec.host, worker.spec.port);
    logs::error!(
        server,
        Level::Debug,
        "proxy",
        "AH02824: {scheme}: connection established with {shown} ({host}:{port})"
    );
    logs::error!(server, Level::Debug, "proxy", "AH00962: {scheme}: connection complete to {shown} ({host})");
}

/// Where a worker's connections lead, as httpd's `%pI` shows it.
pub(super) struct Shown<'a>(pub(super) &'a Worker);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(worker) = self;
        let known = worker.state.addresses.load();
        match (&worker.spec.endpoint, known.as_ref().and_then(|known| known.list.first())) {
            (Endpoint::Tcp(..), Some(addr)) => write!(f, "{addr}"),
            (Endpoint::Tcp(host, port), None) => write!(f, "{host}:{port}"),
            (Endpoint::Unix(path), _) => write!(f, "{}", path.display()),
        }
    }
}

async fn begin_tls(
    ex: &Exchange,
    worker: &Worker,
    wanted: Wanted,
    timeout: Duration,
    slot: Slot,
    secure: &Secure<'_>,
    stream: Stream,
) -> Result<Box<Link>, LendError> {
    let name = secure.name.as_deref();
    let (scheme, host) = (wanted.scheme, worker.spec.host.as_str());
    let protocol: Option<&[u8]> = (worker.spec.scheme == Scheme::H2).then_some(b"h2");
    let wish = Wish { live: &ex.live, server: ex.server, scheme, host, name, protocol, timeout };
    let stream = match tls::secure(&wish, secure.side, stream).await {
        Ok(stream) => stream,
        Err(NoTls::Off) => return Err(LendError::NoTls),
        Err(NoTls::Refused) => return Err(LendError::Handshake),
    };
    let mut link = Link::new(stream, home(), slot);
    link.secured = secure.side.map(|side| (side.clone(), name.map(Box::from)));
    Ok(link)
}

impl Link {
    /// Gives the connection back for other requests, or closes it where it may not be kept.
    pub fn keep(mut self: Box<Self>, worker: &Worker) {
        self.rest(worker.spec.ttl.is_some());
        let (spec, state) = (&worker.spec, &worker.state);
        if !worker.keeps_connections() || state.retired.load(Ordering::Relaxed) {
            return;
        }
        let pool = state.pool.get_or_init(|| {
            let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
            pools.push((Arc::downgrade(state), spec.ttl));
            Box::default()
        });
        let (before, from) = pool.stacks.split_at(home() % STACKS);
        let mut link = Some(self);
        for stack in from.iter().chain(before) {
            // Into the next one if this is being looked into; closed if it is full.
            if stack.with(|links| links.extend(link.take().filter(|_| links.len() < IDLE_MAX))).is_some() {
                break;
            }
        }
        if state.starving.load(Ordering::SeqCst) > 0 {
            state.freed.notify_one();
        }
    }
}

/// Sweeps all pools once a second; of several threads' keepers whoever comes first.
async fn keep_house() {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        MOVED.set(0);
        let Ok(mut pools) = POOLS.try_lock() else { continue };
        let now = Instant::now();
        pools.retain(|(state, ttl)| {
            let Some(state) = state.upgrade() else { return false };
            let retired = state.retired.load(Ordering::Relaxed);
            for stack in state.pool.get().iter().flat_map(|pool| pool.used()) {
                if stack.len.load(Ordering::Acquire) == 0 {
                    continue;
                }
                let closing = stack.with(|links| {
                    let old = |link: &Link| ttl.is_some_and(|ttl| now.duration_since(link.since) > ttl);
                    let end = |link: &mut Box<Link>| retired || old(link) || link.idle(false) == Idle::Closed;
                    links.extract_if(.., end).collect::<Vec<_>>()
                });
                drop(closing);
            }
            true
        });
    }
}

/// Whether the worker's connections go over a Unix socket.
pub fn is_local(worker: &Worker) -> bool {
    matches!(worker.spec.endpoint, Endpoint::Unix(_))
}

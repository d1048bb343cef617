//! Workers and balancers of a generation, and what of them outlives it.
//!
//! What a reload does to a worker or balancer of the same key:
//!
//! | value | after a reload |
//! |---|---|
//! | elected, busy, transferred, read, lbstatus | go on |
//! | `IN_ERROR`, `HC_FAILED`, error time, retries | go on |
//! | other status bits | go on, unless `status=` of the configuration changed: then as configured |
//! | idle connections, count of open ones | go on |
//! | resolved addresses | go on |
//! | parameters | as configured now; but as the manager changed them, where the configuration says the same as before |
//! | members that the manager added | go on |
//! | requests of a balancer, its random nonce | go on |
//!
//! Without a counterpart in the new generation the state is retired: its idle connections close at once, those in use
//! when their request ends.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;

use super::canon::canonical_site;
use super::edits::{Edited, Written, keep_added};
use super::heartbeat::Source;
use super::pool::Pool;
use super::spec::{BalancerSpec, CheckMethod, WorkerSpec, status};
use super::tally::Tally;
use crate::web::Line;

/// All backends of a generation: in the process-wide values of `modules::proxy`.
#[derive(Clone, Default)]
pub struct Backends {
    /// Workers; [`super::spec::Choice::Worker`] and [`BalancerSpec::members`] index this.
    pub workers: Vec<Arc<Worker>>,
    /// Balancers.
    pub balancers: Vec<Arc<Balancer>>,
    /// Where `lbmethod=heartbeat` finds what hosts say.
    pub heartbeats: Option<Arc<Source>>,
}

/// A worker: what was configured, and its state.
pub struct Worker {
    /// As configured.
    pub spec: WorkerSpec,
    /// What happened, shared by all threads and kept over reloads.
    pub state: Arc<WorkerState>,
    /// What the configuration says.
    pub(super) written: Written<WorkerSpec>,
    /// See [`Worker::site`].
    site: Option<Box<[u8]>>,
    /// The variables that name it to whom it was elected for.
    pub(super) named: [Line; 2],
}

impl Worker {
    /// A worker with this state.
    pub fn new(spec: WorkerSpec, state: Arc<WorkerState>) -> Self {
        let site = canonical_site(spec.name.as_bytes()).map(Vec::into_boxed_slice);
        let named = [(&b"BALANCER_WORKER_NAME"[..], spec.name.as_bytes()), (b"BALANCER_WORKER_ROUTE", &spec.route)];
        let named = named.map(|(name, value)| Line::new(name, value));
        Self { spec, state, written: Written::AsIs, site, named }
    }

    /// One that is not in the configuration.
    pub fn added(spec: WorkerSpec, state: Arc<WorkerState>) -> Self {
        Self { written: Written::Nowhere, ..Self::new(spec, state) }
    }

    /// The same with other parameters than the configuration says.
    pub fn changed(&self, spec: WorkerSpec) -> Self {
        Self { written: self.written.beside_changed(&self.spec), ..Self::new(spec, self.state.clone()) }
    }

    /// Its name as URLs on the wire begin with it, if that has no path.
    pub fn site(&self) -> Option<&[u8]> {
        self.site.as_deref()
    }

    /// Whether connections are used again at all.
    pub fn keeps_connections(&self) -> bool {
        self.spec.reuse && !self.spec.generic && self.spec.address_ttl != Some(Duration::ZERO)
    }
}

/// A balancer: what was configured, and its state.
pub struct Balancer {
    /// As configured.
    pub spec: BalancerSpec,
    /// What happened.
    pub state: Arc<BalancerState>,
    /// What the configuration says.
    pub(super) written: Written<BalancerSpec>,
    /// The variable that names it to whom it has elected for.
    pub(super) named: Line,
}

/// Addresses of a worker's host.
#[derive(Debug)]
pub(super) struct Addresses {
    pub(super) list: Vec<SocketAddr>,
    pub(super) found: Instant,
}

/// A number on a cache line of its own: what lies beside it is read by every request, and this is written.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct Alone(AtomicI64);

impl std::ops::Deref for Alone {
    type Target = AtomicI64;

    fn deref(&self) -> &AtomicI64 {
        &self.0
    }
}

/// Counters, error state and flags of one worker; atomics only.
pub struct WorkerState {
    /// Bits of [`status`] in force.
    pub status: AtomicU32,
    /// [`WorkerSpec::status`] when the state was made or last changed by the configuration.
    pub(super) configured: AtomicU32,
    /// Elections, requests in progress, bytes.
    pub tally: Tally,
    /// The election's running balance, which each election writes.
    pub lbstatus: Alone,
    /// When the error state began, in microseconds since 1970; 0 is never.
    pub error_time: AtomicI64,
    /// Times the retry time ran out since the last successful connect.
    pub retries: AtomicU32,
    /// Health checks passed, and failed, on the way to the number that changes something.
    pub passes: AtomicU32,
    /// See `passes`.
    pub fails: AtomicU32,
    /// Connections open, idle ones included.
    pub open: AtomicU32,
    /// Requests that wait for a connection because `max` is reached.
    pub(super) starving: AtomicU32,
    /// Told when a connection closed while somebody was waiting.
    pub(super) freed: Notify,
    /// Idle connections; made when the first one is given back.
    ///
    /// Apart, as it is large and most workers of a large configuration have none: states outlive their generation, and
    /// where large ones lie among those that go, their pages stay half empty.
    pub(super) pool: OnceLock<Box<Pool>>,
    /// No longer configured.
    pub(super) retired: AtomicBool,
    pub(super) addresses: ArcSwapOption<Addresses>,
    /// `addresses` holds some.
    pub(super) resolved: AtomicBool,
    /// The same worker through remote proxies: their connections are others.
    hops: ArcSwapOption<Vec<Hop>>,
}

/// A worker's state behind one remote proxy.
struct Hop {
    host: String,
    port: u16,
    state: Arc<WorkerState>,
}

impl WorkerState {
    /// Nothing happened yet; `status` as configured.
    pub fn new(status: u32) -> Self {
        Self {
            status: AtomicU32::new(status),
            configured: AtomicU32::new(status),
            tally: Tally::default(),
            lbstatus: Alone::default(),
            error_time: AtomicI64::new(0),
            retries: AtomicU32::new(0),
            passes: AtomicU32::new(0),
            fails: AtomicU32::new(0),
            open: AtomicU32::new(0),
            starving: AtomicU32::new(0),
            freed: Notify::new(),
            pool: OnceLock::new(),
            retired: AtomicBool::new(false),
            addresses: ArcSwapOption::empty(),
            resolved: AtomicBool::new(false),
            hops: ArcSwapOption::empty(),
        }
    }

    /// The state of this worker behind a remote proxy.
    pub(super) fn behind(&self, host: &str, port: u16) -> Arc<Self> {
        let find =
            |hops: &[Hop]| hops.iter().find(|hop| hop.host == host && hop.port == port).map(|hop| hop.state.clone());
        if let Some(known) = self.hops.load().as_ref().and_then(|hops| find(hops)) {
            return known;
        }
        let state = Arc::new(Self::new(status::IGNORE_ERRORS));
        self.hops.rcu(|hops| {
            let hops = hops.iter().flat_map(|hops| hops.iter());
            let new = Hop { host: host.to_owned(), port, state: state.clone() };
            Some(Arc::new(hops.map(Hop::share).chain([new]).collect::<Vec<_>>()))
        });
        // Another thread may have been first.
        self.hops.load().as_ref().and_then(|hops| find(hops)).unwrap_or(state)
    }

    /// Nobody will use it any more.
    fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
        self.hops.load().iter().flat_map(|hops| hops.iter()).for_each(|hop| hop.state.retire());
    }

    /// The status bits.
    #[inline]
    pub fn bits(&self) -> u32 {
        self.status.load(Ordering::Relaxed)
    }

    /// Whether requests may be sent.
    #[inline]
    pub fn is_usable(&self) -> bool {
        self.bits() & status::UNUSABLE == 0
    }

    /// Takes the worker out, unless its errors are ignored; whether it is out now.
    pub fn fail(&self, now: i64) -> bool {
        if self.bits() & status::IGNORE_ERRORS != 0 {
            return false;
        }
        self.error_time.store(now, Ordering::Relaxed);
        self.status.fetch_or(status::IN_ERROR, Ordering::Relaxed);
        true
    }

    /// Clears the error state when the retry time is over; whether it was.
    pub fn retry(&self, retry: Duration, now: i64) -> bool {
        if self.bits() & status::IN_ERROR == 0 {
            return false;
        }
        let retry = i64::try_from(retry.as_micros()).unwrap_or(i64::MAX);
        if self.bits() & status::STOPPED != 0 || now <= self.error_time.load(Ordering::Relaxed).saturating_add(retry) {
            return false;
        }
        self.retries.fetch_add(1, Ordering::Relaxed);
        self.status.fetch_and(!status::IN_ERROR, Ordering::Relaxed);
        true
    }

    /// A connection was made.
    pub(super) fn connected(&self) {
        if self.retries.load(Ordering::Relaxed) != 0 {
            self.retries.store(0, Ordering::Relaxed);
        }
        if self.error_time.load(Ordering::Relaxed) != 0 {
            self.error_time.store(0, Ordering::Relaxed);
        }
    }

    /// The configuration's status bits, where they changed, replace those in force.
    fn configure(&self, bits: u32) {
        if self.configured.swap(bits, Ordering::Relaxed) != bits {
            let found_out = self.bits() & (status::IN_ERROR | status::HC_FAILED);
            self.status.store(bits | found_out, Ordering::Relaxed);
        }
    }
}

impl Hop {
    fn share(&self) -> Self {
        Self { host: self.host.clone(), port: self.port, state: self.state.clone() }
    }
}

/// State of one balancer.
#[derive(Default)]
pub struct BalancerState {
    /// What the manager's forms must know, where `nonce=` does not say it.
    nonce: OnceLock<String>,
}

impl Balancer {
    /// A balancer with this state, beside what the configuration says of it.
    pub(super) fn new(spec: BalancerSpec, state: Arc<BalancerState>, written: Written<BalancerSpec>) -> Self {
        let named = Line::new(b"BALANCER_NAME", spec.name.as_bytes());
        Self { spec, state, written, named }
    }

    /// The same with other parameters than the configuration says.
    pub fn changed(&self, spec: BalancerSpec) -> Self {
        Self::new(spec, self.state.clone(), self.written.beside_changed(&self.spec))
    }

    /// The same with other members.
    pub fn with_members(&self, members: Vec<usize>, growth: Option<u32>) -> Self {
        let spec = BalancerSpec { members, growth, ..self.spec.clone() };
        Self::new(spec, self.state.clone(), self.written.clone())
    }

    /// What the manager's forms must know; empty: nothing can be changed.
    pub fn nonce(&self) -> &[u8] {
        match &self.spec.nonce {
            Some(nonce) => nonce,
            None => self.state.nonce.get_or_init(random_nonce).as_bytes(),
        }
    }
}

/// A random UUID; nothing where the system has no random numbers, so that nobody can guess it.
fn random_nonce() -> String {
    let mut bytes = [0; 16];
    if getrandom::fill(&mut bytes).is_err() {
        return String::new();
    }
    let mut text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    for at in [20, 16, 12, 8] {
        text.insert(at, '-');
    }
    text
}

impl Backends {
    /// With the state of workers and balancers that were there before, by their keys; the others start fresh. Nothing
    /// changes for those before: they may go on to be served, and are until [`Backends::take_over`].
    pub fn adopt(workers: Vec<WorkerSpec>, balancers: Vec<BalancerSpec>, previous: Option<&Self>) -> Self {
        let mut old_workers = previous.map(Self::by_key).unwrap_or_default();
        let old_balancers: HashMap<&str, &Arc<Balancer>, foldhash::fast::RandomState> =
            previous.iter().flat_map(|p| &p.balancers).map(|b| (b.spec.key.as_str(), b)).collect();
        let adopted = workers.into_iter().map(|spec| {
            let Some(old) = old_workers.remove(spec.key.as_str()) else {
                let state = Arc::new(WorkerState::new(spec.status));
                return Arc::new(Worker::new(spec, state));
            };
            let (spec, written) = spec.over_reload(&old.written, &old.spec);
            Arc::new(Worker { written, ..Worker::new(spec, old.state.clone()) })
        });
        let mut workers: Vec<_> = adopted.collect();
        let adopted = balancers.into_iter().map(|spec| {
            let Some((old, previous)) = old_balancers.get(spec.key.as_str()).zip(previous) else {
                return Arc::new(Balancer::new(spec, Arc::default(), Written::AsIs));
            };
            let (mut spec, written) = spec.over_reload(&old.written, &old.spec);
            keep_added(&mut workers, &mut spec, old, previous);
            Arc::new(Balancer::new(spec, old.state.clone(), written))
        });
        let balancers = adopted.collect();
        Self { workers, balancers, heartbeats: None }
    }

    fn by_key(&self) -> HashMap<&str, &Arc<Worker>, foldhash::fast::RandomState> {
        self.workers.iter().map(|worker| (worker.spec.key.as_str(), worker)).collect()
    }

    /// These are served from here on, in place of `previous`: what the configuration says of workers that both have
    /// holds, and those that only the others had are retired.
    pub fn take_over(&self, previous: &Self) {
        let mut gone = previous.by_key();
        for Worker { spec, state, .. } in self.workers.iter().map(|worker| &**worker) {
            if gone.remove(spec.key.as_str()).is_some() {
                state.configure(spec.status);
                if spec.health.method == CheckMethod::None && spec.status & status::HC_FAILED == 0 {
                    // Nobody would find out that it is well again.
                    state.status.fetch_and(!status::HC_FAILED, Ordering::Relaxed);
                }
            }
        }
        gone.values().for_each(|gone| gone.state.retire());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::spec::Scheme;
    use crate::upstream::tally::Count;

    const COUNTS: [Count; 4] = [Count::Elected, Count::Busy, Count::Transferred, Count::Read];

    fn spec(name: &str, status: u32) -> WorkerSpec {
        WorkerSpec { status, ..WorkerSpec::new(name.to_owned(), Scheme::Http, "h".to_owned(), 80) }
    }

    #[test]
    fn state_goes_on_over_a_reload_by_key() {
        let old = Backends::adopt(vec![spec("a", 0), spec("b", status::DRAIN), spec("c", 0)], Vec::new(), None);
        let (a, c) = (&old.workers[0].state, &old.workers[2].state);
        a.tally.add(Count::Elected, 7);
        assert!(a.fail(1_000_000));
        a.status.fetch_or(status::DISABLED, Ordering::Relaxed);
        let new = Backends::adopt(vec![spec("b", status::DRAIN), spec("a", 0)], Vec::new(), Some(&old));
        assert!(!c.retired.load(Ordering::Relaxed), "the old ones are served for as long as the new ones are not");
        new.take_over(&old);
        let state = &new.workers[1].state;
        assert_eq!(state.tally.get(Count::Elected), 7);
        assert_eq!(state.bits(), status::IN_ERROR | status::DISABLED);
        assert!(c.retired.load(Ordering::Relaxed) && !state.retired.load(Ordering::Relaxed));
        let newer = Backends::adopt(vec![spec("a", status::STOPPED)], Vec::new(), Some(&new));
        assert_eq!(state.bits(), status::IN_ERROR | status::DISABLED);
        newer.take_over(&new);
        assert_eq!(newer.workers[0].state.bits(), status::IN_ERROR | status::STOPPED);
    }

    /// One worker, and the same one after a reload for which `change` changed what is configured.
    fn reloaded(
        before: impl Fn(&mut WorkerSpec),
        happens: impl Fn(&WorkerState),
        change: impl Fn(&mut WorkerSpec),
    ) -> (Arc<Worker>, Arc<Worker>) {
        let mut first = spec("a", 0);
        before(&mut first);
        let old = Backends::adopt(vec![first.clone()], Vec::new(), None);
        happens(&old.workers[0].state);
        change(&mut first);
        let new = Backends::adopt(vec![first], Vec::new(), Some(&old));
        new.take_over(&old);
        (old.workers[0].clone(), new.workers[0].clone())
    }

    #[test]
    fn a_state_is_small() {
        assert!(size_of::<WorkerState>() <= 240, "{} bytes", size_of::<WorkerState>());
    }

    #[test]
    fn counters_go_on_over_a_reload() {
        let counted = |state: &WorkerState| {
            for (at, what) in COUNTS.into_iter().enumerate() {
                state.tally.add(what, at as u64 + 1);
            }
            state.lbstatus.store(-5, Ordering::Relaxed);
        };
        let (old, new) = reloaded(|_| {}, counted, |_| {});
        let state = &new.state;
        assert_eq!(COUNTS.map(|what| state.tally.get(what)), [1, 2, 3, 4]);
        assert_eq!(state.lbstatus.load(Ordering::Relaxed), -5);
        // A request in progress ends on the generation it began with, and is counted off here too.
        old.state.tally.sub(Count::Busy, 1);
        assert_eq!(state.tally.get(Count::Busy), 1);
    }

    #[test]
    fn errors_and_retry_clocks_go_on_over_a_reload() {
        let (_, new) = reloaded(
            |_| {},
            |state| {
                assert!(state.fail(5_000_000));
                state.retries.store(3, Ordering::Relaxed);
            },
            |_| {},
        );
        let state = &new.state;
        assert_eq!(state.bits(), status::IN_ERROR);
        assert!(!state.retry(Duration::from_secs(60), 64_000_000), "the clock goes on from the error");
        assert!(state.retry(Duration::from_secs(60), 65_000_001));
        assert_eq!(state.retries.load(Ordering::Relaxed), 4);
    }

    #[test]
    fn health_goes_on_over_a_reload_for_as_long_as_it_is_checked() {
        let checked = |spec: &mut WorkerSpec| spec.health.method = CheckMethod::Tcp;
        let ill = |state: &WorkerState| {
            state.status.fetch_or(status::HC_FAILED, Ordering::Relaxed);
            state.fails.store(2, Ordering::Relaxed);
        };
        let (_, new) = reloaded(checked, ill, |_| {});
        assert_eq!((new.state.bits(), new.state.fails.load(Ordering::Relaxed)), (status::HC_FAILED, 2));
        let (_, new) = reloaded(checked, ill, |spec| spec.health.method = CheckMethod::None);
        assert_eq!(new.state.bits(), 0);
    }

    #[test]
    fn what_was_switched_by_hand_stays_unless_the_configuration_changes_it() {
        let drained = |state: &WorkerState| {
            state.status.fetch_or(status::DRAIN, Ordering::Relaxed);
        };
        let (_, new) = reloaded(|_| {}, drained, |_| {});
        assert_eq!(new.state.bits(), status::DRAIN);
        let (_, new) = reloaded(|_| {}, drained, |spec| spec.status = status::DISABLED);
        assert_eq!(new.state.bits(), status::DISABLED);
    }

    #[test]
    fn connections_and_addresses_go_on_over_a_reload() {
        let found = Addresses { list: vec![SocketAddr::from(([127, 0, 0, 1], 80))], found: Instant::now() };
        let found = Arc::new(found);
        let (old, new) = reloaded(
            |_| {},
            |state| {
                state.open.store(2, Ordering::Relaxed);
                state.pool.get_or_init(Box::default);
                state.addresses.store(Some(found.clone()));
            },
            |_| {},
        );
        assert!(Arc::ptr_eq(&old.state, &new.state) && new.state.pool.get().is_some());
        assert_eq!(new.state.open.load(Ordering::Relaxed), 2);
        assert!(new.state.addresses.load().as_ref().is_some_and(|addresses| Arc::ptr_eq(addresses, &found)));
    }

    #[test]
    fn parameters_are_those_of_the_new_configuration() {
        let (old, new) = reloaded(|spec| spec.reuse = true, |_| {}, |spec| spec.reuse = false);
        assert!(old.spec.reuse && !new.spec.reuse);
    }

    #[test]
    fn an_error_lasts_for_the_retry_time() {
        let state = WorkerState::new(0);
        let minute = Duration::from_secs(60);
        assert!(state.fail(1_000_000) && !state.is_usable());
        assert!(!state.retry(minute, 61_000_000));
        assert!(state.retry(minute, 61_000_001) && state.is_usable());
        assert_eq!(state.retries.load(Ordering::Relaxed), 1);
        state.status.store(status::STOPPED | status::IN_ERROR, Ordering::Relaxed);
        assert!(!state.retry(minute, i64::MAX));
        let ignoring = WorkerState::new(status::IGNORE_ERRORS);
        assert!(!ignoring.fail(1) && ignoring.is_usable());
        // `status=+E` has no error time: over at once.
        let initial = WorkerState::new(status::IN_ERROR);
        assert!(initial.retry(minute, 1_700_000_000_000_000));
    }
}

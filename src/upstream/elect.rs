//! Who gets a request: httpd's arithmetic over the members' shared counters.

use std::sync::atomic::Ordering::Relaxed;

use smallvec::SmallVec;

use super::spec::{BalancerSpec, LbMethod, status};
use super::tally::Count;
use super::worker::{Backends, Worker};

/// The members of a balancer that are there, in definition order.
pub(super) fn members<'a>(backends: &'a Backends, spec: &'a BalancerSpec) -> impl Iterator<Item = &'a Worker> + Clone {
    spec.members.iter().filter_map(|at| backends.workers.get(*at).map(|worker| &**worker))
}

fn factor(worker: &Worker) -> i64 {
    i64::from(worker.spec.load_factor)
}

/// Whether requests may be sent to it, now that its retry time may be over.
pub(super) fn usable_or_retried(worker: &Worker, now: i64) -> bool {
    worker.state.is_usable() || (worker.state.retry(worker.spec.retry, now) && worker.state.is_usable())
}

/// The competition of one election.
struct Race<'a> {
    method: LbMethod,
    best: Option<&'a Worker>,
    /// What the best has to be beaten by.
    mark: (u64, i64),
    total: i64,
}

impl<'a> Race<'a> {
    fn enter(&mut self, worker: &'a Worker) {
        let state = &worker.state;
        let factor = factor(worker);
        let mark = match self.method {
            LbMethod::ByRequests | LbMethod::ByBusyness => {
                self.total += factor;
                let balance = state.lbstatus.fetch_add(factor, Relaxed) + factor;
                let busy = if self.method == LbMethod::ByBusyness { state.tally.get(Count::Busy) } else { 0 };
                (busy, -balance)
            }
            LbMethod::ByTraffic => {
                let factor = u64::from(worker.spec.load_factor).max(1);
                (state.tally.get(Count::Transferred) / factor + state.tally.get(Count::Read) / factor, 0)
            }
            // That is not for those who count: see [`super::heartbeat`].
            LbMethod::Heartbeat => return,
        };
        if self.best.is_none() || mark < self.mark {
            (self.best, self.mark) = (Some(worker), mark);
        }
    }
}

/// Elects a member by the balancer's method: set by set, ordinary members first, a spare for each that is not usable,
/// standbys when nobody else is there.
pub fn elect<'a>(backends: &'a Backends, spec: &'a BalancerSpec, now: i64) -> Option<&'a Worker> {
    let last = members(backends, spec).map(|worker| worker.spec.lbset).max()?;
    let mut race = Race { method: spec.method, best: None, mark: (0, 0), total: 0 };
    let mut set = 0;
    while set <= last {
        let mut spares: SmallVec<[&Worker; 4]> = SmallVec::new();
        let mut standbys: SmallVec<[&Worker; 4]> = SmallVec::new();
        let mut unusable = 0;
        let mut next = last + 1;
        for worker in members(backends, spec) {
            if worker.spec.lbset != set {
                if worker.spec.lbset > set {
                    next = next.min(worker.spec.lbset);
                }
                continue;
            }
            let bits = worker.state.bits();
            let reserve = bits & (status::HOT_SPARE | status::HOT_STANDBY) != 0;
            if bits & status::DRAIN != 0 || !usable_or_retried(worker, now) {
                unusable += usize::from(!reserve);
            } else if bits & status::HOT_SPARE != 0 {
                spares.push(worker);
            } else if reserve {
                standbys.push(worker);
            } else {
                race.enter(worker);
            }
        }
        for spare in spares.into_iter().take(unusable) {
            race.enter(spare);
        }
        if race.best.is_none() {
            standbys.into_iter().for_each(|standby| race.enter(standby));
        }
        if race.best.is_some() {
            break;
        }
        set = next;
    }
    let best = race.best?;
    if race.total != 0 {
        best.state.lbstatus.fetch_sub(race.total, Relaxed);
    }
    best.state.tally.add(Count::Elected, 1);
    Some(best)
}

/// The accounting for a member that a session chose: as if all usable members had competed.
pub(super) fn account(backends: &Backends, spec: &BalancerSpec, chosen: &Worker) {
    let mut total = 0;
    for worker in members(backends, spec).filter(|worker| worker.state.is_usable()) {
        worker.state.lbstatus.fetch_add(factor(worker), Relaxed);
        total += factor(worker);
    }
    chosen.state.lbstatus.fetch_sub(total, Relaxed);
    chosen.state.tally.add(Count::Elected, 1);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::upstream::spec::{Scheme, WorkerSpec};

    fn member(n: usize, factor: u32) -> WorkerSpec {
        WorkerSpec { load_factor: factor, ..WorkerSpec::new(format!("http://m{n}"), Scheme::Http, format!("m{n}"), 80) }
    }

    fn balancer(method: LbMethod, members: usize) -> BalancerSpec {
        BalancerSpec {
            name: "balancer://b".to_owned(),
            key: "balancer://b".to_owned(),
            members: (0..members).collect(),
            method,
            sticky: None,
            no_failover: false,
            timeout: None,
            max_attempts: None,
            fail_on_status: Vec::new(),
            fail_on_timeout: false,
            force_recovery: true,
            nonce: None,
            growth: None,
        }
    }

    fn setup(method: LbMethod, specs: Vec<WorkerSpec>) -> (Backends, BalancerSpec) {
        let spec = balancer(method, specs.len());
        (Backends::adopt(specs, Vec::new(), None), spec)
    }

    fn number(backends: &Backends, worker: &Worker) -> usize {
        1 + backends.workers.iter().position(|other| std::ptr::eq(&**other, worker)).unwrap()
    }

    /// The members elected in `n` elections, one request at a time; `each` sees every elected one.
    fn sequence(backends: &Backends, spec: &BalancerSpec, n: usize, each: impl Fn(&Worker)) -> Vec<usize> {
        (0..n)
            .map(|_| {
                let chosen = elect(backends, spec, 1).unwrap();
                each(chosen);
                number(backends, chosen)
            })
            .collect()
    }

    fn factors(list: &[u32]) -> Vec<WorkerSpec> {
        list.iter().enumerate().map(|(n, factor)| member(n, *factor)).collect()
    }

    #[test]
    fn byrequests_as_httpd_counts() {
        let (b, s) = setup(LbMethod::ByRequests, factors(&[100, 200, 300]));
        assert_eq!(sequence(&b, &s, 12, |_| ()), [3, 2, 1, 3, 2, 3, 3, 2, 1, 3, 2, 3]);
        let (b, s) = setup(LbMethod::ByRequests, factors(&[100, 100, 100]));
        assert_eq!(sequence(&b, &s, 6, |_| ()), [1, 2, 3, 1, 2, 3]);
    }

    #[test]
    fn bytraffic_as_httpd_counts() {
        let (b, s) = setup(LbMethod::ByTraffic, factors(&[100, 200, 300]));
        let each = |worker: &Worker| {
            worker.state.tally.add(Count::Transferred, 167);
            worker.state.tally.add(Count::Read, 20);
        };
        assert_eq!(sequence(&b, &s, 12, each), [1, 2, 2, 3, 3, 1, 2, 3, 3, 2, 3, 3]);
    }

    #[test]
    fn bybusyness_avoids_the_busy_and_counts_like_byrequests_otherwise() {
        let (b, s) = setup(LbMethod::ByBusyness, factors(&[100, 200, 300]));
        assert_eq!(sequence(&b, &s, 6, |_| ()), [3, 2, 1, 3, 2, 3]);
        b.workers[2].state.tally.add(Count::Busy, 1);
        assert!(!sequence(&b, &s, 6, |_| ()).contains(&3));
    }

    #[test]
    fn a_member_in_error_keeps_its_balance() {
        let (b, s) = setup(LbMethod::ByRequests, factors(&[100, 100]));
        b.workers[0].state.fail(i64::MAX / 2);
        assert_eq!(sequence(&b, &s, 3, |_| ()), [2, 2, 2]);
        assert_eq!(b.workers[0].state.lbstatus.load(Relaxed), 0);
    }

    #[test]
    fn sets_spares_standbys_and_draining_members() {
        let with = |specs: &[(u32, u32)]| {
            let make = |(n, (lbset, status)): (usize, &(u32, u32))| WorkerSpec {
                lbset: *lbset,
                status: *status,
                ..member(n, 100)
            };
            setup(LbMethod::ByRequests, specs.iter().enumerate().map(make).collect())
        };
        // A standby of set 0 comes before any member of set 1.
        let (b, s) = with(&[(0, status::DISABLED), (0, status::HOT_STANDBY), (1, 0)]);
        assert_eq!(sequence(&b, &s, 2, |_| ()), [2, 2]);
        b.workers[1].state.status.fetch_or(status::STOPPED, Relaxed);
        assert_eq!(sequence(&b, &s, 1, |_| ()), [3]);
        // One spare for each member that is out; it shares with the others.
        let (b, s) = with(&[(0, 0), (0, 0), (0, status::HOT_SPARE), (0, status::HOT_SPARE)]);
        assert_eq!(sequence(&b, &s, 4, |_| ()), [1, 2, 1, 2]);
        b.workers[0].state.status.fetch_or(status::DISABLED, Relaxed);
        assert_eq!(sequence(&b, &s, 4, |_| ()), [2, 3, 2, 3]);
        // A draining member counts as out.
        let (b, s) = with(&[(0, status::DRAIN), (0, status::HOT_SPARE), (0, status::HOT_STANDBY)]);
        assert_eq!(sequence(&b, &s, 2, |_| ()), [2, 2]);
        let (b, s) = with(&[(3, status::HC_FAILED), (3, status::DRAIN)]);
        assert!(elect(&b, &s, 1).is_none());
    }

    proptest! {
        /// Over a whole round of sum/gcd requests each member gets its share, whatever the factors.
        #[test]
        fn byrequests_is_fair(list in proptest::collection::vec(1_u32..20, 1..6)) {
            let (b, s) = setup(LbMethod::ByRequests, factors(&list.iter().map(|f| f * 100).collect::<Vec<_>>()));
            let round: u32 = list.iter().sum();
            let chosen = sequence(&b, &s, round as usize, |_| ());
            for (n, factor) in list.iter().enumerate() {
                prop_assert_eq!(chosen.iter().filter(|c| **c == n + 1).count(), *factor as usize);
            }
            prop_assert!(b.workers.iter().all(|w| w.state.lbstatus.load(Relaxed) == 0));
        }

        /// Whoever is elected is usable, and nobody is elected only if nobody may be.
        #[test]
        fn the_elected_is_usable(bits in proptest::collection::vec((0_u32..3, 0_u32..256), 1..6)) {
            let specs = bits.iter().enumerate().map(|(n, (lbset, status))| WorkerSpec {
                lbset: *lbset, status: *status & !status::IN_ERROR, ..member(n, 100)
            }).collect();
            let (b, s) = setup(LbMethod::ByRequests, specs);
            match elect(&b, &s, 1) {
                Some(chosen) => prop_assert!(chosen.state.is_usable() && chosen.state.bits() & status::DRAIN == 0),
                None => {
                    let could = |w: &std::sync::Arc<Worker>| w.state.is_usable()
                        && w.state.bits() & (status::DRAIN | status::HOT_SPARE) == 0;
                    prop_assert!(!b.workers.iter().any(could));
                }
            }
        }
    }
}

//! What the balancer manager has changed, over a reload: each value stays as it was changed, unless the configuration
//! now says of it something else than before.

use std::collections::HashSet;
use std::sync::Arc;

use super::spec::{BalancerSpec, WorkerSpec};
use super::worker::{Backends, Balancer, Worker};

/// What the configuration says, beside parameters in force.
#[derive(Clone, Debug, Default)]
pub(super) enum Written<T> {
    /// Just those.
    #[default]
    AsIs,
    /// Others: something was changed.
    Otherwise(Arc<T>),
    /// Nothing: the manager has added this.
    Nowhere,
}

impl<T: Clone> Written<T> {
    /// The same, once `spec` has been changed.
    pub(super) fn beside_changed(&self, spec: &T) -> Self {
        match self {
            Self::AsIs => Self::Otherwise(Arc::new(spec.clone())),
            known => known.clone(),
        }
    }
}

/// Parameters that can be changed.
pub(super) trait Edited: Clone {
    /// Takes over the values `now` in force of which the configuration says the same as it did in `written`.
    fn take_over(&mut self, written: &Self, now: &Self);

    /// What a reload makes of parameters in force, and what the configuration, `self`, says beside them.
    fn over_reload(self, written: &Written<Self>, now: &Self) -> (Self, Written<Self>) {
        let Written::Otherwise(written) = written else { return (self, Written::AsIs) };
        let mut next = self.clone();
        next.take_over(written, now);
        (next, Written::Otherwise(Arc::new(self)))
    }
}

impl Edited for WorkerSpec {
    fn take_over(&mut self, written: &Self, now: &Self) {
        keep(&mut self.load_factor, &written.load_factor, &now.load_factor);
        keep(&mut self.lbset, &written.lbset, &now.lbset);
        keep(&mut self.route, &written.route, &now.route);
        keep(&mut self.redirect, &written.redirect, &now.redirect);
        let (next, written, now) = (&mut self.health, &written.health, &now.health);
        keep(&mut next.method, &written.method, &now.method);
        keep(&mut next.interval, &written.interval, &now.interval);
        keep(&mut next.passes, &written.passes, &now.passes);
        keep(&mut next.fails, &written.fails, &now.fails);
        keep(&mut next.uri, &written.uri, &now.uri);
        let [said, before, chosen] = [&*next, written, now].map(|spec| spec.condition.as_ref().map(|(name, _)| name));
        // What a name stands for is as configured now, but for one that only the manager chose.
        if said == before && said != chosen {
            next.condition.clone_from(&now.condition);
        }
    }
}

impl Edited for BalancerSpec {
    fn take_over(&mut self, written: &Self, now: &Self) {
        keep(&mut self.method, &written.method, &now.method);
        keep(&mut self.timeout, &written.timeout, &now.timeout);
        keep(&mut self.max_attempts, &written.max_attempts, &now.max_attempts);
        keep(&mut self.no_failover, &written.no_failover, &now.no_failover);
        keep(&mut self.sticky, &written.sticky, &now.sticky);
    }
}

fn keep<T: Clone + PartialEq>(next: &mut T, written: &T, now: &T) {
    if next == written {
        next.clone_from(now);
    }
}

/// Puts the members that the manager added to `old` behind those of the same balancer now, but for those that the
/// configuration has by now.
pub(super) fn keep_added(workers: &mut Vec<Arc<Worker>>, spec: &mut BalancerSpec, old: &Balancer, previous: &Backends) {
    let there = |at: &usize| previous.workers.get(*at).filter(|worker| matches!(worker.written, Written::Nowhere));
    let mut added = old.spec.members.iter().filter_map(there).peekable();
    if added.peek().is_none() {
        return;
    }
    let member = |at: &usize| workers.get(*at).map(|worker| worker.spec.key.clone());
    let configured: HashSet<String> = spec.members.iter().filter_map(member).collect();
    let server = spec.members.first().and_then(|at| workers.get(*at)).map(|first| first.spec.server);
    for worker in added.filter(|worker| !configured.contains(&worker.spec.key)) {
        let kept = WorkerSpec { server: server.unwrap_or(worker.spec.server), ..worker.spec.clone() };
        spec.members.push(workers.len());
        spec.growth = spec.growth.map(|growth| growth.saturating_sub(1));
        workers.push(Arc::new(Worker::added(kept, worker.state.clone())));
    }
}

/// Specs for tests.
#[cfg(test)]
pub(super) mod testing {
    use super::{BalancerSpec, WorkerSpec};
    use crate::upstream::spec::{LbMethod, Scheme};

    pub(in super::super) fn member(name: &str) -> WorkerSpec {
        WorkerSpec::new(name.to_owned(), Scheme::Http, "h".to_owned(), 80)
    }

    pub(in super::super) fn balancer(members: Vec<usize>) -> BalancerSpec {
        BalancerSpec {
            name: "balancer://b".to_owned(),
            key: "b".to_owned(),
            members,
            method: LbMethod::ByRequests,
            sticky: None,
            no_failover: false,
            timeout: None,
            max_attempts: None,
            fail_on_status: Vec::new(),
            fail_on_timeout: false,
            force_recovery: true,
            nonce: None,
            growth: Some(2),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use super::testing::{balancer, member};
    use super::*;
    use crate::upstream::WorkerState;
    use crate::upstream::spec::{CheckMethod, LbMethod, Sticky, status};

    fn changed(spec: &WorkerSpec) -> WorkerSpec {
        let mut spec = spec.clone();
        (spec.load_factor, spec.lbset, spec.route, spec.redirect) = (250, 3, b"r".to_vec(), b"s".to_vec());
        (spec.health.method, spec.health.uri) = (CheckMethod::Get, b"/up".to_vec());
        (spec.health.interval, spec.health.passes, spec.health.fails) = (Duration::from_secs(7), 8, 9);
        spec
    }

    fn values(spec: &WorkerSpec) -> impl PartialEq + std::fmt::Debug + use<> {
        let health = spec.health.clone();
        let checks = (health.method, health.interval, health.passes, health.fails, health.uri);
        (spec.load_factor, spec.lbset, spec.route.clone(), spec.redirect.clone(), checks)
    }

    #[test]
    fn a_members_parameters_stay_as_they_were_changed() {
        let old = Backends::adopt(vec![member("a")], Vec::new(), None);
        let (before, edited) = (old.workers[0].spec.clone(), changed(&old.workers[0].spec));
        let old = Backends { workers: vec![Arc::new(old.workers[0].changed(edited.clone()))], ..old };
        let new = Backends::adopt(vec![before.clone()], Vec::new(), Some(&old));
        assert_eq!(values(&new.workers[0].spec), values(&edited));
        // Another value of the configuration wins, and the others stay; also over reloads that change nothing.
        let said = WorkerSpec { lbset: 5, ..before.clone() };
        let newer = Backends::adopt(vec![said.clone()], Vec::new(), Some(&new));
        let newest = Backends::adopt(vec![said], Vec::new(), Some(&newer));
        assert_eq!(values(&newest.workers[0].spec), values(&WorkerSpec { lbset: 5, ..edited }));
        // What was never changed is as configured.
        let plain = Backends::adopt(vec![before.clone()], Vec::new(), None);
        let next = Backends::adopt(vec![changed(&before)], Vec::new(), Some(&plain));
        assert_eq!(values(&next.workers[0].spec), values(&changed(&before)));
    }

    #[test]
    fn a_balancers_parameters_stay_as_they_were_changed() {
        let mut old = Backends::adopt(vec![member("a")], vec![balancer(vec![0])], None);
        let sticky =
            Sticky { cookie: b"X".to_vec(), param: b"x".to_vec(), separator: Some(b'.'), semicolon_ends: false };
        let edited = BalancerSpec {
            method: LbMethod::ByTraffic,
            timeout: Some(Duration::from_secs(9)),
            max_attempts: Some(4),
            no_failover: true,
            sticky: Some(sticky.clone()),
            ..balancer(vec![0])
        };
        old.balancers[0] = Arc::new(old.balancers[0].changed(edited));
        let said = BalancerSpec { max_attempts: Some(7), ..balancer(vec![0]) };
        let new = Backends::adopt(vec![member("a")], vec![said], Some(&old));
        let spec = &new.balancers[0].spec;
        assert_eq!((spec.method, spec.no_failover, &spec.sticky), (LbMethod::ByTraffic, true, &Some(sticky)));
        assert_eq!((spec.timeout, spec.max_attempts), (Some(Duration::from_secs(9)), Some(7)));
        assert!(Arc::ptr_eq(&new.balancers[0].state, &old.balancers[0].state));
    }

    #[test]
    fn added_members_stay_until_the_configuration_has_them() {
        let mut old = Backends::adopt(vec![member("a")], vec![balancer(vec![0])], None);
        let spec = WorkerSpec { status: status::DISABLED, ..member("new") };
        let state = Arc::new(WorkerState::new(spec.status));
        state.status.store(0, Ordering::Relaxed);
        old.workers.push(Arc::new(Worker::added(spec, state.clone())));
        old.balancers[0] = Arc::new(old.balancers[0].with_members(vec![0, 1], Some(1)));
        // Other workers come in front of it.
        let set = vec![member("x"), member("a")];
        let new = Backends::adopt(set.clone(), vec![balancer(vec![1])], Some(&old));
        let newer = Backends::adopt(set, vec![balancer(vec![1])], Some(&new));
        let spec = &newer.balancers[0].spec;
        assert_eq!((spec.members.as_slice(), spec.growth), ([1, 2].as_slice(), Some(1)));
        let member_of = |backends: &Backends, at: usize| backends.workers[at].spec.name.clone();
        assert_eq!(member_of(&newer, 2), "new");
        assert!(Arc::ptr_eq(&newer.workers[2].state, &state) && !state.retired.load(Ordering::Relaxed));
        assert_eq!(state.bits(), 0, "it was enabled by hand");
        let last = Backends::adopt(vec![member("new"), member("a")], vec![balancer(vec![1, 0])], Some(&newer));
        assert_eq!((last.workers.len(), last.balancers[0].spec.growth), (2, Some(2)));
        assert!(Arc::ptr_eq(&last.workers[0].state, &state));
        let without = Backends::adopt(vec![member("a")], Vec::new(), Some(&newer));
        without.take_over(&newer);
        assert!(without.workers.len() == 1 && state.retired.load(Ordering::Relaxed));
    }
}

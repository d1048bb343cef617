//! The backends in force: as configured, and as the manager changed them since.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::spec::{BalancerSpec, WorkerSpec};
use super::worker::{Backends, Worker};

/// One generation's backends. What the manager changes is put in their place as a whole.
pub struct Current {
    now: ArcSwap<Backends>,
    version: AtomicU64,
    changed: Notify,
    /// Those of the generation that is made to be served after this one, or is served by now: who still changes these
    /// means those as well. Locked by who changes something, and while the next ones are made.
    next: Mutex<Weak<Self>>,
}

impl Default for Current {
    fn default() -> Self {
        Self::new(Backends::default())
    }
}

impl Current {
    /// These, unchanged.
    pub fn new(backends: Backends) -> Self {
        Self {
            now: ArcSwap::from_pointee(backends),
            version: AtomicU64::new(0),
            changed: Notify::new(),
            next: Mutex::default(),
        }
    }

    /// Those of the next generation, which `make` makes of these. What is changed from here on is changed in both.
    pub fn succeed(&self, make: impl FnOnce(&Backends) -> Backends) -> Arc<Self> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let made = Arc::new(Self::new(make(&self.now.load())));
        *next = Arc::downgrade(&made);
        made
    }

    /// The backends.
    pub fn load(&self) -> Arc<Backends> {
        self.now.load_full()
    }

    /// Counts changes: who has kept the backends asks whether they still are.
    #[inline]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Puts changed ones in their place. Requests under way end with those they began with.
    fn change(&self, change: &dyn Fn(&mut Backends)) {
        let next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        self.now.rcu(|now| {
            let mut next = Backends::clone(now);
            change(&mut next);
            next
        });
        self.version.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_waiters();
        let next = next.upgrade();
        if let Some(next) = next {
            next.change(change);
        }
    }

    /// Puts those of an earlier process in their place, before anybody is served.
    pub fn restore(&self, backends: &Backends) {
        self.change(&|now| now.clone_from(backends));
    }

    /// Changes the parameters of the worker with this key.
    pub fn change_worker(&self, key: &str, change: impl Fn(&mut WorkerSpec)) {
        self.change(&|backends| {
            if let Some(place) = backends.workers.iter_mut().find(|worker| worker.spec.key == key) {
                let mut spec = place.spec.clone();
                change(&mut spec);
                *place = Arc::new(place.changed(spec));
            }
        });
    }

    /// Changes the parameters of the balancer with this key.
    pub fn change_balancer(&self, key: &str, change: impl Fn(&mut BalancerSpec)) {
        self.change(&|backends| {
            if let Some(place) = backends.balancers.iter_mut().find(|balancer| balancer.spec.key == key) {
                let mut spec = place.spec.clone();
                change(&mut spec);
                *place = Arc::new(place.changed(spec));
            }
        });
    }

    /// Adds a member to the balancer with this key.
    pub fn add_member(&self, key: &str, worker: &Arc<Worker>) {
        self.change(&|backends| {
            let Backends { workers, balancers, .. } = backends;
            let Some(place) = balancers.iter_mut().find(|balancer| balancer.spec.key == key) else { return };
            let of = |at: &usize| workers.get(*at).map(|member| member.spec.key.as_str());
            if place.spec.members.iter().any(|at| of(at) == Some(&worker.spec.key)) {
                // A configuration that is being read has it.
                return;
            }
            let members = place.spec.members.iter().copied().chain([workers.len()]).collect();
            *place = Arc::new(place.with_members(members, place.spec.growth.map(|growth| growth.saturating_sub(1))));
            workers.push(worker.clone());
        });
    }

    /// Ready with the next change.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::WorkerState;
    use crate::upstream::edits::testing::{balancer, member};

    #[test]
    fn what_is_changed_while_the_next_generation_is_made_is_changed_there_as_well() {
        let first = Current::new(Backends::adopt(vec![member("a"), member("b")], vec![balancer(vec![0])], None));
        let second = first
            .succeed(|first| Backends::adopt(vec![member("x"), member("a")], vec![balancer(vec![1])], Some(first)));
        first.change_worker("a", |spec| spec.lbset = 7);
        first.change_worker("b", |spec| spec.lbset = 8);
        first.change_balancer("b", |spec| spec.max_attempts = Some(3));
        let state = Arc::new(WorkerState::new(0));
        first.add_member("b", &Arc::new(Worker::added(member("new"), state)));
        let third = second.succeed(|second| Backends::adopt(vec![member("a")], vec![balancer(vec![0])], Some(second)));
        // Whoever still has the first page changes the last generation.
        first.change_worker("a", |spec| spec.route = b"late".to_vec());
        for (current, at) in [(&*second, 1), (&*third, 0)] {
            let now = current.load();
            let spec = &now.workers[at].spec;
            assert_eq!((spec.name.as_str(), spec.lbset, spec.route.as_slice()), ("a", 7, &b"late"[..]));
            let spec = &now.balancers[0].spec;
            assert_eq!((spec.max_attempts, spec.members.len(), spec.growth), (Some(3), 2, Some(1)));
            assert_eq!(now.workers[spec.members[1]].spec.name, "new");
        }
        drop(third);
        second.change_worker("x", |spec| spec.lbset = 1);
        assert_eq!(second.load().workers[0].spec.lbset, 1);
    }
}

//! Floor 5: workers, pools, balancers, backends.
//!
//! [`spec`] is what the configuration says, immutable; [`WorkerState`] and [`BalancerState`] are what happens, kept
//! over reloads by [`Backends::adopt`].

mod forward;
pub mod spec;

pub use forward::forward;

use std::sync::Arc;

use spec::{BalancerSpec, WorkerSpec};

/// All backends of a generation: in the process-wide values of `modules::proxy`.
#[derive(Clone, Default)]
pub struct Backends {
    /// Workers; [`spec::Choice::Worker`] and [`BalancerSpec::members`] index this.
    pub workers: Vec<Arc<Worker>>,
    /// Balancers.
    pub balancers: Vec<Arc<Balancer>>,
}

/// A worker: what was configured, and its state.
pub struct Worker {
    /// As configured.
    pub spec: WorkerSpec,
    /// What happened, shared by all threads and kept over reloads.
    pub state: Arc<WorkerState>,
}

/// A balancer: what was configured, and its state.
pub struct Balancer {
    /// As configured.
    pub spec: BalancerSpec,
    /// What happened.
    pub state: Arc<BalancerState>,
}

/// Counters, error state and flags of one worker; atomics only.
#[derive(Default)]
pub struct WorkerState {
    /// Bits of [`spec::status`] in force.
    pub status: std::sync::atomic::AtomicU32,
}

/// State of one balancer.
#[derive(Default)]
pub struct BalancerState {}

impl Backends {
    /// Takes over the state of workers and balancers that were there before, by their keys; the others start fresh.
    pub fn adopt(workers: Vec<WorkerSpec>, balancers: Vec<BalancerSpec>, previous: Option<&Self>) -> Self {
        let old_worker = |key: &str| previous?.workers.iter().find(|worker| worker.spec.key == key);
        let old_balancer = |key: &str| previous?.balancers.iter().find(|balancer| balancer.spec.key == key);
        Self {
            workers: workers
                .into_iter()
                .map(|spec| {
                    let state = old_worker(&spec.key).map_or_else(Default::default, |old| old.state.clone());
                    Arc::new(Worker { spec, state })
                })
                .collect(),
            balancers: balancers
                .into_iter()
                .map(|spec| {
                    let state = old_balancer(&spec.key).map_or_else(Default::default, |old| old.state.clone());
                    Arc::new(Balancer { spec, state })
                })
                .collect(),
        }
    }
}

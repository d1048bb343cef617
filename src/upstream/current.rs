//! The backends in force: as configured, and as the manager changed them since.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::worker::Backends;

/// One generation's backends. What the manager changes is put in their place as a whole.
pub struct Current {
    now: ArcSwap<Backends>,
    version: AtomicU64,
    changed: Notify,
}

impl Default for Current {
    fn default() -> Self {
        Self::new(Backends::default())
    }
}

impl Current {
    /// These, unchanged.
    pub fn new(backends: Backends) -> Self {
        Self { now: ArcSwap::from_pointee(backends), version: AtomicU64::new(0), changed: Notify::new() }
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
    pub fn change(&self, change: impl Fn(&mut Backends)) {
        self.now.rcu(|now| {
            let mut next = Backends::clone(now);
            change(&mut next);
            next
        });
        self.version.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    /// Ready with the next change.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }
}

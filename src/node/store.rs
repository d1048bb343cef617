//! All sessions of an application, in shards so that two requests seldom wait for each other.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;

use super::session::Session;

const SHARDS: usize = 64;

type Shard = HashMap<Arc<str>, Session, RandomState>;

/// Sessions by id.
#[derive(Debug)]
pub struct Store {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
}

impl Default for Store {
    fn default() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, hasher: RandomState::default() }
    }
}

impl Store {
    fn shard(&self, id: &str) -> Option<MutexGuard<'_, Shard>> {
        let at = (self.hasher.hash_one(id) >> 32) as usize % SHARDS;
        self.shards.get(at).map(lock)
    }

    /// Works with a session.
    pub fn with<R>(&self, id: &str, work: impl FnOnce(&mut Session) -> R) -> Option<R> {
        self.shard(id)?.get_mut(id).map(work)
    }

    /// Puts a session in; the one that had its id, if any.
    pub fn insert(&self, session: Session) -> Option<Session> {
        let id = Arc::clone(&session.id);
        self.shard(&id)?.insert(id, session)
    }

    /// Takes a session out.
    pub fn remove(&self, id: &str) -> Option<Session> {
        self.shard(id)?.remove(id)
    }

    /// Takes a session out if it is as it should be.
    pub fn remove_if(&self, id: &str, fits: impl FnOnce(&Session) -> bool) -> Option<Session> {
        let mut shard = self.shard(id)?;
        if shard.get(id).is_some_and(fits) { shard.remove(id) } else { None }
    }

    /// Every session, shard by shard; what is put in meanwhile may be missed.
    pub fn each(&self, mut look: impl FnMut(&mut Session)) {
        for shard in &self.shards {
            lock(shard).values_mut().for_each(&mut look);
        }
    }

    /// The ids of the sessions that fit.
    pub fn ids(&self, fits: impl Fn(&Session) -> bool) -> Vec<Arc<str>> {
        let mut ids = Vec::new();
        self.each(|session| {
            if fits(session) {
                ids.push(Arc::clone(&session.id));
            }
        });
        ids
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| lock(shard).is_empty())
    }

    /// Takes all out.
    pub fn clear(&self) {
        self.shards.iter().for_each(|shard| lock(shard).clear());
    }
}

/// A panic while a session was changed leaves one session half changed, not the application without sessions.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Changes that came in front of their session.
//!
//! A Tomcat that sends without acknowledgement (`channelSendOptions="8"`) hands each message to a pool of threads and
//! connections: what the request that made a session set in it overtakes the news of the session, and a Tomcat that
//! receives it so drops it. Here it waits a moment for its session.
//!
//! In the same way a change is under way while the user already comes to another node, which gives the session an id of
//! its own: for a moment it is known what the session is called now.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How long, in milliseconds. The news is on its way already, on another connection.
const WAIT: i64 = 3000;
/// How many changes wait, and their bytes: those of sessions that are over wait in vain.
const COUNT: usize = 1024;
const BYTES: usize = 4 << 20;

/// What waits, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Early(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    deltas: VecDeque<Delta>,
    bytes: usize,
    /// When a session got another id: the one before, the new one.
    renamed: VecDeque<(i64, String, String)>,
}

#[derive(Debug)]
struct Delta {
    since: i64,
    session: String,
    payload: Vec<u8>,
}

impl Early {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A change of a session that is not here.
    pub(super) fn keep(&self, session: &str, payload: &[u8], now: i64) {
        let mut waiting = self.waiting();
        waiting.bytes += payload.len();
        waiting.deltas.push_back(Delta { since: now, session: session.to_owned(), payload: payload.to_vec() });
        while waiting.bytes > BYTES || waiting.deltas.len() > COUNT || waiting.is_stale(now) {
            let gone = waiting.deltas.pop_front().map_or(0, |delta| delta.payload.len());
            waiting.bytes = waiting.bytes.saturating_sub(gone);
        }
    }

    /// The changes of a session that is here now, in order.
    pub(super) fn take(&self, session: &str, now: i64) -> Vec<Vec<u8>> {
        let mut waiting = self.waiting();
        if waiting.deltas.is_empty() {
            return Vec::new();
        }
        let mut found = Vec::new();
        waiting.deltas.retain_mut(|delta| {
            let its = delta.session == session;
            if its && now.saturating_sub(delta.since) <= WAIT {
                found.push(std::mem::take(&mut delta.payload));
            }
            !its
        });
        waiting.bytes = waiting.deltas.iter().map(|delta| delta.payload.len()).sum();
        found
    }

    /// A session has another id.
    pub(super) fn rename(&self, old: &str, new: &str, now: i64) {
        let mut waiting = self.waiting();
        waiting.renamed.push_back((now, old.to_owned(), new.to_owned()));
        let stale = |waiting: &Waiting| waiting.renamed.front().is_some_and(|first| now.saturating_sub(first.0) > WAIT);
        while waiting.renamed.len() > COUNT || stale(&waiting) {
            waiting.renamed.pop_front();
        }
    }

    /// What a session is called that had this id a moment ago.
    pub(super) fn called(&self, id: &str, now: i64) -> Option<String> {
        let waiting = self.waiting();
        let mut called = None;
        // Later ones stand behind: several in turn are followed in one pass.
        for (since, old, new) in &waiting.renamed {
            if now.saturating_sub(*since) <= WAIT && old == called.unwrap_or(id) {
                called = Some(new.as_str());
            }
        }
        called.map(str::to_owned)
    }

    /// Nothing waits.
    pub(super) fn clear(&self) {
        *self.waiting() = Waiting::default();
    }
}

impl Waiting {
    fn is_stale(&self, now: i64) -> bool {
        self.deltas.front().is_some_and(|delta| now.saturating_sub(delta.since) > WAIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_id_is_known_for_a_moment() {
        let early = Early::default();
        early.rename("A.1", "A.2", 0);
        early.rename("B", "C", 1);
        early.rename("A.2", "A.3", 2);
        assert_eq!(early.called("A.1", 3).as_deref(), Some("A.3"));
        assert_eq!(early.called("A.2", WAIT).as_deref(), Some("A.3"));
        assert_eq!((early.called("A.3", 3), early.called("B", WAIT + 2)), (None, None));
        for n in 0..2 * COUNT {
            early.rename(&n.to_string(), "x", 3);
        }
        assert_eq!(early.waiting().renamed.len(), COUNT);
        early.rename("last", "x", 4 + WAIT);
        assert_eq!(early.waiting().renamed.len(), 1);
    }

    #[test]
    fn waits_are_bounded_in_time_number_and_bytes() {
        let early = Early::default();
        early.keep("A", b"one", 0);
        early.keep("B", b"other", 1);
        early.keep("A", b"two", 2);
        assert_eq!(early.take("A", WAIT), [b"one", b"two"]);
        assert!(early.take("A", WAIT).is_empty());
        assert!(early.take("B", WAIT + 2).is_empty(), "too late");

        for n in 0..2 * COUNT {
            early.keep(&n.to_string(), b"x", 10);
        }
        let held = |early: &Early| {
            let waiting = early.waiting();
            (waiting.deltas.len(), waiting.bytes)
        };
        assert_eq!(held(&early), (COUNT, COUNT));
        assert!(early.take("0", 10).is_empty() && early.take(&(2 * COUNT - 1).to_string(), 10).len() == 1);
        for n in 0..10 {
            early.keep(&n.to_string(), &vec![0; BYTES / 4], 10);
        }
        assert_eq!(held(&early), (4, BYTES));
        early.keep("late", b"x", 11 + WAIT);
        assert_eq!(held(&early), (1, 1));
    }
}

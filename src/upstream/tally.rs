//! What is counted of a worker. All threads count every request, so each has counters of its own: what one of them writes,
//! the others need not fetch again.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Times elected.
    Elected,
    /// Requests in progress.
    Busy,
    /// Bytes sent to the backend.
    Transferred,
    /// Bytes received from it.
    Read,
}

/// The most lines a worker has; threads beyond share them.
const LINES: usize = 16;

/// One thread's counters, on a cache line of their own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Line([AtomicU64; 4]);

/// A worker's counters; no memory before something is counted.
#[derive(Debug, Default)]
pub struct Tally(OnceLock<Box<[Line]>>);

thread_local! {
    static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The number of this thread among those that count.
fn number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NUMBER.get().unwrap_or_else(|| {
        let number = NEXT.fetch_add(1, Relaxed);
        NUMBER.set(Some(number));
        number
    })
}

/// As many lines as threads can run at once.
fn lines() -> Box<[Line]> {
    static LENGTH: OnceLock<usize> = OnceLock::new();
    let length = LENGTH.get_or_init(|| std::thread::available_parallelism().map_or(1, |n| n.get().min(LINES)));
    (0..*length).map(|_| Line::default()).collect()
}

impl Tally {
    fn own(&self, what: Count) -> Option<&AtomicU64> {
        let lines = self.0.get_or_init(lines);
        lines.get(number() % lines.len())?.0.get(what as usize)
    }

    fn all(&self, what: Count) -> impl Iterator<Item = &AtomicU64> {
        self.0.get().into_iter().flatten().filter_map(move |line| line.0.get(what as usize))
    }

    /// Counts up.
    #[inline]
    pub fn add(&self, what: Count, by: u64) {
        if let Some(counter) = self.own(what) {
            counter.fetch_add(by, Relaxed);
        }
    }

    /// Counts down: on whatever thread, as only the sum is of use.
    #[inline]
    pub fn sub(&self, what: Count, by: u64) {
        if let Some(counter) = self.own(what) {
            counter.fetch_sub(by, Relaxed);
        }
    }

    /// What all threads have counted.
    pub fn get(&self, what: Count) -> u64 {
        self.all(what).fold(0, |sum, counter| sum.wrapping_add(counter.load(Relaxed)))
    }

    /// Begins again at nothing.
    pub fn reset(&self, what: Count) {
        self.all(what).for_each(|counter| counter.store(0, Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_count_together() {
        let tally = Tally::default();
        assert_eq!(tally.get(Count::Read), 0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..1000).for_each(|_| tally.add(Count::Read, 2)));
                scope.spawn(|| tally.add(Count::Busy, 1));
            }
        });
        // Counted off elsewhere than it was counted.
        (0..8).for_each(|_| tally.sub(Count::Busy, 1));
        assert_eq!((tally.get(Count::Read), tally.get(Count::Busy), tally.get(Count::Elected)), (16_000, 0, 0));
        tally.reset(Count::Read);
        assert_eq!(tally.get(Count::Read), 0);
    }
}

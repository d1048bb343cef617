//! Memory that a request on a backend connection needs.
//!
//! A thread keeps it for its next requests. The room that is read into is large; it is there from the first byte of
//! what comes to the last one that is used, so that requests which wait for their backends hold none.

use std::cell::RefCell;

use crate::codec::http1::ResponseHead;

/// What one read takes at most, unless a head needs more room.
const ROOM: usize = 64 * 1024;

/// Rooms kept by a thread.
const SPARE_ROOMS: usize = 64;

/// Lanes kept by a thread.
const SPARE_LANES: usize = 256;

/// What a kept lane has room to send.
const OUTPUT_KEPT: usize = 32 * 1024;

thread_local! {
    static ROOMS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    // Boxed, so that lending one moves a pointer.
    #[allow(clippy::vec_box)]
    static LANES: RefCell<Vec<Box<Lane>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes that came from a backend and are not used yet.
#[derive(Default)]
pub struct Input {
    /// Empty while nothing is here.
    room: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    /// The bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.room.get(self.start..self.end).unwrap_or_default()
    }

    /// Marks the first `n` as used.
    #[inline]
    pub fn consume(&mut self, n: usize) {
        self.start = self.end.min(self.start.saturating_add(n));
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Free room behind the bytes; they move to the front when little is left, and the room grows when all is taken.
    pub(super) fn spare(&mut self) -> &mut [u8] {
        if self.room.is_empty() {
            self.room = ROOMS.with_borrow_mut(Vec::pop).unwrap_or_else(|| vec![0; ROOM]);
        }
        if self.start > 0 && self.room.len() - self.end < ROOM / 2 {
            self.room.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.room.len() == self.end {
            self.room.resize(self.room.len() * 2, 0);
        }
        self.room.get_mut(self.end..).unwrap_or_default()
    }

    /// So many bytes were read into [`Input::spare`].
    pub(super) fn came(&mut self, n: usize) {
        self.end = self.room.len().min(self.end + n);
    }

    /// Leaves the room to others where nothing is in it.
    pub(super) fn lend_room(&mut self) {
        if self.start < self.end {
            return;
        }
        (self.start, self.end) = (0, 0);
        let room = std::mem::take(&mut self.room);
        // A larger one was made for a head that is an exception.
        if room.len() == ROOM {
            ROOMS.with_borrow_mut(|rooms| {
                if rooms.len() < SPARE_ROOMS {
                    rooms.push(room);
                }
            });
        }
    }
}

/// Memory that a request on a backend connection needs, reused by the thread.
#[derive(Default)]
pub struct Lane {
    /// What came.
    pub input: Input,
    /// What is to be sent.
    pub output: Vec<u8>,
    /// The head of an HTTP response.
    pub(super) head: ResponseHead,
}

impl Lane {
    pub(super) fn take() -> Box<Self> {
        LANES.with_borrow_mut(Vec::pop).unwrap_or_default()
    }

    /// Whether nothing is in it: who waits has no use for it.
    pub(super) fn is_empty(&self) -> bool {
        self.input.bytes().is_empty() && self.output.is_empty()
    }

    pub(super) fn give(mut self: Box<Self>) {
        self.input.consume(usize::MAX);
        self.input.lend_room();
        self.output.clear();
        self.head.clear();
        if self.output.capacity() > OUTPUT_KEPT {
            return;
        }
        LANES.with_borrow_mut(|lanes| {
            if lanes.len() < SPARE_LANES {
                lanes.push(self);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(input: &mut Input, bytes: &[u8]) {
        let room = input.spare();
        room[..bytes.len()].copy_from_slice(bytes);
        input.came(bytes.len());
    }

    #[test]
    fn who_waits_holds_no_room() {
        let mut lane = Lane::take();
        assert!(lane.input.spare().len() == ROOM);
        let room = lane.input.room.as_ptr();
        lane.input.lend_room();
        assert_eq!((lane.input.room.capacity(), lane.input.bytes()), (0, &b""[..]));
        let mut other = Lane::take();
        put(&mut other.input, b"abc");
        assert_eq!(other.input.room.as_ptr(), room);
        // What is not used yet stays.
        other.input.consume(1);
        other.input.lend_room();
        assert_eq!(other.input.bytes(), b"bc");
        other.input.consume(2);
        other.give();
        put(&mut lane.input, b"d");
        assert_eq!((lane.input.room.as_ptr(), lane.input.bytes()), (room, &b"d"[..]));
    }

    #[test]
    fn the_room_grows_for_a_long_head_and_is_not_kept() {
        let mut input = Input::default();
        for _ in 0..3 {
            let n = input.spare().len();
            input.came(n);
        }
        assert_eq!(input.bytes().len(), 4 * ROOM);
        input.consume(4 * ROOM);
        input.lend_room();
        assert_eq!(input.spare().len(), ROOM);
    }
}

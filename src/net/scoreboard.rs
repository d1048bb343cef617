//! Who is doing what: counters and rows that each thread writes alone, for server-status to read.
//!
//! Nothing here is waited for. A row's texts may be torn by a request that begins while they are read; the number in
//! front of them tells, and such a row is left out.

use std::cell::RefCell;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Requests of one thread that have a row; those beyond are counted only.
const ROWS: usize = 64;

/// Bytes for the client, the protocol, the virtual host and the request line.
const TEXTS: [usize; 4] = [64, 16, 48, 64];
const WORDS: usize = (64 + 16 + 48 + 64) / 8;

/// One thread's part.
#[repr(align(128))]
pub struct Place {
    /// Requests logged.
    pub accesses: AtomicU64,
    /// Bytes sent for them.
    pub bytes: AtomicU64,
    /// Microseconds they took.
    pub micros: AtomicU64,
    /// Requests being served.
    pub busy: AtomicU32,
    /// Open connections.
    pub open: AtomicU32,
    /// Connections that only wait for their end.
    pub closing: AtomicU32,
    rows: Vec<Row>,
}

/// One request that is served, or the last one that was.
struct Row {
    /// Odd while the texts are written.
    version: AtomicU32,
    /// `W` while it is served, `_` behind, 0 before the first.
    state: AtomicU32,
    /// Requests of the connection so far.
    of_conn: AtomicU32,
    accesses: AtomicU64,
    bytes: AtomicU64,
    last_bytes: AtomicU64,
    started: AtomicI64,
    took: AtomicU64,
    total: AtomicU64,
    texts: [AtomicU64; WORDS],
}

/// A row as read.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// `W` or `_`.
    pub state: u8,
    /// Requests of the connection so far; 0 when none is served.
    pub of_conn: u32,
    /// Requests of the row.
    pub accesses: u64,
    /// Bytes of the last request.
    pub last_bytes: u64,
    /// Bytes of the row.
    pub bytes: u64,
    /// Microseconds since 1970.
    pub started: i64,
    /// Milliseconds that the last request took.
    pub took: u64,
    /// Milliseconds of all of them.
    pub total: u64,
    /// Client, protocol, virtual host, request line.
    pub texts: [Vec<u8>; 4],
}

struct Here {
    place: Arc<Place>,
    free: RefCell<Vec<u32>>,
}

static PLACES: Mutex<Vec<Arc<Place>>> = Mutex::new(Vec::new());
static STARTED: OnceLock<i64> = OnceLock::new();

thread_local! {
    static HERE: Here = {
        let place = Arc::new(Place::new());
        PLACES.lock().unwrap_or_else(PoisonError::into_inner).push(place.clone());
        let rows = u32::try_from(ROWS).unwrap_or(0);
        Here { place, free: RefCell::new((0..rows).rev().collect()) }
    };
}

impl Place {
    fn new() -> Self {
        let row = || Row {
            version: AtomicU32::new(0),
            state: AtomicU32::new(0),
            of_conn: AtomicU32::new(0),
            accesses: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            last_bytes: AtomicU64::new(0),
            started: AtomicI64::new(0),
            took: AtomicU64::new(0),
            total: AtomicU64::new(0),
            texts: std::array::from_fn(|_| AtomicU64::new(0)),
        };
        Self {
            accesses: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            micros: AtomicU64::new(0),
            busy: AtomicU32::new(0),
            open: AtomicU32::new(0),
            closing: AtomicU32::new(0),
            rows: (0..ROWS).map(|_| row()).collect(),
        }
    }

    /// Rows that were ever used.
    pub fn rows(&self) -> impl Iterator<Item = Seen> {
        self.rows.iter().filter_map(Row::read)
    }
}

/// Adds to a counter that only this thread writes: without the price of an exchange between cores.
fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(n), Relaxed);
}

impl Row {
    fn write(&self, texts: [&[u8]; 4]) {
        let mut words = self.texts.iter();
        for (text, room) in texts.iter().zip(TEXTS) {
            let text = text.get(..text.len().min(room - 1)).unwrap_or_default();
            let mut pieces = text.chunks(8);
            for word in words.by_ref().take(room / 8) {
                let Some(piece) = pieces.next() else {
                    word.store(0, Relaxed);
                    continue;
                };
                let mut bytes = [0; 8];
                if let Some(front) = bytes.get_mut(..piece.len()) {
                    front.copy_from_slice(piece);
                }
                word.store(u64::from_ne_bytes(bytes), Relaxed);
            }
        }
    }

    fn read(&self) -> Option<Seen> {
        for _ in 0..8 {
            let version = self.version.load(Acquire);
            let state = u8::try_from(self.state.load(Relaxed)).unwrap_or(0);
            if state == 0 {
                return None;
            }
            let mut words = self.texts.iter();
            let texts = TEXTS.map(|room| {
                let mut text: Vec<u8> =
                    words.by_ref().take(room / 8).flat_map(|word| word.load(Relaxed).to_ne_bytes()).collect();
                text.truncate(memchr::memchr(0, &text).unwrap_or(text.len()));
                text
            });
            let seen = Seen {
                state,
                of_conn: self.of_conn.load(Relaxed),
                accesses: self.accesses.load(Relaxed),
                last_bytes: self.last_bytes.load(Relaxed),
                bytes: self.bytes.load(Relaxed),
                started: self.started.load(Relaxed),
                took: self.took.load(Relaxed) / 1000,
                total: self.total.load(Relaxed) / 1000,
                texts,
            };
            std::sync::atomic::fence(Acquire);
            if version.is_multiple_of(2) && self.version.load(Relaxed) == version {
                return Some(seen);
            }
        }
        None
    }
}

/// A request begins on this thread: its number for [`end`]. With texts it gets a row, while there are any.
pub fn begin(started: i64, of_conn: u32, texts: Option<[&[u8]; 4]>) -> u32 {
    HERE.with(|here| {
        here.place.busy.fetch_add(1, Relaxed);
        let Some(texts) = texts else { return u32::MAX };
        let Some(at) = here.free.borrow_mut().pop() else { return u32::MAX };
        let Some(row) = here.place.rows.get(at as usize) else { return u32::MAX };
        let version = row.version.load(Relaxed);
        row.version.store(version.wrapping_add(1), Relaxed);
        std::sync::atomic::fence(Release);
        row.write(texts);
        row.started.store(started, Relaxed);
        row.of_conn.store(of_conn, Relaxed);
        row.state.store(u32::from(b'W'), Relaxed);
        row.version.store(version.wrapping_add(2), Release);
        at + 1
    })
}

/// The request of this number is over; 0 is one that never began.
pub fn end(number: u32, bytes: u64, micros: u64) {
    HERE.with(|here| {
        let place = &here.place;
        add(&place.accesses, 1);
        add(&place.bytes, bytes);
        add(&place.micros, micros);
        if number == 0 {
            return;
        }
        place.busy.fetch_sub(1, Relaxed);
        let Some(row) = number.checked_sub(1).and_then(|at| place.rows.get(at as usize)) else { return };
        add(&row.accesses, 1);
        add(&row.bytes, bytes);
        add(&row.total, micros);
        row.last_bytes.store(bytes, Relaxed);
        row.took.store(micros, Relaxed);
        row.of_conn.store(0, Relaxed);
        row.state.store(u32::from(b'_'), Relaxed);
        here.free.borrow_mut().push(number - 1);
    });
}

/// A connection of this thread; counted until it is dropped.
pub struct Open(Arc<Place>);

impl Open {
    /// A new one.
    #[expect(clippy::new_without_default, reason = "it counts")]
    pub fn new() -> Self {
        let place = HERE.with(|here| here.place.clone());
        place.open.fetch_add(1, Relaxed);
        Self(place)
    }

    /// From now on it only waits for its end.
    pub fn closing(&self) -> Closing<'_> {
        self.0.closing.fetch_add(1, Relaxed);
        Closing(&self.0)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

/// A connection at its end.
pub struct Closing<'a>(&'a Place);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.closing.fetch_sub(1, Relaxed);
    }
}

/// All threads' parts.
pub fn places() -> Vec<Arc<Place>> {
    PLACES.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// The server starts: in microseconds since 1970. Only the first call counts.
pub fn start(now: i64) {
    let _ = STARTED.set(now);
}

/// When the server started.
pub fn started() -> i64 {
    STARTED.get().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_hold_what_fits_and_are_used_again() {
        let long = [b'x'; 100];
        let number = begin(5, 2, Some([b"127.0.0.1", b"http/1.1", b"", &long]));
        let row = || {
            let place = HERE.with(|here| here.place.clone());
            place.rows().find(|row| row.started == 5 || row.started == 6).expect("a row")
        };
        let seen = row();
        assert_eq!((seen.state, seen.of_conn, seen.texts[0].as_slice()), (b'W', 2, &b"127.0.0.1"[..]));
        assert_eq!((seen.texts[1].as_slice(), seen.texts[2].len(), seen.texts[3].len()), (&b"http/1.1"[..], 0, 63));
        end(number, 1000, 2500);
        assert_eq!((row().state, row().accesses, row().bytes, row().took), (b'_', 1, 1000, 2));
        assert_eq!(begin(6, 0, Some([b"::1", b"", b"", b""])), number);
        assert_eq!(row().texts[0], b"::1");
        end(number, 1, 1000);
        assert_eq!((row().accesses, row().total), (2, 3));
    }
}

//! Objects that all threads of the process share for a time: httpd's shared object caches (`socache`).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::fast::RandomState;

use super::check;

/// A cache of objects; times are microseconds since 1970. Its functions may block.
pub trait Shared: Send + Sync {
    /// The object of this key, if its time is not over.
    fn get(&self, key: &[u8], now: i64) -> Option<Arc<[u8]>>;

    /// Keeps an object until its time is over, if it is not yet; says whether there was room.
    fn put(&self, key: &[u8], object: &[u8], expires: i64, now: i64) -> bool;

    /// Forgets an object.
    fn remove(&self, key: &[u8]);
}

/// What a cache holds when nobody says, in bytes.
const SIZE: usize = 512_000;

/// The process's own memory: httpd's caches of one machine.
pub struct Memory {
    /// The most it may hold, in bytes.
    most: usize,
    held: Mutex<Held>,
}

/// An object, and its place in the order.
struct Object {
    place: (i64, u64),
    bytes: Arc<[u8]>,
}

#[derive(Default)]
struct Held {
    objects: HashMap<Vec<u8>, Object, RandomState>,
    /// Which is over first.
    order: BTreeMap<(i64, u64), Vec<u8>>,
    size: usize,
    serial: u64,
}

impl Memory {
    /// A cache of so many bytes.
    pub fn new(most: usize) -> Self {
        Self { most, held: Mutex::default() }
    }

    /// The cache that the arguments of a provider ask for: `path(size)`.
    pub fn of(args: &[u8]) -> Self {
        let size = args.strip_suffix(b")").and_then(|args| args.rsplit(|byte| *byte == b'(').next());
        let size = size.map(check::number).and_then(|size| usize::try_from(size).ok());
        Self::new(size.unwrap_or(SIZE))
    }
}

impl Held {
    fn take(&mut self, key: &[u8]) {
        if let Some(object) = self.objects.remove(key) {
            self.order.remove(&object.place);
            self.size -= key.len() + object.bytes.len();
        }
    }
}

impl Shared for Memory {
    fn get(&self, key: &[u8], now: i64) -> Option<Arc<[u8]>> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.objects.get(key).filter(|object| now < object.place.0).map(|object| object.bytes.clone())
    }

    fn put(&self, key: &[u8], object: &[u8], expires: i64, now: i64) -> bool {
        let size = key.len() + object.len();
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.take(key);
        if expires <= now {
            return true;
        }
        if size > self.most {
            return false;
        }
        while held.size + size > self.most {
            let Some((_, first)) = held.order.pop_first() else { break };
            if let Some(object) = held.objects.remove(&first) {
                held.size -= first.len() + object.bytes.len();
            }
        }
        held.serial += 1;
        let place = (expires, held.serial);
        held.order.insert(place, key.to_vec());
        held.objects.insert(key.to_vec(), Object { place, bytes: object.into() });
        held.size += size;
        true
    }

    fn remove(&self, key: &[u8]) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).take(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_first_makes_room() {
        let cache = Memory::new(30);
        assert!(cache.put(b"a", b"123456789", 100, 0) && cache.put(b"b", b"123456789", 50, 0));
        assert!(cache.put(b"c", b"123456789", 200, 0));
        assert_eq!(cache.get(b"a", 99).as_deref(), Some(&b"123456789"[..]));
        assert_eq!((cache.get(b"a", 100), cache.get(b"x", 0)), (None, None));
        assert!(cache.put(b"d", b"1", 10, 0), "b is over first");
        assert!(cache.get(b"b", 0).is_none() && cache.get(b"c", 0).is_some());
        assert!(!cache.put(b"e", &[0; 30], 10, 0) && cache.put(b"f", b"", 5, 5) && cache.get(b"f", 4).is_none());
        assert!(cache.put(b"c", b"", 300, 0));
        cache.remove(b"a");
        let held = cache.held.lock().unwrap();
        assert_eq!((held.size, held.objects.len(), held.order.len()), (3, 2, 2));
    }

    #[test]
    fn sizes_are_read() {
        assert_eq!((Memory::of(b"/x/y(1000)").most, Memory::of(b"").most), (1000, SIZE));
    }
}

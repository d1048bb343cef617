//! Objects that all threads of the process share for a time: httpd's shared object caches (`socache`).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::fast::RandomState;

use super::socache_remote::Remote;
use super::{check, socache_memcache, socache_redis};
use crate::config::Server;
use crate::logs::Errno;

/// A cache of objects; times are microseconds since 1970. Its functions may block.
pub trait Shared: Send + Sync {
    /// The object of this key, if its time is not over.
    ///
    /// # Errors
    /// The cache cannot be asked; it has told the log.
    fn get(&self, key: &[u8], now: i64) -> Result<Option<Arc<[u8]>>, Errno>;

    /// Keeps an object until its time is over, if it is not yet.
    ///
    /// # Errors
    /// There was no room, or nobody to keep it.
    fn put(&self, key: &[u8], object: &[u8], expires: i64, now: i64) -> Result<(), NotKept>;

    /// Forgets an object.
    fn remove(&self, key: &[u8]);
}

/// An object is not kept, for this reason of the system's if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotKept(pub Option<Errno>);

/// The cache that `provider[:arguments]` asks for, for the objects of `space`; `server` says how long it is waited for.
///
/// # Errors
/// The entry for the log about a server that is none.
pub fn open(word: &[u8], space: &'static str, server: &Server) -> Result<Arc<dyn Shared>, String> {
    let (name, args) = split(word);
    Ok(match name {
        b"memcache" => {
            Arc::new(Remote::of::<{ socache_memcache::SLOT }>(&socache_memcache::KIND, space, args, server)?)
        }
        b"redis" => Arc::new(Remote::of::<{ socache_redis::SLOT }>(&socache_redis::KIND, space, args, server)?),
        _ => Arc::new(Memory::of(args)),
    })
}

/// A provider's name, and what it is told.
pub fn split(word: &[u8]) -> (&[u8], &[u8]) {
    let (name, args) = word.split_at(memchr::memchr(b':', word).unwrap_or(word.len()));
    (name, args.get(1..).unwrap_or_default())
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
    fn get(&self, key: &[u8], now: i64) -> Result<Option<Arc<[u8]>>, Errno> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(held.objects.get(key).filter(|object| now < object.place.0).map(|object| object.bytes.clone()))
    }

    fn put(&self, key: &[u8], object: &[u8], expires: i64, now: i64) -> Result<(), NotKept> {
        let size = key.len() + object.len();
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.take(key);
        if expires <= now {
            return Ok(());
        }
        if size > self.most {
            return Err(NotKept(None));
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
        Ok(())
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
        let put = |key: &[u8], object: &[u8], expires, now| cache.put(key, object, expires, now).is_ok();
        let get = |key: &[u8], now| cache.get(key, now).unwrap();
        assert!(put(b"a", b"123456789", 100, 0) && put(b"b", b"123456789", 50, 0));
        assert!(put(b"c", b"123456789", 200, 0));
        assert_eq!(get(b"a", 99).as_deref(), Some(&b"123456789"[..]));
        assert_eq!((get(b"a", 100), get(b"x", 0)), (None, None));
        assert!(put(b"d", b"1", 10, 0), "b is over first");
        assert!(get(b"b", 0).is_none() && get(b"c", 0).is_some());
        assert!(!put(b"e", &[0; 30], 10, 0) && put(b"f", b"", 5, 5) && get(b"f", 4).is_none());
        assert!(put(b"c", b"", 300, 0));
        cache.remove(b"a");
        let held = cache.held.lock().unwrap();
        assert_eq!((held.size, held.objects.len(), held.order.len()), (3, 2, 2));
    }

    #[test]
    fn sizes_are_read() {
        assert_eq!((Memory::of(b"/x/y(1000)").most, Memory::of(b"").most), (1000, SIZE));
    }
}

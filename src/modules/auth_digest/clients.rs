//! What a nonce says, and the clients whose nonces are counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

use crate::modules::passwords::{hex, same};

/// Letters of the time in a nonce.
const TIME: usize = 12;
/// Letters of a nonce: time and hash.
pub(super) const LENGTH: usize = TIME + 40;

/// As many clients at once, whatever AuthDigestShmemSize says.
const FEWEST: usize = 4096;

/// What outlives a reload: whoever was let in stays so.
pub(super) struct Keys {
    secret: [u8; 20],
    /// One-time nonces are numbered.
    one_time: AtomicU64,
    next_client: AtomicU32,
    clients: [Mutex<Shard>; SHARDS],
}

/// Clients whose numbers are alike share a lock.
const SHARDS: usize = 16;

#[derive(Default)]
struct Shard(BTreeMap<u32, Client>);

/// A client as its `opaque` names it.
#[derive(Clone, Copy, Default)]
struct Client {
    /// The youngest nonce it used.
    nonce: u64,
    /// The highest count it used that nonce with.
    count: u64,
    /// It used any.
    used: bool,
}

/// Why a nonce cannot be used, by its count or at all.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Replay {
    /// Nobody knows the client any more.
    Unknown,
    /// Used before; the highest count so far.
    Counted(u64),
}

impl Keys {
    /// A new secret; fails without the system's random numbers.
    pub(super) fn new() -> Option<Self> {
        let mut secret = [0; 20];
        getrandom::fill(&mut secret).ok()?;
        Some(Self {
            secret,
            one_time: AtomicU64::new(0),
            next_client: AtomicU32::new(1),
            clients: std::array::from_fn(|_| Mutex::default()),
        })
    }

    /// The next one-time nonce's number.
    pub(super) fn number(&self) -> u64 {
        self.one_time.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn hash(&self, time: &[u8], realm: &[u8], opaque: Option<&[u8]>) -> Vec<u8> {
        let mut sha = Sha1::new();
        sha.update(self.secret);
        sha.update(realm);
        sha.update(time);
        sha.update(opaque.unwrap_or_default());
        hex(&sha.finalize())
    }

    /// A nonce made at `time`, in microseconds or as a number.
    pub(super) fn nonce(&self, time: u64, realm: &[u8], opaque: Option<&[u8]>) -> Vec<u8> {
        let mut nonce = STANDARD.encode(time.to_le_bytes()).into_bytes();
        let hash = self.hash(&nonce, realm, opaque);
        nonce.extend_from_slice(&hash);
        nonce
    }

    /// The time in a nonce; the error is the hash it should have.
    pub(super) fn open(&self, nonce: &[u8], realm: &[u8], opaque: Option<&[u8]>) -> Result<u64, Vec<u8>> {
        let (time, hash) = nonce.split_at(TIME.min(nonce.len()));
        let right = self.hash(time, realm, opaque);
        let bytes = STANDARD.decode(time).ok().and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
        match bytes {
            Some(bytes) if same(hash, &right) => Ok(u64::from_le_bytes(bytes)),
            _ => Err(right),
        }
    }

    fn shard(&self, client: u32) -> std::sync::MutexGuard<'_, Shard> {
        self.clients[client as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new client; of too many (`most` in all) the oldest are forgotten.
    pub(super) fn add(&self, most: usize) -> u32 {
        let client = self.next_client.fetch_add(1, Ordering::Relaxed);
        let mut shard = self.shard(client);
        while shard.0.len() >= most.max(FEWEST) / SHARDS {
            shard.0.pop_first();
        }
        shard.0.insert(client, Client::default());
        client
    }

    /// Whether the client is known.
    pub(super) fn knows(&self, client: u32) -> bool {
        self.shard(client).0.contains_key(&client)
    }

    /// Takes a use of a nonce, if it is above all that the client did before: of a nonce that may be used once its
    /// number alone counts.
    pub(super) fn take(&self, client: u32, nonce: u64, count: u64, once: bool) -> Result<(), Replay> {
        let mut shard = self.shard(client);
        let known = shard.0.get_mut(&client).ok_or(Replay::Unknown)?;
        let younger = !known.used || nonce > known.nonce;
        if !younger && (once || nonce < known.nonce || count <= known.count) {
            return Err(Replay::Counted(known.count));
        }
        *known = Client { nonce, count, used: true };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_of_its_realm_and_client() {
        let keys = Keys::new().unwrap();
        let nonce = keys.nonce(77, b"r", Some(b"1"));
        assert_eq!((nonce.len(), keys.open(&nonce, b"r", Some(b"1"))), (LENGTH, Ok(77)));
        for (realm, opaque) in [(&b"q"[..], Some(&b"1"[..])), (b"r", Some(b"2")), (b"r", None)] {
            assert!(keys.open(&nonce, realm, opaque).is_err());
        }
        assert!(Keys::new().unwrap().open(&nonce, b"r", Some(b"1")).is_err());
        for short in [&b""[..], b"AAAA", &nonce[..TIME]] {
            assert!(keys.open(short, b"r", Some(b"1")).is_err());
        }
    }

    #[test]
    fn counts_rise_and_once_is_once() {
        let keys = Keys::new().unwrap();
        let client = keys.add(0);
        assert_eq!(keys.take(client, 10, 1, false), Ok(()));
        assert_eq!(keys.take(client, 10, 1, false), Err(Replay::Counted(1)));
        assert_eq!(keys.take(client, 10, 5, false), Ok(()));
        assert_eq!(keys.take(client, 11, 1, false), Ok(()));
        assert_eq!(keys.take(client, 10, 9, false), Err(Replay::Counted(1)));
        assert_eq!(keys.take(client, 11, 2, true), Err(Replay::Counted(1)));
        assert_eq!(keys.take(client, 12, 1, true), Ok(()));
        assert_eq!(keys.take(client + 1, 1, 1, false), Err(Replay::Unknown));
    }

    #[test]
    fn the_oldest_clients_are_forgotten() {
        let keys = Keys::new().unwrap();
        let first = keys.add(0);
        let last = (0..FEWEST).map(|_| keys.add(0)).last().unwrap();
        assert!(!keys.knows(first) && keys.knows(last));
    }
}

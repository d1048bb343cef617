//! Sessions that clients come back to: tickets under a key of the configuration, and how long either kind is good for.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use aes_gcm::aead::{AeadInPlace as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{NoServerSessionStorage, ProducesTickets, ServerSessionMemoryCache, StoresServerSessions};

/// The bytes of a key file that count.
pub const KEY_FILE_LEN: usize = 48;

/// The most of a client's ticket that is looked at.
const TICKET_MAX: usize = 16 * 1024;

const NAME_LEN: usize = 16;
const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// A value with the time it was made.
fn stamped(value: &[u8]) -> Vec<u8> {
    let mut out = now().to_be_bytes().to_vec();
    out.extend_from_slice(value);
    out
}

/// The value, if it was made no longer ago than `seconds`.
fn fresh(stamped: &[u8], seconds: u32, now: u64) -> Option<Vec<u8>> {
    let (made, value) = stamped.split_first_chunk::<8>()?;
    let age = now.checked_sub(u64::from_be_bytes(*made))?;
    (age <= u64::from(seconds)).then(|| value.to_vec())
}

/// Tickets under a key that several servers share: sixteen bytes of name, and thirty-two of AES-256-GCM.
///
/// A ticket is the name, a nonce, the session under the key, and the tag.
pub struct SharedKey {
    name: [u8; NAME_LEN],
    cipher: Aes256Gcm,
    /// The name, and for whom tickets are: sealed along.
    scope: Vec<u8>,
}

impl fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedKey").finish_non_exhaustive()
    }
}

impl SharedKey {
    /// The key of a file; `None`: it is too short. What stands behind the first [`KEY_FILE_LEN`] bytes is not looked at.
    /// Tickets of one `owner` are none for another: what was checked of a client there is not believed here.
    pub fn new(file: &[u8], owner: &str) -> Option<Self> {
        let (name, rest) = file.split_first_chunk::<NAME_LEN>()?;
        let key = rest.first_chunk::<32>()?;
        let scope = [name.as_slice(), owner.as_bytes()].concat();
        Some(Self { name: *name, cipher: Aes256Gcm::new(key.into()), scope })
    }

    /// A ticket of this session.
    fn seal(&self, session: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).ok()?;
        let mut out = self.name.to_vec();
        out.extend_from_slice(&nonce);
        let mut sealed = session.to_vec();
        let tag = self.cipher.encrypt_in_place_detached(Nonce::from_slice(&nonce), &self.scope, &mut sealed).ok()?;
        out.extend_from_slice(&sealed);
        out.extend_from_slice(&tag);
        Some(out)
    }

    /// The session of a ticket; `None`: it was not made with this key.
    pub fn open(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        if ticket.len() > TICKET_MAX {
            return None;
        }
        let (name, rest) = ticket.split_first_chunk::<NAME_LEN>()?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>()?;
        let (sealed, tag) = rest.split_last_chunk::<TAG_LEN>()?;
        if *name != self.name {
            return None;
        }
        let mut session = sealed.to_vec();
        let (nonce, tag) = (Nonce::from_slice(nonce), Tag::from_slice(tag));
        self.cipher.decrypt_in_place_detached(nonce, &self.scope, &mut session, tag).ok()?;
        Some(session)
    }
}

/// What tickets are made with.
#[derive(Debug)]
enum Maker {
    Shared(Box<SharedKey>),
    /// Keys of this process, which change by and by.
    Own(Arc<dyn ProducesTickets>),
}

/// Tickets that are good for some time.
#[derive(Debug)]
pub struct Tickets {
    maker: Maker,
    seconds: u32,
}

impl Tickets {
    /// Tickets under the key of a file.
    pub fn shared(key: SharedKey, seconds: u32) -> Self {
        Self { maker: Maker::Shared(Box::new(key)), seconds }
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        self.seconds
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let session = stamped(plain);
        match &self.maker {
            Maker::Shared(key) => key.seal(&session),
            Maker::Own(maker) => maker.encrypt(&session),
        }
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let session = match &self.maker {
            Maker::Shared(key) => key.open(ticket)?,
            Maker::Own(maker) => maker.decrypt(ticket)?,
        };
        fresh(&session, self.seconds, now())
    }
}

/// What the sessions of one server are resumed from, as long as this process lasts.
#[derive(Debug)]
pub struct Sessions {
    /// The keys of tickets, where no file has one.
    maker: Arc<dyn ProducesTickets>,
    /// For clients that bring a number in place of a ticket.
    store: Arc<dyn StoresServerSessions>,
    /// How many are in there.
    size: usize,
}

impl Sessions {
    /// New keys, and room for `size` sessions.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn new(size: usize) -> Result<Self, rustls::Error> {
        Ok(Self { maker: Ticketer::new()?, store: store(size), size })
    }

    /// The same keys, and room for `size` sessions: the same room if that is as large.
    pub fn of_size(self: &Arc<Self>, size: usize) -> Arc<Self> {
        if size == self.size {
            return self.clone();
        }
        Arc::new(Self { maker: self.maker.clone(), store: store(size), size })
    }

    /// Whether there is room for any.
    pub fn are_stored(&self) -> bool {
        self.size > 0
    }

    /// The sessions stored, good for so many seconds.
    pub fn stored(&self, seconds: u32) -> Timed {
        Timed { store: self.store.clone(), seconds }
    }

    /// Tickets that are good for so many seconds.
    pub fn tickets(&self, seconds: u32) -> Tickets {
        Tickets { maker: Maker::Own(self.maker.clone()), seconds }
    }
}

fn store(size: usize) -> Arc<dyn StoresServerSessions> {
    match size {
        0 => Arc::new(NoServerSessionStorage {}),
        size => ServerSessionMemoryCache::new(size),
    }
}

/// Sessions kept here that are good for some time.
#[derive(Debug)]
pub struct Timed {
    /// Where they are.
    store: Arc<dyn StoresServerSessions>,
    /// How long.
    seconds: u32,
}

impl StoresServerSessions for Timed {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.store.put(key, stamped(&value))
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        fresh(&self.store.get(key)?, self.seconds, now())
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        fresh(&self.store.take(key)?, self.seconds, now())
    }

    fn can_cache(&self) -> bool {
        self.store.can_cache()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SharedKey {
        SharedKey::new(&[byte; KEY_FILE_LEN], "a:443").unwrap()
    }

    #[test]
    fn a_ticket_is_for_whoever_has_the_key() {
        let ticket = key(1).seal(b"session").unwrap();
        assert_eq!(key(1).open(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(key(2).open(&ticket), None);
        for at in 0..ticket.len() {
            let mut other = ticket.clone();
            other[at] ^= 1;
            assert_eq!(key(1).open(&other), None, "byte {at} counts");
            assert_eq!(key(1).open(&ticket[..at]), None);
        }
        assert_eq!(SharedKey::new(&[1; KEY_FILE_LEN], "b:443").unwrap().open(&ticket), None);
        // The same name with another secret.
        let mut file = [1; KEY_FILE_LEN];
        file[KEY_FILE_LEN - 1] = 2;
        assert_eq!(SharedKey::new(&file, "a:443").unwrap().open(&ticket), None);
        assert!(SharedKey::new(&[1; KEY_FILE_LEN - 1], "a:443").is_none());
        assert_eq!(SharedKey::new(&[1; 80], "a:443").unwrap().open(&ticket).as_deref(), Some(&b"session"[..]));
    }

    #[test]
    fn a_session_is_good_for_its_time() {
        let value = [&1000u64.to_be_bytes()[..], b"v"].concat();
        assert_eq!(fresh(&value, 300, 1300).as_deref(), Some(&b"v"[..]));
        assert_eq!(fresh(&value, 300, 1301), None);
        assert_eq!(fresh(&value, 300, 999), None, "made later than now");
        assert_eq!(fresh(b"short", 300, 1000), None);
        let tickets = Tickets::shared(key(3), 300);
        assert_eq!(tickets.decrypt(&tickets.encrypt(b"s").unwrap()).as_deref(), Some(&b"s"[..]));
    }
}

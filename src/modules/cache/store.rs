//! Where responses are kept: what every store does. All of it may block, and is called off the threads that serve
//! requests.

use std::future::Future;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::sync::Arc;

use super::control::Control;
use crate::logs::{Errno, Level};
use crate::modules::{cache_disk, cache_socache};
use crate::web::{Exchange, Stored, Table};

/// What is known of an entry beside its fields; times in microseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// Status of the response.
    pub status: u16,
    /// Its date.
    pub date: i64,
    /// When it expires.
    pub expire: i64,
    /// When it was asked for.
    pub request_time: i64,
    /// When it came.
    pub response_time: i64,
    /// Its `Cache-Control`.
    pub control: Control,
}

/// An entry that was found.
pub struct Entry {
    /// What is known of it.
    pub info: Info,
    /// The fields of the response.
    pub response: Table,
    /// The fields of the request that it was the response to.
    pub request: Table,
    /// Its body.
    pub body: Content,
    /// Where it lies, for the store that it came from.
    pub place: Place,
}

/// Where an entry lies.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// The name that its URL has.
    pub key: Vec<u8>,
    /// The one among several for its URL, if there are several.
    pub variant: Option<Vec<u8>>,
}

/// The body of an entry.
#[derive(Clone)]
pub enum Content {
    /// A file, its length, and what it begins with.
    File(Arc<std::fs::File>, u64, Arc<[u8]>),
    /// In memory, behind this many bytes that are not the body's.
    Memory(Arc<[u8]>, usize),
}

/// Bytes read in one piece.
pub const PIECE: usize = 64 * 1024;

impl Stored for Content {
    fn length(&self) -> u64 {
        match self {
            Self::File(_, length, _) => *length,
            Self::Memory(bytes, from) => bytes.len().saturating_sub(*from) as u64,
        }
    }

    fn read<'a>(&'a mut self, at: u64, into: &'a mut Vec<u8>) -> Pin<Box<dyn Future<Output = io::Result<()>> + 'a>> {
        Box::pin(async move {
            let (bytes, from) = match self {
                Self::Memory(bytes, from) => (bytes, *from),
                Self::File(_, _, first) if at < first.len() as u64 => (first, 0),
                Self::File(file, ..) => {
                    let (file, mut buffer) = (file.clone(), std::mem::take(into));
                    let read = tokio::task::spawn_blocking(move || {
                        buffer.resize(PIECE, 0);
                        let read = file.read_at(&mut buffer, at)?;
                        buffer.truncate(read);
                        Ok::<_, io::Error>(buffer)
                    });
                    *into = read.await.map_err(io::Error::other)??;
                    return Ok(());
                }
            };
            let start = usize::try_from(at).unwrap_or(usize::MAX).saturating_add(from);
            let rest = bytes.get(start..).unwrap_or_default();
            into.extend_from_slice(rest.get(..PIECE).unwrap_or(rest));
            Ok(())
        })
    }
}

/// Something for the error log, said off the threads that may write there.
pub struct Said {
    /// How bad it is.
    pub level: Level,
    /// The module.
    pub module: &'static str,
    /// The system's reason, if there is one.
    pub errno: Option<Errno>,
    /// The text.
    pub text: String,
}

/// A response on its way into a store. Dropped before it is committed, it leaves nothing behind.
pub trait Writer: Send {
    /// Takes more of the body.
    ///
    /// # Errors
    /// The store's; it takes no more then.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// The body is complete: from now on others find the entry.
    ///
    /// # Errors
    /// The store's; nothing is kept then.
    fn commit(self: Box<Self>, info: &Info, response: &Table, request: &Table) -> Result<(), Said>;
}

/// What a response may be for a store to take it.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes that it has at least.
    pub least: u64,
    /// Bytes that it has at most.
    pub most: u64,
    /// Its length must be known.
    pub sized: bool,
}

/// A store.
pub trait Store: Send + Sync {
    /// The entry that fits the request.
    fn open(&self, key: &[u8], request: &Table, head: bool, said: &mut Vec<Said>) -> Option<Entry>;

    /// A new entry; nothing of it is seen before it is committed.
    fn create(&self, key: &[u8], limits: Limits) -> Box<dyn Writer>;

    /// Gives an entry that is still right new fields.
    ///
    /// # Errors
    /// The store's.
    fn refresh(&self, entry: &Entry, info: &Info, response: &Table, request: &Table) -> Result<(), Said>;

    /// Takes an entry away.
    fn remove(&self, place: &Place);

    /// Whatever is kept for the request is to be asked for again before it is used.
    fn invalidate(&self, key: &[u8], request: &Table, said: &mut Vec<Said>);
}

/// How the store of a provider is found for a request, and what it takes.
pub struct Provider {
    /// Its name in `CacheEnable`.
    pub name: &'static str,
    /// The module that must be loaded for it.
    pub module: &'static str,
    /// The store that the request's server has.
    pub store: fn(&Exchange) -> Option<Arc<dyn Store>>,
    /// What it takes, for the request's section.
    pub limits: fn(&Exchange) -> Limits,
}

/// The providers.
pub static PROVIDERS: &[Provider] = &[cache_disk::PROVIDER, cache_socache::PROVIDER];

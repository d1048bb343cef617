//! Heartbeats: what hosts say of themselves, how many more requests each could take and how many it is serving.
//!
//! A host says it in datagrams to a multicast address ([`send`]), once a second. Who hears them ([`listen`]) keeps them
//! in memory ([`Monitor`]) or in a file ([`storage`]), which other programs may write as well. Balancers choose by them
//! ([`elect`]).

mod elect;
mod listen;
mod record;
mod send;
pub mod storage;

pub(super) use elect::elect;
pub use listen::{Listening, listen};
pub use record::{Monitor, Record, Words, whole};
pub use send::{Sending, send};

use std::path::PathBuf;
use std::sync::Arc;

/// Where balancers find heartbeats.
#[derive(Clone)]
pub enum Source {
    /// In this file, as it is at the time.
    File(PathBuf),
    /// Heard by this process.
    Memory(Arc<Monitor>),
}

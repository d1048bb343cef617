//! Java object streams: bytes to a bounded graph and back, without one class being loaded.
//!
//! A stream says of itself what every value is made of: class descriptors name the fields and
//! whether the class wrote more behind them. That is enough to walk any object, so a session's
//! attributes are carried without understanding them. What cannot be carried as bytes are the
//! handles: a value's descriptors may be defined by an earlier value of the same stream. So a value
//! is read into a [`Graph`], and written by a [`Writer`] into another stream with that stream's
//! handles; written alone it is a [`Value`], the form a session keeps.
//!
//! Every length is checked against what is left before anything is allocated, a reference is never
//! expanded, and depth, nodes and bytes have limits.

mod class;
mod describe;
mod graph;
mod mutf8;
mod read;
#[cfg(test)]
mod tests;
mod value;
mod write;

use std::collections::TryReserveError;

use thiserror::Error;

pub use class::Class;
pub use describe::{Described, Plain, describe};
pub use graph::{Bytes, Desc, Field, FieldValue, Graph, Id, Item, Items, Node};
pub use mutf8::{decode as decode_mutf8, encode as encode_mutf8};
pub use read::Reader;
pub use value::{Carrier, Groups, Value};
pub use write::{Moves, Writer};

/// The head of every stream: magic and version.
pub const HEADER: [u8; 4] = [0xac, 0xed, 0, 5];

/// Flags of a class descriptor.
pub mod flag {
    /// The class has a `writeObject` of its own: contents follow its fields.
    pub const WRITE: u8 = 1;
    /// Fields in the order of the descriptor.
    pub const SERIALIZABLE: u8 = 2;
    /// The class writes everything itself.
    pub const EXTERNALIZABLE: u8 = 4;
    /// What an externalizable class writes is in records with an end mark.
    pub const BLOCK: u8 = 8;
    /// An enum: only the name of the constant.
    pub const ENUM: u8 = 0x10;
}

/// The marks of the grammar.
pub(crate) mod tag {
    pub(crate) const NULL: u8 = 0x70;
    pub(crate) const REFERENCE: u8 = 0x71;
    pub(crate) const CLASSDESC: u8 = 0x72;
    pub(crate) const OBJECT: u8 = 0x73;
    pub(crate) const STRING: u8 = 0x74;
    pub(crate) const ARRAY: u8 = 0x75;
    pub(crate) const CLASS: u8 = 0x76;
    pub(crate) const BLOCK: u8 = 0x77;
    pub(crate) const END: u8 = 0x78;
    pub(crate) const RESET: u8 = 0x79;
    pub(crate) const BLOCK_LONG: u8 = 0x7a;
    pub(crate) const EXCEPTION: u8 = 0x7b;
    pub(crate) const LONG_STRING: u8 = 0x7c;
    pub(crate) const PROXY: u8 = 0x7d;
    pub(crate) const ENUM: u8 = 0x7e;
}

/// The first handle of a stream.
pub(crate) const BASE_HANDLE: u32 = 0x7e_0000;

/// Why a stream is refused.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Error {
    #[error("the stream ends inside a value")]
    Short,
    #[error("no Java stream header")]
    Header,
    #[error("unexpected mark {0:#04x}")]
    Tag(u8),
    #[error("a reference to something that is not there")]
    Handle,
    #[error("nested too deeply")]
    Depth,
    #[error("too many objects")]
    Nodes,
    #[error("longer than allowed")]
    Long,
    #[error("invalid modified UTF-8")]
    Utf8,
    #[error("class flags {0:#04x} cannot be read")]
    Flags(u8),
    #[error("a malformed class descriptor")]
    Descriptor,
    #[error("a length that cannot be")]
    Length,
    #[error("an object where primitive data is due")]
    BlockDue,
    #[error("primitive data where an object is due")]
    ObjectDue,
    #[error("the writer gave up inside this value")]
    Aborted,
    #[error("bytes behind the last value")]
    Trailing,
    #[error("not the class that is due")]
    Class,
    #[error("no memory")]
    Memory,
}

impl From<TryReserveError> for Error {
    fn from(_: TryReserveError) -> Self {
        Self::Memory
    }
}

/// What a stream may ask of its reader.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Objects, arrays, annotations and super classes inside one another.
    pub depth: u32,
    /// Everything that takes a handle, over the whole stream.
    pub nodes: u32,
    /// Bytes of the stream.
    pub bytes: usize,
}

impl Limits {
    /// What an attribute or a message may be.
    pub const VALUE: Self = Self { depth: 400, nodes: 1 << 20, bytes: 64 << 20 };
    /// What the sessions of a whole application may be, in one message.
    pub const STATE: Self = Self { depth: 400, nodes: 1 << 24, bytes: 1 << 30 };
}

impl Default for Limits {
    fn default() -> Self {
        Self::VALUE
    }
}

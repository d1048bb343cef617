//! Tomcat's group communication on the wire: frames, channel messages, member packages, RPC heads.
//!
//! One frame is `FLT2002`, a length, the content and `TLF2003`; the content is an acknowledgement
//! of three bytes or a [`ChannelData`]. A [`Member`] package also stands bare in heartbeat
//! datagrams. All integers are big-endian; every length is checked against what is really there.

mod data;
mod frame;
mod member;
pub mod rpc;
#[cfg(test)]
mod tests;

pub use data::{ChannelData, Options, UnknownOption, put_data};
pub use frame::{ACK, FAIL_ACK, Frame, OVERHEAD, Reply, START, frame, reply, reply_frame, split};
pub use member::{Member, SHUTDOWN, UniqueId, is_member};

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A frame does not begin with its marker.
    #[error("no start marker")]
    Start,
    /// A frame's end marker is not where its length says.
    #[error("no end marker after the length given")]
    End,
    /// A frame longer than allowed, or of negative length.
    #[error("a frame of {0} bytes")]
    Length(i32),
    /// A value ends before its length says, or a length is negative.
    #[error("a value is longer than what holds it")]
    Short,
    /// Bytes are left over.
    #[error("{0} bytes follow the last value")]
    Trailing(usize),
    /// A member package without its markers.
    #[error("not a member package")]
    Member,
    /// An address that is neither IPv4 nor IPv6.
    #[error("Invalid host length [{0}]")]
    Host(u8),
    /// A unique id that is not 16 bytes.
    #[error("a unique id of {0} bytes")]
    UniqueId(usize),
    /// Not the Java object expected here.
    #[error("not the object expected")]
    Object,
}

/// Reads values from the front of a package.
#[derive(Clone, Copy, Debug)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, n: usize) -> Result<&'a [u8], Error> {
        let (bytes, rest) = self.0.split_at_checked(n).ok_or(Error::Short)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (bytes, rest) = self.0.split_first_chunk::<N>().ok_or(Error::Short)?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn u8(&mut self) -> Result<u8, Error> {
        self.array::<1>().map(u8::from_be_bytes)
    }

    fn i32(&mut self) -> Result<i32, Error> {
        self.array().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64, Error> {
        self.array().map(i64::from_be_bytes)
    }

    /// Bytes behind their length.
    fn counted(&mut self) -> Result<&'a [u8], Error> {
        let n = usize::try_from(self.i32()?).map_err(|_| Error::Short)?;
        self.bytes(n)
    }

    fn expect(&mut self, bytes: &[u8], or: Error) -> Result<(), Error> {
        self.0 = self.0.strip_prefix(bytes).ok_or(or)?;
        Ok(())
    }

    fn end(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Trailing(self.0.len())) }
    }
}

/// Appends a length and the bytes; what no Java array could hold is cut off by its receiver's limits first.
fn put_counted(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&length(bytes.len()).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// A length as Java writes it. Frames are bounded far below 2 GiB before they are built.
fn length(n: usize) -> i32 {
    debug_assert!(i32::try_from(n).is_ok(), "{n} bytes in one value");
    i32::try_from(n).unwrap_or(i32::MAX)
}

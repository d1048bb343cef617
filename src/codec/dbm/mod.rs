//! Files of keys and values as `httxt2dbm` and `htdbm` make them: [`sdbm`], [`gdbm`], and Berkeley DB's hash files
//! ([`hash`]), which are what Debian's httpd means by `default`.
//!
//! Nothing is read here: who looks a key up brings a function that reads bytes of a file at an offset, as many as there
//! are. What a file says of itself is never believed: chains are followed for so long only, values are bounded.

pub mod gdbm;
pub mod hash;
pub mod sdbm;

/// The longest value that is looked at.
pub const LONGEST_VALUE: usize = 64 * 1024;

/// Why nothing can be said of a key.
#[derive(Debug, thiserror::Error)]
pub enum DbmError<E> {
    /// The file could not be read.
    #[error(transparent)]
    Read(E),
    /// It is no file of this kind, or a damaged one.
    #[error("not a database of this type")]
    Broken,
}

/// Reads `into` at an offset as far as the file goes; how much it was.
pub trait ReadAt<E>: FnMut(u64, &mut [u8]) -> Result<usize, E> {}

impl<E, F: FnMut(u64, &mut [u8]) -> Result<usize, E>> ReadAt<E> for F {}

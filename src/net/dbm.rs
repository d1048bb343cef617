//! Files of keys and values, looked up where they lie: nothing of them is kept.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use crate::codec::dbm::{DbmError, gdbm, hash, sdbm};

/// The kinds of files that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Two files, `.dir` and `.pag`.
    Sdbm,
    /// Berkeley DB, which is Debian's `default`.
    Berkeley,
    /// GNU's.
    Gdbm,
}

impl Kind {
    /// Understands httpd's word for a kind, in any case. None: one that Debian's httpd does not read either.
    pub fn parse(word: &[u8]) -> Option<Self> {
        match word.to_ascii_lowercase().as_slice() {
            b"default" | b"db" => Some(Self::Berkeley),
            b"sdbm" => Some(Self::Sdbm),
            b"gdbm" => Some(Self::Gdbm),
            _ => None,
        }
    }
}

/// The value of a key in the file of this name, which is without its endings.
///
/// # Errors
/// Where the file cannot be read, or is not of this kind.
pub fn fetch(kind: Kind, name: &[u8], key: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let path = |ending: &[u8]| PathBuf::from(OsStr::from_bytes(&[name, ending].concat()));
    let found = match kind {
        Kind::Sdbm => {
            let (dir, pag) = (File::open(path(b".dir"))?, File::open(path(b".pag"))?);
            sdbm::find(dir.metadata()?.len(), reader(&dir), reader(&pag), key)
        }
        Kind::Berkeley => hash::find(reader(&File::open(path(b""))?), key),
        Kind::Gdbm => gdbm::find(reader(&File::open(path(b""))?), key),
    };
    found.map_err(|error| match error {
        DbmError::Read(error) => error,
        broken @ DbmError::Broken => io::Error::new(io::ErrorKind::InvalidData, broken.to_string()),
    })
}

fn reader(file: &File) -> impl FnMut(u64, &mut [u8]) -> io::Result<usize> {
    |at, into| {
        let mut have = 0;
        while let Some(room) = into.get_mut(have..).filter(|room| !room.is_empty()) {
            match file.read_at(room, at.saturating_add(have as u64)) {
                Ok(0) => break,
                Ok(n) => have += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(have)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_kinds_are_found_by_their_names() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dbm/");
        let look = |kind, name: &str, key: &str| fetch(kind, [folder, name].concat().as_bytes(), key.as_bytes());
        let expected = Some(b"http://10.0.0.1:8000/".to_vec());
        assert_eq!(look(Kind::Sdbm, "hosts", "host0.test").unwrap(), expected);
        assert_eq!(look(Kind::Berkeley, "hosts.db", "host0.test").unwrap(), expected);
        assert_eq!(look(Kind::Gdbm, "keys.gdbm", "key1").unwrap(), Some(b"value-x".to_vec()));
        assert_eq!(look(Kind::Berkeley, "hosts.db", "host").unwrap(), None);
        assert_eq!(look(Kind::Sdbm, "none", "x").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(look(Kind::Berkeley, "hosts.txt", "x").unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn kinds_have_httpds_names() {
        assert_eq!(Kind::parse(b"Default"), Some(Kind::Berkeley));
        assert_eq!(Kind::parse(b"SDBM"), Some(Kind::Sdbm));
        assert_eq!([Kind::parse(b"gdbm"), Kind::parse(b"ndbm")], [Some(Kind::Gdbm), None]);
    }
}

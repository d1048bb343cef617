//! Values in files of keys and values (`net::dbm`), with httpd's words for what is wrong with them.

use std::io;

use nix::errno::Errno as System;

use crate::codec::dbm::gdbm::HEAD;
use crate::logs::Errno;
use crate::net::dbm::{Kind, fetch};

/// `DSO load failed`: there is nothing that reads files of this type, as with NDBM on Debian.
const NO_LIBRARY: Errno = Errno(20019);

/// Where the numbers of a library begin among those of the portability layer.
const LIBRARY: i32 = 120_000;

/// GDBM's numbers for a file that cannot be opened, begins wrongly, or ends too soon.
const GDBM: [i32; 3] = [LIBRARY + 3, LIBRARY + 13, LIBRARY + 25];

/// The files that a table of this kind consists of.
pub(super) fn files(kind: Kind, name: &[u8]) -> Vec<Vec<u8>> {
    match kind {
        Kind::Sdbm => vec![[name, b".dir"].concat(), [name, b".pag"].concat()],
        Kind::Berkeley | Kind::Gdbm => vec![name.to_vec()],
    }
}

/// The value of a key, or what the log says of the failure. Reads the file.
pub(super) fn find(type_name: &[u8], name: &[u8], key: &[u8]) -> Result<Option<Vec<u8>>, Errno> {
    let kind = Kind::parse(type_name).ok_or(NO_LIBRARY)?;
    match fetch(kind, name, key) {
        Ok(found) => Ok(found),
        Err(error) => told(kind, name, &error).map_or(Ok(None), Err),
    }
}

/// The failure as the library tells of it; none: as in httpd nothing is wrong with such a file, and nothing in it.
/// SDBM is the portability layer's own, the others have numbers for theirs.
fn told(kind: Kind, name: &[u8], error: &io::Error) -> Option<Errno> {
    let broken = error.kind() == io::ErrorKind::InvalidData;
    Some(match kind {
        Kind::Sdbm if broken => return None,
        Kind::Sdbm => Errno::from(error),
        Kind::Berkeley if broken => Errno(LIBRARY + System::EINVAL as i32),
        Kind::Berkeley => Errno(LIBRARY + Errno::from(error).0),
        Kind::Gdbm if !broken => Errno(GDBM[0]),
        Kind::Gdbm => {
            use std::os::unix::ffi::OsStrExt as _;
            let length = std::fs::metadata(std::ffi::OsStr::from_bytes(name)).map_or(0, |info| info.len());
            Errno(if length < HEAD as u64 { GDBM[2] } else { GDBM[1] })
        }
    })
}

/// A table without a name cannot be opened.
pub(super) fn no_file(type_name: &[u8]) -> Errno {
    match Kind::parse(type_name) {
        Some(Kind::Gdbm) => Errno(GDBM[0]),
        Some(Kind::Berkeley) => Errno(LIBRARY + System::ENOENT as i32),
        Some(Kind::Sdbm) => Errno(System::ENOENT as i32),
        None => NO_LIBRARY,
    }
}

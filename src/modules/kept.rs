//! What a thread keeps of files that it has read.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::rc::Rc;

use foldhash::fast::RandomState;

use crate::logs::Errno;
use crate::web::Exchange;

/// Files as this thread has read them, by their path; one that was changed is read again.
pub(super) struct Kept<T>(RefCell<Files<T>>);

/// By path: what the file was like when it was read, and what was made of it.
type Files<T> = HashMap<Vec<u8>, (Stamp, Rc<T>), RandomState>;

/// What tells that a file was changed: device, inode, length, and when it was modified.
type Stamp = (u64, u64, u64, i64, i64);

/// Larger files are not read: they would be held in memory by every thread.
const FILE_MAX: u64 = 64 << 20;

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<T: 'static> Kept<T> {
    /// The file as it is now, made of its bytes by `make`.
    pub(super) fn get(
        path: &[u8],
        ex: &Exchange,
        make: impl FnOnce(&[u8]) -> Result<T, Errno>,
    ) -> Result<Rc<T>, Errno> {
        let kept = ex.live.local(Self::default);
        let stamp = stamp(path)?;
        if let Some(found) = kept.find(path, stamp) {
            return Ok(found);
        }
        let made = Rc::new(make(&bytes_of(path)?)?);
        kept.0.borrow_mut().insert(path.to_vec(), (stamp, made.clone()));
        Ok(made)
    }

    fn find(&self, path: &[u8], stamp: Stamp) -> Option<Rc<T>> {
        let kept = self.0.borrow();
        kept.get(path).filter(|(read, _)| *read == stamp).map(|(_, made)| made.clone())
    }
}

fn os_path(path: &[u8]) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(path))
}

fn stamp(path: &[u8]) -> io::Result<Stamp> {
    let info = std::fs::metadata(os_path(path))?;
    Ok((info.dev(), info.ino(), info.len(), info.mtime(), info.mtime_nsec()))
}

fn bytes_of(path: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(os_path(path))?.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_MAX {
        Err(io::Error::from_raw_os_error(nix::errno::Errno::EFBIG as i32))
    } else {
        Ok(bytes)
    }
}

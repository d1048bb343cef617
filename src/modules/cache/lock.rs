//! The lock of an entry that is being fetched: a file, so that all processes see it.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::key;

/// Where locks lie, and how long one counts.
#[derive(Clone, Debug)]
pub struct Locks {
    /// The folder.
    pub dir: PathBuf,
    /// Older ones are taken away.
    pub max_age: Duration,
}

/// A lock that is held; given back when dropped.
#[derive(Debug)]
pub struct Lock(PathBuf);

impl Drop for Lock {
    fn drop(&mut self) {
        // One that was too old is another's by now, or gone.
        let _ = fs::remove_file(&self.0);
    }
}

/// Why there is no lock.
#[derive(Debug)]
pub enum Unlocked {
    /// Somebody else fetches the entry.
    Held,
    /// Its folder cannot be made.
    NoDir(PathBuf, io::Error),
    /// It cannot be looked at.
    NoLook(PathBuf, io::Error),
    /// It cannot be made.
    Failed,
}

impl Locks {
    /// Takes the lock of a key; blocks. Says as well whether one was taken away that was too old.
    pub fn take(&self, key: &[u8]) -> (Result<Lock, Unlocked>, Option<PathBuf>) {
        let name = key::file_name(key, 0, 0);
        let (first, second) = (name.get(..1).unwrap_or_default(), name.get(1..2).unwrap_or_default());
        let dir = self.dir.join(first).join(second);
        if let Err(error) = DirBuilder::new().recursive(true).mode(0o700).create(&dir) {
            return (Err(Unlocked::NoDir(dir, error)), None);
        }
        let path = dir.join(&name);
        let mut old = None;
        match is_old(&path, self.max_age) {
            Ok(true) => {
                let _ = fs::remove_file(&path);
                old = Some(path.clone());
            }
            Ok(false) => {}
            Err(error) => return (Err(Unlocked::NoLook(path, error)), None),
        }
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let lock = match made {
            Ok(_) => Ok(Lock(path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Unlocked::Held),
            Err(_) => Err(Unlocked::Failed),
        };
        (lock, old)
    }
}

fn is_old(path: &Path, max_age: Duration) -> io::Result<bool> {
    let made = match fs::metadata(path) {
        Ok(found) => found.modified()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    // One of the future counts as old.
    Ok(SystemTime::now().duration_since(made).map_or(true, |age| age > max_age))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holds_it_until_it_is_too_old() {
        let dir = std::env::temp_dir().join(format!("tandem-cache-lock-{}", std::process::id()));
        let locks = Locks { dir: dir.clone(), max_age: Duration::from_secs(60) };
        let first = locks.take(b"key").0.unwrap();
        assert!(matches!(locks.take(b"key"), (Err(Unlocked::Held), None)));
        assert!(locks.take(b"other").0.is_ok());
        let path = first.0.clone();
        fs::File::open(&path).unwrap().set_modified(SystemTime::now() - Duration::from_secs(100)).unwrap();
        let (second, old) = locks.take(b"key");
        assert_eq!((second.is_ok(), old), (true, Some(path.clone())));
        drop(second);
        assert!(!path.exists());
        drop(first);
        fs::remove_dir_all(dir).unwrap();
    }
}

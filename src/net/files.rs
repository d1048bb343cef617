//! Files of the configuration, which only root may read: what was read for one process is given to another.
//!
//! Whoever prepares a configuration notes every file it reads and what it looks for ([`note`]); the server process is
//! given the notes ([`give`]) and reads from them ([`read`], [`look`]) what it could not open itself, or not see at all
//! from the folder it is confined to.

use std::collections::HashMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// What is known of one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// A file's bytes.
    File(Vec<u8>),
    /// The names in a folder.
    Folder(Vec<Vec<u8>>),
}

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its kind, links followed.
    pub kind: Kind,
    /// Its length in bytes.
    pub length: u64,
}

/// Kinds of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular one.
    File,
    /// A folder.
    Folder,
    /// A device, a socket and the like.
    Other,
}

#[derive(Default)]
struct Notes {
    /// What is read is noted.
    noting: bool,
    /// These are another process's notes.
    given: bool,
    /// What was looked for, or the system's error number.
    looked: HashMap<PathBuf, Result<Found, i32>, foldhash::fast::RandomState>,
    known: HashMap<PathBuf, Known, foldhash::fast::RandomState>,
    /// Files under a pass phrase: their bytes, and what they are without it.
    plain: HashMap<PathBuf, (Vec<u8>, Vec<u8>), foldhash::fast::RandomState>,
}

static NOTES: Mutex<Option<Notes>> = Mutex::new(None);

fn with<T>(act: impl FnOnce(&mut Notes) -> T) -> T {
    act(NOTES.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default())
}

/// From now on what is read is noted.
pub fn note() {
    with(|notes| notes.noting = true);
}

/// The contents of a file that the configuration names.
///
/// # Errors
/// The system's.
pub fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let path = path.as_ref();
    let found = with(|notes| (!notes.noting).then(|| notes.known.get(path).cloned()).flatten());
    if let Some(Known::File(text)) = found {
        return Ok(text);
    }
    let text = std::fs::read(path)?;
    with(|notes| {
        if notes.noting {
            notes.known.insert(path.to_owned(), Known::File(text.clone()));
        }
    });
    Ok(text)
}

/// The names in a folder that the configuration names.
///
/// # Errors
/// The system's.
pub fn list(path: impl AsRef<Path>) -> io::Result<Vec<Vec<u8>>> {
    let path = path.as_ref();
    let found = with(|notes| (!notes.noting).then(|| notes.known.get(path).cloned()).flatten());
    if let Some(Known::Folder(names)) = found {
        return Ok(names);
    }
    let names: Vec<Vec<u8>> =
        std::fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().into_vec())).collect::<io::Result<_>>()?;
    with(|notes| {
        if notes.noting {
            notes.known.insert(path.to_owned(), Known::Folder(names.clone()));
        }
    });
    Ok(names)
}

/// What is at a path that the configuration names.
///
/// # Errors
/// The system's.
pub fn look(path: impl AsRef<Path>) -> io::Result<Found> {
    let path = path.as_ref();
    if let Some(found) = with(|notes| (!notes.noting).then(|| notes.looked.get(path).copied()).flatten()) {
        return found.map_err(io::Error::from_raw_os_error);
    }
    let found = std::fs::metadata(path).map(|data| Found {
        kind: match () {
            () if data.is_file() => Kind::File,
            () if data.is_dir() => Kind::Folder,
            () => Kind::Other,
        },
        length: data.len(),
    });
    let noted = match &found {
        Ok(found) => Some(Ok(*found)),
        Err(error) => error.raw_os_error().map(Err),
    };
    if let Some(noted) = noted {
        with(|notes| notes.noting.then(|| notes.looked.insert(path.to_owned(), noted)));
    }
    found
}

/// Whether another process has read the configuration before, and has said what was wrong with it.
pub fn given() -> bool {
    with(|notes| notes.given)
}

/// Whether a noted path is a folder; `None`: nothing is noted of it.
pub fn noted_folder(path: &Path) -> Option<bool> {
    with(|notes| match notes.known.get(path)? {
        _ if notes.noting => None,
        Known::File(_) => Some(false),
        Known::Folder(_) => Some(true),
    })
}

/// What a file with these bytes is without its pass phrase, if somebody was asked for that already.
pub fn plain(path: &Path, bytes: &[u8]) -> Option<Vec<u8>> {
    with(|notes| notes.plain.get(path).filter(|(known, _)| known == bytes).map(|(_, plain)| plain.clone()))
}

/// Remembers what a file with these bytes is without its pass phrase: nobody is asked twice.
pub fn remember_plain(path: &Path, bytes: &[u8], plain: &[u8]) {
    with(|notes| notes.plain.insert(path.to_owned(), (bytes.to_vec(), plain.to_vec())));
}

/// All notes, in memory that can be sent to another process.
///
/// # Errors
/// The system's.
pub fn pack() -> io::Result<std::fs::File> {
    let memory = rustix::fs::memfd_create("configuration", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = io::BufWriter::new(std::fs::File::from(memory));
    let push = |file: &mut io::BufWriter<std::fs::File>, bytes: &[u8]| {
        file.write_all(&(bytes.len() as u64).to_le_bytes())?;
        file.write_all(bytes)
    };
    with(|notes| -> io::Result<()> {
        for (path, known) in &notes.known {
            match known {
                Known::File(text) => {
                    file.write_all(b"f")?;
                    push(&mut file, path.as_os_str().as_bytes())?;
                    push(&mut file, text)?;
                }
                Known::Folder(names) => {
                    file.write_all(b"d")?;
                    push(&mut file, path.as_os_str().as_bytes())?;
                    push(&mut file, &names.join(&0))?;
                }
            }
        }
        for (path, looked) in &notes.looked {
            file.write_all(b"k")?;
            push(&mut file, path.as_os_str().as_bytes())?;
            push(&mut file, &pack_found(*looked))?;
        }
        for (path, (bytes, plain)) in &notes.plain {
            file.write_all(b"p")?;
            push(&mut file, path.as_os_str().as_bytes())?;
            push(&mut file, bytes)?;
            push(&mut file, plain)?;
        }
        Ok(())
    })?;
    file.into_inner().map_err(io::IntoInnerError::into_error)
}

/// Takes what another process has packed in place of earlier notes.
///
/// # Errors
/// The system's; [`io::ErrorKind::InvalidData`] for what was not packed here.
pub fn give(packed: BorrowedFd<'_>) -> io::Result<()> {
    let notes = open(packed)?;
    with(|own| *own = Notes { given: true, ..notes });
    Ok(())
}

/// Takes of what another process has packed only what pass phrases were asked for.
///
/// # Errors
/// The system's; [`io::ErrorKind::InvalidData`] for what was not packed here.
pub fn give_plain(packed: BorrowedFd<'_>) -> io::Result<()> {
    let notes = open(packed)?;
    with(|own| own.plain = notes.plain);
    Ok(())
}

fn open(packed: BorrowedFd<'_>) -> io::Result<Notes> {
    let mut file = std::fs::File::from(packed.as_fd().try_clone_to_owned()?);
    // The place of reading is shared with whoever holds the same memory.
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(unpack(&bytes).ok_or(io::ErrorKind::InvalidData)?)
}

/// Forgets what was given: it is in the generation now. What pass phrases were asked for stays.
pub fn forget() {
    with(|notes| {
        (notes.noting, notes.given) = (false, false);
        notes.known.clear();
        notes.looked.clear();
    });
}

/// A kind and a length, or `n` and an error number.
fn pack_found(found: Result<Found, i32>) -> Vec<u8> {
    match found {
        Ok(Found { kind, length }) => {
            let kind = match kind {
                Kind::File => b'f',
                Kind::Folder => b'd',
                Kind::Other => b'o',
            };
            [&[kind][..], &length.to_le_bytes()].concat()
        }
        Err(errno) => [&b"n"[..], &errno.to_le_bytes()].concat(),
    }
}

fn unpack_found(bytes: &[u8]) -> Option<Result<Found, i32>> {
    let (kind, rest) = bytes.split_first()?;
    let kind = match kind {
        b'f' => Kind::File,
        b'd' => Kind::Folder,
        b'o' => Kind::Other,
        b'n' => return Some(Err(i32::from_le_bytes(rest.try_into().ok()?))),
        _ => return None,
    };
    Some(Ok(Found { kind, length: u64::from_le_bytes(rest.try_into().ok()?) }))
}

fn unpack(mut bytes: &[u8]) -> Option<Notes> {
    fn piece<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
        let (length, rest) = bytes.split_first_chunk::<8>()?;
        let (piece, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        *bytes = rest;
        Some(piece)
    }
    let mut notes = Notes::default();
    while let Some((kind, rest)) = bytes.split_first() {
        bytes = rest;
        let path = PathBuf::from(std::ffi::OsStr::from_bytes(piece(&mut bytes)?));
        let content = piece(&mut bytes)?;
        if *kind == b'p' {
            notes.plain.insert(path, (content.to_vec(), piece(&mut bytes)?.to_vec()));
            continue;
        }
        if *kind == b'k' {
            notes.looked.insert(path, unpack_found(content)?);
            continue;
        }
        let content = match kind {
            b'f' => Known::File(content.to_vec()),
            b'd' if content.is_empty() => Known::Folder(Vec::new()),
            b'd' => Known::Folder(content.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()),
            _ => return None,
        };
        notes.known.insert(path, content);
    }
    Some(notes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test, as the notes are those of the process.
    #[test]
    fn what_one_process_read_another_one_has() {
        let dir = std::env::temp_dir().join(format!("tandem-files-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("empty")).unwrap();
        std::fs::write(dir.join("a"), b"text\0more").unwrap();
        note();
        assert_eq!(read(dir.join("a")).unwrap(), b"text\0more");
        assert!(read(dir.join("none")).is_err());
        assert_eq!(list(dir.join("empty")).unwrap(), Vec::<Vec<u8>>::new());
        assert_eq!(list(&dir).unwrap().len(), 2);
        assert_eq!(noted_folder(&dir), None, "while noting, the world is asked");
        remember_plain(&dir, b"sealed", b"plain");
        assert_eq!(look(dir.join("a")).unwrap(), Found { kind: Kind::File, length: 9 });
        assert_eq!((look(&dir).unwrap().kind, look(dir.join("none")).is_err()), (Kind::Folder, true));
        let packed = pack().unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        for _ in 0..2 {
            give(packed.as_fd()).unwrap();
            assert_eq!(read(dir.join("a")).unwrap(), b"text\0more");
            assert_eq!((list(dir.join("empty")).unwrap().len(), list(&dir).unwrap().len()), (0, 2));
            assert_eq!(look(dir.join("a")).unwrap(), Found { kind: Kind::File, length: 9 });
            assert_eq!(look(dir.join("none")).unwrap_err().raw_os_error(), Some(2));
            assert!(look(&dir).unwrap().kind == Kind::Folder && given());
            assert_eq!((noted_folder(&dir), noted_folder(&dir.join("a"))), (Some(true), Some(false)));
        }
        forget();
        assert!(look(&dir).is_err() && !given());
        assert_eq!(plain(&dir, b"sealed").as_deref(), Some(&b"plain"[..]));
        assert_eq!(plain(&dir, b"changed"), None);
        with(|notes| notes.plain.clear());
        give_plain(packed.as_fd()).unwrap();
        assert!(plain(&dir, b"sealed").is_some());
        assert!(read(dir.join("a")).is_err());
        assert!(unpack(b"x").is_none() && unpack(b"f\x05\0\0\0\0\0\0\0abc").is_none());
    }
}

//! A small state that outlives the process: two files, written in turn, of which the newer whole one counts. Whoever
//! writes them needs no right to the folder, and a write that was cut off loses nothing but itself.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::opener::Opener;

/// The most bytes of a state.
const LONGEST: u64 = 16 << 20;

/// What a file begins with; the number changes with the form.
const MARK: &[u8; 8] = b"tandem1\n";

/// Mark, number of the write, length, checksum.
const HEAD: usize = 32;

/// Both files, open.
#[derive(Debug)]
pub struct Slots {
    files: Mutex<(Pair, u64)>,
}

type Pair = [File; 2];

impl Slots {
    /// The paths of both files.
    pub fn paths(path: &Path) -> [PathBuf; 2] {
        [".0", ".1"].map(|end| {
            let mut name = path.as_os_str().to_owned();
            name.push(end);
            name.into()
        })
    }

    /// Both files, made where they are not there yet.
    ///
    /// # Errors
    /// The system's.
    pub fn open(opener: &dyn Opener, path: &Path) -> io::Result<Self> {
        let [first, second] = Self::paths(path);
        Ok(Self { files: Mutex::new(([opener.state_file(&first)?, opener.state_file(&second)?], 0)) })
    }

    /// What was written last; nothing if nothing whole is there.
    ///
    /// # Errors
    /// The system's.
    pub fn read(&self) -> io::Result<Option<Vec<u8>>> {
        let mut held = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let mut newest: Option<(u64, Vec<u8>)> = None;
        for file in &mut held.0 {
            let found = read_one(file)?;
            if let Some(found) = found.filter(|(number, _)| newest.as_ref().is_none_or(|(other, _)| number > other)) {
                newest = Some(found);
            }
        }
        held.1 = newest.as_ref().map_or(0, |(number, _)| *number);
        Ok(newest.map(|(_, state)| state))
    }

    /// Puts what `state` gives in the place of the older one. It is asked with the files locked: what is written last
    /// is what was so last.
    ///
    /// # Errors
    /// The system's; or it is too long.
    pub fn write(&self, state: impl FnOnce() -> Vec<u8>) -> io::Result<()> {
        let mut held = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let state = state();
        if state.len() as u64 > LONGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let number = held.1 + 1;
        let mut bytes = Vec::with_capacity(HEAD + state.len());
        bytes.extend_from_slice(MARK);
        bytes.extend_from_slice(&number.to_le_bytes());
        bytes.extend_from_slice(&(state.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&checksum(number, &state).to_le_bytes());
        bytes.extend_from_slice(&state);
        let file = &mut held.0[usize::from(number % 2 == 1)];
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&bytes)?;
        file.sync_data()?;
        held.1 = number;
        Ok(())
    }
}

fn read_one(file: &mut File) -> io::Result<Option<(u64, Vec<u8>)>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(LONGEST + HEAD as u64 + 1).read_to_end(&mut bytes)?;
    Ok(whole(&bytes).map(|(number, state)| (number, state.to_vec())))
}

/// The number and the state of a file, if all of it is as it was written.
fn whole(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (head, state) = bytes.split_at_checked(HEAD)?;
    let number_at = |at: usize| Some(u64::from_le_bytes(head.get(at..at + 8)?.try_into().ok()?));
    let (number, len, sum) = (number_at(8)?, number_at(16)?, number_at(24)?);
    let is_whole = head.starts_with(MARK) && len == state.len() as u64 && sum == checksum(number, state);
    is_whole.then_some((number, state))
}

/// Tells what was cut off or has rotted, not what somebody has forged: only the owner of the folder could.
fn checksum(number: u64, state: &[u8]) -> u64 {
    use std::hash::Hasher;
    let mut hasher = siphasher::sip::SipHasher13::new();
    hasher.write_u64(number);
    hasher.write(state);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::super::opener::InProcess;
    use super::*;

    #[test]
    fn the_newest_whole_state_counts() {
        let dir = std::env::temp_dir().join(format!("tandem-slots-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("state");
        let again = || Slots::open(&InProcess, &path).unwrap();
        let slots = again();
        assert_eq!(slots.read().unwrap(), None);
        for state in [&b"one"[..], b"two, and longer", b"three"] {
            slots.write(|| state.to_vec()).unwrap();
            assert_eq!(again().read().unwrap().as_deref(), Some(state));
        }
        // A write that was cut off, a bit that has rotted: what was before counts, and the next one is whole again.
        let newest = &Slots::paths(&path)[1];
        let bytes = std::fs::read(newest).unwrap();
        for broken in [&bytes[..bytes.len() - 1], &[&bytes[..HEAD], b"thrxe"].concat(), b"", &bytes[..HEAD - 1]] {
            std::fs::write(newest, broken).unwrap();
            assert_eq!(again().read().unwrap().as_deref(), Some(&b"two, and longer"[..]));
        }
        let slots = again();
        slots.read().unwrap();
        slots.write(|| b"four".to_vec()).unwrap();
        assert_eq!(again().read().unwrap().as_deref(), Some(&b"four"[..]));
        assert!(slots.write(|| vec![0; (LONGEST + 1) as usize]).is_err());
        assert_eq!(again().read().unwrap().as_deref(), Some(&b"four"[..]));
        std::fs::remove_dir_all(dir).unwrap();
    }
}

//! The file of heartbeats: a line for each host, `<ip> &ready=N&busy=N&lastseen=SECONDS&port=N`.

use std::collections::HashMap;
use std::fs::{File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::record::{FORGOTTEN, PORT, Record, Words, number, whole};

/// No more of a file is read.
const LONGEST: u64 = 1024 * 1024;

/// What could not be done with the file; the texts are httpd's for a file that is written whole.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error("AH02081: Unable to open tmp file: {}", .0.display())]
    Open(PathBuf, #[source] io::Error),
    #[error("AH02082: Unable to flush file: {}", .0.display())]
    Write(PathBuf, #[source] io::Error),
    #[error("AH02084: Unable to set file permissions on {}", .0.display())]
    Permissions(PathBuf, #[source] io::Error),
    #[error("AH02085: Unable to move file: {} -> {}", .0.display(), .1.display())]
    Move(PathBuf, PathBuf, #[source] io::Error),
}

impl StorageError {
    /// The system's error.
    pub fn errno(&self) -> &io::Error {
        match self {
            Self::Open(_, error) | Self::Write(_, error) | Self::Permissions(_, error) | Self::Move(_, _, error) => {
                error
            }
        }
    }
}

/// The records of a file as it is now.
///
/// # Errors
/// The system's.
pub fn read(path: &Path) -> io::Result<Vec<Record>> {
    Ok(parse(&read_text(path)?.0))
}

fn read_text(path: &Path) -> io::Result<(Vec<u8>, Option<SystemTime>)> {
    let file = File::open(path)?;
    let changed = file.metadata()?.modified().ok();
    let mut text = Vec::new();
    file.take(LONGEST).read_to_end(&mut text)?;
    Ok((text, changed))
}

/// The lines of a text. As in httpd the last byte of each is cut off, which is the end of the line in most.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').map(|line| {
        let line = line.get(..line.len() - 1).unwrap_or_default();
        line.split(|byte| *byte == 0).next().unwrap_or_default()
    })
}

/// Host, and what it says.
fn record_line(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = memchr::memchr(b' ', line).filter(|_| line.first() != Some(&b'#'))?;
    Some((&line[..space], &line[space + 1..]))
}

fn parse(text: &[u8]) -> Vec<Record> {
    let mut all: Vec<Record> = Vec::new();
    let mut known: HashMap<&[u8], usize> = HashMap::new();
    for (ip, said) in lines(text).filter_map(record_line) {
        let at = *known.entry(ip).or_insert_with(|| {
            all.push(Record { ip: ip.to_vec(), port: PORT, ready: 0, busy: 0, seen: -1 });
            all.len() - 1
        });
        let Some(record) = all.get_mut(at) else { continue };
        let words = Words::parse(said);
        // What a second line leaves out, or does not say in numbers, stays as the first one had it.
        let value = |key: &str| words.get(key).and_then(whole);
        record.busy = value("busy").unwrap_or(record.busy);
        record.ready = value("ready").unwrap_or(record.ready);
        record.seen = value("lastseen").map_or(record.seen, i64::from);
        record.port = value("port").unwrap_or(record.port);
    }
    all
}

fn push(record: &Record, out: &mut Vec<u8>) {
    out.extend_from_slice(&record.ip);
    let Record { ready, busy, seen, port, .. } = record;
    out.extend_from_slice(format!(" &ready={ready}&busy={busy}&lastseen={seen}&port={port}\n").as_bytes());
}

/// Puts these records in place of the file; those who have been silent for too long are left out.
///
/// # Errors
/// What could not be done.
pub fn write(path: &Path, records: &[Record]) -> Result<(), StorageError> {
    let mut text = Vec::new();
    records.iter().filter(|record| record.seen <= FORGOTTEN).for_each(|record| push(record, &mut text));
    replace(path, &text)
}

/// Puts one host's record into the file. The others' grow older by the age of the file.
///
/// # Errors
/// What could not be done.
pub fn update(path: &Path, record: &Record) -> Result<(), StorageError> {
    // Where there is none yet, this is the first.
    let (before, changed) = read_text(path).unwrap_or_default();
    let age = changed.and_then(|changed| SystemTime::now().duration_since(changed).ok()).unwrap_or_default().as_secs();
    let mut text = Vec::with_capacity(before.len() + 64);
    let mut updated = false;
    for line in lines(&before) {
        match record_line(line) {
            None => {
                text.extend_from_slice(line);
                text.push(b'\n');
            }
            Some((ip, _)) if ip == record.ip => {
                push(record, &mut text);
                updated = true;
            }
            Some((ip, said)) => {
                let words = Words::parse(said);
                let value = |key: &str| words.get(key).map(number);
                let seen = value("lastseen").map_or(FORGOTTEN, i64::from);
                let seen = seen.saturating_add(i64::try_from(age).unwrap_or(i64::MAX));
                let (ready, busy) = (value("ready").unwrap_or(0), value("busy").unwrap_or(0));
                let port = value("port").unwrap_or(PORT);
                push(&Record { ip: ip.to_vec(), port, ready, busy, seen }, &mut text);
            }
        }
    }
    if !updated {
        push(record, &mut text);
    }
    replace(path, &text)
}

/// Who reads the file finds the old one or the new one, whole.
fn replace(path: &Path, text: &[u8]) -> Result<(), StorageError> {
    let suffix = getrandom::u64().unwrap_or_else(|_| u64::from(std::process::id()));
    let mut name = path.as_os_str().to_owned();
    name.push(std::ffi::OsStr::from_bytes(format!(".tmp.{suffix:016x}").as_bytes()));
    let new = PathBuf::from(name);
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .open(&new)
        .map_err(|error| StorageError::Open(new.clone(), error))?;
    let mut put = || {
        file.write_all(text).map_err(|error| StorageError::Write(new.clone(), error))?;
        let readable = Permissions::from_mode(0o444);
        file.set_permissions(readable).map_err(|error| StorageError::Permissions(new.clone(), error))?;
        std::fs::rename(&new, path).map_err(|error| StorageError::Move(new.clone(), path.to_owned(), error))
    };
    put().inspect_err(|_| {
        // Nobody else knows of it.
        let _ = std::fs::remove_file(&new);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(ip: &str, ready: i32, busy: i32, seen: i64, port: i32) -> Record {
        Record { ip: ip.as_bytes().to_vec(), port, ready, busy, seen }
    }

    #[test]
    fn lines_are_read_as_httpd_reads_them() {
        let text = b"#127.0.0.1 &ready=1\n\nalone\n10.0.0.1 &ready=40&busy=2&lastseen=3&port=81\n\
            10.0.0.1 &ready=41\nb ready=5&busy=1&lastseen=-1\nc &ready=7x&lastseen=12";
        let expected = [record("10.0.0.1", 41, 2, 3, 81), record("b", 5, 1, -1, 80), record("c", 0, 0, 1, 80)];
        assert_eq!(parse(text), expected);
    }

    #[test]
    fn a_file_is_replaced_whole_and_updated_by_host() {
        let folder = std::env::temp_dir().join(format!("tandem-heartbeats-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("hb.dat");
        update(&path, &record("a", 1, 2, 0, 80)).unwrap();
        write(&path, &[record("a", 5, 1, 2, 80), record("old", 5, 1, 31, 80), record("b", 0, 9, 30, 8080)]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "a &ready=5&busy=1&lastseen=2&port=80\nb &ready=0&busy=9&lastseen=30&port=8080\n");
        update(&path, &record("b", 3, 4, 0, 90)).unwrap();
        let after = read(&path).unwrap();
        assert_eq!((after.len(), &after[1]), (2, &record("b", 3, 4, 0, 90)));
        assert!(after[0].seen >= 2);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "nothing is left behind");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

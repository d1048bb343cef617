//! Entries as files: a header, a body beside it, and a folder of variants.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::layout::{self, Header, Parsed};
use crate::logs::Level;
use crate::modules::cache::control::Flag;
use crate::modules::cache::key;
use crate::modules::cache::store::{Content, Entry, Info, Limits, PIECE, Place, Said, Store, Writer};
use crate::web::Table;

/// A folder of entries.
#[derive(Clone, Debug)]
pub struct Folder {
    /// CacheRoot.
    pub root: PathBuf,
    /// CacheDirLevels.
    pub levels: usize,
    /// CacheDirLength.
    pub length: usize,
}

/// A longer header file is none: heads of requests and responses are bounded far below.
const LONGEST: u64 = 1 << 20;

fn said(level: Level, text: String) -> Said {
    Said { level, module: "cache_disk", errno: None, text }
}

/// A path with something behind its last name.
fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().as_bytes().to_vec();
    name.extend_from_slice(suffix.as_bytes());
    PathBuf::from(OsString::from_vec(name))
}

impl Folder {
    /// The path of an entry's files, without what tells them apart.
    fn path(&self, place: &Place) -> PathBuf {
        let own = self.root.join(key::file_name(&place.key, self.levels, self.length));
        match &place.variant {
            None => own,
            Some(variant) => with(&own, ".header.vary").join(key::file_name(variant, self.levels, self.length)),
        }
    }

    /// The header that the request leads to, and where it lies.
    fn find(&self, name: &[u8], request: &Table, told: &mut Vec<Said>) -> Option<(Header, Place)> {
        let mut place = Place { key: name.to_vec(), variant: None };
        for _ in 0..2 {
            let path = with(&self.path(&place), ".header");
            let bytes = read(&path)?;
            match layout::parse(&bytes) {
                Some(Parsed::Vary(names)) if place.variant.is_none() => {
                    place.variant = Some(layout::variant(&names, request, name));
                }
                Some(Parsed::Entry(header)) if header.name == name => return Some((*header, place)),
                Some(Parsed::Version(version)) => {
                    let text = "has a version mismatch. File had version:";
                    told.push(said(Level::Error, format!("AH00705: File '{}' {text} {version}.", path.display())));
                    return None;
                }
                _ => {
                    told.push(said(Level::Error, format!("AH00706: Cannot read header file {}", path.display())));
                    return None;
                }
            }
        }
        None
    }

    /// A new file that nobody knows yet.
    fn temporary(&self) -> io::Result<(File, PathBuf)> {
        const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        for _ in 0..100 {
            let mut seed = getrandom::u64().map_err(|_| io::ErrorKind::Other)?;
            let mut name = "aptmp".to_owned();
            for _ in 0..6 {
                let at = usize::try_from(seed % LETTERS.len() as u64).unwrap_or(0);
                name.push(char::from(LETTERS.get(at).copied().unwrap_or(b'a')));
                seed /= LETTERS.len() as u64;
            }
            let path = self.root.join(name);
            match OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => return Ok((file, path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Puts a whole file in its place at once.
    fn put(&self, bytes: &[u8], path: &Path) -> io::Result<()> {
        let (mut file, temporary) = self.temporary()?;
        let done = file.write_all(bytes).and_then(|()| rename(&temporary, path));
        if done.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        done
    }

    /// Puts the header of an entry in its place; says where that is.
    fn put_header(&self, header: &Header, name: &[u8]) -> io::Result<Place> {
        let mut place = Place { key: name.to_vec(), variant: None };
        let vary = header.response.as_ref().and_then(|fields| crate::modules::cache::control::joined(fields, b"Vary"));
        if let Some(vary) = vary {
            let names = layout::vary_names(&vary);
            let none = Table::default();
            let request = header.request.as_ref().unwrap_or(&none);
            self.put(&layout::vary_file(header.info.expire, &names), &with(&self.path(&place), ".header"))?;
            place.variant = Some(layout::variant(&names, request, name));
        }
        self.put(&layout::entry_file(header), &with(&self.path(&place), ".header"))?;
        Ok(place)
    }
}

/// A header file's bytes.
fn read(path: &Path) -> Option<Vec<u8>> {
    let file = File::open(path).ok()?;
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Moves a file to its place, whose folders others may take away meanwhile.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    let mut done = fs::rename(from, to);
    for _ in 0..3 {
        if done.is_ok() {
            break;
        }
        if let Some(dir) = to.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        }
        done = fs::rename(from, to);
    }
    done
}

impl Store for Folder {
    fn open(&self, name: &[u8], request: &Table, head: bool, told: &mut Vec<Said>) -> Option<Entry> {
        let (header, place) = self.find(name, request, told)?;
        if header.head_only && !head {
            return None;
        }
        let body = match header.body {
            None => Content::Memory([].into(), 0),
            Some(identity) => {
                let path = with(&self.path(&place), ".data");
                let Ok(file) = File::open(&path) else {
                    let text = "Cannot open data file";
                    told.push(said(Level::Error, format!("AH00708: {text} {}", path.display())));
                    return None;
                };
                let found = file.metadata().ok()?;
                if (found.ino(), found.dev()) != identity {
                    // One of the two was replaced in between.
                    return None;
                }
                let mut first = vec![0; usize::try_from(found.len()).unwrap_or(PIECE).min(PIECE)];
                file.read_exact_at(&mut first, 0).ok()?;
                Content::File(Arc::new(file), found.len(), first.into())
            }
        };
        for table in [&header.response, &header.request] {
            if table.is_none() {
                told.push(said(Level::Error, "AH00717: Premature end of cache headers.".to_owned()));
            }
        }
        Some(Entry {
            info: header.info,
            response: header.response.unwrap_or_default(),
            request: header.request.unwrap_or_default(),
            body,
            place,
        })
    }

    fn create(&self, name: &[u8], limits: Limits) -> Box<dyn Writer> {
        Box::new(Writing { folder: self.clone(), name: name.to_vec(), most: limits.most, length: 0, file: None })
    }

    fn refresh(&self, entry: &Entry, info: &Info, response: &Table, request: &Table) -> Result<(), Said> {
        let body = match &entry.body {
            Content::File(file, ..) => file.metadata().ok().map(|found| (found.ino(), found.dev())),
            Content::Memory(..) => None,
        };
        let header = Header {
            info: info.clone(),
            name: entry.place.key.clone(),
            body,
            head_only: false,
            response: Some(response.clone()),
            request: Some(request.clone()),
        };
        let failed = |error: io::Error| said(Level::Warn, format!("AH00725: could not create header file: {error}"));
        let place = self.put_header(&header, &entry.place.key).map_err(failed)?;
        if place.variant != entry.place.variant {
            // It varies by other fields than before: the body goes along.
            let (from, to) = (with(&self.path(&entry.place), ".data"), with(&self.path(&place), ".data"));
            rename(&from, &to).map_err(failed)?;
        }
        Ok(())
    }

    fn remove(&self, place: &Place) {
        let path = self.path(place);
        for suffix in [".header", ".data"] {
            // What is gone already is what is wanted.
            let _ = fs::remove_file(with(&path, suffix));
        }
        let mut dir = path.parent();
        while let Some(path) = dir.filter(|dir| *dir != self.root && dir.starts_with(&self.root)) {
            if fs::remove_dir(path).is_err_and(|error| error.kind() != io::ErrorKind::NotFound) {
                break;
            }
            dir = path.parent();
        }
    }

    fn invalidate(&self, name: &[u8], request: &Table, told: &mut Vec<Said>) {
        let Some(entry) = self.open(name, request, true, told) else { return };
        let body = match &entry.body {
            Content::File(file, ..) => file.metadata().ok().map(|found| (found.ino(), found.dev())),
            Content::Memory(..) => None,
        };
        let mut info = entry.info;
        info.control.set(Flag::Invalidated);
        // As httpd writes it: without fields, so that nothing is asked with what is not right any more.
        let header = Header { info, name: name.to_vec(), body, head_only: false, response: None, request: None };
        if self.put(&layout::entry_file(&header), &with(&self.path(&entry.place), ".header")).is_err() {
            // Nobody must be given it.
            self.remove(&entry.place);
        }
    }
}

/// An entry on its way to the disk.
struct Writing {
    folder: Folder,
    name: Vec<u8>,
    most: u64,
    length: u64,
    /// The body, once there is any.
    file: Option<(File, PathBuf)>,
}

impl Writer for Writing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.length += bytes.len() as u64;
        if self.length > self.most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if self.file.is_none() {
            self.file = Some(self.folder.temporary()?);
        }
        match &mut self.file {
            Some((file, _)) => file.write_all(bytes),
            None => Ok(()),
        }
    }

    fn commit(mut self: Box<Self>, info: &Info, response: &Table, request: &Table) -> Result<(), Said> {
        let failed = |error: io::Error| said(Level::Warn, format!("AH00725: could not create header file: {error}"));
        let found = self.file.as_ref().map(|(file, _)| file.metadata()).transpose().map_err(failed)?;
        let header = Header {
            info: info.clone(),
            name: self.name.clone(),
            body: found.map(|found| (found.ino(), found.dev())),
            head_only: false,
            response: Some(response.clone()),
            request: Some(request.clone()),
        };
        let place = self.folder.put_header(&header, &self.name).map_err(failed)?;
        if let Some((_, temporary)) = self.file.take() {
            let path = with(&self.folder.path(&place), ".data");
            if let Err(error) = rename(&temporary, &path) {
                let (from, to) = (temporary.display(), path.display());
                let text = format!("AH00699: rename tempfile to file failed: {from} -> {to}: {error}");
                let _ = fs::remove_file(&temporary);
                self.folder.remove(&place);
                return Err(said(Level::Warn, text));
            }
        }
        Ok(())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if let Some((_, temporary)) = self.file.take() {
            let _ = fs::remove_file(temporary);
        }
    }
}

//! The lines of a listing.

use std::fs::{File, FileType};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::rules::{self, Subject};
use super::{IndexDir, option};
use crate::base::fnmatch::{Fnmatch, fnmatch};
use crate::pipe;
use crate::web::Exchange;

/// One line.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    /// Name, with a slash at the end of a directory's; the parent's is its whole path.
    pub name: Vec<u8>,
    pub parent: bool,
    /// A directory that goes in front of files.
    pub first: bool,
    pub icon: Option<Vec<u8>>,
    pub alt: Option<Vec<u8>>,
    pub description: Option<Vec<u8>>,
    /// Absent for directories.
    pub size: Option<u64>,
    /// Seconds since 1970.
    pub modified: Option<i64>,
    /// And nanoseconds, which only the order shows.
    pub nanos: i64,
}

/// The type without parameters.
pub(super) fn bare_type(media: &[u8]) -> &[u8] {
    let end = memchr::memchr(b';', media).unwrap_or(media.len());
    media.get(..end).unwrap_or_default().trim_ascii_end()
}

pub(super) fn is_html(sub: &Exchange) -> bool {
    matches!(bare_type(&sub.content_type), b"text/html" | b"application/xhtml+xml")
}

/// The line that leads up; none at the top.
pub(super) fn parent(ex: &Exchange, conf: &IndexDir, opts: u32) -> Option<Entry> {
    let path = ex.uri.strip_suffix(b"/").unwrap_or(&ex.uri);
    let up = memchr::memrchr(b'/', path)?;
    let test = [ex.filename.as_slice(), b".."].concat();
    if conf.ignored.iter().any(|rule| rule.ignores(&test)) {
        return None;
    }
    let mut entry = Entry { name: path.get(..=up)?.to_vec(), parent: true, ..Entry::default() };
    if opts & option::FANCY != 0 {
        let subject = Subject::name(&test);
        let folder = Subject::name(rules::DIRECTORY);
        let icon = rules::find(&conf.icons, subject).or_else(|| rules::find(&conf.icons, folder));
        entry.icon = icon.map(<[u8]>::to_vec);
        let alt = rules::find(&conf.alts, subject).or_else(|| rules::find(&conf.alts, folder));
        entry.alt = Some(alt.unwrap_or(b"PARENTDIR").to_vec());
        entry.description = rules::describe(&conf.descriptions, &test).map(<[u8]>::to_vec);
    }
    Some(entry)
}

/// The line of a file or directory, unless it is not to be seen.
pub(super) async fn of(
    ex: &Exchange,
    conf: &IndexDir,
    opts: u32,
    name: &[u8],
    kind: FileType,
    pattern: Option<&[u8]>,
) -> Option<Entry> {
    let how = Fnmatch { period: true, noescape: true, ..Fnmatch::default() };
    if pattern.is_some_and(|pattern| !fnmatch(pattern, name, how)) {
        return None;
    }
    let path = [ex.filename.as_slice(), name].concat();
    if conf.ignored.iter().any(|rule| rule.ignores(&path)) {
        return None;
    }
    // What a symbolic link leads to counts; one that leads nowhere is not there.
    let folder = if kind.is_symlink() {
        std::fs::metadata(Path::new(std::ffi::OsStr::from_bytes(&path))).ok()?.is_dir()
    } else {
        kind.is_dir()
    };
    let sub =
        if folder { pipe::lookup_file(ex, &[name, b"/"].concat()).await } else { pipe::lookup_file(ex, name).await };
    let info = sub.finfo.as_ref()?;
    let shown = sub.status < 400 || (opts & option::SHOW_FORBIDDEN != 0 && matches!(sub.status, 401 | 403));
    if !shown || !(info.is_dir() || info.is_file()) {
        return None;
    }
    let mut entry = Entry { name: name.to_vec(), ..Entry::default() };
    if folder {
        entry.name.push(b'/');
    }
    if opts & (option::FANCY | option::TABLE) == 0 {
        return Some(entry);
    }
    (entry.modified, entry.nanos) = (Some(info.mtime()), info.mtime_nsec());
    let subject = Subject {
        path: &path,
        media: if folder { b"" } else { bare_type(&sub.content_type) },
        encoding: if folder { b"" } else { &sub.content_encoding },
    };
    let mut icon = rules::find(&conf.icons, subject);
    let mut alt = rules::find(&conf.alts, subject);
    if folder {
        entry.first = opts & option::FOLDERS_FIRST != 0;
        icon = icon.or_else(|| rules::find(&conf.icons, Subject::name(rules::DIRECTORY)));
        alt = alt.or_else(|| rules::find(&conf.alts, Subject::name(rules::DIRECTORY))).or(Some(b"DIR"));
    } else {
        entry.size = Some(info.len());
    }
    entry.icon = icon.map(<[u8]>::to_vec);
    entry.alt = alt.map(<[u8]>::to_vec);
    entry.description = rules::describe(&conf.descriptions, &path).map(<[u8]>::to_vec);
    if entry.description.is_none() && opts & option::SCAN_TITLES != 0 && is_html(&sub) {
        entry.description = if sub.content_encoding.is_empty() { title(&path) } else { None };
    }
    Some(entry)
}

/// Bytes of a page in which its title is looked for.
const TITLE_MAX: u64 = 8191;

fn title(path: &[u8]) -> Option<Vec<u8>> {
    let file = File::open(Path::new(std::ffi::OsStr::from_bytes(path))).ok()?;
    let mut text = Vec::new();
    file.take(TITLE_MAX).read_to_end(&mut text).ok()?;
    title_of(&text)
}

fn title_of(text: &[u8]) -> Option<Vec<u8>> {
    let start = memchr::memmem::find(&text.to_ascii_lowercase(), b"<title>")? + 7;
    let rest = text.get(start..)?;
    let end = memchr::memchr(b'<', rest).unwrap_or(rest.len());
    let title = rest.get(..end)?;
    let breaks = title.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let line = |byte: &u8| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte };
    Some(title.get(breaks..)?.iter().map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_one_line() {
        assert_eq!(title_of(b"<HTML><Title>\n a\nb</title>"), Some(b" a b".to_vec()));
        assert_eq!(title_of(b"<p>none"), None);
    }
}

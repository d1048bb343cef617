//! The walks: which sections apply to a request.

use std::cell::RefCell;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::{ffi::OsStr, fs, io, os::unix::ffi::OsStrExt};

use super::{Outcome, access_file, chain};
use crate::base::pattern::Captures;
use crate::config::core::{CoreDir, OptionSet, options};
use crate::config::select::{Item, Select};
use crate::config::{Matcher, Section, SectionKind, clean_path};
use crate::expr::Scratch;
use crate::logs::{self, Bytes, Errno, Level};
use crate::web::{Exchange, Live};

thread_local! {
    /// Memory of conditions, lent to one walk at a time.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// `<Location>` sections, against `ex.uri`; then the `<If>` sections of all that applies.
pub(super) fn locations_and_ifs(ex: &mut Exchange) {
    let live = ex.live.clone();
    let select = &live.generation.select;
    let Some(walks) = select.walks(ex.server) else { return };
    let any_if = walks.any_if || access_file::any(ex);
    if walks.locations.is_empty() && !any_if {
        return;
    }
    let mut found = std::mem::take(&mut ex.matched.locations);
    found.clear();
    if !walks.locations.is_empty() {
        let doubled = memchr::memmem::find(&ex.uri, b"//").is_some();
        let merged = if doubled { merge_slashes(&ex.uri) } else { Vec::new() };
        for number in &walks.locations {
            let Some(item) = select.item(*number) else { continue };
            let path = if doubled { &merged } else { &ex.uri };
            if item.section.matches_location(&ex.uri, path) {
                found.push(*number);
                if has_names(&item.section) {
                    let uri = ex.uri.clone();
                    name_groups(ex, &item.section, &uri);
                }
            }
        }
    }
    ex.matched.locations = found;
    ifs(ex, &live, &walks.ifs, any_if);
    chain::update(ex);
}

fn merge_slashes(path: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(path.len());
    for byte in path {
        if *byte != b'/' || out.last() != Some(&b'/') {
            out.push(*byte);
        }
    }
    out
}

fn has_names(section: &Section) -> bool {
    section.pattern().is_some_and(|pattern| pattern.names().next().is_some())
}

/// Named groups of a matched section become `MATCH_NAME`.
fn name_groups(ex: &mut Exchange, section: &Section, subject: &[u8]) {
    let Some(pattern) = section.pattern() else { return };
    let mut captures = Captures::new();
    if pattern.captures(subject, &mut captures) {
        for (name, group) in pattern.names() {
            if captures.get(group).is_some() {
                let name = format!("MATCH_{}", name.to_ascii_uppercase());
                ex.env.set(name.as_bytes(), captures.text(group, subject));
            }
        }
    }
}

/// `<If>` sections: those of the server, then those inside the sections that apply, in their order.
fn ifs(ex: &mut Exchange, live: &Live, own: &[u32], any: bool) {
    ex.matched.ifs.clear();
    if !any {
        return;
    }
    // Conditions see the values merged so far.
    chain::update(ex);
    let mut scratch = SCRATCH.take();
    let mut found = std::mem::take(&mut ex.matched.ifs);
    let outer = ex.matched.directories.iter().chain(&ex.matched.files).chain(&ex.matched.locations).copied();
    let mut level: Found = own.iter().copied().collect();
    for item in outer.filter_map(|number| access_file::item(live, number)) {
        level.extend_from_slice(&item.ifs);
    }
    // Those inside of others come behind all those beside the others.
    for _ in 0..NESTED {
        let from = found.len();
        if_list(ex, live, &level, &mut scratch, &mut found);
        level.clear();
        for number in found.get(from..).unwrap_or_default() {
            if let Some(item) = access_file::item(live, *number) {
                level.extend_from_slice(&item.ifs);
            }
        }
        if level.is_empty() {
            break;
        }
    }
    ex.matched.ifs = found;
    super::vary(ex, &mut scratch);
    SCRATCH.replace(scratch);
}

type Found = smallvec::SmallVec<[u32; 2]>;

/// So deep conditions are looked at inside of others.
const NESTED: u32 = 16;

fn if_list(ex: &Exchange, live: &Live, list: &[u32], scratch: &mut Scratch, found: &mut Found) {
    let mut taken = false;
    for number in list {
        let Some(item) = access_file::item(live, *number) else { continue };
        if item.section.kind == SectionKind::If {
            taken = false;
        } else if taken {
            continue;
        }
        if holds(ex, &item, scratch) {
            taken = true;
            found.push(*number);
        }
    }
}

fn holds(ex: &Exchange, item: &Item, scratch: &mut Scratch) -> bool {
    match &item.section.matcher {
        Matcher::Condition(Some(condition)) => match condition.eval(ex, scratch) {
            Ok(truth) => truth,
            Err(error) => {
                logs::error!(ex, Level::Error, "core", "AH00039: Failed to evaluate <If > condition: {}", error);
                false
            }
        },
        Matcher::Condition(None) => true,
        _ => false,
    }
}

/// `<Proxy>` sections, for a file name that starts with `proxy:`.
pub(super) fn proxies(ex: &mut Exchange) {
    let live = ex.live.clone();
    let select = &live.generation.select;
    let Some(walks) = select.walks(ex.server).filter(|walks| !walks.proxies.is_empty()) else { return };
    let mut found = std::mem::take(&mut ex.matched.directories);
    found.clear();
    for number in walks.proxies.iter().copied() {
        let Some(item) = select.item(number) else { continue };
        if !item.section.matches_proxy(ex.filename.get(6..).unwrap_or_default()) {
            continue;
        }
        found.push(number);
        if has_names(&item.section) {
            let name = std::mem::take(&mut ex.filename);
            name_groups(ex, &item.section, name.get(6..).unwrap_or_default());
            ex.filename = name;
        }
    }
    ex.matched.directories = found;
    chain::update(ex);
}

/// `<Directory>` sections, and what is in the file system: sets `finfo`, cuts `path_info` off the file name.
pub(super) fn directories(ex: &mut Exchange) -> Outcome {
    if ex.filename.first() != Some(&b'/') {
        let uri = ex.uri.clone();
        if ex.filename.is_empty() {
            let text = "AH00029: Module bug?  Request filename is missing for URI";
            logs::error!(ex, Level::Error, "core", "{} {}", text, Bytes(&uri));
            return Outcome::Ok;
        }
        logs::error!(
            ex,
            Level::Error,
            "core",
            "AH00030: Module bug?  Request filename path {} is invalid or or not absolute for uri {}",
            Bytes(&ex.filename),
            Bytes(&uri)
        );
        return Outcome::Status(500);
    }
    let live = ex.live.clone();
    let select = &live.generation.select;
    let Some(walks) = select.walks(ex.server) else { return Outcome::Ok };
    if memchr::memmem::find(&ex.filename, b"//").is_some() || memchr::memmem::find(&ex.filename, b"/.").is_some() {
        // Another spelling of a name must not get around a section.
        ex.filename = clean_path(&ex.filename);
    }
    let existing = match find_file(ex) {
        Ok(existing) => existing,
        Err(NotFound::Status(status)) => return refused(ex, status),
        Err(NotFound::Shut(error)) => {
            // Access files on the way there are looked for first, and tell more.
            let reachable = reachable(&ex.filename);
            if let Some(Fault::Overrides(status)) = directory_sections(ex, select, &walks.directories, reachable) {
                return refused(ex, status);
            }
            shut(ex, &error);
            return refused(ex, 403);
        }
    };
    let fault = directory_sections(ex, select, &walks.directories, existing);
    if !walks.directory_matches.is_empty() {
        let full = std::mem::take(&mut ex.filename);
        for number in &walks.directory_matches {
            let Some(item) = select.item(*number) else { continue };
            if item.section.matches_directory(&full) {
                ex.matched.directories.push(*number);
                if has_names(&item.section) {
                    name_groups(ex, &item.section, &full);
                }
            }
        }
        ex.filename = full;
        chain::update(ex);
    }
    match fault {
        None => Outcome::Ok,
        Some(Fault::Link(end)) => {
            ex.filename.truncate(end);
            forbidden_link(ex);
            refused(ex, 403)
        }
        Some(Fault::Overrides(status)) => refused(ex, status),
    }
}

/// Why the walk ends early.
enum Fault {
    /// A symbolic link may not be followed; it ends here.
    Link(usize),
    /// There is a `.htaccess` file that cannot be obeyed, answered with this status.
    Overrides(u16),
}

/// The walk failed: its sections do not hold for the answer, only the values of the server.
fn refused(ex: &mut Exchange, status: u16) -> Outcome {
    ex.matched.clear();
    chain::update(ex);
    Outcome::Status(status)
}

fn forbidden_link(ex: &Exchange) {
    let text = "AH00037: Symbolic link not allowed or link target not accessible:";
    logs::error!(ex, Level::Error, "core", "{} {}", text, Bytes(&ex.filename));
}

/// The plain sections of the directories that make up the first `existing` bytes of the file name, shortest first.
fn directory_sections(ex: &mut Exchange, select: &Select, sections: &[(usize, u32)], existing: usize) -> Option<Fault> {
    let mut full = std::mem::take(&mut ex.filename);
    let length = full.len();
    if existing == length && full.last() != Some(&b'/') && ex.finfo.is_some() {
        // What exists is compared with a slash at its end, files too.
        full.push(b'/');
    }
    let mut rest = sections;
    let mut set = own_options(ex);
    let files_end = if ex.finfo.as_ref().is_some_and(|info| !info.is_dir()) { existing } else { existing + 1 };
    let (mut end, mut depth, mut fault, mut reading) = (0, 0, None, false);
    while let Some(slash) = full.get(end..).and_then(|tail| memchr::memchr(b'/', tail)) {
        end += slash + 1;
        if end > existing + 1 {
            break;
        }
        depth += 1;
        let dir = full.get(..end).unwrap_or_default();
        let before = ex.matched.directories.len();
        while let Some(((segments, number), next)) = rest.split_first() {
            if *segments > depth {
                break;
            }
            rest = next;
            if select.item(*number).is_some_and(|item| item.section.matches_directory(dir)) {
                ex.matched.directories.push(*number);
            }
        }
        if before != ex.matched.directories.len() {
            chain::update(ex);
            set = own_options(ex);
        }
        if fault.is_none() && end <= files_end && access_file::wanted(ex.dir::<CoreDir>()) {
            if !reading {
                reading = true;
                access_file::make_room(&ex.live);
            }
            match access_file::read(ex, dir) {
                Ok(None) => {}
                Ok(Some(number)) => {
                    ex.matched.directories.push(number);
                    chain::update(ex);
                    set = own_options(ex);
                }
                Err(status) => fault = Some(Fault::Overrides(status)),
            }
        }
        if fault.is_none() && !set.has(options::FOLLOW_SYM_LINKS) {
            let next = full.get(end..).and_then(|tail| memchr::memchr(b'/', tail)).map_or(length, |at| end + at);
            if full.get(..next).is_some_and(|part| next > end && is_forbidden_link(part, set)) {
                fault = Some(Fault::Link(next));
            }
        }
    }
    full.truncate(length);
    ex.filename = full;
    fault
}

fn own_options(ex: &Exchange) -> OptionSet {
    ex.dir::<CoreDir>().map(|dir| dir.options).unwrap_or_default()
}

fn path_of(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// Whether this is a symbolic link that may not be followed.
fn is_forbidden_link(part: &[u8], set: OptionSet) -> bool {
    match fs::symlink_metadata(path_of(part)) {
        Ok(link) if link.file_type().is_symlink() => {
            let same = |target: fs::Metadata| target.uid() == link.uid();
            !(set.has(options::SYM_LINKS_IF_OWNER) && fs::metadata(path_of(part)).is_ok_and(same))
        }
        _ => false,
    }
}

/// Why there is no file.
enum NotFound {
    /// The answer; the log has the reason.
    Status(u16),
    /// Somewhere on the way there may not be searched.
    Shut(io::Error),
}

/// How much of a path can be seen of one that cannot be reached.
fn reachable(path: &[u8]) -> usize {
    let mut end = path.len();
    while let Some(slash) = path.get(..end).and_then(|path| memchr::memrchr(b'/', path)).filter(|at| *at > 0) {
        end = slash;
        if fs::metadata(path_of(path.get(..end).unwrap_or_default())).is_ok() {
            return end;
        }
    }
    0
}

fn shut(ex: &Exchange, error: &io::Error) {
    logs::error!(
        ex,
        Level::Error,
        "core",
        Errno::from(error) =>
        "AH00035: access to {} denied (filesystem path '{}') because search permissions are missing on a component of the path",
        Bytes(&ex.uri),
        Bytes(&ex.filename)
    );
}

/// Finds how much of the file name exists and cuts the rest off as `path_info`. Gives the length of the part whose
/// directories exist, or the status of a refusal.
fn find_file(ex: &mut Exchange) -> Result<usize, NotFound> {
    ex.path_info.clear();
    ex.finfo = None;
    let error = match fs::metadata(path_of(&ex.filename)) {
        Ok(found) => {
            ex.finfo = Some(found);
            return Ok(ex.filename.len());
        }
        Err(error) => error,
    };
    if error.kind() == io::ErrorKind::PermissionDenied {
        return Err(NotFound::Shut(error));
    }
    let missing = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
    let looping = error.raw_os_error() == Some(nix::libc::ELOOP);
    if !missing && !looping {
        logs::error!(
            ex,
            Level::Error,
            "core",
            Errno::from(&error) => "AH00036: access to {} failed (filesystem path '{}')",
            Bytes(&ex.uri),
            Bytes(&ex.filename)
        );
        return Err(NotFound::Status(403));
    }
    // Up to what exists: a file there has the rest as its path info; below a directory, the first name that does not
    // exist belongs to the file name.
    let mut end = ex.filename.len();
    while let Some(slash) = ex.filename.get(..end).and_then(|path| memchr::memrchr(b'/', path)).filter(|at| *at > 0) {
        let parent = ex.filename.get(..slash).unwrap_or_default();
        match fs::metadata(path_of(parent)) {
            Ok(found) if found.is_dir() => {
                ex.path_info = ex.filename.split_off(end);
                if fs::symlink_metadata(path_of(&ex.filename)).is_ok_and(|found| found.file_type().is_symlink()) {
                    // It leads nowhere.
                    forbidden_link(ex);
                    return Err(NotFound::Status(403));
                }
                return Ok(slash);
            }
            Ok(found) => {
                ex.finfo = Some(found);
                ex.path_info = ex.filename.split_off(slash);
                return Ok(slash);
            }
            Err(_) => end = slash,
        }
    }
    ex.path_info = ex.filename.split_off(end);
    Ok(0)
}

/// `<Files>` sections: those of the server, then those inside the directories that apply.
pub(super) fn files(ex: &mut Exchange) {
    let live = ex.live.clone();
    let select = &live.generation.select;
    let Some(walks) = select.walks(ex.server) else { return };
    let name = memchr::memrchr(b'/', &ex.filename).map_or(0, |slash| slash + 1);
    let mut found = std::mem::take(&mut ex.matched.files);
    found.clear();
    let mut all: smallvec::SmallVec<[u32; 8]> = walks.files.iter().copied().collect();
    for number in &ex.matched.directories {
        if let Some(item) = access_file::item(&live, *number) {
            all.extend_from_slice(&item.files);
        }
    }
    for number in all {
        let Some(item) = access_file::item(&live, number) else { continue };
        if ex.filename.get(name..).is_some_and(|name| item.section.matches_file(name)) {
            found.push(number);
            if has_names(&item.section) {
                let name = ex.filename.get(name..).unwrap_or_default().to_vec();
                name_groups(ex, &item.section, &name);
            }
        }
    }
    let changed = !found.is_empty();
    ex.matched.files = found;
    if changed {
        chain::update(ex);
    }
}

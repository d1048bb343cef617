//! The walks: which sections apply to a request.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::{ffi::OsStr, fs, io, os::unix::ffi::OsStrExt};

use super::{Outcome, chain};
use crate::base::pattern::Captures;
use crate::config::core::{CoreDir, OptionSet, options};
use crate::config::select::{Item, Select};
use crate::config::{Matcher, Section, SectionKind};
use crate::expr::Scratch;
use crate::logs::{self, Bytes, Errno, Level};
use crate::web::Exchange;

/// `<Location>` sections, against `ex.uri`; then the `<If>` sections of all that applies.
pub(super) fn locations_and_ifs(ex: &mut Exchange) {
    let live = ex.live.clone();
    let select = &live.generation.select;
    let Some(walks) = select.walks(ex.server) else { return };
    if walks.locations.is_empty() && !walks.any_if {
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
    ifs(ex, select, &walks.ifs, walks.any_if);
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
fn ifs(ex: &mut Exchange, select: &Select, own: &[u32], any: bool) {
    ex.matched.ifs.clear();
    if !any {
        return;
    }
    // Conditions see the values merged so far.
    chain::update(ex);
    let mut scratch = Scratch::new();
    let mut found = std::mem::take(&mut ex.matched.ifs);
    if_list(ex, select, own, &mut scratch, &mut found, 0);
    let outer: smallvec::SmallVec<[u32; 8]> =
        ex.matched.directories.iter().chain(&ex.matched.files).chain(&ex.matched.locations).copied().collect();
    for number in outer {
        if let Some(item) = select.item(number) {
            if_list(ex, select, &item.ifs, &mut scratch, &mut found, 0);
        }
    }
    ex.matched.ifs = found;
}

type Found = smallvec::SmallVec<[u32; 2]>;

fn if_list(ex: &mut Exchange, select: &Select, list: &[u32], scratch: &mut Scratch, found: &mut Found, depth: u32) {
    let mut taken = false;
    for number in list {
        let Some(item) = select.item(*number) else { continue };
        if item.section.kind == SectionKind::If {
            taken = false;
        } else if taken {
            continue;
        }
        if holds(ex, item, scratch) {
            taken = true;
            found.push(*number);
            if depth < 16 {
                if_list(ex, select, &item.ifs, scratch, found, depth + 1);
            }
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
    let url = ex.filename.get(6..).unwrap_or_default();
    found.extend(
        walks
            .proxies
            .iter()
            .copied()
            .filter(|number| select.item(*number).is_some_and(|item| item.section.matches_proxy(url))),
    );
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
    let full = std::mem::take(&mut ex.filename);
    ex.path_info.clear();
    ex.finfo = None;

    // Sections by depth. Each directory of the path is compared with a slash at its end.
    let mut rest = walks.directories.as_slice();
    let mut checks = Checks { from: 0, set: own_options(ex) };
    let mut end = 0;
    let mut depth = 0;
    let mut fault = None;
    let mut info = None;
    while let Some(slash) = full.get(end..).and_then(|tail| memchr::memchr(b'/', tail)) {
        let dir = full.get(..end + slash + 1).unwrap_or_default();
        depth += 1;
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
        // A file `/d/f` is also compared as it is: see the test.
        if before != ex.matched.directories.len() {
            chain::update(ex);
            checks.set = own_options(ex);
        }
        end += slash + 1;
        if end >= full.len() {
            break;
        }
        if fault.is_none() && !checks.set.has(options::FOLLOW_SYM_LINKS) {
            let next = full.get(end..).and_then(|tail| memchr::memchr(b'/', tail)).map_or(full.len(), |at| end + at);
            if let Some(part) = full.get(..next).filter(|part| part.last() != Some(&b'/')) {
                fault = link_fault(part, checks.set);
                checks.from = next;
            }
        }
    }
    for number in &walks.directory_matches {
        let Some(item) = select.item(*number) else { continue };
        if item.section.matches_directory(&full) {
            ex.matched.directories.push(*number);
            if has_names(&item.section) {
                name_groups(ex, &item.section, &full);
            }
        }
    }
    if !walks.directory_matches.is_empty() {
        chain::update(ex);
    }
    ex.filename = full;
    if let Some(part) = fault {
        logs::error!(
            ex,
            Level::Error,
            "core",
            "AH00037: Symbolic link not allowed or link target not accessible: {}",
            Bytes(&part)
        );
        return Outcome::Status(403);
    }
    let outcome = find_file(ex, &mut info);
    ex.finfo = info;
    outcome
}

struct Checks {
    #[allow(dead_code, reason = "kept for htaccess")]
    from: usize,
    set: OptionSet,
}

fn own_options(ex: &Exchange) -> OptionSet {
    ex.dir::<CoreDir>().map(|dir| dir.options).unwrap_or_default()
}

fn path_of(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// The component, if it is a symbolic link that may not be followed.
fn link_fault(part: &[u8], set: OptionSet) -> Option<Vec<u8>> {
    let link = fs::symlink_metadata(path_of(part)).ok()?;
    if !link.file_type().is_symlink() {
        return None;
    }
    let owner = set.has(options::SYM_LINKS_IF_OWNER)
        && fs::metadata(path_of(part)).is_ok_and(|target| target.uid() == link.uid());
    (!owner).then(|| part.to_vec())
}

/// Finds how much of the file name exists; the rest becomes `path_info`.
fn find_file(ex: &mut Exchange, info: &mut Option<fs::Metadata>) -> Outcome {
    let mut end = ex.filename.len();
    let error = match fs::metadata(path_of(&ex.filename)) {
        Ok(found) => {
            *info = Some(found);
            return Outcome::Ok;
        }
        Err(error) => error,
    };
    if error.kind() == io::ErrorKind::PermissionDenied {
        logs::error!(
            ex,
            Level::Error,
            "core",
            Errno::from(&error) =>
            "AH00035: access to {} denied (filesystem path '{}') because search permissions are missing on a component of the path",
            Bytes(&ex.uri),
            Bytes(&ex.filename)
        );
        return Outcome::Status(403);
    }
    let missing = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
    if !missing {
        logs::error!(
            ex,
            Level::Error,
            "core",
            Errno::from(&error) => "AH00036: access to {} failed (filesystem path '{}')",
            Bytes(&ex.uri),
            Bytes(&ex.filename)
        );
        return Outcome::Status(403);
    }
    // Walk up to what exists: a file there has the rest as its path info; below a directory, the first name that does
    // not exist belongs to the file name.
    while let Some(slash) = ex.filename.get(..end).and_then(|path| memchr::memrchr(b'/', path)) {
        if slash == 0 {
            break;
        }
        let parent = ex.filename.get(..slash).unwrap_or_default();
        match fs::metadata(path_of(parent)) {
            Ok(found) if found.is_dir() => break,
            Ok(found) => {
                *info = Some(found);
                end = slash;
                break;
            }
            Err(_) => end = slash,
        }
    }
    let rest = ex.filename.split_off(end);
    ex.path_info = rest;
    Outcome::Ok
}

/// `<Files>` sections: those of the server, then those inside the directories that apply.
pub(super) fn files(ex: &mut Exchange) {
    let live = ex.live.clone();
    let select = &live.generation.select;
    let Some(walks) = select.walks(ex.server) else { return };
    let name = memchr::memrchr(b'/', &ex.filename).map_or(0, |slash| slash + 1);
    let mut found = std::mem::take(&mut ex.matched.files);
    found.clear();
    let inner = ex.matched.directories.iter().filter_map(|number| select.item(*number)).flat_map(|item| &item.files);
    let all: smallvec::SmallVec<[u32; 8]> = walks.files.iter().chain(inner).copied().collect();
    for number in all {
        let Some(item) = select.item(number) else { continue };
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

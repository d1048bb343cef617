//! `Include` and `IncludeOptional`.

use std::sync::Arc;

use super::expand::{Fault, Kind, MAX_DEPTH, Node, Notice, Reader, Stop, latin1};
use super::lines::{Line, Lines};
use super::words::merge_path;
use crate::base::diag::Origin;
use crate::base::fnmatch::{Fnmatch, fnmatch, is_wildcard};

/// Directories in directories that an `Include` follows.
const MAX_NESTED: usize = 128;

impl Reader<'_> {
    /// The main configuration file.
    pub fn read_file(&mut self, path: &[u8]) -> Result<Vec<Node>, Fault> {
        let result = self.read_one(path, None);
        result.map_err(|stop| match stop {
            Stop::Fault(fault) => fault,
            Stop::Here(message) => Fault { at: None, span: None, message },
        })
    }

    pub(super) fn include(&mut self, path: &[u8], line: &Line, optional: bool) -> Result<Vec<Node>, Stop> {
        if self.depth >= MAX_DEPTH {
            return Err(
                format!("Exceeded maximum include depth of {MAX_DEPTH}, There appears to be a recursion.").into()
            );
        }
        self.depth += 1;
        let found = self.include_inner(path, line, optional);
        self.depth -= 1;
        found
    }

    fn include_inner(&mut self, path: &[u8], line: &Line, optional: bool) -> Result<Vec<Node>, Stop> {
        let path = merge_path(&self.server_root, path);
        let mut files = Vec::new();
        self.expand(&path, optional, &mut files)?;
        let mut nodes = Vec::new();
        for file in files {
            match self.read_one(&file, Some(line)) {
                Ok(found) => nodes.extend(found),
                Err(Stop::Fault(fault)) => {
                    let at = Some((line.file.clone(), line.number));
                    return Err(Fault { at, span: fault.span, message: fault.positioned() }.into());
                }
                Err(here) => return Err(here),
            }
        }
        Ok(nodes)
    }

    /// The files that a path means, wildcards and directories followed.
    fn expand(&mut self, path: &[u8], optional: bool, files: &mut Vec<Vec<u8>>) -> Result<(), String> {
        if is_wildcard(path) {
            let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect();
            return self.expand_parts(b"/", &parts, optional, files);
        }
        if optional && self.host.kind(path).is_none() {
            return Ok(());
        }
        self.expand_tree(path, 0, files)
    }

    fn expand_parts(
        &mut self,
        dir: &[u8],
        parts: &[&[u8]],
        optional: bool,
        files: &mut Vec<Vec<u8>>,
    ) -> Result<(), String> {
        let Some((part, rest)) = parts.split_first() else { return self.expand_tree(dir, 0, files) };
        if !is_wildcard(part) {
            let next = join(dir, part);
            if rest.is_empty() && optional && self.host.kind(&next).is_none() {
                return Ok(());
            }
            return self.expand_parts(&next, rest, optional, files);
        }
        let mut names = match self.host.list(dir) {
            Ok(names) => names,
            Err(error) if optional && error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                return Err(format!(
                    "Include/IncludeOptional: Could not open directory {}: {}",
                    latin1(dir),
                    reason(&error)
                ));
            }
        };
        let how = Fnmatch { period: true, ..Fnmatch::default() };
        names.retain(|name| fnmatch(part, name, how));
        if !rest.is_empty() {
            names.retain(|name| self.host.kind(&join(dir, name)) == Some(Kind::Directory));
        }
        names.sort();
        if names.is_empty() && !optional {
            return Err(format!(
                "Include/IncludeOptional: No matches for the wildcard '{}' in '{}', failing",
                latin1(part),
                latin1(dir)
            ));
        }
        for name in names {
            self.expand_parts(&join(dir, &name), rest, optional, files)?;
        }
        Ok(())
    }

    /// A file itself, or every file below a directory.
    fn expand_tree(&mut self, path: &[u8], nested: usize, files: &mut Vec<Vec<u8>>) -> Result<(), String> {
        if self.host.kind(path) != Some(Kind::Directory) {
            files.push(path.to_vec());
            return Ok(());
        }
        if nested >= MAX_NESTED {
            return Err(format!(
                "Include/IncludeOptional: Directory '{}' exceeds the maximum include directory nesting level of {MAX_NESTED}. \
                 You have probably a recursion somewhere.",
                latin1(path)
            ));
        }
        let mut names = self
            .host
            .list(path)
            .map_err(|error| format!("Could not open config directory {}: {}", latin1(path), reason(&error)))?;
        names.sort();
        for name in names {
            self.expand_tree(&join(path, &name), nested + 1, files)?;
        }
        Ok(())
    }

    /// `line` is where the `Include` stands; the main file has none.
    fn read_one(&mut self, path: &[u8], line: Option<&Line>) -> Result<Vec<Node>, Stop> {
        let shown = latin1(path);
        let text = match self.host.kind(path) {
            Some(Kind::File) => self
                .host
                .read(path)
                .map_err(|error| format!("Could not open configuration file {shown}: {}", reason(&error)))?,
            None => match self.host.read(path) {
                Ok(text) => text,
                Err(error) => {
                    return Err(format!("Could not open configuration file {shown}: {}", reason(&error)).into());
                }
            },
            Some(_) => {
                let text = format!("AH00554: Access to file {shown} denied by server: not a regular file");
                self.notices.push(Notice { module: "core", level: "error", text });
                return Err(format!("Could not open configuration file {shown}: Bad file descriptor").into());
            }
        };
        if let Some(dump) = &mut self.includes {
            let at = line.map_or_else(|| "*".to_owned(), |line| line.number.to_string());
            dump.push_str(&format!("{}({at}) {shown}\n", " ".repeat(2 + 2 * self.depth)));
        }
        let (name, text): (Arc<str>, Arc<[u8]>) = (shown.into(), text.into());
        let id = self.sources.add(name.clone(), text.clone(), line.map(|line| Origin::Include(line.span)));
        Ok(self.read_source(&mut Lines::new(name, id, text))?)
    }
}

fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = dir.to_vec();
    if path.last() != Some(&b'/') {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// The system's words for an error, without Rust's number behind them.
pub(super) fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(at) => text.get(..at).unwrap_or_default().to_owned(),
        None => text,
    }
}

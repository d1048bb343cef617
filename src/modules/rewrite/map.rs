//! RewriteMap: texts looked up in files, by built-in functions, or by a program.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use foldhash::fast::RandomState;

use super::program::Program;
use crate::base::path::{escape_path, escaped_byte};
use crate::config::{Cmd, get_word, latin1};
use crate::logs::{self, Level};
use crate::modules::dbm;
use crate::net::dbm::Kind as Format;
use crate::net::files;
use crate::web::Exchange;

/// One map.
pub(super) struct Map {
    /// Its name.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: Kind,
}

/// Kinds of maps.
pub(super) enum Kind {
    /// `txt:`; `rnd:` takes one of several values at random.
    Text { file: PathBuf, random: bool },
    /// `dbm:`, of a type.
    Dbm { kind: Vec<u8>, file: Vec<u8> },
    /// `int:`.
    Function(Function),
    /// `prg:`.
    Program(Arc<Program>),
}

/// `int:` maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    ToUpper,
    ToLower,
    Escape,
    Unescape,
}

/// Reads `name type:source`.
pub(super) fn parse(cmd: &Cmd<'_>, name: &[u8], source: &[u8]) -> Result<Map, String> {
    let after = |prefix: &[u8]| {
        let (start, rest) = source.split_at_checked(prefix.len())?;
        start.eq_ignore_ascii_case(prefix).then_some(rest)
    };
    let file = |file: &[u8]| {
        let path = cmd.rooted(file);
        let found = Path::new(std::ffi::OsStr::from_bytes(&path)).to_owned();
        match files::look(&found) {
            Ok(_) => Ok(found),
            Err(_) => Err(format!("RewriteMap: file for map {} not found:{}", latin1(name), latin1(&path))),
        }
    };
    let kind = if let Some(rest) = after(b"txt:") {
        Kind::Text { file: file(rest)?, random: false }
    } else if let Some(rest) = after(b"rnd:") {
        Kind::Text { file: file(rest)?, random: true }
    } else if let Some(rest) = after(b"int:") {
        Kind::Function(match rest {
            b"toupper" => Function::ToUpper,
            b"tolower" => Function::ToLower,
            b"escape" => Function::Escape,
            b"unescape" => Function::Unescape,
            _ => return Err(format!("RewriteMap: internal map not found:{}", latin1(rest))),
        })
    } else if let Some(rest) = after(b"prg:") {
        let mut words = Vec::new();
        let mut text = rest;
        while !text.is_empty() {
            let (word, rest) = get_word(text);
            words.push(word);
            text = rest;
        }
        // Without a name the program is the server's root, which cannot be run.
        if words.is_empty() {
            words.push(Vec::new());
        }
        if let Some(first) = words.first_mut() {
            *first = file(first)?.into_os_string().as_bytes().to_vec();
        }
        Kind::Program(Arc::new(Program::new(words)))
    } else if after(b"dbd:").or_else(|| after(b"fastdbd:")).is_some() {
        return Err("RewriteMap types dbd and fastdbd require mod_dbd!".to_owned());
    } else if let Some(rest) = after(b"dbm") {
        let (kind, path) = match rest {
            [b':', path @ ..] => (&b"default"[..], path),
            [b'=', rest @ ..] => match memchr::memchr(b':', rest) {
                Some(colon) => (&rest[..colon], &rest[colon + 1..]),
                None => return Err(format!("RewriteMap: bad map:{}", latin1(source))),
            },
            _ => return Err(format!("RewriteMap: bad map:{}", latin1(source))),
        };
        let Some(format) = Format::parse(kind) else {
            return Err(format!("RewriteMap: dbm type {} is invalid", latin1(kind)));
        };
        for path in dbm::files(format, path) {
            file(&path)?;
        }
        Kind::Dbm { kind: kind.to_vec(), file: cmd.rooted(path) }
    } else {
        Kind::Text { file: file(source)?, random: false }
    };
    Ok(Map { name: name.to_vec(), kind })
}

/// A text map as this thread has read it, by file.
#[derive(Default)]
struct Files(std::cell::RefCell<HashMap<PathBuf, (SystemTime, Rc<Lines>), RandomState>>);

type Lines = HashMap<Vec<u8>, Vec<u8>, RandomState>;

/// Looks `key` up without waiting; `None` when the map has no such key. Programs are asked by [`super::program::ask`].
pub(super) fn look_up(ex: &Exchange, map: &Map, key: &[u8]) -> Option<Vec<u8>> {
    match &map.kind {
        Kind::Function(function) => Some(function.of(key)),
        Kind::Text { file, random } => {
            let lines = lines_of(ex, file)?;
            let value = lines.get(key)?;
            if !*random || !value.contains(&b'|') {
                return Some(value.clone());
            }
            let alternatives: Vec<&[u8]> = value.split(|byte| *byte == b'|').collect();
            let mut bytes = [0; 4];
            getrandom::fill(&mut bytes).ok()?;
            let at = u32::from_le_bytes(bytes) as usize % alternatives.len();
            Some(alternatives[at].to_vec())
        }
        Kind::Dbm { kind, file } => match dbm::find(kind, file, key) {
            Ok(found) => found,
            Err(errno) => {
                let text = "AH00656: mod_rewrite: can't open DBM RewriteMap";
                logs::error!(ex, Level::Error, "rewrite", errno => "{} {}", text, logs::Bytes(file));
                None
            }
        },
        Kind::Program(_) => None,
    }
}

fn lines_of(ex: &Exchange, file: &Path) -> Option<Rc<Lines>> {
    let files = ex.live.local(Files::default);
    // As in httpd a changed file is noticed by the next request.
    let changed = std::fs::metadata(file).and_then(|meta| meta.modified());
    let changed = match changed {
        Ok(changed) => changed,
        Err(error) => {
            logs::error!(
                ex,
                Level::Error,
                "rewrite",
                logs::Errno::from(&error) => "AH00656: can't access text RewriteMap file {}",
                file.display()
            );
            return None;
        }
    };
    if let Some((read, lines)) = files.0.borrow().get(file)
        && *read == changed
    {
        return Some(lines.clone());
    }
    let text = std::fs::read(file).ok()?;
    let lines = Rc::new(read_lines(&text));
    files.0.borrow_mut().insert(file.to_owned(), (changed, lines.clone()));
    Some(lines)
}

/// Two words a line; what follows them is a comment, and so is a line that begins with `#`. The first of equal keys
/// counts.
fn read_lines(text: &[u8]) -> Lines {
    let mut lines = Lines::default();
    for line in text.split(|byte| *byte == b'\n') {
        if line.first().is_none_or(|byte| *byte == b'#' || byte.is_ascii_whitespace()) {
            continue;
        }
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        if let (Some(key), Some(value)) = (words.next(), words.next()) {
            lines.entry(key.to_vec()).or_insert_with(|| value.to_vec());
        }
    }
    lines
}

impl Function {
    fn of(self, key: &[u8]) -> Vec<u8> {
        match self {
            Self::ToUpper => key.to_ascii_uppercase(),
            Self::ToLower => key.to_ascii_lowercase(),
            Self::Escape => {
                let mut out = Vec::new();
                escape_path(key, &mut out);
                out
            }
            Self::Unescape => {
                let mut out = Vec::new();
                let mut rest = key;
                while let [byte, after @ ..] = rest {
                    match escaped_byte(rest) {
                        Some(byte) => {
                            out.push(byte);
                            rest = &rest[3..];
                        }
                        None => {
                            out.push(*byte);
                            rest = after;
                        }
                    }
                }
                out
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_maps_are_read() {
        let lines = read_lines(b"# c\nk1 v1 rest\n k2 v2\nk1 other\nk3\nk4\tv4\n");
        let get = |key: &[u8]| lines.get(key).map(Vec::as_slice);
        assert_eq!(get(b"k1"), Some(&b"v1"[..]));
        assert_eq!(get(b"k4"), Some(&b"v4"[..]));
        assert_eq!((get(b"k2"), get(b"k3"), get(b"#")), (None, None, None));
    }

    #[test]
    fn functions_change_the_key() {
        assert_eq!(Function::ToUpper.of(b"aB1"), b"AB1");
        assert_eq!(Function::ToLower.of(b"aB1"), b"ab1");
        assert_eq!(Function::Escape.of(b"a b"), b"a%20b");
        assert_eq!(Function::Unescape.of(b"a%20b%2"), b"a b%2");
    }
}

//! `mod_mime_magic.c`: types of files by what is in them, for those whose names tell nothing.
//!
//! As httpd's with 64-bit numbers. What is packed by gzip is unpacked here; for the older kinds `gzip` is run, as httpd
//! does for all.

mod rule;
mod search;
mod text;

use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use tokio::io::AsyncReadExt as _;

use crate::config::{Args, Cmd, Conf, Directive, Fatal, ModuleRow, Places, PostConfig, Shape, Warning, latin1, row};
use crate::logs::{self, Bytes, Errno, Level};
use crate::modules::slot;
use crate::net::files;
use crate::pipe::{self, Hook, Module, Outcome, Phase, Run, Waiting};
use crate::web::Exchange;

use rule::{Rule, is_space};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "mime_magic_module",
        file: "mod_mime_magic.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: read_rules,
    },
    hooks: HOOKS,
};

/// Values per server.
#[derive(Clone, Default)]
struct MagicServer {
    file: Option<Vec<u8>>,
    /// Number of the server that the file was written for.
    of: usize,
    rules: Option<Arc<[Rule]>>,
}

impl Conf for MagicServer {
    const SLOT: usize = slot::MIME_MAGIC;

    fn merge(base: &Self, add: &Self) -> Self {
        if add.file.is_some() { add.clone() } else { base.clone() }
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("MimeMagicFile", Places::SERVER, Shape::Take1, magic_file, "Path to MIME Magic file (in file(1) format)"),
];

/// The hooks.
const HOOKS: &[Hook] = &[Hook {
    phase: Phase::TypeChecker,
    // Behind mod_mime, which may know the file's name.
    order: 1,
    wants: |server, _| server.get::<MagicServer>().is_some_and(|conf| conf.rules.is_some()),
    run: Run::Wait(find_type),
}];

fn magic_file(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let of = cmd.server.index;
    *cmd.server_conf::<MagicServer>() = MagicServer { file: Some(args.word(0).to_vec()), of, rules: None };
    Ok(())
}

/// Reads the files of rules: the main server's, then from the last virtual host to the first. As in httpd one in which
/// something is wrong is the last that is read, and does no other harm.
fn read_rules(pc: &mut PostConfig<'_>) -> Result<(), Fatal> {
    if pc.check_only {
        return Ok(());
    }
    let (mut of_main, mut fine) = (None, true);
    let count = pc.servers.len();
    for at in (0..count).map(|at| (count - at) % count) {
        let Some(server) = pc.servers.get_mut(at) else { continue };
        let Some(MagicServer { file: Some(file), of, .. }) = server.conf.get().cloned() else { continue };
        let rules = if of != server.index {
            of_main.clone()
        } else if fine {
            let (rules, complaints) = read(&pc.globals.rooted(&file));
            fine = complaints.is_empty();
            let warning = |text| Warning { module: "mime_magic", level: "error", text, bare: false };
            pc.globals.said.extend(complaints.into_iter().map(warning));
            (!rules.is_empty()).then(|| Arc::from(rules))
        } else {
            None
        };
        if at == 0 {
            of_main.clone_from(&rules);
        }
        server.conf.get_mut::<MagicServer>().rules = rules;
    }
    Ok(())
}

/// The rules of a file, and what is wrong with it.
fn read(path: &[u8]) -> (Vec<Rule>, Vec<String>) {
    match files::read(std::ffi::OsStr::from_bytes(path)) {
        Ok(text) => rule::parse(&text),
        Err(error) => {
            let (shown, errno) = (latin1(path), Errno::from(&error));
            (Vec::new(), vec![format!("{errno}: AH01515: mod_mime_magic: can't read magic file {shown}")])
        }
    }
}

/// So much of a file is looked at, in bytes.
const LOOKED_AT: usize = 4096;

fn find_type(ex: &mut Exchange) -> Waiting<'_> {
    if ex.finfo.is_none() || ex.filename.is_empty() || !ex.content_type.is_empty() {
        return pipe::declined();
    }
    Box::pin(async move {
        let of_other = match revised(&ex.filename) {
            Some(name) => {
                let sub = pipe::lookup_file(ex, name).await;
                let found = !sub.content_type.is_empty();
                if found {
                    (ex.content_type, ex.content_encoding) = (sub.content_type, sub.content_encoding);
                    ex.content_languages = sub.content_languages;
                }
                found
            }
            None => false,
        };
        if of_other {
            return Outcome::Declined;
        }
        match look(ex).await {
            Ok(Some(found)) => obey(ex, &found),
            Ok(None) => Outcome::Declined,
            Err(status) => Outcome::Status(status),
        }
    })
}

/// The name of a file without the number of its revision (`name@12`).
fn revised(name: &[u8]) -> Option<&[u8]> {
    let end = name.iter().rposition(|byte| !byte.is_ascii_digit())?;
    (end + 1 < name.len() && name.get(end) == Some(&b'@')).then(|| name.get(..end))?
}

/// What the file is, in the words of its rule.
async fn look(ex: &mut Exchange) -> Result<Option<Vec<u8>>, u16> {
    let Some(info) = &ex.finfo else { return Ok(None) };
    if info.is_dir() {
        return Ok(Some(b"httpd/unix-directory".to_vec()));
    }
    if !info.is_file() {
        return Ok(Some(b"application/octet-stream".to_vec()));
    }
    if info.len() == 0 {
        return Ok(Some(b"text/plain".to_vec()));
    }
    let mut start = Vec::new();
    let file = File::open(Path::new(std::ffi::OsStr::from_bytes(&ex.filename)));
    let Ok(file) = file else {
        let name = Bytes(&ex.filename);
        logs::error!(ex, Level::Error, "mime_magic", "AH01512: mod_mime_magic: can't read `{name}'");
        return Ok(None);
    };
    if let Err(error) = file.take(LOOKED_AT as u64).read_to_end(&mut start) {
        let (errno, name) = (Errno::from(&error), Bytes(&ex.filename));
        logs::error!(ex, Level::Error, "mime_magic", errno => "AH01513: mod_mime_magic: read failed: {name}");
        return Err(500);
    }
    let Some(rules) = ex.server().get::<MagicServer>().and_then(|conf| conf.rules.clone()) else { return Ok(None) };
    if let Some((_, encoding)) = PACKED.iter().find(|(magic, _)| start.starts_with(magic)) {
        match unpacked(ex, &start).await {
            Some(mut content) => {
                ex.content_encoding = encoding.as_bytes().to_vec();
                // httpd ends the text in the place of its last byte.
                content.pop();
                if let Some(found) = kind(ex, &rules, content) {
                    return Ok(Some(found));
                }
            }
            None => return Ok(None),
        }
    }
    Ok(kind(ex, &rules, start))
}

fn kind(ex: &Exchange, rules: &[Rule], mut start: Vec<u8>) -> Option<Vec<u8>> {
    start.push(0);
    let mut told = Vec::new();
    let found = search::find(rules, &start, &mut told);
    for text in told {
        logs::error!(ex, Level::Error, "mime_magic", "{text}");
    }
    found.or_else(|| text::find(&start))
}

/// Kinds of packed files: how they start, what they are called.
const PACKED: &[(&[u8], &str)] = &[(b"\x1f\x9d", "x-compress"), (b"\x1f\x8b", "x-gzip"), (b"\x1f\x1e", "x-gzip")];

/// The start of what is packed in the file; none if it cannot be unpacked.
async fn unpacked(ex: &Exchange, start: &[u8]) -> Option<Vec<u8>> {
    let path = Path::new(std::ffi::OsStr::from_bytes(&ex.filename));
    let mut content = Vec::new();
    if start.starts_with(b"\x1f\x8b") {
        if let Ok(file) = File::open(path) {
            // What comes before something broken counts.
            let _ = MultiGzDecoder::new(file).take(LOOKED_AT as u64).read_to_end(&mut content);
        }
    } else if let Ok(file) = File::open(path) {
        let mut command = tokio::process::Command::new("gzip");
        command.arg("-dcq").stdin(file).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        if let Ok(mut child) = command.spawn()
            && let Some(out) = child.stdout.take()
        {
            let _ = out.take(LOOKED_AT as u64).read_to_end(&mut content).await;
        }
    }
    if content.is_empty() {
        let name = Bytes(&ex.filename);
        let text = "AH01554: mod_mime_magic: read failed from uncompress of";
        logs::error!(ex, Level::Error, "mime_magic", Errno::EOF => "{text} {name}");
        return None;
    }
    Some(content)
}

/// Takes type and encoding out of a rule's words; what has no slash before its first blank says nothing. As in httpd
/// the blank behind a word is its last letter; what lies behind that in httpd's memory, where it may show, is not here.
fn obey(ex: &mut Exchange, found: &[u8]) -> Outcome {
    let (media, rest) = word(found);
    if !media.get(1..).is_some_and(|rest| rest.contains(&b'/')) {
        return Outcome::Declined;
    }
    ex.content_type = media.to_vec();
    // Not what parameters say.
    let end = memchr::memchr(b';', media).unwrap_or(media.len());
    ex.content_type.get_mut(..end).into_iter().for_each(<[u8]>::make_ascii_lowercase);
    let (encoding, _) = word(rest);
    if !encoding.is_empty() {
        ex.content_encoding = encoding.to_ascii_lowercase();
    }
    Outcome::Ok
}

/// The first word with the blank behind it, and what follows.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let start = text.iter().position(|byte| !is_space(*byte)).unwrap_or(text.len());
    let text = text.get(start..).unwrap_or_default();
    text.split_at(text.iter().position(|byte| is_space(*byte)).map_or(text.len(), |blank| blank + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_end_in_a_number() {
        assert_eq!(revised(b"/a/b@12"), Some(&b"/a/b"[..]));
        assert_eq!([revised(b"/a/b@"), revised(b"/a/b12"), revised(b"/a@1/b"), revised(b"12")], [None; 4]);
    }
}

//! `mod_cern_meta.c`: fields of a response in a file beside the one that is served.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::base::clock::leading_integer;
use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, row};
use crate::logs::{self, Bytes, Errno, Level};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::{self, Hook, Module, Outcome, Phase, Run, Waiting};
use crate::web::{Exchange, Table};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "cern_meta_module",
        file: "mod_cern_meta.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// Values per directory.
#[derive(Clone, Default)]
struct MetaDir {
    files: Option<bool>,
    dir: Option<Vec<u8>>,
    suffix: Option<Vec<u8>>,
}

impl Conf for MetaDir {
    const SLOT: usize = slot::CERN_META + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        Self {
            // As in httpd not handed down to a section that sets any of these.
            files: add.files,
            dir: add.dir.clone().or_else(|| base.dir.clone()),
            suffix: add.suffix.clone().or_else(|| base.suffix.clone()),
        }
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("MetaFiles", Places::INDEXES, Shape::Flag, meta_files, "Limited to 'on' or 'off'"),
    row("MetaDir", Places::INDEXES, Shape::Take1, meta_dir, "the name of the directory containing meta files"),
    row("MetaSuffix", Places::INDEXES, Shape::Take1, meta_suffix, "the filename suffix for meta files"),
];

/// The hooks.
const HOOKS: &[Hook] = &[Hook {
    phase: Phase::Fixups,
    order: 0,
    wants: |_, dir| dir.get::<MetaDir>().and_then(|dir| dir.files) == Some(true),
    run: Run::Wait(add),
}];

fn meta_files(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.dir_conf::<MetaDir>().files = Some(args.on());
    Ok(())
}

fn meta_dir(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.dir_conf::<MetaDir>().dir = Some(args.word(0).to_vec());
    Ok(())
}

fn meta_suffix(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.dir_conf::<MetaDir>().suffix = Some(args.word(0).to_vec());
    Ok(())
}

fn add(ex: &mut Exchange) -> Waiting<'_> {
    Box::pin(add_fields(ex))
}

/// The most that is read of a file of fields, in bytes.
const FILE_MAX: u64 = 64 << 10;

/// Adds the fields in the meta file of the requested file, where there is one that may be read.
async fn add_fields(ex: &mut Exchange) -> Outcome {
    if ex.finfo.as_ref().is_none_or(Metadata::is_dir) || ex.uri.ends_with(b"/") {
        return Outcome::Declined;
    }
    let chain = ex.chain.clone();
    let Some(conf) = chain.dir.get::<MetaDir>() else { return Outcome::Declined };
    let Some(slash) = memchr::memrchr(b'/', &ex.filename) else { return Outcome::Declined };
    let (folder, name) = ex.filename.split_at(slash);
    let (dir, suffix) = (conf.dir.as_deref().unwrap_or(b".web"), conf.suffix.as_deref().unwrap_or(b".meta"));
    let path = [folder, b"/", dir, name, suffix].concat();
    // Whoever may not read a file may not have its fields either.
    if pipe::lookup_file(ex, &path).await.status != 200 {
        return Outcome::Declined;
    }
    let mut text = Vec::new();
    let opened = File::open(Path::new(std::ffi::OsStr::from_bytes(&path)));
    match opened.and_then(|file| file.take(FILE_MAX).read_to_end(&mut text)) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Outcome::Declined,
        Err(error) => {
            let text = "AH01562: meta file permissions deny server access:";
            logs::error!(ex, Level::Error, "cern_meta", Errno::from(&error) => "{} {}", text, Bytes(&path));
            return Outcome::Status(403);
        }
    }
    scan(ex, &text)
}

/// Reads fields up to the end of the text. One empty line, and nothing but type and status of what stands in front of
/// it counts, as in httpd.
fn scan(ex: &mut Exchange, text: &[u8]) -> Outcome {
    let mut fields = Table::default();
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    for line in text.split(|byte| *byte == b'\n').filter(|_| !text.is_empty()) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return Outcome::Ok;
        }
        let Some(colon) = memchr::memchr(b':', line) else {
            let text = "AH01560: malformed header in meta file:";
            logs::error!(ex, Level::Error, "cern_meta", "{} {}", text, Bytes(&ex.filename));
            return Outcome::Status(500);
        };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii_start();
        if name.eq_ignore_ascii_case(b"Content-Type") {
            ex.content_type = value.trim_ascii_end().to_vec();
        } else if name.eq_ignore_ascii_case(b"Status") {
            ex.status = leading_integer(value).0.and_then(|code| u16::try_from(code).ok()).unwrap_or(0);
            ex.status_line = value.to_vec();
        } else {
            fields.set(name, value);
        }
    }
    // Those of the file come first.
    for (name, value) in ex.headers_out.iter() {
        if !fields.contains(name) {
            fields.add(name, value);
        }
    }
    ex.headers_out = fields;
    Outcome::Ok
}

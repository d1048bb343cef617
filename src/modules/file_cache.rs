//! `mod_file_cache.c`: files that are opened once, when the configuration is read. What stands in their place later, or
//! that they are gone, is not seen before the next reload.
//!
//! Both directives keep a file open: a file that is mapped into memory shows what is written to it as well, and neither
//! is ever longer than it was.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::config::core::CoreDir;
use crate::config::{
    Args, Cmd, Conf, Directive, Fatal, ModuleRow, Places, PostConfig, Server, Shape, Slots, latin1, merge_path, row,
};
use crate::logs::{Errno, text::push_u64};
use crate::modules::cache::store::Content;
use crate::modules::slot;
use crate::net::files;
use crate::pipe::conditions::meets_conditions;
use crate::pipe::validators::{entity_tag, set_last_modified};
use crate::pipe::{self, Hook, Module, Outcome, Phase, Run, Waiting, declined};
use crate::web::{Exchange, Wire};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "file_cache_module",
        file: "mod_file_cache.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: open,
    },
    hooks: HOOKS,
};

/// An open file, and what it was when it was opened.
#[derive(Clone)]
struct Open {
    file: Arc<File>,
    info: Metadata,
}

/// Values per server: those of the main server hold where a virtual host has none.
#[derive(Clone, Default)]
struct Files {
    named: Vec<Vec<u8>>,
    open: Arc<HashMap<Vec<u8>, Open, RandomState>>,
}

impl Conf for Files {
    const SLOT: usize = slot::FILE_CACHE;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("cachefile", Places::SERVER, Shape::Iterate, file, "A space separated list of files to add to the file handle cache at config time"),
    row("mmapfile", Places::SERVER, Shape::Iterate, file, "A space separated list of files to mmap at config time"),
];

/// The hooks.
const HOOKS: &[Hook] = &[Hook { phase: Phase::Handler, order: 10, wants, run: Run::Handle(serve) }];

fn wants(server: &Server, _: &Slots) -> bool {
    server.get::<Files>().is_some_and(|files| !files.open.is_empty())
}

/// A file to be opened; one that is not there is passed over with a warning.
fn file(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let path = merge_path(&cmd.globals.server_root, args.word(0));
    let shown = latin1(&path);
    let text = match files::look(Path::new(std::ffi::OsStr::from_bytes(&path))) {
        Ok(found) if found.kind == files::Kind::File => {
            cmd.server_conf::<Files>().named.push(path);
            return Ok(());
        }
        Ok(_) => format!("AH00796: {shown} isn't a regular file, skipping"),
        Err(error) => {
            let mut status = Vec::new();
            Errno::from(&error).push(&mut status);
            format!("{}: AH00795: unable to stat({shown}), skipping", latin1(&status))
        }
    };
    cmd.warn("file_cache", "warn", text);
    Ok(())
}

fn open(post: &mut PostConfig<'_>) -> Result<(), Fatal> {
    if post.check_only {
        return Ok(());
    }
    for server in post.servers.iter_mut() {
        let Some(files) = server.conf.get::<Files>().filter(|files| !files.named.is_empty()) else { continue };
        let opened = files.named.iter().filter_map(|path| {
            let file = File::open(Path::new(std::ffi::OsStr::from_bytes(path))).ok()?;
            let info = file.metadata().ok().filter(Metadata::is_file)?;
            Some((path.clone(), Open { file: Arc::new(file), info }))
        });
        let opened = Arc::new(opened.collect());
        server.conf.get_mut::<Files>().open = opened;
    }
    Ok(())
}

/// Answers with an open file.
fn serve<'a>(ex: &'a mut Exchange, wire: &'a mut dyn Wire) -> Waiting<'a> {
    let asked = (ex.method == b"GET" || ex.method == b"HEAD") && ex.path_info.is_empty();
    let found = ex.server().get::<Files>().filter(|_| asked).and_then(|files| files.open.get(&ex.filename));
    match found.cloned() {
        Some(Open { file, info }) => Box::pin(send(ex, wire, file, info)),
        None => declined(),
    }
}

async fn send(ex: &mut Exchange, wire: &mut dyn Wire, file: Arc<File>, info: Metadata) -> Outcome {
    set_last_modified(ex, &info);
    let mut length = Vec::with_capacity(20);
    push_u64(&mut length, info.len());
    ex.headers_out.set(b"Content-Length", &length);
    let tags =
        ex.dir::<CoreDir>().map(|dir| dir.etag.effective()).unwrap_or_else(|| CoreDir::default().etag.effective());
    if let Some(tag) = entity_tag(ex, &info, tags) {
        ex.headers_out.set(b"ETag", &tag);
    }
    if let Some(status) = meets_conditions(ex) {
        return Outcome::Status(status);
    }
    pipe::send(ex, wire, Box::new(Content::File(file, info.len(), [].into()))).await
}

//! What the core does with a request that nobody else wants: DocumentRoot, type and handler as the configuration forces
//! them, and the file itself.

use std::cell::RefCell;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use sha1::Sha1;

use super::names::HOOKS as NAMES;
use crate::codec::http1::head::is_known_method;
use crate::config::core::{AcceptPathInfo, CoreDir, CoreProcess, Handler, etag};
use crate::config::{clean_path, merge_path};
use crate::logs::{self, Bytes, Errno, Level};
use crate::pipe::conditions::meets_conditions;
use crate::pipe::parts::{Selection, range_limits, select, unsatisfiable};
use crate::pipe::validators::{etag_of, joined_tag, set_last_modified};
use crate::pipe::{self, Hook, Outcome, Phase, Run, Waiting, names};
use crate::web::{Exchange, Wire};

/// The hooks.
pub(super) const HOOKS: &[Hook] = &[
    NAMES[0],
    NAMES[1],
    NAMES[2],
    Hook {
        phase: Phase::InsertFilter,
        order: 0,
        wants: sets_filters,
        run: Run::Now(crate::modules::filter::insert_set),
    },
    Hook { phase: Phase::Translate, order: 20, wants: |_, _| true, run: Run::Now(translate) },
    Hook { phase: Phase::Fixups, order: -20, wants: |_, _| true, run: Run::Now(override_type) },
    Hook { phase: Phase::Handler, order: 20, wants: |_, _| true, run: Run::Handle(serve) },
];

/// Linux's longest path, its end included.
const PATH_MAX: usize = 4096;

/// Maps what no other module mapped into the document root.
fn translate(ex: &mut Exchange) -> Outcome {
    if ex.proxyreq != crate::web::ProxyKind::None {
        return Outcome::Status(403);
    }
    if ex.uri.first() != Some(&b'/') && ex.uri != b"*" {
        let (uri, line) = (Bytes(&ex.uri), Bytes(&ex.the_request));
        logs::error!(ex, Level::Error, "core", "AH00126: Invalid URI in request '{}' '{}'", uri, line);
        return Outcome::Status(400);
    }
    // What mod_rewrite looked at stays for the log when this fails.
    let named = !ex.filename.is_empty();
    let unmapped = |ex: &mut Exchange, mut filename: Vec<u8>| {
        filename.clear();
        if named {
            filename.extend_from_slice(&ex.uri);
        }
        ex.filename = filename;
        Outcome::Status(403)
    };
    // Its memory is used again.
    let mut filename = std::mem::take(&mut ex.filename);
    filename.clear();
    let mut path = ex.uri.as_slice();
    if let Some(prefix) = ex.server().rec.path.as_deref()
        && let Some(rest) = path.strip_prefix(prefix)
        && (prefix.last() == Some(&b'/') || rest.is_empty() || rest.first() == Some(&b'/'))
    {
        path = rest;
    }
    let root = names::document_root(ex);
    filename.extend_from_slice(root);
    if filename.last() != Some(&b'/') {
        filename.push(b'/');
    }
    let relative = path.iter().take_while(|byte| **byte == b'/').count();
    let relative = path.get(relative..).unwrap_or_default();
    if needs_cleaning(relative) {
        let cleaned = clean_path(relative);
        if cleaned == b".." || cleaned.starts_with(b"../") {
            let line = Bytes(&ex.the_request);
            logs::error!(ex, Level::Error, "core", Errno(20023) => "AH00127: Cannot map {} to file", line);
            return unmapped(ex, filename);
        }
        filename.extend_from_slice(&cleaned);
    } else {
        filename.extend_from_slice(relative);
    }
    if filename.len() >= PATH_MAX {
        let line = Bytes(&ex.the_request);
        logs::error!(ex, Level::Error, "core", Errno(36) => "AH00127: Cannot map {} to file", line);
        return unmapped(ex, filename);
    }
    ex.filename = filename;
    Outcome::Ok
}

/// Whether a path holds anything that [`clean_path`] removes: empty segments, `.` and `..`.
fn needs_cleaning(path: &[u8]) -> bool {
    let dot = |segment: &[u8]| matches!(segment, b"." | b"..");
    memchr::memmem::find(path, b"//").is_some() || (path.contains(&b'.') && path.split(|byte| *byte == b'/').any(dot))
}

/// `path` below ServerRoot unless it is absolute, without empty segments, `.` and `..`.
pub(crate) fn server_root_relative(ex: &Exchange, path: Vec<u8>) -> Vec<u8> {
    if path.first() == Some(&b'/') && !needs_cleaning(&path) {
        return path;
    }
    merge_path(&ex.live.generation.globals.server_root, &path)
}

/// `ForceType` and `SetHandler`, first of all fixups so that modules may still change their mind.
fn override_type(ex: &mut Exchange) -> Outcome {
    let chain = ex.chain.clone();
    if let Some(dir) = chain.dir.get::<CoreDir>() {
        if let Some(media) = dir.force_type.as_deref()
            && media != b"none"
        {
            media.clone_into(&mut ex.content_type);
        }
        if let Some(Handler::Named(text)) = &dir.handler {
            match &text.template {
                None => text.raw.clone_into(&mut ex.handler),
                Some(template) => {
                    let mut value = Vec::new();
                    if let Err(error) = pipe::expand(ex, template, &mut value) {
                        logs::error!(ex, Level::Warn, "core", "AH03154: Can't evaluate handler expression: {}", error);
                        return Outcome::Status(500);
                    }
                    if value != b"none" {
                        ex.handler = value;
                    }
                }
            }
        }
    }
    Outcome::Ok
}

/// The handler of all that has no other: a file.
fn serve<'a>(ex: &'a mut Exchange, wire: &'a mut dyn Wire) -> Waiting<'a> {
    Box::pin(async move {
        pipe::allow(ex, &[b"GET", b"POST", b"OPTIONS"]);
        // Behind the last answer of a connection nobody looks for another request.
        if (!ex.close || pipe::aside::is_kept(ex))
            && let Err(fault) = pipe::drain(wire).await
        {
            return pipe::body_fault(ex, fault);
        }
        match ex.method.as_slice() {
            b"GET" | b"HEAD" | b"POST" if is_for_another(ex) => Outcome::Status(500),
            b"GET" | b"HEAD" | b"POST" => match open(ex) {
                Ok((file, info)) => send(ex, wire, &file, &info).await,
                Err(outcome) => outcome,
            },
            b"OPTIONS" => {
                let mut methods = Vec::new();
                pipe::push_allow(ex, &mut methods);
                ex.headers_out.set(b"Allow", &methods);
                done(pipe::text(ex, wire, b"").await)
            }
            method if is_registered(ex, method) => Outcome::Status(405),
            _ => {
                let line = Bytes(&ex.the_request);
                if matches!(ex.the_request.as_slice(), [0x16, 2 | 3, ..]) {
                    logs::error!(
                        ex,
                        Level::Error,
                        "core",
                        "AH00134: Invalid method in request {} - possible attempt to establish SSL connection on \
                         non-SSL port",
                        line
                    );
                } else {
                    logs::error!(ex, Level::Error, "core", "AH00135: Invalid method in request {}", line);
                }
                Outcome::Status(501)
            }
        }
    })
}

/// Handlers that run a file or fill it in, and the modules that bring them: where such a module takes part and does
/// not answer, the file itself is nothing to be read.
const NOT_TO_BE_READ: &[(&[u8], &[&str])] = &[(b"lua-script", &["lua_module"]), (b"isapi-handler", &["isapi_module"])];

/// Whether the file is source for a handler that is not built in.
fn is_for_another(ex: &Exchange) -> bool {
    let loaded = |id: &&str| ex.live.generation.globals.modules.contains(id);
    let refused = if ex.handler.starts_with(b"proxy:") {
        loaded(&"proxy_module")
    } else {
        NOT_TO_BE_READ.iter().any(|(handler, modules)| ex.handler == *handler && modules.iter().any(&loaded))
    };
    if refused && ex.finfo.is_some() {
        let (handler, name) = (Bytes(&ex.handler), Bytes(&ex.filename));
        logs::error!(ex, Level::Error, "core", "handler {} is not built in, its source is not sent: {}", handler, name);
    }
    refused && ex.finfo.is_some()
}

/// Whether the method is one of httpd's own or of `RegisterHttpMethod`.
fn is_registered(ex: &Exchange, method: &[u8]) -> bool {
    let more = ex.live.generation.globals.conf.get::<CoreProcess>();
    is_known_method(method) || more.is_some_and(|core| core.methods.iter().any(|known| known == method))
}

/// A response was written, or its client went away: there is nothing left to say either way.
fn done(_: io::Result<()>) -> Outcome {
    Outcome::Done
}

/// Opens the file a request was mapped to, or says why there is none to serve.
fn open(ex: &Exchange) -> Result<(File, Metadata), Outcome> {
    let (name, rest) = (Bytes(&ex.filename), Bytes(&ex.path_info));
    let Some(found) = ex.finfo.as_ref() else {
        logs::error!(ex, Level::Info, "core", "AH00128: File does not exist: {}{}", name, rest);
        return Err(Outcome::Status(404));
    };
    if found.is_dir() {
        logs::error!(ex, Level::Info, "core", "AH00129: Attempt to serve directory: {}", name);
        return Err(Outcome::Status(404));
    }
    let accepts = ex.dir::<CoreDir>().and_then(|dir| dir.accept_path_info).unwrap_or_default();
    if accepts != AcceptPathInfo::On && !ex.path_info.is_empty() {
        logs::error!(ex, Level::Info, "core", "AH00130: File does not exist: {}{}", name, rest);
        return Err(Outcome::Status(404));
    }
    let path = Path::new(std::ffi::OsStr::from_bytes(&ex.filename));
    // Never wait for the other end of a pipe that took the place of a file.
    let flags = nix::fcntl::OFlag::O_NONBLOCK.bits() | nix::fcntl::OFlag::O_NOCTTY.bits();
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let opened = opened.and_then(|file| file.metadata().map(|info| (file, info)));
    match opened {
        Ok((file, info)) if info.is_file() => Ok((file, info)),
        Ok(_) => Err(Outcome::Status(403)),
        Err(error) => {
            let errno = Errno::from(&error);
            logs::error!(ex, Level::Error, "core", errno => "AH00132: file permissions deny server access: {}", name);
            Err(Outcome::Status(403))
        }
    }
}

/// Answers with a file: conditions, ranges, or the whole of it.
async fn send(ex: &mut Exchange, wire: &mut dyn Wire, file: &File, info: &Metadata) -> Outcome {
    let (tags, digest, limits) = {
        let default = CoreDir::default();
        let dir = ex.dir::<CoreDir>().unwrap_or(&default);
        (dir.etag.effective(), dir.content_digest == Some(true) && !is_rewritten(ex), range_limits(ex))
    };
    let length = info.len();
    set_last_modified(ex, info);
    if tags & etag::NONE == 0 {
        match if tags & etag::DIGEST == 0 { Ok(etag_of(info, tags, ex.started_micros)) } else { sha1_tag(file).await } {
            Ok(tag) => {
                let tag = joined_tag(ex, tag);
                ex.headers_out.set(b"ETag", &tag);
            }
            Err(error) => return unreadable(ex, &error),
        }
    }
    let accepts: &[u8] = if limits.ranges == Some(0) { b"none" } else { b"bytes" };
    ex.headers_out.set(b"Accept-Ranges", accepts);
    set_length(ex, length);
    if digest {
        match digest_of::<Md5>(file).await {
            Ok(sum) => ex.headers_out.set(b"Content-MD5", STANDARD.encode(sum).as_bytes()),
            Err(error) => return unreadable(ex, &error),
        }
    }
    if let Some(status) = meets_conditions(ex) {
        ex.status = status;
        if status == 304 {
            ex.headers_out.unset(b"Content-Length");
        } else {
            set_length(ex, 0);
        }
        return done(pipe::text(ex, wire, b"").await);
    }
    let pieces = match select(ex, length) {
        Selection::Whole => {
            pipe::head(ex, wire, Some(length));
            // A filter has to see the body to say how long it is.
            if (!ex.header_only || ex.response.waiting) && !copy(ex, wire, file, 0, length).await {
                return Outcome::Done;
            }
            return done(pipe::finish(ex, wire).await);
        }
        Selection::Pieces(pieces) => pieces,
        Selection::Nothing => return unsatisfiable(ex),
    };
    let total = pieces.iter().map(|piece| piece.head.len() as u64 + piece.count).sum();
    pipe::head(ex, wire, Some(total));
    if !ex.header_only {
        for piece in &pieces {
            if pipe::data(ex, wire, &piece.head).await.is_err() || !copy(ex, wire, file, piece.start, piece.count).await
            {
                return Outcome::Done;
            }
        }
    }
    done(pipe::finish(ex, wire).await)
}

/// Filters of this rank and below make another body; those above only code the one that was chosen.
const RESOURCE: i16 = 10;

/// Whether what is sent is made from the file and not the file.
fn is_rewritten(ex: &Exchange) -> bool {
    ex.planned.first().is_some_and(|filter| filter.rank <= RESOURCE)
}

fn sets_filters(_: &crate::config::Server, dir: &crate::config::Slots) -> bool {
    dir.get::<CoreDir>().is_some_and(|dir| dir.output_filters.is_some() || dir.input_filters.is_some())
}

thread_local! {
    /// One buffer a thread, lent to whoever reads a file.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Bytes read in one piece; a thread is never held longer than that takes.
const PIECE: usize = 64 * 1024;

/// Sends `count` bytes of the file from `start`; false when the response cannot go on.
async fn copy(ex: &mut Exchange, wire: &mut dyn Wire, file: &File, start: u64, count: u64) -> bool {
    let mut buffer = BUFFER.take();
    let (mut at, mut left) = (start, count);
    let mut good = true;
    while good && left > 0 {
        let want = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        if buffer.len() < want {
            buffer.resize(want, 0);
        }
        let piece = buffer.get_mut(..want).unwrap_or_default();
        match file.read_at(piece, at) {
            Ok(0) => {
                // Someone cut the file short: what was promised cannot be kept.
                pipe::abort(ex, wire);
                good = false;
            }
            Ok(read) => {
                good = pipe::data(ex, wire, buffer.get(..read).unwrap_or_default()).await.is_ok();
                at += read as u64;
                left -= read as u64;
                if left > 0 {
                    tokio::task::yield_now().await;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => {
                pipe::abort(ex, wire);
                good = false;
            }
        }
    }
    BUFFER.replace(buffer);
    good
}

fn unreadable(ex: &Exchange, error: &io::Error) -> Outcome {
    let (errno, name) = (Errno::from(error), Bytes(&ex.filename));
    logs::error!(ex, Level::Error, "core", errno => "AH00132: file permissions deny server access: {}", name);
    Outcome::Status(403)
}

fn set_length(ex: &mut Exchange, length: u64) {
    let mut text = Vec::with_capacity(20);
    logs::text::push_u64(&mut text, length);
    ex.headers_out.set(b"Content-Length", &text);
}

async fn sha1_tag(file: &File) -> io::Result<Vec<u8>> {
    Ok(format!("\"{}\"", STANDARD.encode(digest_of::<Sha1>(file).await?)).into_bytes())
}

async fn digest_of<D: md5::Digest>(file: &File) -> io::Result<Vec<u8>> {
    let mut digest = D::new();
    let mut buffer = BUFFER.take();
    buffer.resize(PIECE.max(buffer.len()), 0);
    let mut at = 0;
    let result = loop {
        match file.read_at(&mut buffer, at) {
            Ok(0) => break Ok(()),
            Ok(read) => {
                digest.update(buffer.get(..read).unwrap_or_default());
                at += read as u64;
                if read == buffer.len() {
                    tokio::task::yield_now().await;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break Err(error),
        }
    };
    BUFFER.replace(buffer);
    result.map(|()| digest.finalize().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_need_no_cleaning_are_left_alone() {
        for (path, want) in [("a/b.c", false), ("a/./b", true), ("a//b", true), (".a/..b", false), ("..", true)] {
            assert_eq!(needs_cleaning(path.as_bytes()), want, "{path}");
        }
    }

    #[test]
    fn digests_are_of_the_whole_file() {
        let path = std::env::temp_dir().join(format!("tandem-digest-{}", std::process::id()));
        std::fs::write(&path, "0123456789").unwrap();
        let file = File::open(&path).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(sha1_tag(&file)).unwrap(), b"\"h6zsF82dzSCnFsws9nQXtxyKcBY=\"".to_vec());
        assert_eq!(
            STANDARD.encode(runtime.block_on(digest_of::<Md5>(&file)).unwrap()),
            "eB5eJF1ptWaXm4bijSPyxw==".to_owned()
        );
        std::fs::remove_file(&path).unwrap();
    }
}

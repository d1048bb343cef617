//! What becomes of a rewritten name: in a server's context a file, a proxied URL or a redirect; in a directory's also
//! another request.

use super::effects::absolute;
use super::engine::{self, End, Ended};
use super::{REDIRECT_HANDLER, RewriteDir, of_dir, of_server, option, text};
use crate::base::path::escape_path;
use crate::logs::{self, Bytes, Level};
use crate::pipe::{Outcome, names};
use crate::web::{Exchange, ProxyKind};

/// Scheme, name and port of this server, as `SCRIPT_URI` and redirects show them.
pub(super) fn push_server_url(ex: &Exchange, out: &mut Vec<u8>) {
    names::push_url(ex, b"", out);
}

/// Whether the new query could not be sent on. That of a redirect is escaped, unless `NE` forbids it.
fn has_bad_query(ex: &Exchange, no_escape: bool, pass: bool) -> bool {
    if !no_escape && !pass && absolute(&ex.filename).is_some() {
        return false;
    }
    let bad = ex.args.as_ref().is_some_and(|args| args.iter().any(|byte| byte.is_ascii_control() || *byte == b' '));
    if bad {
        logs::error!(
            ex,
            Level::Error,
            "rewrite",
            "AH10410: Rewritten query string contains control characters or spaces"
        );
    }
    bad
}

/// The query behind an absolute or `proxy:` name.
fn append_query(ex: &mut Exchange, escape: bool) {
    let Some(args) = ex.args.take() else { return };
    ex.filename.push(b'?');
    if escape {
        escape_path(&args, &mut ex.filename)
    } else {
        ex.filename.extend_from_slice(&args)
    }
    ex.args = Some(args);
}

fn to_proxy(ex: &mut Exchange) -> Outcome {
    if ex.proxyreq != ProxyKind::Forward {
        ex.proxyreq = ProxyKind::Reverse;
    }
    ex.handler = b"proxy-server".to_vec();
    logs::error!(ex, Level::Trace1, "rewrite", "go-ahead with proxy request {} [OK]", Bytes(&ex.filename));
    Outcome::Ok
}

/// The answer that sends the client to the absolute URL in `filename`.
fn to_client(ex: &mut Exchange, code: u16, no_escape: bool, query_is_new: bool) -> Outcome {
    if !no_escape {
        let name = std::mem::take(&mut ex.filename);
        // Scheme and host stay as they are.
        let start = absolute(&name).map_or(0, |(scheme, _)| scheme);
        let path = name[start..].iter().position(|byte| *byte == b'/').map_or(name.len(), |at| start + at);
        let path = if name.get(start.wrapping_sub(1)) == Some(&b'/') { path } else { name.len() };
        ex.filename.extend_from_slice(&name[..path]);
        escape_path(&name[path..], &mut ex.filename);
    }
    append_query(ex, !no_escape && query_is_new);
    logs::error!(ex, Level::Trace1, "rewrite", "redirect to {} [REDIRECT/{}]", Bytes(&ex.filename), code);
    ex.headers_out.set(b"Location", &ex.filename);
    Outcome::Status(if (300..400).contains(&code) { code } else { 302 })
}

pub(super) async fn in_server(ex: &mut Exchange) -> Outcome {
    let live = ex.live.clone();
    let Some(conf) = of_server(&live.generation.servers[ex.server]) else { return Outcome::Declined };
    if ex.ext.get::<Ended>().is_some_and(|ended| ended.0) {
        return Outcome::Declined;
    }
    let options = conf.options.unwrap_or(0);
    if options & option::ANY_URI == 0 && ex.uri.first() != Some(&b'/') {
        return Outcome::Declined;
    }
    if ex.sub_depth == 0 {
        // Behind a redirect they are those of the first request.
        let first = if ex.redirects > 0 { ex.env.get(b"REDIRECT_SCRIPT_URL").map(<[u8]>::to_vec) } else { None };
        let mut uri = std::mem::take(&mut ex.response.buffers[0]);
        uri.clear();
        push_server_url(ex, &mut uri);
        let url = std::mem::take(&mut ex.uri);
        let shown = first.as_ref().unwrap_or(&url);
        uri.extend_from_slice(shown);
        ex.env.set(b"SCRIPT_URI", &uri);
        ex.env.set(b"SCRIPT_URL", shown);
        ex.response.buffers[0] = uri;
        ex.uri = url;
    }
    if ex.filename.is_empty() {
        let uri = std::mem::take(&mut ex.uri);
        ex.filename.extend_from_slice(&uri);
        ex.uri = uri;
    }
    let old_args = ex.args.clone();
    let end = engine::run(ex, &conf.rules, None).await;
    let (no_escape, code, unsafe_prefix, pass) = match end {
        // The name stays for the log if nobody else maps the request.
        End::Same => return Outcome::Declined,
        End::Status(code) => return Outcome::Status(code),
        End::Changed { no_escape, code, unsafe_prefix, pass } => (no_escape, code, unsafe_prefix, pass),
    };
    if has_bad_query(ex, no_escape, pass) {
        return Outcome::Status(403);
    }
    if pass {
        // The other buffer serves the name that is found.
        std::mem::swap(&mut ex.uri, &mut ex.filename);
        ex.filename.clear();
        return Outcome::Declined;
    }
    if ex.filename.starts_with(b"proxy:") {
        // The proxy escapes the path and appends the query itself, unless it is told to take the URL as it is.
        if no_escape {
            append_query(ex, false);
            ex.notes.set(b"proxy-nocanon", b"1");
        }
        ex.notes.set(b"rewrite-proxy", b"1");
        return to_proxy(ex);
    }
    if absolute(&ex.filename).is_some() {
        let new = ex.args != old_args;
        return to_client(ex, code, no_escape, new);
    }
    if options & option::NO_SLASH == 0 && ex.filename.first() != Some(&b'/') {
        // As a path below the document root.
        ex.filename.insert(0, b'/');
    }
    // A path of the file system is one whose first segment is there; where the client may have had the choice, one
    // that begins as those of documents do.
    let root = names::document_root(ex).to_vec();
    if (unsafe_prefix && !ex.filename.starts_with(&root)) || !first_segment_exists(&ex.filename) {
        let name = std::mem::take(&mut ex.filename);
        ex.filename = root;
        if ex.filename.last() == Some(&b'/') {
            ex.filename.pop();
        }
        ex.filename.extend_from_slice(&name);
    }
    logs::error!(ex, Level::Trace1, "rewrite", "go-ahead with {} [OK]", Bytes(&ex.filename));
    Outcome::Ok
}

fn first_segment_exists(path: &[u8]) -> bool {
    let inner = path.strip_prefix(b"/").unwrap_or(path);
    let end = memchr::memchr(b'/', inner).unwrap_or(inner.len());
    if end == 0 {
        return false;
    }
    let segment = [b"/", &inner[..end]].concat();
    std::fs::metadata(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(&segment)).is_ok()
}

pub(super) async fn in_dir(ex: &mut Exchange) -> Outcome {
    let chain = ex.chain.clone();
    let Some(conf) = of_dir(&chain.dir) else { return Outcome::Declined };
    if ex.proxyreq == ProxyKind::Forward || ex.ext.get::<Ended>().is_some_and(|ended| ended.0) {
        return Outcome::Declined;
    }
    let directory = conf.directory.as_slice();
    // The directory itself, without its slash: mod_dir sends the client to the name with one.
    if directory.strip_suffix(b"/") == Some(ex.filename.as_slice()) {
        return Outcome::Declined;
    }
    if !text::follows_links(&ex.chain.dir) {
        logs::error!(
            ex,
            Level::Error,
            "rewrite",
            "AH00670: Options FollowSymLinks and SymLinksIfOwnerMatch are both off, so the RewriteRule directive is \
             also forbidden due to its similar ability to circumvent directory restrictions : {}",
            Bytes(&ex.filename)
        );
        return Outcome::Status(403);
    }
    let (old_name, old_args) = (ex.filename.clone(), ex.args.clone());
    if ex.filename.is_empty() {
        let uri = ex.uri.clone();
        ex.filename = uri;
    }
    let end = engine::run(ex, &conf.rules, Some(directory)).await;
    let (no_escape, code, pass) = match end {
        End::Same => {
            ex.filename = old_name;
            return Outcome::Declined;
        }
        End::Status(code) => {
            ex.filename = old_name;
            return Outcome::Status(code);
        }
        End::Changed { no_escape, code, pass, .. } => (no_escape, code, pass),
    };
    if has_bad_query(ex, no_escape, pass) {
        return Outcome::Status(403);
    }
    if !pass && ex.filename.starts_with(b"proxy:") {
        // The proxy escapes the path and appends the query itself, unless it is told to take the URL as it is.
        if no_escape {
            append_query(ex, false);
            ex.notes.set(b"proxy-nocanon", b"1");
        }
        ex.notes.set(b"rewrite-proxy", b"1");
        return to_proxy(ex);
    }
    if let Some((scheme, _)) = absolute(&ex.filename).filter(|_| !pass) {
        // Behind the host, the directory's prefix is what RewriteBase stands for.
        if let Some(base) = &conf.base {
            let slash = ex.filename[scheme..].iter().position(|byte| *byte == b'/').map(|at| scheme + at);
            if let Some(slash) = slash.filter(|slash| ex.filename[*slash..].starts_with(directory)) {
                ex.filename.splice(slash..slash + directory.len(), with_slash(base));
            }
        }
        let new = ex.args != old_args;
        return to_client(ex, code, no_escape, new);
    }
    if ex.filename.first() != Some(&b'/') {
        return Outcome::Status(400);
    }
    if ex.filename == old_name && ex.args == old_args {
        logs::error!(
            ex,
            Level::Trace1,
            "rewrite",
            "initial URL equal rewritten URL: {} [IGNORING REWRITE]",
            Bytes(&ex.filename)
        );
        return Outcome::Ok;
    }
    match &conf.base {
        Some(base) => {
            if ex.filename.starts_with(directory) {
                ex.filename.splice(..directory.len(), with_slash(base));
            }
        }
        None => strip_root(ex, conf),
    }
    if let Some(path) = Some(std::mem::take(&mut ex.filename)) {
        ex.internal_redirect.clear();
        escape_path(&path, &mut ex.internal_redirect);
        if let Some(args) = &ex.args {
            ex.internal_redirect.push(b'?');
            ex.internal_redirect.extend_from_slice(args);
        }
        ex.filename = b"redirect:".to_vec();
        ex.filename.extend_from_slice(&path);
    }
    logs::error!(
        ex,
        Level::Trace1,
        "rewrite",
        "internal redirect with {} [INTERNAL REDIRECT]",
        Bytes(&ex.internal_redirect)
    );
    ex.handler = REDIRECT_HANDLER.to_vec();
    Outcome::Ok
}

fn with_slash(base: &[u8]) -> Vec<u8> {
    let mut base = base.to_vec();
    if base.last() != Some(&b'/') {
        base.push(b'/');
    }
    base
}

/// A path below the document root (or the target of an Alias) becomes the URL path that leads there.
fn strip_root(ex: &mut Exchange, conf: &RewriteDir) {
    let ignore = conf.options.unwrap_or(0) & option::IGNORE_CONTEXT_INFO != 0;
    let context = ex.ext.get::<names::Context>().filter(|context| !ignore && !context.root.is_empty()).cloned();
    let (root, prefix) = match &context {
        Some(context) => (context.root.as_slice(), context.prefix.as_slice()),
        None => (names::document_root(ex), &b""[..]),
    };
    let root = root.strip_suffix(b"/").unwrap_or(root);
    let below = ex.filename.strip_prefix(root).filter(|rest| rest.first() == Some(&b'/'));
    if let Some(rest) = below {
        let prefix = prefix.strip_suffix(b"/").unwrap_or(prefix);
        ex.filename = [prefix, rest].concat();
    }
}

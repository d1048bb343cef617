//! One request answered by a script: its input, its head, its body.

use std::io;
use std::time::Duration;

use super::child::{self, Errors, Running, say};
use super::{ScriptDir, log};
use crate::base::path::{EncodedSlashes, unescape_url};
use crate::config::core::{AcceptPathInfo, CoreDir, options};
use crate::logs::{self, Bytes, Errno, Level};
use crate::pipe::script::{Head, Reader, malformed};
use crate::pipe::{self, Outcome, cgi};
use crate::web::{BodyFault, BodyKind, Exchange, Wire};

/// One of the two modules that run scripts, with the numbers of its messages.
pub(in crate::modules) struct Kind {
    module: &'static str,
    errors: Errors,
    /// ExecCGI is off; included without a head; not there; a directory; a path behind it.
    refusals: [&'static str; 5],
    /// The request's body could not be read.
    unread: &'static str,
}

impl Kind {
    /// The name in the log.
    pub(in crate::modules) fn module(&self) -> &'static str {
        self.module
    }
}

/// The module that runs programs for this server, if one is loaded.
pub(in crate::modules) fn loaded(ex: &Exchange) -> Option<&'static Kind> {
    let has = |id| ex.live.generation.globals.modules.contains(&id);
    if has("cgid_module") {
        return Some(&CGID);
    }
    has("cgi_module").then_some(&CGI)
}

/// Runs a shell's command line for a document.
pub(in crate::modules) fn shell(ex: &Exchange, kind: &Kind, line: &[u8]) -> io::Result<Running> {
    let end = memchr::memrchr(b'/', &ex.filename).map_or(0, |slash| slash + 1);
    let dir = ex.filename.get(..end).unwrap_or_default();
    let mut running = child::start(ex, &[b"/bin/sh", b"-c", line], dir, kind.errors, patience(ex))?;
    running.close_input();
    Ok(running)
}

/// How long a program may say nothing.
fn patience(ex: &Exchange) -> Duration {
    let own = ex.dir::<ScriptDir>().and_then(|dir| dir.timeout);
    own.unwrap_or_else(|| Duration::from_secs(u64::from(ex.server().rec.timeout.unwrap_or(60))))
}

/// mod_cgi.
pub(in crate::modules) const CGI: Kind = Kind {
    module: "cgi",
    errors: Errors::Entries("cgi"),
    refusals: ["AH02809", "AH02810", "AH02811", "AH02812", "AH02813"],
    unread: "AH01225",
};

/// mod_cgid.
pub(in crate::modules) const CGID: Kind = Kind {
    module: "cgid",
    errors: Errors::Raw,
    refusals: ["AH01262", "AH01263", "AH01264", "AH01265", "AH01266"],
    unread: "AH01270",
};

/// Output that is read while the request's body is still written: what does not fit waits in the pipe.
const AHEAD: usize = 65_536;

pub(super) async fn serve(ex: &mut Exchange, wire: &mut dyn Wire, kind: &'static Kind) -> Outcome {
    let start = memchr::memrchr(b'/', &ex.filename).map_or(0, |slash| slash + 1);
    let raw = ex.filename.get(start..).is_some_and(|name| name.starts_with(b"nph-"));
    if let Some((number, status, text)) = refusal(ex, kind, raw) {
        say(ex, kind.module, number, text.as_bytes());
        log::error(ex, status, text.as_bytes());
        return Outcome::Status(status);
    }
    cgi::add_common(ex);
    cgi::add_cgi(ex).await;
    let mut running = match run(ex, kind, patience(ex)) {
        Ok(running) => Some(running),
        Err(error) => {
            cannot_start(ex, kind, &error);
            None
        }
    };
    let (mut out, mut kept) = (Vec::new(), Vec::new());
    let fed = feed(ex, wire, kind, running.as_mut(), &mut out, &mut kept).await;
    let outcome = match (fed, &mut running) {
        (Err(outcome), _) => outcome,
        (Ok(()), Some(running)) if raw => pass(ex, wire, running, out).await,
        (Ok(()), Some(running)) => respond(ex, wire, kind, running, out, &kept).await,
        (Ok(()), None) => {
            Reader::default().ended(ex, kind.module, b"");
            log::output(ex, 500, &kept, b"", b"");
            Outcome::Status(500)
        }
    };
    if let Some(running) = &mut running {
        for line in &running.said {
            log::error(ex, 200, line);
        }
        if ex.conn.aborted.get() {
            running.stop();
        }
    }
    outcome
}

/// Why the script is not run: number, status, text.
fn refusal(ex: &Exchange, kind: &Kind, raw: bool) -> Option<(&'static str, u16, &'static str)> {
    let [exec, included, missing, directory, behind] = kind.refusals;
    let dir = ex.dir::<CoreDir>();
    let allowed = dir.is_some_and(|dir| dir.options.has(options::EXEC_CGI));
    if !allowed && ex.notes.get(b"alias-forced-type") != Some(b"cgi-script") {
        return Some((exec, 403, "Options ExecCGI is off in this directory"));
    }
    if raw && ex.protocol == b"INCLUDED" {
        return Some((included, 403, "attempt to include NPH CGI script"));
    }
    match &ex.finfo {
        None => return Some((missing, 404, "script not found or unable to stat")),
        Some(found) if found.is_dir() => return Some((directory, 403, "attempt to invoke directory as script")),
        Some(_) => {}
    }
    let no_path = dir.and_then(|dir| dir.accept_path_info) == Some(AcceptPathInfo::Off);
    (no_path && !ex.path_info.is_empty()).then_some((behind, 404, "AcceptPathInfo off disallows user's path"))
}

fn run(ex: &Exchange, kind: &Kind, patience: Duration) -> io::Result<Running> {
    let words = words(ex);
    let mut argv = vec![ex.filename.as_slice()];
    argv.extend(words.iter().map(Vec::as_slice));
    let end = memchr::memrchr(b'/', &ex.filename).map_or(0, |slash| slash + 1);
    child::start(ex, &argv, ex.filename.get(..end).unwrap_or_default(), kind.errors, patience)
}

/// Words of a query without `=` (RFC 3875 section 4.4), as a shell would have to be told them.
fn words(ex: &Exchange) -> Vec<Vec<u8>> {
    let query = ex.args.as_deref().unwrap_or_default();
    if query.is_empty() || query.contains(&b'=') || ex.protocol == b"INCLUDED" {
        return Vec::new();
    }
    let word = |word: &[u8]| {
        let mut plain = Vec::new();
        // What cannot be decoded is passed on as it is.
        if unescape_url(word, EncodedSlashes::Decode, &mut plain).is_err() {
            plain = word.to_vec();
        }
        let special = |byte: &u8| b"&;`'\"|*?~<>^()[]{}$\\\n\r%".contains(byte);
        plain.iter().flat_map(|byte| [b'\\', *byte].into_iter().skip(usize::from(!special(byte)))).collect()
    };
    query.split(|byte| *byte == b'+').map(word).collect()
}

fn cannot_start(ex: &Exchange, kind: &Kind, error: &io::Error) {
    let (errno, name) = (Errno::from(error), Bytes(&ex.filename));
    match kind.errors {
        Errors::Raw | Errors::RawOfServer | Errors::Lost => {
            let main = logs::OfServer(&ex.live, 0);
            logs::error!(main, Level::Error, kind.module, errno => "AH01241: exec of '{}' failed", name);
        }
        Errors::Entries(module) => {
            let text = format!("{errno}: exec of '{}' failed", crate::config::latin1(&ex.filename));
            say(ex, module, "AH01215", text.as_bytes());
            log::error(ex, 200, text.as_bytes());
        }
    }
}

/// The request's body becomes the script's input.
async fn feed(
    ex: &mut Exchange,
    wire: &mut dyn Wire,
    kind: &Kind,
    running: Option<&mut Running>,
    out: &mut Vec<u8>,
    kept: &mut Vec<u8>,
) -> Result<(), Outcome> {
    let most = log::kept(ex).unwrap_or(0);
    let mut running = running;
    while wire.body_kind() != BodyKind::None && !wire.body_done() {
        match pipe::fill(wire).await {
            Ok(0) => break,
            Ok(_) => {}
            Err(fault) => {
                let text = "Error reading request entity data";
                let errno = if let BodyFault::Refused { errno, .. } = fault { Errno(errno) } else { Errno(-102) };
                logs::error!(ex, Level::Error, kind.module, errno => "{}: {}", kind.unread, text);
                return Err(pipe::body_fault(ex, fault));
            }
        }
        let bytes = wire.body();
        let keep = most.saturating_sub(kept.len()).min(bytes.len());
        kept.extend_from_slice(bytes.get(..keep).unwrap_or_default());
        let wrote = match &mut running {
            Some(running) => running.write(ex, bytes, out, AHEAD).await,
            None => Ok(bytes.len()),
        };
        match wrote {
            Ok(wrote) => wire.consume(wrote),
            Err(error) => {
                // It has read enough, or nothing: the rest is nobody's.
                if kind.errors == Errors::Raw && error.kind() != io::ErrorKind::TimedOut {
                    let text = "AH02651: Error writing request body to script";
                    let errno = Errno::from(&error);
                    logs::error!(ex, Level::Error, kind.module, errno => "{} {}", text, Bytes(&ex.filename));
                }
                running = None;
            }
        }
    }
    if let Some(running) = running {
        running.close_input();
    }
    Ok(())
}

/// Head and body of a script.
async fn respond(
    ex: &mut Exchange,
    wire: &mut dyn Wire,
    kind: &Kind,
    running: &mut Running,
    mut out: Vec<u8>,
    kept: &[u8],
) -> Outcome {
    running.close_input();
    let mut reader = Reader::default();
    let mut at = 0;
    let status = loop {
        let before = at;
        match reader.read(ex, kind.module, &out, &mut at) {
            Head::Done(_, status) => break status,
            Head::Bad => {
                let line = out.get(before..at).unwrap_or_default();
                let line =
                    line.rsplit(|byte| *byte == b'\n').find(|line| !line.is_empty()).unwrap_or_default().to_vec();
                malformed(ex, kind.module, &line);
                return faulty(ex, kind, running, (kept, &line), out.split_off(at)).await;
            }
            Head::More => {}
        }
        match running.read(ex, &mut out, true).await {
            Ok(Some(0)) => {
                running.hear_out(ex).await;
                reader.ended(ex, kind.module, b"");
                return faulty(ex, kind, running, (kept, b""), Vec::new()).await;
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return timed_out(ex, kind, running),
            Err(_) => return Outcome::Status(500),
        }
    };
    out.drain(..at);
    if !ex.env.contains(b"ap_trust_cgilike_cl") {
        ex.headers_out.unset(b"Content-Length");
    }
    ex.headers_out.unset(b"Transfer-Encoding");
    if let Some(status) = status {
        if status != 304 {
            return Outcome::Status(status);
        }
        ex.status = 304;
        return ended(pipe::finish(ex, wire).await);
    }
    let location = ex.headers_out.get(b"Location").filter(|_| ex.status == 200).map(<[u8]>::to_vec);
    if let Some(location) = location {
        running.hear_out(ex).await;
        if location.first() != Some(&b'/') {
            return Outcome::Status(302);
        }
        // The request goes on without its body.
        if ex.method != b"HEAD" {
            ex.method.clear();
            ex.method.extend_from_slice(b"GET");
        }
        ex.headers_in.unset(b"Content-Length");
        ex.internal_redirect = location;
        return Outcome::Redirect;
    }
    let whole = !ex.header_only && gather(ex, running, &mut out).await;
    match whole {
        true => pipe::head_of_short(ex, wire, out.len() as u64),
        false => pipe::head(ex, wire, None),
    }
    copy(ex, wire, running, out).await
}

/// So often the end of a script is looked for behind its head: a body that is all here by then has a length that can
/// be said, as httpd says it when it finds the end there.
const LOOKS: usize = 4;

/// The most of a body that is kept for its length.
const WHOLE_MOST: usize = 65_536;

/// Puts what is there behind `out`; whether that is all.
async fn gather(ex: &Exchange, running: &mut Running, out: &mut Vec<u8>) -> bool {
    let mut looks = 0;
    while looks < LOOKS && out.len() < WHOLE_MOST {
        match running.read(ex, out, false).await {
            Ok(Some(0)) => return true,
            Ok(Some(_)) => {}
            Ok(None) => {
                looks += 1;
                tokio::task::yield_now().await;
            }
            // What is wrong is found again by who reads on.
            Err(_) => return false,
        }
    }
    false
}

/// A head that cannot be used: 500, and all of it in the script's log.
async fn faulty(
    ex: &mut Exchange,
    kind: &Kind,
    running: &mut Running,
    (kept, line): (&[u8], &[u8]),
    mut rest: Vec<u8>,
) -> Outcome {
    if log::kept(ex).is_some() {
        while rest.len() < AHEAD && matches!(running.read(ex, &mut rest, true).await, Ok(Some(n)) if n > 0) {}
    }
    if let Errors::Entries(_) = kind.errors {
        running.hear_out(ex).await;
    }
    log::output(ex, 500, kept, line, &rest);
    Outcome::Status(500)
}

fn timed_out(ex: &Exchange, kind: &Kind, running: &mut Running) -> Outcome {
    if let Errors::Entries(module) = kind.errors {
        let text = "AH01220: Timeout waiting for output from CGI script";
        logs::error!(ex, Level::Warn, module, "{} {}", text, Bytes(&ex.filename));
    }
    let start = memchr::memrchr(b'/', &ex.filename).map_or(0, |slash| slash + 1);
    let name = Bytes(ex.filename.get(start..).unwrap_or_default());
    logs::error!(ex, Level::Error, kind.module, "Script timed out before returning headers: {}", name);
    running.stop();
    Outcome::Status(504)
}

/// The body as it comes; what there is reaches the client before more is waited for.
async fn copy(ex: &mut Exchange, wire: &mut dyn Wire, running: &mut Running, first: Vec<u8>) -> Outcome {
    let mut out = first;
    loop {
        if !out.is_empty() && pipe::data(ex, wire, &out).await.is_err() {
            running.stop();
            return Outcome::Done;
        }
        out.clear();
        let got = match running.read(ex, &mut out, false).await {
            Ok(None) => {
                if pipe::flush(ex, wire).await.is_err() {
                    running.stop();
                    return Outcome::Done;
                }
                running.read(ex, &mut out, true).await
            }
            got => got,
        };
        match got {
            Ok(Some(0)) => break,
            Ok(_) => {}
            Err(_) => {
                running.stop();
                pipe::abort(ex, wire);
                return Outcome::Done;
            }
        }
    }
    running.hear_out(ex).await;
    ended(pipe::finish(ex, wire).await)
}

/// A script that writes the whole response itself.
async fn pass(ex: &mut Exchange, wire: &mut dyn Wire, running: &mut Running, out: Vec<u8>) -> Outcome {
    ex.drop_filters();
    ex.assbackwards = true;
    pipe::head(ex, wire, None);
    copy(ex, wire, running, out).await
}

/// A client that went away needs no end.
fn ended(_: io::Result<()>) -> Outcome {
    Outcome::Done
}

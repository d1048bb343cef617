//! SCGI: the variables as one netstring, then the body.

use std::io;

use super::head::{self, Read};
use super::{Names, connect, env, refuse_chunked, relay, send_all};
use crate::logs::{self, Level};
use crate::pipe::{self, Outcome};
use crate::upstream::http1::Outgoing;
use crate::upstream::pool::Link;
use crate::upstream::{Attempt, respond};
use crate::web::{BodyFault, Exchange, Wire};

const NAMES: Names = Names { scheme: "SCGI", module: "proxy_scgi" };

/// One attempt.
pub(super) async fn exchange(
    ex: &mut Exchange,
    wire: &mut dyn Wire,
    attempt: &Attempt<'_>,
    outgoing: &mut Option<Outgoing>,
) -> Outcome {
    let mut link = match connect(ex, attempt, &NAMES, true).await {
        Ok(link) => link,
        Err(outcome) => return outcome,
    };
    if let Some(refused) = refuse_chunked(ex, wire) {
        return refused;
    }
    if ex.env.contains(b"proxy-scgi-pathinfo") {
        ex.path_info = attempt.target.to_vec();
    }
    env::fill(ex, &ex.filename.clone()).await;
    let request = encode(ex);
    *outgoing = Some(Outgoing::spent());
    if let Err(fault) = send_all(wire, &mut link, request).await {
        if let BodyFault::Refused { .. } = fault {
            logs::error!(ex, Level::Error, NAMES.module, "AH00859: receiving request body failed");
            return Outcome::Status(500);
        }
        return respond::answer_to(ex, fault);
    }
    let decided = match read_head(ex, attempt, &mut link).await {
        Ok(decided) => decided,
        Err(outcome) => return outcome,
    };
    if let Some(status) = decided {
        return Outcome::Status(status);
    }
    if let Some(outcome) = elsewhere(ex, wire, attempt).await {
        return outcome;
    }
    if !ex.env.contains(b"ap_trust_cgilike_cl") {
        ex.headers_out.unset(b"Content-Length");
    }
    ex.headers_out.unset(b"Transfer-Encoding");
    relay(ex, wire, &mut link).await
}

fn encode(ex: &Exchange) -> Vec<u8> {
    let mut fields = Vec::new();
    let mut push = |name: &[u8], value: &[u8]| {
        for part in [name, value] {
            fields.extend_from_slice(part);
            fields.push(0);
        }
    };
    push(b"CONTENT_LENGTH", ex.env.get(b"CONTENT_LENGTH").unwrap_or(b"0"));
    push(b"SCGI", b"1");
    for (name, value) in ex.env.iter() {
        if !name.eq_ignore_ascii_case(b"CONTENT_LENGTH") && !name.eq_ignore_ascii_case(b"GATEWAY_INTERFACE") {
            push(name, value);
        }
    }
    let mut out = format!("{}:", fields.len()).into_bytes();
    out.extend_from_slice(&fields);
    out.push(b',');
    out
}

async fn read_head(ex: &mut Exchange, attempt: &Attempt<'_>, link: &mut Link) -> Result<Option<u16>, Outcome> {
    let mut ended = false;
    loop {
        let input = link.lane().input.bytes().to_vec();
        match head::read(ex, NAMES.module, &input, ended) {
            Read::Done(len, decided) => {
                link.consume(len);
                return Ok(decided);
            }
            Read::Bad => return Err(unread(ex, attempt, 500)),
            Read::Partial => {}
        }
        match link.fill().await {
            Ok(0) => ended = true,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                let at = memchr::memrchr(b'/', &ex.filename).map_or(0, |slash| slash + 1);
                let name = logs::Bytes(ex.filename.get(at..).unwrap_or_default());
                logs::error!(ex, Level::Error, NAMES.module, "Script timed out before returning headers: {name}");
                return Err(unread(ex, attempt, 504));
            }
            Err(_) => ended = true,
        }
    }
}

fn unread(ex: &mut Exchange, attempt: &Attempt<'_>, status: u16) -> Outcome {
    let (host, port) = (&attempt.worker.spec.host, attempt.worker.spec.port);
    logs::error!(ex, Level::Error, NAMES.module, "AH00860: error reading response headers from {host}:{port}");
    ex.status = 200;
    ex.status_line.clear();
    Outcome::Status(status)
}

/// What the script lets us answer in its place: a file, or a path of this server.
async fn elsewhere(ex: &mut Exchange, wire: &mut dyn Wire, attempt: &Attempt<'_>) -> Option<Outcome> {
    let policy = &attempt.policy.scgi;
    if let Some(name) = &policy.sendfile
        && let Some(path) = ex.err_headers_out.get(name).map(<[u8]>::to_vec)
    {
        ex.err_headers_out.unset(name);
        return Some(send_file(ex, wire, &path).await);
    }
    if ex.status == 200
        && let Some(name) = &policy.internal_redirect
        && let Some(location) = ex.headers_out.get(name).filter(|location| location.starts_with(b"/"))
    {
        let location = location.to_vec();
        ex.internal_redirect = location;
        return Some(Outcome::Redirect);
    }
    None
}

/// Sends a file that the request may read.
async fn send_file(ex: &mut Exchange, wire: &mut dyn Wire, path: &[u8]) -> Outcome {
    let sub = pipe::lookup_file(ex, path).await;
    let is_file = sub.finfo.as_ref().is_some_and(std::fs::Metadata::is_file);
    let name = std::ffi::OsString::from(String::from_utf8_lossy(&sub.filename).into_owned());
    let opened = if sub.status == 200 && is_file { tokio::fs::read(name).await.ok() } else { None };
    let Some(data) = opened else {
        let (path, status) = (logs::Bytes(path), sub.status);
        let kind = sub.finfo.as_ref().map_or(0, |info| if info.is_file() { 1 } else { 2 });
        logs::error!(
            ex,
            Level::Error,
            NAMES.module,
            "AH00864: Subrequest to file '{path}' not possible. (rr->status={status}, rr->finfo.filetype={kind})"
        );
        return Outcome::Status(500);
    };
    ex.headers_out.unset(b"Content-Length");
    pipe::head(ex, wire, None);
    if pipe::data(ex, wire, &data).await.is_ok() {
        let _ = pipe::finish(ex, wire).await;
    }
    Outcome::Done
}

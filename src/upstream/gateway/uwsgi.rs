//! uwsgi: the variables in one packet, then the body; an HTTP response comes back.

use std::future::poll_fn;
use std::task::Poll;

use super::{Names, connect, env, refuse_chunked, relay_rest, send_all};
use crate::base::path::{EncodedSlashes, unescape_url};
use crate::logs::{self, Level};
use crate::pipe::{self, Outcome};
use crate::upstream::http1::Outgoing;
use crate::upstream::pool::Link;
use crate::upstream::{Attempt, respond};
use crate::web::{Exchange, Wire};

const NAMES: Names = Names { scheme: "uwsgi", module: "proxy_uwsgi" };

/// The longest line of a response.
const LINE_MAX: usize = 8190;

/// One attempt.
pub(super) async fn exchange(
    ex: &mut Exchange,
    wire: &mut dyn Wire,
    attempt: &Attempt<'_>,
    outgoing: &mut Option<Outgoing>,
) -> Outcome {
    let mut info = Vec::new();
    if unescape_url(attempt.target, EncodedSlashes::Decode, &mut info).is_err() {
        let url = logs::Bytes(attempt.url);
        logs::error!(ex, Level::Error, NAMES.module, "AH10100: unable to decode uwsgi uri: {url}");
        return Outcome::Status(500);
    }
    // As httpd, which decodes the URL where it lies.
    let whole = ex.filename.len().saturating_sub(attempt.target.len());
    if attempt.url.len() > attempt.target.len() && ex.filename.ends_with(attempt.target) {
        ex.filename.truncate(whole);
        ex.filename.extend_from_slice(&info);
    }
    let slashes = info.iter().take_while(|byte| **byte == b'/').count();
    info.drain(..slashes.saturating_sub(1));
    ex.env.add(b"PATH_INFO", &info);
    let mut link = match connect(ex, attempt, &NAMES, true).await {
        Ok(link) => link,
        Err(outcome) => return outcome,
    };
    if let Some(refused) = refuse_chunked(ex, wire) {
        return refused;
    }
    env::fill(ex, &ex.filename.clone()).await;
    let request = match encode(ex) {
        Ok(request) => request,
        Err(size) => {
            let (host, port) = (&attempt.worker.spec.host, attempt.worker.spec.port);
            logs::error!(
                ex,
                Level::Error,
                NAMES.module,
                "AH10259: can't send headers to {host}:{port}: packet size too large ({size})"
            );
            return Outcome::Status(500);
        }
    };
    *outgoing = Some(Outgoing::spent());
    if let Err(fault) = send_all(wire, &mut link, request).await {
        return respond::answer_to(ex, fault);
    }
    if let Err(status) = read_head(ex, &mut link).await {
        ex.status = 200;
        ex.status_line.clear();
        ex.headers_out.clear();
        return Outcome::Status(status);
    }
    if let Some(outcome) = respond::replaced(ex, attempt.policy) {
        ex.status_line.clear();
        return outcome;
    }
    let length = ex.headers_out.get(b"Content-Length").and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
    if length.is_none() {
        ex.headers_out.unset(b"Content-Length");
    }
    // As in httpd, only a body of nothing has a length that nobody told.
    let empty =
        link.input().is_empty() && matches!(poll_fn(|cx| Poll::Ready(link.poll_fill(cx))).await, Poll::Ready(Ok(0)));
    let length = length.or_else(|| empty.then_some(0));
    pipe::head(ex, wire, length);
    relay_rest(ex, wire, &mut link, length).await
}

/// The packet; or its size, which is too large.
fn encode(ex: &mut Exchange) -> Result<Vec<u8>, usize> {
    if let Some(secret) = ex.headers_in.get(b"Authorization") {
        ex.env.set(b"HTTP_AUTHORIZATION", secret);
    }
    let script = ex.env.get(b"SCRIPT_NAME").unwrap_or_default();
    let info = ex.env.get(b"PATH_INFO").unwrap_or_default();
    let script = match info {
        b"/" if script == b"/" => Some(Vec::new()),
        b"/" => None,
        _ => script.len().checked_sub(info.len()).and_then(|end| script.get(..end)).map(<[u8]>::to_vec),
    };
    if let Some(script) = script {
        ex.env.set(b"SCRIPT_NAME", &script);
    }
    let size: usize = ex.env.iter().map(|(name, value)| 4 + name.len() + value.len()).sum();
    let Ok(short) = u16::try_from(size) else { return Err(size) };
    let mut out = vec![0];
    out.extend_from_slice(&short.to_le_bytes());
    out.push(0);
    for (name, value) in ex.env.iter() {
        for part in [name, value] {
            out.extend_from_slice(&u16::try_from(part.len()).unwrap_or(u16::MAX).to_le_bytes());
            out.extend_from_slice(part);
        }
    }
    Ok(out)
}

/// The next line of the response; `None` at its end, or where it is too long.
async fn line(link: &mut Link) -> Option<Vec<u8>> {
    loop {
        let input = link.input();
        if let Some(end) = memchr::memchr(b'\n', input.get(..LINE_MAX + 1).unwrap_or(input)) {
            let line = input.get(..end).unwrap_or_default().trim_ascii_end().to_vec();
            link.consume(end + 1);
            return Some(line);
        }
        if input.len() > LINE_MAX || !matches!(link.fill().await, Ok(1..)) {
            return None;
        }
    }
}

/// Takes the head of the response; the status of the answer where it is none.
async fn read_head(ex: &mut Exchange, link: &mut Link) -> Result<(), u16> {
    let first = line(link).await.filter(|line| !line.is_empty()).ok_or(500u16)?;
    link.account(0, first.len());
    let status = status_of(&first).ok_or(502u16)?;
    ex.headers_out.clear();
    ex.content_type.clear();
    let code = std::str::from_utf8(status.get(..3).unwrap_or_default()).ok().and_then(|code| code.parse().ok());
    ex.status = code.ok_or(502u16)?;
    ex.status_line.clear();
    ex.status_line.extend_from_slice(status);
    if status.len() == 3 {
        ex.status_line.push(b' ');
    }
    let mut fields: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    loop {
        let line = line(link).await.ok_or(502u16)?;
        if line.is_empty() {
            break;
        }
        match (line.first(), fields.last_mut()) {
            // The last field goes on.
            (Some(b' ' | b'\t'), Some((_, value))) => {
                value.push(b' ');
                value.extend_from_slice(line.trim_ascii());
            }
            _ => {
                let colon = memchr::memchr(b':', &line).ok_or(502u16)?;
                let (name, value) = line.split_at(colon);
                fields.push((name.to_vec(), value.get(1..).unwrap_or_default().trim_ascii().to_vec()));
            }
        }
        if fields.len() > FIELDS_MAX {
            return Err(502);
        }
    }
    for (name, value) in &fields {
        let ends_here = [&b"Connection"[..], b"Transfer-Encoding", b"Keep-Alive"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name));
        if !ends_here {
            ex.headers_out.add(name, value);
        }
    }
    if let Some(kind) = ex.headers_out.get(b"Content-Type") {
        ex.content_type.extend_from_slice(kind);
    }
    Ok(())
}

/// As many fields as a response may have.
const FIELDS_MAX: usize = 1000;

/// `NNN reason` of a status line.
fn status_of(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(b"HTTP/")?;
    let rest = match rest {
        [major, b'.', minor, b' ', rest @ ..] if major.is_ascii_digit() && minor.is_ascii_digit() => rest,
        [major, b' ', rest @ ..] if major.is_ascii_digit() => rest,
        _ => return None,
    };
    let digits = rest.get(..3)?.iter().all(u8::is_ascii_digit);
    digits.then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::status_of;

    #[test]
    fn status_lines_have_three_digits() {
        for (line, want) in [
            ("HTTP/1.1 200 OK", Some("200 OK")),
            ("HTTP/2 404", Some("404")),
            ("HTTP/1.0 99 OK", None),
            ("HTTP/1.0200 OK", None),
            ("no", None),
        ] {
            assert_eq!(status_of(line.as_bytes()), want.map(str::as_bytes), "{line}");
        }
    }
}

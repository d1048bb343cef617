//! Another protocol over the same connections: `upgrade=`, `ws://`.

use super::super::link::Link;
use super::super::respond::{self, proxy_error};
use super::super::spec::WorkerSpec;
use super::super::{Attempt, pool, tunnel};
use super::Answered;
use super::answer;
use super::request::{Announced, Manner, push_head};
use crate::logs::{self, Bytes, Level};
use crate::pipe::{self, Outcome};
use crate::web::{Exchange, Table, Wire};

/// Whether a worker with this `upgrade=` lets a request for these protocols pass.
fn allows(allowed: &[u8], asked: &[u8]) -> bool {
    if allowed.eq_ignore_ascii_case(b"ANY") {
        return true;
    }
    // As httpd: a word of the worker's list has to begin what is asked for.
    allowed
        .split(|byte| matches!(byte, b',' | b' ' | b'\t'))
        .any(|word| !word.is_empty() && asked.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)))
}

/// The client's Upgrade field, if the worker lets it pass.
pub(super) fn asked_for(ex: &Exchange, spec: &WorkerSpec) -> Option<Vec<u8>> {
    let allowed = spec.upgrade.as_deref().filter(|allowed| !allowed.is_empty())?;
    let mut values = ex.headers_in.get_all(b"Upgrade");
    let mut asked = values.next()?.to_vec();
    for more in values {
        asked.extend_from_slice(b", ");
        asked.extend_from_slice(more);
    }
    allows(allowed, &asked).then_some(asked)
}

/// Keeps the field Upgrade of a final response where the worker may upgrade.
pub(super) fn offer(spec: &WorkerSpec, offered: &[u8], fields: &mut Table) {
    if spec.upgrade.as_deref().is_some_and(|allowed| !allowed.is_empty() && allows(allowed, offered)) {
        fields.set(b"Connection", b"Upgrade");
        fields.set(b"Upgrade", offered);
    }
}

/// The backend has switched protocols: so do we, if that was asked for.
pub(super) async fn switched(
    ex: &mut Exchange,
    wire: &mut dyn Wire,
    attempt: &Attempt<'_>,
    mut link: Box<Link>,
    answered: Answered,
    asked: Option<&[u8]>,
) -> Outcome {
    answer::note(ex, 101);
    let lane = link.lane();
    let (head, buf) = (&lane.head, lane.input.bytes());
    let upgrade = answer::field(head, buf, b"Upgrade").map(<[u8]>::to_vec);
    let upgrade = match (upgrade, asked) {
        (Some(upgrade), Some(asked)) if upgrade.eq_ignore_ascii_case(asked) => upgrade,
        (upgrade, _) => {
            let got = String::from_utf8_lossy(upgrade.as_deref().unwrap_or(b"n/a")).into_owned();
            let wanted = String::from_utf8_lossy(asked.unwrap_or(b"n/a"));
            return proxy_error(ex, 502, &format!("Unexpected Upgrade: {got} (expecting {wanted})"));
        }
    };
    let reason = head.bytes(buf, head.reason).to_vec();
    ex.status = 101;
    ex.headers_out.clear();
    answer::copy_fields(head, buf, &mut ex.headers_out, answer::Lengths::First);
    for value in answered.left.iter().flat_map(|left| left.get_all(b"Set-Cookie")) {
        ex.headers_out.add(b"Set-Cookie", value);
    }
    link.consume(answered.head);
    let mut fields = std::mem::take(&mut ex.headers_out);
    answer::add_via(ex, attempt.policy.via, &mut fields);
    ex.headers_out = fields;
    respond::map(ex, attempt);
    ex.headers_out.set(b"Connection", b"Upgrade");
    ex.headers_out.set(b"Upgrade", &upgrade);
    let fields = std::mem::take(&mut ex.headers_out);
    pipe::interim(ex, wire, 101, &reason, &fields);
    ex.headers_out = fields;
    if pipe::flush(ex, wire).await.is_err() {
        return Outcome::Done;
    }
    logs::error!(ex, Level::Debug, "proxy_http", "AH10239: HTTP: tunneling protocol {}", Bytes(&upgrade));
    through(ex, wire, attempt, link).await
}

/// Bytes both ways; the response is over when they are.
async fn through(ex: &mut Exchange, wire: &mut dyn Wire, attempt: &Attempt<'_>, mut link: Box<Link>) -> Outcome {
    ex.close = true;
    ex.head_sent = true;
    ex.finished = true;
    ex.first_byte.get_or_insert_with(std::time::Instant::now);
    let idle = patience(ex, attempt);
    if Box::pin(tunnel::run(wire, &mut link, &[], idle)).await.is_none() {
        pipe::abort(ex, wire);
    }
    Outcome::Done
}

/// A tunnel may be quiet for as long as the more patient of its sides allows.
fn patience(ex: &Exchange, attempt: &Attempt<'_>) -> std::time::Duration {
    let client = std::time::Duration::from_secs(u64::from(ex.server().rec.timeout.unwrap_or(60)));
    pool::io_timeout(ex, attempt.worker, attempt.policy).max(client)
}

/// Whether mod_proxy_wstunnel itself answers: nothing is read of the backend's response then.
pub(super) fn is_raw(spec: &WorkerSpec) -> bool {
    matches!(spec.scheme_text.as_str(), "ws" | "wss")
}

/// What mod_proxy_wstunnel does where it may not leave it to mod_proxy_http: the head goes to the backend, and whatever
/// comes back to the client.
pub(super) async fn raw(ex: &mut Exchange, wire: &mut dyn Wire, attempt: &Attempt<'_>) -> Outcome {
    let asked = ex.headers_in.get(b"Upgrade");
    let allowed = match attempt.worker.spec.upgrade.as_deref() {
        None => &b"WebSocket"[..],
        Some(allowed) => allowed,
    };
    let Some(asked) = asked else { return Outcome::Status(404) };
    if !allows(allowed, asked) {
        let (url, asked) = (Bytes(ex.filename.get(6..).unwrap_or_default()), Bytes(asked));
        logs::error!(
            ex,
            Level::Info,
            "proxy_wstunnel",
            "AH02900: require upgrade for URL {url} (Upgrade header is {asked}, expecting {})",
            Bytes(allowed)
        );
        let allowed = allowed.to_vec();
        ex.err_headers_out.set(b"Connection", b"Upgrade");
        ex.err_headers_out.set(b"Upgrade", &allowed);
        return Outcome::Status(426);
    }
    let mut link = match super::connect(ex, attempt, pool::Wanted { scheme: "WS", fresh: true, certain: true }).await {
        Ok(link) => link,
        Err(outcome) => return outcome,
    };
    let manner = Manner { body: Announced::Nothing, expect: false, close: true, http10: false, upgrade: None };
    let output = &mut link.lane().output;
    push_head(ex, attempt, &manner, output);
    let rest = output.len().saturating_sub(b"Connection: close\r\n\r\n".len());
    output.truncate(rest);
    output.extend_from_slice(b"Upgrade: WebSocket\r\nConnection: Upgrade\r\n\r\n");
    if link.send().await.is_err() {
        return Outcome::Status(503);
    }
    through(ex, wire, attempt, link).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_the_workers_list_begins_what_is_asked_for() {
        for (allowed, asked, yes) in [
            ("websocket", "WebSocket", true),
            ("websocket", "websocket, foo", true),
            ("websocket", "foo, websocket", false),
            ("ANY", "foo/1", true),
            ("a, b", "b", true),
            ("", "b", false),
            ("websocket", "web", false),
        ] {
            assert_eq!(allows(allowed.as_bytes(), asked.as_bytes()), yes, "{allowed} {asked}");
        }
    }
}

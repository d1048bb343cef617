//! The origin of a scenario: `origin PATH STATUS | Field: value | … | = body` is what it answers to PATH. Several lines
//! for one path are answered one after the other, the last one for ever. `@now+60@` is a date.

use std::sync::Arc;
use std::time::SystemTime;

use super::{HashMap, Message, Mutex, Origin, repeated};

/// What is left to be answered, by path.
#[derive(Clone, Default)]
pub(super) struct Answers(Arc<Mutex<HashMap<String, Vec<String>>>>);

impl Answers {
    pub(super) fn add(&self, line: &str) {
        let (path, answer) = line.split_once(' ').unwrap();
        self.0.lock().unwrap().entry(path.to_owned()).or_default().push(answer.to_owned());
    }

    fn next(&self, path: &str) -> Option<String> {
        let mut all = self.0.lock().unwrap();
        let answers = all.get_mut(path)?;
        if answers.len() > 1 { Some(answers.remove(0)) } else { answers.first().cloned() }
    }
}

/// Starts it; it closes each connection behind its answer.
pub(super) fn start(answers: &Answers) -> Origin {
    let answers = answers.clone();
    Origin::serving(move |peer, seen| {
        if let Some(request) = peer.request() {
            let target = request.line().split(' ').nth(1).unwrap_or_default().to_owned();
            let head_only = request.line().starts_with("HEAD ");
            let path = target.split('?').next().unwrap_or_default();
            let answer = answers.next(path).unwrap_or_else(|| "404 | = no such path".to_owned());
            seen.note(request);
            peer.try_send(bytes(&answer, head_only));
        }
    })
}

fn bytes(answer: &str, head_only: bool) -> Vec<u8> {
    let mut parts = answer.split(" | ");
    let status = parts.next().unwrap_or_default().to_owned();
    let (mut fields, mut body, mut dated_itself, mut measured) = (String::new(), String::new(), false, true);
    for part in parts {
        if let Some(text) = part.strip_prefix("= ") {
            body = repeated(text);
        } else if part == "unmeasured" {
            measured = false;
        } else {
            dated_itself |= part.starts_with("Date:");
            fields += &format!("{}\r\n", dated(part));
        }
    }
    if !dated_itself {
        fields += &dated("Date: @now+0@\r\n");
    }
    if measured && status != "304" {
        fields += &format!("Content-Length: {}\r\n", body.len());
    }
    let body = if head_only { "" } else { &body };
    format!("HTTP/1.1 {status} Whatever\r\n{fields}Connection: close\r\n\r\n{body}").into_bytes()
}

/// A request in one line: what matters to a cache.
pub(super) fn shown(request: &Message) -> String {
    let mut out = format!("< {}", request.line().trim_end_matches(" HTTP/1.1"));
    for name in
        ["If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since", "If-Range", "Range", "Cache-Control"]
    {
        for value in request.headers(name) {
            let value = if is_now(&value) { "@now@".to_owned() } else { value };
            out += &format!(" | {name}: {value}");
        }
    }
    out + "\n"
}

/// Puts dates in the place of `@now+N@` and `@now-N@`.
pub(super) fn dated(text: &str) -> String {
    let Some((front, rest)) = text.split_once("@now") else { return text.to_owned() };
    let (offset, back) = rest.split_once('@').unwrap();
    let now = jiff::Timestamp::try_from(SystemTime::now()).unwrap();
    let then = now + jiff::SignedDuration::from_secs(offset.parse().unwrap());
    let date = then.strftime("%a, %d %b %Y %H:%M:%S GMT");
    format!("{front}{date}{}", dated(back))
}

/// Whether a date is one of the days around now: it differs from run to run.
pub(super) fn is_now(text: &str) -> bool {
    let Ok(zoned) = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text) else { return false };
    let now = jiff::Timestamp::try_from(SystemTime::now()).unwrap();
    zoned.duration_since(now).abs() < jiff::SignedDuration::from_hours(24 * 4)
}

//! How old an entry is, whether it may be used, and its fields on their way to a client.

use super::conf::CacheServer;
use super::control::{Control, Flag, joined, remove_named};
use super::store::{Entry, Info};
use crate::base::clock::{parse_http_date, push_http_date};
use crate::logs::text::push_u64;
use crate::pipe::media;
use crate::web::{Exchange, Table};

const SECOND: i64 = 1_000_000;

/// Seconds since the response was made (RFC 9111 section 4.2.3).
fn age(info: &Info, age_field: i64, now: i64) -> i64 {
    let apparent = (info.response_time - info.date).max(0);
    let received = apparent.max(age_field.saturating_mul(SECOND));
    let initial = received.saturating_add(info.response_time - info.request_time);
    initial.saturating_add(now - info.response_time).max(0) / SECOND
}

/// Whether the entry may be used without asking anybody; its fields tell the client its age then, and what is doubtful.
pub fn is_fresh(entry: &mut Entry, asked: &Control, conf: &CacheServer, now: i64) -> bool {
    let info = &entry.info;
    if info.control.has(Flag::NoCache) || info.control.has(Flag::Invalidated) {
        return false;
    }
    let field = entry.response.get(b"Age").and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
    let age = age(info, field.unwrap_or(0), now);
    let obeyed = conf.ignore_control != Some(true);
    let own = if info.control.s_maxage == -1 { info.control.max_age } else { info.control.s_maxage };
    let wanted = if obeyed { asked.max_age } else { -1 };
    let most = match (wanted, own) {
        (-1, own) => own,
        (wanted, -1) => wanted,
        (wanted, own) => wanted.min(own),
    };
    let strict = info.control.has(Flag::MustRevalidate)
        || info.control.has(Flag::ProxyRevalidate)
        || info.control.s_maxage != -1;
    let stale = match asked.max_stale {
        _ if strict || !asked.has(Flag::MaxStale) => 0,
        -1 => 86400 * 365,
        stale => stale,
    };
    let early = if obeyed && asked.has(Flag::MinFresh) { asked.min_fresh } else { 0 };
    let lifetime = (info.expire - info.date) / SECOND;
    let slack = stale.saturating_sub(early);
    let fresh = match most {
        -1 => age < lifetime.saturating_add(slack),
        most => age < most.saturating_add(slack),
    };
    if !fresh {
        return false;
    }
    let mut text = Vec::new();
    push_u64(&mut text, u64::try_from(age).unwrap_or(0));
    let in_time = (most != -1 && age < most) || lifetime > age;
    entry.response.set(b"Age", &text);
    if !in_time {
        warn(&mut entry.response, b"110 Response is stale");
    }
    if own == -1 && !entry.response.contains(b"Expires") && age > 86400 {
        warn(&mut entry.response, b"113 Heuristic expiration");
    }
    true
}

/// Adds a warning, unless one of its number is there.
pub fn warn(fields: &mut Table, warning: &[u8]) {
    let number = warning.get(..3).unwrap_or_default();
    let there = fields.get(b"Warning").is_some_and(|text| memchr::memmem::find(text, number).is_some());
    if !there {
        fields.merge(b"Warning", warning);
    }
}

/// The fields of an entry become those of the response: `Content-Type` beside the others, `Last-Modified` no later than
/// now. With `over`, fields that the response has already count more.
pub fn accept(ex: &mut Exchange, entry: &Entry, over: bool) {
    let mut fields = entry.response.clone();
    if let Some(kind) = fields.get(b"Content-Type") {
        ex.content_type.clear();
        ex.content_type.extend_from_slice(kind);
        fields.unset(b"Content-Type");
        ex.headers_out.unset(b"Content-Type");
        ex.err_headers_out.unset(b"Content-Type");
    }
    if let Some(seconds) = fields.get(b"Last-Modified").and_then(parse_http_date) {
        let mut date = Vec::with_capacity(29);
        push_http_date(&mut date, seconds.saturating_mul(SECOND).min(ex.started_micros));
        fields.set(b"Last-Modified", &date);
    }
    if over {
        fields.retain(|name, _| !ex.headers_out.contains(name));
        fields.extend(&ex.headers_out);
        ex.headers_out = fields;
    } else {
        ex.headers_out.retain(|name, _| !fields.contains(name));
        ex.headers_out.extend(&fields);
    }
}

/// All fields of the response as they are now, in one table: those that are always sent behind the others.
pub fn merged(ex: &Exchange) -> Table {
    let mut fields = ex.headers_out.clone();
    fields.extend(&ex.err_headers_out);
    if !ex.content_type.is_empty() && !fields.contains(b"Content-Type") {
        let mut kind = Vec::new();
        media::push_content_type(ex, &mut kind);
        fields.add(b"Content-Type", &kind);
    }
    if !ex.content_encoding.is_empty() && !fields.contains(b"Content-Encoding") {
        fields.add(b"Content-Encoding", &ex.content_encoding);
    }
    fields
}

/// Fields that belong to a connection.
const HOP: [&[u8]; 8] = [
    b"Connection",
    b"Keep-Alive",
    b"Proxy-Authenticate",
    b"Proxy-Authorization",
    b"TE",
    b"Trailers",
    b"Transfer-Encoding",
    b"Upgrade",
];

/// The fields among these that may be stored.
pub fn storable(mut fields: Table, conf: &CacheServer) -> Table {
    let ignored = |name: &[u8]| conf.ignore_headers.iter().flatten().any(|known| known.eq_ignore_ascii_case(name));
    fields.retain(|name, _| !HOP.iter().any(|hop| hop.eq_ignore_ascii_case(name)) && !ignored(name));
    fields
}

/// The response's fields that may be stored.
pub fn storable_response(ex: &Exchange, conf: &CacheServer) -> Table {
    let mut fields = storable(merged(ex), conf);
    remove_named(&mut fields);
    fields
}

/// Whether the entry is the response to this request: the fields that `Vary` names are those of the one it was stored
/// for.
pub fn varies(entry: &Entry, request: &Table) -> bool {
    let Some(names) = joined(&entry.response, b"Vary") else { return false };
    let mut names = names.split(|byte| matches!(byte, b',' | b' ' | b'\t')).filter(|name| !name.is_empty());
    names.any(|name| joined(request, name) != joined(&entry.request, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::cache::store::{Content, Place};

    fn entry(control: &str, date: i64, expire: i64) -> Entry {
        let at = |seconds: i64| seconds * SECOND;
        Entry {
            info: Info {
                status: 200,
                date: at(date),
                expire: at(expire),
                request_time: at(1000),
                response_time: at(1000),
                control: Control::parse(Some(control.as_bytes()), None),
            },
            response: Table::default(),
            request: Table::default(),
            body: Content::Memory([].into(), 0),
            place: Place::default(),
        }
    }

    fn fresh(entry: &mut Entry, asked: &str, now: i64) -> bool {
        let asked = Control::parse(Some(asked.as_bytes()), None);
        is_fresh(entry, &asked, &CacheServer::default(), now * SECOND)
    }

    #[test]
    fn age_decides_and_is_told() {
        let mut kept = entry("max-age=50", 1000, 1050);
        assert!(fresh(&mut kept, "", 1049) && !fresh(&mut kept, "", 1050));
        assert_eq!((kept.response.get(b"Age"), kept.response.contains(b"Warning")), (Some(&b"49"[..]), false));
        let mut old = entry("max-age=50", 900, 950);
        assert!(!fresh(&mut old, "", 1000) && !fresh(&mut old, "max-stale=10", 1000));
        assert!(fresh(&mut old, "max-stale", 1000));
        assert_eq!(old.response.get(b"Warning"), Some(&b"110 Response is stale"[..]));
        assert!(!fresh(&mut entry("max-age=50, must-revalidate", 900, 950), "max-stale", 1000));
        assert!(!fresh(&mut entry("s-maxage=50", 900, 950), "max-stale", 1000));
        assert!(!fresh(&mut entry("max-age=50", 1000, 1050), "min-fresh=30", 1030));
        assert!(!fresh(&mut entry("max-age=50", 1000, 1050), "max-age=10", 1030));
        assert!(!fresh(&mut entry("no-cache", 1000, 5000), "", 1001));
        let mut guessed = entry("", 1000, 1000 + 200_000);
        assert!(fresh(&mut guessed, "", 1000 + 100_000));
        assert_eq!(guessed.response.get(b"Warning"), Some(&b"113 Heuristic expiration"[..]));
        let mut told = entry("max-age=50", 1000, 1050);
        told.response.add(b"Age", b"45");
        assert!(fresh(&mut told, "", 1004) && !fresh(&mut told, "", 1005));
    }
}

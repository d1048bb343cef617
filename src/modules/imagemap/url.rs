//! What the words of a map mean as URLs.

use crate::logs::{self, Bytes, Level};
use crate::pipe::names::push_url;
use crate::web::Exchange;

/// The URL that `value` means below `base` (empty: below nothing); `nocontent` and `error` stay as they are. `None` if
/// it leads out of the server, which the log is told.
pub(super) fn resolve(ex: &Exchange, base: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    let is = |word: &[u8]| value.eq_ignore_ascii_case(word);
    if is(b"map") || is(b"menu") {
        let mut url = Vec::new();
        push_url(ex, &ex.uri, &mut url);
        return Some(url);
    }
    if is(b"nocontent") || is(b"error") {
        return Some(value.to_vec());
    }
    let mut value = value;
    if is(b"referer") {
        match ex.headers_in.get(b"Referer").filter(|referer| !referer.is_empty()) {
            Some(referer) => return Some(referer.to_vec()),
            None => value = b"",
        }
    }
    let scheme = value.iter().position(|byte| !byte.is_ascii_alphabetic());
    let absolute = scheme.and_then(|end| value.get(end)) == Some(&b':');
    if absolute || (base.is_empty() && !value.is_empty()) {
        return Some(value.to_vec());
    }
    if base.is_empty() {
        let mut url = Vec::new();
        push_url(ex, b"/", &mut url);
        return Some(url);
    }
    below(ex, base, value)
}

/// A relative URL behind its base.
fn below(ex: &Exchange, base: &[u8], mut value: &[u8]) -> Option<Vec<u8>> {
    let fail = |text: &str| {
        logs::error!(ex, Level::Error, "imagemap", "{text} in map file: {}", Bytes(&ex.uri));
        None
    };
    let climbs = |value: &[u8]| value == b".." || value.starts_with(b"../");
    if climbs(value) && !base.contains(&b'/') {
        return fail("AH00677: invalid base directive");
    }
    let mut url = base.to_vec();
    // Where the directories start, unless the value starts at the root itself.
    let mut directory = None;
    if let Some(slash) = first_slash(base) {
        if value.first() == Some(&b'/') {
            url.truncate(slash);
        } else {
            directory = Some(slash);
            url.truncate(memchr::memrchr(b'/', base).map_or(slash, |last| last + 1));
        }
    }
    while climbs(value) {
        // A base without directories would keep httpd at it for ever.
        let Some(start) = directory.filter(|start| url.len() > *start) else {
            return fail("AH00678: invalid directory name");
        };
        let ended = url.len() - 1;
        // The slash at the end goes first, then the name in front of it.
        while url.len() > start && url.len() + 1 > ended {
            let Some(slash) = url.get(start..).and_then(|path| memchr::memrchr(b'/', path)) else { break };
            url.truncate(start + slash);
        }
        value = value.get(2..).unwrap_or_default();
        if value == b"/.." || value.starts_with(b"/../") {
            value = value.get(1..).unwrap_or_default();
        }
    }
    url.extend_from_slice(value);
    Some(url)
}

/// The first slash that is not one of a pair.
fn first_slash(url: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(found) = url.get(at..).and_then(|rest| memchr::memchr(b'/', rest)) {
        at += found;
        if url.get(at + 1) != Some(&b'/') {
            return Some(at);
        }
        at += 2;
    }
    None
}

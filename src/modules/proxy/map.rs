//! From a request's path to the backend's URL: the rules of the location and of the server.

use std::cell::RefCell;

use super::conf::{Mapping, ProxyDir, ProxyProcess, ProxyServer, Rule};
use super::reverse::interpolate;
use super::serve::take_socket;
use super::servlet::servlet_match;
use super::table::first_byte;
use crate::base::pattern::{Captures, substitute};
use crate::config::{Server, Slots};
use crate::logs::{self, Level};
use crate::pipe::Outcome;
use crate::upstream::canon::{NOTE_NOCANON, NOTE_NOENCODE};
use crate::web::{Exchange, ProxyKind};

/// Whether requests of this server with these values may be mapped in the phase before the path is decoded.
pub(super) fn wants_early(server: &Server, dir: &Slots) -> bool {
    server.get::<ProxyServer>().is_some_and(|conf| conf.maps_early) || has_rule(dir, true)
}

/// Whether they may be mapped on the decoded path, or were mapped before: then nobody else may map them any more.
pub(super) fn wants_late(server: &Server, dir: &Slots) -> bool {
    let conf = server.get::<ProxyServer>();
    conf.is_some_and(|conf| conf.maps || conf.requests == Some(true))
        || has_rule(dir, false)
        || wants_early(server, dir)
}

fn has_rule(dir: &Slots, early: bool) -> bool {
    let rule = dir.get::<ProxyDir>().and_then(|dir| dir.rule.as_ref());
    rule.is_some_and(|rule| (rule.mapping != Mapping::Decoded) == early)
}

/// Before the path is decoded.
pub(super) fn pre_translate(ex: &mut Exchange) -> Outcome {
    translate_in(ex, true)
}

/// On the decoded path.
pub(super) fn translate(ex: &mut Exchange) -> Outcome {
    translate_in(ex, false)
}

/// What a rule says of a request.
enum Found {
    /// Not this one.
    Miss,
    /// `!`: no rule holds.
    Excluded,
    /// `ex` is mapped.
    Mapped,
    /// Mapped to what is no URL.
    Refused(u16),
}

fn translate_in(ex: &mut Exchange, early: bool) -> Outcome {
    if ex.proxyreq != ProxyKind::None {
        // Somebody else has set it up.
        return if early { Outcome::Declined } else { Outcome::Ok };
    }
    if ex.uri.first() != Some(&b'/') || ex.unparsed_uri == b"*" || ex.env.contains(b"no-proxy") {
        return Outcome::Declined;
    }
    let live = ex.live.clone();
    let chain = ex.chain.clone();
    let dir = chain.dir.get::<ProxyDir>();
    let interpolates = dir.is_some_and(|dir| dir.interpolate == Some(true));
    let own = dir.and_then(|dir| dir.rule.as_ref());
    let process = live.generation.globals.conf.get::<ProxyProcess>();
    let table = process.and_then(|process| process.tables.get(ex.server));
    let outer = table.and_then(|table| table.outer_rules.as_deref());
    let first = first_byte(&ex.uri);
    let listed = outer.into_iter().chain(table.map(|table| &**table)).flat_map(|table| &table.rules);
    let listed = listed.filter(|listed| listed.may_hold(first)).map(|listed| &listed.rule);
    for rule in own.into_iter().chain(listed) {
        if (rule.mapping != Mapping::Decoded) != early {
            continue;
        }
        match try_rule(ex, rule, interpolates) {
            Found::Miss => {}
            Found::Excluded => return Outcome::Declined,
            Found::Refused(status) => return Outcome::Status(status),
            // Mapped before decoding: the path stays as the client escaped it.
            Found::Mapped if early => return Outcome::Done,
            Found::Mapped => return Outcome::Ok,
        }
    }
    Outcome::Declined
}

/// Captures of this thread, reused.
#[derive(Default)]
struct Scratch(RefCell<(Captures, Captures)>);

fn try_rule(ex: &mut Exchange, rule: &Rule, interpolates: bool) -> Found {
    if rule.interpolate && interpolates {
        let fake = interpolate(ex, &rule.fake);
        let real = interpolate(ex, &rule.real);
        return apply(ex, rule, &fake, &real);
    }
    apply(ex, rule, &rule.fake, &rule.real)
}

fn apply(ex: &mut Exchange, rule: &Rule, fake: &[u8], real: &[u8]) -> Found {
    if let Some(regex) = &rule.regex {
        let live = ex.live.clone();
        let scratch = live.local(Scratch::default);
        let (decoded, raw) = &mut *scratch.0.borrow_mut();
        if !regex.captures(&ex.uri, decoded) {
            return Found::Miss;
        }
        if real.is_empty() {
            return Found::Excluded;
        }
        // The raw path may be used only if it is matched, too.
        let use_raw = rule.nocanon && regex.captures(&ex.unparsed_uri, raw);
        if rule.nocanon && !use_raw {
            unsafe_nocanon(ex);
        }
        let (path, captures) = if use_raw { (&ex.unparsed_uri, &*raw) } else { (&ex.uri, &*decoded) };
        ex.filename.clear();
        substitute(real, path, captures, &mut ex.filename);
        if ex.filename == real {
            ex.filename.extend_from_slice(path);
        }
        return mapped(ex, rule, use_raw);
    }
    if rule.mapping == Mapping::Servlet {
        let Some((taken, path)) = servlet_match(&ex.uri, fake) else { return Found::Miss };
        if real.is_empty() {
            return Found::Excluded;
        }
        ex.filename.clear();
        ex.filename.extend_from_slice(real);
        ex.filename.extend_from_slice(ex.uri.get(taken..).unwrap_or_default());
        ex.uri = path;
        return mapped(ex, rule, false);
    }
    let taken = prefix_match(&ex.uri, fake);
    if taken == 0 {
        return Found::Miss;
    }
    if real.is_empty() {
        return Found::Excluded;
    }
    let use_raw = rule.nocanon && prefix_match(&ex.unparsed_uri, fake) == taken;
    if rule.nocanon && !use_raw {
        unsafe_nocanon(ex);
    }
    let path = if use_raw { &ex.unparsed_uri } else { &ex.uri };
    ex.filename.clear();
    ex.filename.extend_from_slice(real);
    ex.filename.extend_from_slice(path.get(taken..).unwrap_or_default());
    mapped(ex, rule, use_raw)
}

fn mapped(ex: &mut Exchange, rule: &Rule, raw: bool) -> Found {
    ex.handler.clear();
    ex.handler.extend_from_slice(b"proxy-server");
    ex.proxyreq = ProxyKind::Reverse;
    if raw {
        ex.notes.set(NOTE_NOCANON, b"1");
    } else if rule.mapping != Mapping::Decoded {
        ex.notes.set(NOTE_NOENCODE, b"1");
    }
    match take_socket(ex) {
        Ok(()) => Found::Mapped,
        Err(status) => Found::Refused(status),
    }
}

fn unsafe_nocanon(ex: &Exchange) {
    let text = "AH01136: Unescaped URL path matched ProxyPass; ignoring unsafe nocanon";
    logs::error!(ex, Level::Warn, "proxy", "{text}");
}

/// How many bytes of `uri` the path `rule` takes; 0 if it does not match. Runs of slashes are equal to each other, and
/// the match ends where a segment ends.
pub(super) fn prefix_match(uri: &[u8], rule: &[u8]) -> usize {
    let (mut at, mut i) = (0, 0);
    while i < rule.len() && at < uri.len() {
        if rule[i] == b'/' {
            if uri[at] != b'/' {
                return 0;
            }
            i += rule[i..].iter().take_while(|byte| **byte == b'/').count();
            at += uri[at..].iter().take_while(|byte| **byte == b'/').count();
        } else {
            if rule[i] != uri[at] {
                return 0;
            }
            (i, at) = (i + 1, at + 1);
        }
    }
    let whole = i == rule.len() && !rule.is_empty();
    let ends = rule.last() == Some(&b'/') || matches!(uri.get(at), None | Some(b'/'));
    if whole && ends { at } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_end_with_segments() {
        for (rule, uri, taken) in [
            ("/app", "/app", 4),
            ("/app", "/app/x", 4),
            ("/app", "/application", 0),
            ("/a/", "/a/x", 3),
            ("/a/", "/a", 0),
            ("/", "/x", 1),
            ("/a", "//a//x", 3),
            ("/a//b", "/a/b", 4),
            ("/App", "/app", 0),
            ("a", "/a", 0),
            ("", "/a", 0),
        ] {
            assert_eq!(prefix_match(uri.as_bytes(), rule.as_bytes()), taken, "{rule} {uri}");
        }
    }
}

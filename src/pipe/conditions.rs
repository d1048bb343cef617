//! Conditional requests and byte ranges (RFC 9110 sections 13 and 14), decided as httpd decides them.

use crate::base::clock::parse_http_date;
use crate::web::Exchange;

/// What one condition says of the response at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Condition {
    /// Not asked.
    None,
    /// It does not hold.
    NoMatch,
    /// It holds as far as one can tell.
    Weak,
    /// It holds.
    Strong,
}

/// Seconds within which a modification time does not tell two versions of a file apart.
const RECENT: i64 = 60;

/// Whether the request's conditions let the response in `headers_out` through: `None`, or 304 or 412 in its place.
/// Asked by handlers once their fields stand.
pub fn meets_conditions(ex: &Exchange) -> Option<u16> {
    if !(200..300).contains(&ex.status) || ex.headers_in.is_empty() || ex.response.renewed {
        return None;
    }
    if if_match(ex) == Condition::NoMatch {
        return Some(412);
    }
    let mut changed = match if_unmodified_since(ex) {
        Condition::Weak | Condition::Strong => return Some(412),
        condition => condition == Condition::NoMatch,
    };
    let mut same = false;
    let is_get = ex.method == b"GET" || ex.method == b"HEAD";
    match if_none_match(ex, is_get) {
        Condition::None => {}
        Condition::NoMatch => changed = true,
        Condition::Weak | Condition::Strong if is_get => same = true,
        Condition::Weak | Condition::Strong => return Some(412),
    }
    match if_modified_since(ex) {
        Condition::None => {}
        Condition::NoMatch => changed = true,
        Condition::Weak | Condition::Strong => same |= is_get,
    }
    changed |= if_range(ex) == Condition::NoMatch;
    (same && !changed).then_some(304)
}

/// Whether the client asks for another response than the one whose fields these are: a condition of the request does not
/// hold for it. Asked by who keeps responses; none is then answered with it.
pub fn needs_another(ex: &Exchange) -> bool {
    let is_get = ex.method == b"GET" || ex.method == b"HEAD";
    [if_match(ex), if_unmodified_since(ex), if_none_match(ex, is_get), if_modified_since(ex), if_range(ex)]
        .contains(&Condition::NoMatch)
}

fn if_match(ex: &Exchange) -> Condition {
    match ex.headers_in.get(b"If-Match") {
        None => Condition::None,
        Some(list) if list.first() == Some(&b'*') => Condition::Strong,
        Some(list) if ex.headers_out.get(b"ETag").is_some_and(|tag| in_list(list, tag, true)) => Condition::Strong,
        Some(_) => Condition::NoMatch,
    }
}

/// The strength of a statement about modification times made now.
fn by_age(ex: &Exchange, modified: i64) -> Condition {
    if now(ex) >= modified.saturating_add(RECENT) {
        Condition::Strong
    } else if ex.headers_in.contains(b"Range") {
        Condition::NoMatch
    } else {
        Condition::Weak
    }
}

fn if_unmodified_since(ex: &Exchange) -> Condition {
    let Some(text) = ex.headers_in.get(b"If-Unmodified-Since") else { return Condition::None };
    let modified = modified(ex);
    // The very first second is httpd's mark of a date that cannot be read.
    match parse_http_date(text).filter(|since| *since != 0) {
        None => Condition::NoMatch,
        Some(since) if modified > since => by_age(ex, modified),
        _ => Condition::NoMatch,
    }
}

fn if_none_match(ex: &Exchange, is_get: bool) -> Condition {
    let Some(list) = ex.headers_in.get(b"If-None-Match") else { return Condition::None };
    if list.first() == Some(&b'*') {
        return Condition::Strong;
    }
    let strong = !is_get || ex.headers_in.contains(b"Range");
    match ex.headers_out.get(b"ETag") {
        Some(tag) if in_list(list, tag, strong) => {
            if strong {
                Condition::Strong
            } else {
                Condition::Weak
            }
        }
        _ => Condition::NoMatch,
    }
}

fn if_modified_since(ex: &Exchange) -> Condition {
    let Some(text) = ex.headers_in.get(b"If-Modified-Since") else { return Condition::None };
    let modified = modified(ex);
    let since = parse_http_date(text).unwrap_or(0);
    if since < modified || since > now(ex) {
        return Condition::NoMatch;
    }
    by_age(ex, modified)
}

fn if_range(ex: &Exchange) -> Condition {
    let Some(text) = ex.headers_in.get(b"If-Range") else { return Condition::None };
    if !ex.headers_in.contains(b"Range") {
        return Condition::None;
    }
    let holds = if text.first() == Some(&b'"') {
        ex.headers_out.get(b"ETag") == Some(text)
    } else {
        let modified = modified(ex);
        parse_http_date(text) == Some(modified) && now(ex) >= modified.saturating_add(RECENT)
    };
    if holds { Condition::Strong } else { Condition::NoMatch }
}

/// When the response was made: its own date if it has one (a proxied response), else that of the request.
fn now(ex: &Exchange) -> i64 {
    ex.headers_out.get(b"Date").and_then(parse_http_date).unwrap_or_else(|| ex.started_micros.div_euclid(1_000_000))
}

fn modified(ex: &Exchange) -> i64 {
    let own = ex.headers_out.get(b"Last-Modified").and_then(parse_http_date);
    own.unwrap_or_else(|| ex.started_micros.div_euclid(1_000_000))
}

/// Whether an entity tag occurs in a list of them; compared strongly, weak tags equal nothing.
fn in_list(list: &[u8], tag: &[u8], strong: bool) -> bool {
    let opaque = |tag: &[u8]| -> Option<(bool, usize)> {
        // Whether it is weak, and where its quoted part starts.
        match tag {
            [b'W', b'/', b'"', ..] => Some((true, 2)),
            [b'"', ..] => Some((false, 0)),
            _ => None,
        }
    };
    let Some((weak, start)) = opaque(tag) else { return false };
    if strong && weak {
        return false;
    }
    let wanted = tag.get(start..).unwrap_or_default();
    let mut rest = list;
    while !rest.is_empty() {
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b',')).count();
        rest = rest.get(blanks..).unwrap_or_default();
        let Some((weak, start)) = opaque(rest) else {
            // Not an entity tag: up to the next comma.
            let end = memchr::memchr(b',', rest).unwrap_or(rest.len());
            rest = rest.get(end..).unwrap_or_default();
            continue;
        };
        let quoted = rest.get(start..).unwrap_or_default();
        let end = memchr::memchr(b'"', quoted.get(1..).unwrap_or_default()).map_or(quoted.len(), |at| at + 2);
        let (found, after) = quoted.split_at(end);
        if found == wanted && !(strong && weak) {
            return true;
        }
        rest = after;
    }
    false
}

/// `MaxRanges` and its sisters as numbers; `None` is no limit.
#[derive(Clone, Copy, Debug)]
pub struct RangeLimits {
    /// Ranges of one response.
    pub ranges: Option<u32>,
    /// Overlaps among them.
    pub overlaps: Option<u32>,
    /// Ranges that go back.
    pub reversals: Option<u32>,
}

/// What of a body of known length is to be sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Ranges {
    /// All of it.
    Whole,
    /// These parts, first and last byte each.
    Parts(Vec<(u64, u64)>),
    /// Nothing that was asked for is there: 416.
    Unsatisfiable,
}

/// The ranges this request asks for of a body of `length` bytes.
pub fn ranges(ex: &Exchange, length: u64, limits: RangeLimits) -> Ranges {
    if length == 0 || ex.assbackwards || ex.status != 200 {
        return Ranges::Whole;
    }
    let Some(text) = ex.headers_in.get(b"Range") else { return Ranges::Whole };
    if ex.headers_out.contains(b"Content-Range") || if_range(ex) == Condition::NoMatch {
        return Ranges::Whole;
    }
    match text.split_at_checked(6) {
        Some((unit, list)) if unit.eq_ignore_ascii_case(b"bytes=") => parts(list, length, limits),
        _ => Ranges::Whole,
    }
}

/// Digits only, as an offset of a file.
fn offset(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    text.parse::<u64>().ok().filter(|value| i64::try_from(*value).is_ok())
}

/// The parts behind `bytes=`. Neighbours and overlaps are joined with the part in front of them; anything malformed
/// makes the whole list void.
fn parts(list: &[u8], length: u64, limits: RangeLimits) -> Ranges {
    let mut parts: Vec<(u64, u64)> = Vec::new();
    let mut open: Option<(u64, u64)> = None;
    let (mut overlaps, mut reversals, mut unsatisfiable) = (0u32, 0u32, false);
    for spec in list.split(|byte| *byte == b',') {
        if spec.is_empty() {
            break;
        }
        let Some(dash) = memchr::memchr(b'-', spec) else { return Ranges::Whole };
        let (first, last) = (&spec[..dash], &spec[dash + 1..]);
        let (start, end) = if first.is_empty() {
            match offset(last) {
                Some(count) if count > 0 => (length.saturating_sub(count), length - 1),
                _ => return Ranges::Whole,
            }
        } else {
            let Some(start) = offset(first) else { return Ranges::Whole };
            let end = if last.is_empty() { Some(length - 1) } else { offset(last).filter(|end| *end >= start) };
            let Some(end) = end else { return Ranges::Whole };
            (start, end)
        };
        if start >= length {
            unsatisfiable = true;
            continue;
        }
        let end = end.min(length - 1);
        let Some((mut from, mut to)) = open else {
            open = Some((start, end));
            continue;
        };
        let mut joined = start >= from && end <= to;
        if start < from && end.saturating_add(1) >= from {
            from = start;
            reversals += 1;
            joined = true;
        }
        if end >= to && start <= to.saturating_add(1) {
            to = end;
            joined = true;
        }
        if joined {
            overlaps += 1;
            open = Some((from, to));
        } else {
            parts.push((from, to));
            open = Some((start, end));
        }
    }
    match open {
        Some(last) => parts.push(last),
        None if unsatisfiable => return Ranges::Unsatisfiable,
        None => return Ranges::Whole,
    }
    let sum: u64 = parts.iter().map(|(from, to)| to - from + 1).fold(0, u64::saturating_add);
    let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
    let within = |value: u32, limit: Option<u32>| limit.is_none_or(|limit| value <= limit);
    let good = sum <= length
        && within(count, limits.ranges)
        && within(overlaps, limits.overlaps)
        && within(reversals, limits.reversals);
    if good { Ranges::Parts(parts) } else { Ranges::Whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: RangeLimits = RangeLimits { ranges: Some(200), overlaps: Some(20), reversals: Some(20) };

    /// Each line is as httpd 2.4.71 answers for a file of 100 bytes.
    #[test]
    fn ranges_are_joined_refused_and_counted() {
        let some = |list: &[(u64, u64)]| Ranges::Parts(list.to_vec());
        for (text, want) in [
            ("0-", some(&[(0, 99)])),
            ("0-9", some(&[(0, 9)])),
            ("-5", some(&[(95, 99)])),
            ("-500", some(&[(0, 99)])),
            ("0-0,-1", some(&[(0, 0), (99, 99)])),
            ("10-20,15-30", some(&[(10, 30)])),
            ("0-9,10-19", some(&[(0, 19)])),
            ("20-29,0-9", some(&[(20, 29), (0, 9)])),
            ("0-9,20-29,5-8", some(&[(0, 9), (20, 29), (5, 8)])),
            ("0-99,0-99", some(&[(0, 99)])),
            ("500-,0-0", some(&[(0, 0)])),
            ("500-", Ranges::Unsatisfiable),
            ("0-60,70-80,10-70", Ranges::Whole),
            ("5-2", Ranges::Whole),
            ("-0", Ranges::Whole),
            ("a-b", Ranges::Whole),
            ("", Ranges::Whole),
            (" 0-1", Ranges::Whole),
            ("1-2, 5-6", Ranges::Whole),
            ("0-1,", some(&[(0, 1)])),
            (",0-1", Ranges::Whole),
            ("+5-6", Ranges::Whole),
            ("5--6", Ranges::Whole),
            ("99999999999999999999-", Ranges::Whole),
        ] {
            assert_eq!(parts(text.as_bytes(), 100, FREE), want, "{text}");
        }
    }

    #[test]
    fn limits_give_the_whole_file() {
        let two = RangeLimits { ranges: Some(2), ..FREE };
        assert_eq!(parts(b"0-1,5-6,9-10", 100, two), Ranges::Whole);
        assert!(matches!(parts(b"0-1,5-6", 100, two), Ranges::Parts(_)));
        let one = RangeLimits { overlaps: Some(1), ..FREE };
        assert_eq!(parts(b"0-5,3-7,6-9", 100, one), Ranges::Whole);
        let none = RangeLimits { reversals: Some(0), ..FREE };
        assert_eq!(parts(b"20-29,15-22,0-1", 100, none), Ranges::Whole);
        let free = RangeLimits { reversals: None, ..none };
        assert!(matches!(parts(b"20-29,15-22,0-1", 100, free), Ranges::Parts(_)));
    }

    #[test]
    fn tags_are_found_in_lists() {
        assert!(in_list(b"\"a\"", b"\"a\"", true));
        assert!(in_list(b"\"b\", \"a\"", b"\"a\"", true));
        assert!(in_list(b"W/\"a\"", b"\"a\"", false));
        assert!(!in_list(b"W/\"a\"", b"\"a\"", true));
        assert!(!in_list(b"\"a\"", b"W/\"a\"", true));
        assert!(in_list(b"x, \"a,b\"", b"\"a,b\"", true));
        assert!(!in_list(b"\"a", b"\"a\"", true));
        assert!(!in_list(b"", b"\"a\"", false));
    }
}

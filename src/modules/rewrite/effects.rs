//! What a rule does to a request besides its new name: environment, cookies, query, and the absolute URL.

use super::context::push_server_url;
use super::rule::{Rule, flag};
use crate::base::clock::{Clock as _, SystemClock};
use crate::web::Exchange;

/// The schemes that make a substitution an absolute URL, and whether a query may follow.
const SCHEMES: &[(&[u8], bool)] = &[
    (b"ajp://", true),
    (b"balancer://", true),
    (b"fcgi://", true),
    (b"ftp://", false),
    (b"gopher://", false),
    (b"h2://", true),
    (b"h2c://", true),
    (b"http://", true),
    (b"https://", true),
    (b"ldap://", false),
    (b"mailto:", false),
    (b"news:", false),
    (b"nntp://", false),
    (b"scgi://", true),
    (b"unix:", true),
    (b"uwsgi://", true),
    (b"ws://", true),
    (b"wss://", true),
];

/// Length of the scheme if this is an absolute URL, and whether a query may follow.
pub(super) fn absolute(text: &[u8]) -> Option<(usize, bool)> {
    // Mostly it is a path.
    if text.first() == Some(&b'/') {
        return None;
    }
    let found = SCHEMES
        .iter()
        .find(|(scheme, _)| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))?;
    Some((found.0.len(), found.1))
}

/// As C's atoi.
pub(super) fn integer(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let value = digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0i64, |sum, digit| sum.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    if negative { -value } else { value }
}

pub(super) fn set_env(ex: &mut Exchange, text: &[u8]) {
    if let Some(name) = text.strip_prefix(b"!") {
        ex.env.unset(name);
        return;
    }
    let (name, value) = match memchr::memchr(b':', text) {
        Some(colon) => (&text[..colon], &text[colon + 1..]),
        None => (text, &b""[..]),
    };
    ex.env.set(name, value);
}

/// `name:value:domain[:minutes[:path[:secure[:httponly[:samesite]]]]]`; a `;` in front makes `;` the separator.
pub(super) fn set_cookie(ex: &mut Exchange, text: &[u8]) {
    let (separator, text) = match text {
        [b';', rest @ ..] => (b';', rest),
        _ => (b':', text),
    };
    let mut words = text.split(|byte| *byte == separator);
    let (Some(name), Some(value), Some(domain)) = (words.next(), words.next(), words.next()) else { return };
    if name.is_empty() || domain.is_empty() {
        return;
    }
    let note = [name, b"_rewrite"].concat();
    if ex.notes.contains(&note) {
        return;
    }
    let minutes = words.next().map_or(0, integer);
    let path = words.next().filter(|path| !path.is_empty()).unwrap_or(b"/");
    let on = |word: Option<&[u8]>, name: &[u8]| {
        word.is_some_and(|word| word.eq_ignore_ascii_case(b"true") || word == b"1" || word.eq_ignore_ascii_case(name))
    };
    let secure = on(words.next(), b"secure");
    let http_only = on(words.next(), b"HttpOnly");
    let same_site =
        words.next().filter(|word| !word.is_empty() && *word != b"0" && !word.eq_ignore_ascii_case(b"false"));
    let mut cookie = [name, b"=", value, b"; path=", path, b"; domain=", domain].concat();
    if minutes != 0 {
        cookie.extend_from_slice(b"; expires=");
        let wall = SystemClock.wall().saturating_add(minutes.saturating_mul(60_000_000));
        let mut date = Vec::new();
        crate::base::clock::push_http_date(&mut date, wall);
        // The old cookie specification has dashes in it.
        for at in [7, 11] {
            if let Some(blank) = date.get_mut(at) {
                *blank = b'-';
            }
        }
        cookie.extend_from_slice(&date);
    }
    if secure {
        cookie.extend_from_slice(b"; secure");
    }
    if http_only {
        cookie.extend_from_slice(b"; HttpOnly");
    }
    if let Some(same_site) = same_site {
        cookie.extend_from_slice(b"; SameSite=");
        cookie.extend_from_slice(same_site);
    }
    ex.err_headers_out.add(b"Set-Cookie", &cookie);
    ex.notes.set(&note, b"1");
}

/// Takes the query out of the new name.
pub(super) fn split_query(ex: &mut Exchange, rule: &Rule) {
    if absolute(&ex.filename).is_some_and(|(_, query)| !query) {
        ex.args = None;
        return;
    }
    if rule.has(flag::QUERY_DISCARD) {
        ex.args = None;
    }
    let mark = if rule.has(flag::QUERY_LAST) {
        memchr::memrchr(b'?', &ex.filename)
    } else {
        memchr::memchr(b'?', &ex.filename)
    };
    let Some(mark) = mark else { return };
    let mut query = ex.filename.split_off(mark + 1);
    ex.filename.pop();
    if rule.has(flag::QUERY_APPEND)
        && let Some(old) = ex.args.take().filter(|old| !old.is_empty())
    {
        if !query.is_empty() {
            query.push(b'&');
        }
        query.extend_from_slice(&old);
    }
    if query.last() == Some(&b'&') {
        query.pop();
    }
    ex.args = Some(query).filter(|query| !query.is_empty());
}

/// Makes a path an absolute URL of this server.
pub(super) fn qualify(ex: &mut Exchange) {
    if absolute(&ex.filename).is_some() {
        return;
    }
    let name = std::mem::take(&mut ex.filename);
    let mut url = Vec::with_capacity(name.len() + 64);
    push_server_url(ex, &mut url);
    if name.first() != Some(&b'/') {
        url.push(b'/');
    }
    url.extend_from_slice(&name);
    ex.filename = url;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_urls_are_told_by_their_scheme() {
        assert_eq!(absolute(b"HTTP://x"), Some((7, true)));
        assert_eq!(absolute(b"mailto:a@b"), Some((7, false)));
        assert_eq!(absolute(b"//x"), None);
        assert_eq!(absolute(b"/http://x"), None);
    }

    #[test]
    fn numbers_are_read_as_far_as_they_go() {
        assert_eq!((integer(b" 12x"), integer(b"-3"), integer(b"x"), integer(b"")), (12, -3, 0, 0));
    }
}

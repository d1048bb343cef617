//! Sticky sessions: the route that a request names in its URL or in a cookie.

use memchr::memmem;

use super::spec::Sticky;

/// What a request says of its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Session<'a> {
    /// The name under which it was found.
    pub(super) name: &'a [u8],
    /// The route; may be empty.
    pub(super) route: &'a [u8],
}

/// The session in `url` (path or query), else in the Cookie field; `None` without a route.
pub(super) fn session<'a>(sticky: &'a Sticky, url: &'a [u8], cookies: Option<&'a [u8]>) -> Option<Session<'a>> {
    let (name, value) = match in_url(url, &sticky.param, sticky.semicolon_ends) {
        Some(value) => (&sticky.param, value),
        None => (&sticky.cookie, in_cookies(cookies?, &sticky.cookie)?),
    };
    let route = match sticky.separator {
        Some(separator) => value.get(memchr::memchr(separator, value)? + 1..).unwrap_or_default(),
        None => value,
    };
    Some(Session { name, route })
}

/// `name=value` anywhere; the value ends at `?`, `&`, and `;` if asked for, which are skipped in front of it.
fn in_url<'a>(url: &'a [u8], name: &[u8], semicolon: bool) -> Option<&'a [u8]> {
    if name.is_empty() {
        return None;
    }
    let ends = |c: &u8| matches!(c, b'?' | b'&') || (semicolon && *c == b';');
    let mut from = 0;
    while let Some(at) = memmem::find(url.get(from..)?, name) {
        let after = url.get(from + at + name.len()..).unwrap_or_default();
        if let Some(value) = after.strip_prefix(b"=").filter(|value| !value.is_empty()) {
            let value = value.get(value.iter().take_while(|c| ends(c)).count()..).unwrap_or_default();
            let end = value.iter().position(ends).unwrap_or(value.len());
            return value.get(..end).filter(|value| !value.is_empty());
        }
        from += at + 1;
    }
    None
}

/// A cookie: preceded by nothing, `;`, `,` or a space, spaces before its `=`, ended by `;` or `,`.
fn in_cookies<'a>(cookies: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    if name.is_empty() {
        return None;
    }
    let space = |c: &u8| matches!(c, b' ' | b'\t' | 0x0b | 0x0c | b'\r' | b'\n');
    let mut from = 0;
    while let Some(at) = memmem::find(cookies.get(from..)?, name) {
        let start = from + at;
        let before = start.checked_sub(1).and_then(|at| cookies.get(at));
        if before.is_none_or(|c| matches!(c, b';' | b',') || space(c)) {
            let after = cookies.get(start + name.len()..).unwrap_or_default();
            let after = after.get(after.iter().take_while(|c| space(c)).count()..).unwrap_or_default();
            if let Some(value) = after.strip_prefix(b"=").filter(|value| !value.is_empty()) {
                return value.split(|c| matches!(c, b';' | b',')).next();
            }
        }
        from = start + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sticky(separator: Option<u8>, semicolon_ends: bool) -> Sticky {
        Sticky { cookie: b"SID".to_vec(), param: b"sid".to_vec(), separator, semicolon_ends }
    }

    fn route(url: &str, cookie: &str) -> Option<String> {
        route_with(&sticky(Some(b'.'), false), url, cookie)
    }

    fn route_with(sticky: &Sticky, url: &str, cookie: &str) -> Option<String> {
        let found = session(sticky, url.as_bytes(), Some(cookie.as_bytes()))?;
        Some(String::from_utf8_lossy(found.route).into_owned())
    }

    #[test]
    fn urls_are_searched_plainly() {
        let some = |route: &str| Some(route.to_owned());
        assert_eq!(route("/a;sid=x.r2", ""), some("r2"));
        assert_eq!(route("/a?XXsid=x.r2&b=1", ""), some("r2"));
        assert_eq!(route("/a;sid=x.r2/b?c", ""), some("r2/b"));
        assert_eq!(route("/a;sid=x.r2;z=1", ""), some("r2;z=1"));
        assert_eq!(route_with(&sticky(Some(b'.'), true), "/a;sid=x.r2;z=1", ""), some("r2"));
        assert_eq!(route("/a?sid=a.b.r3", ""), some("b.r3"));
        assert_eq!(route("/a?sid=x%2Er3", ""), None);
        assert_eq!(route("/a?sid=.r3", ""), some("r3"));
        assert_eq!(route("/a?sid=x.", ""), some(""));
        assert_eq!(route("/a?sid", "SID=c.r1"), some("r1"));
        assert_eq!(route("/a?sid=", "SID=c.r1"), some("r1"));
        assert_eq!(route("/a?sid=x", "SID=c.r1"), None, "a session without route in the URL hides the cookie");
        assert_eq!(route("/a?sid=x.r2", "SID=c.r1"), some("r2"));
        assert_eq!(route_with(&sticky(None, false), "/a?sid=x.r2", ""), some("x.r2"));
    }

    #[test]
    fn cookies_are_searched_as_httpd_does() {
        let some = |route: &str| Some(route.to_owned());
        assert_eq!(route("/", "a=1; SID=x.r1; b=2"), some("r1"));
        assert_eq!(route("/", "a=1;SID=x.r1"), some("r1"));
        assert_eq!(route("/", "a=1,SID  =x.r1,c=2"), some("r1"));
        assert_eq!(route("/", "XSID=x.r1"), None);
        assert_eq!(route("/", "XSID=x.r1; SID=y.r2"), some("r2"));
        assert_eq!(route("/", "sid=x.r1"), None);
        assert_eq!(route("/", "SID=\"x.r1\""), some("r1\""));
        assert_eq!(route("/", "SID="), None);
        assert_eq!(route("/", "SID=x"), None);
    }

    proptest! {
        /// Whatever comes, a route found is a part of what was searched.
        #[test]
        fn nothing_breaks_it(url in "[a-z=;&?./]{0,40}(sid=)?[a-z.;?&/=]{0,12}", cookie in "[SID=;, .a-z\"]{0,40}") {
            if let Some(found) = session(&sticky(Some(b'.'), true), url.as_bytes(), Some(cookie.as_bytes())) {
                let text = if found.name == b"sid" { &url } else { &cookie };
                prop_assert!(found.route.is_empty() || memmem::find(text.as_bytes(), found.route).is_some());
            }
        }
    }
}

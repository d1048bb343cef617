//! What a request asks for, and whether the `uri` of its field says the same.

use crate::pipe::names;
use crate::web::Exchange;

/// The target of the client's own request, before any internal redirect.
pub(super) fn target(ex: &Exchange) -> &[u8] {
    ex.the_request.split(|byte| *byte == b' ').nth(1).unwrap_or(b"")
}

/// A target cut into its parts, host and port only of an absolute one.
#[derive(PartialEq, Eq)]
struct Parts {
    host: Option<Vec<u8>>,
    port: Option<u16>,
    path: Vec<u8>,
    query: Option<Vec<u8>>,
}

impl Parts {
    fn read(target: &[u8]) -> Self {
        let target = &target[..memchr::memchr(b'#', target).unwrap_or(target.len())];
        let scheme =
            memchr::memmem::find(target, b"://").filter(|at| target[..*at].iter().all(u8::is_ascii_alphabetic));
        let (authority, rest) = match scheme.filter(|at| *at > 0) {
            Some(at) => {
                let rest = &target[at + 3..];
                let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
                (Some(&rest[..end]), &rest[end..])
            }
            None => (None, target),
        };
        let (path, query) = match memchr::memchr(b'?', rest) {
            Some(at) => (&rest[..at], Some(unescape(&rest[at + 1..]))),
            None => (rest, None),
        };
        let authority = authority.map(|text| text.rsplit(|byte| *byte == b'@').next().unwrap_or_default());
        let colon = authority.and_then(|text| memchr::memrchr(b':', text).filter(|_| !text.ends_with(b"]")));
        let port = authority.zip(colon).and_then(|(text, at)| std::str::from_utf8(&text[at + 1..]).ok()?.parse().ok());
        let host = authority.map(|text| unescape(&text[..colon.unwrap_or(text.len())]));
        Self { host: host.filter(|host| !host.is_empty()), port, path: unescape(path), query }
    }
}

/// Escapes read, what is none left as it is.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, behind)) = rest.split_first() {
        match (byte, crate::base::path::escaped_byte(rest)) {
            (b'%', Some(decoded)) => {
                out.push(decoded);
                rest = &rest[3..];
            }
            _ => {
                out.push(*byte);
                rest = behind;
            }
        }
    }
    out
}

/// Whether the `uri` of the field is what the request asks for.
pub(super) fn is_same_resource(ex: &Exchange, uri: &[u8]) -> bool {
    let asked = target(ex);
    if uri == asked {
        return true;
    }
    if ex.method == b"CONNECT" {
        return false;
    }
    let (given, own) = (Parts::read(uri), Parts::read(asked));
    let host = own.host.as_deref().unwrap_or_else(|| names::server_name(ex));
    let port = own.port.unwrap_or_else(|| names::server_port(ex));
    let same_host = given.host.as_deref().is_none_or(|given| given.eq_ignore_ascii_case(host));
    // Without a port it is the scheme's own.
    let same_port = match (given.port, &given.host) {
        (Some(given), _) => given == port,
        (None, Some(_)) => port == names::default_port(ex),
        (None, None) => true,
    };
    let any = given.path == b"*" && own.path.is_empty() && own.host.is_some();
    same_host && same_port && (given.path == own.path || any) && given.query == own.query
}

#[cfg(test)]
mod tests {
    use super::Parts;

    #[test]
    fn targets_are_cut() {
        let parts = Parts::read(b"http://u@A.test:81/x%41?q%20#f");
        assert_eq!((parts.host.as_deref(), parts.port, &*parts.path), (Some(&b"A.test"[..]), Some(81), &b"/xA"[..]));
        assert_eq!(parts.query.as_deref(), Some(&b"q "[..]));
        assert_eq!(Parts::read(b"/a://b").path, b"/a://b");
    }
}

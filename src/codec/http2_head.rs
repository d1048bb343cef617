//! A request's head in HTTP/2: what of it becomes the head of a request like all others (RFC 9113 section 8.3).

use http::{HeaderMap, Method, Uri, header};

use super::http1::Limits;
use super::http1::write::push_cased;

/// Why a head is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadFault<'a> {
    /// It is no request (section 8.1.1).
    #[error("malformed")]
    Malformed,
    /// The target is longer than LimitRequestLine allows.
    #[error("the target is too long")]
    Target,
    /// There are more fields than LimitRequestFields allows.
    #[error("there are too many fields")]
    Fields,
    /// A field of this name is longer than LimitRequestFieldSize allows.
    #[error("field {0} is too long")]
    Field(&'a str),
}

/// What a request is for: `:path`, or of CONNECT `:authority`.
pub fn target(uri: &Uri) -> &[u8] {
    let authority = || uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
    uri.path_and_query().map_or_else(authority, |target| target.as_str()).as_bytes()
}

/// Appends the target as a request line shows it. `absolute`: with scheme and host, as a proxy is asked; what is of
/// neither of HTTP's schemes is always shown so.
pub fn push_line_target(uri: &Uri, absolute: bool, out: &mut Vec<u8>) {
    if let (Some(scheme), Some(authority), Some(_)) = (uri.scheme_str(), uri.authority(), uri.path_and_query())
        && (absolute || !matches!(scheme, "http" | "https"))
    {
        for part in [scheme, "://", authority.as_str()] {
            out.extend_from_slice(part.as_bytes());
        }
    }
    out.extend_from_slice(target(uri));
}

/// The host that a request is for: `:authority`, or the field of old.
///
/// # Errors
/// There is none, the target is of no form that a server is asked for, or it is too long.
pub fn host<'a>(
    method: &Method,
    uri: &'a Uri,
    fields: &'a HeaderMap,
    limits: &Limits,
) -> Result<&'a [u8], HeadFault<'a>> {
    let target = target(uri);
    if limits.line > 0 && target.len() > limits.line {
        return Err(HeadFault::Target);
    }
    let authority = uri.authority().map(|authority| authority.as_str().as_bytes());
    let named = || fields.get(header::HOST).map(http::HeaderValue::as_bytes);
    let host = authority.or_else(named).ok_or(HeadFault::Malformed)?;
    let path = *method == Method::CONNECT || matches!(target.first(), Some(b'/' | b'*'));
    if !path || (target.starts_with(b"*") && target != b"*") {
        return Err(HeadFault::Malformed);
    }
    Ok(host)
}

/// Gives the fields to `add`, with the names as HTTP/1 writes them, and the crumbs of cookies (section 8.2.3) as one.
///
/// # Errors
/// There are too many, or one is too long; those in front of it have been given.
pub fn fields<'a>(
    fields: &'a HeaderMap,
    limits: &Limits,
    mut add: impl FnMut(&[u8], &[u8]),
) -> Result<(), HeadFault<'a>> {
    if limits.fields > 0 && fields.len() > limits.fields {
        return Err(HeadFault::Fields);
    }
    let fits = |name: &'a str, len: usize| {
        if limits.field_size == 0 || len <= limits.field_size { Ok(()) } else { Err(HeadFault::Field(name)) }
    };
    let mut cookies = Vec::new();
    let mut cased = Vec::with_capacity(64);
    for (name, value) in fields {
        let value = value.as_bytes();
        if *name == header::HOST {
            continue;
        }
        if *name == header::COOKIE {
            if !cookies.is_empty() {
                cookies.extend_from_slice(b"; ");
            }
            cookies.extend_from_slice(value);
            fits(name.as_str(), cookies.len())?;
            continue;
        }
        fits(name.as_str(), value.len())?;
        cased.clear();
        push_cased(name.as_str().as_bytes(), &mut cased);
        add(&cased, value);
    }
    if !cookies.is_empty() {
        add(b"Cookie", &cookies);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host_of(method: &str, uri: &str, limits: &Limits) -> Result<Vec<u8>, String> {
        let (method, uri): (Method, Uri) = (method.parse().unwrap(), uri.parse().unwrap());
        let none = HeaderMap::new();
        host(&method, &uri, &none, limits).map(<[u8]>::to_vec).map_err(|fault| fault.to_string())
    }

    #[test]
    fn targets_and_hosts() {
        let limits = Limits { line: 10, ..Limits::default() };
        assert_eq!(host_of("GET", "https://a.test/x?y", &limits), Ok(b"a.test".to_vec()));
        assert_eq!(host_of("CONNECT", "a.test:443", &limits), Ok(b"a.test:443".to_vec()));
        assert_eq!(host_of("GET", "/x", &limits), Err("malformed".to_owned()));
        assert_eq!(host_of("GET", "https://a.test/12345678901", &limits), Err("the target is too long".to_owned()));
    }

    #[test]
    fn request_lines_may_name_the_host() {
        let shown = |uri: &str, absolute| {
            let mut out = Vec::new();
            push_line_target(&uri.parse().unwrap(), absolute, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(shown("https://a.test/x?y", false), "/x?y");
        assert_eq!(shown("https://a.test/x?y", true), "https://a.test/x?y");
        assert_eq!(shown("ftp://a.test:1/x", false), "ftp://a.test:1/x");
        assert_eq!(shown("a.test:443", true), "a.test:443");
    }

    #[test]
    fn crumbs_are_one_cookie_and_count_together() {
        let mut map = HeaderMap::new();
        for (name, value) in [("cookie", "a=1"), ("x-y", "z"), ("cookie", "b=2"), ("host", "h")] {
            map.append(name, value.parse().unwrap());
        }
        let mut seen = Vec::new();
        let add = |name: &[u8], value: &[u8]| seen.push([name, b": ", value].concat());
        assert_eq!(fields(&map, &Limits { field_size: 8, ..Limits::default() }, add), Ok(()));
        assert_eq!(seen, [b"X-Y: z".to_vec(), b"Cookie: a=1; b=2".to_vec()]);
        let limits = Limits { field_size: 7, ..Limits::default() };
        assert_eq!(fields(&map, &limits, |_, _| ()), Err(HeadFault::Field("cookie")));
        assert_eq!(fields(&map, &Limits { fields: 3, ..Limits::default() }, |_, _| ()), Err(HeadFault::Fields));
    }
}

//! Under what a response is kept: the URL that asks for it.

use md5::{Digest as _, Md5};

use super::conf::{BaseUrl, CacheServer};
use crate::pipe::names;
use crate::web::{Exchange, ProxyKind};

/// The path that counts: as it came where nothing was mapped yet, else the one that the mapping led to.
pub fn path(ex: &Exchange, early: bool) -> &[u8] {
    if ex.proxyreq == ProxyKind::Forward {
        let url = ex.unparsed_uri.as_slice();
        let rest = memchr::memmem::find(url, b"://").and_then(|at| url.get(at + 3..)).unwrap_or(url);
        let end = rest.iter().position(|byte| b"?#".contains(byte)).unwrap_or(rest.len());
        let rest = rest.get(..end).unwrap_or_default();
        return memchr::memchr(b'/', rest).and_then(|at| rest.get(at..)).unwrap_or(b"/");
    }
    let path = ex.uri.as_slice();
    if !early {
        return path;
    }
    let slashes = path.iter().take_while(|byte| **byte == b'/').count();
    path.get(slashes.saturating_sub(1)..).unwrap_or_default()
}

/// The query that counts: that of the client where nothing was mapped yet, else the one that the mapping left.
pub fn query(ex: &Exchange, early: bool) -> Option<&[u8]> {
    if !early {
        return ex.args.as_deref();
    }
    let at = memchr::memchr(b'?', &ex.unparsed_uri)?;
    let rest = ex.unparsed_uri.get(at + 1..).unwrap_or_default();
    rest.get(..memchr::memchr(b'#', rest).unwrap_or(rest.len()))
}

/// The key of the request.
pub fn of(ex: &Exchange, conf: &CacheServer, early: bool) -> Vec<u8> {
    let mut key = Vec::with_capacity(ex.uri.len() + 64);
    push_origin(ex, conf, &mut key);
    let (mut path, mut query) = (path(ex, early).to_vec(), query(ex, early).unwrap_or_default().to_vec());
    for name in conf.ignore_session_ids.iter().flatten() {
        drop_session(name, &mut path, &mut query);
    }
    key.extend_from_slice(&path);
    key.push(b'?');
    if conf.ignore_query != Some(true) {
        key.extend_from_slice(&query);
    }
    key
}

/// Scheme, host and port.
fn push_origin(ex: &Exchange, conf: &CacheServer, key: &mut Vec<u8>) {
    if ex.proxyreq == ProxyKind::Forward {
        let scheme = ex.target_scheme.to_ascii_lowercase();
        let authority = ex.target_authority.to_ascii_lowercase();
        let host = authority.rsplit(|byte| *byte == b'@').next().unwrap_or_default();
        let port: &[u8] = if scheme == b"https" { b":443" } else { b":80" };
        let has_port =
            memchr::memrchr(b':', host).is_some_and(|at| !host.get(at..).unwrap_or_default().contains(&b']'));
        let port = if has_port { b"" } else { port };
        key.extend_from_slice(&[&scheme, b"://".as_slice(), host, port].concat());
        return;
    }
    let none = BaseUrl::default();
    let base = conf.base_url.as_ref().unwrap_or(&none);
    key.extend_from_slice(base.scheme.as_deref().unwrap_or_else(|| names::scheme(ex)));
    key.extend_from_slice(b"://");
    key.extend_from_slice(base.host.as_deref().unwrap_or_else(|| names::server_name(ex)));
    match (&base.port, &base.host) {
        (Some(port), _) => {
            key.push(b':');
            key.extend_from_slice(port);
        }
        (None, Some(_)) => {}
        (None, None) => key.extend_from_slice(format!(":{}", names::server_port(ex)).as_bytes()),
    }
}

/// Takes a session's id off the end of the path, or out of the query.
fn drop_session(name: &[u8], path: &mut Vec<u8>, query: &mut Vec<u8>) {
    if let Some(at) = memchr::memrchr(b';', path)
        && let Some(value) = path.get(at + 1..).and_then(|rest| rest.strip_prefix(name)?.strip_prefix(b"="))
        && !value.contains(&b'/')
    {
        path.truncate(at);
        return;
    }
    let begins =
        |at: usize| query.get(at..).and_then(|rest| rest.strip_prefix(name)).is_some_and(|rest| rest.starts_with(b"="));
    let separators = memchr::memchr_iter(b'&', query).map(|at| at + 1);
    let Some(start) = std::iter::once(0).chain(separators).find(|at| begins(*at)) else { return };
    let rest = query.get(start..).unwrap_or_default();
    match memchr::memchr(b'&', rest) {
        Some(end) => {
            query.drain(start..=start + end);
        }
        // The last one takes the separator before it along.
        None => query.truncate(start.saturating_sub(1)),
    }
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_@";

/// The name of a key's files: 22 characters of its digest, the first `levels` times `length` of them as folders.
pub fn file_name(key: &[u8], levels: usize, length: usize) -> String {
    let digest = Md5::digest(key);
    let mut letters = String::with_capacity(22);
    let letter = |bits: u32| char::from(LETTERS[(bits & 63) as usize]);
    for three in digest.chunks(3) {
        match *three {
            [a, b, c] => {
                let bits = u32::from(a) << 16 | u32::from(b) << 8 | u32::from(c);
                letters.extend([18, 12, 6, 0].map(|shift| letter(bits >> shift)));
            }
            [a, ..] => letters.extend([letter(u32::from(a) >> 2), letter(u32::from(a) << 4)]),
            [] => {}
        }
    }
    let mut name = String::with_capacity(22 + levels);
    for (at, letter) in letters.chars().enumerate() {
        if at > 0 && at % length.max(1) == 0 && at / length.max(1) <= levels {
            name.push('/');
        }
        name.push(letter);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As httpd names its files.
    #[test]
    fn names_are_httpds() {
        let key = b"http://127.0.0.1:8971/a.txt?";
        assert_eq!(file_name(key, 2, 2), "oP/Xl/QKeyJmmcRX_XhtjmuQ");
        assert_eq!(file_name(key, 3, 1), "o/P/X/lQKeyJmmcRX_XhtjmuQ");
        assert_eq!(file_name(key, 0, 0), "oPXlQKeyJmmcRX_XhtjmuQ");
        assert_eq!(file_name(b"x-lqhttp://127.0.0.1:8971/a.txt?", 2, 2), "@g/bA/1tCz57zMVNcxShz1Jg");
    }

    #[test]
    fn sessions_are_left_out() {
        for (path, query, want) in [
            ("/a;sid=1", "", "/a?"),
            ("/a;sid=1/b", "", "/a;sid=1/b?"),
            ("/a", "sid=1", "/a?"),
            ("/a", "sid=1&b=2", "/a?b=2"),
            ("/a", "b=2&sid=1", "/a?b=2"),
            ("/a", "b=2&sid=1&c=3", "/a?b=2&c=3"),
            ("/a", "xsid=1&sidx=2", "/a?xsid=1&sidx=2"),
        ] {
            let (mut own, mut left) = (path.as_bytes().to_vec(), query.as_bytes().to_vec());
            drop_session(b"sid", &mut own, &mut left);
            assert_eq!([own.as_slice(), b"?", &left].concat(), want.as_bytes(), "{path}?{query}");
        }
    }
}

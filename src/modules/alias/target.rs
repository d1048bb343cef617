//! Redirect targets taken apart and put together again.

use crate::base::path::escape_path;

/// Whether a text starts with a scheme and a colon.
pub(super) fn is_url(text: &[u8]) -> bool {
    let scheme = text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)).count();
    scheme > 0 && text.get(scheme) == Some(&b':')
}

/// The port that a scheme's URLs leave out.
fn default_port(scheme: &[u8]) -> Option<u16> {
    Some(match scheme.to_ascii_lowercase().as_slice() {
        b"http" => 80,
        b"https" => 443,
        b"ftp" => 21,
        b"ssh" => 22,
        b"telnet" => 23,
        b"gopher" => 70,
        b"pop" => 110,
        b"nntp" => 119,
        b"imap" => 143,
        b"prospero" => 191,
        b"wais" | b"z39.50r" | b"z39.50s" => 210,
        b"ldap" => 389,
        b"rtsp" => 554,
        b"snews" => 563,
        b"acap" => 674,
        b"nfs" => 2049,
        b"tip" => 3372,
        b"sip" => 5060,
        _ => return None,
    })
}

/// The target with everything in front of its query escaped. A default port is left out, a password masked, and what
/// follows a port that is no number is lost, all as httpd does.
pub(super) fn escaped(target: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(target.len());
    let mut rest = target;
    if let Some((scheme, after)) = split_scheme(target) {
        let end = after.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(after.len());
        let (authority, path) = after.split_at(end);
        plain.extend_from_slice(scheme);
        plain.extend_from_slice(b"://");
        rest = if push_authority(scheme, authority, &mut plain) { path } else { b"" };
    }
    let path = rest.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(rest.len());
    let (path, rest) = rest.split_at(path);
    plain.extend_from_slice(path);
    let mut out = Vec::with_capacity(target.len() + 16);
    escape_path(&plain, &mut out);
    out.extend_from_slice(rest);
    out
}

fn split_scheme(target: &[u8]) -> Option<(&[u8], &[u8])> {
    if !target.first().is_some_and(u8::is_ascii_alphabetic) {
        return None;
    }
    let end = target.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)).count();
    let (scheme, rest) = target.split_at(end);
    Some((scheme, rest.strip_prefix(b"://")?))
}

/// False when the port is no number.
fn push_authority(scheme: &[u8], authority: &[u8], out: &mut Vec<u8>) -> bool {
    let host_port = match memchr::memrchr(b'@', authority) {
        Some(at) => {
            let user = &authority[..at];
            match memchr::memchr(b':', user) {
                Some(colon) => {
                    out.extend_from_slice(&user[..colon]);
                    out.extend_from_slice(b":XXXXXXXX@");
                }
                None => {
                    out.extend_from_slice(user);
                    out.push(b'@');
                }
            }
            &authority[at + 1..]
        }
        None => authority,
    };
    let bracket = if host_port.first() == Some(&b'[') { memchr::memchr(b']', host_port).unwrap_or(0) } else { 0 };
    let colon = memchr::memchr(b':', &host_port[bracket..]).map(|at| at + bracket);
    let Some(colon) = colon else {
        out.extend_from_slice(host_port);
        return true;
    };
    out.extend_from_slice(&host_port[..colon]);
    let port = &host_port[colon + 1..];
    if port.is_empty() {
        return true;
    }
    let number = std::str::from_utf8(port).ok().filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    let Some(number) = number.and_then(|port| port.parse::<u16>().ok()) else { return false };
    if number != 0 && default_port(scheme) != Some(number) {
        out.push(b':');
        out.extend_from_slice(port);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each line is what httpd 2.4.71 sends as Location.
    #[test]
    fn targets_are_escaped_in_front_of_the_query() {
        for (target, want) in [
            ("http://x:80/y/b", "http://x/y/b"),
            ("http://u:p@x:8080/y%z", "http://u:XXXXXXXX@x:8080/y%25z"),
            ("http://[::1]:80/y", "http://%5b::1%5d/y"),
            ("http://x", "http://x"),
            ("http://x?q", "http://x?q"),
            ("HTTPS://X:443/y", "HTTPS://X/y"),
            ("http://x:0/y", "http://x/y"),
            ("http://x:abc/y", "http://x"),
            ("//x/y z", "//x/y%20z"),
            ("/xe9<>\"", "/xe9%3c%3e%22"),
            ("ftp://x:21/", "ftp://x/"),
            ("mailto:a@b", "mailto:a@b"),
            ("http://x/?a#b", "http://x/?a#b"),
            ("http://x:/", "http://x/"),
            ("http://x/a?b#c d?k=a", "http://x/a?b#c d?k=a"),
            ("http://x//l5/a b?c?q=", "http://x//l5/a%20b?c?q="),
        ] {
            assert_eq!(String::from_utf8(escaped(target.as_bytes())).unwrap(), want, "{target}");
        }
    }

    #[test]
    fn urls_have_a_scheme() {
        for (text, want) in [("http://x", true), ("rel:x", true), ("b", false), (":x", false), ("a/b:c", false)] {
            assert_eq!(is_url(text.as_bytes()), want, "{text}");
        }
    }
}

//! What is asked for: folders, a name in the last of them, and how it is to be sent.

use super::Failed;
use super::login::user_info;
use crate::base::path::{encode_proxy_path, escaped_byte};
use crate::upstream::Attempt;
use crate::upstream::canon::{Form, Refusal, behind_scheme};
use crate::web::{Exchange, ProxyKind};

/// What servers take for more than one name.
const WILDCARDS: &[u8] = b"*?[{~";

/// How it is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// As a listing.
    Listing,
    /// As this type: `A`, `E`, `I`.
    Type(u8),
}

/// The path of a URL, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// It begins at the root, not where the login leads.
    pub(super) from_root: bool,
    /// Unescaped.
    pub(super) folders: Vec<Vec<u8>>,
    /// Unescaped; empty for a folder.
    pub(super) name: Vec<u8>,
    pub(super) kind: Kind,
}

impl Target {
    pub(super) fn of(attempt: &Attempt<'_>) -> Result<Self, Failed> {
        let path = attempt.target;
        let path = path.get(..memchr::memchr2(b'?', b'#', path).unwrap_or(path.len())).unwrap_or_default();
        Self::parse(path.strip_prefix(b"/").unwrap_or(path))
    }

    fn parse(path: &[u8]) -> Result<Self, Failed> {
        let (path, suffix) = match memchr::memchr(b';', path) {
            Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..)),
            None => (path, None),
        };
        let kind = match suffix.and_then(|suffix| Some((suffix, suffix.strip_prefix(b"type=")?.first()?))) {
            Some((_, b'd' | b'D')) => Kind::Listing,
            Some((suffix, letter)) if letter.is_ascii_alphabetic() => match letter.to_ascii_uppercase() {
                kind @ (b'A' | b'E' | b'I') => Kind::Type(kind),
                _ => {
                    let suffix = crate::config::latin1(suffix);
                    let text = format!("ftp proxy supports only types 'a', 'i', or 'e': \"{suffix}\" is invalid.");
                    return Err(Failed::Page(400, text));
                }
            },
            _ => Kind::Type(b'I'),
        };
        let (from_root, mut path) = match path {
            [b'%', b'2', b'f' | b'F', rest @ ..] => (true, rest),
            path => (false, path),
        };
        while let Some(rest) = path.strip_prefix(b"/").filter(|_| from_root) {
            path = rest;
        }
        let mut folders: Vec<Vec<u8>> = path.split(|byte| *byte == b'/').map(unescaped).collect();
        let name = folders.pop().unwrap_or_default();
        Ok(Self { from_root, folders, name, kind })
    }
}

/// Whether a name stands for more than one.
pub(super) fn has_wildcards(name: &[u8]) -> bool {
    let mut escaped = false;
    name.iter().any(|byte| {
        let found = !escaped && WILDCARDS.contains(byte);
        escaped = !escaped && *byte == b'\\';
        found
    })
}

impl crate::upstream::spec::FtpPolicy {
    /// A name as the server is told it.
    pub(super) fn escaped(&self, name: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(name.len());
        for byte in name {
            if self.escape_wildcards && WILDCARDS.contains(byte) {
                out.push(b'\\');
            }
            out.push(*byte);
        }
        out
    }
}

/// With the escapes that are some in it undone.
pub(super) fn unescaped(text: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
    while let [byte, after @ ..] = rest {
        match escaped_byte(rest) {
            Some(meant) => {
                out.push(meant);
                rest = rest.get(3..).unwrap_or_default();
            }
            None => {
                out.push(*byte);
                rest = after;
            }
        }
    }
    out
}

/// Whether a text can be sent, its escapes undone: ASCII without ends of lines.
pub(super) fn is_sendable(text: &[u8]) -> bool {
    unescaped(text).iter().all(|byte| byte.is_ascii() && !matches!(byte, b'\r' | b'\n' | 0))
}

/// `ftp://user@host` of the request, without a password.
pub(super) fn site(ex: &Exchange) -> Vec<u8> {
    let url = ex.filename.strip_prefix(b"proxy:").unwrap_or_default();
    let start = behind_scheme(url);
    let end = url.get(start..).and_then(|rest| memchr::memchr(b'/', rest)).map_or(url.len(), |at| start + at);
    let mut out = b"ftp://".to_vec();
    let authority = url.get(start..end).unwrap_or_default();
    let named = ex.user.as_deref().filter(|_| ex.auth_type.is_some());
    let user = named.or_else(|| user_info(url).map(|info| info.split(|byte| *byte == b':').next().unwrap_or_default()));
    if let Some(user) = user {
        out.extend_from_slice(user);
        out.push(b'@');
    }
    let host = memchr::memrchr(b'@', authority).map_or(authority, |at| authority.get(at + 1..).unwrap_or_default());
    out.extend_from_slice(host);
    out
}

/// Appends a URL (`ftp://[user[:password]@]host[:port]/path[;params]`) as messages and sections see it; its query
/// becomes part of the path or of the parameters.
///
/// # Errors
/// It has bytes that no command can carry.
pub(in crate::upstream) fn push_canonical(
    url: &[u8],
    args: Option<&[u8]>,
    form: Form,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let rest = url.get(4..).and_then(|rest| rest.strip_prefix(b"//")).ok_or(Refusal::Unsendable)?;
    let (authority, path) = match memchr::memchr(b'/', rest) {
        Some(at) => rest.split_at(at),
        None => (rest, &b"/"[..]),
    };
    if authority.is_empty() || !is_sendable(authority) {
        return Err(Refusal::Unsendable);
    }
    out.extend_from_slice(b"ftp://");
    let host = memchr::memrchr(b'@', authority).map_or(0, |at| at + 1);
    let (user, host) = authority.split_at(host);
    out.extend_from_slice(user);
    let host = host.strip_suffix(b":21").unwrap_or(host);
    out.extend(host.iter().map(u8::to_ascii_lowercase));
    let start = out.len();
    match form {
        Form::Decoded { keep_encoded_slash } => encode_proxy_path(path, keep_encoded_slash, out),
        Form::Encoded | Form::Raw => out.extend_from_slice(path),
    }
    if !is_sendable(out.get(start..).unwrap_or_default()) {
        return Err(Refusal::Unsendable);
    }
    if let Some(args) = args.filter(|_| form != Form::Raw) {
        out.push(b'?');
        encode_proxy_path(args, false, out);
    }
    Ok(())
}

/// The path of the request itself, for the listing's own links.
pub(super) fn own_path(ex: &Exchange) -> Vec<u8> {
    let path = match ex.proxyreq {
        ProxyKind::Forward => {
            let url = ex.filename.strip_prefix(b"proxy:").unwrap_or_default();
            let start = behind_scheme(url);
            url.get(start..).and_then(|rest| rest.get(memchr::memchr(b'/', rest)?..)).unwrap_or(b"/")
        }
        _ => ex.unparsed_uri.as_slice(),
    };
    path.get(..memchr::memchr2(b'?', b'#', path).unwrap_or(path.len())).unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::spec::FtpPolicy;

    fn parsed(path: &str) -> Option<(bool, String, String, Kind)> {
        let target = Target::parse(path.as_bytes()).ok()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let folders = target.folders.iter().map(|folder| text(folder)).collect::<Vec<_>>().join("|");
        Some((target.from_root, folders, text(&target.name), target.kind))
    }

    fn want(from_root: bool, folders: &str, name: &str, kind: Kind) -> Option<(bool, String, String, Kind)> {
        Some((from_root, folders.to_owned(), name.to_owned(), kind))
    }

    #[test]
    fn paths_are_taken_apart() {
        let image = Kind::Type(b'I');
        assert_eq!(parsed(""), want(false, "", "", image));
        assert_eq!(parsed("a/b%20c/d%2fe"), want(false, "a|b c", "d/e", image));
        assert_eq!(parsed("%2F//a/b"), want(true, "a", "b", image));
        assert_eq!(parsed("a;type=a"), want(false, "", "a", Kind::Type(b'A')));
        assert_eq!(parsed("a/;TYPE=a"), want(false, "a", "", image));
        assert_eq!(parsed("a;type=D"), want(false, "", "a", Kind::Listing));
        assert_eq!(parsed("a;type=x"), None);
        assert_eq!(parsed("a;type=1"), want(false, "", "a", image));
    }

    #[test]
    fn wildcards_are_escaped_or_not() {
        assert!(has_wildcards(b"a*") && has_wildcards(b"~") && !has_wildcards(b"a\\*b") && has_wildcards(b"\\\\*"));
        let policy = FtpPolicy::default();
        assert_eq!(policy.escaped(b"a*[b"), b"a\\*\\[b");
        assert_eq!(FtpPolicy { escape_wildcards: false, ..policy }.escaped(b"a*"), b"a*");
    }

    #[test]
    fn urls_are_made_canonical() {
        let canon = |url: &str, args: Option<&str>| {
            let mut out = Vec::new();
            let form = Form::Decoded { keep_encoded_slash: false };
            push_canonical(url.as_bytes(), args.map(str::as_bytes), form, &mut out).ok()?;
            Some(String::from_utf8(out).unwrap())
        };
        assert_eq!(canon("ftp://U:p@Host:21/a b;type=i", None).as_deref(), Some("ftp://U:p@host/a%20b;type=i"));
        assert_eq!(canon("ftp://h:2121", Some("x y")).as_deref(), Some("ftp://h:2121/?x%20y"));
        for wrong in ["ftp://h/a\r\nDELE x", "ftp://h/\u{e9}", "ftp://u%0d@h/", "ftp:x", "ftp:///x"] {
            assert_eq!(canon(wrong, None), None, "{wrong}");
        }
    }
}

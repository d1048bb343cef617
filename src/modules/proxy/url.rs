//! URLs of workers as the configuration writes them.

use std::path::PathBuf;

use crate::base::addr::split_unix;
use crate::config::latin1;
use crate::upstream::spec::Scheme;

/// A worker's URL, taken apart and normalised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WorkerUrl {
    /// The URL with scheme and host in lower case and without the scheme's own port.
    pub(super) name: Vec<u8>,
    /// Socket of `unix:/path|…`, as written.
    pub(super) socket: Option<Vec<u8>>,
    /// Lower case.
    pub(super) scheme: String,
    /// Lower case, without brackets.
    pub(super) host: String,
    /// As written, or the scheme's own; 0 where neither is known.
    pub(super) port: u16,
    /// Path, query and fragment.
    pub(super) path: Vec<u8>,
}

/// The part of a `unix:` URL behind the bar, other URLs as they are; `None` if what is behind it has no scheme.
pub(super) fn without_socket(url: &[u8]) -> Option<Vec<u8>> {
    match split_unix(url) {
        None => Some(url.to_vec()),
        Some((_, rest)) => rest.contains(&b':').then(|| with_host(rest)),
    }
}

/// Without a host behind a socket, `localhost` is meant: `http:`, `http://`, `http:/path`, `http:///path`, `http:path`.
fn with_host(rest: &[u8]) -> Vec<u8> {
    let colon = memchr::memchr(b':', rest).unwrap_or(0);
    let (scheme, behind) = rest.split_at(colon);
    let Some(behind) = behind.strip_prefix(b":").filter(|_| !scheme.is_empty()) else { return rest.to_vec() };
    match behind.strip_prefix(b"//").unwrap_or(behind) {
        // An authority.
        whole @ [first, ..] if whole.len() != behind.len() && *first != b'/' => rest.to_vec(),
        path @ ([] | [b'/', ..]) => [scheme, b"://localhost", path].concat(),
        path => [scheme, b"://localhost/", path].concat(),
    }
}

/// Where the socket of a `unix:` URL lies: the path of the URL in front of the bar. `None` if its authority is broken.
fn socket_of(url: &[u8]) -> Option<&[u8]> {
    let end = |text: &[u8], marks: &[u8]| text.iter().position(|byte| marks.contains(byte)).unwrap_or(text.len());
    let path = match url.strip_prefix(b"//") {
        None => url,
        Some(rest) => {
            let (authority, path) = rest.split_at(end(rest, b"/?#"));
            let (_, port) = host_and_port(authority)?;
            port_number(port.unwrap_or_default(), false)?;
            path
        }
    };
    path.get(..end(path, b"?#"))
}

/// `host:port` or `[host]:port`; `None` if the bracket is not closed.
fn host_and_port(place: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let (host, behind) = if place.first() == Some(&b'[') {
        place.split_at(memchr::memchr(b']', place)? + 1)
    } else {
        place.split_at(memchr::memchr(b':', place).unwrap_or(place.len()))
    };
    Some((host, behind.strip_prefix(b":")))
}

/// The port that a scheme's URLs leave out; 0 if the scheme is unknown.
pub(super) fn default_port(scheme: &str) -> u16 {
    const PORTS: &[(&str, u16)] = &[
        ("http", 80),
        ("https", 443),
        ("ajp", 8009),
        ("fcgi", 8000),
        ("ftp", 21),
        ("gopher", 70),
        ("h2", 443),
        ("h2c", 80),
        ("nntp", 119),
        ("prospero", 191),
        ("scgi", 4000),
        ("sip", 5060),
        ("snews", 563),
        ("tftp", 69),
        ("wais", 210),
        ("ws", 80),
        ("wss", 443),
        ("acap", 674),
        ("imap", 143),
        ("ldap", 389),
        ("ldaps", 636),
        ("nfs", 2049),
        ("pop", 110),
        ("rtsp", 554),
        ("sips", 5061),
        ("telnet", 23),
        ("tip", 3372),
    ];
    PORTS.iter().find(|(name, _)| *name == scheme).map_or(0, |(_, port)| *port)
}

/// What serving makes of a scheme.
pub(super) fn scheme_kind(scheme: &str) -> Scheme {
    match scheme {
        "http" | "ws" => Scheme::Http,
        "https" | "wss" => Scheme::Https,
        "ajp" => Scheme::Ajp,
        "fcgi" => Scheme::Fcgi,
        "scgi" => Scheme::Scgi,
        "uwsgi" => Scheme::Uwsgi,
        "ftp" => Scheme::Ftp,
        "h2" => Scheme::H2,
        "h2c" => Scheme::H2c,
        _ => Scheme::Other,
    }
}

impl WorkerUrl {
    /// Reads a URL; the error is httpd's text. In a pattern's URL the port may hold `$1` and the like.
    pub(super) fn parse(written: &[u8], pattern: bool) -> Result<Self, String> {
        let relative = || format!("URL must be absolute!: {}", latin1(written));
        let broken = || format!("Unable to parse URL: {}", latin1(written));
        let (socket, url) = match split_unix(written) {
            Some((socket, rest)) => (Some(socket_of(socket).ok_or_else(broken)?.to_vec()), with_host(rest)),
            None => (None, written.to_vec()),
        };
        let scheme_end = url.iter().position(|byte| b":/?#".contains(byte)).unwrap_or(url.len());
        let (scheme, rest) = url.split_at(scheme_end);
        let word = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        let valid = scheme.first().is_some_and(u8::is_ascii_alphabetic) && scheme.iter().all(word);
        if rest.first() == Some(&b':') && !valid {
            return Err(broken());
        }
        let Some(rest) = rest.strip_prefix(b"://") else { return Err(relative()) };
        let scheme = latin1(&scheme.to_ascii_lowercase());
        let end = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (user, place) = match memchr::memrchr(b'@', authority) {
            Some(at) => (&authority[..=at], &authority[at + 1..]),
            None => (&b""[..], authority),
        };
        let (host, port) = host_and_port(place).ok_or_else(broken)?;
        let own = default_port(&scheme);
        let digits = port.unwrap_or_default();
        let open = pattern && digits.contains(&b'$');
        let port = if digits.is_empty() { 0 } else { port_number(digits, pattern).ok_or_else(broken)? };
        if host.is_empty() {
            return Err(relative());
        }
        let host = host.to_ascii_lowercase();
        let mut name = format!("{scheme}://").into_bytes();
        name.extend_from_slice(user);
        name.extend_from_slice(&host);
        if open || (port != 0 && port != own) {
            // As written: `:08080` is no name of what is at `:8080`.
            name.push(b':');
            name.extend_from_slice(digits);
        }
        name.extend_from_slice(path);
        let host = latin1(host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]")).unwrap_or(&host));
        Ok(Self { name, socket, scheme, host, port: if port == 0 { own } else { port }, path: path.to_vec() })
    }

    /// The socket's path, made absolute in the runtime directory.
    pub(super) fn socket_path(&self, runtime_dir: &[u8]) -> Option<PathBuf> {
        use std::os::unix::ffi::OsStringExt as _;
        let socket = self.socket.as_ref()?;
        let path = crate::config::merge_path(runtime_dir, socket);
        Some(PathBuf::from(std::ffi::OsString::from_vec(path)))
    }

    /// The name as messages show it, with the socket.
    pub(super) fn full_name(&self) -> String {
        match &self.socket {
            Some(socket) => format!("unix:{}|{}", latin1(socket), latin1(&self.name)),
            None => latin1(&self.name),
        }
    }
}

/// A port in digits; as httpd, what is too large loses its upper bits.
fn port_number(digits: &[u8], pattern: bool) -> Option<u16> {
    // `$1` and the like stand for digits that are not known yet.
    if pattern && digits.contains(&b'$') {
        return Some(0);
    }
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    Some((number & 0xffff) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(url: &str) -> Result<String, String> {
        WorkerUrl::parse(url.as_bytes(), false).map(|url| url.full_name())
    }

    #[test]
    fn names_are_normalised_as_httpds() {
        assert_eq!(name("HTTP://HOST:80/Path").unwrap(), "http://host/Path");
        assert_eq!(name("http://h:8080").unwrap(), "http://h:8080");
        assert_eq!(name("http://u:p@H/x?y").unwrap(), "http://u:p@h/x?y");
        assert_eq!(name("http://[::1]:80/").unwrap(), "http://[::1]/");
        assert_eq!(name("nosuch://x/").unwrap(), "nosuch://x/");
        assert_eq!(name("http://h:0/").unwrap(), "http://h/");
        assert_eq!(name("unix:/s|http:").unwrap(), "unix:/s|http://localhost");
        assert_eq!(name("unix:/s|http://").unwrap(), "unix:/s|http://localhost");
        let url = WorkerUrl::parse(b"unix:s|ajp://h/x", false).unwrap();
        assert_eq!((url.port, url.path.as_slice()), (8009, &b"/x"[..]));
        assert_eq!(url.socket_path(b"/run"), Some(PathBuf::from("/run/s")));
        assert_eq!(without_socket(b"unix:/s|http:/y/x"), Some(b"http://localhost/y/x".to_vec()));
        assert_eq!(without_socket(b"unix:/s|"), None);
        assert_eq!(without_socket(b"http://h/"), Some(b"http://h/".to_vec()));
    }

    #[test]
    fn errors_have_httpds_words() {
        for url in ["http:127.0.0.1", "127.0.0.1", "http://", "http:///x", "http://:80/", "unix:/s.sock", "*", "$1"] {
            assert_eq!(name(url).unwrap_err(), format!("URL must be absolute!: {url}"));
        }
        for url in ["http://a:x/", "http://[::1:80/", "^http://a", "1http://a/", "h_t://a/"] {
            assert_eq!(name(url).unwrap_err(), format!("Unable to parse URL: {url}"));
        }
    }
}

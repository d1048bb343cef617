//! Request heads that are not quite as they should be: what Tomcat's connector lets pass of them, and how it refuses the rest.

use super::exchange::Request;
use super::link::Refused;

/// A head after what Tomcat overlooks was put right.
#[derive(Debug, PartialEq, Eq)]
pub enum Mended {
    /// The head, and how many bytes it was before.
    Whole(Vec<u8>, usize),
    /// Something was put right, and the end is not there yet.
    Partly,
    /// There is nothing to put right.
    Not,
}

/// Puts right what Tomcat overlooks: line ends without a carriage return, and more than one blank, or tabs, between the
/// words of the request line.
pub fn mend(buf: &[u8]) -> Mended {
    let mut out = Vec::with_capacity(buf.len() + 64);
    let (mut rest, mut lines, mut odd) = (buf, 0, false);
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let (line, behind) = rest.split_at(end);
        rest = behind.get(1..).unwrap_or_default();
        let whole = line.strip_suffix(b"\r");
        odd |= whole.is_none();
        let line = whole.unwrap_or(line);
        if line.contains(&b'\r') {
            return Mended::Not;
        }
        match (line.is_empty(), lines) {
            // Lines before the first count for nothing.
            (true, 0) => continue,
            (true, _) => {
                out.extend_from_slice(b"\r\n");
                return if odd { Mended::Whole(out, buf.len() - rest.len()) } else { Mended::Not };
            }
            (false, 0) => {
                let Some([method, target, protocol]) = words(line) else { return Mended::Not };
                let target = without_user(target);
                let first = [method, &target, protocol].join(&b' ');
                odd |= first != line;
                out.extend_from_slice(&first);
            }
            (false, _) => out.extend_from_slice(line),
        }
        out.extend_from_slice(b"\r\n");
        lines += 1;
    }
    if odd { Mended::Partly } else { Mended::Not }
}

/// The three words of a request line, which neither begins nor ends with a blank.
fn words(line: &[u8]) -> Option<[&[u8]; 3]> {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    if line.first().is_none_or(is_blank) || line.last().is_none_or(is_blank) {
        return None;
    }
    let mut words = line.split(is_blank).filter(|word| !word.is_empty());
    let found = [words.next()?, words.next()?, words.next()?];
    words.next().is_none().then_some(found)
}

/// How a head is refused that the codec refuses with a status.
pub fn refusal(buf: &[u8], status: u16) -> Refused {
    let line = buf.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    match line.into_iter().find(|line| !line.is_empty()).and_then(words) {
        Some([b"CONNECT", ..]) => CONNECT,
        Some([_, _, protocol]) if is_other_version(protocol) => Refused(505, ""),
        _ if status == 414 => TOO_LARGE,
        _ => Refused(status, "Invalid request"),
    }
}

/// Fills in what the log shows of a request whose head is refused.
pub fn note(buf: &[u8], why: Refused, request: &mut Request) {
    request.method.clear();
    request.uri.clear();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let begin = buf.iter().position(|byte| !b"\r\n".contains(byte)).unwrap_or(buf.len());
    let rest = buf.get(begin..).unwrap_or_default();
    let Some(end) = memchr::memchr(b'\n', rest).filter(|_| why != TOO_LARGE) else {
        // A line that is too long.
        if let Some(method) = rest.split(is_blank).next().filter(|method| is_token(method)) {
            request.method = text(method);
        }
        return;
    };
    let line = rest.get(..end).unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let Some([method, target, protocol]) = words(line.trim_ascii_end()).filter(|[method, ..]| is_token(method)) else {
        return;
    };
    request.method = text(method);
    let is_version =
        protocol.iter().all(|byte| b"HTP/.0123456789".contains(byte)) && !line.last().is_some_and(is_blank);
    request.protocol = if is_version { text(protocol) } else { "null".to_owned() };
    if target.iter().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(byte)) {
        let target = without_user(target);
        let path = memchr::memmem::find(&target, b"://").map_or(target.as_slice(), |at| {
            let behind = target.get(at + 3..).unwrap_or_default();
            behind.get(memchr::memchr(b'/', behind).unwrap_or(behind.len())..).unwrap_or_default()
        });
        let path = if target.starts_with(b"/") { target.as_slice() } else { path };
        let at = memchr::memchr(b'?', path).unwrap_or(path.len());
        let (path, query) = path.split_at(at);
        request.uri = text(path);
        request.query = query.get(1..).map(text);
    }
}

fn is_token(word: &[u8]) -> bool {
    !word.is_empty() && word.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// A head that is longer than it may be.
pub const TOO_LARGE: Refused = Refused(400, "Request header is too large");

/// CONNECT, which no application can answer.
pub const CONNECT: Refused = Refused(501, "HTTP requests using the CONNECT method are not supported");

/// Whether a word could be a version of HTTP for Tomcat, and is none that is spoken.
fn is_other_version(word: &[u8]) -> bool {
    !matches!(word, b"HTTP/1.1" | b"HTTP/1.0") && word.iter().all(|byte| b"HTP/.0123456789".contains(byte))
}

/// Whether the codings of a body, those of all its header fields, leave it in chunks; `None` without such a field.
///
/// # Errors
/// Nobody could tell where such a body ends.
pub fn is_chunked<'a>(fields: impl Iterator<Item = &'a str>) -> Result<Option<bool>, Refused> {
    let (mut chunked, mut any) = (false, false);
    for value in fields {
        any = true;
        for word in value.split(',').map(|word| word.trim_matches([' ', '\t'])).filter(|word| !word.is_empty()) {
            // What comes behind the chunks would be inside them.
            if chunked || !is_token(word.as_bytes()) {
                return Err(Refused(400, ""));
            }
            if !word.eq_ignore_ascii_case("chunked") {
                return Err(Refused(501, ""));
            }
            chunked = true;
        }
    }
    if any && !chunked { Err(Refused(400, "")) } else { Ok(any.then_some(chunked)) }
}

/// What a head expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expects {
    /// Nothing.
    Nothing,
    /// To be told to go on.
    Continue,
    /// What nobody here can do.
    Other,
}

/// What the Expect field of a request of HTTP/1.1 asks for.
pub fn expects(field: Option<&str>, old: bool) -> Expects {
    match field {
        Some(text) if !old && text.trim().eq_ignore_ascii_case("100-continue") => Expects::Continue,
        Some(_) if !old => Expects::Other,
        _ => Expects::Nothing,
    }
}

/// A URL without the user in front of its host, whose password is for no log.
fn without_user(target: &[u8]) -> Vec<u8> {
    let known = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:".contains(byte);
    let is_scheme = |at: &usize| target.iter().take(*at).all(u8::is_ascii_alphabetic);
    let found = memchr::memmem::find(target, b"://").filter(is_scheme).and_then(|at| {
        let (scheme, rest) = target.split_at(at + 3);
        let end = rest.iter().position(|byte| b"/?".contains(byte)).unwrap_or(rest.len());
        let user = memchr::memchr(b'@', rest.get(..end)?)?;
        rest.get(..user)?.iter().all(known).then(|| [scheme, rest.get(user + 1..).unwrap_or_default()].concat())
    });
    found.unwrap_or_else(|| target.to_vec())
}

/// Whether a text may be a host: a name, or an address, that of IPv6 in brackets; nothing is one too.
pub fn is_host(name: &str) -> bool {
    if let Some(rest) = name.strip_prefix('[') {
        return rest.strip_suffix(']').is_some_and(|inside| inside.parse::<std::net::Ipv6Addr>().is_ok());
    }
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    name.is_empty() || name.strip_suffix('.').unwrap_or(name).split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_put_right() {
        let whole = |text: &str, length: usize| Mended::Whole(text.as_bytes().to_vec(), length);
        assert_eq!(mend(b"\nGET /  HTTP/1.1\nA: b\r\n\nrest"), whole("GET / HTTP/1.1\r\nA: b\r\n\r\n", 24));
        assert_eq!(mend(b"GET\t/ HTTP/1.1\r\n\r\n"), whole("GET / HTTP/1.1\r\n\r\n", 18));
        assert_eq!(mend(b"GET / HTTP/1.1\nA: b"), Mended::Partly);
        for fine in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nA",
            "GARBAGE\n\n",
            " GET / HTTP/1.1\n\n",
            "G / X\r\r\n\r\n",
            "",
        ] {
            assert_eq!(mend(fine.as_bytes()), Mended::Not, "{fine:?}");
        }
    }

    #[test]
    fn a_log_shows_what_could_be_read() {
        let line = |text: &str| {
            let mut request = Request::default();
            note(text.as_bytes(), Refused(400, ""), &mut request);
            request.line()
        };
        for (text, shown) in [
            ("GET /a?b HTTP/1.11\r\nA", "GET /a?b HTTP/1.11"),
            ("GET http://a@b@c/a HTTP/1.1\r\n", "GET /a HTTP/1.1"),
            ("GET / HTTP/1.1a\r\n", "GET / null"),
            ("GET / HTTP/1.1 \r\n", "GET / null"),
            ("GET /aaaa", "GET - HTTP/1.1"),
            ("GET /\u{1} HTTP/1.1\r\n", "GET - HTTP/1.1"),
            ("G@T / HTTP/1.1\r\n", "-"),
            ("GARBAGE\r\n", "-"),
        ] {
            assert_eq!(line(text), shown, "{text:?}");
        }
    }

    #[test]
    fn codings_that_hide_the_end_are_refused() {
        for (fields, found) in [
            (&[][..], Ok(None)),
            (&["Chunked"], Ok(Some(true))),
            (&[", chunked,"], Ok(Some(true))),
            (&[""], Err(400)),
            (&["chunked;q=1"], Err(400)),
            (&["chunked, gzip"], Err(400)),
            (&["chunked", "identity"], Err(400)),
            (&["gzip, chunked"], Err(501)),
        ] {
            assert_eq!(is_chunked(fields.iter().copied()).map_err(|refused| refused.0), found, "{fields:?}");
        }
    }

    #[test]
    fn hosts_have_labels() {
        for host in ["", "a", "a.", "a-b.c9", "1.2.3.400", "[::1]"] {
            assert!(is_host(host), "{host}");
        }
        for host in [".", "a..b", ".a", "-a", "a-.b", "a_b", "[::x]", "[::1", "a b"] {
            assert!(!is_host(host), "{host}");
        }
        for (target, found) in [
            ("http://u:p@h:1/a@b", "http://h:1/a@b"),
            ("http://a@b@h", "http://b@h"),
            ("http://\u{e9}@h/", "http://\u{e9}@h/"),
            ("/a?b=http://u@h", "/a?b=http://u@h"),
        ] {
            assert_eq!(without_user(target.as_bytes()), found.as_bytes(), "{target}");
        }
    }
}

//! A backend URL in the form that goes on the wire, by the rules of its scheme.

use super::ftp::push_canonical;
use crate::base::addr::HostPort;
use crate::base::path::{EncodedSlashes, encode_proxy_path};
use crate::logs::{self, Bytes, Level};
use crate::web::{Exchange, ProxyKind};

/// What has been done to the path of a URL so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Decoded: it is escaped for the wire, and the request's query follows.
    Decoded {
        /// `AllowEncodedSlashes NoDecode`: a `%2F` in it is left alone.
        keep_encoded_slash: bool,
    },
    /// As the client escaped it (`mapping=encoded`); the request's query follows.
    Encoded,
    /// Raw with the query in it (`nocanon`, rewrite's NE).
    Raw,
}

/// Name of the note that says [`Form::Raw`].
pub const NOTE_NOCANON: &[u8] = b"proxy-nocanon";
/// Name of the note that says [`Form::Encoded`].
pub const NOTE_NOENCODE: &[u8] = b"proxy-noencode";

impl Form {
    /// The form of the path in `ex.filename`, as the notes of the mapping say.
    pub fn of(ex: &Exchange) -> Self {
        if ex.proxyreq == ProxyKind::Forward {
            // The client's own URL goes on as it is.
            return Self::Raw;
        }
        if !ex.notes.is_empty() {
            if ex.notes.contains(NOTE_NOCANON) {
                return Self::Raw;
            }
            if ex.notes.contains(NOTE_NOENCODE) {
                return Self::Encoded;
            }
        }
        let slashes = ex.dir::<crate::config::core::CoreDir>().and_then(|core| core.encoded_slashes);
        Self::Decoded { keep_encoded_slash: slashes == Some(EncodedSlashes::Keep) }
    }
}

/// How one scheme is canonicalised: a row for each.
pub struct SchemeRow {
    /// Scheme.
    pub name: &'static str,
    /// Its default port.
    pub port: u16,
    /// The module that httpd logs for.
    pub module: &'static str,
    parse: &'static str,
    path: &'static str,
    query: &'static str,
}

const fn http(name: &'static str, port: u16) -> SchemeRow {
    SchemeRow { name, port, module: "proxy_http", parse: "AH01083", path: "AH10415", query: "AH10408" }
}

/// Without a port of their own, and with the query among the variables instead.
const fn gateway(name: &'static str, module: &'static str, (parse, path): (&'static str, &'static str)) -> SchemeRow {
    SchemeRow { name, port: 0, module, parse, path, query: "" }
}

const HTTP2: SchemeRow =
    SchemeRow { name: "", port: 0, module: "proxy_http2", parse: "AH03350", path: "AH10420", query: "AH10412" };

static SCHEMES: &[SchemeRow] = &[
    http("http", 80),
    http("https", 443),
    http("ws", 80),
    http("wss", 443),
    gateway("fcgi", "proxy_fcgi", ("AH01059", "AH10414")),
    gateway("scgi", "proxy_scgi", ("AH00857", "AH10416")),
    gateway("uwsgi", "proxy_uwsgi", ("AH10097", "AH10417")),
    SchemeRow { name: "h2", port: 443, ..HTTP2 },
    SchemeRow { name: "h2c", port: 80, ..HTTP2 },
    SchemeRow { name: "ajp", port: 8009, module: "proxy_ajp", parse: "AH00867", path: "AH10418", query: "AH10406" },
];

/// The row of the scheme at the start of `url`, and what follows the colon.
pub fn scheme_of(url: &[u8]) -> Option<(&'static SchemeRow, &[u8])> {
    SCHEMES.iter().find_map(|row| {
        let (scheme, rest) = url.split_at_checked(row.name.len())?;
        match rest {
            [b':', rest @ ..] if scheme.eq_ignore_ascii_case(row.name.as_bytes()) => Some((row, rest)),
            _ => None,
        }
    })
}

/// Why a URL cannot be sent; [`Refusal::log`] says it as httpd does and gives the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not `//host[:port]…`.
    Malformed(&'static str),
    /// Controls or spaces in a path that is not escaped here.
    Path,
    /// Controls or spaces in the query.
    Query,
    /// Bytes that the scheme's protocol cannot carry.
    Unsendable,
}

impl Refusal {
    /// Logs it and says the status to answer with.
    pub fn log(self, ex: &Exchange, url: &[u8]) -> u16 {
        let row = scheme_of(url).map_or(&SCHEMES[0], |(row, _)| row);
        match self {
            Self::Unsendable => 400,
            Self::Malformed(why) => {
                // httpd has cut the path off by then; its AJP module has gone past the scheme too.
                let start = if row.module == "proxy_http" { 0 } else { row.name.len() + 1 };
                let end =
                    url.iter().enumerate().filter(|(_, byte)| **byte == b'/').nth(2).map_or(url.len(), |(at, _)| at);
                let rest = url.get(start..end).unwrap_or(url);
                logs::error!(ex, Level::Error, row.module, "{}: error parsing URL {}: {why}", row.parse, Bytes(rest));
                400
            }
            Self::Path => {
                let ah = row.path;
                logs::error!(
                    ex,
                    Level::Error,
                    row.module,
                    "{ah}: To be forwarded path contains control characters or spaces"
                );
                403
            }
            Self::Query => {
                let ah = row.query;
                logs::error!(
                    ex,
                    Level::Error,
                    row.module,
                    "{ah}: To be forwarded query string contains control characters or spaces"
                );
                403
            }
        }
    }
}

/// Where the authority of a URL begins.
#[inline]
pub fn behind_scheme(url: &[u8]) -> usize {
    let slashes = |at: &usize| url.get(at + 1..).is_some_and(|rest| rest.starts_with(b"//"));
    memchr::memchr_iter(b':', url).find(slashes).map_or(0, |at| at + 3)
}

/// A URL without a path in the form that [`canonical`] gives it, the slash of the path included; `None` for one that has
/// a path or cannot be sent.
pub fn canonical_site(url: &[u8]) -> Option<Vec<u8>> {
    let (row, rest) = scheme_of(url)?;
    let host = rest.strip_prefix(b"//").filter(|host| !host.contains(&b'/'))?;
    let mut out = Vec::new();
    push_site(row, host, &mut out).ok()?;
    Some(out)
}

/// Appends `url` (`scheme://host[:port]/path`) to `out` as it goes on the wire: scheme and host in lower case, no
/// default port, no user, the path escaped as `form` asks, `?args` behind it unless the path is raw. URLs of other
/// schemes are copied.
pub fn canonical(url: &[u8], args: Option<&[u8]>, form: Form, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let Some((row, rest)) = scheme_of(url) else {
        if url.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"ftp:")) {
            return push_canonical(url, args, form, out);
        }
        out.extend_from_slice(url);
        return Ok(());
    };
    let rest = rest.strip_prefix(b"//").ok_or(Refusal::Malformed("Malformed URL"))?;
    let (host, path) = match memchr::memchr(b'/', rest) {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => (rest, &b""[..]),
    };
    push_site(row, host, out)?;
    // As httpd, whose SCGI takes no path for escaped.
    let form = if row.name == "scgi" && form == Form::Raw { Form::Decoded { keep_encoded_slash: false } } else { form };
    // Gateways have the query among their variables.
    push_path(path, args.filter(|_| !row.query.is_empty()), form, out)
}

/// Scheme, host and port, and the slash behind them.
fn push_site(row: &SchemeRow, host: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
    let host = memchr::memrchr(b'@', host).map_or(host, |at| &host[at + 1..]);
    let at = HostPort::parse(host).map_err(|_| Refusal::Malformed("Invalid host/port"))?;
    let (Some(host), None) = (at.host, at.scope) else { return Err(Refusal::Malformed("Invalid host/port")) };

    out.extend_from_slice(row.name.as_bytes());
    out.extend_from_slice(b"://");
    let colon = memchr::memchr(b':', host).is_some();
    if colon {
        out.push(b'[');
    }
    out.extend(host.iter().map(u8::to_ascii_lowercase));
    if colon {
        out.push(b']');
    }
    if let Some(port) = at.port.filter(|port| *port != row.port) {
        out.push(b':');
        push_decimal(port, out);
    }
    out.push(b'/');
    Ok(())
}

/// Appends a path without its first slash as [`canonical`] does, and the query.
pub fn push_path(path: &[u8], args: Option<&[u8]>, form: Form, out: &mut Vec<u8>) -> Result<(), Refusal> {
    match form {
        Form::Decoded { keep_encoded_slash } => encode_proxy_path(path, keep_encoded_slash, out),
        Form::Encoded | Form::Raw if path.iter().any(|byte| is_control_or_blank(*byte)) => return Err(Refusal::Path),
        Form::Encoded | Form::Raw => out.extend_from_slice(path),
    }
    if let Some(args) = args.filter(|_| form != Form::Raw) {
        if args.iter().any(|byte| is_control_or_blank(*byte)) {
            return Err(Refusal::Query);
        }
        out.push(b'?');
        out.extend_from_slice(args);
    }
    Ok(())
}

/// What httpd's scan for visible characters and 8-bit text stops at.
fn is_control_or_blank(byte: u8) -> bool {
    byte <= b' ' || byte == 0x7f
}

fn push_decimal(port: u16, out: &mut Vec<u8>) {
    let mut digits = [0; 5];
    let mut at = digits.len();
    let mut rest = port;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECODED: Form = Form::Decoded { keep_encoded_slash: false };

    fn canon(url: &str, args: Option<&str>, form: Form) -> Result<String, Refusal> {
        let mut out = Vec::new();
        canonical(url.as_bytes(), args.map(str::as_bytes), form, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn hosts_and_ports_are_normalised() {
        let ok = |url: &str| canon(url, None, DECODED).unwrap();
        assert_eq!(ok("HTTP://Host:80"), "http://host/");
        assert_eq!(ok("http://u:p@h:8080/x"), "http://h:8080/x");
        assert_eq!(ok("ajp://h:8009/A"), "ajp://h/A");
        assert_eq!(ok("http://[::1]:81/"), "http://[::1]:81/");
        assert_eq!(ok("http://127.0.0.1:80x"), "http://[127.0.0.1:80x]/");
        assert_eq!(ok("nosuch://H/a b"), "nosuch://H/a b");
        assert_eq!(canon("http:/h", None, DECODED), Err(Refusal::Malformed("Malformed URL")));
        assert_eq!(canon("http://99", None, DECODED), Err(Refusal::Malformed("Invalid host/port")));
        assert_eq!(canon("http://h:99999/", None, DECODED), Err(Refusal::Malformed("Invalid host/port")));
    }

    #[test]
    fn paths_are_escaped_unless_taken_raw() {
        assert_eq!(canon("http://h/a b?é", Some("q=%20"), DECODED).unwrap(), "http://h/a%20b%3F%C3%A9?q=%20");
        assert_eq!(canon("http://h/a", Some(""), DECODED).unwrap(), "http://h/a?");
        let keep = Form::Decoded { keep_encoded_slash: true };
        assert_eq!(canon("http://h/a%2fb%41", None, keep).unwrap(), "http://h/a%2fb%2541");
        assert_eq!(canon("http://h/a%20b\"", Some("q"), Form::Encoded).unwrap(), "http://h/a%20b\"?q");
        assert_eq!(canon("http://h/a?x", Some("x"), Form::Raw).unwrap(), "http://h/a?x");
        assert_eq!(canon("http://h/a b", None, Form::Raw), Err(Refusal::Path));
        assert_eq!(canon("http://h/a", Some("x\ty"), DECODED), Err(Refusal::Query));
    }
}

//! The request target and the host: what the request is for, as httpd reads it.

use std::cell::RefCell;
use std::hash::BuildHasher;
use std::net::{Ipv6Addr, SocketAddr};

use foldhash::fast::FixedState;

use crate::base::path::{Normalize, normalize_path};
use crate::config::core::CoreServer;
use crate::logs::{self, Bytes, Level};
use crate::web::Exchange;

/// Splits the target into scheme, authority, path and query. The path is still encoded. What httpd cannot split
/// becomes the path as a whole.
pub(super) fn split_target(ex: &mut Exchange) {
    ex.target_scheme.clear();
    ex.target_authority.clear();
    ex.uri.clear();
    let target = ex.unparsed_uri.as_slice();
    if target.first() == Some(&b'/') {
        // The form of nearly all requests.
        let end = memchr::memchr2(b'?', b'#', target).unwrap_or(target.len());
        ex.uri.extend_from_slice(target.get(..end).unwrap_or_default());
        let query = query_of(target.get(end..).unwrap_or_default());
        return set_query(&mut ex.args, query);
    }
    if ex.method == b"CONNECT" {
        set_query(&mut ex.args, None);
        let split = memchr::memrchr(b':', target).map(|colon| target.split_at(colon));
        match split.filter(|(_, port)| port.len() > 1 && is_port(port) && !target.contains(&b'/')) {
            Some(_) => {
                ex.target_authority.extend_from_slice(target);
                ex.uri.push(b'/');
            }
            None => ex.uri.extend_from_slice(target),
        }
        return;
    }
    let scheme = target.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)).count();
    let (scheme, rest) = match target.get(scheme..) {
        Some([b':', rest @ ..]) if scheme > 0 => (target.get(..scheme).unwrap_or_default(), rest),
        _ => (b"".as_slice(), target),
    };
    let (authority, rest) = match rest {
        [b'/', b'/', rest @ ..] if !scheme.is_empty() => {
            let end = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
            let (authority, rest) = rest.split_at(end);
            (Some(authority), rest)
        }
        _ => (None, rest),
    };
    if authority.is_some_and(|authority| !is_authority(authority)) {
        set_query(&mut ex.args, None);
        ex.uri.extend_from_slice(target);
        return;
    }
    ex.target_scheme.extend_from_slice(scheme);
    ex.target_authority.extend_from_slice(authority.unwrap_or_default());
    let end = memchr::memchr2(b'?', b'#', rest).unwrap_or(rest.len());
    let (path, rest) = rest.split_at(end);
    match path {
        b"" if ex.method == b"OPTIONS" => ex.uri.push(b'*'),
        b"" => ex.uri.push(b'/'),
        path => ex.uri.extend_from_slice(path),
    }
    set_query(&mut ex.args, query_of(rest));
}

/// The path of an absolute target, normalised; empty where there is none.
///
/// # Errors
/// The status that answers a path which leads out of the root.
pub fn target_path(ex: &Exchange) -> Result<Vec<u8>, u16> {
    let end = ex.unparsed_uri.iter().position(|byte| b"?#".contains(byte)).unwrap_or(ex.unparsed_uri.len());
    let whole = ex.unparsed_uri.get(..end).unwrap_or_default();
    let rest = match memchr::memchr(b':', whole).filter(|_| !ex.target_scheme.is_empty()) {
        Some(colon) => whole.get(colon + 1..).unwrap_or_default(),
        None => return Ok(Vec::new()),
    };
    let path = match rest.strip_prefix(b"//") {
        Some(rest) => memchr::memchr(b'/', rest).and_then(|slash| rest.get(slash..)).unwrap_or_default(),
        None => rest,
    };
    let mut out = Vec::new();
    if path.is_empty() {
        return Ok(out);
    }
    let merge = ex.server().get::<CoreServer>().and_then(|conf| conf.merge_slashes).unwrap_or(true);
    let how = Normalize { merge_slashes: merge, decode_unreserved: true, ..Normalize::default() };
    match normalize_path(path, how, &mut out) {
        Ok(()) => Ok(out),
        Err(_) => Err(bad_path(ex)),
    }
}

/// Logs that the path is none; the status.
pub(super) fn bad_path(ex: &Exchange) -> u16 {
    logs::error!(ex, Level::Error, "core", "AH10244: invalid URI path ({})", Bytes(&ex.unparsed_uri));
    400
}

/// What stands between `?` and `#`.
fn query_of(rest: &[u8]) -> Option<&[u8]> {
    let query = rest.strip_prefix(b"?")?;
    query.get(..memchr::memchr(b'#', query).unwrap_or(query.len()))
}

fn set_query(args: &mut Option<Vec<u8>>, query: Option<&[u8]>) {
    match (query, &mut *args) {
        (Some(query), Some(args)) => {
            args.clear();
            args.extend_from_slice(query);
        }
        (query, _) => *args = query.map(<[u8]>::to_vec),
    }
}

/// A colon and digits.
fn is_port(text: &[u8]) -> bool {
    matches!(text, [b':', digits @ ..] if digits.iter().all(u8::is_ascii_digit))
}

/// The host of an authority (brackets of an address included), and the port with its colon.
fn split_authority(authority: &[u8]) -> (&[u8], &[u8]) {
    let host = memchr::memrchr(b'@', authority).and_then(|at| authority.get(at + 1..)).unwrap_or(authority);
    let end = match host.first() {
        Some(b'[') => memchr::memchr(b']', host).map_or(host.len(), |close| close + 1),
        _ => memchr::memchr(b':', host).unwrap_or(host.len()),
    };
    host.split_at(end)
}

fn is_authority(authority: &[u8]) -> bool {
    let (host, port) = split_authority(authority);
    let closed = host.first() != Some(&b'[') || host.last() == Some(&b']');
    closed && (port.is_empty() || is_port(port))
}

/// What is known of the host of a request that is refused for its head: the one in the target.
pub(super) fn note_host(ex: &mut Exchange) {
    if own_scheme(ex) && !ex.target_authority.is_empty() {
        let (host, _) = split_authority(&ex.target_authority);
        ex.hostname.clear();
        ex.hostname.extend_from_slice(host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]")).unwrap_or(host));
    }
}

/// Whether the target is of a scheme that only a forward proxy may serve.
pub(super) fn foreign_scheme(ex: &Exchange) -> bool {
    let scheme = ex.target_scheme.as_slice();
    !scheme.is_empty() && !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https")
}

fn own_scheme(ex: &Exchange) -> bool {
    let own: &[u8] = if ex.conn.secure { b"https" } else { b"http" };
    ex.target_scheme.eq_ignore_ascii_case(own)
}

/// Finds the host of the request and the server that it names. `Err` is the status of the refusal.
pub(super) fn choose_server(ex: &mut Exchange) -> Result<(), u16> {
    if ex.uri.first() != Some(&b'/') && ex.uri != b"*" {
        return Err(unsplit(ex));
    }
    let scheme = ex.target_scheme.as_slice();
    let slashes = ex.unparsed_uri.get(scheme.len()..).is_some_and(|rest| rest.starts_with(b"://"));
    let named = (own_scheme(ex) && slashes) || (ex.method == b"CONNECT" && !ex.target_authority.is_empty());
    let known = ex.live.local(Known::default);
    if named {
        host_of_target(ex)?;
    } else if known.recall(ex) {
        return Ok(());
    } else if let Some(text) = ex.headers_in.get(b"Host").filter(|text| !text.is_empty()) {
        let mut host = std::mem::take(&mut ex.hostname);
        let read = read_field(ex, text, &mut host);
        ex.hostname = host;
        ex.host_port = match read {
            Ok(port) => port,
            Err(port) => {
                ex.host_port = port;
                ex.hostname.clear();
                return Err(400);
            }
        };
    }
    let before = ex.server;
    find_server(ex, named)?;
    if !named && !ex.hostname.is_empty() {
        known.note(ex, before);
    }
    let given = ex.headers_in.get(b"Host").is_some_and(|host| !host.is_empty() || named);
    if ex.proto_num >= 1001 && !given {
        logs::error!(
            ex,
            Level::Debug,
            "core",
            "AH00569: client sent HTTP/1.1 request without hostname (see RFC2616 section 14.23): {}",
            Bytes(&ex.uri)
        );
        return Err(400);
    }
    Ok(())
}

/// A field of more bytes is not worth the memory.
const LONG: usize = 255;

/// What a thread has found by `Host` fields: most are those of requests before. Each has one place.
struct Known(RefCell<[Found; 64]>);

impl Default for Known {
    fn default() -> Self {
        Self(RefCell::new(std::array::from_fn(|_| Found::default())))
    }
}

/// A `Host` field and what was found by it.
#[derive(Default)]
struct Found {
    text: Vec<u8>,
    /// The address that was connected to, once anything was found.
    local: Option<SocketAddr>,
    /// The server before any host was known.
    before: usize,
    host: Vec<u8>,
    port: Option<u16>,
    server: usize,
}

impl Known {
    /// Where what is found by this field has its place.
    fn place(text: &[u8]) -> usize {
        FixedState::default().hash_one(text) as usize % 64
    }

    /// Gives the request what is known of its field; says whether it is.
    fn recall(&self, ex: &mut Exchange) -> bool {
        let text = ex.headers_in.get(b"Host").unwrap_or_default();
        let known = self.0.borrow();
        let same = |found: &&Found| {
            found.text == text && found.before == ex.server && found.local == Some(ex.conn.local) && !text.is_empty()
        };
        let Some(found) = known.get(Self::place(text)).filter(same) else { return false };
        ex.hostname.clear();
        ex.hostname.extend_from_slice(&found.host);
        (ex.host_port, ex.server) = (found.port, found.server);
        true
    }

    /// Notes what was found by the field of a request, whose server was number `before` until then.
    fn note(&self, ex: &Exchange, before: usize) {
        let text = ex.headers_in.get(b"Host").unwrap_or_default();
        let mut known = self.0.borrow_mut();
        let Some(found) = known.get_mut(Self::place(text)).filter(|_| text.len() <= LONG) else { return };
        found.text.clear();
        found.text.extend_from_slice(text);
        found.host.clear();
        found.host.extend_from_slice(&ex.hostname);
        (found.local, found.before) = (Some(ex.conn.local), before);
        (found.port, found.server) = (ex.host_port, ex.server);
    }
}

/// A target that is no URI.
fn unsplit(ex: &Exchange) -> u16 {
    let shown = ex.uri.get(..memchr::memchr(b':', &ex.uri).unwrap_or(ex.uri.len())).unwrap_or_default();
    let text = "AH03450: HTTP Request Line; Unable to parse URI:";
    logs::error!(ex, Level::Debug, "core", "{} '{}'", text, Bytes(shown.get(..64).unwrap_or(shown)));
    400
}

/// The host in the target stands for the field, for everybody from now on.
fn host_of_target(ex: &mut Exchange) -> Result<(), u16> {
    let authority = std::mem::take(&mut ex.target_authority);
    let (host, port) = if ex.method == b"CONNECT" {
        // Nobody but a host and a port.
        authority.split_at(memchr::memrchr(b':', &authority).unwrap_or(authority.len()))
    } else {
        split_authority(&authority)
    };
    let digits = port.get(1..).unwrap_or_default();
    ex.host_port = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    let read = read_name(ex, host, &mut Vec::new());
    ex.hostname.clear();
    ex.hostname.extend_from_slice(host);
    let fine = read.is_ok();
    if let Ok(name) = read {
        ex.hostname = name;
    } else if !matches!(read, Err(Fault::Numeric)) {
        logs::error!(ex, Level::Debug, "core", "AH00550: Client sent malformed Host header: {}", Bytes(host));
    }
    let field = ex.headers_in.get(b"Host").map(<[u8]>::to_vec);
    if let Some(field) = field.filter(|_| fine) {
        let v6 = ex.hostname.contains(&b':');
        let mut text = Vec::with_capacity(authority.len());
        text.extend_from_slice(if v6 { b"[" } else { b"" });
        text.extend_from_slice(&ex.hostname);
        text.extend_from_slice(if v6 { b"]" } else { b"" });
        text.extend_from_slice(port);
        logs::error!(
            ex,
            Level::Debug,
            "core",
            "AH02417: Replacing host header '{}' with host '{}' given in the request uri",
            Bytes(&field),
            Bytes(&text)
        );
        ex.headers_in.set(b"Host", &text);
    }
    ex.target_authority = authority;
    if fine { Ok(()) } else { Err(400) }
}

enum Fault {
    /// Logged by itself.
    Numeric,
    Malformed,
}

/// The host of a `Host` field; both ways with its port.
fn read_field(ex: &Exchange, text: &[u8], host: &mut Vec<u8>) -> Result<Option<u16>, Option<u16>> {
    host.clear();
    let malformed = |port| {
        logs::error!(ex, Level::Debug, "core", "AH00550: Client sent malformed Host header: {}", Bytes(text));
        Err(port)
    };
    if text.iter().all(u8::is_ascii_digit) {
        return numeric(ex, text).map_or(Err(None), |_: ()| Ok(None));
    }
    let digits = text.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (before, digits) = text.split_at(text.len() - digits);
    let (name, port) = match before {
        [name @ .., b':'] if !digits.is_empty() => {
            let port = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).filter(|port| *port > 0);
            match port.filter(|_| !name.is_empty()) {
                Some(port) => (name, Some(port)),
                None => return malformed(None),
            }
        }
        _ => (text, None),
    };
    match read_name(ex, name, host) {
        Ok(name) => {
            *host = name;
            Ok(port)
        }
        Err(Fault::Numeric) => Err(port),
        Err(Fault::Malformed) => malformed(port.filter(|_| name.first() != Some(&b'['))),
    }
}

fn numeric(ex: &Exchange, text: &[u8]) -> Option<()> {
    let strict = ex.server().get::<CoreServer>().and_then(|conf| conf.strict).unwrap_or(true);
    if strict {
        let what = "AH02416: [strict] purely numeric host names not allowed:";
        logs::error!(ex, Level::Debug, "core", "{} {}", what, Bytes(text));
        return None;
    }
    Some(())
}

/// A host name as httpd keeps it: lower case, no dot at its end, no brackets. `spare` lends its memory.
fn read_name(ex: &Exchange, name: &[u8], spare: &mut Vec<u8>) -> Result<Vec<u8>, Fault> {
    let mut host = std::mem::take(spare);
    host.clear();
    if name.first() == Some(&b'[') {
        let inside = name.strip_prefix(b"[").and_then(|name| name.strip_suffix(b"]")).unwrap_or_default();
        let valid = std::str::from_utf8(inside).is_ok_and(|inside| inside.parse::<Ipv6Addr>().is_ok());
        if !valid {
            return Err(Fault::Malformed);
        }
        host.extend(inside.iter().map(u8::to_ascii_lowercase));
        return Ok(host);
    }
    if name.is_empty() {
        return Ok(host);
    }
    if name.iter().all(u8::is_ascii_digit) && numeric(ex, name).is_none() {
        return Err(Fault::Numeric);
    }
    let mut last = 0;
    for byte in name {
        if matches!(byte, b'/' | b'\\') || (*byte == b'.' && last == b'.') {
            return Err(Fault::Malformed);
        }
        last = *byte;
    }
    host.extend_from_slice(name);
    host.make_ascii_lowercase();
    if host.last() == Some(&b'.') {
        host.pop();
    }
    let strict = ex.server().get::<CoreServer>().and_then(|conf| conf.strict).unwrap_or(true);
    match strict_fault(&host).filter(|_| strict) {
        None => Ok(host),
        Some(at) => {
            let near = host.get(at..).unwrap_or_default();
            let near = near.get(..6).unwrap_or(near);
            let before = if near.is_empty() { "" } else { ", problem near: " };
            logs::error!(
                ex,
                Level::Debug,
                "core",
                "AH02415: [strict] Invalid host name '{}'{}{}",
                Bytes(&host),
                before,
                Bytes(near)
            );
            Err(Fault::Malformed)
        }
    }
}

/// Where a host name is not what RFC 3986 and RFC 1123 allow (its length: as a whole).
fn strict_fault(host: &[u8]) -> Option<usize> {
    let mut decimal = true;
    for (at, byte) in host.iter().enumerate() {
        match byte {
            b'-' | b'_' => decimal = false,
            byte if byte.is_ascii_alphabetic() => decimal = false,
            b'.' | b'0'..=b'9' => {}
            _ => return Some(at),
        }
    }
    if decimal {
        let mut parts = 0;
        let zeros = host.split(|byte| *byte == b'.').any(|part| {
            parts += 1;
            part.is_empty() || (part.len() > 1 && part.first() == Some(&b'0'))
        });
        return (zeros || parts != 4).then_some(host.len());
    }
    // The top-level domain starts with a letter.
    let dot = memchr::memrchr(b'.', host)?;
    let bad = host.get(dot + 1).is_some_and(|byte| !byte.is_ascii_alphabetic());
    bad.then_some(dot)
}

fn find_server(ex: &mut Exchange, named: bool) -> Result<(), u16> {
    let live = ex.live.clone();
    let names = live.generation.select.names(ex.conn.local);
    if ex.hostname.is_empty() {
        if !named
            && ex.uri.first() == Some(&b'/')
            && let Some(server) = names.and_then(|names| names.find_path(&ex.uri))
        {
            ex.server = server;
        }
        return Ok(());
    }
    if let Some(server) = names.and_then(|names| names.find(&ex.hostname)) {
        ex.server = server;
        return Ok(());
    }
    let strict = ex.server().get::<CoreServer>().and_then(|conf| conf.strict_host_check).unwrap_or(false);
    if !strict || (names.is_none() && main_is_named(ex)) {
        return Ok(());
    }
    if names.is_none() {
        logs::error!(
            ex,
            Level::Error,
            "core",
            "AH10156: Requested hostname '{}' did not match any ServerName/ServerAlias in the global server configuration ",
            Bytes(&ex.hostname)
        );
    } else {
        let at = &ex.server().at;
        logs::error!(
            ex,
            Level::Error,
            "core",
            "AH10157: Requested hostname '{}' did not match any ServerName/ServerAlias in the matching virtual host (default vhost for current connection is {}:{})",
            Bytes(&ex.hostname),
            at.file,
            at.line
        );
    }
    Err(400)
}

fn main_is_named(ex: &Exchange) -> bool {
    let rec = &ex.server().rec;
    rec.name.iter().chain(&rec.aliases).any(|name| name.eq_ignore_ascii_case(&ex.hostname))
}

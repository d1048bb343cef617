//! The server's name, port and scheme as the request sees them (`UseCanonicalName`), and URLs made of them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::OnceLock;

use crate::config::core::{Canonical, CoreDir, CoreServer};
use crate::logs::text::push_u64;
use crate::web::Exchange;

/// The name for self-referential URLs, `SERVER_NAME` and `%V`.
pub fn server_name(ex: &Exchange) -> &[u8] {
    let canonical = ex.dir::<CoreDir>().and_then(|dir| dir.use_canonical_name).unwrap_or_default();
    if canonical == Canonical::Off && !ex.hostname.is_empty() {
        return &ex.hostname;
    }
    if canonical == Canonical::Dns
        && let Some(name) = known_name(ex.conn.local.ip().to_canonical())
    {
        return name;
    }
    ex.server().rec.name.as_deref().unwrap_or(b"localhost")
}

/// The name of an address in `/etc/hosts`, for `UseCanonicalName DNS`. The resolver itself is not asked: the request
/// path cannot wait for it, and answers would be ServerName's in most cases.
fn known_name(ip: IpAddr) -> Option<&'static [u8]> {
    static HOSTS: OnceLock<HashMap<IpAddr, Vec<u8>>> = OnceLock::new();
    let hosts = HOSTS.get_or_init(|| {
        let mut known = HashMap::new();
        for line in std::fs::read_to_string("/etc/hosts").unwrap_or_default().lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
            if let (Some(Ok(ip)), Some(name)) = (words.next().map(str::parse::<IpAddr>), words.next()) {
                known.entry(ip).or_insert_with(|| name.to_ascii_lowercase().into_bytes());
            }
        }
        known
    });
    hosts.get(&ip).map(Vec::as_slice)
}

/// The port for self-referential URLs, `SERVER_PORT` and `%p`.
pub fn server_port(ex: &Exchange) -> u16 {
    let dir = ex.dir::<CoreDir>();
    let canonical = dir.and_then(|dir| dir.use_canonical_name).unwrap_or_default();
    let physical = dir.and_then(|dir| dir.use_canonical_port).unwrap_or(false).then(|| ex.conn.local.port());
    let server = ex.server().rec.port;
    let port = match canonical {
        Canonical::On => server.or(physical),
        Canonical::Off | Canonical::Dns => ex.host_port.or(physical).or(server),
    };
    port.unwrap_or_else(|| default_port(ex))
}

/// `http`, or what TLS or the scheme in ServerName make of it.
pub fn scheme(ex: &Exchange) -> &[u8] {
    match ex.server().rec.scheme.as_deref() {
        Some(scheme) => scheme,
        None if ex.conn.secure => b"https",
        None => b"http",
    }
}

/// The port that URLs of this scheme leave out.
pub fn default_port(ex: &Exchange) -> u16 {
    let https = ex.conn.secure || ex.server().rec.scheme.as_deref() == Some(b"https");
    if https { 443 } else { 80 }
}

/// Appends the absolute URL of `path` (already escaped) on this server.
pub fn push_url(ex: &Exchange, path: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(scheme(ex));
    out.extend_from_slice(b"://");
    let name = server_name(ex);
    let bare_v6 = memchr::memchr(b':', name).is_some() && name.first() != Some(&b'[');
    if bare_v6 {
        out.push(b'[');
    }
    out.extend_from_slice(name);
    if bare_v6 {
        out.push(b']');
    }
    let port = server_port(ex);
    if port != default_port(ex) {
        out.push(b':');
        push_u64(out, u64::from(port));
    }
    out.extend_from_slice(path);
}

/// What a mapping module says of the place a request was mapped to; kept in [`Exchange::ext`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// `CONTEXT_PREFIX`: the part of the path that was mapped.
    pub prefix: Vec<u8>,
    /// `CONTEXT_DOCUMENT_ROOT`: what it was mapped to.
    pub root: Vec<u8>,
    /// `DOCUMENT_ROOT` of this request, where a module chose another one than the server's.
    pub document_root: Option<Vec<u8>>,
}

/// The document root that holds for the request.
pub fn document_root(ex: &Exchange) -> &[u8] {
    let own = ex.ext.get::<Context>().and_then(|context| context.document_root.as_deref());
    own.or_else(|| ex.server().get::<CoreServer>().and_then(|core| core.document_root.as_deref()))
        .unwrap_or(DEFAULT_DOCUMENT_ROOT)
}

/// Where documents are looked for without `DocumentRoot`, as in Debian's httpd.
pub const DEFAULT_DOCUMENT_ROOT: &[u8] = b"/var/www/html";

/// `SERVER_SOFTWARE` and the Server field, as `ServerTokens` wants it.
pub fn server_software(ex: &Exchange) -> &[u8] {
    &ex.live.generation.banner
}

/// Notes where a request was mapped to; a document root chosen before stays.
pub fn set_context(ex: &mut Exchange, context: Context) {
    let own = ex.ext.get_mut::<Context>();
    let document_root = context.document_root.or_else(|| own.document_root.take());
    *own = Context { document_root, ..context };
}

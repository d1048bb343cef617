//! Sub-requests that are only looked up: what would become of a request for another path?

use super::{Outcome, chain, host, run};
use crate::base::path::escape_path;
use crate::config::core::CoreServer;
use crate::logs::{self, Level};
use crate::web::{Exchange, Outer, Prior};

/// Fields of the request that speak of its own body or its own resource, and not of another one.
const OWN: &[&[u8]] = &[
    b"Content-Encoding",
    b"Content-Language",
    b"Content-Length",
    b"Content-Location",
    b"Content-MD5",
    b"Content-Range",
    b"Content-Type",
    b"Expires",
    b"Last-Modified",
    b"Transfer-Encoding",
    b"If-Match",
    b"If-Modified-Since",
    b"If-None-Match",
    b"If-Range",
    b"If-Unmodified-Since",
    b"Range",
];

/// Looks `target` up on behalf of `ex`: a request for this path (relative to that of `ex` unless it starts with a
/// slash; a query may follow) goes through all phases from Translate to Fixups, and nothing is sent. `status` of the
/// answer says how that went: 200, or what a phase said instead.
pub async fn lookup(ex: &Exchange, target: &[u8]) -> Exchange {
    let Some(mut sub) = begin(ex) else { return too_deep(ex) };
    if target.first() != Some(&b'/') {
        let end = memchr::memrchr(b'/', &ex.uri).map_or(0, |slash| slash + 1);
        escape_path(ex.uri.get(..end).unwrap_or_default(), &mut sub.unparsed_uri);
    }
    sub.unparsed_uri.extend_from_slice(target);
    host::split_target(&mut sub);
    chain::update(&mut sub);
    let outcome = run::prepare(&mut sub).await;
    ended(sub, outcome)
}

/// The same for a file: the request is taken to be mapped to `file` already, so Translate is left out. Locations apply
/// only where the file lies in the directory of that of `ex`, since only then its path is known.
pub async fn lookup_file(ex: &Exchange, file: &[u8]) -> Exchange {
    let Some(mut sub) = begin(ex) else { return too_deep(ex) };
    let dir = |path: &'_ [u8]| memchr::memrchr(b'/', path).map_or(0, |slash| slash + 1);
    let own = ex.filename.get(..dir(&ex.filename)).unwrap_or_default();
    if file.first() != Some(&b'/') {
        sub.filename.extend_from_slice(own);
    }
    sub.filename.extend_from_slice(file);
    // A slash at the end says that it is a directory; its path is told without.
    let beside = sub.filename.strip_prefix(own).map(|name| name.strip_suffix(b"/").unwrap_or(name));
    let beside = beside.filter(|name| !own.is_empty() && !name.contains(&b'/'));
    if let Some(name) = beside.map(<[u8]>::to_vec) {
        sub.uri.extend_from_slice(ex.uri.get(..dir(&ex.uri)).unwrap_or_default());
        sub.uri.extend_from_slice(&name);
    }
    chain::update(&mut sub);
    let outcome = run::prepare_file(&mut sub).await;
    ended(sub, outcome)
}

/// Makes `ex` what a sub-request that was looked up for it found, in its own name: what was asked for stays, and
/// nothing is redirected that a log or the environment would tell.
pub fn fast_redirect(ex: &mut Exchange, sub: Exchange) {
    ex.proxyreq = sub.proxyreq;
    ex.no_cache &= sub.no_cache;
    ex.uri = sub.uri;
    ex.filename = sub.filename;
    ex.path_info = sub.path_info;
    ex.args = sub.args;
    ex.finfo = sub.finfo;
    ex.handler = sub.handler;
    ex.content_type = sub.content_type;
    ex.content_encoding = sub.content_encoding;
    ex.content_languages = sub.content_languages;
    ex.chain = sub.chain;
    ex.matched = sub.matched;
    ex.planned = sub.planned;
    ex.planned_inputs = sub.planned_inputs;
    for (own, other) in [
        (&mut ex.notes, sub.notes),
        (&mut ex.headers_out, sub.headers_out),
        (&mut ex.err_headers_out, sub.err_headers_out),
        (&mut ex.env, sub.env),
    ] {
        let before = std::mem::replace(own, other);
        for (name, value) in before.iter() {
            own.set_if_absent(name, value);
        }
    }
}

fn ended(mut sub: Exchange, outcome: Outcome) -> Exchange {
    sub.status = match outcome {
        Outcome::Status(status) => status,
        Outcome::Redirect => 302,
        Outcome::Body => 401,
        Outcome::Ok | Outcome::Declined | Outcome::Done => 200,
    };
    sub
}

/// The sub-request before it has a path; `None` when they are nested too deeply.
fn begin(ex: &Exchange) -> Option<Exchange> {
    let most = ex.server().get::<CoreServer>().and_then(|conf| conf.recursion).unwrap_or((10, 10)).1;
    if ex.sub_depth >= most {
        logs::error!(
            ex,
            Level::Error,
            "core",
            "AH00125: Request exceeded the limit of {} subrequest nesting levels due to probable configuration error. Use 'LimitInternalRecursion' to increase the limit if necessary. Use 'LogLevel debug' to get a backtrace.",
            most
        );
        return None;
    }
    Some(empty(ex))
}

fn too_deep(ex: &Exchange) -> Exchange {
    let mut sub = empty(ex);
    sub.status = 500;
    sub
}

fn empty(ex: &Exchange) -> Exchange {
    let mut sub = Exchange::new(ex.live.clone(), ex.conn.clone(), ex.chain.clone());
    sub.server = ex.server;
    sub.sub_depth = ex.sub_depth + 1;
    sub.the_request.clone_from(&ex.the_request);
    sub.method.extend_from_slice(b"GET");
    sub.protocol.extend_from_slice(b"INCLUDED");
    sub.proto_num = ex.proto_num;
    sub.hostname.clone_from(&ex.hostname);
    sub.host_port = ex.host_port;
    sub.client_ip.clone_from(&ex.client_ip);
    sub.client_port = ex.client_port;
    sub.own_host.clone_from(&ex.own_host);
    sub.started = ex.started;
    sub.started_micros = ex.started_micros;
    sub.headers_in.clone_from(&ex.headers_in);
    sub.headers_in.retain(|name, _| !OWN.iter().any(|own| own.eq_ignore_ascii_case(name)));
    sub.env.clone_from(&ex.env);
    sub.redirects = ex.redirects;
    super::aside::inherit(ex, &mut sub);
    sub.ext.get_mut::<Outer>().0 = Some(ex.chain.clone());
    sub.response.prior = Some(Prior { chain: ex.chain.clone(), user: ex.user.clone(), auth_type: ex.auth_type });
    sub
}

//! `ProxyRequests On`: which requests are for somebody else, and so for a forward proxy.

use super::conf::ProxyServer;
use crate::config::{Server, Slots};
use crate::pipe::{self, Outcome};
use crate::web::{Exchange, ProxyKind};

/// Whether the server is a forward proxy.
pub(super) fn wants(server: &Server, _: &Slots) -> bool {
    server.get::<ProxyServer>().is_some_and(|conf| conf.requests == Some(true))
}

/// Takes requests with an absolute target that is not this very server, and CONNECT.
pub(super) fn detect(ex: &mut Exchange) -> Outcome {
    // Only the target decides; what the mapping does not find there is not for the proxy.
    let is_foreign = if ex.target_scheme.is_empty() {
        ex.method == b"CONNECT" && !ex.target_authority.is_empty()
    } else {
        let own = ex.target_scheme.eq_ignore_ascii_case(pipe::names::scheme(ex));
        let slashes = ex.unparsed_uri.get(ex.target_scheme.len()..).is_some_and(|rest| rest.starts_with(b"://"));
        // `http:///x` names nobody, whom httpd takes for the main server.
        let nobody = ex.target_authority.is_empty();
        !own || !slashes || !(if nobody { ex.server == 0 } else { is_own(ex) })
    };
    if is_foreign {
        ex.proxyreq = ProxyKind::Forward;
        let Exchange { uri, filename, handler, unparsed_uri, .. } = ex;
        uri.clone_from(unparsed_uri);
        filename.clear();
        filename.extend_from_slice(b"proxy:");
        filename.extend_from_slice(unparsed_uri);
        handler.clear();
        handler.extend_from_slice(b"proxy-server");
    }
    Outcome::Declined
}

/// Whether the target's host and port are a name or address of the request's server.
fn is_own(ex: &Exchange) -> bool {
    let port = ex.host_port.unwrap_or_else(|| pipe::names::default_port(ex));
    let server = ex.server();
    let host = ex.hostname.as_slice();
    let is_address = server.addrs.iter().any(|addr| {
        let text = addr.text.rsplit_once(':').map_or(addr.text.as_str(), |(host, _)| host);
        let text = text.trim_start_matches('[').trim_end_matches(']');
        text.as_bytes().eq_ignore_ascii_case(host) && addr.port.is_none_or(|own| own == port)
    });
    // Names have no port of their own: that of ServerName has to be written there.
    is_address || (port == server.rec.port.unwrap_or(0) && server.has_name(host))
}

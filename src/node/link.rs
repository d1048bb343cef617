//! Who is at the other end of a connection that speaks HTTP, and the requests that begin there.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::net::TcpStream;

use super::connector::plain;
use super::exchange::{Exchange, Request};
use super::gates::{CERTIFICATE, pem};
use super::heads::is_host;
use super::model;
use super::reports::ErrorReport;
use super::tls::{Hosts, Session};
use super::valves::Valve;
use crate::base::clock::{Clock, SystemClock};

/// A request that cannot be answered by an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused(pub u16, pub &'static str);

impl Refused {
    /// The answer, with an error page.
    pub fn answer(self, request: Request) -> Exchange {
        let mut exchange = Exchange::new(request);
        if self == TRACE {
            exchange.response.set_header("Allow", "HEAD, DELETE, POST, GET, OPTIONS, PUT");
        }
        exchange.response.error(self.0, Some(self.1).filter(|message| !message.is_empty()));
        ErrorReport::of(None).after(&mut exchange);
        exchange
    }
}

/// TRACE where it is not allowed.
pub const TRACE: Refused = Refused(405, "TRACE method is not allowed");

/// Whether a request target has only characters that it may have, and those that the connector lets through besides.
pub fn is_target(path: &[u8], query: Option<&[u8]>, settings: &model::Connector) -> bool {
    let known = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:@/".contains(byte);
    let in_path = |byte: &u8| known(byte) || settings.relaxed_path.as_bytes().contains(byte);
    let in_query = |byte: &u8| known(byte) || *byte == b'?' || settings.relaxed_query.as_bytes().contains(byte);
    path.iter().all(in_path) && query.unwrap_or_default().iter().all(in_query)
}

/// A connection.
#[derive(Debug)]
pub struct Link {
    number: u64,
    peer: SocketAddr,
    local: SocketAddr,
    /// The session that encrypts it, and what else there is on its connector.
    secured: Option<(Session, Arc<Hosts>)>,
}

impl Link {
    /// The connection of a socket.
    ///
    /// # Errors
    /// The socket has no address any more.
    pub fn new(number: u64, peer: SocketAddr, stream: &TcpStream) -> io::Result<Self> {
        Ok(Self { number, peer, local: stream.local_addr()?, secured: None })
    }

    /// The same once it is encrypted.
    #[must_use]
    pub fn secured(self, session: Session, hosts: Arc<Hosts>) -> Self {
        Self { secured: Some((session, hosts)), ..self }
    }

    /// Whether it is encrypted.
    pub fn is_secured(&self) -> bool {
        self.secured.is_some()
    }

    /// A request of which only the connection is known.
    pub fn request(&self, settings: &model::Connector, started: Instant) -> Request {
        let peer = plain(self.peer.ip());
        let mut request = Request {
            peer: Some(peer),
            remote_addr: peer.to_string(),
            remote_host: peer.to_string(),
            remote_port: self.peer.port(),
            local_addr: plain(self.local.ip()).to_string(),
            local_port: self.local.port(),
            server_name: plain(self.local.ip()).to_string(),
            server_port: self.local.port(),
            scheme: settings.scheme.clone(),
            secure: settings.secure,
            started,
            started_at: SystemClock.wall() - i64::try_from(started.elapsed().as_micros()).unwrap_or(0),
            connection: self.number,
            max_parameters: settings.max_parameters,
            max_post: settings.max_post,
            redirect_port: settings.redirect_port,
            ..Request::default()
        };
        if let Some((session, _)) = &self.secured {
            "https".clone_into(&mut request.scheme);
            request.secure = true;
            request.attributes.extend([
                ("jakarta.servlet.request.cipher_suite".to_owned(), session.suite.clone()),
                ("jakarta.servlet.request.key_size".to_owned(), session.bits.to_string()),
                ("org.apache.tomcat.util.net.secure_protocol_version".to_owned(), session.version.to_owned()),
            ]);
            let certificate = session.certificate.as_ref();
            request.attributes.extend(certificate.map(|der| (CERTIFICATE.to_owned(), pem(der))));
        }
        request
    }

    /// Notes which host a request is for; see [`place`].
    ///
    /// # Errors
    /// It is no host, the port is none, or the client connected for another one.
    pub fn place(&self, request: &mut Request, host: &str, settings: &model::Connector) -> Result<(), Refused> {
        place(request, host, settings)?;
        let allowed =
            |(session, hosts): &(Session, Arc<Hosts>)| hosts.allows(session, &request.server_name) || host.is_empty();
        if self.secured.as_ref().is_some_and(|secured| !allowed(secured)) {
            return Err(Refused(400, ""));
        }
        Ok(())
    }
}

/// Notes which host a request is for, an empty one being the connection's own, unless the connector is known by a name.
///
/// # Errors
/// It is no host, or the port is none.
pub fn place(request: &mut Request, host: &str, settings: &model::Connector) -> Result<(), Refused> {
    let bracket = host.rfind(']').unwrap_or(0);
    let (name, port) = match host.rfind(':').filter(|at| *at > bracket) {
        Some(at) => (host.get(..at).unwrap_or_default(), host.get(at + 1..)),
        None => (host, None),
    };
    if !is_host(name) {
        return Err(Refused(400, "The host is no valid name or address"));
    }
    if !name.is_empty() {
        request.server_name = name.to_ascii_lowercase();
        request.server_port = match port {
            Some("") | None if request.scheme == "https" => 443,
            Some("") | None => 80,
            Some(port) => port.parse().map_err(|_| Refused(400, "the Host header names no port"))?,
        };
    }
    if let Some(name) = &settings.proxy_name {
        request.server_name = name.to_ascii_lowercase();
    }
    if settings.proxy_port > 0 {
        request.server_port = settings.proxy_port;
    }
    Ok(())
}

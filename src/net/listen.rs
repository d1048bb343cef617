//! Which addresses to listen on, and what is kept of those that are open.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use super::opener::{Opener, SocketOptions};
use crate::config::Listen;

/// An open address: one socket for each worker thread.
#[derive(Debug)]
pub struct Listener {
    /// The address.
    pub addr: SocketAddr,
    /// Protocol word of the `Listen` line.
    pub protocol: String,
    /// One for each thread.
    pub sockets: Vec<TcpListener>,
}

/// An address that could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("could not bind to address {addr}")]
pub struct BindError {
    /// The address.
    pub addr: SocketAddr,
    /// Why.
    pub source: io::Error,
}

/// The address of a `Listen` line; without one it is every address, IPv6 included where the system has it.
fn address(listen: &Listen, v6: bool) -> SocketAddr {
    let any = if v6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
    SocketAddr::new(listen.addr.unwrap_or(any), listen.port)
}

/// Whether the system has IPv6.
fn has_v6() -> bool {
    let socket = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::STREAM, None);
    socket.is_ok_and(|socket| socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)).into()).is_ok())
}

/// The addresses of `Listen` lines, each once, and how their sockets are made.
pub fn plan(
    wanted: &[Listen],
    options: impl Fn(&Listen) -> SocketOptions,
) -> Vec<(SocketAddr, SocketOptions, &Listen)> {
    let v6 = has_v6();
    let mut planned: Vec<(SocketAddr, SocketOptions, &Listen)> = Vec::with_capacity(wanted.len());
    for listen in wanted {
        let addr = address(listen, v6);
        if planned.iter().any(|(other, _, _)| *other == addr) {
            continue;
        }
        let v4_apart = addr.ip() == Ipv6Addr::UNSPECIFIED
            && wanted.iter().any(|w| w.port == addr.port() && w.addr == Some(Ipv4Addr::UNSPECIFIED.into()));
        planned.push((addr, SocketOptions { v6_only: v4_apart, ..options(listen) }, listen));
    }
    planned
}

/// Opens what is wanted and not open yet; what `open` has is shared. Nothing of `open` is closed.
///
/// # Errors
/// The first address that could not be opened; what was opened before it is closed again.
pub fn open(
    opener: &dyn Opener,
    wanted: &[Listen],
    options: impl Fn(&Listen) -> SocketOptions,
    threads: usize,
    open: &[Arc<Listener>],
) -> Result<Vec<Arc<Listener>>, BindError> {
    let mut listeners: Vec<Arc<Listener>> = Vec::with_capacity(wanted.len());
    for (addr, options, listen) in plan(wanted, options) {
        if let Some(old) = open.iter().find(|old| old.addr == addr) {
            listeners.push(old.clone());
            continue;
        }
        match opener.listen(addr, &options, threads) {
            Ok(sockets) => {
                listeners.push(Arc::new(Listener { addr, protocol: listen.protocol.clone(), sockets }));
            }
            Err(source) => return Err(BindError { addr, source }),
        }
    }
    Ok(listeners)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Position;
    use crate::net::opener::InProcess;

    fn options(_: &Listen) -> SocketOptions {
        SocketOptions { backlog: 8, send_buffer: 0, receive_buffer: 0, v6_only: false, defer_accept: 0 }
    }

    fn wanted(port: u16) -> Listen {
        let addr = Some(Ipv4Addr::LOCALHOST.into());
        Listen { addr, port, protocol: "http".to_owned(), at: Position::default() }
    }

    #[test]
    fn open_addresses_are_kept_and_taken_ones_refused() {
        let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
        let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let taken = wanted(port(&holder));
        let free = port(&TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        let first = open(&InProcess, &[wanted(free)], options, 2, &[]).unwrap();
        assert_eq!((first.len(), first[0].sockets.len()), (1, 2));
        let error = open(&InProcess, &[wanted(free), taken.clone()], options, 2, &first).unwrap_err();
        assert_eq!(error.addr.port(), taken.port);
        let again = open(&InProcess, &[wanted(free)], options, 2, &first).unwrap();
        assert!(Arc::ptr_eq(&first[0], &again[0]), "what is open is kept");
        // Nobody else can come in, although our own sockets share the address.
        assert!(open(&InProcess, &[wanted(free)], options, 2, &[]).is_err());
    }
}

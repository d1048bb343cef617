//! What needs privileges: done by the process itself today, by somebody it asks tomorrow.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// How a listening socket is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketOptions {
    /// Length of the queue of connections not yet accepted.
    pub backlog: i32,
    /// Bytes; 0 is the system's choice.
    pub send_buffer: usize,
    /// Bytes; 0 is the system's choice.
    pub receive_buffer: usize,
    /// An IPv6 wildcard takes IPv6 only, since IPv4 has a listener of its own.
    pub v6_only: bool,
}

/// Opens what an unprivileged process may not.
pub trait Opener: Send + Sync {
    /// `count` sockets that listen on one address, among which the system spreads connections.
    ///
    /// # Errors
    /// The system's, of the first step that failed.
    fn listen(&self, addr: SocketAddr, options: &SocketOptions, count: usize) -> io::Result<Vec<TcpListener>>;
}

/// Opens things itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct InProcess;

impl Opener for InProcess {
    fn listen(&self, addr: SocketAddr, options: &SocketOptions, count: usize) -> io::Result<Vec<TcpListener>> {
        let mut sockets = Vec::with_capacity(count.max(1));
        for nth in 0..count.max(1) {
            let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
            socket.set_reuse_address(true)?;
            socket.set_keepalive(true)?;
            socket.set_tcp_nodelay(true)?;
            if addr.is_ipv6() {
                socket.set_only_v6(options.v6_only)?;
            }
            // The first one binds alone, so that an address in use by somebody else is an error; only then it lets
            // the others share it.
            if nth > 0 {
                socket.set_reuse_port(true)?;
            }
            socket.bind(&addr.into())?;
            if nth == 0 && count > 1 {
                socket.set_reuse_port(true)?;
            }
            if options.send_buffer > 0 {
                socket.set_send_buffer_size(options.send_buffer)?;
            }
            if options.receive_buffer > 0 {
                socket.set_recv_buffer_size(options.receive_buffer)?;
            }
            socket.set_nonblocking(true)?;
            sockets.push(socket);
        }
        for socket in &sockets {
            socket.listen(options.backlog)?;
        }
        Ok(sockets.into_iter().map(TcpListener::from).collect())
    }
}

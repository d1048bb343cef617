//! What needs privileges: done by the process itself (`-X`, and the steward), or handed to it by the steward, which has
//! done it for what the configuration asks and nothing else.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use nix::libc;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::SetUsize;
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
    /// How many seconds a connection may wait for its first byte before it is accepted without; 0 accepts at once.
    pub defer_accept: u32,
}

impl SocketOptions {
    /// Has the system hand out a connection together with its request: one that is answered at once is never waited for.
    ///
    /// # Errors
    /// The system's.
    pub fn defer(&self, listener: &impl AsFd) -> io::Result<()> {
        if self.defer_accept > 0 {
            setsockopt(listener, DeferAccept, &usize::try_from(self.defer_accept).unwrap_or(usize::MAX))?;
        }
        Ok(())
    }
}

/// `TCP_DEFER_ACCEPT`.
#[derive(Clone)]
struct DeferAccept;

nix::setsockopt_impl!(DeferAccept, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, usize, SetUsize);

/// Opens what an unprivileged process may not.
pub trait Opener: Send + Sync {
    /// `count` sockets that listen on one address, among which the system spreads connections.
    ///
    /// # Errors
    /// The system's, of the first step that failed.
    fn listen(&self, addr: SocketAddr, options: &SocketOptions, count: usize) -> io::Result<Vec<TcpListener>>;

    /// A log file, to append to.
    ///
    /// # Errors
    /// The system's.
    fn log_file(&self, path: &Path) -> io::Result<File>;

    /// A file for a state of ours, to read and write; nobody else may.
    ///
    /// # Errors
    /// The system's.
    fn state_file(&self, path: &Path) -> io::Result<File>;

    /// The input of a log program that somebody else runs; `None`: whoever asks runs it.
    ///
    /// # Errors
    /// Why it is not running.
    fn log_program(&self, command: &[u8], shell: bool) -> io::Result<Option<OwnedFd>>;
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
            options.defer(&socket)?;
            socket.set_nonblocking(true)?;
            sockets.push(socket);
        }
        for socket in &sockets {
            socket.listen(options.backlog)?;
        }
        Ok(sockets.into_iter().map(TcpListener::from).collect())
    }

    fn log_file(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().append(true).create(true).open(path)
    }

    fn state_file(&self, path: &Path) -> io::Result<File> {
        use std::os::unix::fs::OpenOptionsExt;
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
    }

    fn log_program(&self, _: &[u8], _: bool) -> io::Result<Option<OwnedFd>> {
        Ok(None)
    }
}

/// Hands out what it was given, once.
#[derive(Debug, Default)]
pub struct Granted(Mutex<Grants>);

/// What somebody with more rights has opened.
#[derive(Debug, Default)]
pub struct Grants {
    /// Listening sockets by their address.
    pub listeners: HashMap<SocketAddr, Vec<TcpListener>>,
    /// Log files by their path.
    pub files: HashMap<PathBuf, File>,
    /// Inputs of log programs by their command line and whether a shell reads that.
    pub programs: HashMap<(Vec<u8>, bool), OwnedFd>,
}

impl Granted {
    /// Adds what was opened, and drops what nobody wanted of what was there.
    pub fn grant(&self, grants: Grants) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = grants;
    }

    fn take<T>(&self, take: impl FnOnce(&mut Grants) -> Option<T>) -> io::Result<T> {
        let mut grants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        take(&mut grants).ok_or_else(|| io::ErrorKind::PermissionDenied.into())
    }
}

impl Opener for Granted {
    fn listen(&self, addr: SocketAddr, _: &SocketOptions, _: usize) -> io::Result<Vec<TcpListener>> {
        self.take(|grants| grants.listeners.remove(&addr))
    }

    fn log_file(&self, path: &Path) -> io::Result<File> {
        self.take(|grants| grants.files.remove(path))
    }

    fn state_file(&self, path: &Path) -> io::Result<File> {
        self.take(|grants| grants.files.remove(path))
    }

    fn log_program(&self, command: &[u8], shell: bool) -> io::Result<Option<OwnedFd>> {
        self.take(|grants| grants.programs.remove(&(command.to_vec(), shell))).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Write};
    use std::net::{Ipv4Addr, TcpStream};

    use super::*;

    #[test]
    fn a_deferred_connection_is_handed_out_with_its_first_byte() {
        let options = SocketOptions { backlog: 8, send_buffer: 0, receive_buffer: 0, v6_only: false, defer_accept: 30 };
        let listeners = InProcess.listen((Ipv4Addr::LOCALHOST, 0).into(), &options, 1).unwrap();
        let mut client = TcpStream::connect(listeners[0].local_addr().unwrap()).unwrap();
        assert_eq!(listeners[0].accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        client.write_all(b"x").unwrap();
        listeners[0].set_nonblocking(false).unwrap();
        let (_, peer) = listeners[0].accept().unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
    }
}

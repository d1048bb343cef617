//! TCP connections of both directions.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;

use bytes::{Buf, Bytes};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};

use super::super::config::{Config, ReceiverConfig, SenderConfig};
use super::super::core::{Core, Input};
use super::super::stack::Now;
use super::CONNS;

/// Bytes read from one connection before another gets its turn.
const TURN: usize = 1 << 20;
/// Buffers given to the system at a time.
const SLICES: usize = 64;

pub(super) struct Conns {
    all: HashMap<u64, Conn>,
    /// Connections that have bytes to read.
    ready: VecDeque<u64>,
    /// Connections that have bytes to write and may be writable.
    dirty: HashSet<u64>,
    sender: SenderConfig,
    receiver: ReceiverConfig,
}

struct Conn {
    stream: TcpStream,
    out: VecDeque<Bytes>,
    connecting: bool,
    in_ready: bool,
    /// Its other side sends nothing more, which only reading to the end tells.
    ending: bool,
}

impl Conns {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            all: HashMap::new(),
            ready: VecDeque::new(),
            dirty: HashSet::new(),
            sender: config.sender.clone(),
            receiver: config.receiver.clone(),
        }
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(super) fn connect(&mut self, conn: u64, to: SocketAddr, registry: &Registry) -> io::Result<()> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(self.sender.tcp_no_delay)?;
        socket.set_keepalive(self.sender.so_keep_alive)?;
        // What the system makes of a size is its own business.
        let _ = socket.set_send_buffer_size(self.sender.tx_buf_size as usize);
        let _ = socket.set_recv_buffer_size(self.sender.rx_buf_size as usize);
        match socket.connect(&to.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(IN_PROGRESS) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        self.add(conn, TcpStream::from_std(socket.into()), true, registry)
    }

    pub(super) fn accepted(&mut self, conn: u64, stream: TcpStream, registry: &Registry) -> io::Result<()> {
        let socket = socket2::SockRef::from(&stream);
        socket.set_tcp_nodelay(self.receiver.tcp_no_delay)?;
        socket.set_keepalive(self.receiver.so_keep_alive)?;
        self.add(conn, stream, false, registry)
    }

    fn add(&mut self, conn: u64, mut stream: TcpStream, connecting: bool, registry: &Registry) -> io::Result<()> {
        let token = usize::try_from(conn).ok().and_then(|n| n.checked_add(CONNS)).ok_or(io::ErrorKind::Other)?;
        registry.register(&mut stream, Token(token), Interest::READABLE | Interest::WRITABLE)?;
        let new = Conn { stream, out: VecDeque::new(), connecting, in_ready: false, ending: false };
        self.all.insert(conn, new);
        Ok(())
    }

    pub(super) fn write(&mut self, conn: u64, bytes: Bytes) {
        if let Some(of) = self.all.get_mut(&conn) {
            of.out.push_back(bytes);
            self.dirty.insert(conn);
        }
    }

    /// Closes; what the system does not take at once is lost, so that nobody who does not read can
    /// make us keep anything.
    pub(super) fn close(&mut self, conn: u64) {
        self.dirty.remove(&conn);
        if let Some(mut of) = self.all.remove(&conn).filter(|of| !of.connecting) {
            let _ = drain(&mut of);
        }
    }

    /// A connection is reported readable or writable.
    pub(super) fn ready(&mut self, conn: u64, event: &Event, core: &mut Core, now: Now) {
        let Some(of) = self.all.get_mut(&conn) else { return };
        if of.connecting {
            let failed = match of.stream.take_error() {
                Ok(None) if of.stream.peer_addr().is_ok() => None,
                // Neither made nor failed yet.
                Ok(None) if !event.is_error() && !event.is_write_closed() => return,
                Ok(None) => Some(io::ErrorKind::ConnectionRefused),
                Ok(Some(error)) | Err(error) => Some(error.kind()),
            };
            if let Some(why) = failed {
                return self.lost(conn, why, core, now);
            }
            of.connecting = false;
            core.input(now, conn, &Input::Connected);
        }
        if event.is_writable() && !of.out.is_empty() {
            self.dirty.insert(conn);
        }
        of.ending |= event.is_read_closed() || event.is_error();
        if (event.is_readable() || event.is_read_closed() || event.is_error()) && !of.in_ready {
            of.in_ready = true;
            self.ready.push_back(conn);
        }
    }

    fn lost(&mut self, conn: u64, why: io::ErrorKind, core: &mut Core, now: Now) {
        self.dirty.remove(&conn);
        if self.all.remove(&conn).is_some() {
            core.input(now, conn, &Input::Closed(why));
        }
    }

    /// Writes what waits; whether anything happened.
    pub(super) fn flush(&mut self, core: &mut Core, now: Now) -> bool {
        let mut happened = false;
        for conn in std::mem::take(&mut self.dirty) {
            let Some(of) = self.all.get_mut(&conn).filter(|of| !of.connecting) else { continue };
            match drain(of) {
                Ok(0) => {}
                Ok(n) => {
                    happened = true;
                    core.input(now, conn, &Input::Wrote(n));
                }
                Err(error) => {
                    happened = true;
                    self.lost(conn, error.kind(), core, now);
                }
            }
        }
        happened
    }

    /// Reads from the connection whose turn it is; whether there was one.
    pub(super) fn read_one(&mut self, core: &mut Core, now: Now, scratch: &mut [u8]) -> bool {
        let Some(conn) = self.ready.pop_front() else { return false };
        let Some(of) = self.all.get_mut(&conn) else { return true };
        of.in_ready = false;
        let mut turn = 0;
        while let Some(of) = self.all.get_mut(&conn) {
            if turn >= TURN {
                of.in_ready = true;
                self.ready.push_back(conn);
                break;
            }
            match of.stream.read(scratch) {
                Ok(0) => {
                    self.lost(conn, io::ErrorKind::UnexpectedEof, core, now);
                    break;
                }
                Ok(n) => {
                    turn += n;
                    // A read that does not fill the buffer has taken all there was; what comes later is reported anew.
                    let all = n < scratch.len() && !of.ending;
                    if let Some(bytes) = scratch.get(..n) {
                        core.input(now, conn, &Input::Read(bytes));
                    }
                    if all {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.lost(conn, error.kind(), core, now);
                    break;
                }
            }
        }
        true
    }
}

/// EINPROGRESS of Linux; elsewhere a connection under way is reported as one that would block.
const IN_PROGRESS: i32 = 115;

/// Writes as much as goes.
fn drain(of: &mut Conn) -> io::Result<usize> {
    let mut total = 0;
    while !of.out.is_empty() {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut count = 0;
        for (slice, bytes) in slices.iter_mut().zip(&of.out) {
            *slice = IoSlice::new(bytes);
            count += 1;
        }
        let mut n = match of.stream.write_vectored(slices.get(..count).unwrap_or_default()) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        total += n;
        while let Some(front) = of.out.front_mut() {
            if front.len() > n {
                front.advance(n);
                break;
            }
            n -= front.len();
            of.out.pop_front();
        }
    }
    Ok(total)
}

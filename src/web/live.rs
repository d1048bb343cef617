//! What a worker thread and a connection lend to their requests.

use std::any::{Any, TypeId};
use std::cell::{Cell, OnceCell, RefCell};
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::sync::Arc;

use smallvec::SmallVec;

use super::client_host::ClientHost;
use super::peer::Peer;
use crate::base::addr::ip_text;
use crate::config::Generation;

/// A place where complete lines go (a log); shared by all threads.
pub trait LineSink: Send + Sync {
    /// Writes one line whole, line end included, in one piece.
    fn line(&self, line: &[u8]);

    /// Writes one line now or together with later ones (BufferedLogs).
    fn hold(&self, line: &[u8]) {
        self.line(line);
    }

    /// Writes what is held back.
    fn flush(&self) {}

    /// Writes an entry of the error log of this severity (0 emerg … 7 debug and finer).
    fn entry(&self, _severity: u8, line: &[u8]) {
        self.line(line);
    }

    /// Whether it puts a time in front of lines itself.
    fn dates(&self) -> bool {
        false
    }

    /// The file lines go to, if there is one.
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// One generation as one worker thread sees it: the shared tables and the thread's own caches for them.
pub struct Live {
    /// The configuration.
    pub generation: Arc<Generation>,
    /// Log targets by the index that configuration values hold (`modules::log_config` and the error log).
    pub sinks: Arc<[Arc<dyn LineSink>]>,
    /// A handful, looked up several times a request.
    locals: RefCell<Vec<(TypeId, Rc<dyn Any>)>>,
}

impl Live {
    /// A fresh view.
    pub fn new(generation: Arc<Generation>, sinks: Arc<[Arc<dyn LineSink>]>) -> Self {
        Self { generation, sinks, locals: RefCell::default() }
    }

    /// This thread's one `T` for this generation (a cache), made by `make` when first asked for.
    pub fn local<T: 'static>(&self, make: impl FnOnce() -> T) -> Rc<T> {
        let id = TypeId::of::<T>();
        let found = self.locals.borrow().iter().find(|(known, _)| *known == id).map(|(_, local)| local.clone());
        if let Some(found) = found.and_then(|found| found.downcast::<T>().ok()) {
            return found;
        }
        let made = Rc::new(make());
        self.locals.borrow_mut().push((id, made.clone()));
        made
    }
}

/// Id of a request or a connection in the error log: 11 characters, or the 27 of mod_unique_id.
#[derive(Clone, Copy, Debug)]
pub struct LogId {
    text: [u8; 27],
    len: u8,
}

impl LogId {
    /// The first 27 bytes of `text`.
    pub fn new(text: &[u8]) -> Self {
        let mut id = Self { text: [0; 27], len: 0 };
        for (place, byte) in id.text.iter_mut().zip(text) {
            *place = *byte;
            id.len += 1;
        }
        id
    }

    /// The text.
    pub fn text(&self) -> &[u8] {
        self.text.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// What is known of a TLS session.
#[derive(Default)]
pub struct Secure {
    /// The name that the client asked for, in lower case.
    pub sni: Option<Box<[u8]>>,
    /// Version as OpenSSL calls it.
    pub protocol: &'static str,
    /// Suite as OpenSSL calls it.
    pub cipher: &'static str,
    /// Bits of its key.
    pub bits: u16,
    /// An earlier session goes on.
    pub resumed: bool,
    /// The protocol above that was agreed on.
    pub alpn: Option<Box<[u8]>>,
    /// Certificates of the client.
    pub peer: Peer,
    /// Who judges them.
    pub judge: Option<Arc<dyn Any + Send + Sync>>,
    /// Stands for the session in variables: httpd shows OpenSSL's number of it.
    pub session: Option<[u8; 32]>,
    /// Our certificate.
    pub own: Option<Arc<[u8]>>,
    /// What of the configuration the handshake was made with.
    pub setup: Option<Arc<dyn Any + Send + Sync>>,
}

/// One client connection.
pub struct Conn {
    /// Number of the connection in this process.
    pub id: u64,
    /// Our address.
    pub local: SocketAddr,
    /// The peer's address.
    pub peer: SocketAddr,
    /// The peer's IP as text.
    pub peer_ip: SmallVec<[u8; 16]>,
    /// Our IP as text.
    pub local_ip: SmallVec<[u8; 16]>,
    /// The client that a PROXY header names: its IP as text, and its port.
    pub forwarded: OnceCell<(SmallVec<[u8; 16]>, u16)>,
    /// The name behind the peer's address; all streams of a connection share it.
    pub host: Rc<ClientHost>,
    /// The user that the peer's machine says the connection belongs to (RFC 1413), once it was asked.
    pub ident: Rc<OnceCell<Box<[u8]>>>,
    /// Index of the default server for this connection's address.
    pub default_server: Cell<usize>,
    /// Serial of the generation that index belongs to.
    pub generation: Cell<u64>,
    /// Requests served before the current one.
    pub keepalives: Cell<u32>,
    /// TLS is spoken on it.
    pub secure: bool,
    /// What the handshake came to, once it did.
    pub tls: OnceCell<Rc<Secure>>,
    /// The client went away.
    pub aborted: Cell<bool>,
    /// It ends with the current request, of which the client is told.
    pub ending: Cell<bool>,
    /// Error log id (`%{c}L`), made with the connection's first entry there.
    pub log_id: OnceCell<LogId>,
}

impl Conn {
    /// Connection number `id` between these addresses, nothing served on it yet, for the servers of `generation`.
    pub fn new(id: u64, local: SocketAddr, peer: SocketAddr, generation: &Generation) -> Self {
        Self {
            id,
            local,
            peer,
            peer_ip: ip_text(peer.ip()),
            local_ip: ip_text(local.ip()),
            forwarded: OnceCell::new(),
            host: Rc::default(),
            ident: Rc::default(),
            default_server: Cell::new(generation.select.default_server(local)),
            generation: Cell::new(generation.serial),
            keepalives: Cell::new(0),
            secure: false,
            tls: OnceCell::new(),
            aborted: Cell::new(false),
            ending: Cell::new(false),
            log_id: OnceCell::new(),
        }
    }
    /// One of the streams of this connection, as a connection of its own: what happens to it happens to no other.
    #[must_use]
    pub fn stream(&self) -> Self {
        Self {
            id: self.id,
            local: self.local,
            peer: self.peer,
            peer_ip: SmallVec::from_slice(&self.peer_ip),
            local_ip: SmallVec::from_slice(&self.local_ip),
            forwarded: self.forwarded.clone(),
            host: self.host.clone(),
            ident: self.ident.clone(),
            default_server: self.default_server.clone(),
            generation: self.generation.clone(),
            keepalives: Cell::new(0),
            secure: self.secure,
            tls: self.tls.clone(),
            aborted: Cell::new(false),
            ending: Cell::new(false),
            log_id: OnceCell::new(),
        }
    }
}

//! What `mod_dumpio` shows of a connection: the bytes that come and go, as entries of the error log at trace7.
//!
//! Its lines tell of httpd's buckets and of how they are asked for. Bytes are told of in the same pieces here: heads by
//! the line, bodies by what is read and written at once.

use std::cell::Cell;
use std::rc::Rc;

use super::error::{OfConn, Source};
use super::{Bytes, Errno, Level};
use crate::config::{Conf, Server, shared_slot};
use crate::web::{Conn, Live};

/// The most bytes of one entry: as they may become four times as long, an entry holds no more.
const PIECE: usize = 8192 / 4 - 80;

/// The most that is asked for of a body at once.
const READ: usize = 8192;

/// `DumpIOInput` and `DumpIOOutput` of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DumpIo {
    /// What comes is shown.
    pub input: bool,
    /// What goes is shown.
    pub output: bool,
}

impl Conf for DumpIo {
    const SLOT: usize = shared_slot::DUMP_IO;

    fn merge(_: &Self, add: &Self) -> Self {
        *add
    }
}

/// Shows the bytes of a connection.
pub struct Dump {
    live: Rc<Live>,
    conn: Rc<Conn>,
    wanted: DumpIo,
    /// A line that says that something goes waits for what does.
    open: Cell<bool>,
    /// How much of a response was told of.
    told: Cell<Told>,
    /// Bytes that were looked at before they were read.
    seen: Cell<usize>,
}

/// How much of the end of a response was told of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Body,
    All,
}

impl Dump {
    /// The one of a connection, where the server that it came to shows anything and LogLevel lets it through.
    pub fn new(live: &Rc<Live>, conn: &Rc<Conn>) -> Option<Box<Self>> {
        let server = live.generation.servers.get(conn.default_server.get());
        let wanted = *server.and_then(Server::get::<DumpIo>).filter(|io| io.input || io.output)?;
        OfConn(live, conn).enabled(Level::Trace7, "dumpio").then(|| {
            Box::new(Self {
                live: live.clone(),
                conn: conn.clone(),
                wanted,
                open: Cell::new(false),
                told: Cell::new(Told::Nothing),
                seen: Cell::new(0),
            })
        })
    }

    /// Whether it is the text of a connection under TLS.
    pub fn is_secure(&self) -> bool {
        self.conn.secure
    }

    /// Something is asked for.
    pub fn asks(&self, mode: &str, bytes: usize) {
        if self.wanted.input {
            let of = OfConn(&self.live, &self.conn);
            super::error!(of, Level::Trace7, "dumpio", "mod_dumpio: dumpio_in [{mode}] {bytes} readbytes");
        }
    }

    /// This comes.
    pub fn came(&self, bytes: &[u8]) {
        if self.wanted.input {
            self.data("dumpio_in", if self.conn.secure { "TRANSIENT" } else { "HEAP" }, bytes);
        }
    }

    /// Nothing comes, for this reason.
    pub fn fails(&self, why: Errno) {
        if self.wanted.input {
            let of = OfConn(&self.live, &self.conn);
            super::error!(of, Level::Trace7, "dumpio", why => "mod_dumpio: dumpio_in - {}", why.0);
        }
    }

    /// What comes is going to be read.
    pub fn begins(&self) {
        if self.conn.secure {
            self.asks("init-blocking", 0);
        }
    }

    /// Something is asked for without taking it, and this of it is there.
    pub fn peeks(&self, mode: &str, bytes: usize, there: &[u8]) {
        self.asks(mode, bytes);
        let there = there.get(..bytes).unwrap_or(there);
        self.came(there);
        if there.is_empty() && self.conn.secure {
            self.fails(Errno(nix::libc::EAGAIN));
        }
        self.seen.set(there.len());
    }

    /// Lines are read.
    pub fn lines(&self, bytes: &[u8]) {
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.asks("getline-blocking", 0);
            let seen = self.seen.get();
            let (seen, rest) = line.split_at(seen.min(line.len()));
            self.seen.set(self.seen.get() - seen.len());
            self.came(seen);
            self.came(rest);
        }
    }

    /// Lines are read, and then the end, which was `heard` before or not.
    pub fn end(&self, bytes: &[u8], heard: bool) {
        self.lines(bytes);
        self.asks("getline-blocking", 0);
        if heard || !bytes.is_empty() || self.conn.secure {
            self.fails(Errno::EOF);
        }
    }

    /// A piece of a body is read, of which so much is left.
    pub fn body(&self, bytes: &[u8], left: u64) {
        let mut left = usize::try_from(left).unwrap_or(usize::MAX);
        for piece in bytes.chunks(READ) {
            self.asks("readbytes-blocking", left.min(READ));
            self.came(piece);
            left = left.saturating_sub(piece.len());
        }
    }

    /// Something goes out.
    pub fn goes(&self) {
        if self.wanted.output && !self.open.replace(true) {
            super::error!(OfConn(&self.live, &self.conn), Level::Trace7, "dumpio", "mod_dumpio: dumpio_out");
        }
    }

    /// This goes out, from that kind of memory.
    pub fn sends(&self, kind: &str, bytes: &[u8]) {
        if self.wanted.output {
            self.goes();
            self.data("dumpio_out", kind, bytes);
        }
    }

    /// A mark goes out.
    pub fn marks(&self, kind: &str) {
        if self.wanted.output {
            self.goes();
            let of = OfConn(&self.live, &self.conn);
            super::error!(of, Level::Trace7, "dumpio", "mod_dumpio:  dumpio_out (metadata-{kind}): 0 bytes");
        }
    }

    /// That is all that goes out together.
    pub fn gone(&self) {
        self.open.set(false);
    }

    /// All of a response's body has gone out.
    pub fn body_ends(&self) {
        if self.told.get() == Told::Nothing {
            self.told.set(Told::Body);
            self.marks("EOS");
            self.gone();
        }
    }

    /// All of a response has gone out.
    pub fn response_ends(&self) {
        self.body_ends();
        if self.told.replace(Told::All) != Told::All {
            self.marks("EOR");
            self.gone();
        }
    }

    /// One of several responses that go out at once has gone out.
    pub fn one_ends(&self) {
        for kind in ["EOS", "EOR"] {
            self.marks(kind);
            self.gone();
        }
    }

    /// Another response follows.
    pub fn next(&self) {
        self.told.set(Told::Nothing);
        self.gone();
    }

    /// All that waits goes out now.
    pub fn flushes(&self) {
        self.marks("FLUSH");
        self.gone();
    }

    /// The connection ends.
    pub fn closes(&self) {
        self.marks("FLUSH");
        self.marks("EOC");
        self.gone();
    }

    fn data(&self, way: &str, kind: &str, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let of = OfConn(&self.live, &self.conn);
        super::error!(of, Level::Trace7, "dumpio", "mod_dumpio:  {way} (data-{kind}): {} bytes", bytes.len());
        for piece in bytes.chunks(PIECE) {
            // As httpd's formatting, which ends there.
            let text = piece.split(|byte| *byte == 0).next().unwrap_or_default();
            super::error!(of, Level::Trace7, "dumpio", "mod_dumpio:  {way} (data-{kind}): {}", Bytes(text));
        }
    }
}

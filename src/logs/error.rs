//! Who writes to the error log: a request, a connection, a server, or the process.

use std::cell::{OnceCell, RefCell};
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use base64::Engine;

use super::entry::{Entry, ErrorLog, Subject};
use super::errno::Errno;
use super::level::{Level, LogLevels, level_of};
use crate::base::clock::{Clock, SystemClock};
use crate::config::Server;
use crate::web::{Chain, Conn, Exchange, LineSink, Live, LogId};

/// Something an entry can be about.
pub trait Source {
    /// Whether entries of this level and module are written. Notices always are, as in httpd.
    fn enabled(&self, level: Level, module: &'static str) -> bool;
    /// What the line says of the client, the server and the request.
    fn subject(&self) -> Subject<'_>;
}

impl<T: Source + ?Sized> Source for &T {
    #[inline]
    fn enabled(&self, level: Level, module: &'static str) -> bool {
        (**self).enabled(level, module)
    }

    fn subject(&self) -> Subject<'_> {
        (**self).subject()
    }
}

impl<T: Source + ?Sized> Source for &mut T {
    #[inline]
    fn enabled(&self, level: Level, module: &'static str) -> bool {
        (**self).enabled(level, module)
    }

    fn subject(&self) -> Subject<'_> {
        (**self).subject()
    }
}

impl Source for Exchange {
    #[inline]
    fn enabled(&self, level: Level, module: &'static str) -> bool {
        level == Level::Notice || level <= level_of(self.server().get::<LogLevels>(), self.dir::<LogLevels>(), module)
    }

    fn subject(&self) -> Subject<'_> {
        Subject {
            live: Some(&self.live),
            server: self.server,
            conn: Some(&self.conn),
            request: Some(self),
            remote: None,
        }
    }
}

/// A connection without a request.
#[derive(Clone, Copy)]
pub struct OfConn<'a>(pub &'a Live, pub &'a Conn);

impl Source for OfConn<'_> {
    fn enabled(&self, level: Level, module: &'static str) -> bool {
        OfServer(self.0, self.1.default_server.get()).enabled(level, module)
    }

    fn subject(&self) -> Subject<'_> {
        Subject {
            live: Some(self.0),
            server: self.1.default_server.get(),
            conn: Some(self.1),
            request: None,
            remote: None,
        }
    }
}

/// A server, by its index.
#[derive(Clone, Copy)]
pub struct OfServer<'a>(pub &'a Live, pub usize);

impl OfServer<'_> {
    fn server(&self) -> Option<&Server> {
        self.0.generation.servers.get(self.1)
    }
}

impl Source for OfServer<'_> {
    fn enabled(&self, level: Level, module: &'static str) -> bool {
        level == Level::Notice || level <= level_of(self.server().and_then(Server::get::<LogLevels>), None, module)
    }

    fn subject(&self) -> Subject<'_> {
        Subject { live: Some(self.0), server: self.1, conn: None, request: None, remote: None }
    }
}

/// A request, as a filter of its body knows it while others hold it.
#[derive(Clone)]
pub struct OfBody {
    live: Rc<Live>,
    conn: Rc<Conn>,
    chain: Rc<Chain>,
    server: usize,
}

impl OfBody {
    /// The one of this request.
    pub fn new(ex: &Exchange) -> Self {
        Self { live: ex.live.clone(), conn: ex.conn.clone(), chain: ex.chain.clone(), server: ex.server }
    }
}

impl Source for OfBody {
    fn enabled(&self, level: Level, module: &'static str) -> bool {
        let server = self.live.generation.servers.get(self.server).and_then(Server::get::<LogLevels>);
        level == Level::Notice || level <= level_of(server, self.chain.dir.get::<LogLevels>(), module)
    }

    fn subject(&self) -> Subject<'_> {
        let conn = Some(&*self.conn);
        Subject { live: Some(&self.live), server: self.server, conn, request: None, remote: None }
    }
}

/// A connection to a backend, for a server by its index.
#[derive(Clone, Copy)]
pub struct OfRemote<'a>(pub &'a Live, pub usize, pub Option<SocketAddr>);

impl Source for OfRemote<'_> {
    fn enabled(&self, level: Level, module: &'static str) -> bool {
        OfServer(self.0, self.1).enabled(level, module)
    }

    fn subject(&self) -> Subject<'_> {
        Subject { live: Some(self.0), server: self.1, conn: None, request: None, remote: self.2 }
    }
}

/// The process: what is not about any request, from any thread. Goes to the main server's error log, and before that
/// is open to standard error.
#[derive(Clone, Copy)]
pub struct Process;

struct ProcessLog {
    sink: Arc<dyn LineSink>,
    levels: LogLevels,
    log: ErrorLog,
    name: Vec<u8>,
}

static PROCESS: ArcSwapOption<ProcessLog> = ArcSwapOption::const_empty();

/// From now on entries of the process go to `sink` (the main server's error log) under its levels and format.
pub fn set_process_log(sink: Arc<dyn LineSink>, main: &Server) {
    let levels = main.get::<LogLevels>().cloned().unwrap_or_default();
    let log = main.get::<ErrorLog>().cloned().unwrap_or_default();
    PROCESS.store(Some(Arc::new(ProcessLog { sink, levels, log, name: main.rec.name.clone().unwrap_or_default() })));
}

/// Appends the main server's name.
pub(super) fn push_process_name(out: &mut Vec<u8>) {
    if let Some(log) = &*PROCESS.load() {
        out.extend_from_slice(&log.name);
    }
}

/// The sink of the process's entries, once it is open.
pub fn process_log() -> Option<Arc<dyn LineSink>> {
    PROCESS.load().as_ref().map(|log| log.sink.clone())
}

impl Source for Process {
    fn enabled(&self, level: Level, module: &'static str) -> bool {
        match &*PROCESS.load() {
            Some(log) => level == Level::Notice || level <= level_of(Some(&log.levels), None, module),
            None => level <= Level::Notice,
        }
    }

    fn subject(&self) -> Subject<'_> {
        Subject { live: None, server: 0, conn: None, request: None, remote: None }
    }
}

/// Writes the entry; callers go through [`super::error!`], which asks [`Source::enabled`] first.
pub fn log(
    source: &dyn Source,
    level: Level,
    module: &'static str,
    errno: Option<Errno>,
    at: (&'static str, u32),
    text: fmt::Arguments<'_>,
) {
    thread_local! {
        static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    let subject = source.subject();
    let entry = Entry { level, module, errno, at, text, subject, wall: SystemClock.wall() };
    LINE.with(|line| match line.try_borrow_mut() {
        Ok(mut line) => write(&entry, &mut line),
        // A message that is being formatted logs another one.
        Err(_) => write(&entry, &mut Vec::new()),
    });
}

fn write(entry: &Entry<'_>, line: &mut Vec<u8>) {
    let subject = &entry.subject;
    let process = PROCESS.load();
    let server = subject.live.and_then(|live| live.generation.servers.get(subject.server));
    let own = server.and_then(Server::get::<ErrorLog>);
    let sink = own.zip(subject.live).and_then(|(own, live)| live.sinks.get(own.sink));
    let sink = sink.or_else(|| process.as_ref().map(|process| &process.sink));
    let put = |line: &[u8]| match sink {
        Some(sink) => sink.entry(entry.level as u8, line),
        None => {
            use std::io::Write;
            // Nowhere else to complain.
            let _ = std::io::stderr().write_all(line);
        }
    };
    let main = process.as_ref().map(|process| &process.log);
    let log = own.or_else(|| main.filter(|_| server.is_none()));
    give_ids(subject, |of_request| {
        for format in log.map(|log| if of_request { &log.per_request } else { &log.per_conn }).into_iter().flatten() {
            line.clear();
            format.push(entry, line);
            if !line.is_empty() {
                line.push(b'\n');
                put(line);
            }
        }
    });
    line.clear();
    match log.and_then(|log| log.format.as_ref()) {
        Some(format) => format.push(entry, line),
        None => entry.push_default(line, sink.is_some_and(|sink| sink.dates())),
    }
    line.push(b'\n');
    put(line);
}

/// Makes the ids of the connection and the request if these are their first entries, and calls `first` then.
fn give_ids(subject: &Subject<'_>, mut first: impl FnMut(bool)) {
    let mut give = |cell: Option<&OnceCell<LogId>>, own: Option<LogId>, of_request: bool| {
        if let Some(cell) = cell
            && cell.get().is_none()
        {
            let _ = cell.set(own.unwrap_or_else(|| LogId::new(&new_id())));
            first(of_request);
        }
    };
    give(subject.conn.map(|conn| &conn.log_id), None, false);
    let unique = subject.request.and_then(|request| request.unique_id);
    give(subject.request.map(|request| &request.log_id), unique, true);
}

/// Eight bytes in base64: time, process and a counter.
fn new_id() -> [u8; 11] {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let time = SystemClock.wall() as u64;
    let id = (time << 24) ^ (u64::from(std::process::id()) << 12) ^ (count & 0xffff_ffff).rotate_left(44);
    let mut text = [0; 12];
    let _ = base64::engine::general_purpose::STANDARD.encode_slice(id.to_le_bytes(), &mut text);
    let mut out = [0; 11];
    out.copy_from_slice(&text[..11]);
    out
}

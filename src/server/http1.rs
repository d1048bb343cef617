//! The HTTP/1 front: reads heads, fills exchanges, has them served, one after the other.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::conn::After;
use super::front::{Front, Fronts};
use super::http2;
use super::incoming::{Expect, IN_SIZE, Incoming, Trouble};
use super::link::Link;
use super::rates::Stage;
use super::threads::Thread;
use super::wire::Http1;
use crate::base::clock::{Clock, SystemClock};
use crate::codec::http1::head::Severity;
use crate::codec::http1::{
    BodyError, Chunked, RequestBody, RequestError, RequestHead, Status, parse_request, request_body,
};
use crate::codec::http2::PREFACE;
use crate::logs::{self, Bytes, Dump, Errno, Level, OfConn};
use crate::modules::proxy::Held;
use crate::pipe;
use crate::web::{BodyFault, Conn, Exchange, Table, Wire};

/// Buffers that grew beyond this are given back to the system.
const KEPT_SIZE: usize = 64 * 1024;

/// How long a new connection may be silent.
pub(super) fn first_wait(front: &Front) -> Duration {
    match front.rates {
        Some((header, _)) if header.timeout > Duration::ZERO => header.timeout.min(front.timeout),
        _ => front.timeout,
    }
}

/// What reading a head came to.
enum Head {
    /// It is this long.
    Whole(usize),
    /// No byte of a request is there.
    Nothing,
    /// The client ended the connection before its request line did.
    Ended,
    /// Nothing more came in time.
    Late,
    /// It is refused.
    Bad(RequestError),
}

/// What a connection lends a session, and what it gets back.
enum Desk {
    Free,
    /// Bytes are here.
    Asked(Link, Rc<Conn>),
    /// There are no more for now.
    Answered(Link, After),
}

/// What it takes to serve requests: buffers, a parsed head, an exchange, and the future that uses them. Lent to a
/// connection from its first byte of a request until it is idle again, and kept by the thread for others.
pub(super) struct Session {
    desk: Rc<RefCell<Desk>>,
    future: Pin<Box<dyn Future<Output = ()>>>,
}

impl Session {
    pub(super) fn new(thread: &Rc<Thread>) -> Self {
        let desk = Rc::new(RefCell::new(Desk::Free));
        Self { desk: desk.clone(), future: Box::pin(sessions(thread.clone(), desk)) }
    }

    /// Serves requests of a connection for as long as there are bytes of one.
    pub(super) fn serve(&mut self, link: Link, conn: &Rc<Conn>) -> impl Future<Output = (Link, After)> {
        self.desk.replace(Desk::Asked(link, conn.clone()));
        poll_fn(|cx| {
            // It never ends.
            let _ = self.future.as_mut().poll(cx);
            let mut desk = self.desk.borrow_mut();
            match std::mem::replace(&mut *desk, Desk::Free) {
                Desk::Answered(link, after) => Poll::Ready((link, after)),
                other => {
                    *desk = other;
                    Poll::Pending
                }
            }
        })
    }
}

/// The life of a session: one connection after the other.
async fn sessions(thread: Rc<Thread>, desk: Rc<RefCell<Desk>>) {
    let mut head = RequestHead::default();
    let (mut buffer, mut out) = (vec![0; IN_SIZE], Vec::new());
    let mut kept: Option<Box<Exchange>> = None;
    loop {
        let asked = poll_fn(|_| {
            let mut desk = desk.borrow_mut();
            match std::mem::replace(&mut *desk, Desk::Free) {
                Desk::Asked(link, conn) => Poll::Ready((link, conn)),
                other => {
                    *desk = other;
                    Poll::Pending
                }
            }
        });
        let (mut link, conn) = asked.await;
        let mut wire = Http1::new(&mut link, buffer, out);
        wire.dump = thread.fronts().dump(&conn);
        if let Some(dump) = &wire.dump {
            dump.begins();
        }
        let after = requests(&thread, &mut wire, &conn, &mut head, &mut kept).await;
        if after == After::Http2 {
            wire.link.unread(wire.input.bytes());
            wire.input.start = wire.input.end;
        }
        (buffer, out) = (wire.input.buf, wire.out);
        kept = kept.filter(|ex| Rc::ptr_eq(&ex.live, &thread.fronts().live));
        if let Some(ex) = &mut kept {
            // What modules noted holds files and backends.
            ex.ext.clear();
            ex.drop_filters();
        }
        head.clear();
        out.clear();
        if buffer.len() > KEPT_SIZE || buffer.len() < IN_SIZE {
            buffer = vec![0; IN_SIZE];
        }
        if out.capacity() > KEPT_SIZE {
            out = Vec::new();
        }
        drop(conn);
        desk.replace(Desk::Answered(link, after));
    }
}

/// Serves requests for as long as there are bytes of one.
async fn requests(
    thread: &Thread,
    wire: &mut Http1<'_>,
    conn: &Rc<Conn>,
    head: &mut RequestHead,
    kept: &mut Option<Box<Exchange>>,
) -> After {
    loop {
        let fronts = thread.fronts();
        if kept.as_ref().is_none_or(|ex| !Rc::ptr_eq(&ex.live, &fronts.live)) {
            let chain = pipe::idle_chain(&fronts.live, conn.default_server.get());
            *kept = Some(Box::new(Exchange::new(fronts.live.clone(), conn.clone(), chain)));
        }
        let Some(ex) = kept else { return After::Close };
        if !Rc::ptr_eq(&ex.conn, conn) {
            ex.conn = conn.clone();
        }
        if conn.generation.get() != fronts.live.generation.serial {
            conn.generation.set(fronts.live.generation.serial);
            conn.default_server.set(fronts.live.generation.select.default_server(conn.local));
            // Who came to an address that is no longer listened on ends in order.
            conn.ending.set(!fronts.live.generation.globals.listens_on(conn.local));
        }
        if thread.draining() || thread.retiring() {
            conn.ending.set(true);
        }
        if let Some(after) = request(thread, &fronts, ex, head, wire).await {
            return after;
        }
    }
}

/// Serves one request; `None`: there are bytes of another one.
async fn request(
    thread: &Thread,
    fronts: &Fronts,
    ex: &mut Exchange,
    head: &mut RequestHead,
    wire: &mut Http1<'_>,
) -> Option<After> {
    let conn = ex.conn.clone();
    let server = conn.default_server.get();
    let front = fronts.of(server);
    wire.next();
    wire.timeout = front.timeout;
    wire.hold_most = front.hold_most;
    let read = read_head(front, head, wire).await;
    if let Some(dump) = &wire.dump {
        show(dump, front, &read, wire.input.bytes(), head, conn.keepalives.get() == 0);
    }
    if let Head::Nothing | Head::Ended = read {
        if poll_fn(|cx| wire.poll_out(cx)).await.is_err() || matches!(read, Head::Ended) {
            return Some(After::Close);
        }
        return Some(After::Idle(first_wait(front)));
    }
    if conn.keepalives.get() == 0 && http2::is_preface(wire.input.bytes(), front, conn.secure) {
        return Some(After::Http2);
    }
    ex.reset(pipe::idle_chain(&fronts.live, server));
    ex.started_micros = SystemClock.wall();
    ex.started = Instant::now();
    ex.client_ip.extend_from_slice(&conn.peer_ip);
    ex.client_port = conn.peer.port();
    let served = match read {
        Head::Nothing | Head::Ended => return Some(After::Close),
        Head::Late => late(ex, head, wire).await,
        Head::Bad(error) => {
            fill(ex, head, wire.input.bytes(), error.has_line());
            log_refusal(ex, &error, head, wire.input.bytes(), front);
            if !error.detail().is_empty() {
                ex.notes.set(b"error-notes", error.detail().as_bytes());
            }
            if ex.assbackwards || ex.protocol.is_empty() || head.version.major == 0 {
                // Whatever it was, it is answered as if it had been this.
                ex.protocol.clear();
                ex.protocol.extend_from_slice(b"HTTP/1.0");
                (ex.proto_num, ex.assbackwards) = (1000, false);
            }
            let read = match error {
                RequestError::EndInFields(_) => wire.input.bytes().len(),
                _ => head.read().min(wire.input.bytes().len()),
            };
            wire.bytes_in += read as u64;
            wire.input.start = wire.input.end;
            pipe::refuse(ex, wire, error.status()).await;
            true
        }
        Head::Whole(len) => {
            fill(ex, head, wire.input.bytes(), true);
            let framed = request_body(head, wire.input.bytes());
            wire.used(len);
            match framed {
                Ok(body) => {
                    if let Some(upgrade) = http2::asked(ex, fronts, &body) {
                        return Some(switch(fronts, ex, wire, upgrade).await);
                    }
                    frame(ex, body, front, wire);
                    pipe::run_with::<Held>(ex, wire).await;
                }
                Err(error) => {
                    let mut text = Vec::new();
                    error.push_log(&ex.unparsed_uri, &mut text);
                    logs::error!(ex, Level::Debug, "core", "{}", Bytes(&text));
                    pipe::refuse(ex, wire, 400).await;
                }
            }
            true
        }
    };
    log_trouble(ex, wire.trouble.take(), wire.limit);
    if wire.gone {
        conn.aborted.set(true);
        return Some(After::Close);
    }
    if !served {
        return Some(After::Linger);
    }
    let out = poll_fn(|cx| if wire.keep_alive { Poll::Ready(Ok(())) } else { wire.poll_out(cx) }).await;
    if out.is_err() {
        conn.aborted.set(true);
        return Some(After::Close);
    }
    if wire.aborted {
        return Some(After::Close);
    }
    if !wire.keep_alive || ex.close || thread.draining() || !drained(wire).await {
        let _ = poll_fn(|cx| wire.poll_out(cx)).await;
        // The end of a session has to be said, whoever else ends the connection.
        let plain = conn.tls.get().is_none();
        let over = plain && wire.body_done() && wire.input.is_empty() && client_closes(ex);
        return Some(if over { After::Close } else { After::Linger });
    }
    conn.keepalives.set(conn.keepalives.get().saturating_add(1));
    if let Some(dump) = &wire.dump {
        dump.peeks("speculative-nonblocking", 1, wire.input.bytes());
    }
    if wire.input.is_empty() {
        if poll_fn(|cx| wire.poll_out(cx)).await.is_err() {
            return Some(After::Close);
        }
        return Some(After::Idle(fronts.of(ex.server).keep_alive_timeout));
    }
    None
}

/// Shows what was read of a head; that of HTTP/2 is shown elsewhere.
fn show(dump: &Dump, front: &Front, read: &Head, input: &[u8], head: &RequestHead, first: bool) {
    let peeks = first && !dump.is_secure() && front.http2.1 && !matches!(read, Head::Nothing);
    if peeks {
        dump.peeks("speculative-blocking", PREFACE.len(), input);
    }
    if first && http2::is_preface(input, front, dump.is_secure()) {
        return;
    }
    match read {
        Head::Nothing => {}
        Head::Ended | Head::Bad(RequestError::EndInFields(_)) => dump.end(input, peeks),
        Head::Late => {
            dump.lines(input);
            dump.asks("getline-blocking", 0);
            dump.fails(Errno::TIMEUP);
        }
        Head::Bad(_) => dump.lines(input.get(..head.read()).unwrap_or(input)),
        Head::Whole(len) => dump.lines(input.get(..*len).unwrap_or(input)),
    }
}

/// Shows the end of a connection.
pub(super) fn closes(thread: &Thread, conn: &Rc<Conn>) {
    if let Some(dump) = thread.fronts().dump(conn) {
        dump.closes();
    }
}

/// Agrees to go on in HTTP/2, where the request is answered.
async fn switch(fronts: &Fronts, ex: &mut Exchange, wire: &mut Http1<'_>, upgrade: Box<http2::Upgrade>) -> After {
    let mut fields = Table::default();
    fields.add(b"Upgrade", b"h2c");
    fields.add(b"Connection", b"Upgrade");
    wire.interim(101, b"Switching Protocols", &fields);
    if poll_fn(|cx| wire.poll_out(cx)).await.is_err() {
        return After::Close;
    }
    (ex.server, ex.chain) = (upgrade.server, pipe::idle_chain(&fronts.live, upgrade.server));
    (ex.status, ex.close) = (101, true);
    ex.io_counts = wire.counts();
    pipe::log(ex).await;
    wire.link.upgrade(upgrade);
    After::Http2
}

/// Whether the client itself has said that it sends nothing more: then there is nothing to wait for behind a response.
fn client_closes(ex: &Exchange) -> bool {
    pipe::has_token(ex.headers_in.get_all(b"connection"), b"close")
        || (ex.proto_num < 1001 && !ex.headers_in.contains(b"connection"))
}

/// Reads until the head is whole.
async fn read_head(front: &Front, head: &mut RequestHead, wire: &mut Http1<'_>) -> Head {
    let mut stage = None;
    loop {
        if !wire.input.is_empty() {
            match parse_request(wire.input.bytes(), &front.limits, &front.rules, head) {
                Ok(Status::Complete(_)) if !front.takes(head.bytes(wire.input.bytes(), head.method)) => {
                    return Head::Bad(RequestError::UnknownMethod);
                }
                Ok(Status::Complete(len)) => return Head::Whole(len),
                Ok(Status::Partial) => {}
                Err(error) => return Head::Bad(error),
            }
            if stage.is_none() {
                stage = front.rates.and_then(|(header, _)| Stage::new(header));
            }
        }
        if wire.has_output() && poll_fn(|cx| wire.poll_out(cx)).await.is_err() {
            return Head::Ended;
        }
        // On an idle connection there may be nothing after all: then it becomes idle again.
        let waiting = wire.input.is_empty();
        let until = stage.as_mut().map(Stage::deadline);
        let read = poll_fn(|cx| match wire.poll_more(cx, until) {
            Poll::Pending if waiting => Poll::Ready(None),
            more => more.map(Some),
        });
        match read.await {
            None => return Head::Nothing,
            Some(Ok(0)) => return head.end(wire.input.bytes()).map_or(Head::Ended, Head::Bad),
            Some(Ok(n)) => {
                if let Some(stage) = &mut stage {
                    stage.received(n);
                }
            }
            Some(Err(error)) if error.kind() == io::ErrorKind::TimedOut => {
                if stage.as_mut().is_some_and(|stage| stage.deadline() <= tokio::time::Instant::now()) {
                    wire.trouble = Some(Trouble::Slow);
                }
                return Head::Late;
            }
            Some(Err(error)) if error.kind() == io::ErrorKind::OutOfMemory => {
                return Head::Bad(RequestError::TooManyFields);
            }
            Some(Err(_)) => return Head::Ended,
        }
    }
}

/// Puts what is known of the head into the exchange.
fn fill(ex: &mut Exchange, head: &RequestHead, buf: &[u8], has_line: bool) {
    head.push_line(buf, &mut ex.the_request);
    if !has_line {
        return;
    }
    ex.method.extend_from_slice(head.bytes(buf, head.method));
    ex.unparsed_uri.extend_from_slice(head.bytes(buf, head.target));
    let version = head.version;
    ex.proto_num = u16::from(version.major) * 1000 + u16::from(version.minor);
    ex.assbackwards = head.is_simple();
    if ex.assbackwards {
        ex.protocol.extend_from_slice(b"HTTP/0.9");
    } else {
        ex.protocol.extend_from_slice(head.bytes(buf, head.protocol));
    }
    ex.header_only = ex.method == b"HEAD";
    let block = ex.headers_in.lay(buf.get(..head.read()).unwrap_or_default());
    for field in head.spans() {
        match (field.name.range(), field.value.range()) {
            (Some(name), Some(value)) => ex.headers_in.add_laid(block, name, value),
            _ => ex.headers_in.add(head.bytes(buf, field.name), head.bytes(buf, field.value)),
        }
    }
}

/// Readies the wire for the request's body.
fn frame(ex: &mut Exchange, body: RequestBody, front: &Front, wire: &mut Http1<'_>) {
    wire.incoming = match body {
        RequestBody::Empty => Incoming::None,
        RequestBody::Length(length) => Incoming::Length(length),
        RequestBody::Chunked { length_too } => {
            if length_too {
                ex.headers_in.unset(b"content-length");
                ex.close = true;
            }
            Incoming::Chunked(Chunked::new(front.limits, front.rules))
        }
    };
    if !matches!(wire.incoming, Incoming::None) {
        wire.stage = front.rates.and_then(|(_, body)| Stage::new(body));
    }
    if ex.proto_num >= 1001
        && ex.headers_in.get(b"expect").is_some_and(|expect| expect.eq_ignore_ascii_case(b"100-continue"))
    {
        wire.expect = Expect::Waiting;
    }
}

/// A head that did not come in time. Before its line was whole it is only logged, and only on a new connection.
async fn late(ex: &mut Exchange, head: &mut RequestHead, wire: &mut Http1<'_>) -> bool {
    let in_fields = head.end(wire.input.bytes()).is_some();
    if wire.trouble.take() == Some(Trouble::Slow) {
        logs::error!(OfConn(&ex.live, &ex.conn), Level::Info, "reqtimeout", "AH01382: Request header read timeout");
    }
    wire.bytes_in += wire.input.bytes().len() as u64;
    if in_fields {
        fill(ex, head, wire.input.bytes(), true);
        logs::error!(ex, Level::Debug, "core", "AH00567: request failed: error reading the headers");
        wire.input.start = wire.input.end;
        pipe::refuse(ex, wire, 408).await;
        return true;
    }
    wire.input.start = wire.input.end;
    if ex.conn.keepalives.get() == 0 {
        log_only(ex, wire).await;
    }
    false
}

/// Logs a request of which there is nothing to say.
async fn log_only(ex: &mut Exchange, wire: &mut Http1<'_>) {
    ex.status = 408;
    ex.close = true;
    ex.protocol.extend_from_slice(b"HTTP/1.0");
    ex.io_counts = wire.counts();
    pipe::log(ex).await;
}

/// A new connection on which nothing came in time.
pub(super) async fn nothing_came(thread: &Thread, link: &mut Link, conn: &Rc<Conn>) {
    let fronts = thread.fronts();
    let chain = pipe::idle_chain(&fronts.live, conn.default_server.get());
    let mut ex = Exchange::new(fronts.live.clone(), conn.clone(), chain);
    let mut wire = Http1::new(link, Vec::new(), Vec::new());
    if let Some(dump) = fronts.dump(conn) {
        dump.begins();
        dump.asks("getline-blocking", 0);
    }
    ex.started_micros = SystemClock.wall();
    ex.client_ip.extend_from_slice(&conn.peer_ip);
    ex.client_port = conn.peer.port();
    if fronts.of(conn.default_server.get()).rates.is_some() {
        logs::error!(OfConn(&ex.live, conn), Level::Info, "reqtimeout", "AH01382: Request header read timeout");
    }
    log_only(&mut ex, &mut wire).await;
}

/// Answers who spoke HTTP where TLS is spoken, as httpd does: whatever was asked, in HTTP.
pub(super) async fn plain_on_tls(thread: &Thread, link: &mut Link, conn: &Rc<Conn>) {
    let fronts = thread.fronts();
    let chain = pipe::idle_chain(&fronts.live, conn.default_server.get());
    let mut ex = Exchange::new(fronts.live.clone(), conn.clone(), chain);
    let mut wire = Http1::new(link, vec![0; IN_SIZE], Vec::new());
    wire.timeout = fronts.of(conn.default_server.get()).timeout;
    ex.started_micros = SystemClock.wall();
    ex.client_ip.extend_from_slice(&conn.peer_ip);
    ex.client_port = conn.peer.port();
    ex.the_request.extend_from_slice(b"GET / HTTP/1.0");
    ex.method.extend_from_slice(b"GET");
    ex.unparsed_uri.push(b'/');
    ex.uri.push(b'/');
    ex.protocol.extend_from_slice(b"HTTP/1.0");
    (ex.proto_num, ex.close) = (1000, true);
    ex.notes.set(
        b"error-notes",
        b"Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />\n Instead use the HTTPS scheme to \
          access this URL, please.<br />\n",
    );
    pipe::refuse(&mut ex, &mut wire, 400).await;
    let _ = poll_fn(|cx| wire.poll_out(cx)).await;
}

/// Says why a head is refused.
fn log_refusal(ex: &Exchange, error: &RequestError, head: &RequestHead, buf: &[u8], front: &Front) {
    error.log(head, buf, &front.limits, &mut |severity, errno, text| {
        let level = match severity {
            Severity::Debug => Level::Debug,
            Severity::Info => Level::Info,
        };
        let number = errno.strip_prefix('(').and_then(|rest| rest.split_once(')')).and_then(|(n, _)| n.parse().ok());
        match number {
            Some(number) => logs::error!(ex, level, "core", Errno(number) => "{}", Bytes(text)),
            None => logs::error!(ex, level, "core", "{}", Bytes(text)),
        }
    });
}

/// Says why the body could not be read.
pub(super) fn log_trouble(ex: &Exchange, trouble: Option<Trouble>, limit: u64) {
    match trouble {
        None => {}
        Some(Trouble::Chunk(BodyError::TooLarge)) => {
            logs::error!(ex, Level::Info, "http", Errno(28) => "AH01590: Error reading/parsing chunk (overflow) ");
        }
        Some(Trouble::Chunk(_)) => {
            logs::error!(ex, Level::Info, "http", Errno(22) => "AH01590: Error reading/parsing chunk  ");
        }
        Some(Trouble::Announced(length)) => {
            logs::error!(
                ex,
                Level::Info,
                "http",
                "AH01588: Requested content-length of {length} is larger than the configured limit of {limit}"
            );
        }
        Some(Trouble::Came(length)) => {
            logs::error!(
                ex,
                Level::Info,
                "http",
                "AH01591: Read content length of {length} is larger than the configured limit of {limit}"
            );
        }
        Some(Trouble::Slow) => {
            logs::error!(OfConn(&ex.live, &ex.conn), Level::Info, "reqtimeout", "AH01382: Request body read timeout");
        }
    }
}

/// Reads what is left of the request's body; whether the connection can go on behind it.
async fn drained(wire: &mut Http1<'_>) -> bool {
    while !wire.body_done() {
        if wire.expects_continue() {
            return false;
        }
        let filled: Result<usize, BodyFault> = poll_fn(|cx| wire.poll_fill(cx)).await;
        match filled {
            Ok(0) => return true,
            Ok(n) => wire.consume(n),
            Err(_) => return false,
        }
    }
    true
}

//! The HTTP/2 front: one task a connection drives the protocol, one task a stream serves a request.
//!
//! A connection begins where a TLS handshake agreed on `h2`, where the first bytes are the client's preface, or behind
//! an upgrade. It ends when the client ends it, when it was idle for KeepAliveTimeout, when the thread drains (streams
//! that are open come to their end), or over its [`budget`]. Streams are requests like all others: each has an exchange
//! and a [`wire`]; what it waits for, it waits for alone.
//!
//! Bounds: open streams (H2MaxSessionStreams, of what is being served, also when the client has taken it back), bytes
//! of heads ([`head::list_size`]), of bodies in (the windows) and out (H2StreamMaxMemSize), cheap frames ([`budget`]),
//! time ([`wire`]: Timeout for each piece; here: for the socket).

mod budget;
mod ends;
mod frames;
mod head;
mod push;
mod stream;
mod tap;
mod upgrade;
mod web_socket;
mod wire;

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, server};
use tokio::time::{Instant, Sleep, sleep_until};

use self::ends::{Respond, Usual};
use self::push::Diary;
pub(super) use self::stream::Attendant;
use self::stream::Origin;
use self::tap::Tap;
pub(super) use self::upgrade::{Upgrade, asked};
use super::conn::Place;
use super::front::Front;
use super::http1::first_wait;
use super::link::{Link, far};
use super::threads::Thread;
use crate::logs::{self, Dump, Level, OfConn};
use crate::modules::http2::Settings;
use crate::web::Conn;

/// What the connection's window is opened to: the streams' own windows bound what a client may send.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// How long a client may take to hear that the connection ends.
const FAREWELL: Duration = Duration::from_secs(2);

/// What the streams of a connection share.
struct Session {
    thread: Rc<Thread>,
    conn: Rc<Conn>,
    settings: Settings,
    tap: Tap,
    /// Where all bytes are shown.
    dump: Option<Box<Dump>>,
    /// Streams that are served.
    live: Cell<u32>,
    /// Streams whose client gave them no room.
    stalls: Cell<u32>,
    /// The task that drives the connection.
    driver: RefCell<Option<Waker>>,
    /// What was pushed.
    diary: RefCell<Diary>,
    /// Anything was.
    pushed: Cell<bool>,
    usual: Usual,
}

impl Session {
    /// Whether server and client agree that resources are pushed.
    fn pushes(&self) -> bool {
        self.settings.push && self.tap.takes_pushes()
    }

    fn wake(&self) {
        if let Some(waker) = self.driver.borrow_mut().take() {
            waker.wake();
        }
    }

    /// A stream waited in vain for its client.
    fn stalled(&self) {
        self.stalls.set(self.stalls.get().saturating_add(1));
        if self.stalls.get() > self.settings.most_errors {
            self.tap.exceed("streams that their client does not read");
            self.wake();
        }
    }
}

/// Whether these first bytes of a connection are the client's preface; the rest of it may still be on its way.
pub(super) fn is_preface(bytes: &[u8], front: &Front, secure: bool) -> bool {
    let direct = front.settings.direct.unwrap_or(!secure);
    let spoken = if secure { front.http2.0 } else { front.http2.1 };
    // The end of a head of HTTP/1; nothing else begins like this.
    direct && spoken && bytes.starts_with(b"PRI * HTTP/2.0\r\n\r\n")
}

/// Speaks HTTP/2 on a connection from which something was read already ([`Link::unread`]), until it ends. What is left of
/// it, to be closed in order.
pub(super) async fn serve(thread: &Rc<Thread>, mut link: Link, conn: &Rc<Conn>, place: &Place) -> Option<Link> {
    let fronts = thread.fronts();
    let (mut ahead, upgrade) = link.take_ahead();
    if let Some(upgrade) = upgrade {
        let wait = first_wait(fronts.of(conn.default_server.get()));
        match tokio::time::timeout(wait, upgrade::prologue(&mut link, ahead, &upgrade)).await {
            Ok(Some(read)) => ahead = read,
            Ok(None) | Err(_) => {
                let tap = Tap::new(link, Vec::new());
                farewell(&tap, Reason::PROTOCOL_ERROR).await;
                return tap.into_link();
            }
        }
    }
    let front = fronts.of(conn.default_server.get());
    let session = Rc::new(Session {
        thread: thread.clone(),
        conn: conn.clone(),
        diary: RefCell::new(Diary::new(front.settings.diary)),
        pushed: Cell::new(false),
        usual: Usual::new(),
        settings: front.settings.clone(),
        tap: Tap::new(link, ahead).shown(fronts.dump(conn)),
        dump: fronts.dump(conn),
        live: Cell::new(0),
        stalls: Cell::new(0),
        driver: RefCell::default(),
    });
    let shaken = tokio::time::timeout(first_wait(front), builder(front).handshake(session.tap.clone())).await;
    drop(fronts);
    match shaken {
        Ok(Ok(protocol)) => drive(protocol, &session, place).await,
        Ok(Err(_)) | Err(_) => {
            farewell(&session.tap, Reason::PROTOCOL_ERROR).await;
        }
    }
    session.tap.end();
    let tap = session.tap.clone();
    drop(session);
    tap.into_link()
}

fn builder(front: &Front) -> server::Builder {
    let settings = &front.settings;
    let mut builder = server::Builder::new();
    builder
        .max_concurrent_streams(settings.most_streams)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(head::list_size(&front.limits))
        .max_send_buffer_size(settings.stream_memory)
        .max_concurrent_reset_streams(64)
        .max_local_error_reset_streams(Some(128))
        .max_pending_accept_reset_streams(64);
    if settings.web_sockets {
        builder.enable_connect_protocol();
    }
    if let Some(window) = settings.window {
        builder.initial_window_size(window);
    }
    builder
}

/// Why a connection is ended from here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// It goes on.
    No,
    /// Streams that are open come to their end.
    Drains,
    /// No stream is, or none matters.
    Now,
}

type Protocol = server::Connection<Tap, Bytes>;

/// Drives the protocol until the connection is over.
async fn drive(mut protocol: Protocol, session: &Rc<Session>, place: &Place) {
    let mut timer = pin!(sleep_until(Instant::now()));
    let mut ending = Ending::No;
    let mut served = false;
    let mut idle_since = Instant::now();
    loop {
        let woken = poll_fn(|cx| {
            session.driver.replace(Some(cx.waker().clone()));
            let polled = poll_protocol(&mut protocol, session, &mut served, cx);
            if let Poll::Ready(end) = polled {
                return Poll::Ready(Woken::Over(end));
            }
            if let Some(what) = session.tap.over() {
                return Poll::Ready(Woken::TooMuch(what));
            }
            if session.tap.broken() {
                return Poll::Ready(Woken::Broken);
            }
            if ending == Ending::No && (session.tap.leaving() || has_to_go(session)) {
                return Poll::Ready(Woken::Drain);
            }
            session.thread.wake_to_drain(place.index(), cx.waker());
            let idle = session.live.get() == 0;
            if !idle {
                idle_since = Instant::now();
            }
            place.wait(idle && served);
            poll_deadline(timer.as_mut(), deadline(session, ending, idle.then_some(idle_since), served), cx)
                .map(|()| Woken::Late)
        });
        match woken.await {
            Woken::Over(end) => return report(session, end),
            Woken::TooMuch(what) => {
                logs::error!(
                    OfConn(&session.thread.fronts().live, &session.conn),
                    Level::Info,
                    "http2",
                    "connection ended with ENHANCE_YOUR_CALM: too many {what}"
                );
                drop(protocol);
                return farewell(&session.tap, Reason::ENHANCE_YOUR_CALM).await;
            }
            Woken::Broken => {
                drop(protocol);
                return farewell(&session.tap, Reason::PROTOCOL_ERROR).await;
            }
            Woken::Drain => {
                ending = Ending::Drains;
                idle_since = Instant::now();
                protocol.graceful_shutdown();
            }
            Woken::Late if ending == Ending::No && session.tap.blocked().is_none() => {
                ending = Ending::Now;
                idle_since = Instant::now();
                protocol.abrupt_shutdown(Reason::NO_ERROR);
            }
            Woken::Late => return,
        }
    }
}

enum Woken {
    Over(Option<h2::Error>),
    TooMuch(&'static str),
    Broken,
    Drain,
    Late,
}

/// Whether the client is to come again by another connection, if at all: this thread's server ends, or nobody listens
/// any more where this connection came.
fn has_to_go(session: &Session) -> bool {
    let conn = &session.conn;
    let live = session.thread.fronts().live.clone();
    if conn.generation.get() != live.generation.serial {
        conn.generation.set(live.generation.serial);
        conn.default_server.set(live.generation.select.default_server(conn.local));
        conn.ending.set(!live.generation.globals.listens_on(conn.local));
    }
    conn.ending.get() || session.thread.draining() || session.thread.retiring()
}

/// When there is no point in waiting any longer, as things stand.
fn deadline(session: &Session, ending: Ending, idle: Option<Instant>, served: bool) -> Option<Instant> {
    let fronts = session.thread.fronts();
    let front = fronts.of(session.conn.default_server.get());
    if let Some(since) = session.tap.blocked() {
        return Some(far(since, front.timeout));
    }
    let since = idle?;
    let time = match ending {
        Ending::No if served => front.keep_alive_timeout,
        Ending::No => first_wait(front),
        Ending::Drains | Ending::Now => FAREWELL,
    };
    Some(far(since, time))
}

fn poll_deadline(mut timer: Pin<&mut Sleep>, deadline: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
    let Some(deadline) = deadline else { return Poll::Pending };
    if timer.deadline() != deadline {
        timer.as_mut().reset(deadline);
    }
    timer.poll(cx)
}

/// Lets the protocol work, and starts what it brings. Ready when the connection is over.
fn poll_protocol(
    protocol: &mut Protocol,
    session: &Rc<Session>,
    served: &mut bool,
    cx: &mut Context<'_>,
) -> Poll<Option<h2::Error>> {
    loop {
        // Those that the client took back are served all the same: no more than it may have open.
        if session.live.get() >= session.settings.most_streams {
            return protocol.poll_closed(cx).map(Result::err);
        }
        match protocol.poll_accept(cx) {
            Poll::Ready(Some(Ok((request, respond)))) => {
                *served = true;
                stream::start(session.clone(), request.map(Into::into), Respond::Asked(respond), Origin::Asked);
            }
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(error)),
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => return Poll::Pending,
        }
    }
}

/// Says why a connection ended, if that was our doing.
fn report(session: &Session, end: Option<h2::Error>) {
    let Some(error) = end.filter(|error| !error.is_remote() && !error.is_io()) else { return };
    logs::error!(
        OfConn(&session.thread.fronts().live, &session.conn),
        Level::Info,
        "http2",
        "connection ended with {:?}: {}",
        error.reason().unwrap_or(Reason::NO_ERROR),
        error
    );
}

/// Tells the client why the connection ends, where the protocol's library does not.
async fn farewell(tap: &Tap, reason: Reason) {
    let _ = tokio::time::timeout(FAREWELL, poll_fn(|cx| tap.poll_goaway(cx, reason))).await;
}

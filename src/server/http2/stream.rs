//! One stream: from its head to its line in the log.
//!
//! What serves a stream is large, as all that a request may come to lies in it, and a client may open a hundred at once.
//! So it is made once, lent to a stream and kept by the thread for the next one ([`Attendant`]).

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

use h2::Reason;
use h2::ext::Protocol;
use http::Request;

use super::super::front::Fronts;
use super::super::http1::log_trouble;
use super::super::incoming::Expect;
use super::super::rates::Stage;
use super::ends::{Inbox, Respond};
use super::head::{self, Refusal};
use super::push::Pushing;
use super::wire::{Http2, Lent};
use super::{Session, web_socket};
use crate::base::clock::{Clock as _, SystemClock};
use crate::modules::http2::Stream;
use crate::modules::proxy::Held;
use crate::pipe;
use crate::web::{BodyKind, Exchange};

/// What the session has for a stream, given back in whatever way the stream ends.
struct Share {
    session: Rc<Session>,
    id: u32,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.session.live.set(self.session.live.get() - 1);
        self.session.tap.close(self.id);
        self.session.wake();
    }
}

/// Whose wish a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The client's.
    Asked,
    /// That of the response on `parent`, which cannot be shown without it if it is `critical`.
    Pushed { parent: u32, critical: bool },
}

/// A stream as the protocol brings it.
struct Asked {
    session: Rc<Session>,
    request: Request<Inbox>,
    respond: Respond,
    origin: Origin,
}

/// What a stream lends an attendant.
#[expect(clippy::large_enum_variant, reason = "an attendant has one, whatever is on it")]
enum Desk {
    Free,
    Asked(Asked),
    Busy,
}

/// Serves one stream after the other.
pub(in super::super) struct Attendant {
    desk: Rc<RefCell<Desk>>,
    future: Pin<Box<dyn Future<Output = ()>>>,
}

impl Attendant {
    pub(in super::super) fn new() -> Self {
        let desk = Rc::new(RefCell::new(Desk::Free));
        Self { desk: desk.clone(), future: Box::pin(attend(desk)) }
    }

    async fn work(&mut self) {
        poll_fn(|cx| {
            // It never ends.
            let _ = self.future.as_mut().poll(cx);
            if matches!(*self.desk.borrow(), Desk::Free) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// Has the request of a stream served.
pub(super) fn start(session: Rc<Session>, request: Request<Inbox>, respond: Respond, origin: Origin) {
    session.live.set(session.live.get() + 1);
    session.tap.open(respond.id());
    let thread = session.thread.clone();
    let mut attendant = thread.take_attendant();
    *attendant.desk.borrow_mut() = Desk::Asked(Asked { session, request, respond, origin });
    tokio::task::spawn_local(async move {
        attendant.work().await;
        thread.give_attendant(attendant);
    });
}

/// What an attendant keeps from one stream to the next.
#[derive(Default)]
struct Kept {
    exchange: Option<Box<Exchange>>,
    lent: Lent,
}

/// The life of an attendant. All in one: a future within a future is moved, as large as it is, whenever it begins.
async fn attend(desk: Rc<RefCell<Desk>>) {
    let mut kept = Kept::default();
    loop {
        let asked = poll_fn(|_| {
            let mut desk = desk.borrow_mut();
            match std::mem::replace(&mut *desk, Desk::Busy) {
                Desk::Asked(asked) => Poll::Ready(asked),
                other => {
                    *desk = other;
                    Poll::Pending
                }
            }
        });
        let mut begun = begin(asked.await, &mut kept);
        if let Some(ex) = &mut kept.exchange {
            match begun.fate {
                Fate::Serve => {
                    pipe::run_with::<Held>(ex, &mut begun.wire).await;
                    if begun.wire.misunderstood() {
                        web_socket::complain(ex, begun.share.id);
                    }
                }
                Fate::Refuse(status) => pipe::refuse(ex, &mut begun.wire, status).await,
                Fate::Reset => begun.wire.reset(Reason::PROTOCOL_ERROR),
            }
            begun.conclude(ex);
        }
        begun.wire.linger().await;
        kept.keep(begun);
        *desk.borrow_mut() = Desk::Free;
    }
}

/// What becomes of a request.
enum Fate {
    Serve,
    /// It is answered with this status.
    Refuse(u16),
    /// It is none, and the stream ends.
    Reset,
}

/// A stream whose head was read.
struct Begun {
    wire: Http2,
    fate: Fate,
    share: Share,
}

/// Puts the request of a stream into the exchange.
fn begin(Asked { session, request, respond, origin }: Asked, kept: &mut Kept) -> Begun {
    let share = Share { session, id: respond.id() };
    let session = &share.session;
    let fronts = session.thread.fronts();
    let lent = std::mem::take(&mut kept.lent);
    let ex = exchange(session, &fronts, &mut kept.exchange);
    let front = fronts.of(ex.server);
    let filled = head::fill(ex, &request, front, share.id);
    let asks = request.extensions().get::<Protocol>().map(|name| name.as_str() == "websocket");
    // What follows CONNECT is no body of a request.
    let kind = if asks.is_some() { BodyKind::None } else { head::body_kind(&request) };
    let pushing = if origin == Origin::Asked { Pushing::of(session, &request) } else { None };
    let stream = Stream {
        id: share.id,
        early_hints: session.settings.early_hints,
        push: session.pushes(),
        pushed_on: if let Origin::Pushed { parent, .. } = origin { parent } else { 0 },
        quiet: pushing.as_ref().map(|pushing| pushing.quiet()),
    };
    let mut wire = Http2::new(session.clone(), request.into_body(), respond, kind, lent);
    wire.comes_from(origin, pushing);
    wire.timeout = session.settings.stream_timeout.unwrap_or(front.timeout);
    let fate = match filled {
        Ok(()) if asks == Some(false) => Fate::Refuse(501),
        Ok(()) => {
            if asks == Some(true) {
                wire.open_web_socket(web_socket::ask(ex));
            }
            if kind != BodyKind::None {
                wire.stage = front.rates.and_then(|(_, body)| Stage::new(body));
            }
            if ex.headers_in.get(b"Expect").is_some_and(|expect| expect.eq_ignore_ascii_case(b"100-continue")) {
                wire.expect = Expect::Waiting;
            }
            *ex.ext.get_mut::<Stream>() = stream;
            Fate::Serve
        }
        Err(Refusal::Malformed) => Fate::Reset,
        Err(Refusal::Status(status)) => Fate::Refuse(status),
    };
    drop(fronts);
    Begun { wire, fate, share }
}

impl Begun {
    /// The response is complete, or will never be.
    fn conclude(&mut self, ex: &mut Exchange) {
        let (trouble, limit) = (self.wire.trouble.take(), self.wire.limit);
        log_trouble(ex, trouble, limit);
        if ex.conn.ending.get() {
            self.share.session.conn.ending.set(true);
        }
        // What modules noted holds files and backends.
        ex.ext.clear();
        ex.drop_filters();
    }
}

impl Kept {
    fn keep(&mut self, Begun { wire, share, .. }: Begun) {
        self.lent = wire.into_lent();
        let thread = &share.session.thread;
        self.exchange = self.exchange.take().filter(|ex| Rc::ptr_eq(&ex.live, &thread.fronts().live));
    }
}

/// The exchange for a stream.
fn exchange<'a>(session: &Session, fronts: &Fronts, kept: &'a mut Option<Box<Exchange>>) -> &'a mut Exchange {
    let conn = session.conn.stream();
    let generation = &fronts.live.generation;
    if conn.generation.get() != generation.serial {
        conn.generation.set(generation.serial);
        conn.default_server.set(generation.select.default_server(conn.local));
    }
    let chain = pipe::idle_chain(&fronts.live, conn.default_server.get());
    let ex = match kept.take().filter(|ex| Rc::ptr_eq(&ex.live, &fronts.live)) {
        Some(mut ex) => {
            match Rc::get_mut(&mut ex.conn) {
                Some(over) => *over = conn,
                None => ex.conn = Rc::new(conn),
            }
            ex.reset(chain);
            kept.insert(ex)
        }
        None => kept.insert(Box::new(Exchange::new(fronts.live.clone(), Rc::new(conn), chain))),
    };
    ex.started_micros = SystemClock.wall();
    ex.started = Instant::now();
    ex.client_ip.extend_from_slice(&ex.conn.peer_ip);
    ex.client_port = ex.conn.peer.port();
    ex
}

//! One stream: from its head to its line in the log.

use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use h2::ext::Protocol;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::Request;

use super::super::front::Fronts;
use super::super::http1::log_trouble;
use super::super::incoming::Expect;
use super::super::rates::Stage;
use super::head::{self, Refusal};
use super::wire::Http2;
use super::{KEPT, Session, web_socket};
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

/// Serves the request of a stream.
pub(super) async fn serve(session: Rc<Session>, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
    let share = Share { session, id: respond.stream_id().as_u32() };
    let session = &share.session;
    let fronts = session.thread.fronts();
    let mut ex = exchange(session, &fronts);
    let front = fronts.of(ex.server);
    let filled = head::fill(&mut ex, &request, front, share.id);
    let asks = request.extensions().get::<Protocol>().map(|name| name.as_str() == "websocket");
    // What follows CONNECT is no body of a request.
    let kind = if asks.is_some() { BodyKind::None } else { head::body_kind(&request) };
    let (_, body) = request.into_parts();
    let mut wire = Http2::new(session.clone(), body, respond, kind);
    wire.timeout = session.settings.stream_timeout.unwrap_or(front.timeout);
    match filled {
        Ok(()) if asks == Some(false) => pipe::refuse(&mut ex, &mut wire, 501).await,
        Ok(()) => {
            if asks == Some(true) {
                wire.open_web_socket(web_socket::ask(&mut ex));
            }
            if kind != BodyKind::None {
                wire.stage = front.rates.and_then(|(_, body)| Stage::new(body));
            }
            if ex.headers_in.get(b"Expect").is_some_and(|expect| expect.eq_ignore_ascii_case(b"100-continue")) {
                wire.expect = Expect::Waiting;
            }
            *ex.ext.get_mut::<Stream>() = Stream { id: share.id, early_hints: session.settings.early_hints };
            pipe::run_with::<Held>(&mut ex, &mut wire).await;
            if wire.misunderstood() {
                web_socket::complain(&ex, share.id);
            }
        }
        Err(Refusal::Malformed) => wire.reset(Reason::PROTOCOL_ERROR),
        Err(Refusal::Status(status)) => pipe::refuse(&mut ex, &mut wire, status).await,
    }
    let (trouble, limit) = (wire.trouble.take(), wire.limit);
    log_trouble(&ex, trouble, limit);
    if ex.conn.ending.get() {
        session.conn.ending.set(true);
    }
    keep(session, ex);
    wire.linger().await;
}

/// An exchange for a stream.
fn exchange(session: &Session, fronts: &Fronts) -> Box<Exchange> {
    let conn = session.conn.stream();
    let generation = &fronts.live.generation;
    if conn.generation.get() != generation.serial {
        conn.generation.set(generation.serial);
        conn.default_server.set(generation.select.default_server(conn.local));
    }
    let chain = pipe::idle_chain(&fronts.live, conn.default_server.get());
    let conn = Rc::new(conn);
    let spare = session.spare.borrow_mut().pop().filter(|ex| Rc::ptr_eq(&ex.live, &fronts.live));
    let mut ex = match spare {
        Some(mut ex) => {
            ex.conn = conn;
            ex.reset(chain);
            ex
        }
        None => Box::new(Exchange::new(fronts.live.clone(), conn, chain)),
    };
    ex.started_micros = SystemClock.wall();
    ex.started = Instant::now();
    let ip = ex.conn.peer_ip.clone();
    ex.client_ip.extend_from_slice(&ip);
    ex.client_port = ex.conn.peer.port();
    ex
}

fn keep(session: &Session, mut ex: Box<Exchange>) {
    let mut spare = session.spare.borrow_mut();
    if spare.len() < KEPT {
        // What modules noted holds files and backends.
        ex.ext.clear();
        ex.drop_filters();
        spare.push(ex);
    }
}

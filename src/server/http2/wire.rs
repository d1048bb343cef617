//! One request's view of its stream: body in, response out.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use h2::{Reason, SendStream};
use http::{HeaderValue, Response, StatusCode};
use tokio::time::Instant;

use super::super::incoming::{Expect, Trouble};
use super::super::link::{Timer, far};
use super::super::rates::Stage;
use super::Session;
use super::ends::{Inbox, Respond, head_of};
use super::push::Pushing;
use super::stream::Origin;
use crate::modules::http2::{Order, order_of};
use crate::web::{BodyFault, BodyKind, Framing, HeadOut, Table, Tunnel, Wire};

/// What is gathered of a response before it goes on to the protocol.
const OUT_MAX: usize = 16 * 1024;

/// A body of no more is copied, and the memory it was gathered in used again.
const SMALL: usize = 2048;

/// How long a response's end waits for that of its request: what breaks the rules there is told as long as the stream
/// is open. httpd reads all of a body before it answers.
const REST: Duration = Duration::from_millis(250);

/// How long the rest of a body that nobody wants may take.
const LINGER: Duration = Duration::from_secs(1);

/// Where the response is.
enum Out {
    /// The head is still to come.
    Respond(Respond),
    /// The head is made and goes out with what follows.
    Head(Respond, Box<Response<()>>),
    Body(SendStream<Bytes>),
    Over,
}

/// What a wait is for: each has a deadline of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    Nothing,
    In,
    Out,
    Rest,
}

/// A stream that serves one request.
pub(super) struct Http2 {
    pub(super) session: Rc<Session>,
    pub(super) id: u32,
    pub(super) recv: Inbox,
    out: Out,
    kind: BodyKind,
    pub(super) data: Bytes,
    /// The body has ended.
    pub(super) ended: bool,
    taken: u64,
    pub(super) limit: u64,
    pub(super) expect: Expect,
    trailers: Table,
    /// Body that waits to be sent.
    held: BytesMut,
    framing: Framing,
    pub(super) timeout: Duration,
    waits: Wait,
    timer: Timer,
    pub(super) trouble: Option<Trouble>,
    /// Rate the body must come at.
    pub(super) stage: Option<Stage>,
    /// The stream is lost.
    pub(super) gone: bool,
    pub(super) finished: bool,
    web_socket: WebSocket,
    /// The end of the request was waited for.
    rested: bool,
    origin: Origin,
    pushing: Option<Box<Pushing>>,
}

/// What streams use one after the other.
#[derive(Default)]
pub(super) struct Lent {
    held: BytesMut,
    timer: Timer,
}

/// Whether a stream is to become a tunnel.
enum WebSocket {
    No,
    /// It is, if the backend says this.
    Asked(Option<String>),
    Open,
    /// The backend has not.
    Misunderstood,
}

impl Http2 {
    /// `lent` is memory of a stream before this one; [`Http2::into_lent`] gives it back.
    pub(super) fn new(session: Rc<Session>, recv: Inbox, respond: Respond, kind: BodyKind, lent: Lent) -> Self {
        let Lent { held, timer } = lent;
        Self {
            id: respond.id(),
            session,
            ended: kind == BodyKind::None,
            recv,
            out: Out::Respond(respond),
            kind,
            data: Bytes::new(),
            taken: 0,
            limit: 0,
            expect: Expect::Nothing,
            trailers: Table::default(),
            held,
            framing: Framing::None,
            timeout: Duration::from_secs(60),
            waits: Wait::Nothing,
            timer,
            trouble: None,
            stage: None,
            gone: false,
            finished: false,
            web_socket: WebSocket::No,
            rested: false,
            origin: Origin::Asked,
            pushing: None,
        }
    }

    /// Where the request is from, and what may be pushed with its response.
    pub(super) fn comes_from(&mut self, origin: Origin, pushing: Option<Box<Pushing>>) {
        (self.origin, self.pushing) = (origin, pushing);
    }

    /// What the next stream can use.
    pub(super) fn into_lent(self) -> Lent {
        let Self { mut held, timer, .. } = self;
        held.clear();
        Lent { held, timer }
    }

    /// The request is for a WebSocket, which the backend accepts with this word.
    pub(super) fn open_web_socket(&mut self, accept: Option<String>) {
        self.web_socket = WebSocket::Asked(accept);
        self.ended = false;
    }

    /// Whether a WebSocket was opened with the wrong word.
    pub(super) fn misunderstood(&self) -> bool {
        matches!(self.web_socket, WebSocket::Misunderstood)
    }

    pub(super) fn send_stream(&mut self) -> Option<&mut SendStream<Bytes>> {
        match &mut self.out {
            Out::Body(body) => Some(body),
            _ => None,
        }
    }

    /// The backend has changed its protocol: so does the stream, if it was asked to.
    fn switch(&mut self, fields: &Table) {
        let Out::Respond(_) = self.out else { return };
        let WebSocket::Asked(accept) = &self.web_socket else { return };
        let said = fields.get(b"Sec-WebSocket-Accept").unwrap_or_default();
        let right = accept.as_deref().is_some_and(|accept| accept.as_bytes() == said);
        let Out::Respond(respond) = std::mem::replace(&mut self.out, Out::Over) else { return };
        let mut head = head_of(if right { StatusCode::OK } else { StatusCode::BAD_GATEWAY });
        if right {
            self.web_socket = WebSocket::Open;
            let others = fields.iter().filter(|(name, _)| !name.eq_ignore_ascii_case(b"sec-websocket-accept"));
            self.session.usual.put(&mut head, others);
        } else {
            self.web_socket = WebSocket::Misunderstood;
            head.headers_mut().append(http::header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        self.out = Out::Head(respond, Box::new(head));
        self.release(!right);
        self.finished = !right;
    }

    /// Ends the stream, and nothing of it is answered any more.
    pub(super) fn reset(&mut self, reason: Reason) {
        match std::mem::replace(&mut self.out, Out::Over) {
            Out::Respond(mut respond) | Out::Head(mut respond, _) => respond.reset(reason),
            Out::Body(mut body) => body.send_reset(reason),
            Out::Over => {}
        }
    }

    /// Ready when what is waited for has taken too long. A wait goes on until [`Http2::came`] says that there was
    /// progress.
    fn poll_late(&mut self, cx: &mut Context<'_>, wait: Wait, until: Option<Instant>) -> Poll<()> {
        if self.waits != wait {
            self.waits = wait;
            let own = far(Instant::now(), self.timeout);
            let late = until.map_or(own, |until| until.min(own));
            self.timer.set(late);
        }
        ready!(self.timer.poll(cx));
        self.waits = Wait::Nothing;
        Poll::Ready(())
    }

    fn came(&mut self) {
        self.waits = Wait::Nothing;
    }

    pub(super) fn lost<T>(&mut self) -> Poll<io::Result<T>> {
        self.gone = true;
        self.out = Out::Over;
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }

    /// The client gives no room for what it asked for.
    fn stalled<T>(&mut self) -> Poll<io::Result<T>> {
        self.session.stalled();
        self.reset(Reason::CANCEL);
        self.gone = true;
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// The head goes out; `last`: nothing follows it.
    fn release(&mut self, last: bool) -> bool {
        match std::mem::replace(&mut self.out, Out::Over) {
            Out::Head(mut respond, head) => match respond.send(*head, last) {
                Ok(body) => {
                    self.out = Out::Body(body);
                    true
                }
                Err(_) => false,
            },
            other => {
                self.out = other;
                true
            }
        }
    }

    /// Hands what is held to the protocol; with `last`, the end of the stream too.
    pub(super) fn poll_push(&mut self, cx: &mut Context<'_>, last: bool) -> Poll<io::Result<()>> {
        if !self.release(last && self.held.is_empty()) {
            return self.lost();
        }
        let most = self.session.settings.most_data;
        while !self.held.is_empty() {
            if self.session.pushed.get() {
                ready!(self.session.tap.poll_turn(cx, self.id));
            }
            let Out::Body(body) = &mut self.out else { return self.lost() };
            let room = if last && self.held.len() <= SMALL {
                // It may wait for room with the protocol as well as here: the end is waited for anyway.
                self.held.len()
            } else {
                body.reserve_capacity(self.held.len());
                match body.capacity() {
                    0 => match ready!(body.poll_capacity(cx)) {
                        Some(Ok(room)) => room,
                        _ => return self.lost(),
                    },
                    room => room,
                }
            };
            let n = room.min(self.held.len()).min(most);
            let part = if n == self.held.len() && n <= SMALL {
                let part = Bytes::copy_from_slice(&self.held);
                self.held.clear();
                part
            } else {
                self.held.split_to(n).freeze()
            };
            let end = last && self.held.is_empty();
            if self.session.pushed.get() {
                self.session.tap.queue(self.id, part.len());
            }
            if body.send_data(part, end).is_err() {
                return self.lost();
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Has a response of this type that was pushed wait for the one that it goes with, or that one for it.
    fn queue_up(&self, kind: Option<&[u8]>) {
        let Origin::Pushed { parent, critical } = self.origin else { return };
        let said = if critical { Some(Order::Before) } else { order_of(&self.session.settings.orders, kind) };
        match said.unwrap_or_default() {
            Order::After => self.session.tap.follow(self.id, parent),
            Order::Before => self.session.tap.follow(parent, self.id),
            Order::Interleaved => {}
        }
    }

    /// As [`Http2::poll_push`], for as long as Timeout.
    fn poll_send(&mut self, cx: &mut Context<'_>, last: bool) -> Poll<io::Result<()>> {
        match self.poll_push(cx, last) {
            Poll::Ready(sent) => {
                // Only here: a client that gives a byte of room now and then makes no progress.
                self.came();
                Poll::Ready(sent)
            }
            Poll::Pending => {
                ready!(self.poll_late(cx, Wait::Out, None));
                self.stalled()
            }
        }
    }

    /// Behind a complete response: what the client still sends of its body is passed over for a moment, as much as it
    /// may send ahead. Only then is it told to stop, which it need not hear when it is done already.
    pub(super) async fn linger(&mut self) {
        if self.ended || self.gone || !matches!(self.out, Out::Body(_)) {
            return;
        }
        let rest = poll_fn(|cx| {
            loop {
                match ready!(self.recv.poll_data(cx)) {
                    Some(Ok(_)) => {}
                    Some(Err(_)) => return Poll::Ready(()),
                    None => return self.recv.poll_trailers(cx).map(|_| ()),
                }
            }
        });
        let _ = tokio::time::timeout(LINGER, rest).await;
    }

    /// Sends an interim response; the next one may be the final one.
    fn inform(&mut self, status: u16, fields: &Table) {
        let Out::Respond(respond) = &mut self.out else { return };
        let Some(mut head) = StatusCode::from_u16(status).ok().map(head_of) else { return };
        self.session.usual.put(&mut head, fields.iter());
        let pushed = self.pushing.as_ref().and_then(|pushing| pushing.announce(&self.session, respond, fields));
        if let Some(policy) = pushed {
            head.headers_mut().append("push-policy", HeaderValue::from_static(policy));
        }
        if status == 103 && !self.session.settings.early_hints {
            // What it names is on its way all the same.
            return;
        }
        respond.inform(head);
    }
}

impl Wire for Http2 {
    fn body_kind(&self) -> BodyKind {
        // Behind a complete response nobody has to read what is left: the stream is over.
        if self.finished { BodyKind::None } else { self.kind }
    }

    fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = self.session.settings.stream_timeout.unwrap_or(timeout);
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, BodyFault>> {
        if !self.data.is_empty() {
            return Poll::Ready(Ok(self.data.len()));
        }
        if let BodyKind::Length(length) = self.kind
            && self.limit > 0
            && length > self.limit
        {
            self.trouble = Some(Trouble::Announced(length));
            return Poll::Ready(Err(BodyFault::TooLarge));
        }
        if self.expect == Expect::Waiting && !self.ended && !self.recv.is_end_stream() {
            self.continue_now(true);
        }
        while !self.ended {
            match self.recv.poll_data(cx) {
                Poll::Ready(Some(Ok(data))) => {
                    self.came();
                    if let Some(stage) = &mut self.stage {
                        stage.received(data.len());
                    }
                    if data.is_empty() {
                        continue;
                    }
                    self.taken += data.len() as u64;
                    if let Some(dump) = &self.session.dump {
                        dump.body(&data, u64::MAX);
                    }
                    self.data = data;
                    if self.limit > 0 && self.taken > self.limit {
                        self.trouble = Some(Trouble::Came(self.taken));
                        return Poll::Ready(Err(BodyFault::TooLarge));
                    }
                    return Poll::Ready(Ok(self.data.len()));
                }
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(BodyFault::Gone)),
                Poll::Ready(None) => match self.recv.poll_trailers(cx) {
                    Poll::Ready(Ok(trailers)) => {
                        for (name, value) in trailers.iter().flatten() {
                            self.trailers.add(name.as_str().as_bytes(), value.as_bytes());
                        }
                        self.ended = true;
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(BodyFault::Gone)),
                    Poll::Pending => ready!(self.poll_no_body(cx))?,
                },
                Poll::Pending => ready!(self.poll_no_body(cx))?,
            }
        }
        Poll::Ready(Ok(0))
    }

    fn body(&self) -> &[u8] {
        &self.data
    }

    fn consume(&mut self, n: usize) {
        let n = n.min(self.data.len());
        self.data.advance(n);
        self.recv.release(n);
    }

    fn body_done(&self) -> bool {
        self.ended && self.data.is_empty()
    }

    fn expects_continue(&self) -> bool {
        self.expect != Expect::Nothing && !self.recv.is_end_stream()
    }

    fn continue_now(&mut self, send: bool) {
        if self.expect == Expect::Nothing {
            return;
        }
        if !send {
            self.expect = Expect::ByHandler;
            return;
        }
        self.expect = Expect::Nothing;
        self.inform(100, &Table::default());
    }

    fn trailers(&self) -> Option<&Table> {
        (self.body_done() && !self.trailers.is_empty()).then_some(&self.trailers)
    }

    fn interim(&mut self, status: u16, _: &[u8], fields: &Table) {
        match status {
            100 => self.expect = Expect::Nothing,
            101 => return self.switch(fields),
            _ => {}
        }
        self.inform(status, fields);
    }

    fn head(&mut self, head: &HeadOut<'_>) {
        self.framing = head.framing;
        let Out::Respond(_) = &self.out else { return };
        if matches!(self.web_socket, WebSocket::Asked(_)) && (200..300).contains(&head.status) {
            // An answer, but none to what was asked.
            self.framing = Framing::None;
            return self.switch(&Table::default());
        }
        let Ok(status) = StatusCode::from_u16(head.status) else { return };
        let Out::Respond(mut respond) = std::mem::replace(&mut self.out, Out::Over) else { return };
        let mut made = head_of(status);
        made.headers_mut().reserve(head.fields.len());
        // As mod_http2 orders them: the server's own behind the others.
        let own = |(name, _): &(&[u8], &[u8])| {
            matches!(name.len(), 4 | 6) && (name.eq_ignore_ascii_case(b"date") || name.eq_ignore_ascii_case(b"server"))
        };
        let usual = &self.session.usual;
        let size = usual.put(&mut made, head.fields.iter().filter(|field| !own(field)));
        let size = size + usual.put(&mut made, head.fields.iter().filter(own));
        if size > self.session.settings.most_head {
            respond.reset(Reason::INTERNAL_ERROR);
            self.gone = true;
            return;
        }
        if head.status < 400
            && let Some(pushing) = self.pushing.take()
            && let Some(policy) = pushing.announce(&self.session, &mut respond, head.fields)
        {
            made.headers_mut().append("push-policy", HeaderValue::from_static(policy));
        }
        if self.session.pushed.get() {
            self.queue_up(head.fields.get(b"Content-Type"));
        }
        self.out = Out::Head(respond, Box::new(made));
        if let Some(dump) = &self.session.dump {
            dump.marks("H2HEADERS");
            dump.gone();
        }
    }

    fn poll_data(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if self.framing == Framing::None || data.is_empty() {
            return Poll::Ready(Ok(data.len()));
        }
        if self.held.len() >= OUT_MAX || !self.session.settings.buffering {
            ready!(self.poll_send(cx, false))?;
        }
        if self.gone || self.finished {
            return self.lost();
        }
        let n = data.len().min(OUT_MAX.saturating_sub(self.held.len()));
        let data = data.get(..n).unwrap_or_default();
        if let Some(dump) = &self.session.dump {
            dump.sends("HEAP", data);
            dump.gone();
        }
        self.held.extend_from_slice(data);
        Poll::Ready(Ok(n))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_send(cx, false)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.finished {
            ready!(self.poll_rest(cx))?;
            let had = !self.held.is_empty() || matches!(self.out, Out::Head(..));
            ready!(self.poll_send(cx, true))?;
            self.finished = true;
            if let Some(dump) = &self.session.dump {
                dump.one_ends();
            }
            if !had {
                let Out::Body(body) = &mut self.out else { return self.lost() };
                if body.send_data(Bytes::new(), true).is_err() {
                    return self.lost();
                }
            }
        }
        match self.session.tap.poll_ended(cx, self.id) {
            Poll::Ready(false) => self.lost(),
            Poll::Ready(true) => {
                self.came();
                Poll::Ready(Ok(()))
            }
            Poll::Pending => {
                ready!(self.poll_late(cx, Wait::Out, None));
                self.stalled()
            }
        }
    }

    fn abort(&mut self) {
        if !self.finished {
            self.reset(Reason::INTERNAL_ERROR);
        }
    }

    fn close(&mut self) {}

    fn counts(&self) -> (u64, u64) {
        self.session.tap.counts(self.id)
    }

    fn tunnel(&mut self) -> Option<&mut dyn Tunnel> {
        if matches!(self.web_socket, WebSocket::Open) { Some(self) } else { None }
    }

    fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }
}

impl Http2 {
    /// Passes over what still comes of the body, for a moment. What there is of the response is on its way meanwhile.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.rested && !self.ended && !self.expects_continue() {
            match self.recv.poll_data(cx) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(_) => break,
                Poll::Pending => {
                    if let Poll::Ready(sent) = self.poll_push(cx, false) {
                        sent?;
                    }
                    if self.waits != Wait::Rest {
                        let usual = std::mem::replace(&mut self.timeout, REST);
                        let late = self.poll_late(cx, Wait::Rest, None);
                        self.timeout = usual;
                        ready!(late);
                    }
                    ready!(self.poll_late(cx, Wait::Rest, None));
                    break;
                }
            }
        }
        self.rested = true;
        self.waits = Wait::Nothing;
        Poll::Ready(Ok(()))
    }

    /// Nothing of the body is here: ready with an error when that lasts too long.
    fn poll_no_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyFault>> {
        if !matches!(self.out, Out::Respond(_)) {
            // The client may wait for what it was promised.
            if let Poll::Ready(Err(_)) = self.poll_push(cx, false) {
                return Poll::Ready(Err(BodyFault::Gone));
            }
        }
        let until = self.stage.as_mut().map(Stage::deadline);
        ready!(self.poll_late(cx, Wait::In, until));
        if self.stage.as_mut().is_some_and(|stage| stage.deadline() <= Instant::now()) {
            self.trouble = Some(Trouble::Slow);
        }
        Poll::Ready(Err(BodyFault::Timeout))
    }
}

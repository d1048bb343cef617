//! The bytes between a client's socket and the protocol: counted by stream, and watched for floods.
//!
//! The protocol's library neither tells what frames pass nor gives its socket back. So it is lent this one, which both
//! keep a hand on.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use h2::Reason;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::super::link::Link;
use super::budget::{Budget, Kind};
use super::frames::{
    ACK, CONTINUATION, DATA, END_STREAM, Frames, GOAWAY, HEADERS, Head, PUSH_PROMISE, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, begins_with_pseudo_field, setting,
};
use crate::codec::http2::PREFACE;
use crate::logs::{Dump, Errno};

/// With so many, streams that are not served are forgotten.
const MOST_FLOWS: usize = 1024;

/// What httpd asks for at once, as [`Dump`] shows it.
const READ_MOST: usize = 128 * 1024;

/// The setting of a client that says whether it takes what is pushed.
const ENABLE_PUSH: [u8; 2] = [0, 2];

/// What passed of one stream.
#[derive(Default)]
struct Flow {
    received: u64,
    sent: u64,
    /// Our end is on its way: END_STREAM, or a reset.
    ended: bool,
    /// The client took the stream back.
    reset: bool,
    /// It is served; else it may be one that never is.
    open: bool,
    waker: Option<Waker>,
    /// Its place among others; where anything was pushed.
    order: Option<Box<Order>>,
}

/// What a stream that was pushed, and the one it goes with, know of one another.
#[derive(Default)]
struct Order {
    /// Body that the protocol has and the socket has not.
    queued: u64,
    /// Streams that have what this one leaves, and wait.
    followers: Vec<Waker>,
    /// Streams that this one lets go first.
    behind: Vec<u32>,
}

impl Flow {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        self.free();
    }

    fn free(&mut self) {
        if let Some(order) = &mut self.order {
            order.followers.drain(..).for_each(Waker::wake);
        }
    }
}

struct State {
    link: Link,
    /// What was read before the protocol was known.
    ahead: Vec<u8>,
    inbound: Frames,
    outbound: Frames,
    budget: Budget,
    flows: HashMap<u32, Flow, foldhash::fast::FixedState>,
    over: Option<&'static str>,
    /// A rule was broken that the protocol's library does not know of.
    broken: bool,
    /// Since when the socket takes nothing.
    blocked: Option<Instant>,
    /// The client has said that it opens no more streams.
    leaving: bool,
    /// The client takes what is pushed.
    takes_pushes: bool,
    /// The newest stream.
    last_stream: u32,
    /// GOAWAY was queued here.
    said: bool,
    farewell: Vec<u8>,
    /// Where all bytes are shown.
    dump: Option<Box<Dump>>,
}

/// A client's socket, shared.
#[derive(Clone)]
pub(super) struct Tap(Rc<RefCell<State>>);

impl Tap {
    /// Over a socket from which `ahead` was read already.
    pub(super) fn new(link: Link, ahead: Vec<u8>) -> Self {
        Self(Rc::new(RefCell::new(State {
            link,
            ahead,
            inbound: Frames::new(PREFACE.len()),
            outbound: Frames::new(0),
            budget: Budget::new(),
            flows: HashMap::default(),
            over: None,
            broken: false,
            blocked: None,
            leaving: false,
            takes_pushes: true,
            last_stream: 0,
            said: false,
            farewell: Vec::new(),
            dump: None,
        })))
    }

    /// The same, with its bytes shown.
    pub(super) fn shown(self, dump: Option<Box<Dump>>) -> Self {
        self.0.borrow_mut().dump = dump;
        self
    }

    /// What there was too much of.
    pub(super) fn over(&self) -> Option<&'static str> {
        self.0.borrow().over
    }

    /// Whether a rule was broken that only shows here.
    pub(super) fn broken(&self) -> bool {
        self.0.borrow().broken
    }

    /// There is too much of something that frames do not show.
    pub(super) fn exceed(&self, what: &'static str) {
        self.0.borrow_mut().over.get_or_insert(what);
    }

    /// Since when nothing can be written.
    pub(super) fn blocked(&self) -> Option<Instant> {
        self.0.borrow().blocked
    }

    /// Whether the client ends the connection.
    pub(super) fn leaving(&self) -> bool {
        self.0.borrow().leaving
    }

    /// Begins to count for a stream; what came of it so far is counted.
    pub(super) fn open(&self, stream: u32) {
        self.0.borrow_mut().flows.entry(stream).or_default().open = true;
    }

    /// Forgets a stream.
    pub(super) fn close(&self, stream: u32) {
        if let Some(mut flow) = self.0.borrow_mut().flows.remove(&stream) {
            flow.free();
        }
    }

    /// Whether the client takes what is pushed.
    pub(super) fn takes_pushes(&self) -> bool {
        let state = self.0.borrow();
        state.takes_pushes && !state.leaving
    }

    /// The protocol has so much more of a stream's body.
    pub(super) fn queue(&self, stream: u32, more: usize) {
        if let Some(flow) = self.0.borrow_mut().flows.get_mut(&stream) {
            flow.order.get_or_insert_default().queued += more as u64;
        }
    }

    /// Lets a stream have what another one leaves.
    pub(super) fn follow(&self, stream: u32, first: u32) {
        if let Some(flow) = self.0.borrow_mut().flows.get_mut(&stream) {
            flow.order.get_or_insert_default().behind.push(first);
        }
    }

    /// Ready when nothing is on its way of the streams that this one lets go first.
    pub(super) fn poll_turn(&self, cx: &mut Context<'_>, stream: u32) -> Poll<()> {
        let mut state = self.0.borrow_mut();
        let flows = &mut state.flows;
        for nth in 0.. {
            let order = flows.get(&stream).and_then(|flow| flow.order.as_ref());
            let Some(first) = order.and_then(|order| order.behind.get(nth).copied()) else { break };
            if let Some(flow) = flows.get_mut(&first).filter(|flow| !flow.ended && !flow.reset)
                && let Some(order) = flow.order.as_mut().filter(|order| order.queued > 0)
            {
                order.followers.push(cx.waker().clone());
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }

    /// Bytes of a stream in and out.
    pub(super) fn counts(&self, stream: u32) -> (u64, u64) {
        self.0.borrow().flows.get(&stream).map_or((0, 0), |flow| (flow.received, flow.sent))
    }

    /// Ready when our end of the stream is with the system, which is true, or the client has taken the stream back.
    pub(super) fn poll_ended(&self, cx: &mut Context<'_>, stream: u32) -> Poll<bool> {
        let mut state = self.0.borrow_mut();
        let Some(flow) = state.flows.get_mut(&stream) else { return Poll::Ready(false) };
        if flow.ended || flow.reset {
            return Poll::Ready(!flow.reset);
        }
        flow.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The connection is over: nothing more happens to its streams.
    pub(super) fn end(&self) {
        let mut state = self.0.borrow_mut();
        for flow in state.flows.values_mut() {
            flow.reset |= !flow.ended;
            flow.wake();
        }
    }

    /// Writes a GOAWAY frame and the end behind it, where a frame has just ended; else only the end.
    pub(super) fn poll_goaway(&self, cx: &mut Context<'_>, reason: Reason) -> Poll<()> {
        let mut state = self.0.borrow_mut();
        if !std::mem::replace(&mut state.said, true) && state.outbound.is_between() {
            state.farewell.extend_from_slice(&[0, 0, 8, GOAWAY, 0, 0, 0, 0, 0]);
            let last = state.last_stream;
            state.farewell.extend_from_slice(&last.to_be_bytes());
            state.farewell.extend_from_slice(&u32::from(reason).to_be_bytes());
        }
        let State { link, farewell, .. } = &mut *state;
        while !farewell.is_empty() {
            match ready!(link.poll_write(cx, &[IoSlice::new(farewell)])) {
                Ok(n @ 1..) => drop(farewell.drain(..n)),
                _ => return Poll::Ready(()),
            }
        }
        link.poll_flush(cx).map(|_| ())
    }

    /// The socket, once nobody else has a hand on it.
    pub(super) fn into_link(self) -> Option<Link> {
        Rc::into_inner(self.0).map(|state| state.into_inner().link)
    }
}

impl State {
    fn received(&mut self, bytes: &[u8]) {
        let Self { inbound, budget, flows, over, leaving, last_stream, broken, takes_pushes, .. } = self;
        let mut now = None;
        let each = |head: &Head| {
            let mut look = false;
            let kind = match head.kind {
                DATA | HEADERS | CONTINUATION if head.len == 0 && head.flags & END_STREAM == 0 => Kind::Empty,
                DATA | HEADERS | CONTINUATION => {
                    if head.kind == HEADERS {
                        if flows.len() >= MOST_FLOWS {
                            flows.retain(|_, flow| flow.open);
                        }
                        look = head.stream <= *last_stream;
                        flows.entry(head.stream).or_default();
                        *last_stream = head.stream.max(*last_stream);
                    }
                    if let Some(flow) = flows.get_mut(&head.stream) {
                        flow.received += head.len as u64 + 9;
                    }
                    budget.earn(Kind::Control, 1);
                    return look;
                }
                RST_STREAM => {
                    if let Some(flow) = flows.get_mut(&head.stream) {
                        flow.reset = true;
                        flow.wake();
                    }
                    Kind::Reset
                }
                SETTINGS => {
                    look = head.flags & ACK == 0;
                    Kind::Control
                }
                GOAWAY => {
                    *leaving = true;
                    Kind::Control
                }
                WINDOW_UPDATE => Kind::Window,
                _ => Kind::Control,
            };
            if let Err(what) = budget.take(kind, *now.get_or_insert_with(Instant::now)) {
                over.get_or_insert(what);
            }
            look
        };
        inbound.pass(bytes, each, |head, payload| {
            if head.kind != SETTINGS {
                *broken |= begins_with_pseudo_field(head, payload);
            } else if let Some(value) = setting(payload, ENABLE_PUSH) {
                *takes_pushes = value != 0;
            }
        });
    }

    fn sent(&mut self, bytes: &[u8]) {
        let Self { outbound, budget, flows, .. } = self;
        let each = |head: &Head| {
            if let Some(flow) = flows.get_mut(&head.stream) {
                flow.sent += head.len as u64 + 9;
                let ends = match head.kind {
                    DATA | HEADERS => head.flags & END_STREAM != 0,
                    kind => kind == RST_STREAM,
                };
                if head.kind == DATA
                    && let Some(order) = flow.order.as_mut().filter(|order| order.queued > 0)
                {
                    order.queued = order.queued.saturating_sub(head.len as u64);
                    if order.queued == 0 {
                        flow.free();
                    }
                }
                if ends {
                    flow.ended = true;
                    flow.wake();
                }
            }
            if head.kind == PUSH_PROMISE {
                // Which the client may have no use for.
                budget.earn(Kind::Reset, 1);
            }
            if head.kind == DATA {
                budget.earn(Kind::Window, 2);
                budget.earn(Kind::Control, 1);
            }
            false
        };
        outbound.pass(bytes, each, |_, _| {});
    }
}

impl AsyncRead for Tap {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.borrow_mut();
        if state.over.is_some() || state.broken {
            // Whoever drives the protocol sees to the end.
            return Poll::Pending;
        }
        if !state.ahead.is_empty() {
            let n = state.ahead.len().min(buf.remaining());
            let rest = state.ahead.split_off(n);
            let bytes = std::mem::replace(&mut state.ahead, rest);
            if let Some(dump) = &state.dump {
                dump.asks("readbytes-nonblocking", READ_MOST);
                dump.came(&bytes);
            }
            state.received(&bytes);
            buf.put_slice(&bytes);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(state.link.poll_read_buf(cx, buf))?;
        let bytes = buf.filled().get(before..).unwrap_or_default();
        if let Some(dump) = &state.dump {
            dump.asks("readbytes-nonblocking", READ_MOST);
            match bytes.is_empty() {
                true => dump.fails(Errno::EOF),
                false => dump.came(bytes),
            }
        }
        state.received(bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tap {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.0.borrow_mut();
        let written = state.link.poll_write(cx, parts);
        match &written {
            Poll::Ready(Ok(n)) => {
                state.blocked = None;
                let mut left = *n;
                for part in parts {
                    let here = left.min(part.len());
                    let bytes = part.get(..here).unwrap_or_default();
                    if let Some(dump) = &state.dump {
                        dump.sends("HEAP", bytes);
                    }
                    state.sent(bytes);
                    left -= here;
                }
                if let Some(dump) = &state.dump {
                    dump.gone();
                    dump.flushes();
                }
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                state.blocked.get_or_insert_with(Instant::now);
            }
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.borrow_mut();
        let flushed = state.link.poll_flush(cx);
        match flushed {
            Poll::Pending => {
                state.blocked.get_or_insert_with(Instant::now);
            }
            Poll::Ready(_) => state.blocked = None,
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().link.poll_shutdown(cx)
    }
}

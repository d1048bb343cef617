//! A connection to a backend while a request uses it.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use super::lane::Lane;
use super::stream::{Idle, Stream};
use super::tally::Count;
use super::worker::WorkerState;
use crate::net::client::ClientSide;

/// The longest head or packet that is waited for.
pub(super) const HEAD_MAX: usize = 1024 * 1024;

/// A place among the worker's open connections; given up when dropped.
pub(super) struct Slot(Arc<WorkerState>);

impl Slot {
    /// A place, unless `max` (0 is no limit) are taken.
    pub(super) fn reserve(state: &Arc<WorkerState>, max: u32) -> Option<Self> {
        let more = |open: u32| (max == 0 || open < max).then_some(open + 1);
        state.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Self(state.clone()))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
        if self.0.starving.load(Ordering::SeqCst) > 0 {
            self.0.freed.notify_one();
        }
    }
}

/// A connection lent for one request. Dropping it closes it; [`Link::keep`] gives it back.
///
/// All reads and writes fail with [`io::ErrorKind::TimedOut`] when nothing moved for the time set.
pub struct Link {
    stream: Stream,
    /// The thread whose runtime drives it.
    home: usize,
    pub(super) slot: Slot,
    /// Set at some earlier deadline and moved only when it fires, so that a request costs no timer.
    timer: Option<Pin<Box<Sleep>>>,
    /// Of the wait going on.
    deadline: Option<Instant>,
    timeout: Duration,
    lane: Option<Box<Lane>>,
    /// What TLS was made with, and the name that was asked for.
    pub(super) secured: Option<(Arc<ClientSide>, Option<Box<str>>)>,
    /// Requests it has served.
    pub(super) served: u32,
    /// When it was given back.
    pub(super) since: Instant,
    /// Something was left unread.
    pub(super) dirty: bool,
}

impl Link {
    pub(super) fn new(stream: Stream, home: usize, slot: Slot) -> Box<Self> {
        let now = Instant::now();
        Box::new(Self {
            stream,
            home,
            slot,
            timer: None,
            deadline: None,
            timeout: Duration::from_secs(60),
            lane: Some(Lane::take()),
            secured: None,
            served: 0,
            since: now,
            dirty: false,
        })
    }

    /// The other end's address; sockets of the system have none.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.stream.peer()
    }

    /// This end's address.
    pub(super) fn local(&self) -> Option<SocketAddr> {
        self.stream.local()
    }

    /// Moves to the runtime of this thread, if it lives elsewhere; says whether it had to.
    pub(super) fn come_home(&mut self, home: usize) -> io::Result<bool> {
        if self.home == home {
            return Ok(false);
        }
        self.timer = None;
        self.stream.adopt()?;
        self.home = home;
        Ok(true)
    }

    pub(super) fn wake(&mut self) {
        if self.lane.is_none() {
            self.lane = Some(Lane::take());
        }
    }

    /// Ready to lie in a pool, or not worth it. The time is noted where somebody will ask (`timed`).
    pub(super) fn rest(&mut self, timed: bool) {
        self.served = self.served.saturating_add(1);
        if timed {
            self.since = Instant::now();
        }
        self.deadline = None;
        if let Some(lane) = self.lane.take() {
            self.dirty |= !lane.input.bytes().iter().all(|c| matches!(c, b'\r' | b'\n'));
            lane.give();
        }
    }

    pub(super) fn idle(&mut self, certain: bool) -> Idle {
        if self.dirty {
            return Idle::Unread;
        }
        loop {
            match self.stream.idle(certain) {
                // Empty lines behind a response are borne.
                Idle::Unread => {
                    let mut some = [0; 16];
                    match self.stream.try_read(&mut some) {
                        Ok(n @ 1..) if some.iter().take(n).all(|c| matches!(c, b'\r' | b'\n')) => {}
                        Ok(0) => return Idle::Closed,
                        _ => return Idle::Unread,
                    }
                }
                other => return other,
            }
        }
    }

    /// Whether it served a request before this one.
    pub fn reused(&self) -> bool {
        self.served > 0
    }

    /// The worker it leads to.
    pub fn state(&self) -> &Arc<WorkerState> {
        &self.slot.0
    }

    /// How long one read or write may take.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// Buffers of this request.
    #[inline]
    pub fn lane(&mut self) -> &mut Lane {
        self.lane.get_or_insert_with(Lane::take)
    }

    /// What came and is not used.
    #[inline]
    pub fn input(&self) -> &[u8] {
        self.lane.as_ref().map_or(&[], |lane| lane.input.bytes())
    }

    /// Marks input as used.
    #[inline]
    pub fn consume(&mut self, n: usize) {
        self.lane().input.consume(n);
    }

    /// Reads more into the input; `Ok(0)` is the end.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Self { stream, lane, .. } = self;
        let input = &mut lane.get_or_insert_with(Lane::take).input;
        if input.bytes().len() > HEAD_MAX {
            return Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()));
        }
        match stream.poll_read(cx, input.spare()) {
            Poll::Ready(Ok(n)) => {
                input.came(n);
                self.deadline = None;
                Poll::Ready(Ok(n))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                // Until something comes others can use them, while they are warm.
                if let Some(lane) = self.lane.take_if(|lane| lane.is_empty()) {
                    lane.give();
                }
                self.poll_timer(cx).map(Err)
            }
        }
    }

    /// [`Link::poll_fill`] as a future.
    pub async fn fill(&mut self) -> io::Result<usize> {
        poll_fn(|cx| self.poll_fill(cx)).await
    }

    /// Writes some of `data`.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_parts(cx, &[io::IoSlice::new(data)])
    }

    /// Writes some of several pieces, in order.
    pub fn poll_write_parts(&mut self, cx: &mut Context<'_>, parts: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = match parts {
            [one] => self.stream.poll_write(cx, one),
            _ => self.stream.poll_write_vectored(cx, parts),
        };
        match written {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(n)) => {
                self.deadline = None;
                Poll::Ready(Ok(n))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self.poll_timer(cx).map(Err),
        }
    }

    /// Writes all of `data`.
    pub async fn write_all(&mut self, data: &[u8]) -> io::Result<()> {
        self.write_parts(&mut [io::IoSlice::new(data)]).await
    }

    /// Writes all of several pieces, in order.
    pub async fn write_parts(&mut self, parts: &mut [io::IoSlice<'_>]) -> io::Result<()> {
        let mut rest = parts;
        io::IoSlice::advance_slices(&mut rest, 0);
        poll_fn(|cx| {
            while !rest.is_empty() {
                let n = ready!(self.poll_write_parts(cx, rest))?;
                io::IoSlice::advance_slices(&mut rest, n);
            }
            match self.stream.poll_flush(cx) {
                Poll::Pending => self.poll_timer(cx).map(Err),
                flushed => flushed,
            }
        })
        .await
    }

    /// Writes all that was pushed to the lane's output, and empties it.
    pub async fn send(&mut self) -> io::Result<()> {
        let output = std::mem::take(&mut self.lane().output);
        let result = self.write_all(&output).await;
        let lane = self.lane();
        lane.output = output;
        lane.output.clear();
        result
    }

    /// Reads for a tunnel: without the lane, and without a deadline.
    pub(super) fn poll_read_raw(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        self.stream.poll_read(cx, into)
    }

    /// Writes for a tunnel: without a deadline.
    pub(super) fn poll_write_raw(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.stream.poll_write(cx, data)
    }

    /// Writes out what [`Link::poll_write_raw`] took and TLS still holds.
    pub(super) fn poll_flush_raw(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_flush(cx)
    }

    /// Ends the sending direction of a tunnel.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_shutdown(cx)
    }

    /// Gives the buffers back: what is in them is lost.
    pub(super) fn forget_lane(&mut self) {
        if let Some(lane) = self.lane.take() {
            lane.give();
        }
    }

    /// Ends the sending direction.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.stream.poll_shutdown(cx)).await
    }

    /// Whether something of a response is here or can be read at once.
    pub(super) fn has_answer(&mut self) -> bool {
        let Self { stream, lane, .. } = self;
        let input = &mut lane.get_or_insert_with(Lane::take).input;
        if !input.bytes().is_empty() {
            return true;
        }
        match stream.try_read(input.spare()) {
            Ok(n) => {
                input.came(n);
                n > 0
            }
            Err(_) => {
                input.lend_room();
                false
            }
        }
    }

    /// Whether the peer has closed or sent something, as far as is known without asking the system.
    pub fn has_news(&mut self) -> bool {
        self.stream.idle(false) != Idle::Quiet
    }

    /// Ready with `TimedOut` once nothing moved for the time set, counted from the first wait.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + self.timeout);
        let deadline = tokio::time::Instant::from_std(deadline);
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        loop {
            match timer.as_mut().poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) if timer.deadline() >= deadline => {
                    self.deadline = None;
                    return Poll::Ready(io::ErrorKind::TimedOut.into());
                }
                Poll::Ready(()) => timer.as_mut().reset(deadline),
            }
        }
    }

    /// Counts bytes for the worker's traffic. What counts differs from protocol to protocol, as in httpd.
    pub fn account(&self, sent: usize, received: usize) {
        if sent > 0 {
            self.slot.0.tally.add(Count::Transferred, sent as u64);
        }
        if received > 0 {
            self.slot.0.tally.add(Count::Read, received as u64);
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(lane) = self.lane.take() {
            lane.give();
        }
    }
}

//! A client connection from accept to close.
//!
//! States: *idle* (nothing of a request is here; holds no buffer and no request), *busy* (bytes arrived: a
//! [`super::http1::Session`] is borrowed from the thread), *lingering* (our side has ended; the client's rest is read and dropped, so that the
//! last response is not lost to a reset).

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::spawn_local;
use tokio::time::Instant;

use super::link::{Link, Stream};
use super::socket::Socket;
use super::threads::Thread;
use super::{echo, http1, http2, proxied, tls};
use crate::modules;
use crate::net::scoreboard::Open;
use crate::web::Conn;

/// How long a closing connection may be silent, and how long closing may take.
const LINGER: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(30));

/// What a connection does after its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// It waits this long for the next request.
    Idle(Duration),
    /// It ends in order.
    Linger,
    /// It is over.
    Close,
    /// It goes on in HTTP/2, with what the link was told to keep.
    Http2,
}

/// What ends the wait for a client.
pub(super) enum Woken {
    /// There is something to read, or its end.
    Readable,
    /// The time is over.
    Late,
    /// The server ends.
    Drain,
}

/// The connection's place in its thread, given back in whatever way the connection ends.
pub(super) struct Place {
    thread: Rc<Thread>,
    index: usize,
    /// It waits for another request.
    waits: Cell<bool>,
    open: Open,
}

impl Place {
    /// Its number.
    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// Whether the connection waits for another request from here on.
    pub(super) fn wait(&self, waits: bool) {
        if self.waits.replace(waits) != waits {
            self.thread.waits(waits);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.wait(false);
        self.thread.leave(self.index);
    }
}

/// Has a connection served, from what comes in front of requests to its end.
pub(super) fn start(thread: Rc<Thread>, socket: Socket, local: SocketAddr, peer: SocketAddr) {
    let (index, id) = thread.enter();
    let place = Place { thread: thread.clone(), index, waits: Cell::new(false), open: Open::new() };
    let fronts = thread.fronts();
    let server = fronts.live.generation.select.default_server(local);
    let conn = Conn::new(id, local, peer, &fronts.live.generation);
    let conn = Rc::new(Conn { secure: fronts.of(server).tls.is_some(), ..conn });
    let wait = http1::first_wait(fronts.of(server));
    let link = unheard(Stream::Tcp(socket), wait);
    let proxied = fronts.is_proxied(local, peer);
    let echoes = fronts.live.generation.servers.get(server).filter(|server| modules::echo::is_on(server));
    let echoes = echoes.map(|server| Duration::from_secs(u64::from(server.rec.timeout.unwrap_or(60))));
    if !proxied && !conn.secure && echoes.is_none() {
        spawn_local(serve(place, conn, link));
        return;
    }
    // A task of its own, as what it holds would make every idle connection larger.
    spawn_local(async move {
        let Some(mut link) = begin(&thread, link, &conn, wait, proxied).await else { return };
        if let Some(timeout) = echoes {
            // A client that went away is no failure of ours.
            if echo::serve(&place, &mut link, timeout).await.is_ok() {
                linger(&mut link).await;
            }
            return;
        }
        if conn.tls.get().is_some_and(|tls| tls.alpn.as_deref() == Some(b"h2")) {
            return second(link, &conn, &place).await;
        }
        spawn_local(serve(place, conn, link));
    });
}

/// Serves requests to the end of the connection. Not an `async fn`, which would hold what it is given twice: all of this
/// is what an idle connection holds.
#[expect(clippy::manual_async_fn, reason = "it holds its arguments once")]
fn serve(place: Place, conn: Rc<Conn>, mut link: Link) -> impl Future<Output = ()> + 'static {
    async move {
        let after = loop {
            match poll_fn(|cx| idle(&mut link, &place, cx)).await {
                Woken::Readable => place.wait(false),
                Woken::Drain => break After::Linger,
                Woken::Late => {
                    if !link.heard() {
                        // Apart, as what it holds would make every idle connection larger.
                        Box::pin(http1::nothing_came(&place.thread, &mut link, &conn)).await;
                    }
                    break After::Linger;
                }
            }
            let mut session = place.thread.take_session();
            let after;
            (link, after) = session.serve(link, &conn).await;
            place.thread.give_session(session);
            match after {
                After::Idle(time) => {
                    place.wait(true);
                    link.wait_for(time);
                }
                After::Http2 => return second(link, &conn, &place).await,
                after => break after,
            }
        };
        http1::closes(&place.thread, &conn);
        drop(conn);
        if after == After::Linger {
            let _closing = place.open.closing();
            linger(&mut link).await;
        }
    }
}

/// A connection that speaks HTTP/2. Apart, as what it holds would make every idle connection larger.
fn second<'a>(link: Link, conn: &'a Rc<Conn>, place: &'a Place) -> Pin<Box<dyn Future<Output = ()> + 'a>> {
    Box::pin(async move {
        if let Some(mut link) = http2::serve(&place.thread, link, conn, place).await {
            http1::closes(&place.thread, conn);
            let _closing = place.open.closing();
            linger(&mut link).await;
        }
    })
}

/// What comes in front of requests: a PROXY header, a handshake. `None`: there is nobody to serve.
async fn begin(thread: &Thread, mut link: Link, conn: &Rc<Conn>, wait: Duration, proxied: bool) -> Option<Link> {
    if proxied {
        let live = thread.fronts().live.clone();
        if proxied::read_header(&live, &mut link, conn).await.is_err() {
            // What was sent behind it is read, so that the end is no reset.
            linger(&mut link).await;
            return None;
        }
    }
    let socket = link.into_socket()?;
    if !conn.secure {
        return Some(unheard(Stream::Tcp(socket), wait));
    }
    match tls::shake_hands(thread, socket.into_watched().ok()?, conn).await {
        tls::Shaken::Done(session) => return Some(unheard(Stream::Tls(session), wait)),
        tls::Shaken::Plain(tcp) => {
            link = Link::new(Stream::Tcp(Socket::Watched(tcp)));
            http1::plain_on_tls(thread, &mut link, conn).await;
        }
        // What the client still sends must not reset what it was told.
        tls::Shaken::Failed(tcp) => link = Link::new(Stream::Tcp(Socket::Watched(tcp))),
    }
    linger(&mut link).await;
    None
}

/// Nothing of a request was heard yet.
fn unheard(stream: Stream, wait: Duration) -> Link {
    let mut link = Link::new(stream);
    link.wait_for(wait);
    link
}

/// Waits for the first byte of a request.
pub(super) fn idle(link: &mut Link, place: &Place, cx: &mut Context<'_>) -> Poll<Woken> {
    if link.poll_readable(cx).is_ready() {
        return Poll::Ready(Woken::Readable);
    }
    if place.thread.draining() {
        return Poll::Ready(Woken::Drain);
    }
    place.thread.wake_to_drain(place.index, cx.waker());
    link.poll_timer(cx).map(|()| Woken::Late)
}

/// Ends the sending side and drops what the client still sends, for a while.
async fn linger(link: &mut Link) {
    if poll_fn(|cx| link.poll_shutdown(cx)).await.is_err() {
        return;
    }
    let end = Instant::now() + LINGER.1;
    link.wait_for(LINGER.0);
    poll_fn(|cx| {
        let mut dropped = [0; 2048];
        loop {
            match link.poll_read(cx, &mut dropped) {
                Poll::Ready(Ok(n)) if n > 0 => {
                    let now = Instant::now();
                    if now >= end {
                        return Poll::Ready(());
                    }
                    link.wait_until(end.min(now + LINGER.0));
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return link.poll_timer(cx),
            }
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<F>(_: impl Fn(Place, Rc<Conn>, Link) -> F) -> usize {
        size_of::<F>()
    }

    /// Ten thousand idle connections hold ten thousand of these; the rest of the 2 KiB that one may cost is the
    /// runtime's and the record of the connection.
    #[test]
    fn an_idle_connection_is_small() {
        assert!(size(serve) <= 300, "{} bytes", size(serve));
    }
}

//! Applications behind gateway protocols: FastCGI, SCGI, uwsgi.
//!
//! All three get the request as variables ([`env`]) and its body; the first two answer as a CGI script does
//! ([`head`]), uwsgi with an HTTP response. Nothing of a response leaves before its head is read: an application that
//! fails until then costs no more than the attempt.

mod env;
mod fcgi;
mod head;
mod scgi;
mod uwsgi;

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use super::http1::Outgoing;
use super::pool::{self, LendError, Link, Wanted};
use super::spec::Scheme;
use super::{Attempt, respond};
use crate::logs::{self, Level};
use crate::pipe::{self, Outcome};
use crate::web::{BodyFault, BodyKind, Exchange, Wire};

/// What messages call a protocol.
struct Names {
    /// In those of mod_proxy.
    scheme: &'static str,
    /// The module that speaks it.
    module: &'static str,
}

/// Sends the request to the worker and its response to the client.
pub(super) async fn exchange(
    ex: &mut Exchange,
    wire: &mut dyn Wire,
    attempt: &Attempt<'_>,
    outgoing: &mut Option<Outgoing>,
) -> Outcome {
    match attempt.worker.spec.scheme {
        Scheme::Fcgi => fcgi::exchange(ex, wire, attempt, outgoing).await,
        Scheme::Scgi => scgi::exchange(ex, wire, attempt, outgoing).await,
        _ => uwsgi::exchange(ex, wire, attempt, outgoing).await,
    }
}

/// A connection to the attempt's worker; else the answer to the request.
async fn connect(ex: &mut Exchange, attempt: &Attempt<'_>, names: &Names, fresh: bool) -> Result<Box<Link>, Outcome> {
    let worker = attempt.worker;
    let wanted = Wanted { scheme: names.scheme, fresh, certain: true };
    match pool::lend(ex, worker, attempt.policy, wanted).await {
        Ok(link) => Ok(link),
        Err(LendError::Resolve(host)) => Err(respond::dns_failure(ex, &host)),
        Err(LendError::Acquire) => Err(Outcome::Status(503)),
        Err(_) => {
            let (host, port) = (&worker.spec.host, worker.spec.port);
            let text = "failed to make connection to backend";
            match worker.spec.scheme {
                Scheme::Fcgi => logs::error!(ex, Level::Error, names.module, "AH01079: {text}: {host}"),
                Scheme::Scgi => logs::error!(ex, Level::Error, names.module, "AH00866: {text}: {host}:{port}"),
                _ => logs::error!(ex, Level::Error, names.module, "AH10101: {text}: {host}:{port}"),
            }
            Err(Outcome::Status(503))
        }
    }
}

/// Bodies without a length have no place in these protocols.
fn refuse_chunked(ex: &Exchange, wire: &dyn Wire) -> Option<Outcome> {
    if wire.body_kind() != BodyKind::Stream {
        return None;
    }
    let uri = logs::Bytes(&ex.uri);
    logs::error!(ex, Level::Info, "http", "AH01593: chunked Transfer-Encoding forbidden: {uri}");
    Some(Outcome::Status(411))
}

/// What happened on the way.
enum Event {
    /// So much came of the response; 0 is its end.
    Input(io::Result<usize>),
    /// All that was to be sent is.
    Sent(io::Result<()>),
    /// Some of the body is in the wire; 0 is its end.
    Body(Result<usize, BodyFault>),
}

/// What is on its way to the application.
struct Sending {
    bytes: Vec<u8>,
    sent: usize,
    /// All of the body was taken from the wire.
    body_over: bool,
}

impl Sending {
    fn is_over(&self) -> bool {
        self.body_over && self.sent == self.bytes.len()
    }

    /// Whatever comes first: sent, more body, or some of the response.
    async fn next(&mut self, wire: &mut dyn Wire, link: &mut Link) -> Event {
        poll_fn(|cx| {
            while let Some(rest) = self.bytes.get(self.sent..).filter(|rest| !rest.is_empty()) {
                match link.poll_write(cx, rest) {
                    Poll::Ready(Ok(n)) => self.sent += n,
                    Poll::Ready(Err(error)) => return Poll::Ready(Event::Sent(Err(error))),
                    Poll::Pending => return link.poll_fill(cx).map(Event::Input),
                }
                if self.sent == self.bytes.len() {
                    link.account(self.sent, 0);
                    self.bytes.clear();
                    self.sent = 0;
                    return Poll::Ready(Event::Sent(Ok(())));
                }
            }
            if !self.body_over
                && let Poll::Ready(got) = wire.poll_fill(cx)
            {
                return Poll::Ready(Event::Body(got));
            }
            match link.poll_fill(cx) {
                // The client is slow, not the application.
                Poll::Ready(Err(error)) if !self.body_over && error.kind() == io::ErrorKind::TimedOut => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                other => other.map(Event::Input),
            }
        })
        .await
    }
}

/// Sends `bytes` and the body behind them, until the response begins or fails to: what goes wrong with the connection
/// before is met again by whoever reads.
///
/// # Errors
/// The client's body cannot be read.
async fn send_all(wire: &mut dyn Wire, link: &mut Link, bytes: Vec<u8>) -> Result<(), BodyFault> {
    let mut sending = Sending { bytes, sent: 0, body_over: wire.body_kind() == BodyKind::None };
    while !sending.is_over() {
        match sending.next(wire, link).await {
            Event::Sent(Ok(())) => sending.body_over |= wire.body_done(),
            Event::Body(Ok(0)) => sending.body_over = true,
            Event::Body(Ok(_)) => {
                sending.bytes.extend_from_slice(wire.body());
                let n = wire.body().len();
                wire.consume(n);
            }
            Event::Body(Err(fault)) => return Err(fault),
            Event::Input(Ok(1..)) => {}
            Event::Input(_) | Event::Sent(Err(_)) => return Ok(()),
        }
    }
    Ok(())
}

/// Passes what follows in the link on, up to its end or `most` bytes; the response is complete then.
async fn relay_rest(ex: &mut Exchange, wire: &mut dyn Wire, link: &mut Link, most: Option<u64>) -> Outcome {
    let mut left = most.unwrap_or(u64::MAX);
    loop {
        let input = link.input();
        let n = input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if n > 0 {
            let data = input.get(..n).unwrap_or_default();
            link.account(0, n);
            if pipe::data(ex, wire, data).await.is_err() {
                return Outcome::Done;
            }
            left -= n as u64;
            link.consume(n);
        }
        if left == 0 {
            break;
        }
        let filled = match poll_fn(|cx| Poll::Ready(link.poll_fill(cx))).await {
            Poll::Ready(filled) => filled,
            Poll::Pending => {
                if pipe::flush(ex, wire).await.is_err() {
                    return Outcome::Done;
                }
                link.fill().await
            }
        };
        match filled {
            Ok(0) if most.is_none() => break,
            Ok(1..) => {}
            _ => {
                pipe::abort(ex, wire);
                return Outcome::Done;
            }
        }
    }
    // A client that went away is noted by the pipe.
    let _ = pipe::finish(ex, wire).await;
    Outcome::Done
}

/// Queues the head and passes the body on. A body that is here already, to its end, has a length.
async fn relay(ex: &mut Exchange, wire: &mut dyn Wire, link: &mut Link) -> Outcome {
    let ended = match poll_fn(|cx| Poll::Ready(link.poll_fill(cx))).await {
        Poll::Ready(Ok(0)) => true,
        Poll::Ready(Ok(_)) => matches!(poll_fn(|cx| Poll::Ready(link.poll_fill(cx))).await, Poll::Ready(Ok(0))),
        _ => false,
    };
    let length = ended.then_some(link.input().len() as u64);
    pipe::head(ex, wire, length);
    relay_rest(ex, wire, link, length).await
}

//! `h2` and `h2c` backends.
//!
//! A thread has one connection to a worker, for all its requests ([`shared`]); each is a stream of it. The head is the
//! one that HTTP/1 backends get ([`head`]); bodies go both ways at the same time, each as fast as its reader takes it. A
//! stream that the backend has not seen, as it says or as the connection's end shows, is begun once more on a new
//! connection.

mod head;
mod shared;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};
use http::Response;
use tokio::time::{Instant, Sleep, sleep};

use super::pool::{self, LendError};
use super::respond::{self, Verdict, proxy_error};
use super::tally::Count;
use super::{Attempt, spec};
use crate::logs::{self, Errno, Level};
use crate::pipe::{self, Outcome};
use crate::web::{BodyFault, BodyKind, Exchange, Table, Wire, status};

/// Why there is no response.
#[derive(Debug)]
enum Fault {
    /// The request's body could not be read.
    Client(BodyFault),
    /// The stream or the connection failed.
    Backend(h2::Error),
    /// Nothing moved for too long.
    Late,
}

/// Sends the request to the attempt's worker and its response to the client.
pub(super) async fn exchange(ex: &mut Exchange, wire: &mut dyn Wire, attempt: &Attempt<'_>) -> Outcome {
    if let Err(LendError::Resolve(host)) = pool::resolve(attempt.worker).await {
        return respond::dns_failure(ex, &host);
    }
    let Some(request) = head::request(ex, attempt, wire.body_kind()) else {
        return proxy_error(ex, 502, "Request cannot be sent to remote server");
    };
    let alone = matches!(wire.body_kind(), BodyKind::None | BodyKind::Length(0));
    let mut fresh = false;
    loop {
        let (mut sender, used) = match shared::sender(ex, attempt, fresh).await {
            Ok(sender) => sender,
            Err(outcome) => return outcome,
        };
        let sent = sender.send_request(copy(&request), alone);
        let mut stream = match sent {
            Ok((response, body)) => {
                let up = Up { body: (!alone).then_some(body), taken: false };
                Stream { response, up, patience: Patience::new(pool::io_timeout(ex, attempt.worker, attempt.policy)) }
            }
            Err(_) if used && !fresh => {
                fresh = true;
                continue;
            }
            Err(error) => return give_up(ex, attempt, &Fault::Backend(error)),
        };
        match stream.answer(ex, wire).await {
            Ok(response) => return relay(ex, wire, attempt, response, stream).await,
            Err(Fault::Backend(error)) if used && !fresh && !stream.up.taken && unseen(&error, &ex.method) => {
                fresh = true
            }
            Err(fault) => return give_up(ex, attempt, &fault),
        }
    }
}

fn copy(request: &http::Request<()>) -> http::Request<()> {
    request.clone()
}

/// Whether the request may be sent again: the backend says that it has not seen it, or it does not matter.
fn unseen(error: &h2::Error, method: &[u8]) -> bool {
    let refused = error.reason() == Some(Reason::REFUSED_STREAM) || (error.is_go_away() && error.is_remote());
    let harmless = matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE");
    refused || (harmless && (error.is_io() || error.is_go_away()))
}

fn give_up(ex: &mut Exchange, attempt: &Attempt<'_>, fault: &Fault) -> Outcome {
    let (host, port) = (&attempt.worker.spec.host, attempt.worker.spec.port);
    match fault {
        Fault::Client(fault) => respond::answer_to(ex, *fault),
        Fault::Backend(error) => {
            logs::error!(ex, Level::Info, "proxy_http2", "no response from {host}:{port}: {error}");
            // A stream that the backend has not taken, or has ended, is its answer; a connection that broke is none.
            let answered = error.is_reset() || (error.is_go_away() && error.is_remote());
            Outcome::Status(if answered { 502 } else { 503 })
        }
        Fault::Late => {
            ex.notes.set(b"proxy_timedout", b"1");
            logs::error!(ex, Level::Error, "proxy_http2", Errno::TIMEUP => "no response from {host}:{port}");
            proxy_error(ex, 504, "Error reading from remote server")
        }
    }
}

/// The request's body on its way to the backend.
struct Up {
    /// `None`: all of it was sent.
    body: Option<SendStream<Bytes>>,
    /// Some of it was taken from the client.
    taken: bool,
}

impl Up {
    /// Sends what can be sent; ready when all is.
    fn poll(&mut self, cx: &mut Context<'_>, wire: &mut dyn Wire, patience: &mut Patience) -> Poll<Result<(), Fault>> {
        loop {
            let Some(body) = &mut self.body else { return Poll::Ready(Ok(())) };
            if wire.body().is_empty() {
                match ready!(wire.poll_fill(cx)) {
                    Err(fault) => return Poll::Ready(Err(Fault::Client(fault))),
                    Ok(0) => {
                        let ended = body.send_data(Bytes::new(), true);
                        self.body = None;
                        return Poll::Ready(ended.map_err(Fault::Backend));
                    }
                    Ok(_) => {}
                }
            }
            let data = wire.body();
            body.reserve_capacity(data.len());
            let room = match body.capacity() {
                0 => match ready!(body.poll_capacity(cx)) {
                    Some(Ok(room)) => room,
                    // What became of the stream shows in the response.
                    _ => {
                        self.body = None;
                        return Poll::Ready(Ok(()));
                    }
                },
                room => room,
            };
            let part = Bytes::copy_from_slice(data.get(..room.min(data.len())).unwrap_or_default());
            let n = part.len();
            if body.send_data(part, false).is_err() {
                self.body = None;
                return Poll::Ready(Ok(()));
            }
            self.taken = true;
            wire.consume(n);
            patience.renew();
        }
    }
}

/// How long nothing may move.
struct Patience {
    limit: Duration,
    timer: Pin<Box<Sleep>>,
}

impl Patience {
    fn new(limit: Duration) -> Self {
        let limit = limit.min(Duration::from_secs(10 * 365 * 86_400));
        Self { limit, timer: Box::pin(sleep(limit)) }
    }

    fn renew(&mut self) {
        self.timer.as_mut().reset(Instant::now() + self.limit);
    }
}

/// One request under way.
struct Stream {
    response: ResponseFuture,
    up: Up,
    patience: Patience,
}

/// What comes first.
enum Heard {
    Interim(Response<()>),
    Final(Response<RecvStream>),
}

impl Stream {
    /// Sends the body, passes interim responses on, and waits for the final one.
    async fn answer(&mut self, ex: &mut Exchange, wire: &mut dyn Wire) -> Result<Response<RecvStream>, Fault> {
        loop {
            let heard = poll_fn(|cx| {
                if let Poll::Ready(Err(fault)) = self.up.poll(cx, wire, &mut self.patience) {
                    return Poll::Ready(Err(fault));
                }
                match self.response.poll_informational(cx) {
                    Poll::Ready(Some(Ok(interim))) => return Poll::Ready(Ok(Heard::Interim(interim))),
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(Fault::Backend(error))),
                    Poll::Ready(None) | Poll::Pending => {}
                }
                match pin!(&mut self.response).poll(cx) {
                    Poll::Ready(done) => return Poll::Ready(done.map(Heard::Final).map_err(Fault::Backend)),
                    Poll::Pending => {}
                }
                self.patience.timer.as_mut().poll(cx).map(|()| Err(Fault::Late))
            });
            match heard.await? {
                Heard::Final(response) => return Ok(response),
                Heard::Interim(interim) => {
                    self.patience.renew();
                    let status = interim.status().as_u16();
                    if status != 100 {
                        let mut fields = Table::default();
                        head::copy_fields(interim.headers(), &mut fields);
                        pipe::interim(ex, wire, status, status::of(status).reason.as_bytes(), &fields);
                        // Whoever waits for it should have it; an error shows when the response is sent.
                        let _ = pipe::flush(ex, wire).await;
                    }
                }
            }
        }
    }

    /// More of the response's body; `None` is its end. What has been sent on is flushed before anything is waited for.
    async fn data(
        &mut self,
        ex: &mut Exchange,
        wire: &mut dyn Wire,
        body: &mut RecvStream,
    ) -> Result<Option<Bytes>, Fault> {
        let mut flushed = false;
        self.patience.renew();
        loop {
            let polled = poll_fn(|cx| {
                // A body that cannot be read any more is the client's loss: its response goes on.
                if let Poll::Ready(Err(_)) = self.up.poll(cx, wire, &mut self.patience) {
                    self.up.body = None;
                }
                match body.poll_data(cx) {
                    Poll::Ready(Some(Ok(data))) => Poll::Ready(Ok(Some(Some(data)))),
                    Poll::Ready(Some(Err(error))) => Poll::Ready(Err(Fault::Backend(error))),
                    Poll::Ready(None) => Poll::Ready(Ok(Some(None))),
                    Poll::Pending if !flushed => Poll::Ready(Ok(None)),
                    Poll::Pending => self.patience.timer.as_mut().poll(cx).map(|()| Err(Fault::Late)),
                }
            });
            match polled.await? {
                Some(data) => return Ok(data),
                None => {
                    flushed = true;
                    let _ = pipe::flush(ex, wire).await;
                }
            }
        }
    }
}

/// Sends what was answered to the client.
async fn relay(
    ex: &mut Exchange,
    wire: &mut dyn Wire,
    attempt: &Attempt<'_>,
    response: Response<RecvStream>,
    mut stream: Stream,
) -> Outcome {
    let (head, mut body) = response.into_parts();
    let length = head::take(ex, attempt, &head);
    // A stream that ends with its head has a body of no bytes.
    let length = length.or_else(|| (body.is_end_stream() && !ex.header_only).then_some(0));
    if let Verdict::Replace(outcome) = respond::head(ex, wire, attempt, length) {
        return outcome;
    }
    loop {
        match stream.data(ex, wire, &mut body).await {
            Ok(Some(data)) => {
                attempt.worker.state.tally.add(Count::Read, data.len() as u64);
                if pipe::data(ex, wire, &data).await.is_err() {
                    // The client went away; the stream ends with what holds it.
                    return Outcome::Done;
                }
                // An error shows in the next read.
                let _ = body.flow_control().release_capacity(data.len());
            }
            Ok(None) => break,
            Err(fault) => {
                let errno = if matches!(fault, Fault::Late) { Errno::TIMEUP } else { Errno::INCOMPLETE };
                logs::error!(ex, Level::Error, "proxy_http2", errno => "AH01110: error reading response");
                pipe::abort(ex, wire);
                return Outcome::Done;
            }
        }
    }
    // A client that went away is noted by the pipe.
    let _ = pipe::finish(ex, wire).await;
    Outcome::Done
}

/// What messages call the protocol.
fn name_of(spec: &spec::WorkerSpec) -> &'static str {
    if spec.scheme == spec::Scheme::H2 { "H2" } else { "H2C" }
}

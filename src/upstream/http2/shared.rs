//! The connection that a thread has to each worker, for all its requests.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::super::link::Link;
use super::super::pool::{self, LendError, Wanted};
use super::super::respond;
use super::super::worker::WorkerState;
use super::super::{Attempt, spec};
use super::name_of;
use crate::logs::{self, Level};
use crate::net::client::{BackendTls, ClientSide};
use crate::pipe::Outcome;
use crate::web::Exchange;

/// What a backend may send ahead, of one response and of all.
const WINDOWS: (u32, u32) = (1 << 20, 16 << 20);

/// The largest head of a response.
const HEAD: u32 = 128 * 1024;

/// One connection.
struct Line {
    worker: Weak<WorkerState>,
    /// The TLS it was made with: whoever wants another has another connection.
    side: Option<Arc<ClientSide>>,
    sender: SendRequest<Bytes>,
    since: Instant,
}

thread_local! {
    static LINES: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

fn side_of<'a>(ex: &'a Exchange, attempt: &Attempt<'_>) -> Option<&'a Arc<ClientSide>> {
    if attempt.worker.spec.scheme == spec::Scheme::H2 { BackendTls::get(ex.dir()) } else { None }
}

/// This thread's sender for the attempt's worker, ready for a request, and whether it was used before; a new one if it
/// has to be `fresh`.
pub(super) async fn sender(
    ex: &mut Exchange,
    attempt: &Attempt<'_>,
    fresh: bool,
) -> Result<(SendRequest<Bytes>, bool), Outcome> {
    let worker = attempt.worker;
    if !fresh && let Some(sender) = known(ex, attempt) {
        let wait = pool::io_timeout(ex, worker, attempt.policy);
        // There may be as many streams as the backend allows.
        match tokio::time::timeout(wait, sender.ready()).await {
            Ok(Ok(sender)) => return Ok((sender, true)),
            Ok(Err(_)) => {}
            Err(_) => return Err(Outcome::Status(503)),
        }
    }
    forget(ex, attempt);
    let wanted = Wanted { scheme: name_of(&worker.spec), fresh: true, certain: true };
    let link = match pool::lend(ex, worker, attempt.policy, wanted).await {
        Ok(link) => link,
        Err(LendError::Acquire | LendError::Connect { .. }) => return Err(Outcome::Status(503)),
        Err(LendError::NoTls) => return Err(Outcome::Status(500)),
        Err(LendError::Handshake) => return Err(Outcome::Status(503)),
        Err(LendError::Resolve(host)) => return Err(respond::dns_failure(ex, &host)),
    };
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(WINDOWS.0)
        .initial_connection_window_size(WINDOWS.1)
        .max_header_list_size(HEAD);
    let (sender, connection) = match builder.handshake::<_, Bytes>(Io(link)).await {
        Ok(both) => both,
        Err(error) => {
            let (host, port) = (&worker.spec.host, worker.spec.port);
            logs::error!(ex, Level::Error, "proxy_http2", "cannot begin with {host}:{port}: {error}");
            return Err(Outcome::Status(503));
        }
    };
    tokio::task::spawn_local(async move {
        // Its streams tell how it ended.
        let _ = connection.await;
    });
    let line = Line {
        worker: Arc::downgrade(&worker.state),
        side: side_of(ex, attempt).cloned(),
        sender: sender.clone(),
        since: Instant::now(),
    };
    LINES.with_borrow_mut(|lines| {
        // Those to workers that are not configured any more end.
        lines.retain(|line| line.worker.strong_count() > 0);
        // A worker of a single request is not met again.
        if worker.keeps_connections() {
            lines.push(line);
        }
    });
    match sender.ready().await {
        Ok(sender) => Ok((sender, false)),
        Err(_) => Err(Outcome::Status(503)),
    }
}

fn is_for(line: &Line, ex: &Exchange, attempt: &Attempt<'_>) -> bool {
    let same = match (&line.side, side_of(ex, attempt)) {
        (None, None) => true,
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        _ => false,
    };
    same && std::ptr::eq(line.worker.as_ptr(), Arc::as_ptr(&attempt.worker.state))
}

fn known(ex: &Exchange, attempt: &Attempt<'_>) -> Option<SendRequest<Bytes>> {
    let ttl = attempt.worker.spec.ttl;
    LINES.with_borrow(|lines| {
        let line = lines.iter().find(|line| is_for(line, ex, attempt))?;
        ttl.is_none_or(|ttl| line.since.elapsed() <= ttl).then(|| line.sender.clone())
    })
}

/// The connection ends with its last stream.
fn forget(ex: &Exchange, attempt: &Attempt<'_>) {
    LINES.with_borrow_mut(|lines| lines.retain(|line| !is_for(line, ex, attempt)));
}

/// A lent connection as a stream of bytes.
struct Io(Box<Link>);

impl AsyncRead for Io {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let n = ready!(self.0.poll_read_raw(cx, buf.initialize_unfilled()))?;
        buf.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.0.poll_write_raw(cx, data);
        if let Poll::Ready(Ok(n)) = written {
            self.0.account(n, 0);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush_raw(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_shutdown(cx)
    }
}

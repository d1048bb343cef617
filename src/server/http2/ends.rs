//! The two ends of a stream, whether its client opened it or it was pushed: what comes, and what goes.

use std::task::{Context, Poll};

use bytes::Bytes;
use h2::server::{SendPushedResponse, SendResponse};
use h2::{Error, Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};

/// What a client sends behind a head: nothing of it, where it did not send the head.
pub(super) struct Inbox(Option<RecvStream>);

impl Inbox {
    /// Of a request that nobody sent.
    pub(super) fn none() -> Self {
        Self(None)
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(RecvStream::is_end_stream)
    }

    pub(super) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        self.0.as_mut().map_or(Poll::Ready(None), |stream| stream.poll_data(cx))
    }

    pub(super) fn poll_trailers(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<HeaderMap>, Error>> {
        self.0.as_mut().map_or(Poll::Ready(Ok(None)), |stream| stream.poll_trailers(cx))
    }

    /// The client may send as much again; an error shows in the next read.
    pub(super) fn release(&mut self, n: usize) {
        if let Some(stream) = &mut self.0 {
            let _ = stream.flow_control().release_capacity(n);
        }
    }
}

impl From<RecvStream> for Inbox {
    fn from(stream: RecvStream) -> Self {
        Self(Some(stream))
    }
}

/// What a response goes to.
pub(super) enum Respond {
    Asked(SendResponse<Bytes>),
    Pushed(SendPushedResponse<Bytes>),
}

impl Respond {
    pub(super) fn id(&self) -> u32 {
        match self {
            Self::Asked(respond) => respond.stream_id(),
            Self::Pushed(respond) => respond.stream_id(),
        }
        .as_u32()
    }

    pub(super) fn send(&mut self, head: Response<()>, last: bool) -> Result<SendStream<Bytes>, Error> {
        match self {
            Self::Asked(respond) => respond.send_response(head, last),
            Self::Pushed(respond) => respond.send_response(head, last),
        }
    }

    /// Sends an interim response. Nobody waits for one to what was pushed; a stream that is gone shows where something
    /// is read or written.
    pub(super) fn inform(&mut self, head: Response<()>) {
        if let Self::Asked(respond) = self {
            let _ = respond.send_informational(head);
        }
    }

    pub(super) fn reset(&mut self, reason: Reason) {
        match self {
            Self::Asked(respond) => respond.send_reset(reason),
            Self::Pushed(respond) => respond.send_reset(reason),
        }
    }

    /// Promises another response: nothing goes with one that was promised itself.
    pub(super) fn promise(&mut self, request: Request<()>) -> Option<Self> {
        match self {
            Self::Asked(respond) => respond.push_request(request).ok().map(Self::Pushed),
            Self::Pushed(_) => None,
        }
    }
}

pub(super) fn head_of(status: StatusCode) -> Response<()> {
    let mut head = Response::new(());
    *head.status_mut() = status;
    head
}

/// Fields of the connection, which HTTP/2 has no place for (RFC 9113 section 8.2.2).
fn is_of_connection(name: &[u8]) -> bool {
    const NAMES: [&str; 5] = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];
    NAMES.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// Adds fields; says how large they are.
pub(super) fn put<'a>(head: &mut Response<()>, fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> usize {
    let mut size = 0;
    for (name, value) in fields {
        if is_of_connection(name) {
            continue;
        }
        let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) else { continue };
        size += name.as_str().len() + value.len() + 32;
        head.headers_mut().append(name, value);
    }
    size
}

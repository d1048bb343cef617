//! The two ends of a stream, whether its client opened it or it was pushed: what comes, and what goes.

use std::cell::RefCell;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::server::{SendPushedResponse, SendResponse};
use h2::{Error, Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};

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

/// Fields that most responses on a connection have alike.
static USUAL: [HeaderName; 3] = [header::DATE, header::SERVER, header::CONTENT_TYPE];

/// The values of [`USUAL`] that were sent last: as long as they stay the same, they are not made anew.
pub(super) struct Usual(RefCell<[HeaderValue; 3]>);

impl Usual {
    pub(super) fn new() -> Self {
        Self(RefCell::new([const { HeaderValue::from_static("") }; 3]))
    }

    /// Adds fields; says how large they are.
    pub(super) fn put<'a>(&self, head: &mut Response<()>, fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> usize {
        let mut size = 0;
        for (name, value) in fields {
            if is_of_connection(name) {
                continue;
            }
            let Some((name, value)) = self.field(name, value) else { continue };
            size += name.as_str().len() + value.len() + 32;
            head.headers_mut().append(name, value);
        }
        size
    }

    fn field(&self, name: &[u8], value: &[u8]) -> Option<(HeaderName, HeaderValue)> {
        let made = || HeaderValue::from_bytes(value).ok();
        let mut last = self.0.borrow_mut();
        let mut known = USUAL.iter().zip(last.iter_mut());
        match known.find(|(usual, _)| usual.as_str().as_bytes().eq_ignore_ascii_case(name)) {
            Some((name, last)) => {
                if last.as_bytes() != value {
                    *last = made()?;
                }
                Some((name.clone(), last.clone()))
            }
            None => HeaderName::from_bytes(name).ok().zip(made()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_what_was_said_and_none_is_of_the_connection() {
        let usual = Usual::new();
        for (date, server) in [("a", ""), ("a", ""), ("b", "x"), ("b", "x")] {
            let mut head = head_of(StatusCode::OK);
            let fields = [("Date", date), ("Server", server), ("Upgrade", "h2c"), ("X-Y", "1"), ("date", "c\n")];
            let size = usual.put(&mut head, fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
            let put = head.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
            assert_eq!(put.collect::<Vec<_>>(), [("date", date), ("server", server), ("x-y", "1")]);
            assert_eq!(size, 3 * 32 + "dateserverx-y1".len() + date.len() + server.len());
        }
    }
}

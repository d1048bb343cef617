//! What a request sees of its client connection.

use std::io;
use std::task::{Context, Poll};

use super::table::Table;

/// How the request's body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// No body.
    None,
    /// This many bytes.
    Length(u64),
    /// Chunked, or framed by HTTP/2.
    Stream,
}

/// Why the request's body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFault {
    /// Malformed chunk or length: 400.
    Malformed,
    /// Malformed trailer section: 400, by a page whose length is known.
    Trailer,
    /// Nothing came in time: 408.
    Timeout,
    /// The client went away.
    Gone,
    /// Larger than LimitRequestBody: 413.
    TooLarge,
    /// An input filter does not take it.
    Refused {
        /// What is answered.
        status: u16,
        /// What logs show, as an [error number](std::io::Error::from_raw_os_error) or one of httpd's own.
        errno: i32,
    },
}

/// How the response's body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body follows (HEAD, 204, 304); a Content-Length field may stand in the head.
    None,
    /// Exactly this many bytes.
    Length(u64),
    /// Chunked, or HTTP/2 data until the end of the stream.
    Chunked,
    /// Until the connection closes.
    Close,
}

/// A complete response head, ready to be written; the fields are final and in order.
pub struct HeadOut<'a> {
    /// Status code.
    pub status: u16,
    /// Reason phrase, may be empty.
    pub reason: &'a [u8],
    /// All fields, in the order to be sent (Date and Server first).
    pub fields: &'a Table,
    /// Framing of what follows.
    pub framing: Framing,
    /// The connection may serve another request after this response.
    pub keep_alive: bool,
    /// HTTP/0.9: write no head at all.
    pub omit: bool,
    /// Say HTTP/1.0 in the status line (`force-response-1.0`).
    pub http10: bool,
}

/// A client connection from the point of view of one request: body in, response out.
///
/// Poll functions apply the server's Timeout themselves and then fail with [`io::ErrorKind::TimedOut`] or
/// [`BodyFault::Timeout`]. Nothing is sent before [`Wire::poll_flush`] or [`Wire::poll_finish`], except that
/// [`Wire::poll_data`] writes when its buffer is full.
pub trait Wire {
    /// Framing of the request's body.
    fn body_kind(&self) -> BodyKind;

    /// Whether the body passes filters: it may have another length than the one announced.
    fn is_filtered(&self) -> bool {
        false
    }

    /// Filters that have seen some of the body make the request's fields say what it is behind them.
    fn settle(&mut self, _fields: &mut Table) {}

    /// The server's Timeout, once the server is known: how long one read or write may take from now on.
    fn set_timeout(&mut self, timeout: std::time::Duration);

    /// LimitRequestBody, once the section is known; 0 is no limit. Where a body is larger, [`Wire::poll_fill`] fails
    /// with [`BodyFault::TooLarge`].
    fn set_limit(&mut self, _limit: u64) {}

    /// Makes at least one byte of body available, unless the body has ended: then `Ok(0)`. Sends a pending
    /// `100 Continue` first, if the client asked for one and nobody has answered yet.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, BodyFault>>;

    /// The available bytes of body.
    fn body(&self) -> &[u8];

    /// Whether the available bytes end a chunk as the client made them; `false` where that is not known.
    fn chunk_ends(&self) -> bool {
        false
    }

    /// Marks `n` available bytes as used.
    fn consume(&mut self, n: usize);

    /// Whether the whole body has been consumed.
    fn body_done(&self) -> bool;

    /// Whether the client waits for `100 Continue`.
    fn expects_continue(&self) -> bool;

    /// Says who answers the expectation: `true` = sent now (queued), `false` = never automatically.
    fn continue_now(&mut self, send: bool);

    /// Request trailers, complete once the body is done.
    fn trailers(&self) -> Option<&Table>;

    /// Queues an interim response (102, 103, 100).
    fn interim(&mut self, status: u16, reason: &[u8], fields: &Table);

    /// Queues the final head.
    fn head(&mut self, head: &HeadOut<'_>);

    /// Takes body bytes and says how many it took (at least one when ready and `data` is not empty).
    fn poll_data(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>>;

    /// Writes out all that is queued.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ends the body (last chunk, trailers) and writes out all that is queued.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// The response cannot be completed: the connection is cut behind what was written.
    fn abort(&mut self);

    /// The connection will close after this response.
    fn close(&mut self);

    /// Bytes received for this request and sent for it, heads included (mod_logio).
    fn counts(&self) -> (u64, u64);

    /// Raw bytes both ways after an upgrade; `None` where the protocol cannot do that.
    fn tunnel(&mut self) -> Option<&mut dyn Tunnel>;
}

/// Raw bytes both ways.
pub trait Tunnel {
    /// Reads into `buf`; `Ok(0)` is the end.
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>>;
    /// Writes some of `data`.
    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>>;
    /// Ends the sending direction.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

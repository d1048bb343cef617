//! The response on its way out: what handlers call, and what is done to every response.

use std::io;

use crate::web::{BodyFault, Exchange, Table, Wire};

/// Sends the response head once: runs the hooks of [`super::Phase::Head`], joins `err_headers_out` and `headers_out`,
/// adds what the server itself says (Date, Server, Content-Type of [`super::media`], Content-Encoding, Content-Language, framing, Connection) in httpd's order, and hands it
/// to the wire. `length` is the length of the body that the handler will send, if it knows it; body filters may take
/// it back. Does nothing if the head is out.
pub fn head(_ex: &mut Exchange, _wire: &mut dyn Wire, _length: Option<u64>) {
    unreachable!("laid out first, filled next")
}

/// Sends body bytes through the body filters; sends the head first if it is not out (length unknown). Bytes of a
/// response that has no body (HEAD, 204, 304) are dropped.
pub async fn data(_ex: &mut Exchange, _wire: &mut dyn Wire, _bytes: &[u8]) -> io::Result<()> {
    unreachable!("laid out first, filled next")
}

/// Everything sent so far reaches the client.
pub async fn flush(_ex: &mut Exchange, _wire: &mut dyn Wire) -> io::Result<()> {
    unreachable!("laid out first, filled next")
}

/// The body is complete: ends filters and framing, flushes.
pub async fn finish(_ex: &mut Exchange, _wire: &mut dyn Wire) -> io::Result<()> {
    unreachable!("laid out first, filled next")
}

/// A whole small response: head with length, bytes, end.
pub async fn text(_ex: &mut Exchange, _wire: &mut dyn Wire, _bytes: &[u8]) -> io::Result<()> {
    unreachable!("laid out first, filled next")
}

/// The response cannot be completed (a backend broke off): the connection is cut behind what was written.
pub fn abort(_ex: &mut Exchange, _wire: &mut dyn Wire) {
    unreachable!("laid out first, filled next")
}

/// Queues an interim response (1xx) if the client's protocol knows them.
pub fn interim(_ex: &mut Exchange, _wire: &mut dyn Wire, _status: u16, _reason: &[u8], _fields: &Table) {
    unreachable!("laid out first, filled next")
}

/// Waits for request body: [`Wire::poll_fill`] as a future.
pub async fn fill(_wire: &mut dyn Wire) -> Result<usize, BodyFault> {
    unreachable!("laid out first, filled next")
}

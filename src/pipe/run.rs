//! The driver of one request: phases, error pages, internal redirects, and always the log.

use std::rc::Rc;

use crate::web::{Chain, Exchange, Live, Wire};

/// The chain of a request that has not been read yet: the values of the default server.
pub fn idle_chain(_live: &Live, _server: usize) -> Rc<Chain> {
    unreachable!("laid out first, filled next")
}

/// Serves one request whose head was read into `ex` (`the_request`, `method`, `protocol`, `proto_num`,
/// `unparsed_uri`, `headers_in`, times, client address), from reading the target to the log. Never fails: whatever
/// goes wrong becomes a response or an aborted connection, and a log line.
pub async fn run(_ex: &mut Exchange, _wire: &mut dyn Wire) {
    unreachable!("laid out first, filled next")
}

/// Answers a request whose head could not be read (the front has logged why), and logs it.
pub async fn refuse(_ex: &mut Exchange, _wire: &mut dyn Wire, _status: u16) {
    unreachable!("laid out first, filled next")
}

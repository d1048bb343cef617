//! Sub-requests that are only looked up: what would become of a request for another path?

use crate::web::Exchange;

/// Looks `target` up on behalf of `ex`: a request for this path (relative to that of `ex` unless it starts with a
/// slash; a query may follow) goes through all phases from Translate to Fixups, and nothing is sent. `status` of the
/// answer says how that went: 200, or what a phase said instead.
pub async fn lookup(_ex: &Exchange, _target: &[u8]) -> Exchange {
    unreachable!("laid out first, filled next")
}

/// The same for a file: the request is taken to be mapped to `file` already, so Translate is left out and no Location
/// applies.
pub async fn lookup_file(_ex: &Exchange, _file: &[u8]) -> Exchange {
    unreachable!("laid out first, filled next")
}

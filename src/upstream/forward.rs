//! One request to a backend and its response to the client: election, attempts, failover.

use super::spec::Forward;
use crate::pipe::Outcome;
use crate::web::{Exchange, Wire};

/// Sends the request where `to` says and its response to the client; the status of what cannot be done otherwise.
pub async fn forward(_ex: &mut Exchange, _wire: &mut dyn Wire, _to: &Forward) -> Outcome {
    unreachable!("laid out first, filled next")
}

//! One request to a backend and its response to the client: election, attempts, failover.

use super::Backends;
use super::spec::Forward;
use crate::pipe::Outcome;
use crate::web::{Exchange, Wire};

/// Sends the request where `to` says and its response to the client; the status of what cannot be done otherwise.
/// `backends` are those of the exchange's generation.
pub async fn forward(_ex: &mut Exchange, _wire: &mut dyn Wire, _backends: &Backends, _to: &Forward) -> Outcome {
    unreachable!("laid out first, filled next")
}

//! A request's body, for whoever wants all of it at once.

use super::{Outcome, errors, respond};
use crate::web::{Exchange, Wire};

/// The whole body, if it is no larger than `limit` bytes; more is 413.
pub async fn whole_body(ex: &mut Exchange, wire: &mut dyn Wire, limit: usize) -> Result<Vec<u8>, Outcome> {
    let mut text = Vec::new();
    while !wire.body_done() {
        match respond::fill(wire).await {
            Ok(0) => break,
            Ok(_) => {}
            Err(fault) => return Err(errors::body_fault(ex, fault)),
        }
        let here = wire.body();
        if text.len() + here.len() > limit {
            return Err(Outcome::Status(413));
        }
        text.extend_from_slice(here);
        let n = here.len();
        wire.consume(n);
    }
    Ok(text)
}

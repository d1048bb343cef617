//! Pages that a handler makes by itself.

use super::{Outcome, respond};
use crate::web::{Exchange, Wire};

/// httpd's buffer holds this much: what is longer goes out before its length is known.
const BUFFER: usize = 8000;

/// Answers with a page that is all here, with its length where httpd would know it. A client that went away is noted
/// on its connection.
pub async fn page(ex: &mut Exchange, wire: &mut dyn Wire, text: &[u8]) -> Outcome {
    let sent = if text.len() > BUFFER {
        match respond::data(ex, wire, text).await {
            Ok(()) => respond::finish(ex, wire).await,
            failed => failed,
        }
    } else {
        respond::text(ex, wire, text).await
    };
    if sent.is_err() {
        ex.conn.aborted.set(true);
    }
    Outcome::Done
}

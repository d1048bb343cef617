//! What the driver of a request does for responses that are kept: it asks for one in front of all other phases, and
//! begins again where what was to renew one cannot.

use super::chain::plan;
use super::{Outcome, Phase, Run};
use crate::web::{Exchange, Wire};

/// Asks whoever may answer in front of all other phases.
pub(super) async fn quick(ex: &mut Exchange, wire: &mut dyn Wire) -> Outcome {
    if plan(&ex.chain).hooks(Phase::Quick).is_empty() {
        return Outcome::Declined;
    }
    let chain = ex.chain.clone();
    for run in plan(&chain).hooks(Phase::Quick) {
        if let Run::Handle(run) = run {
            match run(ex, wire).await {
                Outcome::Declined => {}
                outcome => return outcome,
            }
        }
    }
    Outcome::Declined
}

/// Forgets the response of a request that is made once more.
pub(super) fn begin_again(ex: &mut Exchange) {
    ex.internal_redirect.clone_from(&ex.unparsed_uri);
    ex.headers_out.clear();
    ex.err_headers_out.clear();
    ex.status = 200;
    ex.head_sent = false;
    ex.finished = false;
    ex.bytes_sent = 0;
    ex.response.no_body = false;
    ex.response.range = None;
    ex.response.retry = false;
    ex.response.settled = false;
    ex.response.forget_keeper();
}

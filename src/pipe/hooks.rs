//! How the hooks of a phase are run.

use super::chain::plan;
use super::{Outcome, Phase, Run, Waiting};
use crate::web::Exchange;

/// Runs all hooks of a phase, until one has the last word.
pub(super) async fn all(ex: &mut Exchange, phase: Phase) -> Outcome {
    run_hooks(ex, phase, false).await
}

/// Runs the hooks of a phase until one does not decline.
pub(super) async fn first(ex: &mut Exchange, phase: Phase) -> Outcome {
    run_hooks(ex, phase, true).await
}

/// As [`all`] and [`first`]. Most phases of most requests have no hook that waits: those are over at once.
#[inline]
async fn run_hooks(ex: &mut Exchange, phase: Phase, first: bool) -> Outcome {
    let chain = ex.chain.clone();
    let hooks = plan(&chain).hooks(phase);
    let mut at = 0;
    loop {
        match run_at_once(ex, hooks, &mut at, first) {
            None => return Outcome::Declined,
            Some(Stop::Outcome(outcome)) => return outcome,
            Some(Stop::Wait(run)) => match run(ex).await {
                Outcome::Declined => {}
                Outcome::Ok if !first => {}
                outcome => return outcome,
            },
        }
    }
}

/// Where running hooks comes to an end for now.
enum Stop {
    Outcome(Outcome),
    Wait(for<'a> fn(&'a mut Exchange) -> Waiting<'a>),
}

/// Runs hooks from number `at` on until one has the last word or has to wait.
fn run_at_once(ex: &mut Exchange, hooks: &[Run], at: &mut usize, first: bool) -> Option<Stop> {
    while let Some(run) = hooks.get(*at) {
        *at += 1;
        let outcome = match run {
            Run::Now(run) => run(ex),
            Run::Wait(run) => return Some(Stop::Wait(*run)),
            // Only handlers see the connection.
            Run::Handle(_) | Run::Inline(_) => Outcome::Declined,
        };
        match outcome {
            Outcome::Declined => {}
            Outcome::Ok if !first => {}
            outcome => return Some(Stop::Outcome(outcome)),
        }
    }
    None
}

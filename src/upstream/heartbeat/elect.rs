//! Who gets a request by what the members' hosts say.

use std::path::Path;

use super::record::Record;
use super::{Source, storage};
use crate::logs::{self, Errno, Level};
use crate::upstream::elect::{members, usable_or_retried};
use crate::upstream::spec::BalancerSpec;
use crate::upstream::tally::Count;
use crate::upstream::worker::{Backends, Worker};
use crate::web::Exchange;

/// A host that has been silent for so many seconds gets no requests.
const SILENT: i64 = 10;

/// Chooses at random, hosts that could take more requests more often. Sets, standbys, spares and load factors do not
/// matter.
pub(in crate::upstream) fn elect<'a>(
    ex: &Exchange,
    backends: &'a Backends,
    spec: &'a BalancerSpec,
    now: i64,
) -> Option<&'a Worker> {
    let records = match backends.heartbeats.as_deref() {
        None => Vec::new(),
        Some(Source::Memory(monitor)) => monitor.records(now),
        Some(Source::File(path)) => read(ex, path)?,
    };
    let mut up: Vec<(&Record, &Worker)> = Vec::new();
    for worker in members(backends, spec) {
        let Some(record) = records.iter().find(|record| record.ip == worker.spec.host.as_bytes()) else {
            let name = &worker.spec.name;
            logs::error!(ex, Level::Debug, "lbmethod_heartbeat", "AH01214: lb_heartbeat: No server for worker {name}");
            continue;
        };
        if usable_or_retried(worker, now) {
            // Members on one host share what it says, and the last one of them gets the requests.
            up.iter_mut().filter(|(other, _)| std::ptr::eq(*other, record)).for_each(|(_, before)| *before = worker);
            if record.seen < SILENT {
                up.push((record, worker));
            }
        }
    }
    let slots = up.iter().fold(0u32, |sum, (record, _)| sum.saturating_add(record.slots()));
    if slots == 0 {
        return None;
    }
    let random = getrandom::u64().ok()?;
    let pick = u32::try_from(random % (u64::from(slots) + 1)).unwrap_or(0);
    let chosen = chosen(up.iter().map(|(record, _)| record.slots()), pick).and_then(|at| up.get(at));
    let (_, worker) = chosen?;
    worker.state.tally.add(Count::Elected, 1);
    Some(worker)
}

/// Whose part of the sum `pick` is in. Both ends belong to a part, and the later one has them.
fn chosen(slots: impl Iterator<Item = u32>, pick: u32) -> Option<usize> {
    let (mut chosen, mut sum) = (None, 0u32);
    for (at, slots) in slots.enumerate() {
        if pick >= sum && pick <= sum.saturating_add(slots) {
            chosen = Some(at);
        }
        sum = sum.saturating_add(slots);
    }
    chosen
}

fn read(ex: &Exchange, path: &Path) -> Option<Vec<Record>> {
    storage::read(path)
        .inspect_err(|error| {
            let path = path.display();
            logs::error!(ex, Level::Error, "lbmethod_heartbeat", Errno::from(error) =>
                "AH01213: lb_heartbeat: Unable to read heartbeats at '{path}'");
        })
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_both_their_ends_and_the_later_one_wins() {
        let picks = |slots: &[u32]| -> Vec<Option<usize>> {
            let sum: u32 = slots.iter().sum();
            (0..=sum).map(|pick| chosen(slots.iter().copied(), pick)).collect()
        };
        assert_eq!(picks(&[2, 3]), [0, 0, 1, 1, 1, 1].map(Some));
        assert_eq!(picks(&[3, 0]), [0, 0, 0, 1].map(Some));
        assert_eq!(picks(&[0, 2]), [1, 1, 1].map(Some));
    }
}

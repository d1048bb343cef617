//! Trying members: a connection of its own for each question.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::core::Action;
use super::sender::encode;
use super::stack::{Bus, Probe, Ticket, Work};

/// All questions that are open.
#[derive(Default)]
pub(super) struct Prober {
    open: BTreeMap<u64, Open>,
}

struct Open {
    /// Who asks.
    level: usize,
    probe: Probe,
    deadline: u64,
    /// Bytes that are not written yet.
    left: usize,
}

impl Prober {
    pub(super) fn ask(&mut self, level: usize, probe: Probe, bus: &mut Bus) {
        let Some(to) = probe.member.tcp() else {
            bus.queue.push_back(Work::Probed(level, probe, false));
            return;
        };
        let conn = bus.conn();
        let deadline = bus.now.tick + probe.connect_timeout;
        self.open.insert(conn, Open { level, probe, deadline, left: 0 });
        bus.actions.push(Action::Connect(conn, to));
    }

    pub(super) fn owns(&self, conn: u64) -> bool {
        self.open.contains_key(&conn)
    }

    pub(super) fn connected(&mut self, conn: u64, bus: &mut Bus) {
        let Some(open) = self.open.get_mut(&conn) else { return };
        let Some((options, message)) = open.probe.message.clone() else { return self.answer(conn, true, bus) };
        let to = Arc::from([open.probe.member.clone()]);
        let frame = encode(&bus.message(to, options, message, Ticket::NOBODY), &bus.local);
        open.left = frame.len();
        open.deadline = bus.now.tick + open.probe.read_timeout.unwrap_or(open.probe.connect_timeout);
        bus.actions.push(Action::Write(conn, frame));
    }

    pub(super) fn wrote(&mut self, conn: u64, n: usize, bus: &mut Bus) {
        let Some(open) = self.open.get_mut(&conn) else { return };
        open.left = open.left.saturating_sub(n);
        if open.left == 0 && open.probe.read_timeout.is_none() {
            self.answer(conn, true, bus);
        }
    }

    /// Any byte back is a sign of life.
    pub(super) fn read(&mut self, conn: u64, bus: &mut Bus) {
        self.answer(conn, true, bus);
    }

    pub(super) fn closed(&mut self, conn: u64, bus: &mut Bus) {
        self.answer(conn, false, bus);
    }

    fn answer(&mut self, conn: u64, alive: bool, bus: &mut Bus) {
        if let Some(open) = self.open.remove(&conn) {
            bus.actions.push(Action::Close(conn));
            bus.queue.push_back(Work::Probed(open.level, open.probe, alive));
        }
    }

    pub(super) fn tick(&mut self, bus: &mut Bus) {
        let now = bus.now.tick;
        let late: Vec<u64> = self.open.iter().filter(|(_, open)| open.deadline <= now).map(|(conn, _)| *conn).collect();
        late.into_iter().for_each(|conn| self.answer(conn, false, bus));
    }

    pub(super) fn deadline(&self) -> Option<u64> {
        self.open.values().map(|open| open.deadline).min()
    }

    /// Forgets all questions.
    pub(super) fn stop(&mut self, bus: &mut Bus) {
        for conn in std::mem::take(&mut self.open).into_keys() {
            bus.actions.push(Action::Close(conn));
        }
    }
}

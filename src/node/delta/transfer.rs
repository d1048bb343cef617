//! State transfer: all sessions for a node that starts.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::codec::tribes::{Member, Options};

use super::{
    DeltaManager, Event, How, Level, Outgoing, SessionMessage, SessionReader, StateWriter, To, decode_sessions,
};

/// One message holds no more than this, whatever `sendAllSessions` says: Java's arrays have a bound.
const MESSAGE: usize = 256 << 20;
/// Messages that wait for the end of a transfer, and their bytes.
const QUEUE: usize = 100_000;
const QUEUE_BYTES: usize = 64 << 20;

/// Where a manager is with its own sessions, and whom it sends them.
#[derive(Debug, Default)]
pub(super) struct Transfer {
    /// The question that is open.
    asked: Option<Asked>,
    /// The manager has what it can get.
    ready: bool,
    /// What others said meanwhile.
    queue: VecDeque<Queued>,
    queued: usize,
    /// Members that still get sessions, in parts.
    serving: Vec<Serving>,
}

#[derive(Debug)]
struct Asked {
    member: Member,
    /// When the first member was asked.
    since: i64,
    /// When waiting ends.
    until: Option<i64>,
    /// Who could not answer.
    tried: Vec<Member>,
}

#[derive(Debug)]
struct Queued {
    from: Member,
    context: Option<String>,
    event: Event,
    timestamp: Option<i64>,
    payload: Option<Vec<u8>>,
    session: String,
}

#[derive(Debug)]
struct Serving {
    to: Member,
    ids: VecDeque<Arc<str>>,
    /// When the ids were collected.
    taken: i64,
    next: i64,
}

impl DeltaManager {
    /// The manager starts: it asks the oldest member for its sessions. Call [`set_members`](Self::set_members)
    /// before.
    pub fn start(&self, now: i64, out: &mut Vec<Outgoing>) {
        let members = self.members();
        let mut transfer = self.transfer();
        let Some(first) = members.first() else {
            let text = format!("Manager [{}]: skipping state transfer. No members active in cluster group.", self.name);
            self.log(Level::Info, "getAllClusterSessions", &text);
            return self.complete(transfer, None, now, out);
        };
        let timeout = self.config.transfer_timeout;
        let until = (timeout >= 0).then(|| now.saturating_add(timeout.saturating_mul(1000)));
        self.ask(first, now, out);
        if timeout == 0 {
            return self.complete(transfer, None, now, out);
        }
        transfer.asked = Some(Asked { member: first.clone(), since: now, until, tried: Vec::new() });
        drop(transfer);
        let text = format!(
            "Manager [{}], requesting session state from [{}]. This operation will timeout if no session state has been received within [{timeout}] seconds.",
            self.name,
            first.name()
        );
        self.log(Level::Info, "getAllClusterSessions", &text);
    }

    fn ask(&self, member: &Member, now: i64, out: &mut Vec<Outgoing>) {
        let message = SessionMessage::whole(Event::GetAll, &self.name, now, None);
        self.send(To::One(member.clone()), message.encode(), How::With(Options::ASYNCHRONOUS), out);
    }

    /// Whether the application may serve requests.
    pub fn is_ready(&self) -> bool {
        self.transfer().ready
    }

    /// Looks at the clock.
    pub fn poll(&self, now: i64, out: &mut Vec<Outgoing>) {
        let members = self.members();
        let mut transfer = self.transfer();
        if let Some(asked) = &transfer.asked {
            if asked.until.is_some_and(|until| now >= until) {
                let text = format!(
                    "Manager [{}]: No session state sent at [{}] received, timing out after [{}] ms.",
                    self.name,
                    asked.since,
                    now - asked.since
                );
                self.log(Level::Severe, "waitForSendAllSessions", &text);
                self.complete(transfer, None, now, out);
                transfer = self.transfer();
            } else if !members.iter().any(|member| member.same(&asked.member)) {
                drop(transfer);
                // Tomcat waits for the dead; the next oldest knows the same sessions.
                self.ask_next(now, out);
                transfer = self.transfer();
            }
        }
        let mut due = Vec::new();
        transfer.serving.retain(|serving| members.iter().any(|member| member.same(&serving.to)));
        transfer.serving.retain_mut(|serving| {
            let now_due = now >= serving.next;
            if now_due {
                let count = serving.ids.len().min(self.config.send_size.max(1));
                due.push((serving.to.clone(), serving.ids.drain(..count).collect::<Vec<_>>(), serving.taken));
                serving.next = now + self.config.send_wait;
            }
            !(now_due && serving.ids.is_empty())
        });
        let going: Vec<Member> = transfer.serving.iter().map(|serving| serving.to.clone()).collect();
        drop(transfer);
        for (to, ids, taken) in due {
            self.send_sessions(&to, &ids, taken, out);
            if !going.iter().any(|member| member.same(&to)) {
                self.send_complete(&to, taken, out);
            }
        }
    }

    /// The member asked does not answer: the next oldest, or nobody.
    fn ask_next(&self, now: i64, out: &mut Vec<Outgoing>) {
        let members = self.members();
        let mut transfer = self.transfer();
        let Some(asked) = &mut transfer.asked else { return };
        let before = asked.member.clone();
        asked.tried.push(before);
        let next = members.iter().find(|member| !asked.tried.iter().any(|tried| tried.same(member)));
        match next {
            Some(next) => {
                asked.member = next.clone();
                drop(transfer);
                self.ask(next, now, out);
                let text = format!("Manager [{}], requesting session state from [{}].", self.name, next.name());
                self.log(Level::Info, "getAllClusterSessions", &text);
            }
            None => {
                let text = format!("Manager [{}]: no member has its sessions.", self.name);
                self.log(Level::Warning, "waitForSendAllSessions", &text);
                self.complete(transfer, None, now, out);
            }
        }
    }

    /// The transfer is over; what others said meanwhile is heard now.
    fn complete(
        &self,
        mut transfer: std::sync::MutexGuard<'_, Transfer>,
        snapshot: Option<i64>,
        now: i64,
        out: &mut Vec<Outgoing>,
    ) {
        transfer.asked = None;
        transfer.ready = true;
        transfer.queued = 0;
        let queue = std::mem::take(&mut transfer.queue);
        drop(transfer);
        for queued in queue {
            let old = queued.timestamp.zip(snapshot).is_some_and(|(at, snapshot)| at < snapshot);
            // Tomcat drops the question of a node that started meanwhile; here it gets its answer.
            if old && self.config.timestamp_drop && queued.event != Event::GetAll {
                let text = format!(
                    "Manager [{}]: Drop message [{}] inside GET_ALL_SESSIONS sync phase start date [{}] message date [{}]",
                    self.name,
                    queued.event.name(),
                    snapshot.unwrap_or_default(),
                    queued.timestamp.unwrap_or_default()
                );
                self.log(Level::Warning, "getAllClusterSessions", &text);
                continue;
            }
            let message = SessionMessage {
                context: queued.context,
                event: queued.event,
                timestamp: queued.timestamp,
                payload: queued.payload.as_deref(),
                session: queued.session,
                unique: String::new(),
            };
            self.on_message(&queued.from, &message, now, out);
        }
    }

    /// A message that comes before this node has its sessions waits for them; true if it does.
    pub(super) fn hold_back(
        &self,
        from: &Member,
        message: &SessionMessage<'_>,
        now: i64,
        out: &mut Vec<Outgoing>,
    ) -> bool {
        let mut transfer = self.transfer();
        if transfer.ready {
            return false;
        }
        if message.event == Event::GetAll && transfer.asked.as_ref().is_some_and(|asked| asked.member.same(from)) {
            // Both wait for each other: neither would get an answer.
            drop(transfer);
            self.serve(from, now, out);
            self.ask_next(now, out);
            return true;
        }
        let bytes = message.payload.map_or(0, <[u8]>::len) + message.session.len();
        if transfer.queue.len() >= QUEUE || transfer.queued + bytes > QUEUE_BYTES {
            drop(transfer);
            let text = format!(
                "Manager [{}]: too many messages during the state transfer, [{}] of [{}] is dropped",
                self.name,
                message.event.name(),
                message.session
            );
            self.log(Level::Warning, "messageDataReceived", &text);
            return true;
        }
        transfer.queued += bytes;
        transfer.queue.push_back(Queued {
            from: from.clone(),
            context: message.context.clone(),
            event: message.event,
            timestamp: message.timestamp,
            payload: message.payload.map(<[u8]>::to_vec),
            session: message.session.clone(),
        });
        true
    }

    /// Sessions of another node.
    pub(super) fn all_data(&self, from: &Member, message: &SessionMessage<'_>, now: i64) {
        let Some(payload) = message.payload else { return };
        let mut reader = SessionReader::new(payload.len());
        let wanted = self.config.notify_session_listeners;
        let read = decode_sessions(payload, &mut reader, |mut session| {
            // The clocks of two nodes differ: it was used now.
            session.this = now;
            session.told = now;
            session.valid = true;
            let id = Arc::clone(&session.id);
            self.store.insert(session);
            self.observe(wanted, |observer| observer.created(&id));
        });
        for aside in &reader.asides {
            self.set_aside(&aside.session, aside.attribute.as_deref(), aside.error);
        }
        if reader.left_out > reader.asides.len() {
            let more = reader.left_out - reader.asides.len();
            self.counters.set_aside.fetch_add(more as u64, Ordering::Relaxed);
            let text = format!("Manager [{}]: {more} more attributes or sessions are left out", self.name);
            self.log(Level::Warning, "messageReceived", &text);
        }
        if let Err(error) = read {
            let text =
                format!("Manager [{}]: the sessions of [{}] can only be read in part: {error}", self.name, from.name());
            self.log(Level::Severe, "deserializeSessions", &text);
        }
    }

    /// A member has sent all it has.
    pub(super) fn transfer_complete(
        &self,
        _from: &Member,
        message: &SessionMessage<'_>,
        now: i64,
        out: &mut Vec<Outgoing>,
    ) {
        let transfer = self.transfer();
        let Some(asked) = &transfer.asked else { return };
        let text = format!(
            "Manager [{}]; session state sent at [{}] received in [{}] ms.",
            self.name,
            message.timestamp.unwrap_or_default(),
            now - asked.since
        );
        self.log(Level::Info, "waitForSendAllSessions", &text);
        self.complete(transfer, message.timestamp, now, out);
    }

    /// A member does not have the application.
    pub(super) fn no_context_manager(&self, from: &Member, now: i64, out: &mut Vec<Outgoing>) {
        if self.transfer().asked.as_ref().is_some_and(|asked| asked.member.same(from)) {
            let text = format!("Manager [{}]: [{}] does not have the application.", self.name, from.name());
            self.log(Level::Info, "waitForSendAllSessions", &text);
            self.ask_next(now, out);
        }
    }

    /// A member wants the sessions.
    pub(super) fn serve(&self, to: &Member, now: i64, out: &mut Vec<Outgoing>) {
        let ids = self.store.ids(|session| session.valid && !session.is_idle(now));
        if self.config.send_all || ids.len() <= self.config.send_size {
            self.send_sessions(to, &ids, now, out);
            return self.send_complete(to, now, out);
        }
        let mut ids: VecDeque<Arc<str>> = ids.into();
        let first: Vec<_> = ids.drain(..self.config.send_size.clamp(1, ids.len())).collect();
        self.send_sessions(to, &first, now, out);
        let mut transfer = self.transfer();
        // A member that asks again starts over.
        transfer.serving.retain(|serving| !serving.to.same(to));
        transfer.serving.push(Serving { to: to.clone(), ids, taken: now, next: now + self.config.send_wait });
    }

    fn send_sessions(&self, to: &Member, ids: &[Arc<str>], taken: i64, out: &mut Vec<Outgoing>) {
        let mut ids = ids.iter();
        let mut first = true;
        let how = How::With(Options::USE_ACK.with(Options::SYNCHRONIZED_ACK));
        // Also with no session at all: that is an answer, too.
        while first || ids.len() > 0 {
            first = false;
            let message = SessionMessage::whole(Event::AllData, &self.name, taken, None);
            let bytes = message.encode_with(Some(|out: &mut Vec<u8>| {
                let mut writer = StateWriter::payload(std::mem::take(out));
                for id in ids.by_ref() {
                    self.store.with(id, |session| {
                        writer.session(session, |name, value| self.config.allows(name, value));
                    });
                    if writer.len() > MESSAGE {
                        break;
                    }
                }
                *out = writer.finish();
            }));
            self.send(To::One(to.clone()), bytes, how, out);
        }
    }

    fn send_complete(&self, to: &Member, taken: i64, out: &mut Vec<Outgoing>) {
        let message = SessionMessage::whole(Event::TransferComplete, &self.name, taken, None);
        self.send(To::One(to.clone()), message.encode(), How::Channel, out);
    }
}

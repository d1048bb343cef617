//! What other members say.

use std::sync::atomic::Ordering;

use crate::codec::java::{Error, Limits, Reader};
use crate::codec::tribes::Member;
use crate::node::session::Session;

use super::{DeltaManager, DeltaRequest, Event, Level, Outgoing, SessionMessage};

impl DeltaManager {
    /// A message of a member for this manager.
    pub fn on_message(&self, from: &Member, message: &SessionMessage<'_>, now: i64, out: &mut Vec<Outgoing>) {
        self.counters.received.fetch_add(1, Ordering::Relaxed);
        match message.event {
            Event::AllData => self.all_data(from, message, now),
            Event::TransferComplete => self.transfer_complete(from, message, now, out),
            Event::NoContextManager => self.no_context_manager(from, now, out),
            _ if self.hold_back(from, message, now, out) => {}
            Event::GetAll => self.serve(from, now, out),
            Event::Created => self.created(message, now),
            Event::Delta => self.delta(message, now),
            Event::Accessed => {
                self.store.with(&message.session, |session| {
                    session.begin(now);
                    session.primary = false;
                    session.end(now, self.config.access_at_start);
                });
            }
            Event::Expired => {
                if self.store.remove(&message.session).is_some() {
                    self.counters.expired.fetch_add(1, Ordering::Relaxed);
                    let wanted = self.config.notify_session_listeners;
                    self.observe(wanted, |observer| observer.destroyed(&message.session));
                }
            }
            Event::ChangeId => self.renamed(message, now),
        }
    }

    fn created(&self, message: &SessionMessage<'_>, now: i64) {
        let mut session = Session::new(&message.session, now, self.config.max_inactive);
        session.created = message.timestamp.unwrap_or(now);
        session.new = false;
        self.store.insert(session);
        self.observe(self.config.notify_session_listeners, |observer| observer.created(&message.session));
        for payload in self.early.take(&message.session, now) {
            self.apply(&message.session, &message.session, &payload, now);
        }
    }

    fn delta(&self, message: &SessionMessage<'_>, now: i64) {
        let id = &message.session;
        let Some(payload) = message.payload else { return };
        // Nothing is read for a session that is not here.
        if self.store.with(id, |_| ()).is_some() {
            return self.apply(id, id, payload, now);
        }
        match self.early.called(id, now).filter(|new| self.store.with(new, |_| ()).is_some()) {
            Some(new) => self.apply(&new, id, payload, now),
            None => self.early.keep(id, payload, now),
        }
    }

    /// Applies a change of the session `id`, which its sender calls `named`.
    fn apply(&self, id: &str, named: &str, payload: &[u8], now: i64) {
        let aside = |name: &str, error: Error| self.set_aside(id, Some(name), error);
        let (of, delta) = match DeltaRequest::decode(payload, aside) {
            Ok(read) => read,
            Err(error) => return self.set_aside(id, None, error),
        };
        if of != named {
            let text = format!("Session id mismatch, not executing the delta request of [{named}] for [{of}]");
            return self.log(Level::Severe, "messageReceived", &text);
        }
        self.store.with(id, |session| {
            session.begin(now);
            delta.actions.iter().for_each(|action| session.apply(action));
            // Ending a request says that the session is not new, whatever the delta said before.
            session.end(now, self.config.access_at_start);
            session.primary = false;
        });
        let wanted = self.config.notify_listeners && self.observer.is_some();
        for action in delta.actions.iter().filter(|action| wanted && action.kind == super::Kind::Attribute) {
            self.observe(true, |observer| observer.attribute(id, &action.name, action.value.as_ref()));
        }
    }

    fn renamed(&self, message: &SessionMessage<'_>, now: i64) {
        let read = || {
            let mut reader = Reader::new(message.payload.ok_or(Error::Short)?, Limits::VALUE)?;
            reader.utf()
        };
        let new = match read() {
            Ok(new) if !new.is_empty() => new,
            Ok(_) => return self.set_aside(&message.session, None, Error::Short),
            Err(error) => return self.set_aside(&message.session, None, error),
        };
        if self.rename(&message.session, &new, now).is_ok() {
            self.store.with(&new, |session| session.primary = false);
            self.observe(self.config.notify_container_listeners, |observer| observer.renamed(&message.session, &new));
        }
    }

    /// Something could not be taken over.
    pub(super) fn set_aside(&self, session: &str, attribute: Option<&str>, error: Error) {
        self.counters.set_aside.fetch_add(1, Ordering::Relaxed);
        let name = self.name();
        let text = match attribute {
            Some(attribute) => {
                format!("Manager [{name}]: attribute [{attribute}] of session [{session}] is left out: {error}")
            }
            None => format!("Manager [{name}]: a message about session [{session}] is left out: {error}"),
        };
        self.log(Level::Warning, "messageReceived", &text);
    }
}

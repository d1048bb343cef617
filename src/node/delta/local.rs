//! What this node's application does.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::codec::java::{Value, Writer};
use crate::node::session::Session;

use super::{Action, DeltaManager, Event, How, Kind, Level, Outgoing, SessionMessage, To};

/// The session is not there, or not any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the session is invalid")]
pub struct Ended;

/// There are as many sessions as there may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("Maximum number of active sessions [{0}] reached")]
pub struct TooMany(pub i32);

impl DeltaManager {
    /// A session is made. The others hear of it with its first change, at the latest at the end of its first request:
    /// nobody can ask them for it sooner, and two messages together cost little more than one.
    ///
    /// # Errors
    /// There are too many.
    pub fn create(&self, id: &str, now: i64) -> Result<(), TooMany> {
        let max = self.config.max_active;
        if usize::try_from(max).is_ok_and(|max| self.store.len() >= max) {
            return Err(TooMany(max));
        }
        let mut session = Session::new(id, now, self.config.max_inactive);
        (session.primary, session.untold) = (true, true);
        session.running = 1;
        let record_all = self.config.record_all;
        session.record(record_all, Action::of(Kind::New, Value::boolean(true)));
        session.record(record_all, Action::of(Kind::MaxInterval, Value::integer(session.max_inactive)));
        self.store.insert(session);
        self.counters.created.fetch_add(1, Ordering::Relaxed);
        self.observe(true, |observer| observer.created(id));
        Ok(())
    }

    /// The others hear of a session if they have not yet.
    fn announce(&self, id: &str, now: i64, out: &mut Vec<Outgoing>) {
        if self.store.with(id, |session| std::mem::take(&mut session.untold)) == Some(true) {
            self.tell(Event::Created, id, now, None, out);
        }
    }

    /// Whether there is a valid session; it is not used by that, but ends if it was idle too long.
    pub fn exists(&self, id: &str, now: i64, out: &mut Vec<Outgoing>) -> bool {
        match self.store.with(id, |session| self.is_over(session, now)) {
            Some(false) => true,
            Some(true) => {
                self.expire(id, now, out);
                false
            }
            None => false,
        }
    }

    fn is_over(&self, session: &Session, now: i64) -> bool {
        !session.valid || session.is_idle(now) && !(self.config.activity_check && session.running > 0)
    }

    /// A request that belongs to this session begins; false if there is none that is valid.
    pub fn begin(&self, id: &str, now: i64, out: &mut Vec<Outgoing>) -> bool {
        self.exists(id, now, out)
            && self
                .store
                .with(id, |session| {
                    session.begin(now);
                    session.new = false;
                    // Tomcat says so with every request; it is what keeps the copies from expiring.
                    session.record(self.config.record_all, Action::of(Kind::New, Value::boolean(false)));
                })
                .is_some()
    }

    /// A request is over.
    pub fn end(&self, id: &str, now: i64, out: &mut Vec<Outgoing>) {
        self.announce(id, now, out);
        self.store.with(id, |session| session.end(now, self.config.access_at_start));
    }

    /// What a request changed goes to the others; before [`end`](Self::end).
    pub fn replicate(&self, id: &str, now: i64, out: &mut Vec<Outgoing>) {
        self.announce(id, now, out);
        let alone = self.alone();
        let told = self.store.with(id, |session| {
            if !session.valid {
                return None;
            }
            let delta = session.delta.take().filter(|delta| !delta.actions.is_empty());
            let idle = now.saturating_sub(session.told) > i64::from(session.max_inactive) * 1000;
            let due = delta.is_some() || !session.primary || session.max_inactive >= 0 && idle;
            session.primary = true;
            if alone || !due {
                return None;
            }
            session.told = now;
            Some(delta.map(|delta| delta.encode(&session.id)))
        });
        match told.flatten() {
            Some(Some(delta)) => self.tell(Event::Delta, id, now, Some(&delta), out),
            Some(None) => self.tell(Event::Accessed, id, now, None, out),
            None => {}
        }
    }

    /// Looks at a session.
    pub fn with<R>(&self, id: &str, look: impl FnOnce(&Session) -> R) -> Option<R> {
        self.store.with(id, |session| look(session))
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Session)) -> Result<(), Ended> {
        let changed = self.store.with(id, |session| session.valid.then(|| change(session)));
        changed.flatten().ok_or(Ended)
    }

    /// Sets an attribute; null removes it.
    ///
    /// # Errors
    /// There is no such session.
    pub fn set_attribute(&self, id: &str, name: &str, value: Value) -> Result<(), Ended> {
        if value.is_null() {
            return self.remove_attribute(id, name);
        }
        let allowed = self.config.allows(name, &value);
        if !allowed && self.config.warn_filtered {
            let text = format!("The session attribute named [{name}] is not replicated because of a filter.");
            self.log(Level::Warning, "willAttributeDistribute", &text);
        }
        self.change(id, |session| {
            let name: Arc<str> = name.into();
            session.attributes.insert(Arc::clone(&name), value.clone());
            if allowed {
                let action = Action { kind: Kind::Attribute, name, remove: false, value: Some(value.clone()) };
                session.record(self.config.record_all, action);
            }
        })?;
        self.observe(true, |observer| observer.attribute(id, name, Some(&value)));
        Ok(())
    }

    /// Removes an attribute, which need not be there.
    ///
    /// # Errors
    /// There is no such session.
    pub fn remove_attribute(&self, id: &str, name: &str) -> Result<(), Ended> {
        let mut removed = false;
        self.change(id, |session| {
            let Some(value) = session.attributes.remove(name) else { return };
            removed = true;
            if self.config.allows(name, &value) {
                session.record(self.config.record_all, Action::remove(Kind::Attribute, name));
            }
        })?;
        self.observe(removed, |observer| observer.attribute(id, name, None));
        Ok(())
    }

    /// Sets how many seconds a session may be idle.
    ///
    /// # Errors
    /// There is no such session.
    pub fn set_max_inactive(&self, id: &str, seconds: i32) -> Result<(), Ended> {
        self.change(id, |session| {
            session.max_inactive = seconds;
            session.record(self.config.record_all, Action::of(Kind::MaxInterval, Value::integer(seconds)));
        })
    }

    /// Gives a session another id; the others are told at once.
    ///
    /// # Errors
    /// There is no such session.
    pub fn change_id(&self, id: &str, new: &str, now: i64, out: &mut Vec<Outgoing>) -> Result<(), Ended> {
        self.announce(id, now, out);
        self.rename(id, new, now)?;
        let mut writer = Writer::new();
        writer.utf(new);
        let payload = writer.finish();
        self.tell(Event::ChangeId, id, now, Some(&payload), out);
        self.observe(true, |observer| observer.renamed(id, new));
        Ok(())
    }

    pub(super) fn rename(&self, id: &str, new: &str, now: i64) -> Result<(), Ended> {
        let mut session = self.store.remove_if(id, |session| session.valid).ok_or(Ended)?;
        session.id = new.into();
        self.store.insert(session);
        self.early.rename(id, new, now);
        Ok(())
    }

    /// Ends a session; the others are told at once, after what it changed before.
    ///
    /// # Errors
    /// There is no such session.
    pub fn invalidate(&self, id: &str, now: i64, out: &mut Vec<Outgoing>) -> Result<(), Ended> {
        self.announce(id, now, out);
        let session = self.store.remove_if(id, |session| session.valid).ok_or(Ended)?;
        if let Some(delta) = session.delta.filter(|delta| !delta.actions.is_empty()) {
            self.tell(Event::Delta, id, now, Some(&delta.encode(id)), out);
        }
        self.tell(Event::Expired, id, now, None, out);
        self.observe(true, |observer| observer.destroyed(id));
        Ok(())
    }

    /// Ends what was idle too long.
    pub fn sweep(&self, now: i64, out: &mut Vec<Outgoing>) {
        for id in self.store.ids(|session| self.is_over(session, now)) {
            self.expire(&id, now, out);
        }
    }

    /// A session was idle too long. A copy goes without a word.
    fn expire(&self, id: &str, now: i64, out: &mut Vec<Outgoing>) {
        let Some(session) = self.store.remove_if(id, |session| self.is_over(session, now)) else { return };
        self.counters.expired.fetch_add(1, Ordering::Relaxed);
        if session.primary && !session.untold {
            self.tell(Event::Expired, id, now, None, out);
        }
        self.observe(true, |observer| observer.destroyed(id));
    }

    /// The application stops. Its sessions live on elsewhere, unless `expireSessionsOnShutdown` ends them there as
    /// well.
    pub fn stop(&self, now: i64, out: &mut Vec<Outgoing>) {
        let alone = self.alone();
        if self.config.expire_on_shutdown && !alone {
            for id in self.store.ids(|session| session.valid) {
                let message = SessionMessage::about(Event::Expired, &self.name, &id, now, None);
                self.send(To::All, message.encode(), How::Channel, out);
            }
        }
        if self.observer.is_some() {
            for id in self.store.ids(|session| session.valid) {
                self.observe(true, |observer| observer.destroyed(&id));
            }
        }
        self.store.clear();
        self.early.clear();
        *self.transfer() = Default::default();
    }
}

//! What the application does with sessions, and where their copies go.

use std::sync::Arc;

use crate::codec::java::Value;
use crate::codec::tribes::Member;
use crate::node::delta::{Action, Ended, Kind, Outgoing, TooMany};
use crate::node::session::Session;

use super::message::{MapMessage, Type, key, session_value};
use super::{BackupManager, Entry, Found, Inner, Role};

impl BackupManager {
    /// A session is made; it gets its backup at once.
    ///
    /// # Errors
    /// There are too many.
    pub fn create(&self, id: &str, now: i64, out: &mut Vec<Outgoing>) -> Result<(), TooMany> {
        let max = self.config.max_active;
        let mut inner = self.inner();
        if usize::try_from(max).is_ok_and(|max| inner.entries.len() >= max) {
            return Err(TooMany(max));
        }
        let mut session = Session::new(id, now, self.config.max_inactive);
        session.primary = true;
        session.running = 1;
        self.publish(&mut inner, session, out);
        if let Some(session) = inner.entries.get_mut(id).and_then(|entry| entry.session.as_mut()) {
            session.record(self.config.record_all, Action::of(Kind::New, Value::boolean(true)));
            let interval = Value::integer(session.max_inactive);
            session.record(self.config.record_all, Action::of(Kind::MaxInterval, interval));
        }
        Ok(())
    }

    /// A session becomes this node's, with a backup on another: whole there, a note to the rest.
    pub(super) fn publish(&self, inner: &mut Inner, mut session: Session, out: &mut Vec<Outgoing>) {
        session.primary = true;
        let id = Arc::clone(&session.id);
        let nodes: Vec<Member> = next_backup(inner).into_iter().collect();
        if let Some(backup) = nodes.first() {
            let value = session_value(&session, |name, value| self.config.allows(name, value));
            let message = MapMessage { value: Some(value), ..self.about(Type::Backup, &id, &nodes) };
            self.send(backup.clone(), &message, out);
        }
        self.tell_others(inner, &id, &nodes, out);
        let entry = Entry { role: Role::Primary, session: Some(session), primary: Some(self.local().clone()), nodes };
        inner.entries.insert(id, entry);
    }

    /// A message about an entry of this node.
    fn about(&self, kind: Type, id: &str, nodes: &[Member]) -> MapMessage {
        let (key, primary, nodes) = (Some(key(id)), Some(self.local().clone()), Some(nodes.to_vec()));
        MapMessage { key, primary, nodes, ..self.message(kind) }
    }

    /// Who has no copy learns who has.
    fn tell_others(&self, inner: &Inner, id: &str, nodes: &[Member], out: &mut Vec<Outgoing>) {
        let message = self.about(Type::Proxy, id, nodes);
        for (member, _) in &inner.members {
            if !nodes.iter().any(|node| node.same(member)) {
                self.send(member.clone(), &message, out);
            }
        }
    }

    /// Whether there is a session, here or elsewhere. One that was idle too long ends.
    pub fn exists(&self, id: &str, now: i64, out: &mut Vec<Outgoing>) -> bool {
        let mut inner = self.inner();
        match inner.entries.get(id) {
            Some(entry) if self.is_over(entry, now) => {
                self.drop_entry(&mut inner, id, out);
                false
            }
            Some(_) => true,
            None => false,
        }
    }

    fn is_over(&self, entry: &Entry, now: i64) -> bool {
        let busy = |session: &Session| self.config.activity_check && session.running > 0;
        let over = |session: &Session| !session.valid || session.is_idle(now) && !busy(session);
        entry.role == Role::Primary && entry.session.as_ref().is_some_and(over)
    }

    /// Brings a session to this node, which becomes its primary.
    pub fn find(&self, id: &str, now: i64, out: &mut Vec<Outgoing>) -> Found {
        if !self.exists(id, now, out) {
            return Found::No;
        }
        let mut inner = self.inner();
        let Some(entry) = inner.entries.get_mut(id) else { return Found::No };
        match (entry.role, entry.session.is_some()) {
            (Role::Primary, true) => Found::Here,
            (Role::Backup, true) => {
                if let Some(session) = entry.session.take() {
                    self.publish(&mut inner, session, out);
                }
                Found::Here
            }
            _ => self.retrieve(&mut inner, id, now, out),
        }
    }

    /// Asks who has a copy, one after the other.
    pub(super) fn retrieve(&self, inner: &mut Inner, id: &str, now: i64, out: &mut Vec<Outgoing>) -> Found {
        let Some(entry) = inner.entries.get(id) else { return Found::No };
        let from = entry.nodes.iter().chain(&entry.primary).find(|node| !node.same(self.local())).cloned();
        let Some(from) = from else {
            inner.entries.remove(id);
            return Found::No;
        };
        let asked = |question: &super::Question| question.session.as_deref() == Some(id);
        if !inner.asked.values().any(asked) {
            let message = MapMessage { key: Some(key(id)), ..self.message(Type::RetrieveBackup) };
            self.ask(inner, &from, &message, Some(id.into()), now, out);
        }
        Found::Asked
    }

    /// A session was brought here.
    pub(super) fn retrieved(&self, inner: &mut Inner, id: &str, mut session: Session, out: &mut Vec<Outgoing>) {
        session.primary = true;
        session.id = id.into();
        let Some(entry) = inner.entries.get_mut(id) else { return };
        let nodes = entry.nodes.clone();
        entry.session = Some(session);
        entry.role = Role::Primary;
        entry.primary = Some(self.local().clone());
        let message = self.about(Type::NotifyMapMember, id, &nodes);
        for node in &nodes {
            self.send(node.clone(), &message, out);
        }
        self.tell_others(inner, id, &nodes, out);
    }

    /// A request that belongs to this session begins; call [`find`](Self::find) before.
    pub fn begin(&self, id: &str, now: i64) -> bool {
        self.change(id, |session| {
            session.begin(now);
            session.new = false;
            session.record(self.config.record_all, Action::of(Kind::New, Value::boolean(false)));
        })
        .is_ok()
    }

    /// A request is over.
    pub fn end(&self, id: &str, now: i64) {
        // One that ended meanwhile needs no end.
        let _ = self.change(id, |session| session.end(now, self.config.access_at_start));
    }

    /// What a request changed goes to the backup; before [`end`](Self::end).
    pub fn replicate(&self, id: &str, now: i64, out: &mut Vec<Outgoing>) {
        let mut inner = self.inner();
        let Some(entry) = inner.entries.get_mut(id).filter(|entry| entry.role == Role::Primary) else { return };
        let nodes = entry.nodes.clone();
        let Some(session) = entry.session.as_mut().filter(|session| session.valid) else { return };
        let delta = session.delta.take().filter(|delta| !delta.actions.is_empty());
        let idle = now.saturating_sub(session.told) > i64::from(session.max_inactive) * 1000;
        let message = match delta {
            Some(delta) => {
                let diff = Some(delta.encode(id));
                MapMessage { diff, ..self.about(Type::Backup, id, &nodes) }
            }
            None if session.max_inactive >= 0 && idle => self.about(Type::Access, id, &nodes),
            None => return,
        };
        session.told = now;
        for node in &nodes {
            self.send(node.clone(), &message, out);
        }
    }

    /// Gives a session another id: the old one goes, the new one gets a backup.
    ///
    /// # Errors
    /// There is no such session here.
    pub fn change_id(&self, id: &str, new: &str, out: &mut Vec<Outgoing>) -> Result<(), Ended> {
        let mut inner = self.inner();
        let entry = inner.entries.get_mut(id).ok_or(Ended)?;
        let mut session = entry.session.take().filter(|session| session.valid).ok_or(Ended)?;
        self.drop_entry(&mut inner, id, out);
        session.id = new.into();
        self.publish(&mut inner, session, out);
        Ok(())
    }

    /// Ends a session everywhere.
    ///
    /// # Errors
    /// There is no such session.
    pub fn invalidate(&self, id: &str, out: &mut Vec<Outgoing>) -> Result<(), Ended> {
        if self.drop_entry(&mut self.inner(), id, out) { Ok(()) } else { Err(Ended) }
    }

    fn drop_entry(&self, inner: &mut Inner, id: &str, out: &mut Vec<Outgoing>) -> bool {
        if inner.entries.remove(id).is_none() {
            return false;
        }
        let message = MapMessage { key: Some(key(id)), ..self.message(Type::Remove) };
        for (member, _) in &inner.members {
            self.send(member.clone(), &message, out);
        }
        true
    }

    /// Ends what was idle too long, where this node is responsible.
    pub fn sweep(&self, now: i64, out: &mut Vec<Outgoing>) {
        let mut inner = self.inner();
        let over = |(id, entry): (&Arc<str>, &Entry)| self.is_over(entry, now).then(|| Arc::clone(id));
        let ids: Vec<Arc<str>> = inner.entries.iter().filter_map(over).collect();
        for id in ids {
            self.drop_entry(&mut inner, &id, out);
        }
    }
}

/// The member whose turn it is.
fn next_backup(inner: &mut Inner) -> Option<Member> {
    let count = inner.members.len();
    let at = inner.turn.checked_rem(count)?;
    inner.turn = at + 1;
    inner.members.get(at).map(|(member, _)| member.clone())
}

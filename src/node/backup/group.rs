//! What other members say, and who they are.

use std::sync::Arc;

use crate::codec::tribes::Member;
use crate::codec::tribes::rpc::{FIRST_HANDLE, Kind as RpcKind, Rpc};
use crate::node::delta::{DeltaRequest, Level, Outgoing, SessionReader};

use super::message::{
    MapMessage, Type, key, key_id, list_value, read_list, read_session, read_state, session_value, state_value,
};
use super::{BackupManager, Entry, Inner, Phase, Role};

/// How often the members are asked whether they are there.
const HEARTBEAT: i64 = 5_000;
/// After the first answer to INIT, others have so long to answer.
const GRACE: i64 = 500;

impl BackupManager {
    /// The manager starts: it looks for members that have its map. Call [`set_members`](Self::set_members) before.
    pub fn start(&self, local: &Member, now: i64, out: &mut Vec<Outgoing>) {
        // Started once.
        let _ = self.local.set(local.clone());
        let mut inner = self.inner();
        let channel = inner.channel.clone();
        inner.pinged = now;
        if channel.is_empty() {
            inner.phase = Phase::Ready;
            return;
        }
        inner.phase = Phase::Init(now + self.map.rpc_timeout);
        let message = self.of_mine(Type::Init);
        for member in &channel {
            self.ask(&mut inner, member, &message, None, now, out);
        }
    }

    /// A message in this node's own name.
    fn of_mine(&self, kind: Type) -> MapMessage {
        MapMessage { primary: Some(self.local().clone()), ..self.message(kind) }
    }

    /// The application stops.
    pub fn stop(&self, out: &mut Vec<Outgoing>) {
        let mut inner = self.inner();
        let message = self.of_mine(Type::Stop);
        for (member, _) in &inner.members {
            self.send(member.clone(), &message, out);
        }
        *inner = Inner::default();
        self.answered.notify_all();
    }

    /// The members of the channel, without this node, the oldest first.
    pub fn set_members(&self, members: &[Member], now: i64, out: &mut Vec<Outgoing>) {
        let mut inner = self.inner();
        inner.channel = members.to_vec();
        let gone: Vec<Member> = inner
            .members
            .iter()
            .map(|(member, _)| member)
            .filter(|member| !members.iter().any(|other| other.same(member)))
            .cloned()
            .collect();
        for member in gone {
            self.lose(&mut inner, &member, out);
        }
        inner.asked.retain(|_, question| members.iter().any(|member| member.same(&question.to)));
        self.go_on(&mut inner, now, out);
        self.answered.notify_all();
    }

    /// Looks at the clock.
    pub fn poll(&self, now: i64, out: &mut Vec<Outgoing>) {
        let mut inner = self.inner();
        let timeout = self.map.rpc_timeout;
        inner.asked.retain(|_, question| now < question.at + timeout);
        self.go_on(&mut inner, now, out);
        if inner.phase != Phase::Ready || now < inner.pinged + HEARTBEAT {
            return;
        }
        inner.pinged = now;
        let silent = now - HEARTBEAT - self.map.access_timeout;
        let gone: Vec<Member> =
            inner.members.iter().filter(|(_, heard)| *heard < silent).map(|(member, _)| member.clone()).collect();
        for member in gone {
            let text = format!("Member [{}] of map [{}] does not answer.", member.name(), self.name);
            self.log(Level::Warning, "ping", &text);
            self.lose(&mut inner, &member, out);
        }
        let message = self.of_mine(Type::Ping);
        for member in inner.channel.clone() {
            self.ask(&mut inner, &member, &message, None, now, out);
        }
    }

    /// Joining goes on when nobody is left to answer, or the time for it is over.
    fn go_on(&self, inner: &mut Inner, now: i64, out: &mut Vec<Outgoing>) {
        let open = |inner: &Inner, kind: Type| inner.asked.values().any(|question| question.kind == kind);
        if let Phase::Init(until) = inner.phase
            && (now >= until || !open(inner, Type::Init))
        {
            // The oldest: one that is starting as well answers, and has nothing yet.
            let has_map = |member: &&Member| inner.members.iter().any(|(known, _)| known.same(member));
            let Some(oldest) = inner.channel.iter().find(has_map).cloned() else {
                inner.phase = Phase::Ready;
                return;
            };
            inner.phase = Phase::State(now + self.map.rpc_timeout);
            let message = self.message(Type::State);
            self.ask(inner, &oldest, &message, None, now, out);
        }
        if let Phase::State(until) = inner.phase
            && (now >= until || !open(inner, Type::State))
        {
            inner.phase = Phase::Ready;
            let message = self.of_mine(Type::Start);
            // All, also those whose answer to INIT is late: they note who starts.
            for member in inner.channel.clone() {
                self.ask(inner, &member, &message, None, now, out);
            }
        }
    }

    /// A member has the map.
    fn add(&self, inner: &mut Inner, member: &Member, now: i64, out: &mut Vec<Outgoing>) {
        if let Some((_, heard)) = inner.members.iter_mut().find(|(known, _)| known.same(member)) {
            *heard = now;
            return;
        }
        self.log(Level::Info, "mapMemberAdded", &format!("Map member added:[{member}]"));
        inner.members.push((member.clone(), now));
        if inner.phase != Phase::Ready {
            return;
        }
        let lonely = |entry: &Entry| entry.role == Role::Primary && entry.nodes.is_empty();
        let ids: Vec<Arc<str>> =
            inner.entries.iter().filter(|(_, entry)| lonely(entry)).map(|(id, _)| Arc::clone(id)).collect();
        self.republish(inner, &ids, out);
    }

    /// Entries of this node look for a backup.
    fn republish(&self, inner: &mut Inner, ids: &[Arc<str>], out: &mut Vec<Outgoing>) {
        for id in ids {
            if let Some(session) = inner.entries.get_mut(id).and_then(|entry| entry.session.take()) {
                self.publish(inner, session, out);
            }
        }
    }

    /// A member does not have the map any more, or is not there.
    fn lose(&self, inner: &mut Inner, member: &Member, out: &mut Vec<Outgoing>) {
        let before = inner.members.len();
        inner.members.retain(|(known, _)| !known.same(member));
        if inner.members.len() < before {
            let text = format!("Member[{member}] of map [{}] is gone.", self.name);
            self.log(Level::Info, "memberDisappeared", &text);
        }
        inner.asked.retain(|_, question| !question.to.same(member));
        let mut orphans = Vec::new();
        inner.entries.retain(|id, entry| {
            let had_copy = entry.nodes.iter().any(|node| node.same(member));
            let was_primary = entry.primary.as_ref().is_some_and(|primary| primary.same(member));
            entry.nodes.retain(|node| !node.same(member));
            if was_primary {
                entry.primary = None;
            }
            match entry.role {
                Role::Primary if had_copy => orphans.push(Arc::clone(id)),
                Role::Backup if was_primary => orphans.push(Arc::clone(id)),
                // Nobody has it any more.
                Role::Proxy => return entry.primary.is_some() || !entry.nodes.is_empty(),
                _ => {}
            }
            true
        });
        // Several copies would each become the session; the first in the list of nodes does.
        orphans.retain(|id| {
            inner.entries.get(id).is_some_and(|entry| {
                entry.role == Role::Primary || entry.nodes.first().is_none_or(|first| first.same(self.local()))
            })
        });
        self.republish(inner, &orphans, out);
        self.answered.notify_all();
    }

    /// A question or an answer.
    pub fn on_rpc(&self, from: &Member, rpc: &Rpc<'_>, now: i64, out: &mut Vec<Outgoing>) {
        let mut inner = self.inner();
        match rpc.kind {
            RpcKind::Request => match MapMessage::decode_part(rpc.object, FIRST_HANDLE) {
                Ok(Some(message)) => self.question(&mut inner, from, rpc.uuid, &message, now, out),
                Ok(None) => {}
                Err(error) => {
                    let text = format!("A question of [{}] cannot be read: {error}", from.name());
                    self.log(Level::Warning, "replyRequest", &text);
                }
            },
            RpcKind::NoChannel => {
                if let Some(question) = inner.asked.remove(rpc.uuid) {
                    // It is there, but not in the map.
                    if question.kind != Type::Init {
                        self.lose(&mut inner, from, out);
                    }
                }
                self.go_on(&mut inner, now, out);
            }
            RpcKind::Reply => {
                let Some(question) = inner.asked.remove(rpc.uuid) else { return };
                let message = match MapMessage::decode_part(rpc.object, FIRST_HANDLE) {
                    Ok(message) => message,
                    Err(error) => {
                        let text = format!("An answer of [{}] cannot be read: {error}", from.name());
                        self.log(Level::Warning, "replyRequest", &text);
                        None
                    }
                };
                self.answer_of(&mut inner, from, &question, message, now, out);
                self.go_on(&mut inner, now, out);
            }
        }
        self.answered.notify_all();
    }

    fn question(
        &self,
        inner: &mut Inner,
        from: &Member,
        uuid: &[u8],
        message: &MapMessage,
        now: i64,
        out: &mut Vec<Outgoing>,
    ) {
        match message.kind {
            Type::Init => self.answer(from, uuid, &self.of_mine(Type::Init), out),
            Type::Start => {
                self.add(inner, from, now, out);
                self.answer(from, uuid, &self.of_mine(Type::Start), out);
            }
            Type::Ping => {
                if let Some((_, heard)) = inner.members.iter_mut().find(|(known, _)| known.same(from)) {
                    *heard = now;
                }
                let state = if inner.phase == Phase::Ready { "INITIALIZED" } else { "NEW" };
                let answer = MapMessage { value: Some(state_value(state)), ..self.of_mine(Type::Ping) };
                self.answer(from, uuid, &answer, out);
            }
            Type::State | Type::StateCopy => {
                let entry = |(id, entry): (&Arc<str>, &Entry)| MapMessage {
                    key: Some(key(id)),
                    primary: entry.primary.clone(),
                    nodes: Some(entry.nodes.clone()),
                    ..self.message(Type::Proxy)
                };
                let entries: Vec<MapMessage> = inner.entries.iter().map(entry).collect();
                let answer = MapMessage { value: Some(list_value(&entries)), ..self.message(message.kind) };
                self.answer(from, uuid, &answer, out);
            }
            Type::RetrieveBackup => {
                let id = message.key.as_deref().and_then(key_id).unwrap_or_default();
                let session = inner.entries.get(id.as_str()).and_then(|entry| entry.session.as_ref());
                let value =
                    session.map(|session| session_value(session, |name, value| self.config.allows(name, value)));
                self.answer(from, uuid, &MapMessage { value, ..self.message(Type::RetrieveBackup) }, out);
            }
            _ => {}
        }
    }

    fn answer_of(
        &self,
        inner: &mut Inner,
        from: &Member,
        question: &super::Question,
        message: Option<MapMessage>,
        now: i64,
        out: &mut Vec<Outgoing>,
    ) {
        let value = message.as_ref().and_then(|message| message.value.as_deref());
        match question.kind {
            Type::Init => {
                self.add(inner, from, now, out);
                if let Phase::Init(until) = inner.phase {
                    inner.phase = Phase::Init(until.min(now + GRACE));
                }
            }
            Type::Start => self.add(inner, from, now, out),
            // One that is not ready yet will say so with START.
            Type::Ping if value.and_then(read_state).as_deref() == Some("INITIALIZED") => {
                self.add(inner, from, now, out);
            }
            Type::State => match read_list(value.unwrap_or_default()) {
                Ok(entries) => entries.into_iter().for_each(|entry| self.learn(inner, entry)),
                Err(error) => {
                    let text = format!("The entries of [{}] cannot be read: {error}", from.name());
                    self.log(Level::Severe, "transferState", &text);
                }
            },
            Type::RetrieveBackup => {
                let Some(id) = question.session.clone() else { return };
                match value.and_then(|value| self.read(value)) {
                    Some(session) => self.retrieved(inner, &id, session, out),
                    None => {
                        // Who is asked next if this one has no copy.
                        if let Some(entry) = inner.entries.get_mut(&id) {
                            entry.nodes.retain(|node| !node.same(from));
                            if entry.primary.as_ref().is_some_and(|primary| primary.same(from)) {
                                entry.primary = None;
                            }
                        }
                        self.retrieve(inner, &id, now, out);
                    }
                }
            }
            _ => {}
        }
    }

    fn read(&self, value: &[u8]) -> Option<crate::node::session::Session> {
        let mut reader = SessionReader::new(value.len());
        let session = read_session(value, &mut reader);
        for aside in &reader.asides {
            let what = aside.attribute.as_deref().unwrap_or("-");
            let text = format!("attribute [{what}] of session [{}] is left out: {}", aside.session, aside.error);
            self.log(Level::Warning, "messageReceived", &text);
        }
        session
            .map_err(|error| self.log(Level::Warning, "messageReceived", &format!("a session is left out: {error}")))
            .ok()
    }

    /// An entry that another node has.
    fn learn(&self, inner: &mut Inner, message: MapMessage) {
        let Some(id) = message.key.as_deref().and_then(key_id) else { return };
        if message.primary.as_ref().is_some_and(|primary| primary.same(self.local())) {
            return;
        }
        let (primary, nodes) = (message.primary, message.nodes.unwrap_or_default());
        let entry = Entry { role: Role::Proxy, session: None, primary, nodes };
        inner.entries.insert(id.into(), entry);
    }

    /// A message that is no question.
    pub fn on_message(&self, from: &Member, message: MapMessage, now: i64, out: &mut Vec<Outgoing>) {
        let mut inner = self.inner();
        let inner = &mut *inner;
        if message.kind == Type::Stop {
            return self.lose(inner, from, out);
        }
        let Some(id) = message.key.as_deref().and_then(key_id) else { return };
        match message.kind {
            Type::Backup | Type::Copy => self.backup(inner, &id, message, now),
            Type::Proxy => self.learn(inner, message),
            Type::Remove => drop(inner.entries.remove(id.as_str())),
            Type::NotifyMapMember => {
                let Some(entry) = inner.entries.get_mut(id.as_str()) else { return self.learn(inner, message) };
                entry.primary = message.primary;
                entry.nodes = message.nodes.unwrap_or_default();
                entry.role = if entry.session.is_some() { Role::Backup } else { Role::Proxy };
                if let Some(session) = &mut entry.session {
                    session.primary = false;
                }
            }
            Type::Access => {
                let session = inner.entries.get_mut(id.as_str()).and_then(|entry| entry.session.as_mut());
                if let Some(session) = session {
                    session.begin(now);
                    session.end(now, self.config.access_at_start);
                }
            }
            _ => {}
        }
    }

    /// This node has a copy from now on, or its copy changes.
    fn backup(&self, inner: &mut Inner, id: &str, message: MapMessage, now: i64) {
        let known = inner.entries.get_mut(id);
        let session = match (&message.diff, &message.value) {
            (Some(diff), _) => {
                let aside = |name: &str, error| {
                    let text = format!("attribute [{name}] of session [{id}] is left out: {error}");
                    self.log(Level::Warning, "messageReceived", &text);
                };
                let Some(mut session) = known.and_then(|entry| entry.session.take()) else {
                    let text = format!("Unable to apply diff to key [{id}]: it is not here");
                    return self.log(Level::Warning, "messageReceived", &text);
                };
                match DeltaRequest::decode(diff, aside) {
                    Ok((_, delta)) => {
                        session.begin(now);
                        delta.actions.iter().for_each(|action| session.apply(action));
                        session.end(now, self.config.access_at_start);
                    }
                    Err(error) => {
                        let text = format!("Unable to apply diff to key [{id}]: {error}");
                        self.log(Level::Severe, "messageReceived", &text);
                    }
                }
                Some(session)
            }
            (None, Some(value)) => self.read(value),
            (None, None) => None,
        };
        let Some(mut session) = session else { return };
        session.id = id.into();
        session.primary = false;
        let (primary, nodes) = (message.primary, message.nodes.unwrap_or_default());
        let entry = Entry { role: Role::Backup, session: Some(session), primary, nodes };
        inner.entries.insert(id.into(), entry);
    }
}

//! BackupManager: each session is on its primary node and on one backup; the others know where it is.
//!
//! Tomcat's LazyReplicatedMap, sans-IO: what the application does and what members say goes in, messages come out.
//! Questions to members ([`Rpc`]) are part of it, so the messages of the map must come here and not to another RPC
//! router: [`MapListener`] takes what is for one of its maps.
//!
//! ```text
//! new entry      BACKUP (whole) to one member in turn, PROXY to the others
//! changes        BACKUP (changes) to the backup, or ACCESS
//! used elsewhere there: RETRIEVE_BACKUP from who has it, NOTIFY_MAPMEMBER to the backup, PROXY to the others
//! primary gone   the backup becomes primary and looks for a backup; backup gone: the primary does
//! join           INIT to all, STATE from one, START to all;  leave: STOP;  alive: PING
//! ```

mod entries;
mod group;
mod message;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::codec::java::Value;
use crate::codec::tribes::rpc::{FIRST_HANDLE, Kind as RpcKind, Rpc};
use crate::codec::tribes::{Member, Options, UniqueId};

use super::delta::{Action, Config, Ended, How, Level, Log, Outgoing, To};
use super::session::Session;

pub use message::{MapMessage, Type};

/// What a BackupManager has beyond the attributes of every cluster manager.
#[derive(Clone, Debug)]
pub struct MapConfig {
    /// `mapSendOptions`
    pub options: Options,
    /// `rpcTimeout` in milliseconds.
    pub rpc_timeout: i64,
    /// `accessTimeout` in milliseconds: how long a member may not answer.
    pub access_timeout: i64,
}

impl Default for MapConfig {
    fn default() -> Self {
        let options = Options::USE_ACK.with(Options::SYNCHRONIZED_ACK);
        Self { options, rpc_timeout: 15_000, access_timeout: 5_000 }
    }
}

/// What became of a look for a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Found {
    /// It is here now.
    Here,
    /// There is none.
    No,
    /// Another node has been asked for it: see [`BackupManager::wait`].
    Asked,
}

/// Keeps the sessions of one application, each on two nodes.
pub struct BackupManager {
    name: String,
    id: Vec<u8>,
    config: Config,
    map: MapConfig,
    /// This node, known from the start on.
    local: OnceLock<Member>,
    inner: Mutex<Inner>,
    /// An answer came.
    answered: Condvar,
    log: Log,
}

/// Where this node stands to a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// It is responsible for it.
    Primary,
    /// It has a copy.
    Backup,
    /// It knows who has it.
    Proxy,
}

#[derive(Debug)]
struct Entry {
    role: Role,
    session: Option<Session>,
    primary: Option<Member>,
    nodes: Vec<Member>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: HashMap<Arc<str>, Entry>,
    /// Every member of the channel, the oldest first.
    channel: Vec<Member>,
    /// Those that have this map, and when they were heard last.
    members: Vec<(Member, i64)>,
    /// Whose turn it is to be backup.
    turn: usize,
    phase: Phase,
    /// Open questions.
    asked: HashMap<Vec<u8>, Question>,
    /// Questions asked so far: makes each of them unlike the others.
    count: u64,
    /// When the members were pinged last.
    pinged: i64,
}

/// How far the map is with joining.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Phase {
    #[default]
    New,
    /// Members were asked whether they have the map, until the given time at the latest.
    Init(i64),
    /// One was asked for the entries.
    State(i64),
    Ready,
}

#[derive(Debug)]
struct Question {
    kind: Type,
    to: Member,
    at: i64,
    /// The session that is wanted.
    session: Option<Arc<str>>,
}

impl fmt::Debug for BackupManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackupManager").field("name", &self.name).finish_non_exhaustive()
    }
}

impl BackupManager {
    /// A manager; see [`context_name`](super::delta::context_name) for the name.
    pub fn new(name: &str, config: Config, map: MapConfig, log: Log) -> Self {
        Self {
            name: name.to_owned(),
            id: format!("{name}-map").into_bytes(),
            config,
            map,
            local: OnceLock::new(),
            inner: Mutex::default(),
            answered: Condvar::new(),
            log,
        }
    }

    /// The name under which the cluster knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id of its map, which is that of its RPC channel as well.
    pub fn map_id(&self) -> &[u8] {
        &self.id
    }

    /// Its attributes.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// This node, as others know it; before the start, when nobody is told anything, nobody.
    fn local(&self) -> &Member {
        static NOBODY: LazyLock<Member> =
            LazyLock::new(|| Member::new(Ipv4Addr::UNSPECIFIED.into(), 0, UniqueId::default()));
        self.local.get().unwrap_or(&NOBODY)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self, level: Level, method: &str, text: &str) {
        (self.log)(level, &format!("org.apache.catalina.tribes.tipis.AbstractReplicatedMap.{method}"), text);
    }

    /// A message of this map that is no question.
    fn send(&self, to: Member, message: &MapMessage, out: &mut Vec<Outgoing>) {
        let how = How::With(self.map.options);
        out.push(Outgoing { to: To::One(to), bytes: message.encode(), how });
    }

    fn message(&self, kind: Type) -> MapMessage {
        MapMessage::new(kind, &self.id)
    }

    /// Asks a member something.
    fn ask(
        &self,
        inner: &mut Inner,
        to: &Member,
        message: &MapMessage,
        session: Option<Arc<str>>,
        now: i64,
        out: &mut Vec<Outgoing>,
    ) {
        inner.count += 1;
        // This node and a count: no other question of the cluster has it.
        let mut uuid = self.local().unique_id.to_vec();
        for (byte, count) in uuid.iter_mut().rev().zip(inner.count.to_le_bytes()) {
            *byte ^= count;
        }
        let object = message.encode_part(FIRST_HANDLE);
        let rpc = Rpc { kind: RpcKind::Request, uuid: &uuid, rpc_id: &self.id, object: &object };
        out.push(Outgoing { to: To::One(to.clone()), bytes: rpc.encode(), how: How::With(Options::USE_ACK) });
        inner.asked.insert(uuid, Question { kind: message.kind, to: to.clone(), at: now, session });
    }

    fn answer(&self, to: &Member, uuid: &[u8], message: &MapMessage, out: &mut Vec<Outgoing>) {
        let object = message.encode_part(FIRST_HANDLE);
        let rpc = Rpc { kind: RpcKind::Reply, uuid, rpc_id: &self.id, object: &object };
        out.push(Outgoing { to: To::One(to.clone()), bytes: rpc.encode(), how: How::With(Options::NONE) });
    }

    /// Waits until the answer to [`Found::Asked`] came, and what it asked for is here or known to be nowhere; false
    /// after `rpcTimeout`. Meanwhile another thread has to hand over messages.
    pub fn wait(&self, id: &str) -> bool {
        let until = Instant::now() + Duration::from_millis(u64::try_from(self.map.rpc_timeout).unwrap_or(15_000));
        let mut inner = self.inner();
        while inner.asked.values().any(|question| question.session.as_deref() == Some(id)) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                inner.asked.retain(|_, question| question.session.as_deref() != Some(id));
                return false;
            }
            inner = self.answered.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Whether it takes part. Members know this node a while before, and ask.
    fn is_started(&self) -> bool {
        self.inner().phase != Phase::New
    }

    /// Whether the application may serve requests.
    pub fn is_ready(&self) -> bool {
        self.inner().phase == Phase::Ready
    }

    /// Where this node stands to a session.
    pub fn role(&self, id: &str) -> Option<Role> {
        self.inner().entries.get(id).map(|entry| entry.role)
    }

    /// Looks at a session that is on this node.
    pub fn with<R>(&self, id: &str, look: impl FnOnce(&Session) -> R) -> Option<R> {
        self.inner().entries.get(id)?.session.as_ref().map(look)
    }

    /// The ids of all sessions of the map, wherever they are.
    pub fn ids(&self) -> Vec<Arc<str>> {
        self.inner().entries.keys().cloned().collect()
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Session)) -> Result<(), Ended> {
        let mut inner = self.inner();
        let session = inner.entries.get_mut(id).and_then(|entry| entry.session.as_mut());
        session.filter(|session| session.valid).map(change).ok_or(Ended)
    }

    /// Sets an attribute; null removes it.
    ///
    /// # Errors
    /// There is no such session here.
    pub fn set_attribute(&self, id: &str, name: &str, value: Value) -> Result<(), Ended> {
        if value.is_null() {
            return self.remove_attribute(id, name);
        }
        self.change(id, |session| {
            session.attributes.insert(name.into(), value.clone());
            if self.config.allows(name, &value) {
                session.record(self.config.record_all, Action::set(super::delta::Kind::Attribute, name, value));
            }
        })
    }

    /// Removes an attribute, which need not be there.
    ///
    /// # Errors
    /// There is no such session here.
    pub fn remove_attribute(&self, id: &str, name: &str) -> Result<(), Ended> {
        self.change(id, |session| {
            if let Some(value) = session.attributes.remove(name)
                && self.config.allows(name, &value)
            {
                session.record(self.config.record_all, Action::remove(super::delta::Kind::Attribute, name));
            }
        })
    }

    /// Sets how many seconds a session may be idle.
    ///
    /// # Errors
    /// There is no such session here.
    pub fn set_max_inactive(&self, id: &str, seconds: i32) -> Result<(), Ended> {
        self.change(id, |session| {
            session.max_inactive = seconds;
            let action = Action::of(super::delta::Kind::MaxInterval, Value::integer(seconds));
            session.record(self.config.record_all, action);
        })
    }
}

/// Hands messages to the maps they are for.
#[derive(Debug, Default)]
pub struct MapListener {
    managers: RwLock<HashMap<Vec<u8>, Arc<BackupManager>>>,
}

impl MapListener {
    /// A manager takes part.
    pub fn add(&self, manager: Arc<BackupManager>) {
        let mut managers = self.managers.write().unwrap_or_else(PoisonError::into_inner);
        managers.insert(manager.id.clone(), manager);
    }

    /// A manager does not take part any more.
    pub fn remove(&self, map_id: &[u8]) {
        self.managers.write().unwrap_or_else(PoisonError::into_inner).remove(map_id);
    }

    /// The managers there are.
    pub fn managers(&self) -> Vec<Arc<BackupManager>> {
        self.managers.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The manager that has this map and takes part.
    fn get(&self, id: &[u8]) -> Option<Arc<BackupManager>> {
        let manager = self.managers.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        // A map that is yet to be filled gives no answers: whoever starts at the same time would take it for the map.
        manager.filter(|manager| manager.is_started())
    }

    /// A message of a member. False if it is for none of the maps that take part here; a question that nobody takes is
    /// refused.
    pub fn on_message(&self, from: &Member, bytes: &[u8], now: i64, out: &mut Vec<Outgoing>) -> bool {
        if let Ok(Some(rpc)) = Rpc::decode(bytes) {
            match self.get(rpc.rpc_id) {
                Some(manager) => manager.on_rpc(from, &rpc, now, out),
                None if rpc.kind == RpcKind::Request => {
                    let refusal = Rpc { kind: RpcKind::NoChannel, object: &[], ..rpc };
                    let how = How::With(Options::ASYNCHRONOUS);
                    out.push(Outgoing { to: To::One(from.clone()), bytes: refusal.encode(), how });
                }
                None => {}
            }
            return true;
        }
        match MapMessage::decode(bytes) {
            Ok(Some(message)) => match self.get(&message.map) {
                Some(manager) => {
                    manager.on_message(from, message, now, out);
                    true
                }
                None => false,
            },
            Ok(None) | Err(_) => false,
        }
    }
}

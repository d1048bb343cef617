//! DeltaManager: every node of the cluster has every session.
//!
//! Sans-IO: what the application does and what members say goes in, messages for members come out
//! ([`Outgoing`]), in the order in which they must be sent. It may be called from any thread.
//!
//! Life of a manager: [`DeltaManager::start`] asks the oldest member for its sessions; until
//! [`DeltaManager::is_ready`] (that member's answer, or the time for it is over) messages of others wait and the
//! application should not serve requests. [`DeltaManager::poll`] is called every 100 ms or so, and
//! [`DeltaManager::sweep`] every few seconds. [`DeltaManager::stop`] ends it.
//!
//! A request: [`create`](DeltaManager::create) or [`begin`](DeltaManager::begin), changes,
//! [`replicate`](DeltaManager::replicate) (ReplicationValve), [`end`](DeltaManager::end). What concerns the group
//! (`set_members`, `start`, `poll`, messages, `stop`) belongs to one thread.

mod early;
mod local;
mod message;
mod remote;
pub(super) mod request;
mod state;
#[cfg(test)]
mod tests;
mod transfer;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use crate::base::pattern::{Flags, Pattern};
use crate::codec::java::Value;
use crate::codec::tribes::{Member, Options};

use super::store::Store;
use early::Early;
use transfer::Transfer;

pub use local::{Ended, TooMany};
pub use message::{Event, SessionMessage};
pub use request::{Action, DeltaRequest, Kind};
pub use state::{Aside, Contents, SessionReader, Source, StateWriter, decode as decode_sessions};

/// A message for other members.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Whom it goes to.
    pub to: To,
    /// The Java object stream.
    pub bytes: Vec<u8>,
    /// How it is sent.
    pub how: How,
}

/// Whom a message goes to.
#[derive(Clone, Debug)]
pub enum To {
    /// Every member.
    All,
    /// One of them.
    One(Member),
}

/// How a message is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum How {
    /// With the channelSendOptions of the Cluster element.
    Channel,
    /// With these options. If they ask for an acknowledgement, what follows is sent after it.
    With(Options),
}

/// How loud a line for the log is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Level {
    /// Something went wrong.
    Severe,
    /// Something is odd.
    Warning,
    /// Worth to know.
    Info,
}

/// Where lines for the log go: level, Tomcat's class and method, text.
pub type Log = Arc<dyn Fn(Level, &str, &str) + Send + Sync>;

/// What an application may want to hear of its sessions, also if another node did it.
pub trait Observer: Send + Sync {
    /// There is a session.
    fn created(&self, _id: &str) {}
    /// A session is over.
    fn destroyed(&self, _id: &str) {}
    /// A session has another id.
    fn renamed(&self, _old: &str, _new: &str) {}
    /// An attribute was set, or removed (no value).
    fn attribute(&self, _id: &str, _name: &str, _value: Option<&Value>) {}
}

/// The attributes of a Manager element, with Tomcat's names and defaults.
#[derive(Clone)]
pub struct Config {
    /// Seconds a new session may be idle; zero and below is for ever.
    pub max_inactive: i32,
    /// `maxActiveSessions`; below zero is no bound.
    pub max_active: i32,
    /// `expireSessionsOnShutdown`
    pub expire_on_shutdown: bool,
    /// `notifyListenersOnReplication`: of attributes.
    pub notify_listeners: bool,
    /// `notifySessionListenersOnReplication`: of sessions made and ended.
    pub notify_session_listeners: bool,
    /// `notifyContainerListenersOnReplication`: of ids changed.
    pub notify_container_listeners: bool,
    /// `stateTransferTimeout` in seconds; −1 is for ever, 0 is not at all.
    pub transfer_timeout: i64,
    /// `sendAllSessions`: in one message.
    pub send_all: bool,
    /// `sendAllSessionsSize`: sessions of one message otherwise.
    pub send_size: usize,
    /// `sendAllSessionsWaitTime` between them, in milliseconds.
    pub send_wait: i64,
    /// `stateTimestampDrop`: messages older than the sessions received are dropped.
    pub timestamp_drop: bool,
    /// `recordAllActions`
    pub record_all: bool,
    /// `sessionActivityCheck`: a session that is in use does not expire.
    pub activity_check: bool,
    /// `sessionLastAccessAtStart`
    pub access_at_start: bool,
    /// `sessionAttributeNameFilter`: the names that are replicated.
    pub name_filter: Option<Arc<Pattern>>,
    /// `sessionAttributeValueClassNameFilter`: the classes that are.
    pub class_filter: Option<Arc<Pattern>>,
    /// `warnOnSessionAttributeFilterFailure`
    pub warn_filtered: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_inactive: 1800,
            max_active: -1,
            expire_on_shutdown: false,
            notify_listeners: true,
            notify_session_listeners: true,
            notify_container_listeners: true,
            transfer_timeout: 60,
            send_all: true,
            send_size: 1000,
            send_wait: 2000,
            timestamp_drop: true,
            record_all: false,
            activity_check: false,
            access_at_start: false,
            name_filter: None,
            class_filter: None,
            warn_filtered: false,
        }
    }
}

impl Config {
    /// A filter's pattern: it has to match the whole name.
    ///
    /// # Errors
    /// What is wrong with the pattern.
    pub fn filter(text: &str) -> Result<Arc<Pattern>, String> {
        let whole = format!("^(?:{text})$");
        Pattern::new(whole.as_bytes(), Flags::default()).map(Arc::new).map_err(|error| error.to_string())
    }

    /// Whether an attribute may leave this node.
    pub fn allows(&self, name: &str, value: &Value) -> bool {
        // Tomcat keeps these two at home whatever the filters say.
        !matches!(name, "javax.security.auth.subject" | "org.apache.catalina.valves.CrawlerSessionManagerValve")
            && self.name_filter.as_ref().is_none_or(|filter| filter.is_match(name.as_bytes()))
            && self.class_filter.as_ref().is_none_or(|filter| filter.is_match(value.class().as_bytes()))
    }
}

/// Keeps the sessions of one application, the same on every node.
pub struct DeltaManager {
    name: String,
    config: Config,
    store: Store,
    members: RwLock<Arc<[Member]>>,
    transfer: Mutex<Transfer>,
    early: Early,
    log: Log,
    observer: Option<Arc<dyn Observer>>,
    /// Messages sent and received, and sessions expired.
    pub counters: Counters,
}

/// What a manager did.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Counters {
    pub created: AtomicU64,
    pub expired: AtomicU64,
    pub sent: AtomicU64,
    pub received: AtomicU64,
    pub set_aside: AtomicU64,
}

impl fmt::Debug for DeltaManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeltaManager").field("name", &self.name).field("sessions", &self.store.len()).finish()
    }
}

impl DeltaManager {
    /// A manager; see [`context_name`] for the name.
    pub fn new(name: &str, config: Config, log: Log, observer: Option<Arc<dyn Observer>>) -> Self {
        Self {
            name: name.to_owned(),
            config,
            store: Store::default(),
            members: RwLock::new(Arc::new([])),
            transfer: Mutex::default(),
            early: Early::default(),
            log,
            observer,
            counters: Counters::default(),
        }
    }

    /// The name under which the cluster knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its attributes.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Its sessions.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The members, without this node, the oldest first.
    pub fn set_members(&self, members: Arc<[Member]>) {
        *self.members.write().unwrap_or_else(PoisonError::into_inner) = members;
    }

    fn members(&self) -> Arc<[Member]> {
        Arc::clone(&self.members.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn alone(&self) -> bool {
        self.members.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn transfer(&self) -> MutexGuard<'_, Transfer> {
        self.transfer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self, level: Level, method: &str, text: &str) {
        (self.log)(level, &format!("org.apache.catalina.ha.session.DeltaManager.{method}"), text);
    }

    /// A message about one session for everybody; nothing if nobody is there.
    fn tell(&self, event: Event, session: &str, now: i64, payload: Option<&[u8]>, out: &mut Vec<Outgoing>) {
        if self.alone() {
            return;
        }
        let message = SessionMessage::about(event, &self.name, session, now, payload);
        self.send(To::All, message.encode(), How::Channel, out);
    }

    fn send(&self, to: To, bytes: Vec<u8>, how: How, out: &mut Vec<Outgoing>) {
        self.counters.sent.fetch_add(1, Ordering::Relaxed);
        out.push(Outgoing { to, bytes, how });
    }

    fn observe(&self, wanted: bool, tell: impl FnOnce(&dyn Observer)) {
        if let Some(observer) = self.observer.as_deref().filter(|_| wanted) {
            tell(observer);
        }
    }
}

/// The name of an application's manager: that of its context, behind its host's if the Cluster element belongs to the
/// Engine. The root application's path is empty, a version is behind `##`.
pub fn context_name(host: Option<&str>, context: &str) -> String {
    match host {
        Some(host) => format!("{host}#{context}"),
        None => context.to_owned(),
    }
}

/// ClusterSessionListener: hands messages to the managers they are for.
#[derive(Debug, Default)]
pub struct SessionListener {
    managers: RwLock<HashMap<String, Arc<DeltaManager>>>,
}

impl SessionListener {
    /// A manager takes part.
    pub fn add(&self, manager: Arc<DeltaManager>) {
        let mut managers = self.managers.write().unwrap_or_else(PoisonError::into_inner);
        managers.insert(manager.name.clone(), manager);
    }

    /// A manager does not take part any more.
    pub fn remove(&self, name: &str) {
        self.managers.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// The managers there are.
    pub fn managers(&self) -> Vec<Arc<DeltaManager>> {
        self.managers.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// A message about one session, which is dealt with at once; false if it is anything else, or if an application listens,
    /// which may take its time.
    pub fn on_short(&self, from: &Member, bytes: &[u8], now: i64, out: &mut Vec<Outgoing>) -> bool {
        let Ok(Some(message)) = SessionMessage::decode(bytes) else { return false };
        let about_one =
            matches!(message.event, Event::Created | Event::Delta | Event::Accessed | Event::Expired | Event::ChangeId);
        let Some(name) = message.context.as_ref().filter(|_| about_one) else { return false };
        let managers = self.managers.read().unwrap_or_else(PoisonError::into_inner);
        let Some(manager) = managers.get(name).filter(|manager| manager.observer.is_none()) else { return false };
        manager.on_message(from, &message, now, out);
        true
    }

    /// A message of a member. False if it is no session message. What is wrong with one is logged.
    pub fn on_message(&self, from: &Member, bytes: &[u8], now: i64, log: &Log, out: &mut Vec<Outgoing>) -> bool {
        let source = "org.apache.catalina.ha.session.ClusterSessionListener.messageReceived";
        let message = match SessionMessage::decode(bytes) {
            Ok(Some(message)) => message,
            Ok(None) => return false,
            Err(error) => {
                log(Level::Warning, source, &format!("Unable to read a message of [{}]: {error}", from.name()));
                return true;
            }
        };
        match &message.context {
            None => self.managers().iter().for_each(|manager| manager.on_message(from, &message, now, out)),
            Some(name) => {
                let manager = self.managers.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
                match manager {
                    Some(manager) => manager.on_message(from, &message, now, out),
                    None => {
                        log(Level::Warning, source, &format!("Context manager doesn't exist:[{name}]"));
                        if message.event == Event::GetAll {
                            let answer = SessionMessage::whole(Event::NoContextManager, name, now, None);
                            let to = To::One(from.clone());
                            out.push(Outgoing { to, bytes: answer.encode(), how: How::Channel });
                        }
                    }
                }
            }
        }
        true
    }
}

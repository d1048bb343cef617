//! A session of the cluster: what Tomcat replicates of one, with its attributes as opaque Java values.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::codec::java::Value;

use super::delta::request::{Action, DeltaRequest, Kind};

/// A session. Times are milliseconds since 1970.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its id, with the route of the node that made it.
    pub id: Arc<str>,
    /// When it was made.
    pub created: i64,
    /// When the last request ended.
    pub last: i64,
    /// When it was used last.
    pub this: i64,
    /// Seconds it may be idle; zero and below is for ever.
    pub max_inactive: i32,
    /// The client does not know of it yet.
    pub new: bool,
    /// It has not been ended.
    pub valid: bool,
    /// This node is responsible for it: it tells the others when it expires.
    pub primary: bool,
    /// The others have not heard of it yet: the news goes out with its first change.
    pub untold: bool,
    /// Requests that use it now.
    pub running: u32,
    /// When the cluster heard of it last from this node.
    pub told: i64,
    /// What the application keeps in it.
    pub attributes: BTreeMap<Arc<str>, Value>,
    /// What few sessions have.
    pub rare: Option<Box<Rare>>,
    /// What the cluster does not know yet.
    pub delta: Option<Box<DeltaRequest>>,
}

/// What a session has if somebody logged in, or something listens to it.
#[derive(Clone, Debug, Default)]
pub struct Rare {
    /// Who logged in, a `GenericPrincipal$SerializablePrincipal`.
    pub principal: Option<Value>,
    /// How: `BASIC`, `FORM`. Not part of a state transfer.
    pub auth_type: Option<String>,
    /// The id of the single sign-on session.
    pub sso: Option<Value>,
    /// The request that a login form interrupted.
    pub form: Option<Value>,
    /// Other notes, by name.
    pub notes: BTreeMap<Arc<str>, Value>,
    /// Listeners that move with the session.
    pub listeners: Vec<Value>,
}

impl Session {
    /// A new session.
    pub fn new(id: &str, now: i64, max_inactive: i32) -> Self {
        Self {
            id: id.into(),
            created: now,
            last: now,
            this: now,
            max_inactive,
            new: true,
            valid: true,
            primary: false,
            untold: false,
            running: 0,
            told: now,
            attributes: BTreeMap::new(),
            rare: None,
            delta: None,
        }
    }

    /// Whether it is over by now. A copy waits twice as long as the session itself: its owner's word may be on
    /// its way.
    pub fn is_idle(&self, now: i64) -> bool {
        let limit = i64::from(self.max_inactive) * 1000 * if self.primary { 1 } else { 2 };
        self.max_inactive > 0 && now.saturating_sub(self.this) >= limit
    }

    /// What few sessions have, made if need be.
    pub fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// A request begins.
    pub(super) fn begin(&mut self, now: i64) {
        self.this = now;
        self.running = self.running.saturating_add(1);
    }

    /// A request ends. `at_start` keeps the time at which it began.
    pub(super) fn end(&mut self, now: i64, at_start: bool) {
        self.new = false;
        if at_start {
            (self.last, self.this) = (self.this, now);
        } else {
            (self.last, self.this) = (now, now);
        }
        self.running = self.running.saturating_sub(1);
    }

    /// Notes an action for the cluster.
    pub(super) fn record(&mut self, record_all: bool, action: Action) {
        let delta = self.delta.get_or_insert_with(|| Box::new(DeltaRequest::new(record_all)));
        delta.push(action);
    }

    /// Carries out what another node did.
    pub fn apply(&mut self, action: &Action) {
        let value = || action.value.clone().filter(|value| !value.is_null());
        match action.kind {
            Kind::Attribute => match value() {
                Some(value) => drop(self.attributes.insert(Arc::clone(&action.name), value)),
                None => drop(self.attributes.remove(&*action.name)),
            },
            Kind::New => self.new = value().as_ref().and_then(Value::as_boolean).unwrap_or(self.new),
            Kind::MaxInterval => {
                self.max_inactive = value().as_ref().and_then(Value::as_integer).unwrap_or(self.max_inactive);
            }
            Kind::Principal => self.rare().principal = value(),
            Kind::AuthType => self.rare().auth_type = value().as_ref().and_then(Value::as_text),
            Kind::Note => match value() {
                Some(value) => drop(self.rare().notes.insert(Arc::clone(&action.name), value)),
                None => drop(self.rare().notes.remove(&*action.name)),
            },
            Kind::Listener => {
                let Some(listener) = &action.value else { return };
                let listeners = &mut self.rare().listeners;
                listeners.retain(|known| known != listener);
                if !action.remove {
                    listeners.push(listener.clone());
                }
            }
        }
    }

    /// Bytes of its attributes.
    pub fn size(&self) -> usize {
        self.attributes.iter().map(|(name, value)| name.len() + value.size()).sum()
    }
}

//! `DeltaRequest`: what happened to a session since the cluster heard of it.

use std::sync::Arc;

use crate::codec::java::{Carrier, Error, Groups, Item, Limits, Reader, Value, Writer};

/// What an action changes: Tomcat's numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// An attribute.
    Attribute = 0,
    /// Who logged in.
    Principal = 1,
    /// Whether the client knows the session.
    New = 2,
    /// How long it may be idle.
    MaxInterval = 3,
    /// How somebody logged in.
    AuthType = 4,
    /// A listener.
    Listener = 5,
    /// A note.
    Note = 6,
}

impl Kind {
    fn from_number(number: i32) -> Option<Self> {
        Some(match number {
            0 => Self::Attribute,
            1 => Self::Principal,
            2 => Self::New,
            3 => Self::MaxInterval,
            4 => Self::AuthType,
            5 => Self::Listener,
            6 => Self::Note,
            _ => return None,
        })
    }

    /// The name that actions of this kind have, where they have no name of their own.
    pub fn fixed_name(self) -> Option<&'static str> {
        match self {
            Self::Principal => Some("__SET__PRINCIPAL__"),
            Self::New => Some("__SET__ISNEW__"),
            Self::MaxInterval => Some("__SET__MAXINTERVAL__"),
            Self::AuthType => Some("__SET__AUTHTYPE__"),
            Self::Listener => Some("__SET__LISTENER__"),
            Self::Attribute | Self::Note => None,
        }
    }
}

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// What it changes.
    pub kind: Kind,
    /// Which; also what makes a later action replace this one.
    pub name: Arc<str>,
    /// It is taken away.
    pub remove: bool,
    /// What it is set to.
    pub value: Option<Value>,
}

impl Action {
    /// An action of a kind with a name of its own.
    pub fn set(kind: Kind, name: &str, value: Value) -> Self {
        Self { kind, name: name.into(), remove: false, value: Some(value) }
    }

    /// Something is taken away.
    pub fn remove(kind: Kind, name: &str) -> Self {
        Self { kind, name: name.into(), remove: true, value: None }
    }

    /// An action of a kind that a session has once.
    pub fn of(kind: Kind, value: Value) -> Self {
        Self::set(kind, kind.fixed_name().unwrap_or_default(), value)
    }
}

/// The changes, in the order in which they are carried out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeltaRequest {
    /// Whether a later action of the same name leaves the earlier one in place.
    pub record_all: bool,
    /// The changes.
    pub actions: Vec<Action>,
}

/// Actions of one request at most: what a peer says has a bound.
const ACTIONS: i32 = 1 << 20;

impl DeltaRequest {
    /// None yet.
    pub fn new(record_all: bool) -> Self {
        Self { record_all, actions: Vec::new() }
    }

    /// Adds a change; what is replaced moves to the end.
    pub fn push(&mut self, action: Action) {
        if !self.record_all {
            self.actions.retain(|known| known.name != action.name);
        }
        self.actions.push(action);
    }

    /// The stream.
    pub fn encode(&self, id: &str) -> Vec<u8> {
        let mut writer = Writer::new();
        let mut groups = Groups::default();
        writer.utf(id);
        writer.bool(self.record_all);
        writer.i32(self.actions.len() as i32);
        for action in &self.actions {
            writer.i32(action.kind as i32);
            writer.i32(i32::from(action.remove));
            writer.utf(&action.name);
            writer.bool(action.value.is_some());
            if let Some(value) = &action.value {
                writer.value(value, &mut groups);
            }
        }
        writer.finish()
    }

    /// What a stream holds: the session's id and its changes. An attribute that cannot be carried is left out
    /// and told to `aside`.
    ///
    /// # Errors
    /// The stream is malformed, or has an action nobody knows.
    pub fn decode(stream: &[u8], mut aside: impl FnMut(&str, Error)) -> Result<(String, Self), Error> {
        let mut reader = Reader::new(stream, Limits::VALUE)?;
        let id = reader.utf()?;
        let record_all = reader.bool()?;
        let count = reader.i32()?;
        if !(0..=ACTIONS).contains(&count) {
            return Err(Error::Length);
        }
        let mut actions = Vec::new();
        let mut items: Vec<(usize, Item)> = Vec::new();
        for _ in 0..count {
            let kind = Kind::from_number(reader.i32()?).ok_or(Error::Class)?;
            let remove = match reader.i32()? {
                0 => false,
                1 => true,
                _ => return Err(Error::Class),
            };
            let name: Arc<str> = reader.utf()?.into();
            if reader.bool()? {
                match reader.object() {
                    Ok(item) => items.push((actions.len(), item)),
                    Err(Error::Aborted) => {
                        aside(&name, Error::Aborted);
                        continue;
                    }
                    Err(error) => return Err(error),
                }
            }
            actions.push(Action { kind, name, remove, value: None });
        }
        reader.finish()?;
        let values: Vec<Item> = items.iter().map(|(_, item)| *item).collect();
        let mut carrier = Carrier::new(stream.len());
        let mut bad = Vec::new();
        for ((at, _), value) in items.iter().zip(carrier.carry_all(reader.graph(), &values)) {
            let Some(action) = actions.get_mut(*at) else { continue };
            match value {
                Ok(value) => action.value = Some(value),
                Err(error) => {
                    aside(&action.name, error);
                    bad.push(*at);
                }
            }
        }
        bad.iter().rev().for_each(|at| drop(actions.remove(*at)));
        Ok((id, Self { record_all, actions }))
    }
}

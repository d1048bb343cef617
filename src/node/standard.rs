//! StandardManager: sessions of an application that is not distributable, in this node's memory only.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::log;
use super::sessions::{Invalid, Manager, Shown, Value, View};

/// Keeps sessions nobody else knows of.
#[derive(Debug)]
pub struct StandardManager {
    max_inactive: i32,
    max_active: Option<usize>,
    sessions: Mutex<HashMap<String, Session>>,
}

#[derive(Debug)]
struct Session {
    new: bool,
    created: i64,
    /// When the request before the last one came, and the last one.
    last: i64,
    this: i64,
    running: u32,
    /// Seconds; zero and below is for ever.
    max_inactive: i32,
    attributes: BTreeMap<String, Value>,
}

impl StandardManager {
    /// A manager whose sessions may be idle so many seconds; zero and below is for ever. There may be so many of them.
    pub fn new(max_inactive: i32, max_active: Option<usize>) -> Self {
        Self { max_inactive, max_active, sessions: Mutex::default() }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, id: &str, act: impl FnOnce(&mut Session) -> T) -> Option<T> {
        let mut all = self.all();
        let session = all.get_mut(id)?;
        if session.expired(now()) {
            all.remove(id);
            return None;
        }
        Some(act(session))
    }
}

impl Session {
    fn expired(&self, now: i64) -> bool {
        self.max_inactive > 0 && self.running == 0 && now - self.this >= i64::from(self.max_inactive) * 1000
    }
}

/// Milliseconds since 1970.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

impl Manager for StandardManager {
    fn begin(&self, id: &str) -> bool {
        self.with(id, |session| {
            session.last = session.this;
            session.this = now();
            session.running += 1;
            session.new = false;
        })
        .is_some()
    }

    fn end(&self, id: &str) {
        self.with(id, |session| {
            session.running = session.running.saturating_sub(1);
            session.this = now();
        });
    }

    fn replicate(&self, _: &str) {}

    fn create(&self, id: &str) -> bool {
        let now = now();
        if let Some(most) = self.max_active {
            let mut all = self.all();
            if all.len() >= most {
                all.retain(|_, session| !session.expired(now));
            }
            if all.len() >= most {
                drop(all);
                let text = "createSession: Too many active sessions";
                log::warning("org.apache.catalina.session.ManagerBase.createSession", text);
                return false;
            }
        }
        let session = Session {
            new: true,
            created: now,
            last: now,
            this: now,
            running: 1,
            max_inactive: self.max_inactive,
            attributes: BTreeMap::new(),
        };
        self.all().insert(id.to_owned(), session);
        true
    }

    fn exists(&self, id: &str) -> bool {
        self.with(id, |_| ()).is_some()
    }

    fn view(&self, id: &str) -> Option<View> {
        self.with(id, |session| View {
            id: id.to_owned(),
            new: session.new,
            created: session.created,
            accessed: session.last,
            max_inactive: session.max_inactive,
            primary: true,
            size: session.attributes.iter().map(|(name, value)| name.len() + value.json().plain().len()).sum(),
            attributes: session
                .attributes
                .iter()
                .map(|(name, value)| Shown { name: name.clone(), class: value.class().to_owned(), value: value.json() })
                .collect(),
        })
    }

    fn set(&self, id: &str, name: &str, value: Value) -> Result<(), Invalid> {
        self.with(id, |session| {
            session.attributes.insert(name.to_owned(), value);
        })
        .ok_or(Invalid)
    }

    fn remove(&self, id: &str, name: &str) -> Result<(), Invalid> {
        self.with(id, |session| {
            session.attributes.remove(name);
        })
        .ok_or(Invalid)
    }

    fn set_max_inactive(&self, id: &str, seconds: i32) -> Result<(), Invalid> {
        self.with(id, |session| session.max_inactive = seconds).ok_or(Invalid)
    }

    fn change_id(&self, id: &str, new: &str) -> Result<(), Invalid> {
        let mut all = self.all();
        let session = all.remove(id).ok_or(Invalid)?;
        all.insert(new.to_owned(), session);
        Ok(())
    }

    fn invalidate(&self, id: &str) -> Result<(), Invalid> {
        self.all().remove(id).map(|_| ()).ok_or(Invalid)
    }

    fn ids(&self) -> Vec<String> {
        self.all().keys().cloned().collect()
    }

    fn background(&self) {
        let now = now();
        self.all().retain(|_, session| !session.expired(now));
    }

    fn is_primary(&self, _: &str) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_lives_until_it_is_idle_too_long() {
        let manager = StandardManager::new(1, Some(1));
        assert!(manager.create("A") && !manager.create("X"));
        assert!(manager.view("A").is_some_and(|view| view.new));
        manager.set("A", "k", Value::Int(5)).unwrap();
        manager.end("A");
        assert!(manager.begin("A"));
        assert!(manager.view("A").is_some_and(|view| !view.new && view.attributes.len() == 1));
        manager.change_id("A", "B").unwrap();
        assert!(!manager.exists("A"));
        // As if the last request were long over; while one runs nothing expires.
        manager.all().get_mut("B").unwrap().this -= 5000;
        manager.background();
        assert!(manager.exists("B"));
        manager.all().get_mut("B").unwrap().running = 0;
        manager.background();
        assert_eq!(manager.ids(), [""; 0]);
        assert_eq!(manager.set("B", "k", Value::Flag(true)), Err(Invalid));
    }
}

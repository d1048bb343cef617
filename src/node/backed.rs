//! The manager of an application whose sessions are on two nodes each: `backup` behind what applications see.

use std::sync::Arc;

use super::backup::{BackupManager, Found, MapConfig, Role};
use super::components::Component;
use super::delta::Outgoing;
use super::log;
use super::replicated::{Outlet, java, view};
use super::sessions::{Invalid, Manager, Value, View};
use super::standard::now;

/// How often a session is asked for: whoever has it may die, or give it away meanwhile.
const ATTEMPTS: usize = 4;

/// The sessions of an application that are on a primary node and its backup.
#[derive(Debug)]
pub struct Backed {
    manager: Arc<BackupManager>,
    outlet: Arc<Outlet>,
}

impl Backed {
    /// A manager whose messages leave through `outlet`.
    pub fn new(manager: Arc<BackupManager>, outlet: Arc<Outlet>) -> Self {
        Self { manager, outlet }
    }

    fn tell<T>(&self, act: impl FnOnce(&BackupManager, &mut Vec<Outgoing>) -> T) -> T {
        let mut out = Vec::new();
        let done = act(&self.manager, &mut out);
        if !out.is_empty() {
            self.outlet.send(out);
        }
        done
    }

    /// Brings a session here, from another node if need be.
    fn fetch(&self, id: &str) -> bool {
        for _ in 0..ATTEMPTS {
            match self.tell(|manager, out| manager.find(id, now(), out)) {
                Found::Here => return true,
                Found::No => return false,
                Found::Asked => {
                    if !self.manager.wait(id) {
                        return false;
                    }
                }
            }
        }
        false
    }
}

impl Manager for Backed {
    fn begin(&self, id: &str) -> bool {
        self.fetch(id) && self.manager.begin(id, now())
    }

    fn end(&self, id: &str) {
        self.manager.end(id, now());
    }

    fn replicate(&self, id: &str) {
        self.tell(|manager, out| manager.replicate(id, now(), out));
    }

    fn create(&self, id: &str) {
        if let Err(error) = self.tell(|manager, out| manager.create(id, now(), out)) {
            log::warning("org.apache.catalina.session.ManagerBase.createSession", &error.to_string());
        }
    }

    fn exists(&self, id: &str) -> bool {
        self.tell(|manager, out| manager.exists(id, now(), out))
    }

    fn view(&self, id: &str) -> Option<View> {
        self.manager.with(id, view)
    }

    fn set(&self, id: &str, name: &str, value: Value) -> Result<(), Invalid> {
        self.manager.set_attribute(id, name, java(&value)).map_err(|_| Invalid)
    }

    fn remove(&self, id: &str, name: &str) -> Result<(), Invalid> {
        self.manager.remove_attribute(id, name).map_err(|_| Invalid)
    }

    fn change_id(&self, id: &str, new: &str) -> Result<(), Invalid> {
        if !self.fetch(id) {
            return Err(Invalid);
        }
        self.tell(|manager, out| manager.change_id(id, new, out)).map_err(|_| Invalid)
    }

    fn invalidate(&self, id: &str) -> Result<(), Invalid> {
        self.tell(|manager, out| manager.invalidate(id, out)).map_err(|_| Invalid)
    }

    fn ids(&self) -> Vec<String> {
        self.manager.ids().iter().map(ToString::to_string).collect()
    }

    fn background(&self) {
        self.tell(|manager, out| manager.sweep(now(), out));
    }

    fn is_primary(&self, id: &str) -> bool {
        self.manager.role(id) == Some(Role::Primary)
    }
}

/// What a BackupManager element says of its map.
pub fn map_settings(element: &Component) -> MapConfig {
    MapConfig {
        options: element.options("mapSendOptions"),
        rpc_timeout: element.number("rpcTimeout"),
        access_timeout: element.number("accessTimeout"),
    }
}

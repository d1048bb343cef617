//! The two cluster managers as keepers of an application's sessions, and what their elements say.

use std::sync::Arc;

use super::backup::{BackupManager, Found, MapConfig, Role};
use super::components::Component;
use super::delta::{Config, DeltaManager, Ended, Outgoing, TooMany};
use super::replicated::{Keeper, view};
use super::sessions::View;
use crate::codec::java::Value;

impl Keeper for DeltaManager {
    /// Nobody has what is not here.
    fn find(&self, _id: &str, _now: i64, _out: &mut Vec<Outgoing>) -> Found {
        Found::Here
    }

    fn wait(&self, _id: &str) -> bool {
        false
    }

    fn begin(&self, id: &str, now: i64, out: &mut Vec<Outgoing>) -> bool {
        self.begin(id, now, out)
    }

    fn end(&self, id: &str, now: i64, out: &mut Vec<Outgoing>) {
        self.end(id, now, out);
    }

    fn replicate(&self, id: &str, now: i64, out: &mut Vec<Outgoing>) {
        self.replicate(id, now, out);
    }

    fn create(&self, id: &str, now: i64, _out: &mut Vec<Outgoing>) -> Result<(), TooMany> {
        self.create(id, now)
    }

    fn exists(&self, id: &str, now: i64, out: &mut Vec<Outgoing>) -> bool {
        self.exists(id, now, out)
    }

    fn view(&self, id: &str) -> Option<View> {
        self.with(id, view)
    }

    fn set(&self, id: &str, name: &str, value: Value) -> Result<(), Ended> {
        self.set_attribute(id, name, value)
    }

    fn remove(&self, id: &str, name: &str) -> Result<(), Ended> {
        self.remove_attribute(id, name)
    }

    fn set_max_inactive(&self, id: &str, seconds: i32) -> Result<(), Ended> {
        self.set_max_inactive(id, seconds)
    }

    fn change_id(&self, id: &str, new: &str, now: i64, out: &mut Vec<Outgoing>) -> Result<(), Ended> {
        self.change_id(id, new, now, out)
    }

    fn invalidate(&self, id: &str, now: i64, out: &mut Vec<Outgoing>) -> Result<(), Ended> {
        self.invalidate(id, now, out)
    }

    fn ids(&self) -> Vec<Arc<str>> {
        self.store().ids(|session| session.valid)
    }

    fn sweep(&self, now: i64, out: &mut Vec<Outgoing>) {
        self.sweep(now, out);
    }

    fn is_primary(&self, id: &str) -> bool {
        self.with(id, |session| session.primary).unwrap_or(false)
    }
}

impl Keeper for BackupManager {
    fn find(&self, id: &str, now: i64, out: &mut Vec<Outgoing>) -> Found {
        self.find(id, now, out)
    }

    fn wait(&self, id: &str) -> bool {
        self.wait(id)
    }

    fn begin(&self, id: &str, now: i64, _out: &mut Vec<Outgoing>) -> bool {
        self.begin(id, now)
    }

    fn end(&self, id: &str, now: i64, _out: &mut Vec<Outgoing>) {
        self.end(id, now);
    }

    fn replicate(&self, id: &str, now: i64, out: &mut Vec<Outgoing>) {
        self.replicate(id, now, out);
    }

    fn create(&self, id: &str, now: i64, out: &mut Vec<Outgoing>) -> Result<(), TooMany> {
        self.create(id, now, out)
    }

    fn exists(&self, id: &str, now: i64, out: &mut Vec<Outgoing>) -> bool {
        self.exists(id, now, out)
    }

    fn view(&self, id: &str) -> Option<View> {
        self.with(id, view)
    }

    fn set(&self, id: &str, name: &str, value: Value) -> Result<(), Ended> {
        self.set_attribute(id, name, value)
    }

    fn remove(&self, id: &str, name: &str) -> Result<(), Ended> {
        self.remove_attribute(id, name)
    }

    fn set_max_inactive(&self, id: &str, seconds: i32) -> Result<(), Ended> {
        self.set_max_inactive(id, seconds)
    }

    fn change_id(&self, id: &str, new: &str, _now: i64, out: &mut Vec<Outgoing>) -> Result<(), Ended> {
        self.change_id(id, new, out)
    }

    fn invalidate(&self, id: &str, _now: i64, out: &mut Vec<Outgoing>) -> Result<(), Ended> {
        self.invalidate(id, out)
    }

    fn ids(&self) -> Vec<Arc<str>> {
        self.ids()
    }

    fn sweep(&self, now: i64, out: &mut Vec<Outgoing>) {
        self.sweep(now, out);
    }

    fn is_primary(&self, id: &str) -> bool {
        self.role(id) == Some(Role::Primary)
    }
}

/// The settings of a cluster manager's element.
///
/// # Errors
/// A filter that is no pattern.
pub fn settings(element: &Component, max_inactive: i32) -> Result<Config, String> {
    let filter = |name| element.text(name).filter(|text| !text.is_empty()).map(Config::filter).transpose();
    Ok(Config {
        max_inactive,
        max_active: i32::try_from(element.number("maxActiveSessions")).unwrap_or(-1),
        expire_on_shutdown: element.flag("expireSessionsOnShutdown"),
        notify_listeners: element.flag("notifyListenersOnReplication"),
        notify_session_listeners: element.flag("notifySessionListenersOnReplication"),
        notify_container_listeners: element.flag("notifyContainerListenersOnReplication"),
        transfer_timeout: element.number("stateTransferTimeout"),
        send_all: element.flag("sendAllSessions"),
        send_size: element.count("sendAllSessionsSize").max(1),
        send_wait: element.number("sendAllSessionsWaitTime"),
        timestamp_drop: element.flag("stateTimestampDrop"),
        record_all: element.flag("recordAllActions"),
        activity_check: element.flag("sessionActivityCheck"),
        access_at_start: element.flag("sessionLastAccessAtStart"),
        name_filter: filter("sessionAttributeNameFilter")?,
        class_filter: filter("sessionAttributeValueClassNameFilter")?,
        warn_filtered: element.flag("warnOnSessionAttributeFilterFailure"),
    })
}

/// What a BackupManager element says of its map.
pub fn map_settings(element: &Component) -> MapConfig {
    MapConfig {
        options: element.options("mapSendOptions"),
        rpc_timeout: element.number("rpcTimeout"),
        access_timeout: element.number("accessTimeout"),
    }
}

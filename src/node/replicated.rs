//! The manager of an application whose sessions are on every node: `delta` behind what applications see.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::components::Component;
use super::delta::{Config, DeltaManager, How, Outgoing, To};
use super::json::Json;
use super::log;
use super::session::Session;
use super::sessions::{Invalid, Manager, Shown, Value, View};
use super::standard::now;
use crate::codec::java::{self, Plain, describe};
use crate::codec::tribes::Options;
use crate::tribes::{self, Channel};

/// A channel with the options of a Cluster element; silent until it is opened.
#[derive(Debug)]
pub struct Outlet {
    channel: OnceLock<Channel>,
    options: Options,
    closed: AtomicBool,
}

impl Outlet {
    /// An outlet that is not open yet.
    pub fn new(options: Options) -> Self {
        Self { channel: OnceLock::new(), options, closed: AtomicBool::new(false) }
    }

    /// Messages go out through this channel from now on.
    pub fn open(&self, channel: Channel) {
        // It is opened once.
        let _ = self.channel.set(channel);
    }

    /// Messages go nowhere from now on.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// The channel, once it is open.
    pub fn channel(&self) -> Option<&Channel> {
        self.channel.get()
    }

    /// Sends messages in order, waiting for those that are to be acknowledged.
    pub fn send(&self, messages: Vec<Outgoing>) {
        let Some(channel) = self.channel.get().filter(|_| !self.closed.load(Ordering::Acquire)) else { return };
        for message in messages {
            let options = match message.how {
                How::Channel => self.options,
                How::With(options) => options,
            };
            let to = match message.to {
                To::All => tribes::To::All,
                To::One(member) => tribes::To::from(member),
            };
            let sending = channel.send(to, message.bytes, options);
            if options.has(Options::ASYNCHRONOUS) || !options.has(Options::USE_ACK) {
                continue;
            }
            if let Err(error) = sending.wait() {
                const SOURCE: &str = "org.apache.catalina.ha.tcp.SimpleTcpCluster.send";
                log::severe(SOURCE, &format!("Unable to send message through cluster sender.\n{error}"));
            }
        }
    }
}

/// The sessions of a replicated application.
#[derive(Debug)]
pub struct Replicated {
    manager: Arc<DeltaManager>,
    outlet: Arc<Outlet>,
}

impl Replicated {
    /// A manager whose messages leave through `outlet`.
    pub fn new(manager: Arc<DeltaManager>, outlet: Arc<Outlet>) -> Self {
        Self { manager, outlet }
    }

    fn tell<T>(&self, act: impl FnOnce(&DeltaManager, &mut Vec<Outgoing>) -> T) -> T {
        let mut out = Vec::new();
        let done = act(&self.manager, &mut out);
        if !out.is_empty() {
            self.outlet.send(out);
        }
        done
    }
}

impl Manager for Replicated {
    fn begin(&self, id: &str) -> bool {
        self.tell(|manager, out| manager.begin(id, now(), out))
    }

    fn end(&self, id: &str) {
        self.manager.end(id, now());
    }

    fn replicate(&self, id: &str) {
        self.tell(|manager, out| manager.replicate(id, now(), out));
    }

    fn create(&self, id: &str) {
        let made = self.tell(|manager, out| manager.create(id, now(), out));
        if let Err(error) = made {
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
        self.tell(|manager, out| manager.change_id(id, new, now(), out)).map_err(|_| Invalid)
    }

    fn invalidate(&self, id: &str) -> Result<(), Invalid> {
        self.tell(|manager, out| manager.invalidate(id, now(), out)).map_err(|_| Invalid)
    }

    fn ids(&self) -> Vec<String> {
        self.manager.store().ids(|session| session.valid).iter().map(ToString::to_string).collect()
    }

    fn background(&self) {
        self.tell(|manager, out| manager.sweep(now(), out));
    }

    fn is_primary(&self, id: &str) -> bool {
        self.manager.with(id, |session| session.primary).unwrap_or(false)
    }
}

/// A session as it is shown.
pub(super) fn view(session: &Session) -> View {
    View {
        id: session.id.to_string(),
        new: session.new,
        created: session.created,
        accessed: session.last,
        max_inactive: session.max_inactive,
        primary: session.primary,
        size: session.size(),
        attributes: session.attributes.iter().map(|(name, value)| shown(name, value)).collect(),
    }
}

/// A value as Java object.
pub(super) fn java(value: &Value) -> java::Value {
    match value {
        Value::Text(text) => java::Value::string(text),
        Value::Int(number) => java::Value::integer(*number),
        Value::Long(number) => java::Value::long(*number),
        Value::Flag(flag) => java::Value::boolean(*flag),
        Value::Double(number) => java::Value::double(*number),
    }
}

fn shown(name: &str, value: &java::Value) -> Shown {
    let name = name.to_owned();
    match describe(value) {
        Ok(described) => Shown { name, class: described.class, value: json(described.value) },
        Err(_) => Shown { name, class: value.class(), value: Json::Null },
    }
}

/// What can be told of a Java value; null stands for an object that is only carried.
fn json(plain: Plain) -> Json {
    match plain {
        Plain::Null | Plain::Opaque => Json::Null,
        Plain::Text(text) => Json::Text(text),
        Plain::Int(number) | Plain::Date(number) => Json::Int(number),
        Plain::Float(number) => Json::Float(number),
        Plain::Bool(flag) => Json::Flag(flag),
        Plain::Bytes(bytes) => Json::List(bytes.iter().map(|byte| Json::Int(i64::from(byte.cast_signed()))).collect()),
        Plain::List(list) => Json::List(list.into_iter().map(json).collect()),
        Plain::Map(pairs) => {
            Json::Object(pairs.into_iter().map(|(key, value)| (json(key).plain(), json(value))).collect())
        }
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

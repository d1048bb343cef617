//! The manager of an application whose sessions other nodes have as well: what applications see of `delta` and
//! `backup`.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::backup::Found;
use super::delta::{Ended, How, Outgoing, To, TooMany};
use super::json::Json;
use super::log;
use super::session::Session;
use super::sessions::{Invalid, Manager, Shown, Value, View};
use super::standard::now;
use crate::codec::java::{self, Plain, describe};
use crate::codec::tribes::Options;
use crate::tribes::{self, Channel, Post};

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
        // Those that are acknowledged, each of which leaves once the one before has arrived.
        let mut turns = Vec::new();
        for message in messages {
            let options = match message.how {
                How::Channel => self.options,
                How::With(options) => options,
            };
            let to = match message.to {
                To::All => tribes::To::All,
                To::One(member) => tribes::To::from(member),
            };
            if !options.has(Options::ASYNCHRONOUS) && options.has(Options::USE_ACK) {
                turns.push(Post { to, message: message.bytes.into(), options });
                continue;
            }
            settle(channel, &mut turns);
            channel.send(to, message.bytes, options);
        }
        settle(channel, &mut turns);
    }
}

/// Sends these, and waits for all of them at once.
fn settle(channel: &Channel, turns: &mut Vec<Post>) {
    if turns.is_empty() {
        return;
    }
    if let Err(error) = channel.send_in_turn(std::mem::take(turns)).wait() {
        const SOURCE: &str = "org.apache.catalina.ha.tcp.SimpleTcpCluster.send";
        log::severe(SOURCE, &format!("Unable to send message through cluster sender.\n{error}"));
    }
}

/// How often a session is asked for: whoever has it may die, or give it away meanwhile.
const ATTEMPTS: usize = 4;

/// Who keeps sessions, here and elsewhere, without sending anything itself: what is for others comes out.
pub trait Keeper: fmt::Debug + Send + Sync {
    /// Where a session is, or who has been asked for it.
    fn find(&self, id: &str, now: i64, out: &mut Vec<Outgoing>) -> Found;
    /// Waits for the answer after [`Found::Asked`]; false if there is none in time.
    fn wait(&self, id: &str) -> bool;
    /// See [`Manager::begin`]; after [`Found::Here`].
    fn begin(&self, id: &str, now: i64, out: &mut Vec<Outgoing>) -> bool;
    /// See [`Manager::end`].
    fn end(&self, id: &str, now: i64, out: &mut Vec<Outgoing>);
    /// See [`Manager::replicate`].
    fn replicate(&self, id: &str, now: i64, out: &mut Vec<Outgoing>);
    /// See [`Manager::create`].
    ///
    /// # Errors
    /// There are too many.
    fn create(&self, id: &str, now: i64, out: &mut Vec<Outgoing>) -> Result<(), TooMany>;
    /// See [`Manager::exists`].
    fn exists(&self, id: &str, now: i64, out: &mut Vec<Outgoing>) -> bool;
    /// See [`Manager::view`].
    fn view(&self, id: &str) -> Option<View>;
    /// Sets an attribute.
    ///
    /// # Errors
    /// There is no such session here.
    fn set(&self, id: &str, name: &str, value: java::Value) -> Result<(), Ended>;
    /// Removes an attribute.
    ///
    /// # Errors
    /// There is no such session here.
    fn remove(&self, id: &str, name: &str) -> Result<(), Ended>;
    /// Sets how many seconds a session may be idle.
    ///
    /// # Errors
    /// There is no such session here.
    fn set_max_inactive(&self, id: &str, seconds: i32) -> Result<(), Ended>;
    /// See [`Manager::change_id`]; after [`Found::Here`].
    ///
    /// # Errors
    /// There is no such session.
    fn change_id(&self, id: &str, new: &str, now: i64, out: &mut Vec<Outgoing>) -> Result<(), Ended>;
    /// See [`Manager::invalidate`].
    ///
    /// # Errors
    /// There is no such session.
    fn invalidate(&self, id: &str, now: i64, out: &mut Vec<Outgoing>) -> Result<(), Ended>;
    /// See [`Manager::ids`].
    fn ids(&self) -> Vec<Arc<str>>;
    /// Ends what was idle too long.
    fn sweep(&self, now: i64, out: &mut Vec<Outgoing>);
    /// See [`Manager::is_primary`].
    fn is_primary(&self, id: &str) -> bool;
}

/// The sessions of a replicated application.
#[derive(Debug)]
pub struct Replicated<K> {
    keeper: Arc<K>,
    outlet: Arc<Outlet>,
}

impl<K: Keeper> Replicated<K> {
    /// A manager whose messages leave through `outlet`.
    pub fn new(keeper: Arc<K>, outlet: Arc<Outlet>) -> Self {
        Self { keeper, outlet }
    }

    fn tell<T>(&self, act: impl FnOnce(&K, &mut Vec<Outgoing>) -> T) -> T {
        let mut out = Vec::new();
        let done = act(&self.keeper, &mut out);
        if !out.is_empty() {
            self.outlet.send(out);
        }
        done
    }

    /// Brings a session here, from another node if need be.
    fn fetch(&self, id: &str) -> bool {
        for _ in 0..ATTEMPTS {
            match self.tell(|keeper, out| keeper.find(id, now(), out)) {
                Found::Here => return true,
                Found::No => return false,
                Found::Asked => {
                    if !self.keeper.wait(id) {
                        return false;
                    }
                }
            }
        }
        false
    }
}

impl<K: Keeper> Manager for Replicated<K> {
    fn begin(&self, id: &str) -> bool {
        self.fetch(id) && self.tell(|keeper, out| keeper.begin(id, now(), out))
    }

    fn end(&self, id: &str) {
        self.tell(|keeper, out| keeper.end(id, now(), out));
    }

    fn replicate(&self, id: &str) {
        self.tell(|keeper, out| keeper.replicate(id, now(), out));
    }

    fn create(&self, id: &str) -> bool {
        let made = self.tell(|keeper, out| keeper.create(id, now(), out));
        if let Err(error) = &made {
            log::warning("org.apache.catalina.session.ManagerBase.createSession", &error.to_string());
        }
        made.is_ok()
    }

    fn exists(&self, id: &str) -> bool {
        self.tell(|keeper, out| keeper.exists(id, now(), out))
    }

    fn view(&self, id: &str) -> Option<View> {
        self.keeper.view(id)
    }

    fn set(&self, id: &str, name: &str, value: Value) -> Result<(), Invalid> {
        self.keeper.set(id, name, java(&value)).map_err(|_| Invalid)
    }

    fn remove(&self, id: &str, name: &str) -> Result<(), Invalid> {
        self.keeper.remove(id, name).map_err(|_| Invalid)
    }

    fn set_max_inactive(&self, id: &str, seconds: i32) -> Result<(), Invalid> {
        self.keeper.set_max_inactive(id, seconds).map_err(|_| Invalid)
    }

    fn change_id(&self, id: &str, new: &str) -> Result<(), Invalid> {
        if !self.fetch(id) {
            return Err(Invalid);
        }
        self.tell(|keeper, out| keeper.change_id(id, new, now(), out)).map_err(|_| Invalid)
    }

    fn invalidate(&self, id: &str) -> Result<(), Invalid> {
        self.tell(|keeper, out| keeper.invalidate(id, now(), out)).map_err(|_| Invalid)
    }

    fn ids(&self) -> Vec<String> {
        self.keeper.ids().iter().map(ToString::to_string).collect()
    }

    fn background(&self) {
        self.tell(|keeper, out| keeper.sweep(now(), out));
    }

    fn is_primary(&self, id: &str) -> bool {
        self.keeper.is_primary(id)
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
fn java(value: &Value) -> java::Value {
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

//! What an application holds: the channel, its events, messages in and outcomes out.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::{mpsc as events, oneshot};

use super::config::Config;
use super::reactor::Reactor;
use super::stack::{Failed, Incoming};
use super::{Level, Member, Options, UniqueId};

/// A member of the group. Clones are the same member.
#[derive(Clone, Debug)]
pub struct Channel {
    shared: Arc<Shared>,
}

/// Whom a message goes to.
#[derive(Clone, Debug)]
pub enum To {
    /// Every member there is.
    All,
    /// These.
    Members(Arc<[Member]>),
}

impl To {
    /// The members that are named.
    pub(super) fn members(&self) -> Option<&Arc<[Member]>> {
        match self {
            Self::All => None,
            Self::Members(members) => Some(members),
        }
    }
}

impl From<Member> for To {
    fn from(member: Member) -> Self {
        Self::Members([member].into())
    }
}

impl From<Arc<[Member]>> for To {
    fn from(members: Arc<[Member]>) -> Self {
        Self::Members(members)
    }
}

/// A message, and whom it goes to.
#[derive(Clone, Debug)]
pub struct Post {
    /// Whom it goes to.
    pub to: To,
    /// A Java object stream, or anything with [`Options::BYTE_MESSAGE`].
    pub message: Bytes,
    /// How it is sent.
    pub options: Options,
}

/// What happens in the group.
#[derive(Debug)]
pub enum Event {
    /// Members had time to make themselves known; comes once.
    Established,
    /// There is a new member.
    MemberAdded(Member),
    /// A member has left, or died.
    MemberDisappeared(Member),
    /// Somebody sent something.
    Message(Message),
    /// The channel's heartbeat, every `heartbeatSleeptime`.
    Heartbeat,
    /// The channel is closed; nothing follows.
    Stopped,
}

/// A message of another member.
///
/// With [`Options::SYNCHRONIZED_ACK`] its sender waits until this value is dropped, which
/// acknowledges it, or [`Message::fail`] is called.
#[derive(Debug)]
pub struct Message {
    /// Who sent it.
    pub from: Member,
    /// How.
    pub options: Options,
    /// Its bytes: a Java object stream, unless [`Options::BYTE_MESSAGE`] is set.
    pub payload: Bytes,
    /// The sender's clock, milliseconds since 1970.
    pub timestamp: i64,
    /// Its identity; the same when it was sent again after an error.
    pub unique_id: UniqueId,
    receipt: Receipt,
}

impl Message {
    /// What its sender waits for, taken over from whoever drops the message.
    pub(super) fn take_receipt(&mut self) -> Option<u64> {
        self.receipt.id.take()
    }

    /// Tells a sender that waits that processing failed.
    pub fn fail(mut self) {
        self.receipt.good = false;
    }
}

/// What has to happen when a message is let go.
#[derive(Debug)]
struct Receipt {
    shared: Arc<Shared>,
    id: Option<u64>,
    bytes: usize,
    good: bool,
}

impl Drop for Receipt {
    fn drop(&mut self) {
        let before = self.shared.waiting.fetch_sub(self.bytes, Ordering::AcqRel);
        let limit = self.shared.backlog;
        if let Some(id) = self.id {
            self.shared.command(Command::Processed(id, self.good));
        } else if before > limit && before - self.bytes <= limit {
            self.shared.wake();
        }
    }
}

/// Deals with short messages where they are read, on the channel's thread; true for one that it has dealt with, which
/// is acknowledged then. All other messages become events, and so does every message while there are events that nobody
/// has dealt with: the order is kept. It has to be quick and must not wait for anybody, as nothing else happens
/// meanwhile.
pub type Quick = Box<dyn FnMut(&Message) -> bool + Send>;

/// The events of a channel, in the order in which they happen. Whoever asks for one has dealt with the one before.
#[derive(Debug)]
pub struct Events {
    queue: events::UnboundedReceiver<Event>,
    shared: Arc<Shared>,
    /// One was taken and may not be dealt with.
    taken: bool,
}

impl Events {
    fn done(&mut self) {
        if std::mem::take(&mut self.taken) {
            self.shared.queued.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// The next one; `None` after [`Event::Stopped`].
    pub async fn next(&mut self) -> Option<Event> {
        self.done();
        let event = self.queue.recv().await;
        self.taken = event.is_some();
        event
    }

    /// The next one if there is any.
    pub fn try_next(&mut self) -> Option<Event> {
        self.done();
        let event = self.queue.try_recv().ok();
        self.taken = event.is_some();
        event
    }

    /// The next one, for a thread without a runtime.
    pub fn blocking_next(&mut self) -> Option<Event> {
        self.done();
        let event = self.queue.blocking_recv();
        self.taken = event.is_some();
        event
    }
}

/// A message was not delivered to everybody.
#[derive(Debug, thiserror::Error)]
#[error("Send failed{}", faulty(.failed))]
pub struct SendError {
    /// Whom it did not reach, and why; the others have it. Empty when the channel is closed.
    pub failed: Vec<Failed>,
}

fn faulty(failed: &[Failed]) -> String {
    let names: Vec<String> = failed.iter().map(|f| format!("{}: {}", f.member.name(), f.cause)).collect();
    if names.is_empty() {
        ", the channel is closed".to_owned()
    } else {
        format!("; Faulty members:{}", names.join("; "))
    }
}

/// The outcome of a message, for who wants to know it; the message is on its way already.
#[derive(Debug)]
pub struct Sending(oneshot::Receiver<Vec<Failed>>);

impl Sending {
    /// Waits until the message has left, or was acknowledged if its options ask for that.
    ///
    /// # Errors
    /// Who did not get it.
    pub async fn outcome(self) -> Result<(), SendError> {
        verdict(self.0.await)
    }

    /// The same for a thread without a runtime.
    ///
    /// # Errors
    /// Who did not get it.
    pub fn wait(self) -> Result<(), SendError> {
        verdict(self.0.blocking_recv())
    }
}

fn verdict(outcome: Result<Vec<Failed>, oneshot::error::RecvError>) -> Result<(), SendError> {
    match outcome {
        Ok(failed) if failed.is_empty() => Ok(()),
        Ok(failed) => Err(SendError { failed }),
        Err(_) => Err(SendError { failed: Vec::new() }),
    }
}

/// Why a channel could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration cannot work.
    #[error("{}", .0.join("; "))]
    Config(Vec<String>),
    /// No port of the receiver's range is free.
    #[error("Unable to bind the receiver to [{address}:{port}] and the {tried} ports after it: {source}")]
    Bind {
        /// Where.
        address: std::net::IpAddr,
        /// The first port.
        port: u16,
        /// How many were tried.
        tried: u16,
        /// What the system said of the last one.
        source: std::io::Error,
    },
    /// `auto` is no address.
    #[error("The address of the local host could not be found: {0}")]
    Auto(std::io::Error),
    /// The multicast group could not be joined.
    #[error("Unable to join the multicast group [{group}]: {source}")]
    Multicast {
        /// Which.
        group: std::net::SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something else of the system.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Where the lines go that Tomcat would log: level, Tomcat's class, text.
pub type Log = Box<dyn FnMut(Level, &'static str, &str) + Send>;

impl Channel {
    /// Binds the receiver, joins the group and starts the channel's thread. Membership is complete
    /// at [`Event::Established`].
    ///
    /// # Errors
    /// A configuration that cannot work, and what the system refuses.
    pub fn open(config: Config, log: Log) -> Result<(Self, Events), OpenError> {
        Self::open_with(config, log, None)
    }

    /// The same, with short messages dealt with where they are read.
    ///
    /// # Errors
    /// See [`Channel::open`].
    pub fn open_with(config: Config, log: Log, quick: Option<Quick>) -> Result<(Self, Events), OpenError> {
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(OpenError::Config(problems));
        }
        let (sender, receiver) = events::unbounded_channel();
        let (commands, queue) = mpsc::channel();
        let backlog = config.limits.backlog;
        let (reactor, waker) = Reactor::new(config, log)?;
        let shared = Arc::new(Shared {
            commands,
            waker,
            woken: AtomicBool::new(false),
            members: ArcSwap::from_pointee(Vec::new().into()),
            local: reactor.local().clone(),
            waiting: AtomicUsize::new(0),
            queued: AtomicUsize::new(0),
            backlog,
        });
        reactor
            .spawn(queue, sender, Arc::clone(&shared), quick)
            .map_err(|source| OpenError::Io { what: "starting the channel's thread", source })?;
        let events = Events { queue: receiver, shared: Arc::clone(&shared), taken: false };
        Ok((Self { shared }, events))
    }

    /// Sends a message. It is on its way even if the outcome is not waited for; who sends much and
    /// never waits has it all in memory when a member is slow. With [`Options::ASYNCHRONOUS`] the
    /// outcome is good as soon as the message is queued, unless the queue is full.
    ///
    /// `message` is a Java object stream, or anything with [`Options::BYTE_MESSAGE`].
    pub fn send(&self, to: impl Into<To>, message: impl Into<Bytes>, options: Options) -> Sending {
        self.send_in_turn(vec![Post { to: to.into(), message: message.into(), options }])
    }

    /// Sends messages one after the other, each once the outcome of the one before is there, whatever it was; members
    /// of our own kind, which keep the order, are not waited for in between. Who waits for the outcome of them all is
    /// woken once.
    pub fn send_in_turn(&self, posts: Vec<Post>) -> Sending {
        let (done, outcome) = oneshot::channel();
        self.shared.command(Command::Send { posts, done });
        Sending(outcome)
    }

    /// The members, without ourselves, the oldest first.
    pub fn members(&self) -> Arc<[Member]> {
        Arc::clone(&self.shared.members.load())
    }

    /// Ourselves, as others know us.
    pub fn local(&self) -> &Member {
        &self.shared.local
    }

    /// Leaves the group in order; [`Event::Stopped`] tells when that is done.
    pub fn stop(&self) {
        self.shared.command(Command::Stop);
    }
}

/// What the application wants of the channel's thread.
#[derive(Debug)]
pub(super) enum Command {
    Send { posts: Vec<Post>, done: oneshot::Sender<Vec<Failed>> },
    Processed(u64, bool),
    Stop,
}

/// What application and channel's thread share.
#[derive(Debug)]
pub(super) struct Shared {
    commands: mpsc::Sender<Command>,
    waker: mio::Waker,
    /// The thread has been woken and has not looked yet.
    woken: AtomicBool,
    pub(super) members: ArcSwap<Arc<[Member]>>,
    local: Member,
    /// Bytes of messages that the application has not let go.
    waiting: AtomicUsize,
    /// Events that the application has not dealt with.
    queued: AtomicUsize,
    backlog: usize,
}

impl Shared {
    fn command(&self, command: Command) {
        // A closed channel drops its commands, and with them what waits for their outcome.
        if self.commands.send(command).is_ok() {
            self.wake();
        }
    }

    fn wake(&self) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            // Fails only when the thread has ended.
            let _ = self.waker.wake();
        }
    }

    /// The thread looks at its commands now.
    pub(super) fn looked(&self) {
        self.woken.store(false, Ordering::Release);
    }

    /// Whether the application has more to process than it should.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > self.backlog
    }

    /// An event waits for the application.
    pub(super) fn queued(&self) {
        self.queued.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether the application has dealt with all events.
    pub(super) fn is_quiet(&self) -> bool {
        self.queued.load(Ordering::Acquire) == 0
    }

    /// A message that is counted until the application lets it go.
    pub(super) fn message(self: &Arc<Self>, incoming: Incoming) -> Message {
        let data = incoming.data;
        let bytes = data.message.len();
        self.waiting.fetch_add(bytes, Ordering::AcqRel);
        Message {
            from: data.source,
            options: data.options,
            payload: data.message,
            timestamp: data.timestamp,
            unique_id: data.unique_id,
            receipt: Receipt { shared: Arc::clone(self), id: incoming.receipt, bytes, good: true },
        }
    }
}

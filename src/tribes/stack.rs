//! The chain of interceptors, and what runs through it.
//!
//! Levels count downwards: 0 is the application, then the interceptors as server.xml names them,
//! and below the last one sender, receiver and membership. An interceptor is told what comes by
//! and says, through its [`Context`], what goes on; nothing is performed while it speaks.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::Level;
use super::core::Action;
use super::random::Random;
use crate::codec::tribes::{ChannelData, Member, Options, UniqueId};

/// The time, in milliseconds: `tick` never goes back, `wall` counts from 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Monotonic.
    pub tick: u64,
    /// The clock that is sent to others.
    pub wall: i64,
}

/// A message on its way out.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Its destinations.
    pub to: Arc<[Member]>,
    /// How it is sent.
    pub options: Options,
    /// When it was made.
    pub timestamp: i64,
    /// Its identity.
    pub unique_id: UniqueId,
    /// Its bytes.
    pub message: Bytes,
    /// Whose outcome it is.
    pub ticket: Ticket,
    /// Those of the same train may follow each other on a connection without waiting for acknowledgements; 0 is none.
    pub train: u64,
}

/// Names an outcome somebody may wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(u64);

impl Ticket {
    /// Nobody waits.
    pub const NOBODY: Self = Self(0);
}

/// A message on its way in.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// What was sent.
    pub data: ChannelData,
    /// What is to be acknowledged once it has been processed.
    pub receipt: Option<u64>,
}

/// One part of a message is out of the sender's hands.
#[derive(Clone, Debug)]
pub struct Report {
    /// Whose.
    pub ticket: Ticket,
    /// Whom it did not reach.
    pub failed: Vec<Failed>,
    /// No other part is on its way.
    pub last: bool,
}

/// A member that a message did not reach.
#[derive(Clone, Debug)]
pub struct Failed {
    /// The member.
    pub member: Member,
    /// Why.
    pub cause: Cause,
}

/// Why a message failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The connection could not be made, or broke.
    Io(io::ErrorKind),
    /// Not connected, written and acknowledged in time.
    Timeout,
    /// No connection of the pool became free in time.
    Pool,
    /// It answered that processing failed.
    FailedAck,
    /// It says it has no such port.
    NoPort,
    /// It is no member any more.
    Gone,
    /// The queue for asynchronous messages is full.
    QueueFull,
    /// It is too long.
    TooLong,
    /// An interceptor could not encode it.
    Encode,
    /// The channel is not open for sending.
    Stopped,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Io(kind) => return write!(f, "{kind}"),
            Self::Timeout => "Operation has timed out",
            Self::Pool => "Sender pool: no connection became free in time",
            Self::FailedAck => "Received a failed ack:org.apache.catalina.tribes.transport.Constants.FAIL_ACK_DATA",
            Self::NoPort => "The member has no such port",
            Self::Gone => "The member has disappeared",
            Self::QueueFull => "Asynchronous queue is full",
            Self::TooLong => "The message is too long",
            Self::Encode => "An interceptor could not encode the message",
            Self::Stopped => "The channel has not been started",
        })
    }
}

/// How a member is tried.
#[derive(Clone, Debug)]
pub struct Probe {
    /// Which question this is; comes back with the answer.
    pub id: u64,
    /// Whom.
    pub member: Member,
    /// For the connection.
    pub connect_timeout: u64,
    /// A message to write; none tries the connection only.
    pub message: Option<(Options, Bytes)>,
    /// How long any byte back is waited for; none does not wait.
    pub read_timeout: Option<u64>,
}

/// What an interceptor does with what comes by. Everything not said here goes on unchanged.
pub trait Interceptor: Send {
    /// Its name in logs: Tomcat's class.
    fn name(&self) -> &'static str;

    /// Runs once, before any message.
    fn start(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }

    /// Runs once, while messages can still be sent.
    fn stop(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }

    /// A message goes down.
    fn send(&mut self, out: Outgoing, cx: &mut Context<'_>) {
        cx.down(out);
    }

    /// A message comes up.
    fn receive(&mut self, message: Incoming, cx: &mut Context<'_>) {
        cx.up(message);
    }

    /// A member appeared below.
    fn added(&mut self, member: Member, cx: &mut Context<'_>) {
        cx.added(member);
    }

    /// A member disappeared below.
    fn gone(&mut self, member: Member, cx: &mut Context<'_>) {
        cx.gone(member);
    }

    /// A message, or a part of one, left or failed.
    fn sent(&mut self, report: Report, cx: &mut Context<'_>) {
        cx.sent(report);
    }

    /// An answer to [`Context::probe`].
    fn probed(&mut self, probe: Probe, alive: bool, cx: &mut Context<'_>) {
        let _ = (probe, alive, cx);
    }

    /// Somebody above wants all members tried now.
    fn check(&mut self, cx: &mut Context<'_>) {
        cx.check();
    }

    /// The channel's heartbeat.
    fn heartbeat(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }

    /// [`Interceptor::deadline`] has passed.
    fn tick(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }

    /// When `tick` is wanted.
    fn deadline(&self) -> Option<u64> {
        None
    }
}

/// What waits to be done, and at which level.
#[derive(Debug)]
pub(super) enum Work {
    Down(usize, Outgoing),
    Up(usize, Incoming),
    Added(usize, Member),
    Gone(usize, Member),
    Sent(usize, Report),
    Probed(usize, Probe, bool),
    Check(usize),
    Probe(usize, Probe),
}

/// What all parts of one member share.
pub(super) struct Bus {
    pub(super) now: Now,
    pub(super) local: Member,
    pub(super) random: Random,
    pub(super) queue: VecDeque<Work>,
    pub(super) actions: Vec<Action>,
    /// The members that each level passes upwards; the last is the membership service's.
    pub(super) views: Vec<Roster>,
    pub(super) tickets: HashMap<Ticket, Parts>,
    /// Something about known members has changed.
    pub(super) refreshed: bool,
    next_ticket: u64,
    next_conn: u64,
}

/// How much of a message is still on its way.
#[derive(Debug, Default)]
pub(super) struct Parts {
    left: usize,
    failed: Vec<Failed>,
}

impl Bus {
    pub(super) fn new(now: Now, local: Member, random: Random, levels: usize) -> Self {
        Self {
            now,
            local,
            random,
            queue: VecDeque::new(),
            actions: Vec::new(),
            views: vec![Roster::default(); levels],
            tickets: HashMap::new(),
            refreshed: false,
            next_ticket: 0,
            next_conn: 0,
        }
    }

    pub(super) fn conn(&mut self) -> u64 {
        self.next_conn += 1;
        self.next_conn
    }

    /// A ticket for one part.
    pub(super) fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.tickets.insert(ticket, Parts { left: 1, failed: Vec::new() });
        ticket
    }

    /// A part is done; its report starts at `level` on its way up.
    pub(super) fn finish(&mut self, level: usize, ticket: Ticket, failed: Vec<Failed>) {
        let mut last = true;
        if let Some(parts) = self.tickets.get_mut(&ticket) {
            parts.left = parts.left.saturating_sub(1);
            parts.failed.extend(failed.iter().cloned());
            last = parts.left == 0;
        }
        self.queue.push_back(Work::Sent(level, Report { ticket, failed, last }));
    }

    /// What a ticket came to, once its last report has arrived at the top.
    pub(super) fn close_ticket(&mut self, ticket: Ticket) -> Vec<Failed> {
        self.tickets.remove(&ticket).map(|parts| parts.failed).unwrap_or_default()
    }

    pub(super) fn message(&mut self, to: Arc<[Member]>, options: Options, message: Bytes, ticket: Ticket) -> Outgoing {
        let unique_id = self.random.unique_id();
        Outgoing { to, options, timestamp: self.now.wall, unique_id, message, ticket, train: 0 }
    }

    pub(super) fn log(&mut self, level: Level, source: &'static str, text: impl Into<String>) {
        self.actions.push(Action::Log(level, source, text.into()));
    }

    /// Whether a member is at that address.
    pub(super) fn knows(&self, host: IpAddr) -> bool {
        self.views.iter().flatten().any(|member| member.host == host)
    }

    /// The members of the membership service.
    pub(super) fn bottom(&self) -> Option<&Roster> {
        self.views.last()
    }
}

/// An interceptor's access to the rest of the member.
pub struct Context<'a> {
    pub(super) bus: &'a mut Bus,
    pub(super) level: usize,
}

impl Context<'_> {
    /// The time.
    pub fn now(&self) -> Now {
        self.bus.now
    }

    /// Ourselves.
    pub fn local(&self) -> &Member {
        &self.bus.local
    }

    /// Random numbers.
    pub fn random(&mut self) -> &mut Random {
        &mut self.bus.random
    }

    /// The members below.
    pub fn below(&self) -> &Roster {
        self.bus.views.get(self.level + 1).unwrap_or(&NOBODY)
    }

    /// The members the application sees.
    pub fn top(&self) -> &Roster {
        self.bus.views.get(1).unwrap_or(&NOBODY)
    }

    /// Sends on.
    pub fn down(&mut self, out: Outgoing) {
        self.bus.queue.push_back(Work::Down(self.level + 1, out));
    }

    /// Says that a message has become `n` more parts.
    pub fn split(&mut self, ticket: Ticket, n: usize) {
        if let Some(parts) = self.bus.tickets.get_mut(&ticket) {
            parts.left += n;
        }
    }

    /// A part is done here, and not sent on.
    pub fn finish(&mut self, ticket: Ticket, failed: Vec<Failed>) {
        self.bus.finish(self.level.saturating_sub(1), ticket, failed);
    }

    /// Fails a message for all its destinations.
    pub fn fail(&mut self, out: &Outgoing, cause: Cause) {
        let failed = out.to.iter().map(|member| Failed { member: member.clone(), cause }).collect();
        self.finish(out.ticket, failed);
    }

    /// A ticket of the interceptor's own.
    pub fn ticket(&mut self) -> Ticket {
        self.bus.ticket()
    }

    /// A message of the interceptor's own, whose outcome nobody waits for.
    pub fn message(&mut self, to: Arc<[Member]>, options: Options, message: Bytes) -> Outgoing {
        self.bus.message(to, options, message, Ticket::NOBODY)
    }

    /// Passes a message on upwards.
    pub fn up(&mut self, message: Incoming) {
        self.bus.queue.push_back(Work::Up(self.level.saturating_sub(1), message));
    }

    /// Tells those above of a member.
    pub fn added(&mut self, member: Member) {
        self.bus.queue.push_back(Work::Added(self.level.saturating_sub(1), member));
    }

    /// Tells those above that a member is gone.
    pub fn gone(&mut self, member: Member) {
        self.bus.queue.push_back(Work::Gone(self.level.saturating_sub(1), member));
    }

    /// Passes a report on upwards.
    pub fn sent(&mut self, report: Report) {
        self.bus.queue.push_back(Work::Sent(self.level.saturating_sub(1), report));
    }

    /// Tries a member; the answer comes to [`Interceptor::probed`].
    pub fn probe(&mut self, probe: Probe) {
        self.bus.queue.push_back(Work::Probe(self.level, probe));
    }

    /// Asks those below to try all members.
    pub fn check(&mut self) {
        self.bus.queue.push_back(Work::Check(self.level + 1));
    }

    /// Writes a line.
    pub fn log(&mut self, level: Level, source: &'static str, text: impl Into<String>) {
        self.bus.log(level, source, text);
    }
}

static NOBODY: Roster = Roster(Vec::new());

/// A set of members.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Roster(Vec<Member>);

impl Roster {
    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Member> {
        self.0.iter()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is known of that member.
    pub fn get(&self, member: &Member) -> Option<&Member> {
        self.0.iter().find(|known| known.same(member))
    }

    /// Whether it is in.
    pub fn contains(&self, member: &Member) -> bool {
        self.get(member).is_some()
    }

    /// Puts it in, or says that it was.
    pub fn insert(&mut self, member: Member) -> bool {
        let new = !self.contains(&member);
        if new {
            self.0.push(member);
        }
        new
    }

    /// Takes it out.
    pub fn remove(&mut self, member: &Member) -> Option<Member> {
        let at = self.0.iter().position(|known| known.same(member))?;
        Some(self.0.remove(at))
    }

    /// Takes over what changed of a member that is in.
    pub fn refresh(&mut self, member: &Member) {
        if let Some(known) = self.0.iter_mut().find(|known| known.same(member)) {
            known.clone_from(member);
        }
    }

    /// The oldest first, as Tomcat lists members.
    pub fn oldest_first(&self) -> Arc<[Member]> {
        let mut members = self.0.clone();
        members.sort_by_key(|member| (std::cmp::Reverse(member.alive), member.unique_id));
        members.into()
    }
}

impl<'a> IntoIterator for &'a Roster {
    type Item = &'a Member;
    type IntoIter = std::slice::Iter<'a, Member>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

//! The one thread of a channel: it owns all sockets and timers, so that heartbeats and failure
//! detection don't depend on what the application is doing.
//!
//! Invariant of edge-triggered readiness: a connection that was reported readable is read until it
//! would block, or stays in `ready` until it has been; who queues bytes puts the connection into
//! `dirty`, and what cannot be written then is written when the connection is reported writable.

mod bind;
mod conns;

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use mio::{Events, Interest, Poll, Token, Waker};
use tokio::sync::{mpsc as events, oneshot};

use super::channel::{Command, Event, Log, OpenError, Post, Quick, Shared, To};
use super::config::{Config, MembershipConfig, start};
use super::core::{Action, Core, Input};
use super::stack::{Failed, Now};
use super::{Level, Member};
pub use bind::multicast_works;
use conns::Conns;

const SOURCE: &str = "org.apache.catalina.tribes.transport.nio.NioReceiver";
const MCAST: &str = "org.apache.catalina.tribes.membership.McastServiceImpl";

const WAKER: Token = Token(0);
const LISTENER: Token = Token(1);
const GROUP: Token = Token(2);
const DATAGRAMS: Token = Token(3);
/// Connections are named from here on.
const CONNS: usize = 16;

/// How long the last messages may take when the channel is stopped.
const FAREWELL: Duration = Duration::from_secs(2);

/// Messages that may be dealt with on this thread, in bytes.
const SHORT: usize = 16 << 10;

/// Commands obeyed before anything else gets its turn.
const COMMANDS: usize = 4096;

/// Datagrams read before anything else gets its turn.
const BURST: usize = 256;

/// A channel's sockets, and what thinks for them.
pub(super) struct Reactor {
    poll: Poll,
    config: Config,
    core: Core,
    log: Log,
    clock: Clock,
    listener: mio::net::TcpListener,
    group: Option<mio::net::UdpSocket>,
    datagrams: Option<mio::net::UdpSocket>,
    conns: Conns,
    waiting: HashMap<u64, Turns>,
    next_request: u64,
    group_errors: u32,
    group_again: Option<u64>,
    /// A datagram socket was not read to its end.
    more: bool,
    scratch: Vec<u8>,
    accept_again: bool,
    more_commands: bool,
    quick: Option<Quick>,
}

/// Messages that follow each other, and who waits for what comes of them.
struct Turns {
    posts: std::vec::IntoIter<Post>,
    /// Messages that are on their way.
    out: usize,
    failed: Vec<Failed>,
    done: oneshot::Sender<Vec<Failed>>,
}

struct Clock(Instant);

impl Clock {
    fn now(&self) -> Now {
        let tick = u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX);
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Now { tick, wall: i64::try_from(wall.as_millis()).unwrap_or(i64::MAX) }
    }
}

impl Reactor {
    /// Binds and joins.
    pub(super) fn new(config: Config, mut log: Log) -> Result<(Self, Waker), OpenError> {
        let failed = |what| move |source| OpenError::Io { what, source };
        let poll = Poll::new().map_err(failed("making a selector"))?;
        let waker = Waker::new(poll.registry(), WAKER).map_err(failed("making a waker"))?;
        let address = bind::address(&config, &mut log)?;
        let mut listener = bind::receiver(address, &config.receiver)?;
        let here = listener.local_addr().map_err(failed("asking for the receiver's address"))?;
        let registry = poll.registry();
        registry.register(&mut listener, LISTENER, Interest::READABLE).map_err(failed("watching the receiver"))?;
        let mut datagrams = bind::datagrams(address, &config.receiver).map_err(failed("binding the UDP port"))?;
        if let Some(socket) = &mut datagrams {
            registry.register(socket, DATAGRAMS, Interest::READABLE).map_err(failed("watching the UDP port"))?;
        }
        let mut group = None;
        if let MembershipConfig::Mcast(mcast) = &config.membership
            && config.start_options & (start::MBR_RX | start::MBR_TX) != 0
        {
            let mut socket = bind::group(mcast, address)?;
            registry.register(&mut socket, GROUP, Interest::READABLE).map_err(failed("watching the group"))?;
            group = Some(socket);
        }
        let (mut seed, mut unique) = ([0; 32], [0; 32]);
        for bytes in [&mut seed, &mut unique] {
            getrandom::fill(bytes).map_err(|error| OpenError::Io {
                what: "random numbers",
                source: io::Error::other(error.to_string()),
            })?;
        }
        let unique_id = super::random::Random::new(unique).unique_id();
        let mut local = Member::new(here.ip(), here.port(), unique_id);
        local.secure_port = config.receiver.secure_port;
        local.udp_port = config.receiver.udp_port;
        log(Level::Info, SOURCE, &format!("Receiver Server Socket bound to:[{here}]"));
        let clock = Clock(Instant::now());
        let core = Core::new(&config, local, seed, clock.now());
        let conns = Conns::new(&config);
        let reactor = Self {
            poll,
            config,
            core,
            log,
            clock,
            listener,
            group,
            datagrams,
            conns,
            waiting: HashMap::new(),
            next_request: 0,
            group_errors: 0,
            group_again: None,
            more: false,
            scratch: vec![0; 65536],
            accept_again: false,
            more_commands: false,
            quick: None,
        };
        Ok((reactor, waker))
    }

    pub(super) fn local(&self) -> &Member {
        self.core.local()
    }

    pub(super) fn spawn(
        mut self,
        commands: mpsc::Receiver<Command>,
        events: events::UnboundedSender<Event>,
        shared: Arc<Shared>,
        quick: Option<Quick>,
    ) -> io::Result<()> {
        self.quick = quick;
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("tribes-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let run = move || self.run(&commands, &events, &shared);
        thread::Builder::new().name(name).spawn(run).map(|_| ())
    }

    fn run(mut self, commands: &mpsc::Receiver<Command>, to: &events::UnboundedSender<Event>, shared: &Arc<Shared>) {
        let mut events = Events::with_capacity(1024);
        self.core.start(self.clock.now());
        self.perform(to, shared);
        let mut stopping: Option<Instant> = None;
        loop {
            if self.poll.poll(&mut events, self.timeout(shared, stopping.is_some())).is_err() {
                // Interrupted; whatever else it is comes back at once and must not spin.
                thread::sleep(Duration::from_millis(1));
            }
            shared.looked();
            if self.commands(commands) && stopping.is_none() {
                stopping = Some(Instant::now() + FAREWELL);
            }
            self.perform(to, shared);
            for event in &events {
                match event.token() {
                    WAKER => {}
                    LISTENER => self.accept_again = true,
                    GROUP | DATAGRAMS => self.more = true,
                    Token(token) => {
                        let conn = (token - CONNS) as u64;
                        self.conns.ready(conn, event, &mut self.core, self.clock.now());
                    }
                }
                self.perform(to, shared);
            }
            if std::mem::take(&mut self.accept_again) {
                self.accept();
            }
            if std::mem::take(&mut self.more) {
                self.read_group();
                self.perform(to, shared);
                self.read_datagrams();
                self.perform(to, shared);
            }
            while !shared.is_full() && self.conns.read_one(&mut self.core, self.clock.now(), &mut self.scratch) {
                self.perform(to, shared);
            }
            let now = self.clock.now();
            if self.core.deadline().is_some_and(|at| at <= now.tick) {
                self.core.tick(now);
            }
            self.rejoin(now);
            self.perform(to, shared);
            self.publish(shared);
            if stopping.is_some_and(|until| self.core.is_idle() || Instant::now() >= until) {
                return self.end(to, shared);
            }
        }
    }

    fn timeout(&self, shared: &Shared, stopping: bool) -> Option<Duration> {
        if self.more || self.more_commands || self.accept_again || (self.conns.has_ready() && !shared.is_full()) {
            return Some(Duration::ZERO);
        }
        let now = self.clock.now().tick;
        let at = [self.core.deadline(), self.group_again].into_iter().flatten().min();
        let wait = at.map(|at| Duration::from_millis(at.saturating_sub(now)));
        if stopping { Some(wait.unwrap_or(FAREWELL).min(FAREWELL)) } else { wait }
    }

    /// What the application wants; whether it wants an end.
    fn commands(&mut self, commands: &mpsc::Receiver<Command>) -> bool {
        let mut stop = false;
        let now = self.clock.now();
        for n in 0..COMMANDS {
            // Whoever sends without a pause must not keep heartbeats from being sent.
            self.more_commands = n + 1 == COMMANDS;
            let Ok(command) = commands.try_recv() else { break };
            match command {
                Command::Send { posts, done } => {
                    self.send(now, Turns { posts: posts.into_iter(), out: 0, failed: Vec::new(), done });
                }
                Command::Processed(receipt, good) => self.core.processed(now, receipt, good),
                Command::Stop => stop = true,
            }
        }
        stop
    }

    /// Sends the next of the messages that follow each other, or all that are left to members that deal with them in
    /// order; or tells what came of them.
    fn send(&mut self, now: Now, mut turns: Turns) {
        let left = turns.posts.len();
        if left == 0 {
            // Who dropped it doesn't want to know.
            let _ = turns.done.send(turns.failed);
            return;
        }
        self.next_request += 1;
        let request = self.next_request;
        let core = &mut self.core;
        let together = left > 1 && turns.posts.as_slice().iter().all(|post| core.in_order(post.to.members()));
        turns.out = if together { left } else { 1 };
        let train = if together { request } else { 0 };
        let posts: Vec<Post> = turns.posts.by_ref().take(turns.out).collect();
        self.waiting.insert(request, turns);
        for Post { to, message, options } in posts {
            let to = match to {
                To::All => None,
                To::Members(members) => Some(members),
            };
            self.core.send(now, to, message, options, request, train);
        }
    }

    /// Does what the core wants done, and what follows from it.
    fn perform(&mut self, to: &events::UnboundedSender<Event>, shared: &Arc<Shared>) {
        loop {
            let actions: Vec<Action> = self.core.actions().collect();
            if actions.is_empty() && !self.conns.flush(&mut self.core, self.clock.now()) {
                return;
            }
            for action in actions {
                self.act(action, to, shared);
            }
        }
    }

    fn act(&mut self, action: Action, to: &events::UnboundedSender<Event>, shared: &Arc<Shared>) {
        let event = match action {
            Action::Connect(conn, addr) => {
                if let Err(error) = self.conns.connect(conn, addr, self.poll.registry()) {
                    self.core.input(self.clock.now(), conn, &Input::Closed(error.kind()));
                }
                return;
            }
            Action::Write(conn, bytes) => return self.conns.write(conn, bytes),
            Action::Close(conn) => return self.conns.close(conn),
            Action::Datagram(to, bytes) => return self.send_datagram(to, &bytes),
            Action::Multicast(bytes) => return self.send_group(&bytes),
            Action::Log(level, source, text) => return (self.log)(level, source, &text),
            Action::Sent(request, failed) => {
                if let Some(mut turns) = self.waiting.remove(&request) {
                    turns.failed.extend(failed);
                    turns.out -= 1;
                    if turns.out > 0 {
                        self.waiting.insert(request, turns);
                    } else {
                        self.send(self.clock.now(), turns);
                    }
                }
                return;
            }
            Action::Deliver(incoming) => {
                let mut message = shared.message(incoming);
                let short = message.payload.len() <= SHORT && shared.is_quiet();
                if let Some(quick) = self.quick.as_mut().filter(|_| short)
                    && quick(&message)
                {
                    if let Some(receipt) = message.take_receipt() {
                        self.core.processed(self.clock.now(), receipt, true);
                    }
                    return;
                }
                Event::Message(message)
            }
            Action::MemberAdded(member) => {
                self.publish(shared);
                Event::MemberAdded(member)
            }
            Action::MemberDisappeared(member) => {
                self.publish(shared);
                Event::MemberDisappeared(member)
            }
            Action::Established => Event::Established,
            Action::Heartbeat => Event::Heartbeat,
        };
        shared.queued();
        // An application that no longer listens has its messages acknowledged by dropping them.
        let _ = to.send(event);
    }

    fn publish(&mut self, shared: &Shared) {
        let members = self.core.members();
        if !Arc::ptr_eq(&members, &shared.members.load()) {
            shared.members.store(Arc::new(members));
        }
    }

    fn accept(&mut self) {
        for _ in 0..BURST {
            match self.listener.accept() {
                Ok((stream, peer)) => {
                    let Some(conn) = self.core.accepted(self.clock.now(), peer) else { continue };
                    if self.conns.accepted(conn, stream, self.poll.registry()).is_err() {
                        self.core.input(self.clock.now(), conn, &Input::Closed(io::ErrorKind::Other));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    (self.log)(Level::Severe, SOURCE, &format!("Unable to accept a connection: {error}"));
                    // Out of descriptors: the next connection or tick tries again.
                    return;
                }
            }
        }
        self.accept_again = true;
    }

    fn read_group(&mut self) {
        for _ in 0..BURST {
            let Some(socket) = &self.group else { return };
            match socket.recv_from(&mut self.scratch) {
                Ok((n, _)) => {
                    let bytes = Bytes::copy_from_slice(self.scratch.get(..n).unwrap_or_default());
                    self.core.multicast(self.clock.now(), &bytes);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => return self.group_failed(&error),
            }
        }
        self.more = true;
    }

    fn read_datagrams(&mut self) {
        for _ in 0..BURST {
            let Some(socket) = &self.datagrams else { return };
            match socket.recv_from(&mut self.scratch) {
                Ok((n, from)) => {
                    let bytes = Bytes::copy_from_slice(self.scratch.get(..n).unwrap_or_default());
                    self.core.datagram(self.clock.now(), from, &bytes);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // An answer that a port is closed belongs to no datagram that came.
                Err(_) => {}
            }
        }
        self.more = true;
    }

    fn send_datagram(&mut self, to: std::net::SocketAddr, bytes: &[u8]) {
        let sent = match &self.datagrams {
            Some(socket) => socket.send_to(bytes, to).map(|_| ()),
            // Without a UDP port of our own an answer could not arrive.
            None => bind::one_datagram(to, bytes),
        };
        if let Err(error) = sent {
            (self.log)(Level::Fine, SOURCE, &format!("Unable to send a datagram to {to}: {error}"));
        }
    }

    fn send_group(&mut self, bytes: &[u8]) {
        let MembershipConfig::Mcast(mcast) = &self.config.membership else { return };
        let to = std::net::SocketAddr::new(mcast.address, mcast.port);
        match self.group.as_ref().map(|socket| socket.send_to(bytes, to)) {
            Some(Ok(_)) => self.group_errors = 0,
            Some(Err(error)) if error.kind() != io::ErrorKind::WouldBlock => self.group_failed(&error),
            _ => {}
        }
    }

    fn group_failed(&mut self, error: &io::Error) {
        let MembershipConfig::Mcast(mcast) = &self.config.membership else { return };
        if self.group_errors == 0 {
            (self.log)(Level::Warning, MCAST, &format!("Unable to send or receive membership: {error}"));
        }
        self.group_errors += 1;
        if mcast.recovery_enabled && self.group_errors >= mcast.recovery_counter && self.group_again.is_none() {
            self.group = None;
            self.group_again = Some(self.clock.now().tick + mcast.recovery_sleep_time);
            (self.log)(Level::Warning, MCAST, "Membership is broken; joining the group anew");
        }
    }

    /// Joins again after errors.
    fn rejoin(&mut self, now: Now) {
        let MembershipConfig::Mcast(mcast) = &self.config.membership else { return };
        if self.group_again.is_none_or(|at| at > now.tick) {
            return;
        }
        let joined = bind::group(mcast, self.core.local().host).map_err(|error| error.to_string()).and_then(|mut s| {
            let registered = self.poll.registry().register(&mut s, GROUP, Interest::READABLE);
            registered.map(|()| s).map_err(|error| error.to_string())
        });
        match joined {
            Ok(socket) => {
                self.group = Some(socket);
                (self.group_errors, self.group_again) = (0, None);
                (self.log)(Level::Info, MCAST, "Membership recovery was successful.");
            }
            Err(error) => {
                self.group_again = Some(now.tick + mcast.recovery_sleep_time);
                (self.log)(Level::Warning, MCAST, &format!("Recovery attempt failed: {error}"));
            }
        }
    }

    /// Leaves the group and closes everything.
    fn end(mut self, to: &events::UnboundedSender<Event>, shared: &Arc<Shared>) {
        self.core.stop(self.clock.now());
        self.perform(to, shared);
        self.publish(shared);
        let _ = to.send(Event::Stopped);
    }
}

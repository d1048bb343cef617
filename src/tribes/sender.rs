//! PooledParallelSender's part: connections to members, messages on them, acknowledgements.
//!
//! An acknowledgement names no message, so a connection has at most one message that waits for
//! one; or several of one train, to a member that deals with them in order. Messages without acknowledgement follow
//! each other on one connection, which keeps their order. Everything on a connection that breaks is sent again on
//! another, as often as `maxRetryAttempts` allows.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::Level;
use super::config::SenderConfig;
use super::core::Action;
use super::stack::{Bus, Cause, Failed, Outgoing, Ticket};
use crate::codec::tribes::{Member, OVERHEAD, Options, Reply, UniqueId, frame, reply, split};

const SOURCE: &str = "org.apache.catalina.tribes.transport.nio.ParallelNioSender";

type Key = (IpAddr, i32, UniqueId);

/// All connections to members.
pub(super) struct Sender {
    config: SenderConfig,
    /// The level below the last interceptor, where reports begin.
    level: usize,
    max_frame: usize,
    peers: HashMap<Key, Peer>,
    links: HashMap<u64, Link>,
    jobs: HashMap<u64, Job>,
    next_job: u64,
    datagrams: VecDeque<Datagram>,
    open: bool,
}

struct Peer {
    member: Member,
    links: Vec<u64>,
    /// Messages that wait for a connection.
    waiting: VecDeque<Part>,
}

struct Link {
    peer: Key,
    connected: bool,
    since: u64,
    /// When bytes were last written: a long message may take long, as long as it goes on.
    progress: u64,
    used: i64,
    queue: VecDeque<Part>,
    submitted: u64,
    written: u64,
    inbox: Vec<u8>,
}

impl Link {
    fn idle(&self) -> bool {
        self.queue.is_empty()
    }

    /// When its first message has taken too long.
    fn deadline(&self, timeout: u64) -> Option<u64> {
        self.queue.front().map(|part| part.deadline.max(self.progress + timeout))
    }

    /// Whether its last message keeps it for itself.
    fn reserved(&self) -> bool {
        self.queue.back().is_some_and(|part| part.ack)
    }

    /// Whether its last message is of this train.
    fn carries(&self, train: u64) -> bool {
        train != 0 && self.queue.back().is_some_and(|part| part.train == train)
    }
}

/// One message to one member.
struct Part {
    job: u64,
    frame: Bytes,
    ack: bool,
    train: u64,
    /// Where its last byte is in what the connection carries.
    end: u64,
    deadline: u64,
    attempt: u32,
}

/// One message to all its members.
struct Job {
    ticket: Ticket,
    left: usize,
    failed: Vec<Failed>,
}

/// A datagram that waits for its acknowledgement.
struct Datagram {
    to: SocketAddr,
    member: Member,
    part: Part,
}

impl Sender {
    pub(super) fn new(config: SenderConfig, level: usize, max_frame: usize, open: bool) -> Self {
        Self {
            config,
            level,
            max_frame,
            peers: HashMap::new(),
            links: HashMap::new(),
            jobs: HashMap::new(),
            next_job: 0,
            datagrams: VecDeque::new(),
            open,
        }
    }

    /// Sends to all destinations.
    pub(super) fn send(&mut self, out: &Outgoing, bus: &mut Bus) {
        if !self.open {
            return fail_all(self.level, out, Cause::Stopped, bus);
        }
        let bytes = encode(out, &bus.local);
        if bytes.len() - OVERHEAD > self.max_frame {
            return fail_all(self.level, out, Cause::TooLong, bus);
        }
        if out.options.has(Options::MULTICAST) {
            bus.actions.push(Action::Multicast(bytes));
            return bus.finish(self.level, out.ticket, Vec::new());
        }
        if out.to.is_empty() {
            return bus.finish(self.level, out.ticket, Vec::new());
        }
        self.next_job += 1;
        let job = self.next_job;
        self.jobs.insert(job, Job { ticket: out.ticket, left: out.to.len(), failed: Vec::new() });
        for member in out.to.iter() {
            let part = Part {
                job,
                frame: bytes.clone(),
                ack: out.options.has(Options::USE_ACK),
                train: out.train,
                end: 0,
                deadline: bus.now.tick + self.config.timeout,
                attempt: 0,
            };
            if out.options.has(Options::UDP) {
                self.by_datagram(member, part, bus);
            } else {
                self.enqueue(member, part, bus);
            }
        }
    }

    /// Puts a message on a connection, makes one for it, or lets it wait; behind those of its train that wait.
    fn enqueue(&mut self, member: &Member, part: Part, bus: &mut Bus) {
        match self.peers.get_mut(&key(member)) {
            Some(peer) if part.train != 0 && peer.waiting.iter().any(|waiting| waiting.train == part.train) => {
                peer.waiting.push_back(Part { deadline: bus.now.tick + self.config.max_wait, ..part });
            }
            _ => self.submit(member, part, bus),
        }
    }

    /// The same, whatever waits.
    fn submit(&mut self, member: &Member, mut part: Part, bus: &mut Bus) {
        let key = key(member);
        let peer = self.peers.entry(key).or_insert_with(|| Peer {
            member: member.clone(),
            links: Vec::new(),
            waiting: VecDeque::new(),
        });
        let links = &self.links;
        let free = |id: &&u64| links.get(*id).is_some_and(|link| if part.ack { link.idle() } else { !link.reserved() });
        let coupled = |id: &&u64| links.get(*id).is_some_and(|link| link.carries(part.train));
        let found = peer.links.iter().find(coupled).or_else(|| peer.links.iter().find(free)).copied();
        let id = match found {
            Some(id) => id,
            None if peer.links.len() < self.config.pool_size => {
                let Some(to) = member.tcp() else { return self.end(part.job, member, Some(Cause::NoPort), bus) };
                let id = bus.conn();
                peer.links.push(id);
                let since = bus.now.tick;
                let link = Link {
                    peer: key,
                    connected: false,
                    since,
                    progress: since,
                    used: 0,
                    queue: VecDeque::new(),
                    submitted: 0,
                    written: 0,
                    inbox: Vec::new(),
                };
                self.links.insert(id, link);
                bus.actions.push(Action::Connect(id, to));
                id
            }
            None => {
                part.deadline = bus.now.tick + self.config.max_wait;
                peer.waiting.push_back(part);
                return;
            }
        };
        if let Some(link) = self.links.get_mut(&id) {
            link.submitted += part.frame.len() as u64;
            link.used += 1;
            part.end = link.submitted;
            if link.connected {
                bus.actions.push(Action::Write(id, part.frame.clone()));
            }
            link.queue.push_back(part);
        }
    }

    fn by_datagram(&mut self, member: &Member, part: Part, bus: &mut Bus) {
        let Some(to) = member.udp() else { return self.end(part.job, member, Some(Cause::NoPort), bus) };
        bus.actions.push(Action::Datagram(to, part.frame.clone()));
        if part.ack {
            self.datagrams.push_back(Datagram { to, member: member.clone(), part });
        } else {
            self.end(part.job, member, None, bus);
        }
    }

    /// A member got the message, or did not.
    fn end(&mut self, job: u64, member: &Member, cause: Option<Cause>, bus: &mut Bus) {
        let Some(all) = self.jobs.get_mut(&job) else { return };
        all.failed.extend(cause.map(|cause| Failed { member: member.clone(), cause }));
        all.left -= 1;
        if all.left == 0
            && let Some(all) = self.jobs.remove(&job)
        {
            bus.finish(self.level, all.ticket, all.failed);
        }
    }

    pub(super) fn owns(&self, id: u64) -> bool {
        self.links.contains_key(&id)
    }

    pub(super) fn connected(&mut self, id: u64, bus: &mut Bus) {
        if let Some(link) = self.links.get_mut(&id) {
            link.connected = true;
            bus.actions.extend(link.queue.iter().map(|part| Action::Write(id, part.frame.clone())));
        }
    }

    /// So many more bytes have been written.
    pub(super) fn wrote(&mut self, id: u64, n: usize, bus: &mut Bus) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.written += n as u64;
        link.progress = bus.now.tick;
        let mut done = Vec::new();
        while let Some(part) = link.queue.pop_front_if(|part| !part.ack && part.end <= link.written) {
            done.push(part.job);
        }
        let key = link.peer;
        self.finished(id, key, done, None, bus);
    }

    fn finished(&mut self, id: u64, key: Key, done: Vec<u64>, cause: Option<Cause>, bus: &mut Bus) {
        if done.is_empty() {
            return;
        }
        if let Some(member) = self.peers.get(&key).map(|peer| peer.member.clone()) {
            done.into_iter().for_each(|job| self.end(job, &member, cause, bus));
        }
        self.rest(id, bus);
        self.next_waiting(key, bus);
    }

    /// Closes a connection that has carried enough.
    fn rest(&mut self, id: u64, bus: &mut Bus) {
        let Some(link) = self.links.get(&id).filter(|link| link.idle()) else { return };
        let (count, time) = (self.config.keep_alive_count, self.config.keep_alive_time);
        let age = i64::try_from(bus.now.tick.saturating_sub(link.since)).unwrap_or(i64::MAX);
        if (count >= 0 && link.used >= count) || (time >= 0 && age >= time) {
            self.unlink(id);
            bus.actions.push(Action::Close(id));
        }
    }

    fn unlink(&mut self, id: u64) -> Option<Link> {
        let link = self.links.remove(&id)?;
        if let Some(peer) = self.peers.get_mut(&link.peer) {
            peer.links.retain(|of| *of != id);
        }
        Some(link)
    }

    /// A connection has become free, or may be made.
    fn next_waiting(&mut self, key: Key, bus: &mut Bus) {
        while let Some(peer) = self.peers.get_mut(&key) {
            let links = &self.links;
            let free = peer.links.len() < self.config.pool_size
                || peer.links.iter().any(|id| links.get(id).is_some_and(|link| link.idle()));
            if !free {
                return;
            }
            let Some(mut part) = peer.waiting.pop_front() else { return };
            let member = peer.member.clone();
            part.deadline = bus.now.tick + self.config.timeout;
            self.submit(&member, part, bus);
        }
    }

    /// Bytes have come back: acknowledgements.
    pub(super) fn read(&mut self, id: u64, bytes: &[u8], bus: &mut Bus) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.inbox.extend_from_slice(bytes);
        let key = link.peer;
        let mut used = 0;
        let (mut done, mut refused, mut bad) = (Vec::new(), Vec::new(), false);
        loop {
            let rest = link.inbox.get(used..).unwrap_or_default();
            match split(rest, 3) {
                Ok(Ok(found)) => {
                    used += found.len;
                    let answer = reply(found.content);
                    let acked = link.queue.pop_front_if(|part| part.ack && part.end <= link.written);
                    match (answer, acked) {
                        (Some(Reply::Fail), Some(part)) if self.config.throw_on_failed_ack => refused.push(part),
                        (_, Some(part)) => done.push(part.job),
                        // Nobody waits for it.
                        (_, None) => {}
                    }
                }
                Ok(Err(_)) => break,
                Err(_) => {
                    bad = true;
                    break;
                }
            }
        }
        link.inbox.drain(..used);
        self.finished(id, key, done, None, bus);
        if let Some(member) = self.peers.get(&key).map(|peer| peer.member.clone()).filter(|_| !refused.is_empty()) {
            for part in refused {
                self.again(&member, part, Cause::FailedAck, bus);
            }
            self.next_waiting(key, bus);
        }
        if bad {
            bus.actions.push(Action::Close(id));
            self.closed(id, io::ErrorKind::InvalidData, bus);
        }
    }

    /// A datagram has come back to the UDP port.
    pub(super) fn datagram(&mut self, from: SocketAddr, bytes: &[u8], bus: &mut Bus) -> bool {
        let Ok(Ok(found)) = split(bytes, 3) else { return false };
        let Some(answer) = reply(found.content) else { return false };
        if let Some(at) = self.datagrams.iter().position(|sent| sent.to == from)
            && let Some(sent) = self.datagrams.remove(at)
        {
            let failed = answer == Reply::Fail && self.config.throw_on_failed_ack;
            self.end(sent.part.job, &sent.member, failed.then_some(Cause::FailedAck), bus);
        }
        true
    }

    /// A connection is no more, or never was.
    pub(super) fn closed(&mut self, id: u64, why: io::ErrorKind, bus: &mut Bus) {
        self.broken(id, Cause::Io(why), bus);
    }

    fn broken(&mut self, id: u64, cause: Cause, bus: &mut Bus) {
        let Some(link) = self.unlink(id) else { return };
        let Some(member) = self.peers.get(&link.peer).map(|peer| peer.member.clone()) else { return };
        let parts: Vec<Part> = link.queue.into();
        if !parts.is_empty() {
            self.close_idle(link.peer, bus);
        }
        for part in parts {
            self.again(&member, part, cause, bus);
        }
        self.next_waiting(link.peer, bus);
    }

    /// What broke one connection may have broken the others unnoticed: messages that are sent again
    /// get new ones.
    fn close_idle(&mut self, key: Key, bus: &mut Bus) {
        let links = self.peers.get(&key).map(|peer| peer.links.clone()).unwrap_or_default();
        for id in links {
            if self.links.get(&id).is_some_and(Link::idle) {
                self.unlink(id);
                bus.actions.push(Action::Close(id));
            }
        }
    }

    /// Sends a message again, or gives it up.
    fn again(&mut self, member: &Member, mut part: Part, cause: Cause, bus: &mut Bus) {
        if part.attempt == 0 && part.attempt < self.config.max_retry_attempts {
            let text =
                format!("Member send is failing for:[{}] ; Setting to suspect and retrying. ({cause})", member.name());
            bus.log(Level::Warning, SOURCE, text);
        }
        if part.attempt < self.config.max_retry_attempts {
            part.attempt += 1;
            part.deadline = bus.now.tick + self.config.timeout;
            self.submit(member, part, bus);
        } else {
            self.end(part.job, member, Some(cause), bus);
        }
    }

    /// A member is gone, and its connections with it.
    pub(super) fn forget(&mut self, member: &Member, bus: &mut Bus) {
        let Some(peer) = self.peers.remove(&key(member)) else { return };
        let mut parts: Vec<Part> = peer.waiting.into();
        for id in peer.links {
            bus.actions.push(Action::Close(id));
            parts.extend(self.links.remove(&id).map(|link| link.queue).unwrap_or_default());
        }
        for part in parts {
            self.end(part.job, member, Some(Cause::Gone), bus);
        }
    }

    /// The channel's heartbeat: idle connections may have lived long enough, and members that were
    /// only spoken to once need not be remembered.
    pub(super) fn heartbeat(&mut self, bus: &mut Bus) {
        let all: Vec<u64> = self.links.keys().copied().collect();
        for id in all {
            self.rest(id, bus);
        }
        let members: HashSet<Key> = bus.views.iter().flat_map(|view| view.iter().map(key)).collect();
        self.peers.retain(|key, peer| !peer.links.is_empty() || !peer.waiting.is_empty() || members.contains(key));
    }

    /// Fails what took too long.
    pub(super) fn tick(&mut self, bus: &mut Bus) {
        let now = bus.now.tick;
        let timeout = self.config.timeout;
        let late = |link: &Link| link.deadline(timeout).is_some_and(|at| at <= now);
        let mut broken: Vec<u64> = self.links.iter().filter(|(_, link)| late(link)).map(|(id, _)| *id).collect();
        broken.sort_unstable();
        for id in broken {
            bus.actions.push(Action::Close(id));
            self.broken(id, Cause::Timeout, bus);
        }
        let mut given_up = Vec::new();
        for peer in self.peers.values_mut() {
            while let Some(part) = peer.waiting.pop_front_if(|part| part.deadline <= now) {
                given_up.push((part.job, peer.member.clone(), Cause::Pool));
            }
        }
        while let Some(sent) = self.datagrams.pop_front_if(|sent| sent.part.deadline <= now) {
            given_up.push((sent.part.job, sent.member, Cause::Timeout));
        }
        given_up.sort_by_key(|(job, ..)| *job);
        for (job, member, cause) in given_up {
            self.end(job, &member, Some(cause), bus);
        }
    }

    pub(super) fn deadline(&self) -> Option<u64> {
        let links = self.links.values().filter_map(|link| link.deadline(self.config.timeout));
        let waiting = self.peers.values().filter_map(|peer| peer.waiting.front());
        let datagrams = self.datagrams.front().map(|sent| &sent.part);
        links.chain(waiting.chain(datagrams).map(|part| part.deadline)).min()
    }

    /// Whether nothing is on its way.
    pub(super) fn is_idle(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Ends all connections; what they carried fails.
    pub(super) fn stop(&mut self, bus: &mut Bus) {
        self.open = false;
        let members: Vec<Member> = self.peers.values().map(|peer| peer.member.clone()).collect();
        for member in members {
            self.forget(&member, bus);
        }
        while let Some(sent) = self.datagrams.pop_front() {
            self.end(sent.part.job, &sent.member, Some(Cause::Stopped), bus);
        }
    }
}

fn key(member: &Member) -> Key {
    (member.host, member.port, member.unique_id)
}

fn fail_all(level: usize, out: &Outgoing, cause: Cause, bus: &mut Bus) {
    let failed = out.to.iter().map(|member| Failed { member: member.clone(), cause }).collect();
    bus.finish(level, out.ticket, failed);
}

/// The frame of a message from us.
pub(super) fn encode(out: &Outgoing, local: &Member) -> Bytes {
    let len = OVERHEAD + 40 + local.encoded_len() + out.message.len();
    let mut bytes = Vec::with_capacity(len);
    frame(&mut bytes, |bytes| {
        let put = crate::codec::tribes::put_data;
        put(bytes, out.options, out.timestamp, &out.unique_id, local, &out.message);
    });
    bytes.into()
}

//! McastService: heartbeats to everybody, and who has been heard.

use std::collections::HashMap;
use std::net::IpAddr;

use super::Level;
use super::config::{Limits, McastConfig, start};
use super::core::Action;
use super::stack::{Bus, Work};
use crate::codec::tribes::{Member, SHUTDOWN, UniqueId};

const SOURCE: &str = "org.apache.catalina.tribes.membership.McastServiceImpl";

/// The membership of a multicast group.
pub(super) struct Mcast {
    config: McastConfig,
    max_members: usize,
    /// Below the last interceptor.
    level: usize,
    started: u64,
    heard: HashMap<(IpAddr, i32, UniqueId), u64>,
    receiving: bool,
    /// When the next heartbeat is due, once we send any.
    next: Option<u64>,
    /// When members had time to answer.
    established: Option<u64>,
    /// When we begin to send.
    begin: Option<u64>,
    full: bool,
    broken: bool,
}

impl Mcast {
    pub(super) fn new(config: McastConfig, limits: &Limits, level: usize) -> Self {
        Self {
            config,
            max_members: limits.members,
            level,
            started: 0,
            heard: HashMap::new(),
            receiving: false,
            next: None,
            established: None,
            begin: None,
            full: false,
            broken: false,
        }
    }

    /// Joins; heartbeats begin when two of their periods have passed, and two later the group is known.
    pub(super) fn start(&mut self, options: i32, bus: &mut Bus) {
        let wait = 2 * self.config.frequency;
        let now = bus.now.tick;
        self.started = now;
        let mut at = now;
        if options & start::MBR_RX != 0 {
            self.receiving = true;
            at += wait;
            self.sleeping(4, bus);
        }
        if options & start::MBR_TX != 0 {
            self.begin = Some(at);
            at += wait;
        }
        self.established = Some(at);
    }

    fn sleeping(&self, level: i32, bus: &mut Bus) {
        let wait = 2 * self.config.frequency;
        let text = format!("Sleeping for [{wait}] milliseconds to establish cluster membership, start level:[{level}]");
        bus.log(Level::Info, SOURCE, text);
    }

    /// A datagram that begins as a member package does.
    pub(super) fn heard(&mut self, bytes: &[u8], bus: &mut Bus) {
        if !self.receiving {
            return;
        }
        let Ok((member, _)) = Member::decode(bytes) else {
            if !std::mem::replace(&mut self.broken, true) {
                bus.log(Level::Warning, SOURCE, "Dropped a membership datagram that cannot be read");
            }
            return;
        };
        if member.same(&bus.local) {
            return;
        }
        let key = (member.host, member.port, member.unique_id);
        if member.is_leaving() {
            if self.heard.remove(&key).is_some() {
                bus.queue.push_back(Work::Gone(self.level, member));
            }
        } else if let Some(last) = self.heard.get_mut(&key) {
            *last = bus.now.tick;
            refresh(member, bus);
        } else if self.heard.len() < self.max_members {
            self.heard.insert(key, bus.now.tick);
            bus.queue.push_back(Work::Added(self.level, member));
        } else if !std::mem::replace(&mut self.full, true) {
            bus.log(Level::Warning, SOURCE, format!("More than {} members; ignoring further ones", self.max_members));
        }
    }

    pub(super) fn tick(&mut self, bus: &mut Bus) -> bool {
        let now = bus.now.tick;
        self.expire(bus);
        if self.begin.is_some_and(|at| at <= now) {
            self.begin = None;
            if self.receiving {
                self.done(4, bus);
            }
            self.sleeping(8, bus);
            self.next = Some(now);
        }
        if self.next.is_some_and(|at| at <= now) {
            self.next = Some(now + self.config.frequency);
            self.announce(bus);
        }
        let ready = self.established.is_some_and(|at| at <= now);
        if ready {
            self.established = None;
            self.done(8, bus);
        }
        ready
    }

    fn done(&self, level: i32, bus: &mut Bus) {
        bus.log(Level::Info, SOURCE, format!("Done sleeping, membership established, start level:[{level}]"));
    }

    fn announce(&self, bus: &mut Bus) {
        bus.local.alive = i64::try_from(bus.now.tick.saturating_sub(self.started)).unwrap_or(i64::MAX);
        let mut bytes = Vec::with_capacity(bus.local.encoded_len());
        bus.local.encode(&mut bytes);
        bus.actions.push(Action::Multicast(bytes.into()));
    }

    fn expire(&mut self, bus: &mut Bus) {
        let (now, limit) = (bus.now.tick, self.config.drop_time);
        let before = self.heard.len();
        self.heard.retain(|_, last| now.saturating_sub(*last) <= limit);
        if self.heard.len() == before {
            return;
        }
        let gone: Vec<Member> = bus
            .bottom()
            .into_iter()
            .flatten()
            .filter(|member| !self.heard.contains_key(&(member.host, member.port, member.unique_id)))
            .cloned()
            .collect();
        bus.queue.extend(gone.into_iter().map(|member| Work::Gone(self.level, member)));
    }

    pub(super) fn deadline(&self) -> Option<u64> {
        let expiry = self.heard.values().min().map(|last| last + self.config.drop_time + 1);
        [self.next, self.begin, self.established, expiry].into_iter().flatten().min()
    }

    /// Says good-bye.
    pub(super) fn stop(&mut self, bus: &mut Bus) {
        if self.next.take().is_some() {
            bus.local.command = SHUTDOWN.to_vec();
            self.announce(bus);
            bus.local.command.clear();
        }
        self.receiving = false;
        self.begin = None;
        self.established = None;
        self.heard.clear();
    }
}

/// Age, payload and command of a known member change everywhere; its domain doesn't, as in Tomcat.
fn refresh(member: Member, bus: &mut Bus) {
    let Some(known) = bus.bottom().and_then(|members| members.get(&member)) else { return };
    if known.alive == member.alive {
        return;
    }
    let domain = known.domain.clone();
    let member = Member { domain, ..member };
    bus.views.iter_mut().for_each(|view| view.refresh(&member));
    bus.refreshed = true;
}

//! StaticMembershipService: a list of members that ask each other whether they are there.

use bytes::Bytes;

use super::config::{StaticServiceConfig, start};
use super::stack::{Bus, Incoming, Probe, Ticket, Work};
use super::{Level, Member, Options, statics};
use crate::codec::tribes::SHUTDOWN;
use crate::codec::tribes::rpc::{Kind, MemberMessage, Notice, Rpc, stream};

const SOURCE: &str = "org.apache.catalina.tribes.membership.StaticMembershipProvider";

/// The membership of a list.
pub(super) struct StaticService {
    config: StaticServiceConfig,
    listed: Vec<Member>,
    rpc_id: Vec<u8>,
    /// Below the last interceptor.
    level: usize,
    /// Who has been heard, and when.
    heard: Vec<(Member, u64)>,
    started: u64,
    running: bool,
    next: Option<u64>,
    established: Option<u64>,
}

impl StaticService {
    pub(super) fn new(config: StaticServiceConfig, channel: &str, local: &Member, level: usize) -> Self {
        let listed = config.members.iter().map(statics::member).filter(|member| !member.same(local)).collect();
        let rpc_id = format!("{channel}-StaticMembership").into_bytes();
        Self {
            config,
            listed,
            rpc_id,
            level,
            heard: Vec::new(),
            started: 0,
            running: false,
            next: None,
            established: None,
        }
    }

    pub(super) fn start(&mut self, options: i32, bus: &mut Bus) {
        let now = bus.now.tick;
        self.started = now;
        self.running = options & (start::MBR_RX | start::MBR_TX) != 0;
        self.established = Some(now + if self.running { self.config.connect_timeout } else { 0 });
        if self.running {
            self.next = self.config.use_thread.then(|| now + self.config.ping_interval.max(1));
            self.ask(Notice::Start, bus);
        }
    }

    pub(super) fn stop(&mut self, bus: &mut Bus) {
        if !std::mem::replace(&mut self.running, false) {
            return;
        }
        self.next = None;
        self.established = None;
        let local = Member { command: SHUTDOWN.to_vec(), ..bus.local.clone() };
        let message = MemberMessage { notice: Notice::Stop, member: local, membership: self.rpc_id.clone() };
        let to: Vec<Member> = self.heard.iter().map(|(member, _)| member.clone()).collect();
        self.send(&to, stream(&message.encode()), Options::NONE, bus);
    }

    /// Asks everybody on the list who takes a connection.
    fn ask(&self, notice: Notice, bus: &mut Bus) {
        let id = if notice == Notice::Start { 1 } else { 3 };
        for member in &self.listed {
            let probe = Probe {
                id,
                member: member.clone(),
                connect_timeout: self.config.connect_timeout,
                message: None,
                read_timeout: None,
            };
            bus.queue.push_back(Work::Probe(self.level + 1, probe));
        }
    }

    /// A listed member takes connections, or doesn't.
    pub(super) fn probed(&mut self, probe: &Probe, alive: bool, bus: &mut Bus) {
        if !alive || !self.running {
            return;
        }
        let notice = if probe.id == 1 { Notice::Start } else { Notice::Ping };
        let message = MemberMessage { notice, member: bus.local.clone(), membership: self.rpc_id.clone() };
        let uuid = bus.random.block();
        let rpc = Rpc { kind: Kind::Request, uuid: &uuid, rpc_id: &self.rpc_id, object: &message.encode() };
        self.send(std::slice::from_ref(&probe.member), rpc.encode(), Options::ASYNCHRONOUS, bus);
    }

    fn send(&self, to: &[Member], message: Vec<u8>, options: Options, bus: &mut Bus) {
        if !to.is_empty() {
            let out = bus.message(to.into(), options, Bytes::from(message), Ticket::NOBODY);
            bus.queue.push_back(Work::Down(1, out));
        }
    }

    /// A message at the top; whether it was for us.
    pub(super) fn receive(&mut self, message: &Incoming, bus: &mut Bus) -> bool {
        let bytes = &message.data.message;
        match Rpc::decode(bytes) {
            Ok(Some(rpc)) if rpc.rpc_id == self.rpc_id => {
                let Ok(notice) = MemberMessage::decode(rpc.object) else { return rpc.kind == Kind::NoChannel };
                let MemberMessage { notice, member, membership } = notice;
                self.heed(member, bus);
                if rpc.kind == Kind::Request && self.running {
                    let object = MemberMessage { notice, member: bus.local.clone(), membership }.encode();
                    let answer = Rpc { kind: Kind::Reply, object: &object, ..rpc };
                    let to = [message.data.source.clone()];
                    self.send(&to, answer.encode(), Options::NONE, bus);
                }
                true
            }
            Ok(Some(_)) => false,
            _ => match MemberMessage::decode(bytes) {
                Ok(notice) if notice.membership == self.rpc_id => {
                    if notice.notice == Notice::Stop {
                        self.leave(&notice.member, bus);
                    }
                    true
                }
                _ => false,
            },
        }
    }

    fn heed(&mut self, member: Member, bus: &mut Bus) {
        let now = bus.now.tick;
        if !self.running || !self.listed.iter().any(|listed| listed.same(&member)) {
            return;
        }
        if let Some((known, last)) = self.heard.iter_mut().find(|(known, _)| known.same(&member)) {
            *last = now;
            known.clone_from(&member);
            bus.views.iter_mut().for_each(|view| view.refresh(&member));
            bus.refreshed = true;
        } else {
            self.heard.push((member.clone(), now));
            bus.queue.push_back(Work::Added(self.level, member));
        }
    }

    fn leave(&mut self, member: &Member, bus: &mut Bus) {
        if let Some(at) = self.heard.iter().position(|(known, _)| known.same(member)) {
            let (known, _) = self.heard.remove(at);
            bus.queue.push_back(Work::Gone(self.level, Member { command: SHUTDOWN.to_vec(), ..known }));
        }
    }

    pub(super) fn heartbeat(&mut self, bus: &mut Bus) {
        if self.running && !self.config.use_thread {
            self.ping(bus);
        }
    }

    fn ping(&mut self, bus: &mut Bus) {
        self.announce(bus);
        self.ask(Notice::Ping, bus);
    }

    fn announce(&self, bus: &mut Bus) {
        bus.local.alive = i64::try_from(bus.now.tick.saturating_sub(self.started)).unwrap_or(i64::MAX);
    }

    pub(super) fn tick(&mut self, bus: &mut Bus) -> bool {
        let now = bus.now.tick;
        if self.next.is_some_and(|at| at <= now) {
            self.next = Some(now + self.config.ping_interval.max(1));
            self.ping(bus);
        }
        // A ping's answer takes its time; Tomcat's own limit equals its period and flaps.
        let limit = self.config.expiration_time + self.config.rpc_timeout;
        let (kept, gone): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.heard).into_iter().partition(|(_, last)| now.saturating_sub(*last) <= limit);
        self.heard = kept;
        for (member, _) in gone {
            bus.log(Level::Fine, SOURCE, format!("Member expired [{member}]"));
            bus.queue.push_back(Work::Gone(self.level, member));
        }
        let ready = self.established.is_some_and(|at| at <= now);
        if ready {
            self.established = None;
        }
        ready
    }

    pub(super) fn deadline(&self) -> Option<u64> {
        let limit = self.config.expiration_time + self.config.rpc_timeout;
        let expiry = self.heard.iter().map(|(_, last)| last + limit + 1).min();
        [self.next, self.established, expiry].into_iter().flatten().min()
    }
}

//! One member without sockets and clocks: time and bytes in, [`Action`]s out.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::config::{Config, InterceptorConfig, MembershipConfig, start};
use super::membership::Mcast;
use super::probe::Prober;
use super::random::Random;
use super::receiver::{Receiver, broadcast};
use super::sender::Sender;
use super::service::StaticService;
use super::stack::{Bus, Context, Failed, Incoming, Interceptor, Now, Outgoing, Roster, Ticket, Work};
use super::{Level, Member, Options, detect, encrypt, fragment, gzip, order, shape, statics};
use crate::codec::tribes::is_member;

const SOURCE: &str = "org.apache.catalina.tribes.group.GroupChannel";

/// What a member wants done.
#[derive(Debug)]
pub enum Action {
    /// Make a connection and name it so.
    Connect(u64, SocketAddr),
    /// Write on a connection.
    Write(u64, Bytes),
    /// Write what is left and close.
    Close(u64),
    /// Send to the UDP port of somebody.
    Datagram(SocketAddr, Bytes),
    /// Send to the group.
    Multicast(Bytes),
    /// Give the application a message; [`Core::processed`] answers for its receipt.
    Deliver(Incoming),
    /// Tell the application.
    MemberAdded(Member),
    /// Tell the application.
    MemberDisappeared(Member),
    /// Tell the application.
    Established,
    /// Tell the application.
    Heartbeat,
    /// Tell the application what a [`Core::send`] came to.
    Sent(u64, Vec<Failed>),
    /// Write a line.
    Log(Level, &'static str, String),
}

/// What comes from a connection.
#[derive(Debug)]
pub enum Input<'a> {
    /// It is made.
    Connected,
    /// So many bytes of it have been written.
    Wrote(usize),
    /// These have come.
    Read(&'a [u8]),
    /// It is closed, or could not be made.
    Closed(io::ErrorKind),
}

/// A member of the group.
pub struct Core {
    bus: Bus,
    layers: Vec<Box<dyn Interceptor>>,
    sender: Sender,
    receiver: Receiver,
    prober: Prober,
    membership: Membership,
    requests: HashMap<Ticket, u64>,
    start_options: i32,
    heartbeat_sleeptime: u64,
    next_heartbeat: Option<u64>,
    max_frame: usize,
    /// The receipt of the message that is on its way up.
    receipt: Option<u64>,
    everybody: Option<Arc<[Member]>>,
    running: bool,
}

enum Membership {
    Mcast(Box<Mcast>),
    Static(Box<StaticService>),
}

impl Core {
    /// A member at the address and port of `local`, not started yet.
    pub fn new(config: &Config, mut local: Member, seed: [u8; 32], now: Now) -> Self {
        let bottom = config.interceptors.len() + 1;
        adopt(config, &mut local);
        let layers = config.interceptors.iter().map(|one| interceptor(one, config)).collect();
        let membership = match &config.membership {
            MembershipConfig::Mcast(mcast) => {
                Membership::Mcast(Box::new(Mcast::new(mcast.clone(), &config.limits, bottom - 1)))
            }
            MembershipConfig::Static(service) => {
                Membership::Static(Box::new(StaticService::new(service.clone(), &config.name, &local, bottom - 1)))
            }
        };
        let sending = config.start_options & start::SND_TX != 0;
        Self {
            bus: Bus::new(now, local, Random::new(seed), bottom + 1),
            layers,
            sender: Sender::new(config.sender.clone(), bottom - 1, config.limits.frame, sending),
            receiver: Receiver::new(config.limits.clone()),
            prober: Prober::default(),
            membership,
            requests: HashMap::new(),
            start_options: config.start_options,
            heartbeat_sleeptime: if config.heartbeat { config.heartbeat_sleeptime } else { u64::MAX },
            next_heartbeat: None,
            max_frame: config.limits.stranger_frame,
            receipt: None,
            everybody: None,
            running: false,
        }
    }

    /// Ourselves, as others know us.
    pub fn local(&self) -> &Member {
        &self.bus.local
    }

    /// The members the application sees, the oldest first.
    pub fn members(&mut self) -> Arc<[Member]> {
        if std::mem::take(&mut self.bus.refreshed) {
            self.everybody = None;
        }
        let views = &self.bus.views;
        let list = || views.get(1).map(Roster::oldest_first).unwrap_or_default();
        Arc::clone(self.everybody.get_or_insert_with(list))
    }

    /// What is to be done now.
    pub fn actions(&mut self) -> std::vec::Drain<'_, Action> {
        self.bus.actions.drain(..)
    }

    /// Joins the group.
    pub fn start(&mut self, now: Now) {
        self.bus.now = now;
        self.running = true;
        for level in 1..=self.layers.len() {
            self.layer(level, |layer, cx| layer.start(cx));
        }
        match &mut self.membership {
            Membership::Mcast(mcast) => mcast.start(self.start_options, &mut self.bus),
            Membership::Static(service) => service.start(self.start_options, &mut self.bus),
        }
        if self.heartbeat_sleeptime != u64::MAX {
            self.next_heartbeat = Some(now.tick + self.heartbeat_sleeptime);
        }
        self.run();
    }

    /// Says good-bye and closes everything. Nothing may follow but [`Core::actions`].
    pub fn stop(&mut self, now: Now) {
        self.bus.now = now;
        for level in 1..=self.layers.len() {
            self.layer(level, |layer, cx| layer.stop(cx));
        }
        match &mut self.membership {
            Membership::Mcast(mcast) => mcast.stop(&mut self.bus),
            Membership::Static(service) => service.stop(&mut self.bus),
        }
        self.run();
        self.running = false;
        self.next_heartbeat = None;
        self.prober.stop(&mut self.bus);
        self.sender.stop(&mut self.bus);
        self.run();
        self.receiver.stop(&mut self.bus);
    }

    /// Whether these members, or all, deal with what comes on a connection one after the other. A Tomcat gives each
    /// message that it has read to whichever of its threads is free.
    pub fn in_order(&mut self, to: Option<&Arc<[Member]>>) -> bool {
        let to = to.map_or_else(|| self.members(), Arc::clone);
        to.iter().all(|member| member.payload == IN_ORDER)
    }

    /// Sends a message; [`Action::Sent`] tells under `request` what came of it. Those of a `train` that is not 0 follow
    /// each other without waiting for acknowledgements, to members that are [in order](Self::in_order).
    pub fn send(
        &mut self,
        now: Now,
        to: Option<Arc<[Member]>>,
        message: Bytes,
        options: Options,
        request: u64,
        train: u64,
    ) {
        self.bus.now = now;
        let to = to.unwrap_or_else(|| self.members());
        let ticket = self.bus.ticket();
        self.requests.insert(ticket, request);
        let out = Outgoing { train, ..self.bus.message(to, options, message, ticket) };
        self.bus.queue.push_back(Work::Down(1, out));
        self.run();
    }

    /// The application has processed a message it owed an acknowledgement for.
    pub fn processed(&mut self, now: Now, receipt: u64, good: bool) {
        self.bus.now = now;
        self.receiver.processed(receipt, good, &mut self.bus);
    }

    /// Somebody connected to us; the connection's name, unless it is to be closed.
    pub fn accepted(&mut self, now: Now, peer: SocketAddr) -> Option<u64> {
        self.bus.now = now;
        if !self.running || self.start_options & start::SND_RX == 0 {
            return None;
        }
        self.receiver.accepted(peer, &mut self.bus)
    }

    /// Something has happened to a connection.
    pub fn input(&mut self, now: Now, conn: u64, input: &Input<'_>) {
        self.bus.now = now;
        let bus = &mut self.bus;
        if self.receiver.owns(conn) {
            match input {
                Input::Read(bytes) => {
                    let mut messages = Vec::new();
                    self.receiver.read(conn, bytes, bus, &mut |message, _| messages.push(message));
                    messages.into_iter().for_each(|message| self.incoming(message));
                }
                Input::Closed(_) => self.receiver.closed(conn),
                Input::Connected | Input::Wrote(_) => {}
            }
        } else if self.sender.owns(conn) {
            match input {
                Input::Connected => self.sender.connected(conn, bus),
                Input::Wrote(n) => self.sender.wrote(conn, *n, bus),
                Input::Read(bytes) => self.sender.read(conn, bytes, bus),
                Input::Closed(why) => self.sender.closed(conn, *why, bus),
            }
        } else if self.prober.owns(conn) {
            match input {
                Input::Connected => self.prober.connected(conn, bus),
                Input::Wrote(n) => self.prober.wrote(conn, *n, bus),
                Input::Read(_) => self.prober.read(conn, bus),
                Input::Closed(_) => self.prober.closed(conn, bus),
            }
        }
        self.run();
    }

    /// A datagram has come from the group.
    pub fn multicast(&mut self, now: Now, bytes: &Bytes) {
        self.bus.now = now;
        if is_member(bytes) {
            if let Membership::Mcast(mcast) = &mut self.membership {
                mcast.heard(bytes, &mut self.bus);
            }
        } else {
            let mut messages = Vec::new();
            broadcast(bytes, self.max_frame, &mut self.bus, &mut |message, _| messages.push(message));
            messages.into_iter().for_each(|message| self.incoming(message));
        }
        self.run();
    }

    /// A datagram has come to the UDP port.
    pub fn datagram(&mut self, now: Now, from: SocketAddr, bytes: &Bytes) {
        self.bus.now = now;
        if !self.sender.datagram(from, bytes, &mut self.bus) {
            let mut messages = Vec::new();
            self.receiver.datagram(from, bytes, &mut self.bus, &mut |message, _| messages.push(message));
            messages.into_iter().for_each(|message| self.incoming(message));
        }
        self.run();
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now) {
        self.bus.now = now;
        self.sender.tick(&mut self.bus);
        self.receiver.tick(&mut self.bus);
        self.prober.tick(&mut self.bus);
        let ready = match &mut self.membership {
            Membership::Mcast(mcast) => mcast.tick(&mut self.bus),
            Membership::Static(service) => service.tick(&mut self.bus),
        };
        self.run();
        if ready {
            self.bus.actions.push(Action::Established);
        }
        for level in 1..=self.layers.len() {
            let due = |layer: &dyn Interceptor| layer.deadline().is_some_and(|at| at <= now.tick);
            if self.layers.get(level - 1).is_some_and(|layer| due(layer.as_ref())) {
                self.layer(level, |layer, cx| layer.tick(cx));
            }
        }
        if self.next_heartbeat.is_some_and(|at| at <= now.tick) {
            self.next_heartbeat = Some(now.tick + self.heartbeat_sleeptime);
            self.heartbeat();
        }
        self.run();
    }

    /// The channel's heartbeat; the channel calls it by itself unless configured otherwise.
    pub fn heartbeat(&mut self) {
        for level in 1..=self.layers.len() {
            self.layer(level, |layer, cx| layer.heartbeat(cx));
        }
        self.sender.heartbeat(&mut self.bus);
        self.receiver.heartbeat(&mut self.bus);
        if let Membership::Static(service) = &mut self.membership {
            service.heartbeat(&mut self.bus);
        }
        self.bus.actions.push(Action::Heartbeat);
        self.run();
    }

    /// When [`Core::tick`] is wanted.
    pub fn deadline(&self) -> Option<u64> {
        let membership = match &self.membership {
            Membership::Mcast(mcast) => mcast.deadline(),
            Membership::Static(service) => service.deadline(),
        };
        let layers = self.layers.iter().filter_map(|layer| layer.deadline()).min();
        let transport = [self.sender.deadline(), self.receiver.deadline(), self.prober.deadline()];
        let rest = [self.next_heartbeat, membership, layers];
        transport.into_iter().chain(rest).flatten().min()
    }

    /// Whether no message is on its way out.
    pub fn is_idle(&self) -> bool {
        self.sender.is_idle()
    }

    /// A message has arrived. What the application is not given has been processed when it got nowhere.
    fn incoming(&mut self, message: Incoming) {
        let receipt = message.receipt;
        self.receipt = receipt;
        self.bus.queue.push_back(Work::Up(self.layers.len(), message));
        self.run();
        if self.receipt.take().is_some()
            && let Some(receipt) = receipt
        {
            self.receiver.processed(receipt, true, &mut self.bus);
        }
    }

    fn layer(&mut self, level: usize, act: impl FnOnce(&mut dyn Interceptor, &mut Context<'_>)) {
        if let Some(layer) = self.layers.get_mut(level - 1) {
            act(layer.as_mut(), &mut Context { bus: &mut self.bus, level });
        }
        self.run();
    }

    /// Does all that waits.
    fn run(&mut self) {
        while let Some(work) = self.bus.queue.pop_front() {
            self.work(work);
        }
    }

    fn work(&mut self, work: Work) {
        let bottom = self.layers.len() + 1;
        let bus = &mut self.bus;
        match work {
            Work::Down(level, out) if level >= bottom => self.sender.send(&out, bus),
            Work::Down(level, out) => self.at(level, |layer, cx| layer.send(out, cx)),
            Work::Up(0, message) => self.deliver(message),
            Work::Up(level, message) => self.at(level, |layer, cx| layer.receive(message, cx)),
            Work::Added(level, member) => {
                if !bus.views.get_mut(level + 1).is_some_and(|view| view.insert(member.clone())) {
                    return;
                }
                match level {
                    0 => {
                        self.everybody = None;
                        bus.actions.push(Action::MemberAdded(member));
                    }
                    level => self.at(level, |layer, cx| layer.added(member, cx)),
                }
            }
            Work::Gone(level, member) => {
                if bus.views.get_mut(level + 1).and_then(|view| view.remove(&member)).is_none() {
                    return;
                }
                if level + 1 == bottom {
                    self.sender.forget(&member, bus);
                }
                match level {
                    0 => {
                        self.everybody = None;
                        bus.actions.push(Action::MemberDisappeared(member));
                    }
                    level => self.at(level, |layer, cx| layer.gone(member, cx)),
                }
            }
            Work::Sent(0, report) => {
                if report.last {
                    let failed = bus.close_ticket(report.ticket);
                    if let Some(request) = self.requests.remove(&report.ticket) {
                        bus.actions.push(Action::Sent(request, failed));
                    }
                }
            }
            Work::Sent(level, report) => self.at(level, |layer, cx| layer.sent(report, cx)),
            Work::Probe(level, probe) => self.prober.ask(level, probe, bus),
            Work::Probed(level, probe, alive) if level >= bottom => {
                if let Membership::Static(service) = &mut self.membership {
                    service.probed(&probe, alive, bus);
                }
            }
            Work::Probed(level, probe, alive) => self.at(level, |layer, cx| layer.probed(probe, alive, cx)),
            Work::Check(level) if level >= bottom => {}
            Work::Check(level) => self.at(level, |layer, cx| layer.check(cx)),
        }
    }

    fn at(&mut self, level: usize, act: impl FnOnce(&mut dyn Interceptor, &mut Context<'_>)) {
        if let Some(layer) = self.layers.get_mut(level - 1) {
            act(layer.as_mut(), &mut Context { bus: &mut self.bus, level });
        }
    }

    fn deliver(&mut self, message: Incoming) {
        if let Membership::Static(service) = &mut self.membership
            && service.receive(&message, &mut self.bus)
        {
            return;
        }
        if message.receipt.is_some() && message.receipt == self.receipt {
            self.receipt = None;
        }
        self.bus.actions.push(Action::Deliver(message));
    }

    /// Says something in the channel's name.
    pub fn log(&mut self, level: Level, text: impl Into<String>) {
        self.bus.log(level, SOURCE, text);
    }
}

/// What members of our kind show of themselves, unless they are told to show something else.
const IN_ORDER: &[u8] = b"tandem";

/// What the configuration says of ourselves.
fn adopt(config: &Config, local: &mut Member) {
    let mut named = None;
    match &config.membership {
        MembershipConfig::Mcast(mcast) => {
            local.domain.clone_from(&mcast.domain);
            local.payload.clone_from(&mcast.payload);
            if local.payload.is_empty() {
                local.payload.extend_from_slice(IN_ORDER);
            }
        }
        MembershipConfig::Static(service) => {
            let here = |member: &&super::config::StaticMember| {
                member.host == local.host && i32::from(member.port) == local.port
            };
            named = service.local.as_ref().or_else(|| service.members.iter().find(here));
        }
    }
    for interceptor in &config.interceptors {
        if let InterceptorConfig::StaticMembership(members) = interceptor {
            named = members.local.as_ref().or(named);
        }
    }
    if let Some(named) = named {
        local.unique_id = named.unique_id;
        local.domain.clone_from(&named.domain);
    }
}

fn interceptor(config: &InterceptorConfig, channel: &Config) -> Box<dyn Interceptor> {
    let max = channel.limits.message;
    match config.clone() {
        InterceptorConfig::TcpFailureDetector(config) => Box::new(detect::TcpFailureDetector::new(config)),
        InterceptorConfig::TcpPing(config) => Box::new(detect::TcpPing::new(config, channel)),
        InterceptorConfig::MessageDispatch(config) => Box::new(shape::MessageDispatch::new(config)),
        InterceptorConfig::StaticMembership(config) => Box::new(statics::StaticMembership::new(config)),
        InterceptorConfig::DomainFilter(config) => Box::new(shape::DomainFilter::new(config)),
        InterceptorConfig::Gzip(config) => Box::new(gzip::Gzip::new(config, max)),
        InterceptorConfig::Fragmentation(config) => Box::new(fragment::Fragmentation::new(config, max)),
        InterceptorConfig::Order(config) => Box::new(order::Order::new(config, max)),
        InterceptorConfig::Throughput(config) => Box::new(shape::Throughput::new(config)),
        InterceptorConfig::Encrypt(config) => Box::new(encrypt::Encrypt::new(config)),
    }
}

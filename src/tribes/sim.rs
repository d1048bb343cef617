//! Members on a simulated network, with a seeded clock.
//!
//! Streams are reliable and ordered or break; datagrams are lost, delayed and doubled. Machines
//! crash and come back as new members, the network splits and heals. When all that is over and
//! some quiet has passed, every living member sees every other living one and nobody else, and
//! acknowledged messages arrive. `TRIBES_SEED=n` repeats one run; `TRIBES_SEEDS=n` changes how many.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::config::{
    Config, DetectorConfig, EncryptConfig, FragmentConfig, InterceptorConfig, OrderConfig, PingConfig, ThroughputConfig,
};
use super::core::{Action, Core, Input};
use super::stack::Now;
use super::{Member, Options};

/// splitmix64: the same numbers for the same seed, everywhere.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    fn percent(&mut self, n: u64) -> bool {
        self.below(100) < n
    }
}

/// Something that arrives.
#[derive(Debug)]
enum Arrival {
    Datagram {
        to: usize,
        bytes: Bytes,
    },
    /// A connection that `from` wants to make.
    Syn {
        from: End,
        to: SocketAddr,
    },
    Made {
        at: usize,
        conn: u64,
        with: End,
    },
    Failed {
        at: usize,
        conn: u64,
    },
    Bytes {
        at: usize,
        conn: u64,
        bytes: Bytes,
    },
    Fin {
        at: usize,
        conn: u64,
    },
}

/// One end of a connection: machine, which start of it, name there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct End {
    at: usize,
    life: u64,
    conn: u64,
}

pub(super) struct Node {
    pub(super) core: Core,
    /// Which start of this machine it is; what was sent to an earlier one is lost.
    life: u64,
    alive: bool,
    /// The other ends of connections.
    ends: BTreeMap<u64, End>,
    /// What it was told of members.
    pub(super) view: BTreeSet<[u8; 16]>,
    pub(super) received: Vec<Bytes>,
    pub(super) outcomes: BTreeMap<u64, Vec<String>>,
    established: bool,
}

pub(super) struct Net {
    pub(super) now: u64,
    dice: Dice,
    pub(super) nodes: Vec<Node>,
    queue: BTreeMap<(u64, u64), (u64, Arrival)>,
    sequence: u64,
    /// When the last bytes of a direction arrive: streams keep their order.
    last: BTreeMap<End, u64>,
    /// Ends of connections that bytes did not reach: nothing more may come after a gap.
    broken: HashSet<End>,
    pub(super) loss: u64,
    pub(super) delay: u64,
    /// Machines of the other half of a split network.
    other_side: HashSet<usize>,
    config: Config,
    next_request: u64,
    /// Every machine keeps the unique id that it is listed with.
    own_ids: bool,
}

impl Net {
    pub(super) fn new(seed: u64, size: usize, config: Config) -> Self {
        let mut net = Self {
            now: 1,
            dice: Dice(seed),
            nodes: Vec::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            last: BTreeMap::new(),
            broken: HashSet::new(),
            loss: 0,
            delay: 5,
            other_side: HashSet::new(),
            config,
            next_request: 0,
            own_ids: false,
        };
        for at in 0..size {
            let node = net.node(at, 0);
            net.nodes.push(node);
        }
        net
    }

    fn node(&mut self, at: usize, life: u64) -> Node {
        let mut seed = [0; 32];
        for chunk in seed.chunks_mut(8) {
            chunk.copy_from_slice(&self.dice.next().to_be_bytes());
        }
        let mut unique_id = [0; 16];
        unique_id[..8].copy_from_slice(&self.dice.next().to_be_bytes());
        unique_id[8] = u8::try_from(at).unwrap();
        let host = [10, 0, 0, u8::try_from(at + 1).unwrap()];
        if self.own_ids {
            unique_id = [u8::try_from(at + 1).unwrap(); 16];
        }
        let core = Core::new(&self.config, Member::new(host.into(), 4000, unique_id), seed, self.time());
        Node {
            core,
            life,
            alive: false,
            ends: BTreeMap::new(),
            view: BTreeSet::new(),
            received: Vec::new(),
            outcomes: BTreeMap::new(),
            established: false,
        }
    }

    /// As where members are listed.
    pub(super) fn own_ids(&mut self) {
        self.own_ids = true;
    }

    fn time(&self) -> Now {
        Now { tick: self.now, wall: 1_700_000_000_000 + i64::try_from(self.now).unwrap() }
    }

    pub(super) fn start(&mut self, at: usize) {
        let life = self.nodes[at].life + 1;
        let mut node = self.node(at, life);
        node.alive = true;
        let now = self.time();
        node.core.start(now);
        self.nodes[at] = node;
        self.perform(at);
    }

    /// In order, or as when the power fails.
    pub(super) fn end(&mut self, at: usize, orderly: bool) {
        if !self.nodes[at].alive {
            return;
        }
        let now = self.time();
        if orderly {
            self.nodes[at].core.stop(now);
            self.perform(at);
        }
        self.nodes[at].alive = false;
        // The kernel closes what a process leaves open.
        for peer in std::mem::take(&mut self.nodes[at].ends).into_values() {
            self.stream(at, peer, Arrival::Fin { at: peer.at, conn: peer.conn });
        }
    }

    pub(super) fn split(&mut self, other_side: HashSet<usize>) {
        self.other_side = other_side;
    }

    fn apart(&self, a: usize, b: usize) -> bool {
        self.other_side.contains(&a) != self.other_side.contains(&b)
    }

    fn later(&mut self, at: u64, life: u64, arrival: Arrival) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), (life, arrival));
    }

    /// What travels from one machine to another; lost when they cannot reach each other.
    fn arrive(&mut self, from: usize, to: usize, arrival: Arrival) {
        let at = self.now + 1 + self.dice.below(self.delay);
        if !self.apart(from, to) {
            let life = self.nodes[to].life;
            self.later(at, life, arrival);
        }
    }

    /// The same on a connection, in order.
    fn stream(&mut self, from: usize, to: End, arrival: Arrival) {
        let wait = 1 + self.dice.below(self.delay);
        let last = self.last.entry(to).or_insert(0);
        let at = (self.now + wait).max(*last);
        *last = at;
        if self.apart(from, to.at) {
            self.broken.insert(to);
        } else if self.broken.contains(&to) {
            self.reset(to);
        } else {
            self.later(at, to.life, arrival);
        }
    }

    /// A connection with a gap in it ends for both sides.
    fn reset(&mut self, end: End) {
        let known = self.nodes[end.at].life == end.life;
        let other = self.nodes[end.at].ends.get(&end.conn).copied().filter(|_| known);
        for end in other.into_iter().chain([end]) {
            self.later(self.now + 1, end.life, Arrival::Fin { at: end.at, conn: end.conn });
        }
    }

    fn perform(&mut self, at: usize) {
        loop {
            let actions: Vec<Action> = self.nodes[at].core.actions().collect();
            if actions.is_empty() {
                return;
            }
            for action in actions {
                self.act(at, action);
            }
        }
    }

    fn act(&mut self, at: usize, action: Action) {
        match action {
            Action::Multicast(bytes) => {
                for to in 0..self.nodes.len() {
                    for _ in 0..=u64::from(self.dice.percent(self.loss / 2)) {
                        if !self.dice.percent(self.loss) {
                            self.arrive(at, to, Arrival::Datagram { to, bytes: bytes.clone() });
                        }
                    }
                }
            }
            Action::Connect(conn, to) => {
                let peer = usize::from(match to.ip() {
                    std::net::IpAddr::V4(ip) => ip.octets()[3] - 1,
                    std::net::IpAddr::V6(_) => unreachable!(),
                });
                let from = End { at, life: self.nodes[at].life, conn };
                self.arrive(at, peer, Arrival::Syn { from, to });
            }
            Action::Write(conn, bytes) => {
                let n = bytes.len();
                if let Some(peer) = self.nodes[at].ends.get(&conn).copied() {
                    self.stream(at, peer, Arrival::Bytes { at: peer.at, conn: peer.conn, bytes });
                    let now = self.time();
                    self.nodes[at].core.input(now, conn, &Input::Wrote(n));
                }
            }
            Action::Close(conn) => {
                if let Some(peer) = self.nodes[at].ends.remove(&conn) {
                    self.stream(at, peer, Arrival::Fin { at: peer.at, conn: peer.conn });
                }
            }
            Action::Datagram(..) => {}
            Action::Deliver(incoming) => {
                self.nodes[at].received.push(incoming.data.message);
                if let Some(receipt) = incoming.receipt {
                    let now = self.time();
                    self.nodes[at].core.processed(now, receipt, true);
                }
            }
            Action::MemberAdded(member) => assert!(self.nodes[at].view.insert(member.unique_id), "added twice"),
            Action::MemberDisappeared(member) => {
                assert!(self.nodes[at].view.remove(&member.unique_id), "gone without having been there");
            }
            Action::Established => self.nodes[at].established = true,
            Action::Sent(request, failed) => {
                let before = self.nodes[at]
                    .outcomes
                    .insert(request, failed.iter().map(|f| format!("{}: {}", f.member.name(), f.cause)).collect());
                assert_eq!(before, None, "an outcome came twice");
            }
            Action::Log(level, source, text) if std::env::var_os("TRIBES_SEED").is_some() => {
                eprintln!("{} {at} {level:?} {} {text}", self.now, source.rsplit('.').next().unwrap());
            }
            Action::Heartbeat | Action::Log(..) => {}
        }
    }

    fn happen(&mut self, arrival: Arrival) {
        let now = self.time();
        match arrival {
            Arrival::Datagram { to, bytes } => {
                self.nodes[to].core.multicast(now, &bytes);
                self.perform(to);
            }
            Arrival::Syn { from, to } => {
                let peer = usize::from(match to.ip() {
                    std::net::IpAddr::V4(ip) => ip.octets()[3] - 1,
                    std::net::IpAddr::V6(_) => unreachable!(),
                });
                let source = SocketAddr::from(([10, 0, 0, u8::try_from(from.at + 1).unwrap()], 50_000));
                let accepted = if self.nodes[peer].alive { self.nodes[peer].core.accepted(now, source) } else { None };
                match accepted {
                    Some(other) => {
                        self.nodes[peer].ends.insert(other, from);
                        let with = End { at: peer, life: self.nodes[peer].life, conn: other };
                        self.stream(peer, from, Arrival::Made { at: from.at, conn: from.conn, with });
                    }
                    None => self.stream(peer, from, Arrival::Failed { at: from.at, conn: from.conn }),
                }
                self.perform(peer);
            }
            Arrival::Made { at, conn, with } => {
                self.nodes[at].ends.insert(conn, with);
                self.nodes[at].core.input(now, conn, &Input::Connected);
                self.perform(at);
            }
            Arrival::Failed { at, conn } => {
                self.nodes[at].core.input(now, conn, &Input::Closed(io::ErrorKind::ConnectionRefused));
                self.perform(at);
            }
            Arrival::Bytes { at, conn, bytes } => {
                // In pieces, as streams come.
                let cut = usize::try_from(self.dice.below(bytes.len() as u64 + 1)).unwrap();
                for piece in [bytes.slice(..cut), bytes.slice(cut..)] {
                    if !piece.is_empty() && self.nodes[at].ends.contains_key(&conn) {
                        self.nodes[at].core.input(now, conn, &Input::Read(&piece));
                        self.perform(at);
                    }
                }
            }
            Arrival::Fin { at, conn } => {
                if self.nodes[at].ends.remove(&conn).is_some() {
                    self.nodes[at].core.input(now, conn, &Input::Closed(io::ErrorKind::ConnectionReset));
                    self.perform(at);
                }
            }
        }
    }

    /// Lets time pass.
    pub(super) fn run(&mut self, ms: u64) {
        let until = self.now + ms;
        loop {
            let arrival = self.queue.keys().next().map(|(at, _)| *at);
            let alive = self.nodes.iter().filter(|node| node.alive);
            let timer = alive.filter_map(|node| node.core.deadline()).min();
            let Some(next) = [arrival, timer].into_iter().flatten().min().filter(|at| *at <= until) else { break };
            self.now = self.now.max(next);
            while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let (life, arrival) = entry.remove();
                let (Arrival::Datagram { to: at, .. }
                | Arrival::Made { at, .. }
                | Arrival::Failed { at, .. }
                | Arrival::Bytes { at, .. }
                | Arrival::Fin { at, .. }) = &arrival
                else {
                    self.happen(arrival);
                    continue;
                };
                if self.nodes[*at].alive && self.nodes[*at].life == life {
                    self.happen(arrival);
                }
            }
            let now = self.time();
            for at in 0..self.nodes.len() {
                let node = &mut self.nodes[at];
                if node.alive && node.core.deadline().is_some_and(|due| due <= self.now) {
                    node.core.tick(now);
                    let after = node.core.deadline();
                    assert!(after.is_none_or(|due| due > now.tick), "a timer that has run is still due");
                    self.perform(at);
                }
            }
        }
        self.now = until;
    }

    pub(super) fn living(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|at| self.nodes[*at].alive).collect()
    }

    pub(super) fn send(&mut self, from: usize, to: Option<Arc<[Member]>>, message: Bytes, options: Options) -> u64 {
        self.next_request += 1;
        let (now, request) = (self.time(), self.next_request);
        self.nodes[from].core.send(now, to, message, options, request, 0);
        self.perform(from);
        request
    }

    /// Everybody who lives sees everybody else who does, and nobody else.
    fn agreed(&mut self) {
        let living = self.living();
        let all: BTreeSet<[u8; 16]> = living.iter().map(|at| self.nodes[*at].core.local().unique_id).collect();
        for at in living {
            let node = &mut self.nodes[at];
            let mut expected = all.clone();
            expected.remove(&node.core.local().unique_id);
            assert_eq!(node.view, expected, "what member {at} was told");
            let members: BTreeSet<_> = node.core.members().iter().map(|member| member.unique_id).collect();
            assert_eq!(members, expected, "the members of member {at}");
            assert!(node.established, "member {at} is established");
        }
    }
}

fn stack(dice: &mut Dice) -> Config {
    let mut config = Config::default();
    let encrypt = InterceptorConfig::Encrypt(EncryptConfig { key: vec![7; 16], ..EncryptConfig::default() });
    let fragment = FragmentConfig { max_size: 50, ..FragmentConfig::default() };
    let extra = match dice.below(6) {
        0 => vec![InterceptorConfig::Order(OrderConfig::default()), InterceptorConfig::Fragmentation(fragment)],
        1 => vec![InterceptorConfig::Gzip(Default::default()), encrypt],
        2 => vec![InterceptorConfig::Throughput(ThroughputConfig { interval: 1 }), encrypt],
        3 => vec![InterceptorConfig::TcpPing(PingConfig::default())],
        _ => Vec::new(),
    };
    config.interceptors.splice(1..1, extra);
    if dice.percent(30)
        && let Some(InterceptorConfig::TcpFailureDetector(detector)) = config.interceptors.last_mut()
    {
        *detector = DetectorConfig { perform_read_test: true, ..DetectorConfig::default() };
    }
    config
}

/// Trouble, then quiet, then agreement.
fn story(seed: u64) {
    let mut dice = Dice(seed ^ 0x7472_6962_6573);
    let size = 2 + usize::try_from(if seed % 64 == 63 { dice.below(31) } else { dice.below(7) }).unwrap();
    let config = stack(&mut dice);
    let mut net = Net::new(seed, size, config);
    net.loss = dice.below(40);
    net.delay = 1 + dice.below(400);
    for at in 0..size {
        net.start(at);
        net.run(dice.below(1500));
    }
    for _ in 0..dice.below(24) {
        let at = usize::try_from(dice.below(size as u64)).unwrap();
        match dice.below(8) {
            0 => net.end(at, false),
            1 => net.end(at, true),
            2 | 3 if !net.nodes[at].alive => net.start(at),
            4 => net.split((0..size).filter(|_| dice.percent(50)).collect()),
            5 => net.split(HashSet::new()),
            _ if net.nodes[at].alive => {
                let options = [Options(8), Options(2), Options(6), Options(10)];
                let options = options[usize::try_from(dice.below(4)).unwrap()];
                let message = vec![b'm'; usize::try_from(dice.below(300)).unwrap()];
                net.send(at, None, message.into(), options);
            }
            _ => {}
        }
        net.run(dice.below(4000));
    }
    quiet(&mut net, &mut dice);
}

fn quiet(net: &mut Net, dice: &mut Dice) {
    net.loss = 0;
    net.delay = 1 + dice.below(20);
    net.split(HashSet::new());
    for at in 0..net.nodes.len() {
        if !net.nodes[at].alive && dice.percent(50) {
            net.start(at);
        }
    }
    net.run(30_000);
    net.agreed();
    // What is acknowledged now has arrived, whole and once.
    for from in net.living() {
        let text = Bytes::from(format!("from {from}: {}", "x".repeat(200)));
        let request = net.send(from, None, text.clone(), Options(6));
        net.run(10_000);
        assert_eq!(net.nodes[from].outcomes.get(&request), Some(&Vec::new()), "the outcome of {from}'s message");
        for to in net.living().into_iter().filter(|to| *to != from) {
            let count = net.nodes[to].received.iter().filter(|message| **message == text).count();
            assert_eq!(count, 1, "messages of {from} to {to}");
        }
    }
    for node in net.nodes.iter().filter(|node| node.alive) {
        assert!(node.core.is_idle(), "something is still on its way");
    }
}

fn each_seed(count: u64, run: impl Fn(u64) + std::panic::RefUnwindSafe) {
    let one = std::env::var("TRIBES_SEED").ok().and_then(|seed| seed.parse().ok());
    let many = std::env::var("TRIBES_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(count);
    let seeds: Vec<u64> = one.map_or_else(|| (0..many).collect(), |seed| vec![seed]);
    for seed in seeds {
        if let Err(panic) = std::panic::catch_unwind(|| run(seed)) {
            eprintln!("*** seed {seed}: repeat with TRIBES_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn members_agree_after_trouble() {
    each_seed(256, story);
}

/// One of three crashes at every moment of joining, working and leaving.
#[test]
fn a_crash_at_any_step_is_survived() {
    each_seed(64, |seed| {
        let mut dice = Dice(seed);
        let config = stack(&mut dice);
        let mut net = Net::new(seed, 3, config);
        net.start(0);
        net.start(1);
        net.run(200 * (seed % 16));
        net.start(2);
        let moment = seed * 75;
        net.run(moment / 2);
        net.send(0, None, Bytes::from_static(&[b'm'; 400]), Options(6));
        net.send(2, None, Bytes::from_static(&[b'n'; 400]), Options(8));
        net.run(moment / 2 + seed % 7);
        net.end(2, seed % 5 == 0);
        net.run(30_000);
        net.agreed();
        assert_eq!(net.nodes[0].view.len(), 1);
        net.start(2);
        quiet(&mut net, &mut dice);
    });
}

//! Against what Tomcat 10.1.60 sent (`tests/java/`), and managers among themselves.
#![allow(clippy::indexing_slicing)]

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};

use super::message::{read_list, read_session, read_state};
use super::*;
use crate::node::delta::{DeltaRequest, SessionReader};

const MESSAGES: &str = include_str!("../../../tests/java/messages.txt");
const APP: &str = "localhost#/clu";

fn vectors() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    MESSAGES.lines().filter(|line| line.starts_with("map-")).map(|line| {
        let (name, hex) = line.split_once('\t').unwrap();
        (name, (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).unwrap()).collect())
    })
}

/// Every message of Tomcat's map is read and comes out as the same bytes, in an RPC message and alone.
#[test]
fn map_messages_come_out_as_tomcat_wrote_them() {
    let mut count = 0;
    for (name, bytes) in vectors() {
        let fail = |error| panic!("{name}: {error}");
        match Rpc::decode(&bytes).unwrap() {
            Some(rpc) => {
                let message = MapMessage::decode_part(rpc.object, FIRST_HANDLE).unwrap_or_else(fail).unwrap();
                assert_eq!(Rpc { object: &message.encode_part(FIRST_HANDLE), ..rpc }.encode(), bytes, "{name}");
            }
            None => {
                let message = MapMessage::decode(&bytes).unwrap_or_else(fail).unwrap();
                assert_eq!(message.encode(), bytes, "{name}");
            }
        }
        count += 1;
    }
    assert!(count >= 16, "{count}");
}

#[test]
fn what_tomcats_messages_carry_is_read() {
    let message = |name: &str| {
        let (_, bytes) = vectors().find(|(of, _)| *of == name).unwrap();
        match Rpc::decode(&bytes).unwrap() {
            Some(rpc) => MapMessage::decode_part(rpc.object, FIRST_HANDLE).unwrap().unwrap(),
            None => MapMessage::decode(&bytes).unwrap().unwrap(),
        }
    };
    let full = message("map-backup-full").value.unwrap();
    let mut reader = SessionReader::new(full.len());
    let session = read_session(&full, &mut reader).unwrap();
    assert_eq!(&*session.id, "492A9B31C23A629536DCA79B13EA7C39.n1");
    assert_eq!(session.attributes["pre"].as_text().as_deref(), Some("before"));
    assert_eq!(message::session_value(&session, |_, _| true), full);
    let ping = message("map-ping-reply").value.unwrap();
    assert_eq!(read_state(&ping).as_deref(), Some("INITIALIZED"));
    assert_eq!(message::state_value("INITIALIZED"), ping);
    let list = message("map-state-reply").value.unwrap();
    let entries = read_list(&list).unwrap();
    assert_eq!(entries[0].kind, Type::Proxy);
    assert_eq!(message::list_value(&entries), list);
    let diff = message("map-backup-diff").diff.unwrap();
    assert!(DeltaRequest::decode(&diff, |name, error| panic!("{name}: {error}")).is_ok());
}

struct Group {
    nodes: Vec<(Member, Arc<BackupManager>)>,
    now: i64,
    joined: u8,
}

impl Group {
    fn new(count: usize) -> Self {
        let mut group = Self { nodes: Vec::new(), now: 1000, joined: 0 };
        (0..count).for_each(|_| group.add());
        group
    }

    fn add(&mut self) {
        self.come();
        self.begin();
    }

    /// A node that the others know, and that has not started.
    fn come(&mut self) {
        self.joined += 1;
        let n = self.joined;
        let member = Member::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, n)), 4000, [n; 16]);
        let log: Log = Arc::new(|_, _, _| ());
        let manager = BackupManager::new(APP, Config::default(), MapConfig::default(), log);
        self.nodes.push((member, Arc::new(manager)));
        self.meet();
    }

    /// The last one starts.
    fn begin(&mut self) {
        let last = self.nodes.len() - 1;
        let local = self.nodes[last].0.clone();
        self.run(last, |manager, now, out| manager.start(&local, now, out));
        self.now += 1000;
        (0..=last).for_each(|at| self.run(at, |manager, now, out| manager.poll(now, out)));
        assert!(self.nodes[last].1.is_ready());
    }

    fn meet(&mut self) {
        for at in 0..self.nodes.len() {
            let me = self.nodes[at].0.clone();
            let others: Vec<Member> = self.nodes.iter().map(|(of, _)| of).filter(|of| !of.same(&me)).cloned().collect();
            self.run(at, |manager, now, out| manager.set_members(&others, now, out));
        }
    }

    fn run<R>(&mut self, at: usize, act: impl FnOnce(&BackupManager, i64, &mut Vec<Outgoing>) -> R) -> R {
        let (from, manager) = self.nodes[at].clone();
        let mut out = Vec::new();
        let result = act(&manager, self.now, &mut out);
        let mut waiting: VecDeque<_> = out.into_iter().map(|out| (from.clone(), out)).collect();
        while let Some((from, outgoing)) = waiting.pop_front() {
            let To::One(meant) = &outgoing.to else { panic!("to all") };
            let Some((to, manager)) = self.nodes.iter().find(|(to, _)| to.same(meant)) else { continue };
            let listener = MapListener::default();
            listener.add(Arc::clone(manager));
            let mut out = Vec::new();
            assert!(listener.on_message(&from, &outgoing.bytes, self.now, &mut out));
            waiting.extend(out.into_iter().map(|out| (to.clone(), out)));
        }
        result
    }

    fn create(&mut self, at: usize, id: &str) {
        self.run(at, |manager, now, out| {
            manager.create(id, now, out).unwrap();
            manager.replicate(id, now, out);
            manager.end(id, now);
        });
    }

    fn request(&mut self, at: usize, id: &str, act: impl FnOnce(&BackupManager)) -> bool {
        let found = self.run(at, |manager, now, out| manager.find(id, now, out));
        if found == Found::No {
            return false;
        }
        self.nodes[at].1.wait(id);
        self.run(at, |manager, now, out| {
            assert_eq!(manager.find(id, now, out), Found::Here);
            assert!(manager.begin(id, now));
            act(manager);
            manager.replicate(id, now, out);
            manager.end(id, now);
        });
        true
    }

    fn roles(&self, id: &str) -> String {
        let letter = |(_, manager): &(Member, Arc<BackupManager>)| match manager.role(id) {
            Some(Role::Primary) => 'P',
            Some(Role::Backup) => 'B',
            Some(Role::Proxy) => 'x',
            None => '-',
        };
        self.nodes.iter().map(letter).collect()
    }

    fn text(&self, at: usize, id: &str) -> Option<String> {
        self.nodes[at].1.with(id, |session| session.attributes.get("k").and_then(Value::as_text)).flatten()
    }

    fn set(&mut self, at: usize, id: &str, text: &str) -> bool {
        self.request(at, id, |manager| manager.set_attribute(id, "k", Value::string(text)).unwrap())
    }

    fn kill(&mut self, at: usize) {
        self.nodes.remove(at);
        self.meet();
    }
}

#[test]
fn a_session_is_on_two_nodes_and_known_on_all() {
    let mut group = Group::new(3);
    group.create(0, "A");
    assert_eq!(group.roles("A"), "PBx");
    group.set(0, "A", "v");
    assert_eq!(group.text(1, "A").as_deref(), Some("v"));
    // The next one has the other backup.
    group.create(0, "B");
    assert_eq!(group.roles("B"), "PxB");
    group.run(0, |manager, _, out| manager.change_id("A", "C", out)).unwrap();
    assert_eq!(group.roles("A"), "---");
    assert_eq!(group.roles("C").replace('x', "B"), "PBB");
    group.run(0, |manager, _, out| manager.invalidate("C", out)).unwrap();
    assert_eq!(group.roles("C"), "---");
}

/// A node that has only heard of a session fetches it and becomes its primary.
#[test]
fn a_session_moves_to_where_it_is_used() {
    let mut group = Group::new(3);
    group.create(0, "A");
    group.set(0, "A", "1");
    assert!(group.set(2, "A", "2"));
    assert_eq!(group.roles("A"), "xBP");
    assert_eq!(group.text(1, "A").as_deref(), Some("2"));
    // The backup itself.
    assert!(group.set(1, "A", "3"));
    assert_eq!(group.roles("A").matches('P').count(), 1);
    assert_eq!(&group.roles("A")[1..2], "P");
    assert!(!group.set(1, "none", "x"));
}

#[test]
fn no_session_is_lost_when_a_node_dies() {
    for victim in 0..3 {
        let mut group = Group::new(3);
        for n in 0..9 {
            let id = format!("S{n}");
            group.create(n % 3, &id);
            group.set(n % 3, &id, &id);
        }
        group.kill(victim);
        for n in 0..9 {
            let id = format!("S{n}");
            let mut roles: Vec<char> = group.roles(&id).chars().collect();
            roles.sort_unstable();
            assert_eq!(roles, ['B', 'P'], "{victim} {id}");
            assert!(group.request(n % 2, &id, |_| ()));
            assert_eq!(group.text(n % 2, &id), Some(id));
        }
    }
}

#[test]
fn sessions_survive_every_node_restarted_one_after_the_other() {
    let mut group = Group::new(3);
    for n in 0..6 {
        let id = format!("S{n}");
        group.create(n % 3, &id);
        group.set(n % 3, &id, &id);
    }
    for _ in 0..3 {
        group.run(0, |manager, _, out| manager.stop(out));
        group.kill(0);
        group.add();
    }
    for n in 0..6 {
        let id = format!("S{n}");
        assert!(group.request(n % 3, &id, |_| ()));
        assert_eq!(group.text(n % 3, &id), Some(id));
    }
}

#[test]
fn a_lonely_session_gets_its_backup_when_somebody_comes() {
    let mut group = Group::new(1);
    group.create(0, "A");
    assert_eq!(group.roles("A"), "P");
    group.add();
    assert_eq!(group.roles("A"), "PB");
}

#[test]
fn only_the_primary_ends_a_session() {
    let mut group = Group::new(2);
    group.create(0, "A");
    group.run(0, |manager, _, _| manager.set_max_inactive("A", 5)).unwrap();
    group.run(0, |manager, now, out| manager.replicate("A", now, out));
    group.now += 5000;
    group.run(1, |manager, now, out| manager.sweep(now, out));
    assert_eq!(group.roles("A"), "PB");
    group.run(0, |manager, now, out| manager.sweep(now, out));
    assert_eq!(group.roles("A"), "--");
}

/// Members know a node before it starts, and ask it: they get the answer of one that has no such map, and it is no
/// other node for having been asked.
#[test]
fn who_asks_before_the_start_is_refused() {
    let mut group = Group::new(2);
    group.create(0, "A");
    group.set(0, "A", "1");
    group.come();
    let (member, manager) = group.nodes[2].clone();
    let listener = MapListener::default();
    listener.add(Arc::clone(&manager));
    for kind in [Type::Init, Type::State, Type::Start, Type::Ping] {
        let object = MapMessage::new(kind, manager.map_id()).encode_part(FIRST_HANDLE);
        let question = Rpc { kind: RpcKind::Request, uuid: &[7; 16], rpc_id: manager.map_id(), object: &object };
        let mut out = Vec::new();
        assert!(listener.on_message(&group.nodes[0].0, &question.encode(), group.now, &mut out));
        let answer = Rpc::decode(&out[0].bytes).unwrap().unwrap();
        assert_eq!((out.len(), answer.kind, answer.uuid), (1, RpcKind::NoChannel, &[7; 16][..]), "{kind:?}");
    }
    group.now += 5000;
    (0..2).for_each(|at| group.run(at, |manager, now, out| manager.poll(now, out)));
    assert!(group.nodes[..2].iter().all(|(_, manager)| manager.inner().members.len() == 1));

    group.begin();
    assert_eq!(group.roles("A"), "PBx");
    group.create(2, "B");
    for (_, manager) in &group.nodes {
        let inner = manager.inner();
        assert_eq!(inner.members.len(), 2);
        assert!(inner.entries["B"].primary.as_ref().is_some_and(|primary| primary.same(&member)));
    }
    assert!(group.set(2, "A", "2"));
    assert_eq!(group.roles("A"), "xBP");
}

/// Of those that answer, the oldest is asked for the entries: a younger one may be filling its map as well.
#[test]
fn the_oldest_gives_the_entries() {
    let member = |n: u8| Member::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, n)), 4000, [n; 16]);
    let manager = BackupManager::new(APP, Config::default(), MapConfig::default(), Arc::new(|_, _, _| ()));
    let mut out = Vec::new();
    manager.set_members(&[member(1), member(2), member(3)], 0, &mut out);
    manager.start(&member(9), 0, &mut out);
    let questions = std::mem::take(&mut out);
    // The oldest of all is silent, and the youngest is the first to answer.
    for from in [3, 2] {
        let asked = &questions[from - 1];
        let Rpc { uuid, rpc_id, object, .. } = Rpc::decode(&asked.bytes).unwrap().unwrap();
        let answer = Rpc { kind: RpcKind::Reply, uuid, rpc_id, object };
        manager.on_rpc(&member(u8::try_from(from).unwrap()), &answer, 10, &mut out);
    }
    assert!(out.is_empty());
    let asked = |out: &[Outgoing]| -> Vec<(String, Type)> {
        let of = |out: &Outgoing| {
            let To::One(to) = &out.to else { panic!("to all") };
            let rpc = Rpc::decode(&out.bytes).unwrap().unwrap();
            (to.host.to_string(), MapMessage::decode_part(rpc.object, FIRST_HANDLE).unwrap().unwrap().kind)
        };
        out.iter().map(of).collect()
    };
    manager.poll(510, &mut out);
    assert_eq!(asked(&out), [("10.0.0.2".to_owned(), Type::State)]);
    // Everybody hears of the start, also who has not answered yet.
    out.clear();
    manager.poll(510 + 15_000, &mut out);
    let started = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(|host| (host.to_owned(), Type::Start));
    assert_eq!(asked(&out)[..3], started);
}

/// A member that is there but does not answer is given up.
#[test]
fn a_silent_member_is_given_up() {
    let mut group = Group::new(2);
    group.create(0, "A");
    let silent = group.nodes.pop().unwrap();
    for _ in 0..4 {
        group.now += 5000;
        group.run(0, |manager, now, out| manager.poll(now, out));
    }
    assert!(group.nodes[0].1.with("A", |_| ()).is_some());
    assert!(group.nodes[0].1.inner().members.is_empty());
    drop(silent);
}

#[test]
fn a_node_that_nobody_answers_starts_after_a_time() {
    let member = |n: u8| Member::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, n)), 4000, [n; 16]);
    let manager = BackupManager::new(APP, Config::default(), MapConfig::default(), Arc::new(|_, _, _| ()));
    let mut out = Vec::new();
    manager.set_members(&[member(2)], 0, &mut out);
    manager.start(&member(1), 0, &mut out);
    assert_eq!(out.len(), 1);
    manager.poll(14_999, &mut out);
    assert!(!manager.is_ready());
    manager.poll(15_000, &mut out);
    assert!(manager.is_ready());
}

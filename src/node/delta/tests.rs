//! Against what Tomcat 10.1.60 sent (`tests/java/`), and managers among themselves.
#![allow(clippy::indexing_slicing)]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::AtomicUsize;

use proptest::prelude::*;

use super::*;
use crate::codec::java::{Error, Writer};
use crate::node::session::Session;

mod wire;

const MESSAGES: &str = include_str!("../../../tests/java/messages.txt");
const DELTAS: &str = include_str!("../../../tests/java/deltas.txt");
const APP: &str = "localhost#/clu";

fn vectors(text: &'static str) -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (name, hex) = line.split_once('\t').unwrap();
        (name, (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).unwrap()).collect())
    })
}

fn vector(name: &str) -> Vec<u8> {
    vectors(MESSAGES).find(|(of, _)| *of == name).unwrap_or_else(|| panic!("no vector {name}")).1
}

fn no_aside(name: &str, error: Error) {
    panic!("{name}: {error}");
}

fn sessions(payload: &[u8]) -> Vec<Session> {
    let mut reader = SessionReader::new(payload.len());
    let mut sessions = Vec::new();
    let count = decode_sessions(payload, &mut reader, |session| sessions.push(session)).unwrap();
    assert_eq!(count as usize, sessions.len());
    assert_eq!(reader.asides, []);
    sessions
}

/// A small group on a net without delay. Everything one manager sends reaches the others at once.
struct Group {
    managers: Vec<(Member, Arc<DeltaManager>)>,
    now: i64,
    log: Arc<Mutex<Vec<String>>>,
    carried: usize,
    joined: usize,
}

impl Group {
    fn new(count: u8) -> Self {
        let mut group = Self { managers: Vec::new(), now: 1_000_000, log: Arc::default(), carried: 0, joined: 0 };
        (0..count).for_each(|_| group.add(Config::default()));
        group
    }

    fn member(at: usize) -> Member {
        let n = at as u8 + 1;
        Member::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, n)), 4000, [n; 16])
    }

    /// Another node joins and starts.
    fn add(&mut self, config: Config) {
        let at = self.join(config);
        self.run(|manager, now, out| manager.start(now, out), at);
    }

    /// Another node joins; it is not started.
    fn join(&mut self, config: Config) -> usize {
        let log = Arc::clone(&self.log);
        let log: Log = Arc::new(move |_, _, text| log.lock().unwrap().push(text.to_owned()));
        let manager = DeltaManager::new(APP, config, log, None);
        self.managers.push((Self::member(self.joined), Arc::new(manager)));
        self.joined += 1;
        self.meet();
        self.managers.len() - 1
    }

    fn meet(&self) {
        for (me, manager) in &self.managers {
            manager.set_members(self.managers.iter().map(|(of, _)| of).filter(|of| !of.same(me)).cloned().collect());
        }
    }

    /// A node dies.
    fn kill(&mut self, at: usize) {
        self.managers.remove(at);
        self.meet();
    }

    fn run<R>(&mut self, act: impl FnOnce(&DeltaManager, i64, &mut Vec<Outgoing>) -> R, at: usize) -> R {
        let (from, manager) = self.managers[at].clone();
        let mut out = Vec::new();
        let result = act(&manager, self.now, &mut out);
        let mut waiting: std::collections::VecDeque<_> = out.into_iter().map(|out| (from.clone(), out)).collect();
        while let Some((from, outgoing)) = waiting.pop_front() {
            self.carried += 1;
            let message = SessionMessage::decode(&outgoing.bytes).unwrap().unwrap();
            for (to, manager) in &self.managers {
                let meant = match &outgoing.to {
                    To::All => !to.same(&from),
                    To::One(member) => member.same(to),
                };
                if meant {
                    let mut out = Vec::new();
                    manager.on_message(&from, &message, self.now, &mut out);
                    waiting.extend(out.into_iter().map(|out| (to.clone(), out)));
                }
            }
        }
        result
    }

    /// A request: what it does to its session, then what goes out.
    fn request(&mut self, at: usize, id: &str, act: impl FnOnce(&DeltaManager)) -> bool {
        let found = self.run(
            |manager, now, out| {
                manager.begin(id, now, out) && {
                    act(manager);
                    manager.replicate(id, now, out);
                    true
                }
            },
            at,
        );
        self.run(|manager, now, out| manager.end(id, now, out), at);
        found
    }

    fn create(&mut self, at: usize, id: &str) {
        self.managers[at].1.create(id, self.now).unwrap();
        self.run(|manager, now, out| manager.replicate(id, now, out), at);
        self.run(|manager, now, out| manager.end(id, now, out), at);
    }

    fn text(&self, at: usize, id: &str, name: &str) -> Option<String> {
        self.managers[at].1.with(id, |session| session.attributes.get(name).and_then(Value::as_text)).flatten()
    }

    fn logged(&self, text: &str) -> bool {
        self.log.lock().unwrap().iter().any(|line| line.contains(text))
    }
}

/// Tomcats that do not wait for acknowledgements send over several connections at a time.
#[test]
fn a_change_that_overtakes_its_session_is_not_lost() {
    let mut group = Group::new(2);
    let (from, maker) = group.managers[0].clone();
    let mut out = Vec::new();
    maker.create("A.n1", group.now).unwrap();
    maker.set_attribute("A.n1", "k", Value::string("v")).unwrap();
    maker.replicate("A.n1", group.now, &mut out);
    assert_eq!(out.len(), 2);
    for outgoing in out.iter().rev() {
        let message = SessionMessage::decode(&outgoing.bytes).unwrap().unwrap();
        group.managers[1].1.on_message(&from, &message, group.now, &mut Vec::new());
    }
    assert_eq!(group.text(1, "A.n1", "k").as_deref(), Some("v"));
    group.request(1, "A.n1", |manager| manager.set_attribute("A.n1", "k", Value::string("w")).unwrap());
    assert_eq!(group.text(0, "A.n1", "k").as_deref(), Some("w"));
}

#[test]
fn the_others_hear_of_a_session_with_its_first_change_or_when_its_request_ends() {
    let group = Group::new(2);
    let maker = &group.managers[0].1;
    let events = |act: &dyn Fn(&mut Vec<Outgoing>)| -> Vec<Event> {
        let mut out = Vec::new();
        act(&mut out);
        out.iter().map(|message| SessionMessage::decode(&message.bytes).unwrap().unwrap().event).collect()
    };
    maker.create("A", 1).unwrap();
    assert_eq!(events(&|out| maker.replicate("A", 1, out)), [Event::Created, Event::Delta]);
    assert_eq!(events(&|out| maker.end("A", 1, out)), []);
    maker.create("B", 1).unwrap();
    assert_eq!(events(&|out| maker.end("B", 1, out)), [Event::Created]);
    maker.create("C", 1).unwrap();
    assert_eq!(events(&|out| maker.change_id("C", "D", 1, out).unwrap()), [Event::Created, Event::ChangeId]);
    maker.create("E", 1).unwrap();
    assert_eq!(events(&|out| maker.invalidate("E", 1, out).unwrap()), [Event::Created, Event::Delta, Event::Expired]);
}

#[test]
fn a_change_that_comes_behind_the_new_id_is_not_lost() {
    let mut group = Group::new(2);
    group.create(0, "A.n1");
    let (from, maker) = group.managers[0].clone();
    let mut out = Vec::new();
    maker.set_attribute("A.n1", "k", Value::string("v")).unwrap();
    maker.replicate("A.n1", group.now, &mut out);
    // The user is at the other node before the change is.
    group.run(|manager, now, out| manager.change_id("A.n1", "A.n2", now, out), 1).unwrap();
    for outgoing in &out {
        let message = SessionMessage::decode(&outgoing.bytes).unwrap().unwrap();
        group.managers[1].1.on_message(&from, &message, group.now, &mut Vec::new());
    }
    assert_eq!(group.text(1, "A.n2", "k").as_deref(), Some("v"));
}

#[test]
fn what_one_node_does_is_on_every_node() {
    let mut group = Group::new(3);
    group.create(0, "A.n1");
    group.request(0, "A.n1", |manager| {
        manager.set_attribute("A.n1", "k", Value::string("v")).unwrap();
        manager.set_attribute("A.n1", "gone", Value::integer(1)).unwrap();
        manager.set_max_inactive("A.n1", 60).unwrap();
    });
    for at in 0..3 {
        assert_eq!(group.text(at, "A.n1", "k").as_deref(), Some("v"), "{at}");
        assert_eq!(group.managers[at].1.with("A.n1", |session| session.max_inactive), Some(60));
        assert_eq!(group.managers[at].1.with("A.n1", |session| session.primary), Some(at == 0));
    }
    // Another node takes over.
    group.run(|manager, now, out| manager.change_id("A.n1", "A.n2", now, out), 1).unwrap();
    assert!(!group.request(0, "A.n1", |_| ()));
    assert!(group.request(1, "A.n2", |manager| manager.remove_attribute("A.n2", "gone").unwrap()));
    for at in 0..3 {
        assert_eq!(group.managers[at].1.with("A.n2", |session| session.attributes.len()), Some(1));
        assert_eq!(group.managers[at].1.with("A.n2", |session| session.primary), Some(at == 1));
    }
    group.run(|manager, now, out| manager.invalidate("A.n2", now, out), 1).unwrap();
    assert!(group.managers.iter().all(|(_, manager)| manager.store().is_empty()));
}

#[test]
fn what_tomcat_sends_is_applied() {
    let group = Group::new(1);
    let (from, manager) = (Group::member(7), &group.managers[0].1);
    let mut out = Vec::new();
    for (name, bytes) in vectors(MESSAGES) {
        let Ok(Some(message)) = SessionMessage::decode(&bytes) else { continue };
        if name == "created-default" || name.starts_with("delta-") && name != "delta-principal" {
            manager.on_message(&from, &message, 5, &mut out);
        }
    }
    let id = "CC8F1C4433BF027C786C9B6C57BB467D.n1";
    let names = manager.with(id, |session| session.attributes.keys().map(|name| name.to_string()).collect::<Vec<_>>());
    let expected = "bool bytes date dbl dec enum exc hset list lmap map pojo str uni";
    assert_eq!(names.unwrap().join(" "), expected);
    assert_eq!(manager.with(id, |session| session.max_inactive), Some(600));
    assert!(out.is_empty());
    let (_, manager) = &group.managers[0];
    let change = vector("change-id-reroute");
    manager.on_message(&from, &SessionMessage::decode(&change).unwrap().unwrap(), 6, &mut out);
    assert!(manager.with("CC8F1C4433BF027C786C9B6C57BB467D.n2", |_| ()).is_some());
}

#[test]
fn a_node_that_starts_gets_all_sessions() {
    for send_all in [true, false] {
        let mut group = Group::new(0);
        group.add(Config { send_all, send_size: 2, send_wait: 100, ..Config::default() });
        for n in 0..7 {
            let id = format!("S{n}.n1");
            group.create(0, &id);
            group.request(0, &id, |manager| manager.set_attribute(&id, "n", Value::string(&id)).unwrap());
        }
        group.add(Config::default());
        let ready = |group: &Group| group.managers[1].1.is_ready();
        assert_eq!(ready(&group), send_all);
        for _ in 0..10 {
            group.now += 100;
            group.run(|manager, now, out| manager.poll(now, out), 0);
        }
        assert!(ready(&group));
        for n in 0..7 {
            let id = format!("S{n}.n1");
            assert_eq!(group.text(1, &id, "n"), Some(id));
        }
        // No session is lost when the first node goes and comes back.
        group.kill(0);
        assert!(group.request(0, "S0.n1", |_| ()));
        group.add(Config::default());
        assert_eq!(group.managers[1].1.store().len(), 7);
    }
}

/// While a node waits, what others say waits as well, and is heard if it is newer than what came.
#[test]
fn messages_during_a_transfer_are_heard_after_it() {
    let mut group = Group::new(2);
    group.create(0, "OLD.n1");
    let at = group.join(Config::default());
    let mut out = Vec::new();
    let manager = Arc::clone(&group.managers[at].1);
    manager.start(group.now, &mut out);
    assert_eq!(out.len(), 1);
    assert!(!manager.is_ready());
    group.now += 10;
    group.create(1, "NEW.n2");
    group.run(|manager, now, out| manager.invalidate("OLD.n1", now, out), 1).unwrap();
    assert!(manager.store().is_empty());
    // The answer was on its way: it holds the session that is over by now.
    let mut writer = StateWriter::payload(Vec::new());
    writer.session(&Session::new("OLD.n1", 5, 60), |_, _| true);
    let payload = writer.finish();
    let (first, taken) = (Group::member(0), group.now - 5);
    let mut out = Vec::new();
    manager.on_message(&first, &SessionMessage::whole(Event::AllData, APP, taken, Some(&payload)), 0, &mut out);
    assert_eq!(manager.store().len(), 1);
    manager.on_message(&first, &SessionMessage::whole(Event::TransferComplete, APP, taken, None), 0, &mut out);
    assert!(manager.is_ready());
    assert!(manager.with("OLD.n1", |_| ()).is_none());
    assert!(manager.with("NEW.n2", |_| ()).is_some());
}

#[test]
fn old_messages_are_dropped_after_a_transfer() {
    let mut group = Group::new(1);
    let at = group.join(Config::default());
    let manager = Arc::clone(&group.managers[at].1);
    let (first, mut out) = (Group::member(0), Vec::new());
    manager.start(100, &mut out);
    manager.on_message(&first, &SessionMessage::about(Event::Created, APP, "X", 150, None), 0, &mut out);
    manager.on_message(&first, &SessionMessage::about(Event::Created, APP, "Y", 200, None), 0, &mut out);
    manager.on_message(&first, &SessionMessage::whole(Event::TransferComplete, APP, 200, None), 0, &mut out);
    assert!(manager.with("X", |_| ()).is_none());
    assert!(manager.with("Y", |_| ()).is_some());
    assert!(group.logged("Drop message [SESSION-MODIFIED]"));
}

#[test]
fn a_question_always_gets_its_answer() {
    // From a node that waits itself, once it has its sessions.
    let mut group = Group::new(1);
    let at = group.join(Config::default());
    let manager = Arc::clone(&group.managers[at].1);
    let (third, mut out) = (Group::member(5), Vec::new());
    manager.start(100, &mut out);
    out.clear();
    manager.on_message(&third, &SessionMessage::whole(Event::GetAll, APP, 50, None), 0, &mut out);
    assert!(out.is_empty());
    manager.on_message(&Group::member(0), &SessionMessage::whole(Event::TransferComplete, APP, 90, None), 0, &mut out);
    assert_eq!(events(&out), [Event::AllData, Event::TransferComplete]);
    // From a node that waits for the very node that asks.
    let at = group.join(Config::default());
    let manager = Arc::clone(&group.managers[at].1);
    out.clear();
    manager.start(100, &mut out);
    out.clear();
    manager.on_message(&Group::member(0), &SessionMessage::whole(Event::GetAll, APP, 50, None), 0, &mut out);
    assert_eq!(events(&out), [Event::AllData, Event::TransferComplete, Event::GetAll]);
    assert!(matches!(&out[2].to, To::One(member) if member.same(&Group::member(1))));
    // For an application that is not here.
    out.clear();
    let listener = SessionListener::default();
    let question = SessionMessage::whole(Event::GetAll, "localhost#/other", 50, None).encode();
    let log: Log = Arc::new(|_, _, _| ());
    assert!(listener.on_message(&third, &question, 0, &log, &mut out));
    assert_eq!(events(&out), [Event::NoContextManager]);
}

fn events(out: &[Outgoing]) -> Vec<Event> {
    out.iter().map(|out| SessionMessage::decode(&out.bytes).unwrap().unwrap().event).collect()
}

#[test]
fn a_node_does_not_wait_for_ever() {
    let mut group = Group::new(2);
    let at = group.join(Config::default());
    let manager = Arc::clone(&group.managers[at].1);
    let mut out = Vec::new();
    manager.start(0, &mut out);
    // The one asked dies, the other does not have the application.
    group.kill(0);
    out.clear();
    manager.poll(100, &mut out);
    assert_eq!(events(&out), [Event::GetAll]);
    manager.on_message(&Group::member(1), &SessionMessage::whole(Event::NoContextManager, APP, 0, None), 0, &mut out);
    assert!(manager.is_ready());
    // Nobody answers.
    let mut group = Group::new(1);
    let at = group.join(Config { transfer_timeout: 2, ..Config::default() });
    let manager = Arc::clone(&group.managers[at].1);
    manager.start(0, &mut out);
    manager.poll(1999, &mut out);
    assert!(!manager.is_ready());
    manager.poll(2000, &mut out);
    assert!(manager.is_ready());
    assert!(group.logged("No session state sent"));
}

#[test]
fn the_owner_tells_when_a_session_expires_and_a_copy_waits() {
    let mut group = Group::new(2);
    group.create(0, "A");
    group.request(0, "A", |manager| manager.set_max_inactive("A", 10).unwrap());
    group.now += 10_000;
    group.run(|manager, now, out| manager.sweep(now, out), 1);
    assert_eq!(group.managers[1].1.store().len(), 1);
    group.run(|manager, now, out| manager.sweep(now, out), 0);
    assert!(group.managers.iter().all(|(_, manager)| manager.store().is_empty()));
    // The owner is dead.
    group.create(0, "B");
    group.request(0, "B", |manager| manager.set_max_inactive("B", 10).unwrap());
    group.kill(0);
    group.now += 19_999;
    assert!(group.run(|manager, now, out| manager.exists("B", now, out), 0));
    group.now += 1;
    assert!(!group.run(|manager, now, out| manager.exists("B", now, out), 0));
    // Never.
    group.create(0, "C");
    group.request(0, "C", |manager| manager.set_max_inactive("C", 0).unwrap());
    group.now += 1 << 40;
    assert!(group.request(0, "C", |_| ()));
}

#[test]
fn filtered_attributes_stay_at_home() {
    let mut group = Group::new(0);
    let name_filter = Some(Config::filter("pub.*").unwrap());
    let class_filter = Some(Config::filter("java\\.lang\\..*").unwrap());
    group.add(Config { name_filter, class_filter, ..Config::default() });
    group.add(Config::default());
    group.create(0, "A");
    group.request(0, "A", |manager| {
        manager.set_attribute("A", "pub", Value::string("x")).unwrap();
        manager.set_attribute("A", "public", Value::date(5)).unwrap();
        manager.set_attribute("A", "xpub", Value::string("x")).unwrap();
    });
    assert_eq!(group.managers[0].1.with("A", |session| session.attributes.len()), Some(3));
    assert_eq!(group.managers[1].1.with("A", |session| session.attributes.len()), Some(1));
    group.add(Config::default());
    assert_eq!(group.managers[2].1.with("A", |session| session.attributes.len()), Some(1));
}

#[test]
fn a_session_is_ended_elsewhere_only_if_the_node_is_told_so() {
    for expire_on_shutdown in [false, true] {
        let mut group = Group::new(0);
        group.add(Config { expire_on_shutdown, ..Config::default() });
        group.add(Config::default());
        group.create(0, "A");
        group.run(|manager, now, out| manager.stop(now, out), 0);
        assert_eq!(group.managers[1].1.store().is_empty(), expire_on_shutdown);
    }
}

#[test]
fn nothing_is_sent_where_nobody_is() {
    let mut group = Group::new(1);
    group.create(0, "A");
    assert!(group.request(0, "A", |manager| manager.set_attribute("A", "k", Value::null()).unwrap()));
    group.run(|manager, now, out| manager.change_id("A", "B", now, out), 0).unwrap();
    group.run(|manager, now, out| manager.invalidate("B", now, out), 0).unwrap();
    assert_eq!(group.carried, 0);
}

/// One attribute that cannot be carried is left out of its session; one that cannot be read ends what can be read.
#[test]
fn a_bad_attribute_is_set_aside() {
    let mut writer = Writer::new();
    writer.integer(2);
    let head = |writer: &mut Writer, id: &str| {
        writer.long(1);
        writer.long(1);
        writer.integer(60);
        writer.boolean(false);
        writer.boolean(true);
        writer.long(1);
        writer.long(0);
        writer.bool(false);
        writer.string(id);
        writer.null();
        writer.null();
    };
    head(&mut writer, "BAD");
    writer.integer(2);
    writer.string("broken");
    let mut stream = writer.finish();
    // The writer met something that is not serializable.
    stream.extend([0x7b, 0x70]);
    let mut writer = Writer::part(0);
    writer.string("good");
    writer.string("x");
    writer.integer(0);
    head(&mut writer, "GOOD");
    writer.integer(0);
    writer.integer(0);
    stream.extend(writer.finish());
    let group = Group::new(1);
    let (from, manager) = (Group::member(5), &group.managers[0].1);
    let message = |payload| SessionMessage::whole(Event::AllData, APP, 0, Some(payload));
    manager.on_message(&from, &message(&stream), 0, &mut Vec::new());
    assert_eq!(group.text(0, "BAD", "good").as_deref(), Some("x"));
    assert!(manager.with("GOOD", |_| ()).is_some());
    assert!(group.logged("attribute [broken] of session [BAD] is left out"));
    // Cut off in the second session: the first one is kept, and the transfer ends as it should.
    manager.store().clear();
    manager.on_message(&from, &message(&stream[..stream.len() - 10]), 0, &mut Vec::new());
    assert_eq!(manager.store().len(), 1);
    assert!(group.logged("can only be read in part"));
}

#[test]
fn observers_hear_what_others_do() {
    #[derive(Default)]
    struct Count(AtomicUsize);
    impl Observer for Count {
        fn created(&self, _: &str) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        fn attribute(&self, _: &str, _: &str, value: Option<&Value>) {
            self.0.fetch_add(if value.is_some() { 10 } else { 100 }, Ordering::Relaxed);
        }
        fn destroyed(&self, _: &str) {
            self.0.fetch_add(1000, Ordering::Relaxed);
        }
    }
    let mut group = Group::new(1);
    let count = Arc::new(Count::default());
    let observer = Some(Arc::clone(&count) as Arc<dyn Observer>);
    let manager = DeltaManager::new(APP, Config::default(), Arc::new(|_, _, _| ()), observer);
    group.managers.push((Group::member(1), Arc::new(manager)));
    group.meet();
    group.run(|manager, now, out| manager.start(now, out), 1);
    group.create(0, "A");
    group.request(0, "A", |manager| manager.set_attribute("A", "k", Value::integer(1)).unwrap());
    group.request(0, "A", |manager| manager.remove_attribute("A", "k").unwrap());
    group.run(|manager, now, out| manager.invalidate("A", now, out), 0).unwrap();
    assert_eq!(count.0.load(Ordering::Relaxed), 1111);
}

#[test]
fn too_many_sessions_are_refused() {
    let manager = DeltaManager::new(APP, Config { max_active: 1, ..Config::default() }, Arc::new(|_, _, _| ()), None);
    assert_eq!(manager.create("A", 0), Ok(()));
    assert_eq!(manager.create("B", 0), Err(TooMany(1)));
}

proptest! {
    #[test]
    fn no_byte_of_a_payload_can_do_harm(which in 0..100_usize, at in any::<prop::sample::Index>(), byte: u8) {
        let vectors: Vec<_> = vectors(MESSAGES).collect();
        let bytes = &vectors[which % vectors.len()].1;
        let Ok(Some(message)) = SessionMessage::decode(bytes) else { return Ok(()) };
        let mut payload = message.payload.unwrap_or_default().to_vec();
        if payload.is_empty() {
            return Ok(());
        }
        let at = at.index(payload.len());
        payload[at] = byte;
        let group = Group::new(1);
        let manager = &group.managers[0].1;
        manager.store().insert(Session::new(&message.session, 0, 60));
        let message = SessionMessage { payload: Some(&payload), ..message };
        manager.on_message(&Group::member(5), &message, 0, &mut Vec::new());
        let mut writer = StateWriter::payload(Vec::new());
        manager.store().each(|session| writer.session(session, |_, _| true));
        let count = manager.store().len();
        prop_assert_eq!(sessions(&writer.finish()).len(), count);
    }
}

//! Sessions of a whole application between two nodes: nothing is lost, in bounded memory.

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::sync::Arc;

use tandem::codec::java::Value;
use tandem::codec::tribes::Member;
use tandem::node::delta::{Config, DeltaManager, Event, SessionMessage};

const APP: &str = "localhost#/clu";

fn member(n: u8) -> Member {
    Member::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, n)), 4000, [n; 16])
}

/// A session of about 2 KiB: what a shop keeps of its user.
fn fill(manager: &DeltaManager, id: &str) {
    let mut out = Vec::new();
    manager.create(id, 1000).unwrap();
    manager.set_attribute(id, "user", Value::string(&format!("user of {id}"))).unwrap();
    manager.set_attribute(id, "visits", Value::integer(7)).unwrap();
    manager.set_attribute(id, "basket", Value::bytes(&[7; 1200])).unwrap();
    let words: Vec<Value> = (0..20).map(|n| Value::string(&format!("article number {n:05}"))).collect();
    manager.set_attribute(id, "seen", Value::list(&words)).unwrap();
    manager.replicate(id, 1000, &mut out);
    manager.end(id, 1000, &mut out);
}

/// What a node that starts gets of one that is there; how much was sent.
fn transfer(from: &DeltaManager, to: &DeltaManager) -> usize {
    let mut out = Vec::new();
    let question = SessionMessage::whole(Event::GetAll, APP, 2000, None).encode();
    let question = SessionMessage::decode(&question).unwrap().unwrap();
    from.on_message(&member(2), &question, 2000, &mut out);
    let mut bytes = 0;
    for outgoing in out {
        bytes += outgoing.bytes.len();
        let message = SessionMessage::decode(&outgoing.bytes).unwrap().unwrap();
        to.on_message(&member(1), &message, 2000, &mut Vec::new());
    }
    bytes
}

/// Resident memory of this process.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn manager() -> DeltaManager {
    let manager = DeltaManager::new(APP, Config::default(), Arc::new(|_, _, _| ()), None);
    manager.start(0, &mut Vec::new());
    manager
}

#[test]
fn every_session_arrives_as_it_was() {
    let (from, to) = (manager(), manager());
    for n in 0..500 {
        fill(&from, &format!("{n:032}.n1"));
    }
    transfer(&from, &to);
    assert_eq!(to.store().len(), 500);
    from.store().each(|session| {
        let same = to.with(&session.id, |other| {
            assert_eq!(other.attributes, session.attributes);
            (other.created, other.max_inactive) == (session.created, session.max_inactive)
        });
        assert_eq!(same, Some(true), "{}", session.id);
    });
}

/// Memory is measured in a process of its own, where nothing else is made meanwhile.
#[test]
fn a_replicated_session_takes_little_memory() {
    let exe = std::env::current_exe().unwrap();
    let mut child = Command::new(exe);
    child.args(["--exact", "sessions::ten_thousand_alone", "--ignored", "--nocapture"]);
    let output = child.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "runs in a process of its own"]
fn ten_thousand_alone() {
    const COUNT: usize = 10_000;
    let from = manager();
    for n in 0..COUNT {
        fill(&from, &format!("{n:032}.n1"));
    }
    let question = SessionMessage::whole(Event::GetAll, APP, 2000, None);
    let mut out = Vec::new();
    from.on_message(&member(2), &question, 2000, &mut out);
    let (to, before) = (manager(), resident());
    for outgoing in &out {
        let message = SessionMessage::decode(&outgoing.bytes).unwrap().unwrap();
        to.on_message(&member(1), &message, 2000, &mut Vec::new());
    }
    assert_eq!(to.store().len(), COUNT);
    // The sender's sessions are still there, so that nothing it gave up is used again.
    let each = resident().saturating_sub(before) / COUNT;
    assert!(each <= 4096, "{each} bytes");
}

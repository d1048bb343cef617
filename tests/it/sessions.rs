//! Sessions of a whole application between two nodes: nothing is lost, in bounded memory.

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

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
    manager.create(id, 1000, &mut out).unwrap();
    manager.set_attribute(id, "user", Value::string(&format!("user of {id}"))).unwrap();
    manager.set_attribute(id, "visits", Value::integer(7)).unwrap();
    manager.set_attribute(id, "basket", Value::bytes(&[7; 1200])).unwrap();
    let words: Vec<Value> = (0..20).map(|n| Value::string(&format!("article number {n:05}"))).collect();
    manager.set_attribute(id, "seen", Value::list(&words)).unwrap();
    manager.replicate(id, 1000, &mut out);
    manager.end(id, 1000);
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

/// Memory is measured in a process of its own.
#[test]
fn a_replicated_session_takes_little_memory() {
    let exe = std::env::current_exe().unwrap();
    let mut child = Command::new(exe);
    child.args(["--exact", "sessions::measure", "--ignored", "--nocapture"]).env("SESSIONS", "10000");
    let output = child.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let figure = text.lines().find_map(|line| line.strip_prefix("bytes of memory per session: ")).unwrap();
    assert!(figure.parse::<usize>().unwrap() <= 4096, "{text}");
}

/// `SESSIONS=100000 cargo test --release --test it sessions::measure -- --exact --ignored --nocapture`
#[test]
#[ignore = "prints figures"]
fn measure() {
    let count: usize = std::env::var("SESSIONS").map_or(100_000, |text| text.parse().unwrap());
    let from = manager();
    let start = Instant::now();
    for n in 0..count {
        fill(&from, &format!("{n:032}.n1"));
    }
    println!("sessions made per second: {:.0}", count as f64 / start.elapsed().as_secs_f64());
    let mut out = Vec::new();
    let question = SessionMessage::whole(Event::GetAll, APP, 2000, None);
    let start = Instant::now();
    from.on_message(&member(2), &question, 2000, &mut out);
    println!("seconds to write the state: {:.2}", start.elapsed().as_secs_f64());
    let payloads: Vec<Vec<u8>> = out.into_iter().map(|out| out.bytes).collect();
    let bytes: usize = payloads.iter().map(Vec::len).sum();
    println!("bytes of a session in the state: {}", bytes / count);
    let (to, before) = (manager(), resident());
    let start = Instant::now();
    for payload in &payloads {
        let message = SessionMessage::decode(payload).unwrap().unwrap();
        to.on_message(&member(1), &message, 2000, &mut Vec::new());
    }
    println!("seconds to read the state: {:.2}", start.elapsed().as_secs_f64());
    assert_eq!(to.store().len(), count);
    // The sender's sessions are still there, so that nothing it gave up is used again.
    println!("bytes of memory per session: {}", resident().saturating_sub(before) / count);
    deltas(&to, count.min(100_000));
}

/// Processor time of one changed attribute, from the application's call to the other node's session.
fn deltas(to: &DeltaManager, count: usize) {
    let from = manager();
    from.set_members([member(2)].into());
    let id = format!("{:032}.n1", 0);
    let mut out = Vec::new();
    from.create(&id, 1000, &mut out).unwrap();
    out.clear();
    let mut messages = Vec::with_capacity(count);
    let start = Instant::now();
    for n in 0..count {
        from.begin(&id, 1000, &mut out);
        from.set_attribute(&id, "visits", Value::integer(n as i32)).unwrap();
        from.replicate(&id, 1000, &mut out);
        from.end(&id, 1000);
        messages.append(&mut out);
    }
    println!("microseconds to make a delta: {:.2}", start.elapsed().as_secs_f64() * 1e6 / count as f64);
    let start = Instant::now();
    for outgoing in &messages {
        let message = SessionMessage::decode(&outgoing.bytes).unwrap().unwrap();
        to.on_message(&member(1), &message, 2000, &mut Vec::new());
    }
    println!("microseconds to apply a delta: {:.2}", start.elapsed().as_secs_f64() * 1e6 / count as f64);
    let last = to.with(&id, |session| session.attributes.get("visits").and_then(Value::as_integer));
    assert_eq!(last, Some(Some(count as i32 - 1)));
}

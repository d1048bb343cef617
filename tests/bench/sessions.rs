//! What replicated sessions cost: `cargo bench --bench sessions`, or `cargo bench --bench sessions -- 10000` for
//! another number of them than 100,000.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use tandem::codec::java::Value;
use tandem::codec::tribes::Member;
use tandem::node::delta::{Config, DeltaManager, Event, SessionMessage};

const APP: &str = "localhost#/clu";

fn member(n: u8) -> Member {
    Member::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, n)), 4000, [n; 16])
}

fn manager() -> DeltaManager {
    let manager = DeltaManager::new(APP, Config::default(), Arc::new(|_, _, _| ()), None);
    manager.start(0, &mut Vec::new());
    manager
}

/// A session of about 2 KiB: what a shop keeps of its user.
fn fill(manager: &DeltaManager, id: &str) {
    let mut out = Vec::new();
    manager.create(id, 1000).expect("a new id");
    let words: Vec<Value> = (0..20).map(|n| Value::string(&format!("article number {n:05}"))).collect();
    for (name, value) in [
        ("user", Value::string(&format!("user of {id}"))),
        ("visits", Value::integer(7)),
        ("basket", Value::bytes(&[7; 1200])),
        ("seen", Value::list(&words)),
    ] {
        manager.set_attribute(id, name, value).expect("the session is there");
    }
    manager.replicate(id, 1000, &mut out);
    manager.end(id, 1000, &mut out);
}

/// Resident memory of this process.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number of pages") * 4096
}

fn main() {
    let count = std::env::args().find_map(|word| word.parse().ok()).unwrap_or(100_000);
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
    println!("bytes of a session in the state: {}", payloads.iter().map(Vec::len).sum::<usize>() / count);
    let (to, before) = (manager(), resident());
    let start = Instant::now();
    for payload in &payloads {
        let message = SessionMessage::decode(payload).expect("our own message").expect("a whole message");
        to.on_message(&member(1), &message, 2000, &mut Vec::new());
    }
    println!("seconds to read the state: {:.2}", start.elapsed().as_secs_f64());
    assert_eq!(to.store().len(), count);
    // The sender's sessions are still there, so that nothing it gave up is used again.
    println!("bytes of memory per session: {}", resident().saturating_sub(before) / count);
    deltas(&to, count.min(100_000));
}

/// Time of one changed attribute, from the application's call to the other node's session.
fn deltas(to: &DeltaManager, count: usize) {
    let from = manager();
    from.set_members([member(2)].into());
    let id = format!("{:032}.n1", 0);
    let mut out = Vec::new();
    from.create(&id, 1000).expect("a new id");
    from.replicate(&id, 1000, &mut out);
    out.clear();
    let mut messages = Vec::with_capacity(count);
    let start = Instant::now();
    for n in 0..count {
        from.begin(&id, 1000, &mut out);
        from.set_attribute(&id, "visits", Value::integer(n as i32)).expect("the session is there");
        from.replicate(&id, 1000, &mut out);
        from.end(&id, 1000, &mut out);
        messages.append(&mut out);
    }
    println!("microseconds to make a delta: {:.2}", start.elapsed().as_secs_f64() * 1e6 / count as f64);
    let start = Instant::now();
    for outgoing in &messages {
        let message = SessionMessage::decode(&outgoing.bytes).expect("our own message").expect("a whole message");
        to.on_message(&member(1), &message, 2000, &mut Vec::new());
    }
    println!("microseconds to apply a delta: {:.2}", start.elapsed().as_secs_f64() * 1e6 / count as f64);
    let last = to.with(&id, |session| session.attributes.get("visits").and_then(Value::as_integer));
    assert_eq!(last, Some(Some(count as i32 - 1)));
}

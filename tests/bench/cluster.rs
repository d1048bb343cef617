//! What replication costs, beside real Tomcats in the same run: `cargo bench --bench cluster`, as root.
//!
//! Two Tomcats and two nodes of ours, each pair a cluster of its own, get the same requests by turns; each makes a
//! session with one attribute of 2 KiB. First with the default send options, then with acknowledgements. Processor time counts, of both members of a pair: what the machine does beside
//! disturbs that least. Then a node that holds 100,000 such sessions gives them to a fresh one.
//!
//! `SESSIONS=20000` makes that many instead; the exit status is 1 if a bound is missed.

#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[allow(dead_code)]
#[path = "../it/cluster/lab.rs"]
mod lab;
#[path = "../it/support/mod.rs"]
mod support;

use lab::{Kind, Lab};
use support::wait_for;

/// Without acknowledgements, as by default, a Tomcat loses a part of the changes and does so much less than ours; with
/// them both do the same, and most of it is waiting for each other.
const OPTIONS: [u32; 2] = [8, 6];
/// Connections that ask at a time.
const CLIENTS: usize = 4;
/// Sessions of a turn, and turns. The first turn only warms up.
const TURN: usize = 4000;
const TURNS: usize = 6;
const ATTRIBUTE: usize = 2048;

fn main() -> ExitCode {
    // Of `cargo test --benches` and the like nothing is expected.
    if std::env::args().any(|word| word == "--test") {
        return ExitCode::SUCCESS;
    }
    let mut good = OPTIONS.map(replication).to_vec();
    good.push(transfer());
    if good.contains(&false) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// A line of the report; whether the bound is kept.
fn verdict(what: &str, found: f64, unit: &str, bound: f64, at_least: bool) -> bool {
    let good = if at_least { found >= bound } else { found <= bound };
    let (side, mark) = (if at_least { "at least" } else { "at most" }, if good { "good" } else { "MISSED" });
    println!("{what}: {found:.2} {unit} ({side} {bound} {unit}: {mark})");
    good
}

/// Sessions per second of processor time of a pair.
#[derive(Default)]
struct Pair {
    sessions: usize,
    seconds: f64,
    sender: f64,
    receiver: f64,
}

/// A Cluster element with these send options.
fn cluster(options: u32) -> String {
    format!("<Cluster className='org.apache.catalina.ha.tcp.SimpleTcpCluster' channelSendOptions='{options}'/>")
}

fn replication(options: u32) -> bool {
    let kinds = [[Kind::Tomcat; 2], [Kind::Tandem; 2]];
    let mut labs: Vec<Lab> = Vec::new();
    for pair in &kinds {
        let Some(mut lab) = Lab::new("bench", pair) else { return false };
        lab.java = vec!["-Xmx1g"];
        lab.configure(&cluster(options), &[]);
        lab.start(1);
        lab.start(2);
        lab.knows(1, 2);
        lab.knows(2, 1);
        labs.push(lab);
    }
    let mut pairs = [Pair::default(), Pair::default()];
    for turn in 0..TURNS {
        for (lab, pair) in labs.iter().zip(&mut pairs) {
            let before = [cpu(lab, 1), cpu(lab, 2)];
            let started = Instant::now();
            let last = make_sessions(lab, TURN);
            let seconds = started.elapsed().as_secs_f64();
            for id in last {
                // Its id has another route there.
                let at_second = || lab.ask(2, "", Some(&id)).filter(|shown| shown.id[..32] == id[..32]);
                wait_for("the last sessions at the other node", Duration::from_secs(60), at_second);
            }
            if turn > 0 {
                pair.sessions += TURN;
                pair.seconds += seconds;
                pair.sender += cpu(lab, 1) - before[0];
                pair.receiver += cpu(lab, 2) - before[1];
            }
        }
    }
    println!("channelSendOptions={options}");
    println!("{:>24} {:>12} {:>12} {:>12} {:>14}", "", "sessions/s", "sender µs", "receiver µs", "sessions/core-s");
    let rates = ["Tomcat, Tomcat", "tandem-node, tandem-node"].iter().zip(&pairs).map(|(name, pair)| {
        let each = |seconds: f64| seconds * 1e6 / pair.sessions as f64;
        let rate = pair.sessions as f64 / (pair.sender + pair.receiver);
        let wall = pair.sessions as f64 / pair.seconds;
        println!("{name:>24} {wall:>12.0} {:>12.1} {:>12.1} {rate:>14.0}", each(pair.sender), each(pair.receiver));
        rate
    });
    let rates: Vec<f64> = rates.collect();
    let receiving = pairs[0].receiver / pairs[1].receiver;
    let all = verdict("sessions replicated per core, to Tomcat's", rates[1] / rates[0], "times", 3.0, true);
    println!("a session taken, to Tomcat's: {receiving:.2} times");
    all
}

/// A fresh node takes over what another holds.
fn transfer() -> bool {
    let sessions = std::env::var("SESSIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let Some(mut lab) = Lab::new("bench", &[Kind::Tandem; 2]) else { return false };
    lab.configure(&cluster(8), &[]);
    lab.start(1);
    make_sessions(&lab, sessions);
    println!("{sessions} sessions at their maker: {:.0} bytes each", memory(&lab, 1, "VmRSS") / sessions as f64);
    lab.start(2);
    let log = lab.log(2);
    let line = log
        .lines()
        .find(|line| line.contains("[localhost#/clu]; session state sent at"))
        .unwrap_or_else(|| panic!("{log}"));
    let millis: f64 =
        line.split("received in [").nth(1).and_then(|rest| rest.split(']').next()).unwrap().parse().unwrap();
    let factor = sessions as f64 / 100_000.0;
    let most = memory(&lab, 2, "VmHWM") / f64::from(1 << 20);
    let each = memory(&lab, 2, "VmRSS") / sessions as f64;
    let giver = memory(&lab, 1, "VmHWM") / f64::from(1 << 20);
    println!("the giver's peak: {giver:.0} MiB");
    let good = [
        verdict("state transfer", millis / 1000.0, "s", 10.0 * factor, false),
        verdict("the fresh node's peak", most, "MiB", 600.0 * factor, false),
        verdict("a replicated session", each, "bytes", 4096.0, false),
    ];
    !good.contains(&false)
}

/// Processor seconds of a node so far.
fn cpu(lab: &Lab, number: usize) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", lab.pid(number))).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).unwrap().unwrap();
    ticks / per_second as f64
}

/// A line of a node's status, in bytes.
fn memory(lab: &Lab, number: usize, name: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", lab.pid(number))).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0
}

/// Makes sessions at the first node; the last ones' ids.
fn make_sessions(lab: &Lab, count: usize) -> Vec<String> {
    let namespace = File::open(format!("/var/run/netns/{}", lab.namespace(1))).unwrap();
    let client = |share: usize| {
        let namespace = namespace.try_clone().unwrap();
        move || {
            nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            let connect = || {
                let stream = TcpStream::connect("10.77.0.1:8080").unwrap();
                stream.set_nodelay(true).unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
                stream
            };
            let mut stream = connect();
            let value = "v".repeat(ATTRIBUTE);
            let body = format!("op=set&name=a&type=string&value={value}");
            let request = format!(
                "POST /clu/s.jsp HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let mut last = String::new();
            for n in 1..=share {
                // Both kinds close a connection after 100 requests.
                if n % 100 == 0 {
                    stream = connect();
                }
                stream.write_all(request.as_bytes()).unwrap();
                last = answer(&mut stream);
            }
            last
        }
    };
    let shares = (0..CLIENTS).map(|n| count / CLIENTS + usize::from(n < count % CLIENTS));
    let threads: Vec<_> = shares.map(|share| std::thread::spawn(client(share))).collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

/// Reads a response to its end; the session's id in its cookie.
fn answer(stream: &mut TcpStream) -> String {
    let (mut read, mut piece) = (Vec::new(), [0; 16384]);
    loop {
        let n = stream.read(&mut piece).unwrap();
        assert!(n > 0, "closed: {}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&piece[..n]);
        let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&read[..end]).into_owned();
        assert!(head.starts_with("HTTP/1.1 200") || head.starts_with("HTTP/1.1 303"), "{head}");
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        let done = match field("Content-Length: ") {
            Some(length) => read.len() >= end + 4 + length.trim().parse::<usize>().unwrap(),
            None => read.ends_with(b"0\r\n\r\n"),
        };
        if done {
            let cookie = field("Set-Cookie: JSESSIONID=").unwrap_or_else(|| panic!("{head}"));
            return cookie.split(';').next().unwrap_or_default().to_owned();
        }
    }
}

//! What clients notice of reloads, of ours and of other servers in one run:
//!
//! ```text
//! cargo bench --bench reload -- [--tandem FILE] [--only NAME,…] [--clients 200] [--streams 20] [--sockets 20]
//!                               [--reloads 50] [--seconds 30] [--rest 10] [--pause MS]
//!                               [--parts load,crash,hosts,slow] [--hosts 2000] [--again 100] [--slow 2000]
//! ```
//!
//! Each server in turn balances kept-alive HTTP/1.1 clients, HTTP/2 clients and WebSockets over two members, first left
//! alone for `rest` seconds, then reloaded `reloads` times in `seconds`, between two configurations that differ in a
//! member, a virtual host and the place of the access log. Half of the requests have bodies, sent in pieces.
//!
//! - *failed*: requests without an answer, or with another one than 200
//! - *cut*: connections that ended without `Connection: close` or GOAWAY; *told*: with
//! - *lost*: WebSockets that ended
//! - *lines*: access log lines lost / torn / double
//! - *p99*: of requests begun while left alone, and during the reloads
//!
//! That is `load`. Two other parts measure ours alone: `crash` kills the server process and the steward, `hosts` reloads
//! a configuration of many virtual hosts `again` times. `slow` lets slow readers and writers stand beside other clients,
//! of ours and of other servers.
//!
//! The exit status is 1 when ours is not perfect: anything failed, cut or lost, p99 more than doubled (by slow clients:
//! half as much again); served again later than 200 ms after a crash; a reload of more than a second of processor time,
//! or that holds a thread up for a millisecond, or memory that grew by more than a tenth.

// Here a failed unwrap ends the run, and nothing is public.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod clients;
mod ours;
mod process;
mod servers;
mod slow;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clients::{Load, Origin, Outcome};
use servers::{KINDS, Kind, Members, Server};

struct Plan {
    load: Load,
    reloads: u32,
    during: Duration,
    rest: Duration,
    tandem: PathBuf,
    only: Option<Vec<String>>,
    parts: Vec<String>,
    hosts: usize,
    again: usize,
    slow: usize,
}

impl Plan {
    /// Whether this kind of server takes part.
    fn wants(&self, kind: &Kind) -> bool {
        self.only.as_ref().is_none_or(|only| only.iter().any(|name| name == kind.name))
    }

    /// What to start for it, where that is not its own program.
    fn program(&self, kind: &Kind) -> Option<&Path> {
        (kind.name == "tandem").then_some(self.tandem.as_path())
    }
}

fn plan() -> Plan {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let text = |name: &str| words.iter().position(|word| word == name).and_then(|at| words.get(at + 1)).cloned();
    let number = |name: &str, usual: u64| text(name).map_or(usual, |word| word.parse().expect("a number"));
    let size = |name: &str, usual| usize::try_from(number(name, usual)).expect("a size");
    Plan {
        load: Load {
            clients: size("--clients", 200),
            streams: size("--streams", 20),
            sockets: size("--sockets", 20),
            pause: Duration::from_millis(number("--pause", 100)),
        },
        reloads: u32::try_from(number("--reloads", 50)).expect("a number"),
        during: Duration::from_secs(number("--seconds", 30)),
        rest: Duration::from_secs(number("--rest", 10)),
        tandem: text("--tandem").map_or_else(|| env!("CARGO_BIN_EXE_tandem").into(), PathBuf::from),
        only: text("--only").map(|names| names.split(',').map(str::to_owned).collect()),
        parts: text("--parts").as_deref().unwrap_or("load,crash,hosts,slow").split(',').map(str::to_owned).collect(),
        hosts: size("--hosts", 2000),
        again: size("--again", 100),
        slow: size("--slow", 2000),
    }
}

/// Access log lines that are lost, torn and double.
fn lines(log: &str, seen: &Outcome) -> [usize; 3] {
    let mut found: HashMap<&str, usize> = HashMap::new();
    let mut torn = 0;
    for line in log.lines().filter(|line| line.contains("/p/")) {
        match line.split_once(' ') {
            Some((target, status)) if target.starts_with("/p/") && status.len() == 3 => {
                *found.entry(target).or_default() += 1
            }
            _ => torn += 1,
        }
    }
    let lost = seen.answered.iter().filter(|target| !found.contains_key(target.as_str())).count();
    [lost, torn, found.values().filter(|times| **times > 1).count()]
}

/// One server's run; whether it was perfect.
fn run(kind: Kind, plan: &Plan, root: &Path, members: Members) -> Result<bool, String> {
    let server = Server::start(kind, root, plan.program(&kind), members)?;
    let over = Arc::new(AtomicBool::new(false));
    let clients = clients::run(plan.load, server.target, &over);
    let begun = Instant::now();
    // Everybody connects in the first second.
    std::thread::sleep(Duration::from_secs(1) + plan.rest);
    let middle = Instant::now();
    for reload in 1..=plan.reloads {
        server.reload(reload % 2 == 1);
        std::thread::sleep((plan.during * reload / plan.reloads).saturating_sub(middle.elapsed()));
    }
    let end = Instant::now();
    over.store(true, Ordering::Relaxed);
    let seen = clients.join().map_err(|_| "a client gave up".to_owned())?;
    let loaded = server.loaded();
    let log = server.stop();
    let lines = lines(&log, &seen);
    let rest = seen.p99(begun + Duration::from_secs(1), middle);
    let during = seen.p99(middle, end);
    println!(
        "{:8} {:8} {:7} {:6} {:6} {:5} {:>12} {:>9.1?} {:>9.1?} {:>6.2}",
        kind.name,
        seen.answered.len(),
        seen.failed.len(),
        seen.cut,
        seen.told,
        seen.lost,
        lines.map(|count| count.to_string()).join("/"),
        rest,
        during,
        during.as_secs_f64() / rest.as_secs_f64().max(1e-9)
    );
    if let Some(first) = seen.failed.first() {
        println!("         first failure: {first}");
    }
    if loaded > 0 {
        println!("         {} configurations taken", loaded);
    }
    Ok(seen.failed.is_empty() && seen.cut == 0 && seen.lost == 0 && lines == [0; 3] && during <= rest * 2)
}

/// All servers under the same load, one after the other; whether ours was perfect.
fn load(plan: &Plan, root: &Path) -> bool {
    let origins = [(); 4].map(|()| Origin::start());
    let [kept, odd, even, sockets] = origins.each_ref().map(|origin| origin.port);
    let members = Members { kept, odd, even, sockets };
    println!("{:?}, {} reloads in {:?}", plan.load, plan.reloads, plan.during);
    println!("server   answered  failed    cut   told  lost        lines  p99 rest p99 reload  ratio");
    let mut perfect = true;
    for kind in KINDS.into_iter().filter(|kind| plan.wants(kind)) {
        match run(kind, plan, root, members) {
            Ok(done) => perfect &= done || kind.name != "tandem",
            Err(why) => {
                println!("{:8} {why}", kind.name);
                perfect &= kind.name != "tandem";
            }
        }
    }
    let asked: Vec<u64> = origins.iter().map(Origin::requests).collect();
    println!("requests at the origins: {asked:?}");
    perfect
}

fn main() -> ExitCode {
    let plan = plan();
    let root = std::env::temp_dir().join(format!("tandem-reload-{}", std::process::id()));
    let place = |name: &str| root.join(name);
    let mut perfect = true;
    for part in &plan.parts {
        perfect &= match part.as_str() {
            "load" => load(&plan, &root),
            "crash" => {
                ours::crash(&plan.tandem, &place("few"), 1) & ours::crash(&plan.tandem, &place("many"), plan.hosts)
            }
            "hosts" => ours::hosts(&plan.tandem, &place("hosts"), plan.hosts, plan.again),
            "slow" => slow::run(&plan, &place("slow")),
            other => panic!("no part {other}"),
        };
    }
    let _ = std::fs::remove_dir_all(&root);
    if perfect { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

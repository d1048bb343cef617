//! Our server alone: what a crash and a reload of many virtual hosts cost.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::process;

/// A server of ours.
pub struct Ours {
    root: PathBuf,
    pub port: u16,
    child: Child,
}

const PATIENCE: Duration = Duration::from_secs(60);

/// `probe` asked again and again until it has something.
pub fn wait<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < until, "no {what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

impl Ours {
    /// Starts `program` with `body` as the rest of its configuration, and waits until it serves.
    pub fn start(program: &Path, root: &Path, body: &str) -> Self {
        for dir in ["logs", "htdocs"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        fs::write(root.join("htdocs/index.html"), "it works\n").unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let mut server = Self { root: root.to_path_buf(), port, child: idle() };
        server.configure(body);
        let console = File::create(root.join("console")).unwrap();
        let mut command = Command::new(program);
        command.args(["-f", "main.conf", "-DFOREGROUND", "-d"]).arg(root).stdin(Stdio::null());
        let _ = server.child.wait();
        server.child = command.stdout(console.try_clone().unwrap()).stderr(console).spawn().unwrap();
        wait("answer", || server.get());
        server
    }

    /// Writes the configuration.
    pub fn configure(&self, body: &str) {
        let mut text = String::from("LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so\n");
        for module in "authz_core alias proxy proxy_http proxy_balancer slotmem_shm lbmethod_byrequests".split(' ') {
            let _ = writeln!(text, "LoadModule {module}_module /usr/lib/apache2/modules/mod_{module}.so");
        }
        let (root, port) = (self.root.display(), self.port);
        let _ = write!(
            text,
            "ServerRoot {root}\nListen 127.0.0.1:{port}\nServerName main\nPidFile pid\nErrorLog logs/error\n\
             LogLevel warn core:debug\nDocumentRoot htdocs\nKeepAliveTimeout 60\nMaxKeepAliveRequests 0\n{body}"
        );
        if nix::unistd::geteuid().is_root() {
            text += "User www-data\nGroup www-data\n";
        }
        fs::write(self.root.join("main.conf"), text).unwrap();
    }

    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// The process that serves.
    pub fn serving(&self) -> i32 {
        wait("server process", || match process::children(self.pid())[..] {
            [only] => Some(only),
            _ => None,
        })
    }

    /// One request on a connection of its own; `None` unless it is answered with 200.
    pub fn get(&self) -> Option<()> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.write_all(b"GET /index.html HTTP/1.1\r\nHost: v0.test\r\nConnection: close\r\n\r\n").ok()?;
        let mut text = Vec::new();
        stream.read_to_end(&mut text).ok()?;
        text.starts_with(b"HTTP/1.1 200").then_some(())
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// The error log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.root.join("logs/error")).unwrap_or_default()
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill(Pid::from_raw(self.pid()), Signal::SIGTERM);
        }
        let _ = self.child.wait();
    }
}

/// A process that has ended: in place of one that is not started yet.
fn idle() -> Child {
    Command::new("true").spawn().unwrap()
}

/// The middle and the largest of some times.
pub fn spread(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    let middle = times.get(times.len() / 2).copied().unwrap_or_default();
    (middle, times.last().copied().unwrap_or_default())
}

/// How long nothing is served after the server process has been killed, and how long it outlives the steward.
pub fn crash(program: &Path, root: &Path, hosts: usize) -> bool {
    let server = Ours::start(program, root, &many(hosts, 0));
    let mut times = Vec::new();
    for _ in 0..10 {
        // Not in a row: one that dies at once is started again only after a pause.
        std::thread::sleep(Duration::from_millis(1100));
        let dying = server.serving();
        kill(Pid::from_raw(dying), Signal::SIGKILL).unwrap();
        let killed = Instant::now();
        // Whoever connects is not refused; what the dying one took is lost.
        wait("answer", || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).expect("nobody is refused");
            (!process::is_there(dying)).then_some(())
        });
        wait("answer", || server.get());
        times.push(killed.elapsed());
    }
    let (middle, longest) = spread(times);
    println!("crash, {hosts} virtual hosts: served again after {middle:.1?}, at the latest {longest:.1?}; 0 refused");
    let child = server.serving();
    server.signal(Signal::SIGKILL);
    let killed = Instant::now();
    wait("end", || (!process::is_there(child)).then_some(()));
    let outlived = killed.elapsed();
    println!("crash: the server process ends {outlived:.1?} after its steward");
    longest < Duration::from_millis(200) && outlived < Duration::from_secs(1)
}

/// Many virtual hosts, each with a balancer of its own; `round` changes them.
fn many(hosts: usize, round: usize) -> String {
    let mut text = String::new();
    for host in 0..hosts {
        let _ = write!(
            text,
            "<VirtualHost *:*>\nServerName v{host}.test\nServerAlias www.v{host}.test\nProxyPass /static !\n\
             ProxyPass /index.html !\n<Proxy balancer://v{host}>\nBalancerMember http://127.0.0.1:{}\n\
             BalancerMember http://127.0.0.1:2 route=r{round}\n</Proxy>\nProxyPass / balancer://v{host}/\n</VirtualHost>\n",
            3 + round % 2
        );
    }
    text
}

/// Reloads of many virtual hosts.
pub fn hosts(program: &Path, root: &Path, hosts: usize, reloads: usize) -> bool {
    let begun = Instant::now();
    let server = Ours::start(program, root, &many(hosts, 0));
    let started = begun.elapsed();
    let child = server.serving();
    let memory = || process::memory(child) + process::memory(server.pid());
    // The allocator gives back what it does not need within a second or so.
    let rest = || {
        std::thread::sleep(Duration::from_secs(3));
        memory()
    };
    // What serving needs has been used once: each thread that serves has seen each host.
    visits(server.port, hosts, VISITORS * hosts, &AtomicBool::new(false));
    let (before, cost_before) = (rest(), process::processor(child) + process::processor(server.pid()));
    let quiet = reloads / 2;
    let reload = |round: usize| {
        server.configure(&many(hosts, round));
        server.signal(Signal::SIGUSR1);
        wait("reload", || (server.log().matches("no thread was held up").count() == round).then_some(()));
    };
    (1..=quiet).for_each(reload);
    let cost = process::processor(child) + process::processor(server.pid()) - cost_before;
    // The rest under load, so that threads have something to hold on to.
    let over = AtomicBool::new(false);
    let answered = std::thread::scope(|scope| {
        let clients = scope.spawn(|| visits(server.port, hosts, usize::MAX, &over));
        (quiet + 1..=reloads).for_each(reload);
        over.store(true, Ordering::Relaxed);
        clients.join().unwrap()
    });
    let after = rest();
    let log = server.log();
    let pauses =
        log.lines().filter_map(|line| line.split_once("no thread was held up for more than ")?.1.split(' ').next());
    let pauses: Vec<Duration> = pauses.filter_map(|micros| micros.parse().ok().map(Duration::from_micros)).collect();
    let (middle, longest) = spread(pauses);
    let each = cost / u32::try_from(quiet).unwrap_or(1).max(1);
    println!(
        "reload, {hosts} virtual hosts: start {started:.0?}; a reload takes {each:.0?} of processor time and holds a thread up \
         for {middle:.0?}, at the most {longest:.0?} of {reloads}; memory {before} KiB, after {reloads} reloads {after} KiB \
         ({:+.1} %); {answered} requests beside them",
        (after as f64 / before as f64 - 1.0) * 100.0
    );
    longest < Duration::from_millis(1) && each < Duration::from_secs(1) && after * 10 <= before * 11
}

/// How many clients visit the hosts.
const VISITORS: usize = 8;

/// Requests to one host after the other on kept-alive connections, until there were `most` or it is `over`; how many
/// were answered.
fn visits(port: u16, hosts: usize, most: usize, over: &AtomicBool) -> usize {
    let visit = |nth: usize| {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answered = 0;
        while answered < most / VISITORS && !over.load(Ordering::Relaxed) {
            ask(&mut stream, (answered + nth * hosts / VISITORS) % hosts);
            answered += 1;
            std::thread::sleep(Duration::from_millis(2));
        }
        answered
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..VISITORS).map(|nth| scope.spawn(move || visit(nth))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    })
}

/// One request on a kept-alive connection.
pub fn ask(stream: &mut TcpStream, host: usize) {
    stream.write_all(format!("GET /index.html HTTP/1.1\r\nHost: v{host}.test\r\n\r\n").as_bytes()).unwrap();
    let mut text = Vec::new();
    let mut part = [0; 4096];
    while !text.ends_with(b"it works\n") {
        let n = stream.read(&mut part).unwrap();
        assert!(n > 0, "the connection was cut");
        text.extend_from_slice(&part[..n]);
    }
    assert!(text.starts_with(b"HTTP/1.1 200"));
}

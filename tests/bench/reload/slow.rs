//! What clients that take their time cost the others.
//!
//! Others are measured three times a round: with nobody beside them, with slow clients at another server of the same kind
//! on the same machine, and with slow clients at the server that is measured. What the second costs is the price of the
//! slow clients themselves, who share the processors with all the rest; what the third costs above that is the server's.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::Plan;
use super::ours::{ask, spread};
use super::servers::{KINDS, Kind, Members, Server, is_root};

/// How often all of it is measured.
const ROUNDS: usize = 9;

/// How often a slow client does something.
const PACE: Duration = Duration::from_secs(1);

/// What it reads or writes then.
const SIP: (usize, usize) = (5 << 10, 50);

/// How long slow clients are left alone with a server before anybody measures, and it without them afterwards.
const SETTLE: Duration = Duration::from_millis(300);

/// What is sent is larger than what the system holds for a connection, of which the servers let it have this much: the
/// server has to wait for a slow reader, and is not done with it at once.
const LARGE: usize = 1 << 20;
const HELD: usize = 32 << 10;

/// All servers that serve files, one after the other; whether ours is fast enough.
pub fn run(plan: &Plan, root: &Path) -> bool {
    println!("{0} slow readers and {0} slow writers: nobody → they are elsewhere → they are here", plan.slow);
    println!("server         median [us]            p99 [us]     elsewhere   here (p99, times)");
    let mut good = true;
    for mut kind in KINDS.into_iter().filter(|kind| plan.wants(kind)) {
        kind.configure = match kind.name {
            "tandem" | "httpd" => httpd,
            "nginx" => nginx,
            // It serves no files.
            _ => continue,
        };
        match beside(kind, plan, root) {
            Ok(ratio) => good &= ratio <= 1.5 || kind.name != "tandem",
            Err(why) => {
                println!("{:8} {why}", kind.name);
                good &= kind.name != "tandem";
            }
        }
    }
    good
}

/// How many times longer others wait with slow clients beside them. They come and go between measurements, so that what
/// else the machine does hits all of them alike; the middle ones count.
fn beside(kind: Kind, plan: &Plan, root: &Path) -> Result<f64, String> {
    let start = |place: &str| {
        let server = Server::start(kind, &root.join(place), plan.program(&kind), Members::default())?;
        fs::write(server.root.join("htdocs/index.html"), "it works\n").map_err(|error| error.to_string())?;
        fs::write(server.root.join("htdocs/large"), vec![b'x'; LARGE]).map_err(|error| error.to_string())?;
        Ok::<_, String>(server)
    };
    let (here, elsewhere) = (start("here")?, start("elsewhere")?);
    let (here, elsewhere) = (here.target.http1, elsewhere.target.http1);
    let mut times = [(); 6].map(|()| Vec::new());
    for _ in 0..ROUNDS {
        let (nobody, there) = (latencies(here), with(elsewhere, plan.slow, || latencies(here)));
        let both = with(here, plan.slow, || latencies(here));
        for (times, time) in times.iter_mut().zip([nobody.0, there.0, both.0, nobody.1, there.1, both.1]) {
            times.push(time);
        }
    }
    let times = times.map(|times| spread(times).0);
    let micros = times.map(|time| time.as_micros());
    let ratio = |time: Duration| time.as_secs_f64() / times[3].as_secs_f64().max(1e-9);
    let [m, m_there, m_here, p, p_there, p_here] = micros;
    println!(
        "{:8} {m:>5} →{m_there:>5} →{m_here:>5}  {p:>5} →{p_there:>6} →{p_here:>6}  {:>9.2} {:>6.2}",
        kind.name,
        ratio(times[4]),
        ratio(times[5]),
    );
    Ok(ratio(times[5]))
}

/// The middle time of an answer on a kept-alive connection, and the 99th percentile.
fn latencies(port: u16) -> (Duration, Duration) {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let mut times: Vec<Duration> = (0..2000)
        .map(|_| {
            thread::sleep(Duration::from_micros(500));
            let begun = Instant::now();
            ask(&mut stream, 0);
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

/// What `measure` says while `slow` readers and as many writers are at a server.
fn with<T>(port: u16, slow: usize, measure: impl FnOnce() -> T) -> T {
    let clients: Vec<_> = (0..2 * slow).map(|at| Slow::connect(port, at)).collect();
    let over = AtomicBool::new(false);
    let measured = thread::scope(|scope| {
        scope.spawn(|| dawdle(clients, &over));
        thread::sleep(SETTLE);
        let measured = measure();
        over.store(true, Ordering::Relaxed);
        measured
    });
    thread::sleep(SETTLE);
    measured
}

/// One that has asked for something large, or has begun to send something: a head, or a body.
struct Slow {
    stream: TcpStream,
    reads: bool,
}

impl Slow {
    fn connect(port: u16, at: usize) -> Self {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        let request: &[u8] = match at % 4 {
            0 | 2 => b"GET /large HTTP/1.1\r\nHost: h\r\n\r\n",
            1 => b"POST /index.html HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n",
            _ => b"GET /index.html HTTP/1.1\r\nHost: h\r\nX-Long: ",
        };
        stream.write_all(request).unwrap();
        stream.set_nonblocking(true).unwrap();
        Self { stream, reads: at.is_multiple_of(2) }
    }

    /// Nothing may be there, and a server may have had enough.
    fn sip(&mut self) {
        let mut part = [b'x'; SIP.0];
        let _ = if self.reads { self.stream.read(&mut part) } else { self.stream.write(&part[..SIP.1]) };
    }
}

/// Each does something every [`PACE`], one after the other and evenly: many in a row would take a processor away from
/// everybody else for as long, and others would wait for that and not for the server.
fn dawdle(mut clients: Vec<Slow>, over: &AtomicBool) {
    let begun = Instant::now();
    let each = PACE / u32::try_from(clients.len()).unwrap().max(1);
    let mut due = Duration::ZERO;
    while !over.load(Ordering::Relaxed) {
        for client in &mut clients {
            client.sip();
            due += each;
            thread::sleep(due.saturating_sub(begun.elapsed()));
            if over.load(Ordering::Relaxed) {
                return;
            }
        }
    }
}

fn httpd(server: &Server, _: bool) -> String {
    let mut text = String::new();
    for module in ["mpm_event", "authz_core", "unixd"] {
        let _ = writeln!(
            text,
            "<IfModule !{module}_module>\nLoadModule {module}_module /usr/lib/apache2/modules/mod_{module}.so\n</IfModule>"
        );
    }
    let _ = write!(
        text,
        "ServerRoot {}\nListen 127.0.0.1:{}\nServerName main\nPidFile pid\nErrorLog logs/error\nDocumentRoot htdocs\n\
         KeepAliveTimeout 60\nMaxKeepAliveRequests 0\nTimeout 300\nSendBufferSize {HELD}\n\
         MaxRequestWorkers 10000\nServerLimit 400\nThreadsPerChild 25\nStartServers 200\nMinSpareThreads 5000\n\
         MaxSpareThreads 10000\n",
        server.root.display(),
        server.target.http1
    );
    if is_root() {
        text += "User www-data\nGroup www-data\n";
    }
    text
}

fn nginx(server: &Server, _: bool) -> String {
    let user = if is_root() { "user www-data;\n" } else { "" };
    format!(
        "{user}worker_processes auto;\npid pid;\nerror_log logs/error;\nevents {{ worker_connections 8192; }}\nhttp {{\n\
         access_log off;\nkeepalive_timeout 60s;\nkeepalive_requests 1000000;\nsend_timeout 300s;\n\
         client_header_timeout 300s;\nclient_body_timeout 300s;\nserver {{\n\
         listen 127.0.0.1:{} sndbuf={HELD};\nroot {}/htdocs;\n}}\n}}\n",
        server.target.http1,
        server.root.display()
    )
}

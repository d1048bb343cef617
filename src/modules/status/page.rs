//! The figures, and the two forms of the page.

use std::fmt::Write as _;
use std::sync::atomic::Ordering::Relaxed;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

use super::text::{bytes, general, kilobytes, uptime};
use crate::base::clock::{Clock, SystemClock, push_strftime};
use crate::base::path::escape_html;
use crate::config::latin1;
use crate::modules::mpm;
use crate::net::daemon;
use crate::net::scoreboard::{self, Seen};
use crate::pipe::names;
use crate::web::Exchange;

/// Everything that is counted, at one moment.
pub(super) struct Figures {
    now: i64,
    started: i64,
    accesses: u64,
    kilobytes: u64,
    millis: u64,
    busy: usize,
    /// Processes that httpd would have for them, and threads of those with nothing to do.
    processes: usize,
    idle: usize,
    open: u64,
    closing: u64,
    rows: Vec<Seen>,
    /// Own user and system time, those of children.
    cpu: [f64; 4],
    load: [String; 3],
    /// Processes, threads each may have, threads each has.
    shape: (usize, usize, usize),
    mpm: &'static str,
}

/// A CPU's time in seconds, in the system's ticks.
fn seconds(time: TimeVal) -> f64 {
    let hundredths = time.tv_sec() * 100 + time.tv_usec() / 10_000;
    hundredths as f64 / 100.0
}

fn cpu() -> [f64; 4] {
    let of =
        |who| getrusage(who).map_or((0.0, 0.0), |usage| (seconds(usage.user_time()), seconds(usage.system_time())));
    let (own, children) = (of(UsageWho::RUSAGE_SELF), of(UsageWho::RUSAGE_CHILDREN));
    [own.0, own.1, children.0, children.1]
}

fn load() -> [String; 3] {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let mut words = text.split(' ');
    std::array::from_fn(|_| words.next().filter(|word| !word.is_empty()).unwrap_or("-1.00").to_owned())
}

/// `Wednesday, 25-Nov-2026 19:39:25 UTC`.
fn time(wall: i64) -> String {
    let mut out = Vec::new();
    push_strftime(&mut out, b"%A, %d-%b-%Y %H:%M:%S %Z", wall);
    latin1(&out)
}

fn escaped(text: &[u8]) -> String {
    let mut out = Vec::new();
    escape_html(text, &mut out);
    latin1(&out)
}

impl Figures {
    /// What the threads have counted.
    pub(super) fn take(ex: &Exchange) -> Self {
        let places = scoreboard::places();
        let sum = |of: &dyn Fn(&scoreboard::Place) -> u64| places.iter().map(|place| of(place)).sum::<u64>();
        let busy = usize::try_from(sum(&|place| u64::from(place.busy.load(Relaxed)))).unwrap_or(0);
        Self {
            now: SystemClock.wall(),
            started: scoreboard::started(),
            accesses: sum(&|place| place.accesses.load(Relaxed)),
            kilobytes: sum(&|place| place.bytes.load(Relaxed)) >> 10,
            millis: sum(&|place| place.micros.load(Relaxed)) / 1000,
            busy,
            open: sum(&|place| u64::from(place.open.load(Relaxed))),
            closing: sum(&|place| u64::from(place.closing.load(Relaxed))),
            rows: places.iter().flat_map(|place| place.rows()).collect(),
            cpu: cpu(),
            load: load(),
            shape: mpm::limits::shape(&ex.live.generation.globals),
            processes: mpm::limits::in_use(&ex.live.generation.globals, busy),
            idle: mpm::limits::idle(&ex.live.generation.globals, busy),
            mpm: mpm::kind(&ex.live.generation.globals).name,
        }
    }

    fn up(&self) -> u64 {
        // httpd counts in whole seconds of both moments.
        let whole = |wall: i64| wall.div_euclid(1_000_000);
        u64::try_from(whole(self.now) - whole(self.started)).unwrap_or(0)
    }

    /// Connections that wait for a request.
    fn waiting(&self) -> u64 {
        self.open.saturating_sub(self.closing).saturating_sub(self.busy as u64)
    }

    /// A letter for each thread there may be.
    fn letters(&self) -> String {
        let (servers, most, threads) = self.shape;
        let (mut busy, mut out) = (self.busy, String::with_capacity(servers * most));
        for process in 0..servers {
            for thread in 0..most {
                out.push(match () {
                    () if process >= self.processes || thread >= threads => '.',
                    () if busy > 0 => {
                        busy -= 1;
                        'W'
                    }
                    () => '_',
                });
            }
        }
        out
    }

    fn times(&self) -> f64 {
        self.cpu.iter().sum()
    }

    /// `?auto`.
    pub(super) fn push_short(&self, ex: &Exchange, extended: bool, out: &mut String) {
        let (up, serial) = (self.up(), ex.live.generation.serial);
        let _ = write!(
            out,
            "{}\nServerVersion: {}\nServerMPM: {}\nServer Built: {}\nCurrentTime: {}\nRestartTime: {}\n\
             ParentServerConfigGeneration: {serial}\nParentServerMPMGeneration: {}\nServerUptimeSeconds: {up}\n\
             ServerUptime:{}\nLoad1: {}\nLoad5: {}\nLoad15: {}\n",
            latin1(names::server_name(ex)),
            latin1(names::server_software(ex)),
            self.mpm,
            daemon::built(),
            time(self.now),
            time(self.started),
            serial.saturating_sub(1),
            uptime(up),
            self.load[0],
            self.load[1],
            self.load[2],
        );
        if extended {
            let [user, system, child_user, child_system] = self.cpu.map(|time| general(time, 6));
            let (accesses, kilobytes, millis) = (self.accesses, self.kilobytes, self.millis);
            let _ = write!(
                out,
                "Total Accesses: {accesses}\nTotal kBytes: {kilobytes}\nTotal Duration: {millis}\nCPUUser: {user}\n\
                 CPUSystem: {system}\nCPUChildrenUser: {child_user}\nCPUChildrenSystem: {child_system}\n"
            );
            let per = |n: f64, d: u64| general(n / d as f64, 6);
            if self.times() > 0.0 && up > 0 {
                let _ = writeln!(out, "CPULoad: {}", per(self.times() * 100.0, up));
            }
            let _ = writeln!(out, "Uptime: {up}");
            let sent = (kilobytes * 1024) as f64;
            if up > 0 {
                let _ = writeln!(out, "ReqPerSec: {}\nBytesPerSec: {}", per(accesses as f64, up), per(sent, up));
            }
            if accesses > 0 {
                let (each, took) = (per(sent, accesses), per(millis as f64, accesses));
                let _ = writeln!(out, "BytesPerReq: {each}\nDurationPerReq: {took}");
            }
        }
        let _ = write!(
            out,
            "BusyWorkers: {}\nGracefulWorkers: 0\nIdleWorkers: {}\nProcesses: 1\nStopping: 0\nConnsTotal: {}\n\
             ConnsAsyncWaitIO: 0\nConnsAsyncWriting: 0\nConnsAsyncKeepAlive: {}\nConnsAsyncClosing: {}\nScoreboard: {}\n",
            self.busy,
            self.idle,
            self.open,
            self.waiting(),
            self.closing,
            self.letters(),
        );
    }

    /// The page up to what other modules add.
    pub(super) fn push_page(&self, ex: &Exchange, extended: bool, no_table: bool, out: &mut String) {
        let (up, serial) = (self.up(), ex.live.generation.serial);
        let _ = write!(
            out,
            "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\" \"http://www.w3.org/TR/html4/strict.dtd\">\n\
             <html><head>\n<title>Apache Status</title>\n</head><body>\n<h1>Apache Server Status for {} (via {})</h1>\n\n\
             <dl><dt>Server Version: {}</dt>\n<dt>Server MPM: {}</dt>\n<dt>Server Built: {}\n</dt></dl><hr /><dl>\n\
             <dt>Current Time: {}</dt>\n<dt>Restart Time: {}</dt>\n<dt>Parent Server Config. Generation: {serial}</dt>\n\
             <dt>Parent Server MPM Generation: {}</dt>\n<dt>Server uptime: {}</dt>\n<dt>Server load: {} {} {}</dt>\n",
            escaped(names::server_name(ex)),
            latin1(&ex.conn.local_ip),
            latin1(names::server_software(ex)),
            self.mpm,
            daemon::built(),
            time(self.now),
            time(self.started),
            serial.saturating_sub(1),
            uptime(up),
            self.load[0],
            self.load[1],
            self.load[2],
        );
        if extended {
            self.push_totals(up, out);
        }
        let (busy, idle) = (self.busy, self.idle);
        let _ = write!(
            out,
            "<dt>{busy} requests currently being processed, 0 workers gracefully restarting, {idle} idle workers</dt>\n\
             </dl>\n"
        );
        let (open, waiting, closing, pid) = (self.open, self.waiting(), self.closing, std::process::id());
        out.push_str(CONNECTIONS);
        let _ = write!(
            out,
            "<tr><td>0</td><td>{pid}</td><td>no</td><td>{open}</td><td>yes</td><td>{busy}</td><td>0</td><td>{idle}</td>\
             <td>0</td><td>0</td><td>{waiting}</td><td>{closing}</td></tr>\n\
             <tr><td>Sum</td><td>1</td><td>0</td><td>{open}</td><td>&nbsp;</td><td>{busy}</td><td>0</td><td>{idle}</td>\
             <td>0</td><td>0</td><td>{waiting}</td><td>{closing}</td></tr>\n</table>\n<pre>"
        );
        let letters = self.letters();
        let mut rest = letters.as_str();
        while let Some((line, more)) = rest.split_at_checked(64) {
            let _ = writeln!(out, "{line}");
            rest = more;
        }
        let _ = writeln!(out, "{rest}</pre>");
        out.push_str(KEY);
        if extended && no_table {
            self.push_details(pid, out);
        } else if extended {
            self.push_requests(pid, out);
        } else {
            push_pids(&letters, pid, out);
        }
    }

    fn push_totals(&self, up: u64, out: &mut String) {
        let [user, system, child_user, child_system] = self.cpu.map(|time| general(time, 6));
        let (accesses, traffic, millis) = (self.accesses, kilobytes(self.kilobytes), self.millis);
        let _ = write!(
            out,
            "<dt>Total accesses: {accesses} - Total Traffic: {traffic} - Total Duration: {millis}</dt>\n\
             <dt>CPU Usage: u{user} s{system} cu{child_user} cs{child_system}"
        );
        if self.times() > 0.0 && up > 0 {
            let _ = write!(out, " - {}% CPU load", general(self.times() * 100.0 / up as f64, 3));
        }
        out.push_str("</dt>\n<dt>");
        if up > 0 {
            let rate = general(accesses as f64 / up as f64, 3);
            let _ = write!(out, "{rate} requests/sec - {}/second", bytes(self.kilobytes * 1024 / up));
        }
        if accesses > 0 {
            let front = if up > 0 { " - " } else { "" };
            let took = general(millis as f64 / accesses as f64, 6);
            let _ = write!(out, "{front}{}/request - {took} ms/request", bytes(self.kilobytes * 1024 / accesses));
        }
        out.push_str("</dt>\n");
    }

    fn push_requests(&self, pid: u32, out: &mut String) {
        out.push_str(HEADINGS);
        for row in &self.rows {
            let mode = if row.state == b'W' { "<b>W</b>" } else { "_" };
            let since = (self.now - row.started).max(0) / 1_000_000;
            let megabytes = row.bytes as f64 / 1_048_576.0;
            let [client, protocol, vhost, request] = row.texts.each_ref().map(|text| escaped(text));
            let (of_conn, accesses, took, total) = (row.of_conn, row.accesses, row.took, row.total);
            let _ = write!(
                out,
                "<tr><td><b>0-0</b></td><td>{pid}</td><td>{of_conn}/{accesses}/{accesses}</td><td>{mode}\n\
                 </td><td>0.00</td><td>{since}</td><td>{took}</td><td>{total}</td><td>0.0</td><td>{megabytes:.2}</td>\
                 <td>{megabytes:.2}\n</td><td>{client}</td><td>{protocol}</td><td nowrap>{vhost}</td>\
                 <td nowrap>{request}</td></tr>\n\n"
            );
        }
        out.push_str(LEGEND);
    }

    fn push_details(&self, pid: u32, out: &mut String) {
        out.push_str("<hr /><h2>Server Details</h2>\n\n");
        for row in &self.rows {
            let mode = if row.state == b'W' { "<b>Write</b>" } else { "Ready" };
            let since = (self.now - row.started).max(0) / 1_000_000;
            let [client, protocol, vhost, request] = row.texts.each_ref().map(|text| escaped(text));
            let (of_conn, accesses, took, total) = (row.of_conn, row.accesses, row.took, row.total);
            let (last, all) = (bytes(0), bytes(row.bytes));
            let _ = write!(
                out,
                "<b>Server 0-0</b> ({pid}): {of_conn}|{accesses}|{accesses} [{mode}] u0 s0 cu0 cs0\n {since} {took} \
                 {total}({last}|{all}|{all})\n <i>{client} {{{request}}}</i> <i>({protocol})</i> <b>[{vhost}]</b><br />\n\n"
            );
        }
    }
}

fn push_pids(letters: &str, pid: u32, out: &mut String) {
    out.push_str("PID Key: <br />\n<pre>\n");
    let mut columns = 0;
    for letter in letters.chars().filter(|letter| *letter != '.') {
        let _ = write!(out, "   {pid} in state: {letter} ");
        columns += 1;
        out.push_str(if columns % 3 == 0 { "\n" } else { "," });
    }
    out.push_str(
        "\n</pre>\n<hr />To obtain a full report with current status information you need to use the \
         <code>ExtendedStatus On</code> directive.\n",
    );
}

const CONNECTIONS: &str = "\n<table rules=\"all\" cellpadding=\"1%\">\n\
    <tr><th rowspan=\"2\">Slot</th><th rowspan=\"2\">PID</th><th rowspan=\"2\">Stopping</th><th colspan=\"2\">Connections</th>\n\
    <th colspan=\"3\">Threads</th><th colspan=\"4\">Async connections</th></tr>\n\
    <tr><th>total</th><th>accepting</th><th>busy</th><th>graceful</th><th>idle</th><th>wait-io</th><th>writing</th>\
    <th>keep-alive</th><th>closing</th></tr>\n";

const KEY: &str = "<p>Scoreboard Key:<br />\n\
    \"<b><code>_</code></b>\" Waiting for Connection, \n\"<b><code>S</code></b>\" Starting up, \n\
    \"<b><code>R</code></b>\" Reading Request,<br />\n\"<b><code>W</code></b>\" Sending Reply, \n\
    \"<b><code>K</code></b>\" Keepalive (read), \n\"<b><code>D</code></b>\" DNS Lookup,<br />\n\
    \"<b><code>C</code></b>\" Closing connection, \n\"<b><code>L</code></b>\" Logging, \n\
    \"<b><code>G</code></b>\" Gracefully finishing,<br /> \n\"<b><code>I</code></b>\" Idle cleanup of worker, \n\
    \"<b><code>.</code></b>\" Open slot with no current process<br />\n</p>\n";

const HEADINGS: &str = "\n\n<table border=\"0\"><tr><th>Srv</th><th>PID</th><th>Acc</th><th>M</th><th>CPU\n\
    </th><th>SS</th><th>Req</th><th>Dur</th><th>Conn</th><th>Child</th><th>Slot</th><th>Client</th><th>Protocol</th>\
    <th>VHost</th><th>Request</th></tr>\n\n";

const LEGEND: &str = "</table>\n <hr /> <table>\n \
    <tr><th>Srv</th><td>Child Server number - generation</td></tr>\n \
    <tr><th>PID</th><td>OS process ID</td></tr>\n \
    <tr><th>Acc</th><td>Number of accesses this connection / this child / this slot</td></tr>\n \
    <tr><th>M</th><td>Mode of operation</td></tr>\n\
    <tr><th>CPU</th><td>CPU usage, number of seconds</td></tr>\n\
    <tr><th>SS</th><td>Seconds since beginning of most recent request</td></tr>\n \
    <tr><th>Req</th><td>Milliseconds required to process most recent request</td></tr>\n \
    <tr><th>Dur</th><td>Sum of milliseconds required to process all requests</td></tr>\n \
    <tr><th>Conn</th><td>Kilobytes transferred this connection</td></tr>\n \
    <tr><th>Child</th><td>Megabytes transferred this child</td></tr>\n \
    <tr><th>Slot</th><td>Total megabytes transferred this slot</td></tr>\n \
    </table>\n";

//! The process model of the threaded MPMs: read, and corrected with httpd's warnings; the threads here are one for each
//! core whatever is written, but as many connections are served at once as httpd would.

use crate::base::clock::leading_integer;
use crate::config::{Args, Cmd, Conf, Fatal, Globals, PostConfig, Warning};
use crate::modules::slot;

/// The limits as written.
#[derive(Clone, Debug, Default)]
struct Limits {
    start_servers: Option<i64>,
    server_limit: Option<i64>,
    min_spare_threads: Option<i64>,
    max_workers: Option<i64>,
    threads_per_child: Option<i64>,
    thread_limit: Option<i64>,
}

impl Conf for Limits {
    const SLOT: usize = slot::MPM_WORKER + 2;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// A row of the process model.
pub(super) fn limit(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.global_only()?;
    let name = cmd.directive.name;
    let limits = cmd.globals.conf.get_mut::<Limits>();
    let field = match name {
        "StartServers" => &mut limits.start_servers,
        "ServerLimit" => &mut limits.server_limit,
        "MinSpareThreads" => &mut limits.min_spare_threads,
        "MaxClients" | "MaxRequestWorkers" => &mut limits.max_workers,
        "ThreadsPerChild" => &mut limits.threads_per_child,
        "ThreadLimit" => &mut limits.thread_limit,
        _ => return Ok(()),
    };
    *field = Some(leading_integer(args.word(0)).0.unwrap_or(0));
    Ok(())
}

/// How many processes there may be, how many threads each may have, and has: what monitoring counts with.
pub(super) fn shape(globals: &Globals) -> (usize, usize, usize) {
    let none = Limits::default();
    let limits = globals.conf.get::<Limits>().unwrap_or(&none);
    let number = |written: Option<i64>, usual: i64, most: i64| {
        usize::try_from(written.unwrap_or(usual).clamp(1, most)).unwrap_or(1)
    };
    let (servers, most) = (number(limits.server_limit, 16, 1024), number(limits.thread_limit, 64, 1024));
    (servers, most, number(limits.threads_per_child, 25, 1024).min(most))
}

const MOST: i64 = 20_000;
const MOST_THREADS: i64 = 100_000;

/// httpd's corrections, in its order.
pub(super) fn check(pc: &mut PostConfig<'_>) -> Result<(), Fatal> {
    let limits = pc.globals.conf.get::<Limits>().cloned().unwrap_or_default();
    for text in corrections(&limits).0 {
        pc.warnings.push(Warning { module: "mpm_event", level: "warn", text, bare: true });
    }
    Ok(())
}

/// httpd's words about what it corrects, and the number of workers that is left.
fn corrections(limits: &Limits) -> (Vec<String>, i64) {
    let mut out = Vec::new();
    let mut servers = limits.server_limit.unwrap_or(16);
    if servers > MOST {
        out.push(format!(
            "AH00497: WARNING: ServerLimit of {servers} exceeds compile-time limit of {MOST} servers, decreasing to {MOST}."
        ));
        servers = MOST;
    } else if servers < 1 {
        out.push(format!("AH00499: WARNING: ServerLimit of {servers} not allowed, increasing to 1."));
        servers = 1;
    }
    let mut most_threads = limits.thread_limit.unwrap_or(64);
    if most_threads > MOST_THREADS {
        out.push(format!(
            "AH00502: WARNING: ThreadLimit of {most_threads} exceeds compile-time limit of {MOST_THREADS} threads, \
             decreasing to {MOST_THREADS}."
        ));
        most_threads = MOST_THREADS;
    } else if most_threads < 1 {
        out.push(format!("AH00504: WARNING: ThreadLimit of {most_threads} not allowed, increasing to 1."));
        most_threads = 1;
    }
    let mut threads = limits.threads_per_child.unwrap_or(25);
    if threads > most_threads {
        out.push(format!(
            "AH00507: WARNING: ThreadsPerChild of {threads} exceeds ThreadLimit of {most_threads} threads, decreasing to \
             {most_threads}. To increase, please see the ThreadLimit directive."
        ));
        threads = most_threads;
    } else if threads < 1 {
        out.push(format!("AH00509: WARNING: ThreadsPerChild of {threads} not allowed, increasing to 1."));
        threads = 1;
    }
    let mut workers = limits.max_workers.unwrap_or(400);
    if workers < threads {
        out.push(format!(
            "AH00511: WARNING: MaxRequestWorkers of {workers} is less than ThreadsPerChild of {threads}, increasing to \
             {threads}. MaxRequestWorkers must be at least as large as the number of threads in a single server."
        ));
        workers = threads;
    }
    let needed = workers / threads;
    if workers % threads != 0 {
        let nearest = needed * threads;
        out.push(format!(
            "AH00513: WARNING: MaxRequestWorkers of {workers} is not an integer multiple of ThreadsPerChild of {threads}, \
             decreasing to nearest multiple {nearest}, for a maximum of {needed} servers."
        ));
        workers = nearest;
    }
    if needed > servers {
        let most = servers * threads;
        out.push(format!(
            "AH00515: WARNING: MaxRequestWorkers of {workers} would require {needed} servers and would exceed ServerLimit \
             of {servers}, decreasing to {most}. To increase, please see the ServerLimit directive."
        ));
        workers = most;
    }
    let started = limits.start_servers.unwrap_or(3);
    if started < 1 {
        out.push(format!("AH00517: WARNING: StartServers of {started} not allowed, increasing to 1."));
    }
    let spare = limits.min_spare_threads.unwrap_or(75);
    if spare < 1 {
        out.push(format!(
            "AH00519: WARNING: MinSpareThreads of {spare} not allowed, increasing to 1 to avoid almost certain server \
             failure. Please read the documentation."
        ));
    }
    (out, workers)
}

/// How many connections may be busy at once (from accept to the end of a response), and how many may be open; beyond
/// that they wait in the listening queue. As in httpd, where a worker is a thread or a process here it is a place: only
/// mpm_event lets kept-alive connections wait without one.
pub fn most(globals: &Globals) -> (usize, usize) {
    let limits = globals.conf.get::<Limits>().cloned().unwrap_or_default();
    let size = |number: i64| usize::try_from(number.max(1)).unwrap_or(usize::MAX);
    if globals.modules.contains(&"mpm_prefork_module") {
        let most = size(limits.max_workers.unwrap_or(256).min(limits.server_limit.unwrap_or(256)));
        return (most, most);
    }
    let most = size(corrections(&limits).1);
    if globals.modules.contains(&"mpm_worker_module") {
        return (most, most);
    }
    let factor = super::mpm::of(globals).async_factor.unwrap_or(2.0);
    (most, most + (most as f64 * factor) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_correction_leads_to_the_next() {
        assert!(corrections(&Limits::default()).0.is_empty());
        let odd = Limits { threads_per_child: Some(100), ..Limits::default() };
        let (texts, left) = corrections(&odd);
        assert_eq!(left, 384);
        assert!(texts[0].starts_with("AH00507: WARNING: ThreadsPerChild of 100 exceeds ThreadLimit of 64 threads"));
        assert!(texts[1].contains("decreasing to nearest multiple 384, for a maximum of 6 servers."));
        assert_eq!(texts.len(), 2);
        let few = Limits { server_limit: Some(0), thread_limit: Some(0), max_workers: Some(0), ..Limits::default() };
        let numbers: Vec<String> = corrections(&few).0.iter().map(|text| text.chars().take(7).collect()).collect();
        assert_eq!(numbers, ["AH00499", "AH00504", "AH00507", "AH00511"]);
    }
}

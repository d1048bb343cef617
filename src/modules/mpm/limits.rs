//! The process model of the threaded MPMs: read, and corrected with httpd's warnings; the threads here are one for each
//! core whatever is written, but as many connections are served at once as httpd would.

use super::Kind;
use crate::config::{Args, Cmd, Conf, Fatal, Globals, PostConfig, Warning};
use crate::modules::slot;

/// The limits as written.
#[derive(Clone, Debug, Default)]
struct Limits {
    start_servers: Option<i64>,
    server_limit: Option<i64>,
    min_spare: Option<i64>,
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
        "MinSpareThreads" | "MinSpareServers" => &mut limits.min_spare,
        "MaxClients" | "MaxRequestWorkers" => &mut limits.max_workers,
        "ThreadsPerChild" => &mut limits.threads_per_child,
        "ThreadLimit" => &mut limits.thread_limit,
        _ => return Ok(()),
    };
    *field = Some(crate::modules::check::number(args.word(0)));
    Ok(())
}

/// How many processes there may be, how many threads each may have, and has: what monitoring counts with.
pub fn shape(globals: &Globals) -> (usize, usize, usize) {
    let none = Limits::default();
    let limits = globals.conf.get::<Limits>().unwrap_or(&none);
    let number = |written: Option<i64>, usual: i64, most: i64| {
        usize::try_from(written.unwrap_or(usual).clamp(1, most)).unwrap_or(1)
    };
    let (servers, most) = (number(limits.server_limit, 16, 1024), number(limits.thread_limit, 64, 1024));
    (servers, most, number(limits.threads_per_child, 25, 1024).min(most))
}

/// Processes that httpd would have for this many requests at once.
pub fn in_use(globals: &Globals, busy: usize) -> usize {
    let (servers, _, threads) = shape(globals);
    busy.div_ceil(threads.max(1)).clamp(1, servers.max(1))
}

/// Threads of theirs that would have nothing to do.
pub fn idle(globals: &Globals, busy: usize) -> usize {
    (in_use(globals, busy) * shape(globals).2).saturating_sub(busy)
}

/// The most processes with threads, and without, that httpd has been built for.
const MOST: i64 = 20_000;
const MOST_PROCESSES: i64 = 200_000;

/// httpd's corrections, in its order; a server that runs puts them into its log.
pub(super) fn check(pc: &mut PostConfig<'_>) -> Result<(), Fatal> {
    let limits = pc.globals.conf.get::<Limits>().cloned().unwrap_or_default();
    let kind = super::kind(pc.globals);
    let moment = match pc.previous {
        Some(_) => Moment::Reload,
        // Said by another process.
        None if pc.reloading => return Ok(()),
        None => Moment::Start,
    };
    for text in corrections(&limits, kind, moment).0 {
        let warning = Warning { module: kind.log, level: "warn", text, bare: moment == Moment::Start };
        match moment {
            Moment::Start => pc.warnings.push(warning),
            Moment::Reload => pc.globals.said.push(warning),
        }
    }
    Ok(())
}

/// When something is corrected, which decides the words.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    Start,
    Reload,
}

/// httpd's words about what it corrects, and the number of workers that is left.
fn corrections(limits: &Limits, kind: &Kind, moment: Moment) -> (Vec<String>, i64) {
    let mut said = Said { texts: Vec::new(), moment, less: kind.less };
    let workers = if kind.threaded { threads(limits, kind, &mut said) } else { processes(limits, &mut said) };
    (said.texts, workers)
}

/// What is said, each with a number for a start and one for a reload.
struct Said {
    texts: Vec<String>,
    moment: Moment,
    /// How much less than event's this MPM's numbers are.
    less: u16,
}

impl Said {
    fn say(&mut self, numbers: [u16; 2], start: &str, reload: &str) {
        let [first, again] = numbers.map(|number| number - self.less);
        self.texts.push(match self.moment {
            Moment::Start => format!("AH{first:05}: WARNING: {start}"),
            Moment::Reload => format!("AH{again:05}: {reload}"),
        });
    }

    /// At least one of these.
    fn at_least_one(&mut self, numbers: [u16; 2], name: &str, written: i64, behind: &str) -> i64 {
        if written < 1 {
            let text = format!("{name} of {written} not allowed, increasing to 1");
            self.say(numbers, &format!("{text}{behind}."), &text);
            return 1;
        }
        written
    }

    /// No more of these than the program has been built for.
    fn at_most(&mut self, numbers: [u16; 2], name: &str, written: i64, (most, unit): (i64, &str)) -> i64 {
        if written > most {
            let text = format!("{name} of {written} exceeds compile-time limit of {most}");
            self.say(
                numbers,
                &format!("{text} {unit}, decreasing to {most}."),
                &format!("{text}, decreasing to match"),
            );
            return most;
        }
        written
    }
}

/// What spares are for.
const SURE: &str = " to avoid almost certain server failure. Please read the documentation";

fn threads(limits: &Limits, kind: &Kind, said: &mut Said) -> i64 {
    let mut servers = limits.server_limit.unwrap_or(16);
    servers = said.at_most([497, 498], "ServerLimit", servers, (MOST, "servers"));
    servers = said.at_least_one([499, 500], "ServerLimit", servers, "");
    let mut most = limits.thread_limit.unwrap_or(64);
    most = said.at_most([502, 503], "ThreadLimit", most, (kind.most_threads, "threads"));
    most = said.at_least_one([504, 505], "ThreadLimit", most, "");
    let mut threads = limits.threads_per_child.unwrap_or(25);
    if threads > most {
        let text = format!("ThreadsPerChild of {threads} exceeds ThreadLimit of {most}");
        let start = format!("{text} threads, decreasing to {most}. To increase, please see the ThreadLimit directive.");
        said.say([507, 508], &start, &format!("{text}, decreasing to match"));
        threads = most;
    }
    threads = said.at_least_one([509, 510], "ThreadsPerChild", threads, "");
    let mut workers = limits.max_workers.unwrap_or(400);
    if workers < threads {
        let text = format!("MaxRequestWorkers of {workers} is less than ThreadsPerChild of {threads}, increasing to");
        let start = format!(
            "{text} {threads}. MaxRequestWorkers must be at least as large as the number of threads in a single server."
        );
        said.say([511, 512], &start, &format!("{text} match"));
        workers = threads;
    }
    let needed = workers / threads;
    if workers % threads != 0 {
        let nearest = needed * threads;
        let text = format!(
            "MaxRequestWorkers of {workers} is not an integer multiple of ThreadsPerChild of {threads}, decreasing to \
             nearest multiple {nearest}"
        );
        said.say([513, 514], &format!("{text}, for a maximum of {needed} servers."), &text);
        workers = nearest;
    }
    if needed > servers {
        let most = servers * threads;
        let text = format!("MaxRequestWorkers of {workers} would require {needed} servers and");
        let start = format!(
            "{text} would exceed ServerLimit of {servers}, decreasing to {most}. To increase, please see the ServerLimit \
             directive."
        );
        said.say([515, 516], &start, &format!("{text} exceed ServerLimit of {servers}, decreasing to {most}"));
        workers = most;
    }
    said.at_least_one([517, 518], "StartServers", limits.start_servers.unwrap_or(3), "");
    said.at_least_one([519, 520], "MinSpareThreads", limits.min_spare.unwrap_or(75), SURE);
    workers
}

fn processes(limits: &Limits, said: &mut Said) -> i64 {
    let mut servers = limits.server_limit.unwrap_or(256);
    servers = said.at_most([175, 176], "ServerLimit", servers, (MOST_PROCESSES, "servers"));
    servers = said.at_least_one([177, 178], "ServerLimit", servers, "");
    let mut workers = limits.max_workers.unwrap_or(256);
    if workers > servers {
        let text = format!("MaxRequestWorkers of {workers} exceeds ServerLimit value of {servers}");
        let start = format!(
            "{text} servers, decreasing MaxRequestWorkers to {servers}. To increase, please see the ServerLimit directive."
        );
        said.say([180, 181], &start, &format!("{text}, decreasing to match"));
        workers = servers;
    }
    workers = said.at_least_one([182, 183], "MaxRequestWorkers", workers, "");
    said.at_least_one([184, 185], "StartServers", limits.start_servers.unwrap_or(5), "");
    said.at_least_one([186, 187], "MinSpareServers", limits.min_spare.unwrap_or(5), SURE);
    workers
}

/// How many connections may be busy at once (from accept to the end of a response), and how many may be open; beyond
/// that they wait in the listening queue. As in httpd, where a worker is a thread or a process here it is a place: only
/// mpm_event lets kept-alive connections wait without one.
pub fn most(globals: &Globals) -> (usize, usize) {
    let limits = globals.conf.get::<Limits>().cloned().unwrap_or_default();
    let size = |number: i64| usize::try_from(number.max(1)).unwrap_or(usize::MAX);
    let kind = super::kind(globals);
    let most = size(corrections(&limits, kind, Moment::Start).1);
    if !kind.frees_idle {
        return (most, most);
    }
    let factor = super::of(globals).async_factor.unwrap_or(2.0);
    (most, most + (most as f64 * factor) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::modules::mpm::kinds::KINDS;

    #[test]
    fn one_correction_leads_to_the_next() {
        let [event, worker, prefork] = &KINDS;
        for kind in &KINDS {
            assert!(corrections(&Limits::default(), kind, Moment::Start).0.is_empty());
        }
        let odd = Limits { threads_per_child: Some(100), ..Limits::default() };
        let (texts, left) = corrections(&odd, event, Moment::Start);
        assert_eq!(left, 384);
        assert!(texts[0].starts_with("AH00507: WARNING: ThreadsPerChild of 100 exceeds ThreadLimit of 64 threads"));
        assert!(texts[1].contains("decreasing to nearest multiple 384, for a maximum of 6 servers."));
        assert_eq!(texts.len(), 2);
        let few = Limits { server_limit: Some(0), thread_limit: Some(0), max_workers: Some(0), ..Limits::default() };
        let numbers = |kind, moment| -> Vec<String> {
            let texts = corrections(&few, kind, moment).0;
            texts.iter().map(|text| text.chars().take(7).collect()).collect()
        };
        assert_eq!(numbers(event, Moment::Start), ["AH00499", "AH00504", "AH00507", "AH00511"]);
        assert_eq!(numbers(worker, Moment::Start), ["AH00302", "AH00307", "AH00310", "AH00314"]);
        assert_eq!(numbers(worker, Moment::Reload), ["AH00303", "AH00308", "AH00311", "AH00315"]);
        assert_eq!(numbers(prefork, Moment::Start), ["AH00177", "AH00182"]);
    }

    /// What httpd was observed to say.
    #[test]
    fn a_server_that_runs_says_it_in_other_words() {
        let [event, _, prefork] = &KINDS;
        let limits = Limits {
            thread_limit: Some(70),
            threads_per_child: Some(1000),
            server_limit: Some(2),
            max_workers: Some(5007),
            ..Limits::default()
        };
        assert_eq!(
            corrections(&limits, event, Moment::Reload),
            (
                vec![
                    "AH00508: ThreadsPerChild of 1000 exceeds ThreadLimit of 70, decreasing to match".to_owned(),
                    "AH00514: MaxRequestWorkers of 5007 is not an integer multiple of ThreadsPerChild of 70, decreasing \
                     to nearest multiple 4970"
                        .to_owned(),
                    "AH00516: MaxRequestWorkers of 4970 would require 71 servers and exceed ServerLimit of 2, decreasing \
                     to 140"
                        .to_owned(),
                ],
                140
            )
        );
        let many = Limits { max_workers: Some(1000), ..Limits::default() };
        let (texts, left) = corrections(&many, prefork, Moment::Reload);
        assert_eq!(texts, ["AH00181: MaxRequestWorkers of 1000 exceeds ServerLimit value of 256, decreasing to match"]);
        assert_eq!(left, 256);
    }
}

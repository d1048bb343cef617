//! What outlives a full stop under `BalancerPersist`: balancers and their members, as text.
//!
//! A line for each balancer, and behind it one for each member, of words with a blank between them; in a word each byte
//! that is no visible ASCII is `%XX`, and `%` alone is an empty one. What is read back becomes the [`Backends`] that a
//! start goes over from as a reload does from those before: what the manager changed stays as it was changed, unless
//! the configuration now says something else of that very value. httpd keeps values that nobody has changed as well,
//! even where the file was edited in the meantime, and forgets all members of a balancer that gets one more.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::edits::Written;
use super::spec::{BalancerSpec, CheckMethod, LbMethod, Sticky, WorkerSpec};
use super::tally::Count;
use super::worker::{Backends, Balancer, Worker, WorkerState};
use crate::expr::Expr;

/// What is kept of what was counted.
const COUNTS: [Count; 3] = [Count::Elected, Count::Transferred, Count::Read];

/// What this form is called; a number that changes with it.
const FORM: &str = "balancers 1";

/// Makes a member by its URL.
type Member<'a> = dyn Fn(&BalancerSpec, &[u8]) -> Option<WorkerSpec> + 'a;

/// Finds a condition by its server and name.
type Condition<'a> = dyn Fn(usize, &[u8]) -> Option<Arc<Expr>> + 'a;

/// What cannot be told from the text alone.
pub struct Known<'a> {
    /// A member that the manager added, by its URL.
    pub member: &'a Member<'a>,
    /// A condition of health checks of this server.
    pub condition: &'a Condition<'a>,
}

/// The state of those balancers.
pub fn render(backends: &Backends, which: &[usize]) -> Vec<u8> {
    let mut out = FORM.as_bytes().to_vec();
    out.push(b'\n');
    for balancer in which.iter().filter_map(|at| backends.balancers.get(*at)) {
        let spec = &balancer.spec;
        let mut line = Line::new(&mut out, b"balancer");
        line.push(spec.key.as_bytes());
        if let Written::Otherwise(written) = &balancer.written {
            balancer_values(written).iter().zip(balancer_values(spec)).for_each(|(written, now)| {
                line.push(written);
                line.push(&now);
            });
        }
        for worker in spec.members.iter().filter_map(|at| backends.workers.get(*at)) {
            let kind = if matches!(worker.written, Written::Nowhere) { &b"added"[..] } else { b"member" };
            let mut line = Line::new(&mut out, kind);
            line.push(worker.spec.key.as_bytes());
            let state = &worker.state;
            let counts = COUNTS.map(|count| state.tally.get(count).to_string());
            let bits = [&state.status, &state.configured, &state.retries].map(|bits| bits.load(Relaxed).to_string());
            let signed = [&*state.lbstatus, &state.error_time].map(|value| value.load(Relaxed).to_string());
            bits.iter().chain(&counts).chain(&signed).for_each(|word| line.push(word.as_bytes()));
            let written = match &worker.written {
                Written::AsIs => continue,
                Written::Otherwise(written) => written,
                Written::Nowhere => &worker.spec,
            };
            worker_values(written).iter().zip(worker_values(&worker.spec)).for_each(|(written, now)| {
                line.push(written);
                line.push(&now);
            });
        }
    }
    out.push(b'\n');
    out
}

/// `now` with what the text of [`render`] says; `None` if it is no such text.
pub fn restore(text: &[u8], now: &Backends, known: &Known<'_>) -> Option<Backends> {
    let mut lines = text.split(|byte| *byte == b'\n');
    if lines.next() != Some(FORM.as_bytes()) {
        return None;
    }
    let mut before = Backends::default();
    for line in lines.filter(|line| !line.is_empty()) {
        let words: Vec<Vec<u8>> = line.split(|byte| *byte == b' ').map(word).collect::<Option<_>>()?;
        let (kind, key, rest) = (words.first()?.as_slice(), words.get(1)?, words.get(2..)?);
        if kind == b"balancer" {
            let same = |balancer: &&Arc<Balancer>| balancer.spec.key.as_bytes() == key;
            // A balancer that is gone; its members are not found either.
            let spec = now.balancers.iter().find(same).map(|balancer| balancer.spec.clone());
            let Some(mut spec) = spec else { continue };
            spec.members.clear();
            let written = with_balancer_values(&spec, rest.iter().step_by(2))?;
            let changed = with_balancer_values(&spec, rest.iter().skip(1).step_by(2))?;
            let plain = Arc::new(Balancer::new(written, Arc::default(), Written::AsIs));
            let balancer = if rest.is_empty() { plain } else { Arc::new(plain.changed(changed)) };
            before.balancers.push(balancer);
            continue;
        }
        let (state, rest) = (state(rest)?, rest.get(8..)?);
        // The members follow their balancer.
        let Some(balancer) = before.balancers.last().filter(|balancer| belongs(key, balancer)) else { continue };
        let same = |worker: &&Arc<Worker>| worker.spec.key.as_bytes() == key;
        let spec = match kind {
            b"added" => (known.member)(&balancer.spec, key.get(balancer.spec.key.len() + 1..)?),
            b"member" => now.workers.iter().find(same).map(|worker| worker.spec.clone()),
            _ => return None,
        };
        let Some(spec) = spec else { continue };
        let values = |spec: &WorkerSpec, skip| with_worker_values(spec, rest.iter().skip(skip).step_by(2), known);
        let state = Arc::new(state);
        let worker = match kind {
            b"added" => Worker::added(values(&spec, 1)?, state),
            _ if rest.is_empty() => Worker::new(spec, state),
            _ => Worker::new(values(&spec, 0)?, state).changed(values(&spec, 1)?),
        };
        let at = before.workers.len();
        before.workers.push(Arc::new(worker));
        let last = before.balancers.len() - 1;
        let balancer = &before.balancers[last];
        let members = balancer.spec.members.iter().copied().chain([at]).collect();
        before.balancers[last] = Arc::new(balancer.with_members(members, balancer.spec.growth));
    }
    let workers = now.workers.iter().map(|worker| worker.spec.clone()).collect();
    let balancers = now.balancers.iter().map(|balancer| balancer.spec.clone()).collect();
    let backends = Backends::adopt(workers, balancers, Some(&before));
    backends.take_over(&before);
    Some(Backends { heartbeats: now.heartbeats.clone(), ..backends })
}

fn belongs(key: &[u8], balancer: &Balancer) -> bool {
    key.strip_prefix(balancer.spec.key.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'\n'))
}

fn state(words: &[Vec<u8>]) -> Option<WorkerState> {
    let [status, configured, retries] = [number(words.first()?)?, number(words.get(1)?)?, number(words.get(2)?)?];
    let state = WorkerState::new(status);
    state.configured.store(configured, Relaxed);
    state.retries.store(retries, Relaxed);
    for (count, word) in COUNTS.into_iter().zip(words.get(3..6)?) {
        state.tally.add(count, number(word)?);
    }
    state.lbstatus.store(number(words.get(6)?)?, Relaxed);
    state.error_time.store(number(words.get(7)?)?, Relaxed);
    Some(state)
}

/// The values of a balancer that can be changed.
fn balancer_values(spec: &BalancerSpec) -> [Vec<u8>; 8] {
    let sticky = spec.sticky.as_ref();
    [
        METHODS.iter().find(|(_, method)| *method == spec.method).map_or("", |(name, _)| name).into(),
        spec.timeout.map(|timeout| timeout.as_micros().to_string()).unwrap_or_default().into(),
        spec.max_attempts.map(|attempts| attempts.to_string()).unwrap_or_default().into(),
        flag(spec.no_failover),
        sticky.map(|sticky| sticky.cookie.clone()).unwrap_or_default(),
        sticky.map(|sticky| sticky.param.clone()).unwrap_or_default(),
        sticky.and_then(|sticky| sticky.separator).into_iter().collect(),
        flag(sticky.is_some_and(|sticky| sticky.semicolon_ends)),
    ]
}

const METHODS: [(&str, LbMethod); 4] = [
    ("byrequests", LbMethod::ByRequests),
    ("bytraffic", LbMethod::ByTraffic),
    ("bybusyness", LbMethod::ByBusyness),
    ("heartbeat", LbMethod::Heartbeat),
];

fn flag(on: bool) -> Vec<u8> {
    if on { b"1".to_vec() } else { Vec::new() }
}

fn with_balancer_values<'a>(spec: &BalancerSpec, values: impl Iterator<Item = &'a Vec<u8>>) -> Option<BalancerSpec> {
    let values: Vec<&Vec<u8>> = values.collect();
    let [method, timeout, attempts, no_failover, cookie, param, separator, semicolon] = values.as_slice() else {
        return values.is_empty().then(|| spec.clone());
    };
    let sticky = Sticky {
        cookie: (*cookie).clone(),
        param: (*param).clone(),
        separator: separator.first().copied(),
        semicolon_ends: !semicolon.is_empty(),
    };
    Some(BalancerSpec {
        method: METHODS.iter().find(|(name, _)| name.as_bytes() == method.as_slice())?.1,
        timeout: optional(timeout)?.map(Duration::from_micros),
        max_attempts: optional(attempts)?,
        no_failover: !no_failover.is_empty(),
        sticky: (!cookie.is_empty() || !param.is_empty()).then_some(sticky),
        ..spec.clone()
    })
}

/// The values of a member that can be changed.
fn worker_values(spec: &WorkerSpec) -> [Vec<u8>; 10] {
    let health = &spec.health;
    [
        spec.load_factor.to_string().into(),
        spec.lbset.to_string().into(),
        spec.route.clone(),
        spec.redirect.clone(),
        CheckMethod::ALL.iter().find(|(_, method)| *method == health.method).map_or("", |(name, _)| name).into(),
        health.interval.as_micros().to_string().into(),
        health.passes.to_string().into(),
        health.fails.to_string().into(),
        health.uri.clone(),
        health.condition.as_ref().map(|(name, _)| name.clone()).unwrap_or_default(),
    ]
}

fn with_worker_values<'a>(
    spec: &WorkerSpec,
    values: impl Iterator<Item = &'a Vec<u8>>,
    known: &Known<'_>,
) -> Option<WorkerSpec> {
    let values: Vec<&Vec<u8>> = values.collect();
    let [factor, lbset, route, redirect, method, interval, passes, fails, uri, condition] = values.as_slice() else {
        return None;
    };
    let mut spec = spec.clone();
    (spec.load_factor, spec.lbset) = (number(factor)?, number(lbset)?);
    (spec.route, spec.redirect) = ((*route).clone(), (*redirect).clone());
    spec.health.method = CheckMethod::ALL.iter().find(|(name, _)| name.as_bytes() == method.as_slice())?.1;
    spec.health.interval = Duration::from_micros(number(interval)?);
    (spec.health.passes, spec.health.fails) = (number(passes)?, number(fails)?);
    spec.health.uri = (*uri).clone();
    // One that is no longer defined is none.
    spec.health.condition = (known.condition)(spec.server, condition).map(|expr| ((*condition).clone(), expr));
    Some(spec)
}

fn number<T: std::str::FromStr>(word: &[u8]) -> Option<T> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

fn optional<T: std::str::FromStr>(word: &[u8]) -> Option<Option<T>> {
    if word.is_empty() { Some(None) } else { number(word).map(Some) }
}

/// A line that is being written.
struct Line<'a>(&'a mut Vec<u8>);

impl<'a> Line<'a> {
    fn new(out: &'a mut Vec<u8>, kind: &[u8]) -> Self {
        if !out.ends_with(b"\n") {
            out.push(b'\n');
        }
        out.extend_from_slice(kind);
        Self(out)
    }

    fn push(&mut self, word: &[u8]) {
        self.0.push(b' ');
        if word.is_empty() {
            self.0.push(b'%');
        }
        for byte in word {
            match byte {
                b'!'..=b'~' if *byte != b'%' => self.0.push(*byte),
                _ => self.0.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            }
        }
    }
}

/// A word as it was before it was written.
fn word(written: &[u8]) -> Option<Vec<u8>> {
    if written == b"%" {
        return Some(Vec::new());
    }
    let mut parts = written.split(|byte| *byte == b'%');
    let mut word = parts.next()?.to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        word.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        word.extend_from_slice(rest);
    }
    Some(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::spec::{Scheme, status};

    fn member(url: &str) -> WorkerSpec {
        let key = format!("s b\n{url}");
        WorkerSpec { key, ..WorkerSpec::new(url.to_owned(), Scheme::Http, "h".to_owned(), 80) }
    }

    /// As the manager makes it.
    fn added(url: &str) -> WorkerSpec {
        WorkerSpec { status: status::DISABLED, ..member(url) }
    }

    fn balancer(members: Vec<usize>) -> BalancerSpec {
        BalancerSpec { key: "s b".to_owned(), ..crate::upstream::edits::testing::balancer(members) }
    }

    fn configured(members: &[&str]) -> Backends {
        let workers = members.iter().map(|url| member(url)).collect();
        Backends::adopt(workers, vec![balancer((0..members.len()).collect())], None)
    }

    const KNOWN: Known<'_> =
        Known { member: &|_, url| Some(added(std::str::from_utf8(url).ok()?)), condition: &|_, _| None };

    fn edited() -> Backends {
        let mut old = configured(&["http://a", "http://b"]);
        let mut spec = old.workers[0].spec.clone();
        (spec.load_factor, spec.lbset, spec.route) = (250, 3, b"r 1%\xff".to_vec());
        spec.health.method = CheckMethod::Tcp;
        old.workers[0] = Arc::new(old.workers[0].changed(spec));
        let state = &old.workers[1].state;
        state.status.fetch_or(status::DRAIN, Relaxed);
        state.tally.add(Count::Elected, 77);
        state.lbstatus.store(-5, Relaxed);
        let sticky = Sticky { cookie: b"X".to_vec(), param: b"x".to_vec(), separator: None, semicolon_ends: true };
        let changed = BalancerSpec { method: LbMethod::ByTraffic, sticky: Some(sticky), ..balancer(vec![0, 1]) };
        old.balancers[0] = Arc::new(old.balancers[0].changed(changed));
        old.workers.push(Arc::new(Worker::added(added("http://c"), Arc::new(WorkerState::new(status::DISABLED)))));
        old.balancers[0] = Arc::new(old.balancers[0].with_members(vec![0, 1, 2], Some(1)));
        old
    }

    #[test]
    fn what_was_changed_comes_back() {
        let text = render(&edited(), &[0]);
        let new = restore(&text, &configured(&["http://b", "http://a"]), &KNOWN).unwrap();
        let [b, a, c] = [0, 1, 2].map(|at| new.workers[at].clone());
        assert_eq!((a.spec.load_factor, a.spec.lbset, a.spec.route.as_slice()), (250, 3, &b"r 1%\xff"[..]));
        assert_eq!(a.spec.health.method, CheckMethod::Tcp);
        assert_eq!((b.state.bits(), b.state.tally.get(Count::Elected)), (status::DRAIN, 77));
        assert_eq!(b.state.lbstatus.load(Relaxed), -5);
        assert_eq!((c.spec.name.as_str(), c.state.bits()), ("http://c", status::DISABLED));
        let spec = &new.balancers[0].spec;
        assert_eq!((spec.members.as_slice(), spec.growth, spec.method), (&[0, 1, 2][..], Some(1), LbMethod::ByTraffic));
        let sticky = spec.sticky.as_ref().unwrap();
        assert_eq!((sticky.cookie.as_slice(), sticky.separator, sticky.semicolon_ends), (&b"X"[..], None, true));
        // And is kept as well as it was before.
        let again = restore(&render(&new, &[0]), &configured(&["http://b", "http://a"]), &KNOWN).unwrap();
        assert_eq!(render(&again, &[0]), render(&new, &[0]));
    }

    #[test]
    fn the_configuration_wins_where_it_says_something_new() {
        let text = render(&edited(), &[0]);
        let mut now = configured(&["http://a", "http://b", "http://d"]);
        let said = WorkerSpec { lbset: 9, ..now.workers[0].spec.clone() };
        now.workers[0] = Arc::new(Worker::new(said, now.workers[0].state.clone()));
        let new = restore(&text, &now, &KNOWN).unwrap();
        assert_eq!((new.workers[0].spec.lbset, new.workers[0].spec.load_factor), (9, 250));
        assert_eq!(new.balancers[0].spec.members, [0, 1, 2, 3]);
        // What is not there any more is nowhere, and nothing is made up for a balancer that is gone.
        let none = restore(&text, &Backends::default(), &KNOWN).unwrap();
        assert!(none.workers.is_empty() && none.balancers.is_empty());
    }

    #[test]
    fn what_is_no_such_text_is_refused_or_read_as_far_as_it_means_something() {
        let (text, now) = (render(&edited(), &[0]), configured(&["http://a"]));
        assert!(restore(b"", &now, &KNOWN).is_none());
        assert!(restore(b"balancers 2\n", &now, &KNOWN).is_none());
        for cut in 0..text.len() {
            let _ = restore(&text[..cut], &now, &KNOWN);
            let mut broken = text.clone();
            broken[cut] ^= 1 << (cut % 8);
            let _ = restore(&broken, &now, &KNOWN);
        }
    }
}

//! StuckThreadDetectionValve: says which requests take too long.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use super::components::Component;
use super::exchange::Exchange;
use super::log;
use super::valves::Valve;
use crate::base::clock::{self, Clock, SystemClock};

const SOURCE: &str = "org.apache.catalina.valves.StuckThreadDetectionValve";

/// The valve.
pub struct Stuck {
    threshold: Duration,
    /// What each thread does.
    active: Mutex<HashMap<ThreadId, Active>>,
}

struct Active {
    thread: String,
    url: String,
    since: Instant,
    said: bool,
}

impl fmt::Debug for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StuckThreadDetectionValve").field("threshold", &self.threshold).finish_non_exhaustive()
    }
}

impl Stuck {
    /// The valve of an element; `None` if it is to watch nothing.
    pub fn of(element: &Component) -> Option<Self> {
        let threshold = u64::try_from(element.number("threshold")).ok().filter(|seconds| *seconds > 0)?;
        Some(Self { threshold: Duration::from_secs(threshold), active: Mutex::default() })
    }

    fn active(&self) -> MutexGuard<'_, HashMap<ThreadId, Active>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be said at a time.
    fn lines(&self, now: Instant) -> Vec<String> {
        let mut active = self.active();
        let mut lines = Vec::new();
        let mut stuck = active.values().filter(|one| one.said).count();
        for (id, one) in active.iter_mut().filter(|(_, one)| !one.said) {
            let taken = now.saturating_duration_since(one.since);
            if taken < self.threshold {
                continue;
            }
            one.said = true;
            stuck += 1;
            let (mut since, took) = (Vec::new(), i64::try_from(taken.as_micros()).unwrap_or(0));
            clock::push_strftime(&mut since, b"%m/%d/%y, %H:%M", SystemClock.wall() - took);
            lines.push(format!(
                "Thread [{}] (id=[{}]) has been active for [{}] milliseconds (since [{}]) to serve the same request for \
                 [{}] and may be stuck (configured threshold for this StuckThreadDetectionValve is [{}] seconds). There \
                 is/are [{stuck}] thread(s) in total that are monitored by this Valve and may be stuck.",
                one.thread,
                digits(*id),
                grouped(taken.as_millis()),
                String::from_utf8_lossy(&since),
                one.url,
                self.threshold.as_secs(),
            ));
        }
        lines
    }
}

impl Valve for Stuck {
    fn before(&self, exchange: &mut Exchange) -> bool {
        let request = &exchange.request;
        let port = match (request.scheme.as_str(), request.server_port) {
            ("http", 80) | ("https", 443) => String::new(),
            (_, port) => format!(":{port}"),
        };
        let query = request.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        let one = Active {
            thread: std::thread::current().name().unwrap_or_default().to_owned(),
            url: format!("{}://{}{port}{}{query}", request.scheme, request.server_name, request.uri),
            since: Instant::now(),
            said: false,
        };
        self.active().insert(std::thread::current().id(), one);
        true
    }

    fn after(&self, _: &mut Exchange) {
        let id = std::thread::current().id();
        let mut active = self.active();
        let Some(done) = active.remove(&id).filter(|one| one.said) else { return };
        let still = active.values().filter(|one| one.said).count();
        drop(active);
        let mut text = format!(
            "Thread [{}] (id=[{}]) was previously reported to be stuck but has completed. It was active for approximately \
             [{}] milliseconds.",
            done.thread,
            digits(id),
            grouped(done.since.elapsed().as_millis()),
        );
        if still > 0 {
            let rest =
                format!(" There is/are still [{still}] thread(s) that are monitored by this Valve and may be stuck.");
            text.push_str(&rest);
        }
        log::warning(&format!("{SOURCE}.notifyStuckThreadCompleted"), &text);
    }

    fn background(&self) {
        for line in self.lines(Instant::now()) {
            log::warning(&format!("{SOURCE}.notifyStuckThreadDetected"), &line);
        }
    }
}

/// A thread's number.
fn digits(id: ThreadId) -> String {
    format!("{id:?}").chars().filter(char::is_ascii_digit).collect()
}

/// A number as Java shows it to people: `8,258`.
fn grouped(number: u128) -> String {
    let plain = number.to_string();
    let mut out = String::with_capacity(plain.len() + plain.len() / 3);
    for (at, digit) in plain.chars().enumerate() {
        if at > 0 && (plain.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::components::{Attribute, Kind, Position};
    use crate::node::exchange::Request;

    #[test]
    fn what_takes_too_long_is_said_once() {
        let mut element = Component::bare(Kind::Valve, "org.apache.catalina.valves.StuckThreadDetectionValve").unwrap();
        let attribute =
            |value: &str| Attribute { name: "threshold".to_owned(), value: value.to_owned(), at: Position::default() };
        element.attributes.push(attribute("8"));
        let valve = Stuck::of(&element).unwrap();
        let mut exchange = Exchange::new(Request {
            server_name: "h".to_owned(),
            server_port: 8080,
            uri: "/a".to_owned(),
            query: Some("b".to_owned()),
            ..Request::default()
        });
        assert!(valve.before(&mut exchange));
        assert!(valve.lines(Instant::now()).is_empty());
        let later = Instant::now() + Duration::from_millis(8258);
        let said = valve.lines(later);
        assert!(said.len() == 1 && said[0].contains("to serve the same request for [http://h:8080/a?b]"), "{said:?}");
        assert!(said[0].contains("active for [8,2") && said[0].contains("are [1] thread(s) in total"), "{said:?}");
        assert!(valve.lines(later).is_empty());
        valve.after(&mut exchange);
        assert!(valve.active().is_empty());
        element.attributes = vec![attribute("0")];
        assert!(Stuck::of(&element).is_none());
        assert_eq!((grouped(7), grouped(1_234_567)), ("7".to_owned(), "1,234,567".to_owned()));
    }
}

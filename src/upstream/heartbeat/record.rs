//! One host's heartbeat, and all that were heard.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::base::clock::leading_integer;
use crate::base::path::{EncodedSlashes, unescape_url};

/// Seconds after which a host that is silent is forgotten.
pub(super) const FORGOTTEN: i64 = 30;
/// The port where nobody says.
pub(super) const PORT: i32 = 80;
/// Hosts that are kept beside those of a file, whatever is heard.
pub(super) const MOST: usize = 4096;

/// `key=value` with `&` between them, unescaped.
#[derive(Debug, Default)]
pub struct Words(HashMap<Vec<u8>, Vec<u8>>);

impl Words {
    /// Takes a text apart; the last of two equal keys counts, a key alone is 1. Names are the same in any case.
    pub fn parse(text: &[u8]) -> Self {
        let unescaped = |text: &[u8]| {
            let mut out = Vec::with_capacity(text.len());
            // What is no escape stays as it is.
            let _ = unescape_url(text, EncodedSlashes::Decode, &mut out);
            out
        };
        let words = text.split(|byte| *byte == b'&').filter(|word| !word.is_empty());
        Self(
            words
                .map(|word| match memchr::memchr(b'=', word) {
                    Some(at) => (&word[..at], &word[at + 1..]),
                    None => (word, &b"1"[..]),
                })
                .map(|(key, value)| (unescaped(key).to_ascii_lowercase(), unescaped(value)))
                .collect(),
        )
    }

    /// The value of a key in lower case.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.0.get(key.as_bytes()).map(Vec::as_slice)
    }

    /// It as a number, as far as it is one.
    pub(super) fn number(&self, key: &str) -> Option<i32> {
        Some(number(self.get(key)?))
    }
}

/// A number as far as it is one, 0 if not at all; too large ones lose their upper bits, as in httpd.
pub(super) fn number(text: &[u8]) -> i32 {
    leading_integer(text).0.map_or(-1, |number| number as i32)
}

/// A whole number with nothing behind it.
pub fn whole(text: &[u8]) -> Option<i32> {
    let (number, rest) = leading_integer(text);
    number.filter(|_| rest.is_empty() && !text.is_empty()).map(|number| number as i32)
}

/// What a host said last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who.
    pub ip: Vec<u8>,
    /// The port it serves on.
    pub port: i32,
    /// How many more requests it could take.
    pub ready: i32,
    /// How many it is serving.
    pub busy: i32,
    /// Seconds since.
    pub seen: i64,
}

impl Record {
    /// How many requests it may be chosen for. One that has nothing to do has likely just begun: it is not flooded.
    pub(super) fn slots(&self) -> u32 {
        let ready = if self.busy == 0 { self.ready / 4 } else { self.ready };
        u32::try_from(ready).unwrap_or(0)
    }
}

/// What was heard, by all threads' leave.
#[derive(Debug)]
pub struct Monitor {
    most: usize,
    heard: ArcSwap<HashMap<IpAddr, Heard>>,
}

/// One host's last message, and when it came: microseconds since 1970.
#[derive(Clone, Copy, Debug)]
struct Heard {
    port: i32,
    ready: i32,
    busy: i32,
    at: i64,
}

impl Monitor {
    /// For so many hosts; 0 is as many as are kept for a file.
    pub fn new(most: usize) -> Self {
        Self { most: if most == 0 { MOST } else { most.min(MOST) }, heard: ArcSwap::default() }
    }

    /// How many hosts it has room for.
    pub fn most(&self) -> usize {
        self.most
    }

    /// A host said this. One too many is not listened to.
    pub fn hear(&self, host: IpAddr, [port, ready, busy]: [i32; 3], now: i64) {
        let heard = Heard { port, ready, busy, at: now };
        self.heard.rcu(|before| {
            let mut after = HashMap::clone(before);
            if after.contains_key(&host) || after.len() < self.most {
                after.insert(host, heard);
            }
            after
        });
    }

    /// Forgets who has been silent for too long.
    pub fn forget(&self, now: i64) {
        let old = |heard: &Heard| (now - heard.at) / 1_000_000 > FORGOTTEN;
        if self.heard.load().values().any(old) {
            self.heard.rcu(|before| {
                before
                    .iter()
                    .filter(|(_, heard)| !old(heard))
                    .map(|(host, heard)| (*host, *heard))
                    .collect::<HashMap<_, _>>()
            });
        }
    }

    /// All hosts, as of now.
    pub fn records(&self, now: i64) -> Vec<Record> {
        let heard: Arc<HashMap<IpAddr, Heard>> = self.heard.load_full();
        let record = |(host, heard): (&IpAddr, &Heard)| Record {
            ip: host.to_string().into_bytes(),
            port: heard.port,
            ready: heard.ready,
            busy: heard.busy,
            seen: (now - heard.at).max(0) / 1_000_000,
        };
        let mut all: Vec<Record> = heard.iter().map(record).collect();
        all.sort_by(|a, b| a.ip.cmp(&b.ip));
        all
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

    #[test]
    fn words_are_read_as_httpd_reads_them() {
        let words = Words::parse(b"&re%61dy=3%30&Busy=2&busy=1&alone&=x&bad=%zz");
        assert_eq!(words.number("ready"), Some(30));
        assert_eq!(words.number("busy"), Some(1));
        assert_eq!(words.get("alone"), Some(&b"1"[..]));
        assert_eq!(words.get("bad"), Some(&b"%zz"[..]));
        assert_eq!(words.number("none"), None);
        assert_eq!([number(b"5x"), number(b"x"), number(b" +7")], [5, 0, 7]);
    }

    #[test]
    fn who_is_silent_is_forgotten_and_there_is_room_for_so_many() {
        let monitor = Monitor::new(1);
        monitor.hear(HOST, [80, 5, 1], 1_000_000);
        monitor.hear(IpAddr::V4(Ipv4Addr::LOCALHOST), [80, 5, 1], 1_000_000);
        monitor.hear(HOST, [81, 6, 2], 3_000_000);
        let record = Record { ip: b"10.0.0.1".to_vec(), port: 81, ready: 6, busy: 2, seen: 4 };
        assert_eq!(monitor.records(7_999_999), [record]);
        monitor.forget(33_999_999);
        assert_eq!(monitor.records(33_999_999).len(), 1);
        monitor.forget(34_000_000);
        assert_eq!(monitor.records(34_000_000), []);
    }

    #[test]
    fn an_idle_host_gets_a_quarter() {
        let record = |ready, busy| Record { ip: Vec::new(), port: 80, ready, busy, seen: 0 }.slots();
        assert_eq!([record(40, 0), record(3, 0), record(40, 1), record(-1, 1)], [10, 0, 40, 0]);
    }
}

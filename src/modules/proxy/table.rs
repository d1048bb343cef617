//! What a server's requests may be sent to: its rules, workers and balancers, and those of the main server behind
//! them, which all servers share.

use std::sync::Arc;

use super::balancer::balancer_name;
use super::conf::{Mapping, Rule};
use crate::upstream::Backends;
use crate::upstream::canon::behind_scheme;

/// The rules, workers and balancers of one server. Indexes are those of [`Backends`].
#[derive(Debug, Default)]
pub(super) struct Table {
    /// The main server's rules: they come first.
    pub(super) outer_rules: Option<Arc<Self>>,
    /// The main server's workers and balancers, if they are inherited.
    pub(super) outer: Option<Arc<Self>>,
    /// Rules, in order.
    pub(super) rules: Vec<Listed>,
    /// Workers by authority, the longest name of each first.
    workers: Vec<usize>,
    /// Workers of patterns, in order.
    patterns: Vec<usize>,
    /// Balancers by name.
    balancers: Vec<usize>,
}

/// A rule with what tells it from most paths, so that one that misses costs no look at the rule itself.
#[derive(Debug)]
pub(super) struct Listed {
    /// The first byte of its path that is no slash; 0 where that does not tell anything.
    first: u8,
    pub(super) rule: Arc<Rule>,
}

impl Listed {
    fn new(rule: Arc<Rule>) -> Self {
        let plain = rule.regex.is_none() && rule.mapping != Mapping::Servlet && !rule.interpolate;
        let first = if plain && rule.fake.first() == Some(&b'/') { first_byte(&rule.fake) } else { 0 };
        Self { first, rule }
    }

    /// Whether the rule may hold for a path with this [`first_byte`].
    #[inline]
    pub(super) fn may_hold(&self, first: u8) -> bool {
        self.first == 0 || self.first == first
    }
}

/// The first byte of a path that is no slash; 0 if there is none.
pub(super) fn first_byte(path: &[u8]) -> u8 {
    path.iter().copied().find(|byte| *byte != b'/').unwrap_or(0)
}

/// `scheme://host[:port]` of a URL.
pub(super) fn authority(url: &[u8]) -> &[u8] {
    let start = behind_scheme(url);
    let end = memchr::memchr(b'/', url.get(start..).unwrap_or_default()).map_or(url.len(), |at| start + at);
    &url[..end]
}

/// Which workers a URL is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Those of plain rules and sections.
    Prefix,
    /// Those of patterns.
    Pattern,
}

/// The worker among `names` that fits `url` best: the longest name that `url` begins with, the whole authority
/// included; of equal ones the first.
pub(super) fn best<'n>(names: impl Iterator<Item = (&'n [u8], bool)>, url: &[u8], kind: Kind) -> Option<usize> {
    let lower = lowered(url);
    let least = authority(&lower).len();
    let mut found: Option<(usize, usize)> = None;
    for (at, (name, matchable)) in names.enumerate() {
        let fits = match kind {
            Kind::Prefix => !matchable && lower.starts_with(name),
            Kind::Pattern => matchable && fits_pattern(&lower, name),
        };
        if fits && name.len() >= least && found.is_none_or(|(_, longest)| name.len() > longest) {
            found = Some((at, name.len()));
        }
    }
    found.map(|(at, _)| at)
}

/// `url` with its authority in lower case.
fn lowered(url: &[u8]) -> Vec<u8> {
    let mut lower = url.to_vec();
    let end = authority(url).len();
    lower[..end].make_ascii_lowercase();
    lower
}

/// Whether `url` begins with what `name` stands for: `$1` and the like are any text, a backslash makes the next byte
/// literal. As in httpd, `url` must not be shorter than `name` as it is written. Linear but for what stands between two
/// references.
fn fits_pattern(url: &[u8], name: &[u8]) -> bool {
    if url.len() < name.len() {
        return false;
    }
    let (mut at, mut i) = (0, 0);
    // Where to go on when the text behind the last reference does not fit here.
    let mut again: Option<(usize, usize)> = None;
    while i < name.len() {
        if name[i] == b'$' && name.get(i + 1).is_some_and(u8::is_ascii_digit) {
            i += 2;
            again = Some((i, at));
            continue;
        }
        let (want, step) = match (name[i], name.get(i + 1)) {
            (b'\\', Some(next)) => (*next, 2),
            (byte, _) => (byte, 1),
        };
        if url.get(at) == Some(&want) {
            i += step;
            at += 1;
            continue;
        }
        match &mut again {
            Some((name_at, url_at)) if *url_at < url.len() => {
                *url_at += 1;
                (i, at) = (*name_at, *url_at);
            }
            _ => return false,
        }
    }
    true
}

impl Table {
    /// A table with these rules and nothing else.
    pub(super) fn new(rules: Vec<Arc<Rule>>) -> Self {
        Self { rules: rules.into_iter().map(Listed::new).collect(), ..Self::default() }
    }

    /// Takes in a worker that is no balancer's member.
    pub(super) fn add_worker(&mut self, index: usize, pattern: bool) {
        if pattern {
            self.patterns.push(index);
        } else {
            self.workers.push(index);
        }
    }

    /// Takes in a balancer.
    pub(super) fn add_balancer(&mut self, index: usize) {
        self.balancers.push(index);
    }

    /// Ready for look-ups.
    pub(super) fn seal(&mut self, backends: &Backends) {
        let name = |index: &usize| backends.workers.get(*index).map_or(&b""[..], |worker| worker.spec.name.as_bytes());
        self.workers.sort_by(|a, b| {
            let (a, b) = (name(a), name(b));
            authority(a).cmp(authority(b)).then(b.len().cmp(&a.len()))
        });
        let of = |index: &usize| backends.balancers.get(*index).map_or("", |balancer| balancer.spec.name.as_str());
        self.balancers.sort_by(|a, b| of(a).cmp(of(b)));
        self.workers.shrink_to_fit();
    }

    /// The worker for a canonical URL: that with the longest name of which the URL is a continuation.
    pub(super) fn worker(&self, backends: &Backends, url: &[u8]) -> Option<usize> {
        let outer = self.outer.as_ref().and_then(|outer| outer.own_worker(backends, url));
        let own = self.own_worker(backends, url);
        let len = |index: usize| backends.workers.get(index).map_or(0, |worker| worker.spec.name.len());
        match (outer, own) {
            (Some(outer), Some(own)) => Some(if len(own) > len(outer) { own } else { outer }),
            (outer, own) => outer.or(own),
        }
    }

    fn own_worker(&self, backends: &Backends, url: &[u8]) -> Option<usize> {
        let name = |index: usize| backends.workers.get(index).map_or(&b""[..], |worker| worker.spec.name.as_bytes());
        let wanted = authority(url);
        let first = self.workers.partition_point(|index| authority(name(*index)) < wanted);
        let plain = self.workers[first..]
            .iter()
            .copied()
            .take_while(|index| authority(name(*index)) == wanted)
            .find(|index| url.starts_with(name(*index)));
        let mut found = plain;
        for index in self.patterns.iter().copied() {
            let longest = found.map_or(0, |found| name(found).len());
            let len = name(index).len();
            if len > longest && len >= wanted.len() && fits_pattern(url, name(index)) {
                found = Some(index);
            }
        }
        found
    }

    /// All balancers, inherited ones too, in the order they were defined.
    pub(super) fn balancers(&self) -> Vec<usize> {
        let mut all = self.balancers.clone();
        all.extend(self.outer.iter().flat_map(|outer| outer.balancers()));
        all.sort_unstable();
        all
    }

    /// The balancer that `url` names.
    pub(super) fn balancer(&self, backends: &Backends, url: &[u8]) -> Option<usize> {
        let end = authority(url).len();
        let wanted = &url[..end];
        let found = self.own_balancer(backends, wanted).or_else(|| self.outer.as_ref()?.own_balancer(backends, wanted));
        if found.is_none() && wanted.iter().any(u8::is_ascii_uppercase) {
            let lower = balancer_name(url)?;
            return self.own_balancer(backends, &lower).or_else(|| self.outer.as_ref()?.own_balancer(backends, &lower));
        }
        found
    }

    fn own_balancer(&self, backends: &Backends, wanted: &[u8]) -> Option<usize> {
        let name = |index: usize| backends.balancers.get(index).map_or(&b""[..], |found| found.spec.name.as_bytes());
        let at = self.balancers.binary_search_by(|index| name(*index).cmp(wanted)).ok()?;
        self.balancers.get(at).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::spec::{Scheme, WorkerSpec};

    fn backends(names: &[&str]) -> Backends {
        let specs = names.iter().map(|name| WorkerSpec::new((*name).to_owned(), Scheme::Http, "h".to_owned(), 80));
        Backends::adopt(specs.collect(), Vec::new(), None)
    }

    fn table(backends: &Backends, plain: &[usize], patterns: &[usize], outer: Option<Arc<Table>>) -> Table {
        let mut table = Table { outer, ..Table::default() };
        plain.iter().for_each(|index| table.add_worker(*index, false));
        patterns.iter().for_each(|index| table.add_worker(*index, true));
        table.seal(backends);
        table
    }

    #[test]
    fn the_longest_name_with_the_whole_authority_wins() {
        let all = backends(&["http://h/", "http://h/a", "http://h:81", "http://h:8", "http://g/$1/x", "http://h/a"]);
        let main = Arc::new(table(&all, &[0, 1, 2, 3], &[4], None));
        assert_eq!(main.worker(&all, b"http://h/abc"), Some(1));
        assert_eq!(main.worker(&all, b"http://h/b"), Some(0));
        assert_eq!(main.worker(&all, b"http://h:81/b"), Some(2));
        assert_eq!(main.worker(&all, b"http://h:82/b"), None);
        assert_eq!(main.worker(&all, b"http://g/any/x/y"), Some(4));
        assert_eq!(main.worker(&all, b"http://g/a/x"), None);
        // A virtual host's worker must have a longer name than the main server's.
        let inner = table(&all, &[5], &[], Some(main));
        assert_eq!(inner.worker(&all, b"http://h/abc"), Some(1));
    }

    #[test]
    fn definitions_share_by_prefix_and_pattern() {
        let names = [(&b"http://h/x"[..], false), (b"http://h/$1", true), (b"http://h", false)];
        let find = |url: &str, kind| best(names.iter().copied(), url.as_bytes(), kind);
        assert_eq!(find("HTTP://H/xy", Kind::Prefix), Some(0));
        assert_eq!(find("http://h/y", Kind::Prefix), Some(2));
        assert_eq!(find("http://h:8/y", Kind::Prefix), None);
        assert_eq!(find("http://h/x/$1", Kind::Pattern), Some(1));
        assert_eq!(find("http://g/$1", Kind::Pattern), None);
    }

    #[test]
    fn references_stand_for_any_text() {
        assert!(fits_pattern(b"http://h/abcab/tail", b"http://h/$1/t"));
        assert!(fits_pattern(b"http://h/aaXbbXc", b"http://h/$1X$2c"));
        assert!(!fits_pattern(b"http://h/aaaXbbX", b"http://h/$1X$2c"));
        assert!(fits_pattern(b"http://h/$1x", b"http://h/\\$1"));
        assert!(!fits_pattern(b"http://h/a", b"http://h/$1"));
        assert!(!fits_pattern(b"http://h", b"http://h/"));
    }
}

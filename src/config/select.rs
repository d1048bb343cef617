//! Which server and which sections hold for a request: tables made once with the generation.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::generation::{Matcher, Section, SectionKind, Server};
use crate::base::fnmatch::{Fnmatch, fnmatch};
use crate::base::pattern::Pattern;

/// Tables over the servers and sections of one generation.
#[derive(Default)]
pub struct Select {
    exact: HashMap<(IpAddr, u16), Names, RandomState>,
    any_port: HashMap<IpAddr, Names, RandomState>,
    any_addr: HashMap<u16, Names, RandomState>,
    any: Option<Names>,
    walks: Vec<Arc<Walks>>,
    sections: Vec<Item>,
}

/// The virtual hosts of one address, in file order.
#[derive(Default)]
pub struct Names {
    servers: Vec<usize>,
    /// Lower-case name → place in `servers` of the first server that has it.
    exact: HashMap<Box<[u8]>, usize, RandomState>,
    /// Wild aliases with the place of their server, in order.
    wild: Vec<(usize, Box<[u8]>)>,
    /// `ServerPath`s with the place of their server.
    paths: Vec<(usize, Box<[u8]>)>,
}

/// The sections of one server, each kind in the order in which it is merged; values are section numbers.
#[derive(Default)]
pub struct Walks {
    /// `<Location>` and its Match form, in file order.
    pub locations: Vec<u32>,
    /// Plain `<Directory>` by number of path segments.
    pub directories: Vec<(usize, u32)>,
    /// `<DirectoryMatch>`.
    pub directory_matches: Vec<u32>,
    /// `<Files>` at server level.
    pub files: Vec<u32>,
    /// `<Proxy>` and `<ProxyMatch>`, in file order.
    pub proxies: Vec<u32>,
    /// `<If>` and its relatives at server level.
    pub ifs: Vec<u32>,
    /// Some section holds an `<If>`.
    pub any_if: bool,
}

/// A section by its number.
pub struct Item {
    /// The section.
    pub section: Arc<Section>,
    /// `<Files>` inside.
    pub files: Vec<u32>,
    /// `<If>` inside.
    pub ifs: Vec<u32>,
}

impl Select {
    /// The tables for these servers: merged, the main one first.
    pub fn new(servers: &[Server]) -> Self {
        let mut select = Self::default();
        for server in servers.iter().skip(1) {
            for addr in &server.addrs {
                let names = match (addr.ip, addr.port) {
                    (Some(ip), Some(port)) => select.exact.entry((ip.to_canonical(), port)).or_default(),
                    (Some(ip), None) => select.any_port.entry(ip.to_canonical()).or_default(),
                    (None, Some(port)) => select.any_addr.entry(port).or_default(),
                    (None, None) => select.any.get_or_insert_with(Names::default),
                };
                names.add(server);
            }
        }
        let mut numbers = HashMap::new();
        let heard = |server: &Server| server.sections.iter().filter(|section| !section.is_silent()).count();
        let main = servers.first().map_or(0, heard);
        for server in servers {
            // Most virtual hosts of a large configuration have no section of their own: they share the main server's.
            let shared = select.walks.first().filter(|_| heard(server) == main).cloned();
            let walks = shared.unwrap_or_else(|| Arc::new(select.walks_of(&server.sections, &mut numbers)));
            select.walks.push(walks);
        }
        select
    }

    fn walks_of(&mut self, sections: &[Arc<Section>], numbers: &mut HashMap<*const Section, u32>) -> Walks {
        let mut walks = Walks::default();
        for section in sections.iter().filter(|section| !section.is_silent()) {
            let number = self.number(section, numbers);
            walks.any_if |= self.holds_if(number);
            match section.kind {
                SectionKind::Location => walks.locations.push(number),
                SectionKind::Directory if section.is_match => walks.directory_matches.push(number),
                SectionKind::Directory => walks.directories.push((segments(section), number)),
                SectionKind::Files => walks.files.push(number),
                SectionKind::Proxy => walks.proxies.push(number),
                SectionKind::If | SectionKind::ElseIf | SectionKind::Else => walks.ifs.push(number),
                SectionKind::VirtualHost | SectionKind::Limit | SectionKind::Block => {}
            }
        }
        walks.directories.sort_by_key(|(segments, _)| *segments);
        walks
    }

    fn number(&mut self, section: &Arc<Section>, numbers: &mut HashMap<*const Section, u32>) -> u32 {
        if let Some(number) = numbers.get(&Arc::as_ptr(section)) {
            return *number;
        }
        let (mut files, mut ifs) = (Vec::new(), Vec::new());
        for inner in &section.inner {
            let number = self.number(inner, numbers);
            match inner.kind {
                SectionKind::Files => files.push(number),
                SectionKind::If | SectionKind::ElseIf | SectionKind::Else => ifs.push(number),
                _ => {}
            }
        }
        let number = u32::try_from(self.sections.len()).unwrap_or(u32::MAX);
        self.sections.push(Item { section: section.clone(), files, ifs });
        numbers.insert(Arc::as_ptr(section), number);
        number
    }

    fn holds_if(&self, number: u32) -> bool {
        self.item(number).is_some_and(|item| {
            matches!(item.section.kind, SectionKind::If | SectionKind::ElseIf | SectionKind::Else)
                || !item.ifs.is_empty()
                || item.files.iter().any(|inner| self.holds_if(*inner))
        })
    }

    /// The virtual hosts that are considered for connections to this address of ours; `None`: the main server only.
    pub fn names(&self, local: SocketAddr) -> Option<&Names> {
        let ip = local.ip().to_canonical();
        let exact = if self.exact.is_empty() { None } else { self.exact.get(&(ip, local.port())) };
        exact
            .or_else(|| if self.any_port.is_empty() { None } else { self.any_port.get(&ip) })
            .or_else(|| self.any_addr.get(&local.port()))
            .or(self.any.as_ref())
    }

    /// The server whose settings hold for a connection to this address of ours before a host is named.
    pub fn default_server(&self, local: SocketAddr) -> usize {
        self.names(local).map_or(0, Names::default_server)
    }

    /// The sections of a server.
    pub fn walks(&self, server: usize) -> Option<&Walks> {
        self.walks.get(server).map(|walks| &**walks)
    }

    /// A section by its number.
    pub fn item(&self, number: u32) -> Option<&Item> {
        self.sections.get(number as usize)
    }
}

impl Names {
    fn add(&mut self, server: &Server) {
        if self.servers.last() == Some(&server.index) {
            return;
        }
        let place = self.servers.len();
        self.servers.push(server.index);
        for name in server.rec.name.iter().chain(&server.rec.aliases) {
            self.exact.entry(name.to_ascii_lowercase().into()).or_insert(place);
        }
        for alias in &server.rec.wild_aliases {
            self.wild.push((place, alias.to_ascii_lowercase().into()));
        }
        if let Some(path) = &server.rec.path {
            self.paths.push((place, path.clone().into()));
        }
    }

    /// The first server.
    pub fn default_server(&self) -> usize {
        self.servers.first().copied().unwrap_or(0)
    }

    /// The first server that has this name, given in lower case.
    pub fn find(&self, host: &[u8]) -> Option<usize> {
        let exact = self.exact.get(host).copied();
        let before = exact.unwrap_or(usize::MAX);
        let wild = self.wild.iter().take_while(|(place, _)| *place < before);
        let wild = wild.into_iter().find(|(_, alias)| glob(alias, host)).map(|(place, _)| *place);
        wild.or(exact).and_then(|place| self.servers.get(place).copied())
    }

    /// The server whose `ServerPath` holds this path, for requests that name no host.
    pub fn find_path(&self, path: &[u8]) -> Option<usize> {
        let found = self.paths.iter().find(|(_, prefix)| {
            path.strip_prefix(&**prefix)
                .is_some_and(|rest| prefix.last() == Some(&b'/') || matches!(rest.first(), None | Some(b'/')))
        });
        found.and_then(|(place, _)| self.servers.get(*place).copied())
    }
}

impl Server {
    /// Whether this is its ServerName or one of its aliases, in any case.
    pub fn has_name(&self, host: &[u8]) -> bool {
        let rec = &self.rec;
        rec.name.iter().chain(&rec.aliases).any(|name| name.eq_ignore_ascii_case(host))
            || rec.wild_aliases.iter().any(|alias| glob(&alias.to_ascii_lowercase(), &host.to_ascii_lowercase()))
    }
}

/// `*` any text, `?` one byte; both in lower case.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                back = Some((p + 1, t));
                p += 1;
            }
            Some(byte) if *byte == b'?' || text.get(t) == Some(byte) => {
                p += 1;
                t += 1;
            }
            _ => match back {
                Some((after, from)) => {
                    back = Some((after, from + 1));
                    p = after;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

fn segments(section: &Section) -> usize {
    match &section.matcher {
        Matcher::Literal(path) | Matcher::Wild(path) => path.iter().filter(|byte| **byte == b'/').count(),
        Matcher::Regex(_) | Matcher::Condition(_) => 0,
    }
}

impl Section {
    /// Whether it is the same for a request to be in it or not: a `<Proxy>` that holds a balancer's members and nothing
    /// else, as in most configurations.
    pub fn is_silent(&self) -> bool {
        self.kind == SectionKind::Proxy
            && matches!(self.matcher, Matcher::Literal(_) | Matcher::Wild(_))
            && self.conf.is_empty()
            && self.inner.is_empty()
    }

    /// The pattern, where a match has groups that requests may want.
    pub fn pattern(&self) -> Option<&Arc<Pattern>> {
        match &self.matcher {
            Matcher::Regex(pattern) => Some(pattern),
            _ => None,
        }
    }

    /// Whether a `<Location>` holds for this path. `merged` is the path with runs of slashes merged: what plain
    /// sections see; patterns see `path`.
    pub fn matches_location(&self, path: &[u8], merged: &[u8]) -> bool {
        match &self.matcher {
            Matcher::Literal(prefix) => merged.strip_prefix(prefix.as_slice()).is_some_and(|rest| {
                matches!(prefix.last(), None | Some(b'/')) || matches!(rest.first(), None | Some(b'/'))
            }),
            Matcher::Wild(pattern) => fnmatch(pattern, merged, Fnmatch { pathname: true, ..Fnmatch::default() }),
            Matcher::Regex(pattern) => pattern.is_match(path),
            Matcher::Condition(_) => false,
        }
    }

    /// Whether a `<Directory>` holds for this directory, which ends in a slash; patterns get the whole file name.
    pub fn matches_directory(&self, dir: &[u8]) -> bool {
        match &self.matcher {
            Matcher::Literal(path) => path == dir,
            Matcher::Wild(pattern) => fnmatch(pattern, dir, Fnmatch { pathname: true, ..Fnmatch::default() }),
            Matcher::Regex(pattern) => pattern.is_match(dir),
            Matcher::Condition(_) => false,
        }
    }

    /// Whether a `<Files>` holds for a file of this name (last segment).
    pub fn matches_file(&self, name: &[u8]) -> bool {
        match &self.matcher {
            Matcher::Literal(literal) => literal == name,
            Matcher::Wild(pattern) => fnmatch(pattern, name, Fnmatch::default()),
            Matcher::Regex(pattern) => pattern.is_match(name),
            Matcher::Condition(_) => false,
        }
    }

    /// Whether a `<Proxy>` holds for this URL.
    pub fn matches_proxy(&self, url: &[u8]) -> bool {
        match &self.matcher {
            Matcher::Literal(prefix) => url.starts_with(prefix),
            Matcher::Wild(pattern) => fnmatch(pattern, url, Fnmatch::default()),
            Matcher::Regex(pattern) => pattern.is_match(url),
            Matcher::Condition(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ServerRec, VhostAddr};

    fn vhost(index: usize, addr: (Option<&str>, Option<u16>), name: &str, aliases: &[&str]) -> Server {
        let (wild, exact): (Vec<_>, Vec<_>) = aliases.iter().partition(|alias| alias.contains(['*', '?']));
        let list = |aliases: Vec<&&str>| aliases.iter().map(|alias| alias.as_bytes().to_vec()).collect();
        let rec = ServerRec {
            name: Some(name.into()),
            aliases: list(exact),
            wild_aliases: list(wild),
            path: (name == "path.test").then(|| b"/sp".to_vec()),
            ..ServerRec::default()
        };
        let ip = addr.0.map(|ip| ip.parse().unwrap());
        let addrs = vec![VhostAddr { ip, port: addr.1, text: String::new() }];
        Server { index, addrs, rec, ..Server::default() }
    }

    #[test]
    fn addresses_are_tried_from_exact_to_any() {
        let servers = [
            Server::default(),
            vhost(1, (None, None), "any.test", &[]),
            vhost(2, (None, Some(80)), "port.test", &[]),
            vhost(3, (Some("127.0.0.1"), None), "ip.test", &[]),
            vhost(4, (Some("127.0.0.1"), Some(80)), "exact.test", &[]),
        ];
        let select = Select::new(&servers);
        let at = |text: &str| select.default_server(text.parse().unwrap());
        assert_eq!(at("127.0.0.1:80"), 4);
        assert_eq!(at("[::ffff:127.0.0.1]:80"), 4);
        assert_eq!(at("127.0.0.1:81"), 3);
        assert_eq!(at("127.0.0.2:80"), 2);
        assert_eq!(at("127.0.0.2:81"), 1);
        assert_eq!(Select::new(&servers[..1]).default_server("127.0.0.1:80".parse().unwrap()), 0);
        let names = select.names("127.0.0.1:80".parse().unwrap()).unwrap();
        assert_eq!(names.find(b"port.test"), None, "lists are not merged");
    }

    #[test]
    fn the_first_server_with_any_name_that_fits_wins() {
        let star = (None, Some(80));
        let servers = [
            Server::default(),
            vhost(1, star, "first.test", &[]),
            vhost(2, star, "Second.test", &["*.two.test", "w?ld.test"]),
            vhost(3, star, "path.test", &["deep.two.test", "second.test", "three.test"]),
        ];
        let select = Select::new(&servers);
        let names = select.names("10.0.0.1:80".parse().unwrap()).unwrap();
        for (host, want) in [
            ("first.test", Some(1)),
            ("second.test", Some(2)),
            ("deep.two.test", Some(2)),
            (".two.test", Some(2)),
            ("two.test", None),
            ("wild.test", Some(2)),
            ("wiild.test", None),
            ("three.test", Some(3)),
        ] {
            assert_eq!(names.find(host.as_bytes()), want, "{host}");
        }
        assert_eq!(names.find_path(b"/sp/x"), Some(3));
        assert_eq!(names.find_path(b"/spx"), None);
    }

    fn section(kind: SectionKind, matcher: Matcher) -> Section {
        Section {
            id: 0,
            kind,
            matcher,
            is_match: false,
            conf: Default::default(),
            inner: Vec::new(),
            at: Default::default(),
        }
    }

    #[test]
    fn locations_match_by_segments() {
        let literal = |text: &str| section(SectionKind::Location, Matcher::Literal(text.into()));
        let holds = |section: &Section, path: &str| section.matches_location(path.as_bytes(), path.as_bytes());
        for (prefix, path, want) in [
            ("/a", "/a", true),
            ("/a", "/a/", true),
            ("/a", "/a/x", true),
            ("/a", "/ab", false),
            ("/b/", "/b", false),
            ("/b/", "/b/x", true),
            ("/", "/x", true),
            ("/", "*", false),
        ] {
            assert_eq!(holds(&literal(prefix), path), want, "{prefix} {path}");
        }
        let wild = section(SectionKind::Location, Matcher::Wild(b"/w/*/x".to_vec()));
        assert!(holds(&wild, "/w/1/x") && !holds(&wild, "/w/1/2/x") && !holds(&wild, "/w/1/x/y"));
    }

    #[test]
    fn directories_are_ordered_by_depth_and_shared_where_nothing_is_added() {
        let at = |path: &str| Arc::new(section(SectionKind::Directory, Matcher::Literal(path.into())));
        let main = vec![at("/a/b/"), at("/"), at("/a/")];
        let servers = [
            Server { sections: main.clone(), ..Server::default() },
            Server { index: 1, sections: main.clone(), ..Server::default() },
            Server { index: 2, sections: [main, vec![at("/z/")]].concat(), ..Server::default() },
        ];
        let select = Select::new(&servers);
        assert_eq!(select.walks(0).unwrap().directories, [(1, 1), (2, 2), (3, 0)]);
        assert!(std::ptr::eq(select.walks(0).unwrap(), select.walks(1).unwrap()));
        assert_eq!(select.walks(2).unwrap().directories, [(1, 1), (2, 2), (2, 3), (3, 0)]);
    }
}

//! `ProxyPassReverse`, `ProxyPassReverseCookieDomain`, `ProxyPassReverseCookiePath`: response fields that name the
//! backend are made to name this server.

use std::borrow::Cow;
use std::sync::Arc;

use super::balancer::is_balancer;
use super::conf::{ProxyDir, ProxyProcess};
use super::pass::Done;
use crate::config::{Args, Cmd, SectionKind};
use crate::pipe::names::push_url;
use crate::upstream::Backends;
use crate::upstream::spec::Reverse;
use crate::web::{Exchange, ProxyKind, Table};

/// One `ProxyPassReverse`.
#[derive(Debug)]
pub(super) struct ReverseRule {
    /// Our path.
    pub(super) fake: Vec<u8>,
    /// The backend's URL, or its path.
    pub(super) real: Vec<u8>,
    /// `interpolate`.
    pub(super) interpolate: bool,
}

/// One `ProxyPassReverseCookieDomain` or `…Path`: the backend's and our value.
#[derive(Debug)]
pub(super) struct CookieRule {
    pub(super) inner: Vec<u8>,
    pub(super) outer: Vec<u8>,
    pub(super) interpolate: bool,
}

fn says_interpolate(word: Option<&[u8]>) -> bool {
    word.is_some_and(|word| word.eq_ignore_ascii_case(b"interpolate"))
}

/// `ProxyPassReverse [path] url [interpolate]`.
pub(super) fn pass_reverse(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.forbid(&[SectionKind::Directory, SectionKind::Files, SectionKind::Limit])?;
    let second = args.words.get(1).copied();
    let rule = match cmd.section_path {
        None => match second {
            None => return Err("ProxyPassReverse needs a path when not defined in a location".to_owned()),
            Some(_) if says_interpolate(second) => {
                return Err("ProxyPassReverse needs a path when not defined in a location".to_owned());
            }
            Some(real) => ReverseRule {
                fake: args.word(0).to_vec(),
                real: real.to_vec(),
                interpolate: says_interpolate(args.words.get(2).copied()),
            },
        },
        Some(_) if second.is_some() && !says_interpolate(second) => {
            return Err("ProxyPassReverse can not have a path when defined in a location".to_owned());
        }
        Some(path) => {
            ReverseRule { fake: path.to_vec(), real: args.word(0).to_vec(), interpolate: says_interpolate(second) }
        }
    };
    cmd.dir_conf::<ProxyDir>().reverse.push(Arc::new(rule));
    Ok(())
}

fn cookie_rule(args: &Args<'_>) -> Arc<CookieRule> {
    Arc::new(CookieRule {
        inner: args.word(0).to_vec(),
        outer: args.word(1).to_vec(),
        interpolate: says_interpolate(args.words.get(2).copied()),
    })
}

/// `ProxyPassReverseCookiePath`.
pub(super) fn cookie_path(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.dir_conf::<ProxyDir>().cookie_paths.push(cookie_rule(args));
    Ok(())
}

/// `ProxyPassReverseCookieDomain`.
pub(super) fn cookie_domain(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.dir_conf::<ProxyDir>().cookie_domains.push(cookie_rule(args));
    Ok(())
}

/// `${NAME}` replaced by variables of the request's environment; those that do not exist are empty.
pub(super) fn interpolate<'t>(ex: &Exchange, text: &'t [u8]) -> Cow<'t, [u8]> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(start) = memchr::memmem::find(rest, b"${") {
        let Some(len) = memchr::memchr(b'}', &rest[start + 2..]) else { break };
        out.extend_from_slice(&rest[..start]);
        out.extend_from_slice(ex.env.get(&rest[start + 2..start + 2 + len]).unwrap_or_default());
        rest = &rest[start + 3 + len..];
    }
    if rest.len() == text.len() {
        return Cow::Borrowed(text);
    }
    out.extend_from_slice(rest);
    Cow::Owned(out)
}

/// The rules that hold for one chain of sections.
#[derive(Default)]
pub(super) struct ReverseMap {
    rules: Vec<Arc<ReverseRule>>,
    domains: Vec<Arc<CookieRule>>,
    paths: Vec<Arc<CookieRule>>,
    interpolate: bool,
}

impl ReverseMap {
    /// Those of these per-directory values.
    pub(super) fn of(dir: &ProxyDir) -> Self {
        Self {
            rules: dir.reverse.clone(),
            domains: dir.cookie_domains.clone(),
            paths: dir.cookie_paths.clone(),
            interpolate: dir.interpolate == Some(true),
        }
    }

    fn text<'t>(&self, ex: &Exchange, text: &'t [u8], wanted: bool) -> Cow<'t, [u8]> {
        if wanted && self.interpolate { interpolate(ex, text) } else { Cow::Borrowed(text) }
    }

    /// What our server calls this URL of the backend, if a rule knows it.
    fn location(&self, ex: &Exchange, backends: &Backends, url: &[u8]) -> Option<Vec<u8>> {
        self.rules.iter().find_map(|rule| {
            let real = self.text(ex, &rule.real, rule.interpolate);
            let balancer = if is_balancer(&real) { balancer(ex, backends, &real) } else { None };
            let fake = || self.text(ex, &rule.fake, rule.interpolate);
            let rest = match balancer {
                Some(balancer) => behind_member(balancer, backends, &real, url, &rule.fake)?,
                None => behind_real(&real, url)?,
            };
            let path = match rest {
                Rest::Behind(rest) => [&fake(), rest].concat(),
                Rest::Alone(rest) => rest.to_vec(),
            };
            if is_url(&path) {
                return Some(path);
            }
            let mut out = Vec::with_capacity(path.len() + 64);
            push_url(ex, &path, &mut out);
            Some(out)
        })
    }

    /// The cookie with the backend's domain and path replaced; `None` if no rule changes it.
    fn cookie(&self, ex: &Exchange, cookie: &[u8]) -> Option<Vec<u8>> {
        let mut path = Change::default();
        let mut domain = Change::default();
        let mut at = 0;
        for token in cookie.split(|byte| *byte == b';') {
            let blanks = token.iter().take_while(|byte| byte.is_ascii_whitespace() || **byte == 0x0b).count();
            let (start, end) = (at + blanks, at + token.len());
            at = end + 1;
            let word = &cookie[start..end];
            if starts_with_icase(word, b"path=") {
                path.note(start + 5, end);
                let matches = |rule: &CookieRule| word[5..].starts_with(&self.text(ex, &rule.inner, rule.interpolate));
                let rule = self.paths.iter().find(|rule| matches(rule));
                path.value = rule.map(|rule| self.text(ex, &rule.outer, rule.interpolate).into_owned());
            } else if starts_with_icase(word, b"domain=") {
                domain.note(start + 7, end);
                let matches =
                    |rule: &CookieRule| starts_with_icase(&word[7..], &self.text(ex, &rule.inner, rule.interpolate));
                let rule = self.domains.iter().find(|rule| matches(rule));
                domain.value = rule.map(|rule| self.text(ex, &rule.outer, rule.interpolate).into_owned());
            }
        }
        let mut changes = [path, domain];
        changes.sort_by_key(|change| change.start);
        let mut out = Vec::with_capacity(cookie.len() + 32);
        let mut done = 0;
        for change in changes {
            let Some(value) = change.value else { continue };
            out.extend_from_slice(&cookie[done..change.start]);
            out.extend_from_slice(&value);
            done = change.end;
        }
        (done > 0).then(|| {
            out.extend_from_slice(&cookie[done..]);
            out
        })
    }

    /// The changed value of a field, `None` if it stays.
    fn field(&self, ex: &Exchange, backends: &Backends, name: &[u8], value: &[u8]) -> Option<Vec<u8>> {
        const LOCATIONS: [&[u8]; 4] = [b"Location", b"Content-Location", b"URI", b"Destination"];
        if !self.rules.is_empty() && LOCATIONS.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return self.location(ex, backends, value);
        }
        let cookies = !self.paths.is_empty() || !self.domains.is_empty();
        if cookies && name.eq_ignore_ascii_case(b"Set-Cookie") { self.cookie(ex, value) } else { None }
    }
}

impl Reverse for ReverseMap {
    fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.domains.is_empty() && self.paths.is_empty()
    }

    fn apply(&self, ex: &Exchange, backends: &Backends, headers: &mut Table) {
        if ex.proxyreq != ProxyKind::Reverse {
            return;
        }
        // Most responses have nothing to change: the table is made anew from the first change on only.
        let mut changed: Option<Table> = None;
        for (at, (name, value)) in headers.iter().enumerate() {
            let new = self.field(ex, backends, name, value);
            if new.is_some() && changed.is_none() {
                let mut table = Table::default();
                headers.iter().take(at).for_each(|(name, value)| table.add(name, value));
                changed = Some(table);
            }
            if let Some(table) = &mut changed {
                table.add(name, new.as_deref().unwrap_or(value));
            }
        }
        if let Some(table) = changed {
            *headers = table;
        }
    }
}

/// Where in a cookie a value stands, and what replaces it. Of several attributes of one name only the last one counts.
#[derive(Default)]
struct Change {
    start: usize,
    end: usize,
    value: Option<Vec<u8>>,
}

impl Change {
    fn note(&mut self, start: usize, end: usize) {
        (self.start, self.end) = (start, end);
    }
}

/// What of a URL is left, and whether our path goes in front of it.
enum Rest<'u> {
    Behind(&'u [u8]),
    Alone(&'u [u8]),
}

/// Compares with a URL as text, or with a path if `real` is one.
fn behind_real<'u>(real: &[u8], url: &'u [u8]) -> Option<Rest<'u>> {
    let mut part = url;
    if real.first() == Some(&b'/')
        && let Some(scheme) = memchr::memmem::find(url, b"://")
        && let Some(slash) = memchr::memchr(b'/', &url[scheme + 3..])
    {
        part = &url[scheme + 3 + slash..];
    }
    (!real.is_empty() && starts_with_icase(part, real)).then(|| Rest::Behind(&part[real.len()..]))
}

/// Compares with the URL of each member, followed by the path behind the balancer's name.
fn behind_member<'u>(
    members: &[usize],
    backends: &Backends,
    real: &[u8],
    url: &'u [u8],
    fake: &[u8],
) -> Option<Rest<'u>> {
    let path = real.get(11..).and_then(|rest| memchr::memchr(b'/', rest).map(|at| &rest[at..]));
    let path = path.filter(|path| path.len() > 1);
    members.iter().find_map(|member| {
        let name = backends.workers.get(*member)?.spec.name.as_bytes();
        let Some(path) = path else {
            let rest = starts_with_icase(url, name).then(|| &url[name.len()..])?;
            let alone = fake == b"/" && rest.first() == Some(&b'/');
            return Some(if alone { Rest::Alone(rest) } else { Rest::Behind(rest) });
        };
        let name = name.strip_suffix(b"/").unwrap_or(name);
        let rest = starts_with_icase(url, name).then(|| &url[name.len()..])?;
        rest.strip_prefix(path).map(Rest::Behind)
    })
}

/// The members of the balancer that `real` names, if this server has it.
fn balancer<'b>(ex: &Exchange, backends: &'b Backends, real: &[u8]) -> Option<&'b [usize]> {
    let process = ex.live.generation.globals.conf.get::<ProxyProcess>()?;
    let table = process.tables.get(ex.server)?;
    let found = backends.balancers.get(table.balancer(backends, real)?)?;
    Some(&found.spec.members)
}

fn starts_with_icase(text: &[u8], start: &[u8]) -> bool {
    text.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start))
}

/// Whether the text begins with a scheme.
fn is_url(text: &[u8]) -> bool {
    let scheme = text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)).count();
    scheme > 0 && text.get(scheme) == Some(&b':')
}

//! What the directives set.

use std::path::PathBuf;
use std::time::Duration;

use super::key;
use super::lock::Locks;
use crate::config::{Conf, inner_or_outer};
use crate::modules::slot;
use crate::web::Exchange;

/// Values per server.
#[derive(Clone, Default)]
pub struct CacheServer {
    pub(super) enable: Vec<(UrlPrefix, Vec<u8>)>,
    pub(super) disable: Vec<UrlPrefix>,
    pub(super) quick: Option<bool>,
    pub(super) ignore_control: Option<bool>,
    /// `Some` of nothing: `None` was named.
    pub(super) ignore_headers: Option<Vec<Vec<u8>>>,
    pub(super) ignore_query: Option<bool>,
    pub(super) ignore_session_ids: Option<Vec<Vec<u8>>>,
    pub(super) lock: Option<bool>,
    pub(super) lock_path: Option<PathBuf>,
    /// In seconds.
    pub(super) lock_max_age: Option<u64>,
    pub(super) base_url: Option<BaseUrl>,
}

impl Conf for CacheServer {
    const SLOT: usize = slot::CACHE;

    fn merge(base: &Self, add: &Self) -> Self {
        inner_or_outer!(
            base, add;
            quick, ignore_control, ignore_headers, ignore_query, ignore_session_ids, lock, lock_path, lock_max_age,
            base_url;
            enable: base.enable.iter().chain(&add.enable).cloned().collect(),
            disable: base.disable.iter().chain(&add.disable).cloned().collect()
        )
    }
}

impl CacheServer {
    /// Whether the quick handler answers, in front of all sections.
    pub fn is_quick(&self) -> bool {
        self.quick.unwrap_or(true)
    }

    /// Where locks are, if there are any.
    pub fn locks(&self) -> Option<Locks> {
        let dir = || std::env::temp_dir().join("mod_cache-lock");
        (self.lock == Some(true)).then(|| Locks {
            dir: self.lock_path.clone().unwrap_or_else(dir),
            max_age: Duration::from_secs(self.lock_max_age.unwrap_or(5)),
        })
    }
}

/// Values per directory; times in microseconds.
#[derive(Clone, Default)]
pub struct CacheDir {
    /// Providers that `CacheEnable` names in a Location.
    pub(super) enable: Vec<Vec<u8>>,
    pub(super) disable: Option<bool>,
    pub(super) max_expire: Option<i64>,
    pub(super) min_expire: Option<i64>,
    pub(super) default_expire: Option<i64>,
    pub(super) factor: Option<f64>,
    pub(super) ignore_no_last_mod: Option<bool>,
    pub(super) store_expired: Option<bool>,
    pub(super) store_private: Option<bool>,
    pub(super) store_no_store: Option<bool>,
    pub(super) header: Option<bool>,
    pub(super) detail: Option<bool>,
    pub(super) stale_on_error: Option<bool>,
}

impl Conf for CacheDir {
    const SLOT: usize = slot::CACHE + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        inner_or_outer!(
            base, add;
            disable, max_expire, min_expire, default_expire, factor, ignore_no_last_mod, store_expired, store_private,
            store_no_store, header, detail, stale_on_error;
            enable: base.enable.iter().chain(&add.enable).cloned().collect()
        )
    }
}

impl CacheDir {
    /// A time within CacheMinExpire and CacheMaxExpire.
    pub fn within(&self, time: i64) -> i64 {
        time.max(self.min_expire.unwrap_or(0)).min(self.max_expire.unwrap_or(DAY))
    }

    /// CacheDefaultExpire.
    pub fn default_expire(&self) -> i64 {
        self.default_expire.unwrap_or(HOUR)
    }

    /// CacheLastModifiedFactor.
    pub fn factor(&self) -> f64 {
        self.factor.unwrap_or(0.1)
    }
}

const HOUR: i64 = 3600 * 1_000_000;
const DAY: i64 = 24 * HOUR;

/// What `CacheKeyBaseURL` puts in the place of the request's own.
#[derive(Clone, Debug, Default)]
pub struct BaseUrl {
    /// Scheme.
    pub scheme: Option<Vec<u8>>,
    /// Host.
    pub host: Option<Vec<u8>>,
    /// Port, in digits.
    pub port: Option<Vec<u8>>,
}

impl BaseUrl {
    /// Reads an URL.
    pub fn parse(text: &[u8]) -> Self {
        let url = UrlPrefix::parse(text);
        let filled = |part: Option<Vec<u8>>| part.filter(|part| !part.is_empty());
        Self { scheme: filled(url.scheme), host: filled(url.host), port: filled(url.port) }
    }
}

/// The beginning of an URL: what `CacheEnable` and `CacheDisable` are about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UrlPrefix {
    scheme: Option<Vec<u8>>,
    host: Option<Vec<u8>>,
    port: Option<Vec<u8>>,
    path: Vec<u8>,
}

impl UrlPrefix {
    /// Reads `/path`, or `scheme://host:port/path` with parts left out.
    pub fn parse(text: &[u8]) -> Self {
        let scheme = text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)).count();
        let (scheme, rest) = match text.split_at(scheme) {
            (scheme, [b':', rest @ ..]) if !scheme.is_empty() => (Some(scheme.to_vec()), rest),
            _ => (None, text),
        };
        let Some(rest) = rest.strip_prefix(b"//").filter(|rest| scheme.is_some() || !rest.starts_with(b"/")) else {
            return Self { scheme, path: or_root(rest), ..Self::default() };
        };
        let end = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let host = authority.rsplit(|byte| *byte == b'@').next().unwrap_or_default();
        let colon = memchr::memrchr(b':', host).filter(|at| !host.get(*at..).unwrap_or_default().contains(&b']'));
        let (host, port) = match colon {
            Some(at) => (host.get(..at).unwrap_or_default(), host.get(at + 1..).map(<[u8]>::to_vec)),
            None => (host, None),
        };
        Self { scheme, host: Some(host.to_vec()), port, path: or_root(path) }
    }

    /// Whether the request is for an URL below.
    pub fn covers(&self, ex: &Exchange, early: bool) -> bool {
        let target = ex.target_authority.as_slice();
        match &self.scheme {
            None if ex.target_scheme.is_empty() && target.is_empty() => {}
            None => return false,
            Some(scheme) if !scheme.eq_ignore_ascii_case(&ex.target_scheme) => return false,
            Some(scheme) => {
                let asked = Self::parse(&[b"x://", target].concat());
                let (own, host) = (self.host.as_deref().unwrap_or_default(), asked.host.unwrap_or_default());
                let tail = |end: &[u8]| {
                    host.len().checked_sub(end.len()).is_some_and(|at| host[at..].eq_ignore_ascii_case(end))
                };
                let named = match own {
                    [] => true,
                    [b'.', ..] => tail(own),
                    [b'*', end @ ..] => tail(end),
                    own => host.eq_ignore_ascii_case(own),
                };
                if !named {
                    return false;
                }
                let usual = || usual_port(scheme);
                let number =
                    |port: &[u8]| std::str::from_utf8(port).ok().and_then(|port| port.parse().ok()).unwrap_or(0);
                let wanted = self.port.as_deref().map_or_else(usual, number);
                let given = asked.port.filter(|port| !port.is_empty());
                let any = self.port.as_deref() == Some(b"");
                if !any && wanted != given.as_deref().map_or_else(usual, number) {
                    return false;
                }
            }
        }
        key::path(ex, early).starts_with(&self.path)
    }
}

fn usual_port(scheme: &[u8]) -> u16 {
    match scheme.to_ascii_lowercase().as_slice() {
        b"http" => 80,
        b"https" => 443,
        b"ftp" => 21,
        _ => 0,
    }
}

fn or_root(path: &[u8]) -> Vec<u8> {
    if path.is_empty() { b"/".to_vec() } else { path.to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_read() {
        let parts = |text: &str| {
            let url = UrlPrefix::parse(text.as_bytes());
            let text =
                |part: Option<Vec<u8>>| part.map_or_else(|| "-".to_owned(), |part| String::from_utf8(part).unwrap());
            [text(url.scheme), text(url.host), text(url.port), String::from_utf8(url.path).unwrap()].join(" ")
        };
        assert_eq!(parts("/a"), "- - - /a");
        assert_eq!(parts("http://"), "http  - /");
        assert_eq!(parts("http://*.b:81/c"), "http *.b 81 /c");
        assert_eq!(parts("http://[::1]/"), "http [::1] - /");
        assert_eq!(parts("ftp:"), "ftp - - /");
        assert_eq!(parts("a"), "- - - a");
    }
}

//! Values of the proxy as set, per server and per directory, and as run.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::balancer::BalancerSet;
use super::direct::Direct;
use super::reverse::{CookieRule, ReverseRule};
use super::table::Table;
use super::worker::WorkerSet;
use crate::base::pattern::Pattern;
use crate::config::{Cmd, Conf, inner_or_outer};
use crate::modules::slot;
use crate::upstream::Current;
use crate::upstream::spec::{BadHeaderPolicy, Blocked, Remote, Via};

/// `mapping=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mapping {
    /// On the decoded path, in the translate phase.
    #[default]
    Decoded,
    /// On the path as the client escaped it, before.
    Encoded,
    /// The same with servlet parameters out of the way.
    Servlet,
}

/// One `ProxyPass`, `ProxyPassMatch`.
#[derive(Debug)]
pub(super) struct Rule {
    /// Path, or the pattern as written.
    pub(super) fake: Vec<u8>,
    /// Set for patterns.
    pub(super) regex: Option<Arc<Pattern>>,
    /// `proxy:` and the target; empty is `!`.
    pub(super) real: Vec<u8>,
    /// `mapping=`.
    pub(super) mapping: Mapping,
    /// `nocanon`.
    pub(super) nocanon: bool,
    /// `interpolate`.
    pub(super) interpolate: bool,
}

/// Values per server, as set. Lists hold what was set in this very server; what a virtual host inherits of the main
/// server is found there, not copied (see [`Table`]).
#[derive(Clone, Default)]
pub struct ProxyServer {
    /// Index of the server that these values were set in.
    pub(super) owner: usize,
    pub(super) rules: Vec<Arc<Rule>>,
    pub(super) workers: Vec<Arc<WorkerSet>>,
    pub(super) balancers: Vec<Arc<BalancerSet>>,
    /// There are rules for the translate phase, inherited ones included.
    pub(super) maps: bool,
    /// There are rules for the phase before.
    pub(super) maps_early: bool,
    pub(super) via: Option<Via>,
    pub(super) timeout: Option<Duration>,
    pub(super) bad_header: Option<BadHeaderPolicy>,
    pub(super) io_buffer: Option<usize>,
    pub(super) receive_buffer: Option<usize>,
    pub(super) max_forwards: Option<i64>,
    pub(super) status: Option<Status>,
    pub(super) source: Option<IpAddr>,
    pub(super) requests: Option<bool>,
    pub(super) inherit: Option<bool>,
    pub(super) pass_inherit: Option<bool>,
    pub(super) growth: Option<u32>,
    pub(super) persist: Option<bool>,
    /// `ProxyRemote`, `ProxyRemoteMatch`.
    pub(super) remotes: Vec<Arc<Remote>>,
    /// `NoProxy`, each word with what it means.
    pub(super) direct: Vec<(Vec<u8>, Direct)>,
    /// `ProxyBlock`.
    pub(super) blocked: Vec<Arc<Blocked>>,
    /// `ProxyDomain`.
    pub(super) domain: Option<Vec<u8>>,
}

/// `ProxyStatus`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Not shown.
    #[default]
    Off,
    /// Shown.
    On,
    /// Shown.
    Full,
}

impl Conf for ProxyServer {
    const SLOT: usize = slot::PROXY;

    fn merge(base: &Self, add: &Self) -> Self {
        fn joined<T: Clone>(first: &[T], then: &[T]) -> Vec<T> {
            first.iter().chain(then).cloned().collect()
        }
        let inherits =
            add.inherit.or(base.inherit).unwrap_or(true) || add.pass_inherit.or(base.pass_inherit).unwrap_or(true);
        inner_or_outer!(
            base, add; via, timeout, bad_header, io_buffer, receive_buffer, max_forwards, status, source, requests, inherit, pass_inherit, growth, domain;
            remotes: joined(if inherits { &base.remotes } else { &[] }, &add.remotes),
            direct: joined(&base.direct, &add.direct),
            blocked: joined(&base.blocked, &add.blocked),
            owner: add.owner,
            rules: add.rules.clone(),
            workers: add.workers.clone(),
            balancers: add.balancers.clone(),
            maps: base.maps || add.maps,
            maps_early: base.maps_early || add.maps_early,
            // A virtual host that says nothing has it off.
            persist: add.persist
        )
    }
}

impl ProxyServer {
    /// The values of the server being filled, for writing.
    pub(super) fn of<'a>(cmd: &'a mut Cmd<'_>) -> &'a mut Self {
        let index = cmd.server.index;
        let conf = cmd.server_conf::<Self>();
        conf.owner = index;
        conf
    }

    /// `ProxyStatus`.
    pub fn status(&self) -> Status {
        self.status.unwrap_or_default()
    }

    /// Whether workers and balancers of the main server belong to this one, too.
    pub(super) fn inherits(&self) -> bool {
        self.inherit.unwrap_or(true) || self.pass_inherit.unwrap_or(true)
    }
}

/// Values per directory, as set.
#[derive(Clone, Default)]
pub struct ProxyDir {
    /// The rule of a `<Location>`.
    pub(super) rule: Option<Arc<Rule>>,
    pub(super) reverse: Vec<Arc<ReverseRule>>,
    pub(super) cookie_domains: Vec<Arc<CookieRule>>,
    pub(super) cookie_paths: Vec<Arc<CookieRule>>,
    pub(super) interpolate: Option<bool>,
    pub(super) preserve_host: Option<bool>,
    pub(super) error_override: Option<bool>,
    pub(super) error_codes: Vec<u16>,
    pub(super) add_headers: Option<bool>,
    pub(super) forward_100_continue: Option<bool>,
}

impl Conf for ProxyDir {
    const SLOT: usize = slot::PROXY + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        fn joined<T: Clone>(base: &[T], add: &[T]) -> Vec<T> {
            base.iter().chain(add).cloned().collect()
        }
        inner_or_outer!(
            base, add; rule, interpolate, preserve_host, error_override, add_headers, forward_100_continue;
            reverse: joined(&base.reverse, &add.reverse),
            cookie_domains: joined(&base.cookie_domains, &add.cookie_domains),
            cookie_paths: joined(&base.cookie_paths, &add.cookie_paths),
            error_codes: joined(&base.error_codes, &add.error_codes)
        )
    }
}

/// Values of the process, as run.
#[derive(Clone, Default)]
pub struct ProxyProcess {
    /// All workers and balancers.
    pub backends: Arc<Current>,
    /// What each server's requests may be sent to, by the server's index.
    pub(super) tables: Vec<Arc<Table>>,
    /// Schemes that a loaded module handles.
    pub(super) schemes: super::serve::Handlers,
    /// Balancers whose changes outlive this process.
    pub(super) lasting: Arc<super::persist::Lasting>,
}

impl Conf for ProxyProcess {
    const SLOT: usize = slot::PROXY + 2;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

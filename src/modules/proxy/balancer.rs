//! Balancers as set, and their parameters: one row each.

use std::sync::Arc;
use std::time::Duration;

use super::params::{self, Param, between, count, on_off, param, put_some, seconds};
use super::worker::WorkerSet;
use crate::config::{Cmd, latin1};
use crate::upstream::spec::{BalancerSpec, LbMethod, Sticky};

/// A balancer as set; `None` is "not set here".
#[derive(Clone, Debug, Default)]
pub(super) struct BalancerSet {
    /// `balancer://name`, lower case.
    pub(super) name: String,
    /// Members in definition order.
    pub(super) members: Vec<Arc<WorkerSet>>,
    method: Option<LbMethod>,
    sticky: Option<(Vec<u8>, Vec<u8>)>,
    separator: Option<Option<u8>>,
    semicolon_ends: Option<bool>,
    no_failover: Option<bool>,
    timeout: Option<Duration>,
    max_attempts: Option<u32>,
    fail_on_status: Vec<u16>,
    fail_on_timeout: Option<bool>,
    force_recovery: Option<bool>,
    nonce: Option<Vec<u8>>,
    growth: Option<u32>,
}

const MAX_NAME: usize = 95;
const MAX_STICKY: usize = 63;
const MAX_NONCE: usize = 36;

/// Whether httpd takes this for a balancer's name.
pub(super) fn is_balancer(url: &[u8]) -> bool {
    url.get(..9).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"balancer:"))
}

/// `scheme://name` of a balancer's URL, lower case; `None` if it is not of that form.
pub(super) fn balancer_name(url: &[u8]) -> Option<Vec<u8>> {
    let colon = memchr::memchr(b':', url)?;
    let rest = url.get(colon + 1..)?.strip_prefix(b"//").filter(|rest| !rest.is_empty())?;
    let end = memchr::memchr(b'/', rest).unwrap_or(rest.len());
    Some(url[..colon + 3 + end].to_ascii_lowercase())
}

impl BalancerSet {
    /// A new balancer; the error is httpd's text.
    pub(super) fn define(url: &[u8]) -> Result<Self, String> {
        let name = balancer_name(url).ok_or_else(|| format!("Bad syntax for a balancer name ({})", latin1(url)))?;
        if name.len() > MAX_NAME {
            return Err(format!("balancer name ({}) too long", latin1(&name)));
        }
        Ok(Self { name: latin1(&name), ..Self::default() })
    }

    /// This balancer laid over the one of the same name in the main server: one balancer, our values first.
    pub(super) fn over(&self, base: &Self) -> Self {
        macro_rules! or {
            ($($field:ident),*) => {
                Self {
                    name: self.name.clone(),
                    members: base.members.clone(),
                    fail_on_status: base.fail_on_status.iter().chain(&self.fail_on_status).copied().collect(),
                    $($field: self.$field.clone().or_else(|| base.$field.clone()),)*
                }
            };
        }
        or!(
            method,
            sticky,
            separator,
            semicolon_ends,
            no_failover,
            timeout,
            max_attempts,
            fail_on_timeout,
            force_recovery,
            nonce,
            growth
        )
    }

    /// The balancer as run.
    pub(super) fn spec(&self, key: String, members: Vec<usize>) -> BalancerSpec {
        BalancerSpec {
            name: self.name.clone(),
            key,
            members,
            method: self.method.unwrap_or_default(),
            sticky: self.sticky.as_ref().map(|(cookie, param)| Sticky {
                cookie: cookie.clone(),
                param: param.clone(),
                separator: self.separator.unwrap_or(Some(b'.')),
                semicolon_ends: self.semicolon_ends.unwrap_or(false),
            }),
            no_failover: self.no_failover.unwrap_or(false),
            timeout: self.timeout,
            max_attempts: self.max_attempts,
            fail_on_status: self.fail_on_status.clone(),
            fail_on_timeout: self.fail_on_timeout.unwrap_or(false),
            force_recovery: self.force_recovery.unwrap_or(true),
            nonce: self.nonce.clone(),
            growth: self.growth,
        }
    }
}

/// Gets the value, and the loaded modules.
type Set = fn(&mut BalancerSet, &[u8], &[&'static str]) -> Result<(), String>;

#[rustfmt::skip]
static PARAMS: &[Param<Set>] = &[
    param("stickysession", |b, v, _| { b.sticky = sticky(v); Ok(()) }),
    param("stickysessionsep", |b, v, _| put_some(&mut b.separator, separator(v))),
    param("nofailover", |b, v, _| put_some(&mut b.no_failover, on_off(v, "failover must be On|Off"))),
    param("timeout", |b, v, _| put_some(&mut b.timeout, seconds(v, 1, "timeout must be at least one second"))),
    param("maxattempts", |b, v, _| put_some(&mut b.max_attempts, count(v, "maximum number of attempts must be a positive number"))),
    param("lbmethod", |b, v, modules| put_some(&mut b.method, method(v, modules))),
    param("scolonpathdelim", |b, v, _| put_some(&mut b.semicolon_ends, on_off(v, "scolonpathdelim must be On|Off"))),
    param("failonstatus", |b, v, _| { b.fail_on_status.extend(codes(v)?); Ok(()) }),
    param("failontimeout", |b, v, _| put_some(&mut b.fail_on_timeout, on_off(v, "failontimeout must be On|Off"))),
    param("nonce", |b, v, _| put_some(&mut b.nonce, nonce(v))),
    param("growth", |b, v, _| put_some(&mut b.growth, between(v, 1, 100, "growth must be between 1 and 100"))),
    param("forcerecovery", |b, v, _| put_some(&mut b.force_recovery, on_off(v, "forcerecovery must be On|Off"))),
];

/// The names of all parameters.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    params::names(PARAMS)
}

/// Every method, and the module that brings it.
pub fn all_methods() -> Vec<(&'static str, &'static str)> {
    METHODS.iter().map(|(name, module, _)| (*name, *module)).collect()
}

/// Sets `key=value`; the error is httpd's text.
pub(super) fn set(cmd: &Cmd<'_>, balancer: &mut BalancerSet, key: &[u8], value: &[u8]) -> Result<(), String> {
    match params::find(PARAMS, key) {
        Some(set) => set(balancer, value, &cmd.globals.modules),
        None => Err("unknown Balancer parameter".to_owned()),
    }
}

/// `NAME`, or `COOKIE|parameter`.
fn sticky(value: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (cookie, param) = match memchr::memchr(b'|', value) {
        Some(at) => (&value[..at], &value[at + 1..]),
        None => (value, value),
    };
    let cut = |name: &[u8]| name[..name.len().min(MAX_STICKY)].to_vec();
    (!value.is_empty()).then(|| (cut(cookie), cut(param)))
}

fn separator(value: &[u8]) -> Result<Option<u8>, String> {
    match value {
        [one] => Ok(Some(*one)),
        _ if value.eq_ignore_ascii_case(b"off") => Ok(None),
        _ => Err("stickysessionsep must be a single character or Off".to_owned()),
    }
}

/// Methods, with the modules that bring them.
const METHODS: &[(&str, &str, LbMethod)] = &[
    ("byrequests", "lbmethod_byrequests_module", LbMethod::ByRequests),
    ("bytraffic", "lbmethod_bytraffic_module", LbMethod::ByTraffic),
    ("bybusyness", "lbmethod_bybusyness_module", LbMethod::ByBusyness),
    ("heartbeat", "lbmethod_heartbeat_module", LbMethod::Heartbeat),
];

/// The methods that loaded modules bring.
pub(super) fn methods(modules: &[&'static str]) -> impl Iterator<Item = (&'static str, LbMethod)> {
    METHODS.iter().filter(|(_, module, _)| modules.contains(module)).map(|(name, _, method)| (*name, *method))
}

/// The method of this name, if the module that brings it is loaded.
pub(super) fn method(value: &[u8], modules: &[&'static str]) -> Result<LbMethod, String> {
    METHODS
        .iter()
        .find(|(name, module, _)| name.as_bytes() == value && modules.contains(module))
        .map(|(_, _, method)| *method)
        .ok_or_else(|| "unknown lbmethod".to_owned())
}

fn codes(value: &[u8]) -> Result<Vec<u16>, String> {
    value
        .split(|byte| b", ".contains(byte))
        .filter(|word| !word.is_empty())
        .map(|word| match between(word, 100, 599, "failonstatus must be one or more HTTP response codes") {
            Ok(code) => Ok(code as u16),
            Err(error) => Err(error),
        })
        .collect()
}

fn nonce(value: &[u8]) -> Result<Vec<u8>, String> {
    if value.eq_ignore_ascii_case(b"none") {
        Ok(Vec::new())
    } else if value.len() > MAX_NONCE {
        Err("Provided nonce is too large".to_owned())
    } else {
        Ok(value.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn try_set(key: &str, value: &str) -> Result<BalancerSpec, String> {
        let mut balancer = BalancerSet::define(b"balancer://B/x").unwrap();
        let param = PARAMS.iter().find(|param| param.name == key).expect("a known parameter");
        (param.set)(&mut balancer, value.as_bytes(), &["lbmethod_bybusyness_module"])?;
        Ok(balancer.spec(String::new(), Vec::new()))
    }

    #[test]
    fn values_are_read_as_httpd_reads_them() {
        let sticky = try_set("stickysession", "JSESSIONID|jsessionid").unwrap().sticky.unwrap();
        assert_eq!((sticky.cookie.as_slice(), sticky.param.as_slice()), (&b"JSESSIONID"[..], &b"jsessionid"[..]));
        assert_eq!(sticky.separator, Some(b'.'));
        assert_eq!(try_set("stickysession", "").unwrap().sticky, None);
        assert_eq!(try_set("lbmethod", "bybusyness").unwrap().method, LbMethod::ByBusyness);
        assert_eq!(try_set("failonstatus", "500, 503").unwrap().fail_on_status, [500, 503]);
        assert_eq!(try_set("nonce", "None").unwrap().nonce, Some(Vec::new()));
        assert_eq!(try_set("maxattempts", "x").unwrap().max_attempts, Some(0));
        assert_eq!(try_set("failonstatus", "").unwrap().name, "balancer://b");
    }

    #[test]
    fn errors_have_httpds_words() {
        for (key, value, error) in [
            ("stickysessionsep", "::", "stickysessionsep must be a single character or Off"),
            ("nofailover", "yes", "failover must be On|Off"),
            ("timeout", "0", "timeout must be at least one second"),
            ("maxattempts", "-1", "maximum number of attempts must be a positive number"),
            ("lbmethod", "byrequests", "unknown lbmethod"),
            ("failonstatus", "99", "failonstatus must be one or more HTTP response codes"),
            ("failonstatus", "500,x", "failonstatus must be one or more HTTP response codes"),
            ("growth", "101", "growth must be between 1 and 100"),
            ("nonce", "0123456789012345678901234567890123456", "Provided nonce is too large"),
        ] {
            assert_eq!(try_set(key, value).unwrap_err(), error, "{key}={value}");
        }
        for name in ["balancer:x", "balancer://", "foo"] {
            assert_eq!(
                BalancerSet::define(name.as_bytes()).unwrap_err(),
                format!("Bad syntax for a balancer name ({name})")
            );
        }
    }

    #[test]
    fn a_virtual_hosts_values_win_and_lists_are_joined() {
        let mut base = BalancerSet::define(b"balancer://b").unwrap();
        base.timeout = Some(Duration::from_secs(3));
        base.no_failover = Some(true);
        base.fail_on_status = vec![500];
        let mut inner = base.clone();
        inner.timeout = Some(Duration::from_secs(9));
        inner.no_failover = None;
        inner.fail_on_status = vec![503];
        let merged = inner.over(&base).spec(String::new(), Vec::new());
        assert_eq!(merged.timeout, Some(Duration::from_secs(9)));
        assert!(merged.no_failover);
        assert_eq!(merged.fail_on_status, [500, 503]);
    }
}

//! What a form changes.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::super::url::{WorkerUrl, scheme_kind};
use super::params::Params;
use super::{Backends, Chosen, Current, members};
use crate::config::{Globals, latin1};
use crate::logs::{self, Bytes, Level};
use crate::modules::proxy_hcheck;
use crate::upstream::spec::{BalancerSpec, CheckMethod, LbMethod, Sticky, WorkerSpec, status};
use crate::upstream::tally::Count;
use crate::upstream::{Balancer, Worker, WorkerState};
use crate::web::Exchange;

/// The flags that a form may set.
const FLAGS: [(&[u8], u32); 7] = [
    (b"w_status_I", status::IGNORE_ERRORS),
    (b"w_status_N", status::DRAIN),
    (b"w_status_D", status::DISABLED),
    (b"w_status_H", status::HOT_STANDBY),
    (b"w_status_R", status::HOT_SPARE),
    (b"w_status_C", status::HC_FAILED),
    (b"w_status_S", status::STOPPED),
];

/// Carries out what is asked for; a status if that is refused.
pub(super) fn apply(
    ex: &Exchange,
    current: &Current,
    backends: &Backends,
    chosen: Chosen,
    params: &Params,
) -> Result<(), u16> {
    let Some(balancer) = chosen.balancer.and_then(|at| backends.balancers.get(at)) else { return Ok(()) };
    if let Some(worker) = chosen.worker.and_then(|at| backends.workers.get(at)) {
        change_worker(ex, current, backends, balancer, worker, params);
    }
    if chosen.worker.is_some() {
        return Ok(());
    }
    change_balancer(ex, current, backends, balancer, params);
    add_member(ex, current, backends, balancer, params)
}

fn change_worker(
    ex: &Exchange,
    current: &Current,
    backends: &Backends,
    balancer: &Balancer,
    worker: &Worker,
    params: &Params,
) {
    let factor = params.get(b"w_lf").and_then(|factor| {
        let text = std::str::from_utf8(factor).unwrap_or_default();
        let hundredfold = (text.trim().parse::<f64>().unwrap_or(0.0) * 100.0) as i64;
        u32::try_from(hundredfold).ok().filter(|factor| (100..=10_000).contains(factor))
    });
    let weighed = factor.is_some();
    current.change_worker(&worker.spec.key, |spec| {
        if let Some(factor) = factor {
            // Alone it bears all, as httpd has it.
            spec.load_factor = if balancer.spec.members.len() == 1 { 100 } else { factor };
        }
        if let Some(set) = params.number(b"w_ls", 0, 99) {
            spec.lbset = set;
        }
        if let Some(route) = params.text(b"w_wr").filter(|route| route.len() < 64) {
            spec.route = route;
        }
        if let Some(redirect) = params.text(b"w_rr").filter(|redirect| redirect.len() < 64) {
            spec.redirect = redirect;
        }
        change_health(ex, spec, params);
    });
    let usable = worker.state.is_usable();
    for (name, bit) in FLAGS {
        match params.get(name).map(|value| crate::base::clock::leading_integer(value).0.unwrap_or(0)) {
            Some(0) => worker.state.status.fetch_and(!bit, Relaxed),
            Some(_) => worker.state.status.fetch_or(bit, Relaxed),
            None => continue,
        };
    }
    if weighed {
        for member in members(&current.load(), balancer) {
            member.state.lbstatus.store(i64::from(member.spec.load_factor), Relaxed);
        }
    }
    if !usable && worker.state.is_usable() {
        forget_balance(backends, balancer, balancer.spec.method);
    }
}

fn change_health(ex: &Exchange, spec: &mut WorkerSpec, params: &Params) {
    let health = &mut spec.health;
    if let Some(name) = params.get(b"w_hm")
        && let Some((_, method)) =
            CheckMethod::ALL.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name))
    {
        health.method = *method;
    }
    if let Some(millis) = params.number(b"w_hi", 100, i64::from(i32::MAX)) {
        health.interval = Duration::from_millis(millis.into());
    }
    if let Some(passes) = params.number(b"w_hp", 1, i64::from(i32::MAX)) {
        health.passes = passes;
    }
    if let Some(fails) = params.number(b"w_hf", 1, i64::from(i32::MAX)) {
        health.fails = fails;
    }
    if let Some(uri) = params.text(b"w_hu").filter(|uri| uri.len() < 64) {
        health.uri = uri;
    }
    if let Some(name) = params.get(b"w_he") {
        let known = proxy_hcheck::conditions(ex.server());
        let found = known.into_iter().rev().find(|(other, _)| other == name);
        health.condition = found.map(|(name, condition)| (name, condition.expr));
    }
}

/// A new method begins at the beginning.
fn forget_balance(backends: &Backends, balancer: &Balancer, method: LbMethod) {
    for member in members(backends, balancer) {
        member.state.lbstatus.store(0, Relaxed);
        if method == LbMethod::ByTraffic {
            member.state.tally.reset(Count::Transferred);
            member.state.tally.reset(Count::Read);
        }
    }
}

fn change_balancer(ex: &Exchange, current: &Current, backends: &Backends, balancer: &Balancer, params: &Params) {
    let method = params
        .get(b"b_lbm")
        .and_then(|name| super::super::balancer::method(name, &ex.live.generation.globals.modules).ok());
    if let Some(method) = method.filter(|method| *method != balancer.spec.method) {
        forget_balance(backends, balancer, method);
    }
    current.change_balancer(&balancer.spec.key, |spec| {
        if let Some(method) = method {
            spec.method = method;
        }
        if let Some(seconds) = params.number(b"b_tmo", 0, 7200) {
            spec.timeout = Some(Duration::from_secs(seconds.into()));
        }
        if let Some(attempts) = params.number(b"b_max", 0, 99) {
            spec.max_attempts = Some(attempts);
        }
        if let Some(value) = params.get(b"b_sforce") {
            spec.no_failover = crate::base::clock::leading_integer(value).0.unwrap_or(0) != 0;
        }
        if let Some(text) = params.text(b"b_ss").filter(|text| !text.is_empty() && text.len() < 64) {
            spec.sticky = sticky(&text, spec.sticky.as_ref());
        }
    });
}

fn sticky(text: &[u8], before: Option<&Sticky>) -> Option<Sticky> {
    if text == b"-" {
        return None;
    }
    let (cookie, param) = match memchr::memchr(b'|', text) {
        Some(at) => (text.get(..at)?, text.get(at + 1..)?),
        None => (text, text),
    };
    Some(Sticky {
        cookie: cookie.to_vec(),
        param: param.to_vec(),
        separator: before.map_or(Some(b'.'), |before| before.separator),
        semicolon_ends: before.is_some_and(|before| before.semicolon_ends),
    })
}

/// A new member, where there is room for one. It takes no requests before it is enabled.
fn add_member(
    ex: &Exchange,
    current: &Current,
    backends: &Backends,
    balancer: &Balancer,
    params: &Params,
) -> Result<(), u16> {
    let sure = params.get(b"b_wyes").is_some_and(|value| value == b"1");
    let Some(url) = params.get(b"b_nwrkr").filter(|url| sure && !url.is_empty()) else { return Ok(()) };
    let (name, shown) = (&balancer.spec.name, Bytes(url));
    let Ok(parsed) = WorkerUrl::parse(url, false) else {
        logs::error!(ex, Level::Error, "proxy_balancer", "AH10163: {name}: failed to add worker {shown}");
        return Err(400);
    };
    let full_name = latin1(&parsed.name);
    let there = members(backends, balancer).any(|member| full_name.starts_with(&member.spec.name));
    let full = balancer.spec.growth.unwrap_or(0) == 0;
    if there || full || full_name.len() > 383 || !super::super::serve::speaks(ex, url) {
        logs::error!(ex, Level::Error, "proxy_balancer", "AH10164: {name}: failed to add worker {shown}");
        return Err(400);
    }
    let server = members(backends, balancer).next().map_or(ex.server, |member| member.spec.server);
    let spec = spec_of(parsed, &balancer.spec, server, &ex.live.generation.globals);
    let state = Arc::new(WorkerState::new(spec.status));
    let worker = Arc::new(Worker::added(spec, state));
    current.add_member(&balancer.spec.key, &worker);
    Ok(())
}

/// A member by its URL, as [`add_member`] makes it.
pub(in super::super) fn added(
    url: &[u8],
    balancer: &BalancerSpec,
    server: usize,
    globals: &Globals,
) -> Option<WorkerSpec> {
    Some(spec_of(WorkerUrl::parse(url, false).ok()?, balancer, server, globals))
}

fn spec_of(url: WorkerUrl, balancer: &BalancerSpec, server: usize, globals: &Globals) -> WorkerSpec {
    let scheme = scheme_kind(&url.scheme);
    let mut spec = WorkerSpec::new(latin1(&url.name), scheme, url.host.clone(), url.port);
    if let Some(path) = url.socket_path(&super::super::runtime_dir(globals)) {
        spec.endpoint = crate::upstream::spec::Endpoint::Unix(path);
    }
    if matches!(url.scheme.as_str(), "ws" | "wss") {
        spec.upgrade = Some(b"WebSocket".to_vec());
    }
    spec.key = format!("{}\n{}", balancer.key, url.full_name());
    spec.scheme_text = url.scheme;
    spec.path = url.path;
    spec.status = status::DISABLED;
    spec.server = server;
    spec
}

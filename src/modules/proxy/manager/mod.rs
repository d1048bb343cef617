//! `balancer-manager`: what the members of balancers do, and the form that changes them.
//!
//! What is changed holds over reloads, until the configuration says something else of that very value than before.
//! Requests see it through [`Current::change`]; flags are the workers' own and change at once.

mod change;
mod page;
mod params;

pub(super) use change::added;

use super::balancer::balancer_name;
use super::conf::ProxyProcess;
use super::status::members;
use crate::logs::{self, Bytes, Level};
use crate::pipe::{self, Outcome, Waiting, names};
use crate::upstream::{Backends, Current};
use crate::web::{Exchange, Wire};
use params::Params;

/// What the handler is called.
const HANDLER: &[u8] = b"balancer-manager";

/// A balancer, and one of its members, as indexes.
#[derive(Clone, Copy, Debug, Default)]
struct Chosen {
    balancer: Option<usize>,
    worker: Option<usize>,
}

impl Chosen {
    fn of(params: &Params, known: &[usize], backends: &Backends) -> Self {
        let named = |at: &usize, name: &[u8]| {
            backends.balancers.get(*at).is_some_and(|balancer| balancer.spec.name.as_bytes() == name)
        };
        let balancer = params.get(b"b").and_then(|name| {
            let name = balancer_name(&[b"balancer://", name].concat())?;
            known.iter().copied().find(|at| named(at, &name))
        });
        let worker = balancer.zip(params.get(b"w")).and_then(|(balancer, name)| {
            let list = &backends.balancers.get(balancer)?.spec.members;
            let is = |at: &usize| backends.workers.get(*at).is_some_and(|worker| worker.spec.name.as_bytes() == name);
            list.iter().copied().find(is)
        });
        Self { balancer, worker }
    }
}

/// The handler.
pub fn handler<'a>(ex: &'a mut Exchange, wire: &'a mut dyn Wire) -> Waiting<'a> {
    if ex.handler == HANDLER { Box::pin(answer(ex, wire)) } else { pipe::declined() }
}

async fn answer(ex: &mut Exchange, wire: &mut dyn Wire) -> Outcome {
    pipe::allow(ex, &[b"GET", b"POST"]);
    if !matches!(ex.method.as_slice(), b"GET" | b"HEAD" | b"POST") {
        return Outcome::Declined;
    }
    let mut params = match ex.method.as_slice() {
        b"POST" => match params::of_body(ex, wire).await {
            Ok(params) => params,
            Err(outcome) => return outcome,
        },
        _ => Params::of_query(ex.args.as_deref().unwrap_or_default()),
    };
    // Whoever comes from another site's page has not meant it.
    let referer = ex.headers_in.get(b"Referer");
    let host = referer.and_then(params::host);
    if host.is_none_or(|host| !host.eq_ignore_ascii_case(names::server_name(ex))) {
        params = Params::default();
        let (referer, name) = (Bytes(referer.unwrap_or(b"(null)")), Bytes(names::server_name(ex)));
        logs::error!(
            ex,
            Level::Error,
            "proxy_balancer",
            "AH10187: ignoring params in balancer-manager cross-site access {referer}: {name}"
        );
    }
    let live = ex.live.clone();
    let Some(process) = live.generation.globals.conf.get::<ProxyProcess>() else { return Outcome::Declined };
    let Some(table) = process.tables.get(ex.server) else { return Outcome::Declined };
    let known = table.balancers();
    let current: &Current = &process.backends;
    let mut backends = current.load();
    let chosen = Chosen::of(&params, &known, &backends);
    let trusted = chosen.balancer.and_then(|at| backends.balancers.get(at)).is_some_and(|balancer| {
        let nonce = balancer.nonce();
        !nonce.is_empty() && params.get(b"nonce") == Some(nonce)
    });
    if trusted {
        if let Err(status) = change::apply(ex, current, &backends, chosen, &params) {
            return Outcome::Status(status);
        }
        let (lasting, all) = (process.lasting.clone(), process.backends.clone());
        if !lasting.balancers.is_empty() {
            // Files are slow; who sees the answer can rely on it.
            let _ = tokio::task::spawn_blocking(move || lasting.save(&all)).await;
        }
        backends = current.load();
    }
    let mut out = String::new();
    let view = page::View { ex, backends: &backends, table, known: &known, chosen };
    let xml = params.get(b"xml").is_some();
    if xml {
        view.push_xml(&mut out);
    } else {
        view.push_html(&mut out);
    }
    let bytes: Vec<u8> = out.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect();
    ex.content_type = if xml { b"text/xml".to_vec() } else { b"text/html; charset=ISO-8859-1".to_vec() };
    let sent = if xml {
        pipe::text(ex, wire, &bytes).await
    } else {
        match pipe::data(ex, wire, &bytes).await {
            Ok(()) => pipe::finish(ex, wire).await,
            failed => failed,
        }
    };
    if sent.is_err() {
        ex.conn.aborted.set(true);
    }
    Outcome::Done
}

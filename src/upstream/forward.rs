//! One request to a backend and its response to the client: election, attempts, failover.

use std::cell::RefCell;
use std::sync::Arc;

use super::balancer::{Busy, choose, judge};
use super::canon::{behind_scheme, canonical, push_path};
use super::http1::Outgoing;
use super::pool::Shown;
use super::spec::{Beyond, Choice, Endpoint, Forward, Remote, Scheme, WorkerSpec};
use super::tally::Count;
use super::worker::{Backends, Balancer, Worker, WorkerState};
use super::{Attempt, ajp, block, ftp, gateway, http1, http2, respond};
use crate::base::clock::{Clock, SystemClock};
use crate::logs::{self, Bytes, Level, OfServer};
use crate::pipe::Outcome;
use crate::web::{Exchange, Wire};

/// Texts kept by a thread, and how many of them may be long.
const SPARE_TEXTS: (usize, usize) = (512, 64);

/// A text of more is long.
const LONG: usize = 4096;

thread_local! {
    static TEXTS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A text in memory that the thread uses again.
#[derive(Default)]
pub(super) struct Text(pub(super) Vec<u8>);

impl Text {
    pub(super) fn take() -> Self {
        Self(TEXTS.with(|texts| texts.borrow_mut().pop()).unwrap_or_default())
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        let mut text = std::mem::take(&mut self.0);
        if text.capacity() == 0 || text.capacity() > 64 * 1024 {
            return;
        }
        text.clear();
        let _ = TEXTS.try_with(|texts| {
            let mut texts = texts.borrow_mut();
            let most = if text.capacity() > LONG { SPARE_TEXTS.1 } else { SPARE_TEXTS.0 };
            if texts.len() < most {
                texts.push(text);
            }
        });
    }
}

/// Sends the request where `to` says and its response to the client; the status of what cannot be done otherwise.
/// `backends` are those of the exchange's generation.
pub async fn forward(ex: &mut Exchange, wire: &mut dyn Wire, backends: &Backends, to: &Forward) -> Outcome {
    // LimitRequestBody does not hold for what is forwarded, as in httpd.
    wire.set_limit(0);
    let mut url = Text::take();
    url.0.extend_from_slice(to.url(ex));
    match &to.choice {
        Choice::Worker(at) => match backends.workers.get(*at) {
            Some(worker) => single(ex, wire, backends, to, worker, &url.0).await,
            None => Outcome::Status(500),
        },
        Choice::Generic(spec) => {
            let state = Arc::new(WorkerState::new(super::spec::status::IGNORE_ERRORS));
            let worker = Worker::new((**spec).clone(), state);
            Box::pin(single(ex, wire, backends, to, &worker, &url.0)).await
        }
        Choice::Balancer(at) => match backends.balancers.get(*at) {
            Some(balancer) => balanced(ex, wire, backends, to, balancer, &url.0).await,
            None => Outcome::Status(500),
        },
        Choice::NoBalancer(name) => {
            logs::error!(ex, Level::Error, "proxy_balancer", "AH01171: {name}: No workers in balancer");
            Outcome::Status(503)
        }
    }
}

async fn single(
    ex: &mut Exchange,
    wire: &mut dyn Wire,
    backends: &Backends,
    to: &Forward,
    worker: &Worker,
    url: &[u8],
) -> Outcome {
    let busy = Busy::new(worker);
    worker.state.tally.add(Count::Elected, 1);
    let attempt =
        Attempt { backends, worker, balancer: None, policy: &to.policy, url, target: target(url), busy: &busy };
    announce(ex, &attempt, 0);
    let outcome = attempt_through(ex, wire, &attempt, &to.remotes, &mut None).await;
    say_released(ex, worker);
    outcome
}

/// Says what is begun.
fn announce(ex: &Exchange, attempt: &Attempt<'_>, nth: u32) {
    if !logs::Source::enabled(ex, Level::Debug, "proxy") {
        return;
    }
    let spec = &attempt.worker.spec;
    let (scheme, host, port) = (&spec.scheme_text, &spec.host, spec.port);
    logs::error!(ex, Level::Debug, "proxy", "AH01143: Running scheme {scheme} handler (attempt {nth})");
    logs::error!(ex, Level::Debug, "proxy", "AH00944: connecting {} to {host}:{port}", Bytes(attempt.url));
    let (target, shown) = (Bytes(attempt.target), Shown(attempt.worker));
    logs::error!(ex, Level::Debug, "proxy", "AH00947: connecting {target} to {shown} ({host}:{port})");
}

/// Says that the worker is not busy any more with this request.
fn say_released(ex: &Exchange, worker: &Worker) {
    let spec = &worker.spec;
    let scheme = match spec.scheme {
        Scheme::Ajp => "AJP",
        Scheme::Fcgi => "FCGI",
        Scheme::Scgi => "SCGI",
        Scheme::Ftp => "FTP",
        _ => spec.scheme_text.as_str(),
    };
    let (host, port) = (&spec.host, spec.port);
    logs::error!(
        OfServer(&ex.live, ex.server),
        Level::Debug,
        "proxy",
        "AH00943: {scheme}: has released connection for ({host}:{port})"
    );
}

async fn balanced(
    ex: &mut Exchange,
    wire: &mut dyn Wire,
    backends: &Backends,
    to: &Forward,
    balancer: &Balancer,
    url: &[u8],
) -> Outcome {
    let spec = &balancer.spec;
    let others = spec.members.len().saturating_sub(1);
    let extra = spec.max_attempts.unwrap_or_else(|| u32::try_from(others).unwrap_or(u32::MAX));
    let mut attempts = 0;
    let mut outgoing = None;
    // Between a failure and the next choice there is no time: where `retry` is none, either, that member is passed over.
    let mut failed = None;
    loop {
        let Some(worker) = choose(ex, backends, balancer, url, failed).await else { return Outcome::Status(503) };
        let busy = &Busy::new(worker);
        let mut member_url = Text::take();
        if let Some(refused) = name_member(ex, to, worker, url, &mut member_url.0) {
            return Outcome::Status(refused);
        }
        let url = member_url.0.as_slice();
        let attempt =
            Attempt { backends, worker, balancer: Some(balancer), policy: &to.policy, url, target: target(url), busy };
        logs::error!(
            ex,
            Level::Debug,
            "proxy_balancer",
            "AH01172: {}: worker ({}) rewritten to {}",
            spec.name,
            worker.spec.name,
            Bytes(url)
        );
        announce(ex, &attempt, attempts);
        let outcome = attempt_through(ex, wire, &attempt, &to.remotes, &mut outgoing).await;
        say_released(ex, worker);
        match outcome {
            Outcome::Status(500 | 503) if ex.notes.contains(b"proxy-error-override") => {}
            // What cannot be said better: the member is at fault, and only 503 lets another one try.
            Outcome::Status(500) => {
                worker.state.fail(SystemClock.wall());
            }
            Outcome::Status(503) => {
                let now = SystemClock.wall();
                failed = Some(now);
                worker.state.fail(now);
                if !worker.state.is_usable() && attempts < extra && outgoing.as_ref().is_none_or(Outgoing::is_intact) {
                    attempts += 1;
                    continue;
                }
            }
            _ => {}
        }
        let told = if spec.fail_on_status.is_empty() { None } else { answered(ex, outcome) };
        judge(ex, balancer, worker, told);
        logs::error!(ex, Level::Debug, "proxy_balancer", "AH01176: proxy_balancer_post_request for ({})", spec.name);
        return outcome;
    }
}

/// The status that the backend answered with: from the note that HTTP makes of it, else as it was sent.
fn answered(ex: &Exchange, outcome: Outcome) -> Option<u16> {
    match ex.notes.get(b"proxy-status") {
        Some(note) => std::str::from_utf8(note).ok()?.parse().ok(),
        None => (outcome == Outcome::Done).then_some(ex.status),
    }
}

/// Appends the member's URL in place of the balancer's, fit for the wire; a status if that cannot be.
fn name_member(ex: &mut Exchange, to: &Forward, worker: &Worker, url: &[u8], out: &mut Vec<u8>) -> Option<u16> {
    let authority = behind_scheme(url);
    let path = url.get(authority..).and_then(|rest| memchr::memchr(b'/', rest)).map_or(url.len(), |at| authority + at);
    let path = url.get(path..).unwrap_or_default();
    let args = ex.args.as_deref();
    let joined = || [worker.spec.name.as_bytes(), path].concat();
    let named = match (to.form, worker.site(), path) {
        (Some(form), Some(site), [b'/', path @ ..]) => {
            out.extend_from_slice(site);
            // Gateways have the query among their variables.
            let in_url = !matches!(worker.spec.scheme, Scheme::Fcgi | Scheme::Scgi | Scheme::Uwsgi);
            push_path(path, args.filter(|_| in_url), form, out)
        }
        (Some(form), ..) => canonical(&joined(), args, form, out),
        (None, ..) => {
            out.extend_from_slice(worker.spec.name.as_bytes());
            out.extend_from_slice(path);
            Ok(())
        }
    };
    if let Err(refusal) = named {
        return Some(refusal.log(ex, &joined()));
    }
    ex.filename.clear();
    ex.filename.extend_from_slice(b"proxy:");
    ex.filename.extend_from_slice(out);
    None
}

/// Path and query of a URL.
fn target(url: &[u8]) -> &[u8] {
    let authority = behind_scheme(url);
    let rest = url.get(authority..).unwrap_or_default();
    memchr::memchr(b'/', rest).and_then(|at| rest.get(at..)).unwrap_or(b"/")
}

/// One attempt, through the remote proxies that the URL is meant for; the backend itself is asked where those could not
/// and nothing is lost by it.
async fn attempt_through(
    ex: &mut Exchange,
    wire: &mut dyn Wire,
    attempt: &Attempt<'_>,
    remotes: &[Arc<Remote>],
    outgoing: &mut Option<Outgoing>,
) -> Outcome {
    for remote in remotes.iter().filter(|remote| remote.rule.fits(attempt.url)) {
        if let Some(worker) = behind(remote, attempt.worker) {
            // TLS goes through it to the backend; what else speaks HTTP it is asked for by its whole URL.
            let target = if worker.spec.scheme == Scheme::Http { attempt.url } else { attempt.target };
            let through = Attempt { worker: &worker, target, ..*attempt };
            match Box::pin(attempt_once(ex, wire, &through, outgoing)).await {
                Outcome::Status(502) if !announces_body(ex) => respond::forget_error(ex),
                outcome => return outcome,
            }
        }
    }
    attempt_once(ex, wire, attempt, outgoing).await
}

/// The worker as it is reached through a remote proxy. `None` if that cannot speak for its scheme. As in httpd the
/// protocols of gateways are spoken to the remote proxy as if it were the backend.
fn behind(remote: &Remote, worker: &Worker) -> Option<Worker> {
    let spec = &worker.spec;
    let scheme = match spec.scheme_text.as_str() {
        "http" | "ws" | "ftp" => Scheme::Http,
        "https" | "wss" => Scheme::Https,
        "ajp" | "fcgi" | "scgi" | "uwsgi" => spec.scheme,
        _ => return None,
    };
    let beyond = matches!(scheme, Scheme::Http | Scheme::Https).then(|| {
        let credentials = remote.credentials.clone();
        Arc::new(Beyond { host: spec.host.clone(), port: spec.port, credentials })
    });
    let spec = WorkerSpec {
        scheme,
        endpoint: Endpoint::Tcp(remote.host.clone(), remote.port),
        host: remote.host.clone(),
        port: remote.port,
        beyond,
        ..spec.clone()
    };
    let state = worker.state.behind(&remote.host, remote.port);
    Some(Worker::new(spec, state))
}

/// Whether the request has a body, part of which a remote proxy may have got.
fn announces_body(ex: &Exchange) -> bool {
    let length = ex.headers_in.get(b"Content-Length").map(<[u8]>::trim_ascii);
    length.is_some_and(|length| length.iter().any(|digit| *digit != b'0'))
        || ex.headers_in.contains(b"Transfer-Encoding")
}

async fn attempt_once(
    ex: &mut Exchange,
    wire: &mut dyn Wire,
    attempt: &Attempt<'_>,
    outgoing: &mut Option<Outgoing>,
) -> Outcome {
    if let Some(refused) = block::refuse(ex, attempt).await {
        return refused;
    }
    // What is awaited here lies in every request, as large as the largest of them, and is moved more than once on its way
    // there: those that are large, and seldom asked for, are elsewhere.
    match attempt.worker.spec.scheme {
        Scheme::Http | Scheme::Https => http1::exchange(ex, wire, attempt, outgoing).await,
        // An http member has begun to read the body, which AJP would take from the client.
        Scheme::Ajp if outgoing.as_ref().is_some_and(Outgoing::is_begun) => Outcome::Status(503),
        Scheme::Ajp => Box::pin(ajp::exchange(ex, wire, attempt)).await,
        Scheme::Scgi | Scheme::Uwsgi if outgoing.as_ref().is_some_and(Outgoing::is_begun) => Outcome::Status(503),
        Scheme::Fcgi | Scheme::Scgi | Scheme::Uwsgi => Box::pin(gateway::exchange(ex, wire, attempt, outgoing)).await,
        Scheme::H2 | Scheme::H2c if outgoing.as_ref().is_some_and(Outgoing::is_begun) => Outcome::Status(503),
        Scheme::H2 | Scheme::H2c => Box::pin(http2::exchange(ex, wire, attempt)).await,
        Scheme::Ftp => Box::pin(ftp::exchange(ex, wire, attempt)).await,
        Scheme::Other => {
            let (url, scheme) = (Bytes(&ex.uri), &attempt.worker.spec.scheme_text);
            logs::error!(
                ex,
                Level::Warn,
                "proxy",
                "AH01144: No protocol handler was valid for the URL {url} \
                (scheme '{scheme}'). If you are using a DSO version of mod_proxy, make sure the proxy submodules are \
                included in the configuration using LoadModule."
            );
            Outcome::Status(500)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_and_query_of_a_url() {
        assert_eq!(target(b"http://h:1/a/b?c://d/e"), b"/a/b?c://d/e");
        assert_eq!(target(b"http://h"), b"/");
        assert_eq!(target(b"ajp://[::1]:8009/"), b"/");
    }
}

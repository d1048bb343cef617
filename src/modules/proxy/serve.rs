//! The request on its way to [`upstream`]: canonical URL, the worker or balancer, the settings that hold.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};

use super::balancer::is_balancer;
use super::conf::{ProxyDir, ProxyProcess, ProxyServer};
use super::direct;
use super::reverse::ReverseMap;
use super::url::{WorkerUrl, without_socket};
use crate::base::addr::split_unix;
use crate::config::core::{CoreServer, Trace};
use crate::logs::{self, Bytes, Level};
use crate::modules::{proxy_connect, proxy_fcgi, proxy_ftp, proxy_scgi};
use crate::pipe::{self, Handle, Inline, Outcome, Waiting};
use crate::upstream::canon::{Form, canonical};
use crate::upstream::respond::proxy_error;
use crate::upstream::spec::{Choice, Endpoint, Forward, Policy, Scheme, WorkerSpec};
use crate::upstream::{self, Backends};
use crate::web::{Exchange, Live, ProxyKind, Wire};

/// Which schemes a loaded module handles.
#[derive(Clone, Copy, Debug, Default)]
pub struct Handlers {
    http: bool,
    tls: bool,
    websocket: bool,
    ajp: bool,
    fcgi: bool,
    scgi: bool,
    uwsgi: bool,
    http2: bool,
    ftp: bool,
    balancer: bool,
}

impl Handlers {
    /// Those of these modules.
    pub(super) fn loaded(modules: &[&'static str]) -> Self {
        Self {
            http: modules.contains(&"proxy_http_module"),
            tls: modules.contains(&"ssl_module"),
            websocket: modules.contains(&"proxy_wstunnel_module"),
            ajp: modules.contains(&"proxy_ajp_module"),
            fcgi: modules.contains(&"proxy_fcgi_module"),
            scgi: modules.contains(&"proxy_scgi_module"),
            uwsgi: modules.contains(&"proxy_uwsgi_module"),
            http2: modules.contains(&"proxy_http2_module"),
            ftp: modules.contains(&"proxy_ftp_module"),
            balancer: modules.contains(&"proxy_balancer_module"),
        }
    }

    /// Whether requests can be sent there.
    fn handles(self, scheme: Scheme, text: &str) -> bool {
        match scheme {
            Scheme::Http => self.http || (self.websocket && text == "ws"),
            Scheme::Ajp => self.ajp,
            Scheme::Fcgi => self.fcgi,
            Scheme::Scgi => self.scgi,
            Scheme::Uwsgi => self.uwsgi,
            Scheme::H2 => self.tls && self.http2,
            Scheme::H2c => self.http2,
            Scheme::Ftp => self.ftp,
            Scheme::Https => self.tls && (self.http || (self.websocket && text == "wss")),
            Scheme::Other => false,
        }
    }
}

/// Note with the socket of a `unix:` URL, as httpd has it.
const NOTE_SOCKET: &[u8] = b"uds_path";

/// This thread's buffer for URLs.
#[derive(Default)]
struct Scratch(RefCell<Vec<u8>>);

/// The URL as it will be sent, in `ex.filename`.
pub(super) fn fixups(ex: &mut Exchange) -> Outcome {
    if ex.proxyreq == ProxyKind::None || !ex.filename.starts_with(b"proxy:") {
        return Outcome::Declined;
    }
    match canonicalise(ex) {
        Ok(()) => Outcome::Ok,
        Err(status) => Outcome::Status(status),
    }
}

/// Takes the socket of a `unix:` URL out of `ex.filename` and notes it, so that sections and workers see the URL behind
/// it. (For what mod_rewrite proxies that is after the sections were looked up: those see the whole URL, as in httpd.)
pub(super) fn take_socket(ex: &mut Exchange) -> Result<(), u16> {
    if ex.proxyreq == ProxyKind::Forward {
        // Sockets of this machine are nothing that a client may ask for.
        return Ok(());
    }
    let url = ex.filename.get(6..).unwrap_or_default();
    let Some((socket, _)) = split_unix(url) else { return Ok(()) };
    let plain = without_socket(url).ok_or(500u16)?;
    let socket = socket.to_vec();
    ex.notes.set(NOTE_SOCKET, &socket);
    ex.filename.truncate(6);
    ex.filename.extend_from_slice(&plain);
    Ok(())
}

/// Makes the URL in `ex.filename` canonical; that of a balancer stays, its members do it.
fn canonicalise(ex: &mut Exchange) -> Result<(), u16> {
    take_socket(ex)?;
    let url = ex.filename.get(6..).unwrap_or_default();
    if is_balancer(url) {
        return Ok(());
    }
    let live = ex.live.clone();
    let scratch = live.local(Scratch::default);
    let mut out = scratch.0.borrow_mut();
    out.clear();
    out.extend_from_slice(b"proxy:");
    if let Err(refusal) = canonical(url, ex.args.as_deref(), Form::of(ex), &mut out) {
        return Err(refusal.log(ex, url));
    }
    std::mem::swap(&mut ex.filename, &mut out);
    if memchr::memchr(b':', ex.filename.get(6..).unwrap_or_default()).is_none_or(|at| at == 0) {
        return Err(400);
    }
    Ok(())
}

/// Whom the canonical URL in `ex.filename` is for: a worker or balancer of the request's server, or a worker made up for
/// this request. `None` if no loaded module handles its scheme.
pub fn target_for(ex: &Exchange, process: &ProxyProcess, backends: &Backends) -> Option<Choice> {
    let url = ex.filename.get(6..).unwrap_or_default();
    let table = process.tables.get(ex.server)?;
    if is_balancer(url) {
        return table.balancer(backends, url).filter(|_| process.schemes.balancer).map(Choice::Balancer);
    }
    let forward = ex.proxyreq == ProxyKind::Forward;
    let worker = table.worker(backends, url).and_then(|index| Some((index, &backends.workers.get(index)?.spec)));
    // A client does not get to sockets of this machine.
    if let Some((index, spec)) = worker.filter(|(_, spec)| !forward || matches!(spec.endpoint, Endpoint::Tcp(..))) {
        if !process.schemes.handles(spec.scheme, &spec.scheme_text) {
            return None;
        }
        if !spec.generic {
            return Some(Choice::Worker(index));
        }
        let at = WorkerUrl::parse(super::table::authority(url), false).ok()?;
        let endpoint = match &spec.endpoint {
            Endpoint::Tcp(..) => Endpoint::Tcp(at.host.clone(), at.port),
            socket @ Endpoint::Unix(_) => socket.clone(),
        };
        return Some(Choice::Generic(Rc::new(WorkerSpec { host: at.host, port: at.port, endpoint, ..spec.clone() })));
    }
    let at = WorkerUrl::parse(super::table::authority(url), false).ok()?;
    let scheme = super::url::scheme_kind(&at.scheme);
    // Remote proxies are asked for what we do not speak ourselves.
    let by_remote = at.scheme == "ftp" && process.schemes.http;
    if (forward && at.socket.is_some()) || !(process.schemes.handles(scheme, &at.scheme) || by_remote) {
        return None;
    }
    // Nobody here speaks it where only a remote proxy does.
    let scheme = if process.schemes.handles(scheme, &at.scheme) { scheme } else { Scheme::Other };
    let mut spec = WorkerSpec::new(crate::config::latin1(&at.name), scheme, at.host, at.port);
    if matches!(at.scheme.as_str(), "ws" | "wss") {
        spec.upgrade = Some(b"WebSocket".to_vec());
    }
    spec.scheme_text = at.scheme;
    spec.generic = true;
    spec.reuse = false;
    spec.status = upstream::spec::status::IGNORE_ERRORS;
    if let Some(socket) = ex.notes.get(NOTE_SOCKET) {
        use std::os::unix::ffi::OsStrExt as _;
        let path = crate::config::merge_path(&super::runtime_dir(&ex.live.generation.globals), socket);
        spec.endpoint = Endpoint::Unix(PathBuf::from(std::ffi::OsStr::from_bytes(&path)));
    }
    Some(Choice::Generic(Rc::new(spec)))
}

/// Whether the request may be for the handler.
fn is_asked(ex: &Exchange) -> bool {
    let named = if ex.proxyreq == ProxyKind::None { &ex.handler } else { &ex.filename };
    named.starts_with(b"proxy:")
}

/// The handler, for a driver that holds it.
pub struct Held;

impl Inline for Held {
    fn handle(_: Handle, ex: &mut Exchange, wire: &mut dyn Wire) -> impl Future<Output = Outcome> {
        // Not within a future of its own, which would be moved with it.
        handle(ex, wire)
    }
}

/// The handler.
pub(super) fn handler<'a>(ex: &'a mut Exchange, wire: &'a mut dyn Wire) -> Waiting<'a> {
    if is_asked(ex) {
        return Box::pin(handle(ex, wire));
    }
    // Not worth the memory of a whole request to a backend.
    Box::pin(std::future::ready(Outcome::Declined))
}

/// What a server has of which nothing is said.
static NONE: LazyLock<ProxyServer> = LazyLock::new(ProxyServer::default);

async fn handle(ex: &mut Exchange, wire: &mut dyn Wire) -> Outcome {
    if !is_asked(ex) {
        return Outcome::Declined;
    }
    if ex.proxyreq == ProxyKind::None {
        if !speaks(ex, ex.handler.get(6..).unwrap_or_default()) {
            return Outcome::Declined;
        }
        // `SetHandler "proxy:…"`: the file's name goes behind the handler's.
        let file = std::mem::replace(&mut ex.filename, ex.handler.clone());
        ex.filename.extend_from_slice(&file);
        ex.proxyreq = ProxyKind::Reverse;
        if let Err(status) = canonicalise(ex) {
            ex.filename = file;
            ex.proxyreq = ProxyKind::None;
            return Outcome::Status(status);
        }
    }
    if !ex.filename.starts_with(b"proxy:") {
        return Outcome::Declined;
    }
    let live = ex.live.clone();
    let conf = live.generation.servers.get(ex.server).and_then(|server| server.get::<ProxyServer>()).unwrap_or(&NONE);
    let policy = policy_of(ex);
    if let Err(outcome) = max_forwards(ex, wire, policy.max_forwards).await {
        return outcome;
    }
    if ex.method == b"TRACE"
        && let Some(status) = refuse_trace(ex)
    {
        return Outcome::Status(status);
    }
    if let Some(domain) = &conf.domain
        && let Some(outcome) = direct::needs_domain(ex, domain)
    {
        return outcome;
    }
    let remotes =
        if conf.remotes.is_empty() || direct::is_direct(ex, conf).await { Vec::new() } else { conf.remotes.clone() };
    if ex.method == b"CONNECT" && ex.proxyreq == ProxyKind::Forward {
        return match proxy_connect::allowed(ex) {
            Some(allowed) => Box::pin(upstream::connect(ex, wire, &policy, &remotes, &allowed)).await,
            None => no_handler(ex),
        };
    }
    let Some(process) = live.generation.globals.conf.get::<ProxyProcess>() else { return Outcome::Declined };
    let backends = backends_here(&live, process);
    let Some(choice) = target_for(ex, process, &backends) else {
        return unsent(ex, process);
    };
    // As httpd marks those that no worker is configured for; the others have their name from a pattern.
    if let Choice::Generic(spec) = &choice
        && ex.proxyreq == ProxyKind::Reverse
        && !spec.name.contains('$')
    {
        ex.env.set(b"proxy-nokeepalive", b"1");
    }
    let form = matches!(choice, Choice::Balancer(_)).then(|| Form::of(ex));
    upstream::forward(ex, wire, &backends, &Forward { choice, policy, form, remotes }).await
}

/// Whether a loaded module knows the URL's scheme: for `SetHandler`, which is not for the proxy otherwise.
pub(super) fn speaks(ex: &Exchange, url: &[u8]) -> bool {
    const SCHEMES: &[(&str, &[&str])] = &[
        ("proxy_http_module", &["http", "https", "ws", "wss"]),
        ("proxy_ajp_module", &["ajp"]),
        ("proxy_balancer_module", &["balancer"]),
        ("proxy_fcgi_module", &["fcgi"]),
        ("proxy_scgi_module", &["scgi"]),
        ("proxy_uwsgi_module", &["uwsgi"]),
        ("proxy_ftp_module", &["ftp"]),
        ("proxy_http2_module", &["h2", "h2c"]),
        ("proxy_wstunnel_module", &["ws", "wss"]),
    ];
    let url = split_unix(url).map_or(url, |(_, url)| url);
    let Some(scheme) = memchr::memchr(b':', url).map(|at| &url[..at]) else { return false };
    let loaded = &ex.live.generation.globals.modules;
    SCHEMES.iter().any(|(module, schemes)| {
        schemes.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(scheme)) && loaded.contains(module)
    })
}

/// The answer where nobody is found that the URL could be sent to.
fn unsent(ex: &mut Exchange, process: &ProxyProcess) -> Outcome {
    let url = ex.filename.get(6..).unwrap_or_default();
    let scheme = &url[..memchr::memchr(b':', url).unwrap_or(0)];
    let scheme = crate::config::latin1(&scheme.to_ascii_lowercase());
    let handled = process.schemes.handles(super::url::scheme_kind(&scheme), &scheme);
    if handled && WorkerUrl::parse(super::table::authority(url), false).is_err() {
        let reason = format!("URI cannot be parsed: {}", String::from_utf8_lossy(url));
        return proxy_error(ex, 400, &reason);
    }
    no_handler(ex)
}

fn no_handler(ex: &Exchange) -> Outcome {
    let url = ex.filename.get(6..).unwrap_or_default();
    let scheme = &url[..memchr::memchr(b':', url).unwrap_or(url.len())];
    logs::error!(
        ex,
        Level::Warn,
        "proxy",
        "AH01144: No protocol handler was valid for the URL {} (scheme '{}'). If you are using a DSO version of \
         mod_proxy, make sure the proxy submodules are included in the configuration using LoadModule.",
        Bytes(&ex.uri),
        Bytes(scheme)
    );
    Outcome::Status(500)
}

/// Counts the field `Max-Forwards` down; where it is used up, answers.
async fn max_forwards(ex: &mut Exchange, wire: &mut dyn Wire, configured: Option<u32>) -> Result<(), Outcome> {
    let left = match ex.headers_in.get(b"Max-Forwards") {
        None => match configured {
            None => return Ok(()),
            Some(left) => i64::from(left),
        },
        Some(text) => match parse_count(text) {
            None => {
                let text = Bytes(text);
                logs::error!(ex, Level::Warn, "proxy", "AH10188: Max-Forwards value '{text}' could not be parsed");
                return Err(proxy_error(ex, 400, "Max-Forwards request header could not be parsed"));
            }
            Some(0) if ex.method == b"TRACE" => return Err(Box::pin(answer_trace(ex, wire)).await),
            Some(0) if ex.method == b"OPTIONS" => return Err(Box::pin(answer_options(ex, wire)).await),
            Some(0) => return Err(proxy_error(ex, 400, "Max-Forwards has reached zero - proxy loop?")),
            Some(left) => left - 1,
        },
    };
    ex.headers_in.set(b"Max-Forwards", left.to_string().as_bytes());
    Ok(())
}

/// A whole number that is not negative, with nothing behind it.
fn parse_count(text: &[u8]) -> Option<i64> {
    let (number, rest) = crate::base::clock::leading_integer(text);
    number.filter(|number| (0..i64::MAX).contains(number) && rest.is_empty())
}

async fn answer_options(ex: &mut Exchange, wire: &mut dyn Wire) -> Outcome {
    ex.proxyreq = ProxyKind::None;
    let allow: &[u8] = if trace_allowed(ex) == Trace::Off { b"" } else { b"TRACE" };
    ex.headers_out.set(b"Allow", allow);
    if pipe::text(ex, wire, b"").await.is_err() {
        ex.conn.aborted.set(true);
    }
    Outcome::Done
}

/// The request as it came, in a response.
async fn answer_trace(ex: &mut Exchange, wire: &mut dyn Wire) -> Outcome {
    ex.proxyreq = ProxyKind::None;
    if let Some(status) = refuse_trace(ex) {
        return Outcome::Status(status);
    }
    let mut text = ex.the_request.clone();
    text.extend_from_slice(b"\r\n");
    for (name, value) in ex.headers_in.iter() {
        text.extend_from_slice(name);
        text.extend_from_slice(b": ");
        text.extend_from_slice(value);
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    ex.content_type = b"message/http".to_vec();
    // The client is gone if this fails: nothing is left to be told.
    if pipe::data(ex, wire, &text).await.is_err() || pipe::finish(ex, wire).await.is_err() {
        ex.conn.aborted.set(true);
    }
    Outcome::Done
}

fn trace_allowed(ex: &Exchange) -> Trace {
    ex.server().get::<CoreServer>().and_then(|core| core.trace).unwrap_or(Trace::On)
}

/// The status with which a TRACE is refused, if it is. A body goes to the backend even where `TraceEnable` is not
/// `extended`: httpd asks for one before it has looked.
fn refuse_trace(ex: &mut Exchange) -> Option<u16> {
    if trace_allowed(ex) != Trace::Off {
        return None;
    }
    let text = "TRACE forbidden by server configuration";
    logs::error!(ex, Level::Error, "proxy", "AH01139: {text}");
    ex.notes.set(b"error-notes", text.as_bytes());
    ex.notes.set(b"verbose-error-to", b"*");
    Some(405)
}

/// The backends as this thread has seen them last.
#[derive(Default)]
struct Seen(RefCell<Option<(u64, Rc<Backends>)>>);

/// The backends in force, without a counter that threads share.
fn backends_here(live: &Live, process: &ProxyProcess) -> Rc<Backends> {
    let seen = live.local(Seen::default);
    let version = process.backends.version();
    let mut seen = seen.0.borrow_mut();
    match &*seen {
        Some((known, backends)) if *known == version => backends.clone(),
        _ => {
            let backends = Rc::new(Backends::clone(&process.backends.load()));
            *seen = Some((version, backends.clone()));
            backends
        }
    }
}

/// What the proxy makes of a chain, for requests of one server.
struct Kept(usize, Rc<Policy>);

fn policy_of(ex: &Exchange) -> Rc<Policy> {
    match ex.chain.kept(|| Kept(ex.server, Rc::new(make_policy(ex)))) {
        Some(Kept(server, policy)) if *server == ex.server => policy.clone(),
        _ => Rc::new(make_policy(ex)),
    }
}

fn make_policy(ex: &Exchange) -> Policy {
    let none = ProxyDir::default();
    let dir = ex.dir::<ProxyDir>().unwrap_or(&none);
    let nothing = ProxyServer::default();
    let server = ex.server().get::<ProxyServer>().unwrap_or(&nothing);
    Policy {
        preserve_host: dir.preserve_host.unwrap_or(false),
        add_headers: dir.add_headers.unwrap_or(true),
        forward_100_continue: dir.forward_100_continue.unwrap_or(true),
        via: server.via.unwrap_or_default(),
        error_override: dir.error_override.unwrap_or(false).then(|| dir.error_codes.clone()),
        timeout: server.timeout,
        io_buffer: server.io_buffer.unwrap_or(8192),
        receive_buffer: server.receive_buffer,
        max_forwards: server.max_forwards.and_then(|number| u32::try_from(number).ok()),
        bad_header: server.bad_header.unwrap_or_default(),
        source: server.source,
        blocked: server.blocked.clone(),
        fcgi: proxy_fcgi::policy(ex),
        scgi: proxy_scgi::policy(ex),
        ftp: proxy_ftp::policy(ex),
        raw_websocket: crate::modules::proxy_wstunnel::is_raw(ex),
        reverse: Arc::new(ReverseMap::of(dir)),
    }
}

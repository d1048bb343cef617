//! Health checks: members of balancers are asked now and then whether they are well, and taken out when they are not.
//!
//! All checks run on one thread beside those that serve, each over a connection of its own. What they find is kept in
//! the workers' state, which every thread sees.

use std::collections::HashSet;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};

use super::current::Current;
use super::dial::{self, DialError, Setup, Tried};
use super::spec::{CheckMethod, HealthSpec, Scheme, WorkerSpec, status};
use super::stream::Stream;
use super::tls::{self, Wish};
use super::worker::Worker;
use crate::base::clock::{Clock, SystemClock};
use crate::codec::ajp::push_cping;
use crate::codec::http1::{
    BadHeader, Chunked, Limits, Part, ResponseBody, ResponseHead, Rules, Status, parse_response, response_body,
};
use crate::expr::{EvalError, FileTest, Lookup, Scratch, Var, Vars};
use crate::logs::{self, Errno, Level, OfServer};
use crate::net::client::BackendTls;
use crate::web::Live;

/// What is kept of a body for `hc('body')`.
const BODY_KEPT: usize = 64 * 1024;
/// The longest head.
const HEAD_MAX: usize = 64 * 1024;
/// The longest body that is waited for.
const BODY_MAX: usize = 8 * 1024 * 1024;

/// The checks of one generation; they end when it is dropped.
pub struct Watch(AbortHandle);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Checks {
    current: Arc<Current>,
    live: Live,
    /// How many at once.
    places: Semaphore,
    /// httpd says so in its log.
    threaded: bool,
}

/// Begins the checks, on this thread's runtime. `size` is `ProxyHCTPsize`.
pub fn watch(current: Arc<Current>, live: Live, size: u32) -> Watch {
    let places = Semaphore::new(usize::try_from(size).unwrap_or(16).clamp(1, Semaphore::MAX_PERMITS));
    let checks = Rc::new(Checks { current, live, places, threaded: size > 0 });
    Watch(tokio::task::spawn_local(supervise(checks)).abort_handle())
}

/// Keeps one task for each member that is to be checked.
async fn supervise(checks: Rc<Checks>) {
    let mut tasks = JoinSet::new();
    let mut watched = HashSet::new();
    loop {
        let changed = checks.current.changed();
        let backends = checks.current.load();
        for at in backends.balancers.iter().flat_map(|balancer| &balancer.spec.members).copied() {
            let asked = backends.workers.get(at).is_some_and(|worker| worker.spec.health.method != CheckMethod::None);
            if asked && watched.insert(at) {
                tasks.spawn_local(keep(checks.clone(), at));
            }
        }
        drop(backends);
        tokio::select! {
            () = changed => {}
            Some(ended) = tasks.join_next() => {
                if let Ok(at) = ended {
                    watched.remove(&at);
                }
            }
        }
    }
}

/// Checks one member for as long as that is asked for.
async fn keep(checks: Rc<Checks>, at: usize) -> usize {
    loop {
        let Some(interval) = checks.current.load().workers.get(at).map(|worker| worker.spec.health.interval) else {
            return at;
        };
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            // Perhaps another interval: counted from now.
            () = checks.current.changed() => continue,
        }
        let Some(worker) = checks.current.load().workers.get(at).cloned() else { return at };
        if worker.spec.health.method == CheckMethod::None {
            return at;
        }
        if worker.state.bits() & status::STOPPED != 0 {
            continue;
        }
        let Ok(_place) = checks.places.acquire().await else { return at };
        let passed = checks.ask(&worker).await;
        checks.judge(&worker, passed);
    }
}

impl Checks {
    fn server(&self, worker: &Worker) -> OfServer<'_> {
        OfServer(&self.live, worker.spec.server)
    }

    /// As httpd, successes and failures are counted up to their number, whatever came between.
    fn judge(&self, worker: &Worker, passed: bool) {
        let (state, health, name) = (&worker.state, &worker.spec.health, &worker.spec.name);
        let prefix = if self.threaded { "Threaded " } else { "" };
        let reached = |counter: &std::sync::atomic::AtomicU32, most: u32| {
            let count = counter.fetch_add(1, Relaxed).saturating_add(1);
            if count >= most {
                counter.store(0, Relaxed);
            }
            count >= most
        };
        let out = state.bits() & (status::HC_FAILED | status::IN_ERROR) != 0;
        if out && passed {
            if reached(&state.passes, health.passes) {
                state.status.fetch_and(!(status::HC_FAILED | status::IN_ERROR), Relaxed);
                logs::error!(
                    self.server(worker),
                    Level::Info,
                    "proxy_hcheck",
                    "AH03302: {prefix}Health check ENABLING {name}"
                );
            }
        } else if !out && !passed {
            state.error_time.store(SystemClock.wall(), Relaxed);
            if reached(&state.fails, health.fails) {
                state.status.fetch_or(status::HC_FAILED, Relaxed);
                logs::error!(
                    self.server(worker),
                    Level::Info,
                    "proxy_hcheck",
                    "AH03303: {prefix}Health check DISABLING {name}"
                );
            }
        }
    }

    /// Whether the member is well.
    async fn ask(&self, worker: &Worker) -> bool {
        let method = worker.spec.health.method;
        let server = self.live.generation.servers.get(worker.spec.server);
        let usual = Duration::from_secs(u64::from(server.and_then(|server| server.rec.timeout).unwrap_or(60)));
        let patience = worker.spec.timeout.unwrap_or(usual);
        let patience = if method == CheckMethod::Cping { worker.spec.ping.unwrap_or(patience) } else { patience };
        let connect = worker.spec.connect_timeout.unwrap_or(patience);
        let setup = Setup { timeout: connect, source: None::<IpAddr>, receive_buffer: None };
        let mut stream = match dial::dial(worker, setup).await {
            Ok(stream) => stream,
            Err(error) => {
                self.log_unreachable(worker, &error);
                return false;
            }
        };
        if worker.spec.scheme == Scheme::Https && !matches!(method, CheckMethod::Tcp | CheckMethod::None) {
            // What stands in sections is not asked for, nor are names.
            let side = BackendTls::get(server.and_then(|server| server.dir.get()));
            let (live, server, host) = (&self.live, worker.spec.server, worker.spec.host.as_str());
            let wish = Wish { live, server, scheme: "HCOH", host, name: None, protocol: None, timeout: patience };
            stream = match tls::secure(&wish, side, stream).await {
                Ok(stream) => stream,
                Err(_) => return false,
            };
        }
        match method {
            CheckMethod::Tcp | CheckMethod::None => true,
            CheckMethod::Cping => self.ping(worker, &mut stream, patience).await,
            _ => match tokio::time::timeout(patience, exchange(&worker.spec, &mut stream)).await {
                Ok(Some(answer)) => holds(&worker.spec.health, &answer),
                _ => false,
            },
        }
    }

    fn log_unreachable(&self, worker: &Worker, error: &DialError) {
        let scheme = match worker.spec.health.method {
            CheckMethod::Tcp | CheckMethod::None => "HCTCP",
            CheckMethod::Cping => "HCCPING",
            _ => "HCOH",
        };
        let server = self.server(worker);
        match error {
            DialError::Resolve(host) => {
                logs::error!(server, Level::Error, "proxy_hcheck", "DNS lookup failure for: {host}");
            }
            DialError::Refused(tried) => {
                let (host, port) = (&worker.spec.host, worker.spec.port);
                for (tried, error) in tried {
                    let errno = Errno::from(error);
                    match tried {
                        Tried::Tcp(addr) => logs::error!(server, Level::Error, "proxy", errno =>
                            "AH00957: {scheme}: attempt to connect to {addr} ({host}:{port}) failed"),
                        Tried::Unix(path) => {
                            let path = path.display();
                            logs::error!(server, Level::Error, "proxy", errno =>
                                "AH02454: {scheme}: attempt to connect to Unix domain socket {path} ({host}:{port}) failed");
                        }
                    }
                }
            }
        }
    }

    /// CPING, and CPONG in time.
    async fn ping(&self, worker: &Worker, stream: &mut Stream, patience: Duration) -> bool {
        let mut request = Vec::new();
        push_cping(&mut request);
        let talk = async {
            write_all(stream, &request).await?;
            let mut answer = [0; 5];
            let mut have = 0;
            while let Some(room) = answer.get_mut(have..).filter(|room| !room.is_empty()) {
                match std::future::poll_fn(|cx| stream.poll_read(cx, room)).await? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    n => have += n,
                }
            }
            Ok(answer)
        };
        let server = self.server(worker);
        match tokio::time::timeout(patience, talk).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok([b'A', b'B', 0, 1, 9]) => true,
            Ok([first, second, ..]) if (first, second) != (b'A', b'B') => {
                logs::error!(
                    server,
                    Level::Error,
                    "proxy_ajp",
                    "AH01080: ajp_msg_check_header() got bad signature {first:02x}{second:02x}"
                );
                logs::error!(server, Level::Error, "proxy_ajp", "AH01031: ajp_ilink_receive() received bad header");
                logs::error!(
                    server,
                    Level::Error,
                    "proxy_ajp",
                    "AH01012: ajp_handle_cping_cpong: ajp_ilink_receive failed"
                );
                false
            }
            Ok([.., code]) => {
                logs::error!(
                    server,
                    Level::Error,
                    "proxy_ajp",
                    "AH01014: ajp_handle_cping_cpong: awaited CPONG, received {code} "
                );
                false
            }
            Err(error) => {
                let errno = Errno::from(&error);
                logs::error!(server, Level::Error, "proxy_ajp", errno => "AH01030: ajp_ilink_receive() can't receive header");
                logs::error!(
                    server,
                    Level::Error,
                    "proxy_ajp",
                    "AH01012: ajp_handle_cping_cpong: ajp_ilink_receive failed"
                );
                false
            }
        }
    }
}

async fn write_all(stream: &mut Stream, mut data: &[u8]) -> io::Result<()> {
    while !data.is_empty() {
        match std::future::poll_fn(|cx| stream.poll_write(cx, data)).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            n => data = data.get(n..).unwrap_or_default(),
        }
    }
    std::future::poll_fn(|cx| stream.poll_flush(cx)).await
}

/// The request of a check: as httpd, the worker's path and the check's joined by a slash, and nothing where there is
/// neither.
fn push_request(spec: &WorkerSpec, out: &mut Vec<u8>) {
    use CheckMethod::{Get, Get11, Head, Head11, Options, Options11};
    let (word, minor): (&[u8], u8) = match spec.health.method {
        Options => (b"OPTIONS *", b'0'),
        Options11 => (b"OPTIONS *", b'1'),
        Head => (b"HEAD ", b'0'),
        Head11 => (b"HEAD ", b'1'),
        Get11 => (b"GET ", b'1'),
        Get | CheckMethod::None | CheckMethod::Tcp | CheckMethod::Cping => (b"GET ", b'0'),
    };
    out.extend_from_slice(word);
    if !word.ends_with(b"*") {
        out.extend_from_slice(&spec.path);
        if !spec.path.is_empty() && !spec.health.uri.is_empty() {
            out.push(b'/');
        }
        out.extend_from_slice(&spec.health.uri);
    }
    out.extend_from_slice(b" HTTP/1.");
    out.push(minor);
    out.extend_from_slice(format!("\r\nHost: {}:{}\r\n\r\n", spec.host, spec.port).as_bytes());
}

/// What a member answered.
#[derive(Default)]
struct Answer {
    status: u16,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
}

async fn more(stream: &mut Stream, buf: &mut Vec<u8>) -> Option<usize> {
    let have = buf.len();
    buf.resize(have + 8192, 0);
    let read = std::future::poll_fn(|cx| stream.poll_read(cx, buf.get_mut(have..).unwrap_or_default())).await;
    buf.truncate(have + read.as_ref().map_or(0, |n| *n));
    read.ok()
}

/// One request and its answer; `None` if that is none.
async fn exchange(spec: &WorkerSpec, stream: &mut Stream) -> Option<Answer> {
    let (mut buf, mut head) = (Vec::new(), ResponseHead::default());
    push_request(spec, &mut buf);
    write_all(stream, &buf).await.ok()?;
    buf.clear();
    let len = loop {
        if !buf.is_empty() {
            match parse_response(&buf, spec.response_field_size, BadHeader::IsError, &mut head) {
                Ok(Status::Complete(len)) if head.is_interim() => {
                    buf.drain(..len);
                    head.clear();
                    continue;
                }
                Ok(Status::Complete(len)) if head.stray.is_none() => break len,
                Ok(Status::Partial) => {}
                Ok(Status::Complete(_)) | Err(_) => return None,
            }
        }
        if buf.len() > HEAD_MAX || more(stream, &mut buf).await? == 0 {
            return None;
        }
    };
    let fields = head.fields(&buf).map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    let mut answer = Answer { status: head.status, fields, body: Vec::new() };
    let wants_body = matches!(spec.health.method, CheckMethod::Get | CheckMethod::Get11);
    if wants_body && spec.health.condition.is_some() {
        let framing = response_body(&head, &buf, false).ok()?;
        buf.drain(..len);
        answer.body = body(stream, framing, buf).await?;
    }
    Some(answer)
}

/// The body's beginning, once all of it has come.
async fn body(stream: &mut Stream, framing: ResponseBody, mut buf: Vec<u8>) -> Option<Vec<u8>> {
    let (mut kept, mut seen) = (Vec::new(), 0);
    let mut chunked = Chunked::new(Limits::default(), Rules::default());
    loop {
        let (used, data, end) = match framing {
            ResponseBody::Empty => return Some(kept),
            ResponseBody::Length(length) => {
                let left = usize::try_from(length).unwrap_or(usize::MAX).saturating_sub(seen);
                let n = left.min(buf.len());
                (n, 0..n, n == left)
            }
            ResponseBody::Close => (buf.len(), 0..buf.len(), false),
            ResponseBody::Chunked { .. } => {
                let step = chunked.decode(&buf).ok()?;
                match step.part {
                    Part::Data(data) => (step.consumed, data, false),
                    Part::End => return Some(kept),
                    Part::NeedMore => (step.consumed, 0..0, false),
                }
            }
        };
        let data = buf.get(data).unwrap_or_default();
        seen += data.len();
        kept.extend_from_slice(data.get(..data.len().min(BODY_KEPT - kept.len())).unwrap_or_default());
        if end || seen > BODY_MAX {
            return Some(kept);
        }
        let moved = used > 0;
        buf.drain(..used);
        if (!moved || buf.is_empty()) && more(stream, &mut buf).await? == 0 {
            return matches!(framing, ResponseBody::Close).then_some(kept);
        }
    }
}

/// Whether the answer is that of somebody who is well.
fn holds(health: &HealthSpec, answer: &Answer) -> bool {
    match &health.condition {
        Some((_, condition)) => condition.eval(answer, &mut Scratch::new()).unwrap_or(false),
        None => (200..400).contains(&answer.status),
    }
}

impl Vars for Answer {
    fn var(&self, var: Var, out: &mut Vec<u8>) {
        if var == Var::RequestStatus {
            out.extend_from_slice(self.status.to_string().as_bytes());
        }
    }

    fn request_header(&self, _: &[u8], _: &mut Vec<u8>) {}

    fn response_header(&self, name: &[u8], out: &mut Vec<u8>) {
        if let Some((_, value)) = self.fields.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)) {
            out.extend_from_slice(value);
        }
    }

    fn note(&self, _: &[u8], _: &mut Vec<u8>) -> bool {
        false
    }

    fn env(&self, _: &[u8], _: &mut Vec<u8>) -> bool {
        false
    }

    fn os_env(&self, _: &[u8], _: &mut Vec<u8>) {}

    fn client(&self) -> Option<IpAddr> {
        None
    }

    fn file_is(&self, _: FileTest, _: &[u8]) -> bool {
        false
    }

    fn lookup(&self, _: Lookup, _: &[u8]) -> bool {
        false
    }

    fn read_file(&self, _: &[u8], _: &mut Vec<u8>) -> Result<(), EvalError> {
        Ok(())
    }

    fn file_size(&self, _: &[u8]) -> u64 {
        0
    }

    fn ssl(&self, _: &[u8], _: &mut Vec<u8>) {}

    fn health(&self, item: &[u8], out: &mut Vec<u8>) {
        if item.eq_ignore_ascii_case(b"body") {
            out.extend_from_slice(&self.body);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::{Expr, Options};
    use crate::upstream::spec::Scheme;

    fn request(path: &str, uri: &str, method: CheckMethod) -> String {
        let mut spec = WorkerSpec::new("http://h".to_owned(), Scheme::Http, "h".to_owned(), 81);
        spec.path = path.as_bytes().to_vec();
        spec.health = HealthSpec { method, uri: uri.as_bytes().to_vec(), ..HealthSpec::default() };
        let mut out = Vec::new();
        push_request(&spec, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn requests_join_paths_as_httpd_does() {
        assert_eq!(request("/ctx", "/health", CheckMethod::Get), "GET /ctx//health HTTP/1.0\r\nHost: h:81\r\n\r\n");
        assert_eq!(request("", "", CheckMethod::Head11), "HEAD  HTTP/1.1\r\nHost: h:81\r\n\r\n");
        assert_eq!(request("/p", "", CheckMethod::Head), "HEAD /p HTTP/1.0\r\nHost: h:81\r\n\r\n");
        assert_eq!(request("/p", "/x", CheckMethod::Options11), "OPTIONS * HTTP/1.1\r\nHost: h:81\r\n\r\n");
    }

    #[test]
    fn a_condition_decides_in_place_of_the_status() {
        let answer = Answer { status: 500, fields: vec![(b"X-A".to_vec(), b"1".to_vec())], body: b"all UP".to_vec() };
        let mut health = HealthSpec::default();
        assert!(!holds(&health, &answer));
        for (text, want) in [
            ("hc('body') =~ /UP/ && %{REQUEST_STATUS} == '500'", true),
            ("hc('body') =~ /DOWN/", false),
            ("%{resp:x-a} == '1'", true),
        ] {
            let options = Options { health: true, ..Options::default() };
            let condition = Expr::parse(text.as_bytes(), options).unwrap();
            health.condition = Some((b"c".to_vec(), Arc::new(condition)));
            assert_eq!(holds(&health, &answer), want, "{text}");
        }
    }
}

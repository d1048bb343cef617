//! `http` backends.
//!
//! One attempt: the beginning of the body is read, a connection is lent, head and body go out in one write if they can,
//! and the response head is read ([`exchange`]). A connection that was used before and turns out to be closed before a
//! byte of the response came is replaced by a new one, once, if the request may be sent twice. What was answered is
//! relayed by [`answer`].

mod answer;
mod body;
mod request;
mod upgrade;
mod warnings;

use std::io;
use std::net::SocketAddr;

use super::link::Link;
use super::pool::{self, LendError, Shown, Wanted};
use super::respond::{self, proxy_error};
use super::spec::Scheme;
use super::{Attempt, spec};
use crate::base::fold::same;
use crate::codec::http1::{BadHeader, ResponseError, Status, parse_response};
use crate::logs::{self, Bytes, Errno, Level};
use crate::pipe::{self, Outcome};
use crate::web::{BodyKind, Exchange, ProxyKind, Table, Wire};
pub(super) use answer::note;
pub(super) use body::Outgoing;
use body::SendFault;
use request::{Manner, push_head};
pub(super) use request::{push_lines, push_via};

/// So many interim responses, and no final one is waited for.
const INTERIM_MAX: usize = 10;

/// What httpd calls a line with a NUL.
const EINVAL: i32 = 22;

/// Why no response head came.
#[derive(Debug)]
enum Fault {
    /// Reading failed; `None` is the end of the connection.
    Read(Option<io::Error>),
    /// The connection ended or failed inside the head.
    Cut(Option<io::Error>),
    /// The head is refused.
    Head(ResponseError),
    /// Sending failed.
    Send(SendFault),
    /// Sending what `100 Continue` was waited for with failed.
    Awaited(SendFault),
    /// [`INTERIM_MAX`] interim responses.
    Interims,
}

impl Fault {
    /// The same, of a body that was held back.
    fn awaited(self) -> Self {
        match self {
            Self::Send(fault) => Self::Awaited(fault),
            other => other,
        }
    }
}

/// What the attempt knows about itself while it talks.
struct Talk<'a> {
    attempt: &'a Attempt<'a>,
    manner: Manner,
    /// The client waits for `100 Continue` and we let the backend say it.
    client_expects: bool,
}

/// Sends the request to the attempt's worker and its response to the client.
/// `outgoing` is the request's body as an attempt before this one has left it.
pub(super) async fn exchange(
    ex: &mut Exchange,
    wire: &mut dyn Wire,
    attempt: &Attempt<'_>,
    outgoing: &mut Option<Outgoing>,
) -> Outcome {
    let (worker, policy) = (attempt.worker, attempt.policy);
    if let Err(LendError::Resolve(host)) = pool::resolve(worker).await {
        return respond::dns_failure(ex, &host);
    }
    if policy.raw_websocket && upgrade::is_raw(&worker.spec) {
        return Box::pin(upgrade::raw(ex, wire, attempt)).await;
    }
    let env = |name: &[u8]| !ex.env.is_empty() && ex.env.contains(name);
    let http10 = env(b"force-proxy-request-1.0");
    let close = http10 || !worker.keeps_connections() || env(b"proxy-nokeepalive");
    // As in httpd, what will not be kept is not taken from those that were.
    let mut fresh = close || (ex.conn.keepalives.get() == 0 && env(b"proxy-initial-not-pooled"));
    let known_length = http10 || (env(b"proxy-sendcl") && !env(b"proxy-sendchunked") && !env(b"proxy-sendchunks"));
    let has_body = !matches!(wire.body_kind(), BodyKind::None | BodyKind::Length(0));
    // An older client is not heard by its connection, which has no interim responses for it.
    let expects = wire.expects_continue()
        || (ex.proto_num < 1001 && ex.headers_in.get(b"Expect").is_some_and(|expect| same(expect, b"100-continue")));
    let client_expects = policy.forward_100_continue && expects;
    let pinged = worker.spec.ping.is_some() && has_body;
    let expect = (client_expects || pinged) && !http10;

    let outgoing = match outgoing {
        Some(outgoing) => outgoing,
        None => match Outgoing::prefetch(ex, wire, attempt, expect, known_length).await {
            Ok(read) => outgoing.insert(read),
            Err(outcome) => {
                // httpd has taken a connection by now, and lets none go on behind a failure.
                pool::discard(worker);
                return outcome;
            }
        },
    };
    let upgrade = if http10 { None } else { upgrade::asked_for(ex, &worker.spec) };
    let manner = Manner { body: outgoing.announced(), expect, close, http10, upgrade };
    let talk = Talk { attempt, manner, client_expects };
    loop {
        let scheme = match worker.spec.scheme {
            Scheme::Https => "https",
            _ if worker.spec.scheme_text == "ftp" => "ftp",
            _ => "http",
        };
        let wanted = Wanted { scheme, fresh, certain: !may_repeat(&ex.method) };
        let mut link = match connect(ex, attempt, wanted).await {
            Ok(link) => link,
            Err(outcome) => return outcome,
        };
        push_head(ex, attempt, &talk.manner, &mut link.lane().output);
        let fault = match talk.until_answered(ex, wire, &mut link, outgoing).await {
            Ok(head) => {
                outgoing.settle(wire);
                if link.lane().head.status == 101 {
                    let wanted = talk.manner.upgrade.as_deref();
                    return Box::pin(upgrade::switched(ex, wire, attempt, link, head, wanted)).await;
                }
                let keep = !talk.manner.close && outgoing.is_complete();
                return answer::relay(ex, wire, attempt, link, head, keep).await;
            }
            Err(fault) => fault,
        };
        // The peer closed an idle connection while the request was under way: nobody has seen it.
        if link.reused() && !fresh && unheard(&fault) && outgoing.is_intact() && may_repeat(&ex.method) {
            fresh = true;
            continue;
        }
        outgoing.settle(wire);
        return talk.give_up(ex, wire, &mut link, &fault);
    }
}

/// A connection to the attempt's worker; else the answer to the request.
async fn connect(ex: &mut Exchange, attempt: &Attempt<'_>, wanted: Wanted) -> Result<Box<Link>, Outcome> {
    let worker = attempt.worker;
    match pool::lend(ex, worker, attempt.policy, wanted).await {
        Ok(link) => Ok(link),
        Err(LendError::Acquire) => Err(Outcome::Status(503)),
        Err(LendError::NoTls) => Err(Outcome::Status(500)),
        Err(LendError::Handshake) => {
            let (peer, host) = (Shown(attempt.worker), &worker.spec.host);
            logs::error!(ex, Level::Error, "proxy", Errno::GENERAL =>
                "AH01084: pass request body failed to {peer} ({host})");
            let outcome = proxy_error(ex, 500, "Error during SSL Handshake with remote server");
            let client = Bytes(&ex.client_ip);
            logs::error!(
                ex,
                Level::Error,
                "proxy_http",
                "AH01097: pass request body failed to {peer} ({host}) from {client} ()"
            );
            Err(outcome)
        }
        Err(LendError::Resolve(host)) => Err(respond::dns_failure(ex, &host)),
        Err(LendError::Connect { .. }) => {
            let host = &worker.spec.host;
            logs::error!(ex, Level::Error, "proxy_http", "AH01114: HTTP: failed to make connection to backend: {host}");
            Err(Outcome::Status(503))
        }
    }
}

/// The answer to a request whose body was not sent.
fn answer_unsent(ex: &mut Exchange, fault: &SendFault) -> Outcome {
    match fault {
        SendFault::Client(fault) => respond::answer_to(ex, *fault),
        SendFault::Backend(error) if error.kind() == io::ErrorKind::TimedOut => Outcome::Status(504),
        SendFault::Backend(_) => Outcome::Status(502),
        SendFault::Short { .. } => Outcome::Status(500),
    }
}

/// Methods whose requests may reach a backend twice.
fn may_repeat(method: &[u8]) -> bool {
    matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE" | b"PROPFIND" | b"REPORT")
}

/// Whether the connection ended without a byte of the response.
fn unheard(fault: &Fault) -> bool {
    let lost = |error: &io::Error| error.kind() != io::ErrorKind::TimedOut;
    match fault {
        Fault::Read(error) => error.as_ref().is_none_or(lost),
        Fault::Send(SendFault::Backend(error)) => lost(error),
        _ => false,
    }
}

/// A final head: its length in the input, and what interim ones left behind, as in httpd: cookies that the client did
/// not get, and a content type.
struct Answered {
    head: usize,
    left: Option<Box<Table>>,
}

impl Talk<'_> {
    /// Sends the request and reads up to the final response head, which stays in the input.
    async fn until_answered(
        &self,
        ex: &mut Exchange,
        wire: &mut dyn Wire,
        link: &mut Link,
        outgoing: &mut Outgoing,
    ) -> Result<Answered, Fault> {
        let worker = self.attempt.worker;
        let sent = outgoing.send(wire, link).await;
        self.check_sent(sent, link)?;
        if !ex.env.is_empty() && ex.env.contains(b"proxy-sendextracrlf") {
            let sent = link.write_all(b"\r\n").await;
            self.check_sent(sent.map_err(SendFault::Backend), link)?;
        }
        let usual = pool::io_timeout(ex, worker, self.attempt.policy);
        if let Some(ping) = worker.spec.ping.filter(|_| self.manner.expect) {
            link.set_timeout(ping);
        }
        let mut interims = 0;
        let mut left = None;
        loop {
            let len = self.read_head(link).await?;
            link.set_timeout(usual);
            let lane = link.lane();
            let head = &lane.head;
            if !head.is_interim() {
                // A backend that goes on with the connection reads the body that was announced.
                let reads = || head.stray.is_none() && !answer::closes(head, lane.input.bytes());
                if outgoing.is_awaited() && reads() {
                    let welcome = (200..300).contains(&head.status);
                    note(ex, head.status);
                    let sent = outgoing.send_awaited(wire, link, welcome).await;
                    self.check_sent(sent, link).map_err(Fault::awaited)?;
                }
                return Ok(Answered { head: len, left });
            }
            let status = head.status;
            self.interim(ex, wire, link, outgoing.is_awaited(), &mut left).await;
            link.consume(len);
            if status == 100 && outgoing.is_awaited() {
                let sent = outgoing.send_awaited(wire, link, true).await;
                self.check_sent(sent, link).map_err(Fault::awaited)?;
            }
            interims += 1;
            if interims == INTERIM_MAX {
                return Err(Fault::Interims);
            }
        }
    }

    /// A backend that answered before it had taken everything is heard.
    fn check_sent(&self, sent: Result<(), SendFault>, link: &mut Link) -> Result<(), Fault> {
        match sent {
            Err(SendFault::Backend(error)) if error.kind() != io::ErrorKind::TimedOut && link.has_answer() => Ok(()),
            Err(fault) => Err(Fault::Send(fault)),
            Ok(()) => Ok(()),
        }
    }

    /// Reads until the lane's head is complete; its length.
    async fn read_head(&self, link: &mut Link) -> Result<usize, Fault> {
        let size = self.attempt.worker.spec.response_field_size;
        let bad = match self.attempt.policy.bad_header {
            spec::BadHeaderPolicy::IsError => BadHeader::IsError,
            spec::BadHeaderPolicy::Ignore => BadHeader::Ignore,
            spec::BadHeaderPolicy::StartBody => BadHeader::StartBody,
        };
        link.lane().head.clear();
        loop {
            let lane = link.lane();
            if !lane.input.bytes().is_empty() {
                match parse_response(lane.input.bytes(), size, bad, &mut lane.head) {
                    Ok(Status::Complete(len)) => return Ok(len),
                    Ok(Status::Partial) => {}
                    Err(error) => return Err(Fault::Head(error)),
                }
            }
            let failed = match link.fill().await {
                Ok(0) => None,
                Ok(_) => continue,
                Err(error) => Some(error),
            };
            // A status without its line end is none.
            return Err(if link.lane().head.status == 0 { Fault::Read(failed) } else { Fault::Cut(failed) });
        }
    }

    /// Passes an interim response on, as the policy says.
    async fn interim(
        &self,
        ex: &mut Exchange,
        wire: &mut dyn Wire,
        link: &mut Link,
        awaited: bool,
        left: &mut Option<Box<Table>>,
    ) {
        let lane = link.lane();
        let (head, buf) = (&lane.head, lane.input.bytes());
        note(ex, head.status);
        let mut fields = Table::default();
        let coding = answer::field(head, buf, b"Transfer-Encoding");
        let lengths = if coding.is_some() { answer::Lengths::None } else { answer::Lengths::All };
        answer::copy_fields(head, buf, &mut fields, lengths);
        if let Some(coding) = coding {
            fields.add(b"Transfer-Encoding", coding);
        }
        answer::add_via(ex, self.attempt.policy.via, &mut fields);
        if let Some(kind) = fields.get(b"Content-Type") {
            left.get_or_insert_with(Box::default).set(b"Content-Type", kind);
        }
        let policy = ex.env.get(b"proxy-interim-response");
        let all = policy.is_some_and(|policy| same(policy, b"RFC"));
        let said = if head.status == 100 && self.client_expects && awaited && (policy.is_none() || all) {
            pipe::interim(ex, wire, 100, head.bytes(buf, head.reason), &fields);
            true
        } else if (policy.is_none() && head.status != 100) || all {
            pipe::interim(ex, wire, head.status, head.bytes(buf, head.reason), &fields);
            ex.proto_num >= 1001
        } else {
            false
        };
        if !said {
            for value in fields.get_all(b"Set-Cookie") {
                left.get_or_insert_with(Box::default).add(b"Set-Cookie", value);
            }
            return;
        }
        // Whoever waits for it should have it; an error shows when the response is sent.
        let _ = pipe::flush(ex, wire).await;
    }

    /// The answer to the client when the backend gave none.
    fn give_up(&self, ex: &mut Exchange, wire: &mut dyn Wire, link: &mut Link, fault: &Fault) -> Outcome {
        let spec = &self.attempt.worker.spec;
        match fault {
            Fault::Send(fault) => {
                self.log_unsent(ex, fault);
                let (peer, host, client) = (Shown(self.attempt.worker), &spec.host, Bytes(&ex.client_ip));
                logs::error!(
                    ex,
                    Level::Error,
                    "proxy_http",
                    "AH01097: pass request body failed to {peer} ({host}) from {client} ()"
                );
                answer_unsent(ex, fault)
            }
            Fault::Awaited(fault) => {
                self.log_unsent(ex, fault);
                let outcome = answer_unsent(ex, fault);
                let status = if let Outcome::Status(status) = outcome { status } else { 0 };
                let (peer, host, client) = (Shown(self.attempt.worker), &spec.host, Bytes(&ex.client_ip));
                logs::error!(
                    ex,
                    Level::Error,
                    "proxy_http",
                    "AH10154: pass request body failed to {peer} ({host}) from {client} () with status {status}"
                );
                outcome
            }
            Fault::Read(error) => self.unanswered(ex, wire, error.as_ref(), link.peer()),
            Fault::Head(ResponseError::NoStatusLine) => self.unanswered(ex, wire, None, None),
            Fault::Head(ResponseError::BadStatusLine) => {
                self.unanswered(ex, wire, Some(&io::Error::from_raw_os_error(EINVAL)), None)
            }
            Fault::Head(ResponseError::CorruptStatusLine(line)) => {
                let lane = link.lane();
                let line = String::from_utf8_lossy(lane.head.bytes(lane.input.bytes(), *line)).into_owned();
                proxy_error(ex, 502, &format!("Corrupt status line returned by remote server: {line}"))
            }
            Fault::Cut(error) => {
                let errno = error.as_ref().map_or(Errno::EOF, Errno::from);
                self.note_bad_head(ex, link, Some(errno), None)
            }
            Fault::Head(ResponseError::LineTooLong(line)) => {
                let lane = link.lane();
                let line = lane.head.bytes(lane.input.bytes(), *line).to_vec();
                self.note_bad_head(ex, link, None, Some(&line))
            }
            Fault::Head(ResponseError::BadLine(_)) => self.note_bad_head(ex, link, Some(Errno(EINVAL)), None),
            Fault::Head(_) => self.note_bad_head(ex, link, None, None),
            Fault::Interims => {
                let reason = format!("Too many ({INTERIM_MAX}) interim responses from origin server");
                proxy_error(ex, 502, &reason)
            }
        }
    }

    /// Says how sending the body failed.
    fn log_unsent(&self, ex: &Exchange, fault: &SendFault) {
        let (peer, host, client) = (Shown(self.attempt.worker), &self.attempt.worker.spec.host, Bytes(&ex.client_ip));
        match fault {
            SendFault::Client(fault) => {
                let errno = respond::errno_of(*fault);
                logs::error!(ex, Level::Error, "proxy", errno =>
                    "AH02608: read request body failed to {peer} ({host}) from {client} ()");
            }
            SendFault::Backend(error) => {
                logs::error!(ex, Level::Error, "proxy", Errno::from(error) =>
                    "AH01084: pass request body failed to {peer} ({host})");
            }
            SendFault::Short { got, expected } => {
                logs::error!(
                    ex,
                    Level::Error,
                    "proxy_http",
                    "AH01086: read less bytes of request body than expected (got {got}, expected {expected})"
                );
            }
        }
    }

    /// No status line came.
    fn unanswered(
        &self,
        ex: &mut Exchange,
        wire: &mut dyn Wire,
        error: Option<&io::Error>,
        remote: Option<SocketAddr>,
    ) -> Outcome {
        let spec = &self.attempt.worker.spec;
        // An alert instead of a response is the end for whoever reads.
        let alerted = error.and_then(io::Error::get_ref).is_some_and(|inner| inner.is::<rustls::Error>());
        if alerted {
            let text = "AH01992: SSL library error 1 reading data";
            logs::error!(logs::OfRemote(&ex.live, ex.server, remote), Level::Info, "ssl", "{text}");
        }
        let errno = if alerted { Errno::EOF } else { error.map_or(Errno::GENERAL, Errno::from) };
        let (host, port) = (&spec.host, spec.port);
        logs::error!(ex, Level::Error, "proxy_http", errno =>
            "AH01102: error reading status line from remote server {host}:{port}");
        if errno == Errno::TIMEUP {
            ex.notes.set(b"proxy_timedout", b"1");
            if self.manner.expect {
                return proxy_error(ex, 503, "Timeout on 100-Continue");
            }
        } else if ex.proxyreq == ProxyKind::Reverse && ex.conn.keepalives.get() > 0 {
            // The client takes a connection that closes without a byte for such a race of its own, and may try again.
            ex.status = 502;
            pipe::abort(ex, wire);
            return Outcome::Done;
        }
        proxy_error(ex, 502, "Error reading from remote server")
    }

    /// The response head is refused after its status line.
    fn note_bad_head(
        &self,
        ex: &mut Exchange,
        link: &mut Link,
        failed: Option<Errno>,
        too_long: Option<&[u8]>,
    ) -> Outcome {
        let head = &link.lane().head;
        let (major, minor) = (head.version.major, head.version.minor);
        note(ex, head.status);
        if let Some(errno) = failed {
            logs::error!(ex, Level::Warn, "proxy_http", errno => "AH10404: Error reading headers from backend");
        }
        if let Some(line) = too_long {
            let size = self.attempt.worker.spec.response_field_size;
            let shown = line.len().min(128) / 2;
            let (start, end) =
                (line.get(..shown).unwrap_or_default(), line.get(line.len() - shown..).unwrap_or_default());
            let (start, end) = (Bytes(start), Bytes(end));
            logs::error!(ex, Level::Warn, "proxy_http", Errno(28) => "AH10124: header size is over the limit allowed \
                by ResponseFieldSize ({size} bytes). Bad response header: '{start}[...]{end}'");
        }
        let (uri, method) = (Bytes(&ex.uri), Bytes(&ex.method));
        logs::error!(
            ex,
            Level::Warn,
            "proxy_http",
            "AH01106: bad HTTP/{major}.{minor} header returned by {uri} ({method})"
        );
        Outcome::Status(502)
    }
}

//! One exchange on a connection: request out, packets of the container obeyed until END_RESPONSE.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use super::receive::{self, Failure, OVERFLOW};
use super::{MODULE, Peer, encode, log, packet_size};
use crate::codec::ajp::{BODY_OVERHEAD, Reply, SendHeaders, push_end_of_body};
use crate::logs::{self, Errno, Level, OfServer};
use crate::pipe::{self, Outcome};
use crate::upstream::pool::Link;
use crate::upstream::respond::{self, Verdict};
use crate::upstream::spec::FlushPackets;
use crate::upstream::{Attempt, Worker};
use crate::web::{BodyFault, BodyKind, Exchange, Wire};

/// Body that came before any headers is held back up to this much.
const EARLY_MAX: usize = 64 * 1024;

/// Less than this waits for more before it goes to the client, unless a flush is asked for.
const FLUSH_AT: usize = 4096;

/// How an exchange went.
pub(super) enum Done {
    /// Over.
    Outcome(Outcome),
    /// The connection was closed while it waited in the pool; nothing is lost by asking again.
    Stale,
}

impl From<Outcome> for Done {
    fn from(outcome: Outcome) -> Self {
        Self::Outcome(outcome)
    }
}

/// What is known of the exchange so far.
struct Progress {
    /// Some of the request's body was sent: it cannot be sent to another worker.
    sent_body: bool,
    /// All of it was.
    body_over: bool,
    /// SEND_HEADERS came.
    headers: bool,
    /// ProxyErrorOverride: what is answered instead.
    replaced: Option<Outcome>,
    /// Body that came before the headers.
    early: Vec<u8>,
    /// Body handed on since the last flush.
    unflushed: usize,
}

/// What a packet led to.
enum Step {
    Next,
    End {
        reuse: bool,
    },
    Bad(Failure),
    /// The client is gone.
    Gone,
    /// The response's fields cannot be sent; an error page went out in its place.
    Unsendable,
    /// The client's body cannot be read.
    Unreadable(BodyFault),
}

/// Runs the exchange. `replay` says that a connection found closed before its first byte is nobody's fault.
pub(super) async fn run(
    ex: &mut Exchange,
    wire: &mut dyn Wire,
    attempt: &Attempt<'_>,
    mut link: Box<Link>,
    replay: bool,
) -> Done {
    let worker = attempt.worker;
    let max = packet_size(attempt);
    if let Err(overflow) = encode::forward(ex, attempt, max, &mut link.lane().output) {
        encode::log_overflow(ex, overflow);
        request_failed(ex, worker, OVERFLOW);
        return Outcome::Status(400).into();
    }
    let body = wire.body_kind();
    let mut progress = Progress {
        sent_body: false,
        body_over: body == BodyKind::None,
        headers: false,
        replaced: None,
        early: Vec::new(),
        unflushed: 0,
    };
    if body == BodyKind::Stream {
        logs::error!(ex, Level::Debug, MODULE, "AH00870: request is chunked");
    } else {
        if body == BodyKind::None || body == BodyKind::Length(0) {
            logs::error!(ex, Level::Debug, MODULE, "AH00872: APR_BUCKET_IS_EOS");
        }
        let most = max - BODY_OVERHEAD;
        logs::error!(ex, Level::Debug, MODULE, "AH00873: data to read (max {most} at 4)");
    }
    if body == BodyKind::None {
        logs::error!(ex, Level::Debug, MODULE, "AH00875: got 0 bytes of data");
    }
    if let BodyKind::Length(1..) = body {
        // What the client has sent already goes out with the request; what it still has to send must not hold that up.
        let head = link.lane().output.len();
        let mut first = first_body(wire, max, &mut link).await;
        if !matches!(first, Some(Ok(1..))) {
            link.lane().output.truncate(head);
            if let Err(error) = link.send().await {
                return not_sent(ex, worker, &error, replay, false);
            }
        }
        if first.is_none() {
            first = Some(poll_fn(|cx| encode::poll_body(cx, wire, max, &mut link.lane().output)).await);
        }
        match first {
            Some(Ok(n @ 1..)) => {
                progress.sent_body = true;
                link.account(n, 0);
                logs::error!(ex, Level::Debug, MODULE, "AH00875: got {n} bytes of data");
            }
            Some(Err(fault)) => {
                logs::error!(ex, Level::Debug, MODULE, "AH00871: ap_get_brigade failed");
                return respond::answer_to(ex, fault).into();
            }
            _ => {
                logs::error!(ex, Level::Debug, MODULE, "AH00877: read zero bytes, expecting some");
                return Outcome::Status(400).into();
            }
        }
    }
    if let Err(error) = link.send().await {
        return not_sent(ex, worker, &error, replay, progress.sent_body);
    }
    if let Some(coding) = ex.headers_in.get(b"Transfer-Encoding")
        && !coding.eq_ignore_ascii_case(b"chunked")
    {
        let coding = logs::Bytes(coding);
        logs::error!(ex, Level::Error, MODULE, "AH10396: {coding} Transfer-Encoding is not supported");
        return Outcome::Status(500).into();
    }
    if let Err(error) = receive::first_byte(&mut link).await {
        if replay && error.kind() != io::ErrorKind::TimedOut {
            return Done::Stale;
        }
        let failure = receive::unanswered(ex, receive::broken(ex, b"", &error));
        return unanswered(ex, attempt, &progress, failure).into();
    }
    packets(ex, wire, attempt, link, max, &mut progress).await.into()
}

/// The first body packet, if the client has sent something already: it goes out with the request.
async fn first_body(wire: &mut dyn Wire, max: usize, link: &mut Link) -> Option<Result<usize, BodyFault>> {
    poll_fn(|cx| {
        Poll::Ready(match encode::poll_body(cx, wire, max, &mut link.lane().output) {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        })
    })
    .await
}

/// Obeys packets until the exchange is over.
async fn packets(
    ex: &mut Exchange,
    wire: &mut dyn Wire,
    attempt: &Attempt<'_>,
    mut link: Box<Link>,
    max: usize,
    progress: &mut Progress,
) -> Outcome {
    let mut first = true;
    loop {
        if progress.unflushed >= FLUSH_AT && receive::must_wait(&mut link, max) {
            progress.unflushed = 0;
            if pipe::flush(ex, wire).await.is_err() {
                return gone(ex, wire);
            }
        }
        let step = match receive::reply(ex, &mut link, max).await {
            Ok(len) => {
                let step = obey(ex, wire, attempt, &mut link, len, max, progress).await;
                link.consume(len);
                step
            }
            Err(failure) if first => return unanswered(ex, attempt, progress, failure),
            Err(failure) => {
                log(ex, Level::Debug, failure.errno, format_args!("AH00889: ajp_read_header failed"));
                Step::Bad(failure)
            }
        };
        first = false;
        match step {
            Step::Next => {}
            Step::End { reuse } => {
                if reuse {
                    let (peer, spec) = (Peer(attempt.worker), &attempt.worker.spec);
                    logs::error!(
                        ex,
                        Level::Debug,
                        MODULE,
                        "AH00892: got response from {peer} ({}:{})",
                        spec.host,
                        spec.port
                    );
                }
                if reuse && !ex.env.contains(b"proxy-nokeepalive") {
                    link.keep(attempt.worker);
                } else {
                    drop(link);
                }
                return finish(ex, wire, attempt, progress).await;
            }
            Step::Bad(failure) => return failed(ex, wire, attempt, progress, failure).await,
            Step::Gone => return gone(ex, wire),
            Step::Unsendable => {
                drop(link);
                return end(ex, wire).await;
            }
            Step::Unreadable(fault) => {
                drop(link);
                return unreadable(ex, wire, fault).await;
            }
        }
    }
}

/// Obeys the packet of `len` bytes at the front of the input.
async fn obey(
    ex: &mut Exchange,
    wire: &mut dyn Wire,
    attempt: &Attempt<'_>,
    link: &mut Link,
    len: usize,
    max: usize,
    progress: &mut Progress,
) -> Step {
    let reply = match receive::payload(link, len) {
        // Not looked into.
        [receive::SEND_HEADERS, ..] if progress.headers => {
            logs::error!(ex, Level::Debug, MODULE, "AH00884: Backend sent headers twice.");
            return Step::Bad(Failure::BAD);
        }
        payload => Reply::decode(payload),
    };
    match reply {
        Ok(Reply::Headers(head)) => {
            progress.headers = true;
            if head.reason.is_none() {
                let server = OfServer(&ex.live, ex.server);
                logs::error!(
                    server,
                    Level::Error,
                    MODULE,
                    "AH03229: ajp_msg_get_string(): BufferOverflowException 9 {len}"
                );
            }
            take_head(ex, &head);
            if let Verdict::Replace(outcome) = respond::map(ex, attempt) {
                progress.replaced = Some(outcome);
            }
            Step::Next
        }
        Ok(Reply::Chunk(_)) if progress.replaced.is_some() => Step::Next,
        Ok(Reply::Chunk(data)) if !progress.headers => {
            if data.is_empty() {
                logs::error!(ex, Level::Debug, MODULE, "AH00886: Ignoring flush message received before headers");
            } else if progress.early.len() + data.len() > EARLY_MAX {
                return Step::Bad(Failure::BAD);
            } else {
                progress.early.extend_from_slice(data);
            }
            Step::Next
        }
        Ok(Reply::Chunk(data)) => {
            let mut early = std::mem::take(&mut progress.early);
            let data = if early.is_empty() {
                data
            } else {
                early.extend_from_slice(data);
                &early
            };
            let flush = data.is_empty() || attempt.worker.spec.flush_packets == FlushPackets::On;
            if data.is_empty() {
                pipe::head(ex, wire, None);
            } else if let Err(error) = pipe::data(ex, wire, data).await {
                logs::error!(ex, Level::Debug, MODULE, Errno::from(&error) => "AH00887: error processing body.");
                return Step::Gone;
            }
            if ex.response.replaced {
                return Step::Unsendable;
            }
            link.account(0, data.len());
            progress.unflushed += data.len();
            let more = link.input().len() > len;
            let flush = flush || (!more && pauses(attempt, link).await);
            if flush {
                progress.unflushed = 0;
                if pipe::flush(ex, wire).await.is_err() {
                    return Step::Gone;
                }
            }
            Step::Next
        }
        Ok(Reply::GetBody(_)) => send_body(ex, wire, link, max, progress).await,
        Ok(Reply::End { reuse }) => Step::End { reuse },
        Ok(Reply::Cpong) => Step::Bad(Failure::BAD),
        Err(error) => Step::Bad(receive::bad_contents(ex, error)),
    }
}

/// `flushpackets=auto`: whether the container sends nothing more for `flushwait`.
async fn pauses(attempt: &Attempt<'_>, link: &mut Link) -> bool {
    let spec = &attempt.worker.spec;
    if spec.flush_packets != FlushPackets::Auto {
        return false;
    }
    // What came and what failed is met again by the next read.
    tokio::time::timeout(spec.flush_wait, link.fill()).await.is_err()
}

/// Answers GET_BODY_CHUNK: what the client has sent, or the end, as often as it is asked for.
async fn send_body(ex: &Exchange, wire: &mut dyn Wire, link: &mut Link, max: usize, progress: &mut Progress) -> Step {
    if progress.body_over {
        push_end_of_body(&mut link.lane().output);
    } else {
        let output = &mut link.lane().output;
        match poll_fn(|cx| encode::poll_body(cx, wire, max, output)).await {
            Ok(0) => {
                progress.body_over = true;
                logs::error!(ex, Level::Debug, MODULE, "AH00879: APR_BUCKET_IS_EOS");
            }
            Ok(n) => {
                progress.sent_body = true;
                link.account(n, 0);
            }
            Err(fault) => return Step::Unreadable(fault),
        }
    }
    match link.send().await {
        Ok(()) => Step::Next,
        Err(error) => {
            let errno = Errno::from(&error);
            let server = OfServer(&ex.live, ex.server);
            logs::error!(server, Level::Error, MODULE, errno => "AH01029: ajp_ilink_send(): send failed");
            logs::error!(ex, Level::Debug, MODULE, errno => "AH00882: ajp_send_data_msg failed");
            Step::Bad(Failure { errno, ..Failure::BAD })
        }
    }
}

/// Fills the response's head into the exchange.
fn take_head(ex: &mut Exchange, head: &SendHeaders<'_>) {
    forget_response(ex);
    ex.status = head.status;
    // A reason that cannot stand in a status line gives way to the standard one.
    if let Some(reason) = head.reason
        && text(reason).iter().all(|byte| *byte >= b' ' && *byte != 0x7f)
    {
        crate::codec::http1::write::push_decimal(&mut ex.status_line, u64::from(head.status));
        ex.status_line.push(b' ');
        ex.status_line.extend_from_slice(text(reason));
    }
    let trust_length = ex.env.contains(b"ap_trust_cgilike_cl");
    for (name, value) in head.headers() {
        let (name, value) = (text(name), text(value));
        match name.len() {
            12 if name.eq_ignore_ascii_case(b"Content-Type") => {
                ex.content_type.clear();
                ex.content_type.extend_from_slice(value);
            }
            14 if !trust_length && name.eq_ignore_ascii_case(b"Content-Length") => continue,
            17 if name.eq_ignore_ascii_case(b"Transfer-Encoding") => continue,
            _ => {}
        }
        ex.headers_out.add(name, value);
    }
}

/// As httpd reads it: up to the first zero byte.
fn text(bytes: &[u8]) -> &[u8] {
    memchr::memchr(0, bytes).and_then(|end| bytes.get(..end)).unwrap_or(bytes)
}

/// The response is complete: what is still held back of it goes out.
async fn finish(ex: &mut Exchange, wire: &mut dyn Wire, attempt: &Attempt<'_>, progress: &mut Progress) -> Outcome {
    // With the reuse flag off httpd leaves out the page as well; we send it.
    if let Some(outcome) = progress.replaced {
        return outcome;
    }
    if !progress.headers {
        forget_response(ex);
        if let Verdict::Replace(outcome) = respond::map(ex, attempt) {
            return outcome;
        }
    }
    let early = std::mem::take(&mut progress.early);
    if !early.is_empty() {
        pipe::head(ex, wire, Some(early.len() as u64));
        // A client that went away is found by what follows.
        let _ = pipe::data(ex, wire, &early).await;
    }
    end(ex, wire).await
}

/// Ends what goes to the client.
async fn end(ex: &mut Exchange, wire: &mut dyn Wire) -> Outcome {
    if let Err(error) = pipe::finish(ex, wire).await {
        logs::error!(ex, Level::Debug, MODULE, Errno::from(&error) => "AH00888: error processing end");
    } else if ex.response.replaced {
        client_failed(ex, Errno(0));
    }
    Outcome::Done
}

fn gone(ex: &mut Exchange, wire: &mut dyn Wire) -> Outcome {
    logs::error!(ex, Level::Debug, MODULE, "AH02821: client connection aborted");
    pipe::abort(ex, wire);
    Outcome::Done
}

/// The client's body broke off or is malformed: what was sent of the response is ended in order.
async fn unreadable(ex: &mut Exchange, wire: &mut dyn Wire, fault: BodyFault) -> Outcome {
    logs::error!(ex, Level::Debug, MODULE, "AH00880: ap_get_brigade failed");
    client_failed(ex, respond::errno_of(fault));
    if ex.head_sent {
        ex.close = true;
        wire.close();
        let _ = pipe::finish(ex, wire).await;
        return Outcome::Done;
    }
    forget_response(ex);
    respond::answer_to(ex, fault)
}

fn client_failed(ex: &Exchange, errno: Errno) {
    let (ip, port) = (logs::Bytes(&ex.client_ip), ex.client_port);
    log(ex, Level::Error, errno, format_args!("AH02822: dialog with client {ip}:{port} failed"));
}

fn forget_response(ex: &mut Exchange) {
    ex.status = 200;
    ex.status_line.clear();
    ex.content_type.clear();
    ex.headers_out.clear();
}

/// The request could not be written.
fn not_sent(ex: &mut Exchange, worker: &Worker, error: &io::Error, replay: bool, with_body: bool) -> Done {
    if replay && error.kind() != io::ErrorKind::TimedOut {
        return Done::Stale;
    }
    let errno = Errno::from(error);
    let server = OfServer(&ex.live, ex.server);
    logs::error!(server, Level::Error, MODULE, errno => "AH01029: ajp_ilink_send(): send failed");
    if with_body {
        let (peer, spec) = (Peer(worker), &worker.spec);
        log(ex, Level::Error, errno, format_args!("AH00876: send failed to {peer} ({}:{})", spec.host, spec.port));
        return Outcome::Status(500).into();
    }
    logs::error!(ex, Level::Error, MODULE, "AH00989: ajp_send_header: ajp_ilink_send failed");
    request_failed(ex, worker, errno);
    Outcome::Status(if may_retry(ex) { 503 } else { 500 }).into()
}

fn request_failed(ex: &Exchange, worker: &Worker, errno: Errno) {
    let (peer, spec) = (Peer(worker), &worker.spec);
    log(ex, Level::Error, errno, format_args!("AH00868: request failed to {peer} ({}:{})", spec.host, spec.port));
}

/// No packet came at all.
fn unanswered(ex: &mut Exchange, attempt: &Attempt<'_>, progress: &Progress, failure: Failure) -> Outcome {
    let (peer, spec) = (Peer(attempt.worker), &attempt.worker.spec);
    log(
        ex,
        Level::Error,
        failure.errno,
        format_args!("AH00878: read response failed from {peer} ({}:{})", spec.host, spec.port),
    );
    // A container that answered CPING and then needs too long is not down.
    if failure.timed_out && spec.ping.is_some() {
        return Outcome::Status(504);
    }
    Outcome::Status(if !progress.sent_body && may_retry(ex) { 503 } else { 500 })
}

/// The container failed in the middle.
async fn failed(
    ex: &mut Exchange,
    wire: &mut dyn Wire,
    attempt: &Attempt<'_>,
    progress: &Progress,
    failure: Failure,
) -> Outcome {
    logs::error!(ex, Level::Debug, MODULE, "AH00890: Processing of request failed backend: 1, client: 0");
    let (peer, spec) = (Peer(attempt.worker), &attempt.worker.spec);
    log(
        ex,
        Level::Error,
        failure.errno,
        format_args!("AH00893: dialog to {peer} ({}:{}) failed", spec.host, spec.port),
    );
    if ex.head_sent {
        let _ = pipe::flush(ex, wire).await;
        pipe::abort(ex, wire);
        return Outcome::Done;
    }
    forget_response(ex);
    if progress.replaced.is_some() {
        ex.notes.unset(b"proxy-error-override");
        ex.err_headers_out.unset(b"WWW-Authenticate");
    }
    if !progress.sent_body && may_retry(ex) {
        return Outcome::Status(503);
    }
    if failure.timed_out && spec.ping.is_some() {
        ex.notes.set(b"proxy_timedout", b"1");
        return Outcome::Status(504);
    }
    Outcome::Status(500)
}

/// httpd's rule for asking another member: an idempotent method, and no query.
fn may_retry(ex: &Exchange) -> bool {
    ex.args.is_none() && super::is_idempotent(&ex.method)
}

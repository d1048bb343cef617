//! The backend's response on its way to the client.

use std::future::poll_fn;
use std::ops::Range;
use std::task::Poll;

use super::super::Attempt;
use super::super::link::Link;
use super::super::respond::{self, Verdict};
use super::super::spec::Via;
use super::Answered;
use super::request::{connection_tokens, push_via};
use super::{upgrade, warnings};
use crate::base::fold::same;
use crate::codec::http1::write::{push_decimal, push_status};
use crate::codec::http1::{
    Chunked, Limits, Part, ResponseBody, ResponseHead, Rules, Skipped, last_is_chunked, response_body,
};
use crate::logs::{self, Bytes, Errno, Level};
use crate::pipe::parts::{self, Selection};
use crate::pipe::{self, Outcome};
use crate::web::{Exchange, Table, Wire};

/// Notes the backend's status for logs and expressions.
pub(in super::super) fn note(ex: &mut Exchange, status: u16) {
    let digit = |n: u16| b'0' + (n % 10) as u8;
    ex.notes.set(b"proxy-status", &[digit(status / 100), digit(status / 10), digit(status)]);
}

/// Response fields that end here.
fn is_hop_by_hop(name: &[u8]) -> bool {
    let known: &[u8] = match name.len() {
        2 => b"TE",
        7 if matches!(name.first(), Some(b'U' | b'u')) => b"Upgrade",
        7 => b"Trailer",
        10 if matches!(name.first(), Some(b'C' | b'c')) => b"Connection",
        10 => b"Keep-Alive",
        16 => b"Proxy-Connection",
        17 => b"Transfer-Encoding",
        18 => b"Proxy-Authenticate",
        _ => return false,
    };
    same(name, known)
}

/// Which of several Content-Length go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lengths {
    None,
    First,
    /// There is no body that one of them could be wrong about.
    All,
}

/// Copies the fields that go on to the client, cookies last.
pub(super) fn copy_fields(head: &ResponseHead, buf: &[u8], into: &mut Table, lengths: Lengths) {
    let named = connection_tokens(head.values(buf, b"Connection"));
    let (mut cookies, mut warnings, mut has_length) = (false, false, lengths == Lengths::None);
    let block = into.lay(buf.get(..head.read()).unwrap_or_default());
    for field in head.spans() {
        let name = head.bytes(buf, field.name);
        if !named.is_empty() && named.iter().any(|token| same(token, name)) {
            continue;
        }
        match name.len() {
            10 if same(name, b"Set-Cookie") => {
                cookies = true;
                continue;
            }
            7 if same(name, b"Warning") => {
                warnings = true;
                continue;
            }
            14 if same(name, b"Content-Length")
                && std::mem::replace(&mut has_length, true)
                && lengths != Lengths::All =>
            {
                continue;
            }
            _ if is_hop_by_hop(name) => continue,
            _ => {}
        }
        match (field.name.range(), field.value.range()) {
            (Some(name), Some(value)) => into.add_laid(block, name, value),
            _ => into.add(name, head.bytes(buf, field.value)),
        }
    }
    if warnings {
        let date = head.values(buf, b"Date").next();
        for value in head.values(buf, b"Warning") {
            warnings::clean(value, date, |warning| into.add(b"Warning", warning));
        }
    }
    if cookies {
        for (name, value) in head.fields(buf).filter(|(name, _)| same(name, b"Set-Cookie")) {
            into.add(name, value);
        }
    }
}

/// Takes the body apart as it comes.
enum Framer {
    Empty,
    Length(u64),
    Chunked(Box<Chunked>),
    Close,
}

/// One step of a body: what to drop of the input, what of it is data, whether the body is over.
struct Piece {
    consumed: usize,
    data: Range<usize>,
    end: bool,
}

impl Framer {
    fn new(body: ResponseBody) -> Self {
        match body {
            ResponseBody::Empty => Self::Empty,
            ResponseBody::Length(n) => Self::Length(n),
            ResponseBody::Chunked { .. } => Self::Chunked(Box::new(Chunked::new(Limits::default(), Rules::default()))),
            ResponseBody::Close => Self::Close,
        }
    }

    /// The next piece; `None` if more input is needed for one.
    fn next(&mut self, input: &[u8]) -> Result<Option<Piece>, ()> {
        match self {
            Self::Empty | Self::Length(0) => Ok(Some(Piece { consumed: 0, data: 0..0, end: true })),
            Self::Length(left) => {
                let n = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                if n == 0 {
                    return Ok(None);
                }
                *left -= n as u64;
                Ok(Some(Piece { consumed: n, data: 0..n, end: *left == 0 }))
            }
            Self::Close if input.is_empty() => Ok(None),
            Self::Close => Ok(Some(Piece { consumed: input.len(), data: 0..input.len(), end: false })),
            Self::Chunked(decoder) => {
                let step = decoder.decode(input).map_err(|_| ())?;
                Ok(match step.part {
                    Part::Data(data) => Some(Piece { consumed: step.consumed, data, end: false }),
                    Part::End => Some(Piece { consumed: step.consumed, data: 0..0, end: true }),
                    Part::NeedMore if step.consumed == 0 => None,
                    Part::NeedMore => Some(Piece { consumed: step.consumed, data: 0..0, end: false }),
                })
            }
        }
    }
}

/// The first value of a field.
pub(super) fn field<'a>(head: &'a ResponseHead, buf: &'a [u8], wanted: &'a [u8]) -> Option<&'a [u8]> {
    head.values(buf, wanted).next()
}

/// Says where the response passed through.
pub(super) fn add_via(ex: &Exchange, said: Via, into: &mut Table) {
    if matches!(said, Via::On | Via::Full) {
        let mut via = Vec::new();
        push_via(ex, said, &mut via);
        into.add(b"Via", &via);
    }
}

/// Whether the backend says that it will close the connection.
pub(super) fn closes(head: &ResponseHead, buf: &[u8]) -> bool {
    pipe::has_token(head.values(buf, b"Connection"), b"close")
}

/// What the head said, once it is in the exchange.
struct Taken {
    /// The body's framing; `None` if that is malformed.
    body: Option<ResponseBody>,
    /// The connection may be used again once the body is read.
    keep: bool,
    /// Length of the status line as httpd counts it for the worker's traffic.
    counted: usize,
    /// Without a status line: the first line, which belongs to the body.
    stray: Option<Vec<u8>>,
    /// The head goes to the client with a coding that it cannot have.
    coded: bool,
}

/// Puts the head into the exchange.
fn take_head(ex: &mut Exchange, attempt: &Attempt<'_>, head: &ResponseHead, buf: &[u8]) -> Taken {
    if head.stray.is_none() {
        note(ex, head.status);
    }
    log_skipped(ex, head);
    let mut body = response_body(head, buf, ex.header_only).ok();
    if let Some(ResponseBody::Length(_)) = body
        && pipe::has_token(head.values(buf, b"Connection"), b"Content-Length")
    {
        body = Some(ResponseBody::Close);
    }
    ex.status = head.status;
    ex.status_line.clear();
    if head.stray.is_none() && !head.no_reason {
        push_status(&mut ex.status_line, head.status);
        ex.status_line.push(b' ');
        ex.status_line.extend_from_slice(head.bytes(buf, head.reason));
    }
    ex.headers_out.clear();
    let lengths = match body {
        _ if ex.header_only => Lengths::All,
        Some(ResponseBody::Empty | ResponseBody::Length(_)) => Lengths::First,
        _ => Lengths::None,
    };
    copy_fields(head, buf, &mut ex.headers_out, lengths);
    let mut coded = false;
    if ex.header_only
        && let Some(coding) = field(head, buf, b"Transfer-Encoding")
    {
        coded = !last_is_chunked(coding);
        // As httpd: what is not unframed keeps its framing in the head.
        ex.headers_out.unset(b"Content-Length");
        if !pipe::has_token(head.values(buf, b"Connection"), b"Transfer-Encoding") {
            for coding in head.values(buf, b"Transfer-Encoding") {
                ex.headers_out.add(b"Transfer-Encoding", coding);
            }
        }
    }
    ex.content_type.clear();
    if let Some(kind) = ex.headers_out.get(b"Content-Type") {
        ex.content_type.extend_from_slice(kind);
    }
    let mut fields = std::mem::take(&mut ex.headers_out);
    add_via(ex, attempt.policy.via, &mut fields);
    ex.headers_out = fields;
    if attempt.worker.spec.upgrade.is_some()
        && let Some(offered) = field(head, buf, b"Upgrade")
    {
        upgrade::offer(&attempt.worker.spec, offered, &mut ex.headers_out);
    }
    let closes = closes(head, buf);
    // Also where no body is to come: what does come might be taken for the next response.
    let twice = |name: &[u8]| ex.header_only && field(head, buf, name).is_some();
    let ends = matches!(body, None | Some(ResponseBody::Close | ResponseBody::Chunked { length_too: true }))
        || head.stray.is_some()
        || (twice(b"Transfer-Encoding") && twice(b"Content-Length"));
    Taken {
        body,
        keep: head.version.minor >= 1 && !ends && !closes,
        counted: if head.stray.is_some() { 0 } else { b"HTTP/1.1 200 ".len() + head.reason.len() },
        stray: head.stray.map(|line| head.bytes(buf, line).to_vec()),
        coded,
    }
}

/// Sends what was answered to the client; gives the connection back as soon as the response is read, if `keep`.
pub(super) async fn relay(
    ex: &mut Exchange,
    wire: &mut dyn Wire,
    attempt: &Attempt<'_>,
    mut link: Box<Link>,
    answered: Answered,
    keep: bool,
) -> Outcome {
    let lane = link.lane();
    let left = answered.left;
    let Taken { body, keep: may_keep, counted, stray, coded } = take_head(ex, attempt, &lane.head, lane.input.bytes());
    if coded {
        ex.headers_out.clear();
        ex.content_type.clear();
        ex.status_line.clear();
        ex.status = 200;
        ex.close = true;
        ex.response.unmeasured = true;
        return Outcome::Status(500);
    }
    let keep = keep && may_keep;
    for value in left.iter().flat_map(|left| left.get_all(b"Set-Cookie")) {
        ex.headers_out.add(b"Set-Cookie", value);
    }
    if let Some(kind) = left.iter().find_map(|left| left.get(b"Content-Type"))
        && ex.content_type.is_empty()
    {
        ex.content_type.extend_from_slice(kind);
    }
    let mut length = match body {
        Some(ResponseBody::Length(n)) => Some(n),
        _ => None,
    };
    if let Some(line) = stray.as_ref().filter(|_| ex.header_only) {
        // The body of which nothing is sent is that line.
        let mut length = Vec::new();
        push_decimal(&mut length, line.len() as u64);
        ex.headers_out.add(b"Content-Length", &length);
        ex.bytes_sent += line.len() as u64;
    }
    link.account(0, counted);
    link.consume(answered.head);

    let mut framer = Framer::new(body.unwrap_or(ResponseBody::Close));
    let mut first = framer.next(link.input());
    if body.is_none() {
        first = Err(());
    }
    if let (Ok(None), None) = (&first, &stray) {
        // Nothing of the body is here: what follows decides whether there is a response at all.
        match poll_fn(|cx| Poll::Ready(link.poll_fill(cx))).await {
            Poll::Ready(Ok(0)) if matches!(framer, Framer::Close) => {}
            Poll::Ready(Ok(0)) => return broken_at_start(ex, Errno::INCOMPLETE),
            Poll::Ready(Ok(_)) => first = framer.next(link.input()),
            Poll::Ready(Err(error)) => return broken_at_start(ex, Errno::from(error)),
            Poll::Pending => {}
        }
    }
    let Ok(mut piece) = first else { return broken_at_start(ex, Errno::GENERAL) };
    if matches!(
        (&framer, &piece),
        (Framer::Chunked(_), Some(Piece { data: Range { start: 0, end: 0 }, end: true, .. }))
    ) && !ex.header_only
    {
        // There is nothing to come: that can be said.
        length = Some(0);
    }
    let mut assembled = None;
    if let Some(whole) = &mut piece
        && whole.end
        && !whole.data.is_empty()
        && ex.response.keeper.is_none()
    {
        // All of the body is here: the ranges that the backend did not answer are answered now.
        match parts::select(ex, whole.data.len() as u64) {
            Selection::Whole => {}
            Selection::Pieces(pieces) => {
                assembled = Some(assemble(&pieces, link.input().get(whole.data.clone()).unwrap_or_default()));
                whole.data = 0..0;
            }
            Selection::Nothing => {
                ex.response.unmeasured = true;
                if keep {
                    link.consume(whole.consumed);
                    link.keep(attempt.worker);
                }
                return Outcome::Status(416);
            }
        }
    }
    let length = length.filter(|_| ex.status != 206 && assembled.is_none());
    match respond::map(ex, attempt) {
        Verdict::Send => {}
        Verdict::Replace(outcome) => return outcome,
    }
    pipe::head(ex, wire, length);
    if let Some(bytes) = assembled {
        link.account(0, bytes.len());
        if pipe::data(ex, wire, &bytes).await.is_err() {
            return Outcome::Done;
        }
    }
    if let Some(mut line) = stray {
        if let Some(piece) = &mut piece {
            line.extend_from_slice(link.input().get(piece.data.clone()).unwrap_or_default());
            piece.data = 0..0;
        }
        link.account(0, line.len());
        if pipe::data(ex, wire, &line).await.is_err() {
            return Outcome::Done;
        }
    }
    match body_to_client(ex, wire, &mut link, &mut framer, piece).await {
        Ok(()) => {
            if let Framer::Chunked(decoder) = &framer {
                // Not passed on; logs may tell of them.
                decoder.trailers().iter().for_each(|(name, value)| ex.trailers_out.add(name, value));
            }
            if keep {
                link.keep(attempt.worker);
            } else {
                drop(link);
            }
            attempt.busy.over();
            // A client that went away is noted by the pipe.
            let _ = pipe::finish(ex, wire).await;
        }
        Err(Some(errno)) => {
            logs::error!(ex, Level::Error, "proxy_http", errno => "AH01110: error reading response");
            pipe::abort(ex, wire);
        }
        // The client went away.
        Err(None) => {}
    }
    Outcome::Done
}

/// Passes the body on piece by piece, beginning with `piece`; what has come is flushed before more is waited for.
async fn body_to_client(
    ex: &mut Exchange,
    wire: &mut dyn Wire,
    link: &mut Link,
    framer: &mut Framer,
    mut piece: Option<Piece>,
) -> Result<(), Option<Errno>> {
    loop {
        if let Some(Piece { consumed, data, end }) = piece {
            let bytes = link.input().get(data).unwrap_or_default();
            link.account(0, bytes.len());
            if !bytes.is_empty() && pipe::data(ex, wire, bytes).await.is_err() {
                return Err(None);
            }
            link.consume(consumed);
            if end {
                return Ok(());
            }
        } else {
            let filled = match poll_fn(|cx| Poll::Ready(link.poll_fill(cx))).await {
                Poll::Ready(filled) => filled,
                Poll::Pending => {
                    if pipe::flush(ex, wire).await.is_err() {
                        return Err(None);
                    }
                    link.fill().await
                }
            };
            match filled {
                Ok(0) if matches!(framer, Framer::Close) => return Ok(()),
                Ok(0) => return Err(Some(Errno::INCOMPLETE)),
                Ok(_) => {}
                // A reset ends a body that only the end of the connection frames, too: but not whole.
                Err(error) => return Err(Some(Errno::from(&error))),
            }
        }
        piece = framer.next(link.input()).map_err(|()| Some(Errno::GENERAL))?;
    }
}

/// The body is bad before any of it was sent: an error page can still go out.
fn broken_at_start(ex: &mut Exchange, errno: Errno) -> Outcome {
    logs::error!(ex, Level::Error, "proxy_http", errno => "AH01110: error reading response");
    ex.headers_out.clear();
    ex.content_type.clear();
    ex.status_line.clear();
    ex.status = 200;
    ex.no_cache = true;
    ex.response.unmeasured = true;
    Outcome::Status(502)
}

/// The pieces of a body that were asked for, one behind the other.
fn assemble(pieces: &[parts::Piece], body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in pieces {
        out.extend_from_slice(&piece.head);
        let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let end = at(piece.start.saturating_add(piece.count));
        out.extend_from_slice(body.get(at(piece.start)..end).unwrap_or_default());
    }
    out
}

/// Says which header lines were passed over.
fn log_skipped(ex: &Exchange, head: &ResponseHead) {
    for skipped in &head.skipped {
        let (uri, method) = (Bytes(&ex.uri), Bytes(&ex.method));
        let what = match skipped {
            Skipped::Line => "AH01100: Ignoring bogus HTTP header",
            Skipped::StartedBody => "AH01098: Starting body due to bogus non-header in headers",
            Skipped::NoFields => "AH01099: No HTTP headers",
        };
        logs::error!(ex, Level::Warn, "proxy_http", "{what} returned by {uri} ({method})");
    }
}

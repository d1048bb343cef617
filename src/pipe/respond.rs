//! The body of the response on its way out: what handlers call, filters, ranges, pace, the end.

use std::future::poll_fn;
use std::io;

use super::head::{begin, head, refuse, release, send_head, settle};
use super::{Outcome, parts};
use crate::web::{Absent, BodyFault, Exchange, Framing, Origin, Pace, Piece, Refusal, Stored, Table, Wire};

/// Sends body bytes through the body filters; sends the head first if it is not out (length unknown). Bytes of a
/// response that has no body (HEAD, 204, 304) are dropped.
pub async fn data(ex: &mut Exchange, wire: &mut dyn Wire, bytes: &[u8]) -> io::Result<()> {
    if !ex.head_sent {
        head(ex, wire, None);
    }
    if ex.response.replaced {
        // httpd counts what it drops.
        ex.bytes_sent += bytes.len() as u64;
        return Ok(());
    }
    if (ex.response.no_body && !ex.response.waiting) || bytes.is_empty() {
        return Ok(());
    }
    if ex.filters.is_empty() {
        return write(ex, wire, bytes).await;
    }
    filtered(ex, wire, bytes, Step::Data).await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Data,
    Flush,
    End,
}

/// Passes bytes through all filters in turn, and what comes out to the wire, behind a head that waited for it.
async fn filtered(ex: &mut Exchange, wire: &mut dyn Wire, bytes: &[u8], step: Step) -> io::Result<()> {
    // Not those of the head, which is made in between.
    let mut out = std::mem::take(&mut ex.response.filtered[0]);
    let mut waiting = filter(ex, bytes, step, &mut out);
    let mut done = Ok(());
    while let Some(at) = waiting {
        waiting = work(ex, at, step, &mut out).await;
        if waiting.is_some() {
            done = onward(ex, wire, &mut out, Step::Data).await;
            out.clear();
            if done.is_err() {
                break;
            }
        }
    }
    if done.is_ok() {
        done = onward(ex, wire, &mut out, step).await;
    }
    out.clear();
    if out.capacity() > HELD_MOST * 2 {
        out = Vec::new();
    }
    ex.response.filtered[0] = out;
    done
}

/// So much of a filtered body is held back: the length of a short one can be said.
const HELD_MOST: usize = 65_536;

async fn onward(ex: &mut Exchange, wire: &mut dyn Wire, out: &mut Vec<u8>, step: Step) -> io::Result<()> {
    if failed(ex, wire)? {
        return Ok(());
    }
    if !ex.response.stretches.is_empty() {
        ex.response.unmeasured = true;
    }
    if ex.response.waiting {
        if !ex.response.held.is_empty() {
            ex.response.held.extend_from_slice(out);
            std::mem::swap(out, &mut ex.response.held);
            ex.response.held.clear();
        }
        let early = step == Step::Flush && ex.filters.iter().any(|filter| filter.holds_back());
        if (early || step == Step::Data) && out.len() <= HELD_MOST {
            std::mem::swap(out, &mut ex.response.held);
            return Ok(());
        }
        if step == Step::End {
            ranged(ex, out);
        }
        release(ex, wire, (step == Step::End).then_some(out.len() as u64));
    }
    if ex.response.no_body || ex.response.replaced {
        ex.response.stretches.clear();
        return Ok(());
    }
    stretches(ex, wire, out).await
}

/// Whether a filter has failed, and the response was replaced for that.
///
/// # Errors
/// It was too late for that, and the response is cut.
fn failed(ex: &mut Exchange, wire: &mut dyn Wire) -> io::Result<bool> {
    let Some(filter) = ex.filters.iter().find(|filter| filter.failed()) else { return Ok(false) };
    let refusal = filter.refusal();
    if refusal != Refusal::Cut && !ex.head_sent {
        refuse(ex, wire, refusal == Refusal::Measured);
        return Ok(true);
    }
    abort(ex, wire);
    Err(io::ErrorKind::InvalidData.into())
}

/// As [`write`], each stretch that a filter passed on by itself.
async fn stretches(ex: &mut Exchange, wire: &mut dyn Wire, bytes: &[u8]) -> io::Result<()> {
    let mut ends = std::mem::take(&mut ex.response.stretches);
    let (mut done, mut from) = (Ok(()), 0);
    for end in ends.iter().copied().chain([bytes.len()]) {
        let stretch = bytes.get(from..end).unwrap_or_default();
        if done.is_ok() && !stretch.is_empty() {
            done = write(ex, wire, stretch).await;
        }
        from = end;
    }
    ends.clear();
    ex.response.stretches = ends;
    done
}

/// Ranges are of the body behind the filters: those of one that is all here are answered.
fn ranged(ex: &mut Exchange, out: &mut Vec<u8>) {
    if !ex.headers_in.contains(b"Range") || ex.response.renewed || ex.response.unmeasured {
        return;
    }
    if ex.response.keeper.is_some() {
        settle(ex);
        if ex.response.keeps || ex.response.replaced || ex.response.retry {
            return;
        }
    }
    if let parts::Selection::Pieces(pieces) = parts::choose(ex, out.len() as u64) {
        let whole = std::mem::take(out);
        assemble(&whole, &pieces, out);
    }
}

/// Passes bytes through the filters, up to the first that has to wait, whose number it says.
fn filter(ex: &mut Exchange, bytes: &[u8], step: Step, out: &mut Vec<u8>) -> Option<usize> {
    out.clear();
    out.extend_from_slice(bytes);
    let known = ex.response.stretches.len();
    let waiting = pass(ex, 0, known, step, out);
    shift(ex, known);
    waiting
}

/// Stretches from number `known` on are behind what is held.
fn shift(ex: &mut Exchange, known: usize) {
    let held = ex.response.held.len();
    ex.response.stretches.iter_mut().skip(known).for_each(|end| *end += held);
}

/// Passes what is in `out` through the filters from number `from` on; see [`filter`].
fn pass(ex: &mut Exchange, from: usize, known: usize, step: Step, out: &mut Vec<u8>) -> Option<usize> {
    let mut spare = std::mem::take(&mut ex.response.filtered[1]);
    let mut waiting = None;
    for (at, filter) in ex.filters.iter_mut().enumerate().skip(from) {
        spare.clear();
        // What the one before passed on this one takes by itself.
        let stretches = &mut ex.response.stretches;
        let ends = stretches.split_off(known.min(stretches.len()));
        let mut start = 0;
        for end in ends.into_iter().chain([out.len()]) {
            let stretch = out.get(start..end).unwrap_or_default();
            start = end;
            if !stretch.is_empty() {
                filter.data(stretch, &mut spare);
                filter.stretches(stretches);
            }
        }
        match step {
            Step::Data => {}
            Step::Flush => filter.flush(&mut spare),
            Step::End => filter.end(&mut spare, &mut ex.notes),
        }
        std::mem::swap(out, &mut spare);
        if filter.waits() {
            waiting = Some(at);
            break;
        }
    }
    spare.clear();
    ex.response.filtered[1] = spare;
    waiting
}

/// Lets the filter that waits work for a while and passes on what comes of it: behind those before it in `out`.
async fn work(ex: &mut Exchange, at: usize, step: Step, out: &mut Vec<u8>) -> Option<usize> {
    let place = ex.filters.get_mut(at)?;
    let mut filter = std::mem::replace(place, Box::new(Absent));
    let known = ex.response.stretches.len();
    filter.work(ex, out).await;
    filter.stretches(&mut ex.response.stretches);
    let waits = filter.waits();
    if let Some(place) = ex.filters.get_mut(at) {
        *place = filter;
    }
    let later = pass(ex, at + 1, known, if waits { Step::Data } else { step }, out);
    shift(ex, known);
    if waits { Some(at) } else { later }
}

/// As [`write`], a little at a time.
async fn paced(ex: &mut Exchange, wire: &mut dyn Wire, bytes: &[u8], pace: Pace) -> io::Result<()> {
    let mut rest = bytes;
    let mut most = pace.chunk.saturating_add(pace.burst);
    while !rest.is_empty() {
        let (now, later) = rest.split_at(most.min(rest.len()));
        ex.response.pace = None;
        let done = write_now(ex, wire, now).await;
        ex.response.pace = Some(Pace { burst: most - now.len(), ..pace });
        done?;
        rest = later;
        if most == now.len() {
            poll_fn(|cx| wire.poll_flush(cx)).await.map_err(|error| gone(ex, error))?;
            tokio::time::sleep(pace.every).await;
            most = pace.chunk;
        } else {
            most -= now.len();
        }
    }
    // What this turn has left belongs to the next bytes.
    ex.response.pace = Some(Pace { burst: most.saturating_sub(pace.chunk), ..pace });
    Ok(())
}

async fn write(ex: &mut Exchange, wire: &mut dyn Wire, bytes: &[u8]) -> io::Result<()> {
    if ex.response.keeps
        && let Some(keeper) = &mut ex.response.keeper
        && keeper.data(bytes)
        && let Some(mut keeper) = ex.response.keeper.take()
    {
        keeper.work(ex).await;
        ex.response.keeper = Some(keeper);
    }
    match ex.response.pace {
        Some(pace) => Box::pin(paced(ex, wire, bytes, pace)).await,
        None => write_now(ex, wire, bytes).await,
    }
}

/// Bytes to the wire as they are.
async fn write_now(ex: &mut Exchange, wire: &mut dyn Wire, bytes: &[u8]) -> io::Result<()> {
    let mut rest = bytes;
    if matches!(ex.response.framing, Framing::Length(_)) {
        // More than was announced would be taken for the next response.
        let most = usize::try_from(ex.response.left).unwrap_or(usize::MAX).min(rest.len());
        rest = rest.get(..most).unwrap_or_default();
        ex.response.left -= rest.len() as u64;
    }
    while !rest.is_empty() {
        match poll_fn(|cx| wire.poll_data(cx, rest)).await {
            Ok(taken) => {
                ex.bytes_sent += taken as u64;
                rest = rest.get(taken..).unwrap_or_default();
            }
            Err(error) => return Err(gone(ex, error)),
        }
    }
    Ok(())
}

fn gone(ex: &mut Exchange, error: io::Error) -> io::Error {
    ex.conn.aborted.set(true);
    ex.close = true;
    error
}

/// Everything sent so far reaches the client.
pub async fn flush(ex: &mut Exchange, wire: &mut dyn Wire) -> io::Result<()> {
    if !ex.filters.is_empty() && !ex.response.no_body && (ex.head_sent || ex.response.waiting) {
        filtered(ex, wire, b"", Step::Flush).await?;
    }
    poll_fn(|cx| wire.poll_flush(cx)).await.map_err(|error| gone(ex, error))
}

/// The body is complete: ends filters and framing, flushes.
pub async fn finish(ex: &mut Exchange, wire: &mut dyn Wire) -> io::Result<()> {
    if ex.finished {
        return Ok(());
    }
    if !ex.head_sent && !ex.response.waiting {
        begin(ex, Some(0));
        match ex.filters.is_empty() {
            true => send_head(ex, wire, Some(0), None),
            false => ex.response.waiting = true,
        }
    }
    ex.finished = true;
    if !ex.filters.is_empty() && !ex.response.no_body {
        filtered(ex, wire, b"", Step::End).await?;
    }
    conclude(ex, wire).await
}

/// What is sent in the place of a handler's body, and the end of the response.
async fn conclude(ex: &mut Exchange, wire: &mut dyn Wire) -> io::Result<()> {
    match ex.response.instead.take() {
        // Boxed: every response comes by here, hardly any with a body in place of its own.
        Some((mut body, pieces)) if !ex.response.no_body => {
            Box::pin(copy(ex, wire, &mut *body, &pieces, false)).await?;
        }
        Some(_) => {}
        None => replacement(ex, wire).await?,
    }
    if ex.response.retry {
        end_keeping(ex, true).await;
        return Ok(());
    }
    if matches!(ex.response.framing, Framing::Length(_)) && ex.response.left > 0 {
        // Less than announced: the client must not wait for the rest on this connection.
        abort(ex, wire);
        return Ok(());
    }
    end_keeping(ex, false).await;
    poll_fn(|cx| wire.poll_finish(cx)).await.map_err(|error| gone(ex, error))
}

/// The page of a response that was replaced.
async fn replacement(ex: &mut Exchange, wire: &mut dyn Wire) -> io::Result<()> {
    if !ex.response.replaced || ex.response.no_body {
        return Ok(());
    }
    let page = std::mem::take(&mut ex.response.buffers[1]);
    let done = write(ex, wire, &page).await;
    ex.response.buffers[1] = page;
    done
}

/// Whoever may keep the response is told that it is complete, or that another one takes its place.
async fn end_keeping(ex: &mut Exchange, left: bool) {
    if let Some(mut keeper) = ex.response.keeper.take() {
        keeper.end(ex, left).await;
        ex.response.keeps = false;
    }
}

/// An internal redirect follows: what was to be kept of the response is not.
pub(super) async fn leave(ex: &mut Exchange) {
    if ex.response.keeper.is_some() {
        end_keeping(ex, true).await;
    }
}

/// Answers with a response that was stored: its status and fields are in the exchange.
pub async fn stored(ex: &mut Exchange, wire: &mut dyn Wire, body: Box<dyn Stored>) -> Outcome {
    ex.response.origin = Origin::Store;
    send(ex, wire, body).await
}

/// Answers with a body that lies somewhere, or the ranges of it that are asked for.
pub async fn send(ex: &mut Exchange, wire: &mut dyn Wire, body: Box<dyn Stored>) -> Outcome {
    let length = body.length();
    let pieces = match parts::select(ex, length) {
        parts::Selection::Whole => vec![Piece { head: Vec::new(), start: 0, count: length }],
        parts::Selection::Pieces(pieces) => pieces,
        parts::Selection::Nothing => {
            ex.response.origin = Origin::Handler;
            return parts::unsatisfiable(ex);
        }
    };
    let total = pieces.iter().map(|piece| piece.head.len() as u64 + piece.count).sum();
    if ex.filters.is_empty() {
        send_head(ex, wire, Some(total), None);
    } else {
        head(ex, wire, None);
    }
    let wanted = !ex.response.no_body || ex.response.waiting;
    let mut body = body;
    if !wanted || copy(ex, wire, &mut *body, &pieces, true).await.is_ok() {
        // A client that went away is noted on its connection.
        let _ = finish(ex, wire).await;
    }
    Outcome::Done
}

/// Sends pieces of a stored body, through the filters or behind them. One that cannot be read ends the connection: the
/// client must not take what it has for the whole.
async fn copy(
    ex: &mut Exchange,
    wire: &mut dyn Wire,
    body: &mut dyn Stored,
    pieces: &[Piece],
    filtered: bool,
) -> io::Result<()> {
    let mut buffer = Vec::new();
    for piece in pieces {
        pass_on(ex, wire, &piece.head, filtered).await?;
        let (mut at, mut left) = (piece.start, piece.count);
        while left > 0 {
            buffer.clear();
            if body.read(at, &mut buffer).await.is_err() || buffer.is_empty() {
                abort(ex, wire);
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            pass_on(ex, wire, buffer.get(..most).unwrap_or_default(), filtered).await?;
            at += most as u64;
            left -= most as u64;
        }
    }
    Ok(())
}

async fn pass_on(ex: &mut Exchange, wire: &mut dyn Wire, bytes: &[u8], filtered: bool) -> io::Result<()> {
    if filtered { data(ex, wire, bytes).await } else { write(ex, wire, bytes).await }
}

/// A whole small response: head with length, bytes, end.
pub async fn text(ex: &mut Exchange, wire: &mut dyn Wire, bytes: &[u8]) -> io::Result<()> {
    if !ex.head_sent && !ex.response.waiting {
        begin(ex, Some(bytes.len() as u64));
    }
    if ex.head_sent || ex.response.waiting || ex.filters.is_empty() {
        if !ex.head_sent && !ex.response.waiting {
            if let parts::Selection::Pieces(pieces) = parts::select(ex, bytes.len() as u64) {
                return some(ex, wire, bytes, &pieces).await;
            }
            send_head(ex, wire, Some(bytes.len() as u64), None);
        }
        data(ex, wire, bytes).await?;
        return finish(ex, wire).await;
    }
    // All of it is here, so its length behind the filters is known.
    let mut out = Vec::new();
    if filter(ex, bytes, Step::End, &mut out).is_some() {
        return long(ex, wire, out).await;
    }
    if failed(ex, wire)? {
        return finish(ex, wire).await;
    }
    ex.filters.clear();
    ex.response.unmeasured |= !ex.response.stretches.is_empty();
    ranged(ex, &mut out);
    send_head(ex, wire, Some(out.len() as u64), None);
    if ex.response.no_body || ex.response.replaced {
        data(ex, wire, &out).await?;
    } else {
        stretches(ex, wire, &out).await?;
    }
    finish(ex, wire).await
}

/// A small response of which nobody knows how long it becomes: a filter goes on.
async fn long(ex: &mut Exchange, wire: &mut dyn Wire, out: Vec<u8>) -> io::Result<()> {
    ex.response.waiting = true;
    ex.finished = true;
    let mut out = out;
    let mut waiting = ex.filters.iter().position(|filter| filter.waits());
    while let Some(at) = waiting {
        waiting = work(ex, at, Step::End, &mut out).await;
        if waiting.is_some() {
            onward(ex, wire, &mut out, Step::Data).await?;
            out.clear();
        }
    }
    onward(ex, wire, &mut out, Step::End).await?;
    conclude(ex, wire).await
}

/// Pieces of a small response.
async fn some(ex: &mut Exchange, wire: &mut dyn Wire, bytes: &[u8], pieces: &[Piece]) -> io::Result<()> {
    let mut out = Vec::new();
    assemble(bytes, pieces, &mut out);
    send_head(ex, wire, Some(out.len() as u64), None);
    data(ex, wire, &out).await?;
    finish(ex, wire).await
}

fn assemble(bytes: &[u8], pieces: &[Piece], out: &mut Vec<u8>) {
    for piece in pieces {
        out.extend_from_slice(&piece.head);
        let start = usize::try_from(piece.start).unwrap_or(usize::MAX);
        let end = start.saturating_add(usize::try_from(piece.count).unwrap_or(usize::MAX));
        out.extend_from_slice(bytes.get(start..end).unwrap_or_default());
    }
}

/// The response cannot be completed (a backend broke off): the connection is cut behind what was written.
pub fn abort(ex: &mut Exchange, wire: &mut dyn Wire) {
    ex.response.forget_keeper();
    ex.close = true;
    ex.finished = true;
    wire.abort();
}

/// Queues an interim response (1xx) if the client's protocol knows them.
pub fn interim(ex: &mut Exchange, wire: &mut dyn Wire, status: u16, reason: &[u8], fields: &Table) {
    if ex.proto_num >= 1001 && !ex.head_sent && !ex.assbackwards {
        wire.interim(status, reason, fields);
    }
}

/// Waits for request body: [`Wire::poll_fill`] as a future.
pub async fn fill(wire: &mut dyn Wire) -> Result<usize, BodyFault> {
    poll_fn(|cx| wire.poll_fill(cx)).await
}

/// Reads and forgets what is left of the request's body.
pub async fn drain(wire: &mut dyn Wire) -> Result<(), BodyFault> {
    while !wire.body_done() {
        if fill(wire).await? == 0 {
            break;
        }
        let here = wire.body().len();
        wire.consume(here);
    }
    Ok(())
}

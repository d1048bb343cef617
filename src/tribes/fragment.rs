//! FragmentationInterceptor: long messages in pieces.

use std::collections::HashMap;

use bytes::{BufMut, Bytes, BytesMut};

use super::config::FragmentConfig;
use super::stack::{Cause, Context, Incoming, Interceptor, Outgoing};
use super::{Level, UniqueId};

const SOURCE: &str = "org.apache.catalina.tribes.group.interceptors.FragmentationInterceptor";
/// Incomplete messages that are kept.
const KEPT: usize = 4096;

/// Cuts and joins. Every message ends with a byte that says whether it is a piece.
pub(super) struct Fragmentation {
    config: FragmentConfig,
    /// The longest message that is put together.
    max: usize,
    parts: HashMap<(UniqueId, UniqueId), Pieces>,
    /// Bytes of all pieces kept.
    bytes: usize,
}

struct Pieces {
    since: u64,
    found: Vec<Option<Bytes>>,
    left: usize,
    bytes: usize,
}

impl Fragmentation {
    pub(super) fn new(config: FragmentConfig, max: usize) -> Self {
        Self { config, max, parts: HashMap::new(), bytes: 0 }
    }

    /// Puts a piece to the others; the message when it was the last.
    fn join(&mut self, message: &Incoming, now: u64) -> Result<Option<Bytes>, &'static str> {
        let body = message.data.message.slice(..message.data.message.len() - 1);
        let (data, tail) = body.len().checked_sub(8).map(|at| body.split_at(at)).ok_or("too short")?;
        let number = |from: usize| {
            let bytes = tail.get(from..).and_then(|rest| rest.first_chunk::<4>());
            bytes.and_then(|bytes| usize::try_from(i32::from_be_bytes(*bytes)).ok())
        };
        let (index, count) = number(0).zip(number(4)).filter(|(index, count)| index < count).ok_or("no such piece")?;
        let data = body.slice_ref(data);
        let key = (message.data.source.unique_id, message.data.unique_id);
        if !self.parts.contains_key(&key) {
            // A count costs memory of ours before its pieces cost anything of theirs.
            if count > self.max / self.config.max_size.max(1) + 65_536 || self.parts.len() >= KEPT {
                return Err("too many pieces");
            }
            self.parts.insert(key, Pieces { since: now, found: vec![None; count], left: count, bytes: 0 });
        }
        let Some(pieces) = self.parts.get_mut(&key) else { return Ok(None) };
        let count_changed = pieces.found.len() != count;
        let Some(place) = pieces.found.get_mut(index).filter(|_| !count_changed) else {
            return Err("its pieces don't belong together");
        };
        if place.is_none() {
            pieces.left -= 1;
            pieces.bytes += data.len();
            self.bytes += data.len();
            *place = Some(data);
        }
        if self.bytes > self.max {
            self.forget(key);
            return Err("too long");
        }
        if pieces.left > 0 {
            return Ok(None);
        }
        let mut whole = BytesMut::with_capacity(pieces.bytes);
        pieces.found.iter().flatten().for_each(|piece| whole.extend_from_slice(piece));
        self.forget(key);
        Ok(Some(whole.freeze()))
    }

    fn forget(&mut self, key: (UniqueId, UniqueId)) {
        if let Some(pieces) = self.parts.remove(&key) {
            self.bytes -= pieces.bytes;
        }
    }

    fn expire(&mut self, now: u64) {
        let expire = self.config.expire;
        let late = |pieces: &Pieces| now.saturating_sub(pieces.since) > expire;
        let gone: Vec<_> = self.parts.iter().filter(|(_, pieces)| late(pieces)).map(|(key, _)| *key).collect();
        gone.into_iter().for_each(|key| self.forget(key));
    }
}

impl Interceptor for Fragmentation {
    fn name(&self) -> &'static str {
        "FragmentationInterceptor"
    }

    fn send(&mut self, mut out: Outgoing, cx: &mut Context<'_>) {
        if out.message.len() <= self.config.max_size {
            let mut message = BytesMut::with_capacity(out.message.len() + 1);
            message.extend_from_slice(&out.message);
            message.put_u8(0);
            out.message = message.freeze();
            return cx.down(out);
        }
        let count = out.message.len().div_ceil(self.config.max_size);
        let Ok(total) = i32::try_from(count) else { return cx.fail(&out, Cause::TooLong) };
        cx.split(out.ticket, count - 1);
        for (index, data) in (0..total).zip(out.message.chunks(self.config.max_size)) {
            let mut piece = BytesMut::with_capacity(data.len() + 9);
            piece.extend_from_slice(data);
            piece.put_i32(index);
            piece.put_i32(total);
            piece.put_u8(1);
            cx.down(Outgoing { message: piece.freeze(), ..out.clone() });
        }
    }

    fn receive(&mut self, mut message: Incoming, cx: &mut Context<'_>) {
        let data = &mut message.data;
        match data.message.last() {
            Some(0) => data.message.truncate(data.message.len() - 1),
            Some(_) => match self.join(&message, cx.now().tick) {
                Ok(Some(whole)) => message.data.message = whole,
                Ok(None) => return,
                Err(problem) => {
                    let text = format!("Dropped a fragment of {}: {problem}", message.data.source.name());
                    return cx.log(Level::Warning, SOURCE, text);
                }
            },
            None => {
                let text = format!("Dropped a message of {} without fragment mark", data.source.name());
                return cx.log(Level::Warning, SOURCE, text);
            }
        }
        cx.up(message);
    }

    fn heartbeat(&mut self, cx: &mut Context<'_>) {
        self.expire(cx.now().tick);
    }
}

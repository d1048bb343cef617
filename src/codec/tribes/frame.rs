//! Frames: the only structure a connection has.

use super::{Error, length};

/// What every frame begins with.
pub const START: &[u8; 7] = b"FLT2002";
const END: &[u8; 7] = b"TLF2003";
/// Bytes of a frame around its content.
pub const OVERHEAD: usize = START.len() + 4 + END.len();
/// The content that acknowledges a message.
pub const ACK: &[u8; 3] = &[6, 2, 3];
/// The content that says its processing failed.
pub const FAIL_ACK: &[u8; 3] = &[11, 0, 5];

/// A complete frame at the front of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What is between header and end marker.
    pub content: &'a [u8],
    /// Bytes of the buffer it takes.
    pub len: usize,
}

/// What a frame's content says about a message sent before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It was received, or processed.
    Ack,
    /// Its processing failed.
    Fail,
}

/// The frame at the front of `buf`; while it is incomplete, how long it will be (if that can be told).
///
/// # Errors
/// A wrong marker as soon as it can be seen, and a content longer than `max` or of negative length.
pub fn split(buf: &[u8], max: usize) -> Result<Result<Frame<'_>, Option<usize>>, Error> {
    let seen = buf.len().min(START.len());
    if buf.get(..seen) != START.get(..seen) {
        return Err(Error::Start);
    }
    let Some((len, rest)) = buf.get(START.len()..).and_then(|rest| rest.split_first_chunk::<4>()) else {
        return Ok(Err(None));
    };
    let said = i32::from_be_bytes(*len);
    let n = usize::try_from(said).ok().filter(|n| *n <= max).ok_or(Error::Length(said))?;
    let (Some(content), Some(end)) = (rest.get(..n), rest.get(n..n + END.len())) else {
        return Ok(Err(Some(n + OVERHEAD)));
    };
    if end != END {
        return Err(Error::End);
    }
    Ok(Ok(Frame { content, len: n + OVERHEAD }))
}

/// Appends one frame around what `fill` appends.
pub fn frame(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(START);
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    fill(out);
    let len = length(out.len() - at - 4).to_be_bytes();
    if let Some(place) = out.get_mut(at..at + 4) {
        place.copy_from_slice(&len);
    }
    out.extend_from_slice(END);
}

/// What a content acknowledges, if it is an acknowledgement.
pub fn reply(content: &[u8]) -> Option<Reply> {
    match content {
        [6, 2, 3] => Some(Reply::Ack),
        [11, 0, 5] => Some(Reply::Fail),
        _ => None,
    }
}

/// A whole acknowledgement.
pub fn reply_frame(reply: Reply) -> Vec<u8> {
    let content = match reply {
        Reply::Ack => ACK,
        Reply::Fail => FAIL_ACK,
    };
    let mut out = Vec::with_capacity(OVERHEAD + content.len());
    frame(&mut out, |out| out.extend_from_slice(content));
    out
}

//! Byte ranges of a body that is complete: which, and how several of them are put together.

use super::conditions::{RangeLimits, Ranges, ranges};
use super::{Outcome, has_token, media};
use crate::codec::http1::write::push_decimal;
use crate::config::core::{CoreDir, RangeLimit};
use crate::web::{Exchange, Range};

pub use crate::web::Piece;

/// What this server lets a request ask for (`MaxRanges` and its sisters).
pub fn range_limits(ex: &Exchange) -> RangeLimits {
    let number = |limit: Option<RangeLimit>, default: u32| match limit.unwrap_or_default() {
        RangeLimit::Default => Some(default),
        RangeLimit::Unlimited => None,
        RangeLimit::None => Some(0),
        RangeLimit::At(number) => Some(number),
    };
    let dir = ex.dir::<CoreDir>();
    let of = |pick: fn(&CoreDir) -> Option<RangeLimit>| dir.and_then(pick);
    RangeLimits {
        ranges: number(of(|dir| dir.max_ranges), 200),
        overlaps: number(of(|dir| dir.max_overlaps), 20),
        reversals: number(of(|dir| dir.max_reversals), 20),
    }
}

/// What to send of a body of `length` bytes.
pub enum Selection {
    /// All of it, nothing was changed.
    Whole,
    /// These pieces; status, type and fields are set.
    Pieces(Vec<Piece>),
    /// Nothing: the answer is 416.
    Nothing,
}

/// Answers the request's ranges: makes the head say 206 and what goes with it, and says what to send.
pub fn select(ex: &mut Exchange, length: u64) -> Selection {
    // Ranges are of the body as it is sent; a filter that changes it makes them meaningless.
    super::head::begin(ex, Some(length));
    if !ex.filters.is_empty() || !ex.headers_in.contains(b"Range") {
        return Selection::Whole;
    }
    if ex.response.keeper.is_some() {
        // What is kept is kept whole, and sent so.
        super::head::settle(ex);
        if ex.response.keeps || ex.response.replaced || ex.response.retry {
            return Selection::Whole;
        }
    }
    choose(ex, length)
}

/// The answer where nothing that is asked for is there. httpd has decided on a response with length before it learns
/// this: the page goes out without one, on a connection that has been counted once already.
pub fn unsatisfiable(ex: &mut Exchange) -> Outcome {
    ex.response.unmeasured = true;
    if has_token(ex.headers_in.get_all(b"Connection"), b"close") {
        ex.close = true;
    }
    ex.conn.keepalives.set(ex.conn.keepalives.get().saturating_add(1));
    Outcome::Status(416)
}

/// The same, whatever filters there are.
pub(super) fn choose(ex: &mut Exchange, length: u64) -> Selection {
    let parts = match ranges(ex, length, range_limits(ex)) {
        Ranges::Whole => return Selection::Whole,
        Ranges::Parts(parts) => parts,
        Ranges::Unsatisfiable => return Selection::Nothing,
    };
    if let [(first, last)] = parts.as_slice() {
        let (first, last) = (*first, *last);
        ex.response.range = Some(Range::One(format!("bytes {first}-{last}/{length}").into_bytes()));
        set_length_if_known(ex, last - first + 1);
        return Selection::Pieces(vec![Piece { head: Vec::new(), start: first, count: last - first + 1 }]);
    }
    let boundary = boundary();
    let mut separator = format!("\r\n--{boundary}\r\n").into_bytes();
    if !ex.content_type.is_empty() {
        separator.extend_from_slice(b"Content-type: ");
        media::push_content_type(ex, &mut separator);
        separator.extend_from_slice(b"\r\n");
    }
    separator.extend_from_slice(b"Content-range: bytes ");
    let piece = |(first, last): &(u64, u64)| Piece {
        head: [separator.as_slice(), format!("{first}-{last}/{length}\r\n\r\n").as_bytes()].concat(),
        start: *first,
        count: last - first + 1,
    };
    let mut pieces: Vec<Piece> = parts.iter().map(piece).collect();
    pieces.push(Piece { head: format!("\r\n--{boundary}--\r\n").into_bytes(), start: 0, count: 0 });
    ex.response.range = Some(Range::Several(format!("multipart/byteranges; boundary={boundary}").into_bytes()));
    let total = pieces.iter().map(|piece| piece.head.len() as u64 + piece.count).sum();
    set_length_if_known(ex, total);
    Selection::Pieces(pieces)
}

/// Corrects a length that stands in the fields already.
fn set_length_if_known(ex: &mut Exchange, length: u64) {
    if ex.headers_out.contains(b"Content-Length") {
        let mut text = Vec::with_capacity(20);
        push_decimal(&mut text, length);
        ex.headers_out.set(b"Content-Length", &text);
    }
}

/// The boundary between ranges: the same for the whole life of the process, as in httpd.
fn boundary() -> &'static str {
    static BOUNDARY: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    BOUNDARY.get_or_init(|| {
        let seed = getrandom::u64().unwrap_or_else(|_| u64::from(std::process::id()));
        // Not filled up with zeros, as in httpd.
        format!("{:x}{:x}", seed >> 32, seed & 0xffff_ffff)
    })
}

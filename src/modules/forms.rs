//! Forms as browsers send them.

use crate::base::path::{EncodedSlashes, unescape_url};
use crate::web::Exchange;

/// Whether the request says that its body is one.
pub(super) fn is_form(ex: &Exchange) -> bool {
    let kind = ex.headers_in.get(b"Content-Type").unwrap_or_default();
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default();
    kind.trim_ascii().eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
}

fn decoded(text: &[u8]) -> Vec<u8> {
    let text: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let mut out = Vec::with_capacity(text.len());
    // A bad escape stands for itself.
    let _ = unescape_url(&text, EncodedSlashes::Decode, &mut out);
    out
}

/// Names and values, in order.
pub(super) fn pairs(text: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pairs = text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| match memchr::memchr(b'=', pair) {
            Some(at) => (decoded(&pair[..at]), decoded(&pair[at + 1..])),
            None => (decoded(pair), Vec::new()),
        })
        .collect()
}

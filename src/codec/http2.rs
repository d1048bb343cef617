//! What stands around HTTP/2's frames where a connection changes to it (RFC 7540 sections 3.2 to 3.5).
//!
//! A request in HTTP/1 that asks for `h2c` becomes the first stream: a protocol library that knows nothing of that reads
//! [`prologue`], in which the request is written as a client would have written it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// What a client begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The largest payload of a frame that nobody has asked for a larger one.
pub const FRAME: usize = 16_384;

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const ACK: u8 = 1;
const END: u8 = 5;

/// The payload of SETTINGS in a field `HTTP2-Settings`; `None` is none.
pub fn settings(field: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(field.trim_ascii_end()).ok().filter(|payload| payload.len().is_multiple_of(6))
}

/// A field that no table remembers (RFC 7541 section 6.2.2).
pub fn push_field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.push(0);
    for text in [name, value] {
        push_length(text.len(), out);
        out.extend_from_slice(text);
    }
}

fn push_length(len: usize, out: &mut Vec<u8>) {
    let Some(mut rest) = len.checked_sub(127) else { return out.push(u8::try_from(len).unwrap_or(0)) };
    out.push(127);
    while rest >= 128 {
        out.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    out.push(rest as u8);
}

fn push_frame(kind: u8, flags: u8, stream: u32, payload: &[&[u8]], out: &mut Vec<u8>) {
    let len = payload.iter().map(|part| part.len()).sum::<usize>();
    let [.., a, b, c] = u32::try_from(len).unwrap_or(0).to_be_bytes();
    out.extend_from_slice(&[a, b, c, kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    payload.iter().for_each(|part| out.extend_from_slice(part));
}

/// How long the preface and the settings are, once they are here; `None` when it is something else that comes.
pub fn opening(bytes: &[u8]) -> Option<Option<usize>> {
    let seen = bytes.len().min(PREFACE.len());
    if bytes.get(..seen) != PREFACE.get(..seen) {
        return None;
    }
    let Some([a, b, c, kind, flags, ..]) = bytes.get(PREFACE.len()..PREFACE.len() + 9) else { return Some(None) };
    let len = u32::from_be_bytes([0, *a, *b, *c]) as usize;
    if *kind != SETTINGS || flags & ACK != 0 || len > 4096 || !len.is_multiple_of(6) {
        return None;
    }
    let whole = PREFACE.len() + 9 + len;
    Some((bytes.len() >= whole).then_some(whole))
}

/// What a client said, of which the [`opening`] is `len` long, with the request put behind it: its settings, and its
/// fields as [`push_field`] wrote them.
pub fn prologue(said: &[u8], len: usize, settings: &[u8], block: &[u8]) -> Option<Vec<u8>> {
    let mut out = PREFACE.to_vec();
    let own = said.get(PREFACE.len() + 9..len)?;
    // One frame for both, as the client expects one answer.
    push_frame(SETTINGS, 0, 0, &[settings, own], &mut out);
    push_frame(HEADERS, END, 1, &[block], &mut out);
    out.extend_from_slice(said.get(len..)?);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_opening_is_waited_for() {
        let mut bytes = PREFACE.to_vec();
        push_frame(SETTINGS, 0, 0, &[&[0, 4, 0, 0, 0, 1]], &mut bytes);
        for len in 0..bytes.len() {
            assert_eq!(opening(&bytes[..len]), Some(None), "{len}");
        }
        assert_eq!(opening(&bytes), Some(Some(PREFACE.len() + 15)));
        assert_eq!(opening(b"GET / HTTP/1.1"), None);
        bytes[PREFACE.len() + 3] = HEADERS;
        assert_eq!(opening(&bytes), None);
    }

    #[test]
    fn lengths_are_written_as_hpack_has_them() {
        for (len, bytes) in [(0, &[0][..]), (126, &[126]), (127, &[127, 0]), (254, &[127, 127]), (1337, &[127, 186, 9])]
        {
            let mut out = Vec::new();
            push_length(len, &mut out);
            assert_eq!(out, bytes, "{len}");
        }
    }
}

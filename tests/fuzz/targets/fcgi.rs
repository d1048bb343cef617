//! FastCGI records: however they come, the same of the response is found, and never more than came.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tandem::codec::fcgi::{Decoder, Part};

fuzz_target!(|data: &[u8]| {
    assert_eq!(response(data, data.len().max(1)), response(data, 1));
});

/// What of `data` is response, if it comes in pieces of this size, up to its end or the first fault.
fn response(data: &[u8], size: usize) -> Vec<u8> {
    let (mut decoder, mut buffer, mut out) = (Decoder::default(), Vec::new(), Vec::new());
    for piece in data.chunks(size) {
        buffer.extend_from_slice(piece);
        loop {
            let Ok(step) = decoder.decode(&buffer) else { return out };
            assert!(step.consumed <= buffer.len());
            match step.part {
                Part::NeedMore if step.consumed == 0 => break,
                Part::Out(range) => out.extend_from_slice(&buffer[range]),
                Part::End => return out,
                _ => {}
            }
            buffer.drain(..step.consumed);
        }
    }
    assert!(out.len() <= data.len());
    out
}

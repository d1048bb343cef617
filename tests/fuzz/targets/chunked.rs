//! Chunked bodies: read in two pieces they give what they give in one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tandem::codec::http1::{Chunked, Limits, Part, Rules};

fn decode(pieces: [&[u8]; 2], rules: Rules) -> (bool, Vec<u8>) {
    let mut decoder = Chunked::new(Limits::default(), rules);
    let (mut held, mut out) = (Vec::new(), Vec::new());
    for piece in pieces {
        held.extend_from_slice(piece);
        loop {
            let Ok(step) = decoder.decode(&held) else { return (false, out) };
            if let Part::Data(range) = &step.part {
                assert!(range.end <= step.consumed);
                out.extend_from_slice(&held[range.clone()]);
            }
            held.drain(..step.consumed);
            if !matches!(step.part, Part::Data(_)) {
                break;
            }
        }
    }
    (true, out)
}

fuzz_target!(|input: (bool, u16, &[u8])| {
    let (strict, cut, data) = input;
    let rules = || Rules { strict, ..Rules::default() };
    let cut = usize::from(cut).min(data.len());
    assert_eq!(decode([data, b""], rules()), decode([&data[..cut], &data[cut..]], rules()));
});

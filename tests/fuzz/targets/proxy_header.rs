//! PROXY headers: what is decided of a piece is decided of the whole, and no header is longer than said.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tandem::codec::proxy_header::{LONGEST, parse_proxy_header};

fuzz_target!(|input: (u16, &[u8])| {
    let (cut, data) = input;
    let whole = parse_proxy_header(data);
    if let Ok(Some(header)) = &whole {
        assert!(header.len <= data.len().min(LONGEST));
    }
    let piece = parse_proxy_header(&data[..usize::from(cut).min(data.len())]);
    if matches!(piece, Ok(Some(_))) {
        assert_eq!(piece, whole);
    }
});

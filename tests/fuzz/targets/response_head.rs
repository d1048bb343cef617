//! Response heads of backends: read in two pieces they give what they give in one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tandem::codec::http1::{BadHeader, ResponseHead, Status, parse_response, response_body};

fuzz_target!(|input: (u8, u16, &[u8])| {
    let (bad, cut, data) = input;
    let bad = [BadHeader::IsError, BadHeader::Ignore, BadHeader::StartBody][usize::from(bad % 3)];
    let mut whole = ResponseHead::default();
    let first = parse_response(data, 8192, bad, &mut whole);
    if let Ok(Status::Complete(len)) = first {
        assert!(len <= data.len());
        let _ = whole.unsendable(data);
        let _ = response_body(&whole, data, false);
    }
    let mut pieces = ResponseHead::default();
    let cut = usize::from(cut).min(data.len());
    if let Ok(Status::Partial) = parse_response(&data[..cut], 8192, bad, &mut pieces) {
        assert_eq!(parse_response(data, 8192, bad, &mut pieces), first);
        if let Ok(Status::Complete(_)) = first {
            assert!(pieces.fields(data).eq(whole.fields(data)));
        }
    }
});

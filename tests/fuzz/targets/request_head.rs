//! Request heads: read in two pieces they give what they give in one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tandem::codec::http1::{Limits, RequestHead, Rules, Status, parse_request, request_body};

fuzz_target!(|input: (bool, bool, u16, &[u8])| {
    let (strict, allow09, cut, data) = input;
    let rules = Rules { strict, allow09, registered: None };
    let limits = Limits::default();
    let mut whole = RequestHead::default();
    let first = parse_request(data, &limits, &rules, &mut whole);
    if let Ok(Status::Complete(len)) = first {
        assert!(len <= data.len());
        assert!(whole.fields(data).count() <= limits.fields);
        let _ = request_body(&whole, data);
    }
    let mut pieces = RequestHead::default();
    let cut = usize::from(cut).min(data.len());
    if let Ok(Status::Partial) = parse_request(&data[..cut], &limits, &rules, &mut pieces) {
        assert_eq!(parse_request(data, &limits, &rules, &mut pieces), first);
        if let Ok(Status::Complete(_)) = first {
            assert!(pieces.fields(data).eq(whole.fields(data)));
        }
    }
});

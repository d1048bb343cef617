//! Responses of OCSP responders: whatever comes, what is found lies within it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tandem::codec::ocsp::{read, signed};

fuzz_target!(|input: (&[u8], &[u8])| {
    let (response, request) = input;
    let _ = read(response, request);
    if let Some(signed) = signed(response) {
        let within = |part: &[u8]| response.as_ptr_range().start <= part.as_ptr() && part.len() <= response.len();
        assert!(within(signed.data) && within(signed.signature) && signed.certs.iter().all(|cert| within(cert)));
        let _ = signed.signer.is(signed.certs.first().copied().unwrap_or_default());
    }
});

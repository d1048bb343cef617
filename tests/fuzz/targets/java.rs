//! Java object streams: what is read is written, and read as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tandem::codec::java::{Carrier, Limits, Reader, Value, describe};

fuzz_target!(|data: &[u8]| {
    if let Ok(value) = Value::from_stream(data) {
        let stream = value.to_stream();
        let again = Value::from_stream(&stream).expect("own stream");
        assert_eq!(again.to_stream(), stream);
        let _ = describe(&value);
    }
    let Ok(mut reader) = Reader::new(data, Limits::VALUE) else { return };
    let mut items = Vec::new();
    while !reader.at_end() && items.len() < 100 {
        match reader.object() {
            Ok(item) => items.push(item),
            Err(_) if reader.bool().is_ok() => {}
            Err(_) => break,
        }
    }
    let mut carrier = Carrier::new(data.len());
    for value in carrier.carry_all(reader.graph(), &items).into_iter().flatten() {
        let _ = describe(&value);
        let _ = value.to_stream();
    }
});

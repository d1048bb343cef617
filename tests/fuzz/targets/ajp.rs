//! AJP packets of both directions: whatever is accepted is written again and read as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tandem::codec::ajp::{HeadersWriter, MAX_PACKET_SIZE, Message, Reply, Sender, body, split};

fuzz_target!(|data: &[u8]| {
    let _ = body(data);
    if let Ok(Message::Forward(forward)) = Message::decode(data) {
        assert!(forward.headers().count() + forward.attributes().count() <= data.len());
    }
    for sender in [Sender::WebServer, Sender::Container] {
        let mut rest = data;
        while let Ok(Some(packet)) = split(rest, MAX_PACKET_SIZE, sender) {
            let _ = Message::decode(packet.payload);
            reply(packet.payload);
            rest = &rest[packet.len..];
        }
    }
    reply(data);
});

fn reply(payload: &[u8]) {
    let Ok(Reply::Headers(head)) = Reply::decode(payload) else { return };
    let mut out = Vec::new();
    let mut writer = HeadersWriter::new(&mut out, MAX_PACKET_SIZE, head.status, head.reason.unwrap_or_default());
    head.headers().for_each(|(name, value)| writer.header(name, value));
    if writer.finish().is_err() {
        return;
    }
    let packet = split(&out, MAX_PACKET_SIZE, Sender::Container).expect("own packet").expect("whole");
    let Ok(Reply::Headers(again)) = Reply::decode(packet.payload) else { panic!("own packet refused") };
    assert_eq!(again.status, head.status);
    assert!(again.headers().eq(head.headers()));
}

//! Frames, members, messages and RPC heads: whatever is accepted is written again as the same bytes.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tandem::codec::tribes::rpc::{MemberMessage, Rpc};
use tandem::codec::tribes::{ChannelData, Member, frame, split};

fuzz_target!(|data: &[u8]| {
    member(data);
    message(data);
    let mut rest = data;
    while let Ok(Ok(found)) = split(rest, 1 << 20) {
        member(found.content);
        message(found.content);
        rest = &rest[found.len..];
    }
});

fn member(data: &[u8]) {
    let Ok((member, rest)) = Member::decode(data) else { return };
    let mut out = Vec::new();
    member.encode(&mut out);
    assert_eq!(out, data[..data.len() - rest.len()]);
}

fn message(content: &[u8]) {
    let Ok(data) = ChannelData::decode(&Bytes::copy_from_slice(content)) else { return };
    let mut out = Vec::new();
    frame(&mut out, |out| data.encode(out));
    assert_eq!(out[11..out.len() - 7], *content);
    let Ok(Some(rpc)) = Rpc::decode(&data.message) else { return };
    assert_eq!(Rpc::decode(&rpc.encode()), Ok(Some(rpc.clone())));
    if let Ok(notice) = MemberMessage::decode(rpc.object) {
        assert_eq!(MemberMessage::decode(&notice.encode()), Ok(notice));
    }
}

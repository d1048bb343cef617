use std::net::IpAddr;

use bytes::Bytes;
use proptest::prelude::*;

use super::rpc::{Kind, MemberMessage, Notice, Rpc};
use super::*;

const MAX: usize = 1 << 20;

fn vectors() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let text = include_str!("../../../tests/tribes/vectors.txt");
    let words = |line: &'static str| {
        let mut words = line.split(' ');
        let (name, kind, hex) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
        let bytes = (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect();
        (name, kind, bytes)
    };
    text.lines().filter(|line| !line.starts_with('#')).map(words).collect()
}

fn vector(name: &str) -> Vec<u8> {
    vectors().into_iter().find(|(n, ..)| *n == name).unwrap().2
}

fn data(name: &str) -> ChannelData {
    let bytes = vector(name);
    let content = split(&bytes, MAX).unwrap().unwrap().content;
    ChannelData::decode(&Bytes::copy_from_slice(content)).unwrap()
}

/// What Tomcat wrote is read, and written again it is the same bytes.
#[test]
fn recorded_packages_survive() {
    let all = vectors();
    assert_eq!(all.len(), 30);
    for (name, kind, bytes) in all {
        let mut again = Vec::new();
        if kind == "member" || kind == "udp-heartbeat" {
            let (member, rest) = Member::decode(&bytes).unwrap();
            assert!(rest.is_empty() && is_member(&bytes), "{name}");
            assert_eq!(member.is_leaving(), name.contains("shutdown"), "{name}");
            member.encode(&mut again);
        } else {
            let found = split(&bytes, MAX).unwrap().unwrap();
            assert_eq!(found.len, bytes.len(), "{name}");
            match reply(found.content) {
                Some(answer) => again = reply_frame(answer),
                None => {
                    let data = ChannelData::decode(&Bytes::copy_from_slice(found.content)).unwrap();
                    assert_eq!(data.encoded_len(), found.content.len(), "{name}");
                    frame(&mut again, |out| data.encode(out));
                }
            }
        }
        assert_eq!(again, bytes, "{name}");
    }
}

#[test]
fn members_say_who_they_are() {
    let (member, _) = Member::decode(&vector("heartbeat-domain")).unwrap();
    assert_eq!((member.host, member.port), (IpAddr::from([10, 77, 0, 1]), 4000));
    assert_eq!((member.secure_port, member.udp_port, member.domain.as_slice()), (4443, 4050, &b"blue"[..]));
    assert_eq!(member.name(), "tcp://{10, 77, 0, 1}:4000");
    let (full, _) = Member::decode(&vector("MemberImpl.full")).unwrap();
    assert_eq!(
        full.to_string(),
        "org.apache.catalina.tribes.membership.MemberImpl[tcp://{10, 1, 2, 3}:4000,{10, 1, 2, 3},4000, alive=6, \
         securePort=4443, UDP Port=4050, id={0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 }, payload={1 2 3 }, \
         command={}, domain={98 108 117 101 }]"
    );
}

#[test]
fn rpc_heads_are_read_and_written() {
    for (name, kind) in [
        ("static-service-start", Kind::Request),
        ("static-service-start-reply", Kind::Reply),
        ("map-ping-request", Kind::Request),
        ("map-ping-reply", Kind::Reply),
        ("rpc-no-channel", Kind::NoChannel),
    ] {
        let message = data(name).message;
        let rpc = Rpc::decode(&message).unwrap().unwrap();
        assert_eq!(rpc.kind, kind, "{name}");
        assert_eq!(rpc.encode(), message, "{name}");
    }
    assert_eq!(Rpc::decode(&data("created-default").message), Ok(None));
    let message = data("static-service-ping").message;
    let rpc = Rpc::decode(&message).unwrap().unwrap();
    assert_eq!(rpc.rpc_id, b"Catalina-Channel-StaticMembership");
    let ping = MemberMessage::decode(rpc.object).unwrap();
    assert_eq!((ping.notice, ping.member.port), (Notice::Ping, 4000));
    assert_eq!(ping.encode(), rpc.object);
}

/// Every prefix of a frame asks for more, every wrong byte of its envelope is refused at once.
#[test]
fn frames_are_refused_early() {
    let whole = vector("probe");
    for n in 0..whole.len() {
        let expected = if n < 11 { None } else { Some(whole.len()) };
        assert_eq!(split(&whole[..n], MAX), Ok(Err(expected)), "{n} bytes");
    }
    assert_eq!(split(b"GET", MAX), Err(Error::Start));
    assert_eq!(split(b"FLT2002\xff\xff\xff\xff", MAX), Err(Error::Length(-1)));
    assert_eq!(split(&whole, 100), Err(Error::Length(181)));
    let mut wrong = whole.clone();
    *wrong.last_mut().unwrap() = b'4';
    assert_eq!(split(&wrong, MAX), Err(Error::End));
}

/// A length inside that points anywhere else is found, wherever it stands.
#[test]
fn lying_lengths_are_found() {
    let content = split(&vector("probe"), MAX).unwrap().unwrap().content.to_vec();
    for (at, value) in (0..content.len() - 4).flat_map(|at| [i32::MIN, -1, i32::MAX].map(|v| (at, v))) {
        let mut bytes = content.clone();
        bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
        // Only its result counts: a value, or an error; never a panic or a wrong amount.
        if let Ok(data) = ChannelData::decode(&bytes.clone().into()) {
            assert_eq!(data.encoded_len(), bytes.len());
        }
    }
    assert_eq!(ChannelData::decode(&Bytes::from_static(&[1, 2, 3])), Err(Error::Short));
}

#[test]
fn options_have_names() {
    assert_eq!(Options::parse("6"), Ok(Options(6)));
    assert_eq!(Options::parse("async, use_ack"), Ok(Options(10)));
    assert_eq!(Options::parse("SYNC,use_ack"), Ok(Options(6)));
    assert_eq!(Options::parse("fast"), Err(UnknownOption("fast".to_owned())));
}

fn member() -> impl Strategy<Value = Member> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..40);
    (any::<(i64, i32, i32, i32, IpAddr, UniqueId)>(), bytes(), bytes(), bytes()).prop_map(
        |((alive, port, secure_port, udp_port, host, unique_id), command, domain, payload)| Member {
            alive,
            port,
            secure_port,
            udp_port,
            host,
            command,
            domain,
            unique_id,
            payload,
        },
    )
}

proptest! {
    #[test]
    fn any_message_survives(
        source in member(), options: i32, timestamp: i64, unique_id: UniqueId, message: Vec<u8>, tail: Vec<u8>
    ) {
        let data = ChannelData { options: Options(options), timestamp, unique_id, source, message: message.into() };
        let mut bytes = Vec::new();
        frame(&mut bytes, |out| data.encode(out));
        bytes.extend_from_slice(&tail);
        let found = split(&bytes, MAX).unwrap().unwrap();
        prop_assert_eq!(found.len, bytes.len() - tail.len());
        prop_assert_eq!(ChannelData::decode(&Bytes::copy_from_slice(found.content)).unwrap(), data);
    }

    #[test]
    fn any_bytes_are_survived(bytes: Vec<u8>) {
        let _ = Member::decode(&bytes);
        let _ = ChannelData::decode(&bytes.clone().into());
        let _ = Rpc::decode(&bytes);
        let framed = [START.as_slice(), &bytes].concat();
        if let Ok(Ok(found)) = split(&framed, MAX) {
            prop_assert!(found.len <= framed.len());
        }
    }
}

//! Golden exchanges between the real httpd and the real Tomcat, and properties.
//!
//! A line of `tests/ajp/exchanges.txt` is one packet: `>` from httpd or `<` from Tomcat, the number of the connection,
//! the bytes in hexadecimal (`{pattern*n}` is a pattern repeated up to n bytes) and what an independent decoder says.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

const EXCHANGES: &str = include_str!("../../../tests/ajp/exchanges.txt");

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn unpack(mut text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(at) = text.find('{') {
        out.extend(unhex(&text[..at]));
        let end = text.find('}').unwrap();
        let (pattern, count) = text[at + 1..end].split_once('*').unwrap();
        out.extend(unhex(pattern).into_iter().cycle().take(count.parse().unwrap()));
        text = &text[end + 1..];
    }
    out.extend(unhex(text));
    out
}

fn show(text: Option<&[u8]>) -> String {
    match text {
        None => "-".to_owned(),
        Some(text) if text.len() > 120 => format!("<{}>", text.len()),
        Some(text) => format!("\"{}\"", text.escape_ascii()),
    }
}

fn headers<'a>(headers: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> String {
    headers.fold(String::new(), |mut all, (name, value)| {
        write!(all, "|{}: {}", name.escape_ascii(), show(Some(value))).unwrap();
        all
    })
}

fn describe_forward(forward: &Forward<'_>) -> String {
    let mut text = format!(
        "FORWARD_REQUEST {} {} {} {} {} {} {} {}",
        forward.method.escape_ascii(),
        show(forward.protocol),
        show(forward.uri),
        show(forward.remote_addr),
        show(forward.remote_host),
        show(forward.server_name),
        forward.server_port,
        if forward.is_ssl { "ssl" } else { "plain" },
    );
    text += &headers(forward.headers());
    for attribute in forward.attributes() {
        let (name, value) = match attribute {
            Attribute::RemoteUser(value) => ("remote_user", value),
            Attribute::AuthType(value) => ("auth_type", value),
            Attribute::Query(value) => ("query_string", value),
            Attribute::JvmRoute(value) => ("jvm_route", value),
            Attribute::SslCert(value) => ("ssl_cert", value),
            Attribute::SslCipher(value) => ("ssl_cipher", value),
            Attribute::SslSession(value) => ("ssl_session", value),
            Attribute::Secret(value) => ("secret", value),
            Attribute::StoredMethod(value) => ("stored_method", value),
            Attribute::Unused(..) => unreachable!("httpd sends none"),
            Attribute::SslKeySize(bits) => {
                write!(text, "|ssl_key_size={bits}").unwrap();
                continue;
            }
            Attribute::Named(name, value) => {
                write!(text, "|@{}={}", name.escape_ascii(), show(Some(value))).unwrap();
                continue;
            }
        };
        write!(text, "|{name}={}", show(Some(value))).unwrap();
    }
    text
}

fn encode_forward(forward: &Forward<'_>, max: usize) -> Result<Vec<u8>, Overflow<Part>> {
    let mut out = Vec::new();
    let begin = Beginning {
        method: forward.method,
        protocol: forward.protocol.unwrap_or_default(),
        uri: forward.uri.unwrap_or_default(),
        remote_addr: forward.remote_addr.unwrap_or_default(),
        remote_host: forward.remote_host,
        server_name: forward.server_name.unwrap_or_default(),
        server_port: forward.server_port,
        is_ssl: forward.is_ssl,
    };
    let mut writer = ForwardWriter::new(&mut out, max, &begin);
    for (name, value) in forward.headers() {
        writer.header(name, value);
    }
    for attribute in forward.attributes() {
        writer.attribute(attribute);
    }
    writer.finish().map(|()| out)
}

/// Decodes a packet of httpd; gives its description and its bytes as we write them.
fn from_web_server(bytes: &[u8], is_body: bool) -> (String, Vec<u8>) {
    let packet = split(bytes, MAX_PACKET_SIZE, Sender::WebServer).unwrap().expect("a whole packet");
    assert_eq!(packet.len, bytes.len());
    let mut out = Vec::new();
    if is_body {
        let data = body(packet.payload).unwrap();
        if data.is_empty() {
            push_end_of_body(&mut out);
        } else {
            assert_eq!(push_body(&mut out, MAX_PACKET_SIZE, data), data.len());
        }
        return (format!("BODY {}", data.len()), out);
    }
    match Message::decode(packet.payload).unwrap() {
        Message::Forward(forward) => (describe_forward(&forward), encode_forward(&forward, MAX_PACKET_SIZE).unwrap()),
        Message::Cping => {
            push_cping(&mut out);
            ("CPING".to_owned(), out)
        }
        Message::Obsolete(code) => panic!("httpd sends no {code}"),
    }
}

/// The same for a packet of Tomcat.
fn from_container(bytes: &[u8]) -> (String, Vec<u8>) {
    let packet = split(bytes, MAX_PACKET_SIZE, Sender::Container).unwrap().expect("a whole packet");
    assert_eq!(packet.len, bytes.len());
    let mut out = Vec::new();
    let text = match Reply::decode(packet.payload).unwrap() {
        Reply::Headers(head) => {
            let mut writer =
                HeadersWriter::new(&mut out, MAX_PACKET_SIZE, head.status, head.reason.unwrap_or_default());
            head.headers().for_each(|(name, value)| writer.header(name, value));
            writer.finish().unwrap();
            format!("SEND_HEADERS {} {}{}", head.status, show(head.reason), headers(head.headers()))
        }
        Reply::Chunk(data) => {
            if data.is_empty() {
                push_flush(&mut out);
            } else {
                assert_eq!(push_body_chunk(&mut out, MAX_PACKET_SIZE, data), data.len());
            }
            format!("SEND_BODY_CHUNK {}", data.len())
        }
        Reply::GetBody(most) => {
            push_get_body_chunk(&mut out, most);
            format!("GET_BODY_CHUNK {most}")
        }
        Reply::End { reuse } => {
            push_end_response(&mut out, reuse);
            format!("END_RESPONSE {}", u8::from(reuse))
        }
        Reply::Cpong => {
            push_cpong(&mut out);
            "CPONG".to_owned()
        }
    };
    (text, out)
}

#[test]
fn real_exchanges_are_read_and_written_byte_for_byte() {
    let (mut exchange, mut exchanges, mut packets) = ("", 0, 0);
    for line in EXCHANGES.lines() {
        if let Some(name) = line.strip_prefix("== ") {
            (exchange, exchanges) = (name, exchanges + 1);
            continue;
        }
        let mut words = line.splitn(3, ' ');
        let (way, bytes, want) = (words.next().unwrap(), unpack(words.next().unwrap()), words.next().unwrap());
        let (got, written) = match &way[..1] {
            ">" => from_web_server(&bytes, want.starts_with("BODY ")),
            _ => from_container(&bytes),
        };
        assert_eq!(got, want, "{exchange}");
        assert!(written == bytes, "{exchange}: {want}\n{}\n{}", written.escape_ascii(), bytes.escape_ascii());
        packets += 1;
    }
    assert_eq!((exchanges, packets), (67, 358));
}

#[test]
fn frames_are_bounded_and_signed() {
    assert_eq!(split(b"", 8192, Sender::Container), Ok(None));
    assert_eq!(split(b"AB\x00\x02\x05", 8192, Sender::Container), Ok(None));
    let whole = split(b"AB\x00\x02\x05\x01AB", 8192, Sender::Container);
    assert_eq!(whole, Ok(Some(Packet { payload: b"\x05\x01", len: 6 })));
    assert!(split(b"\x12\x34\x00\x01\x09", 8192, Sender::Container).unwrap().is_some());
    assert_eq!(split(b"AB\x00\x01\x0a", 8192, Sender::WebServer), Err(Error::Signature(b'A', b'B')));
    assert_eq!(split(b"HTTP", 8192, Sender::Container), Err(Error::Signature(b'H', b'T')));
    assert!(split(b"AB\x1f\xfc", 8192, Sender::Container).is_ok());
    assert_eq!(split(b"AB\x1f\xfd", 8192, Sender::Container), Err(Error::TooLarge { length: 8193, max: 8192 }));
}

#[test]
fn malformed_replies_are_told_apart() {
    for (payload, want) in [
        (&b""[..], Error::Short),
        (b"\x07", Error::Type(7)),
        (b"\x03\x00\x02a\x00", Error::Chunk { said: 2, held: 1 }),
        (b"\x03\x00\x01a", Error::Chunk { said: 1, held: 0 }),
        (b"\x03\x00\x00", Error::NoChunk),
        (b"\x03\x00", Error::Short),
        (b"\x04\x00\xc8\xff\xff\x00\x01", Error::HeaderCount),
        (b"\x04\x00\xc8\x00\x02OK\x01\x00\x00", Error::Unterminated),
        (b"\x04\x00\xc8\xff\xff\x00\x01\xa0\x0c\x00\x00\x00", Error::Header(0xa00c)),
        (b"\x04\x00", Error::Status),
        (b"\x04\x00\xc8\xff\xff\x00\x01\x00\x05ab", Error::HeaderName),
        (b"\x04\x00\xc8\xff\xff\x00\x01\xa0\x01\xff\xff", Error::HeaderValue),
        (b"\x04\x00\xc8\xff\xff\xff\xff\x00", Error::HeaderCount),
    ] {
        assert_eq!(Reply::decode(payload), Err(want), "{}", payload.escape_ascii());
    }
    assert_eq!(Reply::decode(b"\x03\x00\x00\x00"), Ok(Reply::Chunk(b"")));
    assert_eq!(Reply::decode(b"\x05"), Ok(Reply::End { reuse: false }));
    assert_eq!(Reply::decode(b"\x05\x01\x00"), Ok(Reply::End { reuse: true }));
}

#[test]
fn malformed_requests_are_told_apart() {
    let begin = b"\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\x00\x00\x00\x00\x50\x00";
    let request = |method: u8, rest: &[u8]| [&[2, method], &begin[..], rest].concat();
    for (payload, want) in [
        (request(0xff, b"\x00\x00\xff"), Error::Method(0xff)),
        (request(28, b"\x00\x00\xff"), Error::Method(28)),
        (request(0, b"\x00\x00\xff"), Error::Method(0)),
        (request(2, b"\x00\x01\xa0\x0f\x00\x00\x00\xff"), Error::Header(0xa00f)),
        (request(2, b"\x00\x00\x0e\x00\x00\x00\xff"), Error::Attribute(0x0e)),
        (request(2, b"\x00\x00"), Error::Short),
        (vec![3], Error::Type(3)),
    ] {
        assert_eq!(Message::decode(&payload), Err(want), "{}", payload.escape_ascii());
    }
    assert_eq!(Message::decode(b"\x07"), Ok(Message::Obsolete(7)));
    assert!(matches!(Message::decode(&request(15, b"\x00\x00\xff")), Ok(Message::Forward(f)) if f.method == b"ACL"));
    assert_eq!((body(b"\x00\x02ab"), body(b""), body(b"\x00\x02a")), (Ok(&b"ab"[..]), Ok(&b""[..]), Err(Error::Short)));
}

#[test]
fn a_packet_that_does_not_fit_leaves_nothing() {
    let begin = Beginning { method: b"GET", server_name: b"h", ..Beginning::default() };
    let write = |max, name: &[u8], value: &[u8]| {
        let mut out = b"before".to_vec();
        let mut writer = ForwardWriter::new(&mut out, max, &begin);
        writer.header(name, value);
        writer.attribute(Attribute::Query(b"q"));
        let done = writer.finish();
        assert!(done.is_ok() || out == b"before");
        (done, out.len() - 6)
    };
    let (done, whole) = write(8192, b"Host", b"h");
    assert_eq!(done, Ok(()));
    assert_eq!(write(whole, b"Host", b"h"), (Ok(()), whole));
    assert_eq!(write(whole - 1, b"Host", b"h").0, Err(Overflow { part: Part::End, len: whole - 1 }));
    assert_eq!(write(whole - 2, b"Host", b"h").0.unwrap_err().part, Part::Attribute(5));
    assert_eq!(write(whole, b"Host", b"longer value").0.unwrap_err().part, Part::HeaderValue);
    assert_eq!(write(whole, b"X-Much-Longer", b"").0.unwrap_err().part, Part::HeaderName);
    assert_eq!(write(12, b"Host", b"h").0.unwrap_err().part, Part::Beginning);
    assert_eq!(write(usize::MAX, b"Host", &[b'a'; 70000]).0.unwrap_err().part, Part::HeaderValue);
}

#[test]
fn data_is_cut_to_the_packet_size() {
    let data = vec![7; 70000];
    for (max, body_data, chunk_data) in [(8192, 8186, 8184), (65536, 65530, 65528), (usize::MAX, 65530, 65528)] {
        let mut out = Vec::new();
        assert_eq!(push_body(&mut out, max, &data), body_data);
        assert_eq!(out.len(), body_data + BODY_OVERHEAD);
        out.clear();
        assert_eq!(push_body_chunk(&mut out, max, &data), chunk_data);
        let packet = split(&out, MAX_PACKET_SIZE, Sender::Container).unwrap().unwrap();
        assert_eq!(Reply::decode(packet.payload), Ok(Reply::Chunk(&data[..chunk_data])));
    }
}

fn method() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"GET".to_vec()),
        Just(b"MKACTIVITY".to_vec()),
        Just(b"ACL".to_vec()),
        Just(b"PATCH".to_vec()),
        "[A-Za-z]{1,9}".prop_map(String::into_bytes),
    ]
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![Just(b"Host".to_vec()), Just(b"content-length".to_vec()), "[!-~]{1,20}".prop_map(String::into_bytes)]
}

fn fields() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
    prop::collection::vec((name(), prop::collection::vec(any::<u8>(), 0..40)), 0..12)
}

proptest! {
    #[test]
    fn requests_come_back(
        method in method(), uri: Vec<u8>, host in prop::option::of(any::<Vec<u8>>()), port: u16, is_ssl: bool,
        fields in fields(), attributes in fields(), bits: u16,
    ) {
        let begin = Beginning {
            method: &method, protocol: b"HTTP/1.1", uri: &uri, remote_addr: b"::1", remote_host: host.as_deref(),
            server_name: b"h", server_port: port, is_ssl,
        };
        let mut out = Vec::new();
        let mut writer = ForwardWriter::new(&mut out, MAX_PACKET_SIZE, &begin);
        fields.iter().for_each(|(name, value)| writer.header(name, value));
        let mut given = vec![Attribute::SslKeySize(bits)];
        if names::method_code(&method) == names::STORED_METHOD {
            given.push(Attribute::StoredMethod(&method));
        }
        given.extend(attributes.iter().map(|(name, value)| Attribute::Named(name, value)));
        given.iter().for_each(|attribute| writer.attribute(*attribute));
        writer.finish().unwrap();
        let packet = split(&out, MAX_PACKET_SIZE, Sender::WebServer).unwrap().unwrap();
        let Ok(Message::Forward(got)) = Message::decode(packet.payload) else { panic!("not a request") };
        prop_assert_eq!(got.method, &method[..]);
        prop_assert_eq!((got.uri, got.remote_host), (Some(&uri[..]), host.as_deref()));
        prop_assert_eq!((got.server_port, got.is_ssl), (port, is_ssl));
        prop_assert_eq!(got.headers().count(), fields.len());
        for ((got_name, got_value), (name, value)) in got.headers().zip(&fields) {
            prop_assert!(got_name.eq_ignore_ascii_case(name));
            prop_assert_eq!(got_value, &value[..]);
        }
        prop_assert_eq!(got.attributes().collect::<Vec<_>>(), given);
    }

    #[test]
    fn response_heads_come_back(status: u16, reason: Vec<u8>, fields in fields()) {
        let mut out = Vec::new();
        let mut writer = HeadersWriter::new(&mut out, MAX_PACKET_SIZE, status, &reason);
        fields.iter().for_each(|(name, value)| writer.header(name, value));
        writer.finish().unwrap();
        let packet = split(&out, MAX_PACKET_SIZE, Sender::Container).unwrap().unwrap();
        let Ok(Reply::Headers(head)) = Reply::decode(packet.payload) else { panic!("not a head") };
        prop_assert_eq!((head.status, head.reason), (status, Some(&reason[..])));
        let got: Vec<_> = head.headers().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        prop_assert_eq!(got, fields);
    }

    #[test]
    fn any_bytes_are_borne(bytes: Vec<u8>, first in 0u8..12, max in 0usize..70000) {
        let payload = [&[first], &bytes[..]].concat();
        if let Ok(Message::Forward(forward)) = Message::decode(&payload) {
            prop_assert!(forward.headers().count() + forward.attributes().count() <= payload.len());
        }
        if let Ok(Reply::Headers(head)) = Reply::decode(&payload) {
            prop_assert!(head.headers().count() <= payload.len());
        }
        prop_assert!(body(&payload).map_or(true, |data| data.len() <= payload.len()));
        for sender in [Sender::WebServer, Sender::Container] {
            for bytes in [&bytes[..], &[b"\x12\x34", &bytes[..]].concat()] {
                if let Ok(Some(packet)) = split(bytes, max, sender) {
                    prop_assert!(packet.len <= max.min(bytes.len()));
                }
            }
        }
    }
}

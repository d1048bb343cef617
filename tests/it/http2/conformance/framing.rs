//! RFC 9113 sections 3 to 7: the preface, frames, streams.

use super::super::frames::*;
use super::{Case, answered, bare, case, fails, pong, resets, served, with};

fn open(client: &mut Client) {
    client.frame(HEADERS, END_HEADERS, 1, &request("POST", &[]));
}

/// A request whose head goes on.
fn begin(client: &mut Client, stream: u32) {
    client.frame(HEADERS, END_STREAM, stream, &request("GET", &[]));
}

fn closed(client: &mut Client) -> Result<(), String> {
    client.get(1);
    served(client, 1)
}

/// A field, `len` bytes at least.
fn large(len: usize) -> Vec<u8> {
    field("x-large", &"a".repeat(len))
}

const RST: &[u8] = &[0, 0, 0, 8];

pub(super) const CASES: &[Case] = &[
    bare("3.5/1: the preface", |c| {
        c.send(&[PREFACE, &settings(&[])].concat());
        match c.next() {
            Event::Frame(frame) if frame.kind == SETTINGS && !frame.has(ACK) => Ok(()),
            other => Err(format!("{other:?} in place of settings")),
        }
    }),
    bare("3.5/2: a wrong preface", |c| {
        c.send(b"INVALID CONNECTION PREFACE\r\n\r\n");
        fails(c, &[PROTOCOL_ERROR])
    }),
    case("4.1/1: a frame of an unknown kind", |c| {
        c.frame(255, 0, 0, b"12345678");
        pong(c)
    }),
    case("4.1/2: an unknown flag", |c| {
        c.frame(PING, 0xfe, 0, b"12345678");
        pong(c)
    }),
    case("4.1/3: the reserved bit of a stream's number", |c| {
        c.frame(PING, 0, 0x8000_0000, b"12345678");
        pong(c)
    }),
    case("4.2/1: DATA of 2^14 bytes", |c| {
        open(c);
        c.frame(DATA, END_STREAM, 1, &[0; 16_384]);
        answered(c, 1)
    }),
    case("4.2/2: DATA larger than SETTINGS_MAX_FRAME_SIZE", |c| {
        open(c);
        c.frame(DATA, END_STREAM, 1, &[0; 16_385]);
        resets(c, &[FRAME_SIZE_ERROR])
    }),
    case("4.2/3: HEADERS larger than SETTINGS_MAX_FRAME_SIZE", |c| {
        c.frame(HEADERS, END_HEADERS | END_STREAM, 1, &[request("GET", &[]), large(16_384)].concat());
        fails(c, &[FRAME_SIZE_ERROR])
    }),
    case("4.3/1: a head that cannot be decoded", |c| {
        // An index that nobody made.
        c.frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff");
        fails(c, &[COMPRESSION_ERROR])
    }),
    case("4.3/2: PRIORITY within a head", |c| {
        begin(c, 1);
        c.frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 255]);
        c.frame(CONTINUATION, END_HEADERS, 1, &field("x-a", "a"));
        fails(c, &[PROTOCOL_ERROR])
    }),
    case("4.3/3: HEADERS of another stream within a head", |c| {
        begin(c, 1);
        c.frame(HEADERS, END_HEADERS, 3, &request("GET", &[]));
        fails(c, &[PROTOCOL_ERROR])
    }),
    case("5.1/1: idle: DATA", |c| {
        c.frame(DATA, END_STREAM, 1, b"test");
        fails(c, &[PROTOCOL_ERROR])
    }),
    case("5.1/2: idle: RST_STREAM", |c| {
        c.frame(RST_STREAM, 0, 1, RST);
        fails(c, &[PROTOCOL_ERROR])
    }),
    case("5.1/3: idle: WINDOW_UPDATE", |c| {
        c.frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 100]);
        fails(c, &[PROTOCOL_ERROR])
    }),
    case("5.1/4: idle: CONTINUATION", |c| {
        c.frame(CONTINUATION, END_HEADERS, 1, &request("GET", &[]));
        fails(c, &[PROTOCOL_ERROR])
    }),
    case("5.1/5: half closed (remote): DATA", |c| {
        c.get(1);
        c.frame(DATA, END_STREAM, 1, b"test");
        resets(c, &[STREAM_CLOSED])
    }),
    case("5.1/6: half closed (remote): HEADERS", |c| {
        c.get(1);
        c.frame(HEADERS, END_STREAM | END_HEADERS, 1, &request("GET", &[]));
        resets(c, &[STREAM_CLOSED])
    }),
    case("5.1/7: half closed (remote): CONTINUATION", |c| {
        c.get(1);
        c.frame(CONTINUATION, END_HEADERS, 1, &request("GET", &[]));
        resets(c, &[STREAM_CLOSED, PROTOCOL_ERROR])
    }),
    case("5.1/8: closed: DATA behind RST_STREAM", |c| {
        open(c);
        c.frame(RST_STREAM, 0, 1, RST);
        c.frame(DATA, END_STREAM, 1, b"test");
        resets(c, &[STREAM_CLOSED])
    }),
    case("5.1/9: closed: HEADERS behind RST_STREAM", |c| {
        open(c);
        c.frame(RST_STREAM, 0, 1, RST);
        c.frame(HEADERS, END_STREAM | END_HEADERS, 1, &request("GET", &[]));
        resets(c, &[STREAM_CLOSED])
    }),
    case("5.1/10: closed: CONTINUATION behind RST_STREAM", |c| {
        open(c);
        c.frame(RST_STREAM, 0, 1, RST);
        c.frame(CONTINUATION, END_HEADERS, 1, &field("x-a", "a"));
        resets(c, &[STREAM_CLOSED, PROTOCOL_ERROR])
    }),
    case("5.1/11: closed: DATA", |c| {
        closed(c)?;
        c.frame(DATA, END_STREAM, 1, b"test");
        resets(c, &[STREAM_CLOSED])
    }),
    case("5.1/12: closed: HEADERS", |c| {
        closed(c)?;
        c.frame(HEADERS, END_STREAM | END_HEADERS, 1, &request("GET", &[]));
        fails(c, &[STREAM_CLOSED])
    }),
    case("5.1/13: closed: CONTINUATION", |c| {
        closed(c)?;
        c.frame(CONTINUATION, END_HEADERS, 1, &field("x-a", "a"));
        fails(c, &[STREAM_CLOSED, PROTOCOL_ERROR])
    }),
    case("5.1.1/1: an even number", |c| {
        c.get(2);
        fails(c, &[PROTOCOL_ERROR])
    }),
    case("5.1.1/2: a smaller number than before", |c| {
        c.get(5);
        c.get(3);
        fails(c, &[PROTOCOL_ERROR])
    }),
    with("5.1.2/1: more streams than SETTINGS_MAX_CONCURRENT_STREAMS", &[(4, 0)], |c| {
        for nth in 0..=100 {
            c.get(nth * 2 + 1);
        }
        resets(c, &[PROTOCOL_ERROR, REFUSED_STREAM])
    }),
    case("5.3.1/1: HEADERS that depend on themselves", |c| {
        let block = [&[0, 0, 0, 1, 255][..], &request("GET", &[])].concat();
        c.frame(HEADERS, END_STREAM | END_HEADERS | PRIORITISED, 1, &block);
        resets(c, &[PROTOCOL_ERROR])
    }),
    case("5.3.1/2: PRIORITY that depends on itself", |c| {
        c.frame(PRIORITY, 0, 2, &[0, 0, 0, 2, 255]);
        resets(c, &[PROTOCOL_ERROR])
    }),
    case("5.4.1/1: the connection ends behind GOAWAY", |c| {
        c.frame(PING, 0, 3, &[0; 8]);
        match c.rest() {
            (_, Event::Closed) => Ok(()),
            (_, other) => Err(format!("{other:?} in place of the end of the connection")),
        }
    }),
    case("5.5/1: an unknown frame", |c| {
        c.frame(22, 0, 1, &[0; 8]);
        pong(c)
    }),
    case("5.5/2: an unknown frame within a head", |c| {
        begin(c, 1);
        c.frame(22, 0, 1, &[0; 8]);
        fails(c, &[PROTOCOL_ERROR])
    }),
    case("6.1/1: DATA of stream 0", |c| {
        c.frame(DATA, END_STREAM, 0, b"test");
        fails(c, &[PROTOCOL_ERROR])
    }),
    case("6.1/2: DATA of a stream that is not open", |c| {
        c.get(1);
        c.frame(DATA, END_STREAM, 1, b"test");
        resets(c, &[STREAM_CLOSED])
    }),
    case("6.1/3: DATA with too much padding", |c| {
        open(c);
        c.frame(DATA, END_STREAM | PADDED, 1, b"\x06Test");
        fails(c, &[PROTOCOL_ERROR])
    }),
    case("6.2/1: HEADERS without END_HEADERS, then PRIORITY", |c| {
        begin(c, 1);
        c.frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 255]);
        fails(c, &[PROTOCOL_ERROR])
    }),
    case("6.2/2: HEADERS without END_HEADERS, then those of another stream", |c| {
        begin(c, 1);
        begin(c, 3);
        fails(c, &[PROTOCOL_ERROR])
    }),
    case("6.2/3: HEADERS of stream 0", |c| {
        c.get(0);
        fails(c, &[PROTOCOL_ERROR])
    }),
    case("6.2/4: HEADERS with too much padding", |c| {
        let block = request("GET", &[]);
        let padding = u8::try_from(block.len() + 1).unwrap();
        c.frame(HEADERS, END_STREAM | END_HEADERS | PADDED, 1, &[&[padding][..], &block].concat());
        fails(c, &[PROTOCOL_ERROR])
    }),
    case("6.3/1: PRIORITY of stream 0", |c| {
        c.frame(PRIORITY, 0, 0, &[0, 0, 0, 0, 255]);
        fails(c, &[PROTOCOL_ERROR])
    }),
    case("6.3/2: PRIORITY of a wrong length", |c| {
        open(c);
        c.frame(PRIORITY, 0, 1, &[0x80, 0, 0, 1]);
        resets(c, &[FRAME_SIZE_ERROR])
    }),
    case("6.4/1: RST_STREAM of stream 0", |c| {
        c.frame(RST_STREAM, 0, 0, RST);
        fails(c, &[PROTOCOL_ERROR])
    }),
    case("6.4/2: RST_STREAM of an idle stream", |c| {
        c.frame(RST_STREAM, 0, 1, RST);
        fails(c, &[PROTOCOL_ERROR])
    }),
    case("6.4/3: RST_STREAM of a wrong length", |c| {
        open(c);
        c.frame(RST_STREAM, 0, 1, &[0, 0, 0]);
        fails(c, &[FRAME_SIZE_ERROR])
    }),
    case("6.5/1: SETTINGS with ACK and a payload", |c| {
        c.frame(SETTINGS, ACK, 0, &[0]);
        fails(c, &[FRAME_SIZE_ERROR])
    }),
    case("6.5/2: SETTINGS of a stream", |c| {
        c.frame(SETTINGS, 0, 1, &[0, 3, 0, 0, 0, 100]);
        fails(c, &[PROTOCOL_ERROR])
    }),
    case("6.5/3: SETTINGS of a wrong length", |c| {
        c.frame(SETTINGS, 0, 0, &[0, 3, 0]);
        fails(c, &[FRAME_SIZE_ERROR])
    }),
    case("6.5.2/1: SETTINGS_ENABLE_PUSH that is neither 0 nor 1", |c| {
        c.send(&settings(&[(2, 2)]));
        fails(c, &[PROTOCOL_ERROR])
    }),
    case("6.5.2/2: SETTINGS_INITIAL_WINDOW_SIZE above the largest", |c| {
        c.send(&settings(&[(4, 0x8000_0000)]));
        fails(c, &[FLOW_CONTROL_ERROR])
    }),
    case("6.5.2/3: SETTINGS_MAX_FRAME_SIZE below the smallest", |c| {
        c.send(&settings(&[(5, 16_383)]));
        fails(c, &[PROTOCOL_ERROR])
    }),
    case("6.5.2/4: SETTINGS_MAX_FRAME_SIZE above the largest", |c| {
        c.send(&settings(&[(5, 16_777_216)]));
        fails(c, &[PROTOCOL_ERROR])
    }),
    case("6.5.2/5: an unknown setting", |c| {
        c.send(&settings(&[(0xff, 1)]));
        pong(c)
    }),
    case("6.5.3/1: SETTINGS_INITIAL_WINDOW_SIZE twice", |c| {
        c.send(&settings(&[(4, 100), (4, 1)]));
        c.get(1);
        match c.find(|frame| frame.kind == DATA) {
            Event::Frame(frame) if frame.payload.len() == 1 => Ok(()),
            other => Err(format!("{other:?} in place of one byte")),
        }
    }),
    case("6.5.3/2: SETTINGS is answered", |c| {
        c.send(&settings(&[]));
        match c.find(|frame| frame.kind == SETTINGS && frame.has(ACK)) {
            Event::Frame(_) => Ok(()),
            other => Err(format!("{other:?} in place of an answer")),
        }
    }),
    case("6.7/1: PING is answered", pong),
    case("6.7/2: PING with ACK is not", |c| {
        c.frame(PING, ACK, 0, b"invalid!");
        c.frame(PING, 0, 0, b"12345678");
        match c.find(|frame| frame.kind == PING) {
            Event::Frame(frame) if frame.payload == b"12345678" => Ok(()),
            other => Err(format!("{other:?} in place of the second PING's answer")),
        }
    }),
    case("6.7/3: PING of a stream", |c| {
        c.frame(PING, 0, 1, &[0; 8]);
        fails(c, &[PROTOCOL_ERROR])
    }),
    case("6.7/4: PING of a wrong length", |c| {
        c.frame(PING, 0, 0, &[0; 6]);
        fails(c, &[FRAME_SIZE_ERROR])
    }),
    case("6.8/1: GOAWAY of a stream", |c| {
        c.frame(GOAWAY, 0, 1, &[0; 8]);
        fails(c, &[PROTOCOL_ERROR])
    }),
    case("6.9/1: WINDOW_UPDATE of 0 on the connection", |c| {
        c.frame(WINDOW_UPDATE, 0, 0, &[0; 4]);
        fails(c, &[PROTOCOL_ERROR])
    }),
    case("6.9/2: WINDOW_UPDATE of 0 on a stream", |c| {
        open(c);
        c.frame(WINDOW_UPDATE, 0, 1, &[0; 4]);
        resets(c, &[PROTOCOL_ERROR])
    }),
    case("6.9/3: WINDOW_UPDATE of a wrong length", |c| {
        c.frame(WINDOW_UPDATE, 0, 0, &[0, 0, 1]);
        fails(c, &[FRAME_SIZE_ERROR])
    }),
    case("6.9.1/1: one byte of room, one byte of DATA", |c| {
        c.send(&settings(&[(4, 1)]));
        c.get(1);
        match c.find(|frame| frame.kind == DATA) {
            Event::Frame(frame) if frame.payload.len() == 1 => Ok(()),
            other => Err(format!("{other:?} in place of one byte")),
        }
    }),
    case("6.9.1/2: the connection's window above the largest", |c| {
        c.frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]);
        c.frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]);
        fails(c, &[FLOW_CONTROL_ERROR])
    }),
    case("6.9.1/3: a stream's window above the largest", |c| {
        open(c);
        c.frame(WINDOW_UPDATE, 0, 1, &[0x7f, 0xff, 0xff, 0xff]);
        c.frame(WINDOW_UPDATE, 0, 1, &[0x7f, 0xff, 0xff, 0xff]);
        resets(c, &[FLOW_CONTROL_ERROR])
    }),
    with("6.9.2/1: SETTINGS_INITIAL_WINDOW_SIZE behind HEADERS", &[(4, 0)], |c| {
        c.get(1);
        c.send(&settings(&[(4, 1)]));
        match c.find(|frame| frame.kind == DATA) {
            Event::Frame(frame) if frame.payload.len() == 1 => Ok(()),
            other => Err(format!("{other:?} in place of one byte")),
        }
    }),
    with("6.9.2/2: a window below zero", &[(4, 3)], |c| {
        c.get(1);
        match c.find(|frame| frame.kind == DATA) {
            Event::Frame(frame) if frame.payload.len() == 3 => {}
            other => return Err(format!("{other:?} in place of three bytes")),
        }
        c.send(&settings(&[(4, 2)]));
        c.frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 2]);
        match c.find(|frame| frame.kind == DATA) {
            Event::Frame(frame) if frame.payload.len() == 1 => Ok(()),
            other => Err(format!("{other:?} in place of one byte")),
        }
    }),
    case("6.9.2/3: SETTINGS_INITIAL_WINDOW_SIZE above the largest", |c| {
        c.send(&settings(&[(4, 0x8000_0000)]));
        fails(c, &[FLOW_CONTROL_ERROR])
    }),
    case("6.10/1: several CONTINUATION", |c| {
        begin(c, 1);
        c.frame(CONTINUATION, 0, 1, &field("x-a", "a"));
        c.frame(CONTINUATION, END_HEADERS, 1, &field("x-b", "b"));
        answered(c, 1)
    }),
    case("6.10/2: CONTINUATION, then another frame", |c| {
        begin(c, 1);
        c.frame(CONTINUATION, 0, 1, &field("x-a", "a"));
        c.frame(DATA, END_STREAM, 1, b"test");
        fails(c, &[PROTOCOL_ERROR])
    }),
    case("6.10/3: CONTINUATION of stream 0", |c| {
        begin(c, 1);
        c.frame(CONTINUATION, END_HEADERS, 0, &field("x-a", "a"));
        fails(c, &[PROTOCOL_ERROR])
    }),
    case("6.10/4: CONTINUATION behind HEADERS with END_HEADERS", |c| {
        c.get(1);
        c.frame(CONTINUATION, END_HEADERS, 1, &field("x-a", "a"));
        fails(c, &[PROTOCOL_ERROR])
    }),
    case("6.10/5: CONTINUATION behind CONTINUATION with END_HEADERS", |c| {
        begin(c, 1);
        c.frame(CONTINUATION, END_HEADERS, 1, &field("x-a", "a"));
        c.frame(CONTINUATION, END_HEADERS, 1, &field("x-b", "b"));
        fails(c, &[PROTOCOL_ERROR])
    }),
    case("6.10/6: CONTINUATION behind DATA", |c| {
        open(c);
        c.frame(DATA, 0, 1, b"test");
        c.frame(CONTINUATION, END_HEADERS, 1, &field("x-a", "a"));
        fails(c, &[PROTOCOL_ERROR])
    }),
    case("7/1: GOAWAY with an unknown code", |c| {
        c.frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0xff]);
        c.frame(PING, 0, 0, b"12345678");
        match c.find(|frame| frame.kind == PING) {
            Event::Frame(_) | Event::Closed => Ok(()),
            Event::Nothing => Err("nothing in place of an answer or the end".to_owned()),
        }
    }),
    case("7/2: RST_STREAM with an unknown code", |c| {
        open(c);
        c.frame(RST_STREAM, 0, 1, &[0, 0, 0, 0xff]);
        pong(c)
    }),
];

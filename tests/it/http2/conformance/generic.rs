//! What is right, and must work.

use super::super::frames::*;
use super::{Case, Outcome, answered, bare, case, fails, pong, served};

/// HEADERS of a request with these flags more.
fn ask(client: &mut Client, flags: u8, stream: u32, method: &str) {
    client.frame(HEADERS, END_HEADERS | flags, stream, &request(method, &[]));
}

fn with_priority(client: &mut Client, dependency: u32, weight: u8) -> Outcome {
    let priority = [&dependency.to_be_bytes()[..], &[weight]].concat();
    client.frame(PRIORITY, 0, 1, &priority);
    client.get(1);
    answered(client, 1)
}

/// A request for `/` whose last field is spelt like this.
fn spelt(client: &mut Client, block: &[u8]) -> Outcome {
    client.frame(HEADERS, END_HEADERS | END_STREAM, 1, &[&request("GET", &[]), block].concat());
    answered(client, 1)
}

pub(super) const CASES: &[Case] = &[
    bare("generic 1/1: the preface", |c| {
        c.send(&[PREFACE, &settings(&[])].concat());
        match c.find(|frame| frame.kind == SETTINGS) {
            Event::Frame(_) => Ok(()),
            other => Err(format!("{other:?} in place of settings")),
        }
    }),
    case("generic 2/1: PRIORITY on an idle stream", |c| {
        c.frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 255]);
        pong(c)
    }),
    case("generic 2/2: WINDOW_UPDATE on a half-closed (remote) stream", |c| {
        c.get(1);
        c.frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 100]);
        answered(c, 1)
    }),
    case("generic 2/3: PRIORITY on a half-closed (remote) stream", |c| {
        c.get(1);
        c.frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 255]);
        answered(c, 1)
    }),
    case("generic 2/4: RST_STREAM on a half-closed (remote) stream", |c| {
        c.get(1);
        c.frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]);
        pong(c)
    }),
    case("generic 2/5: PRIORITY on a closed stream", |c| {
        c.get(1);
        served(c, 1)?;
        c.frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 255]);
        pong(c)
    }),
    case("generic 3.1/1: DATA", |c| {
        ask(c, 0, 1, "POST");
        c.frame(DATA, END_STREAM, 1, b"test");
        answered(c, 1)
    }),
    case("generic 3.1/2: several DATA", |c| {
        ask(c, 0, 1, "POST");
        c.frame(DATA, 0, 1, b"test");
        c.frame(DATA, END_STREAM, 1, b"test");
        answered(c, 1)
    }),
    case("generic 3.1/3: DATA with padding", |c| {
        ask(c, 0, 1, "POST");
        c.frame(DATA, END_STREAM | PADDED, 1, b"\x05test\0\0\0\0\0");
        answered(c, 1)
    }),
    case("generic 3.2/1: HEADERS", |c| {
        c.get(1);
        answered(c, 1)
    }),
    case("generic 3.2/2: HEADERS with padding", |c| {
        let block = [&[5][..], &request("GET", &[]), &[0; 5]].concat();
        c.frame(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, &block);
        answered(c, 1)
    }),
    case("generic 3.2/3: HEADERS with priority", |c| {
        let block = [&[0, 0, 0, 0, 255][..], &request("GET", &[])].concat();
        c.frame(HEADERS, END_HEADERS | END_STREAM | PRIORITISED, 1, &block);
        answered(c, 1)
    }),
    case("generic 3.3/1: PRIORITY 1", |c| with_priority(c, 0, 0)),
    case("generic 3.3/2: PRIORITY 256", |c| with_priority(c, 0, 255)),
    case("generic 3.3/3: PRIORITY with a dependency", |c| {
        c.frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 255]);
        c.frame(PRIORITY, 0, 3, &[0, 0, 0, 1, 255]);
        c.get(3);
        answered(c, 3)
    }),
    case("generic 3.3/4: PRIORITY with an exclusive dependency", |c| {
        c.frame(PRIORITY, 0, 3, &[0x80, 0, 0, 1, 255]);
        c.get(3);
        answered(c, 3)
    }),
    case("generic 3.3/5: PRIORITY for an idle stream, then HEADERS of a lower one", |c| {
        c.frame(PRIORITY, 0, 5, &[0, 0, 0, 0, 255]);
        c.get(3);
        answered(c, 3)
    }),
    case("generic 3.4/1: RST_STREAM", |c| {
        ask(c, 0, 1, "POST");
        c.frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]);
        pong(c)
    }),
    case("generic 3.5/1: SETTINGS", |c| {
        c.send(&settings(&[(3, 100)]));
        match c.find(|frame| frame.kind == SETTINGS && frame.has(ACK)) {
            Event::Frame(_) => Ok(()),
            other => Err(format!("{other:?} in place of an answer")),
        }
    }),
    case("generic 3.7/1: PING", pong),
    case("generic 3.8/1: GOAWAY", |c| {
        c.frame(GOAWAY, 0, 0, &[0; 8]);
        fails(c, &[NO_ERROR])
    }),
    case("generic 3.9/1: WINDOW_UPDATE of the connection", |c| {
        c.frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]);
        c.get(1);
        answered(c, 1)
    }),
    case("generic 3.9/2: WINDOW_UPDATE of a stream", |c| {
        ask(c, 0, 1, "POST");
        c.frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]);
        c.frame(DATA, END_STREAM, 1, b"");
        answered(c, 1)
    }),
    case("generic 3.10/1: CONTINUATION", |c| {
        c.frame(HEADERS, END_STREAM, 1, &request("GET", &[]));
        c.frame(CONTINUATION, END_HEADERS, 1, &fields(&[("x-dummy0", "a")]));
        answered(c, 1)
    }),
    case("generic 3.10/2: several CONTINUATION", |c| {
        c.frame(HEADERS, END_STREAM, 1, &request("GET", &[]));
        c.frame(CONTINUATION, 0, 1, &fields(&[("x-dummy0", "a")]));
        c.frame(CONTINUATION, END_HEADERS, 1, &fields(&[("x-dummy1", "a")]));
        answered(c, 1)
    }),
    case("generic 4/1: GET", |c| {
        ask(c, END_STREAM, 1, "GET");
        served(c, 1)
    }),
    case("generic 4/2: HEAD", |c| {
        ask(c, END_STREAM, 1, "HEAD");
        served(c, 1)
    }),
    case("generic 4/3: POST", |c| {
        ask(c, 0, 1, "POST");
        c.frame(DATA, END_STREAM, 1, b"test");
        served(c, 1)
    }),
    case("generic 4/4: POST with trailers", |c| {
        c.frame(HEADERS, END_HEADERS, 1, &request("POST", &[("trailer", "x-test")]));
        c.frame(DATA, 0, 1, b"test");
        c.frame(HEADERS, END_HEADERS | END_STREAM, 1, &fields(&[("x-test", "ok")]));
        served(c, 1)
    }),
    case("generic 5/1: an indexed field", |c| spelt(c, &[0x90])),
    case("generic 5/2: a field with incremental indexing, indexed name", |c| spelt(c, b"\x7a\x04test")),
    case("generic 5/3: the same, name in Huffman's code", |c| spelt(c, b"\x7a\x83\x49\x50\x9f")),
    case("generic 5/4: a field with incremental indexing, new name", |c| spelt(c, b"\x40\x06x-test\x04test")),
    case("generic 5/5: the same in Huffman's code", |c| spelt(c, b"\x40\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x9f")),
    case("generic 5/6: a field without indexing, indexed name", |c| spelt(c, b"\x0f\x2b\x04test")),
    case("generic 5/7: the same in Huffman's code", |c| spelt(c, b"\x0f\x2b\x83\x49\x50\x9f")),
    case("generic 5/8: a field without indexing, new name", |c| spelt(c, b"\x00\x06x-test\x04test")),
    case("generic 5/9: the same in Huffman's code", |c| spelt(c, b"\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x9f")),
    case("generic 5/10: a field never indexed, indexed name", |c| spelt(c, b"\x1f\x2b\x04test")),
    case("generic 5/11: the same in Huffman's code", |c| spelt(c, b"\x1f\x2b\x83\x49\x50\x9f")),
    case("generic 5/12: a field never indexed, new name", |c| spelt(c, b"\x10\x06x-test\x04test")),
    case("generic 5/13: the same in Huffman's code", |c| spelt(c, b"\x10\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x9f")),
    case("generic 5/14: a table size update", |c| {
        c.frame(HEADERS, END_HEADERS | END_STREAM, 1, &[&[0x3f, 0x41][..], &request("GET", &[])].concat());
        answered(c, 1)
    }),
    case("generic 5/15: several table size updates", |c| {
        c.frame(HEADERS, END_HEADERS | END_STREAM, 1, &[&[0x20, 0x3f, 0xe1, 0x1f][..], &request("GET", &[])].concat());
        answered(c, 1)
    }),
];

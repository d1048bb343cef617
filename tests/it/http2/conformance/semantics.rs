//! RFC 9113 section 8: requests.

use super::super::frames::*;
use super::{Case, Outcome, case, fails, resets};

/// HEADERS with these fields alone are no request.
fn malformed(client: &mut Client, list: &[(&str, &str)]) -> Outcome {
    client.frame(HEADERS, END_STREAM | END_HEADERS, 1, &fields(list));
    resets(client, &[PROTOCOL_ERROR])
}

/// A request with these fields is none.
fn with(client: &mut Client, list: &[(&str, &str)]) -> Outcome {
    client.frame(HEADERS, END_STREAM | END_HEADERS, 1, &request("GET", list));
    resets(client, &[PROTOCOL_ERROR])
}

fn length(client: &mut Client, said: &str, parts: &[&[u8]]) -> Outcome {
    client.frame(HEADERS, END_HEADERS, 1, &request("POST", &[("content-length", said)]));
    for (nth, part) in parts.iter().enumerate() {
        client.frame(DATA, if nth + 1 == parts.len() { END_STREAM } else { 0 }, 1, part);
    }
    resets(client, &[PROTOCOL_ERROR])
}

const METHOD: (&str, &str) = (":method", "GET");
const SCHEME: (&str, &str) = (":scheme", "http");
const PATH: (&str, &str) = (":path", "/");
const AUTHORITY: (&str, &str) = (":authority", "localhost");

pub(super) const CASES: &[Case] = &[
    case("8.1/1: a second HEADERS without END_STREAM", |c| {
        c.frame(HEADERS, END_HEADERS, 1, &request("POST", &[]));
        c.frame(HEADERS, END_HEADERS, 1, &field("x-test", "ok"));
        resets(c, &[PROTOCOL_ERROR])
    }),
    case("8.1.2/1: a name in upper case", |c| with(c, &[("X-TEST", "ok")])),
    case("8.1.2.1/1: an unknown pseudo field", |c| malformed(c, &[METHOD, SCHEME, PATH, AUTHORITY, (":test", "ok")])),
    case("8.1.2.1/2: a pseudo field of responses", |c| {
        malformed(c, &[METHOD, SCHEME, PATH, AUTHORITY, (":status", "200")])
    }),
    case("8.1.2.1/3: a pseudo field in trailers", |c| {
        c.frame(HEADERS, END_HEADERS, 1, &request("POST", &[("trailer", "x-test")]));
        c.frame(DATA, 0, 1, b"test");
        c.frame(HEADERS, END_STREAM | END_HEADERS, 1, &fields(&[(":method", "200"), ("x-test", "ok")]));
        resets(c, &[PROTOCOL_ERROR])
    }),
    case("8.1.2.1/4: a pseudo field behind others", |c| {
        malformed(c, &[METHOD, SCHEME, AUTHORITY, ("x-test", "ok"), PATH])
    }),
    case("8.1.2.2/1: a field of the connection", |c| with(c, &[("connection", "keep-alive")])),
    case("8.1.2.2/2: TE that is not trailers", |c| with(c, &[("trailers", "test"), ("te", "trailers, deflate")])),
    case("8.1.2.3/1: an empty :path", |c| malformed(c, &[METHOD, SCHEME, (":path", ""), AUTHORITY])),
    case("8.1.2.3/2: no :method", |c| malformed(c, &[SCHEME, PATH, AUTHORITY])),
    case("8.1.2.3/3: no :scheme", |c| malformed(c, &[METHOD, PATH, AUTHORITY])),
    case("8.1.2.3/4: no :path", |c| malformed(c, &[METHOD, SCHEME, AUTHORITY])),
    case("8.1.2.3/5: :method twice", |c| malformed(c, &[METHOD, SCHEME, PATH, AUTHORITY, METHOD])),
    case("8.1.2.3/6: :scheme twice", |c| malformed(c, &[METHOD, SCHEME, PATH, AUTHORITY, SCHEME])),
    case("8.1.2.3/7: :path twice", |c| malformed(c, &[METHOD, SCHEME, PATH, AUTHORITY, PATH])),
    case("8.1.2.6/1: content-length that is not the sum of one DATA", |c| length(c, "1", &[b"test"])),
    case("8.1.2.6/2: content-length that is not the sum of several DATA", |c| length(c, "1", &[b"test", b"test"])),
    case("8.2/1: PUSH_PROMISE", |c| {
        c.frame(PUSH_PROMISE, END_HEADERS, 1, &[&[0, 0, 0, 3][..], &request("GET", &[])].concat());
        fails(c, &[PROTOCOL_ERROR])
    }),
];

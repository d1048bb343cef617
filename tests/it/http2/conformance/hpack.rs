//! RFC 7541: heads that cannot be decoded.

use super::super::frames::*;
use super::{Case, Outcome, case, fails};

/// This behind a request's fields.
fn broken(client: &mut Client, block: &[u8]) -> Outcome {
    client.frame(HEADERS, END_STREAM | END_HEADERS, 1, &[&request("GET", &[]), block].concat());
    fails(client, &[COMPRESSION_ERROR])
}

pub(super) const CASES: &[Case] = &[
    case("hpack 2.3.3/1: an indexed field of an index that is not there", |c| broken(c, &[0xc6])),
    case("hpack 2.3.3/2: a field whose name's index is not there", |c| broken(c, b"\x7f\x07\x04test")),
    case("hpack 4.2/1: a table size update at the end of a head", |c| broken(c, &[0x21])),
    case("hpack 5.2/1: more than 7 bits of padding", |c| {
        broken(c, b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff")
    }),
    case("hpack 5.2/2: padding with zeros", |c| broken(c, b"\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90")),
    case("hpack 5.2/3: the end of a string in it", |c| {
        broken(c, b"\x00\x85\xf2\xb2\x4a\x84\xff\x87\x49\x51\xff\xff\xff\xfa\x7f")
    }),
    case("hpack 6.1/1: index 0", |c| broken(c, &[0x80])),
    case("hpack 6.3/1: a table size above SETTINGS_HEADER_TABLE_SIZE", |c| {
        let block = [&[0x3f, 0xe2, 0x1f][..], &request("GET", &[])].concat();
        c.frame(HEADERS, END_STREAM | END_HEADERS, 1, &block);
        fails(c, &[COMPRESSION_ERROR])
    }),
];

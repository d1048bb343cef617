//! AJP/1.3, both directions: packets of at most 64 KiB between a web server and a servlet container.
//!
//! - [`packet`]: framing, and the cursors that read and write integers and strings.
//! - [`names`]: the code tables of methods, header names and attributes.
//! - [`request`]: what the web server sends: FORWARD_REQUEST, body data, CPING.
//! - [`response`]: what the container sends: SEND_HEADERS, SEND_BODY_CHUNK, GET_BODY_CHUNK, END_RESPONSE, CPONG.
//!
//! A connection carries one request at a time: FORWARD_REQUEST, with a positive Content-Length right behind it the first
//! body packet, then body packets each in answer to a GET_BODY_CHUNK; SEND_HEADERS once, SEND_BODY_CHUNK any number of
//! times, END_RESPONSE. Whoever sees END_RESPONSE without its reuse flag closes. CPING is allowed between requests only.
//!
//! Decoders borrow from the buffer they are given and allocate nothing; encoders append to the caller's buffer.

pub mod names;
pub mod packet;
pub mod request;
pub mod response;

#[cfg(test)]
mod tests;

pub use packet::{Overflow, Packet, Sender, split};
pub use request::{
    Attribute, Beginning, BodyWriter, Forward, ForwardWriter, Message, Part, body, push_body, push_cping,
    push_end_of_body,
};
pub use response::{
    HeadersWriter, Reply, SendHeaders, push_body_chunk, push_cpong, push_end_response, push_flush, push_get_body_chunk,
};

/// The packet size of both sides unless configured otherwise, header included.
pub const PACKET_SIZE: usize = 8192;
/// The largest packet there can be as both programs allow it, header included.
pub const MAX_PACKET_SIZE: usize = 65536;
/// Bytes of a packet before its payload: two of signature, two of length.
pub const HEADER: usize = 4;
/// A body packet of the web server carries this much less data than the packet size.
pub const BODY_OVERHEAD: usize = HEADER + 2;
/// A SEND_BODY_CHUNK carries this much less data than the packet size.
pub const CHUNK_OVERHEAD: usize = HEADER + 4;

/// Why a packet is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The first two bytes are no signature of this direction.
    #[error("bad signature {0:02x}{1:02x}")]
    Signature(u8, u8),
    /// The announced payload exceeds what was agreed.
    #[error("packet of {length} bytes, at most {max} are allowed")]
    TooLarge {
        /// Header and payload.
        length: usize,
        /// What is allowed.
        max: usize,
    },
    /// The payload ends inside a value.
    #[error("packet ends inside a value")]
    Short,
    /// A string lacks the zero byte behind it.
    #[error("string without its terminator")]
    Unterminated,
    /// A null string where a value is needed.
    #[error("null where a string is needed")]
    Null,
    /// No readable status in SEND_HEADERS.
    #[error("no status")]
    Status,
    /// Fewer headers than announced.
    #[error("fewer headers than announced")]
    HeaderCount,
    /// A body packet without room for a chunk.
    #[error("no room for a chunk")]
    NoChunk,
    /// A header's name cannot be read.
    #[error("unreadable header name")]
    HeaderName,
    /// A header's value cannot be read.
    #[error("unreadable header value")]
    HeaderValue,
    /// No packet type of this direction.
    #[error("unknown packet type {0:#04x}")]
    Type(u8),
    /// No header code of this direction.
    #[error("unknown header code {0:#06x}")]
    Header(u16),
    /// No method code.
    #[error("unknown method code {0:#04x}")]
    Method(u8),
    /// No attribute code.
    #[error("unknown attribute code {0:#04x}")]
    Attribute(u8),
    /// The length of a chunk and that of its packet differ.
    #[error("chunk of {said} bytes where the packet holds {held}")]
    Chunk {
        /// As announced inside.
        said: usize,
        /// As the packet's length tells.
        held: usize,
    },
}

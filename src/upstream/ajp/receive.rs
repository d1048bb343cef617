//! Packets of the container, and what the log says of those that do not come or make no sense.

use std::io;

use super::MODULE;
use crate::codec::ajp::{Error, HEADER, Sender, split};
use crate::logs::{self, Errno, Level, OfServer};
use crate::upstream::pool::Link;
use crate::web::Exchange;

/// Why there is no packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    /// The status that later messages show; 0 is none.
    pub(super) errno: Errno,
    /// Nothing came in time.
    pub(super) timed_out: bool,
}

impl Failure {
    /// A packet that came and is wrong.
    pub(super) const BAD: Self = Self { errno: Errno(0), timed_out: false };
    /// A packet whose contents are wrong.
    pub(super) const BAD_CONTENTS: Self = Self { errno: BAD_HEADER, ..Self::BAD };
}

/// httpd's own statuses for what happens on an AJP connection.
const NO_HEADER: Errno = Errno(120_006);
const BAD_HEADER: Errno = Errno(120_007);
const BAD_MESSAGE: Errno = Errno(120_008);
/// The type of a packet with a head.
pub(super) const SEND_HEADERS: u8 = 4;
/// A request that does not fit into a packet.
pub(super) const OVERFLOW: Errno = Errno(120_001);

/// The next packet of an answer, whole at the front of the connection's input: its length.
pub(super) async fn reply(ex: &Exchange, link: &mut Link, max: usize) -> Result<usize, Failure> {
    match packet(ex, link, max).await {
        // httpd does not get so far as to look for a type in it.
        Ok(HEADER) => {
            let server = OfServer(&ex.live, ex.server);
            logs::error!(server, Level::Error, MODULE, "AH03229: ajp_msg_peek_uint8(): BufferOverflowException 4 4");
            logs::error!(ex, Level::Error, MODULE, "AH00993: ajp_read_header: ajp_msg_peek_uint8 failed");
            Err(Failure { errno: OVERFLOW, ..Failure::BAD })
        }
        Ok(len) => Ok(len),
        Err(failure) => Err(unanswered(ex, failure)),
    }
}

/// Says that an answer's packet could not be read.
pub(super) fn unanswered(ex: &Exchange, failure: Failure) -> Failure {
    logs::error!(ex, Level::Error, MODULE, "AH00992: ajp_read_header: ajp_ilink_receive failed");
    failure
}

/// Waits until the next packet is whole at the front of the connection's input; its length.
pub(super) async fn packet(ex: &Exchange, link: &mut Link, max: usize) -> Result<usize, Failure> {
    loop {
        match split(link.input(), max, Sender::Container) {
            Ok(Some(packet)) => return Ok(packet.len),
            Ok(None) => {}
            Err(error) => return Err(bad_header(ex, error)),
        }
        let error = match link.fill().await {
            Ok(0) => io::ErrorKind::UnexpectedEof.into(),
            Ok(_) => continue,
            Err(error) => error,
        };
        return Err(broken(ex, link.input(), &error));
    }
}

/// Whether the next packet would have to be waited for, as far as is known without asking the system.
pub(super) fn must_wait(link: &mut Link, max: usize) -> bool {
    matches!(split(link.input(), max, Sender::Container), Ok(None)) && !link.has_news()
}

/// The payload of a packet that [`packet`] has found.
pub(super) fn payload(link: &Link, len: usize) -> &[u8] {
    link.input().get(HEADER..len).unwrap_or_default()
}

/// Waits for the first bytes of an answer. Its failure is not logged yet: a connection that waited in the pool may have
/// been closed without anybody's fault.
pub(super) async fn first_byte(link: &mut Link) -> Result<(), io::Error> {
    if !link.input().is_empty() {
        return Ok(());
    }
    match link.fill().await {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    }
}

/// A read failed with this much of a packet there.
pub(super) fn broken(ex: &Exchange, got: &[u8], error: &io::Error) -> Failure {
    let server = OfServer(&ex.live, ex.server);
    let errno = Errno::from(error);
    let timed_out = error.kind() == io::ErrorKind::TimedOut;
    let shown = |other| if timed_out { Errno::TIMEUP } else { other };
    match got {
        [_, _, high, low, ..] => {
            let length = u16::from_be_bytes([*high, *low]);
            logs::error!(server, Level::Error, MODULE, errno =>
                "AH01032: ajp_ilink_receive() error while receiving message body of length {length}");
            Failure { errno: shown(BAD_MESSAGE), timed_out }
        }
        _ => {
            logs::error!(server, Level::Error, MODULE, errno => "AH01030: ajp_ilink_receive() can't receive header");
            Failure { errno: shown(NO_HEADER), timed_out }
        }
    }
}

fn bad_header(ex: &Exchange, error: Error) -> Failure {
    let server = OfServer(&ex.live, ex.server);
    match error {
        Error::TooLarge { length, max } => {
            logs::error!(
                server,
                Level::Error,
                MODULE,
                "AH01081: ajp_msg_check_header() incoming message is too big {}, max is {max}",
                length - HEADER
            );
        }
        Error::Signature(first, second) => {
            logs::error!(
                server,
                Level::Error,
                MODULE,
                "AH01080: ajp_msg_check_header() got bad signature {first:02x}{second:02x}"
            );
        }
        _ => {}
    }
    logs::error!(server, Level::Error, MODULE, "AH01031: ajp_ilink_receive() received bad header");
    Failure { errno: BAD_HEADER, timed_out: false }
}

/// Logs why a packet cannot be read.
pub(super) fn bad_contents(ex: &Exchange, error: Error) -> Failure {
    let short = |call: &str| {
        let server = OfServer(&ex.live, ex.server);
        logs::error!(server, Level::Error, MODULE, "AH03229: {call}(): BufferOverflowException");
        Failure { errno: OVERFLOW, ..Failure::BAD }
    };
    match error {
        Error::Status => {
            let failure = short("ajp_msg_get_uint16");
            logs::error!(ex, Level::Error, MODULE, "AH00983: ajp_unmarshal_response: Null status");
            failure
        }
        Error::HeaderCount => short("ajp_msg_peek_uint16"),
        Error::HeaderName => {
            let failure = short("ajp_msg_get_string");
            logs::error!(ex, Level::Error, MODULE, "AH00985: ajp_unmarshal_response: Null header name");
            failure
        }
        Error::HeaderValue => {
            let failure = short("ajp_msg_get_string");
            logs::error!(ex, Level::Error, MODULE, "AH00986: ajp_unmarshal_response: Null header value");
            failure
        }
        Error::Header(code) => {
            logs::error!(ex, Level::Error, MODULE, "AH00984: ajp_unmarshal_response: No such sc ({code:08x})");
            Failure::BAD_CONTENTS
        }
        Error::NoChunk => {
            logs::error!(ex, Level::Error, MODULE, "AH10546: ajp_parse_data: Message too small");
            Failure::BAD_CONTENTS
        }
        Error::Chunk { said, held } => {
            logs::error!(
                ex,
                Level::Error,
                MODULE,
                "AH00998: ajp_parse_data: Wrong chunk length. Length of chunk is {said}, expected length is {held}."
            );
            Failure::BAD_CONTENTS
        }
        // httpd says nothing more of a type it does not know.
        Error::Type(_) => Failure::BAD,
        _ => short("ajp_msg_get_string"),
    }
}

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
    /// The connection ended before the first byte of a packet.
    pub(super) ended: bool,
}

impl Failure {
    /// A packet that came and is wrong.
    pub(super) const BAD: Self = Self { errno: Errno(0), timed_out: false, ended: false };
    /// A packet whose contents are wrong.
    pub(super) const BAD_CONTENTS: Self = Self { errno: BAD_HEADER, ..Self::BAD };
}

/// httpd's own statuses for what happens on an AJP connection.
const BAD_SIGNATURE: Errno = Errno(120_004);
const TOO_BIG: Errno = Errno(120_005);
const NO_HEADER: Errno = Errno(120_006);
const BAD_HEADER: Errno = Errno(120_007);
const BAD_MESSAGE: Errno = Errno(120_008);
/// A request that does not fit into a packet.
pub(super) const OVERFLOW: Errno = Errno(120_001);

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

/// The payload of a packet that [`packet`] has found.
pub(super) fn payload(link: &Link, len: usize) -> &[u8] {
    link.input().get(HEADER..len).unwrap_or_default()
}

/// Whether a connection broke, rather than staying silent.
fn is_end(error: &io::Error) -> bool {
    error.kind() != io::ErrorKind::TimedOut
}

/// The failure of a read, not logged yet: a connection that waited in the pool may break without anybody's fault.
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
    let timed_out = !is_end(error);
    let shown = |other| if timed_out { Errno::TIMEUP } else { other };
    match got {
        [_, _, high, low, ..] => {
            let length = u16::from_be_bytes([*high, *low]);
            logs::error!(server, Level::Error, MODULE, errno =>
                "AH01032: ajp_ilink_receive() error while receiving message body of length {length}");
            Failure { errno: shown(BAD_MESSAGE), timed_out, ended: false }
        }
        _ => {
            logs::error!(server, Level::Error, MODULE, errno => "AH01030: ajp_ilink_receive() can't receive header");
            Failure { errno: shown(NO_HEADER), timed_out, ended: got.is_empty() && !timed_out }
        }
    }
}

fn bad_header(ex: &Exchange, error: Error) -> Failure {
    let server = OfServer(&ex.live, ex.server);
    let errno = match error {
        Error::TooLarge { length, max } => {
            logs::error!(
                server,
                Level::Error,
                MODULE,
                "AH01081: ajp_msg_check_header() incoming message is too big {}, max is {max}",
                length - HEADER
            );
            TOO_BIG
        }
        Error::Signature(first, second) => {
            logs::error!(
                server,
                Level::Error,
                MODULE,
                "AH01080: ajp_msg_check_header() got bad signature {first:02x}{second:02x}"
            );
            BAD_SIGNATURE
        }
        _ => BAD_HEADER,
    };
    logs::error!(server, Level::Error, MODULE, errno => "AH01031: ajp_ilink_receive() received bad header");
    Failure { errno: BAD_HEADER, timed_out: false, ended: false }
}

/// Logs why a packet cannot be read.
pub(super) fn bad_contents(ex: &Exchange, error: Error) -> Failure {
    let text = match error {
        Error::Status => "AH00983: ajp_unmarshal_response: Null status",
        Error::HeaderName => "AH00985: ajp_unmarshal_response: Null header name",
        Error::HeaderValue => "AH00986: ajp_unmarshal_response: Null header value",
        Error::Header(code) => {
            logs::error!(ex, Level::Error, MODULE, "AH00984: ajp_unmarshal_response: No such sc ({code:08x})");
            return Failure::BAD_CONTENTS;
        }
        Error::Chunk { said, held } => {
            logs::error!(
                ex,
                Level::Error,
                MODULE,
                "AH00998: ajp_parse_data: Wrong chunk length. Length of chunk is {said}, expected length is {held}."
            );
            return Failure::BAD_CONTENTS;
        }
        Error::Short => "AH10546: ajp_parse_data: Message too small",
        // httpd says nothing more of a type it does not know.
        _ => return Failure::BAD,
    };
    logs::error!(ex, Level::Error, MODULE, "{text}");
    Failure::BAD_CONTENTS
}

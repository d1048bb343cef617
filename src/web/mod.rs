//! Floor 3: one request as data; no sockets.
//!
//! [`Exchange`] is httpd's `request_rec`; [`Table`] its ordered, case-insensitive header table; [`Wire`] is what the
//! request sees of its client connection, whatever protocol that speaks.

mod chain;
mod client_host;
mod exchange;
mod filter;
mod keep;
mod live;
mod peer;
mod response;
pub mod status;
mod table;
#[cfg(test)]
pub mod testing;
mod wire;

pub use chain::{Chain, Outer};
pub use client_host::ClientHost;
pub use exchange::{Exchange, Ext, Handler, Matched, ProxyKind, Snapshot};
pub(crate) use filter::Absent;
pub use filter::{BodyFilter, InputFilter, Planned, PlannedInput, Progress, Refusal, Start, StartInput};
pub use keep::{Keeper, Keeping, Origin, Piece, Stored, Verdict};
pub use live::{Conn, LineSink, Live, LogId, Secure};
pub use peer::{Peer, PeerFault};
pub use response::{Pace, Prior, Range, Response};
pub use table::{Laid, Line, Table};
pub use wire::{BodyFault, BodyKind, Framing, HeadOut, Tunnel, Wire};

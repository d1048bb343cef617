//! Floor N1: a member of a Tomcat cluster's group.
//!
//! A [`Channel`] sends messages to members and tells of members and messages through its
//! [`Events`]. Behind it one thread ([`reactor`]) owns all sockets and timers; everything that
//! thinks is sans-IO ([`core`]): time and bytes in, actions out, so that many members run on a
//! simulated network in tests. From top to bottom, as in Tomcat:
//!
//! ```text
//! application            Channel::send, Events
//! interceptors           stack, shape, order, fragment, gzip, encrypt, detect, statics
//! sender, receiver       sender (pool, acknowledgements), receiver (frames), probe
//! membership             membership (multicast), service (StaticMembershipService)
//! ```
//!
//! What a member of the group may rely on: a message with [`Options::USE_ACK`] whose
//! [`Sending`] is good has been received by every destination, with
//! [`Options::SYNCHRONIZED_ACK`] on top processed. Messages without acknowledgement to one member
//! keep their order as long as its connection lasts. A message may come twice after an error.
//!
//! Life of a channel: [`Channel::open`] binds and joins → [`Event::Established`] once members had
//! time to answer → messages and members → [`Channel::stop`] says good-bye, closes connections →
//! [`Event::Stopped`].

mod channel;
pub mod config;
pub mod core;
mod detect;
mod encrypt;
mod fragment;
mod gzip;
mod membership;
mod order;
mod probe;
mod random;
pub mod reactor;
mod receiver;
pub mod rpc;
mod sender;
mod service;
mod shape;
#[cfg(test)]
mod sim;
pub mod stack;
mod statics;
#[cfg(test)]
mod tests;

pub use channel::{Channel, Event, Events, Log, Message, OpenError, Post, Quick, SendError, Sending, To};
pub use config::Config;
pub use reactor::multicast_works;
pub use stack::{Cause, Failed};

pub use crate::codec::tribes::{Member, Options, UniqueId};

/// How loud a line of the log is: Tomcat's levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Of no interest in production.
    Fine,
    /// Normal.
    Info,
    /// Something is wrong.
    Warning,
    /// Something has failed.
    Severe,
}

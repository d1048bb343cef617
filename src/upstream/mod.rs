//! Floor 5: workers, pools, balancers, backends.
//!
//! [`spec`] is what the configuration says, immutable; [`WorkerState`] and [`BalancerState`] are what happens, kept
//! over reloads by [`Backends::adopt`].
//!
//! One request: [`forward`] elects a worker ([`balancer`]) and hands an [`Attempt`] to the backend of its scheme, which
//! borrows a connection ([`pool::lend`]), speaks its protocol over the [`pool::Link`], fills the response into the
//! exchange, and lets [`respond`] send it. The connection is given back ([`pool::Link::keep`]) as soon as the response
//! has been read, and closed when it is dropped.

mod ajp;
pub mod authorizer;
mod balancer;
mod block;
pub mod canon;
mod connect;
mod current;
mod dial;
mod edits;
mod elect;
mod forward;
mod ftp;
mod gateway;
pub mod health;
pub mod heartbeat;
mod hop;
mod http1;
mod http2;
mod lane;
pub mod lasting;
mod link;
pub mod pool;
pub mod respond;
pub mod spec;
mod sticky;
mod stream;
pub mod tally;
mod tls;
mod tunnel;
mod worker;

use balancer::Busy;
pub use connect::connect;
pub use current::Current;
pub use elect::elect;
pub use forward::forward;
pub use worker::{Backends, Balancer, BalancerState, Worker, WorkerState};

/// One attempt to have a request answered by one worker.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    /// All backends, for reverse mapping.
    pub backends: &'a Backends,
    /// Whom to ask.
    pub worker: &'a Worker,
    /// The balancer that chose it.
    pub balancer: Option<&'a Balancer>,
    /// The settings.
    pub policy: &'a spec::Policy,
    /// The canonical URL, `scheme://host:port/path?query`.
    pub url: &'a [u8],
    /// Path and query of it: what the backend is asked for.
    pub target: &'a [u8],
    /// Counts it.
    busy: &'a Busy<'a>,
}

//! Why a node does not start.

use std::io;

use super::components::Position;
use super::xml::Refusal;

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A connector's address is not to be had.
    #[error("Failed to initialize connector [{protocol}-{port}]: {source}")]
    Bind {
        /// What it speaks.
        protocol: &'static str,
        /// Its port.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// The shutdown port is not to be had.
    #[error(
        "Failed to create server shutdown socket on address [{address}] and port [{port}] (base port [{port}] and offset [0]): {source}"
    )]
    Shutdown {
        /// Its address.
        address: String,
        /// Its port.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// What a connector shows to clients that speak TLS cannot be.
    #[error("{0}")]
    Tls(Refusal),
    /// A valve cannot be.
    #[error("line [{}] column [{}]: the valve [{name}] cannot be: {reason}", at.line, at.column)]
    Valve {
        /// Its class.
        name: &'static str,
        /// Where it stands.
        at: Position,
        /// Why.
        reason: String,
    },
    /// Nobody registered this handler.
    #[error("there is no handler [tandem:{0}]")]
    Handler(String),
    /// The cluster cannot be joined.
    #[error("Unable to start cluster: {0}")]
    Cluster(String),
    /// The session API would be open to others without a token.
    #[error("a SessionApi connector that is not on the loopback address needs a token")]
    Token,
    /// No thread or socket is to be had.
    #[error(transparent)]
    Io(#[from] io::Error),
}

//! Floor 4: sockets and process.
//!
//! - [`listen`]: which addresses to listen on, and what is kept of those that are open.
//! - [`opener`]: what needs privileges, behind one trait.
//! - [`daemon`]: pid file, account.
//! - [`dbm`]: files of keys and values.
//! - [`scoreboard`]: who is doing what.
//! - [`tls`]: certificates and what a TLS endpoint is; [`ciphers`]: OpenSSL's lists; [`secured`]: a session over a socket.
//! - [`client`]: TLS towards backends.
//! - [`trust`]: whom to believe; [`verify`]: whether a client's certificate is believed.
//! - [`minutes`]: what is to be said of checks amid a handshake.
//! - [`ocsp`]: what responders say of clients' certificates.
//! - [`responder`]: how OCSP responders are asked.
//! - [`stapling`]: what responders say of our certificates.
//! - [`tickets`]: sessions that clients come back to.
//! - [`phrase`]: private keys under a pass phrase.
//! - [`link`]: messages with descriptors between our processes.
//! - [`notify`]: what a service manager is told, and hands over.
//! - [`slots`]: a small state that outlives the process.
//! - [`files`]: files of the configuration, read by one process for another.

pub mod ciphers;
pub mod client;
pub mod daemon;
pub mod dbm;
pub mod files;
pub mod link;
pub mod listen;
pub mod minutes;
pub mod notify;
pub mod object_cache;
pub mod ocsp;
pub mod opener;
pub mod phrase;
pub mod reasons;
pub mod responder;
pub mod scoreboard;
pub mod secured;
pub mod slots;
pub mod stapling;
pub mod tickets;
pub mod tls;
pub mod trust;
pub mod verify;

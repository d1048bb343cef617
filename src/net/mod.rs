//! Floor 4: sockets and process.
//!
//! - [`listen`]: which addresses to listen on, and what is kept of those that are open.
//! - [`opener`]: what needs privileges, behind one trait.
//! - [`daemon`]: background, pid file, account.

pub mod daemon;
pub mod listen;
pub mod opener;

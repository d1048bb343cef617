//! Tandem: a drop-in for Apache httpd's proxy.
//!
//! The house, ground floor first; a module imports only from floors below its own
//! (`tests/it/layering.rs` holds this):
//!
//! 0. [`base`]: spans, diagnostics, patterns, paths, addresses, clock.
//! 1. [`codec`]: bytes to values, sans-IO; [`lang`]: httpd's configuration language; [`expr`]: ap_expr.
//! 2. [`config`]: directive rows, places, merging, section selection, the immutable generation.
//! 3. [`web`]: one request as data.
//! 4. [`pipe`]: phases and filters; [`logs`]: sinks; [`net`]: sockets and process.
//! 5. [`upstream`]: workers, pools, balancers, backends.
//! 6. [`modules`]: one room per httpd module.
//! 7. [`server`]: the program.
//!
//! The second program, a member of a Tomcat cluster, stands on [`base`] and [`codec`]:
//!
//! * [`tribes`]: Tomcat's group communication.
//! * [`node`]: server.xml, connectors, applications, sessions.
//!
//! Above both, [`demo`] runs two nodes and the proxy in front of them.

pub mod base;
pub mod codec;
pub mod config;
pub mod demo;
pub mod expr;
pub mod lang;
pub mod logs;
pub mod modules;
pub mod net;
pub mod node;
pub mod pipe;
pub mod server;
pub mod tribes;
pub mod upstream;
pub mod web;

//! Floor N2: a node of a Tomcat cluster: server.xml, connectors, contexts, sessions.
//!
//! - Reading: [`xml`] through the tables of [`components`] and [`classes`], [`webxml`]; [`deploy`] finds the files and makes
//!   the [`model`].
//! - Running: [`build`] makes of the model a [`container::Engine`] of hosts and [`context::Context`]s; [`connector`] with
//!   [`http`], [`http2`] and [`ajp`] over a [`link`], that [`tls`] may encrypt, brings requests, which pass [`valves`]
//!   on their way to a [`webapp::Handler`]: [`files`], the session [`page`], or one of an embedding program.
//! - Sessions: [`sessions`] is what handlers see; behind it [`standard`] or, in a [`cluster`], [`replicated`] over
//!   one of the [`keepers`], [`delta`] and [`backup`]; [`group`] reads the channel's settings.
//! - [`server`] starts and stops all of it in order; [`cli`] is the command line.

pub mod access_form;
pub mod access_log;
pub mod admission;
pub mod ajp;
pub mod api;
pub mod authenticator;
pub mod backup;
pub mod build;
pub mod classes;
pub mod cli;
pub mod cluster;
pub mod components;
pub mod conditions;
pub mod connector;
pub mod constraints;
pub mod container;
pub mod context;
pub mod crawlers;
pub mod delta;
pub mod deploy;
pub mod exchange;
pub mod failure;
pub mod files;
pub mod gates;
pub mod group;
pub mod heads;
pub mod http;
pub mod http2;
pub mod jks;
pub mod json;
pub mod keepers;
pub mod keystore;
pub mod link;
pub mod log;
pub mod model;
pub mod page;
pub mod ranges;
pub mod realm;
pub mod reasons;
pub mod replicated;
pub mod reports;
pub mod server;
pub mod session;
pub mod sessions;
pub mod standard;
pub mod store;
pub mod stuck;
pub mod tls;
pub mod valves;
pub mod webapp;
pub mod webxml;
pub mod xml;

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the program.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    cli::main(arguments, &webapp::Handlers::default())
}

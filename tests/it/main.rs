//! The integration tests: one binary, one file per room.
//!
//! Servers under test are real processes on loopback. `HTTPD=/usr/sbin/apache2` runs the same
//! files through the real httpd, which is how expectations are checked before they bind us.
//! `TANDEM_REQUIRE_ALL=1` makes a test fail where it would otherwise say that a program it needs
//! is not installed and skip.

// Here a failed unwrap is a failed test, in helpers as well.
#![allow(clippy::unwrap_used)]

// The targets of tests/fuzz have their macro from a crate of this name.
extern crate self as libfuzzer_sys;

mod access_files;
mod accesslog;
mod ajp;
mod anonymous;
mod auth;
mod cache;
mod clients;
mod cluster;
mod conf;
mod config;
mod dbm;
mod debian;
mod demo;
mod error_texts;
mod explain;
mod express;
mod files;
mod filters;
mod forensic;
mod front;
mod ftp;
mod fuzz;
mod gateways;
mod health;
mod heartbeat;
mod http2;
mod info;
mod layering;
mod lifecycle;
mod logfiles;
mod man;
mod manager;
mod node;
mod pipe;
mod profile;
mod proxy_conf;
mod proxy_map;
mod remoteip;
mod services;
mod sessions;
mod socache;
mod status;
mod support;
mod tls;
mod tomcat;
mod tribes;
mod tunnel;
mod upstream;

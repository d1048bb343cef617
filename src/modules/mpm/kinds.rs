//! The three MPMs: what each is called and how each words what happens to the server.

use super::{limits, rows};
use crate::config::{Globals, ModuleRow};
use crate::pipe::Module;

/// `event.c`.
pub const EVENT: Module = Module {
    row: ModuleRow {
        id: "mpm_event_module",
        file: "event.c",
        builtin: false,
        directives: rows::EVENT,
        post_config: limits::check,
    },
    hooks: &[],
};

/// `worker.c`.
pub const WORKER: Module = Module {
    row: ModuleRow {
        id: "mpm_worker_module",
        file: "worker.c",
        builtin: false,
        directives: rows::WORKER,
        post_config: limits::check,
    },
    hooks: &[],
};

/// `prefork.c`.
pub const PREFORK: Module = Module {
    row: ModuleRow {
        id: "mpm_prefork_module",
        file: "prefork.c",
        builtin: false,
        directives: rows::PREFORK,
        post_config: limits::check,
    },
    hooks: &[],
};

/// What an MPM is, as far as anybody can tell from outside, and its words.
#[derive(Debug)]
pub struct Kind {
    /// Its name in the status page.
    pub name: &'static str,
    /// The name under which it logs.
    pub log: &'static str,
    /// The module.
    id: &'static str,
    /// It has threads, which are what is limited; else processes.
    pub(super) threaded: bool,
    /// How much less its numbers of corrections are than event's.
    pub(super) less: u16,
    /// The most threads of a process that httpd has been built for.
    pub(super) most_threads: i64,
    /// Connections that wait for another request take no worker.
    pub frees_idle: bool,
    /// In front of the line of a server that is ready.
    pub ready: &'static str,
    /// In front of the line of a server that has no room.
    pub full: &'static str,
    /// SIGHUP came.
    pub restart: &'static str,
    /// SIGUSR1 came.
    pub graceful: &'static str,
    /// SIGTERM came.
    pub stop: &'static str,
    /// SIGWINCH came.
    pub graceful_stop: &'static str,
}

pub(super) const KINDS: [Kind; 3] = [
    Kind {
        name: "event",
        log: "mpm_event",
        id: EVENT.row.id,
        threaded: true,
        less: 0,
        most_threads: 100_000,
        frees_idle: true,
        ready: "AH00489",
        full: "AH00484",
        restart: "AH00494: SIGHUP received.  Attempting to restart",
        graceful: "AH00493: SIGUSR1 received.  Doing graceful restart",
        stop: "AH00491: caught SIGTERM, shutting down",
        graceful_stop: "AH00492: caught SIGWINCH, shutting down gracefully",
    },
    Kind {
        name: "worker",
        log: "mpm_worker",
        id: WORKER.row.id,
        threaded: true,
        less: 197,
        most_threads: 20_000,
        frees_idle: false,
        ready: "AH00292",
        full: "AH00286",
        restart: "AH00298: SIGHUP received.  Attempting to restart",
        graceful: "AH00297: SIGUSR1 received.  Doing graceful restart",
        stop: "AH00295: caught SIGTERM, shutting down",
        graceful_stop: "AH00296: caught SIGWINCH, shutting down gracefully",
    },
    Kind {
        name: "prefork",
        log: "mpm_prefork",
        id: PREFORK.row.id,
        threaded: false,
        less: 0,
        most_threads: 0,
        frees_idle: false,
        ready: "AH00163",
        full: "AH00161",
        restart: "AH00173: SIGHUP received.  Attempting to restart",
        graceful: "AH00171: Graceful restart requested, doing restart",
        stop: "AH00169: caught SIGTERM, shutting down",
        graceful_stop: "AH00170: caught SIGWINCH, shutting down gracefully",
    },
];

/// The MPM that the configuration loads.
pub fn kind(globals: &Globals) -> &'static Kind {
    let [event, ..] = &KINDS;
    KINDS.iter().find(|kind| globals.modules.contains(&kind.id)).unwrap_or(event)
}

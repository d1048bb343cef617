//! `event.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::{mpm, mpm_limits};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "mpm_event_module",
        file: "event.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: mpm_limits::check,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("ListenBacklog", Places::SERVER, Shape::Take1, mpm::backlog, "Maximum length of the queue of pending connections, as used by listen(2)"),
    row("ListenCoresBucketsRatio", Places::SERVER, Shape::Take1, mpm::buckets_ratio, "Ratio between the number of CPU cores (online) and the number of listeners buckets").moot(),
    row("Listen", Places::SERVER, Shape::Argv, mpm::listen, "A port number or a numeric IP address and a port number, and an optional protocol"),
    row("SendBufferSize", Places::SERVER, Shape::Take1, mpm::send_buffer, "Send buffer size in bytes"),
    row("ReceiveBufferSize", Places::SERVER, Shape::Take1, mpm::receive_buffer, "Receive buffer size in bytes"),
    row("ListenTCPDeferAccept", Places::SERVER, Shape::Take1, mpm::defer_accept, "Value set for the socket option TCP_DEFER_ACCEPT if it is set").moot(),
    row("StartServers", Places::SERVER, Shape::Take1, mpm_limits::limit, "Number of child processes launched at server startup").moot(),
    row("ServerLimit", Places::SERVER, Shape::Take1, mpm_limits::limit, "Maximum number of child processes for this run of Apache"),
    row("MinSpareThreads", Places::SERVER, Shape::Take1, mpm_limits::limit, "Minimum number of idle threads, to handle request spikes").moot(),
    row("MaxSpareThreads", Places::SERVER, Shape::Take1, mpm_limits::limit, "Maximum number of idle threads").moot(),
    row("MaxClients", Places::SERVER, Shape::Take1, mpm_limits::limit, "Deprecated name of MaxRequestWorkers"),
    row("MaxRequestWorkers", Places::SERVER, Shape::Take1, mpm_limits::limit, "Maximum number of threads alive at the same time"),
    row("ThreadsPerChild", Places::SERVER, Shape::Take1, mpm_limits::limit, "Number of threads each child creates"),
    row("ThreadLimit", Places::SERVER, Shape::Take1, mpm_limits::limit, "Maximum number of worker threads per child process for this run of Apache - Upper limit for ThreadsPerChild"),
    row("AsyncRequestWorkerFactor", Places::SERVER, Shape::Take1, mpm::async_factor, "How many additional connects will be accepted per idle worker thread"),
    row("GracefulShutdownTimeout", Places::SERVER, Shape::Take1, mpm::graceful_timeout, "Maximum time in seconds to wait for child processes to complete transactions during shutdown"),
];

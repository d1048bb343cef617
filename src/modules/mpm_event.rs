//! `event.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "mpm_event_module",
        file: "event.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("ListenBacklog", Places::SERVER, Shape::Take1, accept, "Maximum length of the queue of pending connections, as used by listen(2)").missing(),
    row("ListenCoresBucketsRatio", Places::SERVER, Shape::Take1, accept, "Ratio between the number of CPU cores (online) and the number of listeners buckets").missing(),
    row("Listen", Places::SERVER, Shape::Argv, accept, "A port number or a numeric IP address and a port number, and an optional protocol").missing(),
    row("SendBufferSize", Places::SERVER, Shape::Take1, accept, "Send buffer size in bytes").missing(),
    row("ReceiveBufferSize", Places::SERVER, Shape::Take1, accept, "Receive buffer size in bytes").missing(),
    row("ListenTCPDeferAccept", Places::SERVER, Shape::Take1, accept, "Value set for the socket option TCP_DEFER_ACCEPT if it is set").missing(),
    row("StartServers", Places::SERVER, Shape::Take1, accept, "Number of child processes launched at server startup").missing(),
    row("ServerLimit", Places::SERVER, Shape::Take1, accept, "Maximum number of child processes for this run of Apache").missing(),
    row("MinSpareThreads", Places::SERVER, Shape::Take1, accept, "Minimum number of idle threads, to handle request spikes").missing(),
    row("MaxSpareThreads", Places::SERVER, Shape::Take1, accept, "Maximum number of idle threads").missing(),
    row("MaxClients", Places::SERVER, Shape::Take1, accept, "Deprecated name of MaxRequestWorkers").missing(),
    row("MaxRequestWorkers", Places::SERVER, Shape::Take1, accept, "Maximum number of threads alive at the same time").missing(),
    row("ThreadsPerChild", Places::SERVER, Shape::Take1, accept, "Number of threads each child creates").missing(),
    row("ThreadLimit", Places::SERVER, Shape::Take1, accept, "Maximum number of worker threads per child process for this run of Apache - Upper limit for ThreadsPerChild").missing(),
    row("AsyncRequestWorkerFactor", Places::SERVER, Shape::Take1, accept, "How many additional connects will be accepted per idle worker thread").missing(),
    row("GracefulShutdownTimeout", Places::SERVER, Shape::Take1, accept, "Maximum time in seconds to wait for child processes to complete transactions during shutdown").missing(),
];

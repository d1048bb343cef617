//! The rows of the three MPMs: each once, and which of them each MPM has, in its order.

use super::limits;
use crate::config::{Directive, Places, Shape, row};

/// What `event` has.
pub(super) const EVENT: &[Directive] = &pick(
    &[COMMON, THREADED],
    [
        "ListenBacklog",
        "ListenCoresBucketsRatio",
        "Listen",
        "SendBufferSize",
        "ReceiveBufferSize",
        "ListenTCPDeferAccept",
        "StartServers",
        "ServerLimit",
        "MinSpareThreads",
        "MaxSpareThreads",
        "MaxClients",
        "MaxRequestWorkers",
        "ThreadsPerChild",
        "ThreadLimit",
        "AsyncRequestWorkerFactor",
        "GracefulShutdownTimeout",
    ],
);

/// What `worker` has.
pub(super) const WORKER: &[Directive] = &pick(
    &[COMMON, THREADED],
    [
        "ListenBacklog",
        "ListenCoresBucketsRatio",
        "Listen",
        "SendBufferSize",
        "ReceiveBufferSize",
        "ListenTCPDeferAccept",
        "StartServers",
        "MinSpareThreads",
        "MaxSpareThreads",
        "MaxRequestWorkers",
        "MaxClients",
        "ThreadsPerChild",
        "ServerLimit",
        "ThreadLimit",
        "GracefulShutdownTimeout",
    ],
);

/// What `prefork` has.
pub(super) const PREFORK: &[Directive] = &pick(
    &[COMMON, PROCESSES],
    [
        "ListenBacklog",
        "ListenCoresBucketsRatio",
        "Listen",
        "SendBufferSize",
        "ReceiveBufferSize",
        "ListenTCPDeferAccept",
        "StartServers",
        "MinSpareServers",
        "MaxSpareServers",
        "MaxClients",
        "MaxRequestWorkers",
        "ServerLimit",
        "GracefulShutdownTimeout",
    ],
);

/// Rows that all of them have.
#[rustfmt::skip]
const COMMON: &[Directive] = &[
    row("ListenBacklog", Places::SERVER, Shape::Take1, super::backlog, "Maximum length of the queue of pending connections, as used by listen(2)"),
    row("ListenCoresBucketsRatio", Places::SERVER, Shape::Take1, super::buckets_ratio, "Ratio between the number of CPU cores (online) and the number of listeners buckets").moot(),
    row("Listen", Places::SERVER, Shape::Argv, super::listen, "A port number or a numeric IP address and a port number, and an optional protocol"),
    row("SendBufferSize", Places::SERVER, Shape::Take1, super::send_buffer, "Send buffer size in bytes"),
    row("ReceiveBufferSize", Places::SERVER, Shape::Take1, super::receive_buffer, "Receive buffer size in bytes"),
    row("ListenTCPDeferAccept", Places::SERVER, Shape::Take1, super::defer_accept, "Value set for the socket option TCP_DEFER_ACCEPT if it is set"),
    row("StartServers", Places::SERVER, Shape::Take1, limits::limit, "Number of child processes launched at server startup").moot(),
    row("MaxClients", Places::SERVER, Shape::Take1, limits::limit, "Deprecated name of MaxRequestWorkers"),
    row("GracefulShutdownTimeout", Places::SERVER, Shape::Take1, super::graceful_timeout, "Maximum time in seconds to wait for child processes to complete transactions during shutdown"),
];

/// Rows of those with threads.
#[rustfmt::skip]
const THREADED: &[Directive] = &[
    row("ServerLimit", Places::SERVER, Shape::Take1, limits::limit, "Maximum number of child processes for this run of Apache"),
    row("MinSpareThreads", Places::SERVER, Shape::Take1, limits::limit, "Minimum number of idle threads, to handle request spikes").moot(),
    row("MaxSpareThreads", Places::SERVER, Shape::Take1, limits::limit, "Maximum number of idle threads").moot(),
    row("MaxRequestWorkers", Places::SERVER, Shape::Take1, limits::limit, "Maximum number of threads alive at the same time"),
    row("ThreadsPerChild", Places::SERVER, Shape::Take1, limits::limit, "Number of threads each child creates"),
    row("ThreadLimit", Places::SERVER, Shape::Take1, limits::limit, "Maximum number of worker threads per child process for this run of Apache - Upper limit for ThreadsPerChild"),
    row("AsyncRequestWorkerFactor", Places::SERVER, Shape::Take1, super::async_factor, "How many additional connects will be accepted per idle worker thread"),
];

/// Rows of the one without.
#[rustfmt::skip]
const PROCESSES: &[Directive] = &[
    row("MinSpareServers", Places::SERVER, Shape::Take1, limits::limit, "Minimum number of idle children, to handle request spikes").moot(),
    row("MaxSpareServers", Places::SERVER, Shape::Take1, limits::limit, "Maximum number of idle children").moot(),
    row("MaxRequestWorkers", Places::SERVER, Shape::Take1, limits::limit, "Maximum number of children alive at the same time"),
    row("ServerLimit", Places::SERVER, Shape::Take1, limits::limit, "Maximum value of MaxRequestWorkers for this run of Apache"),
];

/// The rows of these names.
const fn pick<const N: usize>(tables: &[&[Directive]], names: [&str; N]) -> [Directive; N] {
    let mut rows = [COMMON[0]; N];
    let mut at = 0;
    while at < N {
        rows[at] = find(tables, names[at]);
        at += 1;
    }
    rows
}

const fn find(tables: &[&[Directive]], name: &str) -> Directive {
    let mut table = 0;
    while table < tables.len() {
        let mut at = 0;
        while at < tables[table].len() {
            if is_same(tables[table][at].name.as_bytes(), name.as_bytes()) {
                return tables[table][at];
            }
            at += 1;
        }
        table += 1;
    }
    // While this program is built.
    panic!("no such row")
}

const fn is_same(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

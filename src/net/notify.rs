//! What a service manager is told (sd_notify), and what it hands over.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Variables of a service manager's, which are for the process it started and nobody else.
pub const VARIABLES: &[&str] =
    &["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"];

/// Tells the service manager, where there is one: lines of `NAME=value`.
pub fn notify(text: &str) {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(hidden) => SocketAddr::from_abstract_name(hidden),
        None => SocketAddr::from_pathname(&name),
    };
    // A manager that does not listen is no reason not to serve.
    let _ = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(text.as_bytes(), &address));
}

/// Tells it that the configuration is being read again.
pub fn reloading() {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let micros = now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000);
    notify(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\nSTATUS=Reading the configuration"));
}

/// How often it wants to hear that we are there, if it does: half the time after which it would end us.
pub fn watchdog() -> Option<Duration> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    if number("WATCHDOG_PID").is_some_and(|pid| pid != u64::from(std::process::id())) {
        return None;
    }
    number("WATCHDOG_USEC").filter(|micros| *micros > 0).map(|micros| Duration::from_micros(micros / 2))
}

/// Listening sockets that it has opened for us.
pub fn sockets() -> Vec<TcpListener> {
    let mut given = listenfd::ListenFd::from_env();
    let all = (0..given.len()).filter_map(|at| given.take_tcp_listener(at).ok().flatten());
    all.filter(|socket| socket.set_nonblocking(true).is_ok()).collect()
}

//! What rows of several modules share.

use crate::base::clock::{Clock as _, ErrorTime, SystemClock, push_error_time};
use crate::config::{Args, Cmd, Fatal, PostConfig, latin1};

/// Accepts any words: for rows whose behaviour is not there yet (see [`crate::config::Support`]).
pub fn accept(_: &mut Cmd<'_>, _: &Args<'_>) -> Result<(), String> {
    Ok(())
}

/// No checks after the walk.
pub fn nothing(_: &mut PostConfig<'_>) -> Result<(), Fatal> {
    Ok(())
}

/// An entry of the error log for a text that ends a start: `error` and the like is the level.
pub fn entry(module: &str, level: &str, text: &str) -> String {
    let mut time = Vec::new();
    push_error_time(&mut time, SystemClock.wall(), ErrorTime { micros: true, compact: false });
    let (time, pid, tid) = (latin1(&time), std::process::id(), nix::sys::pthread::pthread_self());
    format!("[{time}] [{module}:{level}] [pid {pid}:tid {tid}] {text}\n")
}

//! Children that an earlier program in this process has started.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::signal::unix::{SignalKind, signal};

/// Waits for the end of a child.
pub(super) async fn ended(pid: i32) -> ExitStatus {
    // Before the first look, so that nothing is missed behind it.
    let mut children = signal(SignalKind::child());
    loop {
        match waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, code)) => return ExitStatus::from_raw(code << 8),
            Ok(WaitStatus::Signaled(_, signal, dumped)) => {
                return ExitStatus::from_raw(signal as i32 | if dumped { 0x80 } else { 0 });
            }
            Ok(_) | Err(Errno::EINTR) => {}
            // It is no child of ours.
            Err(_) => return ExitStatus::from_raw(0),
        }
        match &mut children {
            Ok(children) => drop(children.recv().await),
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
        }
    }
}

//! Pid file, account.

use std::ffi::CString;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid, Uid, User, initgroups, setgroups};

use crate::base::clock::push_strftime;

/// When the program's file was made.
pub fn built() -> String {
    let changed = std::env::current_exe().and_then(fs::metadata).and_then(|data| data.modified());
    let since = changed.unwrap_or(UNIX_EPOCH).duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut out = Vec::new();
    push_strftime(&mut out, b"%Y-%m-%dT%H:%M:%S", i64::try_from(since.as_micros()).unwrap_or(0));
    String::from_utf8_lossy(&out).into_owned()
}

/// What a pid file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PidFile {
    /// There is none.
    Absent,
    /// It names a process that runs.
    Running(i32),
    /// It names a process that does not run (or not any more).
    Stale(i32),
    /// It cannot be read, for this error number, or not as a number.
    Corrupt(Option<i32>),
}

/// Reads a pid file.
pub fn read_pid(path: &Path) -> PidFile {
    let mut text = String::new();
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return PidFile::Absent,
        Err(error) => return PidFile::Corrupt(error.raw_os_error()),
    };
    if let Err(error) = file.take(64).read_to_string(&mut text) {
        return PidFile::Corrupt(error.raw_os_error());
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number = text.get(..digits).and_then(|digits| digits.parse().ok()).filter(|pid| *pid > 0);
    match number {
        None => PidFile::Corrupt(None),
        // A pid file of our own number is left over from before a restart of the machine.
        Some(pid) if pid == nix::unistd::getpid().as_raw() => PidFile::Stale(pid),
        Some(pid) => match kill(Pid::from_raw(pid), None) {
            Ok(()) | Err(nix::errno::Errno::EPERM) => PidFile::Running(pid),
            Err(_) => PidFile::Stale(pid),
        },
    }
}

/// Sends a signal.
///
/// # Errors
/// The system's.
pub fn signal(pid: i32, signal: Signal) -> io::Result<()> {
    kill(Pid::from_raw(pid), signal).map_err(io::Error::from)
}

/// Writes our number; the file is made anew beside and moved into place, never followed where somebody planted a link.
///
/// # Errors
/// The system's.
pub fn write_pid(path: &Path) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let beside = Path::new(&name);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(beside)?;
    file.write_all(format!("{}\n", std::process::id()).as_bytes())?;
    drop(file);
    fs::rename(beside, path).inspect_err(|_| {
        let _ = fs::remove_file(beside);
    })
}

/// Whether root started us.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Takes this group and all groups of this user for good. To be called before any thread is made, and where accounts
/// can be looked up.
///
/// # Errors
/// The system's, or a user number without name.
pub fn take_groups(user: u32, group: u32) -> io::Result<()> {
    let gid = Gid::from_raw(group);
    let name = User::from_uid(Uid::from_raw(user))?.map(|user| user.name);
    nix::unistd::setresgid(gid, gid, gid)?;
    match name.and_then(|name| CString::new(name).ok()) {
        Some(name) => initgroups(&name, gid).map_err(io::Error::from),
        None => setgroups(&[gid]).map_err(io::Error::from),
    }
}

/// Becomes this user for good. To be called before any thread is made, and last.
///
/// # Errors
/// The system's.
pub fn take_user(user: u32) -> io::Result<()> {
    let uid = Uid::from_raw(user);
    nix::unistd::setresuid(uid, uid, uid).map_err(io::Error::from)
}

/// Has the system end this process when the one that started it ends. To be called behind [`take_user`], which
/// undoes it.
///
/// # Errors
/// The system's; [`io::ErrorKind::BrokenPipe`] when that one has ended already.
pub fn end_with(parent: i32) -> io::Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGTERM)?;
    if nix::unistd::getppid().as_raw() == parent { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pid_files_are_read_as_httpd_reads_them() {
        let path = std::env::temp_dir().join(format!("tandem-pid-{}", std::process::id()));
        let said = |text: &str| {
            fs::write(&path, text).unwrap();
            read_pid(&path)
        };
        assert_eq!(said("x"), PidFile::Corrupt(None));
        assert_eq!(said(""), PidFile::Corrupt(None));
        // httpd signals its whole group for this one.
        assert_eq!(said("0"), PidFile::Corrupt(None));
        assert_eq!(said("2147483647x"), PidFile::Stale(i32::MAX));
        assert_eq!(said("1\n"), PidFile::Running(1));
        assert_eq!(said(&std::process::id().to_string()), PidFile::Stale(std::process::id() as i32));
        assert_eq!(said("2147483647\n"), PidFile::Stale(i32::MAX));
        write_pid(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        fs::remove_file(&path).unwrap();
        assert_eq!(read_pid(&path), PidFile::Absent);
    }
}

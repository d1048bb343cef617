//! Three kinds of process, all of this program:
//!
//! - the **steward**: what was started, what the pid file names, what signals go to. Root where root started it. It
//!   opens what the preparer asks for, keeps it, and keeps a server process running on it. It reads neither
//!   configuration nor network.
//! - the **preparer**: lives for one start or reload, with the steward's rights. It reads the configuration, says what is
//!   wrong with it, and tells the steward what to open.
//! - the **server**: has the account of `User` and `Group` and nothing else. It is handed open sockets and logs and the
//!   text of the configuration, and can ask for nothing.
//!
//! A start: steward → preparer reads, has things opened, commits → steward starts the server and hands everything over →
//! the server says it serves. A reload: the same with the server that runs, which takes over what is new and goes on
//! with what it has. A server that dies is started again with what was handed over last. An upgrade: the same as a reload, but
//! preparer and server are the new program's; when that server serves, the steward becomes the new program in place
//! (same process, same pid), and the server before ends with its connections. Under `-X` there is only one
//! process, which does everything itself.

mod adopt;
pub(super) mod child;
mod hold;
mod keep;
mod parent;
mod prepare;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use super::cli::Invocation;
use crate::net::link::Link;
use crate::net::notify::VARIABLES;

/// Which kind of process this is to be, and whose child: `KIND:PID`.
const ROLE: &str = "TANDEM_ROLE";

/// The folder the steward was started in.
const STARTED_IN: &str = "TANDEM_STARTED_IN";

/// What messages are: from the preparer to the steward.
mod ask {
    /// A listening address: address, backlog, send and receive buffer, IPv6 only, count.
    pub(super) const LISTEN: u8 = 1;
    /// A log file: path.
    pub(super) const FILE: u8 = 2;
    /// A log program: command line, whether a shell reads it.
    pub(super) const PROGRAM: u8 = 3;
    /// Which file or program is the main error log: path, or command line and shell.
    pub(super) const ERRORS: u8 = 4;
    /// The pid file: path.
    pub(super) const PID_FILE: u8 = 5;
    /// That is all: user and group to become and perhaps a folder to be confined to, or nothing. With the packed
    /// configuration.
    pub(super) const COMMIT: u8 = 6;
    /// The steward's answer: an error number, or 0.
    pub(super) const ANSWER: u8 = 7;
    /// From the steward to the preparer of a reload, before all: the packed configuration that is served.
    pub(super) const BEFORE: u8 = 8;
    /// A file for a state of the server's: path.
    pub(super) const STATE: u8 = 9;
}

/// From one program's steward, by way of a keeper, to the next program's in the same process.
mod carry {
    /// How this is written: a number that changes with it.
    pub(super) const FORM: u8 = 40;
    /// A listening address, with sockets; more may follow.
    pub(super) const LISTENER: u8 = 41;
    /// A log file, or one for a state of the server's: path.
    pub(super) const FILE: u8 = 42;
    /// A log program: command line, shell, pid; its input's two ends.
    pub(super) const PROGRAM: u8 = 43;
    /// Which file or program is the main error log: path, or command line and shell.
    pub(super) const ERRORS: u8 = 44;
    /// User and group and perhaps a folder, or nothing; the packed configuration.
    pub(super) const PACKED: u8 = 45;
    /// The server that serves from here on: pid; the link to it.
    pub(super) const SERVER: u8 = 46;
    /// A server that is to end with its connections: pid; the link to it.
    pub(super) const RETIRED: u8 = 47;
    /// Sockets that a service manager has opened and nobody wants yet.
    pub(super) const GIVEN: u8 = 48;
    /// That is all: pid of the keeper, whether in the background, whether a reload is due, pid file if any.
    pub(super) const END: u8 = 49;
    /// The keeper's answer: it has all of it and gives it to the next one.
    pub(super) const KEPT: u8 = 50;
}

/// From the steward to the server.
mod tell {
    /// A listening address, with sockets; more may follow.
    pub(super) const LISTENER: u8 = 20;
    /// A log file, or one for a state of its own: path.
    pub(super) const FILE: u8 = 21;
    /// A log program's input: command line, shell.
    pub(super) const PROGRAM: u8 = 22;
    /// That is all: user and group to become and perhaps a folder to be confined to, or nothing. With the packed
    /// configuration.
    pub(super) const GO: u8 = 23;
    /// A signal came: its name; for one that ends, the pid file that was removed.
    pub(super) const SIGNAL: u8 = 24;
    /// The configuration was not accepted.
    pub(super) const REJECTED: u8 = 25;
    /// Say that you are there.
    pub(super) const PING: u8 = 26;
    /// Accept no more, and end with the last connection: another program's server is there.
    pub(super) const RETIRE: u8 = 27;
}

/// From the server to the steward: bare bytes, as there is nothing to say that could be wrong.
mod say {
    /// It serves what it was handed last.
    pub(super) const READY: u8 = b'R';
    /// It does not, and goes on with what it had.
    pub(super) const FAILED: u8 = b'F';
    /// It is there.
    pub(super) const PONG: u8 = b'P';
}

/// What this process was started as.
pub(super) enum Role {
    /// By a user: reads the command line and becomes or starts a steward.
    User,
    /// A steward in the background.
    Steward,
    /// A steward that goes on in the process of another program's.
    Successor,
    /// Holds for the successor what that cannot hold itself while it is being started.
    Keeper,
    /// A preparer; of a reload.
    Preparer { again: bool },
    /// The server, in the background or not.
    Server { parent: i32, background: bool },
}

/// The role of this process.
pub(super) fn role() -> Role {
    let Some(written) = std::env::var(ROLE).ok() else { return Role::User };
    let Some((kind, parent)) = written.split_once(':') else { return Role::User };
    // The variable goes on to programs that a server starts: for them it means nothing.
    let parent = parent.parse().ok().filter(|parent: &i32| *parent == nix::unistd::getppid().as_raw());
    match (kind, parent) {
        ("steward", Some(_)) => Role::Steward,
        ("successor", Some(_)) => Role::Successor,
        ("keep", Some(_)) => Role::Keeper,
        ("prepare", Some(_)) => Role::Preparer { again: false },
        ("reload", Some(_)) => Role::Preparer { again: true },
        ("server", Some(parent)) => Role::Server { parent, background: false },
        ("daemon", Some(parent)) => Role::Server { parent, background: true },
        _ => Role::User,
    }
}

/// The folder in which the user called us, where it is no longer this process's.
pub(super) fn started_in() -> Option<Vec<u8>> {
    match role() {
        Role::User => None,
        _ => std::env::var_os(STARTED_IN).map(OsString::into_vec),
    }
}

/// This program's file, whatever has become of its name.
const OURS: &str = "/proc/self/exe";

/// A program with this command line, as another kind of process.
fn again(program: impl AsRef<std::ffi::OsStr>, kind: &str) -> Command {
    let mut command = Command::new(program);
    let mut args = std::env::args_os();
    if let Some(name) = args.next() {
        command.arg0(name);
    }
    for name in VARIABLES {
        command.env_remove(name);
    }
    command.args(args).env(ROLE, format!("{kind}:{}", std::process::id()));
    if std::env::var_os(STARTED_IN).is_none() {
        command.env(STARTED_IN, std::env::current_dir().unwrap_or_else(|_| "/".into()));
    }
    command
}

/// Without what only our own processes are to know.
fn clean(command: &mut Command) {
    command.env_remove(ROLE).env_remove(STARTED_IN);
    for name in VARIABLES {
        command.env_remove(name);
    }
}

/// Starts to serve: as this process, or in the background.
pub(super) fn start(foreground: bool) -> ExitCode {
    if foreground {
        return parent::run(None);
    }
    let begun = || -> std::io::Result<ExitCode> {
        let (own, theirs) = Link::pair()?;
        let mut steward = again(OURS, "steward").stdin(theirs.into_fd()).spawn()?;
        match own.receive()? {
            Some(done) => Ok(ExitCode::from(u8::try_from(done.number(0)).unwrap_or(1))),
            None => {
                let status = steward.wait()?;
                Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
            }
        }
    };
    begun().unwrap_or_else(|error| {
        super::run::fail(&error, "AH00095: apr_proc_detach failed");
        ExitCode::FAILURE
    })
}

/// The steward that [`start`] has started in the background.
pub(super) fn background() -> ExitCode {
    // The terminal is left once the configuration has been read: pass phrases are asked for there.
    match Link::from_stdin() {
        Ok(report) => parent::run(Some(report)),
        Err(error) => {
            super::run::fail(&error, "AH00095: apr_proc_detach failed");
            ExitCode::FAILURE
        }
    }
}

/// The steward that another program's has become.
pub(super) fn take_over() -> ExitCode {
    parent::take_over()
}

/// The keeper.
pub(super) fn keep() -> ExitCode {
    match Link::from_stdin().and_then(|link| keep::run(&link)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// The preparer.
pub(super) fn prepare(mut invocation: Invocation, again: bool) -> ExitCode {
    invocation.reloading = again;
    match Link::from_stdin() {
        Ok(link) => prepare::run(&invocation, again, &link),
        Err(_) => ExitCode::FAILURE,
    }
}

//! The run path: from a checked configuration to a server that listens, and its end.
//!
//! Order of a start, as the preparer (or, under `-X`, the one process) has it: `-k`, listeners, logs, pid file; then
//! account, threads. What can fail fails while there still is a terminal to say so on.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use nix::sys::signal::Signal as Kill;

use super::reload::{Driver, Reader, State, apart, obey};
use super::steward::child::{Lowered, Steward};
use super::threads::{Serving, Shared, Threads};
use crate::base::clock::{self, Clock, SystemClock};
use crate::config::core::CoreProcess;
use crate::config::{Generation, Listen};
use crate::logs::{self, Errno, ErrorLog, Level, Opened, Process, Targets};
use crate::modules::proxy::persist;
use crate::modules::unixd::{Account, Unixd};
use crate::modules::{self, mpm};
use crate::net::daemon::{self, PidFile};
use crate::net::opener::{InProcess, Opener, SocketOptions};
use crate::net::{files, listen, scoreboard};
use crate::pipe;

/// What the command line asks for.
pub struct Options {
    /// The command line for AH00094: words joined with blanks, options apart from their values.
    pub command_line: String,
    /// Reads the configuration again, given the one in force. Reports what is wrong itself and then gives `None`.
    pub reload: Reload,
}

/// Reads the configuration again.
pub type Reload = Arc<dyn Fn(&Generation) -> Option<Arc<Generation>> + Send + Sync>;

/// The words of `-k`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signal {
    /// `start`, or no `-k`.
    #[default]
    Start,
    /// `stop`.
    Stop,
    /// `restart`.
    Restart,
    /// `graceful`.
    Graceful,
    /// `graceful-stop`.
    GracefulStop,
    /// `upgrade`: go over to the program's file as it is now.
    Upgrade,
}

/// Where the pid file is when nobody says (Debian's `DEFAULT_PIDLOG`).
const PID_FILE: &[u8] = b"/var/run/apache2.pid";

/// `ListenBacklog` when nobody says.
const BACKLOG: i32 = 511;

/// ListenTCPDeferAccept's default in seconds.
const DEFER: u32 = 30;

/// A start that failed and has said why.
pub(super) struct Failed;

/// `-X`: obeys `-k`, then starts in this one process and serves until it is told to stop. The configuration has been
/// checked.
pub fn run(options: Options, signal: Signal, generation: Arc<Generation>) -> ExitCode {
    let pid_file = pid_file(&generation);
    if let Some(code) = obey_signal(signal, &generation) {
        return code;
    }
    match start(options, generation, &pid_file) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed) => ExitCode::FAILURE,
    }
}

/// The pid file.
pub(super) fn pid_file(generation: &Generation) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(&generation.globals.rooted(written_pid_file(generation))))
}

/// The pid file as the configuration writes it.
fn written_pid_file(generation: &Generation) -> &[u8] {
    let core = generation.globals.conf.get::<CoreProcess>();
    core.and_then(|core| core.pid_file.as_deref()).unwrap_or(PID_FILE)
}

/// What `-k` asks of a server that runs, or says of one that does not; `None`: go on and start.
pub(super) fn obey_signal(signal: Signal, generation: &Generation) -> Option<ExitCode> {
    let found = daemon::read_pid(&pid_file(generation));
    let say = |text: String| {
        // Nobody is left to tell when standard output is gone.
        let _ = writeln!(std::io::stdout(), "{text}");
    };
    if let PidFile::Corrupt(errno) = found {
        let path = String::from_utf8_lossy(written_pid_file(generation));
        complain(&format!("{}: AH00058: Error retrieving pid file {path}", errno.map_or(Errno::GENERAL, Errno)));
        complain("AH00059: Remove it before continuing if it is corrupted.");
        return Some(ExitCode::FAILURE);
    }
    let (kill, stops) = match signal {
        Signal::Start => {
            let PidFile::Running(pid) = found else { return None };
            say(format!("httpd (pid {pid}) already running"));
            return Some(ExitCode::SUCCESS);
        }
        Signal::Stop => (Kill::SIGTERM, true),
        Signal::GracefulStop => (Kill::SIGWINCH, true),
        Signal::Restart => (Kill::SIGHUP, false),
        Signal::Graceful => (Kill::SIGUSR1, false),
        Signal::Upgrade => (Kill::SIGUSR2, false),
    };
    match found {
        PidFile::Running(pid) => match daemon::signal(pid, kill) {
            Ok(()) => Some(ExitCode::SUCCESS),
            Err(_) => {
                say(format!("httpd (pid {pid}?) not running"));
                Some(ExitCode::FAILURE)
            }
        },
        PidFile::Stale(pid) if stops => {
            say(format!("httpd (pid {pid}?) not running"));
            Some(ExitCode::SUCCESS)
        }
        _ if stops => {
            say("httpd (no pid file) not running".to_owned());
            Some(ExitCode::SUCCESS)
        }
        _ => {
            say("httpd not running, trying to start".to_owned());
            None
        }
    }
}

fn complain(text: &str) {
    // Nobody is left to tell when standard error is gone.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Says that a step of the system failed, as httpd does before its logs are open.
pub(super) fn fail(error: &std::io::Error, text: &str) -> Failed {
    let mut line = Vec::new();
    Errno::from(error).push(&mut line);
    complain(&format!("{}: {text}", String::from_utf8_lossy(&line)));
    Failed
}

/// How listening sockets are made.
pub(super) fn socket_options(generation: &Generation) -> impl Fn(&Listen) -> SocketOptions {
    let mpm = mpm::of(&generation.globals);
    let core = generation.globals.conf.get::<CoreProcess>().cloned().unwrap_or_default();
    move |listen| SocketOptions {
        backlog: mpm.backlog.unwrap_or(BACKLOG),
        send_buffer: mpm.send_buffer.unwrap_or(0),
        receive_buffer: mpm.receive_buffer.unwrap_or(0),
        v6_only: false,
        defer_accept: if core.defers_accept(&listen.protocol) { mpm.defer_accept.unwrap_or(DEFER) } else { 0 },
    }
}

/// Whom the server becomes.
pub(super) fn account(generation: &Generation) -> Unixd {
    generation.globals.conf.get::<Unixd>().cloned().unwrap_or_default()
}

/// How many threads serve.
pub(super) fn threads(one_process: bool) -> usize {
    if one_process { 1 } else { std::thread::available_parallelism().map_or(1, usize::from) }
}

/// Root has nobody to become.
pub(super) fn no_user() -> Failed {
    complain(
        "AH02155: getpwuid: couldn't determine user name from uid 4294967295, you probably need to modify the User \
         directive",
    );
    Failed
}

/// Says that a pid file is there already.
pub(super) fn note_overwritten(path: &Path) {
    if path.exists() {
        let path = path.display();
        logs::error!(
            Process,
            Level::Warn,
            "core",
            "AH00098: pid file {path} overwritten -- Unclean shutdown of previous Apache run?"
        );
    }
}

/// The pid file cannot be written: for the log, and for whoever waits for the start.
pub(super) fn no_pid_file(program: &str, path: &Path, error: &std::io::Error) {
    fail(error, &format!("AH00099: could not create {}", path.display()));
    log_no_pid_file(program, path, error);
}

/// The same for the log alone.
pub(super) fn log_no_pid_file(program: &str, path: &Path, error: &std::io::Error) {
    let path = path.display();
    logs::error!(Process, Level::Error, "core", Errno::from(error) => "AH00099: could not create {path}");
    logs::error!(Process, Level::Error, "core", "AH00100: {program}: could not log pid to file {path}");
}

fn start(options: Options, generation: Arc<Generation>, pid_file: &Path) -> Result<(), Failed> {
    let root = daemon::is_root();
    let account = account(&generation);
    let opener = Arc::new(InProcess);
    let sockets = listen::open(&*opener, &generation.globals.listens, socket_options(&generation), threads(true), &[]);
    let listeners = sockets.map_err(|error| {
        fail(&error.source, &format!("AH00072: make_sock: {error}"));
        none_listen()
    })?;
    if listeners.is_empty() {
        return Err(none_listen());
    }
    let none = Targets::default();
    let targets = generation.globals.conf.get::<Targets>().unwrap_or(&none);
    let opened = logs::open(&*opener, targets, None).map_err(|error| {
        error.report(true);
        Failed
    })?;
    main_errors(&generation, &opened);
    if root && account.user.is_none() {
        return Err(no_user());
    }
    note_overwritten(pid_file);
    daemon::write_pid(pid_file).map_err(|error| {
        no_pid_file(&generation.globals.program, pid_file, &error);
        Failed
    })?;
    persist::open(&generation, None, pid_file, &*opener);
    if root {
        let id = |account: Option<Account>| account.unwrap_or_default().id;
        let (user, group, folder) = (id(account.user), id(account.group), account.chroot);
        give_up(&Lowered { user, group, folder })?;
    } else if let Some(folder) = &account.chroot {
        return Err(cannot_confine(folder));
    }
    let driver = Driver::Signals(pid_file.to_owned());
    let ended = serve(options, (generation, None), opened, listeners, opener, threads(true), driver);
    // Where the account may not, the steward of an installation does.
    let _ = std::fs::remove_file(pid_file);
    ended
}

/// Gives up what only root may, as far as `lowered` says.
fn give_up(lowered: &Lowered) -> Result<(), Failed> {
    let Lowered { user, group, folder } = lowered;
    daemon::take_groups(*user, *group).map_err(|error| {
        logs::error!(Process, Level::Alert, "unixd", Errno::from(&error) => "AH02156: setgid: unable to set group id to Group {group}");
        Failed
    })?;
    if let Some(folder) = folder {
        confine(folder)?;
    }
    daemon::take_user(*user).map_err(|error| {
        logs::error!(Process, Level::Alert, "unixd", Errno::from(&error) => "AH02162: setuid: unable to change to uid: {user}");
        Failed
    })
}

/// `ChrootDir`: leaves this process nothing but a folder.
fn confine(folder: &Path) -> Result<(), Failed> {
    // What is read of the system later is no longer there.
    clock::remember_zone();
    let step = |done: std::io::Result<()>, text: &str| {
        done.map_err(|error| {
            logs::error!(Process, Level::Alert, "unixd", Errno::from(&error) => "{text}");
            Failed
        })
    };
    let shown = folder.display();
    step(std::env::set_current_dir(folder), &format!("AH02159: Can't chdir to {shown}"))?;
    step(nix::unistd::chroot(folder).map_err(std::io::Error::from), &format!("AH02160: Can't chroot to {shown}"))?;
    step(std::env::set_current_dir("/"), "AH02161: Can't chdir to new root")
}

/// Only root may confine itself.
pub(super) fn cannot_confine(folder: &Path) -> Failed {
    let (errno, shown) = (Errno(nix::libc::EPERM), folder.display());
    logs::error!(Process, Level::Alert, "unixd", errno => "AH02160: Can't chroot to {shown}");
    Failed
}

/// The server process of a steward: serves what it is handed, with an account of its own. `read` reads the
/// configuration that was handed over.
pub(super) fn serve_for(
    parent: i32,
    background: bool,
    options: Options,
    read: impl FnOnce() -> Option<Arc<Generation>> + Send + 'static,
) -> Result<(), Failed> {
    let alert = |error: std::io::Error| fail(&error, "the server process cannot start");
    let (steward, account) = Steward::meet().map_err(alert)?;
    if let Some(lowered) = account {
        give_up(&lowered)?;
    }
    daemon::end_with(parent).map_err(alert)?;
    let (generation, reader) = apart(read).ok_or(Failed)?;
    files::forget();
    let opener = steward.granted.clone();
    let count = threads(false);
    let listeners = listen::open(&*opener, &generation.globals.listens, socket_options(&generation), count, &[]);
    let listeners = listeners.map_err(|error| fail(&error.source, &format!("AH00072: make_sock: {error}")))?;
    let none = Targets::default();
    let targets = generation.globals.conf.get::<Targets>().unwrap_or(&none);
    let opened = logs::open(&*opener, targets, None).map_err(|error| {
        error.report(true);
        Failed
    })?;
    if !main_errors(&generation, &opened) && background {
        // The terminal is not ours.
        let nothing = std::fs::File::options()
            .write(true)
            .open("/dev/null")
            .and_then(|nothing| Ok(nix::unistd::dup2_stderr(nothing)?));
        nothing.map_err(alert)?;
    }
    persist::open(&generation, None, &pid_file(&generation), &*opener);
    serve(options, (generation, Some(reader)), opened, listeners, opener, count, Driver::Steward(steward))
}

pub(super) fn none_listen() -> Failed {
    complain("no listening sockets available, shutting down");
    complain("AH00015: Unable to open logs");
    Failed
}

/// Serves until the driver says that it is over.
fn serve(
    options: Options,
    (generation, reader): (Arc<Generation>, Option<Reader>),
    opened: Opened,
    listeners: Vec<Arc<listen::Listener>>,
    opener: Arc<dyn Opener>,
    count: usize,
    driver: Driver,
) -> Result<(), Failed> {
    let alert = |error: std::io::Error| {
        logs::error!(Process, Level::Alert, "core", Errno::from(&error) => "cannot start to serve");
        Failed
    };
    raise_file_limit();
    scoreboard::start(SystemClock.wall());
    pipe::install(modules::ALL);
    let shared = Arc::new(Shared::new(Serving::new(generation, opened), count));
    let threads = Threads::start(&shared).map_err(alert)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default());
    let runtime = runtime.map_err(alert)?;
    let state = State {
        options,
        shared: shared.clone(),
        threads,
        listeners,
        opener,
        sockets: count,
        driver,
        health: None,
        heartbeats: (None, None),
        staplers: None,
        reader,
    };
    let ended = runtime.block_on(obey(state)).map_err(alert);
    shared.current.load().opened.flush();
    ended
}

/// One process holds all connections, for which httpd has many: the usual soft limit is too low for that.
pub(super) fn raise_file_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        // A limit that cannot be raised is kept.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// Entries of the process, and standard error, go to the main server's error log; whether standard error does.
pub(super) fn main_errors(generation: &Generation, opened: &Opened) -> bool {
    let Some(main) = generation.servers.first() else { return false };
    let index = main.get::<ErrorLog>().map_or(0, |log| log.sink);
    if let Some(sink) = opened.sinks.get(index) {
        logs::set_process_log(sink.clone(), main);
        for warning in &generation.globals.said {
            let level = Level::parse(warning.level.as_bytes()).unwrap_or(Level::Warn);
            logs::error!(Process, level, warning.module, "{}", warning.text);
        }
    }
    // What cannot be standard error leaves it as it is.
    opened.take_stderr(index).unwrap_or(false)
}

/// The lines of a server that is ready.
pub(super) fn announce(generation: &Generation, options: &Options) {
    let (mpm, banner) =
        (mpm::kind(&generation.globals), concat!("Apache/2.4.71 (Tandem/", env!("CARGO_PKG_VERSION"), ")"));
    let line = &options.command_line;
    logs::error!(Process, Level::Notice, mpm.log, "{}: {banner} configured -- resuming normal operations", mpm.ready);
    logs::error!(Process, Level::Notice, "core", "AH00094: Command line: '{line}'");
}

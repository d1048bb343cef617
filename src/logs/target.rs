//! The log targets of a configuration, and how they are opened.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::Arc;

use super::errno::Errno;
use super::process_log;
use super::program::Program;
use super::sink::{FileSink, Nowhere, Syslog};
use super::text::push_error_item;
use crate::base::clock::{Clock, ErrorTime, SystemClock, push_error_time};
use crate::config::{Conf, merge_path, shared_slot};
use crate::net::opener::{InProcess, Opener};
use crate::web::LineSink;

/// What a target is for, which decides the words of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// An error log.
    Errors,
    /// An access log.
    Access,
    /// A log of what is being served.
    Forensic,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A file, by its absolute path.
    File(Vec<u8>),
    /// A program that reads lines from its standard input.
    Program {
        /// The command line.
        command: Vec<u8>,
        /// `|$`: the shell reads it.
        shell: bool,
    },
    /// The system's log.
    Syslog {
        /// Facility as written; empty = `local7`.
        facility: Vec<u8>,
        /// In front of the process number; empty = the program's name.
        tag: Vec<u8>,
    },
}

impl Target {
    /// Reads a target as `CustomLog` writes it: a file, or `|program`.
    pub fn access(written: &[u8], server_root: &[u8]) -> Self {
        match written.strip_prefix(b"|") {
            Some(command) => Self::program(command),
            None => Self::File(merge_path(server_root, written)),
        }
    }

    /// Reads a target as `ErrorLog` writes it: a file, `|program`, or `syslog[:facility][:tag]`.
    pub fn errors(written: &[u8], server_root: &[u8]) -> Self {
        match written.strip_prefix(b"syslog") {
            Some(b"") => Self::Syslog { facility: Vec::new(), tag: Vec::new() },
            Some([b':', rest @ ..]) => {
                let mut parts = rest.splitn(2, |&byte| byte == b':');
                let mut part = || parts.next().unwrap_or_default().to_vec();
                Self::Syslog { facility: part(), tag: part() }
            }
            _ => Self::access(written, server_root),
        }
    }

    /// The rest of `|command`; `||command` says the same, `|$command` asks for the shell.
    fn program(command: &[u8]) -> Self {
        let command = command.strip_prefix(b"|").unwrap_or(command);
        match command.strip_prefix(b"$") {
            Some(command) => Self::Program { command: command.to_vec(), shell: true },
            None => Self::Program { command: command.to_vec(), shell: false },
        }
    }
}

/// All targets the configuration names, each once. Their order is that of [`crate::web::Live::sinks`].
#[derive(Clone, Debug, Default)]
pub struct Targets {
    list: Vec<(Target, Role)>,
    /// Thousands of virtual hosts may have logs of their own.
    places: HashMap<Target, usize, foldhash::fast::RandomState>,
}

impl Conf for Targets {
    const SLOT: usize = shared_slot::LOG_TARGETS;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

impl Targets {
    /// The index of this target's sink.
    pub fn want(&mut self, target: Target, role: Role) -> usize {
        let next = self.list.len();
        *self.places.entry(target).or_insert_with_key(|target| {
            self.list.push((target.clone(), role));
            next
        })
    }
}

impl Targets {
    /// Has `open` open each target, error logs first; the words of a failure as [`open`]'s.
    ///
    /// # Errors
    /// The first target that could not be opened.
    pub fn each(&self, mut open: impl FnMut(&Target) -> io::Result<()>) -> Result<(), OpenError> {
        let mut errors = None;
        for (target, role) in &self.list {
            open(target).map_err(|error| target.failed(*role, &error, errors.clone()))?;
            // Where a later failure is reported.
            if let (None, Target::File(_), Role::Errors) = (&errors, target, role) {
                errors = target.open(&InProcess).ok();
            }
        }
        Ok(())
    }

    /// The target of this index, opened once more, where it is a file.
    pub fn file_of(&self, index: usize) -> Option<Arc<dyn LineSink>> {
        self.get(index).filter(|target| matches!(target, Target::File(_)))?.open(&InProcess).ok()
    }

    /// The target of this index.
    pub fn get(&self, index: usize) -> Option<&Target> {
        self.list.get(index).map(|(target, _)| target)
    }
}

/// The open targets of one generation.
#[derive(Clone)]
pub struct Opened {
    /// One for each of the [`Targets`].
    pub sinks: Arc<[Arc<dyn LineSink>]>,
    programs: Vec<(Target, Arc<dyn LineSink>)>,
}

/// A target could not be opened.
#[derive(Clone, thiserror::Error)]
#[error("{}", String::from_utf8_lossy(.line))]
pub struct OpenError {
    /// httpd's message, escaped, without line end.
    pub line: Vec<u8>,
    /// The error log is open already, and this belongs there.
    pub in_error_log: bool,
    /// The error log's sink, if that is open.
    errors: Option<Arc<dyn LineSink>>,
}

impl fmt::Debug for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl OpenError {
    /// Says it where httpd does, `AH00015` behind it. `stop` = the server does not start for it.
    pub fn report(&self, stop: bool) {
        let mut text = self.line.clone();
        text.push(b'\n');
        if stop {
            text.extend_from_slice(b"AH00015: Unable to open logs\n");
        }
        match self.errors.clone().or_else(process_log).filter(|_| self.in_error_log || !stop) {
            Some(sink) => text.split_inclusive(|&byte| byte == b'\n').for_each(|line| sink.line(line)),
            None => {
                use std::io::Write;
                // Nowhere else to complain.
                let _ = io::stderr().write_all(&text);
            }
        }
    }
}

/// Opens all targets, error logs first as they were registered first. Files are opened anew; a program that `previous`
/// runs with the same command line goes on.
pub fn open(opener: &dyn Opener, targets: &Targets, previous: Option<&Opened>) -> Result<Opened, OpenError> {
    let mut sinks: Vec<Arc<dyn LineSink>> = Vec::with_capacity(targets.list.len());
    let mut programs = Vec::new();
    for (target, role) in &targets.list {
        let running = previous.and_then(|previous| previous.programs.iter().find(|(known, _)| known == target));
        let sink = match running {
            Some((_, sink)) => sink.clone(),
            None => target.open(opener).map_err(|error| target.failed(*role, &error, sinks.first().cloned()))?,
        };
        if let Target::Program { .. } = target {
            programs.push((target.clone(), sink.clone()));
        }
        sinks.push(sink);
    }
    Ok(Opened { sinks: sinks.into(), programs })
}

impl Opened {
    /// Nothing but standard error: for a process that has no configuration yet.
    pub fn none() -> Self {
        Self { sinks: Arc::from([Arc::new(Nowhere) as Arc<dyn LineSink>]), programs: Vec::new() }
    }

    /// Writes what `BufferedLogs` holds back; for a process that ends.
    pub fn flush(&self) {
        self.sinks.iter().for_each(|sink| sink.flush());
    }

    /// Makes standard error another name of the sink `index`, as httpd does with the main error log: what libraries
    /// and log programs print there is not lost. Says whether the sink is something that can be that.
    pub fn take_stderr(&self, index: usize) -> io::Result<bool> {
        match self.sinks.get(index).and_then(|sink| sink.fd()) {
            Some(fd) => nix::unistd::dup2_stderr(fd).map(|()| true).map_err(io::Error::from),
            None => Ok(false),
        }
    }
}

impl Target {
    fn open(&self, opener: &dyn Opener) -> io::Result<Arc<dyn LineSink>> {
        match self {
            Self::File(path) => {
                let path = Path::new(OsStr::from_bytes(path));
                Ok(Arc::new(FileSink::new(path, opener.log_file(path)?)))
            }
            Self::Program { command, shell } => Ok(Arc::new(match opener.log_program(command, *shell)? {
                Some(input) => Program::over(command, input),
                None => Program::start(command, *shell)?,
            })),
            Self::Syslog { facility, tag } => {
                let tag = if tag.is_empty() { program_name().into_vec() } else { tag.clone() };
                Ok(Arc::new(Syslog::new(facility, tag)?))
            }
        }
    }

    /// Whether a target of the system's log can be opened; others are not tried.
    ///
    /// # Errors
    /// What opening it fails with.
    pub fn check(&self) -> io::Result<()> {
        match self {
            Self::Syslog { .. } => self.open(&InProcess).map(drop),
            Self::File(_) | Self::Program { .. } => Ok(()),
        }
    }

    /// httpd's words for a failure to open this.
    fn failed(&self, role: Role, error: &io::Error, errors: Option<Arc<dyn LineSink>>) -> OpenError {
        let own = program_name();
        let mut line = Vec::new();
        let mut in_error_log = role != Role::Errors && errors.is_some();
        let (errno, number, before, name, after): (_, _, String, &[u8], _) = match (self, role) {
            (Self::File(path), Role::Errors) => {
                let before = format!("{}: could not open error log file ", own.to_string_lossy());
                (Errno::from(error), "AH00091", before, path, ".")
            }
            (Self::File(path), Role::Access | Role::Forensic) => {
                let (module, number, what) = match role {
                    Role::Forensic => ("log_forensic", "AH00651", "forensic"),
                    _ => ("log_config", "AH00649", "transfer"),
                };
                line.push(b'[');
                push_error_time(&mut line, SystemClock.wall(), ErrorTime { micros: true, compact: false });
                let (pid, tid) = (std::process::id(), nix::unistd::gettid());
                line.extend_from_slice(format!("] [{module}:error] [pid {pid}:tid {tid}] ").as_bytes());
                (Errno::from(error), number, format!("could not open {what} log file "), path, ".")
            }
            (Self::Program { command, .. }, Role::Errors) => {
                (Errno::from(error), "AH00089", "Couldn't start ErrorLog process '".to_owned(), command, "'.")
            }
            (Self::Program { command, .. }, Role::Access | Role::Forensic) => {
                (Errno::from(error), "AH00104", "unable to start piped log program '".to_owned(), command, "'")
            }
            (Self::Syslog { facility, .. }, _) => {
                in_error_log = false;
                let before = format!("{}: could not open syslog error log ", own.to_string_lossy());
                (Errno(20024), "AH10036", before, facility, ".")
            }
        };
        errno.push(&mut line);
        line.extend_from_slice(format!(": {number}: {before}").as_bytes());
        push_error_item(&mut line, name);
        line.extend_from_slice(after.as_bytes());
        OpenError { line, in_error_log, errors }
    }
}

/// The program's name as it was called, without folders.
fn program_name() -> OsString {
    let called = std::env::args_os().next().unwrap_or_else(|| OsString::from("httpd"));
    Path::new(&called).file_name().map(OsStr::to_os_string).unwrap_or(called)
}

/// What a sink can lend as standard error.
pub(super) fn lend<T: AsFd>(fd: &T) -> Option<std::os::fd::BorrowedFd<'_>> {
    Some(fd.as_fd())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(command: &str, shell: bool) -> Target {
        Target::Program { command: command.as_bytes().to_vec(), shell }
    }

    #[test]
    fn targets_are_read_as_httpd_reads_them() {
        let syslog =
            |facility: &str, tag: &str| Target::Syslog { facility: facility.into(), tag: tag.as_bytes().to_vec() };
        assert_eq!(Target::access(b"logs/../a", b"/r"), Target::File(b"/r/a".to_vec()));
        assert_eq!(Target::access(b"|rotatelogs x", b"/r"), program("rotatelogs x", false));
        assert_eq!(Target::access(b"||rotatelogs x", b"/r"), program("rotatelogs x", false));
        assert_eq!(Target::errors(b"|$cat >x", b"/r"), program("cat >x", true));
        assert_eq!(Target::errors(b"||$cat >x", b"/r"), program("cat >x", true));
        assert_eq!(Target::errors(b"syslog", b"/r"), syslog("", ""));
        assert_eq!(Target::errors(b"syslog:user:t:u", b"/r"), syslog("user", "t:u"));
        assert_eq!(Target::errors(b"syslog::t", b"/r"), syslog("", "t"));
        // Other spellings, and access logs of that name, are files.
        assert_eq!(Target::errors(b"Syslog", b"/r"), Target::File(b"/r/Syslog".to_vec()));
        assert_eq!(Target::access(b"syslog:user", b"/r"), Target::File(b"/r/syslog:user".to_vec()));
    }

    #[test]
    fn failures_have_httpds_words() {
        let fail = |target: Target, role| {
            let mut targets = Targets::default();
            assert_eq!(targets.want(target.clone(), role), 0);
            assert_eq!(targets.want(target, role), 0);
            open(&InProcess, &targets, None).map(|_| ()).expect_err("cannot be opened").to_string()
        };
        let file = fail(Target::File(b"/nonexistent/x".to_vec()), Role::Errors);
        assert!(file.starts_with("(2)No such file or directory: AH00091: "), "{file}");
        assert!(file.ends_with(": could not open error log file /nonexistent/x."), "{file}");
        let file = fail(Target::File(b"/".to_vec()), Role::Access);
        assert!(file.ends_with("(21)Is a directory: AH00649: could not open transfer log file /."), "{file}");
        assert_eq!(
            fail(program("/nonexistent/x y", false), Role::Errors),
            "(2)No such file or directory: AH00089: Couldn't start ErrorLog process '/nonexistent/x y'."
        );
        assert_eq!(
            fail(program("", false), Role::Access),
            "(14)Bad address: AH00104: unable to start piped log program ''"
        );
        let syslog = fail(Target::errors(b"syslog:loud", b"/"), Role::Errors);
        assert!(syslog.starts_with("(20024)The given path is misformatted or contained invalid characters: AH10036: "));
        assert!(syslog.ends_with(": could not open syslog error log loud."), "{syslog}");
    }
}

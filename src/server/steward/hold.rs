//! What the steward holds open: sockets, logs, log programs.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::process::Child;
use tokio::task::AbortHandle;

use super::{adopt, clean};
use crate::logs;
use crate::net::link::Message;

/// All that one configuration has open. What the next one wants as well is shared.
#[derive(Clone, Default)]
pub(super) struct Held {
    pub(super) listeners: Vec<Rc<Listening>>,
    pub(super) files: Vec<Rc<(PathBuf, File)>>,
    pub(super) programs: Vec<Rc<Program>>,
    /// The main error log.
    pub(super) errors: Option<Errors>,
    /// The packed configuration.
    pub(super) packed: Option<Rc<std::os::fd::OwnedFd>>,
    /// User and group of the server, if they are to change.
    pub(super) account: Vec<Vec<u8>>,
}

impl Held {
    /// The main error log that a message names: a path, or a command line and whether a shell reads it.
    pub(super) fn find_errors(&self, message: &Message) -> Option<Errors> {
        let name = Path::new(OsStr::from_bytes(message.word(0)));
        if message.words.len() == 1 {
            return self.files.iter().find(|file| file.0 == name).cloned().map(Errors::File);
        }
        let shell = message.word(1) == b"1";
        let found = |program: &&Rc<Program>| program.command == message.word(0) && program.shell == shell;
        self.programs.iter().find(found).cloned().map(Errors::Program)
    }
}

/// A listening address.
pub(super) struct Listening {
    pub(super) addr: SocketAddr,
    pub(super) sockets: Vec<TcpListener>,
}

/// What standard error becomes.
#[derive(Clone)]
pub(super) enum Errors {
    File(Rc<(PathBuf, File)>),
    Program(Rc<Program>),
}

impl Errors {
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::File(file) => file.1.as_fd(),
            Self::Program(program) => program.pipe.as_fd(),
        }
    }
}

/// A log program that is kept running. When nobody holds its input any more, that ends, and it with it.
pub(super) struct Program {
    pub(super) command: Vec<u8>,
    pub(super) shell: bool,
    pub(super) pipe: PipeWriter,
    /// The other end: what is in the pipe when the program dies is for its successor.
    pub(super) input: PipeReader,
    /// The process that runs, or ran last.
    pid: Arc<AtomicI32>,
    keeper: AbortHandle,
}

/// A process of a log program.
enum Process {
    Ours(Child),
    /// Started by the program before this one.
    Adopted(i32),
}

impl Process {
    async fn ended(&mut self) {
        match self {
            Self::Ours(child) => drop(child.wait().await),
            Self::Adopted(pid) => drop(adopt::ended(*pid).await),
        }
    }

    fn pid(&self) -> i32 {
        match self {
            Self::Ours(child) => child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or(0),
            Self::Adopted(pid) => *pid,
        }
    }
}

/// Pause between two starts of a program.
const PAUSE: Duration = Duration::from_secs(1);

/// How often the input of a program that cannot be started is emptied.
const EMPTYING: Duration = Duration::from_millis(20);

impl Program {
    /// Starts it, and again whenever it ends; what it says goes to `errors` or where ours goes.
    pub(super) fn start(
        command: &[u8],
        shell: bool,
        errors: Option<BorrowedFd<'_>>,
        background: bool,
    ) -> io::Result<Self> {
        let (input, pipe) = io::pipe()?;
        let mut program = prepared(command, shell, &input)?;
        if let Some(errors) = errors {
            program.stderr(errors.try_clone_to_owned()?);
        }
        if background {
            program.stdout(Stdio::null());
        }
        let child = tokio::process::Command::from(program).spawn()?;
        Self::kept(command.to_vec(), shell, pipe, input, Process::Ours(child))
    }

    /// A program that runs already.
    pub(super) fn adopt(
        command: Vec<u8>,
        shell: bool,
        pid: i32,
        pipe: PipeWriter,
        input: PipeReader,
    ) -> io::Result<Self> {
        Self::kept(command, shell, pipe, input, Process::Adopted(pid))
    }

    fn kept(command: Vec<u8>, shell: bool, pipe: PipeWriter, input: PipeReader, process: Process) -> io::Result<Self> {
        let pid = Arc::new(AtomicI32::new(process.pid()));
        let keeper = keep(command.clone(), shell, input.try_clone()?, process, pid.clone());
        Ok(Self { command, shell, pipe, input, pid, keeper: tokio::spawn(keeper).abort_handle() })
    }

    /// The process that runs, or ran last.
    pub(super) fn pid(&self) -> i32 {
        self.pid.load(Ordering::Relaxed)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

fn prepared(command: &[u8], shell: bool, input: &PipeReader) -> io::Result<Command> {
    let mut program: Command = logs::program(command, shell)?;
    clean(&mut program);
    program.stdin(Stdio::from(input.try_clone()?));
    Ok(program)
}

async fn keep(command: Vec<u8>, shell: bool, mut input: PipeReader, mut process: Process, pid: Arc<AtomicI32>) {
    let say = |line: &[u8]| {
        // Standard error is the error log, or there is none.
        let _ = io::stderr().write_all(line);
    };
    loop {
        let started = Instant::now();
        process.ended().await;
        tokio::time::sleep(PAUSE.saturating_sub(started.elapsed())).await;
        let mut said = false;
        process = loop {
            let program = prepared(&command, shell, &input);
            match program.and_then(|program| tokio::process::Command::from(program).spawn()) {
                Ok(child) => break Process::Ours(child),
                Err(error) if !std::mem::replace(&mut said, true) => say(&logs::program_line(&command, Some(&error))),
                Err(_) => {}
            }
            // Lines are lost, rather than that the pipe fills and requests wait.
            let again = Instant::now() + PAUSE;
            while Instant::now() < again {
                empty(&mut input);
                tokio::time::sleep(EMPTYING).await;
            }
        };
        pid.store(process.pid(), Ordering::Relaxed);
        say(&logs::program_line(&command, None));
    }
}

/// Reads what is in the pipe, without waiting. The pipe itself must wait for readers and writers: programs share it.
fn empty(input: &mut PipeReader) {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut dropped = [0; 4096];
    for _ in 0..256 {
        let ready = poll(&mut [PollFd::new(&*input, PollFlags::IN)], Some(&now));
        if !matches!(ready, Ok(1)) || !matches!(input.read(&mut dropped), Ok(n) if n > 0) {
            return;
        }
    }
}

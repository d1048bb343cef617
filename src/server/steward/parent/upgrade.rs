//! Another program takes over (`-k upgrade`, SIGUSR2): the file by which this one was started, as it is now.
//!
//! 1. A preparer of the new program reads the configuration, as for a reload.
//! 2. A server of the new program starts on the open sockets, beside the one that serves.
//! 3. A keeper of the new program takes all that the steward holds.
//! 4. The steward becomes the new program: same process, same pid, same children. It takes back what the keeper has.
//! 5. The server of the old program accepts no more and ends with its connections.
//!
//! Whatever fails before the fourth step leaves the old program serving.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use tokio::sync::mpsc::UnboundedSender;

use super::super::hold::{Errors, Held, Listening, Program};
use super::super::{ROLE, adopt, again, carry, keep, say, tell};
use super::processes::pid_of;
use super::{Event, Running, State, Steward};
use crate::logs::{self, Errno, Level, Process};
use crate::net::daemon;
use crate::net::link::{Link, MOST_FDS, Message};
use crate::net::notify;

/// How long an upgrade may take before it is given up.
const LONGEST: Duration = Duration::from_secs(60);

/// How soon an upgrade is tried again that came during a reload.
const SOON: Duration = Duration::from_millis(50);

/// Signals that come while one program becomes the other wait for it.
const SIGNALS: [Signal; 6] =
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGWINCH];

/// Why an upgrade fails whose keeper does.
const UNTAKEN: &str = "it does not take what is open";

/// An upgrade under way.
pub(super) struct Upgrade {
    number: u64,
    /// The new program.
    pub(super) program: PathBuf,
    /// Its server.
    pub(super) candidate: Option<Running>,
    /// That server serves.
    serves: bool,
    keeper: Option<(i32, Arc<Link>)>,
}

impl Steward {
    /// A signal asks for the program as it is now.
    pub(super) fn upgrade(&mut self) {
        if self.state != State::Serving || self.upgrade.is_some() {
            return;
        }
        if self.preparer.is_some() {
            self.later(SOON, Event::Upgrade);
            return;
        }
        let program = match own_file() {
            Ok(program) => program,
            Err(error) => {
                logs::error!(Process, Level::Error, "core", Errno::from(&error) => "cannot tell which program to go over to");
                return;
            }
        };
        logs::error!(Process, Level::Notice, "core", "SIGUSR2 received.  Going over to {}", program.display());
        notify::reloading();
        self.upgrades += 1;
        let number = self.upgrades;
        let begun = self.prepare(&program, "reload");
        self.upgrade = Some(Upgrade { number, program, candidate: None, serves: false, keeper: None });
        match begun {
            Ok(()) => self.later(LONGEST, Event::UpgradeLate(number)),
            Err(error) => self.fail(&format!("it cannot be started: {error}")),
        }
    }

    /// The new program's preparer has ended.
    pub(super) fn upgrade_prepared(&mut self, status: ExitStatus) {
        match &self.upgrade {
            Some(upgrade) if upgrade.serves && status.success() => {
                if let Err(error) = self.give_to_keeper() {
                    logs::error!(Process, Level::Error, "core", Errno::from(&error) => "what is open cannot be handed over");
                    self.fail(UNTAKEN);
                }
            }
            _ => self.fail("it does not serve the configuration"),
        }
    }

    /// The new program's server says something.
    pub(super) fn candidate_said(&mut self, byte: u8) {
        if !self.committed || !matches!(byte, say::READY | say::FAILED) {
            return;
        }
        self.committed = false;
        if let Some(upgrade) = &mut self.upgrade {
            upgrade.serves = byte == say::READY;
        }
        self.answer(if byte == say::READY { 0 } else { 5 });
    }

    /// The new program's server has ended.
    pub(super) fn candidate_ended(&mut self) {
        if let Some(upgrade) = &mut self.upgrade {
            (upgrade.candidate, upgrade.serves) = (None, false);
        }
        if std::mem::take(&mut self.committed) {
            // The preparer ends for it.
            self.answer(5);
        } else if self.preparer.is_none() {
            self.fail("its server has ended");
        }
    }

    /// Gives all that is open to a process that gives it to our successor.
    fn give_to_keeper(&mut self) -> io::Result<()> {
        let Some(upgrade) = &mut self.upgrade else { return Ok(()) };
        let (own, theirs) = Link::pair()?;
        let child = again(&upgrade.program, "keep");
        let mut child = tokio::process::Command::from(child).stdin(theirs.into_fd()).spawn()?;
        let (pid, link) = (pid_of(&child), Arc::new(own));
        upgrade.keeper = Some((pid, link.clone()));
        let events = self.events.clone();
        tokio::spawn(async move {
            let _ = child.wait().await;
            let _ = events.send(Event::KeeperEnded);
        });
        self.carry(&link, pid)?;
        let (events, ready) = (self.events.clone(), link.watched()?);
        tokio::spawn(async move {
            // Its first message; what it sends behind that is for our successor.
            while ready.readable().await.is_ok() {
                match ready.try_io(tokio::io::Interest::READABLE, || link.receive_now()) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Ok(Some(message)) if message.kind == carry::KEPT => {
                        let _ = events.send(Event::Kept);
                        return;
                    }
                    // Its end is noticed elsewhere.
                    _ => return,
                }
            }
        });
        Ok(())
    }

    /// Sends what our successor is to know.
    fn carry(&self, link: &Link, keeper: i32) -> io::Result<()> {
        let flag = |on: bool| -> &'static [u8] { if on { b"1" } else { b"0" } };
        link.send(carry::FORM, &[keep::FORM], &[])?;
        for listening in &self.next.listeners {
            let addr = listening.addr.to_string();
            let fds: Vec<BorrowedFd<'_>> = listening.sockets.iter().map(AsFd::as_fd).collect();
            for some in fds.chunks(MOST_FDS) {
                link.send(carry::LISTENER, &[addr.as_bytes()], some)?;
            }
        }
        for file in &self.next.files {
            link.send(carry::FILE, &[file.0.as_os_str().as_bytes()], &[file.1.as_fd()])?;
        }
        for program in &self.next.programs {
            let pid = program.pid().to_string();
            let words = [&program.command, flag(program.shell), pid.as_bytes()];
            link.send(carry::PROGRAM, &words, &[program.pipe.as_fd(), program.input.as_fd()])?;
        }
        match &self.next.errors {
            Some(Errors::File(file)) => link.send(carry::ERRORS, &[file.0.as_os_str().as_bytes()], &[])?,
            Some(Errors::Program(program)) => {
                link.send(carry::ERRORS, &[&program.command, flag(program.shell)], &[])?;
            }
            None => {}
        }
        let account: Vec<&[u8]> = self.next.account.iter().map(Vec::as_slice).collect();
        let packed = self.next.packed.as_ref().ok_or(io::ErrorKind::InvalidData)?;
        link.send(carry::PACKED, &account, &[packed.as_fd()])?;
        let candidate = self.upgrade.as_ref().and_then(|upgrade| upgrade.candidate.as_ref());
        let servers = candidate.map(|server| (carry::SERVER, server));
        let before = self.server.iter().chain(&self.retired).map(|server| (carry::RETIRED, server));
        for (kind, server) in servers.into_iter().chain(before) {
            link.send(kind, &[server.pid.to_string().as_bytes()], &[server.link.as_fd()])?;
        }
        for socket in &self.given {
            link.send(carry::GIVEN, &[], &[socket.as_fd()])?;
        }
        let keeper = keeper.to_string();
        let mut words = vec![keeper.as_bytes(), flag(self.background), flag(self.again)];
        words.extend(self.pid_file.as_deref().map(|path| path.as_os_str().as_bytes()));
        link.send(carry::END, &words, &[])
    }

    /// The keeper has everything: this process becomes the new program. Does not come back unless that fails.
    pub(super) fn hand_on(&mut self) {
        let Some(upgrade) = &self.upgrade else { return };
        let Some((_, link)) = &upgrade.keeper else { return };
        if upgrade.candidate.is_none() {
            return;
        }
        let become_it = || -> io::Result<()> {
            nix::unistd::dup2_stdin(link.as_fd())?;
            let text = |text: OsString| CString::new(text.into_vec()).map_err(io::Error::from);
            let path = text(upgrade.program.clone().into_os_string())?;
            let args: Vec<CString> = std::env::args_os().map(text).collect::<Result<_, _>>()?;
            let gone = |name: &OsStr| name == ROLE || name.as_bytes().starts_with(b"LISTEN_");
            let mut environment: Vec<CString> = std::env::vars_os()
                .filter(|(name, _)| !gone(name))
                .map(|(name, value)| text([name, value].join(OsStr::new("="))))
                .collect::<Result<_, _>>()?;
            environment.push(text(format!("{ROLE}=successor:{}", nix::unistd::getppid()).into())?);
            let signals: SigSet = SIGNALS.into_iter().collect();
            signals.thread_block()?;
            let Err(error) = nix::unistd::execve(&path, &args, &environment);
            signals.thread_unblock()?;
            Err(error.into())
        };
        if let Err(error) = become_it() {
            if let Ok(nothing) = std::fs::File::open("/dev/null") {
                let _ = nix::unistd::dup2_stdin(nothing);
            }
            self.fail(&format!("this process cannot become it: {error}"));
        }
    }

    /// The keeper has ended before this process has become something else.
    pub(super) fn keeper_ended(&mut self) {
        if self.upgrade.as_ref().is_some_and(|upgrade| upgrade.keeper.is_some()) {
            self.fail(UNTAKEN);
        }
    }

    pub(super) fn upgrade_late(&mut self, number: u64) {
        if self.upgrade.as_ref().is_some_and(|upgrade| upgrade.number == number) {
            self.fail("it takes too long");
        }
    }

    /// The program that runs goes on.
    fn fail(&mut self, why: &str) {
        logs::error!(Process, Level::Error, "core", "no other program took over: {why}; this one goes on");
        self.give_up_upgrade();
        notify::notify("READY=1\nSTATUS=Another program was not taken, serving with the one before");
        if std::mem::take(&mut self.again) {
            self.prepare_again();
        }
    }

    /// Ends what was begun.
    pub(super) fn give_up_upgrade(&mut self) {
        let Some(upgrade) = self.upgrade.take() else { return };
        self.next = Held::default();
        self.committed = false;
        let preparer = self.preparer.take().map(|(pid, _)| pid);
        for pid in preparer.into_iter().chain(upgrade.keeper.map(|(pid, _)| pid)) {
            let _ = daemon::signal(pid, Signal::SIGKILL);
        }
        if let Some(candidate) = upgrade.candidate {
            // It may have clients already.
            candidate.tell(tell::RETIRE, &[]);
            self.retired.push(candidate);
        }
    }

    /// What the program before this one has left.
    pub(super) fn take_over(events: UnboundedSender<Event>) -> io::Result<Self> {
        let link = Link::from_stdin()?;
        let mut steward = Self { state: State::Serving, ..Self::new(events) };
        loop {
            let message = link.receive()?.ok_or(io::ErrorKind::UnexpectedEof)?;
            let is_last = message.kind == carry::END;
            steward.take(message)?;
            if is_last {
                return Ok(steward);
            }
        }
    }

    fn take(&mut self, mut message: Message) -> io::Result<()> {
        let path = |word: &[u8]| PathBuf::from(OsStr::from_bytes(word));
        let pid = |message: &Message, at: usize| i32::try_from(message.number(at)).unwrap_or(0);
        match message.kind {
            carry::LISTENER => {
                let addr = String::from_utf8_lossy(message.word(0)).parse();
                let addr = addr.map_err(|_| io::ErrorKind::InvalidData)?;
                let mut sockets: Vec<TcpListener> = message.fds.drain(..).map(TcpListener::from).collect();
                match self.held.listeners.last_mut().filter(|last| last.addr == addr).and_then(Rc::get_mut) {
                    Some(more) => more.sockets.append(&mut sockets),
                    None => self.held.listeners.push(Rc::new(Listening { addr, sockets })),
                }
            }
            carry::FILE => {
                let name = path(message.word(0));
                self.held.files.extend(message.fds.pop().map(|file| Rc::new((name, file.into()))));
            }
            carry::PROGRAM => {
                let (input, pipe) = (message.fds.pop(), message.fds.pop());
                let (input, pipe) = input.zip(pipe).ok_or(io::ErrorKind::InvalidData)?;
                let (command, shell) = (message.word(0).to_vec(), message.word(1) == b"1");
                let program = Program::adopt(command, shell, pid(&message, 2), pipe.into(), input.into())?;
                self.held.programs.push(Rc::new(program));
            }
            carry::ERRORS => self.held.errors = self.held.find_errors(&message),
            carry::PACKED => {
                self.held.packed = message.fds.pop().map(Rc::new);
                self.held.account = message.words;
            }
            carry::SERVER => self.server = Some(self.adopt(pid(&message, 0), message)?),
            carry::RETIRED => {
                let server = self.adopt(pid(&message, 0), message)?;
                self.retired.push(server);
            }
            carry::GIVEN => self.given.extend(message.fds.drain(..).map(TcpListener::from)),
            carry::END => {
                tokio::spawn(adopt::ended(pid(&message, 0)));
                (self.background, self.again) = (message.word(1) == b"1", message.word(2) == b"1");
                self.pid_file = message.words.get(3).map(|word| path(word));
            }
            _ => {}
        }
        Ok(())
    }

    fn adopt(&mut self, pid: i32, mut message: Message) -> io::Result<Running> {
        let link = Link::over(message.fds.pop().ok_or(io::ErrorKind::InvalidData)?.into())?;
        let server = self.known(pid, link)?;
        let (events, number) = (self.events.clone(), server.number);
        tokio::spawn(async move {
            let status = adopt::ended(pid).await;
            let _ = events.send(Event::Ended(number, status));
        });
        Ok(server)
    }

    /// The first steps of a program that has taken over, once it hears signals.
    pub(super) fn go_on(&mut self) -> io::Result<()> {
        let signals: SigSet = SIGNALS.into_iter().collect();
        signals.thread_unblock()?;
        if let Some(errors) = &self.held.errors {
            let _ = nix::unistd::dup2_stderr(errors.fd());
        }
        logs::error!(Process, Level::Notice, "core", "{} has taken over", own_file()?.display());
        self.retired.iter().for_each(|server| server.tell(tell::RETIRE, &[]));
        notify::notify(&format!("READY=1\nMAINPID={}\nSTATUS=Serving", std::process::id()));
        if notify::watchdog().is_some() {
            self.later(Duration::ZERO, Event::Watch);
        }
        if std::mem::take(&mut self.again) {
            self.prepare_again();
        }
        Ok(())
    }
}

/// The file this program was started from, by its name: another one may be there now.
fn own_file() -> io::Result<PathBuf> {
    let path = std::env::current_exe()?.into_os_string().into_vec();
    let path = path.strip_suffix(b" (deleted)").unwrap_or(&path);
    Ok(PathBuf::from(OsStr::from_bytes(path)))
}

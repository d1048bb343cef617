//! The processes of a steward: how they are started, what they are told, and what their end means.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::Interest;
use tokio::time::Instant;

use super::super::hold::Held;
use super::super::{OURS, again, ask, tell};
use super::{Event, Running, State, Steward};
use crate::logs::{self, Errno, Level, Process};
use crate::net::daemon;
use crate::net::link::{Link, MOST_FDS};

/// A server that dies this soon after its start, this often in a row, is started again only after a pause.
const SOON: (Duration, u32) = (Duration::from_secs(1), 3);

/// The allocator of a server gives back within a second or so what a replaced configuration held.
const MEMORY: (&str, &str) = ("_RJEM_MALLOC_CONF", "background_thread:true,dirty_decay_ms:100,muzzy_decay_ms:0");

/// That pause.
const PAUSE: Duration = Duration::from_secs(1);

impl Steward {
    /// Starts a preparer of this program.
    pub(super) fn prepare(&mut self, program: &Path, kind: &str) -> io::Result<()> {
        let (own, theirs) = Link::pair()?;
        let child = tokio::process::Command::from(again(program, kind)).stdin(theirs.into_fd()).spawn()?;
        let link = Arc::new(own);
        self.preparer = Some((pid_of(&child), link.clone()));
        self.next = Held::default();
        if kind != "prepare" {
            let packed = self.held.packed.as_ref().map(AsFd::as_fd);
            match link.send(ask::BEFORE, &[], packed.as_slice()) {
                // It has ended already: its status tells, as that of any that ends before it asks.
                Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {}
                sent => sent.inspect_err(|_| self.preparer = None)?,
            }
        }
        let (asked, ready) = (self.events.clone(), link.watched()?);
        let reading = tokio::spawn(async move {
            while ready.readable().await.is_ok() {
                match ready.try_io(Interest::READABLE, || link.receive_now()) {
                    Ok(Some(message)) => drop(asked.send(Event::Asked(message))),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Ok(None) | Err(_) => return,
                }
            }
        });
        let events = self.events.clone();
        wait(child, move |status| async move {
            // All that it has asked comes first.
            let _ = reading.await;
            let _ = events.send(Event::Prepared(status));
        });
        Ok(())
    }

    /// Starts a server of this program on what `held` has.
    pub(super) fn serve(&mut self, program: &Path, held: &Held) -> io::Result<Running> {
        let (own, theirs) = Link::pair()?;
        let mut command = again(program, if self.background { "daemon" } else { "server" });
        if self.background {
            command.stdout(Stdio::null());
        }
        command.env(MEMORY.0, MEMORY.1);
        let child = tokio::process::Command::from(command).stdin(theirs.into_fd()).spawn()?;
        let server = self.known(pid_of(&child), own)?;
        let (events, number) = (self.events.clone(), server.number);
        wait(child, move |status| async move {
            let _ = events.send(Event::Ended(number, status));
        });
        if let Err(error) = hand_over(&server.link, held, &Held::default()) {
            let _ = daemon::signal(server.pid, Signal::SIGKILL);
            return Err(error);
        }
        Ok(server)
    }

    /// A server that runs; what it says becomes events.
    pub(super) fn known(&mut self, pid: i32, link: Link) -> io::Result<Running> {
        self.servers += 1;
        let (number, link) = (self.servers, Arc::new(link));
        let (events, ready) = (self.events.clone(), link.watched()?);
        tokio::spawn(async move {
            while ready.readable().await.is_ok() {
                let mut bytes = [0; 64];
                match ready.try_read(&mut bytes) {
                    Ok(0) => return,
                    Ok(n) => bytes.iter().take(n).for_each(|byte| drop(events.send(Event::Said(number, *byte)))),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => return,
                }
            }
        });
        Ok(Running { number, pid, link, started: Instant::now() })
    }

    /// What was prepared goes to the server; to a new one where there is none, or another program is to serve.
    pub(super) fn commit(&mut self) -> io::Result<()> {
        let next = self.next.clone();
        if let Some(upgrade) = &self.upgrade {
            let program = upgrade.program.clone();
            let candidate = self.serve(&program, &next)?;
            if let Some(upgrade) = &mut self.upgrade {
                upgrade.candidate = Some(candidate);
            }
            return Ok(());
        }
        match &self.server {
            Some(server) => hand_over(&server.link, &next, &self.held),
            None => {
                self.server = Some(self.serve(Path::new(OURS), &next)?);
                Ok(())
            }
        }
    }

    pub(super) fn tell(&self, kind: u8, words: &[&[u8]]) {
        if let Some(server) = &self.server {
            server.tell(kind, words);
        }
    }

    /// The server has ended.
    pub(super) fn ended(&mut self, status: ExitStatus) -> io::Result<Option<u8>> {
        let Some(server) = self.server.take() else { return Ok(None) };
        match self.state {
            State::Ending => return Ok(self.all_ended()),
            State::Starting => {
                // The preparer ends for it, and the steward with that one; a server that could not even speak is named.
                if let Some(signal) = status.signal() {
                    logs::error!(Process, Level::Alert, "core", "the server process ended with signal {signal}");
                }
                if self.committed {
                    self.verdict(false);
                    return Ok(None);
                }
                self.remove_pid_file();
                return Ok(Some(1));
            }
            State::Serving => {}
        }
        server.log_death(status);
        if self.committed {
            self.verdict(false);
        }
        self.deaths = if server.started.elapsed() < SOON.0 { self.deaths + 1 } else { 0 };
        if self.deaths >= SOON.1 {
            self.later(PAUSE, Event::Restart);
        } else {
            self.restart();
        }
        Ok(None)
    }

    /// Starts the server again on what it had.
    pub(super) fn restart(&mut self) {
        let held = self.held.clone();
        match self.serve(Path::new(OURS), &held) {
            Ok(server) => self.server = Some(server),
            Err(error) => {
                logs::error!(Process, Level::Alert, "core", Errno::from(&error) => "cannot start the server process");
                self.later(PAUSE, Event::Restart);
            }
        }
    }
}

impl Running {
    /// Tells a server something. One that does not listen is of no use.
    pub(super) fn tell(&self, kind: u8, words: &[&[u8]]) {
        if self.link.send(kind, words, &[]).is_err() {
            self.signal(Signal::SIGKILL);
        }
    }

    pub(super) fn signal(&self, signal: Signal) {
        // One that has ended is waited for already.
        let _ = daemon::signal(self.pid, signal);
    }

    /// httpd's line about a child that died.
    fn log_death(&self, status: ExitStatus) {
        let pid = self.pid;
        match (status.signal(), status.code()) {
            // httpd says nothing of those; here everybody's connections ended with the process.
            (Some(number @ (1 | 9 | 10 | 15)), _) => {
                logs::error!(Process, Level::Notice, "core", "the server process {pid} was ended by signal {number}");
            }
            (Some(number), _) => {
                let name = Signal::try_from(number).map_or("Unknown signal", describe);
                logs::error!(Process, Level::Notice, "core", "AH00052: child pid {pid} exit signal {name} ({number})");
            }
            (None, code) => {
                let code = code.unwrap_or(0);
                logs::error!(Process, Level::Notice, "core", "the server process {pid} ended with status {code}");
            }
        }
        let _ = io::stderr().flush();
    }
}

/// What the system calls a signal.
fn describe(signal: Signal) -> &'static str {
    match signal {
        Signal::SIGSEGV => "Segmentation fault",
        Signal::SIGABRT => "Aborted",
        Signal::SIGBUS => "Bus error",
        Signal::SIGILL => "Illegal instruction",
        other => other.as_str(),
    }
}

pub(super) fn pid_of(child: &tokio::process::Child) -> i32 {
    child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or(0)
}

fn wait<F>(mut child: tokio::process::Child, then: impl FnOnce(ExitStatus) -> F + Send + 'static)
where
    F: Future<Output = ()> + Send,
{
    tokio::spawn(async move {
        let status = child.wait().await.unwrap_or_else(|_| ExitStatus::from_raw(9));
        then(status).await;
    });
}

/// Sends the server what it does not have yet, and has it go over to all of it.
fn hand_over(link: &Link, held: &Held, known: &Held) -> io::Result<()> {
    for listening in &held.listeners {
        if known.listeners.iter().any(|other| Rc::ptr_eq(other, listening)) {
            continue;
        }
        let addr = listening.addr.to_string();
        let fds: Vec<BorrowedFd<'_>> = listening.sockets.iter().map(AsFd::as_fd).collect();
        for some in fds.chunks(MOST_FDS) {
            link.send(tell::LISTENER, &[addr.as_bytes()], some)?;
        }
    }
    for file in &held.files {
        link.send(tell::FILE, &[file.0.as_os_str().as_bytes()], &[file.1.as_fd()])?;
    }
    for program in &held.programs {
        if known.programs.iter().any(|other| Rc::ptr_eq(other, program)) {
            continue;
        }
        let shell: &[u8] = if program.shell { b"1" } else { b"0" };
        link.send(tell::PROGRAM, &[&program.command, shell], &[program.pipe.as_fd()])?;
    }
    let packed = held.packed.as_ref().ok_or(io::ErrorKind::InvalidData)?;
    let words: Vec<&[u8]> = held.account.iter().map(Vec::as_slice).collect();
    link.send(tell::GO, &words, &[packed.as_fd()])
}

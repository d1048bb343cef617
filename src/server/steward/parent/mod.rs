//! The steward's own life: signals in, processes kept.

mod opening;
mod processes;
mod upgrade;

use std::io;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep_until};

use super::hold::Held;
use super::{OURS, ask, say, tell};
use crate::logs::{self, Errno, Level, Process};
use crate::net::daemon;
use crate::net::link::{Link, Message};
use crate::net::notify;
use upgrade::Upgrade;

/// How long a server may take to end that was told to; it gives its requests ten seconds.
const LAST: Duration = Duration::from_secs(12);

/// What happens.
enum Event {
    /// The preparer asks.
    Asked(Message),
    /// The preparer has ended.
    Prepared(ExitStatus),
    /// The server of this number says something.
    Said(u64, u8),
    /// The server of this number has ended.
    Ended(u64, ExitStatus),
    /// The pause is over.
    Restart,
    /// A server that was told to end has not.
    Late,
    /// The service manager wants to hear that the server is there.
    Watch,
    /// An upgrade that came during a reload is tried again.
    Upgrade,
    /// The keeper of an upgrade has all it was given.
    Kept,
    /// The keeper of an upgrade has ended.
    KeeperEnded,
    /// An upgrade takes too long; its number.
    UpgradeLate(u64),
}

/// A process of ours.
struct Running {
    number: u64,
    pid: i32,
    link: Arc<Link>,
    started: Instant,
}

/// What the steward is doing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing was served yet.
    Starting,
    Serving,
    /// The server has been told to end.
    Ending,
}

struct Steward {
    state: State,
    /// What is served.
    held: Held,
    /// What is being prepared.
    next: Held,
    preparer: Option<(i32, Arc<Link>)>,
    /// The preparer has committed and waits for what the server says.
    committed: bool,
    /// A reload was asked for while another one was under way.
    again: bool,
    /// What asked for it before there was a server that could say so in the log.
    unsaid: Option<&'static str>,
    server: Option<Running>,
    /// Servers of programs before this one, which end with their connections.
    retired: Vec<Running>,
    /// Numbers servers.
    servers: u64,
    upgrade: Option<Upgrade>,
    /// Numbers upgrades.
    upgrades: u64,
    deaths: u32,
    pid_file: Option<PathBuf>,
    /// Who waits for the start, when this is in the background.
    report: Option<Link>,
    background: bool,
    /// The terminal is left.
    detached: bool,
    /// Listening sockets that a service manager has opened.
    given: Vec<TcpListener>,
    events: UnboundedSender<Event>,
}

/// Serves until told to stop; `report` waits for the start.
pub(super) fn run(report: Option<Link>) -> ExitCode {
    live(|events| {
        Ok(Steward { background: report.is_some(), report, given: notify::sockets(), ..Steward::new(events) })
    })
}

/// Goes on with what the program before this one, in this very process, has left.
pub(super) fn take_over() -> ExitCode {
    live(Steward::take_over)
}

fn live(begin: impl FnOnce(UnboundedSender<Event>) -> io::Result<Steward>) -> ExitCode {
    super::super::run::raise_file_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let code = runtime.and_then(|runtime| {
        let (events, happened) = unbounded_channel();
        let _inside = runtime.enter();
        let mut steward = begin(events)?;
        let code = runtime.block_on(steward.live(happened));
        if let (Ok(code), Some(report)) = (&code, &steward.report) {
            let _ = report.send(ask::ANSWER, &[code.to_string().as_bytes()], &[]);
        }
        code
    });
    match code {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            super::super::run::fail(&error, "cannot start to serve");
            ExitCode::FAILURE
        }
    }
}

impl Steward {
    fn new(events: UnboundedSender<Event>) -> Self {
        Self {
            state: State::Starting,
            held: Held::default(),
            next: Held::default(),
            preparer: None,
            committed: false,
            again: false,
            unsaid: None,
            server: None,
            retired: Vec::new(),
            servers: 0,
            upgrade: None,
            upgrades: 0,
            deaths: 0,
            pid_file: None,
            background: false,
            detached: false,
            report: None,
            given: Vec::new(),
            events,
        }
    }

    async fn live(&mut self, mut happened: UnboundedReceiver<Event>) -> io::Result<u8> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut restart = signal(SignalKind::hangup())?;
        let mut graceful = signal(SignalKind::user_defined1())?;
        let mut stop = signal(SignalKind::window_change())?;
        let mut upgrade = signal(SignalKind::user_defined2())?;
        match self.state {
            State::Starting => self.prepare(Path::new(OURS), "prepare")?,
            State::Serving | State::Ending => self.go_on()?,
        }
        loop {
            let end = tokio::select! {
                _ = terminate.recv() => self.stop("TERM"),
                _ = interrupt.recv() => self.stop("TERM"),
                _ = stop.recv() => self.stop("WINCH"),
                _ = restart.recv() => self.reload("HUP"),
                _ = graceful.recv() => self.reload("USR1"),
                _ = upgrade.recv() => {
                    self.upgrade();
                    None
                }
                Some(event) = happened.recv() => self.happened(event)?,
            };
            if let Some(code) = end {
                return Ok(code);
            }
        }
    }

    fn happened(&mut self, event: Event) -> io::Result<Option<u8>> {
        match event {
            Event::Asked(message) => self.asked(message),
            Event::Prepared(status) => return Ok(self.prepared(status)),
            Event::Said(number, byte) => {
                if is(&self.server, number) {
                    self.said(byte);
                } else if self.upgrade.as_ref().is_some_and(|upgrade| is(&upgrade.candidate, number)) {
                    self.candidate_said(byte);
                }
            }
            Event::Ended(number, status) => {
                if is(&self.server, number) {
                    return self.ended(status);
                }
                self.retired.retain(|server| server.number != number);
                if self.upgrade.as_ref().is_some_and(|upgrade| is(&upgrade.candidate, number)) {
                    self.candidate_ended();
                }
                if self.state == State::Ending {
                    return Ok(self.all_ended());
                }
            }
            Event::Restart => {
                if self.server.is_none() && self.state == State::Serving {
                    self.restart();
                }
            }
            Event::Upgrade => self.upgrade(),
            Event::Kept => self.hand_on(),
            Event::KeeperEnded => self.keeper_ended(),
            Event::UpgradeLate(number) => self.upgrade_late(number),
            Event::Watch => {
                self.tell(tell::PING, &[]);
                if let Some(time) = notify::watchdog() {
                    self.later(time, Event::Watch);
                }
            }
            Event::Late => self.server.iter().chain(&self.retired).for_each(|server| server.signal(Signal::SIGKILL)),
        }
        Ok(None)
    }

    /// The server says something.
    fn said(&mut self, byte: u8) {
        match byte {
            // While another program is to serve, only what that one says counts.
            say::READY | say::FAILED if self.committed && self.upgrade.is_none() => self.verdict(byte == say::READY),
            say::PONG => notify::notify("WATCHDOG=1"),
            _ => {}
        }
    }

    /// Whether what was committed is served.
    fn verdict(&mut self, serves: bool) {
        self.committed = false;
        let next = std::mem::take(&mut self.next);
        if serves {
            // What only the one before wanted is closed with it.
            self.held = next;
            if let Some(errors) = &self.held.errors {
                let _ = nix::unistd::dup2_stderr(errors.fd());
            }
            if self.state == State::Starting {
                self.state = State::Serving;
                self.leave_terminal();
                if notify::watchdog().is_some() {
                    self.later(Duration::ZERO, Event::Watch);
                }
            }
        }
        if serves && self.state == State::Serving {
            notify::notify("READY=1\nSTATUS=Serving");
        }
        self.answer(if serves { 0 } else { 5 });
    }

    /// In the background: whoever started us goes on, and nothing of theirs is kept.
    fn leave_terminal(&mut self) {
        let Some(report) = self.report.take() else { return };
        if let Ok(nothing) = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null") {
            let _ = nix::unistd::dup2_stdin(&nothing);
            let _ = nix::unistd::dup2_stdout(&nothing);
            if self.held.errors.is_none() {
                let _ = nix::unistd::dup2_stderr(&nothing);
            }
        }
        let _ = std::env::set_current_dir("/");
        let _ = report.send(ask::ANSWER, &[b"0"], &[]);
    }

    /// The preparer has ended.
    fn prepared(&mut self, status: ExitStatus) -> Option<u8> {
        self.preparer = None;
        if self.upgrade.is_some() {
            self.upgrade_prepared(status);
            return None;
        }
        if self.committed {
            // Killed while the server takes over: that goes on.
            return None;
        }
        self.next = Held::default();
        match self.state {
            State::Starting => {
                self.remove_pid_file();
                return Some(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1));
            }
            State::Serving if !status.success() => {
                self.tell(tell::REJECTED, &[]);
                notify::notify("READY=1\nSTATUS=Configuration not accepted, serving the one before");
            }
            State::Serving | State::Ending => {}
        }
        if std::mem::take(&mut self.again) && self.state == State::Serving {
            self.prepare_again();
        }
        None
    }

    fn prepare_again(&mut self) {
        notify::reloading();
        if let Some(name) = self.unsaid.take() {
            self.tell(tell::SIGNAL, &[name.as_bytes()]);
        }
        if let Err(error) = self.prepare(Path::new(OURS), "reload") {
            logs::error!(Process, Level::Error, "core", Errno::from(&error) => "cannot prepare a reload");
            self.tell(tell::REJECTED, &[]);
        }
    }

    /// A signal asks for a new configuration.
    fn reload(&mut self, name: &'static str) -> Option<u8> {
        match self.state {
            State::Serving => {}
            // What is being read is new enough, but for what has been read already.
            State::Starting => {
                (self.again, self.unsaid) = (true, Some(name));
                return None;
            }
            State::Ending => return None,
        }
        self.tell(tell::SIGNAL, &[name.as_bytes()]);
        if self.preparer.is_some() || self.upgrade.is_some() {
            self.again = true;
        } else {
            self.prepare_again();
        }
        None
    }

    /// A signal asks for the end.
    fn stop(&mut self, name: &str) -> Option<u8> {
        let removed = self.remove_pid_file();
        if let Some((pid, _)) = self.preparer.take() {
            let _ = daemon::signal(pid, Signal::SIGKILL);
        }
        self.give_up_upgrade();
        if self.server.is_none() && self.retired.is_empty() {
            return Some(0);
        }
        notify::notify("STOPPING=1");
        let mut words = vec![name.as_bytes()];
        words.extend(removed.as_deref().map(|path| path.as_os_str().as_bytes()));
        self.tell(tell::SIGNAL, &words);
        self.retired.iter().for_each(|server| server.tell(tell::SIGNAL, &[name.as_bytes()]));
        self.state = State::Ending;
        // Nobody may wait in queues that nobody serves.
        self.held.listeners.clear();
        self.next = Held::default();
        if name == "TERM" {
            self.later(LAST, Event::Late);
        }
        None
    }

    /// The exit status, once nobody serves any more.
    fn all_ended(&self) -> Option<u8> {
        (self.server.is_none() && self.retired.is_empty()).then_some(0)
    }

    fn remove_pid_file(&mut self) -> Option<PathBuf> {
        let path = self.pid_file.take()?;
        std::fs::remove_file(&path).is_ok().then_some(path)
    }

    fn later(&self, time: Duration, event: Event) {
        let (events, when) = (self.events.clone(), Instant::now() + time);
        tokio::spawn(async move {
            sleep_until(when).await;
            let _ = events.send(event);
        });
    }
}

fn is(server: &Option<Running>, number: u64) -> bool {
    server.as_ref().is_some_and(|server| server.number == number)
}

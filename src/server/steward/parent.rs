//! The steward's own life: signals in, processes kept.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::Interest;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep_until};

use super::hold::{Errors, Held, Listening, Program};
use super::{again, ask, say, tell};
use crate::logs::{self, Errno, Level, Process};
use crate::net::daemon;
use crate::net::link::{Link, MOST_FDS, Message};
use crate::net::notify;
use crate::net::opener::{InProcess, Opener, SocketOptions};

/// How long a server may take to end that was told to; it gives its requests ten seconds.
const LAST: Duration = Duration::from_secs(12);

/// A server that dies this soon after its start, this often in a row, is started again only after a pause.
const SOON: (Duration, u32) = (Duration::from_secs(1), 3);

/// That pause.
const PAUSE: Duration = Duration::from_secs(1);

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
}

/// A process of ours.
struct Running {
    number: u64,
    pid: i32,
    link: Arc<Link>,
    started: Instant,
    /// It has said that it serves.
    ready: bool,
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
    servers: u64,
    deaths: u32,
    pid_file: Option<PathBuf>,
    /// Who waits for the start, when this is in the background.
    report: Option<Link>,
    background: bool,
    /// Listening sockets that a service manager has opened.
    given: Vec<TcpListener>,
    events: UnboundedSender<Event>,
}

/// Serves until told to stop; `report` waits for the start.
pub(super) fn run(report: Option<Link>) -> ExitCode {
    super::super::run::raise_file_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let code = runtime.and_then(|runtime| {
        let (events, happened) = unbounded_channel();
        let mut steward = Steward {
            state: State::Starting,
            held: Held::default(),
            next: Held::default(),
            preparer: None,
            committed: false,
            again: false,
            unsaid: None,
            server: None,
            servers: 0,
            deaths: 0,
            pid_file: None,
            background: report.is_some(),
            report,
            given: notify::sockets(),
            events,
        };
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
    async fn live(&mut self, mut happened: UnboundedReceiver<Event>) -> io::Result<u8> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut restart = signal(SignalKind::hangup())?;
        let mut graceful = signal(SignalKind::user_defined1())?;
        let mut stop = signal(SignalKind::window_change())?;
        self.prepare("prepare")?;
        loop {
            let end = tokio::select! {
                _ = terminate.recv() => self.stop("TERM"),
                _ = interrupt.recv() => self.stop("TERM"),
                _ = stop.recv() => self.stop("WINCH"),
                _ = restart.recv() => self.reload("HUP"),
                _ = graceful.recv() => self.reload("USR1"),
                Some(event) = happened.recv() => self.happened(event)?,
            };
            if let Some(code) = end {
                return Ok(code);
            }
        }
    }

    /// Starts the preparer.
    fn prepare(&mut self, kind: &str) -> io::Result<()> {
        let (own, theirs) = Link::pair()?;
        let child = tokio::process::Command::from(again(kind)).stdin(theirs.into_fd()).spawn()?;
        let link = Arc::new(own);
        self.preparer = Some((pid_of(&child), link.clone()));
        self.next = Held::default();
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

    /// Starts a server on what `held` has.
    fn serve(&mut self, held: &Held) -> io::Result<()> {
        let (own, theirs) = Link::pair()?;
        let mut command = again(if self.background { "daemon" } else { "server" });
        if self.background {
            command.stdout(Stdio::null());
        }
        let child = tokio::process::Command::from(command).stdin(theirs.into_fd()).spawn()?;
        self.servers += 1;
        let (number, pid, link) = (self.servers, pid_of(&child), Arc::new(own));
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
        let events = self.events.clone();
        wait(child, move |status| async move {
            let _ = events.send(Event::Ended(number, status));
        });
        self.server = Some(Running { number, pid, link: link.clone(), started: Instant::now(), ready: false });
        hand_over(&link, held, &Held::default())
    }

    fn happened(&mut self, event: Event) -> io::Result<Option<u8>> {
        match event {
            Event::Asked(message) => self.asked(message),
            Event::Prepared(status) => Ok(self.prepared(status)),
            Event::Said(number, byte) => {
                if self.server.as_ref().is_some_and(|server| server.number == number) {
                    self.said(byte);
                }
                Ok(None)
            }
            Event::Ended(number, status) => {
                if self.server.as_ref().is_some_and(|server| server.number == number) {
                    return self.ended(status);
                }
                Ok(None)
            }
            Event::Restart => {
                if self.server.is_none() && self.state == State::Serving {
                    self.restart();
                }
                Ok(None)
            }
            Event::Watch => {
                self.tell(tell::PING, &[]);
                if let Some(time) = notify::watchdog() {
                    self.later(time, Event::Watch);
                }
                Ok(None)
            }
            Event::Late => {
                if let Some(server) = &self.server {
                    let _ = daemon::signal(server.pid, Signal::SIGKILL);
                }
                Ok(None)
            }
        }
    }

    fn answer(&self, errno: i32) {
        if let Some((_, link)) = &self.preparer {
            // A preparer that has gone asks nothing more.
            let _ = link.send(ask::ANSWER, &[errno.to_string().as_bytes()], &[]);
        }
    }

    fn asked(&mut self, mut message: Message) -> io::Result<Option<u8>> {
        if message.kind == ask::COMMIT {
            self.next.packed = message.fds.pop().map(Rc::new);
            self.next.account = message.words;
            self.committed = true;
            let handed = match &self.server {
                Some(server) => hand_over(&server.link, &self.next, &self.held),
                None => {
                    let next = self.next.clone();
                    self.serve(&next)
                }
            };
            if handed.is_err() {
                self.verdict(false);
            }
            return Ok(None);
        }
        let done = match message.kind {
            ask::LISTEN => self.listen(&message),
            ask::FILE => {
                let path = PathBuf::from(std::ffi::OsStr::from_bytes(message.word(0)));
                InProcess.log_file(&path).map(|file| self.next.files.push(Rc::new((path, file))))
            }
            ask::PROGRAM => self.program(message.word(0), message.word(1) == b"1"),
            ask::ERRORS => {
                let name = Path::new(std::ffi::OsStr::from_bytes(message.word(0)));
                let shell = message.word(1) == b"1";
                let file = self.next.files.iter().find(|file| file.0 == name).cloned().map(Errors::File);
                let found = |program: &&Rc<Program>| program.command == message.word(0) && program.shell == shell;
                let program = self.next.programs.iter().find(found).cloned().map(Errors::Program);
                self.next.errors = if message.words.len() == 1 { file } else { program };
                Ok(())
            }
            ask::PID_FILE => {
                let path = PathBuf::from(std::ffi::OsStr::from_bytes(message.word(0)));
                daemon::write_pid(&path).map(|()| self.pid_file = Some(path))
            }
            _ => Err(io::ErrorKind::InvalidData.into()),
        };
        self.answer(done.map_or_else(|error| error.raw_os_error().unwrap_or(5), |()| 0));
        Ok(None)
    }

    fn listen(&mut self, message: &Message) -> io::Result<()> {
        let addr: SocketAddr =
            String::from_utf8_lossy(message.word(0)).parse().map_err(|_| io::ErrorKind::InvalidInput)?;
        if let Some(open) = self.held.listeners.iter().find(|open| open.addr == addr) {
            self.next.listeners.push(open.clone());
            return Ok(());
        }
        let size = |at| usize::try_from(message.number(at)).unwrap_or(0);
        let options = SocketOptions {
            backlog: i32::try_from(message.number(1)).unwrap_or(511),
            send_buffer: size(2),
            receive_buffer: size(3),
            v6_only: message.number(4) != 0,
        };
        let is_it = |socket: &TcpListener| socket.local_addr().is_ok_and(|given| given == addr);
        let sockets = match self.given.iter().position(is_it) {
            Some(at) => vec![self.given.remove(at)],
            None => InProcess.listen(addr, &options, size(5))?,
        };
        self.next.listeners.push(Rc::new(Listening { addr, sockets }));
        Ok(())
    }

    fn program(&mut self, command: &[u8], shell: bool) -> io::Result<()> {
        let same = |known: &&Rc<Program>| known.command == command && known.shell == shell;
        let program = match self.held.programs.iter().find(same) {
            Some(running) => running.clone(),
            None => {
                // What it says belongs into the error log, the first thing that is opened.
                let errors = self.next.files.first().map(|file| file.1.as_fd());
                Rc::new(Program::start(command, shell, errors, self.background)?)
            }
        };
        self.next.programs.push(program);
        Ok(())
    }

    /// The server says something.
    fn said(&mut self, byte: u8) {
        let Some(server) = &mut self.server else { return };
        match byte {
            say::READY => {
                server.ready = true;
                if self.committed {
                    self.verdict(true);
                }
            }
            say::FAILED if self.committed => self.verdict(false),
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
        if let Err(error) = self.prepare("reload") {
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
        if self.preparer.is_some() {
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
        if self.server.is_none() {
            return Some(0);
        }
        notify::notify("STOPPING=1");
        let mut words = vec![name.as_bytes()];
        words.extend(removed.as_deref().map(|path| path.as_os_str().as_bytes()));
        self.tell(tell::SIGNAL, &words);
        self.state = State::Ending;
        // Nobody may wait in queues that nobody serves.
        self.held.listeners.clear();
        self.next = Held::default();
        if name == "TERM" {
            self.later(LAST, Event::Late);
        }
        None
    }

    fn remove_pid_file(&mut self) -> Option<PathBuf> {
        let path = self.pid_file.take()?;
        std::fs::remove_file(&path).is_ok().then_some(path)
    }

    fn tell(&self, kind: u8, words: &[&[u8]]) {
        if let Some(server) = &self.server
            && server.link.send(kind, words, &[]).is_err()
        {
            // One that does not listen is of no use.
            let _ = daemon::signal(server.pid, Signal::SIGKILL);
        }
    }

    /// The server has ended.
    fn ended(&mut self, status: ExitStatus) -> io::Result<Option<u8>> {
        let Some(server) = self.server.take() else { return Ok(None) };
        match self.state {
            State::Ending => return Ok(Some(0)),
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
        self.log_death(&server, status);
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

    fn restart(&mut self) {
        let held = self.held.clone();
        if let Err(error) = self.serve(&held) {
            logs::error!(Process, Level::Alert, "core", Errno::from(&error) => "cannot start the server process");
            if let Some(server) = &self.server {
                let _ = daemon::signal(server.pid, Signal::SIGKILL);
            } else {
                self.later(PAUSE, Event::Restart);
            }
        }
    }

    fn later(&self, time: Duration, event: Event) {
        let (events, when) = (self.events.clone(), Instant::now() + time);
        tokio::spawn(async move {
            sleep_until(when).await;
            let _ = events.send(event);
        });
    }

    /// httpd's line about a child that died.
    fn log_death(&self, server: &Running, status: ExitStatus) {
        let pid = server.pid;
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

fn pid_of(child: &tokio::process::Child) -> i32 {
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

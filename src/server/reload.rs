//! Orders while serving: a new generation, or the end.

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, channel, unbounded_channel};
use tokio::time::{Instant, sleep, timeout};

use super::run::{self, Options, account, announce, main_errors, socket_options};
use super::steward::child::Steward;
use super::threads::{Order, Serving, Shared, Threads};
use crate::config::Generation;
use crate::logs::{self, Errno, Level, Process, Targets};
use crate::modules::proxy::persist;
use crate::modules::ssl::{StaplingWatch, watch_stapling};
use crate::modules::{heartbeat, heartmonitor, mpm, proxy, proxy_hcheck};
use crate::net::files;
use crate::net::listen::{self, Listener};
use crate::net::opener::Opener;
use crate::upstream::health::Watch;
use crate::upstream::heartbeat::{Listening, Sending};
use crate::web::Live;

/// Who says what is to be done.
pub(super) enum Driver {
    /// Signals, in the one process of `-X`, which has this pid file.
    Signals(PathBuf),
    /// The steward.
    Steward(Steward),
}

/// A signal that asks for a reload.
#[derive(Clone, Copy)]
pub(super) enum Received {
    /// SIGHUP.
    Restart,
    /// SIGUSR1.
    Graceful,
}

/// What is to be done.
pub(super) enum Ask {
    /// Say in the log that this came.
    Note(Received),
    /// Read the configuration and go over to it.
    GoOver,
    /// There was nothing to go over to.
    Rejected,
    /// End; the pid file that was removed for it.
    Terminate {
        /// Its path.
        removed: Option<PathBuf>,
    },
    /// End when nothing is left to do.
    Drain {
        /// The pid file that was removed.
        removed: Option<PathBuf>,
    },
    /// Say that you are there.
    Ping,
    /// Accept no more, and end with the last connection.
    Retire,
}

/// What is in force.
pub(super) struct State {
    pub(super) options: Options,
    pub(super) shared: Arc<Shared>,
    pub(super) threads: Threads,
    pub(super) listeners: Vec<Arc<Listener>>,
    pub(super) opener: Arc<dyn Opener>,
    /// How many sockets each address has.
    pub(super) sockets: usize,
    pub(super) driver: Driver,
    /// Checks of the generation that is served.
    pub(super) health: Option<Watch>,
    /// Who hears of other servers, and tells them of this one.
    pub(super) heartbeats: (Option<Listening>, Option<Sending>),
    /// Those who ask what is stapled to certificates.
    pub(super) staplers: Option<StaplingWatch>,
    /// Keeps the thread that has read what is served; the first configuration of `-X` was read by none.
    pub(super) reader: Option<Reader>,
}

/// How long threads may take to close a socket.
const STUCK: Duration = Duration::from_secs(2);

/// How often a draining server looks whether it is done.
const LOOK: Duration = Duration::from_millis(50);

/// How soon it is looked whether a configuration of before is still used.
const SOON: Duration = Duration::from_millis(1);

/// How often it is looked in the end whether a configuration of before is still used.
const SELDOM: Duration = Duration::from_secs(1);

/// How long requests in progress may take to end after SIGTERM; httpd kills its children after that time.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

/// A second SIGTERM that ends this comes later than one that the steward and the whole group of processes got at once.
const AT_ONCE: Duration = Duration::from_millis(500);

/// Serves until it is told to stop.
pub(super) async fn obey(mut state: State) -> std::io::Result<()> {
    let (asks, mut asked) = unbounded_channel();
    listen_to(&state.driver, asks)?;
    // Only now: who can reach the server can also signal it.
    state.listen().await;
    announce(&state.shared.current.load().generation, &state.options);
    state.watch_health();
    state.watch_staples();
    state.report(true);
    while let Some(ask) = asked.recv().await {
        match ask {
            Ask::Note(received) => {
                let mpm = state.mpm();
                let text = match received {
                    Received::Restart => mpm.restart,
                    Received::Graceful => mpm.graceful,
                };
                logs::error!(Process, Level::Notice, mpm.log, "{text}");
            }
            Ask::GoOver => {
                let serves = state.reload().await;
                state.report(serves);
            }
            Ask::Rejected => state.rejected(),
            Ask::Ping => {
                if let Driver::Steward(steward) = &state.driver {
                    steward.pong();
                }
            }
            Ask::Retire => {
                logs::error!(
                    Process,
                    Level::Notice,
                    "core",
                    "another program serves, this one ends with its connections"
                );
                state.retire(&mut asked).await;
                break;
            }
            Ask::Terminate { removed } => {
                note_removed(removed.as_deref());
                logs::error!(Process, Level::Notice, state.mpm().log, "{}", state.mpm().stop);
                state.drain(&mut asked, Some(LAST_REQUESTS)).await;
                persist::save(&state.shared.current.load().generation);
                break;
            }
            Ask::Drain { removed } => {
                note_removed(removed.as_deref());
                logs::error!(Process, Level::Notice, state.mpm().log, "{}", state.mpm().graceful_stop);
                let generation = state.shared.current.load().generation.clone();
                let most = mpm::of(&generation.globals).graceful_timeout.filter(|seconds| *seconds > 0);
                let most = most.map(|seconds| Duration::from_secs(seconds.min(u64::from(u32::MAX))));
                state.drain(&mut asked, most).await;
                persist::save(&state.shared.current.load().generation);
                break;
            }
        }
    }
    Ok(())
}

/// Has asks come from whoever drives this process.
fn listen_to(driver: &Driver, asks: UnboundedSender<Ask>) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut restart = signal(SignalKind::hangup())?;
    let mut graceful = signal(SignalKind::user_defined1())?;
    let mut stop = signal(SignalKind::window_change())?;
    let pid_file = match driver {
        Driver::Signals(path) => Some(path.clone()),
        Driver::Steward(steward) => {
            steward.listen(asks.clone())?;
            None
        }
    };
    tokio::spawn(async move {
        let remove = || pid_file.clone().filter(|path| std::fs::remove_file(path).is_ok());
        loop {
            let ask = tokio::select! {
                _ = terminate.recv() => Ask::Terminate { removed: remove() },
                // Those come to the steward; a terminal sends them to everybody.
                Some(()) = came(&mut interrupt, &pid_file) => Ask::Terminate { removed: remove() },
                Some(()) = came(&mut stop, &pid_file) => Ask::Drain { removed: remove() },
                Some(()) = came(&mut restart, &pid_file) => {
                    let _ = asks.send(Ask::Note(Received::Restart));
                    Ask::GoOver
                }
                Some(()) = came(&mut graceful, &pid_file) => {
                    let _ = asks.send(Ask::Note(Received::Graceful));
                    Ask::GoOver
                }
            };
            if asks.send(ask).is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// A signal, where signals are for us.
async fn came(signal: &mut Signal, ours: &Option<PathBuf>) -> Option<()> {
    loop {
        signal.recv().await?;
        if ours.is_some() {
            return Some(());
        }
    }
}

/// Keeps what was served before until nobody uses it, so that no thread that serves has to take a large one apart.
async fn bury(before: Arc<Serving>) {
    // Threads have let go of it by now, but for requests in progress. The sooner it goes the better: while it is there
    // the next one is put where it leaves gaps.
    let mut pause = SOON;
    while !before.is_over() {
        sleep(pause).await;
        pause = (pause * 2).min(SELDOM);
    }
}

/// Keeps the thread that has read a configuration.
pub(super) type Reader = mpsc::Sender<()>;

/// Reads a configuration on a thread of its own, which lasts until another one has read another. The allocator has a
/// part of its memory for each thread: so a generation is not put into gaps between the one before and what lasts, and
/// when it goes its pages go whole.
pub(super) fn apart(
    read: impl FnOnce() -> Option<Arc<Generation>> + Send + 'static,
) -> Option<(Arc<Generation>, Reader)> {
    let (done, got) = mpsc::channel();
    let (stay, stays) = mpsc::channel::<()>();
    let reader = move || {
        if done.send(read()).is_ok() {
            // Over when nobody holds the other end.
            let _ = stays.recv();
        }
    };
    std::thread::Builder::new().name("configuration".to_owned()).spawn(reader).ok()?;
    Some((got.recv().ok()??, stay))
}

/// Says that the pid file is gone.
fn note_removed(path: Option<&Path>) {
    if let Some(path) = path {
        let (path, pid) = (path.display(), std::process::id());
        logs::error!(Process, Level::Info, "core", "AH00096: removed PID file {path} (pid={pid})");
    }
}

impl State {
    /// The MPM whose words are said.
    fn mpm(&self) -> &'static mpm::Kind {
        mpm::kind(&self.shared.current.load().generation.globals)
    }

    /// Has the threads listen where `listeners` says and nowhere else; over when they do.
    async fn listen(&self) {
        let (done, mut all_done) = channel(1);
        self.threads.tell(|| Order::Listen(self.listeners.clone(), done.clone()));
        drop(done);
        // A thread that is stuck must not hold up the others' reload.
        let _ = timeout(STUCK, all_done.recv()).await;
    }

    /// Tells the steward whether what was handed over is served.
    fn report(&self, serves: bool) {
        if let Driver::Steward(steward) = &self.driver {
            steward.tell(serves);
        }
    }

    fn rejected(&self) {
        logs::error!(
            Process,
            Level::Error,
            "core",
            "configuration not accepted, the one in force stays; see the messages above"
        );
    }

    /// Reads the configuration again, opens what it asks for, and only then goes over to it; whether it did.
    async fn reload(&mut self) -> bool {
        let before = self.shared.current.load_full();
        let read = self.read(&before.generation);
        files::forget();
        let Some(generation) = read else {
            self.rejected();
            return false;
        };
        if account(&generation) != account(&before.generation) {
            logs::error!(Process, Level::Warn, "core", "User and Group change only with the next start");
        }
        match self.go_over(&before, generation).await {
            Ok(()) => {
                tokio::spawn(bury(before));
                true
            }
            Err(failure) => {
                logs::error!(Process, Level::Error, "core", "{failure}; the configuration in force stays");
                false
            }
        }
    }

    fn read(&mut self, before: &Arc<Generation>) -> Option<Arc<Generation>> {
        let (reload, before) = (self.options.reload.clone(), before.clone());
        let (generation, reader) = apart(move || reload(&before))?;
        self.reader = Some(reader);
        Some(generation)
    }

    async fn go_over(&mut self, before: &Serving, generation: Arc<Generation>) -> Result<(), String> {
        let options = socket_options(&generation);
        let wanted = &generation.globals.listens;
        let listeners = listen::open(&*self.opener, wanted, options, self.sockets, &self.listeners);
        let listeners = listeners.map_err(|error| {
            let text = format!("AH00072: make_sock: {error}");
            logs::error!(Process, Level::Crit, "core", Errno::from(&error.source) => "{text}");
            "no listening sockets available".to_owned()
        })?;
        if listeners.is_empty() {
            return Err("no listening sockets available".to_owned());
        }
        let none = Targets::default();
        let targets = generation.globals.conf.get::<Targets>().unwrap_or(&none);
        let opened = logs::open(&*self.opener, targets, Some(&before.opened)).map_err(|error| {
            error.report(false);
            "AH00015: Unable to open logs".to_owned()
        })?;
        main_errors(&generation, &opened);
        persist::open(&generation, Some(&before.generation), &run::pid_file(&generation), &*self.opener);
        let serving = Serving::new(generation.clone(), opened);
        self.shared.take_pause();
        // Nothing can fail any more.
        proxy::take_over(&generation.globals, &before.generation.globals);
        self.shared.go_over(serving);
        self.threads.tell(|| Order::Refresh);
        self.listeners = listeners;
        self.listen().await;
        announce(&generation, &self.options);
        let micros = self.shared.take_pause().as_micros();
        logs::error!(Process, Level::Debug, "core", "no thread was held up for more than {micros} us by going over");
        self.watch_health();
        self.watch_staples();
        Ok(())
    }

    /// Asks what is stapled to certificates that are served now.
    fn watch_staples(&mut self) {
        let serving = self.shared.current.load();
        let live = Live::new(serving.generation.clone(), serving.opened.sinks.clone());
        self.staplers = Some(watch_stapling(live));
    }

    /// Checks the health of the backends that are served now, and no longer of those before.
    fn watch_health(&mut self) {
        let serving = self.shared.current.load();
        let live = || Live::new(serving.generation.clone(), serving.opened.sinks.clone());
        self.health = proxy_hcheck::watch(live());
        self.heartbeats = (heartmonitor::watch(live()), heartbeat::watch(live()));
    }

    /// Ends when the last connection does. No connection is closed for that: each is told with its next response.
    async fn retire(&mut self, asked: &mut UnboundedReceiver<Ask>) {
        self.threads.tell(|| Order::Retire);
        self.listeners.clear();
        self.health = None;
        self.heartbeats = (None, None);
        // Orders are on their way.
        sleep(LOOK).await;
        while self.shared.connections() > 0 {
            tokio::select! {
                () = sleep(LOOK) => {}
                ask = asked.recv() => match ask {
                    Some(Ask::Terminate { .. }) => return self.drain(asked, Some(LAST_REQUESTS)).await,
                    Some(Ask::Drain { .. }) => return self.drain(asked, None).await,
                    Some(_) => {}
                    None => return,
                },
            }
        }
    }

    /// Ends when the last connection does, at the latest after `most` or with the next SIGTERM.
    async fn drain(&mut self, asked: &mut UnboundedReceiver<Ask>, most: Option<Duration>) {
        let begun = Instant::now();
        let end = most.map(|most| begun + most);
        self.threads.tell(|| Order::Drain);
        self.listeners.clear();
        // The threads first take in who waits in the queues that are closed.
        sleep(LOOK).await;
        while self.shared.connections() > 0 && end.is_none_or(|end| Instant::now() < end) {
            tokio::select! {
                () = sleep(LOOK) => {}
                ask = asked.recv() => {
                    if ask.is_none() || matches!(ask, Some(Ask::Terminate { .. })) && begun.elapsed() > AT_ONCE {
                        return;
                    }
                }
            }
        }
    }
}

//! Signals while serving: a new generation, or the end.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep};

use super::run::{Options, account, announce, main_errors, socket_options};
use super::threads::{Order, Serving, Shared, Threads};
use crate::config::Generation;
use crate::logs::{self, Errno, Level, Process, Targets};
use crate::modules::{mpm, proxy_hcheck};
use crate::net::daemon::as_root;
use crate::net::listen::{self, Listener};
use crate::net::opener::Opener;
use crate::upstream::health::Watch;
use crate::web::Live;

/// What is in force.
pub(super) struct State {
    pub(super) options: Options,
    pub(super) shared: Arc<Shared>,
    pub(super) threads: Threads,
    pub(super) listeners: Vec<Arc<Listener>>,
    pub(super) opener: Box<dyn Opener>,
    /// How many sockets each address has.
    pub(super) sockets: usize,
    /// Checks of the generation that is served.
    pub(super) health: Option<Watch>,
}

/// How often a draining server looks whether it is done.
const LOOK: Duration = Duration::from_millis(50);

/// How long requests in progress may take to end after SIGTERM; httpd kills its children after that time.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

/// Serves until a signal says stop.
pub(super) async fn obey(mut state: State, pid_file: &Path) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut restart = signal(SignalKind::hangup())?;
    let mut graceful = signal(SignalKind::user_defined1())?;
    let mut stop = signal(SignalKind::window_change())?;
    // Only now: who can reach the server can also signal it.
    state.threads.tell(|| Order::Listen(state.listeners.clone()));
    announce(&state.shared.current.load().generation, &state.options);
    state.watch_health();
    loop {
        tokio::select! {
            _ = terminate.recv() => {
                remove(pid_file);
                logs::error!(Process, Level::Notice, state.mpm(), "AH00491: caught SIGTERM, shutting down");
                state.drain(&mut terminate, Some(LAST_REQUESTS)).await;
                return Ok(());
            }
            _ = interrupt.recv() => {
                remove(pid_file);
                logs::error!(Process, Level::Notice, state.mpm(), "AH00491: caught SIGTERM, shutting down");
                state.drain(&mut terminate, Some(LAST_REQUESTS)).await;
                return Ok(());
            }
            _ = restart.recv() => {
                logs::error!(Process, Level::Notice, state.mpm(), "AH00494: SIGHUP received.  Attempting to restart");
                state.reload();
            }
            _ = graceful.recv() => {
                logs::error!(Process, Level::Notice, state.mpm(), "AH00493: SIGUSR1 received.  Doing graceful restart");
                state.reload();
            }
            _ = stop.recv() => {
                remove(pid_file);
                logs::error!(Process, Level::Notice, state.mpm(), "AH00492: caught SIGWINCH, shutting down gracefully");
                let generation = state.shared.current.load().generation.clone();
                let most = mpm::of(&generation.globals).graceful_timeout.filter(|seconds| *seconds > 0);
                let most = most.map(|seconds| Duration::from_secs(seconds.min(u64::from(u32::MAX))));
                state.drain(&mut terminate, most).await;
                return Ok(());
            }
        }
    }
}

/// Takes the pid file away.
fn remove(path: &Path) {
    if as_root(|| std::fs::remove_file(path)).is_ok() {
        let (path, pid) = (path.display(), std::process::id());
        logs::error!(Process, Level::Info, "core", "AH00096: removed PID file {path} (pid={pid})");
    }
}

impl State {
    /// The name under which the MPM logs.
    fn mpm(&self) -> &'static str {
        super::run::mpm_name(&self.shared.current.load().generation)
    }

    /// Reads the configuration again, opens what it asks for, and only then goes over to it.
    fn reload(&mut self) {
        let before = self.shared.current.load_full();
        let Some(generation) = as_root(|| (self.options.reload)(&before.generation)) else {
            logs::error!(
                Process,
                Level::Error,
                "core",
                "configuration not accepted, the one in force stays; see the messages above"
            );
            return;
        };
        if account(&generation) != account(&before.generation) {
            logs::error!(Process, Level::Warn, "core", "User and Group change only with the next start");
        }
        if let Err(failure) = self.go_over(&before, generation) {
            logs::error!(Process, Level::Error, "core", "{failure}; the configuration in force stays");
        }
    }

    fn go_over(&mut self, before: &Serving, generation: Arc<Generation>) -> Result<(), String> {
        let options = socket_options(&generation);
        let wanted = &generation.globals.listens;
        let listeners = as_root(|| listen::open(&*self.opener, wanted, options, self.sockets, &self.listeners));
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
        let opened = as_root(|| logs::open(targets, Some(&before.opened))).map_err(|error| {
            error.report(false);
            "AH00015: Unable to open logs".to_owned()
        })?;
        main_errors(&generation, &opened);
        self.shared.current.store(Arc::new(Serving { generation: generation.clone(), opened }));
        self.threads.tell(|| Order::Refresh);
        self.threads.tell(|| Order::Listen(listeners.clone()));
        self.listeners = listeners;
        announce(&generation, &self.options);
        self.watch_health();
        Ok(())
    }

    /// Checks the health of the backends that are served now, and no longer of those before.
    fn watch_health(&mut self) {
        let serving = self.shared.current.load();
        self.health = proxy_hcheck::watch(Live::new(serving.generation.clone(), serving.opened.sinks.clone()));
    }

    /// Ends when the last connection does, at the latest after `most` or with the next SIGTERM.
    async fn drain(&mut self, terminate: &mut Signal, most: Option<Duration>) {
        let end = most.map(|most| Instant::now() + most);
        self.threads.tell(|| Order::Drain);
        self.listeners.clear();
        // The threads first take in who waits in the queues that are closed.
        sleep(LOOK).await;
        while self.shared.connections() > 0 && end.is_none_or(|end| Instant::now() < end) {
            tokio::select! {
                () = sleep(LOOK) => {}
                _ = terminate.recv() => return,
            }
        }
    }
}

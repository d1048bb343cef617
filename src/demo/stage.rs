//! The process that starts the others, watches them, does what a second terminal asks for, and ends them.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, timeout};

use super::LEASH;
use super::files::{NODES, Plan};

/// How long a part may take to be ready after its start.
const START: Duration = Duration::from_secs(60);

/// How long it may take to leave in order.
const LEAVE: Duration = Duration::from_secs(20);

/// How long whoever connects may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(5);

/// After so long the proxy asks a node again that it found dead (`retry=1`); until then it is as good as not there.
const RETRY: Duration = Duration::from_millis(1100);

/// Lines of a log that are shown when its writer did not start.
const SHOWN: usize = 12;

/// One of the processes.
struct Part {
    name: &'static str,
    words: Vec<String>,
    port: u16,
    log: PathBuf,
    /// What says that it is ready; its log otherwise.
    pid_file: Option<PathBuf>,
    child: Option<Child>,
}

/// Runs the demo until it is told to end.
pub(super) fn run(plan: &Plan, socket: &Path, program: &str) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let mut stage = Stage { parts: parts(plan) };
        let done = stage.play(plan, socket, program).await;
        stage.end().await;
        let _ = fs::remove_file(socket);
        done
    })
}

fn parts(plan: &Plan) -> Vec<Part> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let node = |(index, name): (usize, &&'static str)| {
        let base = plan.node(index);
        Part {
            name,
            words: ["be-node", "run", "--base", &text(&base)].map(str::to_owned).to_vec(),
            port: plan.ajp.get(index).copied().unwrap_or_default(),
            log: base.join("logs/catalina.out"),
            pid_file: None,
            child: None,
        }
    };
    let mut parts: Vec<Part> = NODES.iter().enumerate().map(node).collect();
    parts.push(Part {
        name: "the proxy",
        words: ["be-proxy", "-d", &text(&plan.dir), "-f", "conf/httpd.conf", "-DFOREGROUND"]
            .map(str::to_owned)
            .to_vec(),
        port: plan.proxy,
        log: plan.dir.join("conf/logs/output"),
        pid_file: Some(plan.dir.join("conf/logs/httpd.pid")),
        child: None,
    });
    parts
}

impl Part {
    /// Starts it, and waits until it answers.
    async fn start(&mut self) -> Result<(), String> {
        let failed = |error: io::Error| format!("{}: {error}", self.name);
        let log = OpenOptions::new().create(true).append(true).open(&self.log).map_err(failed)?;
        let from = log.metadata().map_or(0, |found| found.len());
        let mut command = Command::new("/proc/self/exe");
        command.arg0("tandem").arg("demo").args(&self.words).env(LEASH, std::process::id().to_string());
        for name in ["CATALINA_BASE", "CATALINA_HOME", "CATALINA_PID", "CATALINA_OPTS", "JAVA_OPTS"] {
            command.env_remove(name);
        }
        // Ctrl-C is for the stage, which ends its parts one after the other.
        command.process_group(0).stdin(Stdio::piped()).stdout(log.try_clone().map_err(failed)?).stderr(log);
        self.child = Some(command.spawn().map_err(failed)?);
        let until = Instant::now() + START;
        while !self.is_ready(from) {
            if let Some(how) = self.ended() {
                return Err(format!("{} did not start ({how}):\n{}", self.name, self.last_lines(from)));
            }
            if Instant::now() >= until {
                self.end(Signal::SIGKILL).await;
                return Err(format!("{} is not ready:\n{}", self.name, self.last_lines(from)));
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Whether it is ready, by what only itself can say: somebody else may have its port.
    fn is_ready(&self, from: u64) -> bool {
        match &self.pid_file {
            Some(file) => {
                let written = fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok());
                written.is_some() && written == self.child.as_ref().and_then(Child::id)
            }
            None => self.log_since(from).contains("Server startup in"),
        }
    }

    fn log_since(&self, from: u64) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let from = usize::try_from(from).unwrap_or_default();
        String::from_utf8_lossy(text.get(from..).unwrap_or_default()).into_owned()
    }

    fn last_lines(&self, from: u64) -> String {
        let text = self.log_since(from);
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(SHOWN)..).unwrap_or_default().join("\n")
    }

    fn pid(&self) -> Option<Pid> {
        let id = self.child.as_ref()?.id()?;
        i32::try_from(id).ok().map(Pid::from_raw)
    }

    /// Ends it in order, or not.
    async fn end(&mut self, with: Signal) {
        let Some(pid) = self.pid() else { return };
        let _ = kill(pid, with);
        if let Some(mut child) = self.child.take()
            && timeout(LEAVE, child.wait()).await.is_err()
        {
            let _ = child.kill().await;
        }
    }

    /// Forgets it if it has ended; how.
    fn ended(&mut self) -> Option<String> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        self.child = None;
        Some(status.to_string())
    }
}

struct Stage {
    parts: Vec<Part>,
}

impl Stage {
    async fn play(&mut self, plan: &Plan, socket: &Path, program: &str) -> Result<(), String> {
        let failed = |error: io::Error| error.to_string();
        let (mut int, mut term) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
        let (int, term) = (int.as_mut().map_err(|e| e.to_string())?, term.as_mut().map_err(|e| e.to_string())?);
        let mut hup = signal(SignalKind::hangup()).map_err(failed)?;
        let mut children = signal(SignalKind::child()).map_err(failed)?;
        let listener = UnixListener::bind(socket).map_err(failed)?;
        let started = async {
            for part in &mut self.parts {
                part.start().await?;
            }
            Ok::<(), String>(())
        };
        tokio::select! {
            started = started => started?,
            _ = int.recv() => return Ok(()),
            _ = term.recv() => return Ok(()),
            _ = hup.recv() => return Ok(()),
        }
        print!("{}", greeting(plan, program));
        loop {
            tokio::select! {
                _ = int.recv() => return Ok(()),
                _ = term.recv() => return Ok(()),
                _ = hup.recv() => return Ok(()),
                _ = children.recv() => self.report_ends(),
                Ok((stream, _)) = listener.accept() => self.answer(stream).await,
            }
        }
    }

    fn report_ends(&mut self) {
        for part in &mut self.parts {
            if let Some(how) = part.ended() {
                println!("{} has ended ({how}); see {}", part.name, part.log.display());
            }
        }
    }

    /// Does what a second terminal asks for.
    async fn answer(&mut self, stream: UnixStream) {
        let (reading, mut writing) = stream.into_split();
        let mut line = String::new();
        let read = async { BufReader::new(reading.take(64)).read_line(&mut line).await };
        if !matches!(timeout(PATIENCE, read).await, Ok(Ok(1..))) {
            return;
        }
        let answer = match self.obey(line.trim()).await {
            Ok(text) => format!("+{text}\n"),
            Err(text) => format!("-{text}\n"),
        };
        print!("{}", &answer[1..]);
        // Who asked may have gone.
        let _ = timeout(PATIENCE, writing.write_all(answer.as_bytes())).await;
    }

    async fn obey(&mut self, line: &str) -> Result<String, String> {
        self.report_ends();
        let (order, name) = line.split_once(' ').unwrap_or((line, ""));
        if order == "status" {
            let state = |part: &Part| match part.pid() {
                Some(pid) => format!("{}: runs, process {pid}, port {}", part.name, part.port),
                None => format!("{}: does not run", part.name),
            };
            return Ok(self.parts.iter().map(state).collect::<Vec<_>>().join("\n"));
        }
        let part = self.parts.iter_mut().find(|part| part.name == name && NODES.contains(&name));
        let part = part.ok_or_else(|| format!("there is no node [{name}]"))?;
        match (order, part.pid()) {
            ("start", Some(_)) => Err(format!("{name} runs")),
            ("start", None) => {
                part.start().await?;
                sleep(RETRY).await;
                Ok(format!("{name} is there again, and has been given the sessions"))
            }
            ("kill" | "stop", None) => Err(format!("{name} does not run")),
            ("kill", Some(pid)) => {
                part.end(Signal::SIGKILL).await;
                Ok(format!("{name} (process {pid}) was killed: reload the page"))
            }
            ("stop", Some(pid)) => {
                part.end(Signal::SIGTERM).await;
                Ok(format!("{name} (process {pid}) has left the cluster: reload the page"))
            }
            _ => Err(format!("no order [{order}]")),
        }
    }

    /// Ends everything, the proxy first.
    async fn end(&mut self) {
        for part in self.parts.iter_mut().rev() {
            part.end(Signal::SIGTERM).await;
        }
    }
}

fn greeting(plan: &Plan, program: &str) -> String {
    let url = format!("http://127.0.0.1:{}/cluster/", plan.proxy);
    let dir = plan.dir.display();
    let how = plan.group.map_or_else(|| "named in their files".to_owned(), |port| format!("multicast, port {port}"));
    let [one, other] = NODES;
    format!(
        "\nA cluster of two nodes runs, with the proxy in front of them. Its session page:

    {url}

1. Open it, and set an attribute. The page says which node has your session: {one}, say.
2. In a second terminal, take that node away:

    {program} demo kill {one}

3. Reload: {other} answers, and has your session. Bring {one} back, and take {other} away:

    {program} demo start {one}
    {program} demo kill {other}

Without a browser:  curl -b jar -c jar -H 'Accept: application/json' '{url}?op=set&name=colour&value=blue'

Its files: {dir}/conf/extra/httpd-vhosts.conf
           {dir}/{one}/conf/server.xml, {other}/conf/server.xml (members: {how})
Ctrl-C ends it.
"
    )
}

//! A program that runs for one request: a process group of its own, read and written without waiting.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::config::core::CoreDir;
use crate::logs::{self, Bytes, Level};
use crate::pipe::cgi;
use crate::web::Exchange;

/// What becomes of what it says on its standard error.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::modules) enum Errors {
    /// It is written to the error log as it is (mod_cgid).
    Raw,
    /// Each line becomes an entry (mod_cgi).
    Entries(&'static str),
    /// It is written to the error log of the request's server as it is.
    RawOfServer,
    /// Nobody hears it.
    Lost,
}

/// How long a program may go on behind its response before it is told to end.
const SOON: Duration = Duration::from_millis(50);

/// How long it may take to do so before it is made to.
const LAST: Duration = Duration::from_secs(3);

/// Bytes read at a time.
const PIECE: usize = 8192;

/// The running program.
pub(in crate::modules) struct Running {
    child: Option<Child>,
    pid: Option<Pid>,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    errors: Errors,
    /// A line of its standard error that goes on.
    line: Vec<u8>,
    /// Lines of its standard error, for the script's log.
    pub(in crate::modules) said: Vec<Vec<u8>>,
    /// How long it may say nothing.
    patience: Duration,
}

/// Starts `argv` in `dir` with the request's environment.
pub(in crate::modules) fn start(
    ex: &Exchange,
    argv: &[&[u8]],
    dir: &[u8],
    errors: Errors,
    patience: Duration,
) -> io::Result<Running> {
    let limits = ex.dir::<CoreDir>().map(|dir| dir.rlimits).unwrap_or_default();
    let shell = limits.shell_words();
    let mut command = match &shell {
        // The shell sets the limits on itself and becomes the program.
        Some(words) => {
            let mut command = Command::new("/bin/sh");
            command.arg("-c").arg(format!("{words} exec \"$0\" \"$@\""));
            command.arg(OsStr::from_bytes(argv.first().copied().unwrap_or_default()));
            command
        }
        None => Command::new(OsStr::from_bytes(argv.first().copied().unwrap_or_default())),
    };
    command.args(argv.iter().skip(1).map(|word| OsStr::from_bytes(word)));
    command.env_clear().current_dir(Path::new(OsStr::from_bytes(dir))).process_group(0);
    for (name, value) in cgi::environment(ex) {
        command.env(OsStr::from_bytes(&name), OsStr::from_bytes(value));
    }
    if let Some(zone) = std::env::var_os("TZ") {
        command.env("TZ", zone);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(match errors {
        Errors::Raw => error_log(ex, 0).map_or_else(Stdio::inherit, Stdio::from),
        Errors::RawOfServer => error_log(ex, ex.server).map_or_else(Stdio::inherit, Stdio::from),
        Errors::Lost => Stdio::null(),
        Errors::Entries(_) => Stdio::piped(),
    });
    let mut child = command.spawn()?;
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    Ok(Running { child: Some(child), pid, stdin, stdout, stderr, errors, line: Vec::new(), said: Vec::new(), patience })
}

/// The error log of a server, by its number.
fn error_log(ex: &Exchange, server: usize) -> Option<std::os::fd::OwnedFd> {
    let server = ex.live.generation.servers.get(server)?;
    let at = server.get::<logs::ErrorLog>().map_or(0, |log| log.sink);
    ex.live.sinks.get(at)?.fd()?.try_clone_to_owned().ok()
}

impl Running {
    /// Writes some of the request's body; what it writes in the meantime is put behind `out`, up to `most` bytes.
    pub(in crate::modules) async fn write(
        &mut self,
        ex: &Exchange,
        bytes: &[u8],
        out: &mut Vec<u8>,
        most: usize,
    ) -> io::Result<usize> {
        loop {
            let Some(stdin) = &mut self.stdin else { return Ok(bytes.len()) };
            let reads = out.len() < most && self.stdout.is_some();
            let mut buffer = [0; 1024];
            let mut errors = [0; 1024];
            tokio::select! {
                wrote = timeout(self.patience, stdin.write(bytes)) => {
                    return wrote.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
                }
                read = read_some(&mut self.stdout, &mut buffer), if reads => match read {
                    Ok(n) if n > 0 => out.extend_from_slice(buffer.get(..n).unwrap_or_default()),
                    _ => self.stdout = None,
                },
                read = read_errors(&mut self.stderr, &mut errors), if self.stderr.is_some() => {
                    self.hear(ex, read, &errors);
                }
            }
        }
    }

    /// Writes some of `bytes` to its input.
    pub(in crate::modules) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.stdin {
            Some(stdin) => Pin::new(stdin).poll_write(cx, bytes),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    /// Puts some more of its output behind `out`; 0 at its end.
    pub(in crate::modules) fn poll_read(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<io::Result<usize>> {
        let Some(stdout) = &mut self.stdout else { return Poll::Ready(Ok(0)) };
        let mut buffer = [0; PIECE];
        let mut buffer = ReadBuf::new(&mut buffer);
        ready!(Pin::new(stdout).poll_read(cx, &mut buffer))?;
        let got = buffer.filled();
        if got.is_empty() {
            self.stdout = None;
        }
        out.extend_from_slice(got);
        Poll::Ready(Ok(got.len()))
    }

    /// No more input.
    pub(in crate::modules) fn close_input(&mut self) {
        self.stdin = None;
    }

    /// Puts more of its output behind `out`; 0 at its end. `None`: there is none at the moment, and `wait` is false.
    pub(in crate::modules) async fn read(
        &mut self,
        ex: &Exchange,
        out: &mut Vec<u8>,
        wait: bool,
    ) -> io::Result<Option<usize>> {
        let mut buffer = [0; PIECE];
        let mut errors = [0; 1024];
        loop {
            if self.stdout.is_none() {
                return Ok(Some(0));
            }
            tokio::select! {
                biased;
                read = read_some(&mut self.stdout, &mut buffer) => {
                    let n = read?;
                    if n == 0 {
                        self.stdout = None;
                    }
                    out.extend_from_slice(buffer.get(..n).unwrap_or_default());
                    return Ok(Some(n));
                }
                read = read_errors(&mut self.stderr, &mut errors), if self.stderr.is_some() => {
                    self.hear(ex, read, &errors);
                }
                () = tokio::time::sleep(self.patience), if wait => return Err(io::ErrorKind::TimedOut.into()),
                () = std::future::ready(()), if !wait => return Ok(None),
            }
        }
    }

    /// What is left on its standard error goes to the log, as far as it is here.
    pub(in crate::modules) async fn hear_out(&mut self, ex: &Exchange) {
        let mut errors = [0; 1024];
        while self.stderr.is_some() {
            let read = timeout(self.patience, read_errors(&mut self.stderr, &mut errors)).await;
            match read {
                Ok(read) => self.hear(ex, read, &errors),
                Err(_) => self.stderr = None,
            }
        }
    }

    fn hear(&mut self, ex: &Exchange, read: io::Result<usize>, bytes: &[u8]) {
        let n = read.unwrap_or(0);
        let mut rest = bytes.get(..n).unwrap_or_default();
        while let Some(end) = memchr::memchr(b'\n', rest) {
            self.line.extend_from_slice(rest.get(..end).unwrap_or_default());
            self.entry(ex);
            rest = rest.get(end + 1..).unwrap_or_default();
        }
        self.line.extend_from_slice(rest);
        if n == 0 {
            self.stderr = None;
        }
        // A line has no end; the log's has.
        if self.line.len() > PIECE || (n == 0 && !self.line.is_empty()) {
            self.entry(ex);
        }
    }

    fn entry(&mut self, ex: &Exchange) {
        let line = std::mem::take(&mut self.line);
        if let Errors::Entries(module) = self.errors {
            say(ex, module, "AH01215", &line);
        }
        if self.said.len() < 64 {
            self.said.push(line);
        }
    }

    /// Ends it and all that it started.
    pub(in crate::modules) fn stop(&mut self) {
        if let Some(pid) = self.pid {
            // Whoever is left of the group; nobody is no fault.
            let _ = killpg(pid, Signal::SIGKILL);
        }
    }
}

/// An entry about what a script said, or what is said in its place.
pub(in crate::modules) fn say(ex: &Exchange, module: &'static str, number: &str, text: &[u8]) {
    let name = Bytes(&ex.filename);
    logs::error!(ex, Level::Error, module, "{}: stderr from {}: {}", number, name, Bytes(text));
}

async fn read_some(from: &mut Option<ChildStdout>, buffer: &mut [u8]) -> io::Result<usize> {
    match from {
        Some(from) => from.read(buffer).await,
        None => Ok(0),
    }
}

async fn read_errors(from: &mut Option<ChildStderr>, buffer: &mut [u8]) -> io::Result<usize> {
    match from {
        Some(from) => from.read(buffer).await,
        None => Ok(0),
    }
}

impl Drop for Running {
    /// A program that goes on is told to end, and made to if it does not.
    fn drop(&mut self) {
        let (Some(mut child), Some(pid)) = (self.child.take(), self.pid) else { return };
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            // Its end may be just behind that of its output.
            if timeout(SOON, child.wait()).await.is_err() {
                let _ = kill(pid, Signal::SIGTERM);
                if timeout(LAST, child.wait()).await.is_err() {
                    let _ = kill(pid, Signal::SIGKILL);
                    let _ = child.wait().await;
                }
            }
        });
    }
}

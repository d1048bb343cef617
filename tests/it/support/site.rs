//! A ServerRoot of one test, and the server process that serves it.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::{Message, PATIENCE, Peer, TempDir, free_port, wait_for};

/// The program under test: `$HTTPD` when set (the real `apache2`), else our own.
pub fn program() -> PathBuf {
    std::env::var_os("HTTPD").map_or_else(|| env!("CARGO_BIN_EXE_tandem").into(), PathBuf::from)
}

/// Whether `$HTTPD` names another server than ours.
pub fn real_httpd() -> bool {
    std::env::var_os("HTTPD").is_some()
}

pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A ServerRoot with `conf/`, `conf/extra/`, `logs/`, `htdocs/` and `modules`, and a port.
pub struct Site {
    dir: TempDir,
    pub port: u16,
}

/// What the program said when it was run to its end.
#[derive(Debug)]
pub struct Verdict {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Site {
    pub fn new(name: &str) -> Self {
        let dir = TempDir::new(name);
        for sub in ["conf/extra", "logs", "htdocs"] {
            fs::create_dir_all(dir.path().join(sub)).unwrap();
        }
        // Debian's module files, so that `LoadModule x modules/mod_x.so` is true for the real httpd.
        symlink("/usr/lib/apache2/modules", dir.path().join("modules")).unwrap();
        fs::write(dir.path().join("htdocs/index.html"), "it works\n").unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self { dir, port: free_port() }
    }

    /// The ServerRoot.
    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.root().join(relative)
    }

    pub fn write(&self, relative: &str, text: impl AsRef<[u8]>) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A file's text; empty when it is not there (a log nobody opened yet).
    pub fn read(&self, relative: &str) -> String {
        fs::read(self.path(relative)).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default()
    }

    /// The lines every `conf/httpd.conf` here starts with: modules (event and authz_core are
    /// always among them), `Listen` on this site's port, pid file, logs, user when root.
    pub fn preamble(&self, modules: &[&str]) -> String {
        let mut conf = format!("ServerRoot \"{}\"\n", self.root().display());
        let always = ["mpm_event", "authz_core", "log_config", "unixd"];
        for name in always.iter().chain(modules.iter().filter(|m| !always.contains(m))) {
            conf += &load(name);
        }
        conf += &format!("Listen 127.0.0.1:{}\nServerName localhost\nPidFile logs/httpd.pid\n", self.port);
        conf += "ErrorLog logs/error_log\nDocumentRoot htdocs\n";
        if is_root() {
            conf += "User www-data\nGroup www-data\n";
        }
        conf
    }

    /// Writes `conf/httpd.conf`: the preamble, then `body`.
    pub fn httpd_conf(&self, modules: &[&str], body: &str) {
        self.write("conf/httpd.conf", self.preamble(modules) + body + "\n");
    }

    /// Runs the program on this site with more arguments, to its end.
    pub fn run(&self, args: &[&str]) -> Verdict {
        let mut command = self.command();
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap_or_else(|e| panic!("{}: {e}", program().display()));
        let pid = child.id();
        let (done, finished) = std::sync::mpsc::channel();
        std::thread::spawn(move || done.send(child.wait_with_output()));
        let Ok(output) = finished.recv_timeout(PATIENCE) else {
            let _ = kill(pid_of(pid), Signal::SIGKILL);
            panic!("{} {args:?} did not end in {PATIENCE:?}", program().display());
        };
        let output = output.unwrap();
        Verdict {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// `-t`.
    pub fn check(&self) -> Verdict {
        self.run(&["-t"])
    }

    /// Starts the server in the foreground and waits until its port answers.
    pub fn start(&self) -> Server<'_> {
        self.start_with(&[])
    }

    /// [`start`](Self::start) with more arguments (`-D NAME`, `-c DIRECTIVE`).
    pub fn start_with(&self, args: &[&str]) -> Server<'_> {
        self.start_as(&program(), args)
    }

    /// [`start_with`](Self::start_with) for another program than the one under test.
    pub fn start_as(&self, program: &Path, args: &[&str]) -> Server<'_> {
        let console = fs::File::create(self.path("logs/console")).unwrap();
        let mut command = self.command_of(program);
        command
            .args(args)
            .arg("-DFOREGROUND")
            .stdin(Stdio::null())
            .stdout(console.try_clone().unwrap())
            .stderr(console)
            // A group of its own, so that nothing of it outlives the test.
            .process_group(0);
        let child = command.spawn().unwrap_or_else(|e| panic!("{}: {e}", program.display()));
        let mut server = Server { child, site: self, port: self.port };
        let started = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            let ended = server.child.try_wait().unwrap();
            assert!(
                ended.is_none() && started.elapsed() < PATIENCE,
                "the server {}\nconsole: {}\nerror log: {}",
                ended.map_or_else(|| "does not listen".into(), |s| format!("ended: {s}")),
                self.read("logs/console"),
                self.read("logs/error_log"),
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        server
    }

    fn command(&self) -> Command {
        self.command_of(&program())
    }

    fn command_of(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.arg("-d").arg(self.root()).args(["-f", "conf/httpd.conf"]);
        // What a shell's locale or Debian's envvars would change in messages and paths.
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("LC_ALL", "C");
        if let Some(zone) = std::env::var_os("TZ") {
            command.env("TZ", zone);
        }
        command
    }
}

/// `LoadModule` for one of Debian's module files, where it is not compiled in.
fn load(name: &str) -> String {
    format!("<IfModule !{name}_module>\n  LoadModule {name}_module modules/mod_{name}.so\n</IfModule>\n")
}

/// A running server; stopped when dropped.
pub struct Server<'a> {
    child: Child,
    site: &'a Site,
    pub port: u16,
}

impl Server<'_> {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A connection to the server.
    pub fn connect(&self) -> Peer {
        Peer::to(self.port)
    }

    /// One GET on a connection of its own; `headers` are whole lines ended by CRLF.
    pub fn get(&self, target: &str, headers: &str) -> Message {
        let mut client = self.connect();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n"));
        client.response()
    }

    pub fn signal(&self, signal: Signal) {
        kill(pid_of(self.child.id()), signal).unwrap();
    }

    /// SIGTERM and the end of the process, or a panic; its exit code.
    pub fn stop(mut self) -> Option<i32> {
        self.signal(Signal::SIGTERM);
        wait_for("the server to stop", PATIENCE, || self.child.try_wait().unwrap()).code()
    }

    /// SIGKILL, and the end of everything: nobody listens any more.
    pub fn kill(mut self) {
        self.signal(Signal::SIGKILL);
        wait_for("the server to end", PATIENCE, || self.child.try_wait().unwrap());
        let listens = || TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok();
        wait_for("the port to be free", PATIENCE, || (!listens()).then_some(()));
    }

    /// Waits until a log of the site satisfies `done`; its text then.
    pub fn log(&self, relative: &str, done: impl Fn(&str) -> bool) -> String {
        let started = Instant::now();
        loop {
            let text = self.site.read(relative);
            if done(&text) {
                return text;
            }
            assert!(started.elapsed() < PATIENCE, "{relative} is still:\n{text}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill(pid_of(self.child.id()), Signal::SIGTERM);
            let started = Instant::now();
            while matches!(self.child.try_wait(), Ok(None)) && started.elapsed() < Duration::from_secs(5) {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        // What is left of its group: children that outlived a crash of the parent.
        let _ = killpg(pid_of(self.child.id()), Signal::SIGKILL);
        let _ = self.child.wait();
        if std::thread::panicking() {
            for log in ["logs/console", "logs/error_log"] {
                eprintln!("--- {log}\n{}", self.site.read(log));
            }
        }
    }
}

fn pid_of(id: u32) -> Pid {
    Pid::from_raw(i32::try_from(id).unwrap())
}

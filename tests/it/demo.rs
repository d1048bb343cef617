//! `tandem demo`: a session outlives each of its nodes in turn, and everything ends with the demo.

use std::fs;
use std::io::Read as _;
use std::net::TcpStream;
use std::os::unix::fs::{DirBuilderExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{PATIENCE, Peer, TempDir, copy_program, free_port, is_root, wait_for};

/// Two nodes start one after the other, and each listens for others first.
const START: Duration = Duration::from_secs(60);

/// An account without any rights.
const NOBODY: u32 = 65534;

struct Demo {
    program: PathBuf,
    dir: PathBuf,
    port: u16,
    child: Child,
    user: Option<u32>,
    _temp: TempDir,
    _alone: MutexGuard<'static, ()>,
}

/// The nodes take the first ports that are free, which two demos would find at the same time.
static ALONE: Mutex<()> = Mutex::new(());

impl Demo {
    /// Runs it; as `user` if there is one.
    fn start(words: &[&str], user: Option<u32>) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let temp = TempDir::new("demo");
        let dir = temp.path().join("here");
        fs::DirBuilder::new().mode(0o700).create(&dir).unwrap();
        let mut program = PathBuf::from(env!("CARGO_BIN_EXE_tandem"));
        if let Some(user) = user {
            chown(&dir, Some(user), Some(user)).unwrap();
            // Where the checkout is, they may not look.
            let copy = temp.path().join("tandem");
            copy_program(&program, &copy);
            program = copy;
        }
        let port = free_port();
        let output = fs::File::create(temp.path().join("output")).unwrap();
        let mut command = as_user(&program, user);
        command.arg("demo").args(words).arg("--dir").arg(&dir).args(["--port", &port.to_string()]);
        command.stdin(Stdio::null()).stderr(output.try_clone().unwrap()).stdout(output);
        let mut demo = Self { program, dir, port, child: command.spawn().unwrap(), user, _temp: temp, _alone: alone };
        wait_for("the demo", START, || {
            assert!(demo.child.try_wait().unwrap().is_none(), "{}", demo.output());
            demo.output().contains("Ctrl-C ends it.").then_some(())
        });
        demo
    }

    fn output(&self) -> String {
        fs::read_to_string(self.dir.with_file_name("output")).unwrap_or_default()
    }

    /// What a second terminal says.
    fn say(&self, words: &[&str]) -> Output {
        as_user(&self.program, self.user).arg("demo").args(words).arg("--dir").arg(&self.dir).output().unwrap()
    }

    fn done(&self, words: &[&str]) -> String {
        let output = self.say(words);
        assert!(output.status.success(), "{words:?}: {output:?}\n{}", self.output());
        String::from_utf8(output.stdout).unwrap()
    }

    /// The session page, for whoever has this id.
    fn page(&self, query: &str, id: Option<&str>) -> serde_json::Value {
        let cookie = id.map(|id| format!("Cookie: JSESSIONID={id}\r\n")).unwrap_or_default();
        let mut peer = Peer::to(self.port);
        peer.send(format!(
            "GET /cluster/{query} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n{cookie}Connection: close\r\n\r\n"
        ));
        let answer = peer.response();
        assert!(answer.line().starts_with("HTTP/1.1 200"), "{}\n{}", answer.line(), answer.text());
        serde_json::from_str(&answer.text()).unwrap()
    }

    fn log(&self, node: &str) -> String {
        fs::read_to_string(self.dir.join(node).join("logs/catalina.out")).unwrap()
    }

    /// The processes that `status` names.
    fn processes(&self) -> Vec<Pid> {
        let status = self.done(&["status"]);
        let pids = status.lines().filter_map(|line| line.split("process ").nth(1)?.split(',').next()?.parse().ok());
        pids.map(Pid::from_raw).collect()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn as_user(program: &Path, user: Option<u32>) -> Command {
    let mut command = Command::new(program);
    if let Some(user) = user {
        command.uid(user).gid(user).current_dir("/");
    }
    command
}

/// A session through both nodes' deaths.
fn outlives(demo: &Demo) {
    let first = demo.page("?op=set&name=colour&value=blue", None);
    let id = first["id"].as_str().unwrap().to_owned();
    let holder = first["node"].as_str().unwrap().to_owned();
    let other = if holder == "tomcat1" { "tomcat2" } else { "tomcat1" };
    assert!(id.ends_with(&format!(".{holder}")), "{id}");
    assert_eq!(demo.page("?op=set&name=n&type=int&value=7", Some(&id))["node"], holder.as_str(), "it sticks");
    let attributes = demo.page("", Some(&id))["attributes"].clone();
    assert_eq!((&attributes["colour"]["value"], &attributes["n"]["value"]), (&"blue".into(), &7.into()));

    assert!(demo.done(&["kill", &holder]).contains("was killed"));
    let moved = demo.page("", Some(&id));
    assert_eq!((&moved["node"], &moved["attributes"]), (&other.into(), &attributes), "{}", demo.log(other));
    let refused = demo.say(&["kill", &holder]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("does not run"));

    assert!(demo.done(&["start", &holder]).contains("is there again"));
    assert!(demo.log(&holder).contains("session state sent at"), "{}", demo.log(&holder));
    let id = moved["id"].as_str().unwrap();
    assert_eq!(demo.page("", Some(id))["node"], other, "it sticks where it is now");
    demo.done(&["stop", other]);
    let back = demo.page("", Some(id));
    assert_eq!((&back["node"], &back["attributes"]), (&holder.as_str().into(), &attributes));
    assert!(demo.done(&["status"]).contains(&format!("{other}: does not run")));
    demo.done(&["start", other]);
}

#[test]
fn a_session_outlives_each_node() {
    let mut demo = Demo::start(&[], None);
    outlives(&demo);
    let again = demo.say(&[]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("already"), "{again:?}");

    let parts = demo.processes();
    assert_eq!(parts.len(), 3);
    kill(Pid::from_raw(i32::try_from(demo.child.id()).unwrap()), Signal::SIGINT).unwrap();
    let status = wait_for("the end", START, || demo.child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0), "{}", demo.output());
    assert!(parts.iter().all(|pid| kill(*pid, None).is_err()), "all have ended");
    assert!(TcpStream::connect(("127.0.0.1", demo.port)).is_err());
    assert!(!demo.say(&["status"]).status.success());
}

/// Without rights, with members that are named; and nothing stays when the demo itself is killed.
#[test]
fn anybody_may_run_it_and_nothing_outlives_it() {
    let mut demo = Demo::start(&["--static"], is_root().then_some(NOBODY));
    let xml = fs::read_to_string(demo.dir.join("tomcat1/conf/server.xml")).unwrap();
    assert!(xml.contains("StaticMembershipService") && !xml.contains("McastService"), "{xml}");
    outlives(&demo);
    let parts = demo.processes();
    demo.child.kill().unwrap();
    demo.child.wait().unwrap();
    wait_for("the end of what it started", PATIENCE, || parts.iter().all(|pid| ended(*pid)).then_some(()));
    // What it leaves behind is no hindrance.
    let left = demo.dir.join("control");
    assert!(left.exists());
    assert!(String::from_utf8_lossy(&demo.say(&["status"]).stderr).contains("no demo runs in"));
}

/// Whether nothing of it runs: a process nobody waited for is one that has ended.
fn ended(pid: Pid) -> bool {
    let mut stat = String::new();
    let read = fs::File::open(format!("/proc/{pid}/stat")).and_then(|mut file| file.read_to_string(&mut stat));
    read.is_err() || stat.rsplit(") ").next().is_none_or(|rest| rest.starts_with(['Z', 'X']))
}

/// A folder that others write to, or that is none, is not used.
#[test]
fn its_folder_is_its_own() {
    let temp = TempDir::new("demo-folder");
    let dir = temp.path().join("open");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let link = temp.path().join("link");
    std::os::unix::fs::symlink("/tmp", &link).unwrap();
    for dir in [dir, link] {
        let output = Command::new(env!("CARGO_BIN_EXE_tandem")).args(["demo", "--dir"]).arg(&dir).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("only you can write to"), "{said}");
    }
}

/// The manual page has its orders and options.
#[test]
fn the_manual_names_them() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("man/tandem.8")).unwrap();
    let page = page.replace('\\', "");
    let section = page.split("\n.SH DEMO\n").nth(1).and_then(|rest| rest.split("\n.SH ").next()).unwrap();
    let command = tandem::demo::command();
    for sub in command.get_subcommands() {
        assert!(section.contains(&format!("demo {}", sub.get_name())), "{}", sub.get_name());
    }
    for argument in command.get_arguments().filter_map(|argument| argument.get_long()) {
        assert!(section.contains(&format!("--{argument}")), "{argument}");
    }
}

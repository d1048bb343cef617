//! Nodes in network namespaces of their own on one bridge, so that multicast works and nothing touches the host.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::support::{TempDir, is_root, skip, wait_for, which};

/// How long a node may take to start, or to leave, on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);

/// A Java machine that starts soon and stays small.
const QUICK: [&str; 3] = ["-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];

/// What a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Tomcat,
    Tandem,
}

pub(super) struct Lab {
    prefix: String,
    dir: TempDir,
    home: PathBuf,
    pub(super) nodes: Vec<Node>,
    /// What the Java machines are told.
    pub(super) java: Vec<&'static str>,
    _seat: Seat,
}

/// The right to have a lab: several Java machines for each processor would make every node late.
struct Seat;

static TAKEN: Mutex<usize> = Mutex::new(0);
static FREE: Condvar = Condvar::new();

impl Seat {
    /// Waits for one.
    fn take() -> Self {
        let seats = std::thread::available_parallelism().map_or(2, usize::from).max(2);
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        *FREE.wait_while(taken, |taken| *taken >= seats).unwrap_or_else(PoisonError::into_inner) += 1;
        Self
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        FREE.notify_one();
    }
}

pub(super) struct Node {
    pub(super) kind: Kind,
    number: usize,
    namespace: String,
    base: PathBuf,
    child: Option<Child>,
    starts: usize,
    /// The ids it had as a member before it was started last.
    former: BTreeSet<String>,
}

/// A session as a node shows it: its id, and class and value of each attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) id: String,
    pub(super) attributes: BTreeMap<String, (String, String)>,
}

const JSP: &str = r#"<%@ page session="false" contentType="text/plain;charset=UTF-8" import="java.util.*" %><%
String op = request.getParameter("op"), n = request.getParameter("name"), v = request.getParameter("value"), t = request.getParameter("type");
if (op == null) op = "";
HttpSession s = request.getSession(op.equals("set"));
if (s == null) { out.println("none"); return; }
switch (op) {
  case "set": {
    Object o = v;
    switch (t) {
      case "int": o = Integer.valueOf(v); break;
      case "long": o = Long.valueOf(v); break;
      case "boolean": o = Boolean.valueOf(v); break;
      case "double": o = Double.valueOf(v); break;
      case "date": o = new Date(Long.parseLong(v)); break;
      case "bytes": o = v.getBytes("UTF-8"); break;
      case "list": o = new ArrayList<String>(Arrays.asList(v.split(","))); break;
      case "map": { Map<String,Object> m = new HashMap<>(); m.put("k", v); m.put("n", 7); o = m; break; }
      case "null": o = null; break;
      case "pojo": o = new trial.Thing(v, 42); break;
    }
    s.setAttribute(n, o); break;
  }
  case "remove": s.removeAttribute(n); break;
  case "changeid": request.changeSessionId(); break;
  case "maxi": s.setMaxInactiveInterval(Integer.parseInt(v)); break;
  case "invalidate": s.invalidate(); out.println("none"); return;
}
out.println(s.getId());
for (String k : Collections.list(s.getAttributeNames())) { Object o = s.getAttribute(k);
  out.println(k + "\t" + o.getClass().getName() + "\t" + (o instanceof byte[] ? Arrays.toString((byte[]) o) : o instanceof Date ? ((Date) o).getTime() : o)); }
%>"#;

const THING: &str = "package trial; public class Thing implements java.io.Serializable { private static final long serialVersionUID = 77L;
  public enum Mood { CALM, WILD } private final String name; private final int count; private Mood mood = Mood.WILD; private Thing self = this;
  public Thing(String name, int count) { this.name = name; this.count = count; }
  @Override public String toString() { return name + \"/\" + count + \"/\" + mood + \"/\" + (self == this); } }";

impl Lab {
    /// A lab of nodes of these kinds, or a loud skip.
    pub(super) fn new(test: &str, kinds: &[Kind]) -> Option<Self> {
        let home = PathBuf::from(std::env::var_os("CATALINA_HOME").unwrap_or_else(|| "/usr/share/tomcat10".into()));
        let missing = ["ip", "unshare", "java", "javac", "curl"].into_iter().find(|name| which(name).is_none());
        if !is_root() {
            skip(test, "root (for network namespaces)");
            return None;
        }
        if let Some(program) = missing {
            skip(test, program);
            return None;
        }
        if !home.join("bin/bootstrap.jar").is_file() {
            skip(test, "tomcat10");
            return None;
        }
        let seat = Seat::take();
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("td{}x{}", std::process::id() % 100_000, NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = TempDir::new("cluster");
        let mut lab = Self { prefix, dir, home, nodes: Vec::new(), java: QUICK.to_vec(), _seat: seat };
        if !run("ip", &["netns", "add", &lab.switch()]) {
            skip(test, "the right to make network namespaces");
            return None;
        }
        let switch = lab.switch();
        let on_switch = |words: &[&str]| assert!(run("ip", &[&["-n", switch.as_str()], words].concat()), "{words:?}");
        on_switch(&["link", "set", "lo", "up"]);
        on_switch(&["link", "add", "br0", "type", "bridge", "mcast_snooping", "0"]);
        on_switch(&["link", "set", "br0", "up"]);
        let webapp = lab.webapp();
        for (index, kind) in kinds.iter().enumerate() {
            let number = index + 1;
            let namespace = format!("{}n{number}", lab.prefix);
            let (port, address) = (format!("p{number}"), format!("10.77.0.{number}/24"));
            assert!(run("ip", &["netns", "add", &namespace]));
            on_switch(&["link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &namespace]);
            on_switch(&["link", "set", &port, "master", "br0"]);
            on_switch(&["link", "set", &port, "up"]);
            let inside =
                |words: &[&str]| assert!(run("ip", &[&["-n", namespace.as_str()], words].concat()), "{words:?}");
            inside(&["link", "set", "lo", "up"]);
            inside(&["addr", "add", &address, "dev", "eth0"]);
            inside(&["link", "set", "eth0", "up"]);
            inside(&["route", "add", "224.0.0.0/4", "dev", "eth0"]);
            let base = lab.dir.path().join(format!("n{number}"));
            for dir in ["conf", "logs", "temp", "work", "webapps"] {
                fs::create_dir_all(base.join(dir)).unwrap();
            }
            fs::write(base.join("hosts"), format!("127.0.0.1 localhost\n10.77.0.{number} node{number}\n")).unwrap();
            fs::write(base.join("conf/context.xml"), "<Context/>").unwrap();
            if *kind == Kind::Tomcat {
                let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tomcat/conf");
                for file in ["web.xml", "catalina.properties", "logging.properties"] {
                    fs::copy(own.join(file), base.join("conf").join(file)).unwrap();
                }
                assert!(run("cp", &["-r", webapp.to_str().unwrap(), base.join("webapps/clu").to_str().unwrap()]));
            }
            lab.nodes.push(Node {
                kind: *kind,
                number,
                namespace,
                base,
                child: None,
                starts: 0,
                former: BTreeSet::new(),
            });
        }
        Some(lab)
    }

    fn switch(&self) -> String {
        format!("{}sw", self.prefix)
    }

    /// The application that Tomcats run.
    fn webapp(&self) -> PathBuf {
        let dir = self.dir.path().join("clu");
        let classes = dir.join("WEB-INF/classes");
        fs::create_dir_all(classes.join("trial")).unwrap();
        fs::write(dir.join("s.jsp"), JSP).unwrap();
        fs::write(
            dir.join("WEB-INF/web.xml"),
            "<web-app version='6.0' xmlns='https://jakarta.ee/xml/ns/jakartaee'><distributable/></web-app>",
        )
        .unwrap();
        let source = classes.join("trial/Thing.java");
        fs::write(&source, THING).unwrap();
        assert!(run("javac", &["-d", classes.to_str().unwrap(), source.to_str().unwrap()]));
        dir
    }

    /// Gives all nodes this Cluster element; `@I@` and `@IP@` are a node's own. `for_tomcat` replaces words a Tomcat refuses.
    pub(super) fn configure(&self, cluster: &str, for_tomcat: &[(&str, &str)]) {
        for node in &self.nodes {
            let mut cluster = cluster.to_owned();
            let mut host = "<Host name='localhost' appBase='webapps' autoDeploy='false'/>";
            match node.kind {
                Kind::Tomcat => for_tomcat.iter().for_each(|(old, new)| cluster = cluster.replace(old, new)),
                Kind::Tandem => {
                    host = "<Host name='localhost' appBase='webapps'><Context path='/clu' docBase='tandem:session-page'/></Host>";
                }
            }
            let xml = format!(
                "<Server port='-1'><Service name='Catalina'><Connector port='8080' address='@IP@' protocol='HTTP/1.1'/>\
                 <Connector port='8009' address='@IP@' protocol='AJP/1.3' secretRequired='false'/>\
                 <Engine name='Catalina' defaultHost='localhost' jvmRoute='n@I@'>{cluster}{host}</Engine></Service></Server>"
            );
            let number = node.number.to_string();
            let xml = xml.replace("@IP@", &format!("10.77.0.{number}")).replace("@I@", &number);
            fs::write(node.base.join("conf/server.xml"), xml).unwrap();
        }
    }

    pub(super) fn start(&mut self, number: usize) {
        let (home, java) = (self.home.clone(), self.java.clone());
        let former = self.ids_of(number);
        let node = &mut self.nodes[number - 1];
        assert!(node.child.is_none(), "{number} runs");
        node.former = former;
        let base = node.base.to_str().unwrap();
        let output = fs::File::create(node.log_path(node.starts)).unwrap();
        node.starts += 1;
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &node.namespace, "unshare", "-m", "-u", "sh", "-c"]);
        command.arg("mount --bind \"$1/hosts\" /etc/hosts && hostname \"$2\" && cd \"$1\" && shift 2 && exec \"$@\"");
        command.args(["sh", base, &format!("node{number}")]);
        match node.kind {
            Kind::Tandem => {
                command.args([env!("CARGO_BIN_EXE_tandem-node"), "run", "--base", base]);
            }
            Kind::Tomcat => {
                let home = home.to_str().unwrap();
                command.arg("java");
                command.args(&java).arg("-Djava.net.preferIPv4Stack=true");
                for module in ["lang", "io", "util", "util.concurrent"] {
                    command.arg(format!("--add-opens=java.base/java.{module}=ALL-UNNAMED"));
                }
                command.arg(format!("-Djava.util.logging.config.file={base}/conf/logging.properties"));
                command.arg("-Djava.util.logging.manager=org.apache.juli.ClassLoaderLogManager");
                command.args([format!("-Dcatalina.home={home}"), format!("-Dcatalina.base={base}")]);
                command.arg(format!("-Djava.io.tmpdir={base}/temp"));
                command.args(["-classpath", &format!("{home}/bin/bootstrap.jar:{home}/bin/tomcat-juli.jar")]);
                command.args(["org.apache.catalina.startup.Bootstrap", "start"]);
            }
        }
        let errors = output.try_clone().unwrap();
        node.child = Some(command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn().unwrap());
        self.wait_for_line(number, "Server startup in");
    }

    /// Waits for a line in the log since the last start.
    pub(super) fn wait_for_line(&mut self, number: usize, text: &str) {
        let node = &mut self.nodes[number - 1];
        let path = node.log_path(node.starts - 1);
        let what = format!("[{text}] in {}", path.display());
        wait_for(&what, PATIENCE, || {
            let log = fs::read_to_string(&path).unwrap_or_default();
            if log.contains(text) {
                return Some(());
            }
            let ended = node.child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some());
            assert!(!ended, "node {number} ended");
            None
        });
    }

    pub(super) fn log(&self, number: usize) -> String {
        let node = &self.nodes[number - 1];
        fs::read_to_string(node.log_path(node.starts - 1)).unwrap()
    }

    pub(super) fn kill(&mut self, number: usize) {
        let mut child = self.nodes[number - 1].child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// An orderly stop; its exit code.
    pub(super) fn stop(&mut self, number: usize) -> Option<i32> {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.pid(number)).unwrap());
        let mut child = self.nodes[number - 1].child.take().unwrap();
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        wait_for("the end of a node", PATIENCE, || child.try_wait().unwrap()).code()
    }

    /// The process of a node that runs.
    pub(super) fn pid(&self, number: usize) -> u32 {
        self.nodes[number - 1].child.as_ref().unwrap().id()
    }

    /// Where a node lives.
    pub(super) fn namespace(&self, number: usize) -> &str {
        &self.nodes[number - 1].namespace
    }

    /// A program that runs where a node does, until it is dropped.
    pub(super) fn spawn(&self, number: usize, program: &Path, words: &[&str]) -> Guest {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", self.namespace(number)]).arg(program).args(words);
        Guest(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Asks a node, with a session's id; what it shows.
    pub(super) fn ask(&self, number: usize, query: &str, id: Option<&str>) -> Option<Shown> {
        let node = &self.nodes[number - 1];
        let text = self.fetch(number, &format!("http://10.77.0.{number}:8080/clu/s.jsp?{query}"), id);
        match node.kind {
            Kind::Tomcat => tomcat_page(&text),
            Kind::Tandem => tandem_page(&text),
        }
    }

    /// Asks a proxy beside a node; whichever kind answers.
    pub(super) fn ask_proxy(&self, number: usize, port: u16, query: &str, id: Option<&str>) -> Option<Shown> {
        let text = self.fetch(number, &format!("http://127.0.0.1:{port}/clu/s.jsp?{query}"), id);
        if text.starts_with('{') { tandem_page(&text) } else { tomcat_page(&text) }
    }

    fn fetch(&self, number: usize, url: &str, id: Option<&str>) -> String {
        let node = &self.nodes[number - 1];
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &node.namespace, "curl", "-s", "-m", "60", "-H", "Accept: application/json"]);
        if let Some(id) = id {
            command.args(["-b", &format!("JSESSIONID={id}")]);
        }
        let output = command.args(["--retry", "5", "--retry-connrefused"]).arg(url).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{url}: {:?} {text}", output.status);
        text
    }

    /// Asks a node until it shows what is expected.
    pub(super) fn shows(&self, number: usize, id: &str, expected: &BTreeMap<String, (String, String)>) -> String {
        self.until(number, id, |shown| comparable(&shown.attributes) == comparable(expected), expected)
    }

    /// Asks a node until it shows an attribute.
    pub(super) fn holds(&self, number: usize, id: &str, name: &str) -> String {
        self.until(number, id, |shown| shown.attributes.contains_key(name), name)
    }

    fn until(&self, number: usize, id: &str, done: impl Fn(&Shown) -> bool, what: impl std::fmt::Debug) -> String {
        let mut id = id.to_owned();
        let mut last = None;
        let deadline = std::time::Instant::now() + PATIENCE;
        // The copy arrives a moment after the response of whoever made it.
        while std::time::Instant::now() < deadline {
            last = self.ask(number, "", Some(&id));
            if let Some(shown) = &last {
                if done(shown) {
                    return shown.id.clone();
                }
                // Asked too early, it has given the session a name of its own.
                if shown.id.split('.').next() == id.split('.').next() {
                    id.clone_from(&shown.id);
                }
            }
            // A page that made a new session would hide the old one's absence.
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("node {number} shows of {id}\n{last:#?}\nnot\n{what:#?}");
    }

    /// The nodes that run, without this one.
    pub(super) fn others(&self, number: usize) -> Vec<usize> {
        let running = self.nodes.iter().filter(|node| node.child.is_some() && node.number != number);
        running.map(|node| node.number).collect()
    }

    /// Waits until a node knows another.
    pub(super) fn knows(&self, number: usize, other: usize) {
        self.last_says(number, other, [COMES, GOES]);
    }

    /// Waits until a node knows that another has gone.
    pub(super) fn misses(&self, number: usize, other: usize) {
        self.last_says(number, other, [GOES, COMES]);
    }

    /// Waits until each of these nodes knows the others.
    pub(super) fn acquainted(&self, numbers: &[usize]) {
        pairs(numbers, |one, other| self.knows(one, other));
    }

    /// Waits until each of these nodes has the others in the map of a BackupManager, which is later than that it knows
    /// them. Whoever is not in it is not told of a session's new id, neither then nor later.
    pub(super) fn share_a_map(&self, numbers: &[usize]) {
        pairs(numbers, |one, other| self.last_says(one, other, [IN_MAP, OUT_OF_MAP]));
    }

    /// Waits until survivors have no such node in their maps any more, and have taken over what was its.
    pub(super) fn unshared(&self, number: usize, survivors: &[usize]) {
        for survivor in survivors {
            self.last_says(*survivor, number, [OUT_OF_MAP, IN_MAP]);
            if self.nodes[survivor - 1].kind == Kind::Tomcat {
                wait_for(&format!("what node {survivor} takes over of {number}"), PATIENCE, || {
                    let log = self.log(*survivor);
                    let at = log.rfind(OUT_OF_MAP)?;
                    log[at..].contains("Relocation of map entries was complete").then_some(())
                });
            }
        }
    }

    /// Waits until the last a node says of another, since that was started, is the first of these, not the second.
    /// What it says of the one that was there before may come later: its port answers again.
    fn last_says(&self, number: usize, other: usize, [wanted, opposite]: [&str; 2]) {
        let name = address_of(other);
        let former = &self.nodes[other - 1].former;
        wait_for(&format!("[{wanted}] of {name} at node {number}"), PATIENCE, || {
            let log = self.log(number);
            let said = |line: &&str| line.contains(wanted) || line.contains(opposite);
            let about = |line: &&str| line.contains(&name) && id_of(line).is_some_and(|id| !former.contains(id));
            log.lines().rfind(|line| said(line) && about(line))?.contains(wanted).then_some(())
        });
    }

    /// The ids of a node that others have logged so far.
    fn ids_of(&self, number: usize) -> BTreeSet<String> {
        let name = address_of(number);
        let mut ids = BTreeSet::new();
        for node in &self.nodes {
            for start in 0..node.starts {
                let log = fs::read_to_string(node.log_path(start)).unwrap_or_default();
                let lines = log.lines().filter(|line| line.contains(&name));
                ids.extend(lines.filter_map(id_of).map(str::to_owned));
            }
        }
        ids
    }

    /// The ends of what all nodes logged, so that a failure far away can be understood.
    fn report(&self) -> String {
        const LINES: usize = 60;
        const WIDTH: usize = 400;
        let mut text = String::new();
        for node in &self.nodes {
            // The start before the last one may be where it went wrong.
            for start in node.starts.saturating_sub(2)..node.starts {
                let log = fs::read_to_string(node.log_path(start)).unwrap_or_default();
                let lines: Vec<&str> = log.lines().filter(|line| !line.trim_start().starts_with("at ")).collect();
                let from = lines.len().saturating_sub(LINES);
                text += &format!("=== node {} ({:?}), start {start}, last {LINES} lines\n", node.number, node.kind);
                for line in &lines[from..] {
                    text.extend(line.chars().take(WIDTH).chain(['\n']));
                }
            }
        }
        text
    }
}

const COMES: &str = "Replication member added:[";
const GOES: &str = "Received member disappeared:[";
const IN_MAP: &str = "AbstractReplicatedMap.mapMemberAdded Map member added:[";
const OUT_OF_MAP: &str = "AbstractReplicatedMap.memberDisappeared Member";

/// A node as lines of a log show it, behind its class.
fn address_of(number: usize) -> String {
    format!("[tcp://{{10, 77, 0, {number}}}")
}

/// The id of the member that a line shows.
fn id_of(line: &str) -> Option<&str> {
    line.split_once("id={")?.1.split('}').next()
}

fn pairs(numbers: &[usize], mut done: impl FnMut(usize, usize)) {
    for one in numbers {
        numbers.iter().filter(|other| *other != one).for_each(|other| done(*one, *other));
    }
}

/// Values of plain types; an object that a node only carries has no text of its own there.
fn comparable(attributes: &BTreeMap<String, (String, String)>) -> BTreeMap<String, (String, String)> {
    let plain = |(class, value): &(String, String)| {
        let carried = class.starts_with("trial.");
        (class.clone(), if carried { String::new() } else { value.replace(' ', "") })
    };
    attributes.iter().map(|(name, pair)| (name.clone(), plain(pair))).collect()
}

fn tomcat_page(text: &str) -> Option<Shown> {
    let mut lines = text.lines();
    let id = lines.next().filter(|line| *line != "none")?.to_owned();
    let attributes = lines.filter_map(|line| {
        let mut words = line.splitn(3, '\t');
        Some((words.next()?.to_owned(), (words.next()?.to_owned(), words.next()?.to_owned())))
    });
    Some(Shown { id, attributes: attributes.collect() })
}

fn tandem_page(text: &str) -> Option<Shown> {
    let page: serde_json::Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    // A new session says that the one asked for is not there, unless the request was to make one.
    let id = page["id"].as_str()?.to_owned();
    let attributes = page["attributes"].as_object()?.iter().map(|(name, shown)| {
        let value = match &shown["value"] {
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Array(list) => {
                let words: Vec<_> =
                    list.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect();
                format!("[{}]", words.join(","))
            }
            serde_json::Value::Object(map) => {
                let words =
                    map.iter().map(|(k, v)| format!("{k}={}", v.as_str().map_or_else(|| v.to_string(), str::to_owned)));
                format!("{{{}}}", words.collect::<Vec<_>>().join(","))
            }
            other => other.to_string(),
        };
        (name.clone(), (shown["class"].as_str().unwrap_or_default().to_owned(), value))
    });
    Some(Shown { id, attributes: attributes.collect() })
}

/// A program beside a node.
pub(super) struct Guest(Child);

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Node {
    fn log_path(&self, start: usize) -> PathBuf {
        self.base.join(format!("logs/out.{start}"))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.report());
        }
        for node in &mut self.nodes {
            if let Some(mut child) = node.child.take() {
                let _ = child.kill();
                let _ = child.wait();
            }
            run("ip", &["netns", "del", &node.namespace]);
        }
        run("ip", &["netns", "del", &self.switch()]);
    }
}

fn run(program: &str, words: &[&str]) -> bool {
    Command::new(program)
        .args(words)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

//! End to end: a proxy in front of two real Tomcats that replicate their sessions.
//!
//! The configuration is a user's: `conf/httpd.conf` that loads the proxy family and includes
//! `conf/extra/httpd-vhosts.conf`, one vhost over `balancer://tomcat-cluster/`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Message, PATIENCE, Server, Site, TempDir, free_port, skip, wait_for, which};

/// What the site's main file loads, besides what every site here has.
const MODULES: &[&str] = &[
    "mpm_event",
    "authz_core",
    "log_config",
    "proxy",
    "proxy_connect",
    "proxy_ftp",
    "proxy_http",
    "proxy_scgi",
    "proxy_ajp",
    "slotmem_shm",
    "proxy_balancer",
    "lbmethod_bybusyness",
    "lbmethod_byrequests",
    "lbmethod_bytraffic",
    "lbmethod_heartbeat",
    "ssl",
    "speling",
    "rewrite",
];

/// How long a Tomcat may take from its start to its first answer.
const STARTUP: Duration = Duration::from_secs(90);

/// A session made through the proxy sticks to its member; when that member is killed, the very
/// next request is answered by the other one with the session's values; the member is used again
/// once `retry` has passed after its return.
#[test]
fn sessions_stick_fail_over_and_come_back() {
    let Some(home) = tomcat_home() else { return skip("tomcat", "tomcat10 or a Java runtime") };
    let mut cluster = Cluster::start(&home);

    // The user's file, word for word: a dead member rests for 60 s.
    let site = cluster.site("cluster", Sticky::Yes, "");
    let server = site.start();
    let mut browser = Browser::default();
    let first = open_session(&server, &mut browser);
    sticks(&server, &mut browser, &first);
    crowd_spreads_and_sticks(&server);
    let second = fails_over(&site, &server, &mut browser, &mut cluster, &first);
    redirects_are_mapped_back(&server, &browser);
    assert_eq!(server.stop(), Some(0), "SIGTERM ends the server in order");
    cluster.revive(&first);

    // The same with a short retry=: the dead member comes back within it.
    let site = cluster.site("retry", Sticky::Yes, " retry=1");
    let server = site.start();
    browser.page = browser.get(&server, "/session.jsp");
    assert_eq!(browser.page.node, second, "the session's new route binds at a new server too");
    let third = fails_over(&site, &server, &mut browser, &mut cluster, &second);
    assert_eq!(third, first, "the revived member held a replica");
    comes_back(&server, &mut cluster, &second);
    drop(server);

    // Without stickysession requests go to both, and replication carries the session along.
    let site = cluster.site("loose", Sticky::No, "");
    let server = site.start();
    wanders(&server, &mut browser);
}

/// A format whose inner quotes are not escaped is four words: refused, in httpd's two lines.
#[test]
fn unescaped_quotes_in_a_log_format_are_refused() {
    let site = Site::new("quotes");
    site.httpd_conf(MODULES, "Include conf/extra/httpd-vhosts.conf");
    let good = vhost(site.port, Sticky::Yes, [9, 19], "");
    let bad = good.replace("\\\"%r\\\"", "\"%r\"");
    assert_ne!(good, bad);

    site.write("conf/extra/httpd-vhosts.conf", &good);
    let verdict = site.check();
    assert_eq!((verdict.code, verdict.stderr.as_str()), (Some(0), "Syntax OK\n"));

    site.write("conf/extra/httpd-vhosts.conf", &bad);
    let verdict = site.check();
    let file = site.path("conf/extra/httpd-vhosts.conf");
    let expected = format!(
        "AH00526: Syntax error on line 3 of {}:\n\
         LogFormat takes 1-2 arguments, a log format string (see docs) and an optional format name\n",
        file.display()
    );
    assert_eq!((verdict.code, verdict.stderr.as_str()), (Some(1), expected.as_str()));
    assert_eq!(verdict.stdout, "");
    // Started rather than checked, it says the same and does not serve.
    let verdict = site.run(&["-DFOREGROUND"]);
    assert_eq!((verdict.code, verdict.stderr.as_str()), (Some(1), expected.as_str()));
}

/// Makes a session with values; which member holds it.
fn open_session(server: &Server<'_>, browser: &mut Browser) -> String {
    let page = browser.get(server, "/session.jsp");
    assert!(page.id.is_none(), "no session is made by looking: {page:?}");
    browser.get(server, "/session.jsp?put=user&value=ada");
    let page = browser.get(server, "/session.jsp?put=cart&value=3+books");
    assert_eq!(page.value("user"), "ada");
    assert_eq!(page.value("cart"), "3 books");
    assert!(browser.cookie().ends_with(&format!(".{}", page.node)), "{:?}", browser.cookies);
    browser.page = page.clone();
    page.node
}

/// 200 requests of one session all reach the member that holds it, over a keep-alive connection
/// and over connections of their own, and 20 that name it in the URL; each is one line of the log.
fn sticks(server: &Server<'_>, browser: &mut Browser, node: &str) {
    let cookie = browser.cookies.clone();
    let before: u32 = browser.page.value("hits").parse().unwrap();
    let logged = lines(server, "put=cart");
    let mut keep = server.connect();
    let mut lengths = Vec::new();
    for n in 1..=200 {
        let target = format!("/session.jsp?n={n}");
        browser.page = if n % 2 == 0 {
            keep.send(browser.request(&target, "keep-alive"));
            browser.take(&keep.response())
        } else {
            browser.get(server, &target)
        };
        lengths.push(browser.page.length);
        assert_eq!(browser.page.node, node, "request {n}");
        assert_eq!(browser.page.value("hits"), (before + n).to_string(), "request {n} found another session");
        assert_eq!(browser.page.value("user"), "ada");
    }
    assert_eq!(browser.cookies, cookie, "a session that stays where it is keeps its id");

    // The same session named in the URL, as links of a client without cookies have it.
    let cookieless = Browser::default();
    for n in 1..=20 {
        let mut client = server.connect();
        let target = format!("/session.jsp;jsessionid={}?url={n}", browser.cookie());
        client.send(cookieless.request(&target, "close"));
        let text = client.response().text();
        assert!(text.starts_with(&format!("node={node}\n")) && text.contains("user=ada\n"), "{target}: {text}");
    }

    let log = server.log("logs/access_log", |text| text.lines().count() >= logged + 220);
    let new: Vec<_> = log.lines().skip(logged).collect();
    assert_eq!(new.len(), 220, "{new:#?}");
    for (n, length) in (1..=200).zip(lengths) {
        let asked = format!("\"GET /session.jsp?n={n} HTTP/1.1\" 200 {length}");
        let of_it: Vec<_> = new.iter().filter(|line| line.ends_with(&asked)).collect();
        assert_eq!(of_it.len(), 1, "{asked}: {of_it:#?}");
    }
    for line in new {
        assert_prefix(line);
    }
}

/// Many clients at once: both members get some of them, each client stays where it was put and
/// none sees another's values.
fn crowd_spreads_and_sticks(server: &Server<'_>) {
    let nodes: Vec<String> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..16)
            .map(|n| {
                scope.spawn(move || {
                    let mut browser = Browser::default();
                    let node = browser.get(server, &format!("/session.jsp?put=user&value=client{n}")).node;
                    for hits in 2..=20 {
                        let page = browser.get(server, "/session.jsp");
                        assert_eq!((page.value("user"), &page.node), (format!("client{n}").as_str(), &node));
                        assert_eq!(page.value("hits"), hits.to_string());
                    }
                    node
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    for route in ["tomcat1", "tomcat2"] {
        assert!(nodes.iter().any(|node| node == route), "{route} got nobody: {nodes:?}");
    }
}

/// Kills the member that holds the session; who answers the very next request.
fn fails_over(site: &Site, server: &Server<'_>, browser: &mut Browser, cluster: &mut Cluster, holder: &str) -> String {
    let before = browser.get(server, "/session.jsp?put=last&value=words");
    assert_eq!(before.node, holder);
    let logged = lines(server, "put=last");
    cluster.kill(holder);

    let after = browser.get(server, "/session.jsp?after=kill");
    assert_ne!(after.node, holder, "a killed member answered");
    for name in ["user", "cart", "last"] {
        assert_eq!(after.value(name), before.value(name), "{name} was lost: {after:?}");
    }
    let hits: u32 = before.value("hits").parse().unwrap();
    assert_eq!(after.value("hits"), (hits + 1).to_string());
    assert!(browser.cookie().ends_with(&format!(".{}", after.node)), "the session moved: {:?}", browser.cookies);

    // The client waited once, got one answer, and the log has one line of it.
    let log = server.log("logs/access_log", |text| text.lines().count() > logged);
    let new: Vec<_> = log.lines().skip(logged).collect();
    assert_eq!(new.len(), 1, "{new:#?}");
    assert!(new[0].contains("\"GET /session.jsp?after=kill HTTP/1.1\" 200 "), "{}", new[0]);

    // The survivor keeps it, while the dead member is at rest and when it is tried again.
    for _ in 0..20 {
        browser.page = browser.get(server, "/session.jsp");
        assert_eq!(browser.page.node, after.node);
    }
    // A session nobody bound yet goes to the survivor as well.
    let stranger = Browser::default().get(server, "/session.jsp?new=1");
    assert_eq!(stranger.node, after.node);

    let errors = site.read("logs/acooly.org-error_log");
    let dead = cluster.ports(holder);
    assert!(
        errors.contains(&format!("AH00957: AJP: attempt to connect to 127.0.0.1:{dead} (127.0.0.1:{dead}) failed")),
        "{errors}"
    );
    assert!(errors.contains("AH00959: ap_proxy_connect_backend disabling worker for (127.0.0.1:"), "{errors}");
    after.node
}

/// The revived member is elected again when its rest is over.
fn comes_back(server: &Server<'_>, cluster: &mut Cluster, dead: &str) {
    cluster.revive(dead);
    let page = wait_for("the revived member to be used", PATIENCE, || {
        let page = Browser::default().get(server, "/session.jsp?new=1");
        (page.node == dead).then_some(page)
    });
    assert!(page.value("id").ends_with(&format!(".{dead}")), "{page:?}");
}

/// `ProxyPassReverse` and `ProxyPreserveHost`: the backend's absolute redirect names this server.
fn redirects_are_mapped_back(server: &Server<'_>, browser: &Browser) {
    let mut client = server.connect();
    client.send(browser.request("/session.jsp?go=1", "close"));
    let answer = client.response();
    assert_eq!(answer.status, 302);
    assert_eq!(answer.header("location").as_deref(), Some("http://www.acooly.org/session.jsp"));
}

/// Without `stickysession` both members answer, and each finds the session the other left.
fn wanders(server: &Server<'_>, browser: &mut Browser) {
    let mut seen = BTreeMap::new();
    let mut hits: u32 = browser.get(server, "/session.jsp").value("hits").parse().unwrap();
    for n in 0..40 {
        let page = browser.get(server, "/session.jsp");
        hits += 1;
        assert_eq!((page.value("user"), page.value("hits")), ("ada", hits.to_string().as_str()), "request {n}");
        *seen.entry(page.node).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), 2, "requests by member: {seen:?}");
}

/// `%{Host}i %h %l %u %t` of an access log line.
fn assert_prefix(line: &str) {
    let rest = line.strip_prefix("www.acooly.org 127.0.0.1 - - [").unwrap_or_else(|| panic!("{line}"));
    let (time, _) = rest.split_once("] \"GET ").unwrap_or_else(|| panic!("{line}"));
    let shape: String = time
        .chars()
        .map(|c| match c {
            '0'..='9' => '0',
            'A'..='Z' | 'a'..='z' => 'a',
            '-' => '+',
            other => other,
        })
        .collect();
    assert_eq!(shape, "00/aaa/0000:00:00:00 +0000", "{line}");
}

/// The access log's lines once `last` is among them: a line is written after its response.
fn lines(server: &Server<'_>, last: &str) -> usize {
    server.log("logs/access_log", |text| text.contains(last) && text.ends_with('\n')).lines().count()
}

#[derive(Clone, Copy, PartialEq)]
enum Sticky {
    Yes,
    No,
}

/// The vhost of the user's file, with our ports.
fn vhost(port: u16, sticky: Sticky, ajp: [u16; 2], parameters: &str) -> String {
    let stickysession = if sticky == Sticky::Yes { " stickysession=JSESSIONID|jsessionid" } else { "" };
    let [one, two] = ajp;
    format!(
        r#"<VirtualHost *:{port}>
    ErrorLog "logs/acooly.org-error_log"
    LogFormat "%{{Host}}i %h %l %u %t \"%r\" %s %b" vcommon
    CustomLog logs/access_log vcommon
    ProxyRequests Off
    ProxyPreserveHost on
    # apache+tomcat cluster
    ProxyPass / balancer://tomcat-cluster/{stickysession} nofailover=Off
    ProxyPassReverse / balancer://tomcat-cluster/
    <Proxy balancer://tomcat-cluster/>
        BalancerMember ajp://127.0.0.1:{one} loadfactor=1 route=tomcat1{parameters}
        BalancerMember ajp://127.0.0.1:{two} loadfactor=1 route=tomcat2{parameters}
        ProxySet lbmethod=bybusyness
    </Proxy>
</VirtualHost>
"#
    )
}

/// A client that keeps cookies.
#[derive(Default)]
struct Browser {
    cookies: BTreeMap<String, String>,
    page: Page,
}

/// What `session.jsp` said.
#[derive(Clone, Debug, Default)]
struct Page {
    node: String,
    id: Option<String>,
    values: BTreeMap<String, String>,
    length: usize,
}

impl Browser {
    fn get(&mut self, server: &Server<'_>, target: &str) -> Page {
        let mut client = server.connect();
        client.send(self.request(target, "close"));
        self.take(&client.response())
    }

    fn request(&self, target: &str, connection: &str) -> String {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookie = if cookies.is_empty() { String::new() } else { format!("Cookie: {}\r\n", cookies.join("; ")) };
        format!("GET {target} HTTP/1.1\r\nHost: www.acooly.org\r\nConnection: {connection}\r\n{cookie}\r\n")
    }

    fn take(&mut self, answer: &Message) -> Page {
        let (head, text) = (String::from_utf8_lossy(&answer.head), answer.text());
        assert_eq!(answer.status, 200, "{head}{text}");
        for cookie in answer.headers("set-cookie") {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        let mut values: BTreeMap<_, _> =
            text.lines().filter_map(|l| l.split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        let node = values.remove("node").unwrap_or_else(|| panic!("not the page: {head}{text}"));
        Page { node, id: values.get("id").cloned(), values, length: answer.body.len() }
    }

    /// The session id as the cookie has it.
    fn cookie(&self) -> &str {
        self.cookies.get("JSESSIONID").map_or("", String::as_str)
    }
}

impl Page {
    fn value(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }
}

/// Two Tomcats on loopback, each the other's only peer.
struct Cluster {
    dir: TempDir,
    home: PathBuf,
    members: [Member; 2],
}

struct Member {
    route: &'static str,
    ajp: u16,
    tribes: u16,
    /// `None` while it is dead.
    process: Option<Child>,
}

impl Cluster {
    /// One after the other: two members that start at once ask each other for sessions
    /// neither can give yet, and wait for the answer until a time-out.
    fn start(home: &Path) -> Self {
        let member = |route| Member { route, ajp: free_port(), tribes: free_port(), process: None };
        let members = [member("tomcat1"), member("tomcat2")];
        let mut cluster = Self { dir: TempDir::new("tomcat"), home: home.to_owned(), members };
        cluster.launch(0);
        cluster.launch(1);
        cluster
    }

    /// A site whose vhost balances over the two.
    fn site(&self, name: &str, sticky: Sticky, parameters: &str) -> Site {
        let site = Site::new(name);
        site.httpd_conf(MODULES, "Include conf/extra/httpd-vhosts.conf");
        let ports = [self.members[0].ajp, self.members[1].ajp];
        site.write("conf/extra/httpd-vhosts.conf", vhost(site.port, sticky, ports, parameters));
        site
    }

    fn index(&self, route: &str) -> usize {
        self.members.iter().position(|m| m.route == route).unwrap_or_else(|| panic!("no member {route:?}"))
    }

    fn ports(&self, route: &str) -> u16 {
        self.members[self.index(route)].ajp
    }

    /// SIGKILL: no goodbye, neither to the peer nor to the proxy.
    fn kill(&mut self, route: &str) {
        let index = self.index(route);
        let mut process = self.members[index].process.take().expect("it runs");
        process.kill().unwrap();
        process.wait().unwrap();
    }

    fn revive(&mut self, route: &str) {
        self.launch(self.index(route));
    }

    /// Starts a member and waits until it serves and the living see each other.
    fn launch(&mut self, index: usize) {
        let (me, peer) = (&self.members[index], &self.members[1 - index]);
        let base = self.dir.path().join(me.route);
        let _ = fs::remove_dir_all(&base);
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tomcat");
        copy_tree(&data.join("conf"), &base.join("conf"));
        copy_tree(&data.join("webapp"), &base.join("webapps/ROOT"));
        for sub in ["temp", "logs", "work"] {
            fs::create_dir_all(base.join(sub)).unwrap();
        }
        let console = base.join("console");
        let output = fs::File::create(&console).unwrap();
        let bin = self.home.join("bin");
        let mut java = Command::new("java");
        for (name, value) in [
            ("catalina.home", self.home.display().to_string()),
            ("catalina.base", base.display().to_string()),
            ("catalina.config", format!("file://{}", base.join("conf/catalina.properties").display())),
            ("java.io.tmpdir", base.join("temp").display().to_string()),
            ("java.util.logging.config.file", base.join("conf/logging.properties").display().to_string()),
            ("java.util.logging.manager", "org.apache.juli.ClassLoaderLogManager".into()),
            ("java.net.preferIPv4Stack", "true".into()),
            ("route", me.route.into()),
            ("member", (index + 1).to_string()),
            ("member.peer", (2 - index).to_string()),
            ("ajp.port", me.ajp.to_string()),
            ("tribes.port", me.tribes.to_string()),
            ("tribes.peer", peer.tribes.to_string()),
        ] {
            java.arg(format!("-D{name}={value}"));
        }
        // A small, quickly started machine.
        java.args(["-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-classpath"])
            .arg(format!("{0}/bootstrap.jar:{0}/tomcat-juli.jar", bin.display()))
            .args(["org.apache.catalina.startup.Bootstrap", "start"])
            .current_dir(&base)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .process_group(0);
        let mut child = java.spawn().unwrap();
        let started = Instant::now();
        let met = peer.process.as_ref().map(|_| self.dir.path().join(peer.route).join("console"));
        let known = |log: &Path, port: u16| {
            let seen = format!("[tcp://127.0.0.1:{port},");
            let text = fs::read_to_string(log).unwrap_or_default();
            let last = text.lines().rfind(|l| l.contains(&seen) && l.contains("SimpleTcpCluster.member"));
            last.is_some_and(|l| l.contains("Replication member added"))
        };
        loop {
            let said = fs::read_to_string(&console).unwrap_or_default();
            let up = said.contains("Server startup in");
            let joined = met.as_ref().is_none_or(|theirs| known(theirs, me.tribes) && known(&console, peer.tribes));
            if up && joined {
                break;
            }
            let ended = child.try_wait().unwrap();
            if ended.is_some() || started.elapsed() > STARTUP {
                let _ = child.kill();
                panic!("{} (up: {up}, joined: {joined}, {ended:?}):\n{said}", me.route);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.members[index].process = Some(child);
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for member in &mut self.members {
            if let Some(process) = &mut member.process {
                let _ = process.kill();
                let _ = process.wait();
            }
        }
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Where Debian, or `$CATALINA_HOME`, has Tomcat's jars; `None` without them or without Java.
pub(crate) fn tomcat_home() -> Option<PathBuf> {
    which("java")?;
    let home = std::env::var_os("CATALINA_HOME").map_or_else(|| "/usr/share/tomcat10".into(), PathBuf::from);
    home.join("bin/bootstrap.jar").is_file().then_some(home)
}

//! Debian's layout, as its packages install it: the tree under `/etc/apache2` with its `envvars`, `apache2ctl`, and the
//! file for logrotate. Only paths and the port are changed; expectations hold for the real program as well.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::lifecycle::{is_there, send};
use crate::support::{PATIENCE, Peer, Site, is_root, program, skip, wait_for, which};

/// A copy of Debian's tree, which serves `htdocs`.
struct Debian {
    site: Site,
}

/// Replaces text in a file of the tree; each must be there.
fn change(path: &Path, pairs: &[(&str, &str)]) {
    let mut text = fs::read_to_string(path).unwrap();
    for (from, to) in pairs {
        assert!(text.contains(from), "{from} is not in {}", path.display());
        text = text.replace(from, to);
    }
    fs::write(path, text).unwrap();
}

impl Debian {
    fn new(name: &str) -> Self {
        let site = Site::new(name);
        let tree = site.path("apache2");
        let copied = Command::new("cp").args(["-a", "/etc/apache2"]).arg(&tree).status().unwrap();
        assert!(copied.success());
        let (root, port) = (site.root().display().to_string(), site.port.to_string());
        for dir in ["run", "lock", "log"] {
            fs::create_dir_all(site.path(dir)).unwrap();
            change(
                &tree.join("envvars"),
                &[(&format!("/var/{dir}/apache2$SUFFIX"), &format!("{root}/{dir}/apache2$SUFFIX"))],
            );
        }
        fs::create_dir_all(site.path("log/apache2")).unwrap();
        change(&tree.join("ports.conf"), &[("Listen 80\n", &format!("Listen 127.0.0.1:{port}\n"))]);
        change(&tree.join("apache2.conf"), &[("<Directory /var/www/>", &format!("<Directory {root}/htdocs/>"))]);
        let host = tree.join("sites-available/000-default.conf");
        change(&host, &[("*:80", &format!("*:{port}")), ("/var/www/html", &format!("{root}/htdocs"))]);
        // What the machine is called must not matter.
        fs::write(tree.join("conf-enabled/name.conf"), "ServerName localhost\n").unwrap();
        Self { site }
    }

    /// Runs `apache2ctl` with a word: exit status, and what it says.
    fn ctl(&self, word: &str) -> (Option<i32>, String) {
        let mut command = Command::new("/usr/sbin/apache2ctl");
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("APACHE_HTTPD", program());
        command.env("APACHE_CONFDIR", self.site.path("apache2"));
        // However this machine was started.
        command.env("APACHE_STARTED_BY_SYSTEMD", "yes");
        command.env("APACHE_LYNX", "curl -s");
        command.env("APACHE_STATUSURL", format!("http://127.0.0.1:{}/server-status", self.site.port));
        let done = command.arg(word).current_dir("/").output().unwrap();
        let text = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
        // What we say beyond httpd: which lines of the tree are without effect yet.
        let ours = |line: &&str| line.starts_with("tandem: warning: ");
        (done.status.code(), text.split_inclusive('\n').filter(|line| !ours(line)).collect())
    }

    fn pid(&self) -> Option<u32> {
        self.site.read("run/apache2/apache2.pid").trim().parse().ok()
    }

    /// How many configurations the server has gone over to.
    fn configured(&self) -> usize {
        self.site.read("log/apache2/error.log").matches("AH00489").count()
    }

    fn get(&self, target: &str) -> u16 {
        let mut client = Peer::to(self.site.port);
        client.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
        client.response().status
    }
}

impl Drop for Debian {
    fn drop(&mut self) {
        if let Some(pid) = self.pid().filter(|pid| is_there(*pid)) {
            send(pid, Signal::SIGTERM);
        }
    }
}

fn is_debian(test: &str) -> bool {
    let there =
        is_root() && ["/etc/apache2/envvars", "/usr/sbin/apache2ctl"].iter().all(|path| Path::new(path).exists());
    if !there {
        skip(test, "root, or Debian's apache2");
    }
    there
}

#[test]
fn apache2ctl_starts_reloads_and_stops_the_stock_tree() {
    if !is_debian("debian") {
        return;
    }
    let debian = Debian::new("debian-ctl");
    let ok = (Some(0), "Syntax OK\n".to_owned());
    assert_eq!(debian.ctl("configtest"), ok);
    assert_eq!(debian.ctl("start"), (Some(0), String::new()));
    let pid = wait_for("the pid file", PATIENCE, || debian.pid());
    wait_for("the start", PATIENCE, || (debian.configured() == 1).then_some(()));
    assert_eq!(debian.get("/index.html"), 200);
    let (code, page) = debian.ctl("status");
    assert!(code == Some(0) && page.contains("Apache Server Status for 127.0.0.1"), "{page}");
    assert_eq!(debian.ctl("start"), (Some(0), format!("httpd (pid {pid}) already running\n")));
    for (times, word) in [(2, "graceful"), (3, "restart")] {
        assert_eq!(debian.ctl(word), (Some(0), String::new()));
        wait_for(word, PATIENCE, || (debian.configured() == times).then_some(()));
        assert_eq!((debian.pid(), debian.get("/index.html")), (Some(pid), 200));
    }
    // What is wrong is said, and the server goes on with what it has.
    let wrong = debian.site.path("apache2/conf-enabled/wrong.conf");
    fs::write(&wrong, "Nonsense on\n").unwrap();
    let (code, text) = debian.ctl("graceful");
    assert_eq!(code, Some(1));
    assert!(text.contains("Invalid command 'Nonsense'") && text.contains("Action 'graceful' failed."), "{text}");
    assert_eq!((debian.pid(), debian.get("/index.html"), debian.configured()), (Some(pid), 200, 3));
    fs::remove_file(wrong).unwrap();
    assert_eq!(debian.ctl("stop"), (Some(0), String::new()));
    wait_for("the end", PATIENCE, || (!is_there(pid)).then_some(()));
    assert_eq!(debian.pid(), None);
    let lines = debian.site.read("log/apache2/access.log");
    assert_eq!(lines.lines().filter(|line| line.contains("\"GET /index.html HTTP/1.1\" 200 ")).count(), 4);
}

#[test]
fn the_stock_logrotate_file_rotates() {
    let Some(logrotate) = which("logrotate").filter(|_| is_debian("debian")) else { return };
    let debian = Debian::new("debian-rotate");
    assert_eq!(debian.ctl("start"), (Some(0), String::new()));
    wait_for("the start", PATIENCE, || (debian.configured() == 1).then_some(()));
    assert_eq!(debian.get("/before"), 404);
    let root = debian.site.root().display().to_string();
    wait_for("a line", PATIENCE, || debian.site.read("log/apache2/access.log").contains("/before").then_some(()));
    let file = debian.site.path("rotate.conf");
    fs::copy("/etc/logrotate.d/apache2", &file).unwrap();
    // Where the logs and the program are; `invoke-rc.d apache2 reload` ends in this.
    let reload =
        format!("APACHE_CONFDIR={root}/apache2 APACHE_HTTPD={} /usr/sbin/apache2ctl graceful", program().display());
    change(
        &file,
        &[
            ("/var/log/apache2", &format!("{root}/log/apache2")),
            ("pgrep -f ^/usr/sbin/apache2", &format!("test -e {root}/run/apache2/apache2.pid")),
            ("invoke-rc.d apache2 reload 2>&1 | logger -t apache2.logrotate", &reload),
        ],
    );
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let done = Command::new(logrotate)
        .args(["-f", "-s"])
        .arg(debian.site.path("rotate.state"))
        .arg(&file)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{said}");
    wait_for("the reload", PATIENCE, || (debian.configured() == 1).then_some(()));
    assert_eq!(debian.get("/after"), 404);
    let log = |name: &str| debian.site.read(&format!("log/apache2/{name}"));
    wait_for("a line", PATIENCE, || log("access.log").contains("/after").then_some(()));
    assert!(log("access.log.1").contains("/before") && !log("access.log").contains("/before"));
    let mode = fs::metadata(debian.site.path("log/apache2/access.log")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    let pid = debian.pid().unwrap();
    assert_eq!(debian.ctl("graceful-stop"), (Some(0), String::new()));
    wait_for("the end", PATIENCE, || (!is_there(pid)).then_some(()));
}

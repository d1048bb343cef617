//! `-k`: what each word says, where, and with which exit status; expectations hold for the real program as well.

use nix::sys::signal::Signal;

use crate::lifecycle::{is_there, send};
use crate::support::{PATIENCE, Site, Verdict, real_httpd, wait_for};

/// The pid that the site's pid file names.
fn pid(site: &Site) -> u32 {
    wait_for("the pid file", PATIENCE, || site.read("logs/httpd.pid").trim().parse().ok())
}

/// Ends what was started in the background, however the test ends.
struct Background<'a>(&'a Site);

impl Drop for Background<'_> {
    fn drop(&mut self) {
        if let Ok(pid) = self.0.read("logs/httpd.pid").trim().parse()
            && is_there(pid)
        {
            send(pid, Signal::SIGTERM);
        }
    }
}

fn verdict(code: i32, stdout: &str, stderr: &str) -> (Option<i32>, String, String) {
    (Some(code), stdout.to_owned(), stderr.to_owned())
}

fn act(site: &Site, word: &str) -> (Option<i32>, String, String) {
    let Verdict { code, stdout, stderr } = site.run(&["-k", word]);
    // What the real one has in its buffer when it goes into the background comes twice.
    let once = stdout.lines().next().map(|line| format!("{line}\n")).unwrap_or_default();
    (code, once, stderr)
}

/// How many entries of the error log begin like this behind their time and process.
fn entries(site: &Site, text: &str) -> usize {
    site.read("logs/error_log").lines().filter(|line| line.contains(&format!("] {text}"))).count()
}

fn logged(site: &Site, text: &str, times: usize) {
    wait_for(text, PATIENCE, || (entries(site, text) == times).then_some(()));
}

#[test]
fn each_word_says_what_becomes_of_the_server() {
    let site = Site::new("life-actions");
    site.httpd_conf(&[], "");
    let _ended = Background(&site);
    let none = "httpd (no pid file) not running\n";
    let trying = "httpd not running, trying to start\n";
    assert_eq!(act(&site, "stop"), verdict(0, none, ""));
    assert_eq!(act(&site, "graceful-stop"), verdict(0, none, ""));
    assert_eq!(act(&site, "restart"), verdict(0, trying, ""));
    logged(&site, "AH00489: ", 1);
    let running = pid(&site);
    assert_eq!(act(&site, "start"), verdict(0, &format!("httpd (pid {running}) already running\n"), ""));
    assert_eq!(act(&site, "restart"), verdict(0, "", ""));
    logged(&site, "AH00494: SIGHUP received.  Attempting to restart", 1);
    logged(&site, "AH00489: ", 2);
    assert_eq!(act(&site, "graceful"), verdict(0, "", ""));
    logged(&site, "AH00493: SIGUSR1 received.  Doing graceful restart", 1);
    logged(&site, "AH00489: ", 3);
    assert_eq!(pid(&site), running);
    // The words of a command are not those of the server.
    let log = site.read("logs/error_log");
    assert!(log.contains("AH00094: Command line: '") && !log.contains(" -k "), "{log}");

    // Whatever the word is, a configuration with an error is told of, and nothing happens.
    let good = site.read("conf/httpd.conf");
    site.write("conf/httpd.conf", good.clone() + "Nonsense\n");
    let wrong = format!(
        "AH00526: Syntax error on line {} of {}/conf/httpd.conf:\nInvalid command 'Nonsense', perhaps misspelled or \
         defined by a module not included in the server configuration\n",
        good.lines().count() + 1,
        site.root().display()
    );
    for word in ["graceful", "restart", "start", "stop", "graceful-stop"] {
        assert_eq!(act(&site, word), verdict(1, "", &wrong), "{word}");
    }
    assert!(is_there(running));
    site.write("conf/httpd.conf", good);
    assert_eq!(act(&site, "graceful-stop"), verdict(0, "", ""));
    logged(&site, "AH00492: caught SIGWINCH, shutting down gracefully", 1);
    wait_for("the end", PATIENCE, || (!is_there(running)).then_some(()));
    assert!(!site.path("logs/httpd.pid").exists());
}

#[test]
fn a_pid_file_may_be_left_over() {
    let site = Site::new("life-stale");
    site.httpd_conf(&[], "");
    let _ended = Background(&site);
    let stale = "httpd (pid 2147483647?) not running\n";
    let put = |text: &str| site.write("logs/httpd.pid", text);
    for word in ["stop", "graceful-stop"] {
        put("2147483647\n");
        assert_eq!(act(&site, word), verdict(0, stale, ""));
        assert_eq!(site.read("logs/httpd.pid"), "2147483647\n");
    }
    let corrupt = "(20014)Internal error (specific information not available): AH00058: Error retrieving pid file \
                   logs/httpd.pid\nAH00059: Remove it before continuing if it is corrupted.\n";
    for text in ["", "x"] {
        for word in ["start", "stop", "restart", "graceful", "graceful-stop"] {
            put(text);
            assert_eq!(act(&site, word), verdict(1, "", corrupt), "{text:?} {word}");
        }
    }
    put("2147483647\n");
    assert_eq!(act(&site, "graceful"), verdict(0, "httpd not running, trying to start\n", ""));
    logged(&site, "AH00489: ", 1);
    let running = pid(&site);
    assert!(running != 2_147_483_647 && is_there(running));
    let overwritten = format!(
        "AH00098: pid file {}/logs/httpd.pid overwritten -- Unclean shutdown of previous Apache run?",
        site.root().display()
    );
    assert_eq!(entries(&site, &overwritten), 1);
    assert_eq!(act(&site, "stop"), verdict(0, "", ""));
    wait_for("the end", PATIENCE, || (!is_there(running)).then_some(()));
    logged(&site, "AH00491: caught SIGTERM, shutting down", 1);
}

#[test]
fn a_reload_writes_the_pid_file_again() {
    let site = Site::new("life-pid-file");
    site.httpd_conf(&[], "");
    let _ended = Background(&site);
    assert_eq!(act(&site, "start").0, Some(0));
    logged(&site, "AH00489: ", 1);
    let running = pid(&site);
    std::fs::remove_file(site.path("logs/httpd.pid")).unwrap();
    send(running, Signal::SIGUSR1);
    assert_eq!(pid(&site), running);
    logged(&site, "AH00489: ", 2);
    let text = site.read("conf/httpd.conf");
    assert!(text.contains("PidFile logs/httpd.pid"), "{text}");
    site.write("conf/httpd.conf", text.replace("logs/httpd.pid", "logs/other.pid"));
    send(running, Signal::SIGHUP);
    let other = format!("{running}\n");
    wait_for("the other pid file", PATIENCE, || (site.read("logs/other.pid") == other).then_some(()));
    assert_eq!(act(&site, "stop"), verdict(0, "", ""));
    wait_for("the end", PATIENCE, || (!is_there(running)).then_some(()));
    // The first name is left behind, as it still led to the server.
    assert!(!site.path("logs/other.pid").exists() && site.read("logs/httpd.pid") == other);
}

#[test]
fn each_mpm_has_its_words() {
    for (mpm, [ready, restart, graceful, stop], limit) in [
        (
            "worker",
            ["AH00292: ", "AH00298: SIGHUP", "AH00297: SIGUSR1", "AH00295: caught SIGTERM"],
            "AH00310: WARNING: ",
        ),
        (
            "prefork",
            ["AH00163: ", "AH00173: SIGHUP", "AH00171: Graceful", "AH00169: caught SIGTERM"],
            "AH00180: WARNING: ",
        ),
    ] {
        let site = Site::new(&format!("life-{mpm}"));
        let limits = if mpm == "worker" { "ThreadsPerChild 100\n" } else { "MaxRequestWorkers 300\n" };
        let text = site.preamble(&[]).replace("mpm_event", &format!("mpm_{mpm}"));
        site.write("conf/httpd.conf", text + limits);
        let _ended = Background(&site);
        let started = site.run(&["-k", "start"]);
        assert!(started.code == Some(0) && started.stderr.starts_with(limit), "{started:?}");
        logged(&site, ready, 1);
        assert_eq!(act(&site, "restart"), verdict(0, "", &started.stderr));
        logged(&site, restart, 1);
        logged(&site, ready, 2);
        // A server that runs says it in other words, in its log.
        let again = if mpm == "worker" { "AH00311: ThreadsPerChild" } else { "AH00181: MaxRequestWorkers" };
        logged(&site, again, 1);
        assert_eq!(act(&site, "graceful").0, Some(0));
        logged(&site, graceful, 1);
        logged(&site, ready, 3);
        let running = pid(&site);
        assert_eq!(act(&site, "stop").0, Some(0));
        wait_for("the end", PATIENCE, || (!is_there(running)).then_some(()));
        logged(&site, stop, 1);
        assert!(!site.read("logs/error_log").contains("WARNING") || real_httpd());
    }
}

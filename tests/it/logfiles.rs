//! Where lines of both logs go: per server, per module, over rotation and reload, into programs that die.

use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{PATIENCE, Server, Site, real_httpd, wait_for};

fn get(server: &Server<'_>, host: &str, target: &str, fields: &str) -> u16 {
    let mut client = server.connect();
    client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{fields}\r\n"));
    client.response().status
}

/// The texts of a log's entries from their `AH` on, those of start and stop left out.
fn entries(site: &Site, log: &str) -> Vec<String> {
    let root = site.root().display().to_string();
    let text = |line: &str| Some(line.get(line.find("] AH")? + 2..)?.replace(&root, "ROOT"));
    site.read(log).lines().filter(|line| line.contains("[client ")).filter_map(text).collect()
}

#[test]
fn each_server_and_module_has_its_log_and_level() {
    let site = Site::new("logfiles-levels");
    let denied = "<Location /denied>\nRequire all denied\n</Location>\n";
    site.httpd_conf(
        &[],
        &format!(
            "LogLevel warn\n{denied}\
             <VirtualHost *:*>\nServerName a.test\nErrorLog logs/a_error\nLogLevel info\n</VirtualHost>\n\
             <VirtualHost *:*>\nServerName b.test\nErrorLog logs/b_error\nLogLevel crit\n\
             <Location /denied/loud>\nLogLevel authz_core:error\n</Location>\n</VirtualHost>\n\
             <VirtualHost *:*>\nServerName c.test\n</VirtualHost>\n\
             <VirtualHost *:*>\nServerName d.test\nErrorLog logs/d_error\nLogLevel authz_core:crit core:info\n\
             ErrorLogFormat \"%l %m %v%% [%{{Referer}}i] %M\"\nErrorLogFormat request \"first of %{{X-Name}}i\"\n\
             </VirtualHost>\n"
        ),
    );
    let server = site.start();
    for host in ["a.test", "b.test", "c.test", "d.test"] {
        assert_eq!(get(&server, host, "/denied/quiet", ""), 403);
        assert_eq!(get(&server, host, "/denied/loud", ""), 403);
        assert_eq!(get(&server, host, "/missing", "X-Name: me\r\nReferer: http://r/\r\n"), 404);
    }
    server.stop();
    let denial = |target: &str| format!("AH01630: client denied by server configuration: ROOT/htdocs{target}");
    let missing = "AH00128: File does not exist: ROOT/htdocs/missing";
    let with_referer = format!("{missing}, referer: http://r/");
    assert_eq!(entries(&site, "logs/a_error"), [denial("/denied"), denial("/denied"), with_referer]);
    assert_eq!(entries(&site, "logs/b_error"), [denial("/denied")]);
    assert_eq!(entries(&site, "logs/error_log"), [denial("/denied"), denial("/denied")]);
    let root = site.root().display().to_string();
    assert_eq!(
        site.read("logs/d_error").replace(&root, "ROOT"),
        format!("first of me\ninfo core d.test% [http://r/] {missing}\n")
    );
}

#[test]
fn a_graceful_restart_opens_files_anew() {
    let site = Site::new("logfiles-rotate");
    site.httpd_conf(&[], "CustomLog logs/access_log \"%U\"\nLogLevel info\n");
    let server = site.start();
    assert_eq!(get(&server, "a.test", "/before", ""), 404);
    server.log("logs/access_log", |text| text == "/before\n");
    for log in ["access_log", "error_log"] {
        std::fs::rename(site.path(&format!("logs/{log}")), site.path(&format!("logs/{log}.1"))).unwrap();
    }
    // Until it is told to look, the server writes where it wrote.
    assert_eq!(get(&server, "a.test", "/between", ""), 404);
    server.log("logs/access_log.1", |text| text == "/before\n/between\n");
    server.signal(Signal::SIGUSR1);
    wait_for("new logs", PATIENCE, || {
        (site.path("logs/access_log").exists() && site.path("logs/error_log").exists()).then_some(())
    });
    server.log("logs/error_log", |text| text.contains("AH00489"));
    wait_for("a request in the new log", PATIENCE, || {
        assert_eq!(get(&server, "a.test", "/after", ""), 404);
        site.read("logs/access_log").starts_with("/after\n").then_some(())
    });
    assert!(!site.read("logs/access_log.1").contains("/after/"), "{}", site.read("logs/access_log.1"));
    server.stop();
}

/// A log program that notes its number and copies its input.
fn copier(site: &Site) -> String {
    let root = site.root().display();
    site.write(
        "copy.sh",
        "echo $$ >>\"$1/logs/pids\"; while read -r line; do echo \"$line\" >>\"$1/logs/copied\"; done\n",
    );
    format!("/bin/sh {root}/copy.sh {root}")
}

fn pids(site: &Site) -> Vec<i32> {
    site.read("logs/pids").lines().filter_map(|line| line.parse().ok()).collect()
}

#[test]
fn a_log_program_that_dies_is_started_again() {
    let site = Site::new("logfiles-die");
    let program = copier(&site);
    site.httpd_conf(&[], &format!("CustomLog \"|{program}\" \"%U\"\n"));
    let server = site.start();
    assert_eq!(get(&server, "a.test", "/one", ""), 404);
    server.log("logs/copied", |text| text == "/one\n");
    // httpd starts its log programs twice, as it reads its configuration twice.
    let started = pids(&site);
    let running = Pid::from_raw(*started.last().unwrap());
    kill(running, Signal::SIGKILL).unwrap();
    wait_for("the program's end", PATIENCE, || kill(running, None).is_err().then_some(()));
    assert_eq!(get(&server, "a.test", "/two", ""), 404);
    server.log("logs/copied", |text| text == "/one\n/two\n");
    assert_eq!(pids(&site).len(), started.len() + 1);
    server.log("logs/error_log", |text| {
        text.contains(&format!("AH00106: piped log program '{program}' failed unexpectedly\n"))
    });
    server.stop();
}

#[test]
fn a_log_program_goes_on_over_a_reload_and_ends_with_the_server() {
    if real_httpd() {
        // httpd ends it and starts another one.
        return;
    }
    let site = Site::new("logfiles-reload");
    let program = copier(&site);
    site.httpd_conf(&[], &format!("CustomLog \"|{program}\" \"%U\"\nErrorLogFormat \"%M\"\n"));
    let server = site.start();
    assert_eq!(get(&server, "a.test", "/one", ""), 404);
    server.log("logs/copied", |text| text == "/one\n");
    server.signal(Signal::SIGUSR1);
    server.log("logs/error_log", |text| text.matches("AH00489").count() == 2);
    assert_eq!(get(&server, "a.test", "/two", ""), 404);
    server.log("logs/copied", |text| text == "/one\n/two\n");
    let pids = pids(&site);
    assert_eq!(pids.len(), 1);
    server.stop();
    wait_for("the program's end", PATIENCE, || kill(Pid::from_raw(pids[0]), None).is_err().then_some(()));
}

#[test]
fn a_log_program_that_does_not_read_holds_up_only_who_brings_too_much() {
    if real_httpd() {
        // Its requests wait as soon as the pipe is full, and nothing is said.
        return;
    }
    let site = Site::new("logfiles-stall");
    let root = site.root().display();
    let program = format!("|$while [ ! -e {root}/go ]; do sleep 0.05; done; exec cat >>{root}/logs/piped");
    site.httpd_conf(
        &[],
        &format!("KeepAlive On\nMaxKeepAliveRequests 0\nTimeout 60\nCustomLog \"{program}\" \"%{{Referer}}i\"\n"),
    );
    let server = site.start();
    let ask = |peer: &mut crate::support::Peer, number: usize| {
        let referer = format!("{number}-{}", "x".repeat(7900));
        peer.send(format!("GET /index.html HTTP/1.1\r\nHost: a.test\r\nReferer: {referer}\r\n\r\n"));
        assert_eq!(peer.response().status, 200);
    };
    // More than a pipe holds: nobody waits.
    let mut peer = server.connect();
    (0..100).for_each(|number| ask(&mut peer, number));
    assert!(!site.path("logs/piped").exists() || site.read("logs/piped").is_empty());
    // More than is kept: requests wait, and it is said once.
    thread::scope(|scope| {
        let rest = scope.spawn(move || (100..200).for_each(|number| ask(&mut peer, number)));
        server.log("logs/error_log", |text| text.contains("reads more slowly than lines come: requests wait for it"));
        assert!(!rest.is_finished());
        site.write("go", "");
    });
    let text = server.log("logs/piped", |text| text.lines().count() == 200);
    for (number, line) in text.lines().enumerate() {
        assert!(line == format!("{number}-{}", "x".repeat(7900)), "{number}: {} bytes", line.len());
    }
    assert_eq!(site.read("logs/error_log").matches("reads more slowly").count(), 1);
    server.stop();
}

#[test]
fn a_log_file_that_is_a_pipe_holds_up_only_who_brings_too_much() {
    if real_httpd() {
        return;
    }
    let site = Site::new("logfiles-fifo");
    site.write("logs/.keep", "");
    let path = site.path("logs/fifo");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
    // Opened for both, it waits for nobody; that nobody reads is what it is about.
    let mut reader = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    site.httpd_conf(&[], "MaxKeepAliveRequests 0\nTimeout 60\nCustomLog logs/fifo \"%{Referer}i\"\n");
    let server = site.start();
    let line = |number: usize| format!("{number}-{}", "x".repeat(7900));
    let ask = |peer: &mut crate::support::Peer, number: usize| {
        peer.send(format!("GET /index.html HTTP/1.1\r\nHost: a.test\r\nReferer: {}\r\n\r\n", line(number)));
        assert_eq!(peer.response().status, 200);
    };
    let mut peer = server.connect();
    (0..100).for_each(|number| ask(&mut peer, number));
    let text = thread::scope(|scope| {
        let rest = scope.spawn(move || (100..200).for_each(|number| ask(&mut peer, number)));
        server
            .log("logs/error_log", |text| text.contains("logs/fifo' reads more slowly than lines come: requests wait"));
        assert!(!rest.is_finished());
        let expected: usize = (0..200).map(|number| line(number).len() + 1).sum();
        let mut text = vec![0; expected];
        std::io::Read::read_exact(&mut reader, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    });
    // Nothing but what this asked, each line whole and in order.
    assert!(text.lines().enumerate().all(|(number, found)| found == line(number)));
    assert_eq!(site.read("logs/error_log").matches("reads more slowly").count(), 1);
    server.stop();
}

#[test]
fn lines_are_whole_whoever_writes_at_the_same_time() {
    const CLIENTS: usize = 8;
    const REQUESTS: usize = 40;
    let site = Site::new("logfiles-whole");
    let program = format!("|$cat >>{}/logs/piped", site.root().display());
    site.httpd_conf(
        &[],
        &format!(
            "KeepAlive On\nMaxKeepAliveRequests 0\nCustomLog logs/file \"%{{Referer}}i\"\n\
                  CustomLog \"{program}\" \"%{{Referer}}i\"\n"
        ),
    );
    let server = site.start();
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let server = &server;
            scope.spawn(move || {
                let mut peer = server.connect();
                for request in 0..REQUESTS {
                    // Longer than what a pipe takes in one piece.
                    let referer = format!("{client}-{request}-").repeat(7900 / format!("{client}-{request}-").len());
                    peer.send(format!("GET /index.html HTTP/1.1\r\nHost: a.test\r\nReferer: {referer}\r\n\r\n"));
                    assert_eq!(peer.response().status, 200);
                }
            });
        }
    });
    let logs = if real_httpd() { &["logs/file"][..] } else { &["logs/file", "logs/piped"] };
    for log in logs {
        let text = server.log(log, |text| text.lines().count() >= CLIENTS * REQUESTS && text.ends_with('\n'));
        assert_eq!(text.lines().count(), CLIENTS * REQUESTS);
        for line in text.lines() {
            let end = line.match_indices('-').nth(1).map(|(at, _)| at + 1).unwrap();
            assert!(line == line[..end].repeat(7900 / end), "{log}: {} bytes: {line}", line.len());
        }
    }
    server.stop();
}

#[test]
fn buffered_lines_come_at_the_latest_with_the_end() {
    let site = Site::new("logfiles-buffered");
    site.httpd_conf(&[], "BufferedLogs On\nCustomLog logs/access_log \"%U\"\n");
    let server = site.start();
    let long = "x".repeat(200);
    for at in 0..30 {
        assert_eq!(get(&server, "a.test", &format!("/{at}/{long}"), ""), 404);
    }
    // More than a buffer was written by somebody: some are out, some are held back.
    if !real_httpd() {
        let text = site.read("logs/access_log");
        assert!(text.lines().count() < 30, "{} lines", text.lines().count());
    }
    server.stop();
    let text = site.read("logs/access_log");
    let mut seen: Vec<usize> = text.lines().filter_map(|line| line.split('/').nth(1)?.parse().ok()).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..30).collect::<Vec<_>>());
}

/// What mod_dumpio shows of two requests that come at once, and nothing where it is off.
#[test]
fn bytes_are_shown_where_that_is_asked_for() {
    let site = Site::new("logfiles-dumpio");
    site.httpd_conf(
        &["dumpio", "reflector"],
        "LogLevel warn dumpio:trace7\nDumpIOInput On\nDumpIOOutput On\n\
         <Location /r>\nSetHandler reflector\n</Location>\n",
    );
    let server = site.start();
    let mut client = server.connect();
    client.send(
        "POST /r HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe\0lo\r\n0\r\n\r\n\
         HEAD /none HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    );
    client.rest();
    // Connections in front of this one asked whether the server is there: another thread may log their ends at any time.
    let own = format!("[client {}] mod_dumpio: ", client.stream.local_addr().unwrap());
    let of = |line: &str| Some(line.split_once(&own)?.1.to_owned());
    let over = |text: &str| text.lines().filter_map(of).any(|line| line.contains("(metadata-EOC)"));
    let log = server.log("logs/error_log", over);
    // Heads have each server's own name and the time in them.
    let head = |line: &String| line.contains("HTTP/1.1 200 OK") || line.contains("HTTP/1.1 404");
    let mut shown: Vec<String> = log.lines().filter_map(of).collect();
    for at in (0..shown.len()).filter(|at| head(&shown[*at])).collect::<Vec<_>>() {
        assert!(shown[at].ends_with("\\r\\n\\r\\n"), "{}", shown[at]);
        shown[at] = shown[at].split("\\r\\n").next().unwrap().to_owned();
        shown[at - 1] = " dumpio_out (data-HEAP): @ bytes".to_owned();
    }
    let line = |text: &str, bytes: usize| {
        let asks = "dumpio_in [getline-blocking] 0 readbytes".to_owned();
        [asks, format!(" dumpio_in (data-HEAP): {bytes} bytes"), format!(" dumpio_in (data-HEAP): {text}")]
    };
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let out = "dumpio_out";
    let ends = texts(&[out, " dumpio_out (metadata-EOR): 0 bytes"]);
    let expected = [
        line("POST /r HTTP/1.1\\r\\n", 18).to_vec(),
        line("Host: h\\r\\n", 9).to_vec(),
        line("Transfer-Encoding: chunked\\r\\n", 28).to_vec(),
        line("\\r\\n", 2).to_vec(),
        line("5\\r\\n", 3).to_vec(),
        texts(&["dumpio_in [readbytes-blocking] 5 readbytes", " dumpio_in (data-HEAP): 5 bytes"]),
        // As in httpd a text ends at a NUL.
        texts(&[" dumpio_in (data-HEAP): he"]),
        texts(&[out, " dumpio_out (data-HEAP): @ bytes", " dumpio_out (data-HEAP): HTTP/1.1 200 OK"]),
        texts(&[out, " dumpio_out (data-TRANSIENT): 3 bytes", " dumpio_out (data-TRANSIENT): 5\\r\\n"]),
        texts(&[" dumpio_out (data-HEAP): 5 bytes", " dumpio_out (data-HEAP): he"]),
        texts(&[" dumpio_out (data-IMMORTAL): 2 bytes", " dumpio_out (data-IMMORTAL): \\r\\n"]),
        line("\\r\\n", 2).to_vec(),
        line("0\\r\\n", 3).to_vec(),
        line("\\r\\n", 2).to_vec(),
        texts(&[out, " dumpio_out (data-IMMORTAL): 5 bytes", " dumpio_out (data-IMMORTAL): 0\\r\\n\\r\\n"]),
        texts(&[" dumpio_out (metadata-EOS): 0 bytes"]),
        ends.clone(),
        texts(&["dumpio_in [speculative-nonblocking] 1 readbytes"]),
        texts(&[" dumpio_in (data-HEAP): 1 bytes", " dumpio_in (data-HEAP): H"]),
        texts(&["dumpio_in [getline-blocking] 0 readbytes"]),
        texts(&[" dumpio_in (data-HEAP): 1 bytes", " dumpio_in (data-HEAP): H"]),
        texts(&[" dumpio_in (data-HEAP): 20 bytes", " dumpio_in (data-HEAP): EAD /none HTTP/1.1\\r\\n"]),
        line("Host: h\\r\\n", 9).to_vec(),
        line("Connection: close\\r\\n", 19).to_vec(),
        line("\\r\\n", 2).to_vec(),
        texts(&[out, " dumpio_out (data-HEAP): @ bytes", " dumpio_out (data-HEAP): HTTP/1.1 404 Not Found"]),
        texts(&[" dumpio_out (metadata-EOS): 0 bytes"]),
        ends,
        texts(&[out, " dumpio_out (metadata-FLUSH): 0 bytes", " dumpio_out (metadata-EOC): 0 bytes"]),
    ];
    assert_eq!(shown, expected.concat());

    // Without LogLevel nothing is shown.
    let quiet = Site::new("logfiles-dumpio-quiet");
    quiet.httpd_conf(&["dumpio"], "LogLevel dumpio:trace6\nDumpIOInput On\nDumpIOOutput On\n");
    let server = quiet.start();
    assert_eq!(get(&server, "h", "/none", ""), 404);
    server.stop();
    assert!(!quiet.read("logs/error_log").contains("dumpio_"), "{}", quiet.read("logs/error_log"));
}

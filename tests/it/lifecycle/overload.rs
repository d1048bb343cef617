//! More clients than there is room for, and clients that take their time.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::lifecycle::{serving, status};
use crate::support::{PATIENCE, Peer, Site, program, real_httpd, skip, wait_for, which};

#[test]
fn who_finds_no_descriptor_left_waits() {
    if real_httpd() {
        return;
    }
    const MOST: usize = 96;
    let site = Site::new("life-descriptors");
    // All that connect are inside, without a word.
    site.httpd_conf(&[], "KeepAliveTimeout 60\nAcceptFilter http none\n");
    site.write("start.sh", format!("#!/bin/sh\nulimit -n {MOST}\nexec {} \"$@\"\n", program().display()));
    fs::set_permissions(site.path("start.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    let server = site.start_as(&site.path("start.sh"), &[]);
    serving(&server);
    let request = "GET /index.html HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut clients: Vec<Peer> = (0..MOST).map(|_| server.connect()).collect();
    server.log("logs/error_log", |log| log.contains("(24)Too many open files: AH00468: "));
    // Who is inside is served.
    clients[0].send(request);
    assert_eq!(clients[0].response().status, 200);
    // Who is not waits until somebody goes.
    let mut last = server.connect();
    last.send(request);
    last.patience(Duration::from_millis(300));
    assert!(last.stream.peek(&mut [0]).is_err(), "there is no descriptor for it");
    last.patience(PATIENCE);
    assert_eq!(site.read("logs/error_log").matches("AH00468").count(), 1, "it is said once");
    // Those that go may leave the queue to come in and fill the places once more.
    clients.truncate(1);
    assert_eq!(last.response().status, 200);
    clients[0].send(request);
    assert_eq!(clients[0].response().status, 200);
}

#[test]
fn slow_clients_cost_no_thread_and_hold_up_nobody() {
    const SLOW: usize = 150;
    if real_httpd() {
        // They take its workers.
        return;
    }
    let site = Site::new("life-slow");
    site.httpd_conf(&["reqtimeout"], "KeepAliveTimeout 60\nTimeout 60\n");
    site.write("htdocs/large", vec![b'x'; 4 << 20]);
    let server = site.start();
    let child = serving(&server);
    let took = || {
        let mut times: Vec<Duration> = (0..40)
            .map(|_| {
                let begun = Instant::now();
                assert_eq!(server.get("/index.html", "").status, 200);
                begun.elapsed()
            })
            .collect();
        times.sort_unstable();
        times[20]
    };
    let (threads, before) = (status(child, "Threads"), took());
    // Half of them never read what they asked for, half never end what they say.
    let mut slow: Vec<Peer> = (0..SLOW)
        .map(|at| {
            let mut peer = server.connect();
            peer.send(if at % 2 == 0 {
                "GET /large HTTP/1.1\r\nHost: h\r\n\r\n"
            } else {
                "POST /index.html HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nabc"
            });
            peer
        })
        .collect();
    let beside = took();
    assert_eq!(status(child, "Threads"), threads);
    assert!(beside < before * 10 + Duration::from_millis(50), "{beside:?} beside, {before:?} without");
    // Whoever reads after all gets all of it.
    let answer = slow[0].response();
    assert_eq!((answer.status, answer.body.len()), (200, 4 << 20));
    drop(slow);
    wait_for("their end", PATIENCE, || (server.get("/index.html", "").status == 200).then_some(()));
    eprintln!("{beside:?} beside {SLOW} slow clients, {before:?} without");
}

/// What an attack on a server looks like: `slowhttptest`'s options.
const ATTACKS: [(&str, &[&str]); 4] = [
    ("heads that never end", &["-H", "-i", "1"]),
    ("bodies that never end", &["-B", "-i", "1", "-s", "8192"]),
    ("ranges that overlap", &["-R", "-a", "5", "-b", "3000"]),
    ("answers that nobody reads", &["-X", "-w", "1", "-y", "8", "-n", "1", "-z", "8", "-k", "2"]),
];

#[test]
fn slow_attacks_take_the_service_from_nobody() {
    let Some(attacker) = which("slowhttptest").filter(|_| !real_httpd()) else {
        return skip("lifecycle", "slowhttptest, or it is httpd");
    };
    let site = Site::new("life-attacks");
    site.httpd_conf(&["reqtimeout", "dir"], "DirectoryIndex index.html\nCustomLog logs/access_log \"%U\"\n");
    site.write("htdocs/large", vec![b'x'; 1 << 20]);
    let server = site.start();
    serving(&server);
    for (what, options) in ATTACKS {
        let file = if what.starts_with("answers") || what.starts_with("ranges") { "large" } else { "index.html" };
        let mut attack = Command::new(&attacker)
            .args(options)
            .args(["-c", "400", "-r", "200", "-l", "6", "-p", "5", "-u"])
            .arg(format!("http://127.0.0.1:{}/{file}", site.port))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Others are served all the while.
        let mut served = 0;
        let until = Instant::now() + Duration::from_secs(20);
        while attack.try_wait().unwrap().is_none() {
            assert_eq!(server.get("/index.html", "").status, 200, "{what}");
            served += 1;
            if Instant::now() > until {
                attack.kill().unwrap();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let said = attack.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(text.contains("service available:") && !text.contains("service available:   NO"), "{what}: {text}");
        // How many is for the machine to say; each of them was.
        assert!(served >= 10, "{what}: {served} served");
        eprintln!("{what}: {served} others served");
    }
    assert_eq!(server.get("/index.html", "").status, 200);
}

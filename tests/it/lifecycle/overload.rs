//! More clients than there is room for, and clients that take their time.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::lifecycle::{serving, status};
use crate::support::{PATIENCE, Peer, Site, program, real_httpd, wait_for};

#[test]
fn who_finds_no_descriptor_left_waits() {
    if real_httpd() {
        return;
    }
    const MOST: usize = 96;
    let site = Site::new("life-descriptors");
    site.httpd_conf(&[], "KeepAliveTimeout 60\n");
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
    clients.truncate(1);
    assert_eq!(last.response().status, 200);
    clients[0].send(request);
    assert_eq!(clients[0].response().status, 200);
    assert_eq!(site.read("logs/error_log").matches("AH00468").count(), 1, "it is said once");
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

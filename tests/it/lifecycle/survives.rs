//! What a reload leaves as it is, seen from outside. What it does to the state of a worker, value by value, is tested
//! beside the table in `upstream/worker.rs`.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::mpsc;

use nix::sys::signal::Signal;

use crate::lifecycle::{children, serving};
use crate::support::{Origin, PATIENCE, Peer, Server, Site, real_httpd, wait_for};

const MODULES: &[&str] =
    &["status", "proxy", "proxy_http", "slotmem_shm", "proxy_balancer", "lbmethod_byrequests", "lbmethod_bytraffic"];

/// A balancer with its manager, and the page of the scoreboard; `more` differs from reload to reload.
fn configure(site: &Site, members: &[u16], more: &str) {
    let members: String = members.iter().map(|port| format!("BalancerMember http://127.0.0.1:{port}\n")).collect();
    site.httpd_conf(
        MODULES,
        &format!(
            "ExtendedStatus On\nKeepAliveTimeout 60\n<Location /st>\nSetHandler server-status\n</Location>\n\
             <Location /bm>\nSetHandler balancer-manager\n</Location>\nProxyPass /st !\nProxyPass /bm !\n\
             <Proxy balancer://b>\n{members}</Proxy>\nProxyPass /p balancer://b\n{more}"
        ),
    );
}

/// The `times`th configuration of this server is served.
fn reload(server: &Server<'_>, times: usize) {
    server.signal(if times.is_multiple_of(2) { Signal::SIGUSR1 } else { Signal::SIGHUP });
    server.log("logs/error_log", |log| log.matches("AH00489").count() == times);
}

/// A value of the server's page, or of the balancer's.
fn number(server: &Server<'_>, page: &str, before: &str) -> u64 {
    let text = server.get(page, "Referer: http://localhost/bm\r\n").text();
    let rest = text.split_once(before).unwrap_or_else(|| panic!("{before} is not in {text}")).1;
    let digits: String = rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

fn answering() -> Origin {
    Origin::replying("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")
}

#[test]
fn the_scoreboard_counts_on() {
    if real_httpd() {
        // It counts on too, but not what its children end with.
        return;
    }
    let site = Site::new("survives-scoreboard");
    configure(&site, &[], "");
    let server = site.start();
    for _ in 0..7 {
        assert_eq!(server.get("/index.html", "").status, 200);
    }
    // A request is counted a moment after its response, the page's own as well.
    let mut asked = 0;
    let mut more_than = |least: u64| {
        wait_for("the count", PATIENCE, || {
            asked += 1;
            Some(number(&server, "/st?auto", "Total Accesses:")).filter(|count| *count > least)
        })
    };
    let before = more_than(6);
    configure(&site, &[], "# changed\n");
    reload(&server, 2);
    let after = more_than(before);
    assert!(after < 7 + asked, "{after} of {asked} pages and 7 others");
}

#[test]
fn members_are_elected_on_where_they_were() {
    if real_httpd() {
        return;
    }
    let origins = [answering(), answering()];
    let ports = origins.each_ref().map(|origin| origin.port);
    let site = Site::new("survives-elected");
    configure(&site, &ports, "");
    let server = site.start();
    for _ in 0..5 {
        assert_eq!(server.get("/p/x", "").status, 200);
    }
    let elected = |server: &Server<'_>| number(server, "/bm?xml=1", "<httpd:elected>");
    assert_eq!(elected(&server), 3);
    configure(&site, &ports, "# changed\n");
    reload(&server, 2);
    assert_eq!(elected(&server), 3);
    // It is the second one's turn.
    assert_eq!(server.get("/p/x", "").status, 200);
    assert_eq!((elected(&server), origins[1].requests().len()), (3, 3));
}

#[test]
fn requests_in_progress_are_counted_off() {
    if real_httpd() {
        return;
    }
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let origin = Origin::serving(move |peer, recorder| {
        while let Some(request) = peer.request() {
            recorder.note(request);
            wait.lock().unwrap().recv().unwrap();
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na");
        }
    });
    let site = Site::new("survives-busy");
    configure(&site, &[origin.port], "");
    let server = site.start();
    let busy = || number(&server, "/bm?xml=1", "<httpd:busy>");
    let mut client = server.connect();
    client.send("GET /p/x HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_for("the request", PATIENCE, || (origin.requests().len() == 1).then_some(()));
    assert_eq!(busy(), 1);
    configure(&site, &[origin.port], "# changed\n");
    reload(&server, 2);
    assert_eq!(busy(), 1);
    go.send(()).unwrap();
    assert_eq!(client.response().text(), "a");
    // It is counted off behind its response.
    wait_for("nothing in progress", PATIENCE, || (busy() == 0).then_some(()));
}

#[test]
fn connections_to_a_backend_are_used_on() {
    if real_httpd() {
        return;
    }
    let (kept, goes) = (answering(), answering());
    let site = Site::new("survives-pool");
    let more = format!("ProxyPass /alone http://127.0.0.1:{}\n", kept.port);
    configure(&site, &[], &format!("{more}ProxyPass /other http://127.0.0.1:{}\n", goes.port));
    let server = site.start();
    // One client: its thread keeps the connections.
    let mut client = server.connect();
    let mut ask = |target: &str| {
        client.send(format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"));
        client.response().status
    };
    assert_eq!([ask("/alone/x"), ask("/other/x")], [200, 200]);
    for times in 2..5 {
        configure(&site, &[], &more);
        reload(&server, times);
        assert_eq!([ask("/alone/x"), ask("/other/x")], [200, 404]);
    }
    assert_eq!((kept.connections(), kept.requests().len()), (1, 4));
    assert_eq!(goes.connections(), 1);
}

/// The listening sockets that a process has, by their numbers in the system.
fn listening(pid: u32, port: u16) -> BTreeSet<u64> {
    let suffix = format!(":{port:04X}");
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let of_port = table.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (words.get(1)?.ends_with(&suffix) && *words.get(3)? == "0A").then(|| words.get(9)?.parse::<u64>().ok())?
    });
    let sockets: BTreeSet<u64> = of_port.collect();
    let own = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().filter_map(|entry| {
        let link = fs::metadata(entry.ok()?.path()).ok()?;
        Some(link.ino())
    });
    own.filter(|inode| sockets.contains(inode)).collect()
}

#[test]
fn listeners_are_never_bound_again() {
    if real_httpd() {
        return;
    }
    let site = Site::new("survives-listener");
    configure(&site, &[], "");
    let server = site.start();
    let child = serving(&server);
    let before = listening(child, site.port);
    assert!(!before.is_empty() && listening(server.pid(), site.port) == before);
    for times in 2..5 {
        configure(&site, &[], &format!("Listen 127.0.0.1:{}\n", crate::support::free_port()));
        reload(&server, times);
        assert_eq!(listening(child, site.port), before);
        assert_eq!(children(server.pid()), [child]);
        assert!(Peer::to(site.port).stream.peer_addr().is_ok());
    }
}

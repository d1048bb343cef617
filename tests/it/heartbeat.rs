//! Heartbeats: the real httpd's are understood, and it understands ours.

use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};

use crate::support::{Origin, Server, Site, program, real_httpd, skip, wait_for};

const BALANCING: &[&str] = &["proxy", "proxy_http", "slotmem_shm", "proxy_balancer", "lbmethod_heartbeat"];
const GROUP: &str = "239.0.0.1:27999";
const PATIENCE: Duration = Duration::from_secs(30);

/// Moves this thread to a network of its own where multicast goes round; whether it may.
fn alone() -> bool {
    if unshare(CloneFlags::CLONE_NEWNET).is_err() {
        skip("heartbeats by multicast", "namespaces");
        return false;
    }
    for words in [
        &["link", "set", "lo", "up"][..],
        &["link", "set", "lo", "multicast", "on"],
        &["route", "add", "224.0.0.0/4", "dev", "lo", "src", "127.0.0.1"],
    ] {
        assert!(Command::new("ip").args(words).status().unwrap().success(), "ip {words:?}");
    }
    true
}

/// A server that listens, whose file stands in its document root.
fn listening(name: &str) -> Site {
    let site = Site::new(name);
    let text = format!(
        "HeartbeatListen {GROUP}\nHeartbeatMaxServers 0\nHeartbeatStorage {}\nLogLevel heartmonitor:debug",
        site.path("heard/hb.dat").display()
    );
    site.write("heard/none", "");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(site.path("heard"), mode).unwrap();
    site.httpd_conf(&["watchdog", "slotmem_shm", "heartmonitor"], &text);
    site
}

fn sending(name: &str) -> Site {
    let site = Site::new(name);
    site.httpd_conf(&["watchdog", "heartbeat"], &format!("HeartbeatAddress {GROUP}"));
    site
}

/// Who sends is understood by who listens: its line in the file.
fn heard(sender: &Path, listener: &Path, name: &str) -> String {
    let (there, here) = (sending(&format!("{name}-sends")), listening(&format!("{name}-hears")));
    let _listener = here.start_as(listener, &[]);
    let _sender = there.start_as(sender, &[]);
    wait_for("a heartbeat in the file", PATIENCE, || here.read("heard/hb.dat").lines().next().map(ToOwned::to_owned))
}

#[test]
fn heartbeats_of_either_program_are_heard_by_the_other() {
    let httpd = Path::new("/usr/sbin/apache2");
    if !httpd.exists() {
        return skip("heartbeats of the real httpd", "apache2");
    }
    if !alone() {
        return;
    }
    for (sender, listener, name) in [(httpd, program().as_path(), "theirs"), (program().as_path(), httpd, "ours")] {
        let line = heard(sender, listener, name);
        let (host, words) = line.split_once(' ').unwrap();
        assert_eq!(host, "127.0.0.1", "{name}: {line}");
        let value = |key: &str| -> u32 {
            let word = words.split('&').find_map(|word| word.strip_prefix(&format!("{key}=")));
            word.unwrap_or_else(|| panic!("{name}: {line}")).parse().unwrap()
        };
        // What a server with nothing to do has: all threads of its first processes.
        assert!(value("ready") >= 25 && value("busy") == 0 && value("lastseen") <= 6, "{name}: {line}");
        assert_eq!(value("port"), 80, "{name}: {line}");
    }
}

#[test]
fn a_server_says_how_it_is_once_a_second() {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let site = Site::new("heartbeat-sends");
    let to = socket.local_addr().unwrap();
    site.httpd_conf(&["watchdog", "heartbeat"], &format!("HeartbeatAddress {to}\nThreadsPerChild 10\nStartServers 1"));
    let _server = site.start();
    let mut message = [0; 200];
    for _ in 0..2 {
        let n = socket.recv(&mut message).unwrap();
        let text = std::str::from_utf8(&message[..n]).unwrap();
        assert!(text.starts_with("v=1&ready=") && text.ends_with("&busy=0"), "{text}");
    }
}

fn balanced(site: &Site, file: &str, members: &str, more: &str) {
    site.write("logs/hb.dat", file);
    let text = format!(
        "HeartbeatStorage hb.dat\nLogLevel lbmethod_heartbeat:debug\n\
         <Proxy balancer://b>\n{members}\nProxySet lbmethod=heartbeat\n</Proxy>\nProxyPass /b balancer://b\n{more}"
    );
    site.httpd_conf(BALANCING, &format!("DefaultRuntimeDir logs\n{text}"));
}

fn post(server: &Server<'_>, text: &str) -> String {
    let mut client = server.connect();
    let length = text.len();
    client.send(format!(
        "POST /hb HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{text}"
    ));
    let answer = client.response();
    format!("{} {}", answer.line(), answer.text())
}

#[test]
fn requests_go_to_hosts_that_say_they_are_ready() {
    let (first, second) = (Origin::replying("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"), {
        Origin::replying("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb")
    });
    let members =
        format!("BalancerMember http://127.0.0.1:{}\nBalancerMember http://localhost:{}", first.port, second.port);
    let site = Site::new("heartbeat-balances");
    balanced(&site, "127.0.0.1 &ready=30&busy=1&lastseen=10\nlocalhost &ready=10&busy=1&lastseen=9\n", &members, "");
    let server = site.start();
    let ask = |server: &Server<'_>| -> String { (0..6).map(|_| server.get("/b/", "").text()).collect() };
    assert_eq!(ask(&server), "bbbbbb");
    // The file is read for every request.
    site.write("logs/hb.dat", "127.0.0.1 &ready=400&busy=0&lastseen=0&port=80\n");
    assert_eq!(ask(&server), "aaaaaa");
    site.write("logs/hb.dat", "127.0.0.1 &ready=3&busy=0&lastseen=0\n");
    assert!(server.get("/b/", "").line().contains(" 503 "));
    std::fs::remove_file(site.path("logs/hb.dat")).unwrap();
    assert!(server.get("/b/", "").line().contains(" 503 "));
    let log = server.log("logs/error_log", |log| log.contains("AH01213"));
    assert!(log.contains("(2)No such file or directory"), "{log}");
    assert!(
        log.contains(&format!("AH01214: lb_heartbeat: No server for worker http://localhost:{}", second.port)),
        "{log}"
    );
}

#[test]
fn heartbeats_come_by_http_too() {
    if !alone() {
        return;
    }
    let origin = Origin::replying("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na");
    let members = format!("BalancerMember http://127.0.0.1:{}", origin.port);
    let site = Site::new("heartbeat-http");
    let more = "<IfModule !heartmonitor_module>\nLoadModule heartmonitor_module modules/mod_heartmonitor.so\n</IfModule>\n\
        <IfDefine LISTEN>\nHeartbeatListen 239.0.0.1:27999\n</IfDefine>\n<Location /hb>\nSetHandler heartbeat\n</Location>";
    balanced(&site, "127.0.0.1 &ready=30&busy=1&lastseen=1\n", &members, more);
    let server = site.start_with(&["-DLISTEN"]);
    // What is heard counts, not the file.
    assert!(server.get("/b/", "").line().contains(" 503 "));
    assert!(post(&server, "v=1&busy=1").starts_with("HTTP/1.1 400 "));
    assert_eq!(post(&server, "v=1&ready=5x&busy=1&port=x"), "HTTP/1.1 200 OK OK");
    assert!(server.get("/b/", "").line().contains(" 503 "));
    assert_eq!(post(&server, "ready=5&busy=1"), "HTTP/1.1 200 OK OK");
    assert_eq!(server.get("/b/", "").text(), "a");
    assert!(server.get("/hb", "").line().contains(" 405 "));
    let log = server.log("logs/error_log", |log| log.contains("AH10566"));
    for text in [
        "AH10563: Missing required parameters: busy and/or ready",
        "AH10564: Invalid port value: x, using default 80",
        "AH10566: Invalid ready value: 5x, using 0",
    ] {
        assert!(log.contains(text), "{text}: {log}");
    }
    if !real_httpd() {
        // What was heard is not forgotten by a reload.
        server.signal(nix::sys::signal::Signal::SIGUSR1);
        server.log("logs/error_log", |log| log.matches("resuming normal operations").count() == 2);
        assert_eq!(server.get("/b/", "").text(), "a");
    }
    server.stop();
    let server = site.start();
    assert!(post(&server, "ready=5&busy=1").starts_with("HTTP/1.1 503 "));
    server.log("logs/error_log", |log| log.contains("AH10561: Heartbeat monitoring not active"));
}

//! Service managers: what systemd is told and hands over; limits on how much is served at once.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::{PATIENCE, Site, program, real_httpd, skip, which};

/// A program that sets up something and becomes the server.
fn wrapper(site: &Site, before: &str, launcher: &str) -> PathBuf {
    site.write("start.sh", format!("#!/bin/sh\n{before}\nexec {launcher} {} \"$@\"\n", program().display()));
    let path = site.path("start.sh");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn a_service_manager_is_told() {
    if real_httpd() {
        // Debian's needs mod_systemd for that.
        return;
    }
    let site = Site::new("services-notify");
    site.httpd_conf(&[], "");
    let socket = UnixDatagram::bind(site.path("notify")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let heard = || {
        let mut buffer = [0; 512];
        let n = socket.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..n]).into_owned()
    };
    let next = |wanted: &str| loop {
        let text = heard();
        if !text.starts_with("WATCHDOG=1") {
            assert!(text.starts_with(wanted), "{text}");
            return text;
        }
    };
    let before = format!("export NOTIFY_SOCKET={} WATCHDOG_USEC=400000", site.path("notify").display());
    let server = site.start_as(&wrapper(&site, &before, ""), &[]);
    next("READY=1\n");
    assert_eq!(heard(), "WATCHDOG=1");
    assert_eq!(heard(), "WATCHDOG=1");
    server.signal(Signal::SIGUSR1);
    assert!(next("RELOADING=1\n").contains("\nMONOTONIC_USEC="));
    next("READY=1\n");
    site.httpd_conf(&[], "Nonsense\n");
    server.signal(Signal::SIGHUP);
    next("RELOADING=1\n");
    assert!(next("READY=1\n").contains("not accepted"));
    assert_eq!(server.stop(), Some(0));
    next("STOPPING=1");
}

#[test]
fn sockets_are_taken_from_a_service_manager() {
    let Some(launcher) = which("systemd-socket-activate").filter(|_| !real_httpd()) else {
        return skip("services", "systemd-socket-activate, or it is httpd");
    };
    let site = Site::new("services-sockets");
    site.httpd_conf(&[], "");
    let launcher = format!("{} -l 127.0.0.1:{}", launcher.display(), site.port);
    // The address is in use: only who takes the socket can serve there.
    let server = site.start_as(&wrapper(&site, "", &launcher), &[]);
    assert_eq!(server.get("/index.html", "").status, 200);
    server.signal(Signal::SIGUSR1);
    server.log("logs/error_log", |log| log.matches("AH00489").count() == 2);
    assert_eq!(server.get("/index.html", "").status, 200);
    assert_eq!(server.stop(), Some(0));
}

/// A file below `conf/system`, with the program's place in it.
fn shipped(site: &Site, name: &str) -> PathBuf {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/system").join(name)).unwrap();
    assert!(text.contains("/usr/sbin/tandem"));
    site.write(name, text.replace("/usr/sbin/tandem", &program().display().to_string()));
    fs::set_permissions(site.path(name), fs::Permissions::from_mode(0o644)).unwrap();
    site.path(name)
}

#[test]
fn the_unit_is_valid() {
    let Some(analyze) = which("systemd-analyze") else { return skip("services", "systemd-analyze") };
    let site = Site::new("services-unit");
    let unit = shipped(&site, "tandem.service");
    let said = Command::new(analyze).args(["verify", "--man=no"]).arg(&unit).output().unwrap();
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.status.success() && !text.contains("tandem"), "{text}");
}

#[test]
fn logs_can_be_rotated() {
    let Some(logrotate) = which("logrotate") else { return skip("services", "logrotate") };
    let site = Site::new("services-rotate");
    let file = shipped(&site, "tandem.logrotate");
    let said = Command::new(logrotate).arg("-d").arg(&file).output().unwrap();
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.status.success() && !text.contains("error:"), "{text}");
}

#[test]
fn as_many_are_served_as_there_are_workers() {
    let site = Site::new("services-full");
    site.httpd_conf(
        &[],
        "ServerLimit 1\nThreadsPerChild 2\nMaxRequestWorkers 2\nStartServers 1\nMinSpareThreads 1\nMaxSpareThreads 2\n",
    );
    let server = site.start();
    // What found out whether the server listens may still be there.
    let open = "POST /index.html HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    let mut busy = [server.connect(), server.connect()];
    for client in &mut busy {
        client.send(open);
        assert_eq!(client.read_until("\r\n\r\n"), b"HTTP/1.1 100 Continue\r\n\r\n");
    }
    let mut waits = server.connect();
    waits.send("GET /index.html HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let mut byte = [0; 1];
    waits.patience(Duration::from_millis(300));
    assert!(waits.stream.peek(&mut byte).is_err(), "it is served although there is no room");
    waits.patience(PATIENCE);
    server.log("logs/error_log", |log| {
        log.contains(
            "AH00484: server reached MaxRequestWorkers setting, consider raising the MaxRequestWorkers setting\n",
        )
    });
    // A response, after which the connection is idle, makes room.
    busy[0].send("12345");
    assert_eq!(busy[0].response().status, 200);
    assert_eq!(waits.response().status, 200);
    busy[1].send("12345");
    assert_eq!(busy[1].response().status, 200);
    assert_eq!(site.read("logs/error_log").matches("AH00484").count(), 1);
}

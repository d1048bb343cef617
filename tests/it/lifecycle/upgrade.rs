//! `-k upgrade`: another program in the place of the one that runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::lifecycle::{Over, children, is_there, send, serving};
use crate::support::{Origin, PATIENCE, Peer, Server, Site, copy_program, program, real_httpd, wait_for};

/// Puts `text` where the server's program is, as an installation does: made beside and moved into place.
fn install(site: &Site, make: impl FnOnce(&PathBuf)) -> PathBuf {
    let (beside, path) = (site.path("sbin/new"), site.path("sbin/tandem"));
    fs::create_dir_all(site.path("sbin")).unwrap();
    make(&beside);
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&beside, &path).unwrap();
    path
}

fn install_ours(site: &Site) -> PathBuf {
    install(site, |path| copy_program(&program(), path))
}

/// `-k upgrade`, by whatever program.
fn upgrade(site: &Site) {
    let done = site.run(&["-k", "upgrade"]);
    assert_eq!((done.code, done.stdout.as_str(), done.stderr.as_str()), (Some(0), "", ""));
}

/// The file that a process runs.
fn file(pid: u32) -> u64 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(format!("/proc/{pid}/exe")).unwrap().ino()
}

/// The one server of this file that is there.
fn only_server(server: &Server<'_>, file_of: u64) -> u32 {
    wait_for("one server of the new program", PATIENCE, || match children(server.pid())[..] {
        [only] if file(only) == file_of => Some(only),
        _ => None,
    })
}

fn inode(path: &PathBuf) -> u64 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).unwrap().ino()
}

#[test]
fn another_program_takes_over_without_a_request_lost() {
    if real_httpd() {
        return;
    }
    const CLIENTS: usize = 20;
    let site = Site::new("life-upgrade");
    let origin = Origin::serving(|peer, _| {
        while peer.request().is_some() && peer.try_send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") {}
    });
    let logged = format!("{}/logs/piped", site.root().display());
    site.httpd_conf(
        &["proxy", "proxy_http"],
        &format!(
            "KeepAlive On\nMaxKeepAliveRequests 0\nKeepAliveTimeout 2\nCustomLog logs/access_log \"%U\"\n\
             CustomLog \"|$exec cat >>{logged}\" \"%U\"\nProxyPass /p http://127.0.0.1:{}/\n",
            origin.port
        ),
    );
    let path = install_ours(&site);
    let server = site.start_as(&path, &[]);
    assert_eq!(server.get("/index.html", "").status, 200);
    // The server and the log program.
    let before = children(server.pid());
    let done = AtomicBool::new(false);
    let (sent, told) = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (server, done) = (&server, &done);
                scope.spawn(move || {
                    let (mut peer, mut number, mut told) = (server.connect(), 0, 0);
                    while !done.load(Ordering::Relaxed) {
                        peer.send(format!(
                            "POST /p/{client}-{number} HTTP/1.1\r\nHost: h\r\nContent-Length: 9000\r\n\r\n{}",
                            "x".repeat(4000)
                        ));
                        peer.send("y".repeat(5000));
                        let answer = peer.response();
                        assert_eq!(answer.status, 200, "{answer:?}");
                        number += 1;
                        if answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
                            told += 1;
                            peer = server.connect();
                        }
                        std::thread::sleep(Duration::from_millis(2));
                    }
                    (number, told)
                })
            })
            .collect();
        let _over = Over(&done);
        for round in 1..=3 {
            install_ours(&site);
            upgrade(&site);
            server.log("logs/error_log", |log| log.matches(" has taken over").count() == round);
            wait_for("the new file", PATIENCE, || (file(server.pid()) == inode(&path)).then_some(()));
            // Those before end with their connections.
            wait_for("the end of the one before", PATIENCE, || (children(server.pid()).len() == 2).then_some(()));
        }
        done.store(true, Ordering::Relaxed);
        let ends: Vec<(usize, usize)> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        (ends.iter().map(|end| end.0).sum::<usize>(), ends.iter().map(|end| end.1).sum::<usize>())
    });
    // Each connection was told once an upgrade, none was cut.
    assert_eq!(told, 3 * CLIENTS);
    let after = children(server.pid());
    assert!(after.iter().filter(|pid| before.contains(pid)).count() == 1, "the log program goes on");
    assert_eq!(site.read("logs/httpd.pid"), format!("{}\n", server.pid()));
    // What the successor knows is enough to reload, and to start a server that dies again.
    server.signal(Signal::SIGUSR1);
    server.log("logs/error_log", |log| log.matches("AH00489").count() == 5);
    let serving = after.into_iter().find(|pid| !before.contains(pid)).unwrap();
    send(serving, Signal::SIGKILL);
    wait_for("its end", PATIENCE, || (!is_there(serving)).then_some(()));
    assert_eq!(server.get("/index.html", "").status, 200);
    assert_eq!(server.stop(), Some(0));
    assert!(!site.path("logs/httpd.pid").exists());
    for log in ["logs/access_log", "logs/piped"] {
        let text = wait_for("all lines", PATIENCE, || {
            let text = site.read(log);
            (text.lines().filter(|line| line.starts_with("/p/")).count() >= sent).then_some(text)
        });
        let mut lines: Vec<&str> = text.lines().filter(|line| line.starts_with("/p/")).collect();
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines.len(), sent, "each line once in {log}");
    }
    eprintln!("{sent} requests over 3 upgrades");
}

#[test]
fn a_program_that_does_not_serve_changes_nothing() {
    if real_httpd() {
        return;
    }
    let site = Site::new("life-downgrade");
    site.httpd_conf(&[], "KeepAliveTimeout 60\n");
    let path = install_ours(&site);
    let server = site.start_as(&path, &[]);
    let child = serving(&server);
    let mut kept = server.connect();
    let request = "GET /index.html HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut failures = 0;
    let mut fails = |make: &dyn Fn(&PathBuf), why: &str| {
        install(&site, make);
        upgrade(&site);
        failures += 1;
        let log = server.log("logs/error_log", |log| log.matches("; this one goes on").count() == failures);
        assert!(log.lines().last().unwrap().contains(why), "{log}");
        kept.send(request);
        let answer = kept.response();
        assert_eq!((answer.status, answer.header("connection")), (200, None));
        assert_eq!(children(server.pid()), [child]);
    };
    fails(&|path| fs::write(path, "not a program").unwrap(), "it cannot be started: ");
    // Whether it ends before or after it is told what is open is chance, and makes no difference.
    for _ in 0..8 {
        fails(&|path| fs::write(path, "#!/bin/sh\nexit 3\n").unwrap(), "it does not serve the configuration");
    }
    // One that prepares and whose server ends at once.
    let own = program();
    let partly = move |path: &PathBuf, kind: &str, instead: &str| {
        let text =
            format!("#!/bin/sh\ncase $TANDEM_ROLE in {kind}:*) {instead};; esac\nexec {} \"$@\"\n", own.display());
        fs::write(path, text).unwrap();
    };
    fails(&|path| partly(path, "server", "exit 1"), "it does not serve the configuration");
    // One that serves, and does not take what is open. What came to its server is served.
    install(&site, |path| partly(path, "keep", "exit 1"));
    upgrade(&site);
    let log = server.log("logs/error_log", |log| log.matches("; this one goes on").count() == failures + 1);
    assert!(log.contains("it does not take what is open"), "{log}");
    wait_for("the other server's end", PATIENCE, || (children(server.pid()) == [child]).then_some(()));
    kept.send(request);
    assert_eq!(kept.response().header("connection"), None);
    // A configuration with an error does not get so far.
    install_ours(&site);
    let good = site.read("conf/httpd.conf");
    site.write("conf/httpd.conf", good.clone() + "Nonsense\n");
    let verdict = site.run(&["-k", "upgrade"]);
    assert!(verdict.code == Some(1) && verdict.stderr.contains("AH00526"), "{verdict:?}");
    site.write("conf/httpd.conf", good);
    upgrade(&site);
    server.log("logs/error_log", |log| log.contains("another program serves, this one ends with its connections"));
    wait_for("the end of listening", PATIENCE, || {
        kept.send(request);
        let answer = kept.response();
        assert_eq!(answer.status, 200);
        // The one that was there for all of that is told now.
        answer.header("connection").is_some_and(|value| value == "close").then_some(())
    });
    only_server(&server, inode(&path));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn tunnels_last_over_an_upgrade_and_the_manager_is_told() {
    if real_httpd() {
        return;
    }
    let site = Site::new("life-tunnel");
    let origin = Origin::serving(|peer: &mut Peer, _| {
        if peer.request().is_some() {
            peer.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
            while let Some(byte) = peer.next_byte() {
                peer.send([byte]);
            }
        }
    });
    site.httpd_conf(
        &["proxy", "proxy_http", "proxy_wstunnel"],
        &format!("ProxyPass /ws ws://127.0.0.1:{}/\n", origin.port),
    );
    let path = install_ours(&site);
    let socket = UnixDatagram::bind(site.path("notify")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let wrapper = site.path("start.sh");
    let text =
        format!("#!/bin/sh\nexport NOTIFY_SOCKET={}\nexec {} \"$@\"\n", site.path("notify").display(), path.display());
    fs::write(&wrapper, text).unwrap();
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    let heard = || {
        let mut buffer = [0; 512];
        let n = socket.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..n]).into_owned()
    };
    let server = site.start_as(&wrapper, &[]);
    assert!(heard().starts_with("READY=1\n"));
    let mut tunnel = server.connect();
    tunnel.send(
        "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: \
         dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    );
    assert!(tunnel.read_until("\r\n\r\n").starts_with(b"HTTP/1.1 101 "));
    let old = serving(&server);
    install_ours(&site);
    upgrade(&site);
    assert!(heard().starts_with("RELOADING=1\n"));
    assert_eq!(heard(), format!("READY=1\nMAINPID={}\nSTATUS=Serving", server.pid()));
    for byte in b"still" {
        tunnel.send([*byte]);
        assert_eq!(tunnel.next_byte(), Some(*byte));
    }
    assert_eq!(server.get("/index.html", "").status, 200);
    assert!(is_there(old));
    drop(tunnel);
    wait_for("the end of the old server", PATIENCE, || (!is_there(old)).then_some(()));
    // A steward that dies takes the adopted server with it.
    let new = serving(&server);
    send(server.pid(), Signal::SIGKILL);
    wait_for("the server's end", Duration::from_secs(1), || (!is_there(new)).then_some(()));
}

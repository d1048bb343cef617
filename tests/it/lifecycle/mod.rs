//! The life of the processes: who holds which rights, who starts whom again, what a reload keeps.

mod actions;
#[path = "../../bench/reload/clients.rs"]
mod clients;
mod overload;
mod reload;
mod survives;
mod upgrade;

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Origin, PATIENCE, Peer, Server, Site, free_port, is_root, program, real_httpd, skip, wait_for};

/// The children of a process.
fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// A line of a process's status.
fn status(pid: u32, name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The process that serves, once whoever prepared its start is gone.
fn serving(server: &Server<'_>) -> u32 {
    assert_eq!(server.get("/index.html", "").status, 200);
    wait_for("the server process", PATIENCE, || match children(server.pid())[..] {
        [only] => Some(only),
        [first, ..] if real_httpd() => Some(first),
        _ => None,
    })
}

pub(crate) fn is_there(pid: u32) -> bool {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), None).is_ok() && !status(pid, "State").starts_with('Z')
}

pub(crate) fn send(pid: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}

#[test]
fn who_reads_the_network_has_no_rights() {
    if !is_root() {
        return skip("lifecycle", "root");
    }
    let site = Site::new("life-rights");
    site.httpd_conf(&[], "Include conf/extra/secret.conf\n");
    // What only root may read is read all the same.
    site.write("conf/extra/secret.conf", "DocumentRoot secret\n");
    site.write("secret/index.html", "secret\n");
    fs::set_permissions(site.path("conf/extra/secret.conf"), fs::Permissions::from_mode(0o600)).unwrap();
    let server = site.start();
    assert_eq!(server.get("/index.html", "").text(), "secret\n");
    let child = serving(&server);
    assert_eq!(status(server.pid(), "Uid"), "0 0 0 0");
    assert_eq!(status(server.pid(), "Threads"), "1");
    assert_eq!((status(child, "Uid").as_str(), status(child, "Gid").as_str()), ("33 33 33 33", "33 33 33 33"));
    assert_eq!((status(child, "Groups").as_str(), status(child, "CapEff").as_str()), ("33", "0000000000000000"));
    assert_eq!(status(child, "CapPrm"), "0000000000000000");
    assert_eq!(site.read("logs/httpd.pid"), format!("{}\n", server.pid()));
    if !real_httpd() {
        let resident: u32 = status(server.pid(), "RssAnon").trim_end_matches(" kB").parse().unwrap();
        assert!(resident < 3000, "the steward holds {resident} kB of its own");
    }
    // The same again over a reload, for which the files of the configuration are read anew.
    site.write("conf/extra/secret.conf", "DocumentRoot htdocs\n");
    server.signal(Signal::SIGUSR1);
    wait_for("the new configuration", PATIENCE, || (server.get("/index.html", "").text() != "secret\n").then_some(()));
    assert_eq!(server.stop(), Some(0));
    assert!(!site.path("logs/httpd.pid").exists());
}

/// Paths are checked as the system has them and used as the folder has them.
#[test]
fn a_folder_can_be_all_there_is() {
    if !is_root() {
        return skip("lifecycle", "root");
    }
    if real_httpd() {
        return skip("lifecycle", "a program whose threads need no libraries when they end");
    }
    for one_process in [false, true] {
        let site = Site::new("life-chroot");
        let jail = site.path("jail");
        let inner = |path: &str| format!("jail{}/{path}", site.path("htdocs").display());
        site.write(&inner("index.html"), "inside\n");
        site.write("jail/more/a.txt", "more\n");
        for (name, target) in [("link", "/more/a.txt"), ("out", "/etc/passwd")] {
            std::os::unix::fs::symlink(target, site.path(&inner(name))).unwrap();
        }
        site.write("types", "text/plain txt\n");
        site.write("outside", "");
        let jailed = format!(
            "ChrootDir {0}/jail\nTypesConfig {0}/types\nCustomLog {0}/logs/access_log %U\nAlias /more /more\n\
             <IfFile {0}/outside>\nAddDefaultCharset utf-8\n</IfFile>\n",
            site.root().display()
        );
        site.httpd_conf(&["alias", "mime", "log_config"], &jailed);
        let server = site.start_with(if one_process { &["-X"] } else { &[] });
        let paths = ["/index.html", "/link", "/out", "/more/a.txt"];
        assert_eq!(paths.map(|path| server.get(path, "").status), [200, 200, 403, 200]);
        assert_eq!(server.get("/index.html", "").text(), "inside\n");
        let typed = String::from_utf8(server.get("/more/a.txt", "").head).unwrap();
        assert!(typed.contains("\r\nContent-Type: text/plain; charset=utf-8\r\n"), "{typed}");
        server.log("logs/access_log", |log| log.contains("/more/a.txt"));
        let child = if one_process { server.pid() } else { serving(&server) };
        assert_eq!(fs::read_link(format!("/proc/{child}/root")).unwrap(), jail);
        assert_eq!((status(child, "Uid").as_str(), status(child, "Groups").as_str()), ("33 33 33 33", "33"));
        if !one_process {
            // A reload reads files outside of it.
            site.write("conf/extra/more.conf", "Alias /again /more\n");
            site.httpd_conf(&["alias", "mime", "log_config"], &(jailed + "Include conf/extra/more.conf\n"));
            server.signal(Signal::SIGUSR1);
            let again = || (server.get("/again/a.txt", "").status == 200).then_some(());
            wait_for("the new configuration", PATIENCE, again);
        }
    }
}

#[test]
fn one_process_drops_its_rights_as_well() {
    let site = Site::new("life-one");
    site.httpd_conf(&[], "");
    let server = site.start_with(&["-X"]);
    assert_eq!(server.get("/index.html", "").status, 200);
    assert_eq!(children(server.pid()), Vec::<u32>::new());
    if is_root() {
        assert_eq!(status(server.pid(), "Uid"), "33 33 33 33");
    }
}

#[test]
fn a_server_that_dies_is_started_again() {
    let site = Site::new("life-crash");
    site.httpd_conf(&[], "CustomLog logs/access_log \"%U\"\n");
    let server = site.start();
    let child = serving(&server);
    send(child, Signal::SIGABRT);
    // Nobody is refused meanwhile: the sockets stay open.
    let killed = Instant::now();
    let mut clients = Vec::new();
    while killed.elapsed() < Duration::from_millis(300) {
        clients.push(TcpStream::connect((Ipv4Addr::LOCALHOST, site.port)).expect("a connection"));
        std::thread::sleep(Duration::from_millis(2));
    }
    drop(clients);
    assert_eq!(server.get("/index.html", "").status, 200);
    let new = wait_for("a new one", PATIENCE, || children(server.pid()).into_iter().find(|pid| *pid != child));
    assert!(is_there(new) && !is_there(child));
    server.log("logs/error_log", |log| log.contains(&format!("child pid {child} exit signal Aborted (6)")));
    if real_httpd() {
        return;
    }
    // How fast that is, the `reload` benchmark measures; here nobody is refused, however often.
    for _ in 0..3 {
        // One that dies soon after its start, again and again, is started again only after a pause.
        std::thread::sleep(Duration::from_millis(1100));
        let dying = serving(&server);
        send(dying, Signal::SIGKILL);
        let killed = Instant::now();
        // What was in the dead one's hands is lost; what comes now is not.
        wait_for("its end", PATIENCE, || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, site.port)).expect("a connection");
            (!children(server.pid()).contains(&dying)).then_some(())
        });
        let mut clients: Vec<Peer> = (0..40).map(|_| server.connect()).collect();
        for client in &mut clients {
            client.send("GET /index.html HTTP/1.1\r\nHost: h\r\n\r\n");
            assert_eq!(client.response().status, 200);
        }
        eprintln!("40 clients served {:?} after the end of another server", killed.elapsed());
    }
}

#[test]
fn nothing_outlives_the_steward() {
    if real_httpd() {
        // httpd's children go on.
        return;
    }
    let site = Site::new("life-orphan");
    site.httpd_conf(&[], "");
    let server = site.start();
    let child = serving(&server);
    let mut kept = server.connect();
    kept.send("GET /index.html HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(kept.response().status, 200);
    send(server.pid(), Signal::SIGKILL);
    wait_for("the server's end", Duration::from_secs(1), || (!is_there(child)).then_some(()));
    wait_for("its sockets' end", Duration::from_secs(1), || TcpStream::connect((Ipv4Addr::LOCALHOST, site.port)).err());
}

#[test]
fn a_start_in_the_background_fails_in_the_foreground() {
    if real_httpd() {
        // It says so in a log that nobody has opened.
        return;
    }
    let site = Site::new("life-fail");
    site.httpd_conf(&[], "CustomLog \"|/nonexistent/x\" \"%U\"\n");
    let verdict = site.run(&["-k", "start"]);
    assert_eq!((verdict.code, verdict.stdout.as_str()), (Some(1), ""));
    let log = site.read("logs/error_log") + &verdict.stderr;
    assert!(log.contains("AH00104: unable to start piped log program '/nonexistent/x'"), "{log}");
    assert!(!site.path("logs/httpd.pid").exists());
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, site.port)).is_err());
    // One that works leaves the terminal: its output ends with the command.
    site.httpd_conf(&[], "CustomLog \"|/bin/cat\" \"%U\"\n");
    let started = site.run(&["-k", "start"]);
    assert_eq!(started.code, Some(0), "{started:?}");
    // It serves from the moment the command is over.
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, site.port)).is_ok());
    let pid: u32 = site.read("logs/httpd.pid").trim().parse().unwrap();
    assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).unwrap().to_str(), Some("/"));
    let stopped = site.run(&["-k", "stop"]);
    assert_eq!(stopped.code, Some(0), "{stopped:?}");
    wait_for("the end", PATIENCE, || (!is_there(pid)).then_some(()));
    assert!(program().exists());
}

/// Two configurations that a reload goes back and forth between: members, hosts, listeners and logs differ.
fn alternating(site: &Site, odd: bool, members: [u16; 3], second: u16) {
    let [kept, a, b] = members;
    let (other, log) = if odd { (a, "logs/odd") } else { (b, "logs/even") };
    let more = if odd { format!("Listen 127.0.0.1:{second}\n") } else { String::new() };
    let host = format!("<VirtualHost *:*>\nServerName {log}\nDocumentRoot htdocs\n</VirtualHost>\n");
    site.httpd_conf(
        &["proxy", "proxy_http", "proxy_balancer", "slotmem_shm", "lbmethod_byrequests"],
        &format!(
            "{more}KeepAlive On\nMaxKeepAliveRequests 0\nKeepAliveTimeout 60\nCustomLog {log} \"%U %>s\"\n\
             <Proxy balancer://all>\nBalancerMember http://127.0.0.1:{kept}\nBalancerMember http://127.0.0.1:{other}\n\
             </Proxy>\n<VirtualHost *:*>\nServerName main\nProxyPass /p balancer://all/\nProxyPassReverse /p balancer://all/\n\
             </VirtualHost>\n{host}"
        ),
    );
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn reloads_under_load_drop_nothing() {
    if real_httpd() {
        // It ends nearly every kept-alive connection.
        return;
    }
    const CLIENTS: usize = 40;
    const RELOADS: usize = 20;
    let site = Site::new("life-load");
    let origins = [(); 3].map(|()| {
        // Not noted: these are many.
        Origin::serving(|peer, _| {
            while peer.request().is_some() && peer.try_send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") {}
        })
    });
    let members = [origins[0].port, origins[1].port, origins[2].port];
    let second = free_port();
    alternating(&site, false, members, second);
    let server = site.start();
    serving(&server);
    let done = AtomicBool::new(false);
    let (sent, closed) = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (server, done) = (&server, &done);
                scope.spawn(move || {
                    let mut peer = server.connect();
                    let (mut number, mut closed) = (0, 0);
                    while !done.load(Ordering::Relaxed) || number < 50 {
                        let body = "x".repeat(if number % 3 == 0 { 20_000 } else { 100 });
                        let target = if number % 2 == 0 {
                            format!("/p/{client}-{number}")
                        } else {
                            format!("/n{client}-{number}")
                        };
                        let method = if number % 2 == 0 { "POST" } else { "GET" };
                        let length = if method == "POST" {
                            format!("Content-Length: {}\r\n", body.len())
                        } else {
                            String::new()
                        };
                        let head = format!("{method} {target} HTTP/1.1\r\nHost: main\r\n{length}\r\n");
                        // The head and the body apart, so that reloads fall between them.
                        peer.send(head);
                        if method == "POST" {
                            let (one, other) = body.split_at(body.len() / 2);
                            peer.send(one);
                            peer.send(other);
                        }
                        // Panics when the connection ends without an answer.
                        let answer = peer.response();
                        assert_eq!(answer.status, if method == "POST" { 200 } else { 404 }, "{answer:?}");
                        if answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
                            closed += 1;
                            peer = server.connect();
                        }
                        number += 1;
                        std::thread::sleep(Duration::from_millis(2));
                    }
                    (number, closed)
                })
            })
            .collect();
        // Whatever becomes of the reloads, the clients end.
        let _over = Over(&done);
        for reload in 0..RELOADS {
            alternating(&site, reload % 2 == 0, members, second);
            server.signal(if reload % 3 == 0 { Signal::SIGHUP } else { Signal::SIGUSR1 });
            server.log("logs/error_log", |log| log.matches("AH00489").count() == reload + 2);
        }
        done.store(true, Ordering::Relaxed);
        let ends: Vec<(usize, usize)> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        (ends.iter().map(|end| end.0).collect::<Vec<_>>(), ends.iter().map(|end| end.1).sum::<usize>())
    });
    assert_eq!(closed, 0, "the listener they came to is always there");
    server.stop();
    let text = site.read("logs/odd") + &site.read("logs/even");
    let mut lines: Vec<&str> = text.lines().map(|line| line.split(' ').next().unwrap()).collect();
    let mut expected: Vec<String> = Vec::new();
    for (client, sent) in sent.iter().enumerate() {
        let target = |number: usize| format!("/{}{client}-{number}", if number.is_multiple_of(2) { "p/" } else { "n" });
        expected.extend((0..*sent).map(target));
    }
    lines.retain(|line| *line != "/index.html");
    lines.sort_unstable();
    expected.sort_unstable();
    assert_eq!(lines.len(), expected.len());
    assert!(lines.iter().zip(&expected).all(|(line, expected)| line == expected));
    assert!(!site.read("logs/odd").is_empty() && !site.read("logs/even").is_empty());
    assert!(origins[1].connections() > 0 && origins[2].connections() > 0);
    eprintln!("{} requests over {RELOADS} reloads", expected.len());
}

#[test]
fn who_came_to_a_listener_that_goes_is_told() {
    if real_httpd() {
        return;
    }
    let site = Site::new("life-listener");
    let second = free_port();
    site.httpd_conf(&[], &format!("Listen 127.0.0.1:{second}\nKeepAliveTimeout 60\n"));
    let server = site.start();
    serving(&server);
    let request = "GET /index.html HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut clients = [Peer::to(site.port), Peer::to(second)];
    for client in &mut clients {
        client.send(request);
        assert_eq!(client.response().header("connection"), None);
    }
    site.httpd_conf(&[], "KeepAliveTimeout 60\n");
    server.signal(Signal::SIGUSR1);
    server.log("logs/error_log", |log| log.matches("AH00489").count() == 2);
    wait_for("the listener's end", PATIENCE, || TcpStream::connect((Ipv4Addr::LOCALHOST, second)).err());
    let [stays, goes] = &mut clients;
    stays.send(request);
    assert_eq!(stays.response().header("connection"), None);
    goes.send(request);
    let last = goes.response();
    assert_eq!((last.status, last.header("connection").as_deref()), (200, Some("close")));
    assert_eq!(goes.rest(), b"");
}

#[test]
fn a_host_and_a_listener_that_go_leave_tunnels_and_connections_alone() {
    if real_httpd() {
        return;
    }
    let site = Site::new("life-gone");
    let echo = Origin::serving(|peer, _| {
        if peer.request().is_some() {
            peer.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
            while let Some(byte) = peer.next_byte() {
                peer.try_send([byte]);
            }
        }
    });
    site.write("gone/index.html", "gone\n");
    let (second, modules) = (free_port(), ["proxy", "proxy_http", "proxy_wstunnel"]);
    site.httpd_conf(
        &modules,
        &format!(
            "Listen 127.0.0.1:{second}\nKeepAliveTimeout 60\n<VirtualHost *:*>\nServerName first.test\n</VirtualHost>\n\
             <VirtualHost *:*>\nServerName gone.test\nDocumentRoot gone\nProxyPass /ws ws://127.0.0.1:{}/\n</VirtualHost>\n",
            echo.port
        ),
    );
    let server = site.start();
    serving(&server);
    let request = "GET /index.html HTTP/1.1\r\nHost: gone.test\r\n\r\n";
    let mut kept = server.connect();
    kept.send(request);
    assert_eq!(kept.response().text(), "gone\n");
    let mut tunnels = [Peer::to(site.port), Peer::to(second)];
    for tunnel in &mut tunnels {
        tunnel.send("GET /ws HTTP/1.1\r\nHost: gone.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
        assert!(tunnel.read_until("\r\n\r\n").starts_with(b"HTTP/1.1 101 "));
    }
    site.httpd_conf(&modules, "KeepAliveTimeout 60\n<VirtualHost *:*>\nServerName first.test\n</VirtualHost>\n");
    server.signal(Signal::SIGUSR1);
    server.log("logs/error_log", |log| log.matches("AH00489").count() == 2);
    // The next request is the first host's, on the same connection.
    kept.send(request);
    let next = kept.response();
    assert_eq!((next.text().as_str(), next.header("connection")), ("it works\n", None));
    for tunnel in &mut tunnels {
        tunnel.send("on");
        assert_eq!(tunnel.read_exactly(2), b"on");
    }
}

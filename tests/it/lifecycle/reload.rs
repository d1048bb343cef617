//! Reloads between two configurations under every kind of client: nobody notices.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::lifecycle::clients::{self, Load, Origin, Target};
use crate::support::{Site, real_httpd};

/// Members, virtual hosts and the place of the log differ.
fn configure(site: &Site, odd: bool, [kept, one, other, sockets]: [u16; 4]) {
    let (member, log) = if odd { (one, "odd") } else { (other, "even") };
    site.httpd_conf(
        &["http2", "proxy", "proxy_http", "proxy_wstunnel", "proxy_balancer", "slotmem_shm", "lbmethod_byrequests"],
        &format!(
            "Protocols h2c http/1.1\nKeepAlive On\nMaxKeepAliveRequests 0\nKeepAliveTimeout 60\n\
             CustomLog logs/{log} \"%U %>s\"\n<Proxy balancer://all>\nBalancerMember http://127.0.0.1:{kept}\n\
             BalancerMember http://127.0.0.1:{member}\n</Proxy>\n<VirtualHost *:*>\nServerName main\n\
             ProxyPass /ws ws://127.0.0.1:{sockets}/\nProxyPass /p balancer://all/\n</VirtualHost>\n\
             <VirtualHost *:*>\nServerName {log}.test\n</VirtualHost>\n"
        ),
    );
}

#[test]
fn no_client_notices_a_reload() {
    if real_httpd() {
        // It ends nearly every connection.
        return;
    }
    const RELOADS: usize = 12;
    let origins = [(); 4].map(|()| Origin::start());
    let members = origins.each_ref().map(|origin| origin.port);
    let site = Site::new("life-reload");
    configure(&site, false, members);
    let server = site.start();
    let over = Arc::new(AtomicBool::new(false));
    let load = Load { clients: 20, streams: 5, sockets: 5, pause: Duration::from_millis(5) };
    let target = Target { http1: site.port, http2: site.port };
    let clients = clients::run(load, target, &over);
    for reload in 1..=RELOADS {
        configure(&site, reload % 2 == 1, members);
        server.signal(if reload % 3 == 0 { Signal::SIGHUP } else { Signal::SIGUSR1 });
        server.log("logs/error_log", |log| log.matches("AH00489").count() == reload + 1);
    }
    over.store(true, Ordering::Relaxed);
    let seen = clients.join().unwrap();
    server.stop();
    assert_eq!(seen.failed, Vec::<String>::new());
    assert_eq!((seen.cut, seen.told, seen.lost), (0, 0, 0));
    assert!(seen.echoes > load.sockets && seen.answered.len() > 10 * (load.clients + load.streams));
    // Each request has its one line, whole, in one of the logs.
    let text = site.read("logs/odd") + &site.read("logs/even");
    let mut lines: HashMap<&str, usize> = HashMap::new();
    for line in text.lines().filter(|line| *line != "/ws 101") {
        let target = line.strip_suffix(" 200").unwrap_or_else(|| panic!("torn: {line}"));
        *lines.entry(target).or_default() += 1;
    }
    let missing: Vec<_> = seen.answered.iter().filter(|path| lines.get(path.as_str()) != Some(&1)).collect();
    assert!(missing.is_empty() && lines.len() == seen.answered.len(), "{missing:?}");
    assert!(origins.iter().all(|origin| origin.requests() > 0), "each member was asked");
    eprintln!("{} requests over {RELOADS} reloads", seen.answered.len());
}

//! Health checks of balancer members.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::{Origin, Server, Site, free_port};

const MODULES: &[&str] =
    &["proxy", "proxy_http", "slotmem_shm", "proxy_balancer", "lbmethod_byrequests", "watchdog", "proxy_hcheck"];

fn site(name: &str, conf: &str) -> Site {
    let site = Site::new(name);
    site.httpd_conf(MODULES, &format!("LogLevel proxy_hcheck:info\n{conf}\nProxyPass / balancer://b/"));
    site
}

/// An origin that says `UP` or `DOWN` to checks, and `body` to others.
fn member(body: &'static str, well: Arc<AtomicBool>) -> Origin {
    Origin::serving(move |peer, seen| {
        while let Some(request) = peer.request() {
            let checked = request.line().contains("/health");
            let said = match (checked, well.load(Ordering::Acquire)) {
                (true, true) => "it is UP",
                (true, false) => "it is DOWN",
                (false, _) => body,
            };
            if checked {
                seen.note(request);
            }
            let answer =
                format!("HTTP/1.1 200 OK\r\nX-Checked: {checked}\r\nContent-Length: {}\r\n\r\n{said}", said.len());
            if !peer.try_send(answer) {
                return;
            }
        }
    })
}

fn until(server: &Server<'_>, what: &str, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}: {}", server.log("logs/error_log", |_| true));
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The bodies of four requests.
fn bodies(server: &Server<'_>) -> String {
    (0..4).map(|_| server.get("/", "").text()).collect()
}

#[test]
fn an_expression_takes_a_member_out_and_lets_it_in_again() {
    let well = Arc::new(AtomicBool::new(true));
    let first = member("a", well.clone());
    let second = member("b", Arc::new(AtomicBool::new(true)));
    let (a, b) = (first.port, second.port);
    let conf = format!(
        "ProxyHCExpr up {{hc('body') =~ /UP/ && %{{REQUEST_STATUS}} =~ /^2/ && %{{resp:X-Checked}} == 'true'}}\n\
         ProxyHCTemplate t hcmethod=GET hcinterval=200ms hcuri=/health hcexpr=up hcpasses=2\n\
         <Proxy balancer://b>\nBalancerMember http://127.0.0.1:{a} hctemplate=t\n\
         BalancerMember http://127.0.0.1:{b} hctemplate=t\n</Proxy>"
    );
    let site = site("hc-expr", &conf);
    let server = site.start();
    until(&server, "checks", || first.requests().len() > 1 && second.requests().len() > 1);
    let head = String::from_utf8(first.requests()[0].head.clone()).unwrap();
    assert_eq!(head, format!("GET /health HTTP/1.0\r\nHost: 127.0.0.1:{a}\r\n\r\n"));
    let mixed = bodies(&server);
    assert!(mixed.contains('a') && mixed.contains('b'), "{mixed}");

    well.store(false, Ordering::Release);
    let text = server.log("logs/error_log", |log| log.contains("DISABLING"));
    let line = format!("[proxy_hcheck:info] [pid {}", "");
    assert!(
        text.contains(&line)
            && text.contains(&format!("AH03303: Threaded Health check DISABLING http://127.0.0.1:{a}"))
    );
    assert_eq!(bodies(&server), "bbbb");
    // It stays out over a reload: what was found out goes on.
    if !crate::support::real_httpd() {
        server.signal(Signal::SIGUSR1);
        server.log("logs/error_log", |log| log.matches("resuming normal operations").count() == 2);
        assert_eq!(bodies(&server), "bbbb");
    }

    well.store(true, Ordering::Release);
    server.log("logs/error_log", |log| {
        log.contains(&format!("AH03302: Threaded Health check ENABLING http://127.0.0.1:{a}"))
    });
    let mixed = bodies(&server);
    assert!(mixed.contains('a') && mixed.contains('b'), "{mixed}");
}

#[test]
fn a_member_nobody_can_connect_to_is_taken_out() {
    let second = member("b", Arc::new(AtomicBool::new(true)));
    let (dead, b) = (free_port(), second.port);
    let conf = format!(
        "ProxyHCTPsize 0\n<Proxy balancer://b>\nBalancerMember http://127.0.0.1:{dead} hcmethod=TCP hcinterval=200ms hcfails=2\n\
         BalancerMember http://127.0.0.1:{b}\n</Proxy>"
    );
    let site = site("hc-tcp", &conf);
    let server = site.start();
    let text = server.log("logs/error_log", |log| log.contains("DISABLING"));
    assert!(text.contains(&format!("AH03303: Health check DISABLING http://127.0.0.1:{dead}")), "{text}");
    let refused = format!("AH00957: HCTCP: attempt to connect to 127.0.0.1:{dead} (127.0.0.1:{dead}) failed");
    assert!(text.matches(&refused).count() >= 2, "{text}");
    assert_eq!(bodies(&server), "bbbb");
}

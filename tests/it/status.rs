//! The page of mod_status.

use std::sync::mpsc;
use std::time::Duration;

use crate::support::{Origin, Site};

const MODULES: &[&str] =
    &["status", "proxy", "proxy_http", "slotmem_shm", "proxy_balancer", "lbmethod_byrequests", "lbmethod_bytraffic"];

fn site(name: &str, conf: &str) -> Site {
    let site = Site::new(name);
    let limits = "ServerLimit 1\nThreadLimit 10\nThreadsPerChild 10\nMaxRequestWorkers 10\nStartServers 1";
    let handler = "<Location /st>\nSetHandler server-status\n</Location>\nProxyPass /st !";
    site.httpd_conf(MODULES, &format!("{limits}\n{handler}\n{conf}"));
    site
}

fn keys(text: &str) -> Vec<&str> {
    text.lines().map(|line| line.split(':').next().unwrap_or_default()).collect()
}

#[test]
fn monitoring_finds_the_keys_it_knows() {
    let conf = "ProxyStatus On\n<Proxy balancer://b>\nBalancerMember http://127.0.0.1:1 status=+HI\n\
        BalancerMember http://127.0.0.1:2 status=+D\n</Proxy>\nProxyPass /b balancer://b";
    let site = site("st-keys", conf);
    let server = site.start();
    assert_eq!(server.get("/index.html", "").text(), "it works\n");
    // httpd says rates only once it has been up for a second.
    std::thread::sleep(Duration::from_millis(1100));
    let answer = server.get("/st?auto", "");
    assert_eq!(answer.header("content-type").as_deref(), Some("text/plain; charset=ISO-8859-1"));
    let text = answer.text();
    let mut found = keys(&text);
    found.retain(|key| *key != "CPULoad");
    let mut want = vec![
        "localhost",
        "ServerVersion",
        "ServerMPM",
        "Server Built",
        "CurrentTime",
        "RestartTime",
        "ParentServerConfigGeneration",
        "ParentServerMPMGeneration",
        "ServerUptimeSeconds",
        "ServerUptime",
        "Load1",
        "Load5",
        "Load15",
        "Total Accesses",
        "Total kBytes",
        "Total Duration",
        "CPUUser",
        "CPUSystem",
        "CPUChildrenUser",
        "CPUChildrenSystem",
        "Uptime",
        "ReqPerSec",
        "BytesPerSec",
        "BytesPerReq",
        "DurationPerReq",
        "BusyWorkers",
        "GracefulWorkers",
        "IdleWorkers",
        "Processes",
        "Stopping",
        "ConnsTotal",
        "ConnsAsyncWaitIO",
        "ConnsAsyncWriting",
        "ConnsAsyncKeepAlive",
        "ConnsAsyncClosing",
        "Scoreboard",
        "ProxyBalancer[0]Name",
    ];
    let rest: Vec<String> = (0..2)
        .flat_map(|n| {
            ["Name", "Status", "Elected", "Busy", "Sent", "Rcvd"].map(|key| format!("ProxyBalancer[0]Worker[{n}]{key}"))
        })
        .collect();
    want.extend(rest.iter().map(String::as_str));
    assert_eq!(found, want);
    for line in [
        "Total Accesses: 1\n",
        "BusyWorkers: 1\n",
        "IdleWorkers: 9\n",
        "ProxyBalancer[0]Worker[0]Status: Init Ign Stby Ok \n",
        "ProxyBalancer[0]Worker[1]Status: Init Dis \n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
}

#[test]
fn requests_in_progress_are_shown() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let origin = Origin::serving(move |peer, seen| {
        if let Some(request) = peer.request() {
            seen.note(request);
            let _ = wait.lock().unwrap().recv_timeout(Duration::from_secs(10));
            peer.try_send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
        }
    });
    let site = site("st-busy", &format!("ProxyPass /slow http://127.0.0.1:{}/", origin.port));
    let server = site.start();
    let mut client = server.connect();
    client.send("GET /slow?<b> HTTP/1.1\r\nHost: localhost\r\n\r\n");
    crate::support::wait_for("the origin is asked", Duration::from_secs(10), || {
        (!origin.requests().is_empty()).then_some(())
    });
    let page = server.get("/st", "").text();
    assert!(page.contains("<td nowrap>GET /slow?&lt;b&gt; HTTP/1.1</td>"), "{page}");
    assert!(
        page.contains("2 requests currently being processed, 0 workers gracefully restarting, 8 idle workers"),
        "{page}"
    );
    go.send(()).unwrap();
    assert_eq!(client.response().text(), "x");
    // The client may have its response before the request is counted off.
    let auto = crate::support::wait_for("one request at a time", Duration::from_secs(10), || {
        Some(server.get("/st?auto", "").text()).filter(|auto| auto.contains("BusyWorkers: 1\n"))
    });
    assert_eq!(auto.lines().find(|line| line.starts_with("Scoreboard: ")).map(str::len), Some(22));
}

#[test]
fn without_extended_status_only_states_are_shown() {
    let site = site("st-plain", "ExtendedStatus Off");
    let server = site.start();
    let text = server.get("/st?auto", "").text();
    assert!(
        !text.contains("Total Accesses") && text.contains("Load15") && text.contains("\nBusyWorkers: 1\n"),
        "{text}"
    );
    let answer = server.get("/st?refresh=7", "");
    assert_eq!(answer.header("refresh").as_deref(), Some("7"));
    assert!(answer.text().contains("To obtain a full report"), "{}", answer.text());
    let mut client = server.connect();
    client.send("POST /st HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.response().status, 404);
}

//! `balancer-manager`.

use nix::sys::signal::Signal;

use crate::support::{Message, Origin, Server, Site, real_httpd};

const MODULES: &[&str] =
    &["proxy", "proxy_http", "slotmem_shm", "proxy_balancer", "lbmethod_byrequests", "lbmethod_bytraffic"];

fn site(name: &str, ports: [u16; 2]) -> Site {
    let site = Site::new(name);
    let conf = format!(
        "<Location /bm>\nSetHandler balancer-manager\n</Location>\nProxyPass /bm !\n<Proxy balancer://b>\n\
         BalancerMember http://127.0.0.1:{}\nProxySet growth=1 nonce=abc maxattempts=2\n</Proxy>\nProxyPass / balancer://b/\n# {}",
        ports[0], ports[1]
    );
    site.httpd_conf(MODULES, &conf);
    site
}

fn post(server: &Server<'_>, referer: &str, form: &str) -> Message {
    let mut client = server.connect();
    client.send(format!(
        "POST /bm HTTP/1.1\r\nHost: localhost\r\nReferer: {referer}\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    ));
    client.response()
}

const OWN: &str = "http://localhost/bm";

fn xml(server: &Server<'_>) -> String {
    server.get("/bm?xml=1", &format!("Referer: {OWN}\r\n")).text()
}

#[test]
fn forms_change_members_and_links_do_not() {
    let (a, b) = (
        Origin::replying("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"),
        Origin::replying("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb"),
    );
    let (first, second) = (format!("http://127.0.0.1:{}", a.port), format!("http://127.0.0.1:{}", b.port));
    let site = site("bm-change", [a.port, b.port]);
    let server = site.start();
    let disable = format!("b=b&w={first}&w_status_D=1&nonce=abc");
    let enabled = "<httpd:status>Init Ok </httpd:status>";
    // A link, another site's form, a wrong nonce.
    assert_eq!(server.get(&format!("/bm?{disable}"), &format!("Referer: {OWN}\r\n")).status, 200);
    assert_eq!(post(&server, "http://evil.test/bm", &disable).status, 200);
    assert_eq!(post(&server, OWN, &disable.replace("abc", "abd")).status, 200);
    assert!(xml(&server).contains(enabled), "{}", xml(&server));
    assert_eq!(server.get("/x", "").text(), "a");
    // The page in place of the document without the right referer.
    assert!(server.get("/bm?xml=1", "").text().starts_with("<!DOCTYPE"));

    let page = post(&server, OWN, &format!("b=b&nonce=abc&b_nwrkr={second}&b_wyes=1")).text();
    assert!(page.contains("<td>2 [2 Used]</td>") && page.contains("<td>Init Dis </td>"), "{page}");
    assert_eq!(post(&server, OWN, "b=b&nonce=abc&b_nwrkr=http://127.0.0.1:9&b_wyes=1").status, 400);
    post(&server, OWN, &format!("b=b&w={second}&w_status_D=0&w_lf=2.5&w_wr=r2&nonce=abc"));
    post(&server, OWN, &disable);
    let text = xml(&server);
    for part in ["<httpd:status>Init Dis </httpd:status>", enabled, "<httpd:loadfactor>2.50<", "<httpd:route>r2<"] {
        assert!(text.contains(part), "{part} {text}");
    }
    assert_eq!((server.get("/x", "").text() + &server.get("/x", "").text()).as_str(), "bb");

    post(&server, OWN, "b=b&b_lbm=bytraffic&b_tmo=9&b_ss=X|y&nonce=abc");
    let text = xml(&server);
    for part in ["<httpd:lbmethod>bytraffic<", "<httpd:timeout>9<", "<httpd:stickysession>X<"] {
        assert!(text.contains(part), "{part} {text}");
    }
    let log = server.log("logs/error_log", |log| log.contains("AH10164"));
    assert!(
        log.contains("AH10187: ignoring params in balancer-manager cross-site access http://evil.test/bm: localhost"),
        "{log}"
    );
}

/// The document tells of a member what its configuration says, in httpd's way: of times below a second only that part.
#[test]
fn the_document_tells_what_is_set() {
    let site = Site::new("bm-xml");
    let modules = [MODULES, &["proxy_ajp", "proxy_hcheck", "watchdog"]].concat();
    let conf = "<Location /bm>\nSetHandler balancer-manager\n</Location>\nProxyPass /bm !\n\
        ProxyHCExpr small {%{REQUEST_STATUS} -lt 300}\n<Proxy balancer://b>\n\
        BalancerMember ajp://127.0.0.1:9 ttl=60 timeout=7 acquire=300 receivebuffersize=2048 iobuffersize=4096 \
        keepalive=On flushpackets=auto flushwait=20 ping=3 disablereuse=on connectiontimeout=1500ms retry=5\n</Proxy>";
    site.httpd_conf(&modules, conf);
    let server = site.start();
    // Whatever the value.
    let text = server.get("/bm?xml=0", &format!("Referer: {OWN}\r\n")).text();
    for lines in [
        "<httpd:ttl>60</httpd:ttl>\n          <httpd:timeout>7</httpd:timeout>\n          \
         <httpd:acquire>300</httpd:acquire>\n          <httpd:recv_buffer_size>2048</httpd:recv_buffer_size>\n          \
         <httpd:io_buffer_size>4096</httpd:io_buffer_size>\n          <httpd:keepalive>On</httpd:keepalive>\n          \
         <httpd:status>",
        "<httpd:flushwait>20000</httpd:flushwait>\n          <httpd:ping>0</httpd:ping>      \
         <httpd:disablereuse>On</httpd:disablereuse>\n          \
         <httpd:connectiontimeout>500</httpd:connectiontimeout>\n          <httpd:retry>5</httpd:retry>\n        \
         </httpd:worker>",
    ] {
        assert!(text.contains(lines), "{text}");
    }
    let page = server.get("/bm", "").text();
    assert!(page.contains("<tr><td>small</td><td>%{REQUEST_STATUS} -lt 300</td></tr>\n</table><hr/>\n"), "{page}");
    let mut client = server.connect();
    client.send("OPTIONS /bm HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(client.response().status, 200);
}

#[test]
fn what_was_changed_lasts_over_reloads() {
    if real_httpd() {
        // It keeps nothing but with BalancerPersist.
        return;
    }
    let ports =
        [Origin::replying("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"), Origin::replying("")].map(|o| o.port);
    let [first, second] = ports.map(|port| format!("http://127.0.0.1:{port}"));
    let site = site("bm-reload", ports);
    let server = site.start();
    post(&server, OWN, &format!("b=b&w={first}&w_lf=2.5&w_ls=3&w_wr=r1&w_rr=r9&w_status_N=1&nonce=abc"));
    post(&server, OWN, "b=b&b_lbm=bytraffic&b_tmo=9&b_ss=X|y&nonce=abc");
    post(&server, OWN, &format!("b=b&nonce=abc&b_nwrkr={second}&b_wyes=1"));
    post(&server, OWN, &format!("b=b&w={second}&w_lf=4&nonce=abc"));
    post(&server, OWN, &format!("b=b&w={first}&w_lf=2.5&nonce=abc"));
    // Without the counters, which this very request may have moved.
    let shown = || xml(&server);
    let before = shown();
    let reload = |times: usize| {
        server.signal(Signal::SIGUSR1);
        server.log("logs/error_log", |log| log.matches("AH00489").count() == times);
    };
    reload(2);
    assert_eq!(shown(), before);
    for part in ["<httpd:loadfactor>2.50<", "<httpd:route>r1<", "Init Drn ", "<httpd:lbmethod>bytraffic<", &second] {
        assert!(before.contains(part), "{part} {before}");
    }
    // What the configuration now says otherwise is as it says.
    let said = site.read("conf/httpd.conf").replace(&format!("{first}\n"), &format!("{first} lbset=1\n"));
    site.write("conf/httpd.conf", said);
    reload(3);
    let (was, is) = ("<httpd:lbset>3</httpd:lbset>", "<httpd:lbset>1</httpd:lbset>");
    assert!(before.contains(was));
    assert_eq!(shown(), before.replace(was, is));
}

#[test]
fn what_was_changed_lasts_over_a_stop_where_that_is_asked() {
    let ports = [Origin::replying(""), Origin::replying("")].map(|o| o.port);
    let [first, second] = ports.map(|port| format!("http://127.0.0.1:{port}"));
    let site = site("bm-persist", ports);
    let plain = site.read("conf/httpd.conf");
    let lasting = plain.clone() + "BalancerPersist On\nDefaultRuntimeDir logs\n";
    site.write("conf/httpd.conf", &lasting);
    let server = site.start();
    post(&server, OWN, &format!("b=b&nonce=abc&b_nwrkr={second}&b_wyes=1"));
    post(&server, OWN, &format!("b=b&w={first}&w_ls=3&w_wr=r1&w_rr=r9&w_status_N=1&w_lf=2.5&nonce=abc"));
    post(&server, OWN, "b=b&b_lbm=bytraffic&b_tmo=9&b_max=3&b_sforce=1&b_ss=X|y&nonce=abc");
    post(&server, OWN, &format!("b=b&w={second}&w_status_D=0&nonce=abc"));
    let edited = xml(&server);
    for part in ["<httpd:loadfactor>2.50<", "<httpd:route>r1<", "Init Drn ", "<httpd:lbmethod>bytraffic<", &second] {
        assert!(edited.contains(part), "{part} {edited}");
    }
    server.stop();
    let server = site.start();
    assert_eq!(xml(&server), edited);
    server.stop();
    // Without, all is as configured; what was kept stays for the next time.
    site.write("conf/httpd.conf", &plain);
    let server = site.start();
    let fresh = xml(&server);
    assert!(!fresh.contains(&second) && fresh.contains("<httpd:lbset>0<") && !fresh.contains("Drn"), "{fresh}");
    server.stop();
    site.write("conf/httpd.conf", &lasting);
    let server = site.start();
    assert_eq!(xml(&server), edited);
    if real_httpd() {
        return;
    }
    // What the file now says otherwise is as it says (httpd goes on with what it has kept), and a kill loses nothing.
    post(&server, OWN, &format!("b=b&w={first}&w_wr=r2&nonce=abc"));
    server.kill();
    let said = format!("BalancerMember {first} lbset=1 route=\n");
    site.write("conf/httpd.conf", lasting.replace(&format!("BalancerMember {first}\n"), &said));
    let server = site.start();
    let (was, is) = (["<httpd:lbset>3<", "<httpd:route>r1<"], ["<httpd:lbset>1<", "<httpd:route>r2<"]);
    assert_eq!(xml(&server), edited.replace(was[0], is[0]).replace(was[1], is[1]));
    server.stop();
    // What is broken is said, and no reason not to start.
    for name in std::fs::read_dir(site.path("logs")).unwrap().map(|entry| entry.unwrap().path()) {
        if name.to_string_lossy().contains("balancers-") {
            std::fs::write(name, "nonsense").unwrap();
        }
    }
    let server = site.start();
    assert!(xml(&server).contains("<httpd:lbset>1<") && !xml(&server).contains(&second));
}

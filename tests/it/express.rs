//! mod_proxy_express: a file says for each host where its requests go.

use crate::support::{Origin, Site};

const MODULES: &[&str] = &["proxy", "proxy_http", "proxy_express"];

/// Files as Debian's `httxt2dbm` makes them, with every host of these lines.
fn databases(site: &Site, lines: &str) {
    site.write("map.txt", lines);
    for (kind, name) in [("SDBM", "map"), ("DB", "map.db")] {
        let mut run = std::process::Command::new("httxt2dbm");
        run.current_dir(site.root()).args(["-f", kind, "-i", "map.txt", "-o", name]);
        assert!(run.status().unwrap().success());
    }
}

#[test]
fn a_file_says_where_the_requests_of_a_host_go() {
    if crate::support::which("httxt2dbm").is_none() {
        return crate::support::skip("files for mod_proxy_express", "httxt2dbm");
    }
    for (kind, name) in [("sdbm", "map"), ("db", "map.db"), ("default", "map.db")] {
        let origin = Origin::replying("HTTP/1.1 302 Found\r\nLocation: http://a.test/x\r\nContent-Length: 0\r\n\r\n");
        let site = Site::new(&format!("express-{kind}"));
        databases(
            &site,
            &format!(
                "one.test http://127.0.0.1:{0}/ctx\nTwo.test nothing\nthree.test http://127.0.0.1:{0}\n",
                origin.port
            ),
        );
        let conf = format!(
            "ProxyExpressEnable on\nProxyExpressDBMFile {name}\nProxyExpressDBMType {kind}\n\
             ProxyPass /own http://127.0.0.1:{}/own\nLogLevel proxy_express:debug",
            origin.port
        );
        site.httpd_conf(MODULES, &conf);
        let server = site.start();
        let ask = |host: &str, target: &str| {
            let mut client = server.connect();
            client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
            client.response().line()
        };
        assert_eq!(ask("ONE.test:8080", "/a%20b?q=1"), "HTTP/1.1 302 Found");
        assert_eq!(ask("three.test", "/x"), "HTTP/1.1 302 Found");
        assert_eq!(ask("one.test", "/own/y"), "HTTP/1.1 302 Found");
        assert!(ask("four.test", "/x").contains(" 404 "));
        assert!(ask("two.test", "/x").contains(" 404 "), "keys are as written");
        let lines: Vec<String> = origin.requests().iter().map(|seen| seen.line()).collect();
        assert_eq!(lines, ["GET /ctx/a%20b?q=1 HTTP/1.1", "GET /x HTTP/1.1", "GET /own/y HTTP/1.1"]);
        // There is no worker for it: nothing is kept.
        assert_eq!(origin.requests()[0].header("Connection").as_deref(), Some("close"));
        let log = server.log("logs/error_log", |log| log.contains("rewritten as: proxy:"));
        let found = format!("AH01004: proxy_express: found one.test -> http://127.0.0.1:{}/ctx", origin.port);
        assert!(log.contains(&found), "{log}");
    }
}

#[test]
fn a_file_that_cannot_be_read_maps_nothing() {
    let site = Site::new("express-none");
    site.httpd_conf(MODULES, "ProxyExpressEnable on\nProxyExpressDBMFile none\nProxyExpressDBMType sdbm");
    let server = site.start();
    assert!(server.get("/x", "").line().contains(" 404 "));
}

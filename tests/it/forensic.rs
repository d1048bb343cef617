//! mod_log_forensic: every request before it is served and after, and what Debian's `check_forensic` makes of it.

use std::fs;
use std::process::Command;

use super::support::{PATIENCE, Server, Site, skip, wait_for, which};

fn lines(server: &Server<'_>, log: &str, count: usize) -> Vec<String> {
    server.log(log, |text| text.lines().count() >= count).lines().map(str::to_owned).collect()
}

#[test]
fn requests_are_written_before_and_after() {
    let site = Site::new("forensic");
    let (port, piped) = (site.port, site.path("logs/piped"));
    let body = format!(
        "ForensicLog logs/forensic\nLogFormat \"%{{forensic-id}}n\" id\nCustomLog logs/ids id\n\
         ErrorDocument 404 /index.html\nHeader always set X \"expr=%{{note:forensic-id}}\"\n\
         <VirtualHost *:{port}>\nServerName a.test\n</VirtualHost>\n\
         <VirtualHost *:{port}>\nServerName b.test\nForensicLog \"|/bin/sh -c 'cat >>{}'\"\n</VirtualHost>\n",
        piped.display()
    );
    site.httpd_conf(&["log_forensic", "headers"], &body);
    let server = site.start();
    let mut client = server.connect();
    client.send("GET /index.html?a|b:c%20 HTTP/1.1\r\nHost: a.test\r\nX: \"1\"\t\u{e9}\r\nY: 1\r\ny: 2\r\n\r\n");
    let id = client.response().header("X").unwrap();
    client.send("GET /absent HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    assert_eq!(client.response().status, 404);
    let mut client = server.connect();
    client.send("GET /a b HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(client.response().status, 400);
    let all = lines(&server, "logs/forensic", 4);
    assert_eq!(all.len(), 4, "{all:?}");
    let parts: Vec<&str> = id.split(':').collect();
    let is_hex = |text: &str| u64::from_str_radix(text, 16).is_ok();
    assert!(parts.len() == 3 && parts[0].parse::<u32>().is_ok() && is_hex(parts[1]) && is_hex(parts[2]), "{id}");
    assert_eq!(all[0], format!("+{id}|GET /index.html?a%7cb%3ac%2520 HTTP/1.1|Host:a.test|X:\"1\"%09%c3%a9|Y:1, 2"));
    assert_eq!(all[1], format!("-{id}"));
    let second =
        all[2].strip_suffix("|GET /absent HTTP/1.1|Host:a.test|Connection:close").unwrap().strip_prefix('+').unwrap();
    assert_eq!(all[3], format!("-{second}"));
    assert_ne!(second, id);
    // The error page is another request; the malformed one is none.
    assert_eq!(lines(&server, "logs/ids", 3), [&id, "-", "-"]);
    let mut client = server.connect();
    client.send("GET /index.html HTTP/1.1\r\nHost: b.test\r\nConnection: close\r\n\r\n");
    let id = client.response().header("X").unwrap();
    let text = wait_for("the piped log", PATIENCE, || Some(site.read("logs/piped")).filter(|log| log.contains('-')));
    assert_eq!(text, format!("+{id}|GET /index.html HTTP/1.1|Host:b.test|Connection:close\n-{id}\n"));
}

#[test]
fn ids_are_those_of_mod_unique_id() {
    let site = Site::new("forensic-unique");
    site.httpd_conf(
        &["log_forensic", "headers", "unique_id"],
        "ForensicLog logs/forensic\nHeader always set X \"expr=%{reqenv:UNIQUE_ID} %{note:forensic-id}\"\n",
    );
    let server = site.start();
    let told = server.get("/index.html", "").header("X").unwrap();
    let (unique, id) = told.split_once(' ').unwrap();
    assert_eq!((unique, id.len()), (id, 27));
    assert!(lines(&server, "logs/forensic", 2)[0].starts_with(&format!("+{id}|GET /index.html ")));
}

#[test]
fn the_request_that_is_not_over_is_found() {
    let Some(check) = which("check_forensic") else {
        skip("the_request_that_is_not_over_is_found", "check_forensic");
        return;
    };
    let site = Site::new("forensic-check");
    // A backend that never answers.
    let backend = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).unwrap();
    let dead = backend.local_addr().unwrap().port();
    let body = format!("ForensicLog logs/forensic\nProxyPass /hang http://127.0.0.1:{dead}/\n");
    site.httpd_conf(&["log_forensic", "proxy", "proxy_http"], &body);
    let server = site.start();
    for _ in 0..3 {
        assert_eq!(server.get("/index.html", "").status, 200);
    }
    let mut client = server.connect();
    client.send("GET /hang HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let log = server.log("logs/forensic", |text| text.contains("/hang") && text.matches("\n-").count() == 3);
    // Where the script puts its temporary files is its own affair.
    let output = Command::new(check).arg(site.path("logs/forensic")).output().unwrap();
    let found = String::from_utf8(output.stdout).unwrap();
    let wanted = log.lines().find(|line| line.contains("/hang")).unwrap();
    assert_eq!(found.trim_end(), wanted, "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_log_that_cannot_be_opened_keeps_the_server_from_starting() {
    let site = Site::new("forensic-absent");
    site.httpd_conf(&["log_forensic"], "ForensicLog nodir/forensic\n");
    let verdict = site.run(&["-DFOREGROUND"]);
    assert_eq!(verdict.code, Some(1), "{verdict:?}");
    let log = fs::read_to_string(site.path("logs/error_log")).unwrap();
    let path = site.path("nodir/forensic");
    let text = format!("(2)No such file or directory: AH00651: could not open forensic log file {}.", path.display());
    assert!(log.contains("[log_forensic:error]") && log.contains(&text), "{log}");
}

//! From the target of a request to its page: hosts, sections, error documents, permission, ends of connections. The
//! same bytes come from the real httpd.

use super::support::{Server, Site};

const LOG: &str = "LogFormat \"%>s %s %U %v %k %X\" t\nCustomLog logs/access_log t\n";

fn site(name: &str, modules: &[&str], body: &str) -> Site {
    let site = Site::new(name);
    site.httpd_conf(modules, &format!("{LOG}ServerTokens Prod\n{body}"));
    site
}

/// All that comes back for `bytes`, up to the end of the connection.
fn answer(server: &Server<'_>, bytes: impl AsRef<[u8]>) -> String {
    let mut client = server.connect();
    client.send(bytes);
    client.finish();
    String::from_utf8_lossy(&client.rest()).into_owned()
}

fn get(server: &Server<'_>, path: &str) -> (String, String) {
    let all = answer(server, format!("GET {path} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"));
    let (head, body) = all.split_once("\r\n\r\n").unwrap_or((&all, ""));
    (head.split(' ').nth(1).unwrap_or_default().to_owned(), body.to_owned())
}

#[test]
fn hosts_choose_the_server_or_are_refused_by_the_first() {
    let vhost = |name: &str, more: &str| {
        format!(
            "<VirtualHost *:*>\nServerName {name}\n{more}\nErrorDocument 404 \"{}\"\n</VirtualHost>\n",
            name.trim_end_matches(":4444")
        )
    };
    let body = vhost("a.test", "ErrorDocument 400 \"refused\"")
        + &vhost("b.test:4444", "ServerAlias *.wild.test ::1")
        + &vhost("c.test", "ServerAlias x.wild.test\nServerPath /sp");
    let site = site("pipe-host", &[], &body);
    let server = site.start();
    let of = |head: &str| {
        let all = answer(&server, format!("{head}Connection: close\r\n\r\n"));
        all.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
    };
    for (host, want) in [
        ("a.test", "a.test"),
        ("B.TEST.", "b.test"),
        ("b.test:1", "b.test"),
        ("x.wild.test", "b.test"),
        ("c.test", "c.test"),
        ("[::1]:8", "b.test"),
        ("unknown.test", "a.test"),
        ("", "refused"),
        ("a..test", "refused"),
        ("a.test:0", "refused"),
        ("a.test:x", "refused"),
        ("a/b", "refused"),
        ("a,b", "refused"),
        ("123", "refused"),
        ("1.2.3", "refused"),
        ("a.1", "refused"),
        ("[::1", "refused"),
    ] {
        assert_eq!(of(&format!("GET /none HTTP/1.1\r\nHost: {host}\r\n")), want, "{host}");
    }
    assert_eq!(of("GET http://c.test/none HTTP/1.1\r\nHost: b.test\r\n"), "c.test");
    assert_eq!(of("GET /sp/none HTTP/1.0\r\n"), "c.test");
    assert_eq!(of("GET /none HTTP/1.1\r\nHost: b.test\r\nHost: b.test\r\n"), "refused");
    assert_eq!(of("GET /none HTTP/1.1\r\n"), "refused");
}

#[test]
fn sections_are_merged_in_httpds_order() {
    let site = Site::new("pipe-merge");
    let root = site.path("htdocs").display().to_string();
    let say = |open: &str, what: &str, close: &str| format!("<{open}>\nErrorDocument 404 \"{what}\"\n</{close}>\n");
    let body = say("Location /loc/sub", "loc-sub", "Location")
        + &say("Location /loc", "loc", "Location")
        + &say("Files f*", "files", "Files")
        + &say("DirectoryMatch /dm", "match", "DirectoryMatch")
        + &say(&format!("Directory {root}/d/e"), "deep", "Directory")
        + &say(&format!("Directory {root}/d"), "flat", "Directory")
        + &say("LocationMatch ^/re/(?<what>[a-z]+)", "re-%{env:MATCH_WHAT}", "LocationMatch")
        + "<Location /if>\n"
        + &say("If \"%{QUERY_STRING} == 'x'\"", "if", "If")
        + &say("Else", "else", "Else")
        + "</Location>\n";
    site.httpd_conf(&[], &format!("{LOG}AllowEncodedSlashes On\n{body}"));
    site.write("htdocs/d/e/there", "x");
    site.write("htdocs/dm/there", "x");
    let server = site.start();
    for (path, want) in [
        ("/loc/sub/x", "loc"),
        ("/loc//./x/../y", "loc"),
        ("/%6coc", "loc"),
        ("/d/none", "flat"),
        ("/d/e/none", "deep"),
        ("/d/e/fnone", "files"),
        ("/d/e", "deep"),
        ("/dm/none", "match"),
        ("/re/abc/x", "re-abc"),
        ("/if?x", "if"),
        ("/if?y", "else"),
    ] {
        assert_eq!(get(&server, path), ("404".to_owned(), want.to_owned()), "{path}");
    }
}

#[test]
fn error_documents_and_what_becomes_of_them() {
    let body = "ErrorDocument 404 /page?q\nErrorDocument 410 /gone-too\nErrorDocument 405 \"no %{REQUEST_METHOD}\"\n\
                <Location /away>\nErrorDocument 404 http://x.test/%{REQUEST_URI}\n</Location>\n\
                <Location /std>\nErrorDocument 404 default\n</Location>\nRedirect 410 /gone\nRedirect 418 /tea\n";
    let site = site("pipe-errors", &["alias"], body);
    site.write("htdocs/page", "the page");
    let server = site.start();
    assert_eq!(get(&server, "/none"), ("404".to_owned(), "the page".to_owned()));
    let (status, page) = get(&server, "/gone");
    assert_eq!(status, "410");
    assert!(
        page.contains("<h1>Gone</h1>") && page.contains("Additionally, a 410 Gone\nerror was encountered"),
        "{page}"
    );
    assert_eq!(get(&server, "/away").0, "302");
    assert!(get(&server, "/std").1.contains("<p>The requested URL was not found on this server.</p>"));
    let tea = answer(&server, "GET /tea HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(tea.starts_with("HTTP/1.1 500 Internal Server Error\r\n"), "{tea}");
    let refused = answer(&server, "DELETE /page HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(refused.starts_with("HTTP/1.1 405 ") && refused.ends_with("\r\n\r\nno DELETE"), "{refused}");
    let log = server.log("logs/access_log", |log| log.lines().count() == 6);
    let lines: Vec<_> = log.lines().map(|line| line.split(' ').take(3).collect::<Vec<_>>().join(" ")).collect();
    // The first request's path, the last one's status first.
    assert_eq!(lines[..2], ["404 404 /none", "404 410 /gone"]);
    assert_eq!(lines[4], "418 418 /tea");
}

#[test]
fn a_body_that_is_not_read_does_not_become_a_request() {
    let body = "KeepAliveTimeout 1\n<Location /deny>\nRequire all denied\n</Location>\n\
                <Location /small>\nLimitRequestBody 5\n</Location>\n";
    let site = site("pipe-body", &[], body);
    site.write("htdocs/f", "file");
    site.write("htdocs/small", "small");
    let server = site.start();
    let next = "GET /f HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let statuses = |bytes: String| -> Vec<String> {
        let all = answer(&server, bytes);
        let lines = all.match_indices("HTTP/1.1 ").map(|(at, start)| all[at + start.len()..][..3].to_owned());
        lines.collect()
    };
    let post =
        |path: &str, more: &str, body: &str| format!("POST {path} HTTP/1.1\r\nHost: a\r\n{more}\r\n\r\n{body}{next}");
    let length = "Content-Length: 10";
    assert_eq!(statuses(post("/deny", length, "0123456789")), ["403", "200"]);
    assert_eq!(statuses(post("/none", length, "0123456789")), ["404", "200"]);
    assert_eq!(statuses(post("/f", length, "0123456789")), ["200", "200"]);
    assert_eq!(statuses(post("/small", length, "0123456789")), ["413"]);
    assert_eq!(statuses(post("/deny", "Transfer-Encoding: chunked", "a\r\n0123456789\r\n0\r\n\r\n")), ["403", "200"]);
    // A body that turns out malformed: the connection ends with the answer.
    assert_eq!(statuses(post("/deny", "Transfer-Encoding: chunked", "zz\r\n")), ["400"]);
    // The client waits for leave to send its body, and is told that there is none.
    assert_eq!(statuses(post("/deny", "Content-Length: 10\r\nExpect: 100-continue", "")), ["403"]);
}

#[test]
fn connections_end_when_they_are_used_up() {
    let body = "MaxKeepAliveRequests 2\n<VirtualHost *:*>\nServerName a.test\n</VirtualHost>\n\
                <VirtualHost *:*>\nServerName off.test\nKeepAlive Off\n</VirtualHost>\n";
    let site = site("pipe-keep", &[], body);
    site.write("htdocs/f", "file");
    let server = site.start();
    let ask = |host: &str, version: &str, connection: &str| {
        format!("GET /f HTTP/{version}\r\nHost: {host}\r\n{connection}\r\n")
    };
    let connections = |bytes: String| -> Vec<String> {
        let all = answer(&server, bytes);
        let heads = all.split("HTTP/1.1 200 OK\r\n").skip(1);
        heads
            .map(|head| {
                let of = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("-").to_owned();
                of("Keep-Alive: ") + " " + &of("Connection: ")
            })
            .collect()
    };
    let keep = "Connection: keep-alive\r\n";
    let three = ["timeout=5, max=2 Keep-Alive", "timeout=5, max=1 Keep-Alive", "- close"];
    assert_eq!(connections(ask("a.test", "1.1", keep).repeat(4)), three);
    assert_eq!(connections(ask("a.test", "1.0", keep).repeat(4)), three);
    assert_eq!(connections(ask("a.test", "1.1", "").repeat(4)), ["- -", "- -", "- close"]);
    assert_eq!(connections(ask("a.test", "1.0", "").repeat(2)), ["- close"]);
    assert_eq!(connections(ask("off.test", "1.1", keep).repeat(2)), ["- close"]);
}

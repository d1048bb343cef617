//! From the client's URL to the backend's and back: `ProxyPass` in all its forms, `<Proxy>`, `ProxyPassReverse`.

use crate::support::{Message, Origin, Peer, Server, Site};

const MODULES: &[&str] =
    &["setenvif", "headers", "rewrite", "proxy", "proxy_http", "slotmem_shm", "proxy_balancer", "lbmethod_byrequests"];

/// An origin that answers with the target it was asked for, and with how the connection is to go on.
fn echo() -> Origin {
    Origin::serving(|peer, seen| {
        while let Some(request) = peer.request() {
            let target = request.line().split(' ').nth(1).unwrap_or_default().to_owned();
            let connection = request.header("Connection").unwrap_or_default();
            seen.note(request);
            let answer = format!(
                "HTTP/1.1 200 OK\r\nX-Connection: {connection}\r\nContent-Length: {}\r\n\r\n{target}",
                target.len()
            );
            if !peer.try_send(answer) {
                return;
            }
        }
    })
}

/// A site with this configuration; `{B}` is the origin's port, `{P}` the site's own.
fn site(name: &str, origin: &Origin, conf: &str) -> Site {
    let site = Site::new(name);
    let conf = conf.replace("{B}", &origin.port.to_string()).replace("{P}", &site.port.to_string());
    site.httpd_conf(MODULES, &conf);
    site
}

fn ask(server: &Server<'_>, host: &str, target: &str) -> Message {
    let mut client: Peer = server.connect();
    client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
    client.response()
}

/// What the origin was asked for, or the status of what the server answered itself.
fn sent(server: &Server<'_>, target: &str) -> String {
    let answer = ask(server, "pub.test", target);
    if answer.status == 200 { answer.text() } else { answer.status.to_string() }
}

fn all_sent(server: &Server<'_>, cases: &[(&str, &str)]) {
    for (target, expected) in cases {
        assert_eq!(sent(server, target), *expected, "for {target}");
    }
}

#[test]
fn the_first_rule_whose_segments_match_wins() {
    let origin = echo();
    let conf = "ProxyPass /m/i !\nProxyPass /m http://127.0.0.1:{B}/m\nProxyPass /m/late http://127.0.0.1:{B}/never\n\
                ProxyPass /a/ http://127.0.0.1:{B}/t\nProxyPass /b http://127.0.0.1:{B}/t/\nProxyPass /d http://127.0.0.1:{B}\n";
    let site = site("map-order", &origin, conf);
    let server = site.start();
    all_sent(
        &server,
        &[
            ("/m/i/x", "404"),
            ("/m/ix", "/m/ix"),
            ("/m/late", "/m/late"),
            ("//m///x?q=%20\"<>", "/m/x?q=%20\"<>"),
            ("/a/x", "/tx"),
            ("/a", "404"),
            ("/b/x", "/t//x"),
            ("/d", "/"),
            ("/dx", "404"),
            ("/m/../d/y", "/y"),
            ("/m?", "/m?"),
        ],
    );
}

#[test]
fn paths_are_decoded_and_escaped_anew() {
    let origin = echo();
    let site = site("map-escape", &origin, "ProxyPass /app http://127.0.0.1:{B}/app\n");
    let server = site.start();
    all_sent(
        &server,
        &[
            ("/app/a%20b", "/app/a%20b"),
            ("/app/%7Euser/%41", "/app/~user/A"),
            ("/app/%21%24%26%3B%40", "/app/!$&;@"),
            ("/app/%e9", "/app/%E9"),
            ("/app/a%3Fb%23%25", "/app/a%3Fb%23%25"),
            ("/app/a%2541", "/app/a%2541"),
            ("/app/a\"<>[]{}|^`", "/app/a%22%3C%3E%5B%5D%7B%7D%7C%5E%60"),
            ("/app/a;b=c;d", "/app/a;b=c;d"),
            ("/app/a%2fb", "404"),
            ("/app/a%00b", "404"),
            ("/app/a%2", "400"),
        ],
    );
}

#[test]
fn nocanon_takes_the_target_as_the_client_wrote_it() {
    let origin = echo();
    let conf = "AllowEncodedSlashes On\nProxyPass /n http://127.0.0.1:{B}/n nocanon\n\
                <Proxy balancer://b>\nBalancerMember http://127.0.0.1:{B}/m\n</Proxy>\n\
                ProxyPass /b balancer://b/k nocanon\n";
    let site = site("map-nocanon", &origin, conf);
    let server = site.start();
    all_sent(
        &server,
        &[
            ("/n/a%2fb%20%7E?q", "/n/a%2fb%20%7E?q"),
            ("/n//x/./y", "/n//x/./y"),
            ("/n/\"<>", "/n/\"<>"),
            // Another length than the decoded match: back to escaping.
            ("/%6e/a%2fb", "/n/a/b"),
            ("/b/a%2fb?q", "/m/k/a%2fb?q"),
        ],
    );
    let log = server.log("logs/error_log", |log| log.contains("AH01136"));
    assert!(log.contains("[proxy:warn]") && log.contains("ignoring unsafe nocanon"), "{log}");
}

#[test]
fn encoded_and_servlet_mappings_come_before_decoding() {
    let origin = echo();
    let conf = "ProxyPass /e http://127.0.0.1:{B}/e mapping=encoded\n\
                ProxyPass /app http://127.0.0.1:{B}/app mapping=servlet\nProxyPass / http://127.0.0.1:{B}/root/\n";
    let site = site("map-early", &origin, conf);
    let server = site.start();
    all_sent(
        &server,
        &[
            ("/e/a%2fb%00%e9%41?x=%20", "/e/a%2fb%00%e9A?x=%20"),
            ("/app;v=1/x", "/app;v=1/x"),
            ("/app/x;jsessionid=1/y", "/app/x;jsessionid=1/y"),
            ("/app;x=/..;/app/y", "/app/y"),
            ("/app;jsessionid=9", "/app"),
            ("/app/", "/app/"),
            ("/app/a%3Bb/c", "/app/a%3Bb/c"),
            ("/application", "/root/application"),
        ],
    );
}

#[test]
fn patterns_substitute_or_append_the_path() {
    let origin = echo();
    let conf = "ProxyPassMatch \"^/one/(.*)\\.jpg$\" http://127.0.0.1:{B}/i/$1\nProxyPassMatch ^/no !\n\
                ProxyPassMatch \\.gif$ http://127.0.0.1:{B}\nProxyPass ~ ^/four/(\\d+)/ http://127.0.0.1:{B}/$1\n\
                ProxyPassMatch \"^/port(\\d+)/(.*)$\" http://127.0.0.1:$1/$2\n";
    let site = site("map-match", &origin, conf);
    let server = site.start();
    let port = format!("/port{}/x", origin.port);
    all_sent(
        &server,
        &[
            ("/one/a%20b.jpg?q=1", "/i/a%20b?q=1"),
            ("/nope.gif", "404"),
            ("/z/q.gif", "/z/q.gif"),
            ("/four/12/rest", "/12"),
            (&port, "/x"),
        ],
    );
    // What a pattern puts together is asked for on a connection that is not kept.
    let connection = |target: &str| ask(&server, "pub.test", target).header("X-Connection");
    assert_eq!(connection("/one/abc.jpg").as_deref(), Some("close"));
    // `/i/a` is shorter than `/i/$1`: httpd does not take it for that rule's worker.
    assert_eq!(connection("/one/a.jpg").as_deref(), Some("Keep-Alive"));
    assert_eq!(connection("/z/q.gif").as_deref(), Some("Keep-Alive"));
}

#[test]
fn the_rule_of_the_innermost_location_comes_first() {
    let origin = echo();
    let conf = "<Location /l>\nProxyPass http://127.0.0.1:{B}/loc\n</Location>\n\
                <Location /l/in>\nProxyPass !\n</Location>\n<Location /l/in/deep>\nProxyPass http://127.0.0.1:{B}/deep\n</Location>\n\
                <LocationMatch \"^/r(x+)/(.*)$\">\nProxyPass http://127.0.0.1:{B}/$2/$1\n</LocationMatch>\n\
                ProxyPass /l http://127.0.0.1:{B}/server\nProxyPass /s http://127.0.0.1:{B}/server\n";
    let site = site("map-location", &origin, conf);
    let server = site.start();
    all_sent(
        &server,
        &[
            ("/l/x", "/loc/x"),
            ("/l/in/x", "404"),
            ("/l/in/deep/y", "/deep/y"),
            ("/rxx/a/b", "/a/b/xx"),
            ("/s/1", "/server/1"),
        ],
    );
}

#[test]
fn environment_decides_and_is_put_in() {
    let origin = echo();
    let conf = "SetEnvIf Request_URI ^/no no-proxy=\nSetEnvIf Request_URI ^/i/(\\w+) W=$1\nProxyPassInterpolateEnv On\n\
                ProxyPass /i http://127.0.0.1:{B}/${W}/${NOPE}x interpolate\nProxyPass /j http://127.0.0.1:{B}/${W}\n\
                ProxyPass / http://127.0.0.1:{B}/\n";
    let site = site("map-env", &origin, conf);
    let server = site.start();
    all_sent(&server, &[("/no/x", "404"), ("/i/abc", "/abc/x/abc"), ("/j/abc", "/$%7BW%7D/abc"), ("/yes", "/yes")]);
}

#[test]
fn the_worker_is_the_one_with_the_longest_name() {
    let origin = echo();
    let conf = "RewriteEngine On\nRewriteRule ^/w/(.*)$ http://127.0.0.1:{B}/one/$1 [P]\nRewriteRule ^/g/(.*)$ http://127.0.0.1:{B}/else/$1 [P]\n\
                <Proxy http://127.0.0.1:{B}/one/two>\nProxySet disablereuse=on\n</Proxy>\n\
                ProxyPass /a http://127.0.0.1:{B}/one\n\
                <Location /h>\nSetHandler proxy:http://127.0.0.1:{B}/base\n</Location>\n";
    let site = site("map-worker", &origin, conf);
    let server = site.start();
    let connection = |target: &str| ask(&server, "pub.test", target).header("X-Connection").unwrap_or_default();
    assert_eq!(connection("/a/b"), "Keep-Alive");
    assert_eq!(connection("/a/twofold"), "close");
    assert_eq!(connection("/w/x"), "Keep-Alive");
    // No worker of that name: a connection for this request only.
    assert_eq!(connection("/g/x"), "close");
    let file = format!("/base{}/htdocs/h?q=1", site.root().display());
    assert_eq!(sent(&server, "/h/x?q=1"), file);
}

#[test]
fn balancers_of_the_main_server_serve_all_virtual_hosts() {
    let origin = echo();
    let conf = "ProxyPass /main http://127.0.0.1:{B}/main\nProxyPass /both http://127.0.0.1:{B}/frommain\n\
                <Proxy balancer://mb>\nBalancerMember http://127.0.0.1:{B}/mb\n</Proxy>\n\
                <VirtualHost *:{P}>\nServerName v1.test\nProxyPass /both http://127.0.0.1:{B}/fromv1\nProxyPass /b balancer://mb/x\n</VirtualHost>\n\
                <VirtualHost *:{P}>\nServerName v2.test\n</VirtualHost>\n\
                <VirtualHost *:{P}>\nServerName v3.test\nBalancerInherit Off\nProxyPassInherit Off\nProxyPass /b balancer://mb/x\n</VirtualHost>\n";
    let site = site("map-vhosts", &origin, conf);
    let server = site.start();
    let at = |host: &str, target: &str| {
        let answer = ask(&server, host, target);
        if answer.status == 200 { answer.text() } else { answer.status.to_string() }
    };
    for host in ["v1.test", "v2.test", "v3.test"] {
        assert_eq!(at(host, "/main/a"), "/main/a", "{host}");
        assert_eq!(at(host, "/both/a"), "/frommain/a", "{host}");
    }
    assert_eq!(at("v1.test", "/b/a"), "/mb/x/a");
    assert_eq!(at("v2.test", "/b/a"), "404");
    assert_eq!(at("v3.test", "/b/a"), "503");
}

#[test]
fn proxy_sections_guard_the_backends_url() {
    let origin = echo();
    let conf = "ProxyPass / http://127.0.0.1:{B}/\n\
                <ProxyMatch ^http://127.0.0.1:{B}/(?<kind>m.)/>\nRequestHeader set X-Kind %{MATCH_KIND}e\n</ProxyMatch>\n\
                <Proxy http://127.0.0.1:{B}/secret>\nRequire all denied\n</Proxy>\n\
                <Proxy http://127.0.0.1:{B}/*/w?ld>\nRequestHeader set X-Wild 1\n</Proxy>\n";
    let site = site("map-section", &origin, conf);
    let server = site.start();
    all_sent(&server, &[("/secret", "403"), ("/secretary", "403"), ("/Secret", "/Secret"), ("/mn/x", "/mn/x")]);
    assert_eq!(origin.requests().last().unwrap().header("X-Kind").as_deref(), Some("mn"));
    assert_eq!(sent(&server, "/x/wild"), "/x/wild");
    assert_eq!(origin.requests().last().unwrap().header("X-Wild").as_deref(), Some("1"));
}

#[test]
fn sections_see_the_url_behind_a_socket() {
    let origin = echo();
    let conf = "RewriteEngine On\nRewriteRule ^/r/(.*)$ unix:/nonexistent|http://denied/$1 [P]\n\
                RewriteRule ^/s/(.*)$ unix:/nonexistent|http://socket/$1 [P]\n\
                ProxyPass /a unix:/nonexistent|http://denied/x\nProxyPass /b unix:/nonexistent|http://open/x\n\
                <Proxy http://denied/>\nRequire all denied\n</Proxy>\n\
                <Proxy unix:/nonexistent|http://socket/>\nRequire all denied\n</Proxy>\n";
    let site = site("map-socket", &origin, conf);
    let server = site.start();
    // For rewritten requests it is the URL as it was written.
    all_sent(&server, &[("/a", "403"), ("/b", "503"), ("/r/x", "503"), ("/s/x", "403")]);
}

#[test]
fn schemes_without_a_handler_are_errors_of_the_server() {
    let origin = echo();
    let site = site("map-scheme", &origin, "ProxyPass /f foo://127.0.0.1:{B}/\nProxyPass /b/ balancer://b\n");
    let server = site.start();
    all_sent(&server, &[("/f/x", "500"), ("/b/x", "500")]);
    let log = server.log("logs/error_log", |log| log.matches("AH01144").count() == 2);
    assert!(log.contains("No protocol handler was valid for the URL /f/x (scheme 'foo')."), "{log}");
}

#[test]
fn paths_that_cannot_be_sent_are_forbidden() {
    let origin = echo();
    let conf =
        "RewriteEngine On\nRewriteRule ^/ne/(.*)$ http://127.0.0.1:{B}/$1 [P,NE]\nProxyPass /c/ http://127.0.0.1:{B}\n";
    let site = site("map-controls", &origin, conf);
    let server = site.start();
    all_sent(&server, &[("/ne/a%20b", "403"), ("/ne/ab?c", "/ab?c"), ("/c/99999", "400")]);
    let log = server.log("logs/error_log", |log| log.contains("AH01083"));
    assert!(log.contains("[proxy_http:error]") && log.contains("AH10415"), "{log}");
}

#[test]
fn max_forwards_counts_down() {
    let origin = echo();
    let site = site("map-hops", &origin, "ProxyMaxForwards 7\nProxyPass / http://127.0.0.1:{B}/\n");
    let server = site.start();
    let hops = |line: &str| {
        let mut client = server.connect();
        client.send(format!("GET /x HTTP/1.1\r\nHost: a\r\n{line}\r\n"));
        let status = client.response().status;
        let seen = origin.requests().last().and_then(|request| request.header("Max-Forwards")).unwrap_or_default();
        (status, seen)
    };
    assert_eq!(hops(""), (200, "7".to_owned()));
    assert_eq!(hops("Max-Forwards: 3\r\n"), (200, "2".to_owned()));
    assert_eq!(hops("Max-Forwards: 0\r\n").0, 400);
    assert_eq!(hops("Max-Forwards: 5x\r\n").0, 400);
    let mut client = server.connect();
    client.send("OPTIONS /x HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n");
    assert_eq!(client.response().header("Allow").as_deref(), Some("TRACE"));
    client.send("TRACE /x HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\nX-A: b\r\n\r\n");
    let answer = client.response();
    assert_eq!(answer.text(), "TRACE /x HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\nX-A: b\r\n\r\n");
    assert_eq!(answer.header("Content-Type").as_deref(), Some("message/http"));
}

/// An origin that answers with these fields; `{B}` in them is its port.
fn saying(fields: &'static str) -> Origin {
    Origin::serving(move |peer, seen| {
        let port = peer.stream.local_addr().map_or(0, |addr| addr.port()).to_string();
        while let Some(request) = peer.request() {
            seen.note(request);
            let fields = fields.replace("{B}", &port);
            if !peer.try_send(format!("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n{fields}\r\n")) {
                return;
            }
        }
    })
}

#[test]
fn fields_that_name_the_backend_name_this_server() {
    let origin = saying(
        "Location: HTTP://127.0.0.1:{B}/CTX/y\r\nContent-Location: http://127.0.0.1:{B}/ctxmore\r\nURI: http://127.0.0.1/ctx/y\r\n\
         Destination: http://127.0.0.1:{B}/q\r\nRefresh: http://127.0.0.1:{B}/ctx/y\r\n",
    );
    let conf = "ProxyPass /app http://127.0.0.1:{B}/ctx\nProxyPassReverse /app http://127.0.0.1:{B}/ctx\n\
                ProxyPassReverse http://other.test/z http://127.0.0.1:{B}/q\n";
    let site = site("rev-fields", &origin, conf);
    let server = site.start();
    let answer = ask(&server, "Pub.Test:99", "/app/x");
    let field = |name: &str| answer.header(name).unwrap_or_default();
    assert_eq!(field("Location"), "http://pub.test:99/app/y");
    assert_eq!(field("Content-Location"), "http://pub.test:99/appmore");
    assert_eq!(field("URI"), "http://127.0.0.1/ctx/y");
    assert_eq!(field("Destination"), "http://other.test/z");
    assert_eq!(field("Refresh"), format!("http://127.0.0.1:{}/ctx/y", origin.port));
    assert_eq!(ask(&server, "[::1]", "/app/x").header("Location").as_deref(), Some("http://[::1]/app/y"));
}

#[test]
fn urls_of_a_balancers_members_are_its_own() {
    let origin = saying(
        "Location: http://127.0.0.1:{B}/m/ctx/y\r\nURI: http://127.0.0.1:1/n/ctx\r\nDestination: http://127.0.0.1:1/n/z\r\n",
    );
    let conf = "<Proxy balancer://bal>\nBalancerMember http://127.0.0.1:{B}/m\nBalancerMember http://127.0.0.1:1/n/ status=+D\n</Proxy>\n\
                ProxyPass /app balancer://bal/ctx\nProxyPassReverse /app balancer://bal/ctx\nProxyPassReverse / balancer://BAL\n";
    let site = site("rev-balancer", &origin, conf);
    let server = site.start();
    let answer = ask(&server, "pub.test", "/app/x");
    assert_eq!(answer.header("Location").as_deref(), Some("http://pub.test/app/y"));
    assert_eq!(answer.header("URI").as_deref(), Some("http://pub.test/app"));
    assert_eq!(answer.header("Destination").as_deref(), Some("http://pub.test/z"));
}

#[test]
fn cookies_get_our_domain_and_path() {
    let origin = saying(
        "Set-Cookie: a=1; Path=/ctx; Domain=int.test\r\nSet-Cookie: b=2; domain=int.testx; path=/ctx/y\r\n\
         Set-Cookie: c=3;PATH=/ctx;;DOMAIN=INT.TEST;x\r\nSet-Cookie: path=/ctx; path=/other\r\n\
         Set-Cookie: d=1; domain=.int.test; path=\"/ctx\"\r\nSet-Cookie: e=1\r\n",
    );
    let conf = "ProxyPassInterpolateEnv On\nSetEnvIf Host (.+) H=$1\nProxyPass /app http://127.0.0.1:{B}/ctx\n\
                ProxyPassReverseCookieDomain int.test ${H} interpolate\nProxyPassReverseCookiePath /ctx /app\n";
    let site = site("rev-cookies", &origin, conf);
    let server = site.start();
    let cookies = ask(&server, "pub.test", "/app/x").headers("Set-Cookie");
    assert_eq!(
        cookies,
        [
            "a=1; Path=/app; Domain=pub.test",
            "b=2; domain=pub.test; path=/app",
            "c=3;PATH=/app;;DOMAIN=pub.test;x",
            "path=/ctx; path=/other",
            "d=1; domain=.int.test; path=\"/ctx\"",
            "e=1",
        ]
    );
}

#[test]
fn shared_workers_are_named_in_the_error_log() {
    let origin = echo();
    let conf = "LogLevel proxy:info\nProxyPass /a http://127.0.0.1:{B}/ timeout=5\nProxyPass /b http://127.0.0.1:{B}/sub timeout=8\n";
    let site = site("map-shared", &origin, conf);
    let server = site.start();
    let log = server.log("logs/error_log", |log| log.contains("AH01146"));
    let port = origin.port;
    assert!(log.contains(&format!(
        "AH01145: Sharing worker 'http://127.0.0.1:{port}/' instead of creating new worker 'http://127.0.0.1:{port}/sub'"
    )));
    assert!(log.contains("AH01146: Ignoring parameter 'timeout=8' for worker"), "{log}");
}

//! Who is let in: what is authorised is what is served, slow passwords harm nobody else, what is not there is refused.

use std::time::Instant;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::support::{Origin, Site, real_httpd};

/// Reads a path as generously as anybody does: escapes once, then dots and slashes. Where escaped slashes are to stay as
/// they are (`keeps`), they part nothing.
fn read_path(target: &[u8], keeps: bool) -> Vec<u8> {
    let end = target.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(target.len());
    let mut text = Vec::new();
    let mut bytes = target[..end].iter().copied();
    while let Some(byte) = bytes.next() {
        let rest: Vec<u8> = bytes.clone().take(2).collect();
        let code = std::str::from_utf8(&rest).ok().filter(|code| byte == b'%' && code.len() == 2);
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(b'/') if keeps => text.push(b'%'),
            Some(decoded) => {
                text.push(decoded);
                bytes.nth(1);
            }
            None => text.push(byte),
        }
    }
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in text.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.iter().fold(Vec::new(), |path, part| [&path, &b"/"[..], part].concat())
}

#[test]
fn paths_are_read_generously() {
    assert_eq!(read_path(b"/app/x%2f..//%61dmin/?q", false), b"/app/admin");
    assert_eq!(read_path(b"/app/..%2fx/..", true), b"/app");
    assert_eq!(read_path(b"/../%252e%zz", false), b"/%2e%zz");
}

/// A request line's target: what may confuse, in any order.
fn targets() -> impl Strategy<Value = (&'static str, String)> {
    let host = prop::sample::select(vec!["localhost", "localhost", "localhost", "v.test"]);
    let start = prop::sample::select(vec![
        "/pub", "/app", "/app", "/rw", "/rw", "/al", "/am", "/sec", "/~bob", "/~bob/", "/ht", "/ht/go", "/ht/in",
        "/rf", "/rr", "",
    ]);
    let gap =
        prop::sample::select(vec!["/", "/", "/", "//", "%2f", "%2F", "\\", "%5c", "/./", "/%2e/", ";/", "/x/../"]);
    let word = prop::sample::select(vec![
        "admin",
        "admin",
        "secret",
        "locked",
        "x",
        "..",
        "..",
        ".",
        "%2e%2e",
        "%2e.",
        ".%2E",
        "..%00",
        "%00",
        "admin%00",
        "%61dmin",
        "%252e%252e",
        "%c0%ae%c0%ae",
        "%c0%af",
        "%e0%80%af",
        "..;",
        "..%3b",
        "admin.",
        "admin%20",
        "%01",
        "\x01",
        "%7f",
        "%0a",
        "%0d%0a",
        "%23",
        "%3f",
        "?",
        "app",
        "pub",
        "rw",
        "al",
        "%e9",
        "",
    ]);
    let end = prop::sample::select(vec!["", "/x", "/x"]);
    (host, start, prop::collection::vec((gap, word), 0..6), end).prop_map(|(host, start, parts, end)| {
        (host, parts.iter().fold(start.to_owned(), |path, (gap, word)| path + gap + word) + end)
    })
}

/// Whatever the target is made of, nothing below a section that denies is served or asked for from a backend: by way of
/// DocumentRoot, aliases, rewriting in a server's and in a directory's context, user directories, roots made of the host's
/// name, `.htaccess` files and the proxy, in each way of reading escaped slashes.
#[test]
fn what_is_authorised_is_what_is_served() {
    for slashes in ["Off", "On", "NoDecode"] {
        let origin = Origin::replying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        let site = Site::new("authorised");
        for path in ["pub/x", "pub/secret/x", "pub/admin/x", "x", "admin/x", "secret/x"] {
            site.write(
                &format!("htdocs/{path}"),
                if path.contains('/') && path != "pub/x" { "SECRET" } else { "fine" },
            );
        }
        for path in ["htdocs/ht/sub/x", "users/bob/www/x", "roots/v.test/x"] {
            site.write(path, "fine");
        }
        // Some are denied, and some lie beside what anybody may have.
        for path in ["htdocs/ht/locked/x", "users/bob/www/secret/x", "users/bob/x", "users/x", "roots/v.test/secret/x"]
        {
            site.write(path, "SECRET");
        }
        for path in ["roots/x", "roots/other/x", "x"] {
            site.write(path, "SECRET");
        }
        site.write(
            "htdocs/ht/.htaccess",
            "RewriteEngine On\nRewriteRule ^go/(.*) /pub/$1 [L]\nRewriteRule ^in/(.*) sub/$1 [L]\n",
        );
        site.write("htdocs/ht/locked/.htaccess", "Require all denied\n");
        let (root, port) = (site.root().display(), origin.port);
        let body = format!(
            "AllowEncodedSlashes {slashes}\nAlias /al {root}/htdocs/pub\n\
             RewriteEngine On\nRewriteRule ^/rw/(.*) http://127.0.0.1:{port}/app/$1 [P]\n\
             ProxyPass /app/ http://127.0.0.1:{port}/app/\n\
             <Directory {root}/htdocs/pub/secret>\nRequire all denied\n</Directory>\n\
             <Directory {root}/htdocs/secret>\nRequire all denied\n</Directory>\n\
             <Directory {root}/htdocs/pub/admin>\nRequire all denied\n</Directory>\n\
             <LocationMatch ^/(app|rw)/admin>\nRequire all denied\n</LocationMatch>\n\
             <Location /admin>\nRequire all denied\n</Location>\n\
             RewriteRule ^/rf/(.*) /pub/$1\nRewriteRule ^/rr/(.*) {root}/htdocs/pub/$1\n\
             AliasMatch ^/am/(.*) {root}/htdocs/pub/$1\n\
             <Directory {root}/htdocs/ht>\nAllowOverride All\n</Directory>\n\
             <Directory {root}/users/bob/www/secret>\nRequire all denied\n</Directory>\n\
             <Directory {root}/roots/v.test/secret>\nRequire all denied\n</Directory>\n\
             <VirtualHost *:{own}>\nServerName localhost\nRewriteEngine On\nRewriteOptions Inherit\n\
             UserDir {root}/users/*/www\n</VirtualHost>\n\
             <VirtualHost *:{own}>\nServerName v.test\nVirtualDocumentRoot {root}/roots/%0\n</VirtualHost>\n",
            own = site.port
        );
        site.httpd_conf(&["alias", "rewrite", "proxy", "proxy_http", "userdir", "vhost_alias"], &body);
        let server = site.start();
        let config = Config { cases: 1000, failure_persistence: None, ..Config::default() };
        let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let served = std::cell::Cell::new((0, 0, 0));
        TestRunner::new_with_rng(config, rng)
            .run(&targets(), |(host, target)| {
                let before = origin.requests().len();
                let mut client = server.connect();
                client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
                let answer = client.response();
                prop_assert!(!answer.text().contains("SECRET"), "{target} was served");
                let (files, forwarded, denied) = served.get();
                served.set((
                    files + i32::from(answer.text() == "fine"),
                    forwarded,
                    denied + i32::from(answer.status == 403),
                ));
                for request in &origin.requests()[before..] {
                    let line = request.head.split(|byte| *byte == b'\r').next().unwrap();
                    let asked = line.split(|byte| *byte == b' ').nth(1).unwrap();
                    let shown = String::from_utf8_lossy(line);
                    let path = read_path(asked, slashes == "NoDecode");
                    prop_assert!(line.iter().all(|byte| *byte > 31), "{target:?} became {shown:?}");
                    prop_assert!(path == b"/app" || path.starts_with(b"/app/"), "{target} became {shown}");
                    prop_assert!(!path.starts_with(b"/app/admin"), "{target} became {shown}");
                    let (files, forwarded, denied) = served.get();
                    served.set((files, forwarded + 1, denied));
                }
                Ok(())
            })
            .unwrap();
        let (files, forwarded, denied) = served.get();
        assert!(files > 5 && forwarded > 10 && denied > 10, "{files} served, {forwarded} forwarded, {denied} denied");
    }
}

/// Passwords are checked beside the threads that serve: as many slow ones as there are threads, and more, hold up nobody.
#[test]
fn slow_passwords_hold_up_nobody() {
    let site = Site::new("slow-passwords");
    site.write("pw", "bob:$2y$12$6TMTF8OhMx848F.BGThqoOMoIXVy5/Ot50WKxgHUSVyAwWcLlWr2m\n");
    site.write("htdocs/slow/x", "slow");
    let body = "<Location /slow>\nAuthType Basic\nAuthName a\nAuthUserFile pw\nRequire valid-user\n</Location>\n";
    site.httpd_conf(&["authn_core", "authn_file", "auth_basic", "authz_user"], body);
    let server = site.start();
    let slow: Vec<_> = (0..4)
        .map(|_| {
            let mut client = server.connect();
            client.send("GET /slow/x HTTP/1.1\r\nHost: a\r\nAuthorization: Basic Ym9iOnB3\r\n\r\n");
            std::thread::spawn(move || (client.response().status, Instant::now()))
        })
        .collect();
    for _ in 0..8 {
        assert_eq!(server.get("/index.html", "").status, 200);
    }
    let served = Instant::now();
    for client in slow {
        let (status, answered) = client.join().unwrap();
        assert_eq!(status, 200);
        assert!(answered > served, "a slow password was checked before the others were served");
    }
}

/// What is not carried out is named, and the server does not start.
#[test]
fn unknown_authorities_are_refused() {
    if real_httpd() {
        return;
    }
    for (line, named) in [
        ("Require ldap-group cn=a", "Require ldap-group"),
        ("AuthBasicProvider ldap", "AuthBasicProvider ldap"),
        ("Require dbd-group a", "Require dbd-group"),
    ] {
        let site = Site::new("refused-authority");
        let body = format!("<Location />\nAuthType Basic\nAuthName a\n{line}\n</Location>\n");
        let modules = ["authn_core", "auth_basic", "authz_dbd", "ldap", "authnz_ldap"];
        site.httpd_conf(&modules, &body);
        let (check, start) = (site.check(), site.run(&["-DFOREGROUND"]));
        assert_eq!(check.code, Some(0), "{check:?}");
        let text = format!("the server does not start with it: {named} (");
        assert!(check.stderr.contains(&text), "{check:?}");
        assert!(start.code != Some(0) && start.stderr.contains(named), "{start:?}");
    }
}

//! Filters of bodies: by name, by type, by expression; what they do to fields, lengths and flushes.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use super::support::{Message, Origin, Server, Site, wait_for};

const MODULES: &[&str] = &[
    "filter",
    "deflate",
    "brotli",
    "substitute",
    "headers",
    "setenvif",
    "env",
    "proxy",
    "proxy_http",
    "ratelimit",
    "case_filter_in",
    "buffer",
    "ext_filter",
    "cgi",
];

fn site(name: &str, body: &str) -> Site {
    let site = Site::new(name);
    site.httpd_conf(MODULES, &format!("<FilesMatch \"txt$\">\nForceType text/plain\n</FilesMatch>\n{body}"));
    site.write("htdocs/a.txt", "hello ".repeat(100));
    site.write("htdocs/small.txt", "x".repeat(68));
    site.write("htdocs/large.txt", large());
    site.write("htdocs/b.bin", "hello ".repeat(100));
    site
}

/// Text that does not get much shorter.
fn large() -> String {
    let mut number = 1u64;
    let mut next = || {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        number >> 33
    };
    (0..60_000).map(|_| format!("{}\n", next())).collect()
}

fn gunzip(body: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(body).read_to_string(&mut text).unwrap();
    text
}

fn get(server: &Server<'_>, path: &str) -> Message {
    server.get(path, "Accept-Encoding: gzip, br\r\n")
}

#[test]
fn deflate_says_what_it_does() {
    let conf = "SetOutputFilter DEFLATE\nSetEnvIf Request_URI no$ no-gzip\nSetEnvIf Request_URI force$ force-gzip\n\
                DeflateFilterNote ratio\nDeflateFilterNote Input in\nDeflateFilterNote Output out\n\
                LogFormat \"%U %{ratio}n %{in}n\" f\nCustomLog logs/ratios f\n";
    let site = site("filters-deflate", conf);
    site.write("htdocs/no", "hello ".repeat(100));
    site.write("htdocs/force", "hello ".repeat(100));
    let server = site.start();
    let plain = server.get("/a.txt", "");
    let tag = plain.header("ETag").unwrap();
    assert_eq!(
        (plain.header("Vary").as_deref(), plain.header("Content-Length").as_deref()),
        (Some("Accept-Encoding"), Some("600"))
    );
    let packed = get(&server, "/a.txt");
    assert_eq!(gunzip(&packed.body), "hello ".repeat(100));
    assert_eq!(packed.header("Content-Encoding").as_deref(), Some("gzip"));
    assert_eq!(packed.header("Content-Length"), Some(packed.body.len().to_string()));
    assert_eq!(packed.header("ETag").unwrap(), format!("{}-gzip\"", tag.trim_end_matches('"')));
    assert_eq!(packed.body[..10], *b"\x1f\x8b\x08\0\0\0\0\0\0\x03");
    let small = get(&server, "/small.txt");
    assert_eq!((small.body.len(), small.header("Vary")), (68, None));
    assert_eq!(get(&server, "/no").header("Vary"), None);
    assert_eq!(server.get("/force", "").header("Content-Encoding").as_deref(), Some("gzip"));
    for (accept, want) in [("gzip;q=0", false), ("x-gzip", false), ("*", false), ("br, GZIP;q=0.001", true)] {
        let answer = server.get("/a.txt", &format!("Accept-Encoding: {accept}\r\n"));
        assert_eq!(answer.header("Content-Encoding").is_some(), want, "{accept}");
        assert!(answer.header("Vary").is_some());
    }
    let large = get(&server, "/large.txt");
    assert_eq!(large.header("Transfer-Encoding").as_deref(), Some("chunked"));
    assert_eq!(gunzip(&large.body), self::large());
    let piece = server.get("/a.txt", "Accept-Encoding: gzip\r\nRange: bytes=0-3\r\n");
    assert_eq!((piece.status, piece.body.as_slice()), (206, &b"\x1f\x8b\x08\0"[..]));
    let mut client = server.connect();
    client.send("HEAD /a.txt HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n");
    let head = client.response_to("HEAD");
    assert_eq!(head.header("Content-Length"), Some(packed.body.len().to_string()));
    assert_eq!(get(&server, "/nothing").header("Content-Encoding"), None);
    let log = server.log("logs/ratios", |log| log.contains("/nothing"));
    assert!(log.contains("/a.txt 2 600\n") && log.contains("/small.txt - -\n"), "{log}");
}

#[test]
fn types_and_expressions_choose_filters() {
    let conf = "AddOutputFilterByType DEFLATE text/html text/plain\n\
                <Location /none>\nFilterChain !\n</Location>\n\
                FilterDeclare PACK CONTENT_SET\nFilterProvider PACK DEFLATE \"%{REQUEST_URI} =~ /bin$/ && %{QUERY_STRING} == 'z'\"\n\
                FilterProvider PACK BROTLI_COMPRESS \"%{QUERY_STRING} == 'br'\"\nFilterChain PACK\n";
    let site = site("filters-type", conf);
    site.write("htdocs/none/a.txt", "hello ".repeat(100));
    let server = site.start();
    let coding = |path: &str| get(&server, path).header("Content-Encoding").unwrap_or_default();
    assert_eq!(coding("/a.txt"), "gzip");
    assert_eq!(coding("/b.bin"), "");
    assert_eq!(get(&server, "/b.bin").header("Vary"), None);
    assert_eq!(coding("/b.bin?z"), "gzip");
    assert_eq!(coding("/b.bin?br"), "br");
    assert_eq!(coding("/none/a.txt"), "");
    let piece = server.get("/b.bin", "Accept-Encoding: gzip\r\nRange: bytes=0-3\r\n");
    assert_eq!((piece.status, piece.body.as_slice()), (206, &b"hell"[..]));
}

#[test]
fn proxied_bodies_are_filtered_and_a_flush_stays_one() {
    let origin = Origin::serving(|peer, seen| {
        while let Some(request) = peer.request() {
            let path = request.line().split(' ').nth(1).unwrap_or_default().to_owned();
            seen.note(request);
            let text = "hello ".repeat(100);
            let fields = "Content-Type: text/plain\r\n";
            let sent = match path.as_str() {
                "/packed" => {
                    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
                    std::io::Write::write_all(&mut packed, text.as_bytes()).unwrap();
                    let packed = packed.finish().unwrap();
                    let head = format!(
                        "HTTP/1.1 200 OK\r\n{fields}Content-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
                        packed.len()
                    );
                    peer.try_send([head.as_bytes(), &packed].concat())
                }
                "/slow" => {
                    let begun = peer.try_send(format!(
                        "HTTP/1.1 200 OK\r\n{fields}Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"
                    ));
                    // Only when the client has seen the first part does it ask for the second.
                    begun && peer.request().is_some() && peer.try_send("6\r\nsecond\r\n0\r\n\r\n")
                }
                _ => peer.try_send(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n{text}", text.len())),
            };
            if !sent {
                return;
            }
        }
    });
    let conf = format!(
        "AddOutputFilterByType DEFLATE text/plain\nProxyPass /p/ http://127.0.0.1:{0}/\n\
         <Location /p/packed>\nFilterChain !\nSetOutputFilter INFLATE;SUBSTITUTE;DEFLATE\nSubstitute s/hello/goodbye/\n</Location>\n",
        origin.port
    );
    let site = site("filters-proxy", &conf);
    let server = site.start();
    let answer = get(&server, "/p/x");
    assert_eq!(answer.header("Content-Length"), Some(answer.body.len().to_string()));
    assert_eq!(gunzip(&answer.body), "hello ".repeat(100));
    let answer = get(&server, "/p/packed");
    assert_eq!(gunzip(&answer.body), "goodbye ".repeat(100));
    let plain = server.get("/p/packed", "");
    assert_eq!((plain.text(), plain.header("Content-Encoding")), ("goodbye ".repeat(100), None));
    let mut client = server.connect();
    client.send("HEAD /p/x HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n");
    assert_eq!(client.response_to("HEAD").header("Content-Encoding"), None);
}

#[test]
fn html_is_rewritten_while_it_comes() {
    let (seen, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let origin = Origin::serving(move |peer, _| {
        while peer.request().is_some() {
            // The charset is looked for in the first 4096 bytes.
            let first = format!("<body><a href=\"http://origin/first\">{}</a>", "text ".repeat(1000));
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n";
            if !peer.try_send(format!("{head}{:x}\r\n{first}\r\n", first.len())) || wait.lock().unwrap().recv().is_err()
            {
                return;
            }
            let second = "<a href=\"http://origin/second\">";
            peer.try_send(format!("{:x}\r\n{second}\r\n0\r\n\r\n", second.len()));
        }
    });
    let site = Site::new("filters-html");
    let conf = format!(
        "ProxyPass /p/ http://127.0.0.1:{}/\nProxyHTMLEnable On\nProxyHTMLLinks a href\nProxyHTMLURLMap http://origin/ /p/\n",
        origin.port
    );
    site.httpd_conf(&["proxy", "proxy_http", "proxy_html", "xml2enc"], &conf);
    let server = site.start();
    let mut client = server.connect();
    client.send("GET /p/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    client.read_until("<a href=\"/p/first\">");
    seen.send(()).unwrap();
    client.read_until("<a href=\"/p/second\">");
    assert!(client.rest().ends_with(b"0\r\n\r\n"));
}

#[test]
fn patterns_are_replaced_line_by_line() {
    let conf = "<Location /a>\nSetOutputFilter SUBSTITUTE\nSubstitute s/o(n)e/[$1]/\nSubstitute \"s/[n]/N/n\"\n</Location>\n\
                <Location /b>\nSetOutputFilter SUBSTITUTE\nSubstitute s/ONE/two/i\nSubstitute s/two\\n/three/q\nSubstitute s/t$/T/\n</Location>\n\
                <Location /c>\nSetOutputFilter SUBSTITUTE\nSubstitute s/a/b/\nSubstituteMaxLineLength 100\n</Location>\n\
                <Location /d>\nSetOutputFilter SUBSTITUTE\nSubstitute \"s|x*|-|\"\n</Location>\n";
    let site = site("filters-substitute", conf);
    for (name, text) in [("a", "one one\nnone\nend"), ("b", "one\ntwo\nt"), ("c", &*"z".repeat(200)), ("c2", "a\n")] {
        site.write(&format!("htdocs/{name}/x"), text);
    }
    let server = site.start();
    assert_eq!(get(&server, "/a/x").text(), "N N\nnN\nend");
    assert_eq!(get(&server, "/b/x").text(), "threethreeT");
    // Whole lines go out before the end is seen.
    assert_eq!(get(&server, "/a/x").header("Transfer-Encoding").as_deref(), Some("chunked"));
    let mut client = server.connect();
    client.send("GET /c/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let all = client.rest();
    assert!(!String::from_utf8_lossy(&all).contains("zzzz"), "{}", String::from_utf8_lossy(&all));
    server.log("logs/error_log", |log| log.contains("AH01328: Line too long, URI /c/x"));
}

#[test]
fn a_limited_response_takes_its_time() {
    let conf = "<Location /r>\nSetOutputFilter RATE_LIMIT\nSetEnv rate-limit 100\n</Location>\n\
                <Location /u>\nSetOutputFilter NOPE\n</Location>\n";
    let site = site("filters-rate", conf);
    site.write("htdocs/r/x", "x".repeat(50 * 1024));
    site.write("htdocs/u/x", "x");
    let server = site.start();
    let begun = std::time::Instant::now();
    assert_eq!(server.get("/r/x", "").body.len(), 50 * 1024);
    let took = begun.elapsed().as_millis();
    assert!((350..2000).contains(&took), "{took} ms for half of what a second lets through");
    assert_eq!(server.get("/u/x", "").text(), "x");
    server.log("logs/error_log", |log| log.contains("AH00082: an unknown filter was not added: NOPE"));
}

#[test]
fn a_long_body_behind_an_input_filter_is_counted_or_sent_in_chunks() {
    let origin = Origin::serving(|peer, seen| {
        while let Some(request) = peer.request() {
            seen.note(request);
            if !peer.try_send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi") {
                return;
            }
        }
    });
    let conf = format!(
        "SetInputFilter CaseFilterIn\nProxyPass /p/ http://127.0.0.1:{0}/\n\
         <Location /p/chunks>\nSetEnv proxy-sendchunked 1\n</Location>\n\
         <Location /p/counted>\nSetEnv proxy-sendcl 1\n</Location>\n\
         <Location /p/old>\nSetEnv force-proxy-request-1.0 1\nSetEnv proxy-sendchunked 1\n</Location>\n",
        origin.port
    );
    let site = site("filters-input", &conf);
    let server = site.start();
    let text = "long text ".repeat(4000);
    for (path, chunked, counted) in [
        ("plain", false, true),
        ("plain", true, false),
        ("chunks", false, false),
        ("chunks", true, false),
        ("counted", true, true),
        ("old", false, true),
        ("old", true, true),
    ] {
        let mut client = server.connect();
        let head = format!("POST /p/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        match chunked {
            true => client.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n9c40\r\n{text}\r\n0\r\n\r\n")),
            false => client.send(format!("{head}Content-Length: {}\r\n\r\n{text}", text.len())),
        };
        assert_eq!(client.response_to("POST").text(), "hi");
        let got = origin.requests().pop().unwrap();
        assert!(got.body == text.to_uppercase().as_bytes(), "{path} {chunked}: {} bytes", got.body.len());
        assert_eq!(got.header("Content-Length").is_some(), counted, "{path} {chunked}");
        assert_eq!(got.header("Transfer-Encoding").is_some(), !counted, "{path} {chunked}");
    }
}

/// Whether a process with this argument runs.
fn runs(argument: &str) -> bool {
    let wanted = format!("\0{argument}\0");
    let lines =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok());
    lines.into_iter().any(|line| memchr::memmem::find(&line, wanted.as_bytes()).is_some())
}

#[test]
fn a_program_that_hangs_or_ends_early_harms_only_its_own_request() {
    let port = super::support::free_port();
    let conf = format!(
        "Timeout 5\nExtFilterDefine hang mode=output cmd=\"/bin/sleep 7{port}\"\n\
         ExtFilterDefine early mode=output cmd=\"/bin/sh -c 'exec <&-; exec sleep 8{port}'\"\n\
         ExtFilterDefine cat mode=output cmd=/bin/cat\n\
         ExtFilterDefine stuck mode=input cmd=\"/bin/sleep 9{port}\"\n\
         <Location /hang>\nSetOutputFilter hang\n</Location>\n\
         <Location /early>\nSetOutputFilter early\n</Location>\n\
         <Location /cat>\nSetOutputFilter cat\n</Location>\n\
         <Location /cgi>\nSetInputFilter stuck\nSetHandler cgi-script\nOptions +ExecCGI\n</Location>\n"
    );
    let site = site("filters-program", &conf);
    for name in ["hang", "early", "cat"] {
        site.write(&format!("htdocs/{name}/large.txt"), large());
    }
    site.write("htdocs/cgi/x.sh", "#!/bin/sh\ncat\n");
    std::fs::set_permissions(site.path("htdocs/cgi/x.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let server = site.start();
    let mut hangs = server.connect();
    hangs.send("GET /hang/large.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    wait_for("the program that hangs", Duration::from_secs(20), || runs(&format!("7{port}")).then_some(()));
    // While that one waits, others are served, each through a program of its own.
    for _ in 0..4 {
        assert!(server.get("/cat/large.txt", "").body == large().as_bytes());
    }
    assert_eq!(hangs.response_to("GET").status, 500);
    server.log("logs/error_log", |log| log.contains("AH01462: apr_pollset_poll()"));
    assert_eq!(server.get("/early/large.txt", "").status, 500);
    server.log("logs/error_log", |log| log.contains("AH01461: apr_file_write(child input), len 0"));
    let mut stuck = server.connect();
    stuck.send(format!(
        "POST /cgi/x.sh HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 400000\r\n\r\n{}",
        "x".repeat(400_000)
    ));
    assert_eq!(stuck.response_to("POST").status, 408);
    wait_for("the end of all programs", Duration::from_secs(20), || {
        (!["7", "8", "9"].iter().any(|digit| runs(&format!("{digit}{port}")))).then_some(())
    });
}

//! What lies in the stores, and what several clients at once make of them.

use std::fs;
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use super::writable;
use crate::support::{Origin, PATIENCE, Site, skip, wait_for, which};

/// A site with a cache in front of an origin.
fn site(name: &str, origin: &Origin, conf: &str) -> Site {
    let site = Site::new(&format!("cache-{name}"));
    writable(&site.path("cache"));
    writable(&site.path("locks"));
    let conf = conf.replace("@R@", site.root().to_str().unwrap());
    let body = format!(
        "LogLevel debug\nCacheRoot {0}/cache\nCacheLockPath {0}/locks\nCacheEnable disk /\nCacheHeader On\n\
         CacheMaxFileSize 100000000\n{conf}\nProxyPass / http://127.0.0.1:{1}/\n",
        site.root().display(),
        origin.port
    );
    site.httpd_conf(&["cache", "cache_disk", "proxy", "proxy_http"], &body);
    site
}

/// All files below a folder.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(files(&entry.path())),
            false => found.push(entry.path()),
        }
    }
    found.sort();
    found
}

fn ended(path: &Path, suffix: &str) -> bool {
    path.to_str().unwrap().ends_with(suffix)
}

const KEPT: &str = "HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nContent-Type: text/plain\r\nVary: X-L\r\nContent-Length: 4\r\n\r\nkept";

/// What one server stored, the other one answers with, and httpd's own tool lists it and takes it away.
#[test]
fn entries_are_those_of_httpd() {
    let (Some(httpd), Some(cleaner)) = (which("apache2"), which("htcacheclean")) else {
        return skip("entries_are_those_of_httpd", "apache2 or htcacheclean");
    };
    let origin = Origin::replying(KEPT);
    let site = site("shared", &origin, "");
    let ours = env!("CARGO_BIN_EXE_tandem").into();
    for (path, first, second) in [("/ours", &ours, &httpd), ("/theirs", &httpd, &ours)] {
        let before = origin.requests().len();
        for (server, want) in
            [(first, "MISS from localhost"), (first, "HIT from localhost"), (second, "HIT from localhost")]
        {
            let server = site.start_as(server, &[]);
            let answer = server.get(path, "X-L: 1\r\n");
            assert_eq!(answer.header("x-cache").as_deref(), Some(want), "{path}");
            assert_eq!((answer.status, answer.text().as_str()), (200, "kept"));
            assert_eq!(answer.header("content-type").as_deref(), Some("text/plain"));
            server.stop();
        }
        assert_eq!(origin.requests().len(), before + 1, "{path} is asked for once");
    }
    let clean = |args: &[&str]| {
        let output = Command::new(&cleaner).arg("-p").arg(site.path("cache")).args(args).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let listed = clean(&["-a"]);
    let mut names: Vec<&str> = listed.lines().collect();
    names.sort_unstable();
    assert_eq!(names, ["http://localhost:80/ours?", "http://localhost:80/theirs?"]);
    let told = clean(&["-A"]);
    for line in told.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        // URL, sizes of header and body, status, …
        assert_eq!((words.get(2), words.get(3)), (Some(&"4"), Some(&"200")), "{line}");
    }
    clean(&["http://localhost:80/ours?"]);
    assert_eq!(clean(&["-a"]).lines().count(), 1);
    clean(&["-r", "-l1B", "-n"]);
    assert_eq!(files(&site.path("cache")).iter().filter(|path| ended(path, ".data")).count(), 0);
}

/// A body much larger than what is held in memory is kept and comes back whole, also in pieces.
#[test]
fn large_bodies_come_back_whole() {
    let bytes: Arc<Vec<u8>> = Arc::new((0..20_000_000u32).map(|i| (i % 251) as u8).collect());
    let sent = bytes.clone();
    let origin = Origin::serving(move |peer, seen| {
        if let Some(request) = peer.request() {
            seen.note(request);
            peer.try_send("HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nConnection: close\r\n\r\n");
            peer.try_send(sent.as_slice());
        }
    });
    let site = site("large", &origin, "");
    let server = site.start();
    for cached in ["MISS", "HIT"] {
        let answer = server.get("/large", "");
        assert_eq!(answer.header("x-cache"), Some(format!("{cached} from localhost")));
        assert!(answer.body == *bytes, "{cached}: {} bytes", answer.body.len());
    }
    let answer = server.get("/large", "Range: bytes=15000000-15000009\r\n");
    assert_eq!((answer.status, answer.body.as_slice()), (206, &bytes[15_000_000..15_000_010]));
    assert_eq!(origin.requests().len(), 1);
}

/// Nothing is kept of a response that its client did not wait for, nor of one that the backend broke off.
#[test]
fn what_is_broken_off_is_not_kept() {
    let (more, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let origin = Origin::serving(move |peer, seen| {
        if let Some(request) = peer.request() {
            let line = request.line();
            seen.note(request);
            peer.try_send("HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nContent-Length: 8000000\r\n\r\n");
            peer.try_send(vec![b'x'; 1_000_000]);
            if line.contains("/client") {
                let _ = wait.lock().unwrap().recv_timeout(PATIENCE);
                while peer.try_send(vec![b'x'; 100_000]) {}
            }
        }
    });
    let site = site("broken", &origin, "CacheLock On");
    let server = site.start();
    let mut client = server.connect();
    client.send("GET /backend HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(client.rest().len() < 8_000_000);
    let mut client = server.connect();
    client.send("GET /client HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.read_exactly(500_000);
    // Some of it is in a file that has no place yet.
    wait_for("a file to be written", PATIENCE, || (!files(&site.path("cache")).is_empty()).then_some(()));
    client.stream.shutdown(Shutdown::Both).unwrap();
    drop(client);
    more.send(()).unwrap();
    wait_for("the file to be taken away", PATIENCE, || files(&site.path("cache")).is_empty().then_some(()));
    wait_for("the lock to be given back", PATIENCE, || files(&site.path("locks")).is_empty().then_some(()));
    assert_eq!(origin.requests().len(), 2);
}

/// While one request fetches an entry, others neither wait for it nor keep what they are answered; while one asks
/// whether an old entry is still right, others are given the old one.
#[test]
fn one_request_fetches() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let origin = Origin::serving(move |peer, seen| {
        if let Some(request) = peer.request() {
            let again = request.header("if-none-match").is_some();
            let first = request.header("x-first").is_some();
            seen.note(request);
            if first {
                wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            }
            // Old as soon as it comes.
            let head = "Cache-Control: max-age=5\r\nAge: 100\r\nETag: \"x\"\r\nConnection: close\r\n";
            peer.try_send(match again {
                true => format!("HTTP/1.1 304 Not Modified\r\n{head}\r\n"),
                false => format!("HTTP/1.1 200 OK\r\n{head}Content-Length: 4\r\n\r\nbody"),
            });
        }
    });
    let site = site("lock", &origin, "CacheLock On\nCacheLockMaxAge 600");
    let server = site.start();
    for (round, others) in [(0, "Cache locked for url, not caching response"), (1, "pretend it is fresh")] {
        let asked = origin.requests().len();
        let mut first = server.connect();
        first.send("GET /a HTTP/1.1\r\nHost: localhost\r\nX-First: 1\r\n\r\n");
        wait_for("the origin to be asked", PATIENCE, || (origin.requests().len() > asked).then_some(()));
        assert_eq!(files(&site.path("locks")).len(), 1);
        let other = server.get("/a", "");
        server.log("logs/error_log", |log| log.contains(others));
        assert_eq!(other.text(), "body");
        if round == 0 {
            assert_eq!(other.header("x-cache"), None);
            assert_eq!(origin.requests().len(), asked + 2);
        } else {
            assert_eq!(other.header("x-cache").as_deref(), Some("HIT from localhost"));
            assert_eq!(other.header("warning").as_deref(), Some("110 Response is stale"));
            assert_eq!(origin.requests().len(), asked + 1);
        }
        go.send(()).unwrap();
        assert_eq!(first.response().text(), "body");
        wait_for("the lock to be given back", PATIENCE, || files(&site.path("locks")).is_empty().then_some(()));
    }
}

/// Many at once for one entry, while it is stored and while it is read: each gets all of it.
#[test]
fn many_at_once_get_the_whole() {
    let body: String = (0..30_000).map(|n| format!("{n:09}\n")).collect();
    let answer = format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=1\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let origin = Origin::replying(answer);
    let site = site("many", &origin, "");
    let server = site.start();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for round in 0..10 {
                    let fields = if round % 3 == 0 { "Cache-Control: no-cache\r\n" } else { "" };
                    let answer = server.get("/many", fields);
                    assert!(answer.status == 200 && answer.text() == body, "{} bytes", answer.body.len());
                }
            });
        }
    });
    // The last one may still be put in its place when its client has all of it.
    wait_for("the last file to be in its place", PATIENCE, || {
        let known = |path: &PathBuf| ended(path, ".header") || ended(path, ".data");
        files(&site.path("cache")).iter().all(known).then_some(())
    });
}

/// A header file that something else wrote is no entry; the next response takes its place.
#[test]
fn a_spoilt_file_is_no_entry() {
    let origin = Origin::replying(KEPT.replace("Vary: X-L\r\n", ""));
    let site = site("spoilt", &origin, "");
    let server = site.start();
    let cached = || server.get("/a", "").header("x-cache").unwrap();
    assert_eq!((cached(), cached()), ("MISS from localhost".to_owned(), "HIT from localhost".to_owned()));
    let header = files(&site.path("cache")).into_iter().find(|path| ended(path, ".header")).unwrap();
    let good = fs::read(&header).unwrap();
    for spoilt in [&good[..100], &b"\x09\0\0\0"[..], b"", &good[..130]] {
        fs::write(&header, spoilt).unwrap();
        assert_eq!((cached(), cached()), ("MISS from localhost".to_owned(), "HIT from localhost".to_owned()));
    }
    // The body of another entry is not this one's.
    let data = header.with_extension("data");
    let other = site.path("cache/other");
    fs::write(&other, "not it").unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(0o644)).unwrap();
    fs::rename(&other, &data).unwrap();
    assert_eq!(server.get("/a", "").text(), "kept");
}

/// A file that is kept open is answered with when its name is gone, as long as it was at the start.
#[test]
fn open_files_outlive_their_names() {
    let site = Site::new("cache-open");
    site.write("htdocs/a.txt", "first\n");
    site.write("htdocs/b.txt", "mapped\n");
    let conf = "DocumentRoot @R@/htdocs\nCacheFile @R@/htdocs/a.txt\nMMapFile @R@/htdocs/b.txt";
    site.httpd_conf(&["file_cache"], &conf.replace("@R@", site.root().to_str().unwrap()));
    let server = site.start();
    // It has read its configuration when it answers.
    assert_eq!(server.get("/a.txt", "").text(), "first\n");
    site.write("htdocs/a.txt", "second, and longer\n");
    for path in ["htdocs/a.txt", "htdocs/b.txt"] {
        fs::rename(site.path(path), site.path("moved")).unwrap();
    }
    site.write("htdocs/b.txt", "another\n");
    assert_eq!(server.get("/a.txt", "").text(), "second");
    assert_eq!(server.get("/b.txt", "").text(), "mapped\n");
}

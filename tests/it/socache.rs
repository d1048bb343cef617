//! Objects that memcached and Redis keep for authn_socache and cache_socache: what they are asked, and what happens
//! when they are not there or speak of something else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::support::{Origin, Peer, Server, Site};

/// A server of one of the two kinds, and what it was told: first words of commands and keys.
struct Fake {
    origin: Origin,
    told: Arc<Mutex<Vec<String>>>,
}

type Objects = Arc<Mutex<HashMap<String, Vec<u8>>>>;

fn line(peer: &mut Peer) -> Option<String> {
    let mut line = vec![peer.next_byte()?];
    while !line.ends_with(b"\r\n") {
        line.push(peer.next_byte()?);
    }
    line.truncate(line.len() - 2);
    Some(String::from_utf8(line).unwrap())
}

/// One command of memcached's: its words, and the object of a `set`.
fn memcache(peer: &mut Peer) -> Option<(Vec<String>, Vec<u8>)> {
    let words: Vec<String> = line(peer)?.split(' ').map(str::to_owned).collect();
    let mut object = Vec::new();
    if words[0] == "set" {
        object = peer.read_exactly(words[4].parse().unwrap());
        peer.read_exactly(2);
    }
    Some((words, object))
}

/// The same of Redis's.
fn redis(peer: &mut Peer) -> Option<(Vec<String>, Vec<u8>)> {
    let count: usize = line(peer)?.strip_prefix('*').unwrap().parse().unwrap();
    let words: Vec<Vec<u8>> = (0..count)
        .map(|_| {
            let length = line(peer).unwrap().strip_prefix('$').unwrap().parse().unwrap();
            let word = peer.read_exactly(length);
            peer.read_exactly(2);
            word
        })
        .collect();
    let object = words.get(3).cloned().unwrap_or_default();
    Some((words.iter().take(3).map(|word| String::from_utf8_lossy(word).into_owned()).collect(), object))
}

fn fake(is_redis: bool) -> Fake {
    let (objects, told) = (Objects::default(), Arc::new(Mutex::new(Vec::new())));
    let noted = told.clone();
    let origin = Origin::serving(move |peer, _| {
        while let Some((words, object)) = if is_redis { redis(peer) } else { memcache(peer) } {
            noted.lock().unwrap().push(format!("{} {}", words[0].to_lowercase(), words[1]));
            let mut objects = objects.lock().unwrap();
            let answer = match words[0].to_lowercase().as_str() {
                "get" => match (objects.get(&words[1]), is_redis) {
                    (Some(found), true) => [format!("${}\r\n", found.len()).as_bytes(), found, b"\r\n"].concat(),
                    (None, true) => b"$-1\r\n".to_vec(),
                    (Some(found), false) => {
                        let head = format!("VALUE {} 0 {}\r\n", words[1], found.len());
                        [head.as_bytes(), found, b"\r\nEND\r\n"].concat()
                    }
                    (None, false) => b"END\r\n".to_vec(),
                },
                "set" | "setex" => {
                    objects.insert(words[1].clone(), object);
                    if is_redis { b"+OK\r\n".to_vec() } else { b"STORED\r\n".to_vec() }
                }
                _ => {
                    objects.remove(&words[1]);
                    if is_redis { b":1\r\n".to_vec() } else { b"DELETED\r\n".to_vec() }
                }
            };
            if !peer.try_send(answer) {
                return;
            }
        }
    });
    Fake { origin, told }
}

const MODULES: &[&str] = &[
    "authn_core",
    "authn_file",
    "auth_basic",
    "authz_user",
    "authn_socache",
    "socache_memcache",
    "socache_redis",
    "cache",
    "cache_socache",
    "headers",
];

/// A site whose passwords and responses are kept by `provider`.
fn site(name: &str, provider: &str) -> Site {
    let site = Site::new(name);
    site.write("pw", "bob:{SHA}GpHWL3ymc5liWkNopqtdSjuqYHM=\n");
    site.write("htdocs/in/f", "in");
    site.write("htdocs/kept", "kept");
    let root = site.root().display();
    let conf = format!(
        "ServerName localhost\nLogLevel debug\nAuthnCacheSOCache {provider}\nCacheSocache {provider}\nCacheEnable socache /kept\n\
         <Location /kept>\nHeader set Cache-Control max-age=100\n</Location>\n\
         <Location /in>\nAuthType Basic\nAuthName a\nAuthBasicProvider socache file\nAuthUserFile {root}/pw\n\
         AuthnCacheProvideFor file\nRequire valid-user\n</Location>\n"
    );
    site.httpd_conf(MODULES, &conf);
    site
}

fn ask(server: &Server<'_>) {
    for (field, status) in [("Ym9iOnB3", 200), ("Ym9iOnB3", 200), ("Ym9iOm5v", 401)] {
        assert_eq!(server.get("/in/f", &format!("Authorization: Basic {field}\r\n")).status, status);
    }
    for _ in 0..2 {
        assert_eq!(server.get("/kept", "").text(), "kept");
    }
}

#[test]
fn servers_keep_what_a_proxy_found() {
    for (kind, set) in [("memcache", "set"), ("redis", "setex")] {
        let fake = fake(kind == "redis");
        let site = site(&format!("socache-{kind}"), &format!("{kind}:127.0.0.1:{}", fake.origin.port));
        let server = site.start();
        ask(&server);
        let told = fake.told.lock().unwrap().clone();
        // The host and folder of the request, and the user, in hex.
        let user = "authn-socache:6c6f63616c686f73742f696e3a626f62";
        let of_users: Vec<&str> = told.iter().map(String::as_str).filter(|told| told.contains("authn-")).collect();
        assert_eq!(
            of_users,
            [format!("get {user}"), format!("{set} {user}"), format!("get {user}"), format!("get {user}")]
        );
        let kept: Vec<&str> = told
            .iter()
            .filter(|told| told.contains("cache-socache:687474703a2f2f"))
            .map(|told| told.split(' ').next().unwrap())
            .collect();
        assert_eq!(kept, ["get", set, "get"], "{told:?}");
        let log = server.log("logs/error_log", |log| log.contains("AH01685"));
        assert!(log.contains("AH01681: Cached authn credentials for bob in directory"), "{log}");
    }
}

#[test]
fn nobody_waits_for_a_server_that_is_not_there() {
    for (kind, get, set, tag) in [("memcache", "AH00791", "AH00790", "mc"), ("redis", "AH03479", "AH03478", "rd")] {
        // Nobody listens there any more.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let site = site(&format!("socache-no-{kind}"), &format!("{kind}:127.0.0.1:{port}"));
        let server = site.start();
        ask(&server);
        let log = server.log("logs/error_log", |log| log.contains("AH02386"));
        let of = |number: &str| log.lines().find(|line| line.contains(number)).unwrap_or_default().to_owned();
        assert!(of(get).contains(&format!("(111)Connection refused: {get}: scache_{tag}: 'retrieve' FAIL")), "{log}");
        let failed = format!(
            "(70015)Could not find specified socket in poll list.: {set}: scache_{tag}: error setting key 'authn-"
        );
        assert!(log.contains(&failed), "{log}");
        assert!(of("AH01682").ends_with("AH01682: Failed to cache authn credentials for file in directory"), "{log}");
        assert!(of("AH01686").ends_with("AH01686: Error accessing authentication cache"), "{log}");
    }
}

/// What comes is no reply: it is not believed, and the password is asked for where it is known.
#[test]
fn a_server_that_speaks_of_something_else_is_not_believed() {
    let origin = Origin::serving(|peer, _| {
        while line(peer).is_some() {
            if !peer.try_send("HTTP/1.1 400 Bad Request\r\n\r\n") {
                return;
            }
        }
    });
    let site = site("socache-bad", &format!("memcache:127.0.0.1:{}", origin.port));
    let server = site.start();
    ask(&server);
}

#[test]
fn names_of_servers_are_checked_at_start() {
    let site = Site::new("socache-names");
    site.httpd_conf(MODULES, "AuthnCacheSOCache memcache::11211\n");
    let run = site.run(&[]);
    assert_eq!(run.code, Some(1));
    let log = site.read("logs/error_log");
    let words = "(22)Invalid argument: AH00786: Failed to Parse memcache Server: ':11211'\n";
    assert!(log.contains("[socache_memcache:crit] ") && log.contains(words), "{log}");
    assert!(
        log.contains("[authn_socache:crit] ") && log.contains("AH01677: failed to initialise authn-socache cache"),
        "{log}"
    );
    assert!(log.ends_with("AH00016: Configuration Failed\n"), "{log}");
    assert_eq!(site.run(&["-t"]).stderr, "Syntax OK\n");
}

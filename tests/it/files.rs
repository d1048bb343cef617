//! Files and what surrounds them: types, indexes, aliases, listings, rewriting, fields, access. One scenario a file in
//! `tests/files`: modules, files and configuration, a line `---`, then requests (`> GET /x | Field: value`) with what
//! httpd answers and logs.
//!
//! `HTTPD=/usr/sbin/apache2 BLESS=1` writes the answers of the real httpd into the files.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use crate::support::{
    Login, Scenario, Server, Site, Style, age, hide, is_root, real_httpd, repeated, scenarios, wait_for,
};

/// Runs a scenario and compares (or blesses) it.
fn run(name: &str) {
    let scenario = Scenario::read("files", name);
    let (setup, exchanges) = (&scenario.setup, &scenario.exchanges);
    let framing =
        Framing { unframed: setup.contains("\nunframed scripts\n"), chunks: setup.contains("\nshow chunks\n") };
    let site = Site::new(&format!("files-{name}"));
    prepare(&site, setup);
    let server = site.start();
    // Until its last words of starting are written, the entries of requests may wait behind them.
    server.log("logs/error_log", |log| log.contains("AH00094"));
    let mut seen = site.read("logs/error_log").lines().count();
    let mut told = String::new();
    let mut login = Login::default();
    for request in exchanges.lines().filter_map(|line| line.strip_prefix("> ")) {
        // Seen when the answer does not come.
        println!("> {request}");
        told += &format!("> {request}\n{}", answer(&server, &site, request, framing, &mut login));
        told += &entries(&site, &mut seen);
    }
    scenario.settle(&told);
}

/// How much of the framing of bodies is compared.
#[derive(Clone, Copy)]
struct Framing {
    /// Nothing of it.
    unframed: bool,
    /// The sizes of chunks, too.
    chunks: bool,
}

/// `modules a b`, `file PATH TEXT` (with `\n` and `xN` behind a repeated text), `exec PATH TEXT` for scripts, `dir
/// PATH`, `shut PATH` (nobody may enter it), `hex PATH BYTES LENGTH` (filled up with NULs to a length, if one is
/// given), `unframed scripts` (framing is not compared), `show chunks` (so are the sizes of chunks), then `conf` and
/// the rest.
fn prepare(site: &Site, setup: &str) {
    let (lines, conf) = setup.split_once("\nconf\n").unwrap();
    let mut modules: Vec<&str> = Vec::new();
    let mut shut = Vec::new();
    for line in lines.lines() {
        let (word, rest) = line.split_once(' ').unwrap();
        match word {
            "modules" => modules.extend(rest.split(' ')),
            "unframed" | "show" => {}
            "dir" => fs::create_dir_all(site.path(rest)).unwrap(),
            "shut" => shut.push(site.path(rest)),
            "hex" => {
                let mut words = rest.split(' ');
                let (path, digits) = (words.next().unwrap(), words.next().unwrap());
                let digits: Vec<u8> = digits.bytes().map(|digit| (digit as char).to_digit(16).unwrap() as u8).collect();
                let mut bytes: Vec<u8> = digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect();
                if let Some(length) = words.next() {
                    bytes.resize(length.parse().unwrap(), 0);
                }
                site.write(path, bytes);
            }
            "file" | "exec" => {
                let (path, text) = rest.split_once(' ').unwrap_or((rest, ""));
                let path = path.replace("%20", " ");
                site.write(&path, repeated(&text.replace("@R@", site.root().to_str().unwrap())));
                if word == "exec" {
                    fs::set_permissions(site.path(&path), fs::Permissions::from_mode(0o755)).unwrap();
                }
            }
            other => panic!("what is {other}?"),
        }
    }
    age(&site.path("."));
    for folder in shut {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o000)).unwrap();
    }
    let conf = conf.replace("@R@", site.root().to_str().unwrap()).replace("@P@", &site.port.to_string());
    site.httpd_conf(&modules, &format!("LogLevel info\n{conf}"));
}

/// The answer to one request, without what differs from run to run.
fn answer(server: &Server<'_>, site: &Site, request: &str, framing: Framing, login: &mut Login) -> String {
    let Framing { unframed, chunks } = framing;
    let mut parts = request.split(" | ");
    let line = parts.next().unwrap();
    let mut head = "Host: localhost\r\nConnection: close\r\n".to_owned();
    let (mut body, mut version) = ("", "HTTP/1.1");
    for part in parts {
        match part.split_once(' ').unwrap_or((part, "")) {
            ("body", text) => body = text,
            ("HTTP/1.0", _) => version = "HTTP/1.0",
            _ => head += &format!("{}\r\n", login.fill(part, line)),
        }
    }
    head = format!("{line} {version}\r\n{head}");
    if !body.is_empty() {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    let mut client = server.connect();
    client.send(format!("{head}\r\n{body}"));
    let message = client.response_to(line.split(' ').next().unwrap());
    let root = site.root().to_str().unwrap();
    let text = login.learn(&String::from_utf8_lossy(&message.head)).replace(root, "@R@");
    let body = message.text().replace(root, "@R@");
    Style { lines: 60, longest: 900 }.response(&text, &body, |name, value| {
        Some(match name {
            "" => value.to_owned(),
            // How a script's body is framed depends on how fast it is.
            "Transfer-Encoding" | "Content-Length" if unframed => return None,
            // Times that count from now.
            "Expires" => "Expires: @".to_owned(),
            "Set-Cookie" => format!("{name}: {}", until_then(value)),
            "Transfer-Encoding" if chunks => format!("{name}: {value} {:?}", message.chunks),
            _ => format!("{name}: {value}"),
        })
    })
}

/// A cookie without the time at which it ends.
fn until_then(field: &str) -> String {
    match field.split_once("expires=") {
        Some((front, rest)) => format!("{front}expires=@{}", rest.find(';').map_or("", |end| &rest[end..])),
        None => field.to_owned(),
    }
}

/// What the error log says of the client since the last look.
fn entries(site: &Site, seen: &mut usize) -> String {
    let log = site.read("logs/error_log").replace(site.root().to_str().unwrap(), "@R@");
    let all: Vec<&str> = log.lines().collect();
    let new = all.get(*seen..).unwrap_or_default();
    let mut out = String::new();
    for line in new {
        if let Some((front, rest)) = line.split_once("[client ") {
            let module = front.split('[').nth(2).unwrap_or_default().trim_end().trim_end_matches(']');
            let status = front.rsplit_once("] ").map(|(_, status)| status).unwrap_or_default();
            // Where in the source a debug entry was made is each program's own.
            let status = if status.ends_with("): ") && !status.starts_with('(') { "" } else { status };
            out += &format!("! {module} {status}{}\n", hide(rest.split_once("] ").unwrap().1));
        }
    }
    *seen = all.len();
    out
}

scenarios! {
    in "tests/files":
    access
    access_htaccess
    access_more
    access_overrides
    actions
    alias
    alias_expressions
    allowmethods
    asis
    auth_alias
    auth_digest
    authn_socache
    autoindex
    autoindex_icons
    autoindex_widths
    cern_meta
    cgi
    cgi_direct
    conditions
    conditions_nested
    content_digest
    dir
    dir_more
    error_documents
    expires
    file_cache
    filter_chain
    form_replay
    headers
    headers_actions
    headers_unsendable
    htaccess_shut
    imagemap
    include
    include_conditions
    include_elements
    include_legacy
    include_legacy_more
    include_tags
    kept_body
    methods
    mime
    mime_magic
    mime_names
    negotiation
    redirect
    regex_options
    remoteip
    require_expr
    rewrite
    rewrite_conditions
    rewrite_dir
    rewrite_flags
    rewrite_lookups
    rewrite_long
    rewrite_paths
    rewrite_vary
    sections
    sed_files
    session
    setenvif
    speling
    speling_more
    stretches
    userdir
    usertrack
    vhost_alias
}

/// A file much larger than what is read in one piece arrives whole, and the connection serves on.
#[test]
fn big_files_arrive_whole() {
    let site = Site::new("files-big");
    let bytes: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    site.write("htdocs/big", &bytes);
    site.httpd_conf(&[], "");
    let server = site.start();
    let mut client = server.connect();
    for range in ["", "Range: bytes=100000-2900000\r\n", ""] {
        client.send(format!("GET /big HTTP/1.1\r\nHost: localhost\r\n{range}\r\n"));
        let answer = client.response();
        let (status, want) = if range.is_empty() { (200, &bytes[..]) } else { (206, &bytes[100_000..=2_900_000]) };
        assert_eq!(answer.status, status);
        assert!(answer.body == want, "{} bytes", answer.body.len());
    }
}

/// sed's `w`: lines of a response in files, which each response begins anew.
#[test]
fn sed_writes_lines_to_files() {
    let site = Site::new("files-sed-w");
    site.write("htdocs/a", "one\ntwo\nthree\n");
    site.write("out/first", "");
    for path in ["out", "out/first"] {
        fs::set_permissions(site.path(path), fs::Permissions::from_mode(0o777)).unwrap();
    }
    let out = site.path("out").display().to_string();
    let conf = format!(
        "<Location />\nSetOutputFilter Sed\nOutputSed \"s/o/0/gw {out}/first\"\nOutputSed \"2w {out}/first\"\n\
         OutputSed \"$w {out}/last\"\n</Location>\n"
    );
    site.httpd_conf(&["sed"], &conf);
    let server = site.start();
    for _ in 0..2 {
        assert_eq!(server.get("/a", "").text(), "0ne\ntw0\nthree\n");
        let written = || {
            let (first, last) = (site.read("out/first"), site.read("out/last"));
            (!last.is_empty()).then_some((first, last))
        };
        let (first, last) = wait_for("what sed writes", Duration::from_secs(5), written);
        assert_eq!((first.as_str(), last.as_str()), ("0ne\ntw0\ntw0\n", "three\n"));
    }
}

/// ModemStandard: a second's worth at once, the rest a second later; what no file is comes at once.
#[test]
fn a_modem_takes_its_time() {
    let site = Site::new("files-modem");
    site.write("htdocs/f", "x".repeat(2000));
    site.write("htdocs/short", "y");
    site.httpd_conf(&["dialup"], "<Location />\nModemStandard v.32\n</Location>\n");
    let server = site.start();
    let begun = std::time::Instant::now();
    assert_eq!(server.get("/short", "").text(), "y");
    assert_eq!(server.get("/absent", "").status, 404);
    assert!(begun.elapsed() < Duration::from_millis(900), "{:?}", begun.elapsed());
    let begun = std::time::Instant::now();
    let mut client = server.connect();
    client.send("GET /f HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let first = String::from_utf8(client.read_until("xxxx")).unwrap();
    assert!(first.contains("\r\nContent-Length: 2000\r\n"), "{first}");
    assert!(begun.elapsed() < Duration::from_millis(900), "{:?}", begun.elapsed());
    if real_httpd() {
        return;
    }
    client.read_until("x".repeat(1900));
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
}

/// A pattern that tries too much is taken for one that does not match, and the log is told.
#[test]
fn a_runaway_pattern_ends_at_its_limit() {
    let site = Site::new("files-runaway");
    let conf = "RewriteEngine On\nRewriteRule ^/(x+x+)+(?!z)y /index.html\n\
                RewriteCond %{QUERY_STRING} ^(x+x+)+(?!z)y\nRewriteRule ^/cond /index.html\n";
    site.httpd_conf(&["rewrite"], conf);
    let server = site.start();
    let many = "x".repeat(200);
    for target in [format!("/{many}"), format!("/cond?{many}")] {
        assert_eq!(server.get(&target, "").status, 404);
        assert_eq!(server.get("/xxy", "").status, 200);
    }
    if !real_httpd() {
        let gave_up = |log: &str| log.matches("pattern '").count() == 2 && log.contains("^(x+x+)+(?!z)y");
        server.log("logs/error_log", gave_up);
    }
}

/// A script that hangs in the middle of its body: the client is told by the connection's end, its group is killed, and
/// other requests are served meanwhile.
#[test]
fn a_hanging_script_harms_only_its_own_request() {
    let site = Site::new("files-hang");
    let pid = site.path("logs").join("pid-of-script");
    let script = format!(
        "#!/bin/sh\necho $$ > {0}.new; mv {0}.new {0}\nprintf 'Content-type: text/plain\\n\\nfirst\\n'\nsleep 60 & exec sleep 60\n",
        pid.display()
    );
    site.write("cgi/hang.sh", script);
    fs::set_permissions(site.path("cgi/hang.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(site.path("logs"), fs::Permissions::from_mode(0o777)).unwrap();
    let (cgi, socket) = (site.path("cgi"), site.path("logs/cgisock"));
    let conf = format!("ScriptAlias /cgi {}\nScriptSock {}\nCGIDScriptTimeout 1\n", cgi.display(), socket.display());
    site.httpd_conf(&["alias", "cgid"], &conf);
    let server = site.start();
    let mut client = server.connect();
    client.send("GET /cgi/hang.sh HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let text = String::from_utf8(client.read_until("first\n")).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert_eq!(server.get("/index.html", "").status, 200);
    let rest = String::from_utf8(client.rest()).unwrap();
    assert!(!rest.contains("0\r\n\r\n"), "the body looks complete: {rest:?}");
    if real_httpd() {
        return;
    }
    let group = nix::unistd::Pid::from_raw(fs::read_to_string(&pid).unwrap().trim().parse().unwrap());
    wait_for("the script's group to end", Duration::from_secs(5), || {
        nix::sys::signal::killpg(group, None).is_err().then_some(())
    });
}

/// A `prg:` map that does not answer: whoever asks it waits, nobody else does, whatever they need threads for.
#[test]
fn a_hanging_map_harms_only_its_own_requests() {
    let site = Site::new("files-map");
    site.write("hang.sh", "#!/bin/sh\nread key\nexec sleep 60\n");
    site.write("fine.sh", "#!/bin/sh\nwhile read key; do echo \"is-$key\"; done\n");
    for script in ["hang.sh", "fine.sh"] {
        fs::set_permissions(site.path(script), fs::Permissions::from_mode(0o755)).unwrap();
    }
    site.write("pw", "bob:$apr1$ztA8DHsa$YZiHAei1NWXRQgu2DV3u40\n");
    site.write("htdocs/in/x", "in");
    let root = site.root().display();
    let conf = format!(
        "ServerLimit 40\nMaxRequestWorkers 1000\nRewriteEngine On\nRewriteMap hang prg:{root}/hang.sh\nRewriteMap fine prg:{root}/fine.sh\n\
         RewriteRule ^/hang/(.*) /${{hang:$1|none}}\nRewriteRule ^/fine/(.*) /${{fine:$1|none}} [R,L]\n\
         <Location /in>\nAuthType Basic\nAuthName a\nAuthUserFile pw\nRequire valid-user\n</Location>\n"
    );
    site.httpd_conf(&["rewrite", "authn_core", "authn_file", "auth_basic", "authz_user"], &conf);
    let server = site.start();
    // Each of them takes one of httpd's threads.
    let many = if real_httpd() { 8 } else { 600 };
    let waiting: Vec<_> = (0..many)
        .map(|n| {
            let mut client = server.connect();
            client.send(format!("GET /hang/{n} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
            client
        })
        .collect();
    for n in 0..20 {
        assert_eq!(server.get("/index.html", "").status, 200);
        let answer = server.get(&format!("/fine/{n}"), "");
        assert!(String::from_utf8_lossy(&answer.head).contains(&format!("/is-{n}\r\n")), "{answer:?}");
    }
    // Passwords are checked beside the threads that serve.
    let unknown = server.get("/in/x", "Authorization: Basic Ym9iOndyb25n\r\n");
    assert_eq!(unknown.status, 401);
    drop(waiting);
}

/// RLimitCPU holds for scripts, and the account is the server's.
#[test]
fn scripts_run_within_limits() {
    let site = Site::new("files-limits");
    let script = "#!/bin/sh\nprintf 'Content-type: text/plain\\n\\n'; ulimit -t; ulimit -Ht; echo \"$1\"; id -u\n";
    site.write("cgi/l.sh", script);
    fs::set_permissions(site.path("cgi/l.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    let (cgi, socket) = (site.path("cgi"), site.path("logs/cgisock"));
    let conf = format!("ScriptAlias /cgi {}\nScriptSock {}\nRLimitCPU 7 9\n", cgi.display(), socket.display());
    site.httpd_conf(&["alias", "cgid"], &conf);
    let server = site.start();
    let text = server.get("/cgi/l.sh?a%20b", "").text();
    let account = if is_root() { 33 } else { nix::unistd::geteuid().as_raw() };
    assert_eq!(text, format!("7\n9\na b\n{account}\n"));
}

//! Access logs: the same requests through the real httpd and through ours give the same lines, and those who read logs
//! read the same in them.

mod traffic;

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;
use sha1::{Digest, Sha1};
use traffic::{End, Script, To};

use crate::support::{Origin, Peer, Server, Site, free_port, program, skip, which};

const HTTPD: &str = "/usr/sbin/apache2";

/// The stock formats of Debian's apache2.conf and of httpd's.
const STOCK: &[(&str, &str)] = &[
    ("common", "%h %l %u %t \\\"%r\\\" %>s %b"),
    ("combined", "%h %l %u %t \\\"%r\\\" %>s %O \\\"%{Referer}i\\\" \\\"%{User-Agent}i\\\""),
    ("combinedb", "%h %l %u %t \\\"%r\\\" %>s %b \\\"%{Referer}i\\\" \\\"%{User-Agent}i\\\""),
    ("combinedio", "%h %l %u %t \\\"%r\\\" %>s %b \\\"%{Referer}i\\\" \\\"%{User-Agent}i\\\" %I %O"),
    ("vhost_combined", "%v:%p %h %l %u %t \\\"%r\\\" %>s %O \\\"%{Referer}i\\\" \\\"%{User-Agent}i\\\""),
    ("referer", "%{Referer}i -> %U"),
    ("agent", "%{User-agent}i"),
];

/// Every item whose value is the same in every run.
const EVERY: &str = "a=%a ca=%{c}a A=%A b=%b B=%B C=%{sess}C e=%{MARK}e f=%f h=%h ch=%{c}h H=%H host=%{Host}i \
    odd=%{X-Odd}i k=%k l=%l m=%m n=%{x}n type=%{Content-Type}o length=%{Content-Length}o to=%{Location}o \
    cookies=%{Set-Cookie}o conn=%{Connection}o ka=%{Keep-Alive}o te=%{Transfer-Encoding}o allow=%{Vary}o date=%{Date}o \
    server=%{Server}o always=%{X-Always}o p=%p cp=%{canonical}p lp=%{local}p xp=%{x}p q=%q r=%r fr=%>r R=%R s=%s fs=%>s \
    os=%<s route=%{BALANCER_WORKER_ROUTE}e asked=%{BALANCER_SESSION_ROUTE}e sticky=%{BALANCER_SESSION_STICKY}e \
    changed=%{BALANCER_ROUTE_CHANGED}e bal=%{BALANCER_NAME}e worker=%{BALANCER_WORKER_NAME}e lU=%<U li=%<{Host}i \
    RS=%{REDIRECT_STATUS}e RU=%{REDIRECT_URL}e RQ=%{REDIRECT_QUERY_STRING}e RM=%{REDIRECT_MARK}e RH=%<R lf=%<f U=%U fU=%>U u=%u v=%v V=%V X=%X ti=%{T}^ti to=%{T}^to some=%404,403{Host}i but=%!200,304{Host}i xT=%{x}T \
    literal=%% \\\\ \\\"";

/// Those whose value differs from run to run, by the pattern of their line.
const VARYING: &str = "D=%D T=%T ms=%{ms}T us=%{us}T t=%t sec=%{sec}t end=%{end:sec}t msec=%{msec}t usec=%{usec}t \
    frac=%{msec_frac}t,%{end:usec_frac}t date=%{%Y-%m-%dT%H:%M:%S%z}t begin=%{begin:%d}t P=%P pid=%{pid}P tid=%{tid}P \
    hex=%{hextid}P rp=%{remote}p FB=%^FB I=%I O=%O S=%S L=%L cL=%{c}L";
const VARYING_LINES: &str = r"^D=\d+ T=\d+ ms=\d+ us=\d+ t=\[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] sec=\d{10} end=\d{10} msec=\d{13} usec=\d{16} frac=\d{3},\d{6} date=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} begin=\d\d P=(\d+) pid=(\d+) tid=\d+ hex=[0-9a-f]+ rp=\d+ FB=(\d+|-) I=\d+ O=\d+ S=\d+ L=([\w+/]{11}|-) cL=([\w+/]{11}|-)$";

struct Run {
    site: Site,
    old: u16,
    origin: Origin,
}

impl Run {
    fn new(name: &str) -> Self {
        let (site, origin, old) = (Site::new(name), origin(), free_port());
        for (file, text) in [("a.txt", "0123456789\n"), ("dir/index.html", "dir\n"), ("e404.html", "not here\n")] {
            site.write(&format!("htdocs/{file}"), text);
        }
        site.write("conf/mime.types", "text/plain txt\ntext/html html\n");
        // ETag and Last-Modified are as long everywhere, and conditions come out alike.
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_330_800);
        for file in ["a.txt", "dir/index.html", "e404.html", "index.html"] {
            File::options()
                .append(true)
                .open(site.path(&format!("htdocs/{file}")))
                .unwrap()
                .set_modified(then)
                .unwrap();
        }
        let run = Self { site, old, origin };
        run.configure();
        run
    }

    fn configure(&self) {
        let (port, old, origin, dead) = (self.site.port, self.old, self.origin.port, 1);
        let root = self.site.root().display();
        let hash = STANDARD.encode(Sha1::digest("secret"));
        let users: String = traffic::USERS.iter().map(|user| format!("{user}:{{SHA}}{hash}\n")).collect();
        self.site.write("conf/users", users);
        let mut conf = format!("Listen 127.0.0.1:{old}\n");
        if std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
            conf += &format!("Listen [::1]:{port}\n");
        }
        conf += "TypesConfig conf/mime.types\nServerTokens Prod\nKeepAlive On\nKeepAliveTimeout 1\nMaxKeepAliveRequests 5\nTimeout 3\n";
        conf += "RequestReadTimeout header=1 body=1\n";
        for (name, format) in STOCK {
            conf += &format!("LogFormat \"{format}\" {name}\nCustomLog logs/{name}.log {name}\n");
        }
        conf += &format!("CustomLog logs/every.log \"{EVERY}\"\nCustomLog logs/varying.log \"{VARYING}\"\n");
        conf += "LogIOTrackTTFB On\nTransferLog logs/transfer.log\nGlobalLog logs/global.log common\n";
        conf += &format!("CustomLog \"|$cat >>{}\" common\n", self.site.path("logs/piped.log").display());
        conf += "CustomLog logs/some.log common env=MARK\nCustomLog logs/others.log common env=!MARK\n";
        conf += "CustomLog logs/bad.log common \"expr=%{REQUEST_STATUS} -ge 400 && %{REQUEST_METHOD} == 'GET'\"\n";
        conf += "SetEnvIf X-Set (.*) MARK=$1\nSetEnvIf Request_URI ^/env MARK\n";
        conf += &format!(
            "ProxyPass /p/ http://127.0.0.1:{origin}/\nProxyPass /dead/ http://127.0.0.1:{dead}/ retry=0\n\
             Redirect permanent /moved http://a.test/new\nRedirect gone /gone\nAlias /mapped htdocs/dir\n\
             DirectoryIndex index.html\nErrorDocument 410 \"it is gone\"\n\
             <Location /local404>\nErrorDocument 404 /e404.html\n</Location>\n\
             <Location /denied>\nRequire all denied\n</Location>\n\
             <Location /private>\nAuthType Basic\nAuthName \"a \\\"realm\\\"\"\nAuthUserFile conf/users\n\
             Require valid-user\n</Location>\n\
             <Location /note>\nHeader note X-Noted x\nHeader always set X-Noted \"a\\\"b\"\nHeader set X-Always yes\n</Location>\n\
             <Proxy balancer://lb>\nBalancerMember http://127.0.0.1:{origin}/ route=r1\n\
             BalancerMember http://localhost:{origin}/ route=r2 status=+H\nProxySet stickysession=JSESSIONID|jsessionid\n\
             </Proxy>\nProxyPass /lb/ balancer://lb/\n\
             <Directory \"{root}/htdocs/dir\">\nRewriteEngine On\nRewriteRule ^rewritten$ /a.txt\n\
             RewriteRule ^lost$ /nowhere\nRewriteRule ^loop$ /dir/loop?x [QSA]\n</Directory>\n\
             <Location /limited>\nLimitRequestBody 100\n</Location>\n\
             <VirtualHost *:{port}>\nServerName a.test\nRewriteEngine On\n\
             RewriteRule ^/rw/(.*)$ /dir/$1 [PT]\nRewriteRule ^/rwp/(.*)$ http://127.0.0.1:{origin}/$1 [P]\n\
             RewriteRule ^/rwr/ http://a.test/new [R=302,L]\nRewriteRule ^/rwf - [F]\nRewriteRule ^/rwg - [G]\n\
             RewriteRule ^/rwt /a.txt [T=text/odd,E=MARK:rewritten]\n</VirtualHost>\n\
             <VirtualHost *:{port}>\nServerName b.test:8080\nServerAlias *.b.test\n\
             LogFormat \"of b: %v %p %r\" own\nCustomLog logs/b.log own\nTransferLog logs/btransfer.log\n</VirtualHost>\n\
             <VirtualHost *:{old}>\nServerName old.test\nHttpProtocolOptions Allow0.9 Unsafe\n</VirtualHost>\n"
        );
        let modules = [
            "logio",
            "alias",
            "dir",
            "mime",
            "env",
            "setenvif",
            "reqtimeout",
            "headers",
            "rewrite",
            "authz_host",
            "auth_basic",
            "authn_core",
            "authn_file",
            "authz_user",
            "proxy",
            "proxy_http",
            "slotmem_shm",
            "proxy_balancer",
            "lbmethod_byrequests",
        ];
        self.site.httpd_conf(&modules, &conf);
    }

    /// Sends all scripts one after the other; each waits for its lines. What is wrong with the number of lines.
    fn play(&self, server: &Server<'_>, scripts: &[Script]) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut lines = self.lines("global.log").len();
        for script in scripts {
            self.say(server, script);
            let started = Instant::now();
            let patience = Duration::from_secs(2);
            while self.lines("global.log").len() < lines + script.lines && started.elapsed() < patience {
                std::thread::sleep(Duration::from_millis(1));
            }
            let now = self.lines("global.log").len();
            if now != lines + script.lines {
                wrong.push(format!("{} lines, not {}: {}", now - lines, script.lines, script.text()));
            }
            lines = now;
        }
        wrong
    }

    fn say(&self, server: &Server<'_>, script: &Script) {
        let stream = match script.to {
            To::V4 => TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)),
            To::V6 => TcpStream::connect((Ipv6Addr::LOCALHOST, server.port)),
            To::Old => TcpStream::connect((Ipv4Addr::LOCALHOST, self.old)),
        };
        let mut stream = stream.unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
        // A server that has made up its mind may close before it has read everything.
        let _ = stream.write_all(&script.bytes);
        match script.end {
            End::Closed => {}
            End::HalfClose => {
                let _ = stream.shutdown(Shutdown::Write);
            }
            End::Responses(count) => {
                let mut peer = Peer::over(stream);
                for _ in 0..count {
                    peer.response();
                }
                return;
            }
        }
        let mut chunk = [0; 4096];
        loop {
            match stream.read(&mut chunk) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
                Err(error) => panic!("{error} after {}", script.text()),
            }
        }
    }

    fn lines(&self, log: &str) -> Vec<String> {
        self.site.read(&format!("logs/{log}")).lines().map(str::to_owned).collect()
    }

    /// The lines of a log without what differs from run to run.
    fn masked(&self, log: &str) -> Vec<String> {
        let time = Regex::new(r"\[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]").unwrap();
        let root = self.site.root().display().to_string();
        let ports = [(self.site.port, ":PORT"), (self.old, ":OLD"), (self.origin.port, ":ORIGIN")];
        let mask = |line: String| {
            let mut line = time.replace_all(&line, "[TIME]").replace(&root, "ROOT");
            for (port, name) in ports {
                line = line.replace(&format!(":{port}"), name).replace(&format!("lp={port} "), &format!("lp={name} "));
            }
            line
        };
        self.lines(log).into_iter().map(mask).collect()
    }
}

impl Run {
    /// The error log without times, numbers of processes and ports, and what the program says of itself.
    fn masked_errors(&self) -> Vec<String> {
        let masks = [
            (r"^\[[^\]]+ \d{4}\]", "[TIME]"),
            (r"\[pid \d+:tid \d+\]", "[PROCESS]"),
            (r"(\[client [0-9a-f.:]+):\d+\]", "$1:PORT]"),
            (r"(127\.0\.0\.1|localhost):\d{4,5}", "$1:PORT"),
            (r"Apache/\S+ \([^)]*\)", "VERSION"),
            (r"Command line: '\S+", "Command line: 'PROGRAM"),
        ];
        let masks = masks.map(|(pattern, with)| (Regex::new(pattern).unwrap(), with));
        let root = self.site.root().display().to_string();
        let lines = self.lines("error_log").into_iter().map(|line| line.replace(&root, "ROOT"));
        lines
            .map(|line| masks.iter().fold(line, |line, (mask, with)| mask.replace_all(&line, *with).into_owned()))
            // How much of a very long text fits depends on what was masked.
            .map(|line| line.chars().take(4000).collect())
            .collect()
    }
}

/// Answers by path: `/status/N`, and some others by name.
fn origin() -> Origin {
    Origin::serving(|peer, _| {
        while let Some(request) = peer.request() {
            let line = request.line();
            let target = line.split(' ').nth(1).unwrap_or_default();
            let answer = match target {
                "/chunked" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".to_owned(),
                "/nothing" => return,
                "/garbage" => "garbage\r\n\r\n".to_owned(),
                "/cut" => "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhal".to_owned(),
                "/close" => "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nbye".to_owned(),
                "/slow" => {
                    // Longer than the server waits.
                    let _ = peer.stream.set_read_timeout(Some(Duration::from_secs(10)));
                    peer.rest();
                    return;
                }
                "/cookies" => "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=\"2\"\r\nContent-Type: text/html; \
                               charset=utf-8\r\nContent-Length: 2\r\n\r\nhi"
                    .to_owned(),
                _ => match target.strip_prefix("/status/") {
                    Some(code) if matches!(code, "204" | "304") => format!("HTTP/1.1 {code} X\r\n\r\n"),
                    Some(code) => {
                        format!("HTTP/1.1 {code} X\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nabc")
                    }
                    None => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Always: o\r\n\r\nok".to_owned(),
                },
            };
            let answer = match line.starts_with("HEAD ") {
                true => answer.split_inclusive("\r\n\r\n").next().unwrap_or_default().to_owned(),
                false => answer,
            };
            let whole = !matches!(target, "/garbage" | "/cut" | "/close");
            if !peer.try_send(answer) || !whole {
                return;
            }
        }
    })
}

/// Lines that differ, as a report.
fn differences(log: &str, theirs: &[String], ours: &[String], scripts: &[Script]) -> Vec<String> {
    let mut out = Vec::new();
    if theirs.len() != ours.len() {
        out.push(format!("{log}: {} lines in httpd, {} in ours", theirs.len(), ours.len()));
    }
    // One script for each line, where the log is one that gets them all.
    let everything = log == "global.log";
    let is_b = |script: &Script| !everything && script.bytes.windows(7).any(|part| part.starts_with(b"b.test"));
    let asked: Vec<&Script> = scripts
        .iter()
        .filter(|script| !is_b(script))
        .flat_map(|script| std::iter::repeat_n(script, script.lines))
        .collect();
    for (at, (theirs, ours)) in theirs.iter().zip(ours).enumerate() {
        let asked = asked.get(at);
        let odd = log == "combinedio.log" && asked.is_some_and(|script| script.odd_count);
        if theirs != ours && !(odd && without_input(theirs) == without_input(ours)) {
            let asked = asked.map(|script| script.text()).unwrap_or_default();
            let (theirs, ours) = (shown(theirs, ours), shown(ours, theirs));
            out.push(format!("{log}:{}\n   httpd {theirs}\n   ours  {ours}\n   asked {asked}", at + 1));
        }
    }
    out
}

/// A line of `combinedio` without its `%I`.
fn without_input(line: &str) -> String {
    let mut words: Vec<&str> = line.rsplitn(3, ' ').collect();
    words.remove(1);
    words.join(" ")
}

/// Of a long line of `name=value` words those that differ.
fn shown(line: &str, other: &str) -> String {
    if line.len() < 300 && !line.starts_with("a=") {
        return line.to_owned();
    }
    let words = line.split(' ').zip(other.split(' ')).filter(|(word, other)| word != other);
    words.take(6).map(|(word, _)| word.chars().take(300).collect::<String>()).collect::<Vec<_>>().join(" ")
}

fn stock_logs() -> Vec<String> {
    STOCK.iter().map(|(name, _)| format!("{name}.log")).collect()
}

/// Starts `program` on a fresh site and sends the scripts.
fn record(name: &str, program: &Path, scripts: &[Script]) -> (Run, Vec<String>) {
    let run = Run::new(name);
    let server = run.site.start_as(program, &[]);
    let wrong = run.play(&server, scripts);
    server.stop();
    (run, wrong)
}

#[test]
fn the_same_requests_give_the_same_lines_as_httpd() {
    if !Path::new(HTTPD).exists() {
        return skip("accesslog", HTTPD);
    }
    let scripts = traffic::all(true);
    let requests: usize = scripts.iter().map(|script| script.lines).sum();
    assert!(requests > 300, "only {requests} requests");
    let (theirs, ours) = std::thread::scope(|scope| {
        let theirs = scope.spawn(|| record("accesslog-httpd", Path::new(HTTPD), &scripts));
        let ours = record("accesslog-ours", &program(), &scripts);
        (theirs.join().unwrap(), ours)
    });
    assert!(theirs.1.is_empty(), "httpd writes other lines than the scripts say:\n{}", theirs.1.join("\n"));
    let (theirs, (ours, mut wrong)) = (theirs.0, ours);
    let mut logs = stock_logs();
    let more = ["every", "transfer", "global", "piped", "some", "others", "bad", "b", "btransfer"];
    logs.extend(more.map(|name| format!("{name}.log")));
    let mut compared = 0;
    for log in &logs {
        let (a, b) = (theirs.masked(log), ours.masked(log));
        assert!(!a.is_empty(), "{log} is empty");
        compared += a.len();
        wrong.extend(differences(log, &a, &b, &scripts));
    }
    let (a, b) = (theirs.masked_errors(), ours.masked_errors());
    assert!(a.len() > 50, "{} lines in the error log", a.len());
    compared += a.len();
    wrong.extend(differences("error_log", &a, &b, &[]));
    let shape = Regex::new(VARYING_LINES).unwrap();
    for (run, whose) in [(&theirs, "httpd"), (&ours, "ours")] {
        let lines = run.lines("varying.log");
        wrong.extend(lines.iter().filter(|line| !shape.is_match(line)).map(|line| format!("{whose}: {line}")));
        assert!(lines.len() > 300, "{} lines", lines.len());
    }
    readers(&theirs, &ours, &mut wrong);
    eprintln!("{requests} requests, {compared} lines of {} logs compared", logs.len());
    let report = wrong.join("\n");
    let _ = std::fs::write(std::env::temp_dir().join("accesslog-differences"), &report);
    assert!(wrong.is_empty(), "{} differences\n{report}", wrong.len());
}

/// What goaccess and fail2ban find in both runs' logs.
fn readers(theirs: &Run, ours: &Run, wrong: &mut Vec<String>) {
    let logs = |name: &str| [theirs, ours].map(|run| run.site.path(&format!("logs/{name}.log")));
    for (log, format) in [("common", "COMMON"), ("combinedb", "COMBINED"), ("vhost_combined", "VCOMBINED")] {
        match which("goaccess") {
            None => skip("accesslog", "goaccess"),
            Some(goaccess) => {
                let [a, b] = logs(log).map(|path| goaccess_counts(&goaccess, &path, format));
                assert!(a.get("valid_requests").and_then(serde_json::Value::as_u64).unwrap_or(0) > 200, "{a}");
                if a != b {
                    wrong.push(format!("goaccess {log}\n   httpd {a}\n   ours  {b}"));
                }
            }
        }
    }
    let filters = [
        "apache-auth",
        "apache-badbots",
        "apache-noscript",
        "apache-overflows",
        "apache-botsearch",
        "apache-shellshock",
    ];
    match which("fail2ban-regex") {
        None => skip("accesslog", "fail2ban-regex"),
        Some(program) => {
            for filter in filters {
                for log in ["combinedb", "common"] {
                    let [a, b] = logs(log).map(|path| fail2ban_counts(&program, &path, filter));
                    assert!(a.contains("Lines:"), "{a}");
                    if a != b {
                        wrong.push(format!("fail2ban {filter} {log}\n   httpd {a}\n   ours  {b}"));
                    }
                }
            }
            // A jail of one's own, that finds a lot.
            let own = r#"^<HOST> \S+ \S+ \[\] "[^"]*" (400|403|404) "#;
            let [a, b] = logs("common").map(|path| fail2ban_counts(&program, &path, own));
            assert!(!a.contains(" 0 matched"), "{a}");
            if a != b {
                wrong.push(format!("fail2ban {own}\n   httpd {a}\n   ours  {b}"));
            }
        }
    }
}

/// goaccess's summary without times and names of files.
fn goaccess_counts(goaccess: &Path, log: &PathBuf, format: &str) -> serde_json::Value {
    let out = log.with_extension("json");
    let status = Command::new(goaccess)
        .arg(log)
        .args(["--no-global-config", "--no-progress", "--log-format", format, "-o"])
        .arg(&out)
        .output()
        .unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    // Not all it writes of odd requests is JSON.
    let text = String::from_utf8_lossy(&std::fs::read(&out).unwrap()).into_owned();
    let (_, general) = text.split_once("\"general\":").unwrap();
    let general = format!("{}}}", general.split('}').next().unwrap());
    let mut general: serde_json::Value = serde_json::from_str(&general).unwrap();
    if let Some(fields) = general.as_object_mut() {
        for name in ["start_date", "end_date", "date_time", "generation_time", "log_path", "log_size"] {
            fields.remove(name);
        }
    }
    general
}

/// fail2ban's line of counts.
fn fail2ban_counts(program: &Path, log: &PathBuf, filter: &str) -> String {
    let out = Command::new(program).arg(log).arg(filter).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let counts = text.lines().find(|line| line.starts_with("Lines:")).unwrap_or(&text);
    // How long it took.
    counts.split(" [").next().unwrap_or_default().to_owned()
}

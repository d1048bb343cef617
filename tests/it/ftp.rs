//! mod_proxy_ftp: files and folders of FTP servers, by HTTP.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::support::{Message, Server, Site, free_port, real_httpd};

const MODULES: &[&str] = &["mime", "proxy", "proxy_http", "proxy_ftp"];
const LIST: &str = "total 2\r\ndrwxr-xr-x 2 u g 4096 Nov 1 10:00 dir<x>\r\n-rw-r--r-- 1 u g 12 Nov 1 10:00 b&c.txt\r\n\
    lrwxrwxrwx 1 u g 7 Nov 1 10:00 lnk -> dir/t\r\n  12 name\r\nodd line\r\n-broken\r\nlast";

/// A server that answers as these lines say, `COMMAND reply`, else as well as it can; what it was told, by commands.
struct Ftp {
    port: u16,
    told: Arc<Mutex<Vec<String>>>,
}

impl Ftp {
    fn saying(script: &'static str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let told = Arc::new(Mutex::new(Vec::new()));
        let seen = told.clone();
        std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                let seen = seen.clone();
                std::thread::spawn(move || serve(&client, script, &seen));
            }
        });
        Self { port, told }
    }

    fn told(&self) -> String {
        self.told.lock().unwrap().join(" / ")
    }
}

fn serve(mut client: &TcpStream, script: &str, told: &Mutex<Vec<String>>) -> Option<()> {
    let scripted = |command: &str| {
        let line = script.lines().find_map(|line| line.trim().strip_prefix(command)?.strip_prefix(' '));
        line.map(|reply| reply.replace(" ~ ", "\r\n"))
    };
    let greeting = scripted("HELLO").unwrap_or_else(|| "220 hello".to_owned());
    client.write_all(format!("{greeting}\r\n").as_bytes()).ok()?;
    let mut listener: Option<TcpListener> = None;
    let mut active: Option<u16> = None;
    for line in BufReader::new(client).lines() {
        let line = line.ok()?;
        let command = line.split(' ').next().unwrap().to_owned();
        told.lock().unwrap().push(if command == "PORT" { command.clone() } else { line.clone() });
        let mut reply = scripted(&command);
        if command == "EPSV" || command == "PASV" {
            let new = TcpListener::bind(("127.0.0.1", 0)).unwrap();
            let port = new.local_addr().unwrap().port();
            listener = Some(new);
            let (high, low) = (port >> 8, port & 255);
            let usual = match command.as_str() {
                "EPSV" => format!("229 Entering Extended Passive Mode (|||{port}|)"),
                _ => format!("227 Entering Passive Mode (127,0,0,1,{high},{low})."),
            };
            reply.get_or_insert(usual);
        }
        if command == "PORT" {
            let numbers: Vec<u16> = line[5..].split(',').map(|number| number.parse().unwrap()).collect();
            active = Some(numbers[4] * 256 + numbers[5]);
        }
        let usual = match command.as_str() {
            "USER" => "331 password please",
            "PASS" => "230 welcome",
            "CWD" => "250 ok",
            "TYPE" | "PORT" => "200 ok",
            "SIZE" => "213 12",
            "PWD" => "257 \"/home/u\" is cwd",
            "MDTM" => "213 19941115081231",
            "RETR" | "LIST" => "150 here it comes",
            "QUIT" => "221 bye",
            _ => "500 what?",
        };
        let reply = reply.unwrap_or_else(|| usual.to_owned());
        if reply == "CLOSE" {
            return None;
        }
        client.write_all(format!("{reply}\r\n").as_bytes()).ok()?;
        if reply.starts_with("150") {
            let mut data = match active.take() {
                Some(port) => TcpStream::connect(("127.0.0.1", port)).ok()?,
                None => listener.take()?.accept().ok()?.0,
            };
            let body = if command == "LIST" { LIST } else { "hello world\n" };
            // The client may want less of it.
            let _ = data.write_all(body.as_bytes());
            drop(data);
            client.write_all(b"226 done\r\n").ok()?;
        }
    }
    None
}

fn site(name: &str, ftp: &Ftp, more: &str) -> Site {
    let site = Site::new(name);
    site.httpd_conf(
        MODULES,
        &format!(
            "TypesConfig /dev/null\nAddType text/plain .txt\nTimeout 10\nLogLevel proxy_ftp:debug\nProxyPass /f ftp://127.0.0.1:{}\n{more}",
            ftp.port
        ),
    );
    site
}

fn told(name: &str, script: &'static str, target: &str) -> (Message, String) {
    let ftp = Ftp::saying(script);
    let site = site(name, &ftp, "");
    let server = site.start();
    let answer = server.get(target, "");
    let told = ftp.told();
    (answer, told)
}

#[test]
fn a_file_is_fetched() {
    let ftp = Ftp::saying("");
    let site = site("ftp-file", &ftp, "");
    let server = site.start();
    let answer = server.get("/f/a%20b/file.txt?x=1", "");
    assert_eq!(answer.line(), "HTTP/1.1 200 OK");
    assert_eq!(answer.text(), "hello world\n");
    for (name, value) in
        [("Content-Length", "12"), ("Content-Type", "text/plain"), ("Last-Modified", "Tue, 15 Nov 1994 08:12:31 GMT")]
    {
        assert_eq!(answer.header(name).as_deref(), Some(value), "{name}");
    }
    // The last command may still be on its way when the client has the file.
    crate::support::wait_for("the end", std::time::Duration::from_secs(10), || {
        ftp.told().contains("QUIT").then_some(())
    });
    assert_eq!(
        ftp.told(),
        "USER anonymous / PASS apache-proxy@ / CWD a b / EPSV / TYPE I / SIZE file.txt / PWD / TYPE I / MDTM file.txt / \
         RETR file.txt / QUIT"
    );
    // As ASCII nobody knows how long it will be.
    let answer = server.get("/f/file.txt;type=a", "");
    assert_eq!((answer.text().as_str(), answer.header("Content-Length")), ("hello world\n", None));
    assert!(ftp.told().contains("TYPE A / SIZE file.txt"));
    assert!(server.get("/f/x;type=x", "").line().starts_with("HTTP/1.1 400 "));
    let mut client = server.connect();
    client.send("POST /f/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    assert!(client.response().line().starts_with("HTTP/1.1 501 "));
}

#[test]
fn a_folder_is_listed_as_a_page() {
    let ftp = Ftp::saying("");
    let site = site("ftp-list", &ftp, "<Location /f>\nProxyFtpDirCharset utf-8\n</Location>");
    let server = site.start();
    let answer = server.get("/f/a%20b/", "");
    assert_eq!(answer.header("Content-Type").as_deref(), Some("text/html;charset=utf-8"));
    let page = answer.text();
    for line in [
        ">a b</a>/</h2>\n\n(/home/u)\n\n  <hr />\n\n<pre>welcome\n</pre>\n\n<hr />\n\n<pre>\n",
        "\ntotal 2\n",
        "drwxr-xr-x 2 u g 4096 Nov 1 10:00 <a href=\"dir%3cx%3e/\">dir&lt;x&gt;</a>\n",
        "-rw-r--r-- 1 u g 12 Nov 1 10:00 <a href=\"b&amp;c.txt\">b&amp;c.txt</a>\n",
        "lrwxrwxrwx 1 u g 7 Nov 1 10:00 <a href=\"lnk\">lnk -&gt; dir/t</a>\n",
        "  12 <a href=\"name\">name</a>\nodd line\n</pre>\n\n  <hr />\n\n",
    ] {
        assert!(page.contains(line), "{line}{page}");
    }
    assert!(!page.contains("last"), "a line that has not ended is none: {page}");
    server.log("logs/error_log", |log| log.contains("AH01034: proxy_ftp: could not parse line -broken"));
    // Wildcards ask for a listing.
    assert!(server.get("/f/*.txt", "").text().contains("/*.txt</h2>"));
    assert!(ftp.told().contains("LIST *.txt"), "{}", ftp.told());
}

#[test]
fn what_is_no_file_may_be_a_folder() {
    let (answer, told) = told("ftp-550", "SIZE 550 no plain file", "/f/x");
    assert!(answer.text().contains("Directory of"));
    assert!(told.contains("SIZE x / CWD x / PWD / TYPE A / LIST -lag"), "{told}");
    let (answer, told) = self::told("ftp-retr-550", "RETR 550 no", "/f/x");
    assert!(answer.text().contains("Directory of"));
    assert!(told.contains("RETR x / TYPE A / CWD x / PWD / LIST -lag"), "{told}");
    let (answer, _) = self::told("ftp-404", "SIZE 550 no\nCWD 550 not here", "/f/x");
    assert!(answer.line().starts_with("HTTP/1.1 404 "));
}

#[test]
fn data_come_in_the_ways_that_a_server_knows() {
    let passive = "EPSV 500 what?";
    let (answer, told) = told("ftp-pasv", passive, "/f/x");
    assert_eq!(answer.text(), "hello world\n");
    assert!(told.contains("EPSV / PASV / TYPE I"), "{told}");
    let elsewhere = "EPSV 500 what?\nPASV 227 Entering Passive Mode (127,0,0,9,1,1).";
    let (answer, _) = self::told("ftp-pasv-elsewhere", elsewhere, "/f/x");
    assert!(answer.line().starts_with("HTTP/1.1 403 "), "{}", answer.line());
    let (answer, _) = self::told("ftp-epsv-dead", "EPSV 229 here (|||1|)", "/f/x");
    assert!(answer.line().starts_with("HTTP/1.1 502 "));
    if !real_httpd() {
        // httpd binds to the port of the control connection, which this system does not let it.
        let (answer, told) = self::told("ftp-port", "EPSV 500 what?\nPASV 502 what?", "/f/x");
        assert_eq!(answer.text(), "hello world\n");
        assert!(told.contains("EPSV / PASV / PORT / TYPE I"), "{told}");
    }
}

#[test]
fn somebody_logs_in() {
    let ftp = Ftp::saying("PASS 530 wrong");
    let site = site("ftp-login", &ftp, "");
    let server = site.start();
    let ask = |server: &Server<'_>, headers: &str| server.get("/f/x", headers);
    let answer = ask(&server, "Authorization: Basic am9lOnNlY3JldA==\r\n");
    assert_eq!(answer.line(), "HTTP/1.1 401 Unauthorized");
    assert_eq!(answer.header("WWW-Authenticate").as_deref(), Some("Basic realm=\"joe@\""));
    assert_eq!(ftp.told(), "USER joe / PASS secret");
    // "a\nDELE x:y"
    let answer = ask(&server, "Authorization: Basic YQpERUxFIHg6eQ==\r\n");
    assert!(answer.line().starts_with("HTTP/1.1 400 "), "{}", answer.line());
    assert_eq!(ftp.told(), "USER joe / PASS secret");
}

#[test]
fn nothing_that_a_client_sends_ends_a_command() {
    let ftp = Ftp::saying("");
    let site = site("ftp-crlf", &ftp, "");
    let server = site.start();
    for target in ["/f/a%0d%0aDELE%20x", "/f/a%0aDELE%20x/y", "/f/a%0d/", "/f/%e9"] {
        assert!(server.get(target, "").line().starts_with("HTTP/1.1 400 "), "{target}");
    }
    assert_eq!(ftp.told(), "");
}

#[test]
fn a_server_that_fails_is_told_about() {
    for (name, script, status, reason) in [
        ("close", "USER CLOSE", 502, "Error reading from remote server"),
        ("busy", "HELLO 421 too many", 502, "Error reading from remote server"),
        ("later", "HELLO 120 3 minutes more", 503, "3 minutes more"),
        ("account", "PASS 332 an account, please", 401, "Need account for login: an account, please"),
        ("no", "CWD 500 no", 502, "no"),
        (
            "cut",
            "HELLO 500 0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890",
            502,
            "012345678901234567890123456789012345678901234567890123456789012345678901234",
        ),
        ("lines", "HELLO 500-first line ~ 500-second ~ 500 third", 502, "first line"),
    ] {
        let ftp = Ftp::saying(script);
        let site = site(&format!("ftp-fails-{name}"), &ftp, "");
        let server = site.start();
        let answer = server.get("/f/a/x", "");
        assert!(answer.line().starts_with(&format!("HTTP/1.1 {status} ")), "{name}: {}", answer.line());
        let line = format!("AH00898: {reason} returned by /f/a/x");
        server.log("logs/error_log", |log| log.contains(&line));
    }
    let ftp = Ftp::saying("");
    let dead = free_port();
    let site = site("ftp-dead", &ftp, &format!("ProxyPass /dead ftp://127.0.0.1:{dead}"));
    let server = site.start();
    assert!(server.get("/dead/x", "").line().starts_with("HTTP/1.1 503 "));
    server.log("logs/error_log", |log| log.contains("AH00957: FTP: attempt to connect to 127.0.0.1:"));
}

#[test]
fn a_server_that_never_stops_talking_costs_one_request() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((mut client, _)) = listener.accept() {
            let line = [b"220-".as_slice(), &[b'x'; 4000], b"\r\n"].concat();
            while client.write_all(&line).is_ok() {}
        }
    });
    if real_httpd() {
        // It reads on for as long as it is talked to.
        return;
    }
    let site = Site::new("ftp-talks");
    site.httpd_conf(MODULES, &format!("TypesConfig /dev/null\nProxyPass /f ftp://127.0.0.1:{port}"));
    let server = site.start();
    assert!(server.get("/f/x", "").line().starts_with("HTTP/1.1 502 "));
}

#[test]
fn clients_may_name_the_server_themselves() {
    let ftp = Ftp::saying("");
    let site = site("ftp-forward", &ftp, "ProxyRequests On");
    let server = site.start();
    let ask = |target: &str| {
        let mut client = server.connect();
        client
            .send(format!("GET ftp://127.0.0.1:{}{target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", ftp.port));
        client.response()
    };
    assert_eq!(ask("/%2fetc/x").text(), "hello world\n");
    assert!(ftp.told().contains("CWD / / CWD etc / EPSV / TYPE I / SIZE x"), "{}", ftp.told());
    let page = ask("/a/").text();
    let head = format!("Directory of <a href=\"/\">ftp://127.0.0.1:{}</a>/<a href=\"/a/\">a</a>/</h2>", ftp.port);
    assert!(page.contains(&head), "{page}");
    let answer = ask("/a/b%2fc/d");
    assert!(answer.line().starts_with("HTTP/1.1 400 "), "{}", answer.line());
}

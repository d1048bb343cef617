//! The node as a program: its command line, its connectors, its session page; without a cluster.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

mod ajp_oracle;
mod guards;
mod oracle;
mod tls;

use crate::support::{PATIENCE, TempDir, free_port, wait_for};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tandem-node");

/// A node's directory and its ports.
struct Base {
    dir: TempDir,
    http: u16,
    ajp: u16,
    api: u16,
    shutdown: u16,
}

impl Base {
    fn new() -> Self {
        let dir = TempDir::new("node");
        for sub in ["conf", "logs", "webapps/ROOT/WEB-INF"] {
            fs::create_dir_all(dir.path().join(sub)).unwrap();
        }
        let base = Self { dir, http: free_port(), ajp: free_port(), api: free_port(), shutdown: free_port() };
        base.write("conf/server.xml", &base.server("", ""));
        base
    }

    fn server(&self, connector: &str, host: &str) -> String {
        let Self { http, ajp, api, shutdown, .. } = self;
        format!(
            "<Server port='{shutdown}' shutdown='AWAY'><Service name='Catalina'>
             <Connector port='{http}' address='127.0.0.1' protocol='HTTP/1.1'/>
             <Connector port='{ajp}' address='127.0.0.1' protocol='AJP/1.3' secret='psst'/>
             <Connector className='dev.tandem.SessionApi' port='{api}'/>{connector}
             <Engine name='Catalina' defaultHost='localhost' jvmRoute='n1'><Host name='localhost' appBase='webapps'>{host}
             <Valve className='org.apache.catalina.valves.AccessLogValve' prefix='access' suffix='.log' rotatable='false' buffered='false' pattern='%m %U %s %b'/>
             </Host></Engine></Service></Server>"
        )
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// One more connector, beside the one of HTTP.
    fn connector(&self, element: &str) {
        self.write("conf/connector", element);
    }

    fn run(&self, words: &[&str]) -> Output {
        Command::new(PROGRAM)
            .args(words)
            .arg("--base")
            .arg(self.dir.path())
            .env_remove("CATALINA_PID")
            .output()
            .unwrap()
    }

    fn start(&self) -> Running {
        let log = fs::File::create(self.dir.path().join("logs/out")).unwrap();
        let child =
            Command::new(PROGRAM).args(["run", "--base"]).arg(self.dir.path()).stdin(Stdio::null()).stderr(log).spawn();
        let mut running = Running(child.unwrap());
        wait_for("the node", PATIENCE, || {
            assert!(running.0.try_wait().unwrap().is_none(), "{}", self.log());
            self.log().contains("Server startup in").then_some(())
        });
        running
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("logs/out")).unwrap_or_default()
    }

    /// One request on a connection of its own; the whole answer.
    fn ask(&self, port: u16, method: &str, target: &str, fields: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    }

    fn get(&self, target: &str, fields: &str) -> String {
        self.ask(self.http, "GET", target, fields)
    }
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn json(answer: &str) -> serde_json::Value {
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

#[test]
fn sessions_live_on_the_page_and_in_the_api() {
    let base = Base::new();
    let _running = base.start();
    let accept = "Accept: application/json\r\n";
    let first = base.get("/cluster/index.jsp?op=set&name=k&type=int&value=5", accept);
    assert!(first.starts_with("HTTP/1.1 200 \r\n"), "{first}");
    let page = json(&first);
    let id = page["id"].as_str().unwrap().to_owned();
    assert!(id.len() == 35 && id.ends_with(".n1"), "{id}");
    assert!(first.contains(&format!("Set-Cookie: JSESSIONID={id}; Path=/cluster; HttpOnly\r\n")), "{first}");
    assert_eq!((&page["new"], &page["node"]), (&true.into(), &"n1".into()));
    assert_eq!(page["attributes"]["k"], serde_json::json!({"class": "java.lang.Integer", "value": 5}));

    let with = format!("{accept}Cookie: JSESSIONID={id}\r\n");
    let second = base.get("/cluster/", &with);
    assert!(json(&second)["new"] == false && !second.contains("Set-Cookie"), "{second}");
    let in_path = base.get(&format!("/cluster/index.jsp;jsessionid={id}"), accept);
    assert_eq!(json(&in_path)["id"], id.as_str());
    let html = base.get("/cluster/index.jsp?op=set&name=%3Cb%3E&value=%22x", &format!("Cookie: JSESSIONID={id}\r\n"));
    assert!(html.contains("&lt;b&gt;") && !html.contains("<b>"), "{html}");
    let bad = base.get("/cluster/index.jsp?op=set&name=x&type=int&value=y", &with);
    assert!(bad.starts_with("HTTP/1.1 400 ") && json(&bad)["error"].is_string(), "{bad}");

    // The API sees the same, and changes it.
    let ask = |method: &str, target: &str, fields: &str| base.ask(base.api, method, target, fields);
    assert_eq!(json(&ask("GET", "/sessions?context=/cluster", ""))[0]["id"], id.as_str());
    let set = format!("/session?context=/cluster&id={id}&op=set&name=api&type=boolean&value=true");
    assert_eq!(json(&ask("POST", &set, ""))["attributes"]["api"]["value"], true);
    assert!(ask("POST", &set, "Origin: http://evil.example\r\n").starts_with("HTTP/1.1 403 "));
    for (method, target, status, said) in [
        ("GET", "/sessions".to_owned(), 400, "name a context"),
        ("GET", "/sessions?context=/none".to_owned(), 404, "no context [/none]"),
        ("GET", "/session?context=/cluster".to_owned(), 400, "name a session by its id"),
        ("GET", "/session?context=/cluster&id=x".to_owned(), 404, "no session [x]"),
        ("POST", set.replace("value=true", "value=5"), 400, "[5] is no value of type [boolean]"),
        ("POST", set.replace("op=set", "op=x"), 400, "there are the operations set, remove and invalidate"),
        ("POST", set.replace("name=api", "name="), 400, "a name is needed"),
        ("GET", "/x".to_owned(), 404, "there are /, /sessions and /session"),
    ] {
        let answer = ask(method, &target, "");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {target}: {answer}");
        assert!(json(&answer)["error"].as_str().is_some_and(|error| error.starts_with(said)), "{answer}");
    }
    for answer in [ask("DELETE", "/", ""), base.ask(base.http, "DELETE", "/cluster/", "")] {
        assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("\r\nAllow: GET, HEAD, POST\r\n"), "{answer}");
    }
    assert_eq!(json(&ask("GET", "/sessions?context=/", "")), serde_json::json!([]));
    assert_eq!(json(&base.get("/cluster/", &with))["attributes"]["api"]["value"], true);

    let changed = json(&base.get("/cluster/index.jsp?op=changeid", &with))["id"].as_str().unwrap().to_owned();
    assert_ne!(changed, id);
    let ended = base.get("/cluster/index.jsp?op=invalidate", &format!("{accept}Cookie: JSESSIONID={changed}\r\n"));
    assert_eq!(json(&ended)["id"], serde_json::Value::Null);
    assert_eq!(json(&ask("GET", "/sessions?context=/cluster", "")).as_array().unwrap().len(), 0);
}

#[test]
fn files_are_served_and_programs_are_not_shown() {
    let base = Base::new();
    for (path, text) in [("index.html", "welcome"), ("x.jsp", "<% secret %>"), ("WEB-INF/web.xml", "<web-app/>")] {
        base.write(&format!("webapps/ROOT/{path}"), text);
    }
    let _running = base.start();
    let root = base.get("/", "");
    assert!(root.contains("Content-Type: text/html\r\n") && root.ends_with("welcome"), "{root}");
    let program = base.get("/x.jsp", "");
    assert!(
        program.starts_with("HTTP/1.1 501 \r\n") && !program.contains("secret") && program.contains("runs no Java"),
        "{program}"
    );
    for hidden in
        ["/WEB-INF/web.xml", "/web-inf/web.xml", "/a/../WEB-INF/web.xml", "/%57EB-INF/web.xml", "/WEB-INF;x/web.xml"]
    {
        assert!(base.get(hidden, "").starts_with("HTTP/1.1 404 \r\n"), "{hidden}");
    }
    let lost = base.get("/no", "");
    assert!(lost.contains("<h1>HTTP Status 404 – Not Found</h1>"), "{lost}");
    for bad in ["/../x", "/a%2fb"] {
        assert!(base.get(bad, "").starts_with("HTTP/1.1 400 \r\n"), "{bad}");
    }
    let log = fs::read_to_string(base.dir.path().join("logs/access.log")).unwrap();
    assert!(log.contains("GET / 200 7\n") && log.contains("GET /x.jsp 501 "), "{log}");
}

/// AJP with its secret: CPING, a request, a wrong secret, and the same connection again.
#[test]
fn ajp_answers_who_knows_the_secret() {
    use tandem::codec::ajp::{self, Attribute, Beginning, ForwardWriter, Reply, Sender};
    let base = Base::new();
    base.write("webapps/ROOT/a.txt", &"x".repeat(20_000));
    let _running = base.start();
    let exchange = |stream: &mut TcpStream, secret: Option<&str>| -> (u16, usize, bool) {
        let begin = Beginning {
            method: b"GET",
            protocol: b"HTTP/1.1",
            uri: b"/a.txt",
            server_name: b"localhost",
            ..Beginning::default()
        };
        let mut out = Vec::new();
        let mut writer = ForwardWriter::new(&mut out, 8192, &begin);
        writer.header(b"host", b"localhost");
        if let Some(secret) = secret {
            writer.attribute(Attribute::Secret(secret.as_bytes()));
        }
        writer.finish().unwrap();
        stream.write_all(&out).unwrap();
        let (mut buf, mut status, mut length) = (Vec::new(), 0, 0);
        loop {
            while let Some(packet) = ajp::split(&buf, 8192, Sender::Container).unwrap() {
                match Reply::decode(packet.payload).unwrap() {
                    Reply::Headers(head) => status = head.status,
                    Reply::Chunk(data) => length += data.len(),
                    Reply::End { reuse } => return (status, length, reuse),
                    other => panic!("{other:?}"),
                }
                buf.drain(..packet.len);
            }
            let mut piece = [0; 4096];
            let read = stream.read(&mut piece).unwrap();
            assert!(read > 0, "closed");
            buf.extend_from_slice(&piece[..read]);
        }
    };
    let connect = || {
        let stream = TcpStream::connect(("127.0.0.1", base.ajp)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let mut stream = connect();
    stream.write_all(b"\x12\x34\x00\x01\x0a").unwrap();
    let mut pong = [0; 5];
    stream.read_exact(&mut pong).unwrap();
    assert_eq!(&pong, b"AB\x00\x01\x09");
    for _ in 0..2 {
        assert_eq!(exchange(&mut stream, Some("psst")), (200, 20_000, true));
    }
    for wrong in [Some("loud"), None] {
        let (status, _, reuse) = exchange(&mut connect(), wrong);
        assert_eq!((status, reuse), (403, false));
    }
}

#[test]
fn the_word_on_the_shutdown_port_stops_it() {
    let base = Base::new();
    let mut running = base.start();
    TcpStream::connect(("127.0.0.1", base.shutdown)).unwrap().write_all(b"WRONG").unwrap();
    wait_for("the warning", PATIENCE, || {
        base.log().contains("Invalid shutdown command [WRONG] received").then_some(())
    });
    let stopped = base.run(&["stop"]);
    assert!(stopped.status.success(), "{stopped:?}");
    let status = wait_for("the end", PATIENCE, || running.0.try_wait().unwrap());
    assert_eq!(status.code(), Some(0), "{}", base.log());
    let again = base.run(&["stop"]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("Could not contact [localhost:"), "{again:?}");
    assert!(again.status.success());
}

/// In the background, found again by its process id, as catalina.sh does it.
#[test]
fn started_and_stopped_by_its_process_id() {
    let base = Base::new();
    // Nobody can be told over a port.
    base.write(
        "conf/server.xml",
        &base.server("", "").replace(&format!("port='{}' shutdown", base.shutdown), "port='-1' shutdown"),
    );
    let file = base.dir.path().join("pid");
    let run = |words: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.args(words).arg("--base").arg(base.dir.path()).env("CATALINA_PID", &file).output().unwrap()
    };
    let version = run(&["version"]);
    assert!(version.status.success() && String::from_utf8_lossy(&version.stdout).starts_with("Server version:"));
    let nobody = base.run(&["stop"]);
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("No shutdown port configured"), "{nobody:?}");
    // What the file says counts, whoever wrote it.
    let refused = |text: Option<&str>, said: &str| {
        text.inspect(|text| fs::write(&file, text).unwrap());
        let stopped = run(&["stop"]);
        let all = String::from_utf8_lossy(&[stopped.stdout, stopped.stderr].concat()).into_owned();
        assert!(all.contains(said), "{all}");
        stopped.status.success()
    };
    assert!(!refused(None, "$CATALINA_PID was set but the specified file does not exist"));
    assert!(!refused(Some("2147483647\n"), "PID file found but either no matching process was found"));
    assert!(refused(Some("\n"), "PID file is empty and has been ignored."));
    fs::write(&file, "2147483647\n").unwrap();
    let started = run(&["start"]);
    assert!(started.status.success(), "{started:?}");
    assert!(String::from_utf8_lossy(&started.stdout).contains("Removing/clearing stale PID file."), "{started:?}");
    assert_ne!(fs::read_to_string(&file).unwrap(), "2147483647\n", "the new one's at once");
    let log = || fs::read_to_string(base.dir.path().join("logs/catalina.out")).unwrap_or_default();
    wait_for("the node", PATIENCE, || log().contains("Server startup in").then_some(()));
    let pid: i32 = fs::read_to_string(&file).unwrap().trim().parse().unwrap();
    assert!(base.get("/cluster/", "").starts_with("HTTP/1.1 200 "));
    let again = run(&["start"]);
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(!again.status.success() && said.contains(&format!("still be running with PID {pid}")), "{said}");
    let stopped = run(&["stop"]);
    assert!(stopped.status.success(), "{stopped:?} {}", log());
    assert!(log().contains("Stopping service [Catalina]"), "{}", log());
    assert!(String::from_utf8_lossy(&stopped.stdout).contains("Tomcat stopped."), "{stopped:?}");
    assert!(!file.exists());
}

#[test]
fn configurations_are_judged() {
    let base = Base::new();
    let test = || {
        let output = base.run(&["configtest"]);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(test().0, Some(0), "{}", test().1);
    base.write("conf/server.xml", &base.server("<Connector protocol='AJP/1.3' port='0'/>", ""));
    let (code, said) = test();
    assert!(
        code == Some(1) && said.contains("secretRequired=\"true\"") && said.contains("Configuration error detected!"),
        "{said}"
    );
    base.write("conf/server.xml", &base.server("", "\n<Valve className='org.example.Valve'/>"));
    let (code, said) = test();
    assert!(
        code == Some(1) && said.contains("conf/server.xml:6:8: java.lang.ClassNotFoundException: org.example.Valve"),
        "{said}"
    );
    base.write("conf/server.xml", &base.server("\n<Connector port='0' SSLEnabled='true'/>", ""));
    let (code, said) = test();
    assert!(code == Some(1) && said.contains("conf/server.xml:5:1: No SSLHostConfig element was found"), "{said}");
}

/// The example is one that starts.
#[test]
fn the_example_is_valid() {
    let base = Base::new();
    let example = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/server.xml")).unwrap();
    let text = example.replace("\"8080\"", "\"0\"").replace("\"8009\"", "\"0\"");
    assert_ne!(text, example);
    base.write("conf/server.xml", &text);
    let output = base.run(&["configtest"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(!said.contains("WARNING"), "{said}");
}

/// The manual page describes the commands and options that exist.
#[test]
fn the_manual_names_every_command_and_option() {
    let page =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("man/tandem-node.8")).unwrap().replace('\\', "");
    let command = tandem::node::cli::command();
    for sub in command.get_subcommands() {
        assert!(page.contains(&format!("\n.B {}\n", sub.get_name())), "{}", sub.get_name());
    }
    for argument in command.get_arguments().filter_map(|argument| argument.get_long()) {
        assert!(page.contains(&format!("--{argument}")), "{argument}");
    }
}

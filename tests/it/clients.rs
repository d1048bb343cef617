//! Who the client is beyond its address: the name behind it (HostnameLookups) and the user its machine tells of
//! (mod_ident).

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use socket2::{Domain, Socket, Type};

use super::support::{PATIENCE, Peer, Server, Site, is_root, skip};

/// A connection that comes from this address of the machine.
fn from(address: Ipv4Addr, port: u16) -> Peer {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((address, 0)).into()).unwrap();
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()).unwrap();
    Peer::over(TcpStream::from(socket))
}

/// The name that the system has for an address and that has it again.
fn name_of(address: Ipv4Addr) -> Option<String> {
    let name = dns_lookup::lookup_addr(&IpAddr::V4(address)).ok()?.to_ascii_lowercase();
    let back = dns_lookup::lookup_host(&name).ok()?.into_iter().any(|found| found == IpAddr::V4(address));
    back.then_some(name)
}

/// Two requests on one connection: status and what X says of each.
fn asked(client: &mut Peer, target: &str) -> String {
    client.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    let answer = client.response();
    format!("{} {}", answer.status, answer.header("X").unwrap_or_default())
}

/// The last lines of the log, once there are that many in all.
fn logged(server: &Server<'_>, lines: usize) -> Vec<String> {
    let text = server.log("logs/who.log", |text| text.lines().count() >= lines);
    text.lines().map(str::to_owned).collect()
}

#[test]
fn names_are_looked_up_where_the_configuration_says_so() {
    let site = Site::new("clients-names");
    let body = "LogFormat \"%h %{c}h %U\" who\nCustomLog logs/who.log who\n\
                Header always set X \"expr=%{REMOTE_HOST} %{reqenv:BY_NAME}\"\nSetEnvIf Remote_Host (.+) BY_NAME=$1\n\
                HostnameLookups Off\n<Location /on>\nHostnameLookups On\n</Location>\n\
                <Location /twice>\nHostnameLookups Double\n</Location>\n\
                <Location /only>\nRequire host localhost\n</Location>\n<Location /none>\nRequire host a.test\n</Location>\n";
    site.httpd_conf(&["setenvif", "headers", "authz_host"], body);
    let server = site.start();
    let ip = "127.0.0.1".to_owned();
    let name = name_of(Ipv4Addr::LOCALHOST).unwrap_or_else(|| ip.clone());
    let mut lines = 0;
    for path in ["/on/x", "/twice/x", "/none/x", "/only/x"] {
        let mut client = from(Ipv4Addr::LOCALHOST, site.port);
        // Rules of the server see nothing of the name that a section asks for.
        assert_eq!(asked(&mut client, "/off/x"), format!("404 {ip} {ip}"), "{path}");
        let status = if path == "/none/x" || (path == "/only/x" && name != "localhost") { 403 } else { 404 };
        assert_eq!(asked(&mut client, path), format!("{status} {name} {ip}"), "{path}");
        // What the connection knows it keeps.
        assert_eq!(asked(&mut client, "/off/x"), format!("404 {name} {name}"), "{path}");
        lines += 3;
        let all = logged(&server, lines);
        let want = [format!("{ip} {ip} /off/x"), format!("{name} {name} {path}"), format!("{name} {name} /off/x")];
        assert_eq!(all[lines - 3..], want, "{path}");
    }
    // An address without a name stays one.
    let other = Ipv4Addr::new(127, 0, 0, 99);
    let name = name_of(other).unwrap_or_else(|| other.to_string());
    let mut client = from(other, site.port);
    assert_eq!(asked(&mut client, "/on/x"), format!("404 {name} {other}"));
    assert_eq!(logged(&server, lines + 1)[lines], format!("{name} {name} /on/x"));
}

#[test]
fn a_client_that_a_field_names_has_its_own_name() {
    let site = Site::new("clients-forwarded");
    let body = "LogFormat \"%h %{c}h\" who\nCustomLog logs/who.log who\nHostnameLookups On\n\
                Header always set X \"expr=%{REMOTE_HOST} %{reqenv:BY_NAME}\"\nSetEnvIf Remote_Host (.+) BY_NAME=$1\n\
                RemoteIPHeader X-FF\nRemoteIPInternalProxy 127.0.0.0/8\n";
    site.httpd_conf(&["setenvif", "headers", "remoteip"], body);
    let server = site.start();
    let other = Ipv4Addr::new(127, 0, 0, 99);
    let shown = |address: Ipv4Addr| name_of(address).unwrap_or_else(|| address.to_string());
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\nX-FF: 127.0.0.99\r\n\r\n");
    let (peer, other) = (shown(Ipv4Addr::LOCALHOST), shown(other));
    assert_eq!(client.response().header("X").unwrap(), format!("{other} {other}"));
    assert_eq!(asked(&mut client, "/x"), format!("404 {peer} {peer}"));
    let all = logged(&server, 2);
    assert!(all[0].starts_with(&other) && all[1] == format!("{peer} {peer}"), "{all:?}");
}

/// An identification server on this address that gives one answer a connection: `@` is the question's ports.
fn identd(address: Ipv4Addr, answers: &'static [&'static str]) -> Arc<Mutex<Vec<String>>> {
    let listener = TcpListener::bind((address, 113)).unwrap();
    let questions = Arc::new(Mutex::new(Vec::new()));
    let heard = questions.clone();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, from) = listener.accept().unwrap();
            assert_eq!(from.ip(), IpAddr::V4(Ipv4Addr::LOCALHOST), "asked from the address that was connected to");
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut question = Vec::new();
            let mut byte = [0];
            while !question.ends_with(b"\r\n") && stream.read_exact(&mut byte).is_ok() {
                question.push(byte[0]);
            }
            let question = String::from_utf8(question).unwrap().trim_end().to_owned();
            let answered = answer.replace('@', &question);
            // In front of the answer, behind which the test looks.
            heard.lock().unwrap().push(question);
            let _ = stream.write_all(answered.as_bytes());
            if answer.is_empty() {
                // Until the other side has had enough.
                let _ = stream.read(&mut byte);
            }
        }
    });
    questions
}

#[test]
fn the_clients_machine_is_asked_once_a_connection() {
    if !is_root() {
        skip("the_clients_machine_is_asked_once_a_connection", "root, for port 113");
        return;
    }
    let site = Site::new("clients-ident");
    let body = "LogFormat \"%l %U\" who\nCustomLog logs/who.log who\nHeader always set X \"expr=%{REMOTE_IDENT}\"\n\
                IdentityCheck On\nIdentityCheckTimeout 1\n<Location /off>\nIdentityCheck Off\n</Location>\n";
    site.httpd_conf(&["headers", "ident"], body);
    let server = site.start();
    // An address of its own for each run.
    let pid = std::process::id().to_be_bytes();
    let address = Ipv4Addr::new(127, 100 + pid[1] % 100, pid[2], pid[3].clamp(1, 254));
    let answers = &[
        "@ : USERID : UNIX : bob\r\n",
        "@:USERID:OTHER,utf-8: a b c \r\n",
        "@ : ERROR : NO-USER\r\n",
        "1,2 : USERID : UNIX : bob\r\n",
        "@ : USERID : UNIX : bob",
        "@ : USERID : UNIX : o\"b\n",
        "",
    ];
    let questions = identd(address, answers);
    for (at, want) in ["bob", "a", "unknown", "unknown", "unknown", "o\"b", "unknown"].into_iter().enumerate() {
        let mut client = from(address, site.port);
        let port = client.stream.local_addr().unwrap().port();
        assert_eq!(asked(&mut client, "/off/x").trim_end(), "404");
        assert_eq!(asked(&mut client, "/x"), format!("404 {want}"), "{}", answers[at]);
        // Known is known.
        assert_eq!(asked(&mut client, "/off/x"), format!("404 {want}"), "{}", answers[at]);
        let lines = logged(&server, at * 3 + 3);
        let shown = want.replace('"', "\\\"");
        assert_eq!(lines[at * 3..], ["- /off/x".to_owned(), format!("{shown} /x"), format!("{shown} /off/x")]);
        assert_eq!(questions.lock().unwrap()[at..], [format!("{port},{}", site.port)]);
    }
    let log = site.read("logs/error_log");
    for text in ["End of file found: AH01498", "The timeout specified has expired: AH01498"] {
        assert!(log.contains(&format!("{text}: read: rfc1413: error reading response")), "{text}: {log}");
    }
    // Nobody listens.
    let nobody = Ipv4Addr::new(127, 99, pid[2], pid[3].clamp(1, 254));
    assert_eq!(asked(&mut from(nobody, site.port), "/x"), "404 unknown");
}

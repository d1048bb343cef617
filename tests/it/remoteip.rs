//! mod_remoteip: whose address a request counts as, by field and by PROXY header.

use std::net::Shutdown;

use super::support::{Server, Site};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn site(name: &str, body: &str) -> Site {
    let site = Site::new(name);
    let fields = "Header set X \"expr=%{REMOTE_ADDR}|%{SERVER_PORT}|%{CONN_REMOTE_ADDR}|%{req:X-FF}|%{req:By}\"\n";
    site.httpd_conf(&["remoteip", "headers"], &format!("{fields}{body}"));
    site
}

/// Client, what is left of the field, and the proxies.
fn by_field(server: &Server<'_>, host: &str, value: &str) -> String {
    let mut client = server.connect();
    client.send(format!("GET /index.html HTTP/1.1\r\nHost: {host}\r\nX-FF: {value}\r\nConnection: close\r\n\r\n"));
    let all = client.response().header("X").unwrap_or_default();
    let words: Vec<&str> = all.split('|').collect();
    format!("{} {} {}", words[0], words[3], words[4])
}

#[test]
fn the_last_address_that_nobody_vouches_for_is_the_client() {
    let body = "RemoteIPHeader X-FF\nRemoteIPProxiesHeader By\nRemoteIPInternalProxy 127.0.0.0/8 10.0.0.0/8\n\
                RemoteIPTrustedProxy 203.0.113.0/24\n";
    let site = site("remoteip-field", body);
    let server = site.start();
    for (value, want) in [
        ("198.51.100.1", "198.51.100.1  "),
        ("198.51.100.1, 198.51.100.2", "198.51.100.2 198.51.100.1 "),
        ("198.51.100.1, 10.1.1.1", "198.51.100.1  "),
        ("198.51.100.1, 203.0.113.9", "198.51.100.1  203.0.113.9"),
        ("192.168.1.1, 203.0.113.9", "203.0.113.9 192.168.1.1 "),
        ("192.168.1.1, 10.1.1.1", "192.168.1.1  "),
        ("2001:db8::1, 203.0.113.9, 203.0.113.8", "2001:db8::1  203.0.113.9, 203.0.113.8"),
        ("fe80::1, 203.0.113.9", "203.0.113.9 fe80::1 "),
        ("bogus", "127.0.0.1 bogus "),
        ("bogus, 198.51.100.2", "198.51.100.2 bogus "),
        ("198.51.100.1:80", "127.0.0.1 198.51.100.1:80 "),
        ("", "127.0.0.1  "),
    ] {
        let want = match value {
            // Two are passed on by way of two others: the nearer is named first.
            "2001:db8::1, 203.0.113.9, 203.0.113.8" => "2001:db8::1  203.0.113.8, 203.0.113.9",
            _ => want,
        };
        assert_eq!(by_field(&server, "a.test", value), want, "{value}");
    }
}

#[test]
fn without_a_list_everybody_is_trusted_and_hosts_add_theirs() {
    let any = site("remoteip-any", "RemoteIPHeader X-FF\n");
    let server = any.start();
    assert_eq!(by_field(&server, "a.test", "198.51.100.1, 198.51.100.2"), "198.51.100.1  ");
    assert_eq!(by_field(&server, "a.test", "10.0.0.1"), "127.0.0.1 10.0.0.1 ");
    drop(server);
    let body = "RemoteIPHeader X-FF\nRemoteIPInternalProxy 127.0.0.1\n<VirtualHost *:*>\nServerName a.test\n</VirtualHost>\n\
                <VirtualHost *:*>\nServerName b.test\nRemoteIPTrustedProxy 127.0.0.1 198.51.100.2\n</VirtualHost>\n";
    let hosts = site("remoteip-hosts", body);
    let server = hosts.start();
    assert_eq!(by_field(&server, "a.test", "198.51.100.1, 198.51.100.2"), "198.51.100.2 198.51.100.1 ");
    assert_eq!(by_field(&server, "b.test", "198.51.100.1, 198.51.100.2"), "198.51.100.1  ");
    assert_eq!(by_field(&server, "b.test", "10.0.0.1"), "127.0.0.1 10.0.0.1 ", "the host's own list comes first");
}

/// Client and peer, or nothing when the connection was ended without an answer.
fn behind(server: &Server<'_>, header: &[u8]) -> Option<String> {
    let mut client = server.connect();
    client.send([header, b"GET /index.html HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"].concat());
    let all = String::from_utf8_lossy(&client.rest()).into_owned();
    if all.is_empty() {
        return None;
    }
    let line = all.lines().find(|line| line.starts_with("X: ")).unwrap_or_else(|| panic!("{all}"));
    let words: Vec<&str> = line.trim_start_matches("X: ").split('|').collect();
    Some(format!("{} {}", words[0], words[2]))
}

#[test]
fn proxy_headers_name_the_client_or_end_the_connection() {
    let site = site(
        "remoteip-proxy",
        "RemoteIPProxyProtocol On\nRemoteIPHeader X-FF\nLogFormat \"%a %{remote}p %{c}a\" f\nCustomLog logs/clients f\n",
    );
    let server = site.start();
    let v2 = |command: u8, family: u8, rest: &[u8]| {
        [SIGNATURE, &[command, family], &u16::try_from(rest.len()).unwrap().to_be_bytes(), rest].concat()
    };
    let four = [1, 2, 3, 4, 5, 6, 7, 8, 0, 80, 0, 81];
    for (header, want) in [
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 11 22\r\n".to_vec(), "1.2.3.4 127.0.0.1"),
        (b"PROXY TCP6 2001:db8::1 ::1 12 22\r\n".to_vec(), "2001:db8::1 127.0.0.1"),
        (v2(0x21, 0x11, &four), "1.2.3.4 127.0.0.1"),
        (v2(0x21, 0x11, &[&four[..], &[b'T'; 204]].concat()), "1.2.3.4 127.0.0.1"),
    ] {
        assert_eq!(behind(&server, &header).as_deref(), Some(want), "{header:?}");
    }
    assert!(behind(&server, &v2(0x20, 0, &[])).is_some_and(|line| line.starts_with("127.0.0.1 ")));
    for (header, log) in [
        (b"".to_vec(), ""),
        (b"PROXY UNKNOWN\r\n".to_vec(), "AH03513"),
        (
            b"PROXY FOO 1 2 3 4\r\n".to_vec(),
            "AH03499: RemoteIPProxyProtocol: unknown family 'FOO' in header 'PROXY FOO 1 2 3 4'",
        ),
        (b"PROXY TCP4 bad 2 3 4\r\n".to_vec(), "AH03500: RemoteIPProxyProtocol: invalid client-address 'bad' found"),
        (v2(0x21, 0x11, &four[..4]), "AH10597: RemoteIPProxyProtocol: address length 4 too short for TCPv4"),
        (v2(0x22, 0x11, &four), "AH03507: RemoteIPProxyProtocol: unsupported command 22"),
        (v2(0x21, 0x31, &four), "AH10183: RemoteIPProxyProtocol: unsupported protocol 31"),
        (v2(0x21, 0x11, &[0; 217]), "AH10186: RemoteIPProxyProtocol protocol header length too long"),
    ] {
        assert_eq!(behind(&server, &header), None, "{header:?}");
        server.log("logs/error_log", |text| text.contains(log));
    }
    // In pieces, and with a second request on the connection.
    let mut client = server.connect();
    for piece in
        [&b"PRO"[..], b"XY TCP4 1.2.3.4 5.6.7.8 ", b"11 22\r", b"\nGET /index.html HTTP/1.1\r\nHost: a\r\n\r\n"]
    {
        client.send(piece);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(client.response().header("X").unwrap().starts_with("1.2.3.4|"));
    client.send("GET /index.html HTTP/1.1\r\nHost: a\r\nX-FF: 9.9.9.9\r\n\r\n");
    assert!(client.response().header("X").unwrap().starts_with("1.2.3.4|"), "the header counts, not the field");
    client.stream.shutdown(Shutdown::Both).unwrap();
    let log = server.log("logs/clients", |log| log.lines().count() == 7);
    assert!(log.starts_with("1.2.3.4 11 127.0.0.1\n2001:db8::1 12 127.0.0.1\n1.2.3.4 80 127.0.0.1\n"), "{log}");
}

#[test]
fn exceptions_and_other_addresses_speak_plainly() {
    let excepted = site("remoteip-except", "RemoteIPProxyProtocol On\nRemoteIPProxyProtocolExceptions 127.0.0.0/8\n");
    let server = excepted.start();
    assert_eq!(server.get("/index.html", "").status, 200);
    drop(server);
    let other = site("remoteip-other", "<VirtualHost 127.0.0.9:*>\nRemoteIPProxyProtocol On\n</VirtualHost>\n");
    let server = other.start();
    assert_eq!(server.get("/index.html", "").status, 200);
    drop(server);
    let off = site(
        "remoteip-off",
        "RemoteIPProxyProtocol On\n<VirtualHost *:*>\nRemoteIPProxyProtocol Off\n</VirtualHost>\n",
    );
    let server = off.start();
    assert_eq!(server.get("/index.html", "").status, 200);
}

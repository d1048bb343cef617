//! TLS towards backends: a server in front of another one of the same program.

use super::super::support::{Message, Server, Site, free_port, real_httpd};
use super::{MODULES, authority, certificate, openssl, tools};

/// Ports and the folder of a server that is its own backend.
struct Lab {
    site: Site,
    back: u16,
}

impl Lab {
    fn new(name: &str) -> Self {
        let site = Site::new(name);
        authority(&site);
        certificate(&site, "local", "ec", "/O=Lab/CN=localhost", "DNS:localhost,DNS:*.wild.test");
        certificate(&site, "other", "rsa", "/O=Lab/CN=127.0.0.1", "DNS:other.test,IP:127.0.0.1");
        certificate(&site, "client", "ec", "/O=Lab/CN=Client", "email:c@lab.test");
        let dir = site.path("certs");
        let run = |args: &str| openssl(&dir, &args.split(' ').collect::<Vec<_>>());
        run("req -x509 -key client.key -out self.pem -days 9 -subj /CN=localhost");
        site.write("certs/self.key", site.read("certs/client.key"));
        // Without extensions: a certificate of the first version.
        run("x509 -req -in local.csr -out old.pem -CA ca.pem -CAkey ca.key -days 5");
        site.write("certs/old.key", site.read("certs/local.key"));
        site.write("certs/pair.pem", site.read("certs/client.pem") + &site.read("certs/client.key"));
        site.write("certs/empty/index.txt", "");
        site.write("certs/empty/serial", "01\n");
        site.write("certs/empty/crlnumber", "01\n");
        site.write(
            "certs/ca.cnf",
            "[ca]\ndefault_ca=x\n[x]\ndatabase=empty/index.txt\nserial=empty/serial\nnew_certs_dir=empty\n\
             crlnumber=empty/crlnumber\ndefault_md=sha256\ndefault_crl_days=9\npolicy=p\nx509_extensions=e\n\
             [p]\ncommonName=supplied\n[e]\nsubjectAltName=DNS:localhost\n",
        );
        let with = "-config ca.cnf -cert ca.pem -keyfile ca.key -batch";
        run(&format!(
            "ca {with} -in local.csr -out past.pem -notext -startdate 20200101000000Z -enddate 20210101000000Z"
        ));
        site.write("certs/past.key", site.read("certs/local.key"));
        run(&format!("ca {with} -revoke local.pem"));
        run(&format!("ca {with} -gencrl -out crl.pem"));
        Self { site, back: free_port() }
    }

    /// `front` before a backend with this certificate.
    fn start(&self, cert: &str, front: &str) -> Server<'_> {
        self.write(cert, front);
        self.site.start()
    }

    fn write(&self, cert: &str, front: &str) {
        let (back, port) = (self.back, self.site.port);
        let front = front.replace("@B@", &back.to_string());
        let seen =
            "%{SSL_TLS_SNI}s %{SSL_PROTOCOL}s %{SSL_CLIENT_S_DN_CN}s %{host}e %{SSL_SESSION_RESUMED}s %{serial}e";
        let modules: Vec<&str> = MODULES
            .iter()
            .chain(&[
                "proxy",
                "proxy_http",
                "proxy_wstunnel",
                "proxy_balancer",
                "proxy_hcheck",
                "watchdog",
                "lbmethod_byrequests",
                "slotmem_shm",
            ])
            .copied()
            .filter(|name| *name != "watchdog" || !real_httpd())
            .collect();
        self.site.httpd_conf(
            &modules,
            &format!(
                "LogLevel info\nListen 127.0.0.1:{back}\nSSLSessionCache shmcb:logs/cache(512000)\n\
                 <VirtualHost 127.0.0.1:{back}>\nServerName back.test\nSSLEngine on\n\
                 SSLCertificateFile certs/{cert}.pem\nSSLCertificateKeyFile certs/{cert}.key\n\
                 SSLVerifyClient optional_no_ca\nSSLVerifyDepth 3\nSSLOptions +StdEnvVars\n\
                 SetEnvIf Host (.*) host=$1\nCustomLog logs/back \"%{{SSL_TLS_SNI}}x %k %U %>s\"\n\
                 Header always set Seen \"{seen}\"\n</VirtualHost>\n\
                 <VirtualHost 127.0.0.1:{port}>\nServerName front.test\n{front}\n</VirtualHost>\n"
            ),
        );
    }
}

/// A request with this host.
fn get(server: &Server<'_>, host: &str) -> Message {
    let mut client = server.connect();
    client.send(format!("GET /index.html HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
    client.response()
}

const ON: &str = "SSLProxyEngine on\n";
const PASS: &str = "ProxyPass / https://localhost:@B@/\n";

#[test]
fn backends_are_believed_as_the_configuration_says() {
    if !tools("backends_are_believed_as_the_configuration_says") {
        return;
    }
    let lab = Lab::new("tls-backends");
    let ca = "SSLProxyVerify require\nSSLProxyCACertificateFile certs/ca.pem\n";
    let crl = "SSLProxyCARevocationFile certs/crl.pem\nSSLProxyCARevocationCheck leaf\n";
    let to_ip = "ProxyPass / https://127.0.0.1:@B@/\n";
    let cases: Vec<(&str, String, u16, &str)> = vec![
        (
            "local",
            PASS.to_owned(),
            500,
            "AH01961:  failed to enable ssl support [Hint: if using mod_ssl, see SSLProxyEngine]",
        ),
        ("local", format!("{ON}{PASS}"), 200, ""),
        ("old", format!("{ON}{PASS}"), 200, ""),
        (
            "local",
            format!("{ON}{to_ip}"),
            500,
            "AH02411: SSL Proxy: Peer certificate does not match for hostname 127.0.0.1",
        ),
        // An address among the names of a certificate is not looked at; a common name is.
        ("other", format!("{ON}{to_ip}"), 200, ""),
        (
            "other",
            format!("{ON}{PASS}"),
            500,
            "AH02411: SSL Proxy: Peer certificate does not match for hostname localhost",
        ),
        ("other", format!("{ON}SSLProxyCheckPeerCN off\n{PASS}"), 200, ""),
        ("other", format!("{ON}SSLProxyCheckPeerName off\n{PASS}"), 200, ""),
        (
            "other",
            format!("{ON}SSLProxyCheckPeerName off\nSSLProxyCheckPeerCN on\n{PASS}"),
            500,
            "AH02005: SSL Proxy: Peer certificate CN mismatch: Certificate CN: 127.0.0.1 Requested hostname: localhost",
        ),
        ("past", format!("{ON}{PASS}"), 500, "AH02004: SSL Proxy: Peer certificate is expired"),
        ("past", format!("{ON}SSLProxyCheckPeerExpire off\n{PASS}"), 200, ""),
        ("local", format!("{ON}{ca}{PASS}"), 200, ""),
        (
            "past",
            format!("{ON}{ca}{PASS}"),
            500,
            "AH02276: Certificate Verification: Error (10): certificate has expired [subject: CN=localhost / ",
        ),
        (
            "self",
            format!("{ON}{ca}{PASS}"),
            500,
            "AH02276: Certificate Verification: Error (18): self-signed certificate [subject: CN=localhost / ",
        ),
        ("self", format!("{ON}SSLProxyVerify require\nSSLProxyCACertificateFile certs/self.pem\n{PASS}"), 200, ""),
        (
            "local",
            format!("{ON}SSLProxyVerify require\nSSLProxyCACertificateFile certs/self.pem\n{PASS}"),
            500,
            "Error (20): unable to get local issuer certificate [subject: CN=localhost,O=Lab / issuer: CN=Lab CA,O=Lab,C=DE / serial: ",
        ),
        (
            "local",
            format!("{ON}SSLProxyVerify optional_no_ca\nSSLProxyCACertificateFile certs/self.pem\n{PASS}"),
            200,
            "",
        ),
        (
            "local",
            format!("{ON}SSLProxyVerify optional\nSSLProxyCACertificateFile certs/self.pem\n{PASS}"),
            500,
            "AH02003: SSL Proxy connect failed",
        ),
        ("local", format!("{ON}{ca}SSLProxyVerifyDepth 0\n{PASS}"), 500, "AH02003: SSL Proxy connect failed"),
        (
            "local",
            format!("{ON}{ca}{crl}{PASS}"),
            500,
            "AH02276: Certificate Verification: Error (23): certificate revoked [subject: CN=localhost,O=Lab / ",
        ),
        (
            "local",
            format!("{ON}SSLProxyProtocol TLSv1.2\nSSLProxyCipherSuite ECDHE-RSA-AES128-GCM-SHA256\n{PASS}"),
            500,
            "AH02003: SSL Proxy connect failed",
        ),
        (
            "local",
            format!("{ON}ProxyPass / https://localhost:{}/\n", lab.site.port),
            500,
            "AH01997: SSL handshake failed: sending 502",
        ),
    ];
    for (cert, front, status, line) in cases {
        let server = lab.start(cert, &front);
        let answer = server.get("/index.html", "");
        assert_eq!(answer.status, status, "{cert} {front}: {}", lab.site.read("logs/error_log"));
        let enabled = !line.starts_with("AH01961");
        if status == 500 {
            let said = answer.text().contains("<strong>Error during SSL Handshake with remote server</strong>");
            assert_eq!(said, enabled, "{}", answer.text());
            server.log("logs/error_log", |text| text.contains(line));
            let more: &[&str] = match enabled {
                true => &[
                    "] AH01998: Connection closed to child 0 with abortive shutdown (server front.test:80)",
                    "AH00898: Error during SSL Handshake with remote server returned by /index.html",
                    "(20014)Internal error (specific information not available): [client 127.0.0.1:",
                ],
                false => &["AH00961: https: failed to enable ssl support for 127.0.0.1:"],
            };
            for line in more {
                server.log("logs/error_log", |text| text.contains(line));
            }
        }
        let log = lab.site.path("logs/error_log");
        drop(server);
        std::fs::remove_file(log).unwrap();
    }
}

#[test]
fn a_backend_is_told_who_is_meant_and_who_asks() {
    if !tools("a_backend_is_told_who_is_meant_and_who_asks") {
        return;
    }
    let lab = Lab::new("tls-told");
    let ask = |front: &str, host: &str| {
        let server = lab.start("local", front);
        let answer = get(&server, host);
        assert_eq!(answer.status, 200, "{front}: {}", lab.site.read("logs/error_log"));
        answer.header("seen").unwrap().replace(&lab.back.to_string(), "@B@")
    };
    assert_eq!(ask(&format!("{ON}{PASS}"), "x.test"), "localhost TLSv1.3 (null) localhost:@B@ Initial (null)");
    let kept = format!("{ON}ProxyPreserveHost on\n{PASS}");
    assert_eq!(ask(&kept, "A.wild.test:99"), "a.wild.test TLSv1.3 (null) A.wild.test:99 Initial (null)");
    let two = format!("{ON}SSLProxyProtocol TLSv1.2\nSSLProxyMachineCertificateFile certs/pair.pem\n{PASS}");
    assert_eq!(ask(&two, "x.test"), "localhost TLSv1.2 Client localhost:@B@ Initial (null)");
    // By address: nobody is named.
    let by_address = format!("{ON}SSLProxyCheckPeerName off\nProxyPass / https://127.0.0.1:@B@/\n");
    assert_eq!(ask(&by_address, "x.test"), "(null) TLSv1.3 (null) 127.0.0.1:@B@ Initial (null)");
    // For a section alone; and through a balancer, whose section it is.
    let section = format!("<Proxy https://localhost:@B@/>\n{ON}</Proxy>\n{PASS}");
    assert_eq!(ask(&section, "x.test"), "localhost TLSv1.3 (null) localhost:@B@ Initial (null)");
    let balancer = format!(
        "<Proxy balancer://b>\n{ON}SSLProxyMachineCertificateFile certs/pair.pem\nBalancerMember https://localhost:@B@\n\
         </Proxy>\nProxyPass / balancer://b/\n"
    );
    assert_eq!(ask(&balancer, "x.test"), "localhost TLSv1.3 Client localhost:@B@ Initial (null)");
    let rewritten = format!("{ON}RewriteEngine on\nRewriteRule ^/(.*) https://localhost:@B@/$1 [P]\n");
    assert_eq!(ask(&rewritten, "x.test"), "localhost TLSv1.3 (null) localhost:@B@ Initial (null)");
    // A request to a backend that asks for a certificate, and none is there.
    let server = lab.start("local", &format!("{ON}{PASS}"));
    assert_eq!(server.get("/index.html", "").status, 200);
    server.log("logs/error_log", |text| {
        text.contains(
            "AH02268: Proxy client certificate callback: (front.test:80) downstream server wanted client certificate \
             but none are configured",
        )
    });
}

#[test]
fn connections_over_tls_are_kept_for_whom_they_were_made() {
    if !tools("connections_over_tls_are_kept_for_whom_they_were_made") {
        return;
    }
    let lab = Lab::new("tls-kept");
    let server = lab.start("local", &format!("{ON}ProxyPreserveHost on\n{PASS}"));
    let mut client = server.connect();
    // One connection of the client, so that one thread serves it.
    for host in ["localhost", "localhost", "b.wild.test", "b.wild.test"] {
        client.send(format!("GET /index.html HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let answer = client.response();
        assert_eq!((answer.status, answer.text().as_str()), (200, "it works\n"));
    }
    // A body both ways, larger than any buffer.
    let body: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    lab.site.write("htdocs/large", &body);
    let mut head = b"POST /large HTTP/1.1\r\nHost: b.wild.test\r\nContent-Length: 3000000\r\n\r\n".to_vec();
    head.extend_from_slice(&body);
    client.send(head);
    assert!(client.response().body == body, "the bytes differ");
    // Two connections, each with its thread there: which of them writes first is chance.
    let log = [
        "b.wild.test 0 /index.html 200",
        "b.wild.test 1 /index.html 200",
        "b.wild.test 2 /large 200",
        "localhost 0 /index.html 200",
        "localhost 1 /index.html 200",
    ];
    server.log("logs/back", |text| {
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        lines == log
    });
    if real_httpd() {
        return;
    }
    // What a reload asks for holds for connections, too.
    lab.write("local", &format!("{ON}SSLProxyVerify require\nSSLProxyCACertificateFile certs/self.pem\n{PASS}"));
    server.signal(nix::sys::signal::Signal::SIGUSR1);
    server.log("logs/error_log", |text| text.matches("resuming normal operations").count() == 2);
    assert_eq!(get(&server, "b.wild.test").status, 500);
}

#[test]
fn members_over_tls_are_checked_over_tls() {
    if !tools("members_over_tls_are_checked_over_tls") {
        return;
    }
    let lab = Lab::new("tls-health");
    let member = "ProxyPass / balancer://b/\n<Proxy balancer://b>\nBalancerMember https://localhost:@B@ hcmethod=GET \
                  hcinterval=1 hcuri=/index.html\n</Proxy>\n";
    // Names are not looked at, and nobody is named.
    let server = lab.start("other", &format!("{ON}{member}"));
    server.log("logs/back", |text| text.contains("- 0 /index.html 200\n"));
    drop(server);
    let server =
        lab.start("other", &format!("{ON}SSLProxyVerify require\nSSLProxyCACertificateFile certs/self.pem\n{member}"));
    for line in ["AH02276: Certificate Verification: Error (20)", "Health check DISABLING https://localhost:"] {
        server.log("logs/error_log", |text| text.contains(line));
    }
    assert_eq!(server.get("/index.html", "").status, 503);
    drop(server);
    // What a section says is not asked for.
    let inside = member.replace("BalancerMember", &format!("{ON}BalancerMember"));
    let server = lab.start("local", &inside);
    server.log("logs/error_log", |text| text.contains("AH00961: HCOH: failed to enable ssl support for 127.0.0.1:"));
}

#[test]
fn a_tunnel_goes_through_tls() {
    if !tools("a_tunnel_goes_through_tls") {
        return;
    }
    // A backend behind the TLS of a first server, reached by a second proxy hop over wss.
    use super::super::support::Origin;
    let origin = Origin::serving(|peer, _| {
        let Some(request) = peer.request() else { return };
        assert_eq!(request.header("upgrade").as_deref(), Some("websocket"));
        peer.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello");
        while let Some(byte) = peer.next_byte() {
            peer.send([byte.to_ascii_uppercase()]);
        }
    });
    let lab = Lab::new("tls-tunnel");
    lab.write("local", &format!("{ON}ProxyPass / wss://localhost:@B@/\n"));
    let conf = lab.site.read("conf/httpd.conf");
    let inner = format!("ServerName back.test\nProxyPass / ws://127.0.0.1:{}/\n", origin.port);
    lab.site.write("conf/httpd.conf", conf.replace("ServerName back.test\n", &inner));
    let server = lab.site.start();
    let mut client = server.connect();
    client.send("GET /x HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    let head = String::from_utf8(client.read_until("\r\n\r\n")).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!(client.read_exactly(5), b"hello");
    client.send("ping");
    assert_eq!(client.read_exactly(4), b"PING");
}

#[test]
fn wrong_files_for_backends_stop_the_start() {
    if !tools("wrong_files_for_backends_stop_the_start") {
        return;
    }
    let lab = Lab::new("tls-backend-files");
    for (words, line) in [
        ("SSLProxyCACertificateFile certs/ca.key", "AH01895: Unable to configure verify locations"),
        (
            "SSLProxyCARevocationCheck leaf",
            "AH01899: Host front.test:80: CRL checking has been enabled, but neither SSLProxyCARevocationFile nor \
             SSLProxyCARevocationPath is configured",
        ),
        (
            "SSLProxyCARevocationCheck chain\nSSLProxyCARevocationFile certs/ca.key",
            "AH01901: Host front.test:80: unable to configure X.509 CRL storage for certificate revocation",
        ),
        ("SSLProxyCipherSuite bogus", "AH01898: Unable to configure permitted SSL ciphers"),
        ("SSLProxyCipherSuite TLSv1.3 bogus", "AH10127: Unable to configure permitted TLSv1.3 ciphers"),
        ("SSLProxyProtocol -all", "AH02231: No SSL protocols available [hint: SSLProtocol]"),
        (
            "SSLProxyMachineCertificateFile certs/ca.key",
            "AH02326: proxy client certificate and private key do not match [certificate: -not available-]",
        ),
    ] {
        lab.write("local", &format!("{ON}{words}\n{PASS}"));
        assert_eq!(lab.site.check().code, Some(0), "content is not looked at with -t: {words}");
        let verdict = lab.site.run(&["-DFOREGROUND"]);
        let said = lab.site.read("logs/error_log");
        assert_eq!((verdict.code, verdict.stderr.as_str()), (Some(1), ""), "{words}: {said}");
        for line in [line, "AH02312: Fatal error initialising mod_ssl, exiting.", "AH00016: Configuration Failed"] {
            assert!(said.contains(line), "{words}: {line} is not in {said}");
        }
    }
    let server = lab.start("local", &format!("{ON}SSLProxyMachineCertificateFile certs/client.pem\n{PASS}"));
    server.log("logs/error_log", |text| text.contains("AH02206: no client certs found for SSL proxy"));
}

//! What becomes of connections and certificates that are not quite right, and what is said of them.

use super::super::support::{Server, Site, free_port};
use super::clients::{SERVER, site_with_clients};
use super::{MODULES, curl, handshake, openssl, three_hosts, tools};

/// One request over TLS with a client's certificate (empty: none); `more` are curl's options.
fn ask((site, server): (&Site, &Server<'_>), client: &str, path: &str, more: &[&str]) -> super::Got {
    let [cert, key] = ["pem", "key"].map(|end| site.path(&format!("certs/{client}.{end}")));
    let (cert, key) = (cert.display().to_string(), key.display().to_string());
    let with: &[&str] = if client.is_empty() { &[] } else { &["--cert", &cert, "--key", &key] };
    curl(server, &format!("https://a.test{path}"), &[with, more].concat())
}

#[test]
fn the_end_of_a_session_is_said() {
    if !tools("the_end_of_a_session_is_said") {
        return;
    }
    let site = Site::new("tls-end");
    three_hosts(&site);
    let _server = site.start();
    // The body ends with the connection: cut off, or complete?
    site.write("ask", "GET /index.html HTTP/1.0\r\n\r\n");
    let ask = std::fs::File::open(site.path("ask")).unwrap();
    let to = format!("127.0.0.1:{}", site.port);
    let said = std::process::Command::new("openssl")
        .args(["s_client", "-connect", &to, "-noservername", "-ign_eof", "-msg"])
        .stdin(ask)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
    assert!(text.contains("it works\n"), "{text}");
    let end = text.lines().any(|line| line.starts_with("<<<") && line.contains("warning close_notify"));
    assert!(end && !text.contains("unexpected eof"), "{text}");
}

#[test]
fn a_connection_ends_with_a_request_that_it_is_not_for() {
    if !tools("a_connection_ends_with_a_request_that_it_is_not_for") {
        return;
    }
    let site = Site::new("tls-misdirected");
    three_hosts(&site);
    let server = site.start();
    let next = |host: &str| {
        let host = format!("Host: {host}");
        let to = format!("::127.0.0.1:{}", site.port);
        let shown = ["-sk", "-o", "/dev/null", "--connect-to", &to, "-w", "%{http_code} %{num_connects}\n"];
        let first = ["-H", &host, "https://a.test/index.html", "--next"];
        let done = std::process::Command::new("curl")
            .args([&shown[..], &first[..], &shown[..], &["https://a.test/index.html"]].concat())
            .output()
            .unwrap();
        String::from_utf8_lossy(&done.stdout).into_owned()
    };
    assert_eq!(next("a.test"), "200 1\n200 0\n");
    assert_eq!(next("b.test"), "421 1\n200 1\n");
    drop(server);
}

#[test]
fn strangers_pass_where_they_may_and_are_told_apart() {
    if !tools("strangers_pass_where_they_may_and_are_told_apart") {
        return;
    }
    let site = site_with_clients("tls-strangers");
    let dir = site.path("certs");
    let run = |args: &str| openssl(&dir, &args.split(' ').collect::<Vec<_>>());
    // An authority that nobody knows, another one by it, and a client by that.
    run("req -x509 -key stranger.key -out far.pem -days 9 -subj /CN=Far");
    run("req -new -key middle.key -out near.csr -subj /CN=Near");
    run("x509 -req -in near.csr -out near.pem -CA far.pem -CAkey stranger.key -CAcreateserial -days 5 -extfile ca.ext");
    run("req -new -key client.key -out lone.csr -subj /CN=Lone");
    run(
        "x509 -req -in lone.csr -out lone.pem -CA near.pem -CAkey middle.key -CAcreateserial -days 5 -extfile leaf.ext",
    );
    let parts = ["lone", "near", "far"].map(|name| site.read(&format!("certs/{name}.pem")));
    site.write("certs/long.pem", parts.concat());
    for name in ["lone", "long"] {
        site.write(&format!("certs/{name}.key"), site.read("certs/client.key"));
    }
    let body = "SSLVerifyClient optional_no_ca\nHeader always set Verify \"%{SSL_CLIENT_VERIFY}s\"\n";
    site.httpd_conf(MODULES, &format!("{SERVER}{body}"));
    let server = site.start();
    let verify = |client: &str, version: &[&str]| {
        let got = ask((&site, &server), client, "/index.html", &[&["-i"], version].concat());
        let field = got.text.lines().find_map(|line| line.strip_prefix("Verify: ").map(str::to_owned));
        field.unwrap_or(got.code)
    };
    let twelve = &["--tls-max", "1.2"][..];
    assert_eq!((verify("", &[]), verify("client", &[])), ("NONE".to_owned(), "SUCCESS".to_owned()));
    assert_eq!((verify("stranger", twelve), verify("lone", twelve)), ("GENEROUS".to_owned(), "GENEROUS".to_owned()));
    assert_eq!(verify("stranger", &[]), "FAILED:self-signed certificate");
    assert_eq!(verify("lone", &[]), "FAILED:unable to verify the first certificate");
    server.log("logs/error_log", |text| {
        text.contains(
            "AH02009: SSL client authentication failed, accepting certificate based on \"SSLVerifyClient \
             optional_no_ca\" configuration",
        )
    });
    // Whoever they are of: chains are no longer than SSLVerifyDepth.
    assert_eq!((verify("long", &[]), verify("long", twelve)), ("000".to_owned(), "000".to_owned()));
    let line = "AH02040: Certificate Verification: Certificate Chain too long (chain has 2 certificates, but maximum \
                allowed are only 1)";
    server.log("logs/error_log", |text| text.contains(line));
    drop(server);
    // Nor are they of those that no list of revoked ones is about, where one has to be.
    let lists = "SSLCARevocationFile certs/crl.pem\nSSLCARevocationCheck leaf\n";
    site.httpd_conf(MODULES, &format!("{SERVER}{body}{lists}"));
    let server = site.start();
    for client in ["stranger", "lone"] {
        assert_eq!(ask((&site, &server), client, "/index.html", &[]).code, "000", "{client}");
    }
    server.log("logs/error_log", |text| text.contains("Error (3): unable to get certificate CRL [subject: CN=Lone"));
    assert_eq!(ask((&site, &server), "client", "/index.html", &[]).code, "200");
}

#[test]
fn lists_and_authorities_are_looked_at_whoever_is_asked() {
    if !tools("lists_and_authorities_are_looked_at_whoever_is_asked") {
        return;
    }
    let site = site_with_clients("tls-lists");
    for (body, line) in [
        (
            "SSLCARevocationCheck leaf",
            "AH01899: Host localhost:443: CRL checking has been enabled, but neither SSLCARevocationFile nor \
             SSLCARevocationPath is configured",
        ),
        (
            "SSLCARevocationFile certs/ca.key",
            "AH01901: Host localhost:443: unable to configure X.509 CRL storage for certificate revocation",
        ),
        (
            "SSLCACertificateFile certs/ca.key",
            "AH01895: Unable to configure verify locations for client authentication",
        ),
    ] {
        site.httpd_conf(MODULES, &format!("{SERVER}{body}"));
        let verdict = site.run(&["-DFOREGROUND"]);
        let said = site.read("logs/error_log");
        assert!(verdict.code == Some(1) && said.contains(line), "{body}: {said}");
    }
    site.httpd_conf(MODULES, &format!("{SERVER}SSLVerifyClient require\nSSLCARevocationFile certs/crl.pem"));
    let server = site.start();
    let line = "AH01902: Host localhost:443: X.509 CRL storage locations configured, but CRL checking \
                (SSLCARevocationCheck) is not enabled";
    server.log("logs/error_log", |text| text.contains(line));
    // What is found while all is made ready is said in the log alone.
    assert!(!site.read("logs/console").contains("AH01902"), "{}", site.read("logs/console"));
    assert!(!site.read("logs/error_log").contains("AH01897"), "authorities are known");
}

#[test]
fn users_come_from_certificates_and_are_not_typed() {
    if !tools("users_come_from_certificates_and_are_not_typed") {
        return;
    }
    let site = site_with_clients("tls-user");
    let fields = "Header always set Who \"expr=%{REMOTE_USER},%{AUTH_TYPE}\"\nSSLUserName SSL_CLIENT_S_DN_CN\n";
    let body = format!(
        "SSLVerifyClient optional\n<Location /index.html>\n{fields}</Location>\n<Location /faked>\n{fields}SSLOptions \
         +FakeBasicAuth\n</Location>\n<Location /typed>\nAuthType Basic\nAuthName x\nAuthUserFile conf/users\nRequire \
         valid-user\n</Location>\nAliasMatch ^/(faked|typed)$ {}\n",
        site.path("htdocs/index.html").display()
    );
    site.write("conf/users", "/CN=Client:xxj31ZMTZzkVA\n");
    let modules = [MODULES, &["alias", "authn_core", "authn_file", "authz_user", "auth_basic"]].concat();
    site.httpd_conf(&modules, &format!("{SERVER}{body}"));
    let server = site.start();
    let who = |path: &str| ask((&site, &server), "client", path, &["-i"]).text;
    let text = who("/index.html");
    assert!(text.contains("Who: Client, One,ClientCert\r\n"), "{text}");
    let text = who("/faked");
    assert!(text.contains("Who: ,\r\n"), "{text}");
    assert_eq!(ask((&site, &server), "", "/typed", &["-u", "/CN=Client:password"]).code, "403");
    server.log("logs/error_log", |text| text.contains("AH02035: Encountered FakeBasicAuth spoof: /CN=Client"));
}

#[test]
fn an_optional_engine_is_none() {
    if !tools("an_optional_engine_is_none") {
        return;
    }
    let site = site_with_clients("tls-optional");
    site.httpd_conf(MODULES, &SERVER.replace("SSLEngine on", "SSLEngine optional"));
    let server = site.start();
    let mut client = server.connect();
    client.send("GET /index.html HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    assert_eq!(client.response().status, 200);
    let told = "AH10510: 'SSLEngine optional' is no longer supported";
    assert!(site.check().stderr.contains(told));
    drop(server);
    // A notice is for everybody, of virtual hosts as well.
    let host = format!("<VirtualHost 127.0.0.1:{}>\nSSLEngine optional\n</VirtualHost>\n", site.port);
    site.httpd_conf(MODULES, &host);
    assert!(site.check().stderr.contains(told), "{}", site.check().stderr);
}

#[test]
fn hellos_of_old_versions_are_told_so() {
    if !tools("hellos_of_old_versions_are_told_so") {
        return;
    }
    let site = Site::new("tls-old");
    three_hosts(&site);
    let conf = site.read("conf/httpd.conf") + "SSLProtocol all -TLSv1 -TLSv1.1\n";
    site.write("conf/httpd.conf", conf);
    let server = site.start();
    for cipher in ["ALL:@SECLEVEL=0", "aECDSA:@SECLEVEL=0"] {
        let said = handshake(&server, &["-servername", "a.test", "-tls1_1", "-cipher", cipher]);
        assert!(said.contains("tlsv1 alert protocol version"), "{cipher}: {said}");
    }
    server.log("logs/error_log", |text| {
        // Of whom the line speaks is for the server to say, not for the client.
        let told = "] SSL Library Error: error:0A000102:SSL routines::unsupported protocol";
        text.lines().any(|line| line.contains(told) && !line.contains("[client "))
    });
}

#[test]
fn parts_of_names_come_raw_and_certificates_by_number() {
    if !tools("parts_of_names_come_raw_and_certificates_by_number") {
        return;
    }
    let site = site_with_clients("tls-raw");
    let body = "SSLVerifyClient optional\nSSLOptions +StdEnvVars\n\
                Header always set Raw \"%{SSL_CLIENT_S_DN_OU_1_RAW}s|%{SSL_CLIENT_I_DN_CN_RAW}s|%{SSL_CLIENT_S_DN_L_RAW}s\"\n\
                Header always set Cea \"%{SSL_CLIENT_CERT_RFC4523_CEA}e|%{SSL_CLIENT_V_REMAIN}e|%{SSL_SERVER_V_REMAIN}e\"\n";
    site.httpd_conf(MODULES, &format!("{SERVER}{body}"));
    let server = site.start();
    let text = ask((&site, &server), "client", "/index.html", &["-i"]).text;
    assert!(text.contains("Raw: Two|Lab CA|(null)\r\n"), "{text}");
    let cea = text.lines().find(|line| line.starts_with("Cea: ")).unwrap_or_default();
    assert!(cea.starts_with("Cea: { serialNumber ") && cea.contains("\" }|") && !cea.contains("|(null)|"), "{text}");
}

#[test]
fn backends_that_refuse_certificates_or_are_refused() {
    if !tools("backends_that_refuse_certificates_or_are_refused") {
        return;
    }
    let site = site_with_clients("tls-alert");
    let (back, port) = (free_port(), site.port);
    let modules = [MODULES, &["proxy", "proxy_http"]].concat();
    let certs = "SSLEngine on\nSSLCertificateFile certs/server.pem\nSSLCertificateKeyFile certs/server.key\n";
    let begin = |front: &str| {
        site.httpd_conf(
            &modules,
            &format!(
                "LogLevel info\nListen 127.0.0.1:{back}\n<VirtualHost 127.0.0.1:{back}>\nServerName back.test\n{certs}\
                 SSLVerifyClient require\nSSLCACertificateFile certs/ca.pem\n</VirtualHost>\n<VirtualHost \
                 127.0.0.1:{port}>\nServerName a.test\n{certs}SSLProxyEngine on\nSSLProxyCheckPeerName off\n{front}\
                 ProxyPass / https://localhost:{back}/\n</VirtualHost>\n"
            ),
        );
        site.start()
    };
    let asked = "AH02268: Proxy client certificate callback: (a.test:443) downstream server wanted client certificate \
                 but none are configured";
    // In TLS 1.3 the backend refuses behind the handshake: an alert in place of a response.
    let server = begin("");
    assert_eq!(ask((&site, &server), "", "/index.html", &[]).code, "502");
    for line in [
        "AH01964: Connection to child 0 established (server a.test:443)",
        asked,
        "AH01992: SSL library error 1 reading data",
        "(70014)End of file found: [client 127.0.0.1:",
    ] {
        server.log("logs/error_log", |text| text.contains(line));
    }
    drop(server);
    std::fs::remove_file(site.path("logs/error_log")).unwrap();
    // Who is not believed has asked for nothing.
    let server = begin("SSLProxyVerify require\nSSLProxyCACertificateFile certs/stranger.pem\n");
    assert_eq!(ask((&site, &server), "", "/index.html", &[]).code, "500");
    server.log("logs/error_log", |text| {
        text.contains("AH01998: Connection closed to child 0 with abortive shutdown (server a.test:443)")
    });
    assert!(!site.read("logs/error_log").contains("AH02268"), "{}", site.read("logs/error_log"));
}

#[test]
fn versions_are_those_of_the_address_unless_a_host_says_otherwise() {
    if !tools("versions_are_those_of_the_address_unless_a_host_says_otherwise") {
        return;
    }
    let site = Site::new("tls-versions");
    three_hosts(&site);
    let certs = "SSLEngine on\nSSLCertificateFile certs/a.pem\nSSLCertificateKeyFile certs/a.key\n";
    let host = |name: &str, more: &str| {
        format!("<VirtualHost 127.0.0.1:{}>\nServerName {name}\n{certs}{more}</VirtualHost>\n", site.port)
    };
    let hosts =
        host("a.test", "SSLProtocol TLSv1.2\n") + &host("b.test", "") + &host("c.test", "SSLProtocol TLSv1.3\n");
    site.httpd_conf(MODULES, &hosts);
    let server = site.start();
    for (name, version) in [("a.test", "TLSv1.2"), ("b.test", "TLSv1.2"), ("c.test", "TLSv1.3")] {
        let said = handshake(&server, &["-servername", name]);
        assert!(said.contains(&format!("New, {version}, Cipher is")), "{name}: {said}");
    }
}

#[test]
fn hosts_without_tls_do_not_ask_as_those_with_it_do() {
    if !tools("hosts_without_tls_do_not_ask_as_those_with_it_do") {
        return;
    }
    let site = Site::new("tls-authonly");
    three_hosts(&site);
    let conf = site.read("conf/httpd.conf") + "SSLVHostSNIPolicy authonly\n";
    site.write("conf/httpd.conf", conf);
    let server = site.start();
    for (sni, host, code) in [("a.test", "b.test", "200"), ("c.test", "b.test", "421"), ("b.test", "c.test", "421")] {
        let got = curl(&server, &format!("https://{sni}/index.html"), &["-H", &format!("Host: {host}")]);
        assert_eq!(got.code, code, "{sni} and {host}: {}", got.text);
    }
}

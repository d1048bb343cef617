//! Certificates of clients, and what a request may know of the TLS under it.

use nix::sys::signal::Signal;

use super::super::support::{Site, real_httpd};
use super::{MODULES, authority, certificate, curl, handshake, openssl, tools};

/// A site with an authority, a server certificate, and clients: good, of a stranger, of an intermediate authority,
/// revoked, for servers only.
pub(super) fn site_with_clients(name: &str) -> Site {
    let site = Site::new(name);
    authority(&site);
    certificate(&site, "server", "ec", "/O=Lab/CN=a.test", "DNS:a.test");
    certificate(
        &site,
        "client",
        "ec",
        "/C=DE/O=Lab/OU=One/OU=Two/CN=Client, One/emailAddress=c@lab.test",
        "email:c@lab.test",
    );
    certificate(&site, "revoked", "ec", "/O=Lab/CN=Revoked", "email:r@lab.test");
    let dir = site.path("certs");
    let run = |args: &str| openssl(&dir, &args.split(' ').collect::<Vec<_>>());
    run("ecparam -name prime256v1 -genkey -noout -out stranger.key");
    run("req -x509 -key stranger.key -out stranger.pem -days 9 -subj /CN=Stranger");
    run("ecparam -name prime256v1 -genkey -noout -out deep.key");
    run("ecparam -name prime256v1 -genkey -noout -out middle.key");
    site.write("certs/ca.ext", "basicConstraints=critical,CA:TRUE\n");
    site.write("certs/leaf.ext", "basicConstraints=CA:FALSE\n");
    site.write("certs/serveronly.ext", "extendedKeyUsage=serverAuth\n");
    run("req -new -key middle.key -out middle.csr -subj /O=Lab/CN=Middle");
    run("x509 -req -in middle.csr -out middle.pem -CA ca.pem -CAkey ca.key -days 5 -extfile ca.ext");
    run("req -new -key deep.key -out deep.csr -subj /O=Lab/CN=Deep");
    run(
        "x509 -req -in deep.csr -out deep.leaf -CA middle.pem -CAkey middle.key -CAcreateserial -days 5 -extfile leaf.ext",
    );
    site.write("certs/deep.pem", site.read("certs/deep.leaf") + &site.read("certs/middle.pem"));
    run("req -new -key client.key -out serveronly.csr -subj /CN=Servers");
    run("x509 -req -in serveronly.csr -out serveronly.pem -CA ca.pem -CAkey ca.key -days 5 -extfile serveronly.ext");
    site.write("certs/serveronly.key", site.read("certs/client.key"));
    site.write("certs/index.txt", "");
    site.write("certs/crlnumber", "01\n");
    site.write(
        "certs/ca.cnf",
        "[ca]\ndefault_ca=x\n[x]\ndatabase=index.txt\ncrlnumber=crlnumber\ndefault_md=sha256\ndefault_crl_days=9\n",
    );
    run("ca -config ca.cnf -cert ca.pem -keyfile ca.key -revoke revoked.pem");
    run("ca -config ca.cnf -cert ca.pem -keyfile ca.key -gencrl -out crl.pem");
    site
}

pub(super) const SERVER: &str = "LogLevel ssl:info\nSSLSessionCache shmcb:logs/cache(512000)\nSSLEngine on\n\
    SSLCertificateFile certs/server.pem\nSSLCertificateKeyFile certs/server.key\nSSLCACertificateFile certs/ca.pem\n";

/// Codes for requests with these certificates; `000`: no answer.
fn codes(site: &Site, body: &str, path: &str, clients: &[&str]) -> Vec<String> {
    site.httpd_conf(MODULES, &format!("{SERVER}{body}"));
    let server = site.start();
    let ask = |client: &&str| {
        let (cert, key) = (format!("certs/{client}.pem"), format!("certs/{client}.key"));
        let (cert, key) = (site.path(&cert).display().to_string(), site.path(&key).display().to_string());
        let with: &[&str] = if client.is_empty() { &[] } else { &["--cert", &cert, "--key", &key] };
        let thirteen = curl(&server, &format!("https://a.test{path}"), with).code;
        let twelve = curl(&server, &format!("https://a.test{path}"), &[with, &["--tls-max", "1.2"]].concat()).code;
        if thirteen == twelve { thirteen } else { format!("{thirteen}/{twelve}") }
    };
    clients.iter().map(ask).collect()
}

#[test]
fn clients_are_asked_for_certificates() {
    if !tools("clients_are_asked_for_certificates") {
        return;
    }
    let site = site_with_clients("tls-clients");
    let all = ["", "client", "stranger", "deep", "revoked", "serveronly"];
    for (body, want) in [
        ("SSLVerifyClient none", ["200", "200", "200", "200", "200", "200"]),
        ("SSLVerifyClient optional", ["200", "200", "000", "000", "200", "000"]),
        ("SSLVerifyClient require", ["000", "200", "000", "000", "200", "000"]),
        ("SSLVerifyClient require\nSSLVerifyDepth 2", ["000", "200", "000", "200", "200", "000"]),
        ("SSLVerifyClient require\nSSLVerifyDepth 0", ["000", "000", "000", "000", "000", "000"]),
        (
            "SSLVerifyClient require\nSSLCARevocationFile certs/crl.pem\nSSLCARevocationCheck leaf",
            ["000", "200", "000", "000", "000", "000"],
        ),
        (
            "SSLVerifyClient require\nSSLVerifyDepth 2\nSSLCARevocationFile certs/crl.pem\n\
             SSLCARevocationCheck chain no_crl_for_cert_ok",
            ["000", "200", "000", "200", "000", "000"],
        ),
    ] {
        assert_eq!(codes(&site, body, "/index.html", &all), want, "{body}");
    }
}

#[test]
fn authorities_signed_by_others_are_no_end_of_a_chain() {
    if !tools("authorities_signed_by_others_are_no_end_of_a_chain") {
        return;
    }
    let site = site_with_clients("tls-anchors");
    // Only the middle one is known: the chain does not end.
    let body = "SSLVerifyClient require\nSSLVerifyDepth 5\nSSLCACertificateFile certs/middle.pem";
    assert_eq!(codes(&site, body, "/index.html", &["deep", "client"]), ["000", "000"]);
}

#[test]
fn sections_ask_for_what_the_handshake_got() {
    if !tools("sections_ask_for_what_the_handshake_got") {
        return;
    }
    let site = site_with_clients("tls-sections");
    site.write("htdocs/in/index.html", "in\n");
    let clients = ["", "client"];
    // httpd asks again in TLS 1.3, and curl has no answer to that: 403.
    let body = "SSLVerifyClient optional\n<Location /in>\nSSLVerifyClient require\n</Location>";
    let got = codes(&site, body, "/in/index.html", &clients);
    assert!(got[1].ends_with("200") && !got[0].contains("200"), "{got:?}");
    assert!(real_httpd() || got == ["403", "200"], "{got:?}");
    let body = "SSLVerifyClient optional\n<Location /in>\nRequire ssl-verify-client\n</Location>";
    assert_eq!(codes(&site, body, "/in/index.html", &clients), ["403", "200"]);
    let body = "SSLVerifyClient optional\n<Location /in>\nSSLRequire %{SSL_CLIENT_S_DN_CN} eq \"Client, One\" and \
                %{SSL_CLIENT_S_DN_OU_1} in { \"Two\", \"Three\" }\n</Location>";
    assert_eq!(codes(&site, body, "/in/index.html", &clients), ["403", "200"]);
}

/// Where httpd breaks the connection off amid a second handshake, which curl calls `000`, there is 403 here.
fn broken_off(want: &str) -> &str {
    if real_httpd() && want == "403" { "000" } else { want }
}

#[test]
fn sections_judge_what_clients_bring_for_them() {
    if !tools("sections_judge_what_clients_bring_for_them") {
        return;
    }
    let site = site_with_clients("tls-judged");
    site.write("htdocs/in/index.html", "in\n");
    let all = ["", "client", "stranger", "deep", "revoked", "serveronly"];
    let section = |body: &str| format!("<Location /in>\n{body}\n</Location>");
    for (body, want) in [
        (section("SSLVerifyClient require"), ["403", "200", "403", "403", "200", "403"]),
        (section("SSLVerifyClient optional"), ["200", "200", "403", "403", "200", "403"]),
        (section("SSLVerifyClient optional_no_ca"), ["200", "200", "200", "403", "200", "403"]),
        (section("SSLVerifyClient require\nSSLVerifyDepth 2"), ["403", "200", "403", "200", "200", "403"]),
        (
            "SSLCARevocationFile certs/crl.pem\nSSLCARevocationCheck leaf\n".to_owned()
                + &section("SSLVerifyClient require"),
            ["403", "200", "403", "403", "403", "403"],
        ),
    ] {
        // Those who are no good elsewhere are served there all the same.
        assert_eq!(codes(&site, &body, "/index.html", &all), ["200"; 6], "{body}");
        assert_eq!(codes(&site, &body, "/in/index.html", &all), want.map(broken_off), "{body}");
    }
    let log = site.read("logs/error_log");
    for line in [
        "AH02263: Re-negotiation handshake failed: Client certificate missing",
        "AH02276: Certificate Verification: Error (18): self-signed certificate [subject: CN=Stranger / ",
        "AH02276: Certificate Verification: Error (23): certificate revoked [subject: CN=Revoked,O=Lab / ",
        "AH02040: Certificate Verification: Certificate Chain too long (chain has 2 certificates, but maximum allowed \
         are only 1)",
        "AH02262: Re-negotiation handshake failed: Client verification failed",
    ] {
        assert!(log.contains(line), "no {line:?} in {log}");
    }
}

#[test]
fn nobody_knows_of_certificates_that_no_section_has_judged() {
    if !tools("nobody_knows_of_certificates_that_no_section_has_judged") {
        return;
    }
    let site = site_with_clients("tls-withheld");
    for dir in ["in", "out"] {
        site.write(&format!("htdocs/{dir}/index.html"), "here\n");
    }
    let body = "SSLOptions +StdEnvVars\nHeader always set V \"%{SSL_CLIENT_VERIFY}s %{SSL_CLIENT_S_DN_CN}s\"\n\
                <Location /in>\nSSLVerifyClient optional_no_ca\n</Location>\n\
                <Location /out>\nSSLRequire %{SSL_CLIENT_S_DN_CN} eq \"Stranger\"\n</Location>";
    site.httpd_conf(MODULES, &format!("{SERVER}{body}"));
    let server = site.start();
    let seen = |client: &str, paths: &[&str]| {
        let [cert, key] = ["pem", "key"].map(|end| site.path(&format!("certs/{client}.{end}")).display().to_string());
        let urls: Vec<String> = paths.iter().map(|path| format!("https://a.test{path}")).collect();
        let mut more = vec!["-i", "--cert", &cert, "--key", &key];
        more.extend(urls.iter().skip(1).map(String::as_str));
        let got = curl(&server, &urls[0], &more).text;
        got.lines().filter_map(|line| line.strip_prefix("V: ").map(str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(
        seen("client", &["/", "/in/index.html", "/"]),
        ["NONE (null)", "SUCCESS Client, One", "SUCCESS Client, One"]
    );
    let stranger = seen("stranger", &["/", "/in/index.html"]);
    assert_eq!(stranger, ["NONE (null)", "FAILED:self-signed certificate Stranger"]);
    // A name that nobody vouches for opens nothing.
    assert_eq!(codes(&site, body, "/out/index.html", &["", "stranger"]), ["403", "403"]);
}

#[test]
fn access_files_judge_what_the_handshake_got() {
    if !tools("access_files_judge_what_the_handshake_got") {
        return;
    }
    let site = site_with_clients("tls-htaccess");
    site.write("htdocs/in/index.html", "in\n");
    site.write("htdocs/in/.htaccess", "SSLVerifyClient require\n");
    let allow = format!("<Directory {}>\nAllowOverride AuthConfig\n</Directory>\n", site.root().display());
    let asked = format!("{allow}<Location /else>\nSSLVerifyClient require\n</Location>");
    let clients = ["", "client", "stranger"];
    assert_eq!(codes(&site, &asked, "/in/index.html", &clients), ["403", "200", "403"].map(broken_off));
    if !real_httpd() {
        // Nobody has been asked for a certificate, and without one there is no way in.
        assert_eq!(codes(&site, &allow, "/in/index.html", &clients), ["403", "403", "403"]);
    }
    site.write("htdocs/in/.htaccess", "SSLCACertificateFile certs/middle.pem\n");
    assert_eq!(codes(&site, &asked, "/in/index.html", &["client"]), ["500"]);
    let log = site.read("logs/error_log");
    assert!(log.contains(".htaccess: Your SSL library does not have support for per-directory CA"), "{log}");
}

#[test]
fn sections_forbid_other_suites() {
    if !tools("sections_forbid_other_suites") || real_httpd() {
        return;
    }
    let site = site_with_clients("tls-section-suites");
    site.write("htdocs/in/index.html", "in\n");
    let body = "<Location /in>\nSSLCipherSuite ECDHE-ECDSA-AES128-GCM-SHA256\n</Location>";
    site.httpd_conf(MODULES, &format!("{SERVER}{body}"));
    let said = site.check().stderr;
    assert!(said.contains("SSLCipherSuite (") && said.contains("httpd.conf:"), "{said}");
    let server = site.start();
    let get = |path: &str, more: &[&str]| curl(&server, &format!("https://a.test{path}"), more).code;
    let twelve = ["--tls-max", "1.2", "--ciphers"];
    for (more, want) in [
        (&[][..], "200"),
        (&[twelve.as_slice(), &["ECDHE-ECDSA-AES128-GCM-SHA256"]].concat(), "200"),
        (&[twelve.as_slice(), &["ECDHE-ECDSA-AES256-GCM-SHA384"]].concat(), "403"),
    ] {
        assert_eq!(get("/in/index.html", more), want, "{more:?}");
        assert_eq!(get("/index.html", more), "200", "{more:?}");
    }
}

#[test]
fn a_request_knows_the_tls_under_it() {
    if !tools("a_request_knows_the_tls_under_it") {
        return;
    }
    let site = site_with_clients("tls-vars");
    let names = [
        ("HTTPS", "on"),
        ("SSL_PROTOCOL", "TLSv1.3"),
        ("SSL_CIPHER", "TLS_AES_256_GCM_SHA384"),
        ("SSL_CIPHER_USEKEYSIZE", "256"),
        ("SSL_TLS_SNI", "a.test"),
        ("SSL_CLIENT_VERIFY", "SUCCESS"),
        ("SSL_CLIENT_S_DN", "emailAddress=c@lab.test,CN=Client\\, One,OU=Two,OU=One,O=Lab,C=DE"),
        ("SSL_CLIENT_I_DN", "CN=Lab CA,O=Lab,C=DE"),
        ("SSL_CLIENT_S_DN_OU", "One"),
        ("SSL_CLIENT_S_DN_OU_1", "Two"),
        ("SSL_CLIENT_S_DN_Email", "c@lab.test"),
        ("SSL_CLIENT_SAN_Email_0", "c@lab.test"),
        ("SSL_CLIENT_A_KEY", "id-ecPublicKey"),
        ("SSL_CLIENT_A_SIG", "ecdsa-with-SHA256"),
        ("SSL_CLIENT_M_VERSION", "3"),
        ("SSL_SERVER_S_DN_CN", "a.test"),
        ("SSL_SERVER_SAN_DNS_0", "a.test"),
        ("SSL_SESSION_RESUMED", "Initial"),
    ];
    let mut body = String::from(
        "SSLVerifyClient optional\nSSLOptions +StdEnvVars\n\
         RewriteEngine on\nRewriteCond %{SSL:SSL_CLIENT_S_DN_O} ^Lab$\nRewriteRule ^ - [E=rewritten:yes]\n\
         Header set R %{rewritten}e\nHeader set P \"expr=%{SSL_PROTOCOL} %{SSL:SSL_CIPHER_EXPORT} %{HTTPS}\"\n\
         CustomLog logs/tls \"%{SSL_PROTOCOL}x %{version}c %{SSL_CLIENT_S_DN_CN}x %{SSL_NOPE}x %{subjectdn}c\"\n",
    );
    for (name, _) in names {
        body += &format!("Header set S-{name} \"%{{{name}}}s\"\nHeader set E-{name} \"%{{{name}}}e\"\n");
    }
    site.httpd_conf(MODULES, &format!("{SERVER}{body}"));
    let server = site.start();
    let (cert, key) = (site.path("certs/client.pem"), site.path("certs/client.key"));
    let with = ["-i", "--cert", cert.to_str().unwrap(), "--key", key.to_str().unwrap()];
    let got = curl(&server, "https://a.test/index.html", &with).text;
    for (name, value) in names {
        for side in ["S", "E"] {
            let line = format!("{side}-{name}: {value}\r\n");
            assert!(got.contains(&line), "no {line:?} in {got}");
        }
    }
    assert!(got.contains("R: yes\r\n") && got.contains("P: TLSv1.3 false on\r\n"), "{got}");
    let line = "TLSv1.3 TLSv1.3 Client, One - emailAddress=c@lab.test,CN=Client\\\\, One,OU=Two,OU=One,O=Lab,C=DE\n";
    server.log("logs/tls", |text| text.contains(line) || text.contains(&line.replace("\\\\", "\\")));
    let got = curl(&server, "https://a.test/index.html", &["-i"]).text;
    assert!(got.contains("S-SSL_CLIENT_VERIFY: NONE\r\n") && got.contains("E-SSL_CLIENT_S_DN: (null)\r\n"), "{got}");
    // Names of the old form, and whole certificates.
    let body = "SSLVerifyClient optional\nSSLOptions +LegacyDNStringFormat +ExportCertData\n\
                Header set D \"%{SSL_CLIENT_S_DN}s\"\nHeader set C \"%{SSL_CLIENT_CERT}s\"\n";
    drop(server);
    site.httpd_conf(MODULES, &format!("{SERVER}{body}"));
    let server = site.start();
    let got = curl(&server, "https://a.test/index.html", &with).text;
    assert!(got.contains("D: /C=DE/O=Lab/OU=One/OU=Two/CN=Client, One/emailAddress=c@lab.test\r\n"), "{got}");
    let pem = site.read("certs/client.pem").replace('\n', " ");
    assert!(got.contains(&format!("C: {}", pem.trim_end())), "{got}");
}

#[test]
fn sessions_go_on_with_tickets_or_numbers() {
    if !tools("sessions_go_on_with_tickets_or_numbers") {
        return;
    }
    let site = site_with_clients("tls-sessions");
    for (tickets, version, want) in [
        ("on", "-tls1_2", "Reused"),
        ("off", "-tls1_2", "Reused"),
        ("on", "-tls1_3", "Reused"),
        ("off", "-tls1_3", "Reused"),
    ] {
        site.httpd_conf(MODULES, &format!("{SERVER}SSLSessionTickets {tickets}"));
        let server = site.start();
        let kept = site.path("session").display().to_string();
        let ask = |more: &[&str]| {
            let mut args = vec!["-servername", "a.test", version, "-ign_eof"];
            args.extend(more);
            session(&server, &args)
        };
        let first = ask(&["-sess_out", &kept]);
        assert!(first.contains("New, TLSv1"), "{tickets} {version}: {first}");
        let second = ask(&["-sess_in", &kept]);
        assert!(second.contains(&format!("{want}, TLSv1")), "{tickets} {version}: {second}");
    }
}

/// A handshake with a request on it.
pub(super) fn session(server: &super::super::support::Server<'_>, args: &[&str]) -> String {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", &format!("127.0.0.1:{}", server.port)])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to = child.stdin.take().unwrap();
    to.write_all(b"GET /index.html HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").unwrap();
    drop(to);
    let done = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&done.stdout).into_owned()
}

#[test]
fn protocols_and_suites_are_those_of_the_configuration() {
    if !tools("protocols_and_suites_are_those_of_the_configuration") {
        return;
    }
    let site = site_with_clients("tls-suites");
    for (body, more, want) in [
        ("SSLProtocol TLSv1.2", &["-tls1_3"][..], None),
        ("SSLProtocol TLSv1.2", &[], Some("New, TLSv1.2, Cipher is ECDHE-ECDSA-AES256-GCM-SHA384")),
        ("SSLProtocol all -TLSv1.2", &["-tls1_2"], None),
        ("SSLProtocol -all +TLSv1.3", &[], Some("New, TLSv1.3, Cipher is TLS_AES_256_GCM_SHA384")),
        ("SSLCipherSuite ECDHE+AES128", &["-tls1_2"], Some("Cipher is ECDHE-ECDSA-AES128-GCM-SHA256")),
        ("SSLCipherSuite AES128+aRSA", &["-tls1_2"], None),
        ("SSLCipherSuite TLSv1.3 TLS_CHACHA20_POLY1305_SHA256", &[], Some("Cipher is TLS_CHACHA20_POLY1305_SHA256")),
        (
            "SSLHonorCipherOrder on\nSSLCipherSuite ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384",
            &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256"],
            Some("Cipher is ECDHE-ECDSA-AES128-GCM-SHA256"),
        ),
        (
            "SSLCipherSuite ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384",
            &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256"],
            Some("Cipher is ECDHE-ECDSA-AES256-GCM-SHA384"),
        ),
    ] {
        site.httpd_conf(MODULES, &format!("{SERVER}{body}"));
        let server = site.start();
        let said = handshake(&server, more);
        match want {
            Some(want) => assert!(said.contains(want), "{body}: {said}"),
            None => assert!(said.contains("Cipher is (NONE)"), "{body}: {said}"),
        }
    }
}

#[test]
fn sessions_go_on_over_a_reload() {
    if !tools("sessions_go_on_over_a_reload") || real_httpd() {
        return;
    }
    let site = site_with_clients("tls-sessions-reload");
    for (tickets, version) in [("on", "-tls1_2"), ("off", "-tls1_2"), ("on", "-tls1_3"), ("off", "-tls1_3")] {
        let conf = format!("{SERVER}SSLSessionTickets {tickets}\n");
        site.httpd_conf(MODULES, &conf);
        site.write("logs/error_log", "");
        let server = site.start();
        let kept = site.path("session").display().to_string();
        let ask =
            |more: [&str; 2]| session(&server, &[&["-servername", "a.test", version, "-ign_eof"][..], &more].concat());
        assert!(ask(["-sess_out", &kept]).contains("New, TLSv1"));
        site.httpd_conf(MODULES, &format!("{conf}# changed\n"));
        server.signal(Signal::SIGUSR1);
        server.log("logs/error_log", |log| log.matches("AH00489").count() == 2);
        let second = ask(["-sess_in", &kept]);
        assert!(second.contains("Reused, TLSv1"), "{tickets} {version}: {second}");
        // Who resumes is not checked again: not where something else is checked now.
        site.httpd_conf(MODULES, &format!("{conf}SSLVerifyClient optional\nSSLCACertificateFile certs/ca.pem\n"));
        server.signal(Signal::SIGUSR1);
        server.log("logs/error_log", |log| log.matches("AH00489").count() == 3);
        ask(["-sess_out", &kept]);
        assert!(ask(["-sess_in", &kept]).contains("Reused, TLSv1"));
        site.httpd_conf(MODULES, &conf);
        server.signal(Signal::SIGUSR1);
        server.log("logs/error_log", |log| log.matches("AH00489").count() == 4);
        assert!(ask(["-sess_in", &kept]).contains("New, TLSv1"));
    }
}

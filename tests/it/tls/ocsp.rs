//! Responders are asked about clients' certificates.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use super::super::support::{Server, Site, free_port};
use super::staples::Responder;
use super::{MODULES, authority, certificate, curl, openssl, tools};

/// A site with clients: one that names this responder, one that names none, one that names what nobody can be asked
/// at, one below an authority that names it too; and with signers of responses.
fn site(name: &str, port: u16) -> Site {
    let site = Site::new(name);
    authority(&site);
    certificate(&site, "server", "ec", "/O=Lab/CN=a.test", "DNS:a.test");
    let uri = |scheme: &str| format!("authorityInfoAccess=OCSP;URI:{scheme}://127.0.0.1:{port}/ocsp\n");
    let make = |name: &str, ext: &str, by: &str, serial: &str| {
        let dir = site.path("certs");
        site.write("certs/ext", format!("{ext}\n"));
        let run = |args: &str| openssl(&dir, &args.split(' ').collect::<Vec<_>>());
        run(&format!("ecparam -name prime256v1 -genkey -noout -out {name}.key"));
        run(&format!("req -new -key {name}.key -out {name}.csr -subj /CN={name}"));
        run(&format!(
            "x509 -req -in {name}.csr -out {name}.pem -CA {by}.pem -CAkey {by}.key -days 5 -set_serial {serial} -extfile ext"
        ));
    };
    make("client", &uri("http"), "ca", "4660");
    make("bare", "basicConstraints=CA:FALSE", "ca", "4660");
    make("odd", &uri("https"), "ca", "4660");
    make("signer", "extendedKeyUsage=OCSPSigning", "ca", "7");
    make("middle", &format!("basicConstraints=critical,CA:TRUE\n{}", uri("http")), "ca", "4661");
    make("deep", &uri("http"), "middle", "4660");
    site.write("certs/deep.pem", site.read("certs/deep.pem") + &site.read("certs/middle.pem"));
    let dir = site.path("certs");
    openssl(&dir, &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "other.key"]);
    openssl(&dir, &["req", "-x509", "-key", "other.key", "-out", "other.pem", "-days", "9", "-subj", "/CN=Other"]);
    site
}

fn conf(site: &Site, body: &str) {
    site.httpd_conf(
        MODULES,
        &format!(
            "ServerName a.test\nLogLevel ssl:debug\nSSLSessionCache none\nSSLEngine on\nSSLCertificateFile \
             certs/server.pem\nSSLCertificateKeyFile certs/server.key\nSSLCACertificateFile certs/ca.pem\n\
             SSLVerifyClient require\nSSLVerifyDepth 5\n{body}\n"
        ),
    );
}

/// What the client gets with this version of the protocol at most.
fn code(site: &Site, server: &Server<'_>, client: &str, version: &str) -> String {
    let [cert, key] = ["pem", "key"].map(|end| site.path(&format!("certs/{client}.{end}")).display().to_string());
    curl(server, "https://a.test/index.html", &["--cert", &cert, "--key", &key, "--tls-max", version]).code
}

/// One client with both versions: the answer, and entries that are there.
fn client(site: &Site, body: &str, client: &str, want: &str, lines: &[&str]) {
    site.write("logs/error_log", "");
    conf(site, body);
    let server = site.start();
    for version in ["1.3", "1.2"] {
        assert_eq!(code(site, &server, client, version), want, "{body}: {client} with {version}");
    }
    for line in lines {
        server.log("logs/error_log", |text| text.matches(line).count() >= 2);
    }
}

/// The end of whom nothing good is said about.
const UNSURE: &str = "AH02276: Certificate Verification: Error (50): application verification failure [subject: CN=";

#[test]
fn revoked_and_unknown_clients_are_sent_away() {
    if !tools("revoked_and_unknown_clients_are_sent_away") {
        return;
    }
    let port = free_port();
    let site = site("tls-ocsp", port);
    let on = "SSLOCSPEnable on";
    {
        let _responder = Responder::signing(&site, port, "V", "ca");
        let good = ["AH03239: OCSP validation completed, certificate status: good (0, -1) [subject: CN=client / "];
        client(&site, on, "client", "200", &good);
        client(&site, &format!("{on}\nSSLOCSPUseRequestNonce off"), "client", "200", &good);
        client(&site, "SSLOCSPEnable leaf", "client", "200", &good);
        client(&site, "SSLOCSPEnable off", "client", "200", &[]);
        // An authority's own certificate has nobody above it.
        client(&site, on, "ca", "200", &[]);
        let none = "AH01918: no OCSP responder specified in certificate and no default configured";
        client(&site, on, "bare", "000", &[none, UNSURE]);
        client(&site, "SSLOCSPEnable on no_ocsp_for_cert_ok", "bare", "200", &[]);
        client(&site, on, "odd", "000", &["AH01920: cannot handle OCSP responder URI 'https://127.0.0.1:", UNSURE]);
        let default = format!("{on}\nSSLOCSPDefaultResponder http://127.0.0.1:{port}");
        client(&site, &default, "bare", "200", &["status: good (0, -1) [subject: CN=bare / "]);
        client(&site, &format!("{default}\nSSLOCSPOverrideResponder on"), "odd", "200", &["certificate status: good"]);
        client(&site, &format!("{on}\nSSLOCSPOverrideResponder on"), "client", "000", &[none, UNSURE]);
        // The authority between is asked about first, and the responder has not heard of it.
        let unknown = "AH03239: OCSP validation completed, certificate status: unknown (2, -1) [subject: CN=middle / ";
        client(&site, on, "deep", "000", &[unknown, UNSURE]);
        let no_ca = "AH02038: cannot perform OCSP validation for cert if issuer has not been verified (optional_no_ca \
                     configured)";
        client(&site, &format!("{on}\nSSLVerifyClient optional_no_ca"), "other", "000", &[no_ca, UNSURE]);
    }
    {
        let _responder = Responder::signing(&site, port, "R", "ca");
        let revoked = [
            "AH03239: OCSP validation completed, certificate status: revoked (1, -1) [subject: CN=client / ",
            "AH02276: Certificate Verification: Error (23): certificate revoked [subject: CN=client / ",
        ];
        client(&site, on, "client", "000", &revoked);
        client(&site, "SSLOCSPEnable leaf no_ocsp_for_cert_ok", "client", "000", &revoked);
        client(&site, &format!("{on}\nSSLOCSPNoVerify on"), "client", "000", &revoked);
    }
    let line = format!("AH01974: could not connect to OCSP responder '127.0.0.1:{port}'");
    client(&site, on, "client", "000", &[&line, "(111)Connection refused: ", UNSURE]);
    let proxied = format!("{on}\nSSLOCSPProxyURL http://127.0.0.1:{port}/");
    let line = format!("AH01974: could not connect to proxy '127.0.0.1:{port}'");
    client(&site, &proxied, "client", "000", &[&line, UNSURE]);
}

#[test]
fn only_the_right_signers_are_believed() {
    if !tools("only_the_right_signers_are_believed") {
        return;
    }
    let port = free_port();
    let site = site("tls-ocsp-signers", port);
    let on = "SSLOCSPEnable on";
    let failed = "AH01925: failed to verify the OCSP response";
    let good = "AH03239: OCSP validation completed, certificate status: good (0, -1)";
    {
        let _responder = Responder::signing(&site, port, "V", "signer");
        client(&site, on, "client", "200", &[good]);
    }
    {
        let _responder = Responder::signing(&site, port, "V", "other");
        let why = "error:13800065:OCSP routines::certificate verify error (Verify error: self-signed certificate)";
        client(&site, on, "client", "000", &[failed, why, UNSURE]);
        client(&site, &format!("{on}\nSSLOCSPNoVerify on"), "client", "200", &[good]);
        client(&site, &format!("{on}\nSSLOCSPResponderCertificateFile certs/other.pem"), "client", "200", &[good]);
        let others = format!("{on}\nSSLOCSPResponderCertificateFile certs/signer.pem");
        client(&site, &others, "client", "000", &[failed, UNSURE]);
    }
    {
        let _responder = Responder::signing(&site, port, "V", "client");
        client(&site, on, "client", "000", &[failed, "OCSP routines::missing ocspsigning usage", UNSURE]);
    }
    // The authority of another authority's clients.
    let _responder = Responder::signing(&site, port, "V", "ca");
    client(&site, "SSLOCSPEnable leaf", "deep", "000", &[failed, "OCSP routines::root ca not trusted", UNSURE]);
}

/// What a responder sends back, whatever it is asked, and the last question.
struct Canned {
    answer: Arc<Mutex<Vec<u8>>>,
    asked: Arc<Mutex<Vec<u8>>>,
}

impl Canned {
    fn new(port: u16) -> Self {
        let (answer, asked) = (Arc::<Mutex<Vec<u8>>>::default(), Arc::<Mutex<Vec<u8>>>::default());
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let (says, hears) = (answer.clone(), asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut all = Vec::new();
                let whole = |all: &[u8]| {
                    let text = String::from_utf8_lossy(all).into_owned();
                    let length = text.split("Content-Length: ").nth(1)?.split("\r\n").next()?.parse::<usize>().ok()?;
                    let head = all.windows(4).position(|four| four == b"\r\n\r\n")?;
                    (all.len() >= head + 4 + length).then_some(())
                };
                let mut buf = [0; 4096];
                while whole(&all).is_none() {
                    match stream.read(&mut buf) {
                        Ok(n @ 1..) => all.extend_from_slice(&buf[..n]),
                        _ => break,
                    }
                }
                *hears.lock().unwrap() = all;
                let answer = says.lock().unwrap().clone();
                if answer == b"silence" {
                    // Until the other side has enough of it.
                    let _ = stream.read(&mut buf);
                } else {
                    let _ = stream.write_all(&answer);
                }
            }
        });
        Self { answer, asked }
    }

    fn say(&self, head: &str, body: &[u8]) {
        *self.answer.lock().unwrap() = [head.as_bytes(), body].concat();
    }
}

#[test]
fn answers_that_are_none() {
    if !tools("answers_that_are_none") {
        return;
    }
    let port = free_port();
    let site = site("tls-ocsp-answers", port);
    let dir = site.path("certs");
    site.write("certs/index", "V\t301225210158Z\t\t1234\tunknown\t/CN=client\n");
    let respond = |args: &str, file: &str| {
        let usual = "-index index -CA ca.pem -rsigner ca.pem -rkey ca.key -issuer ca.pem";
        let args = format!("ocsp {usual} {args} -no_nonce -respout {file}");
        openssl(&dir, &args.split(' ').collect::<Vec<_>>());
        std::fs::read(dir.join(file)).unwrap()
    };
    let good = respond("-cert client.pem -ndays 1", "good");
    let other = respond("-serial 0x9999 -ndays 1", "other");
    let canned = Canned::new(port);
    let plain = "SSLOCSPEnable on\nSSLOCSPUseRequestNonce off";
    let ok = "HTTP/1.0 200 OK\r\nContent-Type: application/ocsp-response\r\n\r\n";
    canned.say(ok, &good);
    client(&site, plain, "client", "200", &["certificate status: good (0, -1)"]);
    let asked = canned.asked.lock().unwrap().clone();
    let head = format!(
        "POST /ocsp HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/ocsp-request\r\n\
         Connection: close\r\nContent-Length: 69\r\n\r\n"
    );
    assert!(asked.starts_with(head.as_bytes()), "{}", String::from_utf8_lossy(&asked));
    // The answer to another question.
    client(&site, "SSLOCSPEnable on", "client", "000", &["AH01924: Bad OCSP responder answer (bad nonce)", UNSURE]);
    let proxied =
        format!("{plain}\nSSLOCSPProxyURL http://127.0.0.1:{port}/zz\nSSLOCSPDefaultResponder http://nowhere.test/x?y");
    client(&site, &proxied, "bare", "200", &["certificate status: good (0, -1)"]);
    let asked = canned.asked.lock().unwrap().clone();
    let head = "POST http://nowhere.test:80/x?y HTTP/1.0\r\nHost: nowhere.test:80\r\n";
    assert!(asked.starts_with(head.as_bytes()), "{}", String::from_utf8_lossy(&asked));
    let bad = "AH01980: bad response from OCSP server: ";
    let decode = "AH01988: failed to decode OCSP response data";
    for (head, body, line) in [
        (ok, &[0x30, 3, 0x0a, 1, 3][..], "AH01922: OCSP response not successful: 3"),
        (ok, &other, "AH02272: failed to retrieve OCSP response status [subject: CN=client / "),
        (ok, &good[..100], decode),
        (ok, b"abcde", decode),
        ("HTTP/1.0 404 Not Found\r\n\r\n", b"", &format!("{bad}404 Not Found")),
        ("garbage\r\n\r\n", b"", bad),
        ("", b"", "AH02321: empty response from OCSP server"),
    ] {
        canned.say(head, body);
        client(&site, plain, "client", "000", &[line, UNSURE]);
    }
    // A whole one whose signature has been bent.
    let mut bent = good.clone();
    let at = bent.windows(4).position(|four| four == b"Lab ").unwrap() + 60;
    bent[at] ^= 1;
    canned.say(ok, &bent);
    client(&site, plain, "client", "000", &[UNSURE]);
    canned.say("silence", b"");
    let late = format!("{plain}\nSSLOCSPResponderTimeout 1");
    let line = "(70007)The timeout specified has expired: ";
    client(&site, &late, "client", "000", &[line, "AH01977: failed reading line from OCSP server", UNSURE]);
    // It was made a while ago.
    canned.say(ok, &good);
    let old = format!("{plain}\nSSLOCSPResponseMaxAge 0\nSSLOCSPResponseTimeSkew 0");
    let lines = ["AH02273: OCSP response outside validity period [subject: CN=client / ", "status too old", UNSURE];
    client(&site, &old, "client", "000", &lines);
}

#[test]
fn who_cannot_be_read_is_not_trusted() {
    if !tools("who_cannot_be_read_is_not_trusted") {
        return;
    }
    let port = free_port();
    let site = site("tls-ocsp-trusted", port);
    let _responder = Responder::signing(&site, port, "V", "other");
    let body = "SSLOCSPEnable on\nSSLOCSPResponderCertificateFile conf/httpd.conf";
    client(&site, body, "client", "000", &["AH01925: failed to verify the OCSP response", UNSURE]);
    let said = site.read("logs/console") + &site.read("logs/error_log");
    assert!(said.contains("Unable to configure OCSP Trusted Certificates"), "{said}");
}

//! What is stapled to certificates: the responder is OpenSSL's.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use super::super::support::{PATIENCE, Server, Site, free_port, wait_for};
use super::{MODULES, authority, handshake, openssl, tools};

/// A responder; it ends with its value.
pub(super) struct Responder(Child);

impl Responder {
    fn new(site: &Site, port: u16, state: &str) -> Self {
        Self::signing(site, port, state, "ca")
    }

    /// One whose signer is `certs/SIGNER.pem`.
    pub(super) fn signing(site: &Site, port: u16, state: &str, signer: &str) -> Self {
        site.write("certs/index", format!("{state}\t301225210158Z\t{}\t1234\tunknown\t/CN=a.test\n", revoked(state)));
        let [cert, key] = ["pem", "key"].map(|end| format!("{signer}.{end}"));
        let args = ["-CA", "ca.pem", "-rsigner", &cert, "-rkey", &key, "-index", "index", "-ndays", "1"];
        let mut child = Command::new("openssl")
            .args(["ocsp", "-ignore_err", "-port", &port.to_string()])
            .args(args)
            .current_dir(site.path("certs"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It would wait for ever for the question of a connection that only looks whether it is there.
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("waiting for OCSP client connections") {
            line.clear();
            assert_ne!(said.read_line(&mut line).unwrap(), 0, "the responder has ended");
        }
        child.stderr = Some(said.into_inner());
        Self(child)
    }
}

fn revoked(state: &str) -> &str {
    if state == "R" { "251101000000Z" } else { "" }
}

impl Drop for Responder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A site whose certificate names this responder.
fn site(name: &str, port: u16) -> Site {
    let site = Site::new(name);
    authority(&site);
    let dir = site.path("certs");
    let run = |args: &str| openssl(&dir, &args.split(' ').collect::<Vec<_>>());
    run("ecparam -name prime256v1 -genkey -noout -out a.key");
    run("req -new -key a.key -out a.csr -subj /CN=a.test");
    for (name, uri) in
        [("a", format!("\nauthorityInfoAccess=OCSP;URI:http://127.0.0.1:{port}/ocsp")), ("b", String::new())]
    {
        site.write("certs/ext", format!("subjectAltName=DNS:a.test{uri}\n"));
        run(&format!(
            "x509 -req -in a.csr -out {name}.pem -CA ca.pem -CAkey ca.key -days 5 -set_serial 4660 -extfile ext"
        ));
        site.write(&format!("certs/{name}.pem"), site.read(&format!("certs/{name}.pem")) + &site.read("certs/ca.pem"));
    }
    site
}

fn conf(site: &Site, cert: &str, more: &str) {
    site.httpd_conf(
        MODULES,
        &format!(
            "LogLevel ssl:info\nSSLStaplingCache shmcb:logs/staples(64000)\nServerName a.test\nSSLEngine on\n\
             SSLCertificateFile certs/{cert}.pem\nSSLCertificateKeyFile certs/a.key\nSSLUseStapling on\n{more}\n"
        ),
    );
}

/// Waits until this is what a handshake says of OCSP.
fn stapled(server: &Server<'_>, want: &str) {
    wait_for(want, PATIENCE, || handshake(server, &["-status"]).contains(want).then_some(()));
}

#[test]
fn what_a_responder_says_goes_out_with_the_certificate() {
    if !tools("what_a_responder_says_goes_out_with_the_certificate") {
        return;
    }
    let port = free_port();
    let site = site("tls-staples", port);
    {
        let _responder = Responder::new(&site, port, "V");
        conf(&site, "a", "");
        let server = site.start();
        stapled(&server, "Cert Status: good");
        let said = handshake(&server, &["-status", "-CAfile", site.path("certs/ca.pem").to_str().unwrap()]);
        assert!(
            said.contains("OCSP Response Status: successful (0x0)") && said.contains("Verify return code: 0"),
            "{said}"
        );
        drop(server);
        conf(&site, "b", &format!("SSLStaplingForceURL http://127.0.0.1:{port}/"));
        stapled(&site.start(), "Cert Status: good");
    }
    {
        let _responder = Responder::new(&site, port, "R");
        conf(&site, "a", "");
        let server = site.start();
        stapled(&server, "Cert Status: revoked");
        server.log("logs/error_log", |text| {
            text.contains("AH02969: stapling_check_response: response has certificate status revoked (reason: ")
        });
        drop(server);
        conf(&site, "a", "SSLStaplingReturnResponderErrors off");
        // That is what the responder has to say, and no error.
        stapled(&site.start(), "Cert Status: revoked");
    }
    for (more, want) in [
        ("", "OCSP Response Status: trylater (0x3)"),
        ("SSLStaplingFakeTryLater off", "OCSP response: no response sent"),
    ] {
        conf(&site, "a", more);
        let server = site.start();
        stapled(&server, want);
        let line = format!("AH01974: could not connect to OCSP responder '127.0.0.1:{port}'");
        server.log("logs/error_log", |text| {
            text.contains(&line) && text.contains("AH01941: stapling_renew_response: responder error")
        });
    }
}

#[test]
fn certificates_that_nothing_can_be_stapled_to() {
    if !tools("certificates_that_nothing_can_be_stapled_to") {
        return;
    }
    let site = site("tls-unstapled", free_port());
    site.write("certs/c.pem", site.read("certs/b.pem").split_inclusive("-----END CERTIFICATE-----\n").next().unwrap());
    for (cert, line) in [
        (
            "b",
            "AH02218: ssl_stapling_init_cert: no OCSP URI in certificate and no SSLStaplingForceURL set [subject: CN=a.test / ",
        ),
        ("c", "AH02217: ssl_stapling_init_cert: can't retrieve issuer certificate! [subject: CN=a.test / issuer: "),
    ] {
        conf(&site, cert, "");
        let server = site.start();
        stapled(&server, "OCSP response: no response sent");
        for line in [line, "AH02604: Unable to configure certificate a.test:443:0 for stapling"] {
            server.log("logs/error_log", |text| text.contains(line));
        }
    }
    site.httpd_conf(
        MODULES,
        "SSLEngine on\nSSLCertificateFile certs/a.pem\nSSLCertificateKeyFile certs/a.key\nSSLUseStapling on",
    );
    let verdict = site.run(&["-DFOREGROUND"]);
    let said = verdict.stderr + &site.read("logs/error_log");
    assert_eq!(verdict.code, Some(1));
    assert!(said.contains("AH01958: SSLStapling: no stapling cache available"), "{said}");
}

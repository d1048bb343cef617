//! Keys under a pass phrase, and keys of tickets.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use super::super::support::{PATIENCE, Site, program, real_httpd, skip, wait_for, which};
use super::clients::session;
use super::{MODULES, authority, certificate, curl, handshake, openssl, tools};

/// `PATH.key` as other files, under the pass phrase `secret`.
fn seal(site: &Site, name: &str) {
    let dir = site.path("certs");
    let key = format!("{name}.key");
    let run = |args: &str| openssl(&dir, &args.split(' ').collect::<Vec<_>>());
    let with = "-passout pass:secret";
    run(&format!("pkey -in {key} -aes256 -traditional {with} -out {name}-aes.key"));
    run(&format!("pkey -in {key} -des3 -traditional {with} -out {name}-des3.key"));
    run(&format!("pkcs8 -topk8 -in {key} {with} -out {name}-p8.key"));
    run(&format!("pkcs8 -topk8 -in {key} {with} -scrypt -out {name}-scrypt.key"));
}

/// A program in the site.
fn script(site: &Site, name: &str, text: &str) {
    site.write(name, text);
    std::fs::set_permissions(site.path(name), std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn site(name: &str) -> Site {
    let site = Site::new(name);
    authority(&site);
    certificate(&site, "a", "rsa", "/CN=a.test", "DNS:a.test");
    certificate(&site, "b", "ec", "/CN=a.test", "DNS:a.test");
    seal(&site, "a");
    seal(&site, "b");
    let asked = site.path("asked").display().to_string();
    script(&site, "ask", &format!("#!/bin/sh\necho \"$@\" >> {asked}\necho secret\n"));
    script(&site, "wrong", "#!/bin/sh\necho Secret\n");
    script(
        &site,
        "talk",
        &format!(
            "#!/bin/sh\nexec 3>>{asked}\ntee -a {asked} | while read -r line; do case $line in Private*) echo secret;; esac; done\n"
        ),
    );
    site
}

fn conf(dialog: &str, keys: &[(&str, &str)]) -> String {
    let mut conf = format!("LogLevel ssl:info\n{dialog}\nServerName a.test\nSSLEngine on\n");
    for (cert, key) in keys {
        conf += &format!("SSLCertificateFile certs/{cert}.pem\nSSLCertificateKeyFile certs/{key}.key\n");
    }
    conf
}

#[test]
fn a_program_tells_the_pass_phrases() {
    if !tools("a_program_tells_the_pass_phrases") {
        return;
    }
    let site = site("tls-phrases");
    for key in ["a-aes", "a-des3", "a-p8", "b-aes", "b-des3", "b-p8", "b-scrypt"] {
        let cert = key.split('-').next().unwrap();
        site.write("asked", "");
        site.httpd_conf(MODULES, &conf("SSLPassPhraseDialog exec:ask", &[(cert, key)]));
        let server = site.start();
        assert_eq!(curl(&server, "https://a.test/index.html", &[]).text, "it works\n", "{key}");
        assert_eq!(site.read("asked"), "a.test:443 RSA\n", "{key}");
    }
    // One phrase is tried with all keys before anybody is asked again; and nobody is, at a reload.
    site.write("asked", "");
    site.httpd_conf(MODULES, &conf("SSLPassPhraseDialog exec:ask", &[("a", "a-p8"), ("b", "b-aes")]));
    std::fs::remove_file(site.path("logs/error_log")).unwrap();
    let server = site.start();
    server.log("asked", |text| text == "a.test:443 RSA\n");
    server.log("logs/error_log", |text| text.contains("resuming normal operations"));
    server.signal(Signal::SIGUSR1);
    server.log("logs/error_log", |text| text.matches("resuming normal operations").count() == 2);
    let path = site.path("certs/b-aes.key").display().to_string();
    server.log("logs/error_log", |text| {
        text.contains(&format!("AH02575: Reusing existing private key from {path} on restart"))
    });
    assert_eq!(curl(&server, "https://a.test/index.html", &[]).text, "it works\n");
    assert_eq!(site.read("asked"), "a.test:443 RSA\n");
    drop(server);
    site.httpd_conf(MODULES, &conf("SSLPassPhraseDialog exec:wrong", &[("a", "a-p8")]));
    let verdict = site.run(&["-DFOREGROUND"]);
    assert_eq!(verdict.code, Some(1));
    let said = verdict.stderr + &site.read("logs/error_log");
    let key = site.path("certs/a-p8.key").display().to_string();
    for line in [
        "AH02580: Init: Pass phrase incorrect for key a.test:443:0",
        &format!("AH02564: Failed to configure encrypted (?) private key a.test:443:0, check {key}"),
        "AH00016: Configuration Failed",
    ] {
        assert!(said.contains(line), "{line} is not in {said}");
    }
}

#[test]
fn a_program_is_asked_like_a_person() {
    if !tools("a_program_is_asked_like_a_person") {
        return;
    }
    let site = site("tls-talk");
    let talk = site.path("talk").display().to_string();
    site.httpd_conf(MODULES, &conf(&format!("SSLPassPhraseDialog |{talk}"), &[("a", "a-p8"), ("b", "b-aes")]));
    let server = site.start();
    assert_eq!(curl(&server, "https://a.test/index.html", &[]).text, "it works\n");
    let key = site.path("certs/a-p8.key").display().to_string();
    let asked = format!(
        "Apache/2.4.71 mod_ssl (Pass Phrase Dialog)\nSome of your private key files are encrypted for security \
         reasons.\nIn order to read them you have to provide the pass phrases.\n\nPrivate key a.test:443:0 \
         ({key})\nEnter pass phrase:\n\nOK: Pass Phrase Dialog successful.\n"
    );
    server.log("asked", |text| text == asked);
}

#[test]
fn a_person_is_asked_at_the_terminal() {
    if !tools("a_person_is_asked_at_the_terminal") {
        return;
    }
    if real_httpd() {
        // It would be gone with its terminal, which `script` closes.
        return;
    }
    if which("script").is_none() {
        return skip("a_person_is_asked_at_the_terminal", "script");
    }
    let site = site("tls-terminal");
    site.httpd_conf(MODULES, &conf("SSLPassPhraseDialog builtin", &[("a", "a-p8")]));
    let root = site.root().display().to_string();
    // In the background: the terminal is left once that is over.
    let command = format!("{} -d {root} -f conf/httpd.conf -k start", program().display());
    let mut child = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut typing = child.stdin.take().unwrap();
    let mut shown = child.stdout.take().unwrap();
    let reading = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut all, mut some) = (String::new(), [0; 1024]);
        let mut told = 0;
        while let Ok(n @ 1..) = shown.read(&mut some) {
            all += &String::from_utf8_lossy(&some[..n]);
            // A wrong one first.
            while all.matches("Enter pass phrase:").count() > told {
                let answer: &[u8] = if told == 0 { b"wrong\n" } else { b"secret\n" };
                told += 1;
                typing.write_all(answer).unwrap();
            }
        }
        all
    });
    wait_for("the pid file", PATIENCE, || site.path("logs/httpd.pid").exists().then_some(()));
    wait_for("an answer", PATIENCE, || std::net::TcpStream::connect(("127.0.0.1", site.port)).ok());
    let status = child.wait().unwrap();
    let all = reading.join().unwrap();
    let pid: i32 = site.read("logs/httpd.pid").trim().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGTERM).unwrap();
    wait_for("the end", PATIENCE, || (!site.path("logs/httpd.pid").exists()).then_some(()));
    assert!(status.success(), "{all}");
    assert!(!all.contains("secret"), "{all}");
    for line in [
        "Apache/2.4.71 mod_ssl (Pass Phrase Dialog)",
        "Apache:mod_ssl:Error: Pass phrase incorrect (5 more retries permitted).",
        "OK: Pass Phrase Dialog successful.",
    ] {
        assert!(all.contains(line), "{line} is not in {all}");
    }
}

#[test]
fn tickets_under_a_key_of_a_file_outlive_the_server() {
    if !tools("tickets_under_a_key_of_a_file_outlive_the_server") {
        return;
    }
    let site = Site::new("tls-tickets");
    authority(&site);
    certificate(&site, "a", "ec", "/CN=a.test", "DNS:a.test");
    site.write("certs/one", (0..48).collect::<Vec<u8>>());
    site.write("certs/two", (48..96).collect::<Vec<u8>>());
    site.write("certs/short", [0; 47]);
    let with = |key: &str| conf("SSLSessionCache none", &[("a", "a")]) + key;
    let kept = site.path("session").display().to_string();
    let ask = |key: &str, version: &str, more: [&str; 2]| {
        site.httpd_conf(MODULES, &with(key));
        let server = site.start();
        session(&server, &[&["-servername", "a.test", version, "-ign_eof"][..], &more].concat())
    };
    for version in ["-tls1_2", "-tls1_3"] {
        for (first, second, want) in [
            ("SSLSessionTicketKeyFile certs/one", "SSLSessionTicketKeyFile certs/one", "Reused, "),
            ("SSLSessionTicketKeyFile certs/one", "SSLSessionTicketKeyFile certs/two", "New, "),
            ("", "", "New, "),
            ("SSLSessionTicketKeyFile certs/one", "SSLSessionTicketKeyFile certs/one\nSSLSessionTickets off", "New, "),
        ] {
            assert!(ask(first, version, ["-sess_out", &kept]).contains("New, TLSv1"));
            let said = ask(second, version, ["-sess_in", &kept]);
            assert!(said.contains(want), "{version}: {first}, then {second}: {said}");
        }
    }
    // A session has its time.
    site.httpd_conf(MODULES, &with("SSLSessionCacheTimeout 1"));
    let server = site.start();
    let ask =
        |more: [&str; 2]| session(&server, &[&["-servername", "a.test", "-tls1_2", "-ign_eof"][..], &more].concat());
    ask(["-sess_out", &kept]);
    wait_for("the session's end", PATIENCE, || ask(["-sess_in", &kept]).contains("New, ").then_some(()));
    drop(server);
    site.httpd_conf(MODULES, &with("SSLSessionTicketKeyFile certs/short"));
    let verdict = site.run(&["-DFOREGROUND"]);
    assert_eq!(verdict.code, Some(1));
    let said = verdict.stderr + &site.read("logs/error_log");
    let path = site.path("certs/short").display().to_string();
    let line = format!("AH02287: Failed to read 48 bytes from {path}: (70014) End of file found");
    assert!(said.contains(&line), "{said}");
}

#[test]
fn commands_of_openssl_are_obeyed_or_stop_the_start() {
    if !tools("commands_of_openssl_are_obeyed_or_stop_the_start") {
        return;
    }
    let site = Site::new("tls-commands");
    authority(&site);
    certificate(&site, "a", "ec", "/CN=a.test", "DNS:a.test");
    let with = |command: &str| conf("SSLSessionCache none", &[("a", "a")]) + "SSLOpenSSLConfCmd " + command;
    for (command, more, want) in [
        ("Curves P-384", &[][..], "Server Temp Key: ECDH, secp384r1, 384 bits"),
        ("Groups prime256v1:X25519", &["-groups", "P-256"], "Server Temp Key: ECDH, prime256v1, 256 bits"),
        ("MaxProtocol TLSv1.2", &[], "New, TLSv1.2, "),
        ("Protocol -ALL,TLSv1.3", &["-tls1_2"], "Cipher is (NONE)"),
        ("CipherString ECDHE-ECDSA-AES128-GCM-SHA256", &["-tls1_2"], "Cipher is ECDHE-ECDSA-AES128-GCM-SHA256"),
        ("Ciphersuites TLS_CHACHA20_POLY1305_SHA256", &[], "Cipher is TLS_CHACHA20_POLY1305_SHA256"),
        ("Options -SessionTicket", &["-tls1_2"], "New, TLSv1.2, "),
    ] {
        site.httpd_conf(MODULES, &with(command));
        let said = handshake(&site.start(), more);
        assert!(said.contains(want), "{command}: {said}");
    }
    for command in ["Curves bogus", "MinProtocol bogus", "Options bogus"] {
        site.httpd_conf(MODULES, &with(command));
        let verdict = site.run(&["-DFOREGROUND"]);
        let said = verdict.stderr + &site.read("logs/error_log");
        let line = format!("AH02407: \"SSLOpenSSLConfCmd {command}\" failed for a.test:443");
        assert!(verdict.code == Some(1) && said.contains(&line), "{command}: {said}");
    }
}

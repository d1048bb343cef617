//! Connectors that speak TLS and HTTP/2, asked by curl and openssl. What is expected was seen on Tomcat 10.1.

use std::fs;
use std::process::{Command, Stdio};

use super::Base;
use crate::support::{skip, wait_for, which};

const LOG: &str = "<Valve className='org.apache.catalina.valves.AccessLogValve' prefix='tls' suffix='.log' rotatable='false' buffered='false'
    pattern='\"%r\" %H %s %b %v %{jakarta.servlet.request.cipher_suite}r %{org.apache.tomcat.util.net.secure_protocol_version}r'/>";
const HTTP2: &str = "<UpgradeProtocol className='org.apache.coyote.http2.Http2Protocol'/>";

fn tools(test: &str) -> bool {
    let missing = ["openssl", "curl"].into_iter().find(|program| which(program).is_none());
    missing.is_none_or(|program| {
        skip(test, program);
        false
    })
}

impl Base {
    fn openssl(&self, line: &str) {
        let mut command = Command::new("openssl");
        let done =
            command.args(line.split(' ')).current_dir(self.dir.path().join("conf")).stdin(Stdio::null()).output();
        let done = done.unwrap();
        assert!(done.status.success(), "openssl {line}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// An authority, `NAME.pem` and `NAME.key` of two hosts and a client, and a keystore with the first of them.
    fn certificates(&self) {
        self.openssl("ecparam -name prime256v1 -genkey -noout -out ca.key");
        self.openssl("req -x509 -key ca.key -out ca.pem -days 9 -subj /CN=Lab");
        for name in ["localhost", "b.example.com", "client"] {
            self.openssl(&format!("ecparam -name prime256v1 -genkey -noout -out {name}.key"));
            self.openssl(&format!("req -new -key {name}.key -out {name}.csr -subj /CN={name}"));
            self.write(&format!("conf/{name}.ext"), &format!("subjectAltName=DNS:{name}\n"));
            self.openssl(&format!(
                "x509 -req -in {name}.csr -out {name}.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 5 -extfile {name}.ext"
            ));
        }
        self.openssl(
            "pkcs12 -export -in localhost.pem -inkey localhost.key -out keys.p12 -name Node -passout pass:changeit",
        );
        self.openssl("pkcs12 -export -nokeys -in ca.pem -out old.p12 -passout pass:changeit");
        self.openssl("ec -in localhost.key -aes256 -passout pass:psst -out secret.key");
    }

    /// What curl shows of a request, its date apart; `NAME:PORT` is this machine for every name.
    fn curl(&self, port: u16, words: &str) -> String {
        let to = format!("::127.0.0.1:{port}");
        let ca = self.dir.path().join("conf/ca.pem");
        let mut command = Command::new("curl");
        command.args(["-s", "-i", "--max-time", "30", "--connect-to", &to, "--cacert"]).arg(ca);
        let done = command.args(words.split(' ')).current_dir(self.dir.path()).output().unwrap();
        let text = String::from_utf8_lossy(&done.stdout).replace('\r', "");
        let lines = text.lines().filter(|line| !line.to_ascii_lowercase().starts_with("date: "));
        let shown: Vec<&str> = lines.collect();
        format!("{}\nexit {}", shown.join("\n"), done.status.code().unwrap_or(-1))
    }

    fn tls_log(&self, lines: usize) -> String {
        wait_for("the log", crate::support::PATIENCE, || {
            let text = fs::read_to_string(self.dir.path().join("logs/tls.log")).unwrap_or_default();
            (text.lines().count() >= lines).then_some(text)
        })
    }
}

#[test]
fn hosts_have_certificates_of_their_own() {
    if !tools("hosts_have_certificates_of_their_own") {
        return;
    }
    let base = Base::new();
    base.certificates();
    let port = crate::support::free_port();
    let connector = format!(
        "<Connector port='{port}' address='127.0.0.1' SSLEnabled='true' server='n'>{HTTP2}
         <SSLHostConfig caCertificateFile='conf/ca.pem' certificateVerification='optional'>
          <Certificate certificateFile='conf/localhost.pem' certificateKeyFile='conf/secret.key' certificateKeyPassword='psst' certificateChainFile='conf/ca.pem'/></SSLHostConfig>
         <SSLHostConfig hostName='*.example.com' protocols='TLSv1.2' ciphers='ECDHE-ECDSA-AES128-GCM-SHA256'>
          <Certificate certificateFile='conf/b.example.com.pem' certificateKeyFile='conf/b.example.com.key'/></SSLHostConfig></Connector>"
    );
    base.write("conf/server.xml", &base.server(&connector, LOG));
    base.write("webapps/ROOT/a.txt", "hello\n");
    let _running = base.start();
    let log = base.log();
    for line in [
        format!(
            "The [\"https-jsse-nio-127.0.0.1-{port}\"] connector has been configured to support negotiation to [h2] via ALPN"
        ),
        "TLS virtual host [*.example.com], certificate type [UNDEFINED] configured from key [".to_owned(),
    ] {
        assert!(log.contains(&line), "{log}");
    }
    let get = |words: &str| base.curl(port, words);
    let first = get("--http2 https://localhost/a.txt");
    assert!(
        first.starts_with("HTTP/2 200 \nserver: n\n") && first.contains("\ncontent-length: 6\n\nhello\n"),
        "{first}"
    );
    assert!(!first.contains("connection"), "{first}");
    let old = get("--http1.1 https://localhost/a.txt");
    assert!(old.starts_with("HTTP/1.1 200 \nServer: n\n"), "{old}");
    let other = get("--http2 https://b.example.com/a.txt");
    assert!(other.starts_with("HTTP/2 200 "), "{other}");
    assert!(get("--tlsv1.3 https://b.example.com/a.txt").ends_with("exit 35"));
    // The name at the connection's begin and that of the request are of different elements.
    let mismatch = get("--http1.1 -H Host:b.example.com https://localhost/a.txt");
    assert!(mismatch.starts_with("HTTP/1.1 400 \n"), "{mismatch}");
    assert!(get("--http2 -H Host:b.example.com https://localhost/a.txt").ends_with("exit 92"));
    assert!(get("--http2 -H Host:c.example.com https://b.example.com/a.txt").starts_with("HTTP/2 200 "));
    let shown = get("--http2 --cert conf/client.pem --key conf/client.key https://localhost/a.txt");
    assert!(shown.starts_with("HTTP/2 200 "), "{shown}");
    let plain = get(&format!("http://localhost:{port}/a.txt"));
    let said = "HTTP/1.1 400 \nContent-Type: text/plain;charset=UTF-8\nConnection: close\n\nBad Request\nThis combination of host and port requires TLS.\nexit 0";
    assert_eq!(plain, said);
    let log = base.tls_log(6);
    let mut lines = log.lines();
    assert_eq!(lines.next(), Some("\"GET /a.txt HTTP/2.0\" HTTP/2.0 200 6 localhost TLS_AES_256_GCM_SHA384 TLSv1.3"));
    assert_eq!(lines.next(), Some("\"GET /a.txt HTTP/1.1\" HTTP/1.1 200 6 localhost TLS_AES_256_GCM_SHA384 TLSv1.3"));
    let want = "\"GET /a.txt HTTP/2.0\" HTTP/2.0 200 6 b.example.com TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 TLSv1.2";
    assert_eq!(lines.next(), Some(want));
}

#[test]
fn clients_have_to_show_a_certificate() {
    if !tools("clients_have_to_show_a_certificate") {
        return;
    }
    let base = Base::new();
    base.certificates();
    let port = crate::support::free_port();
    let connector = format!(
        "<Connector port='{port}' address='127.0.0.1' SSLEnabled='true'>
         <SSLHostConfig caCertificateFile='conf/ca.pem' certificateVerification='required'>
          <Certificate certificateKeystoreFile='conf/keys.p12' certificateKeyAlias='node'/></SSLHostConfig></Connector>"
    );
    base.write("conf/server.xml", &base.server(&connector, ""));
    base.write("webapps/ROOT/a.txt", "hello\n");
    let _running = base.start();
    let store = base.dir.path().join("conf/keys.p12");
    let line = format!("configured from keystore [{}] using alias [node] with trust store [", store.display());
    assert!(base.log().contains(&line), "{}", base.log());
    let none = base.curl(port, "https://localhost/a.txt");
    assert!(none.starts_with("\nexit "), "{none}");
    // Without HTTP/2 in the file there is none.
    let shown = base.curl(port, "--http2 --cert conf/client.pem --key conf/client.key https://localhost/a.txt");
    assert!(shown.starts_with("HTTP/1.1 200 \n"), "{shown}");
    base.openssl("req -x509 -key client.key -out self.pem -days 9 -subj /CN=client");
    let stranger = base.curl(port, "--cert conf/self.pem --key conf/client.key https://localhost/a.txt");
    assert!(stranger.starts_with("\nexit "), "{stranger}");
}

/// Keystores of Java's own older kind, one with the key, one with whom it trusts.
#[test]
fn jks_keystores_are_read() {
    if !tools("jks_keystores_are_read") {
        return;
    }
    if which("keytool").is_none() {
        return skip("jks_keystores_are_read", "keytool");
    }
    let base = Base::new();
    base.certificates();
    let keytool = |line: &str| {
        let mut command = Command::new("keytool");
        let done = command.args(line.split(' ')).current_dir(base.dir.path().join("conf")).output().unwrap();
        assert!(done.status.success(), "keytool {line}: {}", String::from_utf8_lossy(&done.stdout));
    };
    keytool(
        "-importkeystore -srckeystore keys.p12 -srcstorepass changeit -destkeystore own.jks -deststoretype JKS \
         -deststorepass outside -destkeypass within -srcalias node -destalias Mine",
    );
    keytool("-importcert -noprompt -file ca.pem -alias lab -keystore trust.jks -storetype JKS -storepass outside");
    let port = crate::support::free_port();
    let connector = |key_password: &str| {
        format!(
            "<Connector port='{port}' address='127.0.0.1' SSLEnabled='true'>
             <SSLHostConfig truststoreFile='conf/trust.jks' truststorePassword='outside' certificateVerification='required'>
              <Certificate certificateKeystoreFile='conf/own.jks' certificateKeystorePassword='outside'
               certificateKeyPassword='{key_password}'/></SSLHostConfig></Connector>"
        )
    };
    base.write("conf/server.xml", &base.server(&connector("wrong"), ""));
    let refused = base.run(&["run"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("own.jks: Cannot recover key"), "{said}");
    base.write("conf/server.xml", &base.server(&connector("within"), ""));
    base.write("webapps/ROOT/a.txt", "hello\n");
    let _running = base.start();
    assert!(base.log().contains("own.jks] using alias [mine] with trust store ["), "{}", base.log());
    let none = base.curl(port, "https://localhost/a.txt");
    assert!(none.starts_with("\nexit "), "{none}");
    let shown = base.curl(port, "--cert conf/client.pem --key conf/client.key https://localhost/a.txt");
    assert!(shown.starts_with("HTTP/1.1 200 \n"), "{shown}");
}

/// HTTP/2 without TLS: by a client that knows, and by an upgrade, whose request becomes the first stream.
#[test]
fn http2_without_tls() {
    if !tools("http2_without_tls") {
        return;
    }
    let base = Base::new();
    let port = crate::support::free_port();
    let connector = format!("<Connector port='{port}' address='127.0.0.1'>{HTTP2}</Connector>");
    base.write("conf/server.xml", &base.server(&connector, LOG));
    base.write("webapps/ROOT/a.txt", &"x".repeat(200_000));
    let _running = base.start();
    let get = |words: &str| base.curl(port, words);
    let known = get("--http2-prior-knowledge http://localhost/a.txt");
    assert!(known.starts_with("HTTP/2 200 \n") && known.len() > 200_000, "{}", known.len());
    let upgraded = get("--http2 http://localhost/a.txt?x=1");
    let want = "HTTP/1.1 101 \nConnection: Upgrade\nUpgrade: h2c\n\nHTTP/2 200 \n";
    assert!(upgraded.starts_with(want) && upgraded.len() > 200_000, "{}", upgraded.get(..300).unwrap_or(&upgraded));
    let lost = get("--http2-prior-knowledge http://localhost/no");
    assert!(lost.starts_with("HTTP/2 404 \n") && lost.contains("<h1>HTTP Status 404 – Not Found</h1>"), "{lost}");
    let head = get("--http2-prior-knowledge -I http://localhost/a.txt");
    assert!(head.contains("\ncontent-length: 200000\n"), "{head}");
    // A form reaches the session page, and the session lives on a connection of the other protocol.
    let set = get(
        "--http2-prior-knowledge -H Accept:application/json -d op=set&name=k&value=v http://localhost/cluster/index.jsp",
    );
    let id = set.lines().find_map(|line| line.strip_prefix("set-cookie: JSESSIONID=")?.split(';').next()).unwrap();
    assert!(
        get(&format!("--http1.1 -H Accept:application/json -H Cookie:JSESSIONID={id} http://localhost/cluster/"))
            .contains("\"v\"")
    );
    let log = base.tls_log(7);
    for line in [
        "\"GET /a.txt HTTP/2.0\" HTTP/2.0 200 200000 localhost - -",
        "\"GET /a.txt?x=1 HTTP/1.1\" HTTP/1.1 101 - localhost - -",
    ] {
        assert!(log.contains(line), "{log}");
    }
    // On the connector that was not told to, there is none.
    assert!(base.curl(base.http, "--http2-prior-knowledge http://localhost/a.txt").starts_with("\nexit "));
}

#[test]
fn what_cannot_be_shown_is_refused_where_it_stands() {
    if !tools("what_cannot_be_shown_is_refused_where_it_stands") {
        return;
    }
    let base = Base::new();
    base.certificates();
    base.write("conf/jks", "\u{fffd}");
    fs::write(base.dir.path().join("conf/jks"), b"\xfe\xed\xfe\xed\0\0\0\x02").unwrap();
    const CERTIFICATE: &str =
        "<Certificate certificateFile='conf/localhost.pem' certificateKeyFile='conf/localhost.key'/>";
    for (host, inside, at, said) in [
        ("", "", 6, "SSLHostConfig has no Certificate"),
        ("", "\n<Certificate certificateFile='conf/no.pem'/>", 7, "conf/no.pem: "),
        (
            "",
            "\n<Certificate certificateFile='conf/localhost.pem' certificateKeyFile='conf/client.key'/>",
            7,
            "do not match",
        ),
        (
            "",
            "\n<Certificate certificateFile='conf/localhost.pem' certificateKeyFile='conf/secret.key'/>",
            7,
            "is encrypted",
        ),
        ("", "\n<Certificate certificateKeystoreFile='conf/jks'/>", 7, "Invalid keystore format"),
        (
            "",
            "\n<Certificate certificateKeystoreFile='conf/keys.p12' certificateKeystorePassword='no'/>",
            7,
            "is the password right?",
        ),
        (
            "",
            "\n<Certificate certificateKeystoreFile='conf/keys.p12' certificateKeyAlias='no'/>",
            7,
            "Alias name [no] does not identify a key entry",
        ),
        ("protocols='TLSv1'", CERTIFICATE, 6, "names neither TLSv1.2 nor TLSv1.3"),
        ("ciphers='RC4-SHA'", CERTIFICATE, 6, ""),
        ("certificateVerification='required'", CERTIFICATE, 6, "needs a caCertificateFile or a truststoreFile"),
        ("certificateVerification='optionalNoCA'", CERTIFICATE, 6, "is not supported"),
        (
            "revocationEnabled='true' certificateVerification='required' caCertificateFile='conf/ca.pem'",
            CERTIFICATE,
            6,
            "certificateRevocationListFile",
        ),
        (
            "trustManagerClassName='org.example.T'",
            CERTIFICATE,
            6,
            "trustManagerClassName of SSLHostConfig is not supported",
        ),
        ("hostName='a'", CERTIFICATE, 5, "No SSLHostConfig element was found with the hostName [_default_]"),
    ] {
        let connector = format!(
            "\n<Connector port='0' SSLEnabled='true'>\n<SSLHostConfig {host}>{inside}</SSLHostConfig></Connector>"
        );
        base.write("conf/server.xml", &base.server(&connector, ""));
        let output = base.run(&["configtest"]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(i32::from(!said.is_empty())), "{host}{inside}: {text}");
        let line = text.lines().find(|line| line.contains(said));
        assert!(
            said.is_empty() || line.is_some_and(|line| line.contains(&format!("conf/server.xml:{at}:"))),
            "{host}{inside}: {text}"
        );
    }
}

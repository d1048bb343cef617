//! TLS of a connector: `SSLHostConfig` elements with their certificates, chosen by the name a client asks for.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::server::Acceptor;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use rustls::{ProtocolVersion, ServerConfig, SupportedCipherSuite};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::components::{Component, Kind, Position};
use super::keystore;
use super::model;
use super::xml::Refusal;
use crate::net::tickets::Sessions;
use crate::net::tls::{IdentityError, ServerSpec, Versions, certificates, identity};
use crate::net::trust::{Revocation, Trust};
use crate::net::verify::Clients;
use crate::net::{ciphers, phrase};

/// Sessions that are kept for clients without tickets where the file does not say how many: Java's number.
const SESSIONS: usize = 20_480;

/// The names a connector has certificates for.
#[derive(Debug)]
pub struct Hosts {
    list: Vec<(String, Arc<ServerConfig>)>,
    default: usize,
    strict: bool,
}

/// What a client and a server agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The suite by the name that Java has for it.
    pub suite: String,
    /// Bits of its cipher.
    pub bits: u16,
    /// `TLSv1.3`
    pub version: &'static str,
    /// The host name the client asked for, in lower case.
    pub sni: Option<String>,
    /// The client's certificate, in DER.
    pub certificate: Option<Vec<u8>>,
}

/// What is wrong with an element.
type Fault = (Position, String);

impl Hosts {
    /// Reads what the elements of a connector name; `file` is the configuration, `dir` the node's directory, and `told` gets
    /// Tomcat's line for each certificate.
    ///
    /// # Errors
    /// The first element that cannot be obeyed.
    pub fn open(
        settings: &model::Tls,
        http2: bool,
        (file, dir): (&str, &Path),
        told: &mut dyn FnMut(&str),
    ) -> Result<Self, Refusal> {
        let refusal = |(at, text)| Refusal { file: file.to_owned(), at, text };
        let mut list: Vec<(String, Arc<ServerConfig>)> = Vec::new();
        for element in &settings.hosts {
            let name = element.text("hostName").unwrap_or_default().to_ascii_lowercase();
            if list.iter().any(|(other, _)| *other == name) {
                let text = format!(
                    "Multiple SSLHostConfig elements were provided for the host name [{name}]. Host names must be unique"
                );
                return Err(refusal((element.at, text)));
            }
            let config = host(element, http2, dir, &mut |text| {
                told(&format!("TLS virtual host [{name}], certificate type {text}"));
            });
            list.push((name, config.map_err(refusal)?));
        }
        let default = list.iter().position(|(name, _)| *name == settings.default).ok_or_else(|| {
            let text = format!(
                "No SSLHostConfig element was found with the hostName [{}] to match the defaultSSLHostConfigName",
                settings.default
            );
            refusal((settings.at, text))
        })?;
        Ok(Self { list, default, strict: settings.strict })
    }

    /// Place of the element for a name.
    fn of(&self, name: Option<&str>) -> usize {
        let at = |wanted: &str| self.list.iter().position(|(name, _)| name == wanted);
        let exact = name.and_then(at);
        let wildcard = || name?.split_once('.').and_then(|(_, rest)| at(&format!("*.{rest}")));
        exact.or_else(wildcard).unwrap_or(self.default)
    }

    /// Whether a request on a session may be for a host, in lower case.
    pub fn allows(&self, session: &Session, host: &str) -> bool {
        let sni = session.sni.as_deref();
        !self.strict || sni == Some(host) || self.of(sni) == self.of(Some(host))
    }

    /// Greets a client; `None` is one that does not speak TLS, which was told so.
    ///
    /// # Errors
    /// The connection broke, or there is nothing that both can.
    pub async fn accept(&self, mut stream: TcpStream) -> io::Result<Option<(TlsStream<TcpStream>, Session)>> {
        const HANDSHAKE: u8 = 22;
        let mut first = [0];
        if stream.peek(&mut first).await? == 0 {
            return Ok(None);
        }
        if first != [HANDSHAKE] {
            stream.write_all(PLAIN).await?;
            stream.shutdown().await?;
            // What the client still sends must not make the system throw the answer away.
            let mut rest = stream.take(64 << 10);
            let _ = tokio::io::copy(&mut rest, &mut tokio::io::sink()).await;
            return Ok(None);
        }
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let sni = start.client_hello().server_name().map(str::to_ascii_lowercase);
        let (_, config) = self.list.get(self.of(sni.as_deref())).ok_or(io::ErrorKind::NotFound)?;
        let stream = start.into_stream(Arc::clone(config)).await?;
        let session = session(&stream, sni);
        Ok(Some((stream, session)))
    }
}

/// What clients without TLS are told.
const PLAIN: &[u8] = b"HTTP/1.1 400 \r\nContent-Type: text/plain;charset=UTF-8\r\nConnection: close\r\n\r\n\
    Bad Request\r\nThis combination of host and port requires TLS.\r\n";

fn session(stream: &TlsStream<TcpStream>, sni: Option<String>) -> Session {
    let (_, tls) = stream.get_ref();
    let suite = tls.negotiated_cipher_suite();
    Session {
        suite: suite.map(java_name).unwrap_or_default(),
        bits: suite.map_or(0, |suite| ciphers::name_of(suite).1),
        version: match tls.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        },
        sni,
        certificate: tls.peer_certificates().and_then(<[_]>::first).map(|cert| cert.to_vec()),
    }
}

/// Java's name of a suite: the registered one.
fn java_name(suite: SupportedCipherSuite) -> String {
    format!("{:?}", suite.suite()).replacen("TLS13_", "TLS_", 1)
}

/// A path as written, below the node's directory.
fn path(element: &Component, name: &str, dir: &Path) -> Option<PathBuf> {
    element.text(name).filter(|text| !text.is_empty()).map(|text| dir.join(text))
}

/// A password: from a file, or as written.
fn password(element: &Component, name: &str, dir: &Path) -> Result<Option<String>, Fault> {
    let Some(file) = path(element, &format!("{name}File"), dir) else {
        return Ok(element.text(name).map(str::to_owned));
    };
    let text = std::fs::read_to_string(&file).map_err(|error| (element.at, format!("{}: {error}", file.display())))?;
    Ok(Some(text.lines().next().unwrap_or_default().trim().to_owned()))
}

fn host(element: &Component, http2: bool, dir: &Path, told: &mut dyn FnMut(&str)) -> Result<Arc<ServerConfig>, Fault> {
    let wrong = |text: String| (element.at, text);
    for name in ["trustManagerClassName", "groups"] {
        if element.set(name).is_some() {
            return Err(wrong(format!("{name} of SSLHostConfig is not supported")));
        }
    }
    if element.flag("ocspEnabled") {
        return Err(wrong("ocspEnabled=\"true\" of SSLHostConfig is not supported".to_owned()));
    }
    let (verifier, trusted) = clients(element, dir)?.unzip();
    let trusted = trusted.as_deref().unwrap_or("null");
    let mut identities = Vec::new();
    for certificate in element.all(Kind::Certificate) {
        let (identity, from) = own(certificate, dir)?;
        let kind = certificate.text("type").unwrap_or_default();
        told(&format!("[{kind}] configured from {from} with trust store [{trusted}]"));
        identities.push(identity);
    }
    if identities.is_empty() {
        return Err(wrong("SSLHostConfig has no Certificate".to_owned()));
    }
    let resume_for = element.number("sessionTimeout");
    let kept = usize::try_from(element.number("sessionCacheSize")).ok().filter(|n| *n > 0).unwrap_or(SESSIONS);
    let spec = ServerSpec {
        identities,
        staples: Vec::new(),
        versions: versions(element.text("protocols").unwrap_or_default()).map_err(wrong)?,
        suites: suites(element.set("ciphers"), element.set("cipherSuites")).map_err(wrong)?,
        own_order: element.flag("honorCipherOrder"),
        tickets: !element.flag("disableSessionTickets"),
        ticket_key: None,
        ticket_count: None,
        // No time is for ever, which is a day here.
        resume_for: u32::try_from(resume_for).ok().filter(|seconds| *seconds > 0).unwrap_or(86_400),
        groups: None,
        sessions: Arc::new(Sessions::new(kept).map_err(|error| wrong(error.to_string()))?),
        verifier,
        alpn: if http2 { vec![b"h2".to_vec(), b"http/1.1".to_vec()] } else { Vec::new() },
    };
    spec.build().map_err(|error| wrong(error.to_string()))
}

/// What a list such as `all,-TLSv1.2` or `TLSv1.2+TLSv1.3` leaves of the versions there are.
fn versions(list: &str) -> Result<Versions, String> {
    let mut found = Versions { v12: false, v13: false };
    let mut add = true;
    for word in list.split_inclusive(['+', '-', ',', ' ']) {
        let (name, next) = match word.strip_suffix(['+', '-', ',', ' ']) {
            Some(name) => (name.trim(), !word.ends_with('-')),
            None => (word.trim(), true),
        };
        match name.to_ascii_lowercase().as_str() {
            "all" => (found.v12, found.v13) = (add, add),
            "tlsv1.2" => found.v12 = add,
            "tlsv1.3" => found.v13 = add,
            // Versions that nobody should speak any more are not spoken.
            "" | "sslv2hello" | "sslv2" | "sslv3" | "tlsv1" | "tlsv1.1" => {}
            _ => return Err(format!("[{name}] in protocols is no version of TLS")),
        }
        if !(name.is_empty() && next) {
            add = next;
        }
    }
    if found.v12 || found.v13 {
        Ok(found)
    } else {
        Err(format!("protocols [{list}] names neither TLSv1.2 nor TLSv1.3, which are what there is"))
    }
}

/// The suites of `ciphers`, in OpenSSL's words or by Java's names, and of `cipherSuites`.
fn suites(list: Option<&str>, list13: Option<&str>) -> Result<Vec<SupportedCipherSuite>, String> {
    let mut found = match list13 {
        Some(list) => ciphers::parse13(list).map_err(|name| format!("[{name}] in cipherSuites is no suite"))?.suites,
        None => ciphers::all13(),
    };
    let every = ciphers::parse("ALL").suites;
    let by_java = |name: &str| every.iter().chain(&ciphers::all13()).find(|suite| java_name(**suite) == name).copied();
    match list {
        None => found.extend(&every),
        Some(list) if list.contains("_WITH_") || list.split(',').all(|name| name.trim().starts_with("TLS_")) => {
            found = list.split([',', ':']).filter_map(|name| by_java(name.trim())).collect();
        }
        Some(list) => found.extend(ciphers::parse(list).suites),
    }
    if found.is_empty() {
        Err(format!("ciphers [{}] names no suite that there is", list.unwrap_or("")))
    } else {
        Ok(found)
    }
}

/// Who asks clients for certificates, and the file he knows them by.
type Asking = (Arc<dyn ClientCertVerifier>, String);

/// Who asks clients for certificates, if anybody does.
fn clients(element: &Component, dir: &Path) -> Result<Option<Asking>, Fault> {
    let wrong = |text: String| (element.at, text);
    let verification = element.text("certificateVerification").unwrap_or_default();
    let required = match verification.to_ascii_lowercase().as_str() {
        "none" | "false" | "no" => return Ok(None),
        "optional" | "want" => false,
        "required" | "true" | "yes" | "require" => true,
        _ => return Err(wrong(format!("certificateVerification=\"{verification}\" is not supported"))),
    };
    let depth = u32::try_from(element.number("certificateVerificationDepth")).unwrap_or(0);
    let lists = path(element, "certificateRevocationListFile", dir);
    let list_dir = path(element, "certificateRevocationListPath", dir);
    let revocation = match (&lists, &list_dir) {
        (None, None) if element.flag("revocationEnabled") => {
            return Err(wrong("revocationEnabled=\"true\" needs a certificateRevocationListFile here".to_owned()));
        }
        (None, None) => Revocation::None,
        _ => Revocation::Chain(false),
    };
    // Tomcat counts the certificates between, we count all that are signed.
    let mut trust = Trust::new(depth.saturating_add(1), revocation);
    let mut shown = String::new();
    if let Some(file) = path(element, "caCertificateFile", dir) {
        certificates(&file)
            .and_then(|certs| trust.add_anchors(&certs))
            .map_err(|error| wrong(format!("{}: {error}", file.display())))?;
        shown = file.display().to_string();
    }
    if let Some(dir) = path(element, "caCertificatePath", dir) {
        trust.add_dir(&dir).map_err(wrong)?;
        shown = dir.display().to_string();
    }
    if let Some(file) = path(element, "truststoreFile", dir) {
        let password = element.text("truststorePassword").unwrap_or_default();
        let store =
            keystore::read(&file, password, password).map_err(|error| wrong(format!("{}: {error}", file.display())))?;
        trust.add_anchors(&store.trusted).map_err(|error| wrong(format!("{}: {error}", file.display())))?;
        shown = file.display().to_string();
    }
    if let Some(file) = &lists {
        trust.add_lists(file).map_err(wrong)?;
    }
    if let Some(dir) = &list_dir {
        trust.add_list_dir(dir).map_err(wrong)?;
    }
    if trust.is_empty() {
        let text = format!(
            "certificateVerification=\"{verification}\" needs a caCertificateFile or a truststoreFile with authorities in it"
        );
        return Err(wrong(text));
    }
    Ok(Some((Arc::new(Clients { trust, required, generous: false, later: false, ocsp: None }), shown)))
}

/// A certificate with its key, and from where it comes.
fn own(element: &Component, dir: &Path) -> Result<(Arc<CertifiedKey>, String), Fault> {
    let wrong = |text: String| (element.at, text);
    let shown =
        |path: &Option<PathBuf>| path.as_ref().map_or_else(|| "null".to_owned(), |path| path.display().to_string());
    if let Some(file) = path(element, "certificateFile", dir) {
        let key = path(element, "certificateKeyFile", dir).unwrap_or_else(|| file.clone());
        let chain = path(element, "certificateChainFile", dir);
        let from = format!(
            "key [{}], certificate [{}] and certificate chain [{}]",
            key.display(),
            file.display(),
            shown(&chain)
        );
        let password = match password(element, "certificateKeyPassword", dir)? {
            Some(password) => Some(password),
            // A keystore's password is a key's where the key has none.
            None => password(element, "certificateKeystorePassword", dir)?,
        };
        let mut ask = |text: &[u8]| phrase::decrypt(text, password.as_deref().unwrap_or_default().as_bytes()).ok();
        let identity = identity(&file, &key, chain.as_ref(), &mut ask).map_err(|error| {
            let file = match &error {
                IdentityError::Certificate(_) | IdentityError::Mismatch => file.display().to_string(),
                IdentityError::Key(_) | IdentityError::Encrypted => key.display().to_string(),
                IdentityError::Chain(_) => shown(&chain),
            };
            wrong(format!("{file}: {error}"))
        })?;
        return Ok((identity, from));
    }
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".keystore"));
    let file = path(element, "certificateKeystoreFile", dir).or_else(home);
    let file = file.ok_or_else(|| wrong("Certificate names neither a certificateFile nor a keystore".to_owned()))?;
    let text = password(element, "certificateKeystorePassword", dir)?.unwrap_or_default();
    let fault = |error: keystore::Error| wrong(format!("{}: {error}", file.display()));
    let own = password(element, "certificateKeyPassword", dir)?;
    let store = keystore::read(&file, &text, own.as_deref().unwrap_or(&text)).map_err(fault)?;
    let alias = element.text("certificateKeyAlias");
    let (alias, identity) = store.identity(alias).map_err(fault)?;
    Ok((identity, format!("keystore [{}] using alias [{alias}]", file.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_versions() {
        let of = |list| versions(list).map(|found| (found.v12, found.v13)).ok();
        for (list, want) in [
            ("all", Some((true, true))),
            ("TLSv1.2", Some((true, false))),
            ("TLSv1.2,TLSv1.3", Some((true, true))),
            ("+TLSv1.2+TLSv1.3", Some((true, true))),
            ("all,-TLSv1.2", Some((false, true))),
            ("all-TLSv1.3", Some((true, false))),
            ("TLSv1+TLSv1.1", None),
            ("all,-TLSv1.2,-TLSv1.3", None),
            ("TLSv2", None),
        ] {
            assert_eq!(of(list), want, "{list}");
        }
    }

    #[test]
    fn lists_of_suites() {
        let names = |list, list13| {
            suites(list, list13).map(|found| found.into_iter().map(java_name).collect::<Vec<_>>()).unwrap_or_default()
        };
        assert_eq!(names(None, None).len(), 9);
        assert_eq!(
            names(Some("ECDHE-RSA-AES128-GCM-SHA256"), Some("TLS_AES_128_GCM_SHA256")),
            ["TLS_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]
        );
        assert_eq!(
            names(Some("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_AES_256_GCM_SHA384"), None),
            ["TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"]
        );
        assert!(names(Some("TLS_RSA_WITH_AES_128_CBC_SHA"), None).is_empty());
    }
}

//! TLS towards backends: what our end is, and how a handshake ends.

use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, IpAddr, Ipv4Addr, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, Connection, DigitallySignedStruct, Error, SignatureScheme,
    SupportedCipherSuite,
};
use tokio::io::{AsyncRead, AsyncWrite};
use webpki::{KeyUsage, RawPublicKeyEntity};

use super::reasons;
use super::secured::Secured;
use super::tls::{Versions, provider};
use super::trust::{TOO_LONG, Trust, algorithms};
use crate::codec::x509;
use crate::config::{Conf, shared_slot};

/// How much is asked of a backend's certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Demand {
    /// Nothing.
    #[default]
    Nothing,
    /// That it is believed.
    Trusted,
    /// The same, of any authority.
    AnyAuthority,
}

/// Whose a backend's certificate must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// Anybody's.
    Any,
    /// One of its names is that of the host.
    Host,
    /// Its common name is.
    CommonName,
}

/// Our end, as the configuration has it.
pub struct ClientSpec {
    /// Versions.
    pub versions: Versions,
    /// Suites of both versions, in the order of preference.
    pub suites: Vec<SupportedCipherSuite>,
    /// What is asked of certificates.
    pub demand: Demand,
    /// Whom to believe.
    pub trust: Trust,
    /// Certificates with their keys, for backends that ask.
    pub identities: Vec<Arc<CertifiedKey>>,
    /// Certificates that have expired are refused.
    pub expire: bool,
    /// Whose certificates must be.
    pub named: Named,
    /// What messages call the server whose end this is.
    pub owner: Box<str>,
}

/// Our end, as it runs.
pub struct ClientSide {
    config: ClientConfig,
    rules: Arc<Rules>,
    expire: bool,
    named: Named,
    owner: Box<str>,
}

impl std::fmt::Debug for ClientSide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientSide").field("named", &self.named).finish_non_exhaustive()
    }
}

/// The end that a server, or a `<Proxy>` section, has towards its backends; as run.
#[derive(Clone, Debug, Default)]
pub struct BackendTls {
    /// `None`: nothing is said of it; `Some(None)`: it is off.
    pub side: Option<Option<Arc<ClientSide>>>,
}

impl Conf for BackendTls {
    const SLOT: usize = shared_slot::BACKEND_TLS;

    fn merge(base: &Self, add: &Self) -> Self {
        Self { side: add.side.clone().or_else(|| base.side.clone()) }
    }
}

impl BackendTls {
    /// Our end, if it is on.
    pub fn get(conf: Option<&Self>) -> Option<&Arc<ClientSide>> {
        conf?.side.as_ref()?.as_ref()
    }
}

/// Why a backend is not spoken to.
#[derive(Debug)]
pub enum Refusal {
    /// Its certificate is not believed: OpenSSL's number and words, and the certificate at fault.
    Untrusted(u32, String, Vec<u8>),
    /// More certificates stand above its own than may.
    TooLong {
        /// This many.
        has: u32,
        /// This many may.
        most: u32,
    },
    /// It does not speak TLS as we do.
    Protocol(String),
    /// The connection failed.
    Socket(io::Error),
    /// It does not take part in the protocol that is to be spoken.
    NotSpoken(Box<[u8]>),
    /// Its certificate has expired, or is not valid yet.
    Expired,
    /// Its certificate is not the host's.
    NotHost,
    /// The common name of its certificate is not the host's.
    NotCommonName(Vec<u8>),
}

/// A handshake that is over.
pub struct Shaken<S> {
    /// The session, or why there is none.
    pub outcome: Result<Secured<S>, Refusal>,
    /// The backend has asked for a certificate, and we have none.
    pub unanswered: bool,
}

impl ClientSpec {
    /// As it runs.
    ///
    /// # Errors
    /// No version or no suite for one.
    pub fn build(self) -> Result<ClientSide, Error> {
        let rules = Arc::new(Rules { demand: self.demand, trust: self.trust, identities: self.identities });
        let builder = ClientConfig::builder_with_provider(provider(self.suites));
        let builder = builder.with_protocol_versions(&self.versions.list())?;
        let watch = Arc::new(Watch { rules: rules.clone(), asked: AtomicBool::new(false), blamed: Mutex::default() });
        let mut config =
            builder.dangerous().with_custom_certificate_verifier(watch.clone()).with_client_cert_resolver(watch);
        // As httpd: each connection is checked anew.
        config.resumption = Resumption::disabled();
        Ok(ClientSide { config, rules, expire: self.expire, named: self.named, owner: self.owner })
    }
}

impl ClientSide {
    /// What messages call the server whose end this is.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Shakes hands over a socket that is connected; `name` is the backend's, if it has one, and `protocol` what is to be
    /// spoken, if that has to be said.
    pub async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        socket: S,
        name: Option<&str>,
        protocol: Option<&[u8]>,
    ) -> Shaken<S> {
        let rules = self.rules.clone();
        let watch = Arc::new(Watch { rules, asked: AtomicBool::new(false), blamed: Mutex::default() });
        let mut config = self.config.clone();
        config.client_auth_cert_resolver = watch.clone();
        config.alpn_protocols = protocol.map(<[u8]>::to_vec).into_iter().collect();
        config.dangerous().set_certificate_verifier(watch.clone());
        // Addresses are not named in a hello, whichever they are.
        let nameless = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::from([0, 0, 0, 0])));
        let called = name.and_then(|name| ServerName::try_from(name.to_owned()).ok()).unwrap_or(nameless);
        let outcome = match ClientConnection::new(Arc::new(config), called) {
            Err(error) => Err(Refusal::Protocol(reasons::words(&error))),
            Ok(session) => {
                let mut secured = Secured::new(socket, Connection::Client(session));
                match poll_fn(|cx| secured.poll_handshake(cx)).await {
                    Ok(()) => self.check(&secured, name, protocol).map(|()| secured),
                    Err(error) => Err(watch.refusal(error)),
                }
            }
        };
        // Who is asked before the backend is believed has been asked by nobody.
        let reached = !matches!(
            outcome,
            Err(Refusal::Untrusted(..) | Refusal::TooLong { .. } | Refusal::Protocol(_) | Refusal::Socket(_))
        );
        Shaken { outcome, unanswered: reached && watch.asked.load(Ordering::Relaxed) }
    }

    /// What is asked of the certificate besides belief.
    fn check<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        secured: &Secured<S>,
        name: Option<&str>,
        protocol: Option<&[u8]>,
    ) -> Result<(), Refusal> {
        let Some(cert) = secured.session().peer_certificates().and_then(|all| all.first()) else { return Ok(()) };
        if self.expire && !x509::is_valid_at(cert, UnixTime::now().as_secs()) {
            return Err(Refusal::Expired);
        }
        self.check_name(cert, name)?;
        match protocol.filter(|protocol| secured.session().alpn_protocol() != Some(*protocol)) {
            Some(protocol) => Err(Refusal::NotSpoken(protocol.into())),
            None => Ok(()),
        }
    }

    fn check_name(&self, cert: &CertificateDer<'_>, name: Option<&str>) -> Result<(), Refusal> {
        let Some(host) = name else { return Ok(()) };
        match self.named {
            Named::Any => Ok(()),
            Named::Host => {
                let names = x509::identities(cert);
                let fits = names.iter().any(|pattern| x509::is_for(pattern, host.as_bytes()));
                if fits { Ok(()) } else { Err(Refusal::NotHost) }
            }
            Named::CommonName => {
                let common = x509::common_name(cert).unwrap_or_default();
                let fits = common.eq_ignore_ascii_case(host.as_bytes());
                if fits { Ok(()) } else { Err(Refusal::NotCommonName(common)) }
            }
        }
    }
}

/// What holds for all handshakes.
struct Rules {
    demand: Demand,
    trust: Trust,
    identities: Vec<Arc<CertifiedKey>>,
}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rules").field("demand", &self.demand).finish_non_exhaustive()
    }
}

/// One handshake: what rustls asks of us, and what we should like to say of it.
#[derive(Debug)]
struct Watch {
    rules: Arc<Rules>,
    asked: AtomicBool,
    blamed: Mutex<Option<Refusal>>,
}

impl Watch {
    fn refusal(&self, error: io::Error) -> Refusal {
        if let Some(blamed) = self.blamed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return blamed;
        }
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(inner) => Refusal::Protocol(reasons::words(inner)),
            None => Refusal::Socket(error),
        }
    }
}

impl ServerCertVerifier for Watch {
    fn verify_server_cert(
        &self,
        cert: &CertificateDer<'_>,
        came: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let demand = self.rules.demand;
        if demand == Demand::Nothing {
            return Ok(ServerCertVerified::assertion());
        }
        match self.rules.trust.judge(cert, came, now, KeyUsage::server_auth()) {
            Err(CertificateError::UnknownIssuer) if demand == Demand::AnyAuthority => {}
            Err(error) => {
                let blame = self.rules.trust.blame(&error, cert, came, demand == Demand::AnyAuthority);
                let mut blamed = self.blamed.lock().unwrap_or_else(PoisonError::into_inner);
                *blamed = Some(match blame.number {
                    TOO_LONG => Refusal::TooLong { has: blame.above, most: self.rules.trust.depth },
                    number => Refusal::Untrusted(number, blame.words, blame.cert.to_vec()),
                });
                return Err(error.into());
            }
            Ok(()) => {}
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if let Some(checked) = verify_old(message, cert, signed, false) {
            return checked;
        }
        verify_tls12_signature(message, cert, signed, &algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if let Some(checked) = verify_old(message, cert, signed, true) {
            return checked;
        }
        verify_tls13_signature(message, cert, signed, &algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

/// The signature under a handshake by a certificate of the first version, which webpki does not read. Only its key
/// counts here; whether it is believed has been asked before. `None`: it is of the third version.
fn verify_old(
    message: &[u8],
    cert: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    thirteen: bool,
) -> Option<Result<HandshakeSignatureValid, Error>> {
    let info = SubjectPublicKeyInfoDer::from(x509::key_info_of_old(cert)?);
    let wrong = |_| Error::InvalidCertificate(CertificateError::BadSignature);
    let checked = RawPublicKeyEntity::try_from(&info).map_err(wrong).and_then(|key| {
        let known = algorithms().mapping.iter().find(|(scheme, _)| *scheme == signed.scheme);
        // The curve belongs to the scheme in TLS 1.3 only.
        let most = if thirteen { 1 } else { usize::MAX };
        let mut tried = known.map_or(&[][..], |(_, algorithms)| *algorithms).iter().take(most);
        let older =
            [SignatureScheme::RSA_PKCS1_SHA256, SignatureScheme::RSA_PKCS1_SHA384, SignatureScheme::RSA_PKCS1_SHA512];
        let allowed = !thirteen || !older.contains(&signed.scheme);
        let good =
            allowed && tried.any(|algorithm| key.verify_signature(*algorithm, message, signed.signature()).is_ok());
        if good { Ok(HandshakeSignatureValid::assertion()) } else { Err(CertificateError::BadSignature.into()) }
    });
    Some(checked)
}

impl ResolvesClientCert for Watch {
    fn resolve(&self, authorities: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let all = &self.rules.identities;
        if all.is_empty() {
            self.asked.store(true, Ordering::Relaxed);
            return None;
        }
        // One whose issuer, or whose issuer's issuer, the backend names; any where it names nobody.
        let suits = |identity: &&Arc<CertifiedKey>| {
            let issuers = || identity.cert.iter().filter_map(|cert| x509::issuer(cert));
            identity.key.choose_scheme(schemes).is_some()
                && (authorities.is_empty() || issuers().any(|issuer| authorities.contains(&issuer.as_slice())))
        };
        all.iter().find(suits).cloned()
    }

    fn has_certs(&self) -> bool {
        // So that we hear of being asked.
        true
    }
}

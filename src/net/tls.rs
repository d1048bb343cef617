//! What a TLS endpoint is, from files to rustls's configuration.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::pki_types::pem::{PemObject as _, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{ServerConfig, SignatureAlgorithm, SignatureScheme, SupportedCipherSuite, SupportedProtocolVersion};

use super::phrase::is_encrypted;
use super::stapling::Staple;
use super::tickets::{Sessions, SharedKey, Tickets};
use crate::codec::x509;

/// Versions of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// TLS 1.2.
    pub v12: bool,
    /// TLS 1.3.
    pub v13: bool,
}

impl Versions {
    /// What there is.
    pub const ALL: Self = Self { v12: true, v13: true };

    /// As rustls wants it.
    pub fn list(self) -> Vec<&'static SupportedProtocolVersion> {
        let v13 = self.v13.then_some(&rustls::version::TLS13);
        v13.into_iter().chain(self.v12.then_some(&rustls::version::TLS12)).collect()
    }
}

/// A server's end.
pub struct ServerSpec {
    /// Certificates with their keys; the last of a kind of key is used.
    pub identities: Vec<Arc<CertifiedKey>>,
    /// What is stapled to each of them.
    pub staples: Vec<Option<Arc<Staple>>>,
    /// Versions.
    pub versions: Versions,
    /// Suites of both versions, in the order of preference.
    pub suites: Vec<SupportedCipherSuite>,
    /// That order counts, not the client's.
    pub own_order: bool,
    /// Sessions are resumed by tickets.
    pub tickets: bool,
    /// Under this key.
    pub ticket_key: Option<SharedKey>,
    /// How many tickets a handshake of TLS 1.3 ends with; `None` is rustls's own number.
    pub ticket_count: Option<usize>,
    /// How long sessions may be resumed, in seconds.
    pub resume_for: u32,
    /// Key exchange, in the order of preference; `None` is all there is.
    pub groups: Option<Vec<&'static dyn SupportedKxGroup>>,
    /// What sessions are resumed from, but for tickets under that key.
    pub sessions: Arc<Sessions>,
    /// Who asks clients for certificates.
    pub verifier: Option<Arc<dyn ClientCertVerifier>>,
    /// Names of protocols above, in the order of preference.
    pub alpn: Vec<Vec<u8>>,
}

/// The cryptography, with these suites.
pub fn provider(suites: Vec<SupportedCipherSuite>) -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider { cipher_suites: suites, ..aws_lc_rs::default_provider() })
}

impl ServerSpec {
    /// The configuration of rustls.
    ///
    /// # Errors
    /// No version or no suite for one.
    pub fn build(self) -> Result<Arc<ServerConfig>, rustls::Error> {
        let mut with = CryptoProvider { cipher_suites: self.suites, ..aws_lc_rs::default_provider() };
        with.kx_groups = self.groups.unwrap_or(with.kx_groups);
        let builder = ServerConfig::builder_with_provider(Arc::new(with));
        let builder = builder.with_protocol_versions(&self.versions.list())?;
        let builder = match self.verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut config =
            builder.with_cert_resolver(Arc::new(Identities::new(self.identities, self.staples, self.versions.v13)));
        config.ignore_client_order = self.own_order;
        config.alpn_protocols = self.alpn;
        config.session_storage = Arc::new(self.sessions.stored(self.resume_for));
        if let Some(count) = self.ticket_count {
            config.send_tls13_tickets = count;
        }
        if self.tickets {
            // A key of its own for each, changed by and by: what was checked of a client here is not believed elsewhere.
            config.ticketer = Arc::new(match self.ticket_key {
                Some(key) => Tickets::shared(key, self.resume_for),
                None => self.sessions.tickets(self.resume_for),
            });
        } else if !self.sessions.are_stored() {
            config.send_tls13_tickets = 0;
        }
        Ok(Arc::new(config))
    }
}

/// Certificates of several kinds of keys, the one chosen that the client can use.
struct Identities {
    list: Vec<Identity>,
    v13: bool,
}

/// One of them, with what is stapled to it.
struct Identity {
    key: Arc<CertifiedKey>,
    staple: Option<Arc<Staple>>,
}

impl Identity {
    fn current(&self) -> Arc<CertifiedKey> {
        self.staple.as_ref().map_or_else(|| self.key.clone(), |staple| staple.current())
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identities").field("count", &self.list.len()).finish()
    }
}

impl Identities {
    fn new(all: Vec<Arc<CertifiedKey>>, staples: Vec<Option<Arc<Staple>>>, v13: bool) -> Self {
        let mut list: Vec<Identity> = Vec::new();
        let staples = staples.into_iter().chain(std::iter::repeat(None));
        for (key, staple) in all.into_iter().zip(staples) {
            let identity = Identity { key, staple };
            match list.iter_mut().find(|other| other.key.key.algorithm() == identity.key.key.algorithm()) {
                Some(other) => *other = identity,
                None => list.push(identity),
            }
        }
        Self { list, v13 }
    }
}

impl ResolvesServerCert for Identities {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let schemes = hello.signature_schemes();
        if let [only] = self.list.as_slice() {
            return only.key.key.choose_scheme(schemes).map(|_| only.current());
        }
        let suits = |algorithm: SignatureAlgorithm| {
            hello.cipher_suites().iter().any(|suite| {
                let number = u16::from(*suite);
                match number >> 8 {
                    0x13 => self.v13,
                    0xc0 | 0xcc => aws_lc_rs::ALL_CIPHER_SUITES
                        .iter()
                        .any(|known| known.suite() == *suite && known.usable_for_signature_algorithm(algorithm)),
                    _ => false,
                }
            })
        };
        // The client's order, as OpenSSL takes it.
        let fits = |scheme: &SignatureScheme| {
            self.list.iter().find(|identity| {
                let key = &identity.key.key;
                key.choose_scheme(std::slice::from_ref(scheme)).is_some() && suits(key.algorithm())
            })
        };
        schemes.iter().find_map(fits).map(Identity::current)
    }
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Its file cannot be read or holds none.
    #[error("{0}")]
    Certificate(String),
    /// The key's file cannot be read or holds none.
    #[error("{0}")]
    Key(String),
    /// The key is encrypted.
    #[error("the private key is encrypted")]
    Encrypted,
    /// The key is of another certificate.
    #[error("certificate and key do not match")]
    Mismatch,
    /// Certificates to go with it cannot be read.
    #[error("{0}")]
    Chain(String),
}

/// The certificates of a PEM file, in its order.
///
/// # Errors
/// The file cannot be read, a block in it is broken, or there is none.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = super::files::read(path).map_err(|error| error.to_string())?;
    let list: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match list {
        Ok(list) if list.is_empty() => Err("no start line".to_owned()),
        Ok(list) => Ok(list),
        Err(error) => Err(error.to_string()),
    }
}

/// The certificates with their keys of one file, in which each stands beside its own; `chain` is what may go with them.
///
/// # Errors
/// The file cannot be read, a key is encrypted, or one is not its certificate's.
pub fn identities_of(file: &Path, chain: &[CertificateDer<'static>]) -> Result<Vec<Arc<CertifiedKey>>, IdentityError> {
    let text = super::files::read(file).map_err(|error| IdentityError::Certificate(error.to_string()))?;
    if is_encrypted(&text) {
        return Err(IdentityError::Encrypted);
    }
    let (mut all, mut cert, mut key) = (Vec::new(), None, None);
    for block in <(SectionKind, Vec<u8>)>::pem_slice_iter(&text) {
        let (kind, der) = block.map_err(|error| IdentityError::Certificate(error.to_string()))?;
        match PrivateKeyDer::from_pem(kind, der.clone()) {
            _ if kind == SectionKind::Certificate => {
                cert = Some(CertificateDer::from(der));
            }
            Some(found) => key = Some(found),
            None => continue,
        }
        if cert.is_some() && key.is_some() {
            all.extend(cert.take().zip(key.take()));
        }
    }
    if key.is_some() {
        return Err(IdentityError::Mismatch);
    }
    all.into_iter()
        .map(|(cert, key)| {
            let key = signing(&key, &cert)?;
            let mut sent = vec![cert];
            lengthen(&mut sent, chain);
            Ok(Arc::new(CertifiedKey::new(sent, key)))
        })
        .collect()
}

/// The certificate in a list that has signed another, by its name.
fn issuer_of(cert: &CertificateDer<'_>, list: &[CertificateDer<'static>]) -> Option<CertificateDer<'static>> {
    let issuer = x509::issuer(cert)?;
    list.iter().find(|other| x509::subject(other).as_ref() == Some(&issuer)).cloned()
}

/// Adds those of a list that have signed the last certificate of a chain, and so on.
pub fn lengthen(chain: &mut Vec<CertificateDer<'static>>, list: &[CertificateDer<'static>]) {
    while let Some(next) = chain.last().and_then(|last| issuer_of(last, list)).filter(|next| !chain.contains(next)) {
        chain.push(next);
    }
}

/// A key that can sign, of this certificate.
fn signing(key: &PrivateKeyDer<'_>, cert: &CertificateDer<'_>) -> Result<Arc<dyn SigningKey>, IdentityError> {
    let key = aws_lc_rs::sign::any_supported_type(key).map_err(|error| IdentityError::Key(error.to_string()))?;
    let both = x509::public_key(cert).zip(key.public_key());
    let fits = both.is_none_or(|(of_cert, of_key)| x509::is_key(&of_key, &of_cert));
    if fits { Ok(key) } else { Err(IdentityError::Mismatch) }
}

/// Asks for what a key file with these bytes is without its pass phrase.
pub type Ask<'a> = &'a mut dyn FnMut(&[u8]) -> Option<Vec<u8>>;

/// A certificate with its key and what is sent along; whoever knows the key's pass phrase is asked where it has one.
///
/// # Errors
/// See [`IdentityError`].
pub fn identity(
    file: &Path,
    key_file: &Path,
    chain: Option<&PathBuf>,
    ask: Ask<'_>,
) -> Result<Arc<CertifiedKey>, IdentityError> {
    let mut certs = certificates(file).map_err(IdentityError::Certificate)?;
    let mut text = super::files::read(key_file).map_err(|error| IdentityError::Key(error.to_string()))?;
    if is_encrypted(&text) {
        text = ask(&text).ok_or(IdentityError::Encrypted)?;
    }
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| IdentityError::Key(error.to_string()))?;
    let leaf = certs.first().ok_or_else(|| IdentityError::Certificate("no certificate".to_owned()))?;
    let key = signing(&key, leaf)?;
    if let Some(chain) = chain {
        let more = certificates(chain).map_err(IdentityError::Chain)?;
        // What the certificate's own file holds behind it is sent in the first place.
        if certs.len() == 1 {
            certs.extend(more.into_iter().skip(usize::from(chain == file)));
        }
    }
    Ok(Arc::new(CertifiedKey::new(certs, key)))
}

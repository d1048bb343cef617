//! Whom to believe: authorities, purposes, revocation, depth, and OpenSSL's words for what is wrong with a chain.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, TrustAnchor, UnixTime};
use rustls::{CertificateError, DistinguishedName, OtherError};
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, OwnedCertRevocationList, RevocationCheckDepth,
    RevocationOptionsBuilder, UnknownStatusPolicy,
};

use super::files;
use super::tls::certificates;
use crate::codec::x509;

/// How far revocation is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Revocation {
    /// Not.
    #[default]
    None,
    /// For the certificate itself; the flag lets those pass that no list is about.
    Leaf(bool),
    /// For the whole chain.
    Chain(bool),
}

/// Whom to believe.
#[derive(Default)]
pub struct Trust {
    anchors: Vec<TrustAnchor<'static>>,
    /// The certificates that the anchors are of.
    pub(super) roots: Vec<CertificateDer<'static>>,
    /// Certificates of authorities that others have signed: links of chains, never their end, as OpenSSL has it.
    pub(super) links: Vec<CertificateDer<'static>>,
    lists: Vec<CertRevocationList<'static>>,
    /// Whether lists are asked.
    pub revocation: Revocation,
    /// The longest chain: 1 is an authority's own signature.
    pub depth: u32,
    pub(super) names: Vec<DistinguishedName>,
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").field("anchors", &self.anchors.len()).finish_non_exhaustive()
    }
}

/// The files of a directory that OpenSSL would look into: eight digits of a hash, `middle`, and a number.
///
/// # Errors
/// What is wrong with the directory.
pub fn hashed(dir: &Path, middle: &str) -> Result<Vec<std::path::PathBuf>, String> {
    let mut found = Vec::new();
    for name in files::list(dir).map_err(|error| format!("{}: {error}", dir.display()))? {
        let path = dir.join(OsString::from_vec(name));
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let (hash, rest) = name.split_at_checked(8).unwrap_or(("", ""));
        let number = rest.strip_prefix(middle).unwrap_or_default();
        if hash.bytes().all(|byte| byte.is_ascii_hexdigit())
            && !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
        {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

impl Trust {
    /// Believes nobody yet.
    pub fn new(depth: u32, revocation: Revocation) -> Self {
        Self { depth, revocation, ..Self::default() }
    }

    /// Believes the authorities of a PEM file.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn add_file(&mut self, path: &Path) -> Result<(), String> {
        for cert in certificates(path).map_err(|error| format!("{}: {error}", path.display()))? {
            self.names.extend(x509::subject(&cert).map(DistinguishedName::from));
            if x509::is_self_issued(&cert) {
                match webpki::anchor_from_trusted_cert(&cert) {
                    Ok(anchor) => self.anchors.push(anchor.to_owned()),
                    Err(error) => return Err(format!("{}: {error}", path.display())),
                }
                self.roots.push(cert);
            } else {
                self.links.push(cert);
            }
        }
        Ok(())
    }

    /// Believes these authorities, whoever signed them, as Java does what is in its stores.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub fn add_anchors(&mut self, certs: &[CertificateDer<'static>]) -> Result<(), String> {
        for cert in certs {
            let anchor = webpki::anchor_from_trusted_cert(cert).map_err(|error| error.to_string())?;
            self.anchors.push(anchor.to_owned());
            self.names.extend(x509::subject(cert).map(DistinguishedName::from));
            self.roots.push(cert.clone());
        }
        Ok(())
    }

    /// Believes the authorities of a directory.
    ///
    /// # Errors
    /// What is wrong with it, or with a file in it.
    pub fn add_dir(&mut self, dir: &Path) -> Result<(), String> {
        hashed(dir, ".")?.iter().try_for_each(|path| self.add_file(path))
    }

    /// Takes the revocation lists of a PEM file.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn add_lists(&mut self, path: &Path) -> Result<(), String> {
        let wrong = |error: &dyn fmt::Display| format!("{}: {error}", path.display());
        let text = files::read(path).map_err(|error| wrong(&error))?;
        let before = self.lists.len();
        for list in CertificateRevocationListDer::pem_slice_iter(&text) {
            let list = list.map_err(|error| wrong(&error))?;
            let list = OwnedCertRevocationList::from_der(&list).map_err(|error| wrong(&error))?;
            self.lists.push(list.into());
        }
        if self.lists.len() == before { Err(wrong(&"no certificate or crl found")) } else { Ok(()) }
    }

    /// Takes the revocation lists of a directory.
    ///
    /// # Errors
    /// What is wrong with it, or with a file in it.
    pub fn add_list_dir(&mut self, dir: &Path) -> Result<(), String> {
        hashed(dir, ".r")?.iter().try_for_each(|path| self.add_lists(path))
    }

    /// Names these authorities to clients, in place of those that are believed.
    pub fn set_names(&mut self, certs: &[CertificateDer<'_>]) {
        self.names = certs.iter().filter_map(|cert| x509::subject(cert)).map(DistinguishedName::from).collect();
    }

    /// Whether anybody is believed.
    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }

    /// Whether a certificate is an authority's that is believed for itself.
    pub fn is_root(&self, cert: &CertificateDer<'_>) -> bool {
        self.roots.contains(cert)
    }

    /// Whether no authority is named to those who are asked.
    pub fn names_nobody(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether there are revocation lists.
    pub fn has_lists(&self) -> bool {
        !self.lists.is_empty()
    }

    /// Judges a certificate with what came along.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn judge(
        &self,
        cert: &CertificateDer<'_>,
        came: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
    ) -> Result<(), CertificateError> {
        self.walk(cert, came, now, usage, (self.depth, self.revocation), |_| ())
    }

    /// The same, whatever the depth and without revocation lists: for signers of what OCSP responders say.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn judge_signer(
        &self,
        cert: &CertificateDer<'_>,
        came: &[CertificateDer<'_>],
        usage: KeyUsage,
    ) -> Result<(), CertificateError> {
        self.walk(cert, came, UnixTime::now(), usage, (u32::MAX, Revocation::None), |_| ())
    }

    /// Judges a certificate within other bounds of length and revocation: it, who signed it, and so on to an authority's own certificate.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn chain(
        &self,
        cert: &CertificateDer<'_>,
        came: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
        bounds: (u32, Revocation),
    ) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
        let mut chain = vec![cert.clone().into_owned()];
        self.walk(cert, came, now, usage, bounds, |path| {
            chain.extend(path.intermediate_certificates().map(|link| link.der().into_owned()));
            let root = self.anchors.iter().zip(&self.roots).find(|(anchor, _)| *anchor == path.anchor());
            chain.extend(root.map(|(_, root)| root.clone()));
        })?;
        Ok(chain)
    }

    pub(super) fn walk(
        &self,
        cert: &CertificateDer<'_>,
        came: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
        (depth, revocation): (u32, Revocation),
        seen: impl FnOnce(&webpki::VerifiedPath<'_>),
    ) -> Result<(), CertificateError> {
        if self.roots.contains(cert) {
            // Known itself: nobody need have signed it.
            let valid = x509::is_valid_at(cert, now.as_secs());
            return if valid { Ok(()) } else { Err(CertificateError::Expired) };
        }
        let leaf = EndEntityCert::try_from(cert).map_err(reason)?;
        let links: Vec<CertificateDer<'_>> =
            came.iter().chain(&self.links).map(|link| CertificateDer::from(link.as_ref())).collect();
        let lists: Vec<&CertRevocationList<'_>> = self.lists.iter().collect();
        let most = usize::try_from(depth).unwrap_or(usize::MAX);
        let (depth, lenient) = match revocation {
            Revocation::None => (None, false),
            Revocation::Leaf(lenient) => (Some(RevocationCheckDepth::EndEntity), lenient),
            Revocation::Chain(lenient) => (Some(RevocationCheckDepth::Chain), lenient),
        };
        let asked = depth.is_some();
        let policy = if lenient { UnknownStatusPolicy::Allow } else { UnknownStatusPolicy::Deny };
        let revocation = match depth {
            None => None,
            Some(depth) => match RevocationOptionsBuilder::new(&lists) {
                Ok(builder) => Some(
                    builder
                        .with_depth(depth)
                        .with_status_policy(policy)
                        .with_expiration_policy(ExpirationPolicy::Enforce)
                        .build(),
                ),
                // Without a list nothing is known of anybody; all else is asked first.
                Err(_) => None,
            },
        };
        let unlisted = asked && !lenient && self.lists.is_empty();
        let fits = |path: &webpki::VerifiedPath<'_>| {
            let links = path.intermediate_certificates().count();
            if links < most { Ok(()) } else { Err(webpki::Error::MaximumPathDepthExceeded) }
        };
        let algorithms = algorithms().all;
        let path = leaf
            .verify_for_usage(algorithms, &self.anchors, &links, now, usage, revocation, Some(&fits))
            .map_err(reason)?;
        if unlisted {
            return Err(CertificateError::UnknownRevocationStatus);
        }
        seen(&path);
        Ok(())
    }
}

/// What signatures are checked with.
pub(super) fn algorithms() -> WebPkiSupportedAlgorithms {
    aws_lc_rs::default_provider().signature_verification_algorithms
}

fn reason(error: webpki::Error) -> CertificateError {
    use webpki::Error as Wrong;
    match error {
        Wrong::CertExpired { .. } | Wrong::InvalidCertValidity => CertificateError::Expired,
        Wrong::CertNotValidYet { .. } => CertificateError::NotValidYet,
        Wrong::CertRevoked => CertificateError::Revoked,
        Wrong::CrlExpired { .. } => CertificateError::ExpiredRevocationList,
        // Certificates of the first version are not read, so nobody known can have signed them.
        Wrong::UnknownIssuer | Wrong::CaUsedAsEndEntity | Wrong::UnsupportedCertVersion => {
            CertificateError::UnknownIssuer
        }
        Wrong::UnknownRevocationStatus => CertificateError::UnknownRevocationStatus,
        Wrong::RequiredEkuNotFoundContext(_) | Wrong::EmptyEkuExtension => CertificateError::InvalidPurpose,
        Wrong::InvalidSignatureForPublicKey | Wrong::InvalidCrlSignatureForPublicKey => CertificateError::BadSignature,
        Wrong::BadDer | Wrong::BadDerTime | Wrong::TrailingData(_) | Wrong::MalformedExtensions => {
            CertificateError::BadEncoding
        }
        other => CertificateError::Other(OtherError(Arc::new(other))),
    }
}

/// OpenSSL's number for chains that are too long.
pub(super) const TOO_LONG: u32 = 22;

/// OpenSSL's number and words for what is wrong with a certificate.
pub fn openssl_words(error: &CertificateError) -> (u32, String) {
    let (number, words) = match error {
        CertificateError::Expired => (10, "certificate has expired"),
        CertificateError::NotValidYet => (9, "certificate is not yet valid"),
        CertificateError::Revoked => (23, "certificate revoked"),
        CertificateError::UnknownIssuer => (20, "unable to get local issuer certificate"),
        CertificateError::UnknownRevocationStatus => (3, "unable to get certificate CRL"),
        CertificateError::ExpiredRevocationList => (12, "CRL has expired"),
        CertificateError::InvalidPurpose => (26, "unsuitable certificate purpose"),
        CertificateError::BadSignature => (7, "certificate signature failure"),
        CertificateError::NotValidForName => (62, "hostname mismatch"),
        CertificateError::Other(other) => {
            let long = other.0.downcast_ref::<webpki::Error>() == Some(&webpki::Error::MaximumPathDepthExceeded);
            if long {
                (TOO_LONG, "certificate chain too long")
            } else {
                return (1, other.0.to_string());
            }
        }
        other => return (1, other.to_string()),
    };
    (number, words.to_owned())
}

/// What OpenSSL would say of a chain that is not believed.
pub struct Blame<'c> {
    /// Its number.
    pub number: u32,
    /// Its words.
    pub words: String,
    /// The certificate that is to blame.
    pub cert: &'c [u8],
    /// `optional_no_ca` lets it pass.
    pub stranger: bool,
    /// How many certificates stand above the first.
    pub above: u32,
    /// The error: to OpenSSL a chain without an end comes before all else that is wrong with it.
    pub error: CertificateError,
}

impl Trust {
    /// The chain as OpenSSL builds it, by names: whom it knows before whom came along.
    fn built<'c>(
        &'c self,
        cert: &'c CertificateDer<'c>,
        came: &'c [CertificateDer<'c>],
    ) -> Vec<&'c CertificateDer<'c>> {
        let mut chain = vec![cert];
        let known: Vec<(Vec<u8>, &CertificateDer<'c>)> = self
            .roots
            .iter()
            .chain(&self.links)
            .chain(came)
            .filter_map(|other| x509::subject(other).map(|subject| (subject, other)))
            .collect();
        while chain.len() <= CHAIN_MAX {
            let Some(last) = chain.last().filter(|last| !x509::is_self_issued(last)) else { break };
            let Some(issuer) = x509::issuer(last) else { break };
            let next = known.iter().find(|(subject, other)| *subject == issuer && !chain.contains(other));
            let Some((_, next)) = next else { break };
            chain.push(*next);
        }
        chain
    }

    /// OpenSSL's words for what is wrong, told apart by what came along; `generous`: that nobody known is the end of the
    /// chain is borne with.
    pub fn blame<'c>(
        &'c self,
        error: &CertificateError,
        cert: &'c CertificateDer<'c>,
        came: &'c [CertificateDer<'c>],
        generous: bool,
    ) -> Blame<'c> {
        let chain = self.built(cert, came);
        let above = u32::try_from(chain.len() - 1).unwrap_or(u32::MAX);
        let end = chain.last().copied().unwrap_or(cert);
        let unknown = CertificateError::UnknownIssuer;
        let error = if generous || self.roots.contains(end) { error } else { &unknown };
        let (number, words) = openssl_words(error);
        let all = |number: u32, words: String, cert: &'c [u8], stranger: bool| Blame {
            number,
            words,
            cert,
            stranger,
            above,
            error: error.clone(),
        };
        let of_end = |number: u32, words: &str, stranger: bool| all(number, words.to_owned(), end.as_ref(), stranger);
        match error {
            CertificateError::UnknownIssuer if self.roots.contains(end) => all(number, words, cert, true),
            CertificateError::UnknownIssuer => match (x509::is_self_issued(end), above) {
                (true, 0) => of_end(18, "self-signed certificate", true),
                (true, _) => of_end(19, "self-signed certificate in certificate chain", true),
                (false, _) if self.links.contains(end) => of_end(2, "unable to get issuer certificate", false),
                (false, _) => of_end(number, &words, true),
            },
            _ => all(number, words, cert, false),
        }
    }
}

/// The longest chain that is followed for the sake of words.
const CHAIN_MAX: usize = 100;

//! Whether a client's certificate is believed.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use webpki::KeyUsage;

use super::minutes::{self, Line, Weight};
use super::ocsp::{self, Ocsp};
use super::trust::{Revocation, TOO_LONG, Trust, algorithms, openssl_error};
use crate::codec::x509;
use crate::web::PeerFault;

/// Asks clients for certificates.
#[derive(Debug)]
pub struct Clients {
    /// Whom to believe.
    pub trust: Trust,
    /// Who brings none is sent away.
    pub required: bool,
    /// Certificates of unknown authorities pass.
    pub generous: bool,
    /// All pass: it is sections that ask for them, and they judge.
    pub later: bool,
    /// Responders are asked about them; the handshake is then to be made [aside](super::ocsp::aside).
    pub ocsp: Option<Ocsp>,
}

impl Clients {
    /// Whether both believe the same: who passed the checks of one would pass those of the other. Lists of revoked
    /// certificates and responders are not compared: with any, the answer is no.
    pub fn believe_as(&self, other: &Self) -> bool {
        let (own, others) = (&self.trust, &other.trust);
        (self.required, self.generous, self.later, own.depth)
            == (other.required, other.generous, other.later, others.depth)
            && (self.ocsp.is_none(), other.ocsp.is_none()) == (true, true)
            && (own.revocation, others.revocation) == (Revocation::None, Revocation::None)
            && (&own.roots, &own.links) == (&others.roots, &others.links)
    }

    /// Says why a client is sent away.
    fn refused(&self, error: CertificateError, cert: &CertificateDer<'_>, came: &[CertificateDer<'_>]) -> Error {
        let brought: Vec<Vec<u8>> = std::iter::once(cert).chain(came).map(|cert| cert.to_vec()).collect();
        let (number, words, blamed) = openssl_error(&error, cert, came);
        let blamed = brought.iter().position(|cert| cert == blamed).unwrap_or(0);
        let fault = PeerFault { number, words: words.into(), stranger: false, blamed };
        minutes::say(fault_line(&fault, &brought, self.trust.depth));
        Error::InvalidCertificate(error)
    }

    /// What is wrong with certificates that passed for want of strictness, where a chain may be that long at most.
    pub fn fault(&self, brought: &[Vec<u8>], depth: u32) -> Option<PeerFault> {
        let chain: Vec<CertificateDer<'_>> = brought.iter().map(|cert| CertificateDer::from(cert.as_slice())).collect();
        let (leaf, came) = chain.split_first()?;
        let bounds = (depth, self.trust.revocation);
        let error = self.trust.walk(leaf, came, UnixTime::now(), KeyUsage::client_auth(), bounds, |_| ()).err()?;
        let (number, words, blamed) = openssl_error(&error, leaf, came);
        let blamed = brought.iter().position(|cert| cert == blamed).unwrap_or(0);
        Some(PeerFault { number, words: words.into(), stranger: error == CertificateError::UnknownIssuer, blamed })
    }
}

/// The entry about a fault of a client's certificates.
pub fn fault_line(fault: &PeerFault, brought: &[Vec<u8>], most: u32) -> Line {
    if fault.number == TOO_LONG {
        let has = brought.len();
        let text = format!(
            "AH02040: Certificate Verification: Certificate Chain too long (chain has {has} certificates, but maximum \
             allowed are only {most})"
        );
        return Line::new(Weight::Error, text);
    }
    let about = brought.get(fault.blamed).map(|cert| x509::described(cert)).unwrap_or_default();
    let (number, words) = (fault.number, &fault.words);
    Line::new(Weight::Info, format!("AH02276: Certificate Verification: Error ({number}): {words}{about}"))
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.trust.names
    }

    fn verify_client_cert(
        &self,
        cert: &CertificateDer<'_>,
        came: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let usage = KeyUsage::client_auth();
        if self.later {
            let bounds = (u32::MAX, self.trust.revocation);
            let chain = self.trust.chain(cert, came, now, usage, bounds);
            // Who is of no use to any section is asked nothing about.
            if let (Some(ocsp), Ok(chain)) = (&self.ocsp, chain) {
                ocsp.check(&chain, &self.trust)?;
            }
            return Ok(ClientCertVerified::assertion());
        }
        let Some(ocsp) = &self.ocsp else {
            return match self.trust.judge(cert, came, now, usage) {
                Err(CertificateError::UnknownIssuer) if self.generous => Ok(ClientCertVerified::assertion()),
                Err(error) => Err(self.refused(error, cert, came)),
                Ok(()) => Ok(ClientCertVerified::assertion()),
            };
        };
        match self.trust.chain(cert, came, now, usage, (self.trust.depth, self.trust.revocation)) {
            Err(CertificateError::UnknownIssuer) if self.generous => Err(ocsp::unverified(cert)),
            Err(error) => Err(self.refused(error, cert, came)),
            Ok(chain) => ocsp.check(&chain, &self.trust).map(|()| ClientCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

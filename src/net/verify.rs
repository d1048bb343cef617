//! Whether a client's certificate is believed.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme};
use webpki::KeyUsage;

use super::minutes::{self, Line, Weight};
use super::ocsp::{self, Ocsp};
use super::trust::{Revocation, TOO_LONG, Trust, algorithms};
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

    /// Says why a client is sent away, or with what it passes.
    fn judged(
        &self,
        error: CertificateError,
        cert: &CertificateDer<'_>,
        came: &[CertificateDer<'_>],
    ) -> Result<ClientCertVerified, Error> {
        let blame = self.trust.blame(&error, cert, came, self.generous);
        let error = blame.error.clone();
        let long = blame.above > self.trust.depth;
        let passes = self.generous && blame.stranger;
        // No list is about who is not known, and where lists are asked for, one has to be.
        let unlisted = passes && self.wants_lists();
        if passes && !long && !unlisted {
            minutes::say(Line::new(Weight::Info, GENEROUS.to_owned()));
            return Ok(ClientCertVerified::assertion());
        }
        // A chain is gone through from its end, where its length shows before the client's own time does.
        let timely = matches!(error, CertificateError::Expired | CertificateError::NotValidYet);
        let fault = PeerFault {
            number: if unlisted { UNLISTED.0 } else { blame.number },
            words: if unlisted { UNLISTED.1.into() } else { blame.words.as_str().into() },
            stranger: false,
            blamed: if unlisted { cert.as_ref().into() } else { blame.cert.into() },
            above: blame.above,
        };
        if (!passes || unlisted) && !(long && timely) && fault.number != TOO_LONG {
            minutes::say(fault_line(&fault, self.trust.depth));
        }
        if long || fault.number == TOO_LONG {
            minutes::say(fault_line(&PeerFault { number: TOO_LONG, ..fault }, self.trust.depth));
        }
        let error = if unlisted { CertificateError::UnknownRevocationStatus } else { error };
        Err(Error::InvalidCertificate(alerting(error, long && (passes || timely))))
    }

    /// Whether nobody passes whom no list of revoked certificates is about.
    fn wants_lists(&self) -> bool {
        matches!(self.trust.revocation, Revocation::Leaf(false) | Revocation::Chain(false))
    }

    /// What is wrong with certificates that passed for want of strictness, where a chain may be that long at most.
    pub fn fault(&self, brought: &[Vec<u8>], depth: u32) -> Option<PeerFault> {
        let chain: Vec<CertificateDer<'_>> = brought.iter().map(|cert| CertificateDer::from(cert.as_slice())).collect();
        let (leaf, came) = chain.split_first()?;
        let bounds = (depth, self.trust.revocation);
        let error = self.trust.walk(leaf, came, UnixTime::now(), KeyUsage::client_auth(), bounds, |_| ()).err()?;
        let blame = self.trust.blame(&error, leaf, came, true);
        let (long, unlisted) = (blame.above > depth, blame.stranger && self.wants_lists());
        let (number, words) = if unlisted { UNLISTED } else { (blame.number, blame.words.as_str()) };
        Some(PeerFault {
            number: if long { TOO_LONG } else { number },
            words: words.into(),
            stranger: blame.stranger && !long && !unlisted,
            blamed: blame.cert.into(),
            above: blame.above,
        })
    }
}

/// OpenSSL's number and words for want of a list.
const UNLISTED: (u32, &str) = (3, "unable to get certificate CRL");

/// Said of a client that passes although nobody known vouches for it.
const GENEROUS: &str = "AH02009: SSL client authentication failed, accepting certificate based on \"SSLVerifyClient \
                        optional_no_ca\" configuration";

/// The error whose alert is that of OpenSSL, as near as rustls has one.
fn alerting(error: CertificateError, long: bool) -> CertificateError {
    let unknown = |error| CertificateError::Other(OtherError(Arc::new(error)));
    match error {
        _ if long => unknown(webpki::Error::MaximumPathDepthExceeded),
        CertificateError::NotValidYet => CertificateError::BadEncoding,
        CertificateError::ExpiredRevocationList => unknown(webpki::Error::UnknownRevocationStatus),
        other => other,
    }
}

/// The entry about a fault of a client's certificates.
pub fn fault_line(fault: &PeerFault, most: u32) -> Line {
    if fault.number == TOO_LONG {
        let has = fault.above;
        let text = format!(
            "AH02040: Certificate Verification: Certificate Chain too long (chain has {has} certificates, but maximum \
             allowed are only {most})"
        );
        return Line::new(Weight::Error, text);
    }
    let about = x509::described(&fault.blamed);
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
                Err(error) => self.judged(error, cert, came),
                Ok(()) => Ok(ClientCertVerified::assertion()),
            };
        };
        match self.trust.chain(cert, came, now, usage, (self.trust.depth, self.trust.revocation)) {
            Err(CertificateError::UnknownIssuer) if self.generous => Err(ocsp::unverified(cert)),
            Err(error) => self.judged(error, cert, came),
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

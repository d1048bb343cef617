//! What is in a certificate, as OpenSSL and mod_ssl show it.

use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::x509::SubjectPublicKeyInfo;

/// The bits of a certificate's public key.
pub fn public_key(cert: &[u8]) -> Option<Vec<u8>> {
    let (_, cert) = X509Certificate::from_der(cert).ok()?;
    Some(cert.public_key().subject_public_key.data.to_vec())
}

/// Whether a SubjectPublicKeyInfo holds these bits.
pub fn is_key(info: &[u8], bits: &[u8]) -> bool {
    SubjectPublicKeyInfo::from_der(info).is_ok_and(|(_, info)| *info.subject_public_key.data == *bits)
}

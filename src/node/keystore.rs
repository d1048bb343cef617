//! Java keystores: PKCS#12, which keytool writes, and the older JKS.

use std::path::Path;
use std::sync::Arc;

use p12_keystore::{KeyStore, KeyStoreEntry};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;

use super::jks;

/// Why a keystore cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// It is of Java's own older kinds.
    #[error(
        "this is a {0} keystore; PKCS12 is read here: keytool -importkeystore -srckeystore OLD -destkeystore NEW -deststoretype pkcs12"
    )]
    Kind(&'static str),
    /// It is broken, or the password is another one.
    #[error("{0} (is the password right?)")]
    Broken(String),
    /// Nothing in it has this alias and a key.
    #[error("Alias name [{0}] does not identify a key entry")]
    Alias(String),
    /// It is a JKS keystore that cannot be read.
    #[error(transparent)]
    Jks(#[from] jks::Error),
    /// There is no key in it.
    #[error("there is no key in it")]
    Empty,
    /// Its key is of no kind that can sign.
    #[error("{0}")]
    Key(rustls::Error),
}

/// What is in a keystore.
pub struct Store {
    /// Keys with their certificates, by alias in lower case.
    keys: Vec<(String, Vec<u8>, Vec<CertificateDer<'static>>)>,
    /// Certificates without a key.
    pub trusted: Vec<CertificateDer<'static>>,
}

/// Reads a keystore, whose keys may be under a password of their own.
///
/// # Errors
/// See [`Error`].
pub fn read(path: &Path, password: &str, key_password: &str) -> Result<Store, Error> {
    let bytes = std::fs::read(path)?;
    if bytes.starts_with(&[0xce; 4]) {
        return Err(Error::Kind("JCEKS"));
    }
    if bytes.starts_with(&jks::MAGIC) {
        let entries = jks::read(&bytes, password, key_password)?;
        let certificates = |list: Vec<Vec<u8>>| list.into_iter().map(CertificateDer::from).collect();
        let mut keys: Vec<_> =
            entries.keys.into_iter().map(|(alias, key, chain)| (alias, key, certificates(chain))).collect();
        keys.sort_by(|one: &(String, _, _), other| one.0.cmp(&other.0));
        return Ok(Store { keys, trusted: certificates(entries.trusted) });
    }
    let store = KeyStore::from_pkcs12(&bytes, password).map_err(|error| Error::Broken(error.to_string()))?;
    let (mut keys, mut trusted) = (Vec::new(), Vec::new());
    let der = |cert: &p12_keystore::Certificate| CertificateDer::from(cert.as_der().to_vec());
    for (alias, entry) in store.entries() {
        match entry {
            KeyStoreEntry::PrivateKeyChain(chain) => {
                keys.push((alias.to_lowercase(), chain.key().to_vec(), chain.chain().iter().map(der).collect()));
            }
            KeyStoreEntry::Certificate(cert) => trusted.push(der(cert)),
        }
    }
    keys.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(Store { keys, trusted })
}

impl Store {
    /// The key of an alias with its certificates, or the first one.
    ///
    /// # Errors
    /// There is none, or it cannot sign.
    pub fn identity(&self, alias: Option<&str>) -> Result<(String, Arc<CertifiedKey>), Error> {
        let wanted = alias.map(str::to_lowercase);
        let found = self.keys.iter().find(|(name, ..)| wanted.as_ref().is_none_or(|wanted| wanted == name));
        let (name, key, chain) =
            found.ok_or_else(|| alias.map_or(Error::Empty, |name| Error::Alias(name.to_owned())))?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.as_slice()));
        let key = aws_lc_rs::sign::any_supported_type(&key).map_err(Error::Key)?;
        Ok((name.clone(), Arc::new(CertifiedKey::new(chain.clone(), key))))
    }
}

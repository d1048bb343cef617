//! Private keys under a pass phrase: PKCS#8, and the older form with `DEK-Info`.

use aes::{Aes128, Aes192, Aes256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipher, BlockDecrypt, BlockDecryptMut, KeyInit, KeyIvInit};
use des::{Des, TdesEde3};
use md5::{Digest as _, Md5};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;

/// Why there is no key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PhraseError {
    /// It is of a kind that is not read here.
    #[error("unsupported encryption: {0}")]
    Unknown(String),
    /// The pass phrase is another one.
    #[error("bad decrypt")]
    Wrong,
}

/// Whether a key in PEM is under a pass phrase.
pub fn is_encrypted(text: &[u8]) -> bool {
    block(text).is_some_and(|block| block.kind == PKCS8 || block.info.is_some())
}

/// The label of an encrypted key in PKCS#8.
const PKCS8: &str = "ENCRYPTED PRIVATE KEY";

struct Block {
    kind: String,
    /// `AES-256-CBC,` and a start value.
    info: Option<String>,
    der: Vec<u8>,
}

/// The first private key.
fn block(text: &[u8]) -> Option<Block> {
    let text = String::from_utf8_lossy(text);
    let mut lines = text.lines().map(str::trim_end);
    let label = |line: &str| line.strip_prefix("-----BEGIN ")?.strip_suffix("-----").map(str::to_owned);
    let kind = lines.by_ref().find_map(|line| label(line).filter(|kind| kind.ends_with("PRIVATE KEY")))?;
    let mut info = None;
    let mut base64 = String::new();
    for line in lines.take_while(|line| !line.starts_with("-----END ")) {
        match line.split_once(": ") {
            Some(("DEK-Info", value)) => info = Some(value.to_owned()),
            Some(_) => {}
            None => base64.push_str(line),
        }
    }
    Some(Block { kind, info, der: STANDARD.decode(base64).ok()? })
}

/// The key in PEM, without its pass phrase.
///
/// # Errors
/// See [`PhraseError`].
pub fn decrypt(text: &[u8], phrase: &[u8]) -> Result<Vec<u8>, PhraseError> {
    let block = block(text).ok_or(PhraseError::Wrong)?;
    let (kind, der) = match &block.info {
        None => ("PRIVATE KEY", decrypt_pkcs8(&block.der, phrase)?),
        Some(info) => (block.kind.as_str(), decrypt_old(&block.der, info, phrase)?),
    };
    let mut pem = format!("-----BEGIN {kind}-----\n").into_bytes();
    let encoded = STANDARD.encode(der);
    for line in encoded.as_bytes().chunks(64) {
        pem.extend_from_slice(line);
        pem.push(b'\n');
    }
    pem.extend_from_slice(format!("-----END {kind}-----\n").as_bytes());
    // Another pass phrase's bytes may end like a key's; they are none.
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| PhraseError::Wrong)?;
    if !is_der(key.secret_der()) {
        return Err(PhraseError::Wrong);
    }
    Ok(pem)
}

/// Whether all of it is one sequence.
fn is_der(der: &[u8]) -> bool {
    let length = match der {
        [0x30, short @ 0..=0x7f, ..] => 2 + usize::from(*short),
        [0x30, 0x81, length, ..] => 3 + usize::from(*length),
        [0x30, 0x82, high, low, ..] => 4 + (usize::from(*high) << 8) + usize::from(*low),
        _ => return false,
    };
    length == der.len()
}

fn decrypt_pkcs8(der: &[u8], phrase: &[u8]) -> Result<Vec<u8>, PhraseError> {
    let info =
        pkcs8::EncryptedPrivateKeyInfo::try_from(der).map_err(|error| PhraseError::Unknown(error.to_string()))?;
    info.decrypt(phrase).map(|document| document.as_bytes().to_vec()).map_err(|_| PhraseError::Wrong)
}

fn decrypt_old(der: &[u8], info: &str, phrase: &[u8]) -> Result<Vec<u8>, PhraseError> {
    let (cipher, start) = info.split_once(',').ok_or_else(|| PhraseError::Unknown(info.to_owned()))?;
    let iv = hex(start.trim()).ok_or_else(|| PhraseError::Unknown(info.to_owned()))?;
    match cipher {
        "AES-128-CBC" => cbc_decrypt::<Aes128>(der, phrase, &iv),
        "AES-192-CBC" => cbc_decrypt::<Aes192>(der, phrase, &iv),
        "AES-256-CBC" => cbc_decrypt::<Aes256>(der, phrase, &iv),
        "DES-EDE3-CBC" => cbc_decrypt::<TdesEde3>(der, phrase, &iv),
        "DES-CBC" => cbc_decrypt::<Des>(der, phrase, &iv),
        other => Err(PhraseError::Unknown(other.to_owned())),
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// OpenSSL's key of a pass phrase: MD5 over what came before, the phrase and the first eight bytes of the start value.
fn key_of(phrase: &[u8], iv: &[u8], len: usize) -> Vec<u8> {
    let salt = iv.get(..8).unwrap_or(iv);
    let mut key = Vec::new();
    let mut last: Vec<u8> = Vec::new();
    while key.len() < len {
        last = Md5::new().chain_update(&last).chain_update(phrase).chain_update(salt).finalize().to_vec();
        key.extend_from_slice(&last);
    }
    key.truncate(len);
    key
}

fn cbc_decrypt<C: BlockCipher + BlockDecrypt + BlockDecryptMut + KeyInit>(
    data: &[u8],
    phrase: &[u8],
    iv: &[u8],
) -> Result<Vec<u8>, PhraseError> {
    let key = key_of(phrase, iv, C::key_size());
    let decryptor = Decryptor::<C>::new_from_slices(&key, iv).map_err(|_| PhraseError::Wrong)?;
    decryptor.decrypt_padded_vec_mut::<Pkcs7>(data).map_err(|_| PhraseError::Wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What OpenSSL 3.0 writes for one key on P-256, with the pass phrase `secret`.
    #[rustfmt::skip]
    const KEYS: &[(&str, &str)] = &[
        ("PKCS#8, PBKDF2, AES-256", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAijKAowWHttoQICCAAw\nDAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEECKMiM3Mel9uicVRfqYkjJQEgZDX\nJ8c+YczToqROLh099QbVTvn3MeH93QnxSTD2FBOjRA0AJ4QwTzdXWgv5DYyEsN9u\ne01kKWoL8DgGHoHBQ6etjPIvGv+bhaqH7tZJqZS0nXMapw+v8HSoErLWfYNNA2F/\nSgYVlGM+eQJq/PIJbsMaJ9Nj9vjN9gmXKaT0O3euwlmbgoPjwfRv/4fBAT8KYBg=\n-----END ENCRYPTED PRIVATE KEY-----\n"),
        ("PKCS#8, 3DES", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIHjME4GCSqGSIb3DQEFDTBBMCkGCSqGSIb3DQEFDDAcBAhheCCD76g1/QICCAAw\nDAYIKoZIhvcNAgkFADAUBggqhkiG9w0DBwQI2i4PyfQoVFoEgZDZ/xt9lxsYveuM\n1ql2Y/Ob/ZiFcFOaCoi9Vjg+s4ZTLVkfnHKO09CFVfbIqwwxFBvmOG6GWE3LNdLf\n1lE0icHK1eQI7AZp3SviupT+hJ4W/jVPSsPceFGEXd4kO5KbQNimu/JsB4hG6b8V\n7npotn2KqoMMY4kJTif7dGrhhy2fJ3EZfml2/lT+qoVxoQgQH3s=\n-----END ENCRYPTED PRIVATE KEY-----\n"),
        ("PKCS#8, scrypt", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIHkME8GCSqGSIb3DQEFDTBCMCEGCSsGAQQB2kcECzAUBAg6huYuxEnQoQICQAAC\nAQgCAQEwHQYJYIZIAWUDBAEqBBDRhxyZXbvpprsWQvpSUFd/BIGQIMOBg99cZdzr\nJI9G4zbkQh9Q2UosGpt84zBunUNcv0dNMjSafoOSRCopms41c63rQbywnumg1w8m\nX4yVEQ7NOrTER6iosk/+mYE2pFKCPbfArl92v8a+2UGRlbtB8wH8JzK1z3Hy73zf\nK8napB/CVFP31ECYPi8/T4NvWL7WRq44TnW7vjKVzKy69SyoljCy\n-----END ENCRYPTED PRIVATE KEY-----\n"),
        ("PKCS#8, PBKDF2 with SHA-1", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIHeMEkGCSqGSIb3DQEFDTA8MBsGCSqGSIb3DQEFDDAOBAhFBfrrOxpjrQICCAAw\nHQYJYIZIAWUDBAEqBBAWTl1Fbh81ye9KCr/fD1SPBIGQFkhGiGJ3rCi8drrLl7n9\nyBqcKA/5XZN1oCwgdbeaNabka+oVryh1iuubob8sXAt4T8UDFYj/eVXcMHLeAjAp\n84Rogz0zIB3GP6xiMz7PhrFdh03Y5BM1c6Ia26RbCVDXZkVNaZ+oDj1JCe5rAmKV\ni7cFfqJRyTAjrCUdc4yczd3LNf4Ar/WZyyQTTJuYLQqG\n-----END ENCRYPTED PRIVATE KEY-----\n"),
        ("AES-128", "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,043DBC6F26DB9494F64F798A302CDA13\n\nZh9ElafmQdqALYdce59aRgqNM9KP0FmsvG31e218Gs2237R7CJcKN33ocxNSdIOi\nsONJI/5OgXvnpUIIrEVdOzwBZrkY8nZHLFQSOLUotRMqLJhuQCDg+KG6t1gwthFR\n7QEXNSon5lhW0JhjSGZumnqnqPPtG6iY3WJ8g8MHT70=\n-----END EC PRIVATE KEY-----\n"),
        ("AES-192", "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-192-CBC,92294596AE24300FD0F56AF5D8004FC4\n\nHsPsevVnH2sgmFJRfO3PGqpwsmnMBZB403XPYaizKupchJMDR9o1SKWXm9HFBVjw\nr+vwSEkiC4IYAn8lmRoEn1TCj2naZNaj0G5iAad7Fr+2fdJYf11qcZ3RHJ8+U5eG\nOWnLF9AWXD/0XLL/Mi8NxRXzacC+df9wBG9uUQMmsmg=\n-----END EC PRIVATE KEY-----\n"),
        ("AES-256", "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,8DB9AE7F7BEFCA06F820D72BEEF3A073\n\nNysM5l66KO6O+2TM3TzQYTLImOvUHK/rXxXI7pLHueVH3shpyU/HaHksTO3SRBRL\nyguMUWaP8TxfWLxlM6RduaVl5LMyjs21hYl13fRygh27eQ2/NA4JTG7dMRUfa9/Y\n9esR8szJQDf0RzPg7+GXyE2jd4cC5joG7hGVfF5e2K8=\n-----END EC PRIVATE KEY-----\n"),
        ("3DES", "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: DES-EDE3-CBC,3D776D2D6BAC91DB\n\n2Snlvoj9Dadn0Y4yS8/VgRc79BiOlIttKnA/bu/vndW0VCZJfjEuLr502TbzCZkK\ndw0bAcoTMmMcm1Li0oQiWuLIE8M8oRO/HVz1bNYXDJ+p1qYt3lhtrA3T/WcCp7ch\n0sSV5biXPGBj67RU2ckB4mpIU5PQttJpOP8RumpY9uE=\n-----END EC PRIVATE KEY-----\n"),
    ];

    #[test]
    fn openssls_keys_are_read_with_their_phrase_alone() {
        let plain = decrypt(KEYS[0].1.as_bytes(), b"secret").unwrap();
        let bits = |pem: &[u8]| {
            let key = PrivateKeyDer::from_pem_slice(pem).unwrap();
            rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap().public_key().unwrap().to_vec()
        };
        for (name, pem) in KEYS {
            assert!(is_encrypted(pem.as_bytes()), "{name}");
            let own = decrypt(pem.as_bytes(), b"secret").unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(bits(&own), bits(&plain), "{name}");
            assert!(!is_encrypted(&own));
            for wrong in [&b""[..], b"Secret", b"secret\n"] {
                assert_eq!(decrypt(pem.as_bytes(), wrong), Err(PhraseError::Wrong), "{name}");
            }
        }
    }

    #[test]
    fn broken_files_are_no_keys() {
        for text in [
            "",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\n",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
            "-----BEGIN EC PRIVATE KEY-----\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END EC PRIVATE KEY-----\n",
            "-----BEGIN EC PRIVATE KEY-----\nDEK-Info: RC2-CBC,00\n\nAAAA\n-----END EC PRIVATE KEY-----\n",
            "-----BEGIN EC PRIVATE KEY-----\nDEK-Info: AES-128-CBC\n\n!\n-----END EC PRIVATE KEY-----\n",
        ] {
            assert!(decrypt(text.as_bytes(), b"secret").is_err(), "{text}");
        }
    }
}

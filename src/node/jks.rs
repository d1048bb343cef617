//! Java's own older keystores, JKS: keys and certificates by alias, under a digest with the password in it.

use sha1::{Digest as _, Sha1};

/// Why a keystore cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It ends early, or has what no keystore has.
    #[error("Invalid keystore format")]
    Broken,
    /// The digest is another one.
    #[error("Keystore was tampered with, or password was incorrect")]
    Digest,
    /// A key is under another password.
    #[error("Cannot recover key")]
    Key,
}

/// What begins such a file.
pub const MAGIC: [u8; 4] = [0xfe, 0xed, 0xfe, 0xed];

/// What is in one.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Entries {
    /// Aliases with keys as PKCS#8 and certificates, the key's own first.
    pub keys: Vec<(String, Vec<u8>, Vec<Vec<u8>>)>,
    /// Certificates of others.
    pub trusted: Vec<Vec<u8>>,
}

/// Entries of a keystore, and certificates of a chain, at most.
const MOST: u32 = 10_000;
/// Bytes of a digest.
const DIGEST: usize = 20;
/// Stands for whoever made the store, in its digest.
const WHITENER: &[u8] = b"Mighty Aphrodite";
/// The scheme that hides keys, as its object identifier in DER.
const SCHEME: &[u8] = &[0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x2a, 0x02, 0x11, 0x01, 0x01];

/// Reads a keystore; keys may be under a password of their own.
///
/// # Errors
/// See [`Error`].
pub fn read(bytes: &[u8], password: &str, key_password: &str) -> Result<Entries, Error> {
    let at = bytes.len().checked_sub(DIGEST).ok_or(Error::Broken)?;
    let (body, digest) = bytes.split_at(at);
    let mut hash = Sha1::new();
    hash.update(utf16(password));
    hash.update(WHITENER);
    hash.update(body);
    // As Java does: who gives no password does not ask.
    if !password.is_empty() && hash.finalize().as_slice() != digest {
        return Err(Error::Digest);
    }
    let mut rest = Reader(body.get(MAGIC.len()..).ok_or(Error::Broken)?);
    let version = rest.number()?;
    let count = rest.number()?;
    if !matches!(version, 1 | 2) || count > MOST {
        return Err(Error::Broken);
    }
    let mut entries = Entries::default();
    for _ in 0..count {
        let kind = rest.number()?;
        let alias = rest.text()?;
        // When it was made.
        rest.take(8)?;
        match kind {
            1 => {
                let hidden = rest.bytes()?;
                let length = rest.number()?;
                if length > MOST {
                    return Err(Error::Broken);
                }
                let mut chain = Vec::new();
                for _ in 0..length {
                    chain.push(rest.certificate(version)?);
                }
                entries.keys.push((alias, uncovered(hidden, key_password)?, chain));
            }
            2 => entries.trusted.push(rest.certificate(version)?),
            _ => return Err(Error::Broken),
        }
    }
    Ok(entries)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Error::Broken)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u32, Error> {
        let bytes = self.take(4)?.try_into().map_err(|_| Error::Broken)?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn bytes(&mut self) -> Result<&'a [u8], Error> {
        let length = usize::try_from(self.number()?).map_err(|_| Error::Broken)?;
        self.take(length)
    }

    /// A text of Java's; aliases are told from each other without regard to case.
    fn text(&mut self) -> Result<String, Error> {
        let bytes: [u8; 2] = self.take(2)?.try_into().map_err(|_| Error::Broken)?;
        let text = self.take(usize::from(u16::from_be_bytes(bytes)))?;
        Ok(String::from_utf8_lossy(text).to_lowercase())
    }

    fn certificate(&mut self, version: u32) -> Result<Vec<u8>, Error> {
        if version == 2 {
            // `X.509`
            self.text()?;
        }
        self.bytes().map(<[u8]>::to_vec)
    }
}

/// Two bytes a character, as the digests have passwords.
fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

/// A key out of what hides it: salt, the key under a stream of digests, and a digest of the key.
fn uncovered(hidden: &[u8], password: &str) -> Result<Vec<u8>, Error> {
    let (scheme, hidden) = envelope(hidden).ok_or(Error::Broken)?;
    if scheme != SCHEME {
        return Err(Error::Broken);
    }
    let (salt, rest) = hidden.split_at_checked(DIGEST).ok_or(Error::Broken)?;
    let (key, check) = rest.split_at_checked(rest.len().saturating_sub(DIGEST)).ok_or(Error::Broken)?;
    let password = utf16(password);
    let digest = |of: &[u8]| Sha1::new().chain_update(&password).chain_update(of).finalize();
    let (mut block, mut out) = (digest(salt), Vec::with_capacity(key.len()));
    for piece in key.chunks(DIGEST) {
        out.extend(piece.iter().zip(block.iter()).map(|(byte, mask)| byte ^ mask));
        block = digest(&block);
    }
    if digest(&out).as_slice() == check { Ok(out) } else { Err(Error::Key) }
}

/// `SEQUENCE { SEQUENCE { scheme, NULL }, OCTET STRING }`: the scheme's identifier in DER, and the octets.
fn envelope(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (outer, _) = element(der, 0x30)?;
    let (inner, rest) = element(outer, 0x30)?;
    let (octets, _) = element(rest, 0x04)?;
    Some((inner.get(..SCHEME.len())?, octets))
}

/// The content of a DER element, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match *length {
        short @ 0..=0x7f => (usize::from(short), rest),
        long @ 0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(long - 0x80))?;
            (bytes.iter().fold(0, |all, byte| (all << 8) | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    if *first != tag {
        return None;
    }
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(count: u32, entries: &[u8]) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend([2_u32.to_be_bytes(), count.to_be_bytes()].concat());
        out.extend_from_slice(entries);
        let digest = Sha1::new().chain_update(utf16("pw")).chain_update(WHITENER).chain_update(&out).finalize();
        out.extend_from_slice(&digest);
        out
    }

    /// A certificate's entry.
    fn trusted() -> Vec<u8> {
        let mut out = 2_u32.to_be_bytes().to_vec();
        out.extend_from_slice(b"\0\x02Ca\0\0\0\0\0\0\0\0\0\x05X.509\0\0\0\x03abc");
        out
    }

    #[test]
    fn certificates_are_found() {
        let read = read(&store(1, &trusted()), "pw", "pw").unwrap();
        assert_eq!(read, Entries { keys: Vec::new(), trusted: vec![b"abc".to_vec()] });
    }

    #[test]
    fn what_is_broken_is_refused() {
        let good = store(1, &trusted());
        assert_eq!(read(&good, "other", ""), Err(Error::Digest));
        assert_eq!(read(&good[..10], "pw", ""), Err(Error::Broken));
        assert_eq!(read(&store(2, &trusted()), "pw", ""), Err(Error::Broken));
        assert_eq!(read(&store(u32::MAX, &trusted()), "pw", ""), Err(Error::Broken));
        for length in 0..trusted().len() {
            assert_eq!(read(&store(1, &trusted()[..length]), "pw", ""), Err(Error::Broken), "{length}");
        }
    }

    #[test]
    fn keys_are_uncovered_with_their_password() {
        let (salt, key) = ([7; DIGEST], (0..50).collect::<Vec<u8>>());
        let digest = |of: &[u8]| Sha1::new().chain_update(utf16("k")).chain_update(of).finalize().to_vec();
        let (mut block, mut covered) = (digest(&salt), salt.to_vec());
        for piece in key.chunks(DIGEST) {
            covered.extend(piece.iter().zip(&block).map(|(byte, mask)| byte ^ mask));
            block = digest(&block);
        }
        covered.extend(digest(&key));
        let scheme = [&[0x30, SCHEME.len() as u8 + 2][..], SCHEME, &[5, 0]].concat();
        let octets = [&[4, covered.len() as u8][..], &covered].concat();
        let hidden = [&[0x30, 0x81, (scheme.len() + octets.len()) as u8][..], &scheme, &octets].concat();
        assert_eq!(uncovered(&hidden, "k"), Ok(key));
        assert_eq!(uncovered(&hidden, "other"), Err(Error::Key));
        assert_eq!(uncovered(&hidden[..20], "k"), Err(Error::Broken));
    }
}

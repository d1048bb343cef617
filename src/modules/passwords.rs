//! Passwords and what htpasswd and htdigest make of them.

use base64::Engine as _;
use md5::{Digest as _, Md5};
use sha1::Sha1;

/// Whether `hash` was made of this password by any of htpasswd's ways: bcrypt, apr1, SHA-1, or crypt(3)'s.
pub(super) fn is_password(password: &[u8], hash: &[u8]) -> bool {
    let computed = if let Some(rest) = hash.strip_prefix(b"$apr1$") {
        let salt = rest.split(|byte| *byte == b'$').next().unwrap_or_default();
        apr1(password, &salt[..salt.len().min(8)])
    } else if hash.starts_with(b"{SHA}") {
        let digest = Sha1::digest(password);
        [b"{SHA}".as_slice(), base64::engine::general_purpose::STANDARD.encode(digest).as_bytes()].concat()
    } else {
        let Ok(hash) = std::str::from_utf8(hash) else { return false };
        // An empty or locked entry (`*`, `!`) is no hash at all.
        return hash.len() >= 13 && pwhash::unix::verify(password, hash);
    };
    same(&computed, hash)
}

/// Comparison that takes the same time wherever the difference is.
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

/// The MD5 scheme of htpasswd: a thousand rounds over password and salt, in an alphabet of its own.
fn apr1(password: &[u8], salt: &[u8]) -> Vec<u8> {
    let mut inner = Md5::new();
    inner.update(password);
    inner.update(salt);
    inner.update(password);
    let inner = inner.finalize();

    let mut first = Md5::new();
    first.update(password);
    first.update(b"$apr1$");
    first.update(salt);
    for chunk in password.chunks(16) {
        first.update(&inner[..chunk.len()]);
    }
    let mut bits = password.len();
    while bits != 0 {
        first.update(if bits & 1 == 1 { &[0][..] } else { &password[..1] });
        bits >>= 1;
    }
    let mut digest = first.finalize();

    for round in 0..1000 {
        let mut next = Md5::new();
        next.update(if round % 2 == 1 { password } else { &digest[..] });
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        next.update(if round % 2 == 1 { &digest[..] } else { password });
        digest = next.finalize();
    }

    const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut out = [b"$apr1$", salt, b"$"].concat();
    let mut push = |mut value: u32, count: usize| {
        for _ in 0..count {
            out.push(ALPHABET[(value & 63) as usize]);
            value >>= 6;
        }
    };
    for (a, b, c) in [(0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5)] {
        push(u32::from(digest[a]) << 16 | u32::from(digest[b]) << 8 | u32::from(digest[c]), 4);
    }
    push(u32::from(digest[11]), 2);
    out
}

/// The hash of user, realm and password.
pub(super) fn realm_hash(user: &[u8], realm: &[u8], password: &[u8]) -> Vec<u8> {
    md5_hex(&[user, b":", realm, b":", password].concat())
}

/// The MD5 of a text, in digits.
pub(super) fn md5_hex(text: &[u8]) -> Vec<u8> {
    hex(&Md5::digest(text))
}

/// Bytes as digits of base 16, in lower case.
pub(super) fn hex(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() * 2);
    for byte in bytes {
        crate::base::path::push_hex_lower(*byte, &mut out);
    }
    out
}

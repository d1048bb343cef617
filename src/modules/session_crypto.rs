//! `mod_session_crypto.c`: sessions that only who knows the passphrase can read or make.
//!
//! In base 64: a SipHash-2-4 of all that follows (its key is the MD5 of the passphrase), 16 bytes of salt, a block of
//! random bytes to begin with, and the text under AES-CBC with a key that PBKDF2 (HMAC-SHA-1, 4096 rounds) makes of
//! passphrase and salt. httpd's cookies are read here, and ours there.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hasher as _;
use std::sync::{Arc, OnceLock};

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockDecryptMut as _, BlockEncryptMut as _, KeyIvInit as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use foldhash::fast::RandomState;
use md5::{Digest as _, Md5};
use sha1::Sha1;
use siphasher::sip::SipHasher24;

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, Slots, latin1, row};
use crate::logs::{self, Level};
use crate::modules::passwords::same;
use crate::modules::rows::nothing;
use crate::modules::{check, slot};
use crate::pipe::Module;
use crate::web::{Exchange, Live};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "session_crypto_module",
        file: "mod_session_crypto.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// Values per directory.
#[derive(Clone, Default)]
pub struct CryptoDir {
    /// SessionCryptoPassphrase and SessionCryptoPassphraseFile: the first makes, all read.
    phrases: Option<Vec<Arc<Phrase>>>,
    /// SessionCryptoCipher.
    cipher: Option<Cipher>,
}

impl Conf for CryptoDir {
    const SLOT: usize = slot::SESSION_CRYPTO + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        crate::inner_or_outer!(base, add; phrases, cipher)
    }
}

/// AES with keys of so many bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Cipher {
    Aes128,
    Aes192,
    #[default]
    Aes256,
}

impl Cipher {
    fn key(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes192 => 24,
            Self::Aes256 => 32,
        }
    }
}

/// A passphrase.
struct Phrase {
    text: Vec<u8>,
    /// The salt with which this process makes sessions, and the key that follows from both: random blocks in front of
    /// each text keep them apart, and the key is dear.
    own: OnceLock<Option<(Salt, Vec<u8>)>>,
}

type Salt = [u8; 16];

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("SessionCryptoPassphrase", Places::AUTHCFG.or(Places::SERVER), Shape::Iterate, passphrase, "The passphrase(s) used to encrypt the session. First will be used for encryption, all phrases will be accepted for decryption"),
    row("SessionCryptoPassphraseFile", Places::DIR.or(Places::SERVER), Shape::Take1, passphrase_file, "File containing passphrase(s) used to encrypt the session, one per line. First will be used for encryption, all phrases will be accepted for decryption"),
    row("SessionCryptoCipher", Places::AUTHCFG.or(Places::SERVER), Shape::Take1, cipher, "The underlying crypto cipher to use"),
    row("SessionCryptoDriver", Places::SERVER, Shape::Raw, driver, "The underlying crypto library driver to use").moot(),
];

fn add(cmd: &mut Cmd<'_>, text: &[u8]) {
    let phrase = Phrase { text: text.to_vec(), own: OnceLock::new() };
    cmd.dir_conf::<CryptoDir>().phrases.get_or_insert_default().push(Arc::new(phrase));
}

fn passphrase(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    if args.word(0).starts_with(b"exec:") {
        cmd.refused = true;
        cmd.refused_words = Some("exec:".to_owned());
    }
    add(cmd, args.word(0));
    Ok(())
}

fn passphrase_file(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let (text, _) = check::contents(cmd, args)?;
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with(b"#")) {
        add(cmd, line);
    }
    Ok(())
}

fn cipher(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let cipher = match args.word(0) {
        b"aes128" => Cipher::Aes128,
        b"aes192" => Cipher::Aes192,
        b"aes256" => Cipher::Aes256,
        other => {
            cmd.refused = true;
            cmd.refused_words = Some(latin1(other));
            return Ok(());
        }
    };
    cmd.dir_conf::<CryptoDir>().cipher = Some(cipher);
    Ok(())
}

/// The library makes no difference that anybody could see.
fn driver(_: &mut Cmd<'_>, _: &Args<'_>) -> Result<(), String> {
    Ok(())
}

/// What makes and reads sessions.
#[derive(Clone)]
pub(super) struct Crypto {
    phrases: Vec<Arc<Phrase>>,
    cipher: Cipher,
}

/// What these values ask for; none: sessions go as they are.
pub(super) fn crypto(dir: &Slots) -> Option<Crypto> {
    let conf = dir.get::<CryptoDir>()?;
    Some(Crypto { phrases: conf.phrases.clone()?, cipher: conf.cipher.unwrap_or_default() })
}

/// What APR says of a session that cannot be read, in front of both entries about it.
pub(super) const UNREADABLE: &str = "(100005)Error string not specified yet: ";

/// Bytes of the hash in front.
const AUTH: usize = 8;
const ROUNDS: u32 = 4096;

/// Keys that a thread remembers; beyond that it starts over.
const MOST_KEYS: usize = 1024;

/// Passphrase, salt and cipher.
type KeyId = (Vec<u8>, Salt, Cipher);

#[derive(Default)]
struct Keys(RefCell<HashMap<KeyId, Vec<u8>, RandomState>>);

impl Phrase {
    fn key(&self, salt: &Salt, cipher: Cipher) -> Vec<u8> {
        let mut key = vec![0; cipher.key()];
        pbkdf2::pbkdf2_hmac::<Sha1>(&self.text, salt, ROUNDS, &mut key);
        key
    }

    fn auth(&self, text: &[u8]) -> [u8; AUTH] {
        let mut hasher = SipHasher24::new_with_key(&Md5::digest(&self.text).into());
        hasher.write(text);
        hasher.finish().to_le_bytes()
    }
}

/// A text that a passphrase has made.
struct Sealed<'a> {
    phrase: &'a Arc<Phrase>,
    salt: Salt,
    start: Salt,
    body: Vec<u8>,
}

impl Crypto {
    /// Makes a session's text unreadable; none without random numbers.
    pub(super) fn seal(&self, text: &[u8]) -> Option<Vec<u8>> {
        let phrase = self.phrases.first()?;
        let (salt, key) = phrase
            .own
            .get_or_init(|| {
                let mut salt = Salt::default();
                getrandom::fill(&mut salt).ok()?;
                Some((salt, phrase.key(&salt, self.cipher)))
            })
            .as_ref()?;
        // The key belongs to the cipher that came first; another one takes its own.
        let own = (key.len() != self.cipher.key()).then(|| phrase.key(salt, self.cipher));
        let key = own.as_ref().unwrap_or(key);
        let mut start = Salt::default();
        getrandom::fill(&mut start).ok()?;
        let body = match self.cipher {
            Cipher::Aes128 => encrypt::<aes::Aes128>(key, &start, text),
            Cipher::Aes192 => encrypt::<aes::Aes192>(key, &start, text),
            Cipher::Aes256 => encrypt::<aes::Aes256>(key, &start, text),
        }?;
        let all = [&salt[..], &start, &body].concat();
        Some(STANDARD.encode([&phrase.auth(&all)[..], &all].concat()).into_bytes())
    }

    /// What a passphrase of ours has made of a text; nothing else costs a key.
    fn open_outside(&self, ex: &Exchange, text: &[u8]) -> Option<Sealed<'_>> {
        let bytes = STANDARD.decode(text).ok().filter(|bytes| bytes.len() > AUTH + 2 * size_of::<Salt>());
        let Some(bytes) = bytes else {
            logs::error!(ex, Level::Debug, "session_crypto", "AH10005: too short to decrypt, aborting");
            return None;
        };
        let (auth, rest) = bytes.split_at(AUTH);
        let (salt, behind) = rest.split_first_chunk::<16>()?;
        let (start, body) = behind.split_first_chunk::<16>()?;
        let found = self.phrases.iter().find(|phrase| {
            let right = same(&phrase.auth(rest), auth);
            if !right {
                logs::error!(ex, Level::Debug, "session_crypto", "AH10006: auth does not match, skipping");
            }
            right
        });
        Some(Sealed { phrase: found?, salt: *salt, start: *start, body: body.to_vec() })
    }

    /// Reads a session's text; none if it is not of our making. A key that is not known yet is made off the thread
    /// that serves requests, as is the one to make sessions with.
    pub(super) async fn open(&self, ex: &Exchange, text: &[u8]) -> Option<Vec<u8>> {
        if let Some(phrase) = self.phrases.first().filter(|phrase| phrase.own.get().is_none()).cloned() {
            let this = Self { phrases: vec![phrase], cipher: self.cipher };
            let _ = tokio::task::spawn_blocking(move || this.seal(b"")).await;
        }
        if text.is_empty() {
            return Some(Vec::new());
        }
        let sealed = self.open_outside(ex, text);
        if let Some(sealed) = &sealed
            && self.known(&ex.live, sealed).is_none()
        {
            let (phrase, salt, cipher) = (sealed.phrase.clone(), sealed.salt, self.cipher);
            let key = tokio::task::spawn_blocking(move || phrase.key(&salt, cipher)).await.ok()?;
            self.remember(&ex.live, sealed, key);
        }
        self.decrypted(ex, sealed)
    }

    /// The same at once, for where nobody can wait.
    pub(super) fn open_now(&self, ex: &Exchange, text: &[u8]) -> Option<Vec<u8>> {
        if text.is_empty() {
            return Some(Vec::new());
        }
        let sealed = self.open_outside(ex, text);
        if let Some(sealed) = &sealed
            && self.known(&ex.live, sealed).is_none()
        {
            self.remember(&ex.live, sealed, sealed.phrase.key(&sealed.salt, self.cipher));
        }
        self.decrypted(ex, sealed)
    }

    fn decrypted(&self, ex: &Exchange, sealed: Option<Sealed<'_>>) -> Option<Vec<u8>> {
        let text = sealed.and_then(|sealed| {
            let key = self.known(&ex.live, &sealed)?;
            match self.cipher {
                Cipher::Aes128 => decrypt::<aes::Aes128>(&key, &sealed.start, &sealed.body),
                Cipher::Aes192 => decrypt::<aes::Aes192>(&key, &sealed.start, &sealed.body),
                Cipher::Aes256 => decrypt::<aes::Aes256>(&key, &sealed.start, &sealed.body),
            }
        });
        if text.is_none() {
            let text = "AH01842: decrypt session failed, wrong passphrase?";
            logs::error!(ex, Level::Error, "session_crypto", "{UNREADABLE}{text}");
        }
        text
    }

    fn known(&self, live: &Live, sealed: &Sealed<'_>) -> Option<Vec<u8>> {
        if let Some(Some((salt, key))) = sealed.phrase.own.get()
            && (*salt, key.len()) == (sealed.salt, self.cipher.key())
        {
            return Some(key.clone());
        }
        let keys = live.local(Keys::default);
        let id = (sealed.phrase.text.clone(), sealed.salt, self.cipher);
        let keys = keys.0.borrow();
        keys.get(&id).cloned()
    }

    fn remember(&self, live: &Live, sealed: &Sealed<'_>, key: Vec<u8>) {
        let keys = live.local(Keys::default);
        let mut keys = keys.0.borrow_mut();
        if keys.len() >= MOST_KEYS {
            keys.clear();
        }
        keys.insert((sealed.phrase.text.clone(), sealed.salt, self.cipher), key);
    }
}

fn encrypt<C: aes::cipher::BlockCipher + aes::cipher::BlockEncryptMut + aes::cipher::KeyInit>(
    key: &[u8],
    start: &Salt,
    text: &[u8],
) -> Option<Vec<u8>> {
    Some(cbc::Encryptor::<C>::new_from_slices(key, start).ok()?.encrypt_padded_vec_mut::<Pkcs7>(text))
}

fn decrypt<C: aes::cipher::BlockCipher + aes::cipher::BlockDecryptMut + aes::cipher::KeyInit>(
    key: &[u8],
    start: &Salt,
    body: &[u8],
) -> Option<Vec<u8>> {
    cbc::Decryptor::<C>::new_from_slices(key, start).ok()?.decrypt_padded_vec_mut::<Pkcs7>(body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Server;
    use crate::web::testing;

    fn crypto(phrases: &[&str], cipher: Cipher) -> Crypto {
        let phrase = |text: &&str| Arc::new(Phrase { text: text.as_bytes().to_vec(), own: OnceLock::new() });
        Crypto { phrases: phrases.iter().map(phrase).collect(), cipher }
    }

    /// A cookie that httpd has made with the passphrase `secret`.
    const HTTPDS: &[u8] =
        b"e3LQjt/WFTTvihQtNZRObYAhNGWUXcUqXl0PRhBPl5tQBrbCK6kyHjehYjydw5iuc48eVMPCLwNMLLkilYgomajv7MR/+8Pz";

    #[test]
    fn httpds_sessions_are_read() {
        let live = testing::live(vec![Server::default()], &[]);
        let ex = testing::exchange(&live, "GET / HTTP/1.1");
        let text = crypto(&["other", "secret"], Cipher::Aes256).open_now(&ex, HTTPDS).unwrap();
        assert!(text.starts_with(b"expiry="), "{}", text.escape_ascii());
        assert_eq!(crypto(&["other"], Cipher::Aes256).open_now(&ex, HTTPDS), None);
        let mut changed = HTTPDS.to_vec();
        changed[60] ^= 1;
        assert_eq!(crypto(&["secret"], Cipher::Aes256).open_now(&ex, &changed), None);
    }

    #[test]
    fn what_is_made_is_read() {
        let live = testing::live(vec![Server::default()], &[]);
        let ex = testing::exchange(&live, "GET / HTTP/1.1");
        for cipher in [Cipher::Aes128, Cipher::Aes192, Cipher::Aes256] {
            let ours = crypto(&["a", "b"], cipher);
            let (one, other) = (ours.seal(b"text").unwrap(), ours.seal(b"text").unwrap());
            assert_ne!(one, other);
            assert_eq!(ours.open_now(&ex, &one).as_deref(), Some(&b"text"[..]));
            assert_eq!(crypto(&["b", "a"], cipher).open_now(&ex, &other).as_deref(), Some(&b"text"[..]));
        }
        for broken in [&b"AAAA"[..], b"!", &[b'A'; 80]] {
            assert_eq!(crypto(&["a"], Cipher::Aes256).open_now(&ex, broken), None);
        }
    }
}

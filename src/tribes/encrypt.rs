//! EncryptInterceptor: AES over the message, in the formats that Tomcat has had.
//!
//! A message that cannot be opened is dropped before anything looks inside.

use std::collections::{HashSet, VecDeque};

use aes::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit, block_padding::Pkcs7};
use aes::{Aes128, Aes192, Aes256};
use aes_gcm::aead::Aead;
use aes_gcm::{AesGcm, KeyInit, Nonce};

use super::Level;
use super::config::{EncryptConfig, EncryptFormat};
use super::random::Random;
use super::stack::{Cause, Context, Incoming, Interceptor, Outgoing};

const SOURCE: &str = "org.apache.catalina.tribes.group.interceptors.EncryptInterceptor";

/// What is wrong with an EncryptInterceptor's configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeyError {
    #[error("Encryption key is required")]
    Missing,
    #[error("Invalid AES key length: {0} bytes")]
    Length(usize),
    #[error("EncryptInterceptor does not support the block cipher algorithm [{0}]")]
    Algorithm(String),
}

type Gcm<A> = AesGcm<A, aes::cipher::typenum::U12>;

enum Cipher {
    Gcm128(Box<Gcm<Aes128>>),
    Gcm192(Box<Gcm<Aes192>>),
    Gcm256(Box<Gcm<Aes256>>),
    Cbc(Vec<u8>),
}

impl Cipher {
    fn new(config: &EncryptConfig) -> Result<Self, KeyError> {
        let key = config.key.as_slice();
        if key.is_empty() {
            return Err(KeyError::Missing);
        }
        let unsupported = || KeyError::Algorithm(config.algorithm.clone());
        let mut words = config.algorithm.split('/').map(str::to_ascii_uppercase);
        let (name, mode, padding) = (words.next(), words.next(), words.next());
        if name.as_deref() != Some("AES") || words.next().is_some() {
            return Err(unsupported());
        }
        if !matches!(key.len(), 16 | 24 | 32) {
            return Err(KeyError::Length(key.len()));
        }
        let length = |_| KeyError::Length(key.len());
        match (mode.as_deref(), padding.as_deref()) {
            (Some("GCM"), Some("NOPADDING")) => Ok(match key.len() {
                16 => Self::Gcm128(Box::new(Gcm::new_from_slice(key).map_err(length)?)),
                24 => Self::Gcm192(Box::new(Gcm::new_from_slice(key).map_err(length)?)),
                _ => Self::Gcm256(Box::new(Gcm::new_from_slice(key).map_err(length)?)),
            }),
            (Some("CBC"), Some("PKCS5PADDING")) => Ok(Self::Cbc(key.to_vec())),
            _ => Err(unsupported()),
        }
    }

    fn iv_len(&self) -> usize {
        if matches!(self, Self::Cbc(_)) { 16 } else { 12 }
    }

    fn encrypt(&self, iv: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Gcm128(cipher) => cipher.encrypt(Nonce::from_slice(iv), plain).ok(),
            Self::Gcm192(cipher) => cipher.encrypt(Nonce::from_slice(iv), plain).ok(),
            Self::Gcm256(cipher) => cipher.encrypt(Nonce::from_slice(iv), plain).ok(),
            Self::Cbc(key) => match key.len() {
                16 => Some(cbc_encrypt::<Aes128>(key, iv, plain)?),
                24 => Some(cbc_encrypt::<Aes192>(key, iv, plain)?),
                _ => Some(cbc_encrypt::<Aes256>(key, iv, plain)?),
            },
        }
    }

    fn decrypt(&self, iv: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Gcm128(cipher) => cipher.decrypt(Nonce::from_slice(iv), sealed).ok(),
            Self::Gcm192(cipher) => cipher.decrypt(Nonce::from_slice(iv), sealed).ok(),
            Self::Gcm256(cipher) => cipher.decrypt(Nonce::from_slice(iv), sealed).ok(),
            Self::Cbc(key) => match key.len() {
                16 => cbc_decrypt::<Aes128>(key, iv, sealed),
                24 => cbc_decrypt::<Aes192>(key, iv, sealed),
                _ => cbc_decrypt::<Aes256>(key, iv, sealed),
            },
        }
    }
}

fn cbc_encrypt<A>(key: &[u8], iv: &[u8], plain: &[u8]) -> Option<Vec<u8>>
where
    A: aes::cipher::BlockCipher + BlockEncryptMut,
    cbc::Encryptor<A>: KeyIvInit,
{
    Some(cbc::Encryptor::<A>::new_from_slices(key, iv).ok()?.encrypt_padded_vec_mut::<Pkcs7>(plain))
}

fn cbc_decrypt<A>(key: &[u8], iv: &[u8], sealed: &[u8]) -> Option<Vec<u8>>
where
    A: aes::cipher::BlockCipher + BlockDecryptMut,
    cbc::Decryptor<A>: KeyIvInit,
{
    cbc::Decryptor::<A>::new_from_slices(key, iv).ok()?.decrypt_padded_vec_mut::<Pkcs7>(sealed).ok()
}

/// Whether the interceptor can work so.
pub(super) fn check(config: &EncryptConfig) -> Result<(), KeyError> {
    Cipher::new(config).map(|_| ())
}

/// Encrypts messages.
pub(super) struct Encrypt {
    config: EncryptConfig,
    /// None only with a configuration that was refused before.
    cipher: Option<Cipher>,
    seen: Replays,
    complained: u64,
}

impl Encrypt {
    pub(super) fn new(config: EncryptConfig) -> Self {
        let cipher = Cipher::new(&config).ok();
        Self { config, cipher, seen: Replays::default(), complained: 0 }
    }

    fn seal(&self, message: &[u8], timestamp: i64, random: &mut Random) -> Option<Vec<u8>> {
        let cipher = self.cipher.as_ref()?;
        let block = random.block();
        let iv = block.get(..cipher.iv_len())?;
        let sealed = match self.config.format {
            EncryptFormat::Plain => cipher.encrypt(iv, message)?,
            EncryptFormat::Timestamp => cipher.encrypt(iv, &[&timestamp.to_be_bytes(), message].concat())?,
        };
        Some([iv, &sealed].concat())
    }

    fn open(&mut self, message: &[u8], now: i64) -> Result<Vec<u8>, &'static str> {
        let failed = "Failed to decrypt message";
        let cipher = self.cipher.as_ref().ok_or(failed)?;
        let (iv, sealed) = message.split_at_checked(cipher.iv_len()).ok_or(failed)?;
        let mut plain = cipher.decrypt(iv, sealed).ok_or(failed)?;
        if self.config.format == EncryptFormat::Timestamp {
            let timestamp = i64::from_be_bytes(*plain.first_chunk::<8>().ok_or(failed)?);
            self.seen.check(iv, timestamp, now, &self.config)?;
            plain.drain(..8);
        }
        Ok(plain)
    }
}

impl Interceptor for Encrypt {
    fn name(&self) -> &'static str {
        "EncryptInterceptor"
    }

    fn start(&mut self, cx: &mut Context<'_>) {
        if matches!(self.cipher, Some(Cipher::Cbc(_))) {
            let algorithm = &self.config.algorithm;
            let text = format!("The EncryptInterceptor is using the insecure algorithm [{algorithm}]");
            cx.log(Level::Warning, SOURCE, text);
        }
    }

    fn send(&mut self, mut out: Outgoing, cx: &mut Context<'_>) {
        match self.seal(&out.message, out.timestamp, cx.random()) {
            Some(sealed) => {
                out.message = sealed.into();
                cx.down(out);
            }
            None => cx.fail(&out, Cause::Encode),
        }
    }

    fn receive(&mut self, mut message: Incoming, cx: &mut Context<'_>) {
        match self.open(&message.data.message, cx.now().wall) {
            Ok(plain) => {
                message.data.message = plain.into();
                cx.up(message);
            }
            Err(problem) => {
                self.complained += 1;
                // A flood of them must not flood the log.
                if self.complained.is_power_of_two() || self.complained.is_multiple_of(10_000) {
                    let source = message.data.source.name();
                    let text = format!("{problem} (from {source}, {} so far)", self.complained);
                    cx.log(Level::Severe, SOURCE, text);
                }
            }
        }
    }
}

/// Messages seen lately, by their initialisation vectors.
#[derive(Default)]
struct Replays {
    known: HashSet<Vec<u8>>,
    order: VecDeque<(i64, Vec<u8>)>,
    /// Nothing as old as what was forgotten last is let in.
    evicted: Option<i64>,
}

impl Replays {
    fn check(&mut self, iv: &[u8], timestamp: i64, now: i64, config: &EncryptConfig) -> Result<(), &'static str> {
        let replay = "Failed to decrypt message: replay attack detected";
        let window = i64::try_from(config.replay_window_time).unwrap_or(i64::MAX);
        let old = now.saturating_sub(timestamp) > window || timestamp.saturating_sub(now) > window;
        if old || self.evicted.is_some_and(|evicted| timestamp <= evicted) || self.known.contains(iv) {
            return Err(replay);
        }
        let outdated = |of: i64| now.saturating_sub(of) > window;
        while self.order.front().is_some_and(|(of, _)| outdated(*of)) {
            // Its own age keeps it out from now on.
            self.order.pop_front().map(|(_, iv)| self.known.remove(&iv));
        }
        self.known.insert(iv.to_vec());
        // Kept by age: the oldest is forgotten first.
        let at = self.order.partition_point(|(of, _)| *of <= timestamp);
        self.order.insert(at, (timestamp, iv.to_vec()));
        if self.order.len() > config.replay_window_message_count.max(1)
            && let Some((oldest, iv)) = self.order.pop_front()
        {
            self.known.remove(&iv);
            self.evicted = self.evicted.max(Some(oldest));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::codec::tribes::{ChannelData, split};

    fn recorded(name: &str) -> ChannelData {
        let text = include_str!("../../tests/tribes/vectors.txt");
        let hex = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" tcp-frame ")).unwrap();
        let bytes: Vec<u8> =
            (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect();
        let content = split(&bytes, 1 << 20).unwrap().unwrap().content;
        ChannelData::decode(&Bytes::copy_from_slice(content)).unwrap()
    }

    fn config(algorithm: &str) -> EncryptConfig {
        EncryptConfig { algorithm: algorithm.to_owned(), key: (0..16).collect(), ..EncryptConfig::default() }
    }

    /// What Tomcat encrypted is opened, once.
    #[test]
    fn recorded_messages_open() {
        for (name, algorithm) in
            [("encrypt-gcm-created", "AES/GCM/NoPadding"), ("encrypt-cbc-first", "AES/CBC/PKCS5Padding")]
        {
            let data = recorded(name);
            let mut open = Encrypt::new(config(algorithm));
            let plain = open.open(&data.message, data.timestamp + 5000).unwrap();
            assert!(plain.starts_with(b"\xac\xed\x00\x05sr"), "{name}");
            let again = open.open(&data.message, data.timestamp + 5000);
            assert_eq!(again, Err("Failed to decrypt message: replay attack detected"));
            let mut late = Encrypt::new(config(algorithm));
            assert!(late.open(&data.message, data.timestamp + 10_001).is_err());
        }
    }

    #[test]
    fn formats_and_keys_of_all_lengths_agree() {
        for (algorithm, length) in ["AES/GCM/NoPadding", "AES/CBC/PKCS5Padding"]
            .iter()
            .flat_map(|algorithm| [16, 24, 32].map(|length| (*algorithm, length)))
        {
            for format in [EncryptFormat::Timestamp, EncryptFormat::Plain] {
                let config = EncryptConfig { key: (0..length).collect(), format, ..config(algorithm) };
                let mut both = Encrypt::new(config.clone());
                let mut random = Random::new([7; 32]);
                let sealed = both.seal(b"message", 1000, &mut random).unwrap();
                assert_ne!(sealed, both.seal(b"message", 1000, &mut random).unwrap());
                for at in 0..sealed.len() {
                    let mut wrong = sealed.clone();
                    wrong[at] ^= 1;
                    if algorithm.contains("GCM") {
                        assert_eq!(Encrypt::new(config.clone()).open(&wrong, 1000), Err("Failed to decrypt message"));
                    }
                }
                assert_eq!(both.open(&sealed, 1000).as_deref(), Ok(&b"message"[..]));
            }
        }
    }

    #[test]
    fn what_cannot_work_is_refused() {
        assert_eq!(check(&EncryptConfig::default()), Err(KeyError::Missing));
        let key = |key| EncryptConfig { key, ..config("AES/GCM/NoPadding") };
        assert_eq!(check(&key(vec![0; 15])), Err(KeyError::Length(15)));
        for algorithm in ["AES/ECB/PKCS5Padding", "AES/CBC/NoPadding", "AES/GCM/PKCS5Padding", "DES/CBC/PKCS5Padding"] {
            assert_eq!(check(&config(algorithm)), Err(KeyError::Algorithm(algorithm.to_owned())));
        }
    }

    #[test]
    fn replays_are_remembered_within_bounds() {
        let config = EncryptConfig { replay_window_message_count: 2, ..config("AES/GCM/NoPadding") };
        let mut seen = Replays::default();
        for n in 0..3u8 {
            assert_eq!(seen.check(&[n], 100 + i64::from(n), 100, &config), Ok(()));
        }
        assert_eq!((seen.known.len(), seen.order.len(), seen.evicted), (2, 2, Some(100)));
        assert!(seen.check(&[9], 100, 100, &config).is_err(), "as old as what was forgotten");
        assert_eq!(seen.check(&[9], 103, 100, &config), Ok(()));
    }
}

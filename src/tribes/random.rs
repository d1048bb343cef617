//! Random numbers from a seed: AES-256 of a counter, so that initialisation vectors are as good as
//! their seed and a simulation repeats.

use aes::cipher::{BlockEncrypt, KeyInit};
use aes::{Aes256, Block};

use crate::codec::tribes::UniqueId;

/// A source of random bytes.
pub struct Random {
    cipher: Aes256,
    counter: u128,
}

impl Random {
    /// From a seed that nobody else has.
    pub fn new(seed: [u8; 32]) -> Self {
        Self { cipher: Aes256::new(&seed.into()), counter: 0 }
    }

    /// Sixteen bytes.
    pub fn block(&mut self) -> [u8; 16] {
        self.counter = self.counter.wrapping_add(1);
        let mut block = Block::from(self.counter.to_be_bytes());
        self.cipher.encrypt_block(&mut block);
        block.into()
    }

    /// A number.
    pub fn u64(&mut self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.block();
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// A unique id, with the bits of a version 4 UUID as Tomcat's have.
    pub fn unique_id(&mut self) -> UniqueId {
        let mut id = self.block();
        id[6] = id[6] & 0x0f | 0x40;
        id[8] = id[8] & 0x3f | 0x80;
        id
    }
}

impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Random")
    }
}

//! Sets of bytes, and how an engine reads them.

use std::fmt::Write;

/// A set of bytes: one bit each, below 128 and above.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Set([u128; 2]);

pub(super) const EMPTY: Set = Set([0, 0]);

impl Set {
    pub(super) fn from(member: impl Fn(u8) -> bool) -> Self {
        let mut set = EMPTY;
        for byte in (0..=u8::MAX).filter(|byte| member(*byte)) {
            set.add(byte, byte);
        }
        set
    }

    pub(super) fn has(&self, byte: u8) -> bool {
        let Self([low, high]) = self;
        let half = if byte < 128 { low } else { high };
        half >> (byte & 127) & 1 == 1
    }

    pub(super) fn add(&mut self, first: u8, last: u8) {
        let Self([low, high]) = self;
        for byte in first..=last {
            let half = if byte < 128 { &mut *low } else { &mut *high };
            *half |= 1 << (byte & 127);
        }
    }

    pub(super) fn join(&mut self, other: &Self) {
        for (half, other) in self.0.iter_mut().zip(other.0) {
            *half |= other;
        }
    }

    pub(super) fn negated(&self) -> Self {
        Self(self.0.map(|half| !half))
    }

    /// Writes the set as a class.  Negation is left to the engine, which folds case before it.
    pub(super) fn write(&self, negated: bool, out: &mut String) {
        if *self == EMPTY {
            // No byte, or every byte.
            out.push_str(if negated { "[\\x00-\\xFF]" } else { "[^\\x00-\\xFF]" });
            return;
        }
        out.push_str(if negated { "[^" } else { "[" });
        let mut byte = 0u16;
        while byte < 256 {
            let low = byte;
            while byte < 256 && self.has(byte as u8) {
                byte += 1;
            }
            if byte > low {
                push_byte(low as u8, out);
                if byte > low + 1 {
                    out.push('-');
                    push_byte((byte - 1) as u8, out);
                }
            }
            byte += 1;
        }
        out.push(']');
    }
}

/// Writes a byte so that no engine takes it for anything else.
pub(super) fn push_byte(byte: u8, out: &mut String) {
    if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'=' | b':' | b',' | b';' | b'%' | b'!') {
        out.push(char::from(byte));
    } else {
        let _ = write!(out, "\\x{byte:02X}");
    }
}

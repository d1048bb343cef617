//! Bytes of log lines: numbers and escapes.

use std::fmt;

/// Appends a decimal number.
pub fn push_u64(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends a decimal number with its sign.
pub fn push_i64(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    push_u64(out, value.unsigned_abs());
}

/// Appends a number in lower case hexadecimal.
pub fn push_hex(out: &mut Vec<u8>, value: u64) {
    let digits = (16 - value.leading_zeros() as usize / 4).max(1);
    for i in (0..digits).rev() {
        out.push(HEX[(value >> (4 * i)) as usize & 15]);
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Which bytes an escaped text may hold as they are: bit 1 = access log items, bit 2 = error log items.
const PLAIN: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 32;
    while byte < 127 {
        table[byte] = match byte as u8 {
            b'\\' => 0,
            b'"' => 2,
            _ => 3,
        };
        byte += 1;
    }
    table
};

#[inline]
fn push_escaped(out: &mut Vec<u8>, text: &[u8], mask: u8) {
    let mut rest = text;
    loop {
        let plain = rest.iter().position(|&byte| PLAIN[byte as usize] & mask == 0).unwrap_or(rest.len());
        let (head, tail) = rest.split_at(plain);
        out.extend_from_slice(head);
        let Some((&byte, tail)) = tail.split_first() else { return };
        rest = tail;
        out.push(b'\\');
        match byte {
            8 => out.push(b'b'),
            b'\n' => out.push(b'n'),
            b'\r' => out.push(b'r'),
            b'\t' => out.push(b't'),
            11 => out.push(b'v'),
            b'\\' | b'"' => out.push(byte),
            _ => out.extend_from_slice(&[b'x', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]),
        }
    }
}

/// Appends an access log item: `"` and `\` behind a backslash, control bytes and those above 126 as `\n` or `\xhh`.
#[inline]
pub fn push_log_item(out: &mut Vec<u8>, text: &[u8]) {
    push_escaped(out, text, 1);
}

/// Appends a text of the error log: as [`push_log_item`], but quotes stay.
#[inline]
pub fn push_error_item(out: &mut Vec<u8>, text: &[u8]) {
    push_escaped(out, text, 2);
}

/// Base of the private code points that carry bytes above 127 through [`fmt`].
const PRIVATE: u32 = 0x10_FE00;

/// Bytes inside a message: `logs::error!(…, "AH…: no {}", Bytes(path))` logs them unchanged but for escaping.
#[derive(Clone, Copy)]
pub struct Bytes<'a>(pub &'a [u8]);

impl fmt::Display for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        for &byte in self.0 {
            let code = if byte < 128 { u32::from(byte) } else { PRIVATE + u32::from(byte) };
            f.write_char(char::from_u32(code).unwrap_or('?'))?;
        }
        Ok(())
    }
}

/// Takes formatted text and keeps bytes; the other end of [`Bytes`].
pub struct ByteWriter<'a>(pub &'a mut Vec<u8>);

impl fmt::Write for ByteWriter<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match u32::from(c).checked_sub(PRIVATE).map(u8::try_from) {
                Some(Ok(byte)) => self.0.push(byte),
                _ if c.is_ascii() => self.0.push(c as u8),
                _ => self.0.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_are_httpds() {
        let mut out = Vec::new();
        push_log_item(&mut out, b"a\"b\\c\x08\n\r\t\x0b\x01\x7f\xe9 ");
        assert_eq!(out, br#"a\"b\\c\b\n\r\t\v\x01\x7f\xe9 "#);
        out.clear();
        push_error_item(&mut out, b"http://r/\"q\\x\n");
        assert_eq!(out, br#"http://r/"q\\x\n"#);
    }

    #[test]
    fn numbers() {
        let mut out = Vec::new();
        push_u64(&mut out, 0);
        push_i64(&mut out, i64::MIN);
        push_u64(&mut out, u64::MAX);
        push_hex(&mut out, 0);
        push_hex(&mut out, 0x10);
        push_hex(&mut out, u64::MAX);
        assert_eq!(out, b"0-922337203685477580818446744073709551615010ffffffffffffffff");
    }

    proptest! {
        #[test]
        fn bytes_survive_formatting(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut out = Vec::new();
            write!(ByteWriter(&mut out), "<{}>", Bytes(&bytes)).expect("never fails");
            prop_assert_eq!(&out[1..out.len() - 1], &bytes[..]);
        }

        #[test]
        fn nothing_raw_survives_escaping(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut out = Vec::new();
            push_log_item(&mut out, &bytes);
            prop_assert!(out.iter().all(|b| (32..127).contains(b)));
        }
    }
}

//! Modified UTF-8: NUL in two bytes, what is beyond the basic plane as two surrogates of three.

use super::Error;

/// Checks a string's bytes.
pub(crate) fn check(bytes: &[u8]) -> Result<(), Error> {
    if bytes.is_ascii() {
        return Ok(());
    }
    units(bytes, |_| ())
}

/// The text; a surrogate without its other half becomes U+FFFD.
pub fn decode(bytes: &[u8]) -> Result<String, Error> {
    if bytes.is_ascii()
        && let Ok(text) = std::str::from_utf8(bytes)
    {
        return Ok(text.to_owned());
    }
    let mut wide = Vec::with_capacity(bytes.len());
    units(bytes, |unit| wide.push(unit))?;
    Ok(String::from_utf16_lossy(&wide))
}

/// The bytes Java writes for a text.
pub fn encode(text: &str, out: &mut Vec<u8>) {
    // NUL is the only ASCII character that is written differently.
    if text.is_ascii() && !text.as_bytes().contains(&0) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    for unit in text.encode_utf16() {
        let [high, low] = unit.to_be_bytes();
        match unit {
            1..0x80 => out.push(low),
            0..0x800 => out.extend([0xc0 | high << 2 | low >> 6, 0x80 | low & 0x3f]),
            _ => out.extend([0xe0 | high >> 4, 0x80 | (high & 0xf) << 2 | low >> 6, 0x80 | low & 0x3f]),
        }
    }
}

/// Java's reader takes overlong forms and a plain NUL as well, so they are taken here.
fn units(bytes: &[u8], mut each: impl FnMut(u16)) -> Result<(), Error> {
    let mut rest = bytes.iter().copied().map(u16::from);
    let tail = |rest: &mut dyn Iterator<Item = u16>| match rest.next() {
        Some(byte) if byte & 0xc0 == 0x80 => Ok(byte & 0x3f),
        _ => Err(Error::Utf8),
    };
    while let Some(first) = rest.next() {
        each(match first {
            0..0x80 => first,
            0xc0..0xe0 => (first & 0x1f) << 6 | tail(&mut rest)?,
            0xe0..0xf0 => {
                let middle = tail(&mut rest)?;
                (first & 0xf) << 12 | middle << 6 | tail(&mut rest)?
            }
            _ => return Err(Error::Utf8),
        });
    }
    Ok(())
}

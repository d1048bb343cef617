//! The Authorization field of the Digest scheme.

use super::clients::LENGTH;

/// What a client says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Field {
    pub username: Option<Vec<u8>>,
    pub realm: Option<Vec<u8>>,
    pub nonce: Option<Vec<u8>>,
    pub uri: Option<Vec<u8>>,
    pub response: Option<Vec<u8>>,
    pub algorithm: Option<Vec<u8>>,
    pub cnonce: Option<Vec<u8>>,
    pub opaque: Option<Vec<u8>>,
    pub qop: Option<Vec<u8>>,
    pub nc: Option<Vec<u8>>,
    /// Everything that must be there is.
    pub valid: bool,
}

/// Reads the field; the error is the scheme, if it is another one.
pub(super) fn read(value: &[u8]) -> Result<Field, Vec<u8>> {
    let value = value.trim_ascii_start();
    let end = value.iter().position(u8::is_ascii_whitespace).unwrap_or(value.len());
    let (scheme, mut rest) = value.split_at(end);
    if !scheme.eq_ignore_ascii_case(b"digest") {
        return Err(scheme.to_vec());
    }
    let mut field = Field::default();
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            break;
        }
        let end = rest.iter().position(|byte| matches!(byte, b'=' | b',') || byte.is_ascii_whitespace());
        let (name, behind) = rest.split_at(end.unwrap_or(rest.len()));
        rest = behind.trim_ascii_start();
        let mut text = Vec::new();
        if let Some(behind) = rest.strip_prefix(b"=") {
            (text, rest) = word(behind.trim_ascii_start());
        }
        // What follows up to the comma is no part of anything.
        rest = rest.iter().position(|byte| *byte == b',').map_or(&[], |comma| &rest[comma + 1..]);
        field.put(name, text);
    }
    field.valid = field.is_complete();
    Ok(field)
}

/// A quoted string or a word, and what follows it.
fn word(text: &[u8]) -> (Vec<u8>, &[u8]) {
    let Some(text) = text.strip_prefix(b"\"") else {
        let end = text.iter().position(|byte| *byte == b',' || byte.is_ascii_whitespace()).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        return (word.to_vec(), rest);
    };
    let mut out = Vec::new();
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => break,
            b'\\' => out.extend(bytes.next()),
            byte => out.push(*byte),
        }
    }
    (out, bytes.as_slice())
}

impl Field {
    fn put(&mut self, name: &[u8], text: Vec<u8>) {
        let slot = match name.to_ascii_lowercase().as_slice() {
            b"username" => &mut self.username,
            b"realm" => &mut self.realm,
            b"nonce" => &mut self.nonce,
            b"uri" => &mut self.uri,
            b"response" => &mut self.response,
            b"algorithm" => &mut self.algorithm,
            b"cnonce" => &mut self.cnonce,
            b"opaque" => &mut self.opaque,
            b"qop" => &mut self.qop,
            b"nc" => &mut self.nc,
            _ => return,
        };
        *slot = Some(text);
    }

    fn is_complete(&self) -> bool {
        let counted = self.qop.is_none() || (self.cnonce.is_some() && self.nc.is_some());
        let named = self.username.is_some() && self.realm.is_some() && self.uri.is_some() && self.response.is_some();
        named && counted && self.nonce.as_ref().is_some_and(|nonce| nonce.len() == LENGTH)
    }

    /// The client that `opaque` names; 0 is nobody.
    pub(super) fn client(&self) -> u32 {
        let text = self.opaque.as_deref().and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
        let end = text.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(text.len());
        u32::from_str_radix(&text[..end], 16).unwrap_or(0)
    }
}

/// A count in base 16 as C reads it; none if something else follows it.
pub(super) fn count(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii();
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let digits = digits.strip_prefix(b"0x").or_else(|| digits.strip_prefix(b"0X")).unwrap_or(digits);
    if digits.is_empty() {
        return text.is_empty().then_some(0);
    }
    let mut sum = 0u64;
    for digit in digits {
        let value = crate::base::path::hex_value(*digit)?;
        sum = sum.checked_mul(16).map_or(u64::MAX, |sum| sum.saturating_add(u64::from(value)));
    }
    Some(if negative { sum.wrapping_neg() } else { sum })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read() {
        let text =
            b" DIGEST username=\"a \\\"b\", realm = r , x, uri=\"/\",nc=1 junk, qop=auth,cnonce=\"\", opaque=\"1f\"";
        let field = read(text).unwrap();
        assert_eq!(field.username.as_deref(), Some(&b"a \"b"[..]));
        assert_eq!((field.realm.as_deref(), field.uri.as_deref()), (Some(&b"r"[..]), Some(&b"/"[..])));
        assert_eq!((field.nc.as_deref(), field.cnonce.as_deref()), (Some(&b"1"[..]), Some(&b""[..])));
        assert_eq!((field.client(), field.valid), (31, false));
        assert_eq!(read(b"Basic x").unwrap_err(), b"Basic");
        assert_eq!(read(b"Digest").unwrap(), Field::default());
        for broken in [&b"digest username=\"a"[..], b"digest =,=\",\\", b"digest ,,,", b"digest \""] {
            assert!(!read(broken).unwrap().valid);
        }
    }

    #[test]
    fn counts_are_of_base_16() {
        let all = [&b"00000001"[..], b"1f ", b"0x1F", b"", b"xyz", b"1g", b"99999999999999999999"].map(count);
        assert_eq!(all, [Some(1), Some(31), Some(31), Some(0), None, None, Some(u64::MAX)]);
        assert_eq!(count(b"-1"), Some(u64::MAX));
    }
}

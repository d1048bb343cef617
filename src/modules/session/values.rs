//! What a session holds, and its text.

use crate::base::path::{EncodedSlashes, escape_urlencoded, unescape_url};

/// The name under which the end of a session stands in its text, in microseconds since 1970.
const EXPIRY: &[u8] = b"expiry";

/// Names and values, and how long they hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Values {
    entries: Vec<(Vec<u8>, Vec<u8>)>,
    /// In microseconds since 1970; 0: for ever.
    pub expiry: i64,
}

impl Values {
    /// Reads a session's text.
    pub(super) fn read(text: &[u8]) -> Self {
        let mut values = Self::default();
        for pair in text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let at = memchr::memchr(b'=', pair).unwrap_or(pair.len());
            let (name, value) = (decoded(&pair[..at]), decoded(pair.get(at + 1..).unwrap_or_default()));
            if name == EXPIRY {
                values.expiry = crate::base::clock::leading_integer(&value).0.unwrap_or(0);
            } else {
                values.set(&name, Some(&value));
            }
        }
        values
    }

    /// Its text.
    pub(super) fn text(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let expiry = (self.expiry != 0).then(|| (EXPIRY.to_vec(), self.expiry.to_string().into_bytes()));
        for (name, value) in self.entries.iter().chain(&expiry) {
            if !out.is_empty() {
                out.push(b'&');
            }
            escape_urlencoded(name, &mut out);
            out.push(b'=');
            escape_urlencoded(value, &mut out);
        }
        out
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.entries.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
    }

    /// Puts a value in, or takes it out.
    pub(super) fn set(&mut self, name: &[u8], value: Option<&[u8]>) {
        let at = self.entries.iter().position(|(known, _)| known == name);
        match (at, value) {
            (Some(at), Some(value)) => self.entries[at].1 = value.to_vec(),
            (Some(at), None) => {
                self.entries.remove(at);
            }
            (None, Some(value)) => self.entries.push((name.to_vec(), value.to_vec())),
            (None, None) => {}
        }
    }
}

fn decoded(text: &[u8]) -> Vec<u8> {
    let text: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let mut out = Vec::with_capacity(text.len());
    // A bad escape stands for itself.
    let _ = unescape_url(&text, EncodedSlashes::Decode, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_and_written() {
        let mut values = Values::read(b"r+e-user=b%26b&expiry=123&&x&r+e-pw=p");
        assert_eq!((values.get(b"r e-user"), values.get(b"x")), (Some(&b"b&b"[..]), Some(&b""[..])));
        assert_eq!(values.text(), b"r+e-user=b%26b&x=&r+e-pw=p&expiry=123");
        assert_eq!(Values::read(&values.text()), values);
        values.set(b"x", None);
        values.set(b"r e-pw", Some(b"q"));
        values.expiry = 0;
        assert_eq!(values.text(), b"r+e-user=b%26b&r+e-pw=q");
        assert_eq!(Values::read(b""), Values::default());
    }
}

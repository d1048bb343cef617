//! Who logs in: as the client says in its fields, else in the URL, else anybody.

use base64::Engine as _;

use super::Failed;
use super::target::{is_sendable, unescaped};
use crate::upstream::canon::behind_scheme;
use crate::web::{Exchange, ProxyKind};

/// A user and a password.
pub(super) struct Login {
    pub(super) user: Vec<u8>,
    pub(super) password: Option<Vec<u8>>,
    /// The user, where `Authorization` named it.
    pub(super) authorized: Option<Vec<u8>>,
}

impl Login {
    pub(super) fn of(ex: &Exchange, url: &[u8]) -> Result<Self, Failed> {
        if let Some(credentials) = ex.headers_in.get(b"Authorization").and_then(basic)
            && !credentials.starts_with(b":")
        {
            if !is_sendable(&credentials) {
                return Err(Failed::Page(400, "user credentials contained invalid character".to_owned()));
            }
            let (user, password) = split(&credentials);
            let password = Some(password.unwrap_or_default().to_vec());
            return Ok(Self { user: user.to_vec(), password, authorized: Some(user.to_vec()) });
        }
        if ex.proxyreq == ProxyKind::Forward
            && let Some(named) = user_info(url)
        {
            let (user, password) = split(named);
            return Ok(Self { user: unescaped(user), password: password.map(unescaped), authorized: None });
        }
        let password = Some(b"apache-proxy@".to_vec());
        Ok(Self { user: b"anonymous".to_vec(), password, authorized: None })
    }
}

/// What stands in front of the host.
pub(super) fn user_info(url: &[u8]) -> Option<&[u8]> {
    let rest = url.get(behind_scheme(url)..)?;
    let end = memchr::memchr(b'/', rest).unwrap_or(rest.len());
    let authority = rest.get(..end)?;
    authority.get(..memchr::memrchr(b'@', authority)?)
}

fn split(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b':', text) {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
        None => (text, None),
    }
}

/// The credentials of `Authorization: Basic`.
fn basic(field: &[u8]) -> Option<Vec<u8>> {
    let (scheme, rest) = field.split_at_checked(memchr::memchr(b' ', field)?)?;
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let engine = base64::engine::GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        base64::engine::GeneralPurposeConfig::new()
            .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    engine.decode(rest.trim_ascii()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_found_in_fields_and_urls() {
        assert_eq!(basic(b"Basic dTpw"), Some(b"u:p".to_vec()));
        assert_eq!(basic(b"bAsic   dTpw "), Some(b"u:p".to_vec()));
        assert_eq!(basic(b"Digest dTpw"), None);
        assert_eq!(user_info(b"ftp://u:p@h/x@y"), Some(&b"u:p"[..]));
        assert_eq!(user_info(b"ftp://h/x@y"), None);
    }
}

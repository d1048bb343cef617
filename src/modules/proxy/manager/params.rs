//! What is asked of the manager.

use crate::base::path::{EncodedSlashes, unescape_url};
use crate::modules::forms;
use crate::pipe::{self, Outcome};
use crate::web::{BodyKind, Exchange, Wire};

/// As much of a form as is read.
const BODY_MAX: usize = 1024;

/// What a link may say: where to go, nothing to change.
const IN_LINKS: [&[u8]; 4] = [b"b", b"w", b"nonce", b"xml"];

/// Names and values.
#[derive(Debug, Default)]
pub(super) struct Params(Vec<(Vec<u8>, Vec<u8>)>);

impl Params {
    fn parse(text: &[u8]) -> Self {
        Self(forms::pairs(text))
    }

    /// Those of a link.
    pub(super) fn of_query(query: &[u8]) -> Self {
        let mut all = Self::parse(query);
        all.0.retain(|(name, _)| IN_LINKS.contains(&name.as_slice()));
        all
    }

    /// The last value of this name.
    pub(super) fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.0.iter().rev().find(|(other, _)| other == name).map(|(_, value)| value.as_slice())
    }

    /// A text; httpd takes escapes out of it a second time.
    pub(super) fn text(&self, name: &[u8]) -> Option<Vec<u8>> {
        let value = self.get(name)?;
        let mut out = Vec::with_capacity(value.len());
        let _ = unescape_url(value, EncodedSlashes::Decode, &mut out);
        Some(out)
    }

    /// A whole number in a range.
    pub(super) fn number(&self, name: &[u8], least: i64, most: i64) -> Option<u32> {
        let number = crate::base::clock::leading_integer(self.get(name)?).0.unwrap_or(0);
        u32::try_from(number).ok().filter(|_| (least..=most).contains(&number))
    }
}

/// Those of a form that was sent.
pub(super) async fn of_body(ex: &mut Exchange, wire: &mut dyn Wire) -> Result<Params, Outcome> {
    if wire.body_kind() == BodyKind::None || !forms::is_form(ex) {
        return Ok(Params::default());
    }
    let mut text = Vec::new();
    while text.len() < BODY_MAX && !wire.body_done() {
        match pipe::fill(wire).await {
            Ok(0) => break,
            Ok(_) => {}
            Err(fault) => return Err(pipe::body_fault(ex, fault)),
        }
        let here = wire.body();
        let n = here.len().min(BODY_MAX - text.len());
        text.extend_from_slice(here.get(..n).unwrap_or_default());
        wire.consume(n);
    }
    Ok(Params::parse(&text))
}

/// The host of an absolute URL.
pub(super) fn host(url: &[u8]) -> Option<&[u8]> {
    let rest = url.get(memchr::memmem::find(url, b"://")? + 3..)?;
    let end = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
    let authority = rest.get(..end)?;
    let place = authority.rsplit(|byte| *byte == b'@').next()?;
    if place.first() == Some(&b'[') {
        return place.get(1..memchr::memchr(b']', place)?);
    }
    place.split(|byte| *byte == b':').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_change_nothing() {
        let query = Params::of_query(b"b=x&w_lf=5&w=http://h:1/a%20b&xml=1&nonce=n");
        assert_eq!((query.get(b"b"), query.get(b"w_lf")), (Some(&b"x"[..]), None));
        assert_eq!(query.get(b"w"), Some(&b"http://h:1/a b"[..]));
        let form = Params::parse(b"w_wr=r%2525x&w_ls=7&w_ls=200&b_max=x");
        assert_eq!(form.text(b"w_wr"), Some(b"r%x".to_vec()));
        assert_eq!((form.number(b"w_ls", 0, 99), form.number(b"b_max", 0, 99)), (None, Some(0)));
    }

    #[test]
    fn hosts_of_referers() {
        for (url, want) in [
            ("http://h.test:81/bm?x", Some("h.test")),
            ("https://u:p@h.test", Some("h.test")),
            ("http://[::1]:80/", Some("::1")),
            ("/bm", None),
        ] {
            assert_eq!(host(url.as_bytes()), want.map(str::as_bytes), "{url}");
        }
    }
}

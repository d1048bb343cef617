//! Media types taken apart: `type/subtype; attribute=value…`.

/// A media type as it is written out, with the place of its charset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Media {
    /// The whole text.
    pub text: Vec<u8>,
    /// Where `; charset=…` starts and ends in it, or the end if it has none; `None` when the text is no media type
    /// and gets no charset.
    charset: Option<(usize, usize)>,
}

impl Media {
    /// Reads a type; what is none is kept as it is.
    pub(super) fn new(text: &[u8]) -> Self {
        Self::parse(text).unwrap_or_else(|| Self { text: text.to_vec(), charset: None })
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let mut rest = text.trim_ascii();
        let kind = token(&mut rest)?;
        rest = rest.trim_ascii_start().strip_prefix(b"/")?.trim_ascii_start();
        let subtype = token(&mut rest)?;
        let mut out = [kind, b"/", subtype].concat();
        let mut charset = None;
        loop {
            rest = rest.trim_ascii_start();
            if rest.is_empty() {
                break;
            }
            rest = rest.strip_prefix(b";")?.trim_ascii_start();
            let name = token(&mut rest)?;
            rest = rest.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
            let value = if rest.first() == Some(&b'"') { quoted(&mut rest)? } else { token(&mut rest)? };
            let start = out.len();
            out.extend_from_slice(&[b"; ", name, b"=", value].concat());
            if name == b"charset" && charset.is_none() {
                charset = Some((start, out.len()));
            }
        }
        let charset = charset.unwrap_or((out.len(), out.len()));
        Some(Self { text: out, charset: Some(charset) })
    }

    /// Appends the text, with this charset in place of its own.
    pub(super) fn push(&self, charset: Option<&[u8]>, out: &mut Vec<u8>) {
        match (charset, self.charset) {
            (Some(charset), Some((start, end))) => {
                out.extend_from_slice(self.text.get(..start).unwrap_or_default());
                out.extend_from_slice(b"; charset=");
                out.extend_from_slice(charset);
                out.extend_from_slice(self.text.get(end..).unwrap_or_default());
            }
            _ => out.extend_from_slice(&self.text),
        }
    }
}

/// Takes a token, at least one byte long.
fn token<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let special = |byte: &u8| *byte <= b' ' || *byte >= 127 || b"()<>@,;:\\\"/[]?=".contains(byte);
    let end = rest.iter().position(special).unwrap_or(rest.len());
    let (token, after) = rest.split_at(end);
    *rest = after;
    (!token.is_empty()).then_some(token)
}

/// Takes a quoted string, quotes included.
fn quoted<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut end = 1;
    while *rest.get(end)? != b'"' {
        end += if rest.get(end) == Some(&b'\\') { 2 } else { 1 };
    }
    let (string, after) = rest.split_at(end + 1);
    *rest = after;
    Some(string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_written_out_evenly() {
        for (text, charset, want) in [
            ("text/html", None, "text/html"),
            ("text/html", Some("utf-8"), "text/html; charset=utf-8"),
            ("text/x;charset=foo; q=1", None, "text/x; charset=foo; q=1"),
            ("text/x;charset=foo; q=1", Some("l1"), "text/x; charset=l1; q=1"),
            ("text/x; charset=\"foo bar\"", None, "text/x; charset=\"foo bar\""),
            ("text/p;a=b;c=d", Some("u"), "text/p; a=b; c=d; charset=u"),
            ("bad", Some("utf-8"), "bad"),
            ("text/", Some("utf-8"), "text/"),
            ("text/html;x", Some("utf-8"), "text/html;x"),
            ("", Some("utf-8"), ""),
        ] {
            let mut out = Vec::new();
            Media::new(text.as_bytes()).push(charset.map(str::as_bytes), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), want);
        }
        assert_eq!(Media::parse(b"text/x; a=\"open"), None);
        assert_eq!(Media::parse(b"text/x; a=\"esc\\"), None);
    }
}

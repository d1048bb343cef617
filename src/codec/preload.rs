//! What a field `Link` (RFC 8288) says that a client is to load ahead, read as httpd reads it: up to the first thing
//! that is out of place.

/// A link with `rel=preload` that may be pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preload<'a> {
    /// What stands between `<` and `>`.
    pub target: &'a [u8],
    /// The response that names it cannot be shown without it.
    pub critical: bool,
}

/// Gives the links of a field's value to `each`.
pub fn preloads<'a>(value: &'a [u8], mut each: impl FnMut(Preload<'a>)) {
    let mut rest = Rest(value);
    while rest.take(b'<')
        && let Some(target) = rest.up_to(b'>')
    {
        // Of parameters with the same name the last one counts.
        let (mut relation, mut critical, mut refused) = (&b""[..], false, false);
        while let Some((name, value)) = rest.parameter() {
            if name.eq_ignore_ascii_case(b"rel") {
                relation = value;
            }
            critical |= name.eq_ignore_ascii_case(b"critical");
            refused |= name.eq_ignore_ascii_case(b"nopush");
        }
        if names_preload(relation) && !refused {
            each(Preload { target, critical });
        }
        if !rest.take(b',') {
            return;
        }
    }
}

/// Whether `preload` is one of these words; only the first place where it is found counts.
fn names_preload(relation: &[u8]) -> bool {
    const WORD: &[u8] = b"preload";
    let Some(at) = memchr::memmem::find(relation, WORD) else { return false };
    let before = at.checked_sub(1).and_then(|at| relation.get(at));
    let behind = relation.get(at + WORD.len());
    matches!(before, None | Some(b' ')) && matches!(behind, None | Some(b' '))
}

struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn skip_blank(&mut self) {
        while let [b' ' | b'\t' | b'\n', rest @ ..] = self.0 {
            self.0 = rest;
        }
    }

    fn take(&mut self, wanted: u8) -> bool {
        self.skip_blank();
        match self.0 {
            [first, rest @ ..] if *first == wanted => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    fn up_to(&mut self, end: u8) -> Option<&'a [u8]> {
        let at = memchr::memchr(end, self.0)?;
        let found = self.0.get(..at)?;
        self.0 = self.0.get(at + 1..)?;
        Some(found)
    }

    fn while_some(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.0.iter().position(|byte| !wanted(*byte)).unwrap_or(self.0.len());
        let (found, rest) = self.0.split_at(end);
        self.0 = rest;
        found
    }

    /// `;name=value`, `;name="value"` or `;name`.
    fn parameter(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        if !self.take(b';') {
            return None;
        }
        self.skip_blank();
        let name = self.while_some(|byte| byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte));
        if name.is_empty() {
            return None;
        }
        if !self.take(b'=') {
            return Some((name, b""));
        }
        self.skip_blank();
        // A quotation without its end is read as if it had no beginning.
        if self.take(b'"')
            && let Some(value) = self.up_to(b'"')
        {
            return Some((name, value));
        }
        Some((name, self.while_some(|byte| byte.is_ascii_graphic() && !b"\",;\\".contains(&byte))))
    }
}

/// The path and query of a target on the server that answers for `authority`, without a fragment; `None`: it is
/// elsewhere, or relative to what only the client knows.
pub fn path_within<'a>(target: &'a [u8], scheme: &[u8], authority: &[u8]) -> Option<&'a [u8]> {
    let target = target.trim_ascii();
    let end = memchr::memchr(b'#', target).unwrap_or(target.len());
    let mut rest = target.get(..end)?;
    let first = rest.iter().position(|byte| b":/?".contains(byte));
    if let Some(at) = first.filter(|at| rest.get(*at) == Some(&b':')) {
        if rest.get(..at) != Some(scheme) {
            return None;
        }
        rest = rest.get(at + 1..)?;
    }
    if let Some(behind) = rest.strip_prefix(b"//") {
        let end = behind.iter().position(|byte| b"/?".contains(byte)).unwrap_or(behind.len());
        if behind.get(..end) != Some(authority) {
            return None;
        }
        rest = behind.get(end..)?;
    }
    rest.starts_with(b"/").then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Targets on `http://a.test:1`, with what httpd was seen to push.
    #[test]
    fn links_are_read_as_httpd_reads_them() {
        for (value, pushed) in [
            (r#"</a>; rel="preload; x"#, &["/a"][..]),
            (r#"</a>; rel="preload"#, &["/a"]),
            (r#"</a>; rel=preload""#, &["/a"]),
            (r#"</a>; rel="x preload; y"#, &[]),
            ("</a>; rel = preload", &["/a"]),
            ("</a>\t;\trel=preload", &["/a"]),
            ("</a>;rel=preload;", &["/a"]),
            ("</a>;;rel=preload", &[]),
            ("</a>; rel=preload , </b>; rel=preload", &["/a", "/b"]),
            ("</a>; rel=preload x, </b>; rel=preload", &["/a"]),
            ("</a> x; rel=preload, </b>; rel=preload", &[]),
            ("</a>; rel=preload,, </b>; rel=preload", &["/a"]),
            ("</a>; rel=preload; </b>; rel=preload", &["/a"]),
            ("</a>; rel=prefetch, </b>; rel=preload", &["/b"]),
            ("</a>, </b>; rel=preload", &["/b"]),
            ("x, </b>; rel=preload", &[]),
            (r#"</a>; rel="preload x""#, &["/a"]),
            (r#"</a>; rel="x preload y""#, &["/a"]),
            (r#"</a>; rel="xpreload""#, &[]),
            (r#"</a>; rel="preloadx""#, &[]),
            (r#"</a>; rel="x-preload""#, &[]),
            (r#"</a>; rel="preloadx preload""#, &[]),
            (r#"</a>; rel="xpreload preload""#, &[]),
            ("</a>; rel=\"x\tpreload\"", &[]),
            (r#"</a>; rel=" preload""#, &["/a"]),
            ("</a>; rel=Preload", &[]),
            ("</a>; rel='preload'", &[]),
            ("</a>; REL=preload", &["/a"]),
            ("</a>; rel=preload; rel=x", &[]),
            ("</a>; rel=x; rel=preload", &["/a"]),
            ("</a>; rel*=preload", &[]),
            ("</a>; rel=preload; NOPUSH", &[]),
            ("</a>; rel=preload; nopush=0", &[]),
            ("</a>; rel=preload; nopush*", &[]),
            (r#"</a>; rel=preload; as="a,b", </b>; rel=preload"#, &["/a", "/b"]),
            (r#"</a>; rel=preload; as="a\"b", </b>; rel=preload"#, &["/a"]),
            ("</a>; rel=preload; as=, </b>; rel=preload", &["/a", "/b"]),
            ("</a>; rel=preload; =x, </b>; rel=preload", &["/a"]),
            ("</a>; rel=preload; a=b=c, </b>; rel=preload", &["/a", "/b"]),
            ("</a>; rel=preload; a=<b>, </b>; rel=preload", &["/a", "/b"]),
            ("</a>; rel=preload; a=b c=d, </b>; rel=preload", &["/a"]),
            ("</a>; rel=preload; a~b=1, </b>; rel=preload", &["/a", "/b"]),
            ("</a>; rel=preload; a'b=1, </b>; rel=preload", &["/a"]),
            ("</a>; rel=preload; a/b=1, </b>; rel=preload", &["/a"]),
            ("<>; rel=preload", &[]),
            ("< /a>; rel=preload", &["/a"]),
            ("</b?x=1>; rel=preload", &["/b?x=1"]),
            ("<//a.test:1/b>; rel=preload", &["/b"]),
            ("<//a.test/b>; rel=preload", &[]),
            ("<http://a.test:1/b>; rel=preload", &["/b"]),
            ("<http://a.test:1>; rel=preload", &[]),
            ("<http://a.test:1/>; rel=preload", &["/"]),
            ("<HTTP://a.test:1/b>; rel=preload", &[]),
            ("<http://A.test:1/b>; rel=preload", &[]),
            ("<https://a.test:1/b>; rel=preload", &[]),
            ("<http://u@a.test:1/b>; rel=preload", &[]),
            ("<http:/b>; rel=preload", &["/b"]),
            ("<//>; rel=preload", &[]),
            ("</c/../b>; rel=preload", &["/c/../b"]),
            ("</%62>; rel=preload", &["/%62"]),
            ("<mailto:x>; rel=preload", &[]),
            ("</a:b>; rel=preload", &["/a:b"]),
            ("<a:b/c>; rel=preload", &[]),
            // Of these httpd makes requests that no client takes.
            ("<a>; rel=preload", &[]),
            ("<?x>; rel=preload", &[]),
            ("</a#x>; rel=preload", &["/a"]),
            ("<*>; rel=preload", &[]),
        ] {
            let mut found = Vec::new();
            preloads(value.as_bytes(), |link| {
                let path = path_within(link.target, b"http", b"a.test:1");
                found.extend(path.map(|path| String::from_utf8_lossy(path).into_owned()));
            });
            assert_eq!(found, pushed, "{value}");
        }
    }

    #[test]
    fn what_cannot_be_done_without_is_critical() {
        let mut seen = Vec::new();
        preloads(b"</a>; rel=preload; critical, </b>; rel=preload", |link| seen.push((link.target, link.critical)));
        assert_eq!(seen, [(&b"/a"[..], true), (b"/b", false)]);
    }
}

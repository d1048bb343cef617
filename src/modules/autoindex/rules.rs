//! Which icon, text or file goes with a name.

use crate::base::fnmatch::{Fnmatch, fnmatch, is_wildcard};

/// The name under which icons of directories are looked for.
pub(super) const DIRECTORY: &[u8] = b"^^DIRECTORY^^";
/// The name of the icon that is only there for its width.
pub(super) const BLANK: &[u8] = b"^^BLANKICON^^";

/// What a rule compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Path,
    Type,
    Encoding,
}

/// A value for names, types or encodings below a section's path.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    by: By,
    to: Vec<u8>,
    below: Vec<u8>,
    value: Vec<u8>,
}

/// What is looked up: a file, or one of the made-up names.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub path: &'a [u8],
    /// Without parameters; empty if unknown.
    pub media: &'a [u8],
    pub encoding: &'a [u8],
}

impl<'a> Subject<'a> {
    /// A name without type and encoding.
    pub(super) fn name(path: &'a [u8]) -> Self {
        Self { path, media: b"", encoding: b"" }
    }
}

impl Rule {
    pub(super) fn new(by: By, to: &[u8], below: &[u8], value: &[u8]) -> Self {
        let star = by == By::Path && !has_glob(to);
        let to = if star { [b"*", to].concat() } else { to.to_vec() };
        Self { by, to, below: [below, b"*"].concat(), value: value.to_vec() }
    }

    /// For every directory.
    pub(super) fn everywhere(value: &[u8]) -> Self {
        Self { by: By::Path, to: b"*".to_vec(), below: b"*".to_vec(), value: value.to_vec() }
    }

    fn fits(&self, subject: Subject<'_>) -> bool {
        let made_up = subject.path.first() == Some(&b'^');
        if !made_up && !glob(subject.path, &self.below, false) {
            return false;
        }
        if self.to.is_empty() {
            return true;
        }
        match self.by {
            _ if made_up => glob(subject.path, &self.to, false),
            By::Path => glob(subject.path, &self.to, false),
            By::Type => subject.encoding.is_empty() && !subject.media.is_empty() && glob(subject.media, &self.to, true),
            By::Encoding => !subject.encoding.is_empty() && glob(subject.encoding, &self.to, true),
        }
    }

    /// Whether a file of this name is left out of the listing.
    pub(super) fn ignores(&self, path: &[u8]) -> bool {
        glob(path, &self.below, false) && glob(last(path), last(&self.to), false)
    }
}

/// The value of the first rule that fits.
pub(super) fn find<'a>(rules: &'a [Rule], subject: Subject<'_>) -> Option<&'a [u8]> {
    rules.iter().find(|rule| rule.fits(subject)).map(|rule| rule.value.as_slice())
}

/// The part behind the last slash.
pub(super) fn last(path: &[u8]) -> &[u8] {
    let start = memchr::memrchr(b'/', path).map_or(0, |at| at + 1);
    path.get(start..).unwrap_or_default()
}

/// `AddDescription`.
#[derive(Clone, Debug)]
pub(super) struct Description {
    pattern: Vec<u8>,
    whole_path: bool,
    wildcards: bool,
    text: Vec<u8>,
}

impl Description {
    pub(super) fn new(to: &[u8], text: &[u8]) -> Self {
        let whole_path = to.contains(&b'/');
        let wildcards = whole_path || is_wildcard(to);
        let pattern =
            if wildcards { [if whole_path { b"*/".as_slice() } else { b"*" }, to, b"*"].concat() } else { to.to_vec() };
        Self { pattern, whole_path, wildcards, text: text.to_vec() }
    }

    fn fits(&self, path: &[u8]) -> bool {
        let name = if self.whole_path { path } else { last(path) };
        if self.wildcards {
            fnmatch(&self.pattern, name, Fnmatch::default())
        } else {
            memchr::memmem::find(name, &self.pattern).is_some()
        }
    }
}

/// The first description of a file.
pub(super) fn describe<'a>(descriptions: &'a [Description], path: &[u8]) -> Option<&'a [u8]> {
    descriptions.iter().find(|description| description.fits(path)).map(|description| description.text.as_slice())
}

fn has_glob(text: &[u8]) -> bool {
    text.iter().any(|byte| matches!(byte, b'*' | b'?'))
}

/// Whether the whole of `text` matches; `*` and `?` are the only wildcards, and a slash is nothing special.
fn glob(text: &[u8], pattern: &[u8], icase: bool) -> bool {
    let equal = |a: u8, b: u8| if icase { a.eq_ignore_ascii_case(&b) } else { a == b };
    let (mut at, mut with) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while let Some(byte) = text.get(at) {
        match pattern.get(with) {
            Some(b'*') => {
                with += 1;
                retry = Some((at, with));
            }
            Some(wanted) if *wanted == b'?' || equal(*wanted, *byte) => {
                at += 1;
                with += 1;
            }
            _ => match &mut retry {
                // The star takes one byte more.
                Some((from, next)) => {
                    *from += 1;
                    (at, with) = (*from, *next);
                }
                None => return false,
            },
        }
    }
    pattern.get(with..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_cross_slashes() {
        for (text, pattern, want) in [
            ("/a/b.gif", "*.gif", true),
            ("/a/b.gif", "/a/*", true),
            ("b.gif", "?.gif", true),
            ("bb.gif", "?.gif", false),
            ("abcabd", "*abd", true),
            ("", "*", true),
            ("a", "", false),
            ("[x]", "[x]", true),
        ] {
            assert_eq!(glob(text.as_bytes(), pattern.as_bytes(), false), want, "{text} {pattern}");
        }
        assert!(glob(b"Text/HTML", b"text/*", true));
    }

    #[test]
    fn the_first_fitting_rule_counts() {
        let rules = [
            Rule::new(By::Type, b"text/*", b"", b"/text.gif"),
            Rule::new(By::Encoding, b"x-gzip", b"", b"/gz.gif"),
            Rule::new(By::Path, b".bin", b"/srv/", b"/bin.gif"),
            Rule::new(By::Path, DIRECTORY, b"/srv/", b"/dir.gif"),
        ];
        let file = |path: &'static str, media: &'static str, encoding: &'static str| Subject {
            path: path.as_bytes(),
            media: media.as_bytes(),
            encoding: encoding.as_bytes(),
        };
        assert_eq!(find(&rules, file("/srv/a.txt", "text/plain", "")), Some(&b"/text.gif"[..]));
        assert_eq!(find(&rules, file("/srv/a.txt.gz", "text/plain", "x-gzip")), Some(&b"/gz.gif"[..]));
        assert_eq!(find(&rules, file("/srv/a.bin", "", "")), Some(&b"/bin.gif"[..]));
        assert_eq!(find(&rules, file("/other/a.bin", "", "")), None);
        assert_eq!(find(&rules, Subject::name(DIRECTORY)), Some(&b"/dir.gif"[..]));
        assert_eq!(find(&rules, Subject::name(BLANK)), None);
    }

    #[test]
    fn descriptions_compare_names_or_paths() {
        let list =
            [Description::new(b"*.tar", b"tape"), Description::new(b"d/x", b"deep"), Description::new(b"read", b"me")];
        assert_eq!(describe(&list, b"/a/b.tar"), Some(&b"tape"[..]));
        assert_eq!(describe(&list, b"/a/d/x"), Some(&b"deep"[..]));
        assert_eq!(describe(&list, b"/a/unread"), Some(&b"me"[..]));
        assert_eq!(describe(&list, b"/read/b"), None);
    }

    #[test]
    fn ignoring_looks_at_the_last_segment() {
        assert!(Rule::new(By::Path, b".bak", b"", b"").ignores(b"/a/x.bak"));
        assert!(Rule::new(By::Path, b"..", b"", b"").ignores(b"/a/.."));
        assert!(!Rule::new(By::Path, b".??*", b"/b/", b"").ignores(b"/a/.hidden"));
        assert!(Rule::new(By::Path, b".??*", b"", b"").ignores(b"/a/.hidden"));
    }
}

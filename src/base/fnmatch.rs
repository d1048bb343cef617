//! Shell wildcards: `<Directory>`, `<Files>`, `<Location>`, `Include`, `-fnmatch`.

/// How a pattern is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fnmatch {
    /// A slash matches only a slash, and segments are compared one by one.
    pub pathname: bool,
    /// A leading dot (of each segment, with `pathname`) matches only a dot.
    pub period: bool,
    /// ASCII letters match either case.
    pub icase: bool,
    /// A backslash is an ordinary byte.
    pub noescape: bool,
}

/// Does `name` match the whole of `pattern`?  Linear in segments, quadratic at worst in one.
pub fn fnmatch(pattern: &[u8], name: &[u8], how: Fnmatch) -> bool {
    if !how.pathname {
        return segment(pattern, name, how);
    }
    let (mut pattern, mut name) = (pattern, name);
    loop {
        let (here, pattern_rest) = cut(pattern, pattern_slash(pattern, how));
        let (segment_name, name_rest) = cut(name, memchr::memchr(b'/', name));
        if !segment(here, segment_name, how) {
            return false;
        }
        match (pattern_rest, name_rest) {
            (None, None) => return true,
            (Some(next), Some(next_name)) => (pattern, name) = (next, next_name),
            _ => return false,
        }
    }
}

/// Does the text hold a wildcard, so that it is matched and not compared?
pub fn is_wildcard(text: &[u8]) -> bool {
    let mut open = false;
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'?' | b'*' => return true,
            b'\\' if bytes.next().is_none() => return false,
            b'[' => open = true,
            b']' if open => return true,
            _ => {}
        }
    }
    false
}

fn cut(text: &[u8], at: Option<usize>) -> (&[u8], Option<&[u8]>) {
    match at {
        Some(at) => {
            let (before, after) = text.split_at(at);
            (before, after.get(1..))
        }
        None => (text, None),
    }
}

/// The first slash of a pattern that is not inside brackets.
fn pattern_slash(pattern: &[u8], how: Fnmatch) -> Option<usize> {
    let mut rest = pattern;
    while let Some(first) = rest.first() {
        if *first == b'/' {
            return Some(pattern.len() - rest.len());
        }
        let (_, after) = one(rest, b'/', how);
        rest = after;
    }
    None
}

/// One segment: the last star is the only place to come back to.
fn segment(pattern: &[u8], name: &[u8], how: Fnmatch) -> bool {
    if how.period && name.first() == Some(&b'.') && pattern.first() != Some(&b'.') && !escaped_dot(pattern, how) {
        return false;
    }
    let (mut rest, mut left) = (pattern, name);
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        match (rest.split_first(), left.split_first()) {
            (Some((b'*', after)), _) => {
                star = Some((after, left));
                rest = after;
                continue;
            }
            (Some(_), Some((byte, left_after))) => {
                let (matched, after) = one(rest, *byte, how);
                if matched {
                    (rest, left) = (after, left_after);
                    continue;
                }
            }
            (None, None) => return true,
            _ => {}
        }
        let Some((after, from)) = star else { return false };
        let Some((_, from)) = from.split_first() else { return false };
        star = Some((after, from));
        (rest, left) = (after, from);
    }
}

fn escaped_dot(pattern: &[u8], how: Fnmatch) -> bool {
    !how.noescape && pattern.starts_with(b"\\.")
}

/// Does the first element of `pattern` (not a star) match `byte`; and the pattern after it.
fn one(pattern: &[u8], byte: u8, how: Fnmatch) -> (bool, &[u8]) {
    let Some((first, after)) = pattern.split_first() else { return (false, pattern) };
    match (first, after.split_first()) {
        (b'?', _) => (true, after),
        (b'[', _) => brackets(after, byte, how).unwrap_or((byte == b'[', after)),
        (b'\\', Some((literal, after))) if !how.noescape => (same(*literal, byte, how), after),
        _ => (same(*first, byte, how), after),
    }
}

/// The inside of `[...]`; `None` when it is not closed, and then `[` stands for itself.
fn brackets(inside: &[u8], byte: u8, how: Fnmatch) -> Option<(bool, &[u8])> {
    let (negated, mut rest) = match inside {
        [b'!' | b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut found = false;
    let mut first = true;
    loop {
        let (low, after) = member(rest, how)?;
        if !first && rest.first() == Some(&b']') {
            return Some((found != negated, after));
        }
        if how.pathname && low == b'/' {
            return None;
        }
        first = false;
        rest = after;
        match after {
            [b'-', ends @ ..] if ends.first().is_some_and(|b| *b != b']') => {
                let (high, after) = member(ends, how)?;
                rest = after;
                found |= in_range(low, high, byte, how);
            }
            _ => found |= same(low, byte, how),
        }
    }
}

fn member(text: &[u8], how: Fnmatch) -> Option<(u8, &[u8])> {
    match text {
        [b'\\', literal, rest @ ..] if !how.noescape => Some((*literal, rest)),
        [byte, rest @ ..] => Some((*byte, rest)),
        [] => None,
    }
}

fn in_range(low: u8, high: u8, byte: u8, how: Fnmatch) -> bool {
    let range = low..=high;
    range.contains(&byte)
        || (how.icase && (range.contains(&byte.to_ascii_lowercase()) || range.contains(&byte.to_ascii_uppercase())))
}

fn same(a: u8, b: u8, how: Fnmatch) -> bool {
    a == b || (how.icase && a.eq_ignore_ascii_case(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Fnmatch = Fnmatch { pathname: false, period: false, icase: false, noescape: false };
    const PATH: Fnmatch = Fnmatch { pathname: true, ..PLAIN };

    #[test]
    fn matches_the_whole_name() {
        for (pattern, name, want) in [
            ("a*", "abc", true),
            ("a*c", "abcbd", false),
            ("*.b.*", "a.b.c", true),
            ("*", "", true),
            ("", "", true),
            ("?", "", false),
            ("a?c", "a/c", true),
            ("*", "a/b", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[^a-c]x", "dx", true),
            ("[]]", "]", true),
            ("[a", "[a", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("a**b*c", "axxbyyc", true),
            ("[a-]", "-", true),
            (".*", ".x", true),
            ("ABC", "abc", false),
        ] {
            assert_eq!(fnmatch(pattern.as_bytes(), name.as_bytes(), PLAIN), want, "{pattern} {name}");
        }
        assert!(fnmatch(b"A[B-C]*", b"abx", Fnmatch { icase: true, ..PLAIN }));
    }

    #[test]
    fn keeps_segments_apart() {
        for (pattern, name, want) in [
            ("/a/*/c", "/a/b/c", true),
            ("/a/*", "/a/b/c", false),
            ("/a?c", "/a/c", false),
            ("/a[/]c", "/a/c", false),
            ("/*", "/", true),
            ("/a", "/a/", false),
        ] {
            assert_eq!(fnmatch(pattern.as_bytes(), name.as_bytes(), PATH), want, "{pattern} {name}");
        }
        let period = Fnmatch { period: true, ..PATH };
        assert!(!fnmatch(b"/a/*", b"/a/.b", period));
        assert!(fnmatch(b"/a/.*", b"/a/.b", period));
        assert!(!fnmatch(b"?b", b".b", period));
    }

    #[test]
    fn many_stars_stay_cheap() {
        let pattern = b"*a".repeat(40);
        let name = b"a".repeat(20_000);
        let mut wrong = name.clone();
        wrong.push(b'b');
        assert!(fnmatch(&pattern, &name, PLAIN));
        assert!(!fnmatch(&pattern, &wrong, PLAIN));
    }

    #[test]
    fn knows_a_wildcard() {
        for (text, want) in
            [("a*", true), ("a?", true), ("[a]", true), ("[a", false), ("a]", false), ("\\*", false), ("a\\", false)]
        {
            assert_eq!(is_wildcard(text.as_bytes()), want, "{text}");
        }
    }
}

//! Words of argument texts, and paths as httpd makes them absolute.

/// Reads one word as httpd does, and what follows it without leading blanks: quotes of either kind, `\\` before the same
/// quote or a backslash inside them; a doubled backslash counts once outside them too.
pub fn get_word(text: &[u8]) -> (Vec<u8>, &[u8]) {
    match super::parse::word(text) {
        Ok((rest, word)) => (word, rest),
        Err(_) => (Vec::new(), b""),
    }
}

/// All words of a text.
pub fn get_words(text: &[u8]) -> Vec<Vec<u8>> {
    super::parse::words(text).map(|(_, words)| words).unwrap_or_default()
}

/// `path` made absolute against `root`, without `.`, `..` and doubled slashes; a slash at the end stays.
pub fn merge_path(root: &[u8], path: &[u8]) -> Vec<u8> {
    if path.first() == Some(&b'/') {
        return clean_path(path);
    }
    let mut full = root.to_vec();
    full.push(b'/');
    full.extend_from_slice(path);
    clean_path(&full)
}

/// `path` without `.`, `..` (as far as there is something in front of them) and doubled slashes.
pub fn clean_path(path: &[u8]) -> Vec<u8> {
    let absolute = path.first() == Some(&b'/');
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => match parts.last() {
                Some(last) if *last != b".." => {
                    parts.pop();
                }
                _ if absolute => {}
                _ => parts.push(part),
            },
            _ => parts.push(part),
        }
    }
    let mut out = Vec::with_capacity(path.len());
    if absolute {
        out.push(b'/');
    }
    out.extend_from_slice(&parts.join(&b'/'));
    if path.len() > 1 && path.last() == Some(&b'/') && out.last() != Some(&b'/') {
        out.push(b'/');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_follow_httpds_quoting() {
        let word = |text: &str| {
            let (word, rest) = get_word(text.as_bytes());
            (String::from_utf8(word).unwrap(), String::from_utf8(rest.to_vec()).unwrap())
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(word("  a b"), pair("a", "b"));
        assert_eq!(word(r#""a \"b\" \n" c"#), pair(r#"a "b" \n"#, "c"));
        assert_eq!(word(r#"'a\"b' c"#), pair(r#"a\"b"#, "c"));
        assert_eq!(word(r#"a"b c"#), pair("a\"b", "c"));
        assert_eq!(word(r"a\\b"), pair(r"a\b", ""));
        assert_eq!(word("\"open"), pair("open", ""));
        assert_eq!(word("\"abc\"def"), pair("abc", "def"));
        assert_eq!(word("''"), pair("", ""));
        assert_eq!(word(r#""ends in \"#), pair(r"ends in \", ""));
    }

    #[test]
    fn paths_are_cleaned_textually() {
        assert_eq!(merge_path(b"/r", b"./x/../y"), b"/r/y");
        assert_eq!(merge_path(b"/r", b"/a//b/"), b"/a/b/");
        assert_eq!(merge_path(b"/r/", b"../../x"), b"/x");
        assert_eq!(clean_path(b"/"), b"/");
        assert_eq!(clean_path(b"a/./b"), b"a/b");
    }
}

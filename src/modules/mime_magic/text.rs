//! Texts and archives, told without rules.

use super::rule::is_space;

/// Words that tell what a text is.
const WORDS: &[(&str, &[&str])] = &[
    (
        "text/html",
        &["<html>", "<HTML>", "<head>", "<HEAD>", "<title>", "<TITLE>", "<h1>", "<H1>", "<!--", "<!DOCTYPE HTML"],
    ),
    (
        "text/plain",
        &[
            "/*",
            "#include",
            "char",
            "The",
            "the",
            "double",
            "extern",
            "float",
            "real",
            "struct",
            "union",
            "CFLAGS",
            "LDFLAGS",
            "all:",
            ".PRECIOUS",
            ".ascii",
            ".asciiz",
            ".byte",
            ".even",
            ".globl",
            "clr",
            "(input,",
            "dcl",
        ],
    ),
    ("message/rfc822", &["Received:", ">From", "Return-Path:", "Cc:"]),
    ("message/news", &["Newsgroups:", "Path:", "Organization:"]),
];

/// So much of a file is searched for words, in bytes.
const SEARCHED: usize = 1024;

/// What a file is that starts like this; a NUL ends what is known of it.
pub(super) fn find(start: &[u8]) -> Option<Vec<u8>> {
    match start {
        [b'.', rest @ ..] => {
            let blanks = rest.iter().take_while(|byte| is_space(**byte)).count();
            if let Some([a, b, ..]) = rest.get(blanks..)
                && (a.is_ascii_alphanumeric() || *a == b'\\')
                && (b.is_ascii_alphanumeric() || *a == b'"')
            {
                return Some(b"application/x-troff".to_vec());
            }
        }
        // Fortran.
        [b'c' | b'C', blank, ..] if is_space(*blank) => return Some(b"text/plain".to_vec()),
        _ => {}
    }
    word(start.get(..SEARCHED).unwrap_or(start)).or_else(|| archive(start))
}

fn word(start: &[u8]) -> Option<Vec<u8>> {
    let escapes = start.contains(&0x1b);
    let text = start.get(..memchr::memchr(0, start).unwrap_or(start.len()))?;
    let mut words = text.split(|byte| b" \t\n\r\x0c".contains(byte));
    let known = |word: &[u8]| WORDS.iter().find(|(_, names)| names.iter().any(|name| name.as_bytes() == word));
    let (media, _) = words.find_map(known)?;
    let behind = if escapes { " (with escape sequences)" } else { "" };
    Some([media.as_bytes(), behind.as_bytes()].concat())
}

/// A head of `tar`, if its sum is right.
fn archive(start: &[u8]) -> Option<Vec<u8>> {
    let head = start.get(..512)?;
    let field = head.get(148..156)?;
    let blanks = field.iter().take_while(|byte| is_space(**byte)).count();
    let digits = field.get(blanks..)?;
    let end = digits.iter().position(|byte| !(b'0'..=b'7').contains(byte)).unwrap_or(digits.len());
    let ended = digits.get(end).is_none_or(|byte| *byte == 0 || is_space(*byte));
    let said = digits.get(..end)?.iter().fold(0u32, |sum, digit| sum * 8 + u32::from(digit - b'0'));
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    let counted = sum(head) - sum(field) + 8 * u32::from(b' ');
    (ended && !digits.is_empty() && counted == said).then(|| b"application/x-tar".to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media(start: &[u8]) -> Option<String> {
        find(start).map(|found| String::from_utf8(found).unwrap())
    }

    #[test]
    fn words_tell_what_a_text_is() {
        assert_eq!(media(b"x\n<html> y").as_deref(), Some("text/html"));
        assert_eq!(media(b"all the \x1b").as_deref(), Some("text/plain (with escape sequences)"));
        assert_eq!(media(b".SH x").as_deref(), Some("application/x-troff"));
        assert_eq!(media(b"C comment").as_deref(), Some("text/plain"));
        assert_eq!([media(b"nothing"), media(b"\0the"), media(b".")], [None, None, None]);
    }

    #[test]
    fn archives_have_a_sum() {
        let mut head = vec![0; 512];
        head[..4].copy_from_slice(b"name");
        let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum::<u32>() + 256;
        head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        assert_eq!(media(&head).as_deref(), Some("application/x-tar"));
        head[0] = b'N';
        assert_eq!(media(&head), None);
    }
}

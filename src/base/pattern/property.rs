//! What `\p{…}` stands for: Unicode's general categories, of the 256 characters that a byte can be.

use super::set::Set;

/// The set behind `\p` (or `\P`, the others), and how much of `rest` its name takes.
pub(super) fn read(letter: u8, rest: &[u8]) -> Result<(Set, usize), &'static str> {
    let (name, used) = match rest {
        [b'{', inside @ ..] => {
            let end = memchr::memchr(b'}', inside).ok_or(MALFORMED)?;
            (inside.get(..end).ok_or(MALFORMED)?, end + 2)
        }
        [name, ..] if name.is_ascii_alphabetic() => (std::slice::from_ref(name), 1),
        _ => return Err(MALFORMED),
    };
    let (turned, name) = match name {
        [b'^', name @ ..] => (true, name),
        name => (false, name),
    };
    // Case, blanks, hyphens and underscores do not count.
    let name: Vec<u8> = name.iter().filter(|b| !matches!(b, b' ' | b'-' | b'_')).map(u8::to_ascii_lowercase).collect();
    let set = named(&name).ok_or("unknown property after \\P or \\p")?;
    Ok((if turned != (letter == b'P') { set.negated() } else { set }, used))
}

fn named(name: &[u8]) -> Option<Set> {
    let general = |first: u8, second: Option<u8>| {
        Set::from(|byte| {
            let [kind, detail] = category(byte);
            kind == first && second.is_none_or(|second| second == detail)
        })
    };
    let alphanumeric = |byte| matches!(category(byte), [b'l' | b'n', _]);
    let space = |byte| matches!(byte, b'\t'..=b'\r' | b' ' | 0x85 | 0xa0);
    Some(match name {
        b"any" => Set::from(|_| true),
        b"l&" | b"lc" => Set::from(|byte| matches!(category(byte), [b'l', b'l' | b'u'])),
        b"xan" => Set::from(alphanumeric),
        b"xwd" => Set::from(|byte| alphanumeric(byte) || byte == b'_'),
        b"xsp" | b"xps" => Set::from(space),
        b"latin" | b"latn" => Set::from(|byte| category(byte)[0] == b'l' && byte != 0xb5),
        [first @ (b'l' | b'm' | b'n' | b'p' | b's' | b'z' | b'c')] => general(*first, None),
        [first, second] if KINDS.contains(&[*first, *second]) => general(*first, Some(*second)),
        _ => return None,
    })
}

/// The general category of a character of Latin-1, in small letters.
fn category(byte: u8) -> [u8; 2] {
    *match byte {
        0..=0x1f | 0x7f..=0x9f => b"cc",
        0xad => b"cf",
        b' ' | 0xa0 => b"zs",
        b'0'..=b'9' => b"nd",
        0xb2 | 0xb3 | 0xb9 | 0xbc..=0xbe => b"no",
        b'$' | 0xa2..=0xa5 => b"sc",
        b'^' | b'`' | 0xa8 | 0xaf | 0xb4 | 0xb8 => b"sk",
        b'+' | b'<' | b'=' | b'>' | b'|' | b'~' | 0xac | 0xb1 | 0xd7 | 0xf7 => b"sm",
        0xa6 | 0xa9 | 0xae | 0xb0 => b"so",
        b'_' => b"pc",
        b'-' => b"pd",
        b'(' | b'[' | b'{' => b"ps",
        b')' | b']' | b'}' => b"pe",
        0xab => b"pi",
        0xbb => b"pf",
        0xaa | 0xba => b"lo",
        b'A'..=b'Z' | 0xc0..=0xde => b"lu",
        b'a'..=b'z' | 0xb5 | 0xdf..=0xff => b"ll",
        b'!'..=b'/' | b':'..=b'@' | b'\\' | 0xa1..=0xbf => b"po",
    }
}

/// Every category, also those of which no byte is.
const KINDS: &[[u8; 2]] = &[
    *b"cc", *b"cf", *b"cn", *b"co", *b"cs", *b"ll", *b"lm", *b"lo", *b"lt", *b"lu", *b"mc", *b"me", *b"mn", *b"nd",
    *b"nl", *b"no", *b"pc", *b"pd", *b"pe", *b"pf", *b"pi", *b"po", *b"ps", *b"sc", *b"sk", *b"sm", *b"so", *b"zl",
    *b"zp", *b"zs",
];

const MALFORMED: &str = "malformed \\P or \\p sequence";

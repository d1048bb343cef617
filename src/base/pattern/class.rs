//! Character classes and escapes of the PCRE dialect, as sets of bytes.

use super::property;
use super::set::{EMPTY, Set};

/// What `\d` and its like stand for.
pub(super) fn shorthand(letter: u8) -> Option<Set> {
    let set = match letter.to_ascii_lowercase() {
        b'd' => Set::from(|b| b.is_ascii_digit()),
        b's' => Set::from(|b| matches!(b, b'\t'..=b'\r' | b' ')),
        b'w' => Set::from(|b| b.is_ascii_alphanumeric() || b == b'_'),
        b'h' => Set::from(|b| matches!(b, b'\t' | b' ' | 0xa0)),
        b'v' => Set::from(|b| matches!(b, 0x0a..=0x0d | 0x85)),
        _ => return None,
    };
    Some(if letter.is_ascii_uppercase() { set.negated() } else { set })
}

/// The byte that an escape stands for (`letter` follows the backslash), and how much of `rest` it
/// takes.
pub(super) fn escaped(letter: u8, rest: &[u8]) -> Result<(u8, usize), &'static str> {
    match letter {
        b'a' => Ok((0x07, 0)),
        b'e' => Ok((0x1b, 0)),
        b'f' => Ok((0x0c, 0)),
        b'n' => Ok((b'\n', 0)),
        b'r' => Ok((b'\r', 0)),
        b't' => Ok((b'\t', 0)),
        b'0' => octal(b'0', rest),
        b'c' => match rest.first() {
            Some(byte @ 0x20..=0x7e) => Ok((byte.to_ascii_uppercase() ^ 0x40, 1)),
            _ => Err("\\c must be followed by a printable ASCII character"),
        },
        b'x' => hex(rest),
        b'o' => match braced(rest) {
            Some((digits, used)) => Ok((number(digits, 8)?, used)),
            None => Err("missing opening brace after \\o"),
        },
        letter if letter.is_ascii_alphanumeric() => Err("unrecognized character follows \\"),
        literal => Ok((literal, 0)),
    }
}

/// Up to three octal digits, `first` among them.
pub(super) fn octal(first: u8, rest: &[u8]) -> Result<(u8, usize), &'static str> {
    let used = rest.iter().take(2).take_while(|b| matches!(b, b'0'..=b'7')).count();
    let value = rest.iter().take(used).fold(u32::from(first - b'0'), |value, b| value * 8 + u32::from(b - b'0'));
    Ok((u8::try_from(value).map_err(|_| TOO_LARGE)?, used))
}

fn hex(rest: &[u8]) -> Result<(u8, usize), &'static str> {
    if rest.first() == Some(&b'{') {
        let (digits, used) = braced(rest).ok_or("missing terminating } for \\x{")?;
        return Ok((number(digits, 16)?, used));
    }
    let used = rest.iter().take(2).take_while(|b| b.is_ascii_hexdigit()).count();
    let digits = rest.get(..used).unwrap_or_default();
    if digits.is_empty() { Ok((0, 0)) } else { Ok((number(digits, 16)?, used)) }
}

fn braced(rest: &[u8]) -> Option<(&[u8], usize)> {
    let inside = rest.strip_prefix(b"{")?;
    let end = memchr::memchr(b'}', inside)?;
    Some((inside.get(..end)?, end + 2))
}

fn number(digits: &[u8], radix: u32) -> Result<u8, &'static str> {
    let text = std::str::from_utf8(digits).map_err(|_| BAD_DIGIT)?;
    let value = u32::from_str_radix(text.trim(), radix).map_err(|_| BAD_DIGIT)?;
    u8::try_from(value).map_err(|_| TOO_LARGE)
}

const TOO_LARGE: &str = "character code point value in \\x{} or \\o{} is too large";
const BAD_DIGIT: &str = "digits missing or wrong in \\x{} or \\o{}";

/// Reads a class after its `[`: the set, whether it is negated, and the bytes taken, or a message
/// and where.
pub(super) fn read(text: &[u8], skip_blanks: bool) -> Result<(Set, bool, usize), (&'static str, usize)> {
    let mut reader = Reader { text, at: 0 };
    let negated = reader.eat(b"^");
    let mut set = EMPTY;
    let mut first = true;
    loop {
        let Some(byte) = reader.next() else { return Err(("missing terminating ] for character class", text.len())) };
        if byte == b']' && !first {
            return Ok((set, negated, reader.at));
        }
        if skip_blanks && matches!(byte, b' ' | b'\t') {
            continue;
        }
        first = false;
        let low = match reader.member(byte)? {
            Member::Nothing => continue,
            Member::Set(members) => {
                set.join(&members);
                if matches!(reader.text.get(reader.at..), Some([b'-', next, ..]) if *next != b']') {
                    return Err(("invalid range in character class", reader.at));
                }
                continue;
            }
            Member::Byte(byte) => byte,
        };
        match reader.text.get(reader.at..) {
            Some([b'-', next, ..]) if *next != b']' => {
                let after_hyphen = reader.at + 1;
                reader.at += 2;
                match reader.member(*next)? {
                    Member::Byte(high) if high < low => {
                        return Err(("range out of order in character class", reader.at));
                    }
                    Member::Byte(high) => set.add(low, high),
                    Member::Set(_) => return Err(("invalid range in character class", reader.at)),
                    Member::Nothing => {
                        set.add(low, low);
                        reader.at = after_hyphen;
                        set.add(b'-', b'-');
                    }
                }
            }
            _ => set.add(low, low),
        }
    }
}

/// Does the text after a `[` read `:name:]` (or `.x.]`, `=x=]`): the mark, and where the name ends.
pub(super) fn looks_posix(text: &[u8]) -> Option<(u8, usize)> {
    let (kind @ (b':' | b'.' | b'='), inside) = text.split_first()? else { return None };
    let end = inside.iter().position(|b| matches!(b, b']' | b'[' | b'\\') || b == kind)?;
    inside.get(end..)?.starts_with(&[*kind, b']']).then_some((*kind, end))
}

enum Member {
    Byte(u8),
    Set(Set),
    /// `\E` without `\Q`.
    Nothing,
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<u8> {
        let byte = self.text.get(self.at).copied()?;
        self.at += 1;
        Some(byte)
    }

    fn eat(&mut self, text: &[u8]) -> bool {
        let found = self.text.get(self.at..).is_some_and(|rest| rest.starts_with(text));
        if found {
            self.at += text.len();
        }
        found
    }

    fn member(&mut self, byte: u8) -> Result<Member, (&'static str, usize)> {
        match byte {
            b'[' => self.posix(),
            b'\\' => self.escape(),
            _ => Ok(Member::Byte(byte)),
        }
    }

    /// `[:alpha:]`; any other `[` is literal.
    fn posix(&mut self) -> Result<Member, (&'static str, usize)> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let Some((kind, end)) = looks_posix(rest) else { return Ok(Member::Byte(b'[')) };
        let inside = rest.get(1..).unwrap_or_default();
        if kind != b':' {
            return Err(("POSIX collating elements are not supported", self.at));
        }
        let name = inside.get(..end).unwrap_or_default();
        let (negated, name) = match name {
            [b'^', name @ ..] => (true, name),
            name => (false, name),
        };
        let set = match name {
            b"alpha" => Set::from(|b| b.is_ascii_alphabetic()),
            b"lower" => Set::from(|b| b.is_ascii_lowercase()),
            b"upper" => Set::from(|b| b.is_ascii_uppercase()),
            b"alnum" => Set::from(|b| b.is_ascii_alphanumeric()),
            b"ascii" => Set::from(|b| b.is_ascii()),
            b"blank" => Set::from(|b| matches!(b, b' ' | b'\t')),
            b"cntrl" => Set::from(|b| b.is_ascii_control()),
            b"digit" => Set::from(|b| b.is_ascii_digit()),
            b"graph" => Set::from(|b| b.is_ascii_graphic()),
            b"print" => Set::from(|b| matches!(b, b' '..=b'~')),
            b"punct" => Set::from(|b| b.is_ascii_punctuation()),
            b"space" => Set::from(|b| matches!(b, b'\t'..=b'\r' | b' ')),
            b"word" => Set::from(|b| b.is_ascii_alphanumeric() || b == b'_'),
            b"xdigit" => Set::from(|b| b.is_ascii_hexdigit()),
            _ => return Err(("unknown POSIX class name", self.at)),
        };
        self.at += end + 3;
        Ok(Member::Set(if negated { set.negated() } else { set }))
    }

    fn escape(&mut self) -> Result<Member, (&'static str, usize)> {
        let Some(letter) = self.next() else { return Err(("\\ at end of pattern", self.at)) };
        if let Some(set) = shorthand(letter) {
            return Ok(Member::Set(set));
        }
        let rest = self.text.get(self.at..).unwrap_or_default();
        if letter.eq_ignore_ascii_case(&b'p') {
            let (set, used) = property::read(letter, rest).map_err(|message| (message, self.at))?;
            self.at += used;
            return Ok(Member::Set(set));
        }
        let (byte, used) = match letter {
            b'b' => (0x08, 0),
            b'E' => return Ok(Member::Nothing),
            b'Q' => return self.quoted(),
            b'1'..=b'7' => octal(letter, rest).map_err(|message| (message, self.at))?,
            b'8' | b'9' => (letter, 0),
            b'B' | b'R' | b'X' => return Err(("escape sequence is invalid in character class", self.at)),
            _ => escaped(letter, rest).map_err(|message| (message, self.at))?,
        };
        self.at += used;
        Ok(Member::Byte(byte))
    }

    /// `\Q..\E`: every byte is literal.
    fn quoted(&mut self) -> Result<Member, (&'static str, usize)> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let Some(end) = memchr::memmem::find(rest, b"\\E") else {
            return Err(("missing terminating ] for character class", self.text.len()));
        };
        let mut set = EMPTY;
        for byte in rest.iter().take(end) {
            set.add(*byte, *byte);
        }
        self.at += end + 2;
        Ok(Member::Set(set))
    }
}

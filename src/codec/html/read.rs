//! Names, values, references and comments, taken from the bytes of a document.

use super::source::{Source, is_blank, is_content};
use super::{Entity, entity};

/// Bytes of a name; what is longer is several.
const NAME_MOST: usize = 100;

/// Whether a byte may stand in a name, behind its first.
fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b":-_.".contains(&byte)
}

impl Source {
    /// The name of a tag or attribute, in lower case; empty if there is none.
    pub(super) fn tag_name(&mut self) -> Vec<u8> {
        let first = self.at(0);
        if !first.is_ascii_alphabetic() && !b"_:.".contains(&first) {
            return Vec::new();
        }
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let part = rest.iter().take(NAME_MOST).take_while(|byte| is_name(**byte));
        let name: Vec<u8> = part.map(u8::to_ascii_lowercase).collect();
        self.skip(name.len());
        name
    }

    /// Length of a name as entities, instructions and document types have it.
    fn name_length(&self) -> usize {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let first = self.at(0);
        let begins = first.is_ascii_alphabetic() || b"_:".contains(&first);
        let ascii = if begins { rest.iter().position(|byte| !is_name(*byte)) } else { Some(0) };
        // One of letters that nothing follows is none.
        let Some(mut length) = ascii else { return 0 };
        while self.at(length) >= 0x80 {
            let next = rest.get(length..rest.len().min(length + 4)).unwrap_or_default();
            let found = match std::str::from_utf8(next) {
                Ok(text) => text.chars().next(),
                Err(error) => {
                    next.get(..error.valid_up_to()).and_then(|good| std::str::from_utf8(good).ok()?.chars().next())
                }
            };
            let Some(letter) = found.filter(|found| found.is_alphanumeric()) else { break };
            length += letter.len_utf8();
            length += rest.get(length..).unwrap_or_default().iter().take_while(|byte| is_name(**byte)).count();
        }
        length
    }

    /// Skips the name of an instruction or document type.
    pub(super) fn name(&mut self) -> bool {
        let length = self.name_length();
        self.skip(length);
        length > 0
    }

    /// On to this byte.
    pub(super) fn skip_to(&mut self, end: u8) {
        while self.at(0) != 0 && self.at(0) != end {
            self.next();
        }
    }

    /// Skips what is no attribute.
    pub(super) fn skip_junk(&mut self) {
        loop {
            let at_end = self.at(0) == b'/' && self.at(1) == b'>';
            if matches!(self.at(0), 0 | b'>') || is_blank(self.at(0)) || at_end {
                return;
            }
            self.next();
        }
    }

    /// Skips `PUBLIC "..." "..."` or `SYSTEM "..."`.
    pub(super) fn external_id(&mut self) {
        let public = self.starts_with(0, b"PUBLIC");
        if !public && !self.starts_with(0, b"SYSTEM") {
            return;
        }
        self.skip(6);
        self.skip_blanks();
        self.literal();
        if public {
            self.skip_blanks();
            self.literal();
        }
    }

    fn literal(&mut self) {
        let quote = self.at(0);
        if quote == b'"' || quote == b'\'' {
            self.next();
            self.skip_to(quote);
            if self.at(0) == quote {
                self.next();
            }
        }
    }

    /// A comment behind its first mark; whether it has an end.
    pub(super) fn comment(&mut self, out: &mut Vec<u8>) -> bool {
        let mut marks = [(0, 0); 2];
        for n in 0..2 {
            let next = self.char();
            if next.0 == 0 {
                return false;
            }
            if let Some(mark) = marks.get_mut(n) {
                *mark = next;
            }
            self.skip(next.1);
        }
        let dash = u32::from(b'-');
        let mut now = self.char();
        loop {
            let [before, last] = marks;
            if now.0 == 0 {
                return false;
            }
            let dashes = before.0 == dash && last.0 == dash;
            if dashes && now.0 == u32::from(b'>') {
                self.skip(1);
                return true;
            }
            self.skip(now.1);
            let next = self.char();
            if dashes && now.0 == u32::from(b'!') && next.0 == u32::from(b'>') {
                self.skip(1);
                return true;
            }
            if is_content(before.0) {
                push_found(before, out);
            }
            marks = [last, now];
            now = next;
        }
    }

    /// `&#...;`: its character, if it is one.
    pub(super) fn character_reference(&mut self) -> Option<char> {
        let hex = matches!(self.at(2), b'x' | b'X');
        self.skip(if hex { 3 } else { 2 });
        let base = if hex { 16 } else { 10 };
        let mut code = 0_u32;
        while let Some(digit) = char::from(self.at(0)).to_digit(base) {
            if code < 0x11_0000 {
                code = code * base + digit;
            }
            self.skip(1);
        }
        if self.at(0) == b';' {
            self.skip(1);
        }
        char::from_u32(code).filter(|_| is_content(code))
    }

    /// `&name;`: skipped if it is known, else up to the name.
    pub(super) fn entity(&mut self) -> Entity {
        self.skip(1);
        let length = self.name_length();
        if self.at(length) == b';' && length > 0 {
            let name = self.bytes.get(self.at..self.at + length).unwrap_or_default();
            if let Some(found) = entity(name) {
                self.skip(length + 1);
                return Entity::Known(found);
            }
        }
        Entity::Unknown(length)
    }

    /// The value of an attribute.
    pub(super) fn value(&mut self) -> Vec<u8> {
        let quote = Some(self.at(0)).filter(|byte| matches!(byte, b'"' | b'\''));
        if quote.is_some() {
            self.next();
        }
        let mut value = Vec::new();
        loop {
            let byte = self.at(0);
            let over = match quote {
                Some(quote) => byte == quote,
                None => byte == b'>' || is_blank(byte),
            };
            if byte == 0 || over {
                break;
            }
            match byte {
                b'&' if self.at(1) == b'#' => push(self.character_reference().unwrap_or('\0'), &mut value),
                b'&' => match self.entity() {
                    Entity::Known(found) => push(found, &mut value),
                    Entity::Unknown(length) => {
                        value.push(b'&');
                        value.extend(self.take(length));
                    }
                },
                0..0x80 => {
                    value.push(byte);
                    self.skip(1);
                }
                _ => {
                    let (code, _) = self.char();
                    push_code(code, &mut value);
                    self.next();
                }
            }
        }
        if quote.is_some_and(|quote| self.at(0) == quote) {
            self.next();
        }
        // It ends with the first byte that is no text.
        if let Some(end) = memchr::memchr(0, &value) {
            value.truncate(end);
        }
        value
    }
}

fn push(found: char, out: &mut Vec<u8>) {
    out.extend_from_slice(found.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Appends a character as it was found: a byte alone stays one.
pub(super) fn push_found((code, length): (u32, usize), out: &mut Vec<u8>) {
    match (length, u8::try_from(code)) {
        (1, Ok(byte)) => out.push(byte),
        _ => push_code(code, out),
    }
}

/// As [`push`], of what need not be a character.
fn push_code(code: u32, out: &mut Vec<u8>) {
    match char::from_u32(code) {
        Some(found) => push(found, out),
        None => {
            let [.., high, low] = (code & 0xffff).to_be_bytes();
            out.extend_from_slice(&[0xe0 | high >> 4, 0x80 | (high & 0xf) << 2 | low >> 6, 0x80 | low & 0x3f]);
        }
    }
}

//! The bytes of a document: characters, names, values, and the charset that the document turns out to be in.

use super::{Attribute, Until};
use crate::codec::charset::{Charset, Conversion, Stop};

pub(super) struct Source {
    pub(super) bytes: Vec<u8>,
    pub(super) at: usize,
    /// What is here is UTF-8. A document that says nothing is found to be Latin-1 with the first byte that is not
    /// ASCII.
    utf8: bool,
    /// What comes is in another charset.
    conversion: Option<Conversion>,
    /// The beginning of a character in that charset.
    rest: Vec<u8>,
    /// The document has named its charset.
    named: bool,
    looked: Looked,
}

/// How far an end was looked for that is not here.
#[derive(Clone, Copy)]
struct Looked {
    from: usize,
    until: Until,
    to: usize,
    /// Inside a value with this mark around it.
    quote: Option<u8>,
}

pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Whether a character may stand in text.
pub(super) fn is_content(code: u32) -> bool {
    matches!(code, 0x9 | 0xa | 0xd | 0x20..=0xd7ff | 0xe000..=0xfffd | 0x1_0000..=0x10_ffff)
}

impl Source {
    pub(super) fn new(charset: Option<Charset>) -> Self {
        let other = charset.filter(|charset| *charset != Charset::UTF8);
        Self {
            bytes: Vec::new(),
            at: 0,
            utf8: charset.is_some(),
            conversion: other.map(|charset| Conversion::new(charset, Charset::UTF8)),
            rest: Vec::new(),
            named: false,
            looked: Looked { from: 0, until: Until::Tag, to: 0, quote: None },
        }
    }

    /// Adds bytes to what is here.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.conversion.is_none() {
            self.bytes.extend_from_slice(bytes);
        } else {
            self.rest.extend_from_slice(bytes);
            self.convert();
        }
    }

    /// Moves what is held back, as UTF-8, to what is here. What is no character is left out.
    fn convert(&mut self) {
        let Some(conversion) = &mut self.conversion else { return };
        let mut at = 0;
        loop {
            let (taken, stop) = conversion.run(self.rest.get(at..).unwrap_or_default(), &mut self.bytes);
            at += taken;
            match stop {
                Stop::All | Stop::Short => break,
                Stop::Bad => at += 1,
            }
        }
        self.rest.drain(..at.min(self.rest.len()));
    }

    /// From here on, in this charset.
    fn switch(&mut self, charset: Charset) {
        let first = self.conversion.is_none();
        self.conversion = Some(Conversion::new(charset, Charset::UTF8));
        if first {
            self.rest = self.bytes.split_off(self.at);
            self.bytes.clear();
            self.at = 0;
            self.convert();
        }
    }

    /// Drops what is done with.
    pub(super) fn forget(&mut self) {
        if self.at > 0 {
            self.bytes.drain(..self.at);
            self.looked.from = self.looked.from.wrapping_sub(self.at);
            self.looked.to = self.looked.to.wrapping_sub(self.at);
            self.at = 0;
        }
    }

    /// Bytes that are here.
    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The byte so far ahead; 0 behind the end.
    pub(super) fn at(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    pub(super) fn skip(&mut self, bytes: usize) {
        self.at = (self.at + bytes).min(self.bytes.len());
    }

    pub(super) fn take(&mut self, bytes: usize) -> Vec<u8> {
        let taken = self.bytes.get(self.at..self.at + bytes).unwrap_or_default().to_vec();
        self.skip(bytes);
        taken
    }

    /// Whether `text`, in any case, comes so far ahead.
    pub(super) fn starts_with(&self, ahead: usize, text: &[u8]) -> bool {
        let here = self.bytes.get(self.at + ahead..self.at + ahead + text.len());
        here.is_some_and(|here| here.eq_ignore_ascii_case(text))
    }

    pub(super) fn is_doctype(&self) -> bool {
        self.starts_with(0, b"<!DOCTYPE")
    }

    /// Whether what is here is the beginning of one.
    pub(super) fn may_be_doctype(&self) -> bool {
        let here = self.bytes.get(self.at..).unwrap_or_default();
        here.len() < 9 && b"<!DOCTYPE".get(..here.len()).is_some_and(|start| start.eq_ignore_ascii_case(here))
    }

    pub(super) fn is_comment(&self) -> bool {
        self.starts_with(0, b"<!--")
    }

    pub(super) fn skip_blanks(&mut self) {
        while is_blank(self.at(0)) {
            self.skip(1);
        }
    }

    /// Whether the end of what begins here is here.
    pub(super) fn holds(&mut self, until: Until) -> bool {
        let known = self.looked.from == self.at && self.looked.until == until;
        let mut looked = match known {
            true => self.looked,
            false => {
                let to = self.at + if until == Until::Comment { 4 } else { 0 };
                Looked { from: self.at, until, to, quote: None }
            }
        };
        let rest = self.bytes.get(looked.to..).unwrap_or_default();
        let found = match until {
            Until::Greater => memchr::memchr(b'>', rest).is_some(),
            Until::Less => memchr::memchr(b'<', rest).is_some(),
            Until::Tag => {
                let mut found = false;
                for byte in rest {
                    match (looked.quote, *byte) {
                        (Some(quote), byte) if byte == quote => looked.quote = None,
                        (Some(_), _) => {}
                        (None, quote @ (b'"' | b'\'')) => looked.quote = Some(quote),
                        (None, b'>') => {
                            found = true;
                            break;
                        }
                        (None, _) => {}
                    }
                }
                found
            }
            Until::Comment => memchr::memchr_iter(b'>', rest).any(|at| {
                let from = self.at + 4;
                let text = self.bytes.get(from..looked.to + at).unwrap_or_default();
                text.ends_with(b"--") || text.ends_with(b"--!")
            }),
        };
        looked.to = self.bytes.len();
        self.looked = looked;
        found
    }

    /// Whether the character that begins here is here.
    pub(super) fn is_whole_char(&self) -> bool {
        let length = match self.at(0) {
            0xf0..=0xff => 4,
            0xe0..=0xef => 3,
            0xc0..=0xdf => 2,
            _ => 1,
        };
        self.left() >= length
    }

    /// The character here and its length; 0 at the end. Finds out about the charset where it has to.
    pub(super) fn char(&mut self) -> (u32, usize) {
        let first = self.at(0);
        if first < 0x80 {
            let nul = first == 0 && self.left() > 0;
            return (if nul { 0x20 } else { u32::from(first) }, 1);
        }
        if !self.utf8 {
            match self.guess() {
                None => self.switch(Charset::LATIN1),
                Some(name) => {
                    self.named = true;
                    if let Some(charset) = Charset::find(&name).filter(|charset| *charset != Charset::UTF8) {
                        self.switch(charset);
                    }
                }
            }
            self.utf8 = true;
        }
        let found =
            std::str::from_utf8(self.bytes.get(self.at..).unwrap_or_default().get(..self.length()).unwrap_or_default());
        if let Some(found) = found.ok().and_then(|found| found.chars().next()) {
            return (u32::from(found), found.len_utf8());
        }
        if let Some(code) = self.loose() {
            return (code, 3);
        }
        // It is not UTF-8 after all.
        if self.conversion.is_none() {
            self.switch(Charset::LATIN1);
        }
        (u32::from(self.at(0)), 1)
    }

    /// Bytes of the character that begins here, as its first byte says.
    fn length(&self) -> usize {
        match self.at(0) {
            0xf0..=0xff => 4,
            0xe0..=0xef => 3,
            0x80..=0xdf => 2,
            _ => 1,
        }
    }

    /// A character that is in the form of UTF-8 and none of Unicode.
    fn loose(&self) -> Option<u32> {
        let follows = |ahead: usize| Some(u32::from(self.at(ahead) & 0x3f)).filter(|_| self.at(ahead) & 0xc0 == 0x80);
        let code = match self.at(0) {
            first @ 0xe0..=0xef => u32::from(first & 0xf) << 12 | follows(1)? << 6 | follows(2)?,
            _ => return None,
        };
        (code >= 0x800).then_some(code)
    }

    /// On to the next character; not at a NUL byte.
    pub(super) fn next(&mut self) {
        let first = self.at(0);
        if first == 0 {
            return;
        }
        if !self.utf8 || first < 0x80 {
            return self.skip(1);
        }
        let length = self.length();
        let followed = (1..length).all(|ahead| self.at(ahead) & 0xc0 == 0x80);
        if first == 0xc0 || first >= 0xf8 || !followed {
            // Whatever it is: it is to be found out.
            if self.left() >= 4 {
                self.utf8 = false;
            }
            return self.skip(1);
        }
        self.skip(length);
    }

    /// The charset that a `meta` further on names.
    fn guess(&self) -> Option<Vec<u8>> {
        if self.named || self.conversion.is_some() {
            return None;
        }
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let rest = rest.split(|byte| *byte == 0).next().unwrap_or_default();
        let mut at = 0;
        for word in [&b"http-equiv"[..], b"content", b"charset="] {
            let rest = rest.get(at..)?;
            at += rest.windows(word.len()).position(|here| here.eq_ignore_ascii_case(word))?;
        }
        let name = rest.get(at + 8..)?;
        let end = name.iter().position(|byte| !byte.is_ascii_alphanumeric() && !b"-_:/".contains(byte));
        let name = name.get(..end.unwrap_or(name.len()))?;
        (!name.is_empty()).then(|| name.to_vec())
    }

    /// Takes what a `meta` tag says of the charset.
    pub(super) fn heed(&mut self, attributes: &[Attribute]) {
        let (mut typed, mut content) = (false, None);
        for attribute in attributes {
            let Some(value) = &attribute.value else { continue };
            match attribute.name.as_slice() {
                b"http-equiv" if value.eq_ignore_ascii_case(b"Content-Type") => typed = true,
                b"charset" => self.name_charset(value),
                b"content" => content = Some(value),
                _ => {}
            }
        }
        let Some(content) = content.filter(|_| typed) else { return };
        let Some(at) = content.windows(7).position(|here| here.eq_ignore_ascii_case(b"charset")) else { return };
        let mut name = content.get(at + 7..).unwrap_or_default();
        if name.first().is_some_and(|byte| is_blank(*byte)) {
            name = content.iter().position(|byte| *byte == b'=').and_then(|at| content.get(at..)).unwrap_or_default();
        }
        if let Some(name) = name.strip_prefix(b"=") {
            self.name_charset(name);
        }
    }

    fn name_charset(&mut self, name: &[u8]) {
        if std::mem::replace(&mut self.named, true) {
            return;
        }
        let name = name.trim_ascii_start();
        match Charset::find(name) {
            // A tag that can be read is in no such charset.
            Some(charset) if charset.is_wide() && self.conversion.is_none() => self.utf8 = true,
            Some(Charset::UTF8) => self.utf8 = true,
            Some(charset) => {
                self.switch(charset);
                self.utf8 = true;
            }
            None => {}
        }
    }
}

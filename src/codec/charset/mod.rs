//! Charsets: text from one to another, as iconv does it: conversion stops in front of what is no character in the one
//! or has none in the other.

use std::sync::OnceLock;

use encoding_rs::{DecoderResult, EncoderResult, Encoding};

use tables::{ALIASES, Low, NAMES, NOT_NAMES, OWN, SINGLE};

mod tables;

/// A charset that can be converted from and to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Charset(Kind);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Utf8,
    Ascii,
    Latin1,
    Wide(Width, Order),
    /// A byte each; the number of a row of [`TABLES`].
    Single(usize),
    Multi(&'static Encoding),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Width {
    Two,
    Four,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    Little,
    Big,
    /// As the mark at the beginning says, else as this machine's; written with a mark.
    Marked,
}

struct Table {
    chars: Box<[char]>,
    /// By character.
    bytes: Box<[(char, u8)]>,
}

/// Stands for a byte that is none.
const NONE: char = '\u{fffd}';

/// Those of the library, then [`OWN`].
static TABLES: [OnceLock<Table>; SINGLE.len() + OWN.len()] = [const { OnceLock::new() }; SINGLE.len() + OWN.len()];

impl Table {
    fn of_library(encoding: &'static Encoding, low: Low) -> Self {
        let mut chars: Vec<char> = (0..=127).map(char::from).collect();
        chars.extend((128..=255).map(|byte: u8| {
            let (text, _) = encoding.decode_without_bom_handling(std::slice::from_ref(&byte));
            let found = text.chars().next().unwrap_or(NONE);
            let hole = low == Low::Undefined && ('\u{80}'..='\u{9f}').contains(&found);
            if hole { NONE } else { found }
        }));
        Self::new(chars)
    }

    fn new(chars: Vec<char>) -> Self {
        let known = chars.iter().zip(0..=255).filter(|(found, _)| **found != NONE);
        let mut bytes: Vec<(char, u8)> = known.map(|(found, byte)| (*found, byte)).collect();
        bytes.sort_unstable();
        Self { chars: chars.into(), bytes: bytes.into() }
    }

    fn at(number: usize) -> Option<&'static Self> {
        let table = TABLES.get(number)?;
        Some(table.get_or_init(|| match SINGLE.get(number) {
            Some((encoding, low)) => Self::of_library(encoding, *low),
            None => {
                let text = OWN.get(number - SINGLE.len()).map(|row| row.2).unwrap_or_default();
                let given = text.chars().count();
                let ascii = (0..=127).map(char::from).take(256_usize.saturating_sub(given));
                Self::new(ascii.chain(text.chars()).collect())
            }
        }))
    }

    fn byte(&self, found: char) -> Option<u8> {
        let at = self.bytes.binary_search_by_key(&found, |row| row.0).ok()?;
        self.bytes.get(at).map(|row| row.1)
    }
}

impl Charset {
    /// UTF-8.
    pub const UTF8: Self = Self(Kind::Utf8);
    /// ISO-8859-1.
    pub const LATIN1: Self = Self(Kind::Latin1);

    /// Whether its characters are of two or four bytes.
    pub fn is_wide(self) -> bool {
        matches!(self.0, Kind::Wide(..))
    }

    /// The charset of this name, in any case.
    pub fn find(name: &[u8]) -> Option<Self> {
        // iconv does not see quotes and the like.
        let seen = name.iter().filter(|byte| byte.is_ascii_alphanumeric() || b"_-/.,:".contains(byte));
        let name: Vec<u8> = seen.map(u8::to_ascii_lowercase).collect();
        // What iconv is told to do with what has no counterpart.
        let end = memchr::memmem::find(&name, b"//").unwrap_or(name.len());
        let name = std::str::from_utf8(name.get(..end)?).ok()?;
        if let Some((kind, _)) = NAMES.iter().find(|(_, names)| names.contains(&name)) {
            return Some(Self(*kind));
        }
        let own = OWN.iter().position(|(first, names, _)| *first == name || names.contains(&name));
        if let Some(own) = own {
            return Some(Self(Kind::Single(SINGLE.len() + own)));
        }
        if NOT_NAMES.contains(&name) {
            return None;
        }
        let name = ALIASES.iter().find(|(_, names)| names.contains(&name)).map_or(name, |(first, _)| *first);
        let encoding = Encoding::for_label(name.as_bytes())?;
        match SINGLE.iter().position(|(known, _)| *known == encoding) {
            Some(number) => Some(Self(Kind::Single(number))),
            None if encoding.is_single_byte() => None,
            None => Some(Self(Kind::Multi(encoding))),
        }
    }
}

/// Why a conversion came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// All is converted.
    All,
    /// What is left is the beginning of a character.
    Short,
    /// What comes next is no character, or has no counterpart.
    Bad,
}

/// Text on its way from one charset to another.
pub struct Conversion {
    from: Kind,
    to: Kind,
    /// The order of bytes that the mark at the beginning told.
    order: Option<Order>,
    /// Charsets that shift.
    decoder: Option<encoding_rs::Decoder>,
    encoder: Option<encoding_rs::Encoder>,
    /// A mark was written.
    marked: bool,
    text: String,
}

impl Conversion {
    /// From one charset to another.
    pub fn new(from: Charset, to: Charset) -> Self {
        let shifts = |kind| match kind {
            Kind::Multi(encoding) if encoding == encoding_rs::ISO_2022_JP => Some(encoding),
            _ => None,
        };
        Self {
            from: from.0,
            to: to.0,
            order: None,
            decoder: shifts(from.0).map(Encoding::new_decoder_without_bom_handling),
            encoder: shifts(to.0).map(Encoding::new_encoder),
            marked: false,
            text: String::new(),
        }
    }

    /// Converts what it can of `input` and says how much of it that is.
    pub fn run(&mut self, input: &[u8], out: &mut Vec<u8>) -> (usize, Stop) {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        let (mut taken, mut stop) = self.decode(input, &mut text);
        if let Some(lost) = self.encode(&text, out) {
            // Back to where the character without a counterpart begins.
            taken = self.length_of(input, text.get(..lost).unwrap_or_default());
            stop = Stop::Bad;
        }
        self.text = text;
        (taken, stop)
    }

    /// How many bytes of `input` stand for `text`, with which it begins.
    fn length_of(&self, input: &[u8], text: &str) -> usize {
        let fixed = |width: usize| text.chars().count() * width;
        match self.from {
            Kind::Utf8 => text.len(),
            Kind::Ascii | Kind::Latin1 | Kind::Single(_) => fixed(1),
            Kind::Wide(width, order) => {
                let mark = if order == Order::Marked && self.has_mark(input, width) { width.bytes() } else { 0 };
                mark + match width {
                    Width::Two => text.encode_utf16().count() * 2,
                    Width::Four => fixed(4),
                }
            }
            Kind::Multi(encoding) => {
                // As much as makes this text and no more; broken off at the end of a character.
                let mut at = 0;
                let mut made = 0;
                while made < text.len() && at < input.len() {
                    let mut length = 1;
                    loop {
                        let piece = input.get(at..at + length).unwrap_or_default();
                        let found = encoding.decode_without_bom_handling_and_without_replacement(piece);
                        if let Some(found) = found.filter(|found| !found.is_empty()) {
                            made += found.len();
                            break;
                        }
                        length += 1;
                        if length > 4 || at + length > input.len() {
                            return at;
                        }
                    }
                    at += length;
                }
                at
            }
        }
    }

    fn has_mark(&self, input: &[u8], width: Width) -> bool {
        match width {
            Width::Two => input.starts_with(b"\xff\xfe") || input.starts_with(b"\xfe\xff"),
            Width::Four => input.starts_with(b"\xff\xfe\0\0") || input.starts_with(b"\0\0\xfe\xff"),
        }
    }

    fn decode(&mut self, input: &[u8], text: &mut String) -> (usize, Stop) {
        match self.from {
            Kind::Utf8 => match std::str::from_utf8(input) {
                Ok(all) => {
                    text.push_str(all);
                    (input.len(), Stop::All)
                }
                Err(error) => {
                    let good = input.get(..error.valid_up_to()).unwrap_or_default();
                    text.push_str(std::str::from_utf8(good).unwrap_or_default());
                    (good.len(), if error.error_len().is_some() { Stop::Bad } else { Stop::Short })
                }
            },
            Kind::Ascii => {
                let good = input.iter().take_while(|byte| byte.is_ascii()).count();
                text.extend(input.iter().take(good).map(|byte| char::from(*byte)));
                (good, if good < input.len() { Stop::Bad } else { Stop::All })
            }
            Kind::Latin1 => {
                text.extend(input.iter().map(|byte| char::from(*byte)));
                (input.len(), Stop::All)
            }
            Kind::Single(number) => {
                let Some(table) = Table::at(number) else { return (0, Stop::Bad) };
                for (at, byte) in input.iter().enumerate() {
                    match table.chars.get(usize::from(*byte)) {
                        Some(found) if *found != NONE => text.push(*found),
                        _ => return (at, Stop::Bad),
                    }
                }
                (input.len(), Stop::All)
            }
            Kind::Wide(width, order) => self.decode_wide(input, width, order, text),
            Kind::Multi(encoding) => self.decode_multi(encoding, input, text),
        }
    }

    fn decode_wide(&mut self, input: &[u8], width: Width, order: Order, text: &mut String) -> (usize, Stop) {
        let mut at = 0;
        let order = match (order, self.order) {
            (Order::Marked, Some(known)) => known,
            (Order::Marked, None) => {
                if input.len() < width.bytes() {
                    return (0, if input.is_empty() { Stop::All } else { Stop::Short });
                }
                let big = input.starts_with(b"\xfe\xff") || input.starts_with(b"\0\0\xfe\xff");
                let known = if big { Order::Big } else { Order::Little };
                if self.has_mark(input, width) {
                    at = width.bytes();
                }
                self.order = Some(known);
                known
            }
            (known, _) => known,
        };
        let unit = |at: usize| width.unit(input.get(at..at + width.bytes())?, order);
        while let Some(first) = unit(at) {
            let mut length = width.bytes();
            let mut code = first;
            if width == Width::Two && (0xd800..0xdc00).contains(&first) {
                match unit(at + 2) {
                    None => return (at, Stop::Short),
                    Some(second) if (0xdc00..0xe000).contains(&second) => {
                        code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                        length = 4;
                    }
                    Some(_) => return (at, Stop::Bad),
                }
            }
            match char::from_u32(code) {
                Some(found) => text.push(found),
                None => return (at, Stop::Bad),
            }
            at += length;
        }
        (at, if at < input.len() { Stop::Short } else { Stop::All })
    }

    fn decode_multi(&mut self, encoding: &'static Encoding, input: &[u8], text: &mut String) -> (usize, Stop) {
        let shifts = self.decoder.is_some();
        let mut fresh = None;
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            None => fresh.insert(encoding.new_decoder_without_bom_handling()),
        };
        let mut at = 0;
        loop {
            let rest = input.get(at..).unwrap_or_default();
            text.reserve(decoder.max_utf8_buffer_length_without_replacement(rest.len()).unwrap_or(rest.len()));
            let (result, read) = decoder.decode_to_string_without_replacement(rest, text, false);
            at += read;
            match result {
                DecoderResult::InputEmpty => break,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(bad, after) => {
                    let back = usize::from(bad) + usize::from(after);
                    return (at.saturating_sub(back), Stop::Bad);
                }
            }
        }
        if shifts {
            return (at, Stop::All);
        }
        // What the decoder holds back is the beginning of a character.
        text.reserve(16);
        match decoder.decode_to_string_without_replacement(b"", text, true).0 {
            DecoderResult::Malformed(bad, after) => {
                (at.saturating_sub(usize::from(bad) + usize::from(after)), Stop::Short)
            }
            _ => (at, Stop::All),
        }
    }

    /// Writes text; where in it the first character begins that has no counterpart.
    fn encode(&mut self, text: &str, out: &mut Vec<u8>) -> Option<usize> {
        match self.to {
            Kind::Utf8 => out.extend_from_slice(text.as_bytes()),
            Kind::Ascii | Kind::Latin1 => {
                let most = if self.to == Kind::Ascii { '\u{7f}' } else { '\u{ff}' };
                for (at, found) in text.char_indices() {
                    if found > most {
                        return Some(at);
                    }
                    out.push(u8::try_from(u32::from(found)).unwrap_or_default());
                }
            }
            Kind::Single(number) => {
                let table = Table::at(number);
                for (at, found) in text.char_indices() {
                    match table.and_then(|table| table.byte(found)) {
                        Some(byte) => out.push(byte),
                        None => return Some(at),
                    }
                }
            }
            Kind::Wide(width, order) => {
                if order == Order::Marked && !text.is_empty() && !std::mem::replace(&mut self.marked, true) {
                    width.push('\u{feff}', Order::Little, out);
                }
                let order = if order == Order::Marked { Order::Little } else { order };
                text.chars().for_each(|found| width.push(found, order, out));
            }
            Kind::Multi(encoding) => return self.encode_multi(encoding, text, out),
        }
        None
    }

    fn encode_multi(&mut self, encoding: &'static Encoding, text: &str, out: &mut Vec<u8>) -> Option<usize> {
        let mut fresh = None;
        let encoder = match &mut self.encoder {
            Some(encoder) => encoder,
            None => fresh.insert(encoding.new_encoder()),
        };
        let mut at = 0;
        loop {
            let rest = text.get(at..).unwrap_or_default();
            let room = encoder.max_buffer_length_from_utf8_without_replacement(rest.len());
            out.reserve(room.unwrap_or(rest.len()));
            let (result, read) = encoder.encode_from_utf8_to_vec_without_replacement(rest, out, false);
            at += read;
            match result {
                EncoderResult::InputEmpty => return None,
                EncoderResult::OutputFull => {}
                EncoderResult::Unmappable(found) => return Some(at.saturating_sub(found.len_utf8())),
            }
        }
    }
}

impl Width {
    fn bytes(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    fn unit(self, bytes: &[u8], order: Order) -> Option<u32> {
        Some(match (self, order) {
            (Self::Two, Order::Big) => u32::from(u16::from_be_bytes(bytes.try_into().ok()?)),
            (Self::Two, _) => u32::from(u16::from_le_bytes(bytes.try_into().ok()?)),
            (Self::Four, Order::Big) => u32::from_be_bytes(bytes.try_into().ok()?),
            (Self::Four, _) => u32::from_le_bytes(bytes.try_into().ok()?),
        })
    }

    fn push(self, found: char, order: Order, out: &mut Vec<u8>) {
        match self {
            Self::Two => {
                for unit in found.encode_utf16(&mut [0; 2]) {
                    out.extend_from_slice(&if order == Order::Big { unit.to_be_bytes() } else { unit.to_le_bytes() });
                }
            }
            Self::Four => {
                let code = u32::from(found);
                out.extend_from_slice(&if order == Order::Big { code.to_be_bytes() } else { code.to_le_bytes() });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(from: &str, to: &str, input: &[u8]) -> (Vec<u8>, usize, Stop) {
        let charset = |name: &str| Charset::find(name.as_bytes()).unwrap();
        let mut out = Vec::new();
        let (taken, stop) = Conversion::new(charset(from), charset(to)).run(input, &mut out);
        (out, taken, stop)
    }

    #[test]
    fn text_goes_there_and_back() {
        for name in ["UTF-16", "utf-32be", "gb18030", "EUC-JP", "Shift_JIS"] {
            let (there, _, stop) = convert("UTF-8", name, "a日本\n".as_bytes());
            assert_eq!(stop, Stop::All, "{name}");
            assert_eq!(convert(name, "UTF-8", &there).0, "a日本\n".as_bytes(), "{name}");
        }
        assert_eq!(convert("ISO-8859-15", "UTF-8", b"\xa4"), ("€".into(), 1, Stop::All));
        assert_eq!(convert("UTF-8", "IBM037", b"Ab1").0, b"\xc1\x82\xf1");
    }

    #[test]
    fn conversion_stops_in_front_of_what_it_cannot_take() {
        assert_eq!(convert("UTF-8", "ISO-8859-1", "a€b".as_bytes()), (b"a".to_vec(), 1, Stop::Bad));
        assert_eq!(convert("UTF-8", "UTF-16LE", b"a\xe2\x82"), (b"a\0".to_vec(), 1, Stop::Short));
        assert_eq!(convert("UTF-8", "UTF-16LE", b"a\xff"), (b"a\0".to_vec(), 1, Stop::Bad));
        assert_eq!(convert("Shift_JIS", "UTF-8", b"a\x93"), (b"a".to_vec(), 1, Stop::Short));
        assert_eq!(convert("EUC-JP", "ISO-8859-1", b"a\xc6\xfcb"), (b"a".to_vec(), 1, Stop::Bad));
        assert_eq!(convert("windows-1252", "UTF-8", b"a\x81b"), (b"a".to_vec(), 1, Stop::Bad));
    }

    #[test]
    fn names_are_those_of_iconv() {
        for name in ["latin1", "L1", "CP1252", "SJIS", "ASCII//TRANSLIT", "IBM850", "EUC-KR", "ucs-4"] {
            assert!(Charset::find(name.as_bytes()).is_some(), "{name}");
        }
        assert_eq!(Charset::find(b"x-user-defined"), None);
        assert_eq!(Charset::find(b"klingon"), None);
    }
}

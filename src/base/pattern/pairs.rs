//! Pairs of neighbouring bytes: what a pattern needs, and what a text has. Of many patterns that are tried on one text
//! nearly all are ruled out by a pair that the text has not, and no engine is asked.

use regex_syntax::hir::{Class, Hir, HirKind};

/// The pairs that a text has, letters in either case. It may tell of some that the text has not.
#[derive(Clone, Debug, Default)]
pub struct Pairs([u64; PLACES / 64]);

/// Places for pairs; a few hundred bytes of text leave most of them empty.
const PLACES: usize = 1024;

/// Without the case of letters; what is left of other bytes tells them from letters.
#[inline]
fn folded(byte: u8) -> u16 {
    u16::from(byte & 0x1f | (byte & 0x40) >> 1)
}

/// The place of a pair of folded bytes.
#[inline]
fn place(first: u16, second: u16) -> u16 {
    (first << 4 ^ second) & (PLACES as u16 - 1)
}

impl Pairs {
    /// Those of `text`, and no others any more.
    pub fn note(&mut self, text: &[u8]) {
        self.0 = [0; PLACES / 64];
        let mut text = text.iter().map(|byte| folded(*byte));
        let Some(mut last) = text.next() else { return };
        for byte in text {
            let place = usize::from(place(last, byte));
            self.0[place / 64 % (PLACES / 64)] |= 1 << (place % 64);
            last = byte;
        }
    }

    #[inline]
    fn has(&self, place: u16) -> bool {
        let place = usize::from(place);
        self.0[place / 64 % (PLACES / 64)] >> (place % 64) & 1 == 1
    }
}

/// Some of the pairs that every subject of a pattern has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needed {
    places: [u16; MOST],
    len: u8,
}

/// So many pairs of a pattern are asked for.
const MOST: usize = 6;

impl Needed {
    /// Of a pattern: its fixed parts, in either case.
    pub(super) fn of(pattern: &Hir) -> Self {
        let mut found = Vec::new();
        walk(pattern, &mut None, &mut found);
        found.sort_unstable();
        found.dedup();
        let mut needed = Self::default();
        let len = found.len().min(MOST);
        // From all over the pattern: what rules share may be long.
        let spread = (0..len).filter_map(|at| found.get(at * found.len() / len));
        for (to, place) in needed.places.iter_mut().zip(spread) {
            *to = *place;
            needed.len += 1;
        }
        needed
    }

    /// Whether there is none: any text may match.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether a text with these pairs may match.
    #[inline]
    pub fn may_match(&self, text: &Pairs) -> bool {
        self.places.iter().take(usize::from(self.len)).all(|place| text.has(*place))
    }
}

/// Adds the pairs of a part behind the byte `last`, which is none where anything may stand.
fn walk(part: &Hir, last: &mut Option<u16>, found: &mut Vec<u16>) {
    let mut step = |byte: u16| {
        if let Some(last) = last.replace(byte) {
            found.push(place(last, byte));
        }
    };
    match part.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => literal.0.iter().for_each(|byte| step(folded(*byte))),
        HirKind::Class(class) => match letter(class) {
            Some(byte) => step(byte),
            None => *last = None,
        },
        HirKind::Repetition(repetition) => {
            if repetition.min > 0 {
                walk(&repetition.sub, last, found);
            }
            *last = None;
        }
        HirKind::Capture(capture) => walk(&capture.sub, last, found),
        HirKind::Concat(parts) => parts.iter().for_each(|part| walk(part, last, found)),
        HirKind::Alternation(_) => *last = None,
    }
}

/// The one byte that a class is, but for its case.
fn letter(class: &Class) -> Option<u16> {
    let Class::Bytes(class) = class else { return None };
    let mut bytes = class.ranges().iter().flat_map(|range| range.start()..=range.end()).map(folded);
    let first = bytes.next()?;
    bytes.all(|byte| byte == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::super::{Flags, Pattern};
    use super::*;

    fn may(pattern: &str, text: &str) -> bool {
        let mut pairs = Pairs::default();
        pairs.note(text.as_bytes());
        let pattern = Pattern::new(pattern.as_bytes(), Flags::default()).unwrap();
        let may = pattern.needed().may_match(&pairs);
        assert!(may || !pattern.is_match(text.as_bytes()), "{pattern:?} matches {text}");
        may
    }

    #[test]
    fn texts_without_a_needed_pair_are_ruled_out() {
        for (pattern, yes, no) in [
            ("OldBot/3\\.", "x OldBot/3.1", "x OldBot/2.1"),
            ("(?i)^www\\.example$", "WWW.Example", "www.other"),
            ("a(bc)+d", "abcbcd", "ab cd"),
            ("^/x[0-9]/(.*)/end$", "/x1/a/end", "/x1/a/en"),
            ("ab{2}c", "abbc", "ac"),
        ] {
            assert!(may(pattern, yes) && !may(pattern, no), "{pattern}");
        }
    }

    #[test]
    fn what_may_be_missing_is_not_needed() {
        for (pattern, text) in [
            ("a(bc)*d", "ad"),
            ("ab?c", "ac"),
            ("foo|bar", "bar"),
            ("x(?:foo|bar)y", "xbary"),
            ("", ""),
            ("a(?:b|cd)+e", "acde"),
            ("f\\bx?-", "f-"),
            ("(?=ab)a", "ab"),
            ("[ab]c", "bc"),
        ] {
            assert!(may(pattern, text), "{pattern}");
        }
    }
}

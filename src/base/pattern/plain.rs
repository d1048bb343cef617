//! Patterns that need no engine: a fixed beginning, and all or nothing behind it (`^/app/(.*)$`). Most rules of real
//! files are of this kind, and long lists of them are tried for every request.

use regex_automata::util::primitives::NonMaxUsize;
use regex_syntax::hir::{Class, ClassBytes, Hir, HirKind, Look, Repetition, literal};

use crate::base::fold::same;

/// `^`, a literal in its case or in any, perhaps any bytes to the end (as a group or not), perhaps `$`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plain {
    literal: Vec<u8>,
    /// Its letters are in either case.
    folded: bool,
    tail: Tail,
}

/// What may follow the literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    /// Whatever it is, it is no part of the match.
    Open,
    /// Nothing.
    End,
    /// At least so many bytes, all of them matched, and the only group or none.
    Rest { least: usize, group: bool },
}

impl Plain {
    /// The pattern in this form, if it has it.
    pub(super) fn of(pattern: &Hir) -> Option<Self> {
        let HirKind::Concat(parts) = pattern.kind() else { return None };
        let (first, mut rest) = parts.split_first()?;
        if *first.kind() != HirKind::Look(Look::Start) {
            return None;
        }
        let mut plain = Self { literal: Vec::new(), folded: false, tail: Tail::Open };
        let mut letters = false;
        while let Some((part, behind)) = rest.split_first() {
            match part.kind() {
                HirKind::Literal(literal) => {
                    letters |= literal.0.iter().any(u8::is_ascii_alphabetic);
                    plain.literal.extend_from_slice(&literal.0);
                }
                HirKind::Class(Class::Bytes(class)) => {
                    let Some(letter) = either_case(class) else { break };
                    plain.folded = true;
                    plain.literal.push(letter);
                }
                _ => break,
            }
            rest = behind;
        }
        if plain.folded && letters {
            return None;
        }
        if let Some((part, behind)) = rest.split_first()
            && let Some((least, group)) = rest_of(part)
        {
            plain.tail = Tail::Rest { least, group };
            rest = behind;
        }
        match rest {
            [] => {}
            [end] if *end.kind() == HirKind::Look(Look::End) => {
                if plain.tail == Tail::Open {
                    plain.tail = Tail::End;
                }
            }
            _ => return None,
        }
        Some(plain)
    }

    /// Whether `hay` matches.
    #[inline]
    pub(super) fn is_match(&self, hay: &[u8]) -> bool {
        let behind = match self.folded {
            false => hay.strip_prefix(self.literal.as_slice()),
            true => {
                hay.split_at_checked(self.literal.len()).filter(|(head, _)| same(head, &self.literal)).map(|at| at.1)
            }
        };
        behind.is_some_and(|behind| match self.tail {
            Tail::Open => true,
            Tail::End => behind.is_empty(),
            Tail::Rest { least, .. } => behind.len() >= least,
        })
    }

    /// What every `hay` that matches begins with, as far as its case is known.
    pub(super) fn head(&self) -> &[u8] {
        if self.folded { &[] } else { &self.literal }
    }

    /// Where the match and its group lie in `hay`, which matches.
    pub(super) fn fill(&self, hay: &[u8], slots: &mut Vec<Option<NonMaxUsize>>) {
        let literal = self.literal.len();
        let (end, group) = match self.tail {
            Tail::Open | Tail::End => (literal, false),
            Tail::Rest { group, .. } => (hay.len(), group),
        };
        slots.extend([NonMaxUsize::new(0), NonMaxUsize::new(end)]);
        if group {
            slots.extend([NonMaxUsize::new(literal), NonMaxUsize::new(end)]);
        }
    }
}

/// The letter that a class is, if it is one in either case.
fn either_case(class: &ClassBytes) -> Option<u8> {
    match class.ranges() {
        [upper, lower] => {
            let (letter, other) = (lower.start(), upper.start());
            let one = upper.end() == other && lower.end() == letter;
            (one && letter.is_ascii_lowercase() && letter.to_ascii_uppercase() == other).then_some(letter)
        }
        _ => None,
    }
}

/// The least number of bytes of a part that takes all there are, and whether it is a group.
fn rest_of(part: &Hir) -> Option<(usize, bool)> {
    let (part, group) = match part.kind() {
        HirKind::Capture(capture) => (&*capture.sub, true),
        _ => (part, false),
    };
    let HirKind::Repetition(Repetition { min, max: None, greedy: true, sub }) = part.kind() else { return None };
    let HirKind::Class(Class::Bytes(class)) = sub.kind() else { return None };
    let any = matches!(class.ranges(), [all] if all.start() == 0 && all.end() == u8::MAX);
    any.then_some((*min as usize, group))
}

/// What all subjects that match begin with; empty if the pattern is not bound to their beginning.
pub(super) fn prefix_of(pattern: &Hir) -> Vec<u8> {
    if !pattern.properties().look_set_prefix().contains(Look::Start) {
        return Vec::new();
    }
    let literals = literal::Extractor::new().extract(pattern);
    literals.longest_common_prefix().unwrap_or_default().to_vec()
}

//! What tells without any engine that a rule does nothing for a request: of long lists nearly all rules are of this
//! kind. It is kept beside the rule in its list, so that the rule itself need not be looked at.

use super::rule::{Cond, Kind, Rule, flag};
use super::text::{Part, Var};
use crate::base::pattern::{Needed, Pairs, Pattern};
use crate::web::Exchange;

/// Request fields that long lists of rules look at.
const FIELDS: &[&str] =
    &["Host", "User-Agent", "Referer", "Cookie", "Accept", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"];

/// A text of the request that conditions of many rules look at, and that stays the same as long as no rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subject(u8);

/// Fields and variables that may be a [`Subject`].
const SUBJECTS: usize = 16;

impl Subject {
    /// That of a condition's test.
    pub(super) fn of(test: &[Part]) -> Option<Self> {
        use crate::expr::Var as Common;
        let [Part::Var(var)] = test else { return None };
        let at = match var {
            Var::Field(name) => FIELDS.iter().position(|field| field.as_bytes().eq_ignore_ascii_case(name))?,
            Var::Common(Common::RequestUri) => FIELDS.len(),
            Var::Common(Common::RequestMethod) => FIELDS.len() + 1,
            Var::Common(Common::QueryString) => FIELDS.len() + 2,
            Var::Common(Common::TheRequest) => FIELDS.len() + 3,
            Var::Common(Common::RemoteAddr) => FIELDS.len() + 4,
            Var::Filename => FIELDS.len() + 5,
            _ => return None,
        };
        u8::try_from(at).ok().map(Self)
    }

    fn bit(self) -> u32 {
        1 << self.0
    }
}

/// What is known of the texts of a request.
#[derive(Default)]
pub(super) struct Known {
    /// Subjects that were asked for.
    asked: u32,
    /// Those whose pairs are noted.
    noted: u32,
    pairs: [Pairs; SUBJECTS],
}

impl Known {
    /// Nothing any more.
    pub(super) fn forget(&mut self) {
        (self.asked, self.noted) = (0, 0);
    }

    /// Whether a text may match, by what its pattern needs.
    pub(super) fn may_match<'a>(
        &mut self,
        subject: Subject,
        needed: &Needed,
        text: impl FnOnce() -> Option<&'a [u8]>,
    ) -> bool {
        let Some(pairs) = self.pairs.get_mut(usize::from(subject.0)) else { return true };
        if self.noted & subject.bit() == 0 {
            // A text is worth it that is asked for again.
            if self.asked & subject.bit() == 0 {
                self.asked |= subject.bit();
                return true;
            }
            let Some(text) = text() else { return true };
            pairs.note(text);
            self.noted |= subject.bit();
        }
        needed.may_match(pairs)
    }
}

/// The first bytes of a name, and zeros behind a short one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Head(u128);

impl Head {
    #[inline]
    pub(super) fn of(name: &[u8]) -> Self {
        if let Some(first) = name.first_chunk() {
            return Self(u128::from_le_bytes(*first));
        }
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(name).for_each(|(to, byte)| *to = *byte);
        Self(u128::from_le_bytes(bytes))
    }
}

/// See above.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gate {
    /// What names begin with that match the pattern.
    head: Head,
    /// Where it says anything.
    mask: u128,
    /// What the condition needs.
    needed: Needed,
    /// Which condition, and what it looks at.
    cond: Option<(u8, Subject)>,
    /// Flags of the rule.
    flags: u32,
}

impl Gate {
    /// That of a rule.
    pub(super) fn of(rule: &Rule) -> Self {
        let mut gate = Self { head: Head(0), mask: 0, needed: Needed::default(), cond: None, flags: rule.flags };
        if !rule.has(flag::NOT) {
            let head = rule.pattern.head();
            let head = head.get(..16).unwrap_or(head);
            gate.head = Head::of(head);
            gate.mask = Head::of(&vec![u8::MAX; head.len()]).0;
        }
        // A pattern that may give up is tried in its turn, for the log's sake.
        if rule.pattern.is_linear() {
            for (at, cond) in rule.conds.iter().enumerate() {
                if let Some((subject, needed)) = demand(cond) {
                    gate.cond = u8::try_from(at).ok().map(|at| (at, subject));
                    gate.needed = needed;
                    break;
                }
                if cond.or || !silent(cond) {
                    break;
                }
            }
        }
        gate
    }

    /// Whether any of these flags is set.
    #[inline]
    pub(super) fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// Whether the rule does nothing for the name with this head.
    #[inline]
    pub(super) fn is_shut(&self, head: Head, rule: &Rule, ex: &Exchange, known: &mut Known) -> bool {
        if head.0 & self.mask != self.head.0 {
            return true;
        }
        let Some((at, subject)) = self.cond else { return false };
        !known.may_match(subject, &self.needed, || text(ex, rule.conds.get(usize::from(at))?))
    }
}

/// What a condition looks at, as it stands.
pub(super) fn text<'a>(ex: &'a Exchange, cond: &Cond) -> Option<&'a [u8]> {
    match cond.test.as_slice() {
        [Part::Var(var)] => var.kept(ex),
        _ => None,
    }
}

/// What must be in which text for a condition to hold without which the rule does nothing.
fn demand(cond: &Cond) -> Option<(Subject, Needed)> {
    let Kind::Pattern(pattern) = &cond.kind else { return None };
    if cond.not || cond.or {
        return None;
    }
    Some((cond.subject?, pattern.needed())).filter(|(_, needed)| !needed.is_empty())
}

/// Whether nobody can tell if it was tried: not the log, and no program.
fn silent(cond: &Cond) -> bool {
    let linear = |pattern: &Pattern| pattern.is_linear();
    matches!(&cond.kind, Kind::Pattern(pattern) if linear(pattern)) && cond.subject.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_of_short_names_end_in_zeros() {
        assert_eq!(Head::of(b"/a"), Head(0x612f));
        assert_eq!(Head::of(b"0123456789abcdefg"), Head::of(b"0123456789abcdef"));
        assert_ne!(Head::of(b"0123456789abcde"), Head::of(b"0123456789abcdef"));
    }

    #[test]
    fn a_text_is_noted_when_it_is_asked_for_again() {
        let pattern = Pattern::new(b"bot/1", Default::default()).unwrap();
        let (mut known, subject) = (Known::default(), Subject(1));
        let mut may = |text: &'static [u8]| known.may_match(subject, &pattern.needed(), || Some(text));
        assert!(may(b"other"));
        assert!(!may(b"other"));
        assert!(!may(b"bot/1 is looked at no more"));
        known.forget();
        let mut may = |text: &'static [u8]| known.may_match(subject, &pattern.needed(), || Some(text));
        assert!(may(b"") && may(b"Bot/1"));
    }
}

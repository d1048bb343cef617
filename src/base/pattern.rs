//! Patterns in the PCRE dialect, as httpd compiles them: `.` matches a newline, `$` only the very
//! end, bytes and not characters, ASCII case folding.
//!
//! A scanner ([`dialect`]) reads the pattern as PCRE does and writes it again in the common
//! spelling of our two engines.  What the pattern uses decides the engine: without look-around,
//! back-references and the like it is matched in linear time, else by backtracking under a limit.

mod class;
mod dialect;
mod pairs;
mod plain;
mod property;
mod set;

use std::fmt;

use fancy_regex::{BytesMode, RegexBuilder, RuntimeError};
use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::{Input, meta, util::syntax};

pub use pairs::{Needed, Pairs};

/// How a pattern is compiled, beyond its own inline flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// ASCII letters match either case.
    pub icase: bool,
    /// `^` and `$` match at every line.
    pub multiline: bool,
    /// `.` does not match a newline (`RegexDefaultOptions -DOTALL`).
    pub no_dotall: bool,
    /// `$` also matches before a newline that ends the subject (`-DOLLAR_ENDONLY`).
    pub dollar_newline: bool,
    /// White space and comments in the pattern are ignored.
    pub extended: bool,
}

/// Why a pattern does not compile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (at offset {offset})")]
pub struct PatternError {
    /// What is wrong, in words.
    pub message: String,
    /// Where in the pattern, in bytes.
    pub offset: usize,
}

/// The search gave up: the backtracking limit was hit.  Callers take it for "no match" and log it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("pattern exceeded the backtracking limit")]
pub struct LimitHit;

/// A compiled pattern, shared between threads.
pub struct Pattern {
    source: Vec<u8>,
    groups: usize,
    names: Vec<(String, usize)>,
    engine: Engine,
    /// What every subject that matches begins with: of long lists of rules most are ruled out by it.
    prefix: Vec<u8>,
    /// What it has somewhere.
    needed: Needed,
}

enum Engine {
    Plain(plain::Plain),
    Linear(Box<meta::Regex>),
    Backtracking(Box<fancy_regex::Regex>),
}

impl Pattern {
    /// Compiles a pattern.
    pub fn new(text: &[u8], flags: Flags) -> Result<Self, PatternError> {
        let dialect::Translation { text: translated, hard, groups, names } = dialect::translate(text, flags)?;
        let whole = |message: String| PatternError { message, offset: text.len() };
        let mut prefix = Vec::new();
        let mut needed = Needed::default();
        let engine = if hard {
            let regex = RegexBuilder::new(&translated)
                .bytes_mode(BytesMode::Ascii)
                .unicode_mode(false)
                .case_insensitive(flags.icase)
                .multi_line(flags.multiline)
                .dot_matches_new_line(!flags.no_dotall)
                .backtrack_limit(BACKTRACK_LIMIT)
                .delegate_size_limit(SIZE_LIMIT)
                .build()
                .map_err(|error| whole(error.to_string()))?;
            Engine::Backtracking(Box::new(regex))
        } else {
            let syntax = syntax::Config::new()
                .unicode(false)
                .utf8(false)
                .case_insensitive(flags.icase)
                .multi_line(flags.multiline)
                .dot_matches_new_line(!flags.no_dotall);
            let parsed = syntax::parse_with(&translated, &syntax).map_err(|error| whole(error.to_string()))?;
            needed = Needed::of(&parsed);
            if let Some(plain) = plain::Plain::of(&parsed) {
                Engine::Plain(plain)
            } else {
                let regex = meta::Regex::builder()
                    .configure(meta::Config::new().utf8_empty(false).nfa_size_limit(Some(SIZE_LIMIT)))
                    .build_from_hir(&parsed)
                    .map_err(|error| whole(error.to_string()))?;
                prefix = plain::prefix_of(&parsed);
                Engine::Linear(Box::new(regex))
            }
        };
        Ok(Self { source: text.to_vec(), groups, names, engine, prefix, needed })
    }

    /// Does the pattern match somewhere in `hay`?  A search that gave up counts as no match.
    pub fn is_match(&self, hay: &[u8]) -> bool {
        self.try_is_match(hay).unwrap_or(false)
    }

    /// As [`Self::is_match`], telling when the search gave up.
    pub fn try_is_match(&self, hay: &[u8]) -> Result<bool, LimitHit> {
        if !hay.starts_with(&self.prefix) {
            return Ok(false);
        }
        match &self.engine {
            Engine::Plain(plain) => Ok(plain.is_match(hay)),
            Engine::Linear(regex) => Ok(regex.is_match(hay)),
            Engine::Backtracking(regex) => regex.is_match(hay).map_err(limit_hit),
        }
    }

    /// Matches and fills `caps`, which is empty after a failure.  A search that gave up counts as
    /// no match.
    pub fn captures(&self, hay: &[u8], caps: &mut Captures) -> bool {
        self.try_captures(hay, caps).unwrap_or(false)
    }

    /// As [`Self::captures`], telling when the search gave up.
    pub fn try_captures(&self, hay: &[u8], caps: &mut Captures) -> Result<bool, LimitHit> {
        caps.slots.clear();
        if !hay.starts_with(&self.prefix) {
            return Ok(false);
        }
        let matched = match &self.engine {
            Engine::Plain(plain) => {
                let matched = plain.is_match(hay);
                if matched {
                    plain.fill(hay, &mut caps.slots);
                }
                matched
            }
            Engine::Linear(regex) => {
                caps.slots.resize((self.groups + 1) * 2, None);
                regex.search_slots(&Input::new(hay), &mut caps.slots).is_some()
            }
            Engine::Backtracking(regex) => match regex.captures(hay).map_err(limit_hit)? {
                Some(found) => {
                    for group in 0..=self.groups {
                        let range = found.get(group).map(|part| (part.start(), part.end()));
                        caps.slots.push(range.and_then(|(start, _)| NonMaxUsize::new(start)));
                        caps.slots.push(range.and_then(|(_, end)| NonMaxUsize::new(end)));
                    }
                    true
                }
                None => false,
            },
        };
        if !matched {
            caps.slots.clear();
        }
        Ok(matched)
    }

    /// The pattern as it was written.
    pub fn source(&self) -> &[u8] {
        &self.source
    }

    /// What every subject that matches begins with, as far as it is known.
    pub fn head(&self) -> &[u8] {
        match &self.engine {
            Engine::Plain(plain) => plain.head(),
            Engine::Linear(_) | Engine::Backtracking(_) => &self.prefix,
        }
    }

    /// What every subject that matches has somewhere, as far as it is known.
    pub fn needed(&self) -> Needed {
        self.needed
    }

    /// The number of groups, group 0 (the whole match) not counted.
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// Named groups in order of their number; a name may occur more than once.
    pub fn names(&self) -> impl Iterator<Item = (&str, usize)> {
        self.names.iter().map(|(name, group)| (name.as_str(), *group))
    }

    /// Is the pattern matched in linear time?
    pub fn is_linear(&self) -> bool {
        matches!(self.engine, Engine::Plain(_) | Engine::Linear(_))
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({})", self.source.escape_ascii())
    }
}

/// Where the groups of the last match are; reused from match to match.
#[derive(Clone, Debug, Default)]
pub struct Captures {
    slots: Vec<Option<NonMaxUsize>>,
}

impl Captures {
    /// An empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the last match, keeps the memory.
    pub fn clear(&mut self) {
        self.slots.clear();
    }

    /// Start and end of a group in the subject; `None` when the group took no part.
    pub fn get(&self, group: usize) -> Option<(usize, usize)> {
        let start = group.checked_mul(2)?;
        let start_slot = (*self.slots.get(start)?)?;
        let end_slot = (*self.slots.get(start.checked_add(1)?)?)?;
        Some((start_slot.get(), end_slot.get()))
    }

    /// The text of a group in `hay`; empty when the group took no part.
    pub fn text<'h>(&self, group: usize, hay: &'h [u8]) -> &'h [u8] {
        self.get(group).and_then(|(start, end)| hay.get(start..end)).unwrap_or_default()
    }

    /// Groups including group 0; 0 when there is no match.
    pub fn len(&self) -> usize {
        self.slots.len() / 2
    }

    /// Is there no match?
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

/// Appends `template` with `$0` to `$9` replaced by the groups of the match `caps` in `hay`.  A
/// backslash makes the next byte literal; any other byte, `&` included, stands for itself.
pub fn substitute(template: &[u8], hay: &[u8], caps: &Captures, out: &mut Vec<u8>) {
    substitute_with(template, |group, out| out.extend_from_slice(caps.text(group, hay)), out);
}

/// As [`substitute`], with groups from elsewhere.
pub fn substitute_with(template: &[u8], push_group: impl Fn(usize, &mut Vec<u8>), out: &mut Vec<u8>) {
    let mut rest = template;
    while let Some(at) = memchr::memchr2(b'$', b'\\', rest) {
        let (plain, after) = rest.split_at(at);
        out.extend_from_slice(plain);
        rest = match after {
            [b'$', digit @ b'0'..=b'9', after @ ..] => {
                push_group(usize::from(digit - b'0'), out);
                after
            }
            [b'\\', literal, after @ ..] => {
                out.push(*literal);
                after
            }
            [byte, after @ ..] => {
                out.push(*byte);
                after
            }
            [] => after,
        };
    }
    out.extend_from_slice(rest);
}

/// Does the template refer to a group (`$0` to `$9`, not escaped)?
pub fn has_reference(template: &[u8]) -> bool {
    let mut rest = template;
    while let [byte, after @ ..] = rest {
        rest = match (byte, after) {
            (b'$', [b'0'..=b'9', ..]) => return true,
            (b'\\', [_, after @ ..]) => after,
            _ => after,
        };
    }
    false
}

/// The only run-time errors of the backtracking engine are its limits.
fn limit_hit(error: fancy_regex::Error) -> LimitHit {
    debug_assert!(matches!(
        error,
        fancy_regex::Error::RuntimeError(RuntimeError::BacktrackLimitExceeded | RuntimeError::StackOverflow)
    ));
    LimitHit
}

/// Steps of backtracking before a search gives up.
const BACKTRACK_LIMIT: usize = 1_000_000;

/// Bytes a compiled pattern may take.
const SIZE_LIMIT: usize = 20 << 20;

#[cfg(test)]
mod tests;

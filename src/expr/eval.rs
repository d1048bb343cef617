//! Evaluation: a tree, a request and scratch memory in, a truth or a text out.

use std::cmp::Ordering;
use std::net::IpAddr;

use md5::{Digest, Md5};
use sha1::Sha1;

use super::parse::{Cond, Word};
use super::token::Compare;
use super::vars::{Binary, EvalError, Function, Unary, Vars};
use crate::base::clock::leading_integer;
use crate::base::fnmatch::{Fnmatch, fnmatch};
use crate::base::path::{self, EncodedSlashes};
use crate::base::pattern::Captures;

/// Memory that evaluations share, one after the other: the groups of the last match, and buffers.
#[derive(Debug, Default)]
pub struct Scratch {
    captures: Captures,
    /// What the groups are parts of.
    subject: Vec<u8>,
    vary: Vec<Vec<u8>>,
    spare: Vec<Vec<u8>>,
}

impl Scratch {
    /// Empty memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// Group `$n` of the last match; empty when there is none.
    pub fn group(&self, group: usize) -> &[u8] {
        self.captures.text(group, &self.subject)
    }

    /// Request headers that were asked for, for `Vary`; each once, `Host` never.  They pile up
    /// until they are taken.
    pub fn take_vary(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.vary)
    }

    /// Forgets the last match.
    pub(super) fn forget(&mut self) {
        self.captures.clear();
        self.subject.clear();
    }

    fn add_vary(&mut self, header: &[u8]) {
        let known = |other: &Vec<u8>| other.eq_ignore_ascii_case(header);
        if !header.eq_ignore_ascii_case(b"Host") && !self.vary.iter().any(known) {
            self.vary.push(header.to_vec());
        }
    }

    fn buffer(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    fn give_back(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        if self.spare.len() < SPARE_BUFFERS && buffer.capacity() <= SPARE_SIZE {
            self.spare.push(buffer);
        }
    }
}

/// One evaluation.
pub(super) struct Run<'r, V: Vars + ?Sized> {
    pub(super) vars: &'r V,
    pub(super) scratch: &'r mut Scratch,
    /// How deep we are: httpd gives up beyond 20.
    pub(super) depth: usize,
}

impl<V: Vars + ?Sized> Run<'_, V> {
    /// Is the condition true?
    pub(super) fn cond(&mut self, cond: &Cond) -> Result<bool, EvalError> {
        self.enter()?;
        let mut wanted = true;
        let mut cond = cond;
        let truth = loop {
            match cond {
                Cond::Not(inner) => {
                    wanted = !wanted;
                    cond = inner;
                }
                Cond::And(terms) => match self.decided(terms, false)? {
                    Some(last) => cond = last,
                    None => break false,
                },
                Cond::Or(terms) => match self.decided(terms, true)? {
                    Some(last) => cond = last,
                    None => break true,
                },
                leaf => break self.leaf(leaf)?,
            }
        };
        self.depth -= 1;
        Ok(truth == wanted)
    }

    /// Evaluates all terms but the last, until one is `enough`.  The last is left to the caller,
    /// one level higher; `None` when it is not needed.
    fn decided<'c>(&mut self, terms: &'c [Cond], enough: bool) -> Result<Option<&'c Cond>, EvalError> {
        let Some((last, terms)) = terms.split_last() else { return Ok(None) };
        for term in terms {
            if self.cond(term)? == enough {
                return Ok(None);
            }
        }
        Ok(Some(last))
    }

    fn leaf(&mut self, cond: &Cond) -> Result<bool, EvalError> {
        match cond {
            Cond::Const(truth) => Ok(*truth),
            Cond::Compare(compare, left, right) => self.with_two(left, right, |left, right| match compare {
                Compare::Text(order) => order.holds(left.cmp(right)),
                Compare::Integer(order) => order.holds(compare_integers(left, right)),
                Compare::Length(order) => order.holds(left.len().cmp(&right.len()).then_with(|| left.cmp(right))),
            }),
            Cond::In(word, list) => {
                for other in list {
                    if self.with_two(word, other, |left, right| left == right)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Cond::Match { word, pattern, wanted } => {
                let mut subject = self.scratch.buffer();
                self.word(word, &mut subject)?;
                // Without groups a match leaves those of the match before.
                let matched = if pattern.groups() == 0 {
                    pattern.is_match(&subject)
                } else {
                    let matched = pattern.captures(&subject, &mut self.scratch.captures);
                    std::mem::swap(&mut self.scratch.subject, &mut subject);
                    matched
                };
                self.scratch.give_back(subject);
                Ok(matched == *wanted)
            }
            Cond::Unary(operator, word) => {
                let vars = self.vars;
                self.with_one(word, |text| match operator {
                    Unary::NotEmpty => !text.is_empty(),
                    Unary::Empty => text.is_empty(),
                    Unary::Truth => is_true(text),
                    Unary::File(test) => vars.file_is(*test, text),
                    Unary::Lookup(lookup) => vars.lookup(*lookup, text),
                    // Made into `Cond::ClientIn` by the parser.
                    Unary::ClientIn => false,
                })
            }
            Cond::ClientIn(subnet) => Ok(self.vars.client().is_some_and(|client| subnet.contains(client))),
            Cond::IpMatch(word, subnet) => self.with_one(word, |text| {
                let address = std::str::from_utf8(text).ok().and_then(|text| text.parse::<IpAddr>().ok());
                address.is_some_and(|address| subnet.contains(address))
            }),
            Cond::Binary(operator, word, pattern) => self.with_two(word, pattern, |text, pattern| {
                let how = Fnmatch {
                    pathname: *operator == Binary::Fnmatch,
                    icase: *operator == Binary::StrCaseMatch,
                    ..Fnmatch::default()
                };
                fnmatch(pattern, text, how)
            }),
            Cond::Not(_) | Cond::And(_) | Cond::Or(_) => self.cond(cond),
        }
    }

    /// Appends the value of a word.
    pub(super) fn word(&mut self, word: &Word, out: &mut Vec<u8>) -> Result<(), EvalError> {
        self.enter()?;
        match word {
            Word::Text(text) | Word::Digits(text) => out.extend_from_slice(text),
            Word::Group(group) => out.extend_from_slice(self.scratch.group(usize::from(*group))),
            Word::Var(var) => self.vars.var(*var, out),
            Word::Header(header) => {
                self.scratch.add_vary(header);
                self.vars.request_header(header, out);
            }
            Word::Concat(parts) => {
                for part in parts {
                    self.word(part, out)?;
                }
            }
            Word::Call(function, argument) => {
                let mut text = self.scratch.buffer();
                self.word(argument, &mut text)?;
                self.call(*function, &text, out)?;
                self.scratch.give_back(text);
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn enter(&mut self) -> Result<(), EvalError> {
        if self.depth >= DEPTH {
            return Err(EvalError::Recursion);
        }
        self.depth += 1;
        Ok(())
    }

    fn with_one(&mut self, word: &Word, ask: impl FnOnce(&[u8]) -> bool) -> Result<bool, EvalError> {
        if let Word::Text(text) | Word::Digits(text) = word {
            return Ok(ask(text));
        }
        let mut text = self.scratch.buffer();
        self.word(word, &mut text)?;
        let answer = ask(&text);
        self.scratch.give_back(text);
        Ok(answer)
    }

    fn with_two(
        &mut self,
        left: &Word,
        right: &Word,
        ask: impl FnOnce(&[u8], &[u8]) -> bool,
    ) -> Result<bool, EvalError> {
        let mut text = self.scratch.buffer();
        self.word(left, &mut text)?;
        let answer = self.with_one(right, |right| ask(&text, right))?;
        self.scratch.give_back(text);
        Ok(answer)
    }

    fn call(&mut self, function: Function, text: &[u8], out: &mut Vec<u8>) -> Result<(), EvalError> {
        match function {
            Function::Req => {
                self.scratch.add_vary(text);
                self.vars.request_header(text, out);
            }
            Function::ReqNoVary => self.vars.request_header(text, out),
            Function::Resp => self.vars.response_header(text, out),
            Function::Note => {
                self.vars.note(text, out);
            }
            Function::ReqEnv => {
                self.vars.env(text, out);
            }
            Function::OsEnv => self.vars.os_env(text, out),
            Function::Env => {
                if !self.vars.note(text, out) && !self.vars.env(text, out) {
                    self.vars.os_env(text, out);
                }
            }
            Function::Ssl => self.vars.ssl(text, out),
            Function::Health => self.vars.health(text, out),
            Function::ToLower => out.extend(text.iter().map(u8::to_ascii_lowercase)),
            Function::ToUpper => out.extend(text.iter().map(u8::to_ascii_uppercase)),
            Function::Escape => path::escape_path(text, out),
            Function::Unescape => {
                let start = out.len();
                if path::unescape_url(text, EncodedSlashes::Keep, out).is_err() {
                    out.truncate(start);
                }
            }
            Function::Base64 => push_base64(text, out),
            Function::Unbase64 => push_decoded_base64(text, out),
            Function::Md5 => push_hex(&Md5::digest(text), out),
            Function::Sha1 => push_hex(&Sha1::digest(text), out),
            Function::Ldap => push_ldap(text, out),
            Function::File => self.vars.read_file(text, out)?,
            Function::FileSize => out.extend_from_slice(self.vars.file_size(text).to_string().as_bytes()),
        }
        Ok(())
    }
}

/// As httpd reads numbers: leading blanks and a sign, what follows the digits is ignored, no
/// digits are 0, too many are the greatest there is.
fn compare_integers(left: &[u8], right: &[u8]) -> Ordering {
    let number = |text: &[u8]| {
        let negative = text.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'-');
        leading_integer(text).0.unwrap_or(if negative { i64::MIN } else { i64::MAX })
    };
    number(left).cmp(&number(right))
}

/// `-T`
fn is_true(text: &[u8]) -> bool {
    let falsehoods: [&[u8]; 5] = [b"", b"0", b"off", b"false", b"no"];
    !falsehoods.iter().any(|word| word.eq_ignore_ascii_case(text))
}

fn push_hex(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        path::push_hex_lower(*byte, out);
    }
}

fn push_base64(text: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    let room = text.len().div_ceil(3) * 4;
    out.resize(start + room, 0);
    let room = out.get_mut(start..).unwrap_or_default();
    let written = base64::Engine::encode_slice(&base64::engine::general_purpose::STANDARD, text, room).unwrap_or(0);
    out.truncate(start + written);
}

/// Up to the first byte that is not of the alphabet; bits that do not fill a byte are dropped.
fn push_decoded_base64(text: &[u8], out: &mut Vec<u8>) {
    let (mut bits, mut count) = (0u32, 0u32);
    for byte in text {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
}

/// Escapes what is special in a distinguished name or in a filter, as `\xx`.
fn push_ldap(text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        if matches!(byte, b'"' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' | 0..=0x1f | 0x7f..) {
            out.push(b'\\');
            path::push_hex_lower(*byte, out);
        } else {
            out.push(*byte);
        }
    }
}

/// Levels of evaluation.
const DEPTH: usize = 20;

/// Buffers kept for the next evaluation, and how large they may be.
const SPARE_BUFFERS: usize = 8;
const SPARE_SIZE: usize = 16 * 1024;

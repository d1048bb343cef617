//! Reads a pattern as PCRE does and writes it in the spelling that both engines share.
//!
//! The result is ASCII.  Classes are computed to sets of bytes, so that what the engines read
//! differently (`&&`, `--`, `[` inside a class) does not reach them; groups lose their names.

use std::fmt::Write;

use super::set::{Set, push_byte};
use super::{Flags, PatternError, class, property};

/// A pattern in the common spelling.
pub(super) struct Translation {
    pub(super) text: String,
    /// Does it need the backtracking engine?
    pub(super) hard: bool,
    pub(super) groups: usize,
    pub(super) names: Vec<(String, usize)>,
}

/// Translates a pattern.
pub(super) fn translate(pattern: &[u8], flags: Flags) -> Result<Translation, PatternError> {
    let local = Local { extended: flags.extended, extended_more: false, ungreedy: false, no_capture: false };
    let mut scanner = Scanner {
        pattern,
        at: 0,
        out: String::with_capacity(pattern.len() + 8),
        hard: false,
        groups: 0,
        names: Vec::new(),
        references: Vec::new(),
        open: Vec::new(),
        local,
        dollar: if flags.dollar_newline && !flags.multiline { "(?=\\n?\\z)" } else { "$" },
        last: None,
        deciding: Vec::new(),
    };
    scanner.run()?;
    let Scanner { out, hard, groups, names, references, .. } = scanner;
    for (group, offset) in references {
        if group > groups {
            return Err(error("reference to non-existent subpattern", offset));
        }
    }
    Ok(Translation { text: out, hard, groups, names })
}

/// Options that the scanner resolves itself; `i`, `m` and `s` are left to the engines.
#[derive(Clone, Copy)]
struct Local {
    extended: bool,
    extended_more: bool,
    ungreedy: bool,
    no_capture: bool,
}

struct Scanner<'p> {
    pattern: &'p [u8],
    at: usize,
    out: String,
    hard: bool,
    groups: usize,
    names: Vec<(String, usize)>,
    /// Groups referred to, and where.
    references: Vec<(usize, usize)>,
    /// Groups open: where they start in the output, and the options to restore.
    open: Vec<(usize, Local)>,
    local: Local,
    dollar: &'static str,
    /// Where the last item that a quantifier may follow starts in the output.
    last: Option<usize>,
    /// How many groups are open inside each look-around that decides a condition.
    deciding: Vec<usize>,
}

impl Scanner<'_> {
    fn run(&mut self) -> Result<(), PatternError> {
        while let Some(byte) = self.next() {
            if self.local.extended && self.skip_comment(byte) {
                continue;
            }
            match byte {
                b'\\' => self.escape()?,
                b'[' => self.class()?,
                b'(' => self.group()?,
                b')' => {
                    let (start, local) = self.open.pop().ok_or_else(|| self.wrong("unmatched closing parenthesis"))?;
                    self.local = local;
                    self.out.push(')');
                    self.last = Some(start);
                    if self.deciding.last() == Some(&self.open.len()) {
                        self.deciding.pop();
                        self.assertion(")");
                    }
                }
                b'|' => {
                    self.out.push('|');
                    self.last = None;
                }
                b'^' => self.assertion("^"),
                b'$' => {
                    self.hard |= self.dollar != "$";
                    self.assertion(self.dollar);
                }
                b'.' => self.item("."),
                b'*' => self.quantifier("*")?,
                b'+' => self.quantifier("+")?,
                b'?' => self.quantifier("?")?,
                b'{' => match self.counted()? {
                    Some(text) => self.quantifier(&text)?,
                    None => self.literal(b'{'),
                },
                _ => self.literal(byte),
            }
        }
        match self.open.is_empty() {
            true => Ok(()),
            false => Err(self.wrong("missing closing parenthesis")),
        }
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn peek(&self) -> Option<u8> {
        self.pattern.get(self.at).copied()
    }

    fn rest(&self) -> &[u8] {
        self.pattern.get(self.at..).unwrap_or_default()
    }

    fn eat(&mut self, text: &[u8]) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    fn wrong(&self, message: &str) -> PatternError {
        error(message, self.at)
    }

    /// In extended mode: white space, or a comment to the end of the line.
    fn skip_comment(&mut self, byte: u8) -> bool {
        match byte {
            b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r' => true,
            b'#' => {
                while !matches!(self.next(), None | Some(b'\n')) {}
                true
            }
            _ => false,
        }
    }

    /// Writes one item that a quantifier may follow.
    fn item(&mut self, text: &str) {
        self.last = Some(self.out.len());
        self.out.push_str(text);
    }

    /// Writes an item that no quantifier may follow.
    fn assertion(&mut self, text: &str) {
        self.last = None;
        self.out.push_str(text);
    }

    fn hard_item(&mut self, text: &str) {
        self.hard = true;
        self.item(text);
    }

    fn literal(&mut self, byte: u8) {
        self.last = Some(self.out.len());
        push_byte(byte, &mut self.out);
    }

    fn set(&mut self, set: Set) {
        self.last = Some(self.out.len());
        set.write(false, &mut self.out);
    }

    /// `*`, `+`, `?` or `{..}` was read: with `?` lazy, with `+` possessive.
    fn quantifier(&mut self, text: &str) -> Result<(), PatternError> {
        let Some(start) = self.last else {
            return Err(self.wrong("quantifier does not follow a repeatable item"));
        };
        let counted = text.starts_with('{') && !text.contains(',');
        if !counted && self.looks_behind() {
            return Err(self.wrong("lookbehind assertion is not fixed length"));
        }
        if ["(?=", "(?!", "(?<=", "(?<!"]
            .iter()
            .any(|open| self.out.get(start..).is_some_and(|item| item.starts_with(open)))
        {
            self.wrap(start, "(?:");
        }
        self.out.push_str(text);
        if self.eat(b"+") {
            self.hard = true;
            self.wrap(start, "(?>");
        } else if self.eat(b"?") != self.local.ungreedy {
            self.out.push('?');
        }
        self.last = None;
        Ok(())
    }

    /// Is a look-behind open here?
    fn looks_behind(&self) -> bool {
        let behind = |text: &str| text.starts_with("(?<=") || text.starts_with("(?<!");
        self.open.iter().any(|(start, _)| self.out.get(*start..).is_some_and(behind))
    }

    fn wrap(&mut self, start: usize, open: &str) {
        self.out.insert_str(start, open);
        self.out.push(')');
    }

    /// After `{`: `n}`, `n,}` or `n,m}`; anything else leaves the brace literal.
    fn counted(&mut self) -> Result<Option<String>, PatternError> {
        let Some(end) = memchr::memchr(b'}', self.rest()) else { return Ok(None) };
        let inside = self.rest().get(..end).unwrap_or_default();
        let digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
        let (low, high) = match memchr::memchr(b',', inside) {
            None => (inside, None),
            Some(comma) => (inside.get(..comma).unwrap_or_default(), Some(inside.get(comma + 1..).unwrap_or_default())),
        };
        if !digits(low) || !(high.is_none_or(|high| high.is_empty() || digits(high))) {
            return Ok(None);
        }
        let number = |part: &[u8]| {
            let text = std::str::from_utf8(part).ok()?;
            text.parse::<u32>().ok().filter(|n| *n <= 65_535)
        };
        let too_big = || self.wrong("number too big in {} quantifier");
        let least = number(low).ok_or_else(too_big)?;
        let mut text = format!("{{{least}");
        if let Some(high) = high {
            text.push(',');
            if !high.is_empty() {
                let most = number(high).ok_or_else(too_big)?;
                if most < least {
                    return Err(self.wrong("numbers out of order in {} quantifier"));
                }
                let _ = write!(text, "{most}");
            }
        }
        text.push('}');
        self.at += end + 1;
        Ok(Some(text))
    }

    fn class(&mut self) -> Result<(), PatternError> {
        if class::looks_posix(self.rest()).is_some() {
            return Err(self.wrong("POSIX named classes are supported only within a class"));
        }
        let (set, negated, used) =
            class::read(self.rest(), self.local.extended_more).map_err(|(message, at)| error(message, self.at + at))?;
        self.at += used;
        self.last = Some(self.out.len());
        set.write(negated, &mut self.out);
        Ok(())
    }

    fn escape(&mut self) -> Result<(), PatternError> {
        let Some(byte) = self.next() else { return Err(self.wrong("\\ at end of pattern")) };
        match byte {
            b'Q' => {
                let end = memchr::memmem::find(self.rest(), b"\\E");
                let rest = self.rest();
                let text = end.and_then(|end| rest.get(..end)).unwrap_or(rest).to_vec();
                for byte in &text {
                    self.literal(*byte);
                }
                self.at += text.len() + if end.is_some() { 2 } else { 0 };
            }
            b'E' => {}
            b'b' => self.assertion("\\b"),
            b'B' => self.assertion("\\B"),
            b'A' | b'G' => self.assertion("\\A"),
            b'z' => self.assertion("\\z"),
            b'Z' => {
                self.hard = true;
                self.assertion("(?=\\n?\\z)");
            }
            b'K' => self.hard_item("\\K"),
            b'R' => self.hard_item("(?>\\r\\n|[\\x0A-\\x0D\\x85])"),
            b'N' if self.peek() != Some(b'{') => self.item("[^\\n]"),
            b'C' => self.item("[\\x00-\\xFF]"),
            b'p' | b'P' => {
                let (set, used) = property::read(byte, self.rest()).map_err(|message| error(message, self.at))?;
                self.at += used;
                // Folding case does not change what a property is.
                self.item("(?-i:");
                set.write(false, &mut self.out);
                self.out.push(')');
            }
            b'g' => self.reference_g()?,
            b'k' => self.reference_k()?,
            b'1'..=b'9' => self.reference_or_octal(byte)?,
            _ => {
                if let Some(set) = class::shorthand(byte) {
                    self.set(set);
                } else {
                    let (value, used) = class::escaped(byte, self.rest()).map_err(|message| error(message, self.at))?;
                    self.at += used;
                    self.literal(value);
                }
            }
        }
        Ok(())
    }

    /// `\1` to `\9` are references; longer numbers only when so many groups were opened before.
    fn reference_or_octal(&mut self, first: u8) -> Result<(), PatternError> {
        let more = self.rest().iter().take_while(|b| b.is_ascii_digit()).count().min(6);
        let mut number = usize::from(first - b'0');
        for digit in self.rest().iter().take(more) {
            number = number * 10 + usize::from(digit - b'0');
        }
        if number < 10 || first >= b'8' || number <= self.groups {
            self.at += more;
            self.reference(number);
            return Ok(());
        }
        let (value, used) = class::octal(first, self.rest()).map_err(|message| error(message, self.at))?;
        self.at += used;
        self.literal(value);
        Ok(())
    }

    fn reference(&mut self, group: usize) {
        self.references.push((group, self.at));
        self.hard_item("(?:\\");
        let _ = write!(self.out, "{group})");
    }

    /// `\g1`, `\g{1}`, `\g{-1}`, `\g{name}`.
    fn reference_g(&mut self) -> Result<(), PatternError> {
        let name = match self.peek() {
            Some(b'{') => {
                self.at += 1;
                self.until(b'}')?
            }
            Some(b'<' | b'\'') => return Err(self.wrong("subpattern calls are not supported")),
            _ => {
                let sign = usize::from(matches!(self.peek(), Some(b'-' | b'+')));
                let digits = self.rest().iter().skip(sign).take_while(|b| b.is_ascii_digit()).count();
                let text = self.rest().get(..sign + digits).unwrap_or_default().to_vec();
                self.at += text.len();
                text
            }
        };
        let (relative, digits) = match name.as_slice() {
            [b'-', digits @ ..] => (true, digits),
            digits => (false, digits),
        };
        if digits.iter().all(u8::is_ascii_digit) {
            let number = std::str::from_utf8(digits).ok().and_then(|text| text.parse::<usize>().ok());
            let number = number.ok_or_else(|| self.wrong("\\g is not followed by a number or a name"))?;
            let group = if relative { (self.groups + 1).checked_sub(number) } else { Some(number) };
            match group {
                Some(group) if group > 0 => self.reference(group),
                _ => return Err(self.wrong("reference to non-existent subpattern")),
            }
            return Ok(());
        }
        self.reference_named(&name)
    }

    /// `\k<name>`, `\k'name'`, `\k{name}`.
    fn reference_k(&mut self) -> Result<(), PatternError> {
        let close = match self.next() {
            Some(b'<') => b'>',
            Some(b'\'') => b'\'',
            Some(b'{') => b'}',
            _ => return Err(self.wrong("\\k is not followed by a name")),
        };
        let name = self.until(close)?;
        self.reference_named(&name)
    }

    fn reference_named(&mut self, name: &[u8]) -> Result<(), PatternError> {
        let group = self.names.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, group)| *group);
        let group = group.ok_or_else(|| self.wrong("reference to non-existent subpattern"))?;
        self.reference(group);
        Ok(())
    }

    fn until(&mut self, close: u8) -> Result<Vec<u8>, PatternError> {
        let end = memchr::memchr(close, self.rest()).ok_or_else(|| self.wrong("syntax error in subpattern name"))?;
        let text = self.rest().get(..end).unwrap_or_default().to_vec();
        self.at += end + 1;
        Ok(text)
    }

    fn group(&mut self) -> Result<(), PatternError> {
        let start = self.out.len();
        let before = self.local;
        if self.open.len() >= NESTING {
            return Err(self.wrong("parentheses are too deeply nested"));
        }
        self.last = None;
        if self.peek() == Some(b'*') && self.rest().get(1).is_some_and(|b| b.is_ascii_alphabetic()) {
            return Err(self.wrong("(*VERB) is not supported"));
        }
        if !self.eat(b"?") {
            if self.local.no_capture {
                self.out.push_str("(?:");
            } else {
                self.groups += 1;
                self.out.push('(');
            }
            self.open.push((start, before));
            return Ok(());
        }
        for (written, hard) in [(":", false), ("=", true), ("!", true), ("<=", true), ("<!", true), (">", true)] {
            if self.eat(written.as_bytes()) {
                self.hard |= hard;
                self.out.push_str("(?");
                self.out.push_str(written);
                self.open.push((start, before));
                return Ok(());
            }
        }
        let named = [("P<", b'>'), ("<", b'>'), ("'", b'\'')];
        for (opening, close) in named {
            if self.eat(opening.as_bytes()) {
                let name = self.until(close)?;
                return self.named_group(&name, start, before);
            }
        }
        if self.eat(b"#") {
            self.until(b')')?;
            self.last = Some(start);
            return Ok(());
        }
        if self.eat(b"P=") {
            let name = self.until(b')')?;
            return self.reference_named(&name);
        }
        if self.eat(b"(") {
            return self.conditional(start, before);
        }
        match self.peek() {
            Some(b'|') => Err(self.wrong("branch reset groups are not supported")),
            Some(b'R' | b'&' | b'P' | b'0'..=b'9' | b'+') => Err(self.wrong("subpattern calls are not supported")),
            Some(b'-') if self.rest().get(1).is_some_and(u8::is_ascii_digit) => {
                Err(self.wrong("subpattern calls are not supported"))
            }
            // A callout that nobody answers.
            Some(b'C') => {
                let number = self.until(b')')?;
                match number.iter().skip(1).all(u8::is_ascii_digit) {
                    true => Ok(()),
                    false => Err(self.wrong("unrecognized character after (?C")),
                }
            }
            _ => self.options(start, before),
        }
    }

    fn named_group(&mut self, name: &[u8], start: usize, before: Local) -> Result<(), PatternError> {
        let good = name.len() <= 32
            && name.first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_')
            && name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_');
        let name = std::str::from_utf8(name).ok().filter(|_| good);
        let name = name.ok_or_else(|| self.wrong("syntax error in subpattern name"))?;
        self.groups += 1;
        self.names.push((name.to_string(), self.groups));
        self.out.push('(');
        self.open.push((start, before));
        Ok(())
    }

    /// `(?(1)..)`, `(?(name)..)`, `(?(<name>)..)`.
    fn conditional(&mut self, start: usize, before: Local) -> Result<(), PatternError> {
        if [&b"?="[..], b"?!", b"?<=", b"?<!"].iter().any(|look| self.rest().starts_with(look)) {
            // What lies ahead or behind decides.
            self.hard = true;
            self.out.push_str("(?(");
            self.open.push((start, before));
            self.deciding.push(self.open.len());
            return self.group();
        }
        let condition = self.until(b')')?;
        let name = match condition.as_slice() {
            [b'<', name @ .., b'>'] | [b'\'', name @ .., b'\''] => name,
            name => name,
        };
        let number = std::str::from_utf8(name).ok().and_then(|text| text.parse::<usize>().ok());
        let named = self.names.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, group)| *group);
        let group = number.or(named).filter(|group| *group > 0);
        let group = group.ok_or_else(|| self.wrong("this kind of condition is not supported"))?;
        self.references.push((group, self.at));
        self.hard = true;
        let _ = write!(self.out, "(?({group})");
        self.open.push((start, before));
        Ok(())
    }

    /// `(?i-s)` and `(?i-s:`.
    fn options(&mut self, start: usize, before: Local) -> Result<(), PatternError> {
        let mut local = self.local;
        let (mut on, mut off) = (String::new(), String::new());
        let mut set = true;
        if self.eat(b"^") {
            off.push_str("ims");
            local.extended = false;
            local.extended_more = false;
            local.no_capture = false;
        }
        loop {
            match self.next() {
                Some(b'-') if set => set = false,
                Some(flag @ (b'i' | b'm' | b's')) => {
                    off.retain(|known| !(set && known == char::from(flag)));
                    on.retain(|known| known != char::from(flag));
                    if set { &mut on } else { &mut off }.push(char::from(flag));
                    if flag == b'm' && set {
                        self.dollar = "$";
                    }
                }
                Some(b'x') => {
                    local.extended = set;
                    local.extended_more = self.eat(b"x") && set;
                }
                Some(b'U') => local.ungreedy = set,
                Some(b'n') => local.no_capture = set,
                Some(b'J') => {}
                Some(close @ (b')' | b':')) => {
                    self.out.push_str("(?");
                    self.out.push_str(&on);
                    if !off.is_empty() {
                        self.out.push('-');
                        self.out.push_str(&off);
                    }
                    let changes = !(on.is_empty() && off.is_empty());
                    if close == b':' {
                        self.out.push(':');
                        self.open.push((start, before));
                    } else if changes {
                        self.out.push(')');
                    } else {
                        self.out.truncate(start);
                    }
                    self.local = local;
                    return Ok(());
                }
                _ => return Err(self.wrong("unrecognized character after (? or (?-")),
            }
        }
    }
}

fn error(message: &str, offset: usize) -> PatternError {
    PatternError { message: message.to_string(), offset }
}

/// Open parentheses at once, PCRE's own limit.
const NESTING: usize = 250;

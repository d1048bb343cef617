//! From the lines of a sed script to commands: the language of System V's sed, whose patterns are basic ones.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use crate::base::pattern::{Flags, Pattern};

/// A script that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// Said as it is.
    Bare(&'static str),
    /// Said with the line.
    Line(&'static str),
}

type Result<T> = std::result::Result<T, Problem>;

/// A script.
#[derive(Clone, Default)]
pub(super) struct Script {
    pub(super) steps: Vec<Step>,
    /// Nothing is printed by itself (`#n`).
    pub(super) quiet: bool,
    labels: Vec<(Vec<u8>, usize)>,
    /// Where each block that is open begins.
    open: Vec<usize>,
    /// Files that are written, each once.
    pub(super) files: Vec<PathBuf>,
    /// The pattern that an empty one stands for.
    last: Option<Arc<Pattern>>,
}

/// One command, and for which lines.
#[derive(Clone)]
pub(super) struct Step {
    pub(super) from: Option<Address>,
    pub(super) to: Option<Address>,
    pub(super) not: bool,
    pub(super) what: What,
}

#[derive(Clone)]
pub(super) enum Address {
    Line(u64),
    Last,
    Pattern(Arc<Pattern>),
}

#[derive(Clone)]
pub(super) enum What {
    /// `{`: where its block ends.
    Block(usize),
    Substitute(Arc<Substitution>),
    /// `y`: what each byte becomes.
    Map(Arc<[u8; 256]>),
    /// `b` and `t`: where to, by name; the end of the script has none.
    Branch(Vec<u8>),
    Test(Vec<u8>),
    /// `r`: what follows the line.
    Read(PathBuf),
    /// `w`: which of the files takes the line.
    Write(usize),
    /// `=dDgGhHlnNpPqx`.
    Simple(u8),
}

pub(super) struct Substitution {
    pub(super) pattern: Arc<Pattern>,
    /// It stands at the beginning only.
    pub(super) anchored: bool,
    pub(super) text: Vec<Part>,
    /// Which match; 0 is all of them.
    pub(super) which: usize,
    pub(super) print: bool,
    /// Which of the files takes the line.
    pub(super) write: Option<usize>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(Vec<u8>),
    Group(usize),
}

/// Labels are no longer than this.
const LABEL_MOST: usize = 7;

impl Script {
    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether all blocks end and all labels are there.
    pub(super) fn is_whole(&self) -> bool {
        let known = |step: &Step| match &step.what {
            What::Branch(label) | What::Test(label) => self.place(label).is_some(),
            _ => true,
        };
        self.open.is_empty() && self.steps.iter().all(known)
    }

    /// Where a label stands.
    pub(super) fn place(&self, label: &[u8]) -> Option<usize> {
        if label.is_empty() {
            return Some(self.steps.len());
        }
        self.labels.iter().find(|(known, _)| known == label).map(|(_, place)| *place)
    }

    /// Adds the commands of a line.
    pub(super) fn add(&mut self, line: &[u8]) -> Result<()> {
        let mut rest = line;
        if self.steps.is_empty() && line == b"#n" {
            self.quiet = true;
            // The one command that is none: the script is not empty.
            self.steps.push(Step { from: None, to: None, not: true, what: What::Simple(b'p') });
            return Ok(());
        }
        loop {
            rest = skip(rest, b" \t;");
            match rest.first() {
                None | Some(b'#') => return Ok(()),
                Some(b':') => return self.label(skip(&rest[1..], b" \t")),
                Some(_) => rest = self.command(rest)?,
            }
        }
    }

    fn label(&mut self, text: &[u8]) -> Result<()> {
        let name = label(text)?;
        self.labels.push((name, self.steps.len()));
        Ok(())
    }

    /// One command; what is behind it.
    fn command<'a>(&mut self, text: &'a [u8]) -> Result<&'a [u8]> {
        let (from, mut rest) = self.address(text)?;
        let mut to = None;
        if from.is_some() && rest.first() == Some(&b',') {
            (to, rest) = self.address(&rest[1..])?;
            if to.is_none() {
                return Err(Problem::Line("command garbled"));
            }
        }
        rest = skip(rest, b" \t");
        let mut not = false;
        while rest.first() == Some(&b'!') {
            not = true;
            rest = skip(&rest[1..], b" \t");
        }
        let Some((name, mut rest)) = rest.split_first() else { return Err(Problem::Line("unrecognized command")) };
        let what = match name {
            b'{' => {
                self.open.push(self.steps.len());
                self.steps.push(Step { from, to, not, what: What::Block(usize::MAX) });
                return Ok(rest);
            }
            b'}' => {
                if from.is_some() {
                    return Err(Problem::Line("no addresses allowed"));
                }
                let Some(start) = self.open.pop() else { return Err(Problem::Bare("too many }'s")) };
                let end = self.steps.len();
                if let Some(step) = self.steps.get_mut(start) {
                    step.what = What::Block(end);
                }
                return Ok(rest);
            }
            b'=' | b'q' if to.is_some() => return Err(Problem::Line("only one address allowed")),
            b'=' | b'd' | b'D' | b'g' | b'G' | b'h' | b'H' | b'l' | b'n' | b'N' | b'p' | b'P' | b'q' | b'x' => {
                What::Simple(*name)
            }
            // Text comes on a line of its own, which a directive does not have.
            b'a' | b'i' | b'c' => return Err(Problem::Line("command garbled")),
            b'b' | b't' => {
                let name_of = label(skip(rest, b" \t"))?;
                rest = b"";
                if *name == b'b' { What::Branch(name_of) } else { What::Test(name_of) }
            }
            b'r' => {
                let name = rest.strip_prefix(b" ").ok_or(Problem::Line("command garbled"))?;
                rest = b"";
                What::Read(file_name(name))
            }
            b'w' => What::Write(self.written(&mut rest)?),
            b's' => What::Substitute(Arc::new(self.substitution(&mut rest)?)),
            b'y' => What::Map(Arc::new(map(&mut rest)?)),
            _ => return Err(Problem::Line("unrecognized command")),
        };
        if !matches!(rest.first(), None | Some(b';' | b'#')) {
            return Err(Problem::Line("command garbled"));
        }
        self.steps.push(Step { from, to, not, what });
        Ok(rest)
    }

    fn address<'a>(&mut self, text: &'a [u8]) -> Result<(Option<Address>, &'a [u8])> {
        match text.first() {
            Some(b'$') => Ok((Some(Address::Last), &text[1..])),
            Some(b'/') => self.pattern_address(b'/', &text[1..]),
            Some(b'\\') if text.len() > 1 => self.pattern_address(text[1], &text[2..]),
            Some(digit) if digit.is_ascii_digit() => {
                let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
                let number = text[..end]
                    .iter()
                    .fold(0u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
                Ok((Some(Address::Line(number)), &text[end..]))
            }
            _ => Ok((None, text)),
        }
    }

    fn pattern_address<'a>(&mut self, delimiter: u8, text: &'a [u8]) -> Result<(Option<Address>, &'a [u8])> {
        let (pattern, rest) = delimited(text, delimiter).ok_or(Problem::Line("unrecognized command"))?;
        Ok((Some(Address::Pattern(self.pattern(&pattern)?.0)), rest))
    }

    /// A pattern, and whether it stands at the beginning only.
    fn pattern(&mut self, text: &[u8]) -> Result<(Arc<Pattern>, bool)> {
        if text.is_empty() {
            let last = self.last.clone().ok_or(Problem::Bare("first RE may not be null"))?;
            let anchored = last.source().first() == Some(&b'^');
            return Ok((last, anchored));
        }
        let plain = translate(text)?;
        let pattern = Pattern::new(&plain, Flags::default()).map_err(|_| Problem::Line("Bad number"))?;
        let pattern = Arc::new(pattern);
        self.last = Some(pattern.clone());
        Ok((pattern, text.first() == Some(&b'^')))
    }

    fn substitution(&mut self, rest: &mut &[u8]) -> Result<Substitution> {
        let missing = || Problem::Line("ending delimiter missing on substitution");
        let Some((delimiter, text)) = rest.split_first() else { return Err(missing()) };
        let (pattern, text) = delimited(text, *delimiter).ok_or_else(missing)?;
        let (replacement, text) = delimited_raw(text, *delimiter).ok_or_else(missing)?;
        let (pattern, anchored) = self.pattern(&pattern)?;
        let text_parts = parts(replacement, pattern.groups())?;
        let mut text = text;
        let mut which = 1;
        if text.first() == Some(&b'g') {
            which = 0;
            text = &text[1..];
        } else {
            let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
            if end > 0 {
                let number = std::str::from_utf8(&text[..end]).ok().and_then(|digits| digits.parse().ok());
                which = number.filter(|number| (1..=512).contains(number)).ok_or(Problem::Line("command garbled"))?;
                text = &text[end..];
            }
        }
        let print = text.first() == Some(&b'p');
        if print {
            text = &text[1..];
        }
        let mut write = None;
        if let Some(name) = text.strip_prefix(b"w") {
            text = name;
            write = Some(self.written(&mut text)?);
        }
        *rest = text;
        Ok(Substitution { pattern, anchored, text: text_parts, which, print, write })
    }

    /// The number of the file that the rest of the line names.
    fn written(&mut self, rest: &mut &[u8]) -> Result<usize> {
        let name = rest.strip_prefix(b" ").ok_or(Problem::Line("Space missing before filename"))?;
        let path = file_name(name);
        *rest = b"";
        if let Some(known) = self.files.iter().position(|known| *known == path) {
            return Ok(known);
        }
        if self.files.len() >= FILES_MOST {
            return Err(Problem::Bare("too many files in w commands"));
        }
        self.files.push(path);
        Ok(self.files.len() - 1)
    }
}

/// So many files may be written.
const FILES_MOST: usize = 11;

/// A file's name: blanks in front of it are none of it, a backslash takes the next byte as it is.
fn file_name(text: &[u8]) -> PathBuf {
    let mut name = Vec::new();
    let mut bytes = skip(text, b" \t").iter();
    while let Some(byte) = bytes.next() {
        let byte = if *byte == b'\\' { bytes.next() } else { Some(byte) };
        name.extend(byte);
    }
    PathBuf::from(OsString::from_vec(name))
}

fn skip<'a>(text: &'a [u8], what: &[u8]) -> &'a [u8] {
    let start = text.iter().position(|byte| !what.contains(byte)).unwrap_or(text.len());
    &text[start..]
}

/// The rest of a line as a label.
fn label(text: &[u8]) -> Result<Vec<u8>> {
    let name = text.trim_ascii_end();
    match name.len() > LABEL_MOST {
        true => Err(Problem::Line("label too long")),
        false => Ok(name.to_vec()),
    }
}

/// The text up to an unescaped delimiter, which loses its backslash inside, and the rest behind it.
fn delimited(text: &[u8], delimiter: u8) -> Option<(Vec<u8>, &[u8])> {
    let (raw, rest) = delimited_raw(text, delimiter)?;
    let mut out = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte == b'\\' {
            match bytes.next() {
                Some(next) if next == delimiter => out.push(next),
                Some(next) => out.extend([b'\\', next]),
                None => out.push(b'\\'),
            }
        } else {
            out.push(byte);
        }
    }
    Some((out, rest))
}

fn delimited_raw(text: &[u8], delimiter: u8) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        if *byte == delimiter {
            return Some((&text[..at], &text[at + 1..]));
        }
        at += if *byte == b'\\' { 2 } else { 1 };
    }
    None
}

/// The replacement: `&` and groups; a backslash makes any other byte a letter.
fn parts(text: &[u8], groups: usize) -> Result<Vec<Part>> {
    let mut out: Vec<Part> = Vec::new();
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        let letter = match byte {
            b'&' => {
                out.push(Part::Group(0));
                continue;
            }
            b'\\' => match bytes.next() {
                Some(digit @ b'1'..=b'9') => {
                    let group = usize::from(digit - b'0');
                    if group > groups {
                        return Err(Problem::Line("``\\digit'' out of range"));
                    }
                    out.push(Part::Group(group));
                    continue;
                }
                Some(next) => next,
                None => b'\\',
            },
            byte => byte,
        };
        match out.last_mut() {
            Some(Part::Text(text)) => text.push(letter),
            _ => out.push(Part::Text(vec![letter])),
        }
    }
    Ok(out)
}

/// `y/from/to/`.
fn map(rest: &mut &[u8]) -> Result<[u8; 256]> {
    let missing = Problem::Line("ending delimiter missing on string");
    let Some((delimiter, text)) = rest.split_first() else { return Err(missing) };
    let Some((from, text)) = delimited(text, *delimiter) else { return Err(missing) };
    let Some((to, text)) = delimited(text, *delimiter) else { return Err(missing) };
    let (from, to) = (newlines(&from), newlines(&to));
    if from.len() != to.len() {
        return Err(if to.len() > from.len() { Problem::Line("transform strings not the same size") } else { missing });
    }
    let mut map = [0; 256];
    for (place, byte) in map.iter_mut().zip(0..=255) {
        *place = byte;
    }
    for (from, to) in from.iter().zip(to) {
        map[usize::from(*from)] = to;
    }
    *rest = text;
    Ok(map)
}

/// `\n` is a newline, a doubled backslash one.
fn newlines(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match (byte, bytes.peek()) {
            (b'\\', Some(b'n')) => {
                bytes.next();
                out.push(b'\n');
            }
            (b'\\', Some(b'\\')) => {
                bytes.next();
                out.push(b'\\');
            }
            _ => out.push(byte),
        }
    }
    out
}

/// A basic pattern in the dialect of [`Pattern`]. A star behind a group is a letter, and so is one that stands first.
fn translate(text: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() * 2);
    let (mut at, mut open, mut groups) = (0, 0usize, 0usize);
    // Whether a star may follow.
    let mut repeats = false;
    while let Some(byte) = text.get(at).copied() {
        at += 1;
        let single = match byte {
            b'^' if at == 1 => {
                out.push(b'^');
                false
            }
            b'$' if at == text.len() => {
                out.push(b'$');
                false
            }
            b'*' if repeats => {
                out.push(b'*');
                false
            }
            b'.' => {
                out.push(b'.');
                true
            }
            b'[' => {
                at = class(text, at, &mut out)?;
                true
            }
            b'\\' => {
                let Some(next) = text.get(at).copied() else { return Err(Problem::Line("Bad number")) };
                at += 1;
                match next {
                    b'(' => {
                        open += 1;
                        groups += 1;
                        out.push(b'(');
                        false
                    }
                    b')' => {
                        open = open.checked_sub(1).ok_or(Problem::Line("\\( \\) imbalance"))?;
                        out.push(b')');
                        false
                    }
                    b'{' if repeats => {
                        let end = memchr::memmem::find(&text[at..], b"\\}").ok_or(Problem::Line("Bad number"))?;
                        let range = &text[at..at + end];
                        if range.is_empty() || !range.iter().all(|byte| byte.is_ascii_digit() || *byte == b',') {
                            return Err(Problem::Line("Bad number"));
                        }
                        out.push(b'{');
                        out.extend_from_slice(range);
                        out.push(b'}');
                        at += end + 2;
                        false
                    }
                    b'1'..=b'9' => {
                        if usize::from(next - b'0') > groups {
                            return Err(Problem::Line("``\\digit'' out of range"));
                        }
                        out.extend([b'\\', next]);
                        true
                    }
                    b'n' => {
                        out.extend_from_slice(b"\\n");
                        true
                    }
                    next => {
                        letter(next, &mut out);
                        true
                    }
                }
            }
            byte => {
                letter(byte, &mut out);
                true
            }
        };
        repeats = single;
    }
    match open {
        0 => Ok(out),
        _ => Err(Problem::Line("\\( \\) imbalance")),
    }
}

fn letter(byte: u8, out: &mut Vec<u8>) {
    if byte.is_ascii_punctuation() {
        out.push(b'\\');
    }
    out.push(byte);
}

/// A set of bytes from behind its bracket on; where it ends.
fn class(text: &[u8], start: usize, out: &mut Vec<u8>) -> Result<usize> {
    let mut at = start;
    out.push(b'[');
    if text.get(at) == Some(&b'^') {
        out.push(b'^');
        at += 1;
    }
    let first = at;
    while let Some(byte) = text.get(at).copied() {
        at += 1;
        match byte {
            b']' if at > first + 1 => {
                out.push(b']');
                return Ok(at);
            }
            b'-' if at > first + 1 && text.get(at).is_some_and(|next| *next != b']') => out.push(b'-'),
            byte => letter(byte, out),
        }
    }
    Err(Problem::Line("[ ] imbalance"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_patterns_become_those_of_the_engine() {
        let plain = |text: &str| translate(text.as_bytes()).map(|text| String::from_utf8(text).unwrap());
        assert_eq!(plain(r"a*b+c?(d)|e").unwrap(), r"a*b\+c\?\(d\)\|e");
        assert_eq!(plain(r"^\(a.\)\1$").unwrap(), r"^(a.)\1$");
        assert_eq!(plain(r"*a^b$c").unwrap(), r"\*a\^b\$c");
        assert_eq!(plain(r"\(e\)*x\{1,2\}").unwrap(), r"(e)\*x{1,2}");
        assert_eq!(plain(r"[]e][^a-z\]").unwrap(), r"[\]e][^a-z\\]");
        assert_eq!(plain(r"\(a"), Err(Problem::Line("\\( \\) imbalance")));
        assert_eq!(plain(r"[]"), Err(Problem::Line("[ ] imbalance")));
    }

    #[test]
    fn files_are_named_behind_a_blank() {
        let mut script = Script::default();
        for line in ["l", "/a/l", "r /x/y", "w out", "w  out", "s/a/b/w other", r"s/a/b/gpw o\ut"] {
            assert_eq!(script.add(line.as_bytes()), Ok(()), "{line}");
        }
        assert_eq!(script.files, ["out", "other"].map(PathBuf::from));
        let bad = |line: &str| Script::default().add(line.as_bytes());
        assert_eq!([bad("r"), bad("rx"), bad("l x")], [Err(Problem::Line("command garbled")); 3]);
        assert_eq!([bad("w"), bad("s/a/b/wx")], [Err(Problem::Line("Space missing before filename")); 2]);
    }
}

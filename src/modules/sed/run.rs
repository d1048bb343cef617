//! A body on its way through a script.

use std::fs::File;
use std::io::{BufWriter, Read as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use super::compile::{Address, Part, Script, Step, Substitution, What};
use crate::base::pattern::Captures;

/// No line, and nothing that is held of several, becomes longer than this.
const LONGEST: usize = 16 << 20;

/// So much is done for one line: a command counts, and every 64 bytes that it works on.
const WORK_MOST: usize = 1 << 21;

/// Carries out a script.
pub(super) struct Editor {
    script: Arc<Script>,
    /// Whether the range of each command holds at the moment, and up to which line.
    ranges: Vec<Range>,
    pattern: Vec<u8>,
    hold: Vec<u8>,
    line: u64,
    /// A line that goes on.
    begun: Vec<u8>,
    /// The line whose successor is not known yet.
    waiting: Option<Vec<u8>>,
    /// The command at which the script goes on with the next line (`n`, `N`).
    resume: Option<(usize, Next)>,
    substituted: bool,
    groups: Captures,
    spare: Vec<u8>,
    /// Files that follow the line at hand.
    following: Vec<PathBuf>,
    /// Those that are written, as the script numbers them.
    written: Vec<BufWriter<File>>,
    /// The script has quit: nothing more comes.
    quit: bool,
    failed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// In place of the pattern space.
    Replace,
    /// Behind it.
    Append,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Range {
    Out,
    In,
}

enum Flow {
    Go(usize),
    /// The script has ended for this line.
    Print,
    /// As that, and nothing is printed.
    Silent,
    /// Begin again with what is there.
    Again,
    /// Wait for the next line.
    Wait(usize, Next),
    Quit,
}

impl Editor {
    /// Opens what the script writes, if there is something.
    ///
    /// # Errors
    /// The file that cannot be written.
    pub(super) fn new(script: Arc<Script>) -> Result<Self, PathBuf> {
        let open = |path: &PathBuf| File::create(path).map(BufWriter::new).map_err(|_| path.clone());
        Ok(Self {
            ranges: vec![Range::Out; script.steps.len()],
            failed: !script.is_whole(),
            written: script.files.iter().map(open).collect::<Result<_, _>>()?,
            script,
            pattern: Vec::new(),
            hold: Vec::new(),
            line: 0,
            begun: Vec::new(),
            waiting: None,
            resume: None,
            substituted: false,
            groups: Captures::new(),
            spare: Vec::new(),
            following: Vec::new(),
            quit: false,
        })
    }

    pub(super) fn failed(&self) -> bool {
        self.failed
    }

    pub(super) fn data(&mut self, input: &[u8], out: &mut Vec<u8>) {
        let mut rest = input;
        while let Some(end) = memchr::memchr(b'\n', rest).filter(|_| !self.quit && !self.failed) {
            let mut text = std::mem::take(&mut self.begun);
            text.extend_from_slice(rest.get(..end).unwrap_or_default());
            rest = rest.get(end + 1..).unwrap_or_default();
            self.next(text, out);
        }
        if !self.quit && !self.failed {
            self.begun.extend_from_slice(rest);
            self.failed |= self.begun.len() > LONGEST;
        }
    }

    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        if !self.begun.is_empty() && !self.quit && !self.failed {
            let text = std::mem::take(&mut self.begun);
            self.next(text, out);
        }
        if let Some(line) = self.waiting.take().filter(|_| !self.quit && !self.failed) {
            self.take(line, true, out);
        }
    }

    /// There is a line: the one before it was not the last.
    fn next(&mut self, line: Vec<u8>, out: &mut Vec<u8>) {
        if let Some(before) = self.waiting.replace(line) {
            self.take(before, false, out);
        }
    }

    fn take(&mut self, line: Vec<u8>, last: bool, out: &mut Vec<u8>) {
        self.line += 1;
        let start = match self.resume.take() {
            Some((at, Next::Append)) => {
                self.pattern.push(b'\n');
                self.pattern.extend_from_slice(&line);
                at
            }
            resumed => {
                self.pattern = line;
                resumed.map_or(0, |(at, _)| at)
            }
        };
        if start == 0 {
            self.substituted = false;
        }
        self.edit(start, last, out);
    }

    fn edit(&mut self, start: usize, last: bool, out: &mut Vec<u8>) {
        let script = self.script.clone();
        let mut at = start;
        let mut work = 0;
        while work < WORK_MOST {
            work += 1 + self.pattern.len() / 64;
            let flow = match script.steps.get(at) {
                Some(step) => self.step(&script, step, at, last, out),
                None => Flow::Print,
            };
            if self.pattern.len() > LONGEST || self.hold.len() > LONGEST {
                break;
            }
            match flow {
                Flow::Go(next) => at = next,
                Flow::Again => at = 0,
                Flow::Silent => return self.follow(out),
                Flow::Print | Flow::Quit => {
                    if !script.quiet {
                        print(&self.pattern, out);
                    }
                    self.quit |= matches!(flow, Flow::Quit);
                    return self.follow(out);
                }
                Flow::Wait(next, how) => {
                    self.resume = Some((next, how));
                    return self.follow(out);
                }
            }
        }
        self.failed = true;
    }

    fn step(&mut self, script: &Script, step: &Step, at: usize, last: bool, out: &mut Vec<u8>) -> Flow {
        let applies = self.selects(step, at, last) != step.not;
        let next = Flow::Go(at + 1);
        match &step.what {
            What::Block(end) if !applies => Flow::Go(*end),
            _ if !applies => next,
            What::Block(_) => next,
            What::Substitute(substitution) => {
                self.substitute(substitution, out);
                next
            }
            What::Map(map) => {
                for byte in &mut self.pattern {
                    *byte = map.get(usize::from(*byte)).copied().unwrap_or(*byte);
                }
                next
            }
            What::Branch(label) => Flow::Go(script.place(label).unwrap_or(usize::MAX)),
            What::Test(label) => match std::mem::take(&mut self.substituted) {
                true => Flow::Go(script.place(label).unwrap_or(usize::MAX)),
                false => next,
            },
            What::Read(path) => {
                if self.following.len() < FOLLOWING_MOST {
                    self.following.push(path.clone());
                }
                next
            }
            What::Write(file) => {
                self.write(*file);
                next
            }
            What::Simple(name) => self.simple(*name, at, last, script.quiet, out),
        }
    }

    /// Appends the files that follow the line; one that cannot be read has nothing.
    fn follow(&mut self, out: &mut Vec<u8>) {
        for path in self.following.drain(..) {
            let _ = File::open(path).and_then(|file| file.take(LONGEST as u64).read_to_end(out));
        }
    }

    /// Writes the line to one of the files; what it cannot take is lost, as in httpd.
    fn write(&mut self, file: usize) {
        if let Some(file) = self.written.get_mut(file) {
            let _ = file.write_all(&self.pattern).and_then(|()| file.write_all(b"\n"));
        }
    }

    fn simple(&mut self, name: u8, at: usize, last: bool, quiet: bool, out: &mut Vec<u8>) -> Flow {
        match name {
            b'=' => print(self.line.to_string().as_bytes(), out),
            b'd' => return Flow::Silent,
            b'D' => match memchr::memchr(b'\n', &self.pattern) {
                Some(end) => {
                    self.pattern.drain(..=end);
                    return Flow::Again;
                }
                None => return Flow::Silent,
            },
            b'g' => self.pattern.clone_from(&self.hold),
            b'G' => {
                self.pattern.push(b'\n');
                self.pattern.extend_from_slice(&self.hold);
            }
            b'h' => self.hold.clone_from(&self.pattern),
            b'H' => {
                self.hold.push(b'\n');
                self.hold.extend_from_slice(&self.pattern);
            }
            // Without another line the script ends: what `N` has gathered is lost, as in httpd.
            b'l' => show(&self.pattern, out),
            b'n' if last => return if quiet { Flow::Silent } else { Flow::Print },
            b'n' => {
                if !quiet {
                    print(&self.pattern, out);
                }
                return Flow::Wait(at + 1, Next::Replace);
            }
            b'N' if last => return Flow::Silent,
            b'N' => return Flow::Wait(at + 1, Next::Append),
            b'p' => print(&self.pattern, out),
            b'P' => {
                let end = memchr::memchr(b'\n', &self.pattern).unwrap_or(self.pattern.len());
                print(self.pattern.get(..end).unwrap_or_default(), out);
            }
            b'q' => return Flow::Quit,
            _ => std::mem::swap(&mut self.pattern, &mut self.hold),
        }
        Flow::Go(at + 1)
    }

    /// Whether a command is for the line at hand.
    fn selects(&mut self, step: &Step, at: usize, last: bool) -> bool {
        let Some(from) = &step.from else { return true };
        let Some(to) = &step.to else { return self.matches(from, last) };
        let Some(range) = self.ranges.get(at).copied() else { return false };
        if range == Range::Out {
            if !self.matches(from, last) {
                return false;
            }
            let ends = matches!(to, Address::Line(end) if *end <= self.line);
            if !ends && let Some(range) = self.ranges.get_mut(at) {
                *range = Range::In;
            }
            return true;
        }
        let over = match to {
            Address::Line(end) => self.line >= *end,
            to => self.matches(to, last),
        };
        if over && let Some(range) = self.ranges.get_mut(at) {
            *range = Range::Out;
        }
        // A jump may have led past the end of the range.
        !matches!(to, Address::Line(end) if self.line > *end)
    }

    fn matches(&self, address: &Address, last: bool) -> bool {
        match address {
            Address::Line(number) => self.line == *number,
            Address::Last => last,
            Address::Pattern(pattern) => pattern.is_match(&self.pattern),
        }
    }

    fn substitute(&mut self, how: &Substitution, out: &mut Vec<u8>) {
        let mut made = std::mem::take(&mut self.spare);
        made.clear();
        let (mut at, mut found, mut changed) = (0, 0, false);
        // Behind a match, nothing is no other one.
        let mut behind = false;
        while let Some(rest) = self.pattern.get(at..) {
            if (how.anchored && at > 0) || !how.pattern.captures(rest, &mut self.groups) {
                break;
            }
            let Some((start, end)) = self.groups.get(0) else { break };
            if std::mem::replace(&mut behind, false) && end == 0 {
                let Some(byte) = rest.first() else { break };
                made.push(*byte);
                at += 1;
                continue;
            }
            found += 1;
            made.extend_from_slice(rest.get(..start).unwrap_or_default());
            if how.which == 0 || found == how.which {
                changed = true;
                for part in &how.text {
                    match part {
                        Part::Text(text) => made.extend_from_slice(text),
                        Part::Group(group) => made.extend_from_slice(self.groups.text(*group, rest)),
                    }
                }
            } else {
                made.extend_from_slice(rest.get(start..end).unwrap_or_default());
            }
            at += end;
            if start == end {
                made.extend(rest.get(end));
                at += 1;
            } else {
                behind = true;
            }
            if made.len() > LONGEST || (how.which != 0 && found >= how.which) {
                break;
            }
        }
        if changed {
            made.extend_from_slice(self.pattern.get(at..).unwrap_or_default());
            std::mem::swap(&mut self.pattern, &mut made);
            self.substituted = true;
            if how.print && self.script.quiet {
                print(&self.pattern, out);
            }
            if let Some(file) = how.write {
                self.write(file);
            }
        }
        self.spare = made;
    }
}

/// A line; the last has an end, too, whether it had one or not.
fn print(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(text);
    out.push(b'\n');
}

/// A line in letters that every terminal has, in pieces that fit one.
fn show(text: &[u8], out: &mut Vec<u8>) {
    let end = memchr::memchr(0, text).unwrap_or(text.len());
    let mut column = 0;
    let mut push = |byte: u8| {
        out.push(byte);
        column += 1;
        if column == WIDTH {
            out.extend_from_slice(b"\\\n");
            column = 0;
        }
    };
    for byte in text.get(..end).unwrap_or_default() {
        if matches!(byte, b' '..=b'~') {
            push(*byte);
            continue;
        }
        push(b'\\');
        if *byte >= b' ' {
            // As httpd counts the first digit: bytes have a sign.
            push((b'0' as i8 + (*byte as i8 >> 6)) as u8);
        }
        push(b'0' + (byte >> 3 & 7));
        push(b'0' + (byte & 7));
    }
    out.push(b'\n');
}

/// So many letters are a piece of a line that is shown.
const WIDTH: usize = 71;

/// So many files follow a line.
const FOLLOWING_MOST: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a text, in whatever pieces it comes.
    fn edited(script: &[&str], text: &str) -> Option<String> {
        let mut made = Script::default();
        script.iter().for_each(|line| made.add(line.as_bytes()).unwrap());
        let made = Arc::new(made);
        let run = |size: usize| {
            let (mut editor, mut out) = (Editor::new(made.clone()).unwrap(), Vec::new());
            text.as_bytes().chunks(size).for_each(|piece| editor.data(piece, &mut out));
            editor.end(&mut out);
            (!editor.failed()).then(|| String::from_utf8(out).unwrap())
        };
        assert_eq!(run(1), run(text.len().max(1)));
        run(7)
    }

    #[test]
    fn scripts_do_what_httpds_do() {
        let text = "one\ntwo words\nthree\nfour four\nfive\nsix\n";
        let of = |script: &str| edited(&[script], text).unwrap();
        assert_eq!(of("s/o*/x/g").lines().next(), Some("xnxex"));
        assert_eq!(of("$!N;s/\\n/-/"), "one-two words\nthree-four four\nfive-six\n");
        assert_eq!(of("1!G;h;$!d"), "six\nfive\nfour four\nthree\ntwo words\none\n");
        assert_eq!(of("N;N;N;N;N;N;s/\\n/+/g"), "");
        assert_eq!(of("0,2d"), text);
        assert_eq!(edited(&[":a", "s/o/0/", "ta"], "foo boo\n").unwrap(), "f00 b00\n");
        assert_eq!(edited(&["s/b*/x/2"], "abc").unwrap(), "axc\n");
        assert_eq!(edited(&["#n", "/b/,$p"], "a\nb\nc").unwrap(), "b\nc\n");
    }

    #[test]
    fn lines_are_shown_in_letters() {
        assert_eq!(
            edited(&["#n", "l"], "two\tx\\y\x01\x7f\u{e9}\x08z\n").unwrap(),
            "two\\11x\\y\\01\\177\\/03\\.51\\10z\n"
        );
        let (long, piece) = ("c".repeat(71), "c".repeat(71));
        assert_eq!(
            edited(&["#n", "l"], &format!("{long}\n{long}d\n")).unwrap(),
            format!("{piece}\\\n\n{piece}\\\nd\n")
        );
    }

    #[test]
    fn a_script_that_does_not_end_fails() {
        assert_eq!(edited(&[":a", "ba"], "x\n"), None);
        assert_eq!(edited(&["G;P;D"], "x\n"), None);
        assert_eq!(edited(&[":a", "s/.*/&&/", "ta"], "x\n"), None);
        assert_eq!(edited(&["bnone"], "x\n"), None);
        assert_eq!(edited(&["{"], "x\n"), None);
    }
}

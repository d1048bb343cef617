//! `mod_substitute.c`: patterns replaced in the body, line by line.

use std::sync::Arc;

use crate::base::pattern::{Captures, Pattern, substitute as expand};
use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, row};
use crate::logs::{self, Bytes, Level};
use crate::modules::rows::nothing;
use crate::modules::{check, slot};
use crate::pipe::Module;
use crate::web::{BodyFilter, Exchange, Refusal, Table};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "substitute_module",
        file: "mod_substitute.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// Values per directory.
#[derive(Clone, Default)]
pub struct SubstituteDir {
    scripts: Vec<Arc<Script>>,
    longest: Option<u64>,
    inherit_before: Option<bool>,
}

/// One `s/pattern/text/flags`.
struct Script {
    what: What,
    text: Vec<u8>,
    /// Later patterns see across what this one replaced.
    flatten: bool,
}

enum What {
    Pattern(Pattern),
    Literal(Vec<u8>),
}

impl Conf for SubstituteDir {
    const SLOT: usize = slot::SUBSTITUTE + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        let inherit_before = add.inherit_before.or(base.inherit_before);
        let (first, then) = match inherit_before {
            Some(true) => (&base.scripts, &add.scripts),
            _ => (&add.scripts, &base.scripts),
        };
        let scripts = first.iter().chain(then).cloned().collect();
        Self { scripts, longest: add.longest.or(base.longest), inherit_before }
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("Substitute", Places::FILEINFO, Shape::Take1, substitute, "Pattern to filter the response content (s/foo/bar/[inf])"),
    row("SubstituteMaxLineLength", Places::FILEINFO, Shape::Take1, length, "Maximum line length"),
    row("SubstituteInheritBefore", Places::FILEINFO, Shape::Flag, inherit, "Apply inherited patterns before those of the current context"),
];

/// `Substitute s/pattern/text/flags`.
fn substitute(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let text = args.word(0);
    let Some((b's', rest)) = text.split_first().map(|(first, rest)| (first.to_ascii_lowercase(), rest)) else {
        return Err("Bad Substitute format, must be an s/// pattern".to_owned());
    };
    let Some((delimiter, rest)) = rest.split_first() else {
        return Err("Bad Substitute format, must be a complete s/// pattern".to_owned());
    };
    let mut parts = rest.splitn(3, |byte| byte == delimiter);
    let (pattern, replacement, flags) = match (parts.next(), parts.next(), parts.next()) {
        (Some(pattern), Some(text), flags) => (pattern, text, flags.unwrap_or_default()),
        _ => return Err("Bad Substitute format, must be a complete s/// pattern".to_owned()),
    };
    let flags = flags.to_ascii_lowercase();
    if flags.iter().any(|flag| !b"infq".contains(flag)) {
        return Err("Bad Substitute flag, only s///[infq] are supported".to_owned());
    }
    let icase = flags.contains(&b'i');
    let what = match flags.contains(&b'n') {
        true if icase => cmd.pattern(&quoted(pattern), true).map(What::Pattern),
        true => Ok(What::Literal(pattern.to_vec())),
        false => cmd.pattern(pattern, icase).map(What::Pattern),
    };
    let what = what.map_err(|_| "Substitute could not compile regex".to_owned())?;
    let mut replacement = replacement.to_vec();
    if flags.contains(&b'n') && matches!(what, What::Pattern(_)) {
        replacement =
            replacement.iter().flat_map(|byte| [b'\\', *byte].into_iter().skip(usize::from(*byte != b'$'))).collect();
    }
    let script = Script { what, text: replacement, flatten: !flags.contains(&b'q') };
    cmd.dir_conf::<SubstituteDir>().scripts.push(Arc::new(script));
    Ok(())
}

/// A literal as a pattern.
fn quoted(text: &[u8]) -> Vec<u8> {
    text.iter().flat_map(|byte| [b'\\', *byte].into_iter().skip(usize::from(byte.is_ascii_alphanumeric()))).collect()
}

fn inherit(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.dir_conf::<SubstituteDir>().inherit_before = Some(args.on());
    Ok(())
}

/// `SubstituteMaxLineLength`.
fn length(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let word = args.word(0);
    let number = match word.split_last() {
        Some((unit, number)) if b"bkmg".contains(&unit.to_ascii_lowercase()) => number,
        _ => word,
    };
    if let Some(size) = check::whole(number).and_then(|number| u64::try_from(number).ok()) {
        let shift = match word.last().map(u8::to_ascii_lowercase) {
            Some(b'k') => 10,
            Some(b'm') => 20,
            Some(b'g') => 30,
            _ => 0,
        };
        cmd.dir_conf::<SubstituteDir>().longest = Some(size.saturating_mul(1 << shift));
        return Ok(());
    }
    Err("SubstituteMaxLineLength must be a non-negative integer optionally suffixed with 'b', 'k', 'm' or 'g'."
        .to_owned())
}

/// `SUBSTITUTE`.
pub fn start(ex: &mut Exchange, _: usize, length: Option<u64>) -> Option<Box<dyn BodyFilter>> {
    // Without a script it still takes the body line by line, which anybody can see at the framing.
    let (scripts, longest) =
        ex.dir::<SubstituteDir>().map(|conf| (conf.scripts.clone(), conf.longest)).unwrap_or_default();
    let longest = longest.unwrap_or(1 << 20);
    if length == Some(0) {
        return None;
    }
    ex.headers_out.unset(b"Content-Length");
    Some(Box::new(Replacer {
        scripts,
        longest: usize::try_from(longest).unwrap_or(usize::MAX),
        line: Vec::new(),
        spare: Vec::new(),
        groups: Captures::new(),
        too_long: false,
        pieces: 0,
        passed: Vec::new(),
        uri: ex.uri.clone(),
        of: logs::OfBody::new(ex),
    }))
}

struct Replacer {
    scripts: Vec<Arc<Script>>,
    longest: usize,
    /// A line that goes on.
    line: Vec<u8>,
    spare: Vec<u8>,
    groups: Captures,
    too_long: bool,
    /// Pieces of body since it last passed on what there was.
    pieces: usize,
    passed: Vec<usize>,
    uri: Vec<u8>,
    of: logs::OfBody,
}

/// More pieces than this are passed on although more of the body is here.
const PIECES_MOST: usize = 1000;

impl Replacer {
    /// Replaces in one line and hands it on.
    fn replace(&mut self, line: &[u8], out: &mut Vec<u8>) {
        if self.too_long {
            return;
        }
        // What later patterns must not see across: pieces of the line.
        let mut pieces: Vec<Vec<u8>> = vec![line.to_vec()];
        for script in self.scripts.clone() {
            let mut next: Vec<Vec<u8>> = Vec::with_capacity(pieces.len());
            for piece in pieces {
                self.one(&script, piece, &mut next);
            }
            pieces = next;
            if self.too_long {
                return;
            }
        }
        pieces.iter().for_each(|piece| out.extend_from_slice(piece));
        self.pieces += 1;
        if self.pieces > PIECES_MOST {
            self.pass(out.len());
        }
    }

    fn pass(&mut self, end: usize) {
        self.pieces = 0;
        self.passed.push(end);
    }

    fn one(&mut self, script: &Script, piece: Vec<u8>, next: &mut Vec<Vec<u8>>) {
        let mut built = std::mem::take(&mut self.spare);
        built.clear();
        let (mut rest, mut changed) = (piece.as_slice(), false);
        while !rest.is_empty() {
            let found = match &script.what {
                What::Literal(text) if text.is_empty() => None,
                What::Literal(text) => memchr::memmem::find(rest, text).map(|at| (at, at + text.len())),
                What::Pattern(pattern) => match pattern.captures(rest, &mut self.groups) {
                    true => self.groups.get(0),
                    false => None,
                },
            };
            let Some((start, end)) = found else { break };
            changed = true;
            self.pieces += 2;
            built.extend_from_slice(rest.get(..start).unwrap_or_default());
            if !script.flatten {
                next.push(std::mem::take(&mut built));
            }
            match &script.what {
                What::Literal(_) => built.extend_from_slice(&script.text),
                What::Pattern(_) => expand(&script.text, rest, &self.groups, &mut built),
            }
            if !script.flatten {
                next.push(std::mem::take(&mut built));
            }
            // An empty match must get on, too.
            let step = if end == 0 { 1 } else { end };
            if end == 0 {
                built.extend_from_slice(rest.get(..1).unwrap_or_default());
            }
            rest = rest.get(step..).unwrap_or_default();
            if built.len() > self.longest {
                return self.give_up();
            }
        }
        if !changed {
            next.push(piece);
        } else {
            built.extend_from_slice(rest);
            next.push(built.clone());
        }
        self.spare = built;
    }

    fn give_up(&mut self) {
        if !std::mem::replace(&mut self.too_long, true) {
            logs::error!(&self.of, Level::Error, "substitute", "AH01328: Line too long, URI {}", Bytes(&self.uri));
        }
    }
}

impl BodyFilter for Replacer {
    fn data(&mut self, input: &[u8], out: &mut Vec<u8>) {
        let mut rest = input;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end + 1);
            if self.line.is_empty() {
                self.replace(line, out);
            } else {
                self.line.extend_from_slice(line);
                let whole = std::mem::take(&mut self.line);
                self.replace(&whole, out);
            }
            rest = after;
        }
        self.line.extend_from_slice(rest);
        if self.line.len() > self.longest {
            self.give_up();
        }
        // Whole lines do not wait for the end of the body.
        if self.pieces > 0 {
            self.pass(out.len());
        }
    }

    fn stretches(&mut self, ends: &mut Vec<usize>) {
        ends.append(&mut self.passed);
    }

    fn flush(&mut self, _: &mut Vec<u8>) {}

    fn end(&mut self, out: &mut Vec<u8>, _: &mut Table) {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.replace(&line, out);
        }
    }

    fn failed(&self) -> bool {
        self.too_long
    }

    fn refusal(&self) -> Refusal {
        Refusal::Measured
    }
}

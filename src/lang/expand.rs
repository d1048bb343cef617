//! The read-time pass: lines become a tree, and directives that run while reading are run.

use std::collections::HashMap;
use std::sync::Arc;

use super::lines::{Line, Lines, TooLong};
use super::macros::Macro;
use super::parse::{self, Piece};
use super::words::{get_word, get_words, merge_path};
use crate::base::diag::{Sources, Span};

/// Files may include files this deep.
pub(super) const MAX_DEPTH: usize = 128;

/// The longest logical line of a `.htaccess` file.
const LONGEST_IN_ACCESS_FILE: usize = 8190;

/// A directive or section as written, behind the read-time pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Canonical spelling if the directive was known when read, otherwise as written; sections keep their `<`.
    pub name: Vec<u8>,
    /// Argument text, variables replaced.
    pub args: Vec<u8>,
    /// What messages call the text it is from.
    pub file: Arc<str>,
    /// Line number.
    pub line: u32,
    /// Where it stands.
    pub span: Span,
    /// What is inside a section.
    pub children: Vec<Self>,
}

/// Why reading failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// File and line in front of the message, if it is about one.
    pub at: Option<(Arc<str>, u32)>,
    /// The line, for a second look at it.
    pub span: Option<Span>,
    /// httpd's text, bytes above 127 as U+0080..U+00FF.
    pub message: String,
}

impl Fault {
    /// httpd's message with its position, unescaped: what an including file's message wraps.
    pub fn positioned(&self) -> String {
        match &self.at {
            Some((file, line)) => format!("Syntax error on line {line} of {file}: {}", self.message),
            None => self.message.clone(),
        }
    }
}

/// A message that does not stop the reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// httpd's short module name.
    pub module: &'static str,
    /// httpd's level word.
    pub level: &'static str,
    /// Text with its AH number.
    pub text: String,
}

/// What the reader needs to know of a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Canonical spelling.
    pub name: &'static str,
    /// It runs while reading.
    pub read_time: bool,
}

/// What lies outside the language: files, modules, the environment.
pub trait Host {
    /// The directive of this name among the modules loaded so far.
    fn directive(&self, name: &[u8]) -> Option<Known>;
    /// Cuts a read-time directive's arguments into the calls its argument kind makes of them.
    fn arguments(&self, name: &[u8], args: &[u8]) -> Result<Vec<Vec<Vec<u8>>>, String>;
    /// Whether the module with this identifier or source file is loaded.
    fn has_module(&self, name: &[u8]) -> bool;
    /// `LoadModule`: loads it, or says why not.
    fn load_module(&mut self, id: &[u8], path: &[u8], root: &[u8], notices: &mut Vec<Notice>) -> Result<(), String>;
    /// `LoadFile`.
    fn load_file(&mut self, path: &[u8], root: &[u8]) -> Result<(), String>;
    /// The server's version.
    fn version(&self) -> [i32; 3];
    /// A variable of the environment.
    fn env(&self, name: &[u8]) -> Option<Vec<u8>>;
    /// A file's bytes.
    fn read(&self, path: &[u8]) -> std::io::Result<Vec<u8>>;
    /// What a path names: a directory, a regular file, something else, or nothing.
    fn kind(&self, path: &[u8]) -> Option<Kind>;
    /// The names in a directory.
    fn list(&self, path: &[u8]) -> std::io::Result<Vec<Vec<u8>>>;
    /// Whether this read-time directive may stand in the text being read: yes, no (it is left out), or httpd's refusal.
    fn permits(&mut self, _name: &'static str) -> Result<bool, String> {
        Ok(true)
    }
}

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file or a device.
    File,
    /// Neither.
    Other,
}

/// A `-D` or `Define`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Define {
    /// Name.
    pub name: Vec<u8>,
    /// Value, if it is more than a flag.
    pub value: Option<Vec<u8>>,
}

/// The state of the read-time pass.
pub struct Reader<'h> {
    pub(super) host: &'h mut dyn Host,
    /// All texts read.
    pub sources: Sources,
    /// Names defined so far, in order.
    pub defines: Vec<Define>,
    /// `ServerRoot` as it stands.
    pub server_root: Vec<u8>,
    /// `DefaultRuntimeDir`.
    pub runtime_dir: Option<Vec<u8>>,
    /// Messages so far.
    pub notices: Vec<Notice>,
    /// `DUMP_INCLUDES`: the lines of the dump.
    pub includes: Option<String>,
    pub(super) macros: HashMap<Vec<u8>, Macro>,
    pub(super) ignore_empty: bool,
    pub(super) ignore_nesting: bool,
    pub(super) depth: usize,
    /// Where the last read-time directive stood: messages about unreadable lines name it.
    last: Option<(Arc<str>, u32)>,
}

/// How reading a stretch of lines ended, or failed: a message is about the current line unless it has its own place.
pub(super) enum Stop {
    /// About the line being read.
    Here(String),
    /// Complete.
    Fault(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<String> for Stop {
    fn from(message: String) -> Self {
        Self::Here(message)
    }
}

impl From<&str> for Stop {
    fn from(message: &str) -> Self {
        Self::Here(message.to_owned())
    }
}

/// Bytes as text for messages.
pub(super) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// httpd's escapes in messages: whatever is not printable ASCII shows as `\n`, `\t` … or `\xHH`.
pub fn escape_message(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    for c in message.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\x08' => out.push_str("\\b"),
            '\x0b' => out.push_str("\\v"),
            ' '..='~' => out.push(c),
            _ => out.push_str(&format!("\\x{:02x}", u32::from(c) & 0xff)),
        }
    }
    out
}

impl<'h> Reader<'h> {
    /// A reader with nothing read.
    pub fn new(host: &'h mut dyn Host, server_root: Vec<u8>) -> Self {
        Self {
            host,
            sources: Sources::default(),
            defines: Vec::new(),
            server_root,
            runtime_dir: None,
            notices: Vec::new(),
            includes: None,
            macros: HashMap::new(),
            ignore_empty: false,
            ignore_nesting: false,
            depth: 0,
            last: None,
        }
    }

    /// Whether `-D NAME` or `Define NAME` holds.
    pub fn is_defined(&self, name: &[u8]) -> bool {
        self.defines.iter().any(|define| define.name == name)
    }

    /// `Define`: replaces an earlier one in its place.
    pub fn define(&mut self, name: &[u8], value: Option<&[u8]>) {
        let value = value.filter(|value| !value.is_empty());
        if !self.is_defined(name) {
            self.define_word(name);
        }
        if value.is_some() {
            self.set_value(name, value);
        }
    }

    /// `-D NAME`: given twice it is there twice.
    pub fn define_word(&mut self, name: &[u8]) {
        self.defines.push(Define { name: name.to_vec(), value: None });
    }

    /// All of one name have one value.
    fn set_value(&mut self, name: &[u8], value: Option<&[u8]>) {
        for define in self.defines.iter_mut().filter(|define| define.name == name) {
            define.value = value.map(<[u8]>::to_vec);
        }
    }

    /// `UnDefine`: the first of the name goes, the last of all takes its place.
    fn undefine(&mut self, name: &[u8]) {
        self.set_value(name, None);
        if let Some(at) = self.defines.iter().position(|define| define.name == name) {
            self.defines.swap_remove(at);
        }
    }

    /// Reads a text (`-C` and `-c` lines).
    pub fn read_text(&mut self, name: &str, text: Vec<u8>) -> Result<Vec<Node>, Fault> {
        let (name, text): (Arc<str>, Arc<[u8]>) = (name.into(), text.into());
        let id = self.sources.add(name.clone(), text.clone(), None);
        self.read_source(&mut Lines::new(name, id, text))
    }

    /// Reads the text of a `.htaccess` file, whose lines may not be as long.
    pub fn read_access_file(&mut self, name: &str, text: Vec<u8>) -> Result<Vec<Node>, Fault> {
        let (name, text): (Arc<str>, Arc<[u8]>) = (name.into(), text.into());
        let id = self.sources.add(name.clone(), text.clone(), None);
        self.read_source(&mut Lines::limited(name, id, text, LONGEST_IN_ACCESS_FILE))
    }

    /// All of one source as a tree.
    pub(super) fn read_source(&mut self, lines: &mut Lines) -> Result<Vec<Node>, Fault> {
        self.read_lines(lines, None)
    }

    /// Lines up to the end of the source, or up to the line `</close>` outside all sections opened here.
    pub(super) fn read_lines(&mut self, lines: &mut Lines, close: Option<&[u8]>) -> Result<Vec<Node>, Fault> {
        let mut stack: Vec<Node> = Vec::new();
        let mut out = Vec::new();
        loop {
            let line = match lines.next_line() {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(long) => return Err(self.too_long(&long)),
            };
            if stack.is_empty() && close.is_some_and(|close| is_close(&line.text, close)) {
                return Ok(out);
            }
            match self.line(&line, lines, &mut stack, &mut out) {
                Ok(()) => {}
                Err(Stop::Fault(fault)) => return Err(fault),
                Err(Stop::Here(message)) => {
                    return Err(Fault { at: Some((line.file, line.number)), span: Some(line.span), message });
                }
            }
        }
        if close.is_none()
            && let Some(outermost) = stack.first()
        {
            let open = |node: &Node| format!("{}:{}: {}> was not closed.", node.file, node.line, latin1(&node.name));
            let message = stack.iter().rev().map(open).collect::<Vec<_>>().join("\n");
            return Err(Fault {
                at: Some((outermost.file.clone(), outermost.line)),
                span: Some(outermost.span),
                message,
            });
        }
        // The end of a file also ends what a true condition opened.
        while let Some(node) = stack.pop() {
            stack.last_mut().map_or(&mut out, |parent| &mut parent.children).push(node);
        }
        Ok(out)
    }

    pub(super) fn too_long(&self, long: &TooLong) -> Fault {
        let message = format!("Error reading {} at line {}: Line too long", long.file, long.number);
        Fault { at: self.last.clone(), span: None, message }
    }

    fn line(&mut self, line: &Line, lines: &mut Lines, stack: &mut Vec<Node>, out: &mut Vec<Node>) -> Result<(), Stop> {
        let text = self.interpolated(&line.text);
        let Ok((_, statement)) = parse::statement(text.as_deref().unwrap_or(&line.text)) else { return Ok(()) };
        let known = self.host.directive(&statement.name);
        if let Some(known) = known.filter(|known| known.read_time) {
            if !self.host.permits(known.name)? {
                return Ok(());
            }
            self.last = Some((line.file.clone(), line.number));
            let nodes = self.run(known.name, statement.args, line, lines)?;
            stack.last_mut().map_or(out, |parent| &mut parent.children).extend(nodes);
            return Ok(());
        }
        let name = known.map_or(statement.name, |known| known.name.as_bytes().to_vec());
        if name.get(1) == Some(&b'/') && name.first() == Some(&b'<') {
            let node = close(&name, stack)?;
            stack.last_mut().map_or(out, |parent| &mut parent.children).push(node);
            return Ok(());
        }
        let section = name.first() == Some(&b'<');
        let node = Node {
            name,
            args: statement.args.to_vec(),
            file: line.file.clone(),
            line: line.number,
            span: line.span,
            children: Vec::new(),
        };
        if section {
            stack.push(node);
        } else {
            stack.last_mut().map_or(out, |parent| &mut parent.children).push(node);
        }
        Ok(())
    }

    /// The line with its variables replaced; `None` if there are none.
    pub(super) fn interpolated(&mut self, text: &[u8]) -> Option<Vec<u8>> {
        memchr::memmem::find(text, b"${")?;
        let (_, pieces) = parse::pieces(text).ok()?;
        let mut out = Vec::with_capacity(text.len());
        for piece in pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Variable(name) => match self.variable(name) {
                    Some(value) => out.extend_from_slice(&value),
                    None => {
                        if !name.contains(&b':') {
                            let text = format!("AH00111: Config variable ${{{}}} is not defined", latin1(name));
                            self.notices.push(Notice { module: "core", level: "warn", text });
                        }
                        out.extend_from_slice(b"${");
                        out.extend_from_slice(name);
                        out.push(b'}');
                    }
                },
            }
        }
        Some(out)
    }

    fn variable(&self, name: &[u8]) -> Option<Vec<u8>> {
        let defined = self.defines.iter().find(|define| define.name == name).and_then(|define| define.value.clone());
        defined.or_else(|| self.host.env(name))
    }

    /// Runs a directive that runs while reading; what it puts in its place.
    fn run(&mut self, name: &'static str, args: &[u8], line: &Line, lines: &mut Lines) -> Result<Vec<Node>, Stop> {
        if let Some(condition) = self.condition(name, args)? {
            let bare = name.get(1..).unwrap_or_default().as_bytes();
            if condition {
                return Ok(self.read_lines(lines, Some(bare))?);
            }
            self.skip(name.as_bytes(), lines)?;
            return Ok(Vec::new());
        }
        match name.to_ascii_lowercase().as_str() {
            "<macro" => self.define_macro(args, line, lines)?,
            "use" => self.use_macro(args, line, lines)?,
            "macroignoreemptyargs" => self.ignore_empty = true,
            "macroignorebadnesting" => self.ignore_nesting = true,
            section if section.starts_with('<') => {
                // Blocks of code: mod_lua's, which may say when they run.
                let words = get_words(args.strip_suffix(b">").unwrap_or(args));
                let when = words.get(1).filter(|when| !matches!(when.as_slice(), b"early" | b"late"));
                if section.starts_with("<lua") && when.is_some() {
                    return Err(format!("{name}> 2nd argument must be 'early' or 'late'").into());
                }
                self.skip(name.as_bytes(), lines)?;
            }
            _ => {
                let mut nodes = Vec::new();
                for call in self.host.arguments(name.as_bytes(), args)? {
                    self.call(name, &call, line, &mut nodes)?;
                }
                return Ok(nodes);
            }
        }
        Ok(Vec::new())
    }

    fn call(&mut self, name: &str, words: &[Vec<u8>], line: &Line, nodes: &mut Vec<Node>) -> Result<(), Stop> {
        let word = |at: usize| words.get(at).map_or(&b""[..], Vec::as_slice);
        match name.to_ascii_lowercase().as_str() {
            "define" => {
                no_colon(word(0))?;
                self.define(word(0), words.get(1).map(Vec::as_slice));
            }
            "undefine" => {
                no_colon(word(0))?;
                self.undefine(word(0));
            }
            "include" => nodes.extend(self.include(word(0), line, false)?),
            "includeoptional" => nodes.extend(self.include(word(0), line, true)?),
            "serverroot" => self.set_server_root(word(0))?,
            "defaultruntimedir" => self.set_runtime_dir(word(0))?,
            "loadmodule" => {
                self.host.load_module(word(0), word(1), &self.server_root, &mut self.notices)?;
            }
            "loadfile" => self.host.load_file(word(0), &self.server_root)?,
            "undefmacro" => self.undef_macro(word(0))?,
            _ => {}
        }
        Ok(())
    }

    fn set_server_root(&mut self, path: &[u8]) -> Result<(), String> {
        let mut full = merge_path(b"/", path);
        while full.len() > 1 && full.last() == Some(&b'/') {
            full.pop();
        }
        if path.first() != Some(&b'/') || self.host.kind(&full) != Some(Kind::Directory) {
            return Err("ServerRoot must be a valid directory".to_owned());
        }
        self.server_root = full;
        Ok(())
    }

    fn set_runtime_dir(&mut self, path: &[u8]) -> Result<(), String> {
        let full = merge_path(&self.server_root, path);
        if self.host.kind(&full) != Some(Kind::Directory) {
            return Err("DefaultRuntimeDir must be a valid directory, absolute or relative to ServerRoot".to_owned());
        }
        self.runtime_dir = Some(full);
        Ok(())
    }

    /// Leaves out the body of a false condition: only tags are looked at.
    pub(super) fn skip(&mut self, name: &[u8], lines: &mut Lines) -> Result<(), Stop> {
        let mut open = vec![name.to_vec()];
        while let Some(innermost) = open.last() {
            let bare = latin1(innermost.get(1..).unwrap_or_default());
            let line = match lines.next_line() {
                Ok(Some(line)) => line,
                Ok(None) => return Err(format!("Expected </{bare}> before end of configuration").into()),
                Err(long) => return Err(self.too_long(&long).into()),
            };
            let (mut word, rest) = get_word(&line.text);
            if word.first() != Some(&b'<') {
                continue;
            }
            if word.get(1) == Some(&b'/') {
                // The last byte goes, whatever it is.
                word.pop();
                if !word.get(2..).unwrap_or_default().eq_ignore_ascii_case(bare.as_bytes()) {
                    return Err(format!("Expected </{bare}> but saw {}>", latin1(&word)).into());
                }
                open.pop();
            } else {
                if rest.is_empty() && word.last() == Some(&b'>') {
                    word.pop();
                }
                open.push(word);
            }
        }
        Ok(())
    }
}

fn no_colon(name: &[u8]) -> Result<(), String> {
    if name.contains(&b':') {
        return Err("Variable name must not contain ':'".to_owned());
    }
    Ok(())
}

/// Whether the line is `</close>` and nothing else.
fn is_close(line: &[u8], close: &[u8]) -> bool {
    let inner = line.strip_prefix(b"</").and_then(|line| line.strip_suffix(b">"));
    inner.is_some_and(|inner| inner.eq_ignore_ascii_case(close))
}

/// Takes the section that a closing tag closes off the stack.
fn close(tag: &[u8], stack: &mut Vec<Node>) -> Result<Node, String> {
    let shown = latin1(tag);
    let Some(open) = stack.last() else {
        return Err(format!("{shown} without matching <{} section", latin1(tag.get(2..).unwrap_or_default())));
    };
    let Some(inner) = tag.strip_suffix(b">") else {
        return Err(format!("{shown}> directive missing closing '>'"));
    };
    let name = inner.get(2..).unwrap_or_default();
    let expected = open.name.get(1..).unwrap_or_default();
    if !expected.eq_ignore_ascii_case(name) {
        return Err(format!("Expected </{}> but saw {shown}", latin1(expected)));
    }
    stack.pop().ok_or_else(String::new)
}

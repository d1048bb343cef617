//! Sources, spans and diagnostics.

use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// Names one text that was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileId(pub u32);

/// A stretch of one source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// In which source.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// Behind the last byte.
    pub end: u32,
}

/// What had a text read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The line that includes this file.
    Include(Span),
    /// The line that uses this macro.
    Macro(Span),
}

/// One text that was read.
#[derive(Clone, Debug)]
pub struct Source {
    /// Path, or what messages call it.
    pub name: Arc<str>,
    /// Its bytes.
    pub text: Arc<[u8]>,
    /// The line of another text that led here.
    pub origin: Option<Origin>,
}

/// All texts of one configuration.
#[derive(Clone, Debug, Default)]
pub struct Sources(Vec<Source>);

impl Sources {
    /// Keeps a text.
    pub fn add(&mut self, name: Arc<str>, text: Arc<[u8]>, origin: Option<Origin>) -> FileId {
        let id = FileId(u32::try_from(self.0.len()).unwrap_or(u32::MAX));
        self.0.push(Source { name, text, origin });
        id
    }

    /// The text of this name.
    pub fn get(&self, id: FileId) -> Option<&Source> {
        self.0.get(id.0 as usize)
    }

    /// How a text came to be read, the nearest step first: for a directive in an included file or in a macro.
    pub fn trail(&self, file: FileId) -> Vec<String> {
        let mut steps = Vec::new();
        let mut next = self.get(file).and_then(|source| source.origin);
        while let Some(origin) = next.filter(|_| steps.len() < LONGEST_TRAIL) {
            let (how, span) = match origin {
                Origin::Include(span) => ("included from", span),
                Origin::Macro(span) => ("a macro used on", span),
            };
            let Some(source) = self.get(span.file) else { break };
            steps.push(format!("{how} line {} of {}", source.line(span.start), source.name));
            next = source.origin;
        }
        steps
    }

    /// The bytes under a span.
    pub fn bytes(&self, span: Span) -> &[u8] {
        self.get(span.file).and_then(|source| source.text.get(span.start as usize..span.end as usize)).unwrap_or(b"")
    }
}

impl Source {
    /// The number of the line that a byte is on, from 1.
    fn line(&self, offset: u32) -> usize {
        let before = self.text.get(..offset as usize).unwrap_or(b"");
        1 + memchr::memchr_iter(b'\n', before).count()
    }
}

/// What is shown below httpd's own message: the line, a caret under the part that is wrong, and advice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The directive's line or lines.
    pub line: Span,
    /// The wrong part, inside the line; the whole line if unknown.
    pub part: Option<Range<u32>>,
    /// Words at the caret.
    pub label: String,
    /// How to put it right.
    pub help: Option<String>,
}

/// More steps than this from file to file are not shown.
const LONGEST_TRAIL: usize = 20;

/// Lines longer than this are not shown: the terminal would be flooded.
const LONGEST: usize = 400;

/// The remark as text, lines ended; empty if there is nothing sensible to show.
pub fn render(sources: &Sources, remark: &Remark) -> String {
    let Some(source) = sources.get(remark.line.file) else { return String::new() };
    let bytes = sources.bytes(remark.line);
    if bytes.is_empty() || bytes.len() > LONGEST {
        return remark.help.as_ref().map(|help| format!("help: {help}\n")).unwrap_or_default();
    }
    let first = source.line(remark.line.start);
    // One character for each byte keeps offsets true whatever the file's encoding; control bytes would move the caret.
    let mut text = String::with_capacity(bytes.len());
    let mut offsets = Vec::with_capacity(bytes.len() + 1);
    for &byte in bytes {
        offsets.push(text.len());
        text.push(match byte {
            b'\n' => '\n',
            0x20..=0x7e => char::from(byte),
            _ => '?',
        });
    }
    offsets.push(text.len());
    let at = |offset: u32| {
        let inside = offset.saturating_sub(remark.line.start) as usize;
        offsets.get(inside).copied().unwrap_or(text.len())
    };
    let range = match &remark.part {
        Some(part) => at(part.start)..at(part.end).max(at(part.start)),
        None => 0..text.trim_end().len(),
    };
    let snippet = Snippet::source(text.as_str())
        .line_start(first)
        .annotation(AnnotationKind::Primary.span(range).label(remark.label.as_str()));
    let mut group = Group::with_level(Level::NOTE).element(snippet);
    let trail = sources.trail(remark.line.file);
    for step in &trail {
        group = group.element(Level::NOTE.message(step.as_str()));
    }
    if let Some(help) = &remark.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    let mut out = Renderer::plain().render(&[group]).to_string();
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_part() {
        let mut sources = Sources::default();
        let text = b"Listen 80\nServerTokens Bogus\n";
        let file = sources.add("a.conf".into(), text.to_vec().into(), None);
        let line = Span { file, start: 10, end: 28 };
        assert_eq!(sources.bytes(line), b"ServerTokens Bogus");
        let remark = Remark { line, part: Some(23..28), label: "here".into(), help: Some("write Prod".into()) };
        let shown = render(&sources, &remark);
        let lines: Vec<&str> = shown.lines().collect();
        let code = lines.iter().position(|line| line.contains("ServerTokens Bogus")).unwrap();
        assert!(lines[code].starts_with('2'), "{shown}");
        assert_eq!(lines[code].find("Bogus"), lines[code + 1].find("^^^^^"), "{shown}");
        assert!(lines[code + 1].ends_with("here"), "{shown}");
        assert!(shown.contains("write Prod"), "{shown}");
    }

    #[test]
    fn bytes_that_are_not_text_do_not_move_the_caret() {
        let mut sources = Sources::default();
        let file = sources.add("a.conf".into(), b"Define \xc3\xa4\t x".to_vec().into(), None);
        let line = Span { file, start: 0, end: 12 };
        let shown = render(&sources, &Remark { line, part: Some(11..12), label: String::new(), help: None });
        let lines: Vec<&str> = shown.lines().collect();
        let code = lines.iter().position(|line| line.contains("Define")).unwrap();
        assert_eq!(lines[code].rfind('x'), lines[code + 1].find('^'), "{shown}");
    }
}

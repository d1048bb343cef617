use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::tags::DEEPEST;
use super::*;

/// Events in the form in which those of libxml2 were recorded: `<name attribute='value'`, `</name`, `C text`, `D raw
/// text`, `! comment`.
#[derive(Default)]
struct Told {
    lines: Vec<String>,
    /// The mark of the text that the next of its kind joins.
    joins: Option<char>,
}

fn shown(bytes: &[u8]) -> String {
    let mut out = String::new();
    for found in String::from_utf8_lossy(bytes).chars() {
        match found {
            '\\' | '\0'..='\x1f' | '\x7f' => write!(out, "\\x{:02x}", u32::from(found)).unwrap(),
            _ => out.push(found),
        }
    }
    out
}

impl Told {
    fn line(&mut self, line: String) {
        self.joins = None;
        self.lines.push(line);
    }

    fn join(&mut self, mark: char, text: &[u8]) {
        if self.joins != Some(mark) {
            self.line(format!("{mark} "));
            self.joins = Some(mark);
        }
        *self.lines.last_mut().unwrap() += &shown(text);
    }
}

impl Events for Told {
    fn start(&mut self, name: &[u8], _: Option<&'static Element>, attributes: &[Attribute]) {
        let mut line = format!("<{}", shown(name));
        for attribute in attributes {
            write!(line, " {}", shown(&attribute.name)).unwrap();
            if let Some(value) = &attribute.value {
                write!(line, "='{}'", shown(value)).unwrap();
            }
        }
        self.line(line);
    }

    fn end(&mut self, name: &[u8], _: Option<&'static Element>) {
        self.line(format!("</{}", shown(name)));
    }

    fn text(&mut self, text: &[u8]) {
        self.join('C', text);
    }

    fn raw(&mut self, text: &[u8]) {
        self.join('D', text);
    }

    fn comment(&mut self, text: &[u8]) {
        self.line(format!("! {}", shown(text)));
    }
}

fn told(charset: Option<Charset>, pieces: &[&[u8]]) -> Vec<String> {
    let (mut parser, mut told) = (Parser::new(charset), Told::default());
    pieces.iter().for_each(|piece| parser.push(piece, &mut told));
    parser.end(&mut told);
    assert!(!parser.failed());
    told.lines
}

fn recorded() -> Vec<(String, Vec<String>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/html/events.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn documents_are_read_as_libxml2_reads_them() {
    for (document, events) in recorded() {
        assert_eq!(told(Some(Charset::UTF8), &[document.as_bytes()]), events, "{document:?}");
    }
}

#[test]
fn it_does_not_matter_how_documents_are_cut() {
    for (document, events) in recorded() {
        // What stands behind the end of all elements depends on it, as in libxml2.
        if document.contains("</html>") {
            continue;
        }
        for length in [1, 2, 3, 7] {
            let pieces: Vec<&[u8]> = document.as_bytes().chunks(length).collect();
            assert_eq!(told(Some(Charset::UTF8), &pieces), events, "{document:?} by {length}");
        }
    }
}

#[test]
fn documents_say_what_they_are_in() {
    let latin = b"<meta charset=iso-8859-1><p title=\xe9>\xe9</p>";
    let wanted =
        ["<html", "<head", "<meta charset='iso-8859-1'", "</meta", "</head", "<body", "<p title='\u{e9}'", "C \u{e9}"];
    assert_eq!(told(None, &[latin])[..8], wanted);
    // Those that do not are Latin-1 from their first byte that is not ASCII.
    assert_eq!(told(None, &[b"<p>a\xe9b"])[2..4], ["<p", "C a\u{e9}b"]);
    // A charset that was told is kept, so that what comes is converted twice if the document says another one.
    let koi = Charset::find(b"koi8-r");
    assert_eq!(told(koi, &[b"<p>\xc1"])[3], "C \u{430}");
}

#[test]
fn memory_is_bounded() {
    let mut parser = Parser::new(Some(Charset::UTF8));
    let mut told = Told::default();
    let piece = vec![b'a'; 1 << 20];
    parser.push(b"<p title=\"", &mut told);
    for _ in 0..20 {
        parser.push(&piece, &mut told);
    }
    assert!(parser.failed());
    let mut parser = Parser::new(Some(Charset::UTF8));
    parser.push("<b>".repeat(DEEPEST + 10).as_bytes(), &mut told);
    assert!(parser.failed());
    // Text is no token.
    let mut parser = Parser::new(Some(Charset::UTF8));
    for _ in 0..20 {
        parser.push(&piece, &mut told);
    }
    assert!(!parser.failed());
}

proptest! {
    #[test]
    fn whatever_comes_ends(pieces: Vec<Vec<u8>>, charset in prop::sample::select(vec!["", "utf-8", "iso-8859-1", "utf-16", "euc-jp"])) {
        let (mut parser, mut told) = (Parser::new(Charset::find(charset.as_bytes())), Told::default());
        for piece in pieces {
            parser.push(&piece, &mut told);
        }
        parser.end(&mut told);
        let opened = told.lines.iter().filter(|line| line.starts_with('<') && !line.starts_with("</")).count();
        let closed = told.lines.iter().filter(|line| line.starts_with("</")).count();
        prop_assert!(closed <= opened);
    }
}

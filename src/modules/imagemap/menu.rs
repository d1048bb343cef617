//! The page for who sends no click: all links of a map.

use crate::base::path::{escape_html, escape_path};

/// Such a page as far as the map was read.
pub(super) struct Menu {
    style: Style,
    page: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Formatted,
    Semiformatted,
    Unformatted,
    /// A word that is none of these: there is nothing but the page's frame.
    Unknown,
}

impl Menu {
    /// The page's start; `kind` is the word of `ImapMenu`.
    pub(super) fn new(kind: &[u8], uri: &[u8]) -> Self {
        let is = |word: &[u8]| kind.eq_ignore_ascii_case(word);
        let style = match () {
            () if is(b"formatted") => Style::Formatted,
            () if is(b"semiformatted") => Style::Semiformatted,
            () if is(b"unformatted") => Style::Unformatted,
            () => Style::Unknown,
        };
        let mut menu = Self { style, page: Vec::new() };
        menu.put("<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\" \"http://www.w3.org/TR/html4/strict.dtd\">\n<html><head>\n<title>Menu for ");
        escape_html(uri, &mut menu.page);
        menu.put("</title>\n</head><body>\n");
        if style == Style::Formatted {
            menu.put("<h1>Menu for ");
            escape_html(uri, &mut menu.page);
            menu.put("</h1>\n<hr />\n\n");
        }
        menu
    }

    fn put(&mut self, text: &str) {
        self.page.extend_from_slice(text.as_bytes());
    }

    /// An empty line of the map.
    pub(super) fn blank(&mut self) {
        match self.style {
            Style::Formatted | Style::Unformatted => self.put("\n"),
            Style::Semiformatted => self.put("<br />\n"),
            Style::Unknown => {}
        }
    }

    /// A comment, its `#` taken off; where it is shown it may hold HTML.
    pub(super) fn comment(&mut self, text: &[u8]) {
        match self.style {
            Style::Formatted => self.put("\n"),
            Style::Semiformatted | Style::Unformatted => {
                self.page.extend_from_slice(text);
                self.put("\n");
            }
            Style::Unknown => {}
        }
    }

    /// The link for clicks beside all shapes.
    pub(super) fn default(&mut self, target: &[u8], label: &[u8]) {
        self.anchor(target, label, "(Default) ");
    }

    /// The link of a shape.
    pub(super) fn link(&mut self, target: &[u8], label: &[u8]) {
        self.anchor(target, label, "          ");
    }

    fn anchor(&mut self, target: &[u8], label: &[u8], front: &str) {
        if target.eq_ignore_ascii_case(b"error") || target.eq_ignore_ascii_case(b"nocontent") {
            return;
        }
        let framed = match self.style {
            Style::Formatted | Style::Semiformatted => true,
            Style::Unformatted => false,
            Style::Unknown => return,
        };
        if framed {
            self.put("<pre>");
            self.put(front);
        }
        self.put("<a href=\"");
        escape_path(target, &mut self.page);
        self.put("\">");
        escape_html(label, &mut self.page);
        self.put("</a>");
        if framed {
            self.put("</pre>\n");
        }
    }

    /// The whole page.
    pub(super) fn end(mut self) -> Vec<u8> {
        self.put("\n\n</body>\n</html>\n");
        self.page
    }

    /// The whole page of a map that could not be read to its end.
    pub(super) fn broken(mut self) -> Vec<u8> {
        self.put("\n\n[an internal server error occured]\n");
        self.end()
    }
}

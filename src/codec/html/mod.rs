//! HTML as it comes: bytes in, tags, text and comments out, elements that were left out filled in. What libxml2 2.9
//! makes of the same bytes, event for event, for that is what mod_proxy_html's users see: HTML 4 with its implied
//! elements and its closing of what stays open. (The well-kept tokenizers follow HTML 5, which makes other elements of
//! the same text, and keep names as they were written.)
//!
//! A token is looked at once its end is here; it may be [`MOST`] bytes long, longer text is handed on in pieces.

mod elements;
mod entities;
mod open;
mod read;
mod source;
mod tags;
mod text;

use std::collections::HashSet;
use std::ops::Range;

use foldhash::fast::RandomState;

use super::charset::Charset;

pub use elements::Element;

use entities::ENTITIES;
use open::Open;
use source::{Source, is_blank};

/// Bytes of one token, of those behind its first that is missing its end, at most.
pub const MOST: usize = 16 << 20;

/// One attribute: its name, in lower case, and its value, references resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attribute {
    /// Its name.
    pub name: Vec<u8>,
    /// Its value, if it has one; without NUL bytes.
    pub value: Option<Vec<u8>>,
}

/// Takes what is found. Text is UTF-8, unless the document is broken.
pub trait Events {
    /// An element begins; `element` tells of it if it is known.
    fn start(&mut self, name: &[u8], element: Option<&'static Element>, attributes: &[Attribute]);
    /// An element ends.
    fn end(&mut self, name: &[u8], element: Option<&'static Element>);
    /// Text, references resolved.
    fn text(&mut self, text: &[u8]);
    /// Content of a script or style sheet, as it is.
    fn raw(&mut self, text: &[u8]);
    /// A comment, without its marks.
    fn comment(&mut self, text: &[u8]);
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing was seen.
    Start,
    /// No element and no document type was seen.
    Misc,
    /// Behind the document type.
    Prolog,
    Content,
    StartTag,
    EndTag,
    /// Behind the last end tag.
    Epilog,
    /// Nothing counts any more.
    Ended,
}

/// One document on its way.
pub struct Parser {
    source: Source,
    state: State,
    open: Open,
    /// Misplaced start tags of html, head and body whose end tags do not count.
    misplaced: u32,
    /// Attributes of the tag, of which so many count.
    attributes: Vec<Attribute>,
    count: usize,
    /// Their names, where they are many.
    names: HashSet<Vec<u8>, RandomState>,
    text: Vec<u8>,
    failed: bool,
}

impl Parser {
    /// Of a document in this charset, or of one that says by itself what it is, Latin-1 if it does not.
    pub fn new(charset: Option<Charset>) -> Self {
        Self {
            source: Source::new(charset),
            state: State::Start,
            open: Open::default(),
            misplaced: 0,
            attributes: Vec::new(),
            count: 0,
            names: HashSet::default(),
            text: Vec::new(),
            failed: false,
        }
    }

    /// Takes the beginning of the document, to be looked at with what follows.
    pub fn begin(&mut self, bytes: &[u8]) {
        self.source.push(bytes);
    }

    /// Takes more of the document.
    pub fn push(&mut self, bytes: &[u8], events: &mut dyn Events) {
        if self.state != State::Ended && !self.failed {
            self.source.push(bytes);
            self.go(false, events);
            self.source.forget();
        }
    }

    /// The document has ended.
    pub fn end(&mut self, events: &mut dyn Events) {
        if !self.failed {
            self.go(true, events);
            self.state = State::Ended;
        }
    }

    /// Whether the document cannot be gone on with: a token or the elements that are open are too many.
    pub fn failed(&self) -> bool {
        self.failed
    }

    fn go(&mut self, last: bool, events: &mut dyn Events) {
        let mut stopped = false;
        loop {
            let here = self.source.left();
            if here == 0 {
                if last && !stopped {
                    self.close_all(events);
                }
                return;
            }
            if self.state == State::Ended || stopped || self.failed {
                return;
            }
            if self.source.at(0) == 0 && !self.in_script() {
                self.source.skip(1);
                continue;
            }
            let moved = match self.state {
                State::Start => self.start(last),
                State::Misc => self.misc(last, events),
                State::Prolog => self.prolog(last, events),
                State::Epilog => {
                    let moved = self.epilog(last, events);
                    // Text there ends the look at this piece of the document.
                    stopped = moved == Some(false);
                    moved.is_some()
                }
                State::StartTag => self.start_tag(last, events),
                State::Content => self.content(last, events),
                State::EndTag => self.end_tag(last, events),
                State::Ended => false,
            };
            if !moved {
                self.failed |= !last && self.source.left() > MOST;
                return;
            }
        }
    }

    fn in_script(&self) -> bool {
        self.state == State::Content && (self.open.is_top(b"script") || self.open.is_top(b"style"))
    }

    fn start(&mut self, last: bool) -> bool {
        self.source.skip_blanks();
        if self.source.is_doctype() {
            if !self.whole(last, Until::Tag) {
                return false;
            }
            self.doctype();
            self.state = State::Prolog;
        } else {
            self.state = State::Misc;
        }
        true
    }

    /// Comments, instructions and the document type in front of the first element. Says whether it got on.
    fn misc(&mut self, last: bool, events: &mut dyn Events) -> bool {
        self.source.skip_blanks();
        let here = self.source.left();
        if here < 1 || (here < 2 && !last) {
            return false;
        }
        match (self.source.at(0), self.source.at(1)) {
            (b'<', b'!') if self.source.is_comment() => return self.comment_here(last, events),
            (b'<', b'?') => return self.instruction_here(last),
            (b'<', b'!') if self.source.is_doctype() => {
                if !self.whole(last, Until::Tag) {
                    return false;
                }
                self.doctype();
                self.state = State::Prolog;
            }
            (b'<', b'!') if here < 9 => return false,
            _ => self.state = State::Content,
        }
        true
    }

    fn prolog(&mut self, last: bool, events: &mut dyn Events) -> bool {
        self.source.skip_blanks();
        let here = self.source.left();
        if here < 2 {
            return false;
        }
        match (self.source.at(0), self.source.at(1)) {
            (b'<', b'!') if self.source.is_comment() => return self.comment_here(last, events),
            (b'<', b'?') => return self.instruction_here(last),
            (b'<', b'!') if here < 4 => return false,
            _ => self.state = State::Content,
        }
        true
    }

    /// Behind the end of all elements: as [`Self::misc`], and `Some(false)` behind text.
    fn epilog(&mut self, last: bool, events: &mut dyn Events) -> Option<bool> {
        let here = self.source.left();
        if is_blank(self.source.at(0)) {
            self.character_data(usize::MAX, events);
            return Some(false);
        }
        if here < 2 {
            return None;
        }
        match (self.source.at(0), self.source.at(1)) {
            (b'<', b'!') if self.source.is_comment() => self.comment_here(last, events).then_some(true),
            (b'<', b'?') => self.instruction_here(last).then_some(true),
            (b'<', b'!') if here < 4 => None,
            _ => {
                self.state = State::Ended;
                None
            }
        }
    }

    /// Whether what begins here is here up to its end.
    fn whole(&mut self, last: bool, until: Until) -> bool {
        last || self.source.holds(until)
    }

    fn comment_here(&mut self, last: bool, events: &mut dyn Events) -> bool {
        let whole = self.whole(last, Until::Comment);
        if whole {
            self.comment(events);
        }
        whole
    }

    fn instruction_here(&mut self, last: bool) -> bool {
        let whole = self.whole(last, Until::Greater);
        if whole {
            self.instruction();
        }
        whole
    }

    fn content(&mut self, last: bool, events: &mut dyn Events) -> bool {
        let here = self.source.left();
        let (first, next) = (self.source.at(0), self.source.at(1));
        if here == 1 && last && first != b'<' && first != b'&' {
            if !is_blank(first) {
                self.paragraph(events);
                events.text(&[first]);
            }
            self.source.skip(1);
            return true;
        }
        if here < 2 {
            return false;
        }
        if self.in_script() {
            return self.script(last, events);
        }
        match (first, next) {
            (b'<', b'!') if self.source.is_doctype() => {
                if !self.whole(last, Until::Tag) {
                    return false;
                }
                self.doctype();
            }
            (b'<', b'!') if self.source.is_comment() => return self.comment_here(last, events),
            (b'<', b'!') if here < 4 || (!last && self.source.may_be_doctype()) => return false,
            (b'<', b'?') => return self.instruction_here(last),
            (b'<', b'/') => self.state = State::EndTag,
            (b'<', next) if next.is_ascii_alphabetic() => self.state = State::StartTag,
            (b'<', _) => {
                events.text(b"<");
                self.source.next();
            }
            _ => return self.running_text(last, events),
        }
        true
    }
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    /// The end of a tag, not in a value.
    Tag,
    Greater,
    Less,
    /// The end of a comment.
    Comment,
}

/// What a `&` stands for that begins no number.
enum Entity {
    Known(char),
    /// None; so many bytes of a name follow.
    Unknown(usize),
}

/// The character of this name.
fn entity(name: &[u8]) -> Option<char> {
    let at = ENTITIES.binary_search_by(|(known, _)| known.as_bytes().cmp(name)).ok()?;
    ENTITIES.get(at).map(|(_, found)| *found)
}

/// Where in a text there are `meta` elements, as far as that can be told without reading the document.
pub fn metas(text: &[u8]) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut from = 0;
    std::iter::from_fn(move || {
        let rest = text.get(from..)?;
        let start = memchr::memchr_iter(b'<', rest)
            .find(|at| rest.get(at + 1..at + 5).is_some_and(|name| name.eq_ignore_ascii_case(b"meta")))?;
        let length = memchr::memchr(b'>', rest.get(start..)?)? + 1;
        let range = from + start..from + start + length;
        from = range.start + 1;
        Some(range)
    })
}

#[cfg(test)]
mod tests;

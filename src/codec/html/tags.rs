//! Tags: elements opened and closed, and those that HTML 4 lets out.

use super::{Attribute, Events, Parser, State, Until};

/// Elements that may be open at a time.
pub(super) const DEEPEST: usize = 20_000;

/// Attributes up to here are looked for one by one.
const FEW: usize = 16;

impl Parser {
    pub(super) fn start_tag(&mut self, last: bool, events: &mut dyn Events) -> bool {
        let here = self.source.left();
        if here < 2 && !last {
            return false;
        }
        match (self.source.at(0), self.source.at(1)) {
            (b'<', b'/') => {
                self.state = State::EndTag;
                return true;
            }
            (b'<', _) => {}
            _ => {
                self.state = State::Content;
                return true;
            }
        }
        if !self.whole(last, Until::Tag) {
            return false;
        }
        if !self.open_tag(events) {
            if self.source.at(0) == b'>' {
                self.source.next();
            }
            return true;
        }
        self.state = State::Content;
        if self.source.at(0) == b'/' && self.source.at(1) == b'>' {
            self.source.skip(2);
            self.close_top(events);
        } else if self.source.at(0) == b'>' {
            self.source.next();
            if self.open.top_element().is_some_and(|element| element.empty) {
                self.close_top(events);
            }
        } else {
            // Its end is not there: the element is forgotten.
            self.open.pop();
        }
        true
    }

    /// The tag up to its end; whether there is an element now.
    fn open_tag(&mut self, events: &mut dyn Events) -> bool {
        self.source.next();
        let name = self.source.tag_name();
        if name.is_empty() {
            self.source.skip_to(b'>');
            return false;
        }
        while self.open.is_closed_by(&name) {
            self.close_top(events);
        }
        self.imply(&name, events);
        let mut dropped = false;
        let misplaced = match name.as_slice() {
            b"html" => u32::from(!self.open.is_empty()),
            b"head" => u32::from(self.open.depth() != 1),
            b"body" => self.open.count(b"body"),
            _ => 0,
        };
        if misplaced > 0 {
            dropped = true;
            self.misplaced = self.misplaced.saturating_add(misplaced);
        }
        self.read_attributes();
        if name == b"meta" {
            self.source.heed(self.attributes.get(..self.count).unwrap_or_default());
        }
        if !dropped {
            self.push_element(&name);
            let attributes = self.attributes.get(..self.count).unwrap_or_default();
            events.start(&name, self.open.top_element(), attributes);
        }
        // A tag that was dropped stands for the element around it.
        !self.open.is_empty()
    }

    /// Whether the tag has no attribute of this name yet.
    fn is_new(&mut self, name: &[u8]) -> bool {
        let known = self.attributes.get(..self.count).unwrap_or_default();
        if self.count < FEW {
            return !known.iter().any(|known| known.name == name);
        }
        if self.count == FEW {
            self.names = known.iter().map(|known| known.name.clone()).collect();
        }
        self.names.insert(name.to_vec())
    }

    fn read_attributes(&mut self) {
        self.count = 0;
        self.source.skip_blanks();
        loop {
            let at_end = self.source.at(0) == b'/' && self.source.at(1) == b'>';
            if matches!(self.source.at(0), 0 | b'>') || at_end {
                return;
            }
            let name = self.source.tag_name();
            if name.is_empty() {
                self.source.skip_junk();
            } else {
                self.source.skip_blanks();
                let mut value = None;
                if self.source.at(0) == b'=' {
                    self.source.next();
                    self.source.skip_blanks();
                    value = Some(self.source.value());
                }
                if self.is_new(&name) {
                    let attribute = Attribute { name, value };
                    match self.attributes.get_mut(self.count) {
                        Some(slot) => *slot = attribute,
                        None => self.attributes.push(attribute),
                    }
                    self.count += 1;
                }
            }
            self.source.skip_blanks();
        }
    }

    pub(super) fn end_tag(&mut self, last: bool, events: &mut dyn Events) -> bool {
        if self.source.left() < 2 || !self.whole(last, Until::Greater) {
            return false;
        }
        self.close_tag(events);
        self.state = if self.open.is_empty() { State::Epilog } else { State::Content };
        true
    }

    fn close_tag(&mut self, events: &mut dyn Events) {
        self.source.skip(2);
        let name = self.source.tag_name();
        if name.is_empty() {
            return;
        }
        self.source.skip_blanks();
        self.source.skip_to(b'>');
        if self.source.at(0) == b'>' {
            self.source.next();
        }
        if self.misplaced > 0 && [&b"html"[..], b"head", b"body"].contains(&name.as_slice()) {
            self.misplaced -= 1;
            return;
        }
        for _ in 0..self.open.above(&name) {
            self.close_top(events);
        }
        if self.open.is_top(&name) {
            self.close_top(events);
        }
    }

    fn close_top(&mut self, events: &mut dyn Events) {
        events.end(self.open.top_name(), self.open.top_element());
        self.open.pop();
    }

    pub(super) fn close_all(&mut self, events: &mut dyn Events) {
        while !self.open.is_empty() {
            self.close_top(events);
        }
        self.state = State::Ended;
    }

    fn push_element(&mut self, name: &[u8]) {
        self.failed |= !self.open.push(name, DEEPEST);
    }

    fn imply_element(&mut self, name: &[u8], events: &mut dyn Events) {
        self.push_element(name);
        events.start(name, self.open.top_element(), &[]);
    }

    /// Opens what must be around an element of this name.
    fn imply(&mut self, name: &[u8], events: &mut dyn Events) {
        if name == b"html" {
            return;
        }
        if self.open.is_empty() {
            self.imply_element(b"html", events);
        }
        let of_head = [&b"script"[..], b"style", b"meta", b"link", b"title", b"base"];
        match name {
            b"body" | b"head" => {}
            _ if self.open.depth() <= 1 && of_head.contains(&name) => {
                if !self.open.had_head() {
                    self.imply_element(b"head", events);
                }
            }
            b"noframes" | b"frame" | b"frameset" => {}
            _ => {
                if !self.open.had_body() && self.open.count(b"body") == 0 && self.open.count(b"head") == 0 {
                    self.imply_element(b"body", events);
                }
            }
        }
    }

    /// Opens a paragraph for text where none may stand.
    pub(super) fn paragraph(&mut self, events: &mut dyn Events) {
        if self.open.is_empty() || self.open.is_top(b"html") || self.open.is_top(b"head") {
            while self.open.is_closed_by(b"p") {
                self.close_top(events);
            }
            self.imply(b"p", events);
            self.imply_element(b"p", events);
        }
    }
}

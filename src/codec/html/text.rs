//! What stands between tags: text and references, scripts and style sheets, comments, instructions, document types.

use super::read::push_found;
use super::source::{is_blank, is_content};
use super::{Entity, Events, Parser, State, Until};

/// Text that is handed on at a time: blanks count as text or not by the piece.
const PIECE: usize = 1000;

/// Text without an end is waited for up to here, and this much of it is kept for what may be a reference.
const TEXT_MOST: usize = 1 << 20;
const TEXT_KEPT: usize = 64 << 10;

impl Parser {
    /// Text with its references, up to the next tag.
    pub(super) fn running_text(&mut self, last: bool, events: &mut dyn Events) -> bool {
        let mut keep = 0;
        if !self.whole(last, Until::Less) {
            if self.source.left() <= TEXT_MOST {
                return false;
            }
            keep = TEXT_KEPT;
        }
        while self.state != State::Ended && self.source.left() > keep && self.source.at(0) != b'<' {
            if self.source.at(0) == b'&' {
                self.reference(events);
            } else {
                let most = self.source.left() - keep;
                self.character_data(most, events);
            }
        }
        true
    }

    /// Text up to a tag or reference, about `most` bytes of it.
    pub(super) fn character_data(&mut self, most: usize, events: &mut dyn Events) {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        let stop = self.source.left().saturating_sub(most);
        let mut any = false;
        let mut next = self.source.char();
        while !matches!(next.0, 0 | 0x3c | 0x26) {
            any = true;
            if is_content(next.0) {
                push_found(next, &mut text);
            }
            if text.len() >= PIECE {
                self.hand_on(&text, events);
                text.clear();
            }
            self.source.skip(next.1);
            next = self.source.char();
            if self.source.left() <= stop && stop > 0 {
                break;
            }
        }
        if !text.is_empty() {
            self.hand_on(&text, events);
        } else if next.0 == 0 && !any {
            self.state = State::Ended;
        }
        self.text = text;
    }

    /// Text that counts, in its place.
    fn hand_on(&mut self, text: &[u8], events: &mut dyn Events) {
        if !self.is_ignorable(text) {
            self.paragraph(events);
            events.text(text);
        }
    }

    fn is_ignorable(&self, text: &[u8]) -> bool {
        if !text.iter().all(|byte| is_blank(*byte)) {
            return false;
        }
        match self.source.at(0) {
            0 => true,
            b'<' => self.open.is_empty() || self.open.is_top(b"html") || self.open.is_top(b"head"),
            _ => false,
        }
    }

    /// A reference in text.
    fn reference(&mut self, events: &mut dyn Events) {
        if self.source.at(1) == b'#' {
            let code = self.source.character_reference();
            if let Some(found) = code {
                self.paragraph(events);
                events.text(found.encode_utf8(&mut [0; 4]).as_bytes());
            }
            return;
        }
        match self.source.entity() {
            Entity::Known(found) => {
                self.paragraph(events);
                events.text(found.encode_utf8(&mut [0; 4]).as_bytes());
            }
            Entity::Unknown(length) => {
                self.paragraph(events);
                events.text(b"&");
                if length > 0 {
                    let name = self.source.take(length);
                    events.text(&name);
                }
            }
        }
    }

    /// The content of a script or style sheet, as much of it as is here.
    pub(super) fn script(&mut self, last: bool, events: &mut dyn Events) -> bool {
        let name = self.open.top_name().to_vec();
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        let (mut got_on, mut found_end) = (false, false);
        loop {
            if !last && !self.source.is_whole_char() {
                break;
            }
            let next = self.source.char();
            if next.0 == 0 {
                break;
            }
            // The end may not be here yet.
            if !last && self.source.left() < name.len() + 2 {
                break;
            }
            let ends = next.0 == u32::from(b'<') && self.source.at(1) == b'/' && self.source.starts_with(2, &name);
            if ends {
                found_end = true;
                break;
            }
            if is_content(next.0) {
                push_found(next, &mut text);
            }
            self.source.skip(next.1);
            got_on = true;
            if text.len() >= PIECE {
                events.raw(&text);
                text.clear();
            }
        }
        if !text.is_empty() {
            events.raw(&text);
        }
        self.text = text;
        if found_end && !got_on {
            self.state = State::EndTag;
        }
        found_end || got_on
    }

    pub(super) fn comment(&mut self, events: &mut dyn Events) {
        self.source.skip(4);
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        if self.source.comment(&mut text) {
            events.comment(&text);
        }
        self.text = text;
    }

    /// `<?name ... >`: left out.
    pub(super) fn instruction(&mut self) {
        self.source.skip(2);
        if self.source.name() {
            while !matches!(self.source.char().0, 0 | 0x3e) {
                let length = self.source.char().1;
                self.source.skip(length);
            }
            if self.source.at(0) == b'>' {
                self.source.skip(1);
            }
        }
    }

    /// `<!DOCTYPE ... >`: left out.
    pub(super) fn doctype(&mut self) {
        self.source.skip(9);
        self.source.skip_blanks();
        self.source.name();
        self.source.skip_blanks();
        self.source.external_id();
        self.source.skip_blanks();
        self.source.skip_to(b'>');
        if self.source.at(0) == b'>' {
            self.source.next();
        }
    }
}

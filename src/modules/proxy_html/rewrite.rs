//! A document written anew, with other links.

use std::sync::Arc;

use super::map::{Map, Site};
use super::{HtmlDir, Strictness};
use crate::base::pattern::Captures;
use crate::codec::html::{Attribute, Element, Events};
use crate::logs::{self, Bytes, Level};

/// Output of httpd's is passed on when it does not fit in this many bytes.
const BUFFER: usize = 8000;

/// Text that is collected to look for addresses in it, at most.
const COLLECTED: usize = 16 << 20;

/// Writes what the parser finds.
pub(super) struct Rewriter {
    pub(super) conf: HtmlDir,
    pub(super) maps: Vec<Arc<Map>>,
    pub(super) of: logs::OfBody,
    strictness: Strictness,
    /// What is written and not taken.
    out: Vec<u8>,
    /// How much of it waits in httpd's buffer, and where it does not any more.
    waiting: usize,
    passed: Vec<usize>,
    /// Scripts, style sheets and comments that are looked through with the end of the element around them. A tag that
    /// begins another one drops them: httpd has one place for them and for values.
    collected: Vec<u8>,
    too_much: bool,
    groups: Captures,
}

/// What an attribute is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Link,
    Event,
    Other,
}

impl Rewriter {
    pub(super) fn new(conf: HtmlDir, maps: Vec<Arc<Map>>, of: logs::OfBody) -> Self {
        let strictness = conf.doctype.as_ref().map(|doctype| doctype.strictness).unwrap_or_default();
        let (out, passed, collected) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            conf,
            maps,
            of,
            strictness,
            out,
            waiting: 0,
            passed,
            collected,
            too_much: false,
            groups: Captures::new(),
        }
    }

    /// Writes the document type.
    pub(super) fn begin(&mut self) {
        if let Some(doctype) = self.conf.doctype.clone() {
            self.write(&doctype.text);
        }
    }

    /// Moves what was written behind `out`.
    pub(super) fn take(&mut self, out: &mut Vec<u8>, passed: &mut Vec<usize>) {
        passed.extend(self.passed.drain(..).map(|end| out.len() + end));
        out.append(&mut self.out);
    }

    /// What was written is passed on.
    pub(super) fn flush(&mut self) {
        if self.waiting > 0 {
            self.waiting = 0;
            self.passed.push(self.out.len());
        }
    }

    /// A script or style sheet is too long to be looked through.
    pub(super) fn failed(&self) -> bool {
        self.too_much
    }

    fn write(&mut self, text: &[u8]) {
        self.out.extend_from_slice(text);
        self.waiting += text.len();
        if self.waiting > BUFFER {
            self.waiting = 0;
            self.passed.push(self.out.len());
        }
    }

    /// Writes text that is not markup.
    fn write_escaped(&mut self, text: &[u8]) {
        let mut rest = text;
        while let Some(at) = rest.iter().position(|byte| b"&<>\"".contains(byte)) {
            let (plain, after) = rest.split_at(at);
            self.write(plain);
            let escaped: &[u8] = match after.first() {
                Some(b'&') => b"&amp;",
                Some(b'<') => b"&lt;",
                Some(b'>') => b"&gt;",
                _ => b"&quot;",
            };
            self.write(escaped);
            rest = after.get(1..).unwrap_or_default();
        }
        self.write(rest);
    }

    /// Looks through what was collected and writes it.
    fn write_collected(&mut self) {
        let mut text = std::mem::take(&mut self.collected);
        self.change(Site::Text, &mut text);
        self.write(&text);
        text.clear();
        self.collected = text;
    }

    fn collect(&mut self, text: &[u8]) {
        if self.collected.len() + text.len() > COLLECTED {
            self.too_much = true;
        } else {
            self.collected.extend_from_slice(text);
        }
    }

    fn change(&mut self, site: Site, text: &mut Vec<u8>) {
        for map in self.maps.iter().filter(|map| map.is_for(site)) {
            if map.change_text(site, text, &mut self.groups) {
                break;
            }
        }
    }

    /// Whether an element is left out of the document.
    fn is_left_out(&self, name: &[u8], element: Option<&Element>, told: bool) -> bool {
        let tell = |text: &str| {
            if told {
                logs::error!(&self.of, Level::Debug, "proxy_html", "{} HTML element {} dropped", text, Bytes(name));
            }
        };
        match (self.strictness, element) {
            (Strictness::None, _) => false,
            (_, None) => {
                tell("AH01416: Bogus");
                true
            }
            (Strictness::Strict, Some(element)) if element.deprecated => {
                tell("AH01417: Deprecated");
                true
            }
            _ => false,
        }
    }

    /// Whether an attribute is left out; counts those off that must be there.
    fn is_attribute_left_out(&self, element: &Element, name: &[u8], missing: &mut usize) -> bool {
        let is = |known: &&str| known.as_bytes() == name;
        if element.required.iter().any(is) {
            *missing = missing.saturating_sub(1);
            return false;
        }
        if element.optional.iter().any(|group| group.iter().any(is)) {
            return false;
        }
        let legacy = self.strictness == Strictness::Legacy && element.legacy.iter().any(is);
        let text = if legacy { "AH01419: Deprecated" } else { "AH01418: Bogus" };
        let (name, of) = (Bytes(name), element.name);
        logs::error!(&self.of, Level::Debug, "proxy_html", "{} HTML attribute {} of {} dropped", text, name, of);
        true
    }

    fn kind(&self, links: Option<&[Vec<u8>]>, name: &[u8]) -> Kind {
        if links.is_some_and(|links| links.iter().any(|link| link == name)) {
            return Kind::Link;
        }
        let events = self.conf.events.as_ref().filter(|_| self.conf.extended);
        match events.is_some_and(|events| events.iter().any(|event| event == name)) {
            true => Kind::Event,
            false => Kind::Other,
        }
    }

    fn write_attribute(&mut self, links: Option<&[Vec<u8>]>, attribute: &Attribute) {
        let Some(value) = &attribute.value else {
            self.write(b" ");
            return self.write(&attribute.name);
        };
        let mut value = value.clone();
        match self.kind(links, &attribute.name) {
            Kind::Link => {
                for map in self.maps.iter().filter(|map| map.in_links) {
                    if map.change_link(&mut value, &mut self.groups) {
                        break;
                    }
                }
            }
            Kind::Event => self.change(Site::Event, &mut value),
            Kind::Other => {}
        }
        if self.conf.fixups.lowercase {
            value.make_ascii_lowercase();
        }
        if self.conf.fixups.dospath {
            value.iter_mut().filter(|byte| **byte == b'\\').for_each(|byte| *byte = b'/');
        }
        let front = [b" ", attribute.name.as_slice(), b"=\""].concat();
        self.write(&front);
        self.write_escaped(&value);
        self.write(b"\"");
    }
}

impl Events for Rewriter {
    fn start(&mut self, name: &[u8], element: Option<&'static Element>, attributes: &[Attribute]) {
        if self.is_left_out(name, element, true) {
            return;
        }
        self.write(b"<");
        self.write(name);
        let enforced = element.filter(|_| self.strictness != Strictness::None);
        let mut missing = enforced.map_or(0, |element| element.required.len());
        let links = self.conf.links.clone();
        let links = links.as_ref().and_then(|links| links.iter().find(|(element, _)| element == name));
        let links = links.map(|(_, names)| names.as_slice());
        for attribute in attributes {
            let left_out =
                enforced.is_some_and(|element| self.is_attribute_left_out(element, &attribute.name, &mut missing));
            if !left_out {
                self.write_attribute(links, attribute);
            }
        }
        self.collected.clear();
        let empty = element.is_some_and(|element| element.empty);
        self.write(self.conf.closes.filter(|_| empty).unwrap_or(b">"));
        if missing > 0 {
            let (name, text) = (Bytes(name), "required attributes");
            logs::error!(
                &self.of,
                Level::Debug,
                "proxy_html",
                "AH01420: HTML element {name} is missing {missing} {text}"
            );
        }
    }

    fn end(&mut self, name: &[u8], element: Option<&'static Element>) {
        if self.is_left_out(name, element, false) {
            return;
        }
        if !self.collected.is_empty() {
            self.write_collected();
        }
        if !element.is_some_and(|element| element.empty) {
            let tag = [b"</", name, b">"].concat();
            self.write(&tag);
        }
    }

    fn text(&mut self, text: &[u8]) {
        self.write_escaped(text);
    }

    fn raw(&mut self, text: &[u8]) {
        match self.conf.extended {
            true => self.collect(text),
            false => self.write(text),
        }
    }

    fn comment(&mut self, text: &[u8]) {
        if self.conf.strip_comments {
            return;
        }
        for part in [b"<!--", text, b"-->"] {
            match self.conf.extended {
                true => self.collect(part),
                false => self.write(part),
            }
        }
    }
}

//! The elements that are open.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::elements::{CLOSED_BY, ELEMENTS, Element};

/// Unknown names of elements in one document, at most.
const NAMES_MOST: usize = 4096;

/// The stack of open elements. Names are numbers: first those of [`ELEMENTS`], then those met.
#[derive(Default)]
pub(super) struct Open {
    stack: Vec<u16>,
    met: Vec<Vec<u8>>,
    numbers: HashMap<Vec<u8>, u16, RandomState>,
    head: bool,
    body: bool,
}

fn known(name: &[u8]) -> Option<usize> {
    ELEMENTS.binary_search_by(|element| element.name.as_bytes().cmp(name)).ok()
}

/// End tags close open elements of a lower or their own order only.
fn order(name: &[u8]) -> u8 {
    match name {
        b"div" => 150,
        b"td" | b"th" => 160,
        b"tr" => 170,
        b"thead" | b"tbody" | b"tfoot" => 180,
        b"table" => 190,
        b"head" | b"body" => 200,
        b"html" => 220,
        _ => 100,
    }
}

impl Open {
    pub(super) fn is_empty(&self) -> bool {
        self.stack.is_empty()
    }

    pub(super) fn depth(&self) -> usize {
        self.stack.len()
    }

    fn name(&self, number: u16) -> &[u8] {
        let number = usize::from(number);
        match ELEMENTS.get(number) {
            Some(element) => element.name.as_bytes(),
            None => self.met.get(number - ELEMENTS.len()).map(Vec::as_slice).unwrap_or_default(),
        }
    }

    /// The number of a name that was met.
    fn number(&self, name: &[u8]) -> Option<u16> {
        known(name).and_then(|number| u16::try_from(number).ok()).or_else(|| self.numbers.get(name).copied())
    }

    /// Opens an element, if there may be one more.
    pub(super) fn push(&mut self, name: &[u8], deepest: usize) -> bool {
        let number = match self.number(name) {
            Some(number) => number,
            None => {
                let Ok(number) = u16::try_from(ELEMENTS.len() + self.met.len()) else { return false };
                if self.met.len() >= NAMES_MOST {
                    return false;
                }
                self.met.push(name.to_vec());
                self.numbers.insert(name.to_vec(), number);
                number
            }
        };
        self.head |= name == b"head";
        self.body |= name == b"body";
        self.stack.push(number);
        self.stack.len() <= deepest
    }

    pub(super) fn pop(&mut self) {
        self.stack.pop();
    }

    /// The name of the innermost; empty if there is none.
    pub(super) fn top_name(&self) -> &[u8] {
        self.stack.last().map(|number| self.name(*number)).unwrap_or_default()
    }

    pub(super) fn is_top(&self, name: &[u8]) -> bool {
        self.top_name() == name
    }

    /// What is known of the innermost.
    pub(super) fn top_element(&self) -> Option<&'static Element> {
        self.stack.last().and_then(|number| ELEMENTS.get(usize::from(*number)))
    }

    /// A head was opened, or what follows it.
    pub(super) fn had_head(&self) -> bool {
        self.head || self.body
    }

    pub(super) fn had_body(&self) -> bool {
        self.body
    }

    /// How many of this name are open.
    pub(super) fn count(&self, name: &[u8]) -> u32 {
        let number = self.number(name);
        let count = self.stack.iter().filter(|open| Some(**open) == number).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Whether a start tag of this name closes the innermost.
    pub(super) fn is_closed_by(&self, name: &[u8]) -> bool {
        let top = self.top_name();
        let at = CLOSED_BY.binary_search_by(|(open, _)| open.as_bytes().cmp(top));
        let closers = at.ok().and_then(|at| CLOSED_BY.get(at)).map(|(_, closers)| *closers).unwrap_or_default();
        closers.iter().any(|closer| closer.as_bytes() == name)
    }

    /// How many elements an end tag of this name closes above its own; none if it does not reach it.
    pub(super) fn above(&self, name: &[u8]) -> usize {
        let Some(number) = self.number(name) else { return 0 };
        let own = order(name);
        for (above, open) in self.stack.iter().rev().enumerate() {
            if *open == number {
                return above;
            }
            if order(self.name(*open)) > own {
                return 0;
            }
        }
        0
    }
}

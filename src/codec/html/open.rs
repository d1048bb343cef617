//! The elements that are open.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::elements::{CLOSED_BY, ELEMENTS, Element};

/// Unknown names of elements in one document, at most.
const NAMES_MOST: usize = 4096;

/// The stack of open elements. Names are numbers: first those of [`ELEMENTS`], then those met. Nothing here takes
/// longer the more are open.
#[derive(Default)]
pub(super) struct Open {
    stack: Vec<u16>,
    met: Vec<Vec<u8>>,
    numbers: HashMap<Vec<u8>, u16, RandomState>,
    /// Where in the stack those of each number are.
    places: Vec<Vec<usize>>,
    /// Where those of each order of [`ORDERS`] are.
    ordered: [Vec<usize>; ORDERS],
    head: bool,
    body: bool,
}

/// How many orders there are.
const ORDERS: usize = 8;

fn known(name: &[u8]) -> Option<usize> {
    ELEMENTS.binary_search_by(|element| element.name.as_bytes().cmp(name)).ok()
}

/// End tags close open elements of a lower or their own order only.
fn order(name: &[u8]) -> usize {
    match name {
        b"div" => 1,
        b"td" | b"th" => 2,
        b"tr" => 3,
        b"thead" | b"tbody" | b"tfoot" => 4,
        b"table" => 5,
        b"head" | b"body" => 6,
        b"html" => 7,
        _ => 0,
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
        let place = self.stack.len();
        self.stack.push(number);
        let number = usize::from(number);
        if self.places.len() <= number {
            self.places.resize(number + 1, Vec::new());
        }
        if let Some(places) = self.places.get_mut(number) {
            places.push(place);
        }
        if let Some(places) = self.ordered.get_mut(order(name)) {
            places.push(place);
        }
        self.stack.len() <= deepest
    }

    pub(super) fn pop(&mut self) {
        let Some(number) = self.stack.pop() else { return };
        let order = order(self.name(number));
        if let Some(places) = self.places.get_mut(usize::from(number)) {
            places.pop();
        }
        if let Some(places) = self.ordered.get_mut(order) {
            places.pop();
        }
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

    /// Where those of this name are.
    fn places(&self, name: &[u8]) -> &[usize] {
        let places = self.number(name).and_then(|number| self.places.get(usize::from(number)));
        places.map(Vec::as_slice).unwrap_or_default()
    }

    /// How many of this name are open.
    pub(super) fn count(&self, name: &[u8]) -> u32 {
        u32::try_from(self.places(name).len()).unwrap_or(u32::MAX)
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
        let Some(place) = self.places(name).last().copied() else { return 0 };
        let higher = self.ordered.iter().skip(order(name) + 1).filter_map(|places| places.last());
        match higher.max() {
            Some(barrier) if *barrier > place => 0,
            _ => self.stack.len() - 1 - place,
        }
    }
}

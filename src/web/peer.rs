//! The certificates that a client has brought, and what is thought of them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// What is wrong with a client's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerFault {
    /// OpenSSL's number.
    pub number: u32,
    /// OpenSSL's words.
    pub words: Rc<str>,
    /// Nobody known has signed it, and nothing else is wrong.
    pub stranger: bool,
    /// The certificate that is to blame.
    pub blamed: Rc<[u8]>,
    /// How many certificates stand above the client's.
    pub above: u32,
}

/// A client's certificates.
#[derive(Default)]
pub struct Peer {
    brought: Vec<Vec<u8>>,
    /// They were asked for on behalf of sections, and none has judged them yet.
    withheld: Cell<bool>,
    /// That was so at first.
    later: bool,
    /// What was found, by the longest chain that was allowed.
    verdicts: RefCell<Vec<(u32, Option<PeerFault>)>>,
}

/// This many verdicts are remembered on a connection.
const VERDICTS_MAX: usize = 8;

impl Peer {
    /// Certificates, the client's own first; `later`: nobody is to know of them until a section has judged them.
    pub fn new(brought: Vec<Vec<u8>>, later: bool) -> Self {
        Self { brought, withheld: Cell::new(later), later, verdicts: RefCell::default() }
    }

    /// The certificates that a request may know of.
    pub fn certs(&self) -> &[Vec<u8>] {
        if self.withheld.get() { &[] } else { &self.brought }
    }

    /// All that came, for whoever judges them.
    pub fn brought(&self) -> &[Vec<u8>] {
        &self.brought
    }

    /// Whether it is sections that ask for them.
    pub fn is_later(&self) -> bool {
        self.later
    }

    /// What is wrong with them, as the first to judge found.
    pub fn fault(&self) -> Option<PeerFault> {
        self.verdicts.borrow().first().and_then(|(_, fault)| fault.clone())
    }

    /// What is wrong with them where a chain may be that long at most; `judge` tells, once.
    pub fn judged(&self, depth: u32, judge: impl FnOnce() -> Option<PeerFault>) -> Option<PeerFault> {
        let known = self.verdicts.borrow().iter().find(|(of, _)| *of == depth).map(|(_, fault)| fault.clone());
        known.unwrap_or_else(|| {
            let fault = judge();
            let mut verdicts = self.verdicts.borrow_mut();
            if verdicts.len() < VERDICTS_MAX {
                verdicts.push((depth, fault.clone()));
            }
            fault
        })
    }

    /// Requests may know of them from now on.
    pub fn show(&self) {
        self.withheld.set(false);
    }
}

//! The name behind a client's address, as far as it was looked up.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// What is known of the name behind one address: httpd's `remote_host` and `double_rev`. Whoever looks it up is on a
/// higher floor.
#[derive(Default)]
pub struct ClientHost {
    /// None: not asked for yet; inner none: there is none.
    name: RefCell<Option<Option<Rc<[u8]>>>>,
    confirmed: Cell<Option<bool>>,
}

impl ClientHost {
    /// Whether the name was asked for.
    pub fn is_known(&self) -> bool {
        self.name.borrow().is_some()
    }

    /// The name in lower case, confirmed or not.
    pub fn name(&self) -> Option<Rc<[u8]>> {
        self.name.borrow().clone().flatten()
    }

    /// Whether the name has the address; none: not asked yet.
    pub fn confirmed(&self) -> Option<bool> {
        self.confirmed.get()
    }

    /// Keeps what the address was found to be called; none is nothing.
    pub fn set_name(&self, name: Option<Rc<[u8]>>) {
        self.name.replace(Some(name));
    }

    /// Keeps whether the name has the address.
    pub fn set_confirmed(&self, confirmed: bool) {
        self.confirmed.set(Some(confirmed));
    }
}

//! The per-directory values that hold for one request, and what they ask each phase to do.

use std::any::Any;
use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use crate::config::Slots;

/// One merged combination of sections. Made once for each combination that occurs and cached by the worker thread.
pub struct Chain {
    /// Merged per-directory values.
    pub dir: Slots,
    /// The hooks that have something to do for this combination; `pipe` makes and reads it.
    pub hooks: Box<dyn Any>,
    kept: OnceCell<Box<dyn Any>>,
    /// What was laid over [`Self::dir`] so far: one entry for each alias of a provider that was asked.
    laid: RefCell<Vec<Laid>>,
}

/// The values that hold for the request that a sub-request was made for; in the sub-request's `ext`.
#[derive(Default)]
pub struct Outer(pub Option<Rc<Chain>>);

struct Laid {
    over: Arc<Slots>,
    merged: Rc<Slots>,
}

impl Chain {
    /// A combination.
    pub fn new(dir: Slots, hooks: Box<dyn Any>) -> Self {
        Self { dir, hooks, kept: OnceCell::new(), laid: RefCell::default() }
    }

    /// What one module has made of the values, made now where it has not. `None`: it is another module's.
    pub fn kept<T: 'static>(&self, make: impl FnOnce() -> T) -> Option<&T> {
        self.kept.get_or_init(|| Box::new(make())).downcast_ref()
    }

    /// The values with those of a provider's alias laid over them; merged once.
    pub fn under(&self, over: &Arc<Slots>) -> Rc<Slots> {
        let mut laid = self.laid.borrow_mut();
        if let Some(known) = laid.iter().find(|laid| Arc::ptr_eq(&laid.over, over)) {
            return known.merged.clone();
        }
        let merged = Rc::new(Slots::merged(&self.dir, over));
        laid.push(Laid { over: over.clone(), merged: merged.clone() });
        merged
    }
}

//! The per-directory values that hold for one request, and what they ask each phase to do.

use std::any::Any;
use std::cell::OnceCell;

use crate::config::Slots;

/// One merged combination of sections. Made once for each combination that occurs and cached by the worker thread.
pub struct Chain {
    /// Merged per-directory values.
    pub dir: Slots,
    /// The hooks that have something to do for this combination; `pipe` makes and reads it.
    pub hooks: Box<dyn Any>,
    kept: OnceCell<Box<dyn Any>>,
}

impl Chain {
    /// A chain of these values and hooks.
    pub fn new(dir: Slots, hooks: Box<dyn Any>) -> Self {
        Self { dir, hooks, kept: OnceCell::new() }
    }

    /// What one module has made of the values, made now where it has not. `None`: it is another module's.
    pub fn kept<T: 'static>(&self, make: impl FnOnce() -> T) -> Option<&T> {
        self.kept.get_or_init(|| Box::new(make())).downcast_ref()
    }
}

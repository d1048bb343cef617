//! The per-directory values that hold for one request, and what they ask each phase to do.

use std::any::Any;

use crate::config::Slots;

/// One merged combination of sections. Made once for each combination that occurs and cached by the worker thread.
pub struct Chain {
    /// Merged per-directory values.
    pub dir: Slots,
    /// The hooks that have something to do for this combination; `pipe` makes and reads it.
    pub hooks: Box<dyn Any>,
}

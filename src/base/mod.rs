//! Floor 0: what every other room may use; no I/O.

pub mod addr;
pub mod clock;
pub mod diag;
pub mod fnmatch;
pub mod fold;
pub mod path;
pub mod pattern;

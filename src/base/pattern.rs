//! Patterns in the PCRE dialect.

/// A compiled pattern.
pub struct Pattern {}

//! Patterns in the PCRE dialect.

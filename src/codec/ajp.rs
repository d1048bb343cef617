//! AJP/1.3, both directions.

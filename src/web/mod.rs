//! Floor 3: one request as data.

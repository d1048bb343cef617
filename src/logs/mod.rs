//! Floor 4: log sinks.

//! Floor 7: the program.

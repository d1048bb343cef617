//! Floor 7: the program.

pub mod run;

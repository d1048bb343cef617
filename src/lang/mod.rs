//! Floor 1: the configuration language, text to tree.

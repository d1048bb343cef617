//! Floor 2: rows, merging, sections, the generation.

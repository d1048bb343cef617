//! Floor 4: phases and filters.

//! Addresses as configuration writes them.

//! Floor 4: sockets and process.

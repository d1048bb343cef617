//! Floor N2: a node of a Tomcat cluster: server.xml, connectors, contexts, sessions.

pub mod delta;
pub mod session;
pub mod store;

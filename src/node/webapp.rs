//! What an application is to a node: a handler.
//!
//! A program that embeds a node registers handlers by name and mounts them in server.xml with
//! `docBase="tandem:NAME"`. A handler is called on a thread of its connector, as a servlet is, and may block:
//!
//! ```
//! use tandem::node::exchange::Exchange;
//! use tandem::node::sessions::Value;
//! use tandem::node::webapp::Handler;
//!
//! struct Counter;
//!
//! impl Handler for Counter {
//!     fn handle(&self, exchange: &mut Exchange) {
//!         let Some(session) = exchange.session(true) else { return };
//!         // What is set here is on every node of the cluster when the response goes out, or soon after it,
//!         // as the cluster's channelSendOptions have it.
//!         let _ = session.set("who", Value::Text("me".to_owned()));
//!         exchange.response.send(200, "text/plain;charset=UTF-8", format!("{}\n", session.id()));
//!     }
//! }
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use super::exchange::Exchange;

/// Answers the requests of an application.
pub trait Handler: Send + Sync {
    /// Answers one request by filling in `exchange.response`, whose status is 200 until then. A status of 400 or more
    /// without a body gets the host's error page.
    fn handle(&self, exchange: &mut Exchange);
}

/// The handlers a program registered, by the name behind `tandem:` in a docBase.
#[derive(Clone, Default)]
pub struct Handlers(BTreeMap<String, Arc<dyn Handler>>);

impl Handlers {
    /// Registers one; a later one of the same name counts.
    pub fn add(&mut self, name: &str, handler: Arc<dyn Handler>) {
        self.0.insert(name.to_owned(), handler);
    }

    /// The one of this name.
    pub fn get(&self, name: &str) -> Option<Arc<dyn Handler>> {
        self.0.get(name).cloned()
    }
}

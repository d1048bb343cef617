//! A request out of nothing, for unit tests.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::sync::Arc;

use super::{Chain, Conn, Exchange, LineSink, Live};
use crate::config::{Generation, Server, Slots};

/// `GET /` on the first of `servers`, from 127.0.0.1:41960 to port 8080; entries and lines go to `sinks`.
pub(crate) fn exchange(servers: Vec<Server>, sinks: Vec<Arc<dyn LineSink>>) -> Exchange {
    let dir = servers.first().map(|server| server.dir.clone()).unwrap_or_default();
    let live = Live::new(Arc::new(Generation { servers, ..Generation::default() }), sinks.into());
    let conn = Conn {
        id: 1,
        local: ([127, 0, 0, 1], 8080).into(),
        peer: ([127, 0, 0, 1], 41960).into(),
        peer_ip: Box::from(&b"127.0.0.1"[..]),
        local_ip: Box::from(&b"127.0.0.1"[..]),
        default_server: Cell::new(0),
        keepalives: Cell::new(0),
        secure: false,
        aborted: Cell::new(false),
        log_id: OnceCell::new(),
    };
    let mut ex = Exchange::new(Rc::new(live), Rc::new(conn), chain(dir));
    ex.the_request = b"GET / HTTP/1.1".to_vec();
    ex.method = b"GET".to_vec();
    ex.protocol = b"HTTP/1.1".to_vec();
    ex.uri = b"/".to_vec();
    ex.unparsed_uri = b"/".to_vec();
    ex.client_ip = b"127.0.0.1".to_vec();
    ex.client_port = 41960;
    ex
}

/// Per-directory values without hooks.
pub(crate) fn chain(dir: Slots) -> Rc<Chain> {
    Rc::new(Chain { dir, hooks: Box::new(()) })
}

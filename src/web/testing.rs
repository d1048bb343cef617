//! For unit tests of any room: a client connection that is a script, and a generation made by hand.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::{BodyFault, BodyKind, Chain, Conn, Exchange, Framing, HeadOut, Live, Table, Tunnel, Wire};
use crate::config::{Generation, Globals, Server};

/// A client that has sent everything it has to say, and keeps what it is told.
#[derive(Default)]
pub struct FakeWire {
    /// The body not read yet.
    pub input: Vec<u8>,
    /// The body is chunked.
    pub chunked: bool,
    /// What reading the body ends with, once `input` is used up.
    pub fault: Option<BodyFault>,
    /// The client waits for 100.
    pub expects: bool,
    /// Everything written: heads as HTTP/1.1, body bytes as they came.
    pub output: Vec<u8>,
    /// Framing said in the head.
    pub framing: Option<Framing>,
    /// The head said that the connection goes on.
    pub keep_alive: bool,
    /// [`Wire::close`] was called.
    pub closed: bool,
    /// [`Wire::abort`] was called.
    pub aborted: bool,
    /// [`Wire::poll_finish`] was called.
    pub finished: bool,
    /// The last [`Wire::set_timeout`].
    pub timeout: Option<Duration>,
    /// Request trailers.
    pub trailers: Option<Table>,
    /// The end of the body was seen.
    pub done: bool,
    /// Bytes of `input` that were made available.
    pub shown: usize,
}

impl FakeWire {
    /// Everything written, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }

    /// The first line written.
    pub fn status_line(&self) -> String {
        self.text().lines().next().unwrap_or_default().to_owned()
    }

    /// What was written behind the first empty line.
    pub fn body_text(&self) -> String {
        self.text().split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
    }

    /// The value of a response field.
    pub fn field(&self, name: &str) -> Option<String> {
        let text = self.text();
        let head = text.split("\r\n\r\n").next().unwrap_or_default();
        let mut fields = head.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    }

    /// Names of the response fields in order.
    pub fn field_names(&self) -> Vec<String> {
        let text = self.text();
        let head = text.split("\r\n\r\n").next().unwrap_or_default();
        head.lines().skip(1).filter_map(|line| line.split_once(':')).map(|(name, _)| name.to_owned()).collect()
    }
}

impl Wire for FakeWire {
    fn body_kind(&self) -> BodyKind {
        match (self.chunked, self.input.len() as u64) {
            (true, _) => BodyKind::Stream,
            (false, 0) if self.fault.is_none() => BodyKind::None,
            (false, length) => BodyKind::Length(length),
        }
    }

    fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = Some(timeout);
    }

    fn poll_fill(&mut self, _: &mut Context<'_>) -> Poll<Result<usize, BodyFault>> {
        self.expects = false;
        if self.shown == 0 {
            self.shown = self.input.len();
        }
        Poll::Ready(match (self.shown, self.fault) {
            (0, Some(fault)) => Err(fault),
            (0, None) => {
                self.done = true;
                Ok(0)
            }
            (shown, _) => Ok(shown),
        })
    }

    fn body(&self) -> &[u8] {
        &self.input[..self.shown]
    }

    fn chunk_ends(&self) -> bool {
        self.chunked
    }

    fn consume(&mut self, n: usize) {
        self.input.drain(..n);
        self.shown -= n;
        self.done = self.input.is_empty() && self.fault.is_none();
    }

    fn body_done(&self) -> bool {
        self.done || (self.input.is_empty() && self.fault.is_none())
    }

    fn expects_continue(&self) -> bool {
        self.expects
    }

    fn continue_now(&mut self, send: bool) {
        self.expects = false;
        if send {
            self.output.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
    }

    fn trailers(&self) -> Option<&Table> {
        self.trailers.as_ref()
    }

    fn interim(&mut self, status: u16, reason: &[u8], fields: &Table) {
        put_head(&mut self.output, status, reason, fields);
    }

    fn head(&mut self, head: &HeadOut<'_>) {
        self.framing = Some(head.framing);
        self.keep_alive = head.keep_alive;
        if !head.omit {
            put_head(&mut self.output, head.status, head.reason, head.fields);
        }
    }

    fn poll_data(&mut self, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.output.extend_from_slice(data);
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.finished = true;
        Poll::Ready(Ok(()))
    }

    fn abort(&mut self) {
        self.aborted = true;
    }

    fn close(&mut self) {
        self.closed = true;
    }

    fn counts(&self) -> (u64, u64) {
        (0, self.output.len() as u64)
    }

    fn tunnel(&mut self) -> Option<&mut dyn Tunnel> {
        None
    }
}

fn put_head(out: &mut Vec<u8>, status: u16, reason: &[u8], fields: &Table) {
    out.extend_from_slice(format!("HTTP/1.1 {status} ").as_bytes());
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
    for (name, value) in fields.iter() {
        for part in [name, b": ", value, b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// One thread's view of a generation of these servers; the modules with these identifiers are loaded.
pub fn live(servers: Vec<Server>, modules: &[&'static str]) -> Rc<Live> {
    let globals = Globals { modules: modules.to_vec(), ..Globals::default() };
    Rc::new(Live::new(Arc::new(Generation::new(servers, globals, 1)), Arc::new([])))
}

/// A connection from 127.0.0.1:4000 to 127.0.0.1:80.
pub fn conn(live: &Live) -> Rc<Conn> {
    let local = ([127, 0, 0, 1], 80).into();
    Rc::new(Conn::new(1, local, ([127, 0, 0, 1], 4000).into(), &live.generation))
}

/// A request whose head was read: `head` is the request line and the fields, with `\n` for line ends. Without a chain
/// of sections: the values of the connection's default server, and no hooks.
pub fn exchange(live: &Rc<Live>, head: &str) -> Exchange {
    let conn = conn(live);
    let dir = live.generation.servers[conn.default_server.get()].dir.clone();
    exchange_with(live, conn, Rc::new(Chain::new(dir, Box::new(()))), head)
}

/// As [`exchange`], with this chain.
pub fn exchange_with(live: &Rc<Live>, conn: Rc<Conn>, chain: Rc<Chain>, head: &str) -> Exchange {
    let mut ex = Exchange::new(live.clone(), conn, chain);
    read_head(&mut ex, head);
    ex
}

/// Fills in a head as the front does.
pub fn read_head(ex: &mut Exchange, head: &str) {
    let mut lines = head.lines();
    let line = lines.next().unwrap_or_default();
    let mut words = line.split(' ');
    let mut word = || words.next().unwrap_or_default().as_bytes().to_vec();
    ex.the_request = line.as_bytes().to_vec();
    (ex.method, ex.unparsed_uri, ex.protocol) = (word(), word(), word());
    ex.proto_num = match &ex.protocol[..] {
        b"HTTP/1.1" => 1001,
        b"HTTP/1.0" => 1000,
        _ => 9,
    };
    ex.assbackwards = ex.proto_num == 9;
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        ex.headers_in.add(name.as_bytes(), value.as_bytes());
    }
    ex.client_ip = ex.conn.peer_ip.to_vec();
    ex.client_port = ex.conn.peer.port();
    ex.started_micros = 1_700_000_000_000_000;
}

/// Runs a future that never has to wait.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the future waits for something"),
    }
}

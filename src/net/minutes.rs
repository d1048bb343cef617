//! What there is to say of a check that rustls has made amid a handshake, where nobody knows whose it is.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

/// How much an entry of the log weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// `error`.
    Error,
    /// `info`.
    Info,
    /// `debug`.
    Debug,
}

/// What stands in front of an entry.
#[derive(Debug)]
pub enum Cause {
    /// The system's error.
    Io(io::Error),
    /// Time has run out.
    Late,
    /// A name is unknown.
    NoName,
}

/// An entry of the log to be.
#[derive(Debug)]
pub struct Line {
    /// Its weight.
    pub weight: Weight,
    /// Whether it names the client; entries about what a responder has said do not.
    pub of_client: bool,
    /// What stands in front.
    pub cause: Option<Cause>,
    /// The text.
    pub text: String,
}

impl Line {
    /// One about a client, with no cause.
    pub fn new(weight: Weight, text: String) -> Self {
        Self { weight, of_client: true, cause: None, text }
    }

    /// One that names no client.
    pub fn anonymous(text: String) -> Self {
        Self { weight: Weight::Error, of_client: false, cause: None, text }
    }
}

tokio::task_local! {
    static OPEN: Rc<RefCell<Vec<Line>>>;
}

/// Runs something, and gives what was said in it.
pub fn keep<T>(run: impl FnOnce() -> T) -> (T, Vec<Line>) {
    let lines = Rc::default();
    let done = OPEN.sync_scope(Rc::clone(&lines), run);
    (done, lines.take())
}

/// Says something to whoever keeps the minutes, if anybody does.
pub fn say(line: Line) {
    let _ = OPEN.try_with(|lines| lines.borrow_mut().push(line));
}

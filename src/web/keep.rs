//! Responses that are kept for later requests, and bodies that were.

use std::future::Future;
use std::io;
use std::pin::Pin;

use super::exchange::Exchange;

/// A body that lies somewhere and is read piece by piece.
pub trait Stored {
    /// Its length in bytes.
    fn length(&self) -> u64;

    /// Puts bytes from this place on into `into`, at least one unless the body ends there.
    fn read<'a>(&'a mut self, at: u64, into: &'a mut Vec<u8>) -> Pin<Box<dyn Future<Output = io::Result<()>> + 'a>>;
}

/// What becomes of a response.
pub enum Verdict {
    /// It goes to the client and is not kept.
    Pass,
    /// It is kept on its way to the client.
    Keep,
    /// Another response is in the exchange now, with this body if it has one; what the handler sends is dropped.
    Replace(Option<Box<dyn Stored>>),
    /// It is dropped, and the request begins again.
    Retry,
}

/// What a keeper does for a while.
pub type Keeping<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Keeps a response for later requests: it sees the response as it leaves for the client, behind all filters and
/// changes of fields. Dropped without [`Keeper::end`], it keeps nothing.
pub trait Keeper {
    /// The fields stand and are not on their way: asked once.
    fn decide(&mut self, ex: &mut Exchange) -> Verdict;

    /// A page of our own is about to be sent for the status in the exchange: asked once, in place of
    /// [`Keeper::decide`].
    fn fault(&mut self, ex: &mut Exchange) -> Verdict;

    /// Takes some of a body that is kept; says whether [`Keeper::work`] is due.
    fn data(&mut self, bytes: &[u8]) -> bool;

    /// Makes room for more.
    fn work<'a>(&'a mut self, ex: &'a mut Exchange) -> Keeping<'a>;

    /// The response is complete and its end not on its way; or, with `left`, another request takes its place.
    fn end<'a>(&'a mut self, ex: &'a mut Exchange, left: bool) -> Keeping<'a>;
}

/// How much of a stored response goes through the phases on its way out again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// It is a new one.
    #[default]
    Handler,
    /// Its fields were changed when it was stored.
    Store,
    /// A status in place of a stored response: only what is set always is set.
    Status,
}

/// One piece of a response: text of our own, then bytes of the body (start and count).
pub struct Piece {
    /// What stands in front of the bytes.
    pub head: Vec<u8>,
    /// Where the bytes start in the body.
    pub start: u64,
    /// How many there are.
    pub count: u64,
}

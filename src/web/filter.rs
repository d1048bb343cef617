//! Transformations of the response body.

use std::future::Future;
use std::pin::Pin;

use super::exchange::Exchange;
use super::table::Table;

/// Changes the response body on its way out.
pub trait BodyFilter {
    /// Takes some body, pushes what is ready to `out`.
    fn data(&mut self, input: &[u8], out: &mut Vec<u8>);
    /// Pushes all that can be pushed: the handler has nothing more for now.
    fn flush(&mut self, out: &mut Vec<u8>);
    /// The body has ended; what there is to note of it is noted.
    fn end(&mut self, out: &mut Vec<u8>, notes: &mut Table);
    /// Says where in what it pushed last httpd passes on before it has more: the length of such a body is not known,
    /// and each stretch is a chunk. Positions rise; the end of what was pushed may be one.
    fn stretches(&mut self, _: &mut Vec<usize>) {}
    /// The response cannot go on: what has come cannot be taken.
    fn failed(&self) -> bool {
        false
    }
    /// What it took has to be waited for: [`Self::work`] is called until this says no, and what it pushes goes on its
    /// way in between.
    fn waits(&self) -> bool {
        false
    }
    /// Goes on for the response's request, until there is something to pass on or nothing left to do.
    fn work<'a>(&'a mut self, _: &'a mut Exchange, _: &'a mut Vec<u8>) -> Pin<Box<dyn Future<Output = ()> + 'a>> {
        Box::pin(std::future::ready(()))
    }
}

/// Stands for a filter while it works.
pub(crate) struct Absent;

impl BodyFilter for Absent {
    fn data(&mut self, _: &[u8], _: &mut Vec<u8>) {}
    fn flush(&mut self, _: &mut Vec<u8>) {}
    fn end(&mut self, _: &mut Vec<u8>, _: &mut Table) {}
}

/// Decides, when the response's fields are known and its head is not out, whether the filter has anything to do, and
/// makes the head say so. `length` is the body's length, if it is known.
pub type Start = fn(&mut Exchange, which: usize, length: Option<u64>) -> Option<Box<dyn BodyFilter>>;

/// A filter that the response is to pass.
#[derive(Clone, Copy)]
pub struct Planned {
    /// Filters of lower rank come first (httpd's filter types).
    pub rank: i16,
    /// Handed to `start`.
    pub which: usize,
    /// Starts it.
    pub start: Start,
}

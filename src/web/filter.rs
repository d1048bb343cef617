//! Transformations of bodies.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::exchange::Exchange;
use super::table::Table;
use super::wire::BodyFault;

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
    /// The body is as long as it was.
    fn keeps_length(&self) -> bool {
        false
    }
    /// The response cannot go on: what has come cannot be taken.
    fn failed(&self) -> bool {
        false
    }
    /// What becomes of a response of which nothing was sent yet when this filter fails.
    fn refusal(&self) -> Refusal {
        Refusal::Cut
    }
    /// It has passed nothing on yet and may still change the head: a flush does not send it.
    fn holds_back(&self) -> bool {
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

/// What a response becomes that a filter does not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing: the connection ends.
    Cut,
    /// A page about a 500; how long it is, is not said.
    Page,
    /// The same, with its length.
    Measured,
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

/// Changes the request's body on its way in.
pub trait InputFilter {
    /// Goes on: looks at `input` (behind which nothing comes, if `last`), pushes to `out` what is ready, a bounded
    /// piece at a time, and says how much of `input` is done with. Ready with nothing taken and nothing pushed is the
    /// wish for more input; pending, it waits for something else. It is asked until it says that it has ended.
    ///
    /// # Errors
    /// The body is not one that it can take; it is not asked again.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        input: &[u8],
        last: bool,
        out: &mut Vec<u8>,
    ) -> Poll<Result<Progress, BodyFault>>;

    /// Makes `fields` of the request say what its body is behind the filter; may be asked twice.
    fn settle(&mut self, _fields: &mut Table) {}
}

/// How far an [`InputFilter`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of its input that it is done with.
    pub taken: usize,
    /// Nothing comes of it any more.
    pub ended: bool,
}

/// Decides whether an input filter has anything to do for a request with a body.
pub type StartInput = fn(&mut Exchange, which: usize) -> Option<Box<dyn InputFilter>>;

/// A filter that the request's body is to pass.
#[derive(Clone, Copy)]
pub struct PlannedInput {
    /// Filters of lower rank are nearer to the handler (httpd's filter types).
    pub rank: i16,
    /// Handed to `start`.
    pub which: usize,
    /// Starts it.
    pub start: StartInput,
    /// The environment of programs is to be set before.
    pub environment: bool,
}

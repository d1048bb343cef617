//! Request bodies that are set aside (httpd's kept_body): read once, and there again for the request itself or for those
//! that are made on its behalf.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::codec::http1::write::push_decimal;
use crate::web::{BodyFault, Exchange, InputFilter, PlannedInput, Progress, Table};

/// In [`Exchange::ext`]: the body, as far as it was read.
#[derive(Clone, Default)]
pub struct Aside(Option<Rc<RefCell<Vec<u8>>>>);

/// So much of a body is handed on at once.
const PIECE: usize = 65_536;

/// Next to the handler: what other filters made of the body.
const RANK: i16 = 0;

/// Whether the body of this request is to be kept, or is one that was.
pub fn is_kept(ex: &Exchange) -> bool {
    ex.ext.get::<Aside>().is_some_and(|aside| aside.0.is_some())
}

/// What was kept.
pub(super) fn kept(ex: &Exchange) -> Option<Vec<u8>> {
    let aside = ex.ext.get::<Aside>()?.0.as_ref()?;
    Some(aside.borrow().clone())
}

/// A request on behalf of `ex` has its body, and asks as it did.
pub(super) fn inherit(ex: &Exchange, sub: &mut Exchange) {
    let Some(aside) = ex.ext.get::<Aside>().filter(|aside| aside.0.is_some()) else { return };
    if ex.method == b"POST" {
        sub.method.clone_from(&ex.method);
    }
    measure(aside.0.as_ref().map_or(0, |body| body.borrow().len()), &mut sub.headers_in);
    *sub.ext.get_mut::<Aside>() = aside.clone();
}

fn measure(length: usize, fields: &mut Table) {
    let mut text = Vec::new();
    push_decimal(&mut text, length as u64);
    fields.set(b"Content-Length", &text);
    fields.unset(b"Transfer-Encoding");
}

/// Keeps what the handler reads, up to `limit` bytes; more is 413.
pub fn keep(ex: &mut Exchange, limit: u64) {
    if kept(ex).is_some_and(|body| !body.is_empty()) {
        return;
    }
    ex.ext.get_mut::<Aside>().0 = Some(Rc::default());
    let which = usize::try_from(limit).unwrap_or(usize::MAX);
    ex.plan_input(PlannedInput { rank: RANK, which, start: start_keeping, environment: false });
}

fn start_keeping(ex: &mut Exchange, limit: usize) -> Option<Box<dyn InputFilter>> {
    let body = ex.ext.get::<Aside>()?.0.clone()?;
    Some(Box::new(Keeping { body, limit }))
}

struct Keeping {
    body: Rc<RefCell<Vec<u8>>>,
    limit: usize,
}

impl InputFilter for Keeping {
    fn poll(
        &mut self,
        _: &mut Context<'_>,
        input: &[u8],
        last: bool,
        out: &mut Vec<u8>,
    ) -> Poll<Result<Progress, BodyFault>> {
        let mut body = self.body.borrow_mut();
        if input.len() > self.limit.saturating_sub(body.len()) {
            return Poll::Ready(Err(BodyFault::TooLarge));
        }
        body.extend_from_slice(input);
        out.extend_from_slice(input);
        Poll::Ready(Ok(Progress { taken: input.len(), ended: last }))
    }
}

/// Whoever reads the body from here on gets `body` in its place.
pub fn replay(ex: &mut Exchange, body: Vec<u8>) {
    measure(body.len(), &mut ex.headers_in);
    ex.ext.get_mut::<Aside>().0 = Some(Rc::new(RefCell::new(body)));
    ex.plan_input(PlannedInput { rank: RANK, which: 0, start: start_replaying, environment: false });
}

fn start_replaying(ex: &mut Exchange, _: usize) -> Option<Box<dyn InputFilter>> {
    Some(Box::new(Replaying { body: kept(ex)?, at: 0 }))
}

struct Replaying {
    body: Vec<u8>,
    at: usize,
}

impl InputFilter for Replaying {
    fn poll(
        &mut self,
        _: &mut Context<'_>,
        input: &[u8],
        _: bool,
        out: &mut Vec<u8>,
    ) -> Poll<Result<Progress, BodyFault>> {
        let rest = self.body.get(self.at..).unwrap_or_default();
        let piece = rest.get(..rest.len().min(PIECE)).unwrap_or_default();
        out.extend_from_slice(piece);
        self.at += piece.len();
        Poll::Ready(Ok(Progress { taken: input.len(), ended: self.at >= self.body.len() }))
    }

    fn settle(&mut self, fields: &mut Table) {
        measure(self.body.len(), fields);
    }
}

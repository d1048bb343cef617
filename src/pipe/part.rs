//! Responses that become part of another one (httpd's ap_run_sub_req): nobody sees their head.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::{Boxed, Outcome, lookup, respond, run};
use crate::web::{BodyFault, BodyKind, Exchange, HeadOut, Table, Tunnel, Wire};

/// Bytes that are kept until they are taken over: a response that has more waits.
const ROOM: usize = 65_536;

/// So often a part may lead to another one.
const MOST: usize = 10;

/// What a part leaves behind.
#[derive(Default)]
struct Shared {
    body: Vec<u8>,
    /// Its environment at its end.
    env: Option<Table>,
}

/// A response on its way into another one.
pub struct Part {
    shared: Rc<RefCell<Shared>>,
    run: Pin<Box<dyn Future<Output = u16>>>,
}

impl Part {
    /// The response of a request that was looked up; its environment is kept if `keeps` says so at its end.
    pub fn new(sub: Exchange, keeps: fn(&Exchange) -> bool) -> Self {
        let shared = Rc::new(RefCell::new(Shared::default()));
        let body = super::aside::kept(&sub).filter(|body| !body.is_empty());
        let mut wire = Inside { shared: shared.clone(), body, at: 0 };
        let run = Box::pin(async move {
            let mut sub = sub;
            let status = respond_to(&mut sub, &mut wire).await;
            if keeps(&sub) {
                wire.shared.borrow_mut().env = Some(sub.env);
            }
            status
        });
        Self { shared, run }
    }

    /// Moves what there is of its body behind `out`. Its status once it is complete, 200 if it went well; nothing if
    /// more of it will come.
    pub async fn take(&mut self, out: &mut Vec<u8>) -> Option<u16> {
        let (shared, run) = (&self.shared, &mut self.run);
        let status = std::future::poll_fn(|cx| match run.as_mut().poll(cx) {
            Poll::Ready(status) => Poll::Ready(Some(status)),
            Poll::Pending if shared.borrow().body.len() >= ROOM => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await;
        out.append(&mut self.shared.borrow_mut().body);
        status
    }

    /// The environment that it had at its end, if that is kept.
    pub fn env(self) -> Option<Table> {
        self.shared.borrow_mut().env.take()
    }
}

async fn respond_to(sub: &mut Exchange, wire: &mut Inside) -> u16 {
    for _ in 0..MOST {
        match run::handle::<Boxed>(sub, wire).await {
            Outcome::Status(status) => return status,
            // It has no body of its own to log in with.
            Outcome::Body => return 401,
            Outcome::Redirect => {
                let target = std::mem::take(&mut sub.internal_redirect);
                let next = lookup(sub, &target).await;
                if next.status != 200 {
                    return next.status;
                }
                *sub = next;
            }
            Outcome::Ok | Outcome::Done | Outcome::Declined => {
                // Whoever takes it over has no end.
                let _ = respond::finish(sub, wire).await;
                return 200;
            }
        }
    }
    500
}

/// What such a response is written to.
struct Inside {
    shared: Rc<RefCell<Shared>>,
    /// The request's body, where that of the request around it was kept, and how much of it was read.
    body: Option<Vec<u8>>,
    at: usize,
}

impl Wire for Inside {
    fn body_kind(&self) -> BodyKind {
        self.body.as_ref().map_or(BodyKind::None, |body| BodyKind::Length(body.len() as u64))
    }

    fn set_timeout(&mut self, _: Duration) {}

    fn poll_fill(&mut self, _: &mut Context<'_>) -> Poll<Result<usize, BodyFault>> {
        Poll::Ready(Ok(self.body().len()))
    }

    fn body(&self) -> &[u8] {
        self.body.as_deref().and_then(|body| body.get(self.at..)).unwrap_or_default()
    }

    fn consume(&mut self, n: usize) {
        self.at += n;
    }

    fn body_done(&self) -> bool {
        self.body().is_empty()
    }

    fn expects_continue(&self) -> bool {
        false
    }

    fn continue_now(&mut self, _: bool) {}

    fn trailers(&self) -> Option<&Table> {
        None
    }

    fn interim(&mut self, _: u16, _: &[u8], _: &Table) {}

    fn head(&mut self, _: &HeadOut<'_>) {}

    fn poll_data(&mut self, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let mut shared = self.shared.borrow_mut();
        let room = ROOM.saturating_sub(shared.body.len()).min(data.len());
        if room == 0 && !data.is_empty() {
            // Whoever takes it over asks again, unasked.
            return Poll::Pending;
        }
        shared.body.extend_from_slice(data.get(..room).unwrap_or_default());
        Poll::Ready(Ok(room))
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn abort(&mut self) {}

    fn close(&mut self) {}

    fn counts(&self) -> (u64, u64) {
        (0, 0)
    }

    fn tunnel(&mut self) -> Option<&mut dyn Tunnel> {
        None
    }
}

//! The request's body behind filters.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::{Boxed, Waiting, cgi, run};
use crate::web::{BodyFault, BodyKind, Exchange, HeadOut, InputFilter, Table, Tunnel, Wire};

/// Asks the handlers with the filters that were asked for in front of the body. Boxed: hardly any request has such.
pub(super) fn handle<'a>(ex: &'a mut Exchange, wire: &'a mut dyn Wire) -> Waiting<'a> {
    Box::pin(async move {
        // The one next to the client has to be first: it gets the body as it comes.
        if ex.planned_inputs.iter().any(|planned| planned.environment) {
            cgi::add_common(ex);
            cgi::add_cgi(ex).await;
        }
        let mut stages = Vec::new();
        for planned in std::mem::take(&mut ex.planned_inputs).into_iter().rev() {
            stages.extend((planned.start)(ex, planned.which).map(Stage::new));
        }
        if stages.is_empty() {
            return run::ask_handlers::<Boxed>(ex, wire).await;
        }
        let mut filtered = Filtered { kind: wire.body_kind(), wire, stages, begun: false, fault: None };
        let outcome = run::ask_handlers::<Boxed>(ex, &mut filtered).await;
        if filtered.fault.is_some() {
            // What is left of it cannot be told from the next request.
            ex.close = true;
        }
        filtered.settle(&mut ex.headers_in);
        outcome
    })
}

/// One filter, and what it made that nobody has taken yet.
struct Stage {
    filter: Box<dyn InputFilter>,
    out: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Stage {
    fn new(filter: Box<dyn InputFilter>) -> Self {
        Self { filter, out: Vec::new(), at: 0, ended: false }
    }

    fn ready(&self) -> &[u8] {
        self.out.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, n: usize) {
        self.at = (self.at + n).min(self.out.len());
    }
}

/// The client's connection with filters between it and the handler.
struct Filtered<'a> {
    wire: &'a mut dyn Wire,
    kind: BodyKind,
    /// That next to the client first; never empty.
    stages: Vec<Stage>,
    /// The handler has asked for some body.
    begun: bool,
    fault: Option<BodyFault>,
}

/// Works until the last of `stages` has something, or has ended.
fn advance(stages: &mut [Stage], wire: &mut dyn Wire, cx: &mut Context<'_>) -> Poll<Result<(), BodyFault>> {
    let Some((stage, before)) = stages.split_last_mut() else { return Poll::Ready(Ok(())) };
    loop {
        if stage.ended || !stage.ready().is_empty() {
            return Poll::Ready(Ok(()));
        }
        // Nothing may come of a filter for now, but it may still have something of what it has taken.
        let mut over = wire.body_done();
        let dry = match before.last() {
            None if wire.body().is_empty() && !over => match wire.poll_fill(cx)? {
                Poll::Pending => true,
                Poll::Ready(n) => {
                    over = n == 0;
                    false
                }
            },
            None => false,
            Some(source) => source.ready().is_empty() && !source.ended && advance(before, &mut *wire, cx)?.is_pending(),
        };
        let (input, last) = match before.last() {
            None => (wire.body(), over),
            Some(source) => (source.ready(), source.ended),
        };
        stage.out.clear();
        stage.at = 0;
        let (given, progress) = (input.len(), ready!(stage.filter.poll(cx, input, last, &mut stage.out))?);
        debug_assert!(progress.taken <= given, "more was taken than given");
        match before.last_mut() {
            None => wire.consume(progress.taken),
            Some(source) => source.take(progress.taken),
        }
        stage.ended = progress.ended;
        let idle = progress.taken == 0 && stage.out.is_empty() && !stage.ended;
        if idle && dry {
            return Poll::Pending;
        }
        if idle && (given > 0 || last) {
            debug_assert!(false, "a filter does nothing with what it has");
            return Poll::Ready(Err(BodyFault::Malformed));
        }
    }
}

impl Filtered<'_> {
    fn source(&self) -> Option<&Stage> {
        self.stages.last()
    }
}

impl Wire for Filtered<'_> {
    fn body_kind(&self) -> BodyKind {
        self.kind
    }

    fn is_filtered(&self) -> bool {
        true
    }

    fn settle(&mut self, fields: &mut Table) {
        if self.begun {
            self.stages.iter_mut().for_each(|stage| stage.filter.settle(fields));
        }
    }

    fn set_timeout(&mut self, timeout: Duration) {
        self.wire.set_timeout(timeout);
    }

    fn set_limit(&mut self, limit: u64) {
        self.wire.set_limit(limit);
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, BodyFault>> {
        self.begun = true;
        if let Some(fault) = self.fault {
            return Poll::Ready(Err(fault));
        }
        if let Err(fault) = ready!(advance(&mut self.stages, &mut *self.wire, cx)) {
            self.fault = Some(fault);
            return Poll::Ready(Err(fault));
        }
        Poll::Ready(Ok(self.body().len()))
    }

    fn body(&self) -> &[u8] {
        self.source().map(Stage::ready).unwrap_or_default()
    }

    fn consume(&mut self, n: usize) {
        if let Some(stage) = self.stages.last_mut() {
            stage.take(n);
        }
    }

    fn body_done(&self) -> bool {
        self.source().is_some_and(|stage| stage.ended && stage.ready().is_empty())
    }

    fn expects_continue(&self) -> bool {
        self.wire.expects_continue()
    }

    fn continue_now(&mut self, send: bool) {
        self.wire.continue_now(send);
    }

    fn trailers(&self) -> Option<&Table> {
        self.wire.trailers()
    }

    fn interim(&mut self, status: u16, reason: &[u8], fields: &Table) {
        self.wire.interim(status, reason, fields);
    }

    fn head(&mut self, head: &HeadOut<'_>) {
        self.wire.head(head);
    }

    fn poll_data(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.wire.poll_data(cx, data)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.poll_flush(cx)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.poll_finish(cx)
    }

    fn abort(&mut self) {
        self.wire.abort();
    }

    fn close(&mut self) {
        self.wire.close();
    }

    fn counts(&self) -> (u64, u64) {
        self.wire.counts()
    }

    fn tunnel(&mut self) -> Option<&mut dyn Tunnel> {
        self.wire.tunnel()
    }
}

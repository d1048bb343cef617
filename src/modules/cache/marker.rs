//! The place of the cache among the filters: `SetOutputFilter CACHE;DEFLATE`, where the quick handler is off. What is
//! kept is what comes out of the filters in front of it.

use std::future::Future;
use std::pin::Pin;

use super::conf::CacheServer;
use crate::logs::{self, Bytes, Level};
use crate::pipe;
use crate::web::{BodyFilter, Exchange, Keeper, Table};

/// Tells the marker from other filters that were asked for.
pub const MARK: usize = usize::MAX;

/// Behind these filters (httpd's AP_FTYPE_CONTENT_SET) is where the cache stands unless it is told otherwise.
const CONTENT_SET: i16 = 20;

/// Leaves of the filters that were asked for only those behind the cache: the stored body has passed the others.
pub fn keep_behind(ex: &mut Exchange) {
    match ex.planned.iter().position(|planned| planned.which == MARK) {
        Some(at) => {
            ex.planned.drain(..=at);
        }
        None => ex.planned.retain(|planned| planned.rank > CONTENT_SET),
    }
}

/// `CACHE`.
pub fn start(ex: &mut Exchange, _: usize, _: Option<u64>) -> Option<Box<dyn BodyFilter>> {
    let uri = Bytes(&ex.unparsed_uri);
    if ex.server().get::<CacheServer>().is_none_or(CacheServer::is_quick) {
        let text = "AH00776: cache: CACHE filter was added in quick handler mode and will be ignored:";
        logs::error!(ex, Level::Warn, "cache", "{} {}", text, uri);
        return None;
    }
    if ex.response.keeper.is_none() {
        let text = "AH00777: cache: CACHE filter was added twice, or was added where the cache has been bypassed and \
                    will be ignored:";
        logs::error!(ex, Level::Debug, "cache", "{} {}", text, uri);
        return None;
    }
    let keeper = pipe::decide_early(ex)?;
    Some(Box::new(Place { keeper, due: false, ended: false }))
}

/// `CACHE_OUT` by name: there is nothing to be sent.
pub fn start_out(ex: &mut Exchange, _: usize, _: Option<u64>) -> Option<Box<dyn BodyFilter>> {
    let text = "AH00762: CACHE/CACHE_OUT filter enabled while caching is disabled, ignoring";
    logs::error!(ex, Level::Error, "cache", "{}", text);
    None
}

/// `CACHE_SAVE` by name: nobody said where to keep anything.
pub fn start_save(ex: &mut Exchange, _: usize, _: Option<u64>) -> Option<Box<dyn BodyFilter>> {
    let text = "AH00767: CACHE/CACHE_SAVE filter enabled while caching is disabled, ignoring";
    logs::error!(ex, Level::Error, "cache", "{}", text);
    None
}

/// Keeps what passes.
struct Place {
    keeper: Box<dyn Keeper>,
    due: bool,
    ended: bool,
}

impl BodyFilter for Place {
    fn data(&mut self, input: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(input);
        self.due = self.keeper.data(input);
    }

    fn flush(&mut self, _: &mut Vec<u8>) {}

    fn end(&mut self, _: &mut Vec<u8>, _: &mut Table) {
        self.due = true;
        self.ended = true;
    }

    fn keeps_length(&self) -> bool {
        true
    }

    fn waits(&self) -> bool {
        self.due
    }

    fn work<'a>(&'a mut self, ex: &'a mut Exchange, _: &'a mut Vec<u8>) -> Pin<Box<dyn Future<Output = ()> + 'a>> {
        Box::pin(async move {
            self.due = false;
            if self.ended {
                self.keeper.end(ex, false).await;
            } else {
                self.keeper.work(ex).await;
            }
        })
    }
}

//! Floor 4: the phases of a request in httpd's hook order, the response on its way out, errors, internal redirects.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::config::{ModuleRow, Server, Slots};
use crate::web::{Exchange, Wire};

mod access_file;
mod allow;
pub mod aside;
pub mod authn;
pub mod authz;
mod body;
pub mod cgi;
mod chain;
pub mod conditions;
mod errors;
mod head;
mod hooks;
mod host;
mod input;
mod kept;
mod lookup;
pub mod media;
pub mod names;
mod page;
pub mod part;
pub mod parts;
mod respond;
mod run;
pub mod script;
pub mod tls;
pub mod validators;
mod vars;
mod walk;

pub use allow::{allow, push_allow};
pub use body::whole_body;
pub use chain::{idle_chain, install, install_for};
pub use errors::{body_fault, push_signature};
pub use head::{decide_early, has_token, head, head_of_short};
pub use host::target_path;
pub use lookup::{fast_redirect, lookup, lookup_file};
pub use page::page;
pub use respond::{abort, data, drain, fill, finish, flush, interim, send, stored, text};
pub use run::{log, note_auth_failure, plan_only, refuse, run, run_with};
pub use tls::ssl_var;
pub use vars::{expand, holds, vary};

/// Phases in the order they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Head read, server chosen; server-level values only.
    PostRead,
    /// The request may be answered without any further phase, from what was kept (httpd's quick_handler): only
    /// server-level values hold, and nobody is asked whether it may pass.
    Quick,
    /// Before the URI is decoded for mapping (`ProxyPass mapping=`); after the first Location walk.
    PreTranslate,
    /// URI to file name (or `proxy:`).
    Translate,
    /// Directory, Files or Proxy walk.
    MapToStorage,
    /// After all sections are merged, main request only.
    HeaderParser,
    /// Access by address and the like (httpd's access_checker): all hooks run, Ok and Declined let pass.
    Access,
    /// May the request pass whoever asks (httpd's access_checker_ex)? Ok: yes, nobody is asked who they are, and
    /// [`Phase::Authn`] and [`Phase::Authz`] are left out. Declined: only with a user, so those two run. With
    /// `Satisfy Any` ([`Exchange::satisfy_any`], set by [`Phase::Access`]) a pass of Access is enough, and otherwise
    /// this and the following decide alone; a request that passes Authn without a user while one is needed is
    /// httpd's AH00027 and 500.
    AccessEx,
    /// Who is it.
    Authn,
    /// May they.
    Authz,
    /// Authz said 401: all hooks run and put their challenge into the answer.
    Challenge,
    /// Content type, handler.
    TypeChecker,
    /// Last changes.
    Fixups,
    /// Response filters are chosen.
    InsertFilter,
    /// Makes the response.
    Handler,
    /// The response head is about to be sent: last changes of its fields.
    Head,
    /// The response is complete.
    Log,
}

impl Phase {
    /// How many there are.
    pub const COUNT: usize = Self::Log as usize + 1;
}

/// What a hook says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Not mine; the next hook is asked.
    Declined,
    /// Done with this phase (where a phase runs all hooks: next hook).
    Ok,
    /// The response is complete, skip to logging.
    Done,
    /// Answer with this status (error page, redirect).
    Status(u16),
    /// Read the body into [`KeptBody`] and ask again, from [`Phase::Access`] on. Only in [`Phase::Authn`], of a main
    /// request.
    Body,
    /// Begin again as a request for [`Exchange::internal_redirect`] (path and query, still encoded).
    Redirect,
}

/// A hook that has to wait.
pub type Waiting<'a> = Pin<Box<dyn Future<Output = Outcome> + 'a>>;

/// The answer of a hook that has nothing to wait for; costs no memory.
pub fn declined<'a>() -> Waiting<'a> {
    struct Nothing;
    impl Future for Nothing {
        type Output = Outcome;

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Outcome> {
            Poll::Ready(Outcome::Declined)
        }
    }
    Box::pin(Nothing)
}

/// A function with the connection in hand.
pub type Handle = for<'a> fn(&'a mut Exchange, &'a mut dyn Wire) -> Waiting<'a>;

/// How the handler of [`Run::Inline`] is run. A driver that knows it by its type holds its future in its own, where
/// [`Handle`] takes memory for each request.
pub trait Inline {
    /// Runs it; `run` is the same handler for who does not know it.
    fn handle(run: Handle, ex: &mut Exchange, wire: &mut dyn Wire) -> impl Future<Output = Outcome>;
}

/// Takes memory for each request.
pub struct Boxed;

impl Inline for Boxed {
    async fn handle(run: Handle, ex: &mut Exchange, wire: &mut dyn Wire) -> Outcome {
        run(ex, wire).await
    }
}

/// Left in [`Exchange::ext`] by a hook that says [`Outcome::Done`] in front of the handlers: what writes the response.
#[derive(Default)]
pub struct Answer(pub Option<Handle>);

/// Left in [`Exchange::ext`]: how much of the body a hook that says [`Outcome::Body`] wants, and what was read.
#[derive(Default)]
pub struct KeptBody {
    /// The most that is read, in bytes; more is 413.
    pub limit: usize,
    /// The whole body.
    pub read: Option<Result<Vec<u8>, Outcome>>,
}

/// What a hook runs.
#[derive(Clone, Copy)]
pub enum Run {
    /// Without waiting.
    Now(fn(&mut Exchange) -> Outcome),
    /// May wait; only where something must be waited for.
    Wait(for<'a> fn(&'a mut Exchange) -> Waiting<'a>),
    /// A handler: may wait, reads the body and writes the response.
    Handle(Handle),
    /// The handler of most requests: the driver may know it by its type, see [`Inline`].
    Inline(Handle),
}

/// One module's part in one phase.
#[derive(Clone, Copy)]
pub struct Hook {
    /// When.
    pub phase: Phase,
    /// Order inside the phase; lower runs first: FIRST -10, MIDDLE 0, LAST 10, REALLY_LAST 20, and between.
    pub order: i16,
    /// Whether there is anything to do for requests of this server with these merged per-directory values.
    /// Asked once when a chain is made, never on the request path.
    pub wants: fn(&Server, &Slots) -> bool,
    /// What to do.
    pub run: Run,
}

/// One httpd module: its rows and its hooks.
pub struct Module {
    /// Name, directives, checks.
    pub row: ModuleRow,
    /// Its parts in the phases.
    pub hooks: &'static [Hook],
}

#[cfg(test)]
mod tests;

//! What `pipe` remembers of a response on its way out.

use std::rc::Rc;
use std::time::Duration;

use super::chain::Chain;
use super::keep::{Keeper, Origin, Piece, Stored};
use super::table::Table;
use super::wire::Framing;

/// A little of a response at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Bytes that go out at once.
    pub chunk: usize,
    /// How many more go out the next time.
    pub burst: usize,
    /// How long the next ones wait.
    pub every: Duration,
}

/// State of the response; belongs to `pipe`, others leave it alone.
pub struct Response {
    /// How the body is framed, once the head is out.
    pub framing: Framing,
    /// Body bytes are dropped (HEAD, 204, 304).
    pub no_body: bool,
    /// Bytes of a body of known length that are still to come.
    pub left: u64,
    /// The response is the server's own page in place of a handler's (httpd's ap_die): of the response fields only
    /// those that are always sent count.
    pub canned: bool,
    /// The status whose ErrorDocument is being looked for; 0 = none.
    pub first_error: u16,
    /// The page that a module has for a status, in place of its ErrorDocument.
    pub own_page: Option<(u16, Vec<u8>)>,
    /// The request's body could not be read: the answer has no length and the connection ends behind it.
    pub broken_body: bool,
    /// The answer's page is sent without its length.
    pub unmeasured: bool,
    /// The body is made anew: nothing that the client has of it counts, and nobody asks for ranges of it.
    pub renewed: bool,
    /// The page that goes out in place of what the handler sends, because its fields cannot be sent.
    pub replaced: bool,
    /// The request that this one was made from, whose permission holds while the chain is the same.
    pub prior: Option<Prior>,
    /// Only ranges of the body are sent: said in the head behind the changes of modules, where httpd's filter says it.
    pub range: Option<Range>,
    /// Who may keep the response.
    pub keeper: Option<Box<dyn Keeper>>,
    /// The keeper keeps it.
    pub keeps: bool,
    /// The keeper has decided.
    pub decided: bool,
    /// The fields stand: modules and the keeper have had their say.
    pub settled: bool,
    /// The body that is sent in place of the handler's, and what of it.
    pub instead: Option<(Box<dyn Stored>, Vec<Piece>)>,
    /// Nothing of it is sent: the request begins again.
    pub retry: bool,
    /// Whether it was stored before.
    pub origin: Origin,
    /// The head waits until a filter lets the first byte of the body through: then it is known how that is framed.
    pub waiting: bool,
    /// How fast it may go out.
    pub pace: Option<Pace>,
    /// The head's fields as sent.
    pub fields: Table,
    /// Buffers of heads and pages.
    pub buffers: [Vec<u8>; 2],
    /// Body behind the filters for which the head waits.
    pub held: Vec<u8>,
    /// Where in the body behind the filters that is not written yet a stretch ends (see `BodyFilter::stretches`).
    pub stretches: Vec<usize>,
    /// Buffers of body filters.
    pub filtered: [Vec<u8>; 2],
}

/// What a head says of ranges.
pub enum Range {
    /// `Content-Range` of the only one.
    One(Vec<u8>),
    /// Content type of several.
    Several(Vec<u8>),
}

impl Default for Response {
    fn default() -> Self {
        Self {
            framing: Framing::None,
            no_body: false,
            left: 0,
            canned: false,
            first_error: 0,
            own_page: None,
            broken_body: false,
            unmeasured: false,
            renewed: false,
            replaced: false,
            prior: None,
            range: None,
            keeper: None,
            keeps: false,
            decided: false,
            settled: false,
            instead: None,
            retry: false,
            origin: Origin::Handler,
            waiting: false,
            pace: None,
            fields: Table::default(),
            buffers: [Vec::new(), Vec::new()],
            held: Vec::new(),
            stretches: Vec::new(),
            filtered: [Vec::new(), Vec::new()],
        }
    }
}

impl Response {
    /// As new; memory is kept.
    pub fn reset(&mut self) {
        self.framing = Framing::None;
        self.no_body = false;
        self.left = 0;
        self.canned = false;
        self.first_error = 0;
        self.own_page = None;
        self.broken_body = false;
        self.unmeasured = false;
        self.renewed = false;
        self.replaced = false;
        self.prior = None;
        self.range = None;
        self.forget_keeper();
        self.settled = false;
        self.retry = false;
        self.origin = Origin::Handler;
        self.waiting = false;
        self.pace = None;
        self.held.clear();
        self.stretches.clear();
        self.fields.clear();
        self.buffers.iter_mut().for_each(Vec::clear);
    }

    /// Nobody keeps it.
    pub fn forget_keeper(&mut self) {
        self.keeper = None;
        self.keeps = false;
        self.instead = None;
        self.decided = false;
    }
}

/// Who passed where, in the request before an internal redirect or around a subrequest.
pub struct Prior {
    /// Its chain.
    pub chain: Rc<Chain>,
    /// Its user.
    pub user: Option<Vec<u8>>,
    /// How the user was authenticated.
    pub auth_type: Option<&'static str>,
}

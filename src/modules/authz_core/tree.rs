//! What must hold for a request: requirements joined by `all`, `any` and `not`.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use crate::config::Slots;
use crate::logs::{self, Level};
use crate::pipe::authz::{Limit, Need, Verdict};
use crate::web::Exchange;

/// How a container joins its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logic {
    /// None may fail and one must pass.
    All,
    /// One must pass.
    Any,
}

/// One walk over a tree. Requirements that ask others end it: it is made again with what they said.
pub struct Walk<'a> {
    /// The request's per-directory values.
    pub dir: &'a Slots,
    /// What such requirements have said, in their order.
    pub told: &'a [Verdict],
    /// Entries of the log that earlier walks wrote.
    pub written: Cell<usize>,
    asked: Cell<usize>,
    entries: Cell<usize>,
    /// Who is to be asked before the next one.
    pub waits: RefCell<Option<Arc<dyn Need>>>,
}

impl<'a> Walk<'a> {
    /// Over values of the request, with what is known and so many entries in the log.
    pub fn new(dir: &'a Slots, told: &'a [Verdict], written: usize) -> Self {
        Self {
            dir,
            told,
            written: Cell::new(written),
            asked: Cell::new(0),
            entries: Cell::new(0),
            waits: RefCell::new(None),
        }
    }

    fn check(&self, need: &Arc<dyn Need>, ex: &Exchange) -> Verdict {
        if need.acts().is_none() {
            return need.check(ex, self.dir);
        }
        let nth = self.asked.replace(self.asked.get() + 1);
        self.told.get(nth).copied().unwrap_or_else(|| {
            self.waits.replace(Some(need.clone()));
            Verdict::Error
        })
    }

    /// Whether the next entry of the log is a new one.
    fn writes(&self) -> bool {
        if self.waits.borrow().is_some() {
            return false;
        }
        self.entries.set(self.entries.get() + 1);
        let new = self.entries.get() > self.written.get();
        if new {
            self.written.set(self.entries.get());
        }
        new
    }
}

/// A requirement, or a container of some.
#[derive(Clone)]
pub struct Node {
    kind: Kind,
    negate: bool,
    limit: Limit,
}

#[derive(Clone)]
enum Kind {
    Provider { need: Arc<dyn Need>, shown: Arc<str> },
    Container { logic: Logic, parts: Vec<Arc<Node>> },
}

impl Node {
    /// `Require`; `shown` is provider and words for the log.
    pub fn provider(need: Arc<dyn Need>, shown: Arc<str>, negate: bool, limit: Limit) -> Self {
        Self { kind: Kind::Provider { need, shown }, negate, limit }
    }

    /// An empty container.
    pub fn container(logic: Logic, negate: bool, limit: Limit) -> Self {
        Self { kind: Kind::Container { logic, parts: Vec::new() }, negate, limit }
    }

    /// Two scopes joined.
    pub fn both(logic: Logic, outer: Arc<Self>, inner: Arc<Self>) -> Self {
        Self { kind: Kind::Container { logic, parts: vec![outer, inner] }, negate: false, limit: Limit::default() }
    }

    /// Adds a part to a container.
    pub fn push(&mut self, node: Self) {
        if let Kind::Container { parts, .. } = &mut self.kind {
            parts.push(Arc::new(node));
        }
    }

    fn parts(&self) -> &[Arc<Self>] {
        match &self.kind {
            Kind::Container { parts, .. } => parts,
            Kind::Provider { .. } => &[],
        }
    }

    /// A container without parts.
    pub fn is_empty(&self) -> bool {
        matches!(&self.kind, Kind::Container { parts, .. } if parts.is_empty())
    }

    /// `not`, or `<RequireNone>`.
    pub fn is_negated(&self) -> bool {
        self.negate
    }

    /// How the parts are joined.
    pub fn logic(&self) -> Logic {
        match &self.kind {
            Kind::Container { logic, .. } => *logic,
            Kind::Provider { .. } => Logic::Any,
        }
    }

    /// The container's directive.
    pub fn name(&self) -> &'static str {
        match (self.logic(), self.negate) {
            (Logic::All, _) => "<RequireAll>",
            (Logic::Any, false) => "<RequireAny>",
            (Logic::Any, true) => "<RequireNone>",
        }
    }

    /// The first container of which all parts are negative, so that nobody ever passes it.
    pub fn only_negative(&self) -> Option<&'static str> {
        let parts = self.parts();
        if !parts.is_empty() && self.logic() == Logic::All && parts.iter().all(|part| part.negate) {
            return Some(self.name());
        }
        parts.iter().find_map(|part| part.only_negative())
    }

    /// Every requirement below.
    pub fn needs<'a>(&'a self, each: &mut dyn FnMut(&'a dyn Need)) {
        match &self.kind {
            Kind::Provider { need, .. } => each(&**need),
            Kind::Container { parts, .. } => parts.iter().for_each(|part| part.needs(each)),
        }
    }

    /// Whether names have to be looked up first.
    pub fn looks_up(&self) -> bool {
        let mut found = false;
        self.needs(&mut |need| found |= need.looks_up());
        found
    }

    /// Whether others are asked.
    pub fn acts(&self) -> bool {
        let mut found = false;
        self.needs(&mut |need| found |= need.acts().is_some());
        found
    }

    fn holds_for(&self, method: &[u8]) -> bool {
        match &self.kind {
            Kind::Provider { .. } => self.limit.holds(method),
            // A container holds for the methods of its parts.
            Kind::Container { parts, .. } => {
                self.limit.holds(method) && parts.iter().any(|part| part.holds_for(method))
            }
        }
    }

    /// What this says of the request, as part of a container that joins by `outer`.
    pub fn evaluate(&self, ex: &Exchange, walk: &Walk<'_>, outer: Logic) -> Verdict {
        if !self.holds_for(&ex.method) {
            return if outer == Logic::All { Verdict::Granted } else { Verdict::Neutral };
        }
        let verdict = match &self.kind {
            Kind::Provider { need, .. } => walk.check(need, ex),
            Kind::Container { logic, parts } => joined(*logic, parts, ex, walk),
        };
        let verdict = verdict_of(verdict, self.negate);
        let fails = verdict == Verdict::Error && matches!(self.kind, Kind::Container { .. });
        if fails || !walk.writes() {
            return verdict;
        }
        let not = if self.negate { "not " } else { "" };
        match &self.kind {
            Kind::Provider { shown, .. } => logs::error!(
                ex,
                Level::Debug,
                "authz_core",
                "AH01626: authorization result of Require {not}{shown}: {}",
                verdict.text()
            ),
            Kind::Container { .. } => logs::error!(
                ex,
                Level::Debug,
                "authz_core",
                "AH01626: authorization result of {}: {}",
                self.name(),
                verdict.text()
            ),
        }
        verdict
    }
}

/// What is not forbidden is not allowed for that reason: a "not" never lets in.
fn verdict_of(verdict: Verdict, negate: bool) -> Verdict {
    match verdict {
        Verdict::Granted if negate => Verdict::Denied,
        Verdict::Denied | Verdict::DeniedNoUser if negate => Verdict::Neutral,
        other => other,
    }
}

fn joined(logic: Logic, parts: &[Arc<Node>], ex: &Exchange, walk: &Walk<'_>) -> Verdict {
    // What ends the walk, and what a user could still change.
    let decisive = if logic == Logic::All { Verdict::Denied } else { Verdict::Granted };
    let mut sum = Verdict::Neutral;
    for part in parts {
        let verdict = part.evaluate(ex, walk, logic);
        match verdict {
            Verdict::Error => return Verdict::Error,
            Verdict::Neutral => {}
            _ if verdict == decisive => return verdict,
            Verdict::DeniedNoUser => sum = Verdict::DeniedNoUser,
            _ if sum == Verdict::Neutral => sum = verdict,
            _ => {}
        }
    }
    sum
}

//! What must hold for a request: requirements joined by `all`, `any` and `not`.

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
    pub fn evaluate(&self, ex: &Exchange, dir: &Slots, outer: Logic) -> Verdict {
        if !self.holds_for(&ex.method) {
            return if outer == Logic::All { Verdict::Granted } else { Verdict::Neutral };
        }
        let mut verdict = match &self.kind {
            Kind::Provider { need, .. } => need.check(ex, dir),
            Kind::Container { logic, parts } => joined(*logic, parts, ex, dir),
        };
        if self.negate {
            // What is not forbidden is not allowed for that reason: a "not" never lets in.
            verdict = match verdict {
                Verdict::Granted => Verdict::Denied,
                Verdict::Denied | Verdict::DeniedNoUser => Verdict::Neutral,
                other => other,
            };
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

fn joined(logic: Logic, parts: &[Arc<Node>], ex: &Exchange, dir: &Slots) -> Verdict {
    // What ends the walk, and what a user could still change.
    let decisive = if logic == Logic::All { Verdict::Denied } else { Verdict::Granted };
    let mut sum = Verdict::Neutral;
    for part in parts {
        let verdict = part.evaluate(ex, dir, logic);
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

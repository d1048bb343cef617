//! What may stand behind `Require`: a requirement as modules make it, and the methods for which one holds.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::config::{Cmd, Slots, get_word};
use crate::expr::{Scratch, Template};
use crate::logs::{self, Level};
use crate::web::Exchange;

/// What a requirement says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Let in.
    Granted,
    /// Not let in.
    Denied,
    /// Not without a user.
    DeniedNoUser,
    /// Nothing either way.
    Neutral,
    /// The question could not be answered: 500.
    Error,
}

impl Verdict {
    /// For the debug log.
    pub fn text(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Denied => "denied",
            Self::DeniedNoUser => "denied (no authenticated user yet)",
            Self::Neutral | Self::Error => "neutral",
        }
    }
}

/// A requirement, ready to be asked.
pub trait Need: Send + Sync {
    /// Does it hold? `dir` are the request's per-directory values, under an alias with the alias's own laid over them.
    fn check(&self, ex: &Exchange, dir: &Slots) -> Verdict;

    /// Who is asked in place of [`Self::check`], where the question is one for another program.
    fn acts(&self) -> Option<&dyn Acts> {
        None
    }

    /// The same under an alias, where the name matters.
    fn called(&self, _alias: &[u8]) -> Option<Arc<dyn Need>> {
        None
    }

    /// Whether [`Self::names`] or the client's name must be known before.
    fn looks_up(&self) -> bool {
        false
    }

    /// Host names whose addresses must be known before; none when it is the client's own name that is asked for.
    fn names(&self, _ex: &Exchange) -> Vec<String> {
        Vec::new()
    }
}

/// A verdict on its way.
pub type Weighing<'a> = Pin<Box<dyn Future<Output = Verdict> + 'a>>;

/// A requirement that asks others, whose answer may change the request.
pub trait Acts {
    /// Does it hold?
    fn weigh<'a>(&'a self, ex: &'a mut Exchange) -> Weighing<'a>;
}

/// Reads the words of a requirement; the error is httpd's text.
pub type Parse = fn(&Cmd<'_>, &[u8]) -> Result<Arc<dyn Need>, String>;

/// The methods for which a rule holds: those of the enclosing `<Limit>` or `<LimitExcept>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limit(Option<(Vec<Vec<u8>>, bool)>);

impl Limit {
    /// Those of the section around the directive. HEAD counts as GET.
    pub fn of(cmd: &Cmd<'_>) -> Self {
        Self(cmd.limited.cloned())
    }

    /// Whether it holds for this method.
    pub fn holds(&self, method: &[u8]) -> bool {
        let method = if method == b"HEAD" { b"GET" } else { method };
        match &self.0 {
            None => true,
            Some((methods, except)) => methods.iter().any(|named| named == method) != *except,
        }
    }
}

/// The words of a requirement's text.
pub fn words(mut text: &[u8]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    while !text.is_empty() {
        let (word, rest) = get_word(text);
        if word.is_empty() && rest.len() == text.len() {
            break;
        }
        out.push(word);
        text = rest;
    }
    out
}

/// Words that may have `%{…}` in them; those that have none are cut when they are read.
pub enum Text {
    /// The same for every request.
    Words(Vec<Vec<u8>>),
    /// Made and cut for each request.
    Made(Arc<Template>),
}

impl Text {
    /// Reads the text behind the requirement's name.
    pub fn parse(cmd: &Cmd<'_>, text: &[u8]) -> Result<Self, String> {
        let made = cmd.template(text).map_err(|why| format!("Cannot parse expression in require line: {why}"))?;
        Ok(match made.constant() {
            Some(text) => Self::Words(words(text)),
            None => Self::Made(made),
        })
    }

    /// Its words for this request.
    pub fn words(&self, ex: &Exchange) -> Cow<'_, [Vec<u8>]> {
        let template = match self {
            Self::Words(words) => return Cow::Borrowed(words),
            Self::Made(template) => template,
        };
        let mut out = Vec::new();
        match template.eval(ex, &mut Scratch::default(), &mut out) {
            Ok(()) => Cow::Owned(words(&out)),
            Err(error) => {
                let text = "AH02592: authz: Failed to evaluate require expression:";
                logs::error!(ex, Level::Error, "authz_core", "{text} {error}");
                Cow::Borrowed(&[])
            }
        }
    }
}

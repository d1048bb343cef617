//! Floor 1: ap_expr, the expressions of `<If>`, `Require expr`, `Header ... expr=` and many more.
//!
//! Text to tokens ([`token`]), tokens to a tree ([`parse`]), names resolved on the way by the
//! tables of [`vars`]; then evaluation ([`eval`]) against anything that is [`Vars`].  Conditions
//! are [`Expr`], texts with `%{..}` in them are [`Template`].  The grammar is `grammar/expr.ebnf`.

mod eval;
mod parse;
mod token;
mod vars;

pub use eval::Scratch;
pub use vars::{EvalError, FileTest, Lookup, Source, Var, Vars, variable};

/// What an expression may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `SSL_*` variables and `%{SSL:..}` exist (mod_ssl is loaded).
    pub ssl: bool,
    /// `hc(..)` exists: in the conditions of mod_proxy_hcheck, about the answer to a check.
    pub health: bool,
    /// Words compare as `SSLRequire` has it: shorter is less, also with `eq` and the like.
    pub by_length: bool,
    /// In a document that is filled in: its variables are `v(..)`, and files are not told of.
    pub document: bool,
    /// What patterns are compiled with besides their own flags.
    pub flags: crate::base::pattern::Flags,
}

/// Why an expression cannot be read, in httpd's words; the directive puts its own in front
/// (`Cannot parse condition clause: `).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", String::from_utf8_lossy(.message))]
pub struct ParseError {
    /// May hold any byte of the expression.
    pub message: Vec<u8>,
}

/// A condition.
#[derive(Debug)]
pub struct Expr(parse::Cond);

impl Expr {
    /// Reads a condition.
    pub fn parse(text: &[u8], options: Options) -> Result<Self, ParseError> {
        parse::condition(text, options).map(Self)
    }

    /// Is it true?  Groups of earlier expressions are forgotten first; those of this one can be
    /// asked from `scratch` afterwards.
    pub fn eval<V: Vars + ?Sized>(&self, vars: &V, scratch: &mut Scratch) -> Result<bool, EvalError> {
        scratch.forget();
        eval::Run { vars, scratch, depth: 0 }.cond(&self.0)
    }
}

/// A text with `%{..}` and `$n` in it.
#[derive(Debug)]
pub struct Template(parse::Word);

impl Template {
    /// Reads a text.
    pub fn parse(text: &[u8], options: Options) -> Result<Self, ParseError> {
        parse::template(text, options).map(Self)
    }

    /// Appends the value.  `$n` are the groups of the last match in `scratch`, so forget those
    /// first ([`Self::eval`]) unless the text belongs to the expression that matched.
    pub fn eval_after<V: Vars + ?Sized>(
        &self,
        vars: &V,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<(), EvalError> {
        eval::Run { vars, scratch, depth: 0 }.word(&self.0, out)
    }

    /// Appends the value, without groups.
    pub fn eval<V: Vars + ?Sized>(&self, vars: &V, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<(), EvalError> {
        scratch.forget();
        self.eval_after(vars, scratch, out)
    }

    /// The text, if it is the same for every request.
    pub fn constant(&self) -> Option<&[u8]> {
        match &self.0 {
            parse::Word::Text(text) => Some(text),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;

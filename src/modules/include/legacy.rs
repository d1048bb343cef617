//! Conditions of documents as httpd 2.2 read them (`SSILegacyExprParser`): texts, compared with each other or with
//! patterns, joined by `&&` and `||`, which bind alike and to the right.

use super::text::expand;
use crate::base::pattern::{Captures, Flags, Pattern};
use crate::config::latin1;
use crate::logs::{self, Bytes, Level};
use crate::pipe;
use crate::web::{Exchange, Table};

/// Whether a condition holds; `None` for one that is none, which is logged.
pub(super) async fn truth(ex: &mut Exchange, text: &[u8], flags: Flags) -> Option<bool> {
    let tree = match parse(text) {
        Ok(tree) => tree,
        Err(wrong) => {
            wrong.log(ex, text);
            return None;
        }
    };
    let Some(tree) = tree else { return Some(false) };
    // Both sides of what joins them are always asked.
    let mut targets = Vec::new();
    tree.targets(&ex.env, &mut targets);
    let mut reachable = Vec::new();
    for target in targets {
        reachable.push(pipe::lookup(ex, &target).await.status == 200);
    }
    let mut state = State { flags, reachable: reachable.into_iter() };
    Some(tree.holds(ex, &mut state))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compare {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Text(Vec<u8>),
    Pattern(Vec<u8>),
    And,
    Or,
    Not,
    Compare(Compare),
    Open,
    Close,
    Access,
}

#[derive(Debug, PartialEq, Eq)]
enum Node {
    Text(Vec<u8>),
    /// The second is a pattern if the mark says so.
    Compare(Compare, Vec<u8>, Vec<u8>, bool),
    Access(Vec<u8>),
    Not(Option<Box<Self>>),
    Group(Option<Box<Self>>),
    Join(bool, Box<Self>, Box<Self>),
}

/// What is wrong with a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Order,
    Operand,
    Side,
    Unopened,
    Unclosed,
    NoTarget,
}

impl Wrong {
    fn log(self, ex: &Exchange, text: &[u8]) {
        let (number, what, more) = match self {
            Self::Order => ("AH03188", "Invalid expression", ""),
            Self::Operand => ("AH01333", "Invalid expression", ""),
            Self::Side => ("AH01332", "Invalid expression", ""),
            Self::Unopened => ("AH03189", "Unmatched ')' in", ""),
            Self::Unclosed => ("AH03191", "Unmatched '(' in", ""),
            Self::NoTarget => ("AH01335", "Invalid expression", ": Token '-A' must be followed by a URI string."),
        };
        let (text, file) = (Bytes(text), Bytes(&ex.filename));
        logs::error!(ex, Level::Error, "include", "{number}: {what} \"{text}\" in file {file}{more}");
    }
}

/// Takes a condition apart.
fn tokens(text: &[u8]) -> Vec<Token> {
    let mut found: Vec<Token> = Vec::new();
    let mut rest = text.trim_ascii_start();
    while let [first, after @ ..] = rest {
        let next = after.first();
        let (token, used) = match (first, next) {
            (b'(', _) => (Token::Open, 1),
            (b')', _) => (Token::Close, 1),
            (b'=', Some(b'=')) => (Token::Compare(Compare::Equal), 2),
            (b'=', _) => (Token::Compare(Compare::Equal), 1),
            (b'!', Some(b'=')) => (Token::Compare(Compare::Unequal), 2),
            (b'!', _) => (Token::Not, 1),
            (b'<', Some(b'=')) => (Token::Compare(Compare::LessOrEqual), 2),
            (b'<', _) => (Token::Compare(Compare::Less), 1),
            (b'>', Some(b'=')) => (Token::Compare(Compare::GreaterOrEqual), 2),
            (b'>', _) => (Token::Compare(Compare::Greater), 1),
            (b'&', Some(b'&')) => (Token::And, 2),
            (b'|', Some(b'|')) => (Token::Or, 2),
            (b'-', Some(b'A')) if after.get(1).is_none_or(u8::is_ascii_whitespace) => (Token::Access, 2),
            (b'\'', _) => {
                let (text, used) = enclosed(after, b'\'');
                (Token::Text(text), used + 1)
            }
            (b'/', _) if found.last() != Some(&Token::Access) => {
                let (text, used) = enclosed(after, b'/');
                (Token::Pattern(text), used + 1)
            }
            _ => {
                let (text, used) = word(rest);
                (Token::Text(text), used)
            }
        };
        // Texts side by side are one, with a blank between them.
        let joined = match (&token, found.last_mut()) {
            (Token::Text(more), Some(Token::Text(before))) => {
                before.push(b' ');
                before.extend_from_slice(more);
                true
            }
            _ => false,
        };
        if !joined {
            found.push(token);
        }
        rest = rest.get(used..).unwrap_or_default().trim_ascii_start();
    }
    found
}

/// Up to the closing mark; nothing if there is none. A backslash goes, what it stands in front of stays.
fn enclosed(text: &[u8], close: u8) -> (Vec<u8>, usize) {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        if *byte == close {
            return (out, at + 1);
        }
        at += keep(text.get(at..).unwrap_or_default(), &mut out);
    }
    (Vec::new(), text.len())
}

/// Up to what cannot be part of a word.
fn word(text: &[u8]) -> (Vec<u8>, usize) {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let doubled = matches!(byte, b'&' | b'|') && text.get(at + 1) == Some(byte);
        if doubled || byte.is_ascii_whitespace() || b"()=!<>".contains(byte) {
            break;
        }
        at += keep(text.get(at..).unwrap_or_default(), &mut out);
    }
    (out, at)
}

/// Moves one character; how much of the text that is.
fn keep(text: &[u8], out: &mut Vec<u8>) -> usize {
    match text {
        // The dollar is taken for what it is when variables are put in.
        [b'\\', b'$', ..] => {
            out.extend_from_slice(b"\\$");
            2
        }
        [b'\\', byte, ..] => {
            out.push(*byte);
            2
        }
        [byte, ..] => {
            out.push(*byte);
            1
        }
        [] => 1,
    }
}

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    depth: usize,
}

/// Parentheses and negations inside each other, no more.
const DEPTH: usize = 100;

fn parse(text: &[u8]) -> Result<Option<Node>, Wrong> {
    let mut parser = Parser { tokens: tokens(text).into_iter().peekable(), depth: 0 };
    if parser.tokens.peek().is_none() {
        return Ok(None);
    }
    let tree = parser.joined()?;
    match parser.tokens.next() {
        None => Ok(Some(tree)),
        Some(Token::Close) => Err(Wrong::Unopened),
        Some(_) => Err(Wrong::Order),
    }
}

impl Parser {
    fn joined(&mut self) -> Result<Node, Wrong> {
        let left = self.unit()?;
        let and = match self.tokens.peek() {
            Some(Token::And) => true,
            Some(Token::Or) => false,
            _ => return Ok(left),
        };
        self.tokens.next();
        if self.tokens.peek().is_none() {
            return Err(Wrong::Side);
        }
        Ok(Node::Join(and, Box::new(left), self.nested(Self::joined)?))
    }

    fn nested(&mut self, inner: impl FnOnce(&mut Self) -> Result<Node, Wrong>) -> Result<Box<Node>, Wrong> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Wrong::Order);
        }
        let node = inner(self)?;
        self.depth -= 1;
        Ok(Box::new(node))
    }

    fn unit(&mut self) -> Result<Node, Wrong> {
        match self.tokens.next() {
            Some(Token::Not) => match self.tokens.peek() {
                None => Ok(Node::Not(None)),
                Some(_) => Ok(Node::Not(Some(self.nested(Self::operand)?))),
            },
            Some(Token::Open) => self.group(),
            Some(Token::Access) => match self.tokens.next() {
                Some(Token::Text(target)) => Ok(Node::Access(target)),
                _ => Err(Wrong::NoTarget),
            },
            Some(Token::Text(text)) => self.compared(text),
            _ => Err(Wrong::Order),
        }
    }

    /// What a negation is of: it binds more tightly than a comparison, which then has no text on its left.
    fn operand(&mut self) -> Result<Node, Wrong> {
        match self.tokens.peek() {
            Some(Token::Text(_)) => match self.tokens.next() {
                Some(Token::Text(text)) => Ok(Node::Text(text)),
                _ => Err(Wrong::Order),
            },
            _ => self.unit(),
        }
    }

    fn group(&mut self) -> Result<Node, Wrong> {
        let inner = match self.tokens.peek() {
            None => return Err(Wrong::Unclosed),
            Some(Token::Close) => None,
            Some(_) => Some(self.nested(Self::joined)?),
        };
        match self.tokens.next() {
            Some(Token::Close) => Ok(Node::Group(inner)),
            None => Err(Wrong::Unclosed),
            Some(_) => Err(Wrong::Order),
        }
    }

    fn compared(&mut self, left: Vec<u8>) -> Result<Node, Wrong> {
        let Some(Token::Compare(how)) = self.tokens.peek() else { return Ok(Node::Text(left)) };
        let how = *how;
        self.tokens.next();
        match self.tokens.next() {
            Some(Token::Text(right)) => Ok(Node::Compare(how, left, right, false)),
            Some(Token::Pattern(right)) if matches!(how, Compare::Equal | Compare::Unequal) => {
                Ok(Node::Compare(how, left, right, true))
            }
            None | Some(Token::Not | Token::Open | Token::Access) => Err(Wrong::Operand),
            Some(_) => Err(Wrong::Order),
        }
    }
}

struct State {
    flags: Flags,
    reachable: std::vec::IntoIter<bool>,
}

impl Node {
    /// The paths that are asked for, in order.
    fn targets(&self, vars: &Table, out: &mut Vec<Vec<u8>>) {
        match self {
            Self::Access(target) => out.push(expand(target, vars)),
            Self::Not(inner) | Self::Group(inner) => {
                if let Some(inner) = inner {
                    inner.targets(vars, out);
                }
            }
            Self::Join(_, left, right) => {
                left.targets(vars, out);
                right.targets(vars, out);
            }
            Self::Text(_) | Self::Compare(..) => {}
        }
    }

    fn holds(&self, ex: &mut Exchange, state: &mut State) -> bool {
        match self {
            Self::Text(text) => !expand(text, &ex.env).is_empty(),
            Self::Access(_) => state.reachable.next().unwrap_or(false),
            Self::Not(inner) => inner.as_ref().is_some_and(|inner| !inner.holds(ex, state)),
            Self::Group(inner) => inner.as_ref().is_none_or(|inner| inner.holds(ex, state)),
            Self::Join(and, left, right) => {
                let (left, right) = (left.holds(ex, state), right.holds(ex, state));
                if *and { left && right } else { left || right }
            }
            Self::Compare(how, left, right, pattern) => {
                let (left, right) = (expand(left, &ex.env), expand(right, &ex.env));
                if *pattern {
                    return matches(ex, &left, &right, state.flags) == (*how == Compare::Equal);
                }
                match how {
                    Compare::Equal => left == right,
                    Compare::Unequal => left != right,
                    Compare::Less => left < right,
                    Compare::LessOrEqual => left <= right,
                    Compare::Greater => left > right,
                    Compare::GreaterOrEqual => left >= right,
                }
            }
        }
    }
}

/// Matches a pattern; its groups become the variables `0` to `9`, which are gone where it does not match. One that cannot be read counts as matching.
fn matches(ex: &mut Exchange, text: &[u8], pattern: &[u8], flags: Flags) -> bool {
    let Ok(compiled) = Pattern::new(pattern, flags) else {
        logs::error!(ex, Level::Error, "include", "AH02667: unable to compile pattern \"{}\"", latin1(pattern));
        return true;
    };
    let mut captures = Captures::new();
    let matched = compiled.captures(text, &mut captures);
    for group in 0..10u8 {
        let name = [b'0' + group];
        match captures.get(usize::from(group)) {
            Some((start, end)) => ex.env.set(&name, text.get(start..end).unwrap_or_default()),
            None => {
                ex.env.unset(&name);
            }
        }
    }
    matched
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_taken_apart() {
        let text = |text: &str| Token::Text(text.as_bytes().to_vec());
        assert_eq!(
            tokens(b"!$A=x  y&& -A /b||'c d'"),
            [
                Token::Not,
                text("$A"),
                Token::Compare(Compare::Equal),
                text("x y"),
                Token::And,
                Token::Access,
                text("/b"),
                Token::Or,
                text("c d"),
            ]
        );
        assert_eq!(tokens(br"/a\/b\./"), [Token::Pattern(b"a/b.".to_vec())]);
        assert_eq!((tokens(b"'open"), tokens(b"-Ab")), (vec![text("")], vec![text("-Ab")]));
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (condition, wrong) in [
            ("a = ", Wrong::Operand),
            ("a = !b", Wrong::Operand),
            ("= a", Wrong::Order),
            ("a = b = c", Wrong::Order),
            ("!a = b", Wrong::Order),
            ("a < /b/", Wrong::Order),
            ("(a", Wrong::Unclosed),
            ("a)", Wrong::Unopened),
            ("a && ", Wrong::Side),
            ("-A", Wrong::NoTarget),
        ] {
            assert_eq!(parse(condition.as_bytes()), Err(wrong), "{condition}");
        }
        let deep = [b"(".repeat(5000), b"a".to_vec(), b")".repeat(5000)].concat();
        assert_eq!(parse(&deep), Err(Wrong::Order));
        assert_eq!(parse(b"  "), Ok(None));
    }
}

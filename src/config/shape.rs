//! The twelve argument kinds: how an argument text is cut into the calls of a directive's `apply`.

use super::directive::{Directive, Shape};
use crate::lang::get_word;

/// More words than these are dropped from a [`Shape::Argv`].
const MOST_WORDS: usize = 64;

/// Each inner list is the words of one call of `apply`. The error is httpd's text.
pub fn calls(row: &Directive, args: &[u8]) -> Result<Vec<Vec<Vec<u8>>>, String> {
    let wrong = |count: &str| {
        let usage = if row.usage.is_empty() { String::new() } else { format!(", {}", row.usage) };
        Err(format!("{} {count}{usage}", row.name))
    };
    let cut = Cut::new(args);
    match row.shape {
        Shape::Raw => Ok(vec![Vec::new()]),
        Shape::None if args.is_empty() => Ok(vec![Vec::new()]),
        Shape::None => Err(format!("{} takes no arguments", row.name)),
        Shape::Take1 => cut.fixed(1).map_or_else(|| wrong("takes one argument"), |words| Ok(vec![words])),
        Shape::Take2 => cut.fixed(2).map_or_else(|| wrong("takes two arguments"), |words| Ok(vec![words])),
        Shape::Take3 => cut.fixed(3).map_or_else(|| wrong("takes three arguments"), |words| Ok(vec![words])),
        Shape::Take12 => {
            // An empty second word is none.
            let words = cut.up_to(2, 1).map(|mut words| {
                words.retain(|word| !word.is_empty());
                words
            });
            words.map_or_else(|| wrong("takes 1-2 arguments"), |words| Ok(vec![words]))
        }
        Shape::Take23 => cut.up_to(3, 2).map_or_else(|| wrong("takes two or three arguments"), |words| Ok(vec![words])),
        Shape::Take123 => {
            cut.up_to(3, 1).map_or_else(|| wrong("takes one, two or three arguments"), |words| Ok(vec![words]))
        }
        Shape::Take13 => {
            let words = cut.up_to(3, 1).filter(|words| words.len() != 2 || words.get(1).is_some_and(Vec::is_empty));
            words.map_or_else(|| wrong("takes one or three arguments"), |words| Ok(vec![words]))
        }
        Shape::Iterate => {
            let words = cut.filled();
            if words.is_empty() {
                return wrong("requires at least one argument");
            }
            Ok(words.into_iter().map(|word| vec![word]).collect())
        }
        Shape::Iterate2 => {
            let (first, rest) = get_word(args);
            if first.is_empty() || rest.is_empty() {
                return wrong("requires at least two arguments");
            }
            Ok(Cut::new(rest).filled().into_iter().map(|word| vec![first.clone(), word]).collect())
        }
        Shape::Flag => {
            let (word, _) = get_word(args);
            if !word.eq_ignore_ascii_case(b"on") && !word.eq_ignore_ascii_case(b"off") {
                return Err(format!("{} must be On or Off", row.name));
            }
            Ok(vec![vec![word]])
        }
        Shape::Argv => {
            let mut words = cut.most(MOST_WORDS);
            // An empty word at the end is none.
            words.pop_if(|word| word.is_empty());
            Ok(vec![words])
        }
    }
}

/// An argument text on its way to words.
struct Cut<'a>(&'a [u8]);

impl<'a> Cut<'a> {
    fn new(args: &'a [u8]) -> Self {
        Self(args)
    }

    /// Exactly this many words, none of them empty, and nothing behind.
    fn fixed(self, count: usize) -> Option<Vec<Vec<u8>>> {
        let words = self.up_to(count, count)?;
        (words.len() == count).then_some(words)
    }

    /// At most `most` words; the first `least` are not empty, and nothing is behind.
    fn up_to(self, most: usize, least: usize) -> Option<Vec<Vec<u8>>> {
        let mut rest = self.0;
        let mut words = Vec::new();
        while words.len() < most && !rest.is_empty() {
            let (word, behind) = get_word(rest);
            words.push(word);
            rest = behind;
        }
        let full = words.len() >= least && words.iter().take(least).all(|word| !word.is_empty());
        (full && rest.is_empty()).then_some(words)
    }

    /// The words in front of the first empty one.
    fn filled(self) -> Vec<Vec<u8>> {
        let mut rest = self.0;
        let mut words = Vec::new();
        loop {
            let (word, behind) = get_word(rest);
            if word.is_empty() {
                return words;
            }
            words.push(word);
            rest = behind;
        }
    }

    /// The first `most` words, empty ones too.
    fn most(self, most: usize) -> Vec<Vec<u8>> {
        let mut rest = self.0;
        let mut words = Vec::new();
        while words.len() < most && !rest.is_empty() {
            let (word, behind) = get_word(rest);
            words.push(word);
            rest = behind;
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::super::directive::{Places, row};
    use super::*;

    fn text(shape: Shape, args: &str) -> Result<String, String> {
        let row = row("X", Places::SERVER, shape, |_, _| Ok(()), "how to");
        let join = |call: Vec<Vec<u8>>| {
            call.iter().map(|word| format!("[{}]", String::from_utf8_lossy(word))).collect::<String>()
        };
        calls(&row, args.as_bytes()).map(|calls| calls.into_iter().map(join).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn counts_are_checked_with_httpds_words() {
        let ok = |text: &str| Ok(text.to_owned());
        let err = |text: &str| Err(format!("X {text}, how to"));
        assert_eq!(text(Shape::Take1, "a"), ok("[a]"));
        assert_eq!(text(Shape::Take1, ""), err("takes one argument"));
        assert_eq!(text(Shape::Take1, "\"\""), err("takes one argument"));
        assert_eq!(text(Shape::Take1, "a \"\""), err("takes one argument"));
        assert_eq!(text(Shape::Take2, "a b c"), err("takes two arguments"));
        assert_eq!(text(Shape::Take3, "a b c"), ok("[a][b][c]"));
        assert_eq!(text(Shape::Take12, "a \"\""), ok("[a]"));
        assert_eq!(text(Shape::Take12, "a b c"), err("takes 1-2 arguments"));
        assert_eq!(text(Shape::Take23, "a b \"\""), ok("[a][b][]"));
        assert_eq!(text(Shape::Take23, "a"), err("takes two or three arguments"));
        assert_eq!(text(Shape::Take123, ""), err("takes one, two or three arguments"));
        assert_eq!(text(Shape::Take13, "a b"), err("takes one or three arguments"));
        assert_eq!(text(Shape::Take13, "a b c"), ok("[a][b][c]"));
        assert_eq!(text(Shape::Iterate, "a b"), ok("[a] [b]"));
        assert_eq!(text(Shape::Iterate, "a \"\" b"), ok("[a]"));
        assert_eq!(text(Shape::Iterate, ""), err("requires at least one argument"));
        assert_eq!(text(Shape::Iterate2, "a b c"), ok("[a][b] [a][c]"));
        assert_eq!(text(Shape::Iterate2, "a \"\" b"), ok(""));
        assert_eq!(text(Shape::Iterate2, "a"), err("requires at least two arguments"));
        assert_eq!(text(Shape::Flag, "oN Bogus"), ok("[oN]"));
        assert_eq!(text(Shape::Flag, "yes"), Err("X must be On or Off".to_owned()));
        assert_eq!(text(Shape::None, "a"), Err("X takes no arguments".to_owned()));
        assert_eq!(text(Shape::Argv, ""), ok(""));
        assert_eq!(text(Shape::Argv, "a \"\" b"), ok("[a][][b]"));
        assert_eq!(text(Shape::Argv, "a \"\""), ok("[a]"));
        assert_eq!(text(Shape::Argv, &"w ".repeat(70)).unwrap().matches('w').count(), 64);
    }
}

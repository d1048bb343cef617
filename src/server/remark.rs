//! The second look at a wrong line: where exactly, and what to do.

use crate::base::diag::{Remark, Sources, Span, render};
use crate::config::{Rows, WalkFault};
use crate::lang::{Fault, get_word};
use crate::modules;

/// For an error of the walk.
pub(super) fn of_walk(fault: &WalkFault, sources: &Sources, rows: &Rows) -> String {
    let line = fault.node.span;
    let text = sources.bytes(line);
    let remark = match fault.row {
        None => Remark {
            line,
            part: words(text).into_iter().next().map(|word| part(line, word)),
            label: "this name is not known".to_owned(),
            help: elsewhere(&fault.node.name)
                .or_else(|| nearest(&fault.node.name, rows).map(|name| format!("did you mean `{name}`?"))),
        },
        Some(_) if fault.message.contains(" takes ") && quotes_inside(text) => Remark {
            line,
            part: inner_quote(text).map(|at| part(line, (at, at + 1))),
            label: "this quote ends the word".to_owned(),
            help: Some("write \\\" for a quote inside a quoted word, or put the word in single quotes".to_owned()),
        },
        Some(_) => {
            Remark { line, part: blamed(fault, text).map(|word| part(line, word)), label: String::new(), help: None }
        }
    };
    render(sources, &remark)
}

/// Further errors are told in full up to this many.
const TOLD: usize = 20;

/// For the errors behind the first.
pub(super) fn further(faults: &[&WalkFault], sources: &Sources, rows: &Rows) -> String {
    let mut out = String::new();
    for fault in faults.iter().take(TOLD) {
        out.push_str(&format!("also on line {} of {}: {}\n", fault.at.line, fault.at.file, fault.message));
        out.push_str(&of_walk(fault, sources, rows));
    }
    if faults.len() > TOLD {
        out.push_str(&format!("and {} more\n", faults.len() - TOLD));
    }
    out
}

/// Which module would have to be loaded for this name to be known.
fn elsewhere(name: &[u8]) -> Option<String> {
    let module = modules::ALL
        .iter()
        .find(|module| module.row.directives.iter().any(|row| row.name.as_bytes().eq_ignore_ascii_case(name)))?;
    let short = module.row.file.trim_end_matches(".c");
    Some(format!("it belongs to {short}, which is not loaded: LoadModule {} modules/{short}.so", module.row.id))
}

/// For an error of the reading pass.
pub(super) fn of_read(fault: &Fault, sources: &Sources) -> String {
    let Some(line) = fault.span else { return String::new() };
    render(sources, &Remark { line, part: None, label: String::new(), help: None })
}

fn part(line: Span, (start, end): (usize, usize)) -> std::ops::Range<u32> {
    let at = |offset: usize| line.start.saturating_add(u32::try_from(offset).unwrap_or(u32::MAX));
    at(start)..at(end)
}

/// Start and end of each word of a line as it stands in the file.
fn words(text: &[u8]) -> Vec<(usize, usize)> {
    let mut out = Vec::new();
    let mut rest = text;
    loop {
        let blanks = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let start = text.len() - rest.len() + blanks;
        if start >= text.len() {
            return out;
        }
        let (_, behind) = get_word(rest);
        let trailing = text.get(start..text.len() - behind.len()).unwrap_or_default();
        let length = trailing.trim_ascii_end().len();
        out.push((start, start + length));
        rest = behind;
    }
}

/// The word that the message quotes, if it stands in the line; else all arguments.
fn blamed(fault: &WalkFault, text: &[u8]) -> Option<(usize, usize)> {
    let all = words(text);
    let message = fault.message.as_str();
    if message.contains(" not allowed ") || message.contains(" cannot occur ") {
        return all.first().copied();
    }
    let quoted = all.iter().skip(1).copied().find(|(start, end)| {
        let word = text.get(*start..*end).unwrap_or_default();
        let (word, _) = get_word(word);
        word.len() > 1 && message.contains(&crate::config::latin1(&word))
    });
    let arguments = || Some((all.get(1)?.0, all.last()?.1));
    quoted.or_else(arguments).or_else(|| all.first().copied())
}

/// Whether a quoted word is followed by something that is no blank: a quote that was not meant to end it.
fn quotes_inside(text: &[u8]) -> bool {
    inner_quote(text).is_some()
}

fn inner_quote(text: &[u8]) -> Option<usize> {
    words(text).into_iter().skip(1).find_map(|(start, end)| {
        let quote = *text.get(start).filter(|byte| matches!(byte, b'"' | b'\''))?;
        let closed = end > start + 1 && text.get(end - 1) == Some(&quote);
        let glued = text.get(end).is_some_and(|next| !next.is_ascii_whitespace());
        (closed && glued).then_some(end - 1)
    })
}

/// The known name that is least far from a wrong one, if it is near at all.
fn nearest(name: &[u8], rows: &Rows) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    if name.len() < 3 || name.len() > 64 {
        return None;
    }
    let most = 1 + name.len() / 5;
    let far = |known: &&'static str| distance(&name, &known.as_bytes().to_ascii_lowercase());
    rows.names().map(|known| (far(&known), known)).filter(|(far, _)| *far <= most).min().map(|(_, known)| known)
}

/// Edits that lead from one name to the other.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (y, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let here = (diagonal + usize::from(x != y)).min(left + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, here);
            left = here;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_in_the_line() {
        assert_eq!(words(b"  A  \"b c\"d e"), [(2, 3), (5, 10), (10, 11), (12, 13)]);
    }

    #[test]
    fn an_unescaped_quote_is_found() {
        assert_eq!(inner_quote(br#"LogFormat "%h "%r" %s" x"#), Some(14));
        assert_eq!(inner_quote(br#"LogFormat "%h \"%r\" %s" x"#), None);
    }

    #[test]
    fn distances() {
        assert_eq!(distance(b"servername", b"servernam"), 1);
        assert_eq!(distance(b"abc", b"abc"), 0);
        assert_eq!(distance(b"kitten", b"sitting"), 3);
        assert_eq!(distance(b"", b"ab"), 2);
    }
}

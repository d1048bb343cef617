//! The second look at a wrong line: where exactly, and what to do.

use super::advice;
use super::host::Modules;
use crate::base::diag::{Remark, Sources, Span, render};
use crate::base::pattern::{Flags, Pattern};
use crate::config::WalkFault;
use crate::lang::{Fault, get_word};

/// For an error of the walk.
pub(super) fn of_walk(fault: &WalkFault, sources: &Sources, modules: &Modules) -> String {
    let line = fault.node.span;
    let text = sources.bytes(line);
    let all = words(text);
    let mut remark = Remark { line, part: None, label: String::new(), help: None };
    if fault.row.is_none() {
        remark.part = all.first().map(|word| part(line, *word));
        "this name is not known".clone_into(&mut remark.label);
        remark.help = advice::of_directive(&fault.node.name, modules);
    } else if let (true, Some(at)) = (fault.message.contains(" takes "), inner_quote(text)) {
        remark.part = Some(part(line, (at, at + 1)));
        "this quote ends the word".clone_into(&mut remark.label);
        remark.help = Some("write \\\" for a quote inside a quoted word, or put the word in single quotes".to_owned());
    } else if let (true, Some(at)) = (fault.message.contains(" takes "), comment(&all, text)) {
        remark.part = Some(part(line, at));
        remark.label = "this is no comment".to_owned();
        remark.help = Some("a comment needs a line of its own".to_owned());
    } else if let Some((at, why)) = wrong_pattern(&fault.message, text, &all) {
        remark.part = Some(part(line, at));
        remark.label = why;
    } else {
        let arguments: Vec<&[u8]> = all.iter().skip(1).filter_map(|(start, end)| text.get(*start..*end)).collect();
        let unknown = advice::of_message(&fault.message, &arguments, modules);
        let blamed = match &unknown {
            Some(unknown) => behind_name(text, &all, &unknown.word),
            None => blamed(&fault.message, text, &all),
        };
        remark.part = blamed.map(|word| part(line, word));
        remark.help = unknown.and_then(|unknown| unknown.advice);
    }
    render(sources, &remark)
}

/// From a word that looks like the beginning of a comment on.
fn comment(all: &[(usize, usize)], text: &[u8]) -> Option<(usize, usize)> {
    let (start, _) = *all.iter().skip(1).find(|(start, _)| text.get(*start) == Some(&b'#'))?;
    Some((start, all.last()?.1))
}

/// If the message is about a pattern: where it stops making sense, and why, which httpd does not say.
fn wrong_pattern(message: &str, text: &[u8], all: &[(usize, usize)]) -> Option<((usize, usize), String)> {
    let lower = message.to_ascii_lowercase();
    if !lower.contains("regex could not") && !lower.contains("regular expression") || lower.contains("expression:") {
        return None;
    }
    all.iter().skip(1).find_map(|&(start, end)| {
        let written = text.get(start..end)?;
        let (word, _) = get_word(written);
        // What a rule's pattern may have in front.
        let pattern = word.strip_prefix(b"!").unwrap_or(&word);
        let error = Pattern::new(pattern, Flags::default()).err()?;
        let inner = memchr::memmem::find(written, pattern).map(|at| start + at);
        // Of a word with escapes nobody knows where its bytes stand.
        let at = inner.map_or((start, end), |at| {
            let at = (at + error.offset).min(end);
            (at.saturating_sub(1).max(start), at.max(start + 1))
        });
        Some((at, error.message))
    })
}

/// Further errors are told in full up to this many.
const TOLD: usize = 20;

/// For the errors behind the first.
pub(super) fn further(faults: &[&WalkFault], sources: &Sources, modules: &Modules) -> String {
    let mut out = String::new();
    for fault in faults.iter().take(TOLD) {
        out.push_str(&format!("also on line {} of {}: {}\n", fault.at.line, fault.at.file, fault.message));
        out.push_str(&of_walk(fault, sources, modules));
    }
    if faults.len() > TOLD {
        out.push_str(&format!("and {} more\n", faults.len() - TOLD));
    }
    out
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

/// Where a word stands behind the directive's name: that of a `key=value`, or one of a list.
fn behind_name(text: &[u8], all: &[(usize, usize)], word: &[u8]) -> Option<(usize, usize)> {
    let behind = all.first()?.1;
    let at = behind + memchr::memmem::find(text.get(behind..)?, word)?;
    (!word.is_empty()).then_some((at, at + word.len()))
}

/// The word that the message is about: the longest that it quotes, else the `key=value` whose key it names, else all
/// arguments.
fn blamed(message: &str, text: &[u8], all: &[(usize, usize)]) -> Option<(usize, usize)> {
    if message.contains(" not allowed ") || message.contains(" cannot occur ") {
        return all.first().copied();
    }
    let word = |(start, end): (usize, usize)| get_word(text.get(start..end).unwrap_or_default()).0;
    let arguments = || all.iter().skip(1).copied();
    let quoted = arguments().filter(|at| {
        let word = word(*at);
        word.len() > 1 && message.contains(&crate::config::latin1(&word))
    });
    let lower = message.to_ascii_lowercase();
    let named = || {
        arguments().find(|at| {
            let word = crate::config::latin1(&word(*at)).to_ascii_lowercase();
            word.split_once('=').is_some_and(|(key, _)| names(&lower, key))
        })
    };
    let every = || Some((all.get(1)?.0, all.last()?.1));
    quoted.max_by_key(|(start, end)| end - start).or_else(named).or_else(every).or_else(|| all.first().copied())
}

/// Whether a message has this word, whole.
fn names(message: &str, word: &str) -> bool {
    !word.is_empty() && message.split(|c: char| !c.is_ascii_alphanumeric()).any(|part| part == word)
}

/// The quote inside a quoted word that was not meant to end it: something that is no blank follows it.
fn inner_quote(text: &[u8]) -> Option<usize> {
    words(text).into_iter().skip(1).find_map(|(start, end)| {
        let quote = *text.get(start).filter(|byte| matches!(byte, b'"' | b'\''))?;
        let closed = end > start + 1 && text.get(end - 1) == Some(&quote);
        let glued = text.get(end).is_some_and(|next| !next.is_ascii_whitespace());
        (closed && glued).then_some(end - 1)
    })
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
}

//! Every text with which a configuration is refused is met by a golden file of `tests/config/`, or stands here with the
//! reason why none can meet it.
//!
//! The texts are read off the sources: what follows `Err(` and the like, and the last words of a `check::` row. A name
//! in such a place, or in the braces of such a text, stands for the text that it was given last. The parts of a text around its `{…}` must stand, in their order, in one line of what the golden files expect.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::config;

/// Where a configuration is read and judged.
const ROOMS: &[&str] = &["src/modules", "src/config", "src/lang", "src/expr", "src/base/pattern", "src/logs/level.rs"];

/// What stands in front of a text that refuses.
const OPENERS: &[&str] =
    &["Err(", "Err((", "ok_or(", "ok_or((", "ok_or_else(|| ", "map_err(|_| ", "message: ", "wrong(", "error(", "fail("];

/// Files of these rooms whose errors are those of a request or of an answer to it.
const OF_REQUESTS: &[&str] =
    &["src/modules/deflate/input.rs", "src/modules/imagemap/url.rs", "src/modules/ssl/proxy.rs", "src/expr/vars.rs"];

/// Texts that no golden file meets, by their start.
const UNMET: &[(&str, &str)] = &[
    ("{} takes no arguments", "no directive has this shape"),
    ("takes one or three arguments", "no directive has this shape"),
    ("{} cannot occur within htaccess files", "only in such a file: `tests/files/access_overrides.test`"),
    ("Could not register method", "only in such a file: `tests/files/access_overrides.test`"),
    ("parentheses are too deeply nested", "a line so long is not shown a second time"),
];

#[test]
fn every_error_text_is_met() {
    let lines = config::expected_lines();
    let mut texts = 0;
    let mut unmet = Vec::new();
    let mut excused = vec![false; UNMET.len()];
    for file in ROOMS.iter().flat_map(|room| sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(room))) {
        let name = file.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_str().unwrap().to_owned();
        if OF_REQUESTS.contains(&name.as_str()) {
            continue;
        }
        for text in refusals(&fs::read_to_string(&file).unwrap()) {
            let parts = parts(&text);
            if parts.is_empty() {
                continue;
            }
            texts += 1;
            if lines.iter().any(|line| has_in_order(line, &parts)) {
                continue;
            }
            match UNMET.iter().position(|(start, _)| text.starts_with(start)) {
                Some(at) => excused[at] = true,
                None => unmet.push(format!("{name}: {text}")),
            }
        }
    }
    assert!(texts > 400, "only {texts} texts were found in the sources");
    assert!(unmet.is_empty(), "{} of {texts} texts are met by no golden file:\n{}", unmet.len(), unmet.join("\n"));
    let idle: Vec<_> = UNMET.iter().zip(&excused).filter(|(_, used)| !**used).map(|((start, _), _)| start).collect();
    assert!(idle.is_empty(), "these are met, or gone: {idle:?}");
}

/// The Rust files of a folder and of those in it, tests aside.
fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if dir.is_file() {
        return vec![dir.to_owned()];
    }
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
    found
}

/// The texts of a source file that refuse something.
fn refusals(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let mut found = Vec::new();
    // The text so far, with one blank for several; and how many brackets are open in a `check::` call.
    let (mut before, mut checking) = (String::new(), None::<usize>);
    let mut rest = source;
    let mut named = HashMap::new();
    constants(source, &mut named);
    while let Some(next) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
            continue;
        }
        if let Some(behind) = rest.strip_prefix("b'\"'").or_else(|| rest.strip_prefix("'\"'")) {
            rest = behind;
            continue;
        }
        if next == '"' {
            let (text, behind) = literal(&rest[1..]);
            let opened = before.trim_end().trim_end_matches('&').trim_end_matches("format!(").trim_end_matches('&');
            let refuses = OPENERS.iter().any(|opener| opened.ends_with(opener.trim_end()));
            if refuses || checking.is_some() && text.contains(' ') {
                found.extend(braced(&text).filter_map(|name| named.get(name).cloned()));
                found.push(text);
            } else if let Some(name) = local(&before) {
                named.insert(name.to_owned(), text);
            }
            before.push('"');
            rest = behind;
            continue;
        }
        if let Some(name) = name_at(rest, &before) {
            let opened = before.trim_end().trim_end_matches('&');
            let refuses = OPENERS.iter().any(|opener| opened.ends_with(opener.trim_end()))
                // Or it is where an error is looked at.
                && !rest[name.len()..].starts_with(") =>");
            let constant = checking.is_some() && name.starts_with(|c: char| c.is_ascii_uppercase());
            found.extend(named.get(name).filter(|text| refuses || constant && text.contains(' ')).cloned());
            before.push_str(name);
            rest = &rest[name.len()..];
            if name != "check" || !rest.starts_with("::") {
                continue;
            }
            checking = Some(0);
            continue;
        }
        checking = match (next, checking) {
            // A function's name and no call.
            (',' | ';', Some(0)) => None,
            ('(', Some(open)) => Some(open + 1),
            (')', Some(open)) => open.checked_sub(1).filter(|open| *open > 0),
            (_, open) => open,
        };
        if !(next.is_whitespace() && before.ends_with(' ')) {
            before.push(if next.is_whitespace() { ' ' } else { next });
        }
        rest = &rest[next.len_utf8()..];
    }
    found
}

/// The texts of the source's constants, wherever it has them.
fn constants(mut source: &str, named: &mut HashMap<String, String>) {
    while let Some((_, behind)) = source.split_once("const ") {
        source = behind;
        let Some((name, behind)) = behind.split_once(": &str =") else { break };
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
        if let Some(text) = behind.trim_start().strip_prefix('"').filter(|_| is_name) {
            named.insert(name.to_owned(), literal(text).0);
        }
    }
}

/// The name that `let name = ` in front of a text gives it.
fn local(before: &str) -> Option<&str> {
    let name = before.trim_end().strip_suffix('=')?.trim_end();
    let at = name.rfind("let ")?;
    Some(&name[at + 4..]).filter(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
}

/// The name that begins here.
fn name_at<'s>(rest: &'s str, before: &str) -> Option<&'s str> {
    let of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if before.ends_with(of_name) {
        return None;
    }
    let end = rest.find(|c: char| !of_name(c)).unwrap_or(rest.len());
    Some(&rest[..end]).filter(|name| !name.is_empty())
}

/// The names in a text's braces.
fn braced(text: &str) -> impl Iterator<Item = &str> {
    text.split('{').skip(1).filter_map(|piece| Some(piece.split_once('}')?.0))
}

/// A string literal behind its quote as it reads, and what follows it; `\u{1}` is a placeholder.
fn literal(text: &str) -> (String, &str) {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (out, &text[at + 1..]),
            '\\' => match chars.next() {
                Some((_, 'n')) => out.push('\n'),
                // As the configuration's errors show it.
                Some((_, 't')) => out.push_str("\\t"),
                Some((at, 'u')) => {
                    out.push_str("{}");
                    let end = at + text[at..].find('}').unwrap_or(0);
                    let (inner, behind) = literal(&text[end + 1..]);
                    return (out + &inner, behind);
                }
                Some((at, '\n')) => {
                    let (inner, behind) = literal(text[at..].trim_start());
                    return (out + &inner, behind);
                }
                Some((_, other)) => out.push(other),
                None => break,
            },
            c => out.push(c),
        }
    }
    (out, "")
}

/// What of a text is always the same: the parts around its placeholders, the short ones aside.
fn parts(text: &str) -> Vec<String> {
    let text = text.replace("{{", "\u{2}").replace("}}", "\u{3}");
    let mut parts = Vec::new();
    for piece in text
        .split('{')
        .enumerate()
        .map(|(at, piece)| if at == 0 { piece } else { piece.split_once('}').map_or("", |(_, behind)| behind) })
    {
        parts.extend(piece.split('\n').map(|part| part.trim().replace('\u{2}', "{").replace('\u{3}', "}")));
    }
    parts.retain(|part| part.len() > 3);
    parts
}

fn has_in_order(line: &str, parts: &[String]) -> bool {
    let mut rest = line;
    parts.iter().all(|part| match rest.find(part.as_str()) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

#[test]
fn texts_are_read_off_a_source() {
    let source = r#"
        fn a() { return Err(format!("{} wrong \"{x}\" in {{}} of \
            it", 1)); }
        // Err("not this")
        check::one_of(a, &["on", "off"], "unknown '\u{1}', on or off"), "help words"),
        let fine = other("no error");
        x.ok_or("none")
        const WORSE: &str = "it is \
            worse";
        let why = "so it is"; let why = "as it is";
        x.ok_or(WORSE)?; y(WORSE); Err(why.to_owned()); Err(format!("{why}: {WORSE}"));
        check::one_of(a, &["b"], WORSE);
    "#;
    let found = refusals(source);
    let texts = ["{} wrong \"{x}\" in {{}} of it", "unknown '{}', on or off", "none"];
    let named = ["it is worse", "as it is", "as it is", "it is worse", "{why}: {WORSE}", "it is worse"];
    assert_eq!(found, [&texts[..], &named[..]].concat());
    assert_eq!(parts(&found[0]), ["wrong \"", "\" in {} of it"]);
    assert!(has_in_order("a wrong \"q\" in {} of it", &parts(&found[0])));
    assert!(!has_in_order("\" in {} of it wrong \"", &parts(&found[0])));
}

//! What each element does.

use super::run::{Includes, SizeFormat, Used, part_of};
use super::scan::Element;
use super::{IncludeDir, legacy, text};
use crate::base::clock::push_strftime;
use crate::base::path::escape_html;
use crate::config::core::CoreProcess;
use crate::config::latin1;
use crate::expr::{Expr, Options, Scratch};
use crate::logs::{self, Bytes, Errno, Level, text::push_u64};
use crate::modules::autoindex::short_size;
use crate::modules::cgi::{self, child::Running};
use crate::pipe;
use crate::pipe::part::Part;
use crate::web::Exchange;

/// A named response or the output of a program on its way into the document.
pub(super) enum Source {
    Part { part: Part, name: Vec<u8>, other: Option<Vec<u8>>, quiet: bool, status: Option<u16> },
    Program(Box<Running>),
}

impl Source {
    /// Moves some of it behind `out`; whether that was all.
    pub(super) async fn take(&mut self, ex: &Exchange, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Part { part, status, .. } => {
                *status = part.take(out).await;
                status.is_some()
            }
            // One that says nothing for too long has ended.
            Self::Program(running) => match running.read(ex, out, true).await {
                Ok(Some(0)) => {
                    running.hear_out(ex).await;
                    true
                }
                Ok(_) => false,
                Err(_) => {
                    running.stop();
                    true
                }
            },
        }
    }

    /// Behind its end: its variables are the document's, its failure is shown.
    pub(super) async fn end(self, includes: &mut Includes, ex: &mut Exchange, out: &mut Vec<u8>) {
        let Self::Part { part, name, other, quiet, status } = self else { return };
        if let Some(env) = part.env() {
            ex.env = env;
        }
        let status = status.unwrap_or(500);
        if status != 200 && !quiet {
            cannot_include(ex, &name, Some(("subrequest returned", status)));
            fall_back(includes, ex, other, out).await;
        }
    }
}

/// A path that leaves its folder, as APR numbers it.
const ABOVE: Errno = Errno(20023);

fn cannot_include(ex: &Exchange, name: &[u8], why: Option<(&str, u16)>) {
    let (name, file) = (Bytes(name), Bytes(&ex.filename));
    match why {
        Some((what, status)) => {
            logs::error!(
                ex,
                Level::Error,
                "include",
                "unable to include \"{}\" in parsed file {}, {} {}",
                name,
                file,
                what,
                status
            );
        }
        None => {
            let text = "unable to include file";
            logs::error!(ex, Level::Error, "include", ABOVE => "{} \"{}\" in parsed file {}", text, name, file);
        }
    }
}

/// The document that `onerror` names, or the message.
async fn fall_back(includes: &mut Includes, ex: &mut Exchange, other: Option<Vec<u8>>, out: &mut Vec<u8>) {
    let Some(other) = other else { return includes.fail(out) };
    let sub = pipe::lookup(ex, &other).await;
    if sub.status != 200 {
        return includes.fail(out);
    }
    includes.part = Some(Source::Part { part: part_of(sub), name: other, other: None, quiet: false, status: None });
}

/// An entry about an element that cannot be obeyed.
fn complain(ex: &Exchange, text: &str) {
    logs::error!(ex, Level::Error, "include", "{} {}", text, Bytes(&ex.filename));
}

/// `if`, `elif`, `else` and `endif`, which count in text that is not shown too; false for other elements.
pub(super) async fn condition(
    includes: &mut Includes,
    ex: &mut Exchange,
    element: &Element,
    out: &mut Vec<u8>,
) -> bool {
    match element.name.as_slice() {
        b"if" => {
            let counts = includes.printing;
            let text = condition_of(includes, ex, element, counts, &IF, out);
            if !counts {
                includes.depth += 1;
                return true;
            }
            (includes.depth, includes.untold) = (0, false);
            let truth = match text {
                Some(text) => truth(includes, ex, text, out).await,
                None => None,
            };
            branch(includes, truth);
        }
        b"elif" => {
            let counts = includes.depth == 0;
            let text = condition_of(includes, ex, element, counts, &ELIF, out);
            if !counts {
                return true;
            }
            if text.is_some() && includes.taken {
                includes.printing = false;
                return true;
            }
            let truth = match text {
                Some(text) => truth(includes, ex, text, out).await,
                None => None,
            };
            branch(includes, truth);
        }
        b"else" => {
            let bare = is_alone(includes, ex, element, "AH01360: else");
            if !bare && includes.depth == 0 {
                includes.fail(out);
            }
            if bare && includes.depth == 0 && !includes.untold {
                includes.printing = !includes.taken;
                includes.taken = true;
            }
        }
        b"endif" => {
            let bare = is_alone(includes, ex, element, "AH01361: endif");
            if includes.depth > 0 {
                includes.depth -= 1;
            } else if bare {
                (includes.printing, includes.taken, includes.untold) = (true, true, false);
            }
        }
        _ => return false,
    }
    true
}

/// Goes into a branch, or past it. Where a condition cannot be told, `else` is not for the others any more.
fn branch(includes: &mut Includes, truth: Option<bool>) {
    let shown = truth.unwrap_or(false);
    (includes.printing, includes.taken) = (shown, shown);
    includes.untold |= truth.is_none();
}

/// Entries about what is wrong with the arguments of a condition.
struct Wrong {
    several: &'static str,
    none: &'static str,
    unknown: &'static str,
    valueless: &'static str,
}

const IF: Wrong = Wrong {
    several: "AH01352: too many arguments for if element in",
    none: "AH01353: missing expr argument for if element in",
    unknown: "AH01354",
    valueless: "AH01355: missing expr value for if element in",
};

/// httpd speaks of `if` here as well.
const ELIF: Wrong = Wrong {
    several: "AH01356: too many arguments for if element in",
    none: "AH01357: missing expr argument for if element in",
    unknown: "AH01358",
    valueless: "AH01359: missing expr in elif statement:",
};

/// The text of the condition of an element. What is wrong with it is shown if the element `counts`, and said anyway.
fn condition_of<'a>(
    includes: &Includes,
    ex: &Exchange,
    element: &'a Element,
    counts: bool,
    wrong: &Wrong,
    out: &mut Vec<u8>,
) -> Option<&'a [u8]> {
    let why = match element.pairs.as_slice() {
        [_] if !counts => return None,
        [(key, _)] if key != b"expr" => {
            complain(ex, &format!("{}: unknown parameter \"{}\" to tag if in", wrong.unknown, latin1(key)));
            includes.fail(out);
            return None;
        }
        [(_, Some(text))] => return Some(text),
        [_] => wrong.valueless,
        [] => wrong.none,
        _ => wrong.several,
    };
    complain_if(ex, counts, why);
    if counts {
        includes.fail(out);
    }
    None
}

/// An entry that is an error if what it is about `counts`.
fn complain_if(ex: &Exchange, counts: bool, text: &str) {
    let level = if counts { Level::Error } else { Level::Warn };
    logs::error!(ex, level, "include", "{} {}", text, Bytes(&ex.filename));
}

/// Whether an element has no arguments, as it should.
fn is_alone(includes: &Includes, ex: &Exchange, element: &Element, which: &str) -> bool {
    let alone = element.pairs.is_empty();
    if !alone {
        complain_if(ex, includes.depth == 0, &format!("{which} directive does not take tags in"));
    }
    alone
}

/// Evaluates a condition.
async fn truth(includes: &Includes, ex: &mut Exchange, text: &[u8], out: &mut Vec<u8>) -> Option<bool> {
    let ssl = ex.conn.secure;
    let flags = ex.live.generation.globals.conf.get::<CoreProcess>().map(|core| core.regex_flags).unwrap_or_default();
    if ex.dir::<IncludeDir>().and_then(|conf| conf.legacy) == Some(true) {
        let truth = Box::pin(legacy::truth(ex, text, flags)).await;
        if truth.is_none() {
            includes.fail(out);
        }
        return truth;
    }
    let failed = match Expr::parse(text, Options { ssl, document: true, flags, ..Options::default() }) {
        Ok(expr) => match expr.eval(ex, &mut Scratch::default()) {
            Ok(truth) => return Some(truth),
            Err(error) => format!("AH01338: {error}"),
        },
        Err(error) => {
            let why = latin1(&error.message);
            format!("AH01337: Could not parse expr \"{}\" in {}: {why}", latin1(text), latin1(&ex.filename))
        }
    };
    logs::error!(ex, Level::Error, "include", "{}", failed);
    includes.fail(out);
    None
}

/// All other elements; false for those that do not exist.
pub(super) async fn show(includes: &mut Includes, ex: &mut Exchange, element: &Element, out: &mut Vec<u8>) -> bool {
    match element.name.as_slice() {
        b"include" => include(includes, ex, element, out).await,
        // Told to nobody.
        b"comment" => {}
        b"echo" => echo(includes, ex, element, out),
        b"set" => set(includes, ex, element, out),
        b"config" => config(includes, ex, element, out),
        b"fsize" | b"flastmod" => about(includes, ex, element, out).await,
        b"printenv" => printenv(includes, ex, element, out),
        b"exec" => return exec(includes, ex, element, out).await,
        _ => return false,
    }
    true
}

/// Whether the element has no pairs, which is told.
fn is_bare(includes: &Includes, ex: &Exchange, element: &Element, number: &str, out: &mut Vec<u8>) -> bool {
    let bare = element.pairs.is_empty();
    if bare {
        complain(ex, &format!("{number}: missing argument for {} element in", latin1(&element.name)));
        includes.fail(out);
    }
    bare
}

fn unknown(includes: &Includes, ex: &Exchange, text: &str, out: &mut Vec<u8>) {
    complain(ex, text);
    includes.fail(out);
}

async fn include(includes: &mut Includes, ex: &mut Exchange, element: &Element, out: &mut Vec<u8>) {
    if is_bare(includes, ex, element, "AH01341", out) {
        return;
    }
    for (at, (key, value)) in element.pairs.iter().enumerate() {
        let Some(value) = value else { continue };
        // Only one behind what fails is heard of.
        let mut behind = element.pairs.iter().skip(at + 1).filter(|(key, _)| key == b"onerror");
        let other = behind.find_map(|(_, value)| value.as_deref());
        let other = other.map(|value| text::expand(&text::entities(value), &ex.env));
        let name = text::expand(&text::entities(value), &ex.env);
        let sub = match key.as_slice() {
            b"virtual" => Some(pipe::lookup(ex, &name).await),
            b"file" if is_below(&name) => Some(pipe::lookup_file(ex, &name).await),
            b"file" => None,
            b"onerror" => continue,
            _ => {
                let text = format!("AH01342: unknown parameter \"{}\" to tag include in", latin1(key));
                return unknown(includes, ex, &text, out);
            }
        };
        let Some(sub) = sub else {
            cannot_include(ex, &name, None);
            return fall_back(includes, ex, other, out).await;
        };
        if sub.status != 200 {
            cannot_include(ex, &name, Some(("subrequest setup returned", sub.status)));
            return fall_back(includes, ex, other, out).await;
        }
        if includes.no_exec && !sub.content_type.is_empty() && !sub.content_type.starts_with(b"text/") {
            let (name, file) = (Bytes(&name), Bytes(&ex.filename));
            let text = "unable to include potential exec";
            logs::error!(
                ex,
                Level::Error,
                "include",
                "{} \"{}\" in parsed file {}, content type not text/*",
                text,
                name,
                file
            );
            return fall_back(includes, ex, other, out).await;
        }
        // Only one at a time: httpd's documents have one.
        let part = part_of(sub);
        includes.part = Some(Source::Part { part, name, other, quiet: false, status: None });
        return;
    }
}

/// Whether a file's name stays in its folder and those below.
fn is_below(name: &[u8]) -> bool {
    name.first() != Some(&b'/') && !name.split(|byte| *byte == b'/').any(|part| part == b"..")
}

fn echo(includes: &Includes, ex: &Exchange, element: &Element, out: &mut Vec<u8>) {
    if is_bare(includes, ex, element, "AH01343", out) {
        return;
    }
    let (mut encoding, mut decoding) = (b"entity".to_vec(), b"none".to_vec());
    for (key, value) in &element.pairs {
        let value = value.as_deref().unwrap_or_default();
        match key.as_slice() {
            b"var" => {
                let name = text::expand(value, &ex.env);
                let shown = ex.env.get(&name).and_then(|value| text::code(value, &decoding, true));
                match shown.and_then(|value| text::code(&value, &encoding, false)) {
                    Some(value) => out.extend_from_slice(&value),
                    None => out.extend_from_slice(&includes.undefined),
                }
            }
            b"encoding" | b"decoding" => {
                if text::code(b"", value, key == b"decoding").is_none() {
                    let (value, key) = (latin1(value), latin1(key));
                    let number = if key == "encoding" { "AH01345" } else { "AH01344" };
                    let text = format!("{number}: unknown value \"{value}\" to parameter \"{key}\" of tag echo in");
                    return unknown(includes, ex, &text, out);
                }
                *if key == b"decoding" { &mut decoding } else { &mut encoding } = value.to_vec();
            }
            _ => {
                let text = format!("AH01346: unknown parameter \"{}\" in tag echo of", latin1(key));
                return unknown(includes, ex, &text, out);
            }
        }
    }
}

fn set(includes: &Includes, ex: &mut Exchange, element: &Element, out: &mut Vec<u8>) {
    if element.pairs.len() < 2 {
        return unknown(includes, ex, "AH01362: missing argument for set element in", out);
    }
    let (mut encoding, mut decoding, mut name) = (b"none".to_vec(), b"none".to_vec(), None);
    for (key, value) in &element.pairs {
        let value = value.as_deref().unwrap_or_default();
        match (key.as_slice(), &name) {
            (b"var", _) => name = Some(value.to_vec()),
            (b"value", Some(name)) => {
                let value = text::expand(value, &ex.env);
                let value = text::code(&value, &decoding, true).and_then(|value| text::code(&value, &encoding, false));
                let name = text::expand(name, &ex.env);
                ex.env.set(&name, &value.unwrap_or_default());
            }
            (b"value", None) => {
                return unknown(includes, ex, "AH01363: variable must precede value in set directive in", out);
            }
            (b"decoding", _) => decoding = value.to_vec(),
            (b"encoding", _) => encoding = value.to_vec(),
            _ => return unknown(includes, ex, "AH01364: Invalid tag for set directive in", out),
        }
    }
}

fn config(includes: &mut Includes, ex: &mut Exchange, element: &Element, out: &mut Vec<u8>) {
    if is_bare(includes, ex, element, "AH01347", out) {
        return;
    }
    for (key, value) in &element.pairs {
        let value = text::expand(value.as_deref().unwrap_or_default(), &ex.env);
        match key.as_slice() {
            b"errmsg" => includes.error = value,
            b"echomsg" => includes.undefined = value,
            b"timefmt" => {
                includes.time = value;
                includes.set_times(ex);
            }
            b"sizefmt" if value == b"bytes" => includes.size = SizeFormat::Bytes,
            b"sizefmt" if value == b"abbrev" => includes.size = SizeFormat::Abbreviated,
            b"sizefmt" => {
                let value = latin1(&value);
                let text = format!("AH01348: unknown value \"{value}\" to parameter \"sizefmt\" of tag config in");
                return unknown(includes, ex, &text, out);
            }
            _ => {
                let text = format!("AH01349: unknown parameter \"{}\" to tag config in", latin1(key));
                return unknown(includes, ex, &text, out);
            }
        }
    }
}

/// `fsize` and `flastmod`.
async fn about(includes: &Includes, ex: &Exchange, element: &Element, out: &mut Vec<u8>) {
    let size = element.name == b"fsize";
    if is_bare(includes, ex, element, if size { "AH01350" } else { "AH01351" }, out) {
        return;
    }
    for (key, value) in &element.pairs {
        let name = text::expand(&text::entities(value.as_deref().unwrap_or_default()), &ex.env);
        let failed = |number: &str, what: &str| format!("{number}: {what} \"{}\" in parsed file", latin1(&name));
        let (sub, failed) = match key.as_slice() {
            b"file" if !is_below(&name) => {
                let (failed, file) = (failed("AH02668", "unable to access file"), Bytes(&ex.filename));
                logs::error!(ex, Level::Error, "include", ABOVE => "{} {}", failed, file);
                return includes.fail(out);
            }
            b"file" => {
                let failed = failed("AH02670", "unable to lookup information about");
                (Some(pipe::lookup_file(ex, &name).await), failed)
            }
            b"virtual" => {
                let failed = failed("AH01339", "unable to get information about");
                (Some(pipe::lookup(ex, &name).await), failed)
            }
            _ => {
                let text =
                    format!("AH01340: unknown parameter \"{}\" to tag {} in", latin1(key), latin1(&element.name));
                return unknown(includes, ex, &text, out);
            }
        };
        let found = sub.filter(|sub| sub.status == 200).and_then(|sub| sub.finfo);
        let Some(found) = found else { return unknown(includes, ex, &failed, out) };
        if size {
            push_size(found.len(), includes.size, out);
        } else {
            let micros = std::os::unix::fs::MetadataExt::mtime(&found).saturating_mul(1_000_000);
            push_strftime(out, &includes.time, micros);
        }
    }
}

/// A size: with commas, or in four characters.
fn push_size(size: u64, format: SizeFormat, out: &mut Vec<u8>) {
    if format == SizeFormat::Bytes {
        let mut digits = Vec::new();
        push_u64(&mut digits, size);
        for (at, digit) in digits.iter().enumerate() {
            if at > 0 && (digits.len() - at) % 3 == 0 {
                out.push(b',');
            }
            out.push(*digit);
        }
        return;
    }
    out.extend_from_slice(short_size(Some(size)).as_bytes());
}

fn printenv(includes: &Includes, ex: &Exchange, element: &Element, out: &mut Vec<u8>) {
    if !element.pairs.is_empty() {
        return unknown(includes, ex, "AH01367: printenv directive does not take tags in", out);
    }
    for (name, value) in ex.env.iter() {
        escape_html(name, out);
        out.push(b'=');
        escape_html(value, out);
        out.push(b'\n');
    }
}

/// Runs a program, if the server has one of the modules that run any.
async fn exec(includes: &mut Includes, ex: &mut Exchange, element: &Element, out: &mut Vec<u8>) -> bool {
    let Some(kind) = cgi::loaded(ex) else { return false };
    if element.pairs.is_empty() {
        complain_of(ex, kind, "AH03195: missing argument for exec element in");
        includes.fail(out);
        return true;
    }
    for (key, value) in &element.pairs {
        if includes.no_exec {
            complain_of(ex, kind, "AH01228: exec used but not allowed in");
            includes.fail(out);
            return true;
        }
        let name = text::expand(&text::entities(value.as_deref().unwrap_or_default()), &ex.env);
        match key.as_slice() {
            b"cmd" => match cgi::shell(ex, kind, &name) {
                Ok(running) => includes.part = Some(Source::Program(Box::new(running))),
                Err(_) => {
                    complain_of(ex, kind, "AH01229: execution failure for parameter \"cmd\" to tag exec in file");
                    includes.fail(out);
                }
            },
            b"cgi" => script(includes, ex, kind, name, out).await,
            _ => {
                complain_of(ex, kind, &format!("AH01231: unknown parameter \"{}\" to tag exec in", latin1(key)));
                includes.fail(out);
            }
        }
        if includes.part.is_some() {
            break;
        }
    }
    true
}

fn complain_of(ex: &Exchange, kind: &cgi::Kind, text: &str) {
    logs::error!(ex, Level::Error, kind.module(), "{} {}", text, Bytes(&ex.filename));
}

/// `exec cgi`: a script that gets the document's own path and query.
async fn script(includes: &mut Includes, ex: &mut Exchange, kind: &cgi::Kind, name: Vec<u8>, out: &mut Vec<u8>) {
    let mut sub = pipe::lookup(ex, &name).await;
    let regular = sub.finfo.as_ref().is_some_and(std::fs::Metadata::is_file);
    if sub.status != 200 || !regular || !sub.path_info.is_empty() || sub.args.is_some() {
        complain_of(ex, kind, &format!("AH01230: invalid CGI ref \"{}\" in", latin1(&name)));
        return includes.fail(out);
    }
    sub.path_info.clone_from(&ex.path_info);
    sub.args.clone_from(&ex.args);
    sub.handler = b"cgi-script".to_vec();
    includes.part = Some(Source::Part { part: part_of(sub), name, other: None, quiet: true, status: None });
}

/// Whether a request that became part of another document was filled in itself.
pub(super) fn was_filled_in(sub: &Exchange) -> bool {
    sub.ext.get::<Used>().is_some_and(|used| used.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shown_in_four_characters_or_with_commas() {
        let size = |size, format| {
            let mut out = Vec::new();
            push_size(size, format, &mut out);
            String::from_utf8(out).unwrap()
        };
        let short: Vec<String> = [0, 4, 972, 973, 1024, 12345, 1_234_567, 10_000_000_000]
            .map(|number| size(number, SizeFormat::Abbreviated))
            .into();
        assert_eq!(short, ["  0 ", "  4 ", "972 ", "1.0K", "1.0K", " 12K", "1.2M", "9.3G"]);
        assert_eq!(size(1_234_567, SizeFormat::Bytes), "1,234,567");
        assert_eq!(size(123, SizeFormat::Bytes), "123");
    }

    #[test]
    fn files_stay_in_their_folder() {
        assert!(is_below(b"a/b..c") && !is_below(b"/a") && !is_below(b"a/../b") && !is_below(b".."));
    }
}

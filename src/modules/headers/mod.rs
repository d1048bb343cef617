//! `mod_headers.c`: changes of request and response fields.

mod value;

use std::sync::Arc;

use smallvec::SmallVec;

use self::value::Value;
use crate::base::pattern::{Captures, Pattern, substitute};
use crate::config::{
    Args, Cmd, Conf, Directive, ModuleRow, Places, Server, Shape, Slots, get_word, get_words, latin1, row,
};
use crate::expr::{Expr, Scratch};
use crate::logs::{self, Level};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::{self, Hook, Module, Outcome, Phase, Run};
use crate::web::{Exchange, Line, Origin, Table};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "headers_module",
        file: "mod_headers.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// Values per directory: outer changes first.
#[derive(Clone, Default)]
pub struct HeadersDir {
    /// Those of a request whose directory is known.
    known: Changes,
    /// Those that say `early`.
    early: Changes,
}

/// Changes by the fields that are changed.
#[derive(Clone, Default)]
struct Changes {
    /// RequestHeader.
    request: Vec<Arc<Change>>,
    /// Header, `onsuccess`.
    success: Vec<Arc<Change>>,
    /// Header, `always`.
    always: Vec<Arc<Change>>,
}

impl Changes {
    fn list(&self, which: Which) -> &Vec<Arc<Change>> {
        match which {
            Which::Request => &self.request,
            Which::Success => &self.success,
            Which::Always => &self.always,
        }
    }

    fn push(&mut self, which: Which, change: Arc<Change>) {
        match which {
            Which::Request => self.request.push(change),
            Which::Success => self.success.push(change),
            Which::Always => self.always.push(change),
        }
    }

    fn join(base: &Self, add: &Self) -> Self {
        let join = |base: &[Arc<Change>], add: &[Arc<Change>]| base.iter().chain(add).cloned().collect();
        Self {
            request: join(&base.request, &add.request),
            success: join(&base.success, &add.success),
            always: join(&base.always, &add.always),
        }
    }
}

impl Conf for HeadersDir {
    const SLOT: usize = slot::HEADERS + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        Self { known: Changes::join(&base.known, &add.known), early: Changes::join(&base.early, &add.early) }
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("Header", Places::FILEINFO, Shape::Raw, header, "an optional condition, an action, header and value followed by optional env clause"),
    row("RequestHeader", Places::FILEINFO, Shape::Raw, request_header, "an action, header and value followed by optional env clause"),
];

/// The hooks.
pub const HOOKS: &[Hook] = &[
    Hook { phase: Phase::PostRead, order: -10, wants: any_early, run: Run::Now(early) },
    Hook { phase: Phase::Fixups, order: 10, wants: any_request, run: Run::Now(request) },
    Hook { phase: Phase::Head, order: 0, wants: any_response, run: Run::Now(response) },
];

/// One directive.
struct Change {
    action: Action,
    name: Vec<u8>,
    when: When,
    /// It is about the content type.
    typed: bool,
    /// The field, if it is the same for all requests.
    line: Option<Line>,
}

enum Action {
    Set(Value),
    SetIfEmpty(Value),
    Add(Value),
    Append(Value),
    Merge(Value),
    Unset,
    Echo(Pattern),
    Note(Value),
    Edit { pattern: Pattern, with: Value, all: bool },
}

enum When {
    Always,
    Early,
    Env(Vec<u8>),
    NotEnv(Vec<u8>),
    Expr(Arc<Expr>),
}

fn wants(dir: &Slots, of: impl Fn(&HeadersDir) -> bool) -> bool {
    dir.get::<HeadersDir>().is_some_and(of)
}

fn any_early(_: &Server, dir: &Slots) -> bool {
    wants(dir, |conf| {
        [Which::Request, Which::Success, Which::Always].iter().any(|which| !conf.early.list(*which).is_empty())
    })
}

fn any_request(_: &Server, dir: &Slots) -> bool {
    wants(dir, |conf| !conf.known.request.is_empty())
}

fn any_response(_: &Server, dir: &Slots) -> bool {
    wants(dir, |conf| !(conf.known.success.is_empty() && conf.known.always.is_empty()))
}

fn header(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let (word, rest) = get_word(args.raw);
    if word.eq_ignore_ascii_case(b"always") {
        return change(cmd, rest, Which::Always);
    }
    let text = if word.eq_ignore_ascii_case(b"onsuccess") { rest } else { args.raw };
    change(cmd, text, Which::Success)
}

fn request_header(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    change(cmd, args.raw, Which::Request)
}

fn optional(text: &[u8]) -> (Option<Vec<u8>>, &[u8]) {
    if text.is_empty() {
        return (None, text);
    }
    let (word, rest) = get_word(text);
    (Some(word), rest)
}

fn change(cmd: &mut Cmd<'_>, text: &[u8], which: Which) -> Result<(), String> {
    let response = which != Which::Request;
    // Action, name, value, replacement and condition.
    const MOST_WORDS: usize = 5;
    const ACTIONS: &str = "first argument must be 'add', 'set', 'setifempty', 'append', 'merge', 'unset', 'echo', \
                           'note', 'edit', or 'edit*'.";
    if get_words(text).len() > MOST_WORDS {
        return Err(format!("{} has too many arguments", cmd.directive.name));
    }
    let (action, text) = get_word(text);
    let action = action.to_ascii_lowercase();
    let known: &[&[u8]] =
        &[b"set", b"setifempty", b"add", b"append", b"merge", b"unset", b"echo", b"note", b"edit", b"edit*"];
    if !known.contains(&action.as_slice()) {
        return Err(ACTIONS.to_owned());
    }
    let (mut name, text) = get_word(text);
    let (mut value, text) = optional(text);
    let edits = matches!(action.as_slice(), b"edit" | b"edit*");
    let (with, text) = if edits { optional(text) } else { (None, text) };
    let (mut clause, text) = optional(text);
    if !text.is_empty() {
        return Err("Too many arguments to directive".to_owned());
    }
    let needed = |value: &Option<Vec<u8>>| match value {
        Some(value) => Value::read(cmd, value),
        None => Err("Header requires three arguments".to_owned()),
    };
    let action = match action.as_slice() {
        b"set" => Action::Set(needed(&value)?),
        b"setifempty" => Action::SetIfEmpty(needed(&value)?),
        b"add" => Action::Add(needed(&value)?),
        b"append" => Action::Append(needed(&value)?),
        b"merge" => Action::Merge(needed(&value)?),
        b"unset" | b"echo" => {
            if value.is_some() && clause.is_some() {
                return Err("header unset takes two arguments".to_owned());
            }
            clause = value.take();
            if action == b"unset" {
                Action::Unset
            } else if response {
                let pattern = cmd.pattern(&name, false);
                Action::Echo(pattern.map_err(|_| "Header echo regex could not be compiled".to_owned())?)
            } else {
                return Err("Header echo only valid on Header directives".to_owned());
            }
        }
        b"note" if !response => return Err("RequestHeader does not support the 'note' action".to_owned()),
        b"note" => Action::Note(needed(&value)?),
        b"edit" | b"edit*" => {
            let (Some(pattern), Some(with)) = (value, with) else {
                return Err("Header edit requires a match and a substitution".to_owned());
            };
            let pattern =
                cmd.pattern(&pattern, false).map_err(|_| "Header edit regex could not be compiled".to_owned())?;
            Action::Edit { pattern, with: Value::read(cmd, &with)?, all: action == b"edit*" }
        }
        _ => return Err(ACTIONS.to_owned()),
    };
    let when = match clause.as_deref() {
        None => When::Always,
        Some(word) if word.eq_ignore_ascii_case(b"early") => When::Early,
        Some(word) => read_clause(cmd, word)?,
    };
    if name.last() == Some(&b':') {
        name.pop();
    }
    let typed = response && name.eq_ignore_ascii_case(b"Content-Type");
    let line = match &action {
        Action::Set(value) | Action::SetIfEmpty(value) | Action::Add(value) if !typed => value.constant(),
        _ => None,
    };
    let line = line.map(|value| Line::new(&name, &value));
    let conf = cmd.dir_conf::<HeadersDir>();
    let changes = if matches!(when, When::Early) { &mut conf.early } else { &mut conf.known };
    changes.push(which, Arc::new(Change { action, name, when, typed, line }));
    Ok(())
}

fn read_clause(cmd: &Cmd<'_>, word: &[u8]) -> Result<When, String> {
    let prefix = |len: usize, text: &[u8]| word.get(..len).is_some_and(|start| start.eq_ignore_ascii_case(text));
    if prefix(5, b"expr=") {
        let condition = cmd.condition(&word[5..]);
        return condition.map(When::Expr).map_err(|why| format!("Can't parse envclause/expression: {why}"));
    }
    if !prefix(4, b"env=") {
        return Err(format!("Unknown parameter: {}", latin1(word)));
    }
    match &word[4..] {
        b"" | b"!" => {
            Err("error: missing environment variable name. envclause should be in the form env=envar ".to_owned())
        }
        [b'!', name @ ..] => Ok(When::NotEnv(name.to_vec())),
        name => Ok(When::Env(name.to_vec())),
    }
}

/// Buffers of one worker thread, reused from request to request.
#[derive(Default)]
struct Work {
    value: Vec<u8>,
    other: Vec<u8>,
    expr: Scratch,
    captures: Captures,
}

/// The fields that are changed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Request,
    Success,
    Always,
}

impl Which {
    fn table(self, ex: &mut Exchange) -> &mut Table {
        match self {
            Self::Request => &mut ex.headers_in,
            Self::Success => &mut ex.headers_out,
            Self::Always => &mut ex.err_headers_out,
        }
    }
}

fn apply(ex: &mut Exchange, which: Which, early: bool) {
    thread_local! {
        static WORK: std::cell::Cell<Option<Box<Work>>> = const { std::cell::Cell::new(None) };
    }
    let chain = ex.chain.clone();
    let Some(conf) = chain.dir.get::<HeadersDir>() else { return };
    let changes = if early { conf.early.list(which) } else { conf.known.list(which) };
    if changes.is_empty() {
        return;
    }
    let mut work = WORK.take().unwrap_or_default();
    for change in changes {
        let carried_out = holds(ex, change, &mut work.expr);
        if matches!(change.when, When::Expr(_)) {
            pipe::vary(ex, &mut work.expr);
        }
        if !carried_out {
            continue;
        }
        if let Some(line) = &change.line {
            let table = which.table(ex);
            match change.action {
                Action::Set(_) => table.set_line(line),
                Action::Add(_) => table.add_line(line),
                _ if table.contains(line.name()) => {}
                _ => table.add_line(line),
            }
            continue;
        }
        carry_out(ex, which, change, &mut work);
        // What a value asks for does not count.
        work.expr.take_vary();
    }
    WORK.set(Some(work));
}

fn holds(ex: &Exchange, change: &Change, scratch: &mut Scratch) -> bool {
    match &change.when {
        When::Always | When::Early => true,
        When::Env(name) => ex.env.contains(name),
        When::NotEnv(name) => !ex.env.contains(name),
        When::Expr(condition) => condition.eval(ex, scratch).unwrap_or_else(|error| {
            logs::error!(ex, Level::Error, "headers", "AH01501: Failed to evaluate expression (ignoring): {error}");
            false
        }),
    }
}

fn carry_out(ex: &mut Exchange, which: Which, change: &Change, work: &mut Work) {
    let name = &change.name;
    let value = match &change.action {
        Action::Set(value)
        | Action::SetIfEmpty(value)
        | Action::Add(value)
        | Action::Append(value)
        | Action::Merge(value)
        | Action::Note(value) => Some(value),
        Action::Edit { with, .. } => Some(with),
        Action::Unset | Action::Echo(_) => None,
    };
    if let Some(value) = value {
        value.push(ex, work);
    }
    let Work { value, other, captures, .. } = work;
    let typed = change.typed;
    match &change.action {
        Action::Set(_) if typed => value.clone_into(&mut ex.content_type),
        Action::Set(_) => which.table(ex).set(name, value),
        Action::SetIfEmpty(_) if typed => {
            if ex.content_type.is_empty() {
                value.clone_into(&mut ex.content_type);
            }
        }
        Action::SetIfEmpty(_) => which.table(ex).set_if_absent(name, value),
        Action::Add(_) => which.table(ex).add(name, value),
        Action::Append(_) => which.table(ex).merge(name, value),
        Action::Merge(_) => {
            let table = which.table(ex);
            if !table.get(name).is_some_and(|old| has_element(old, value)) {
                table.merge(name, value);
            }
        }
        Action::Unset => {
            if typed {
                ex.content_type.clear();
            }
            which.table(ex).unset(name);
        }
        Action::Echo(pattern) => {
            let found: Vec<_> = ex
                .headers_in
                .iter()
                .filter(|(name, _)| pattern.is_match(name))
                .map(|(name, value)| (name.to_vec(), value.to_vec()))
                .collect();
            // In whichever table the directive is.
            for (name, value) in found {
                ex.headers_out.add(&name, &value);
            }
        }
        Action::Note(_) => {
            other.clear();
            if let Some(now) = which.table(ex).get(name) {
                other.extend_from_slice(now);
                ex.notes.set(value, other);
            }
        }
        Action::Edit { pattern, all, .. } => {
            if typed && !ex.content_type.is_empty() {
                let now = std::mem::take(&mut ex.content_type);
                edit(pattern, value, *all, &now, captures, &mut ex.content_type);
            }
            let table = which.table(ex);
            if !table.contains(name) {
                return;
            }
            // As in httpd the edited fields go to the end.
            let mut edited: SmallVec<[Vec<u8>; 4]> = SmallVec::new();
            for now in table.get_all(name) {
                let mut value_now = Vec::new();
                edit(pattern, value, *all, now, captures, &mut value_now);
                edited.push(value_now);
            }
            table.unset(name);
            for value in &edited {
                table.add(name, value);
            }
        }
    }
}

/// Whether the comma-separated list holds this element.
fn has_element(list: &[u8], element: &[u8]) -> bool {
    list.split(|byte| *byte == b',').any(|item| item.trim_ascii() == element.trim_ascii())
}

/// Appends `now` with the first match, or every one, replaced.
fn edit(pattern: &Pattern, with: &[u8], all: bool, now: &[u8], captures: &mut Captures, out: &mut Vec<u8>) {
    let mut rest = now;
    while pattern.captures(rest, captures) {
        let Some((start, end)) = captures.get(0) else { break };
        out.extend_from_slice(&rest[..start]);
        substitute(with, rest, captures, out);
        if end == start {
            // Nothing was taken away: go on behind the next byte, or for ever.
            let Some(byte) = rest.get(end) else {
                rest = b"";
                break;
            };
            out.push(*byte);
            rest = &rest[end + 1..];
        } else {
            rest = &rest[end..];
        }
        if !all {
            break;
        }
    }
    out.extend_from_slice(rest);
}

/// Before anything else is known of the request.
fn early(ex: &mut Exchange) -> Outcome {
    apply(ex, Which::Request, true);
    apply(ex, Which::Always, true);
    apply(ex, Which::Success, true);
    Outcome::Declined
}

fn request(ex: &mut Exchange) -> Outcome {
    apply(ex, Which::Request, false);
    Outcome::Declined
}

/// The server's own error pages carry only what is always sent.
fn response(ex: &mut Exchange) -> Outcome {
    apply(ex, Which::Always, false);
    if !ex.response.canned && ex.response.origin != Origin::Status {
        apply(ex, Which::Success, false);
    }
    Outcome::Declined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(pattern: &str, with: &str, all: bool, now: &str) -> String {
        let pattern = Pattern::new(pattern.as_bytes(), crate::base::pattern::Flags::default()).unwrap();
        let mut out = Vec::new();
        edit(&pattern, with.as_bytes(), all, now.as_bytes(), &mut Captures::new(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_are_edited_once_or_everywhere() {
        assert_eq!(edited("a(.)", "<$1>", false, "xabac"), "x<b>ac");
        assert_eq!(edited("a(.)", "<$1>", true, "xabac"), "x<b><c>");
        assert_eq!(edited("z", "y", true, "abc"), "abc");
        assert_eq!(edited("x*", "-", true, "ab"), "-a-b-");
        assert_eq!(edited("$", ";s", false, "c=1"), "c=1;s");
    }

    #[test]
    fn elements_of_lists_are_found() {
        assert!(has_element(b"a, b ,c", b"b") && !has_element(b"ab", b"b"));
    }
}

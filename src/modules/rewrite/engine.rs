//! Carries out a list of rules for one request.

use std::os::unix::fs::PermissionsExt as _;

use super::effects::{absolute, integer, qualify, set_cookie, set_env, split_query};
use super::gate::{Head, Known};
use super::rule::{Cond, Kind, Rule, flag};
use super::text::{Part, Var};
use super::{Listed, RewriteServer, map, program};
use crate::base::pattern::{Captures, Pattern};
use crate::expr::Scratch;
use crate::logs::{self, Bytes, Level, Source as _};
use crate::web::Exchange;

/// How a list of rules ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Nothing changed.
    Same,
    /// [`Exchange::filename`] (and the query) changed.
    Changed {
        /// The redirect must not be escaped.
        no_escape: bool,
        /// Status of a redirect.
        code: u16,
        /// What begins the path is the client's choice, so it is no path of the file system.
        unsafe_prefix: bool,
        /// `PT`: others are to map the new name.
        pass: bool,
    },
    /// The request ends with this status.
    Status(u16),
}

/// The longest name that a rule may make.
const NAME_MAX: usize = 16_380;

/// So many rounds are made before other requests have their turn.
const ROUNDS_AT_ONCE: u32 = 64;

/// What `END` leaves behind: no more rules for this request.
#[derive(Default)]
pub(super) struct Ended(pub bool);

/// Buffers of one worker thread, reused from request to request.
#[derive(Default)]
pub(super) struct Work {
    /// What patterns are tried on.
    uri: Vec<u8>,
    head: Head,
    /// A rule matched: what is known of names and texts may not hold any more.
    stale: bool,
    known: Known,
    test: Vec<u8>,
    new: Vec<u8>,
    rule: Captures,
    cond: Captures,
    tried: Captures,
    cond_text: Vec<u8>,
    expr: Scratch,
    /// The last condition that matched was an expression: its groups are `%n`.
    cond_is_expr: bool,
    vary: Vec<u8>,
    vary_now: Vec<u8>,
    /// Steps are logged: asked once, not at each of a long list of rules.
    traced: bool,
    /// A group that went into the text had a question mark in it that the client had escaped.
    question_mark: bool,
}

/// Runs `rules`; `dir` is the prefix of a directory context.
pub(super) async fn run(ex: &mut Exchange, rules: &[Listed], dir: Option<&[u8]>) -> End {
    thread_local! {
        static WORK: std::cell::Cell<Option<Box<Work>>> = const { std::cell::Cell::new(None) };
    }
    let mut work = WORK.take().unwrap_or_default();
    work.traced = ex.enabled(Level::Trace2, "rewrite");
    let end = list(ex, rules, dir, &mut work).await;
    WORK.set(Some(work));
    end
}

async fn list(ex: &mut Exchange, rules: &[Listed], dir: Option<&[u8]>, work: &mut Work) -> End {
    work.stale = true;
    let mut end = End::Same;
    let mut rounds = 0u32;
    let mut at = 0;
    while let Some(Listed { gate, rule }) = rules.get(at) {
        at += 1;
        if ex.sub_depth > 0 && gate.has(flag::NO_SUBREQUEST | flag::REDIRECT) {
            continue;
        }
        if work.stale {
            work.look(ex, dir);
        }
        // The log is told of every step.
        let shut = !work.traced && gate.is_shut(work.head, rule, ex, &mut work.known);
        match if shut { Step::NoMatch } else { one(ex, rule, dir, work).await } {
            Step::NoMatch => {
                let mut chained = gate;
                while chained.has(flag::CHAIN) {
                    let Some(next) = rules.get(at) else { break };
                    chained = &next.gate;
                    at += 1;
                }
                continue;
            }
            Step::Status(code) => return End::Status(code),
            Step::Match => {
                end = End::Changed {
                    no_escape: rule.has(flag::NO_ESCAPE),
                    code: rule.code,
                    unsafe_prefix: super::text::begins_variable(&rule.output) && !rule.has(flag::PREFIX_STAT),
                    pass: false,
                };
            }
            Step::NoChange => {}
        }
        work.stale = true;
        if ex.filename.len() > NAME_MAX {
            logs::error!(
                ex,
                Level::Error,
                "rewrite",
                "RewriteRule '{}' and URI '{}' exceeded maximum length ({NAME_MAX})",
                Bytes(rule.pattern.source()),
                Bytes(&ex.uri)
            );
            return End::Status(500);
        }
        if rule.has(flag::PASS) {
            // What is an absolute URL stays one, which then is no path for anybody.
            let path = !rule.has(flag::PROXY) && absolute(&ex.filename).is_none();
            if path && dir.is_none() && ex.filename.first() != Some(&b'/') {
                ex.filename.insert(0, b'/');
            }
            return End::Changed { no_escape: false, code: rule.code, unsafe_prefix: false, pass: true };
        }
        if rule.has(flag::END) {
            ex.ext.get_mut::<Ended>().0 = true;
            break;
        }
        if rule.has(flag::PROXY | flag::LAST) {
            break;
        }
        if rule.has(flag::NEXT) {
            rounds += 1;
            if rounds >= rule.rounds {
                logs::error!(
                    ex,
                    Level::Error,
                    "rewrite",
                    "AH02596: RewriteRule '{}' and URI '{}' exceeded maximum number of rounds ({}) via the [N] flag",
                    Bytes(rule.pattern.source()),
                    Bytes(&ex.uri),
                    rule.rounds
                );
                return End::Status(500);
            }
            if rounds.is_multiple_of(ROUNDS_AT_ONCE) {
                // Others on this thread are not to wait for the end of a loop.
                tokio::task::yield_now().await;
            }
            at = 0;
            continue;
        }
        at += rule.skip;
    }
    end
}

enum Step {
    NoMatch,
    NoChange,
    Match,
    Status(u16),
}

impl Work {
    /// Takes the name that patterns are tried on, and forgets what was known.
    fn look(&mut self, ex: &Exchange, dir: Option<&[u8]>) {
        self.stale = false;
        self.known.forget();
        self.uri.clear();
        self.uri.extend_from_slice(&ex.filename);
        if let Some(dir) = dir {
            self.uri.extend_from_slice(&ex.path_info);
            if !ex.filename.starts_with(b"proxy:") && self.uri.starts_with(dir) {
                self.uri.drain(..dir.len());
            }
        }
        self.head = Head::of(&self.uri);
    }
}

async fn one(ex: &mut Exchange, rule: &Rule, dir: Option<&[u8]>, work: &mut Work) -> Step {
    if work.traced {
        let (pattern, uri) = (Bytes(rule.pattern.source()), Bytes(&work.uri));
        logs::error!(ex, Level::Trace3, "rewrite", "applying pattern '{pattern}' to uri '{uri}'");
    }
    let matched = match rule.pattern.try_captures(&work.uri, &mut work.rule) {
        Ok(matched) => matched,
        Err(_) => {
            limit_hit(ex, rule.pattern.source());
            false
        }
    };
    if matched == rule.has(flag::NOT) {
        return Step::NoMatch;
    }
    if rule.has(flag::NOT) {
        work.rule.clear();
    }
    work.cond.clear();
    work.cond_text.clear();
    work.cond_is_expr = false;
    work.vary.clear();
    if !conditions(ex, &rule.conds, work).await {
        return Step::NoMatch;
    }
    if !work.vary.is_empty() {
        ex.headers_out.merge(b"Vary", &work.vary);
    }
    work.question_mark = false;
    let mut new = std::mem::take(&mut work.new);
    new.clear();
    if !rule.has(flag::NO_CHANGE) {
        expand(ex, &rule.output, Some(rule), work, &mut new).await;
        if work.question_mark && !rule.has(flag::ALLOW_3F) {
            work.new = new;
            logs::error!(
                ex,
                Level::Error,
                "rewrite",
                "AH10508: Unsafe URL with %3f URL rewritten without UnsafeAllow3F"
            );
            return Step::Status(403);
        }
        if work.traced {
            logs::error!(ex, Level::Trace2, "rewrite", "rewrite '{}' -> '{}'", Bytes(&work.uri), Bytes(&new));
        }
    }
    let step = carry_out(ex, rule, dir, work, &mut new).await;
    work.new = new;
    step
}

async fn carry_out(ex: &mut Exchange, rule: &Rule, dir: Option<&[u8]>, work: &mut Work, new: &mut Vec<u8>) -> Step {
    let mut text = Vec::new();
    for env in &rule.env {
        text.clear();
        expand(ex, env, None, work, &mut text).await;
        set_env(ex, &text);
    }
    for cookie in &rule.cookies {
        text.clear();
        expand(ex, cookie, None, work, &mut text).await;
        set_cookie(ex, &text);
    }
    if rule.has(flag::NO_CHANGE) {
        force_type(ex, rule, work).await;
        return if rule.has(flag::STATUS) { Step::Status(rule.code) } else { Step::NoChange };
    }
    let proxied = ex.filename.starts_with(b"proxy:");
    if let Some(dir) = dir
        && !proxied
        && new.first() != Some(&b'/')
        && absolute(new).is_none()
    {
        new.splice(..0, dir.iter().copied());
    }
    new.clone_into(&mut ex.filename);
    split_query(ex, rule);
    if rule.has(flag::DISCARD_PATH_INFO) {
        ex.path_info.clear();
    }
    if rule.has(flag::STATUS) {
        return Step::Status(rule.code);
    }
    if rule.has(flag::PROXY) {
        qualify(ex);
        let mut name = b"proxy:".to_vec();
        name.append(&mut ex.filename);
        ex.filename = name;
        force_type(ex, rule, work).await;
        return Step::Match;
    }
    if rule.has(flag::REDIRECT) {
        qualify(ex);
        return Step::Match;
    }
    if absolute(&ex.filename).is_none() {
        force_type(ex, rule, work).await;
    }
    Step::Match
}

fn limit_hit(ex: &Exchange, pattern: &[u8]) {
    logs::error!(
        ex,
        Level::Error,
        "rewrite",
        "the pattern '{}' took too many steps and counts as not matching",
        Bytes(pattern)
    );
}

/// Conditions joined by "and", those with OR to their successors by "or".
async fn conditions(ex: &Exchange, conds: &[Cond], work: &mut Work) -> bool {
    let mut at = 0;
    while let Some(cond) = conds.get(at) {
        at += 1;
        work.vary_now.clear();
        let holds = condition(ex, cond, work).await;
        if cond.no_vary {
            work.vary_now.clear();
        }
        if cond.or {
            if !holds {
                continue;
            }
            // The rest of the alternatives does not matter any more.
            let mut alternative = cond;
            while alternative.or {
                let Some(next) = conds.get(at) else { break };
                alternative = next;
                at += 1;
            }
        } else if !holds {
            return false;
        }
        if !work.vary_now.is_empty() {
            if !work.vary.is_empty() {
                work.vary.extend_from_slice(b", ");
            }
            work.vary.extend_from_slice(&work.vary_now);
        }
    }
    true
}

async fn condition(ex: &Exchange, cond: &Cond, work: &mut Work) -> bool {
    if let Some(holds) = condition_at_once(ex, cond, work) {
        return holds;
    }
    let mut test = std::mem::take(&mut work.test);
    test.clear();
    expand(ex, &cond.test, None, work, &mut test).await;
    let holds = holds(ex, cond, &test, work).await;
    if work.traced {
        let verdict = if holds != cond.not { "matched" } else { "not-matched" };
        logs::error!(ex, Level::Trace4, "rewrite", "RewriteCond: input='{}' => {verdict}", Bytes(&test));
    }
    work.test = test;
    holds != cond.not
}

/// As [`condition`], of the usual kind: a pattern, and a text that is there.
fn condition_at_once(ex: &Exchange, cond: &Cond, work: &mut Work) -> Option<bool> {
    let (Kind::Pattern(pattern), [Part::Var(var)]) = (&cond.kind, cond.test.as_slice()) else { return None };
    if work.traced {
        return None;
    }
    let text = var.kept(ex)?;
    let needed = pattern.needed();
    let may = match cond.subject.filter(|_| !needed.is_empty()) {
        Some(subject) => work.known.may_match(subject, &needed, || Some(text)),
        None => true,
    };
    let holds = (may && matches(ex, cond, pattern, text, work)) != cond.not;
    if holds && !cond.no_vary {
        var.note_vary(ex, &mut work.vary_now);
    }
    Some(holds)
}

/// Before `!`; notes the groups.
fn matches(ex: &Exchange, cond: &Cond, pattern: &Pattern, text: &[u8], work: &mut Work) -> bool {
    let matched = match cond.not {
        true => pattern.try_is_match(text),
        false => pattern.try_captures(text, &mut work.tried),
    };
    match matched {
        // What does not match, or must not, leaves the groups of those before it.
        Ok(true) if !cond.not => {
            std::mem::swap(&mut work.cond, &mut work.tried);
            work.cond_text.clear();
            work.cond_text.extend_from_slice(text);
            work.cond_is_expr = false;
            true
        }
        Ok(matched) => matched,
        Err(_) => {
            limit_hit(ex, pattern.source());
            false
        }
    }
}

/// Before `!`.
async fn holds(ex: &Exchange, cond: &Cond, test: &[u8], work: &mut Work) -> bool {
    let path = || std::path::Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(test));
    let is = |check: fn(&std::fs::Metadata) -> bool| std::fs::metadata(path()).is_ok_and(|meta| check(&meta));
    match &cond.kind {
        Kind::Pattern(pattern) => matches(ex, cond, pattern, test, work),
        Kind::Expr(condition) => match condition.eval(ex, &mut work.expr) {
            Ok(holds) => {
                if holds && !cond.not {
                    work.cond_is_expr = true;
                }
                holds
            }
            Err(error) => {
                logs::error!(ex, Level::Error, "rewrite", "AH10507: RewriteCond: expr evaluation failed: {error}");
                false
            }
        },
        Kind::Directory => is(std::fs::Metadata::is_dir),
        Kind::File => is(std::fs::Metadata::is_file),
        Kind::Size => is(|meta| meta.is_file() && meta.len() > 0),
        Kind::Link => std::fs::symlink_metadata(path()).is_ok_and(|meta| meta.is_symlink()),
        Kind::Executable => is(|meta| meta.permissions().mode() & 0o111 != 0),
        Kind::Url => {
            !test.is_empty() && ex.sub_depth == 0 && {
                let sub = Box::pin(crate::pipe::lookup(ex, test)).await;
                sub.status < 400
            }
        }
        Kind::FileAccess => {
            !test.is_empty() && ex.sub_depth == 0 && {
                let sub = Box::pin(crate::pipe::lookup_file(ex, test)).await;
                sub.status < 300 && sub.finfo.as_ref().is_some_and(std::fs::Metadata::is_file)
            }
        }
        Kind::Number(compare, with) => {
            let mut other = Vec::new();
            Box::pin(expand(ex, with, None, work, &mut other)).await;
            compare.holds(integer(test).cmp(&integer(&other)))
        }
        Kind::Text(compare, with) => {
            let mut other = Vec::new();
            Box::pin(expand(ex, with, None, work, &mut other)).await;
            if cond.no_case {
                let folded = |text: &[u8]| text.to_ascii_lowercase();
                return compare.holds(folded(test).cmp(&folded(&other)));
            }
            compare.holds(test.len().cmp(&other.len()).then_with(|| test.cmp(&other)))
        }
    }
}

/// Appends the value of a text. `rule` says how groups are escaped.
async fn expand(ex: &Exchange, parts: &[Part], rule: Option<&Rule>, work: &mut Work, out: &mut Vec<u8>) {
    for part in parts {
        let before = out.len();
        match part {
            Part::Text(text) => out.extend_from_slice(text),
            Part::Rule(group) => {
                let text = work.rule.text(usize::from(*group), &work.uri);
                work.question_mark |= group_into(text, rule, out);
            }
            Part::Cond(group) => {
                let text = if work.cond_is_expr {
                    work.expr.group(usize::from(*group))
                } else {
                    work.cond.text(usize::from(*group), &work.cond_text)
                };
                work.question_mark |= group_into(text, rule, out);
            }
            Part::Var(Var::AheadUrl(var)) => {
                // In a directory the whole name of the file is taken for a path, as httpd does.
                let name = [ex.filename.as_slice(), &ex.path_info].concat();
                let target = if name.is_empty() { &ex.uri } else { &name };
                if ex.sub_depth == 0 && !target.is_empty() {
                    let sub = Box::pin(crate::pipe::lookup(ex, target)).await;
                    var.push(&sub, &mut work.vary_now, out);
                }
            }
            Part::Var(Var::AheadFile(var)) => {
                if ex.sub_depth == 0 && !ex.filename.is_empty() {
                    let sub = Box::pin(crate::pipe::lookup_file(ex, &ex.filename)).await;
                    var.push(&sub, &mut work.vary_now, out);
                }
            }
            Part::Var(var) => var.push(ex, &mut work.vary_now, out),
            Part::Map { map: name, key, default } => {
                let mut wanted = Vec::new();
                // What is asked for becomes no part of a path.
                let question_mark = work.question_mark;
                Box::pin(expand(ex, key, rule, work, &mut wanted)).await;
                work.question_mark = question_mark;
                let found = match find_map(ex, name) {
                    Some(map) => match &map.kind {
                        map::Kind::Program(asked) => program::ask(ex, asked, &wanted).await,
                        _ => map::look_up(ex, &map, &wanted),
                    },
                    None => None,
                };
                match found.filter(|value| !value.is_empty()) {
                    Some(value) => out.extend_from_slice(&value),
                    None => Box::pin(expand(ex, default, rule, work, out)).await,
                }
            }
        }
        if matches!(part, Part::Var(_) | Part::Map { .. }) {
            let (path, value) = out.split_at_checked(before).unwrap_or_default();
            work.question_mark |= !path.contains(&b'?') && value.contains(&b'?');
        }
    }
}

fn find_map(ex: &Exchange, name: &[u8]) -> Option<std::sync::Arc<map::Map>> {
    let conf = ex.server().get::<RewriteServer>()?;
    conf.maps.iter().find(|map| map.name == name).cloned()
}

/// Appends a group; says whether it brought a question mark along, which would make a query of what was a path.
fn group_into(text: &[u8], rule: Option<&Rule>, out: &mut Vec<u8>) -> bool {
    let in_path = !out.contains(&b'?');
    let Some(rule) = rule.filter(|rule| rule.has(flag::ESCAPE_GROUPS | flag::ESCAPE_CONTROLS)) else {
        out.extend_from_slice(text);
        return in_path && text.contains(&b'?');
    };
    for byte in text {
        let keep = if rule.has(flag::ESCAPE_GROUPS) {
            match (&rule.escaped, &rule.spared) {
                (Some(only), _) => !only.contains(byte),
                (None, spared) => {
                    byte.is_ascii_alphanumeric()
                        || *byte == b'_'
                        || spared.as_ref().is_some_and(|spared| spared.contains(byte))
                }
            }
        } else {
            !(byte.is_ascii_control() || *byte == b' ')
        };
        if keep {
            out.push(*byte);
        } else if *byte == b' ' && !rule.has(flag::NO_PLUS) {
            out.push(b'+');
        } else {
            out.push(b'%');
            crate::base::path::push_hex_lower(*byte, out);
        }
    }
    // What was not escaped may still hold one.
    in_path && rule.escaped.as_ref().is_some_and(|only| !only.contains(&b'?')) && text.contains(&b'?')
}

/// Notes for the fixups that follow all rules.
async fn force_type(ex: &mut Exchange, rule: &Rule, work: &mut Work) {
    for (text, note, lower) in [(&rule.mime, super::FORCED_TYPE, true), (&rule.handler, super::FORCED_HANDLER, true)] {
        let Some(text) = text else { continue };
        let mut value = Vec::new();
        expand(ex, text, Some(rule), work, &mut value).await;
        if lower {
            value.make_ascii_lowercase();
        }
        if !value.is_empty() {
            ex.notes.set(note, &value);
        }
    }
}

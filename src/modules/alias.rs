//! `mod_alias.c`: parts of the URL space mapped to files elsewhere, or to other URLs.

use std::sync::Arc;

use crate::base::path::escape_path;
use crate::base::pattern::{Captures, Pattern, substitute};
use crate::config::{
    Args, Cmd, Conf, Directive, ModuleRow, Place, Places, Position, SectionKind, Server, Shape, Slots, inner_or_outer,
    latin1, row,
};
use crate::expr::Template;
use crate::logs::{self, Bytes, Level};
use crate::modules::core::files::server_root_relative;
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::{self, Hook, Module, Outcome, Phase, Run, names};
use crate::web::Exchange;

mod target;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "alias_module",
        file: "mod_alias.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// One line of a list of aliases or redirects.
struct Entry {
    fake: Fake,
    /// Where it leads; absent for statuses that have no target.
    real: Option<Vec<u8>>,
    /// `cgi-script` for the Script forms.
    script: bool,
    /// Of a redirect.
    status: u16,
}

/// What an entry matches.
enum Fake {
    /// Whole segments at the start of the path.
    Prefix(Vec<u8>),
    Regex(Pattern),
}

/// Values per server: a virtual host's own entries stand in front of the main server's.
#[derive(Clone, Default)]
struct AliasServer {
    aliases: Vec<Arc<Entry>>,
    redirects: Vec<Arc<Entry>>,
}

impl Conf for AliasServer {
    const SLOT: usize = slot::ALIAS;

    fn merge(base: &Self, add: &Self) -> Self {
        Self {
            aliases: add.aliases.iter().chain(&base.aliases).cloned().collect(),
            redirects: add.redirects.iter().chain(&base.redirects).cloned().collect(),
        }
    }
}

/// An alias or a redirect of a whole section, whose target is an expression.
struct Whole {
    /// Target; absent for statuses that have none.
    template: Option<Arc<Template>>,
    /// The section's path.
    fake: Vec<u8>,
    script: bool,
    status: u16,
    at: Position,
    /// It stands in a `<Location>`: httpd redirects before it looks for a file.
    early: bool,
}

/// Values per directory.
#[derive(Clone, Default)]
struct AliasDir {
    redirects: Vec<Arc<Entry>>,
    alias: Option<Arc<Whole>>,
    redirect: Option<Arc<Whole>>,
    relative: Option<bool>,
    preserve_path: Option<bool>,
}

impl Conf for AliasDir {
    const SLOT: usize = slot::ALIAS + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        inner_or_outer!(
            base, add; alias, redirect, relative, preserve_path;
            redirects: add.redirects.iter().chain(&base.redirects).cloned().collect()
        )
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("Alias", Places::DIR.or(Places::SERVER), Shape::Take12, alias, "a fakename and a realname, or a realname in a Location"),
    row("ScriptAlias", Places::DIR.or(Places::SERVER), Shape::Take12, script_alias, "a fakename and a realname, or a realname in a Location"),
    row("Redirect", Places::FILEINFO, Shape::Take123, redirect_found, "an optional status, then document to be redirected and destination URL"),
    row("AliasMatch", Places::SERVER, Shape::Take2, alias_match, "a regular expression and a filename"),
    row("ScriptAliasMatch", Places::SERVER, Shape::Take2, script_alias_match, "a regular expression and a filename"),
    row("RedirectMatch", Places::FILEINFO, Shape::Take23, redirect_match, "an optional status, then a regular expression and destination URL"),
    row("RedirectTemp", Places::FILEINFO, Shape::Take2, redirect_found, "a document to be redirected, then the destination URL"),
    row("RedirectPermanent", Places::FILEINFO, Shape::Take2, redirect_permanent, "a document to be redirected, then the destination URL"),
    row("RedirectRelative", Places::FILEINFO, Shape::Flag, redirect_relative, "Set to ON to allow relative redirect targets to be issued as-is"),
    row("AliasPreservePath", Places::FILEINFO, Shape::Flag, preserve_path, "Set to ON to map the full path after the fakename to the realname."),
];

/// The hooks.
const HOOKS: &[Hook] = &[
    Hook { phase: Phase::Translate, order: 0, wants: wants_translate, run: Run::Now(translate) },
    Hook { phase: Phase::Fixups, order: 0, wants: wants_fixup, run: Run::Now(fixup) },
];

fn wants_translate(server: &Server, dir: &Slots) -> bool {
    let lists = server.get::<AliasServer>();
    lists.is_some_and(|lists| !lists.aliases.is_empty() || !lists.redirects.is_empty())
        || dir.get::<AliasDir>().is_some_and(|dir| dir.alias.is_some() || dir.redirect.is_some())
}

fn wants_fixup(_: &Server, dir: &Slots) -> bool {
    dir.get::<AliasDir>().is_some_and(|dir| dir.redirect.is_some() || !dir.redirects.is_empty())
}

type Done = Result<(), String>;

fn alias(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    add_alias(cmd, args, false)
}

fn script_alias(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    add_alias(cmd, args, true)
}

fn add_alias(cmd: &mut Cmd<'_>, args: &Args<'_>, script: bool) -> Done {
    let fake = args.word(0);
    let Some(real) = args.opt(1) else { return whole_alias(cmd, fake, script) };
    cmd.forbid(&[SectionKind::Limit])?;
    if cmd.section_path.is_some() {
        return Err(format!("{} cannot occur within directory context", cmd.directive.name));
    }
    push_alias(cmd, Fake::Prefix(fake.to_vec()), fake, real, script);
    Ok(())
}

/// `Alias target` inside `<Location>`.
fn whole_alias(cmd: &mut Cmd<'_>, target: &[u8], script: bool) -> Done {
    cmd.forbid(&[SectionKind::Limit, SectionKind::Directory, SectionKind::Files])?;
    let Some(path) = cmd.section_path else {
        return Err("Alias must have two arguments when used globally".to_owned());
    };
    let template =
        cmd.template(target).map_err(|why| format!("Cannot parse alias expression '{}': {why}", latin1(target)))?;
    let whole =
        Whole { template: Some(template), fake: path.to_vec(), script, status: 0, at: cmd.at.clone(), early: true };
    cmd.dir_conf::<AliasDir>().alias = Some(Arc::new(whole));
    Ok(())
}

fn alias_match(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    add_alias_match(cmd, args, false)
}

fn script_alias_match(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    add_alias_match(cmd, args, true)
}

fn add_alias_match(cmd: &mut Cmd<'_>, args: &Args<'_>, script: bool) -> Done {
    let pattern = pattern(cmd, args.word(0))?;
    push_alias(cmd, Fake::Regex(pattern), args.word(0), args.word(1), script);
    Ok(())
}

fn pattern(cmd: &Cmd<'_>, text: &[u8]) -> Result<Pattern, String> {
    cmd.pattern(text, false).map_err(|_| "Regular expression could not be compiled.".to_owned())
}

fn push_alias(cmd: &mut Cmd<'_>, fake: Fake, written: &[u8], real: &[u8], script: bool) {
    let overlaps = |entry: &&Arc<Entry>| match &entry.fake {
        Fake::Prefix(prefix) => matched_prefix(written, prefix).is_some(),
        Fake::Regex(pattern) => pattern.is_match(written),
    };
    let earlier = cmd.server_conf::<AliasServer>().aliases.iter().find(overlaps).map(|entry| {
        let script = if entry.script { "Script" } else { "" };
        let form = if matches!(entry.fake, Fake::Regex(_)) { "Match" } else { "" };
        format!("{script}Alias{form}")
    });
    if let Some(earlier) = earlier {
        let text = format!(
            "AH00671: The {} directive in {} at line {} will probably never match because it overlaps an earlier \
             {earlier}.",
            cmd.directive.name, cmd.at.file, cmd.at.line
        );
        cmd.warn("alias", "warn", text);
    }
    let entry = Entry { fake, real: Some(real.to_vec()), script, status: 0 };
    cmd.server_conf::<AliasServer>().aliases.push(Arc::new(entry));
}

fn redirect_found(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    add_redirect(cmd, args, 302, false)
}

fn redirect_permanent(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    add_redirect(cmd, args, 301, false)
}

fn redirect_match(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    add_redirect(cmd, args, 302, true)
}

/// The status that a first word stands for.
fn status_word(word: &[u8]) -> Option<u16> {
    Some(match word.to_ascii_lowercase().as_slice() {
        b"permanent" => 301,
        b"temp" => 302,
        b"seeother" => 303,
        b"gone" => 410,
        [b'0'..=b'9', ..] => {
            let digits = word.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let number = std::str::from_utf8(&word[..digits]).ok().and_then(|digits| digits.parse().ok());
            number.unwrap_or(u16::MAX)
        }
        _ => return None,
    })
}

fn is_redirect(status: u16) -> bool {
    (300..400).contains(&status)
}

fn add_redirect(cmd: &mut Cmd<'_>, args: &Args<'_>, default: u16, regex: bool) -> Done {
    let given = status_word(args.word(0));
    let status = given.unwrap_or(default);
    let third = args.opt(2);
    if third.is_some() && given.is_none() {
        return Err("Redirect: invalid first argument (of three)".to_owned());
    }
    // Without a path of its own, a redirect in a section is for the whole section.
    let second = args.words.get(1).copied();
    let whole = third.is_none() && (second.is_none() || (given.is_some() && is_redirect(status)));
    if cmd.section_path.is_some() && whole {
        let target = if given.is_some() { second } else { Some(args.word(0)) };
        return whole_redirect(cmd, target, status);
    }
    let (fake, target) = match given {
        Some(_) => (second, third),
        None => (Some(args.word(0)), second),
    };
    let matcher = match (fake, regex) {
        (Some(fake), true) => Some(Fake::Regex(pattern(cmd, fake)?)),
        (Some(fake), false) => Some(Fake::Prefix(fake.to_vec())),
        (None, _) => None,
    };
    match target {
        None if is_redirect(status) => return Err("URL to redirect to is missing".to_owned()),
        Some(_) if !is_redirect(status) => return Err("Redirect URL not valid for this status".to_owned()),
        Some(target) if !regex && target.first() != Some(&b'/') && !target::is_url(target) => {
            return Err("Redirect to non-URL".to_owned());
        }
        _ => {}
    }
    // httpd's own process falls over a status without a path at server level; it never matches here.
    let Some(fake) = matcher else { return Ok(()) };
    let entry = Arc::new(Entry { fake, real: target.map(<[u8]>::to_vec), script: false, status });
    if cmd.section_path.is_some() {
        cmd.dir_conf::<AliasDir>().redirects.push(entry);
    } else {
        cmd.server_conf::<AliasServer>().redirects.push(entry);
    }
    Ok(())
}

fn whole_redirect(cmd: &mut Cmd<'_>, target: Option<&[u8]>, status: u16) -> Done {
    if target.is_none() && is_redirect(status) {
        return Err("URL to redirect to is missing".to_owned());
    }
    let template = match target {
        None => None,
        Some(text) => Some(
            cmd.template(text).map_err(|why| format!("Cannot parse redirect expression '{}': {why}", latin1(text)))?,
        ),
    };
    let fake = cmd.section_path.unwrap_or_default().to_vec();
    let early = matches!(cmd.place, Place::Section(SectionKind::Location));
    let whole = Whole { template, fake, script: false, status, at: cmd.at.clone(), early };
    cmd.dir_conf::<AliasDir>().redirect = Some(Arc::new(whole));
    Ok(())
}

fn redirect_relative(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.dir_conf::<AliasDir>().relative = Some(args.on());
    Ok(())
}

fn preserve_path(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.dir_conf::<AliasDir>().preserve_path = Some(args.on());
    Ok(())
}

/// How much of `path` the fake name covers: whole segments, any run of slashes equal to any other.
fn matched_prefix(path: &[u8], fake: &[u8]) -> Option<usize> {
    let (mut at, mut rest) = (0, fake);
    let slashes = |text: &[u8]| text.iter().take_while(|byte| **byte == b'/').count();
    while let Some(byte) = rest.first() {
        let here = path.get(at..).unwrap_or_default();
        if *byte == b'/' {
            let run = slashes(here);
            if run == 0 {
                return None;
            }
            at += run;
            rest = rest.get(slashes(rest)..).unwrap_or_default();
        } else {
            if here.first() != Some(byte) {
                return None;
            }
            at += 1;
            rest = rest.get(1..).unwrap_or_default();
        }
    }
    let ends = fake.last() == Some(&b'/') || matches!(path.get(at), None | Some(b'/'));
    (at > 0 && ends).then_some(at)
}

/// What a list of entries made of a path.
struct Hit {
    /// The target, empty where there is none.
    found: Vec<u8>,
    status: u16,
    script: bool,
}

/// The first entry that matches.
fn search(ex: &mut Exchange, entries: &[Arc<Entry>], redirect: bool) -> Option<Hit> {
    for entry in entries {
        let mut found = Vec::new();
        match &entry.fake {
            Fake::Prefix(prefix) => {
                let Some(covered) = matched_prefix(&ex.uri, prefix) else { continue };
                let rest = ex.uri.get(covered..).unwrap_or_default();
                let context = names::Context {
                    prefix: prefix.clone(),
                    root: entry.real.clone().unwrap_or_default(),
                    document_root: None,
                };
                if let Some(real) = &entry.real {
                    found.extend_from_slice(real);
                    if redirect {
                        escape_path(rest, &mut found);
                    } else {
                        found.extend_from_slice(rest);
                    }
                }
                names::set_context(ex, context);
            }
            Fake::Regex(pattern) => {
                let mut groups = Captures::new();
                if !pattern.captures(&ex.uri, &mut groups) {
                    continue;
                }
                if let Some(real) = &entry.real {
                    substitute(real, &ex.uri, &groups, &mut found);
                    if redirect {
                        found = target::escaped(&found);
                    }
                }
            }
        }
        return Some(Hit { found, status: entry.status, script: entry.script });
    }
    None
}

/// Server-level redirects, then aliases; those of a section in front of both.
fn translate(ex: &mut Exchange) -> Outcome {
    if !matches!(ex.uri.first(), None | Some(b'/')) {
        return Outcome::Declined;
    }
    let (chain, live) = (ex.chain.clone(), ex.live.clone());
    let dir = chain.dir.get::<AliasDir>();
    let lists = live.generation.servers.get(ex.server).and_then(Server::get::<AliasServer>);
    let relative = dir.and_then(|dir| dir.relative).unwrap_or(false);
    if let Some(whole) = dir.and_then(|dir| dir.redirect.as_deref()) {
        return redirect_section(ex, whole, relative);
    }
    if let Some(lists) = lists
        && let Some(hit) = search(ex, &lists.redirects, true)
    {
        return send(ex, hit.found, hit.status, relative, OF_SERVERS);
    }
    let hit = match dir.and_then(|dir| dir.alias.as_deref()) {
        Some(whole) => match alias_section(ex, whole, dir.and_then(|dir| dir.preserve_path) == Some(true)) {
            Ok(found) => Some(Hit { found, status: 0, script: whole.script }),
            Err(outcome) => return outcome,
        },
        None => lists.and_then(|lists| search(ex, &lists.aliases, false)),
    };
    let Some(hit) = hit else { return Outcome::Declined };
    if hit.script {
        ex.handler = b"cgi-script".to_vec();
        ex.notes.set(b"alias-forced-type", b"cgi-script");
    }
    ex.filename = server_root_relative(ex, hit.found);
    Outcome::Ok
}

/// Redirects of directories, `.htaccess` files and `<If>`.
fn fixup(ex: &mut Exchange) -> Outcome {
    let chain = ex.chain.clone();
    let Some(dir) = chain.dir.get::<AliasDir>() else { return Outcome::Declined };
    let relative = dir.relative.unwrap_or(false);
    if let Some(whole) = dir.redirect.as_deref() {
        return redirect_section(ex, whole, relative);
    }
    match search(ex, &dir.redirects, true) {
        Some(hit) => send(ex, hit.found, hit.status, relative, OF_DIRECTORIES),
        None => Outcome::Declined,
    }
}

/// The value of a section's target, or 500 with httpd's two lines.
fn evaluated(ex: &Exchange, whole: &Whole, number: &str, what: &str) -> Result<Vec<u8>, Outcome> {
    let mut found = Vec::new();
    let Some(template) = &whole.template else { return Ok(found) };
    pipe::expand(ex, template, &mut found).map_err(|error| {
        let Position { file, line } = &whole.at;
        logs::error!(ex, Level::Error, "alias", "Evaluation of expression from {}:{} failed: {}", file, line, error);
        logs::error!(ex, Level::Error, "alias", "{}: Can't evaluate {} expression: {}", number, what, error);
        Outcome::Status(500)
    })?;
    Ok(found)
}

fn redirect_section(ex: &mut Exchange, whole: &Whole, relative: bool) -> Outcome {
    match evaluated(ex, whole, "AH02826", "redirect") {
        Ok(found) => {
            let numbers = if whole.early { OF_SERVERS } else { OF_DIRECTORIES };
            send(ex, target::escaped(&found), whole.status, relative, numbers)
        }
        Err(outcome) => outcome,
    }
}

fn alias_section(ex: &mut Exchange, whole: &Whole, preserve: bool) -> Result<Vec<u8>, Outcome> {
    let mut found = evaluated(ex, whole, "AH02825", "alias")?;
    if preserve && let Some(covered) = matched_prefix(&ex.uri, &whole.fake) {
        let context = names::Context { prefix: whole.fake.clone(), root: found.clone(), document_root: None };
        found.extend_from_slice(ex.uri.get(covered..).unwrap_or_default());
        names::set_context(ex, context);
    }
    Ok(found)
}

/// Numbers of the messages about targets of redirects.
const OF_SERVERS: [&str; 2] = ["AH00673", "AH00674"];
const OF_DIRECTORIES: [&str; 2] = ["AH00675", "AH00676"];

/// Answers with a redirect, or with a status that has no target.
fn send(ex: &mut Exchange, found: Vec<u8>, status: u16, relative: bool, numbers: [&str; 2]) -> Outcome {
    if !is_redirect(status) {
        return Outcome::Status(status);
    }
    let mut url = found;
    if url.first() == Some(&b'/') {
        if !relative {
            let mut whole = Vec::with_capacity(url.len() + 32);
            names::push_url(ex, &url, &mut whole);
            let (target, uri, now) = (Bytes(&url), Bytes(&ex.uri), Bytes(&whole));
            logs::error!(
                ex,
                Level::Debug,
                "alias",
                "{}: incomplete redirection target of '{}' for URI '{}' modified to '{}'",
                numbers[0],
                target,
                uri,
                now
            );
            url = whole;
        }
    } else if !target::is_url(&url) {
        let (uri, url) = (Bytes(&ex.uri), Bytes(&url));
        logs::error!(
            ex,
            Level::Error,
            "alias",
            "{}: cannot redirect '{}' to '{}'; target is not a valid absoluteURI or abs_path",
            numbers[1],
            uri,
            url
        );
        return Outcome::Status(500);
    }
    if let Some(args) = &ex.args
        && !url.contains(&b'?')
    {
        url.push(b'?');
        url.extend_from_slice(args);
    }
    ex.headers_out.set(b"Location", &url);
    Outcome::Status(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_match_whole_segments_and_any_run_of_slashes() {
        let covered = |path: &str, fake: &str| matched_prefix(path.as_bytes(), fake.as_bytes());
        assert_eq!(covered("/a", "/a"), Some(2));
        assert_eq!(covered("/a/b", "/a"), Some(2));
        assert_eq!(covered("/ab", "/a"), None);
        assert_eq!(covered("/c", "/c/"), None);
        assert_eq!(covered("/c/d", "/c/"), Some(3));
        assert_eq!(covered("/c///d", "/c/"), Some(5));
        assert_eq!(covered("/al/x/f", "/al//x"), Some(5));
        assert_eq!(covered("/anything", "/"), Some(1));
        assert_eq!(covered("/x", ""), None);
        assert_eq!(covered("/a b/c", "/a b"), Some(4));
    }

    #[test]
    fn first_words_are_statuses() {
        for (word, status) in [("Permanent", 301), ("temp", 302), ("seeother", 303), ("gone", 410), ("12x", 12)] {
            assert_eq!(status_word(word.as_bytes()), Some(status));
        }
        assert_eq!(status_word(b"99999999"), Some(u16::MAX));
        assert_eq!(status_word(b"/x"), None);
    }

    #[test]
    fn a_virtual_hosts_entries_come_first() {
        let entry = |fake: &str| {
            let fake = Fake::Prefix(fake.as_bytes().to_vec());
            Arc::new(Entry { fake, real: None, script: false, status: 410 })
        };
        let base = AliasServer { aliases: vec![], redirects: vec![entry("/main")] };
        let add = AliasServer { aliases: vec![], redirects: vec![entry("/host")] };
        let merged = AliasServer::merge(&base, &add);
        let names: Vec<&[u8]> = merged
            .redirects
            .iter()
            .map(|entry| match &entry.fake {
                Fake::Prefix(prefix) => prefix.as_slice(),
                Fake::Regex(_) => b"",
            })
            .collect();
        assert_eq!(names, [b"/host".as_slice(), b"/main"]);
    }
}

//! `mod_rewrite.c`: rules that change URLs.
//!
//! [`rule`] is what was read, [`text`] its texts, [`map`] the maps; [`engine`] carries a list of rules out, [`gate`]
//! leaves most of them out, [`effects`] is what each does besides; [`context`] is what becomes of the result in a server and in a directory. Here are the
//! directives and hooks.

mod context;
mod effects;
mod engine;
mod gate;
mod map;
mod program;
mod rule;
mod text;

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Place, Places, Server, Shape, Slots, latin1, row};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::{Hook, Module, Outcome, Phase, Run, Waiting};
use crate::web::{Exchange, Wire};

use context::{in_dir, in_server};
use gate::Gate;
use rule::{Cond, Rule};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "rewrite_module",
        file: "mod_rewrite.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// RewriteOptions as bits.
mod option {
    pub(super) const INHERIT: u16 = 1;
    pub(super) const INHERIT_BEFORE: u16 = 1 << 1;
    pub(super) const NO_SLASH: u16 = 1 << 2;
    pub(super) const ANY_URI: u16 = 1 << 3;
    pub(super) const MERGE_BASE: u16 = 1 << 4;
    pub(super) const INHERIT_DOWN: u16 = 1 << 5;
    pub(super) const INHERIT_DOWN_BEFORE: u16 = 1 << 6;
    pub(super) const IGNORE_INHERIT: u16 = 1 << 7;
    pub(super) const IGNORE_CONTEXT_INFO: u16 = 1 << 8;
    pub(super) const LEGACY_PREFIX: u16 = 1 << 9;
}

/// Values per server.
#[derive(Clone, Default)]
pub struct RewriteServer {
    /// RewriteEngine.
    engine: Option<bool>,
    /// RewriteOptions.
    options: Option<u16>,
    /// RewriteMap.
    maps: Vec<Arc<map::Map>>,
    rules: Vec<Listed>,
    /// Conditions that wait for their rule.
    conds: Vec<Cond>,
    /// The server these were written in: one without any takes no part, whatever the main server says.
    of: usize,
}

impl Conf for RewriteServer {
    const SLOT: usize = slot::REWRITE;

    fn merge(base: &Self, add: &Self) -> Self {
        let mut maps = add.maps.clone();
        maps.extend(base.maps.iter().filter(|map| !add.maps.iter().any(|own| own.name == map.name)).cloned());
        Self {
            engine: add.engine.or(base.engine),
            options: add.options.or(base.options),
            maps,
            rules: inherited(base.options, &base.rules, add.options, &add.rules),
            conds: Vec::new(),
            of: add.of,
        }
    }
}

/// Values per directory.
#[derive(Clone, Default)]
pub struct RewriteDir {
    /// RewriteEngine.
    engine: Option<bool>,
    /// RewriteOptions.
    options: Option<u16>,
    /// RewriteBase.
    base: Option<Vec<u8>>,
    /// The section's path, with a slash at the end.
    directory: Vec<u8>,
    rules: Vec<Listed>,
    /// Conditions that wait for their rule.
    conds: Vec<Cond>,
}

impl Conf for RewriteDir {
    const SLOT: usize = slot::REWRITE + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        let merge_base = add.options.or(base.options).unwrap_or(0) & option::MERGE_BASE != 0;
        Self {
            engine: add.engine.or(base.engine),
            options: add.options.or(base.options),
            base: add.base.clone().or_else(|| base.base.clone().filter(|_| merge_base)),
            directory: add.directory.clone(),
            rules: inherited(base.options, &base.rules, add.options, &add.rules),
            conds: Vec::new(),
        }
    }
}

/// A rule in its list.
#[derive(Clone)]
struct Listed {
    gate: Gate,
    rule: Arc<Rule>,
}

/// The rules of an inner scope, with those of the outer one where RewriteOptions of either says so.
fn inherited(outer: Option<u16>, base: &[Listed], inner: Option<u16>, add: &[Listed]) -> Vec<Listed> {
    let own = inner.unwrap_or(0);
    let down = if own & option::IGNORE_INHERIT != 0 { 0 } else { outer.unwrap_or(0) };
    let join = |first: &[Listed], second: &[Listed]| first.iter().chain(second).cloned().collect();
    if own & option::INHERIT != 0 || down & option::INHERIT_DOWN != 0 {
        join(add, base)
    } else if own & option::INHERIT_BEFORE != 0 || down & option::INHERIT_DOWN_BEFORE != 0 {
        join(base, add)
    } else {
        add.to_vec()
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("RewriteEngine", Places::FILEINFO, Shape::Flag, engine_on, "On or Off to enable or disable (default) the whole rewriting engine"),
    row("RewriteOptions", Places::FILEINFO, Shape::Iterate, options, "List of option strings to set"),
    row("RewriteBase", Places::FILEINFO, Shape::Take1, base, "the base URL of the per-directory context"),
    row("RewriteCond", Places::FILEINFO, Shape::Raw, cond, "an input string and a to be applied regexp-pattern"),
    row("RewriteRule", Places::FILEINFO, Shape::Raw, rewrite_rule, "an URL-applied regexp-pattern and a substitution URL"),
    row("RewriteMap", Places::SERVER, Shape::Take23, rewrite_map, "a mapname and a filename and options"),
];

/// The hooks.
pub const HOOKS: &[Hook] = &[
    Hook { phase: Phase::Translate, order: -20, wants: server_rules, run: Run::Now(translate) },
    Hook { phase: Phase::Translate, order: -20, wants: server_rules_wait, run: Run::Wait(translate_waiting) },
    Hook { phase: Phase::Fixups, order: -20, wants: dir_rules, run: Run::Now(fixup) },
    Hook { phase: Phase::Fixups, order: -20, wants: dir_rules_wait, run: Run::Wait(fixup_waiting) },
    Hook { phase: Phase::Fixups, order: 10, wants: any_rules, run: Run::Now(forced) },
    Hook { phase: Phase::Handler, order: 0, wants: any_dir_rules, run: Run::Handle(redirect) },
];

/// Note with the content type that `T=` forces.
const FORCED_TYPE: &[u8] = b"rewrite-forced-mimetype";
/// Note with the handler that `H=` forces.
const FORCED_HANDLER: &[u8] = b"rewrite-forced-handler";
/// The handler that goes on with another URL.
const REDIRECT_HANDLER: &[u8] = b"redirect-handler";

fn of_server(server: &Server) -> Option<&RewriteServer> {
    server.get::<RewriteServer>().filter(|conf| conf.of == server.index && conf.engine == Some(true))
}

fn waits(server: &Server, rules: &[Listed]) -> bool {
    let maps = server.get::<RewriteServer>().map(|conf| conf.maps.as_slice()).unwrap_or_default();
    let program = |name: &[u8]| maps.iter().any(|map| map.name == name && matches!(map.kind, map::Kind::Program(_)));
    rules.iter().any(|listed| listed.rule.waits(&program))
}

fn server_rules(server: &Server, _: &Slots) -> bool {
    of_server(server).is_some_and(|conf| !conf.rules.is_empty() && !waits(server, &conf.rules))
}

fn server_rules_wait(server: &Server, _: &Slots) -> bool {
    of_server(server).is_some_and(|conf| waits(server, &conf.rules))
}

fn of_dir(dir: &Slots) -> Option<&RewriteDir> {
    // Without rules there is only to be said that they would not be allowed.
    let says = |conf: &RewriteDir| !conf.rules.is_empty() || !text::follows_links(dir);
    dir.get::<RewriteDir>().filter(|conf| conf.engine == Some(true) && says(conf))
}

fn dir_rules(server: &Server, dir: &Slots) -> bool {
    of_dir(dir).is_some_and(|conf| !waits(server, &conf.rules))
}

fn dir_rules_wait(server: &Server, dir: &Slots) -> bool {
    of_dir(dir).is_some_and(|conf| waits(server, &conf.rules))
}

fn any_dir_rules(_: &Server, dir: &Slots) -> bool {
    of_dir(dir).is_some()
}

fn any_rules(server: &Server, dir: &Slots) -> bool {
    of_dir(dir).is_some() || of_server(server).is_some()
}

/// Whether the directive is for the server as a whole.
fn at_server(cmd: &Cmd<'_>) -> bool {
    matches!(cmd.place, Place::Main | Place::VirtualHost)
}

fn server_conf<'a>(cmd: &'a mut Cmd<'_>) -> &'a mut RewriteServer {
    let index = cmd.server.index;
    let conf = cmd.server_conf::<RewriteServer>();
    conf.of = index;
    conf
}

fn dir_conf<'a>(cmd: &'a mut Cmd<'_>) -> &'a mut RewriteDir {
    let mut path = cmd.section_path.unwrap_or_default().to_vec();
    if path.last() != Some(&b'/') {
        path.push(b'/');
    }
    let conf = cmd.dir_conf::<RewriteDir>();
    if conf.directory.is_empty() {
        conf.directory = path;
    }
    conf
}

fn engine_on(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    if at_server(cmd) {
        server_conf(cmd).engine = Some(args.on());
    } else {
        dir_conf(cmd).engine = Some(args.on());
    }
    Ok(())
}

fn options(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let word = args.word(0).to_ascii_lowercase();
    let bit = match word.as_slice() {
        b"inherit" => option::INHERIT,
        b"inheritbefore" => option::INHERIT_BEFORE,
        b"inheritdown" => option::INHERIT_DOWN,
        b"inheritdownbefore" => option::INHERIT_DOWN_BEFORE,
        b"ignoreinherit" => option::IGNORE_INHERIT,
        b"allownoslash" => option::NO_SLASH,
        b"allowanyuri" => option::ANY_URI,
        b"mergebase" => option::MERGE_BASE,
        b"ignorecontextinfo" => option::IGNORE_CONTEXT_INFO,
        b"legacyprefixdocroot" => option::LEGACY_PREFIX,
        _ if word.starts_with(b"maxredirects=") => {
            let text = "AH00664: RewriteOptions: MaxRedirects option has been removed in favor of the global \
                        LimitInternalRecursion directive and will be ignored.";
            cmd.warn("rewrite", "warn", text.to_owned());
            0
        }
        _ => return Err(format!("RewriteOptions: unknown option '{}'", latin1(args.word(0)))),
    };
    let options = if at_server(cmd) { &mut server_conf(cmd).options } else { &mut dir_conf(cmd).options };
    *options = Some(options.unwrap_or(0) | bit);
    Ok(())
}

fn base(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    if at_server(cmd) {
        return Err("RewriteBase: only valid in per-directory config files".to_owned());
    }
    let word = args.word(0);
    if word.first() != Some(&b'/') {
        return Err("RewriteBase: argument is not a valid URL".to_owned());
    }
    dir_conf(cmd).base = Some(word.to_vec());
    Ok(())
}

fn cond(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let cond = rule::cond(cmd, args.raw)?;
    let conds = if at_server(cmd) { &mut server_conf(cmd).conds } else { &mut dir_conf(cmd).conds };
    conds.push(cond);
    Ok(())
}

fn rewrite_rule(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let conds = if at_server(cmd) { &mut server_conf(cmd).conds } else { &mut dir_conf(cmd).conds };
    let conds = std::mem::take(conds);
    let rule = Arc::new(rule::rule(cmd, args.raw, conds)?);
    let rules = if at_server(cmd) { &mut server_conf(cmd).rules } else { &mut dir_conf(cmd).rules };
    rules.push(Listed { gate: Gate::of(&rule), rule });
    Ok(())
}

fn rewrite_map(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let map = Arc::new(map::parse(cmd, args.word(0), args.word(1))?);
    let maps = &mut server_conf(cmd).maps;
    maps.retain(|old| old.name != map.name);
    maps.push(map);
    Ok(())
}

/// Carries a list out that never has to wait.
fn at_once<'a>(future: impl Future<Output = Outcome> + 'a) -> Outcome {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        // `wants` has looked: nothing in these rules waits.
        Poll::Pending => Outcome::Status(500),
    }
}

fn translate(ex: &mut Exchange) -> Outcome {
    at_once(in_server(ex))
}

fn translate_waiting(ex: &mut Exchange) -> Waiting<'_> {
    Box::pin(in_server(ex))
}

fn fixup(ex: &mut Exchange) -> Outcome {
    at_once(in_dir(ex))
}

fn fixup_waiting(ex: &mut Exchange) -> Waiting<'_> {
    Box::pin(in_dir(ex))
}

/// What `T=` and `H=` said, once all rules are through.
fn forced(ex: &mut Exchange) -> Outcome {
    if let Some(kind) = ex.notes.get(FORCED_TYPE) {
        kind.clone_into(&mut ex.content_type);
    }
    if let Some(handler) = ex.notes.get(FORCED_HANDLER) {
        handler.clone_into(&mut ex.handler);
    }
    Outcome::Ok
}

fn redirect<'a>(ex: &'a mut Exchange, _: &'a mut dyn Wire) -> Waiting<'a> {
    Box::pin(async move { if ex.handler == REDIRECT_HANDLER { Outcome::Redirect } else { Outcome::Declined } })
}

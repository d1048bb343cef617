//! `mod_filter.c`: filters that depend on the response, and the names of all filters.

use std::sync::Arc;

use crate::config::core::CoreDir;
use crate::config::{Args, Cmd, Conf, Directive, Globals, ModuleRow, Places, Server, Shape, Slots, latin1, row};
use crate::expr::{Expr, Scratch};
use crate::logs::{self, Bytes, Level};
use crate::modules::cache::marker;
use crate::modules::rows::nothing;
use crate::modules::{ext_filter, slot};
use crate::pipe::{Hook, Module, Outcome, Phase, Run};
use crate::web::{BodyFilter, Exchange, Planned, PlannedInput};

mod protocol;
mod table;

use table::{InputKind, Kind, OutputFilter, find, find_input};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "filter_module",
        file: "mod_filter.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// Values per directory.
#[derive(Clone, Default)]
pub struct FilterDir {
    /// Smart filters by name.
    live: Vec<(Vec<u8>, Smart)>,
    /// Names in the order in which they are inserted.
    chain: Vec<Vec<u8>>,
    /// The chain of the outer scope does not count (`!`, `=`).
    emptied: bool,
}

/// A filter that chooses one of several by the response.
#[derive(Clone, Default)]
struct Smart {
    rank: Option<i16>,
    /// The last declared is asked first.
    providers: Vec<Provider>,
    /// No ranges of the body are asked for, as FilterProtocol says of the filter itself.
    unranged: bool,
}

#[derive(Clone)]
struct Provider {
    filter: Named,
    matches: Match,
}

/// An output filter: one of a module, or one that ExtFilterDefine made.
#[derive(Clone)]
struct Named {
    name: Arc<str>,
    rank: i16,
    /// Handed to what starts it.
    which: usize,
    kind: Kind,
}

impl From<&'static OutputFilter> for Named {
    fn from(row: &'static OutputFilter) -> Self {
        let which = if row.name == "CACHE" { marker::MARK } else { 0 };
        Self { name: row.name.into(), rank: row.rank, which, kind: row.kind }
    }
}

/// The output filter of this name, in any case, if its module is loaded.
fn named(globals: &Globals, name: &[u8]) -> Option<Named> {
    if let Some(row) = find(name, &globals.modules) {
        return Some(row.into());
    }
    let external = ext_filter::find(globals, name, ext_filter::Mode::Output)?;
    let kind = Kind::Here(ext_filter::start);
    Some(Named { name: latin1(name).to_ascii_lowercase().into(), rank: external.rank, which: external.which, kind })
}

#[derive(Clone)]
enum Match {
    Types(Arc<[Vec<u8>]>),
    Expr(Arc<Expr>),
}

impl Conf for FilterDir {
    const SLOT: usize = slot::FILTER + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        let mut live = base.live.clone();
        for (name, smart) in &add.live {
            live.retain(|(old, _)| old != name);
            live.push((name.clone(), smart.clone()));
        }
        let outer: &[Vec<u8>] = if add.emptied { &[] } else { &base.chain };
        let chain = outer.iter().chain(&add.chain).cloned().collect();
        Self { live, chain, emptied: base.emptied || add.emptied }
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("FilterDeclare", Places::OPTIONS, Shape::Take12, declare, "filter-name [filter-type]"),
    row("FilterProvider", Places::OPTIONS, Shape::Take3, provider, "filter-name provider-name match-expression"),
    row("FilterChain", Places::OPTIONS, Shape::Iterate, chain, "list of filter names with optional [+-=!@]"),
    row("FilterTrace", Places::DIR.or(Places::SERVER), Shape::Take2, trace, "filter-name debug-level").moot(),
    row("AddOutputFilterByType", Places::FILEINFO, Shape::Argv, by_type, "output filter name followed by one or more content-types"),
    row("FilterProtocol", Places::OPTIONS, Shape::Take23, protocol::set, "filter-name [provider-name] protocol-args"),
];

/// The hooks.
pub const HOOKS: &[Hook] = &[Hook { phase: Phase::InsertFilter, order: 1, wants, run: Run::Now(insert) }];

fn wants(_: &Server, dir: &Slots) -> bool {
    dir.get::<FilterDir>().is_some_and(|conf| !conf.chain.is_empty())
}

/// What is told of filters for the whole server.
#[derive(Clone, Debug, Default)]
struct Filters {
    /// Smart filters declared so far.
    declared: Vec<Vec<u8>>,
    /// What FilterProtocol says of providers, by name: of each in one place, as in httpd.
    protocol: Vec<(Arc<str>, protocol::Flags)>,
}

impl Conf for Filters {
    const SLOT: usize = slot::FILTER + 2;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// The provider of this name; what this server does not have is refused with it.
fn known_provider(cmd: &mut Cmd<'_>, name: &[u8]) -> Result<Named, String> {
    let found = named(cmd.globals, name).ok_or_else(|| format!("Unknown filter provider {}", latin1(name)))?;
    cmd.refused |= matches!(found.kind, Kind::Missing);
    Ok(found)
}

fn filters<'a>(cmd: &'a mut Cmd<'_>) -> &'a mut Vec<Vec<u8>> {
    &mut cmd.globals.conf.get_mut::<Filters>().declared
}

/// The smart filter of this name in the current scope, made if there is none.
fn smart<'a>(cmd: &'a mut Cmd<'_>, name: &[u8]) -> Option<&'a mut Smart> {
    let live = &mut cmd.dir_conf::<FilterDir>().live;
    if !live.iter().any(|(known, _)| known == name) {
        live.push((name.to_vec(), Smart::default()));
    }
    live.iter_mut().find(|(known, _)| known == name).map(|(_, smart)| smart)
}

/// `FilterDeclare name [type]`.
fn declare(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    filters(cmd).push(args.word(0).to_vec());
    let rank = match args.word(1).to_ascii_uppercase().as_slice() {
        b"CONTENT_SET" => 20,
        b"PROTOCOL" => 30,
        b"CONNECTION" => 50,
        b"NETWORK" => 60,
        _ => 10,
    };
    if let Some(smart) = smart(cmd, args.word(0)) {
        *smart = Smart { rank: Some(rank), ..Smart::default() };
    }
    Ok(())
}

fn provide(cmd: &mut Cmd<'_>, name: &[u8], filter: Named, matches: Match) {
    if let Some(smart) = smart(cmd, name) {
        smart.rank.get_or_insert(filter.rank);
        smart.providers.insert(0, Provider { filter, matches });
    }
}

/// `FilterProvider filter provider expression`.
fn provider(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let filter = known_provider(cmd, args.word(1))?;
    let expr = cmd.condition(args.word(2)).map_err(|why| format!("Error parsing FilterProvider expression:{why}"))?;
    filters(cmd).push(args.word(0).to_vec());
    provide(cmd, args.word(0), filter, Match::Expr(expr));
    Ok(())
}

/// `FilterChain [+-=!@]name`, one word at a time.
fn chain(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let conf = cmd.dir_conf::<FilterDir>();
    match args.word(0).split_first() {
        Some((b'@', name)) => conf.chain.insert(0, name.to_vec()),
        Some((b'-', name)) => conf.chain.retain(|known| !known.eq_ignore_ascii_case(name)),
        Some((b'!', _)) => {
            conf.chain.clear();
            conf.emptied = true;
        }
        Some((b'=', name)) => {
            conf.chain = vec![name.to_vec()];
            conf.emptied = true;
        }
        Some((b'+', name)) => conf.chain.push(name.to_vec()),
        _ => conf.chain.push(args.word(0).to_vec()),
    }
    Ok(())
}

fn trace(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    // Those of the place where it stands.
    if cmd.dir_conf::<FilterDir>().live.iter().any(|(known, _)| known == args.word(0)) {
        return Ok(());
    }
    Err(format!("Undeclared smart filter {}", args.text(0)))
}

/// `AddOutputFilterByType filter type ...`.
fn by_type(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    if args.words.len() < 2 {
        return Err("AddOutputFilterByType requires at least two arguments".to_owned());
    }
    let types: Arc<[Vec<u8>]> = args.words.iter().skip(1).map(|word| word.to_vec()).collect();
    for name in args.word(0).split(|byte| *byte == b';') {
        let filter = known_provider(cmd, name)?;
        let own = [b"BYTYPE:", name].concat();
        let seen = cmd.dir_conf::<FilterDir>().live.iter().any(|(known, _)| *known == own);
        provide(cmd, &own, filter, Match::Types(types.clone()));
        if !seen {
            cmd.dir_conf::<FilterDir>().chain.push(own);
        }
    }
    Ok(())
}

/// What a directive that names filters, with semicolons between them, asks for: a name that only httpd has is refused.
pub fn check_names(cmd: &mut Cmd<'_>, names: &[u8]) {
    // Its module may be loaded later: whether it is counts when a request comes.
    let missing = |name: &[u8]| {
        table::OUTPUT
            .iter()
            .any(|row| row.name.as_bytes().eq_ignore_ascii_case(name) && matches!(row.kind, Kind::Missing))
    };
    if names.split(|byte| *byte == b';').any(missing) {
        cmd.refused = true;
    }
}

/// As [`check_names`], of input filters.
pub fn check_input_names(cmd: &mut Cmd<'_>, names: &[u8]) {
    let missing = |name: &[u8]| {
        table::INPUT
            .iter()
            .any(|row| row.name.as_bytes().eq_ignore_ascii_case(name) && matches!(row.kind, InputKind::Missing))
    };
    if names.split(|byte| *byte == b';').any(missing) {
        cmd.refused = true;
    }
}

/// Asks for filters by name, semicolons between them.
pub fn plan_names(ex: &mut Exchange, names: &[u8]) {
    let live = ex.live.clone();
    for name in names.split(|byte| *byte == b';').filter(|name| !name.is_empty()) {
        match named(&live.generation.globals, name) {
            Some(filter) => {
                if let Kind::Here(start) = filter.kind {
                    ex.plan(Planned { rank: filter.rank, which: filter.which, start });
                }
            }
            None => unknown(ex, name),
        }
    }
}

/// As [`plan_names`], of filters of the request's body.
pub fn plan_input_names(ex: &mut Exchange, names: &[u8]) {
    let live = ex.live.clone();
    for name in names.split(|byte| *byte == b';').filter(|name| !name.is_empty()) {
        match find_input(name, &live.generation.globals.modules) {
            Some(row) => {
                if let InputKind::Here(start) = row.kind {
                    ex.plan_input(PlannedInput { rank: row.rank, which: 0, start, environment: false });
                }
            }
            None => match ext_filter::find(&live.generation.globals, name, ext_filter::Mode::Input) {
                Some(found) => {
                    let (rank, start) = (found.rank, ext_filter::start_input);
                    ex.plan_input(PlannedInput { rank, which: found.which, start, environment: true });
                }
                None => unknown(ex, name),
            },
        }
    }
}

fn unknown(ex: &Exchange, name: &[u8]) {
    logs::error!(ex, Level::Error, "core", "AH00082: an unknown filter was not added: {}", Bytes(name));
}

/// `SetOutputFilter` and `SetInputFilter`: the core's part of inserting filters.
pub fn insert_set(ex: &mut Exchange) -> Outcome {
    if let Some(names) = ex.dir::<CoreDir>().and_then(|dir| dir.input_filters.clone()) {
        plan_input_names(ex, &names);
    }
    if let Some(names) = ex.dir::<CoreDir>().and_then(|dir| dir.output_filters.clone()) {
        plan_names(ex, &names);
    }
    Outcome::Declined
}

/// Inserts the chain.
fn insert(ex: &mut Exchange) -> Outcome {
    let chain = ex.chain.clone();
    let Some(conf) = chain.dir.get::<FilterDir>() else { return Outcome::Declined };
    for (which, name) in conf.chain.iter().enumerate() {
        match conf.live.iter().find(|(known, _)| known == name) {
            Some((_, smart)) => {
                protocol::withhold(ex, smart.unranged);
                ex.plan(Planned { rank: smart.rank.unwrap_or(10), which, start: choose });
            }
            None => logs::error!(ex, Level::Warn, "filter", "AH01380: Unknown filter {} not added", Bytes(name)),
        }
    }
    Outcome::Declined
}

/// Starts the first provider of a smart filter that fits the response.
fn choose(ex: &mut Exchange, which: usize, length: Option<u64>) -> Option<Box<dyn BodyFilter>> {
    let chain = ex.chain.clone();
    let conf = chain.dir.get::<FilterDir>()?;
    let name = conf.chain.get(which)?;
    let (_, smart) = conf.live.iter().find(|(known, _)| known == name)?;
    let fitting = |ex: &mut Exchange, provider: &Provider| {
        let flags = protocol::of(&ex.live, &provider.filter.name);
        fits(ex, &provider.matches) && protocol::apply(ex, flags)
    };
    let provider = smart.providers.iter().find(|provider| fitting(ex, provider))?;
    match provider.filter.kind {
        Kind::Here(start) => start(ex, provider.filter.which, length),
        Kind::Moot | Kind::Missing => None,
    }
}

fn fits(ex: &mut Exchange, matches: &Match) -> bool {
    match matches {
        Match::Types(types) => {
            let end = ex.content_type.iter().position(|byte| matches!(byte, b';' | b' ' | b'\t'));
            let kind = ex.content_type.get(..end.unwrap_or(ex.content_type.len())).unwrap_or_default();
            !kind.is_empty() && types.iter().any(|known| known == kind)
        }
        Match::Expr(expr) => {
            let mut scratch = Scratch::default();
            let truth = expr.eval(&*ex, &mut scratch).unwrap_or_else(|error| {
                let text = "AH01379: Error evaluating filter dispatch condition:";
                logs::error!(ex, Level::Warn, "filter", "{} {}", text, error);
                false
            });
            // Whichever way it went, another client may get another body.
            crate::pipe::vary(ex, &mut scratch);
            truth
        }
    }
}

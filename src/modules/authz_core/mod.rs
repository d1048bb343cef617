//! `mod_authz_core.c`: `Require` and its containers.

pub mod providers;
mod tree;

use std::sync::Arc;

use crate::config::{
    Args, Cmd, Conf, Directive, Fatal, ModuleRow, Open, Places, PostConfig, Section, Server, Shape, Slots, get_word,
    latin1, row,
};
use crate::logs::{self, Level};
use crate::modules::slot;
use crate::pipe::authz::{Acts, Limit, Need, Verdict};
use crate::pipe::{Hook, Module, Outcome, Phase, Run, Waiting};
use crate::web::Exchange;

use tree::Walk;
pub use tree::{Logic, Node};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "authz_core_module",
        file: "mod_authz_core.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: check,
    },
    hooks: HOOKS,
};

/// Values per directory.
#[derive(Clone, Default)]
pub struct AuthzDir {
    /// What must hold; the outermost container of the scope (or of several scopes joined by AuthMerging).
    pub top: Option<Arc<Node>>,
    /// AuthMerging.
    merging: Option<Merging>,
    /// AuthzSendForbiddenOnFailure.
    forbidden: Option<bool>,
    /// Containers that are open while the scope is being read, innermost last.
    open: Vec<Node>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Merging {
    Off,
    And,
    Or,
}

impl Conf for AuthzDir {
    const SLOT: usize = slot::AUTHZ_CORE + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        let forbidden = add.forbidden.or(base.forbidden);
        let (top, merging) = match (add.merging, &add.top) {
            (None, None) => (base.top.clone(), base.merging),
            (None | Some(Merging::Off), _) => (add.top.clone(), add.merging),
            (Some(how), _) => {
                let logic = if how == Merging::And { Logic::All } else { Logic::Any };
                let both = match (&base.top, &add.top) {
                    (Some(base), Some(add)) => Some(Arc::new(Node::both(logic, base.clone(), add.clone()))),
                    (base, add) => base.clone().or_else(|| add.clone()),
                };
                (both, Some(how))
            }
        };
        Self { top, merging, forbidden, open: Vec::new() }
    }
}

/// Providers made by `<AuthzProviderAlias>`.
#[derive(Clone, Default)]
pub struct AuthzProcess {
    aliases: Vec<Alias>,
}

/// A requirement under a name, with directives of its own.
#[derive(Clone)]
struct Alias {
    name: Vec<u8>,
    need: Arc<dyn Need>,
    values: Arc<Slots>,
}

impl Conf for AuthzProcess {
    const SLOT: usize = slot::AUTHZ_CORE + 2;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("<AuthzProviderAlias", Places::SERVER, Shape::Raw, alias, "container for grouping an authorization provider's directives under a provider alias"),
    row("Require", Places::AUTHCFG, Shape::Raw, require, "specifies authorization directives which one must pass (or not) for a request to suceeed"),
    row("<RequireAll", Places::AUTHCFG, Shape::Raw, require_all, "container for grouping authorization directives of which none must fail and at least one must pass for a request to succeed"),
    row("<RequireAny", Places::AUTHCFG, Shape::Raw, require_any, "container for grouping authorization directives of which one must pass for a request to succeed"),
    row("<RequireNone", Places::AUTHCFG, Shape::Raw, require_none, "container for grouping authorization directives of which none must pass for a request to succeed"),
    row("AuthMerging", Places::AUTHCFG, Shape::Take1, merging, "controls how a <Directory>, <Location>, or similar directive's authorization directives are combined with those of its predecessor"),
    row("AuthzSendForbiddenOnFailure", Places::AUTHCFG, Shape::Flag, forbidden, "Controls if an authorization failure should result in a '403 FORBIDDEN' response instead of the HTTP-conforming '401 UNAUTHORIZED'"),
];

/// The hooks.
pub const HOOKS: &[Hook] = &[
    Hook { phase: Phase::AccessEx, order: 10, wants: needs_nothing_looked_up, run: Run::Now(without_user) },
    Hook { phase: Phase::AccessEx, order: 10, wants: needs_names, run: Run::Wait(without_user_named) },
    Hook { phase: Phase::AccessEx, order: 10, wants: type_alone, run: Run::Now(nothing_required) },
    Hook { phase: Phase::Authz, order: 10, wants: asks_nobody, run: Run::Now(with_user) },
    Hook { phase: Phase::Authz, order: 10, wants: asks_others, run: Run::Wait(with_user_asked) },
];

fn top(dir: &Slots) -> Option<&Node> {
    dir.get::<AuthzDir>()?.top.as_deref()
}

fn asks_nobody(_: &Server, dir: &Slots) -> bool {
    top(dir).is_some_and(|top| !top.acts())
}

fn asks_others(_: &Server, dir: &Slots) -> bool {
    top(dir).is_some_and(Node::acts)
}

fn type_alone(_: &Server, dir: &Slots) -> bool {
    top(dir).is_none() && super::authn_core::has_auth_type(dir)
}

/// An AuthType without any Require is a mistake that must not let everybody in.
fn nothing_required(ex: &mut Exchange) -> Outcome {
    let text = "AuthType configured with no corresponding authorization directives";
    logs::error!(ex, Level::Error, "authz_core", "AH01627: {}", text);
    Outcome::Status(500)
}

fn needs_nothing_looked_up(_: &Server, dir: &Slots) -> bool {
    top(dir).is_some_and(|top| !top.looks_up() && !top.acts())
}

fn needs_names(_: &Server, dir: &Slots) -> bool {
    top(dir).is_some_and(|top| top.looks_up() || top.acts())
}

/// `Require [not] provider words`.
fn require(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let (mut name, mut rest) = get_word(args.raw);
    let mut negate = false;
    if name.eq_ignore_ascii_case(b"not") {
        negate = true;
        (name, rest) = get_word(rest);
    }
    let parsed = providers::parse(cmd, &name, rest)?;
    let need = match parsed.values {
        Some(values) => Arc::new(Aliased(parsed.need, values)),
        None => parsed.need,
    };
    let node = Node::provider(need, parsed.shown, negate, Limit::of(cmd));
    if negate {
        let parent = parent_logic(cmd);
        if parent.0 == Logic::Any {
            return Err(format!("negative Require directive has no effect in {} directive", parent.1));
        }
    }
    add(cmd, node);
    Ok(())
}

/// How the current scope's innermost container joins its parts, and its name.
fn parent_logic(cmd: &mut Cmd<'_>) -> (Logic, &'static str) {
    match cmd.dir_conf::<AuthzDir>().open.last() {
        Some(node) => (node.logic(), node.name()),
        None => (Logic::Any, "<RequireAny>"),
    }
}

fn add(cmd: &mut Cmd<'_>, node: Node) {
    let conf = cmd.dir_conf::<AuthzDir>();
    match conf.open.last_mut() {
        Some(parent) => parent.push(node),
        None => {
            let mut top = match conf.top.take() {
                Some(top) => Arc::unwrap_or_clone(top),
                None => Node::container(Logic::Any, false, Limit::default()),
            };
            top.push(node);
            conf.top = Some(Arc::new(top));
        }
    }
}

fn container(cmd: &mut Cmd<'_>, args: &Args<'_>, logic: Logic, negate: bool) -> Result<(), String> {
    let name = cmd.directive.name;
    let Some(close) = memchr::memrchr(b'>', args.raw) else {
        return Err(format!("{name}> directive missing closing '>'"));
    };
    if !args.raw[..close].trim_ascii().is_empty() {
        return Err(format!("{name}> directive doesn't take additional arguments"));
    }
    let limit = Limit::of(cmd);
    cmd.dir_conf::<AuthzDir>().open.push(Node::container(logic, negate, limit));
    cmd.open = Some(Open::Block { leave: Some(close_container), places: Some(Places::AUTHCFG) });
    Ok(())
}

fn close_container(cmd: &mut Cmd<'_>) -> Result<(), String> {
    let Some(node) = cmd.dir_conf::<AuthzDir>().open.pop() else { return Ok(()) };
    if node.is_empty() {
        return Err(format!("{} directive contains no authorization directives", node.name()));
    }
    let parent = parent_logic(cmd);
    if node.is_negated() && parent.0 == Logic::Any {
        return Err(format!("{} directive has no effect in {} directive", node.name(), parent.1));
    }
    add(cmd, node);
    Ok(())
}

fn require_all(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    container(cmd, args, Logic::All, false)
}

fn require_any(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    container(cmd, args, Logic::Any, false)
}

fn require_none(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    container(cmd, args, Logic::Any, true)
}

/// `<AuthzProviderAlias provider alias words>`: the directives of its body hold when the provider is asked by the
/// alias.
fn alias(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.global_only()?;
    let name = cmd.directive.name;
    let Some(close) = memchr::memrchr(b'>', args.raw) else {
        return Err(format!("{name}> directive missing closing '>'"));
    };
    let (provider, rest) = get_word(&args.raw[..close]);
    if provider.is_empty() || get_word(rest).0.is_empty() {
        return Err(format!("{name}> directive requires additional arguments"));
    }
    cmd.open = Some(Open::Detached { leave: add_alias, places: Places::AUTHCFG.or(Places::DIR) });
    Ok(())
}

fn add_alias(cmd: &mut Cmd<'_>, args: &Args<'_>, values: Slots) -> Result<(), String> {
    let name = cmd.directive.name;
    let close = memchr::memrchr(b'>', args.raw).unwrap_or(args.raw.len());
    let (provider, rest) = get_word(&args.raw[..close]);
    let (alias, rest) = get_word(rest);
    let (words, more) = get_word(rest);
    let shown = latin1;
    if !more.is_empty() {
        let (next, _) = get_word(more);
        let text = format!(
            "AH10142: When several arguments ({} {}...) are passed to a {name} directive, they must be enclosed in \
             quotation marks.  Otherwise, only the first one is taken into account",
            shown(&words),
            shown(&next)
        );
        cmd.warn("authz_core", "warn", text);
    }
    let parsed = providers::parse(cmd, &provider, &words).map_err(|why| {
        if why.starts_with("Unknown Authz provider") {
            return why;
        }
        format!("Can't parse 'Require {} {}': {why}", shown(&provider), shown(&words))
    })?;
    // Of an alias of an alias the first one's directives lie on top.
    let values = parsed.values.as_deref().map_or_else(|| values.clone(), |inner| Slots::merged(&values, inner));
    let need = parsed.need.called(&alias).unwrap_or(parsed.need);
    let alias = Alias { name: alias, need, values: Arc::new(values) };
    // The name may be a provider's or an earlier alias's, even this provider's own: from here on it means this.
    cmd.globals.conf.get_mut::<AuthzProcess>().aliases.push(alias);
    Ok(())
}

/// A requirement under directives of its own.
struct Aliased(Arc<dyn Need>, Arc<Slots>);

impl Need for Aliased {
    fn check(&self, ex: &Exchange, _: &Slots) -> Verdict {
        self.0.check(ex, &ex.chain.under(&self.1))
    }

    fn acts(&self) -> Option<&dyn Acts> {
        self.0.acts()
    }

    fn looks_up(&self) -> bool {
        self.0.looks_up()
    }

    fn names(&self, ex: &Exchange) -> Vec<String> {
        self.0.names(ex)
    }
}

fn merging(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let how = match args.word(0) {
        word if word.eq_ignore_ascii_case(b"Off") => Merging::Off,
        word if word.eq_ignore_ascii_case(b"And") => Merging::And,
        word if word.eq_ignore_ascii_case(b"Or") => Merging::Or,
        _ => return Err("AuthMerging must be one of: Off | And | Or".to_owned()),
    };
    cmd.dir_conf::<AuthzDir>().merging = Some(how);
    Ok(())
}

fn forbidden(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.dir_conf::<AuthzDir>().forbidden = Some(args.on());
    Ok(())
}

/// Containers that can never let anybody in are refused once everything is read.
fn check(post: &mut PostConfig<'_>) -> Result<(), Fatal> {
    fn walk(section: &Section) -> Option<&'static str> {
        let here = section.conf.get::<AuthzDir>().and_then(|conf| conf.top.as_deref()?.only_negative());
        here.or_else(|| section.inner.iter().find_map(|inner| walk(inner)))
    }
    let found = post.servers.iter().find_map(|server| {
        let here = server.dir.get::<AuthzDir>().and_then(|conf| conf.top.as_deref()?.only_negative());
        here.or_else(|| server.sections.iter().find_map(|section| walk(section)))
    });
    match found {
        None => Ok(()),
        Some(name) => Err(Fatal {
            text: format!("AH01624: {name} directive contains only negative authorization directives\n"),
            quiet: false,
        }),
    }
}

fn ask(ex: &mut Exchange, top: &Node) -> Verdict {
    let verdict = top.evaluate(ex, &Walk::new(&ex.chain.dir, &[], 0), Logic::All);
    providers::vary(ex);
    verdict
}

/// As [`ask`], of requirements that ask others.
async fn ask_others(ex: &mut Exchange, top: &Node) -> Verdict {
    let (mut told, mut written) = (Vec::new(), 0);
    loop {
        let chain = ex.chain.clone();
        let walk = Walk::new(&chain.dir, &told, written);
        let verdict = top.evaluate(ex, &walk, Logic::All);
        written = walk.written.get();
        let Some(need) = walk.waits.take() else {
            providers::vary(ex);
            return verdict;
        };
        let Some(acts) = need.acts() else { return Verdict::Error };
        told.push(acts.weigh(ex).await);
    }
}

/// Before anybody is asked who they are.
fn without_user(ex: &mut Exchange) -> Outcome {
    let Some(top) = ex.dir::<AuthzDir>().and_then(|conf| conf.top.clone()) else { return Outcome::Declined };
    let verdict = ask(ex, &top);
    decide(ex, verdict)
}

fn decide(ex: &Exchange, verdict: Verdict) -> Outcome {
    match verdict {
        Verdict::Granted => Outcome::Ok,
        Verdict::DeniedNoUser => Outcome::Declined,
        Verdict::Denied | Verdict::Neutral => denied(ex),
        Verdict::Error => Outcome::Status(500),
    }
}

fn without_user_named(ex: &mut Exchange) -> Waiting<'_> {
    Box::pin(async move {
        let Some(top) = ex.dir::<AuthzDir>().and_then(|conf| conf.top.clone()) else { return Outcome::Declined };
        if top.looks_up() {
            providers::look_up(ex, &top).await;
        }
        let verdict = ask_others(ex, &top).await;
        decide(ex, verdict)
    })
}

/// Once it is known who asks.
fn with_user(ex: &mut Exchange) -> Outcome {
    let Some(top) = ex.dir::<AuthzDir>().and_then(|conf| conf.top.clone()) else { return Outcome::Declined };
    let verdict = ask(ex, &top);
    conclude(ex, verdict)
}

fn with_user_asked(ex: &mut Exchange) -> Waiting<'_> {
    Box::pin(async move {
        let Some(top) = ex.dir::<AuthzDir>().and_then(|conf| conf.top.clone()) else { return Outcome::Declined };
        let verdict = ask_others(ex, &top).await;
        conclude(ex, verdict)
    })
}

fn conclude(ex: &Exchange, verdict: Verdict) -> Outcome {
    let forbidden = ex.dir::<AuthzDir>().and_then(|conf| conf.forbidden) == Some(true);
    match verdict {
        Verdict::Granted => Outcome::Ok,
        Verdict::Error => Outcome::Status(500),
        Verdict::DeniedNoUser => {
            logs::error!(
                ex,
                Level::Error,
                "authz_core",
                "AH01629: authorization failure (no authenticated user): {}",
                logs::Bytes(&ex.uri)
            );
            Outcome::Status(401)
        }
        Verdict::Denied | Verdict::Neutral => {
            if !super::authn_core::has_type(ex) {
                return denied(ex);
            }
            logs::error!(
                ex,
                Level::Error,
                "authz_core",
                "AH01631: user {}: authorization failure for \"{}\": ",
                logs::Bytes(ex.user.as_deref().unwrap_or_default()),
                logs::Bytes(&ex.uri)
            );
            Outcome::Status(if forbidden { 403 } else { 401 })
        }
    }
}

fn denied(ex: &Exchange) -> Outcome {
    let (what, name) = if ex.filename.is_empty() { ("uri ", &ex.uri) } else { ("", &ex.filename) };
    logs::error!(
        ex,
        Level::Error,
        "authz_core",
        "AH01630: client denied by server configuration: {what}{}",
        logs::Bytes(name)
    );
    Outcome::Status(403)
}

/// What `<AuthzProviderAlias>` made of this name.
fn alias_of<'a>(cmd: &'a Cmd<'_>, name: &[u8]) -> Option<&'a Alias> {
    cmd.globals.conf.get::<AuthzProcess>()?.aliases.iter().rfind(|alias| alias.name == name)
}

//! `mod_authn_core.c`: which kind of authentication, and under what name.

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Open, Places, Server, Shape, Slots, get_word, latin1, row};
use crate::logs::{self, Level};
use crate::modules::rows::nothing;
use crate::modules::{auth_basic, slot};
use crate::pipe::{Hook, Module, Outcome, Phase, Run};
use crate::web::Exchange;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "authn_core_module",
        file: "mod_authn_core.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// Values per directory.
#[derive(Clone, Default)]
pub struct AuthnDir {
    /// AuthType; the word `None` takes back what was set outside.
    kind: Option<Vec<u8>>,
    /// AuthName.
    realm: Option<Vec<u8>>,
}

impl Conf for AuthnDir {
    const SLOT: usize = slot::AUTHN_CORE + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        crate::inner_or_outer!(base, add; kind, realm)
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("AuthType", Places::AUTHCFG, Shape::Take1, auth_type, "an HTTP authorization type (e.g., \"Basic\")"),
    row("AuthName", Places::AUTHCFG, Shape::Take1, auth_name, "the authentication realm (e.g. \"Members Only\")"),
    row("<AuthnProviderAlias", Places::SERVER, Shape::Raw, alias, "container for grouping an authentication provider's directives under a provider alias").refused(),
];

/// The hooks.
pub const HOOKS: &[Hook] = &[
    Hook { phase: Phase::Authn, order: 10, wants: has_kind, run: Run::Now(nobody_knows_the_type) },
    // Nobody is asked, which is not an error by itself; whoever needs a user will miss one.
    Hook { phase: Phase::Authn, order: 10, wants: |_, dir| !has_auth_type(dir), run: Run::Now(|_| Outcome::Ok) },
];

fn has_kind(_: &Server, dir: &Slots) -> bool {
    has_auth_type(dir)
}

/// Whether an AuthType is set.
pub(super) fn has_auth_type(dir: &Slots) -> bool {
    dir.get::<AuthnDir>().is_some_and(|conf| conf.kind.is_some())
}

fn auth_type(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.dir_conf::<AuthnDir>().kind = Some(args.word(0).to_vec());
    Ok(())
}

fn auth_name(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    // As it will stand between quotes.
    let mut realm = Vec::new();
    for byte in args.word(0) {
        if matches!(byte, b'"' | b'\\') {
            realm.push(b'\\');
        }
        realm.push(*byte);
    }
    cmd.dir_conf::<AuthnDir>().realm = Some(realm);
    Ok(())
}

fn alias(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.global_only()?;
    let name = cmd.directive.name;
    let Some(close) = memchr::memrchr(b'>', args.raw) else {
        return Err(format!("{name}> directive missing closing '>'"));
    };
    let (provider, rest) = get_word(&args.raw[..close]);
    let (alias, _) = get_word(rest);
    if provider.is_empty() || alias.is_empty() {
        return Err(format!("{name}> directive requires additional arguments"));
    }
    if !auth_basic::is_provider(cmd, &provider) {
        return Err(format!("Unknown Authn provider: {}", latin1(&provider)));
    }
    cmd.open = Some(Open::Block { leave: None, places: Some(Places::AUTHCFG.or(Places::DIR)) });
    Ok(())
}

/// Whether AuthType in these values is `name`.
pub fn is_kind(dir: &Slots, name: &[u8]) -> bool {
    let kind = dir.get::<AuthnDir>().and_then(|conf| conf.kind.as_deref());
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case(name))
}

/// AuthType, unless it is `None`.
pub fn kind(ex: &Exchange) -> Option<&[u8]> {
    ex.dir::<AuthnDir>()?.kind.as_deref().filter(|kind| !kind.eq_ignore_ascii_case(b"none"))
}

/// AuthName, quotes escaped.
pub fn realm(ex: &Exchange) -> Option<&[u8]> {
    ex.dir::<AuthnDir>()?.realm.as_deref()
}

/// Whether any authentication is configured.
pub fn has_type(ex: &Exchange) -> bool {
    kind(ex).is_some()
}

/// 401 with the challenge of the configured kind.
pub fn refused(ex: &mut Exchange) -> Outcome {
    if kind(ex).is_some_and(|kind| kind.eq_ignore_ascii_case(b"basic")) {
        auth_basic::challenge(ex);
    }
    Outcome::Status(401)
}

/// Last to be asked: a kind of authentication that no module carries out.
fn nobody_knows_the_type(ex: &mut Exchange) -> Outcome {
    let Some(kind) = kind(ex) else { return Outcome::Declined };
    logs::error!(
        ex,
        Level::Error,
        "authn_core",
        "AH01796: AuthType {} configured without corresponding module",
        logs::Bytes(kind)
    );
    Outcome::Status(500)
}

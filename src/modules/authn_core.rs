//! `mod_authn_core.c`: which kind of authentication, and under what name.

use std::borrow::Cow;
use std::sync::Arc;

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Open, Places, Shape, Slots, get_word, latin1, row};
use crate::expr::{Scratch, Template};
use crate::logs::{self, Level};
use crate::modules::authn_providers::PROVIDERS;
use crate::modules::rows::nothing;
use crate::modules::{authn_file, slot};
use crate::pipe::authn::{Answer, Ask, Judge, Provider, Reply, Ways};
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
    kind: Option<Text>,
    /// AuthName, quotes escaped.
    realm: Option<Text>,
}

/// A text that may have `%{…}` in it.
#[derive(Clone)]
enum Text {
    Fixed(Arc<[u8]>),
    Made(Arc<Template>),
}

impl Conf for AuthnDir {
    const SLOT: usize = slot::AUTHN_CORE + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        crate::inner_or_outer!(base, add; kind, realm)
    }
}

/// A provider as a directive names it.
#[derive(Clone)]
pub struct Chosen {
    provider: &'static Provider,
    /// The name by which it is chosen.
    called: Arc<[u8]>,
    /// The values of the alias by which it is named.
    values: Option<Arc<Slots>>,
}

/// Providers made by `<AuthnProviderAlias>`.
#[derive(Clone, Default)]
pub struct AuthnProcess {
    aliases: Vec<Chosen>,
    /// Names that directives gave to providers; of one name the last one counts.
    named: Vec<Chosen>,
}

impl Conf for AuthnProcess {
    const SLOT: usize = slot::AUTHN_CORE + 2;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("AuthType", Places::AUTHCFG, Shape::Take1, auth_type, "an HTTP authorization type (e.g., \"Basic\")"),
    row("AuthName", Places::AUTHCFG, Shape::Take1, auth_name, "the authentication realm (e.g. \"Members Only\")"),
    row("<AuthnProviderAlias", Places::SERVER, Shape::Raw, alias, "container for grouping an authentication provider's directives under a provider alias"),
];

/// The hooks.
pub const HOOKS: &[Hook] =
    &[Hook { phase: Phase::Authn, order: 10, wants: |_, _| true, run: Run::Now(nobody_knows_the_type) }];

/// Whether an AuthType is set.
pub(super) fn has_auth_type(dir: &Slots) -> bool {
    dir.get::<AuthnDir>().is_some_and(|conf| conf.kind.is_some())
}

fn auth_type(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let kind = text(cmd, args.word(0), "AuthType")?;
    cmd.dir_conf::<AuthnDir>().kind = Some(kind);
    Ok(())
}

fn auth_name(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let realm = match text(cmd, args.word(0), "AuthName")? {
        Text::Fixed(realm) => Text::Fixed(escape_quotes(&realm).into()),
        made => made,
    };
    cmd.dir_conf::<AuthnDir>().realm = Some(realm);
    Ok(())
}

fn text(cmd: &Cmd<'_>, text: &[u8], name: &str) -> Result<Text, String> {
    let made = cmd.template(text);
    let made = made.map_err(|why| format!("Cannot parse expression '{}' in {name}: {why}", latin1(text)))?;
    Ok(match made.constant() {
        Some(text) => Text::Fixed(text.into()),
        None => Text::Made(made),
    })
}

/// As it will stand between quotes; what is escaped already stays so.
fn escape_quotes(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        if *byte == b'"' {
            out.push(b'\\');
        }
        out.push(*byte);
        if *byte == b'\\' {
            out.extend(bytes.next());
        }
    }
    out
}

/// `<AuthnProviderAlias provider alias>`: the directives of its body hold when the provider is asked by the alias.
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
    if provider.eq_ignore_ascii_case(&alias) {
        return Err("The alias provider name must be different from the base provider name.".to_owned());
    }
    if find(cmd, &alias).is_some() {
        return Err(format!(
            "The alias provider {} has already be registered previously as either a base provider or an alias provider.",
            latin1(&alias)
        ));
    }
    cmd.open = Some(Open::Detached { leave: add_alias, places: Places::AUTHCFG.or(Places::DIR) });
    Ok(())
}

fn add_alias(cmd: &mut Cmd<'_>, args: &Args<'_>, values: Slots) -> Result<(), String> {
    let close = memchr::memrchr(b'>', args.raw).unwrap_or(args.raw.len());
    let (provider, rest) = get_word(&args.raw[..close]);
    let (alias, _) = get_word(rest);
    let base = choose(cmd, &provider)?;
    // Of an alias of an alias the first one's directives lie on top.
    let values = base.values.as_deref().map_or_else(|| values.clone(), |inner| Slots::merged(&values, inner));
    let chosen = Chosen { called: alias.into(), values: Some(Arc::new(values)), ..base };
    cmd.globals.conf.get_mut::<AuthnProcess>().aliases.push(chosen);
    Ok(())
}

fn find(cmd: &Cmd<'_>, name: &[u8]) -> Option<Chosen> {
    if let Some(process) = cmd.globals.conf.get::<AuthnProcess>() {
        let alias = process.aliases.iter().find(|alias| &*alias.called == name);
        if let Some(chosen) = alias.or_else(|| process.named.iter().rfind(|named| &*named.called == name)) {
            return Some(chosen.clone());
        }
    }
    let provider = PROVIDERS.iter().find(|row| row.name.as_bytes() == name)?;
    cmd.globals.modules.contains(&provider.module).then(|| Chosen::new(provider, name))
}

/// Has `provider` chosen by this name.
pub fn name(cmd: &mut Cmd<'_>, provider: &'static Provider, called: &[u8]) {
    cmd.globals.conf.get_mut::<AuthnProcess>().named.push(Chosen::new(provider, called));
}

/// The provider or alias of this name, for a directive that names one.
pub fn choose(cmd: &mut Cmd<'_>, name: &[u8]) -> Result<Chosen, String> {
    let chosen = find(cmd, name).ok_or_else(|| format!("Unknown Authn provider: {}", latin1(name)))?;
    if chosen.provider.ask.is_none() {
        cmd.refused = true;
        cmd.refused_words = Some(chosen.provider.name.to_owned());
    }
    Ok(chosen)
}

impl Chosen {
    fn new(provider: &'static Provider, called: &[u8]) -> Self {
        Self { provider, called: called.into(), values: None }
    }

    /// Whether it finds hashes of user, realm and password.
    pub fn has_hashes(&self) -> bool {
        self.provider.ask.is_none_or(|ways| ways.hash.is_some())
    }
}

/// Asks the providers one after the other, until one knows the user. Without any it is that of text files.
pub async fn ask(
    ex: &mut Exchange,
    providers: Option<Vec<Chosen>>,
    user: &[u8],
    realm: Option<&[u8]>,
    password: Option<&[u8]>,
) -> Reply {
    let providers = providers.unwrap_or_else(|| vec![Chosen::new(&authn_file::PROVIDER, b"file")]);
    let mut reply = Reply::default();
    for chosen in &providers {
        if let (Some(Ways { password: Judge::Changes(judge), .. }), Some(password)) = (chosen.provider.ask, password) {
            reply = judge(ex, &chosen.called, user, password).await.into();
            if reply.answer == Answer::NotFound {
                continue;
            }
            break;
        }
        let laid = chosen.values.as_ref().map(|values| ex.chain.under(values));
        let ex = &*ex;
        let ask = Ask { ex, dir: laid.as_deref().unwrap_or(&ex.chain.dir), user, realm };
        reply = match (chosen.provider.ask, password) {
            (Some(Ways { password: Judge::Looks(judge), .. }), Some(password)) => judge(ask, password).await,
            (Some(Ways { hash: Some(hash), .. }), None) => hash(ask).await,
            _ => Answer::Failed.into(),
        };
        if reply.answer == Answer::NotFound {
            continue;
        }
        if let Some(hash) = &reply.hash {
            for keep in PROVIDERS.iter().filter_map(|provider| provider.keep) {
                keep(ask, chosen.provider, hash).await;
            }
        }
        break;
    }
    reply
}

/// Whether AuthType in these values may be `name`.
pub fn is_kind(dir: &Slots, name: &[u8]) -> bool {
    match dir.get::<AuthnDir>().and_then(|conf| conf.kind.as_ref()) {
        Some(Text::Fixed(kind)) => kind.eq_ignore_ascii_case(name),
        Some(Text::Made(_)) => true,
        None => false,
    }
}

/// AuthType, unless it is `None`.
pub fn kind(ex: &Exchange) -> Option<Cow<'_, [u8]>> {
    let kind = match ex.dir::<AuthnDir>()?.kind.as_ref()? {
        Text::Fixed(kind) => Cow::Borrowed(&**kind),
        Text::Made(made) => Cow::Owned(value(ex, made, "AH02834: AuthType")?),
    };
    (!kind.eq_ignore_ascii_case(b"none")).then_some(kind)
}

/// Whether AuthType is this.
pub fn is(ex: &Exchange, name: &[u8]) -> bool {
    kind(ex).is_some_and(|kind| kind.eq_ignore_ascii_case(name))
}

/// AuthName, quotes escaped.
pub fn realm(ex: &Exchange) -> Option<Cow<'_, [u8]>> {
    Some(match ex.dir::<AuthnDir>()?.realm.as_ref()? {
        Text::Fixed(realm) => Cow::Borrowed(&**realm),
        Text::Made(made) => Cow::Owned(escape_quotes(&value(ex, made, "AH02835: AuthName")?)),
    })
}

fn value(ex: &Exchange, made: &Template, what: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match made.eval(ex, &mut Scratch::default(), &mut out) {
        Ok(()) => Some(out),
        Err(error) => {
            logs::error!(ex, Level::Error, "authn_core", "{what} expression could not be evaluated: {error}");
            None
        }
    }
}

/// Whether any authentication is configured.
pub fn has_type(ex: &Exchange) -> bool {
    kind(ex).is_some()
}

/// Last to be asked: a kind of authentication that no module carries out. Without any kind nobody is asked, which is
/// not an error by itself; whoever needs a user will miss one.
fn nobody_knows_the_type(ex: &mut Exchange) -> Outcome {
    let Some(kind) = kind(ex) else { return Outcome::Ok };
    logs::error!(
        ex,
        Level::Error,
        "authn_core",
        "AH01796: AuthType {} configured without corresponding module",
        logs::Bytes(&kind)
    );
    Outcome::Status(500)
}

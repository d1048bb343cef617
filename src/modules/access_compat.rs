//! `mod_access_compat.c`: Order, Allow, Deny and Satisfy.

use std::sync::Arc;

use crate::base::addr::{Subnet, SubnetError};
use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Server, Shape, Slots, row};
use crate::logs::{self, Level};
use crate::modules::rows::nothing;
use crate::modules::{authz_host, slot};
use crate::pipe::authz::Limit;
use crate::pipe::{Hook, Module, Outcome, Phase, Run, Waiting};
use crate::web::Exchange;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "access_compat_module",
        file: "mod_access_compat.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// Values per directory. An inner scope replaces those of the outer one as a whole, as in httpd.
#[derive(Clone, Default)]
pub struct AccessDir {
    /// Order by methods; the last that holds counts.
    orders: Vec<(Limit, Order)>,
    /// Allow.
    allows: Vec<(Limit, Whom)>,
    /// Deny.
    denies: Vec<(Limit, Whom)>,
    /// Satisfy by methods: any (true) or all; the last that holds counts.
    any: Vec<(Limit, bool)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Order {
    #[default]
    DenyAllow,
    AllowDeny,
    MutualFailure,
}

/// Whom a rule names.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Whom {
    All,
    Env(Vec<u8>),
    NotEnv(Vec<u8>),
    Net(Subnet),
    Host(Arc<[u8]>),
}

impl Conf for AccessDir {
    const SLOT: usize = slot::ACCESS_COMPAT + 1;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("order", Places::LIMIT, Shape::Take1, order, "'allow,deny', 'deny,allow', or 'mutual-failure'"),
    row("allow", Places::LIMIT, Shape::Iterate2, allow, "'from' followed by hostnames or IP-address wildcards"),
    row("deny", Places::LIMIT, Shape::Iterate2, deny, "'from' followed by hostnames or IP-address wildcards"),
    row("Satisfy", Places::AUTHCFG, Shape::Take1, satisfy, "access policy if both allow and require used ('all' or 'any')"),
];

/// The hooks.
pub const HOOKS: &[Hook] = &[
    Hook { phase: Phase::Access, order: 0, wants: without_names, run: Run::Now(check) },
    Hook { phase: Phase::Access, order: 0, wants: with_names, run: Run::Wait(check_named) },
];

fn without_names(_: &Server, dir: &Slots) -> bool {
    dir.get::<AccessDir>().is_some_and(|conf| !conf.names_hosts())
}

fn with_names(_: &Server, dir: &Slots) -> bool {
    dir.get::<AccessDir>().is_some_and(AccessDir::names_hosts)
}

impl AccessDir {
    fn names_hosts(&self) -> bool {
        self.allows.iter().chain(&self.denies).any(|(_, whom)| matches!(whom, Whom::Host(_)))
    }
}

fn order(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let order = match args.word(0) {
        word if word.eq_ignore_ascii_case(b"allow,deny") => Order::AllowDeny,
        word if word.eq_ignore_ascii_case(b"deny,allow") => Order::DenyAllow,
        word if word.eq_ignore_ascii_case(b"mutual-failure") => Order::MutualFailure,
        _ => return Err("unknown order".to_owned()),
    };
    let limit = Limit::of(cmd);
    cmd.dir_conf::<AccessDir>().orders.push((limit, order));
    Ok(())
}

fn whom(args: &Args<'_>) -> Result<Whom, String> {
    if !args.word(0).eq_ignore_ascii_case(b"from") {
        return Err("allow and deny must be followed by 'from'".to_owned());
    }
    let word = args.word(1);
    if word.eq_ignore_ascii_case(b"all") {
        return Ok(Whom::All);
    }
    if word.len() >= 4 && word[..4].eq_ignore_ascii_case(b"env=") {
        return Ok(match &word[4..] {
            [b'!', name @ ..] => Whom::NotEnv(name.to_vec()),
            name => Whom::Env(name.to_vec()),
        });
    }
    match Subnet::parse(word) {
        Ok(subnet) => Ok(Whom::Net(subnet)),
        // With a slash it cannot be a host name.
        Err(SubnetError::NotAnAddress) if !word.contains(&b'/') => Ok(Whom::Host(word.into())),
        Err(SubnetError::NotAnAddress) => Err(SubnetError::Address.to_string()),
        Err(why) => Err(why.to_string()),
    }
}

fn allow(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let rule = (Limit::of(cmd), whom(args)?);
    cmd.dir_conf::<AccessDir>().allows.push(rule);
    Ok(())
}

fn deny(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let rule = (Limit::of(cmd), whom(args)?);
    cmd.dir_conf::<AccessDir>().denies.push(rule);
    Ok(())
}

fn satisfy(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let any = match args.word(0) {
        word if word.eq_ignore_ascii_case(b"all") => false,
        word if word.eq_ignore_ascii_case(b"any") => true,
        _ => return Err("Satisfy either 'any' or 'all'.".to_owned()),
    };
    let limit = Limit::of(cmd);
    cmd.dir_conf::<AccessDir>().any.push((limit, any));
    Ok(())
}

/// The last value that holds for the method.
fn last<T: Copy>(values: &[(Limit, T)], method: &[u8]) -> Option<T> {
    values.iter().rev().find(|(limit, _)| limit.holds(method)).map(|(_, value)| *value)
}

fn named(rules: &[(Limit, Whom)], ex: &Exchange) -> bool {
    rules.iter().filter(|(limit, _)| limit.holds(&ex.method)).any(|(_, whom)| match whom {
        Whom::All => true,
        Whom::Env(name) => ex.env.contains(name),
        Whom::NotEnv(name) => !ex.env.contains(name),
        Whom::Net(subnet) => authz_host::client(ex).is_some_and(|address| subnet.contains(address)),
        Whom::Host(domain) => authz_host::client_name(ex).is_some_and(|name| authz_host::in_domain(domain, &name)),
    })
}

fn check(ex: &mut Exchange) -> Outcome {
    let Some(conf) = ex.dir::<AccessDir>() else { return Outcome::Declined };
    let any = last(&conf.any, &ex.method).unwrap_or(false);
    let passes = match last(&conf.orders, &ex.method).unwrap_or_default() {
        Order::AllowDeny => named(&conf.allows, ex) && !named(&conf.denies, ex),
        Order::DenyAllow => !named(&conf.denies, ex) || named(&conf.allows, ex),
        Order::MutualFailure => named(&conf.allows, ex) && !named(&conf.denies, ex),
    };
    ex.satisfy_any = any;
    if passes {
        return Outcome::Ok;
    }
    let (what, name) = if ex.filename.is_empty() { ("uri ", &ex.uri) } else { ("", &ex.filename) };
    logs::error!(
        ex,
        Level::Error,
        "access_compat",
        "AH01797: client denied by server configuration: {what}{}",
        logs::Bytes(name)
    );
    Outcome::Status(403)
}

fn check_named(ex: &mut Exchange) -> Waiting<'_> {
    Box::pin(async move {
        authz_host::resolve(ex, true, Vec::new()).await;
        check(ex)
    })
}

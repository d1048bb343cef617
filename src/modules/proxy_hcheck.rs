//! `mod_proxy_hcheck.c`: health checks of balancer members.

use std::sync::Arc;
use std::time::Duration;

use crate::base::clock::{Unit, parse_interval};
use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Place, Places, Server, Shape, get_word, latin1, row};
use crate::expr::Expr;
use crate::modules::proxy::ProxyProcess;
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::Module;
use crate::upstream::health::{self, Watch};
use crate::upstream::spec::{CheckMethod, HealthSpec};
use crate::web::Live;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "proxy_hcheck_module",
        file: "mod_proxy_hcheck.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// What members may refer to.
#[derive(Clone, Default)]
struct HcheckServer {
    templates: Vec<(Vec<u8>, HealthSpec)>,
    conditions: Vec<(Vec<u8>, Condition)>,
}

impl Conf for HcheckServer {
    const SLOT: usize = slot::PROXY_HCHECK;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// Values of the process.
#[derive(Clone, Default)]
struct HcheckProcess {
    size: Option<u32>,
}

impl Conf for HcheckProcess {
    const SLOT: usize = slot::PROXY_HCHECK + 2;

    fn merge(base: &Self, add: &Self) -> Self {
        Self { size: add.size.or(base.size) }
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("ProxyHCTemplate", Places::FILEINFO, Shape::Raw, template, "Health check template"),
    row("ProxyHCExpr", Places::FILEINFO, Shape::Raw, condition, "Define a health check condition ruleset expression"),
    row("ProxyHCTPsize", Places::SERVER, Shape::Take1, pool_size, "Set size of health check thread pool"),
];

type Set = fn(&mut Cmd<'_>, &mut HealthSpec, &[u8]) -> Result<(), String>;

/// The parameters of members and templates.
#[rustfmt::skip]
static PARAMS: &[(&str, Set)] = &[
    ("hctemplate", |cmd, health, v| put(health, named(&cmd.server_conf::<HcheckServer>().templates, v).ok_or_else(|| unknown("ProxyHCTemplate name", v)))),
    ("hcinterval", |_, health, v| put(&mut health.interval, interval(v))),
    ("hcpasses", |_, health, v| put(&mut health.passes, positive(v, "Passes must be a positive value"))),
    ("hcfails", |_, health, v| put(&mut health.fails, positive(v, "Fails must be a positive value"))),
    ("hcuri", |_, health, v| put(&mut health.uri, if v.len() < 64 { Ok(v.to_vec()) } else { Err("Health check uri length must be < 64 characters".to_owned()) })),
    ("hcmethod", |_, health, v| put(&mut health.method, method(v))),
    ("hcexpr", |cmd, health, v| {
        let found = named(&cmd.server_conf::<HcheckServer>().conditions, v).map(|condition| Some((v.to_vec(), condition.expr)));
        put(&mut health.condition, found.ok_or_else(|| unknown("health check condition expr", v)))
    }),
];

fn put<T>(place: &mut T, value: Result<T, String>) -> Result<(), String> {
    *place = value?;
    Ok(())
}

/// The last one of this name.
fn named<T: Clone>(list: &[(Vec<u8>, T)], name: &[u8]) -> Option<T> {
    list.iter().rev().find(|(other, _)| other == name).map(|(_, found)| found.clone())
}

fn unknown(what: &str, name: &[u8]) -> String {
    format!("Unknown {what}: {}", latin1(name))
}

fn interval(value: &[u8]) -> Result<Duration, String> {
    let time = parse_interval(value, Unit::Second).map_err(|_| "Unparse-able hcinterval setting".to_owned())?;
    if time.as_millis() < 100 {
        return Err("Interval must be a positive value greater than 100ms".to_owned());
    }
    Ok(time)
}

fn positive(value: &[u8], error: &str) -> Result<u32, String> {
    let number = crate::modules::check::number(value);
    if number < 0 { Err(error.to_owned()) } else { Ok(u32::try_from(number).unwrap_or(u32::MAX)) }
}

fn method(value: &[u8]) -> Result<CheckMethod, String> {
    let known = CheckMethod::ALL.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(value));
    known.map(|(_, method)| *method).ok_or_else(|| "Unknown method".to_owned())
}

/// The names of all parameters.
pub fn parameters() -> impl Iterator<Item = &'static str> {
    PARAMS.iter().map(|(name, _)| *name)
}

/// Sets `key=value` of a member. The error is httpd's text.
pub fn set_param(cmd: &mut Cmd<'_>, health: &mut HealthSpec, key: &[u8], value: &[u8]) -> Result<(), String> {
    let param = PARAMS.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(key));
    let (_, set) = param.ok_or_else(|| "unknown Worker hcheck parameter".to_owned())?;
    set(cmd, health, value)
}

/// What must hold of the answer to a check.
#[derive(Clone)]
pub struct Condition {
    /// As it is evaluated.
    pub expr: Arc<Expr>,
    /// As it is written, without braces.
    pub text: Vec<u8>,
}

/// The conditions of a server by their names, in the order they were defined.
pub fn conditions(server: &Server) -> Vec<(Vec<u8>, Condition)> {
    server.get::<HcheckServer>().map(|conf| conf.conditions.clone()).unwrap_or_default()
}

/// Begins the checks of a generation that is served now, on this thread's runtime; `None` if the module is not loaded.
pub fn watch(live: Live) -> Option<Watch> {
    let globals = &live.generation.globals;
    if !globals.modules.contains(&"proxy_hcheck_module") {
        return None;
    }
    let size = globals.conf.get::<HcheckProcess>().and_then(|conf| conf.size).unwrap_or(POOL_SIZE);
    let backends = globals.conf.get::<ProxyProcess>()?.backends.clone();
    Some(health::watch(backends, live, size))
}

/// Of the name of a condition.
const LONGEST_NAME: usize = 15;

/// `ProxyHCTPsize` where nobody says.
const POOL_SIZE: u32 = 16;

fn not_in_access_files(cmd: &Cmd<'_>) -> Result<(), String> {
    match cmd.place {
        Place::Htaccess => Err(format!("{} cannot occur within htaccess files", cmd.directive.name)),
        _ => Ok(()),
    }
}

/// `ProxyHCTemplate name key=value ...`.
fn template(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    not_in_access_files(cmd)?;
    let (name, mut rest) = get_word(args.raw);
    if name.is_empty() {
        return Err("Missing template name for ProxyHCTemplate".to_owned());
    }
    let mut health = HealthSpec::default();
    while !rest.is_empty() {
        let (word, after) = get_word(rest);
        rest = after;
        let Some(at) = memchr::memchr(b'=', &word) else {
            return Err("Invalid ProxyHCTemplate parameter. Parameter must be in the form 'key=value'".to_owned());
        };
        set_param(cmd, &mut health, &word[..at], &word[at + 1..])
            .map_err(|error| format!("ProxyHCTemplate: {error} {}; {}", latin1(&word), latin1(&name)))?;
    }
    cmd.server_conf::<HcheckServer>().templates.push((name, health));
    Ok(())
}

/// `ProxyHCExpr name {expression}`.
fn condition(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    not_in_access_files(cmd)?;
    let (name, rest) = get_word(args.raw);
    if name.is_empty() {
        return Err("Missing expression name for ProxyHCExpr".to_owned());
    }
    if name.len() > LONGEST_NAME {
        return Err(format!("Expression name limited to {LONGEST_NAME} characters"));
    }
    let (text, behind) = match rest {
        [b'{', inner @ ..] => {
            let (text, behind) = inner.split_at(closing_brace(inner));
            (text.to_vec(), behind.strip_prefix(b"}").unwrap_or_default())
        }
        _ => get_word(rest),
    };
    if text.is_empty() {
        return Err("Missing expression for ProxyHCExpr".to_owned());
    }
    if !behind.trim_ascii().is_empty() {
        return Err("error: extra parameter(s)".to_owned());
    }
    let condition =
        cmd.condition(&text).map_err(|why| format!("Could not parse expression \"{}\": {why}", latin1(&text)))?;
    cmd.server_conf::<HcheckServer>().conditions.push((name, Condition { expr: condition, text }));
    Ok(())
}

/// Where the brace that was open before `text` closes; its end if nowhere.
fn closing_brace(text: &[u8]) -> usize {
    let mut open = 1;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'{' => open += 1,
            b'}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return at;
        }
    }
    text.len()
}

/// `ProxyHCTPsize`.
fn pool_size(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.global_only()?;
    let size = positive(args.word(0), "Invalid ProxyHCTPsize parameter. Parameter must be >= 0")?;
    cmd.globals.conf.get_mut::<HcheckProcess>().size = Some(size);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_end_with_their_brace() {
        assert_eq!(closing_brace(b"%{X} == 1} rest"), 9);
        assert_eq!(closing_brace(b"%{REQUEST_STATUS} =~ /^[234]/"), 29);
    }

    #[test]
    fn values_have_httpds_words() {
        assert_eq!(interval(b"x").unwrap_err(), "Unparse-able hcinterval setting");
        assert_eq!(interval(b"0").unwrap_err(), "Interval must be a positive value greater than 100ms");
        assert!(interval(b"500ms").is_ok() && method(b"get11").is_ok() && positive(b"0", "no").is_ok());
        assert_eq!(method(b"BOGUS").unwrap_err(), "Unknown method");
        assert_eq!(positive(b"-1", "no").unwrap_err(), "no");
    }
}

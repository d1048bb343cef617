//! `mod_proxy_hcheck.c`: health checks of balancer members. Checked and kept; nobody probes yet.

use crate::base::clock::{Unit, parse_interval};
use crate::base::pattern::{Captures, Flags, Pattern};
use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, get_word, latin1, row};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::Module;

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

/// Names that members may refer to.
#[derive(Clone, Default)]
struct HcheckServer {
    templates: Vec<Vec<u8>>,
    conditions: Vec<Vec<u8>>,
}

impl Conf for HcheckServer {
    const SLOT: usize = slot::PROXY_HCHECK;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("ProxyHCTemplate", Places::FILEINFO, Shape::Raw, template, "Health check template").missing(),
    row("ProxyHCExpr", Places::FILEINFO, Shape::Raw, condition, "Define a health check condition ruleset expression").missing(),
    row("ProxyHCTPsize", Places::SERVER, Shape::Take1, pool_size, "Set size of health check thread pool").missing(),
];

type Check = fn(&mut Cmd<'_>, &[u8]) -> Result<(), String>;

/// The parameters of members and templates.
#[rustfmt::skip]
static PARAMS: &[(&str, Check)] = &[
    ("hctemplate", |cmd, v| known(cmd.server_conf::<HcheckServer>().templates.iter().any(|t| t == v), "ProxyHCTemplate name", v)),
    ("hcinterval", |_, v| interval(v)),
    ("hcpasses", |_, v| positive(v, "Passes must be a positive value")),
    ("hcfails", |_, v| positive(v, "Fails must be a positive value")),
    ("hcuri", |_, v| if v.len() < 64 { Ok(()) } else { Err("Health check uri length must be < 64 characters".to_owned()) }),
    ("hcmethod", |_, v| method(v)),
    ("hcexpr", |cmd, v| known(cmd.server_conf::<HcheckServer>().conditions.iter().any(|c| c == v), "health check condition expr", v)),
];

fn known(found: bool, what: &str, name: &[u8]) -> Result<(), String> {
    if found { Ok(()) } else { Err(format!("Unknown {what}: {}", latin1(name))) }
}

fn interval(value: &[u8]) -> Result<(), String> {
    let time = parse_interval(value, Unit::Second).map_err(|_| "Unparse-able hcinterval setting".to_owned())?;
    if time.as_millis() < 100 {
        return Err("Interval must be a positive value greater than 100ms".to_owned());
    }
    Ok(())
}

fn positive(value: &[u8], error: &str) -> Result<(), String> {
    match crate::base::clock::leading_integer(value).0 {
        Some(number) if number < 0 => Err(error.to_owned()),
        _ => Ok(()),
    }
}

fn method(value: &[u8]) -> Result<(), String> {
    const METHODS: [&[u8]; 9] =
        [b"NONE", b"TCP", b"OPTIONS", b"HEAD", b"GET", b"CPING", b"OPTIONS11", b"HEAD11", b"GET11"];
    let known = METHODS.iter().any(|method| method.eq_ignore_ascii_case(value));
    if known { Ok(()) } else { Err("Unknown method".to_owned()) }
}

/// Checks `key=value` of a member: whether it asks for health checks. The error is httpd's text.
pub fn set_param(cmd: &mut Cmd<'_>, key: &[u8], value: &[u8]) -> Result<bool, String> {
    let param = PARAMS.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(key));
    let (name, check) = param.ok_or_else(|| "unknown Worker hcheck parameter".to_owned())?;
    check(cmd, value)?;
    Ok(*name == "hctemplate" || (*name == "hcmethod" && !value.eq_ignore_ascii_case(b"NONE")))
}

/// `ProxyHCTemplate name key=value ...`.
fn template(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let (name, mut rest) = get_word(args.raw);
    while !rest.is_empty() {
        let (word, after) = get_word(rest);
        rest = after;
        let Some(at) = memchr::memchr(b'=', &word) else {
            return Err("Invalid ProxyHCTemplate parameter. Parameter must be in the form 'key=value'".to_owned());
        };
        set_param(cmd, &word[..at], &word[at + 1..])
            .map_err(|error| format!("ProxyHCTemplate: {error} {}; {}", latin1(&word), latin1(&name)))?;
    }
    cmd.server_conf::<HcheckServer>().templates.push(name);
    Ok(())
}

/// `ProxyHCExpr name {expression}`.
fn condition(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let (name, rest) = get_word(args.raw);
    let text = match rest {
        [b'{', inner @ ..] => inner[..closing_brace(inner)].to_vec(),
        _ => get_word(rest).0,
    };
    if name.is_empty() || text.is_empty() {
        return Err("Missing expression for ProxyHCExpr".to_owned());
    }
    // `hc('body')` exists in these expressions only; nobody evaluates them yet, so another function may stand for it.
    let known = Pattern::new(b"\\bhc\\(", Flags::default()).map(|hc| replace_all(&hc, &text, b"tolower("));
    cmd.condition(known.as_deref().unwrap_or(&text))
        .map_err(|why| format!("Could not parse expression \"{}\": {why}", latin1(&text)))?;
    cmd.server_conf::<HcheckServer>().conditions.push(name);
    Ok(())
}

/// `text` with every match of `pattern` replaced.
fn replace_all(pattern: &Pattern, text: &[u8], by: &[u8]) -> Vec<u8> {
    let (mut out, mut rest, mut found) = (Vec::with_capacity(text.len()), text, Captures::new());
    while pattern.captures(rest, &mut found) {
        let Some((start, end)) = found.get(0).filter(|(start, end)| start < end) else { break };
        out.extend_from_slice(&rest[..start]);
        out.extend_from_slice(by);
        rest = &rest[end..];
    }
    out.extend_from_slice(rest);
    out
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
    positive(args.word(0), "Invalid ProxyHCTPsize parameter. Parameter must be >= 0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_end_with_their_brace_and_know_hc() {
        assert_eq!(closing_brace(b"%{X} == 1} rest"), 9);
        assert_eq!(closing_brace(b"%{REQUEST_STATUS} =~ /^[234]/"), 29);
        let hc = Pattern::new(b"\\bhc\\(", Flags::default()).unwrap();
        assert_eq!(replace_all(&hc, b"hc('body') && xhc('a') && hc('b')", b"f("), b"f('body') && xhc('a') && f('b')");
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

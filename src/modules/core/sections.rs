//! The containers: whom their directives are for.

use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::Arc;

use super::server::Done;
use crate::base::fnmatch::is_wildcard;
use crate::codec::http1::head::is_known_method;
use crate::config::core::CoreProcess;
use crate::config::{Apply, Args, Cmd, Matcher, Open, Place, SectionKind, VhostAddr, Warning, get_word, latin1};

/// The text between the section's name and its closing `>`; not empty.
fn inside<'a>(cmd: &Cmd<'_>, args: &Args<'a>) -> Result<&'a [u8], String> {
    let text = before_close(cmd, args)?;
    if text.is_empty() {
        return Err(format!("{}> directive requires additional arguments", cmd.directive.name));
    }
    Ok(text)
}

fn before_close<'a>(cmd: &Cmd<'_>, args: &Args<'a>) -> Result<&'a [u8], String> {
    match memchr::memrchr(b'>', args.raw) {
        Some(at) => Ok(&args.raw[..at]),
        None => Err(format!("{}> directive missing closing '>'", cmd.directive.name)),
    }
}

fn pattern(cmd: &Cmd<'_>, text: &[u8], icase: bool) -> Result<Matcher, String> {
    let pattern = cmd.pattern(text, icase).map_err(|_| "Regex could not be compiled".to_owned())?;
    Ok(Matcher::Regex(Arc::new(pattern)))
}

fn open(cmd: &mut Cmd<'_>, args: &Args<'_>, kind: SectionKind, match_form: bool) -> Done {
    let text = inside(cmd, args)?;
    let (mut path, mut rest) = get_word(text);
    // The `Match` forms of these take it for a pattern.
    let plain = match_form && matches!(kind, SectionKind::Files | SectionKind::Location);
    let tilde = path == b"~" && !plain;
    if tilde {
        (path, rest) = get_word(rest);
    }
    let is_match = tilde || match_form;
    let matcher = if is_match {
        pattern(cmd, &path, false)?
    } else {
        if kind == SectionKind::Directory && path != b"/" {
            path = crate::config::clean_path(&path);
            if path.last() != Some(&b'/') {
                path.push(b'/');
            }
        }
        if is_wildcard(&path) { Matcher::Wild(path.clone()) } else { Matcher::Literal(path.clone()) }
    };
    // What is wrong inside is said first.
    let leave: Option<Apply> = if rest.is_empty() { None } else { Some(too_much) };
    cmd.open = Some(Open::Section { kind, matcher, is_match, path, leave });
    Ok(())
}

fn too_much(cmd: &mut Cmd<'_>, _: &Args<'_>) -> Done {
    let yet = if cmd.directive.name.contains("If") { "" } else { "(yet) " };
    Err(format!("Multiple {}> arguments not {yet}supported.", cmd.directive.name))
}

fn without_if(_: &mut Cmd<'_>, _: &Args<'_>) -> Done {
    Err("<Else> or <ElseIf> section without previous <If> or <ElseIf> section in same scope".to_owned())
}

/// `<Directory>`.
pub(super) fn directory(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.not_in_dir_context()?;
    open(cmd, args, SectionKind::Directory, false)
}

/// `<DirectoryMatch>`.
pub(super) fn directory_match(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.not_in_dir_context()?;
    open(cmd, args, SectionKind::Directory, true)
}

/// `<Location>`.
pub(super) fn location(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.not_in_dir_context()?;
    open(cmd, args, SectionKind::Location, false)
}

/// `<LocationMatch>`.
pub(super) fn location_match(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.not_in_dir_context()?;
    open(cmd, args, SectionKind::Location, true)
}

/// `<Files>`.
pub(super) fn files(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.forbid(&[SectionKind::Limit, SectionKind::Location])?;
    open(cmd, args, SectionKind::Files, false)
}

/// `<FilesMatch>`.
pub(super) fn files_match(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.forbid(&[SectionKind::Limit, SectionKind::Location])?;
    open(cmd, args, SectionKind::Files, true)
}

fn condition(cmd: &mut Cmd<'_>, args: &Args<'_>, kind: SectionKind) -> Done {
    cmd.forbid(&[SectionKind::Limit])?;
    let text = inside(cmd, args)?;
    let (word, rest) = get_word(text);
    let expr = cmd.condition(&word).map_err(|why| format!("Cannot parse condition clause: {why}"))?;
    let leave: Option<Apply> = match kind {
        SectionKind::ElseIf if !cmd.behind_if => Some(without_if),
        _ if !rest.is_empty() => Some(too_much),
        _ => None,
    };
    cmd.open = Some(Open::Section {
        kind,
        matcher: Matcher::Condition(Some(expr)),
        is_match: false,
        path: b"*If".to_vec(),
        leave,
    });
    Ok(())
}

/// `<If>`.
pub(super) fn if_section(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    condition(cmd, args, SectionKind::If)
}

/// `<ElseIf>`.
pub(super) fn else_if(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    condition(cmd, args, SectionKind::ElseIf)
}

/// `<Else>`.
pub(super) fn else_section(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.forbid(&[SectionKind::Limit])?;
    if !before_close(cmd, args)?.is_empty() {
        return Err("<Else> does not take an argument".to_owned());
    }
    cmd.open = Some(Open::Section {
        kind: SectionKind::Else,
        matcher: Matcher::Condition(None),
        is_match: false,
        path: b"*If".to_vec(),
        leave: if cmd.behind_if { None } else { Some(without_if) },
    });
    Ok(())
}

fn methods(cmd: &mut Cmd<'_>, args: &Args<'_>, except: bool) -> Done {
    let text = inside(cmd, args)?;
    let mut list = super::server::words(text);
    if !except && list.iter().any(|method| method == b"TRACE") {
        return Err("TRACE cannot be controlled by <Limit>, see TraceEnable".to_owned());
    }
    register(cmd, &list)?;
    // HEAD is limited with GET.
    for method in &mut list {
        if method == b"HEAD" {
            *method = b"GET".to_vec();
        }
    }
    let mut except = except;
    if let Some((outer, outer_except)) = cmd.limited {
        let excluded = |except: bool, list: &[Vec<u8>]| match except {
            // All of those around are left.
            true if !outer_except => !outer.iter().any(|method| list.contains(method)),
            true => list.iter().all(|method| outer.contains(method)),
            false if !outer_except => outer.iter().all(|method| list.contains(method)),
            false => false,
        };
        let all_left = excluded(except, &list);
        // The methods of both.
        let keep = |method: &Vec<u8>| outer.contains(method) != *outer_except;
        if except && !outer_except {
            list = outer.iter().filter(|method| !list.contains(method)).cloned().collect();
            except = false;
        } else if except {
            list.extend(outer.iter().cloned());
        } else {
            list.retain(keep);
        }
        if list.is_empty() && !except {
            return Err(format!("{}> directive excludes all methods", cmd.directive.name));
        }
        if all_left {
            return Err(format!("{}> directive specifies methods already excluded", cmd.directive.name));
        }
    }
    cmd.open = Some(Open::Limit(list, except));
    Ok(())
}

/// Makes methods known that are not; a `.htaccess` file cannot.
fn register(cmd: &mut Cmd<'_>, methods: &[Vec<u8>]) -> Done {
    let known = |cmd: &Cmd<'_>, method: &[u8]| {
        let registered = cmd.globals.conf.get::<CoreProcess>();
        is_known_method(method) || registered.is_some_and(|process| process.methods.iter().any(|known| known == method))
    };
    for method in methods {
        if known(cmd, method) {
            continue;
        }
        if matches!(cmd.place, Place::Htaccess) {
            let (method, name) = (latin1(method), cmd.directive.name);
            return Err(format!("Could not register method '{method}' for {name} from .htaccess configuration"));
        }
        cmd.globals.conf.get_mut::<CoreProcess>().methods.push(method.clone());
    }
    Ok(())
}

/// `<Limit>`.
pub(super) fn limit(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    methods(cmd, args, false)
}

/// `<LimitExcept>`.
pub(super) fn limit_except(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    methods(cmd, args, true)
}

/// `<VirtualHost address...>`.
pub(super) fn virtual_host(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.global_only()?;
    let text = inside(cmd, args)?;
    let mut addrs = Vec::new();
    for word in super::server::words(text) {
        addresses(cmd, &word, &mut addrs)?;
    }
    cmd.open = Some(Open::VirtualHost(addrs));
    Ok(())
}

const INVALID: &str = "The address or port is invalid";

fn addresses(cmd: &mut Cmd<'_>, word: &[u8], out: &mut Vec<VhostAddr>) -> Done {
    let (host, port) = match word {
        b"*" => (word, None),
        [host @ .., b':', b'*'] => (host, None),
        _ => {
            let parsed = crate::base::addr::HostPort::parse(word).map_err(|_| INVALID.to_owned())?;
            match parsed.host {
                // Without a port it is that of the main server's name, as far as this is known by now.
                Some(host) => (host, parsed.port.or(cmd.server.rec.port)),
                // Digits alone: httpd takes them for a port without an address.
                None => return Err("Missing address for VirtualHost".to_owned()),
            }
        }
    };
    let written = latin1(word);
    if host == b"*" || host.eq_ignore_ascii_case(b"_default_") {
        out.push(VhostAddr { ip: None, port, text: written });
        return Ok(());
    }
    let name = host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]")).unwrap_or(host);
    let name = latin1(name);
    let ips: Vec<IpAddr> = match name.parse::<IpAddr>() {
        Ok(ip) => vec![ip],
        Err(_) => resolve(&name),
    };
    // A path would be a socket's, on which no request comes.
    if ips.is_empty() && !name.starts_with('/') {
        // The name as written, port and all, is what could not be resolved.
        let text =
            format!("(EAI 2)Name or service not known: AH00547: Could not resolve host name {name} -- ignoring!");
        cmd.warnings.push(Warning { module: "core", level: "error", text, bare: false });
    }
    out.extend(ips.into_iter().map(|ip| VhostAddr { ip: Some(ip), port, text: written.clone() }));
    Ok(())
}

/// The addresses of a host name, as the system's resolver gives them.
fn resolve(name: &str) -> Vec<IpAddr> {
    let found = (name, 0u16).to_socket_addrs();
    let mut ips: Vec<IpAddr> = Vec::new();
    for addr in found.into_iter().flatten() {
        if !ips.contains(&addr.ip()) {
            ips.push(addr.ip());
        }
    }
    ips
}

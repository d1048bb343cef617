//! `<Proxy>`, `<ProxyMatch>`, and what stands in them: `BalancerMember`, `ProxySet`.

use std::sync::Arc;

use super::balancer::{BalancerSet, is_balancer};
use super::conf::ProxyServer;
use super::pass::{
    Done, Params, define_balancer, define_worker, find_balancer, find_worker, inherit_settings, set_balancer,
    set_worker, share, words,
};
use super::table::{self, Kind};
use super::url::without_socket;
use super::worker::{self, WorkerSet};
use crate::base::fnmatch::is_wildcard;
use crate::config::{Apply, Args, Cmd, Matcher, Open, Place, SectionKind, get_word, latin1};

/// `<Proxy>`.
pub(super) fn proxy(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    open(cmd, args, false)
}

/// `<ProxyMatch>`.
pub(super) fn proxy_match(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    open(cmd, args, true)
}

/// The section's words: what it is for, and the text behind that.
fn arguments<'a>(cmd: &Cmd<'_>, args: &Args<'a>) -> Result<(Vec<u8>, &'a [u8]), String> {
    let section = cmd.directive.name;
    let end = memchr::memrchr(b'>', args.raw).ok_or_else(|| format!("{section}> directive missing closing '>'"))?;
    let (mut path, rest) = get_word(&args.raw[..end]);
    if path.len() >= 6 && path[..6].eq_ignore_ascii_case(b"proxy:") {
        path.drain(..6);
    }
    Ok((path, rest))
}

fn open(cmd: &mut Cmd<'_>, args: &Args<'_>, is_match: bool) -> Done {
    cmd.not_in_dir_context()?;
    let (path, rest) = arguments(cmd, args)?;
    let matcher = if is_match {
        let pattern = cmd.pattern(&path, false);
        Matcher::Regex(Arc::new(pattern.map_err(|_| "Regex could not be compiled".to_owned())?))
    } else if is_wildcard(&path) {
        Matcher::Wild(path.clone())
    } else {
        Matcher::Literal(path.clone())
    };
    let leave = (!rest.is_empty()).then_some(set_arguments as Apply);
    cmd.open = Some(Open::Section { kind: SectionKind::Proxy, matcher, is_match, path, leave });
    Ok(())
}

/// `<Proxy url key=value ...>`: the parameters are set behind what stands inside, and so win over it.
fn set_arguments(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let section = cmd.directive.name;
    let (path, rest) = arguments(cmd, args)?;
    if section == "<ProxyMatch" {
        return Err("Multiple <ProxyMatch> arguments not (yet) supported.".to_owned());
    }
    if is_wildcard(&path) {
        return Err(format!("{section}> arguments are not supported for wildchar url."));
    }
    if !path.contains(&b':') {
        return Err(format!("{section}> arguments are not supported for non url."));
    }
    let target = Target::find(cmd, &path, true, section)?;
    for word in words(rest) {
        let Some(at) = memchr::memchr(b'=', &word) else {
            return Err("Invalid Proxy parameter. Parameter must be in the form 'key=value'".to_owned());
        };
        let set = target.set(cmd, &word[..at], &word[at + 1..]);
        set.map_err(|error| format!("{section} {error} {}; {}", latin1(&word), latin1(&path)))?;
    }
    Ok(())
}

/// Whose parameters are set.
enum Target {
    Worker(usize),
    Balancer(usize),
}

impl Target {
    /// The worker or balancer of this name; made if it is not there and `define` says so. Errors get `front`.
    fn find(cmd: &mut Cmd<'_>, name: &[u8], define: bool, front: &str) -> Result<Self, String> {
        if is_balancer(name) {
            return match find_balancer(cmd, name) {
                Some(at) => Ok(Self::Balancer(at)),
                None if define => {
                    define_balancer(cmd, name).map(Self::Balancer).map_err(|error| format!("{front} {error}"))
                }
                None => Err(format!("{front} can not find '{}' Balancer.", latin1(name))),
            };
        }
        let url = without_socket(name).ok_or_else(|| format!("{front} uses an invalid \"unix:\" URL"))?;
        match find_worker(cmd, &url, Kind::Prefix).or_else(|| find_worker(cmd, &url, Kind::Pattern)) {
            Some(at) => Ok(Self::Worker(at)),
            None if define => {
                define_worker(cmd, name, false).map(Self::Worker).map_err(|error| format!("{front} {error}"))
            }
            None => Err(format!("{front} can not find '{}' Worker.", latin1(name))),
        }
    }

    fn set(&self, cmd: &mut Cmd<'_>, key: &[u8], value: &[u8]) -> Done {
        match self {
            Self::Worker(at) => set_worker(cmd, *at, key, value),
            Self::Balancer(at) => set_balancer(cmd, *at, key, value),
        }
    }
}

/// `ProxySet [name] key=value ...`.
pub(super) fn proxy_set(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let in_section = cmd.place == Place::Section(SectionKind::Proxy);
    let mut rest = args.raw;
    let name = match cmd.section_path {
        Some(path) if in_section => path.to_vec(),
        _ => {
            let (name, after) = get_word(rest);
            rest = after;
            name
        }
    };
    let target = Target::find(cmd, &name, in_section, "ProxySet")?;
    for word in words(rest) {
        let Some(at) = memchr::memchr(b'=', &word) else {
            return Err("Invalid ProxySet parameter. Parameter must be in the form 'key=value'".to_owned());
        };
        let set = target.set(cmd, &word[..at], &word[at + 1..]);
        set.map_err(|error| format!("ProxySet: {error} {}; {}", latin1(&word), latin1(&name)))?;
    }
    Ok(())
}

/// `BalancerMember [balancer] url key=value ...`.
pub(super) fn balancer_member(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let section = cmd.section_path.map(<[u8]>::to_vec);
    let mut balancer = section.clone();
    let mut url: Option<Vec<u8>> = None;
    let mut params = Params::default();
    for word in words(args.raw) {
        // Whatever has an `=` in it is a parameter, a URL as well.
        if params.add(&word) {
            continue;
        }
        if balancer.is_none() {
            balancer = Some(word);
        } else if url.is_none() {
            url = Some(word);
        } else {
            return Err(if section.is_some() {
                "BalancerMember can not have a balancer name when defined in a location".to_owned()
            } else {
                "Invalid BalancerMember parameter. Parameter must be in the form 'key=value'".to_owned()
            });
        }
    }
    let Some(balancer) = balancer else {
        return Err("BalancerMember must define balancer name when outside <Proxy > section".to_owned());
    };
    let url = url.ok_or_else(|| "BalancerMember must define remote proxy server".to_owned())?;
    let Some(plain) = without_socket(&url) else {
        return Err("BalancerMember uses an invalid \"unix:\" URL".to_owned());
    };
    let balancer = balancer.to_ascii_lowercase();
    let at = match find_balancer(cmd, &balancer) {
        Some(at) => at,
        None => define_balancer(cmd, &balancer).map_err(|error| format!("BalancerMember {error}"))?,
    };
    let set = &ProxyServer::of(cmd).balancers[at];
    let names = set.members.iter().map(|member| (member.spec.name.as_bytes(), false));
    if let Some(old) = table::best(names, &plain, Kind::Prefix) {
        let name = set.members[old].full_name.clone();
        share(cmd, ("AH01149", "AH01150"), &name, &latin1(&url), &params);
        return Ok(());
    }
    let (of, new) = (set.name.clone(), latin1(&url));
    cmd.warn("proxy", "debug", format!("mod_proxy.c(2674): AH01147: Defining worker '{new}' for balancer '{of}'"));
    let mut member = WorkerSet::define(cmd, &url, false).map_err(|error| format!("BalancerMember {error}"))?;
    cmd.warn(
        "proxy",
        "debug",
        format!("mod_proxy.c(2679): AH01148: Defined worker '{}' for balancer '{of}'", member.full_name),
    );
    inherit_settings(cmd, &mut member);
    params.apply("BalancerMember", |key, value| worker::set(cmd, &mut member, key, value))?;
    let mut changed = BalancerSet::clone(&ProxyServer::of(cmd).balancers[at]);
    changed.members.push(Arc::new(member));
    ProxyServer::of(cmd).balancers[at] = Arc::new(changed);
    Ok(())
}

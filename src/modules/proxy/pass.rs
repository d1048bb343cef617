//! `ProxyPass`, `ProxyPassMatch`.

use std::sync::Arc;

use super::balancer::{self, BalancerSet, balancer_name, is_balancer};
use super::conf::{Mapping, ProxyDir, ProxyServer, Rule};
use super::table::{self, Kind};
use super::url::without_socket;
use super::worker::{self, WorkerSet};
use crate::base::fnmatch::is_wildcard;
use crate::config::{Args, Cmd, SectionKind, get_word, latin1};

/// What an `apply` function returns.
pub(super) type Done = Result<(), String>;

/// `key=value` words in order; a key given again (in any case) keeps its place and takes the later value.
#[derive(Default)]
pub(super) struct Params(Vec<(Vec<u8>, Vec<u8>)>);

impl Params {
    /// Takes in one word; `false` if there is no `=` in it.
    pub(super) fn add(&mut self, word: &[u8]) -> bool {
        let Some(at) = memchr::memchr(b'=', word) else { return false };
        let (key, value) = (word[..at].to_vec(), word[at + 1..].to_vec());
        match self.0.iter_mut().find(|(old, _)| old.eq_ignore_ascii_case(&key)) {
            Some(old) => old.1 = value,
            None => self.0.push((key, value)),
        }
        true
    }

    /// Puts `front` before each error.
    pub(super) fn apply(&self, front: &str, mut set: impl FnMut(&[u8], &[u8]) -> Done) -> Done {
        self.0.iter().try_for_each(|(key, value)| set(key, value).map_err(|error| format!("{front} {error}")))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(key, value)| (key.as_slice(), value.as_slice()))
    }
}

/// The words of a text, by httpd's rules.
pub(super) fn words(mut text: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    while !text.is_empty() {
        let (word, rest) = get_word(text);
        words.push(word);
        text = rest;
    }
    words
}

/// `ProxyPass`.
pub(super) fn pass(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    add(cmd, args, false)
}

/// `ProxyPassMatch`.
pub(super) fn pass_match(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    add(cmd, args, true)
}

fn add(cmd: &mut Cmd<'_>, args: &Args<'_>, is_match: bool) -> Done {
    use SectionKind::{Directory, Files, Limit};
    const NOT_KEY_VALUE: &str =
        "Invalid ProxyPass|ProxyPassMatch parameter. Parameter must be in the form 'key=value'.";
    cmd.forbid(&[Limit, Directory, Files])?;
    let section = cmd.section_path.map(<[u8]>::to_vec);
    let mut fake = section.clone();
    let mut by_regex = is_match;
    let mut target: Option<Vec<u8>> = None;
    let (mut nocanon, mut interpolate, mut mapping) = (false, false, Mapping::Decoded);
    let mut params = Params::default();
    for word in words(args.raw) {
        if fake.is_none() {
            if word == b"~" {
                if is_match {
                    return Err("ProxyPassMatch invalid syntax ('~' usage).".to_owned());
                }
                by_regex = true;
            } else {
                fake = Some(word);
            }
        } else if target.is_none() {
            target = Some(word);
        } else if word.eq_ignore_ascii_case(b"nocanon") {
            nocanon = true;
        } else if word.eq_ignore_ascii_case(b"interpolate") {
            interpolate = true;
        } else if word.eq_ignore_ascii_case(b"noquery") {
            // Accepted, and without effect in httpd.
        } else if word.len() >= 8 && word[..8].eq_ignore_ascii_case(b"mapping=") {
            mapping = match word[8..].to_ascii_lowercase().as_slice() {
                b"encoded" => Mapping::Encoded,
                b"servlet" => Mapping::Servlet,
                _ => return Err("unknown mapping".to_owned()),
            };
        } else if !params.add(&word) {
            let path_given = section.is_some() && target.as_ref().is_some_and(|target| target.first() == Some(&b'/'));
            return Err(if path_given {
                "ProxyPass|ProxyPassMatch can not have a path when defined in a location.".to_owned()
            } else {
                NOT_KEY_VALUE.to_owned()
            });
        }
    }
    let (Some(fake), Some(target)) = (fake, target) else {
        return Err("ProxyPass|ProxyPassMatch needs a path when not defined in a location".to_owned());
    };
    let Some(url) = without_socket(&target) else {
        return Err("ProxyPass|ProxyPassMatch uses an invalid \"unix:\" URL".to_owned());
    };
    by_regex |= section.is_some() && is_wildcard(&fake);
    let regex = match by_regex {
        true => {
            let pattern = cmd.pattern(&fake, false);
            Some(Arc::new(pattern.map_err(|_| "Regular expression could not be compiled.".to_owned())?))
        }
        false => None,
    };
    let exclude = target == b"!";
    let real = if exclude { Vec::new() } else { [b"proxy:", target.as_slice()].concat() };
    let rule = Arc::new(Rule { fake, regex, real, mapping, nocanon, interpolate });
    if section.is_some() {
        cmd.dir_conf::<ProxyDir>().rule = Some(rule);
    } else {
        let server = ProxyServer::of(cmd);
        server.maps |= mapping == Mapping::Decoded;
        server.maps_early |= mapping != Mapping::Decoded;
        server.rules.push(rule);
    }
    if exclude {
        return Ok(());
    }
    if is_balancer(&target) {
        let at = find_balancer(cmd, &target);
        let at = match at {
            Some(at) => at,
            None => define_balancer(cmd, &target).map_err(|error| format!("ProxyPass {error}"))?,
        };
        return params.apply("ProxyPass", |key, value| set_balancer(cmd, at, key, value));
    }
    let kind = if by_regex { Kind::Pattern } else { Kind::Prefix };
    match find_worker(cmd, &url, kind) {
        Some(at) => {
            let name = ProxyServer::of(cmd).workers[at].full_name.clone();
            let new = latin1(&target);
            share(cmd, ("AH01145", "AH01146"), &name, &new, &params);
            Ok(())
        }
        None => {
            let at = define_worker(cmd, &target, by_regex).map_err(|error| format!("ProxyPass {error}"))?;
            params.apply("ProxyPass", |key, value| set_worker(cmd, at, key, value))
        }
    }
}

/// Says that a worker is used again, and which parameters that drops.
pub(super) fn share(cmd: &mut Cmd<'_>, (info, warning): (&str, &str), name: &str, new: &str, params: &Params) {
    cmd.warn("proxy", "info", format!("{info}: Sharing worker '{name}' instead of creating new worker '{new}'"));
    for (key, value) in params.iter() {
        let text = format!(
            "{warning}: Ignoring parameter '{}={}' for worker '{name}' because of worker sharing",
            latin1(key),
            latin1(value)
        );
        cmd.warn("proxy", "warn", text);
    }
}

/// The balancer of this server that `url` names.
pub(super) fn find_balancer(cmd: &mut Cmd<'_>, url: &[u8]) -> Option<usize> {
    let name = balancer_name(url)?;
    ProxyServer::of(cmd).balancers.iter().position(|balancer| latin1(&name) == balancer.name)
}

/// A new balancer in this server.
pub(super) fn define_balancer(cmd: &mut Cmd<'_>, url: &[u8]) -> Result<usize, String> {
    let balancer = BalancerSet::define(url)?;
    let server = ProxyServer::of(cmd);
    server.balancers.push(Arc::new(balancer));
    Ok(server.balancers.len() - 1)
}

/// Sets a balancer's parameter.
pub(super) fn set_balancer(cmd: &mut Cmd<'_>, at: usize, key: &[u8], value: &[u8]) -> Done {
    let mut changed = BalancerSet::clone(&ProxyServer::of(cmd).balancers[at]);
    balancer::set(cmd, &mut changed, key, value)?;
    ProxyServer::of(cmd).balancers[at] = Arc::new(changed);
    Ok(())
}

/// The worker of this server, no balancer's member, that `url` would be sent to.
pub(super) fn find_worker(cmd: &mut Cmd<'_>, url: &[u8], kind: Kind) -> Option<usize> {
    let workers = &ProxyServer::of(cmd).workers;
    table::best(workers.iter().map(|worker| (worker.spec.name.as_bytes(), worker.matchable)), url, kind)
}

/// A new worker in this server.
pub(super) fn define_worker(cmd: &mut Cmd<'_>, url: &[u8], matchable: bool) -> Result<usize, String> {
    let mut worker = WorkerSet::define(cmd, url, matchable)?;
    inherit_settings(cmd, &mut worker);
    let server = ProxyServer::of(cmd);
    server.workers.push(Arc::new(worker));
    Ok(server.workers.len() - 1)
}

/// A worker takes the settings of its server that were made before it.
pub(super) fn inherit_settings(cmd: &mut Cmd<'_>, worker: &mut WorkerSet) {
    let server = ProxyServer::of(cmd);
    worker.spec.timeout = server.timeout;
    worker.spec.io_buffer = server.io_buffer;
    worker.spec.receive_buffer = server.receive_buffer;
}

/// Sets a worker's parameter.
pub(super) fn set_worker(cmd: &mut Cmd<'_>, at: usize, key: &[u8], value: &[u8]) -> Done {
    let mut changed = WorkerSet::clone(&ProxyServer::of(cmd).workers[at]);
    worker::set(cmd, &mut changed, key, value)?;
    ProxyServer::of(cmd).workers[at] = Arc::new(changed);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_values_take_the_place_of_earlier_ones() {
        let mut params = Params::default();
        assert!(params.add(b"timeout=5") && params.add(b"keepalive=On") && params.add(b"TIMEOUT=x=y"));
        assert!(!params.add(b"nothing"));
        let all: Vec<_> = params.iter().collect();
        assert_eq!(all, [(&b"timeout"[..], &b"x=y"[..]), (b"keepalive", b"On")]);
        let error = params.apply("ProxyPass", |_, _| Err("bad".to_owned()));
        assert_eq!(error, Err("ProxyPass bad".to_owned()));
    }
}

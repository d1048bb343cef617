//! `mod_authz_host.c`: `Require ip`, `host`, `forward-dns`, `local`.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use crate::base::addr::{IpSet, Subnet, SubnetError};
use crate::config::{Cmd, Directive, ModuleRow, Slots, latin1};
use crate::logs::{self, Level};
use crate::modules::core::names::{addresses, look_up};
use crate::modules::rows::nothing;
use crate::pipe::Module;
use crate::pipe::authz::{Need, Text, Verdict, words};
use crate::web::Exchange;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "authz_host_module",
        file: "mod_authz_host.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
pub const DIRECTIVES: &[Directive] = &[];

fn granted(is: bool) -> Verdict {
    if is { Verdict::Granted } else { Verdict::Denied }
}

/// The address that counts as the client's.
pub fn client(ex: &Exchange) -> Option<IpAddr> {
    std::str::from_utf8(&ex.client_ip).ok()?.parse().ok()
}

struct Ip(IpSet);

impl Need for Ip {
    fn check(&self, ex: &Exchange, _: &Slots) -> Verdict {
        granted(client(ex).is_some_and(|address| self.0.contains(address)))
    }
}

/// `Require ip`.
pub fn ip(_: &Cmd<'_>, text: &[u8]) -> Result<Arc<dyn Need>, String> {
    let words = words(text);
    if words.is_empty() {
        return Err("'require ip' requires an argument".to_owned());
    }
    let mut set = IpSet::new();
    for word in &words {
        match Subnet::parse(word) {
            Ok(subnet) => set.add(subnet),
            Err(SubnetError::NotAnAddress) => {
                return Err(format!("ip address '{}' appears to be invalid", latin1(word)));
            }
            Err(why) => return Err(format!("ip address '{}' appears to be invalid: {why}", latin1(word))),
        }
    }
    Ok(Arc::new(Ip(set)))
}

struct Local;

impl Need for Local {
    fn check(&self, ex: &Exchange, _: &Slots) -> Verdict {
        let Some(address) = client(ex) else { return Verdict::Denied };
        granted(address.to_canonical().is_loopback() || address == ex.conn.local.ip().to_canonical())
    }
}

/// `Require local`.
pub fn local(_: &Cmd<'_>, _: &[u8]) -> Result<Arc<dyn Need>, String> {
    Ok(Arc::new(Local))
}

/// Addresses that were looked up for one request, by name.
#[derive(Default)]
struct Addresses(Vec<(String, Vec<IpAddr>)>);

/// The longest name the domain name system knows.
const NAME_MAX: usize = 255;

/// Looks up the client's own name and the addresses of `names`, off the thread that serves requests.
pub async fn resolve(ex: &mut Exchange, own: bool, names: Vec<String>) {
    if own {
        look_up(ex, true).await;
    }
    let names: Vec<_> = names.into_iter().filter(|name| name.len() <= NAME_MAX).collect();
    if names.is_empty() {
        return;
    }
    let looked_up = tokio::task::spawn_blocking(move || {
        let found = names.into_iter().map(|name| (addresses(&name), name));
        found.map(|(addresses, name)| (name, addresses)).collect::<Vec<_>>()
    });
    if let Ok(found) = looked_up.await {
        ex.ext.get_mut::<Addresses>().0.extend(found);
    }
}

/// The client's confirmed name, once [`resolve`] has asked for it.
pub fn client_name(ex: &Exchange) -> Option<Rc<[u8]>> {
    ex.client_host()?.name().filter(|_| ex.client_host().is_some_and(|host| host.confirmed() == Some(true)))
}

/// Whether `domain` is `what` or a parent of it.
pub fn in_domain(domain: &[u8], what: &[u8]) -> bool {
    let Some(start) = what.len().checked_sub(domain.len()) else { return false };
    if !what[start..].eq_ignore_ascii_case(domain) {
        return false;
    }
    start == 0 || domain.first() == Some(&b'.') || what[start - 1] == b'.'
}

struct Host(Text);

impl Need for Host {
    fn check(&self, ex: &Exchange, _: &Slots) -> Verdict {
        let Some(name) = client_name(ex) else {
            logs::error!(
                ex,
                Level::Error,
                "authz_host",
                "AH01753: access check of '{}' to {} failed, reason: unable to get the remote host name",
                self.0.words(ex).iter().map(|word| latin1(word)).collect::<Vec<_>>().join(" "),
                logs::Bytes(&ex.uri)
            );
            return Verdict::Denied;
        };
        granted(self.0.words(ex).iter().any(|domain| in_domain(domain, &name)))
    }

    fn looks_up(&self) -> bool {
        true
    }
}

/// `Require host`.
pub fn host(cmd: &Cmd<'_>, text: &[u8]) -> Result<Arc<dyn Need>, String> {
    Ok(Arc::new(Host(Text::parse(cmd, text)?)))
}

struct ForwardDns(Text);

impl Need for ForwardDns {
    fn check(&self, ex: &Exchange, _: &Slots) -> Verdict {
        let Some(address) = client(ex) else { return Verdict::Denied };
        let Some(looked_up) = ex.ext.get::<Addresses>() else { return Verdict::Denied };
        granted(self.names(ex).iter().any(|wanted| {
            let found = looked_up.0.iter().find(|(name, _)| name == wanted);
            found.is_some_and(|(_, all)| all.iter().any(|one| one.to_canonical() == address.to_canonical()))
        }))
    }

    fn looks_up(&self) -> bool {
        true
    }

    fn names(&self, ex: &Exchange) -> Vec<String> {
        self.0.words(ex).iter().map(|word| latin1(word)).collect()
    }
}

/// `Require forward-dns`.
pub fn forward_dns(cmd: &Cmd<'_>, text: &[u8]) -> Result<Arc<dyn Need>, String> {
    Ok(Arc::new(ForwardDns(Text::parse(cmd, text)?)))
}

#[cfg(test)]
mod tests {
    use super::in_domain;

    #[test]
    fn a_domain_matches_itself_and_what_is_below() {
        assert!(
            in_domain(b"a.test", b"a.test") && in_domain(b"A.test", b"x.a.TEST") && in_domain(b".a.test", b"x.a.test")
        );
        assert!(!in_domain(b"a.test", b"xa.test") && !in_domain(b".a.test", b"a.test") && !in_domain(b"long", b"ng"));
    }
}

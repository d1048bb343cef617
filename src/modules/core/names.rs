//! `HostnameLookups`: the name behind the client's address.

use std::net::{IpAddr, ToSocketAddrs as _};

use crate::config::core::{CoreDir, Lookups};
use crate::pipe::{Hook, Outcome, Phase, Run, Waiting};
use crate::web::Exchange;

/// The hooks: as soon as the client is known, and again wherever more sections have come to apply. What was asked once
/// on a connection is not asked again. The last one is for requests that failed before.
pub(super) const HOOKS: [Hook; 3] = [
    Hook { phase: Phase::PostRead, order: -5, wants, run: Run::Wait(look_up_if_set) },
    Hook { phase: Phase::HeaderParser, order: -10, wants, run: Run::Wait(look_up_if_set) },
    Hook { phase: Phase::Log, order: -10, wants, run: Run::Wait(look_up_if_set) },
];

fn wants(_: &crate::config::Server, dir: &crate::config::Slots) -> bool {
    dir.get::<CoreDir>().and_then(|dir| dir.hostname_lookups).is_some_and(|lookups| lookups != Lookups::Off)
}

fn look_up_if_set(ex: &mut Exchange) -> Waiting<'_> {
    Box::pin(async move {
        look_up(ex, false).await;
        Outcome::Declined
    })
}

/// Looks up the client's name where the configuration or, with `confirm`, a rule wants it, off the thread that serves
/// requests. A rule only believes a name that has the client's address: whoever owns an address can give it any name.
pub(crate) async fn look_up(ex: &mut Exchange, confirm: bool) {
    let setting = ex.dir::<CoreDir>().and_then(|dir| dir.hostname_lookups).unwrap_or_default();
    let host = ex.client_host_mut();
    let ask = !host.is_known() && (confirm || setting != Lookups::Off);
    let check = host.confirmed().is_none() && (confirm || (ask && setting == Lookups::Double));
    if !ask && !check {
        return;
    }
    let Some(address) = std::str::from_utf8(&ex.client_ip).ok().and_then(|ip| ip.parse::<IpAddr>().ok()) else {
        return;
    };
    let known = host.name().map(|name| String::from_utf8_lossy(&name).into_owned());
    let looked_up = tokio::task::spawn_blocking(move || {
        let name = if ask { name_of(address) } else { known };
        let confirmed = check.then(|| {
            let found = name.as_deref().map(addresses).unwrap_or_default();
            found.iter().any(|found| found.to_canonical() == address.to_canonical())
        });
        (name, confirmed)
    });
    let Ok((name, confirmed)) = looked_up.await else { return };
    if let Some(confirmed) = confirmed {
        host.set_confirmed(confirmed);
    }
    if ask {
        // `Double` forgets a name that does not hold; a rule keeps it for the log.
        let believed = setting != Lookups::Double || confirmed == Some(true);
        host.set_name(name.filter(|_| believed).map(|name| name.into_bytes().into()));
    }
}

fn name_of(address: IpAddr) -> Option<String> {
    let name = dns_lookup::lookup_addr(&address).ok().filter(|name| name.parse::<IpAddr>().is_err())?;
    Some(name.to_ascii_lowercase())
}

/// The addresses of a name, as the system's resolver has them.
pub(crate) fn addresses(name: &str) -> Vec<IpAddr> {
    (name, 0u16).to_socket_addrs().into_iter().flatten().map(|address| address.ip()).collect()
}

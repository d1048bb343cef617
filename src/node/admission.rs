//! RemoteAddrValve, RemoteHostValve and RemoteCIDRValve: who may come in.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use super::components::Component;
use super::connector::plain;
use super::exchange::Exchange;
use super::valves::{Valve, whole};
use crate::base::pattern::Pattern;

/// Lets some in and turns others away.
pub struct Admission {
    allow: Option<List>,
    deny: Option<List>,
    status: u16,
    /// What is looked at has the connector's port behind it.
    with_port: bool,
    /// Who is connected counts, whatever other valves made of it.
    peer: bool,
    /// The name of the client counts, not its address.
    by_host: bool,
}

enum List {
    /// A pattern for the whole of an address or name.
    Pattern(Pattern),
    /// Networks, some for certain ports only.
    Nets(Vec<(IpNet, Option<Pattern>)>),
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").finish_non_exhaustive()
    }
}

impl Admission {
    /// The valve of an element.
    ///
    /// # Errors
    /// A pattern or a network that is none.
    pub fn of(element: &Component) -> Result<Self, String> {
        let with_port = element.flag("addConnectorPort");
        let nets = element.class.short() == "RemoteCIDRValve";
        let list = |name: &str| {
            let text = element.text(name).filter(|text| !text.is_empty());
            let read = |text: &str| {
                if nets { networks(text, with_port).map(List::Nets) } else { whole(text).map(List::Pattern) }
            };
            text.map(read).transpose()
        };
        Ok(Self {
            allow: list("allow")?,
            deny: list("deny")?,
            status: element.port("denyStatus").unwrap_or(403),
            with_port,
            peer: element.flag("usePeerAddress"),
            by_host: element.class.short() == "RemoteHostValve",
        })
    }

    fn admits(&self, who: &str, port: u16) -> bool {
        let holds = |list: &Option<List>| list.as_ref().map(|list| list.holds(who, port, self.with_port));
        match (holds(&self.deny), holds(&self.allow)) {
            (Some(true), _) => false,
            (_, Some(allowed)) => allowed,
            (Some(false), None) => true,
            (None, None) => false,
        }
    }
}

impl List {
    fn holds(&self, who: &str, port: u16, with_port: bool) -> bool {
        match self {
            Self::Pattern(pattern) if with_port => pattern.is_match(format!("{who};{port}").as_bytes()),
            Self::Pattern(pattern) => pattern.is_match(who.as_bytes()),
            Self::Nets(nets) => who.parse().is_ok_and(|address: IpAddr| {
                let address = plain(address);
                let fits = |of: &Option<Pattern>| of.as_ref().is_none_or(|of| of.is_match(port.to_string().as_bytes()));
                nets.iter().any(|(net, of)| net.contains(&address) && fits(of))
            }),
        }
    }
}

/// Networks with commas between, each with a pattern of ports behind a semicolon if ports count.
fn networks(text: &str, with_port: bool) -> Result<Vec<(IpNet, Option<Pattern>)>, String> {
    let mut found = Vec::new();
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let (net, port) = match word.split_once(';') {
            Some((net, port)) if with_port => (net.trim(), Some(whole(port.trim())?)),
            Some(_) => return Err(format!("[{word}] has a port, which counts with addConnectorPort=\"true\" only")),
            None => (word, None),
        };
        let net = net.parse().or_else(|_| net.parse::<IpAddr>().map(IpNet::from));
        found.push((net.map_err(|_| format!("[{word}] is neither an address nor a network"))?, port));
    }
    Ok(found)
}

impl Valve for Admission {
    fn before(&self, exchange: &mut Exchange) -> bool {
        let request = &exchange.request;
        let peer = request.peer.filter(|_| self.peer).map(|peer| peer.to_string());
        let who = if self.by_host { &request.remote_host } else { peer.as_ref().unwrap_or(&request.remote_addr) };
        let open = self.admits(who, request.local_port);
        if !open {
            exchange.response.error(self.status, None);
        }
        open
    }
}

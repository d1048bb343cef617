//! Valves: what stands between a connector and an application.

use std::fmt;
use std::path::Path;

use super::admission::Admission;
use super::components::Component;
use super::crawlers::Crawlers;
use super::exchange::{Exchange, RequestedId};
use super::gates::{Draining, HealthCheck, Semaphore, SslFields};
use super::log;
use super::reports::{ErrorReport, JsonErrorReport};
use super::stuck::Stuck;
use crate::base::pattern::{Flags, Pattern};

/// A step on the way of every request of a container.
pub trait Valve: Send + Sync + fmt::Debug {
    /// Before what is further in; false when the valve has answered itself.
    fn before(&self, exchange: &mut Exchange) -> bool {
        let _ = exchange;
        true
    }

    /// Every few seconds.
    fn background(&self) {}

    /// After what is further in, whenever [`Valve::before`] was called.
    fn after(&self, exchange: &mut Exchange) {
        let _ = exchange;
    }
}

impl<V: Valve + ?Sized> Valve for std::sync::Arc<V> {
    fn before(&self, exchange: &mut Exchange) -> bool {
        (**self).before(exchange)
    }

    fn background(&self) {
        (**self).background();
    }

    fn after(&self, exchange: &mut Exchange) {
        (**self).after(exchange);
    }
}

/// Goes through valves to the inside and back.
pub fn run(valves: &[&[Box<dyn Valve>]], exchange: &mut Exchange, inside: impl FnOnce(&mut Exchange)) {
    let mut entered: Vec<&dyn Valve> = Vec::new();
    let mut open = true;
    for valve in valves.iter().flat_map(|level| level.iter()) {
        entered.push(valve.as_ref());
        open = valve.before(exchange);
        if !open {
            break;
        }
    }
    if open {
        inside(exchange);
    }
    for valve in entered.iter().rev() {
        valve.after(exchange);
    }
}

/// A pattern that has to match the whole of a text, as Java's `matches`.
pub fn whole(text: &str) -> Result<Pattern, String> {
    Pattern::new(format!("^(?:{text})$").as_bytes(), Flags::default()).map_err(|error| error.to_string())
}

/// The valve of an element, in a node's directory; `None` for one that does nothing here.
///
/// # Errors
/// What is wrong with it.
pub fn make(element: &Component, dir: &Path) -> Result<Option<Box<dyn Valve>>, String> {
    Ok(match element.class.short() {
        "RemoteIpValve" => Some(Box::new(RemoteIp::of(element)?)),
        "RemoteAddrValve" | "RemoteHostValve" | "RemoteCIDRValve" => Some(Box::new(Admission::of(element)?)),
        "HealthCheckValve" => Some(Box::new(HealthCheck::of(element))),
        "SemaphoreValve" => Some(Box::new(Semaphore::of(element))),
        "LoadBalancerDrainingValve" => Some(Box::new(Draining::of(element)?)),
        "CrawlerSessionManagerValve" => Some(Box::new(Crawlers::of(element)?)),
        "StuckThreadDetectionValve" => Stuck::of(element).map(|valve| Box::new(valve) as Box<dyn Valve>),
        "ErrorReportValve" | "ProxyErrorReportValve" => {
            Some(Box::new(ErrorReport::of(Some(element)).with_pages(Some(element), dir)))
        }
        "JsonErrorReportValve" => Some(Box::new(JsonErrorReport)),
        "SSLValve" => Some(Box::new(SslFields::of(element))),
        "ReplicationValve" => Some(Box::new(Replication::of(element)?)),
        "JvmRouteBinderValve" if element.flag("enabled") => {
            let attribute = element.text("sessionIdAttribute").unwrap_or_default().to_owned();
            Some(Box::new(JvmRouteBinder { attribute }))
        }
        _ => None,
    })
}

/// Addresses whose word about the client counts, unless configured.
const INTERNAL: &str = r"10\.\d{1,3}\.\d{1,3}\.\d{1,3}|192\.168\.\d{1,3}\.\d{1,3}|169\.254\.\d{1,3}\.\d{1,3}|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.\d{1,3}\.\d{1,3}|172\.(?:1[6-9]|2\d|3[01])\.\d{1,3}\.\d{1,3}|0:0:0:0:0:0:0:1|::1|fe[89ab][0-9a-f]:.*|f[cd][0-9a-f]{2}:.*";

/// RemoteIpValve: the client as the proxies in front tell of it.
struct RemoteIp {
    internal: Option<Pattern>,
    trusted: Option<Pattern>,
    address: String,
    protocol: String,
    https: String,
    proxies: String,
    host: Option<String>,
    port: Option<String>,
    http_port: u16,
    https_port: u16,
    attributes: bool,
}

impl fmt::Debug for RemoteIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteIpValve").finish_non_exhaustive()
    }
}

impl RemoteIp {
    fn of(element: &Component) -> Result<Self, String> {
        let text = |name: &str| element.text(name).unwrap_or_default().to_owned();
        let pattern = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(whole).transpose();
        Ok(Self {
            internal: pattern(Some(element.set("internalProxies").unwrap_or(INTERNAL)))?,
            trusted: pattern(element.text("trustedProxies"))?,
            address: text("remoteIpHeader"),
            protocol: text("protocolHeader"),
            https: text("protocolHeaderHttpsValue"),
            proxies: text("proxiesHeader"),
            host: element.text("hostHeader").map(str::to_owned),
            port: element.text("portHeader").map(str::to_owned),
            http_port: element.port("httpServerPort").unwrap_or(80),
            https_port: element.port("httpsServerPort").unwrap_or(443),
            attributes: element.flag("requestAttributesEnabled"),
        })
    }

    fn is_internal(&self, address: &str) -> bool {
        self.internal.as_ref().is_some_and(|pattern| pattern.is_match(address.as_bytes()))
    }

    fn is_trusted(&self, address: &str) -> bool {
        self.trusted.as_ref().is_some_and(|pattern| pattern.is_match(address.as_bytes()))
    }
}

impl Valve for RemoteIp {
    fn before(&self, exchange: &mut Exchange) -> bool {
        let request = &mut exchange.request;
        let peer = request.remote_addr.clone();
        let from_internal = self.is_internal(&peer);
        if from_internal || self.is_trusted(&peer) {
            let mut list: Vec<String> = Vec::new();
            for line in request.headers(&self.address) {
                list.extend(line.split(',').map(|word| word.trim().to_owned()));
            }
            let mut client = None;
            let mut passed: Vec<String> = Vec::new();
            if !from_internal {
                passed.push(peer.clone());
            }
            while let Some(address) = list.pop() {
                if address.is_empty() {
                    continue;
                }
                client = Some(address.clone());
                if self.is_internal(&address) {
                    continue;
                }
                if !self.is_trusted(&address) {
                    break;
                }
                passed.insert(0, address);
            }
            if let Some(client) = client {
                request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case(&self.address));
                if !list.is_empty() {
                    request.headers.push((self.address.clone(), list.join(", ").into_bytes()));
                }
                request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case(&self.proxies));
                if !passed.is_empty() {
                    request.headers.push((self.proxies.clone(), passed.join(", ").into_bytes()));
                }
                request.remote_host = client.clone();
                request.remote_addr = client;
            }
            let said = request.header(&self.protocol).map(str::to_owned);
            if let Some(said) = said.filter(|said| !said.is_empty()) {
                let secure = said.split(',').all(|word| word.trim().eq_ignore_ascii_case(&self.https));
                request.secure = secure;
                request.scheme = if secure { "https" } else { "http" }.to_owned();
                request.server_port = if secure { self.https_port } else { self.http_port };
                let port = self.port.as_ref().and_then(|name| request.header(name)).and_then(|text| text.parse().ok());
                request.server_port = port.unwrap_or(request.server_port);
            }
            if let Some(host) = self.host.as_ref().and_then(|name| request.header(name)) {
                request.server_name = host.split(':').next().unwrap_or_default().to_ascii_lowercase();
            }
        }
        if self.attributes {
            let (address, host) = (request.remote_addr.clone(), request.remote_host.clone());
            let port = request.server_port.to_string();
            let server = request.server_name.clone();
            for (name, value) in
                [("RemoteAddr", &address), ("RemoteHost", &host), ("ServerName", &server), ("ServerPort", &port)]
            {
                request.set_attribute(&format!("org.apache.catalina.AccessLog.{name}"), value);
            }
        }
        request.set_attribute("org.apache.tomcat.remotePeer", &peer);
        true
    }

    fn after(&self, exchange: &mut Exchange) {
        // The log shows the proxy unless it asks for the attributes.
        if let Some(peer) = exchange.request.attribute("org.apache.tomcat.remotePeer").map(str::to_owned) {
            exchange.request.remote_host = peer.clone();
            exchange.request.remote_addr = peer;
        }
    }
}

/// ReplicationValve: after a request the changes of its session go to the cluster.
struct Replication {
    filter: Option<Pattern>,
    indicator: Option<String>,
}

impl fmt::Debug for Replication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplicationValve").finish_non_exhaustive()
    }
}

impl Replication {
    fn of(element: &Component) -> Result<Self, String> {
        let filter = element.text("filter").filter(|text| !text.is_empty()).map(whole).transpose()?;
        let indicator = element
            .flag("primaryIndicator")
            .then(|| element.text("primaryIndicatorName").unwrap_or_default().to_owned());
        Ok(Self { filter, indicator })
    }
}

impl Valve for Replication {
    fn before(&self, exchange: &mut Exchange) -> bool {
        if let (Some(name), Some(context)) = (&self.indicator, exchange.context.clone())
            && let Some(requested) = &exchange.request.requested
        {
            let primary = context.manager.is_primary(&requested.id).to_string();
            exchange.request.set_attribute(name, &primary);
        }
        true
    }

    fn after(&self, exchange: &mut Exchange) {
        let Some(context) = exchange.context.clone().filter(|context| context.distributable) else { return };
        if self.filter.as_ref().is_some_and(|filter| filter.is_match(exchange.request.path.as_bytes())) {
            return;
        }
        // A request that names a session and never touched it counts as an access all the same.
        if let Some(held) = exchange.session(false) {
            context.manager.replicate(held.id());
        }
    }
}

/// JvmRouteBinderValve: a session that comes from a node that failed gets this node's route.
#[derive(Debug)]
struct JvmRouteBinder {
    attribute: String,
}

impl Valve for JvmRouteBinder {
    fn before(&self, exchange: &mut Exchange) -> bool {
        let Some(context) = exchange.context.clone().filter(|context| context.distributable) else { return true };
        let (Some(route), Some(requested)) = (&context.route, exchange.request.requested.clone()) else { return true };
        let Some(at) = requested.id.find('.').filter(|at| *at > 0) else { return true };
        let (stem, tail) = requested.id.split_at(at);
        if tail.trim_start_matches('.') == route {
            return true;
        }
        let new = format!("{stem}.{route}");
        if context.manager.exists(&requested.id) {
            if exchange.rename_session(&context, &requested.id, &new) {
                exchange.request.set_attribute(&self.attribute, &requested.id);
                const SOURCE: &str = "org.apache.catalina.ha.session.JvmRouteBinderValve.changeSessionID";
                log::info(SOURCE, &format!("Changed session from [{}] to [{new}]", requested.id));
            }
        } else if context.manager.exists(&new) {
            exchange.request.requested = Some(RequestedId { id: new, ..requested });
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::components::{Attribute, Kind, Position};
    use crate::node::exchange::Request;

    fn valve(class: &str, attributes: &[(&str, &str)]) -> Box<dyn Valve> {
        let mut element = Component::bare(Kind::Valve, &format!("org.apache.catalina.{class}")).unwrap();
        for (name, value) in attributes {
            let attribute = Attribute { name: (*name).to_owned(), value: (*value).to_owned(), at: Position::default() };
            element.attributes.push(attribute);
        }
        make(&element, Path::new("")).unwrap().unwrap()
    }

    #[test]
    fn the_client_behind_proxies_is_found() {
        let valve = valve("valves.RemoteIpValve", &[("trustedProxies", r"1\.1\.1\.1")]);
        let ask = |peer: &str, forwarded: &str| {
            let headers = vec![
                ("X-Forwarded-For".to_owned(), forwarded.as_bytes().to_vec()),
                ("X-Forwarded-Proto".to_owned(), b"https".to_vec()),
            ];
            let mut exchange = Exchange::new(Request { remote_addr: peer.to_owned(), headers, ..Request::default() });
            let mut seen = (String::new(), false);
            run(&[&[]], &mut exchange, |_| {});
            assert!(valve.before(&mut exchange));
            seen.0.clone_from(&exchange.request.remote_addr);
            seen.1 = exchange.request.secure;
            valve.after(&mut exchange);
            assert_eq!(exchange.request.remote_addr, peer);
            seen
        };
        assert_eq!(ask("127.0.0.1", "9.9.9.9, 8.8.8.8, 10.0.0.1"), ("8.8.8.8".to_owned(), true));
        assert_eq!(ask("127.0.0.1", "9.9.9.9, 1.1.1.1"), ("9.9.9.9".to_owned(), true));
        assert_eq!(ask("7.7.7.7", "9.9.9.9"), ("7.7.7.7".to_owned(), false));
    }

    #[test]
    fn addresses_are_kept_out() {
        let open = |attributes: &[(&str, &str)], who: &str| {
            let mut exchange = Exchange::new(Request { remote_addr: who.to_owned(), ..Request::default() });
            valve("valves.RemoteAddrValve", attributes).before(&mut exchange)
        };
        assert!(open(&[("allow", r"127\.\d+\.\d+\.\d+")], "127.0.0.1"));
        assert!(!open(&[("allow", r"127\.\d+\.\d+\.\d+")], "1.127.0.0.1"));
        assert!(!open(&[("allow", r".*"), ("deny", "1.*")], "1.1.1.1"));
        assert!(open(&[("deny", "1.*")], "2.1.1.1"));
        assert!(!open(&[], "2.1.1.1"));
        let open = |attributes: &[(&str, &str)], address: &str, peer: &str| {
            let mut exchange = Exchange::new(Request {
                remote_addr: address.to_owned(),
                peer: peer.parse().ok(),
                local_port: 8080,
                ..Request::default()
            });
            valve("valves.RemoteCIDRValve", attributes).before(&mut exchange)
        };
        assert!(open(&[("allow", "10.0.0.0/8, ::1")], "10.2.3.4", ""));
        assert!(open(&[("allow", "10.0.0.0/8, ::1")], "::1", ""));
        assert!(!open(&[("allow", "10.0.0.0/8, ::1")], "11.2.3.4", ""));
        assert!(!open(&[("allow", "0.0.0.0/0")], "nobody", ""));
        assert!(open(&[("deny", "127.0.0.0/30")], "127.0.0.4", ""));
        assert!(!open(&[("deny", "127.0.0.0/30"), ("allow", "127.0.0.0/8")], "127.0.0.1", ""));
        assert!(!open(&[], "127.0.0.1", ""));
        let port = [("allow", "127.0.0.1;80[89]0"), ("addConnectorPort", "true")];
        assert!(open(&port, "127.0.0.1", ""));
        assert!(!open(&[("allow", "127.0.0.1;8090"), ("addConnectorPort", "true")], "127.0.0.1", ""));
        let peer = [("allow", "10.0.0.1"), ("usePeerAddress", "true")];
        assert!(open(&peer, "1.1.1.1", "10.0.0.1") && !open(&peer, "10.0.0.1", "1.1.1.1"));
    }

    #[test]
    fn errors_are_explained() {
        let mut exchange = Exchange::new(Request::default());
        exchange.response.error(404, Some("no <b>"));
        ErrorReport::of(None).after(&mut exchange);
        let super::super::exchange::Body::Bytes(page) = exchange.response.body else { panic!("no page") };
        let page = String::from_utf8(page).unwrap();
        assert!(page.contains("<h1>HTTP Status 404 – Not Found</h1><hr class=\"line\" /><p><b>Type</b> Status Report</p><p><b>Message</b> no &lt;b&gt;</p>"), "{page}");
    }
}

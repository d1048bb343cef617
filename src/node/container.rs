//! A running service: requests find their host and application here, and pass the valves on the way.

use std::collections::HashMap;
use std::sync::Arc;

use super::access_log::AccessLog;
use super::context::Context;
use super::exchange::{Exchange, Request, normalize};
use super::reports::ErrorReport;
use super::valves::{self, Valve};

/// A running engine with its hosts.
#[derive(Debug)]
pub struct Engine {
    /// Its name.
    pub name: String,
    /// Valves of all requests.
    pub valves: Vec<Box<dyn Valve>>,
    /// Logs of all requests.
    pub logs: Vec<AccessLog>,
    /// Its hosts.
    pub hosts: Vec<Host>,
    /// Places in `hosts` by name and alias.
    pub names: HashMap<String, usize>,
    /// Place of the host for other names.
    pub default_host: Option<usize>,
}

/// A running host.
#[derive(Debug)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Valves of its requests; the last one explains errors.
    pub valves: Vec<Box<dyn Valve>>,
    /// Logs of its requests.
    pub logs: Vec<AccessLog>,
    /// Its applications, those with longer paths first.
    pub contexts: Vec<Mounted>,
}

/// An application with the valves it has to itself.
#[derive(Debug)]
pub struct Mounted {
    /// The application.
    pub context: Arc<Context>,
    /// Valves of its requests.
    pub valves: Vec<Box<dyn Valve>>,
    /// Logs of its requests.
    pub logs: Vec<AccessLog>,
}

impl Engine {
    /// The host of a request.
    pub fn host(&self, name: &str) -> Option<&Host> {
        let wildcard = || name.split_once('.').and_then(|(_, rest)| self.names.get(&format!("*.{rest}")));
        let at = self.names.get(name).or_else(wildcard).copied().or(self.default_host)?;
        self.hosts.get(at)
    }

    /// Answers a request, all but sending it.
    pub fn handle(&self, exchange: &mut Exchange) {
        let host = self.host(&exchange.request.server_name);
        let uri = exchange.request.uri.clone();
        // The parameter's name is the application's, which only the path tells.
        let found = normalize(&uri, "").map(|(path, _)| {
            let mounted = host.and_then(|host| host.find(&path));
            let in_path = mounted.and_then(|mounted| {
                normalize(&uri, &mounted.context.cookie.parameter).ok().and_then(|(_, requested)| requested)
            });
            (path, mounted, in_path)
        });
        let mut mounted = None;
        match found {
            Ok((path, found, in_path)) => {
                exchange.request.path = path;
                if let Some(found) = found {
                    exchange.request.context_len = found.context.path.len();
                    exchange.context = Some(Arc::clone(&found.context));
                    found.context.find_requested(exchange, in_path);
                    mounted = Some(found);
                }
            }
            // A server, not one of its resources, is asked what it can.
            Err(_) if uri == "*" && exchange.request.method == "OPTIONS" => {}
            Err(error) => {
                exchange.response.error(400, Some(error.to_string().as_str()).filter(|text| !text.is_empty()));
            }
        }
        if let Some(context) = mounted.map(|mounted| &mounted.context)
            && exchange.response.status < 400
            && exchange.request.path_info().is_empty()
            && context.root_redirect
            && !context.path.is_empty()
        {
            // Tomcat's mapper does this before any valve sees the request.
            exchange.response.redirect(&below_root(context, &exchange.request));
            return name_host(exchange);
        }
        let fallback: [Box<dyn Valve>; 1] = [Box::new(ErrorReport::of(None))];
        let host_valves: &[Box<dyn Valve>] = host.map_or(&fallback, |host| &host.valves);
        let own: &[Box<dyn Valve>] = mounted.map_or(&[], |mounted| &mounted.valves);
        valves::run(&[&self.valves, host_valves, own], exchange, |exchange| {
            if exchange.response.status >= 400 {
                return;
            }
            if uri == "*" {
                return exchange.response.set_header("Allow", "GET, HEAD, POST, PUT, DELETE, OPTIONS");
            }
            let Some(context) = exchange.context.clone() else {
                let message = format!("The requested resource [{uri}] is not available");
                return exchange.response.error(404, Some(&message));
            };
            if is_private(exchange.request.path_info()) {
                return exchange.response.error(404, None);
            }
            context.handler.handle(exchange);
        });
        name_host(exchange);
        if let (Some(context), Some(held)) = (&exchange.context, &exchange.request.session) {
            context.manager.end(held.id());
        }
    }

    /// Logs a request whose response was sent, innermost log first.
    pub fn log(&self, exchange: &Exchange) {
        let host = self.host(&exchange.request.server_name);
        let same = |mounted: &&Mounted| exchange.context.as_ref().is_some_and(|own| Arc::ptr_eq(own, &mounted.context));
        let own = host.and_then(|host| host.contexts.iter().find(same)).map(|mounted| &mounted.logs);
        let logs = own.into_iter().chain(host.map(|host| &host.logs)).flatten().chain(&self.logs);
        logs.for_each(|log| log.log(exchange));
    }

    /// All logs.
    pub fn all_logs(&self) -> impl Iterator<Item = &AccessLog> {
        let inner =
            self.hosts.iter().flat_map(|host| host.logs.iter().chain(host.contexts.iter().flat_map(|own| &own.logs)));
        self.logs.iter().chain(inner)
    }

    /// All valves.
    pub fn all_valves(&self) -> impl Iterator<Item = &dyn Valve> {
        let inner = self
            .hosts
            .iter()
            .flat_map(|host| host.valves.iter().chain(host.contexts.iter().flat_map(|own| &own.valves)));
        self.valves.iter().chain(inner).map(AsRef::as_ref)
    }

    /// All applications.
    pub fn contexts(&self) -> impl Iterator<Item = (&Host, &Arc<Context>)> {
        self.hosts.iter().flat_map(|host| host.contexts.iter().map(move |mounted| (host, &mounted.context)))
    }
}

/// Where a request for nothing but an application goes on: the session's id in the path stays there.
fn below_root(context: &Context, request: &Request) -> String {
    let mut location = Vec::new();
    crate::base::path::encode_proxy_path(context.path.as_bytes(), false, &mut location);
    let mut location = String::from_utf8_lossy(&location).into_owned();
    location.push('/');
    if request.requested.as_ref().is_some_and(|requested| !requested.from_cookie) {
        let parameters = request.uri.split('/').flat_map(|segment| segment.split(';').skip(1));
        let mut pairs = parameters.filter_map(|parameter| parameter.split_once('='));
        if let Some((name, id)) = pairs.find(|(name, _)| *name == context.cookie.parameter) {
            location.push_str(&format!(";{name}={id}"));
        }
    }
    if let Some(query) = &request.query {
        location.push_str(&format!("?{query}"));
    }
    location
}

/// Puts scheme and host in front of a redirect, where the application or an old client wants them.
fn name_host(exchange: &mut Exchange) {
    let relative = exchange.context.as_ref().is_none_or(|context| context.relative_redirects);
    let (request, response) = (&exchange.request, &mut exchange.response);
    if !(300..400).contains(&response.status)
        || relative && matches!(request.protocol.as_str(), "HTTP/1.1" | "HTTP/2.0")
    {
        return;
    }
    let Some(path) = response.header("Location").filter(|location| location.starts_with('/')) else { return };
    let port = match (request.scheme.as_str(), request.server_port) {
        ("http", 80) | ("https", 443) => String::new(),
        (_, port) => format!(":{port}"),
    };
    let location = format!("{}://{}{port}{path}", request.scheme, request.server_name);
    response.set_header("Location", &location);
}

/// Whether a path inside an application is nobody's business.
fn is_private(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    first.eq_ignore_ascii_case("WEB-INF") || first.eq_ignore_ascii_case("META-INF")
}

impl Host {
    /// The application with the longest path that begins a request's.
    fn find(&self, path: &str) -> Option<&Mounted> {
        self.contexts.iter().find(|mounted| {
            path.strip_prefix(mounted.context.path.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

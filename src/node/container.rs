//! A running service: requests find their host and application here, and pass the valves on the way.

use std::collections::HashMap;
use std::sync::Arc;

use super::access_log::AccessLog;
use super::context::Context;
use super::exchange::{Exchange, normalize};
use super::valves::{self, ErrorReport, Valve};

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
            Err(_) if uri == "*" => {}
            Err(error) => {
                exchange.response.error(400, Some(error.to_string().as_str()).filter(|text| !text.is_empty()));
            }
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
            if exchange.request.path_info().is_empty() && context.root_redirect && !context.path.is_empty() {
                let query = exchange.request.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
                return exchange.response.redirect(&format!("{}/{query}", context.path));
            }
            context.handler.handle(exchange);
        });
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

    /// All applications.
    pub fn contexts(&self) -> impl Iterator<Item = (&Host, &Arc<Context>)> {
        self.hosts.iter().flat_map(|host| host.contexts.iter().map(move |mounted| (host, &mounted.context)))
    }
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

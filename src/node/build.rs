//! From the model to what runs: hosts, applications with their handlers and managers, valves.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::access_log::AccessLog;
use super::cluster::Clusters;
use super::components::{Component, Kind};
use super::container::{Engine, Host, Mounted};
use super::context::{Context, SessionCookie};
use super::deploy::Base;
use super::failure::StartError;
use super::files::Files;
use super::model::{self, DocBase};
use super::page::SessionPage;
use super::reports::{ErrorPages, ErrorReport, JsonErrorReport};
use super::valves::{self, Valve};
use super::webapp::{Handler, Handlers};

/// Builds what a service runs.
///
/// # Errors
/// A valve or a handler that cannot be.
pub fn engine(
    engine: &model::Engine,
    base: &Base,
    handlers: &Handlers,
    clusters: &Clusters,
) -> Result<Engine, StartError> {
    let (mut own, logs) = valves_of(&engine.valves, base)?;
    own.extend(cluster_valves(engine.cluster.as_ref())?);
    let (mut hosts, mut names) = (Vec::new(), HashMap::new());
    for (at, host) in engine.hosts.iter().enumerate() {
        for name in host.aliases.iter().chain([&host.name]) {
            names.insert(name.clone(), at);
        }
        hosts.push(build_host(engine, host, base, handlers, clusters)?);
    }
    let default_host = names.get(&engine.default_host).copied();
    Ok(Engine { name: engine.name.clone(), valves: own, logs, hosts, names, default_host })
}

fn build_host(
    engine: &model::Engine,
    host: &model::Host,
    base: &Base,
    handlers: &Handlers,
    clusters: &Clusters,
) -> Result<Host, StartError> {
    let (mut own, logs) = valves_of(&host.valves, base)?;
    own.extend(cluster_valves(host.cluster.as_ref())?);
    let report = host.valves.iter().rev().find(|valve| valve.class.short() == "ErrorReportValve");
    let json = host.error_report.ends_with(".JsonErrorReportValve");
    own.push(if json {
        Box::new(JsonErrorReport)
    } else {
        Box::new(ErrorReport::of(report).with_pages(report, &base.dir))
    });
    own.push(Box::new(ErrorPages));
    let mut contexts = Vec::new();
    for context in &host.contexts {
        contexts.push(mount(engine, host, context, base, handlers, clusters)?);
    }
    contexts.sort_by_key(|mounted| std::cmp::Reverse(mounted.context.path.len()));
    Ok(Host { name: host.name.clone(), valves: own, logs, contexts })
}

fn mount(
    engine: &model::Engine,
    host: &model::Host,
    context: &model::Context,
    base: &Base,
    handlers: &Handlers,
    clusters: &Clusters,
) -> Result<Mounted, StartError> {
    let elements: Vec<Component> = context.layers.iter().flat_map(|layer| layer.all(Kind::Valve)).cloned().collect();
    let (mut own, logs) = valves_of(&elements, base)?;
    own.extend(context.guard.clone().map(|guard| Box::new(guard) as Box<dyn Valve>));
    let handler: Arc<dyn Handler> = match &context.base {
        DocBase::Files(dir) => Arc::new(Files::new(dir, &context.web)),
        DocBase::SessionPage => {
            let node = engine.route.clone().or_else(hostname).unwrap_or_else(|| engine.name.clone());
            Arc::new(SessionPage { node })
        }
        DocBase::Handler(name) => handlers.get(name).ok_or_else(|| StartError::Handler(name.clone()))?,
    };
    let page = context.base == DocBase::SessionPage;
    let distributable = context.distributable() || page;
    let (manager, distributable) = clusters.manager(host, context, distributable)?;
    let of_cluster =
        || host.cluster.as_ref().or(engine.cluster.as_ref()).and_then(|cluster| cluster.one(Kind::Manager));
    let generator =
        context.one(Kind::Manager).or_else(of_cluster).and_then(|element| element.one(Kind::SessionIdGenerator));
    let context = Context {
        path: context.path.clone(),
        name: context.name(),
        manager,
        distributable,
        handler,
        route: generator
            .and_then(|element| element.set("jvmRoute"))
            .map(str::to_owned)
            .or_else(|| engine.route.clone()),
        id_length: generator.map_or(16, |element| element.count("sessionIdLength")),
        cookie: SessionCookie::of(context),
        root_redirect: context.flag("mapperContextRootRedirectEnabled"),
        relative_redirects: context.flag("useRelativeRedirects"),
        error_pages: context.web.error_pages.clone(),
    };
    Ok(Mounted { context: Arc::new(context), valves: own, logs })
}

/// Valves in order, and the logs among them.
type Pipeline = (Vec<Box<dyn Valve>>, Vec<AccessLog>);

fn valves_of(elements: &[Component], base: &Base) -> Result<Pipeline, StartError> {
    let (mut found, mut logs) = (Vec::new(), Vec::new());
    for element in elements {
        if element.class.short().ends_with("AccessLogValve") {
            logs.extend(AccessLog::of(element, &base.dir));
        } else {
            found.extend(valve(element, &base.dir)?);
        }
    }
    Ok((found, logs))
}

fn valve(element: &Component, dir: &Path) -> Result<Option<Box<dyn Valve>>, StartError> {
    valves::make(element, dir).map_err(|reason| StartError::Valve { name: element.class.name, at: element.at, reason })
}

/// The valves of a cluster: its own, or Tomcat's two.
fn cluster_valves(cluster: Option<&Component>) -> Result<Vec<Box<dyn Valve>>, StartError> {
    const DEFAULT: [&str; 2] =
        ["org.apache.catalina.ha.session.JvmRouteBinderValve", "org.apache.catalina.ha.tcp.ReplicationValve"];
    let Some(cluster) = cluster else { return Ok(Vec::new()) };
    let mut elements: Vec<Component> = cluster.all(Kind::Valve).cloned().collect();
    if elements.is_empty() {
        elements.extend(DEFAULT.iter().filter_map(|class| Component::bare(Kind::Valve, class)));
    }
    let mut found = Vec::new();
    for element in &elements {
        // None of them names files.
        found.extend(valve(element, Path::new(""))?);
    }
    Ok(found)
}

fn hostname() -> Option<String> {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok())
}

//! From files to the model: server.xml, the context files and descriptors around it, the applications of each host.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::authenticator::Authenticator;
use super::components::{Component, Kind, Position};
use super::model::{self, Connector, Context, DocBase, Engine, Host, Server, Service, Shutdown};
use super::webxml::WebXml;
use super::xml::{self, Notice, Properties, Refusal};

const DEPLOY: &str = "org.apache.catalina.startup.HostConfig.deployDirectory";
const DESCRIPTOR: &str = "org.apache.catalina.startup.HostConfig.deployDescriptor";
const CONTEXT: &str = "org.apache.catalina.startup.ContextConfig.configureStart";
const DIGEST: &str = "org.apache.tomcat.util.digester.SetPropertiesRule.begin";

/// Where the session page is unless an application has this path.
const PAGE: &str = "/cluster";

/// Where a node lives.
#[derive(Clone, Debug)]
pub struct Base {
    /// `CATALINA_BASE`.
    pub dir: PathBuf,
    /// The configuration, relative to it.
    pub file: PathBuf,
    /// What `${…}` stands for.
    pub properties: Properties,
}

impl Base {
    /// A node's directory; `catalina.properties` in it is read.
    pub fn new(dir: &Path, file: &Path, mut properties: Properties) -> Self {
        let text = dir.display().to_string();
        properties.set_default("catalina.base", &text);
        properties.set_default("catalina.home", &text);
        properties.set_default("java.io.tmpdir", &dir.join("temp").display().to_string());
        if let Ok(read) = fs::read_to_string(dir.join("conf/catalina.properties")) {
            properties.read(&read);
        }
        const SOURCE: &str = "org.apache.tomcat.util.digester.PROPERTY_SOURCE";
        if properties.get(SOURCE).is_some_and(|class| class.contains("EnvironmentPropertySource")) {
            for (name, value) in std::env::vars_os() {
                if let (Some(name), Some(value)) = (name.to_str(), value.to_str()) {
                    properties.set_default(name, value);
                }
            }
        }
        Self { dir: dir.to_owned(), file: file.to_owned(), properties }
    }

    /// Path of the configuration.
    pub fn server_xml(&self) -> PathBuf {
        self.dir.join(&self.file)
    }
}

/// Reads all of a node's configuration.
///
/// # Errors
/// Everything that keeps it from starting; what is merely odd is appended to `notices`.
pub fn load(base: &Base, notices: &mut Vec<Notice>) -> Result<Server, Vec<Refusal>> {
    let path = base.server_xml();
    let file = path.display().to_string();
    let text = fs::read_to_string(&path)
        .map_err(|error| vec![Refusal { file: file.clone(), at: Position::default(), text: error.to_string() }])?;
    let read = xml::read(&file, &text, "Server", &base.properties)?;
    notices.extend(read.notices);
    let databases = databases(&read.root, &base.dir);
    let mut loader = Loader { base, file: &file, notices, refusals: Vec::new(), databases, realms: Vec::new() };
    let server = loader.server(&read.root);
    if loader.refusals.is_empty() { Ok(server) } else { Err(loader.refusals) }
}

struct Loader<'a> {
    base: &'a Base,
    file: &'a str,
    notices: &'a mut Vec<Notice>,
    refusals: Vec<Refusal>,
    /// Files of the databases of users, by name.
    databases: Vec<(String, PathBuf)>,
    /// The realms around what is read, the innermost last.
    realms: Vec<Component>,
}

/// The databases of users that `GlobalNamingResources` names.
fn databases(server: &Component, dir: &Path) -> Vec<(String, PathBuf)> {
    let resources = server.all(Kind::GlobalNamingResources).flat_map(|global| &global.children);
    let databases = resources.filter(|resource| resource.set("type") == Some("org.apache.catalina.UserDatabase"));
    let file = |resource: &Component| {
        let path = resource.set("pathname").unwrap_or("conf/tomcat-users.xml");
        Some((resource.set("name")?.to_owned(), dir.join(path)))
    };
    databases.filter_map(file).collect()
}

impl Loader<'_> {
    fn notice(&mut self, source: &'static str, text: String) {
        self.notices.push(Notice { source, text });
    }

    fn refuse(&mut self, at: Position, text: String) {
        self.refusals.push(Refusal { file: self.file.to_owned(), at, text });
    }

    /// Says what is set and not obeyed, here and below.
    fn remark(&mut self, element: &Component) {
        for name in model::not_obeyed(element) {
            let text = format!("Match [{}] property [{name}] is accepted and not obeyed", element.path);
            self.notices.push(Notice { source: DIGEST, text });
        }
        for child in &element.children {
            self.remark(child);
        }
    }

    fn server(&mut self, server: &Component) -> Server {
        self.remark(server);
        let offset = server.number("portOffset");
        let services = server.all(Kind::Service).filter_map(|service| self.service(service, offset)).collect();
        Server { shutdown: Shutdown::of(server), services }
    }

    fn service(&mut self, service: &Component, offset: i64) -> Option<Service> {
        let name = service.text("name").unwrap_or("Catalina").to_owned();
        let mut connectors = Vec::new();
        let mut executors: Vec<&Component> = Vec::new();
        for child in &service.children {
            match child.kind {
                Kind::Executor => executors.push(child),
                Kind::Connector => match Connector::of(child, offset, self.file) {
                    Ok(Some(mut connector)) => {
                        // An executor that stands behind the connector does not count.
                        let shared = child
                            .set("executor")
                            .and_then(|name| executors.iter().find(|executor| executor.text("name") == Some(name)));
                        if let Some(executor) = shared {
                            // Virtual threads have no bound; what there are connections for is one here.
                            let bound = executor.text("maxThreads").map(|_| executor.count("maxThreads").max(1));
                            connector.max_threads = bound.unwrap_or(connector.max_connections);
                        } else if let Some(name) = child.set("executor") {
                            let text = format!("No executor found with name [{name}]");
                            self.notice("org.apache.catalina.startup.ConnectorCreateRule.begin", text);
                        }
                        connectors.push(connector);
                    }
                    Ok(None) => {}
                    Err(refusal) => self.refusals.push(refusal),
                },
                _ => {}
            }
        }
        let Some(engine) = service.one(Kind::Engine) else {
            self.refuse(service.at, format!("the Service [{name}] has no Engine"));
            return None;
        };
        let engine = self.engine(engine);
        Some(Service { name, connectors, engine })
    }

    fn engine(&mut self, engine: &Component) -> Engine {
        let name = engine.text("name").unwrap_or("Catalina").to_owned();
        self.realms = engine.one(Kind::Realm).cloned().into_iter().collect();
        let hosts: Vec<_> = engine.all(Kind::Host).map(|host| self.host(host, &name)).collect();
        let default_host = engine.text("defaultHost").unwrap_or_default().to_ascii_lowercase();
        let route = engine.text("jvmRoute").or_else(|| self.base.properties.get("jvmRoute"));
        let delay = u64::try_from(engine.number("backgroundProcessorDelay")).ok().filter(|delay| *delay > 0);
        Engine {
            route: route.map(str::to_owned).filter(|route| !route.is_empty()),
            valves: engine.all(Kind::Valve).cloned().collect(),
            cluster: engine.one(Kind::Cluster).cloned(),
            background: Duration::from_secs(delay.unwrap_or(10)),
            name,
            default_host,
            hosts,
        }
    }

    fn host(&mut self, host: &Component, engine: &str) -> Host {
        let name = host.text("name").unwrap_or("localhost").to_ascii_lowercase();
        let app_base = self.base.dir.join(host.text("appBase").unwrap_or("webapps"));
        let around = self.realms.len();
        self.realms.extend(host.one(Kind::Realm).cloned());
        let contexts = self.contexts(host, &name, engine, &app_base);
        self.realms.truncate(around);
        Host {
            aliases: host.all(Kind::Alias).map(|alias| alias.body.trim().to_ascii_lowercase()).collect(),
            valves: host.all(Kind::Valve).cloned().collect(),
            cluster: host.one(Kind::Cluster).cloned(),
            error_report: host.text("errorReportValveClass").unwrap_or_default().to_owned(),
            name,
            app_base,
            contexts,
        }
    }

    /// The applications of a host: those of server.xml, then descriptors, then directories; the first of a path counts.
    fn contexts(&mut self, host: &Component, name: &str, engine: &str, app_base: &Path) -> Vec<Context> {
        let descriptors = match host.text("xmlBase") {
            Some(dir) => self.base.dir.join(dir),
            None => self.base.dir.join("conf").join(engine).join(name),
        };
        let mut below: Vec<Component> = Vec::new();
        below.extend(self.context_file(&self.base.dir.join("conf/context.xml")));
        below.extend(self.context_file(&descriptors.join("context.xml.default")));
        let defaults = self.web_xml(&self.base.dir.join("conf/web.xml")).unwrap_or_default();
        let mut found: BTreeMap<String, Context> = BTreeMap::new();

        for element in host.all(Kind::Context) {
            let path = element.text("path").unwrap_or_default().trim_end_matches('/').to_owned();
            let version = element.text("webappVersion").unwrap_or_default().to_owned();
            let base = described(element, &path, &version, app_base);
            self.context(&mut found, &below, &defaults, (path, version), base, Some(element.clone()));
        }
        if host.flag("deployOnStartup") || host.flag("autoDeploy") {
            for file in entries(&descriptors).into_iter().filter(|file| has_extension(file, "xml")) {
                let Some(element) = self.context_file(&file) else { continue };
                self.notice(DESCRIPTOR, format!("Deploying deployment descriptor [{}]", file.display()));
                let (path, version) = path_of(&stem(&file));
                let base = described(&element, &path, &version, app_base);
                self.context(&mut found, &below, &defaults, (path, version), base, Some(element));
            }
            for dir in entries(app_base) {
                if dir.is_dir() {
                    let (path, version) = path_of(&file_name(&dir));
                    let element = self.context_file(&dir.join("META-INF/context.xml"));
                    self.context(&mut found, &below, &defaults, (path, version), DocBase::Files(dir), element);
                } else if has_extension(&dir, "war") && !dir.with_extension("").is_dir() {
                    let text =
                        format!("Web application archives are not unpacked: [{}] is not deployed", dir.display());
                    self.notice("org.apache.catalina.startup.HostConfig.deployWAR", text);
                }
            }
        }
        if found.values().all(|context| context.path != PAGE) {
            let key = (PAGE.to_owned(), String::new());
            self.context(&mut found, &below, &defaults, key, DocBase::SessionPage, None);
        }
        found.into_values().collect()
    }

    fn context(
        &mut self,
        found: &mut BTreeMap<String, Context>,
        below: &[Component],
        defaults: &WebXml,
        (path, version): (String, String),
        base: DocBase,
        element: Option<Component>,
    ) {
        let key = base_name(&path, &version);
        if found.contains_key(&key) {
            return;
        }
        let mut layers = below.to_vec();
        layers.extend(element);
        if layers.is_empty() {
            layers.extend(Component::bare(Kind::Context, "org.apache.catalina.core.StandardContext"));
        }
        let mut web = WebXml::default();
        if let DocBase::Files(dir) = &base {
            if !dir.is_dir() {
                let text = format!(
                    "The main resource set specified [{}] is not valid: the context [{path}] is not started",
                    dir.display()
                );
                return self.notice(CONTEXT, text);
            }
            let descriptor = dir.join("WEB-INF/web.xml");
            if descriptor.is_file() {
                match self.web_xml(&descriptor) {
                    Some(read) => web = read,
                    None => return,
                }
            }
        }
        let web = web.over(defaults);
        if let Some(what) = web.refused.first() {
            let text =
                format!("The context [{path}] is not started: its web.xml has a [{what}], which is not supported here");
            return self.notice(CONTEXT, text);
        }
        let own = layers.iter().rev().find_map(|layer| layer.one(Kind::Realm));
        let realm = own.or_else(|| self.realms.last());
        let guard = match Authenticator::of(&web.security, realm, &self.databases, &self.base.dir) {
            Ok(guard) => guard,
            Err(why) => {
                let text = format!(
                    "The context [{path}] is not started: it has security constraints in its web.xml, and {why}"
                );
                return self.notice(CONTEXT, text);
            }
        };
        if !web.missing.is_empty() {
            let text =
                format!("The context [{path}] has elements in its web.xml that are not obeyed: {:?}", web.missing);
            self.notice(CONTEXT, text);
        }
        if let DocBase::Files(dir) = &base {
            self.notice(DEPLOY, format!("Deploying web application directory [{}]", dir.display()));
        }
        for layer in &layers {
            self.remark(layer);
        }
        found.insert(key, Context { path, version, base, layers, web, guard });
    }

    /// A context file, if it is there and can be read.
    fn context_file(&mut self, path: &Path) -> Option<Component> {
        let text = fs::read_to_string(path).ok()?;
        match xml::read(&path.display().to_string(), &text, "Context", &self.base.properties) {
            Ok(read) => {
                self.notices.extend(read.notices);
                Some(read.root)
            }
            Err(refusals) => {
                // A broken context file that goes unread may have held a filter of addresses.
                self.refusals.extend(refusals);
                None
            }
        }
    }

    fn web_xml(&mut self, path: &Path) -> Option<WebXml> {
        let text = fs::read_to_string(path).ok()?;
        match WebXml::read(&path.display().to_string(), &text, &self.base.properties) {
            Ok(read) => Some(read),
            Err(refusal) => {
                self.notice(CONTEXT, format!("Parse error in application web.xml file: {refusal}"));
                None
            }
        }
    }
}

/// Context path and version of a file's name: `a#b##2` is `/a/b`, version 2.
fn path_of(name: &str) -> (String, String) {
    let (name, version) = name.split_once("##").unwrap_or((name, ""));
    let path =
        if name == "ROOT" { String::new() } else { format!("/{}", name.trim_start_matches('/').replace('#', "/")) };
    (path, version.to_owned())
}

/// Where the files of a described application are: where it says, else under its name.
fn described(element: &Component, path: &str, version: &str, app_base: &Path) -> DocBase {
    let base = element.text("docBase").map_or_else(|| base_name(path, version), str::to_owned);
    DocBase::of(&base, app_base)
}

/// The name of a file that would have this path and version.
fn base_name(path: &str, version: &str) -> String {
    let name = if path.is_empty() { "ROOT".to_owned() } else { path.trim_start_matches('/').replace('/', "#") };
    if version.is_empty() { name } else { format!("{name}##{version}") }
}

/// What is in a directory, by name; hidden files apart.
fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    found.retain(|path| !file_name(path).starts_with('.'));
    found.sort();
    found
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_context_paths() {
        for (name, path, version) in
            [("ROOT", "", ""), ("clu", "/clu", ""), ("a#b##2", "/a/b", "2"), ("ROOT##1", "", "1")]
        {
            assert_eq!(path_of(name), (path.to_owned(), version.to_owned()));
            assert_eq!(base_name(path, version), name);
        }
    }
}

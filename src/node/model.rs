//! What a configuration describes, ready to run: typed, defaults filled in.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::authenticator::Authenticator;
use super::classes::Type;
use super::components::{Component, Kind, Position};
use super::webxml::WebXml;
use super::xml::{Protocol, Refusal};

/// The whole.
#[derive(Debug)]
pub struct Server {
    /// Where it is told to stop, if anywhere.
    pub shutdown: Option<Shutdown>,
    /// Its services.
    pub services: Vec<Service>,
}

/// The shutdown port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// Host name or address.
    pub address: String,
    /// `port` without the offset, for messages.
    pub base_port: i64,
    /// `portOffset`.
    pub offset: i64,
    /// Both together.
    pub port: u16,
    /// The word.
    pub word: String,
}

/// Connectors over one engine.
#[derive(Debug)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// In order.
    pub connectors: Vec<Connector>,
    /// What answers.
    pub engine: Engine,
}

/// An address that is listened on.
#[derive(Clone, Debug)]
pub struct Connector {
    /// What is spoken on it.
    pub speaks: Speaks,
    /// `None` is every address.
    pub address: Option<IpAddr>,
    /// 0 is any that is free.
    pub port: u16,
    /// Listen queue.
    pub backlog: i32,
    /// Connections at a time.
    pub max_connections: usize,
    /// Requests at a time.
    pub max_threads: usize,
    /// Until the first byte of a request, and between its bytes; `None` is for ever.
    pub timeout: Option<Duration>,
    /// Between two requests.
    pub keep_alive: Option<Duration>,
    /// Requests of a connection; 0 and below is no limit.
    pub max_keep_alive: i64,
    /// Bytes of a request head.
    pub max_head: usize,
    /// Header lines.
    pub max_headers: usize,
    /// Bytes of a form that is read; below zero is no limit.
    pub max_post: i64,
    /// Parameters of a request.
    pub max_parameters: usize,
    /// Where those go who have to come over an encrypted connection; 0 is nowhere.
    pub redirect_port: u16,
    /// What requests say the scheme is.
    pub scheme: String,
    /// Requests count as coming over TLS.
    pub secure: bool,
    /// Name and port a proxy in front is known by.
    pub proxy_name: Option<String>,
    /// See `proxy_name`; 0 is the connector's own.
    pub proxy_port: u16,
    /// The `Server` header.
    pub server: Option<String>,
    /// TRACE is answered.
    pub allow_trace: bool,
    /// Characters that paths may have besides those of RFC 3986.
    pub relaxed_path: String,
    /// Characters that queries may have besides.
    pub relaxed_query: String,
    /// Clients that ask for it are told how long their connection is kept.
    pub keep_alive_told: bool,
    /// A target may name another host than the Host field.
    pub host_mismatch: bool,
    /// Connections are encrypted.
    pub tls: Option<Tls>,
    /// HTTP/2 is spoken where the client can.
    pub http2: Option<Http2>,
}

/// What an encrypted connector has to show.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Its `SSLHostConfig` elements.
    pub hosts: Vec<Component>,
    /// The `hostName` of the one for clients that name none, or one that nobody has.
    pub default: String,
    /// A request may be for no host of another element than the one that the client named when it connected.
    pub strict: bool,
    /// Where the connector stands.
    pub at: Position,
}

/// What is particular to HTTP/2.
#[derive(Clone, Debug)]
pub struct Http2 {
    /// Streams of a connection at a time.
    pub streams: u32,
    /// Requests of a connection that are answered at a time.
    pub executing: usize,
    /// Bytes of a request body that a client may send ahead.
    pub window: u32,
    /// How long a connection without streams is kept; `None` is for ever.
    pub keep_alive: Option<Duration>,
    /// How long a request body may pause.
    pub read: Option<Duration>,
    /// How long a client may take nothing of a response.
    pub write: Option<Duration>,
    /// Requests may name another scheme than the connection's.
    pub any_scheme: bool,
}

/// What a connector speaks.
#[derive(Clone, Debug)]
pub enum Speaks {
    /// HTTP/1.1.
    Http,
    /// AJP/1.3.
    Ajp(Ajp),
    /// The session API.
    Api {
        /// What clients have to show, if anything.
        token: Option<String>,
    },
}

/// What is particular to AJP.
#[derive(Clone, Debug)]
pub struct Ajp {
    /// What the web server has to show.
    pub secret: Option<Vec<u8>>,
    /// Bytes of a packet.
    pub packet: usize,
    /// Full matches of request attributes that are let in besides the known ones.
    pub attributes: Option<String>,
    /// The web server's user is ignored.
    pub own_users: bool,
    /// Flushes are passed on as packets.
    pub flush: bool,
}

/// The container of all hosts.
#[derive(Debug)]
pub struct Engine {
    /// Its name.
    pub name: String,
    /// Host for names nobody has.
    pub default_host: String,
    /// What session ids end in.
    pub route: Option<String>,
    /// Valve elements in order.
    pub valves: Vec<Component>,
    /// The cluster of all hosts.
    pub cluster: Option<Component>,
    /// In order.
    pub hosts: Vec<Host>,
    /// Between two rounds of expiry.
    pub background: Duration,
}

/// A virtual host.
#[derive(Debug)]
pub struct Host {
    /// Its name, in lower case.
    pub name: String,
    /// Other names of it.
    pub aliases: Vec<String>,
    /// Where its applications are.
    pub app_base: PathBuf,
    /// Valve elements in order.
    pub valves: Vec<Component>,
    /// A cluster of its own.
    pub cluster: Option<Component>,
    /// The class of the valve that explains errors.
    pub error_report: String,
    /// Its applications.
    pub contexts: Vec<Context>,
}

/// An application.
#[derive(Debug)]
pub struct Context {
    /// `/clu`; empty is the root.
    pub path: String,
    /// What is behind `##`.
    pub version: String,
    /// What it serves.
    pub base: DocBase,
    /// Its Context elements, later over earlier.
    pub layers: Vec<Component>,
    /// Its descriptor, defaults below.
    pub web: WebXml,
    /// What enforces the descriptor's constraints.
    pub guard: Option<Arc<Authenticator>>,
}

/// What an application serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DocBase {
    /// Files.
    Files(PathBuf),
    /// The session page.
    SessionPage,
    /// A handler that an embedding program registered under this name.
    Handler(String),
}

impl DocBase {
    /// What begins the name of a handler.
    const SCHEME: &'static str = "tandem:";

    /// The meaning of a docBase; a relative one is below `app_base`.
    pub fn of(text: &str, app_base: &Path) -> Self {
        match text.strip_prefix(Self::SCHEME) {
            Some("session-page") => Self::SessionPage,
            Some(name) => Self::Handler(name.to_owned()),
            None => Self::Files(app_base.join(text)),
        }
    }
}

impl Context {
    /// The name Tomcat gives it in logs and in cluster messages.
    pub fn name(&self) -> String {
        if self.version.is_empty() { self.path.clone() } else { format!("{}##{}", self.path, self.version) }
    }

    /// An attribute as the last layer set it, or its default.
    pub fn text(&self, name: &str) -> Option<&str> {
        let set = self.layers.iter().rev().find_map(|layer| layer.set(name));
        set.or_else(|| self.layers.last().and_then(|layer| layer.text(name)))
    }

    /// Yes or no.
    pub fn flag(&self, name: &str) -> bool {
        self.text(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// Whether its sessions are replicated where there is a cluster.
    pub fn distributable(&self) -> bool {
        self.web.distributable || self.flag("distributable")
    }

    /// The last element of a kind.
    pub fn one(&self, kind: Kind) -> Option<&Component> {
        self.layers.iter().rev().find_map(|layer| layer.one(kind))
    }

    /// How long a session may be idle, in seconds; below zero is for ever.
    pub fn max_inactive(&self) -> i32 {
        let set =
            self.layers.iter().rev().find_map(|layer| layer.set("sessionTimeout")).and_then(|text| text.parse().ok());
        let minutes: i32 = self.web.session_timeout.or(set).unwrap_or(30);
        if minutes <= 0 { -1 } else { minutes.saturating_mul(60) }
    }
}

/// A number of milliseconds; below zero is for ever.
fn millis(component: &Component, name: &str) -> Option<Duration> {
    u64::try_from(component.number(name)).ok().map(Duration::from_millis)
}

impl Connector {
    /// What a Connector element says; `None` is one that is switched off.
    ///
    /// # Errors
    /// What keeps it from starting.
    pub fn of(element: &Component, offset: i64, file: &str) -> Result<Option<Self>, Refusal> {
        let refusal = |text| Refusal { file: file.to_owned(), at: element.at, text };
        let base = element.number("port");
        if base < 0 {
            return Ok(None);
        }
        let port = if base == 0 { 0 } else { base + offset };
        let port = u16::try_from(port).map_err(|_| refusal(format!("[{port}] is no port")))?;
        let address =
            element.text("address").map(|text| resolve(text).ok_or_else(|| refusal(format!("no address [{text}]"))));
        let mut address = address.transpose()?;
        let protocol = Protocol::of(element.text("protocol").unwrap_or("HTTP/1.1")).unwrap_or(Protocol::Http);
        let api = element.class.short() == "SessionApi";
        let speaks = match protocol {
            _ if api => Speaks::Api { token: element.text("token").map(str::to_owned) },
            Protocol::Http => Speaks::Http,
            Protocol::Ajp => Speaks::Ajp(Ajp::of(element).map_err(refusal)?),
        };
        if address.is_none() && matches!(speaks, Speaks::Ajp(_)) {
            address = Some(IpAddr::from([127, 0, 0, 1]));
        }
        // AJP connections are kept for as long as the web server likes, HTTP ones for a minute.
        let timeout = match (&speaks, element.set("connectionTimeout")) {
            (Speaks::Ajp(_), None) => None,
            (Speaks::Api { .. }, _) => Some(Duration::from_secs(20)),
            _ => millis(element, "connectionTimeout"),
        };
        let keep_alive = element.set("keepAliveTimeout").map_or(timeout, |_| millis(element, "keepAliveTimeout"));
        let head = element.set("maxHttpRequestHeaderSize").map_or("maxHttpHeaderSize", |_| "maxHttpRequestHeaderSize");
        let or = |name: &str, default: usize| if api { default } else { element.count(name) };
        Ok(Some(Self {
            speaks,
            address,
            port,
            backlog: i32::try_from(or("acceptCount", 100)).unwrap_or(100),
            max_connections: or("maxConnections", 100).max(1),
            max_threads: or("maxThreads", 10).max(1),
            timeout,
            keep_alive,
            max_keep_alive: if api { 100 } else { element.number("maxKeepAliveRequests") },
            max_head: or(head, 8192).max(256),
            max_headers: or("maxHeaderCount", 100),
            max_post: if api { 2_097_152 } else { element.number("maxPostSize") },
            max_parameters: or("maxParameterCount", 10_000),
            redirect_port: match element.number("redirectPort") {
                port if api || port <= 0 => 0,
                port => u16::try_from(port + offset).unwrap_or(0),
            },
            scheme: element.text("scheme").unwrap_or("http").to_owned(),
            secure: element.flag("secure"),
            proxy_name: element.text("proxyName").map(str::to_owned),
            proxy_port: element.port("proxyPort").unwrap_or(0),
            server: element.text("server").map(str::to_owned),
            allow_trace: element.flag("allowTrace"),
            relaxed_path: relaxed(element.text("relaxedPathChars")),
            relaxed_query: relaxed(element.text("relaxedQueryChars")),
            keep_alive_told: element.flag("useKeepAliveResponseHeader"),
            host_mismatch: element.flag("allowHostHeaderMismatch"),
            tls: (protocol == Protocol::Http && element.flag("SSLEnabled")).then(|| Tls::of(element)),
            http2: element.one(Kind::UpgradeProtocol).map(Http2::of),
        }))
    }
}

/// Of these characters those that may be let through.
fn relaxed(chars: Option<&str>) -> String {
    chars.unwrap_or_default().chars().filter(|c| "\"<>[\\]^`{|}".contains(*c)).collect()
}

impl Tls {
    fn of(connector: &Component) -> Self {
        Self {
            hosts: connector.all(Kind::SslHostConfig).cloned().collect(),
            default: connector.text("defaultSSLHostConfigName").unwrap_or_default().to_ascii_lowercase(),
            strict: connector.flag("strictSni"),
            at: connector.at,
        }
    }
}

impl Http2 {
    fn of(element: &Component) -> Self {
        let count = |name| u32::try_from(element.count(name)).unwrap_or(u32::MAX).max(1);
        Self {
            streams: count("maxConcurrentStreams"),
            executing: element.count("maxConcurrentStreamExecution").clamp(1, 1 << 16),
            window: count("initialWindowSize").min(i32::MAX as u32),
            keep_alive: millis(element, "keepAliveTimeout"),
            read: millis(element, "streamReadTimeout"),
            write: millis(element, "streamWriteTimeout"),
            any_scheme: element.flag("allowSchemeMismatch"),
        }
    }
}

impl Ajp {
    fn of(element: &Component) -> Result<Self, String> {
        let secret =
            element.text("secret").or_else(|| element.text("requiredSecret")).filter(|secret| !secret.is_empty());
        if secret.is_none() && element.flag("secretRequired") {
            return Err(
                "The AJP Connector is configured with secretRequired=\"true\" but the secret attribute is either null or \"\". This combination is not valid."
                    .to_owned(),
            );
        }
        Ok(Self {
            secret: secret.map(|secret| secret.as_bytes().to_vec()),
            packet: element.count("packetSize").clamp(8192, 65536),
            attributes: element.text("allowedRequestAttributesPattern").map(str::to_owned),
            own_users: element.flag("tomcatAuthentication") && !element.flag("tomcatAuthorization"),
            flush: element.flag("ajpFlush"),
        })
    }
}

/// An address as written, or of a name.
pub fn resolve(text: &str) -> Option<IpAddr> {
    use std::net::ToSocketAddrs as _;
    let text = text.trim_start_matches('[').trim_end_matches(']');
    text.parse().ok().or_else(|| (text, 0).to_socket_addrs().ok()?.next().map(|address| address.ip()))
}

impl Shutdown {
    /// What the Server element says; `None` is one that cannot be told to stop.
    pub fn of(server: &Component) -> Option<Self> {
        let (base_port, offset) = (server.number("port"), server.number("portOffset"));
        let port = u16::try_from(base_port + offset).ok().filter(|_| base_port > 0)?;
        let text = |name| server.text(name).unwrap_or_default().to_owned();
        Some(Self { address: text("address"), base_port, offset, port, word: text("shutdown") })
    }
}

/// Attributes that were set, change what clients see, and are not obeyed.
pub fn not_obeyed(element: &Component) -> impl Iterator<Item = &str> {
    const KNOWN: &[(Kind, &str)] = &[
        (Kind::Connector, "compression"),
        (Kind::Connector, "restrictedUserAgents"),
        (Kind::Connector, "enableLookups"),
        (Kind::Connector, "xpoweredBy"),
        (Kind::Context, "reloadable"),
        (Kind::Context, "antiResourceLocking"),
        (Kind::Context, "preemptiveAuthentication"),
        (Kind::Valve, "interruptThreadThreshold"),
        (Kind::Manager, "pathname"),
    ];
    element.attributes.iter().map(|attribute| attribute.name.as_str()).filter(move |name| {
        let default = element.class.attribute(name).and_then(|(_, default)| default);
        let same =
            element.set(name) == default || matches!(element.accepts(name), Some(Type::Flag)) && !element.flag(name);
        !same && KNOWN.contains(&(element.kind, name))
    })
}

//! What the configuration says of backends: workers and balancers as immutable values, and what a request asks of
//! them. Directives are read in `modules::proxy`; here is only what serving needs.

use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::base::pattern::Pattern;
use crate::expr::{Expr, Template};
use crate::web::{Exchange, Table};

/// The protocol a worker speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `http://`, and `ws://` (with `upgrade=WebSocket`).
    Http,
    /// `https://`, and `wss://`.
    Https,
    /// `ajp://`.
    Ajp,
    /// `fcgi://`.
    Fcgi,
    /// `scgi://`.
    Scgi,
    /// `uwsgi://`.
    Uwsgi,
    /// `ftp`.
    Ftp,
    /// `h2://`.
    H2,
    /// `h2c://`.
    H2c,
    /// Known to httpd, no handler here (`ftp`): answered as an unknown scheme.
    Other,
}

/// Where a worker's connections lead.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// Host as written in lower case, and port.
    Tcp(String, u16),
    /// `unix:/path|…`.
    Unix(PathBuf),
}

/// `flushpackets`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FlushPackets {
    /// Never by themselves.
    #[default]
    Off,
    /// Each packet.
    On,
    /// When nothing more came for `flushwait`.
    Auto,
}

/// Flags of `status=`, and those that serving sets: bits of [`super::WorkerState::status`].
pub mod status {
    /// `I`: errors do not take the member out.
    pub const IGNORE_ERRORS: u32 = 1;
    /// `N`: only sticky requests.
    pub const DRAIN: u32 = 1 << 1;
    /// `D`: takes no requests.
    pub const DISABLED: u32 = 1 << 2;
    /// `S`: takes no requests and is never retried.
    pub const STOPPED: u32 = 1 << 3;
    /// `E`: in error until the retry time is over.
    pub const IN_ERROR: u32 = 1 << 4;
    /// `H`: hot standby.
    pub const HOT_STANDBY: u32 = 1 << 5;
    /// `R`: hot spare.
    pub const HOT_SPARE: u32 = 1 << 6;
    /// `C`: the health check failed.
    pub const HC_FAILED: u32 = 1 << 7;
    /// The flags as httpd shows them, in its order; a worker that is configured is always initialised.
    pub fn push_text(bits: u32, out: &mut String) {
        const WORDS: [(u32, &str); 8] = [
            (IGNORE_ERRORS, "Ign "),
            (DRAIN, "Drn "),
            (DISABLED, "Dis "),
            (STOPPED, "Stop "),
            (IN_ERROR, "Err "),
            (HOT_STANDBY, "Stby "),
            (HOT_SPARE, "Spar "),
            (HC_FAILED, "HcFl "),
        ];
        out.push_str("Init ");
        WORDS.iter().filter(|(bit, _)| bits & bit != 0).for_each(|(_, word)| out.push_str(word));
        if bits & UNUSABLE == 0 {
            out.push_str("Ok ");
        }
    }

    /// What makes a member unusable.
    pub const UNUSABLE: u32 = DISABLED | STOPPED | IN_ERROR | HC_FAILED;
}

/// One backend with its parameters; `None` is "not set" where httpd's default depends on more than the parameter.
#[derive(Clone, Debug)]
pub struct WorkerSpec {
    /// Name as messages and BALANCER_WORKER_NAME show it: the normalised URL without `unix:` part.
    pub name: String,
    /// Identity over reloads: server, balancer and name as httpd tells workers apart.
    pub key: String,
    /// Scheme.
    pub scheme: Scheme,
    /// Scheme as written, lower case (`ws`, `fcgi`).
    pub scheme_text: String,
    /// Host of the URL (for Host fields and messages), without brackets.
    pub host: String,
    /// Port of the URL or the scheme's default.
    pub port: u16,
    /// Path of the URL, as configured; empty if none.
    pub path: Vec<u8>,
    /// Where to connect.
    pub endpoint: Endpoint,
    /// Made for `[P]`, forward proxying and the like: connections are not kept.
    pub generic: bool,
    /// `min`.
    pub min: u32,
    /// `max`, 0 is no limit.
    pub max: u32,
    /// `smax`.
    pub smax: Option<u32>,
    /// `ttl`.
    pub ttl: Option<Duration>,
    /// `acquire`.
    pub acquire: Option<Duration>,
    /// `connectiontimeout`.
    pub connect_timeout: Option<Duration>,
    /// `timeout`.
    pub timeout: Option<Duration>,
    /// `retry`, default 60 s.
    pub retry: Duration,
    /// The parameter says so.
    pub retry_asked: bool,
    /// `ping`.
    pub ping: Option<Duration>,
    /// `keepalive` (SO_KEEPALIVE).
    pub keepalive: Option<bool>,
    /// Connections are kept (`disablereuse=off`/`enablereuse=on`).
    pub reuse: bool,
    /// The parameter says so.
    pub reuse_asked: bool,
    /// `addressttl`; `None` is for ever.
    pub address_ttl: Option<Duration>,
    /// `flushpackets`.
    pub flush_packets: FlushPackets,
    /// `flushwait`.
    pub flush_wait: Duration,
    /// `iobuffersize`; `None`: ProxyIOBufferSize.
    pub io_buffer: Option<usize>,
    /// `receivebuffersize`; `None`: ProxyReceiveBufferSize.
    pub receive_buffer: Option<usize>,
    /// `responsefieldsize`, default 8192.
    pub response_field_size: usize,
    /// `lbset`.
    pub lbset: u32,
    /// `loadfactor` times 100.
    pub load_factor: u32,
    /// `route`.
    pub route: Vec<u8>,
    /// `redirect`.
    pub redirect: Vec<u8>,
    /// `status` at start, see [`status`].
    pub status: u32,
    /// `secret` (AJP).
    pub secret: Option<Secret>,
    /// Health checks.
    pub health: HealthSpec,
    /// Index of the server that it was defined in: its log hears of it.
    pub server: usize,
    /// `upgrade`: a token, `ANY`, or `NONE` (empty).
    pub upgrade: Option<Vec<u8>>,
    /// Requests go through another proxy (which `host`, `port` and `endpoint` are then) to this place.
    pub beyond: Option<Arc<Beyond>>,
}

/// What lies behind a remote proxy.
#[derive(Debug)]
pub struct Beyond {
    /// Host of the URL, without brackets.
    pub host: String,
    /// Its port, or the scheme's.
    pub port: u16,
    /// `Proxy-Authorization` for the proxy.
    pub credentials: Option<Vec<u8>>,
}

/// One `ProxyRemote`.
#[derive(Debug)]
pub struct Remote {
    /// Which requests go through it.
    pub rule: RemoteRule,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// `Proxy-Authorization` for it.
    pub credentials: Option<Vec<u8>>,
}

/// Which requests go through a remote proxy.
#[derive(Debug)]
pub enum RemoteRule {
    /// `*`.
    All,
    /// Those of a scheme, in lower case.
    Scheme(Vec<u8>),
    /// Those whose URL begins so.
    Prefix(Vec<u8>),
    /// Those whose URL fits.
    Regex(Arc<Pattern>),
}

impl RemoteRule {
    /// Whether requests for this URL go through it.
    pub fn fits(&self, url: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Scheme(scheme) => {
                let end = memchr::memchr(b':', url).unwrap_or(0);
                url.get(..end).is_some_and(|own| own.eq_ignore_ascii_case(scheme))
            }
            Self::Prefix(prefix) => url.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)),
            Self::Regex(pattern) => pattern.is_match(url),
        }
    }
}

/// A word of `ProxyBlock`.
#[derive(Debug)]
pub struct Blocked {
    /// Hosts with this in their name, or all with `*`.
    pub name: Vec<u8>,
    /// Hosts with one of these addresses.
    pub addresses: Vec<std::net::IpAddr>,
}

/// `hcmethod`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CheckMethod {
    /// Not checked.
    #[default]
    None,
    /// Connect.
    Tcp,
    /// `OPTIONS *`.
    Options,
    /// HEAD.
    Head,
    /// GET.
    Get,
    /// AJP's ping.
    Cping,
    /// OPTIONS with HTTP/1.1.
    Options11,
    /// HEAD with HTTP/1.1.
    Head11,
    /// GET with HTTP/1.1.
    Get11,
}

impl CheckMethod {
    /// All, as written, in httpd's order.
    pub const ALL: [(&'static str, Self); 9] = [
        ("NONE", Self::None),
        ("TCP", Self::Tcp),
        ("OPTIONS", Self::Options),
        ("HEAD", Self::Head),
        ("GET", Self::Get),
        ("CPING", Self::Cping),
        ("OPTIONS11", Self::Options11),
        ("HEAD11", Self::Head11),
        ("GET11", Self::Get11),
    ];
}

/// How a member's health is checked.
#[derive(Clone, Debug)]
pub struct HealthSpec {
    /// `hcmethod`.
    pub method: CheckMethod,
    /// `hcpasses`.
    pub passes: u32,
    /// `hcfails`.
    pub fails: u32,
    /// `hcinterval`.
    pub interval: Duration,
    /// `hcuri`.
    pub uri: Vec<u8>,
    /// `hcexpr`: its name, and what must hold.
    pub condition: Option<(Vec<u8>, Arc<Expr>)>,
}

impl Default for HealthSpec {
    fn default() -> Self {
        Self {
            method: CheckMethod::None,
            passes: 1,
            fails: 1,
            interval: Duration::from_secs(30),
            uri: Vec::new(),
            condition: None,
        }
    }
}

/// A shared secret; never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl WorkerSpec {
    /// A worker with httpd's defaults.
    pub fn new(name: String, scheme: Scheme, host: String, port: u16) -> Self {
        Self {
            key: name.clone(),
            name,
            scheme,
            scheme_text: String::new(),
            endpoint: Endpoint::Tcp(host.clone(), port),
            host,
            port,
            path: Vec::new(),
            generic: false,
            min: 0,
            max: 0,
            smax: None,
            ttl: None,
            acquire: None,
            connect_timeout: None,
            timeout: None,
            retry: Duration::from_secs(60),
            retry_asked: false,
            ping: None,
            keepalive: None,
            reuse: true,
            reuse_asked: false,
            address_ttl: None,
            flush_packets: FlushPackets::Off,
            flush_wait: Duration::from_millis(10),
            io_buffer: None,
            receive_buffer: None,
            response_field_size: 8192,
            lbset: 0,
            load_factor: 100,
            route: Vec::new(),
            redirect: Vec::new(),
            status: 0,
            secret: None,
            health: HealthSpec::default(),
            server: 0,
            upgrade: None,
            beyond: None,
        }
    }
}

/// `lbmethod`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LbMethod {
    /// `byrequests`.
    #[default]
    ByRequests,
    /// `bytraffic`.
    ByTraffic,
    /// `bybusyness`.
    ByBusyness,
    /// `heartbeat`.
    Heartbeat,
}

/// `stickysession` and its kin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sticky {
    /// Cookie name.
    pub cookie: Vec<u8>,
    /// Name of the parameter in path or query.
    pub param: Vec<u8>,
    /// `stickysessionsep`, default `.`; `None` is Off.
    pub separator: Option<u8>,
    /// `scolonpathdelim`.
    pub semicolon_ends: bool,
}

/// One balancer.
#[derive(Clone, Debug)]
pub struct BalancerSpec {
    /// `balancer://name`, lower case.
    pub name: String,
    /// Identity over reloads.
    pub key: String,
    /// Members as indexes of [`super::Backends::workers`], in definition order.
    pub members: Vec<usize>,
    /// `lbmethod`.
    pub method: LbMethod,
    /// Stickiness.
    pub sticky: Option<Sticky>,
    /// `nofailover`.
    pub no_failover: bool,
    /// `timeout`: how long to wait for a usable member.
    pub timeout: Option<Duration>,
    /// `maxattempts`; `None`: members - 1.
    pub max_attempts: Option<u32>,
    /// `failonstatus`.
    pub fail_on_status: Vec<u16>,
    /// `failontimeout`.
    pub fail_on_timeout: bool,
    /// `forcerecovery`.
    pub force_recovery: bool,
    /// `nonce`: `None` is a random one, empty is `None` as written.
    pub nonce: Option<Vec<u8>>,
    /// `growth`: how many members the manager may still add.
    pub growth: Option<u32>,
}

/// What a request is to be sent to, as the URL mapping decided.
#[derive(Clone, Debug)]
pub enum Choice {
    /// This worker of [`super::Backends::workers`].
    Worker(usize),
    /// This balancer of [`super::Backends::balancers`].
    Balancer(usize),
    /// `balancer://name` that nobody defined: 503.
    NoBalancer(String),
    /// A worker made up for this request (`[P]` to an undefined one, forward proxying): not pooled.
    Generic(Rc<WorkerSpec>),
}

/// `ProxyVia`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Via {
    /// Pass.
    #[default]
    Off,
    /// Add.
    On,
    /// Remove.
    Block,
    /// Add with the version.
    Full,
}

/// `ProxyBadHeader`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BadHeaderPolicy {
    /// 502.
    #[default]
    IsError,
    /// Skip the line.
    Ignore,
    /// The body starts there.
    StartBody,
}

/// The proxy's settings that hold for one request: merged when the chain is made, shared by its requests.
pub struct Policy {
    /// ProxyPreserveHost.
    pub preserve_host: bool,
    /// ProxyAddHeaders.
    pub add_headers: bool,
    /// Proxy100Continue.
    pub forward_100_continue: bool,
    /// ProxyVia.
    pub via: Via,
    /// ProxyErrorOverride: `None` is off, empty is all from 400 on.
    pub error_override: Option<Vec<u16>>,
    /// ProxyTimeout.
    pub timeout: Option<Duration>,
    /// ProxyIOBufferSize; default 8192.
    pub io_buffer: usize,
    /// ProxyReceiveBufferSize.
    pub receive_buffer: Option<usize>,
    /// ProxyMaxForwards; `None` is off.
    pub max_forwards: Option<u32>,
    /// ProxyBadHeader.
    pub bad_header: BadHeaderPolicy,
    /// ProxySourceAddress.
    pub source: Option<std::net::IpAddr>,
    /// ProxyWebsocketFallbackToProxyHttp Off, or no mod_proxy_http to fall back to.
    pub raw_websocket: bool,
    /// ProxyBlock.
    pub blocked: Vec<Arc<Blocked>>,
    /// What FastCGI applications get.
    pub fcgi: FcgiPolicy,
    /// What SCGI applications may ask for.
    pub scgi: ScgiPolicy,
    /// How FTP servers are asked.
    pub ftp: FtpPolicy,
    /// ProxyPassReverse and its cookie forms.
    pub reverse: Arc<dyn Reverse>,
}

/// The settings of mod_proxy_fcgi.
#[derive(Clone, Debug, Default)]
pub struct FcgiPolicy {
    /// `ProxyFCGIBackendType GENERIC`: `SCRIPT_FILENAME` is a path, not a URL.
    pub generic: bool,
    /// ProxyFCGISetEnvIf.
    pub set_env: Vec<Arc<EnvRule>>,
}

/// One `ProxyFCGISetEnvIf`.
#[derive(Debug)]
pub struct EnvRule {
    /// When.
    pub condition: Arc<Expr>,
    /// Which variable; with `!` in front it is removed.
    pub name: Vec<u8>,
    /// Its value; empty where none is given.
    pub value: Option<Arc<Template>>,
}

/// The settings of mod_proxy_ftp.
#[derive(Clone, Debug)]
pub struct FtpPolicy {
    /// ProxyFtpListOnWildcard: a name with wildcards asks for a listing.
    pub list_on_wildcard: bool,
    /// ProxyFtpEscapeWildcards: the server is not to see them as such.
    pub escape_wildcards: bool,
    /// ProxyFtpDirCharset: what listings are written in.
    pub charset: Option<Vec<u8>>,
}

impl Default for FtpPolicy {
    fn default() -> Self {
        Self { list_on_wildcard: true, escape_wildcards: true, charset: None }
    }
}

/// The settings of mod_proxy_scgi.
#[derive(Clone, Debug)]
pub struct ScgiPolicy {
    /// ProxySCGISendfile: the field that names a file to be sent.
    pub sendfile: Option<Vec<u8>>,
    /// ProxySCGIInternalRedirect: the field that names a path of this server to be answered with.
    pub internal_redirect: Option<Vec<u8>>,
}

impl Default for ScgiPolicy {
    fn default() -> Self {
        Self { sendfile: None, internal_redirect: Some(b"Location".to_vec()) }
    }
}

/// Changes response fields that name the backend so that they name this server.
pub trait Reverse: Send + Sync {
    /// Whether there is any rule; without, the fields are not looked at.
    fn is_empty(&self) -> bool;
    /// Changes the fields of `headers` (Location, Content-Location, URI, Destination, Set-Cookie) for this request.
    /// `backends` is there for rules that name a balancer.
    fn apply(&self, ex: &Exchange, backends: &super::Backends, headers: &mut Table);
}

/// What `modules::proxy` hands to [`super::forward`]. The URL is in `ex.filename` behind `proxy:`, as in httpd.
pub struct Forward {
    /// Whom to send it to.
    pub choice: Choice,
    /// The settings.
    pub policy: Rc<Policy>,
    /// `None`: the URL is complete (`http://host:port/path?query`), nothing is escaped or appended any more; so for all
    /// choices but balancers. Else it is `balancer://name/path` in this form: each attempt puts the member's name in
    /// place of `balancer://name`, and lets [`super::canon::canonical`] (with `ex.args`) make it fit for the wire by the
    /// rules of the member's scheme; what that refuses is answered with its status.
    pub form: Option<super::canon::Form>,
    /// ProxyRemote, where NoProxy does not say otherwise: tried in order, then the backend itself.
    pub remotes: Vec<Arc<Remote>>,
}

impl Forward {
    /// The URL in `ex.filename`.
    pub fn url<'e>(&self, ex: &'e Exchange) -> &'e [u8] {
        ex.filename.strip_prefix(b"proxy:").unwrap_or_default()
    }
}

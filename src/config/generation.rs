//! The compiled, immutable configuration: servers, their sections, and what belongs to the whole process.

use std::net::IpAddr;
use std::sync::Arc;

use super::core::{CoreProcess, Tokens};
use super::directive::Directive;
use super::select::Select;
use super::slots::{Conf, Slots};
use crate::base::pattern::Pattern;

/// File and line of a directive, as httpd names them in messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// File name, `-C/-c directives`, or httpd's words for a macro body.
    pub file: Arc<str>,
    /// Last physical line of the logical line.
    pub line: u32,
}

/// A message that does not stop the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// httpd's short module name (`core`, `proxy`).
    pub module: &'static str,
    /// httpd's level word.
    pub level: &'static str,
    /// Text with its AH number.
    pub text: String,
    /// Printed without the `[time] [module:level] [pid]` prefix (startup messages).
    pub bare: bool,
}

/// A check after the walk failed: the text goes to stderr (several lines possible), followed by
/// `AH00014: Configuration check failed` unless `quiet`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fatal {
    /// Complete lines.
    pub text: String,
    /// Do not append AH00014.
    pub quiet: bool,
}

/// One `Listen`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Address as resolved; `None` is every address.
    pub addr: Option<IpAddr>,
    /// Port, 1..65535.
    pub port: u16,
    /// Protocol word, lower case (`http`, `https`, …).
    pub protocol: String,
    /// Where it was written.
    pub at: Position,
}

/// One address of a `<VirtualHost>`; `None` stands for `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VhostAddr {
    /// Address, or any.
    pub ip: Option<IpAddr>,
    /// Port, or any.
    pub port: Option<u16>,
    /// As written, for -S.
    pub text: String,
}

/// The fields of a server that the core owns (httpd's `server_rec`); all *as set* until merged with the main server's.
#[derive(Clone, Debug, Default)]
pub struct ServerRec {
    /// ServerName without scheme and port.
    pub name: Option<Vec<u8>>,
    /// Scheme given in ServerName, lower case.
    pub scheme: Option<Vec<u8>>,
    /// Port given in ServerName.
    pub port: Option<u16>,
    /// Exact aliases.
    pub aliases: Vec<Vec<u8>>,
    /// Aliases with `*` or `?`.
    pub wild_aliases: Vec<Vec<u8>>,
    /// ServerPath.
    pub path: Option<Vec<u8>>,
    /// ServerAdmin.
    pub admin: Option<Vec<u8>>,
    /// ErrorLog as written: file, `|program`, `syslog…`.
    pub error_log: Option<Vec<u8>>,
    /// Timeout in seconds.
    pub timeout: Option<u32>,
    /// KeepAlive.
    pub keep_alive: Option<bool>,
    /// KeepAliveTimeout in milliseconds.
    pub keep_alive_timeout: Option<u64>,
    /// MaxKeepAliveRequests, 0 = unlimited.
    pub max_keep_alive: Option<u32>,
    /// LimitRequestLine in bytes.
    pub limit_line: Option<usize>,
    /// LimitRequestFieldSize in bytes.
    pub limit_field_size: Option<usize>,
    /// LimitRequestFields.
    pub limit_fields: Option<usize>,
}

/// What a section matches.
#[derive(Clone)]
pub enum Matcher {
    /// Literal path (segment prefix for Directory and Location, whole last segment for Files, string prefix for Proxy).
    Literal(Vec<u8>),
    /// fnmatch pattern.
    Wild(Vec<u8>),
    /// Regular expression.
    Regex(Arc<Pattern>),
    /// Condition of `<If>`/`<ElseIf>`; `None` for `<Else>`.
    Condition(Option<Arc<crate::expr::Expr>>),
}

/// Kind of a section that holds per-directory values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SectionKind {
    /// `<VirtualHost>`; never a [`Section`], only named in [`super::Cmd::enclosing`].
    VirtualHost,
    /// `<Directory>`, `<DirectoryMatch>`.
    Directory,
    /// `<Files>`, `<FilesMatch>`.
    Files,
    /// `<Location>`, `<LocationMatch>`.
    Location,
    /// `<Proxy>`, `<ProxyMatch>`.
    Proxy,
    /// `<If>`.
    If,
    /// `<ElseIf>`.
    ElseIf,
    /// `<Else>`.
    Else,
    /// `<Limit>`, `<LimitExcept>`: transparent, values go to the enclosing scope under a method mask.
    Limit,
    /// Any other block (`<RequireAll>`, `<Macro>` …): transparent.
    Block,
}

/// One section with the values set inside it.
#[derive(Clone)]
pub struct Section {
    /// Identity inside the generation, dense from 0 (see [`super::Select`]); the key of chain caches.
    pub id: u32,
    /// Kind.
    pub kind: SectionKind,
    /// What it matches.
    pub matcher: Matcher,
    /// Written as the Match form or with `~`: sorted after the plain ones where httpd does so.
    pub is_match: bool,
    /// Values *as set* inside.
    pub conf: Slots,
    /// `<Files>` and `<If>` nested inside, in file order.
    pub inner: Vec<Arc<Self>>,
    /// Where it was opened.
    pub at: Position,
}

/// One server: the main one or a virtual host.
#[derive(Clone, Default)]
pub struct Server {
    /// Index in [`Generation::servers`]; 0 is the main server.
    pub index: usize,
    /// Where `<VirtualHost>` was opened (the main server: default).
    pub at: Position,
    /// Addresses of the `<VirtualHost>`.
    pub addrs: Vec<VhostAddr>,
    /// The core's own fields; merged with the main server's in a generation.
    pub rec: ServerRec,
    /// Per-server values of the modules; merged in a generation.
    pub conf: Slots,
    /// Server-level per-directory values; merged in a generation.
    pub dir: Slots,
    /// Sections in file order, kinds mixed; in a generation the main server's come first.
    pub sections: Vec<Arc<Section>>,
    /// Whether `LogLevel` was said in it: a virtual host's log takes nothing before.
    pub has_log_level: bool,
}

/// What belongs to no server.
#[derive(Clone, Default)]
pub struct Globals {
    /// The name the program was called by, for messages.
    pub program: String,
    /// ServerRoot.
    pub server_root: Vec<u8>,
    /// The operating system, for ServerTokens.
    pub system: &'static str,
    /// DefaultRuntimeDir as written.
    pub runtime_dir: Option<Vec<u8>>,
    /// `-T`: whether DocumentRoot exists is not asked.
    pub skip_docroot_check: bool,
    /// Only to be shown: files that the configuration names need not be there.
    pub dumping: bool,
    /// A running server reads its configuration again.
    pub reloading: bool,
    /// What reading said that LogLevel lets through: the error log gets it once it is open.
    pub said: Vec<Warning>,
    /// `Listen` lines in order.
    pub listens: Vec<Listen>,
    /// `-D` and `Define` names.
    pub defines: Vec<String>,
    /// The same with their values, for files that are read while serving.
    pub variables: Vec<crate::lang::Define>,
    /// Loaded modules by identifier (`proxy_module`), in order.
    pub modules: Vec<&'static str>,
    /// The configuration as it was read, where mod_info is to show it.
    pub tree: Arc<[crate::lang::Node]>,
    /// Process-wide values of the modules (User, PidFile, MaxRequestWorkers, …).
    pub conf: Slots,
}

impl Globals {
    /// Whether a `Listen` line covers this address.
    pub fn listens_on(&self, local: std::net::SocketAddr) -> bool {
        let ip = local.ip().to_canonical();
        let covers = |addr: IpAddr| addr.is_unspecified() || addr.to_canonical() == ip;
        self.listens.iter().any(|listen| listen.port == local.port() && listen.addr.is_none_or(covers))
    }

    /// `path` made absolute against ServerRoot and normalised textually.
    pub fn rooted(&self, path: &[u8]) -> Vec<u8> {
        if path.first() == Some(&b'/') {
            return path.to_vec();
        }
        let mut full = self.server_root.clone();
        if full.last() != Some(&b'/') {
            full.push(b'/');
        }
        full.extend_from_slice(path);
        full
    }
}

/// Everything that serving needs to know, immutable.
#[derive(Default)]
pub struct Generation {
    /// Main server first, then virtual hosts in file order; all merged.
    pub servers: Vec<Server>,
    /// Process-wide values.
    pub globals: Globals,
    /// Counts generations since the process started, from 1.
    pub serial: u64,
    /// Tables that find the server and the sections of a request.
    pub select: Select,
    /// The `Server` field of all responses, as `ServerTokens` wants it.
    pub banner: Vec<u8>,
}

impl Generation {
    /// A generation of these merged servers, the main one first.
    pub fn new(servers: Vec<Server>, globals: Globals, serial: u64) -> Self {
        let select = Select::new(&servers);
        let banner = banner(&globals);
        Self { servers, globals, serial, select, banner }
    }
}

fn banner(globals: &Globals) -> Vec<u8> {
    let tokens = globals.conf.get::<CoreProcess>().and_then(|conf| conf.tokens).unwrap_or_default();
    let text = match tokens {
        Tokens::Prod => "Apache",
        Tokens::Major => "Apache/2",
        Tokens::Minor => "Apache/2.4",
        Tokens::Min => "Apache/2.4.71",
        // The word in parentheses is the operating system, as its own packages of httpd name it.
        Tokens::Os | Tokens::Full => return format!("Apache/2.4.71 ({})", globals.system).into_bytes(),
    };
    text.as_bytes().to_vec()
}

/// What a module's checks after the walk see and may complete (as-run values into their own [`Conf`]).
pub struct PostConfig<'a> {
    /// All servers, merged.
    pub servers: &'a mut Vec<Server>,
    /// Process-wide values.
    pub globals: &'a mut Globals,
    /// The generation being replaced, when this is a reload: state is carried over from it.
    pub previous: Option<&'a Generation>,
    /// Messages that do not stop the configuration.
    pub warnings: &'a mut Vec<Warning>,
    /// Only checking (`-t`): do nothing that touches the world.
    pub check_only: bool,
    /// Preparing what a server that runs will read as well, and say what is to be said in its log.
    pub reloading: bool,
}

/// What the configuration needs to know of a module.
pub struct ModuleRow {
    /// Identifier in LoadModule, `proxy_module`.
    pub id: &'static str,
    /// Source file name for `<IfModule>` and -l, `mod_proxy.c`.
    pub file: &'static str,
    /// Always there, no LoadModule needed (as in Debian's binary).
    pub builtin: bool,
    /// Its directives.
    pub directives: &'static [Directive],
    /// Checks after the walk.
    pub post_config: fn(&mut PostConfig<'_>) -> Result<(), Fatal>,
}

impl Server {
    /// Per-server values of `T`.
    #[inline]
    pub fn get<T: Conf>(&self) -> Option<&T> {
        self.conf.get::<T>()
    }
}

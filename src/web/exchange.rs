//! One request and its response.

use std::any::{Any, TypeId};
use std::cell::OnceCell;
use std::rc::Rc;
use std::time::Instant;

use smallvec::SmallVec;

use super::chain::Chain;
use super::client_host::ClientHost;
use super::filter::{BodyFilter, Planned, PlannedInput};
use super::live::{Conn, Live, LogId};
use super::response::Response;
use super::table::Table;
use crate::config::{Conf, Server};

/// Who asked for proxying.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyKind {
    /// Nobody.
    #[default]
    None,
    /// The client (absolute URI, CONNECT) under ProxyRequests On.
    Forward,
    /// The configuration.
    Reverse,
}

/// The handler's name as `SetHandler` knows it; empty = none.
pub type Handler = Vec<u8>;

/// One request, its response, and all that modules note about it: httpd's `request_rec`.
///
/// Reused for the requests of a connection; [`Exchange::reset`] forgets everything but the memory.
pub struct Exchange {
    /// The generation this request began with, as this thread sees it.
    pub live: Rc<Live>,
    /// The connection.
    pub conn: Rc<Conn>,
    /// Index of the chosen server.
    pub server: usize,
    /// Per-directory values merged so far.
    pub chain: Rc<Chain>,

    /// Request line as received (`%r`).
    pub the_request: Vec<u8>,
    /// Method as received.
    pub method: Vec<u8>,
    /// `HTTP/1.1` and the like, as logged by `%H`.
    pub protocol: Vec<u8>,
    /// Major * 1000 + minor.
    pub proto_num: u16,
    /// Request target as received.
    pub unparsed_uri: Vec<u8>,
    /// Scheme and authority of an absolute target, else empty.
    pub target_scheme: Vec<u8>,
    /// Authority of an absolute target or of CONNECT.
    pub target_authority: Vec<u8>,
    /// Decoded, normalised path (`r->uri`).
    pub uri: Vec<u8>,
    /// Query without `?`.
    pub args: Option<Vec<u8>>,
    /// Normalised host of the request, without port; empty = none given.
    pub hostname: Vec<u8>,
    /// Port given with the host.
    pub host_port: Option<u16>,
    /// HTTP/0.9: no response head.
    pub assbackwards: bool,
    /// HEAD.
    pub header_only: bool,

    /// What the URI maps to (`proxy:…` for the proxy).
    pub filename: Vec<u8>,
    /// Rest of the path behind the file.
    pub path_info: Vec<u8>,
    /// State of the file as found by the directory walk.
    pub finfo: Option<std::fs::Metadata>,
    /// Handler name; empty = none.
    pub handler: Handler,
    /// Content type to be sent; empty = none.
    pub content_type: Vec<u8>,
    /// Content codings of the body, joined by `, `; empty = none.
    pub content_encoding: Vec<u8>,
    /// Languages of the body.
    pub content_languages: Vec<Vec<u8>>,
    /// Who proxies.
    pub proxyreq: ProxyKind,
    /// Authenticated user.
    pub user: Option<Vec<u8>>,
    /// Authentication scheme.
    pub auth_type: Option<&'static str>,

    /// Request fields.
    pub headers_in: Table,
    /// Response fields sent on success.
    pub headers_out: Table,
    /// Response fields always sent.
    pub err_headers_out: Table,
    /// Request trailers.
    pub trailers_in: Table,
    /// Response trailers.
    pub trailers_out: Table,
    /// Environment (`%{X}e`).
    pub env: Table,
    /// Notes (`%{X}n`).
    pub notes: Table,

    /// Response status.
    pub status: u16,
    /// Reason phrase that replaces the standard one, with the code in front (`404 NF`); empty = standard.
    pub status_line: Vec<u8>,
    /// Methods for `Allow`, in the order they were allowed.
    pub allowed: Vec<Vec<u8>>,
    /// Number of its row on the scoreboard; 0 is none.
    pub row: u32,
    /// Body bytes sent (`%b`).
    pub bytes_sent: u64,
    /// Bytes in and out with heads, set when the response ended (mod_logio).
    pub io_counts: (u64, u64),
    /// The connection must close after this response.
    pub close: bool,
    /// The response head is out.
    pub head_sent: bool,
    /// The response's end is out.
    pub finished: bool,
    /// Response must not be cached: add Expires as httpd does.
    pub no_cache: bool,
    /// Error log id (`%L`), made with the request's first entry there.
    pub log_id: OnceCell<LogId>,
    /// Id by mod_unique_id, which then is the error log's too.
    pub unique_id: Option<LogId>,
    /// Microseconds since 1970 when the request line was read.
    pub started_micros: i64,
    /// The same moment on the monotonic clock.
    pub started: Instant,
    /// When the first response byte was handed to the connection, if that is to be known.
    pub first_byte: Option<Instant>,
    /// Whether it is (`LogIOTrackTTFB`).
    pub tracks_first_byte: bool,
    /// The client's address as text: the peer's, unless mod_remoteip said otherwise.
    pub client_ip: Vec<u8>,
    /// The client's port.
    pub client_port: u16,
    /// The name behind the client's address where that is not the peer's; see [`Exchange::client_host`].
    pub own_host: Option<Rc<ClientHost>>,

    /// The request before the first internal redirect.
    pub original: Option<Box<Snapshot>>,
    /// Where `Outcome::Redirect` leads: path and query, still encoded.
    pub internal_redirect: Vec<u8>,
    /// Internal redirects so far.
    pub redirects: u32,
    /// Depth of sub-requests; 0 = main request.
    pub sub_depth: u32,
    /// Sections that apply, as merged into `chain` so far; `pipe` keeps it.
    pub matched: Matched,
    /// Body filters that are asked for; they start with the head. See [`Exchange::plan`].
    pub planned: Vec<Planned>,
    /// Body filters that have started, in the order data passes them.
    pub filters: Vec<Box<dyn BodyFilter>>,
    /// Filters of the request's body that are asked for, that next to the handler first. See [`Exchange::plan_input`].
    pub planned_inputs: Vec<PlannedInput>,
    /// Satisfy Any: access by address or by user is enough.
    pub satisfy_any: bool,
    /// State of the response; `pipe` keeps it.
    pub response: Response,
    /// Per-request values of modules.
    pub ext: Ext,
}

/// Ids of the sections that apply to a request, by the walk that found them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matched {
    /// `<Directory>` and its Match form, or `<Proxy>`.
    pub directories: SmallVec<[u32; 4]>,
    /// `<Files>`.
    pub files: SmallVec<[u32; 2]>,
    /// `<Location>`.
    pub locations: SmallVec<[u32; 4]>,
    /// `<If>` and its relatives.
    pub ifs: SmallVec<[u32; 2]>,
}

impl Matched {
    /// Whether nothing applies.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.directories.is_empty() && self.files.is_empty() && self.locations.is_empty() && self.ifs.is_empty()
    }

    /// Nothing applies.
    pub fn clear(&mut self) {
        self.directories.clear();
        self.files.clear();
        self.locations.clear();
        self.ifs.clear();
    }
}

/// What logging needs of a request before it was redirected internally.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Request line.
    pub the_request: Vec<u8>,
    /// Method.
    pub method: Vec<u8>,
    /// Path.
    pub uri: Vec<u8>,
    /// Query.
    pub args: Option<Vec<u8>>,
    /// Status at the time of the redirect.
    pub status: u16,
    /// Status and reason of a backend's or script's own, if they are.
    pub status_line: Vec<u8>,
    /// File name.
    pub filename: Vec<u8>,
    /// Rest of the path behind the file.
    pub path_info: Vec<u8>,
    /// Handler.
    pub handler: Handler,
    /// User.
    pub user: Option<Vec<u8>>,
    /// Request fields.
    pub headers_in: Table,
    /// Environment.
    pub env: Table,
    /// Notes.
    pub notes: Table,
}

/// Per-request values by type: what one module remembers between its phases.
#[derive(Default)]
pub struct Ext(Vec<(TypeId, Box<dyn Any>)>);

impl Ext {
    /// The value of type `T`, if set.
    pub fn get<T: 'static>(&self) -> Option<&T> {
        self.0.iter().find(|(id, _)| *id == TypeId::of::<T>()).and_then(|(_, value)| value.downcast_ref())
    }

    /// The value of type `T` for writing, made by `Default` when absent.
    pub fn get_mut<T: Default + 'static>(&mut self) -> &mut T {
        let id = TypeId::of::<T>();
        let at = match self.0.iter().position(|(other, _)| *other == id) {
            Some(at) => at,
            None => {
                self.0.push((id, Box::new(T::default())));
                self.0.len() - 1
            }
        };
        self.0[at].1.downcast_mut().expect("an entry found by its type id is of that type")
    }

    /// Takes the value of type `T` out.
    pub fn take<T: 'static>(&mut self) -> Option<T> {
        let at = self.0.iter().position(|(other, _)| *other == TypeId::of::<T>())?;
        self.0.swap_remove(at).1.downcast().ok().map(|value| *value)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl Exchange {
    /// An empty exchange on `conn`.
    pub fn new(live: Rc<Live>, conn: Rc<Conn>, chain: Rc<Chain>) -> Self {
        let server = conn.default_server.get();
        Self {
            live,
            conn,
            server,
            chain,
            the_request: Vec::new(),
            method: Vec::new(),
            protocol: Vec::new(),
            proto_num: 1001,
            unparsed_uri: Vec::new(),
            target_scheme: Vec::new(),
            target_authority: Vec::new(),
            uri: Vec::new(),
            args: None,
            hostname: Vec::new(),
            host_port: None,
            assbackwards: false,
            header_only: false,
            filename: Vec::new(),
            path_info: Vec::new(),
            finfo: None,
            handler: Vec::new(),
            content_type: Vec::new(),
            content_encoding: Vec::new(),
            content_languages: Vec::new(),
            proxyreq: ProxyKind::None,
            user: None,
            auth_type: None,
            headers_in: Table::default(),
            headers_out: Table::default(),
            err_headers_out: Table::default(),
            trailers_in: Table::default(),
            trailers_out: Table::default(),
            env: Table::default(),
            notes: Table::default(),
            status: 200,
            status_line: Vec::new(),
            allowed: Vec::new(),
            row: 0,
            bytes_sent: 0,
            io_counts: (0, 0),
            close: false,
            head_sent: false,
            finished: false,
            no_cache: false,
            log_id: OnceCell::new(),
            unique_id: None,
            started_micros: 0,
            started: Instant::now(),
            first_byte: None,
            tracks_first_byte: false,
            client_ip: Vec::new(),
            client_port: 0,
            own_host: None,
            original: None,
            internal_redirect: Vec::new(),
            redirects: 0,
            sub_depth: 0,
            matched: Matched::default(),
            planned: Vec::new(),
            filters: Vec::new(),
            planned_inputs: Vec::new(),
            satisfy_any: false,
            response: Response::default(),
            ext: Ext::default(),
        }
    }

    /// Ready for the next request of this connection; memory of tables and texts is kept.
    pub fn reset(&mut self, chain: Rc<Chain>) {
        self.server = self.conn.default_server.get();
        self.chain = chain;
        for text in [
            &mut self.the_request,
            &mut self.method,
            &mut self.protocol,
            &mut self.unparsed_uri,
            &mut self.target_scheme,
            &mut self.target_authority,
            &mut self.uri,
            &mut self.hostname,
            &mut self.filename,
            &mut self.path_info,
            &mut self.handler,
            &mut self.content_type,
            &mut self.content_encoding,
            &mut self.status_line,
            &mut self.client_ip,
            &mut self.internal_redirect,
        ] {
            text.clear();
        }
        for table in [
            &mut self.headers_in,
            &mut self.headers_out,
            &mut self.err_headers_out,
            &mut self.trailers_in,
            &mut self.trailers_out,
            &mut self.env,
            &mut self.notes,
        ] {
            table.clear();
        }
        self.proto_num = 1001;
        self.args = None;
        self.host_port = None;
        self.assbackwards = false;
        self.header_only = false;
        self.finfo = None;
        self.content_languages.clear();
        self.proxyreq = ProxyKind::None;
        self.user = None;
        self.auth_type = None;
        self.status = 200;
        self.allowed.clear();
        self.row = 0;
        self.bytes_sent = 0;
        self.io_counts = (0, 0);
        self.close = false;
        self.head_sent = false;
        self.finished = false;
        self.no_cache = false;
        self.log_id.take();
        self.unique_id = None;
        self.first_byte = None;
        self.tracks_first_byte = false;
        self.own_host = None;
        self.original = None;
        self.redirects = 0;
        self.sub_depth = 0;
        self.matched.clear();
        self.drop_filters();
        self.satisfy_any = false;
        self.response.reset();
        self.ext.clear();
    }

    /// Whether the client is whoever is at the other end of the connection.
    fn is_peer(&self) -> bool {
        self.client_ip.is_empty() || *self.client_ip == *self.conn.peer_ip
    }

    /// Where the name behind the client's address is kept, as far as it was looked up.
    pub fn client_host(&self) -> Option<&Rc<ClientHost>> {
        if self.is_peer() { Some(&self.conn.host) } else { self.own_host.as_ref() }
    }

    /// The same, made when it is not there.
    pub fn client_host_mut(&mut self) -> Rc<ClientHost> {
        if self.is_peer() { self.conn.host.clone() } else { self.own_host.get_or_insert_default().clone() }
    }

    /// The client's name, if it was looked up and there is one.
    pub fn client_name(&self) -> Option<Rc<[u8]>> {
        self.client_host()?.name()
    }

    /// Asks for a filter, behind those of its rank.
    pub fn plan(&mut self, filter: Planned) {
        let at = self.planned.iter().position(|other| other.rank > filter.rank).unwrap_or(self.planned.len());
        self.planned.insert(at, filter);
    }

    /// Asks for a filter of the request's body, behind those of its rank.
    pub fn plan_input(&mut self, filter: PlannedInput) {
        let found = self.planned_inputs.iter().position(|other| other.rank > filter.rank);
        let at = found.unwrap_or(self.planned_inputs.len());
        self.planned_inputs.insert(at, filter);
    }

    /// No filter: the response is another one.
    pub fn drop_filters(&mut self) {
        self.planned.clear();
        self.planned_inputs.clear();
        self.filters.clear();
        self.response.waiting = false;
        self.response.pace = None;
        self.response.held.clear();
    }

    /// The chosen server.
    #[inline]
    pub fn server(&self) -> &Server {
        &self.live.generation.servers[self.server]
    }

    /// Merged per-directory values of `T`, if any were set.
    #[inline]
    pub fn dir<T: Conf>(&self) -> Option<&T> {
        self.chain.dir.get::<T>()
    }
}

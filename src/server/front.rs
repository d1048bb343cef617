//! What the front needs of each server, looked up once a generation.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::codec::http1::head::is_known_method;
use crate::codec::http1::{Limits, Rules};
use crate::config::core::{CoreProcess, CoreServer};
use crate::config::{Generation, Globals, Server};
use crate::logs::{Dump, DumpIo};
use crate::modules::http2::Settings;
use crate::modules::remoteip;
use crate::modules::reqtimeout::{self, Rate};
use crate::modules::ssl::{Run, SslServer};
use crate::web::{Conn, Live};

/// One generation as the front of one thread sees it.
pub(super) struct Fronts {
    pub(super) live: Rc<Live>,
    servers: Arc<[Front]>,
    remoteip: bool,
}

/// What the front needs of one server.
pub(super) struct Front {
    pub(super) limits: Limits,
    pub(super) rules: Rules,
    pub(super) timeout: Duration,
    pub(super) keep_alive_timeout: Duration,
    pub(super) hold_most: u32,
    /// Methods that RegisterHttpMethod adds to the known ones, where only known ones are taken.
    methods: Option<Vec<Vec<u8>>>,
    /// RequestReadTimeout for heads and bodies, if its module is loaded.
    pub(super) rates: Option<(Rate, Rate)>,
    /// HTTP/2, where it is spoken: under TLS, and without.
    pub(super) http2: (bool, bool),
    /// How it is spoken.
    pub(super) settings: Settings,
    /// TLS, where it is spoken.
    pub(super) tls: Option<Arc<Run>>,
    /// How long each half of a handshake may take.
    pub(super) handshake_timeout: Duration,
    /// Bytes of connections are shown.
    shows: bool,
}

/// What the front needs of each server of a generation: made before that is served, so that threads only take it.
pub(super) fn fronts(generation: &Generation) -> Arc<[Front]> {
    let globals = &generation.globals;
    let rated = globals.modules.contains(&"reqtimeout_module");
    if generation.servers.is_empty() {
        return Arc::from([Front::new(&Server::default(), globals, false)]);
    }
    generation.servers.iter().map(|server| Front::new(server, globals, rated)).collect()
}

impl Fronts {
    pub(super) fn new(live: Rc<Live>, servers: Arc<[Front]>) -> Self {
        let remoteip = live.generation.globals.modules.contains(&"remoteip_module");
        Self { live, servers, remoteip }
    }

    /// Whether a connection begins with a PROXY header.
    pub(super) fn is_proxied(&self, local: SocketAddr, peer: SocketAddr) -> bool {
        self.remoteip && remoteip::is_proxied(&self.live.generation.globals, local, peer)
    }

    /// What shows a connection's bytes, where they are shown.
    pub(super) fn dump(&self, conn: &Rc<Conn>) -> Option<Box<Dump>> {
        if self.of(conn.default_server.get()).shows { Dump::new(&self.live, conn) } else { None }
    }

    /// The values of a server.
    pub(super) fn of(&self, server: usize) -> &Front {
        self.servers.get(server).unwrap_or(&self.servers[0])
    }
}

impl Front {
    /// Whether this method is taken; [`Rules`] has said so of those that httpd knows of itself.
    pub(super) fn takes(&self, method: &[u8]) -> bool {
        self.methods.as_ref().is_none_or(|more| is_known_method(method) || more.iter().any(|known| known == method))
    }

    fn new(server: &Server, globals: &Globals, rated: bool) -> Self {
        let (rec, default) = (&server.rec, Limits::default());
        let core = server.get::<CoreServer>();
        let flag = |get: fn(&CoreServer) -> Option<bool>| core.and_then(get);
        let known: fn(&[u8]) -> bool = is_known_method;
        let registered = flag(|core| core.registered_methods).unwrap_or(false);
        let more = globals.conf.get::<CoreProcess>().map(|core| core.methods.clone()).unwrap_or_default();
        let loaded = globals.modules.contains(&"http2_module");
        let speaks = |name: &[u8]| {
            let list = core.and_then(|core| core.protocols.as_ref());
            loaded && list.is_some_and(|list| list.iter().any(|protocol| protocol == name))
        };
        Self {
            http2: (speaks(b"h2"), speaks(b"h2c")),
            shows: server.get::<DumpIo>().is_some_and(|io| io.input || io.output),
            settings: Settings::of(server),
            limits: Limits {
                line: rec.limit_line.unwrap_or(default.line),
                field_size: rec.limit_field_size.unwrap_or(default.field_size),
                fields: rec.limit_fields.unwrap_or(default.fields),
            },
            rules: Rules {
                strict: flag(|core| core.strict).unwrap_or(true),
                allow09: flag(|core| core.http09).unwrap_or(true),
                registered: (registered && more.is_empty()).then_some(known),
            },
            timeout: Duration::from_secs(rec.timeout.unwrap_or(60).into()),
            handshake_timeout: reqtimeout::handshake(server)
                .filter(|_| rated)
                .unwrap_or_else(|| Duration::from_secs(rec.timeout.unwrap_or(60).into())),
            keep_alive_timeout: Duration::from_millis(rec.keep_alive_timeout.unwrap_or(5000)),
            hold_most: match core.and_then(|core| core.flush_max_pipelined).unwrap_or(5) {
                negative if negative < 0 => u32::MAX,
                most => u32::try_from(most).unwrap_or(u32::MAX),
            },
            methods: (registered && !more.is_empty()).then_some(more),
            rates: rated.then(|| reqtimeout::rates(server)),
            tls: server.get::<SslServer>().and_then(|conf| conf.run.clone()),
        }
    }
}

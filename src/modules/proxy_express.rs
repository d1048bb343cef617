//! `mod_proxy_express.c`: a file says for each host where its requests go.

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Server, Shape, Slots, row};
use crate::logs::{self, Bytes, Level};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::net::dbm::{self, Kind};
use crate::pipe::{Hook, Module, Outcome, Phase, Run, names};
use crate::web::{Exchange, ProxyKind};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "proxy_express_module",
        file: "mod_proxy_express.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// Values per server, wherever they are written.
#[derive(Clone, Default)]
struct Express {
    /// `ProxyExpressEnable`.
    enabled: Option<bool>,
    /// `ProxyExpressDBMFile`, in full.
    file: Option<Vec<u8>>,
    /// `ProxyExpressDBMType`.
    kind: Option<Vec<u8>>,
}

impl Conf for Express {
    const SLOT: usize = slot::PROXY_EXPRESS;

    fn merge(base: &Self, add: &Self) -> Self {
        Self {
            enabled: add.enabled.or(base.enabled),
            file: add.file.clone().or_else(|| base.file.clone()),
            // As in httpd, a server that says anything of this has the type that it says, or the default.
            kind: add.kind.clone(),
        }
    }
}

impl Express {
    fn kind(&self) -> &[u8] {
        self.kind.as_deref().unwrap_or(b"default")
    }

    fn takes_part(&self) -> bool {
        self.enabled == Some(true) && self.file.is_some()
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("ProxyExpressEnable", Places::FILEINFO, Shape::Flag, enable, "Enable the ProxyExpress functionality"),
    row("ProxyExpressDBMFile", Places::FILEINFO, Shape::Take1, file, "Location of ProxyExpressDBMFile file"),
    row("ProxyExpressDBMType", Places::FILEINFO, Shape::Take1, kind, "Type of ProxyExpressDBMFile file"),
];

/// The hooks: behind the rules of mod_proxy.
const HOOKS: &[Hook] = &[Hook { phase: Phase::Translate, order: -8, wants, run: Run::Now(translate) }];

fn wants(server: &Server, _: &Slots) -> bool {
    server.get::<Express>().is_some_and(Express::takes_part)
}

/// `ProxyExpressEnable On|Off`.
fn enable(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.server_conf::<Express>().enabled = Some(args.on());
    Ok(())
}

/// `ProxyExpressDBMFile path`.
fn file(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let path = cmd.rooted(args.word(0));
    cmd.server_conf::<Express>().file = Some(path);
    Ok(())
}

/// `ProxyExpressDBMType type`.
fn kind(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.server_conf::<Express>().kind = Some(args.word(0).to_vec());
    Ok(())
}

/// Sends the request where the file says for its host; others are for whoever comes next.
fn translate(ex: &mut Exchange) -> Outcome {
    let live = ex.live.clone();
    let conf = live.generation.servers.get(ex.server).and_then(|server| server.get::<Express>());
    let Some((conf, file)) = conf.and_then(|conf| Some((conf, conf.file.as_deref()?))) else {
        return Outcome::Declined;
    };
    logs::error!(ex, Level::Debug, "proxy_express", "AH01001: proxy_express: Enabled");
    if ex.filename.starts_with(b"proxy:") {
        return Outcome::Declined;
    }
    let (path, kind) = (Bytes(file), Bytes(conf.kind()));
    logs::error!(ex, Level::Debug, "proxy_express", "AH01002: proxy_express: Opening DBM file: {path} ({kind})");
    let Some(kind) = Kind::parse(conf.kind()) else { return Outcome::Declined };
    let host = names::server_name(ex).to_vec();
    let found = dbm::fetch(kind, file, &host);
    if found.is_ok() {
        logs::error!(ex, Level::Debug, "proxy_express", "AH01003: proxy_express: looking for {}", Bytes(&host));
    }
    let Ok(Some(backend)) = found else { return Outcome::Declined };
    let text = Bytes(&backend);
    logs::error!(ex, Level::Debug, "proxy_express", "AH01004: proxy_express: found {} -> {text}", Bytes(&host));
    ex.filename = [b"proxy:", backend.as_slice(), &ex.uri].concat();
    ex.handler = b"proxy-server".to_vec();
    ex.proxyreq = ProxyKind::Reverse;
    let url = Bytes(&ex.filename);
    logs::error!(ex, Level::Debug, "proxy_express", "AH01005: proxy_express: rewritten as: {url}");
    Outcome::Ok
}

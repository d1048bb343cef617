//! `mod_heartmonitor.c`: hears how other servers are.

use std::net::{SocketAddr, SocketAddrV4, ToSocketAddrs as _};
use std::path::PathBuf;
use std::sync::Arc;

use crate::base::addr::HostPort;
use crate::base::clock::{Clock, SystemClock};
use crate::config::{
    Args, Cmd, Conf, Directive, Fatal, Globals, ModuleRow, Places, PostConfig, Shape, latin1, merge_path, row,
};
use crate::logs::{self, Bytes, Errno, Level};
use crate::modules::{check, slot};
use crate::pipe::{self, Hook, Module, Outcome, Phase, Run, Waiting};
use crate::upstream::heartbeat::{self, Listening, Monitor, Record, Words, storage as records, whole};
use crate::web::{Exchange, Live, Wire};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "heartmonitor_module",
        file: "mod_heartmonitor.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config,
    },
    hooks: HOOKS,
};

/// Values of the process.
#[derive(Clone, Default)]
struct HeartProcess {
    /// `HeartbeatListen`.
    listen: Option<SocketAddrV4>,
    /// `HeartbeatMaxServers`; 0 is a file in place of memory.
    most: Option<usize>,
    /// What is heard, over reloads.
    monitor: Option<Arc<Monitor>>,
}

impl Conf for HeartProcess {
    const SLOT: usize = slot::HEARTMONITOR + 2;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

impl HeartProcess {
    fn most(&self) -> usize {
        self.most.unwrap_or(MOST)
    }
}

/// Values of the process; both modules that know the file share them.
#[derive(Clone, Default)]
struct Storage {
    /// `HeartbeatStorage`, in full.
    path: Option<PathBuf>,
}

impl Conf for Storage {
    const SLOT: usize = slot::LBMETHOD_HEARTBEAT + 2;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("HeartbeatListen", Places::SERVER, Shape::Take1, listen, "Address to listen for heartbeat requests"),
    row("HeartbeatStorage", Places::SERVER, Shape::Take1, storage, "Path to store heartbeat data."),
    row("HeartbeatMaxServers", Places::SERVER, Shape::Take1, max_servers, "Max number of servers when using slotmem (instead file) to store heartbeat data."),
];

/// The hooks.
const HOOKS: &[Hook] = &[Hook { phase: Phase::Handler, order: -10, wants: |_, _| true, run: Run::Handle(handler) }];

/// `HeartbeatMaxServers` where nobody says.
const MOST: usize = 10;
/// More of a message is not read.
const LONGEST: usize = 1000;

/// `HeartbeatListen address:port`.
fn listen(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.global_only()?;
    if cmd.globals.conf.get::<HeartProcess>().is_some_and(|conf| conf.listen.is_some()) {
        return Err("HeartbeatListen: May only be specified once.".to_owned());
    }
    let address = address(args.word(0)).map_err(|wrong| match wrong {
        Wrong::Form => "HeartbeatListen: Unable to parse multicast address.",
        Wrong::NoHost => "HeartbeatListen: No host provided in multicast address",
        Wrong::NoPort => "HeartbeatListen: No port provided in multicast address",
        Wrong::Unknown => "HeartbeatListen: apr_sockaddr_info_get failed on multicast address",
    })?;
    cmd.globals.conf.get_mut::<HeartProcess>().listen = Some(address);
    Ok(())
}

/// What may be wrong with an address.
pub(super) enum Wrong {
    Form,
    NoHost,
    NoPort,
    Unknown,
}

/// An address of IPv4 with a port.
pub(super) fn address(word: &[u8]) -> Result<SocketAddrV4, Wrong> {
    let parsed = HostPort::parse(word).map_err(|_| Wrong::Form)?;
    let host = parsed.host.ok_or(Wrong::NoHost)?;
    let port = parsed.port.ok_or(Wrong::NoPort)?;
    let found = (latin1(host).as_str(), port).to_socket_addrs().map_err(|_| Wrong::Unknown)?;
    let v4 = |addr| match addr {
        SocketAddr::V4(addr) => Some(addr),
        SocketAddr::V6(_) => None,
    };
    found.into_iter().find_map(v4).ok_or(Wrong::Unknown)
}

/// `HeartbeatMaxServers n`.
fn max_servers(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.global_only()?;
    let number = Some(check::number(args.word(0))).filter(|number| *number == 0 || *number >= 10);
    let number = number
        .and_then(|number| usize::try_from(number).ok())
        .ok_or("HeartbeatMaxServers: Should be 0 for file storage, or greater or equal than 10 for slotmem")?;
    cmd.globals.conf.get_mut::<HeartProcess>().most = Some(number);
    Ok(())
}

fn post_config(post: &mut PostConfig<'_>) -> Result<(), Fatal> {
    prepare(post);
    Ok(())
}

/// What was heard before a reload is not forgotten by it. Whoever needs it first, does it.
fn prepare(post: &mut PostConfig<'_>) {
    let before = post.previous.and_then(|previous| previous.globals.conf.get::<HeartProcess>()?.monitor.clone());
    let conf = post.globals.conf.get_mut::<HeartProcess>();
    let new = Monitor::new(conf.most());
    conf.monitor
        .get_or_insert_with(|| before.filter(|before| before.most() == new.most()).unwrap_or_else(|| Arc::new(new)));
}

/// `HeartbeatStorage path`.
pub(super) fn storage(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.global_only()?;
    let path = in_runtime_dir(cmd.globals, args.word(0));
    cmd.globals.conf.get_mut::<Storage>().path = Some(path);
    Ok(())
}

fn in_runtime_dir(globals: &Globals, name: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStringExt as _;
    let folder = globals.rooted(globals.runtime_dir.as_deref().unwrap_or(b"logs"));
    PathBuf::from(std::ffi::OsString::from_vec(merge_path(&folder, name)))
}

/// The file of heartbeats.
pub(super) fn path(globals: &Globals) -> PathBuf {
    let written = globals.conf.get::<Storage>().and_then(|storage| storage.path.clone());
    written.unwrap_or_else(|| in_runtime_dir(globals, b"hb.dat"))
}

/// What balancers choose by, if it is not in a file.
pub(super) fn memory(post: &mut PostConfig<'_>) -> Option<Arc<Monitor>> {
    if !post.globals.modules.contains(&MODULE.row.id) {
        return None;
    }
    prepare(post);
    let conf = post.globals.conf.get::<HeartProcess>()?;
    conf.monitor.clone().filter(|_| conf.most() != 0)
}

/// Begins to listen, if that is asked for, on this thread's runtime.
pub fn watch(live: Live) -> Option<Listening> {
    let globals = &live.generation.globals;
    let conf = globals.conf.get::<HeartProcess>()?;
    let (at, monitor) = (conf.listen?, conf.monitor.clone()?);
    let file = (conf.most() == 0).then(|| path(globals));
    Some(heartbeat::listen(live, at, monitor, file))
}

/// A heartbeat by HTTP.
fn handler<'a>(ex: &'a mut Exchange, wire: &'a mut dyn Wire) -> Waiting<'a> {
    if ex.handler == b"heartbeat" { Box::pin(answer(ex, wire)) } else { pipe::declined() }
}

async fn answer(ex: &mut Exchange, wire: &mut dyn Wire) -> Outcome {
    if ex.method != b"POST" {
        return Outcome::Status(405);
    }
    let live = ex.live.clone();
    let globals = &live.generation.globals;
    let conf = globals.conf.get::<HeartProcess>().filter(|conf| conf.listen.is_some());
    let Some((conf, monitor)) = conf.and_then(|conf| Some((conf, conf.monitor.as_ref()?))) else {
        logs::error!(ex, Level::Error, "heartmonitor", "AH10561: Heartbeat monitoring not active");
        return Outcome::Status(503);
    };
    let text = match message(ex, wire).await {
        Ok(text) => text,
        Err(outcome) => return outcome,
    };
    let words = Words::parse(text.split(|byte| *byte == 0).next().unwrap_or_default());
    let (Some(busy), Some(ready)) = (words.get("busy"), words.get("ready")) else {
        logs::error!(ex, Level::Error, "heartmonitor", "AH10563: Missing required parameters: busy and/or ready");
        return Outcome::Status(400);
    };
    let port = words.get("port").map_or(Some(PORT), |port| whole(port).filter(|port| (1..=65535).contains(port)));
    let port = port.unwrap_or_else(|| {
        let port = Bytes(words.get("port").unwrap_or_default());
        logs::error!(ex, Level::Warn, "heartmonitor", "AH10564: Invalid port value: {port}, using default {PORT}");
        PORT
    });
    let busy = whole(busy).unwrap_or_else(|| {
        logs::error!(ex, Level::Warn, "heartmonitor", "AH10565: Invalid busy value: {}, using 0", Bytes(busy));
        0
    });
    let ready = whole(ready).unwrap_or_else(|| {
        logs::error!(ex, Level::Warn, "heartmonitor", "AH10566: Invalid ready value: {}, using 0", Bytes(ready));
        0
    });
    let host = ex.conn.peer.ip().to_canonical();
    if conf.most() == 0 {
        // The listener does not know of it, and writes its own file over it, as in httpd.
        let record = Record { ip: host.to_string().into_bytes(), port, ready, busy, seen: 0 };
        if let Err(error) = records::update(&path(globals), &record) {
            logs::error!(ex, Level::Error, "heartmonitor", Errno::from(error.errno()) => "{error}");
        }
    } else {
        monitor.hear(host, [port, ready, busy], SystemClock.wall());
    }
    ex.content_type = b"text/plain".to_vec();
    if pipe::text(ex, wire, b"OK").await.is_err() {
        ex.conn.aborted.set(true);
    }
    Outcome::Done
}

/// The port where nobody says.
const PORT: i32 = 80;

/// The start of the body.
async fn message(ex: &mut Exchange, wire: &mut dyn Wire) -> Result<Vec<u8>, Outcome> {
    let mut text = Vec::new();
    while !wire.body_done() && text.len() < LONGEST {
        match pipe::fill(wire).await {
            Ok(0) => break,
            Ok(_) => {}
            Err(fault) => return Err(pipe::body_fault(ex, fault)),
        }
        let here = wire.body();
        let n = here.len().min(LONGEST - text.len());
        text.extend_from_slice(here.get(..n).unwrap_or_default());
        wire.consume(n);
    }
    Ok(text)
}

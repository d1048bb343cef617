//! Values of `mod_http2`, and the functions that read them.

use std::sync::Arc;
use std::time::Duration;

use super::told::{Hints, Order};
use crate::base::clock::{Unit, parse_interval};
use crate::config::{Args, Cmd, Conf, Server, inner_or_outer};
use crate::modules::{check, slot};

/// Values per server.
#[derive(Clone, Debug, Default)]
pub(super) struct Http2Server {
    /// H2MaxSessionStreams.
    pub most_streams: Option<u32>,
    /// H2WindowSize.
    pub window: Option<u32>,
    /// H2StreamMaxMemSize.
    pub stream_memory: Option<usize>,
    /// H2Direct.
    pub direct: Option<bool>,
    /// H2EarlyHints.
    pub early_hints: Option<bool>,
    /// H2StreamTimeout.
    pub stream_timeout: Option<Duration>,
    /// H2MaxDataFrameLen; 0 is no limit beside the protocol's.
    pub most_data: Option<usize>,
    /// H2MaxHeaderBlockLen; 0 is no limit.
    pub most_head: Option<usize>,
    /// H2MaxStreamErrors.
    pub most_errors: Option<u32>,
    /// H2OutputBuffering.
    pub buffering: Option<bool>,
    /// H2WebSockets.
    pub web_sockets: Option<bool>,
    /// H2PushDiarySize.
    pub diary: Option<usize>,
    /// H2PushPriority: by type, the last one first.
    pub orders: Vec<(Vec<u8>, Order)>,
    /// H2PushResource and H2EarlyHint outside of sections.
    pub hints: Hints,
}

impl Conf for Http2Server {
    const SLOT: usize = slot::HTTP2;

    fn merge(base: &Self, add: &Self) -> Self {
        inner_or_outer!(
            base, add; most_streams, window, stream_memory, direct, early_hints, stream_timeout, most_data, most_head,
            most_errors, buffering, web_sockets, diary;
            orders: add.orders.iter().chain(&base.orders).cloned().collect(),
            hints: Hints::merge(&base.hints, &add.hints),
        )
    }
}

/// Values per directory.
#[derive(Clone, Debug, Default)]
pub struct Http2Dir {
    /// H2Upgrade.
    pub upgrade: Option<bool>,
    /// H2ProxyRequests.
    pub proxy_requests: Option<bool>,
    /// H2Push.
    pub push: Option<bool>,
    /// H2PushResource and H2EarlyHint in sections: in place of the server's.
    pub hints: Hints,
}

impl Conf for Http2Dir {
    const SLOT: usize = slot::HTTP2 + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        inner_or_outer!(
            base, add; upgrade, proxy_requests, push;
            hints: Hints::merge(&base.hints, &add.hints),
        )
    }
}

type Done = Result<(), String>;

fn server<'a>(cmd: &'a mut Cmd<'_>) -> &'a mut Http2Server {
    cmd.server_conf::<Http2Server>()
}

/// A number that is not below `least`.
fn number(args: &Args<'_>, least: i64, text: &str) -> Result<u32, String> {
    check::at_least(args, least, text)?;
    Ok(u32::try_from(check::number(args.word(0))).unwrap_or(u32::MAX))
}

/// `on` or `off` and nothing else.
pub(super) fn on_off(args: &Args<'_>) -> Result<bool, String> {
    check::one_of(args, &["on", "off"], "value must be On or Off")?;
    Ok(args.word(0).eq_ignore_ascii_case(b"on"))
}

pub(super) fn most_streams(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    server(cmd).most_streams = Some(number(args, 1, "value must be > 0")?);
    Ok(())
}

pub(super) fn window(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    // The protocol has no larger one.
    server(cmd).window = Some(number(args, 1024, "value must be >= 1024")?.min((1 << 31) - 1));
    Ok(())
}

pub(super) fn stream_memory(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    server(cmd).stream_memory = Some(number(args, 1024, "value must be >= 1024")? as usize);
    Ok(())
}

pub(super) fn upgrade(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let on = on_off(args)?;
    cmd.dir_conf::<Http2Dir>().upgrade = Some(on);
    Ok(())
}

pub(super) fn proxy_requests(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let on = on_off(args)?;
    cmd.dir_conf::<Http2Dir>().proxy_requests = Some(on);
    Ok(())
}

pub(super) fn direct(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    server(cmd).direct = Some(on_off(args)?);
    Ok(())
}

pub(super) fn early_hints(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    server(cmd).early_hints = Some(on_off(args)?);
    Ok(())
}

pub(super) fn buffering(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    server(cmd).buffering = Some(on_off(args)?);
    Ok(())
}

pub(super) fn web_sockets(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    server(cmd).web_sockets = Some(on_off(args)?);
    Ok(())
}

pub(super) fn stream_timeout(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let time = parse_interval(args.word(0), Unit::Second).map_err(|_| "Invalid timeout value".to_owned())?;
    server(cmd).stream_timeout = Some(time);
    Ok(())
}

pub(super) fn most_data(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    server(cmd).most_data = Some(number(args, 0, "value must be 0 or larger")? as usize);
    Ok(())
}

pub(super) fn most_head(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    server(cmd).most_head = Some(number(args, 0, "value must be 0 or larger")? as usize);
    Ok(())
}

pub(super) fn most_errors(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    server(cmd).most_errors = Some(number(args, 0, "value must be 0 or larger")?);
    Ok(())
}

/// What the front does with HTTP/2 on one server, defaults filled in.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Streams that a client may have open on a connection.
    pub most_streams: u32,
    /// Bytes of a request's body that a client may send ahead; `None` is the protocol's 65,535.
    pub window: Option<u32>,
    /// Bytes of a response that are held for a client.
    pub stream_memory: usize,
    /// The preface is taken where no protocol was agreed on; `None` is the default: without TLS only.
    pub direct: Option<bool>,
    /// 103 is passed on.
    pub early_hints: bool,
    /// How long a stream may wait for its client; `None` is Timeout.
    pub stream_timeout: Option<Duration>,
    /// Bytes of a DATA frame.
    pub most_data: usize,
    /// Bytes of a response head.
    pub most_head: usize,
    /// Streams that may stall or break the rules before the connection ends.
    pub most_errors: u32,
    /// Small pieces of a response are gathered.
    pub buffering: bool,
    /// Extended CONNECT for WebSocket.
    pub web_sockets: bool,
    /// Requests in HTTP/1 may ask for HTTP/2.
    pub upgrade: bool,
    /// Requests may be for a proxy, with scheme and host in the target.
    pub proxy_requests: bool,
    /// Resources are pushed to clients that take them.
    pub push: bool,
    /// How many resources a connection remembers, so as not to push them again.
    pub diary: usize,
    /// What is sent first, of a response and what is pushed with it.
    pub orders: Arc<[(Vec<u8>, Order)]>,
}

impl Settings {
    /// Those of a server.
    pub fn of(server: &Server) -> Self {
        let none = Http2Server::default();
        let conf = server.get::<Http2Server>().unwrap_or(&none);
        let dir = server.dir.get::<Http2Dir>();
        let limit = |bytes: Option<usize>| bytes.filter(|most| *most > 0).unwrap_or(usize::MAX);
        Self {
            most_streams: conf.most_streams.unwrap_or(100),
            window: conf.window,
            stream_memory: conf.stream_memory.unwrap_or(65_536),
            direct: conf.direct,
            early_hints: conf.early_hints.unwrap_or(false),
            stream_timeout: conf.stream_timeout.filter(|time| *time > Duration::ZERO),
            most_data: limit(conf.most_data),
            most_head: limit(conf.most_head),
            most_errors: conf.most_errors.unwrap_or(8),
            buffering: conf.buffering.unwrap_or(true),
            web_sockets: conf.web_sockets.unwrap_or(false),
            upgrade: dir.and_then(|dir| dir.upgrade).unwrap_or(true),
            proxy_requests: dir.and_then(|dir| dir.proxy_requests).unwrap_or(false),
            push: dir.and_then(|dir| dir.push).unwrap_or(true),
            diary: conf.diary.unwrap_or(256),
            orders: conf.orders.clone().into(),
        }
    }
}

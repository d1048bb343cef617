//! `mod_http2.c`: what configurations say of HTTP/2; `server::http2` speaks it.

mod conf;
mod hooks;
mod push;
mod told;

use crate::config::{Args, Cmd, Directive, ModuleRow, Places, Shape, row};
use crate::modules::check;
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

pub use conf::{Http2Dir, Settings};
pub use hooks::Stream;
pub use told::{Order, order_of};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "http2_module",
        file: "mod_http2.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: hooks::HOOKS,
};

/// Why frames are not padded.
const NO_PADDING: &str = "the HTTP/2 library, h2, pads no frame that it sends";

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("H2MaxSessionStreams", Places::SERVER, Shape::Take1, conf::most_streams, "maximum number of open streams per session"),
    row("H2WindowSize", Places::SERVER, Shape::Take1, conf::window, "window size on client DATA"),
    row("H2MinWorkers", Places::SERVER, Shape::Take1, |_, a| check::at_least(a, 1, "value must be > 0"), "minimum number of worker threads per child").moot(),
    row("H2MaxWorkers", Places::SERVER, Shape::Take1, |_, a| check::at_least(a, 1, "value must be > 0"), "maximum number of worker threads per child").moot(),
    row("H2MaxWorkerIdleSeconds", Places::SERVER, Shape::Take1, |_, a| check::time(a, "Invalid idle limit value"), "maximum number of idle seconds before a worker shuts down").moot(),
    row("H2StreamMaxMemSize", Places::SERVER, Shape::Take1, conf::stream_memory, "maximum number of bytes buffered in memory for a stream"),
    row("H2SerializeHeaders", Places::SERVER, Shape::Take1, serialize, "disabled, this directive has no longer an effect.").moot(),
    row("H2ModernTLSOnly", Places::SERVER, Shape::Take1, |_, a| check::one_of(a, &["on", "off"], "value must be On or Off"), "off to not impose RFC 7540 restrictions on TLS").moot(),
    row("H2Upgrade", Places::AUTHCFG.or(Places::SERVER), Shape::Take1, conf::upgrade, "on to allow HTTP/1 Upgrades to h2/h2c"),
    row("H2Direct", Places::SERVER, Shape::Take1, conf::direct, "on to enable direct HTTP/2 mode"),
    row("H2SessionExtraFiles", Places::SERVER, Shape::Take1, extra_files, "number of extra file a session might keep open (obsolete)").moot(),
    row("H2TLSWarmUpSize", Places::SERVER, Shape::Take1, accept, "number of bytes on TLS connection before doing max writes").moot(),
    row("H2TLSCoolDownSecs", Places::SERVER, Shape::Take1, accept, "seconds of idle time on TLS before shrinking writes").moot(),
    row("H2Push", Places::AUTHCFG.or(Places::SERVER), Shape::Take1, push::push, "off to disable HTTP/2 server push"),
    row("H2PushPriority", Places::SERVER, Shape::Take23, push::priority, "define priority of PUSHed resources per content type"),
    row("H2PushDiarySize", Places::SERVER, Shape::Take1, push::diary, "size of push diary"),
    row("H2CopyFiles", Places::FILEINFO, Shape::Take1, |_, a| check::one_of(a, &["on", "off"], "value must be On or Off"), "on to perform copy of file data").moot(),
    row("H2PushResource", Places::FILEINFO.or(Places::AUTHCFG), Shape::Take123, push::resource, "add a resource to be pushed in this location/on this server."),
    row("H2EarlyHints", Places::SERVER, Shape::Take1, conf::early_hints, "on to enable interim status 103 responses"),
    row("H2Padding", Places::SERVER, Shape::Take1, padding, "set payload padding").missing().because(NO_PADDING),
    row("H2OutputBuffering", Places::SERVER, Shape::Take1, conf::buffering, "set stream output buffer on/off"),
    row("H2StreamTimeout", Places::SERVER, Shape::Take1, conf::stream_timeout, "set stream timeout"),
    row("H2MaxDataFrameLen", Places::SERVER, Shape::Take1, conf::most_data, "maximum number of bytes in a single HTTP/2 DATA frame"),
    row("H2MaxHeaderBlockLen", Places::SERVER, Shape::Take1, conf::most_head, "maximum number of bytes in a response header block"),
    row("H2MaxStreamErrors", Places::SERVER, Shape::Take1, conf::most_errors, "maximum number of flow control errors tolerated"),
    row("H2EarlyHint", Places::FILEINFO.or(Places::AUTHCFG), Shape::Take2, push::early_hint, "add a a 'Link:' header for a 103 Early Hints response."),
    row("H2ProxyRequests", Places::FILEINFO, Shape::Take1, conf::proxy_requests, "Enables forward proxy requests via HTTP/2"),
    row("H2WebSockets", Places::SERVER, Shape::Take1, conf::web_sockets, "off to disable WebSockets over HTTP/2"),
];

fn serialize(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    if args.on() {
        let text =
            "AH10307: H2SerializeHeaders: this feature has been disabled and the directive to enable it is ignored.";
        cmd.warn("http2", "warn", text.to_owned());
    }
    Ok(())
}

fn padding(_: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    match check::number(args.word(0)) {
        ..0 => Err("number of bits must be >= 0".to_owned()),
        9.. => Err("number of bits must be <= 8".to_owned()),
        _ => Ok(()),
    }
}

fn extra_files(cmd: &mut Cmd<'_>, _: &Args<'_>) -> Result<(), String> {
    cmd.warn("http2", "warn", "H2SessionExtraFiles is obsolete and will be ignored".to_owned());
    Ok(())
}

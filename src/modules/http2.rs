//! `mod_http2.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "http2_module",
        file: "mod_http2.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("H2MaxSessionStreams", Places::SERVER, Shape::Take1, accept, "maximum number of open streams per session").missing(),
    row("H2WindowSize", Places::SERVER, Shape::Take1, accept, "window size on client DATA").missing(),
    row("H2MinWorkers", Places::SERVER, Shape::Take1, accept, "minimum number of worker threads per child").missing(),
    row("H2MaxWorkers", Places::SERVER, Shape::Take1, accept, "maximum number of worker threads per child").missing(),
    row("H2MaxWorkerIdleSeconds", Places::SERVER, Shape::Take1, accept, "maximum number of idle seconds before a worker shuts down").missing(),
    row("H2StreamMaxMemSize", Places::SERVER, Shape::Take1, accept, "maximum number of bytes buffered in memory for a stream").missing(),
    row("H2SerializeHeaders", Places::SERVER, Shape::Take1, accept, "disabled, this directive has no longer an effect.").missing(),
    row("H2ModernTLSOnly", Places::SERVER, Shape::Take1, accept, "off to not impose RFC 7540 restrictions on TLS").missing(),
    row("H2Upgrade", Places::AUTHCFG.or(Places::SERVER), Shape::Take1, accept, "on to allow HTTP/1 Upgrades to h2/h2c").missing(),
    row("H2Direct", Places::SERVER, Shape::Take1, accept, "on to enable direct HTTP/2 mode").missing(),
    row("H2SessionExtraFiles", Places::SERVER, Shape::Take1, accept, "number of extra file a session might keep open (obsolete)").missing(),
    row("H2TLSWarmUpSize", Places::SERVER, Shape::Take1, accept, "number of bytes on TLS connection before doing max writes").missing(),
    row("H2TLSCoolDownSecs", Places::SERVER, Shape::Take1, accept, "seconds of idle time on TLS before shrinking writes").missing(),
    row("H2Push", Places::AUTHCFG.or(Places::SERVER), Shape::Take1, accept, "off to disable HTTP/2 server push").missing(),
    row("H2PushPriority", Places::SERVER, Shape::Take23, accept, "define priority of PUSHed resources per content type").missing(),
    row("H2PushDiarySize", Places::SERVER, Shape::Take1, accept, "size of push diary").missing(),
    row("H2CopyFiles", Places::FILEINFO, Shape::Take1, accept, "on to perform copy of file data").missing(),
    row("H2PushResource", Places::FILEINFO.or(Places::AUTHCFG), Shape::Take123, accept, "add a resource to be pushed in this location/on this server.").missing(),
    row("H2EarlyHints", Places::SERVER, Shape::Take1, accept, "on to enable interim status 103 responses").missing(),
    row("H2Padding", Places::SERVER, Shape::Take1, accept, "set payload padding").missing(),
    row("H2OutputBuffering", Places::SERVER, Shape::Take1, accept, "set stream output buffer on/off").missing(),
    row("H2StreamTimeout", Places::SERVER, Shape::Take1, accept, "set stream timeout").missing(),
    row("H2MaxDataFrameLen", Places::SERVER, Shape::Take1, accept, "maximum number of bytes in a single HTTP/2 DATA frame").missing(),
    row("H2MaxHeaderBlockLen", Places::SERVER, Shape::Take1, accept, "maximum number of bytes in a response header block").missing(),
    row("H2MaxStreamErrors", Places::SERVER, Shape::Take1, accept, "maximum number of flow control errors tolerated").missing(),
    row("H2EarlyHint", Places::FILEINFO.or(Places::AUTHCFG), Shape::Take2, accept, "add a a 'Link:' header for a 103 Early Hints response.").missing(),
    row("H2ProxyRequests", Places::FILEINFO, Shape::Take1, accept, "Enables forward proxy requests via HTTP/2").missing(),
    row("H2WebSockets", Places::SERVER, Shape::Take1, accept, "off to disable WebSockets over HTTP/2").missing(),
];

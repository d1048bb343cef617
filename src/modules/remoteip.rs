//! `mod_remoteip.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "remoteip_module",
        file: "mod_remoteip.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("RemoteIPHeader", Places::SERVER, Shape::Take1, accept, "Specifies a request header to trust as the client IP, e.g. X-Forwarded-For").missing(),
    row("RemoteIPProxiesHeader", Places::SERVER, Shape::Take1, accept, "Specifies a request header to record proxy IP's, e.g. X-Forwarded-By; if not given then do not record").missing(),
    row("RemoteIPTrustedProxy", Places::SERVER, Shape::Iterate, accept, "Specifies one or more proxies which are trusted to present IP headers").missing(),
    row("RemoteIPInternalProxy", Places::SERVER, Shape::Iterate, accept, "Specifies one or more internal (transparent) proxies which are trusted to present IP headers").missing(),
    row("RemoteIPTrustedProxyList", Places::SERVER, Shape::Take1, accept, "The filename to read the list of trusted proxies, see the RemoteIPTrustedProxy directive").missing(),
    row("RemoteIPInternalProxyList", Places::SERVER, Shape::Take1, accept, "The filename to read the list of internal proxies, see the RemoteIPInternalProxy directive").missing(),
    row("RemoteIPProxyProtocol", Places::SERVER, Shape::Flag, accept, "Enable PROXY protocol handling ('on', 'off')").missing(),
    row("RemoteIPProxyProtocolExceptions", Places::SERVER, Shape::Argv, accept, "Disable PROXY protocol handling for this list of networks in CIDR format").missing(),
];
